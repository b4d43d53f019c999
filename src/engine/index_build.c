/*
 * index_build - bring definitions to their end: WRITE_ONLY ones get the rows
 * of the entities that were there before them, DELETED ones lose theirs.
 *
 * Both walk in pages; every page is one commit under the condition that the
 * entities it read are unchanged.  All of it may be repeated: after a crash a
 * row in the engine's own partition says which apps to look at.
 */
#include "engine/engine_int.h"

#include "base/errinj.h"
#include "base/log.h"

#include <unistd.h>

enum { PAGE_ROWS = 200 };

/* ---- one page of a kind ---- */

static int entity_rows(struct ctx *ctx, const struct index_def *def,
                       struct bytes entity, struct storage_batch *b)
{
    struct index_rows none = {0}, rows;
    struct bytes reference;
    struct key key;
    int rc;

    if (!entity_key(entity, &reference))
        return ctx_err(ctx, ERR_CORRUPT, "a stored entity has no key");
    rc = key_parse(ctx, reference, &key);
    if (rc == 0)
        rc = index_rows_of_def(ctx, def, &key, entity, &rows);
    if (rc == 0)
        index_rows_diff(b, &none, &rows);
    return rc;
}

/* The entities of the paths in `page`, behind a kind prefix of `skip` bytes. */
static int page_batch(struct ctx *ctx, struct engine *e,
                      const struct index_def *def, struct bytes entities,
                      const struct storage_page *page, size_t skip,
                      struct storage_batch *b)
{
    struct storage_key *keys =
        ARENA_ARRAY(ctx->arena, struct storage_key, page->n);
    struct storage_value *values =
        ARENA_ARRAY(ctx->arena, struct storage_value, page->n);
    struct entity_row row;
    int rc;

    for (size_t i = 0; i < page->n; i++)
        keys[i] =
            (struct storage_key){entities, bytes_from(page->rows[i].row, skip)};
    rc = storage_get(ctx, e->storage, keys, page->n, values);
    for (size_t i = 0; i < page->n && rc == 0; i++) {
        if (!values[i].found)
            continue; /* deleted since the scan */
        if (!entity_row_read(values[i].value, &row))
            return ctx_err(ctx, ERR_CORRUPT, "a bad entity row");
        storage_batch_require_same(b, keys[i], &values[i]);
        rc = entity_rows(ctx, def, row.entity, b);
        if (rc == ERR_INVALID) {
            /* The entity has too many rows for this index. */
            ctx_err_clear(ctx);
            rc = ERR_EXHAUSTED;
        }
    }
    return rc;
}

/* A walk over the rows of one kind in one namespace. */
struct build {
    struct engine *engine;
    const struct index_def *def;
    struct bytes kinds, entities; /* partitions */
    size_t skip;                  /* bytes of the kind prefix */
    struct storage_range range;   /* what is left, in the walk's arena */
    struct index_work *work;
    bool more;
};

static int build_page(struct ctx *ctx, struct build *w, struct bytes *last)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct storage_page page;
    int rc;

    rc = storage_scan(ctx, w->engine->storage, w->kinds, &w->range,
                      STORAGE_FORWARD, PAGE_ROWS, &page);
    w->more = page.more;
    if (rc || page.n == 0)
        return rc;
    rc = page_batch(ctx, w->engine, w->def, w->entities, &page, w->skip, &b);
    errinj_crash("engine.index.build.crash");
    if (rc == 0 && b.n_writes > 0)
        rc = storage_commit(ctx, w->engine->storage, &b, NULL);
    if (rc == 0) {
        *last = page.rows[page.n - 1].row;
        atomic_fetch_add(&w->work->done, (int64_t)page.n);
    }
    return rc;
}

/* For tests: stand still in the middle until the fault is cleared. */
static void pause_here(const struct engine *e)
{
    while (errinj("engine.index.build.pause") && !atomic_load(&e->stop))
        usleep(1000);
}

/* Each page in an arena of its own; a conflict repeats the page. */
static int build_space(struct ctx *ctx, struct build *w)
{
    int rc = 0, attempt = 0;

    w->more = true;
    while (rc == 0 && w->more) {
        struct arena arena = ARENA_INIT;
        struct ctx page = *ctx;
        struct bytes last = BYTES_NONE;

        if (atomic_load(&w->engine->stop))
            return ERR_CANCELLED; /* the next start goes on */

        pause_here(w->engine);
        page.arena = &arena;
        page.wire_arena = NULL;
        rc = build_page(&page, w, &last);
        if (rc == 0 && w->more) {
            attempt = 0;
            w->range = storage_range_after(ctx->arena, &w->range,
                                           STORAGE_FORWARD, last);
        } else if (rc == ERR_CONFLICT) {
            rc = write_backoff(ctx, attempt++);
            w->more = true;
        } else if (rc && page.err.code) {
            ctx_err(ctx, (enum err_code)rc, "%s", ctx_err_text(&page, rc));
        }
        arena_release(&arena);
    }
    return rc;
}

