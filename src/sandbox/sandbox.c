/*
 * sandbox - the three processes, from the outermost in.
 *
 * Leader and init speak over two pipes: init waits on `go` until the leader
 * has mapped its user and put it into its groups, and tells on `report` that
 * the program runs, or why not, and at last how it ended.
 */
#include "sandbox/sandbox.h"

#include "base/log.h"
#include "sandbox/filter.h"
#include "sandbox/gate.h"
#include "sandbox/groups.h"
#include "sandbox/limits.h"
#include "sandbox/view.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    NAMESPACES = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS,
    NOT_STARTED = 127, /* as a shell says it */
};

/* What init tells the leader. */
struct word {
    enum { STARTED = 1, REFUSED, ENDED } kind;
    int status;    /* ENDED: of waitpid() */
    bool gated;    /* STARTED: the gate is at work */
    char why[256]; /* REFUSED */
};

struct pipes {
    int go[2], report[2];
};

/* ---- app: the third process ---- */

/* Hand the listener to init: it takes the descriptor by its number, as
 * sendmsg() with one in it may not be an app's. */
static void hand_over(int listener, int to, int done)
{
    char c;

    if (write(to, &listener, sizeof(listener)) != sizeof(listener) ||
        read(done, &c, 1) != 1)
        _exit(NOT_STARTED);
    if (listener >= 0)
        close(listener);
}

static void app_main(const struct sandbox *sb, int to, int done)
{
    static const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t none;
    bool scoped;
    int listener;

    setpgid(0, 0);
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* init may take the listener */
    scoped = filter_scope();
    listener = sb->gated ? filter_load(true, scoped) : -1;
    if (listener < 0 && filter_load(false, scoped) != 0)
        die("appscale-sandbox: cannot load the filter: %s", strerror(errno));
    hand_over(listener, to, done);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    sigaction(SIGXFSZ, &ignore, NULL);
    if (chdir(sb->dir) != 0)
        die("appscale-sandbox: %s: %s", sb->dir, strerror(errno));
    if (!sb->bare)
        setenv("HOME", "/tmp", 1);
    execv(sb->argv[0], (char *const *)(uintptr_t)sb->argv);
    fprintf(stderr, "appscale-sandbox: cannot start %s: %s\n", sb->argv[0],
            strerror(errno));
    _exit(NOT_STARTED);
}

/* ---- init: the second process ---- */

/* The listener that the app has made, or -1. */
static int take_listener(pid_t app, int number)
{
    int pidfd, fd;

    if (number < 0)
        return -1;
    pidfd = (int)syscall(SYS_pidfd_open, app, 0);
    fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
    if (pidfd >= 0)
        close(pidfd);
    return fd;
}

static int start_app(struct ctx *ctx, const struct sandbox *sb, pid_t *app,
                     bool *gated)
{
    int to[2], done[2], number = -1, listener;

    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(done, O_CLOEXEC) != 0)
        return ctx_err(ctx, ERR_IO, "cannot make a pipe: %s", strerror(errno));
    *app = fork();
    if (*app < 0)
        return ctx_err(ctx, ERR_IO, "cannot fork: %s", strerror(errno));
    if (*app == 0)
        app_main(sb, to[1], done[0]);
    close(to[1]);
    close(done[0]);
    if (read(to[0], &number, sizeof(number)) != sizeof(number))
        return ctx_err(ctx, ERR_IO, "the program ended before it began");
    listener = take_listener(*app, number);
    *gated = listener >= 0 && gate_start(listener, &sb->policy) == 0;
    if (number >= 0 && !*gated)
        return ctx_err(ctx, ERR_UNAVAILABLE, "the gate cannot be kept: %s",
                       strerror(errno));
    if (write(done[1], "", 1) != 1)
        return ctx_err(ctx, ERR_IO, "the program ended before it began");
    close(to[0]);
    close(done[1]);
    return 0;
}

static const int passed_on[] = {SIGTERM, SIGINT,  SIGHUP,
                                SIGQUIT, SIGUSR1, SIGUSR2};

static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGCHLD);
    for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
        sigaddset(set, passed_on[i]);
    sigprocmask(SIG_BLOCK, set, NULL);
}

/* Reap until the app has ended; its status. */
static int reap(pid_t app, const sigset_t *set)
{
    for (;;) {
        int sig = sigwaitinfo(set, NULL), status;
        pid_t pid;

        if (sig > 0 && sig != SIGCHLD)
            kill(-app, sig);
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            if (pid == app)
                return status;
    }
}

