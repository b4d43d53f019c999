/*
 * parts - the rows of the process table that every machine has: the server,
 * memcached, haproxy and nginx.
 *
 * They run as the user who runs the controller, in the runtime folder, with
 * our configuration only.
 */
#include "base/files.h"
#include "base/log.h"
#include "control/control_int.h"
#include "control/proc.h"
#include "control/routing.h"
#include "control/servers.h"

#include <signal.h>
#include <unistd.h>

/* The Debian package a program comes with. */
static const struct {
    const char *program, *package;
} packages[] = {
    {"memcached", "memcached"},
    {"haproxy", "haproxy"},
    {"nginx", "nginx"},
};

static int find(struct ctx *ctx, const char *name, const char **out)
{
    const char *package = name;

    *out = proc_find_program(ctx->arena, name);
    if (*out)
        return 0;
    for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++)
        if (strcmp(packages[i].program, name) == 0)
            package = packages[i].package;
    return ctx_err(ctx, ERR_NOT_FOUND,
                   "the program %s is missing: apt-get install %s", name,
                   package);
}

static int server_path(struct ctx *ctx, struct control *ctl, const char **out)
{
    *out = arena_printf(ctx->arena, "%s/appscale-server", ctl->programs);
    if (access(*out, X_OK) == 0)
        return 0;
    return ctx_err(ctx, ERR_NOT_FOUND, "%s is missing: build it with ninja",
                   *out);
}

static int server_setup(struct ctx *ctx, struct process *p,
                        struct process_setup *s)
{
    struct control *ctl = p->ctl;
    struct arena *a = ctx->arena;
    const char *socket = control_path(ctl, a, "run/server.sock");
    const char *program;
    int rc = server_path(ctx, ctl, &program);

    if (rc)
        return rc;
    s->listen = &ctl->server_listen;
    s->n_listen = 1;
    s->argv =
        WORDS(a, program, "--storage", ctl->settings.storage, "--data",
              control_path(ctl, a, "data"), "--listen-fd",
              arena_printf(a, "%d", LISTENER_FIRST_FD), "--unix", socket,
              "--memcached", control_path(ctl, a, "run/memcached.sock"),
              "--domain", ctl->settings.domain, "--platform-ticket-file",
              control_path(ctl, a, "run/platform.ticket"), "--edge",
              control_path(ctl, a, ROUTING_TASKS_SOCKET), "--controller",
              control_path(ctl, a, "run/controller.sock"), "--platform",
              control_path(ctl, a, "run/haproxy.platform.sock"),
              settings_rabbitmq(&ctl->settings) ? "--rabbitmq" : NULL,
              arena_printf(a, "127.0.0.1:%d", (int)ctl->settings.rabbitmq_port),
              "--rabbitmq-password-file", rabbitmq_password_path(ctl, a));
    /* The port takes connections before anybody is there. */
    s->probe_unix = socket;
    return 0;
}

static int memcached_setup(struct ctx *ctx, struct process *p,
                           struct process_setup *s)
{
    struct arena *a = ctx->arena;
    const char *socket = control_path(p->ctl, a, "run/memcached.sock");
    const char *memory =
        arena_printf(a, "%d", (int)p->ctl->settings.memcached_mb);
    const char *program;
    int rc = find(ctx, "memcached", &program);

    if (rc)
        return rc;
    s->probe_unix = s->stale = socket;
    if (getuid() == 0)
        s->argv = WORDS(a, program, "-s", socket, "-a", "0600", "-m", memory,
                        "-t", "2", "-c", "1024", "-u", "root");
    else
        s->argv = WORDS(a, program, "-s", socket, "-a", "0600", "-m", memory,
                        "-t", "2", "-c", "1024");
    return 0;
}

/*
 * One that ended begins anew with the instances of now: those in the file are
 * of its last reload.
 */
static int haproxy_file(struct ctx *ctx, struct control *ctl)
{
    struct buf text = BUF_IN(ctx->arena);

    if (!ctl->loaded)
        return 0;
    haproxy_conf(ctl, &text);
    return files_replace(ctx, control_path(ctl, ctx->arena, "run/haproxy.cfg"),
                         buf_view(&text), 0600);
}

/*
 * haproxy and nginx yield: a proxy that wakes up for each answer stops the
 * instance in the middle of its next one, and under load every request pays
 * for the change of processes there and back.  Left until the instance rests,
 * they find several answers at once.
 */
static int haproxy_setup(struct ctx *ctx, struct process *p,
                         struct process_setup *s)
{
    const char *program;
    int rc = find(ctx, "haproxy", &program);

