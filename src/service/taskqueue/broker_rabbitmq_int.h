/*
 * broker_rabbitmq_int - what the dispatcher's loop and the two links share.
 *
 *   broker_rabbitmq.c       the loop's side: leases, attempts, life
 *   broker_rabbitmq_link.c  the links' side: publishing and consuming
 *
 * They talk through three lists of notes under LOCK_TASKQUEUE_BROKER; all else
 * has one owner.  What a link has in hand is void when its connection is lost,
 * and the loop, whose leases are the truth, has it sent again.
 */
#ifndef SERVICE_TASKQUEUE_BROKER_RABBITMQ_INT_H
#define SERVICE_TASKQUEUE_BROKER_RABBITMQ_INT_H

#include "base/locks.h"
#include "service/taskqueue/broker.h"
#include "service/taskqueue/broker_link.h"

enum {
    RABBIT_WAITING = 500, /* leases that no worker has taken */
    RABBIT_WINDOW = 1024, /* messages without a confirm */
    RABBIT_PREFETCH = 2000,
    /* The dispatcher has 2000 attempts at most, and a lease that is published
     * again adds a message: beyond this somebody else fills our queues. */
    RABBIT_QUEUE_MAX = 50000,
};

/* What a queue in RabbitMQ is for; the default is the first. */
enum rabbit_purpose { RABBIT_PUSH, RABBIT_CRON, RABBIT_PURPOSES };

enum rabbit_note_kind {
    RABBIT_OPEN,      /* to the loop: a link is connected... */
    RABBIT_LOST,      /* ...or is not any more */
    RABBIT_CONFIRMED, /* RabbitMQ has the message of `number` */
    RABBIT_ARRIVED,   /* a worker's turn: `data`, to be acknowledged as `tag` */
    RABBIT_PUBLISH,   /* to the publisher: `data`, the lease `number` */
    RABBIT_ACK,       /* to the consumer: `tag` of `generation` */
};

struct rabbit_note {
    struct rabbit_note *next;
    enum rabbit_note_kind kind;
    enum rabbit_purpose purpose;
    bool consumer; /* OPEN, LOST: which link */
    uint64_t number;
    uint64_t tag;
    uint64_t generation; /* of the consumer's connection */
    size_t n;
    uint8_t data[];
};

struct rabbit_notes {
    struct rabbit_note *first, **last;
};

/* How a link gets on with the queues it declares. */
struct rabbit_trouble {
    int queue; /* the one it works on, or failed at last */
    int times; /* in a row */
};

struct rabbit_lease;
enum { RABBIT_HASH = 1024 };

struct rabbit {
    struct broker broker; /* first */
    struct broker *local; /* makes the attempts */
    struct taskqueue *tq;
    struct arena arena;
    struct broker_place place;
    struct broker_link publisher, consumer;
    uv_async_t wake;
    uv_timer_t tick;

    struct lock lock; /* LOCK_TASKQUEUE_BROKER */
    struct rabbit_notes to_loop, to_publisher, to_consumer;

    /* The loop's own. */
    struct rabbit_lease *leases[RABBIT_HASH];
    uint64_t epoch, numbers;
    size_t waiting;
    bool publishes, consumes; /* which links are connected */
    bool refused;             /* the dispatcher waits for broker.ready */
    int closing;
    void (*closed)(void *arg);
    void *closed_arg;

    /* The publisher's own: leases by the number of their message. */
    uint64_t window[RABBIT_WINDOW];
    uint64_t sent, confirmed; /* messages: 1 is the first of a connection */
    int64_t moved;            /* clock_mono(): a confirm, or one to wait for */
    struct rabbit_trouble publisher_trouble;

    /* The consumer's own. */
    struct rabbit_trouble consumer_trouble;
    uint64_t generation;
    uint64_t tag;                 /* of the message that is coming in */
    uint64_t left;                /* bytes of it */
    struct rabbit_note *incoming; /* NULL: it is too long to be one of ours */
};

/* ---- broker_rabbitmq.c ---- */

/* A note with room for that many bytes of data, none of them in use; free()
 * ends it. */
struct rabbit_note *rabbit_note_new(enum rabbit_note_kind kind, size_t room);

/* Make an empty list. */
void rabbit_notes_init(struct rabbit_notes *l);

/* Take a note over, behind the others.  Under the lock. */
void rabbit_notes_add(struct rabbit_notes *l, struct rabbit_note *n);

/* The first one, which is the caller's now; NULL when there is none.  Under
 * the lock. */
struct rabbit_note *rabbit_notes_take(struct rabbit_notes *l);

/* All of them, by `next`; takes the lock itself. */
struct rabbit_note *rabbit_notes_take_all(struct rabbit *r,
                                          struct rabbit_notes *l);

/* Free all of them; takes the lock itself. */
void rabbit_notes_drop(struct rabbit *r, struct rabbit_notes *l);

/* Give the loop a note.  Any thread. */
void rabbit_tell(struct rabbit *r, struct rabbit_note *n);

/* ---- broker_rabbitmq_link.c ---- */

extern const struct broker_link_ops rabbit_publisher_ops, rabbit_consumer_ops;

#endif
