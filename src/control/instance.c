/* instance - ports, environments, and the process row of an instance. */
#include "control/instance.h"

#include "base/files.h"
#include "base/log.h"
#include "base/secret.h"
#include "control/confine.h"
#include "control/servers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- names and folders ---- */

const char *instance_dir(struct control *ctl, struct arena *a,
                         const struct version *v)
{
    return arena_printf(a, "%s/apps/%s", ctl->root, model_name(a, v));
}

const char *instance_log(struct control *ctl, struct arena *a, const char *app,
                         const char *service, const char *version)
{
    return control_log_path(ctl, a,
                            arena_printf(a, "%s/%s/%s", app, service, version));
}

/* Stable over restarts: it is part of what an adopted child was started with.
 * Manual scaling shows the index, as Google does. */
static const char *instance_id(struct arena *a, const struct version *v,
                               int index)
{
    const char *name = arena_printf(a, "%s/%d", model_name(a, v), index);
    unsigned char sum[18];
    char *hex = arena_alloc(a, 2 * sizeof(sum) + 1);

    if (json_object_get(v->doc, "manualScaling"))
        return arena_printf(a, "%d", index);
    crypto_generichash(sum, sizeof(sum), (const unsigned char *)name,
                       strlen(name), NULL, 0);
    return sodium_bin2hex(hex, 2 * sizeof(sum) + 1, sum, sizeof(sum));
}

/* ---- the environment ---- */

struct env_list {
    struct arena *arena;
    const char **v;
    size_t n, cap;
};

static void env_add(struct env_list *e, const char *name, const char *value)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < e->n; i++)
        if (strncmp(e->v[i], name, len) == 0 && e->v[i][len] == '=')
            return; /* the first one counts: the platform's */
    if (e->n + 2 > e->cap) {
        size_t cap = e->cap ? 2 * e->cap : 64;

        e->v = arena_grow(e->arena, e->v, e->cap * sizeof(*e->v),
                          cap * sizeof(*e->v));
        e->cap = cap;
    }
    e->v[e->n++] = arena_printf(e->arena, "%s=%s", name, value);
    e->v[e->n] = NULL;
}

/* How many workers Google advises for the memory of an instance. */
static const char *concurrency_of(const struct version *v)
{
    int mb = model_memory_mb(v);

    return mb < 768 ? "2" : mb < 1536 ? "4" : "8";
}

/* The app's own, from a member of its document. */
static void env_add_app(struct env_list *e, const struct version *v,
                        const char *member)
{
    const char *name;
    const json_t *value;
    json_t *all = json_object_get(v->doc, member);

    json_object_foreach(all, name, value) if (json_is_string(value))
        env_add(e, name, json_string_value(value));
    env_add(e, "LANG", "C.UTF-8");
}

/* What the platform says to the build and to the instances alike. */
static void env_add_platform(struct control *ctl, struct env_list *e,
                             const struct version *v, int index, int port)
{
    struct arena *a = e->arena;
    const char *app = v->service->app->id, *dir = instance_dir(ctl, a, v);
    const char *runtime = json_string_value(json_object_get(v->doc, "runtime"));
    const char *main =
        json_string_value(json_object_get(v->doc, "runtimeMainExecutablePath"));
    const struct {
        const char *name, *value;
    } fixed[] = {
        {"PATH", "/usr/local/bin:/usr/bin:/bin"},
        {"HOME", dir},
        {"PORT", arena_printf(a, "%d", port)},
        {"API_HOST", "127.0.0.1"},
        {"API_PORT", arena_printf(a, "%d", (int)ctl->settings.api_port)},
        {"GAE_APPLICATION", arena_printf(a, "s~%s", app)},
        {"GAE_ENV", "standard"},
        {"GAE_SERVICE", v->service->id},
        {"GAE_VERSION", v->id},
        {"GAE_DEPLOYMENT_ID", v->deployment},
        {"GAE_INSTANCE", instance_id(a, v, index)},
        {"GAE_RUNTIME", runtime},
        {"GAE_MEMORY_MB", arena_printf(a, "%d", model_memory_mb(v))},
        {"GOOGLE_CLOUD_PROJECT", app},
        {"NO_PROXY", "localhost,127.0.0.1"},
        {"no_proxy", "localhost,127.0.0.1"},
        {"APP_DIR", arena_printf(a, "%s/app", dir)},
        {"BUILD_DIR", dir},
        {"CACHE_DIR", confine_cache(ctl, a, v->service->app)},
        {"ENTRYPOINT", v->entrypoint},
        {"MAIN", main ? main : ""},
        {"APPSCALE_CHILD",
         arena_printf(a, "%s:%s/%d", ctl->root, model_name(a, v), index)},
    };

    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        env_add(e, fixed[i].name, fixed[i].value);
}

