/*
 * memcache_int - shared by the files of service/memcache only.
 *
 *   memcache.c        the seven methods
 *   memcache_op.c     one item: set policies, delete locks, increments
 *   memcache_item.c   names and the header of a value; no I/O
 *   memcache_conn.c   the pool, and commands over libmemcached
 *   memcache_census.c what an app holds, for Stats
 */
#ifndef SERVICE_MEMCACHE_MEMCACHE_INT_H
#define SERVICE_MEMCACHE_MEMCACHE_INT_H

#include "base/locks.h"
#include "service/memcache/memcache.h"

#include <libmemcached/memcached.h>
#include <stdatomic.h>

/* What the server remembers of an app; made at its first call, never freed
 * before the memcache.  Counters are relaxed. */
struct memcache_app {
    struct memcache_app *next;
    char *id;
    size_t id_n;
    _Atomic uint64_t generation; /* 0: not known */
    _Atomic int64_t checked;     /* clock_mono() when it was last read */
    _Atomic uint64_t hits, misses, byte_hits;
};

struct memcache_conn {
    struct memcache_conn *next; /* in the pool */
    memcached_st *m;
    /* In here, not on the heap: libmemcached frees one that it allocated at
     * the end of every fetch. */
    memcached_result_st result;
    bool reused;   /* has been in the pool: the peer may have gone */
    bool answered; /* something came back since it was taken */
};

enum { MEMCACHE_APP_BUCKETS = 1024 };

struct memcache {
    char *host; /* or the path */
    int port;   /* 0: a unix socket */
    struct lock lock;
    struct memcache_conn *idle; /* newest first; under `lock` */
    int64_t down_until;         /* clock_mono(); under `lock` */
    int64_t backoff;            /* microseconds; under `lock` */
    struct memcache_app *apps[MEMCACHE_APP_BUCKETS]; /* under `lock` */
};

/* One call of an app: its connection and its names. */
struct memcache_call {
    struct memcache *mc;
    struct memcache_app *app;
    struct memcache_conn *conn;
};

/* ---- memcache_item.c ---- */

enum {
    MEMCACHE_NAME = 40,   /* characters of an item's name in memcached */
    MEMCACHE_TAG = 8,     /* the first of them: app and generation */
    MEMCACHE_HEADER = 17, /* bytes in front of the app's value */
};

struct memcache_name {
    char text[MEMCACHE_NAME];
};

enum memcache_kind { MEMCACHE_VALUE = 'V', MEMCACHE_LOCK = 'L' };

/* An item as it stands in memcached. */
struct memcache_item {
    enum memcache_kind kind;
    uint32_t flags;
    int64_t expires; /* clock_wall() microseconds, 0: never */
    int64_t stored;  /* clock_wall() microseconds */
    struct bytes value;
    uint64_t cas;
};

/*
 * The name of an item: a tag of app and generation, then a keyed digest of
 * namespace and key.  No two apps and no two generations share one.
 */
struct memcache_name memcache_name_item(const struct memcache_app *app,
                                        uint64_t generation, struct bytes ns,
                                        struct bytes key);

/*
 * The name under which the app's generation itself is kept; that of no item,
 * for items never have generation 0.
 */
struct memcache_name memcache_name_generation(const struct memcache_app *app);

/* The first MEMCACHE_TAG characters of every item of the generation. */
void memcache_name_tag(const struct memcache_app *app, uint64_t generation,
                       char tag[MEMCACHE_TAG]);

/* Header and value in one piece, in the arena. */
struct bytes memcache_item_pack(struct arena *a,
                                const struct memcache_item *item);

/* Split what was read; false when it is none of ours. */
bool memcache_item_unpack(struct bytes in, struct memcache_item *item);

/* An expiration_time or delete_time of a request as clock_wall(): up to 30
 * days are relative, more is a unix time (as in memcached); 0 stays 0. */
int64_t memcache_expiry(uint32_t seconds);

/* ---- memcache_conn.c ---- */

/*
 * Take a connection, and find the caller's app.  ERR_UNAVAILABLE during a
 * back-off.
 */
int memcache_call_begin(struct ctx *ctx, struct memcache_call *c);

/*
 * Give the connection back when `rc` says that it still works, else close it;
 * ERR_UNAVAILABLE begins or lengthens the back-off.
 */
