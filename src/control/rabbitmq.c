/*
 * rabbitmq - the row of the process table for RabbitMQ, with task_broker:
 * rabbitmq.
 *
 * It is ours alone: its own folder, user and password, one loopback port, no
 * plugins.  Its Erlang node neither listens for other nodes nor has a name
 * server (epmd): the node's name only has to stay the same, as its data is
 * filed under it, and -erl_epmd_port answers RabbitMQ's own look-up of itself.
 * ERL_FLAGS has these rather than the command line, for they have to reach the
 * small node, too, by which RabbitMQ would start an epmd once a minute.
 *
 * DIR/rabbitmq holds nothing that is not in the store as well.  Whoever removes
 * it whole, with the platform down, loses nothing.
 */
#include "base/files.h"
#include "config/paths.h"
#include "control/control_int.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static const char *folder(struct control *ctl, struct arena *a,
                          const char *name)
{
    return arena_printf(a, "%s/%s", control_path(ctl, a, "rabbitmq"), name);
}

const char *rabbitmq_password_path(struct control *ctl, struct arena *a)
{
    return folder(ctl, a, "password");
}

int rabbitmq_check(struct ctx *ctx)
{
    if (access(CONFIG_RABBITMQ, X_OK) == 0)
        return 0;
    return ctx_err(ctx, ERR_NOT_FOUND,
                   "task_broker is rabbitmq, and %s is missing: apt-get "
                   "install rabbitmq-server",
                   CONFIG_RABBITMQ);
}

/*
 * The user is made when RabbitMQ first starts in an empty folder.  What is
 * large or long-lived by default (a log of 512 MiB that is kept in memory, 30
 * minutes for an acknowledgement) is set to what our few small messages need;
 * a task may take a day.
 */
static void write_conf(struct buf *out, const struct control *ctl,
                       const char *password)
{
    buf_printf(out,
               "listeners.tcp.1 = 127.0.0.1:%" PRId64 "\n"
               "default_user = appscale\n"
               "default_pass = %s\n"
               "default_user_tags.administrator = false\n"
               "log.file = false\n"
               "log.console = true\n"
               "log.console.level = warning\n"
               "vm_memory_high_watermark.absolute = %" PRId64 "MiB\n"
               "raft.wal_max_size_bytes = 16777216\n"
               "consumer_timeout = 90000000\n",
               ctl->settings.rabbitmq_port, password,
               ctl->settings.rabbitmq_mb);
}

static int write_files(struct ctx *ctx, struct control *ctl)
{
    struct arena *a = ctx->arena;
    struct buf conf = BUF_IN(a);
    const char *password, *cookie;
    bool changed;
    int rc = files_mkdirs(ctx, folder(ctl, a, "log"));

    if (rc == 0)
        rc = files_mkdirs(ctx, folder(ctl, a, "data"));
    if (rc == 0)
        rc = control_secret(ctx, rabbitmq_password_path(ctl, a), &password);
    if (rc == 0)
        rc = control_secret(ctx, folder(ctl, a, ".erlang.cookie"), &cookie);
    if (rc == 0)
        rc = files_update(ctx, folder(ctl, a, "enabled_plugins"),
                          BYTES_LIT("[].\n"), 0600, &changed);
    if (rc)
        return rc;
    write_conf(&conf, ctl, password);
    return files_update(ctx, folder(ctl, a, "rabbitmq.conf"), buf_view(&conf),
                        0600, &changed);
}

static const char *variable(struct arena *a, const char *name,
                            const char *value)
{
    return arena_printf(a, "%s=%s", name, value);
}

/*
 * Nothing of the machine's own RabbitMQ: neither /etc/rabbitmq nor its user.
 * RUNNING_UNDER_SYSTEMD makes the script become the Erlang machine instead of
 * staying between it and our signals.
 */
static const char *const *environment(struct control *ctl, struct arena *a,
                                      const char *name)
{
    return WORDS(
        a, "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8",
        variable(a, "HOME", control_path(ctl, a, "rabbitmq")),
        variable(a, "RABBITMQ_CONFIG_FILE", folder(ctl, a, "rabbitmq.conf")),
        variable(a, "RABBITMQ_MNESIA_BASE", folder(ctl, a, "data")),
        variable(a, "RABBITMQ_LOG_BASE", folder(ctl, a, "log")),
        variable(a, "RABBITMQ_ENABLED_PLUGINS_FILE",
                 folder(ctl, a, "enabled_plugins")),
        "RABBITMQ_CONF_ENV_FILE=/dev/null", "RABBITMQ_LOGS=-",
        "RABBITMQ_NODENAME=appscale@localhost", "RUNNING_UNDER_SYSTEMD=1",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-sname appscale@localhost",
        "ERL_FLAGS=-start_epmd false -dist_listen false -erl_epmd_port 1",
        "ERL_CRASH_DUMP_SECONDS=0",
        arena_printf(a, "APPSCALE_CHILD=%s:%s", ctl->root, name));
}

static int setup(struct ctx *ctx, struct process *p, struct process_setup *s)
{
    struct control *ctl = p->ctl;
    struct arena *a = ctx->arena;
    int rc = rabbitmq_check(ctx);

    if (rc == 0)
        rc = write_files(ctx, ctl);
    if (rc)
        return rc;
    s->argv = WORDS(a, CONFIG_RABBITMQ);
    s->env = environment(ctl, a, p->name);
    s->dir = control_path(ctl, a, "rabbitmq");
    s->probe_port = (int)ctl->settings.rabbitmq_port;
    return 0;
}

const struct process_init part_rabbitmq = {
    .kind = "rabbitmq",
    .setup = setup,
    .stop_signal = SIGTERM,
    .stop_grace = 15 * CLOCK_SEC,
    .start_limit = 120 * CLOCK_SEC, /* ten seconds on an idle machine */
};
