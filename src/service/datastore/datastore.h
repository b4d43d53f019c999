/*
 * datastore - the RPC service "datastore_v3": the SDKs' requests, checked and
 * turned into calls of engine/, and its answers in the SDKs' shape.
 *
 * The handlers read their requests field by field (wire/pb.h) and pass
 * entities on as bytes.  Every refusal has the sentence the SDKs know from
 * Google's servers and stubs; docs/compatibility.md lists where we differ.
 *
 * Handlers need ctx->env->engine.  Get runs on the loop when the rows are at
 * hand; what writes runs on a worker.
 */
#ifndef SERVICE_DATASTORE_DATASTORE_H
#define SERVICE_DATASTORE_DATASTORE_H

#include "base/buf.h"
#include "service/env.h"

/*
 * Limits on what is stored.  Sources: [doc] "Datastore limits", [sdk] checks
 * of appengine-python-standard and its stubs.
 */
enum {
    DATASTORE_ENTITY_MAX = 1048572,    /* bytes of an entity [doc] */
    DATASTORE_INDEXED_MAX = 1500,      /* bytes of an indexed string [doc] */
    DATASTORE_LINK_MAX = 2083,         /* bytes of a link [sdk] */
    DATASTORE_RAW_MAX = 1048487,       /* bytes of an unindexed string [sdk] */
    DATASTORE_NAME_MAX = 1500,         /* bytes of a property name [doc] */
    DATASTORE_GET_KEYS_MAX = 300,      /* keys answered, when the rest may be
                                          deferred [sdk] */
    DATASTORE_GET_BYTES_MAX = 2000000, /* the same in bytes [sdk] */
    DATASTORE_IDS_MAX = 1000000000,    /* ids of one AllocateIds [sdk] */
    DATASTORE_REQUEST_MAX = 10 << 20,  /* bytes of a request [doc] */
};

/* ERR_* to datastore_v3.Error.ErrorCode. */
extern const struct rpc_err_map datastore_errors[];

int datastore_get(struct ctx *ctx, struct bytes in, struct buf *out);
int datastore_put(struct ctx *ctx, struct bytes in, struct buf *out);
int datastore_delete(struct ctx *ctx, struct bytes in, struct buf *out);
int datastore_allocate_ids(struct ctx *ctx, struct bytes in, struct buf *out);
int datastore_begin_transaction(struct ctx *ctx, struct bytes in,
                                struct buf *out);
int datastore_commit(struct ctx *ctx, struct bytes in, struct buf *out);
int datastore_rollback(struct ctx *ctx, struct bytes in, struct buf *out);
int datastore_run_query(struct ctx *ctx, struct bytes in, struct buf *out);
int datastore_next(struct ctx *ctx, struct bytes in, struct buf *out);
int datastore_get_indices(struct ctx *ctx, struct bytes in, struct buf *out);
int datastore_create_index(struct ctx *ctx, struct bytes in, struct buf *out);
int datastore_update_index(struct ctx *ctx, struct bytes in, struct buf *out);
int datastore_delete_index(struct ctx *ctx, struct bytes in, struct buf *out);

#endif
