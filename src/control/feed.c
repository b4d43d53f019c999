/* feed - one writer per pipe, watched through its pidfd. */
#include "control/feed.h"

#include "base/log.h"
#include "control/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    AGAIN_MS = 1000,     /* until a writer that cannot be started is tried */
    PIPE_MODE = 0622,    /* "/dev/stderr" opens for an app of another user */
    PIPE_ROOM = 1 << 18, /* bytes that wait while the writer is away */
};

static struct {
    char *program;
    int64_t max;
    int keep;
} how;

struct feed {
    uv_loop_t *loop;
    char *log, *tag;
    int read_fd;
    pid_t pid; /* the writer; 0: none */
    bool ours; /* by birth */
    int pidfd;
    uv_poll_t watch;
    uv_timer_t timer;
    bool ending; /* the child has ended... */
    bool done;   /* ...and so has the writer, or it saw the pipe's end */
    feed_fn *fn;
    void *arg;
};

static void writer_start(struct feed *f);

void feed_configure(const char *program, int64_t max, int keep)
{
    free(how.program);
    how.program = strdup(program);
    how.max = max;
    how.keep = keep;
}

/* ---- the end of one ---- */

static void timer_closed(uv_handle_t *h)
{
    struct feed *f = h->data;

    free(f->log);
    free(f->tag);
    free(f);
}

static void tell(struct feed *f)
{
    feed_fn *fn = f->fn;

    f->fn = NULL;
    if (fn)
        fn(f->arg);
}

/* The writer is gone for good. */
static void feed_close(struct feed *f)
{
    tell(f);
    if (f->read_fd >= 0)
        close(f->read_fd);
    f->read_fd = -1;
    uv_close((uv_handle_t *)&f->timer, timer_closed);
}

static void watch_closed(uv_handle_t *h)
{
    struct feed *f = h->data;

    close(f->pidfd);
    f->pidfd = -1;
    if (f->done && f->ending)
        feed_close(f);
    else if (!f->done)
        writer_start(f);
}

/*
 * It ends well at the end of the pipe alone.  Anything else has killed it, and
 * what waits in the pipe waits for the next one.
 */
static void on_writer_end(uv_poll_t *watch, int rc, int events)
{
    struct feed *f = watch->data;
    int status = -1;

    (void)rc;
    (void)events;
    if (f->ours && waitpid(f->pid, &status, WNOHANG) == 0)
        return;
    f->pid = 0;
    f->done = status == 0;
    if (!f->done)
        log_warn(NULL, "log.writer.down", "file", f->log);
    uv_close((uv_handle_t *)watch, watch_closed);
}

/* ---- the start of one ---- */

static void on_again(uv_timer_t *t)
{
    struct feed *f = t->data;

    if (f->ending) { /* it has been waited for long enough */
        tell(f);
        if (f->pid == 0 && f->pidfd < 0)
            feed_close(f);
    } else if (f->pid == 0) {
        writer_start(f);
    }
}

static int writer_watch(struct feed *f, pid_t pid, bool ours)
{
    f->pid = pid;
    f->ours = ours;
    f->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (f->pidfd < 0)
        return -errno;
    fcntl(f->pidfd, F_SETFD, FD_CLOEXEC);
    uv_poll_init(f->loop, &f->watch, f->pidfd);
    f->watch.data = f;
    uv_poll_start(&f->watch, UV_READABLE, on_writer_end);
    return 0;
}

static int writer_spawn(struct feed *f)
{
    static char *const nothing[] = {NULL};
    char max[24], keep[12];
    char *argv[] = {how.program, f->log, f->tag, max, keep, NULL};
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    sigset_t none, all;
    pid_t pid;
    int rc;

    snprintf(max, sizeof(max), "%lld", (long long)how.max);
    snprintf(keep, sizeof(keep), "%d", how.keep);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&at);
    posix_spawnattr_setsigmask(&at, &none);
    posix_spawnattr_setsigdefault(&at, &all);
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                      POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, f->read_fd, 0);
    posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&fa, 3);
    posix_spawn_file_actions_addchdir_np(&fa, "/");
    rc = posix_spawn(&pid, how.program, &fa, &at, argv, nothing);
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&at);
    if (rc == 0 && writer_watch(f, pid, true) != 0) {
        kill(pid, SIGKILL); /* nobody would see its end */
        waitpid(pid, NULL, 0);
        f->pid = 0;
        rc = EMFILE;
    }
    return rc;
}