void memcache_call_end(struct memcache_call *c, int rc);

/* A hit of a multi-get; `value` lasts until the function returns. */
typedef void memcache_hit_fn(void *arg, struct bytes name, struct bytes value,
                             uint32_t flags, uint64_t cas);

/*
 * Read `n` names in one round trip.  ERR_UNAVAILABLE or ERR_DEADLINE, with the
 * story; the connection is then of no more use.
 */
int memcache_conn_mget(struct ctx *ctx, struct memcache_conn *conn,
                       const struct memcache_name *names, size_t n,
                       memcache_hit_fn *hit, void *arg);

enum memcache_verb { MEMCACHE_SET, MEMCACHE_ADD, MEMCACHE_CAS };

/*
 * Store.  0, ERR_CONFLICT (add: it is there; cas: it has changed),
 * ERR_NOT_FOUND (cas: it is gone), ERR_EXHAUSTED (memcached has no room for
 * it; no story), or as memcache_conn_mget().  `expires` is clock_wall().
 */
int memcache_conn_store(struct ctx *ctx, struct memcache_conn *conn,
                        enum memcache_verb verb,
                        const struct memcache_name *name, struct bytes value,
                        uint32_t flags, int64_t expires, uint64_t cas);

/* 0, ERR_NOT_FOUND, or as memcache_conn_mget(). */
int memcache_conn_delete(struct ctx *ctx, struct memcache_conn *conn,
                         const struct memcache_name *name);

/* ---- memcache_op.c ---- */

struct memcache_key {
    struct bytes ns;
    struct bytes key;
};

struct memcache_got {
    bool found; /* something that has not expired; may be a lock */
    struct memcache_item item; /* item.cas != 0: in memcached, if expired */
    uint64_t cas_id;           /* as apps see it */
};

/*
 * Read keys into got[], values in the arena; the generation is read in the
 * same round trip.  A key may occur twice.
 */
int memcache_op_get(struct ctx *ctx, struct memcache_call *c,
                    const struct memcache_key *keys, size_t n,
                    struct memcache_got *got);

/*
 * Store one item under its policy; *status is a value of MemcacheSetResponse.
 */
int memcache_op_set(struct ctx *ctx, struct memcache_call *c,
                    const struct memcache_key *key,
                    const struct memcache_MemcacheSetRequest_Item *in,
                    int32_t *status);

/*
 * Delete one item, leaving a lock for `lock_seconds` (0: none); *status is a
 * value of MemcacheDeleteResponse.
 */
int memcache_op_delete(struct ctx *ctx, struct memcache_call *c,
                       const struct memcache_key *key, uint32_t lock_seconds,
                       int32_t *status);

/* libmemcached has no room for more than 18 digits of a cas. */
#define MEMCACHE_CAS_LIMIT UINT64_C(1000000000000000000)

/* The id an app gets for memcached's `cas`, and back: mixed with 59 bits of
 * the generation, for memcached counts from 1 again when it restarts. */
static inline uint64_t memcache_cas_id(uint64_t cas, uint64_t generation)
{
    return cas ^ generation >> 5;
}

/* What an increment did to a counter. */
enum memcache_counted {
    MEMCACHE_COUNTED,
    MEMCACHE_ABSENT, /* and no initial value was given */
    MEMCACHE_NO_NUMBER,
};

/*
 * Add to a counter, again and again until no other writer came between; flags
 * and expiry stay.  *value is set when *what is MEMCACHE_COUNTED.
 * ERR_UNAVAILABLE when memcached has no room.
 */
int memcache_op_count(struct ctx *ctx, struct memcache_call *c,
                      const struct memcache_key *key,
                      const struct memcache_MemcacheIncrementRequest *in,
                      uint64_t *value, enum memcache_counted *what);

/* Replace the app's generation by a new random one. */
int memcache_op_flush(struct ctx *ctx, struct memcache_call *c);

/* ---- memcache_census.c ---- */

struct memcache_census {
    uint64_t items;
    uint64_t bytes;
    int64_t oldest; /* seconds since the longest unread item was read */
};

/* Count the items of the app's generation.  Errors as memcache_conn_mget(). */
int memcache_census(struct ctx *ctx, struct memcache_call *c,
                    struct memcache_census *out);

#endif
