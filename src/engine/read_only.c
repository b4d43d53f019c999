/*
 * read_only - the mode in which apps read and do not write.
 *
 * A row says whose writes are stopped, of one project or of all; what is
 * checked is a flag in the app's record.  A write passes the gate by counting
 * itself in before it looks at the flag, so that whoever sets the flag can wait
 * for those that were faster.  The engine's thread reads the rows anew at each
 * tick: another server on the same store may have changed them.
 *
 * The engine's own work (building indexes, mending, statistics) and the removal
 * of an app are the operator's and do not pass here.
 */
#include "engine/engine_int.h"

#include "base/log.h"

#include <stdlib.h>

/* ---- the rows ---- */

/* One for each project that is stopped; that of no project stops all. */
static struct storage_key mode_key(struct arena *a, struct bytes project)
{
    struct buf row = BUF_IN(a);

    buf_add(&row, BYTES_LIT("readonly\0"));
    buf_add(&row, project);
    return (struct storage_key){
        key_partition(a, BYTES_NONE, BYTES_NONE, KEY_META), buf_view(&row)};
}

int engine_read_only_list(struct ctx *ctx, struct engine *e,
                          struct bytes **projects, size_t *n)
{
    struct storage_key all = mode_key(ctx->arena, BYTES_NONE);
    struct storage_range range = storage_prefix(ctx->arena, all.row);
    struct storage_page page;
    int rc = storage_scan(ctx, e->storage, all.partition, &range,
                          STORAGE_FORWARD, STORAGE_PAGE_ROWS, &page);

    *n = 0;
    if (rc)
        return rc;
    *projects = ARENA_ARRAY(ctx->arena, struct bytes, page.n + 1);
    if (e->frozen)
        (*projects)[(*n)++] = BYTES("", 0);
    for (size_t i = 0; i < page.n; i++) {
        struct bytes project = bytes_from(page.rows[i].row, all.row.n);

        if (project.n || !e->frozen)
            (*projects)[(*n)++] = project;
    }
    return 0;
}

/* ---- the flags ---- */

static bool stopped(const struct engine *e, struct bytes project)
{
    const struct stopped *s = &e->stopped;

    for (size_t i = 0; i < s->n; i++) {
        if (s->projects[i].n == 0 || bytes_eq(s->projects[i], project))
            return true;
    }
    return false;
}

void read_only_init(struct engine *e, struct engine_app *app)
{
    atomic_store(&app->read_only, stopped(e, app->project));
}

/* Under index_lock, as apps are found and made. */
static void apply(struct engine *e, const struct bytes *projects, size_t n)
{
    struct stopped *s = &e->stopped;

    arena_reset(&s->arena);
    s->projects = ARENA_ARRAY(&s->arena, struct bytes, n);
    for (size_t i = 0; i < n; i++)
        s->projects[i] = arena_dup(&s->arena, projects[i]);
    s->n = n;
    for (int i = 0; i < ENGINE_APP_BUCKETS; i++) {
        for (struct engine_app *app = e->apps[i]; app; app = app->next)
            read_only_init(e, app);
    }
}

/* With change_lock, so that what was read is not older than what counts. */
static int load(struct ctx *ctx, struct engine *e)
{
    struct bytes *projects;
    size_t n;
    int rc = engine_read_only_list(ctx, e, &projects, &n);

    if (rc)
        return rc;
    lock_take(&e->index_lock);
    apply(e, projects, n);
    lock_drop(&e->index_lock);
    return 0;
}

int read_only_load(struct ctx *ctx, struct engine *e)
{
    int rc;

    lock_take(&e->change_lock);
    rc = load(ctx, e);
    lock_drop(&e->change_lock);
    return rc;
}

void engine_freeze(struct engine *e)
{
    struct bytes all = BYTES("", 0);

    e->frozen = true;
    lock_take(&e->index_lock);
    apply(e, &all, 1);
    lock_drop(&e->index_lock);
}

/* ---- the gate ---- */

static int refuse(struct ctx *ctx)
{
    return ctx_err(
        ctx, ERR_DISABLED,
        "Datastore writes are temporarily unavailable: the datastore "
        "is in read-only mode.");
}

void engine_write_end(struct engine *e, struct bytes app)
{
    struct engine_app *a = engine_app(e, app);

    if (atomic_fetch_sub(&a->writers, 1) != 1 || !atomic_load(&a->read_only))
        return;
    lock_take(&e->index_lock);
    pthread_cond_broadcast(&e->drained);
    lock_drop(&e->index_lock);
}

int engine_write_begin(struct ctx *ctx, struct engine *e, struct bytes app)
{
    struct engine_app *a = engine_app(e, app);

    atomic_fetch_add(&a->writers, 1);
    if (!atomic_load(&a->read_only))
        return 0;
    engine_write_end(e, app);
    return refuse(ctx);
}

int engine_write_allowed(struct ctx *ctx, struct engine *e, struct bytes app)
{
    return atomic_load(&engine_app(e, app)->read_only) ? refuse(ctx) : 0;
}

/* ---- the switch ---- */

/* Under index_lock: a write that passed the gate before it was closed. */
static bool under_way(const struct engine *e)
{
    for (int i = 0; i < ENGINE_APP_BUCKETS; i++) {
        for (struct engine_app *app = e->apps[i]; app; app = app->next) {
            if (atomic_load(&app->read_only) && atomic_load(&app->writers) > 0)
                return true;
        }
    }
    return false;
}

static int drain(struct ctx *ctx, struct engine *e)
{
    int rc = 0;

    lock_take(&e->index_lock);
    while (rc == 0 && under_way(e)) {
        struct timespec at = index_wait_until(ctx, CLOCK_SEC);

        pthread_cond_timedwait(&e->drained, &e->index_lock.mutex, &at);
        if (ctx_left(ctx) == 0)
            rc = ctx_err(ctx, ERR_DEADLINE,
                         "the datastore is read-only now, but writes that "
                         "began before have not ended yet");
    }
    lock_drop(&e->index_lock);
    return rc;
}

int engine_read_only_set(struct ctx *ctx, struct engine *e, struct bytes app,
                         bool on)
{
    struct storage_key key = mode_key(ctx->arena, key_project(app));
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    int rc;

    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    if (on)
        storage_batch_put(&b, key, BYTES("", 0));
    else
        storage_batch_delete(&b, key);
    lock_take(&e->change_lock);
    rc = storage_commit(ctx, e->storage, &b, NULL);
    if (rc == 0)
        rc = load(ctx, e);
    lock_drop(&e->change_lock);
    if (rc == 0)
        log_info(ctx, "engine.read_only", "on", on ? "yes" : "no", "project",
                 app.n ? log_bytes(app) : "all");
    return rc == 0 && on ? drain(ctx, e) : rc;
}
