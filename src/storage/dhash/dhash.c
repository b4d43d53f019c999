/*
 * dhash - an ordered store out of a plain one.
 *
 * It asks of the store below no more than get, put and delete of single keys
 * (dhash_kv.h).  Order comes from key lists: the rows of a partition are listed
 * in sixteen special keys, by a hash of the row, and a scan reads all sixteen
 * and merges them.  Commits of many rows come from a redo record (commit.c),
 * and whole views of them from laying it over the store (read.c).
 *
 * What that costs, n being the rows of a partition.  It is the way onto stores
 * that can do no better, not one to choose where another is to be had:
 *
 *   get     one get for each row
 *   scan    sixteen gets, which bring all n row names, and one get for each
 *           row of the page: whole scans of large partitions are quadratic
 *   commit  one put of everything it writes, then each row again; for each
 *           shard that it touches, two gets of a sixteenth of the n row names,
 *           and one put of that when a row comes or goes.  At 100,000 rows of
 *           60 bytes that is 400 KB for one new row
 *   memory  the last commit (up to 64 MiB) and, in a scan, the row names of its
 *           partition
 *
 * Commits run one at a time.  Readers wait for none of it.
 */
#include "base/log.h"
#include "storage/dhash/dhash_int.h"

#include <inttypes.h>
#include <stdlib.h>

/* "dhash" alone is the first. */
static const struct dhash_kv_ops *const stores[] = {
    &dhash_kv_memory,
    &dhash_kv_files,
};

enum { N_STORES = sizeof(stores) / sizeof(stores[0]) };

struct dhash *dhash_of(struct storage *st)
{
    if (st->backend != &storage_dhash)
        BUG("the store %s is not dhash", st->backend->name);
    return (struct dhash *)st;
}

/* ---- open and close ---- */

static void dhash_free(struct dhash *d)
{
    d->kv->ops->close(d->kv);
    changes_free(d->last);
    rwlock_release(&d->lock);
    key_locks_release(&d->turn);
    free(d);
}

/*
 * What the last commit before wrote, in full or not.  That its rows cannot be
 * written now is no reason to refuse: they are read from the record.
 */
static int recover(struct ctx *ctx, struct dhash *d)
{
    struct ctx sub = *ctx;
    int rc = dhash_load(ctx, d, &d->last);

    if (rc != 0)
        return rc;
    sub.err = (struct err){0};
    rc = dhash_apply(&sub, d);
    if (rc != 0)
        log_error(ctx, "storage.dhash.rows_put_off", "store", d->kv->ops->name,
                  "error", ctx_err_text(&sub, rc));
    return 0;
}

int dhash_open_over(struct ctx *ctx, struct dhash_kv *kv, struct storage **st)
{
    struct dhash *d = calloc(1, sizeof(*d));
    int rc;

    if (!d)
        die("out of memory opening the store");
    d->base.backend = &storage_dhash;
    d->base.durable = kv->ops->durable;
    d->kv = kv;
    key_locks_init(&d->turn);
    rwlock_init(&d->lock, LOCK_STORAGE_DHASH);
    rc = recover(ctx, d);
    if (rc != 0) {
        dhash_free(d);
        return rc;
    }
    *st = &d->base;
    return 0;
}

static const char *store_names(struct arena *a)
{
    struct buf names = BUF_IN(a);

    for (size_t i = 0; i < N_STORES; i++)
        buf_printf(&names, "%sdhash:%s", i ? ", " : "", stores[i]->name);
    return buf_cstr(&names);
}

static int dhash_open(struct ctx *ctx, const struct storage_options *o,
                      struct storage **st)
{
    const char *colon = strchr(o->backend, ':');
    const char *name = colon ? colon + 1 : stores[0]->name;
    struct dhash_kv *kv;
    int rc;

    for (size_t i = 0; i < N_STORES; i++) {
        if (strcmp(stores[i]->name, name) != 0)
            continue;
        rc = stores[i]->open(ctx, o, &kv);
        return rc ? rc : dhash_open_over(ctx, kv, st);
    }
    return ctx_err(ctx, ERR_INVALID,
                   "storage: dhash has no plain store named '%s'; there are %s",
                   name, store_names(ctx->arena));
}

/* A clean end leaves no record: what it says stands in the rows. */
static void dhash_close(struct storage *st)
{
    struct dhash *d = dhash_of(st);
    struct arena arena = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &arena);
    if (d->last && d->applied && !d->unsure)
        d->kv->ops->del(&ctx, d->kv, DHASH_REDO);
    arena_release(&arena);
    dhash_free(d);
}

/* ---- figures ---- */

static void dhash_stats(struct storage *st, struct buf *out)
{
    struct dhash *d = dhash_of(st);

    buf_printf(out, "dhash.over %s\n", d->kv->ops->name);
    buf_printf(out, "dhash.commits %" PRIu64 "\n",
               __atomic_load_n(&d->commits, __ATOMIC_RELAXED));
    buf_printf(out, "dhash.conflicts %" PRIu64 "\n",
               __atomic_load_n(&d->conflicts, __ATOMIC_RELAXED));
    buf_printf(out, "dhash.rows_put_off %" PRIu64 "\n",
               __atomic_load_n(&d->put_off, __ATOMIC_RELAXED));
}

const struct storage_backend storage_dhash = {
    .name = "dhash",
    .help = "over a plain get/put/delete store: dhash:memory, dhash:files",
    .wraps = true,
    .open = dhash_open,
    .get = dhash_get,
    .scan = dhash_scan,
    .commit = dhash_commit,
    .stats = dhash_stats,
    .close = dhash_close,
};