/* Where Google's libraries ask for the version's tokens (service/metadata). */
static const char *metadata_host(const struct control *ctl, struct arena *a,
                                 const struct version *v)
{
    return arena_printf(a, "127.0.0.1:%d" SECRET_METADATA_PATH "%s",
                        (int)ctl->settings.api_port,
                        secret_derive(a, bytes_str(v->token), SECRET_METADATA));
}

const char *const *instance_env(struct control *ctl, struct arena *a,
                                const struct version *v, int index, int port)
{
    struct env_list e = {.arena = a};

    env_add_platform(ctl, &e, v, index, port);
    env_add(&e, "GCE_METADATA_HOST", metadata_host(ctl, a, v));
    env_add(&e, "GCE_METADATA_IP", metadata_host(ctl, a, v));
    env_add_app(&e, v, "envVariables");
    env_add(&e, "WEB_CONCURRENCY", concurrency_of(v));
    env_add(&e, "PYTHONUNBUFFERED", "1");
    return e.v;
}

const char *const *instance_build_env(struct control *ctl, struct arena *a,
                                      const struct version *v)
{
    struct env_list e = {.arena = a};

    env_add_platform(ctl, &e, v, 0, 0);
    env_add(&e, "GOOGLE_RUNTIME",
            json_string_value(json_object_get(v->doc, "runtime")));
    env_add_app(&e, v, "buildEnvVariables");
    return e.v;
}

/* ---- ports ---- */

static bool port_free(int port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, rc;

    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    rc = bind(fd, (const struct sockaddr *)&sa, sizeof(sa));
    close(fd);
    return rc == 0;
}

static bool port_given(const struct control *ctl, int port)
{
    for (const struct process *p = ctl->processes; p; p = p->next)
        if (p->port == port)
            return true;
    for (size_t i = 0; i < ctl->found.n; i++)
        if (!ctl->claimed[i] && ctl->found.records[i].port == port)
            return true;
    return false;
}

static int port_choose(struct ctx *ctx, const struct control *ctl)
{
    const struct settings *s = &ctl->settings;

    for (int port = (int)s->instance_port_first; port <= s->instance_port_last;
         port++)
        if (!port_given(ctl, port) && port_free(port))
            return port;
    return ctx_err(ctx, ERR_EXHAUSTED,
                   "no port between %d and %d is free for another instance",
                   (int)s->instance_port_first, (int)s->instance_port_last);
}

/* The port it had under the controller before us, else a free one. */
static int port_first(struct ctx *ctx, const struct control *ctl,
                      const char *name)
{
    const struct state_record *r = state_find(&ctl->found, name);

    return r && r->port ? r->port : port_choose(ctx, ctl);
}

static bool awaits_adoption(const struct process *p)
{
    const struct state *found = &p->ctl->found;
    const struct state_record *r = state_find(found, p->name);

    return r && !p->ctl->claimed[r - found->records] &&
           state_running(found, p->name);
}

