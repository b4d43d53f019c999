/*
 * load - from the store's tables to a running platform.
 *
 * Once the server answers: read the tables one after another, end what crashes
 * left behind, hand out the tickets, prepare and start what has traffic, apply
 * the routes.  Whatever fails for one version (a build that no longer works) is
 * that version's trouble alone.
 */
#include "base/files.h"
#include "base/log.h"
#include "control/admin_datastore.h"
#include "control/archive.h"
#include "control/certs.h"
#include "control/control_int.h"
#include "control/cron.h"
#include "control/deploy.h"
#include "control/domains.h"
#include "control/instance.h"
#include "control/operation.h"
#include "control/prepare.h"
#include "control/routing.h"
#include "control/server_call.h"
#include "platform.pb.h"

#include <stdlib.h>

enum { SCAN_ROWS = 200, AGAIN_MS = 1000, REROUTE_MS = 5000 };

struct load {
    struct control *ctl;
    size_t table;
    struct bytes value; /* the row at hand, as it is */
    struct buf after;   /* the last row of the table that was taken */
    size_t preparing;   /* versions under way; one more for the loop itself */
    uv_timer_t timer;
};

static void load_table(struct load *l, struct ctx *ctx);
static void load_done(struct load *l, struct ctx *ctx);

/* ---- rows ---- */

static const char *first_part(struct arena *a, const char *row,
                              const char **rest)
{
    char *part = arena_strdup(a, row);
    char *slash = strchr(part, '/');

    if (slash)
        *slash = '\0';
    *rest = slash ? slash + 1 : "";
    return part;
}

static int take_app(struct ctx *ctx, struct load *l, const char *row,
                    json_t *doc)
{
    (void)ctx;
    model_app_add(&l->ctl->model, row, json_incref(doc));
    return 0;
}

static int take_service(struct ctx *ctx, struct load *l, const char *row,
                        json_t *doc)
{
    const char *id, *app = first_part(ctx->arena, row, &id);
    struct app *a = model_app(&l->ctl->model, app);

    if (!a)
        return ctx_err(ctx, ERR_CORRUPT, "its application is not there");
    model_service_add(a, id, json_incref(doc));
    return 0;
}

static int take_version(struct ctx *ctx, struct load *l, const char *row,
                        json_t *doc)
{
    const char *rest, *id, *service;
    struct app *a =
        model_app(&l->ctl->model, first_part(ctx->arena, row, &rest));
    struct service *s;
    struct version *v;
    int rc;

    service = first_part(ctx->arena, rest, &id);
    s = model_service(a, service);
    if (!s)
        return ctx_err(ctx, ERR_CORRUPT, "its service is not there");
    rc = model_version_new(ctx, doc, &v);
    if (rc == 0)
        model_version_add(s, v);
    return rc;
}

static void on_ignored(struct ctx *ctx, int rc, void *arg)
{
    (void)ctx;
    (void)rc;
    (void)arg;
}

/* A change that a crash cut short: its code goes, its story stays. */
static int take_operation(struct ctx *ctx, struct load *l, const char *row,
                          json_t *doc)
{
    const char *id, *app = first_part(ctx->arena, row, &id);
    const char *archive = json_string_value(json_object_get(doc, "archive"));
    struct server_row gone = {"operations", row, NULL};

    operation_lost(l->ctl, app, id);
    if (archive && archive_name_ok(archive) &&
        !model_archive_used(&l->ctl->model, archive))
        archive_delete(l->ctl, archive,
                       json_integer_value(json_object_get(doc, "archiveSize")),
                       on_ignored, NULL);
    server_write(ctx, l->ctl, &gone, 1, on_ignored, NULL);
    return 0;
}

static int take_cron(struct ctx *ctx, struct load *l, const char *row,
                     json_t *doc)
{
    return cron_take_file(ctx, l->ctl, row, doc);
}

