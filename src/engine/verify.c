/*
 * verify - the run: definitions, namespaces, their tables, counters of ids.
 */
#include "engine/verify_int.h"

#include <inttypes.h>

enum { PAGE_ROWS = 500 };

int verify_mend(struct ctx *ctx, struct verify *v, struct storage_batch *b,
                enum verify_fault fault, const char *where)
{
    int rc = 0;

    if (v->repair)
        rc = storage_commit(ctx, v->engine->storage, b, NULL);
    if (rc == 0)
        verify_note(v, fault, v->repair, where);
    return rc;
}

static int64_t faults(const struct verify_report *r)
{
    int64_t n = 0;

    for (int i = 0; i < VERIFY_FAULTS; i++)
        n += r->found[i];
    return n;
}

static void tell(struct verify *v, const char *doing)
{
    struct verify_report *r = v->report;

    job_say(v->job,
            "Checking the %s of namespace \"%.*s\": %" PRId64
            " entities, %" PRId64 " index rows, %" PRId64 " faults so far",
            doing, BYTES_FMT(v->space), r->entities, r->rows, faults(r));
}

/* ---- a walk over a partition ---- */

typedef int row_fn(struct ctx *ctx, struct verify *v,
                   const struct storage_row *row);

/* A story told in an arena that ends is told again in ours. */
static int pass_on(struct ctx *ctx, const struct ctx *inner, int rc)
{
    if (rc && inner->err.code)
        ctx_err(ctx, (enum err_code)rc, "%s", ctx_err_text(inner, rc));
    return rc;
}

/* Each row in an arena of its own: an entity and its rows may be large. */
static int each_row(struct ctx *ctx, struct verify *v,
                    const struct storage_page *page, row_fn *fn)
{
    struct arena arena = ARENA_INIT;
    struct ctx one = *ctx;
    int rc = 0;

    one.arena = &arena;
    one.wire_arena = NULL;
    for (size_t i = 0; i < page->n && rc == 0; i++) {
        rc = pass_on(ctx, &one, fn(&one, v, &page->rows[i]));
        ctx_err_clear(&one);
        arena_reset(&arena);
        one.wire_arena = NULL;
    }
    arena_release(&arena);
    return rc;
}

static int walk_page(struct ctx *ctx, struct verify *v, struct bytes partition,
                     struct bytes prefix, struct buf *last, row_fn *fn,
                     bool *more)
{
    struct storage_range range = storage_prefix(ctx->arena, prefix);
    struct storage_page page;
    int rc;

    if (last->n)
        range = storage_range_after(ctx->arena, &range, STORAGE_FORWARD,
                                    buf_view(last));
    rc = storage_scan(ctx, v->engine->storage, partition, &range,
                      STORAGE_FORWARD, PAGE_ROWS, &page);
    *more = rc == 0 && page.more && page.n;
    if (rc || page.n == 0)
        return rc;
    buf_clear(last);
    buf_add(last, page.rows[page.n - 1].row);
    return each_row(ctx, v, &page, fn);
}

static int walk(struct ctx *ctx, struct verify *v, struct bytes partition,
                struct bytes prefix, const char *doing, row_fn *fn)
{
    struct buf last = {0};
    bool more = true;
    int rc = 0;

    while (rc == 0 && more) {
        struct arena arena = ARENA_INIT;
        struct ctx page = *ctx;

        page.arena = &arena;
        page.wire_arena = NULL;
        tell(v, doing);
        if (job_stopped(v->job))
            rc = ERR_CANCELLED;
        else
            rc = pass_on(
                ctx, &page,
                walk_page(&page, v, partition, prefix, &last, fn, &more));
        arena_release(&arena);
    }
    buf_release(&last);
    return rc;
}

/* ---- groups ---- */

/* A version that nobody can have handed out.  Another server's reserve may be
 * ahead of ours, but not of the store's row. */
static int from_the_future(struct ctx *ctx, struct verify *v, int64_t version,
                           bool *out)
{
    int64_t limit = atomic_load(&v->engine->versions.limit);
    int rc = 0;

    if (version >= limit)
        rc = version_limit(ctx, v->engine, &limit);
    *out = version >= limit;
    return rc;
}

static int group_row(struct ctx *ctx, struct verify *v,
                     const struct storage_row *row)
{
    struct storage_key key = {v->groups, row->row};
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    bool path_ok = row->row.n && key_path_first(row->row) == row->row.n;
    uint8_t value[8];
    int64_t version;
    bool bad = !path_ok || row->value.n != 8;
    int rc = 0;

    if (!bad)
        rc = from_the_future(ctx, v, (int64_t)get_be64(row->value.p), &bad);
    if (rc || !bad)
        return rc;
    storage_batch_require(&b, key, row->value);
    if (path_ok) {
        rc = version_next(ctx, v->engine, &version);
        if (rc)
            return rc;
        put_be64(value, (uint64_t)version);
        storage_batch_put(&b, key, BYTES(value, 8));
    } else {
        storage_batch_delete(&b, key);
    }
    rc = verify_mend(ctx, v, &b, VERIFY_BAD_GROUP,
                     verify_where(ctx->arena, v, "groups",
                                  verify_path_text(ctx->arena, row->row)));
    return rc == ERR_CONFLICT ? 0 : rc; /* a write has put a good one */
}

