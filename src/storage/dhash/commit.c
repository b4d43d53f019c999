/*
 * commit - many rows together, over a store that knows one at a time.
 *
 * The steps, in order: wait for the turn, for one commit runs at a time; finish
 * what an earlier one left; check the conditions; put the whole batch as one
 * value, the redo record - that put is the commit; let readers see it; write
 * the rows and key lists it speaks of.  Whoever opens the store next does that
 * last step once more: the record stays until another takes its place, which
 * happens only when its rows and lists are on the medium, and making its
 * changes twice is the same as once.
 *
 * So a commit is decided by one put.  When that fails, nothing was written;
 * when nobody knows (ERR_UNKNOWN), the next commit asks the store, and does not
 * begin before it has an answer.  When it is only the rows that fail, on a full
 * disk, the commit stands: readers get it from the record, and the next
 * commit tries the rows again before it begins anything of its own.
 */
#include "base/errinj.h"
#include "base/log.h"
#include "storage/dhash/dhash_int.h"
#include "storage/dhash/names.h"

/* ---- rows and lists ---- */

enum {
    FLUSH_BYTES = 16 * 1024 * 1024,
    FLUSH_WRITES = 4096,
};

/* Writes on their way to the plain store. */
struct flush {
    struct dhash *d;
    struct arena arena; /* all below; back after each write_out() */
    struct dhash_kv_write *writes;
    size_t n, cap;
    size_t bytes;
};

static int write_each(struct ctx *ctx, struct dhash_kv *kv,
                      const struct dhash_kv_write *writes, size_t n)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct dhash_kv_write *w = &writes[i];

        rc = w->del ? kv->ops->del(ctx, kv, w->key)
                    : kv->ops->put(ctx, kv, w->key, w->value);
        errinj_crash("dhash.commit.row");
    }
    return rc;
}

static int write_out(struct ctx *ctx, struct flush *f)
{
    struct dhash_kv *kv = f->d->kv;
    int rc = 0;

    if (f->n && kv->ops->many)
        rc = kv->ops->many(ctx, kv, f->writes, f->n);
    else if (f->n)
        rc = write_each(ctx, kv, f->writes, f->n);
    f->writes = NULL;
    f->n = f->cap = f->bytes = 0;
    arena_reset(&f->arena);
    return rc;
}

/* Everything in `w` lives until the next write_out(). */
static void add(struct flush *f, struct dhash_kv_write w)
{
    size_t cap = f->cap ? f->cap * 2 : 16;

    if (f->n == f->cap) {
        f->writes = arena_grow(&f->arena, f->writes, f->cap * sizeof(w),
                               cap * sizeof(w));
        f->cap = cap;
    }
    f->writes[f->n++] = w;
    f->bytes += w.key.n + w.value.n;
}

static int room(struct ctx *ctx, struct flush *f)
{
    if (f->n < FLUSH_WRITES && f->bytes < FLUSH_BYTES)
        return 0;
    return write_out(ctx, f);
}

static int apply_list(struct ctx *ctx, struct flush *f, struct run run)
{
    struct bytes partition = run.at->partition, list;
    struct buf with = BUF_IN(&f->arena);
    int rc = room(ctx, f);

    if (rc == 0)
        rc = dhash_list(ctx, f->d, partition, run.at->shard, &f->arena, &list);
    if (rc == 0 && names_with(list, run, &with))
        add(f, (struct dhash_kv_write){
                   .key = dhash_list_key(&f->arena, partition, run.at->shard),
                   .del = with.n == 0,
                   .value = buf_view(&with),
               });
    return rc;
}

static int apply_rows(struct ctx *ctx, struct flush *f, struct run run)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < run.n; i++) {
        const struct change *c = &run.at[i];

        rc = room(ctx, f);
        if (rc == 0)
            add(f,
                (struct dhash_kv_write){
                    .key = dhash_row_key(
                        &f->arena, (struct storage_key){c->partition, c->row}),
                    .del = c->del,
                    .value = c->value,
                });
    }
    return rc;
}

int dhash_apply(struct ctx *ctx, struct dhash *d)
{
    struct flush f = {.d = d};
    int rc = 0;

    if (!d->last || d->applied)
        return 0;
    for (size_t i = 0; rc == 0 && i < d->last->n;) {
        struct run run = changes_run(d->last, i);

        rc = apply_list(ctx, &f, run);
        if (rc == 0)
            rc = apply_rows(ctx, &f, run);
        i += run.n;
    }
    if (rc == 0)
        rc = write_out(ctx, &f);
    arena_release(&f.arena);
    d->applied = rc == 0;
    return rc;
}

/* ---- the record ---- */

