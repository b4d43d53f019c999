/*
 * admin_queues - the part of the API about task queues: deploying a
 * queue.yaml, looking at queues and tasks, and what is done to them.  The words
 * are those of Google's Cloud Tasks API; the server does the work, and
 * everything that may be long is told in pages.
 */
#include "control/admin.h"
#include "control/operation.h"
#include "control/server_call.h"
#include "control/text.h"
#include "platform.pb.h"

#include <inttypes.h>
#include <sodium.h>

enum { QUEUES_SHOWN = 100, TASKS_SHOWN = 100, SHOWN_MAX = 1000 };

/* ---- to JSON ---- */

static json_t *text(struct bytes s)
{
    struct arena a = ARENA_INIT;
    json_t *o = text_json(arena_cstr(&a, s));

    arena_release(&a);
    return o;
}

static json_t *time_json(int64_t at)
{
    struct arena a = ARENA_INIT;
    json_t *o = json_string(operation_time(&a, at));

    arena_release(&a);
    return o;
}

/* "0.1s", as the API writes durations. */
static json_t *seconds_json(double seconds)
{
    struct arena a = ARENA_INIT;
    json_t *o = json_string(arena_printf(&a, "%.15gs", seconds));

    arena_release(&a);
    return o;
}

#define QUEUE_(name_) platform_Queue_##name_

/* An attempt more than it is tried again; of a pull queue, the leases. */
static json_int_t max_attempts(const struct platform_Queue *m)
{
    if (!QUEUE_(has_retry_limit)(m))
        return -1;
    return QUEUE_(retry_limit)(m) + (QUEUE_(pull)(m) ? 0 : 1);
}

static json_t *retry_json(const struct platform_Queue *m)
{
    json_t *o =
        json_pack("{s:I, s:o, s:o, s:I}", "maxAttempts", max_attempts(m),
                  "minBackoff", seconds_json(QUEUE_(min_backoff_sec)(m)),
                  "maxBackoff", seconds_json(QUEUE_(max_backoff_sec)(m)),
                  "maxDoublings", (json_int_t)QUEUE_(max_doublings)(m));

    if (QUEUE_(has_retry_age_sec)(m))
        json_object_set_new(o, "maxRetryDuration",
                            seconds_json((double)QUEUE_(retry_age_sec)(m)));
    return o;
}

static json_t *stats_json(const struct platform_Queue *m)
{
    json_t *o = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:f}", "tasksCount",
        (json_int_t)QUEUE_(tasks)(m), "tasksBytes",
        (json_int_t)QUEUE_(bytes)(m), "executedLastMinuteCount",
        (json_int_t)QUEUE_(executed_last_minute)(m), "executedLastHourCount",
        (json_int_t)QUEUE_(executed_last_hour)(m), "concurrentDispatchesCount",
        (json_int_t)QUEUE_(running)(m), "effectiveExecutionRate",
        QUEUE_(enforced_rate)(m));

    if (QUEUE_(has_oldest_eta_usec)(m))
        json_object_set_new(o, "oldestEstimatedArrivalTime",
                            time_json(QUEUE_(oldest_eta_usec)(m)));
    return o;
}

static json_t *acl_json(const struct platform_Queue *m)
{
    json_t *users = json_array(), *writers = json_array();

    for (size_t i = 0; i < QUEUE_(n_user_email)(m); i++)
        json_array_append_new(users, text(QUEUE_(user_email)(m, i)));
    for (size_t i = 0; i < QUEUE_(n_writer_email)(m); i++)
        json_array_append_new(writers, text(QUEUE_(writer_email)(m, i)));
    return json_pack("{s:o, s:o}", "userEmail", users, "writerEmail", writers);
}

static const char *state_of(const struct platform_Queue *m)
{
    if (QUEUE_(disabled)(m))
        return "DISABLED";
    return QUEUE_(paused)(m) ? "PAUSED" : "RUNNING";
}

static json_t *queue_json(const char *app, const struct platform_Queue *m)
{
    struct arena a = ARENA_INIT;
    struct bytes name = QUEUE_(name)(m);
    json_t *o =
        json_pack("{s:o, s:o, s:s, s:s, s:{s:f, s:i, s:i}, s:o, s:o}", "name",
                  text_json(arena_printf(&a, "apps/%s/queues/%.*s", app,
                                         BYTES_FMT(name))),
                  "id", text(name), "type", QUEUE_(pull)(m) ? "PULL" : "PUSH",
                  "state", state_of(m), "rateLimits", "maxDispatchesPerSecond",
                  QUEUE_(rate)(m), "maxBurstSize", (int)QUEUE_(bucket_size)(m),
                  "maxConcurrentDispatches", (int)QUEUE_(max_concurrent)(m),
                  "retryConfig", retry_json(m), "stats", stats_json(m));

    if (QUEUE_(has_user_rate)(m))
        json_object_set_new(o, "rate", text(QUEUE_(user_rate)(m)));
    if (QUEUE_(has_target)(m))
        json_object_set_new(o, "target", text(QUEUE_(target)(m)));
    if (QUEUE_(n_user_email)(m) + QUEUE_(n_writer_email)(m))
        json_object_set_new(o, "acl", acl_json(m));
    arena_release(&a);
    return o;
}

