/*
 * app - the record of each app, its namespaces, and its end.
 *
 * Records live as long as the engine; what is deleted is rows, and what was
 * cached of them.
 */
#include "engine/engine_int.h"

/* ---- the apps the engine knows ---- */

static struct engine_app *app_new(struct engine *e, struct bytes project)
{
    struct engine_app *app = ARENA_NEW(&e->apps_arena, struct engine_app);

    app->project = arena_dup(&e->apps_arena, project);
    app->meta = key_partition(&e->apps_arena, project, BYTES_NONE, KEY_META);
    app->ids = (struct id_block){1, 1};
    lock_init(&app->ids_lock, LOCK_ENGINE_IDS);
    read_only_init(e, app);
    return app;
}

struct engine_app *engine_app(struct engine *e, struct bytes app)
{
    struct bytes project = key_project(app);
    struct engine_app **at, *found;

    lock_take(&e->index_lock);
    at = &e->apps[bytes_hash(project) % ENGINE_APP_BUCKETS];
    for (found = *at; found; found = found->next) {
        if (bytes_eq(found->project, project))
            break;
    }
    if (!found) {
        found = app_new(e, project);
        found->next = *at;
        *at = found;
    }
    lock_drop(&e->index_lock);
    return found;
}

/* ---- namespaces ---- */

struct storage_key app_space_key(struct arena *a, struct bytes app,
                                 struct bytes space)
{
    struct buf row = BUF_IN(a);

    key_put_escaped(&row, space);
    return (struct storage_key){key_partition(a, app, BYTES_NONE, KEY_SPACES),
                                buf_view(&row)};
}

static struct bytes *space_slot(struct engine_app *app, struct bytes space)
{
    return &app->spaces[bytes_hash(space) % APP_SPACES_KNOWN];
}

bool app_space_known(struct engine *e, struct engine_app *app,
                     struct bytes space)
{
    struct bytes *slot = space_slot(app, space);
    bool known;

    lock_take(&e->index_lock);
    known = slot->p && bytes_eq(*slot, space);
    lock_drop(&e->index_lock);
    return known;
}

/* A slot remembers the namespace used last; its room is allotted once. */
void app_space_learn(struct engine *e, struct engine_app *app,
                     struct bytes space)
{
    struct bytes *slot = space_slot(app, space);

    lock_take(&e->index_lock);
    if (!slot->p)
        slot->p = arena_alloc(&e->apps_arena, KEY_SPACE_MAX);
    if (space.n)
        memcpy((uint8_t *)(uintptr_t)slot->p, space.p, space.n);
    slot->n = space.n;
    lock_drop(&e->index_lock);
}

void app_forget(struct engine *e, struct engine_app *app)
{
    lock_take(&app->ids_lock);
    app->ids = (struct id_block){1, 1};
    app->ids_end = 0;
    lock_drop(&app->ids_lock);
    lock_take(&e->index_lock);
    memset(app->spaces, 0, sizeof(app->spaces));
    index_set_drop(app);
    lock_drop(&e->index_lock);
}

int app_spaces(struct ctx *ctx, struct engine *e, struct bytes app,
               struct bytes **out, size_t *n)
{
    struct bytes partition =
        app_space_key(ctx->arena, app, BYTES_NONE).partition;
    struct storage_range range = STORAGE_ALL;
    struct storage_page page;
    size_t cap = 0;
    int rc;

    *out = NULL;
    *n = 0;
    do {
        rc = storage_scan(ctx, e->storage, partition, &range, STORAGE_FORWARD,
                          STORAGE_PAGE_ROWS, &page);
        if (rc)
            return rc;
        *out = arena_grow(ctx->arena, *out, cap * sizeof(**out),
                          (*n + page.n) * sizeof(**out));
        cap = *n + page.n;
        for (size_t i = 0; i < page.n; i++) {
            struct bytes row = page.rows[i].row;

            if (!key_take_escaped(ctx->arena, &row, &(*out)[*n]))
                return ctx_err(ctx, ERR_CORRUPT, "a bad namespace row");
            ++*n;
        }
        if (page.more)
            range = storage_range_after(ctx->arena, &range, STORAGE_FORWARD,
                                        page.rows[page.n - 1].row);
    } while (page.more);
    return 0;
}

/* ---- removal ---- */

static const enum key_table space_tables[] = {
    KEY_ENTITIES,   KEY_KINDS,  KEY_PROPERTIES,
    KEY_COMPOSITES, KEY_GROUPS, KEY_DAMAGED,
};

static int delete_page(struct ctx *ctx, struct engine *e,
                       struct bytes partition, bool *more)
{
    enum { ROWS = 1000 };
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct storage_range all = STORAGE_ALL;
    struct storage_page page;
    int rc;

    rc = storage_scan(ctx, e->storage, partition, &all, STORAGE_FORWARD, ROWS,
                      &page);
    if (rc)
        return rc;
    for (size_t i = 0; i < page.n; i++)
        storage_batch_delete(&b,
                             (struct storage_key){partition, page.rows[i].row});
    *more = page.more;
    return page.n ? storage_commit(ctx, e->storage, &b, NULL) : 0;
}

static int delete_partition(struct ctx *ctx, struct engine *e,
                            struct bytes partition)
{
    bool more = true;
    int rc = 0;

    while (rc == 0 && more) {
        struct arena page_arena = ARENA_INIT;
        struct ctx page = *ctx;

        page.arena = &page_arena;
        page.wire_arena = NULL;
        rc = delete_page(&page, e, partition, &more);
        if (rc)
            ctx_err(ctx, (enum err_code)rc, "%s", ctx_err_text(&page, rc));
        arena_release(&page_arena);
    }
    return rc;
}

static int delete_space(struct ctx *ctx, struct engine *e, struct bytes app,
                        struct bytes space)
{
    int rc = 0;

    for (size_t i = 0;
         i < sizeof(space_tables) / sizeof(*space_tables) && rc == 0; i++)
        rc = delete_partition(
            ctx, e, key_partition(ctx->arena, app, space, space_tables[i]));
    return rc;
}

/* The namespaces' rows go last, so that a second run finds what is left. */
int engine_app_delete(struct ctx *ctx, struct engine *e, struct bytes app)
{
    struct engine_app *record = engine_app(e, app);
    struct bytes *spaces;
    size_t n;
    int rc = app_spaces(ctx, e, app, &spaces, &n);

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = delete_space(ctx, e, app, spaces[i]);
    if (rc == 0)
        rc = delete_partition(ctx, e, record->meta);
    if (rc == 0)
        rc = delete_partition(
            ctx, e, key_partition(ctx->arena, app, BYTES_NONE, KEY_SPACES));
    app_forget(e, record);
    return rc;
}
