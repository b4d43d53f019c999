/*
 * stats_write - figures to entities, all of a run in one commit, and back.
 */
#include "engine/stats_int.h"
#include "engine/value.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- an entry as an entity ---- */

enum {
    ENTITY_KEY = 13,
    ENTITY_PROPERTY = 14,
    ENTITY_GROUP = 16,
    MEANING_WHEN = 7,
};

static void put_property(struct buf *out, const char *name, int meaning,
                         struct bytes value)
{
    struct buf p = BUF_IN(out->arena);

    if (meaning)
        pb_put_u64(&p, 1, (uint64_t)meaning);
    pb_put_bytes(&p, 3, bytes_str(name));
    pb_put_u64(&p, 4, 0);
    pb_put_bytes(&p, 5, value);
    pb_put_bytes(out, ENTITY_PROPERTY, buf_view(&p));
}

static void put_int(struct buf *out, const char *name, int meaning, int64_t v)
{
    struct buf value = BUF_IN(out->arena);

    pb_put_u64(&value, VALUE_INT64, (uint64_t)v);
    put_property(out, name, meaning, buf_view(&value));
}

static void put_text(struct buf *out, const char *name, struct bytes v)
{
    struct buf value = BUF_IN(out->arena);

    pb_put_bytes(&value, VALUE_STRING, v);
    put_property(out, name, 0, buf_view(&value));
}

/* The words of an entry, one behind the other, as the name of its key. */
static struct bytes key_name(struct arena *a, const struct stats_entry *e)
{
    enum { HASH = 16 };
    struct buf out = BUF_IN(a);
    const struct bytes words[] = {e->type, e->name, e->kind};

    if (e->id == STATS_TOTAL_ROW)
        return BYTES_LIT("total_entity_usage");
    if (e->id == STATS_NAMESPACE_ROW)
        return e->space;
    for (size_t i = 0; i < 3; i++) {
        if (words[i].n && out.n)
            buf_add_u8(&out, '_');
        buf_add(&out, words[i]);
    }
    if (e->id == STATS_INDEX_ROW)
        buf_printf(&out, "_%" PRId64, e->index);
    if (out.n > KEY_NAME_MAX) { /* the beginning may end within a letter */
        uint64_t hash = bytes_hash(buf_view(&out));

        buf_clear(&out);
        buf_printf(&out, "%0*" PRIx64, HASH, hash);
    }
    return buf_view(&out);
}

static struct bytes key_reference(struct arena *a, struct bytes project,
                                  const struct stats_entry *e)
{
    const struct stats_row *row = &stats_rows[e->id];
    struct bytes name = key_name(a, e);
    struct buf path = BUF_IN(a), out = BUF_IN(a);

    /* The default namespace has no name: id 1, as __namespace__ has it. */
    key_path_add(
        &path,
        bytes_str(arena_printf(a, STATS_KIND_PREFIX "%s__",
                               e->in_space ? row->space_name : row->name)),
        1, name.n ? name : BYTES_NONE);
    key_write_reference(&out, project, e->in_space ? e->space : BYTES_NONE,
                        buf_view(&path));
    return buf_view(&out);
}

static void put_figures(struct buf *out, const struct stats_entry *e,
                        int64_t timestamp)
{
    const struct stats_figures *f = &e->figures;
    unsigned fields = stats_rows[e->id].fields;

    put_int(out, "bytes", 0,
            f->entity_bytes + f->builtin_index_bytes +
                f->composite_index_bytes);
    put_int(out, "count", 0, f->count);
    put_int(out, "timestamp", MEANING_WHEN, timestamp);
    if (!(fields & STATS_INDEX))
        put_int(out, "entity_bytes", 0, f->entity_bytes);
    if (fields & STATS_BUILTIN) {
        put_int(out, "builtin_index_bytes", 0, f->builtin_index_bytes);
        put_int(out, "builtin_index_count", 0, f->builtin_index_count);
    }
    if (fields & STATS_COMPOSITE) {
        put_int(out, "composite_index_bytes", 0, f->composite_index_bytes);
        put_int(out, "composite_index_count", 0, f->composite_index_count);
    }
}

static void put_words(struct buf *out, const struct stats_entry *e)
{
    unsigned fields = stats_rows[e->id].fields;

    if (fields & STATS_SPACE)
        put_text(out, "subject_namespace", e->space);
    if (fields & STATS_KIND)
        put_text(out, "kind_name", e->kind);
    if (fields & STATS_TYPE)
        put_text(out, "property_type", e->type);
    if (fields & STATS_NAME)
        put_text(out, "property_name", e->name);
    if (fields & STATS_INDEX)
        put_int(out, "index_id", 0, e->index);
}

