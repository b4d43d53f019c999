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
    DATASTORE_KEYS_MAX = 1000,         /* keys of one Get [doc] */
    DATASTORE_WRITES_MAX = 500,        /* entities of one Put, keys of one
                                          Delete [doc] */
    DATASTORE_GET_KEYS_MAX = 300,      /* keys answered, when the rest may be
                                          deferred [sdk] */
    DATASTORE_GET_BYTES_MAX = 2000000, /* the same in bytes [sdk] */
    DATASTORE_IDS_MAX = 1000000000,    /* ids of one AllocateIds [sdk] */
    DATASTORE_REQUEST_MAX = 10 << 20,  /* bytes of a request [doc] */
};

/* ERR_* to datastore_v3.Error.ErrorCode. */
extern const struct rpc_err_map datastore_errors[];

/*
 * Entities by key, as of one moment.  When the request allows it, what does not
 * fit into an answer is deferred: its keys come back for another call.
 */
int datastore_get(struct ctx *ctx, struct bytes in, struct buf *out);

/*
 * Store entities; an incomplete key gets its id, and the keys are answered in
 * the request's order.  In a transaction it is only noted, and costs nothing
 * yet.
 */
int datastore_put(struct ctx *ctx, struct bytes in, struct buf *out);

/*
 * Delete by complete key; what does not exist is as good as deleted.  In a
 * transaction as datastore_put().
 */
int datastore_delete(struct ctx *ctx, struct bytes in, struct buf *out);

/*
 * Hand out a range of ids, or mark the ids of the given keys as used so that
 * they are never handed out; never both in one request, as the sentences say.
 */
int datastore_allocate_ids(struct ctx *ctx, struct bytes in, struct buf *out);

/*
 * Open a transaction of the caller's app; the handle answered cannot be
 * guessed.
 */
int datastore_begin_transaction(struct ctx *ctx, struct bytes in,
                                struct buf *out);

/*
 * Commit: ERR_CONFLICT when a group it read has changed.  The handle is of no
 * use afterwards, whatever the outcome.
 */
int datastore_commit(struct ctx *ctx, struct bytes in, struct buf *out);

/* Forget a transaction; nothing has been written of it. */
int datastore_rollback(struct ctx *ctx, struct bytes in, struct buf *out);

/* The first batch of a query.  Errors as query_run(). */
int datastore_run_query(struct ctx *ctx, struct bytes in, struct buf *out);

/* The next batch of an open query, as of the first for a while (query_open.h).
 */
int datastore_next(struct ctx *ctx, struct bytes in, struct buf *out);

/*
 * The app's composite indexes with their states, those under deletion left out.
 */
int datastore_get_indices(struct ctx *ctx, struct bytes in, struct buf *out);

/*
 * Define an index.  One asked for as READ_WRITE is built before the answer,
 * else by the engine's own thread.  ERR_EXISTS for a shape that is there.
 */
int datastore_create_index(struct ctx *ctx, struct bytes in, struct buf *out);

/*
 * Move an index to another state: only towards its deletion has any effect.
 * WRITE_ONLY to READ_WRITE is answered and left to the builder; the rest is
 * refused.
 */
int datastore_update_index(struct ctx *ctx, struct bytes in, struct buf *out);

/* Stop using an index now; its rows go later, on the engine's thread. */
int datastore_delete_index(struct ctx *ctx, struct bytes in, struct buf *out);

#endif
