/*
 * admin_datastore - the part of the API that looks after the data of
 * applications.  The server does the work; here it is asked.
 */
#include "control/admin_datastore.h"

#include "base/log.h"
#include "control/operation.h"
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

/* ---- long work: an operation here, a job in the server ---- */

enum { LOOK_MS = 100 };

struct watch {
    struct control *ctl;
    struct operation *op;
    struct admin_call *call; /* until it has been answered */
    int64_t job;
    uv_timer_t timer;
};

static void watch_closed(uv_handle_t *h)
{
    free(h->data);
}

static void watch_end(struct watch *w, struct ctx *ctx, int rc,
                      json_t *response)
{
    operation_end(w->op, ctx, rc, response);
    if (w->call)
        admin_reply(w->call, operation_json(w->op));
    w->ctl->jobs--;
    uv_close((uv_handle_t *)&w->timer, watch_closed);
}

static json_t *report_json(const struct platform_GetJobResponse *r)
{
    json_t *faults = json_array(), *findings = json_array();

    for (size_t i = 0; i < platform_GetJobResponse_n_fault(r); i++) {
        const struct platform_Fault *f = platform_GetJobResponse_fault(r, i);

        json_array_append_new(
            faults,
            json_pack("{s:s%, s:s%, s:I, s:I}", "fault",
                      platform_Fault_name(f).p, platform_Fault_name(f).n,
                      "sentence", platform_Fault_sentence(f).p,
                      platform_Fault_sentence(f).n, "found",
                      (json_int_t)platform_Fault_found(f), "mended",
                      (json_int_t)platform_Fault_mended(f)));
    }
    for (size_t i = 0; i < platform_GetJobResponse_n_finding(r); i++) {
        const struct platform_Finding *f =
            platform_GetJobResponse_finding(r, i);

        json_array_append_new(
            findings,
            json_pack("{s:s%, s:s%, s:b}", "fault", platform_Finding_fault(f).p,
                      platform_Finding_fault(f).n, "where",
                      platform_Finding_where(f).p, platform_Finding_where(f).n,
                      "mended", platform_Finding_mended(f)));
    }
    return json_pack("{s:I, s:I, s:I, s:o, s:o}", "entities",
                     (json_int_t)platform_GetJobResponse_entities(r),
                     "indexRows", (json_int_t)platform_GetJobResponse_rows(r),
                     "notJudged", (json_int_t)platform_GetJobResponse_busy(r),
                     "faults", faults, "findings", findings);
}

static json_t *response_json(const struct operation *op,
                             const struct platform_GetJobResponse *r)
{
    if (strcmp(op->method, "datastore.verify") == 0)
        return report_json(r);
    if (strcmp(op->method, "datastore.compact") == 0)
        return json_pack("{s:b, s:I, s:I}", "compacted",
                         platform_GetJobResponse_compacted(r), "before",
                         (json_int_t)platform_GetJobResponse_before(r), "after",
                         (json_int_t)platform_GetJobResponse_after(r));
    return json_object();
}

static void look_due(uv_timer_t *t);

static void on_job(struct ctx *ctx, int rc, const void *out, void *arg)
{
    struct watch *w = arg;

    if (rc) {
        watch_end(w, ctx, rc, NULL);
        return;
    }
    operation_say(w->op,
                  arena_cstr(ctx->arena, platform_GetJobResponse_step(out)));
    if (!platform_GetJobResponse_done(out)) {
        uv_timer_start(&w->timer, look_due, LOOK_MS, 0);
        return;
    }
    if (platform_GetJobResponse_code(out))
        rc = ctx_err(ctx, -platform_GetJobResponse_code(out), "%.*s",
                     BYTES_FMT(platform_GetJobResponse_why(out)));
    watch_end(w, ctx, rc, rc ? NULL : response_json(w->op, out));
}

