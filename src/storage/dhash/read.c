/*
 * read - the plain store as the last redo record makes it.
 *
 * What a commit did is laid over what stands in rows and lists, whether or not
 * it has got there: a row that the record names comes from the record, and to a
 * key list its changes are made on the way.  So a reader sees a commit whole
 * from the moment the record is its own, while the rows are still being
 * written, and also when that fails.
 *
 * A reader shares the lock from beginning to end.  A commit takes it alone for
 * the moment of putting its record in the place of the last, which by then
 * stands in rows and lists; only then does it touch those.  That makes a get
 * and a page of one moment.
 */
#include "base/log.h"
#include "storage/dhash/dhash_int.h"
#include "storage/dhash/names.h"
#include "storage/page.h"

/* ---- keys ---- */

struct bytes dhash_row_key(struct arena *a, struct storage_key key)
{
    struct buf b = BUF_IN(a);

    buf_reserve(&b, 3 + key.partition.n + key.row.n);
    buf_add_u8(&b, 'r');
    buf_add_u8(&b, (uint8_t)(key.partition.n >> 8));
    buf_add_u8(&b, (uint8_t)key.partition.n);
    buf_add(&b, key.partition);
    buf_add(&b, key.row);
    return buf_view(&b);
}

struct bytes dhash_list_key(struct arena *a, struct bytes partition, int shard)
{
    struct buf b = BUF_IN(a);

    buf_reserve(&b, 2 + partition.n);
    buf_add_u8(&b, 'n');
    buf_add_u8(&b, (uint8_t)shard);
    buf_add(&b, partition);
    return buf_view(&b);
}

/* ---- the lock ---- */

static int enter(struct ctx *ctx, struct dhash *d)
{
    if (ctx->may_wait)
        rwlock_share(&d->lock);
    else if (!d->kv->ops->quick || !rwlock_try_share(&d->lock))
        return ERR_WOULD_BLOCK;
    return 0;
}

static int check_deadline(struct ctx *ctx)
{
    if (ctx_left(ctx) > 0)
        return 0;
    return ctx_err(ctx, ERR_DEADLINE,
                   "storage: the deadline passed while rows were read");
}

/* ---- rows ---- */

int dhash_read(struct ctx *ctx, struct dhash *d, struct storage_key key,
               struct arena *a, struct storage_value *out)
{
    const struct change *c = changes_find(d->last, key);
    int rc;

    *out = (struct storage_value){0};
    if (c) {
        out->found = !c->del;
        /* The record goes when the next one comes. */
        out->value = c->del ? BYTES_NONE : arena_dup(a, c->value);
        return 0;
    }
    rc = d->kv->ops->get(ctx, d->kv, dhash_row_key(a, key), a, &out->value);
    if (rc == ERR_NOT_FOUND)
        return 0;
    out->found = rc == 0;
    return rc;
}

int dhash_get(struct ctx *ctx, struct storage *st,
              const struct storage_key *keys, size_t n,
              struct storage_value *out)
{
    struct dhash *d = dhash_of(st);
    int rc = enter(ctx, d);

    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = dhash_read(ctx, d, keys[i], ctx->arena, &out[i]);
        if (rc == 0 && i + 1 < n)
            rc = check_deadline(ctx);
    }
    rwlock_drop(&d->lock);
    return rc;
}

/* ---- lists ---- */

int dhash_list(struct ctx *ctx, struct dhash *d, struct bytes partition,
               int shard, struct arena *a, struct bytes *list)
{
    int rc = d->kv->ops->get(ctx, d->kv, dhash_list_key(a, partition, shard), a,
                             list);

    if (rc == ERR_NOT_FOUND) {
        *list = BYTES_NONE;
        return 0;
    }
    if (rc == 0 && !names_valid(*list))
        return ctx_err(ctx, ERR_CORRUPT,
                       "storage: key list %d of a partition does not read "
                       "back; restore the store from a backup",
                       shard);
    return rc;
}

/* The rows of one shard that are in the range, in order. */
struct shard {
    struct bytes *rows;
    size_t n;
};

static bool in_range(const struct storage_range *r, struct bytes row)
{
    return bytes_cmp(row, r->from) >= 0 &&
           (r->to_end || bytes_cmp(row, r->to) < 0);
}

