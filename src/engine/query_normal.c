/*
 * query_normal - the same question in its shortest form, and the order its
 * answers come in.
 *
 * Normal form: an IN of one value is an equality; a sort order that cannot
 * matter is dropped (its property equals something, it was named before, it
 * stands behind `__key__`); every name that is asked for without a comparison
 * is an EXISTS filter.
 *
 * Effective order: the sort orders; when there are none the inequality's
 * property; then the names that must exist, sorted (those grouped by first, so
 * that equal groups stand together); then the key.
 */
#include "engine/query.h"
#include "engine/value.h"

#include <stdlib.h>

static bool has(const struct bytes *v, size_t n, struct bytes name)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes_eq(v[i], name))
            return true;
    }
    return false;
}

static bool is_inequality(int op)
{
    return op >= QUERY_LT && op <= QUERY_GE;
}

/* A set of names with room for all of the query's. */
struct name_set {
    struct bytes *v;
    size_t n;
};

static void set_add(struct name_set *s, struct bytes name)
{
    if (!has(s->v, s->n, name))
        s->v[s->n++] = name;
}

static void drop_orders(struct query *q, struct name_set *seen)
{
    size_t kept = 0;

    for (size_t i = 0; i < q->n_orders; i++) {
        if (has(seen->v, seen->n, q->orders[i].name))
            continue;
        set_add(seen, q->orders[i].name);
        q->orders[kept++] = q->orders[i];
    }
    q->n_orders = kept;
}

/* Rows are unique by key: what stands behind it orders nothing. */
static void cut_orders_behind_key(struct query *q)
{
    for (size_t i = 0; i < q->n_orders; i++) {
        if (bytes_eq(q->orders[i].name, query_key_name))
            q->n_orders = i + 1;
    }
}

static void drop_exists(struct query *q, struct name_set *seen)
{
    size_t kept = 0;

    for (size_t i = 0; i < q->n_filters; i++) {
        struct query_filter *f = &q->filters[i];

        if (f->op == QUERY_EXISTS) {
            if (has(seen->v, seen->n, f->name))
                continue;
            set_add(seen, f->name);
        }
        q->filters[kept++] = *f;
    }
    q->n_filters = kept;
}

static void add_exists(struct query *q, const struct query_names *names,
                       struct name_set *seen)
{
    for (size_t i = 0; i < names->n; i++) {
        if (has(seen->v, seen->n, names->v[i]))
            continue;
        set_add(seen, names->v[i]);
        q->filters[q->n_filters++] = (struct query_filter){
            .name = names->v[i],
            .op = QUERY_EXISTS,
            .n_props = 1,
        };
    }
}

/* The equality names that no inequality is on, to *only; the inequality names
 * to *range; whether the key itself is given. */
static bool sort_names(struct query *q, struct name_set *only,
                       struct name_set *range)
{
    bool key = false;

    for (size_t i = 0; i < q->n_filters; i++) {
        struct query_filter *f = &q->filters[i];

        if (f->op == QUERY_IN && f->n_props == 1)
            f->op = QUERY_EQ;
        if (is_inequality(f->op))
            set_add(range, f->name);
    }
    for (size_t i = 0; i < q->n_filters; i++) {
        struct query_filter *f = &q->filters[i];

        if (f->op != QUERY_EQ && f->op != QUERY_IN)
            continue;
        if (has(range->v, range->n, f->name))
            continue;
        set_add(only, f->name);
        key = key || bytes_eq(f->name, query_key_name);
    }
    return key;
}

void query_normalise(struct ctx *ctx, struct query *q)
{
    size_t most =
        q->n_filters + q->n_orders + q->projection.n + q->group_by.n + 1;
    struct name_set seen = {ARENA_ARRAY(ctx->arena, struct bytes, most)};
    struct name_set range = {ARENA_ARRAY(ctx->arena, struct bytes, most)};
    struct query_filter *grown =
        ARENA_ARRAY(ctx->arena, struct query_filter, most);
    bool key = sort_names(q, &seen, &range);

    if (q->n_filters)
        memcpy(grown, q->filters, q->n_filters * sizeof(*grown));
    q->filters = grown;
    if (key) /* at most one entity: nothing to sort */
        q->n_orders = 0;
    cut_orders_behind_key(q); /* what it drops may still have to exist */
    drop_orders(q, &seen);
    for (size_t i = 0; i < range.n; i++)
        set_add(&seen, range.v[i]);
    set_add(&seen, query_key_name); /* every entity has one */
    drop_exists(q, &seen);
    if (q->projection.n) /* else there is nothing to group */
        add_exists(q, &q->group_by, &seen);
    add_exists(q, &q->projection, &seen);
}

