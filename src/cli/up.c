/*
 * `appscale up`, `down` and `init`: the life of the platform on this machine.
 *
 * up reads the AppScalefile, writes its values as ROOT/run/config.json, starts
 * appscale-controller in a session of its own, and watches its status until
 * everything is ready.  down asks it to stop and waits for its end.
 */
#include "cli/up.h"

#include "base/exit.h"
#include "base/files.h"
#include "cli/api.h"
#include "cli/child.h"
#include "config/appscalefile.h"
#include "config/paths.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { POLL_MS = 50 };
#define UP_LIMIT   (60 * CLOCK_SEC)
#define DOWN_LIMIT (60 * CLOCK_SEC)

/* ---- before the start ---- */

static const struct {
    const char *program, *package;
} needed[] = {
    {"appscale-controller", NULL},
    {"appscale-server", NULL},
    {"nginx", "nginx"},
    {"haproxy", "haproxy"},
    {"memcached", "memcached"},
    {"python3", "python3 python3-venv"},
};

int up_check_programs(struct cli *cli, const struct settings *s)
{
    struct buf missing = BUF_IN(&cli->arena), packages = BUF_IN(&cli->arena);

    for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
        if (config_program_find(&cli->arena, needed[i].program))
            continue;
        buf_printf(&missing, "%s%s", missing.n ? ", " : "", needed[i].program);
        if (needed[i].package)
            buf_printf(&packages, " %s", needed[i].package);
    }
    if (settings_rabbitmq(s) && access(CONFIG_RABBITMQ, X_OK) < 0) {
        buf_printf(&missing, "%s%s (for task_broker: rabbitmq)",
                   missing.n ? ", " : "", CONFIG_RABBITMQ);
        buf_add_str(&packages, " rabbitmq-server");
    }
    if (!missing.n)
        return 0;
    return cli_fail(cli, CLI_FAILED,
                    packages.n ? arena_printf(&cli->arena, "apt-get install%s",
                                              buf_cstr(&packages))
                               : "build them: ninja -C build",
                    "not found on this machine: %s", buf_cstr(&missing));
}

static bool port_taken(const char *address, int64_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    bool taken;

    if (fd < 0 || inet_pton(AF_INET, address, &at.sin_addr) != 1) {
        if (fd >= 0)
            close(fd);
        return false; /* the one who listens will say what is wrong */
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    taken = bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 &&
            (errno == EADDRINUSE || errno == EACCES);
    close(fd);
    return taken;
}

/* Only on a first start: what a former controller left running holds them. */
int up_check_ports(struct cli *cli, const struct settings *s)
{
    const struct {
        const char *name, *address;
        int64_t port;
    } ports[] = {
        {"http_port", s->http_address, s->http_port},
        {"https_port", s->http_address, s->https_port},
        {"api_port", "127.0.0.1", s->api_port},
        {"rabbitmq_port", "127.0.0.1",
         settings_rabbitmq(s) ? s->rabbitmq_port : 0},
    };

    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        if (!ports[i].port || !port_taken(ports[i].address, ports[i].port))
            continue;
        return cli_fail(
            cli, CLI_FAILED,
            arena_printf(&cli->arena,
                         "`ss -ltnp 'sport = :%" PRId64 "'` shows who has it; "
                         "or set another %s in the AppScalefile (appscale "
                         "init)",
                         ports[i].port, ports[i].name),
            "port %" PRId64 " (%s) on %s is taken or not allowed",
            ports[i].port, ports[i].name, ports[i].address);
    }
    return 0;
}

