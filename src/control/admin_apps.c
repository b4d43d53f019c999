/*
 * admin_apps - applications, services, versions, operations: the part of the
 * API that has Google's shape.
 */
#include "control/admin.h"

#include "base/files.h"
#include "control/archive.h"
#include "control/build_log.h"
#include "control/deploy.h"
#include "control/instance.h"
#include "control/proc.h"
#include "control/routing.h"

#include <inttypes.h>
#include <stdlib.h>

enum { LOG_LINES = 100, LOG_LINES_MAX = 1000 };

/* ---- finding ---- */

static int need_loaded(struct admin_call *c)
{
    if (c->ctl->loaded)
        return 0;
    return ctx_err(&c->ctx, ERR_UNAVAILABLE,
                   "the platform is still starting; appscale status shows how "
                   "far it is");
}

int admin_find_app(struct admin_call *c, struct app **out)
{
    int rc = need_loaded(c);

    if (rc)
        return rc;
    *out = model_app(&c->ctl->model, c->words[0]);
    if (*out)
        return 0;
    return ctx_err(&c->ctx, ERR_NOT_FOUND, "there is no application \"%s\"",
                   c->words[0]);
}

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

static int reply_operation(struct admin_call *c, int rc, struct operation *op)
{
    if (rc == 0)
        admin_reply(c, operation_json(op));
    return rc;
}

/* ---- applications ---- */

static int apps_list(struct admin_call *c)
{
    json_t *list = json_array();
    int rc = need_loaded(c);

    for (struct app *a = c->ctl->model.apps; a; a = a->next)
        json_array_append(list, a->doc);
    if (rc)
        json_decref(list);
    else
        admin_reply(c, json_pack("{s:o}", "apps", list));
    return rc;
}

static int apps_get(struct admin_call *c)
{
    struct app *a;
    int rc = admin_find_app(c, &a);

    if (rc == 0)
        admin_reply(c, json_incref(a->doc));
    return rc;
}

struct creation {
    struct admin_call *call;
    struct operation *op;
    char *id;
    json_t *doc;
};

static void on_created(struct ctx *ctx, int rc, void *arg)
{
    struct creation *cr = arg;
    struct control *ctl = cr->call->ctl;

    if (rc == 0)
        model_app_add(&ctl->model, cr->id, json_incref(cr->doc));
    operation_end(cr->op, ctx, rc, json_incref(cr->doc));
    admin_reply(cr->call, operation_json(cr->op));
    json_decref(cr->doc);
    free(cr->id);
    free(cr);
}

static json_t *app_doc(struct control *ctl, struct arena *a, const char *id)
{
    const char *host = arena_printf(a, "%s.%s", id, ctl->settings.domain);

    if (ctl->settings.http_port != 80)
        host = arena_printf(a, "%s:%d", host, (int)ctl->settings.http_port);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "id", id, "name",
                     arena_printf(a, "apps/%s", id), "defaultHostname", host,
                     "authDomain", "gmail.com", "servingStatus", "SERVING",
                     "createTime", operation_time(a, clock_wall()));
}

static int apps_create(struct admin_call *c)
{
    const char *id = json_string_value(json_object_get(c->body, "id"));
    struct operation *op;
    struct creation *cr;
    struct server_row row;
    char *text;
    int rc = need_loaded(c);

    if (rc == 0)
        rc = model_check_project(&c->ctx, id ? id : "");
    if (rc == 0 && model_app(&c->ctl->model, id))
        rc = ctx_err(&c->ctx, ERR_EXISTS, "%s exists already", id);
    if (rc == 0)
        rc = operation_begin(&c->ctx, c->ctl, id,
                             "google.appengine.v1.Applications."
                             "CreateApplication",
                             arena_printf(c->ctx.arena, "apps/%s", id), &op);
    if (rc)
        return rc;
    cr = calloc(1, sizeof(*cr));
    if (!cr)
        abort();
    *cr = (struct creation){.call = c,
                            .op = op,
                            .id = strdup(id),
                            .doc = app_doc(c->ctl, c->ctx.arena, id)};
    text = json_dumps(cr->doc, JSON_COMPACT);
    row = (struct server_row){"apps", id, text};
    server_write(&c->ctx, c->ctl, &row, 1, on_created, cr);
    free(text);
    return 0;
}

static int remove_what(struct admin_call *c, struct undeploy u)
{
    struct operation *op = NULL;
    int rc;

    u.data = strcmp(admin_param(c, "data", "false"), "true") == 0;
    rc = undeploy(&c->ctx, c->ctl, &u, &op);
    return reply_operation(c, rc, op);
}

static int apps_delete(struct admin_call *c)
{
    struct app *a;
    int rc = admin_find_app(c, &a);

    return rc ? rc : remove_what(c, (struct undeploy){.app = a});
}

/* Of the last build, whatever became of its version. */
static int build_logs(struct admin_call *c, const struct app *a,
                      const char *service, const char *version, int lines)
{
    int rc = model_check_id(&c->ctx, "service", service);
    const char *path = NULL;

    if (rc == 0 && version)
        rc = model_check_id(&c->ctx, "version", version);
    if (rc == 0)
        path = build_log_last(c->ctl, c->ctx.arena, a->id, service, version);
    if (rc == 0 && !path)
        rc = ctx_err(&c->ctx, ERR_NOT_FOUND,
                     "there is no log of a build of %s, service %s%s%s", a->id,
                     service, version ? ", version " : "",
                     version ? version : "");
    if (rc == 0)
        admin_reply(c, admin_log_lines(c, path, lines));
    return rc;
}

