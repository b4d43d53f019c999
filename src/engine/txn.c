/*
 * txn - the table of open transactions, and the work on one.
 *
 * Two locks: the table's, held for a look-up, and a transaction's own, held
 * while a call works on it.  A reference is taken under the first before the
 * second is waited for, so a transaction that is being worked on can leave the
 * table but not the memory.
 */
#include "engine/engine_int.h"

#include "base/errinj.h"
#include "base/log.h"
#include "engine/limits.h"

#include <stdlib.h>
#include <sys/random.h>

/* An entity group the transaction has to do with. */
struct txn_group {
    struct storage_key row; /* its version's row */
    bool read;              /* else only written */
    struct storage_value seen;
};

struct txn {
    struct txn *next; /* in its bucket, under txn_table.lock */
    uint64_t handle;
    struct bytes app;
    struct txn_options options;
    int64_t started, used; /* clock_mono(), under txn_table.lock */
    int refs;              /* under txn_table.lock; the table has one */

    struct lock lock; /* the rest */
    bool finished;
    struct arena arena;
    struct engine *engine;
    struct txn_group groups[TXN_GROUPS_MAX];
    size_t n_groups;
    struct engine_mutation *mutations;
    size_t n_mutations, cap_mutations;
    struct bytes actions[TXN_ACTIONS_MAX];
    size_t n_actions;
    size_t bytes; /* of mutations and actions */
};

enum { TXN_BUCKETS = 1024 };

struct txn_table {
    struct lock lock;
    struct txn *buckets[TXN_BUCKETS];
    size_t n;
};

/* ---- the table ---- */

struct txn_table *txn_table_new(void)
{
    struct txn_table *table = calloc(1, sizeof(*table));

    if (!table)
        die("out of memory for the table of transactions");
    lock_init(&table->lock, LOCK_ENGINE_TXN);
    return table;
}

static void txn_free(struct txn *t)
{
    lock_release(&t->lock);
    arena_release(&t->arena);
    free(t);
}

/* Give back one reference; under the table's lock. */
static void unref_locked(struct txn *t)
{
    if (--t->refs == 0)
        txn_free(t);
}

void txn_table_free(struct txn_table *table)
{
    for (int i = 0; i < TXN_BUCKETS; i++) {
        while (table->buckets[i]) {
            struct txn *t = table->buckets[i];

            table->buckets[i] = t->next;
            txn_free(t);
        }
    }
    lock_release(&table->lock);
    free(table);
}

static struct txn **find_locked(struct txn_table *table, uint64_t handle)
{
    struct txn **at = &table->buckets[handle % TXN_BUCKETS];

    while (*at && (*at)->handle != handle)
        at = &(*at)->next;
    return at;
}

static void remove_locked(struct txn_table *table, struct txn **at)
{
    struct txn *t = *at;

    *at = t->next;
    table->n--;
    unref_locked(t);
}

static bool expired(const struct txn *t, int64_t now)
{
    return now - t->started > limit_of(LIMIT_TXN_LIFE_MS) * CLOCK_MS ||
           now - t->used > limit_of(LIMIT_TXN_IDLE_MS) * CLOCK_MS;
}

static void expire_locked(struct txn_table *table)
{
    int64_t now = clock_mono();

    for (int i = 0; i < TXN_BUCKETS; i++) {
        struct txn **at = &table->buckets[i];

        while (*at) {
            if ((*at)->refs == 1 && expired(*at, now))
                remove_locked(table, at);
            else
                at = &(*at)->next;
        }
    }
}

void txn_expire(struct engine *e)
{
    lock_take(&e->txns->lock);
    expire_locked(e->txns);
    lock_drop(&e->txns->lock);
}

static int not_found(struct ctx *ctx, uint64_t handle)
{
    return ctx_err(ctx, ERR_INVALID,
                   "Transaction(<handle: %llu, app: \"%.*s\", >) not found",
                   (unsigned long long)handle, BYTES_FMT(ctx->app));
}

static int too_old(struct ctx *ctx)
{
    return ctx_err(ctx, ERR_INVALID,
                   "The referenced transaction has expired or is no longer "
                   "valid.");
}

