/*
 * background - the requests for /_ah/background.
 *
 * Through haproxy's frontend for what the platform itself sends, to the
 * backend and the instance that the caller is.  One that nobody took (haproxy
 * is being started again) is sent again; what happens to one that an instance
 * has is the instance's affair.
 */
#include "service/system/system_int.h"

#include "base/log.h"
#include "service/platform/platform.h"

#include <sodium.h>
#include <stdlib.h>

enum { AGAIN_MS = 500, TRIES = 60 };

#define ADDRESS "0.1.0.3" /* whom the SDKs believe (wire contract 3.2) */

/* ---- the list ---- */

static void link_in(struct background *b)
{
    b->prev = &b->sys->running;
    b->next = *b->prev;
    if (b->next)
        b->next->prev = &b->next;
    *b->prev = b;
    b->sys->n_running++;
}

static void finish(struct background *b)
{
    lock_take(&b->sys->lock);
    *b->prev = b->next;
    if (b->next)
        b->next->prev = b->prev;
    b->sys->n_running--;
    lock_drop(&b->sys->lock);
    buf_release(&b->request);
    free(b);
}

static bool is_full(const struct background *b)
{
    const struct system *sys = b->sys;
    int of_instance = 0;

    for (const struct background *o = sys->running; o; o = o->next)
        of_instance += o->leader == b->leader && o->start == b->start;
    return sys->n_running >= SYSTEM_BACKGROUND_MAX ||
           of_instance >= SYSTEM_BACKGROUND_INSTANCE;
}

/* ---- on the loop ---- */

static void send_it(struct background *b);

static void on_again_closed(uv_handle_t *h)
{
    struct background *b = h->data;

    if (b->sys->poster)
        send_it(b);
    else
        finish(b); /* the server stops */
}

static void on_again(uv_timer_t *t)
{
    uv_close((uv_handle_t *)t, on_again_closed);
}

static void on_result(const struct http_poster_result *res, void *arg)
{
    struct background *b = arg;

    if (res->err == ERR_UNAVAILABLE && !res->sent && ++b->tries < TRIES) {
        uv_timer_init(&b->sys->loop, &b->again);
        b->again.data = b;
        uv_timer_start(&b->again, on_again, AGAIN_MS, 0);
        return;
    }
    if (res->err != ERR_CANCELLED && (res->err || res->status != 200))
        log_warn(NULL, "system.background", "status", log_int(res->status),
                 "reason", res->err ? res->message : "-", "next",
                 "it is not sent again");
    finish(b);
}

/* The poster takes the bytes; those for the next try are a copy. */
static void send_it(struct background *b)
{
    struct buf copy = BUF_HEAP;

    buf_add(&copy, buf_view(&b->request));
    http_poster_send(b->sys->poster, copy, false,
                     SYSTEM_BACKGROUND_SECONDS * CLOCK_SEC, on_result, b);
}

static void run(struct system *sys, struct system_work *w)
{
    struct background *b = (struct background *)w;

    if (sys->poster)
        send_it(b);
    else
        finish(b);
}

void background_stop(struct system *sys)
{
    struct background *b;

    lock_take(&sys->lock);
    b = sys->running;
    lock_drop(&sys->lock);
    for (; b; b = b->next)
        if (b->again.data && uv_is_active((uv_handle_t *)&b->again))
            on_again(&b->again);
}

/* ---- the request ---- */

