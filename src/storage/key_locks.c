/*
 * key_locks - buckets of held keys, and behind each key who waits for it.
 *
 * A key is handed over, not freed: its next holder has it before it wakes up,
 * so nobody who comes later can slip in between.
 */
#include "storage/key_locks.h"

#include <errno.h>
#include <stdlib.h>

/*
 * One key in the hand of one commit.  The holder stands in its bucket; those
 * that wait for it hang behind it in `waiting`, and the first of them takes
 * its place when it goes.
 */
struct key_hold {
    uint64_t hash;
    struct key_hold *next;    /* in the bucket, or in the queue */
    struct key_hold *waiting; /* of a holder: the queue, oldest first */
    struct key_set *set;
    bool held;
};

void key_locks_init(struct key_locks *l)
{
    *l = (struct key_locks){0};
    lock_init(&l->lock, LOCK_STORAGE_KEYS);
}

void key_locks_release(struct key_locks *l)
{
    lock_release(&l->lock);
}

/* The link that points to the holder of `hash`, or to NULL at the end. */
static struct key_hold **find(struct key_locks *l, uint64_t hash)
{
    struct key_hold **at = &l->buckets[hash % KEY_LOCK_BUCKETS];

    while (*at && (*at)->hash != hash)
        at = &(*at)->next;
    return at;
}

static void queue(struct key_hold *holder, struct key_hold *h)
{
    struct key_hold **at = &holder->waiting;

    while (*at)
        at = &(*at)->next;
    *at = h;
}

static void unqueue(struct key_hold *holder, struct key_hold *h)
{
    struct key_hold **at = &holder->waiting;

    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
}

/* Give the key of `h` to the one that has waited longest, if any. */
static void hand_over(struct key_locks *l, struct key_hold *h)
{
    struct key_hold **at = find(l, h->hash);
    struct key_hold *heir = h->waiting;

    if (!heir) {
        *at = h->next;
        return;
    }
    heir->waiting = heir->next;
    heir->next = h->next;
    heir->held = true;
    *at = heir;
    pthread_cond_signal(&heir->set->granted);
}

/* false when the deadline came first. */
static bool wait_for(struct key_locks *l, struct key_hold *h, int64_t deadline)
{
    struct timespec until = {
        .tv_sec = deadline / CLOCK_SEC,
        .tv_nsec = deadline % CLOCK_SEC * 1000,
    };
    int rc = 0;

    l->waits++;
    while (!h->held && rc != ETIMEDOUT) {
        if (deadline == CTX_FOREVER)
            rc = pthread_cond_wait(&h->set->granted, &l->lock.mutex);
        else
            rc = pthread_cond_timedwait(&h->set->granted, &l->lock.mutex,
                                        &until);
    }
    return h->held;
}

static bool take_one(struct key_locks *l, struct key_hold *h, int64_t deadline)
{
    struct key_hold **at = find(l, h->hash);

    if (!*at) {
        *at = h;
        h->held = true;
        return true;
    }
    queue(*at, h);
    if (wait_for(l, h, deadline))
        return true;
    unqueue(*find(l, h->hash), h);
    return false;
}

static int hash_cmp(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* In rising order, each hash once. */
static void set_init(struct arena *a, struct key_set *set, uint64_t *hashes,
                     size_t n)
{
    pthread_condattr_t attr;

    qsort(hashes, n, sizeof(*hashes), hash_cmp);
    *set = (struct key_set){.holds = ARENA_ARRAY(a, struct key_hold, n)};
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && hashes[i] == hashes[i - 1])
            continue;
        set->holds[set->n++] = (struct key_hold){.hash = hashes[i], .set = set};
    }
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&set->granted, &attr);
    pthread_condattr_destroy(&attr);
}

int key_locks_take(struct ctx *ctx, struct key_locks *l, uint64_t *hashes,
                   size_t n, struct key_set *set)
{
    size_t got = 0;

    set_init(ctx->arena, set, hashes, n);
    lock_take(&l->lock);
    while (got < set->n && take_one(l, &set->holds[got], ctx->deadline))
        got++;
    lock_drop(&l->lock);
    if (got == set->n)
        return 0;
    set->n = got;
    key_locks_drop(l, set);
    return ctx_err(ctx, ERR_DEADLINE,
                   "storage: the deadline passed while other commits held "
                   "a row of this one");
}

void key_locks_drop(struct key_locks *l, struct key_set *set)
{
    lock_take(&l->lock);
    for (size_t i = 0; i < set->n; i++)
        hand_over(l, &set->holds[i]);
    lock_drop(&l->lock);
    pthread_cond_destroy(&set->granted);
}
