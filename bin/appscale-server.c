/*
 * appscale-server - the data plane: every API of every app, on one machine's
 * store.
 *
 * main() reads the options, opens what the services stand on in order, listens,
 * waits for SIGTERM or SIGINT, and takes it all down in reverse.
 */
#include "base/errinj.h"
#include "base/log.h"
#include "base/metrics.h"
#include "engine/engine.h"
#include "engine/limits.h"
#include "net/http.h"
#include "rpc/rpc.h"
#include "service/datastore/index_file.h"
#include "service/memcache/memcache.h"
#include "service/platform/platform.h"
#include "service/system/system.h"
#include "service/taskqueue/taskqueue.h"
#include "service/user/users.h"
#include "storage/storage.h"
#include "wire/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct options {
    const char *storage;
    const char *data;
    const char *listen;
    const char *unix_path;
    const char *memcached;
    const char *domain;
    const char *ticket_file;
    const char *project;
    const char *index_yaml;
    const char *war;
    bool require_indexes;
    const char *queue_yaml;
    const char *app_url;
    const char *edge;
    const char *platform;
    const char *controller;
    const char *rabbitmq;
    const char *rabbitmq_password;
    const char *port_file;
    int listen_fd;
    int workers;
    int loops;
    bool emulator;
    bool access_log;
    bool read_only;
};

/* ---- the table of options ---- */

enum option_kind { OPT_TEXT, OPT_NUMBER, OPT_FLAG };

static const struct option_row {
    const char *name;
    enum option_kind kind;
    size_t offset; /* in struct options */
    const char *arg;
    const char *help;
} option_rows[] = {
#define O(field_) offsetof(struct options, field_)
    {"storage", OPT_TEXT, O(storage), "NAME", "rocksdb (default) or memory"},
    {"data", OPT_TEXT, O(data), "DIR", "where rocksdb keeps its files"},
    {"listen", OPT_TEXT, O(listen), "HOST:PORT",
     "for apps; port 0 takes a free one (default 127.0.0.1:6103)"},
    {"listen-fd", OPT_NUMBER, O(listen_fd), "N",
     "for apps; a descriptor that listens already"},
    {"unix", OPT_TEXT, O(unix_path), "PATH",
     "a second listener, for the controller"},
    {"memcached", OPT_TEXT, O(memcached), "ADDR",
     "HOST:PORT or the path of a socket"},
    {"domain", OPT_TEXT, O(domain), "NAME",
     "apps are PROJECT.NAME (default localhost)"},
    {"platform-ticket-file", OPT_TEXT, O(ticket_file), "FILE",
     "holds the controller's ticket; mode 0600"},
    {"emulator", OPT_FLAG, O(emulator), NULL,
     "accept any ticket as one of --project"},
    {"project", OPT_TEXT, O(project), "ID", "the app of the emulator"},
    {"index-yaml", OPT_TEXT, O(index_yaml), "FILE",
     "indexes of the project; queries add to it"},
    {"war", OPT_TEXT, O(war), "DIR",
     "the same in DIR/WEB-INF/datastore-indexes.xml"},
    {"require-indexes", OPT_FLAG, O(require_indexes), NULL,
     "refuse a query that lacks its index"},
    {"queue-yaml", OPT_TEXT, O(queue_yaml), "FILE", "queues of the project"},
    {"app-url", OPT_TEXT, O(app_url), "URL",
     "the emulator's app: push tasks are sent there; without it they wait"},
    {"edge", OPT_TEXT, O(edge), "PATH",
     "haproxy's socket for push tasks; without it they wait"},
    {"platform", OPT_TEXT, O(platform), "PATH",
     "haproxy's socket for background requests"},
    {"controller", OPT_TEXT, O(controller), "PATH",
     "the controller's socket; without it apps change no instances"},
    {"rabbitmq", OPT_TEXT, O(rabbitmq), "ADDR:PORT",
     "push tasks go through this RabbitMQ; it may come and go"},
    {"rabbitmq-password-file", OPT_TEXT, O(rabbitmq_password), "FILE",
     "of its user \"appscale\""},
    {"port-file", OPT_TEXT, O(port_file), "FILE",
     "write the port there once ready"},
    {"workers", OPT_NUMBER, O(workers), "N", "threads that may wait"},
    {"loops", OPT_NUMBER, O(loops), "N", "network threads"},
    {"access-log", OPT_FLAG, O(access_log), NULL, "one line per call"},
    {"read-only", OPT_FLAG, O(read_only), NULL,
     "refuse writes of the datastore as long as it runs"},
#undef O
};

