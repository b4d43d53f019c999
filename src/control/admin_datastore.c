/*
 * admin_datastore - the part of the API that looks after the data of
 * applications.  The server does the work; here it is asked.
 */
#include "control/admin_datastore.h"

#include "base/log.h"
#include "control/server_call.h"
#include "platform.pb.h"

#include <stdlib.h>

/* ---- read-only mode ---- */

/* What status shows: asked for at the start, after each change, and now and
 * then, should another machine have changed it. */
static void on_mode(struct ctx *ctx, int rc, const void *out, void *arg)
{
    struct control *ctl = arg;
    json_t *apps;
    size_t n;

    if (rc) {
        log_warn(ctx, "control.read_only_unknown", "why",
                 ctx_err_text(ctx, rc));
        return;
    }
    apps = json_array();
    n = platform_GetReadOnlyResponse_n_app(out);
    for (size_t i = 0; i < n; i++) {
        struct bytes app = platform_GetReadOnlyResponse_app(out, i);

        json_array_append_new(apps, json_stringn(app.p, app.n));
    }
    json_decref(ctl->read_only);
    ctl->read_only =
        json_pack("{s:b, s:o}", "all", platform_GetReadOnlyResponse_all(out),
                  "apps", apps);
}

void admin_datastore_mode(struct ctx *ctx, struct control *ctl)
{
    server_call(ctx, ctl,
                &(struct server_call){.method = "GetReadOnly",
                                      .in = WIRE_platform_Void,
                                      .out = WIRE_platform_GetReadOnlyResponse,
                                      .message = platform_Void_new(ctx),
                                      .fn = on_mode,
                                      .arg = ctl});
}

static void on_mode_then_reply(struct ctx *ctx, int rc, const void *out,
                               void *arg)
{
    struct admin_call *c = arg;

    on_mode(ctx, rc, out, c->ctl);
    if (rc)
        admin_fail(c, ctx, rc);
    else
        admin_reply(c, json_incref(c->ctl->read_only));
}

static void on_mode_set(struct ctx *ctx, int rc, const void *out, void *arg)
{
    struct admin_call *c = arg;

    (void)out;
    if (rc) {
        admin_fail(c, ctx, rc);
        return;
    }
    server_call(ctx, c->ctl,
                &(struct server_call){.method = "GetReadOnly",
                                      .in = WIRE_platform_Void,
                                      .out = WIRE_platform_GetReadOnlyResponse,
                                      .message = platform_Void_new(ctx),
                                      .fn = on_mode_then_reply,
                                      .arg = c});
}

static int set_mode(struct admin_call *c, const char *app)
{
    const json_t *on = json_object_get(c->body, "readOnly");
    struct platform_SetReadOnlyRequest *m;

    if (!json_is_boolean(on))
        return ctx_err(&c->ctx, ERR_INVALID,
                       "readOnly is missing: true or false");
    m = platform_SetReadOnlyRequest_new(&c->ctx);
    if (app)
        platform_SetReadOnlyRequest_set_app(m, bytes_str(app));
    platform_SetReadOnlyRequest_set_on(m, json_is_true(on));
    server_call(&c->ctx, c->ctl,
                &(struct server_call){.method = "SetReadOnly",
                                      .in = WIRE_platform_SetReadOnlyRequest,
                                      .out = WIRE_platform_Void,
                                      .message = m,
                                      .fn = on_mode_set,
                                      .arg = c});
    return 0;
}

static int mode_all(struct admin_call *c)
{
    return set_mode(c, NULL);
}

/* An app that is not deployed may have data all the same. */
static int mode_app(struct admin_call *c)
{
    int rc = model_check_project(&c->ctx, c->words[0]);

    return rc ? rc : set_mode(c, c->words[0]);
}

#define ALL "/v1/platform/datastore"
#define APP "/v1/apps/*/datastore"

const struct admin_route admin_datastore_routes[] = {
    {"PATCH", ALL, mode_all},
    {"PATCH", APP, mode_app},
    {.path = NULL},
};