int stats_entity(struct ctx *ctx, struct bytes project, int64_t timestamp,
                 const struct stats_entry *e, struct engine_mutation *out)
{
    struct buf bare = BUF_IN(ctx->arena), whole = BUF_IN(ctx->arena);
    struct bytes reference = key_reference(ctx->arena, project, e);
    int rc = key_parse(ctx, reference, &out->key);

    if (rc)
        return rc;
    pb_put_bytes(&bare, ENTITY_KEY, reference);
    pb_put_bytes(&bare, ENTITY_GROUP, BYTES("", 0));
    put_figures(&bare, e, timestamp);
    put_words(&bare, e);
    entity_rewrite(&whole, ctx->arena, buf_view(&bare), &out->key);
    out->entity = buf_view(&whole);
    return 0;
}

/* ---- what the last run has left ---- */

struct writing {
    struct ctx *ctx;
    struct engine *engine;
    struct engine_app *app;
    int64_t timestamp;
    struct engine_mutation *m; /* the new ones, then deletes of old ones */
    size_t n, cap;
};

static struct engine_mutation *next_mutation(struct writing *w)
{
    if (w->n == w->cap) {
        size_t more = w->cap ? 2 * w->cap : 256;

        w->m = arena_grow(w->ctx->arena, w->m, w->cap * sizeof(*w->m),
                          more * sizeof(*w->m));
        w->cap = more;
    }
    w->m[w->n] = (struct engine_mutation){0};
    return &w->m[w->n];
}

static int add_new(const struct stats_entry *e, void *arg)
{
    struct writing *w = arg;
    int rc = stats_entity(w->ctx, w->app->project, w->timestamp, e,
                          next_mutation(w));

    w->n += rc == 0;
    return rc;
}

static int add_old(struct ctx *ctx, struct writing *w,
                   const struct storage_row *row)
{
    struct engine_mutation *m = next_mutation(w);
    struct entity_row er;
    struct bytes reference;
    int rc;

    if (!entity_row_read(row->value, &er) || !entity_key(er.entity, &reference))
        return ctx_err(ctx, ERR_CORRUPT, "a statistics entity does not read");
    rc = key_parse(ctx, reference, &m->key);
    w->n += rc == 0;
    return rc;
}

/* Old ones of a namespace: their paths begin with the kind's first letters. */
static int add_old_of(struct ctx *ctx, struct writing *w, struct bytes space)
{
    struct bytes partition =
        key_partition(ctx->arena, w->app->project, space, KEY_ENTITIES);
    struct storage_range range =
        storage_prefix(ctx->arena, BYTES_LIT(STATS_KIND_PREFIX));
    struct storage_page page = {.more = true};
    int rc = 0;

    while (rc == 0 && page.more) {
        rc = storage_scan(ctx, w->engine->storage, partition, &range,
                          STORAGE_FORWARD, STORAGE_PAGE_ROWS, &page);
        for (size_t i = 0; i < page.n && rc == 0; i++)
            rc = add_old(ctx, w, &page.rows[i]);
        if (rc == 0 && page.more)
            range = storage_range_after(ctx->arena, &range, STORAGE_FORWARD,
                                        page.rows[page.n - 1].row);
    }
    return rc;
}

static int add_all_old(struct ctx *ctx, struct writing *w)
{
    struct bytes *spaces;
    size_t n;
    int rc = app_spaces(ctx, w->engine, w->app->project, &spaces, &n);

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = add_old_of(ctx, w, spaces[i]);
    return rc;
}

/* ---- one commit ---- */

static int plan_one(struct ctx *ctx, struct write_plan *plan,
                    struct engine_mutation *m, const struct storage_key *row,
                    const struct storage_value *old, int64_t version)
{
    bool changed;
    int rc = write_plan_add(ctx, plan, m, old, version, &changed);

    if (rc)
        return rc;
    storage_batch_require_same(&plan->batch, *row, old);
    if (changed)
        write_plan_group(ctx, plan, &m->key, version);
    return 0;
}

static int commit(struct ctx *ctx, struct writing *w,
                  struct engine_mutation **order, size_t n)
{
    struct write_plan plan = {
        .engine = w->engine,
        .batch = STORAGE_BATCH_IN(ctx->arena),
    };
    struct storage_key *rows = ARENA_ARRAY(ctx->arena, struct storage_key, n);
    struct storage_value *old =
        ARENA_ARRAY(ctx->arena, struct storage_value, n);
    int64_t version;
    int rc = version_next(ctx, w->engine, &version);

    if (rc == 0)
        rc = index_set_ref(ctx, w->engine, w->app->project, &plan.indexes);
    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++)
        rows[i] = write_entity_key(ctx->arena, &order[i]->key);
    rc = storage_get(ctx, w->engine->storage, rows, n, old);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = plan_one(ctx, &plan, order[i], &rows[i], &old[i], version);
    if (rc == 0)
        rc = storage_commit(ctx, w->engine->storage, &plan.batch, NULL);
    index_set_unref(plan.indexes);
    for (size_t i = 0; i < n && rc == 0; i++)
        write_plan_done(ctx, &plan, &order[i]->key);
    return rc;
}

