/*
 * txn - datastore transactions: optimistic, on entity-group versions.
 *
 * An open transaction is a record in memory: the version of each entity group
 * as of its first read, and the mutations to come.  Reads see what is
 * committed, never the transaction's own writes; each read checks in one
 * storage_get() that all groups read so far still have their versions, so that
 * a transaction never sees a mix of two moments.  The commit is one
 * storage_commit(): conditions on those versions, and all rows.  A group
 * that was written but never read is not compared (last write wins).  In a
 * namespace that begins with "notrans_" there are no groups: what a transaction
 * reads there is as of that read and binds it to nothing, what it writes is
 * part of its commit.
 *
 * A call works on a transaction between txn_enter() and txn_leave(); calls on
 * one transaction exclude each other.  On a network loop txn_enter() answers
 * ERR_WOULD_BLOCK when another is at work on it.
 *
 * Errors are those of the datastore: a changed group is ERR_CONFLICT with
 * "Concurrency exception." in ctx->err, everything else ERR_INVALID with its
 * sentence.  A transaction lost in a restart is "not found".
 */
#ifndef ENGINE_TXN_H
#define ENGINE_TXN_H

#include "engine/engine.h"

/* What a transaction has room for, as Google documents it; its times and the
 * size of a commit are rows of limits.h. */
enum {
    TXN_GROUPS_MAX = 25, /* entity groups of a cross-group one */
    TXN_ACTIONS_MAX = 5, /* transactional tasks */
};

enum txn_mode { TXN_UNKNOWN = 0, TXN_READ_ONLY = 1, TXN_READ_WRITE = 2 };

struct txn_options {
    bool cross_group; /* allow_multiple_eg */
    enum txn_mode mode;
    uint64_t previous; /* the handle this one retries, or 0 */
};

/* Open a transaction of ctx->app; *handle is never 0 and cannot be guessed. */
int txn_begin(struct ctx *ctx, struct engine *e, const struct txn_options *o,
              uint64_t *handle);

/* Work on an open transaction of ctx->app; pair with txn_leave(). */
int txn_enter(struct ctx *ctx, struct engine *e, uint64_t handle,
              struct txn **out);

/*
 * Let the next call work on it, and start its idle time anew; `t` may be gone
 * at the return.
 */
void txn_leave(struct txn *t);

/*
 * Say that the transaction reads in the group of `key` (any key in it), and
 * check that no group read so far has changed.  A query calls it before its
 * first page and again after each page: when the call after a page succeeds,
 * the page was of the moment of the first one.
 */
int txn_read_group(struct ctx *ctx, struct txn *t, const struct key *key);

/* Buffer a mutation (entity.p NULL: a delete); copies what it is given. */
int txn_write(struct ctx *ctx, struct txn *t, const struct engine_mutation *m);

/* Keep an action (a task to be added) for the commit; opaque bytes, copied. */
int txn_add_action(struct ctx *ctx, struct txn *t, struct bytes action);

/* As above for several: all of them are kept, or none. */
int txn_add_actions(struct ctx *ctx, struct txn *t, const struct bytes *actions,
                    size_t n);

/* What a commit did: one entry per mutated key, in the arena. */
struct txn_result {
    struct engine_mutation *mutations; /* versions set, last one of each key */
    size_t n;
    struct engine_cost cost;
};

/* Commit and forget the transaction, whatever the outcome. */
int txn_commit(struct ctx *ctx, struct engine *e, uint64_t handle,
               struct txn_result *out);

/* Forget it. */
int txn_rollback(struct ctx *ctx, struct engine *e, uint64_t handle);

#endif
