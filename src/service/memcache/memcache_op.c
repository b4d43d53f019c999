/*
 * memcache_op - one item: reading, set policies, delete locks, counting.
 *
 * Every change that depends on what is there is a loop of a read and a
 * compare-and-swap: somebody always wins, and the deadline of the call bounds
 * how often one loses.
 */
#include "service/memcache/memcache_int.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

/* How long a write trusts the generation without reading it.  Reads always
 * check it; only a flush by another server on the same memcached can make it
 * wrong, and that server's apps see the flush at once. */
enum { TRUST = 1000 * 1000 };

/* ---- reading ---- */

struct slot {
    struct memcache_name name;
    size_t index; /* in got[] */
};

struct gather {
    struct ctx *ctx;
    struct memcache_name generation_name;
    uint64_t generation; /* as read, 0: not there */
    struct slot *slots;  /* sorted by name */
    size_t n;
    struct memcache_got *got;
    int64_t now;
};

static int compare_slots(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;

    return memcmp(x->name.text, y->name.text, MEMCACHE_NAME);
}

/* The first slot whose name is not below `name`. */
static size_t slot_find(const struct gather *g, const void *name)
{
    size_t lo = 0, hi = g->n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (memcmp(g->slots[mid].name.text, name, MEMCACHE_NAME) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void gather_hit(void *arg, struct bytes name, struct bytes value,
                       uint32_t flags, uint64_t cas)
{
    struct gather *g = arg;
    struct memcache_got got = {.item.flags = flags, .item.cas = cas};

    if (name.n != MEMCACHE_NAME)
        return;
    if (memcmp(name.p, g->generation_name.text, MEMCACHE_NAME) == 0) {
        if (value.n == 8)
            g->generation = get_be64(value.p);
        return;
    }
    if (memcache_item_unpack(value, &got.item)) {
        got.found = got.item.expires == 0 || got.item.expires > g->now;
        got.item.value = arena_dup(g->ctx->arena, got.item.value);
    }
    for (size_t i = slot_find(g, name.p);
         i < g->n && memcmp(g->slots[i].name.text, name.p, MEMCACHE_NAME) == 0;
         i++)
        g->got[g->slots[i].index] = got;
}

/* One round trip: the generation, and the keys under the one we know. */
static int read_once(struct ctx *ctx, struct memcache_call *c,
                     uint64_t generation, const struct memcache_key *keys,
                     size_t n, struct gather *g)
{
    struct memcache_name *names =
        ARENA_ARRAY(ctx->arena, struct memcache_name, n + 1);
    size_t sent = 0;

    g->generation_name = memcache_name_generation(c->app);
    g->now = clock_wall();
    g->slots = ARENA_ARRAY(ctx->arena, struct slot, n);
    g->n = n;
    for (size_t i = 0; i < n; i++) {
        g->slots[i].name =
            memcache_name_item(c->app, generation, keys[i].ns, keys[i].key);
        g->slots[i].index = i;
    }
    qsort(g->slots, n, sizeof(*g->slots), compare_slots);
    names[sent++] = g->generation_name;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || compare_slots(&g->slots[i - 1], &g->slots[i]) != 0)
            names[sent++] = g->slots[i].name;
    }
    return memcache_conn_mget(ctx, c->conn, names, sent, gather_hit, g);
}

/* Make `generation` the app's; `verb` decides between a first one and a flush.
 */
static int generation_store(struct ctx *ctx, struct memcache_call *c,
                            enum memcache_verb verb)
{
    struct memcache_name name = memcache_name_generation(c->app);
    uint8_t text[8];
    uint64_t fresh;
    int rc;

    do
        randombytes_buf(&fresh, sizeof(fresh));
    while (fresh == 0);
    put_be64(text, fresh);
    rc = memcache_conn_store(ctx, c->conn, verb, &name,
                             BYTES(text, sizeof(text)), 0, 0, 0);
    if (rc == 0)
        atomic_store(&c->app->generation, fresh);
    return rc;
}

