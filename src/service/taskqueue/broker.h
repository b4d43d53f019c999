/*
 * broker - between the tasks that are due and the workers that POST them.
 *
 * The dispatcher decides which task may start now and hands it to its broker;
 * the broker has somebody make the attempt and says how it went.  The one here
 * (post.c) makes it itself, on the dispatcher's loop.  One that goes through a
 * message queue to other machines fits in the same place: the task's row stays
 * the truth, so what a broker loses is only late.
 *
 * Thread rule: the dispatcher's loop.
 */
#ifndef SERVICE_TASKQUEUE_BROKER_H
#define SERVICE_TASKQUEUE_BROKER_H

#include "service/taskqueue/queue.h"

#include <uv.h>

/* How an attempt went. */
struct broker_result {
    int err;             /* 0: the app (or what stands before it) answered */
    int status;          /* then: its status */
    bool reached;        /* a handler may have run */
    const char *message; /* with err: what happened */
};

/* One attempt; the views last until `done` has been called. */
struct delivery {
    struct queue *queue;
    const struct queue_def *def;
    const struct task *task;
    const struct task_request *request;
    int64_t deadline; /* microseconds the app has */
    /* Called once, never from inside give(). */
    void (*done)(struct delivery *d, const struct broker_result *res);
    void *handle; /* the broker's own */
};

struct broker;
struct broker_ops {
    /* Make the attempt. */
    void (*give)(struct broker *b, struct delivery *d);
    /* Forget an attempt; `done` is not called any more. */
    void (*drop)(struct broker *b, struct delivery *d);
    /* Free, with nothing given; the loop runs until `closed` is called. */
    void (*free)(struct broker *b, void (*closed)(void *arg), void *arg);
};

struct broker {
    const struct broker_ops *ops;
};

/* The one that POSTs to tq->o.edge or tq->o.app_url by itself.  ERR_INVALID
 * for a URL that is none. */
int broker_local_new(struct ctx *ctx, struct taskqueue *tq, uv_loop_t *loop,
                     struct broker **out);

#endif
