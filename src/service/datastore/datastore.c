/*
 * datastore - what all methods share: the map of errors, the check of the app,
 * handles, and costs.
 */
#include "datastore_v3.pb.h"
#include "service/datastore/datastore_int.h"

/*
 * What surely was not written may be tried again by the SDK: that is
 * CONCURRENT_TRANSACTION.  What perhaps was written is a TIMEOUT.  An entity
 * that is too large is no row here, nor is a message that cannot be decoded:
 * these are the RPC's own errors.  So is a write in read-only mode: every SDK
 * has its CapabilityDisabled exception for the RPC error, while Java and Go
 * know no more of code 9 than its number.
 */
const struct rpc_err_map datastore_errors[] = {
    {ERR_INVALID, datastore_v3_Error_BAD_REQUEST},
    {ERR_NOT_FOUND, datastore_v3_Error_BAD_REQUEST},
    {ERR_EXISTS, datastore_v3_Error_BAD_REQUEST},
    {ERR_CONFLICT, datastore_v3_Error_CONCURRENT_TRANSACTION},
    {ERR_ABORTED, datastore_v3_Error_CONCURRENT_TRANSACTION},
    {ERR_NEED_INDEX, datastore_v3_Error_NEED_INDEX},
    {ERR_DEADLINE, datastore_v3_Error_TIMEOUT},
    {ERR_UNKNOWN, datastore_v3_Error_TIMEOUT},
    {ERR_UNAVAILABLE, datastore_v3_Error_TIMEOUT},
    {ERR_CANCELLED, datastore_v3_Error_TIMEOUT},
    {ERR_DENIED, datastore_v3_Error_PERMISSION_DENIED},
    {ERR_EXHAUSTED, datastore_v3_Error_RESOURCE_EXHAUSTED},
    {ERR_INTERNAL, datastore_v3_Error_INTERNAL_ERROR},
    {ERR_IO, datastore_v3_Error_INTERNAL_ERROR},
    {ERR_NO_SPACE, datastore_v3_Error_INTERNAL_ERROR},
    {ERR_CORRUPT, datastore_v3_Error_INTERNAL_ERROR},
    {0, 0},
};

int datastore_malformed(struct ctx *ctx, const char *name)
{
    return ctx_err(ctx, ERR_MALFORMED, "not a valid datastore_v3.%s", name);
}

int datastore_check_app(struct ctx *ctx, struct bytes app)
{
    if (bytes_eq(key_project(app), ctx->app))
        return 0;
    return ctx_err(ctx, ERR_INVALID,
                   "app \"%.*s\" cannot access app \"%.*s\"'s data",
                   BYTES_FMT(ctx->app), BYTES_FMT(app));
}

int datastore_txn_read(struct ctx *ctx, struct bytes in, uint64_t *handle)
{
    struct pb_reader r = PB_READER(in);
    struct bytes app = BYTES_NONE;
    bool has_handle = false;

    while (pb_next(&r)) {
        if (r.field == 1 && r.kind == PB_FIXED64) {
            *handle = r.u64;
            has_handle = true;
        } else if (r.field == 2 && r.kind == PB_BYTES) {
            app = r.bytes;
        }
    }
    if (r.bad || !has_handle)
        return datastore_malformed(ctx, "Transaction");
    return datastore_check_app(ctx, app);
}

void datastore_put_cost(struct buf *out, uint32_t field,
                        const struct engine_cost *cost)
{
    uint8_t room[64];
    struct buf in = {.p = room, .cap = sizeof(room)};

    if (cost) {
        pb_put_u64(&in, 1, (uint64_t)cost->index_writes);
        pb_put_u64(&in, 3, (uint64_t)cost->entity_writes);
    }
    pb_put_bytes(out, field, buf_view(&in));
}
