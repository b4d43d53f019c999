/*
 * rest_json - the resources of the REST API, and Google's way to write them:
 * 64-bit numbers are strings, times are microseconds but for oldestTask, which
 * is seconds; payloads are base64.
 */
#include "service/taskqueue/rest_int.h"

#include "base/log.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>

/* ---- pieces ---- */

static json_t *text(struct ctx *ctx, struct bytes s)
{
    s = utf8_repair(ctx->arena, s);
    return json_stringn(s.p ? s.p : "", s.n);
}

static json_t *number_text(int64_t v)
{
    char s[24];

    snprintf(s, sizeof(s), "%" PRId64, v);
    return json_string(s);
}

static json_t *base64(struct bytes b)
{
    size_t room =
        sodium_base64_ENCODED_LEN(b.n, sodium_base64_VARIANT_ORIGINAL);
    char *s = malloc(room);
    json_t *o;

    if (!s)
        die("out of memory");
    sodium_bin2base64(s, room, b.p, b.n, sodium_base64_VARIANT_ORIGINAL);
    o = json_string_nocheck(s);
    free(s);
    return o;
}

bool rest_unbase64(struct arena *a, struct bytes text_, struct bytes *out)
{
    char *copy = arena_alloc(a, text_.n + 1);
    uint8_t *raw = arena_alloc(a, text_.n + 1);
    size_t n = text_.n, got;

    memcpy(copy, text_.n ? text_.p : "", text_.n);
    for (int pad = 0; pad < 2 && n && copy[n - 1] == '='; pad++)
        n--;
    for (size_t i = 0; i < n; i++) {
        if (copy[i] == '+')
            copy[i] = '-';
        else if (copy[i] == '/')
            copy[i] = '_';
    }
    if (sodium_base642bin(raw, text_.n + 1, copy, n, NULL, &got, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
        return false;
    *out = BYTES(raw, got);
    return true;
}

/* ---- resources ---- */

static json_t *queue_path(struct ctx *ctx, const struct queue *q)
{
    return text(ctx, bytes_str(arena_printf(
                         ctx->arena, "projects/s~%.*s/taskqueues/%.*s",
                         BYTES_FMT(q->app->id), BYTES_FMT(q->name))));
}

json_t *rest_task_json(struct ctx *ctx, const struct queue *q,
                       const struct task *t, int64_t now)
{
    bool leased = t->retries > 0 && t->eta > now;
    struct task_request r = {0};
    json_t *o;

    task_request_read(t->request, &r);
    o = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:I}", "kind",
                  "taskqueues#task", "id", text(ctx, t->name), "queueName",
                  queue_path(ctx, q), "payloadBase64", base64(r.body),
                  "enqueueTimestamp", number_text(t->created), "leaseTimestamp",
                  number_text(leased ? t->eta : 0), "retry_count",
                  (json_int_t)t->retries);
    if (r.has_tag)
        json_object_set_new(o, "tag", text(ctx, r.tag));
    return o;
}

static json_t *emails(struct ctx *ctx, const struct queue_def *def, bool users)
{
    const struct task_rows_Queue *row = task_rows_Queue_decode(ctx, def->row);
    const struct taskqueue_TaskQueueAcl *acl;
    json_t *list = json_array();
    size_t n;

    if (!row || !task_rows_Queue_has_acl(row))
        return list;
    acl = task_rows_Queue_acl(row);
    n = users ? taskqueue_TaskQueueAcl_n_user_email(acl)
              : taskqueue_TaskQueueAcl_n_writer_email(acl);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            list,
            text(ctx, users ? taskqueue_TaskQueueAcl_user_email(acl, i)
                            : taskqueue_TaskQueueAcl_writer_email(acl, i)));
    return list;
}

static json_t *stats_json(struct ctx *ctx, struct queue *q, int *rc)
{
    struct taskqueue *tq = ctx->env->taskqueue;
    int64_t eta, minute, hour;

    *rc = queue_oldest(ctx, tq, q, &eta);
    if (*rc)
        return NULL;
    queue_recent(tq, q, clock_wall(), &minute, &hour);
    return json_pack("{s:I, s:o, s:o, s:o}", "totalTasks",
                     (json_int_t)queue_tasks(q), "oldestTask",
                     number_text(eta > 0 ? eta / CLOCK_SEC : 0),
                     "leasedLastMinute", number_text(minute), "leasedLastHour",
                     number_text(hour));
}

