/*
 * row_cache - 64 shards of entries in order of use, and the stamps.
 *
 * Stamps are sequentially consistent: a reader that saw the new row in RocksDB
 * must not see the old stamp afterwards.
 */
#include "storage/rocksdb/row_cache.h"

#include "base/locks.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    SHARDS = 64,
    BUCKETS_MIN = 64,
    STAMPS = 1 << 16,
    ENTRY_MAX = 64 * 1024, /* a larger row is not worth the room */
};

/* A stamp counts the commits that are writing in its low half, and those that
 * have begun in its high half. */
#define STAMP_BUSY  UINT64_C(0xffffffff)
#define STAMP_BEGIN (UINT64_C(1) << 32 | 1)
#define STAMP_END   UINT64_C(1)

struct entry {
    uint64_t hash;
    struct entry *chain;         /* of its bucket */
    struct entry *newer, *older; /* of its shard, a ring through `ring` */
    uint32_t partition_n, row_n, value_n;
    bool found;
    bool used; /* read since the hand last came by */
    uint8_t data[];
};

/* Aligned so that two shards share no cache line. */
struct shard {
    _Alignas(64) struct lock lock; /* LOCK_STORAGE_CACHE: all below */
    struct entry **buckets;
    size_t n_buckets; /* a power of two */
    size_t n;
    size_t bytes;
    struct entry *newest, *oldest;
    uint64_t hits, misses, evictions;
};

struct row_cache {
    struct shard shards[SHARDS];
    uint64_t stamps[STAMPS]; /* atomic */
    size_t shard_max;        /* bytes */
};

static void *must_calloc(size_t n, size_t size)
{
    void *p = calloc(n, size);

    if (!p)
        die("out of memory in the row cache");
    return p;
}

struct row_cache *row_cache_new(size_t max_bytes)
{
    struct row_cache *c = aligned_alloc(64, sizeof(*c));

    if (!c)
        die("out of memory making the row cache");
    memset(c, 0, sizeof(*c));
    c->shard_max = max_bytes / SHARDS;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &c->shards[i];

        lock_init(&s->lock, LOCK_STORAGE_CACHE);
        s->n_buckets = BUCKETS_MIN;
        s->buckets = must_calloc(s->n_buckets, sizeof(struct entry *));
    }
    return c;
}

/* ---- stamps ---- */

uint64_t row_cache_hash(struct storage_key key)
{
    return bytes_hash(key.partition) * UINT64_C(0x9e3779b97f4a7c15) ^
           bytes_hash(key.row);
}

/* Stamp, bucket and shard take different bits of the hash. */
static size_t stamp_index(uint64_t hash)
{
    return hash % STAMPS;
}

static struct shard *shard_of(struct row_cache *c, uint64_t hash)
{
    return &c->shards[hash >> 58];
}

static struct entry **bucket_of(struct shard *s, uint64_t hash)
{
    return &s->buckets[(hash >> 16) & (s->n_buckets - 1)];
}

uint64_t row_cache_stamp(const struct row_cache *c, uint64_t hash)
{
    return __atomic_load_n(&c->stamps[stamp_index(hash)], __ATOMIC_SEQ_CST);
}

bool row_cache_quiet(uint64_t stamp)
{
    return (stamp & STAMP_BUSY) == 0;
}

/* ---- one shard, its lock held ---- */

static size_t entry_size(const struct entry *e)
{
    return sizeof(*e) + e->partition_n + e->row_n + e->value_n;
}

static bool entry_is(const struct entry *e, uint64_t hash,
                     struct storage_key key)
{
    return e->hash == hash && e->partition_n == key.partition.n &&
           e->row_n == key.row.n &&
           bytes_eq(BYTES(e->data, e->partition_n), key.partition) &&
           bytes_eq(BYTES(e->data + e->partition_n, e->row_n), key.row);
}

