/*
 * What this server answers: the services, each a table of methods, and the
 * pages.  Adding an API is adding rows.
 */
#include "rpc/rpc.h"

#include "service/datastore/datastore.h"

/* ---- appscale: the server itself ---- */

/* Nothing, as fast as it goes: what a call costs before it does anything. */
static int null_call(struct ctx *ctx, struct bytes in, struct buf *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    return 0;
}

static const struct rpc_method appscale_methods[] = {
    RPC_RAW("Null", null_call, RPC_INLINE | RPC_NO_TICKET | RPC_READ_ONLY),
    {0},
};

static const struct rpc_service appscale = {
    .name = "appscale",
    .methods = appscale_methods,
};

/* ---- datastore_v3 ---- */

#define DATASTORE(name_, fn_, flags_)                                          \
    {                                                                          \
        .method = (name_), .raw = (fn_), .flags = (flags_),                    \
        .request_max = DATASTORE_REQUEST_MAX                                   \
    }

static const struct rpc_method datastore_methods[] = {
    DATASTORE("Get", datastore_get, RPC_INLINE | RPC_READ_ONLY),
    DATASTORE("Put", datastore_put, RPC_POOL),
    DATASTORE("Delete", datastore_delete, RPC_POOL),
    DATASTORE("AllocateIds", datastore_allocate_ids, RPC_POOL),
    DATASTORE("BeginTransaction", datastore_begin_transaction,
              RPC_INLINE | RPC_READ_ONLY),
    DATASTORE("Commit", datastore_commit, RPC_POOL),
    DATASTORE("Rollback", datastore_rollback, RPC_POOL | RPC_READ_ONLY),
    DATASTORE("GetIndices", datastore_get_indices, RPC_INLINE | RPC_READ_ONLY),
    DATASTORE("CreateIndex", datastore_create_index, RPC_POOL),
    DATASTORE("UpdateIndex", datastore_update_index, RPC_POOL),
    DATASTORE("DeleteIndex", datastore_delete_index, RPC_POOL),
    {0},
};

static const struct rpc_service datastore = {
    .name = "datastore_v3",
    .errors = datastore_errors,
    .methods = datastore_methods,
};

/* ---- all of them ---- */

const struct rpc_service *const rpc_services[] = {
    &appscale,
    &datastore,
    NULL,
};

const struct http_route *const rpc_routes[] = {
    NULL,
};
