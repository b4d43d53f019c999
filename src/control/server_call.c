/* server_call - envelopes to appscale-server, sent again while it restarts. */
#include "control/server_call.h"

#include "base/log.h"
#include "control/control_int.h"
#include "platform.pb.h"
#include "remote_api.pb.h"

#include <stdlib.h>

enum {
    CALL_PATIENCE = 20 * 1000 * 1000, /* microseconds, all tries together */
    CALL_AGAIN_MS = 100,
};

struct pending {
    struct control *ctl;
    struct server_call call;
    struct buf envelope;
    int64_t give_up; /* clock_mono() */
    uv_timer_t timer;
};

static void pending_send(struct pending *p);

static void pending_free(uv_handle_t *h)
{
    struct pending *p = h->data;

    buf_release(&p->envelope);
    free(p);
}

static void pending_end(struct pending *p, struct ctx *ctx, int rc,
                        const void *out)
{
    p->call.fn(ctx, rc, out, p->call.arg);
    uv_close((uv_handle_t *)&p->timer, pending_free);
}

/*
 * An application error of the platform service is our own code without its
 * sign; an rpc error is a story of its own.
 */
static int read_envelope(struct ctx *ctx, const struct pending *p,
                         struct bytes body, const void **out)
{
    const struct remote_api_Response *r = remote_api_Response_decode(ctx, body);

    if (!r)
        return ERR_INVALID;
    if (remote_api_Response_has_rpc_error(r)) {
        const struct remote_api_RpcError *e = remote_api_Response_rpc_error(r);

        return ctx_err(ctx, ERR_INTERNAL,
                       "the server answers %s: rpc error "
                       "%d, %.*s",
                       p->call.method, (int)remote_api_RpcError_code(e),
                       BYTES_FMT(remote_api_RpcError_detail(e)));
    }
    if (remote_api_Response_has_application_error(r)) {
        const struct remote_api_ApplicationError *e =
            remote_api_Response_application_error(r);
        int code = -remote_api_ApplicationError_code(e);

        if (strcmp(err_name(code), "OK") == 0)
            code = ERR_INTERNAL;
        return ctx_err(ctx, code, "%.*s",
                       BYTES_FMT(remote_api_ApplicationError_detail(e)));
    }
    *out = wire_decode(ctx, p->call.out, remote_api_Response_response(r));
    return *out ? 0 : ERR_INVALID;
}

static void again_due(uv_timer_t *t)
{
    pending_send(t->data);
}

static void on_answer(const struct http_client_response *res, void *arg)
{
    struct pending *p = arg;
    struct arena a = ARENA_INIT;
    const void *out = NULL;
    struct ctx ctx;
    int rc;

    if (res->err == ERR_UNAVAILABLE && clock_mono() < p->give_up &&
        !p->ctl->stopping) {
        uv_timer_start(&p->timer, again_due, CALL_AGAIN_MS, 0);
        return;
    }
    ctx_init(&ctx, &a);
    if (res->err)
        rc = ctx_err(&ctx, res->err, "appscale-server does not answer: %s",
                     res->message);
    else if (res->status != 200)
        rc =
            ctx_err(&ctx, ERR_UNAVAILABLE,
                    "appscale-server answers with HTTP status %d", res->status);
    else
        rc = read_envelope(&ctx, p, res->body, &out);
    pending_end(p, &ctx, rc, out);
    arena_release(&a);
}

static void pending_send(struct pending *p)
{
    static const struct http_header headers[] = {
        {BYTES_LIT("Content-Type"), BYTES_LIT("application/octet-stream")},
    };
    char url[64];
    struct http_client_request req = {
        .method = "POST",
        .url = url,
        .headers = headers,
        .n_headers = 1,
        .body = buf_view(&p->envelope),
        .timeout = CALL_PATIENCE,
        .response_max = 64 << 20,
    };

    snprintf(url, sizeof(url), "http://127.0.0.1:%d/rpc_http",
             (int)p->ctl->settings.api_port);
    http_client_send(p->ctl->http, &req, on_answer, p);
}

static int make_envelope(struct ctx *ctx, struct pending *p)
{
    struct remote_api_Request *r = remote_api_Request_new(ctx);
    struct bytes inner, whole;
    int rc = wire_encode(ctx, p->call.in, p->call.message, &inner);

    if (rc)
        return rc;
    remote_api_Request_set_service_name(r, BYTES_LIT("platform"));
    remote_api_Request_set_method(r, bytes_str(p->call.method));
    remote_api_Request_set_request(r, inner);
    remote_api_Request_set_request_id(r, bytes_str(p->ctl->ticket));
    rc = remote_api_Request_encode(ctx, r, &whole);
    if (rc == 0)
        buf_add(&p->envelope, whole);
    return rc;
}

