/*
 * task - a task as rows.
 *
 * A task is two rows, three with a tag, which change together in one commit:
 *
 *   by ETA   when it is due, name      -> its state and the request it came in
 *   by name  name                      -> where its row by ETA lies
 *   by tag   tag, when it is due, name -> nothing (pull queues)
 *
 * Whoever changes a task requires its row by name to be as it was read: the
 * row is the task's lock.  A name that was used stays behind as a tombstone;
 * it is a row when the app chose it, and needs none when we did: such a name
 * proves itself (task_name_chosen).
 *
 * Everything lives in the arena that was given.  Pure functions; any thread.
 * The bytes are in docs/storage-format.md.
 */
#ifndef SERVICE_TASKQUEUE_TASK_H
#define SERVICE_TASKQUEUE_TASK_H

#include "service/taskqueue/retry.h"
#include "storage/storage.h"

/* Limits; [sdk] enforced by the SDKs, [doc] Google's public reference. */
enum {
    TASK_NAME_MAX = 500,       /* [sdk] */
    TASK_QUEUE_NAME_MAX = 100, /* [sdk] */
    TASK_URL_MAX = 2083,       /* [sdk] */
    TASK_TAG_MAX = 500,        /* [sdk] */
    TASK_PUSH_MAX = 102400,    /* bytes of an add request [sdk] */
    TASK_PULL_MAX = 1048576,   /* the same [sdk] */
    TASK_ADD_MAX = 100,        /* tasks of one BulkAdd [sdk] */
    TASK_LEASE_MAX = 1000,     /* tasks of one lease [sdk] */
    TASK_CHOSEN_DIGITS = 20,   /* of a name of ours */
};
#define TASK_ETA_AHEAD (30 * 86400 * CLOCK_SEC) /* [doc] */
#define TASK_LATE_MAX  (600 * CLOCK_SEC)        /* see task_at() */
#define TASK_TOMB_LIFE (9 * 86400 * CLOCK_SEC)  /* [doc] */

enum task_table {
    TASK_BY_ETA = 'Q',
    TASK_BY_NAME = 'T',
    TASK_BY_TAG = 'G',
    TASK_TOMBS = 'X', /* of an app: when a tombstone ends */
};

enum task_flags {
    TASK_CHOSEN = 1, /* the name is ours */
    TASK_TAGGED = 2, /* it has a row by tag */
};

struct task {
    struct bytes name;
    int64_t at;          /* its place in the order: see task_at() */
    int64_t eta;         /* microseconds since 1970; of a leased one, the end */
    int64_t created;     /* the engine's version: unique, and a time */
    int64_t first_try;   /* start of the first attempt; 0: none yet */
    int64_t dispatched;  /* start of the last attempt; 0: none yet */
    int64_t elapsed;     /* microseconds it took */
    uint32_t retries;    /* failures of every kind; leases of a pull task */
    uint32_t executions; /* of those, the ones the app answered */
    uint16_t cuts;       /* starts that a restart of ours may have cut off */
    uint16_t status;     /* its last answer; 0: none */
    uint16_t moves;      /* counts changes of the rows */
    uint8_t flags;
    struct bytes request; /* the TaskQueueAddRequest as it came */
};

/* What stands in a row by name. */
struct task_name {
    bool live;       /* else a tombstone */
    int64_t at;      /* live: see above */
    int64_t created; /* live */
    int64_t ends;    /* a tombstone: microseconds since 1970 */
};

/*
 * Where a task of this ETA stands in the order: its ETA, but not long before
 * now, so that a scan need not begin at the beginning of time.
 */
int64_t task_at(int64_t eta, int64_t now);

/* The partition of a table of a queue (`queue` is empty for TASK_TOMBS). */
struct bytes task_partition(struct arena *a, struct bytes app,
                            enum task_table table, struct bytes queue);

/* The row by ETA; with an empty name, where a scan from `at` on begins. */
struct bytes task_eta_row(struct arena *a, int64_t at, struct bytes name);

/* Where the rows by tag of `tag` begin that are due from `at` on. */
struct bytes task_tag_row(struct arena *a, struct bytes tag, int64_t at,
                          struct bytes name);

/* The `at` and the name of a row by tag of `tag`, or of a row by ETA when
 * `tag` has no bytes.  False when it is malformed. */
bool task_row_split(struct bytes row, struct bytes tag, int64_t *at,
                    struct bytes *name);

/* Take a row by ETA apart; views of it.  False when it is malformed. */
bool task_read(struct bytes row, struct bytes value, struct task *out);

/* The value of its row by ETA. */
struct bytes task_value(struct arena *a, const struct task *t);

/* Bytes it counts for in total_storage_limit: those of its row by ETA. */
size_t task_size(const struct task *t);

/* Take the value of a row by name apart.  False when it is malformed. */
bool task_name_read(struct bytes value, struct task_name *out);

/* The value of the row by name of a live task. */
struct bytes task_name_value(struct arena *a, const struct task *t);

/* Put all rows of a task. */
void task_put(struct storage_batch *b, struct bytes app, struct bytes queue,
              const struct task *t);

/*
 * Delete all rows of a task; its name becomes a tombstone until `ends`.  Under
 * the condition that its row by name is that of `t`.
 */
void task_end(struct storage_batch *b, struct bytes app, struct bytes queue,
              const struct task *t, int64_t ends);

/*
 * Replace the rows of `was` by those of `t`, the same task elsewhere or in
 * another state; t->moves is counted up.  Under the same condition.
 */
void task_move(struct storage_batch *b, struct bytes app, struct bytes queue,
               const struct task *was, struct task *t);

/* ---- names ---- */

/* Letters, digits, '_' and '-', 1 to 500. */
bool task_name_valid(struct bytes name);

/* Letters, digits and '-', 1 to 100. */
bool task_queue_name_valid(struct bytes name);

/* The name we give the task created as `created`: twenty digits. */
struct bytes task_name_choose(struct arena *a, struct bytes queue,
                              int64_t created);

/* Whether we once gave the name to a task of this queue, at or before
 * `newest`. */
bool task_name_chosen(struct bytes queue, struct bytes name, int64_t newest);

/* ---- the request inside ---- */

/* What dispatching and answering need of a TaskQueueAddRequest; views. */
struct task_request {
    struct bytes queue, name, url, body, tag, description;
    struct bytes retry, payload, transaction, crontab;
    struct bytes app_id;
    int64_t eta, deadline; /* microseconds; 0: not given */
    int32_t method, mode;
    bool has_eta, has_queue, has_name, has_body, has_tag, has_retry,
        has_payload, has_transaction, has_other_transaction, has_crontab,
        has_deadline, has_url, has_description;
    struct bytes bytes; /* all of it */
};

/* False when it is malformed or lacks a required field. */
bool task_request_read(struct bytes message, struct task_request *out);

/* One header of the request: step through it from *at = 0.  False at the end.
 */
bool task_request_header(struct bytes message, size_t *at, struct bytes *key,
                         struct bytes *value);

/* "POST" for 2; NULL for a number that is no method. */
const char *task_method_name(int32_t method);

#endif