/* Between two runs anybody may have come to stand on the port of the first. */
static int port_renew(struct ctx *ctx, struct process *p)
{
    int port;

    if (awaits_adoption(p) || port_free(p->port))
        return 0;
    port = port_choose(ctx, p->ctl);
    if (port < 0)
        return port;
    log_info(ctx, "instance.moved", "name", p->name, "from", log_int(p->port),
             "to", log_int(port));
    p->port = port;
    return 0;
}

/* ---- the row of the process table ---- */

const char *instance_tag(struct arena *a, const struct instance *in)
{
    return arena_printf(a, "i%d", in->index);
}

static int instance_setup(struct ctx *ctx, struct process *p,
                          struct process_setup *s)
{
    const struct instance *in = p->arg;
    const struct version *v = in->version;
    int rc = port_renew(ctx, p);

    if (rc == 0)
        rc = confine_start(ctx, p->ctl, v, p->port, &s->argv);
    if (rc)
        return rc;
    s->env = instance_env(p->ctl, ctx->arena, v, in->index, p->port);
    s->dir =
        arena_printf(ctx->arena, "%s/app", instance_dir(p->ctl, ctx->arena, v));
    s->probe_port = p->port;
    s->log_tag = instance_tag(ctx->arena, in);
    return 0;
}

/* ---- the platform's own requests to an instance ---- */

/* What /_ah/stop may take (hosting.md, 4). */
enum { STOP_ASKED = 30 * 1000 * 1000 };

bool instance_wants_warmup(const struct version *v)
{
    const json_t *list = json_object_get(v->doc, "inboundServices"), *one;
    size_t i;

    json_array_foreach(
        (json_t *)(uintptr_t)list, i,
        one) if (json_is_string(one) &&
                 strcmp(json_string_value(one), "INBOUND_SERVICE_WARMUP") ==
                     0) return true;
    return false;
}

/* GET /_ah/`path` as the platform itself asks: from 0.1.0.3, with a ticket. */
static void ask_instance(struct instance *in, const char *path, int64_t timeout,
                         http_client_fn *fn)
{
    const struct version *v = in->version;
    struct arena a = ARENA_INIT;
    const struct http_header headers[] = {
        {BYTES_LIT("Connection"), BYTES_LIT("close")},
        {BYTES_LIT("X-Appengine-User-Ip"), BYTES_LIT("0.1.0.3")},
        {BYTES_LIT("X-Appengine-Auth-Domain"), BYTES_LIT("gmail.com")},
        {BYTES_LIT("X-Appengine-Api-Ticket"),
         bytes_str(arena_printf(&a, "%s.health", v->token))},
    };
    struct http_client_request req = {
        .url = arena_printf(&a, "http://127.0.0.1:%d/_ah/%s", in->process->port,
                            path),
        .headers = headers,
        .n_headers = sizeof(headers) / sizeof(headers[0]),
        .timeout = timeout,
        .response_max = 32 << 20,
    };

    in->call = http_client_send(in->process->ctl->http, &req, fn, in);
    arena_release(&a);
}

static void call_cancel(struct instance *in)
{
    uv_timer_stop(&in->timer);
    if (in->call)
        http_client_cancel(in->call);
    in->call = NULL;
}

static void tell(struct version *v)
{
    if (v->watch)
        v->watch(v, v->watch_arg);
}

/* Who takes requests has changed. */
static void changed(struct instance *in)
{
    servers_follow(in->process->ctl, NULL, NULL);
    tell(in->version);
}

/*
 * A server may listen long before the application behind it has been loaded
 * (gunicorn does), so an instance counts once it has answered a request,
 * whatever it says: the warm-up where the application wants it, else a path
 * that no application has.
 */
static void on_health(const struct http_client_response *res, void *arg)
{
    struct instance *in = arg;
    const char *why = NULL;

    in->call = NULL;
    if (res->err == ERR_DEADLINE)
        why = res->message;
    else if (res->err)
        why = "";
    process_healthy(in->process, why);
}