/* ---- begin ---- */

static int check_previous(struct ctx *ctx, const struct txn_options *o,
                          const struct txn *previous)
{
    if (o->mode != TXN_READ_WRITE)
        return ctx_err(ctx, ERR_INVALID,
                       "previous_transaction can only be set in READ_WRITE "
                       "mode");
    if (previous && bytes_eq(previous->app, ctx->app) &&
        previous->options.cross_group != o->cross_group)
        return ctx_err(ctx, ERR_INVALID,
                       "Transaction should have same options as "
                       "previous_transaction");
    return 0;
}

static int retire_previous(struct ctx *ctx, struct txn_table *table,
                           const struct txn_options *o)
{
    struct txn **at = find_locked(table, o->previous);
    int rc = check_previous(ctx, o, *at);

    if (rc == 0 && *at && bytes_eq((*at)->app, ctx->app))
        remove_locked(table, at);
    return rc;
}

static struct txn *txn_new(struct ctx *ctx, struct engine *e,
                           const struct txn_options *o)
{
    struct txn *t = calloc(1, sizeof(*t));

    if (!t)
        die("out of memory for a transaction");
    t->options = *o;
    t->app = arena_dup(&t->arena, ctx->app);
    t->started = t->used = clock_mono();
    t->refs = 1;
    t->engine = e;
    lock_init(&t->lock, LOCK_ENGINE_TXN_ONE);
    return t;
}

static int insert_locked(struct ctx *ctx, struct txn_table *table,
                         struct txn *t)
{
    size_t most = (size_t)limit_of(LIMIT_TXN_OPEN);

    if (table->n >= most)
        expire_locked(table);
    if (table->n >= most)
        return ctx_err(ctx, ERR_EXHAUSTED, "%zu transactions are open already",
                       most);
    do {
        if (getrandom(&t->handle, sizeof(t->handle), 0) !=
            (ssize_t)sizeof(t->handle))
            return ctx_err(ctx, ERR_INTERNAL, "no random numbers");
    } while (t->handle == 0 || *find_locked(table, t->handle));
    t->next = table->buckets[t->handle % TXN_BUCKETS];
    table->buckets[t->handle % TXN_BUCKETS] = t;
    table->n++;
    return 0;
}

int txn_begin(struct ctx *ctx, struct engine *e, const struct txn_options *o,
              uint64_t *handle)
{
    struct txn_table *table = e->txns;
    struct txn *t;
    int rc = 0;

    lock_take(&table->lock);
    if (o->previous)
        rc = retire_previous(ctx, table, o);
    if (rc == 0) {
        t = txn_new(ctx, e, o);
        rc = insert_locked(ctx, table, t);
        if (rc)
            txn_free(t);
        else
            *handle = t->handle;
    }
    lock_drop(&table->lock);
    return rc;
}

/* ---- enter and leave ---- */

/* Find the app's transaction and hold it; with `take` it leaves the table. */
static int hold(struct ctx *ctx, struct txn_table *table, uint64_t handle,
                bool take, struct txn **out)
{
    struct txn **at, *t;
    int rc = 0;

    lock_take(&table->lock);
    at = find_locked(table, handle);
    t = *at;
    if (!t || !bytes_eq(t->app, ctx->app)) {
        rc = not_found(ctx, handle);
    } else if (expired(t, clock_mono()) || errinj("engine.txn.expired")) {
        remove_locked(table, at);
        rc = too_old(ctx);
    } else {
        t->used = clock_mono();
        t->refs++;
        if (take)
            remove_locked(table, at);
        *out = t;
    }
    lock_drop(&table->lock);
    return rc;
}

static void unref(struct txn *t)
{
    struct txn_table *table = t->engine->txns;

    lock_take(&table->lock);
    t->used = clock_mono();
    unref_locked(t);
    lock_drop(&table->lock);
}

int txn_enter(struct ctx *ctx, struct engine *e, uint64_t handle,
              struct txn **out)
{
    struct txn *t;
    int rc;

