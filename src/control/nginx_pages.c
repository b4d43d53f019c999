/*
 * nginx_pages - what nginx answers itself, and who may pass.
 *
 * Whoever carries a session cookie is looked up at the server by a subrequest;
 * what nginx learns travels to haproxy in X-Appscale-* headers, which a client
 * cannot set because every one of them is set here or in nginx_conf.c.
 */
#include "control/nginx_int.h"

/*
 * Paths that are the platform's in every app.  Those of the server are passed
 * to it; the others the platform alone may ask an instance for.
 */
static const struct {
    const char *path;
    enum { EXACT, BELOW } what;
    bool server;
} platform_paths[] = {
    {"/_ah/login", EXACT, true},
    {"/_ah/logout", EXACT, true},
    {"/_ah/taskqueue/v1beta2/projects/", BELOW, true},
    {"/_ah/certs/", BELOW, true},
    {"/_ah/start", EXACT, false},
    {"/_ah/stop", EXACT, false},
    {"/_ah/background", EXACT, false},
};

enum { N_PLATFORM_PATHS = sizeof(platform_paths) / sizeof(platform_paths[0]) };

static const char down_page[] =
    "<!doctype html><meta charset=utf-8><title>One moment</title>"
    "<h1>The platform is starting this part again</h1>"
    "<p>Try again in a moment. If it stays like this, appscale status tells "
    "why.</p>";

static const char large_page[] =
    "<!doctype html><meta charset=utf-8><title>Too large</title>"
    "<h1>Upload limited to 32 megabytes.</h1>";

static const char asleep_page[] =
    "<!doctype html><meta charset=utf-8><title>Not serving</title>"
    "<h1>This version is stopped</h1>"
    "<p>appscale versions start makes it serve again.</p>";

static const char nobody_page[] =
    "<!doctype html><meta charset=utf-8><title>Not found</title>"
    "<h1>No version of this application serves this name</h1>";

static const char missing_page[] =
    "<!doctype html><meta charset=utf-8><title>Not found</title>"
    "<h1>There is no such file</h1>";

static const char unauthorized_page[] = "Login required to view page.";

static const char denied_page[] =
    "<!doctype html><meta charset=utf-8><title>Not allowed</title>"
    "<h1>The signed-in user is not authorized to view this page.</h1>";

void nginx_pages_maps(struct buf *out)
{
    buf_add_str(
        out,
        "    map $http_cookie $appscale_auth {\n"
        "        default 0;\n"
        "        \"~*(?:^|; *)appscale_session=\" 1;\n"
        "    }\n"
        "    map $request_uri $appscale_unclean {\n"
        "        default \"\";\n"
        "        \"~*^(?![^?]*%3f)[^?]*/(?:\\.|%2e){1,2}(?:[/?]|\\z)\" 1;\n"
        "    }\n"
        "    map $request_uri $appscale_raw {\n"
        "        \"~^([^?]*)\" $1;\n"
        "    }\n"
        "    map \"\" $appscale_path {\n"
        "        default \"\";\n"
        "    }\n");
}

/*
 * "." and ".." are gone from $uri, and who wrote them is sent there: the
 * pattern takes what it captures escaped to the answer, all but a '?'.
 */
void nginx_prefix(struct buf *out)
{
    buf_add_str(out, "        if ($appscale_unclean) {\n"
                     "            rewrite \"^([\\s\\S]*)\\z\" "
                     "$scheme://$http_host$1 redirect;\n"
                     "        }\n"
                     "        if ($appscale_fresh) {\n"
                     "            set $appscale_fresh \"\";\n"
                     "            set $appscale_path $uri;\n"
                     "            rewrite \"^(?!");
    for (size_t i = 0; i < N_PLATFORM_PATHS; i++)
        buf_printf(out, "%s%s%s", i ? "|" : "", platform_paths[i].path,
                   platform_paths[i].what == EXACT ? "\\\\z" : "");
    buf_add_str(out, ")\" \"/.$appscale_version:$uri\";\n"
                     "        }\n");
}

