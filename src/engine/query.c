/*
 * query - a Query message field by field.  Values stay the bytes they came as:
 * they are encoded once it is known that the query is allowed.
 */
#include "engine/query.h"

#include "wire/pb.h"

const struct bytes query_key_name = {.p = "__key__", .n = 7};

enum { ASCENDING = 1, DESCENDING = 2 };

static int malformed(struct ctx *ctx, const char *what)
{
    return ctx_err(ctx, ERR_MALFORMED, "the query cannot be read: %s", what);
}

static int too_many(struct ctx *ctx)
{
    return ctx_err(ctx, ERR_INVALID,
                   "query is too large. may not have more than %d filters + "
                   "sort orders ancestor total",
                   QUERY_PARTS_MAX);
}

/* One more slot in an array of `n`; capacities are powers of two. */
static void *slot(struct ctx *ctx, void *v, size_t n, size_t size)
{
    if (n & (n - 1) || n == 0)
        return n ? v : arena_array(ctx->arena, size, 1);
    return arena_grow(ctx->arena, v, n * size, n * 2 * size);
}

static int read_filter(struct ctx *ctx, struct bytes in, struct query *q)
{
    struct pb_reader r = PB_READER(in);
    struct query_filter f = {0};
    struct entity_prop p = {0};

    if (q->n_filters >= QUERY_LIST_MAX)
        return too_many(ctx);
    while (pb_next(&r)) {
        if (r.field == 6 && r.kind == PB_VARINT) {
            f.op = (int)r.u64;
        } else if (r.field == 14 && r.kind == PB_BYTES) {
            if (!entity_prop_read(r.bytes, &p))
                return malformed(ctx, "a filter's property");
            if (f.n_props++ == 0) {
                f.name = p.name;
                f.pv = p.value;
            }
        }
    }
    if (r.bad || f.op == 0)
        return malformed(ctx, "a filter");
    q->filters = slot(ctx, q->filters, q->n_filters, sizeof(f));
    q->filters[q->n_filters++] = f;
    return 0;
}

static int read_order(struct ctx *ctx, struct bytes in, struct query *q)
{
    struct pb_reader r = PB_READER(in);
    struct query_order o = {0};
    uint64_t direction = ASCENDING;
    bool named = false;

    if (q->n_orders >= QUERY_LIST_MAX)
        return too_many(ctx);
    while (pb_next(&r)) {
        if (r.field == 10 && r.kind == PB_BYTES) {
            o.name = r.bytes;
            named = true;
        } else if (r.field == 11 && r.kind == PB_VARINT) {
            direction = r.u64;
        }
    }
    if (r.bad || !named || direction < ASCENDING || direction > DESCENDING)
        return malformed(ctx, "a sort order");
    o.desc = direction == DESCENDING;
    q->orders = slot(ctx, q->orders, q->n_orders, sizeof(o));
    q->orders[q->n_orders++] = o;
    return 0;
}

static int read_name(struct ctx *ctx, struct bytes name,
                     struct query_names *names)
{
    if (names->n >= QUERY_LIST_MAX)
        return too_many(ctx);
    names->v = slot(ctx, names->v, names->n, sizeof(name));
    names->v[names->n++] = name;
    return 0;
}

static int read_txn(struct ctx *ctx, struct bytes in, struct query *q)
{
    struct pb_reader r = PB_READER(in);

    q->has_txn = true;
    while (pb_next(&r)) {
        if (r.field == 1 && r.kind == PB_FIXED64)
            q->txn = r.u64;
    }
    return r.bad ? malformed(ctx, "its transaction") : 0;
}

static int read_bytes(struct ctx *ctx, const struct pb_reader *r,
                      struct query *q)
{
    switch (r->field) {
    case 1:
        q->app = r->bytes;
        return 0;
    case 3:
        q->kind = r->bytes;
        q->has_kind = true;
        return 0;
    case 17:
        q->ancestor_reference = r->bytes;
        q->has_ancestor = true;
        return 0;
    case 22:
        return read_txn(ctx, r->bytes, q);
    case 29:
        q->space = r->bytes;
        return 0;
    case 30:
        q->start_cursor = r->bytes;
        q->has_start = true;
        return 0;
    case 31:
        q->end_cursor = r->bytes;
        q->has_end = true;
        return 0;
    case 33:
        return read_name(ctx, r->bytes, &q->projection);
    case 34:
        return read_name(ctx, r->bytes, &q->group_by);
    case 42:
        return r->bytes.n == 0 ? 0
                               : ctx_err(ctx, ERR_INVALID,
                                         "there is only the default database");
    default:
        return 0;
    }
}

static void read_number(const struct pb_reader *r, struct query *q)
{
    switch (r->field) {
    case 12:
        q->offset = (int32_t)r->u64;
        break;
    case 16:
        q->limit = (int32_t)r->u64;
        q->has_limit = true;
        break;
    case 21:
        q->keys_only = r->u64 != 0;
        break;
    case 23:
        q->count = (int32_t)r->u64;
        q->has_count = true;
        break;
    case 25:
        q->compile = r->u64 != 0;
        break;
    case 43:
        q->shallow = r->u64 != 0;
        break;
    default:
        break;
    }
}

int query_read(struct ctx *ctx, struct bytes in, struct query *q)
{
    struct pb_reader r = PB_READER(in);
    int rc = 0;

    *q = (struct query){0};
    while (rc == 0 && pb_next(&r)) {
        if (r.kind == PB_GROUP && r.field == 4)
            rc = read_filter(ctx, r.bytes, q);
        else if (r.kind == PB_GROUP && r.field == 9)
            rc = read_order(ctx, r.bytes, q);
        else if (r.kind == PB_BYTES)
            rc = read_bytes(ctx, &r, q);
        else if (r.kind == PB_VARINT)
            read_number(&r, q);
    }
    if (rc == 0 && r.bad)
        rc = malformed(ctx, "its bytes are no message");
    if (rc == 0 && !q->app.p)
        rc = malformed(ctx, "no app");
    return rc;
}
