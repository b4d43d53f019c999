/*
 * taskqueue - the RPC service "taskqueue", and the deliveries behind it.
 *
 * Tasks are rows (task.h), queues are rows too (queue.h); nothing that was
 * acknowledged lives in memory alone.  The handlers add, lease, look at and
 * delete tasks; the dispatcher (dispatch.h) finds the push tasks that are due
 * and hands them to workers that POST them to the app.
 *
 * Handlers want ctx->app, or - from the platform, whose ticket names no app -
 * the request's app_id.  All of them may wait.
 *
 * Thread rule: one struct taskqueue serves all threads.
 */
#ifndef SERVICE_TASKQUEUE_TASKQUEUE_H
#define SERVICE_TASKQUEUE_TASKQUEUE_H

#include "base/buf.h"
#include "service/env.h"
#include "storage/storage.h"
#include "taskqueue.pb.h"

struct engine;
struct platform;
struct taskqueue;

enum {
    TASKQUEUE_REQUEST_MAX = 32 << 20, /* Google's stubs: 32 MiB */
};

/* What it stands on, and where push tasks go. */
struct taskqueue_options {
    struct storage *storage;
    struct engine *engine;
    struct platform *platform; /* which versions there are */
    const char *domain;        /* "localhost": apps are PROJECT.DOMAIN */
    const char *app_url;       /* the emulator: POST here; or NULL */
    const char *edge;          /* haproxy's socket for tasks; or NULL */
    const char *rabbitmq;      /* ADDRESS:PORT of the broker; or NULL: none */
    const char *rabbitmq_password; /* the file that holds it */
};

/*
 * Load the queues of all apps and count their tasks.  Registers itself with
 * the engine for tasks that commit with a transaction.  Errors as
 * storage_scan().  Without app_url and edge push tasks wait.
 */
int taskqueue_open(struct ctx *ctx, const struct taskqueue_options *o,
                   struct taskqueue **out);

/* Start the dispatcher's threads. */
int taskqueue_start(struct ctx *ctx, struct taskqueue *tq);

/* End them; attempts under way are forgotten, and made again after the next
 * start.  Accepts one that was not started, and NULL. */
void taskqueue_stop(struct taskqueue *tq);

/* After taskqueue_stop() and every call; accepts NULL. */
void taskqueue_close(struct taskqueue *tq);

/*
 * Make the app's queues those of a queue.yaml, whose text messages call
 * `file`.  A queue that is no longer there keeps its tasks and dispatches
 * none.  ERR_INVALID with every finding.
 */
int taskqueue_set_yaml(struct ctx *ctx, struct taskqueue *tq, struct bytes app,
                       const char *file, struct bytes text);

/* Delete the app's queues and all that is in them; run again when it fails. */
int taskqueue_app_delete(struct ctx *ctx, struct taskqueue *tq,
                         struct bytes app);

/* Append the figures of all queues for /metrics. */
void taskqueue_metrics(struct taskqueue *tq, struct buf *out);

/* ERR_* to TaskQueueServiceError.ErrorCode. */
extern const struct rpc_err_map taskqueue_errors[];

/* ---- tasks ---- */

/*
 * Add tasks; results in the order of requests, with the names that were
 * chosen here.  One that cannot be added makes the others SKIPPED, but for
 * names that exist.  With a transaction they are added by its commit.
 */
int taskqueue_bulk_add(struct ctx *ctx, struct bytes in, struct buf *out);

/* As a BulkAdd of one, its result an error. */
int taskqueue_add(struct ctx *ctx, struct bytes in, struct buf *out);

/* Delete by name: a result for each, and an unknown queue is one of them. */
int taskqueue_delete(struct ctx *ctx,
                     const struct taskqueue_TaskQueueDeleteRequest *in,
                     struct taskqueue_TaskQueueDeleteResponse *out);

/* Tasks by name, or from an ETA on by ETA and name. */
int taskqueue_query_tasks(struct ctx *ctx,
                          const struct taskqueue_TaskQueueQueryTasksRequest *in,
                          struct taskqueue_TaskQueueQueryTasksResponse *out);

/* One task; UNKNOWN_TASK or TOMBSTONED_TASK. */
int taskqueue_fetch_task(struct ctx *ctx,
                         const struct taskqueue_TaskQueueFetchTaskRequest *in,
                         struct taskqueue_TaskQueueFetchTaskResponse *out);

/* Make a task due now; its counts stay. */
int taskqueue_force_run(struct ctx *ctx,
                        const struct taskqueue_TaskQueueForceRunRequest *in,
                        struct taskqueue_TaskQueueForceRunResponse *out);

/* ---- pull queues ---- */

/* Lease tasks that are due, the oldest first, by tag where asked for. */
int taskqueue_lease(struct ctx *ctx,
                    const struct taskqueue_TaskQueueQueryAndOwnTasksRequest *in,
                    struct taskqueue_TaskQueueQueryAndOwnTasksResponse *out);

/* Make a lease longer or shorter, or give it back with 0 seconds. */
int taskqueue_modify_lease(
    struct ctx *ctx, const struct taskqueue_TaskQueueModifyTaskLeaseRequest *in,
    struct taskqueue_TaskQueueModifyTaskLeaseResponse *out);

/* ---- queues ---- */

/* All queues of the app by name, with the figures that count. */
int taskqueue_fetch_queues(
    struct ctx *ctx, const struct taskqueue_TaskQueueFetchQueuesRequest *in,
    struct taskqueue_TaskQueueFetchQueuesResponse *out);

/* Tasks, the oldest, and what the dispatcher did; an unknown queue is empty. */
int taskqueue_fetch_stats(
    struct ctx *ctx, const struct taskqueue_TaskQueueFetchQueueStatsRequest *in,
    struct taskqueue_TaskQueueFetchQueueStatsResponse *out);

/* Define a queue or define it anew; what the request lacks is cleared. */
int taskqueue_update_queue(
    struct ctx *ctx, const struct taskqueue_TaskQueueUpdateQueueRequest *in,
    struct taskqueue_TaskQueueUpdateQueueResponse *out);

/* Stop dispatching, or go on. */
int taskqueue_pause_queue(struct ctx *ctx,
                          const struct taskqueue_TaskQueuePauseQueueRequest *in,
                          struct taskqueue_TaskQueuePauseQueueResponse *out);

/* Drop all tasks at once; their names stay tombstones. */
int taskqueue_purge_queue(struct ctx *ctx,
                          const struct taskqueue_TaskQueuePurgeQueueRequest *in,
                          struct taskqueue_TaskQueuePurgeQueueResponse *out);

/* Drop the queue with its tasks; its name is a tombstone. */
int taskqueue_delete_queue(
    struct ctx *ctx, const struct taskqueue_TaskQueueDeleteQueueRequest *in,
    struct taskqueue_TaskQueueDeleteQueueResponse *out);

/* Drop all queues of the app. */
int taskqueue_delete_group(
    struct ctx *ctx, const struct taskqueue_TaskQueueDeleteGroupRequest *in,
    struct taskqueue_TaskQueueDeleteGroupResponse *out);

/* Bytes that all tasks of the app may take together. */
int taskqueue_update_storage_limit(
    struct ctx *ctx,
    const struct taskqueue_TaskQueueUpdateStorageLimitRequest *in,
    struct taskqueue_TaskQueueUpdateStorageLimitResponse *out);

#endif
