/*
 * nginx_names - from a host name to a version, as maps of nginx.
 *
 *     $host
 *       -> $appscale_host       "-dot-" between the labels is "." from here on
 *       -> $appscale_named      what the name means, below
 *       -> $appscale_goes_N     the same, once dispatch.yaml has been asked
 *       -> $appscale_version_N  "P/S/V", or nothing; a split chooses here
 *       -> $appscale_backend    haproxy's name for it
 *
 * N is the app's place in the model: an app's server uses its own two maps.
 * A meaning is one of
 *
 *     ""        the app, or a name that nobody has: the default service
 *     S         a service, whichever of its versions
 *     P/S/V     a version of the default service, unless dispatch.yaml takes it
 *     =P/S/V    this version, whatever dispatch.yaml says
 *     -         nobody, below an app's own domain
 *
 * nginx works a map out when it is first asked for, and once per request.
 */
#include "control/domains.h"
#include "control/nginx_int.h"

/* The meaning of a name that nobody serves; no service is called so. */
#define NOBODY "-"

enum {
    COOKIE_VALUES = 1000, /* GOOGAPPUID is 0..999 */
    SPLIT_PERCENT = 100,  /* split_clients knows hundredths of a percent */
};

const char *nginx_version_name(struct arena *a, const struct version *v)
{
    return arena_printf(a, "%s/%s/%s", v->service->app->id, v->service->id,
                        v->id);
}

static const char *app_host(const struct control *ctl, struct arena *a,
                            const struct app *app)
{
    return arena_printf(a, "%s.%s", app->id, ctl->settings.domain);
}

/* ---- names ---- */

/* A host below which labels are services and versions of `app`. */
struct base {
    const struct control *ctl;
    struct arena *a;
    const struct app *app;
    const char *host;
    bool own; /* "*.HOST" is a domain of the app's own */
    json_t *names, *instances;
};

/* PROJECT.DOMAIN first, then what the app's wildcards stand before; false past
 * the last. */
static bool base_host(struct base *b, int i)
{
    const struct domain *d = NULL;

    b->own = i > 0;
    b->host = app_host(b->ctl, b->a, b->app);
    while (i > 0 && (d = domains_next(&b->ctl->model, b->app->id, d)))
        if (domains_below(d) && --i == 0)
            b->host = domains_below(d);
    return i == 0;
}

/* A name belongs to whoever had it first.  Below a wildcard it may be that of
 * a domain, or below a longer wildcard, which is somebody else's. */
static bool name_add(struct base *b, const char *name, const char *meaning)
{
    if (json_object_get(b->names, name))
        return false;
    if (b->own) {
        const struct domain *d = domains_of_host(&b->ctl->model, name);

        if (!d || domains_below(d) != b->host)
            return false;
    }
    json_object_set_new(b->names, name, json_string(meaning));
    return true;
}

static void add_service_names(struct base *b)
{
    for (struct service *s = b->app->services; s; s = s->next)
        if (model_serving(s))
            name_add(b, arena_printf(b->a, "%s.%s", s->id, b->host), s->id);
}

static void add_version_names(struct base *b, const struct version *v)
{
    const char *meaning = nginx_version_name(b->a, v);

    name_add(b, arena_printf(b->a, "%s.%s.%s", v->id, v->service->id, b->host),
             arena_printf(b->a, "=%s", meaning));
    if (strcmp(v->service->id, "default") == 0)
        name_add(b, arena_printf(b->a, "%s.%s", v->id, b->host), meaning);
}

/* The names of instance `i`: its number in front of each of its version's. */
static void add_instance_names(struct base *b, const struct version *v, int i)
{
    struct arena *a = b->a;
    bool serving = model_serving(v->service) == v;
    bool is_default = strcmp(v->service->id, "default") == 0;
    const char *meaning = arena_printf(a, "=%s", nginx_version_name(a, v));
    const char *of[] = {
        arena_printf(a, "%s.%s.%s", v->id, v->service->id, b->host),
        serving ? arena_printf(a, "%s.%s", v->service->id, b->host) : NULL,
        is_default ? arena_printf(a, "%s.%s", v->id, b->host) : NULL,
        is_default && serving ? b->host : NULL,
    };

    for (size_t k = 0; k < sizeof(of) / sizeof(of[0]); k++) {
        const char *name = arena_printf(a, "%d.%s", i, of[k] ? of[k] : "");

        if (of[k] && name_add(b, name, meaning))
            json_object_set_new(b->instances, name, json_integer(i));
    }
}

