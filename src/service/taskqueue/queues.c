/*
 * queues - what is asked about queues and done to them: FetchQueues,
 * FetchQueueStats, UpdateQueue, PauseQueue, PurgeQueue, DeleteQueue, and
 * queue.yaml.
 */
#include "service/taskqueue/sweep.h"
#include "service/taskqueue/taskqueue_int.h"

#include "base/log.h"
#include "config/queueyaml.h"
#include "engine/engine.h"
#include "engine/key.h"

#include <math.h>

/* Bounds of what UpdateQueue may say; those of queue.yaml but for the rate. */
enum { RATE_MAX = 1000000, BUCKET_MAX = 500, CONCURRENT_MAX = 5000 };

/* ---- FetchQueues ---- */

#define QUEUE_(name_) taskqueue_TaskQueueFetchQueuesResponse_Queue_##name_

/* A copy of a message field of the stored definition, through its bytes. */
static void copy_retry(struct ctx *ctx,
                       const struct taskqueue_TaskQueueRetryParameters *from,
                       struct taskqueue_TaskQueueRetryParameters *to)
{
#define COPY(field_)                                                           \
    if (taskqueue_TaskQueueRetryParameters_has_##field_(from))                 \
    taskqueue_TaskQueueRetryParameters_set_##field_(                           \
        to, taskqueue_TaskQueueRetryParameters_##field_(from))
    COPY(retry_limit);
    COPY(age_limit_sec);
    COPY(min_backoff_sec);
    COPY(max_backoff_sec);
    COPY(max_doublings);
#undef COPY
}

static void copy_acl(struct ctx *ctx, const struct taskqueue_TaskQueueAcl *from,
                     struct taskqueue_TaskQueueAcl *to)
{
    for (size_t i = 0; i < taskqueue_TaskQueueAcl_n_user_email(from); i++)
        taskqueue_TaskQueueAcl_add_user_email(
            ctx, to, taskqueue_TaskQueueAcl_user_email(from, i));
    for (size_t i = 0; i < taskqueue_TaskQueueAcl_n_writer_email(from); i++)
        taskqueue_TaskQueueAcl_add_writer_email(
            ctx, to, taskqueue_TaskQueueAcl_writer_email(from, i));
}

static void tell_queue(struct ctx *ctx, const struct queue *q,
                       const struct queue_def *def,
                       struct taskqueue_TaskQueueFetchQueuesResponse *out)
{
    const struct task_rows_Queue *row = task_rows_Queue_decode(ctx, def->row);
    struct taskqueue_TaskQueueFetchQueuesResponse_Queue *m =
        taskqueue_TaskQueueFetchQueuesResponse_add_queue(ctx, out);

    QUEUE_(set_queue_name)(m, q->name);
    QUEUE_(set_bucket_refill_per_second)(m, def->rate);
    QUEUE_(set_bucket_capacity)(m, def->bucket_size);
    if (def->user_rate.n)
        QUEUE_(set_user_specified_rate)(m, def->user_rate);
    QUEUE_(set_paused)(m, def->paused || def->disabled);
    if (def->max_concurrent)
        QUEUE_(set_max_concurrent_requests)(m, def->max_concurrent);
    QUEUE_(set_mode)(m, def->mode);
    QUEUE_(set_creator_name)(m, BYTES_LIT("apphosting"));
    if (row && task_rows_Queue_has_retry(row))
        copy_retry(ctx, task_rows_Queue_retry(row),
                   QUEUE_(mut_retry_parameters)(ctx, m));
    if (row && task_rows_Queue_has_acl(row))
        copy_acl(ctx, task_rows_Queue_acl(row), QUEUE_(mut_acl)(ctx, m));
    for (size_t i = 0; row && i < task_rows_Queue_n_header_override(row); i++) {
        const struct taskqueue_TaskQueueHttpHeader *from =
            task_rows_Queue_header_override(row, i);
        struct taskqueue_TaskQueueHttpHeader *to =
            QUEUE_(add_header_override)(ctx, m);

        taskqueue_TaskQueueHttpHeader_set_key(
            to, taskqueue_TaskQueueHttpHeader_key(from));
        taskqueue_TaskQueueHttpHeader_set_value(
            to, taskqueue_TaskQueueHttpHeader_value(from));
    }
}

int taskqueue_fetch_queues(
    struct ctx *ctx, const struct taskqueue_TaskQueueFetchQueuesRequest *in,
    struct taskqueue_TaskQueueFetchQueuesResponse *out)
{
    int64_t max = taskqueue_TaskQueueFetchQueuesRequest_max_rows(in);
    struct taskqueue *tq = ctx->env->taskqueue;
    struct queue *unused, **queues;
    struct bytes app;
    size_t n;
    int rc = taskqueue_app_of(
        ctx, taskqueue_TaskQueueFetchQueuesRequest_app_id(in), &app);

