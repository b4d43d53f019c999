/*
 * query_check - what may not be asked, in words.
 *
 * The checks run in the order the datastore makes them, so that a query that is
 * wrong twice gets the sentence it gets there.  Some look at the query in its
 * normal form; query_normalise() is therefore one of the steps.
 */
#include "engine/query.h"
#include "engine/value.h"

#define REFUSE(...) ctx_err(ctx, ERR_INVALID, __VA_ARGS__)

static bool is_key(struct bytes name)
{
    return bytes_eq(name, query_key_name);
}

static bool in_names(const struct query_names *names, struct bytes name)
{
    for (size_t i = 0; i < names->n; i++) {
        if (bytes_eq(names->v[i], name))
            return true;
    }
    return false;
}

static bool is_inequality(int op)
{
    return op >= QUERY_LT && op <= QUERY_GE;
}

static int check_app(struct ctx *ctx, struct query *q)
{
    if (bytes_eq(key_project(q->app), ctx->app))
        return 0;
    return REFUSE("app \"%.*s\" cannot access app \"%.*s\"'s data",
                  BYTES_FMT(ctx->app), BYTES_FMT(q->app));
}

static int check_space(struct ctx *ctx, struct query *q)
{
    const uint8_t *p = bytes_u8(q->space);
    bool good = q->space.n <= KEY_SPACE_MAX;

    for (size_t i = 0; good && i < q->space.n; i++) {
        uint8_t low = p[i] | 0x20;

        good = (low >= 'a' && low <= 'z') || (p[i] >= '0' && p[i] <= '9') ||
               p[i] == '.' || p[i] == '_' || p[i] == '-';
    }
    return good ? 0
                : REFUSE("The namespace \"%.*s\" is not valid: at most %d of "
                         "0-9A-Za-z._-",
                         BYTES_FMT(q->space), KEY_SPACE_MAX);
}

static int check_operators(struct ctx *ctx, struct query *q)
{
    for (size_t i = 0; i < q->n_filters; i++) {
        const struct query_filter *f = &q->filters[i];

        if (f->op < QUERY_LT || f->op > QUERY_EXISTS || f->n_props == 0)
            return REFUSE("Unsupported filter operator: %d", f->op);
    }
    return 0;
}

static int check_normal_form(struct ctx *ctx, struct query *q)
{
    query_normalise(ctx, q);
    return 0;
}

static int check_projection(struct ctx *ctx, struct query *q)
{
    if (q->projection.n && q->keys_only)
        return REFUSE("projection and keys_only cannot both be set");
    for (size_t i = 0; i < q->projection.n; i++) {
        if (key_reserved(q->projection.v[i]))
            return REFUSE("projections are not supported for the property: "
                          "%.*s",
                          BYTES_FMT(q->projection.v[i]));
    }
    for (size_t i = 1; i < q->projection.n; i++) {
        struct query_names before = {q->projection.v, i};

        if (in_names(&before, q->projection.v[i]))
            return REFUSE("cannot project a property multiple times");
    }
    return 0;
}

static int check_txn(struct ctx *ctx, struct query *q)
{
    if (!q->has_txn || q->has_ancestor)
        return 0;
    return REFUSE("Only ancestor queries are allowed inside transactions.");
}

static int check_size(struct ctx *ctx, struct query *q)
{
    if (q->n_filters + q->n_orders + q->has_ancestor <= QUERY_PARTS_MAX)
        return 0;
    return REFUSE("query is too large. may not have more than %d filters + "
                  "sort orders ancestor total",
                  QUERY_PARTS_MAX);
}

static int check_ancestor(struct ctx *ctx, struct query *q)
{
    struct bytes app = ctx->app;
    int rc;

    if (!q->has_ancestor)
        return 0;
    ctx->app = BYTES_NONE; /* its app has a sentence of its own, below */
    rc = key_parse(ctx, q->ancestor_reference, &q->ancestor);
    ctx->app = app;
    if (rc == 0)
        rc = key_need_complete(ctx, &q->ancestor);
    if (rc != 0)
        return rc;
    if (!bytes_eq(key_project(q->ancestor.app), app))
        return REFUSE("query app is %.*s but ancestor app is %.*s",
                      BYTES_FMT(q->app), BYTES_FMT(q->ancestor.app));
    if (!bytes_eq(q->ancestor.space, q->space))
        return REFUSE("query namespace is %.*s but ancestor namespace is %.*s",
                      BYTES_FMT(q->space), BYTES_FMT(q->ancestor.space));
    return 0;
}

