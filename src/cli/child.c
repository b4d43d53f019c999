/* child - fork(), the few calls that are allowed behind it, exec(). */
#include "cli/child.h"

#include "base/files.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child: a clean slate of signals. */
static void signals_reset(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
}

/* In the child: exec, or tell the parent why not. */
static void __attribute__((noreturn)) run(const char *const *argv, int tell)
{
    int error;

    execv(argv[0], (char *const *)argv);
    error = errno;
    if (write(tell, &error, sizeof(error)) != sizeof(error))
        _exit(126);
    _exit(127);
}

/*
 * fork and exec; `prepare` runs in the child.  The pipe closes when exec has
 * worked, and carries errno when it has not.
 */
static int start(struct ctx *ctx, const char *const *argv,
                 void (*prepare)(const void *arg), const void *arg, pid_t *out)
{
    int fds[2], error = 0;
    ssize_t n;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return ctx_err(ctx, ERR_IO, "no pipe: %s", strerror(errno));
    *out = fork();
    if (*out == 0) {
        signals_reset();
        prepare(arg);
        run(argv, fds[1]);
    }
    close(fds[1]);
    if (*out < 0) {
        close(fds[0]);
        return ctx_err(ctx, ERR_UNAVAILABLE, "cannot start a process: %s",
                       strerror(errno));
    }
    do
        n = read(fds[0], &error, sizeof(error));
    while (n < 0 && errno == EINTR);
    close(fds[0]);
    if (n != sizeof(error))
        return 0;
    waitpid(*out, NULL, 0);
    return ctx_err(ctx, ERR_UNAVAILABLE, "cannot run %s: %s", argv[0],
                   strerror(error));
}

struct attached {
    pid_t parent;
    int output;
};

static void prepare_attached(const void *arg)
{
    const struct attached *a = arg;

    /* The parent may have died before the line above took effect. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != a->parent)
        _exit(0);
    setpgid(0, 0); /* Ctrl-C is for the parent, which stops us in order */
    dup2(a->output, STDOUT_FILENO);
    dup2(a->output, STDERR_FILENO);
}

int child_start(struct ctx *ctx, const char *const *argv, pid_t *out)
{
    struct attached a = {getpid(), STDERR_FILENO};

    return start(ctx, argv, prepare_attached, &a, out);
}

int child_start_piped(struct ctx *ctx, const char *const *argv, pid_t *out,
                      int *output)
{
    int fds[2], rc;
    struct attached a = {.parent = getpid()};

    if (pipe2(fds, O_CLOEXEC) < 0)
        return ctx_err(ctx, ERR_IO, "no pipe: %s", strerror(errno));
    a.output = fds[1];
    rc = start(ctx, argv, prepare_attached, &a, out);
    close(fds[1]);
    if (rc != 0)
        close(fds[0]);
    else
        *output = fds[0];
    return rc;
}

static void prepare_detached(const void *arg)
{
    const int *log = arg;
    int null = open("/dev/null", O_RDONLY);

    setsid();
    if (chdir("/") < 0)
        _exit(126);
    dup2(null, STDIN_FILENO);
    dup2(*log, STDOUT_FILENO);
    dup2(*log, STDERR_FILENO);
    close(null);
}

int child_detach(struct ctx *ctx, const char *const *argv, const char *log,
                 pid_t *out)
{
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    int rc;

    if (fd < 0)
        return ctx_err(ctx, ERR_IO, "cannot write %s: %s", log,
                       strerror(errno));
    rc = start(ctx, argv, prepare_detached, &fd, out);
    close(fd);
    return rc;
}

void child_stop(pid_t pid, int64_t grace)
{
    int64_t until = clock_mono() + grace;

    kill(pid, SIGTERM);
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        if (clock_mono() > until) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
            return;
        }
        usleep(5000);
    }
}

/* ---- the watchman ---- */

/* Those who write there are being killed at this moment, so try again. */
static void remove_folder(const char *folder)
{
    for (int i = 0; i < 200; i++) {
        files_remove_tree(folder);
        if (access(folder, F_OK) < 0)
            return;
        usleep(10000);
    }
}

static void __attribute__((noreturn)) watch(int fd, const char *folder)
{
    int null = open("/dev/null", O_RDWR);
    char byte;

    /* Nobody who reads our output to its end shall wait for this process. */
    setsid();
    for (int i = 0; i < 3; i++)
        dup2(null, i);
    prctl(PR_SET_NAME, "appscale-tidy");
    while (read(fd, &byte, 1) < 0 && errno == EINTR)
        continue;
    remove_folder(folder);
    _exit(0);
}

int child_watchman_start(struct ctx *ctx, const char *folder,
                         struct child_watchman *out)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return ctx_err(ctx, ERR_IO, "no pipe: %s", strerror(errno));
    out->pid = fork();
    if (out->pid == 0) {
        signals_reset();
        close(fds[1]);
        watch(fds[0], folder);
    }
    close(fds[0]);
    out->fd = fds[1];
    if (out->pid > 0)
        return 0;
    close(fds[1]);
    return ctx_err(ctx, ERR_UNAVAILABLE, "cannot start a process: %s",
                   strerror(errno));
}

void child_watchman_stop(struct child_watchman *w)
{
    close(w->fd);
    waitpid(w->pid, NULL, 0);
}
