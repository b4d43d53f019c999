/*
 * plan - the kinds of plan as a table, and what each fills in.
 */
#include "engine/plan.h"

#include "engine/index_admin.h"
#include "engine/value.h"

#include <inttypes.h>

static bool is_key(struct bytes name)
{
    return bytes_eq(name, query_key_name);
}

/* ---- ranges ---- */

struct bytes plan_behind(struct arena *a, struct bytes prefix)
{
    const uint8_t *p = bytes_u8(prefix);
    size_t n = prefix.n;
    uint8_t *out;

    while (n > 0 && p[n - 1] == 0xff)
        n--;
    if (n == 0)
        return BYTES_NONE;
    out = arena_alloc(a, n);
    memcpy(out, p, n);
    out[n - 1]++;
    return BYTES(out, n);
}

struct bytes plan_next(struct arena *a, struct bytes b)
{
    uint8_t *out = arena_zalloc(a, b.n + 1);

    if (b.n)
        memcpy(out, b.p, b.n);
    return BYTES(out, b.n + 1);
}

bool plan_range_empty(const struct storage_range *r)
{
    return !r->to_end && bytes_cmp(r->from, r->to) >= 0;
}

static void raise_from(struct storage_range *r, struct bytes from)
{
    if (bytes_cmp(from, r->from) > 0)
        r->from = from;
}

static void lower_to(struct storage_range *r, struct bytes to)
{
    if (to.p && (r->to_end || bytes_cmp(to, r->to) < 0)) {
        r->to = to;
        r->to_end = false;
    }
}

void plan_narrow(struct storage_range *r, struct bytes from, struct bytes to)
{
    raise_from(r, from);
    lower_to(r, to);
}

struct storage_range plan_paths(struct ctx *ctx, const struct query *q)
{
    struct storage_range r = STORAGE_ALL;
    struct arena *a = ctx->arena;

    if (q->has_ancestor) {
        raise_from(&r, q->ancestor.path);
        lower_to(&r, plan_behind(a, q->ancestor.path));
    }
    if (!q->range_name.p || !is_key(q->range_name))
        return r;
    if (q->lo.set)
        raise_from(&r,
                   q->lo.inclusive ? q->lo.value : plan_next(a, q->lo.value));
    if (q->hi.set)
        lower_to(&r, q->hi.inclusive ? plan_next(a, q->hi.value) : q->hi.value);
    return r;
}

void plan_key_value(const struct query *q, struct bytes path, struct buf *out)
{
    buf_add_u8(out, VALUE_REFERENCE);
    key_put_escaped(out, q->app);
    key_put_escaped(out, q->space);
    buf_add(out, path);
    buf_add_u8(out, 0);
}

/* A filter's value as it stands in a column: a `__key__` one is a path yet. */
static struct bytes column_value(struct arena *a, const struct query *q,
                                 const struct index_column *c,
                                 struct bytes value)
{
    struct buf b = BUF_IN(a);

    if (is_key(c->name))
        plan_key_value(q, value, &b);
    else
        buf_add(&b, value);
    if (c->desc)
        value_flip(b.p, b.n);
    return buf_view(&b);
}

/* One end of the inequality as a bound of rests.  A flipped column turns the
 * ends around. */
static void column_bound(struct arena *a, struct plan *plan,
                         const struct query_bound *bound, bool low)
{
    const struct index_column *c = &plan->columns[0];
    struct bytes v;

    if (!bound->set)
        return;
    v = column_value(a, plan->query, c, bound->value);
    if (c->desc)
        low = !low;
    if (low != bound->inclusive)
        v = plan_behind(a, v);
    if (low && !v.p)
        plan->empty = true;
    else if (low)
        raise_from(&plan->range, v);
    else
        lower_to(&plan->range, v);
}

static void column_range(struct arena *a, struct plan *plan)
{
    const struct query *q = plan->query;

    if (!q->range_name.p || plan->n_columns == 0 ||
        !bytes_eq(plan->columns[0].name, q->range_name))
        return;
    column_bound(a, plan, &q->lo, true);
    column_bound(a, plan, &q->hi, false);
}

/* ---- rows ---- */

bool plan_split(const struct plan *plan, struct bytes rest,
                struct plan_row *row)
{
    struct bytes in = rest;