static void tell(int fd, const struct word *w)
{
    if (write(fd, w, sizeof(*w)) != sizeof(*w))
        _exit(NOT_STARTED); /* the leader is gone, so are we */
}

static int init_begin(struct ctx *ctx, const struct sandbox *sb)
{
    int rc = sb->bare ? 0 : view_enter(ctx, sb);

    if (rc == 0) {
        limits_set(sb);
        rc = limits_drop(ctx, sb);
    }
    /* Set anew: a change of the user has cleared it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    return rc;
}

static void init_main(const struct sandbox *sb, struct pipes *p)
{
    struct arena a = ARENA_INIT;
    struct word w = {.kind = STARTED};
    struct ctx ctx;
    sigset_t set;
    pid_t app = 0;
    char c;
    int rc;

    ctx_init(&ctx, &a);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    close(p->go[1]);
    close(p->report[0]);
    if (read(p->go[0], &c, 1) != 1)
        _exit(NOT_STARTED);
    block_signals(&set);
    rc = init_begin(&ctx, sb);
    if (rc == 0)
        rc = start_app(&ctx, sb, &app, &w.gated);
    if (rc) {
        w.kind = REFUSED;
        snprintf(w.why, sizeof(w.why), "%s", ctx_err_text(&ctx, rc));
        tell(p->report[1], &w);
        _exit(NOT_STARTED);
    }
    arena_release(&a);
    tell(p->report[1], &w);
    w = (struct word){.kind = ENDED, .status = reap(app, &set)};
    tell(p->report[1], &w);
    _exit(0);
}

/* ---- leader: the first process ---- */

static int map_put(pid_t pid, const char *file, const char *text)
{
    char path[64];
    int fd, rc;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    rc = write(fd, text, strlen(text)) < 0 ? -1 : 0;
    close(fd);
    return rc;
}

/* In its user namespace it is who it was: user and group, and nobody else. */
static int map_user(struct ctx *ctx, pid_t pid)
{
    char uid[64], gid[64];

    snprintf(uid, sizeof(uid), "%u %u 1", getuid(), getuid());
    snprintf(gid, sizeof(gid), "%u %u 1", getgid(), getgid());
    if (map_put(pid, "setgroups", "deny") != 0 ||
        map_put(pid, "uid_map", uid) != 0 || map_put(pid, "gid_map", gid) != 0)
        return ctx_err(ctx, ERR_UNAVAILABLE, "cannot map the user: %s",
                       strerror(errno));
    return 0;
}

static int clone_flags(const struct sandbox *sb)
{
    if (sb->bare)
        return SIGCHLD;
    return SIGCHLD | NAMESPACES | (getuid() == 0 ? 0 : CLONE_NEWUSER);
}

struct run {
    struct sandbox *sb;
    struct groups groups;
    struct pipes pipes;
    pid_t init;
};

/* Without a control group the user's processes are counted: as root those of
 * all instances of a project, in a user namespace those of the sandbox alone.
 * Whoever is neither shares the count with the whole platform. */
static int64_t tasks_by_user(const struct run *r)
{
    enum { INSTANCES = 8 };
    const struct sandbox *sb = r->sb;

    if (*r->groups.path[GROUP_TASKS] || (sb->bare && !sb->uid))
        return 0;
    return sb->uid ? sb->tasks * INSTANCES : sb->tasks;
}

/* One attempt; the word that init has sent. */
static int attempt(struct ctx *ctx, struct run *r, struct word *w)
{
    struct pipes *p = &r->pipes;
    int rc = 0;

    r->sb->by_user = tasks_by_user(r);
    if (pipe2(p->go, O_CLOEXEC) != 0 || pipe2(p->report, O_CLOEXEC) != 0)
        return ctx_err(ctx, ERR_IO, "cannot make a pipe: %s", strerror(errno));
    r->init = (pid_t)syscall(SYS_clone, clone_flags(r->sb), 0, 0, 0, 0);
    if (r->init < 0)
        return ctx_err(ctx, ERR_UNAVAILABLE, "cannot make namespaces: %s",
                       strerror(errno));
    if (r->init == 0)
        init_main(r->sb, p);
    close(p->go[0]);
    close(p->report[1]);
    if (!r->sb->bare && getuid() != 0)
        rc = map_user(ctx, r->init);
    if (rc == 0)
        groups_enter(&r->groups, r->init);
    if (rc == 0 && write(p->go[1], "", 1) != 1)
        rc = ctx_err(ctx, ERR_IO, "init is gone");
    close(p->go[1]);
    if (rc == 0 && read(p->report[0], w, sizeof(*w)) != sizeof(*w))
        rc = ctx_err(ctx, ERR_UNAVAILABLE, "init is gone");
    if (rc == 0 && w->kind == REFUSED)
        rc = ctx_err(ctx, ERR_UNAVAILABLE, "%s", w->why);
    if (rc) {
        close(p->report[0]);
        waitpid(r->init, NULL, 0);
    }
    return rc;
}

/* As confined as it gets: first with all, then less. */
static int begin(struct ctx *ctx, struct run *r, struct word *w)
{
    struct sandbox *sb = r->sb;
    int rc = attempt(ctx, r, w);

    if (rc && !sb->bare) {
        fprintf(stderr, "appscale-sandbox: runs without namespaces: %s\n",
                ctx_err_text(ctx, rc));
        ctx_err_clear(ctx);
        sb->bare = true;
        rc = attempt(ctx, r, w);
    }
    if (rc && sb->gated) {
        fprintf(stderr, "appscale-sandbox: runs without the gate: %s\n",
                ctx_err_text(ctx, rc));
        ctx_err_clear(ctx);
        sb->gated = false;
        rc = attempt(ctx, r, w);
    }
    return rc;
}

/* Pass signals on until init has ended; the status of the app. */
static int follow(struct run *r, const sigset_t *set)
{
    struct word w = {0};
    int status = 0;

    for (;;) {
        int sig = sigwaitinfo(set, NULL);

        if (sig > 0 && sig != SIGCHLD)
            kill(r->init, sig);
        if (waitpid(r->init, &status, WNOHANG) != r->init)
            continue;
        if (read(r->pipes.report[0], &w, sizeof(w)) == sizeof(w) &&
            w.kind == ENDED)
            return w.status;
        return status;
    }
}

/* End as the app has ended. */
static int end_like(int status)
{
    static const struct rlimit no_core = {1, 1};
    sigset_t all;

    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    setrlimit(RLIMIT_CORE, &no_core);
    signal(WTERMSIG(status), SIG_DFL);
    sigfillset(&all);
    raise(WTERMSIG(status));
    sigprocmask(SIG_UNBLOCK, &all, NULL);
    return 128 + WTERMSIG(status);
}

/* As root, files that the program works on are its user's. */
static int own_paths(struct ctx *ctx, const struct sandbox *sb)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && sb->uid && i < sb->n_paths; i++)
        if (sb->paths[i].own)
            rc = limits_own(ctx, sb->paths[i].path, sb->uid);
    return rc;
}

