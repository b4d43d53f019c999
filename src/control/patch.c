/*
 * patch - changes of a version, of a service's scaling and of the dispatch
 * rules: check, write the row, follow.
 *
 * The store takes the new document first and the model after it; what follows
 * (instances that come and go, routes) is what the next controller would make
 * of the document, too.
 */
#include "config/dispatchyaml.h"
#include "control/bring.h"
#include "control/deploy.h"
#include "control/instance.h"
#include "control/retire.h"
#include "control/routing.h"
#include "control/server_call.h"

#include <ctype.h>
#include <stdlib.h>

struct patch {
    struct control *ctl;
    struct operation *op;
    struct app *app;
    struct service *service; /* NULL: the app's document */
    struct version *v;       /* NULL: the service's */
    json_t *doc;             /* the new one */
    struct scaling scaling;  /* of the new one, of a version */
    bool stop, start;        /* servingStatus changes */
};

static struct patch *patch_new(struct control *ctl, struct operation *op,
                               struct app *app, json_t *doc)
{
    struct patch *p = calloc(1, sizeof(*p));

    if (!p)
        abort();
    *p = (struct patch){.ctl = ctl, .op = op, .app = app, .doc = doc};
    ctl->jobs++;
    return p;
}

static void patch_end(struct patch *p, struct ctx *ctx, int rc)
{
    const json_t *doc = p->v         ? NULL
                        : p->service ? p->service->doc
                                     : p->app->doc;
    json_t *shown = rc     ? NULL
                    : p->v ? deploy_version_json(p->ctl, p->v, false)
                           : json_incref((json_t *)(uintptr_t)doc);

    operation_end(p->op, ctx, rc, shown);
    p->ctl->jobs--;
    json_decref(p->doc);
    free(p);
}

static void patch_write(struct ctx *ctx, struct patch *p, server_done_fn *fn)
{
    struct arena *a = ctx->arena;
    const char *app = p->app->id;
    char *text = json_dumps(p->doc, JSON_COMPACT);
    struct server_row row = {"apps", app, text};

    if (p->v)
        row = (struct server_row){
            "versions",
            arena_printf(a, "%s/%s/%s", app, p->service->id, p->v->id), text};
    else if (p->service)
        row = (struct server_row){
            "services", arena_printf(a, "%s/%s", app, p->service->id), text};
    server_write(ctx, p->ctl, &row, 1, fn, p);
    free(text);
}

/* ---- a version: what may be changed ---- */

/* hosting.md, 9; in the Admin API's words. */
static const struct field {
    const char *mask;
    enum scaling_kind kind;
} fields[] = {
    {"manualScaling.instances", SCALING_MANUAL},
    {"automaticScaling.minIdleInstances", SCALING_AUTOMATIC},
    {"automaticScaling.maxIdleInstances", SCALING_AUTOMATIC},
    {"automaticScaling.standardSchedulerSettings.minInstances",
     SCALING_AUTOMATIC},
    {"automaticScaling.standardSchedulerSettings.maxInstances",
     SCALING_AUTOMATIC},
    {"automaticScaling.standardSchedulerSettings.targetCpuUtilization",
     SCALING_AUTOMATIC},
    {"automaticScaling.standardSchedulerSettings.targetThroughputUtilization",
     SCALING_AUTOMATIC},
};

enum { N_FIELDS = sizeof(fields) / sizeof(fields[0]) };

static const char *const kind_words[] = {[SCALING_AUTOMATIC] = "automatic",
                                         [SCALING_BASIC] = "basic",
                                         [SCALING_MANUAL] = "manual"};

/* A mask may be written with underscores: "manual_scaling.instances". */
static const char *camel(struct arena *a, const char *mask)
{
    char *text = arena_strdup(a, mask), *to = text;

    for (const char *c = text; *c; c++) {
        if (*c == '_' && c[1])
            *to++ = (char)toupper((unsigned char)*++c);
        else
            *to++ = *c;
    }
    *to = '\0';
    return text;
}

