/*
 * removal - taking away a version, a service or an app: unroute, forget in the
 * store, retire, bury.
 */
#include "control/cron.h"
#include "control/deploy.h"
#include "control/domains.h"
#include "control/retire.h"
#include "control/routing.h"
#include "control/server_call.h"
#include "platform.pb.h"

#include <stdlib.h>

static void on_ignored(struct ctx *ctx, int rc, void *arg)
{
    (void)ctx;
    (void)rc;
    (void)arg;
}

struct removal {
    struct control *ctl;
    struct operation *op;
    struct undeploy what;
    struct version **list;
    size_t n, left;
};

static bool removes(const struct undeploy *u, const struct version *v)
{
    if (u->version)
        return v == u->version;
    if (u->service)
        return v->service == u->service;
    return v->service->app == u->app;
}

static void removal_collect(struct removal *r)
{
    for (struct service *s = r->what.app->services; s; s = s->next)
        for (struct version *v = s->versions; v; v = v->next) {
            if (!removes(&r->what, v) || (v->draining && r->what.version))
                continue;
            r->list = realloc(r->list, (r->n + 1) * sizeof(struct version *));
            if (!r->list)
                abort();
            r->list[r->n++] = v;
        }
}

static void removal_end(struct removal *r, struct ctx *ctx, int rc)
{
    operation_end(r->op, ctx, rc, NULL);
    r->ctl->jobs--;
    free(r->list);
    free(r);
}

static void on_data_deleted(struct ctx *ctx, int rc, const void *out, void *arg)
{
    (void)out;
    removal_end(arg, ctx, rc);
}

static void removal_data(struct removal *r, struct ctx *ctx, const char *app)
{
    struct platform_DeleteAppDataRequest *m;

    if (!r->what.data) {
        removal_end(r, ctx, 0);
        return;
    }
    operation_say(r->op, "Deleting its data");
    m = platform_DeleteAppDataRequest_new(ctx);
    platform_DeleteAppDataRequest_set_app(m, bytes_str(app));
    server_call(ctx, r->ctl,
                &(struct server_call){
                    .method = "DeleteAppData",
                    .in = WIRE_platform_DeleteAppDataRequest,
                    .out = WIRE_platform_Void,
                    .message = m,
                    .fn = on_data_deleted,
                    .arg = r,
                });
}

/* Everything has stopped: the model forgets it too. */
static void removal_finish(struct removal *r)
{
    struct arena a = ARENA_INIT;
    const char *app = arena_strdup(&a, r->what.app->id);
    struct ctx ctx;

    ctx_init(&ctx, &a);
    if (!r->what.version)
        for (struct service *s = r->what.app->services, *next; s; s = next) {
            next = s->next;
            if (!s->versions && (!r->what.service || s == r->what.service))
                model_service_remove(s);
        }
    if (!r->what.service && !r->what.version && !r->what.app->services)
        model_app_remove(&r->ctl->model, r->what.app);
    server_tickets(&ctx, r->ctl, NULL, on_ignored, NULL);
    routing_apply(r->ctl, on_ignored, NULL);
    removal_data(r, &ctx, app);
    arena_release(&a);
}

static void on_retired(struct version *v, void *arg)
{
    struct removal *r = arg;

    model_version_remove(v);
    retire_bury(r->ctl, v);
    if (--r->left == 0)
        removal_finish(r);
}

static void on_forgotten(struct ctx *ctx, int rc, void *arg)
{
    struct removal *r = arg;

    if (rc) {
        for (size_t i = 0; i < r->n; i++)
            if (!r->list[i]->retiring) /* it was going before */
                r->list[i]->draining = false;
        routing_apply(r->ctl, on_ignored, NULL);
        removal_end(r, ctx, rc);
        return;
    }
    if (!r->what.service && !r->what.version) {
        cron_forget(r->ctl, r->what.app->id);
        domains_forget(r->ctl, r->what.app->id);
    }
    operation_say(r->op, "Stopping instances");
    r->left = r->n;
    if (r->n == 0)
        removal_finish(r);
    for (size_t i = 0, n = r->n; i < n; i++)
        retire(r->ctl, r->list[i], on_retired, r);
}

