/*
 * state - DIR/run/state, what the next controller needs to find its children.
 *
 * A JSON document replaced whole on every change.  A record names a process,
 * its pid with its start time, the digest of what it was started with (a
 * child of an older configuration is replaced) and the port it was given.
 */
#ifndef CONTROL_STATE_H
#define CONTROL_STATE_H

#include "base/buf.h"
#include "base/ctx.h"

#include <sys/types.h>

enum { STATE_DIGEST = 32 }; /* hex digits */

struct state_record {
    const char *name;
    pid_t pid;
    uint64_t start_time;
    char digest[STATE_DIGEST + 1];
    int port; /* 0: none */
};

struct state {
    struct state_record *records;
    size_t n;
};

/* Parse; in ctx->arena.  ERR_CORRUPT with the reason: the caller goes on
 * without, and looks for children by their mark. */
int state_parse(struct ctx *ctx, struct bytes text, struct state *out);

/* The document. */
void state_format(const struct state *s, struct buf *out);

/* The record of that name, or NULL. */
const struct state_record *state_find(const struct state *s, const char *name);

/* Whether the process of that name's record runs yet. */
bool state_running(const struct state *s, const char *name);

/* The digest of NULL-terminated lists of words. */
void state_digest(const char *const *argv, const char *const *env,
                  char out[STATE_DIGEST + 1]);

#endif
