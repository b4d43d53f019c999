/*
 * dispatch_int - how the dispatcher's files share their work.
 *
 *   dispatch.c        the loop's thread, its inbox, what handlers tell it
 *   dispatch_queue.c  one queue on the loop: what is due, what may start
 *   dispatch_store.c  two threads for what waits for the store
 *
 * All that is known of tasks and queues here belongs to the loop.  A task is
 * lent out to the store's thread while its outcome is being written.
 */
#ifndef SERVICE_TASKQUEUE_DISPATCH_INT_H
#define SERVICE_TASKQUEUE_DISPATCH_INT_H

#include "service/taskqueue/broker.h"
#include "service/taskqueue/bucket.h"
#include "service/taskqueue/taskqueue_int.h"

enum {
    DISPATCH_PAGE = 500,         /* tasks of one scan */
    DISPATCH_READY_MAX = 1000,   /* tasks of a queue that are held ready */
    DISPATCH_READY_LOW = 250,    /* fewer: scan for more */
    DISPATCH_RUNNING = 2000,     /* attempts under way, of all queues */
    DISPATCH_APP_RUNNING = 1000, /* of one app */
    DISPATCH_BATCH = 500,        /* outcomes of one commit */
    DISPATCH_INBOX = 50000,      /* messages that wait for the loop */
    DISPATCH_DEADLINE_SEC = 600, /* of an attempt, where the task has none */
};

/* Of all tasks that are held; a task has 100 KiB at most. */
#define DISPATCH_BYTES ((size_t)64 << 20)

enum dispatch_state {
    DISPATCH_READY,  /* in its queue's list */
    DISPATCH_RUNS,   /* given to the broker */
    DISPATCH_ENDING, /* its outcome is being written */
    DISPATCH_OVER,   /* gone; remembered while a scan may still find it */
};

/* What becomes of a task. */
enum dispatch_outcome {
    OUTCOME_END,    /* it ends */
    OUTCOME_MOVE,   /* to `after`: a retry */
    OUTCOME_BURIED, /* it was purged: its rows go */
};

struct dispatch_task {
    struct dispatch_task *hash_next;
    struct dispatch_task *next; /* in a list */
    struct dispatch_queue *dq;
    struct queue *queue;
    enum dispatch_state state;
    struct task task; /* views of `data` */
    struct task_request request;
    struct delivery delivery;
    struct queue_box *box; /* while it runs */
    int64_t started;       /* clock_wall() of the attempt */
    enum dispatch_outcome outcome;
    struct task after;
    size_t size;
    uint8_t data[];
};

struct dispatch_list {
    struct dispatch_task *first, **last;
    size_t n;
};

/* A queue as the loop sees it. */
struct dispatch_queue {
    struct dispatch *d;
    struct queue *queue;
    struct queue_box *box;
    struct dispatch_queue *next;         /* of all */
    struct dispatch_queue *next_blocked; /* in d->blocked */
    struct bucket bucket;
    uv_timer_t timer;
    struct dispatch_list ready;
    size_t running;
    /*
     * Every task before `cursor` is known, or gone, or its offer is on the way;
     * `more`: others may be due behind it.
     */
    struct buf cursor;
    bool more;
    int64_t next_at; /* nothing is due behind the cursor before this */
    bool scanning, blocked;
    bool dirty;       /* to be pumped */
    struct buf again; /* the scan under way may have passed this row by */
    bool low_moves;   /* the scan may move the low-water mark */
    int64_t through;  /* tasks up to this place may start: it is on the disk */
    bool advancing;   /* a later one is on its way there */
    bool recovering;  /* what may have been started before is being marked */
    struct dispatch_task *over; /* to be forgotten behind the scan, by `next` */
    int64_t pause_until;        /* clock_mono(): a scan failed */
};

enum dispatch_job {
    JOB_SCAN,    /* tasks from `from` up to `until` */
    JOB_ADVANCE, /* write that tasks up to `until` may start */
    JOB_RECOVER, /* count a cut for every task up to `until` */
};

/* A scan, or what else a queue wants of the store, on its way and back. */
struct dispatch_scan {
    struct dispatch_scan *next;
    enum dispatch_job job;
    struct dispatch_queue *dq;
    struct buf from; /* a row by ETA */
    int64_t until;   /* rows up to this place */
    int rc;
    struct dispatch_list found;
    bool more;
    int64_t next_at;
};

