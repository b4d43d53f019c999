/*
 * change - moving traffic and taking away, the other two changes of deploy.h.
 */
#include "base/errinj.h"
#include "base/log.h"
#include "control/cron.h"
#include "control/deploy.h"
#include "control/domains.h"
#include "control/instance.h"
#include "control/prepare.h"
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

enum { RECALL_AGAIN_MS = 50 };

/* ---- traffic: prepare, start, switch, commit, retire the former ---- */

struct traffic {
    struct control *ctl;
    struct operation *op;
    struct service *service;
    struct version *to, *from;
    json_t *doc_before;
    uv_timer_t timer;
};

static void traffic_closed(uv_handle_t *h)
{
    free(h->data);
}

static void traffic_free(struct traffic *t)
{
    json_decref(t->doc_before);
    t->ctl->jobs--;
    uv_close((uv_handle_t *)&t->timer, traffic_closed);
}

static void traffic_end(struct traffic *t, struct ctx *ctx, int rc)
{
    operation_end(t->op, ctx, rc, json_incref(t->service->doc));
    traffic_free(t);
}

static void on_traffic_back(struct ctx *ctx, int rc, void *arg)
{
    struct traffic *t = arg;

    (void)ctx;
    (void)rc;
    if (t->to != t->from)
        retire_former(t->ctl, t->to);
    t->op->done = true; /* the story is there since traffic_undo() */
    t->op->ended = clock_wall();
    traffic_free(t);
}

/* The routes were not taken, or not recorded: back to the version before. */
static void traffic_undo(struct traffic *t, struct ctx *ctx, int rc)
{
    operation_end(t->op, ctx, rc, NULL);
    t->op->done = false; /* until everything is as it was */
    operation_say(t->op, "Undoing");
    json_decref(t->service->doc);
    t->service->doc = json_incref(t->doc_before);
    routing_apply(t->ctl, on_traffic_back, t);
}

static void on_traffic_stored(struct ctx *ctx, int rc, void *arg)
{
    struct traffic *t = arg;

    if (rc) {
        traffic_undo(t, ctx, rc);
        return;
    }
    if (t->from && t->from != t->to)
        retire_former(t->ctl, t->from);
    traffic_end(t, ctx, 0);
}

static void on_traffic_routed(struct ctx *ctx, int rc, void *arg)
{
    struct traffic *t = arg;
    struct service *s = t->service;
    struct server_row row;
    char *text;

    if (rc == 0 && errinj("control.traffic.commit"))
        rc = ctx_err(ctx, ERR_IO, "injected");
    if (rc) {
        traffic_undo(t, ctx, rc);
        return;
    }
    text = json_dumps(s->doc, JSON_COMPACT);
    row = (struct server_row){
        "services", arena_printf(ctx->arena, "%s/%s", s->app->id, s->id), text};
    server_write(ctx, t->ctl, &row, 1, on_traffic_stored, t);
    free(text);
}

static void on_traffic_instances(struct version *v, void *arg)
{
    const struct instance *failed = instances_failed(v);
    struct traffic *t = arg;
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    if (!failed && instances_ready(v) < v->n_instances)
        return;
    instances_watch(v, NULL, NULL);
    ctx_init(&ctx, &a);
    if (failed) {
        ctx_err(&ctx, ERR_INVALID, "version %s %s", v->id,
                failed->process->why);
        traffic_end(t, &ctx, ERR_INVALID);
        instances_stop(t->ctl, v, NULL, NULL);
    } else {
        operation_say(t->op, "Routing requests to it");
        json_decref(t->service->doc);
        t->service->doc = model_split(t->service->id, v->id);
        routing_apply(t->ctl, on_traffic_routed, t);
    }
    arena_release(&a);
}

/* Its instances may be on their way out since it lost the traffic: call them
 * back, or wait until the last one is gone. */
static void on_traffic_start(uv_timer_t *timer)
{
    struct traffic *t = timer->data;
    struct arena a = ARENA_INIT;
    struct ctx ctx;
    int rc;

    if (t->to->retiring) {
        t->to->recalled = true;
        uv_timer_start(timer, on_traffic_start, RECALL_AGAIN_MS, 0);
        return;
    }
    ctx_init(&ctx, &a);
    operation_say(t->op, "Starting instances");
    t->to->started = true;
    rc = instances_start(&ctx, t->ctl, t->to, on_traffic_instances, t);
    if (rc)
        traffic_end(t, &ctx, rc);
    else if (instances_ready(t->to) == t->to->n_instances)
        on_traffic_instances(t->to, t);
    arena_release(&a);
}

static void on_traffic_prepared(struct ctx *ctx, int rc, void *arg)
{
    struct traffic *t = arg;

    if (rc)
        traffic_end(t, ctx, rc);
    else
        uv_timer_start(&t->timer, on_traffic_start, 0, 0);
}

static void on_traffic_says(const char *sentence, void *arg)
{
    operation_say(((struct traffic *)arg)->op, sentence);
}

int deploy_traffic(struct ctx *ctx, struct control *ctl, struct service *s,
                   const char *id, struct operation **out)
{
    struct version *v = model_version(s, id);
    const char *target =
        arena_printf(ctx->arena, "apps/%s/services/%s", s->app->id, s->id);
    struct traffic *t;
    int rc;

    if (!v)
        return ctx_err(ctx, ERR_NOT_FOUND, "%s has no version \"%s\"", s->id,
                       id);
    rc = operation_begin(ctx, ctl, s->app->id,
                         "google.appengine.v1.Services.UpdateService", target,
                         out);
    if (rc)
        return rc;
    t = calloc(1, sizeof(*t));
    if (!t)
        abort();
    *t = (struct traffic){.ctl = ctl,
                          .op = *out,
                          .service = s,
                          .to = v,
                          .from = model_serving(s),
                          .doc_before = json_incref(s->doc)};
    uv_timer_init(&ctl->loop, &t->timer);
    t->timer.data = t;
    ctl->jobs++;
    prepare(ctl, v, on_traffic_says, on_traffic_prepared, t);
    return 0;
}

/* ---- undeploy: unroute, forget in the store, retire, bury ---- */

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

static int check_removal(struct ctx *ctx, const struct undeploy *u)
{
    if (u->version && model_serving(u->version->service) == u->version)
        return ctx_err(ctx, ERR_INVALID,
                       "version %s has the traffic of %s: move it to another "
                       "version first, or delete the service",
                       u->version->id, u->version->service->id);
    if (u->service && !u->version && strcmp(u->service->id, "default") == 0 &&
        (u->app->services != u->service || u->service->next))
        return ctx_err(ctx, ERR_INVALID,
                       "the default service goes last: delete the other "
                       "services of %s first",
                       u->app->id);
    return 0;
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