#define TASK_(name_) platform_Task_##name_

static json_t *attempt_json(const struct platform_Task *m)
{
    json_t *o = json_pack("{s:o, s:o}", "dispatchTime",
                          time_json(TASK_(dispatched_usec)(m)), "duration",
                          seconds_json((double)TASK_(elapsed_usec)(m) / 1e6));

    if (TASK_(has_status)(m))
        json_object_set_new(o, "httpStatus", json_integer(TASK_(status)(m)));
    return o;
}

static json_t *task_json(const char *queue_name, const struct platform_Task *m)
{
    struct arena a = ARENA_INIT;
    struct bytes name = TASK_(name)(m);
    json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:I}", "name",
                          text_json(arena_printf(&a, "%s/tasks/%.*s",
                                                 queue_name, BYTES_FMT(name))),
                          "id", text(name), "scheduleTime",
                          time_json(TASK_(eta_usec)(m)), "createTime",
                          time_json(TASK_(created_usec)(m)), "retryCount",
                          (json_int_t)TASK_(retries)(m), "executionCount",
                          (json_int_t)TASK_(executions)(m), "bodyBytes",
                          (json_int_t)TASK_(size)(m));

    if (TASK_(has_method)(m))
        json_object_set_new(o, "appEngineHttpRequest",
                            json_pack("{s:o, s:o}", "httpMethod",
                                      text(TASK_(method)(m)), "relativeUri",
                                      text(TASK_(url)(m))));
    if (TASK_(has_tag)(m))
        json_object_set_new(o, "tag", text(TASK_(tag)(m)));
    if (TASK_(has_first_try_usec)(m))
        json_object_set_new(o, "firstAttemptTime",
                            time_json(TASK_(first_try_usec)(m)));
    if (TASK_(has_dispatched_usec)(m))
        json_object_set_new(o, "lastAttempt", attempt_json(m));
    arena_release(&a);
    return o;
}

/* ---- pages ---- */

/* Where a page went on from, as characters of a URL. */
static json_t *token_json(struct bytes place)
{
    enum { VARIANT = sodium_base64_VARIANT_URLSAFE_NO_PADDING };
    struct arena a = ARENA_INIT;
    size_t room = sodium_base64_ENCODED_LEN(place.n, VARIANT);
    char *out = arena_alloc(&a, room);
    json_t *o;

    sodium_bin2base64(out, room, place.p, place.n, VARIANT);
    o = json_string(out);
    arena_release(&a);
    return o;
}

/* pageToken and pageSize; *place is BYTES_NONE for the first page. */
static int read_page(struct admin_call *c, int64_t none, struct bytes *place,
                     int64_t *size)
{
    const char *token = admin_param(c, "pageToken", NULL);
    int rc = admin_number(c, "pageSize", none, 1, SHOWN_MAX, size);
    uint8_t *out;
    size_t n;

    *place = BYTES_NONE;
    if (rc || !token || !*token)
        return rc;
    out = arena_alloc(c->ctx.arena, strlen(token) + 1);
    if (sodium_base642bin(out, strlen(token), token, strlen(token), NULL, &n,
                          NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        n == 0)
        return ctx_err(&c->ctx, ERR_INVALID,
                       "pageToken is not one that a page ended with");
    *place = BYTES(out, n);
    return 0;
}

/* ---- queue.yaml ---- */

static void on_done(struct ctx *ctx, int rc, const void *out, void *arg)
{
    (void)out;
    if (rc)
        admin_fail(arg, ctx, rc);
    else
        admin_reply(arg, json_object());
}

static int queues_set(struct admin_call *c)
{
    const char *yaml = json_string_value(json_object_get(c->body, "queueYaml"));
    struct platform_SetQueuesRequest *m;
    struct app *a;
    int rc = admin_find_app(c, &a);

    if (rc == 0 && !yaml)
        rc = ctx_err(&c->ctx, ERR_INVALID, "queueYaml is missing");
    if (rc)
        return rc;
    m = platform_SetQueuesRequest_new(&c->ctx);
    platform_SetQueuesRequest_set_app(m, bytes_str(a->id));
    platform_SetQueuesRequest_set_queue_yaml(m, bytes_str(yaml));
    server_call(&c->ctx, c->ctl,
                &(struct server_call){.method = "SetQueues",
                                      .in = WIRE_platform_SetQueuesRequest,
                                      .out = WIRE_platform_Void,
                                      .message = m,
                                      .fn = on_done,
                                      .arg = c});
    return 0;
}

/* ---- looking at queues ---- */

static void on_queues(struct ctx *ctx, int rc, const void *out, void *arg)
{
    struct admin_call *c = arg;
    size_t n = rc ? 0 : platform_ListQueuesResponse_n_queue(out);
    json_t *list, *answer;

    if (rc) {
        admin_fail(c, ctx, rc);
        return;
    }
    list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            list,
            queue_json(c->words[0], platform_ListQueuesResponse_queue(out, i)));
    answer = json_pack("{s:o}", "queues", list);
    if (platform_ListQueuesResponse_more(out) && n)
        json_object_set_new(
            answer, "nextPageToken",
            token_json(
                QUEUE_(name)(platform_ListQueuesResponse_queue(out, n - 1))));
    admin_reply(c, answer);
}

