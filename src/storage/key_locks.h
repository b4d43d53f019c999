/*
 * key_locks - which row keys commits have in hand.
 *
 * A commit holds all keys of its conditions and writes from before the first
 * condition is read until its rows are written, so that checking and writing
 * are one.  Keys are told apart by a 64-bit hash: two that share one only wait
 * for each other needlessly.
 *
 * Every commit asks for its keys in rising order of hash, so no two can wait
 * for each other in a circle; who waits for one key gets it in order of
 * arrival, so no one waits forever.
 */
#ifndef STORAGE_KEY_LOCKS_H
#define STORAGE_KEY_LOCKS_H

#include "base/ctx.h"
#include "base/locks.h"

struct key_hold;

enum { KEY_LOCK_BUCKETS = 4096 };

struct key_locks {
    struct lock lock; /* LOCK_STORAGE_KEYS: the buckets, and what hangs there */
    struct key_hold *buckets[KEY_LOCK_BUCKETS];
    uint64_t waits; /* how often a commit had to wait */
};

/* The keys one commit holds; lives in its arena. */
struct key_set {
    struct key_hold *holds;
    size_t n;
    pthread_cond_t granted;
};

/* All keys free. */
void key_locks_init(struct key_locks *l);

/* The end; no key may be held. */
void key_locks_release(struct key_locks *l);

/*
 * Hold the keys with these hashes (in any order, any of them twice), waiting
 * for others up to ctx->deadline.  ERR_DEADLINE holds nothing.
 */
int key_locks_take(struct ctx *ctx, struct key_locks *l, uint64_t *hashes,
                   size_t n, struct key_set *set);

/*
 * Let go of the whole set: each key goes straight to who has waited longest for
 * it.
 */
void key_locks_drop(struct key_locks *l, struct key_set *set);

#endif