/* The member of `body` at `path`, "a.b.c"; NULL when it is not there. */
static json_t *member_at(struct arena *a, const json_t *body, const char *path)
{
    char *rest = arena_strdup(a, path), *word;

    while (body && (word = strsep(&rest, ".")))
        body = json_object_get(body, word);
    return (json_t *)(uintptr_t)body;
}

/* Put `value` there, or (NULL) take away what is. */
static void set_member(struct arena *a, json_t *doc, const char *path,
                       json_t *value)
{
    char *rest = arena_strdup(a, path), *word = strsep(&rest, ".");

    for (; rest; word = strsep(&rest, ".")) {
        if (!json_is_object(json_object_get(doc, word)))
            json_object_set_new(doc, word, json_object());
        doc = json_object_get(doc, word);
    }
    if (value)
        json_object_set(doc, word, value);
    else
        json_object_del(doc, word);
}

static int unknown_field(struct ctx *ctx, const char *mask)
{
    struct buf all = BUF_IN(ctx->arena);

    for (size_t i = 0; i < N_FIELDS; i++)
        buf_printf(&all, ", %s", fields[i].mask);
    return ctx_err(ctx, ERR_INVALID,
                   "updateMask names \"%s\"; of a version these can be "
                   "changed: servingStatus, instanceClass%s",
                   mask, buf_cstr(&all));
}

/* All fields of one scaling block may be named by the block: what the body
 * has of them counts. */
static bool names_field(const char *mask, const struct field *f,
                        const json_t *value)
{
    size_t n = strlen(mask);

    if (strncmp(mask, f->mask, n) != 0)
        return false;
    return f->mask[n] == '\0' || (f->mask[n] == '.' && value);
}

static int take_field(struct ctx *ctx, struct patch *p, const char *mask,
                      const json_t *body)
{
    bool found = false;

    for (size_t i = 0; i < N_FIELDS; i++) {
        const struct field *f = &fields[i];
        json_t *value = member_at(ctx->arena, body, f->mask);

        if (!names_field(mask, f, value))
            continue;
        found = true;
        if (p->v->scaling.kind != f->kind)
            return ctx_err(ctx, ERR_INVALID,
                           "version %s has %s scaling, and so no %s", p->v->id,
                           kind_words[p->v->scaling.kind], f->mask);
        if (!value && f->kind == SCALING_MANUAL)
            return ctx_err(ctx, ERR_INVALID, "%s is missing in the body",
                           f->mask);
        set_member(ctx->arena, p->doc, f->mask, value);
    }
    return found ? 0 : unknown_field(ctx, mask);
}

static int take_status(struct ctx *ctx, struct patch *p, const json_t *body)
{
    const char *to = json_string_value(json_object_get(body, "servingStatus"));
    bool stop = to && strcmp(to, "STOPPED") == 0;

    if (!stop && (!to || strcmp(to, "SERVING") != 0))
        return ctx_err(ctx, ERR_INVALID,
                       "servingStatus must be SERVING or STOPPED");
    if (p->v->scaling.kind == SCALING_AUTOMATIC)
        return ctx_err(ctx, ERR_INVALID,
                       "version %s has automatic scaling, and is neither "
                       "started nor stopped by hand: its instances come and go "
                       "with its requests",
                       p->v->id);
    p->stop = stop && !p->v->stopped;
    p->start = !stop && p->v->stopped;
    json_object_set_new(p->doc, "servingStatus", json_string(to));
    return 0;
}

/* What the values say together, with the service's settings over them. */
static int check_scaling(struct ctx *ctx, struct patch *p)
{
    struct scaling in_force;
    int most = (int)p->ctl->settings.instances_max;
    int rc = scaling_read(ctx, p->doc, &p->scaling);

    if (rc)
        return rc;
    if (p->scaling.kind == SCALING_MANUAL && p->scaling.min > most)
        return ctx_err(ctx, ERR_INVALID,
                       "%d instances are more than this machine gives a "
                       "version: %d (setting instances_max)",
                       p->scaling.min, most);
    in_force = p->scaling;
    return scaling_override(ctx, json_object_get(p->service->doc, "scaling"),
                            &in_force);
}