    /* `default` is always there. */
    if (rc == 0)
        rc = queue_find(ctx, tq, app, BYTES_LIT("default"), &unused);
    if (rc)
        return rc;
    queue_list(ctx, tq, app, &queues, &n);
    for (size_t i = 0; i < n && (int64_t)i < max; i++)
        tell_queue(ctx, queues[i], queue_def(ctx, tq, queues[i]), out);
    return 0;
}

/* ---- FetchQueueStats ---- */

/* The first task of a page that is there to see; *from is where to go on. */
static int first_of_page(struct ctx *ctx, struct taskqueue *tq,
                         const struct queue *q, size_t rows, struct buf *from,
                         bool *more, struct task *out)
{
    int64_t purged = queue_def(ctx, tq, q)->purged;
    struct storage_range range = {.from = buf_view(from), .to_end = true};
    struct storage_page page;
    int rc = storage_scan(
        ctx, tq->o.storage,
        task_partition(ctx->arena, q->app->id, TASK_BY_ETA, q->name), &range,
        STORAGE_FORWARD, rows, &page);

    if (rc)
        return rc;
    *more = page.more;
    for (size_t i = 0; i < page.n; i++) {
        if (task_read(page.rows[i].row, page.rows[i].value, out) &&
            out->created > purged)
            return 0;
    }
    *out = (struct task){.eta = -1, .at = INT64_MAX};
    if (page.n) {
        buf_clear(from);
        buf_add(from, page.rows[page.n - 1].row);
        buf_add_u8(from, 0);
    }
    return 0;
}

int queue_first(struct ctx *ctx, struct taskqueue *tq, struct queue *q,
                int64_t *at, int64_t *eta)
{
    enum { FEW = 20, MANY = 2000 }; /* purged ones may stand in front */
    struct task t = {.eta = -1, .at = INT64_MAX};
    int64_t now = clock_wall();
    struct buf from = BUF_HEAP;
    bool moves, more = queue_tasks(q) > 0;
    int rc = 0;

    buf_add_be64(&from, (uint64_t)queue_scan_begin(tq, q, &moves));
    for (size_t rows = FEW; rc == 0 && more && t.eta < 0; rows = MANY) {
        struct arena arena = ARENA_INIT;
        struct ctx page;

        ctx_init(&page, &arena);
        page.deadline = ctx->deadline;
        rc = first_of_page(&page, tq, q, rows, &from, &more, &t);
        if (rc)
            ctx_err(ctx, (enum err_code)rc, "%s", ctx_err_text(&page, rc));
        arena_release(&arena);
    }
    buf_release(&from);
    *at = t.at;
    *eta = t.eta;
    /* Without a task nothing was looked at: that moves no mark. */
    queue_scan_end(tq, q, moves, rc || t.eta < 0 ? 0 : t.at < now ? t.at : now);
    return rc;
}

int queue_oldest(struct ctx *ctx, struct taskqueue *tq, struct queue *q,
                 int64_t *eta)
{
    int64_t at;

    return queue_first(ctx, tq, q, &at, eta);
}

double queue_enforced_rate(const struct queue *q, const struct queue_def *def)
{
    uint64_t bits = atomic_load(&q->enforced);
    double rate;

    memcpy(&rate, &bits, sizeof(rate));
    if (def->paused || def->disabled)
        return 0;
    return rate > 0 && rate < def->rate ? rate : def->rate;
}

static int
tell_stats(struct ctx *ctx, struct taskqueue *tq, struct queue *q,
           struct taskqueue_TaskQueueFetchQueueStatsResponse_QueueStats *m)
{
#define STATS_(name_)                                                          \
    taskqueue_TaskQueueFetchQueueStatsResponse_QueueStats_##name_
#define INFO_(name_) taskqueue_TaskQueueScannerQueueInfo_##name_
    const struct queue_def *def = queue_def(ctx, tq, q);
    struct taskqueue_TaskQueueScannerQueueInfo *info;
    int64_t tasks = queue_tasks(q), eta, minute, hour;
    int rc = queue_oldest(ctx, tq, q, &eta);

