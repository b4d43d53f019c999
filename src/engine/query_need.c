/*
 * query_need - the rule first, then the search among the indexes there are.
 */
#include "engine/query_need.h"

#include "base/yaml_text.h"

#include <stdlib.h>

static bool is_key(struct bytes name)
{
    return bytes_eq(name, query_key_name);
}

static bool is_special(struct bytes name)
{
    return is_key(name) || bytes_eq_str(name, "__scatter__");
}

static bool has(const struct query_names *names, struct bytes name)
{
    for (size_t i = 0; i < names->n; i++) {
        if (bytes_eq(names->v[i], name))
            return true;
    }
    return false;
}

static void add(struct query_names *names, struct bytes name)
{
    if (!has(names, name))
        names->v[names->n++] = name;
}

static int by_name(const void *a, const void *b)
{
    return bytes_cmp(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* ---- the rule ---- */

/* What every built-in index has anyway, and so needs no column. */
struct native {
    bool key_order;   /* a final ascending `__key__` order */
    bool key_filters; /* comparisons of `__key__` */
};

static struct native native_parts(const struct query *q)
{
    bool by_key = q->n_orders && is_key(q->orders[q->n_orders - 1].name);
    struct native n = {0};

    if (q->exists.n)
        return n;
    n.key_order = by_key && !q->orders[q->n_orders - 1].desc;
    n.key_filters =
        (!by_key || n.key_order) && (!q->range_name.p || is_key(q->range_name));
    return n;
}

static void collect_equal(const struct query *q, struct native native,
                          struct query_need *need)
{
    for (size_t i = 0; i < q->n_eq; i++) {
        if (!native.key_filters || !is_key(q->eq[i]->name))
            add(&need->equal, q->eq[i]->name);
    }
    if (need->equal.n)
        qsort(need->equal.v, need->equal.n, sizeof(*need->equal.v), by_name);
}

static void collect_ordered(const struct query *q, struct native native,
                            bool range, struct query_need *need)
{
    size_t n = q->n_orders - native.key_order;

    if (n)
        memcpy(need->ordered, q->orders, n * sizeof(*q->orders));
    need->n_ordered = n;
    if (n == 0 && range) {
        need->ordered[need->n_ordered++] =
            (struct query_order){q->range_name, false};
        need->any_direction = true;
    }
}

static bool required(const struct query *q, const struct query_need *need,
                     bool range)
{
    bool special = false;

    if (!q->has_kind || q->kind.n == 0)
        return false;
    for (size_t i = 0; i < need->equal.n; i++)
        special = special || is_special(need->equal.v[i]);
    if (!range && q->exists.n == 0 && need->n_ordered == 0 && !special)
        return false;
    if (q->has_ancestor || need->equal.n + need_tail(need) > 1)
        return true;
    return need->n_ordered && is_key(need->ordered[0].name) &&
           need->ordered[0].desc;
}

void need_of(struct ctx *ctx, const struct query *q, struct query_need *need)
{
    struct native native = native_parts(q);
    bool range =
        q->range_name.p && !(native.key_filters && is_key(q->range_name));

    *need = (struct query_need){
        .ancestor = q->has_ancestor,
        .kind = q->kind,
        .ordered = ARENA_ARRAY(ctx->arena, struct query_order, q->n_orders + 1),
        .equal.v = ARENA_ARRAY(ctx->arena, struct bytes, q->n_eq + 1),
        .grouped.v = ARENA_ARRAY(ctx->arena, struct bytes, q->exists.n + 1),
        .unordered.v = ARENA_ARRAY(ctx->arena, struct bytes, q->exists.n + 1),
    };
    collect_equal(q, native, need);
    collect_ordered(q, native, range, need);
    for (size_t i = 0; i < q->exists.n; i++)
        add(has(&q->group_by, q->exists.v[i]) ? &need->grouped
                                              : &need->unordered,
            q->exists.v[i]);
    need->required = required(q, need, range);
}

size_t need_tail(const struct query_need *need)
{
    return need->n_ordered + need->grouped.n + need->unordered.n;
}

/* ---- does an index serve ---- */

/* Whether the `names->n` columns at `c` are these names in any order. */
static bool same_set(const struct index_column *c,
                     const struct query_names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        if (!has(names, c[i].name))
            return false;
        for (size_t j = 0; j < i; j++) {
            if (bytes_eq(c[i].name, c[j].name))
                return false;
        }
    }
    return true;
}

static bool same_order(const struct index_column *c,
                       const struct query_need *need)
{
    for (size_t i = 0; i < need->n_ordered; i++) {
        if (!bytes_eq(c[i].name, need->ordered[i].name) ||
            (!need->any_direction && c[i].desc != need->ordered[i].desc))
            return false;
    }
    return true;
}

/* Whether the index can be part of an answer; *tail is where its tail starts.
 */
static bool usable(const struct query_need *need, const struct index_def *def,
                   size_t *tail)
{
    size_t n = need_tail(need);
    const struct index_column *c;

    if (def->state != INDEX_READ_WRITE || def->n < n ||
        !bytes_eq(def->kind, need->kind) || (def->ancestor && !need->ancestor))
        return false;
    *tail = def->n - n;
    c = def->columns + *tail;
    if (!same_order(c, need) || !same_set(c + need->n_ordered, &need->grouped))
        return false;
    c += need->n_ordered + need->grouped.n;
    if (!same_set(c, &need->unordered))
        return false;
    for (size_t i = 0; i < *tail; i++) {
        if (!has(&need->equal, def->columns[i].name))
            return false;
    }
    return true;
}

static bool same_tail(const struct need_index *a, const struct need_index *b)
{
    const struct index_column *x = a->def->columns + a->tail;
    const struct index_column *y = b->def->columns + b->tail;

    for (size_t i = 0; i < a->def->n - a->tail; i++) {
        if (!bytes_eq(x[i].name, y[i].name) || x[i].desc != y[i].desc)
            return false;
    }
    return true;
}

/* The usable indexes, in the order of the set. */
static size_t all_usable(struct ctx *ctx, const struct query_need *need,
                         const struct index_set *set, struct need_index **out)
{
    size_t n_kind, n = 0;
    const struct index_def *defs = index_set_kind(set, need->kind, &n_kind);

    *out = ARENA_ARRAY(ctx->arena, struct need_index, n_kind + 1);
    for (size_t i = 0; i < n_kind; i++) {
        struct need_index x = {.def = &defs[i]};

        if (usable(need, x.def, &x.tail))
            (*out)[n++] = x;
    }
    return n;
}

/* What a group of indexes with one tail still lacks. */
struct cover {
    struct query_names missing;
    bool ancestor;
};

static void cover_init(struct arena *a, struct cover *c,
                       const struct query_need *need)
{
    c->missing.v = ARENA_ARRAY(a, struct bytes, need->equal.n + 1);
    c->missing.n = 0;
    for (size_t i = 0; i < need->equal.n; i++)
        c->missing.v[c->missing.n++] = need->equal.v[i];
    c->ancestor = need->ancestor;
}

static size_t cover_cost(const struct cover *c)
{
    return c->missing.n + (c->ancestor ? 2 : 0);
}

/* Take what `x` has off what is missing; false when it adds nothing. */
static bool cover_with(struct cover *c, const struct need_index *x)
{
    size_t before = cover_cost(c), kept = 0;

    for (size_t i = 0; i < c->missing.n; i++) {
        bool there = false;

        for (size_t j = 0; j < x->tail; j++)
            there = there || bytes_eq(x->def->columns[j].name, c->missing.v[i]);
        if (!there)
            c->missing.v[kept++] = c->missing.v[i];
    }
    c->missing.n = kept;
    if (x->def->ancestor)
        c->ancestor = false;
    return cover_cost(c) < before;
}

/* Whether reading the tail one way or the other is the effective order. */
static bool is_natural(const struct query *q, const struct need_index *x)
{
    const struct index_column *c = x->def->columns + x->tail;
    size_t n = x->def->n - x->tail;

    for (size_t i = 0; i < n; i++) {
        if (i >= q->n_effective || !bytes_eq(c[i].name, q->effective[i].name) ||
            (c[i].desc != q->effective[i].desc) !=
                (c[0].desc != q->effective[0].desc))
            return false;
    }
    return true;
}

/*
 * The indexes with the tail of all[lead] that cover the query, the lead first;
 * 0 when they do not.  The ones that add most come first, which finds a single
 * one where there is one and few otherwise.
 */
static size_t serve_from(struct ctx *ctx, const struct query_need *need,
                         const struct need_index *all, size_t n, size_t lead,
                         struct need_index *out)
{
    struct cover c;
    size_t used = 0;

    cover_init(ctx->arena, &c, need);
    cover_with(&c, &all[lead]);
    out[used++] = all[lead];
    for (size_t i = 0; i < n && cover_cost(&c); i++) {
        if (same_tail(&all[lead], &all[i]) && cover_with(&c, &all[i]))
            out[used++] = all[i];
    }
    return cover_cost(&c) == 0 ? used : 0;
}

size_t need_serve(struct ctx *ctx, const struct query *q,
                  const struct query_need *need, const struct index_set *set,
                  struct need_index **out, bool *natural)
{
    struct need_index *all, *tried;
    size_t n = all_usable(ctx, need, set, &all), best = 0;
    bool best_natural = false;

    tried = ARENA_ARRAY(ctx->arena, struct need_index, n + 1);
    *out = ARENA_ARRAY(ctx->arena, struct need_index, n + 1);
    for (size_t lead = 0; lead < n; lead++) {
        size_t used = serve_from(ctx, need, all, n, lead, tried);
        bool nat = is_natural(q, &all[lead]);

        if (used == 0 || (best && best_natural && !nat))
            continue;
        if (best == 0 || (nat && !best_natural) || used < best) {
            memcpy(*out, tried, used * sizeof(*tried));
            best = used;
            best_natural = nat;
        }
    }
    if (natural)
        *natural = best_natural;
    return best;
}

/* ---- the index that is not ready ---- */

/* The set as if indexes in `state` were ready. */
static struct index_set suppose(struct ctx *ctx, const struct index_set *set,
                                enum index_state state)
{
    struct index_set copy = {ARENA_ARRAY(ctx->arena, struct index_def, set->n),
                             set->n};

    for (size_t i = 0; i < set->n; i++) {
        copy.defs[i] = set->defs[i];
        if (copy.defs[i].state == state)
            copy.defs[i].state = INDEX_READ_WRITE;
    }
    return copy;
}

static const struct index_def *pending_in(struct ctx *ctx,
                                          const struct query *q,
                                          const struct query_need *need,
                                          const struct index_set *set,
                                          enum index_state state)
{
    struct index_set copy = suppose(ctx, set, state);
    struct need_index *x;
    size_t n = need_serve(ctx, q, need, &copy, &x, NULL);

    for (size_t i = 0; i < n; i++) {
        const struct index_def *def = &set->defs[x[i].def - copy.defs];

        if (def->state == state)
            return def;
    }
    return NULL;
}

const struct index_def *need_pending(struct ctx *ctx, const struct query *q,
                                     const struct query_need *need,
                                     const struct index_set *set)
{
    const struct index_def *def =
        pending_in(ctx, q, need, set, INDEX_WRITE_ONLY);

    return def ? def : pending_in(ctx, q, need, set, INDEX_ERROR);
}

/* ---- the index that is missing ---- */

void need_whole(struct ctx *ctx, const struct query_need *need,
                struct index_def *out)
{
    size_t n = 0;
    struct index_column *c = ARENA_ARRAY(ctx->arena, struct index_column,
                                         need->equal.n + need_tail(need) + 1);

    for (size_t i = 0; i < need->equal.n; i++)
        c[n++].name = need->equal.v[i];
    for (size_t i = 0; i < need->n_ordered; i++)
        c[n++] =
            (struct index_column){need->ordered[i].name, need->ordered[i].desc};
    for (size_t i = 0; i < need->grouped.n; i++)
        c[n++].name = need->grouped.v[i];
    for (size_t i = 0; i < need->unordered.n; i++)
        c[n++].name = need->unordered.v[i];
    *out = (struct index_def){
        .kind = need->kind, .ancestor = need->ancestor, .columns = c, .n = n};
}

/* The tail of `x` behind the names still missing. */
static void complete_tail(struct ctx *ctx, const struct cover *c,
                          const struct query_need *need,
                          const struct need_index *x, struct index_def *out)
{
    size_t n = 0, tail = x->def->n - x->tail;
    struct index_column *v =
        ARENA_ARRAY(ctx->arena, struct index_column, c->missing.n + tail + 1);

    for (size_t i = 0; i < c->missing.n; i++)
        v[n++].name = c->missing.v[i];
    memcpy(v + n, x->def->columns + x->tail, tail * sizeof(*v));
    *out = (struct index_def){.kind = need->kind,
                              .ancestor = c->ancestor,
                              .columns = v,
                              .n = n + tail};
}

void need_minimum(struct ctx *ctx, const struct query_need *need,
                  const struct index_set *set, struct index_def *out)
{
    struct need_index *all;
    size_t n = all_usable(ctx, need, set, &all);
    size_t best = SIZE_MAX;

    need_whole(ctx, need, out);
    for (size_t lead = 0; lead < n; lead++) {
        struct cover c;
        bool adds = false;

        cover_init(ctx->arena, &c, need);
        for (size_t i = 0; i < n; i++) {
            if (same_tail(&all[lead], &all[i]))
                adds = cover_with(&c, &all[i]) || adds;
        }
        if (adds && cover_cost(&c) < best) {
            best = cover_cost(&c);
            complete_tail(ctx, &c, need, &all[lead], out);
        }
    }
}

/* ---- its text ---- */

struct bytes need_yaml(struct arena *a, const struct index_def *def)
{
    struct buf b = BUF_IN(a);

    buf_add_str(&b, "- kind: ");
    yaml_put_scalar(&b, def->kind);
    if (def->ancestor)
        buf_add_str(&b, "\n  ancestor: yes");
    if (def->n)
        buf_add_str(&b, "\n  properties:");
    for (size_t i = 0; i < def->n; i++) {
        buf_add_str(&b, "\n  - name: ");
        yaml_put_scalar(&b, def->columns[i].name);
        if (def->columns[i].desc)
            buf_add_str(&b, "\n    direction: desc");
    }
    return buf_view(&b);
}
