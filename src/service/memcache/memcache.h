/*
 * memcache - App Engine's memcache on a real memcached.
 *
 * Apps share one memcached and cannot see each other: an item's name there is
 * a digest of app, flush generation, namespace and key, so keys may be of any
 * length and hold any byte.  The generation is a random number per app, kept
 * in memcached itself: FlushAll replaces it, after which nothing old has a
 * name any more, and when it is lost (an eviction, a restart of memcached) a
 * new one is drawn, so that nothing flushed ever comes back.
 *
 * A stored value is a small header (memcache_item.c) and the app's bytes; the
 * app's flags are memcached's flags and the cas id is memcached's.  Deletes
 * with a lock leave a marker that add() cannot pass and set() can.  Increments
 * are compare-and-swap loops, which keep flags and expiry.
 *
 * When memcached does not answer, calls fail with UNAVAILABLE at once until a
 * back-off has passed; the SDKs read that as a cold cache.
 *
 * Thread rule: one struct memcache serves all threads; each call takes a
 * connection of its own from the pool.
 */
#ifndef SERVICE_MEMCACHE_MEMCACHE_H
#define SERVICE_MEMCACHE_MEMCACHE_H

#include "memcache.pb.h"
#include "service/env.h"

struct memcache;

enum {
    MEMCACHE_VALUE_MAX = 1000000, /* bytes; the SDKs' MAX_VALUE_SIZE */
};

/*
 * Use the memcached at `address`: a path of a unix socket, or "HOST:PORT".
 * Does not connect yet.  ERR_INVALID for a bad address.
 */
int memcache_open(struct ctx *ctx, const char *address, struct memcache **out);

/* After every call has returned; accepts NULL. */
void memcache_close(struct memcache *mc);

/* "name value" lines in the arena: connections, hits, misses of all apps. */
struct bytes memcache_stats_text(struct ctx *ctx, struct memcache *mc);

/* ---- the RPC service "memcache": RPC_POOL ---- */

extern const struct rpc_err_map memcache_errors[];

/* Source: MAX_REQUEST_SIZE of Google's stub. */
enum { MEMCACHE_REQUEST_MAX = 32 << 20 };

/*
 * Values of the keys that are there; the others are left out of the answer.  So
 * is a delete lock, unless the caller only peeks.
 */
int memcache_get(struct ctx *ctx, const struct memcache_MemcacheGetRequest *in,
                 struct memcache_MemcacheGetResponse *out);

/*
 * Store items under their policies (set, add, replace, cas): one status each,
 * in order, so one that is refused does not fail the others.
 */
int memcache_set(struct ctx *ctx, const struct memcache_MemcacheSetRequest *in,
                 struct memcache_MemcacheSetResponse *out);

/*
 * Delete items: one status each.  A delete time leaves a lock that add() cannot
 * pass until it is over.
 */
int memcache_delete(struct ctx *ctx,
                    const struct memcache_MemcacheDeleteRequest *in,
                    struct memcache_MemcacheDeleteResponse *out);

/*
 * Add to a decimal number, as one compare-and-swap loop.  INVALID_VALUE when
 * what is there is none; an absent one without an initial value is NOT_CHANGED.
 */
int memcache_increment(struct ctx *ctx,
                       const struct memcache_MemcacheIncrementRequest *in,
                       struct memcache_MemcacheIncrementResponse *out);

/* Several increments, each on its own: one status each, not atomic together. */
int memcache_batch_increment(
    struct ctx *ctx, const struct memcache_MemcacheBatchIncrementRequest *in,
    struct memcache_MemcacheBatchIncrementResponse *out);

/*
 * Nothing the app has stored, in any namespace, is found any more: its
 * generation is replaced, and memcached evicts the rest in time.  The figures
 * start anew.
 */
int memcache_flush_all(struct ctx *ctx,
                       const struct memcache_MemcacheFlushRequest *in,
                       struct memcache_MemcacheFlushResponse *out);

/*
 * The app's own figures: hits and misses since the server's start or the last
 * flush, items and bytes by a census of memcached's keys.
 */
int memcache_stats(struct ctx *ctx,
                   const struct memcache_MemcacheStatsRequest *in,
                   struct memcache_MemcacheStatsResponse *out);

#endif