/* ---- a version's own pages ---- */

static const char default_page[] = "default";

/*
 * When haproxy does not answer: it is being started again, or the instance
 * ended with a request that nobody may send twice.
 */
static void add_down(struct buf *out, const struct version *v)
{
    struct arena a = ARENA_INIT;

    if (v->error_pages[ERROR_PAGE_DEFAULT].path)
        buf_printf(out, "                error_page 502 504 %s;\n",
                   routing_error_path(&a, v, default_page));
    else
        buf_add_str(out, "                error_page 502 504 @down;\n");
    buf_add_str(out, "                error_page 413 @large;\n");
    arena_release(&a);
}

static void add_file_page(struct buf *out, const struct version *v,
                          const char *name, const struct error_page *page)
{
    struct arena a = ARENA_INIT;

    buf_printf(out,
               "            location = %s {\n"
               "                internal;\n"
               "                auth_request off;\n"
               "                types {\n                }\n"
               "                default_type ",
               routing_error_path(&a, v, name));
    nginx_quoted(out, page->mime_type ? page->mime_type : "text/html", true);
    buf_add_str(out, ";\n                try_files ");
    nginx_quoted(out, arena_printf(&a, "/%s", page->path), true);
    buf_add_str(out, " =503;\n            }\n");
    arena_release(&a);
}

/*
 * haproxy sends an error of its own here.  The status is set by an error page
 * of ours, so that what comes of the file keeps it.
 */
static void add_error(struct buf *out, const struct version *v,
                      const struct routing_error *e)
{
    const struct error_page *page = routing_error_page(v, e->kind);
    struct arena a = ARENA_INIT;
    const char *file;

    if (!page)
        return;
    file = arena_printf(&a, "%s-page", e->name);
    buf_printf(out,
               "            location = %s {\n"
               "                internal;\n"
               "                auth_request off;\n"
               "                error_page %d %s;\n"
               "                return %d;\n"
               "            }\n",
               routing_error_path(&a, v, e->name), e->status,
               routing_error_path(&a, v, file), e->status);
    add_file_page(out, v, file, page);
    arena_release(&a);
}

void nginx_errors(struct buf *out, const struct version *v)
{
    const struct error_page *page = &v->error_pages[ERROR_PAGE_DEFAULT];

    add_down(out, v);
    if (page->path)
        add_file_page(out, v, default_page, page);
    for (const struct routing_error *e = routing_errors; e->name; e++)
        add_error(out, v, e);
}

/* ---- who may pass ---- */

/* Without `login`, whoever is signed in is only named. */
void nginx_login(struct buf *out, const struct version *v,
                 const struct handler *h)
{
    static const char *const word[] = {"", "required", "admin"};

    if (h->login != LOGIN_OPTIONAL)
        buf_printf(out,
                   "                auth_request /_appscale_auth_%s;\n"
                   "                error_page 401 = @%s;\n"
                   "                error_page 403 @denied;\n",
                   word[h->login], h->unauthorized ? "unauthorized" : "login");
    /* A location with pages of its own has them all. */
    if (h->login != LOGIN_OPTIONAL || h->path)
        add_down(out, v);
}

/*
 * The lookup of a session at the server: free when there is no cookie of ours.
 * `query` asks the server to refuse (401, 403) who is not signed in enough.
 * Variables are the main request's: the backend is named in the header only.
 */