static int take_cron_job(struct ctx *ctx, struct load *l, const char *row,
                         json_t *doc)
{
    (void)doc;
    return cron_take_job(ctx, l->ctl, row, arena_cstr(ctx->arena, l->value));
}

static int take_certificate(struct ctx *ctx, struct load *l, const char *row,
                            json_t *doc)
{
    (void)doc;
    return certs_take(ctx, l->ctl, row, arena_cstr(ctx->arena, l->value));
}

static int take_domain(struct ctx *ctx, struct load *l, const char *row,
                       json_t *doc)
{
    (void)doc;
    return domains_take(ctx, l->ctl, row, arena_cstr(ctx->arena, l->value));
}

static const struct {
    const char *name;
    int (*take)(struct ctx *ctx, struct load *l, const char *row, json_t *doc);
} tables[] = {
    {"apps", take_app},         {"services", take_service},
    {"versions", take_version}, {"operations", take_operation},
    {"cron", take_cron},        {"cronjobs", take_cron_job},
    {"domains", take_domain},   {"certificates", take_certificate},
};

enum { N_TABLES = sizeof(tables) / sizeof(tables[0]) };

static void take_row(struct ctx *ctx, struct load *l,
                     const struct platform_ScanResponse_Row *r)
{
    struct bytes value = platform_ScanResponse_Row_value(r);
    const char *row = arena_cstr(ctx->arena, platform_ScanResponse_Row_row(r));
    json_t *doc = json_loadb(value.p, value.n, 0, NULL);
    int rc;

    l->value = value;
    if (json_is_object(doc))
        rc = tables[l->table].take(ctx, l, row, doc);
    else
        rc = ctx_err(ctx, ERR_CORRUPT, "not a JSON object");
    if (rc)
        log_error(ctx, "load.row", "table", tables[l->table].name, "row", row,
                  "why", ctx_err_text(ctx, rc));
    ctx_err_clear(ctx);
    json_decref(doc);
}

static void again_due(uv_timer_t *t)
{
    struct load *l = t->data;
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &a);
    load_table(l, &ctx);
    arena_release(&a);
}

static void load_again(struct load *l, struct ctx *ctx, int rc)
{
    log_error(ctx, "load.failed", "table", tables[l->table].name, "why",
              ctx_err_text(ctx, rc));
    if (!l->ctl->stopping)
        uv_timer_start(&l->timer, again_due, AGAIN_MS, 0);
}

static void on_page(struct ctx *ctx, int rc, const void *out, void *arg)
{
    const struct platform_ScanResponse *page = out;
    struct load *l = arg;
    size_t n;

    if (rc) {
        load_again(l, ctx, rc);
        return;
    }
    n = platform_ScanResponse_n_row(page);
    for (size_t i = 0; i < n; i++) {
        const struct platform_ScanResponse_Row *r =
            platform_ScanResponse_row(page, i);

        take_row(ctx, l, r);
        buf_clear(&l->after);
        buf_add(&l->after, platform_ScanResponse_Row_row(r));
    }
    if (n == 0 || !platform_ScanResponse_more(page)) {
        buf_clear(&l->after);
        l->table++;
    }
    if (l->table < N_TABLES)
        load_table(l, ctx);
    else
        load_done(l, ctx);
}

static void load_table(struct load *l, struct ctx *ctx)
{
    struct platform_ScanRequest *m = platform_ScanRequest_new(ctx);

    platform_ScanRequest_set_table(m, bytes_str(tables[l->table].name));
    platform_ScanRequest_set_limit(m, SCAN_ROWS);
    if (l->after.n)
        platform_ScanRequest_set_after(m, buf_view(&l->after));
    server_call(ctx, l->ctl,
                &(struct server_call){.method = "Scan",
                                      .in = WIRE_platform_ScanRequest,
                                      .out = WIRE_platform_ScanResponse,
                                      .message = m,
                                      .fn = on_page,
                                      .arg = l});
}

/* ---- what is deployed runs again ---- */

