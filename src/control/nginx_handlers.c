/*
 * nginx_handlers - one version's location: the handlers of its app.yaml.
 */
#include "control/instance.h"
#include "control/nginx_int.h"

#include <inttypes.h>

/* The folder's files under "static_files", \1 being what the location's pattern
 * has captured (nginx_handler_maps()). */
static void add_file_template(struct buf *out, const char *path)
{
    buf_add_str(out, "\"/");
    for (; *path; path++) {
        if (path[0] == '\\' && path[1] >= '1' && path[1] <= '9')
            buf_printf(out, "${appscale_%c}", *++path);
        else if (*path == '$')
            buf_add_str(out, "${appscale_dollar}");
        else if (*path == '"' || *path == '\\')
            buf_printf(out, "\\%c", *path);
        else
            buf_add_u8(out, (uint8_t)*path);
    }
    buf_add_str(out, "\"");
}

/*
 * $1 by another name: `set` takes it escaped as in a URL, and what a map gives
 * as it is.
 */
void nginx_handler_maps(struct buf *out)
{
    for (int i = 1; i <= 9; i++)
        buf_printf(out,
                   "    map \"\" $appscale_%d {\n"
                   "        volatile;\n"
                   "        default $%d;\n"
                   "    }\n",
                   i, i);
}

/* ---- static files ---- */

/* Headers of ours that one of the handler's own stands in for. */
static const struct {
    const char *name;
    unsigned bit;
} replaced[] = {
    {"Cache-Control", 1}, /* nginx makes both of them at once */
    {"Expires", 2},
    {"ETag", 4},
    {"Content-Type", 8},
};

enum { OWN_CACHE = 1, OWN_EXPIRES = 2, OWN_ETAG = 4, OWN_TYPE = 8 };

static unsigned replaces(const char *name)
{
    for (size_t i = 0; i < sizeof(replaced) / sizeof(replaced[0]); i++)
        if (strcasecmp(name, replaced[i].name) == 0)
            return replaced[i].bit;
    return 0;
}

static void add_type(struct buf *out, const char *type)
{
    buf_add_str(out, "                types {\n                }\n"
                     "                default_type ");
    nginx_quoted(out, type, false);
    buf_add_str(out, ";\n");
}

/* The handler's headers; which of ours they replace. */
static unsigned add_own_headers(struct buf *out, const struct handler *h)
{
    unsigned own = 0;
    const char *name;
    const json_t *value;

    json_object_foreach(h->headers, name, value)
    {
        unsigned bit = replaces(name);

        if (!json_is_string(value))
            continue;
        own |= bit;
        if (bit == OWN_TYPE) {
            add_type(out, json_string_value(value));
            continue;
        }
        buf_add_str(out, "                add_header ");
        nginx_quoted(out, name, true);
        buf_add_str(out, " ");
        nginx_quoted(out, json_string_value(value), true);
        buf_add_str(out, ";\n");
    }
    return own;
}

/* `expires` writes Expires and "Cache-Control: max-age". */
static void add_static_headers(struct buf *out, const struct version *v,
                               const struct handler *h)
{
    int64_t seconds = h->expiration >= 0 ? h->expiration : v->expiration;
    unsigned own = add_own_headers(out, h);

    if (nginx_sticky(v->service->app)) /* headers of its own hide it */
        buf_add_str(out, "                add_header Set-Cookie "
                         "$appscale_cookie;\n");
    if (!(own & (OWN_CACHE | OWN_EXPIRES)))
        buf_printf(out,
                   "                expires %" PRId64 "s;\n"
                   "                add_header Cache-Control public;\n",
                   seconds);
    else if (!(own & OWN_CACHE))
        buf_printf(out,
                   "                add_header Cache-Control \"public, "
                   "max-age=%" PRId64 "\";\n",
                   seconds);
    if (own & OWN_ETAG)
        buf_add_str(out, "                etag off;\n");
    if (h->mime_type && !(own & OWN_TYPE))
        add_type(out, h->mime_type);
}

/* Whether `upload` is what gcloud writes for a static_dir, and says nothing
 * that the path does not. */
static bool is_whole_dir(const struct handler *h)
{
    size_t n = strlen(h->path);

    return !h->upload || (n > 3 && strcmp(h->path + n - 3, "/\\1") == 0 &&
                          strncmp(h->upload, h->path, n - 2) == 0 &&
                          (strcmp(h->upload + n - 2, "(.*)") == 0 ||
                           strcmp(h->upload + n - 2, ".*") == 0));
}

/*
 * The file, and whether there may be one: not with empty entries in its name,
 * nor one that `upload` leaves out.  The variable is made first, of what the
 * location's pattern has captured: the next pattern forgets it.
 */
static void add_file(struct buf *out, const struct handler *h,
                     const char *otherwise)
{
    struct arena a = ARENA_INIT;

    buf_add_str(out, "                set $appscale_file ");
    add_file_template(out, h->path);
    buf_add_str(out, ";\n                if ($appscale_file ");
    if (is_whole_dir(h)) {
        buf_add_str(out, "~ //");
    } else {
        buf_add_str(out, "!~ ");
        nginx_quoted(out, arena_printf(&a, "^(?!.*//)/(?:%s)\\z", h->upload),
                     false);
    }
    buf_printf(out, ") {\n                    %s;\n                }\n",
               otherwise);
    arena_release(&a);
}

/*
 * nginx serves GET and HEAD; any other method comes again as a GET.  With
 * require_matching_file the search goes on behind handler `i` when there is no
 * file: the number in front of the path says so.
 */