static void add_all_instance_names(struct base *b, const struct version *v)
{
    if (v->draining || v->scaling.kind == SCALING_AUTOMATIC)
        return;
    for (int i = 0; i < v->scaling.max; i++)
        add_instance_names(b, v, i);
}

/* The next version of the app after `v` (NULL: the first), or NULL. */
static const struct version *next_of(const struct base *b,
                                     const struct version *v)
{
    do
        v = model_next(&b->ctl->model, v);
    while (v && (v->service->app != b->app || v->draining));
    return v;
}

/*
 * In the order of precedence: a domain comes before what a wildcard makes of
 * its name, a label is a service before it is a version of the default
 * service, and a number is a version before it is an instance.  Instances of
 * automatic scaling come and go, and have no names.
 */
static void collect_names(struct base *b)
{
    const struct model *m = &b->ctl->model;
    const struct version *v;

    for (struct domain *d = m->domains; d; d = d->next_domain)
        if (!domains_below(d))
            name_add(b, d->id, "");
    for (struct app *app = m->apps; app; app = app->next) {
        b->app = app;
        for (int i = 0; base_host(b, i); i++) {
            add_service_names(b);
            for (v = next_of(b, NULL); v; v = next_of(b, v))
                add_version_names(b, v);
            for (v = next_of(b, NULL); v; v = next_of(b, v))
                add_all_instance_names(b, v);
        }
    }
}

/* What no name below a wildcard is, nobody serves (hosting.md, 5). */
static void add_wildcards(const struct control *ctl, struct buf *out)
{
    for (struct domain *d = ctl->model.domains; d; d = d->next_domain)
        if (domains_below(d))
            buf_printf(out, "        %s " NOBODY ";\n", d->id);
}

static void add_names(const struct control *ctl, struct buf *out)
{
    struct arena a = ARENA_INIT;
    json_t *names = json_object(), *instances = json_object();
    struct base b = {
        .ctl = ctl, .a = &a, .names = names, .instances = instances};
    const char *name;
    const json_t *value;

    collect_names(&b);
    buf_add_str(
        out,
        "    map $host $appscale_host {\n"
        "        default $host;\n"
        "        \"~^(.+?)-dot-(.+?)-dot-(.+?)-dot-(.+)\\\\z\" $1.$2.$3.$4;\n"
        "        \"~^(.+?)-dot-(.+?)-dot-(.+)\\\\z\" $1.$2.$3;\n"
        "        \"~^(.+?)-dot-(.+)\\\\z\" $1.$2;\n"
        "    }\n"
        "    map $appscale_host $appscale_named {\n"
        "        hostnames;\n"
        "        default \"\";\n");
    json_object_foreach(names, name, value) buf_printf(
        out, "        \\\\%s \"%s\";\n", name, json_string_value(value));
    add_wildcards(ctl, out);
    buf_add_str(out, "    }\n"
                     "    map $appscale_host $appscale_instance {\n"
                     "        default \"\";\n");
    json_object_foreach(instances, name, value) buf_printf(
        out, "        %s %d;\n", name, (int)json_integer_value(value));
    buf_add_str(out, "    }\n");
    json_decref(names);
    json_decref(instances);
    arena_release(&a);
}

static void add_backends(const struct control *ctl, struct buf *out)
{
    const struct model *m = &ctl->model;
    struct arena a = ARENA_INIT;

    buf_add_str(out, "    map $appscale_version $appscale_backend {\n"
                     "        default \"\";\n");
    for (struct version *v = model_next(m, NULL); v; v = model_next(m, v))
        if (!v->draining)
            buf_printf(out, "        %s %s;\n", nginx_version_name(&a, v),
                       routing_backend(&a, v));
    buf_add_str(out, "    }\n");
    arena_release(&a);
}

