/* confine - the sandbox's command line, and the users of projects. */
#include "control/confine.h"

#include "base/files.h"
#include "base/log.h"
#include "control/instance.h"
#include "control/job.h"
#include "sandbox/groups.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WORDS_MAX = 1024,
    HIDDEN_MAX = MODEL_HANDLERS_MAX,
    UIDS_BYTES = 16 << 20,

    /* What an instance gets beyond its class before the kernel steps in; it
     * has been recycled long before (scale.c). */
    SPARE_MB = 128,
    TASKS = 512,
    FILE_MB = 1024,

    /* A compiler takes more than the program that it makes. */
    BUILD_MB = 4096,
    BUILD_TMP_MB = 2048,
    BUILD_FILE_MB = 8192,
    BUILD_TASKS = 1024,
};

/* ---- the users of projects ---- */

static uint32_t name_hash(const char *name) /* FNV-1a */
{
    uint32_t h = 2166136261u;

    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h;
}

/* The id in the line "PROJECT UID" of the list; 0 when there is none. */
static int64_t uid_listed(const char *list, const char *project)
{
    size_t n = strlen(project);

    for (const char *line = list; *line;
         line += strcspn(line, "\n"), line += *line == '\n')
        if (strncmp(line, project, n) == 0 && line[n] == ' ')
            return strtoll(line + n, NULL, 10);
    return 0;
}

static bool uid_taken(struct arena *a, const char *list, int64_t uid)
{
    return strstr(list, arena_printf(a, " %lld\n", (long long)uid)) != NULL;
}

/* The user of a project, for ever; 0 when we are no root to give it one. */
static int user_of(struct ctx *ctx, struct control *ctl, const char *project,
                   int64_t *uid)
{
    const struct settings *s = &ctl->settings;
    const char *path = control_path(ctl, ctx->arena, "run/uids"), *list;
    struct bytes text = BYTES_NONE;
    int64_t at = name_hash(project) % s->sandbox_uids;
    int rc;

    *uid = 0;
    if (getuid() != 0)
        return 0;
    rc = files_read(ctx, path, UIDS_BYTES, &text);
    if (rc && rc != ERR_NOT_FOUND)
        return rc;
    list = arena_cstr(ctx->arena, text);
    *uid = uid_listed(list, project);
    if (*uid)
        return 0;
    for (int64_t i = 0; i < s->sandbox_uids; i++) {
        *uid = s->sandbox_uid_first + (at + i) % s->sandbox_uids;
        if (!uid_taken(ctx->arena, list, *uid))
            return files_replace(
                ctx, path,
                bytes_str(arena_printf(ctx->arena, "%s%s %lld\n", list, project,
                                       (long long)*uid)),
                0600);
    }
    return ctx_err(ctx, ERR_EXHAUSTED,
                   "no user id is free for project %s: raise the setting "
                   "sandbox_uids",
                   project);
}

/* ---- folders ---- */

/* A user of its own must get through to what is its own; there is nothing to
 * see on the way. */
static void let_through(struct control *ctl, struct arena *a, const char *path)
{
    char *p = arena_strdup(a, path);
    size_t root = strlen(ctl->root);

    if (getuid() != 0)
        return;
    for (char *slash = strrchr(p, '/'); slash && slash >= p + root;
         slash = strrchr(p, '/')) {
        *slash = '\0';
        chmod(p, 0711);
    }
}

static const char *real(struct arena *a, const char *path)
{
    char *full = realpath(path, NULL);
    const char *copy = full ? arena_strdup(a, full) : path;

    free(full);
    return copy;
}

const char *confine_cache(struct control *ctl, struct arena *a,
                          const struct app *app)
{
    const char *path =
        control_path(ctl, a, arena_printf(a, "cache/apps/%s", app->id));
    struct ctx ctx;

    ctx_init(&ctx, a);
    if (files_mkdirs(&ctx, path) != 0)
        log_warn(&ctx, "confine.cache", "why", ctx_err_text(&ctx, ERR_IO));
    let_through(ctl, a, path);
    return real(a, path);
}

