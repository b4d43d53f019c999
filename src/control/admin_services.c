/*
 * admin_services - services, versions and instances, in Google's shape.
 */
#include "control/admin.h"

#include "control/deploy.h"
#include "control/instance.h"
#include "control/proc.h"
#include "control/scale.h"

#include <inttypes.h>

/* ---- finding ---- */

static int find_service(struct admin_call *c, struct service **out)
{
    struct app *a;
    int rc = admin_find_app(c, &a);

    if (rc)
        return rc;
    *out = model_service(a, c->words[1]);
    if (*out)
        return 0;
    return ctx_err(&c->ctx, ERR_NOT_FOUND, "%s has no service \"%s\"",
                   c->words[0], c->words[1]);
}

static int find_version(struct admin_call *c, struct version **out)
{
    struct service *s;
    int rc = find_service(c, &s);

    if (rc)
        return rc;
    *out = model_version(s, c->words[2]);
    if (*out)
        return 0;
    return ctx_err(&c->ctx, ERR_NOT_FOUND, "%s of %s has no version \"%s\"",
                   c->words[1], c->words[0], c->words[2]);
}

static int remove_what(struct admin_call *c, struct undeploy u)
{
    struct operation *op = NULL;
    int rc = undeploy(&c->ctx, c->ctl, &u, &op);

    return admin_reply_operation(c, rc, op);
}

/* ---- services ---- */

static json_t *service_json(struct admin_call *c, const struct service *s)
{
    json_t *o = json_copy(s->doc);

    json_object_set_new(
        o, "name",
        json_string(arena_printf(c->ctx.arena, "apps/%s/services/%s",
                                 s->app->id, s->id)));
    return o;
}

static int services_list(struct admin_call *c)
{
    json_t *list = json_array();
    struct app *a;
    int rc = admin_find_app(c, &a);

    for (struct service *s = rc ? NULL : a->services; s; s = s->next)
        json_array_append_new(list, service_json(c, s));
    if (rc)
        json_decref(list);
    else
        admin_reply(c, json_pack("{s:o}", "services", list));
    return rc;
}

static int services_get(struct admin_call *c)
{
    struct service *s;
    int rc = find_service(c, &s);

    if (rc == 0)
        admin_reply(c, service_json(c, s));
    return rc;
}

/* Its split, or what an operator sets for its scaling. */
static int services_patch(struct admin_call *c)
{
    bool gradually =
        strcmp(admin_param(c, "migrateTraffic", "false"), "true") == 0;
    const char *mask = admin_param(c, "updateMask", "");
    struct operation *op = NULL;
    struct service *s;
    int rc = find_service(c, &s);

    if (rc)
        return rc;
    if (strcmp(mask, "split") == 0)
        rc = deploy_traffic(&c->ctx, c->ctl, s,
                            json_object_get(c->body, "split"), gradually, &op);
    else if (strcmp(mask, "scaling") == 0)
        rc = deploy_scaling(&c->ctx, c->ctl, s,
                            json_object_get(c->body, "scaling"), &op);
    else
        rc = ctx_err(&c->ctx, ERR_INVALID,
                     "updateMask is \"%s\"; of a service split and scaling can "
                     "be changed, one at a time",
                     mask);
    return admin_reply_operation(c, rc, op);
}

static int services_rollback(struct admin_call *c)
{
    struct operation *op = NULL;
    struct service *s;
    int rc = find_service(c, &s);

    if (rc == 0)
        rc = deploy_rollback(&c->ctx, c->ctl, s, &op);
    return admin_reply_operation(c, rc, op);
}

static int services_delete(struct admin_call *c)
{
    struct service *s;
    int rc = find_service(c, &s);

    return rc ? rc
              : remove_what(c, (struct undeploy){.app = s->app, .service = s});
}

/* ---- versions ---- */

static json_t *version_json(struct admin_call *c, const struct version *v)
{
    bool full = strcmp(admin_param(c, "view", "BASIC"), "FULL") == 0;
    json_t *o = deploy_version_json(c->ctl, v, full);
    struct scaling in_force = scale_parameters(c->ctl, v);

    if (full)
        json_object_set_new(o, "scalingInForce", scaling_json(&in_force));
    return o;
}

static int versions_list(struct admin_call *c)
{
    json_t *list = json_array();
    struct service *s;
    int rc = find_service(c, &s);

    for (struct version *v = rc ? NULL : s->versions; v; v = v->next)
        if (!v->draining)
            json_array_append_new(list, version_json(c, v));
    if (rc)
        json_decref(list);
    else
        admin_reply(c, json_pack("{s:o}", "versions", list));
    return rc;
}

