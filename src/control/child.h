/*
 * child - one process outside: spawned here, or found again.
 *
 * A child leads its own session, so it and what it starts can be counted and
 * ended together, and nothing that ends the controller reaches it.  Its end is
 * seen through a pidfd, whether it is ours by birth or adopted after the
 * controller's own restart.
 *
 * Ownership: the caller owns the struct, which must stay in place until
 * on_exit has run or child_forget().  Thread rule: the loop's.
 */
#ifndef CONTROL_CHILD_H
#define CONTROL_CHILD_H

#include "base/ctx.h"

#include <uv.h>

struct child;
struct feed;

/* `status` is that of waitpid(); -1 when it is not known (adopted).  What
 * else lived in the session has been killed, and what they wrote is in the log.
 */
typedef void child_exit_fn(struct child *c, int status);

struct child {
    pid_t pid; /* 0: none */
    uint64_t start_time;
    bool ours; /* by birth: waitpid() knows its status */
    int pidfd;
    uv_poll_t *watch;  /* closes behind our back, hence on its own */
    struct feed *feed; /* of its log; NULL: it writes the file itself */
    int status;        /* it has ended; its feed has not yet */
    child_exit_fn *on_exit;
    void *arg;
};

struct child_spec {
    const char *const *argv; /* argv[0] is a full path */
    const char *const *env;  /* NAME=VALUE; NULL-terminated */
    const char *dir;         /* NULL: stays where the controller is */
    const char *log;         /* stdout and stderr are appended to it... */
    const char *tag;         /* ...through a feed (feed.h); NULL: straight */
    const int *fds;          /* descriptors it gets as 3, 4, ... */
    size_t n_fds;
    bool yields; /* SCHED_BATCH: interrupts nobody when it wakes up */
};

/* Start it.  ERR_NOT_FOUND (no such program), ERR_IO, ERR_EXHAUSTED, ... with
 * the reason. */
int child_spawn(struct ctx *ctx, uv_loop_t *loop, struct child *c,
                const struct child_spec *spec);

/* Watch a process that runs already, and its feed: `spec` has its log and tag.
 * ERR_NOT_FOUND, without a story, when that pid with that start time is gone.
 */
int child_adopt(struct ctx *ctx, uv_loop_t *loop, struct child *c, pid_t pid,
                uint64_t start_time, const struct child_spec *spec);

/* Whether it was started or adopted, and has neither ended nor been forgotten.
 */
bool child_alive(const struct child *c);

/*
 * Signal the leader; nothing when it is gone.  Goes through the pidfd, which
 * cannot name a stranger.
 */
void child_signal(struct child *c, int sig);

/*
 * Signal everybody of its session; nothing when the leader's end has been told.
 */
void child_signal_all(struct child *c, int sig);

/* Stop watching; the process goes on. */
void child_forget(struct child *c);

#endif
