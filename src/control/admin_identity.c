/*
 * admin_identity - tokens of an application for programs that do not run on the
 * platform (workers of pull queues).  The server makes them.
 */
#include "control/admin.h"
#include "control/operation.h"
#include "control/server_call.h"
#include "platform.pb.h"

static void on_token(struct ctx *ctx, int rc, const void *out, void *arg)
{
    struct admin_call *c = arg;
    struct bytes token;

    if (rc) {
        admin_fail(c, ctx, rc);
        return;
    }
    token = platform_MakeTokenResponse_token(out);
    admin_reply(
        c, json_pack("{s:s%, s:s}", "token", token.p, token.n, "expireTime",
                     operation_time(c->ctx.arena,
                                    platform_MakeTokenResponse_end(out) *
                                        CLOCK_SEC)));
}

/* {"scopes":["S"]} or {"audience":"A"} */
static int make_token(struct admin_call *c)
{
    struct platform_MakeTokenRequest *m =
        platform_MakeTokenRequest_new(&c->ctx);
    const char *audience =
        json_string_value(json_object_get(c->body, "audience"));
    const json_t *scopes = json_object_get(c->body, "scopes"), *one;
    struct app *a;
    size_t i;
    int rc = admin_find_app(c, &a);

    if (rc)
        return rc;
    platform_MakeTokenRequest_set_app(m, bytes_str(a->id));
    if (audience)
        platform_MakeTokenRequest_set_audience(m, bytes_str(audience));
    json_array_foreach((json_t *)(uintptr_t)scopes, i,
                       one) if (json_is_string(one))
        platform_MakeTokenRequest_add_scope(&c->ctx, m,
                                            bytes_str(json_string_value(one)));
    server_call(&c->ctx, c->ctl,
                &(struct server_call){.method = "MakeToken",
                                      .in = WIRE_platform_MakeTokenRequest,
                                      .out = WIRE_platform_MakeTokenResponse,
                                      .message = m,
                                      .fn = on_token,
                                      .arg = c});
    return 0;
}

const struct admin_route admin_identity_routes[] = {
    {"POST", "/v1/apps/*:token", make_token},
    {0},
};
