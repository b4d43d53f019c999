/*
 * ctx - what travels first in every call.
 *
 * The memory of the request, its deadline, who asks, and where the story of a
 * failure goes.  One request, one ctx; it belongs to the thread that runs the
 * request and moves with it.  A process-wide chore (a supervisor's tick, a
 * test) makes its own with ctx_init().
 */
#ifndef BASE_CTX_H
#define BASE_CTX_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"

struct ctx {
    struct arena *arena;
    int64_t deadline; /* clock_mono() microseconds; CTX_FOREVER */
    struct err err;
    struct bytes app;        /* project id, no partition prefix; or empty */
    struct bytes request_id; /* for the log; or empty */
    struct bytes service;    /* the caller's service and version; or empty */
    struct bytes version;
    struct bytes peer;       /* who is at the other end, "127.0.0.1:4711" */
    bool may_wait;           /* false on a network loop: do not block */
    struct service_env *env; /* what services stand on (service/env.h) */
    void *wire_arena;        /* wire/'s view of the arena, made on demand */
};

#define CTX_FOREVER INT64_MAX

/* A ctx over `arena` with no deadline, that may wait. */
void ctx_init(struct ctx *ctx, struct arena *arena);

/* Microseconds left; never negative. */
int64_t ctx_left(const struct ctx *ctx);

/*
 * Record the story of a failure and return `code`.  The first story of a
 * request stands: a caller that adds its own replaces it with ctx_err_clear()
 * first.
 */
int ctx_err_at(struct ctx *ctx, const char *file, int line, enum err_code code,
               int32_t app_code, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

#define ctx_err(ctx_, code_, ...)                                              \
    ctx_err_at((ctx_), __FILE__, __LINE__, (code_), 0, __VA_ARGS__)

/* As ctx_err(), with the number of the service's own error enum. */
#define ctx_app_err(ctx_, code_, app_code_, ...)                               \
    ctx_err_at((ctx_), __FILE__, __LINE__, (code_), (app_code_), __VA_ARGS__)

/* Forget the story, so that the next one stands. */
void ctx_err_clear(struct ctx *ctx);

/* The story if there is one, else the sentence of `code`. */
const char *ctx_err_text(const struct ctx *ctx, int code);

#endif