static struct build walk_of(struct ctx *ctx, struct engine *e,
                            struct engine_app *app, const struct index_def *def,
                            struct bytes space, struct index_work *work)
{
    struct bytes prefix = key_kind_prefix(ctx->arena, def->kind);

    return (struct build){
        .engine = e,
        .def = def,
        .kinds = key_partition(ctx->arena, app->project, space, KEY_KINDS),
        .entities =
            key_partition(ctx->arena, app->project, space, KEY_ENTITIES),
        .skip = prefix.n,
        .range = storage_prefix(ctx->arena, prefix),
        .work = work,
    };
}

/* Counted first, so that whoever looks sees how far it is. */
static int build(struct ctx *ctx, struct engine *e, struct engine_app *app,
                 const struct index_def *def, struct index_work *work)
{
    struct bytes *spaces, prefix = key_kind_prefix(ctx->arena, def->kind);
    int64_t total = 0;
    size_t n;
    int rc = app_spaces(ctx, e, app->project, &spaces, &n);

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = index_count(
            ctx, e,
            key_partition(ctx->arena, app->project, spaces[i], KEY_KINDS),
            prefix, INT64_MAX, &total);
    atomic_store(&work->total, total);
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct build w = walk_of(ctx, e, app, def, spaces[i], work);

        rc = build_space(ctx, &w);
    }
    return rc;
}

/* ---- taking rows away ---- */

static int remove_page(struct ctx *ctx, struct engine *e,
                       struct bytes partition, struct bytes prefix, bool *more,
                       int64_t *n)
{
    enum { ROWS = 1000 };
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct storage_range range = storage_prefix(ctx->arena, prefix);
    struct storage_page page;
    int rc = storage_scan(ctx, e->storage, partition, &range, STORAGE_FORWARD,
                          ROWS, &page);

    if (rc)
        return rc;
    for (size_t i = 0; i < page.n; i++)
        storage_batch_delete(&b,
                             (struct storage_key){partition, page.rows[i].row});
    *more = page.more;
    *n = (int64_t)page.n;
    errinj_crash("engine.index.remove.crash");
    return page.n ? storage_commit(ctx, e->storage, &b, NULL) : 0;
}

static int remove_space(struct ctx *ctx, struct engine *e,
                        struct bytes partition, struct bytes prefix,
                        struct index_work *work)
{
    bool more = true;
    int rc = 0;

    while (rc == 0 && more) {
        struct arena arena = ARENA_INIT;
        struct ctx page = *ctx;
        int64_t n = 0;

        if (atomic_load(&e->stop))
            return ERR_CANCELLED; /* the next start goes on */
        page.arena = &arena;
        page.wire_arena = NULL;
        rc = remove_page(&page, e, partition, prefix, &more, &n);
        if (rc == 0)
            atomic_fetch_add(&work->done, n);
        else if (page.err.code)
            ctx_err(ctx, (enum err_code)rc, "%s", ctx_err_text(&page, rc));
        arena_release(&arena);
    }
    return rc;
}

static int remove_rows(struct ctx *ctx, struct engine *e,
                       struct engine_app *app, const struct index_def *def,
                       struct index_work *work)
{
    struct bytes *spaces;
    uint8_t prefix[8];
    size_t n;
    int rc = app_spaces(ctx, e, app->project, &spaces, &n);

    put_be64(prefix, (uint64_t)def->id);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = remove_space(
            ctx, e,
            key_partition(ctx->arena, app->project, spaces[i], KEY_COMPOSITES),
            BYTES(prefix, 8), work);
    return rc;
}

static int forget_def(struct ctx *ctx, struct engine *e, struct engine_app *app,
                      int64_t id)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    int rc;

    lock_take(&e->change_lock);
    storage_batch_delete(&b, index_def_key(ctx->arena, app, id));
    rc = storage_commit(ctx, e->storage, &b, NULL);
    if (rc == 0)
        rc = index_set_reload(ctx, e, app);
    lock_drop(&e->change_lock);
    return rc;
}

/* ---- one definition, and all ---- */

/* A copy of definition `id` that outlives the set it came from. */
static int copy_def(struct ctx *ctx, struct engine *e, struct engine_app *app,
                    int64_t id, struct index_def *out)
{
    const struct index_set *set;
    int rc = index_set_ref(ctx, e, app->project, &set);
    struct buf b = BUF_IN(ctx->arena);

    if (rc)
        return rc;
    rc = ERR_NOT_FOUND;
    for (size_t i = 0; i < set->n && rc; i++) {
        if (set->defs[i].id != id)
            continue;
        *out = (struct index_def){.id = id, .state = set->defs[i].state};
        index_def_write(&b, &set->defs[i]);
        rc = index_def_parse(ctx->arena, buf_view(&b), out) ? 0 : ERR_CORRUPT;
    }
    index_set_unref(set);
    return rc;
}

/*
 * A writer that did not know the index yet may have replaced a value whose row
 * another, who did, had just written.  Such writers are gone by now; what rows
 * there are is taken away before they are made from the entities.
 */