    if (rc)
        return rc;
    STATS_(set_num_tasks)(m, tasks > INT32_MAX ? INT32_MAX : (int32_t)tasks);
    STATS_(set_oldest_eta_usec)(m, eta);
    info = STATS_(mut_scanner_info)(ctx, m);
    queue_recent(tq, q, clock_wall(), &minute, &hour);
    INFO_(set_executed_last_minute)(info, minute);
    INFO_(set_executed_last_hour)(info, hour);
    INFO_(set_sampling_duration_seconds)(info, 3600);
    INFO_(set_requests_in_flight)(info, (int32_t)atomic_load(&q->in_flight));
    INFO_(set_enforced_rate)(info, queue_enforced_rate(q, def));
    return 0;
}

int taskqueue_fetch_stats(
    struct ctx *ctx, const struct taskqueue_TaskQueueFetchQueueStatsRequest *in,
    struct taskqueue_TaskQueueFetchQueueStatsResponse *out)
{
    struct taskqueue *tq = ctx->env->taskqueue;
    size_t n = taskqueue_TaskQueueFetchQueueStatsRequest_n_queue_name(in);
    struct bytes app;
    int rc = taskqueue_app_of(
        ctx, taskqueue_TaskQueueFetchQueueStatsRequest_app_id(in), &app);

    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct taskqueue_TaskQueueFetchQueueStatsResponse_QueueStats *m =
            taskqueue_TaskQueueFetchQueueStatsResponse_add_queuestats(ctx, out);
        struct bytes name =
            taskqueue_TaskQueueFetchQueueStatsRequest_queue_name(in, i);
        struct queue *q;

        rc = queue_find(ctx, tq, app, name, &q);
        if (rc == 0 && q && !queue_def(ctx, tq, q)->deleted) {
            rc = tell_stats(ctx, tq, q, m);
        } else {
            STATS_(set_num_tasks)(m, 0);
            STATS_(set_oldest_eta_usec)(m, -1);
        }
    }
    return rc;
}

/* ---- changing one ---- */

static int32_t
judge_update(const struct taskqueue_TaskQueueUpdateQueueRequest *in)
{
#define IN_(name_) taskqueue_TaskQueueUpdateQueueRequest_##name_(in)
    double rate = IN_(bucket_refill_per_second);
    int32_t concurrent = IN_(max_concurrent_requests), mode = IN_(mode);

    if (!task_queue_name_valid(IN_(queue_name)))
        return TQ(INVALID_QUEUE_NAME);
    if (!(rate >= 0) || !(rate <= RATE_MAX))
        return TQ(INVALID_QUEUE_RATE);
    if (IN_(bucket_capacity) < 0 || IN_(bucket_capacity) > BUCKET_MAX)
        return TQ(INVALID_QUEUE_RATE);
    if (IN_(has_max_concurrent_requests) &&
        (concurrent < 0 || concurrent > CONCURRENT_MAX))
        return TQ(INVALID_REQUEST);
    if (mode != taskqueue_TaskQueueMode_PUSH &&
        mode != taskqueue_TaskQueueMode_PULL)
        return TQ(INVALID_QUEUE_MODE);
    return 0;
}

static bool apply_update(struct ctx *ctx, struct task_rows_Queue *m, void *arg)
{
    const struct taskqueue_TaskQueueUpdateQueueRequest *in = arg;

    task_rows_Queue_set_rate(m, IN_(bucket_refill_per_second));
    task_rows_Queue_set_bucket_size(m, IN_(bucket_capacity));
    task_rows_Queue_clear_user_rate(m);
    if (IN_(has_user_specified_rate))
        task_rows_Queue_set_user_rate(m, IN_(user_specified_rate));
    task_rows_Queue_clear_max_concurrent(m);
    if (IN_(has_max_concurrent_requests))
        task_rows_Queue_set_max_concurrent(m, IN_(max_concurrent_requests));
    task_rows_Queue_set_mode(m, IN_(mode));
    task_rows_Queue_clear_retry(m);
    if (IN_(has_retry_parameters))
        copy_retry(ctx, IN_(retry_parameters),
                   task_rows_Queue_mut_retry(ctx, m));
    task_rows_Queue_clear_acl(m);
    if (IN_(has_acl))
        copy_acl(ctx, IN_(acl), task_rows_Queue_mut_acl(ctx, m));
    task_rows_Queue_clear_deleted(m);
    task_rows_Queue_set_disabled(m, false);
    return true;
}

