/*
 * rpc - one API call, from the bytes of the envelope to the bytes of the
 * answer.
 *
 * The steps are the functions of rpc.c in order: decode the envelope, find the
 * method, authenticate the ticket, run (decoding the request and encoding the
 * response around a typed handler), answer, log.  A service is a table of
 * methods, and methods.c lists the services:
 *
 *     RPC_TYPED("BeginTransaction", datastore_begin,
 *               datastore_v3_BeginTransactionRequest,
 *               datastore_v3_Transaction, RPC_POOL),
 *     RPC_RAW("Get", datastore_get, RPC_INLINE | RPC_READ_ONLY),
 *
 * A typed handler gets a decoded request and an empty response:
 *
 *     int datastore_begin(struct ctx *ctx,
 *                 const struct datastore_v3_BeginTransactionRequest *in,
 *                 struct datastore_v3_Transaction *out);
 *
 * A raw one gets and gives bytes (hot paths, wire/pb.h):
 *
 *     int datastore_get(struct ctx *ctx, struct bytes in, struct buf *out);
 *
 * Both return 0 or an error whose story is in ctx->err; what was written to
 * `out` is then dropped.
 *
 * Where a call runs: an RPC_INLINE handler runs first on the loop that read it,
 * with ctx->may_wait false; when it answers ERR_WOULD_BLOCK it must have
 * changed nothing, and runs again from its start on a worker.  RPC_POOL
 * handlers go to a worker at once.
 *
 * Errors on the wire (wire contract 1.3-1.5): always a response, or an
 * application_error with detail, or an rpc_error; never `exception`, never rpc
 * code 0.  A story with an app_code, or a code in the service's err_map,
 * becomes an application_error; anything else an rpc_error.
 */
#ifndef RPC_RPC_H
#define RPC_RPC_H

#include "base/buf.h"
#include "base/ctx.h"
#include "net/http.h"
#include "service/env.h"
#include "wire_tables.h"

/* rpc_error codes, the names of the SDKs. */
enum rpc_error {
    RPC_CALL_NOT_FOUND = 1,
    RPC_PARSE_ERROR = 2,
    RPC_SECURITY_VIOLATION = 3,
    RPC_OVER_QUOTA = 4,
    RPC_REQUEST_TOO_LARGE = 5,
    RPC_CAPABILITY_DISABLED = 6,
    RPC_FEATURE_DISABLED = 7,
    RPC_BAD_REQUEST = 8,
    RPC_RESPONSE_TOO_LARGE = 9,
    RPC_CANCELLED = 10,
    RPC_REPLAY_ERROR = 11,
    RPC_DEADLINE_EXCEEDED = 12,
};

enum rpc_flags {
    RPC_INLINE = 1,     /* memory and page cache only; else a worker */
    RPC_POOL = 2,       /* may wait */
    RPC_READ_ONLY = 4,  /* allowed while the datastore is read-only */
    RPC_PLATFORM = 8,   /* for the controller's ticket alone */
    RPC_NO_TICKET = 16, /* anyone on this listener (null) */
    RPC_FOR_APP = 32,   /* for the controller, too: the request names the app */
};

struct rpc_method {
    const char *method;
    enum wire_type in, out; /* WIRE_NONE: a raw handler */
    int (*typed)(struct ctx *ctx, const void *in, void *out);
    int (*raw)(struct ctx *ctx, struct bytes in, struct buf *out);
    unsigned flags;
};

/* What Google's stubs take: 1 MiB, some services 32 (wire contract 1.6). */
enum {
    RPC_REQUEST_MAX = 1024 * 1024,
    RPC_REQUEST_MAX_LARGE = 32 * 1024 * 1024,
    RPC_RESPONSE_MAX = 50 * 1024 * 1024, /* the Java SDK's own limit */
};

struct rpc_service {
    const char *name;
    const struct rpc_err_map *errors; /* or NULL */
    const struct rpc_method *methods; /* ends with a row without a name */
    size_t request_max; /* bytes of an inner request, 0: RPC_REQUEST_MAX */
};

/* Rows.  The conversion is checked: handlers differ in their message types
 * only, which are all pointers to incomplete structs. */
#define RPC_RAW(name_, fn_, flags_)                                            \
    {                                                                          \
        .method = (name_), .raw = (fn_), .flags = (flags_)                     \
    }
#define RPC_TYPED(name_, fn_, in_, out_, flags_)                               \
    {                                                                          \
        .method = (name_), .in = WIRE_##in_, .out = WIRE_##out_,               \
        .typed = (int (*)(struct ctx *, const void *, void *))(                \
            1 ? (fn_)                                                          \
              : (int (*)(struct ctx *, const struct in_ *,                     \
                         struct out_ *))NULL),                                 \
        .flags = (flags_)                                                      \
    }

/* methods.c: every service and page this server answers, NULL-terminated. */
extern const struct rpc_service *const rpc_services[];
extern const struct http_route *const rpc_routes[];

/* ---- the server's side ---- */

struct rpc;

struct rpc_options {
    struct service_env *env;
    const char *project; /* env->emulator: the app of every call */
    int workers;         /* threads; 0: RPC_WORKERS */
    bool access_log;     /* a line per call */
    /* Before /metrics is made: set figures, append others.  Or NULL. */
    void (*gather)(struct ctx *ctx, struct buf *out, void *arg);
    void *gather_arg;
};

/*
 * Sixty-four connections that all put reach one sync of the log together only
 * if as many workers can wait for it.
 */
enum { RPC_WORKERS = 72, RPC_QUEUE_MAX = 4096 };

/* Build the table of methods and start the workers. */
int rpc_start(struct ctx *ctx, const struct rpc_options *o, struct rpc **out);

/* An http_request_fn: POST /rpc_http and the pages.  `arg` is the rpc. */
void rpc_handle(struct http_exchange *x, void *arg);

/* Once no exchange is with us any more: end the workers, free. */
void rpc_stop(struct rpc *rpc);

#endif