static void write_request(struct ctx *ctx, const struct system *sys,
                          const struct caller *who, const char *id,
                          struct buf *out)
{
    buf_printf(out,
               "GET /_ah/background HTTP/1.1\r\n"
               "User-Agent: AppEngine-Google; "
               "(+http://code.google.com/appengine)\r\n"
               "X-AppEngine-BackgroundRequest: %s\r\n",
               id);
    if (sys->app_host) {
        buf_printf(out,
                   "Host: %s\r\n"
                   "X-Appengine-User-Ip: " ADDRESS "\r\n"
                   "X-Appengine-Auth-Domain: gmail.com\r\n"
                   "X-Appengine-Api-Ticket: background.%s\r\n"
                   "X-Appengine-Request-Log-Id: %s\r\n"
                   "X-Appengine-Default-Version-Hostname: %s\r\n"
                   "X-Cloud-Trace-Context: %s/1;o=1\r\n\r\n",
                   sys->app_host, id, id, sys->app_host, id);
        return;
    }
    buf_printf(out,
               "Host: %d.%.*s.%.*s.%.*s.%s\r\n"
               "X-Appscale-Backend: %.*s\r\n"
               "X-Appscale-Instance: %d\r\n"
               "X-Appscale-Request: %s\r\n"
               "X-Appscale-Client: " ADDRESS "\r\n"
               "X-Appscale-Timeout: %d000\r\n\r\n",
               who->index, BYTES_FMT(ctx->version), BYTES_FMT(ctx->service),
               BYTES_FMT(ctx->app), sys->o.domain, BYTES_FMT(who->version),
               who->index, id, SYSTEM_BACKGROUND_SECONDS);
}

static int begin(struct ctx *ctx, const struct caller *who, const char *id)
{
    struct system *sys = ctx->env->system;
    struct background *b = calloc(1, sizeof(*b));
    bool full;

    if (!b)
        die("out of memory for a background request");
    *b = (struct background){.work.run = run,
                             .sys = sys,
                             .leader = who->leader,
                             .start = who->start,
                             .request = BUF_HEAP};
    write_request(ctx, sys, who, id, &b->request);
    lock_take(&sys->lock);
    full = is_full(b) || !system_post(sys, &b->work);
    if (!full)
        link_in(b);
    lock_drop(&sys->lock);
    if (!full)
        return 0;
    buf_release(&b->request);
    free(b);
    return ctx_app_err(ctx, ERR_EXHAUSTED,
                       system_SystemServiceError_LIMIT_REACHED,
                       "an instance has at most %d background threads, and "
                       "all together %d",
                       SYSTEM_BACKGROUND_INSTANCE, SYSTEM_BACKGROUND_MAX);
}

/* ---- who may ---- */

static int refuse(struct ctx *ctx, const char *why)
{
    return ctx_app_err(ctx, ERR_INVALID,
                       system_SystemServiceError_BACKEND_REQUIRED, "%s", why);
}

static int check_scaling(struct ctx *ctx)
{
    const struct platform_service *s;
    const struct platform_version *v;
    struct platform_app *a;
    int rc = platform_app_read(ctx, ctx->env->platform, ctx->app, &a);

    if (rc && rc != ERR_NOT_FOUND)
        return rc;
    s = rc ? NULL : platform_service_find(a, ctx->service);
    v = s ? platform_version_find(s, ctx->version) : NULL;
    if (v && v->scaling != PLATFORM_AUTOMATIC)
        return 0;
    return refuse(ctx, "background threads need manual or basic scaling");
}

static int find_instance(struct ctx *ctx, struct caller *who)
{
    const struct system *sys = ctx->env->system;
    int rc;

    if (sys->app_host) /* there is just the one */
        return 0;
    if (!sys->sends)
        return refuse(ctx, "this server does not know where the app listens "
                           "(the emulator: --app-url)");
    rc = check_scaling(ctx);
    if (rc == 0 && caller_find(ctx, false, who) != 0)
        rc = refuse(ctx, "the instance that asks is not found among the "
                         "processes of this machine");
    return rc;
}

int system_start_background(
    struct ctx *ctx, const struct system_StartBackgroundRequestRequest *in,
    struct system_StartBackgroundRequestResponse *out)
{
    struct caller who = {0};
    unsigned char random[16];
    char *id = arena_alloc(ctx->arena, 2 * sizeof(random) + 1);
    int rc = find_instance(ctx, &who);

    (void)in;
    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(id, 2 * sizeof(random) + 1, random, sizeof(random));
    if (rc == 0)
        rc = begin(ctx, &who, id);
    if (rc == 0)
        system_StartBackgroundRequestResponse_set_request_id(out,
                                                             bytes_str(id));
    return rc;
}
