/*
 * queue - the queues there are: definitions, figures, marks.
 *
 * A definition is a row and, in memory, an immutable box that is replaced as a
 * whole: queue_def() holds one for the rest of a request.  A queue is found by
 * app and name and lives until taskqueue_close(), deleted or not, so pointers
 * to it are good everywhere.
 *
 * Changes of definitions come one after the other (LOCK_TASKQUEUE_CHANGE,
 * held over their commit); everything else here is under LOCK_TASKQUEUE for a
 * few instructions.  Counters are atomics.
 */
#ifndef SERVICE_TASKQUEUE_QUEUE_H
#define SERVICE_TASKQUEUE_QUEUE_H

#include "base/locks.h"
#include "service/taskqueue/low.h"
#include "service/taskqueue/retry.h"
#include "service/taskqueue/task.h"
#include "service/taskqueue/taskqueue.h"
#include "task_rows.pb.h"

#include <stdatomic.h>

/* Google's, where a definition says nothing. */
enum {
    QUEUE_BUCKET_SIZE = 5,
    QUEUE_CONCURRENT = 1000,
    QUEUE_TOMB_DAYS = 7, /* a deleted queue's name is kept from use [doc] */
};

/* A definition; the views live as long as whoever holds it. */
struct queue_def {
    struct bytes row; /* the task_rows.Queue it was read from */
    double rate;
    int32_t bucket_size;
    struct bytes user_rate; /* "5/s", or empty */
    int32_t max_concurrent; /* 0: not given */
    int32_t mode;           /* taskqueue_TaskQueueMode_* */
    struct bytes target;    /* or empty */
    bool has_retry;
    struct retry retry;
    bool paused, disabled, from_yaml;
    int64_t purged, swept; /* versions: dropped, and their rows, too */
    int64_t deleted;       /* 0: it is there */
};

struct queue_box {
    _Atomic int refs;
    struct arena arena;
    struct queue_def def;
};

struct queue_app {
    struct queue_app *next;
    struct bytes id;
    _Atomic int64_t bytes;         /* of all its tasks */
    _Atomic int64_t storage_limit; /* INT64_MAX: none */
    size_t running;                /* attempts, the dispatcher's own */
};

/* Attempts by second, for "executed in the last minute". */
enum { QUEUE_MINUTES = 60 };
struct queue_recent {
    int64_t minute; /* the newest one */
    int64_t by_minute[QUEUE_MINUTES];
    int64_t second;
    int64_t by_second[60];
};

struct queue {
    struct queue *next; /* in its bucket */
    struct queue *next_all;
    struct queue_app *app;
    struct bytes name;

    struct queue_box *box;      /* under tq->lock */
    struct low low;             /* under tq->lock */
    int64_t low_stored;         /* under tq->lock: the mark on disk, or below */
    int64_t started;            /* as loaded: see queue_started_key() */
    struct queue_recent recent; /* under tq->lock */

    bool gone; /* under tq->lock: its app was deleted */

    _Atomic int64_t tasks; /* rows, purged ones that are not swept among them */
    _Atomic int64_t dead;  /* of those, the purged ones, nearly */
    _Atomic int64_t bytes;
    _Atomic int64_t in_flight;
    /* An offer of a later place is left to the dispatcher's next scan. */
    _Atomic int64_t scan_reaches;
    _Atomic uint64_t enforced; /* rate now, the bits of a double */

    struct dispatch_queue *dispatch; /* the dispatcher's own */
};

enum { QUEUE_BUCKETS = 1024 };

struct taskqueue {
    struct taskqueue_options o;
    struct arena arena; /* names; under lock */
    struct lock lock;   /* LOCK_TASKQUEUE */
    struct lock change; /* LOCK_TASKQUEUE_CHANGE */
    struct queue *buckets[QUEUE_BUCKETS];
    struct queue *all;
    struct queue_app *apps;
    struct dispatch *dispatch; /* NULL: not started */
    struct sweep *sweep;       /* NULL: not started */
};

/* Read every definition, and count the tasks of every queue. */
int queue_load_all(struct ctx *ctx, struct taskqueue *tq);

/* Free them all. */
void queue_free_all(struct taskqueue *tq);

/*
 * The queue of an app; `default` and `__cron` are made when they are not
 * there yet.  NULL in *out when there is none, or it was deleted and its name
 * may be used again.  Errors of the store.
 */
int queue_find(struct ctx *ctx, struct taskqueue *tq, struct bytes app,
               struct bytes name, struct queue **out);

/* The queue if it is known, made or not: never waits. */
struct queue *queue_get(struct taskqueue *tq, struct bytes app,
                        struct bytes name);

/* As queue_find(), and whatever cannot be used is an application error:
 * UNKNOWN_QUEUE, INVALID_QUEUE_NAME, TOMBSTONED_QUEUE. */
int queue_need(struct ctx *ctx, struct taskqueue *tq, struct bytes app,
               struct bytes name, struct queue **out);

