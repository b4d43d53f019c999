/*
 * rocksdb_int - what the files of the RocksDB backend share.
 *
 * On disk a key is the length of the partition (16 bits, big-endian), the
 * partition and the row: all rows of a partition lie side by side, in order of
 * memcmp(), and no two keys run together.
 */
#ifndef STORAGE_ROCKSDB_ROCKSDB_INT_H
#define STORAGE_ROCKSDB_ROCKSDB_INT_H

#include "storage/key_locks.h"
#include "storage/rocksdb/group.h"
#include "storage/rocksdb/row_cache.h"
#include "storage/storage_backend.h"

#include <rocksdb/c.h>

enum { READ_MEMORY_ONLY = 1 /* rocksdb::kBlockCacheTier */ };

/*
 * A view: a snapshot of RocksDB.  All of a store stand in a list, so that none
 * holds on to a database that is closed to be opened anew.
 */
struct rocks_view {
    struct storage base;
    struct rocks *of;
    const rocksdb_snapshot_t *snapshot; /* NULL: gone; as `db` */
    struct rocks_view *prev, *next;     /* under views_lock */
};

struct rocks {
    struct storage base;
    char *path;
    int dir; /* the folder, open and locked as long as the store is */
    struct rwlock db_lock; /* LOCK_STORAGE_DB: shared by who uses `db` */
    rocksdb_t *db;         /* NULL when it could not be opened again */
    bool broken;           /* atomic: a write failed, `db` takes no more */
    int64_t revive_at;     /* not before; under db_lock taken alone */
    uint64_t opened;       /* how often; under db_lock */
    rocksdb_options_t *options;
    rocksdb_cache_t *blocks;
    rocksdb_readoptions_t *read_wait;
    rocksdb_readoptions_t *read_now; /* memory only, for network loops */
    rocksdb_writeoptions_t *write_synced;
    struct row_cache *rows;
    struct key_locks keys;
    struct lock views_lock; /* LOCK_STORAGE_VIEWS */
    struct rocks_view *views;
    struct group group;
    uint64_t commits, conflicts, groups; /* atomic */
};

/* The store as this backend's; BUG when it is another's. */
struct rocks *rocks_of(struct storage *st);

/*
 * storage_get() of this backend: row by row, by way of the cache, when the
 * stamps say that the rows were of one moment; else from a snapshot.
 */
int rocks_get(struct ctx *ctx, struct storage *st,
              const struct storage_key *keys, size_t n,
              struct storage_value *out);

/*
 * storage_scan() of this backend: always RocksDB itself, for the row cache does
 * not know which rows are absent between two.
 */
int rocks_scan(struct ctx *ctx, struct storage *st, struct bytes partition,
               const struct storage_range *range, enum storage_dir dir,
               size_t limit, struct storage_page *page);

/* storage_view() of this backend. */
int rocks_view(struct ctx *ctx, struct storage *st, struct storage **view);

/* Let the snapshots of all views go; `db` is about to be closed, and nobody
 * uses it. */
void rocks_views_end(struct rocks *r);

/*
 * storage_get() of one moment, that of the snapshot, past the row cache.
 */
int rocks_get_at(struct ctx *ctx, struct rocks *r,
                 const rocksdb_snapshot_t *snapshot,
                 const struct storage_key *keys, size_t n,
                 struct storage_value *out);

/* storage_scan() at the snapshot; NULL: of the present. */
int rocks_scan_at(struct ctx *ctx, struct rocks *r,
                  const rocksdb_snapshot_t *snapshot, struct bytes partition,
                  const struct storage_range *range, enum storage_dir dir,
                  size_t limit, struct storage_page *page);

/*
 * storage_commit() of this backend: hold the keys, check, write and sync, set
 * the cache right, let go.  Always waits, so it is ERR_WOULD_BLOCK on a network
 * loop.
 */
int rocks_commit(struct ctx *ctx, struct storage *st,
                 const struct storage_batch *b, size_t *failed);

/* storage_compact() of this backend: slice by slice (compact.c). */
int rocks_compact(struct ctx *ctx, struct storage *st,
                  storage_progress_fn *progress, void *arg,
                  struct storage_compaction *out);

/*
 * Every operation uses RocksDB between these two.  One that could not be opened
 * again is tried once more, as by rocks_revive(): ERR_UNAVAILABLE when that
 * fails, ERR_WOULD_BLOCK on a network loop.
 */
int rocks_enter(struct ctx *ctx, struct rocks *r);

/*
 * The end of what rocks_enter() began; iterators and snapshots are gone by now.
 */
void rocks_leave(struct rocks *r);

/*
 * After a failed sync RocksDB refuses all writes, because it cannot know what
 * of its log is on the disk.  Opening it again reads the log back and goes on
 * from there; a commit that finds the store broken does that first, and so does
 * a reader that finds it closed, at most once in a while.  0, or the reason why
 * writing is still impossible.
 */
int rocks_revive(struct ctx *ctx, struct rocks *r);

/* Read one row: the latest committed state, by way of the cache. */
int rocks_read(struct ctx *ctx, struct rocks *r, uint64_t hash,
               struct storage_key key, struct storage_value *out);

/* The key on disk, appended to `out`. */
void rocks_key(struct buf *out, struct bytes partition, struct bytes row);

/*
 * Turn RocksDB's complaint into a code and a story, and free it.  `doing` says
 * what was tried, "reading a row".
 */
int rocks_error(struct ctx *ctx, char *complaint, const char *doing);

#endif