int memcache_op_get(struct ctx *ctx, struct memcache_call *c,
                    const struct memcache_key *keys, size_t n,
                    struct memcache_got *got)
{
    for (;;) {
        uint64_t generation = atomic_load(&c->app->generation);
        struct gather g = {.ctx = ctx, .got = got};
        int rc;

        memset(got, 0, n * sizeof(*got));
        rc = read_once(ctx, c, generation, keys, generation ? n : 0, &g);
        if (rc)
            return rc;
        if (g.generation && g.generation == generation) {
            atomic_store(&c->app->checked, clock_mono());
            for (size_t i = 0; i < n; i++)
                got[i].cas_id = memcache_cas_id(got[i].item.cas, generation);
            return 0;
        }
        if (g.generation) {
            atomic_store(&c->app->generation, g.generation);
            continue;
        }
        rc = generation_store(ctx, c, MEMCACHE_ADD);
        if (rc && rc != ERR_CONFLICT)
            return rc;
    }
}

/* The generation a write goes by. */
static int generation_now(struct ctx *ctx, struct memcache_call *c,
                          uint64_t *out)
{
    struct memcache_got none;
    int rc = 0;

    *out = atomic_load(&c->app->generation);
    if (*out == 0 || clock_mono() - atomic_load(&c->app->checked) > TRUST) {
        rc = memcache_op_get(ctx, c, NULL, 0, &none);
        *out = atomic_load(&c->app->generation);
    }
    return rc;
}

int memcache_op_flush(struct ctx *ctx, struct memcache_call *c)
{
    return generation_store(ctx, c, MEMCACHE_SET);
}

/* ---- writing ---- */

/* A write under way. */
struct change {
    struct memcache_call *c;
    const struct memcache_key *key;
    uint64_t generation;
    struct memcache_name name;
};

static int change_begin(struct ctx *ctx, struct change *w)
{
    int rc = generation_now(ctx, w->c, &w->generation);

    w->name =
        memcache_name_item(w->c->app, w->generation, w->key->ns, w->key->key);
    return rc;
}

/* Read what is there, and go by the generation it was read in. */
static int change_read(struct ctx *ctx, struct change *w,
                       struct memcache_got *seen)
{
    int rc = memcache_op_get(ctx, w->c, w->key, 1, seen);

    return rc ? rc : change_begin(ctx, w);
}

static int change_store(struct ctx *ctx, struct change *w,
                        enum memcache_verb verb,
                        const struct memcache_item *item, uint64_t cas)
{
    return memcache_conn_store(ctx, w->c->conn, verb, &w->name,
                               memcache_item_pack(ctx->arena, item),
                               item->flags, item->expires, cas);
}

/* Put `item` in the place of what was read, or of nothing.  ERR_CONFLICT when
 * that has changed. */
static int change_swap(struct ctx *ctx, struct change *w,
                       const struct memcache_got *seen,
                       const struct memcache_item *item)
{
    int rc = seen->item.cas
                 ? change_store(ctx, w, MEMCACHE_CAS, item, seen->item.cas)
                 : change_store(ctx, w, MEMCACHE_ADD, item, 0);

    return rc == ERR_NOT_FOUND ? ERR_CONFLICT : rc;
}

static bool is_live(const struct memcache_got *got)
{
    return got->found && got->item.kind == MEMCACHE_VALUE;
}

/* add(): a lock counts as being there, an expired item does not. */
static int set_add(struct ctx *ctx, struct change *w,
                   const struct memcache_item *item)
{
    struct memcache_got seen = {0};
    int rc;

    for (;;) {
        rc = change_swap(ctx, w, &seen, item);
        if (rc != ERR_CONFLICT)
            return rc;
        rc = change_read(ctx, w, &seen);
        if (rc)
            return rc;
        if (seen.found)
            return ERR_NOT_FOUND;
    }
}

