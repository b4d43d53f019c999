/*
 * read - get and scan.
 *
 * A get goes by the row cache, and to RocksDB for what is not there; a scan
 * always reads RocksDB, whose iterator stands on one moment.
 */
#include "storage/page.h"
#include "storage/rocksdb/rocksdb_int.h"

void rocks_key(struct buf *out, struct bytes partition, struct bytes row)
{
    uint8_t *p = buf_reserve(out, 2 + partition.n + row.n);

    p[0] = (uint8_t)(partition.n >> 8);
    p[1] = (uint8_t)partition.n;
    if (partition.n)
        memcpy(p + 2, partition.p, partition.n);
    if (row.n)
        memcpy(p + 2 + partition.n, row.p, row.n);
    out->n += 2 + partition.n + row.n;
}

/* ---- get ---- */

static int read_db(struct ctx *ctx, struct rocks *r,
                   const rocksdb_readoptions_t *how, struct storage_key key,
                   struct storage_value *out)
{
    struct buf k = BUF_IN(ctx->arena);
    rocksdb_pinnableslice_t *slice;
    char *complaint = NULL;
    struct bytes v;

    rocks_key(&k, key.partition, key.row);
    slice = rocksdb_get_pinned(r->db, how, (const char *)k.p, k.n, &complaint);
    if (complaint)
        return rocks_error(ctx, complaint, "reading a row");
    *out = (struct storage_value){.found = slice != NULL};
    if (!slice)
        return 0;
    v.p = rocksdb_pinnableslice_value(slice, &v.n);
    out->value = arena_dup(ctx->arena, v);
    rocksdb_pinnableslice_destroy(slice);
    return 0;
}

static const rocksdb_readoptions_t *read_options(const struct ctx *ctx,
                                                 const struct rocks *r)
{
    return ctx->may_wait ? r->read_wait : r->read_now;
}

/* As rocks_read(), for one who has taken the stamp and wants to keep it. */
static int read_stamped(struct ctx *ctx, struct rocks *r, uint64_t hash,
                        uint64_t stamp, struct storage_key key,
                        struct storage_value *out)
{
    bool quiet = row_cache_quiet(stamp);
    int rc;

    if (quiet && row_cache_get(r->rows, hash, key, ctx->arena, out))
        return 0;
    rc = read_db(ctx, r, read_options(ctx, r), key, out);
    if (rc == 0 && quiet)
        row_cache_fill(r->rows, hash, key, stamp, out);
    return rc;
}

int rocks_read(struct ctx *ctx, struct rocks *r, uint64_t hash,
               struct storage_key key, struct storage_value *out)
{
    return read_stamped(ctx, r, hash, row_cache_stamp(r->rows, hash), key, out);
}

int rocks_get_at(struct ctx *ctx, struct rocks *r,
                 const rocksdb_snapshot_t *snapshot,
                 const struct storage_key *keys, size_t n,
                 struct storage_value *out)
{
    rocksdb_readoptions_t *how = rocksdb_readoptions_create();
    int rc = 0;

    rocksdb_readoptions_set_snapshot(how, snapshot);
    if (!ctx->may_wait)
        rocksdb_readoptions_set_read_tier(how, READ_MEMORY_ONLY);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = read_db(ctx, r, how, keys[i], &out[i]);
    rocksdb_readoptions_destroy(how);
    return rc;
}

/* All keys from one snapshot of RocksDB: the sure way, and the slow one. */
static int read_snapshot(struct ctx *ctx, struct rocks *r,
                         const struct storage_key *keys, size_t n,
                         struct storage_value *out)
{
    const rocksdb_snapshot_t *snapshot;
    int rc;

    /* A snapshot is made under a lock that RocksDB's writers hold too. */
    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    snapshot = rocksdb_create_snapshot(r->db);
    rc = rocks_get_at(ctx, r, snapshot, keys, n, out);
    rocksdb_release_snapshot(r->db, snapshot);
    return rc;
}

struct seen {
    uint64_t hash;
    uint64_t stamp;
};

/*
 * Read the keys one by one, and then ask whether all of them were true at the
 * end of the reading: see row_cache.h.  *one_moment is false when a commit got
 * in between.
 */
static int read_each(struct ctx *ctx, struct rocks *r,
                     const struct storage_key *keys, size_t n,
                     struct seen *seen, struct storage_value *out,
                     bool *one_moment)
{
    int rc = 0;

    *one_moment = true;
    for (size_t i = 0; rc == 0 && i < n && *one_moment; i++) {
        struct seen *s = &seen[i];

        s->hash = row_cache_hash(keys[i]);
        s->stamp = row_cache_stamp(r->rows, s->hash);
        *one_moment = row_cache_quiet(s->stamp);
        if (*one_moment)
            rc = read_stamped(ctx, r, s->hash, s->stamp, keys[i], &out[i]);
    }
    for (size_t i = 0; rc == 0 && i < n && *one_moment; i++)
        *one_moment = row_cache_stamp(r->rows, seen[i].hash) == seen[i].stamp;
    return rc;
}

