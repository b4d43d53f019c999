/*
 * procfs - what the kernel tells about processes and their sockets.
 *
 * A process is known by its pid and its start time together: pids come again,
 * the pair does not.  Every function answers from the moment; a process may be
 * gone when it returns.  Any thread.
 */
#ifndef BASE_PROCFS_H
#define BASE_PROCFS_H

#include "base/arena.h"

#include <sys/types.h>

struct procfs_stat {
    pid_t pid, parent, session;
    uint64_t start_time; /* clock ticks after boot */
    uint64_t cpu_ticks;  /* its own, and of the children it has waited for */
    int64_t bytes;       /* resident */
};

/* False when there is no such process, or it is a zombie. */
bool procfs_stat(pid_t pid, struct procfs_stat *out);

/* Every process there is, ordered by pid; in the arena. */
size_t procfs_all(struct arena *a, struct procfs_stat **out);

/*
 * The process that holds the client's end of the TCP connection whose end is
 * `peer` ("127.0.0.1:4711", "[::1]:4711"); of several (a forked child has
 * it, too) the first.  0 when none shows: it is another machine's, or this
 * process may not look.
 */
pid_t procfs_socket_owner(const char *peer);

/* Whether a program of one of the users from `first` to `last`, but `except`,
 * listens on the TCP port, whatever the address. */
bool procfs_listens(int port, uid_t first, uid_t last, uid_t except);

/* The value of a variable of the environment it was started with, in the arena;
 * NULL when it has none, or may not be looked at. */
const char *procfs_env(struct arena *a, pid_t pid, const char *name);

/* Seconds since boot that `ticks` are. */
double procfs_seconds(uint64_t ticks);

#endif
