/*
 * query_rows - look at each row's entity as far as the query needs it, and keep
 * the rows that still hold.
 */
#include "engine/query_rows.h"

#include "engine/cursor.h"
#include "engine/value.h"

enum {
    LOOK_ROWS = 64, /* entities read at once */
    LOOKS_KEPT = 8, /* reads that live in the request's arena */
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
    struct entity_indexed w = ENTITY_INDEXED(look_arena(r), c->entity.entity);
    struct buf value = BUF_IN(look_arena(r));
    struct entity_prop p;
    struct look l;
    int rc = 0;

    look_init(&l, r, &c->row);
    while (rc == 0 && entity_indexed_next(&w, &p)) {
        if (!concerns(r->q, p.name))
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

/* Read a page, and more next time: what comes again had none that count. */
static int read_more(struct run *r, int64_t *want)
{
    int rc = read_rows(r, (size_t)*want);

    if (*want < QUERY_BATCH_MAX)
        *want *= 2;
    return rc;
}

int rows_next(struct run *r, int64_t want, bool full, struct candidate **out)
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
            rc = read_more(r, &want);
    }
    if (rc == 0)
        *out = &r->rows[r->at];
    return rc;
}

void rows_use(struct run *r, const struct candidate *c)
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
