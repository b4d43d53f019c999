/*
 * locks - pthread locks, and the order they are taken in.
 *
 * A debug build remembers per thread which are held.  Checking comes before
 * waiting, so a wrong order is told by the first run that goes there and not by
 * the rare one that deadlocks.
 */
#include "base/locks.h"

#include "base/log.h"

/* Counted in every build: who holds a lock must not be put aside. */
static _Thread_local int n_held;

/* Its own function: a fiber may have come from another thread. */
__attribute__((noinline)) bool locks_held(void)
{
    return n_held > 0;
}

#ifndef NDEBUG
enum { HELD_MAX = 512 };

static _Thread_local struct lock *held[HELD_MAX];

static const char *const names[] = {
#define LOCK(name, sentence) #name,
    LOCK_LIST
#undef LOCK
};

static void check_order(struct lock *l)
{
    struct lock *top = n_held ? held[n_held - 1] : NULL;

    if (top && (top->rank > l->rank || (top->rank == l->rank && top >= l)))
        BUG("lock %s taken while holding %s", names[l->rank], names[top->rank]);
    if (n_held == HELD_MAX)
        BUG("more than %d locks held", HELD_MAX);
    held[n_held++] = l;
}

static void check_drop(struct lock *l)
{
    for (int i = n_held - 1; i >= 0; i--) {
        if (held[i] == l) {
            for (; i < n_held - 1; i++)
                held[i] = held[i + 1];
            n_held--;
            return;
        }
    }
    BUG("lock %s dropped by a thread that does not hold it", names[l->rank]);
}
#else
static void check_order(struct lock *l)
{
    (void)l;
    n_held++;
}

static void check_drop(struct lock *l)
{
    (void)l;
    n_held--;
}
#endif

void lock_init(struct lock *l, enum lock_rank rank)
{
    pthread_mutex_init(&l->mutex, NULL);
    l->rank = rank;
}

void lock_release(struct lock *l)
{
    pthread_mutex_destroy(&l->mutex);
}

void lock_take(struct lock *l)
{
    check_order(l);
    pthread_mutex_lock(&l->mutex);
}

bool lock_try(struct lock *l)
{
    if (pthread_mutex_trylock(&l->mutex) != 0)
        return false;
    check_order(l);
    return true;
}

void lock_drop(struct lock *l)
{
    check_drop(l);
    pthread_mutex_unlock(&l->mutex);
}

void rwlock_init(struct rwlock *l, enum lock_rank rank)
{
    pthread_rwlockattr_t attr;

    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr,
                                  PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&l->rw, &attr);
    pthread_rwlockattr_destroy(&attr);
    lock_init(&l->mark, rank);
}

void rwlock_release(struct rwlock *l)
{
    pthread_rwlock_destroy(&l->rw);
    lock_release(&l->mark);
}

void rwlock_share(struct rwlock *l)
{
    check_order(&l->mark);
    pthread_rwlock_rdlock(&l->rw);
}

bool rwlock_try_share(struct rwlock *l)
{
    if (pthread_rwlock_tryrdlock(&l->rw) != 0)
        return false;
    check_order(&l->mark);
    return true;
}

void rwlock_take(struct rwlock *l)
{
    check_order(&l->mark);
    pthread_rwlock_wrlock(&l->rw);
}

void rwlock_drop(struct rwlock *l)
{
    check_drop(&l->mark);
    pthread_rwlock_unlock(&l->rw);
}