static int32_t
judge_retry(struct ctx *ctx,
            const struct taskqueue_TaskQueueUpdateQueueRequest *in)
{
    struct retry retry;
    struct bytes message;

    if (!IN_(has_retry_parameters))
        return 0;
    if (taskqueue_TaskQueueRetryParameters_encode(ctx, IN_(retry_parameters),
                                                  &message) != 0 ||
        !retry_read(message, &retry) || retry_complaint(&retry))
        return TQ(INVALID_RETRY_PARAMETERS);
    return 0;
}

int taskqueue_update_queue(
    struct ctx *ctx, const struct taskqueue_TaskQueueUpdateQueueRequest *in,
    struct taskqueue_TaskQueueUpdateQueueResponse *out)
{
    struct taskqueue *tq = ctx->env->taskqueue;
    struct queue *q = NULL;
    struct bytes app;
    int32_t result;
    int rc = taskqueue_app_of(ctx, IN_(app_id), &app);

    (void)out;
    if (rc)
        return rc;
    result = judge_update(in);
    if (result == 0)
        result = judge_retry(ctx, in);
    if (result == 0)
        rc = queue_find(ctx, tq, app, IN_(queue_name), &q);
    if (rc)
        return rc;
    if (q && queue_def(ctx, tq, q)->deleted)
        result = TQ(TOMBSTONED_QUEUE);
    if (result)
        return taskqueue_err(ctx, result,
                             "queue \"%.*s\" cannot be defined like this",
                             BYTES_FMT(IN_(queue_name)));
    rc = queue_edit(ctx, tq, app, IN_(queue_name), apply_update,
                    (void *)(uintptr_t)in, &q);
    if (rc == 0)
        dispatch_changed(tq, q);
    return rc;
#undef IN_
}

static bool apply_pause(struct ctx *ctx, struct task_rows_Queue *m, void *arg)
{
    task_rows_Queue_set_paused(m, *(bool *)arg);
    return true;
}

int taskqueue_pause_queue(struct ctx *ctx,
                          const struct taskqueue_TaskQueuePauseQueueRequest *in,
                          struct taskqueue_TaskQueuePauseQueueResponse *out)
{
    bool pause = taskqueue_TaskQueuePauseQueueRequest_pause(in);
    struct taskqueue *tq = ctx->env->taskqueue;
    struct bytes app;
    struct queue *q;
    int rc = taskqueue_app_of(
        ctx, taskqueue_TaskQueuePauseQueueRequest_app_id(in), &app);

    (void)out;
    if (rc == 0)
        rc =
            queue_need(ctx, tq, app,
                       taskqueue_TaskQueuePauseQueueRequest_queue_name(in), &q);
    if (rc == 0)
        rc = queue_edit(ctx, tq, app, q->name, apply_pause, &pause, &q);
    if (rc == 0)
        dispatch_changed(tq, q);
    return rc;
}

/* ---- dropping tasks ---- */

struct drop {
    int64_t version; /* what is older is gone */
    bool queue_too;
};

static bool apply_drop(struct ctx *ctx, struct task_rows_Queue *m, void *arg)
{
    const struct drop *drop = arg;

    task_rows_Queue_set_purged(m, drop->version);
    if (drop->queue_too)
        task_rows_Queue_set_deleted(m, clock_wall());
    return true;
}

int queue_drop(struct ctx *ctx, struct taskqueue *tq, struct queue *q,
               bool queue_too)
{
    struct drop drop = {.queue_too = queue_too};
    int rc = engine_next_version(ctx, tq->o.engine, &drop.version);

    if (rc == 0)
        rc = queue_edit(ctx, tq, q->app->id, q->name, apply_drop, &drop, &q);
    if (rc)
        return rc;
    queue_count_purged(q);
    dispatch_changed(tq, q);
    sweep_wake(tq);
    return 0;
}

