/*
 * process - the supervisor's one state machine.
 *
 * The state file is written when a child has been started and when one has
 * ended.  A crash between the spawn and the write loses a record, not a child:
 * every child carries a mark in its environment or its command line by which
 * process_reap_strays() of the next controller finds it.
 */
#include "control/process.h"

#include "base/errinj.h"
#include "base/exit.h"
#include "base/files.h"
#include "base/log.h"
#include "base/procfs.h"
#include "control/control_int.h"
#include "control/listener.h"
#include "control/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    PROBE_QUICK_MS = 20, /* for the first seconds after a start */
    PROBE_SLOW_MS = 100,
    PROBE_QUICK_FOR = 3 * 1000 * 1000,
    STATE_MAX = 4 * 1024 * 1024,
};

static void process_spawn(struct process *p);

struct process *process_new(struct control *ctl,
                            const struct process_init *init, const char *name,
                            void *arg)
{
    struct process *p = calloc(1, sizeof(*p));
    struct arena a = ARENA_INIT;
    struct process **end = &ctl->processes;

    if (!p)
        abort();
    p->init = init;
    p->ctl = ctl;
    p->arg = arg;
    snprintf(p->name, sizeof(p->name), "%s", name);
    p->log = strdup(control_log_path(ctl, &a, name));
    p->child.arg = p;
    p->child.pidfd = -1;
    uv_timer_init(&ctl->loop, &p->timer);
    p->timer.data = p;
    while (*end)
        end = &(*end)->next;
    *end = p;
    arena_release(&a);
    return p;
}

static void timer_closed(uv_handle_t *h)
{
    struct process *p = h->data;

    free(p->log);
    free(p);
}

void process_free(struct process *p)
{
    struct process **at = &p->ctl->processes;

    if (child_alive(&p->child))
        BUG("process %s is freed while it runs", p->name);
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    uv_close((uv_handle_t *)&p->timer, timer_closed);
}

void process_abandon(struct process *p)
{
    uv_timer_stop(&p->timer);
    child_forget(&p->child);
    p->state = PROCESS_STOPPED;
}

/* ---- is it there? ---- */

static int connect_to(const struct sockaddr *sa, socklen_t n)
{
    int fd =
        socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct pollfd pfd = {.fd = fd, .events = POLLOUT};
    int err = 0;
    socklen_t len = sizeof(err);

    if (fd < 0)
        return -errno;
    if (connect(fd, sa, n) != 0)
        err = errno;
    /* On loopback the handshake is over when connect() returns. */
    if (err == EINPROGRESS) {
        err = EAGAIN;
        if (poll(&pfd, 1, 0) == 1)
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
    }
    close(fd);
    return -err;
}

bool process_probe(const char *unix_path, int port)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };

    if (unix_path && *unix_path) {
        if (strlen(unix_path) >= sizeof(un.sun_path))
            return false;
        memcpy(un.sun_path, unix_path, strlen(unix_path) + 1);
        return connect_to((const struct sockaddr *)&un, sizeof(un)) == 0;
    }
    return connect_to((const struct sockaddr *)&in, sizeof(in)) == 0;
}

/* ---- the states ---- */

static void timer_set(struct process *p, uv_timer_cb fn, int64_t us)
{
    uv_timer_start(&p->timer, fn, (uint64_t)((us + CLOCK_MS - 1) / CLOCK_MS),
                   0);
}

static void on_restart_due(uv_timer_t *t)
{
    process_spawn(t->data);
}

/* It ended, or did not start: again, after what the throttle says. */
static void process_retry(struct process *p)
{
    int64_t wait = throttle_end(&p->throttle, clock_mono());

    log_warn(NULL, "process.down", "name", p->name, "why", p->why, "again_ms",
             log_int(wait / CLOCK_MS));
    p->state = PROCESS_WAITING;
    timer_set(p, on_restart_due, wait);
    if (p->init->down)
        p->init->down(p);
}

static void on_child_exit(struct child *c, int status)
{
    struct process *p = c->arg;
    struct arena a = ARENA_INIT;

    uv_timer_stop(&p->timer);
    process_save(p->ctl);
    if (p->state == PROCESS_STOPPING) {
        p->state = PROCESS_STOPPED;
        log_info(NULL, "process.stopped", "name", p->name);
        if (p->init->stopped)
            p->init->stopped(p);
        return;
    }
    if (!p->ended_by_us)
        snprintf(p->why, sizeof(p->why), "%s%s", exit_text(&a, status),
                 p->state == PROCESS_STARTING ? " before it listened" : "");
    p->ended_by_us = false;
    arena_release(&a);
    process_retry(p);
}