static void gather(struct arena *a, struct bytes list,
                   const struct storage_range *range, struct shard *s)
{
    struct bytes row;
    size_t cap = 0;

    while (names_next(&list, &row)) {
        if (!in_range(range, row))
            continue;
        if (s->n == cap) {
            size_t old = cap;

            cap = cap ? cap * 2 : 64;
            s->rows =
                arena_grow(a, s->rows, old * sizeof(row), cap * sizeof(row));
        }
        s->rows[s->n++] = row;
    }
}

static int read_shard(struct ctx *ctx, struct dhash *d, struct bytes partition,
                      int shard, const struct storage_range *range,
                      struct arena *a, struct shard *s)
{
    struct run run = changes_of_shard(d->last, partition, shard);
    struct buf with = BUF_IN(a);
    struct bytes list;
    int rc = dhash_list(ctx, d, partition, shard, a, &list);

    if (rc == 0)
        rc = check_deadline(ctx);
    if (rc != 0)
        return rc;
    if (run.n && names_with(list, run, &with))
        list = buf_view(&with);
    gather(a, list, range, s);
    return 0;
}

/* Take the next row off the shards, each of which is in order; false when
 * there is none. */
static bool next_row(struct shard *shards, enum storage_dir dir,
                     struct bytes *row)
{
    struct shard *best = NULL;

    for (int i = 0; i < DHASH_SHARDS; i++) {
        struct shard *s = &shards[i];
        int cmp;

        if (s->n == 0)
            continue;
        if (dir == STORAGE_FORWARD)
            cmp = best ? bytes_cmp(s->rows[0], best->rows[0]) : -1;
        else
            cmp = best ? bytes_cmp(best->rows[best->n - 1], s->rows[s->n - 1])
                       : -1;
        if (cmp < 0)
            best = s;
    }
    if (!best)
        return false;
    *row = dir == STORAGE_FORWARD ? best->rows[0] : best->rows[best->n - 1];
    best->rows += dir == STORAGE_FORWARD;
    best->n--;
    return true;
}

/* ---- scan ---- */

struct scan {
    struct dhash *d;
    struct bytes partition;
    enum storage_dir dir;
    struct shard shards[DHASH_SHARDS];
    struct arena arena; /* lists, and rows on their way to the page */
};

static int read_row(struct ctx *ctx, struct scan *s, struct bytes row,
                    struct page_fill *fill)
{
    struct storage_key key = {s->partition, row};
    struct storage_value v;
    int rc = dhash_read(ctx, s->d, key, &s->arena, &v);

    if (rc == 0)
        rc = check_deadline(ctx);
    if (rc != 0)
        return rc;
    if (!v.found)
        return ctx_err(ctx, ERR_CORRUPT,
                       "storage: a key list names a row that is not there; "
                       "restore the store from a backup");
    page_add(fill, row, v.value);
    return 0;
}

static int fill_page(struct ctx *ctx, struct scan *s, size_t limit,
                     struct storage_page *page)
{
    struct page_fill fill = PAGE_FILL_INIT(ctx->arena, page, limit);
    struct bytes row;
    bool more = next_row(s->shards, s->dir, &row);
    int rc = 0;

    while (rc == 0 && more && !page_full(&fill)) {
        rc = read_row(ctx, s, row, &fill);
        more = next_row(s->shards, s->dir, &row);
    }
    page->more = more;
    return rc;
}

int dhash_scan(struct ctx *ctx, struct storage *st, struct bytes partition,
               const struct storage_range *range, enum storage_dir dir,
               size_t limit, struct storage_page *page)
{
    struct scan s = {.d = dhash_of(st), .partition = partition, .dir = dir};
    int rc = enter(ctx, s.d);

    if (rc != 0)
        return rc;
    for (int i = 0; rc == 0 && i < DHASH_SHARDS; i++)
        rc = read_shard(ctx, s.d, partition, i, range, &s.arena, &s.shards[i]);
    if (rc == 0)
        rc = fill_page(ctx, &s, limit, page);
    rwlock_drop(&s.d->lock);
    arena_release(&s.arena);
    return rc;
}