/* ---- what the planner reads ---- */

static int encode_filter(struct ctx *ctx, struct query_filter *f)
{
    struct buf b = BUF_IN(ctx->arena);
    int rc;

    if (f->op == QUERY_EXISTS || bytes_eq(f->name, query_key_name))
        return 0; /* a key was encoded when it was checked */
    rc = value_encode(ctx, &b, f->pv);
    f->value = buf_view(&b);
    if (f->value.n > QUERY_VALUE_MAX)
        f->value.n = QUERY_VALUE_MAX;
    return rc;
}

static void add_eq(struct query *q, struct query_filter *f)
{
    for (size_t i = 0; i < q->n_eq; i++) {
        if (bytes_eq(q->eq[i]->name, f->name) &&
            bytes_eq(q->eq[i]->value, f->value))
            return;
    }
    q->eq[q->n_eq++] = f;
}

static void narrow(struct query *q, const struct query_filter *f)
{
    bool up = f->op == QUERY_GT || f->op == QUERY_GE;
    bool inclusive = f->op == QUERY_GE || f->op == QUERY_LE;
    struct query_bound *b = up ? &q->lo : &q->hi;
    int d;

    if (b->set) {
        d = bytes_cmp(f->value, b->value);
        if (!up)
            d = -d;
        if (d < 0 || (d == 0 && inclusive))
            return;
    }
    *b = (struct query_bound){true, inclusive, f->value};
}

static int by_name(const void *a, const void *b)
{
    return bytes_cmp(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* The EXISTS names, sorted; with `grouped` those that are grouped by. */
static void add_existing(struct query *q, bool grouped)
{
    size_t first = q->exists.n;

    for (size_t i = 0; i < q->n_filters; i++) {
        struct query_filter *f = &q->filters[i];

        if (f->op == QUERY_EXISTS &&
            has(q->group_by.v, q->group_by.n, f->name) == grouped)
            q->exists.v[q->exists.n++] = f->name;
    }
    if (q->exists.n > first)
        qsort(q->exists.v + first, q->exists.n - first, sizeof(*q->exists.v),
              by_name);
}

static void add_effective(struct query *q, struct bytes name, bool desc)
{
    q->effective[q->n_effective++] = (struct query_order){name, desc};
}

static void make_effective(struct ctx *ctx, struct query *q)
{
    q->effective = ARENA_ARRAY(ctx->arena, struct query_order,
                               q->n_orders + q->exists.n + 2);
    for (size_t i = 0; i < q->n_orders; i++)
        add_effective(q, q->orders[i].name, q->orders[i].desc);
    if (q->n_orders == 0 && q->range_name.p)
        add_effective(q, q->range_name, false);
    for (size_t i = 0; i < q->exists.n; i++)
        add_effective(q, q->exists.v[i], false);
    if (q->n_effective == 0 ||
        !bytes_eq(q->effective[q->n_effective - 1].name, query_key_name))
        add_effective(q, query_key_name, false);
}

int query_derive(struct ctx *ctx, struct query *q)
{
    int rc = 0;

    if (q->projection.n == 0)
        q->group_by.n = 0;
    q->eq = ARENA_ARRAY(ctx->arena, struct query_filter *, q->n_filters + 1);
    q->exists.v = ARENA_ARRAY(ctx->arena, struct bytes, q->n_filters + 1);
    for (size_t i = 0; rc == 0 && i < q->n_filters; i++) {
        struct query_filter *f = &q->filters[i];

        rc = encode_filter(ctx, f);
        if (rc == 0 && f->op == QUERY_EQ)
            add_eq(q, f);
        else if (rc == 0 && is_inequality(f->op))
            narrow(q, f);
    }
    add_existing(q, true);
    add_existing(q, false);
    make_effective(ctx, q);
    return rc;
}