/* The TaskQueueServiceError of a name: 0 when queue_find() gave a queue that
 * can be used. */
int32_t queue_result(struct ctx *ctx, struct taskqueue *tq, struct bytes name,
                     const struct queue *q);

/* The definition as of now, good until ctx->arena is reset. */
const struct queue_def *queue_def(struct ctx *ctx, struct taskqueue *tq,
                                  const struct queue *q);

/* As above for who has no request: pair with queue_box_unref(). */
struct queue_box *queue_box_ref(struct taskqueue *tq, const struct queue *q);

/* Let go of it; the last one frees it.  Any thread. */
void queue_box_unref(struct queue_box *box);

/* The queues of an app by name, deleted ones left out; in the arena. */
void queue_list(struct ctx *ctx, struct taskqueue *tq, struct bytes app,
                struct queue ***out, size_t *n);

/* The record of an app, made when new. */
struct queue_app *queue_app(struct taskqueue *tq, struct bytes app);

/* ---- changing definitions ---- */

/* Change `m`, a queue's definition as it is; false: leave it alone. */
typedef bool queue_edit_fn(struct ctx *ctx, struct task_rows_Queue *m,
                           void *arg);

/*
 * Change the definition of a queue, made when it is not there: stored, then
 * seen by everyone.  `fresh` in the callback's m is an empty message.
 */
int queue_edit(struct ctx *ctx, struct taskqueue *tq, struct bytes app,
               struct bytes name, queue_edit_fn *fn, void *arg,
               struct queue **out);

/* Store and set the app's limit; INT64_MAX: none. */
int queue_set_limit(struct ctx *ctx, struct taskqueue *tq, struct bytes app,
                    int64_t limit);

/*
 * Drop all tasks of a queue, and with queue_too the queue: one small row says
 * so, and their own rows are swept away later.  A task that is being added at
 * this moment is on either side of it.
 */
int queue_drop(struct ctx *ctx, struct taskqueue *tq, struct queue *q,
               bool queue_too);

/* Forget a queue's rows but those of its tasks; its struct stays, unseen. */
int queue_forget(struct ctx *ctx, struct taskqueue *tq, struct queue *q);

/* ---- figures and marks ---- */

/* A task came (n = 1) or went (-1). */
void queue_count(struct queue *q, int64_t n, size_t bytes);

/* All that are there now have been purged; the sweep counts them down. */
void queue_count_purged(struct queue *q);

/* One of those was swept. */
void queue_count_swept(struct queue *q, size_t bytes);

/* Tasks that are there to see. */
int64_t queue_tasks(const struct queue *q);

/* An attempt was made, or a lease given. */
void queue_count_run(struct taskqueue *tq, struct queue *q, int64_t now);

/* Attempts (leases, of a pull queue) of the last minute and the last hour. */
void queue_recent(struct taskqueue *tq, struct queue *q, int64_t now,
                  int64_t *minute, int64_t *hour);

/* The ETA of the first task that is there; -1 when there is none (queues.c). */
int queue_oldest(struct ctx *ctx, struct taskqueue *tq, struct queue *q,
                 int64_t *eta);

/* Dispatches a second as of now: the definition's rate, or what the dispatcher
 * has lowered it to; 0 while it is paused (queues.c). */
double queue_enforced_rate(const struct queue *q, const struct queue_def *def);

/*
 * A row will be put at `at`; *store says that the mark on disk lies behind it
 * (the clock was set back) and has to be lowered in the same commit, with
 * queue_low_put().
 */
int queue_write_begin(struct taskqueue *tq, struct queue *q, int64_t at,
                      bool *store);

/* That commit has returned, whatever it said; `generation` is what
 * queue_write_begin() answered. */
void queue_write_end(struct taskqueue *tq, struct queue *q, int generation);

/* Add the mark `at` to a commit. */
void queue_low_put(struct storage_batch *b, struct queue *q, int64_t at);

/* low_scan_begin() of the queue's mark, under its lock. */
int64_t queue_scan_begin(struct taskqueue *tq, struct queue *q, bool *moves);

/* low_scan_end() of the same. */
void queue_scan_end(struct taskqueue *tq, struct queue *q, bool moves,
                    int64_t at);

/* Store how far the marks have come, where that is worth a commit. */
int queue_store_marks(struct ctx *ctx, struct taskqueue *tq);

/*
 * The row that says up to which place tasks of the queue may have been started:
 * it is moved before they are.  After a restart they may have run in part, and
 * their retry count has to tell.
 */
struct storage_key queue_started_key(struct arena *a, const struct queue *q);

/*
 * Where the first task that is not purged stands, and its ETA; INT64_MAX and
 * -1 when there is none.  Moves the low-water mark there.
 */
int queue_first(struct ctx *ctx, struct taskqueue *tq, struct queue *q,
                int64_t *at, int64_t *eta);

/* The retry parameters that count for a task of a queue. */
struct retry queue_retry(const struct queue_def *def,
                         const struct task_request *r);

#endif
