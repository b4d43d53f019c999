/*
 * query_run - from rows to a batch of results.
 *
 * The steps of a batch are the functions of run_batch(): begin (a transaction
 * notes the group's version), skip, return, look whether rows are left, and
 * check the version again.  Which rows count is query_rows.c.
 *
 * All batches of a query are of one moment, where the store has views: one is
 * made before the first batch when rows may be left behind it, and kept with
 * the open query.  Where large entities cut a batch that was to be the only
 * one, it is read again from a view.  A network loop may not make one; where it
 * finds that rows are left, the query begins again on a worker.  A transaction
 * needs none: the version of its group says as much.
 */
#include "engine/cursor.h"
#include "engine/engine_int.h"
#include "engine/query_open.h"
#include "engine/query_rows.h"

enum {
    RESULT_CURSOR = 1,
    RESULT_RESULT = 2,
    RESULT_MORE = 3,
    RESULT_KEYS_ONLY = 4,
    RESULT_COMPILED_CURSOR = 6,
    RESULT_SKIPPED = 7,
    RESULT_VERSION = 11,
    RESULT_RESULT_CURSOR = 12,
    RESULT_SKIPPED_CURSOR = 13,
    CURSOR_HANDLE = 1,
    CURSOR_APP = 2,
    NEXT_CURSOR = 1,
    NEXT_COUNT = 2,
    NEXT_COMPILE = 3,
    NEXT_OFFSET = 4,
    ENTITY_KEY = 13,
    ENTITY_PROPERTY = 14,
    ENTITY_GROUP = 16,
    PROPERTY_MEANING = 1,
    PROPERTY_NAME = 3,
    PROPERTY_MULTIPLE = 4,
    PROPERTY_VALUE = 5,
};

enum { BATCH_BYTES = 2000000 }; /* a batch ends once its results pass this */

/* ---- results ---- */

/* The key, and the group of a `whole` entity; keys and projections have an
 * empty one. */
static void put_key(struct run *r, const struct plan_row *row, bool whole,
                    struct buf *entity)
{
    struct buf key = BUF_IN(r->ctx->arena), group = BUF_IN(r->ctx->arena);

    key_write_reference(&key, r->q->app, r->q->space, row->path);
    pb_put_bytes(entity, ENTITY_KEY, buf_view(&key));
    if (whole)
        key_write_path(&group, BYTES(row->path.p, key_path_first(row->path)));
    pb_put_bytes(entity, ENTITY_GROUP, buf_view(&group));
}

static bool is_projected(const struct query *q, struct bytes name)
{
    for (size_t i = 0; i < q->projection.n; i++) {
        if (bytes_eq(q->projection.v[i], name))
            return true;
    }
    return false;
}

static int put_projection(struct run *r, const struct plan_row *row,
                          struct buf *entity)
{
    const struct plan *plan = r->plan;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < plan->n_columns; i++) {
        struct buf p = BUF_IN(r->ctx->arena), pv = BUF_IN(r->ctx->arena);

        if (!is_projected(r->q, plan->columns[i].name))
            continue;
        rc = plan_value(r->ctx, plan, row->columns, i, &pv);
        pb_put_u64(&p, PROPERTY_MEANING, MEANING_INDEX_VALUE);
        pb_put_bytes(&p, PROPERTY_NAME, plan->columns[i].name);
        pb_put_u64(&p, PROPERTY_MULTIPLE, 0);
        pb_put_bytes(&p, PROPERTY_VALUE, buf_view(&pv));
        pb_put_bytes(entity, ENTITY_PROPERTY, buf_view(&p));
    }
    return rc == 0 ? 0 : ctx_err(r->ctx, rc, "an index row holds no value");
}

static int put_cursor(struct run *r, uint32_t field)
{
    int rc;

    buf_clear(&r->message);
    rc = cursor_write(r->ctx, r->plan, &r->behind, &r->message);
    pb_put_bytes(r->out, field, buf_view(&r->message));
    return rc;
}

static int put_result(struct run *r, const struct candidate *c)
{
    bool made = r->plan->kind->fetch != stream_fetch && !r->q->keys_only;
    int rc = 0;

    if (c->entity.entity.p && !r->q->keys_only) {
        pb_put_bytes(r->out, RESULT_RESULT, c->entity.entity);
        pb_put_u64(r->out, RESULT_VERSION, (uint64_t)c->entity.version);
        return 0;
    }
    buf_clear(&r->message);
    put_key(r, &c->row, made, &r->message);
    if (made)
        buf_add(&r->message, c->row.value);
    else if (r->q->projection.n)
        rc = put_projection(r, &c->row, &r->message);
    pb_put_bytes(r->out, RESULT_RESULT, buf_view(&r->message));
    return rc;
}