static int take_mask(struct ctx *ctx, struct patch *p, const char *mask,
                     const json_t *body)
{
    char *rest = arena_strdup(ctx->arena, camel(ctx->arena, mask)), *one;
    bool status = false, others = false;
    int rc = 0;

    while (rc == 0 && (one = strsep(&rest, ","))) {
        if (strcmp(one, "servingStatus") == 0) {
            status = true;
            rc = take_status(ctx, p, body);
        } else {
            others = true;
            rc = take_field(ctx, p, one, body);
        }
    }
    if (rc == 0 && status && others)
        rc = ctx_err(ctx, ERR_INVALID,
                     "servingStatus is changed alone: make two changes");
    return rc ? rc : check_scaling(ctx, p);
}

/* ---- a version: the change ---- */

/* The model takes what the store has; nothing points into these members. */
static void adopt(struct patch *p)
{
    static const char *const members[] = {"servingStatus", "manualScaling",
                                          "automaticScaling"};
    struct version *v = p->v;

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        json_t *value = json_object_get(p->doc, members[i]);

        if (value)
            json_object_set(v->doc, members[i], value);
    }
    v->scaling = p->scaling;
    v->wanted = v->scaling.min > 0 ? v->scaling.min : 1;
}

static void on_cleaned(struct ctx *ctx, int rc, void *arg)
{
    (void)rc;
    patch_end(arg, ctx, 0);
}

static void on_ignored(struct ctx *ctx, int rc, void *arg)
{
    (void)ctx;
    (void)rc;
    (void)arg;
}

/* haproxy needs no backend for it any more. */
static void on_all_gone(struct version *v, void *arg)
{
    (void)v;
    routing_apply(arg, on_ignored, NULL);
}

/* Nobody sends it requests any more: the change is made, and what it still has
 * to do may take longer. */
static void on_stop_routed(struct ctx *ctx, int rc, void *arg)
{
    struct patch *p = arg;

    (void)rc; /* what the store says holds: load.c would do the same */
    if (p->v->n_instances > 0)
        retire(p->ctl, p->v, on_all_gone, p->ctl);
    patch_end(p, ctx, 0);
}

static void on_says(const char *sentence, void *arg)
{
    operation_say(((struct patch *)arg)->op, sentence);
}

static void on_version_written(struct ctx *ctx, int rc, void *arg)
{
    struct patch *p = arg;

    if (rc) {
        if (p->start)
            instances_stop(p->ctl, p->v, NULL, NULL);
        patch_end(p, ctx, rc);
        return;
    }
    adopt(p);
    if (p->stop || p->start)
        p->v->stopped = p->stop;
    if (p->stop)
        routing_apply(p->ctl, on_stop_routed, p);
    else if (p->start)
        routing_apply(p->ctl, on_cleaned, p);
    else if (p->v->scaling.kind == SCALING_MANUAL && !p->v->stopped)
        bring(p->ctl, p->v, p->v->scaling.min, on_says, on_cleaned, p);
    else
        patch_end(p, ctx, 0); /* scale.c follows */
}

static void on_started(struct ctx *ctx, int rc, void *arg)
{
    struct patch *p = arg;

    if (rc) {
        instances_stop(p->ctl, p->v, NULL, NULL);
        patch_end(p, ctx, rc);
    } else {
        patch_write(ctx, p, on_version_written);
    }
}

int deploy_version_patch(struct ctx *ctx, struct control *ctl,
                         struct version *v, const char *mask,
                         const json_t *body, struct operation **out)
{
    struct patch probe = {.ctl = ctl,
                          .app = v->service->app,
                          .service = v->service,
                          .v = v,
                          .doc = json_deep_copy(v->doc)};
    const char *name = json_string_value(json_object_get(v->doc, "name"));
    struct patch *p;
    int rc;

    if (strcmp(camel(ctx->arena, mask), "instanceClass") == 0) {
        json_decref(probe.doc);
        return deploy_class(ctx, ctl, v, json_object_get(body, "instanceClass"),
                            out);
    }
    rc = take_mask(ctx, &probe, mask, body);
    if (rc == 0)
        rc = operation_begin(ctx, ctl, probe.app->id,
                             "google.appengine.v1.Versions.UpdateVersion",
                             name ? name : v->id, out);
    if (rc) {
        json_decref(probe.doc);
        return rc;
    }
    p = patch_new(ctl, *out, probe.app, NULL);
    *p = probe;
    p->op = *out;
    operation_say(p->op, p->start ? "Starting instances" : "Recording it");
    if (p->start && v->scaling.kind == SCALING_MANUAL)
        bring(ctl, v, v->scaling.min, on_says, on_started, p);
    else
        patch_write(ctx, p, on_version_written);
    return 0;
}

