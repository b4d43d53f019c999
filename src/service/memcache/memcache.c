/*
 * memcache - the seven methods.
 *
 * Each is a run function over one call: `with_call` takes the connection, and
 * starts over on a fresh one when the first thing a pooled connection says is
 * that memcached has been restarted.
 */
#include "service/memcache/memcache_int.h"

#include "base/buf.h"

#include <inttypes.h>

const struct rpc_err_map memcache_errors[] = {
    {ERR_UNAVAILABLE, memcache_MemcacheServiceError_UNAVAILABLE},
    {ERR_DEADLINE, memcache_MemcacheServiceError_UNAVAILABLE},
    {ERR_DENIED, memcache_MemcacheServiceError_PERMISSION_DENIED},
    {ERR_INTERNAL, memcache_MemcacheServiceError_UNSPECIFIED_ERROR},
    {0, 0},
};

typedef int run_fn(struct ctx *ctx, struct memcache_call *c, const void *in,
                   void *out);

static int with_call(struct ctx *ctx, run_fn *run, const void *in, void *out)
{
    struct memcache_call c = {.mc = ctx->env->memcache};
    bool stale;
    int rc;

    if (!c.mc)
        return ctx_err(ctx, ERR_UNAVAILABLE, "this server has no memcached");
    do {
        rc = memcache_call_begin(ctx, &c);
        if (rc)
            return rc;
        rc = run(ctx, &c, in, out);
        stale = rc == ERR_UNAVAILABLE && c.conn->reused && !c.conn->answered;
        memcache_call_end(&c, rc);
        if (stale)
            ctx_err_clear(ctx);
    } while (stale);
    return rc;
}

/* An app may name itself, and nobody else. */
static int check_override(struct ctx *ctx, const struct memcache_AppOverride *o)
{
    struct bytes app;

    if (!o || !memcache_AppOverride_has_app_id(o))
        return 0;
    app = memcache_AppOverride_app_id(o);
    for (size_t i = 0; i < app.n; i++) {
        if (bytes_u8(app)[i] == '~') { /* "s~ID" and "dev~ID" are ID */
            app = bytes_from(app, i + 1);
            break;
        }
    }
    if (bytes_eq(app, ctx->app))
        return 0;
    return ctx_err(ctx, ERR_DENIED, "%.*s may not use the memcache of %.*s",
                   BYTES_FMT(ctx->app), BYTES_FMT(app));
}

/* ---- Get ---- */

static void add_peek(struct ctx *ctx,
                     struct memcache_MemcacheGetResponse_Item *i,
                     const struct memcache_item *item)
{
    struct memcache_ItemTimestamps *t =
        memcache_MemcacheGetResponse_Item_mut_timestamps(ctx, i);
    bool locked = item->kind == MEMCACHE_LOCK;

    memcache_MemcacheGetResponse_Item_set_is_delete_locked(i, locked);
    memcache_ItemTimestamps_set_last_access_time_sec(t,
                                                     item->stored / CLOCK_SEC);
    if (item->expires)
        memcache_ItemTimestamps_set_expiration_time_sec(t, item->expires /
                                                               CLOCK_SEC);
    if (locked)
        memcache_ItemTimestamps_set_delete_lock_time_sec(t, item->expires /
                                                                CLOCK_SEC);
}

static void add_item(struct ctx *ctx,
                     const struct memcache_MemcacheGetRequest *in,
                     struct memcache_MemcacheGetResponse *out, struct bytes key,
                     const struct memcache_got *got)
{
    struct memcache_MemcacheGetResponse_Item *i =
        memcache_MemcacheGetResponse_add_item(ctx, out);

    memcache_MemcacheGetResponse_Item_set_key(i, key);
    memcache_MemcacheGetResponse_Item_set_value(i, got->item.value);
    memcache_MemcacheGetResponse_Item_set_flags(i, got->item.flags);
    if (memcache_MemcacheGetRequest_for_cas(in))
        memcache_MemcacheGetResponse_Item_set_cas_id(i, got->cas_id);
    if (memcache_MemcacheGetRequest_for_peek(in))
        add_peek(ctx, i, &got->item);
}

static int run_get(struct ctx *ctx, struct memcache_call *c, const void *req,
                   void *out)
{
    const struct memcache_MemcacheGetRequest *in = req;
    bool peek = memcache_MemcacheGetRequest_for_peek(in);
    size_t n = memcache_MemcacheGetRequest_n_key(in);
    struct memcache_key *keys = ARENA_ARRAY(ctx->arena, struct memcache_key, n);
    struct memcache_got *got = ARENA_ARRAY(ctx->arena, struct memcache_got, n);
    uint64_t hits = 0, bytes = 0;
    int rc;

    for (size_t i = 0; i < n; i++) {
        keys[i].ns = memcache_MemcacheGetRequest_name_space(in);
        keys[i].key = memcache_MemcacheGetRequest_key(in, i);
    }
    rc = memcache_op_get(ctx, c, keys, n, got);
    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++) {
        if (!got[i].found || (got[i].item.kind == MEMCACHE_LOCK && !peek))
            continue;
        add_item(ctx, in, out, keys[i].key, &got[i]);
        hits++;
        bytes += keys[i].key.n + got[i].item.value.n;
    }
    atomic_fetch_add_explicit(&c->app->hits, hits, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->app->misses, n - hits, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->app->byte_hits, bytes, memory_order_relaxed);
    return 0;
}

