#include "engine/index_admin.h"

#include "engine/engine_int.h"

enum { COUNT_PAGE = 1000 };

/* ---- the deployed index.yaml ---- */

static struct storage_key yaml_key(const struct engine_app *app)
{
    return (struct storage_key){app->meta, BYTES_LIT("index.yaml\0")};
}

int index_yaml_store(struct ctx *ctx, struct engine *e, struct bytes app,
                     struct bytes yaml)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);

    storage_batch_put(&b, yaml_key(engine_app(e, app)), yaml);
    return storage_commit(ctx, e->storage, &b, NULL);
}

/* What it names; *deployed is false when there is none. */
static int deployed_defs(struct ctx *ctx, struct engine *e,
                         struct engine_app *app, struct index_def **defs,
                         size_t *n, bool *deployed)
{
    struct storage_key key = yaml_key(app);
    struct storage_value value;
    int rc = storage_get(ctx, e->storage, &key, 1, &value);

    *defs = NULL;
    *n = 0;
    if (rc)
        return rc;
    *deployed = value.found;
    return value.found ? index_yaml_parse(ctx, value.value, defs, n) : 0;
}

static bool is_named(const struct index_def *defs, size_t n,
                     const struct index_def *def)
{
    for (size_t i = 0; i < n; i++) {
        if (index_def_same(&defs[i], def))
            return true;
    }
    return false;
}

/* ---- how far ---- */

void index_work_begin(struct engine *e, struct index_work *w)
{
    lock_take(&e->index_lock);
    w->next = e->works;
    e->works = w;
    lock_drop(&e->index_lock);
}

void index_work_end(struct engine *e, struct index_work *w)
{
    struct index_work **at;

    lock_take(&e->index_lock);
    for (at = &e->works; *at != w;)
        at = &(*at)->next;
    *at = w->next;
    lock_drop(&e->index_lock);
}

bool index_progress(struct engine *e, struct bytes app, int64_t id,
                    int64_t *done, int64_t *total)
{
    struct engine_app *record = engine_app(e, app);
    struct index_work *w;

    lock_take(&e->index_lock);
    for (w = e->works; w && (w->app != record || w->id != id);)
        w = w->next;
    *done = w ? atomic_load(&w->done) : 0;
    *total = w ? atomic_load(&w->total) : 0;
    lock_drop(&e->index_lock);
    return w != NULL;
}

/* ---- counting ---- */

static int count_page(struct ctx *ctx, struct engine *e, struct bytes partition,
                      struct storage_range *range, struct arena *keep,
                      size_t limit, size_t *n, bool *more)
{
    struct storage_page page;
    int rc = storage_scan(ctx, e->storage, partition, range, STORAGE_FORWARD,
                          limit, &page);

    if (rc)
        return rc;
    *n = page.n;
    *more = page.more;
    if (page.more)
        *range = storage_range_after(keep, range, STORAGE_FORWARD,
                                     page.rows[page.n - 1].row);
    return 0;
}

int index_count(struct ctx *ctx, struct engine *e, struct bytes partition,
                struct bytes prefix, int64_t most, int64_t *n)
{
    struct storage_range range = storage_prefix(ctx->arena, prefix);
    bool more = true;
    int rc = 0;

    while (rc == 0 && more && *n < most) {
        struct arena arena = ARENA_INIT;
        struct ctx page = *ctx;
        size_t got = 0;

        if (atomic_load(&e->stop))
            return ERR_CANCELLED;
        page.arena = &arena;
        page.wire_arena = NULL;
        rc = count_page(&page, e, partition, &range, ctx->arena, COUNT_PAGE,
                        &got, &more);
        *n += (int64_t)got;
        if (rc && page.err.code)
            ctx_err(ctx, (enum err_code)rc, "%s", ctx_err_text(&page, rc));
        arena_release(&arena);
    }
    return rc;
}

/* The rows of one index in all namespaces; *left is what the call may still
 * count. */