static int check_group_by(struct ctx *ctx, struct query *q)
{
    for (size_t i = 0; i < q->n_orders && i < q->group_by.n; i++) {
        if (!in_names(&q->group_by, q->orders[i].name))
            return REFUSE("items in the group by clause must be specified "
                          "first in the ordering");
    }
    return 0;
}

/* A `__key__` is compared with a key of the same app and namespace. */
static int check_key_filter(struct ctx *ctx, struct query *q,
                            struct query_filter *f)
{
    struct value v;
    struct key key;
    int rc;

    if (!value_read(f->pv, &v) || v.tag != VALUE_REFERENCE)
        return REFUSE("__key__ filter value must be a Key");
    rc = key_parse_value(ctx, v.bytes, &key);
    if (rc != 0)
        return rc;
    if (!bytes_eq(key_project(key.app), ctx->app))
        return REFUSE("__key__ filter app is %.*s but query app is %.*s",
                      BYTES_FMT(key.app), BYTES_FMT(q->app));
    if (!bytes_eq(key.space, q->space))
        return REFUSE("__key__ filter namespace is %.*s but query namespace is "
                      "%.*s",
                      BYTES_FMT(key.space), BYTES_FMT(q->space));
    f->value = key.path;
    return 0;
}

static int check_filter(struct ctx *ctx, struct query *q,
                        struct query_filter *f)
{
    int rc = 0;

    if (f->n_props != 1)
        return REFUSE("Filter has %d properties, expected 1", f->n_props);
    if (is_key(f->name) && f->op != QUERY_EXISTS)
        rc = check_key_filter(ctx, q, f);
    if (rc != 0)
        return rc;
    if (f->op == QUERY_EQ && in_names(&q->projection, f->name))
        return REFUSE("cannot use projection on a property with an equality "
                      "filter");
    if (!is_inequality(f->op))
        return 0;
    if (q->range_name.p && !bytes_eq(q->range_name, f->name))
        return REFUSE("Only one inequality filter per query is supported. "
                      "Encountered both %.*s and %.*s",
                      BYTES_FMT(q->range_name), BYTES_FMT(f->name));
    q->range_name = f->name;
    return 0;
}

static int check_filters(struct ctx *ctx, struct query *q)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < q->n_filters; i++)
        rc = check_filter(ctx, q, &q->filters[i]);
    return rc;
}

static int check_range(struct ctx *ctx, struct query *q)
{
    if (!q->range_name.p)
        return 0;
    if (q->group_by.n && q->n_orders == 0 &&
        !in_names(&q->group_by, q->range_name))
        return REFUSE("Inequality filter on %.*s must also be a group by "
                      "property when group by properties are set.",
                      BYTES_FMT(q->range_name));
    if (q->n_orders && !bytes_eq(q->orders[0].name, q->range_name))
        return REFUSE("The first sort property must be the same as the "
                      "property to which the inequality filter is applied.  "
                      "In your query the first sort property is %.*s but the "
                      "inequality filter is on %.*s",
                      BYTES_FMT(q->orders[0].name), BYTES_FMT(q->range_name));
    return 0;
}

static int check_kindless(struct ctx *ctx, struct query *q)
{
    if (q->has_kind)
        return 0;
    for (size_t i = 0; i < q->n_filters; i++) {
        if (!is_key(q->filters[i].name))
            return REFUSE("kind is required for non-__key__ filters");
    }
    for (size_t i = 0; i < q->n_orders; i++) {
        if (!is_key(q->orders[i].name) || q->orders[i].desc)
            return REFUSE("kind is required for all orders except __key__ "
                          "ascending");
    }
    return 0;
}

static int check_offset(struct ctx *ctx, struct query *q)
{
    return q->offset >= 0 ? 0 : REFUSE("Offset must be >= 0");
}

int query_check(struct ctx *ctx, struct query *q)
{
    static int (*const steps[])(struct ctx *, struct query *) = {
        check_app,        check_space,   check_operators, check_normal_form,
        check_projection, check_txn,     check_size,      check_ancestor,
        check_group_by,   check_filters, check_range,     check_kindless,
        query_derive,     check_offset,
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(steps) / sizeof(steps[0]); i++)
        rc = steps[i](ctx, q);
    return rc;
}
