/*
 * dhash_kv - what a plain store of keys and values must give to carry dhash.
 *
 * Three operations on one key, and nothing else: no transaction, no scan, no
 * order.  A new plain store is one file with a struct dhash_kv_ops and a row in
 * the table of dhash.c; it is done when `test_storage dhash:NAME` passes.
 *
 * Keys are any bytes, up to DHASH_KEY_MAX of them; a value is up to
 * ops->value_max long, and may be empty.  No other process uses the store while
 * it is open: open() sees to that.
 *
 * Thread rule: get() is called by many threads at once, also during a write;
 * of put(), del() and many() one runs at a time.
 *
 * What a write may leave behind.  0: the value is there for every get() that
 * starts now, and on the medium.  ERR_UNKNOWN: it may be, or the old one; the
 * next get() of the key tells, and a put() that answers 0 makes sure.  Anything
 * else: the old value stands.  A get() that runs meanwhile sees the old value
 * or the new, never a part.
 */
#ifndef STORAGE_DHASH_DHASH_KV_H
#define STORAGE_DHASH_DHASH_KV_H

#include "storage/storage.h"

enum {
    DHASH_KEY_MAX = 3 + STORAGE_PARTITION_MAX + STORAGE_ROW_MAX,
    DHASH_VALUE_MIN = STORAGE_VALUE_MAX + 64 * 1024, /* of value_max */
};

struct dhash_kv {
    const struct dhash_kv_ops *ops;
};

/* A put, or a delete. */
struct dhash_kv_write {
    struct bytes key;
    bool del;
    struct bytes value;
};

struct dhash_kv_ops {
    const char *name; /* "dhash:NAME" opens it */
    bool durable;     /* a write that answered 0 survives kill -9 */
    bool quick;       /* get() waits for nothing: no disk, no network */

    /*
     * The longest value it takes, from DHASH_VALUE_MIN.  It bounds what one
     * commit may write (the redo record is one value) and the key lists: with
     * less than STORAGE_BATCH_MAX and some, large commits are refused.
     */
    size_t value_max;

    /*
     * Is expected to allocate a struct that starts with `struct dhash_kv`, set
     * its ops, and leave nothing behind on failure.  What get() answers from
     * here on is on the medium.
     */
    int (*open)(struct ctx *ctx, const struct storage_options *o,
                struct dhash_kv **kv);

    /* *value in `a`; ERR_NOT_FOUND without a story. */
    int (*get)(struct ctx *ctx, struct dhash_kv *kv, struct bytes key,
               struct arena *a, struct bytes *value);

    int (*put)(struct ctx *ctx, struct dhash_kv *kv, struct bytes key,
               struct bytes value);

    /* A key that is not there is no error. */
    int (*del)(struct ctx *ctx, struct dhash_kv *kv, struct bytes key);

    /*
     * Writes of different keys, each as put() and del() would do it and in any
     * order; after a failure, or a crash, any of them may be done.  For stores
     * that wait for the medium once rather than once for each.  NULL: one after
     * the other.
     */
    int (*many)(struct ctx *ctx, struct dhash_kv *kv,
                const struct dhash_kv_write *writes, size_t n);

    void (*close)(struct dhash_kv *kv);
};

extern const struct dhash_kv_ops dhash_kv_memory;
extern const struct dhash_kv_ops dhash_kv_files;

#endif
