/* admin_cron - the paths of the Admin API below /v1/apps/P/cron. */
#include "control/cron.h"
#include "control/operation.h"

#include <stdlib.h>

static int find_app(struct admin_call *c, struct app **out)
{
    if (!c->ctl->loaded)
        return ctx_err(&c->ctx, ERR_UNAVAILABLE,
                       "the platform is still starting; appscale status shows "
                       "how far it is");
    *out = model_app(&c->ctl->model, c->words[0]);
    if (*out)
        return 0;
    return ctx_err(&c->ctx, ERR_NOT_FOUND, "there is no application \"%s\"",
                   c->words[0]);
}

static int find_job(struct admin_call *c, struct cron_job **out)
{
    struct app *a;
    int rc = find_app(c, &a);

    if (rc)
        return rc;
    *out = cron_find(c->ctl, a->id, c->words[1]);
    if (*out)
        return 0;
    return ctx_err(&c->ctx, ERR_NOT_FOUND, "%s has no cron job \"%s\"", a->id,
                   c->words[1]);
}

static int cron_list(struct admin_call *c)
{
    struct app *a;
    int rc = find_app(c, &a);

    if (rc == 0)
        admin_reply(c, cron_json(c->ctl, a->id));
    return rc;
}

static int cron_get(struct admin_call *c)
{
    struct cron_job *job;
    int rc = find_job(c, &job);

    if (rc == 0)
        admin_reply(c, cron_job_json(c->ctl, job, true));
    return rc;
}

/* ---- another file ---- */

struct update {
    struct admin_call *call;
    struct operation *op;
};

static void on_replaced(struct ctx *ctx, int rc, void *arg)
{
    struct update *u = arg;
    struct control *ctl = u->call->ctl;

    operation_end(u->op, ctx, rc, rc ? NULL : cron_json(ctl, u->op->app));
    admin_reply(u->call, operation_json(u->op));
    free(u);
}

static int cron_put(struct admin_call *c)
{
    const char *file = json_string_value(json_object_get(c->body, "file"));
    const char *text = json_string_value(json_object_get(c->body, "text"));
    struct operation *op = NULL;
    struct update *u;
    struct app *a;
    int rc = find_app(c, &a);

    if (rc == 0 && (!file || !text))
        rc = ctx_err(&c->ctx, ERR_INVALID,
                     "file (cron.yaml or cron.xml) and text must be given");
    if (rc == 0)
        rc = operation_begin(
            &c->ctx, c->ctl, a->id, "appscale.v1.Cron.UpdateCron",
            arena_printf(c->ctx.arena, "apps/%s/cron", a->id), &op);
    if (rc)
        return rc;
    u = calloc(1, sizeof(*u));
    if (!u)
        abort();
    *u = (struct update){c, op};
    rc = cron_replace(&c->ctx, c->ctl, a->id, file, text, on_replaced, u);
    if (rc) {
        operation_end(op, &c->ctx, rc, NULL);
        free(u);
    }
    return rc;
}

/* ---- a run out of turn ---- */

struct start {
    struct admin_call *call;
    char *app, *id;
};

static void on_started(struct ctx *ctx, int rc, void *arg)
{
    struct start *s = arg;
    struct cron_job *job = cron_find(s->call->ctl, s->app, s->id);

    if (rc == 0 && !job)
        rc = ctx_err(ctx, ERR_NOT_FOUND, "the job has just been taken away");
    if (rc)
        admin_fail(s->call, ctx, rc);
    else
        admin_reply(s->call, cron_job_json(s->call->ctl, job, false));
    free(s->app);
    free(s->id);
    free(s);
}

static int cron_run_now(struct admin_call *c)
{
    struct cron_job *job;
    struct start *s;
    int rc = find_job(c, &job);

    if (rc)
        return rc;
    s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    *s = (struct start){c, strdup(c->words[0]), strdup(c->words[1])};
    rc = cron_run(&c->ctx, c->ctl, job, on_started, s);
    if (rc) {
        free(s->app);
        free(s->id);
        free(s);
    }
    return rc;
}

#define CRON "/v1/apps/*/cron"

const struct admin_route admin_cron_routes[] = {
    {"GET", CRON, cron_list},
    {"PUT", CRON, cron_put},
    {"GET", CRON "/*", cron_get},
    {"POST", CRON "/*/run", cron_run_now},
    {.path = NULL},
};
