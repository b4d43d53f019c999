/*
 * rpc_int - what rpc's files share.
 */
#ifndef RPC_RPC_INT_H
#define RPC_RPC_INT_H

#include "base/metrics.h"
#include "rpc/pool.h"
#include "rpc/rpc.h"

/* A method with its figures, found by hash. */
struct rpc_entry {
    const struct rpc_service *service;
    const struct rpc_method *method;
    uint64_t hash;
    struct metric_histogram latency;
    uint64_t errors; /* relaxed */
};

struct rpc_table {
    struct rpc_entry *entries;
    size_t n;
    struct rpc_entry **slots; /* open addressing, a power of two */
    size_t n_slots;
};

struct rpc {
    struct rpc_options o;
    struct rpc_table table;
    struct rpc_pool *pool;
};

/* One call, in the exchange's arena. */
struct rpc_call {
    struct rpc_job job;
    struct rpc *rpc;
    struct http_exchange *x;
    struct ctx ctx;
    struct bytes service, method, request, ticket; /* of the envelope */
    struct rpc_entry *entry;                       /* NULL: not found */
    struct buf out;                                /* the response message */
    struct bytes encoded;                          /* of a typed handler */
    bool ran;                                      /* the service has seen it */
    enum rpc_error as; /* this rpc error whatever rc says; 0: none */
    int rc;
};

/* ---- table.c ---- */

/*
 * Build the table, before any thread looks into it.  A method that is there
 * twice, or a row that is not complete, is a BUG.
 */
void rpc_table_init(struct rpc_table *t,
                    const struct rpc_service *const *services);

/*
 * The entry of a method, or NULL.  The table does not change after
 * rpc_table_init(), so any thread may look without a lock.
 */
struct rpc_entry *rpc_table_find(const struct rpc_table *t,
                                 struct bytes service, struct bytes method);

/* Free the table; no entry may be in use. */
void rpc_table_release(struct rpc_table *t);

/* ---- answer.c ---- */

/* Make the HTTP response of a finished call: call->rc, ctx->err, out. */
void rpc_answer(struct rpc_call *call);

/* ---- pages.c ---- */

/* Answer a request for anything but /rpc_http. */
void rpc_page(struct rpc *rpc, struct http_exchange *x);

#endif