static void removal_write(struct ctx *ctx, struct removal *r)
{
    struct arena *a = ctx->arena;
    const struct undeploy *u = &r->what;
    struct server_row *rows;
    size_t n = 0, max = r->n + 1 + cron_rows(r->ctl, u->app->id) +
                        domains_rows(r->ctl, u->app->id);

    for (struct service *s = u->app->services; s; s = s->next)
        max++;
    rows = ARENA_ARRAY(a, struct server_row, max);
    for (size_t i = 0; i < r->n; i++)
        rows[n++] = (struct server_row){"versions",
                                        arena_printf(a, "%s/%s/%s", u->app->id,
                                                     r->list[i]->service->id,
                                                     r->list[i]->id),
                                        NULL};
    for (struct service *s = u->app->services; s && !u->version; s = s->next)
        if (!u->service || s == u->service)
            rows[n++] = (struct server_row){
                "services", arena_printf(a, "%s/%s", u->app->id, s->id), NULL};
    if (!u->service && !u->version) {
        rows[n++] = (struct server_row){"apps", u->app->id, NULL};
        cron_delete_rows(a, r->ctl, u->app->id, rows, &n);
        domains_delete_rows(a, r->ctl, u->app->id, rows, &n);
    }
    server_write(ctx, r->ctl, rows, n, on_forgotten, r);
}

static void on_unrouted(struct ctx *ctx, int rc, void *arg)
{
    struct removal *r = arg;

    if (rc)
        on_forgotten(ctx, rc, r);
    else
        removal_write(ctx, r);
}

/* Whose requests dispatch.yaml sends there would find nobody. */
static int check_dispatch(struct ctx *ctx, const struct undeploy *u)
{
    struct dispatch_rule rule;

    for (size_t i = 0; model_dispatch(u->app, i, &rule); i++)
        if (strcmp(rule.service, u->service->id) == 0)
            return ctx_err(ctx, ERR_INVALID,
                           "dispatch.yaml sends %s%s to service %s: deploy a "
                           "dispatch.yaml without that rule first",
                           rule.host, rule.path, rule.service);
    return 0;
}

static int check_removal(struct ctx *ctx, const struct undeploy *u)
{
    double share = u->version ? model_share(u->version) : 0;

    if (share > 0)
        return ctx_err(ctx, ERR_INVALID,
                       "version %s has %.10g %% of the traffic of %s: move it "
                       "to another version first, or delete the service",
                       u->version->id, share * 100, u->version->service->id);
    if (u->service && !u->version && strcmp(u->service->id, "default") == 0 &&
        (u->app->services != u->service || u->service->next))
        return ctx_err(ctx, ERR_INVALID,
                       "the default service goes last: delete the other "
                       "services of %s first",
                       u->app->id);
    return u->service && !u->version ? check_dispatch(ctx, u) : 0;
}

int undeploy(struct ctx *ctx, struct control *ctl, const struct undeploy *u,
             struct operation **out)
{
    const char *target = arena_printf(
        ctx->arena, "apps/%s%s%s%s%s", u->app->id,
        u->service ? "/services/" : "", u->service ? u->service->id : "",
        u->version ? "/versions/" : "", u->version ? u->version->id : "");
    struct removal *r;
    int rc = check_removal(ctx, u);

    if (rc == 0)
        rc = operation_begin(ctx, ctl, u->app->id, "google.appengine.v1.Delete",
                             target, out);
    if (rc)
        return rc;
    r = calloc(1, sizeof(*r));
    if (!r)
        abort();
    *r = (struct removal){.ctl = ctl, .op = *out, .what = *u};
    removal_collect(r);
    for (size_t i = 0; i < r->n; i++)
        r->list[i]->draining = true;
    ctl->jobs++;
    operation_say(r->op, "Taking it out of the routes");
    routing_apply(ctl, on_unrouted, r);
    return 0;
}