/* ---- a batch ---- */

static int begin_txn(struct run *r)
{
    int rc;

    if (!r->q->has_txn)
        return 0;
    rc = txn_enter(r->ctx, r->env->engine, r->q->txn, &r->txn);
    return rc != 0 ? rc : txn_read_group(r->ctx, r->txn, &r->q->ancestor);
}

static int skip_rows(struct run *r)
{
    struct candidate *c;
    int rc;

    while (r->offset > 0 && r->skipped < QUERY_SKIP_MAX) {
        int64_t left = QUERY_SKIP_MAX - r->skipped;

        rc = rows_next(r, (r->offset < left ? r->offset : left) + 1, false, &c);
        if (rc != 0)
            return rc;
        if (!c)
            break;
        rows_use(r, c);
        r->skipped++;
        r->offset--;
    }
    if (r->skipped == 0)
        return 0;
    pb_put_u64(r->out, RESULT_SKIPPED, (uint64_t)r->skipped);
    return r->compile ? put_cursor(r, RESULT_SKIPPED_CURSOR) : 0;
}

static int return_rows(struct run *r)
{
    int64_t most = r->count < r->limit ? r->count : r->limit;
    struct candidate *c;
    int rc = 0;

    if (r->offset > 0)
        return 0;
    if (most > QUERY_BATCH_MAX)
        most = QUERY_BATCH_MAX;
    while (rc == 0 && r->returned < most &&
           r->out->n - r->out_start < BATCH_BYTES) {
        /* One row more tells whether there are more. */
        rc = rows_next(r, most - r->returned + (r->limit > most), true, &c);
        if (rc != 0 || !c)
            break;
        rc = put_result(r, c);
        rows_use(r, c);
        r->returned++;
        if (rc == 0 && r->compile)
            rc = put_cursor(r, RESULT_RESULT_CURSOR);
    }
    r->limit -= r->limit == INT64_MAX ? 0 : r->returned;
    return rc;
}

static int look_for_more(struct run *r, bool *more)
{
    struct candidate *c = NULL;
    int rc = 0;

    if (r->offset > 0 || r->limit > 0)
        rc = rows_next(r, 1, false, &c);
    *more = c != NULL;
    return rc;
}

/* The transaction's group must be as it was when the batch began. */
static int check_txn(struct run *r)
{
    return r->txn ? txn_read_group(r->ctx, r->txn, &r->q->ancestor) : 0;
}

/* The cursor of where the batch ended, to r->message. */
static int end_cursor(struct run *r)
{
    buf_clear(&r->message);
    if (r->behind.set)
        return cursor_write(r->ctx, r->plan, &r->behind, &r->message);
    buf_add(&r->message, r->start);
    return 0;
}

static int run_batch(struct run *r, bool *more)
{
    int rc = begin_txn(r);

    if (rc == 0)
        rc = skip_rows(r);
    if (rc == 0)
        rc = return_rows(r);
    if (rc == 0)
        rc = look_for_more(r, more);
    if (rc == 0)
        rc = check_txn(r);
    if (rc == 0)
        rc = end_cursor(r);
    if (r->txn)
        txn_leave(r->txn);
    return rc;
}

static void put_end(struct run *r, bool more, uint64_t handle)
{
    struct buf cursor = BUF_IN(r->ctx->arena);

    if (r->compile)
        pb_put_bytes(r->out, RESULT_COMPILED_CURSOR, buf_view(&r->message));
    pb_put_u64(r->out, RESULT_MORE, more);
    pb_put_u64(r->out, RESULT_KEYS_ONLY, r->q->keys_only);
    if (!more)
        return;
    pb_put_fixed64(&cursor, CURSOR_HANDLE, handle);
    pb_put_bytes(&cursor, CURSOR_APP, r->q->app);
    pb_put_bytes(r->out, RESULT_CURSOR, buf_view(&cursor));
}

static void run_release(void *arg)
{
    arena_release(&((struct run *)arg)->look);
}

/* Where the batch starts and where the query ends. */
static int find_ends(struct ctx *ctx, const struct query *q,
                     const struct plan *plan, struct bytes start,
                     struct plan_position *from, struct plan_position *to,
                     bool *nothing)
{
    int rc = cursor_read(ctx, plan, start, from);

    *to = (struct plan_position){0};
    if (rc == 0 && q->has_end)
        rc = cursor_read(ctx, plan, q->end_cursor, to);
    /* An end that names no place is the start of everything. */
    *nothing = q->has_end && !to->set;
    return rc;
}