int memcache_get(struct ctx *ctx, const struct memcache_MemcacheGetRequest *in,
                 struct memcache_MemcacheGetResponse *out)
{
    int rc = check_override(ctx, memcache_MemcacheGetRequest_override(in));

    return rc ? rc : with_call(ctx, run_get, in, out);
}

/* ---- Set, Delete ---- */

static int run_set(struct ctx *ctx, struct memcache_call *c, const void *req,
                   void *out)
{
    const struct memcache_MemcacheSetRequest *in = req;
    int32_t status;
    int rc = 0;

    for (size_t i = 0; i < memcache_MemcacheSetRequest_n_item(in); i++) {
        const struct memcache_MemcacheSetRequest_Item *item =
            memcache_MemcacheSetRequest_item(in, i);
        struct memcache_key key = {
            .ns = memcache_MemcacheSetRequest_name_space(in),
            .key = memcache_MemcacheSetRequest_Item_key(item),
        };

        rc = memcache_op_set(ctx, c, &key, item, &status);
        if (rc)
            break;
        memcache_MemcacheSetResponse_add_set_status(ctx, out, status);
    }
    return rc;
}

int memcache_set(struct ctx *ctx, const struct memcache_MemcacheSetRequest *in,
                 struct memcache_MemcacheSetResponse *out)
{
    int rc = check_override(ctx, memcache_MemcacheSetRequest_override(in));

    return rc ? rc : with_call(ctx, run_set, in, out);
}

static int run_delete(struct ctx *ctx, struct memcache_call *c, const void *req,
                      void *out)
{
    const struct memcache_MemcacheDeleteRequest *in = req;
    int32_t status;
    int rc = 0;

    for (size_t i = 0; i < memcache_MemcacheDeleteRequest_n_item(in); i++) {
        const struct memcache_MemcacheDeleteRequest_Item *item =
            memcache_MemcacheDeleteRequest_item(in, i);
        struct memcache_key key = {
            .ns = memcache_MemcacheDeleteRequest_name_space(in),
            .key = memcache_MemcacheDeleteRequest_Item_key(item),
        };

        rc = memcache_op_delete(
            ctx, c, &key, memcache_MemcacheDeleteRequest_Item_delete_time(item),
            &status);
        if (rc)
            break;
        memcache_MemcacheDeleteResponse_add_delete_status(ctx, out, status);
    }
    return rc;
}

int memcache_delete(struct ctx *ctx,
                    const struct memcache_MemcacheDeleteRequest *in,
                    struct memcache_MemcacheDeleteResponse *out)
{
    int rc = check_override(ctx, memcache_MemcacheDeleteRequest_override(in));

    return rc ? rc : with_call(ctx, run_delete, in, out);
}

/* ---- Increment ---- */

static int run_increment(struct ctx *ctx, struct memcache_call *c,
                         const void *req, void *res)
{
    const struct memcache_MemcacheIncrementRequest *in = req;
    struct memcache_MemcacheIncrementResponse *out = res;
    struct memcache_key key = {
        .ns = memcache_MemcacheIncrementRequest_name_space(in),
        .key = memcache_MemcacheIncrementRequest_key(in),
    };
    enum memcache_counted what = MEMCACHE_ABSENT;
    uint64_t value = 0;
    int rc;

    rc = memcache_op_count(ctx, c, &key, in, &value, &what);
    if (rc)
        return rc;
    if (what == MEMCACHE_NO_NUMBER)
        return ctx_app_err(
            ctx, ERR_INVALID, memcache_MemcacheServiceError_INVALID_VALUE,
            "the value of '%.*s' is no unsigned number",
            (int)(key.key.n < 250 ? key.key.n : 250), (const char *)key.key.p);
    /* No new_value: Go reads a cache miss, Python None. */
    memcache_MemcacheIncrementResponse_set_increment_status(
        out, what == MEMCACHE_COUNTED
                 ? memcache_MemcacheIncrementResponse_OK
                 : memcache_MemcacheIncrementResponse_NOT_CHANGED);
    if (what == MEMCACHE_COUNTED)
        memcache_MemcacheIncrementResponse_set_new_value(out, value);
    return 0;
}

int memcache_increment(struct ctx *ctx,
                       const struct memcache_MemcacheIncrementRequest *in,
                       struct memcache_MemcacheIncrementResponse *out)
{
    int rc =
        check_override(ctx, memcache_MemcacheIncrementRequest_override(in));

    return rc ? rc : with_call(ctx, run_increment, in, out);
}

