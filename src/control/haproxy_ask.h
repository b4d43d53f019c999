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

/* Requests running and queued in `backend`, from `show stat` (CSV); -1 when
 * it is not there. */
int64_t haproxy_load(struct bytes answer, const char *backend);

#endif