static void look(struct ctx *ctx, struct watch *w)
{
    struct platform_GetJobRequest *m = platform_GetJobRequest_new(ctx);

    platform_GetJobRequest_set_id(m, w->job);
    server_call(ctx, w->ctl,
                &(struct server_call){.method = "GetJob",
                                      .in = WIRE_platform_GetJobRequest,
                                      .out = WIRE_platform_GetJobResponse,
                                      .message = m,
                                      .fn = on_job,
                                      .arg = w});
}

static void look_due(uv_timer_t *t)
{
    struct watch *w = t->data;
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &a);
    if (w->ctl->stopping)
        watch_end(w, &ctx,
                  ctx_err(&ctx, ERR_CANCELLED, "the platform is stopping"),
                  NULL);
    else
        look(&ctx, w);
    arena_release(&a);
}

static void on_started(struct ctx *ctx, int rc, const void *out, void *arg)
{
    struct watch *w = arg;

    if (rc || !platform_StartJobResponse_has_id(out)) {
        watch_end(w, ctx, rc, NULL);
        return;
    }
    w->job = platform_StartJobResponse_id(out);
    admin_reply(w->call, operation_json(w->op));
    w->call = NULL;
    look(ctx, w);
}

/* The same work that is under way already is followed, not begun again. */
static struct operation *under_way(struct control *ctl, const char *app,
                                   const char *method, const char *target)
{
    struct operation *op = ctl->operations;

    while (op &&
           (op->done || strcmp(op->app, app) != 0 ||
            strcmp(op->method, method) != 0 || strcmp(op->target, target) != 0))
        op = op->next;
    return op;
}

static int begin(struct admin_call *c, const char *app, int32_t kind,
                 const char *method, bool repair)
{
    const char *target = repair ? "repair" : "datastore";
    struct operation *op = under_way(c->ctl, app, method, target);
    struct platform_StartJobRequest *m;
    struct watch *w;

    if (op) {
        admin_reply(c, operation_json(op));
        return 0;
    }
    w = calloc(1, sizeof(*w));
    if (!w)
        abort();
    w->ctl = c->ctl;
    w->call = c;
    w->op = operation_begin_aside(c->ctl, app, method, target);
    w->ctl->jobs++;
    uv_timer_init(&c->ctl->loop, &w->timer);
    w->timer.data = w;
    m = platform_StartJobRequest_new(&c->ctx);
    platform_StartJobRequest_set_kind(m, kind);
    platform_StartJobRequest_set_repair(m, repair);
    if (strcmp(app, "-") != 0)
        platform_StartJobRequest_set_app(m, bytes_str(app));
    server_call(&c->ctx, c->ctl,
                &(struct server_call){.method = "StartJob",
                                      .in = WIRE_platform_StartJobRequest,
                                      .out = WIRE_platform_StartJobResponse,
                                      .message = m,
                                      .fn = on_started,
                                      .arg = w});
    return 0;
}

static int start_compact(struct admin_call *c)
{
    return begin(c, "-", platform_StartJobRequest_COMPACT, "datastore.compact",
                 false);
}

static int start_count(struct admin_call *c)
{
    int rc = model_check_project(&c->ctx, c->words[0]);

    return rc ? rc
              : begin(c, c->words[0], platform_StartJobRequest_STATS,
                      "datastore.count", false);
}

static int start_verify(struct admin_call *c)
{
    int rc = model_check_project(&c->ctx, c->words[0]);

    return rc ? rc
              : begin(c, c->words[0], platform_StartJobRequest_VERIFY,
                      "datastore.verify",
                      json_is_true(json_object_get(c->body, "repair")));
}

/* ---- statistics ---- */

