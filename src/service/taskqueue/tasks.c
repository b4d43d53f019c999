/*
 * tasks - finding tasks by name, and what is done to one: Delete, FetchTask,
 * QueryTasks, ForceRun.
 */
#include "service/taskqueue/taskqueue_int.h"

#include "base/log.h"
#include "engine/engine.h"
#include "engine/key.h"

/* ---- finding ---- */

int taskqueue_app_of(struct ctx *ctx, struct bytes app_id, struct bytes *app)
{
    struct bytes named = key_project(app_id);

    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    *app = ctx->app.n ? ctx->app : named;
    if (app->n == 0)
        return taskqueue_err(ctx, TQ(INVALID_REQUEST), "no app is named");
    if (named.n && !bytes_eq(named, *app))
        return taskqueue_err(ctx, TQ(PERMISSION_DENIED),
                             "app \"%.*s\" cannot use the queues of \"%.*s\"",
                             BYTES_FMT(*app), BYTES_FMT(named));
    return 0;
}

int32_t task_name_result(struct taskqueue *tq, const struct queue *q,
                         const struct queue_def *def, struct bytes name,
                         const struct storage_value *row, struct task_name *out)
{
    *out = (struct task_name){0};
    if (row->found && task_name_read(row->value, out)) {
        if (out->live)
            return out->created > def->purged ? 0 : TQ(TOMBSTONED_TASK);
        return out->ends > clock_wall() ? TQ(TOMBSTONED_TASK)
                                        : TQ(UNKNOWN_TASK);
    }
    return task_name_chosen(q->name, name, engine_read_version(tq->o.engine))
               ? TQ(TOMBSTONED_TASK)
               : TQ(UNKNOWN_TASK);
}

/* The rows by ETA of what is live; a task that moved meanwhile is looked up
 * again by the caller. */
static int read_tasks(struct ctx *ctx, struct taskqueue *tq, struct queue *q,
                      const struct storage_key *keys, size_t n,
                      struct task_found **found, bool *again)
{
    struct storage_value *rows =
        ARENA_ARRAY(ctx->arena, struct storage_value, n);
    int rc = storage_get(ctx, tq->o.storage, keys, n, rows);

    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (!rows[i].found)
            *again = true;
        else if (!task_read(keys[i].row, rows[i].value, &found[i]->task))
            return ctx_err(ctx, ERR_CORRUPT,
                           "a task of queue \"%.*s\" does not read back",
                           BYTES_FMT(q->name));
    }
    return rc;
}

static int find_once(struct ctx *ctx, struct taskqueue *tq, struct queue *q,
                     const struct bytes *names, size_t n,
                     struct task_found *out, bool *again)
{
    struct arena *a = ctx->arena;
    const struct queue_def *def = queue_def(ctx, tq, q);
    struct bytes by_name = task_partition(a, q->app->id, TASK_BY_NAME, q->name);
    struct bytes by_eta = task_partition(a, q->app->id, TASK_BY_ETA, q->name);
    struct storage_key *keys = ARENA_ARRAY(a, struct storage_key, n);
    struct storage_value *rows = ARENA_ARRAY(a, struct storage_value, n);
    struct task_found **live = ARENA_ARRAY(a, struct task_found *, n);
    size_t n_live = 0;
    int rc;

    for (size_t i = 0; i < n; i++)
        keys[i] = (struct storage_key){by_name, names[i]};
    rc = storage_get(ctx, tq->o.storage, keys, n, rows);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct task_name name;

        out[i].result = task_name_result(tq, q, def, names[i], &rows[i], &name);
        if (out[i].result)
            continue;
        live[n_live] = &out[i];
        keys[n_live++] =
            (struct storage_key){by_eta, task_eta_row(a, name.at, names[i])};
    }
    *again = false;
    return rc || n_live == 0
               ? rc
               : read_tasks(ctx, tq, q, keys, n_live, live, again);
}

int task_find(struct ctx *ctx, struct taskqueue *tq, struct queue *q,
              const struct bytes *names, size_t n, struct task_found *out)
{
    bool again;
    int rc;

    if (n == 0)
        return 0;
    do {
        rc = find_once(ctx, tq, q, names, n, out, &again);
        if (rc == 0 && again && ctx_left(ctx) == 0)
            rc = ERR_DEADLINE;
    } while (rc == 0 && again);
    return rc;
}