static int run_init(struct run *r, struct ctx *ctx, const struct query_env *env,
                    const struct query *q, const struct plan *plan)
{
    struct plan_position from, to;
    bool nothing;
    int rc = find_ends(ctx, q, plan, r->start, &from, &to, &nothing);

    if (rc != 0)
        return rc;
    r->store = r->view ? r->view->store : engine_storage(env->engine);
    r->entities = key_partition(ctx->arena, q->app, q->space, KEY_ENTITIES);
    r->last = (struct buf)BUF_IN(ctx->arena);
    r->message = (struct buf)BUF_IN(ctx->arena);
    arena_on_reset(ctx->arena, run_release, r);
    stream_init(ctx, &r->stream, r->store, plan, &from, &to);
    if (nothing)
        r->stream.done = true;
    return 0;
}

static int64_t first_count(const struct query *q)
{
    if (q->has_count && q->count >= 0)
        return q->count;
    if (q->has_limit && q->limit >= 0)
        return q->limit;
    return QUERY_BATCH_DEFAULT;
}

/* ---- one moment for all batches ---- */

static bool may_leave_rows(const struct run *r)
{
    int64_t most = r->count < QUERY_BATCH_MAX ? r->count : QUERY_BATCH_MAX;

    return r->offset > QUERY_SKIP_MAX || r->limit > most;
}

/* Serial of the index set that the plan stands on; 0: none. */
static uint64_t plan_serial(const struct plan *plan)
{
    return plan->indexes ? plan->indexes->serial : 0;
}

static int view_take(struct run *r)
{
    struct storage *view;
    int rc;

    if (r->view || r->q->has_txn || r->no_view)
        return 0;
    rc = storage_view(r->ctx, engine_storage(r->env->engine), &view);
    if (rc == 0)
        r->view = query_view_new(view, plan_serial(r->plan));
    return rc == ERR_UNIMPLEMENTED ? 0 : rc;
}

/* The view of an open query, but for other indexes than it began with: one that
 * was built meanwhile has no rows there. */
static void view_check(struct run *r)
{
    if (!r->view || r->view->indexes == plan_serial(r->plan))
        return;
    query_view_drop(r->ctx, r->env->engine->queries, r->view);
    r->view = NULL;
    r->no_view = true;
}

/* Plan and run one batch; *more says whether anything is left. */
static int run_open(struct ctx *ctx, const struct query_env *env,
                    struct query *q, struct run *r, bool *more)
{
    struct plan *plan = ARENA_NEW(ctx->arena, struct plan);
    int rc = plan_make(ctx, env, q, plan);

    r->ctx = ctx;
    r->env = env;
    r->q = q;
    r->plan = plan;
    if (rc == 0)
        view_check(r);
    if (rc == 0 && ctx->may_wait && may_leave_rows(r))
        rc = view_take(r);
    if (rc == 0)
        rc = run_init(r, ctx, env, q, plan);
    if (rc == 0)
        rc = run_batch(r, more);
    if (rc == 0 && *more && !r->view) {
        rc = view_take(r);
        r->late = r->view != NULL;
    }
    plan_release(plan);
    if (rc != 0)
        r->out->n = r->out_start; /* half an answer is none */
    return rc;
}

/* A view that ended with the database below it: the caller goes on without. */
static bool view_gone(struct ctx *ctx, struct run *r, int rc)
{
    if (rc != ERR_ABORTED || !r->view)
        return false;
    ctx_err_clear(ctx);
    return true;
}

/* With a view to begin with, whose reference it takes, or with `no_view`. */
static int first_batch(struct ctx *ctx, const struct query_env *env,
                       struct bytes in, struct query_view *view, bool no_view,
                       struct buf *out)
{
    struct query *q = ARENA_NEW(ctx->arena, struct query);
    struct run *r = ARENA_NEW(ctx->arena, struct run);
    uint64_t handle = 0;
    bool more = false;
    int rc = query_read(ctx, in, q);

    if (rc == 0)
        rc = query_check(ctx, q);
    if (rc != 0) {
        query_view_drop(ctx, env->engine->queries, view);
        return rc;
    }
    r->view = view;
    r->out = out;
    r->out_start = out->n;
    r->start = q->start_cursor;
    r->compile = q->compile;
    r->offset = q->offset;
    r->limit = q->has_limit && q->limit >= 0 ? q->limit : INT64_MAX;
    r->count = first_count(q);
    r->no_view = no_view;
    rc = run_open(ctx, env, q, r, &more);
    if (rc == 0 && r->late) {
        out->n = r->out_start;
        return first_batch(ctx, env, in, r->view, false, out);
    }
    if (rc == 0 && more) {
        struct query_open o = {.app = ctx->app,
                               .request = in,
                               .cursor = buf_view(&r->message),
                               .offset = r->offset,
                               .limit = r->limit,
                               .count = r->count,
                               .view = r->view};

        query_open_add(ctx, env->engine->queries, &o, &handle);
    }
    query_view_drop(ctx, env->engine->queries, r->view);
    if (view_gone(ctx, r, rc))
        return first_batch(ctx, env, in, NULL, true, out);
    if (rc == 0)
        put_end(r, more, handle);
    return rc;
}

