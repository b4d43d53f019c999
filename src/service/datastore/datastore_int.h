/*
 * datastore_int - what the handlers share.
 */
#ifndef SERVICE_DATASTORE_DATASTORE_INT_H
#define SERVICE_DATASTORE_DATASTORE_INT_H

#include "engine/engine.h"
#include "engine/txn.h"
#include "service/datastore/datastore.h"
#include "wire/pb.h"

/* "not a valid datastore_v3.NAME" */
int datastore_malformed(struct ctx *ctx, const char *name);

/* Refuse an app id that is not the caller's. */
int datastore_check_app(struct ctx *ctx, struct bytes app);

/* Read a datastore_v3.Transaction message of the caller's app. */
int datastore_txn_read(struct ctx *ctx, struct bytes in, uint64_t *handle);

/*
 * Check one entity of a Put, its key left aside.  *fix says that stored bytes
 * must differ from the sent ones: a user value lacks its id, or entity_group
 * is not `key`'s root.
 */
int datastore_check_entity(struct ctx *ctx, struct bytes entity,
                           const struct key *key, bool *fix);

/* Refuse kinds kept for the datastore itself. */
int datastore_check_kinds(struct ctx *ctx, const struct key *key);

/* Append a Cost message as field `field`; `cost` NULL: an empty one. */
void datastore_put_cost(struct buf *out, uint32_t field,
                        const struct engine_cost *cost);

#endif
