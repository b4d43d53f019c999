/*
 * commit - conditions and writes, all or nothing.
 *
 * The steps, in order: bring a broken RocksDB back; hold the keys; read and
 * check the conditions; then, in a group with others (group.c), make the
 * stamps of the written rows busy; write one synced batch; bring the row cache
 * in line; let go.  RocksDB shows the batch to readers only after its log is
 * synced, so nobody ever reads what a crash could take back.
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

static int check_conds(struct ctx *ctx, struct rocks *r,
                       const struct storage_batch *b, const uint64_t *hashes,
                       size_t *failed)
{
    for (size_t i = 0; i < b->n_conds; i++) {
        struct storage_value v;
        int rc = rocks_read(ctx, r, hashes[i], b->conds[i].key, &v);

        if (rc != 0)
            return rc;
        if (!storage_cond_holds(&b->conds[i], &v)) {
            *failed = i;
            __atomic_fetch_add(&r->conflicts, 1, __ATOMIC_RELAXED);
            return ERR_CONFLICT;
        }
    }
    return 0;
}

/* With the keys held. */
static int check(struct ctx *ctx, struct rocks *r,
                 const struct storage_batch *b, const uint64_t *hashes,
                 size_t *failed, uint64_t *opened)
{
    int rc = rocks_enter(ctx, r);

    if (rc != 0)
        return rc;
    *opened = r->opened;
    rc = check_conds(ctx, r, b, hashes, failed);
    rocks_leave(r);
    return rc;
}

/* ERR_ABORTED: it has to begin again. */
static int try_commit(struct ctx *ctx, struct rocks *r, struct group_commit *c,
                      const uint64_t *conds, size_t *failed)
{
    const struct storage_batch *b = c->batch;
    struct key_set set;
    int rc = rocks_revive(ctx, r);

    c->keys = &set;
    if (rc == 0)
        rc = hold_keys(ctx, r, b, conds, c->hashes, &set);
    if (rc != 0)
        return rc;
    rc = check(ctx, r, b, conds, failed, &c->opened);
    if (rc == 0 && b->n_writes)
        return group_write(r, c); /* lets go of the keys */
    key_locks_drop(&r->keys, &set);
    return rc;
}

/* Of a group behind one that broke the store nothing is written, and what its
 * conditions were read from is opened anew: so it begins again. */
int rocks_commit(struct ctx *ctx, struct storage *st,
                 const struct storage_batch *b, size_t *failed)
{
    struct rocks *r = rocks_of(st);
    struct group_commit c = {.ctx = ctx, .batch = b};
    const uint64_t *conds;
    int rc;

    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    errinj_crash("rocksdb.commit.begin");
    conds = cond_hashes(ctx->arena, b);
    c.hashes = write_hashes(ctx->arena, b);
    do {
        rc = try_commit(ctx, r, &c, conds, failed);
    } while (rc == ERR_ABORTED);
    return rc;
}