/* ---- dispatch.yaml ---- */

/* Text that stands for itself in a pattern. */
static void add_literal(struct buf *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strchr("\\^$.[]|()?*+{}-", s[i]))
            buf_add_u8(out, '\\');
        buf_add_u8(out, (uint8_t)s[i]);
    }
}

/* The host of a rule as $appscale_host writes it. */
static const char *dotted(struct arena *a, const char *host)
{
    struct buf out = BUF_IN(a);

    for (; *host; host++) {
        bool dot = strncmp(host, "-dot-", 5) == 0;

        buf_add_u8(&out, dot ? '.' : (uint8_t)*host);
        host += dot ? 4 : 0;
    }
    return buf_cstr(&out);
}

/* The source of the map is "MEANING HOST/PATH"; "*.x" as a host ends like
 * that, and "/x*" as a path begins like that. */
static void add_rule(struct buf *out, const struct dispatch_rule *rule)
{
    struct arena a = ARENA_INIT;
    struct buf pattern = BUF_IN(&a);
    const char *host = dotted(&a, rule->host);
    size_t n = strlen(rule->path);
    bool prefix = n > 0 && rule->path[n - 1] == '*';

    buf_add_str(&pattern, "~^[^ ]* ");
    if (*host == '*') {
        buf_add_str(&pattern, "[^/]*");
        host++;
    }
    add_literal(&pattern, host, strlen(host));
    add_literal(&pattern, rule->path, prefix ? n - 1 : n);
    if (!prefix)
        buf_add_str(&pattern, "\\z");
    buf_add_str(out, "        ");
    nginx_quoted(out, buf_cstr(&pattern), false);
    buf_printf(out, " %s;\n", rule->service);
    arena_release(&a);
}

/* The platform's paths stay where they are, but for two that Google lets go. */
static void add_dispatch(struct buf *out, const struct app *app, int n)
{
    struct dispatch_rule rule;

    buf_printf(out,
               "    map \"$appscale_named $appscale_host$uri\" "
               "$appscale_goes_%d {\n"
               "        default $appscale_named;\n",
               n);
    if (model_dispatch(app, 0, &rule))
        buf_add_str(out, "        \"~^=\" $appscale_named;\n"
                         "        \"~^[^ ]* [^/]*/_ah/"
                         "(?!queue/deferred|api)\" $appscale_named;\n");
    for (size_t i = 0; model_dispatch(app, i, &rule); i++)
        if (model_service(app, rule.service))
            add_rule(out, &rule);
    buf_add_str(out, "    }\n");
}

/* ---- traffic ---- */

/* The version with a share that comes after `v` (NULL: the first), or NULL;
 * by id, so that shares that grow move as few visitors as can be. */
static const struct version *next_sharing(const struct service *s,
                                          const struct version *v)
{
    for (v = v ? v->next : s->versions; v; v = v->next)
        if (model_share(v) > 0)
            return v;
    return NULL;
}

/* A hash of `source` chooses, with the shares as its odds. */
static void add_odds(struct buf *out, const struct service *s,
                     const char *source, const char *variable)
{
    struct arena a = ARENA_INIT;
    const struct version *v = next_sharing(s, NULL), *next;
    int left = 100 * SPLIT_PERCENT;

    buf_printf(out, "    split_clients \"%s\" %s {\n", source, variable);
    for (; v; v = next) {
        int share = (int)(model_share(v) * 100 * SPLIT_PERCENT + 0.5);

        next = next_sharing(s, v);
        if (share > left)
            share = left;
        left -= share;
        if (!next)
            buf_printf(out, "        * %s;\n", nginx_version_name(&a, v));
        else if (share > 0)
            buf_printf(out, "        %d.%02d%% %s;\n", share / SPLIT_PERCENT,
                       share % SPLIT_PERCENT, nginx_version_name(&a, v));
    }
    buf_add_str(out, "    }\n");
    arena_release(&a);
}