static int64_t start_limit(const struct process *p)
{
    return p->init->start_limit ? p->init->start_limit
                                : p->ctl->settings.start_seconds * CLOCK_SEC;
}

int64_t process_start_left(const struct process *p)
{
    int64_t left = p->started + start_limit(p) - clock_mono();

    return left > 0 ? left : 0;
}

static void on_probe_due(uv_timer_t *t);

static void process_is_ready(struct process *p)
{
    p->state = PROCESS_READY;
    p->why[0] = '\0';
    throttle_works(&p->throttle, clock_mono());
    log_info(NULL, "process.ready", "name", p->name, "pid",
             log_int(p->child.pid), "ms",
             log_int((clock_mono() - p->started) / CLOCK_MS));
    if (p->init->ready)
        p->init->ready(p);
}

/* End it for `why`; on_child_exit() goes on. */
static void process_give_up(struct process *p, const char *why)
{
    snprintf(p->why, sizeof(p->why), "%s within %lld s", why,
             (long long)(start_limit(p) / CLOCK_SEC));
    p->ended_by_us = true;
    child_signal_all(&p->child, SIGKILL);
}

void process_fail(struct process *p, const char *why)
{
    if (!child_alive(&p->child) || p->state == PROCESS_STOPPING)
        return;
    snprintf(p->why, sizeof(p->why), "%s", why);
    p->ended_by_us = true;
    child_signal_all(&p->child, SIGKILL);
}

static void probe_later(struct process *p)
{
    bool quick = clock_mono() - p->started < PROBE_QUICK_FOR;

    timer_set(p, on_probe_due,
              (quick ? PROBE_QUICK_MS : PROBE_SLOW_MS) * CLOCK_MS);
}

void process_healthy(struct process *p, const char *why)
{
    if (p->state != PROCESS_STARTING || !child_alive(&p->child))
        return;
    if (!why)
        process_is_ready(p);
    else if (*why || process_start_left(p) == 0)
        process_give_up(p, "listens, but did not answer a request");
    else
        probe_later(p);
}

static void on_probe_due(uv_timer_t *t)
{
    struct process *p = t->data;

    if (!process_probe(p->probe_unix, p->probe_port)) {
        if (process_start_left(p) > 0)
            probe_later(p);
        else
            process_give_up(p, "did not listen");
    } else if (p->init->health && !p->adopted) {
        p->init->health(p);
    } else {
        process_is_ready(p);
    }
}

static void process_started(struct process *p)
{
    p->state = PROCESS_STARTING;
    p->why[0] = '\0';
    p->refused = false;
    p->started = clock_mono();
    throttle_start(&p->throttle, p->started);
    process_save(p->ctl);
    timer_set(p, on_probe_due, 0);
}

/* The wall clock at so many clock ticks after boot. */
static int64_t wall_of(uint64_t ticks)
{
    struct timespec up;

    clock_gettime(CLOCK_BOOTTIME, &up);
    return clock_wall() -
           (int64_t)(((double)up.tv_sec - procfs_seconds(ticks)) * CLOCK_SEC) -
           up.tv_nsec / 1000;
}

/*
 * The child of the controller before us, when it was started the same way.
 * One that was not is ended first: the port or the socket is the same.
 */
static bool process_adopt(struct ctx *ctx, struct process *p,
                          const struct process_setup *s)
{
    const struct state_record *r = state_find(&p->ctl->found, p->name);
    const struct child_spec spec = {.log = p->log, .tag = s->log_tag};

    if (!r || p->ctl->claimed[r - p->ctl->found.records])
        return false;
    p->ctl->claimed[r - p->ctl->found.records] = true;
    if (child_adopt(ctx, &p->ctl->loop, &p->child, r->pid, r->start_time,
                    &spec)) {
        if (proc_start_time(r->pid) == 0)
            proc_session_kill(r->pid, SIGKILL);
        return false;
    }
    p->adopted = true;
    p->since = wall_of(r->start_time);
    if (strcmp(r->digest, p->digest) != 0) {
        log_info(ctx, "process.replace", "name", p->name, "why",
                 "it was started with another configuration");
        snprintf(p->why, sizeof(p->why), "its configuration has changed");
        p->ended_by_us = true;
        p->state = PROCESS_STARTING;
        child_signal_all(&p->child, SIGKILL);
        return true;
    }
    log_info(ctx, "process.adopted", "name", p->name, "pid", log_int(r->pid));
    for (size_t i = 0; i < s->n_listen; i++)
        listener_take(&s->listen[i], r->pid, LISTENER_FIRST_FD + (int)i);
    process_started(p);
    return true;
}