/* The link that points to the entry of the key, or to NULL. */
static struct entry **find(struct shard *s, uint64_t hash,
                           struct storage_key key)
{
    struct entry **at = bucket_of(s, hash);

    while (*at && !entry_is(*at, hash, key))
        at = &(*at)->chain;
    return at;
}

static struct entry *entry_new(uint64_t hash, struct storage_key key,
                               const struct storage_value *v)
{
    size_t n = key.partition.n + key.row.n + v->value.n;
    struct entry *e = malloc(sizeof(*e) + n);
    uint8_t *at;

    if (!e)
        return NULL; /* a cache may do without */
    *e = (struct entry){
        .hash = hash,
        .partition_n = (uint32_t)key.partition.n,
        .row_n = (uint32_t)key.row.n,
        .value_n = (uint32_t)v->value.n,
        .found = v->found,
    };
    at = e->data;
    if (key.partition.n)
        memcpy(at, key.partition.p, key.partition.n);
    at += key.partition.n;
    if (key.row.n)
        memcpy(at, key.row.p, key.row.n);
    at += key.row.n;
    if (v->value.n)
        memcpy(at, v->value.p, v->value.n);
    return e;
}

static void ring_add(struct shard *s, struct entry *e)
{
    e->newer = NULL;
    e->older = s->newest;
    if (s->newest)
        s->newest->newer = e;
    else
        s->oldest = e;
    s->newest = e;
}

static void ring_remove(struct shard *s, struct entry *e)
{
    if (e->newer)
        e->newer->older = e->older;
    else
        s->newest = e->older;
    if (e->older)
        e->older->newer = e->newer;
    else
        s->oldest = e->newer;
}

static void remove_at(struct shard *s, struct entry **at)
{
    struct entry *e = *at;

    *at = e->chain;
    ring_remove(s, e);
    s->n--;
    s->bytes -= entry_size(e);
    free(e);
}

static void grow_buckets(struct shard *s)
{
    struct entry **old = s->buckets;
    size_t n_old = s->n_buckets;

    s->n_buckets *= 2;
    s->buckets = must_calloc(s->n_buckets, sizeof(struct entry *));
    for (size_t i = 0; i < n_old; i++) {
        struct entry *e = old[i], *next;

        for (; e; e = next) {
            struct entry **b = bucket_of(s, e->hash);

            next = e->chain;
            e->chain = *b;
            *b = e;
        }
    }
    free(old);
}

static void insert(struct shard *s, struct entry *e)
{
    struct entry **b;

    if (s->n >= s->n_buckets)
        grow_buckets(s);
    b = bucket_of(s, e->hash);
    e->chain = *b;
    *b = e;
    ring_add(s, e);
    s->n++;
    s->bytes += entry_size(e);
}

/* Second chance: what was used since it was last looked at goes round again,
 * so each entry is passed at most twice. */
static void evict(struct shard *s, size_t max)
{
    while (s->bytes > max) {
        struct entry *e = s->oldest;
        struct entry **at;

        if (e->used) {
            e->used = false;
            ring_remove(s, e);
            ring_add(s, e);
            continue;
        }
        for (at = bucket_of(s, e->hash); *at != e;)
            at = &(*at)->chain;
        remove_at(s, at);
        s->evictions++;
    }
}

static void set(struct row_cache *c, struct shard *s, uint64_t hash,
                struct storage_key key, const struct storage_value *v)
{
    size_t size =
        sizeof(struct entry) + key.partition.n + key.row.n + v->value.n;
    struct entry **at = find(s, hash, key);
    struct entry *e;

    if (*at)
        remove_at(s, at);
    if (size > ENTRY_MAX || size > c->shard_max)
        return;
    e = entry_new(hash, key, v);
    if (!e)
        return;
    /* Room is made first, or the newcomer, not read yet, would be next. */
    evict(s, c->shard_max - size);
    insert(s, e);
}

/* ---- the exported ones ---- */

