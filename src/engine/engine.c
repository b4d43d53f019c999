/*
 * engine - open, close, and the one thread that works without a caller: it
 * builds and removes index rows and lets idle transactions go.
 */
#include "engine/job_int.h"

#include "base/log.h"
#include "engine/query_open.h"

#include <errno.h>
#include <stdlib.h>

struct storage *engine_storage(const struct engine *e)
{
    return e->storage;
}

/* ---- life ---- */

int engine_open(struct ctx *ctx, struct storage *st, struct engine **out)
{
    struct engine *e = calloc(1, sizeof(*e));
    int rc;

    if (!e)
        die("out of memory for the datastore engine");
    e->storage = st;
    lock_init(&e->versions.lock, LOCK_ENGINE_VERSION);
    lock_init(&e->index_lock, LOCK_ENGINE_INDEX);
    lock_init(&e->change_lock, LOCK_ENGINE_CHANGE);
    pthread_cond_init(&e->settled, NULL);
    pthread_cond_init(&e->drained, NULL);
    pthread_mutex_init(&e->wake_mutex, NULL);
    pthread_cond_init(&e->wake, NULL);
    e->jobs = job_table_new(e);
    e->txns = txn_table_new();
    e->queries = query_table_new();
    rc = version_start(ctx, e);
    if (rc == 0)
        rc = read_only_load(ctx, e);
    if (rc) {
        engine_close(e);
        return rc;
    }
    *out = e;
    return 0;
}

static void free_apps(struct engine *e)
{
    for (int i = 0; i < ENGINE_APP_BUCKETS; i++) {
        struct engine_app *app;

        for (app = e->apps[i]; app; app = app->next) {
            index_set_drop(app);
            lock_release(&app->ids_lock);
        }
    }
    arena_release(&e->apps_arena);
    arena_release(&e->stopped.arena);
}

void engine_close(struct engine *e)
{
    engine_stop(e);
    job_table_free(e->jobs);
    txn_table_free(e->txns);
    query_table_free(e->queries);
    free_apps(e);
    pthread_cond_destroy(&e->wake);
    pthread_mutex_destroy(&e->wake_mutex);
    pthread_cond_destroy(&e->settled);
    pthread_cond_destroy(&e->drained);
    lock_release(&e->change_lock);
    lock_release(&e->index_lock);
    lock_release(&e->versions.lock);
    free(e);
}

void engine_set_actions(struct engine *e, const struct engine_actions *a)
{
    e->actions = *a;
}

/* ---- the engine's own thread ---- */

enum { TICK_SEC = 1, RETRY_SEC = 60 };

void engine_wake(struct engine *e)
{
    pthread_mutex_lock(&e->wake_mutex);
    e->todo = true;
    pthread_cond_signal(&e->wake);
    pthread_mutex_unlock(&e->wake_mutex);
}

/* Sleep until there is work or a tick has passed; false: stop. */
static bool wait_for_work(struct engine *e, bool *todo)
{
    struct timespec at;
    bool stop;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += TICK_SEC;
    pthread_mutex_lock(&e->wake_mutex);
    while (!e->stop && !e->todo && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&e->wake, &e->wake_mutex, &at);
    stop = e->stop;
    *todo = e->todo;
    e->todo = false;
    pthread_mutex_unlock(&e->wake_mutex);
    return !stop;
}

static int finish_indexes(struct engine *e)
{
    struct arena arena = ARENA_INIT;
    struct ctx ctx;
    int rc;

    ctx_init(&ctx, &arena);
    rc = index_finish_all(&ctx, e);
    if (rc && rc != ERR_CANCELLED)
        log_error(&ctx, "engine.index.failed", "why", ctx_err_text(&ctx, rc),
                  "next", "tried again in a minute");
    arena_release(&arena);
    return rc;
}

/* A failure leaves the mode as it is, until the next tick. */
static void look_for_mode(struct engine *e)
{
    struct arena arena = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &arena);
    read_only_load(&ctx, e);
    arena_release(&arena);
}

static void expire(struct engine *e)
{
    struct arena arena = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &arena);
    txn_expire(e);
    query_open_expire(&ctx, e->queries);
    arena_release(&arena);
}

static void *run(void *arg)
{
    struct engine *e = arg;
    int64_t retry = INT64_MAX;
    bool todo = false;

    while (wait_for_work(e, &todo)) {
        expire(e);
        look_for_mode(e);
        if (!todo && clock_mono() < retry)
            continue;
        retry = finish_indexes(e) ? clock_mono() + RETRY_SEC * CLOCK_SEC
                                  : INT64_MAX;
    }
    return NULL;
}

int engine_start(struct ctx *ctx, struct engine *e)
{
    int rc;

    e->todo = true;
    e->stop = false;
    rc = pthread_create(&e->thread, NULL, run, e);
    if (rc)
        return ctx_err(ctx, ERR_UNAVAILABLE,
                       "the datastore's thread cannot be started: %s",
                       strerror(rc));
    e->started = true;
    rc = job_table_start(ctx, e->jobs);
    if (rc)
        engine_stop(e);
    return rc;
}

void engine_stop(struct engine *e)
{
    if (!e->started)
        return;
    pthread_mutex_lock(&e->wake_mutex);
    e->stop = true;
    pthread_cond_signal(&e->wake);
    pthread_mutex_unlock(&e->wake_mutex);
    pthread_join(e->thread, NULL);
    job_table_stop(e->jobs);
    e->started = false;
}

/* ---- index.yaml ---- */

/* Whether the app has it; then it may be named in read-only mode too. */
static bool has_index(const struct index_set *set, const struct index_def *def)
{
    for (size_t i = 0; i < set->n; i++) {
        if (set->defs[i].state != INDEX_DELETED &&
            index_def_same(&set->defs[i], def))
            return true;
    }
    return false;
}

static int check_indexes(struct ctx *ctx, struct engine *e, struct bytes app,
                         const struct index_def *defs, size_t n)
{
    const struct index_set *set;
    int rc = index_set_ref(ctx, e, app, &set);
    bool all = true;

    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++)
        all &= has_index(set, &defs[i]);
    index_set_unref(set);
    return all ? 0 : engine_write_allowed(ctx, e, app);
}

int engine_indexes_set(struct ctx *ctx, struct engine *e, struct bytes app,
                       struct bytes yaml, struct index_def **started,
                       size_t *n_started)
{
    struct index_def *defs;
    size_t n, n_new = 0;
    int rc = index_yaml_parse(ctx, yaml, &defs, &n);

    if (rc == 0)
        rc = check_indexes(ctx, e, app, defs, n);
    if (rc == 0)
        rc = index_yaml_store(ctx, e, app, yaml);
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = index_create(ctx, e, app, &defs[i], false, &defs[i].id);
        if (rc == 0)
            defs[n_new++] = defs[i];
        if (rc == ERR_EXISTS)
            rc = 0;
    }
    if (started) {
        *started = defs;
        *n_started = n_new;
    }
    return rc;
}
