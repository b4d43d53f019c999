/*
 * servers - haproxy gives requests to the instances that take them.
 *
 * An instance that begins or ends to take requests changes one server of one
 * backend of the running haproxy, over its runtime socket: nothing is
 * reloaded.  haproxy is asked what it has, told what differs, and asked again
 * until nothing does, so it does not matter who was there before (a haproxy
 * just started or reloaded, the servers of the last controller).
 * Thread rule: the loop's.
 */
#ifndef CONTROL_SERVERS_H
#define CONTROL_SERVERS_H

#include "control/control_int.h"

/* Make ctl->servers. */
void servers_start(struct control *ctl);

/* haproxy follows the instances; fn (or NULL) runs once, later: 0, or
 * ERR_UNAVAILABLE when haproxy does not. */
typedef void servers_fn(struct ctx *ctx, int rc, void *arg);
void servers_follow(struct control *ctl, servers_fn *fn, void *arg);

/* A server as haproxy has it; the strings point into the answer. */
struct servers_row {
    struct bytes backend, name;
    int port;
    bool out; /* in maintenance: takes nothing new */
};

/* The next row of an answer to `show servers state`, taken off its front;
 * false at the end. */
bool servers_next(struct bytes *answer, struct servers_row *out);

#endif
