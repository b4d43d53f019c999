/*
 * pool - two queues, and a stack of idle workers.
 *
 * What comes: a job, or a fiber whose event has come.  Fibers go first; they
 * hold a request that is nearly done.  Either goes to an idle worker directly,
 * with a wake-up of its own, as long as fewer workers run than can; else it
 * waits in its queue for the next worker that is through with something.
 */
#include "rpc/pool.h"

#include "base/fiber.h"
#include "base/locks.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    THREAD_STACK = 1024 * 1024, /* as a fiber's, for jobs that get none */
    RUN_SPARE = 1,              /* running beyond one for each processor */
    WATCH_MS = 1,
    WATCH_QUIET = 100, /* looks at an empty queue before it sleeps */
    FIBERS_MAX = 1024, /* calls beyond these block their worker */
};

/* A fiber, idle or with a job on it. */
struct task {
    struct rpc_pool *pool;
    struct fiber *fiber;
    struct task *next;
};

struct worker {
    struct rpc_pool *pool;
    pthread_t thread;
    pthread_cond_t wake;
    struct worker *next_idle;
    bool woken;
};

struct rpc_pool {
    struct lock lock;
    struct rpc_job *first, **last;    /* jobs */
    struct task *ready, **last_ready; /* fibers to go on with */
    struct task *spare;               /* fibers without a job */
    struct worker *idle;              /* the latest first */
    int queued, queue_max, running, run_most, aside, n_tasks;
    uint64_t moves; /* things taken off the queues */
    bool stopping, ended, watching;
    pthread_cond_t watch;
    pthread_t watchman;
    int n_workers;
    struct worker *workers;
};

static bool has_work(const struct rpc_pool *pool)
{
    return pool->first || pool->ready;
}

/* ---- waking ---- */

/* Take an idle worker off the stack, with the lock; the caller signals it. */
static struct worker *call_idle(struct rpc_pool *pool)
{
    struct worker *w = pool->idle;

    if (!w)
        return NULL;
    pool->idle = w->next_idle;
    pool->running++;
    w->woken = true;
    return w;
}

/* Something was queued: who has to be woken for it? */
static struct worker *call_worker(struct rpc_pool *pool)
{
    if (!pool->watching) {
        pool->watching = true;
        pthread_cond_signal(&pool->watch);
    }
    return pool->running < pool->run_most ? call_idle(pool) : NULL;
}

static void signal_worker(struct worker *w)
{
    if (w)
        pthread_cond_signal(&w->wake);
}

/* ---- fibers ---- */

static void on_ready(struct fiber *f, void *arg)
{
    struct task *t = arg;
    struct rpc_pool *pool = t->pool;
    struct worker *w;

    (void)f;
    t->next = NULL;
    lock_take(&pool->lock);
    *pool->last_ready = t;
    pool->last_ready = &t->next;
    w = call_worker(pool);
    lock_drop(&pool->lock);
    signal_worker(w);
}

static struct task *task_new(struct rpc_pool *pool)
{
    struct task *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->pool = pool;
    t->fiber = fiber_new(on_ready, t);
    if (t->fiber)
        return t;
    free(t);
    return NULL;
}

/* A fiber for the next job; NULL: it runs on the thread itself. */
static struct task *task_take(struct rpc_pool *pool)
{
    struct task *t = pool->spare;

    if (t) {
        pool->spare = t->next;
        return t;
    }
    if (pool->n_tasks == FIBERS_MAX)
        return NULL;
    pool->n_tasks++;
    lock_drop(&pool->lock);
    t = task_new(pool);
    lock_take(&pool->lock);
    if (!t)
        pool->n_tasks--;
    return t;
}

static void task_free(struct task *t)
{
    fiber_free(t->fiber);
    free(t);
}

static void run_job(void *arg)
{
    struct rpc_job *job = arg;

    job->run(job);
}

/* ---- workers ---- */

