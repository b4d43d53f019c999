/*
 * child - posix_spawn() into a session of its own, and a pidfd to see the end.
 *
 * posix_spawn() rather than fork(): the controller has threads (the Admin API,
 * the pool), and nothing but the C library may run between fork and exec.
 */
#include "control/child.h"

#include "base/files.h"
#include "control/feed.h"
#include "control/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int pidfd_open_(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

static void free_handle(uv_handle_t *h)
{
    free(h);
}

static void watch_stop(struct child *c)
{
    if (c->watch) {
        c->watch->data = NULL;
        uv_close((uv_handle_t *)c->watch, free_handle);
        c->watch = NULL;
    }
    if (c->pidfd >= 0)
        close(c->pidfd);
    c->pidfd = -1;
}

static void child_ended(void *arg)
{
    struct child *c = arg;

    c->pid = 0;
    c->feed = NULL;
    c->on_exit(c, c->status);
}

/*
 * The leader has ended.  Its session may have more (workers that still hold a
 * listening socket), which would be in the way of the next one.
 */
static void on_pidfd(uv_poll_t *watch, int rc, int events)
{
    struct child *c = watch->data;
    pid_t pid;
    int status = -1;

    (void)rc;
    (void)events;
    if (!c)
        return;
    pid = c->pid;
    if (c->ours && waitpid(pid, &status, WNOHANG) == 0)
        return; /* a spurious wake: it lives */
    watch_stop(c);
    proc_session_kill(pid, SIGKILL);
    c->status = status;
    if (c->feed)
        feed_end(c->feed, child_ended, c);
    else
        child_ended(c);
}

static int watch_start(struct ctx *ctx, uv_loop_t *loop, struct child *c)
{
    c->pidfd = pidfd_open_(c->pid);
    if (c->pidfd < 0)
        return ctx_err(ctx, ERR_IO, "cannot watch process %d: %s", (int)c->pid,
                       strerror(errno));
    fcntl(c->pidfd, F_SETFD, FD_CLOEXEC);
    c->watch = calloc(1, sizeof(*c->watch));
    if (!c->watch)
        abort();
    uv_poll_init(loop, c->watch, c->pidfd);
    c->watch->data = c;
    uv_poll_start(c->watch, UV_READABLE, on_pidfd);
    return 0;
}

/* A fresh session, default signals, nothing of ours but the log. */
static void set_attributes(posix_spawnattr_t *at)
{
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(at);
    posix_spawnattr_setsigmask(at, &none);
    posix_spawnattr_setsigdefault(at, &all);
    posix_spawnattr_setflags(at, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                     POSIX_SPAWN_SETSIGDEF);
}

static int spawn_error(struct ctx *ctx, const struct child_spec *spec, int why)
{
    if (why == ENOENT)
        return ctx_err(ctx, ERR_NOT_FOUND,
                       "cannot start %s in %s: no such "
                       "file",
                       spec->argv[0], spec->dir ? spec->dir : ".");
    return ctx_err(ctx, why == EAGAIN ? ERR_EXHAUSTED : ERR_IO,
                   "cannot start %s: %s", spec->argv[0], strerror(why));
}

/*
 * Moved out of the way first: one of them may stand where another one has to
 * go.  A descriptor put on itself would keep its close-on-exec.  Whatever else
 * is open is closed: libraries (curl) open sockets without close-on-exec.
 */
static void add_fds(posix_spawn_file_actions_t *fa,
                    const struct child_spec *spec)
{
    enum { FIRST = 3, ASIDE = 200 };

    for (size_t i = 0; i < spec->n_fds; i++)
        posix_spawn_file_actions_adddup2(fa, spec->fds[i], ASIDE + (int)i);
    for (size_t i = 0; i < spec->n_fds; i++) {
        posix_spawn_file_actions_adddup2(fa, ASIDE + (int)i, FIRST + (int)i);
    }
    posix_spawn_file_actions_addclosefrom_np(fa, FIRST + (int)spec->n_fds);
}

/* Where its words go: a pipe with a writer behind it, or the file itself. */
static int open_log(struct ctx *ctx, uv_loop_t *loop, struct child *c,
                    const struct child_spec *spec, int *fd)
{
    c->feed = NULL;
    if (spec->tag)
        return feed_open(ctx, loop, spec->log, spec->tag, &c->feed, fd);
    *fd = open(spec->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return *fd < 0 ? files_err(ctx, "open", spec->log) : 0;
}

static int spawn(struct child *c, const struct child_spec *spec, int log)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    int why;

    set_attributes(&at);
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&fa, log, 1);
    posix_spawn_file_actions_adddup2(&fa, log, 2);
    add_fds(&fa, spec);
    if (spec->dir)
        posix_spawn_file_actions_addchdir_np(&fa, spec->dir);
    why = posix_spawn(&c->pid, spec->argv[0], &fa, &at,
                      (char *const *)(uintptr_t)spec->argv,
                      (char *const *)(uintptr_t)spec->env);
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&at);
    /* glibc's attributes do not take this policy; it goes on to all the child
     * will start, and where it is refused all still works. */
    if (why == 0 && spec->yields)
        sched_setscheduler(c->pid, SCHED_BATCH, &(struct sched_param){0});
    return why;
}

/* It does not run: nobody waits for its last words. */
static void drop(struct child *c)
{
    if (c->feed)
        feed_end(c->feed, NULL, NULL);
    c->feed = NULL;
    c->pid = 0;
}

int child_spawn(struct ctx *ctx, uv_loop_t *loop, struct child *c,
                const struct child_spec *spec)
{
    int log, why;
    int rc = open_log(ctx, loop, c, spec, &log);

    if (rc)
        return rc;
    why = spawn(c, spec, log);
    close(log);
    if (why) {
        drop(c);
        return spawn_error(ctx, spec, why);
    }
    c->ours = true;
    c->start_time = proc_start_time(c->pid);
    rc = watch_start(ctx, loop, c);
    if (rc) { /* nobody would see its end */
        proc_session_kill(c->pid, SIGKILL);
        waitpid(c->pid, NULL, 0);
        drop(c);
    }
    return rc;
}

int child_adopt(struct ctx *ctx, uv_loop_t *loop, struct child *c, pid_t pid,
                uint64_t start_time, const struct child_spec *spec)
{
    int rc;

    if (start_time == 0 || proc_start_time(pid) != start_time)
        return ERR_NOT_FOUND;
    c->pid = pid;
    c->start_time = start_time;
    c->ours = false;
    c->feed = NULL;
    rc = watch_start(ctx, loop, c);
    if (rc)
        c->pid = 0;
    else if (spec->tag)
        c->feed = feed_adopt(loop, pid, spec->log, spec->tag);
    return rc;
}

bool child_alive(const struct child *c)
{
    return c->pid > 0;
}

/* The pidfd, not the pid: it cannot name a stranger. */
void child_signal(struct child *c, int sig)
{
    if (c->pid > 0 && c->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, c->pidfd, sig, NULL, 0);
}

void child_signal_all(struct child *c, int sig)
{
    if (c->pid > 0 && c->pidfd >= 0)
        proc_session_kill(c->pid, sig);
}

void child_forget(struct child *c)
{
    if (c->pid > 0)
        watch_stop(c);
    drop(c);
}
