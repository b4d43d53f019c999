/*
 * ids - numbers for new entities, two spaces of them per app.
 *
 * Scattered ids, for entities put without an id: 2^52 plus the bits of a
 * counter reversed, so that neighbours in time are far apart in the store and
 * every id is exact in a double.  A process reserves counters in blocks; a
 * crash loses the rest of a block and nothing else.  Sequential ids,
 * 1 .. 2^52-1, for AllocateIds: reserved call by call, so that ranges are
 * contiguous.  Each space is one row of KEY_META: the first counter that
 * nobody has.
 *
 * A reserved id raises its counter, but for a scattered one that is far ahead:
 * that is noted in a row of its own, which the block that reaches it skips.
 */
#include "engine/engine_int.h"

static const int64_t scattered_base = INT64_C(1) << 52;
static const int64_t scattered_max = INT64_C(1) << 51; /* of the counter */

/* A scattered id whose counter is this far ahead is not worth giving up all
 * before it. */
static const int64_t far_ahead = INT64_C(1) << 32;

enum { BLOCK = 4096 };

static const char auto_row[] = "ids.auto";
static const char seq_row[] = "ids.seq";
static const char far_row[] = "ids.far/"; /* and the counter, 8 bytes */

static uint64_t reverse64(uint64_t v)
{
    uint64_t out = 0;

    for (int i = 0; i < 64; i++, v >>= 1)
        out = out << 1 | (v & 1);
    return out;
}

static int64_t scatter(int64_t counter)
{
    return scattered_base + (int64_t)reverse64((uint64_t)counter << 13);
}

/* What of a counter row becomes, given its present value. */
typedef int64_t counter_fn(int64_t now, int64_t arg);

/*
 * Read the counter, store what `fn` makes of it (nothing when it stays), and
 * give both.  Under the app's ids_lock; other processes are conflicts.
 */
static int counter_move(struct ctx *ctx, struct engine *e,
                        struct engine_app *app, const char *row, counter_fn *fn,
                        int64_t arg, int64_t *was, int64_t *is)
{
    struct storage_key key = {app->meta, bytes_str(row)};
    uint8_t *value = arena_alloc(ctx->arena, 8);
    int rc;

    do {
        struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
        struct storage_value seen;

        rc = storage_get(ctx, e->storage, &key, 1, &seen);
        if (rc)
            return rc;
        if (seen.found && seen.value.n != 8)
            return ctx_err(ctx, ERR_CORRUPT, "the row %s has %zu bytes", row,
                           seen.value.n);
        *was = seen.found ? (int64_t)get_be64(seen.value.p) : 1;
        *is = fn(*was, arg);
        if (*is == *was)
            return 0;
        put_be64(value, (uint64_t)*is);
        storage_batch_require_same(&b, key, &seen);
        storage_batch_put(&b, key, BYTES(value, 8));
        rc = storage_commit(ctx, e->storage, &b, NULL);
    } while (write_again(ctx, rc));
    return rc;
}

static int64_t counter_add(int64_t now, int64_t arg)
{
    return now + arg;
}

static int64_t counter_raise(int64_t now, int64_t arg)
{
    return arg > now ? arg : now;
}

/* ---- scattered ---- */

static struct bytes far_of(struct arena *a, int64_t counter)
{
    struct buf row = BUF_IN(a);

    buf_add_str(&row, far_row);
    buf_add_be64(&row, (uint64_t)counter);
    return buf_view(&row);
}

/* The first reserved counter of [from, to), or `to`. */
static int far_first(struct ctx *ctx, struct engine *e, struct engine_app *app,
                     int64_t from, int64_t to, int64_t *out)
{
    struct storage_range range = {.from = far_of(ctx->arena, from),
                                  .to = far_of(ctx->arena, to)};
    struct storage_page page;
    struct bytes row;
    int rc = storage_scan(ctx, e->storage, app->meta, &range, STORAGE_FORWARD,
                          1, &page);

    *out = to;
    if (rc || page.n == 0)
        return rc;
    row = page.rows[0].row;
    *out = (int64_t)get_be64(bytes_u8(row) + row.n - 8);
    return 0;
}

/* A new block: what of it lies before the first reserved id.  What is behind
 * comes when the block before it is used up. */
