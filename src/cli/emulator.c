/*
 * `appscale emulator`: memcached and appscale-server alone, on loopback.
 *
 * Everything that happens is a signal or a tick of sigtimedwait(): a child's
 * end, the request to stop, and the moments at which we look for the port file
 * that the server writes once it listens.  Stdout carries the exports and
 * nothing else.
 */
#include "base/exit.h"
#include "cli/child.h"
#include "cli/cli.h"
#include "config/appyaml.h"
#include "config/index_xml.h"
#include "config/paths.h"
#include "config/queue_xml.h"
#include "config/regex.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK         (20 * CLOCK_MS)
#define START_LIMIT  (30 * CLOCK_SEC)
#define STOP_GRACE   (10 * CLOCK_SEC)
#define RESTART_WAIT (1 * CLOCK_SEC)

struct emulator {
    struct cli *cli;
    const char *project;
    int64_t port;
    const char *folder; /* the temporary one */
    const char *data;
    const char *socket; /* memcached's */
    const char *port_file;
    const char *index_yaml; /* where it is or will be; or NULL */
    const char *war;        /* the folder with WEB-INF instead; or NULL */
    const char *queue_yaml; /* or NULL */
    struct bytes queue_xml; /* what a war says instead, as YAML */
    const char *memcached, *server;  /* programs */
    pid_t memcached_pid, server_pid; /* 0: not running */
    int64_t memcached_since;
    struct child_watchman watchman;
};

/* ---- before anything starts ---- */

static int find_programs(struct emulator *em)
{
    struct cli *cli = em->cli;

    em->server = config_program_find(&cli->arena, "appscale-server");
    if (!em->server)
        return cli_fail(cli, CLI_FAILED,
                        "build it (ninja -C build) or put it on the PATH",
                        "appscale-server is neither beside this program nor "
                        "on the PATH");
    em->memcached = config_program_find(&cli->arena, "memcached");
    if (!em->memcached)
        return cli_fail(cli, CLI_FAILED, "apt-get install memcached",
                        "memcached is not installed");
    return 0;
}