bool row_cache_get(struct row_cache *c, uint64_t hash, struct storage_key key,
                   struct arena *a, struct storage_value *out)
{
    struct shard *s = shard_of(c, hash);
    struct entry *e;

    lock_take(&s->lock);
    e = *find(s, hash, key);
    if (e) {
        struct bytes v = {e->data + e->partition_n + e->row_n, e->value_n};

        e->used = true;
        out->found = e->found;
        out->value = arena_dup(a, v);
        s->hits++;
    } else {
        s->misses++;
    }
    lock_drop(&s->lock);
    return e != NULL;
}

void row_cache_fill(struct row_cache *c, uint64_t hash, struct storage_key key,
                    uint64_t stamp, const struct storage_value *v)
{
    struct shard *s = shard_of(c, hash);

    lock_take(&s->lock);
    if (row_cache_stamp(c, hash) == stamp && row_cache_quiet(stamp))
        set(c, s, hash, key, v);
    lock_drop(&s->lock);
}

void row_cache_begin(struct row_cache *c, const uint64_t *hashes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        __atomic_fetch_add(&c->stamps[stamp_index(hashes[i])], STAMP_BEGIN,
                           __ATOMIC_SEQ_CST);
}

/* Change the row if it is in.  The stamp is busy, so no reader looks at it and
 * no other puts it in. */
static void renew(struct row_cache *c, uint64_t hash,
                  const struct storage_write *w)
{
    struct storage_value v = {.found = !w->del,
                              .value = w->del ? BYTES_NONE : w->value};
    struct shard *s = shard_of(c, hash);

    lock_take(&s->lock);
    if (*find(s, hash, w->key))
        set(c, s, hash, w->key, &v);
    lock_drop(&s->lock);
}

void row_cache_end(struct row_cache *c, const uint64_t *hashes,
                   const struct storage_write *writes, size_t n, bool written)
{
    for (size_t i = 0; written && i < n; i++)
        renew(c, hashes[i], &writes[i]);
    for (size_t i = 0; i < n; i++)
        __atomic_fetch_sub(&c->stamps[stamp_index(hashes[i])], STAMP_END,
                           __ATOMIC_SEQ_CST);
}

void row_cache_clear(struct row_cache *c)
{
    /* A stamp that has moved on stops whoever took it before. */
    for (int i = 0; i < STAMPS; i++)
        __atomic_fetch_add(&c->stamps[i], STAMP_BEGIN - STAMP_END,
                           __ATOMIC_SEQ_CST);
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &c->shards[i];

        lock_take(&s->lock);
        for (struct entry *e = s->newest, *older; e; e = older) {
            older = e->older;
            free(e);
        }
        memset(s->buckets, 0, s->n_buckets * sizeof(s->buckets[0]));
        s->newest = s->oldest = NULL;
        s->n = s->bytes = 0;
        lock_drop(&s->lock);
    }
}

void row_cache_free(struct row_cache *c)
{
    if (!c)
        return;
    row_cache_clear(c);
    for (int i = 0; i < SHARDS; i++) {
        free(c->shards[i].buckets);
        lock_release(&c->shards[i].lock);
    }
    free(c);
}

void row_cache_stats(struct row_cache *c, struct buf *out)
{
    uint64_t n = 0, bytes = 0, hits = 0, misses = 0, evictions = 0;

    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &c->shards[i];

        lock_take(&s->lock);
        n += s->n;
        bytes += s->bytes;
        hits += s->hits;
        misses += s->misses;
        evictions += s->evictions;
        lock_drop(&s->lock);
    }
    buf_printf(out,
               "cache.rows %" PRIu64 "\ncache.bytes %" PRIu64
               "\ncache.hits %" PRIu64 "\ncache.misses %" PRIu64
               "\ncache.evictions %" PRIu64 "\n",
               n, bytes, hits, misses, evictions);
}