/* ---- moving one ---- */

int task_move_commit(struct ctx *ctx, struct taskqueue *tq, struct queue *q,
                     const struct task *was, struct task *t)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    bool store;
    int generation = queue_write_begin(tq, q, t->at, &store);
    int rc;

    if (store)
        queue_low_put(&b, q, t->at);
    task_move(&b, q->app->id, q->name, was, t);
    rc = storage_commit(ctx, tq->o.storage, &b, NULL);
    queue_write_end(tq, q, generation);
    return rc;
}

/* ---- Delete ---- */

enum { DELETE_PIECE = 500 };

/* A name that is there twice is gone the second time. */
static bool named_before(const struct bytes *names, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (bytes_eq(names[j], names[i]))
            return true;
    }
    return false;
}

static int delete_once(struct ctx *ctx, struct taskqueue *tq, struct queue *q,
                       const struct bytes *names, size_t n,
                       struct task_found *found)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    int64_t ends = clock_wall() + TASK_TOMB_LIFE;
    int rc = task_find(ctx, tq, q, names, n, found);

    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (found[i].result == 0 && named_before(names, i))
            found[i].result = TQ(TOMBSTONED_TASK);
        if (found[i].result == 0)
            task_end(&b, q->app->id, q->name, &found[i].task, ends);
    }
    if (rc || b.n_writes == 0)
        return rc;
    rc = storage_commit(ctx, tq->o.storage, &b, NULL);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (found[i].result)
            continue;
        queue_count(q, -1, task_size(&found[i].task));
        dispatch_forget(tq, q, &found[i].task);
    }
    return rc;
}

/* Tasks that run or are leased meanwhile change under us: look again. */
static int delete_names(struct ctx *ctx, struct taskqueue *tq, struct queue *q,
                        const struct bytes *names, size_t n,
                        struct task_found *found)
{
    int rc;

    do {
        ctx_err_clear(ctx);
        rc = delete_once(ctx, tq, q, names, n, found);
    } while ((rc == ERR_CONFLICT || rc == ERR_ABORTED) && ctx_left(ctx) > 0);
    return rc;
}

static int delete_all(struct ctx *ctx, struct taskqueue *tq, struct queue *q,
                      const struct taskqueue_TaskQueueDeleteRequest *in,
                      struct taskqueue_TaskQueueDeleteResponse *out)
{
    size_t n = taskqueue_TaskQueueDeleteRequest_n_task_name(in), at = 0;
    struct bytes *names = ARENA_ARRAY(ctx->arena, struct bytes, n);
    struct task_found *found = ARENA_ARRAY(ctx->arena, struct task_found, n);
    int rc = 0;

    for (size_t i = 0; i < n; i++)
        names[i] = taskqueue_TaskQueueDeleteRequest_task_name(in, i);
    for (; rc == 0 && at < n; at += DELETE_PIECE) {
        size_t piece = n - at < DELETE_PIECE ? n - at : DELETE_PIECE;

        rc = delete_names(ctx, tq, q, names + at, piece, found + at);
    }
    for (size_t i = 0; rc == 0 && i < n; i++)
        taskqueue_TaskQueueDeleteResponse_add_result(ctx, out, found[i].result);
    return rc;
}

int taskqueue_delete(struct ctx *ctx,
                     const struct taskqueue_TaskQueueDeleteRequest *in,
                     struct taskqueue_TaskQueueDeleteResponse *out)
{
    struct bytes name = taskqueue_TaskQueueDeleteRequest_queue_name(in), app;
    size_t n = taskqueue_TaskQueueDeleteRequest_n_task_name(in);
    struct taskqueue *tq = ctx->env->taskqueue;
    struct queue *q;
    int32_t result;
    int rc = taskqueue_app_of(ctx, taskqueue_TaskQueueDeleteRequest_app_id(in),
                              &app);

    if (rc == 0)
        rc = queue_find(ctx, tq, app, name, &q);
    if (rc)
        return rc;
    result = queue_result(ctx, tq, name, q);
    if (result == 0)
        return delete_all(ctx, tq, q, in, out);
    if (result == TQ(INVALID_QUEUE_NAME))
        result = TQ(UNKNOWN_QUEUE);
    for (size_t i = 0; i < n; i++)
        taskqueue_TaskQueueDeleteResponse_add_result(ctx, out, result);
    return 0;
}