int dhash_load(struct ctx *ctx, struct dhash *d, struct changes **out)
{
    struct arena arena = ARENA_INIT;
    struct bytes record;
    int rc = d->kv->ops->get(ctx, d->kv, DHASH_REDO, &arena, &record);

    *out = NULL;
    if (rc == 0) {
        *out = changes_decode(record);
        if (!*out)
            rc = ctx_err(ctx, ERR_CORRUPT,
                         "storage: the redo record does not read back; restore "
                         "the store from a backup");
    }
    arena_release(&arena);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* From here on readers see the commit.  What it replaces is applied. */
static void publish(struct dhash *d, struct changes *c)
{
    struct changes *old;

    rwlock_take(&d->lock);
    old = d->last;
    d->last = c;
    d->applied = false;
    rwlock_drop(&d->lock);
    changes_free(old);
}

/* The put that nobody knows the end of: ask, and make sure. */
static int resolve(struct ctx *ctx, struct dhash *d)
{
    struct changes *c;
    int rc = dhash_load(ctx, d, &c);

    if (rc == 0 && c)
        rc = d->kv->ops->put(ctx, d->kv, DHASH_REDO, c->record);
    if (rc != 0) {
        changes_free(c);
        return rc;
    }
    d->unsure = false;
    if (c)
        publish(d, c);
    return 0;
}

/* What an earlier commit left.  Until that is done none can begin. */
static int settle(struct ctx *ctx, struct dhash *d)
{
    struct ctx sub = *ctx;
    int rc = 0;

    sub.err = (struct err){0};
    if (d->unsure)
        rc = resolve(&sub, d);
    if (rc == 0)
        rc = dhash_apply(&sub, d);
    if (rc == 0)
        return 0;
    return ctx_err(ctx, rc == ERR_UNKNOWN ? ERR_IO : (enum err_code)rc,
                   "storage: nothing can be written until an earlier commit is "
                   "in its rows: %s",
                   ctx_err_text(&sub, rc));
}

/* ---- before the record ---- */

static int check_conds(struct ctx *ctx, struct dhash *d,
                       const struct storage_batch *b, size_t *failed)
{
    struct arena scratch = ARENA_INIT;
    bool holds = true;
    int rc = 0;

    for (size_t i = 0; rc == 0 && holds && i < b->n_conds; i++) {
        const struct storage_cond *c = &b->conds[i];
        struct storage_value v;

        rc = dhash_read(ctx, d, c->key, &scratch, &v);
        holds = rc == 0 && storage_cond_holds(c, &v);
        if (rc == 0 && !holds)
            *failed = i;
        arena_reset(&scratch);
    }
    arena_release(&scratch);
    if (rc != 0 || holds)
        return rc;
    __atomic_fetch_add(&d->conflicts, 1, __ATOMIC_RELAXED);
    return ERR_CONFLICT;
}

static int check_length(struct ctx *ctx, struct dhash *d, const char *what,
                        size_t n)
{
    if (n <= d->kv->ops->value_max)
        return 0;
    return ctx_err(ctx, ERR_TOO_LARGE,
                   "storage: %s of %zu bytes is over what dhash:%s takes as "
                   "one value, %zu",
                   what, n, d->kv->ops->name, d->kv->ops->value_max);
}

/* After the record it would be too late to find a list too long. */
static int check_lengths(struct ctx *ctx, struct dhash *d,
                         const struct changes *c)
{
    struct arena scratch = ARENA_INIT;
    int rc = check_length(ctx, d, "a commit", c->record.n);

    for (size_t i = 0; rc == 0 && i < c->n;) {
        struct run run = changes_run(c, i);
        struct bytes list;

        rc = dhash_list(ctx, d, run.at->partition, run.at->shard, &scratch,
                        &list);
        if (rc == 0)
            rc = check_length(ctx, d, "a key list", names_size_with(list, run));
        arena_reset(&scratch);
        i += run.n;
    }
    arena_release(&scratch);
    return rc;
}

/* ---- the commit ---- */

/* The rows have to wait, the commit stands. */
static void put_off(struct ctx *ctx, struct dhash *d)
{
    struct ctx sub = *ctx;
    int rc;

    sub.err = (struct err){0};
    rc = dhash_apply(&sub, d);
    if (rc == 0)
        return;
    __atomic_fetch_add(&d->put_off, 1, __ATOMIC_RELAXED);
    log_error(ctx, "storage.dhash.rows_put_off", "store", d->kv->ops->name,
              "error", ctx_err_text(&sub, rc));
}

/* Takes `c`. */
static int write_through(struct ctx *ctx, struct dhash *d, struct changes *c)
{
    int rc = check_lengths(ctx, d, c);

    errinj_crash("dhash.commit.checked");
    if (rc == 0) {
        rc = d->kv->ops->put(ctx, d->kv, DHASH_REDO, c->record);
        d->unsure = rc == ERR_UNKNOWN;
    }
    if (rc != 0) {
        changes_free(c);
        return rc;
    }
    errinj_crash("dhash.commit.recorded");
    publish(d, c);
    __atomic_fetch_add(&d->commits, 1, __ATOMIC_RELAXED);
    put_off(ctx, d);
    errinj_crash("dhash.commit.applied");
    return 0;
}

static int check_and_write(struct ctx *ctx, struct dhash *d,
                           const struct storage_batch *b, size_t *failed)
{
    int rc = settle(ctx, d);

    if (rc == 0)
        rc = check_conds(ctx, d, b, failed);
    if (rc == 0 && b->n_writes)
        rc = write_through(ctx, d, changes_of(ctx->arena, b));
    return rc;
}

int dhash_commit(struct ctx *ctx, struct storage *st,
                 const struct storage_batch *b, size_t *failed)
{
    struct dhash *d = dhash_of(st);
    uint64_t all = 0;
    struct key_set turn;
    int rc;

    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    errinj_crash("dhash.commit.begin");
    rc = key_locks_take(ctx, &d->turn, &all, 1, &turn);
    if (rc != 0)
        return rc;
    rc = check_and_write(ctx, d, b, failed);
    key_locks_drop(&d->turn, &turn);
    return rc;
}
