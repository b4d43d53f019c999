/*
 * query_run - from rows to a batch of results.
 *
 * The steps of a batch are the functions of run_batch(): begin (a transaction
 * notes the group's version), skip, return, look whether rows are left, and
 * note the version again.  Rows come from a stream; a row counts only if its
 * entity, where it is looked at, still says what the row says: rows and
 * entities are read at two moments.
 *
 * An entity with several values of a property has several rows in a scan of
 * that property, and must come once, at the value that is first in the query's
 * order and passes its inequality.  Such rows are marked, and the entity tells
 * which one counts; nothing is remembered, so that a query may stop and resume
 * anywhere.  A projection returns each of the rows.
 */
#include "engine/cursor.h"
#include "engine/engine_int.h"
#include "engine/query_open.h"
#include "engine/stream.h"
#include "engine/value.h"

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

enum {
    BATCH_BYTES = 2000000, /* a batch ends once its results pass this */
    LOOK_ROWS = 64,        /* entities read at once */
    LOOKS_KEPT = 8,        /* reads that live in the request's arena */
};

/* A row on its way to being a result. */
struct candidate {
    struct plan_row row;
    struct entity_row entity; /* entity.p NULL where it was not read */
};

struct run {
    struct ctx *ctx;
    const struct query_env *env;
    const struct query *q;
    const struct plan *plan;
    struct storage *store;
    struct txn *txn;
    struct stream stream;
    struct bytes entities; /* partition */
    struct arena look;     /* of entities, once there were several reads */
    int looks;

    struct candidate *rows; /* of the stream's page, [at, ready) counts */
    size_t n, at, ready;
    bool full; /* the entities of the ready ones are there, if wanted */

    struct buf last; /* the columns and path of the last row used */
    struct plan_position behind;

    /* the batch */
    int64_t offset, limit, count; /* left to skip; to return; in this batch */
    int64_t skipped, returned;
    bool compile;
    struct bytes start; /* CompiledCursor it began with, or empty */
    struct buf *out;
    size_t out_start;
    struct buf message; /* scratch */
};

/* ---- does the entity say what the row says ---- */

/* A property the check does not find in the entity's own list. */
static bool is_hidden(struct bytes name)
{
    return key_reserved(name);
}

static bool passes(const struct query *q, struct bytes value)
{
    int lo = q->lo.set ? bytes_cmp(value, q->lo.value) : 1;
    int hi = q->hi.set ? bytes_cmp(value, q->hi.value) : -1;

    return (lo > 0 || (lo == 0 && q->lo.inclusive)) &&
           (hi < 0 || (hi == 0 && q->hi.inclusive));
}

/* What the walk over an entity's properties is looking for. */
struct look {
    struct run *run;
    const struct plan_row *row;
    bool *equal;         /* q->eq[i] is met */
    bool *exists;        /* q->exists.v[i] is there */
    bool range;          /* a value passes the inequality */
    struct bytes *wants; /* the row's columns, not flipped */
    bool *column;        /* column i has that value */
    bool not_first;      /* another value of a column comes before it */
};

/* Whether `a` is before `b` where column `i` stands in the order. */
static bool sooner(const struct plan *plan, size_t i, struct bytes a,
                   struct bytes b)
{
    bool desc = plan->columns[i].desc != plan->backward;
    int d = bytes_cmp(a, b);

    return desc ? d > 0 : d < 0;
}

static void look_at_columns(struct look *l, struct bytes name,
                            struct bytes value)
{
    const struct plan *plan = l->run->plan;
    const struct query *q = plan->query;
    bool range = q->range_name.p && bytes_eq(name, q->range_name);

    for (size_t i = 0; i < plan->n_columns; i++) {
        if (!bytes_eq(plan->columns[i].name, name))
            continue;
        if (bytes_eq(value, l->wants[i]))
            l->column[i] = true;
        else if (sooner(plan, i, value, l->wants[i]) &&
                 (!range || passes(q, value)))
            l->not_first = true;
    }
}

static void look_at(struct look *l, struct bytes name, struct bytes value)
{
    const struct query *q = l->run->q;

    for (size_t i = 0; i < q->n_eq; i++) {
        if (bytes_eq(q->eq[i]->name, name) && bytes_eq(q->eq[i]->value, value))
            l->equal[i] = true;
    }
    for (size_t i = 0; i < q->exists.n; i++) {
        if (bytes_eq(q->exists.v[i], name))
            l->exists[i] = true;
    }
    if (q->range_name.p && bytes_eq(q->range_name, name) && passes(q, value))
        l->range = true;
    look_at_columns(l, name, value);
}

