/* model - the documents of what is deployed, read into structs. */
#include "control/model.h"

#include "config/regex.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- ids ---- */

static bool id_chars(const char *id, size_t max)
{
    size_t n = strlen(id);

    return n >= 1 && n <= max &&
           strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == n &&
           id[0] != '-' && id[n - 1] != '-' && !strstr(id, "-dot-");
}

int model_check_project(struct ctx *ctx, const char *id)
{
    if (id_chars(id, MODEL_PROJECT_MAX) && id[0] >= 'a')
        return 0;
    return ctx_err(ctx, ERR_INVALID,
                   "\"%s\" is no project id: lower-case letters, digits and "
                   "hyphens, starting with a letter, at most %d",
                   id, MODEL_PROJECT_MAX);
}

/* hosting rules: "default", "latest" and "ah-*" are refused for versions. */
int model_check_id(struct ctx *ctx, const char *what, const char *id)
{
    bool version = strcmp(what, "version") == 0;

    if (!id_chars(id, MODEL_ID_MAX))
        return ctx_err(ctx, ERR_INVALID,
                       "\"%s\" is no %s id: lower-case letters, digits and "
                       "hyphens, no \"-dot-\", at most %d",
                       id, what, MODEL_ID_MAX);
    if (version && (strcmp(id, "default") == 0 || strcmp(id, "latest") == 0 ||
                    strncmp(id, "ah-", 3) == 0))
        return ctx_err(ctx, ERR_INVALID,
                       "\"%s\" is reserved, and cannot name "
                       "a version",
                       id);
    return 0;
}

/* ---- a version ---- */

static const char *text_member(const json_t *o, const char *name,
                               const char *none)
{
    const char *v = json_string_value(json_object_get(o, name));

    return v ? v : none;
}

/* The API writes durations as "600s" or "0.500s". */
static int64_t seconds_member(const json_t *o, const char *name, int64_t none)
{
    const char *v = json_string_value(json_object_get(o, name));

    return v ? strtoll(v, NULL, 10) : none;
}

static enum handler_login login_of(const char *v)
{
    if (strcmp(v, "LOGIN_ADMIN") == 0)
        return LOGIN_ADMIN;
    return strcmp(v, "LOGIN_REQUIRED") == 0 ? LOGIN_REQUIRED : LOGIN_OPTIONAL;
}

/* "SECURE_ALWAYS", and "REDIRECT_HTTP_RESPONSE_CODE_301". */
static void read_secure(const json_t *in, struct handler *h)
{
    const char *level = text_member(in, "securityLevel", "");
    const char *code = text_member(in, "redirectHttpResponseCode", "");
    const char *digits = strrchr(code, '_');

    if (strcmp(level, "SECURE_ALWAYS") == 0)
        h->secure = SECURE_ALWAYS;
    else if (strcmp(level, "SECURE_NEVER") == 0)
        h->secure = SECURE_NEVER;
    h->redirect_code = digits ? atoi(digits + 1) : 0;
    if (h->redirect_code < 301 || h->redirect_code > 307)
        h->redirect_code = 302;
}

/* Control characters would end the line of a generated file. */
static bool one_line(const char *s)
{
    for (; s && *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
}

/*
 * The pattern as nginx gets it: naming no groups.  It has to compile alone and
 * in the group that is put around it: "a)|(b" does only there, "(*UTF)a" not.
 */
static int read_pattern(struct ctx *ctx, struct arena *a, const json_t *in,
                        const char *member, size_t i, const char **out)
{
    const char *pattern = text_member(in, member, NULL), *forms[2];

    *out = pattern ? config_regex_unnamed(a, pattern) : NULL;
    for (int k = 0; pattern && k < 2; k++) {
        char why[160];
        struct config_regex *re;

        forms[0] = *out;
        forms[1] = arena_printf(ctx->arena, "(?:%s)", *out);
        re = config_regex_new(forms[k], why, sizeof(why));
        if (!re)
            return ctx_err(ctx, ERR_INVALID,
                           "handlers[%zu].%s \"%s\" does not compile: %s", i,
                           member, *out, why);
        config_regex_free(re);
    }
    return 0;
}

static bool headers_fit(const json_t *headers)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)headers, name, value)
    {
        if (!one_line(name) || !one_line(json_string_value(value)))
            return false;
    }
    return true;
}

