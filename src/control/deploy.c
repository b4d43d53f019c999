/*
 * deploy - the steps of a deployment, one function each.
 *
 *     record   the change is named in the store, to be found after a crash
 *     store    the code goes into the store
 *     prepare  unpacked and built
 *     ticket   the server learns who the new instances are
 *     start    the instances listen
 *     switch   haproxy and nginx follow
 *     commit   the store takes the new state
 *
 * A failure undoes in reverse: routes, instances, code.
 */
#include "control/deploy.h"

#include "base/errinj.h"
#include "base/log.h"
#include "control/archive.h"
#include "control/bring.h"
#include "control/instance.h"
#include "control/join.h"
#include "control/retire.h"
#include "control/routing.h"
#include "control/server_call.h"
#include "control/split.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>

enum { TOKEN_BYTES = 24 };

struct deploy {
    struct control *ctl;
    struct operation *op;
    struct service *service;
    bool service_new;
    bool promote;
    bool stored;          /* its code is in the store already */
    struct version *v;    /* the new one */
    struct version *same; /* of the same id, replaced; or NULL */
    json_t *doc_before;   /* the service's document, to go back to */
    size_t step;
};

static void deploy_step(struct deploy *d);
static void deploy_fail(struct deploy *d, struct ctx *ctx, int rc);

/* A step is over. */
static void deploy_next(struct deploy *d, struct ctx *ctx, int rc)
{
    if (rc == 0 && d->ctl->stopping)
        rc = ctx_err(ctx, ERR_CANCELLED, "the platform is being stopped");
    if (rc) {
        deploy_fail(d, ctx, rc);
        return;
    }
    d->step++;
    deploy_step(d);
}

static void on_step_done(struct ctx *ctx, int rc, void *arg)
{
    deploy_next(arg, ctx, rc);
}

/* ---- the steps ---- */

static const char *operation_row(struct arena *a, const struct operation *op)
{
    return arena_printf(a, "%s/%s", op->app, op->id);
}

static void step_record(struct deploy *d, struct ctx *ctx)
{
    json_t *o = json_pack("{s:s, s:s, s:O}", "target", d->op->target, "archive",
                          d->v->archive, "archiveSize",
                          json_object_get(d->v->doc, "archiveSize"));
    char *text = json_dumps(o, JSON_COMPACT);
    struct server_row row = {"operations", operation_row(ctx->arena, d->op),
                             text};

    server_write(ctx, d->ctl, &row, 1, on_step_done, d);
    free(text);
    json_decref(o);
}

static void step_store(struct deploy *d, struct ctx *ctx)
{
    if (d->stored)
        deploy_next(d, ctx, 0);
    else
        archive_store(d->ctl, d->v->archive, on_step_done, d);
}

static void on_prepare_says(const char *sentence, void *arg)
{
    operation_say(((struct deploy *)arg)->op, sentence);
}

static void step_prepare(struct deploy *d, struct ctx *ctx)
{
    (void)ctx;
    errinj_crash("control.deploy.prepare");
    prepare(d->ctl, d->v, on_prepare_says, on_step_done, d);
}

static void step_ticket(struct deploy *d, struct ctx *ctx)
{
    server_tickets(ctx, d->ctl, d->v, on_step_done, d);
}

/* It starts with as many as have the traffic that it takes over: all of it is
 * there from the first second. */
static void step_start(struct deploy *d, struct ctx *ctx)
{
    const struct version *same = model_version(d->service, d->v->id);
    double share = d->promote || !model_serving(d->service) ? 1
                   : same                                   ? model_share(same)
                                                            : 0;

    (void)ctx;
    bring(d->ctl, d->v, traffic_instances(d->ctl, d->v, share), NULL,
          on_step_done, d);
}

static void step_switch(struct deploy *d, struct ctx *ctx)
{
    (void)ctx;
    errinj_crash("control.deploy.switch");
    d->same = model_version(d->service, d->v->id);
    d->doc_before = d->service->doc;
    if (d->promote || !model_serving(d->service))
        d->service->doc = split_doc(d->service, split_whole(d->v->id));
    else
        json_incref(d->doc_before);
    if (d->same)
        d->same->draining = true;
    model_version_add(d->service, d->v);
    routing_apply(d->ctl, on_step_done, d);
}

