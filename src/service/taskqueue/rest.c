/*
 * rest - the calls of the REST API, a row for each.
 *
 * A request is taken apart, its caller judged (rest_auth.c), and the handlers
 * of taskqueue.h do the work, in the project's name.
 */
#include "service/taskqueue/rest.h"

#include "base/log.h"
#include "engine/key.h"
#include "service/taskqueue/admin.h"
#include "service/taskqueue/rest_int.h"

enum { LIST_MAX = 100, LEASE_SEC_MAX = 7 * 86400, NO_CONTENT = 204 };

/* ---- the queue ---- */

static int queue_get_page(struct ctx *ctx, struct rest_call *c)
{
    struct bytes stats = http_param(ctx->arena, c->req->query, "getStats");
    int rc;
    json_t *o = rest_queue_json(
        ctx, c->q, c->def,
        bytes_ieq(stats, BYTES_LIT("true")) || bytes_eq_str(stats, "1"), &rc);

    if (o)
        rest_reply(ctx, c, o);
    return rc;
}

/* ---- tasks ---- */

static int tasks_list(struct ctx *ctx, struct rest_call *c)
{
    struct task_page page = {0};
    int rc;

    do {
        rc = task_list(ctx, c->q, page.next, LIST_MAX, &page);
    } while (rc == 0 && page.n == 0 && page.next.n && ctx_left(ctx) > 0);
    if (rc == 0)
        rest_reply_tasks(ctx, c, page.tasks, page.n, clock_wall());
    return rc;
}

/* The task as it is now; *gone, and no error, when it is not there. */
static int find(struct ctx *ctx, struct rest_call *c, struct bytes name,
                struct task *t, bool *gone)
{
    struct task_found found;
    int rc = task_find(ctx, ctx->env->taskqueue, c->q, &name, 1, &found);

    *gone = rc == 0 && found.result != 0;
    *t = found.task;
    return rc;
}

static int need(struct ctx *ctx, struct rest_call *c, struct task *t)
{
    bool gone;
    int rc = find(ctx, c, c->task, t, &gone);

    if (rc == 0 && gone)
        rc = ctx_err(ctx, ERR_NOT_FOUND, "there is no task \"%.*s\"",
                     BYTES_FMT(c->task));
    return rc;
}

static int task_get(struct ctx *ctx, struct rest_call *c)
{
    struct task t;
    int rc = need(ctx, c, &t);

    if (rc == 0)
        rest_reply(ctx, c, rest_task_json(ctx, c->q, &t, clock_wall()));
    return rc;
}

static int task_delete(struct ctx *ctx, struct rest_call *c)
{
    struct taskqueue_TaskQueueDeleteRequest *in =
        taskqueue_TaskQueueDeleteRequest_new(ctx);
    struct taskqueue_TaskQueueDeleteResponse *out =
        taskqueue_TaskQueueDeleteResponse_new(ctx);
    int rc;

    taskqueue_TaskQueueDeleteRequest_set_queue_name(in, c->q->name);
    taskqueue_TaskQueueDeleteRequest_add_task_name(ctx, in, c->task);
    rc = taskqueue_delete(ctx, in, out);
    if (rc == 0 && taskqueue_TaskQueueDeleteResponse_result(out, 0))
        rc = ctx_err(ctx, ERR_NOT_FOUND, "there is no task \"%.*s\"",
                     BYTES_FMT(c->task));
    if (rc == 0)
        c->res->status = NO_CONTENT;
    return rc;
}

/* ---- insert ---- */

/* A text of the body; BYTES_NONE when absent.  ERR_INVALID for another type. */
static int body_text(struct ctx *ctx, const json_t *body, const char *name,
                     struct bytes *out)
{
    const json_t *v = json_object_get(body, name);

    *out = BYTES_NONE;
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_string(v))
        return ctx_err(ctx, ERR_INVALID, "%s must be a string", name);
    *out = BYTES(json_string_value(v), json_string_length(v));
    return 0;
}

/* queueName, where it is given, is the queue of the address. */
static int check_queue_name(struct ctx *ctx, const struct rest_call *c,
                            const json_t *body)
{
    struct bytes name;
    int rc = body_text(ctx, body, "queueName", &name);
    const char *slash;

    if (rc || !name.p)
        return rc;
    slash = memrchr(name.p, '/', name.n);
    if (slash)
        name = bytes_from(name, (size_t)(slash + 1 - (const char *)name.p));
    if (bytes_eq(name, c->q->name))
        return 0;
    return ctx_err(ctx, ERR_INVALID,
                   "queueName is \"%.*s\", and the address names \"%.*s\"",
                   BYTES_FMT(name), BYTES_FMT(c->q->name));
}