static int versions_create(struct admin_call *c)
{
    bool promote = strcmp(admin_param(c, "promote", "true"), "false") != 0;
    struct operation *op = NULL;
    int rc = admin_need_loaded(c);

    if (rc == 0 && !json_is_object(c->body))
        rc = ctx_err(&c->ctx, ERR_INVALID, "the body must be a version");
    if (rc)
        return rc;
    rc = deploy_version(&c->ctx, c->ctl, c->words[0], c->words[1], c->body,
                        promote, &op);
    return admin_reply_operation(c, rc, op);
}

static int versions_get(struct admin_call *c)
{
    struct version *v;
    int rc = find_version(c, &v);

    if (rc == 0)
        admin_reply(c, version_json(c, v));
    return rc;
}

static int versions_patch(struct admin_call *c)
{
    struct operation *op = NULL;
    struct version *v;
    int rc = find_version(c, &v);

    if (rc == 0)
        rc = deploy_version_patch(
            &c->ctx, c->ctl, v, admin_param(c, "updateMask", ""), c->body, &op);
    return admin_reply_operation(c, rc, op);
}

static int versions_delete(struct admin_call *c)
{
    struct version *v;
    int rc = find_version(c, &v);

    return rc ? rc
              : remove_what(c, (struct undeploy){.app = v->service->app,
                                                 .service = v->service,
                                                 .version = v});
}

/* ---- instances ---- */

/* Those that stay while nobody asks anything are resident. */
static json_t *instance_json(struct admin_call *c, const struct instance *in)
{
    const struct scaling in_force = scale_parameters(c->ctl, in->version);
    const struct process *p = in->process;
    struct arena *a = c->ctx.arena;
    int64_t memory =
        child_alive(&p->child) ? proc_session_memory(p->child.pid) : 0;
    const char *name =
        json_string_value(json_object_get(in->version->doc, "name"));

    return json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:b}", "id",
        arena_printf(a, "%d", in->index), "name",
        arena_printf(a, "%s/instances/%d", name ? name : "", in->index),
        "startTime", operation_time(a, p->since), "memoryUsage",
        arena_printf(a, "%" PRId64, memory), "requests", (json_int_t)in->total,
        "errors", (json_int_t)in->errors, "averageLatency",
        (json_int_t)in->latency, "availability",
        in->index < in_force.min ? "RESIDENT" : "DYNAMIC", "vmStatus",
        process_state_text(p), "leaving", in->leaving);
}

static int instances_list(struct admin_call *c)
{
    json_t *list = json_array();
    struct version *v;
    int rc = find_version(c, &v);

    for (size_t i = 0; rc == 0 && i < v->n_instances; i++)
        json_array_append_new(list, instance_json(c, v->instances[i]));
    if (rc)
        json_decref(list);
    else
        admin_reply(c, json_pack("{s:o}", "instances", list));
    return rc;
}

static int find_instance(struct admin_call *c, struct instance **out)
{
    struct version *v;
    int rc = find_version(c, &v);

    for (size_t i = 0; rc == 0 && i < v->n_instances; i++) {
        *out = v->instances[i];
        if (strcmp(c->words[3],
                   arena_printf(c->ctx.arena, "%d", (*out)->index)) == 0)
            return 0;
    }
    return rc ? rc
              : ctx_err(&c->ctx, ERR_NOT_FOUND,
                        "version %s has no instance \"%s\"", v->id,
                        c->words[3]);
}

static int instances_get(struct admin_call *c)
{
    struct instance *in;
    int rc = find_instance(c, &in);

    if (rc == 0)
        admin_reply(c, instance_json(c, in));
    return rc;
}

static int instances_delete(struct admin_call *c)
{
    struct operation *op = NULL;
    struct instance *in;
    int rc = find_instance(c, &in);

    if (rc == 0)
        rc = deploy_renew(&c->ctx, c->ctl, in, &op);
    return admin_reply_operation(c, rc, op);
}

#define S "/v1/apps/*/services"
#define V S "/*/versions"
#define I V "/*/instances"

const struct admin_route admin_service_routes[] = {
    {"GET", S, services_list},
    {"GET", S "/*", services_get},
    {"PATCH", S "/*", services_patch},
    {"POST", S "/*:rollback", services_rollback},
    {"DELETE", S "/*", services_delete},
    {"GET", V, versions_list},
    {"POST", V, versions_create},
    {"GET", V "/*", versions_get},
    {"PATCH", V "/*", versions_patch},
    {"DELETE", V "/*", versions_delete},
    {"GET", I, instances_list},
    {"GET", I "/*", instances_get},
    {"DELETE", I "/*", instances_delete},
    {.path = NULL},
};
