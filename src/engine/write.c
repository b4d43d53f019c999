/*
 * write - mutations into commits.
 *
 * Mutations are put in key order, which brings each entity group together.
 * Groups are then taken in bites: one storage_get() of the rows to be
 * replaced, one commit of everything that follows from them.  When a bite of
 * several groups meets a conflict its groups go on alone, so that a contended
 * group holds nobody up.
 */
#include "engine/engine_int.h"

#include "base/errinj.h"

#include <stdlib.h>
#include <time.h>

/* A bite ends behind the group that passes one of these. */
enum {
    BITE_MUTATIONS = 100,
    BITE_BYTES = 4 * 1024 * 1024,
};

/* ---- order ---- */

static int mutation_cmp(const struct engine_mutation *a,
                        const struct engine_mutation *b)
{
    int d = bytes_cmp(a->key.space, b->key.space);

    return d ? d : bytes_cmp(a->key.path, b->key.path);
}

/* Equal keys stay in the order of the request: the array is one. */
static int order_cmp(const void *x, const void *y)
{
    const struct engine_mutation *a = *(struct engine_mutation *const *)x;
    const struct engine_mutation *b = *(struct engine_mutation *const *)y;
    int d = mutation_cmp(a, b);

    return d ? d : (a > b) - (a < b);
}

size_t write_order(struct engine_mutation *m, size_t n,
                   struct engine_mutation **order)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        order[i] = &m[i];
    if (n > 1)
        qsort(order, n, sizeof(*order), order_cmp);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && mutation_cmp(order[kept - 1], order[i]) == 0)
            kept--;
        order[kept++] = order[i];
    }
    return kept;
}

static bool same_group(const struct engine_mutation *a,
                       const struct engine_mutation *b)
{
    return bytes_eq(a->key.space, b->key.space) &&
           bytes_eq(key_root(&a->key), key_root(&b->key));
}

/* ---- the rows of one mutation ---- */

struct storage_key write_entity_key(struct arena *a, const struct key *key)
{
    return (struct storage_key){
        key_partition(a, key->app, key->space, KEY_ENTITIES), key->path};
}

struct storage_key write_group_key(struct arena *a, const struct key *key)
{
    return (struct storage_key){
        key_partition(a, key->app, key->space, KEY_GROUPS), key_root(key)};
}

static int old_rows(struct ctx *ctx, struct write_plan *plan,
                    const struct key *key, const struct entity_row *old,
                    struct index_rows *rows)
{
    int rc = index_rows_stored(ctx, plan->indexes, key, old->entity, rows);

    /* It was written under these limits: no fault of this request. */
    return rc == ERR_INVALID || rc == ERR_MALFORMED ? ERR_CORRUPT : rc;
}

static void put_row(struct ctx *ctx, struct write_plan *plan,
                    struct engine_mutation *m, int64_t version)
{
    struct buf row = BUF_IN(ctx->arena);

    entity_row_write(&row, version, m->entity);
    storage_batch_put(&plan->batch, write_entity_key(ctx->arena, &m->key),
                      buf_view(&row));
}

int write_plan_add(struct ctx *ctx, struct write_plan *plan,
                   struct engine_mutation *m, const struct storage_value *old,
                   int64_t version, bool *changed)
{
    struct index_rows before = {0}, after = {0};
    struct entity_row row = {0};
    int rc = 0;

    if (old->found && !entity_row_read(old->value, &row))
        return ctx_err(ctx, ERR_CORRUPT, "a bad entity row");
    *changed = old->found ? !m->entity.p || !bytes_eq(row.entity, m->entity)
                          : m->entity.p != NULL;
    m->version = *changed ? version : row.version;
    if (!*changed)
        return 0;
    if (old->found)
        rc = old_rows(ctx, plan, &m->key, &row, &before);
    if (rc == 0 && m->entity.p)
        rc = index_rows_of(ctx, plan->indexes, &m->key, m->entity, &after);
    if (rc)
        return rc;
    if (m->entity.p)
        put_row(ctx, plan, m, version);
    else
        storage_batch_delete(&plan->batch,
                             write_entity_key(ctx->arena, &m->key));
    plan->cost.entity_writes++;
    plan->cost.index_writes +=
        (int64_t)index_rows_diff(&plan->batch, &before, &after);
    return 0;
}

