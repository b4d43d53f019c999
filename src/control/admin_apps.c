/*
 * admin_apps - applications and operations, in Google's shape.
 */
#include "control/admin.h"

#include "base/files.h"
#include "control/archive.h"
#include "control/deploy.h"
#include "control/instance.h"
#include "control/proc.h"
#include "control/routing.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- finding ---- */

int admin_need_loaded(struct admin_call *c)
{
    if (c->ctl->loaded)
        return 0;
    return ctx_err(&c->ctx, ERR_UNAVAILABLE,
                   "the platform is still starting; appscale status shows how "
                   "far it is");
}

int admin_find_app(struct admin_call *c, struct app **out)
{
    int rc = admin_need_loaded(c);

    if (rc)
        return rc;
    *out = model_app(&c->ctl->model, c->words[0]);
    if (*out)
        return 0;
    return ctx_err(&c->ctx, ERR_NOT_FOUND, "there is no application \"%s\"",
                   c->words[0]);
}

int admin_reply_operation(struct admin_call *c, int rc, struct operation *op)
{
    if (rc == 0)
        admin_reply(c, operation_json(op));
    return rc;
}

/* ---- applications ---- */

static int apps_list(struct admin_call *c)
{
    json_t *list = json_array();
    int rc = admin_need_loaded(c);

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
    int rc = admin_need_loaded(c);

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

static int apps_delete(struct admin_call *c)
{
    struct undeploy u = {
        .data = strcmp(admin_param(c, "data", "false"), "true") == 0};
    struct operation *op = NULL;
    int rc = admin_find_app(c, &u.app);

    if (rc == 0)
        rc = undeploy(&c->ctx, c->ctl, &u, &op);
    return admin_reply_operation(c, rc, op);
}

/* Its dispatch rules; nothing else of it changes. */
static int apps_patch(struct admin_call *c)
{
    const char *mask = admin_param(c, "updateMask", "");
    struct operation *op = NULL;
    struct app *a;
    int rc = admin_find_app(c, &a);

    if (rc == 0 && strcmp(mask, "dispatchRules") != 0 &&
        strcmp(mask, "dispatch_rules") != 0)
        rc = ctx_err(&c->ctx, ERR_INVALID,
                     "updateMask is \"%s\"; of an application dispatchRules "
                     "can be changed",
                     mask);
    if (rc == 0)
        rc = deploy_dispatch(&c->ctx, c->ctl, a,
                             json_object_get(c->body, "dispatchRules"), &op);
    return admin_reply_operation(c, rc, op);
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

#define A "/v1/apps/*"

const struct admin_route admin_app_routes[] = {
    {"GET", "/v1/apps", apps_list},
    {"POST", "/v1/apps", apps_create},
    {"GET", A, apps_get},
    {"PATCH", A, apps_patch},
    {"DELETE", A, apps_delete},
    {"GET", A "/operations/*", operations_get},
    {.path = NULL},
};