    for (size_t i = 0; i < plan->n_columns; i++) {
        size_t n = value_size(in, plan->columns[i].desc);

        if (n == 0)
            return false;
        in = bytes_from(in, n);
    }
    row->rest = rest;
    row->columns = BYTES(rest.p, rest.n - in.n);
    row->path = in;
    return in.n > 0;
}

struct bytes plan_column(const struct plan *plan, struct bytes columns,
                         size_t i)
{
    for (size_t j = 0; j < i; j++)
        columns =
            bytes_from(columns, value_size(columns, plan->columns[j].desc));
    return BYTES(columns.p, value_size(columns, plan->columns[i].desc));
}

int plan_value(struct ctx *ctx, const struct plan *plan, struct bytes columns,
               size_t i, struct buf *pv)
{
    struct bytes v = plan_column(plan, columns, i);

    if (plan->columns[i].desc) {
        v = arena_dup(ctx->arena, v);
        value_flip((uint8_t *)(uintptr_t)v.p, v.n);
    }
    return value_decode(ctx->arena, v, pv);
}

/* ---- the kinds of plan ---- */

static void add_scan(struct plan *plan, struct bytes partition,
                     struct bytes prefix)
{
    plan->scans[plan->n_scans++] = (struct plan_scan){partition, prefix};
}

static struct bytes table(struct ctx *ctx, const struct query *q,
                          enum key_table t)
{
    return key_partition(ctx->arena, q->app, q->space, t);
}

static const struct query_filter *key_filter(const struct query *q)
{
    for (size_t i = 0; i < q->n_eq; i++) {
        if (is_key(q->eq[i]->name))
            return q->eq[i];
    }
    return NULL;
}

static bool no_columns(const struct query *q)
{
    return q->n_effective == 1;
}

static bool fits_nothing(const struct query *q)
{
    return q->has_kind && q->kind.n == 0; /* no entity has the empty kind */
}

static int make_nothing(struct ctx *ctx, const struct query_env *env,
                        const struct query *q, struct plan *plan)
{
    plan->empty = true;
    return 0;
}

static bool fits_key(const struct query *q)
{
    return key_filter(q) && q->projection.n == 0;
}

/* The kind of the last element of a path. */
static struct bytes kind_of(struct arena *a, struct bytes path)
{
    struct key_elem e;
    struct bytes kind = BYTES_NONE;

    while (key_path_next(a, &path, &e))
        kind = e.kind;
    return kind;
}

static int make_key(struct ctx *ctx, const struct query_env *env,
                    const struct query *q, struct plan *plan)
{
    struct bytes path = key_filter(q)->value;

    plan->range = plan_paths(ctx, q);
    for (size_t i = 0; i < q->n_eq; i++) {
        if (is_key(q->eq[i]->name) && !bytes_eq(q->eq[i]->value, path))
            plan->empty = true;
    }
    if (q->has_kind && !bytes_eq(kind_of(ctx->arena, path), q->kind))
        plan->empty = true;
    plan_narrow(&plan->range, path, plan_next(ctx->arena, path));
    add_scan(plan, table(ctx, q, KEY_ENTITIES), BYTES_NONE);
    plan->holds_entity = true;
    plan->check = true;
    plan->backward = false;
    plan->n_columns = 0;
    return 0;
}

static bool fits_kindless(const struct query *q)
{
    return !q->has_kind && no_columns(q);
}

static int make_kindless(struct ctx *ctx, const struct query_env *env,
                         const struct query *q, struct plan *plan)
{
    plan->range = plan_paths(ctx, q);
    add_scan(plan, table(ctx, q, KEY_ENTITIES), BYTES_NONE);
    plan->holds_entity = true;
    return 0;
}

static bool fits_kind(const struct query *q)
{
    return no_columns(q) && q->n_eq == 0;
}

static int make_kind(struct ctx *ctx, const struct query_env *env,
                     const struct query *q, struct plan *plan)
{
    plan->range = plan_paths(ctx, q);
    add_scan(plan, table(ctx, q, KEY_KINDS),
             key_kind_prefix(ctx->arena, q->kind));
    return 0;
}

static bool fits_equal(const struct query *q)
{
    return no_columns(q) && q->n_eq > 0 && !key_filter(q);
}