static void on_queue(struct ctx *ctx, int rc, const void *out, void *arg)
{
    struct admin_call *c = arg;

    if (rc == 0 && platform_ListQueuesResponse_n_queue(out) == 0)
        rc = ctx_err(ctx, ERR_NOT_FOUND, "the queue has just gone");
    if (rc)
        admin_fail(c, ctx, rc);
    else
        admin_reply(c, queue_json(c->words[0],
                                  platform_ListQueuesResponse_queue(out, 0)));
}

static void ask_queues(struct admin_call *c,
                       const struct platform_ListQueuesRequest *m,
                       server_call_fn *fn)
{
    server_call(&c->ctx, c->ctl,
                &(struct server_call){.method = "ListQueues",
                                      .in = WIRE_platform_ListQueuesRequest,
                                      .out = WIRE_platform_ListQueuesResponse,
                                      .message = m,
                                      .fn = fn,
                                      .arg = c});
}

static int queues_list(struct admin_call *c)
{
    struct platform_ListQueuesRequest *m;
    struct bytes place;
    int64_t size;
    struct app *a;
    int rc = admin_find_app(c, &a);

    if (rc == 0)
        rc = read_page(c, QUEUES_SHOWN, &place, &size);
    if (rc)
        return rc;
    m = platform_ListQueuesRequest_new(&c->ctx);
    platform_ListQueuesRequest_set_app(m, bytes_str(a->id));
    platform_ListQueuesRequest_set_limit(m, (int32_t)size);
    if (place.n)
        platform_ListQueuesRequest_set_after(m, place);
    ask_queues(c, m, on_queues);
    return 0;
}

/* Answer with the queue as it is now. */
static void tell_queue(struct admin_call *c)
{
    struct platform_ListQueuesRequest *m =
        platform_ListQueuesRequest_new(&c->ctx);

    platform_ListQueuesRequest_set_app(m, bytes_str(c->words[0]));
    platform_ListQueuesRequest_set_name(m, bytes_str(c->words[1]));
    ask_queues(c, m, on_queue);
}

static int queue_get(struct admin_call *c)
{
    struct app *a;
    int rc = admin_find_app(c, &a);

    if (rc == 0)
        tell_queue(c);
    return rc;
}

/* ---- changing one ---- */

static void on_changed(struct ctx *ctx, int rc, const void *out, void *arg)
{
    (void)out;
    if (rc)
        admin_fail(arg, ctx, rc);
    else
        tell_queue(arg);
}

static int set_paused(struct admin_call *c, bool pause)
{
    struct platform_PauseQueueRequest *m;
    struct app *a;
    int rc = admin_find_app(c, &a);

    if (rc)
        return rc;
    m = platform_PauseQueueRequest_new(&c->ctx);
    platform_PauseQueueRequest_set_app(m, bytes_str(a->id));
    platform_PauseQueueRequest_set_queue(m, bytes_str(c->words[1]));
    platform_PauseQueueRequest_set_pause(m, pause);
    server_call(&c->ctx, c->ctl,
                &(struct server_call){.method = "PauseQueue",
                                      .in = WIRE_platform_PauseQueueRequest,
                                      .out = WIRE_platform_Void,
                                      .message = m,
                                      .fn = on_changed,
                                      .arg = c});
    return 0;
}

static int queue_pause(struct admin_call *c)
{
    return set_paused(c, true);
}

static int queue_resume(struct admin_call *c)
{
    return set_paused(c, false);
}

