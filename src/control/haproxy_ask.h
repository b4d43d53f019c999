/*
 * haproxy_ask - one question to haproxy's runtime socket.
 *
 * Thread rule: the loop's.
 */
#ifndef CONTROL_HAPROXY_ASK_H
#define CONTROL_HAPROXY_ASK_H

#include "base/bytes.h"

#include <uv.h>

/* The whole answer, valid during the call; empty when haproxy did not answer
 * (it is being restarted). */
typedef void haproxy_ask_fn(struct bytes answer, void *arg);

/* Send `command` ("show info"); fn runs once, on the loop, later. */
void haproxy_ask(uv_loop_t *loop, const char *socket, const char *command,
                 haproxy_ask_fn *fn, void *arg);

/* The value behind "name: " in an answer of `show info`; BYTES_NONE. */
struct bytes haproxy_info(struct bytes answer, const char *name);

/* A backend, or a server of one, as `show stat` has it; the strings point into
 * the answer. */
struct haproxy_stat {
    struct bytes backend, server; /* server: "BACKEND" for all of it */
    int queued, running;
    int64_t total, errors; /* requests so far; answered with 5xx */
    int64_t latency;       /* milliseconds, the last 1024 requests' average */
};

/* The next row of the answer, taken off its front; false at the end. */
bool haproxy_stat_next(struct bytes *answer, struct haproxy_stat *out);

/* Requests running and queued in `backend`, from `show stat` (CSV); -1 when
 * it is not there. */
int64_t haproxy_load(struct bytes answer, const char *backend);

#endif
