/*
 * engine_int - what the files of engine/ share; nobody else includes it.
 */
#ifndef ENGINE_ENGINE_INT_H
#define ENGINE_ENGINE_INT_H

#include "base/locks.h"
#include "engine/engine.h"
#include "engine/query.h"
#include "engine/txn.h"

#include <stdatomic.h>

/* ---- versions (version.c) ---- */

/*
 * Versions are wall-clock microseconds, or one more than the last. They are
 * handed out below `limit`, which is durable: the next process starts there.
 */
struct versions {
    _Atomic int64_t last;
    _Atomic int64_t limit;
    struct lock lock; /* one thread extends */
};

/* A version above all before.  Errors as storage_commit(), rarely. */
int version_next(struct ctx *ctx, struct engine *e, int64_t *out);

/* What the store says: no version at or above it has been handed out. */
int version_limit(struct ctx *ctx, struct engine *e, int64_t *out);

/* Reserve the first versions; engine_open() calls it. */
int version_start(struct ctx *ctx, struct engine *e);

/* ---- apps (app.c) ---- */

/* A space of ids and the part of it this process may hand out. */
struct id_block {
    int64_t next, end;
};

/* One namespace seen to have its row in KEY_SPACES. */
enum { APP_SPACES_KNOWN = 256 };

/* What the engine remembers of an app; lives until engine_close(). */
struct engine_app {
    struct engine_app *next; /* in its bucket */
    struct bytes project;
    struct bytes meta; /* its KEY_META partition */

    struct lock ids_lock;
    struct id_block ids; /* scattered ones, up to the first reserved one */
    int64_t ids_end;     /* behind the block they are of */

    /* under engine.index_lock */
    struct index_box *indexes; /* NULL: not read yet */
    int old_sets;              /* replaced, but still in use */
    struct bytes spaces[APP_SPACES_KNOWN];

    _Atomic bool read_only; /* read_only.c: set before `writers` is looked at */
    _Atomic int writers;    /* writes behind the gate */
};

enum { ENGINE_APP_BUCKETS = 256 };

/* The record of an app, made when new.  Any app id spelling. */
struct engine_app *engine_app(struct engine *e, struct bytes app);

/*
 * Whether `space` is known to have its row.  False may also mean that it was
 * forgotten: the next write then puts the row again, which changes nothing.
 */
bool app_space_known(struct engine *e, struct engine_app *app,
                     struct bytes space);

/*
 * Say that `space` has its row, after the commit that wrote it and never
 * before.
 */
void app_space_learn(struct engine *e, struct engine_app *app,
                     struct bytes space);

/* Forget all that is cached of an app's rows. */
void app_forget(struct engine *e, struct engine_app *app);

/* Every namespace of an app that may hold entities, in order. */
int app_spaces(struct ctx *ctx, struct engine *e, struct bytes app,
               struct bytes **out, size_t *n);

/* The KEY_SPACES row of a namespace. */
struct storage_key app_space_key(struct arena *a, struct bytes app,
                                 struct bytes space);

/* ---- index sets and their building (index_set.c, index_build.c) ---- */

struct index_box {
    struct index_set set; /* first: what callers hold */
    _Atomic int refs;
    struct engine *engine;
    struct engine_app *app;
    struct arena arena;
};

/* Read the definitions from the store and make them the app's set. */
int index_set_reload(struct ctx *ctx, struct engine *e, struct engine_app *app);

/* Wait until no set but the current one is in use. */
int index_set_settle(struct ctx *ctx, struct engine *e, struct engine_app *app);

/* Let go of the current set; the next index_set_ref() reads it anew.  Under
 * engine.index_lock. */
void index_set_drop(struct engine_app *app);

/* Where the definition of index `id` lies in the app's partition. */
struct storage_key index_def_key(struct arena *a, const struct engine_app *app,
                                 int64_t id);

/* What lies there: the entity.CompositeIndex message, with id and state. */
struct bytes index_def_row(struct arena *a, const struct engine_app *app,
                           const struct index_def *def);

/* What the rows of all definitions of an app begin with. */
struct bytes index_def_prefix(void);

/* Read one; false when it is none.  Views of the row, columns in the arena. */
bool index_def_row_read(struct arena *a, struct bytes row,
                        struct index_def *def);

/* Whether a set that is held is still the app's: then nobody has begun to write
 * with another one. */
bool index_set_current(const struct index_set *set);

/* The row that makes the next start look for unfinished work. */
struct storage_key index_todo_key(struct arena *a, struct bytes project);

/* Change the stored state of a definition, then the app's set. */
int index_set_state(struct ctx *ctx, struct engine *e, struct engine_app *app,
                    const struct index_def *def, enum index_state state);

/* Bring one definition to its end: build it, or take its rows away. */
int index_finish(struct ctx *ctx, struct engine *e, struct engine_app *app,
                 int64_t id);

/* Finish every unfinished definition of every app. */
int index_finish_all(struct ctx *ctx, struct engine *e);

/* A build or a removal under way, for index_progress(). */
struct index_work {
    struct index_work *next;
    struct engine_app *app;
    int64_t id;
    _Atomic int64_t done, total;
};

/* Let it be seen; `w` stays where it is until index_work_end(). */
void index_work_begin(struct engine *e, struct index_work *w);

/* It is over, well or not. */
void index_work_end(struct engine *e, struct index_work *w);

/*
 * Add to *n the rows of a partition that begin with `prefix`, until *n is
 * `most`.  ERR_CANCELLED when the engine stops.
 */
