/*
 * query_meta - the kinds that tell about the data: `__kind__`, `__namespace__`
 * and `__property__`.
 *
 * Nothing is stored for them: their rows are read out of the index rows by
 * jumping from one distinct prefix to the next, one short scan each.  They come
 * as the paths of their keys, in key order, so that everything else - cursors,
 * offsets, batches - is as for any other plan.
 */
#include "engine/plan.h"
#include "engine/value.h"

struct meta {
    struct ctx *ctx;
    struct storage *store;
    const struct plan *plan;
    const struct storage_range *range; /* of paths */
    size_t limit;
    struct plan_page *page;
    bool full; /* stop: the page is, or the range ends */
};

/* ---- what may be asked ---- */

static int refuse(struct ctx *ctx, const struct query *q, const char *before,
                  const char *after)
{
    return ctx_err(ctx, ERR_INVALID, "%s%.*s%s", before, BYTES_FMT(q->kind),
                   after);
}

static int check_shape(struct ctx *ctx, const struct query *q)
{
    if (q->has_txn)
        return refuse(ctx, q, "transactional queries on \"", "\" not allowed");
    for (size_t i = 0; i < q->n_filters; i++) {
        if (!bytes_eq(q->filters[i].name, query_key_name) ||
            q->filters[i].op == QUERY_EXISTS)
            return ctx_err(ctx, ERR_INVALID,
                           "Only comparison filters on __key__ supported");
    }
    for (size_t i = 0; i < q->n_orders; i++) {
        if (!bytes_eq(q->orders[i].name, query_key_name) || q->orders[i].desc)
            return ctx_err(ctx, ERR_INVALID,
                           "Only ascending order on __key__ supported");
    }
    return 0;
}

/* Take `kind`/name, or where `id` is not 0 also `kind`/id, off *path. */
static bool take_elem(struct arena *a, struct bytes *path, const char *kind,
                      int64_t id, struct bytes *name)
{
    struct key_elem e;

    if (!key_path_next(a, path, &e) || !bytes_eq_str(e.kind, kind))
        return false;
    *name = e.named ? e.name : BYTES("", 0);
    return e.named || (id && e.complete && e.id == id);
}

static bool is_kind_path(struct arena *a, struct bytes path)
{
    struct bytes name;

    return take_elem(a, &path, "__kind__", 0, &name) && path.n == 0;
}

static bool is_space_path(struct arena *a, struct bytes path)
{
    struct bytes name;

    return take_elem(a, &path, "__namespace__", 1, &name) && path.n == 0;
}

static bool is_property_path(struct arena *a, struct bytes path)
{
    struct bytes name;

    if (!take_elem(a, &path, "__kind__", 0, &name))
        return false;
    return path.n == 0 ||
           (take_elem(a, &path, "__property__", 0, &name) && path.n == 0);
}

static int check_paths(struct ctx *ctx, const struct query *q,
                       bool (*good)(struct arena *, struct bytes))
{
    for (size_t i = 0; i < q->n_filters; i++) {
        if (!good(ctx->arena, q->filters[i].value))
            return refuse(ctx, q, "invalid Key for ", " table");
    }
    if (q->has_ancestor && !good(ctx->arena, q->ancestor.path))
        return refuse(ctx, q, "invalid Key for ", " table");
    return 0;
}

static int make_meta(struct ctx *ctx, const struct query *q, struct plan *plan,
                     bool (*good)(struct arena *, struct bytes))
{
    int rc = check_shape(ctx, q);

    if (rc == 0)
        rc = check_paths(ctx, q, good);
    if (rc != 0)
        return rc;
    plan->range = plan_paths(ctx, q);
    for (size_t i = 0; i < q->n_eq; i++)
        plan_narrow(&plan->range, q->eq[i]->value,
                    plan_next(ctx->arena, q->eq[i]->value));
    return 0;
}

/* ---- rows ---- */

/* Add a row when its path is in the range; properties of the result beside. */
static void add_row(struct meta *m, struct bytes path, struct bytes properties)
{
    if (bytes_cmp(path, m->range->from) < 0)
        return;
    if (!m->range->to_end && bytes_cmp(path, m->range->to) >= 0) {
        m->full = true;
        return;
    }
    if (m->page->n == m->limit) {
        m->page->more = true;
        m->full = true;
        return;
    }
    m->page->rows[m->page->n++] =
        (struct plan_row){.rest = path, .path = path, .value = properties};
}

/* The first row of a partition in [from, to), p NULL: to the end; n 0 when
 * there is none. */
static int first_row(struct meta *m, enum key_table t, struct bytes from,
                     struct bytes to, struct bytes *row)
{
    const struct query *q = m->plan->query;
    struct storage_range range = {.from = from, .to = to, .to_end = !to.p};
    struct storage_page page;
    int rc = storage_scan(m->ctx, m->store,
                          key_partition(m->ctx->arena, q->app, q->space, t),
                          &range, STORAGE_FORWARD, 1, &page);

    *row = rc == 0 && page.n ? page.rows[0].row : BYTES_NONE;
    return rc;
}

