/*
 * stats - the walk over the entities of an app, adding up.
 *
 * Index rows are computed from the entity, not read: they are functions of it.
 * A walk is not of one moment; each entity is counted as it was when the walk
 * came by.
 */
#include "engine/stats.h"

#include "engine/stats_int.h"
#include "engine/value.h"

#include <inttypes.h>
#include <stdlib.h>

bool stats_is_kind(struct bytes kind)
{
    return bytes_starts(kind, BYTES_LIT(STATS_KIND_PREFIX));
}

struct counting {
    struct job *job;
    struct engine *engine;
    struct engine_app *app;
    struct stats_table *table;
    const struct index_set *indexes; /* of the page being counted */
    struct bytes space;
    int64_t entities; /* so far */
};

/* ---- types of properties, in Google's words ---- */

static const struct {
    int meaning;
    const char *name;
} meanings[] = {
    {1, "Category"},     {2, "Link"},
    {7, "Date/Time"},    {8, "Email"},
    {9, "GeoPt"},        {10, "IM"},
    {11, "PhoneNumber"}, {12, "PostalAddress"},
    {13, "Rating"},      {14, "Blob"},
    {15, "Text"},        {16, "ShortBlob"},
    {17, "BlobKey"},     {19, "EmbeddedEntity"},
    {24, "EmptyList"},
};

static const char *type_of(int meaning, enum value_tag tag)
{
    static const char *const tags[] = {
        [VALUE_NULL] = "NULL",    [VALUE_INT64] = "Integer",
        [VALUE_BOOL] = "Boolean", [VALUE_STRING] = "String",
        [VALUE_DOUBLE] = "Float", [VALUE_POINT] = "GeoPt",
        [VALUE_USER] = "User",    [VALUE_REFERENCE] = "Key",
    };

    if (tag != VALUE_NULL || meaning == MEANING_EMPTY_LIST) {
        for (size_t i = 0; i < sizeof(meanings) / sizeof(*meanings); i++) {
            if (meanings[i].meaning == meaning)
                return meanings[i].name;
        }
    }
    return tags[tag];
}

/* ---- figures to where they belong ---- */

static void sum(struct stats_figures *to, const struct stats_figures *add)
{
    if (!to)
        return;
    to->count += add->count;
    to->entity_bytes += add->entity_bytes;
    to->builtin_index_bytes += add->builtin_index_bytes;
    to->builtin_index_count += add->builtin_index_count;
    to->composite_index_bytes += add->composite_index_bytes;
    to->composite_index_count += add->composite_index_count;
}

/* To the entry of all namespaces, and to that of this one. */
static void account(struct counting *c, struct stats_entry want,
                    const struct stats_figures *f)
{
    want.in_space = false;
    if (want.id != STATS_NAMESPACE_ROW)
        want.space = BYTES_NONE;
    sum(stats_entry(c->table, &want), f);
    if (!stats_rows[want.id].space_name)
        return;
    want.in_space = true;
    want.space = c->space;
    sum(stats_entry(c->table, &want), f);
}

static void account_entity(struct counting *c, const struct key *key,
                           const struct stats_figures *f)
{
    struct stats_figures bare = {.count = 1, .entity_bytes = f->entity_bytes};

    account(c, (struct stats_entry){.id = STATS_TOTAL_ROW}, f);
    account(c,
            (struct stats_entry){.id = STATS_NAMESPACE_ROW, .space = c->space},
            f);
    account(c, (struct stats_entry){.id = STATS_KIND_ROW, .kind = key->kind},
            f);
    account(c,
            (struct stats_entry){.id = key->depth == 1 ? STATS_ROOT_ROW
                                                       : STATS_NOT_ROOT_ROW,
                                 .kind = key->kind},
            &bare);
}

static void account_property(struct counting *c, const struct key *key,
                             struct bytes name, const char *type,
                             const struct stats_figures *f)
{
    static const enum stats_id ids[] = {STATS_TYPE_ROW, STATS_TYPE_KIND_ROW,
                                        STATS_NAME_KIND_ROW,
                                        STATS_TYPE_NAME_KIND_ROW};

    for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
        unsigned fields = stats_rows[ids[i]].fields;

        account(c,
                (struct stats_entry){
                    .id = ids[i],
                    .kind = fields & STATS_KIND ? key->kind : BYTES_NONE,
                    .name = fields & STATS_NAME ? name : BYTES_NONE,
                    .type = fields & STATS_TYPE ? bytes_str(type) : BYTES_NONE,
                },
                f);
    }
}