static int set_replace(struct ctx *ctx, struct change *w,
                       const struct memcache_item *item)
{
    struct memcache_got seen;
    int rc;

    do {
        rc = change_read(ctx, w, &seen);
        if (rc)
            return rc;
        if (!is_live(&seen))
            return ERR_NOT_FOUND;
        rc = change_swap(ctx, w, &seen, item);
    } while (rc == ERR_CONFLICT);
    return rc;
}

/* ERR_CONFLICT only when a value is there that is not the one asked for. */
static int set_cas(struct ctx *ctx, struct change *w,
                   const struct memcache_item *item, uint64_t cas_id)
{
    struct memcache_got seen;
    int rc;

    rc = change_store(ctx, w, MEMCACHE_CAS, item,
                      memcache_cas_id(cas_id, w->generation));
    if (rc != ERR_CONFLICT)
        return rc;
    rc = change_read(ctx, w, &seen);
    if (rc)
        return rc;
    return is_live(&seen) ? ERR_CONFLICT : ERR_NOT_FOUND;
}

static int set_by_policy(struct ctx *ctx, struct change *w,
                         const struct memcache_MemcacheSetRequest_Item *in,
                         const struct memcache_item *item)
{
    switch (memcache_MemcacheSetRequest_Item_set_policy(in)) {
    case memcache_MemcacheSetRequest_ADD:
        return set_add(ctx, w, item);
    case memcache_MemcacheSetRequest_REPLACE:
        return set_replace(ctx, w, item);
    case memcache_MemcacheSetRequest_CAS:
        if (!memcache_MemcacheSetRequest_Item_has_cas_id(in))
            return ERR_NOT_FOUND;
        return set_cas(ctx, w, item,
                       memcache_MemcacheSetRequest_Item_cas_id(in));
    default:
        return change_store(ctx, w, MEMCACHE_SET, item, 0);
    }
}

int memcache_op_set(struct ctx *ctx, struct memcache_call *c,
                    const struct memcache_key *key,
                    const struct memcache_MemcacheSetRequest_Item *in,
                    int32_t *status)
{
    struct change w = {.c = c, .key = key};
    struct memcache_item item = {
        .kind = MEMCACHE_VALUE,
        .flags = memcache_MemcacheSetRequest_Item_flags(in),
        .expires = memcache_expiry(
            memcache_MemcacheSetRequest_Item_expiration_time(in)),
        .stored = clock_wall(),
        .value = memcache_MemcacheSetRequest_Item_value(in),
    };
    int rc;

    *status = memcache_MemcacheSetResponse_ERROR;
    if (item.value.n > MEMCACHE_VALUE_MAX)
        return 0;
    rc = change_begin(ctx, &w);
    if (rc == 0)
        rc = set_by_policy(ctx, &w, in, &item);
    switch (rc) {
    case 0:
        *status = memcache_MemcacheSetResponse_STORED;
        return 0;
    case ERR_NOT_FOUND:
        *status = memcache_MemcacheSetResponse_NOT_STORED;
        return 0;
    case ERR_CONFLICT:
        *status = memcache_MemcacheSetResponse_EXISTS;
        return 0;
    case ERR_EXHAUSTED:
        return 0;
    default:
        return rc;
    }
}

/* Leave a marker in the place of the item. */
static int delete_and_lock(struct ctx *ctx, struct change *w, uint32_t seconds)
{
    struct memcache_item marker = {
        .kind = MEMCACHE_LOCK,
        .expires = memcache_expiry(seconds),
        .stored = clock_wall(),
    };
    struct memcache_got seen;
    int rc;

    do {
        rc = change_read(ctx, w, &seen);
        if (rc)
            return rc;
        if (!seen.found)
            return ERR_NOT_FOUND;
        rc = change_swap(ctx, w, &seen, &marker);
    } while (rc == ERR_CONFLICT);
    return rc;
}

