/*
 * control - start, run, stop.
 *
 * Start: take the lock, read what the controller before us left, open the
 * Admin API, start memcached and the server (and RabbitMQ, where it is wanted,
 * for which nobody waits), then (load.c) what is deployed, then haproxy and
 * nginx in front.  A part that is found running is adopted at
 * once.  Stop, on SIGTERM, SIGINT or the API: the parts in the reverse order,
 * nginx first, so that whoever is in line is still served.
 */
#include "control/control.h"
#include "control/admin_datastore.h"

#include "base/errinj.h"
#include "base/files.h"
#include "base/log.h"
#include "control/acme.h"
#include "control/admin.h"
#include "control/confine.h"
#include "control/control_int.h"
#include "control/cron.h"
#include "control/hold.h"
#include "control/instance.h"
#include "control/job.h"
#include "control/join.h"
#include "control/logs.h"
#include "control/operation.h"
#include "control/proc.h"
#include "control/retire.h"
#include "control/routing.h"
#include "control/scale.h"
#include "control/servers.h"
#include "wire/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

enum { CHORE_MS = 5000, STATE_MAX = 4 * 1024 * 1024, SECRET_BYTES = 24 };

/* ---- small helpers everybody uses ---- */

const char *control_path(const struct control *ctl, struct arena *a,
                         const char *name)
{
    return arena_printf(a, "%s/%s", ctl->root, name);
}

const char *control_log_path(const struct control *ctl, struct arena *a,
                             const char *name)
{
    char *file = arena_strdup(a, name);

    for (char *p = file; *p; p++)
        if (*p == '/')
            *p = '.';
    return arena_printf(a, "%s/logs/%s.log", ctl->root, file);
}

const char *const *control_words(struct arena *a, const char *const *list)
{
    size_t n = 0;
    const char **copy;

    while (list[n])
        n++;
    copy = ARENA_ARRAY(a, const char *, n + 1);
    memcpy(copy, list, n * sizeof(*copy));
    return copy;
}

/* Variables a child may have from us; what it is started with is part of its
 * digest, so what changes from shell to shell stays out. */
static const char *const passed_on[] = {"PATH=",
                                        "HOME=",
                                        "LANG=",
                                        "TZ=",
                                        "APPSCALE_ERRINJ=",
                                        "ASAN_OPTIONS=",
                                        "TSAN_OPTIONS=",
                                        "UBSAN_OPTIONS=",
                                        NULL};

static bool is_passed_on(const char *variable)
{
    for (const char *const *p = passed_on; *p; p++)
        if (strncmp(variable, *p, strlen(*p)) == 0)
            return true;
    return false;
}

const char *const *control_env(const struct control *ctl, struct arena *a,
                               const char *name, const char *const *extra)
{
    size_t n = 0, max = 2;
    const char **env;

    for (char **e = environ; *e; e++)
        max++;
    for (const char *const *e = extra; e && *e; e++)
        max++;
    env = ARENA_ARRAY(a, const char *, max);
    for (char **e = environ; *e; e++)
        if (is_passed_on(*e))
            env[n++] = *e;
    for (const char *const *e = extra; e && *e; e++)
        env[n++] = *e;
    env[n] = arena_printf(a, "APPSCALE_CHILD=%s:%s", ctl->root, name);
    return env;
}

struct offload {
    uv_work_t work;
    void (*run)(void *arg);
    void (*done)(void *arg);
    void *arg;
};

static void offload_run(uv_work_t *w)
{
    struct offload *o = w->data;

    o->run(o->arg);
}

static void offload_done(uv_work_t *w, int status)
{
    struct offload *o = w->data;

    (void)status;
    o->done(o->arg);
    free(o);
}

void control_offload(struct control *ctl, void (*work)(void *arg),
                     void (*done)(void *arg), void *arg)
{
    struct offload *o = calloc(1, sizeof(*o));

    if (!o)
        abort();
    *o = (struct offload){.run = work, .done = done, .arg = arg};
    o->work.data = o;
    uv_queue_work(&ctl->loop, &o->work, offload_run, offload_done);
}

bool control_ready(const struct control *ctl)
{
    return ctl->loaded && !ctl->stopping &&
           ctl->server->state == PROCESS_READY &&
           ctl->memcached->state == PROCESS_READY &&
           ctl->haproxy->state == PROCESS_READY &&
           ctl->nginx->state == PROCESS_READY;
}

void control_note_ready(const struct control *ctl)
{
    if (control_ready(ctl))
        log_info(NULL, "control.ready", "http_port",
                 log_int(ctl->settings.http_port), "ms",
                 log_int((clock_mono() - ctl->started) / CLOCK_MS));
}

/* ---- start ---- */

