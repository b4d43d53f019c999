/*
 * dhash_int - what the files of dhash share.
 *
 * In the plain store stand
 *
 *     'w'                                    the redo record
 *     'r' length of the partition (2) partition row      the value of a row
 *     'n' shard (1) partition                a key list: the rows of a shard
 *
 * The shard of a row, 0..15, is folded from its FNV-1a hash.  The bytes of the
 * record and of the lists are in changes.c and names.h, and all of it in
 * docs/storage-format.md.
 */
#ifndef STORAGE_DHASH_DHASH_INT_H
#define STORAGE_DHASH_DHASH_INT_H

#include "base/locks.h"
#include "storage/dhash/changes.h"
#include "storage/dhash/dhash_kv.h"
#include "storage/key_locks.h"
#include "storage/storage_backend.h"

struct dhash {
    struct storage base;
    struct dhash_kv *kv;
    struct key_locks turn; /* whose commit it is; everything below but reads */
    struct rwlock lock;    /* LOCK_STORAGE_DHASH: `last`, shared by readers */
    struct changes *last;  /* what the redo record says; or NULL */
    bool applied;          /* `last` stands in rows and lists too */
    bool unsure;           /* whether the last record was written, who knows */
    uint64_t commits, conflicts, put_off; /* atomic */
};

/* The store as this backend's; BUG when it is another's. */
struct dhash *dhash_of(struct storage *st);

/* A store over `kv`, which it closes from then on, also when it fails. */
int dhash_open_over(struct ctx *ctx, struct dhash_kv *kv, struct storage **st);

/* ---- read.c ---- */

/* storage_get() of this backend. */
int dhash_get(struct ctx *ctx, struct storage *st,
              const struct storage_key *keys, size_t n,
              struct storage_value *out);

/* storage_scan() of this backend. */
int dhash_scan(struct ctx *ctx, struct storage *st, struct bytes partition,
               const struct storage_range *range, enum storage_dir dir,
               size_t limit, struct storage_page *page);

/*
 * One row as of now, in `a`.  By who shares the lock, or has the turn.  0 with
 * found or not, or what the plain store says.
 */
int dhash_read(struct ctx *ctx, struct dhash *d, struct storage_key key,
               struct arena *a, struct storage_value *out);

/* A key list as it stands in the plain store, checked, in `a`. */
int dhash_list(struct ctx *ctx, struct dhash *d, struct bytes partition,
               int shard, struct arena *a, struct bytes *list);

/* ---- commit.c ---- */

/* storage_commit() of this backend. */
int dhash_commit(struct ctx *ctx, struct storage *st,
                 const struct storage_batch *b, size_t *failed);

/*
 * Bring rows and lists in line with the redo record: at open, and before the
 * next commit when an earlier try failed.  With the turn.  May be done again
 * after any failure.
 */
int dhash_apply(struct ctx *ctx, struct dhash *d);

/* The redo record, decoded; *out stays NULL when there is none. */
int dhash_load(struct ctx *ctx, struct dhash *d, struct changes **out);

/* Its key. */
#define DHASH_REDO BYTES_LIT("w")

/* The key of a row's value, in `a`. */
struct bytes dhash_row_key(struct arena *a, struct storage_key key);

/* The key of a key list, in `a`. */
struct bytes dhash_list_key(struct arena *a, struct bytes partition, int shard);

#endif