static int read_together(struct ctx *ctx, struct rocks *r,
                         const struct storage_key *keys, size_t n,
                         struct storage_value *out)
{
    struct seen *seen;
    bool one_moment;
    int rc;

    seen = ARENA_ARRAY(ctx->arena, struct seen, n);
    rc = read_each(ctx, r, keys, n, seen, out, &one_moment);
    if (rc == 0 && !one_moment)
        rc = read_snapshot(ctx, r, keys, n, out);
    return rc;
}

int rocks_get(struct ctx *ctx, struct storage *st,
              const struct storage_key *keys, size_t n,
              struct storage_value *out)
{
    struct rocks *r = rocks_of(st);
    int rc = rocks_enter(ctx, r);

    if (rc != 0)
        return rc;
    if (n == 1)
        rc = rocks_read(ctx, r, row_cache_hash(keys[0]), keys[0], out);
    else
        rc = read_together(ctx, r, keys, n, out);
    rocks_leave(r);
    return rc;
}

/* ---- scan ---- */

/*
 * On a network loop a scan reads memory only, and gives up when it would pass
 * over very many deleted rows.
 */
enum { SKIP_ON_LOOP = 1000 };

struct scan {
    rocksdb_readoptions_t *how;
    rocksdb_iterator_t *it;
    struct buf lower, upper; /* keys on disk; `how` points at them */
};

/* The first key behind all of the partition: its prefix with one added.  The
 * length in front keeps the first byte from overflowing. */
static void partition_end(struct buf *out, struct bytes partition)
{
    rocks_key(out, partition, BYTES_NONE);
    while (out->p[out->n - 1] == 0xff)
        out->n--;
    out->p[out->n - 1]++;
}

static void scan_open(struct ctx *ctx, struct rocks *r,
                      const rocksdb_snapshot_t *snapshot, struct scan *s,
                      struct bytes partition, const struct storage_range *range)
{
    s->lower = s->upper = (struct buf)BUF_IN(ctx->arena);
    rocks_key(&s->lower, partition, range->from);
    if (range->to_end)
        partition_end(&s->upper, partition);
    else
        rocks_key(&s->upper, partition, range->to);
    s->how = rocksdb_readoptions_create();
    rocksdb_readoptions_set_iterate_lower_bound(
        s->how, (const char *)s->lower.p, s->lower.n);
    rocksdb_readoptions_set_iterate_upper_bound(
        s->how, (const char *)s->upper.p, s->upper.n);
    if (!ctx->may_wait) {
        rocksdb_readoptions_set_read_tier(s->how, READ_MEMORY_ONLY);
        rocksdb_readoptions_set_max_skippable_internal_keys(s->how,
                                                            SKIP_ON_LOOP);
    }
    rocksdb_readoptions_set_snapshot(s->how, snapshot);
    s->it = rocksdb_create_iterator(r->db, s->how);
}

static void scan_close(struct scan *s)
{
    rocksdb_iter_destroy(s->it);
    rocksdb_readoptions_destroy(s->how);
}

/* The bounds are the iterator's, so its ends are those of the range. */
static void scan_run(struct scan *s, size_t prefix, enum storage_dir dir,
                     struct page_fill *fill)
{
    if (dir == STORAGE_FORWARD)
        rocksdb_iter_seek_to_first(s->it);
    else
        rocksdb_iter_seek_to_last(s->it);
    while (rocksdb_iter_valid(s->it) && !page_full(fill)) {
        struct bytes key, value;

        key.p = rocksdb_iter_key(s->it, &key.n);
        value.p = rocksdb_iter_value(s->it, &value.n);
        page_add(fill, bytes_from(key, prefix), value);
        if (dir == STORAGE_FORWARD)
            rocksdb_iter_next(s->it);
        else
            rocksdb_iter_prev(s->it);
    }
    fill->page->more = rocksdb_iter_valid(s->it);
}

int rocks_scan_at(struct ctx *ctx, struct rocks *r,
                  const rocksdb_snapshot_t *snapshot, struct bytes partition,
                  const struct storage_range *range, enum storage_dir dir,
                  size_t limit, struct storage_page *page)
{
    struct page_fill fill = PAGE_FILL_INIT(ctx->arena, page, limit);
    char *complaint = NULL;
    struct scan s;

    scan_open(ctx, r, snapshot, &s, partition, range);
    scan_run(&s, 2 + partition.n, dir, &fill);
    rocksdb_iter_get_error(s.it, &complaint);
    scan_close(&s);
    if (!complaint)
        return 0;
    *page = (struct storage_page){0};
    return rocks_error(ctx, complaint, "reading rows");
}

int rocks_scan(struct ctx *ctx, struct storage *st, struct bytes partition,
               const struct storage_range *range, enum storage_dir dir,
               size_t limit, struct storage_page *page)
{
    struct rocks *r = rocks_of(st);
    int rc = rocks_enter(ctx, r);

    if (rc != 0)
        return rc;
    rc = rocks_scan_at(ctx, r, NULL, partition, range, dir, limit, page);
    rocks_leave(r);
    return rc;
}
