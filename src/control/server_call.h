/*
 * server_call - what the controller asks of appscale-server.
 *
 * The platform service of proto/platform.proto over POST /rpc_http, with the
 * platform's own ticket.  A call that cannot reach the server (it is being
 * restarted) is sent again until its patience is over, so callers see only
 * answers and real failures.  Thread rule: the loop's.
 */
#ifndef CONTROL_SERVER_CALL_H
#define CONTROL_SERVER_CALL_H

#include "base/ctx.h"
#include "wire_tables.h"

struct control;

/*
 * The answer: on rc 0, `out` is the decoded message of the expected type.
 * Else the story is in ctx->err.  Both live until the callback returns.
 */
typedef void server_call_fn(struct ctx *ctx, int rc, const void *out,
                            void *arg);

struct server_call {
    const char *method; /* "Commit" */
    enum wire_type in, out;
    const void *message; /* encoded before server_call() returns */
    server_call_fn *fn;  /* runs exactly once, on the loop, later */
    void *arg;
};

/*
 * Send a call.  Everything in `call` but `arg` is read before it returns; `ctx`
 * serves only to encode.  A server that cannot be reached is tried for
 * CALL_PATIENCE (20 s) at most, or until the controller stops.
 */
void server_call(struct ctx *ctx, struct control *ctl,
                 const struct server_call *call);

/* ---- the tables ---- */

/* One row to write, or (text NULL) to delete. */
struct server_row {
    const char *table;
    const char *row;
    const char *text;
};

typedef void server_done_fn(struct ctx *ctx, int rc, void *arg);

/*
 * Write `rows`, all or nothing, and only if each of `still` holds: a row that
 * has just that text, or (text NULL) is not there.  ERR_CONFLICT when one does
 * not.  A commit whose answer was lost is sent again and may then find its own
 * rows: who is told of a conflict looks.
 */
void server_commit(struct ctx *ctx, struct control *ctl,
                   const struct server_row *still, size_t n_still,
                   const struct server_row *rows, size_t n, server_done_fn *fn,
                   void *arg);

/* As server_commit() without conditions. */
void server_write(struct ctx *ctx, struct control *ctl,
                  const struct server_row *rows, size_t n, server_done_fn *fn,
                  void *arg);

struct version;

/*
 * Hand every ticket of the model (and `extra`'s, when given: a version that is
 * not in the model yet) to the server, which replaces its whole table by them;
 * fn tells.
 */
void server_tickets(struct ctx *ctx, struct control *ctl,
                    const struct version *extra, server_done_fn *fn, void *arg);

#endif
