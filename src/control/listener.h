/*
 * listener - a socket that outlives who accepts on it.
 *
 * The controller opens what nginx, haproxy and the server listen on, keeps it
 * open, and hands it to each of them as a descriptor.  While one of them is
 * being started again, whoever connects waits in the kernel's queue instead of
 * being refused. A controller that finds them running takes a copy of theirs.
 * Thread rule: the loop's.
 */
#ifndef CONTROL_LISTENER_H
#define CONTROL_LISTENER_H

#include "base/ctx.h"

#include <sys/types.h>

struct listener {
    const char *path;    /* a socket of the file system, mode 0600; or NULL */
    const char *address; /* IPv4 or IPv6, numeric */
    int port;
    int fd; /* -1 until it is open */
};

enum { LISTENER_BACKLOG = 4096, LISTENER_FIRST_FD = 3 };

/*
 * Open it unless it is.  A socket file that is in the way is taken away: our
 * lock says that nobody uses it.  ERR_UNAVAILABLE when the port is taken.
 */
int listener_open(struct ctx *ctx, struct listener *l);

/* Copy the listening descriptor `fd` of process `pid`; when that cannot be,
 * *l stays closed and is opened anew when it is needed. */
void listener_take(struct listener *l, pid_t pid, int fd);

#endif