/* ---- a namespace ---- */

static const struct table {
    enum key_table table;
    const char *name;
    row_fn *fn;
} tables[] = {
    /* Entities first: what does not decode is out of the way then. */
    {KEY_ENTITIES, "entities", verify_entity},
    {KEY_KINDS, "kinds", verify_kind_row},
    {KEY_PROPERTIES, "properties", verify_property_row},
    {KEY_COMPOSITES, "composite indexes", verify_composite_row},
    {KEY_GROUPS, "groups", group_row},
};

static int verify_space(struct ctx *ctx, struct verify *v, struct bytes space)
{
    struct bytes project = v->app->project;
    int rc = 0;

    v->space = space;
    v->space_bad = false;
    buf_clear(&v->group_bad);
    v->entities = key_partition(ctx->arena, project, space, KEY_ENTITIES);
    v->groups = key_partition_of(ctx->arena, v->entities, KEY_GROUPS);
    for (size_t i = 0; i < sizeof(tables) / sizeof(*tables) && rc == 0; i++)
        rc = walk(ctx, v,
                  key_partition_of(ctx->arena, v->entities, tables[i].table),
                  BYTES_NONE, tables[i].name, tables[i].fn);
    v->space = BYTES_NONE;
    return rc;
}

/* A row of KEY_SPACES: one that does not decode names no namespace.  That of
 * the default one has had its turn. */
static int space_row(struct ctx *ctx, struct verify *v,
                     const struct storage_row *row)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct bytes rest = row->row, space;
    struct storage_key key =
        app_space_key(ctx->arena, v->app->project, BYTES_NONE);
    int rc;

    key.row = row->row;
    if (key_take_escaped(ctx->arena, &rest, &space) && rest.n == 0 &&
        space.n <= KEY_SPACE_MAX)
        return space.n ? verify_space(ctx, v, space) : 0;
    storage_batch_require(&b, key, row->value);
    storage_batch_delete(&b, key);
    rc = verify_mend(ctx, v, &b, VERIFY_BAD_NAMESPACE,
                     verify_where(ctx->arena, v, "namespaces",
                                  verify_bytes_text(ctx->arena, row->row)));
    return rc == ERR_CONFLICT ? 0 : rc;
}

/* ---- definitions ---- */

static int definition_row(struct ctx *ctx, struct verify *v,
                          const struct storage_row *row)
{
    struct storage_key key = {v->app->meta, row->row};
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct index_def def;
    int rc;

    if (index_def_row_read(ctx->arena, row->value, &def) &&
        bytes_eq(index_def_key(ctx->arena, v->app, def.id).row, row->row))
        return 0;
    v->definitions_bad = true;
    storage_batch_require(&b, key, row->value);
    storage_batch_delete(&b, key);
    lock_take(&v->engine->change_lock);
    rc = verify_mend(ctx, v, &b, VERIFY_BAD_DEFINITION,
                     verify_where(ctx->arena, v, "index definitions",
                                  verify_bytes_text(ctx->arena, row->row)));
    lock_drop(&v->engine->change_lock);
    return rc == ERR_CONFLICT ? 0 : rc;
}

static int verify_definitions(struct ctx *ctx, struct verify *v)
{
    int rc = walk(ctx, v, v->app->meta, index_def_prefix(), "index definitions",
                  definition_row);

    if (rc || !v->definitions_bad || !v->repair)
        return rc;
    v->definitions_bad = false;
    lock_take(&v->engine->change_lock);
    rc = index_set_reload(ctx, v->engine, v->app);
    lock_drop(&v->engine->change_lock);
    return rc ? rc : index_set_settle(ctx, v->engine, v->app);
}

/* ---- ids ---- */

static int verify_ids(struct ctx *ctx, struct verify *v)
{
    const char *bad[2] = {NULL, NULL};
    int rc = ids_mend(ctx, v->engine, v->app, v->top_ids, v->repair, bad);

    for (int i = 0; i < 2 && rc == 0; i++) {
        if (bad[i])
            verify_note(v, VERIFY_BAD_IDS, v->repair,
                        verify_where(ctx->arena, v, "counters", bad[i]));
    }
    return rc;
}

/* ---- the run ---- */

int job_verify(struct ctx *ctx, struct job *job)
{
    struct verify v = {
        .job = job,
        .engine = job->engine,
        .app = engine_app(job->engine, job->spec.app),
        .report = &job->report,
        .repair = job->spec.repair,
    };
    int rc = verify_definitions(ctx, &v);

    if (rc == 0 && v.definitions_bad)
        return 0; /* the report says what to mend first */
    if (rc == 0)
        rc = verify_space(ctx, &v, BYTES_NONE);
    if (rc == 0)
        rc = walk(
            ctx, &v,
            app_space_key(ctx->arena, v.app->project, BYTES_NONE).partition,
            BYTES_NONE, "namespaces", space_row);
    if (rc == 0)
        rc = verify_ids(ctx, &v);
    buf_release(&v.group_bad);
    return rc;
}