static int take_lock(struct ctx *ctx, struct control *ctl)
{
    const char *path = control_path(ctl, ctx->arena, "run/controller.lock");
    char pid[32];

    ctl->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (ctl->lock_fd < 0)
        return files_err(ctx, "open", path);
    if (flock(ctl->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return ctx_err(ctx, ERR_UNAVAILABLE,
                       "another controller runs in %s; appscale down stops it",
                       ctl->root);
    snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    if (ftruncate(ctl->lock_fd, 0) != 0 ||
        pwrite(ctl->lock_fd, pid, strlen(pid), 0) < 0)
        return files_err(ctx, "write", path);
    return 0;
}

static int make_folders(struct ctx *ctx, const struct control *ctl)
{
    static const char *const folders[] = {
        "run/tmp", "data", "logs", "apps", "cache/uploads", "cache/bases"};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(folders) / sizeof(folders[0]); i++)
        rc = files_mkdirs(ctx, control_path(ctl, ctx->arena, folders[i]));
    return rc;
}

int control_secret(struct ctx *ctx, const char *path, const char **out)
{
    unsigned char random[SECRET_BYTES];
    char hex[2 * SECRET_BYTES + 1];
    struct bytes old;

    if (files_read(ctx, path, sizeof(hex), &old) == 0 &&
        old.n == sizeof(hex) - 1) {
        *out = arena_cstr(ctx->arena, old);
        return 0;
    }
    ctx_err_clear(ctx);
    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(hex, sizeof(hex), random, sizeof(random));
    *out = arena_strdup(ctx->arena, hex);
    return files_replace(ctx, path, bytes_str(hex), 0600);
}

/* Made once, kept over restarts: a server that goes on knows it. */
static int read_ticket(struct ctx *ctx, struct control *ctl)
{
    const char *secret;
    int rc = control_secret(
        ctx, control_path(ctl, ctx->arena, "run/platform.ticket"), &secret);

    if (rc == 0)
        ctl->ticket = arena_strdup(&ctl->arena, secret);
    return rc;
}

/* What the controller before us left.  A state that does not read is not the
 * end: children are found by their mark, too, and replaced. */
static void read_state(struct ctx *ctx, struct control *ctl)
{
    struct ctx own;
    struct bytes text;
    int rc;

    ctx_init(&own, &ctl->arena);
    rc = files_read(&own, control_path(ctl, ctx->arena, "run/state"), STATE_MAX,
                    &text);
    if (rc == 0)
        rc = state_parse(&own, text, &ctl->found);
    if (rc && rc != ERR_NOT_FOUND)
        log_warn(&own, "state.unreadable", "why", ctx_err_text(&own, rc));
    if (rc)
        ctl->found = (struct state){0};
    ctl->claimed = ARENA_ARRAY(&ctl->arena, bool, ctl->found.n + 1);
}

static void name_listeners(struct control *ctl)
{
    static const char *const sockets[HAPROXY_LISTENERS] = {
        [HAPROXY_EDGE] = "run/haproxy.sock",
        [HAPROXY_PLATFORM] = "run/haproxy.platform.sock",
        [HAPROXY_TASKS] = ROUTING_TASKS_SOCKET};

    for (int i = 0; i < HAPROXY_LISTENERS; i++)
        ctl->haproxy_listen[i] = (struct listener){
            .path = control_path(ctl, &ctl->arena, sockets[i]), .fd = -1};
    ctl->server_listen = (struct listener){
        .address = "127.0.0.1", .port = (int)ctl->settings.api_port, .fd = -1};
    ctl->nginx_listen[NGINX_HTTP] =
        (struct listener){.address = ctl->settings.http_address,
                          .port = (int)ctl->settings.http_port,
                          .fd = -1};
    ctl->nginx_listen[NGINX_HTTPS] =
        (struct listener){.address = ctl->settings.http_address,
                          .port = (int)ctl->settings.https_port,
                          .fd = -1};
}

static void start_parts(struct control *ctl)
{
    name_listeners(ctl);
    ctl->memcached = process_new(ctl, &part_memcached, "memcached", NULL);
    if (settings_rabbitmq(&ctl->settings))
        ctl->rabbitmq = process_new(ctl, &part_rabbitmq, "rabbitmq", NULL);
    ctl->server = process_new(ctl, &part_server, "server", NULL);
    ctl->haproxy = process_new(ctl, &part_haproxy, "haproxy", NULL);
    ctl->nginx = process_new(ctl, &part_nginx, "nginx", NULL);
    process_start(ctl->memcached);
    if (ctl->rabbitmq)
        process_start(ctl->rabbitmq);
    process_start(ctl->server);
    /* Their files come with the model; who runs already is watched now. */
    if (state_running(&ctl->found, "haproxy"))
        process_start(ctl->haproxy);
    if (state_running(&ctl->found, "nginx"))
        process_start(ctl->nginx);
    load_start(ctl);
}

/* ---- chores ---- */

static void on_chore(uv_timer_t *t)
{
    struct control *ctl = t->data;

    logs_chore(ctl);
    admin_datastore_chore(ctl);
    acme_chore(ctl);
    join_chore(ctl);
}

/* ---- stop ---- */

static void stop_next(struct control *ctl);

static bool is_running(const struct process *p)
{
    return p && p->state != PROCESS_STOPPED;
}

static void on_stop_wait(uv_timer_t *t)
{
    stop_next(t->data);
}

/*
 * Nothing is awaited any more.  A change that is still under way is left as a
 * crash would leave it, and the next controller ends it: one way to get that
 * right instead of two.
 */
static void control_end(struct control *ctl)
{
    process_reap_unclaimed(ctl);
    confine_sweep();
    admin_stop(ctl);
    log_info(NULL, "control.stopped");
    uv_stop(&ctl->loop);
}

/* Instances go together: nobody can reach them any more. */
static bool stop_instances(struct control *ctl)
{
    bool left = false;

    for (struct process *p = ctl->processes, *next; p; p = next) {
        next = p->next;
        if (p->arg) {
            left = true;
            instance_end(p->arg);
        }
    }
    return left;
}

/* The order of the way down; called again whenever something has ended. */
static void stop_next(struct control *ctl)
{
    enum { INSTANCES = 2 };
    struct process *order[] = {ctl->nginx,  ctl->haproxy,  NULL,
                               ctl->server, ctl->rabbitmq, ctl->memcached};

    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        struct process *p = order[i];

        if (i == INSTANCES && stop_instances(ctl)) {
            uv_timer_start(&ctl->chore, on_stop_wait, 20, 0);
            return;
        }
        if (is_running(p)) {
            process_stop(p);
            if (is_running(p)) {
                uv_timer_start(&ctl->chore, on_stop_wait, 20, 0);
                return;
            }
        }
    }
    control_end(ctl);
}