static int corrupt(struct meta *m)
{
    return ctx_err(m->ctx, ERR_CORRUPT, "an index row is malformed");
}

typedef int walk_fn(struct meta *m);

static int fetch_meta(struct ctx *ctx, struct storage *st,
                      const struct plan *plan,
                      const struct storage_range *range, size_t limit,
                      struct plan_page *page, walk_fn *walk)
{
    struct meta m = {ctx, st, plan, range, limit, page, false};

    *page = (struct plan_page){
        .rows = ARENA_ARRAY(ctx->arena, struct plan_row, limit)};
    return walk(&m);
}

/* ---- __kind__ ---- */

static bool fits_kinds(const struct query *q)
{
    return q->has_kind && bytes_eq_str(q->kind, "__kind__");
}

static int make_kinds(struct ctx *ctx, const struct query_env *env,
                      const struct query *q, struct plan *plan)
{
    if (q->has_ancestor)
        return refuse(ctx, q, "ancestor queries on ", " not allowed");
    return make_meta(ctx, q, plan, is_kind_path);
}

static struct bytes kind_path(struct arena *a, struct bytes kind)
{
    struct buf b = BUF_IN(a);

    key_path_add(&b, BYTES_LIT("__kind__"), 0, kind);
    return buf_view(&b);
}

/* Where to begin in a table whose rows start with a kind. */
static struct bytes kind_from(struct meta *m, struct bytes *path)
{
    struct arena *a = m->ctx->arena;
    struct bytes kind;

    *path = m->range->from;
    if (!take_elem(a, path, "__kind__", 0, &kind))
        return BYTES_NONE;
    return key_kind_prefix(a, kind);
}

static int walk_kinds(struct meta *m)
{
    struct arena *a = m->ctx->arena;
    struct bytes path, row, kind, from = kind_from(m, &path);
    int rc = 0;

    while (rc == 0 && !m->full) {
        rc = first_row(m, KEY_KINDS, from, BYTES_NONE, &row);
        if (rc != 0 || !row.n)
            break;
        if (!key_take_escaped(a, &row, &kind))
            return corrupt(m);
        add_row(m, kind_path(a, kind), BYTES_NONE);
        from = plan_behind(a, key_kind_prefix(a, kind));
    }
    return rc;
}

static int fetch_kinds(struct ctx *ctx, struct storage *st,
                       const struct plan *plan,
                       const struct storage_range *range, enum storage_dir dir,
                       size_t limit, struct plan_page *page)
{
    return fetch_meta(ctx, st, plan, range, limit, page, walk_kinds);
}

/* ---- __namespace__ ---- */

static bool fits_spaces(const struct query *q)
{
    return q->has_kind && bytes_eq_str(q->kind, "__namespace__");
}

static int make_spaces(struct ctx *ctx, const struct query_env *env,
                       const struct query *q, struct plan *plan)
{
    if (q->has_ancestor)
        return refuse(ctx, q, "ancestor queries on ", " not allowed");
    plan->empty = q->space.n > 0; /* namespaces are not in a namespace */
    return make_meta(ctx, q, plan, is_space_path);
}

/* Whether the namespace holds an entity now. */
static int space_used(struct meta *m, struct bytes space, bool *used)
{
    struct arena *a = m->ctx->arena;
    struct storage_range all = STORAGE_ALL;
    struct storage_page page;
    int rc =
        storage_scan(m->ctx, m->store,
                     key_partition(a, m->plan->query->app, space, KEY_KINDS),
                     &all, STORAGE_FORWARD, 1, &page);

    *used = rc == 0 && page.n > 0;
    return rc;
}

/* The default namespace has no name: its key has the id 1. */
static struct bytes space_path(struct arena *a, struct bytes space)
{
    struct buf b = BUF_IN(a);

    key_path_add(&b, BYTES_LIT("__namespace__"), 1,
                 space.n ? space : BYTES_NONE);
    return buf_view(&b);
}

static int walk_spaces(struct meta *m)
{
    struct arena *a = m->ctx->arena;
    struct bytes path = m->range->from, row, space;
    struct buf from = BUF_IN(a);
    bool used;
    int rc = 0;

    if (take_elem(a, &path, "__namespace__", 1, &space))
        key_put_escaped(&from, space);
    while (rc == 0 && !m->full) {
        rc = first_row(m, KEY_SPACES, buf_view(&from), BYTES_NONE, &row);
        if (rc != 0 || !row.n)
            break;
        from = (struct buf)BUF_IN(a);
        buf_add(&from, plan_behind(a, row));
        if (!key_take_escaped(a, &row, &space))
            return corrupt(m);
        rc = space_used(m, space, &used);
        if (rc == 0 && used)
            add_row(m, space_path(a, space), BYTES_NONE);
    }
    return rc;
}

static int fetch_spaces(struct ctx *ctx, struct storage *st,
                        const struct plan *plan,
                        const struct storage_range *range, enum storage_dir dir,
                        size_t limit, struct plan_page *page)
{
    return fetch_meta(ctx, st, plan, range, limit, page, walk_spaces);
}

/* ---- __property__ ---- */

