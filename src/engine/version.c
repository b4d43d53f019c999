/*
 * version - numbers that only grow, without a write for each.
 *
 * A stretch of the future is reserved in the store first and handed out from
 * memory afterwards; a restart begins behind the stretch, whatever the clock
 * says.
 */
#include "engine/engine_int.h"

/* How far ahead of the clock versions are reserved: one commit in this time. */
static const int64_t reserve = 60 * CLOCK_SEC;

static struct storage_key version_key(struct arena *a)
{
    return (struct storage_key){
        key_partition(a, BYTES_NONE, BYTES_NONE, KEY_META),
        BYTES_LIT("version"),
    };
}

/* Make [start, start + reserve) ours, `start` beyond what anyone has had. */
static int extend_locked(struct ctx *ctx, struct engine *e, int64_t want)
{
    struct storage_key key = version_key(ctx->arena);
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct storage_value seen;
    uint8_t limit[8];
    int64_t start;
    int rc;

    rc = storage_get(ctx, e->storage, &key, 1, &seen);
    if (rc)
        return rc;
    if (seen.found && seen.value.n != 8)
        return ctx_err(ctx, ERR_CORRUPT, "the version row has %zu bytes",
                       seen.value.n);
    start = seen.found ? (int64_t)get_be64(seen.value.p) : 0;
    start = start > want ? start : want;
    put_be64(limit, (uint64_t)(start + reserve));
    storage_batch_require_same(&b, key, &seen);
    storage_batch_put(&b, key, BYTES(limit, 8));
    rc = storage_commit(ctx, e->storage, &b, NULL);
    if (rc)
        return rc;
    atomic_store(&e->versions.last, start - 1);
    atomic_store(&e->versions.limit, start + reserve);
    return 0;
}

static int extend(struct ctx *ctx, struct engine *e, int64_t want)
{
    int rc = 0;

    lock_take(&e->versions.lock);
    do {
        if (want >= atomic_load(&e->versions.limit))
            rc = extend_locked(ctx, e, want);
    } while (write_again(ctx, rc)); /* another process took a part: go on */
    lock_drop(&e->versions.lock);
    return rc;
}

int version_next(struct ctx *ctx, struct engine *e, int64_t *out)
{
    int64_t last = atomic_load(&e->versions.last);

    for (;;) {
        int64_t now = clock_wall();
        int64_t v = now > last ? now : last + 1;
        int rc;

        if (v >= atomic_load(&e->versions.limit)) {
            rc = extend(ctx, e, v);
            if (rc)
                return rc;
            last = atomic_load(&e->versions.last);
        } else if (atomic_compare_exchange_weak(&e->versions.last, &last, v)) {
            *out = v;
            return 0;
        }
    }
}

int version_limit(struct ctx *ctx, struct engine *e, int64_t *out)
{
    struct bytes value;
    int rc = storage_get1(ctx, e->storage, version_key(ctx->arena), &value);

    if (rc && rc != ERR_NOT_FOUND)
        return rc;
    if (rc || value.n != 8)
        return ctx_err(ctx, ERR_CORRUPT, "the version row does not read");
    *out = (int64_t)get_be64(value.p);
    return 0;
}

int version_start(struct ctx *ctx, struct engine *e)
{
    return extend(ctx, e, clock_wall());
}

int64_t engine_read_version(const struct engine *e)
{
    return atomic_load(&e->versions.last);
}

int engine_next_version(struct ctx *ctx, struct engine *e, int64_t *out)
{
    return version_next(ctx, e, out);
}
