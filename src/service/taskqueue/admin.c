/* admin - queues and tasks for the platform service. */
#include "service/taskqueue/admin.h"

#include "service/taskqueue/taskqueue_int.h"

/* ---- errors ---- */

int taskqueue_plain(struct ctx *ctx, int rc)
{
    static const struct {
        int32_t result;
        enum err_code code;
    } plain[] = {
        {TQ(UNKNOWN_QUEUE), ERR_NOT_FOUND},
        {TQ(TOMBSTONED_QUEUE), ERR_NOT_FOUND},
        {TQ(UNKNOWN_TASK), ERR_NOT_FOUND},
        {TQ(TOMBSTONED_TASK), ERR_NOT_FOUND},
        {TQ(TASK_ALREADY_EXISTS), ERR_EXISTS},
        {TQ(PERMISSION_DENIED), ERR_DENIED},
        {TQ(TASK_TOO_LARGE), ERR_TOO_LARGE},
        {TQ(TRANSIENT_ERROR), ERR_UNAVAILABLE},
        {TQ(INTERNAL_ERROR), ERR_INTERNAL},
    };
    const char *message = ctx->err.message;
    int32_t result = ctx->err.app_code;
    enum err_code code = ERR_INVALID;

    if (rc == 0 || result == 0)
        return rc;
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        if (plain[i].result == result)
            code = plain[i].code;
    }
    ctx_err_clear(ctx);
    return ctx_err(ctx, code, "%s", message);
}

static size_t page_limit(bool given, int32_t limit)
{
    if (!given || limit <= 0 || limit > TASKQUEUE_PAGE_MAX)
        return TASKQUEUE_PAGE_MAX;
    return (size_t)limit;
}

static int need_queue(struct ctx *ctx, struct bytes app, struct bytes name,
                      struct queue **q)
{
    int rc = taskqueue_app_of(ctx, app, &app);

    if (rc == 0)
        rc = queue_need(ctx, ctx->env->taskqueue, app, name, q);
    return taskqueue_plain(ctx, rc);
}

/* ---- queues ---- */

#define QUEUE_(name_) platform_Queue_##name_

static void tell_retry(struct platform_Queue *m, const struct retry *r)
{
    if (r->has_limit)
        QUEUE_(set_retry_limit)(m, r->limit);
    if (r->has_age)
        QUEUE_(set_retry_age_sec)(m, r->age);
    QUEUE_(set_min_backoff_sec)(m, r->min);
    QUEUE_(set_max_backoff_sec)(m, r->max);
    QUEUE_(set_max_doublings)(m, r->max_doublings);
}

static void tell_acl(struct ctx *ctx, struct platform_Queue *m,
                     const struct queue_def *def)
{
    const struct task_rows_Queue *row = task_rows_Queue_decode(ctx, def->row);
    const struct taskqueue_TaskQueueAcl *acl;

    if (!row || !task_rows_Queue_has_acl(row))
        return;
    acl = task_rows_Queue_acl(row);
    for (size_t i = 0; i < taskqueue_TaskQueueAcl_n_user_email(acl); i++)
        QUEUE_(add_user_email)
    (ctx, m, taskqueue_TaskQueueAcl_user_email(acl, i));
    for (size_t i = 0; i < taskqueue_TaskQueueAcl_n_writer_email(acl); i++)
        QUEUE_(add_writer_email)
    (ctx, m, taskqueue_TaskQueueAcl_writer_email(acl, i));
}

static void tell_definition(struct ctx *ctx, struct platform_Queue *m,
                            const struct queue *q, const struct queue_def *def)
{
    struct retry retry = def->has_retry ? def->retry : RETRY_DEFAULTS;

    QUEUE_(set_name)(m, q->name);
    QUEUE_(set_pull)(m, def->mode == taskqueue_TaskQueueMode_PULL);
    QUEUE_(set_rate)(m, def->rate);
    if (def->user_rate.n)
        QUEUE_(set_user_rate)(m, def->user_rate);
    QUEUE_(set_bucket_size)(m, def->bucket_size);
    QUEUE_(set_max_concurrent)
    (m, def->max_concurrent ? def->max_concurrent : QUEUE_CONCURRENT);
    if (def->target.n)
        QUEUE_(set_target)(m, def->target);
    QUEUE_(set_paused)
    (m, def->paused ||
            (def->mode == taskqueue_TaskQueueMode_PUSH && def->rate <= 0));
    QUEUE_(set_disabled)(m, def->disabled);
    tell_retry(m, &retry);
    tell_acl(ctx, m, def);
}

