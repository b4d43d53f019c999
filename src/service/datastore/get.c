/* get - keys in, entities as stored out. */
#include "service/datastore/datastore_int.h"

struct get_request {
    struct key *keys;
    size_t n, cap;
    struct bytes txn; /* p NULL: none */
    bool allow_deferred;
};

static int add_key(struct ctx *ctx, struct get_request *req, struct bytes ref)
{
    struct key *key;
    int rc;

    if (req->n == DATASTORE_KEYS_MAX)
        return ctx_err(ctx, ERR_INVALID,
                       "cannot get more than %d keys in a single call",
                       DATASTORE_KEYS_MAX);
    if (req->n == req->cap) {
        size_t more = req->cap ? 2 * req->cap : 4;

        req->keys =
            arena_grow(ctx->arena, req->keys, req->cap * sizeof(*req->keys),
                       more * sizeof(*req->keys));
        req->cap = more;
    }
    key = &req->keys[req->n++];
    rc = key_parse(ctx, ref, key);
    return rc ? rc : key_need_complete(ctx, key);
}

static int read_request(struct ctx *ctx, struct bytes in,
                        struct get_request *req)
{
    struct pb_reader r = PB_READER(in);
    int rc = 0;

    while (rc == 0 && pb_next(&r)) {
        if (r.field == 1 && r.kind == PB_BYTES)
            rc = add_key(ctx, req, r.bytes);
        else if (r.field == 2 && r.kind == PB_BYTES)
            req->txn = r.bytes;
        else if (r.field == 5 && r.kind == PB_VARINT)
            req->allow_deferred = r.u64 != 0;
    }
    if (rc == 0 && r.bad)
        return datastore_malformed(ctx, "GetRequest");
    return rc;
}

static int read_entities(struct ctx *ctx, const struct get_request *req,
                         const struct key *keys, size_t n,
                         struct engine_found *found)
{
    struct engine *e = ctx->env->engine;
    struct txn *txn;
    uint64_t handle;
    int rc;

    if (!req->txn.p)
        return engine_get(ctx, e, NULL, keys, n, found);
    rc = datastore_txn_read(ctx, req->txn, &handle);
    if (rc == 0)
        rc = txn_enter(ctx, e, handle, &txn);
    if (rc)
        return rc;
    rc = engine_get(ctx, e, txn, keys, n, found);
    txn_leave(txn);
    return rc;
}

/* GetResponse.Entity, a group. */
static void put_entity(struct buf *out, const struct key *key,
                       const struct engine_found *found, bool with_key)
{
    enum { ENTITY = 1, ENTITY_ENTITY = 2, ENTITY_VERSION = 3, ENTITY_KEY = 4 };

    buf_reserve(out, found->entity.n + key->whole.n + 32);
    pb_put_tag(out, ENTITY, PB_GROUP);
    if (found->found)
        pb_put_bytes(out, ENTITY_ENTITY, found->entity);
    if (found->version)
        pb_put_u64(out, ENTITY_VERSION, (uint64_t)found->version);
    if (with_key || !found->found)
        pb_put_bytes(out, ENTITY_KEY, key->whole);
    pb_put_tag(out, ENTITY, PB_END_GROUP);
}

/* How many of found[0..n-1] fit one answer; at least one. */
static size_t fitting(const struct engine_found *found, size_t n)
{
    size_t bytes = 0, i = 0;

    while (i < n && bytes <= DATASTORE_GET_BYTES_MAX)
        bytes += found[i++].entity.n;
    return i;
}

/*
 * With allow_deferred an answer has a bound, and the keys that do not fit are
 * named in `deferred` to be asked for again: all but the last ones when they
 * are many, then those behind the bytes.  Results carry their keys then, for
 * the SDK matches them by these.
 */
int datastore_get(struct ctx *ctx, struct bytes in, struct buf *out)
{
    enum { DEFERRED = 5, IN_ORDER = 6 };
    struct get_request req = {0};
    struct engine_found *found;
    size_t first = 0, end;
    int rc = read_request(ctx, in, &req);

    if (rc)
        return rc;
    if (req.allow_deferred && req.n > DATASTORE_GET_KEYS_MAX)
        first = req.n - DATASTORE_GET_KEYS_MAX;
    found = ARENA_ARRAY(ctx->arena, struct engine_found, req.n - first);
    rc = read_entities(ctx, &req, req.keys + first, req.n - first, found);
    if (rc)
        return rc;
    end = req.allow_deferred ? first + fitting(found, req.n - first) : req.n;
    for (size_t i = first; i < end; i++)
        put_entity(out, &req.keys[i], &found[i - first],
                   first > 0 || end < req.n);
    for (size_t i = 0; i < req.n; i++) {
        if (i < first || i >= end)
            pb_put_bytes(out, DEFERRED, req.keys[i].whole);
    }
    if (first > 0 || end < req.n)
        pb_put_u64(out, IN_ORDER, false);
    return 0;
}