/* ---- one entity ---- */

/* The types that values of a property have, to find those of index rows. */
struct typed {
    struct bytes name;
    enum value_tag tag;
    const char *type;
};

static int typed_cmp(const void *x, const void *y)
{
    const struct typed *a = x, *b = y;
    int d = bytes_cmp(a->name, b->name);

    return d ? d : (a->tag > b->tag) - (a->tag < b->tag);
}

static size_t count_properties(struct bytes entity)
{
    struct entity_walk walk = ENTITY_WALK(entity);
    struct entity_prop p;
    size_t n = 0;

    while (entity_next(&walk, &p))
        n++;
    return n;
}

/* Every value counts for its property; *types is sorted. */
static size_t properties(struct ctx *ctx, struct counting *c,
                         const struct key *key, struct bytes entity,
                         struct typed **types)
{
    struct typed *all =
        ARENA_ARRAY(ctx->arena, struct typed, count_properties(entity) + 1);
    struct entity_walk walk = ENTITY_WALK(entity);
    struct entity_prop p;
    struct value v;
    size_t n = 0;

    while (entity_next(&walk, &p)) {
        struct stats_figures f = {.count = 1,
                                  .entity_bytes = (int64_t)p.whole.n};

        if (!value_read(p.value, &v))
            continue;
        all[n] = (struct typed){p.name, v.tag, type_of(p.meaning, v.tag)};
        account_property(c, key, p.name, all[n].type, &f);
        n += p.indexed;
    }
    if (n > 1)
        qsort(all, n, sizeof(*all), typed_cmp);
    *types = all;
    return n;
}

static void property_row(struct ctx *ctx, struct counting *c,
                         const struct key *key, const struct index_row *row,
                         const struct typed *types, size_t n)
{
    struct bytes rest = row->key.row, name;
    struct stats_figures f = {
        .builtin_index_bytes = (int64_t)(row->key.row.n + row->value.n),
        .builtin_index_count = 1,
    };
    const struct typed *t;
    struct typed want = {0};

    if (!key_take_escaped(ctx->arena, &rest, &name) ||
        !key_take_escaped(ctx->arena, &rest, &name))
        return;
    want.name = name;
    want.tag = value_tag(rest);
    t = n ? bsearch(&want, types, n, sizeof(*types), typed_cmp) : NULL;
    account_property(c, key, name, t ? t->type : type_of(0, want.tag), &f);
}

static void composite_row(struct counting *c, const struct key *key,
                          const struct index_row *row)
{
    struct stats_figures f = {
        .count = 1,
        .composite_index_bytes = (int64_t)(row->key.row.n + row->value.n),
    };

    account(c,
            (struct stats_entry){
                .id = STATS_INDEX_ROW,
                .kind = key->kind,
                .index = (int64_t)get_be64(row->key.row.p),
            },
            &f);
}

static void index_row(struct ctx *ctx, struct counting *c,
                      const struct key *key, const struct index_row *row,
                      const struct typed *types, size_t n,
                      struct stats_figures *sums)
{
    struct bytes partition = row->key.partition;
    int64_t bytes = (int64_t)(row->key.row.n + row->value.n);
    uint8_t table = bytes_u8(partition)[partition.n - 1];

    if (table == KEY_COMPOSITES) {
        composite_row(c, key, row);
        sums->composite_index_bytes += bytes;
        sums->composite_index_count++;
        return;
    }
    if (table == KEY_PROPERTIES && !index_row_hidden(row->value))
        property_row(ctx, c, key, row, types, n);
    sums->builtin_index_bytes += bytes;
    sums->builtin_index_count++;
}