/* ---- the scaling of a service ---- */

static void on_doc_written(struct ctx *ctx, int rc, void *arg)
{
    struct patch *p = arg;
    json_t **doc = p->service ? &p->service->doc : &p->app->doc;

    if (rc == 0) {
        json_decref(*doc);
        *doc = json_incref(p->doc);
    }
    patch_end(p, ctx, rc); /* scale.c looks at it next */
}

static json_t *merged(const json_t *old, const json_t *changes)
{
    json_t *set = old ? json_copy((json_t *)(uintptr_t)old) : json_object();
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)changes, name, value)
    {
        if (json_is_null(value))
            json_object_del(set, name);
        else
            json_object_set(set, name, value);
    }
    return set;
}

/* It has to fit every version, and is for a version of any kind alone where
 * there is none. */
static int check_settings(struct ctx *ctx, const struct service *s,
                          const json_t *set)
{
    struct scaling scaling;
    json_t *none = json_object();
    const char *why;
    int rc = scaling_read(ctx, none, &scaling);

    json_decref(none);
    if (rc == 0 && !s->versions)
        rc = scaling_override(ctx, set, &scaling);
    for (const struct version *v = s->versions; rc == 0 && v; v = v->next) {
        scaling = v->scaling;
        if (v->draining || scaling_override(ctx, set, &scaling) == 0)
            continue;
        why = arena_strdup(ctx->arena, ctx->err.message);
        ctx_err_clear(ctx);
        rc = ctx_err(ctx, ERR_INVALID, "%s (version %s)", why, v->id);
    }
    return rc;
}

int deploy_scaling(struct ctx *ctx, struct control *ctl, struct service *s,
                   const json_t *changes, struct operation **out)
{
    const char *target =
        arena_printf(ctx->arena, "apps/%s/services/%s", s->app->id, s->id);
    json_t *set = NULL;
    struct patch *p;
    int rc = 0;

    if (!json_is_object(changes))
        return ctx_err(ctx, ERR_INVALID,
                       "scaling must be an object, as {\"max_instances\": 5}");
    set = merged(json_object_get(s->doc, "scaling"), changes);
    rc = check_settings(ctx, s, set);
    if (rc == 0)
        rc = operation_begin(ctx, ctl, s->app->id,
                             "google.appengine.v1.Services.UpdateService",
                             target, out);
    if (rc) {
        json_decref(set);
        return rc;
    }
    p = patch_new(ctl, *out, s->app, json_copy(s->doc));
    p->service = s;
    if (json_object_size(set) > 0)
        json_object_set_new(p->doc, "scaling", set);
    else {
        json_object_del(p->doc, "scaling");
        json_decref(set);
    }
    patch_write(ctx, p, on_doc_written);
    return 0;
}

/* ---- the dispatch rules of an app ---- */

static int check_rule(struct ctx *ctx, const struct app *app, size_t i,
                      const json_t *rule)
{
    const char *host = json_string_value(json_object_get(rule, "domain"));
    const char *path = json_string_value(json_object_get(rule, "path"));
    const char *service = json_string_value(json_object_get(rule, "service"));
    const char *why = NULL;

    if (!host || !path || !service)
        why = "domain, path and service are needed";
    if (!why)
        why = dispatchyaml_refused(ctx->arena, host, path);
    if (!why && !model_service(app, service))
        why = arena_printf(ctx->arena, "there is no service \"%s\"", service);
    return why ? ctx_err(ctx, ERR_INVALID, "dispatchRules[%zu]: %s", i, why)
               : 0;
}

