/*
 * view - the store of one moment, on a snapshot of RocksDB.
 *
 * A snapshot belongs to the database as it was opened.  When that is opened
 * anew after a failed write, the snapshots of all views are given back first;
 * a view without one is gone, and says so.
 */
#include "base/log.h"
#include "storage/rocksdb/rocksdb_int.h"

#include <stdlib.h>

static const struct storage_backend view_backend;

static struct rocks_view *view_of(struct storage *st)
{
    if (st->backend != &view_backend)
        BUG("the store %s is no view of rocksdb", st->backend->name);
    return (struct rocks_view *)st;
}

static void list_add(struct rocks *r, struct rocks_view *v)
{
    lock_take(&r->views_lock);
    v->next = r->views;
    if (v->next)
        v->next->prev = v;
    r->views = v;
    lock_drop(&r->views_lock);
}

static void list_remove(struct rocks *r, struct rocks_view *v)
{
    lock_take(&r->views_lock);
    *(v->prev ? &v->prev->next : &r->views) = v->next;
    if (v->next)
        v->next->prev = v->prev;
    lock_drop(&r->views_lock);
}

int rocks_view(struct ctx *ctx, struct storage *st, struct storage **view)
{
    struct rocks *r = rocks_of(st);
    struct rocks_view *v;
    int rc;

    /* As in read_snapshot(). */
    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    rc = rocks_enter(ctx, r);
    if (rc != 0)
        return rc;
    v = calloc(1, sizeof(*v));
    if (!v)
        die("out of memory opening a view of the store");
    v->base.backend = &view_backend;
    v->of = r;
    v->snapshot = rocksdb_create_snapshot(r->db);
    list_add(r, v);
    rocks_leave(r);
    *view = &v->base;
    return 0;
}

void rocks_views_end(struct rocks *r)
{
    for (struct rocks_view *v = r->views; v; v = v->next) {
        if (v->snapshot)
            rocksdb_release_snapshot(r->db, v->snapshot);
        v->snapshot = NULL;
    }
}

static void view_close(struct storage *st)
{
    struct rocks_view *v = view_of(st);
    struct rocks *r = v->of;

    rwlock_share(&r->db_lock);
    list_remove(r, v);
    if (v->snapshot)
        rocksdb_release_snapshot(r->db, v->snapshot);
    rwlock_drop(&r->db_lock);
    free(v);
}

/* rocks_enter(), and the view is there. */
static int view_enter(struct ctx *ctx, struct rocks_view *v)
{
    int rc = rocks_enter(ctx, v->of);

    if (rc != 0 || v->snapshot)
        return rc;
    rocks_leave(v->of);
    return ctx_err(ctx, ERR_ABORTED,
                   "storage: the store was opened anew, and its views are "
                   "gone");
}

static int view_get(struct ctx *ctx, struct storage *st,
                    const struct storage_key *keys, size_t n,
                    struct storage_value *out)
{
    struct rocks_view *v = view_of(st);
    int rc = view_enter(ctx, v);

    if (rc != 0)
        return rc;
    rc = rocks_get_at(ctx, v->of, v->snapshot, keys, n, out);
    rocks_leave(v->of);
    return rc;
}

static int view_scan(struct ctx *ctx, struct storage *st,
                     struct bytes partition, const struct storage_range *range,
                     enum storage_dir dir, size_t limit,
                     struct storage_page *page)
{
    struct rocks_view *v = view_of(st);
    int rc = view_enter(ctx, v);

    if (rc != 0)
        return rc;
    rc = rocks_scan_at(ctx, v->of, v->snapshot, partition, range, dir, limit,
                       page);
    rocks_leave(v->of);
    return rc;
}

static const struct storage_backend view_backend = {
    .name = "rocksdb",
    .get = view_get,
    .scan = view_scan,
    .close = view_close,
};