/*
 * Basic and manual instances hear /_ah/start, and count as started when they
 * answer 2xx or 404.  The handler may go on for hours: the instance is kept
 * then, and gets its first request when it has answered.
 */
static void on_start_answer(const struct http_client_response *res, void *arg)
{
    struct instance *in = arg;
    bool taken = res->err == 0 && (res->status == 404 ||
                                   (res->status >= 200 && res->status < 300));

    in->call = NULL;
    uv_timer_stop(&in->timer);
    if (in->process->state == PROCESS_READY) {
        in->held = false;
        if (taken)
            changed(in);
        else
            process_fail(in->process, "refused /_ah/start");
    } else if (taken) {
        process_healthy(in->process, NULL);
    } else if (res->err == 0) {
        process_fail(in->process, "refused /_ah/start");
    } else {
        process_healthy(in->process, "");
    }
}

static void on_start_long(uv_timer_t *t)
{
    struct instance *in = t->data;

    in->held = true;
    process_healthy(in->process, NULL);
}

static void instance_health(struct process *p)
{
    struct instance *in = p->arg;
    int64_t left = process_start_left(p);

    if (in->version->scaling.kind == SCALING_AUTOMATIC) {
        ask_instance(in,
                     instance_wants_warmup(in->version) ? "warmup" : "health",
                     left + 1, on_health);
        return;
    }
    if (left > CLOCK_SEC)
        uv_timer_start(&in->timer, on_start_long,
                       (uint64_t)(left - CLOCK_SEC) / CLOCK_MS, 0);
    ask_instance(in, "start", 86400 * CLOCK_SEC, on_start_answer);
}

/* ---- its life ---- */

static void instance_ready(struct process *p)
{
    struct instance *in = p->arg;

    in->was_ready = true;
    in->busy_at = clock_mono();
    changed(in);
}

static void instance_down(struct process *p)
{
    struct instance *in = p->arg;

    call_cancel(in);
    in->held = false;
    if (in->leaving)
        process_stop(p); /* instance_gone() follows */
    else
        changed(in);
}

static void on_timer_closed(uv_handle_t *h)
{
    free(h->data);
}

static void instance_gone(struct process *p)
{
    struct instance *in = p->arg;
    struct version *v = in->version;
    struct control *ctl = p->ctl;

    call_cancel(in);
    for (size_t i = 0; i < v->n_instances; i++)
        if (v->instances[i] == in)
            v->instances[i] = v->instances[--v->n_instances];
    process_free(p);
    uv_close((uv_handle_t *)&in->timer, on_timer_closed);
    servers_follow(ctl, NULL, NULL);
    tell(v);
}

/* SIGTERM, and what Google's own grace was before SIGKILL: 3 seconds. */
static const struct process_init instance_init = {
    .kind = "instance",
    .setup = instance_setup,
    .health = instance_health,
    .ready = instance_ready,
    .down = instance_down,
    .stopped = instance_gone,
    .stop_signal = SIGTERM,
    .stop_grace = 3 * CLOCK_SEC,
};

static bool index_used(const struct version *v, int index)
{
    for (size_t i = 0; i < v->n_instances; i++)
        if (v->instances[i]->index == index)
            return true;
    return false;
}

static int instance_add(struct ctx *ctx, struct control *ctl, struct version *v,
                        int index)
{
    const char *name =
        arena_printf(ctx->arena, "%s/%d", model_name(ctx->arena, v), index);
    int port = port_first(ctx, ctl, name);
    struct instance *in;

    if (port < 0)
        return port;
    in = calloc(1, sizeof(*in));
    v->instances =
        realloc(v->instances, (v->n_instances + 1) * sizeof(struct instance *));
    if (!in || !v->instances)
        abort();
    *in = (struct instance){.version = v, .index = index};
    uv_timer_init(&ctl->loop, &in->timer);
    in->timer.data = in;
    in->process = process_new(ctl, &instance_init, name, in);
    in->process->port = port;
    free(in->process->log);
    in->process->log = strdup(instance_log(ctl, ctx->arena, v->service->app->id,
                                           v->service->id, v->id));
    v->instances[v->n_instances++] = in;
    process_start(in->process);
    return 0;
}

