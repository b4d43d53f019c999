/*
 * lockout - sets of counters by a keyed hash, under one lock.
 *
 * An attempt counts as failed before the password is looked at, and is forgiven
 * after it was right, so that attempts at the same time cannot pass together.
 */
#include "service/user/lockout.h"

#include "base/clock.h"
#include "base/locks.h"

#include <sodium.h>
#include <stdlib.h>

enum { SETS = 2048, WAYS = 4 };

/* Failures without a wait, and how long a counter is remembered. */
static const struct {
    unsigned free;
    int64_t longest;
    int64_t forget;
} rules[LOCKOUT_KINDS] = {
    [LOCKOUT_ACCOUNT] = {5, 900 * CLOCK_SEC, 86400 * CLOCK_SEC},
    [LOCKOUT_ADDRESS] = {20, 900 * CLOCK_SEC, 3600 * CLOCK_SEC},
};

struct counter {
    uint64_t id; /* keyed hash of kind and subject; 0: free */
    unsigned failures;
    int64_t last;
};

struct lockout {
    struct lock lock;
    unsigned char key[crypto_shorthash_KEYBYTES];
    struct counter counters[SETS][WAYS];
};

struct lockout *lockout_new(void)
{
    struct lockout *l = calloc(1, sizeof(*l));

    if (!l)
        return NULL;
    lock_init(&l->lock, LOCK_USER_LOCKOUT);
    crypto_shorthash_keygen(l->key);
    return l;
}

void lockout_free(struct lockout *l)
{
    if (!l)
        return;
    lock_release(&l->lock);
    free(l);
}

static uint64_t subject_id(const struct lockout *l, enum lockout_kind kind,
                           struct bytes subject)
{
    uint64_t id;

    crypto_shorthash((unsigned char *)&id, subject.p, subject.n, l->key);
    id ^= (uint64_t)kind * 0x9e3779b97f4a7c15ULL;
    return id ? id : 1;
}

/* The subject's counter; with `make`, a free one or the oldest of the set. */
static struct counter *find(struct lockout *l, uint64_t id, bool make)
{
    struct counter *set = l->counters[id % SETS], *oldest = &set[0];

    for (int i = 0; i < WAYS; i++) {
        if (set[i].id == id)
            return &set[i];
        if (set[i].id == 0 || (oldest->id != 0 && set[i].last < oldest->last))
            oldest = &set[i];
    }
    if (!make)
        return NULL;
    *oldest = (struct counter){.id = id};
    return oldest;
}

/* How long after the last of `failures` the next attempt may come. */
static int64_t delay(enum lockout_kind kind, unsigned failures)
{
    int64_t wait = CLOCK_SEC;

    if (failures < rules[kind].free)
        return 0;
    for (unsigned i = rules[kind].free; i < failures; i++) {
        wait *= 2;
        if (wait >= rules[kind].longest)
            return rules[kind].longest;
    }
    return wait;
}

int64_t lockout_attempt(struct lockout *l, enum lockout_kind kind,
                        struct bytes subject, int64_t now)
{
    struct counter *c;
    int64_t wait;

    lock_take(&l->lock);
    c = find(l, subject_id(l, kind, subject), true);
    if (c->failures && now - c->last > rules[kind].forget)
        c->failures = 0;
    wait = c->last + delay(kind, c->failures) - now;
    if (c->failures == 0 || wait <= 0) {
        c->failures++;
        c->last = now;
        wait = 0;
    }
    lock_drop(&l->lock);
    return wait;
}

void lockout_forgive(struct lockout *l, enum lockout_kind kind,
                     struct bytes subject)
{
    struct counter *c;

    lock_take(&l->lock);
    c = find(l, subject_id(l, kind, subject), false);
    if (c)
        *c = (struct counter){0};
    lock_drop(&l->lock);
}
