/*
 * locks - every lock of the process has a name and a rank here.
 *
 * A thread takes locks in rising rank only; a debug build checks it.  The list
 * is docs/concurrency.md with one sentence each.
 */
#ifndef BASE_LOCKS_H
#define BASE_LOCKS_H

#include <pthread.h>
#include <stdbool.h>

#define LOCK_LIST                                                              \
    LOCK(RPC_TICKETS, "the table of tickets")                                  \
    LOCK(RPC_POOL, "the queue from loops to workers")                          \
    LOCK(TASKQUEUE_CHANGE, "held while a queue's definition is changed")       \
    LOCK(INDEX_FILE, "the emulator's index file, and what it says")            \
    LOCK(ENGINE_JOBS, "the long work the engine has to do, and its state")     \
    LOCK(ENGINE_IDS, "the blocks of ids an app is handing out")                \
    LOCK(ENGINE_TXN, "the table of open transactions")                         \
    LOCK(ENGINE_TXN_ONE, "one open transaction, while a call works on it")     \
    LOCK(ENGINE_QUERY, "the table of open queries")                            \
    LOCK(ENGINE_CHANGE, "held while index definitions are changed")            \
    LOCK(ENGINE_INDEX, "the apps the engine knows and their definitions")      \
    LOCK(ENGINE_VERSION, "the reserve of version numbers")                     \
    LOCK(TASKQUEUE, "the queues, their definitions and marks")                 \
    LOCK(TASKQUEUE_INBOX, "what the dispatcher has been told")                 \
    LOCK(TASKQUEUE_STORE, "what the dispatcher wants of the store")            \
    LOCK(TASKQUEUE_BROKER,                                                     \
         "notes between the dispatcher and RabbitMQ's links")                  \
    LOCK(SYSTEM, "background requests, and the figures of instances")          \
    LOCK(MEMCACHE_POOL, "idle connections to memcached")                       \
    LOCK(USER_LOCKOUT, "the counters of failed sign-ins")                      \
    LOCK(STORAGE_TRACE, "the figures of a traced store")                       \
    LOCK(STORAGE_DB, "RocksDB in use (shared), or being opened again")         \
    LOCK(STORAGE_VIEWS, "the open views of RocksDB")                           \
    LOCK(STORAGE_GROUP, "commits on their way to the log")                     \
    LOCK(STORAGE_DHASH, "the last commit of dhash, shared by its readers")     \
    LOCK(STORAGE_KEYS, "which row keys commits have in hand")                  \
    LOCK(STORAGE_MEMORY, "the tree of the memory backend")                     \
    LOCK(STORAGE_CACHE, "a shard of the row cache")                            \
    LOCK(CONTROL_INBOX, "requests of the Admin API on their way to the loop")  \
    LOCK(NET_LOOP, "the inbox of a network loop")

enum lock_rank {
#define LOCK(name, sentence) LOCK_##name,
    LOCK_LIST
#undef LOCK
};

struct lock {
    pthread_mutex_t mutex;
    enum lock_rank rank;
};

/* Make a lock of a rank; it must not move from here on. */
void lock_init(struct lock *l, enum lock_rank rank);

/* The end of a lock that nobody holds. */
void lock_release(struct lock *l);

/*
 * Wait for the lock.  In a debug build, taking against the order is a BUG,
 * whether or not it would have blocked this time.
 */
void lock_take(struct lock *l);

/* Take it now; false when it would have to wait. */
bool lock_try(struct lock *l);

/* Let go; in any order, by the thread that took it. */
void lock_drop(struct lock *l);

/* Whether this thread holds any. */
bool locks_held(void);

/* Locks of one rank (shards) may be taken together in rising address. */

/*
 * One that many may share, or one have alone.  Who waits to have it alone goes
 * before those who come later to share it, so it is not shared twice by one
 * thread.
 */
struct rwlock {
    pthread_rwlock_t rw;
    struct lock mark; /* stands for it in the order; never taken itself */
};

/* Make one of a rank; it must not move from here on. */
void rwlock_init(struct rwlock *l, enum lock_rank rank);

/* The end of one that nobody holds. */
void rwlock_release(struct rwlock *l);

/* Wait to share it; checked against the order like any lock. */
void rwlock_share(struct rwlock *l);

/* Share it now; false when it would have to wait. */
bool rwlock_try_share(struct rwlock *l);

/* Wait to have it alone. */
void rwlock_take(struct rwlock *l);

/* Let go, whichever way it was taken. */
void rwlock_drop(struct rwlock *l);

#endif