static int read_task(struct ctx *ctx, struct rest_call *c,
                     struct taskqueue_TaskQueueAddRequest *m)
{
    struct bytes payload, tag, id, body;
    json_t *o;
    int rc = rest_body(ctx, c->req, &o);

    if (rc == 0)
        rc = check_queue_name(ctx, c, o);
    if (rc == 0)
        rc = body_text(ctx, o, "payloadBase64", &payload);
    if (rc == 0)
        rc = body_text(ctx, o, "tag", &tag);
    if (rc == 0)
        rc = body_text(ctx, o, "id", &id);
    if (rc)
        return rc;
    if (!payload.p)
        return ctx_err(ctx, ERR_INVALID, "payloadBase64 is missing");
    if (!rest_unbase64(ctx->arena, payload, &body))
        return ctx_err(ctx, ERR_INVALID, "payloadBase64 is not base64");
    taskqueue_TaskQueueAddRequest_set_queue_name(m, c->q->name);
    taskqueue_TaskQueueAddRequest_set_task_name(m, id.n ? id : BYTES_LIT(""));
    taskqueue_TaskQueueAddRequest_set_eta_usec(m, clock_wall());
    taskqueue_TaskQueueAddRequest_set_mode(m, taskqueue_TaskQueueMode_PULL);
    taskqueue_TaskQueueAddRequest_set_body(m, body);
    if (tag.n)
        taskqueue_TaskQueueAddRequest_set_tag(m, tag);
    return 0;
}

/* What was added, as it was when a worker has it already, or done with it. */
static int tell_added(struct ctx *ctx, struct rest_call *c, struct bytes name,
                      struct bytes request)
{
    int64_t now = clock_wall();
    struct task t;
    bool gone;
    int rc = find(ctx, c, name, &t, &gone);

    if (rc)
        return rc;
    if (gone)
        t = (struct task){.name = name, .created = now, .request = request};
    rest_reply(ctx, c, rest_task_json(ctx, c->q, &t, now));
    return 0;
}

static int tasks_insert(struct ctx *ctx, struct rest_call *c)
{
    struct taskqueue_TaskQueueAddRequest *m =
        taskqueue_TaskQueueAddRequest_new(ctx);
    const struct taskqueue_TaskQueueAddResponse *added;
    struct buf out = BUF_IN(ctx->arena);
    struct bytes in, name;
    int rc = read_task(ctx, c, m);

    if (rc == 0)
        rc = taskqueue_TaskQueueAddRequest_encode(ctx, m, &in);
    if (rc == 0)
        rc = taskqueue_add(ctx, in, &out);
    /* Here a tombstone is in the way rather than missing. */
    if (rc && ctx->err.app_code == TQ(TOMBSTONED_TASK))
        ctx->err.app_code = TQ(TASK_ALREADY_EXISTS);
    if (rc)
        return rc;
    added = taskqueue_TaskQueueAddResponse_decode(ctx, buf_view(&out));
    if (!added)
        return ERR_INTERNAL;
    name = taskqueue_TaskQueueAddResponse_has_chosen_task_name(added)
               ? taskqueue_TaskQueueAddResponse_chosen_task_name(added)
               : taskqueue_TaskQueueAddRequest_task_name(m);
    return tell_added(ctx, c, name, in);
}

/* ---- lease ---- */

static int read_lease(struct ctx *ctx, struct rest_call *c,
                      struct taskqueue_TaskQueueQueryAndOwnTasksRequest *m)
{
#define SET_(name_) taskqueue_TaskQueueQueryAndOwnTasksRequest_set_##name_
    struct bytes group = http_param(ctx->arena, c->req->query, "groupByTag");
    struct bytes tag = http_param(ctx->arena, c->req->query, "tag");
    int64_t seconds, n;
    int rc = rest_number(ctx, c->req, "leaseSecs", 0, LEASE_SEC_MAX, &seconds);

    if (rc == 0)
        rc = rest_number(ctx, c->req, "numTasks", 1, TASK_LEASE_MAX, &n);
    if (rc)
        return rc;
    SET_(queue_name)(m, c->q->name);
    SET_(lease_seconds)(m, (double)seconds);
    SET_(max_tasks)(m, n);
    SET_(group_by_tag)
    (m, bytes_ieq(group, BYTES_LIT("true")) || bytes_eq_str(group, "1"));
    if (tag.n)
        SET_(tag)(m, tag);
    return 0;
#undef SET_
}

/* The tasks behind the answer of a lease: they are ours, so they are there,
 * unless somebody purged them meanwhile. */
