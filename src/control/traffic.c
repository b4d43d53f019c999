/*
 * traffic - another split of a service's traffic, at once or in steps.
 *
 *     bring    every version that gets a share answers
 *     switch   haproxy and nginx follow
 *     commit   the store takes the service's document
 *     retire   the instances of those that have lost their share
 *
 * A gradual migration goes through the last three again and again, with a split
 * a little nearer to the target each time; its document says so, and the next
 * controller goes on from there.  Between two steps other changes may come in
 * between; one of this service's traffic ends it where it is.
 */
#include "base/errinj.h"
#include "base/log.h"
#include "control/bring.h"
#include "control/deploy.h"
#include "control/instance.h"
#include "control/retire.h"
#include "control/routing.h"
#include "control/scale.h"
#include "control/server_call.h"
#include "control/split.h"

#include <math.h>
#include <stdlib.h>

/* Enough that no step is felt; few enough that each may cost a reload. */
enum { MIGRATION_STEPS = 10, AGAIN_MS = 500 };

struct traffic {
    struct control *ctl;
    struct operation *op;
    struct service *service; /* while `op` keeps other changes away */
    char *app, *id;          /* of the service, for when it does not */
    json_t *target, *from;   /* splits; `from` NULL: not gradually */
    json_t *doc_before;
    const char **versions; /* those with a share in `target` */
    size_t n, at;
    int step; /* of MIGRATION_STEPS */
    uv_timer_t timer;
    struct arena arena;
};

static void traffic_closed(uv_handle_t *h)
{
    struct traffic *t = h->data;

    arena_release(&t->arena);
    free(t);
}

static void traffic_free(struct traffic *t)
{
    json_decref(t->target);
    json_decref(t->from);
    json_decref(t->doc_before);
    t->ctl->jobs--;
    uv_close((uv_handle_t *)&t->timer, traffic_closed);
}

static void traffic_end(struct traffic *t, struct ctx *ctx, int rc)
{
    operation_end(t->op, ctx, rc, rc ? NULL : json_incref(t->service->doc));
    traffic_free(t);
}

void traffic_retire(struct control *ctl, struct service *s,
                    const json_t *before)
{
    const json_t *split = json_object_get(before, "split");

    for (struct version *v = s->versions; v; v = v->next)
        if (!v->draining && split_share(split, v->id) > 0 &&
            model_share(v) == 0)
            retire_former(ctl, v);
}

/* Those that were brought up in vain. */
static void retire_target(struct traffic *t)
{
    for (size_t i = 0; i < t->n; i++) {
        struct version *v = model_version(t->service, t->versions[i]);

        if (v && model_share(v) == 0)
            retire_former(t->ctl, v);
    }
}

/* ---- undo ---- */

static void on_traffic_back(struct ctx *ctx, int rc, void *arg)
{
    struct traffic *t = arg;

    (void)ctx;
    (void)rc;
    retire_target(t);
    t->op->done = true; /* the story is there since traffic_undo() */
    t->op->ended = clock_wall();
    traffic_free(t);
}

static void on_step_due(uv_timer_t *timer);

/* A step of a migration that is under way may succeed later. */
static void on_step_back(struct ctx *ctx, int rc, void *arg)
{
    struct traffic *t = arg;

    (void)ctx;
    (void)rc;
    t->step--;
    t->op->aside = true;
    uv_timer_start(&t->timer, on_step_due, AGAIN_MS, 0);
}

/* The routes were not taken, or not recorded: back to the split before. */
static void traffic_undo(struct traffic *t, struct ctx *ctx, int rc)
{
    json_decref(t->service->doc);
    t->service->doc = json_incref(t->doc_before);
    if (t->step > 1 && !t->ctl->stopping) {
        operation_say(t->op, arena_printf(ctx->arena, "Trying again: %s",
                                          ctx_err_text(ctx, rc)));
        routing_apply(t->ctl, on_step_back, t);
        return;
    }
    operation_end(t->op, ctx, rc, NULL);
    t->op->done = false; /* until everything is as it was */
    operation_say(t->op, "Undoing");
    routing_apply(t->ctl, on_traffic_back, t);
}

/* ---- switch, commit, retire ---- */