/* A pattern for the numbers of three digits below `n`. */
static void add_below(struct buf *out, int n)
{
    int a = n / 100, b = n / 10 % 10, c = n % 10;

    if (a > 0)
        buf_printf(out, "[0-%d][0-9][0-9]%s", a - 1, b || c ? "|" : "");
    if (b > 0)
        buf_printf(out, "%d[0-%d][0-9]%s", a, b - 1, c ? "|" : "");
    if (c > 0)
        buf_printf(out, "%d%d[0-%d]", a, b, c - 1);
}

/*
 * The cookie's number falls into one of the shares laid end to end; a cookie
 * that is no such number chooses by its hash.
 */
static void add_cookie_split(struct buf *out, const struct service *s,
                             const char *variable)
{
    struct arena a = ARENA_INIT;
    const char *hashed = arena_printf(&a, "%s_hash", variable);
    const struct version *v = next_sharing(s, NULL), *next;
    double sum = 0;

    add_odds(out, s, "$cookie_GOOGAPPUID", hashed);
    buf_printf(out,
               "    map \"000$appscale_uid\" %s {\n"
               "        default %s;\n",
               variable, hashed);
    for (; v; v = next) {
        int end = (int)((sum += model_share(v)) * COOKIE_VALUES + 0.5);

        next = next_sharing(s, v);
        if (!next || end >= COOKIE_VALUES) {
            buf_add_str(out, "        \"~^0*[0-9][0-9][0-9]\\\\z\"");
        } else if (end > 0) {
            buf_add_str(out, "        \"~^0*(?:");
            add_below(out, end);
            buf_add_str(out, ")\\\\z\"");
        } else {
            continue;
        }
        buf_printf(out, " %s;\n", nginx_version_name(&a, v));
        if (end >= COOKIE_VALUES)
            break;
    }
    buf_add_str(out, "    }\n");
    arena_release(&a);
}

static const char *split_variable(struct arena *a, int n, int service)
{
    return arena_printf(a, "$appscale_split_%d_%d", n, service);
}

static void add_splits(struct buf *out, const struct app *app, int n)
{
    struct arena a = ARENA_INIT;
    int k = 0;

    for (struct service *s = app->services; s; s = s->next, k++) {
        const char *variable = split_variable(&a, n, k);

        if (!model_serving(s))
            continue;
        switch (model_shard_by(s)) {
        case SHARD_NONE:
            break;
        case SHARD_COOKIE:
            add_cookie_split(out, s, variable);
            break;
        case SHARD_IP:
            add_odds(out, s, "$remote_addr", variable);
            break;
        case SHARD_RANDOM:
            add_odds(out, s, "$request_id", variable);
            break;
        }
    }
    arena_release(&a);
}

/* Which version a meaning comes to.  A '\\' tells a service's name from a word
 * of nginx: "default" is one.  It takes two, for "\\r" would be a control
 * character. */
static void add_versions(struct buf *out, const struct app *app, int n)
{
    struct arena a = ARENA_INIT;
    int k = 0;

    buf_printf(out,
               "    map $appscale_goes_%d $appscale_version_%d {\n"
               "        \"~^=?(.*/.*)\\\\z\" $1;\n"
               "        " NOBODY " \"\";\n",
               n, n);
    for (struct service *s = app->services; s; s = s->next, k++) {
        const struct version *v = model_serving(s);
        const char *to = !v ? "\"\""
                         : model_shard_by(s) == SHARD_NONE
                             ? nginx_version_name(&a, v)
                             : split_variable(&a, n, k);

        if (v)
            buf_printf(out, "        \\\\%s %s;\n", s->id, to);
        if (strcmp(s->id, "default") == 0)
            buf_printf(out, "        default %s;\n", to);
    }
    buf_add_str(out, "    }\n");
    arena_release(&a);
}

/* ---- the cookie of a split ---- */