    rc = hold(ctx, e->txns, handle, false, &t);
    if (rc)
        return rc;
    if (ctx->may_wait) {
        lock_take(&t->lock);
    } else if (!lock_try(&t->lock)) {
        unref(t);
        return ERR_WOULD_BLOCK;
    }
    if (t->finished) {
        txn_leave(t);
        return not_found(ctx, handle);
    }
    *out = t;
    return 0;
}

void txn_leave(struct txn *t)
{
    lock_drop(&t->lock);
    unref(t);
}

/*
 * Take it out for good: whoever was in it has left, and nobody enters it again.
 * It is the caller's alone, so its lock is not held over the commit; unref().
 */
static int finish(struct ctx *ctx, struct engine *e, uint64_t handle,
                  struct txn **out)
{
    int rc = hold(ctx, e->txns, handle, true, out);

    if (rc)
        return rc;
    lock_take(&(*out)->lock);
    (*out)->finished = true;
    lock_drop(&(*out)->lock);
    return 0;
}

int txn_rollback(struct ctx *ctx, struct engine *e, uint64_t handle)
{
    struct txn *t;
    int rc;

    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    rc = finish(ctx, e, handle, &t);
    if (rc == 0)
        unref(t);
    return rc;
}

/* ---- groups ---- */

static bool same_row(const struct storage_key *a, const struct storage_key *b)
{
    return bytes_eq(a->row, b->row) && bytes_eq(a->partition, b->partition);
}

/* The record of the key's group, a new one within the limits; NULL where no
 * groups are kept. */
static int group_of(struct ctx *ctx, struct txn *t, const struct key *key,
                    struct txn_group **out)
{
    struct storage_key row = write_group_key(ctx->arena, key);

    *out = NULL;
    if (key_untracked(key))
        return 0;
    for (size_t i = 0; i < t->n_groups; i++) {
        if (same_row(&t->groups[i].row, &row)) {
            *out = &t->groups[i];
            return 0;
        }
    }
    if (t->n_groups == 1 && !t->options.cross_group)
        return ctx_err(ctx, ERR_INVALID,
                       "cross-groups transaction need to be explicitly "
                       "specified (xg=True)");
    if (t->n_groups == TXN_GROUPS_MAX)
        return ctx_err(ctx, ERR_INVALID,
                       "operating on too many entity groups in a single "
                       "transaction.");
    *out = &t->groups[t->n_groups++];
    **out = (struct txn_group){
        .row = {arena_dup(&t->arena, row.partition),
                arena_dup(&t->arena, row.row)},
    };
    return 0;
}

static int overtaken(struct ctx *ctx)
{
    return ctx_err(ctx, ERR_CONFLICT, "Concurrency exception.");
}

static bool same_value(const struct storage_value *a,
                       const struct storage_value *b)
{
    return a->found == b->found && (!a->found || bytes_eq(a->value, b->value));
}

/* Compare with what was seen before, or see it for the first time. */
static int group_see(struct ctx *ctx, struct txn *t, struct txn_group *g,
                     const struct storage_value *now)
{
    if (g->read)
        return same_value(&g->seen, now) ? 0 : overtaken(ctx);
    g->read = true;
    g->seen = (struct storage_value){
        .found = now->found,
        .value = now->found ? arena_dup(&t->arena, now->value) : BYTES_NONE,
    };
    return 0;
}

static int touch_groups(struct ctx *ctx, struct txn *t, const struct key *keys,
                        size_t n, bool *touched)
{
    struct txn_group *g = NULL;
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = group_of(ctx, t, &keys[i], &g);
        if (rc == 0 && g)
            touched[g - t->groups] = true;
    }
    return rc;
}

int txn_read(struct ctx *ctx, struct txn *t, const struct key *keys, size_t n,
             const struct storage_key *gets, size_t n_gets,
             struct storage_value *out)
{
    size_t max = n_gets + TXN_GROUPS_MAX, at = n_gets;
    struct storage_key *rows = ARENA_ARRAY(ctx->arena, struct storage_key, max);
    struct storage_value *values =
        ARENA_ARRAY(ctx->arena, struct storage_value, max);
    bool touched[TXN_GROUPS_MAX] = {false};
    int rc = touch_groups(ctx, t, keys, n, touched);