/* Of a key that is old and new the new one counts: write_order() keeps the last
 * of several, so the old ones stand first. */
static int try_write(struct ctx *ctx, struct engine *e, struct engine_app *app,
                     const struct stats_table *t)
{
    struct writing w = {
        .ctx = ctx,
        .engine = e,
        .app = app,
        .timestamp = clock_wall(),
    };
    struct engine_mutation **order;
    int rc = add_all_old(ctx, &w);

    if (rc == 0)
        rc = stats_each(t, add_new, &w);
    if (rc)
        return rc;
    order = ARENA_ARRAY(ctx->arena, struct engine_mutation *, w.n);
    return commit(ctx, &w, order, write_order(w.m, w.n, order));
}

int stats_write(struct ctx *ctx, struct engine *e, struct engine_app *app,
                const struct stats_table *t)
{
    enum { TRIES = 10 };
    int rc = ERR_CONFLICT;

    for (int i = 0; i < TRIES && (rc == ERR_CONFLICT || rc == ERR_ABORTED);
         i++) {
        struct arena arena = ARENA_INIT;
        struct ctx one = *ctx;

        one.arena = &arena;
        one.wire_arena = NULL;
        rc = try_write(&one, e, app, t);
        if (rc && one.err.code && rc != ERR_ABORTED)
            ctx_err(ctx, (enum err_code)rc, "%s", ctx_err_text(&one, rc));
        arena_release(&arena);
    }
    return rc;
}

/* ---- reading back ---- */

static const struct {
    const char *name;
    size_t offset; /* in struct stats_figures */
} figure_names[] = {
#define F(field_)                                                              \
    {                                                                          \
#field_, offsetof(struct stats_figures, field_)                        \
    }
    F(count),
    F(entity_bytes),
    F(builtin_index_bytes),
    F(builtin_index_count),
    F(composite_index_bytes),
    F(composite_index_count),
#undef F
};

static void read_property(const struct entity_prop *p, struct stats_kind *out,
                          int64_t *timestamp)
{
    struct value v;

    if (!value_read(p->value, &v))
        return;
    if (bytes_eq_str(p->name, "kind_name"))
        out->kind = v.bytes;
    if (bytes_eq_str(p->name, "timestamp"))
        *timestamp = (int64_t)v.u64;
    for (size_t i = 0; i < sizeof(figure_names) / sizeof(*figure_names); i++) {
        if (bytes_eq_str(p->name, figure_names[i].name))
            memcpy((char *)&out->figures + figure_names[i].offset, &v.u64,
                   sizeof(v.u64));
    }
}

static bool read_row(struct bytes row, struct stats_kind *out,
                     int64_t *timestamp)
{
    struct entity_walk walk;
    struct entity_prop p;
    struct entity_row er;

    *out = (struct stats_kind){0};
    if (!entity_row_read(row, &er))
        return false;
    walk = (struct entity_walk)ENTITY_WALK(er.entity);
    while (entity_next(&walk, &p))
        read_property(&p, out, timestamp);
    return !walk.bad;
}

/* The rows of one statistics kind of all namespaces; at most one page, which
 * holds more than a run writes. */
static int scan_kind(struct ctx *ctx, struct engine *e, struct bytes app,
                     const char *kind, struct storage_page *page)
{
    struct buf prefix = BUF_IN(ctx->arena);
    struct storage_range range;

    key_put_escaped(&prefix, bytes_str(kind));
    range = storage_prefix(ctx->arena, buf_view(&prefix));
    return storage_scan(
        ctx, e->storage,
        key_partition(ctx->arena, app, BYTES_NONE, KEY_ENTITIES), &range,
        STORAGE_FORWARD, STORAGE_PAGE_ROWS, page);
}

int engine_stats_read(struct ctx *ctx, struct engine *e, struct bytes app,
                      struct stats_summary *out)
{
    struct storage_page page;
    struct stats_kind total;
    int rc = scan_kind(ctx, e, app, STATS_KIND_PREFIX "Total__", &page);

    *out = (struct stats_summary){0};
    if (rc || page.n == 0)
        return rc;
    if (!read_row(page.rows[0].value, &total, &out->timestamp))
        return ctx_err(ctx, ERR_CORRUPT, "a statistics entity does not read");
    out->total = total.figures;
    rc = scan_kind(ctx, e, app, STATS_KIND_PREFIX "Kind__", &page);
    if (rc)
        return rc;
    out->kinds = ARENA_ARRAY(ctx->arena, struct stats_kind, page.n);
    for (size_t i = 0; i < page.n; i++) {
        int64_t ignored;

        if (!read_row(page.rows[i].value, &out->kinds[out->n_kinds], &ignored))
            return ctx_err(ctx, ERR_CORRUPT,
                           "a statistics entity does not read");
        out->n_kinds++;
    }
    return 0;
}