/* The version named, else the one with the traffic of the service. */
static int apps_logs(struct admin_call *c)
{
    const char *service = admin_param(c, "service", "default");
    const char *version = admin_param(c, "version", NULL);
    const struct service *s;
    const struct version *v;
    struct app *a;
    int64_t lines;
    int rc = admin_find_app(c, &a);

    if (rc == 0)
        rc = admin_number(c, "lines", LOG_LINES, 1, LOG_LINES_MAX, &lines);
    if (rc)
        return rc;
    if (strcmp(admin_param(c, "build", ""), "true") == 0)
        return build_logs(c, a, service, version, (int)lines);
    s = model_service(a, service);
    v = s ? version ? model_version(s, version) : model_serving(s) : NULL;
    if (!v)
        return ctx_err(&c->ctx, ERR_NOT_FOUND,
                       "%s has no such service or "
                       "version",
                       a->id);
    admin_reply(c,
                admin_log_lines(
                    c, instance_log(c->ctl, c->ctx.arena, a->id, s->id, v->id),
                    (int)lines));
    return 0;
}

static int operations_get(struct admin_call *c)
{
    struct operation *op = operation_find(c->ctl, c->words[0], c->words[1]);

    if (!op)
        return ctx_err(&c->ctx, ERR_NOT_FOUND, "there is no operation %s of %s",
                       c->words[1], c->words[0]);
    admin_reply(c, operation_json(op));
    return 0;
}

/* ---- services ---- */

static int services_list(struct admin_call *c)
{
    json_t *list = json_array();
    struct app *a;
    int rc = admin_find_app(c, &a);

    for (struct service *s = rc ? NULL : a->services; s; s = s->next)
        json_array_append(list, s->doc);
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
        admin_reply(c, json_incref(s->doc));
    return rc;
}

/* All of the traffic goes to one version. */
static int services_patch(struct admin_call *c)
{
    json_t *split = json_object_get(c->body, "split");
    json_t *shares = json_object_get(split, "allocations");
    struct operation *op = NULL;
    struct service *s;
    const char *id;
    json_t *share;
    int rc = find_service(c, &s);

    if (rc)
        return rc;
    if (json_object_size(shares) != 1)
        return ctx_err(&c->ctx, ERR_INVALID,
                       "split.allocations must name one version");
    json_object_foreach(shares, id, share)
    {
        if (json_number_value(share) != 1)
            return ctx_err(&c->ctx, ERR_INVALID,
                           "the share of %s must be 1: the shares add up to 1",
                           id);
        rc = deploy_traffic(&c->ctx, c->ctl, s, id, &op);
        break;
    }
    return reply_operation(c, rc, op);
}

static int services_delete(struct admin_call *c)
{
    struct service *s;
    int rc = find_service(c, &s);

    return rc ? rc
              : remove_what(c, (struct undeploy){.app = s->app, .service = s});
}

/* ---- versions ---- */

static bool wants_full(struct admin_call *c)
{
    return strcmp(admin_param(c, "view", "BASIC"), "FULL") == 0;
}

static int versions_list(struct admin_call *c)
{
    json_t *list = json_array();
    struct service *s;
    int rc = find_service(c, &s);

    for (struct version *v = rc ? NULL : s->versions; v; v = v->next)
        if (!v->draining)
            json_array_append_new(
                list, deploy_version_json(c->ctl, v, wants_full(c)));
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
    int rc = need_loaded(c);

    if (rc == 0 && !json_is_object(c->body))
        rc = ctx_err(&c->ctx, ERR_INVALID, "the body must be a version");
    if (rc)
        return rc;
    rc = deploy_version(&c->ctx, c->ctl, c->words[0], c->words[1], c->body,
                        promote, &op);
    return reply_operation(c, rc, op);
}

static int versions_get(struct admin_call *c)
{
    struct version *v;
    int rc = find_version(c, &v);

    if (rc == 0)
        admin_reply(c, deploy_version_json(c->ctl, v, wants_full(c)));
    return rc;
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

static json_t *instance_json(struct admin_call *c, const struct instance *in)
{
    const struct process *p = in->process;
    struct arena *a = c->ctx.arena;
    int64_t memory =
        child_alive(&p->child) ? proc_session_memory(p->child.pid) : 0;

    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "id",
                     arena_printf(a, "%d", in->index), "startTime",
                     operation_time(a, p->since), "memoryUsage",
                     arena_printf(a, "%" PRId64, memory), "availability",
                     "RESIDENT", "vmStatus", process_state_text(p));
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

#define A "/v1/apps/*"
#define S A "/services/*"
#define V S "/versions/*"

const struct admin_route admin_app_routes[] = {
    {"GET", "/v1/apps", apps_list},
    {"POST", "/v1/apps", apps_create},
    {"GET", A, apps_get},
    {"DELETE", A, apps_delete},
    {"GET", A "/logs", apps_logs},
    {"GET", A "/operations/*", operations_get},
    {"GET", A "/services", services_list},
    {"GET", S, services_get},
    {"PATCH", S, services_patch},
    {"DELETE", S, services_delete},
    {"GET", S "/versions", versions_list},
    {"POST", S "/versions", versions_create},
    {"GET", V, versions_get},
    {"DELETE", V, versions_delete},
    {"GET", V "/instances", instances_list},
    {.path = NULL},
};