json_t *rest_queue_json(struct ctx *ctx, struct queue *q,
                        const struct queue_def *def, bool stats, int *rc)
{
    json_t *figures = stats ? stats_json(ctx, q, rc) : NULL, *o;

    if (stats && !figures)
        return NULL;
    *rc = 0;
    o = json_pack("{s:s, s:o, s:{s:[], s:o, s:o}}", "kind",
                  "taskqueues#taskqueue", "id", queue_path(ctx, q), "acl",
                  "adminEmails", "consumerEmails", emails(ctx, def, true),
                  "producerEmails", emails(ctx, def, false));
    if (def->has_retry && def->retry.has_limit)
        json_object_set_new(o, "maxLeases", json_integer(def->retry.limit));
    if (figures)
        json_object_set_new(o, "stats", figures);
    return o;
}

/* ---- requests ---- */

static void decref(void *json)
{
    json_decref(json);
}

int rest_body(struct ctx *ctx, const struct http_request *req, json_t **out)
{
    json_error_t why;

    *out = NULL;
    if (req->body.n == 0)
        return 0;
    *out = json_loadb(req->body.p, req->body.n, JSON_REJECT_DUPLICATES, &why);
    if (!*out)
        return ctx_err(ctx, ERR_INVALID, "the body is not JSON, line %d: %s",
                       why.line, why.text);
    arena_on_reset(ctx->arena, decref, *out);
    if (!json_is_object(*out))
        return ctx_err(ctx, ERR_INVALID, "the body is not a JSON object");
    return 0;
}

int rest_number(struct ctx *ctx, const struct http_request *req,
                const char *name, int64_t min, int64_t max, int64_t *out)
{
    struct bytes v = http_param(ctx->arena, req->query, name);
    const char *s = v.p ? arena_cstr(ctx->arena, v) : NULL;
    char *end;

    if (!s)
        return ctx_err(ctx, ERR_INVALID, "%s is missing", name);
    *out = strtoll(s, &end, 10);
    if (*s && !*end && *out >= min && *out <= max)
        return 0;
    return ctx_err(ctx, ERR_INVALID,
                   "%s is \"%s\", and must be a number from %" PRId64
                   " to %" PRId64,
                   name, s, min, max);
}

/* ---- answers ---- */

static void answer(struct ctx *ctx, struct rest_call *c, int status,
                   struct bytes body)
{
    http_text(ctx->arena, c->res, status, "application/json; charset=UTF-8",
              body);
    http_add_header(ctx->arena, c->res, "Cache-Control", BYTES_LIT("no-store"));
    http_add_header(ctx->arena, c->res, "X-Content-Type-Options",
                    BYTES_LIT("nosniff"));
}

static void add_json(struct buf *out, json_t *o)
{
    char *s = json_dumps(o, JSON_COMPACT);

    if (!s)
        die("out of memory");
    buf_add_str(out, s);
    free(s);
    json_decref(o);
}

void rest_reply(struct ctx *ctx, struct rest_call *c, json_t *o)
{
    struct buf out = BUF_IN(ctx->arena);

    add_json(&out, o);
    answer(ctx, c, 200, buf_view(&out));
}

void rest_reply_tasks(struct ctx *ctx, struct rest_call *c,
                      const struct task *tasks, size_t n, int64_t now)
{
    struct buf out = BUF_IN(ctx->arena);

    buf_add_str(&out, "{\"kind\":\"taskqueues#tasks\"");
    for (size_t i = 0; i < n; i++) {
        buf_add_str(&out, i ? "," : ",\"items\":[");
        add_json(&out, rest_task_json(ctx, c->q, &tasks[i], now));
    }
    buf_add_str(&out, n ? "]}" : "}");
    answer(ctx, c, 200, buf_view(&out));
}

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {400, "invalid"},
        {401, "authError"},
        {403, "forbidden"},
        {404, "notFound"},
        {405, "httpMethodNotAllowed"},
        {409, "conflict"},
        {413, "uploadTooLarge"},
        {429, "rateLimitExceeded"},
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "backendError";
}

void rest_fail(struct ctx *ctx, struct rest_call *c, int rc)
{
    int status = rc == ERR_UNIMPLEMENTED ? 405 : err_http_status(rc);
    struct buf out = BUF_IN(ctx->arena);
    struct bytes message = bytes_str(ctx_err_text(ctx, rc));

    add_json(&out, json_pack("{s:{s:[{s:s, s:s, s:o}], s:i, s:o}}", "error",
                             "errors", "domain", "global", "reason",
                             reason_of(status), "message", text(ctx, message),
                             "code", status, "message", text(ctx, message)));
    answer(ctx, c, status, buf_view(&out));
    if (status == 401)
        http_add_header(ctx->arena, c->res, "WWW-Authenticate",
                        BYTES_LIT("Bearer realm=\"taskqueue\""));
}
