/*
 * What this server answers: the services, each a table of methods, and the
 * pages.  Adding an API is adding rows.
 */
#include "rpc/rpc.h"

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

/* ---- all of them ---- */

const struct rpc_service *const rpc_services[] = {
    &appscale,
    NULL,
};

const struct http_route *const rpc_routes[] = {
    NULL,
};
