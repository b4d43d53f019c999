/*
 * job - the list of jobs, and the thread that does them.
 */
#include "engine/job_int.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct job_table {
    struct engine *engine;
    struct lock lock;
    pthread_cond_t wake;
    struct job *first;
    int n;
    int64_t last_id;
    pthread_t thread;
    bool started, stopping;
};

static const char *const kind_names[] = {"stats", "verify", "compact"};

/* ---- what those who do them call ---- */

void job_say(struct job *job, const char *fmt, ...)
{
    struct job_table *t = job->engine->jobs;
    va_list ap;

    va_start(ap, fmt);
    lock_take(&t->lock);
    vsnprintf(job->step, sizeof(job->step), fmt, ap);
    lock_drop(&t->lock);
    va_end(ap);
}

bool job_stopped(const struct job *job)
{
    return atomic_load(&job->engine->stop);
}

/* ---- compaction: the store's own affair ---- */

static bool on_slice(int done, int total, void *arg)
{
    struct job *job = arg;

    job_say(job, "Compacting, part %d of %d", done + 1, total);
    return !job_stopped(job);
}

static int job_compact(struct ctx *ctx, struct job *job)
{
    struct storage_compaction done;
    int rc = storage_compact(ctx, job->engine->storage, on_slice, job, &done);

    if (rc == 0)
        job->compaction = done;
    return rc;
}

static int (*const work[])(struct ctx *ctx, struct job *job) = {
    job_stats,
    job_verify,
    job_compact,
};

/* ---- the thread ---- */

static void job_free(struct job *job)
{
    arena_release(&job->arena);
    free(job->why);
    free(job);
}

static struct job *next_waiting(struct job_table *t)
{
    struct job *job = t->first;

    while (job && job->done)
        job = job->next;
    return job;
}

/* The next job, once there is one; NULL: stop. */
static struct job *take(struct job_table *t)
{
    struct job *job = NULL;

    lock_take(&t->lock);
    while (!t->stopping && !(job = next_waiting(t)))
        pthread_cond_wait(&t->wake, &t->lock.mutex);
    if (t->stopping)
        job = NULL;
    if (job)
        job->running = true;
    lock_drop(&t->lock);
    return job;
}

static void run_job(struct job_table *t, struct job *job)
{
    struct arena arena = ARENA_INIT;
    int64_t began = clock_mono();
    struct ctx ctx;
    int rc;

    ctx_init(&ctx, &arena);
    ctx.may_wait = true;
    ctx.app = job->spec.app;
    log_info(&ctx, "engine.job.started", "kind", kind_names[job->spec.kind]);
    rc = work[job->spec.kind](&ctx, job);
    lock_take(&t->lock);
    job->rc = rc;
    if (rc)
        job->why = strdup(ctx_err_text(&ctx, rc));
    job->running = false;
    job->done = true;
    lock_drop(&t->lock);
    log_info(&ctx, "engine.job.ended", "kind", kind_names[job->spec.kind], "ms",
             log_int((clock_mono() - began) / CLOCK_MS), "result",
             rc ? ctx_err_text(&ctx, rc) : "ok");
    arena_release(&arena);
}

static void *run(void *arg)
{
    struct job_table *t = arg;
    struct job *job;

    while ((job = take(t)))
        run_job(t, job);
    return NULL;
}

/* ---- life ---- */

struct job_table *job_table_new(struct engine *e)
{
    struct job_table *t = calloc(1, sizeof(*t));

    if (!t)
        die("out of memory for the jobs of the datastore");
    t->engine = e;
    lock_init(&t->lock, LOCK_ENGINE_JOBS);
    pthread_cond_init(&t->wake, NULL);
    return t;
}

int job_table_start(struct ctx *ctx, struct job_table *t)
{
    int rc;

    t->stopping = false;
    rc = pthread_create(&t->thread, NULL, run, t);
    if (rc)
        return ctx_err(ctx, ERR_UNAVAILABLE,
                       "the datastore's thread of jobs cannot be started: %s",
                       strerror(rc));
    t->started = true;
    return 0;
}