enum { N_OPTIONS = sizeof(option_rows) / sizeof(option_rows[0]) };

static void usage(void)
{
    printf("usage: appscale-server [OPTION]...\n\n"
           "Serves the App Engine APIs over POST /rpc_http.\n\n");
    for (int i = 0; i < N_OPTIONS; i++) {
        const struct option_row *r = &option_rows[i];
        char left[64];

        snprintf(left, sizeof(left), "--%s %s", r->name, r->arg ? r->arg : "");
        printf("  %-30s %s\n", left, r->help);
    }
    printf("  %-30s %s\n", "--help", "this text");
}

static void set_option(struct options *o, const struct option_row *r,
                       const char *value)
{
    void *field = (char *)o + r->offset;
    char *end;
    long n;

    switch (r->kind) {
    case OPT_TEXT:
        *(const char **)field = value;
        break;
    case OPT_FLAG:
        *(bool *)field = true;
        break;
    case OPT_NUMBER:
        n = strtol(value, &end, 10);
        if (*end || n < 1 || n > 1024)
            die("--%s %s: a number from 1 to 1024 is wanted", r->name, value);
        *(int *)field = (int)n;
        break;
    }
}

static void parse_options(struct options *o, int argc, char **argv)
{
    struct option longs[N_OPTIONS + 2] = {{0}};
    int c;

    for (int i = 0; i < N_OPTIONS; i++)
        longs[i] = (struct option){
            option_rows[i].name,
            option_rows[i].kind == OPT_FLAG ? no_argument : required_argument,
            NULL, 1000 + i};
    longs[N_OPTIONS] = (struct option){"help", no_argument, NULL, 'h'};
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c == 'h') {
            usage();
            exit(0);
        }
        if (c < 1000)
            die("see appscale-server --help");
        set_option(o, &option_rows[c - 1000], optarg);
    }
    if (optind < argc)
        die("%s: not an option; see appscale-server --help", argv[optind]);
}

static void check_options(const struct options *o)
{
    if (strcmp(o->storage, "memory") != 0 && !o->data)
        die("--data DIR is needed: the folder for the store (or --storage "
            "memory, which keeps nothing)");
    if (o->emulator && !o->project)
        die("--emulator needs --project ID");
    if (o->project && !o->emulator)
        die("--project is for --emulator");
    if ((o->index_yaml || o->war || o->require_indexes) && !o->emulator)
        die("--index-yaml, --war and --require-indexes are for --emulator");
    if (!o->rabbitmq != !o->rabbitmq_password)
        die("--rabbitmq and --rabbitmq-password-file go together");
    if (o->index_yaml && o->war)
        die("either --index-yaml or --war, not both");
}

/* ---- what the server is made of ---- */

struct server {
    struct options o;
    struct arena arena;
    struct ctx ctx;
    struct service_env env;
    struct rpc *rpc;
    struct http_server *http;
    struct http_server *unix_http; /* NULL without --unix */
    int64_t started;
};

static void must(struct server *s, int rc)
{
    if (rc < 0)
        die("appscale-server: %s", ctx_err_text(&s->ctx, rc));
}

static struct bytes read_ticket(struct server *s)
{
    const char *path = s->o.ticket_file;
    char *text = arena_zalloc(&s->arena, 512);
    struct stat st;
    ssize_t n;
    int fd;

    if (!path)
        return BYTES_NONE;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        die("--platform-ticket-file %s: %s", path, strerror(errno));
    if (st.st_mode & 077)
        die("--platform-ticket-file %s: others can read it; chmod 600", path);
    n = read(fd, text, 511);
    close(fd);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
        n--;
    if (n <= 0)
        die("--platform-ticket-file %s: it is empty", path);
    return BYTES(text, (size_t)n);
}

/* A whole file, at most 1 MiB, in the arena. */
static struct bytes read_file(struct server *s, const char *option,
                              const char *path)
{
    enum { FILE_MAX = 1024 * 1024 };
    char *text = arena_alloc(&s->arena, FILE_MAX + 1);
    FILE *f = fopen(path, "re");
    size_t n;

    if (!f)
        die("--%s %s: %s", option, path, strerror(errno));
    n = fread(text, 1, FILE_MAX + 1, f);
    if (ferror(f) || n > FILE_MAX)
        die("--%s %s: it cannot be read, or is larger than %d bytes", option,
            path, FILE_MAX);
    fclose(f);
    return BYTES(text, n);
}