int query_run(struct ctx *ctx, const struct query_env *env, struct bytes in,
              struct buf *out)
{
    return first_batch(ctx, env, in, NULL, false, out);
}

/* ---- Next ---- */

struct next {
    uint64_t handle;
    struct bytes app;
    bool has_handle, has_count, has_offset, compile;
    int32_t count, offset;
};

static void read_handle(struct bytes in, struct next *n)
{
    struct pb_reader r = PB_READER(in);

    while (pb_next(&r)) {
        if (r.field == CURSOR_HANDLE && r.kind == PB_FIXED64) {
            n->handle = r.u64;
            n->has_handle = !r.bad;
        } else if (r.field == CURSOR_APP && r.kind == PB_BYTES) {
            n->app = r.bytes;
        }
    }
}

static int next_read(struct ctx *ctx, struct bytes in, struct next *n)
{
    struct pb_reader r = PB_READER(in);

    *n = (struct next){0};
    while (pb_next(&r)) {
        if (r.field == NEXT_CURSOR && r.kind == PB_BYTES) {
            read_handle(r.bytes, n);
        } else if (r.kind == PB_VARINT && r.field == NEXT_COUNT) {
            n->count = (int32_t)r.u64;
            n->has_count = n->count >= 0;
        } else if (r.kind == PB_VARINT && r.field == NEXT_COMPILE) {
            n->compile = r.u64 != 0;
        } else if (r.kind == PB_VARINT && r.field == NEXT_OFFSET) {
            n->offset = (int32_t)r.u64;
            n->has_offset = true;
        }
    }
    if (r.bad || !n->has_handle)
        return ctx_err(ctx, ERR_MALFORMED, "the NextRequest cannot be read");
    if (n->app.n && !bytes_eq(key_project(n->app), ctx->app))
        return ctx_err(ctx, ERR_INVALID,
                       "app \"%.*s\" cannot access app \"%.*s\"'s data",
                       BYTES_FMT(ctx->app), BYTES_FMT(n->app));
    return 0;
}

static int next_find(struct ctx *ctx, const struct query_env *env,
                     const struct next *n, struct query_open *o)
{
    int rc = query_open_get(ctx, env->engine->queries, n->handle, o);

    if (rc == ERR_NOT_FOUND)
        return ctx_err(ctx, ERR_INVALID, "Cursor %llu not found",
                       (unsigned long long)n->handle);
    if (rc == 0 && n->has_offset && n->offset != o->offset) {
        query_view_drop(ctx, env->engine->queries, o->view);
        return ctx_err(ctx, ERR_INVALID,
                       "Invalid offset provided. Got %d expected %lld.",
                       n->offset, (long long)o->offset);
    }
    return rc;
}

/* One batch of the open query, whose view is given back in any case. */
static int next_batch(struct ctx *ctx, const struct query_env *env,
                      const struct next *n, struct query_open *o,
                      struct buf *out)
{
    struct query_table *t = env->engine->queries;
    struct query *q = ARENA_NEW(ctx->arena, struct query);
    struct run *r = ARENA_NEW(ctx->arena, struct run);
    bool more = false;
    int rc = query_read(ctx, o->request, q);

    r->view = o->view;
    r->no_view = !o->view;
    r->out = out;
    r->out_start = out->n;
    r->start = o->cursor;
    r->compile = n->compile;
    r->offset = o->offset;
    r->limit = o->limit;
    r->count = n->has_count ? n->count : o->count;
    if (rc == 0)
        rc = query_check(ctx, q);
    if (rc == 0)
        rc = run_open(ctx, env, q, r, &more);
    o->view = r->view;
    if (rc == 0) {
        o->cursor = buf_view(&r->message);
        o->offset = r->offset;
        o->limit = r->limit;
        query_open_set(ctx, t, n->handle, more ? o : NULL);
        put_end(r, more, n->handle);
    }
    query_view_drop(ctx, t, o->view);
    o->view = NULL;
    return view_gone(ctx, r, rc) ? next_batch(ctx, env, n, o, out) : rc;
}

int query_next(struct ctx *ctx, const struct query_env *env, struct bytes in,
               struct buf *out)
{
    struct query_open o;
    struct next n;
    int rc = next_read(ctx, in, &n);

    if (rc == 0)
        rc = next_find(ctx, env, &n, &o);
    return rc == 0 ? next_batch(ctx, env, &n, &o, out) : rc;
}