static int count_rows(struct ctx *ctx, struct engine *e, struct bytes app,
                      const struct bytes *spaces, size_t n_spaces,
                      struct index_status *s, int64_t *left)
{
    int64_t most = *left < INDEX_COUNT_MAX ? *left : INDEX_COUNT_MAX;
    uint8_t prefix[8];
    int rc = 0;

    put_be64(prefix, (uint64_t)s->def.id);
    for (size_t i = 0; i < n_spaces && rc == 0 && s->rows <= most; i++)
        rc = index_count(
            ctx, e, key_partition(ctx->arena, app, spaces[i], KEY_COMPOSITES),
            BYTES(prefix, 8), most + 1, &s->rows);
    if (s->rows > most) {
        s->rows = most;
        s->rows_more = true;
    }
    *left -= s->rows;
    return rc;
}

/* ---- the list ---- */

static int copy_set(struct ctx *ctx, struct engine *e, struct bytes app,
                    struct index_status **out, size_t *n)
{
    const struct index_set *set;
    int rc = index_set_ref(ctx, e, app, &set);

    if (rc)
        return rc;
    *n = set->n;
    *out = ARENA_ARRAY(ctx->arena, struct index_status, set->n + 1);
    for (size_t i = 0; i < set->n; i++)
        (*out)[i].def = index_def_copy(ctx->arena, &set->defs[i]);
    index_set_unref(set);
    return 0;
}

int index_list(struct ctx *ctx, struct engine *e, struct bytes app,
               struct index_status **out, size_t *n, bool *deployed)
{
    struct engine_app *record = engine_app(e, app);
    int64_t left = 10 * (int64_t)INDEX_COUNT_MAX;
    struct bytes *spaces = NULL;
    struct index_def *defs;
    size_t n_defs, n_spaces = 0;
    int rc = deployed_defs(ctx, e, record, &defs, &n_defs, deployed);

    if (rc == 0)
        rc = copy_set(ctx, e, app, out, n);
    if (rc == 0)
        rc = app_spaces(ctx, e, record->project, &spaces, &n_spaces);
    for (size_t i = 0; rc == 0 && i < *n; i++) {
        struct index_status *s = &(*out)[i];

        s->named =
            s->def.state != INDEX_DELETED && is_named(defs, n_defs, &s->def);
        index_progress(e, app, s->def.id, &s->done, &s->total);
        rc = count_rows(ctx, e, record->project, spaces, n_spaces, s, &left);
    }
    return rc;
}

/* ---- clearing away ---- */

/* Whether index `id` may go, by the deployed file as it is now. */
static bool may_go(const struct index_status *all, size_t n, int64_t id,
                   const struct index_def *defs, size_t n_defs)
{
    for (size_t i = 0; i < n; i++) {
        if (all[i].def.id == id)
            return all[i].def.state != INDEX_DELETED &&
                   !is_named(defs, n_defs, &all[i].def);
    }
    return false;
}

int index_vacuum(struct ctx *ctx, struct engine *e, struct bytes app,
                 const int64_t *ids, size_t n, size_t *deleted)
{
    struct index_status *all;
    struct index_def *defs;
    size_t n_defs, n_all;
    bool deployed = false;
    int rc =
        deployed_defs(ctx, e, engine_app(e, app), &defs, &n_defs, &deployed);

    *deleted = 0;
    if (rc == 0 && !deployed)
        return ctx_err(ctx, ERR_NOT_FOUND,
                       "no index.yaml of this project was ever deployed, so "
                       "nothing tells which indexes it needs");
    if (rc == 0)
        rc = copy_set(ctx, e, app, &all, &n_all);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (!may_go(all, n_all, ids[i], defs, n_defs))
            continue;
        rc = index_delete(ctx, e, app, ids[i]);
        *deleted += rc == 0;
        if (rc == ERR_NOT_FOUND)
            rc = 0;
    }
    return rc;
}
