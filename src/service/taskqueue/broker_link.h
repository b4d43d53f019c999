/*
 * broker_link - a connection to RabbitMQ that is kept up, on its own thread.
 *
 * The thread connects, opens channel 1, has its owner declare what it needs,
 * and then hands it every frame that comes and every call of
 * broker_link_poke().  A connection that breaks, is refused or goes silent
 * (heartbeats) is replaced by another after a growing pause.  librabbitmq's
 * calls may wait; nobody but this thread waits for them.
 *
 * Thread rule: the callbacks run on the link's thread, the functions below on
 * any.
 */
#ifndef SERVICE_TASKQUEUE_BROKER_LINK_H
#define SERVICE_TASKQUEUE_BROKER_LINK_H

#include "base/ctx.h"

#include <amqp.h>
#include <pthread.h>
#include <stdatomic.h>

enum { BROKER_CHANNEL = 1 };

struct broker_link;

/* False from one of these ends the connection; broker_link_failed() and
 * broker_link_refused() have noted the reason. */
struct broker_link_ops {
    const char *name; /* for the log: "publisher" */
    /* Connected: declare and subscribe. */
    bool (*opened)(struct broker_link *l);
    /* broker_link_poke() was called, once or more. */
    bool (*poked)(struct broker_link *l);
    /* A frame of channel 1, but for those that end it: one that says that a
     * queue is missing does, too, so that `opened` declares it again. */
    bool (*frame)(struct broker_link *l, const amqp_frame_t *frame);
    /* The connection that was opened is gone. */
    void (*lost)(struct broker_link *l);
};

/* Where it is and who we are; the strings are the caller's. */
struct broker_place {
    const char *host; /* an address */
    int port;
    const char *user;
    const char *password_file; /* read at every connect */
};

struct broker_link {
    const struct broker_link_ops *ops;
    const struct broker_place *place;
    void *arg;
    pthread_t thread;
    int wake; /* an eventfd */
    _Atomic bool stop;
    /* The thread's own. */
    amqp_connection_state_t conn;
    char why[256];
    char told[256]; /* the reason that was logged last; "" while connected */
};

/* Start its thread.  ERR_UNAVAILABLE with the reason when there is none. */
int broker_link_start(struct ctx *ctx, struct broker_link *l,
                      const struct broker_link_ops *ops,
                      const struct broker_place *place, void *arg);

/* Have `poked` called; never waits. */
void broker_link_poke(struct broker_link *l);

/* Close the connection and end the thread.  Waits for it: a second at most,
 * longer only while a connection is being made to somebody silent. */
void broker_link_stop(struct broker_link *l);

/* For callbacks: whether `status` of a librabbitmq call is an error, noted
 * with what was being done. */
bool broker_link_failed(struct broker_link *l, int status, const char *what);

/* The same for calls that are answered. */
bool broker_link_refused(struct broker_link *l, const char *what);

#endif