enum message_kind { MESSAGE_OFFER, MESSAGE_FORGET, MESSAGE_CHANGED };

struct message {
    struct message *next;
    enum message_kind kind;
    struct queue *queue;
    struct dispatch_task *task; /* OFFER; FORGET: name and place alone */
};

enum { DISPATCH_HASH = 8192 };

struct dispatch {
    struct taskqueue *tq;
    struct broker *broker;
    uv_loop_t loop;
    uv_async_t wake;
    pthread_t thread;
    bool stopping; /* the loop's own */

    /* The inbox, under LOCK_TASKQUEUE_INBOX. */
    struct lock inbox_lock;
    struct message *messages, **messages_end;
    size_t n_messages;
    bool missed; /* there were more than it takes */
    struct dispatch_list ended;
    struct dispatch_scan *scanned;
    bool stop;

    /* What the store's threads are to do, under LOCK_TASKQUEUE_STORE. */
    struct lock store_lock;
    pthread_cond_t scan_wake, end_wake;
    struct dispatch_scan *scans, **scans_end;
    struct dispatch_list ends;
    bool store_stop;
    pthread_t scan_thread, end_thread;

    /* The loop's own. */
    struct dispatch_queue *queues;
    struct dispatch_queue *blocked, **blocked_end;
    struct dispatch_task *hash[DISPATCH_HASH];
    size_t running, bytes;
};

/* ---- dispatch.c ---- */

/* An empty list; it must not move while it is. */
void dispatch_list_init(struct dispatch_list *l);

/* Append a task that is in no list. */
void dispatch_list_add(struct dispatch_list *l, struct dispatch_task *t);

/* The first one, taken off; NULL of an empty list. */
struct dispatch_task *dispatch_list_take(struct dispatch_list *l);

/* A task to be known: copies name and request.  NULL when it is malformed. */
struct dispatch_task *dispatch_task_new(struct queue *q, const struct task *t);

/* Free one that is in no list. */
void dispatch_task_free(struct dispatch_task *t);

/* Hand a finished scan to the loop, whose it is then.  Any thread. */
void dispatch_hand_scan(struct dispatch *d, struct dispatch_scan *scan);

/* Hand all tasks of `ended` over, which is empty then.  Any thread. */
void dispatch_hand_ended(struct dispatch *d, struct dispatch_list *ended);

/* ---- dispatch_queue.c: on the loop ---- */

/* The loop's record of a queue, made when new. */
struct dispatch_queue *dispatch_queue_of(struct dispatch *d, struct queue *q);

/* A task was put; takes it. */
void dispatch_queue_offer(struct dispatch_queue *dq, struct dispatch_task *t);

/* A task has gone or moved away from its place; takes the record of both. */
void dispatch_queue_forget(struct dispatch_queue *dq, struct dispatch_task *t);

/* Look at the definition again. */
void dispatch_queue_changed(struct dispatch_queue *dq);

/* Offers were lost: everything is looked at again. */
void dispatch_queue_missed(struct dispatch_queue *dq);

/* A scan came back; takes it. */
void dispatch_queue_scanned(struct dispatch_scan *scan);

/* The outcome of a task is durable; takes it. */
void dispatch_queue_ended(struct dispatch_task *t);

/* Start what may start, ask for more, set the clock. */
void dispatch_queue_pump(struct dispatch_queue *dq);

/* The broker takes tasks again: every queue that waits tries once. */
void dispatch_queue_unblock_all(struct dispatch *d);

/* Forget everything; the timer closes on the loop. */
void dispatch_queue_stop(struct dispatch_queue *dq);

/* ---- dispatch_store.c ---- */

int dispatch_store_start(struct ctx *ctx, struct dispatch *d);

/* Write the outcomes that wait, end the threads. */
void dispatch_store_stop(struct dispatch *d);

/* Have a scan made; dispatch_hand_scan() brings it back. */
void dispatch_store_scan(struct dispatch *d, struct dispatch_scan *scan);

/* Have a task's outcome written; dispatch_hand_ended() brings it back. */
void dispatch_store_end(struct dispatch *d, struct dispatch_task *t);

#endif