static int tell_figures(struct ctx *ctx, struct platform_Queue *m,
                        struct queue *q, const struct queue_def *def)
{
    struct taskqueue *tq = ctx->env->taskqueue;
    int64_t minute, hour, eta;
    int rc = queue_oldest(ctx, tq, q, &eta);

    if (rc)
        return rc;
    queue_recent(tq, q, clock_wall(), &minute, &hour);
    QUEUE_(set_tasks)(m, queue_tasks(q));
    QUEUE_(set_bytes)(m, atomic_load(&q->bytes));
    if (eta >= 0)
        QUEUE_(set_oldest_eta_usec)(m, eta);
    QUEUE_(set_running)(m, atomic_load(&q->in_flight));
    QUEUE_(set_executed_last_minute)(m, minute);
    QUEUE_(set_executed_last_hour)(m, hour);
    QUEUE_(set_enforced_rate)(m, queue_enforced_rate(q, def));
    return 0;
}

static int tell_queue(struct ctx *ctx, struct queue *q,
                      struct platform_ListQueuesResponse *out)
{
    struct platform_Queue *m = platform_ListQueuesResponse_add_queue(ctx, out);
    const struct queue_def *def = queue_def(ctx, ctx->env->taskqueue, q);

    tell_definition(ctx, m, q, def);
    return tell_figures(ctx, m, q, def);
}

static int tell_one(struct ctx *ctx,
                    const struct platform_ListQueuesRequest *in,
                    struct platform_ListQueuesResponse *out)
{
    struct queue *q;
    int rc = need_queue(ctx, platform_ListQueuesRequest_app(in),
                        platform_ListQueuesRequest_name(in), &q);

    platform_ListQueuesResponse_set_more(out, false);
    return rc ? rc : tell_queue(ctx, q, out);
}

int taskqueue_admin_queues(struct ctx *ctx,
                           const struct platform_ListQueuesRequest *in,
                           struct platform_ListQueuesResponse *out)
{
    struct bytes after = platform_ListQueuesRequest_after(in);
    size_t limit = page_limit(platform_ListQueuesRequest_has_limit(in),
                              platform_ListQueuesRequest_limit(in));
    struct queue *fallback, **queues;
    size_t n, told = 0, i = 0;
    int rc;

    if (platform_ListQueuesRequest_has_name(in))
        return tell_one(ctx, in, out);
    /* `default` is always there. */
    rc = need_queue(ctx, platform_ListQueuesRequest_app(in),
                    BYTES_LIT("default"), &fallback);
    if (rc)
        return rc;
    queue_list(ctx, ctx->env->taskqueue, fallback->app->id, &queues, &n);
    while (i < n && after.n && bytes_cmp(queues[i]->name, after) <= 0)
        i++;
    for (; rc == 0 && i < n && told < limit; i++, told++)
        rc = tell_queue(ctx, queues[i], out);
    platform_ListQueuesResponse_set_more(out, i < n);
    return rc;
}

int taskqueue_admin_pause(struct ctx *ctx,
                          const struct platform_PauseQueueRequest *in,
                          struct platform_Void *out)
{
    struct taskqueue_TaskQueuePauseQueueRequest *m =
        taskqueue_TaskQueuePauseQueueRequest_new(ctx);

    (void)out;
    taskqueue_TaskQueuePauseQueueRequest_set_app_id(
        m, platform_PauseQueueRequest_app(in));
    taskqueue_TaskQueuePauseQueueRequest_set_queue_name(
        m, platform_PauseQueueRequest_queue(in));
    taskqueue_TaskQueuePauseQueueRequest_set_pause(
        m, platform_PauseQueueRequest_pause(in));
    return taskqueue_plain(
        ctx, taskqueue_pause_queue(
                 ctx, m, taskqueue_TaskQueuePauseQueueResponse_new(ctx)));
}

int taskqueue_admin_purge(struct ctx *ctx,
                          const struct platform_PurgeQueueRequest *in,
                          struct platform_Void *out)
{
    struct queue *q;
    int rc = need_queue(ctx, platform_PurgeQueueRequest_app(in),
                        platform_PurgeQueueRequest_queue(in), &q);

    (void)out;
    return rc ? rc : queue_drop(ctx, ctx->env->taskqueue, q, false);
}

/* ---- tasks ---- */

#define TASK_(name_) platform_Task_##name_