static int
reply_leased(struct ctx *ctx, struct rest_call *c,
             const struct taskqueue_TaskQueueQueryAndOwnTasksResponse *leased)
{
    size_t n = taskqueue_TaskQueueQueryAndOwnTasksResponse_n_task(leased);
    struct bytes *names = ARENA_ARRAY(ctx->arena, struct bytes, n + 1);
    struct task_found *found =
        ARENA_ARRAY(ctx->arena, struct task_found, n + 1);
    struct task *tasks = ARENA_ARRAY(ctx->arena, struct task, n + 1);
    int64_t now = clock_wall();
    size_t there = 0;
    int rc;

    for (size_t i = 0; i < n; i++)
        names[i] = taskqueue_TaskQueueQueryAndOwnTasksResponse_Task_task_name(
            taskqueue_TaskQueueQueryAndOwnTasksResponse_task(leased, i));
    rc = task_find(ctx, ctx->env->taskqueue, c->q, names, n, found);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (found[i].result == 0)
            tasks[there++] = found[i].task;
    }
    if (rc == 0)
        rest_reply_tasks(ctx, c, tasks, there, now);
    return rc;
}

static int tasks_lease(struct ctx *ctx, struct rest_call *c)
{
    struct taskqueue_TaskQueueQueryAndOwnTasksRequest *in =
        taskqueue_TaskQueueQueryAndOwnTasksRequest_new(ctx);
    struct taskqueue_TaskQueueQueryAndOwnTasksResponse *out =
        taskqueue_TaskQueueQueryAndOwnTasksResponse_new(ctx);
    int rc = read_lease(ctx, c, in);

    if (rc == 0)
        rc = taskqueue_lease(ctx, in, out);
    return rc ? rc : reply_leased(ctx, c, out);
}

/* ---- update and patch ---- */

/* The end of the lease that the caller believes to have: as the body says, or
 * whatever lease there is. */
static int lease_end(struct ctx *ctx, struct rest_call *c, const json_t *body,
                     const struct task *t, int64_t *eta)
{
    const json_t *v = json_object_get(body, "leaseTimestamp");

    *eta = t->eta;
    if (json_is_string(v))
        *eta = atoll(json_string_value(v));
    else if (json_is_integer(v))
        *eta = json_integer_value(v);
    else if (v && !json_is_null(v))
        return ctx_err(ctx, ERR_INVALID,
                       "leaseTimestamp must be a string of microseconds");
    if (t->retries > 0 && t->eta > clock_wall() && *eta == t->eta)
        return 0;
    return ctx_err(ctx, ERR_CONFLICT,
                   "task \"%.*s\" is not leased any more, or by another "
                   "worker: its lease has ended",
                   BYTES_FMT(t->name));
}

static int task_update(struct ctx *ctx, struct rest_call *c)
{
    struct taskqueue_TaskQueueModifyTaskLeaseRequest *in =
        taskqueue_TaskQueueModifyTaskLeaseRequest_new(ctx);
    struct taskqueue_TaskQueueModifyTaskLeaseResponse *out =
        taskqueue_TaskQueueModifyTaskLeaseResponse_new(ctx);
    int64_t seconds, eta;
    struct task t;
    json_t *body;
    int rc =
        rest_number(ctx, c->req, "newLeaseSeconds", 0, LEASE_SEC_MAX, &seconds);

    if (rc == 0)
        rc = rest_body(ctx, c->req, &body);
    if (rc == 0)
        rc = check_queue_name(ctx, c, body);
    if (rc == 0)
        rc = need(ctx, c, &t);
    if (rc == 0)
        rc = lease_end(ctx, c, body, &t, &eta);
    if (rc)
        return rc;
    taskqueue_TaskQueueModifyTaskLeaseRequest_set_queue_name(in, c->q->name);
    taskqueue_TaskQueueModifyTaskLeaseRequest_set_task_name(in, c->task);
    taskqueue_TaskQueueModifyTaskLeaseRequest_set_eta_usec(in, eta);
    taskqueue_TaskQueueModifyTaskLeaseRequest_set_lease_seconds(
        in, (double)seconds);
    rc = taskqueue_modify_lease(ctx, in, out);
    if (rc)
        return rc;
    t.eta = taskqueue_TaskQueueModifyTaskLeaseResponse_updated_eta_usec(out);
    rest_reply(ctx, c, rest_task_json(ctx, c->q, &t, clock_wall()));
    return 0;
}

/* ---- the rows ---- */

/* What stands behind the project in an address. */
enum place { QUEUE, TASKS, LEASE, TASK };

