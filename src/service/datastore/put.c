/*
 * put - Put and Delete: mutations read from the request, then applied at once
 * or noted in a transaction.
 */
#include "engine/stats.h"
#include "service/datastore/datastore_int.h"

/* A Put or a Delete: what is to be changed, and in which transaction. */
struct write_request {
    struct engine_mutation *mutations;
    bool *fix; /* the entity has to be rewritten before it is stored */
    size_t n;
    struct bytes txn; /* p NULL: none */
};

/* A loop notes writes of a transaction of up to so many bytes itself. */
enum { INLINE_MAX = 32 * 1024 };

/* Count field `field`, find the transaction's; `name` is the message's. */
static int scan_request(struct ctx *ctx, struct bytes in, uint32_t field,
                        uint32_t txn_field, const char *name,
                        struct write_request *req)
{
    struct pb_reader r = PB_READER(in);
    size_t n = 0;

    *req = (struct write_request){0};
    while (pb_next(&r)) {
        n += r.field == field && r.kind == PB_BYTES;
        if (r.field == txn_field && r.kind == PB_BYTES)
            req->txn = r.bytes;
    }
    if (r.bad)
        return datastore_malformed(ctx, name);
    if (!ctx->may_wait && (!req->txn.p || in.n > INLINE_MAX))
        return ERR_WOULD_BLOCK;
    if (n > DATASTORE_WRITES_MAX)
        return ctx_err(ctx, ERR_INVALID,
                       "cannot write more than %d entities in a single call",
                       DATASTORE_WRITES_MAX);
    req->mutations = ARENA_ARRAY(ctx->arena, struct engine_mutation, n);
    req->fix = ARENA_ARRAY(ctx->arena, bool, n);
    return 0;
}

/* ---- Put ---- */

static int read_entity(struct ctx *ctx, struct write_request *req,
                       struct bytes entity)
{
    struct engine_mutation *m = &req->mutations[req->n];
    struct bytes reference;
    int rc;

    if (!entity_key(entity, &reference))
        return datastore_malformed(ctx, "PutRequest");
    m->entity = entity;
    rc = key_parse(ctx, reference, &m->key);
    if (rc == 0)
        rc = datastore_check_kinds(ctx, &m->key);
    if (rc == 0)
        rc = datastore_check_entity(ctx, entity, &m->key, &req->fix[req->n]);
    req->fix[req->n] |= !m->key.complete;
    req->n++;
    return rc;
}

static int read_put(struct ctx *ctx, struct bytes in, struct write_request *req)
{
    struct pb_reader r = PB_READER(in);
    int rc = scan_request(ctx, in, 1, 2, "PutRequest", req);

    while (rc == 0 && pb_next(&r)) {
        if (r.field == 1 && r.kind == PB_BYTES)
            rc = read_entity(ctx, req, r.bytes);
    }
    return rc;
}

/* Ids for the new ones; then every entity is as it will be stored. */
static int finish_entities(struct ctx *ctx, struct write_request *req)
{
    struct key **keys = ARENA_ARRAY(ctx->arena, struct key *, req->n);
    size_t n = 0;
    int rc;

    for (size_t i = 0; i < req->n; i++) {
        if (!req->mutations[i].key.complete)
            keys[n++] = &req->mutations[i].key;
    }
    rc = engine_ids_complete(ctx, ctx->env->engine, keys, n);
    for (size_t i = 0; i < req->n && rc == 0; i++) {
        struct engine_mutation *m = &req->mutations[i];
        struct buf out = BUF_IN(ctx->arena);

        if (!req->fix[i])
            continue;
        entity_rewrite(&out, ctx->arena, m->entity, &m->key);
        m->entity = buf_view(&out);
    }
    return rc;
}

/* ---- both ---- */

static int write_in_txn(struct ctx *ctx, struct txn *txn,
                        const struct write_request *req)
{
    int rc = 0;

    for (size_t i = 0; i < req->n && rc == 0; i++)
        rc = txn_write(ctx, txn, &req->mutations[i]);
    return rc;
}

/* *cost stays zero in a transaction: it is told at the commit. */
static int apply(struct ctx *ctx, struct write_request *req,
                 struct engine_cost *cost)
{
    struct engine *e = ctx->env->engine;
    struct txn *txn;
    uint64_t handle;
    int rc;

    if (!req->txn.p)
        return engine_write(ctx, e, req->mutations, req->n, cost);
    rc = datastore_txn_read(ctx, req->txn, &handle);
    if (rc == 0)
        rc = txn_enter(ctx, e, handle, &txn);
    if (rc)
        return rc;
    rc = write_in_txn(ctx, txn, req);
    txn_leave(txn);
    return rc;
}

static void put_versions(struct buf *out, uint32_t field,
                         const struct write_request *req)
{
    for (size_t i = 0; i < req->n && !req->txn.p; i++)
        pb_put_u64(out, field, (uint64_t)req->mutations[i].version);
}

int datastore_put(struct ctx *ctx, struct bytes in, struct buf *out)
{
    enum { KEY = 1, COST = 2, VERSION = 3 };
    struct write_request req;
    struct engine_cost cost = {0};
    int rc;

    rc = read_put(ctx, in, &req);
    if (rc == 0)
        rc = finish_entities(ctx, &req);
    if (rc == 0)
        rc = apply(ctx, &req, &cost);
    if (rc)
        return rc;
    for (size_t i = 0; i < req.n; i++)
        key_put_field(out, KEY, &req.mutations[i].key);
    datastore_put_cost(out, COST, req.txn.p ? NULL : &cost);
    put_versions(out, VERSION, &req);
    return 0;
}

/* ---- Delete ---- */

static int read_delete(struct ctx *ctx, struct bytes in,
                       struct write_request *req)
{
    enum { KEY = 6, TXN = 5 };
    struct pb_reader r = PB_READER(in);
    int rc = scan_request(ctx, in, KEY, TXN, "DeleteRequest", req);

    while (rc == 0 && pb_next(&r)) {
        struct key *key = &req->mutations[req->n].key;

        if (r.field != KEY || r.kind != PB_BYTES)
            continue;
        req->n++;
        rc = key_parse(ctx, r.bytes, key);
        if (rc == 0)
            rc = key_need_complete(ctx, key);
        if (rc == 0 && stats_is_kind(key->kind))
            rc = datastore_check_kinds(ctx, key);
    }
    return rc;
}

int datastore_delete(struct ctx *ctx, struct bytes in, struct buf *out)
{
    enum { COST = 1, VERSION = 3 };
    struct write_request req;
    struct engine_cost cost = {0};
    int rc;

    rc = read_delete(ctx, in, &req);
    if (rc == 0)
        rc = apply(ctx, &req, &cost);
    if (rc)
        return rc;
    datastore_put_cost(out, COST, req.txn.p ? NULL : &cost);
    put_versions(out, VERSION, &req);
    return 0;
}