static int make_folder(struct cli *cli, const char *path, mode_t mode)
{
    char *copy = arena_strdup(&cli->arena, path);

    for (char *at = strchr(copy + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            break; /* the last mkdir tells */
        *at = '/';
    }
    if (mkdir(path, mode) == 0 || errno == EEXIST)
        return 0;
    return cli_fail(cli, CLI_FAILED, "choose another folder with --root DIR",
                    "cannot make %s: %s", path, strerror(errno));
}

static int make_folders(struct cli *cli)
{
    int rc = make_folder(cli, cli->root, 0755);

    if (rc == 0)
        rc = make_folder(cli, arena_printf(&cli->arena, "%s/run", cli->root),
                         0755);
    if (rc == 0)
        rc = make_folder(cli, arena_printf(&cli->arena, "%s/logs", cli->root),
                         0750);
    if (rc == 0 && access(cli->root, W_OK) < 0)
        rc = cli_fail(cli, CLI_FAILED, "choose another folder with --root DIR",
                      "%s may not be written by this user", cli->root);
    return rc;
}

/* The AppScalefile: named, here, or in ROOT; none is fine. */
int up_settings(struct cli *cli, struct settings *s, const char **used)
{
    const char *given = cli_option(cli, "config");
    const char *places[] = {
        given ? given : "AppScalefile",
        arena_printf(&cli->arena, "%s/AppScalefile", cli->root)};
    int n = given ? 1 : 2, rc = ERR_NOT_FOUND;

    *used = NULL;
    for (int i = 0; i < n && rc == ERR_NOT_FOUND; i++) {
        rc = appscalefile_load(&cli->ctx, places[i], s);
        if (rc != ERR_NOT_FOUND)
            *used = places[i];
    }
    if (rc == ERR_NOT_FOUND && given)
        return cli_usage(cli, "%s: no such file", given);
    if (rc == ERR_NOT_FOUND)
        return 0;
    if (rc < 0) {
        cli->exit = CLI_INVALID;
        cli->next = "appscale help config";
    }
    return rc;
}

static int write_config(struct cli *cli, const struct settings *s,
                        const char **path)
{
    json_t *json = settings_json(s);
    char *text = json_dumps(json, JSON_INDENT(2));
    int rc;

    *path = arena_printf(&cli->arena, "%s/run/config.json", cli->root);
    rc = files_replace(&cli->ctx, *path, bytes_str(text), 0644);
    if (rc < 0)
        cli->next = "make room, or choose another --root";
    free(text);
    json_decref(json);
    return rc;
}

/* ---- waiting for ready ---- */

struct up {
    struct cli *cli;
    struct api *api;
    struct progress progress;
    struct settings settings;
    const char *log;
    pid_t controller;
};

/* The controller's last lines; what it dies of is there. */
static const char *log_tail(struct up *up, int lines)
{
    struct arena *a = &up->cli->arena;

    return arena_cstr(a, files_tail(a, up->log, lines));
}

static int controller_died(struct up *up, int status)
{
    return cli_fail(up->cli, CLI_FAILED,
                    arena_printf(&up->cli->arena,
                                 "correct what its log says "
                                 "(%s), then appscale up",
                                 up->log),
                    "appscale-controller %s:\n%s",
                    exit_text(&up->cli->arena, status), log_tail(up, 8));
}

/* What a process that fails says about itself. */
static int process_failed(struct up *up, const json_t *process)
{
    const json_t *lines = json_object_get(process, "lastError"), *line;
    struct buf all = BUF_IN(&up->cli->arena);
    const char *name = api_text(process, "name", "?");
    size_t i;

    json_array_foreach(lines, i, line)
        buf_printf(&all, "\n    %s", json_string_value(line));
    return cli_fail(up->cli, CLI_FAILED,
                    arena_printf(&up->cli->arena,
                                 "appscale logs %s shows more; the rest of the "
                                 "platform keeps trying (appscale down stops "
                                 "it)",
                                 name),
                    "%s does not start:%s", name,
                    all.n ? buf_cstr(&all) : " it gives no reason");
}

/* 1 when ready, 0 to go on waiting, ERR_* when a process has given up. */
static int look(struct up *up, const json_t *status)
{
    const json_t *process;
    struct buf waiting = BUF_IN(&up->cli->arena);
    size_t i;

    if (json_is_true(json_object_get(status, "ready")))
        return 1;
    json_array_foreach(json_object_get(status, "processes"), i, process)
    {
        const char *state = api_text(process, "state", "");

        if (strcmp(state, "failing") == 0)
            return process_failed(up, process);
        if (strcmp(state, "ready") != 0)
            buf_printf(&waiting, "%s%s", waiting.n ? ", " : "",
                       api_text(process, "name", "?"));
    }
    if (waiting.n)
        progress_step(&up->progress, "Waiting for the platform (%s)",
                      buf_cstr(&waiting));
    return 0;
}

static int poll_once(struct up *up, json_t **status)
{
    struct cli *cli = up->cli;
    int rc, ended;

    if (up->controller > 0 &&
        waitpid(up->controller, &ended, WNOHANG) == up->controller)
        return controller_died(up, ended);
    rc = access(cli->socket, F_OK) < 0
             ? ERR_UNAVAILABLE
             : api_call(up->api, "GET", status, NULL, "/v1/platform/status");
    if (rc == ERR_UNAVAILABLE) {
        /* not listening yet */
        ctx_err_clear(&cli->ctx);
        cli->next = NULL;
        cli->exit = CLI_FAILED;
        return 0;
    }
    return rc ? rc : look(up, *status);
}

static int wait_ready(struct up *up, json_t **status)
{
    int64_t until = clock_mono() + UP_LIMIT;
    int rc;

    for (;;) {
        json_decref(*status);
        *status = NULL;
        rc = poll_once(up, status);
        if (rc != 0)
            return rc < 0 ? rc : 0;
        if (clock_mono() > until)
            return cli_fail(up->cli, CLI_FAILED,
                            "appscale status shows what is missing, appscale "
                            "logs why",
                            "the platform is not ready after %d s; it keeps "
                            "trying. The controller's last lines:\n%s",
                            (int)(UP_LIMIT / CLOCK_SEC), log_tail(up, 4));
        progress_tick(&up->progress);
        usleep(POLL_MS * 1000);
    }
}

static void print_up(struct cli *cli, const json_t *status, bool already)
{
    if (cli->json) {
        cli_print_json(status);
        return;
    }
    printf("%sThe platform is %s.%s Applications answer below %s\n",
           cli_good(cli), already ? "up already" : "up", cli_plain(cli),
           api_text(status, "url", "?"));
    if (!already)
        printf("  appscale deploy DIR    deploys one\n"
               "  appscale status        shows what runs\n"
               "  appscale down          stops it; everything stays\n");
}

/* Nobody may have answered, and yet a controller may hold the lock: it is
 * starting or stopping just now, and its status will tell. */
bool up_controller_alive(struct cli *cli)
{
    int fd =
        open(arena_printf(&cli->arena, "%s/run/controller.lock", cli->root),
             O_RDWR | O_CLOEXEC);
    struct flock want = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool alive = false;

    if (fd < 0)
        return false;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        alive = true;
    else if (fcntl(fd, F_GETLK, &want) == 0 && want.l_type != F_UNLCK)
        alive = true;
    close(fd);
    return alive;
}

/* Whether a former controller's children may still run: then ports are theirs
 * and will be adopted. */
static bool first_start(struct cli *cli)
{
    return access(arena_printf(&cli->arena, "%s/run/state", cli->root), F_OK) <
           0;
}

static int start_controller(struct up *up, const char *config)
{
    struct cli *cli = up->cli;
    const char *argv[] = {
        config_program_find(&cli->arena, "appscale-controller"),
        "--root",
        cli->root,
        "--config",
        config,
        NULL};

    return child_detach(&cli->ctx, argv, up->log, &up->controller);
}

static int start(struct up *up)
{
    struct cli *cli = up->cli;
    const char *used, *config = NULL;
    int rc = up_settings(cli, &up->settings, &used);

    if (rc == 0)
        rc = up_check_programs(cli, &up->settings);
    if (rc == 0)
        rc = make_folders(cli);
    if (rc == 0 && first_start(cli))
        rc = up_check_ports(cli, &up->settings);
    if (rc == 0)
        rc = write_config(cli, &up->settings, &config);
    if (rc < 0)
        return rc;
    progress_step(&up->progress, "Starting the controller%s%s",
                  used ? " with " : "", used ? used : "");
    return start_controller(up, config);
}

int cli_up(struct cli *cli)
{
    struct up up = {.cli = cli, .api = api_open(cli)};
    json_t *status = NULL;
    bool already = true;
    int rc;

    up.log = arena_printf(&cli->arena, "%s/logs/controller.log", cli->root);
    settings_default(&up.settings);
    progress_init(&up.progress, cli->json);
    rc = api_call(up.api, "GET", &status, NULL, "/v1/platform/status");
    if (rc < 0 && cli->exit == CLI_NOT_RUNNING) {
        ctx_err_clear(&cli->ctx);
        cli->exit = CLI_FAILED;
        cli->next = NULL;
        already = up_controller_alive(cli);
        rc = already ? 0 : start(&up);
    }
    if (rc == 0)
        rc = wait_ready(&up, &status);
    progress_end(&up.progress, rc == 0);
    if (rc == 0)
        print_up(cli, status, already);
    json_decref(status);
    return rc;
}

/* ---- down ---- */

static int wait_down(struct cli *cli, struct progress *progress)
{
    int64_t until = clock_mono() + DOWN_LIMIT;

    while (up_controller_alive(cli) || access(cli->socket, F_OK) == 0) {
        if (!up_controller_alive(cli) && clock_mono() > until - DOWN_LIMIT / 2)
            break; /* it died and left its socket behind */
        if (clock_mono() > until)
            return cli_fail(cli, CLI_FAILED, "appscale logs controller",
                            "the controller still runs after %d s",
                            (int)(DOWN_LIMIT / CLOCK_SEC));
        progress_tick(progress);
        usleep(POLL_MS * 1000);
    }
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int kind,
                        struct FTW *at)
{
    return at->level == 0 ? 0 : remove(path);
}

/* Only what the platform made there, by name: ROOT may be any folder.
 * *removed counts what was there. */
static int clean(struct cli *cli, int *removed)
{
    static const char *const made[] = {"run", "data", "logs", "apps", "cache"};

    for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++) {
        const char *path =
            arena_printf(&cli->arena, "%s/%s", cli->root, made[i]);

        if (access(path, F_OK) < 0)
            continue;
        if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0 ||
            rmdir(path) < 0)
            return cli_fail(cli, CLI_FAILED,
                            "run it as the user who started the platform",
                            "cannot remove %s: %s", path, strerror(errno));
        ++*removed;
    }
    return 0;
}