static void on_rules_routed(struct ctx *ctx, int rc, void *arg)
{
    patch_end(arg, ctx, rc);
}

static void on_rules_written(struct ctx *ctx, int rc, void *arg)
{
    struct patch *p = arg;

    if (rc) {
        patch_end(p, ctx, rc);
        return;
    }
    json_decref(p->app->doc);
    p->app->doc = json_incref(p->doc);
    routing_apply(p->ctl, on_rules_routed, p);
}

int deploy_dispatch(struct ctx *ctx, struct control *ctl, struct app *app,
                    const json_t *rules, struct operation **out)
{
    struct patch *p;
    int rc = 0;

    if (!json_is_array(rules) || json_array_size(rules) > DISPATCH_RULES_MAX)
        return ctx_err(ctx, ERR_INVALID,
                       "dispatchRules must be a list of at most %d rules",
                       DISPATCH_RULES_MAX);
    for (size_t i = 0; rc == 0 && i < json_array_size(rules); i++)
        rc = check_rule(ctx, app, i, json_array_get(rules, i));
    if (rc == 0)
        rc = operation_begin(
            ctx, ctl, app->id,
            "google.appengine.v1.Applications.UpdateApplication",
            arena_printf(ctx->arena, "apps/%s", app->id), out);
    if (rc)
        return rc;
    p = patch_new(ctl, *out, app, json_copy(app->doc));
    json_object_set(p->doc, "dispatchRules", (json_t *)(uintptr_t)rules);
    patch_write(ctx, p, on_rules_written);
    return 0;
}

/* ---- one instance again ---- */

struct renewal {
    struct control *ctl;
    struct operation *op;
    char *app, *service, *version;
    int index;
    int64_t since;
    uv_timer_t timer;
};

enum { LOOK_AGAIN_MS = 100 };

static void renewal_closed(uv_handle_t *h)
{
    struct renewal *r = h->data;

    free(r->app);
    free(r->service);
    free(r->version);
    free(r);
}

static bool still_there(const struct renewal *r)
{
    const struct version *v = model_version(
        model_service(model_app(&r->ctl->model, r->app), r->service),
        r->version);

    for (size_t i = 0; v && i < v->n_instances; i++)
        if (v->instances[i]->index == r->index &&
            v->instances[i]->process->since == r->since)
            return true;
    return false;
}

static void on_renewal_look(uv_timer_t *t)
{
    struct renewal *r = t->data;
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    if (still_there(r)) {
        uv_timer_start(t, on_renewal_look, LOOK_AGAIN_MS, 0);
        return;
    }
    ctx_init(&ctx, &a);
    operation_end(r->op, &ctx, 0, NULL);
    uv_close((uv_handle_t *)t, renewal_closed);
    arena_release(&a);
}

int deploy_renew(struct ctx *ctx, struct control *ctl, struct instance *in,
                 struct operation **out)
{
    struct version *v = in->version;
    const struct service *s = v->service;
    struct renewal *r = calloc(1, sizeof(*r));
    int rc = 0;

    if (!r)
        abort();
    *out = operation_begin_aside(
        ctl, s->app->id, "google.appengine.v1.Instances.DeleteInstance",
        arena_printf(ctx->arena, "apps/%s/services/%s/versions/%s/instances/%d",
                     s->app->id, s->id, v->id, in->index));
    *r = (struct renewal){.ctl = ctl,
                          .op = *out,
                          .app = strdup(s->app->id),
                          .service = strdup(s->id),
                          .version = strdup(v->id),
                          .index = in->index,
                          .since = in->process->since};
    uv_timer_init(&ctl->loop, &r->timer);
    r->timer.data = r;
    instance_leave(in);
    if (!v->stopped && !v->retiring)
        rc = instances_add(ctx, ctl, v, 1);
    if (rc)
        operation_warn(r->op, ctx_err_text(ctx, rc));
    ctx_err_clear(ctx);
    uv_timer_start(&r->timer, on_renewal_look, LOOK_AGAIN_MS, 0);
    return 0;
}
