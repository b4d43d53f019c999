/*
 * pool - the threads that may wait.
 *
 * Loops hand jobs over through one bounded queue; the worker that went idle
 * last takes the next one, since its stack is warm.  A job runs on a fiber: one
 * that waits for a commit is put aside, and its worker goes on with the next.
 *
 * There are more workers than processors for the jobs that block their thread
 * (a socket, the disk).  No more are woken than can run, unless nothing moves:
 * a watchman looks every millisecond while jobs wait, and wakes one more.  With
 * none left to wake it goes on with what was put aside itself, for that may be
 * what the others are blocked by.
 *
 * Thread rule: submit from any thread.
 */
#ifndef RPC_POOL_H
#define RPC_POOL_H

#include "base/ctx.h"

struct rpc_pool;

/* Embedded in what is to be done; it belongs to the pool until it runs. */
struct rpc_job {
    struct rpc_job *next;
    void (*run)(struct rpc_job *job);
};

/* `workers` threads and room for `queue_max` jobs that wait for one. */
int rpc_pool_start(struct ctx *ctx, int workers, int queue_max,
                   struct rpc_pool **out);

/* False, with nothing done, when the queue is full. */
bool rpc_pool_submit(struct rpc_pool *pool, struct rpc_job *job);

/* Jobs that wait for a worker, workers that run one, jobs put aside. */
struct rpc_pool_stats {
    int queued, running, aside;
};

/* The figures as of one moment; takes the queue's lock. */
struct rpc_pool_stats rpc_pool_stats(struct rpc_pool *pool);

/* Finish what is queued or put aside, end the threads, free. */
void rpc_pool_stop(struct rpc_pool *pool);

#endif
