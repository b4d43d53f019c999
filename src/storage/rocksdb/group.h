/*
 * group - commits that share one write and one sync.
 *
 * A sync costs the same for one commit as for a hundred.  So while one group is
 * on its way to the disk the next one gathers.  A commit that comes while
 * nothing is under way leads a group of its own on its own thread; whatever
 * gathered meanwhile is written, group after group, by the store's thread,
 * until nothing is left.  So a lone commit wakes nobody, and in a crowd one
 * thread writes while all others have calls to answer.
 *
 * RocksDB does the same for threads that wait in it; but each of those has to
 * be woken and to sleep again, which costs more than its rows do, and none can
 * be a fiber.
 *
 * Thread rule: group_write() from any thread that may wait.
 */
#ifndef STORAGE_ROCKSDB_GROUP_H
#define STORAGE_ROCKSDB_GROUP_H

#include "base/fiber.h"
#include "storage/key_locks.h"
#include "storage/storage.h"

struct rocks;

/* A commit whose conditions hold and whose keys are held. */
struct group_commit {
    struct ctx *ctx;
    const struct storage_batch *batch;
    const uint64_t *hashes; /* of its writes */
    struct key_set *keys;   /* let go before it is answered */
    uint64_t opened;        /* rocks.opened when the conditions were read */
    int rc;
    struct fiber_event done;
    struct group_commit *next;
};

struct group {
    struct lock lock; /* LOCK_STORAGE_GROUP */
    struct group_commit *first, **last;
    bool busy;   /* somebody writes, and will look at `first` again */
    bool called; /* the thread is to write on */
    bool stopping;
    pthread_cond_t wake;
    pthread_t thread;
};

/* Start the thread. */
int group_start(struct ctx *ctx, struct rocks *r);

/* End the thread; no commit may be under way. */
void group_stop(struct rocks *r);

/*
 * Write and sync it, set the row cache right, let go of its keys.  Returns as
 * storage_commit() does; ERR_ABORTED, without a story, when RocksDB was opened
 * again since the conditions were read, or has to be: begin again.
 */
int group_write(struct rocks *r, struct group_commit *c);

#endif
