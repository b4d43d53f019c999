/*
 * sweep - the housekeeper: a thread that takes away what nobody asks for any
 * more.
 *
 *   rows of purged tasks and deleted queues, right after the purge
 *   tombstones whose time is over, every minute
 *   and stores how far the low-water marks have come, every minute
 *
 * Each step is a commit that may be cut off anywhere and is found again.
 */
#ifndef SERVICE_TASKQUEUE_SWEEP_H
#define SERVICE_TASKQUEUE_SWEEP_H

#include "service/taskqueue/queue.h"

/* Start the thread; sets tq->sweep. */
int sweep_start(struct ctx *ctx, struct taskqueue *tq);

/* End it and free; accepts one that was not started. */
void sweep_stop(struct taskqueue *tq);

/* There is something to sweep.  Any thread; nothing when it is not started. */
void sweep_wake(struct taskqueue *tq);

/* One round over all queues, as the thread does it; for tests, too. */
int sweep_run(struct ctx *ctx, struct taskqueue *tq, int64_t now);

#endif