/* ---- telling about a task ---- */

#define TASK_(name_) taskqueue_TaskQueueQueryTasksResponse_Task_##name_

static void tell_headers(struct ctx *ctx,
                         struct taskqueue_TaskQueueQueryTasksResponse_Task *m,
                         struct bytes request)
{
    struct bytes key, value;
    size_t at = 0;

    while (task_request_header(request, &at, &key, &value)) {
        struct taskqueue_TaskQueueQueryTasksResponse_Task_Header *h =
            TASK_(add_header)(ctx, m);

        TASK_(Header_set_key)(h, key);
        TASK_(Header_set_value)(h, value);
    }
}

static void tell_run(struct ctx *ctx,
                     struct taskqueue_TaskQueueQueryTasksResponse_Task *m,
                     const struct task *t)
{
    struct taskqueue_TaskQueueQueryTasksResponse_Task_RunLog *run;

    if (!t->dispatched)
        return;
    run = TASK_(mut_runlog)(ctx, m);
    TASK_(RunLog_set_dispatched_usec)(run, t->dispatched);
    TASK_(RunLog_set_lag_usec)(run, t->dispatched - t->created);
    TASK_(RunLog_set_elapsed_usec)(run, t->elapsed);
    if (t->status)
        TASK_(RunLog_set_response_code)(run, t->status);
}

static void tell_request(struct ctx *ctx,
                         struct taskqueue_TaskQueueQueryTasksResponse_Task *m,
                         const struct task_request *r)
{
    if (r->has_url)
        TASK_(set_url)(m, r->url);
    TASK_(set_method)(m, r->method);
    tell_headers(ctx, m, r->bytes);
    if (r->has_body) {
        TASK_(set_body)(m, r->body);
        TASK_(set_body_size)(m, (int32_t)r->body.n);
    }
    if (r->has_description)
        TASK_(set_description)(m, r->description);
    if (r->has_tag)
        TASK_(set_tag)(m, r->tag);
    if (r->has_deadline)
        TASK_(set_dispatch_deadline_usec)(m, r->deadline);
}

static void tell_retry(struct ctx *ctx,
                       struct taskqueue_TaskQueueQueryTasksResponse_Task *m,
                       const struct task_request *r)
{
    struct taskqueue_TaskQueueRetryParameters *p;
    struct retry retry;

    if (!r->has_retry || !retry_read(r->retry, &retry))
        return;
    p = TASK_(mut_retry_parameters)(ctx, m);
    if (retry.has_limit)
        taskqueue_TaskQueueRetryParameters_set_retry_limit(
            p, (int32_t)retry.limit);
    if (retry.has_age)
        taskqueue_TaskQueueRetryParameters_set_age_limit_sec(p, retry.age);
    taskqueue_TaskQueueRetryParameters_set_min_backoff_sec(p, retry.min);
    taskqueue_TaskQueueRetryParameters_set_max_backoff_sec(p, retry.max);
    taskqueue_TaskQueueRetryParameters_set_max_doublings(
        p, (int32_t)retry.max_doublings);
}

static void tell_task(struct ctx *ctx,
                      struct taskqueue_TaskQueueQueryTasksResponse *out,
                      const struct task *t)
{
    struct taskqueue_TaskQueueQueryTasksResponse_Task *m =
        taskqueue_TaskQueueQueryTasksResponse_add_task(ctx, out);
    struct task_request r;

    TASK_(set_task_name)(m, t->name);
    TASK_(set_eta_usec)(m, t->eta);
    TASK_(set_creation_time_usec)(m, t->created);
    TASK_(set_retry_count)(m, (int32_t)t->retries);
    TASK_(set_execution_count)(m, (int32_t)t->executions);
    if (t->first_try)
        TASK_(set_first_try_usec)(m, t->first_try);
    tell_run(ctx, m, t);
    if (!task_request_read(t->request, &r))
        return;
    tell_request(ctx, m, &r);
    tell_retry(ctx, m, &r);
}

/* ---- FetchTask ---- */

static int need_task(struct ctx *ctx, struct bytes app_id,
                     struct bytes queue_name, struct bytes name,
                     struct queue **q, struct task_found *found)
{
    struct taskqueue *tq = ctx->env->taskqueue;
    struct bytes app;
    int rc = taskqueue_app_of(ctx, app_id, &app);