static int refill(struct ctx *ctx, struct engine *e, struct engine_app *app,
                  size_t want)
{
    int64_t n = want > BLOCK ? (int64_t)want : BLOCK;
    int64_t was = app->ids.end + 1, is = app->ids_end, stop;
    int rc = 0;

    if (was >= is)
        rc = counter_move(ctx, e, app, auto_row, counter_add, n, &was, &is);
    if (rc)
        return rc;
    if (is > scattered_max)
        return ctx_err(ctx, ERR_EXHAUSTED, "no ids are left");
    rc = far_first(ctx, e, app, was, is, &stop);
    if (rc)
        return rc;
    app->ids = (struct id_block){was, stop};
    app->ids_end = is;
    return 0;
}

int engine_ids_auto(struct ctx *ctx, struct engine *e, struct bytes app,
                    size_t n, int64_t *ids)
{
    struct engine_app *a = engine_app(e, app);
    int rc = 0;

    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    rc = engine_write_begin(ctx, e, app);
    if (rc)
        return rc;
    lock_take(&a->ids_lock);
    for (size_t i = 0; i < n && rc == 0; i++) {
        while (rc == 0 && a->ids.next == a->ids.end)
            rc = refill(ctx, e, a, n - i);
        if (rc == 0)
            ids[i] = scatter(a->ids.next++);
    }
    lock_drop(&a->ids_lock);
    engine_write_end(e, app);
    return rc;
}

/* ---- sequential ---- */

static int seq_move(struct ctx *ctx, struct engine *e, struct bytes app,
                    counter_fn *fn, int64_t arg, int64_t *was, int64_t *is)
{
    struct engine_app *a = engine_app(e, app);
    int rc;

    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    rc = engine_write_begin(ctx, e, app);
    if (rc)
        return rc;
    lock_take(&a->ids_lock);
    rc = counter_move(ctx, e, a, seq_row, fn, arg, was, is);
    lock_drop(&a->ids_lock);
    engine_write_end(e, app);
    if (rc == 0 && *is > scattered_base)
        return ctx_err(ctx, ERR_EXHAUSTED, "no ids are left");
    return rc;
}

int engine_ids_range(struct ctx *ctx, struct engine *e, struct bytes app,
                     int64_t n, int64_t *start)
{
    int64_t end;

    return seq_move(ctx, e, app, counter_add, n, start, &end);
}

int engine_ids_up_to(struct ctx *ctx, struct engine *e, struct bytes app,
                     int64_t max, int64_t *start, int64_t *end)
{
    int rc;

    if (max >= scattered_base)
        return ctx_err(ctx, ERR_INVALID, "Max must be less than %lld.",
                       (long long)scattered_base);
    rc = seq_move(ctx, e, app, counter_raise, max + 1, start, end);
    if (rc == 0)
        --*end;
    return rc;
}

/* ---- reserved ---- */

/* The counter behind an id, of its space; 0 when no counter leads to it. */
static int64_t counter_of(int64_t id, bool *scattered)
{
    *scattered = id >= scattered_base;
    if (id <= 0)
        return 0;
    if (!*scattered)
        return id;
    id -= scattered_base;
    if (id >= scattered_base / 2)
        return 0;
    return (int64_t)(reverse64((uint64_t)id) >> 13);
}

/* Hand out nothing below `counter` any more. */
static void skip_to(struct engine_app *a, int64_t counter)
{
    if (counter <= a->ids.next)
        return;
    if (counter < a->ids.end) {
        a->ids.next = counter;
    } else { /* the block behind a reserved id, if any, is not worth keeping */
        a->ids.next = a->ids.end;
        a->ids_end = a->ids.end;
    }
}

static int reserve_locked(struct ctx *ctx, struct engine *e,
                          struct engine_app *a, int64_t seq, int64_t scattered)
{
    int64_t was, is;
    int rc = 0;

    if (seq)
        rc =
            counter_move(ctx, e, a, seq_row, counter_raise, seq + 1, &was, &is);
    if (rc || scattered < a->ids.next)
        return rc;
    rc = counter_move(ctx, e, a, auto_row, counter_raise, scattered + 1, &was,
                      &is);
    if (rc == 0)
        skip_to(a, scattered + 1);
    return rc;
}

/* Note the ids that are far ahead; what is left of `ids` is not.  Nothing
 * conflicts: a row says only that it is there. */
static int reserve_far(struct ctx *ctx, struct engine *e, struct engine_app *a,
                       int64_t *counters, size_t n)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);

    for (size_t i = 0; i < n; i++)
        storage_batch_put(
            &b, (struct storage_key){a->meta, far_of(ctx->arena, counters[i])},
            BYTES("", 0));
    return n ? storage_commit(ctx, e->storage, &b, NULL) : 0;
}