/* Whether any part of the query or plan is about this property. */
static bool concerns(const struct query *q, struct bytes name)
{
    for (size_t i = 0; i < q->n_filters; i++) {
        if (bytes_eq(q->filters[i].name, name))
            return true;
    }
    for (size_t i = 0; i < q->n_orders; i++) {
        if (bytes_eq(q->orders[i].name, name))
            return true;
    }
    return false;
}

/* What is needed only to look at the entities just read. */
static struct arena *look_arena(struct run *r)
{
    return r->looks > LOOKS_KEPT ? &r->look : r->ctx->arena;
}

static void look_init(struct look *l, struct run *r, const struct plan_row *row)
{
    struct arena *a = look_arena(r);
    const struct plan *plan = r->plan;

    *l = (struct look){
        .run = r,
        .row = row,
        .equal = ARENA_ARRAY(a, bool, r->q->n_eq + 1),
        .exists = ARENA_ARRAY(a, bool, r->q->exists.n + 1),
        .wants = ARENA_ARRAY(a, struct bytes, plan->n_columns + 1),
        .column = ARENA_ARRAY(a, bool, plan->n_columns + 1),
    };
    for (size_t i = 0; i < plan->n_columns; i++) {
        l->wants[i] = plan_column(plan, row->columns, i);
        if (plan->columns[i].desc) {
            l->wants[i] = arena_dup(a, l->wants[i]);
            value_flip((uint8_t *)(uintptr_t)l->wants[i].p, l->wants[i].n);
        }
    }
}

/* Whether everything that had to be seen was. */
static bool look_found(const struct look *l)
{
    const struct query *q = l->run->q;
    const struct plan *plan = l->run->plan;
    bool good = !l->not_first;

    for (size_t i = 0; good && i < q->n_eq; i++)
        good = l->equal[i] || is_hidden(q->eq[i]->name);
    for (size_t i = 0; good && i < plan->n_columns; i++)
        good = l->column[i] || is_hidden(plan->columns[i].name);
    if (!good || plan->n_columns)
        return good;
    for (size_t i = 0; good && i < q->exists.n; i++)
        good = l->exists[i] || is_hidden(q->exists.v[i]);
    if (q->range_name.p && !is_hidden(q->range_name))
        good = good && l->range;
    return good;
}

/* *good: the entity is what the row promised, at its place in the order. */
static int look_into(struct run *r, const struct candidate *c, bool *good)
{
    struct entity_walk w = ENTITY_WALK(c->entity.entity);
    struct buf value = BUF_IN(look_arena(r));
    struct entity_prop p;
    struct look l;
    int rc = 0;

    look_init(&l, r, &c->row);
    while (rc == 0 && entity_next(&w, &p)) {
        if (!p.indexed || p.meaning == MEANING_EMPTY_LIST ||
            !concerns(r->q, p.name))
            continue;
        buf_clear(&value);
        rc = value_encode(r->ctx, &value, p.value);
        if (rc != 0)
            break;
        look_at(&l, p.name, buf_view(&value));
        if (!c->row.multi && look_found(&l))
            break; /* no other value of it can matter */
    }
    if (rc == 0 && w.bad)
        rc = ctx_err(r->ctx, ERR_CORRUPT, "a stored entity is malformed");
    *good = look_found(&l);
    return rc;
}

/* ---- candidates ---- */

static bool wants_entity(const struct run *r, const struct candidate *c,
                         bool full)
{
    const struct query *q = r->q;

    if (r->plan->kind->fetch != stream_fetch || q->projection.n)
        return false;
    return (full && !q->keys_only) || r->plan->check || c->row.multi;
}

/* Whether there is anything to compare: a kind or ancestor scan has nothing. */
static bool has_conditions(const struct run *r)
{
    return r->q->n_eq || r->plan->n_columns || r->plan->check;
}

static bool depth_fits(struct run *r, struct bytes path)
{
    int depth = 1 + (r->q->has_ancestor ? r->q->ancestor.depth : 0);

    while (path.n && depth-- > 0)
        path = bytes_from(path, key_path_first(path));
    return path.n == 0 && depth == 0;
}

/* The columns that name a row's group. */
static struct bytes group_of(const struct plan *plan,
                             const struct plan_row *row)
{
    return cursor_behind(plan, row).columns;
}

/* What can be said without the entity. */
static bool row_counts(struct run *r, size_t i, size_t kept)
{
    const struct plan_row *row = &r->rows[i].row;
    struct bytes before = r->behind.columns;

    if (r->q->shallow && !depth_fits(r, row->path))
        return false;
    if (!r->plan->n_group)
        return true;
    if (kept > r->at)
        before = group_of(r->plan, &r->rows[kept - 1].row);
    else if (r->last.n == 0)
        return true;
    return !bytes_eq(before, group_of(r->plan, row));
}