void write_plan_group(struct ctx *ctx, struct write_plan *plan,
                      const struct key *key, int64_t version)
{
    struct engine *e = plan->engine;
    uint8_t *value = arena_alloc(ctx->arena, 8);

    put_be64(value, (uint64_t)version);
    if (!key_untracked(key)) {
        struct storage_key row = write_group_key(ctx->arena, key);

        /* Who drew an earlier number may come later: he draws again. */
        storage_batch_require_below(&plan->batch, row, BYTES(value, 8));
        storage_batch_put(&plan->batch, row, BYTES(value, 8));
    }
    if (!app_space_known(e, engine_app(e, key->app), key->space))
        storage_batch_put(&plan->batch,
                          app_space_key(ctx->arena, key->app, key->space),
                          BYTES("", 0));
}

void write_plan_done(struct ctx *ctx, struct write_plan *plan,
                     const struct key *key)
{
    struct engine_app *app = engine_app(plan->engine, key->app);

    if (!app_space_known(plan->engine, app, key->space))
        app_space_learn(plan->engine, app, key->space);
}

/* ---- conflicts ---- */

static int contention(struct ctx *ctx)
{
    ctx_err_clear(ctx);
    return ctx_err(ctx, ERR_CONFLICT,
                   "too much contention on these datastore entities. "
                   "please try again.");
}

int write_late(struct ctx *ctx, int rc, int attempt)
{
    return rc == ERR_DEADLINE && attempt > 0 ? contention(ctx) : rc;
}

int write_backoff(struct ctx *ctx, int attempt)
{
    enum { FIRST_MS = 1, MOST_SHIFT = 6 };
    int shift = attempt < MOST_SHIFT ? attempt : MOST_SHIFT;
    int64_t span = (FIRST_MS * CLOCK_MS) << shift, wait;
    int64_t now = clock_mono();
    struct timespec ts;

    /* Anywhere in the upper half, so that rivals part. */
    wait = span / 2 + (int64_t)(bytes_hash(BYTES(&now, sizeof(now))) %
                                (uint64_t)(span / 2));
    if (ctx_left(ctx) <= wait)
        return contention(ctx);
    ts = (struct timespec){
        .tv_sec = wait / CLOCK_SEC,
        .tv_nsec = wait % CLOCK_SEC * 1000,
    };
    nanosleep(&ts, NULL);
    return 0;
}

/* ---- bites ---- */

static int read_rows(struct ctx *ctx, struct engine *e,
                     struct engine_mutation *const *m, size_t n,
                     struct storage_key *keys, struct storage_value *values)
{
    struct bytes partition = BYTES_NONE;

    for (size_t i = 0; i < n; i++) {
        const struct key *key = &m[i]->key;

        if (i == 0 || !bytes_eq(key->space, m[i - 1]->key.space))
            partition =
                key_partition(ctx->arena, key->app, key->space, KEY_ENTITIES);
        keys[i] = (struct storage_key){partition, key->path};
    }
    return storage_get(ctx, e->storage, keys, n, values);
}

/*
 * What follows from the rows as read, which are conditions.  A put moves its
 * group even when the entity is there already, as it does on Google's stub;
 * the delete of nothing does not.
 */
static int plan_bite(struct ctx *ctx, struct write_plan *plan,
                     struct engine_mutation *const *m, size_t n,
                     const struct storage_key *keys,
                     const struct storage_value *values)
{
    bool changed, moved = false;
    int64_t version = 0;
    int rc;

    for (size_t i = 0; i < n; i++) {
        if (i == 0 || !same_group(m[i - 1], m[i])) {
            rc = version_next(ctx, plan->engine, &version);
            if (rc)
                return rc;
            moved = false;
        }
        rc = write_plan_add(ctx, plan, m[i], &values[i], version, &changed);
        if (rc)
            return rc;
        if (!changed && !values[i].found)
            m[i]->version = version; /* the delete of nothing */
        if (!changed && !m[i]->entity.p)
            continue;
        storage_batch_require_same(&plan->batch, keys[i], &values[i]);
        if (!moved)
            write_plan_group(ctx, plan, &m[i]->key, version);
        moved = true;
    }
    return 0;
}

static int try_bite(struct ctx *ctx, struct engine *e,
                    struct engine_mutation *const *m, size_t n,
                    struct engine_cost *cost)
{
    struct write_plan plan = {
        .engine = e,
        .batch = STORAGE_BATCH_IN(ctx->arena),
    };
    struct storage_key *keys = ARENA_ARRAY(ctx->arena, struct storage_key, n);
    struct storage_value *values =
        ARENA_ARRAY(ctx->arena, struct storage_value, n);
    int rc;

