/*
 * dispatch - what tells the dispatcher of changes; it is told after the
 * commit, and never in vain: a message it misses (there is no dispatcher, its
 * inbox is full) is made good by the next scan.
 *
 * Any thread; nothing here waits.
 */
#ifndef SERVICE_TASKQUEUE_DISPATCH_H
#define SERVICE_TASKQUEUE_DISPATCH_H

#include "service/taskqueue/queue.h"

/* Start its threads; sets tq->dispatch. */
int dispatch_start(struct ctx *ctx, struct taskqueue *tq);

/* End them and free; sets tq->dispatch to NULL. */
void dispatch_stop(struct taskqueue *tq);

/* A push task was put: it may start at once when it is due.  Copies. */
void dispatch_offer(struct taskqueue *tq, struct queue *q,
                    const struct task *t);

/* A task has gone, or has left its place (name and `at` count). */
void dispatch_forget(struct taskqueue *tq, struct queue *q,
                     const struct task *t);

/* The definition of a queue is another one. */
void dispatch_changed(struct taskqueue *tq, struct queue *q);

#endif