    if (rc)
        return rc;
    for (size_t i = 0; i < n_gets; i++)
        rows[i] = gets[i];
    for (size_t i = 0; i < t->n_groups; i++) {
        if (t->groups[i].read || touched[i])
            rows[at++] = t->groups[i].row;
    }
    rc = at ? storage_get(ctx, t->engine->storage, rows, at, values) : 0;
    at = n_gets;
    for (size_t i = 0; i < t->n_groups && rc == 0; i++) {
        if (t->groups[i].read || touched[i])
            rc = group_see(ctx, t, &t->groups[i], &values[at++]);
    }
    if (rc == 0 && n_gets > 0)
        memcpy(out, values, n_gets * sizeof(*out));
    return rc;
}

int txn_read_group(struct ctx *ctx, struct txn *t, const struct key *key)
{
    return txn_read(ctx, t, key, 1, NULL, 0, NULL);
}

/* ---- buffered writes ---- */

static int count_bytes(struct ctx *ctx, struct txn *t, size_t n)
{
    size_t most = (size_t)limit_of(LIMIT_TXN_BYTES);

    if (n > most || t->bytes > most - n)
        return ctx_err(ctx, ERR_INVALID,
                       "datastore transaction or write too big: the writes of "
                       "a transaction may have %zu bytes.",
                       most);
    t->bytes += n;
    return 0;
}

static struct key copy_key(struct arena *a, const struct key *key)
{
    struct key out = *key;

    out.app = arena_dup(a, key->app);
    out.space = arena_dup(a, key->space);
    out.path = arena_dup(a, key->path);
    out.kind = arena_dup(a, key->kind);
    if (key->whole.p)
        out.whole = arena_dup(a, key->whole);
    return out;
}

int txn_write(struct ctx *ctx, struct txn *t, const struct engine_mutation *m)
{
    struct txn_group *g;
    int rc;

    if (t->options.mode == TXN_READ_ONLY)
        return ctx_err(ctx, ERR_INVALID,
                       "Cannot modify entities in a read-only transaction.");
    rc = engine_write_allowed(ctx, t->engine, t->app);
    if (rc == 0)
        rc = group_of(ctx, t, &m->key, &g);
    if (rc == 0)
        rc = count_bytes(ctx, t, m->entity.n + m->key.path.n);
    if (rc)
        return rc;
    if (t->n_mutations == t->cap_mutations) {
        size_t more = t->cap_mutations ? 2 * t->cap_mutations : 8;

        t->mutations =
            arena_grow(&t->arena, t->mutations, t->cap_mutations * sizeof(*m),
                       more * sizeof(*m));
        t->cap_mutations = more;
    }
    t->mutations[t->n_mutations++] = (struct engine_mutation){
        .key = copy_key(&t->arena, &m->key),
        .entity = m->entity.p ? arena_dup(&t->arena, m->entity) : BYTES_NONE,
    };
    return 0;
}

int txn_add_actions(struct ctx *ctx, struct txn *t, const struct bytes *actions,
                    size_t n)
{
    size_t bytes = 0;
    int rc;

    if (t->options.mode == TXN_READ_ONLY)
        return ctx_err(ctx, ERR_INVALID,
                       "Cannot add actions in a read-only transaction.");
    if (n > TXN_ACTIONS_MAX - t->n_actions)
        return ctx_err(ctx, ERR_INVALID,
                       "Too many messages, maximum allowed %d",
                       TXN_ACTIONS_MAX);
    for (size_t i = 0; i < n; i++)
        bytes += actions[i].n;
    rc = count_bytes(ctx, t, bytes);
    for (size_t i = 0; i < n && rc == 0; i++)
        t->actions[t->n_actions++] = arena_dup(&t->arena, actions[i]);
    return rc;
}

int txn_add_action(struct ctx *ctx, struct txn *t, struct bytes action)
{
    return txn_add_actions(ctx, t, &action, 1);
}