int taskqueue_purge_queue(struct ctx *ctx,
                          const struct taskqueue_TaskQueuePurgeQueueRequest *in,
                          struct taskqueue_TaskQueuePurgeQueueResponse *out)
{
    struct taskqueue *tq = ctx->env->taskqueue;
    struct bytes app;
    struct queue *q;
    int rc = taskqueue_app_of(
        ctx, taskqueue_TaskQueuePurgeQueueRequest_app_id(in), &app);

    (void)out;
    if (rc == 0)
        rc =
            queue_need(ctx, tq, app,
                       taskqueue_TaskQueuePurgeQueueRequest_queue_name(in), &q);
    return rc ? rc : queue_drop(ctx, tq, q, false);
}

int taskqueue_delete_queue(
    struct ctx *ctx, const struct taskqueue_TaskQueueDeleteQueueRequest *in,
    struct taskqueue_TaskQueueDeleteQueueResponse *out)
{
    struct taskqueue *tq = ctx->env->taskqueue;
    struct bytes app;
    struct queue *q;
    int rc = taskqueue_app_of(
        ctx, taskqueue_TaskQueueDeleteQueueRequest_app_id(in), &app);

    (void)out;
    if (rc == 0)
        rc = queue_need(ctx, tq, app,
                        taskqueue_TaskQueueDeleteQueueRequest_queue_name(in),
                        &q);
    return rc ? rc : queue_drop(ctx, tq, q, true);
}

int taskqueue_delete_group(
    struct ctx *ctx, const struct taskqueue_TaskQueueDeleteGroupRequest *in,
    struct taskqueue_TaskQueueDeleteGroupResponse *out)
{
    struct taskqueue *tq = ctx->env->taskqueue;
    struct queue **queues;
    struct bytes app;
    size_t n;
    int rc = taskqueue_app_of(
        ctx, taskqueue_TaskQueueDeleteGroupRequest_app_id(in), &app);

    (void)out;
    if (rc)
        return rc;
    queue_list(ctx, tq, app, &queues, &n);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = queue_drop(ctx, tq, queues[i], true);
    return rc;
}

int taskqueue_update_storage_limit(
    struct ctx *ctx,
    const struct taskqueue_TaskQueueUpdateStorageLimitRequest *in,
    struct taskqueue_TaskQueueUpdateStorageLimitResponse *out)
{
    int64_t limit = taskqueue_TaskQueueUpdateStorageLimitRequest_limit(in);
    struct bytes app;
    int rc = taskqueue_app_of(
        ctx, taskqueue_TaskQueueUpdateStorageLimitRequest_app_id(in), &app);

    if (rc == 0 && limit < 0)
        rc = taskqueue_err(ctx, TQ(INVALID_REQUEST),
                           "a limit is not below 0 bytes");
    if (rc == 0)
        rc = queue_set_limit(ctx, ctx->env->taskqueue, app, limit);
    if (rc == 0)
        taskqueue_TaskQueueUpdateStorageLimitResponse_set_new_limit(out, limit);
    return rc;
}

/* ---- queue.yaml ---- */

struct yaml_edit {
    const struct queueyaml_queue *q; /* NULL: no longer in the file */
    bool resume;
};

static void set_yaml_retry(struct ctx *ctx, const struct queueyaml_retry *from,
                           struct task_rows_Queue *m)
{
    struct taskqueue_TaskQueueRetryParameters *to;

    task_rows_Queue_clear_retry(m);
    if (!from->given)
        return;
    to = task_rows_Queue_mut_retry(ctx, m);
    if (from->has_limit)
        taskqueue_TaskQueueRetryParameters_set_retry_limit(
            to, from->limit > INT32_MAX ? INT32_MAX : (int32_t)from->limit);
    if (from->has_age)
        taskqueue_TaskQueueRetryParameters_set_age_limit_sec(to, from->age);
    if (from->has_min)
        taskqueue_TaskQueueRetryParameters_set_min_backoff_sec(to, from->min);
    if (from->has_max)
        taskqueue_TaskQueueRetryParameters_set_max_backoff_sec(to, from->max);
    if (from->has_doublings)
        taskqueue_TaskQueueRetryParameters_set_max_doublings(
            to, from->max_doublings > INT32_MAX ? INT32_MAX
                                                : (int32_t)from->max_doublings);
}

