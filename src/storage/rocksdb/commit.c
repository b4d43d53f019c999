/*
 * commit - conditions and writes, all or nothing.
 *
 * The steps, in order: bring a broken RocksDB back; hold the keys; read and
 * check the conditions; make the stamps of the written rows busy; write one
 * synced batch; bring the row cache in line; let go.  RocksDB shows the batch
 * to readers only after its log is synced, so nobody ever reads what a crash
 * could take back; and it gathers the batches of threads that wait for the disk
 * into one sync.
 */
#include "storage/rocksdb/rocksdb_int.h"

#include "base/errinj.h"

static uint64_t *cond_hashes(struct arena *a, const struct storage_batch *b)
{
    uint64_t *h = ARENA_ARRAY(a, uint64_t, b->n_conds);

    for (size_t i = 0; i < b->n_conds; i++)
        h[i] = row_cache_hash(b->conds[i].key);
    return h;
}

static uint64_t *write_hashes(struct arena *a, const struct storage_batch *b)
{
    uint64_t *h = ARENA_ARRAY(a, uint64_t, b->n_writes);

    for (size_t i = 0; i < b->n_writes; i++)
        h[i] = row_cache_hash(b->writes[i].key);
    return h;
}

static int hold_keys(struct ctx *ctx, struct rocks *r,
                     const struct storage_batch *b, const uint64_t *conds,
                     const uint64_t *writes, struct key_set *set)
{
    size_t n = b->n_conds + b->n_writes;
    uint64_t *all = ARENA_ARRAY(ctx->arena, uint64_t, n);

    if (b->n_conds)
        memcpy(all, conds, b->n_conds * sizeof(*all));
    if (b->n_writes)
        memcpy(all + b->n_conds, writes, b->n_writes * sizeof(*all));
    return key_locks_take(ctx, &r->keys, all, n, set);
}

static bool holds(const struct storage_cond *c, const struct storage_value *v)
{
    if (c->absent)
        return !v->found;
    return v->found && bytes_eq(v->value, c->value);
}

static int check_conds(struct ctx *ctx, struct rocks *r,
                       const struct storage_batch *b, const uint64_t *hashes,
                       size_t *failed)
{
    for (size_t i = 0; i < b->n_conds; i++) {
        struct storage_value v;
        int rc = rocks_read(ctx, r, hashes[i], b->conds[i].key, &v);

        if (rc != 0)
            return rc;
        if (!holds(&b->conds[i], &v)) {
            *failed = i;
            __atomic_fetch_add(&r->conflicts, 1, __ATOMIC_RELAXED);
            return ERR_CONFLICT;
        }
    }
    return 0;
}

static rocksdb_writebatch_t *batch_of(struct arena *a,
                                      const struct storage_batch *b)
{
    rocksdb_writebatch_t *out = rocksdb_writebatch_create();
    struct buf key = BUF_IN(a);

    for (size_t i = 0; i < b->n_writes; i++) {
        const struct storage_write *w = &b->writes[i];

        buf_clear(&key);
        rocks_key(&key, w->key.partition, w->key.row);
        if (w->del)
            rocksdb_writebatch_delete(out, (const char *)key.p, key.n);
        else
            rocksdb_writebatch_put(out, (const char *)key.p, key.n, w->value.p,
                                   w->value.n);
    }
    return out;
}

static int write_rows(struct ctx *ctx, struct rocks *r,
                      const struct storage_batch *b)
{
    rocksdb_writebatch_t *batch = batch_of(ctx->arena, b);
    char *complaint = NULL;

    rocksdb_write(r->db, r->write_synced, batch, &complaint);
    rocksdb_writebatch_destroy(batch);
    if (complaint) {
        int rc = rocks_error(ctx, complaint, "writing a commit");

        /* RocksDB by itself goes on once a full disk has room again. */
        if (rc != ERR_NO_SPACE)
            __atomic_store_n(&r->broken, true, __ATOMIC_RELEASE);
        return rc;
    }
    __atomic_fetch_add(&r->commits, 1, __ATOMIC_RELAXED);
    return 0;
}

static int write_through(struct ctx *ctx, struct rocks *r,
                         const struct storage_batch *b, const uint64_t *hashes)
{
    int rc;

    errinj_crash("rocksdb.commit.checked");
    row_cache_begin(r->rows, hashes, b->n_writes);
    rc = write_rows(ctx, r, b);
    errinj_crash("rocksdb.commit.written");
    row_cache_end(r->rows, hashes, b->writes, b->n_writes, rc == 0);
    errinj_crash("rocksdb.commit.cached");
    return rc;
}

/* With the keys held.  RocksDB stays the same one from check to write. */
static int check_and_write(struct ctx *ctx, struct rocks *r,
                           const struct storage_batch *b, const uint64_t *conds,
                           const uint64_t *writes, size_t *failed)
{
    int rc = rocks_enter(ctx, r);

    if (rc != 0)
        return rc;
    rc = check_conds(ctx, r, b, conds, failed);
    if (rc == 0 && b->n_writes)
        rc = write_through(ctx, r, b, writes);
    rocks_leave(r);
    return rc;
}

int rocks_commit(struct ctx *ctx, struct storage *st,
                 const struct storage_batch *b, size_t *failed)
{
    struct rocks *r = rocks_of(st);
    uint64_t *conds, *writes;
    struct key_set set;
    int rc;

    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    errinj_crash("rocksdb.commit.begin");
    conds = cond_hashes(ctx->arena, b);
    writes = write_hashes(ctx->arena, b);
    rc = rocks_revive(ctx, r);
    if (rc == 0)
        rc = hold_keys(ctx, r, b, conds, writes, &set);
    if (rc != 0)
        return rc;
    rc = check_and_write(ctx, r, b, conds, writes, failed);
    key_locks_drop(&r->keys, &set);
    return rc;
}
