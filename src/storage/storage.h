/*
 * storage - ordered keys and values, the floor of the platform.
 *
 * A key has two parts, both byte strings: a partition (what is scanned
 * together: app, namespace, table) and a row, ordered by memcmp() inside its
 * partition.  A store offers three operations, and everything else - entities,
 * indexes, transactions, users, deployments - is built on them:
 *
 *   storage_get     the latest committed values of some keys, of one moment
 *   storage_scan    the rows of one partition in order, a page at a time
 *   storage_commit  conditions and writes: all of it durable and visible
 *                   together, or nothing
 *
 * and one that a backend may lack: storage_view, the store as it is now, to be
 * read later.
 *
 * Partitions and rows are opaque here; engine/key.h makes them.  The layout on
 * disk is docs/storage-format.md.
 *
 * Backends are rows of the table in storage.c: rocksdb (one machine), memory
 * (the reference and the test double), dhash (over a plain store of keys and
 * values), trace (wraps any other).  Every one passes tests/contract.  A
 * backend that crosses a network needs nothing more: it reads at its own
 * consistency, may answer ERR_UNKNOWN to a commit, and keeps a scan inside one
 * partition.
 *
 * Ownership: what a call returns lives in ctx->arena; what it is given is only
 * read during the call.  Thread rule: a store is shared by all threads, a
 * batch is not.
 *
 * Waiting: when ctx->may_wait is false (a network loop), an operation that
 * would touch the disk or a lock held over it answers ERR_WOULD_BLOCK, having
 * done nothing; the caller repeats it from a worker.
 */
#ifndef STORAGE_STORAGE_H
#define STORAGE_STORAGE_H

#include "base/ctx.h"

struct storage;

/*
 * Limits, checked in storage.c for every backend: ERR_TOO_LARGE with the
 * figures.  A row has room for a 6 KiB key and twenty indexed values of 1500
 * bytes, escaped; Cassandra stops at 64 KiB.
 */
enum {
    STORAGE_PARTITION_MAX = 1024,
    STORAGE_ROW_MAX = 60 * 1024,
    STORAGE_VALUE_MAX = 16 * 1024 * 1024,
    STORAGE_BATCH_MAX = 64 * 1024 * 1024, /* all writes of a commit, bytes */
    STORAGE_PAGE_ROWS = 10000,            /* a larger `limit` is cut to it */
    STORAGE_PAGE_BYTES = 4 * 1024 * 1024, /* a page ends after passing it */
};

struct storage_key {
    struct bytes partition;
    struct bytes row;
};

struct storage_value {
    bool found;
    struct bytes value; /* empty and not found are different things */
};

/*
 * Read the latest committed value of each of `keys` into out[0..n-1]; all of
 * them as of one moment, so that no commit is seen in part.  A key may occur
 * twice.  Returns 0 (an absent key is found == false), ERR_WOULD_BLOCK,
 * ERR_TOO_LARGE, ERR_DEADLINE, ERR_IO, ERR_CORRUPT or ERR_UNAVAILABLE.
 */
int storage_get(struct ctx *ctx, struct storage *st,
                const struct storage_key *keys, size_t n,
                struct storage_value *out);

/* storage_get() of one key; ERR_NOT_FOUND when absent (ctx->err stays empty).
 */
int storage_get1(struct ctx *ctx, struct storage *st, struct storage_key key,
                 struct bytes *value);

enum storage_dir { STORAGE_FORWARD, STORAGE_BACKWARD };

/* from <= row < to.  An empty `from` is the first row; with `to_end`, `to` is
 * not looked at and the range runs to the last row of the partition. */
struct storage_range {
    struct bytes from;
    struct bytes to;
    bool to_end;
};

#define STORAGE_ALL ((struct storage_range){.to_end = true})

/* The range of all rows that start with `prefix`; allocates in `a`. */
struct storage_range storage_prefix(struct arena *a, struct bytes prefix);

struct storage_row {
    struct bytes row;
    struct bytes value;
};

struct storage_page {
    struct storage_row *rows;
    size_t n;
    bool more; /* rows may remain beyond the last one */
};

/*
 * Read up to `limit` (at least 1) rows of the range in order, the highest
 * first with STORAGE_BACKWARD.  A page is of one moment: it never shows half a
 * commit.  Two pages are of two moments; the next starts after the last row of
 * this one (storage_range_after).  A page may be shorter than `limit` when it
 * grows large; `more` says whether to go on.  Errors as storage_get().
 */
int storage_scan(struct ctx *ctx, struct storage *st, struct bytes partition,
                 const struct storage_range *range, enum storage_dir dir,
                 size_t limit, struct storage_page *page);

/* The rest of `range` behind `last`, the row a page in direction `dir` ended
 * with; allocates in `a`. */
struct storage_range storage_range_after(struct arena *a,
                                         const struct storage_range *range,
                                         enum storage_dir dir,
                                         struct bytes last);

/*
 * A batch: what must still hold, and what is then written.  Keys and values are
 * referenced, not copied; they must live until storage_commit() returns.  Of
 * several writes to one key the last counts.
 */