bool nginx_sticky(const struct app *app)
{
    for (struct service *s = app->services; s; s = s->next)
        if (model_shard_by(s) == SHARD_COOKIE)
            return true;
    return false;
}

/* Whether the cookie decided. */
static void add_sticky(struct buf *out, const struct app *app, int n)
{
    buf_printf(out,
               "    map $appscale_goes_%d $appscale_sticky_%d {\n"
               "        default \"\";\n",
               n, n);
    for (struct service *s = app->services; s; s = s->next)
        if (model_shard_by(s) == SHARD_COOKIE) {
            buf_printf(out, "        \\\\%s 1;\n", s->id);
            if (strcmp(s->id, "default") == 0)
                buf_add_str(out, "        \"\" 1;\n");
        }
    buf_add_str(out, "    }\n");
}

/*
 * Who has no number yet gets one: the first three decimal digits among the 32
 * random ones of the request's id.  It goes along with the answer unless the
 * application sends a cookie of that name itself.
 */
static void add_cookie(struct buf *out)
{
    buf_add_str(
        out, "    map $request_id $appscale_random {\n"
             "        default 500;\n"
             "        \"~^[a-f]*([0-9])[a-f]*([0-9])[a-f]*([0-9])\" $1$2$3;\n"
             "    }\n"
             "    map $cookie_GOOGAPPUID $appscale_uid {\n"
             "        default $cookie_GOOGAPPUID;\n"
             "        \"\" $appscale_random;\n"
             "    }\n"
             "    map \"\" $appscale_sticky {\n"
             "        default \"\";\n"
             "    }\n"
             "    map $upstream_http_set_cookie $appscale_own_cookie {\n"
             "        default \"\";\n"
             "        \"~^GOOGAPPUID=\" 1;\n"
             "    }\n"
             "    map \"$cookie_GOOGAPPUID,$appscale_own_cookie,"
             "$appscale_sticky\" $appscale_cookie {\n"
             "        default \"\";\n"
             "        \",,1\" \"GOOGAPPUID=$appscale_uid; Path=/\";\n"
             "    }\n"
             "    add_header Set-Cookie $appscale_cookie;\n");
}

/* ---- all of them ---- */

void nginx_maps(const struct control *ctl, struct buf *out)
{
    int n = 0;

    buf_add_str(out, "    map \"\" $appscale_fresh {\n"
                     "        default 1;\n"
                     "    }\n"
                     "    map \"\" $appscale_version {\n"
                     "        default \"\";\n"
                     "    }\n");
    add_names(ctl, out);
    add_backends(ctl, out);
    add_cookie(out);
    for (struct app *app = ctl->model.apps; app; app = app->next, n++) {
        buf_printf(out, "    # %s\n", app->id);
        add_dispatch(out, app, n);
        add_splits(out, app, n);
        add_versions(out, app, n);
        if (nginx_sticky(app))
            add_sticky(out, app, n);
    }
}

/* ---- the names of a server ---- */

static int place(const struct control *ctl, const struct app *app)
{
    int n = 0;

    for (struct app *a = ctl->model.apps; a != app; a = a->next)
        n++;
    return n;
}

void nginx_names(const struct control *ctl, struct buf *out,
                 const struct app *app)
{
    struct arena a = ARENA_INIT;
    const char *host = app_host(ctl, &a, app);
    struct buf pattern = BUF_IN(&a);
    const struct domain *d = NULL;
    int n = place(ctl, app);

    buf_add_str(&pattern, "~^.+-dot-");
    add_literal(&pattern, host, strlen(host));
    buf_add_str(&pattern, "\\z");
    buf_printf(out, "        server_name %s *.%s ", host, host);
    while ((d = domains_next(&ctl->model, app->id, d)))
        buf_printf(out, "%s ", d->id);
    nginx_quoted(out, buf_cstr(&pattern), false);
    buf_printf(out,
               ";\n"
               "        set $appscale_version $appscale_version_%d;\n",
               n);
    if (nginx_sticky(app))
        buf_printf(out, "        set $appscale_sticky $appscale_sticky_%d;\n",
                   n);
    arena_release(&a);
}