static void writer_start(struct feed *f)
{
    int why = writer_spawn(f);

    if (why == 0)
        return;
    log_error(NULL, "log.writer.start", "program", how.program, "why",
              strerror(why));
    if (f->ending)
        feed_close(f);
    else
        uv_timer_start(&f->timer, on_again, AGAIN_MS, 0);
}

static struct feed *feed_new(uv_loop_t *loop, int read_fd, const char *log,
                             const char *tag)
{
    struct feed *f = calloc(1, sizeof(*f));

    if (!f)
        abort();
    *f = (struct feed){.loop = loop,
                       .log = strdup(log),
                       .tag = strdup(tag),
                       .read_fd = read_fd,
                       .pidfd = -1};
    uv_timer_init(loop, &f->timer);
    f->timer.data = f;
    return f;
}

int feed_open(struct ctx *ctx, uv_loop_t *loop, const char *log,
              const char *tag, struct feed **out, int *fd)
{
    int ends[2], why;
    struct feed *f;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return ctx_err(ctx, ERR_EXHAUSTED, "cannot make a pipe for %s: %s", log,
                       strerror(errno));
    fchmod(ends[1], PIPE_MODE);
    fcntl(ends[1], F_SETPIPE_SZ, PIPE_ROOM);
    f = feed_new(loop, ends[0], log, tag);
    why = writer_spawn(f);
    if (why) {
        close(ends[1]);
        feed_close(f);
        return ctx_err(ctx, why == ENOENT ? ERR_NOT_FOUND : ERR_IO,
                       "cannot start %s, which writes %s: %s", how.program, log,
                       strerror(why));
    }
    *out = f;
    *fd = ends[1];
    return 0;
}

/* ---- of an earlier controller ---- */

static bool reads_pipe(pid_t pid, const char *pipe)
{
    char path[64], name[64];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/fd/0", (int)pid);
    n = readlink(path, name, sizeof(name) - 1);
    return n > 0 && (size_t)n == strlen(pipe) &&
           memcmp(name, pipe, (size_t)n) == 0 &&
           proc_has_mark(pid, how.program);
}

/* The writer of a pipe, by what is its standard input; 0: there is none. */
static pid_t writer_find(const char *pipe)
{
    DIR *d = opendir("/proc");
    struct dirent *e;
    pid_t found = 0;

    while (d && found == 0 && (e = readdir(d))) {
        pid_t pid = (pid_t)atoi(e->d_name);

        if (pid > 0 && reads_pipe(pid, pipe))
            found = pid;
    }
    if (d)
        closedir(d);
    return found;
}

struct feed *feed_adopt(uv_loop_t *loop, pid_t child, const char *log,
                        const char *tag)
{
    char path[64], name[64];
    struct feed *f;
    struct stat st;
    pid_t writer;
    int fd;

    /* Opened without waiting: it may have no writing end left. */
    snprintf(path, sizeof(path), "/proc/%d/fd/1", (int)child);
    if (stat(path, &st) != 0 || !S_ISFIFO(st.st_mode))
        return NULL;
    fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    fcntl(fd, F_SETFL, 0);
    snprintf(name, sizeof(name), "pipe:[%llu]", (unsigned long long)st.st_ino);
    f = feed_new(loop, fd, log, tag);
    writer = writer_find(name);
    if (writer == 0 || writer_watch(f, writer, false) != 0)
        writer_start(f);
    return f;
}

void feed_end(struct feed *f, feed_fn *fn, void *arg)
{
    f->ending = true;
    f->fn = fn;
    f->arg = arg;
    uv_timer_start(&f->timer, on_again,
                   f->pid == 0 && f->pidfd < 0 ? 0 : FEED_PATIENCE_MS, 0);
}
