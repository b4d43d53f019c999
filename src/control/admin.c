/* admin - the inbox, the router, the answers. */
#include "control/admin.h"

#include "base/locks.h"
#include "base/log.h"
#include "control/archive.h"
#include "control/join.h"
#include "control/text.h"

#include <stdlib.h>
#include <unistd.h>

struct admin {
    struct control *ctl;
    struct http_server *http;
    uv_async_t wake;
    struct lock lock;
    struct http_exchange *first, **end; /* the inbox, chained by user */
};

static const struct admin_route *const route_tables[] = {
    admin_app_routes,    admin_service_routes,  admin_cron_routes,
    admin_domain_routes, admin_index_routes,    admin_identity_routes,
    admin_queue_routes,  admin_platform_routes, admin_datastore_routes,
    admin_log_routes,    admin_join_routes,     NULL};

/* ---- answers ---- */

static void call_free(struct admin_call *c)
{
    json_decref(c->body);
    free(c);
}

static void send_text(struct admin_call *c, int status, const char *text)
{
    struct http_exchange *x = c->x;

    http_text(&x->arena, &x->res, status, "application/json",
              bytes_str(arena_strdup(&x->arena, text)));
    http_reply(x);
    call_free(c);
}

static void send_json(struct admin_call *c, int status, json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT);

    json_decref(o);
    send_text(c, status, text);
    free(text);
}

void admin_reply(struct admin_call *c, json_t *o)
{
    send_json(c, 200, o);
}

void admin_reply_text(struct admin_call *c, const char *json)
{
    send_text(c, 200, json);
}

void admin_fail(struct admin_call *c, const struct ctx *ctx, int rc)
{
    int status = err_http_status(rc);

    send_json(c, status,
              json_pack("{s:{s:i, s:s, s:o}}", "error", "code", status,
                        "status", err_name(rc), "message",
                        text_json(ctx_err_text(ctx, rc))));
}

const char *admin_param(struct admin_call *c, const char *name,
                        const char *none)
{
    struct bytes v = http_param(c->ctx.arena, c->x->req.query, name);

    return v.p ? arena_cstr(c->ctx.arena, v) : none;
}

int admin_number(struct admin_call *c, const char *name, int64_t none,
                 int64_t min, int64_t max, int64_t *out)
{
    const char *v = admin_param(c, name, NULL);
    char *end;

    *out = none;
    if (!v)
        return 0;
    *out = strtoll(v, &end, 10);
    if (*v && !*end && *out >= min && *out <= max)
        return 0;
    return ctx_err(&c->ctx, ERR_INVALID,
                   "%s is \"%s\", and must be a number from %lld to %lld", name,
                   v, (long long)min, (long long)max);
}

/* ---- the router ---- */

/* Match "/v1/apps/x" against "/v1/apps/" with a star for a word; a ':' ends a
 * word, as in ".../queues/q:pause" (inside of one it comes as %3A). */
static bool path_matches(struct admin_call *c, const char *pattern)
{
    struct bytes path = c->x->req.path;
    const char *p = path.p, *end = p + path.n;
    size_t n = 0;

    for (; *pattern; pattern++) {
        const char *from = p;

        if (*pattern != '*') {
            if (p == end || *p++ != *pattern)
                return false;
            continue;
        }
        while (p < end && *p != '/' && *p != ':')
            p++;
        c->words[n++] =
            arena_cstr(c->ctx.arena,
                       http_unescape(c->ctx.arena,
                                     BYTES(from, (size_t)(p - from)), false));
        if (p == from)
            return false;
    }
    return p == end;
}

static admin_fn *find_route(struct admin_call *c, bool *path_known)
{
    for (const struct admin_route *const *t = route_tables; *t; t++)
        for (const struct admin_route *r = *t; r->path; r++) {
            if (!path_matches(c, r->path))
                continue;
            *path_known = true;
            if (bytes_eq_str(c->x->req.method, r->method))
                return r->fn;
        }
    return NULL;
}

/* Bodies are JSON, except the pieces of an archive. */
static int parse_body(struct admin_call *c)
{
    struct bytes body = c->x->req.body;
    struct bytes uploads = BYTES_LIT("/v1/uploads/");
    json_error_t why;

    if (body.n == 0 || bytes_starts(c->x->req.path, uploads))
        return 0;
    c->body = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, &why);
    if (!c->body)
        return ctx_err(&c->ctx, ERR_INVALID, "the body, line %d: %s", why.line,
                       why.text);
    return 0;
}

static void serve(struct control *ctl, struct http_exchange *x)
{
    struct admin_call *c = calloc(1, sizeof(*c));
    bool path_known = false;
    admin_fn *fn;
    int rc;

    if (!c)
        abort();
    c->ctl = ctl;
    c->x = x;
    ctx_init(&c->ctx, &x->arena);
    fn = find_route(c, &path_known);
    if (!fn)
        rc = ctx_err(&c->ctx, path_known ? ERR_INVALID : ERR_NOT_FOUND,
                     "the Admin API has no %.*s %.*s", BYTES_FMT(x->req.method),
                     BYTES_FMT(x->req.path));
    else
        rc = parse_body(c);
    if (rc == 0)
        rc = fn(c);
    if (rc)
        admin_fail(c, &c->ctx, rc);
}

/* ---- from the server's thread to the loop ---- */

static void on_request(struct http_exchange *x, void *arg)
{
    struct admin *a = arg;

    x->user = NULL;
    lock_take(&a->lock);
    *a->end = x;
    a->end = (struct http_exchange **)&x->user;
    lock_drop(&a->lock);
    uv_async_send(&a->wake);
}

static void on_wake(uv_async_t *h)
{
    struct admin *a = h->data;
    struct http_exchange *x, *next;

    lock_take(&a->lock);
    x = a->first;
    a->first = NULL;
    a->end = &a->first;
    lock_drop(&a->lock);
    for (; x; x = next) {
        next = x->user;
        serve(a->ctl, x);
    }
}

int admin_start(struct ctx *ctx, struct control *ctl)
{
    struct admin *a = calloc(1, sizeof(*a));
    struct http_server_options o = {
        .unix_path = control_path(ctl, &ctl->arena, "run/controller.sock"),
        .loops = 1,
        .body_max = ARCHIVE_PIECE_MAX + 4096,
        .header_max = 16 * 1024,
        .conns_max = 256,
        .idle_timeout = 60 * CLOCK_SEC,
        .request_timeout = 60 * CLOCK_SEC,
        .on_request = on_request,
        .arg = a,
    };

    if (!a)
        abort();
    a->ctl = ctl;
    a->end = &a->first;
    lock_init(&a->lock, LOCK_CONTROL_INBOX);
    uv_async_init(&ctl->loop, &a->wake, on_wake);
    a->wake.data = a;
    ctl->admin = a;
    unlink(o.unix_path); /* of a dead controller: the lock is ours */
    return http_server_start(ctx, &o, &a->http);
}

static void admin_closed(uv_handle_t *h)
{
    struct admin *a = h->data;

    lock_release(&a->lock);
    free(a);
}

void admin_stop(struct control *ctl)
{
    struct admin *a = ctl->admin;
    struct arena tmp = ARENA_INIT;

    if (!a)
        return;
    if (a->http)
        http_server_stop(a->http, CLOCK_SEC);
    unlink(control_path(ctl, &tmp, "run/controller.sock"));
    arena_release(&tmp);
    uv_close((uv_handle_t *)&a->wake, admin_closed);
    ctl->admin = NULL;
}