void server_call(struct ctx *ctx, struct control *ctl,
                 const struct server_call *call)
{
    struct pending *p = calloc(1, sizeof(*p));
    int rc;

    if (!p)
        abort();
    p->ctl = ctl;
    p->call = *call;
    p->give_up = clock_mono() + CALL_PATIENCE;
    uv_timer_init(&ctl->loop, &p->timer);
    p->timer.data = p;
    rc = make_envelope(ctx, p);
    if (rc)
        BUG("a platform call does not encode: %s", ctx_err_text(ctx, rc));
    p->call.message = NULL;
    pending_send(p);
}

/* ---- the tables ---- */

struct done {
    server_done_fn *fn;
    void *arg;
};

static struct done *done_new(server_done_fn *fn, void *arg)
{
    struct done *d = calloc(1, sizeof(*d));

    if (!d)
        abort();
    *d = (struct done){fn, arg};
    return d;
}

static void on_committed(struct ctx *ctx, int rc, const void *out, void *arg)
{
    struct done *d = arg;

    if (rc == 0 && !platform_CommitResponse_committed(out))
        rc = ctx_err(ctx, ERR_CONFLICT, "changed by someone else meanwhile");
    d->fn(ctx, rc, d->arg);
    free(d);
}

static void on_void(struct ctx *ctx, int rc, const void *out, void *arg)
{
    struct done *d = arg;

    (void)out;
    d->fn(ctx, rc, d->arg);
    free(d);
}

static void set_key(struct platform_Key *k, const struct server_row *row)
{
    platform_Key_set_table(k, bytes_str(row->table));
    platform_Key_set_row(k, bytes_str(row->row));
}

void server_commit(struct ctx *ctx, struct control *ctl,
                   const struct server_row *still, size_t n_still,
                   const struct server_row *rows, size_t n, server_done_fn *fn,
                   void *arg)
{
    struct platform_CommitRequest *m = platform_CommitRequest_new(ctx);

    for (size_t i = 0; i < n_still; i++) {
        struct platform_CommitRequest_Condition *c =
            platform_CommitRequest_add_condition(ctx, m);

        set_key(platform_CommitRequest_Condition_mut_key(ctx, c), &still[i]);
        if (still[i].text)
            platform_CommitRequest_Condition_set_value(
                c, bytes_str(still[i].text));
    }
    for (size_t i = 0; i < n; i++) {
        struct platform_CommitRequest_Write *w =
            platform_CommitRequest_add_write(ctx, m);

        set_key(platform_CommitRequest_Write_mut_key(ctx, w), &rows[i]);
        if (rows[i].text)
            platform_CommitRequest_Write_set_value(w, bytes_str(rows[i].text));
    }
    server_call(ctx, ctl,
                &(struct server_call){
                    .method = "Commit",
                    .in = WIRE_platform_CommitRequest,
                    .out = WIRE_platform_CommitResponse,
                    .message = m,
                    .fn = on_committed,
                    .arg = done_new(fn, arg),
                });
}

void server_write(struct ctx *ctx, struct control *ctl,
                  const struct server_row *rows, size_t n, server_done_fn *fn,
                  void *arg)
{
    server_commit(ctx, ctl, NULL, 0, rows, n, fn, arg);
}

static void add_ticket(struct ctx *ctx, struct platform_SetTicketsRequest *m,
                       const struct version *v)
{
    struct platform_Ticket *t = platform_SetTicketsRequest_add_ticket(ctx, m);

    platform_Ticket_set_token(t, bytes_str(v->token));
    platform_Ticket_set_app(t, bytes_str(v->service->app->id));
    platform_Ticket_set_service(t, bytes_str(v->service->id));
    platform_Ticket_set_version(t, bytes_str(v->id));
}

void server_tickets(struct ctx *ctx, struct control *ctl,
                    const struct version *extra, server_done_fn *fn, void *arg)
{
    struct platform_SetTicketsRequest *m = platform_SetTicketsRequest_new(ctx);

    for (struct app *a = ctl->model.apps; a; a = a->next)
        for (struct service *s = a->services; s; s = s->next)
            for (struct version *v = s->versions; v; v = v->next)
                if (v != extra)
                    add_ticket(ctx, m, v);
    if (extra)
        add_ticket(ctx, m, extra);
    server_call(ctx, ctl,
                &(struct server_call){
                    .method = "SetTickets",
                    .in = WIRE_platform_SetTicketsRequest,
                    .out = WIRE_platform_Void,
                    .message = m,
                    .fn = on_void,
                    .arg = done_new(fn, arg),
                });
}