static int make_equal(struct ctx *ctx, const struct query_env *env,
                      const struct query *q, struct plan *plan)
{
    struct bytes partition = table(ctx, q, KEY_PROPERTIES);

    plan->range = plan_paths(ctx, q);
    plan->scans = ARENA_ARRAY(ctx->arena, struct plan_scan, q->n_eq);
    for (size_t i = 0; i < q->n_eq; i++) {
        struct buf b = BUF_IN(ctx->arena);

        buf_add(&b, index_property_prefix(ctx->arena, q->kind, q->eq[i]->name));
        buf_add(&b, q->eq[i]->value);
        add_scan(plan, partition, buf_view(&b));
    }
    return 0;
}

static bool fits_property(const struct query *q)
{
    return q->n_effective == 2 && q->n_eq == 0 && !q->has_ancestor &&
           !is_key(q->effective[0].name) && !q->effective[1].desc;
}

static int make_property(struct ctx *ctx, const struct query_env *env,
                         const struct query *q, struct plan *plan)
{
    plan->columns = ARENA_ARRAY(ctx->arena, struct index_column, 1);
    plan->columns[0].name = q->effective[0].name;
    plan->n_columns = 1;
    plan->ties = plan->backward;
    add_scan(plan, table(ctx, q, KEY_PROPERTIES),
             index_property_prefix(ctx->arena, q->kind, plan->columns[0].name));
    column_range(ctx->arena, plan);
    return 0;
}

/* ---- composite ---- */

/*
 * The columns are the tail of the index.  Where that is the effective order
 * read one way, it is read that way; where the index leaves the order of what
 * the query does not sort by to itself, the results come in its order.
 */
static void take_tail(const struct query *q, const struct need_index *x,
                      struct plan *plan)
{
    size_t n = x->def->n - x->tail;
    bool natural = n > 0;

    plan->columns = x->def->columns + x->tail;
    plan->n_columns = n;
    for (size_t i = 0; natural && i < n; i++)
        natural = i < q->n_effective &&
                  bytes_eq(plan->columns[i].name, q->effective[i].name) &&
                  (plan->columns[i].desc != q->effective[i].desc) ==
                      (plan->columns[0].desc != q->effective[0].desc);
    plan->backward = natural && plan->columns[0].desc != q->effective[0].desc;
    plan->ties = plan->backward;
    plan->first_desc = n && plan->columns[0].desc != plan->backward;
}

/* The `nth` value that `name` equals, the last one when there are fewer. */
static const struct query_filter *nth_equal(const struct query *q,
                                            struct bytes name, size_t nth)
{
    const struct query_filter *last = NULL;

    for (size_t i = 0; i < q->n_eq; i++) {
        if (!bytes_eq(q->eq[i]->name, name))
            continue;
        last = q->eq[i];
        if (nth-- == 0)
            break;
    }
    return last;
}

/* How many different values the most compared name of the prefix has. */
static size_t most_equal(const struct query *q, const struct need_index *x)
{
    size_t most = 1;

    for (size_t i = 0; i < x->tail; i++) {
        size_t n = 0;

        for (size_t j = 0; j < q->n_eq; j++)
            n += bytes_eq(q->eq[j]->name, x->def->columns[i].name);
        most = n > most ? n : most;
    }
    return most;
}

static void add_index_scan(struct ctx *ctx, const struct query *q,
                           const struct need_index *x, size_t nth,
                           struct plan *plan)
{
    struct buf b = BUF_IN(ctx->arena);

    buf_add(&b, index_composite_prefix(ctx->arena, x->def,
                                       x->def->ancestor ? q->ancestor.path
                                                        : BYTES_NONE));
    for (size_t i = 0; i < x->tail; i++) {
        const struct index_column *c = &x->def->columns[i];

        buf_add(&b, column_value(ctx->arena, q, c,
                                 nth_equal(q, c->name, nth)->value));
    }
    add_scan(plan, table(ctx, q, KEY_COMPOSITES), buf_view(&b));
}

static void use_indexes(struct ctx *ctx, const struct query *q,
                        const struct need_index *x, size_t n, struct plan *plan)
{
    plan->scans = ARENA_ARRAY(ctx->arena, struct plan_scan, n * (q->n_eq + 1));
    take_tail(q, &x[0], plan);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0, m = most_equal(q, &x[i]); k < m; k++)
            add_index_scan(ctx, q, &x[i], k, plan);
    }
    column_range(ctx->arena, plan);
}