int engine_ids_reserve(struct ctx *ctx, struct engine *e, struct bytes app,
                       const int64_t *ids, size_t n)
{
    struct engine_app *a = engine_app(e, app);
    int64_t top[2] = {0, 0}, *far = ARENA_ARRAY(ctx->arena, int64_t, n);
    size_t n_far = 0;
    int rc;

    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    rc = engine_write_begin(ctx, e, app);
    if (rc)
        return rc;
    lock_take(&a->ids_lock);
    for (size_t i = 0; i < n; i++) {
        bool scattered;
        int64_t c = counter_of(ids[i], &scattered);

        if (scattered && c > a->ids.next + far_ahead)
            far[n_far++] = c;
        else if (c > top[scattered])
            top[scattered] = c;
    }
    rc = reserve_far(ctx, e, a, far, n_far);
    if (rc == 0)
        rc = reserve_locked(ctx, e, a, top[0], top[1]);
    lock_drop(&a->ids_lock);
    engine_write_end(e, app);
    return rc;
}

/* ---- mending (verify.c) ---- */

void ids_note_top(int64_t id, int64_t top[2])
{
    bool scattered;
    int64_t c = counter_of(id, &scattered);

    /* One that is far ahead is somebody's own choice, as when reserving. */
    if (scattered && c > top[1] + far_ahead)
        return;
    if (c > top[scattered])
        top[scattered] = c;
}

static int mend_counter(struct ctx *ctx, struct engine *e,
                        struct engine_app *app, const char *name,
                        int64_t at_least, int64_t top, bool repair,
                        const char **bad)
{
    struct storage_key key = {app->meta, bytes_str(name)};
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct storage_value seen;
    uint8_t value[8];
    int64_t now;
    int rc = storage_get(ctx, e->storage, &key, 1, &seen);

    if (rc)
        return rc;
    now = !seen.found         ? 1
          : seen.value.n == 8 ? (int64_t)get_be64(seen.value.p)
                              : 0;
    if (now >= at_least && now > 0)
        return 0;
    *bad = name;
    if (!repair)
        return 0;
    put_be64(value, (uint64_t)((at_least > top ? at_least : top) + 1));
    storage_batch_require_same(&b, key, &seen);
    storage_batch_put(&b, key, BYTES(value, 8));
    return storage_commit(ctx, e->storage, &b, NULL);
}

int ids_mend(struct ctx *ctx, struct engine *e, struct engine_app *app,
             const int64_t top[2], bool repair, const char *bad[2])
{
    int rc;

    lock_take(&app->ids_lock);
    rc = mend_counter(ctx, e, app, seq_row, 1, top[0], repair, &bad[0]);
    if (rc == 0)
        rc = mend_counter(ctx, e, app, auto_row,
                          app->ids_end > 1 ? app->ids_end : 1, top[1], repair,
                          &bad[1]);
    lock_drop(&app->ids_lock);
    return rc;
}

/* ---- new entities ---- */

/* Complete the keys, and sort out those whose row exists already: an import
 * may hold ids that our counter has yet to reach. */
static int complete_some(struct ctx *ctx, struct engine *e, struct key **keys,
                         size_t n, size_t *taken)
{
    int64_t *ids = ARENA_ARRAY(ctx->arena, int64_t, n);
    struct storage_key *rows = ARENA_ARRAY(ctx->arena, struct storage_key, n);
    struct storage_value *seen =
        ARENA_ARRAY(ctx->arena, struct storage_value, n);
    struct key *done = ARENA_ARRAY(ctx->arena, struct key, n);
    int rc = engine_ids_auto(ctx, e, keys[0]->app, n, ids);

    *taken = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        done[i] = *keys[i];
        key_complete(ctx->arena, &done[i], ids[i]);
        rows[i] = write_entity_key(ctx->arena, &done[i]);
    }
    if (rc == 0)
        rc = storage_get(ctx, e->storage, rows, n, seen);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (seen[i].found)
            keys[(*taken)++] = keys[i];
        else
            *keys[i] = done[i];
    }
    return rc;
}

int engine_ids_complete(struct ctx *ctx, struct engine *e, struct key **keys,
                        size_t n)
{
    int rc = 0;

    while (n > 0 && rc == 0)
        rc = complete_some(ctx, e, keys, n, &n);
    return rc;
}
