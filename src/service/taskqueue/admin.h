/*
 * admin - queues and tasks as whoever runs the platform looks at them and
 * handles them: rows of the RPC service "platform".
 *
 * Everything is told in pages, so that a queue of any length costs the memory
 * of one.  Errors are our own codes (taskqueue_plain()): ERR_NOT_FOUND for a
 * queue or a task that is not there, or is no more.
 *
 * Thread rule: as taskqueue.h; all of them may wait.
 */
#ifndef SERVICE_TASKQUEUE_ADMIN_H
#define SERVICE_TASKQUEUE_ADMIN_H

#include "platform.pb.h"
#include "service/env.h"

/* Most that one page has. */
enum { TASKQUEUE_PAGE_MAX = 1000 };

/*
 * For who does not speak TaskQueueServiceError: the error of a handler of
 * taskqueue.h as a plain code (UNKNOWN_TASK is ERR_NOT_FOUND), its sentence
 * kept.  Returns what now is in ctx->err; 0 stays 0.
 */
int taskqueue_plain(struct ctx *ctx, int rc);

/* The app's queues by name, with definition and figures; or one of them. */
int taskqueue_admin_queues(struct ctx *ctx,
                           const struct platform_ListQueuesRequest *in,
                           struct platform_ListQueuesResponse *out);

/* Stop dispatching, or go on. */
int taskqueue_admin_pause(struct ctx *ctx,
                          const struct platform_PauseQueueRequest *in,
                          struct platform_Void *out);

/* Drop all tasks of a queue. */
int taskqueue_admin_purge(struct ctx *ctx,
                          const struct platform_PurgeQueueRequest *in,
                          struct platform_Void *out);

/* A page of a queue's tasks in the order in which they are due. */
int taskqueue_admin_tasks(struct ctx *ctx,
                          const struct platform_ListTasksRequest *in,
                          struct platform_ListTasksResponse *out);

/* One task. */
int taskqueue_admin_task(struct ctx *ctx, const struct platform_TaskRequest *in,
                         struct platform_Task *out);

/* Make a push task due now; ERR_INVALID for one of a pull queue. */
int taskqueue_admin_run(struct ctx *ctx, const struct platform_TaskRequest *in,
                        struct platform_Void *out);

/* Delete a task.  One that is running ends its attempt. */
int taskqueue_admin_delete(struct ctx *ctx,
                           const struct platform_TaskRequest *in,
                           struct platform_Void *out);

#endif