    if (rc == 0)
        rc = queue_need(ctx, tq, app, queue_name, q);
    return rc ? rc : task_find(ctx, tq, *q, &name, 1, found);
}

int taskqueue_fetch_task(struct ctx *ctx,
                         const struct taskqueue_TaskQueueFetchTaskRequest *in,
                         struct taskqueue_TaskQueueFetchTaskResponse *out)
{
    struct bytes name = taskqueue_TaskQueueFetchTaskRequest_task_name(in);
    struct task_found found;
    struct queue *q;
    int rc = need_task(ctx, taskqueue_TaskQueueFetchTaskRequest_app_id(in),
                       taskqueue_TaskQueueFetchTaskRequest_queue_name(in), name,
                       &q, &found);

    if (rc)
        return rc;
    if (found.result)
        return taskqueue_err(ctx, found.result, "there is no task \"%.*s\"",
                             BYTES_FMT(name));
    tell_task(ctx, taskqueue_TaskQueueFetchTaskResponse_mut_task(ctx, out),
              &found.task);
    return 0;
}

/* ---- ForceRun ---- */

static int force_once(struct ctx *ctx, struct taskqueue *tq, struct queue *q,
                      struct bytes name, int32_t *result)
{
    struct task_found found;
    int64_t now = clock_wall();
    struct task t;
    int rc = task_find(ctx, tq, q, &name, 1, &found);

    *result = found.result;
    if (rc || found.result)
        return rc;
    t = found.task;
    if (t.eta <= now)
        return 0; /* it is due anyway */
    t.eta = now;
    t.at = task_at(now, now);
    rc = task_move_commit(ctx, tq, q, &found.task, &t);
    if (rc)
        return rc;
    dispatch_forget(tq, q, &found.task);
    if (queue_def(ctx, tq, q)->mode == taskqueue_TaskQueueMode_PUSH)
        dispatch_offer(tq, q, &t);
    return 0;
}

int taskqueue_force_run(struct ctx *ctx,
                        const struct taskqueue_TaskQueueForceRunRequest *in,
                        struct taskqueue_TaskQueueForceRunResponse *out)
{
    struct bytes queue_name = taskqueue_TaskQueueForceRunRequest_queue_name(in);
    struct taskqueue *tq = ctx->env->taskqueue;
    struct bytes app;
    struct queue *q;
    int32_t result = 0;
    int rc = taskqueue_app_of(
        ctx, taskqueue_TaskQueueForceRunRequest_app_id(in), &app);

    if (rc == 0)
        rc = queue_find(ctx, tq, app, queue_name, &q);
    if (rc == 0)
        result = queue_result(ctx, tq, queue_name, q);
    while (rc == 0 && result == 0) {
        rc = force_once(ctx, tq, q,
                        taskqueue_TaskQueueForceRunRequest_task_name(in),
                        &result);
        if (rc != ERR_CONFLICT && rc != ERR_ABORTED)
            break;
        rc = ctx_left(ctx) > 0 ? 0 : rc;
        ctx_err_clear(ctx);
    }
    if (rc)
        return rc;
    /* What is done already cannot run any more, as what never was. */
    if (result == TQ(TOMBSTONED_TASK))
        result = TQ(UNKNOWN_TASK);
    taskqueue_TaskQueueForceRunResponse_set_result(out, result);
    return 0;
}

/* ---- QueryTasks ---- */

enum { QUERY_MAX = 1000, QUERY_BYTES = 16 << 20 };

struct query {
    struct taskqueue *tq;
    struct queue *q;
    struct taskqueue_TaskQueueQueryTasksResponse *out;
    size_t wanted, bytes;
};

static bool query_add(struct ctx *ctx, struct query *query,
                      const struct task *t)
{
    tell_task(ctx, query->out, t);
    query->bytes += t->request.n;
    query->wanted--;
    return query->wanted > 0 && query->bytes < QUERY_BYTES;
}