/* A companion of app.yaml, checked; *path stays NULL when it is absent. */
static int find_yaml(struct emulator *em, const char *dir, const char *name,
                     const char **path)
{
    struct cli *cli = em->cli;
    const char *full = arena_printf(&cli->arena, "%s/%s", dir, name);
    const struct appyaml_file *f = appyaml_files;
    struct bytes text;
    int rc;

    while (strcmp(f->name, name) != 0)
        f++;
    rc = appyaml_file_load(&cli->ctx, f, full, &text);
    if (rc == ERR_NOT_FOUND)
        return 0;
    if (rc == 0)
        *path = full;
    else
        cli->exit = CLI_INVALID;
    return rc;
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/*
 * Where the application's indexes stand: index.yaml, else in the WEB-INF of a
 * war, else in an index.yaml to come.  The server reads them again; we check
 * them first, so that a mistake is told before anything starts.
 */
static int find_indexes(struct emulator *em, const char *dir)
{
    struct cli *cli = em->cli;
    struct index_xml ignored;
    int rc = find_yaml(em, dir, "index.yaml", &em->index_yaml);

    if (rc || em->index_yaml)
        return rc;
    if (!is_folder(arena_printf(&cli->arena, "%s/WEB-INF", dir))) {
        em->index_yaml = arena_printf(&cli->arena, "%s/index.yaml", dir);
        return 0;
    }
    em->war = dir;
    rc = index_xml_load_app(&cli->ctx, dir, &ignored);
    if (rc == ERR_NOT_FOUND)
        return 0;
    if (rc)
        cli->exit = CLI_INVALID;
    return rc;
}

/* A war without a queue.yaml keeps its queues in WEB-INF. */
static int find_queue_xml(struct emulator *em, const char *dir)
{
    int rc = queue_xml_load_app(&em->cli->ctx, dir, &em->queue_xml);

    if (rc == ERR_INVALID)
        em->cli->exit = CLI_INVALID;
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int find_app(struct emulator *em, const char *dir)
{
    int rc;

    if (!dir)
        return 0;
    if (!is_folder(dir))
        return cli_usage(em->cli, "%s is not a folder", dir);
    rc = find_indexes(em, dir);
    if (rc == 0)
        rc = find_yaml(em, dir, "queue.yaml", &em->queue_yaml);
    return rc || em->queue_yaml ? rc : find_queue_xml(em, dir);
}

/* The server reads YAML alone. */
static int write_queue_xml(struct emulator *em)
{
    struct cli *cli = em->cli;
    const char *path = arena_printf(&cli->arena, "%s/queue.yaml", em->folder);
    FILE *f;
    bool good;

    if (!em->queue_xml.p)
        return 0;
    f = fopen(path, "we");
    good =
        f && fwrite(em->queue_xml.p, 1, em->queue_xml.n, f) == em->queue_xml.n;
    if (f && fclose(f) != 0)
        good = false;
    if (!good)
        return ctx_err(&cli->ctx, ERR_IO, "cannot write %s: %s", path,
                       strerror(errno));
    em->queue_yaml = path;
    return 0;
}

static int make_dirs(struct cli *cli, const char *path)
{
    char *copy = arena_strdup(&cli->arena, path);

    for (char *at = copy + 1;; at++) {
        char was = *at;

        if (was != '/' && was != '\0')
            continue;
        *at = '\0';
        if (mkdir(copy, 0750) < 0 && errno != EEXIST)
            return ctx_err(&cli->ctx, ERR_IO, "cannot make %s: %s", copy,
                           strerror(errno));
        *at = was;
        if (was == '\0')
            return 0;
    }
}

static int find_data(struct emulator *em)
{
    const char *given = cli_option(em->cli, "data");
    struct arena *a = &em->cli->arena;
    char *real;
    int rc;

    em->data = arena_printf(a, "%s/data", em->folder);
    if (!given)
        return mkdir(em->data, 0700) == 0
                   ? 0
                   : ctx_err(&em->cli->ctx, ERR_IO, "cannot make %s: %s",
                             em->data, strerror(errno));
    rc = make_dirs(em->cli, given);
    if (rc < 0)
        return rc;
    real = realpath(given, NULL);
    if (!real)
        return ctx_err(&em->cli->ctx, ERR_IO, "cannot use %s: %s", given,
                       strerror(errno));
    em->data = arena_strdup(a, real);
    free(real);
    return 0;
}

static int prepare(struct emulator *em)
{
    const char *base = getenv("TMPDIR");
    struct cli *cli = em->cli;
    char *folder;
    int rc;

    em->project = cli_option(cli, "project");
    if (!em->project)
        return cli_usage(cli, "--project ID is missing");
    if (!config_matches(APPYAML_PROJECT_PATTERN, em->project))
        return cli_usage(cli,
                         "\"%s\" is not a project id: lower-case letters, "
                         "digits and inner hyphens, at most 100",
                         em->project);
    rc = args_number(&cli->ctx, &cli->args, "port", 0, 65535, 0, &em->port);
    if (rc < 0)
        return cli_usage(cli, "%s", cli->ctx.err.message);
    rc = find_app(em, cli_operand(cli, 0));
    if (rc == 0)
        rc = find_programs(em);
    if (rc < 0)
        return rc;
    folder = arena_printf(&cli->arena, "%s/appscale-emulator.XXXXXX",
                          base && *base ? base : "/tmp");
    if (!mkdtemp(folder))
        return ctx_err(&cli->ctx, ERR_IO, "cannot make %s: %s", folder,
                       strerror(errno));
    em->folder = folder;
    return 0;
}

/* ---- the two children ---- */

static int start_memcached(struct emulator *em)
{
    const char *argv[] = {em->memcached, "-s", em->socket, "-a", "0700", "-I",
                          "2m",          "-m", "64",       "-u", "root", NULL};

    if (geteuid() != 0)
        argv[9] = NULL; /* -u is for root only, who must give it */
    em->memcached_since = clock_mono();
    unlink(em->socket);
    return child_start(&em->cli->ctx, argv, &em->memcached_pid);
}

static int start_server(struct emulator *em)
{
    struct arena *a = &em->cli->arena;
    const char *argv[40];
    int n = 0;

#define ADD(word_) argv[n++] = (word_)
    ADD(em->server);
    ADD("--emulator");
    ADD("--project");
    ADD(em->project);
    ADD("--storage");
    ADD("rocksdb");
    ADD("--data");
    ADD(em->data);
    ADD("--listen");
    ADD(arena_printf(a, "127.0.0.1:%d", (int)em->port));
    ADD("--memcached");
    ADD(em->socket);
    ADD("--port-file");
    ADD(em->port_file);
    if (em->index_yaml) {
        ADD("--index-yaml");
        ADD(em->index_yaml);
    }
    if (em->war) {
        ADD("--war");
        ADD(em->war);
    }
    if (cli_switch(em->cli, "require-indexes"))
        ADD("--require-indexes");
    if (cli_option(em->cli, "app-url")) {
        ADD("--app-url");
        ADD(cli_option(em->cli, "app-url"));
    }
    if (em->queue_yaml) {
        ADD("--queue-yaml");
        ADD(em->queue_yaml);
    }
    if (cli_switch(em->cli, "read-only"))
        ADD("--read-only");
    ADD(NULL);
#undef ADD
    return child_start(&em->cli->ctx, argv, &em->server_pid);
}

/* Take what has ended.  ERR_* when the server is among it. */
static int reap(struct emulator *em)
{
    struct cli *cli = em->cli;
    int status;

    if (em->memcached_pid && waitpid(em->memcached_pid, &status, WNOHANG) > 0) {
        fprintf(stderr,
                "appscale emulator: memcached %s; it is started "
                "again, empty\n",
                exit_text(&cli->arena, status));
        em->memcached_pid = 0;
    }
    if (em->server_pid && waitpid(em->server_pid, &status, WNOHANG) > 0) {
        em->server_pid = 0;
        return cli_fail(cli, CLI_FAILED,
                        "its own last lines above say why; a taken port needs "
                        "another --port",
                        "appscale-server %s", exit_text(&cli->arena, status));
    }
    return 0;
}

static int restart_memcached(struct emulator *em)
{
    int rc;

    if (em->memcached_pid || clock_mono() - em->memcached_since < RESTART_WAIT)
        return 0;
    rc = start_memcached(em);
    if (rc == 0)
        fprintf(stderr, "appscale emulator: memcached is back\n");
    return rc;
}

/* ---- running ---- */

/* Wait for a signal or one tick.  True when we are to stop. */
static bool wait_signal(int64_t microseconds)
{
    struct timespec ts = {.tv_sec = microseconds / CLOCK_SEC,
                          .tv_nsec = microseconds % CLOCK_SEC * 1000};
    sigset_t set;
    int got;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    got = sigtimedwait(&set, NULL, &ts);
    return got == SIGTERM || got == SIGINT || got == SIGHUP;
}

static void block_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* The port once the server has written it; 0 before. */
static int read_port(const struct emulator *em)
{
    FILE *f = fopen(em->port_file, "re");
    int port = 0;
    char end = 0;

    if (!f)
        return 0;
    if (fscanf(f, "%d%c", &port, &end) != 2 || end != '\n')
        port = 0;
    fclose(f);
    return port;
}

/* 0 when ready, 1 when asked to stop before that. */
static int wait_ready(struct emulator *em)
{
    int64_t until = clock_mono() + START_LIMIT;
    int rc = 0;

    while (rc == 0) {
        int port = read_port(em);

        if (port) {
            em->port = port;
            return 0;
        }
        if (clock_mono() > until)
            return cli_fail(em->cli, CLI_FAILED,
                            "look at its lines above; a slow disk may need "
                            "another --data",
                            "appscale-server is not ready after %d s",
                            (int)(START_LIMIT / CLOCK_SEC));
        if (wait_signal(TICK))
            return 1;
        rc = reap(em);
    }
    return rc;
}

static void print_exports(const struct emulator *em)
{
    printf("export API_HOST=127.0.0.1\n");
    printf("export API_PORT=%d\n", (int)em->port);
    printf("export GAE_APPLICATION=s~%s\n", em->project);
    printf("export GOOGLE_CLOUD_PROJECT=%s\n", em->project);
    printf("export GCE_METADATA_HOST=127.0.0.1:%d\n", (int)em->port);
    printf("export GCE_METADATA_IP=127.0.0.1:%d\n", (int)em->port);
    printf("export GAE_ENV=standard\n");
    printf("export GAE_SERVICE=default\n");
    printf("export GAE_VERSION=emulator\n");
    printf("export GAE_DEPLOYMENT_ID=1\n");
    printf("export GAE_INSTANCE=emulator-0\n");
    fflush(stdout);
    fprintf(stderr, "The emulator is ready. %s Ctrl-C or SIGTERM stops it.\n",
            cli_option(em->cli, "data") ? "Its data stays."
                                        : "Its data goes with it.");
}

static int run(struct emulator *em)
{
    int rc = start_memcached(em);

    if (rc == 0)
        rc = start_server(em);
    if (rc == 0)
        rc = wait_ready(em);
    if (rc == 0)
        print_exports(em);
    while (rc == 0) {
        if (wait_signal(em->memcached_pid ? CLOCK_SEC * 3600 : TICK * 5))
            break;
        rc = reap(em);
        if (rc == 0)
            rc = restart_memcached(em);
    }
    return rc < 0 ? rc : 0;
}

int cli_emulator(struct cli *cli)
{
    struct emulator em = {.cli = cli};
    int rc = prepare(&em);

    if (rc < 0)
        return rc;
    rc = child_watchman_start(&cli->ctx, em.folder, &em.watchman);
    if (rc < 0)
        return rc;
    em.socket = arena_printf(&cli->arena, "%s/memcached", em.folder);
    em.port_file = arena_printf(&cli->arena, "%s/port", em.folder);
    block_signals();
    rc = find_data(&em);
    if (rc == 0)
        rc = write_queue_xml(&em);
    if (rc == 0)
        rc = run(&em);
    if (em.server_pid)
        child_stop(em.server_pid, STOP_GRACE);
    if (em.memcached_pid)
        child_stop(em.memcached_pid, 0); /* it holds nothing to save */
    child_watchman_stop(&em.watchman);
    return rc;
}