static const struct rest_row {
    const char *method;
    enum place place;
    enum rest_right right;
    int (*run)(struct ctx *ctx, struct rest_call *c);
} rows[] = {
    {"GET", QUEUE, REST_CONSUME, queue_get_page},
    {"GET", TASKS, REST_CONSUME, tasks_list},
    {"POST", TASKS, REST_INSERT, tasks_insert},
    {"POST", LEASE, REST_CONSUME, tasks_lease},
    {"GET", TASK, REST_CONSUME, task_get},
    {"DELETE", TASK, REST_CONSUME, task_delete},
    {"POST", TASK, REST_CONSUME, task_update},
    {"PATCH", TASK, REST_CONSUME, task_update},
    {0},
};

static struct bytes cut_word(struct arena *a, struct bytes *path)
{
    const char *slash = path->n ? memchr(path->p, '/', path->n) : NULL;
    size_t n = slash ? (size_t)(slash - (const char *)path->p) : path->n;
    struct bytes word = http_unescape(a, BYTES(path->p, n), false);

    *path = bytes_from(*path, slash ? n + 1 : n);
    return word;
}

/* P/taskqueues/Q[/tasks[/lease|/T]]; false when it is something else. */
static bool read_path(struct ctx *ctx, struct rest_call *c, enum place *place)
{
    const struct bytes base = BYTES_LIT("/projects/");
    struct bytes path = c->req->path;
    const char *at = memmem(path.p, path.n, base.p, base.n);

    if (!at)
        return false;
    path = bytes_from(path, (size_t)(at - (const char *)path.p) + base.n);
    c->project = key_project(cut_word(ctx->arena, &path));
    if (!bytes_eq_str(cut_word(ctx->arena, &path), "taskqueues"))
        return false;
    c->queue_name = cut_word(ctx->arena, &path);
    *place = QUEUE;
    if (c->project.n == 0 || c->queue_name.n == 0)
        return false;
    if (path.n == 0)
        return true;
    if (!bytes_eq_str(cut_word(ctx->arena, &path), "tasks"))
        return false;
    *place = TASKS;
    if (path.n == 0)
        return true;
    c->task = cut_word(ctx->arena, &path);
    *place = TASK;
    if (bytes_eq_str(c->task, "lease") && bytes_eq_str(c->req->method, "POST"))
        *place = LEASE;
    return path.n == 0;
}

static const struct rest_row *find_row(const struct rest_call *c,
                                       enum place place)
{
    struct bytes method = c->req->method;

    if (bytes_eq_str(method, "HEAD"))
        method = BYTES_LIT("GET");
    for (const struct rest_row *r = rows; r->method; r++) {
        if (r->place == place && bytes_eq_str(method, r->method))
            return r;
    }
    return NULL;
}

/* A pull queue; the emulator's callers have not been asked for one yet. */
static int need_pull_queue(struct ctx *ctx, struct rest_call *c)
{
    struct taskqueue *tq = ctx->env->taskqueue;
    int rc = 0;

    if (!c->q)
        rc = queue_need(ctx, tq, c->project, c->queue_name, &c->q);
    if (rc)
        return rc;
    c->def = queue_def(ctx, tq, c->q);
    if (c->def->mode == taskqueue_TaskQueueMode_PULL)
        return 0;
    return ctx_err(ctx, ERR_INVALID,
                   "queue \"%.*s\" is no pull queue; this API is for pull "
                   "queues",
                   BYTES_FMT(c->queue_name));
}

static int run(struct ctx *ctx, struct rest_call *c)
{
    const struct rest_row *row;
    enum place place;
    int rc;

    if (!read_path(ctx, c, &place))
        return ctx_err(ctx, ERR_NOT_FOUND,
                       "the Task Queue API has no such address");
    row = find_row(c, place);
    if (!row)
        return ctx_err(ctx, ERR_UNIMPLEMENTED,
                       "this address takes another method than %.*s",
                       BYTES_FMT(c->req->method));
    rc = rest_authorize(ctx, c, row->right);
    if (rc)
        return rc;
    ctx->app = c->project;
    rc = need_pull_queue(ctx, c);
    return taskqueue_plain(ctx, rc ? rc : row->run(ctx, c));
}

static int rest_page(struct ctx *ctx, const struct http_request *req,
                     struct http_response *res)
{
    struct rest_call c = {.req = req, .res = res};
    int rc = run(ctx, &c);

    if (rc == ERR_INTERNAL || rc == ERR_IO || rc == ERR_CORRUPT ||
        rc == ERR_UNKNOWN)
        log_error(ctx, "taskqueue.rest", "path", log_bytes(req->path), "reason",
                  ctx_err_text(ctx, rc));
    if (rc)
        rest_fail(ctx, &c, rc);
    return 0;
}

const struct http_route taskqueue_routes[] = {
    {"*", "/taskqueue/v1beta2/projects/*", rest_page},
    {"*", "/_ah/taskqueue/v1beta2/projects/*", rest_page},
    {0},
};