/* ---- the command line ---- */

struct words {
    struct arena *a;
    const char *v[WORDS_MAX];
    size_t n;
};

static void add(struct words *w, const char *name, const char *value)
{
    if (w->n + 2 >= WORDS_MAX)
        BUG("a sandbox's command line is too long");
    w->v[w->n++] = name;
    if (value)
        w->v[w->n++] = value;
}

static void add_number(struct words *w, const char *name, int64_t value)
{
    add(w, name, arena_printf(w->a, "%lld", (long long)value));
}

static void add_ports(struct words *w, const struct settings *s)
{
    /* The first that fits counts. */
    add_number(w, "--served", s->http_port);
    if (s->https_port)
        add_number(w, "--served", s->https_port);
    add_number(w, "--api-port", s->api_port);
    add(w, "--closed",
        arena_printf(w->a, "%lld-%lld", (long long)s->instance_port_first,
                     (long long)s->instance_port_last));
    add_number(w, "--closed", s->rabbitmq_port);
    if (getuid() == 0)
        add(w, "--users",
            arena_printf(
                w->a, "%lld-%lld", (long long)s->sandbox_uid_first,
                (long long)(s->sandbox_uid_first + s->sandbox_uids - 1)));
}

/* The folder or the file that a static handler covers whole, below the
 * application's; NULL when its pattern picks some of a folder. */
static const char *covered(struct arena *a, const struct handler *h)
{
    size_t n = strlen(h->path), url = strlen(h->url);

    if (n > 3 && strcmp(h->path + n - 3, "/\\1") == 0 && url >= 5 &&
        strcmp(h->url + url - 5, "/(.*)") == 0)
        n -= 3;
    if (n == 0 || memchr(h->path, '\\', n) || h->path[0] == '.')
        return NULL;
    return arena_printf(a, "%.*s", (int)n, h->path);
}

