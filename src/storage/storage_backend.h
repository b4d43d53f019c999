/*
 * storage_backend - what a backend supplies; only storage/ includes this.
 *
 * A backend is one folder or file with one vtable and one row in the table of
 * storage.c.  Before a callback runs storage.c has checked every size and
 * limit, the deadline, and the named faults storage.get.*, storage.scan.*,
 * storage.commit.*.  Callbacks run on any thread, many at once.
 */
#ifndef STORAGE_STORAGE_BACKEND_H
#define STORAGE_STORAGE_BACKEND_H

#include "base/buf.h"
#include "storage/storage.h"

struct storage_backend {
    const char *name;
    const char *help; /* one line for `appscale storage list` */
    bool wraps;       /* its name may go on: "trace:rocksdb" */

    /*
     * Is expected to allocate a struct that starts with `struct storage`, set
     * its backend, and leave nothing behind on failure.
     */
    int (*open)(struct ctx *ctx, const struct storage_options *o,
                struct storage **st);

    /* Is expected to fill every out[i] from one moment.  Values in the arena.
     */
    int (*get)(struct ctx *ctx, struct storage *st,
               const struct storage_key *keys, size_t n,
               struct storage_value *out);

    /* `limit` is 1..STORAGE_PAGE_ROWS.  Is expected to stop once the rows pass
     * STORAGE_PAGE_BYTES, with at least one row, and to set `more` exactly. */
    int (*scan)(struct ctx *ctx, struct storage *st, struct bytes partition,
                const struct storage_range *range, enum storage_dir dir,
                size_t limit, struct storage_page *page);

    /* Is expected to be atomic under kill -9, and to answer 0 only once the
     * writes are durable.  *failed is never NULL. */
    int (*commit)(struct ctx *ctx, struct storage *st,
                  const struct storage_batch *b, size_t *failed);

    /* May be NULL: then there is never anything to do.  Is expected to ask
     * `progress` now and then, to let reads and commits go on, and to answer
     * ERR_WOULD_BLOCK on a network loop. */
    int (*compact)(struct ctx *ctx, struct storage *st,
                   storage_progress_fn *progress, void *arg,
                   struct storage_compaction *out);

    /* Is expected to give a store of the present moment whose backend reads
     * and closes, and has no commit.  NULL: no views. */
    int (*view)(struct ctx *ctx, struct storage *st, struct storage **view);

    /* May be NULL. */
    void (*stats)(struct storage *st, struct buf *out);

    void (*close)(struct storage *st);
};

/* Whether a condition holds of what its key has. */
bool storage_cond_holds(const struct storage_cond *c,
                        const struct storage_value *v);

struct storage {
    const struct storage_backend *backend;
    bool durable; /* a commit survives kill -9; set by open */
};

extern const struct storage_backend storage_dhash;
extern const struct storage_backend storage_memory;
extern const struct storage_backend storage_rocksdb;
extern const struct storage_backend storage_trace;

#endif