static int query_by_eta(struct ctx *ctx, struct query *query, int64_t eta,
                        struct bytes name)
{
    struct queue *q = query->q;
    const struct queue_def *def = queue_def(ctx, query->tq, q);
    struct bytes partition =
        task_partition(ctx->arena, q->app->id, TASK_BY_ETA, q->name);
    struct storage_range range = {
        .from = task_eta_row(ctx->arena, eta < 0 ? 0 : eta, name),
        .to_end = true,
    };
    struct storage_page page = {.more = true};
    bool more = true;
    int rc = 0;

    while (rc == 0 && more && page.more) {
        rc = storage_scan(ctx, query->tq->o.storage, partition, &range,
                          STORAGE_FORWARD, query->wanted, &page);
        for (size_t i = 0; rc == 0 && more && i < page.n; i++) {
            struct task t;

            if (!task_read(page.rows[i].row, page.rows[i].value, &t))
                return ctx_err(ctx, ERR_CORRUPT, "a task does not read back");
            if (t.created > def->purged)
                more = query_add(ctx, query, &t);
        }
        if (rc == 0 && page.more)
            range = storage_range_after(ctx->arena, &range, STORAGE_FORWARD,
                                        page.rows[page.n - 1].row);
    }
    return rc;
}

/* The tasks of a page of names; what was deleted meanwhile is passed over. */
static int query_names(struct ctx *ctx, struct query *query,
                       const struct storage_page *page, bool *more)
{
    struct bytes *names = ARENA_ARRAY(ctx->arena, struct bytes, page->n);
    struct task_found *found =
        ARENA_ARRAY(ctx->arena, struct task_found, page->n);
    struct task_name name;
    size_t n = 0;
    int rc;

    for (size_t i = 0; i < page->n; i++) {
        if (task_name_read(page->rows[i].value, &name) && name.live)
            names[n++] = page->rows[i].row;
    }
    rc = task_find(ctx, query->tq, query->q, names, n, found);
    for (size_t i = 0; rc == 0 && *more && i < n; i++) {
        if (found[i].result == 0)
            *more = query_add(ctx, query, &found[i].task);
    }
    return rc;
}

static int query_by_name(struct ctx *ctx, struct query *query,
                         struct bytes start)
{
    struct queue *q = query->q;
    struct bytes partition =
        task_partition(ctx->arena, q->app->id, TASK_BY_NAME, q->name);
    struct storage_range range = {.from = start, .to_end = true};
    struct storage_page page = {.more = true};
    bool more = true;
    int rc = 0;

    while (rc == 0 && more && page.more) {
        rc = storage_scan(ctx, query->tq->o.storage, partition, &range,
                          STORAGE_FORWARD, query->wanted + 10, &page);
        if (rc == 0)
            rc = query_names(ctx, query, &page, &more);
        if (rc == 0 && page.more)
            range = storage_range_after(ctx->arena, &range, STORAGE_FORWARD,
                                        page.rows[page.n - 1].row);
    }
    return rc;
}

int taskqueue_query_tasks(struct ctx *ctx,
                          const struct taskqueue_TaskQueueQueryTasksRequest *in,
                          struct taskqueue_TaskQueueQueryTasksResponse *out)
{
    struct bytes start =
        taskqueue_TaskQueueQueryTasksRequest_start_task_name(in);
    int32_t max = taskqueue_TaskQueueQueryTasksRequest_max_rows(in);
    struct query query = {.tq = ctx->env->taskqueue, .out = out};
    struct bytes app;
    int rc = taskqueue_app_of(
        ctx, taskqueue_TaskQueueQueryTasksRequest_app_id(in), &app);

    if (rc == 0)
        rc = queue_need(ctx, query.tq, app,
                        taskqueue_TaskQueueQueryTasksRequest_queue_name(in),
                        &query.q);
    if (rc)
        return rc;
    if (taskqueue_TaskQueueQueryTasksRequest_has_start_tag(in))
        return taskqueue_err(ctx, TQ(INVALID_REQUEST),
                             "start_tag is not supported");
    if (!taskqueue_TaskQueueQueryTasksRequest_has_max_rows(in))
        max = 1;
    if (max <= 0)
        return 0;
    query.wanted = max < QUERY_MAX ? (size_t)max : QUERY_MAX;
    if (taskqueue_TaskQueueQueryTasksRequest_has_start_eta_usec(in))
        return query_by_eta(
            ctx, &query,
            taskqueue_TaskQueueQueryTasksRequest_start_eta_usec(in), start);
    return query_by_name(ctx, &query, start);
}
