/*
 * admin_logs - what the logs say, to whoever asks.
 *
 * A question is read on the loop, where the model is, answered and written on
 * the pool, where files may be waited for, and sent from the loop.
 */
#include "control/admin.h"

#include "base/log_writer.h"
#include "control/build_log.h"
#include "control/instance.h"
#include "control/log_query.h"
#include "control/operation.h"
#include "control/text.h"

#include <stdlib.h>

enum { LOG_LINES = 100, NAME_MAX_ = 255 };

struct asking {
    struct admin_call *call;
    struct log_query query;
    struct log_answer answer;
    struct ctx ctx; /* the pool's, over the call's arena */
    int rc;
    char *text; /* the answer, written */
};

/* ---- the answer ---- */

static json_t *entry_json(struct arena *a, const struct log_entry *e)
{
    json_t *o = json_object(), *payload = NULL;

    if (e->time)
        json_object_set_new(o, "time", json_string(operation_time(a, e->time)));
    json_object_set_new(o, "source", text_json_bytes(e->source));
    if (e->instance.n)
        json_object_set_new(o, "instance", text_json_bytes(e->instance));
    json_object_set_new(o, "severity",
                        json_string(log_severity_name(e->severity)));
    if (e->request)
        json_object_set_new(o, "request", json_true());
    json_object_set_new(o, "text", text_json_bytes(e->text));
    if (e->json.n)
        payload = json_loadb(e->json.p, e->json.n, 0, NULL);
    if (payload)
        json_object_set_new(o, "json", payload);
    return o;
}

static char *answer_text(struct arena *a, const struct log_answer *answer)
{
    json_t *list = json_array(), *o;
    char *text;

    for (size_t i = 0; i < answer->n; i++)
        json_array_append_new(list, entry_json(a, &answer->entries[i]));
    o = json_pack("{s:o, s:s, s:b, s:b}", "entries", list, "cursor",
                  answer->cursor, "more", answer->more, "lost", answer->lost);
    text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return text;
}

/* ---- on the pool ---- */

static void ask(void *arg)
{
    struct asking *k = arg;

    k->rc = log_query_run(&k->ctx, &k->query, &k->answer);
    if (k->rc == 0)
        k->text = answer_text(k->ctx.arena, &k->answer);
}

/* ---- on the loop ---- */

static void asked(void *arg)
{
    struct asking *k = arg;
    struct admin_call *c = k->call;
    const struct log_query *q = &k->query;

    if (k->rc == 0 && k->answer.n_logs == 0 &&
        (q->process || q->filter.service || q->filter.version))
        k->rc = ctx_err(&k->ctx, ERR_NOT_FOUND,
                        q->process ? "there is no log of %s"
                                   : "%s has no such service or version",
                        q->process ? q->process : q->filter.project);
    if (k->rc)
        admin_fail(c, &k->ctx, k->rc);
    else
        admin_reply_text(c, k->text);
    free(k->text);
    free(k);
}

static int time_param(struct admin_call *c, const char *name, int64_t *out)
{
    const char *text = admin_param(c, name, NULL);
    struct bytes t = text ? bytes_str(text) : BYTES_NONE;

    if (!text || log_time_parse(t, out) == t.n)
        return 0;
    return ctx_err(&c->ctx, ERR_INVALID,
                   "%s is \"%s\", and must be like 2026-11-26T08:00:00Z", name,
                   text);
}

static int severity_param(struct admin_call *c, enum log_severity *out)
{
    const char *text = admin_param(c, "severity", NULL);

    if (!text || log_severity_parse(bytes_str(text), out))
        return 0;
    return ctx_err(&c->ctx, ERR_INVALID,
                   "severity is \"%s\", and must be debug, info, notice, "
                   "warning, error, critical, alert or emergency",
                   text);
}

static int requests_param(struct admin_call *c, enum log_requests *out)
{
    const char *text = admin_param(c, "requests", "too");

    *out = strcmp(text, "only") == 0   ? LOG_REQUESTS_ONLY
           : strcmp(text, "none") == 0 ? LOG_REQUESTS_NONE
                                       : LOG_REQUESTS_TOO;
    if (*out != LOG_REQUESTS_TOO || strcmp(text, "too") == 0)
        return 0;
    return ctx_err(&c->ctx, ERR_INVALID,
                   "requests is \"%s\", and must be too, only or none", text);
}

/* What entries must be, by the parameters; of whom, by the caller. */
static int read_query(struct admin_call *c, struct log_query *q)
{
    struct log_filter *f = &q->filter;
    int64_t lines;
    int rc =
        admin_number(c, "lines", LOG_LINES, 1, LOG_QUERY_LINES_MAX, &lines);

    if (rc == 0)
        rc = time_param(c, "since", &f->since);
    if (rc == 0)
        rc = time_param(c, "until", &f->until);
    if (rc == 0)
        rc = severity_param(c, &f->least);
    if (rc == 0)
        rc = requests_param(c, &f->requests);
    f->instance = admin_param(c, "instance", NULL);
    f->text = admin_param(c, "text", NULL);
    q->cursor = admin_param(c, "cursor", NULL);
    q->folder = control_path(c->ctl, c->ctx.arena, "logs");
    q->lines = (int)lines;
    return rc;
}

static void ask_later(struct admin_call *c, const struct log_query *q)
{
    struct asking *k = calloc(1, sizeof(*k));

    if (!k)
        abort();
    *k = (struct asking){.call = c, .query = *q};
    ctx_init(&k->ctx, c->ctx.arena);
    control_offload(c->ctl, ask, asked, k);
}

/* ---- applications ---- */

/* Of the last build, whatever became of its version. */
static int build_logs(struct admin_call *c, const struct app *a, int lines)
{
    const char *service = admin_param(c, "service", "default");
    const char *version = admin_param(c, "version", NULL);
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
        admin_reply(c, admin_log_lines(c, path, NULL, lines));
    return rc;
}

static int apps_logs(struct admin_call *c)
{
    struct log_query q = {0};
    struct app *a;
    int rc = admin_find_app(c, &a);

    if (rc == 0)
        rc = read_query(c, &q);
    if (rc)
        return rc;
    if (strcmp(admin_param(c, "build", ""), "true") == 0)
        return build_logs(c, a, q.lines);
    q.filter.project = arena_strdup(c->ctx.arena, a->id);
    q.filter.service = admin_param(c, "service", NULL);
    q.filter.version = admin_param(c, "version", NULL);
    ask_later(c, &q);
    return 0;
}

/* ---- the platform's own processes ---- */

static int platform_logs(struct admin_call *c)
{
    struct log_query q = {.process = admin_param(c, "name", NULL)};
    int rc = read_query(c, &q);

    if (rc == 0 && q.process && strlen(q.process) > NAME_MAX_)
        rc =
            ctx_err(&c->ctx, ERR_INVALID, "\"%s\" names no process", q.process);
    if (rc == 0)
        ask_later(c, &q);
    return rc;
}

const struct admin_route admin_log_routes[] = {
    {"GET", "/v1/apps/*/logs", apps_logs},
    {"GET", "/v1/platform/logs", platform_logs},
    {.path = NULL},
};