/* ---- commit ---- */

struct commit {
    struct engine *engine;
    struct txn *txn;
    struct engine_mutation **order; /* in key order, one per key */
    size_t n;
    struct storage_key *rows; /* the entities, then the groups read */
    struct storage_value *values;
    size_t n_rows;
    struct engine_cost cost;
};

static void commit_rows(struct ctx *ctx, struct commit *c)
{
    struct txn *t = c->txn;

    for (size_t i = 0; i < c->n; i++)
        c->rows[i] = write_entity_key(ctx->arena, &c->order[i]->key);
    c->n_rows = c->n;
    for (size_t i = 0; i < t->n_groups; i++) {
        if (t->groups[i].read)
            c->rows[c->n_rows++] = t->groups[i].row;
    }
}

/* The conditions on groups come first in the batch; *n of them. */
static int require_groups(struct ctx *ctx, struct commit *c,
                          struct write_plan *plan, size_t *n)
{
    struct txn *t = c->txn;
    size_t at = c->n;

    *n = 0;
    for (size_t i = 0; i < t->n_groups; i++) {
        if (!t->groups[i].read)
            continue;
        if (errinj("engine.txn.skip_condition")) {
            at++;
            continue;
        }
        if (!same_value(&t->groups[i].seen, &c->values[at++]))
            return overtaken(ctx);
        storage_batch_require_same(&plan->batch, t->groups[i].row,
                                   &t->groups[i].seen);
        ++*n;
    }
    return 0;
}

/*
 * The version of a group that was read keeps its entities' rows as they are; a
 * row of one that was not must itself be unchanged.
 */
static int plan_mutation(struct ctx *ctx, struct commit *c,
                         struct write_plan *plan, size_t i, int64_t version)
{
    struct engine_mutation *m = c->order[i];
    struct txn_group *g;
    bool changed;
    int rc = group_of(ctx, c->txn, &m->key, &g);

    if (rc == 0)
        rc = write_plan_add(ctx, plan, m, &c->values[i], version, &changed);
    if (rc)
        return rc;
    if (!changed && !c->values[i].found)
        m->version = version;
    if (!g || !g->read)
        storage_batch_require_same(&plan->batch, c->rows[i], &c->values[i]);
    if (changed || m->entity.p)
        write_plan_group(ctx, plan, &m->key, version);
    return 0;
}

/* The commit; as two, some milliseconds or a crash apart, when a test plants
 * that fault for its checker to find. */
static int commit_batch(struct ctx *ctx, struct storage *st,
                        const struct storage_batch *batch, size_t *failed)
{
    enum { WHILE = 3 }; /* attempts of write_backoff() */
    struct storage_batch first = *batch, rest = *batch;
    size_t half = batch->n_writes / 2;
    int rc;

    if (!errinj("engine.txn.split_commit"))
        return storage_commit(ctx, st, batch, failed);
    first.n_writes = half;
    rest.n_conds = 0;
    rest.writes += half;
    rest.n_writes -= half;
    rc = storage_commit(ctx, st, &first, failed);
    errinj_crash("engine.txn.split_commit.crash");
    if (rc == 0)
        rc = write_backoff(ctx, WHILE);
    return rc ? rc : storage_commit(ctx, st, &rest, NULL);
}

/* The rows of what was kept go along; *state is for those who hear of it. */
static int plan_actions(struct ctx *ctx, struct commit *c,
                        struct write_plan *plan, void **state)
{
    const struct engine_actions *a = &c->engine->actions;
    struct txn *t = c->txn;

    if (t->n_actions == 0 || !a->prepare)
        return 0;
    return a->prepare(ctx, t->app, t->actions, t->n_actions, &plan->batch,
                      state, a->arg);
}

static int commit_with(struct ctx *ctx, struct commit *c,
                       struct write_plan *plan)
{
    const struct engine_actions *a = &c->engine->actions;
    size_t group_conds, failed = 0;
    void *state = NULL;
    int64_t version;
    int rc = require_groups(ctx, c, plan, &group_conds);

