/*
 * admin_queues - the part of the API about task queues: deploying a queue.yaml.
 * The server checks it and does the work.
 */
#include "control/admin.h"
#include "control/server_call.h"
#include "platform.pb.h"

static void on_set(struct ctx *ctx, int rc, const void *out, void *arg)
{
    if (rc)
        admin_fail(arg, ctx, rc);
    else
        admin_reply(arg, json_object());
}

static int queues_set(struct admin_call *c)
{
    const char *yaml = json_string_value(json_object_get(c->body, "queueYaml"));
    struct platform_SetQueuesRequest *m;
    struct app *a;
    int rc = admin_find_app(c, &a);

    if (rc == 0 && !yaml)
        rc = ctx_err(&c->ctx, ERR_INVALID, "queueYaml is missing");
    if (rc)
        return rc;
    m = platform_SetQueuesRequest_new(&c->ctx);
    platform_SetQueuesRequest_set_app(m, bytes_str(a->id));
    platform_SetQueuesRequest_set_queue_yaml(m, bytes_str(yaml));
    server_call(&c->ctx, c->ctl,
                &(struct server_call){.method = "SetQueues",
                                      .in = WIRE_platform_SetQueuesRequest,
                                      .out = WIRE_platform_Void,
                                      .message = m,
                                      .fn = on_set,
                                      .arg = c});
    return 0;
}

const struct admin_route admin_queue_routes[] = {
    {"PUT", "/v1/apps/*/queues", queues_set},
    {.path = NULL},
};