static int stop(struct cli *cli, bool *was_up)
{
    struct api *api = api_open(cli);
    struct progress progress;
    int rc = api_call(api, "POST", NULL, NULL, "/v1/platform:shutdown");

    *was_up = rc == 0;
    if (rc < 0 && cli->exit == CLI_NOT_RUNNING) {
        ctx_err_clear(&cli->ctx);
        cli->exit = CLI_FAILED;
        cli->next = NULL;
        return 0;
    }
    if (rc < 0)
        return rc;
    progress_init(&progress, cli->json);
    progress_step(&progress, "Stopping applications, then the platform");
    rc = wait_down(cli, &progress);
    progress_end(&progress, rc == 0);
    return rc;
}

/* The question names the folder: a root that was not meant is seen there. */
static int confirm_clean(struct cli *cli)
{
    const char *question = arena_printf(
        &cli->arena, "Delete all data, users and deployments in %s for good?",
        cli->root);

    if (cli_switch(cli, "yes") || cli_confirm(cli, question))
        return 0;
    return cli_fail(cli, CLI_USAGE, "add --yes to delete without asking",
                    "nothing in %s was deleted or stopped", cli->root);
}

static const char *clean_text(struct cli *cli, int removed)
{
    if (removed)
        return arena_printf(&cli->arena, "All its data in %s is gone.",
                            cli->root);
    return arena_printf(&cli->arena, "There was no data in %s.", cli->root);
}

