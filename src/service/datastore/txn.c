/* txn - a transaction's begin and end; engine/txn.h keeps it in between. */
#include "service/datastore/datastore_int.h"

int datastore_begin_transaction(struct ctx *ctx, struct bytes in,
                                struct buf *out)
{
    enum { APP = 1, CROSS_GROUP = 2, DATABASE = 4, MODE = 5, PREVIOUS = 7 };
    struct pb_reader r = PB_READER(in);
    struct txn_options o = {0};
    struct bytes app = BYTES_NONE;
    uint64_t handle;
    int rc = 0;

    while (rc == 0 && pb_next(&r)) {
        if (r.field == APP && r.kind == PB_BYTES)
            app = r.bytes;
        else if (r.field == DATABASE && r.kind == PB_BYTES && r.bytes.n)
            rc =
                ctx_err(ctx, ERR_INVALID, "there is only the default database");
        else if (r.field == CROSS_GROUP && r.kind == PB_VARINT)
            o.cross_group = r.u64 != 0;
        else if (r.field == MODE && r.kind == PB_VARINT)
            o.mode = (enum txn_mode)r.u64;
        else if (r.field == PREVIOUS && r.kind == PB_BYTES)
            rc = datastore_txn_read(ctx, r.bytes, &o.previous);
    }
    if (r.bad)
        return datastore_malformed(ctx, "BeginTransactionRequest");
    if (rc == 0)
        rc = datastore_check_app(ctx, app);
    if (rc == 0)
        rc = txn_begin(ctx, ctx->env->engine, &o, &handle);
    if (rc)
        return rc;
    pb_put_fixed64(out, 1, handle);
    pb_put_bytes(out, 2, app);
    return 0;
}

/* CommitResponse.Version, a group: the entity's own key, whatever its name. */
static void put_version(struct buf *out, const struct engine_mutation *m)
{
    enum { VERSION = 3, ROOT_ENTITY_KEY = 4, VERSION_VERSION = 5 };

    pb_put_tag(out, VERSION, PB_GROUP);
    key_put_field(out, ROOT_ENTITY_KEY, &m->key);
    pb_put_u64(out, VERSION_VERSION, (uint64_t)m->version);
    pb_put_tag(out, VERSION, PB_END_GROUP);
}

int datastore_commit(struct ctx *ctx, struct bytes in, struct buf *out)
{
    struct txn_result result;
    uint64_t handle;
    int rc = datastore_txn_read(ctx, in, &handle);

    if (rc == 0)
        rc = txn_commit(ctx, ctx->env->engine, handle, &result);
    if (rc)
        return rc;
    datastore_put_cost(out, 1, result.n ? &result.cost : NULL);
    for (size_t i = 0; i < result.n; i++)
        put_version(out, &result.mutations[i]);
    return 0;
}

int datastore_rollback(struct ctx *ctx, struct bytes in, struct buf *out)
{
    uint64_t handle;
    int rc = datastore_txn_read(ctx, in, &handle);

    return rc ? rc : txn_rollback(ctx, ctx->env->engine, handle);
}
