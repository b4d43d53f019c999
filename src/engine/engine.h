/*
 * engine - the datastore: entities, index rows, ids and versions over a store.
 *
 * service/datastore decodes requests and calls this; nothing here knows of
 * RPCs.  Four ways in:
 *
 *   engine_get()    entities by key
 *   engine_write()  puts and deletes outside a transaction
 *   txn.h           transactions
 *   query.h         queries
 *
 * A write reads the rows it replaces, computes the index rows of the old and
 * the new entity, and commits the difference with the entity, under the
 * condition that what it read is unchanged; so index rows always match their
 * entity.  Every commit gives each entity group it writes a new version in
 * KEY_GROUPS, which is what transactions compare; but for namespaces that
 * transactions leave alone (key_untracked()).
 *
 * Versions grow over restarts and clock steps, and no two commits of a group
 * share one.
 *
 * Ownership: results live in ctx->arena.  Thread rule: an engine is shared by
 * all threads.  Where ctx->may_wait is false, calls answer ERR_WOULD_BLOCK
 * having changed nothing.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "engine/entity.h"
#include "engine/index.h"
#include "engine/key.h"

struct engine;
struct txn;

/* An engine over `st`, which must outlive it.  Errors as storage_get(). */
int engine_open(struct ctx *ctx, struct storage *st, struct engine **out);

/* Start the engine's own thread: it builds indexes (those a crash cut short
 * first) and lets idle transactions expire. */
int engine_start(struct ctx *ctx, struct engine *e);

/* Stop that thread; accepts an engine that was not started. */
void engine_stop(struct engine *e);

/* Free; no call may be running. */
void engine_close(struct engine *e);

/* The store the engine was opened over. */
struct storage *engine_storage(const struct engine *e);

/* ---- reading ---- */

struct engine_found {
    bool found;
    int64_t version;     /* of the entity; absent: as of the read */
    struct bytes entity; /* EntityProto */
};

/*
 * Read `n` entities as of one moment into out[0..n-1].  A key may occur twice.
 * The keys must be complete.  With `txn` (or NULL) the groups are touched
 * first (txn.h).  Knows the pseudo entity `__entity_group__`; keys of metadata
 * kinds are absent.
 */
int engine_get(struct ctx *ctx, struct engine *e, struct txn *txn,
               const struct key *keys, size_t n, struct engine_found *out);

/* ---- writing ---- */

struct engine_cost {
    int64_t entity_writes;
    int64_t index_writes;
};

/* A put of `entity` under `key` (complete, entity rewritten), or a delete when
 * entity.p is NULL. */
struct engine_mutation {
    struct key key;
    struct bytes entity;
    int64_t version; /* out: of the entity now stored, or of the delete */
};

/*
 * Apply the mutations, all of one app, outside any transaction; of several for
 * one key the last counts.  Each entity group is atomic; the call as a whole is
 * not (but several groups often share a commit).  Waits out conflicts with
 * other writers until the deadline.  On an error some groups may have been
 * written.
 */
int engine_write(struct ctx *ctx, struct engine *e, struct engine_mutation *m,
                 size_t n, struct engine_cost *cost);

/* The newest version handed out: what a read of an absent entity reports. */
int64_t engine_read_version(const struct engine *e);

/* ---- read-only mode ---- */

/*
 * Stop the writes of `app`, or (app.n 0) of all apps, or let them go on.  Put,
 * Delete, commits that write and the handing out of ids then answer
 * ERR_DISABLED; reads go on.  Durable, and in force on this server at the
 * return; with `on` no write that began before is under way any more.  Other
 * servers on the store follow within seconds.  ERR_DEADLINE: in force, but an
 * earlier write has not ended.
 */
int engine_read_only_set(struct ctx *ctx, struct engine *e, struct bytes app,
                         bool on);

/* The projects whose writes are stopped, in the arena; an empty one stands for
 * all.  Errors as storage_scan(). */
int engine_read_only_list(struct ctx *ctx, struct engine *e,
                          struct bytes **projects, size_t *n);

/* Stop the writes of all apps as long as this engine lives; before
 * engine_start(). */
void engine_freeze(struct engine *e);

/* ERR_DISABLED while `app` may not write.  Does not wait. */
int engine_write_allowed(struct ctx *ctx, struct engine *e, struct bytes app);

/*
 * A write of `app` that goes another way than the calls here (an index is
 * added) begins: ERR_DISABLED, or 0 and engine_write_end() follows.
 */
int engine_write_begin(struct ctx *ctx, struct engine *e, struct bytes app);

/* It has ended. */
void engine_write_end(struct engine *e, struct bytes app);

/*
 * A version above all handed out before, over restarts too: a number for
 * others who need one that is unique and grows, in microseconds since 1970 or
 * a little ahead.  Rarely a commit; errors as storage_commit().
 */
int engine_next_version(struct ctx *ctx, struct engine *e, int64_t *out);

/* ---- what commits with a transaction ---- */

/*
 * Whoever keeps actions with txn_add_actions() says here what becomes of them.
 * prepare() adds rows to the batch of the commit and may answer an error,
 * which fails it; done() hears what the commit said, once for each prepare()
 * that answered 0.  A commit that met a conflict is prepared anew.
 */
struct engine_actions {
    int (*prepare)(struct ctx *ctx, struct bytes app,
                   const struct bytes *actions, size_t n,
                   struct storage_batch *b, void **state, void *arg);
    void (*done)(struct ctx *ctx, void *state, int rc, void *arg);
    void *arg;
};

/* Before any transaction is open. */
void engine_set_actions(struct engine *e, const struct engine_actions *a);

/* ---- ids ---- */

/*
 * Hand out `n` scattered ids for new entities of ctx->app's, never handed out
 * before or after, whatever crashes.
 */
int engine_ids_auto(struct ctx *ctx, struct engine *e, struct bytes app,
                    size_t n, int64_t *ids);

/*
 * Give each of the incomplete keys (all of one app) an id under which no
 * entity exists.  keys[] is scratch afterwards.
 */
int engine_ids_complete(struct ctx *ctx, struct engine *e, struct key **keys,
                        size_t n);

/* Ids of the sequential space: `n` > 0 contiguous ones from *start on. */
int engine_ids_range(struct ctx *ctx, struct engine *e, struct bytes app,
                     int64_t n, int64_t *start);

/* Take all sequential ids up to `max`: *start is the first that was free,
 * *end is max or, when nothing was, *start - 1. */
int engine_ids_up_to(struct ctx *ctx, struct engine *e, struct bytes app,
                     int64_t max, int64_t *start, int64_t *end);

/*
 * Hand out none of `ids`, each in the space it belongs to; numbers of neither
 * space are passed over.
 */
int engine_ids_reserve(struct ctx *ctx, struct engine *e, struct bytes app,
                       const int64_t *ids, size_t n);

/* ---- indexes and apps ---- */

/*
 * Deploy an index.yaml: keep its text (index_admin.h) and add the indexes that
 * are missing; existing ones stay, and one whose build had failed is built
 * again.  The engine's thread builds them; *started, *n_started (NULL: not
 * wanted) are those it has to, in the arena.  ERR_DISABLED when one is missing
 * and the app is read-only.
 */
int engine_indexes_set(struct ctx *ctx, struct engine *e, struct bytes app,
                       struct bytes yaml, struct index_def **started,
                       size_t *n_started);

/* Remove everything the datastore holds of an app.  Not atomic; run it again
 * when it fails. */
int engine_app_delete(struct ctx *ctx, struct engine *e, struct bytes app);

#endif