static void set_yaml_acl(struct ctx *ctx, const struct queueyaml_queue *from,
                         struct task_rows_Queue *m)
{
    struct taskqueue_TaskQueueAcl *acl;

    task_rows_Queue_clear_acl(m);
    if (from->n_users + from->n_writers == 0)
        return;
    acl = task_rows_Queue_mut_acl(ctx, m);
    for (size_t i = 0; i < from->n_users; i++)
        taskqueue_TaskQueueAcl_add_user_email(ctx, acl,
                                              bytes_str(from->users[i]));
    for (size_t i = 0; i < from->n_writers; i++)
        taskqueue_TaskQueueAcl_add_writer_email(ctx, acl,
                                                bytes_str(from->writers[i]));
}

static bool apply_yaml(struct ctx *ctx, struct task_rows_Queue *m, void *arg)
{
    const struct yaml_edit *edit = arg;
    const struct queueyaml_queue *q = edit->q;

    if (!q) {
        task_rows_Queue_set_disabled(m, true);
        return true;
    }
    task_rows_Queue_set_from_yaml(m, true);
    task_rows_Queue_set_disabled(m, false);
    task_rows_Queue_clear_deleted(m);
    if (edit->resume)
        task_rows_Queue_set_paused(m, false);
    task_rows_Queue_set_mode(m, q->pull ? taskqueue_TaskQueueMode_PULL
                                        : taskqueue_TaskQueueMode_PUSH);
    task_rows_Queue_set_rate(m, q->per_second);
    task_rows_Queue_set_bucket_size(m, q->bucket_size ? (int32_t)q->bucket_size
                                                      : QUEUE_BUCKET_SIZE);
    task_rows_Queue_clear_user_rate(m);
    if (q->rate)
        task_rows_Queue_set_user_rate(m, bytes_str(q->rate));
    task_rows_Queue_clear_max_concurrent(m);
    if (q->max_concurrent)
        task_rows_Queue_set_max_concurrent(m, (int32_t)q->max_concurrent);
    task_rows_Queue_clear_target(m);
    if (q->target)
        task_rows_Queue_set_target(m, bytes_str(q->target));
    set_yaml_retry(ctx, &q->retry, m);
    set_yaml_acl(ctx, q, m);
    return true;
}

static bool in_yaml(const struct queueyaml *y, struct bytes name)
{
    for (size_t i = 0; i < y->n; i++) {
        if (bytes_eq_str(name, y->queues[i].name))
            return true;
    }
    return false;
}

static int edit_by_yaml(struct ctx *ctx, struct taskqueue *tq, struct bytes app,
                        struct bytes name, struct yaml_edit *edit)
{
    struct queue *q;
    int rc = queue_edit(ctx, tq, app, name, apply_yaml, edit, &q);

    if (rc == 0)
        dispatch_changed(tq, q);
    return rc;
}

/* `default` goes back to what it is without a file. */
static int drop_from_yaml(struct ctx *ctx, struct taskqueue *tq,
                          struct bytes app, const struct queue *q)
{
    const struct queueyaml_queue plain = {
        .name = "default", .rate = "5/s", .per_second = 5, .bucket_size = 5};
    struct yaml_edit edit = {.q = bytes_eq_str(q->name, "default") ? &plain
                                                                   : NULL};

    if (!queue_def(ctx, tq, q)->from_yaml)
        return 0;
    return edit_by_yaml(ctx, tq, app, q->name, &edit);
}

int taskqueue_set_yaml(struct ctx *ctx, struct taskqueue *tq, struct bytes app,
                       const char *file, struct bytes text)
{
    struct queueyaml y;
    struct queue **known;
    size_t n;
    int rc = queueyaml_parse(ctx, file, text, &y);

    if (rc)
        return rc;
    for (size_t i = 0; rc == 0 && i < y.n; i++) {
        struct yaml_edit edit = {.q = &y.queues[i], .resume = y.resume_paused};

        rc = edit_by_yaml(ctx, tq, app, bytes_str(y.queues[i].name), &edit);
    }
    queue_list(ctx, tq, app, &known, &n);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (!in_yaml(&y, known[i]->name))
            rc = drop_from_yaml(ctx, tq, app, known[i]);
    }
    if (rc == 0)
        rc = queue_set_limit(ctx, tq, app,
                             y.storage_limit < 0 ? INT64_MAX : y.storage_limit);
    return rc;
}