static void add_auth(struct buf *out, const char *suffix, const char *query,
                     bool cheap)
{
    buf_printf(out,
               "        location = /_appscale_auth%s {\n"
               "            internal;\n"
               "            auth_request off;\n",
               suffix);
    if (cheap)
        buf_add_str(out, "            if ($appscale_auth = 0) {\n"
                         "                return 204;\n"
                         "            }\n");
    buf_printf(out,
               "            proxy_pass_request_body off;\n"
               "            proxy_set_header Content-Length \"\";\n"
               "            proxy_set_header Connection \"\";\n"
               "            proxy_set_header Host $http_host;\n"
               "            proxy_set_header X-Original-Uri $request_uri;\n"
               "            proxy_set_header " ROUTING_BACKEND_HEADER
               " " ROUTING_SERVER_BACKEND ";\n"
               "            proxy_set_header X-Appscale-Request $request_id;\n"
               "            proxy_set_header X-Appscale-Client $remote_addr;\n"
               "            proxy_pass http://edge/_appscale/auth%s;\n"
               "        }\n",
               query);
}

static void add_platform_paths(struct buf *out)
{
    for (size_t i = 0; i < N_PLATFORM_PATHS; i++) {
        buf_printf(out, "        location %s %s {\n",
                   platform_paths[i].what == EXACT ? "=" : "^~",
                   platform_paths[i].path);
        buf_add_str(out, "            auth_request off;\n");
        if (platform_paths[i].server)
            buf_add_str(
                out, "            set $appscale_backend " ROUTING_SERVER_BACKEND
                     ";\n"
                     "            proxy_pass http://edge;\n");
        else
            buf_add_str(out, "            return 404;\n");
        buf_add_str(out, "        }\n");
    }
}

static void add_page(struct buf *out, const char *name, int status,
                     const char *page)
{
    buf_printf(out,
               "        location @%s {\n"
               "            internal;\n"
               "            auth_request off;\n"
               "            types {\n            }\n"
               "            default_type text/html;\n"
               "            add_header Cache-Control no-cache always;\n"
               "            return %d ",
               name, status);
    nginx_quoted(out, page, true);
    buf_add_str(out, ";\n        }\n");
}

void nginx_platform(struct buf *out)
{
    buf_add_str(out, "        auth_request /_appscale_auth;\n"
                     "        auth_request_set $user_email "
                     "$upstream_http_x_appengine_user_email;\n"
                     "        auth_request_set $user_id "
                     "$upstream_http_x_appengine_user_id;\n"
                     "        auth_request_set $user_nickname "
                     "$upstream_http_x_appengine_user_nickname;\n"
                     "        auth_request_set $login_url "
                     "$upstream_http_x_appscale_login_url;\n"
                     "        auth_request_set $user_admin "
                     "$upstream_http_x_appengine_user_is_admin;\n"
                     "        error_page 502 504 @down;\n"
                     "        error_page 413 @large;\n");
    add_auth(out, "", "", true);
    add_auth(out, "_required", "?login=required", false);
    add_auth(out, "_admin", "?login=admin", false);
    add_platform_paths(out);
    add_page(out, "down", 503, down_page);
    add_page(out, "large", 413, large_page);
    add_page(out, "denied", 403, denied_page);
    add_page(out, "unauthorized", 401, unauthorized_page);
    buf_add_str(out, "        location @login {\n"
                     "            internal;\n"
                     "            auth_request off;\n"
                     "            return 302 $login_url;\n"
                     "        }\n"
                     "        location @missing {\n"
                     "            internal;\n"
                     "            auth_request off;\n"
                     "            types {\n            }\n"
                     "            default_type text/html;\n"
                     "            if ($http_if_match) {\n"
                     "                return 412;\n"
                     "            }\n"
                     "            return 404 ");
    nginx_quoted(out, missing_page, true);
    buf_add_str(out, ";\n"
                     "        }\n"
                     "        location / {\n"
                     "            auth_request off;\n"
                     "            types {\n            }\n"
                     "            default_type text/html;\n"
                     "            return 404 ");
    nginx_quoted(out, nobody_page, true);
    buf_add_str(out, ";\n        }\n");
}

void nginx_asleep(struct buf *out)
{
    buf_add_str(out, "            auth_request off;\n"
                     "            types {\n            }\n"
                     "            default_type text/html;\n"
                     "            return 503 ");
    nginx_quoted(out, asleep_page, true);
    buf_add_str(out, ";\n");
}