/* With the lock: do the first thing there is. */
static void work_once(struct rpc_pool *pool)
{
    struct task *t = pool->ready;
    struct rpc_job *job = NULL;
    bool ended = true;

    pool->moves++;
    if (t) {
        pool->ready = t->next;
        if (!pool->ready)
            pool->last_ready = &pool->ready;
    } else {
        job = pool->first;
        pool->first = job->next;
        if (!pool->first)
            pool->last = &pool->first;
        pool->queued--;
        /* Counted before the lock is let go: no worker may end meanwhile, and
         * put aside, it may be ready at once. */
        pool->aside++;
        t = task_take(pool);
        pool->aside -= t == NULL;
    }
    lock_drop(&pool->lock);
    if (!t)
        job->run(job);
    else if (job)
        ended = fiber_run(t->fiber, run_job, job);
    else
        ended = fiber_resume(t->fiber);
    lock_take(&pool->lock);
    if (!t || !ended)
        return;
    pool->aside--;
    t->next = pool->spare;
    pool->spare = t;
}

/* What a stopping pool still waits for: its own work, and events. */
static bool may_end(const struct rpc_pool *pool)
{
    return pool->stopping && !has_work(pool) && pool->aside == 0;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct rpc_pool *pool = w->pool;

    lock_take(&pool->lock);
    for (;;) {
        while (has_work(pool))
            work_once(pool);
        if (may_end(pool))
            break;
        w->woken = false;
        w->next_idle = pool->idle;
        pool->idle = w;
        pool->running--;
        while (!w->woken)
            pthread_cond_wait(&w->wake, &pool->lock.mutex);
    }
    pool->running--;
    /* The next one out; the last of them has nobody to call. */
    signal_worker(call_idle(pool));
    lock_drop(&pool->lock);
    return NULL;
}

/* ---- the watchman ---- */

static void watch_wait(struct rpc_pool *pool)
{
    int64_t at = clock_mono() + WATCH_MS * CLOCK_MS;
    struct timespec until = {
        .tv_sec = at / CLOCK_SEC,
        .tv_nsec = at % CLOCK_SEC * 1000,
    };

    pthread_cond_timedwait(&pool->watch, &pool->lock.mutex, &until);
}

/*
 * Every worker that runs may be blocked.  What is queued while nothing has
 * been taken for a while gets one more, and the next while another.  When all
 * are blocked it may be by what was put aside (it holds a set of indexes, a
 * write under way), so that goes on here.
 */
static void make_up(struct rpc_pool *pool)
{
    struct worker *w = call_idle(pool);

    if (!w && pool->ready)
        work_once(pool);
    signal_worker(w);
}

/* Until the workers are gone: a stop meets blocked ones, too. */
static void *watch(void *arg)
{
    struct rpc_pool *pool = arg;
    uint64_t seen = 0;
    int quiet = 0;

    lock_take(&pool->lock);
    while (!pool->ended) {
        if (!pool->watching) {
            pthread_cond_wait(&pool->watch, &pool->lock.mutex);
            continue;
        }
        watch_wait(pool);
        if (has_work(pool) && pool->moves == seen)
            make_up(pool);
        if (may_end(pool))
            signal_worker(call_idle(pool));
        quiet = pool->moves == seen ? quiet + 1 : 0;
        seen = pool->moves;
        if (quiet > WATCH_QUIET && !has_work(pool) && !pool->stopping) {
            pool->watching = false;
            quiet = 0;
        }
    }
    lock_drop(&pool->lock);
    return NULL;
}

/* ---- submitting ---- */

bool rpc_pool_submit(struct rpc_pool *pool, struct rpc_job *job)
{
    struct worker *w = NULL;
    bool taken;

    job->next = NULL;
    lock_take(&pool->lock);
    taken = pool->queued < pool->queue_max;
    if (taken) {
        *pool->last = job;
        pool->last = &job->next;
        pool->queued++;
        w = call_worker(pool);
    }
    lock_drop(&pool->lock);
    signal_worker(w);
    return taken;
}