static bool fits_composite(const struct query *q)
{
    return true;
}

/* What a query lacks: an index that is not there, or one that is not ready. */
struct missing {
    struct index_def def;
    enum index_state state; /* 0: not there */
};

/* The words are Google's as far as it has some. */
static int refuse_unready(struct ctx *ctx, struct engine *e,
                          const struct missing *m)
{
    int64_t done, total;

    if (m->state == INDEX_ERROR)
        return ctx_err(ctx, ERR_NEED_INDEX,
                       "The index for this query is not ready to serve: it "
                       "could not be built, for an entity of its kind has too "
                       "many rows for it. Mend the entity and deploy "
                       "index.yaml again.");
    index_progress(e, ctx->app, m->def.id, &done, &total);
    return ctx_err(ctx, ERR_NEED_INDEX,
                   "The index for this query is not ready to serve: it is "
                   "being built (%" PRId64 " of %" PRId64 " entities). "
                   "`appscale datastore indexes` shows how far it is.",
                   done, total);
}

static int refuse(struct ctx *ctx, struct engine *e, const struct missing *m)
{
    if (m->state)
        return refuse_unready(ctx, e, m);
    return ctx_err(ctx, ERR_NEED_INDEX,
                   "This query requires a composite index that is not defined. "
                   "You must update the index.yaml file in your application "
                   "root.\nThe following index is the minimum index required:\n"
                   "%.*s",
                   BYTES_FMT(need_yaml(ctx->arena, &m->def)));
}

static int create(struct ctx *ctx, const struct query_env *env,
                  const struct index_def *def)
{
    int64_t id;
    int rc;

    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    rc = index_create(ctx, env->engine, ctx->app, def, true, &id);
    if (rc == ERR_EXISTS)
        rc = 0;
    if (rc == 0 && env->made)
        env->made(ctx, def);
    return rc;
}

/*
 * Look among the indexes there are: 0 with *n set, or ERR_NEED_INDEX with the
 * one that is missing.  Its copy points into no set: making an index waits
 * until nobody uses the old set any more, this call included.
 */
static int look_up(struct ctx *ctx, const struct query_env *env,
                   const struct query_need *need, struct plan *plan,
                   struct need_index **x, size_t *n, struct missing *missing)
{
    const struct index_set *set;
    const struct index_def *pending;
    bool natural;
    int rc = index_set_ref(ctx, env->engine, ctx->app, &set);

    if (rc != 0)
        return rc;
    *n = need_serve(ctx, plan->query, need, set, x, &natural);
    if (*n && (natural || !env->auto_index)) {
        plan->indexes = set;
        return 0;
    }
    *missing = (struct missing){0};
    if (env->auto_index) /* the one that serves in the order tests rely on */
        need_whole(ctx, need, &missing->def);
    else if ((pending = need_pending(ctx, plan->query, need, set)) != NULL)
        *missing = (struct missing){*pending, pending->state};
    else
        need_minimum(ctx, need, set, &missing->def);
    missing->def = index_def_copy(ctx->arena, &missing->def);
    index_set_unref(set);
    return ERR_NEED_INDEX;
}

/*
 * Find the indexes that serve, making what is missing where that is allowed.
 * *n is 0 when none is required.
 */
static int find_indexes(struct ctx *ctx, const struct query_env *env,
                        struct plan *plan, struct need_index **x, size_t *n)
{
    struct query_need need;
    struct missing missing;
    int rc;

    *n = 0;
    need_of(ctx, plan->query, &need);
    if (!need.required)
        return 0;
    rc = look_up(ctx, env, &need, plan, x, n, &missing);
    if (rc == ERR_NEED_INDEX && env->auto_index) {
        rc = create(ctx, env, &missing.def);
        if (rc == 0)
            rc = look_up(ctx, env, &need, plan, x, n, &missing);
    }
    return rc == ERR_NEED_INDEX ? refuse(ctx, env->engine, &missing) : rc;
}

static int make_composite(struct ctx *ctx, const struct query_env *env,
                          const struct query *q, struct plan *plan)
{
    struct need_index *x;
    size_t n;
    int rc = find_indexes(ctx, env, plan, &x, &n);

    if (rc == 0 && n == 0)
        return ctx_err(ctx, ERR_INTERNAL, "no plan answers this query");
    if (rc == 0)
        use_indexes(ctx, q, x, n, plan);
    return rc;
}

