/*
 * taskqueue_int - what the files of the service share.
 */
#ifndef SERVICE_TASKQUEUE_TASKQUEUE_INT_H
#define SERVICE_TASKQUEUE_TASKQUEUE_INT_H

#include "service/taskqueue/dispatch.h"
#include "service/taskqueue/queue.h"
#include "service/taskqueue/task.h"

/* The names of TaskQueueServiceError, shorter. */
#define TQ(name_) taskqueue_TaskQueueServiceError_##name_

/*
 * Whose queues a request means: the caller's.  Its app_id, if it has one, may
 * only say the same; the platform has no app and names one.
 */
int taskqueue_app_of(struct ctx *ctx, struct bytes app_id, struct bytes *app);

/* An application error with a sentence. */
#define taskqueue_err(ctx_, result_, ...)                                      \
    ctx_app_err((ctx_), ERR_INVALID, (result_), __VA_ARGS__)

/* What is known of a name (task_find). */
struct task_found {
    int32_t result; /* 0: it is there; else UNKNOWN_TASK, TOMBSTONED_TASK */
    struct task task;
};

/*
 * Look names up in a queue.  Each is found as of one moment; two that are
 * found are not of the same one.  Everything lives in the arena.
 */
int task_find(struct ctx *ctx, struct taskqueue *tq, struct queue *q,
              const struct bytes *names, size_t n, struct task_found *out);

/* Tasks in the order in which they are due. */
struct task_page {
    struct task *tasks;
    size_t n;
    struct bytes next; /* where the next page begins; .n 0: there is none */
};

/*
 * Up to `max` tasks of a queue from `from` on, the `next` of the page before
 * (empty: from the front).  A page ends early, even without a task, rather than
 * look at too many rows or bytes; only `next` says whether it was the last.
 * In the arena (admin.c).
 */
int task_list(struct ctx *ctx, struct queue *q, struct bytes from, size_t max,
              struct task_page *out);

/* What a row by name says to who asks now: 0, UNKNOWN_TASK or
 * TOMBSTONED_TASK. */
int32_t task_name_result(struct taskqueue *tq, const struct queue *q,
                         const struct queue_def *def, struct bytes name,
                         const struct storage_value *row,
                         struct task_name *out);

/* Move a task to t->at and t->eta in a commit of its own.  ERR_CONFLICT when
 * somebody else changed it. */
int task_move_commit(struct ctx *ctx, struct taskqueue *tq, struct queue *q,
                     const struct task *was, struct task *t);

/* Register with the engine for tasks of transactions (add.c). */
void add_register(struct taskqueue *tq);

#endif