/* An entity that cannot be read is verify's business. */
static int count_entity(struct ctx *ctx, struct counting *c,
                        const struct storage_row *row)
{
    struct stats_figures f = {
        .count = 1,
        .entity_bytes = (int64_t)(row->row.n + row->value.n),
    };
    struct index_rows rows;
    struct entity_row er;
    struct bytes reference;
    struct typed *types;
    struct key key;
    size_t n;

    if (!entity_row_read(row->value, &er) || !entity_key(er.entity, &reference))
        return 0;
    if (key_parse(ctx, reference, &key) != 0 || stats_is_kind(key.kind) ||
        index_rows_stored(ctx, c->indexes, &key, er.entity, &rows) != 0) {
        ctx_err_clear(ctx);
        return 0;
    }
    n = properties(ctx, c, &key, er.entity, &types);
    for (size_t i = 0; i < rows.n; i++)
        index_row(ctx, c, &key, &rows.rows[i], types, n, &f);
    account_entity(c, &key, &f);
    c->entities++;
    return 0;
}

/* ---- the walk ---- */

static int count_page(struct ctx *ctx, struct counting *c,
                      const struct storage_page *page)
{
    struct arena arena = ARENA_INIT;
    struct ctx one = *ctx;
    int rc = index_set_ref(ctx, c->engine, c->app->project, &c->indexes);

    if (rc)
        return rc;
    one.arena = &arena;
    one.wire_arena = NULL;
    for (size_t i = 0; i < page->n && rc == 0; i++) {
        rc = count_entity(&one, c, &page->rows[i]);
        arena_reset(&arena);
        one.wire_arena = NULL;
    }
    index_set_unref(c->indexes);
    arena_release(&arena);
    return rc;
}

static int count_step(struct ctx *ctx, struct counting *c,
                      struct bytes partition, struct buf *last, bool *more)
{
    enum { PAGE_ROWS = 500 };
    struct storage_range range = STORAGE_ALL;
    struct storage_page page;
    int rc;

    if (last->n)
        range = storage_range_after(ctx->arena, &range, STORAGE_FORWARD,
                                    buf_view(last));
    rc = storage_scan(ctx, c->engine->storage, partition, &range,
                      STORAGE_FORWARD, PAGE_ROWS, &page);
    *more = rc == 0 && page.more && page.n;
    if (rc || page.n == 0)
        return rc;
    buf_clear(last);
    buf_add(last, page.rows[page.n - 1].row);
    return count_page(ctx, c, &page);
}

static int count_space(struct ctx *ctx, struct counting *c, struct bytes space)
{
    struct bytes partition =
        key_partition(ctx->arena, c->app->project, space, KEY_ENTITIES);
    struct buf last = {0};
    bool more = true;
    int rc = 0;

    c->space = space;
    while (rc == 0 && more) {
        struct arena arena = ARENA_INIT;
        struct ctx page = *ctx;

        page.arena = &arena;
        page.wire_arena = NULL;
        job_say(c->job, "Counting: %" PRId64 " entities so far", c->entities);
        rc = job_stopped(c->job)
                 ? ERR_CANCELLED
                 : count_step(&page, c, partition, &last, &more);
        if (rc && page.err.code)
            ctx_err(ctx, (enum err_code)rc, "%s", ctx_err_text(&page, rc));
        arena_release(&arena);
    }
    buf_release(&last);
    return rc;
}

static int count_spaces(struct ctx *ctx, struct counting *c)
{
    struct bytes *spaces;
    size_t n;
    int rc = app_spaces(ctx, c->engine, c->app->project, &spaces, &n);

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = count_space(ctx, c, spaces[i]);
    return rc;
}

int job_stats(struct ctx *ctx, struct job *job)
{
    struct counting c = {
        .job = job,
        .engine = job->engine,
        .app = engine_app(job->engine, job->spec.app),
        .table = stats_table_new(STATS_ENTITIES_MAX),
    };
    int rc;

    /* There is a total of nothing, too. */
    stats_entry(c.table, &(struct stats_entry){.id = STATS_TOTAL_ROW});
    rc = count_spaces(ctx, &c);
    if (rc == 0) {
        job_say(job, "Writing %zu statistics", stats_count(c.table));
        rc = stats_write(ctx, job->engine, c.app, c.table);
    }
    stats_table_free(c.table);
    return rc;
}