struct storage_cond {
    struct storage_key key;
    bool absent;        /* the key must not exist */
    bool below;         /* must not exist, or have a value that sorts before
                           `value` */
    struct bytes value; /* else: must exist with exactly this value */
};

struct storage_write {
    struct storage_key key;
    bool del;
    struct bytes value;
};

struct storage_batch {
    struct arena *arena;
    struct storage_cond *conds;
    size_t n_conds, cap_conds;
    struct storage_write *writes;
    size_t n_writes, cap_writes;
};

#define STORAGE_BATCH_IN(arena_)                                               \
    {                                                                          \
        .arena = (arena_)                                                      \
    }

/* Condition: the key exists with exactly this value. */
void storage_batch_require(struct storage_batch *b, struct storage_key key,
                           struct bytes value);

/* Condition: the key does not exist. */
void storage_batch_require_absent(struct storage_batch *b,
                                  struct storage_key key);

/* Condition: the key does not exist, or its value sorts before `value`, which
 * is written over it: it grows, whoever commits first. */
void storage_batch_require_below(struct storage_batch *b,
                                 struct storage_key key, struct bytes value);

/* What storage_get() said of the key must still be true. */
void storage_batch_require_same(struct storage_batch *b, struct storage_key key,
                                const struct storage_value *seen);

/* Write the value, whether or not the key exists. */
void storage_batch_put(struct storage_batch *b, struct storage_key key,
                       struct bytes value);

/* Delete the key; one that does not exist is no error. */
void storage_batch_delete(struct storage_batch *b, struct storage_key key);

/*
 * Check the conditions and apply the writes, all or nothing.
 *
 *   0            durable and visible to every read that starts now
 *   ERR_CONFLICT nothing written; *failed (may be NULL) is the index of a
 *                condition that did not hold
 *   ERR_ABORTED  surely nothing was written, try again
 *   ERR_UNKNOWN  it may have been written (networked backends only, and an
 *                embedded one whose log could not be synced)
 *   ERR_NO_SPACE, ERR_IO, ERR_TOO_LARGE, ERR_DEADLINE, ERR_WOULD_BLOCK:
 *                nothing was written
 *
 * A batch without writes only checks.  One without conditions always succeeds
 * where the medium does.
 */
int storage_commit(struct ctx *ctx, struct storage *st,
                   const struct storage_batch *b, size_t *failed);

/* Asked by long work at each of its steps, `done` of `total`; false ends it. */
typedef bool storage_progress_fn(int done, int total, void *arg);

struct storage_compaction {
    bool done;             /* false: this backend has nothing to compact */
    int64_t before, after; /* bytes on the disk */
};

/*
 * Give back the room of what was replaced or deleted.  Takes minutes on a large
 * store; reads and commits go on meanwhile.  ERR_CANCELLED when `progress` said
 * so; what is done by then stays done.
 */
int storage_compact(struct ctx *ctx, struct storage *st,
                    storage_progress_fn *progress, void *arg,
                    struct storage_compaction *out);

/*
 * A view: the store as it is now, to be read as often as one likes, whatever is
 * committed meanwhile.  It is a store for storage_get() and storage_scan(); a
 * commit to it is ERR_INVALID.  Rows replaced meanwhile are kept as long as it
 * is open, so give it back soon - with storage_close(), before the store.
 *
 * Not every backend has views: ERR_UNIMPLEMENTED, without a story, and the
 * caller does with the present.  A view does not outlive an accident of the
 * store below it: reading one that is gone is ERR_ABORTED.  ERR_WOULD_BLOCK on
 * a network loop, where giving one back is wrong, too, as it may wait.
 */
int storage_view(struct ctx *ctx, struct storage *st, struct storage **view);

/* How to open a store. */
struct storage_options {
    const char *backend; /* a name of the table; "trace:rocksdb" wraps */
    const char *path;    /* a folder, made when missing; unused by memory */
    size_t cache_bytes;  /* for caches, 0: the backend's default */
};

/*
 * Open a store.  ERR_INVALID for an unknown backend (the message lists them),
 * ERR_UNAVAILABLE when another process has it open, ERR_IO, ERR_NO_SPACE,
 * ERR_CORRUPT, each with what to do.  Close it after every call has returned.
 */
int storage_open(struct ctx *ctx, const struct storage_options *o,
                 struct storage **st);

/* Close and free, after every call has returned.  NULL is allowed. */
void storage_close(struct storage *st);

/* The name of the backend, as "rocksdb". */
const char *storage_name(const struct storage *st);

/* Whether what was committed is there again after a kill -9, or a power cut. */
bool storage_durable(const struct storage *st);

/* The n-th row of the table of backends: its name, and in *help a line on it.
 * NULL behind the last. */
const char *storage_backend_name(size_t n, const char **help);

/* What the store can tell about itself, as "name value" lines in the arena:
 * sizes, cache hits, commits. */
struct bytes storage_stats(struct ctx *ctx, struct storage *st);

#endif