static void tell_task(struct platform_Task *m, const struct task *t)
{
    struct task_request r = {0};

    TASK_(set_name)(m, t->name);
    TASK_(set_eta_usec)(m, t->eta);
    TASK_(set_created_usec)(m, t->created);
    if (t->first_try)
        TASK_(set_first_try_usec)(m, t->first_try);
    if (t->dispatched) {
        TASK_(set_dispatched_usec)(m, t->dispatched);
        TASK_(set_elapsed_usec)(m, t->elapsed);
    }
    if (t->status)
        TASK_(set_status)(m, t->status);
    TASK_(set_retries)(m, t->retries);
    TASK_(set_executions)(m, t->executions);
    if (task_request_read(t->request, &r)) {
        const char *method = task_method_name(r.method);

        if (r.mode == taskqueue_TaskQueueMode_PUSH) {
            TASK_(set_method)(m, bytes_str(method ? method : "?"));
            TASK_(set_url)(m, r.url);
        }
        if (r.has_tag)
            TASK_(set_tag)(m, r.tag);
    }
    TASK_(set_size)(m, (int64_t)r.body.n);
}

/*
 * Bounds of what one page looks at: dead rows of a purged queue, and bodies,
 * which are read with the rows.
 */
enum { LOOKED_MAX = 20000, SCAN_ROWS = 100, SCANNED_BYTES = 16 << 20 };

struct listing {
    const struct queue *q;
    const struct queue_def *def;
    struct task *tasks;
    size_t n, max, looked, bytes;
};

static int list_rows(struct ctx *ctx, struct listing *l,
                     const struct storage_page *page)
{
    for (size_t i = 0; i < page->n; i++) {
        const struct storage_row *row = &page->rows[i];
        struct task *t = &l->tasks[l->n];

        if (!task_read(row->row, row->value, t))
            return ctx_err(ctx, ERR_CORRUPT,
                           "a task of queue \"%.*s\" does not read back",
                           BYTES_FMT(l->q->name));
        l->looked++;
        l->bytes += row->row.n + row->value.n;
        l->n += t->created > l->def->purged;
    }
    return 0;
}

static bool goes_on(const struct listing *l)
{
    return l->n < l->max && l->looked < LOOKED_MAX && l->bytes < SCANNED_BYTES;
}

static int list_from(struct ctx *ctx, struct listing *l, struct bytes from,
                     struct bytes *next)
{
    struct bytes partition =
        task_partition(ctx->arena, l->q->app->id, TASK_BY_ETA, l->q->name);
    struct storage_range range = {.from = from, .to_end = true};
    struct storage_page page = {.more = true};
    int rc = 0;

    while (rc == 0 && page.more && goes_on(l)) {
        size_t left = l->max - l->n;

        rc = storage_scan(ctx, ctx->env->taskqueue->o.storage, partition,
                          &range, STORAGE_FORWARD,
                          left < SCAN_ROWS ? left : SCAN_ROWS, &page);
        if (rc == 0)
            rc = list_rows(ctx, l, &page);
        if (rc == 0 && page.more)
            range = storage_range_after(ctx->arena, &range, STORAGE_FORWARD,
                                        page.rows[page.n - 1].row);
    }
    *next = page.more ? range.from : BYTES_NONE;
    return rc;
}

int task_list(struct ctx *ctx, struct queue *q, struct bytes from, size_t max,
              struct task_page *out)
{
    struct taskqueue *tq = ctx->env->taskqueue;
    struct listing l = {.q = q, .def = queue_def(ctx, tq, q), .max = max};
    bool moves = false, first = from.n == 0;
    int rc;

    l.tasks = ARENA_ARRAY(ctx->arena, struct task, max + 1);
    if (first)
        from = task_eta_row(ctx->arena, queue_scan_begin(tq, q, &moves),
                            BYTES_NONE);
    rc = list_from(ctx, &l, from, &out->next);
    if (first)
        queue_scan_end(tq, q, moves, 0);
    out->tasks = l.tasks;
    out->n = l.n;
    return rc;
}

int taskqueue_admin_tasks(struct ctx *ctx,
                          const struct platform_ListTasksRequest *in,
                          struct platform_ListTasksResponse *out)
{
    size_t max = page_limit(platform_ListTasksRequest_has_limit(in),
                            platform_ListTasksRequest_limit(in));
    struct task_page page;
    struct queue *q;
    int rc = need_queue(ctx, platform_ListTasksRequest_app(in),
                        platform_ListTasksRequest_queue(in), &q);