static int read_handler(struct ctx *ctx, struct arena *a, const json_t *in,
                        size_t i, struct handler *h)
{
    const json_t *files = json_object_get(in, "staticFiles");
    int rc = read_pattern(ctx, a, in, "urlRegex", i, &h->url);

    if (rc == 0)
        rc = read_pattern(ctx, a, files, "uploadPathRegex", i, &h->upload);
    if (rc)
        return rc;
    h->login = login_of(text_member(in, "login", ""));
    h->unauthorized = strcmp(text_member(in, "authFailAction", ""),
                             "AUTH_FAIL_ACTION_UNAUTHORIZED") == 0;
    h->path = text_member(files, "path", NULL);
    h->mime_type = text_member(files, "mimeType", NULL);
    h->headers = json_object_get(files, "httpHeaders");
    h->require_file =
        json_is_true(json_object_get(files, "requireMatchingFile"));
    h->readable = json_is_true(json_object_get(files, "applicationReadable"));
    read_secure(in, h);
    h->expiration = seconds_member(files, "expiration", -1);
    if (!h->url || !*h->url || !one_line(h->url) || !one_line(h->path) ||
        !one_line(h->upload) || !one_line(h->mime_type) ||
        !headers_fit(h->headers))
        return ctx_err(ctx, ERR_INVALID,
                       "handlers[%zu]: urlRegex, path, uploadPathRegex, "
                       "mimeType and every header are one line of text each",
                       i);
    if (files && (!h->path || *h->path == '/' || strstr(h->path, "..")))
        return ctx_err(ctx, ERR_INVALID,
                       "handlers[%zu].staticFiles.path is \"%s\", and must "
                       "stay inside the application's folder",
                       i, h->path ? h->path : "");
    return 0;
}

static int read_handlers(struct ctx *ctx, struct version *v)
{
    const json_t *list = json_object_get(v->doc, "handlers");
    size_t n = json_array_size(list);
    int rc = 0;

    if (n > MODEL_HANDLERS_MAX)
        return ctx_err(ctx, ERR_INVALID, "%zu handlers, and at most %d fit", n,
                       MODEL_HANDLERS_MAX);
    v->handlers = ARENA_ARRAY(&v->arena, struct handler, n + 1);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = read_handler(ctx, &v->arena, json_array_get(list, i), i,
                          &v->handlers[i]);
    v->n_handlers = n;
    return rc;
}

/* "python312" is built and started by runtimes/python. */
static int read_runtime(struct ctx *ctx, struct version *v)
{
    const char *full = text_member(v->doc, "runtime", "");
    size_t n = strspn(full, "abcdefghijklmnopqrstuvwxyz");
    char *name = arena_strdup(&v->arena, full);

    name[n] = '\0';
    v->runtime = name;
    if (n == 0)
        return ctx_err(ctx, ERR_INVALID,
                       "runtime is \"%s\", and must be one "
                       "such as python312",
                       full);
    return 0;
}

/* Pages that lie outside of the application's folder do not count. */
static int read_error_pages(struct ctx *ctx, struct version *v)
{
    static const char *const kinds[ERROR_PAGES] = {
        "ERROR_CODE_DEFAULT", "ERROR_CODE_OVER_QUOTA",
        "ERROR_CODE_DOS_API_DENIAL", "ERROR_CODE_TIMEOUT"};
    const json_t *list = json_object_get(v->doc, "errorHandlers");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *in = json_array_get(list, i);
        const char *code = text_member(in, "errorCode", kinds[0]);
        const char *path = text_member(in, "staticFile", "");
        size_t k = 0;

        while (k < ERROR_PAGES && strcmp(kinds[k], code) != 0)
            k++;
        if (k == ERROR_PAGES || !*path || *path == '/' || strstr(path, "..") ||
            !one_line(path) || !one_line(text_member(in, "mimeType", NULL)))
            return ctx_err(ctx, ERR_INVALID,
                           "errorHandlers[%zu]: errorCode is ERROR_CODE_"
                           "DEFAULT, OVER_QUOTA, DOS_API_DENIAL or TIMEOUT, "
                           "and staticFile a file of the application's folder",
                           i);
        v->error_pages[k] =
            (struct error_page){.kind = (enum error_kind)k,
                                .path = path,
                                .mime_type = text_member(in, "mimeType", NULL)};
    }
    return 0;
}