static void step_commit(struct deploy *d, struct ctx *ctx)
{
    struct arena *a = ctx->arena;
    const struct service *s = d->service;
    char *version = json_dumps(d->v->doc, JSON_COMPACT);
    char *service = json_dumps(s->doc, JSON_COMPACT);
    struct server_row rows[] = {
        {"services", arena_printf(a, "%s/%s", s->app->id, s->id), service},
        {"versions", arena_printf(a, "%s/%s/%s", s->app->id, s->id, d->v->id),
         version},
        {"operations", operation_row(a, d->op), NULL},
    };

    server_write(ctx, d->ctl, rows, 3, on_step_done, d);
    free(version);
    free(service);
}

/* ---- after the commit: the old instances go ---- */

static void on_routes_cleaned(struct ctx *ctx, int rc, void *arg)
{
    (void)ctx;
    (void)rc;
    (void)arg;
}

static void on_replaced_gone(struct version *v, void *arg)
{
    struct control *ctl = arg;

    model_version_remove(v);
    routing_apply(ctl, on_routes_cleaned, NULL);
    retire_bury(ctl, v);
}

static void step_done(struct deploy *d, struct ctx *ctx)
{
    struct control *ctl = d->ctl;

    if (d->same)
        retire(ctl, d->same, on_replaced_gone, ctl);
    traffic_retire(ctl, d->service, d->doc_before);
    join_keep(ctl, d->v->archive, d->service);
    json_decref(d->doc_before);
    operation_end(d->op, ctx, 0, deploy_version_json(ctl, d->v, true));
    ctl->jobs--;
    free(d);
}

static const struct {
    const char *sentence; /* NULL: the step speaks for itself */
    void (*run)(struct deploy *d, struct ctx *ctx);
} steps[] = {
    {"Checking the archive", step_record},
    {"Storing the code", step_store},
    {NULL, step_prepare},
    {"Registering the version", step_ticket},
    {"Starting instances", step_start},
    {"Routing requests to it", step_switch},
    {"Recording the version", step_commit},
    {"Done", step_done},
};

enum { STEP_SWITCH = 5 };

static void deploy_step(struct deploy *d)
{
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &a);
    if (steps[d->step].sentence)
        operation_say(d->op, steps[d->step].sentence);
    if (errinj("control.deploy.step"))
        deploy_fail(d, &ctx,
                    ctx_err(&ctx, ERR_IO, "injected at step %zu", d->step));
    else
        steps[d->step].run(d, &ctx);
    arena_release(&a);
}

/* ---- undo ---- */

static void on_ignored(struct ctx *ctx, int rc, void *arg)
{
    (void)ctx;
    (void)rc;
    (void)arg;
}

static void on_fresh_gone(struct version *v, void *arg)
{
    struct deploy *d = arg;
    struct arena a = ARENA_INIT;
    struct server_row row;
    struct ctx ctx;

    if (v->n_instances > 0)
        return;
    ctx_init(&ctx, &a);
    instances_watch(v, NULL, NULL);
    row = (struct server_row){"operations", operation_row(&a, d->op), NULL};
    server_write(&ctx, d->ctl, &row, 1, on_ignored, NULL);
    retire_bury(d->ctl, v);
    if (d->service_new && !d->service->versions)
        model_service_remove(d->service);
    server_tickets(&ctx, d->ctl, NULL, on_ignored, NULL);
    d->op->done = true; /* the story is there since deploy_fail() */
    d->op->ended = clock_wall();
    d->ctl->jobs--;
    free(d);
    arena_release(&a);
}

static void on_routes_back(struct ctx *ctx, int rc, void *arg)
{
    struct deploy *d = arg;

    (void)ctx;
    (void)rc;
    instances_stop(d->ctl, d->v, on_fresh_gone, d);
}

static void deploy_fail(struct deploy *d, struct ctx *ctx, int rc)
{
    operation_end(d->op, ctx, rc, NULL);
    d->op->done = false; /* until everything is as it was */
    operation_say(d->op, "Undoing");
    if (d->step < STEP_SWITCH || !d->doc_before) {
        on_routes_back(ctx, 0, d);
        return;
    }
    json_decref(d->service->doc);
    d->service->doc = d->doc_before;
    if (d->same)
        d->same->draining = false;
    model_version_remove(d->v);
    d->v->service = d->service;
    routing_apply(d->ctl, on_routes_back, d);
}