static void open_engine(struct server *s)
{
    must(s, engine_open(&s->ctx, s->env.storage, &s->env.engine));
    if (s->o.read_only)
        engine_freeze(s->env.engine);
    must(s, engine_start(&s->ctx, s->env.engine));
    s->env.auto_index = s->o.emulator && !s->o.require_indexes;
    if (s->o.index_yaml || s->o.war)
        must(s, index_file_open(&s->ctx,
                                &(struct index_file_options){
                                    .engine = s->env.engine,
                                    .project = bytes_str(s->o.project),
                                    .yaml = s->o.index_yaml,
                                    .war = s->o.war,
                                    .require = s->o.require_indexes,
                                },
                                &s->env.index_file));
}

static void open_taskqueue(struct server *s)
{
    const struct taskqueue_options o = {
        .storage = s->env.storage,
        .engine = s->env.engine,
        .platform = s->env.platform,
        .domain = s->o.domain,
        .app_url = s->o.app_url,
        .edge = s->o.edge,
        .rabbitmq = s->o.rabbitmq,
        .rabbitmq_password = s->o.rabbitmq_password,
    };

    must(s, taskqueue_open(&s->ctx, &o, &s->env.taskqueue));
    if (s->o.queue_yaml && s->o.project)
        must(s,
             taskqueue_set_yaml(&s->ctx, s->env.taskqueue,
                                bytes_str(s->o.project), s->o.queue_yaml,
                                read_file(s, "queue-yaml", s->o.queue_yaml)));
}

static void open_system(struct server *s)
{
    const struct system_options o = {.platform = s->o.platform,
                                     .app_url = s->o.app_url,
                                     .domain = s->o.domain};

    must(s, system_open(&s->ctx, &o, &s->env.system));
}

static void open_services(struct server *s)
{
    const struct storage_options so = {
        .backend = s->o.storage,
        .path = s->o.data,
    };

    s->env.domain = s->o.domain;
    s->env.emulator = s->o.emulator;
    s->env.controller = s->o.controller;
    s->env.project = s->o.project;
    must(s, storage_open(&s->ctx, &so, &s->env.storage));
    open_engine(s);
    must(s, platform_open(&s->ctx, s->env.storage, read_ticket(s),
                          &s->env.platform));
    open_taskqueue(s);
    must(s, users_open(&s->ctx, s->env.storage, &s->env.users));
    open_system(s);
    if (s->o.memcached)
        must(s, memcache_open(&s->ctx, s->o.memcached, &s->env.memcache));
}

static void close_services(struct server *s)
{
    taskqueue_stop(s->env.taskqueue);
    taskqueue_close(s->env.taskqueue);
    system_close(s->env.system);
    memcache_close(s->env.memcache);
    users_close(s->env.users);
    platform_close(s->env.platform);
    index_file_close(s->env.index_file);
    engine_stop(s->env.engine);
    engine_close(s->env.engine);
    storage_close(s->env.storage);
}

/* ---- figures ---- */

static int64_t resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    int64_t pages = 0;

    if (!f)
        return 0;
    if (fscanf(f, "%*d %" SCNd64, &pages) != 1)
        pages = 0;
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

/* One "name value" line, if the value is a number; a name's dots become '_'. */
static void write_figure(struct buf *out, struct bytes line)
{
    const uint8_t *p = bytes_u8(line), *blank = memchr(p, ' ', line.n);
    size_t at = out->n;

    if (!blank || blank + 1 == p + line.n || blank[1] < '0' || blank[1] > '9')
        return;
    buf_printf(out, "appscale_storage_%.*s\n", BYTES_FMT(line));
    for (size_t i = at; out->p[i] != ' '; i++) {
        if (out->p[i] == '.' || out->p[i] == '-')
            out->p[i] = '_';
    }
}

static void write_storage(struct ctx *ctx, struct buf *out)
{
    struct bytes rest = storage_stats(ctx, ctx->env->storage);

    while (rest.n) {
        const uint8_t *nl = memchr(rest.p, '\n', rest.n);
        size_t n = nl ? (size_t)(nl - bytes_u8(rest)) : rest.n;

        write_figure(out, BYTES(rest.p, n));
        rest = bytes_from(rest, nl ? n + 1 : n);
    }
}