static int run(struct run *r, struct word *w)
{
    struct arena a = ARENA_INIT;
    struct ctx ctx;
    int rc;

    ctx_init(&ctx, &a);
    r->sb->dir = get_current_dir_name();
    if (!r->sb->dir)
        die("appscale-sandbox: where is this?  %s", strerror(errno));
    if (getuid() != 0)
        r->sb->uid = 0;
    rc = own_paths(&ctx, r->sb);
    groups_make(&r->groups, r->sb);
    if (rc == 0)
        rc = begin(&ctx, r, w);
    if (rc)
        fprintf(stderr, "error: appscale-sandbox: %s\n",
                ctx_err_text(&ctx, rc));
    arena_release(&a);
    return rc;
}

int sandbox_run(struct sandbox *sb)
{
    struct run r = {.sb = sb};
    struct word w = {0};
    int status = NOT_STARTED << 8;
    sigset_t set;

    block_signals(&set);
    if (run(&r, &w) == 0)
        status = follow(&r, &set);
    groups_remove(&r.groups);
    return end_like(status);
}

void sandbox_probe(struct sandbox *sb, struct sandbox_report *out)
{
    static const char *const nothing[] = {"/bin/true", NULL};
    struct run r = {.sb = sb};
    struct word w = {0};
    sigset_t set;

    sb->argv = nothing;
    sb->gated = true;
    memset(out, 0, sizeof(*out));
    block_signals(&set);
    if (run(&r, &w) == 0) {
        follow(&r, &set);
        out->user = sb->uid != 0 || !sb->bare;
        out->files = out->processes = !sb->bare;
        out->network = w.gated;
        out->memory = *r.groups.path[GROUP_MEMORY] != '\0';
        out->tasks = *r.groups.path[GROUP_TASKS] != '\0';
        out->cpu = *r.groups.path[GROUP_CPU] != '\0';
    }
    groups_remove(&r.groups);
}