/* ---- the beginning ---- */

/* gcloud's habit, for a version that nobody has named: 20260101t120000. */
static const char *version_id(struct arena *a, const json_t *in, int64_t now)
{
    const char *id = json_string_value(json_object_get(in, "id"));
    char stamp[32];
    time_t s = (time_t)(now / CLOCK_SEC);
    struct tm tm;

    if (id)
        return id;
    gmtime_r(&s, &tm);
    strftime(stamp, sizeof(stamp), "%Y%m%dt%H%M%S", &tm);
    return arena_strdup(a, stamp);
}

/* The parts of the document that are the platform's to say. */
static json_t *complete_doc(struct control *ctl, const struct service *s,
                            const json_t *in, const char *archive, int64_t size)
{
    json_t *doc = json_copy((json_t *)(uintptr_t)in);
    unsigned char random[TOKEN_BYTES];
    char token[2 * TOKEN_BYTES + 1];
    struct arena a = ARENA_INIT;
    int64_t now = clock_wall();
    const char *id = version_id(&a, in, now);

    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(token, sizeof(token), random, sizeof(random));
    json_object_del(doc, "deployment");
    json_object_update_new(
        doc,
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s}", "id",
                  id, "name",
                  arena_printf(&a, "apps/%s/services/%s/versions/%s",
                               s->app->id, s->id, id),
                  "deploymentId", arena_printf(&a, "%" PRId64, now), "archive",
                  archive, "archiveSize", (json_int_t)size, "token", token,
                  "createTime", operation_time(&a, now), "env", "standard",
                  "servingStatus", "SERVING", "versionUrl",
                  arena_printf(&a, "http://%s-dot-%s-dot-%s", id, s->id,
                               routing_url(ctl, &a, s->app) + 7)));
    arena_release(&a);
    return doc;
}

/* "uploads/SHA256" of deployment.zip.sourceUrl. */
static int find_archive(struct ctx *ctx, struct control *ctl, const json_t *doc,
                        const char **out)
{
    const char *url = NULL;

    json_unpack((json_t *)(uintptr_t)doc, "{s:{s:{s:s}}}", "deployment", "zip",
                "sourceUrl", &url);
    if (!url || strncmp(url, "uploads/", 8) != 0 || !archive_name_ok(url + 8))
        return ctx_err(ctx, ERR_INVALID,
                       "deployment.zip.sourceUrl must name an upload, as "
                       "uploads/SHA256");
    *out = url + 8;
    if (!archive_complete(ctl, *out))
        return ctx_err(ctx, ERR_NOT_FOUND,
                       "the upload %s is not complete: send the archive first",
                       *out);
    return 0;
}

static int find_service(struct ctx *ctx, struct control *ctl, const char *app,
                        const char *service, struct service **out, bool *is_new)
{
    struct app *a = model_app(&ctl->model, app);
    int rc;

    if (!a)
        return ctx_err(ctx, ERR_NOT_FOUND,
                       "there is no application \"%s\": create it first", app);
    *out = model_service(a, service);
    if (*out)
        return 0;
    rc = model_check_id(ctx, "service", service);
    if (rc == 0 && strcmp(service, "default") != 0 &&
        !model_service(a, "default"))
        rc = ctx_err(ctx, ERR_INVALID,
                     "the first service of an application is \"default\": "
                     "deploy it before \"%s\"",
                     service);
    if (rc)
        return rc;
    *is_new = true;
    *out = model_service_add(a, service, json_pack("{s:s}", "id", service));
    return 0;
}

/* What an operator has set for the service goes over the version's own. */
static int check_scaling(struct ctx *ctx, const struct version *v)
{
    struct scaling scaling = v->scaling;
    int rc = scaling_override(ctx, json_object_get(v->service->doc, "scaling"),
                              &scaling);
    const char *why;

    if (rc == 0)
        return 0;
    why = arena_strdup(ctx->arena, ctx->err.message);
    ctx_err_clear(ctx);
    return ctx_err(ctx, rc,
                   "the scaling settings of service %s do not fit: %s "
                   "(appscale services scaling changes them)",
                   v->service->id, why);
}