static bool fits_properties(const struct query *q)
{
    return q->has_kind && bytes_eq_str(q->kind, "__property__");
}

static int make_properties(struct ctx *ctx, const struct query_env *env,
                           const struct query *q, struct plan *plan)
{
    return make_meta(ctx, q, plan, is_property_path);
}

static const struct {
    enum value_tag tag;
    const char *name;
} representations[] = {
    {VALUE_NULL, "NULL"},     {VALUE_INT64, "INT64"},
    {VALUE_BOOL, "BOOLEAN"},  {VALUE_STRING, "STRING"},
    {VALUE_DOUBLE, "DOUBLE"}, {VALUE_POINT, "POINT"},
    {VALUE_USER, "USER"},     {VALUE_REFERENCE, "REFERENCE"},
};

static void put_representation(struct arena *a, const char *name,
                               struct buf *out)
{
    enum { PROPERTY = 14, NAME = 3, MULTIPLE = 4, VALUE = 5 };
    struct buf p = BUF_IN(a), pv = BUF_IN(a);

    pb_put_bytes(&pv, VALUE_STRING, bytes_str(name));
    pb_put_bytes(&p, NAME, BYTES_LIT("property_representation"));
    pb_put_u64(&p, MULTIPLE, 1);
    pb_put_bytes(&p, VALUE, buf_view(&pv));
    pb_put_bytes(out, PROPERTY, buf_view(&p));
}

/* One property for each type that a value behind `prefix` has. */
static int represent(struct meta *m, struct bytes prefix, struct buf *out)
{
    struct arena *a = m->ctx->arena;
    int rc = 0;

    for (size_t i = 0; i < sizeof(representations) / sizeof(representations[0]);
         i++) {
        struct buf from = BUF_IN(a), to = BUF_IN(a);
        struct bytes row;

        buf_add(&from, prefix);
        buf_add_u8(&from, (uint8_t)representations[i].tag);
        buf_add(&to, prefix);
        buf_add_u8(&to, (uint8_t)(representations[i].tag + 1));
        rc = first_row(m, KEY_PROPERTIES, buf_view(&from), buf_view(&to), &row);
        if (rc != 0)
            return rc;
        if (row.n)
            put_representation(a, representations[i].name, out);
    }
    return rc;
}

static struct bytes property_path(struct arena *a, struct bytes kind,
                                  struct bytes name)
{
    struct buf b = BUF_IN(a);

    key_path_add(&b, BYTES_LIT("__kind__"), 0, kind);
    key_path_add(&b, BYTES_LIT("__property__"), 0, name);
    return buf_view(&b);
}

/* One (kind, property) pair; `prefix` is that of its index rows. */
static int add_property(struct meta *m, struct bytes kind, struct bytes name,
                        struct bytes prefix)
{
    struct buf out = BUF_IN(m->ctx->arena);
    int rc = 0;

    if (key_reserved(name))
        return 0; /* hidden, as __scatter__ */
    if (!m->plan->query->keys_only)
        rc = represent(m, prefix, &out);
    if (rc == 0)
        add_row(m, property_path(m->ctx->arena, kind, name), buf_view(&out));
    return rc;
}

static int walk_properties(struct meta *m)
{
    struct arena *a = m->ctx->arena;
    struct bytes path, row, kind, name, prefix, from = kind_from(m, &path);
    int rc = 0;

    if (from.n && take_elem(a, &path, "__property__", 0, &name)) {
        struct buf b = BUF_IN(a);

        buf_add(&b, from);
        key_put_escaped(&b, name);
        from = buf_view(&b);
    }
    while (rc == 0 && !m->full) {
        rc = first_row(m, KEY_PROPERTIES, from, BYTES_NONE, &row);
        if (rc != 0 || !row.n)
            break;
        if (!key_take_escaped(a, &row, &kind) ||
            !key_take_escaped(a, &row, &name))
            return corrupt(m);
        prefix = index_property_prefix(a, kind, name);
        rc = add_property(m, kind, name, prefix);
        from = plan_behind(a, prefix);
    }
    return rc;
}

static int fetch_properties(struct ctx *ctx, struct storage *st,
                            const struct plan *plan,
                            const struct storage_range *range,
                            enum storage_dir dir, size_t limit,
                            struct plan_page *page)
{
    return fetch_meta(ctx, st, plan, range, limit, page, walk_properties);
}

/* ---- __entity_group__ ---- */

static bool fits_group(const struct query *q)
{
    return q->has_kind && bytes_eq_str(q->kind, "__entity_group__");
}

static int make_group(struct ctx *ctx, const struct query_env *env,
                      const struct query *q, struct plan *plan)
{
    return refuse(ctx, q, "queries not supported on ", "");
}

const struct plan_kind plan_kinds_meta = {"kinds", fits_kinds, make_kinds,
                                          fetch_kinds};
const struct plan_kind plan_spaces_meta = {"namespaces", fits_spaces,
                                           make_spaces, fetch_spaces};
const struct plan_kind plan_properties_meta = {
    "properties", fits_properties, make_properties, fetch_properties};
const struct plan_kind plan_group_meta = {"group", fits_group, make_group,
                                          stream_fetch};
