/*
 * row_cache - committed rows in memory, in front of RocksDB.
 *
 * It knows rows by their key, absent ones too, and is bounded in bytes.  What
 * it must never do is answer with a row that a commit has replaced.  That is
 * kept by stamps: an array of counters, each shared by the keys that hash to
 * it.  A stamp is quiet, or busy while a commit that writes one of its keys
 * lies between row_cache_begin() and row_cache_end().
 *
 * The invariant:
 *
 *     While the stamp of a key is quiet, the cache holds either nothing
 *     about the key or its latest committed state.
 *
 *   - A commit makes the stamps of its keys busy before RocksDB may show any
 *     of its rows, and quiet again after the cache agrees with RocksDB.
 *   - A reader takes the stamp first, and looks into the cache only when it
 *     is quiet; else it reads RocksDB, as scans always do.  So no one sees a
 *     row in the cache that RocksDB has already replaced for someone else.
 *   - A reader that missed puts in what it found only if the stamp is still
 *     the one it took, and checks that under the lock of the shard.  A commit
 *     that begins after the check passes through the same lock in
 *     row_cache_end(), and sets the row right.
 *
 * Reading several rows as of one moment: take the stamps, read, take the
 * stamps again.  If all are quiet and unchanged then no commit touched any of
 * these keys in between, and all the values were true together.
 *
 * Rows enter by being read; a commit changes rows that are in, and brings in
 * none, because most of what is written (index rows) is only scanned.
 *
 * Thread rule: any thread; no lock is held over a wait.
 */
#ifndef STORAGE_ROCKSDB_ROW_CACHE_H
#define STORAGE_ROCKSDB_ROW_CACHE_H

#include "base/buf.h"
#include "storage/storage.h"

struct row_cache;

/* `max_bytes` bounds keys, values and the entries' own size. */
struct row_cache *row_cache_new(size_t max_bytes);

/* No call may be running; NULL is allowed. */
void row_cache_free(struct row_cache *c);

/* The hash by which the cache, its stamps and the key locks know a key. */
uint64_t row_cache_hash(struct storage_key key);

/* The stamp of a key now. */
uint64_t row_cache_stamp(const struct row_cache *c, uint64_t hash);

/* Whether a stamp was taken while no commit had one of its keys in hand. */
bool row_cache_quiet(uint64_t stamp);

/* Look up a key whose stamp was quiet a moment ago.  false: not known. */
bool row_cache_get(struct row_cache *c, uint64_t hash, struct storage_key key,
                   struct arena *a, struct storage_value *out);

/* Put in what RocksDB said after `stamp` was taken, if that still holds. */
void row_cache_fill(struct row_cache *c, uint64_t hash, struct storage_key key,
                    uint64_t stamp, const struct storage_value *v);

/*
 * The beginning of a commit: makes the stamps of its writes busy.  `hashes` are
 * those of its writes, in their order.  Until row_cache_end() the caller has
 * the keys to itself (key_locks).
 */
void row_cache_begin(struct row_cache *c, const uint64_t *hashes, size_t n);

/*
 * The end of it, with the same hashes.  `written` says whether the rows are now
 * in RocksDB; rows are set right first, then their stamps become quiet, never
 * the other way round.
 */
void row_cache_end(struct row_cache *c, const uint64_t *hashes,
                   const struct storage_write *writes, size_t n, bool written);

/*
 * Forget all rows, and what readers that are under way are about to put in:
 * RocksDB may say otherwise from now on.  No commit may be under way.
 */
void row_cache_clear(struct row_cache *c);

/*
 * Append the sums over all shards as "name value" lines; each shard is of its
 * own moment.
 */
void row_cache_stats(struct row_cache *c, struct buf *out);

#endif