static void load_closed(uv_handle_t *h)
{
    struct load *l = h->data;

    buf_release(&l->after);
    free(l);
}

static void on_routed(struct ctx *ctx, int rc, void *arg);

static void reroute_due(uv_timer_t *t)
{
    struct load *l = t->data;

    if (l->ctl->stopping)
        uv_close((uv_handle_t *)t, load_closed);
    else
        routing_apply(l->ctl, on_routed, l);
}

/* A full disk or a missing program may be mended meanwhile: again, later. */
static void on_routed(struct ctx *ctx, int rc, void *arg)
{
    struct load *l = arg;
    struct control *ctl = l->ctl;

    (void)ctx;
    if (rc && !ctl->stopping) {
        uv_timer_start(&l->timer, reroute_due, REROUTE_MS, 0);
        return;
    }
    if (!ctl->stopping) {
        ctl->loaded = true;
        process_reap_unclaimed(ctl);
        log_info(NULL, "control.loaded", "ms",
                 log_int((clock_mono() - ctl->started) / CLOCK_MS));
        control_note_ready(ctl);
        cron_begin(ctl);
        deploy_resume(ctl);
    }
    uv_close((uv_handle_t *)&l->timer, load_closed);
}

static void load_route(struct load *l)
{
    if (--l->preparing == 0)
        routing_apply(l->ctl, on_routed, l);
}

struct version_start {
    struct load *l;
    struct version *v;
    bool wanted; /* it runs without being asked */
};

static void on_prepared(struct ctx *ctx, int rc, void *arg)
{
    struct version_start *vs = arg;

    if (rc == 0)
        rc = instances_adopt(ctx, vs->l->ctl, vs->v);
    if (rc == 0 && vs->wanted)
        rc = instances_start(ctx, vs->l->ctl, vs->v, NULL, NULL);
    vs->v->started = vs->wanted || vs->v->n_instances > 0;
    if (rc)
        log_error(ctx, "load.version", "service", vs->v->service->id, "version",
                  vs->v->id, "why", ctx_err_text(ctx, rc));
    load_route(vs->l);
    free(vs);
}

/* Whether the controller before us had instances of it. */
static bool was_started(const struct control *ctl, const struct version *v)
{
    struct arena a = ARENA_INIT;
    const char *name = arena_printf(&a, "%s/", model_name(&a, v));
    bool found = false;

    for (size_t i = 0; i < ctl->found.n; i++)
        if (strncmp(ctl->found.records[i].name, name, strlen(name)) == 0)
            found = true;
    arena_release(&a);
    return found;
}

/* The others are made ready by the first request for them (scale.c). */
static void start_version(struct load *l, struct version *v)
{
    bool wanted = model_share(v) > 0 || v->scaling.kind == SCALING_MANUAL;
    struct version_start *vs;

    if (v->stopped || (!wanted && !was_started(l->ctl, v)))
        return;
    vs = calloc(1, sizeof(*vs));

    if (!vs)
        abort();
    *vs = (struct version_start){l, v, wanted};
    l->preparing++;
    prepare(l->ctl, v, NULL, on_prepared, vs);
}

static void load_done(struct load *l, struct ctx *ctx)
{
    const struct model *m = &l->ctl->model;

    l->preparing = 1;
    certs_ensure_own(ctx, l->ctl);
    server_tickets(ctx, l->ctl, NULL, on_ignored, NULL);
    admin_datastore_mode(ctx, l->ctl);
    for (struct version *v = model_next(m, NULL); v; v = model_next(m, v))
        start_version(l, v);
    load_route(l);
}

void load_start(struct control *ctl)
{
    struct load *l = calloc(1, sizeof(*l));

    if (!l)
        abort();
    l->ctl = ctl;
    uv_timer_init(&ctl->loop, &l->timer);
    l->timer.data = l;
    uv_timer_start(&l->timer, again_due, 0, 0);
}