static void gather(struct ctx *ctx, struct buf *out, void *arg)
{
    struct server *s = arg;
    struct http_server_stats a, b = {0};

    http_server_stats(s->http, &a);
    if (s->unix_http)
        http_server_stats(s->unix_http, &b);
    metric_set(METRIC_CONNECTIONS, (int64_t)(a.open + b.open));
    metric_set(METRIC_ACCEPTED, (int64_t)(a.accepted + b.accepted));
    metric_set(METRIC_REQUESTS, (int64_t)(a.requests + b.requests));
    metric_set(METRIC_BAD_REQUESTS, (int64_t)(a.bad_requests + b.bad_requests));
    metric_set(METRIC_TIMEOUTS, (int64_t)(a.timeouts + b.timeouts));
    metric_set(METRIC_UPTIME, (clock_mono() - s->started) / CLOCK_SEC);
    metric_set(METRIC_MEMORY, resident_bytes());
    write_storage(ctx, out);
    taskqueue_metrics(s->env.taskqueue, out);
}

/* ---- listening ---- */

/* "127.0.0.1:6103", "[::1]:0" */
static void split_address(struct server *s, const char *text, const char **host,
                          int *port)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    char *end = NULL;
    long v = colon ? strtol(colon + 1, &end, 10) : -1;

    if (n == 0 || !end || end == colon + 1 || *end || v < 0 || v > 65535)
        die("--listen %s: HOST:PORT is wanted", text);
    if (n > 2 && text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    *host = arena_cstr(&s->arena, BYTES(text, n));
    *port = (int)v;
}

/* The SDKs' body limit is 50 MiB and some slack for the envelope (wire
 * contract 1.6). */
static struct http_server_options http_options(struct server *s)
{
    return (struct http_server_options){
        .loops = s->o.loops,
        .body_max = 52428800 + 4096,
        .header_max = 64 * 1024,
        .conns_max = 20000,
        .idle_timeout = 600 * CLOCK_SEC,
        .request_timeout = 60 * CLOCK_SEC,
        .on_request = rpc_handle,
        .arg = s->rpc,
    };
}

static void listen_all(struct server *s)
{
    struct http_server_options tcp = http_options(s), local = http_options(s);

    tcp.listen_fd = s->o.listen_fd;
    split_address(s, s->o.listen, &tcp.host, &tcp.port);
    must(s, http_server_start(&s->ctx, &tcp, &s->http));
    if (!s->o.unix_path)
        return;
    local.unix_path = s->o.unix_path;
    local.loops = 1;
    must(s, http_server_start(&s->ctx, &local, &s->unix_http));
}

static void unlisten_all(struct server *s)
{
    const int64_t grace = 5 * CLOCK_SEC;

    http_server_stop(s->http, grace);
    if (s->unix_http)
        http_server_stop(s->unix_http, grace);
}

/* The file appears whole or not at all. */
static void write_port_file(struct server *s)
{
    char *tmp;
    FILE *f;

    if (!s->o.port_file)
        return;
    tmp = arena_printf(&s->arena, "%s.%d", s->o.port_file, (int)getpid());
    f = fopen(tmp, "we");
    if (!f || fprintf(f, "%d\n", http_server_port(s->http)) < 0 ||
        fclose(f) != 0 || rename(tmp, s->o.port_file) < 0)
        die("--port-file %s: %s", s->o.port_file, strerror(errno));
}

/* ---- the life of the process ---- */

static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    /* Inherited by every thread: sigwait() is the one receiver. */
    pthread_sigmask(SIG_BLOCK, set, NULL);
}

int main(int argc, char **argv)
{
    struct server s = {
        .o = {.storage = "rocksdb",
              .listen = "127.0.0.1:6103",
              .domain = "localhost"},
        .started = clock_mono(),
    };
    struct rpc_options ro;
    sigset_t signals;
    int got;

    parse_options(&s.o, argc, argv);
    check_options(&s.o);
    errinj_from_env();
    limits_from_env();
    block_signals(&signals);
    wire_init();
    ctx_init(&s.ctx, &s.arena);
    s.ctx.env = &s.env;
    open_services(&s);
    ro = (struct rpc_options){
        .env = &s.env,
        .project = s.o.project,
        .workers = s.o.workers,
        .access_log = s.o.access_log,
        .gather = gather,
        .gather_arg = &s,
    };
    must(&s, rpc_start(&s.ctx, &ro, &s.rpc));
    listen_all(&s);
    must(&s, taskqueue_start(&s.ctx, s.env.taskqueue));
    write_port_file(&s);
    log_info(NULL, "server.ready", "port", log_int(http_server_port(s.http)),
             "storage", s.o.storage, "ms",
             log_int((clock_mono() - s.started) / CLOCK_MS));

    sigwait(&signals, &got);
    log_info(NULL, "server.stopping", "signal", strsignal(got));
    system_stop(s.env.system);
    unlisten_all(&s);
    rpc_stop(s.rpc);
    close_services(&s);
    arena_release(&s.arena);
    log_info(NULL, "server.stopped");
    return 0;
}