    if (rc == 0)
        rc = haproxy_file(ctx, p->ctl);
    if (rc)
        return rc;
    s->argv = WORDS(ctx->arena, program, "-W", "-q", "-f",
                    control_path(p->ctl, ctx->arena, "run/haproxy.cfg"));
    s->probe_unix = control_path(p->ctl, ctx->arena, "run/haproxy.admin.sock");
    s->listen = p->ctl->haproxy_listen;
    s->n_listen = HAPROXY_LISTENERS;
    s->append = control_log_path(p->ctl, ctx->arena, "platform-access");
    /* For the digest: one that an earlier release started without that file
     * has something else at its descriptor, and is not taken over. */
    s->env = control_env(
        p->ctl, ctx->arena, p->name,
        WORDS(ctx->arena, arena_printf(ctx->arena, "APPSCALE_LOG_FD=%d",
                                       LISTENER_FIRST_FD + HAPROXY_LISTENERS)));
    s->yields = true;
    return 0;
}

static int nginx_setup(struct ctx *ctx, struct process *p,
                       struct process_setup *s)
{
    const char *program;
    int rc = find(ctx, "nginx", &program);

    if (rc)
        return rc;
    s->stale = s->probe_unix =
        control_path(p->ctl, ctx->arena, "run/nginx.sock");
    s->argv = WORDS(ctx->arena, program, "-p",
                    control_path(p->ctl, ctx->arena, "run"), "-e", "stderr",
                    "-c", control_path(p->ctl, ctx->arena, "run/nginx.conf"));
    /* nginx takes sockets over by this variable, as at its own upgrades. */
    s->env = control_env(p->ctl, ctx->arena, p->name,
                         WORDS(ctx->arena, p->ctl->settings.https_port
                                               ? "NGINX=3;4;"
                                               : "NGINX=3;"));
    s->listen = p->ctl->nginx_listen;
    s->n_listen = p->ctl->settings.https_port ? NGINX_LISTENERS : 1;
    s->yields = true;
    return 0;
}

static void part_ready(struct process *p)
{
    control_note_ready(p->ctl);
}

static void haproxy_ready(struct process *p)
{
    servers_follow(p->ctl, NULL, NULL);
    control_note_ready(p->ctl);
}

const struct process_init part_server = {
    .kind = "server",
    .setup = server_setup,
    .ready = part_ready,
    .stop_signal = SIGTERM,
    .stop_grace = 20 * CLOCK_SEC,
    .start_limit = 120 * CLOCK_SEC, /* a store recovers its log first */
};
const struct process_init part_memcached = {
    .kind = "memcached",
    .setup = memcached_setup,
    .ready = part_ready,
    .stop_signal = SIGTERM,
    .stop_grace = 3 * CLOCK_SEC,
    .start_limit = 10 * CLOCK_SEC,
};
const struct process_init part_haproxy = {
    .kind = "haproxy",
    .setup = haproxy_setup,
    .ready = haproxy_ready,
    .stop_signal = SIGTERM, /* at once; requests have left through nginx */
    .stop_grace = 3 * CLOCK_SEC,
    .start_limit = 10 * CLOCK_SEC,
};
const struct process_init part_nginx = {
    .kind = "nginx",
    .setup = nginx_setup,
    .ready = part_ready,
    .stop_signal = SIGQUIT, /* finish what runs, accept nothing new */
    .stop_grace = 5 * CLOCK_SEC,
    .start_limit = 10 * CLOCK_SEC,
};

static int check_port(struct ctx *ctx, struct control *ctl, int64_t port,
                      const char *setting, const char *process)
{
    const char *owner;

    if (!process_probe(NULL, (int)port) || state_find(&ctl->found, process))
        return 0; /* free, or our own from before */
    owner = proc_port_owner(ctx->arena, (int)port);
    return ctx_err(ctx, ERR_UNAVAILABLE,
                   "port %d is taken%s%s: stop that program, or choose "
                   "another port with the setting %s",
                   (int)port, owner ? " by " : "", owner ? owner : "", setting);
}

int parts_check(struct ctx *ctx, struct control *ctl)
{
    const char *path;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(packages) / sizeof(packages[0]);
         i++)
        rc = find(ctx, packages[i].program, &path);
    if (rc == 0)
        rc = server_path(ctx, ctl, &path);
    if (rc == 0)
        rc =
            check_port(ctx, ctl, ctl->settings.http_port, "http_port", "nginx");
    if (rc == 0 && ctl->settings.https_port)
        rc = check_port(ctx, ctl, ctl->settings.https_port, "https_port",
                        "nginx");
    if (rc == 0)
        rc = check_port(ctx, ctl, ctl->settings.api_port, "api_port", "server");
    if (rc == 0 && settings_rabbitmq(&ctl->settings))
        rc = rabbitmq_check(ctx);
    if (rc == 0 && settings_rabbitmq(&ctl->settings))
        rc = check_port(ctx, ctl, ctl->settings.rabbitmq_port, "rabbitmq_port",
                        "rabbitmq");
    return rc;
}