static void add_static(const struct control *ctl, struct buf *out,
                       const struct version *v, size_t i)
{
    const struct handler *h = &v->handlers[i];

    nginx_access_log(ctl, out, "file");
    if (h->login == LOGIN_OPTIONAL)
        buf_add_str(out, "                auth_request off;\n");
    if (h->require_file) {
        add_file(out, h, "set $appscale_file /");
        buf_printf(out,
                   "                if (!-f $document_root$appscale_file) {\n"
                   "                    rewrite ^ "
                   "/.$appscale_version:%zu$appscale_path last;\n"
                   "                }\n",
                   i);
    } else {
        add_file(out, h, "return 404");
    }
    add_static_headers(out, v, h);
    buf_add_str(out, "                error_page 404 = @missing;\n"
                     "                error_page 405 = "
                     "/.$appscale_version:$appscale_path;\n"
                     "                try_files $appscale_file =404;\n");
}

/* ---- a handler ---- */

/*
 * "^/.P/S/V:PATTERN\z".  Between the colon and the path stands the number of
 * the last handler that had no file for it, or nothing: handlers behind that
 * one may match, too.
 */
static void add_pattern(struct buf *out, const struct version *v, size_t i)
{
    struct arena a = ARENA_INIT;
    struct buf passed = BUF_IN(&a);

    for (size_t k = 0; k < i; k++)
        if (v->handlers[k].path && v->handlers[k].require_file)
            buf_printf(&passed, "%s%zu", passed.n ? "|" : "(?:", k);
    if (passed.n)
        buf_add_str(&passed, ")?");
    nginx_quoted(out,
                 arena_printf(&a, "^/\\.%s:%s(?=/)(?:%s)\\z",
                              nginx_version_name(&a, v), buf_cstr(&passed),
                              v->handlers[i].url),
                 false);
    arena_release(&a);
}

/* To the other scheme: https gets the query, http does not (as Google). */
static void add_secure(const struct control *ctl, struct buf *out,
                       const struct handler *h)
{
    struct arena a = ARENA_INIT;
    int64_t https = nginx_tls_port(ctl), http = ctl->settings.http_port;

    if (https == 0)
        return;
    if (h->secure == SECURE_ALWAYS)
        buf_printf(
            out,
            "                if ($scheme = http) {\n"
            "                    return %d https://$host%s$request_uri;\n"
            "                }\n",
            h->redirect_code,
            https == 443 ? "" : arena_printf(&a, ":%d", (int)https));
    if (h->secure == SECURE_NEVER)
        buf_printf(
            out,
            "                if ($scheme = https) {\n"
            "                    return %d http://$host%s$appscale_raw;\n"
            "                }\n",
            h->redirect_code,
            http == 80 ? "" : arena_printf(&a, ":%d", (int)http));
    arena_release(&a);
}

static void add_handler(const struct control *ctl, struct buf *out,
                        const struct version *v, size_t i)
{
    const struct handler *h = &v->handlers[i];

    buf_add_str(out, "            location ~ ");
    add_pattern(out, v, i);
    buf_add_str(out, " {\n");
    add_secure(ctl, out, h);
    nginx_login(out, v, h);
    if (h->path)
        add_static(ctl, out, v, i);
    else
        buf_add_str(out, "                proxy_pass "
                         "http://edge$request_uri;\n");
    buf_add_str(out, "            }\n");
}

/* A warmup request from outside is an administrator's, where no handler says
 * otherwise. */
static void add_warmup(struct buf *out, const struct version *v)
{
    static const struct handler warmup = {.login = LOGIN_ADMIN};
    struct arena a = ARENA_INIT;

    if (!instance_wants_warmup(v))
        return;
    buf_add_str(out, "            location ~ ");
    nginx_quoted(out,
                 arena_printf(&a, "^/\\.%s:[0-9]*/_ah/warmup\\z",
                              nginx_version_name(&a, v)),
                 false);
    buf_add_str(out, " {\n");
    nginx_login(out, v, &warmup);
    buf_add_str(out, "                proxy_pass http://edge$request_uri;\n"
                     "            }\n");
    arena_release(&a);
}

/* What no handler wants goes to the application, as runtimes of the second
 * generation have it. */
static void add_handlers(const struct control *ctl, struct buf *out,
                         const struct version *v)
{
    struct arena a = ARENA_INIT;

    buf_add_str(out, "            root ");
    nginx_quoted(
        out,
        arena_printf(&a, "%s/app",
                     instance_dir((struct control *)(uintptr_t)ctl, &a, v)),
        true);
    buf_add_str(out, ";\n"
                     "            disable_symlinks on "
                     "from=$document_root;\n"
                     "            proxy_pass http://edge$request_uri;\n");
    /* haproxy, which knows the limit, gives up before. */
    buf_printf(out, "            proxy_read_timeout %" PRId64 "s;\n",
               routing_seconds(ctl, v) + 4 * ctl->settings.start_seconds);
    nginx_errors(out, v);
    for (size_t i = 0; i < v->n_handlers; i++)
        add_handler(ctl, out, v, i);
    add_warmup(out, v);
    arena_release(&a);
}

void nginx_version(const struct control *ctl, struct buf *out,
                   const struct version *v)
{
    struct arena a = ARENA_INIT;

    buf_printf(out, "        location ^~ /.%s: {\n", nginx_version_name(&a, v));
    if (v->stopped)
        nginx_asleep(out);
    else
        add_handlers(ctl, out, v);
    buf_add_str(out, "        }\n");
    arena_release(&a);
}
