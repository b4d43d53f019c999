/* http_call - a loop that lives as long as one request. */
#include "net/http_call.h"

struct waiting {
    struct ctx *ctx;
    struct http_call_answer *out;
    int rc;
};

static void on_answer(const struct http_client_response *res, void *arg)
{
    struct waiting *w = arg;

    if (res->err) {
        w->rc = ctx_err(w->ctx, (enum err_code)res->err, "%s", res->message);
        return;
    }
    w->out->status = res->status;
    w->out->body = arena_dup(w->ctx->arena, res->body);
}

int http_call(struct ctx *ctx, const struct http_client_request *req,
              struct http_call_answer *out)
{
    struct http_client_request bounded = *req;
    struct waiting w = {.ctx = ctx, .out = out};
    struct http_client *client;
    int64_t left = ctx_left(ctx);
    uv_loop_t loop;

    if (left <= 0)
        return ERR_DEADLINE;
    if (bounded.timeout == 0 || bounded.timeout > left)
        bounded.timeout = left;
    if (uv_loop_init(&loop) != 0)
        return ctx_err(ctx, ERR_INTERNAL, "no event loop for a request");
    client = http_client_new(&loop);
    http_client_send(client, &bounded, on_answer, &w);
    uv_run(&loop, UV_RUN_DEFAULT); /* ends with the request */
    http_client_free(client);
    uv_run(&loop, UV_RUN_DEFAULT); /* closes what was left */
    uv_loop_close(&loop);
    return w.rc;
}