/* Read the entities of the wanted rows among [from, to), in one moment. */
static int read_entities(struct run *r, size_t from, size_t to, bool full)
{
    struct arena *request = r->ctx->arena;
    struct storage_key keys[LOOK_ROWS];
    struct storage_value values[LOOK_ROWS];
    struct candidate *of[LOOK_ROWS];
    bool told = r->ctx->err.code != ERR_OK;
    size_t n = 0;
    int rc;

    for (size_t i = from; i < to; i++) {
        struct candidate *c = &r->rows[i];

        if (wants_entity(r, c, full) && !r->plan->holds_entity) {
            keys[n] = (struct storage_key){r->entities, c->row.path};
            of[n++] = c;
        }
    }
    if (n == 0)
        return 0;
    if (r->looks++ >= LOOKS_KEPT) {
        arena_reset(&r->look);
        r->ctx->arena = &r->look;
    }
    rc = storage_get(r->ctx, r->store, keys, n, values);
    r->ctx->arena = request;
    if (rc != 0 && !told && r->ctx->err.code != ERR_OK)
        r->ctx->err.message = arena_strdup(request, r->ctx->err.message);
    for (size_t i = 0; rc == 0 && i < n; i++)
        of[i]->row.value = values[i].found ? values[i].value : BYTES_NONE;
    return rc;
}

/* *good: the candidate is a result. */
static int examine(struct run *r, struct candidate *c, bool full, bool *good)
{
    *good = true;
    c->entity = (struct entity_row){0};
    if (!wants_entity(r, c, full))
        return 0;
    if (!c->row.value.p) {
        *good = false; /* deleted since the row was read */
        return 0;
    }
    if (!entity_row_read(c->row.value, &c->entity))
        return ctx_err(r->ctx, ERR_CORRUPT, "a stored entity is malformed");
    return has_conditions(r) ? look_into(r, c, good) : 0;
}

/* Look at the next `want` rows at most of those read; [at, ready) counts. */
static int examine_rows(struct run *r, size_t want, bool full)
{
    size_t to = r->at + (want < LOOK_ROWS ? want : LOOK_ROWS), kept = r->at;
    int rc;

    if (to > r->n)
        to = r->n;
    rc = read_entities(r, r->at, to, full);
    for (size_t i = r->at; rc == 0 && i < to; i++) {
        bool good = row_counts(r, i, kept);

        if (good)
            rc = examine(r, &r->rows[i], full, &good);
        if (good)
            r->rows[kept++] = r->rows[i];
    }
    memmove(r->rows + kept, r->rows + to, (r->n - to) * sizeof(*r->rows));
    r->n -= to - kept;
    r->ready = kept;
    r->full = full;
    return rc;
}

/* The position must outlive the page it came from. */
static void keep_behind(struct run *r)
{
    struct plan_position *b = &r->behind;

    if (r->last.n == 0)
        return;
    b->columns = BYTES(r->last.p, b->columns.n);
    b->path = BYTES(r->last.p + (r->last.n - b->path.n), b->path.n);
}

static int read_rows(struct run *r, size_t want)
{
    struct plan_page page;
    int rc;

    if (r->plan->n_group && r->last.n)
        stream_skip(r->ctx, &r->stream, r->behind.columns);
    rc = stream_read(r->ctx, &r->stream, want, &page);
    r->at = r->ready = r->n = 0;
    if (rc != 0 || page.n == 0)
        return rc;
    r->rows =
        ARENA_ARRAY(stream_arena(r->ctx, &r->stream), struct candidate, page.n);
    for (size_t i = 0; i < page.n; i++)
        r->rows[i].row = page.rows[i];
    r->n = page.n;
    return 0;
}

/*
 * The next row that counts, or NULL at the end; about `want` are read ahead.
 * With `full` its entity is there where results have one.
 */
static int next_row(struct run *r, int64_t want, bool full,
                    struct candidate **out)
{
    int rc = 0;

    *out = NULL;
    if (full && !r->full)
        r->ready = r->at; /* they were looked at only to be skipped */
    while (rc == 0 && r->at == r->ready) {
        if (r->at < r->n)
            rc = examine_rows(r, (size_t)want, full);
        else if (r->stream.done && !r->stream.in_run)
            return 0;
        else
            rc = read_rows(r, (size_t)want);
    }
    if (rc == 0)
        *out = &r->rows[r->at];
    return rc;
}

/* Step over a row: it is the last one used. */
static void use_row(struct run *r, const struct candidate *c)
{
    struct plan_position pos = cursor_behind(r->plan, &c->row);

    buf_clear(&r->last);
    buf_add(&r->last, pos.columns);
    buf_add(&r->last, c->row.path);
    r->behind = pos;
    r->behind.path = c->row.path;
    keep_behind(r);
    r->at++;
}

/* ---- results ---- */

static void put_key(struct run *r, const struct plan_row *row,
                    struct buf *entity)
{
    struct buf key = BUF_IN(r->ctx->arena);

