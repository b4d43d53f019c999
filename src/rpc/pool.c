/*
 * pool - a queue, and a stack of idle workers.
 *
 * A job goes to an idle worker directly, with a wake-up of its own; the queue
 * is used only while there is none, so nobody is woken in vain.
 */
#include "rpc/pool.h"

#include "base/locks.h"
#include "base/log.h"

#include <stdlib.h>

/* RocksDB is the deepest caller; pages that are not touched cost nothing. */
enum { STACK_BYTES = 1024 * 1024 };

struct worker {
    struct rpc_pool *pool;
    pthread_t thread;
    pthread_cond_t wake;
    struct worker *next_idle;
    struct rpc_job *job; /* handed over while idle */
};

struct rpc_pool {
    struct lock lock;
    struct rpc_job *first, *last; /* waiting; only while no worker is idle */
    struct worker *idle;          /* the latest first */
    int queued, queue_max, running;
    bool stopping;
    int n_workers;
    struct worker *workers;
};

/* The next job, waiting for one; NULL when the pool stops. */
static struct rpc_job *next_job(struct worker *w)
{
    struct rpc_pool *pool = w->pool;
    struct rpc_job *job = pool->first;

    if (job) {
        pool->first = job->next;
        pool->queued--;
        return job;
    }
    if (pool->stopping)
        return NULL;
    w->next_idle = pool->idle;
    pool->idle = w;
    pool->running--;
    while (!w->job && !pool->stopping)
        pthread_cond_wait(&w->wake, &pool->lock.mutex);
    pool->running++;
    job = w->job;
    w->job = NULL;
    return job;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct rpc_pool *pool = w->pool;
    struct rpc_job *job;

    lock_take(&pool->lock);
    while ((job = next_job(w)) != NULL) {
        lock_drop(&pool->lock);
        job->run(job);
        lock_take(&pool->lock);
    }
    lock_drop(&pool->lock);
    return NULL;
}

bool rpc_pool_submit(struct rpc_pool *pool, struct rpc_job *job)
{
    struct worker *w;
    bool taken = true;

    job->next = NULL;
    lock_take(&pool->lock);
    w = pool->idle;
    if (w) {
        pool->idle = w->next_idle;
        w->job = job;
    } else if (pool->queued < pool->queue_max) {
        *(pool->first ? &pool->last->next : &pool->first) = job;
        pool->last = job;
        pool->queued++;
    } else {
        taken = false;
    }
    lock_drop(&pool->lock);
    if (w)
        pthread_cond_signal(&w->wake);
    return taken;
}

struct rpc_pool_stats rpc_pool_stats(struct rpc_pool *pool)
{
    struct rpc_pool_stats s;

    lock_take(&pool->lock);
    s = (struct rpc_pool_stats){pool->queued, pool->running};
    lock_drop(&pool->lock);
    return s;
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

int rpc_pool_start(struct ctx *ctx, int workers, int queue_max,
                   struct rpc_pool **out)
{
    struct rpc_pool *pool = calloc(1, sizeof(*pool));
    pthread_attr_t attr;
    int rc = 0;

    if (!pool)
        die("out of memory for %d workers", workers);
    pool->workers = calloc((size_t)workers, sizeof(*pool->workers));
    if (!pool->workers)
        die("out of memory for %d workers", workers);
    lock_init(&pool->lock, LOCK_RPC_POOL);
    pool->queue_max = queue_max;
    pool->running = workers;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    while (rc == 0 && pool->n_workers < workers)
        rc = start_worker(ctx, pool, &attr);
    pthread_attr_destroy(&attr);
    if (rc < 0) {
        rpc_pool_stop(pool);
        return rc;
    }
    *out = pool;
    return 0;
}

void rpc_pool_stop(struct rpc_pool *pool)
{
    lock_take(&pool->lock);
    pool->stopping = true;
    for (int i = 0; i < pool->n_workers; i++)
        pthread_cond_signal(&pool->workers[i].wake);
    lock_drop(&pool->lock);
    for (int i = 0; i < pool->n_workers; i++) {
        pthread_join(pool->workers[i].thread, NULL);
        pthread_cond_destroy(&pool->workers[i].wake);
    }
    lock_release(&pool->lock);
    free(pool->workers);
    free(pool);
}