    rc = index_set_ref(ctx, e, m[0]->key.app, &plan.indexes);
    if (rc)
        return rc;
    rc = read_rows(ctx, e, m, n, keys, values);
    if (rc == 0)
        rc = plan_bite(ctx, &plan, m, n, keys, values);
    if (rc == 0 && errinj("engine.write.conflict"))
        rc = ERR_CONFLICT;
    if (rc == 0 && plan.batch.n_writes > 0)
        rc = storage_commit(ctx, e->storage, &plan.batch, NULL);
    index_set_unref(plan.indexes);
    if (rc)
        return rc;
    for (size_t i = 0; plan.batch.n_writes > 0 && i < n; i++) {
        if (i == 0 || !bytes_eq(m[i - 1]->key.space, m[i]->key.space))
            write_plan_done(ctx, &plan, &m[i]->key);
    }
    cost->entity_writes += plan.cost.entity_writes;
    cost->index_writes += plan.cost.index_writes;
    return 0;
}

bool write_again(struct ctx *ctx, int rc)
{
    if (rc != ERR_CONFLICT && rc != ERR_ABORTED)
        return false;
    ctx_err_clear(ctx);
    return true;
}

static size_t group_size(struct engine_mutation *const *m, size_t n)
{
    size_t i = 1;

    while (i < n && same_group(m[0], m[i]))
        i++;
    return i;
}

static int write_group(struct ctx *ctx, struct engine *e,
                       struct engine_mutation *const *m, size_t n,
                       struct engine_cost *cost)
{
    int rc, attempt = 0;

    for (;;) {
        rc = try_bite(ctx, e, m, n, cost);
        if (!write_again(ctx, rc))
            return write_late(ctx, rc, attempt);
        rc = write_backoff(ctx, attempt++);
        if (rc)
            return rc;
    }
}

static int write_bite(struct ctx *ctx, struct engine *e,
                      struct engine_mutation *const *m, size_t n,
                      struct engine_cost *cost)
{
    int rc = try_bite(ctx, e, m, n, cost);

    if (!write_again(ctx, rc))
        return rc;
    rc = 0;
    while (n > 0 && rc == 0) {
        size_t group = group_size(m, n);

        rc = write_group(ctx, e, m, group, cost);
        m += group;
        n -= group;
    }
    return rc;
}

/* Whole groups from the front of m, up to the size of a bite. */
static size_t bite_size(struct engine_mutation *const *m, size_t n)
{
    size_t i = 0, bytes = 0;

    while (i < n && i < BITE_MUTATIONS && bytes < BITE_BYTES) {
        size_t group = group_size(m + i, n - i);

        for (size_t j = 0; j < group; j++)
            bytes += m[i + j]->entity.n;
        i += group;
    }
    return i;
}

/* A mutation that a later one replaced gets the later one's version. */
static void copy_versions(struct engine_mutation *m, size_t n,
                          struct engine_mutation **order, size_t kept)
{
    for (size_t i = 0; i < n; i++) {
        const struct engine_mutation *key = &m[i];
        size_t lo = 0, hi = kept;

        while (lo + 1 < hi) {
            size_t mid = lo + (hi - lo) / 2;

            if (mutation_cmp(order[mid], key) <= 0)
                lo = mid;
            else
                hi = mid;
        }
        m[i].version = order[lo]->version;
    }
}

static int write_all(struct ctx *ctx, struct engine *e,
                     struct engine_mutation *m, size_t n,
                     struct engine_cost *cost)
{
    struct engine_mutation **order =
        ARENA_ARRAY(ctx->arena, struct engine_mutation *, n);
    size_t kept = write_order(m, n, order), at = 0;
    int rc = 0;

    while (at < kept && rc == 0) {
        size_t bite = bite_size(order + at, kept - at);

        rc = write_bite(ctx, e, order + at, bite, cost);
        at += bite;
    }
    if (rc == 0 && kept < n)
        copy_versions(m, n, order, kept);
    return rc;
}

int engine_write(struct ctx *ctx, struct engine *e, struct engine_mutation *m,
                 size_t n, struct engine_cost *cost)
{
    int rc;

    *cost = (struct engine_cost){0};
    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    if (n == 0)
        return 0;
    rc = engine_write_begin(ctx, e, m[0].key.app);
    if (rc)
        return rc;
    rc = write_all(ctx, e, m, n, cost);
    engine_write_end(e, m[0].key.app);
    return rc;
}