static int process_setup_run(struct ctx *ctx, struct process *p,
                             struct process_setup *s)
{
    int rc = p->init->setup(ctx, p, s);

    if (rc == 0 && errinj("control.process.setup"))
        rc = ctx_err(ctx, ERR_IO, "injected");
    if (rc)
        return rc;
    if (!s->env)
        s->env = control_env(p->ctl, ctx->arena, p->name, NULL);
    p->probe_port = s->probe_port;
    snprintf(p->probe_unix, sizeof(p->probe_unix), "%s",
             s->probe_unix ? s->probe_unix : "");
    state_digest(s->argv, s->env, p->digest);
    return 0;
}

int listeners_pass(struct ctx *ctx, struct listener *list, size_t n,
                   struct child_spec *spec)
{
    int *fds = ARENA_ARRAY(ctx->arena, int, n + 1);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = listener_open(ctx, &list[i]);
        fds[i] = list[i].fd;
    }
    spec->fds = fds;
    spec->n_fds = n;
    return rc;
}

/* listeners_pass() leaves no room for it. */
static int append_pass(struct ctx *ctx, const char *path, int *fd,
                       struct child_spec *spec)
{
    int *fds = ARENA_ARRAY(ctx->arena, int, spec->n_fds + 1);

    *fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (*fd < 0)
        return files_err(ctx, "open", path);
    for (size_t i = 0; i < spec->n_fds; i++)
        fds[i] = spec->fds[i];
    fds[spec->n_fds++] = *fd;
    spec->fds = fds;
    return 0;
}

static int spawn_child(struct ctx *ctx, struct process *p,
                       const struct process_setup *s)
{
    struct child_spec spec = {.argv = s->argv,
                              .env = s->env,
                              .dir = s->dir,
                              .log = p->log,
                              .tag = s->log_tag,
                              .yields = s->yields};
    int rc, append = -1;

    if (s->stale)
        unlink(s->stale);
    rc = listeners_pass(ctx, s->listen, s->n_listen, &spec);
    if (rc == 0 && s->append)
        rc = append_pass(ctx, s->append, &append, &spec);
    if (rc == 0)
        rc = child_spawn(ctx, &p->ctl->loop, &p->child, &spec);
    if (append >= 0)
        close(append);
    if (rc)
        return rc;
    errinj_crash("control.process.spawned");
    p->adopted = false;
    p->since = clock_wall();
    process_started(p);
    return 0;
}

static void process_spawn(struct process *p)
{
    struct process_setup s = {0};
    struct arena a = ARENA_INIT;
    struct ctx ctx;
    int rc;

    ctx_init(&ctx, &a);
    p->child.on_exit = on_child_exit;
    if (p->throttle.started)
        p->restarts++;
    rc = process_setup_run(&ctx, p, &s);
    if (rc == 0 && !process_adopt(&ctx, p, &s))
        rc = spawn_child(&ctx, p, &s);
    if (rc) {
        snprintf(p->why, sizeof(p->why), "%s", ctx_err_text(&ctx, rc));
        throttle_start(&p->throttle, clock_mono());
        process_retry(p);
    }
    arena_release(&a);
}

void process_refuse(struct process *p, const char *why)
{
    if (p->state != PROCESS_STOPPED)
        return; /* it runs on as it was started */
    p->refused = true;
    snprintf(p->why, sizeof(p->why), "%s", why);
}

void process_start(struct process *p)
{
    if (p->state == PROCESS_STOPPED && !p->ctl->stopping)
        process_spawn(p);
}

static void on_stop_late(uv_timer_t *t)
{
    struct process *p = t->data;

    log_warn(NULL, "process.kill", "name", p->name, "why",
             "it did not end when asked");
    child_signal_all(&p->child, SIGKILL);
}