static int staying(const struct version *v)
{
    int n = 0;

    for (size_t i = 0; i < v->n_instances; i++)
        n += !v->instances[i]->leaving;
    return n;
}

int instances_add(struct ctx *ctx, struct control *ctl, struct version *v,
                  int n)
{
    int most = (int)ctl->settings.instances_max, index = 0, rc = 0;

    for (int left = n; rc == 0 && left > 0 && staying(v) < most; left--) {
        while (index_used(v, index))
            index++;
        rc = instance_add(ctx, ctl, v, index);
    }
    return rc;
}

int instances_start(struct ctx *ctx, struct control *ctl, struct version *v,
                    instances_fn *fn, void *arg)
{
    if (ctl->stopping)
        return ctx_err(ctx, ERR_CANCELLED, "the platform is being stopped");
    instances_watch(v, fn, arg);
    return instances_add(ctx, ctl, v, v->wanted - staying(v));
}

int instances_adopt(struct ctx *ctx, struct control *ctl, struct version *v)
{
    const char *name =
        arena_printf(ctx->arena, "%s/", model_name(ctx->arena, v));
    size_t n = strlen(name);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ctl->found.n; i++) {
        const char *found = ctl->found.records[i].name;

        if (strncmp(found, name, n) == 0 && !ctl->claimed[i])
            rc = instance_add(ctx, ctl, v, atoi(found + n));
    }
    return rc;
}

void instance_leave(struct instance *in)
{
    struct control *ctl = in->process->ctl;

    if (in->leaving)
        return;
    in->leaving = true;
    in->leave_by = clock_mono() + ctl->settings.drain_seconds * CLOCK_SEC;
    changed(in);
}

static void on_stop_answer(const struct http_client_response *res, void *arg)
{
    struct instance *in = arg;

    (void)res;
    in->call = NULL;
    process_stop(in->process);
}

void instance_end(struct instance *in)
{
    bool told = in->version->scaling.kind != SCALING_AUTOMATIC &&
                in->process->state == PROCESS_READY;

    if (in->ending)
        return;
    in->ending = in->leaving = true;
    call_cancel(in);
    servers_follow(in->process->ctl, NULL, NULL);
    if (told)
        ask_instance(in, "stop", STOP_ASKED, on_stop_answer);
    else
        process_stop(in->process);
}

void instances_stop(struct control *ctl, struct version *v, instances_fn *fn,
                    void *arg)
{
    size_t n = v->n_instances;
    struct instance **all = calloc(n + 1, sizeof(*all));

    (void)ctl;
    if (!all)
        abort();
    instances_watch(v, NULL, NULL);
    if (n)
        memcpy(all, v->instances, n * sizeof(all[0]));
    for (size_t i = 0; i < n; i++)
        instance_end(all[i]);
    free(all);
    instances_watch(v, fn, arg);
    if (v->n_instances == 0)
        tell(v);
}

bool instance_takes(const struct instance *in)
{
    return in->process->state == PROCESS_READY && !in->held && !in->leaving;
}

const char *instance_server(struct arena *a, const struct instance *in)
{
    return arena_printf(a, "i%d", in->index);
}

void instances_watch(struct version *v, instances_fn *fn, void *arg)
{
    v->watch = fn;
    v->watch_arg = arg;
}

size_t instances_ready(const struct version *v)
{
    size_t n = 0;

    for (size_t i = 0; i < v->n_instances; i++)
        n += v->instances[i]->process->state == PROCESS_READY;
    return n;
}

const struct instance *instances_failed(const struct version *v)
{
    for (size_t i = 0; i < v->n_instances; i++) {
        const struct instance *in = v->instances[i];

        if (!in->was_ready && in->process->state == PROCESS_WAITING)
            return in;
    }
    return NULL;
}