static json_t *figures_json(const struct platform_Figures *f)
{
    json_t *o = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I}", "count",
        (json_int_t)platform_Figures_count(f), "entityBytes",
        (json_int_t)platform_Figures_entity_bytes(f), "builtinIndexBytes",
        (json_int_t)platform_Figures_builtin_index_bytes(f),
        "builtinIndexCount",
        (json_int_t)platform_Figures_builtin_index_count(f),
        "compositeIndexBytes",
        (json_int_t)platform_Figures_composite_index_bytes(f),
        "compositeIndexCount",
        (json_int_t)platform_Figures_composite_index_count(f));

    if (platform_Figures_has_kind(f))
        json_object_set_new(o, "kind",
                            json_stringn(platform_Figures_kind(f).p,
                                         platform_Figures_kind(f).n));
    return o;
}

static void on_stats(struct ctx *ctx, int rc, const void *out, void *arg)
{
    struct admin_call *c = arg;
    json_t *o, *kinds;

    if (rc) {
        admin_fail(c, ctx, rc);
        return;
    }
    o = json_pack("{s:s}", "id", c->words[0]);
    if (platform_DatastoreStatsResponse_has_timestamp(out)) {
        kinds = json_array();
        for (size_t i = 0; i < platform_DatastoreStatsResponse_n_kind(out); i++)
            json_array_append_new(
                kinds,
                figures_json(platform_DatastoreStatsResponse_kind(out, i)));
        json_object_set_new(
            o, "time",
            json_string(operation_time(
                ctx->arena, platform_DatastoreStatsResponse_timestamp(out))));
        json_object_set_new(
            o, "total",
            figures_json(platform_DatastoreStatsResponse_total(out)));
        json_object_set_new(o, "kinds", kinds);
    }
    admin_reply(c, o);
}

static int get_stats(struct admin_call *c)
{
    struct platform_DatastoreStatsRequest *m;
    int rc = model_check_project(&c->ctx, c->words[0]);

    if (rc)
        return rc;
    m = platform_DatastoreStatsRequest_new(&c->ctx);
    platform_DatastoreStatsRequest_set_app(m, bytes_str(c->words[0]));
    server_call(
        &c->ctx, c->ctl,
        &(struct server_call){.method = "DatastoreStats",
                              .in = WIRE_platform_DatastoreStatsRequest,
                              .out = WIRE_platform_DatastoreStatsResponse,
                              .message = m,
                              .fn = on_stats,
                              .arg = c});
    return 0;
}

/* ---- chores ---- */

static void on_counting(struct ctx *ctx, int rc, const void *out, void *arg)
{
    (void)out;
    (void)arg;
    if (rc)
        log_warn(ctx, "control.stats", "why", ctx_err_text(ctx, rc));
}

static void count_if_old(struct ctx *ctx, struct control *ctl,
                         const struct app *app)
{
    struct platform_StartJobRequest *m = platform_StartJobRequest_new(ctx);

    platform_StartJobRequest_set_kind(m, platform_StartJobRequest_STATS);
    platform_StartJobRequest_set_app(m, bytes_str(app->id));
    platform_StartJobRequest_set_older_than(m,
                                            ctl->settings.stats_hours * 3600);
    server_call(ctx, ctl,
                &(struct server_call){.method = "StartJob",
                                      .in = WIRE_platform_StartJobRequest,
                                      .out = WIRE_platform_StartJobResponse,
                                      .message = m,
                                      .fn = on_counting,
                                      .arg = NULL});
}

void admin_datastore_chore(struct control *ctl)
{
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    if (!ctl->loaded)
        return;
    ctx_init(&ctx, &a);
    admin_datastore_mode(&ctx, ctl);
    for (struct app *app = ctl->model.apps; app && ctl->settings.stats_hours;
         app = app->next)
        count_if_old(&ctx, ctl, app);
    arena_release(&a);
}

#define ALL "/v1/platform/datastore"
#define APP "/v1/apps/*/datastore"

const struct admin_route admin_datastore_routes[] = {
    {"PATCH", ALL, mode_all},
    {"PATCH", APP, mode_app},
    {"POST", ALL ":compact", start_compact},
    {"POST", APP ":verify", start_verify},
    {"POST", APP ":count", start_count},
    {"GET", APP "/statistics", get_stats},
    {.path = NULL},
};