static int read_scaling(struct ctx *ctx, struct version *v)
{
    int rc = scaling_read(ctx, v->doc, &v->scaling);

    v->wanted = v->scaling.min > 0 ? v->scaling.min : 1;
    v->concurrent = v->scaling.concurrent;
    return rc;
}

int model_version_new(struct ctx *ctx, json_t *doc, struct version **out)
{
    struct version *v = calloc(1, sizeof(*v));
    int rc;

    if (!v)
        abort();
    v->doc = json_incref(doc);
    v->id = text_member(doc, "id", "");
    v->deployment = text_member(doc, "deploymentId", "0");
    v->token = text_member(doc, "token", "");
    v->archive = text_member(doc, "archive", "");
    v->entrypoint =
        text_member(json_object_get(doc, "entrypoint"), "shell", "");
    v->expiration = seconds_member(doc, "defaultExpiration", 600);
    v->stopped = strcmp(text_member(doc, "servingStatus", ""), "STOPPED") == 0;
    rc = model_check_id(ctx, "version", v->id);
    if (rc == 0)
        rc = read_runtime(ctx, v);
    if (rc == 0)
        rc = read_scaling(ctx, v);
    if (rc == 0)
        rc = read_handlers(ctx, v);
    if (rc == 0)
        rc = read_error_pages(ctx, v);
    if (rc)
        model_version_free(v);
    else
        *out = v;
    return rc;
}

void model_version_free(struct version *v)
{
    json_decref(v->doc);
    free(v->instances);
    arena_release(&v->arena);
    free(v);
}

/* ---- the lists ---- */

struct app *model_app_add(struct model *m, const char *id, json_t *doc)
{
    struct app **at = &m->apps;
    struct app *a = calloc(1, sizeof(*a));

    if (!a)
        abort();
    a->id = strdup(id);
    a->doc = doc;
    while (*at && strcmp((*at)->id, id) < 0)
        at = &(*at)->next;
    a->next = *at;
    *at = a;
    return a;
}

struct service *model_service_add(struct app *a, const char *id, json_t *doc)
{
    struct service **at = &a->services;
    struct service *s = calloc(1, sizeof(*s));

    if (!s)
        abort();
    s->app = a;
    s->id = strdup(id);
    s->doc = doc;
    while (*at && strcmp((*at)->id, id) < 0)
        at = &(*at)->next;
    s->next = *at;
    *at = s;
    return s;
}

static bool version_before(const struct version *a, const struct version *b)
{
    int d = strcmp(a->id, b->id);

    return d < 0 || (d == 0 && strcmp(a->deployment, b->deployment) < 0);
}

void model_version_add(struct service *s, struct version *v)
{
    struct version **at = &s->versions;

    v->service = s;
    v->backend = arena_printf(&v->arena, "%s:%s:%s:%s", s->app->id, s->id,
                              v->id, v->deployment);
    while (*at && version_before(*at, v))
        at = &(*at)->next;
    v->next = *at;
    *at = v;
}

void model_app_remove(struct model *m, struct app *a)
{
    struct app **at = &m->apps;

    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    json_decref(a->doc);
    free((char *)(uintptr_t)a->id);
    free(a);
}

void model_service_remove(struct service *s)
{
    struct service **at = &s->app->services;

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    json_decref(s->doc);
    free((char *)(uintptr_t)s->id);
    free(s);
}

void model_version_remove(struct version *v)
{
    struct version **at = &v->service->versions;

    while (*at != v)
        at = &(*at)->next;
    *at = v->next;
    v->next = NULL;
}

bool model_archive_used(const struct model *m, const char *archive)
{
    for (struct app *a = m->apps; a; a = a->next)
        for (struct service *s = a->services; s; s = s->next)
            for (struct version *v = s->versions; v; v = v->next)
                if (strcmp(v->archive, archive) == 0)
                    return true;
    return false;
}

struct app *model_app(const struct model *m, const char *id)
{
    struct app *a = m->apps;

    while (a && strcmp(a->id, id) != 0)
        a = a->next;
    return a;
}