static bool is_within(const char *path, const char *folder)
{
    size_t n = strlen(folder);

    return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* Whether a handler lets the application read some of `path`. */
static bool is_readable(struct arena *a, const struct version *v,
                        const char *path)
{
    for (size_t i = 0; i < v->n_handlers; i++) {
        const struct handler *h = &v->handlers[i];
        const char *other = h->path && h->readable ? covered(a, h) : NULL;

        if (other && (is_within(path, other) || is_within(other, path)))
            return true;
    }
    return false;
}

static void add_hidden(struct words *w, const struct version *v,
                       const char *app_dir)
{
    for (size_t i = 0; i < v->n_handlers && i < HIDDEN_MAX; i++) {
        const struct handler *h = &v->handlers[i];
        const char *path = h->path && !h->readable ? covered(w->a, h) : NULL;

        if (path && !is_readable(w->a, v, path))
            add(w, "--hide", arena_printf(w->a, "%s/%s", app_dir, path));
    }
}

/* Its part of the processors beside others, in per cent of an F1's. */
static int64_t weight(const struct version *v)
{
    enum { F1_MB = 384 };

    return 100 * (int64_t)model_memory_mb(v) / F1_MB;
}

static void add_limits(struct words *w, const struct version *v, bool building)
{
    int64_t mb = model_memory_mb(v);

    add_number(w, "--memory", building ? BUILD_MB : mb + mb / 2 + SPARE_MB);
    add_number(w, "--tmp", building ? BUILD_TMP_MB : mb / 2);
    add_number(w, "--file", building ? BUILD_FILE_MB : FILE_MB);
    add_number(w, "--tasks", building ? BUILD_TASKS : TASKS);
    add_number(w, "--cpu", building ? 100 : weight(v));
}

static int command(struct ctx *ctx, struct control *ctl,
                   const struct version *v, const char *program, int port,
                   const char *const **argv)
{
    struct arena *a = ctx->arena;
    const char *access = port ? "--read" : "--write";
    const char *runtimes = real(a, ctl->runtimes);
    const char *dir = instance_dir(ctl, a, v);
    struct words w = {.a = a};
    int64_t uid;
    int rc;

    program = arena_printf(a, "%s/%s/%s", runtimes, v->runtime, program);
    if (!settings_sandbox(&ctl->settings)) {
        *argv = WORDS(a, program);
        return 0;
    }
    rc = user_of(ctx, ctl, v->service->app->id, &uid);
    if (rc)
        return rc;
    let_through(ctl, a, dir);
    add(&w, arena_printf(a, "%s/appscale-sandbox", ctl->programs), NULL);
    if (uid)
        add_number(&w, "--uid", uid);
    add_limits(&w, v, port == 0);
    if (port)
        add_number(&w, "--port", port);
    add_ports(&w, &ctl->settings);
    add(&w, "--hide", ctl->root);
    add(&w, "--read", runtimes);
    add(&w, access, dir);
    add(&w, "--own", NULL);
    add(&w, access, confine_cache(ctl, a, v->service->app));
    add(&w, "--own", NULL);
    if (port)
        add_hidden(&w, v, arena_printf(a, "%s/app", dir));
    add(&w, "--", program);
    *argv = control_words(a, w.v);
    return 0;
}

int confine_start(struct ctx *ctx, struct control *ctl, const struct version *v,
                  int port, const char *const **argv)
{
    return command(ctx, ctl, v, "start", port, argv);
}

int confine_build(struct ctx *ctx, struct control *ctl, const struct version *v,
                  const char *const **argv)
{
    return command(ctx, ctl, v, "build", 0, argv);
}

/* ---- what holds here ---- */

static json_t *missing; /* words of the probe; NULL: not known yet */

static const char *probe_log(struct control *ctl, struct arena *a)
{
    return control_log_path(ctl, a, "sandbox");
}

static void on_probed(int rc, const char *why, void *arg)
{
    struct control *ctl = arg;
    struct arena a = ARENA_INIT;
    char *text = arena_cstr(&a, files_tail(&a, probe_log(ctl, &a), 100));
    char *save = NULL;

    (void)why;
    if (rc == 0)
        missing = json_array();
    for (char *line = strtok_r(text, "\n", &save); line && missing;
         line = strtok_r(NULL, "\n", &save))
        if (strncmp(line, "no-", 3) == 0) {
            json_array_append_new(missing, json_string(line + 3));
            log_warn(NULL, "sandbox.missing", "what", line + 3);
        }
    arena_release(&a);
}

void confine_probe(struct control *ctl)
{
    struct arena a = ARENA_INIT;
    struct child_spec spec = {.log = probe_log(ctl, &a)};
    struct ctx ctx;
    int rc;

    ctx_init(&ctx, &a);
    if (!settings_sandbox(&ctl->settings))
        return;
    unlink(spec.log);
    spec.argv = WORDS(
        &a, arena_printf(&a, "%s/appscale-sandbox", ctl->programs), "--probe",
        "--uid",
        arena_printf(&a, "%lld", (long long)ctl->settings.sandbox_uid_first));
    spec.env = control_env(ctl, &a, "sandbox", NULL);
    rc = job_start(&ctx, &ctl->loop, &spec, 30 * CLOCK_SEC, on_probed, ctl,
                   NULL);
    if (rc)
        log_warn(&ctx, "sandbox.probe", "why", ctx_err_text(&ctx, rc));
    arena_release(&a);
}

json_t *confine_status(const struct control *ctl)
{
    const char *state = "on";

    if (!settings_sandbox(&ctl->settings))
        state = "off";
    else if (json_array_size(missing) > 0)
        state = "partial";
    return json_pack("{s:s, s:o}", "state", state, "missing",
                     missing ? json_incref(missing) : json_array());
}

void confine_sweep(void)
{
    groups_sweep();
}