/* The reference `doc` is taken over. */
static int deploy_new(struct ctx *ctx, struct deploy *d, json_t *doc)
{
    int rc = model_version_new(ctx, doc, &d->v);

    json_decref(doc);
    if (rc)
        return rc;
    d->v->service = d->service;
    rc = check_scaling(ctx, d->v);
    if (rc == 0)
        rc = operation_begin(
            ctx, d->ctl, d->service->app->id,
            "google.appengine.v1.Versions.CreateVersion",
            json_string_value(json_object_get(d->v->doc, "name")), &d->op);
    if (rc)
        model_version_free(d->v);
    return rc;
}

static struct deploy *deploy_alloc(struct control *ctl, bool promote)
{
    struct deploy *d = calloc(1, sizeof(*d));

    if (!d)
        abort();
    *d = (struct deploy){.ctl = ctl, .promote = promote};
    return d;
}

static int deploy_begin(struct deploy *d, int rc, struct operation **out)
{
    if (rc) {
        if (d->service_new)
            model_service_remove(d->service);
        free(d);
        return rc;
    }
    *out = d->op;
    d->ctl->jobs++;
    deploy_step(d);
    return 0;
}

int deploy_version(struct ctx *ctx, struct control *ctl, const char *app,
                   const char *service, json_t *doc, bool promote,
                   struct operation **out)
{
    struct deploy *d = deploy_alloc(ctl, promote);
    const char *archive = NULL;
    int rc = find_service(ctx, ctl, app, service, &d->service, &d->service_new);

    if (rc == 0)
        rc = find_archive(ctx, ctl, doc, &archive);
    if (rc == 0)
        rc = deploy_new(ctx, d,
                        complete_doc(ctl, d->service, doc, archive,
                                     archive_size(ctl, archive)));
    return deploy_begin(d, rc, out);
}

/* hosting.md, 4: which class scales how. */
static int check_class(struct ctx *ctx, const struct version *v,
                       const char *class)
{
    static const char *const classes[] = {"F1", "F2", "F4",    "F4_1G", "B1",
                                          "B2", "B4", "B4_1G", "B8"};
    bool automatic = v->scaling.kind == SCALING_AUTOMATIC;

    for (size_t i = 0; class && i < sizeof(classes) / sizeof(classes[0]); i++)
        if (strcmp(class, classes[i]) == 0 && (*class == 'F') == automatic)
            return 0;
    return ctx_err(ctx, ERR_INVALID,
                   "instanceClass %s does not go with the scaling of version "
                   "%s: use one of %s",
                   class ? class : "(no text)", v->id,
                   automatic ? "F1, F2, F4, F4_1G" : "B1, B2, B4, B4_1G, B8");
}

int deploy_class(struct ctx *ctx, struct control *ctl, struct version *v,
                 const json_t *class, struct operation **out)
{
    struct deploy *d;
    json_t *doc;
    int rc = check_class(ctx, v, json_string_value(class));

    if (rc)
        return rc;
    d = deploy_alloc(ctl, false);
    d->service = v->service;
    d->stored = true;
    doc = json_deep_copy(v->doc);
    json_object_set(doc, "instanceClass", (json_t *)(uintptr_t) class);
    rc = deploy_new(
        ctx, d,
        complete_doc(ctl, v->service, doc, v->archive,
                     json_integer_value(json_object_get(doc, "archiveSize"))));
    json_decref(doc);
    return deploy_begin(d, rc, out);
}

json_t *deploy_version_json(const struct control *ctl, const struct version *v,
                            bool full)
{
    static const char *const secrets[] = {"token", "archive", "archiveSize"};
    static const char *const details[] = {"handlers", "envVariables",
                                          "errorHandlers", "libraries"};
    json_t *o = json_copy(v->doc);

    (void)ctl;
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
        json_object_del(o, secrets[i]);
    for (size_t i = 0; !full && i < sizeof(details) / sizeof(details[0]); i++)
        json_object_del(o, details[i]);
    return o;
}