void control_shutdown(struct control *ctl)
{
    if (ctl->stopping)
        return;
    log_info(NULL, "control.stopping");
    ctl->stopping = true;
    uv_timer_stop(&ctl->chore);
    jobs_close();
    stop_next(ctl);
}

static void on_signal(uv_signal_t *s, int number)
{
    (void)number;
    control_shutdown(s->data);
}

/* ---- the story ---- */

static int load_settings(struct ctx *ctx, struct control *ctl,
                         const char *config)
{
    int rc;

    settings_default(&ctl->settings);
    if (!config)
        return 0;
    rc = settings_load(ctx, &ctl->arena, &ctl->settings, config);
    if (rc == ERR_NOT_FOUND)
        return ctx_err(ctx, ERR_NOT_FOUND, "there is no config file %s",
                       config);
    return rc;
}

static int control_start(struct ctx *ctx, struct control *ctl,
                         const struct control_options *o)
{
    int rc = load_settings(ctx, ctl, o->config);

    if (rc == 0)
        rc = make_folders(ctx, ctl);
    if (rc == 0)
        rc = take_lock(ctx, ctl);
    if (rc == 0)
        rc = read_ticket(ctx, ctl);
    if (rc)
        return rc;
    read_state(ctx, ctl);
    process_reap_strays(ctl);
    rc = parts_check(ctx, ctl);
    if (rc)
        return rc;
    uv_loop_init(&ctl->loop);
    uv_timer_init(&ctl->loop, &ctl->chore);
    uv_signal_init(&ctl->loop, &ctl->term);
    uv_signal_init(&ctl->loop, &ctl->interrupt);
    ctl->chore.data = ctl->term.data = ctl->interrupt.data = ctl;
    uv_timer_start(&ctl->chore, on_chore, CHORE_MS, CHORE_MS);
    uv_signal_start(&ctl->term, on_signal, SIGTERM);
    uv_signal_start(&ctl->interrupt, on_signal, SIGINT);
    ctl->http = http_client_new(&ctl->loop);
    logs_start(ctl);
    confine_sweep();
    confine_probe(ctl);
    servers_start(ctl);
    routing_start(ctl);
    scale_start(ctl);
    cron_start(ctl);
    acme_start(ctl);
    rc = hold_start(ctx, ctl);
    if (rc == 0)
        rc = admin_start(ctx, ctl);
    if (rc == 0)
        start_parts(ctl);
    return rc;
}

/*
 * Nor of what we start: a worker of haproxy 2.6 that a reload has replaced
 * falls over at its very end, when it lets go of a socket it was handed, and
 * would leave a file each time.
 */
static void no_cores(void)
{
    struct rlimit none = {0};

    if (getrlimit(RLIMIT_CORE, &none) == 0) {
        none.rlim_cur = 0;
        setrlimit(RLIMIT_CORE, &none);
    }
}

int control_run(const struct control_options *o)
{
    static struct control ctl; /* goes with the process, as all it holds */
    struct arena a = ARENA_INIT;
    struct ctx ctx;
    int rc;

    ctl = (struct control){.root = o->root,
                           .programs = o->programs,
                           .runtimes = o->runtimes,
                           .started = clock_mono()};
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    no_cores();
    if (sodium_init() < 0)
        die("libsodium does not start");
    wire_init();
    errinj_from_env();
    ctx_init(&ctx, &a);
    log_info(NULL, "control.start", "root", ctl.root);
    rc = control_start(&ctx, &ctl, o);
    if (rc)
        die("appscale-controller: %s", ctx_err_text(&ctx, rc));
    arena_release(&a);
    uv_run(&ctl.loop, UV_RUN_DEFAULT);
    return 0;
}