void job_table_stop(struct job_table *t)
{
    if (!t->started)
        return;
    lock_take(&t->lock);
    t->stopping = true;
    pthread_cond_signal(&t->wake);
    lock_drop(&t->lock);
    pthread_join(t->thread, NULL);
    t->started = false;
}

void job_table_free(struct job_table *t)
{
    struct job *job, *next;

    for (job = t->first; job; job = next) {
        next = job->next;
        job_free(job);
    }
    pthread_cond_destroy(&t->wake);
    lock_release(&t->lock);
    free(t);
}

/* ---- asking ---- */

static struct job *find_same(struct job_table *t,
                             const struct engine_job_spec *spec)
{
    for (struct job *j = t->first; j; j = j->next) {
        if (!j->done && j->spec.kind == spec->kind &&
            j->spec.repair == spec->repair && bytes_eq(j->spec.app, spec->app))
            return j;
    }
    return NULL;
}

/* Room for one more: the oldest done one goes.  False: all are to be done. */
static bool make_room(struct job_table *t)
{
    struct job **at = &t->first, *gone;

    if (t->n < ENGINE_JOBS_MAX)
        return true;
    while (*at && !(*at)->done)
        at = &(*at)->next;
    if (!*at)
        return false;
    gone = *at;
    *at = gone->next;
    t->n--;
    job_free(gone);
    return true;
}

static struct job *job_new(struct job_table *t,
                           const struct engine_job_spec *spec)
{
    struct job *job = calloc(1, sizeof(*job)), **at = &t->first;
    int64_t now = clock_wall();

    if (!job)
        die("out of memory for a job of the datastore");
    job->engine = t->engine;
    job->spec = *spec;
    job->spec.app = arena_dup(&job->arena, spec->app);
    job->id = t->last_id = now > t->last_id ? now : t->last_id + 1;
    snprintf(job->step, sizeof(job->step), "Waiting for its turn");
    while (*at)
        at = &(*at)->next;
    *at = job;
    t->n++;
    return job;
}

int engine_job_start(struct ctx *ctx, struct engine *e,
                     const struct engine_job_spec *spec, int64_t *id)
{
    struct engine_job_spec want = *spec;
    struct job_table *t = e->jobs;
    struct job *job;
    int rc = 0;

    want.app = key_project(spec->app);
    lock_take(&t->lock);
    job = find_same(t, &want);
    if (!job && !t->started)
        rc = ctx_err(ctx, ERR_UNAVAILABLE, "no thread does the jobs");
    else if (!job && !make_room(t))
        rc = ctx_err(ctx, ERR_EXHAUSTED,
                     "%d jobs of the datastore are waiting already",
                     ENGINE_JOBS_MAX);
    else if (!job)
        job = job_new(t, &want);
    if (job)
        *id = job->id;
    pthread_cond_signal(&t->wake);
    lock_drop(&t->lock);
    return rc;
}

/* Under the lock: the job's own strings may go with it. */
static void copy_state(struct arena *a, const struct job *job,
                       struct engine_job_state *out)
{
    *out = (struct engine_job_state){
        .done = job->done,
        .step = arena_strdup(a, job->step),
        .rc = job->rc,
        .why = job->why ? arena_strdup(a, job->why) : NULL,
        .compaction = job->compaction,
    };
    if (job->done)
        verify_report_copy(a, &job->report, &out->report);
}

int engine_job_look(struct ctx *ctx, struct engine *e, int64_t id,
                    struct engine_job_state *out)
{
    struct job_table *t = e->jobs;
    struct job *job;

    lock_take(&t->lock);
    for (job = t->first; job && job->id != id; job = job->next) {
    }
    if (job)
        copy_state(ctx->arena, job, out);
    lock_drop(&t->lock);
    return job ? 0 : ERR_NOT_FOUND;
}