/* The namespace is the batch's; a value that is no number is not changed. */
static int run_batch(struct ctx *ctx, struct memcache_call *c, const void *req,
                     void *res)
{
    const struct memcache_MemcacheBatchIncrementRequest *in = req;
    size_t n = memcache_MemcacheBatchIncrementRequest_n_item(in);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct memcache_MemcacheIncrementRequest *item =
            memcache_MemcacheBatchIncrementRequest_item(in, i);
        struct memcache_key key = {
            .ns = memcache_MemcacheBatchIncrementRequest_name_space(in),
            .key = memcache_MemcacheIncrementRequest_key(item),
        };
        struct memcache_MemcacheIncrementResponse *out;
        enum memcache_counted what = MEMCACHE_ABSENT;
        uint64_t value = 0;

        rc = memcache_op_count(ctx, c, &key, item, &value, &what);
        if (rc)
            break;
        out = memcache_MemcacheBatchIncrementResponse_add_item(ctx, res);
        memcache_MemcacheIncrementResponse_set_increment_status(
            out, what == MEMCACHE_COUNTED
                     ? memcache_MemcacheIncrementResponse_OK
                     : memcache_MemcacheIncrementResponse_NOT_CHANGED);
        if (what == MEMCACHE_COUNTED)
            memcache_MemcacheIncrementResponse_set_new_value(out, value);
    }
    return rc;
}

int memcache_batch_increment(
    struct ctx *ctx, const struct memcache_MemcacheBatchIncrementRequest *in,
    struct memcache_MemcacheBatchIncrementResponse *out)
{
    int rc = check_override(
        ctx, memcache_MemcacheBatchIncrementRequest_override(in));

    return rc ? rc : with_call(ctx, run_batch, in, out);
}

/* ---- FlushAll, Stats ---- */

/* The figures start anew with the cache, as in Google's stub. */
static int run_flush(struct ctx *ctx, struct memcache_call *c, const void *in,
                     void *out)
{
    int rc = memcache_op_flush(ctx, c);

    (void)in;
    (void)out;
    if (rc)
        return rc == ERR_EXHAUSTED
                   ? ctx_err(ctx, ERR_UNAVAILABLE, "memcached has no room")
                   : rc;
    atomic_store(&c->app->hits, 0);
    atomic_store(&c->app->misses, 0);
    atomic_store(&c->app->byte_hits, 0);
    return 0;
}

int memcache_flush_all(struct ctx *ctx,
                       const struct memcache_MemcacheFlushRequest *in,
                       struct memcache_MemcacheFlushResponse *out)
{
    int rc = check_override(ctx, memcache_MemcacheFlushRequest_override(in));

    return rc ? rc : with_call(ctx, run_flush, in, out);
}

/* Every field is set: they are required in the schema of the Go SDK. */
static int run_stats(struct ctx *ctx, struct memcache_call *c, const void *in,
                     void *out)
{
    struct memcache_MergedNamespaceStats *s =
        memcache_MemcacheStatsResponse_mut_stats(ctx, out);
    struct memcache_census census = {0};
    struct memcache_got none;
    int rc;

    (void)in;
    rc = memcache_op_get(ctx, c, NULL, 0, &none);
    if (rc == 0)
        rc = memcache_census(ctx, c, &census);
    if (rc)
        return rc;
    memcache_MergedNamespaceStats_set_hits(s, atomic_load(&c->app->hits));
    memcache_MergedNamespaceStats_set_misses(s, atomic_load(&c->app->misses));
    memcache_MergedNamespaceStats_set_byte_hits(
        s, atomic_load(&c->app->byte_hits));
    memcache_MergedNamespaceStats_set_items(s, census.items);
    memcache_MergedNamespaceStats_set_bytes(s, census.bytes);
    memcache_MergedNamespaceStats_set_oldest_item_age(s,
                                                      (uint32_t)census.oldest);
    return 0;
}

int memcache_stats(struct ctx *ctx,
                   const struct memcache_MemcacheStatsRequest *in,
                   struct memcache_MemcacheStatsResponse *out)
{
    int rc = check_override(ctx, memcache_MemcacheStatsRequest_override(in));

    return rc ? rc : with_call(ctx, run_stats, in, out);
}

struct bytes memcache_stats_text(struct ctx *ctx, struct memcache *mc)
{
    struct buf b = BUF_IN(ctx->arena);
    uint64_t hits = 0, misses = 0, apps = 0, idle = 0;

    lock_take(&mc->lock);
    for (int i = 0; i < MEMCACHE_APP_BUCKETS; i++) {
        for (const struct memcache_app *a = mc->apps[i]; a; a = a->next) {
            apps++;
            hits += atomic_load(&a->hits);
            misses += atomic_load(&a->misses);
        }
    }
    for (const struct memcache_conn *c = mc->idle; c; c = c->next)
        idle++;
    lock_drop(&mc->lock);
    buf_printf(&b,
               "memcache.apps %" PRIu64 "\nmemcache.hits %" PRIu64
               "\nmemcache.misses %" PRIu64
               "\nmemcache.idle_connections %" PRIu64 "\n",
               apps, hits, misses, idle);
    return buf_view(&b);
}
