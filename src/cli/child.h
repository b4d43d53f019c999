/*
 * child - processes that end with us, and those that outlive us.
 *
 * child_start() is for the emulator, child_start_piped() for a child whose
 * words we read: the kernel kills the child when we die, however we die.
 * child_detach() is for `up`: a session of its own, its output in a file.
 * Thread rule: the process has one thread, and SIGCHLD is blocked or ignored by
 * whoever waits.
 */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include "base/ctx.h"

#include <sys/types.h>

/* Start argv[0] (a path) with stdout sent to our stderr.  ERR_UNAVAILABLE with
 * the reason when it cannot be executed. */
int child_start(struct ctx *ctx, const char *const *argv, pid_t *out);

/* As child_start(), with stdout and stderr in one pipe, whose reading end is
 * *output: to be closed. */
int child_start_piped(struct ctx *ctx, const char *const *argv, pid_t *out,
                      int *output);

/* Start argv[0] in a session of its own, its output appended to `log`. */
int child_detach(struct ctx *ctx, const char *const *argv, const char *log,
                 pid_t *out);

/* SIGTERM, up to `grace` microseconds, then SIGKILL; reaped when it returns. */
void child_stop(pid_t pid, int64_t grace);

/*
 * A watchman that outlives us by a moment: whenever this process ends, cleanly
 * or not, it removes `folder`.  Returns the write end whose closing wakes it
 * and its pid, or ERR_*.
 */
struct child_watchman {
    int fd;
    pid_t pid;
};

/*
 * Start the watchman of `folder`.  ERR_IO or ERR_UNAVAILABLE with the reason;
 * nothing is left running then.
 */
int child_watchman_start(struct ctx *ctx, const char *folder,
                         struct child_watchman *out);

/* Let it do its work, and wait for the end of it. */
void child_watchman_stop(struct child_watchman *w);

#endif