struct rpc_pool_stats rpc_pool_stats(struct rpc_pool *pool)
{
    struct rpc_pool_stats s;

    lock_take(&pool->lock);
    s = (struct rpc_pool_stats){pool->queued, pool->running, pool->aside};
    lock_drop(&pool->lock);
    return s;
}

/* ---- start and stop ---- */

static void pool_free(struct rpc_pool *pool)
{
    while (pool->spare) {
        struct task *t = pool->spare;

        pool->spare = t->next;
        task_free(t);
    }
    lock_release(&pool->lock);
    pthread_cond_destroy(&pool->watch);
    free(pool->workers);
    free(pool);
}

static int start_worker(struct ctx *ctx, struct rpc_pool *pool,
                        const pthread_attr_t *attr)
{
    struct worker *w = &pool->workers[pool->n_workers];
    int rc;

    w->pool = pool;
    pthread_cond_init(&w->wake, NULL);
    rc = pthread_create(&w->thread, attr, work, w);
    if (rc != 0) {
        pthread_cond_destroy(&w->wake);
        return ctx_err(ctx, ERR_EXHAUSTED, "cannot start worker %d: %s",
                       pool->n_workers, strerror(rc));
    }
    pool->n_workers++;
    return 0;
}

static int start_threads(struct ctx *ctx, struct rpc_pool *pool, int workers)
{
    pthread_attr_t attr;
    int rc;

    rc = pthread_create(&pool->watchman, NULL, watch, pool);
    if (rc != 0) {
        pool_free(pool);
        return ctx_err(ctx, ERR_EXHAUSTED, "cannot start a thread: %s",
                       strerror(rc));
    }
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, THREAD_STACK);
    while (rc == 0 && pool->n_workers < workers)
        rc = start_worker(ctx, pool, &attr);
    pthread_attr_destroy(&attr);
    if (rc < 0)
        rpc_pool_stop(pool);
    return rc;
}

static struct rpc_pool *pool_new(int workers, int queue_max)
{
    struct rpc_pool *pool = calloc(1, sizeof(*pool));
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    pthread_condattr_t attr;

    if (!pool)
        die("out of memory for %d workers", workers);
    pool->workers = calloc((size_t)workers, sizeof(*pool->workers));
    if (!pool->workers)
        die("out of memory for %d workers", workers);
    lock_init(&pool->lock, LOCK_RPC_POOL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->watch, &attr);
    pthread_condattr_destroy(&attr);
    pool->last = &pool->first;
    pool->last_ready = &pool->ready;
    pool->queue_max = queue_max;
    pool->running = workers; /* until each has found nothing to do */
    pool->run_most = (int)(processors > 0 ? processors : 1) + RUN_SPARE;
    return pool;
}

int rpc_pool_start(struct ctx *ctx, int workers, int queue_max,
                   struct rpc_pool **out)
{
    struct rpc_pool *pool = pool_new(workers, queue_max);
    int rc = start_threads(ctx, pool, workers);

    if (rc == 0)
        *out = pool;
    return rc;
}

void rpc_pool_stop(struct rpc_pool *pool)
{
    lock_take(&pool->lock);
    pool->stopping = pool->watching = true;
    signal_worker(call_idle(pool));
    pthread_cond_signal(&pool->watch);
    lock_drop(&pool->lock);
    for (int i = 0; i < pool->n_workers; i++) {
        pthread_join(pool->workers[i].thread, NULL);
        pthread_cond_destroy(&pool->workers[i].wake);
    }
    lock_take(&pool->lock);
    pool->ended = true;
    pthread_cond_signal(&pool->watch);
    lock_drop(&pool->lock);
    pthread_join(pool->watchman, NULL);
    pool_free(pool);
}
