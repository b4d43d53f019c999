/*
 * nginx_handlers - one version's location: the handlers of its app.yaml.
 */
#include "control/instance.h"
#include "control/nginx_int.h"

#include <inttypes.h>

/* The folder's files under "static_files" with \1 as $1. */
static void add_file_template(struct buf *out, const char *path)
{
    buf_add_str(out, "\"/");
    for (; *path; path++) {
        if (path[0] == '\\' && path[1] >= '1' && path[1] <= '9')
            buf_printf(out, "$%c", *++path);
        else if (*path == '$')
            buf_add_str(out, "${appscale_dollar}");
        else if (*path == '"' || *path == '\\')
            buf_printf(out, "\\%c", *path);
        else
            buf_add_u8(out, (uint8_t)*path);
    }
    buf_add_str(out, "\"");
}

static void add_static_headers(struct buf *out, const struct version *v,
                               const struct handler *h)
{
    int64_t seconds = h->expiration >= 0 ? h->expiration : v->expiration;
    bool cache = true;
    const char *name;
    const json_t *value;

    json_object_foreach(h->headers, name, value)
    {
        if (!json_is_string(value))
            continue;
        cache = cache && strcasecmp(name, "Cache-Control") != 0 &&
                strcasecmp(name, "Expires") != 0;
        buf_add_str(out, "                add_header ");
        nginx_quoted(out, name, true);
        buf_add_str(out, " ");
        nginx_quoted(out, json_string_value(value), true);
        buf_add_str(out, ";\n");
    }
    if (cache)
        buf_printf(out,
                   "                expires %" PRId64 "s;\n"
                   "                add_header Cache-Control public;\n",
                   seconds);
    if (h->mime_type) {
        buf_add_str(out, "                types {\n                }\n"
                         "                default_type ");
        nginx_quoted(out, h->mime_type, false);
        buf_add_str(out, ";\n");
    }
}

/*
 * A static file.  The variable is made first, of what the location's pattern
 * has captured: the next pattern that nginx looks at forgets it.
 */
static void add_static(struct buf *out, const struct version *v,
                       const struct handler *h)
{
    if (h->login == LOGIN_OPTIONAL)
        buf_add_str(out, "                auth_request off;\n");
    buf_add_str(out, "                set $appscale_file ");
    add_file_template(out, h->path);
    buf_add_str(out, ";\n");
    if (nginx_sticky(v->service->app)) /* headers of its own hide it */
        buf_add_str(out, "                add_header Set-Cookie "
                         "$appscale_cookie;\n");
    add_static_headers(out, v, h);
    buf_add_str(out, "                try_files $appscale_file =404;\n");
}

static void add_handler(struct buf *out, const struct version *v,
                        const struct handler *h)
{
    struct arena a = ARENA_INIT;

    buf_add_str(out, "            location ~ ");
    nginx_quoted(out,
                 arena_printf(&a, "^/\\.%s:(?=/)(?:%s)\\z",
                              nginx_version_name(&a, v), h->url),
                 false);
    buf_add_str(out, " {\n");
    nginx_login(out, h);
    if (h->path)
        add_static(out, v, h);
    else
        buf_add_str(out, "                proxy_pass "
                         "http://edge$request_uri;\n");
    buf_add_str(out, "            }\n");
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
    for (size_t i = 0; i < v->n_handlers; i++)
        add_handler(out, v, &v->handlers[i]);
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