int cli_down(struct cli *cli)
{
    bool wipe = cli_switch(cli, "clean"), was_up;
    int rc = wipe ? confirm_clean(cli) : 0, removed = 0;

    if (rc == 0)
        rc = stop(cli, &was_up);
    if (rc == 0 && wipe)
        rc = clean(cli, &removed);
    if (rc == 0 && !cli->json)
        printf("%s %s\n",
               was_up ? "The platform is down." : "The platform was not up.",
               wipe ? clean_text(cli, removed)
                    : "`appscale up` continues where it was.");
    return rc;
}

/* ---- init ---- */

int cli_init(struct cli *cli)
{
    struct buf text = BUF_IN(&cli->arena);
    int fd =
        open("AppScalefile", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    ssize_t n;

    if (fd < 0 && errno == EEXIST)
        return cli_fail(cli, CLI_FAILED,
                        "appscale help config lists what may "
                        "stand in it",
                        "an AppScalefile is here already");
    if (fd < 0)
        return ctx_err(&cli->ctx, ERR_IO, "cannot write AppScalefile: %s",
                       strerror(errno));
    appscalefile_template(&text);
    n = write(fd, text.p, text.n);
    if (close(fd) < 0 || n != (ssize_t)text.n) {
        unlink("AppScalefile");
        return ctx_err(&cli->ctx, ERR_IO, "cannot write AppScalefile: %s",
                       strerror(errno));
    }
    printf("AppScalefile written. Edit it, then: appscale up\n");
    return 0;
}