    if (rc == 0)
        rc = task_list(ctx, q, platform_ListTasksRequest_after(in), max, &page);
    if (rc)
        return rc;
    for (size_t i = 0; i < page.n; i++)
        tell_task(platform_ListTasksResponse_add_task(ctx, out),
                  &page.tasks[i]);
    if (page.next.n)
        platform_ListTasksResponse_set_next(out, page.next);
    return 0;
}

static int need_task(struct ctx *ctx, const struct platform_TaskRequest *in,
                     struct queue **q, struct task *out)
{
    struct bytes name = platform_TaskRequest_task(in);
    struct task_found found;
    int rc = need_queue(ctx, platform_TaskRequest_app(in),
                        platform_TaskRequest_queue(in), q);

    if (rc == 0)
        rc = task_find(ctx, ctx->env->taskqueue, *q, &name, 1, &found);
    if (rc)
        return rc;
    if (found.result)
        return ctx_err(
            ctx, ERR_NOT_FOUND,
            found.result == TQ(TOMBSTONED_TASK)
                ? "task \"%.*s\" is done or was deleted"
                : "queue \"%.*s\" has no task \"%.*s\"",
            BYTES_FMT(found.result == TQ(TOMBSTONED_TASK) ? name : (*q)->name),
            BYTES_FMT(name));
    *out = found.task;
    return 0;
}

int taskqueue_admin_task(struct ctx *ctx, const struct platform_TaskRequest *in,
                         struct platform_Task *out)
{
    struct queue *q;
    struct task t;
    int rc = need_task(ctx, in, &q, &t);

    if (rc == 0)
        tell_task(out, &t);
    return rc;
}

int taskqueue_admin_run(struct ctx *ctx, const struct platform_TaskRequest *in,
                        struct platform_Void *out)
{
    struct taskqueue_TaskQueueForceRunRequest *m =
        taskqueue_TaskQueueForceRunRequest_new(ctx);
    struct taskqueue_TaskQueueForceRunResponse *answer =
        taskqueue_TaskQueueForceRunResponse_new(ctx);
    struct queue *q;
    struct task t;
    int rc = need_task(ctx, in, &q, &t);

    (void)out;
    if (rc)
        return rc;
    if (queue_def(ctx, ctx->env->taskqueue, q)->mode !=
        taskqueue_TaskQueueMode_PUSH)
        return ctx_err(ctx, ERR_INVALID,
                       "queue \"%.*s\" is a pull queue: its tasks are leased "
                       "by workers and not run",
                       BYTES_FMT(q->name));
    taskqueue_TaskQueueForceRunRequest_set_app_id(m,
                                                  platform_TaskRequest_app(in));
    taskqueue_TaskQueueForceRunRequest_set_queue_name(
        m, platform_TaskRequest_queue(in));
    taskqueue_TaskQueueForceRunRequest_set_task_name(
        m, platform_TaskRequest_task(in));
    rc = taskqueue_plain(ctx, taskqueue_force_run(ctx, m, answer));
    if (rc == 0 && taskqueue_TaskQueueForceRunResponse_result(answer))
        rc = ctx_err(ctx, ERR_NOT_FOUND, "task \"%.*s\" has just ended",
                     BYTES_FMT(platform_TaskRequest_task(in)));
    return rc;
}

int taskqueue_admin_delete(struct ctx *ctx,
                           const struct platform_TaskRequest *in,
                           struct platform_Void *out)
{
    struct taskqueue_TaskQueueDeleteRequest *m =
        taskqueue_TaskQueueDeleteRequest_new(ctx);
    struct taskqueue_TaskQueueDeleteResponse *answer =
        taskqueue_TaskQueueDeleteResponse_new(ctx);
    struct queue *q;
    struct task t;
    int rc = need_task(ctx, in, &q, &t);

    (void)out;
    if (rc)
        return rc;
    taskqueue_TaskQueueDeleteRequest_set_app_id(m,
                                                platform_TaskRequest_app(in));
    taskqueue_TaskQueueDeleteRequest_set_queue_name(
        m, platform_TaskRequest_queue(in));
    taskqueue_TaskQueueDeleteRequest_add_task_name(
        ctx, m, platform_TaskRequest_task(in));
    /* One that has ended since is gone as well. */
    return taskqueue_plain(ctx, taskqueue_delete(ctx, m, answer));
}