static int clear(struct ctx *ctx, struct engine *e, struct engine_app *app,
                 const struct index_def *def)
{
    struct index_work unseen = {.app = app, .id = def->id};

    return remove_rows(ctx, e, app, def, &unseen);
}

static int finish_build(struct ctx *ctx, struct engine *e,
                        struct engine_app *app, const struct index_def *def,
                        struct index_work *work)
{
    int rc = clear(ctx, e, app, def);

    if (rc == 0)
        rc = build(ctx, e, app, def, work);
    if (rc == ERR_EXHAUSTED) {
        log_error(ctx, "engine.index.error", "index", log_int(def->id), "kind",
                  log_bytes(def->kind), "why",
                  "an entity has too many rows for it");
        return index_set_state(ctx, e, app, def, INDEX_ERROR);
    }
    if (rc == 0)
        rc = index_set_state(ctx, e, app, def, INDEX_READ_WRITE);
    if (rc == 0)
        log_info(ctx, "engine.index.built", "index", log_int(def->id), "kind",
                 log_bytes(def->kind));
    return rc;
}

static int finish_removal(struct ctx *ctx, struct engine *e,
                          struct engine_app *app, const struct index_def *def,
                          struct index_work *work)
{
    int rc = remove_rows(ctx, e, app, def, work);

    if (rc == 0)
        rc = forget_def(ctx, e, app, def->id);
    if (rc == 0)
        log_info(ctx, "engine.index.removed", "index", log_int(def->id), "kind",
                 log_bytes(def->kind), "rows",
                 log_int(atomic_load(&work->done)));
    return rc;
}

static int finish(struct ctx *ctx, struct engine *e, struct engine_app *app,
                  const struct index_def *def)
{
    struct index_work work = {.app = app, .id = def->id};
    int rc = index_set_settle(ctx, e, app);

    if (rc)
        return rc;
    index_work_begin(e, &work);
    rc = def->state == INDEX_WRITE_ONLY
             ? finish_build(ctx, e, app, def, &work)
             : finish_removal(ctx, e, app, def, &work);
    index_work_end(e, &work);
    return rc;
}

int index_finish(struct ctx *ctx, struct engine *e, struct engine_app *app,
                 int64_t id)
{
    struct ctx own = *ctx;
    struct index_def def;
    int rc;

    own.app = app->project;
    rc = copy_def(&own, e, app, id, &def);
    if (rc == 0 && def.state != INDEX_WRITE_ONLY && def.state != INDEX_DELETED)
        return 0;
    if (rc == 0)
        rc = finish(&own, e, app, &def);
    ctx->err = own.err;
    ctx->wire_arena = own.wire_arena;
    if ((rc == ERR_CONFLICT || rc == ERR_NOT_FOUND) && !own.err.code)
        return 0; /* someone else finished it meanwhile */
    return rc;
}

static int finish_app(struct ctx *ctx, struct engine *e, struct engine_app *app)
{
    const struct index_set *set;
    int64_t ids[INDEX_DEFS_MAX * 2];
    size_t n = 0;
    int rc = index_set_ref(ctx, e, app->project, &set);

    if (rc)
        return rc;
    for (size_t i = 0; i < set->n && n < INDEX_DEFS_MAX * 2; i++)
        ids[n++] = set->defs[i].id;
    index_set_unref(set);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = index_finish(ctx, e, app, ids[i]);
    return rc;
}

/*
 * The row that says "look at this app" goes only when nothing is unfinished,
 * while no definition can be added.
 */
static int clear_todo(struct ctx *ctx, struct engine *e, struct engine_app *app)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    const struct index_set *set;
    bool done = true;
    int rc;

    lock_take(&e->change_lock);
    rc = index_set_reload(ctx, e, app);
    if (rc == 0)
        rc = index_set_ref(ctx, e, app->project, &set);
    if (rc == 0) {
        for (size_t i = 0; i < set->n; i++)
            done &= set->defs[i].state == INDEX_READ_WRITE ||
                    set->defs[i].state == INDEX_ERROR;
        index_set_unref(set);
        storage_batch_delete(&b, index_todo_key(ctx->arena, app->project));
        if (done)
            rc = storage_commit(ctx, e->storage, &b, NULL);
    }
    lock_drop(&e->change_lock);
    return rc;
}

int index_finish_all(struct ctx *ctx, struct engine *e)
{
    struct storage_key any = index_todo_key(ctx->arena, BYTES_NONE);
    struct storage_range range = storage_prefix(ctx->arena, any.row);
    struct storage_page page = {0};
    int rc = storage_scan(ctx, e->storage, any.partition, &range,
                          STORAGE_FORWARD, STORAGE_PAGE_ROWS, &page);

    for (size_t i = 0; i < page.n && rc == 0; i++) {
        struct engine_app *app =
            engine_app(e, bytes_from(page.rows[i].row, any.row.n));

        rc = finish_app(ctx, e, app);
        if (rc == 0)
            rc = clear_todo(ctx, e, app);
    }
    return rc;
}