static int queue_purge(struct admin_call *c)
{
    struct platform_PurgeQueueRequest *m;
    struct app *a;
    int rc = admin_find_app(c, &a);

    if (rc)
        return rc;
    m = platform_PurgeQueueRequest_new(&c->ctx);
    platform_PurgeQueueRequest_set_app(m, bytes_str(a->id));
    platform_PurgeQueueRequest_set_queue(m, bytes_str(c->words[1]));
    server_call(&c->ctx, c->ctl,
                &(struct server_call){.method = "PurgeQueue",
                                      .in = WIRE_platform_PurgeQueueRequest,
                                      .out = WIRE_platform_Void,
                                      .message = m,
                                      .fn = on_changed,
                                      .arg = c});
    return 0;
}

/* ---- tasks ---- */

static const char *queue_name(struct admin_call *c)
{
    return arena_printf(c->ctx.arena, "apps/%s/queues/%s", c->words[0],
                        c->words[1]);
}

static void on_tasks(struct ctx *ctx, int rc, const void *out, void *arg)
{
    struct admin_call *c = arg;
    json_t *list, *answer;

    if (rc) {
        admin_fail(c, ctx, rc);
        return;
    }
    list = json_array();
    for (size_t i = 0; i < platform_ListTasksResponse_n_task(out); i++)
        json_array_append_new(
            list,
            task_json(queue_name(c), platform_ListTasksResponse_task(out, i)));
    answer = json_pack("{s:o}", "tasks", list);
    if (platform_ListTasksResponse_has_next(out))
        json_object_set_new(answer, "nextPageToken",
                            token_json(platform_ListTasksResponse_next(out)));
    admin_reply(c, answer);
}

static int tasks_list(struct admin_call *c)
{
    struct platform_ListTasksRequest *m;
    struct bytes place;
    int64_t size;
    struct app *a;
    int rc = admin_find_app(c, &a);

    if (rc == 0)
        rc = read_page(c, TASKS_SHOWN, &place, &size);
    if (rc)
        return rc;
    m = platform_ListTasksRequest_new(&c->ctx);
    platform_ListTasksRequest_set_app(m, bytes_str(a->id));
    platform_ListTasksRequest_set_queue(m, bytes_str(c->words[1]));
    platform_ListTasksRequest_set_limit(m, (int32_t)size);
    if (place.n)
        platform_ListTasksRequest_set_after(m, place);
    server_call(&c->ctx, c->ctl,
                &(struct server_call){.method = "ListTasks",
                                      .in = WIRE_platform_ListTasksRequest,
                                      .out = WIRE_platform_ListTasksResponse,
                                      .message = m,
                                      .fn = on_tasks,
                                      .arg = c});
    return 0;
}

static void on_task(struct ctx *ctx, int rc, const void *out, void *arg)
{
    struct admin_call *c = arg;

    if (rc)
        admin_fail(c, ctx, rc);
    else
        admin_reply(c, task_json(queue_name(c), out));
}

/* One of the methods that name a task. */
static int ask_task(struct admin_call *c, const char *method,
                    enum wire_type answer, server_call_fn *fn)
{
    struct platform_TaskRequest *m;
    struct app *a;
    int rc = admin_find_app(c, &a);

    if (rc)
        return rc;
    m = platform_TaskRequest_new(&c->ctx);
    platform_TaskRequest_set_app(m, bytes_str(a->id));
    platform_TaskRequest_set_queue(m, bytes_str(c->words[1]));
    platform_TaskRequest_set_task(m, bytes_str(c->words[2]));
    server_call(&c->ctx, c->ctl,
                &(struct server_call){.method = method,
                                      .in = WIRE_platform_TaskRequest,
                                      .out = answer,
                                      .message = m,
                                      .fn = fn,
                                      .arg = c});
    return 0;
}

static int task_get(struct admin_call *c)
{
    return ask_task(c, "GetTask", WIRE_platform_Task, on_task);
}

static int task_run(struct admin_call *c)
{
    return ask_task(c, "RunTask", WIRE_platform_Void, on_done);
}

static int task_delete(struct admin_call *c)
{
    return ask_task(c, "DeleteTask", WIRE_platform_Void, on_done);
}

#define QUEUES "/v1/apps/*/queues"
#define TASKS  QUEUES "/*/tasks"

const struct admin_route admin_queue_routes[] = {
    {"PUT", QUEUES, queues_set},
    {"GET", QUEUES, queues_list},
    {"GET", QUEUES "/*", queue_get},
    {"POST", QUEUES "/*:pause", queue_pause},
    {"POST", QUEUES "/*:resume", queue_resume},
    {"POST", QUEUES "/*:purge", queue_purge},
    {"GET", TASKS, tasks_list},
    {"GET", TASKS "/*", task_get},
    {"POST", TASKS "/*:run", task_run},
    {"DELETE", TASKS "/*", task_delete},
    {.path = NULL},
};