    key_write_reference(&key, r->q->app, r->q->space, row->path);
    pb_put_bytes(entity, ENTITY_KEY, buf_view(&key));
    pb_put_bytes(entity, ENTITY_GROUP, BYTES_NONE);
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
    int rc = 0;

    if (c->entity.entity.p && !r->q->keys_only) {
        pb_put_bytes(r->out, RESULT_RESULT, c->entity.entity);
        pb_put_u64(r->out, RESULT_VERSION, (uint64_t)c->entity.version);
        return 0;
    }
    buf_clear(&r->message);
    put_key(r, &c->row, &r->message);
    if (r->plan->kind->fetch != stream_fetch) {
        if (!r->q->keys_only)
            buf_add(&r->message, c->row.value);
    } else if (r->q->projection.n) {
        rc = put_projection(r, &c->row, &r->message);
    }
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

        rc = next_row(r, (r->offset < left ? r->offset : left) + 1, false, &c);
        if (rc != 0)
            return rc;
        if (!c)
            break;
        use_row(r, c);
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
        rc = next_row(r, most - r->returned + (r->limit > most), true, &c);
        if (rc != 0 || !c)
            break;
        rc = put_result(r, c);
        use_row(r, c);
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
        rc = next_row(r, 1, false, &c);
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
    r->ctx = ctx;
    r->env = env;
    r->q = q;
    r->plan = plan;
    r->store = engine_storage(env->engine);
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

/* Check, plan and run one batch of `o`; on success *o is what is left and
 * *more whether it is anything. */
static int run_open(struct ctx *ctx, const struct query_env *env,
                    struct query *q, struct run *r, bool *more)
{
    struct plan *plan = ARENA_NEW(ctx->arena, struct plan);
    int rc = plan_make(ctx, env, q, plan);

    if (rc == 0)
        rc = run_init(r, ctx, env, q, plan);
    if (rc == 0)
        rc = run_batch(r, more);
    plan_release(plan);
    if (rc != 0)
        r->out->n = r->out_start; /* half an answer is none */
    return rc;
}

int query_run(struct ctx *ctx, const struct query_env *env, struct bytes in,
              struct buf *out)
{
    struct query *q = ARENA_NEW(ctx->arena, struct query);
    struct run *r = ARENA_NEW(ctx->arena, struct run);
    uint64_t handle = 0;
    bool more = false;
    int rc = query_read(ctx, in, q);

    if (rc == 0)
        rc = query_check(ctx, q);
    if (rc != 0)
        return rc;
    r->out = out;
    r->out_start = out->n;
    r->start = q->start_cursor;
    r->compile = q->compile;
    r->offset = q->offset;
    r->limit = q->has_limit && q->limit >= 0 ? q->limit : INT64_MAX;
    r->count = first_count(q);
    rc = run_open(ctx, env, q, r, &more);
    if (rc != 0)
        return rc;
    if (more) {
        struct query_open o = {.app = ctx->app,
                               .request = in,
                               .cursor = buf_view(&r->message),
                               .offset = r->offset,
                               .limit = r->limit,
                               .count = r->count};

        query_open_add(env->engine->queries, &o, &handle);
    }
    put_end(r, more, handle);
    return 0;
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
        return ctx_err(ctx, ERR_INVALID, "the NextRequest cannot be read");
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
    if (rc == 0 && n->has_offset && n->offset != o->offset)
        return ctx_err(ctx, ERR_INVALID,
                       "Invalid offset provided. Got %d expected %lld.",
                       n->offset, (long long)o->offset);
    return rc;
}

int query_next(struct ctx *ctx, const struct query_env *env, struct bytes in,
               struct buf *out)
{
    struct query *q = ARENA_NEW(ctx->arena, struct query);
    struct run *r = ARENA_NEW(ctx->arena, struct run);
    struct query_open o;
    struct next n;
    bool more = false;
    int rc = next_read(ctx, in, &n);

    if (rc == 0)
        rc = next_find(ctx, env, &n, &o);
    if (rc == 0)
        rc = query_read(ctx, o.request, q);
    if (rc == 0)
        rc = query_check(ctx, q);
    if (rc != 0)
        return rc;
    r->out = out;
    r->out_start = out->n;
    r->start = o.cursor;
    r->compile = n.compile;
    r->offset = o.offset;
    r->limit = o.limit;
    r->count = n.has_count ? n.count : o.count;
    rc = run_open(ctx, env, q, r, &more);
    if (rc != 0)
        return rc;
    o.cursor = buf_view(&r->message);
    o.offset = r->offset;
    o.limit = r->limit;
    query_open_set(env->engine->queries, n.handle, more ? &o : NULL);
    put_end(r, more, n.handle);
    return 0;
}