/* ---- the table ---- */

static const struct plan_kind plan_nothing = {"nothing", fits_nothing,
                                              make_nothing, stream_fetch};
static const struct plan_kind plan_key = {"key", fits_key, make_key,
                                          stream_fetch};
static const struct plan_kind plan_kindless = {"kindless", fits_kindless,
                                               make_kindless, stream_fetch};
static const struct plan_kind plan_of_kind = {"kind", fits_kind, make_kind,
                                              stream_fetch};
static const struct plan_kind plan_equal = {"equal", fits_equal, make_equal,
                                            stream_fetch};
static const struct plan_kind plan_property = {"property", fits_property,
                                               make_property, stream_fetch};
static const struct plan_kind plan_composite = {"composite", fits_composite,
                                                make_composite, stream_fetch};

static const struct plan_kind *const kinds[] = {
    &plan_nothing,     &plan_group_meta,      &plan_kinds_meta,
    &plan_spaces_meta, &plan_properties_meta, &plan_key,
    &plan_kindless,    &plan_of_kind,         &plan_equal,
    &plan_property,    &plan_composite,
};

/*
 * The rule asks for an index in cases that the built-in rows could answer (keys
 * descending, a key and an inequality); production refuses them without it, so
 * they are refused here, too.
 */
static int check_index(struct ctx *ctx, const struct query_env *env,
                       struct plan *plan)
{
    struct need_index *x;
    size_t n;

    return find_indexes(ctx, env, plan, &x, &n);
}

static size_t count_group(const struct query *q, const struct plan *plan)
{
    size_t n = 0;

    while (n < plan->n_columns) {
        bool in = false;

        for (size_t i = 0; i < q->group_by.n; i++)
            in = in || bytes_eq(q->group_by.v[i], plan->columns[n].name);
        if (!in)
            break;
        n++;
    }
    return n;
}

void plan_release(struct plan *plan)
{
    if (plan->indexes)
        index_set_unref(plan->indexes);
    plan->indexes = NULL;
}

int plan_make(struct ctx *ctx, const struct query_env *env,
              const struct query *q, struct plan *plan)
{
    size_t i = 0;
    int rc = 0;

    while (!kinds[i]->fits(q))
        i++;
    *plan = (struct plan){
        .kind = kinds[i],
        .query = q,
        .scans = ARENA_ARRAY(ctx->arena, struct plan_scan, 1),
        .range = STORAGE_ALL,
        .backward = q->effective[0].desc,
        .first_desc = q->effective[0].desc,
    };
    if (kinds[i]->fetch == stream_fetch && kinds[i] != &plan_composite &&
        kinds[i] != &plan_group_meta)
        rc = check_index(ctx, env, plan);
    if (rc == 0)
        rc = kinds[i]->make(ctx, env, q, plan);
    if (rc != 0) {
        plan_release(plan);
        return rc;
    }
    plan->n_group = count_group(q, plan);
    plan->empty = plan->empty || plan_range_empty(&plan->range);
    return 0;
}

struct storage_range plan_rows(struct arena *a, const struct plan_scan *scan,
                               const struct storage_range *rests)
{
    struct storage_range r = {.to_end = rests->to_end};
    struct buf from = BUF_IN(a), to = BUF_IN(a);

    if (scan->prefix.n == 0)
        return *rests;
    buf_add(&from, scan->prefix);
    buf_add(&from, rests->from);
    r.from = buf_view(&from);
    if (rests->to_end) {
        r.to = plan_behind(a, scan->prefix);
        r.to_end = r.to.p == NULL;
        return r;
    }
    buf_add(&to, scan->prefix);
    buf_add(&to, rests->to);
    r.to = buf_view(&to);
    return r;
}

static int corrupt(struct ctx *ctx, const struct plan *plan)
{
    return ctx_err(ctx, ERR_CORRUPT, "an index row of a %s scan is malformed",
                   plan->kind->name);
}

int plan_take(struct ctx *ctx, const struct plan *plan, struct bytes rest,
              struct bytes value, struct plan_row *row)
{
    if (!plan_split(plan, rest, row))
        return corrupt(ctx, plan);
    row->value = value;
    row->multi = plan->n_columns > 0 && index_row_multi(value);
    return 0;
}