int index_count(struct ctx *ctx, struct engine *e, struct bytes partition,
                struct bytes prefix, int64_t most, int64_t *n);

/* Keep the text of the index.yaml that was deployed last. */
int index_yaml_store(struct ctx *ctx, struct engine *e, struct bytes app,
                     struct bytes yaml);

/* The composite rows of one definition alone. */
int index_rows_of_def(struct ctx *ctx, const struct index_def *def,
                      const struct key *key, struct bytes entity,
                      struct index_rows *out);

/* The wall-clock moment of the deadline, at most `most` microseconds away: for
 * pthread_cond_timedwait(). */
struct timespec index_wait_until(const struct ctx *ctx, int64_t most);

/* ---- read-only mode (read_only.c) ---- */

/* Whose writes are stopped, as read last; the empty project is all. */
struct stopped {
    struct arena arena;
    struct bytes *projects;
    size_t n;
};

/* Set the flag of a new record.  Under engine.index_lock. */
void read_only_init(struct engine *e, struct engine_app *app);

/* Read the rows and set all flags. */
int read_only_load(struct ctx *ctx, struct engine *e);

/* ---- ids (ids.c) ---- */

/* Raise top[0] (sequential ids) or top[1] (scattered) to the counter of `id`.
 */
void ids_note_top(int64_t id, int64_t top[2]);

/*
 * Look at both counters of an app: bad[i] becomes a static name when the row
 * does not read, or is below what this process has handed out.  With `repair`
 * it is set above that and above top[i].
 */
int ids_mend(struct ctx *ctx, struct engine *e, struct engine_app *app,
             const int64_t top[2], bool repair, const char *bad[2]);

/* ---- writing (write.c) ---- */

/* The state of a set of writes on the way to one commit. */
struct write_plan {
    struct engine *engine;
    const struct index_set *indexes;
    struct storage_batch batch;
    struct engine_cost cost;
};

/* Of several mutations of one key keep the last, in key order.  Returns how
 * many; order[] has room for n. */
size_t write_order(struct engine_mutation *m, size_t n,
                   struct engine_mutation **order);

/* The storage key of an entity. */
struct storage_key write_entity_key(struct arena *a, const struct key *key);

/* The storage key of its group's version: what transactions compare. */
struct storage_key write_group_key(struct arena *a, const struct key *key);

/*
 * Add to the plan what turns `old`, the entity's row as read, into the
 * mutation's outcome; sets m->version to `version`, or to the old one when
 * nothing changes.  *changed says whether anything does.
 */
int write_plan_add(struct ctx *ctx, struct write_plan *plan,
                   struct engine_mutation *m, const struct storage_value *old,
                   int64_t version, bool *changed);

/* The group's new version, where groups are kept, and its namespace's row when
 * it may be new. */
void write_plan_group(struct ctx *ctx, struct write_plan *plan,
                      const struct key *key, int64_t version);

/* After the commit: remember what it made durable. */
void write_plan_done(struct ctx *ctx, struct write_plan *plan,
                     const struct key *key);

/* Wait a little longer each time a commit has met a conflict; ERR_CONFLICT
 * with a sentence when the deadline leaves no time. */
int write_backoff(struct ctx *ctx, int attempt);

/* Whether a commit surely wrote nothing and may be tried again, after a
 * conflict or otherwise; forgets the story of the failure. */
bool write_again(struct ctx *ctx, int rc);

/* What to answer for `rc` after that many conflicts: a deadline that passed
 * meanwhile is theirs. */
int write_late(struct ctx *ctx, int rc, int attempt);

/* ---- transactions (txn.c) ---- */

struct txn_table;

/* An empty table; out of memory ends the process. */
struct txn_table *txn_table_new(void);

/*
 * Free it and the transactions still open, of which nothing was written; no
 * call may be running.
 */
void txn_table_free(struct txn_table *t);

/* Let transactions that nobody works on any more go. */
void txn_expire(struct engine *e);

/*
 * Touch the groups of keys[] and read gets[0..n_gets-1] in one moment with the
 * versions of all groups read so far.
 */
int txn_read(struct ctx *ctx, struct txn *t, const struct key *keys, size_t n,
             const struct storage_key *gets, size_t n_gets,
             struct storage_value *out);

/* ---- the engine ---- */

struct engine {
    struct storage *storage;
    struct versions versions;

    struct lock index_lock; /* apps, their sets and namespaces */
    uint64_t index_serial;  /* of the newest set, under it */
    pthread_cond_t settled; /* a replaced set is no longer used */
    struct engine_app *apps[ENGINE_APP_BUCKETS];
    struct arena apps_arena;
    struct stopped stopped;   /* under index_lock */
    pthread_cond_t drained;   /* a stopped app has no write under way */
    bool frozen;              /* engine_freeze() */
    struct index_work *works; /* under index_lock */

    struct lock change_lock; /* one change of definitions at a time */
    struct job_table *jobs;  /* long work: job.h */
    struct txn_table *txns;
    struct engine_actions actions; /* engine_set_actions() */
    struct query_table *queries;   /* open queries: query_open.h */

    /* the engine's own thread */
    pthread_t thread;
    bool started;
    pthread_mutex_t wake_mutex;
    pthread_cond_t wake;
    bool todo; /* under wake_mutex */
    _Atomic bool stop;
};

/* Have the engine's thread look for unfinished indexes. */
void engine_wake(struct engine *e);

#endif