    if (rc == 0)
        rc = version_next(ctx, c->engine, &version);
    for (size_t i = 0; i < c->n && rc == 0; i++)
        rc = plan_mutation(ctx, c, plan, i, version);
    if (rc == 0)
        rc = plan_actions(ctx, c, plan, &state);
    if (rc)
        return rc;
    errinj_crash("engine.txn.commit.crash");
    rc = commit_batch(ctx, c->engine->storage, &plan->batch, &failed);
    if (state)
        a->done(ctx, state, rc, a->arg);
    if (rc == ERR_CONFLICT && failed < group_conds)
        return overtaken(ctx);
    for (size_t i = 0; i < c->n && rc == 0; i++)
        write_plan_done(ctx, plan, &c->order[i]->key);
    c->cost = plan->cost;
    return rc;
}

static int try_commit(struct ctx *ctx, struct commit *c)
{
    struct write_plan plan = {
        .engine = c->engine,
        .batch = STORAGE_BATCH_IN(ctx->arena),
    };
    int rc = index_set_ref(ctx, c->engine, c->txn->app, &plan.indexes);

    if (rc)
        return rc;
    rc = storage_get(ctx, c->engine->storage, c->rows, c->n_rows, c->values);
    if (rc == 0)
        rc = commit_with(ctx, c, &plan);
    index_set_unref(plan.indexes);
    return rc;
}

/* Only rows nobody promised to keep have changed: look again.  A conflict with
 * a story is overtaken(). */
static int commit_writes(struct ctx *ctx, struct commit *c)
{
    int rc, attempt = 0;

    for (;;) {
        rc = try_commit(ctx, c);
        if (rc == ERR_ABORTED)
            ctx_err_clear(ctx);
        else if (rc != ERR_CONFLICT || ctx->err.code)
            return write_late(ctx, rc, attempt);
        rc = write_backoff(ctx, attempt++);
        if (rc)
            return rc;
    }
}

static int commit(struct ctx *ctx, struct engine *e, struct txn *t,
                  struct txn_result *out)
{
    size_t max = t->n_mutations + TXN_GROUPS_MAX;
    struct commit c = {
        .engine = e,
        .txn = t,
        .order = ARENA_ARRAY(ctx->arena, struct engine_mutation *, max),
        .rows = ARENA_ARRAY(ctx->arena, struct storage_key, max),
        .values = ARENA_ARRAY(ctx->arena, struct storage_value, max),
    };
    int rc;

    c.n = write_order(t->mutations, t->n_mutations, c.order);
    if (c.n > (size_t)limit_of(LIMIT_TXN_ENTITIES))
        return ctx_err(ctx, ERR_INVALID,
                       "cannot write more than %lld entities in a single "
                       "transaction",
                       (long long)limit_of(LIMIT_TXN_ENTITIES));
    commit_rows(ctx, &c);
    rc = commit_writes(ctx, &c);
    if (rc)
        return rc;
    out->mutations = ARENA_ARRAY(ctx->arena, struct engine_mutation, c.n);
    for (size_t i = 0; i < c.n; i++) {
        out->mutations[i] = *c.order[i];
        out->mutations[i].key = copy_key(ctx->arena, &c.order[i]->key);
        out->mutations[i].entity = BYTES_NONE;
    }
    out->n = c.n;
    out->cost = c.cost;
    return 0;
}

static int commit_gated(struct ctx *ctx, struct engine *e, struct txn *t,
                        struct txn_result *out)
{
    int rc = engine_write_begin(ctx, e, t->app);

    if (rc)
        return rc;
    rc = commit(ctx, e, t, out);
    engine_write_end(e, t->app);
    return rc;
}

int txn_commit(struct ctx *ctx, struct engine *e, uint64_t handle,
               struct txn_result *out)
{
    struct txn *t;
    int rc;

    *out = (struct txn_result){0};
    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    rc = finish(ctx, e, handle, &t);
    if (rc)
        return rc;
    /* Else what was read need not hold any more. */
    if (t->n_mutations > 0 || t->n_actions > 0)
        rc = commit_gated(ctx, e, t, out);
    unref(t);
    return rc;
}