struct service *model_service(const struct app *a, const char *id)
{
    struct service *s = a ? a->services : NULL;

    while (s && strcmp(s->id, id) != 0)
        s = s->next;
    return s;
}

struct version *model_version(const struct service *s, const char *id)
{
    struct version *v = s ? s->versions : NULL;

    while (v && (v->draining || strcmp(v->id, id) != 0))
        v = v->next;
    return v;
}

/* hosting rules: the classes and their memory. */
int model_memory_mb(const struct version *v)
{
    static const struct {
        const char *size;
        int mb;
    } sizes[] = {
        {"1", 384}, {"2", 768}, {"4", 1536}, {"4_1G", 3072}, {"8", 3072}};
    const char *class = text_member(v->doc, "instanceClass", "");

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        if (*class && strcmp(class + 1, sizes[i].size) == 0)
            return sizes[i].mb;
    return v->scaling.kind == SCALING_AUTOMATIC ? 384 : 768;
}

static struct version *first_from(struct app *a, struct service *s)
{
    for (; a; a = a->next, s = a ? a->services : NULL)
        for (; s; s = s->next)
            if (s->versions)
                return s->versions;
    return NULL;
}

struct version *model_next(const struct model *m, const struct version *v)
{
    if (!v)
        return first_from(m->apps, m->apps ? m->apps->services : NULL);
    if (v->next)
        return v->next;
    return first_from(v->service->app, v->service->next);
}

double model_share(const struct version *v)
{
    const json_t *split = json_object_get(v->service->doc, "split");
    const json_t *shares = json_object_get(split, "allocations");

    return v->draining ? 0 : json_number_value(json_object_get(shares, v->id));
}

struct version *model_serving(const struct service *s)
{
    struct version *best = NULL;
    double most = 0;

    for (struct version *v = s->versions; v; v = v->next)
        if (model_share(v) > most) {
            best = v;
            most = model_share(v);
        }
    return best;
}

enum shard_by model_shard_by(const struct service *s)
{
    const json_t *split = json_object_get(s->doc, "split");
    const char *by = text_member(split, "shardBy", "");

    if (json_object_size(json_object_get(split, "allocations")) < 2)
        return SHARD_NONE;
    if (strcmp(by, "COOKIE") == 0)
        return SHARD_COOKIE;
    return strcmp(by, "RANDOM") == 0 ? SHARD_RANDOM : SHARD_IP;
}

bool model_dispatch(const struct app *a, size_t i, struct dispatch_rule *out)
{
    const json_t *rules = json_object_get(a->doc, "dispatchRules");
    const json_t *rule = json_array_get(rules, i);

    *out = (struct dispatch_rule){.host = text_member(rule, "domain", "*"),
                                  .path = text_member(rule, "path", "/*"),
                                  .service =
                                      text_member(rule, "service", "default")};
    return rule != NULL;
}

/* "*.x" as a host ends like that. */
static bool host_fits(const char *want, const char *host)
{
    size_t n = strlen(want + (*want == '*')), have = strlen(host);

    if (*want != '*')
        return strcasecmp(want, host) == 0;
    return have >= n && strcasecmp(want + 1, host + have - n) == 0;
}

/* "/x*" as a path begins like that. */
static bool path_fits(const char *want, struct bytes path)
{
    size_t n = strlen(want);
    bool any_tail = n > 0 && want[n - 1] == '*';

    n -= any_tail;
    return any_tail ? path.n >= n && memcmp(path.p, want, n) == 0
                    : bytes_eq(path, bytes_str(want));
}

struct service *model_dispatched(const struct app *a, const char *host,
                                 struct bytes path)
{
    struct service *found = NULL;
    struct dispatch_rule rule;

    if (path_fits("/_ah/*", path) && !path_fits("/_ah/queue/deferred*", path) &&
        !path_fits("/_ah/api*", path))
        return NULL;
    for (size_t i = 0; !found && model_dispatch(a, i, &rule); i++)
        if (host_fits(rule.host, host) && path_fits(rule.path, path))
            found = model_service(a, rule.service);
    return found;
}

const char *model_name(struct arena *a, const struct version *v)
{
    return arena_printf(a, "%s/%s/%s/%s", v->service->app->id, v->service->id,
                        v->id, v->deployment);
}