int memcache_op_delete(struct ctx *ctx, struct memcache_call *c,
                       const struct memcache_key *key, uint32_t lock_seconds,
                       int32_t *status)
{
    struct change w = {.c = c, .key = key};
    int rc;

    rc = change_begin(ctx, &w);
    if (rc)
        return rc;
    rc = lock_seconds ? delete_and_lock(ctx, &w, lock_seconds)
                      : memcache_conn_delete(ctx, c->conn, &w.name);
    if (rc && rc != ERR_NOT_FOUND)
        return rc;
    *status = rc ? memcache_MemcacheDeleteResponse_NOT_FOUND
                 : memcache_MemcacheDeleteResponse_DELETED;
    return 0;
}

/* ---- counting ---- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* An unsigned decimal number with blanks around, as the SDKs read it. */
static bool parse_number(struct bytes v, uint64_t *out)
{
    const uint8_t *p = bytes_u8(v), *end = p + v.n;

    while (p < end && is_blank(*p))
        p++;
    while (p < end && is_blank(end[-1]))
        end--;
    if (p < end && *p == '+')
        p++;
    if (p == end)
        return false;
    for (*out = 0; p < end; p++) {
        if (*p < '0' || *p > '9' || __builtin_mul_overflow(*out, 10, out) ||
            __builtin_add_overflow(*out, *p - '0', out))
            return false;
    }
    return true;
}

/* Up wraps at 2^64, down stops at 0. */
static uint64_t count(uint64_t from,
                      const struct memcache_MemcacheIncrementRequest *in)
{
    uint64_t delta = memcache_MemcacheIncrementRequest_delta(in);

    if (memcache_MemcacheIncrementRequest_direction(in) ==
        memcache_MemcacheIncrementRequest_DECREMENT)
        return from < delta ? 0 : from - delta;
    return from + delta;
}

/* The item that follows `seen`; false with the reason in *what. */
static bool next_count(struct ctx *ctx,
                       const struct memcache_MemcacheIncrementRequest *in,
                       const struct memcache_got *seen,
                       struct memcache_item *item, uint64_t *value,
                       enum memcache_counted *what)
{
    uint64_t from;

    *item = (struct memcache_item){
        .kind = MEMCACHE_VALUE,
        .stored = clock_wall(),
    };
    if (is_live(seen)) {
        *what = MEMCACHE_NO_NUMBER;
        if (!parse_number(seen->item.value, &from))
            return false;
        item->flags = seen->item.flags;
        item->expires = seen->item.expires;
    } else {
        *what = MEMCACHE_ABSENT;
        if (!memcache_MemcacheIncrementRequest_has_initial_value(in))
            return false;
        from = memcache_MemcacheIncrementRequest_initial_value(in);
        item->flags = memcache_MemcacheIncrementRequest_initial_flags(in);
    }
    *what = MEMCACHE_COUNTED;
    *value = count(from, in);
    item->value = bytes_str(arena_printf(ctx->arena, "%" PRIu64, *value));
    return true;
}

int memcache_op_count(struct ctx *ctx, struct memcache_call *c,
                      const struct memcache_key *key,
                      const struct memcache_MemcacheIncrementRequest *in,
                      uint64_t *value, enum memcache_counted *what)
{
    struct change w = {.c = c, .key = key};
    struct memcache_item item;
    struct memcache_got seen;
    int rc;

    do {
        rc = change_read(ctx, &w, &seen);
        if (rc)
            return rc;
        if (!next_count(ctx, in, &seen, &item, value, what))
            return 0;
        rc = change_swap(ctx, &w, &seen, &item);
    } while (rc == ERR_CONFLICT);
    if (rc == ERR_EXHAUSTED)
        return ctx_err(ctx, ERR_UNAVAILABLE, "memcached has no room");
    return rc;
}