void process_stop(struct process *p)
{
    if (p->state == PROCESS_STOPPING)
        return;
    uv_timer_stop(&p->timer);
    if (!child_alive(&p->child)) {
        p->state = PROCESS_STOPPED;
        if (p->init->stopped)
            p->init->stopped(p);
        return;
    }
    p->state = PROCESS_STOPPING;
    child_signal(&p->child, p->init->stop_signal);
    timer_set(p, on_stop_late, p->init->stop_grace);
}

const char *process_state_text(const struct process *p)
{
    static const char *const text[] = {
        [PROCESS_STOPPED] = "stopped",   [PROCESS_STARTING] = "starting",
        [PROCESS_READY] = "ready",       [PROCESS_WAITING] = "starting",
        [PROCESS_STOPPING] = "stopping",
    };

    if (p->state != PROCESS_READY && p->state != PROCESS_STOPPING &&
        (p->refused || throttle_failing(&p->throttle, clock_mono())))
        return "failing";
    return text[p->state];
}

/* ---- the state file ---- */

int process_save(struct control *ctl)
{
    struct arena a = ARENA_INIT;
    struct buf text = BUF_IN(&a);
    struct state st = {0};
    struct ctx ctx;
    size_t max = 0;
    int rc;

    ctx_init(&ctx, &a);
    for (struct process *p = ctl->processes; p; p = p->next)
        max++;
    st.records = ARENA_ARRAY(&a, struct state_record, max + ctl->found.n + 1);
    for (struct process *p = ctl->processes; p; p = p->next) {
        struct state_record *r = &st.records[st.n];

        if (!child_alive(&p->child))
            continue;
        *r = (struct state_record){.name = p->name,
                                   .pid = p->child.pid,
                                   .start_time = p->child.start_time,
                                   .port = p->port};
        memcpy(r->digest, p->digest, sizeof(r->digest));
        st.n++;
    }
    for (size_t i = 0; i < ctl->found.n; i++)
        if (!ctl->claimed[i])
            st.records[st.n++] = ctl->found.records[i];
    state_format(&st, &text);
    rc = files_replace(&ctx, control_path(ctl, &a, "run/state"),
                       buf_view(&text), 0600);
    if (rc)
        log_error(&ctx, "state.write", "why", ctx_err_text(&ctx, rc));
    arena_release(&a);
    return rc;
}

static bool is_recorded(const struct control *ctl, pid_t pid)
{
    for (size_t i = 0; i < ctl->found.n; i++)
        if (ctl->found.records[i].pid == pid)
            return true;
    return false;
}

/* Or started by one that is: Erlang gives its helpers sessions of their own,
 * and they end with it. */
static bool is_below_recorded(const struct control *ctl, pid_t pid)
{
    while (pid > 1 && !is_recorded(ctl, pid))
        pid = proc_parent(pid);
    return pid > 1;
}

static void reap_stray(pid_t pid, void *arg)
{
    struct control *ctl = arg;
    struct arena a = ARENA_INIT;
    const char *by_env = arena_printf(&a, "APPSCALE_CHILD=%s:", ctl->root);
    const char *by_conf = control_path(ctl, &a, "run/nginx.conf");

    if (pid != getpid() && !is_below_recorded(ctl, pid) &&
        (proc_has_mark(pid, by_env) ||
         (proc_has_mark(pid, by_conf) &&
          proc_has_mark(pid, "nginx: master process")))) {
        log_warn(NULL, "process.stray", "pid", log_int(pid));
        proc_session_kill(pid, SIGKILL);
    }
    arena_release(&a);
}

void process_reap_unclaimed(struct control *ctl)
{
    for (size_t i = 0; i < ctl->found.n; i++) {
        const struct state_record *r = &ctl->found.records[i];

        if (ctl->claimed[i])
            continue;
        ctl->claimed[i] = true;
        if (r->start_time && proc_start_time(r->pid) == r->start_time) {
            log_info(NULL, "process.unwanted", "name", r->name, "pid",
                     log_int(r->pid));
            proc_session_kill(r->pid, SIGTERM);
        } else if (proc_start_time(r->pid) == 0) {
            proc_session_kill(r->pid, SIGKILL); /* what its leader left */
        }
    }
    process_save(ctl);
}

void process_reap_strays(struct control *ctl)
{
    proc_each_leader(reap_stray, ctl);
}