static void on_traffic_stored(struct ctx *ctx, int rc, void *arg)
{
    struct traffic *t = arg;
    int64_t pace = t->ctl->settings.migration_seconds * 1000 / MIGRATION_STEPS;

    if (rc) {
        traffic_undo(t, ctx, rc);
        return;
    }
    traffic_retire(t->ctl, t->service, t->doc_before);
    if (!t->from || t->step == MIGRATION_STEPS) {
        traffic_end(t, ctx, 0);
        return;
    }
    operation_say(t->op, arena_printf(ctx->arena, "Migrating: %d %% is done",
                                      t->step * 100 / MIGRATION_STEPS));
    t->op->aside = true; /* other changes may come in between */
    uv_timer_start(&t->timer, on_step_due, (uint64_t)pace, 0);
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

/* The document of this step: the target, or what lies on the way. */
static json_t *next_doc(struct traffic *t)
{
    bool last = !t->from || t->step == MIGRATION_STEPS, first = t->step == 1;
    json_t *split, *doc;

    if (!t->from)
        return split_doc(t->service, json_incref(t->target));
    split = last ? json_incref(t->target)
                 : split_between(t->from, t->target, t->step, MIGRATION_STEPS);
    if (first)
        doc = split_doc(t->service, split);
    else {
        doc = json_copy(t->service->doc);
        json_object_set_new(doc, "split", split);
        json_object_del(doc, "migration");
    }
    if (!last)
        json_object_set_new(doc, "migration",
                            json_pack("{s:O, s:O, s:i, s:i, s:s}", "from",
                                      t->from, "to", t->target, "step", t->step,
                                      "steps", MIGRATION_STEPS, "operation",
                                      t->op->id));
    return doc;
}

static void traffic_switch(struct traffic *t)
{
    t->step++;
    json_decref(t->doc_before);
    t->doc_before = t->service->doc;
    t->service->doc = next_doc(t);
    routing_apply(t->ctl, on_traffic_routed, t);
}

/* ---- the next step of a migration ---- */

static int find_service(struct ctx *ctx, struct traffic *t)
{
    const json_t *migration = NULL;
    const char *whose;

    t->service = model_service(model_app(&t->ctl->model, t->app), t->id);
    if (t->service)
        migration = json_object_get(t->service->doc, "migration");
    whose = json_string_value(json_object_get(migration, "operation"));
    if (!whose || strcmp(whose, t->op->id) != 0)
        return ctx_err(ctx, ERR_ABORTED,
                       "the migration ended half-way, because another change "
                       "of %s's traffic took its place",
                       t->id);
    for (size_t i = 0; i < t->n; i++)
        if (!model_version(t->service, t->versions[i]))
            return ctx_err(ctx, ERR_ABORTED,
                           "the migration ended half-way, because version %s "
                           "was deleted",
                           t->versions[i]);
    return 0;
}

static void on_step_due(uv_timer_t *timer)
{
    struct traffic *t = timer->data;
    struct arena a = ARENA_INIT;
    struct ctx ctx;
    int rc;

    if (t->ctl->stopping)
        return; /* the next controller goes on */
    if (operation_busy(t->ctl, t->app)) {
        uv_timer_start(timer, on_step_due, AGAIN_MS, 0);
        return;
    }
    ctx_init(&ctx, &a);
    rc = find_service(&ctx, t);
    if (rc) {
        traffic_end(t, &ctx, rc);
    } else {
        t->op->aside = false;
        traffic_switch(t);
    }
    arena_release(&a);
}

/* ---- bring: one version after the other ---- */

static void bring_next(struct traffic *t);

static void on_traffic_says(const char *sentence, void *arg)
{
    operation_say(((struct traffic *)arg)->op, sentence);
}

static void on_brought(struct ctx *ctx, int rc, void *arg)
{
    struct traffic *t = arg;

    t->at++;
    if (rc) {
        retire_target(t);
        traffic_end(t, ctx, rc);
    } else {
        bring_next(t);
    }
}

int traffic_instances(const struct control *ctl, const struct version *v,
                      double share)
{
    double ready = 0;
    int most = scale_parameters(ctl, v).max, want;

    for (struct version *o = v->service->versions; o; o = o->next)
        if (model_share(o) > 0)
            ready += (double)instances_ready(o);
    if (v->scaling.kind == SCALING_MANUAL)
        return most;
    want = (int)ceil(ready * share - 1e-9);
    if (want < v->scaling.min)
        want = v->scaling.min;
    return want < 1 ? 1 : want < most ? want : most;
}

static void bring_next(struct traffic *t)
{
    struct arena a = ARENA_INIT;
    struct version *v;
    double share;
    int ready;

    if (t->at == t->n) {
        operation_say(t->op, "Routing requests");
        traffic_switch(t);
        return;
    }
    v = model_version(t->service, t->versions[t->at]);
    share = split_share(t->target, v->id) / (t->from ? MIGRATION_STEPS : 1);
    ready = model_share(v) > 0 ? 1 : traffic_instances(t->ctl, v, share);
    operation_say(t->op,
                  arena_printf(&a, "Starting instances of version %s", v->id));
    bring(t->ctl, v, ready, on_traffic_says, on_brought, t);
    arena_release(&a);
}

/* ---- the beginning ---- */

/* What Google asks of a gradual migration. */
static int check_gradual(struct ctx *ctx, const struct service *s,
                         const json_t *target)
{
    if (!json_object_get(target, "shardBy"))
        return ctx_err(ctx, ERR_INVALID,
                       "a gradual migration needs split.shardBy: IP, COOKIE or "
                       "RANDOM");
    if (!model_serving(s))
        return ctx_err(ctx, ERR_INVALID, "%s has no traffic to migrate", s->id);
    for (const struct version *v = s->versions; v; v = v->next) {
        if (split_share(target, v->id) <= model_share(v) || v->draining)
            continue;
        if (v->scaling.kind != SCALING_AUTOMATIC)
            return ctx_err(ctx, ERR_INVALID,
                           "version %s has no automatic scaling, which a "
                           "gradual migration needs: move the traffic at once",
                           v->id);
        if (!instance_wants_warmup(v))
            return ctx_err(ctx, ERR_INVALID,
                           "version %s takes no warm-up requests, which a "
                           "gradual migration needs: `inbound_services: "
                           "[warmup]` in its app.yaml, or move the traffic at "
                           "once",
                           v->id);
    }
    return 0;
}

static struct traffic *traffic_new(struct control *ctl, struct service *s,
                                   struct operation *op, json_t *target)
{
    struct traffic *t = calloc(1, sizeof(*t));
    const char *id;
    json_t *share;

    if (!t)
        abort();
    *t = (struct traffic){.ctl = ctl,
                          .op = op,
                          .service = s,
                          .target = target,
                          .doc_before = json_incref(s->doc)};
    t->app = arena_strdup(&t->arena, s->app->id);
    t->id = arena_strdup(&t->arena, s->id);
    t->versions =
        ARENA_ARRAY(&t->arena, const char *,
                    json_object_size(json_object_get(target, "allocations")));
    json_object_foreach(json_object_get(target, "allocations"), id, share)
        t->versions[t->n++] = arena_strdup(&t->arena, id);
    uv_timer_init(&ctl->loop, &t->timer);
    t->timer.data = t;
    ctl->jobs++;
    return t;
}

#define METHOD "google.appengine.v1.Services.UpdateService"

int deploy_traffic(struct ctx *ctx, struct control *ctl, struct service *s,
                   const json_t *split, bool gradually, struct operation **out)
{
    const char *target =
        arena_printf(ctx->arena, "apps/%s/services/%s", s->app->id, s->id);
    json_t *wanted = NULL;
    struct traffic *t;
    int rc = split_check(ctx, s, split, &wanted);

    if (rc == 0 && gradually)
        rc = check_gradual(ctx, s, wanted);
    if (rc == 0)
        rc = operation_begin(ctx, ctl, s->app->id, METHOD, target, out);
    if (rc) {
        json_decref(wanted);
        return rc;
    }
    t = traffic_new(ctl, s, *out, wanted);
    if (gradually)
        t->from = json_incref(json_object_get(s->doc, "split"));
    bring_next(t);
    return 0;
}

int deploy_rollback(struct ctx *ctx, struct control *ctl, struct service *s,
                    struct operation **out)
{
    json_t *split = split_former(s);
    int rc;

    if (!split)
        return ctx_err(ctx, ERR_INVALID,
                       "%s has nothing to go back to: no other version had its "
                       "traffic, or those that had are deleted or stopped",
                       s->id);
    rc = deploy_traffic(ctx, ctl, s, split, false, out);
    json_decref(split);
    return rc;
}

/* ---- after a restart ---- */

/* Its operation gets the name it had, so that who follows it goes on. */
static void resume(struct control *ctl, struct service *s,
                   const json_t *migration)
{
    json_t *from = json_object_get(migration, "from");
    json_t *to = json_object_get(migration, "to");
    const char *id = json_string_value(json_object_get(migration, "operation"));
    struct arena a = ARENA_INIT;
    struct operation *op;
    struct traffic *t;

    if (!from || !to || !id)
        return;
    op = operation_begin_aside(
        ctl, s->app->id, METHOD,
        arena_printf(&a, "apps/%s/services/%s", s->app->id, s->id));
    snprintf(op->id, sizeof(op->id), "%s", id);
    t = traffic_new(ctl, s, op, json_incref(to));
    t->from = json_incref(from);
    t->step = (int)json_integer_value(json_object_get(migration, "step"));
    log_info(NULL, "traffic.resume", "service", s->id, "step",
             log_int(t->step));
    uv_timer_start(&t->timer, on_step_due, AGAIN_MS, 0);
    arena_release(&a);
}

void deploy_resume(struct control *ctl)
{
    for (struct app *a = ctl->model.apps; a; a = a->next)
        for (struct service *s = a->services; s; s = s->next) {
            const json_t *migration = json_object_get(s->doc, "migration");

            if (migration)
                resume(ctl, s, migration);
        }
}
