/*
 * broker - between the tasks that are due and the workers that POST them.
 *
 * The dispatcher decides which task may start now and hands it to its broker;
 * the broker has somebody make the attempt and says how it went.  The one here
 * (post.c) makes it itself, on the dispatcher's loop.  The other
 * (broker_rabbitmq.c) has a lease on the task travel through RabbitMQ to the
 * worker that makes it: the task's row stays the truth, so what a message queue
 * loses is only late.
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
    int64_t started;     /* clock_wall(); 0: when it was given */
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
    /* Whether it takes another one now; after a no, b->ready() is called when
     * it may.  NULL: it always does. */
    bool (*takes)(struct broker *b);
    /* Forget an attempt that has not begun, and say whether that was so.
     * NULL: they begin at once. */
    bool (*withdraw)(struct broker *b, struct delivery *d);
    /* What `done` was told is durable; the views may be gone.  NULL: of no
     * interest. */
    void (*recorded)(struct broker *b, struct delivery *d);
    /* Free, with nothing given; the loop runs until `closed` is called. */
    void (*free)(struct broker *b, void (*closed)(void *arg), void *arg);
};

struct broker {
    const struct broker_ops *ops;
    /* The dispatcher's: see `takes`; and one to be called before attempts
     * begin other than in give(), since it may have to withdraw some (or to
     * free the broker). */
    void (*ready)(void *arg);
    void (*before)(void *arg);
    void *arg;
};

/* The one that POSTs to tq->o.edge or tq->o.app_url by itself.  ERR_INVALID
 * for a URL that is none. */
int broker_local_new(struct ctx *ctx, struct taskqueue *tq, uv_loop_t *loop,
                     struct broker **out);

/*
 * One whose attempts `local` makes once their leases have come through the
 * RabbitMQ at tq->o.rabbitmq; takes `local` over.  It need not be there.
 * ERR_INVALID for an address that is none.
 */
int broker_rabbitmq_new(struct ctx *ctx, struct taskqueue *tq, uv_loop_t *loop,
                        struct broker *local, struct broker **out);

#endif
