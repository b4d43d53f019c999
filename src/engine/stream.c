/*
 * stream - one scan, or several that are intersected, as pages in order.
 *
 * A merge keeps a page of each side and leaps: whoever is behind seeks to where
 * the furthest stands, so what no side shares is not read row by row.
 */
#include "engine/stream.h"

enum {
    /* Pages that live in the request's arena; later ones share one of their
     * own, so that a long walk does not grow with its length. */
    PAGES_KEPT = 4,
    /* Rows a merge reads ahead in each scan: as few as a seek costs where most
     * are jumped over, more while they are used. */
    MERGE_PAGE_MIN = 8,
    MERGE_PAGE_MAX = 512,
};

/*
 * storage_scan() with the page in `a`.  What goes to ctx->err must outlive that
 * arena.
 */
static int scan_in(struct ctx *ctx, struct arena *a, struct storage *st,
                   struct bytes partition, const struct storage_range *range,
                   enum storage_dir dir, size_t limit,
                   struct storage_page *page)
{
    struct arena *request = ctx->arena;
    bool told = ctx->err.code != ERR_OK;
    int rc;

    ctx->arena = a;
    rc = storage_scan(ctx, st, partition, range, dir, limit, page);
    ctx->arena = request;
    if (a != request && !told && ctx->err.code != ERR_OK)
        ctx->err.message = arena_strdup(request, ctx->err.message);
    return rc;
}

/* A range of rests as a range of the rows of `scan`. */
static struct storage_range rows_of(struct arena *a,
                                    const struct plan_scan *scan,
                                    const struct storage_range *rests)
{
    struct storage_range r = {.to_end = rests->to_end};
    struct buf from = BUF_IN(a), to = BUF_IN(a);

    if (scan->prefix.n == 0)
        return *rests;
    buf_add(&from, scan->prefix);
    buf_add(&from, rests->from);
    r.from = buf_view(&from);
    if (rests->to_end) {
        r.to = plan_behind(a, scan->prefix);
        r.to_end = r.to.p == NULL;
        return r;
    }
    buf_add(&to, scan->prefix);
    buf_add(&to, rests->to);
    r.to = buf_view(&to);
    return r;
}

static int corrupt(struct ctx *ctx, const struct plan *plan)
{
    return ctx_err(ctx, ERR_CORRUPT, "an index row of a %s scan is malformed",
                   plan->kind->name);
}

static int take_row(struct ctx *ctx, const struct plan *plan, struct bytes rest,
                    struct bytes value, struct plan_row *row)
{
    if (!plan_split(plan, rest, row))
        return corrupt(ctx, plan);
    row->value = value;
    row->multi = plan->n_columns > 0 && index_row_multi(value);
    return 0;
}

static int fetch_one(struct ctx *ctx, struct storage *st,
                     const struct plan *plan, const struct storage_range *range,
                     enum storage_dir dir, size_t limit, struct plan_page *page)
{
    const struct plan_scan *scan = &plan->scans[0];
    struct storage_range rows = rows_of(ctx->arena, scan, range);
    struct storage_page found;
    int rc;

    rc = storage_scan(ctx, st, scan->partition, &rows, dir, limit, &found);
    if (rc != 0)
        return rc;
    page->rows = ARENA_ARRAY(ctx->arena, struct plan_row, found.n + 1);
    for (size_t i = 0; rc == 0 && i < found.n; i++)
        rc = take_row(ctx, plan, bytes_from(found.rows[i].row, scan->prefix.n),
                      found.rows[i].value, &page->rows[i]);
    page->n = found.n;
    page->more = found.more;
    return rc;
}

/* ---- intersection ---- */

/* One scan of a merge: a page of it, and where in it the merge stands. */
struct side {
    const struct plan_scan *scan;
    struct storage_page page;
    size_t at;
    size_t used;  /* rows of the page that the merge has stood on */
    size_t ahead; /* rows to read next time */
    bool filled;
    struct buf from; /* where the next page starts */
    struct arena arena;
};

struct merge {
    struct ctx *ctx;
    struct storage *store;
    const struct storage_range *range; /* of rests */
    enum storage_dir dir;
    struct side *sides;
    size_t n;
};

static struct bytes side_rest(const struct side *s, size_t i)
{
    return bytes_from(s->page.rows[i].row, s->scan->prefix.n);
}

/* Whether `a` comes before `b` in the direction of the merge. */
static bool before(const struct merge *m, struct bytes a, struct bytes b)
{
    int d = bytes_cmp(a, b);

    return m->dir == STORAGE_FORWARD ? d < 0 : d > 0;
}

/* Where the side reads on: at the target when it lies beyond what was read,
 * else behind that; to s->from. */
static struct storage_range side_rests(struct merge *m, struct side *s,
                                       struct bytes target)
{
    struct storage_range rests = *m->range;
    bool behind = false;

    if (s->page.n && !target.p) {
        target = side_rest(s, s->page.n - 1);
        behind = true;
    }
    if (!target.p)
        return rests;
    buf_clear(&s->from);
    buf_add(&s->from, target);
    if (behind == (m->dir == STORAGE_FORWARD))
        buf_add_u8(&s->from, 0); /* the next string after the target */
    if (m->dir == STORAGE_FORWARD) {
        rests.from = buf_view(&s->from);
    } else {
        rests.to = buf_view(&s->from);
        rests.to_end = false;
    }
    return rests;
}

static int side_fill(struct merge *m, struct side *s, struct bytes target)
{
    struct storage_range rests = side_rests(m, s, target);

    arena_reset(&s->arena);
    s->at = s->used = 0;
    s->filled = true;
    s->page = (struct storage_page){0};
    if (plan_range_empty(&rests))
        return 0;
    rests = rows_of(&s->arena, s->scan, &rests);
    return scan_in(m->ctx, &s->arena, m->store, s->scan->partition, &rests,
                   m->dir, s->ahead, &s->page);
}

/* A page that was used asks for a larger one, one that was jumped over for a
 * smaller: beside a sparse filter a dense one only seeks. */
static void side_adapt(struct side *s)
{
    if (2 * s->used >= s->page.n) {
        if (s->ahead < MERGE_PAGE_MAX)
            s->ahead *= 2;
    } else if (s->ahead > MERGE_PAGE_MIN) {
        s->ahead /= 2;
    }
}

/*
 * Move the side to its first row at or behind `target`; *found is false at the
 * end.  A target in the page is walked to; one beyond it is sought.
 */
static int side_seek(struct merge *m, struct side *s, struct bytes target,
                     bool *found)
{
    int rc = 0;

    *found = false;
    if (!s->filled)
        rc = side_fill(m, s, target);
    while (rc == 0) {
        while (s->at < s->page.n && target.p &&
               before(m, side_rest(s, s->at), target))
            s->at++;
        *found = s->at < s->page.n;
        s->used += *found;
        if (*found || !s->page.more)
            return 0;
        side_adapt(s);
        rc = side_fill(m, s, target);
    }
    return rc;
}

/*
 * The next rest that all sides have, from *target on; *target becomes it, in
 * `keep`.  The sides take turns: who is behind the target moves up, who finds
 * itself beyond sets a new one.
 */
static int merge_next(struct merge *m, struct buf *target, bool *found)
{
    size_t agree = 0;
    bool any = target->n > 0;
    int rc = 0;

    *found = true;
    for (size_t i = 0; agree < m->n; i = (i + 1) % m->n) {
        struct side *s = &m->sides[i];
        struct bytes rest;

        rc = side_seek(m, s, any ? buf_view(target) : BYTES_NONE, found);
        if (rc != 0 || !*found)
            return rc;
        rest = side_rest(s, s->at);
        if (any && bytes_eq(rest, buf_view(target))) {
            agree++;
            continue;
        }
        buf_clear(target);
        buf_add(target, rest);
        any = true;
        agree = 1;
    }
    return rc;
}

/* All sides stand on a common row: pass it on, and step over it. */
static int merge_take(struct merge *m, const struct plan *plan,
                      struct bytes rest, struct plan_row *row)
{
    struct arena *a = m->ctx->arena;
    bool multi = false;
    int rc = take_row(m->ctx, plan, arena_dup(a, rest), BYTES_NONE, row);

    for (size_t i = 0; i < m->n; i++) {
        struct side *s = &m->sides[i];

        multi = multi || (plan->n_columns > 0 &&
                          index_row_multi(s->page.rows[s->at].value));
        s->at++;
    }
    row->multi = multi;
    return rc;
}

static void merge_init(struct merge *m, struct ctx *ctx, struct storage *st,
                       const struct plan *plan,
                       const struct storage_range *range, enum storage_dir dir)
{
    *m = (struct merge){
        .ctx = ctx,
        .store = st,
        .range = range,
        .dir = dir,
        .sides = ARENA_ARRAY(ctx->arena, struct side, plan->n_scans),
        .n = plan->n_scans,
    };
    for (size_t i = 0; i < m->n; i++) {
        m->sides[i].scan = &plan->scans[i];
        m->sides[i].ahead = MERGE_PAGE_MIN;
    }
}

static void merge_release(struct merge *m)
{
    for (size_t i = 0; i < m->n; i++) {
        arena_release(&m->sides[i].arena);
        buf_release(&m->sides[i].from);
    }
}

static int fetch_merged(struct ctx *ctx, struct storage *st,
                        const struct plan *plan,
                        const struct storage_range *range, enum storage_dir dir,
                        size_t limit, struct plan_page *page)
{
    struct buf target = BUF_HEAP;
    struct merge m;
    bool found = true;
    int rc = 0;

    merge_init(&m, ctx, st, plan, range, dir);
    page->rows = ARENA_ARRAY(ctx->arena, struct plan_row, limit);
    while (page->n < limit) {
        /* Behind a common row each side has stepped on: no target. */
        buf_clear(&target);
        rc = merge_next(&m, &target, &found);
        if (rc != 0 || !found)
            break;
        rc = merge_take(&m, plan, buf_view(&target), &page->rows[page->n]);
        if (rc != 0)
            break;
        page->n++;
    }
    page->more = rc == 0 && found;
    buf_release(&target);
    merge_release(&m);
    return rc;
}

int stream_fetch(struct ctx *ctx, struct storage *st, const struct plan *plan,
                 const struct storage_range *range, enum storage_dir dir,
                 size_t limit, struct plan_page *page)
{
    *page = (struct plan_page){0};
    if (plan_range_empty(range))
        return 0;
    if (plan->n_scans == 1)
        return fetch_one(ctx, st, plan, range, dir, limit, page);
    return fetch_merged(ctx, st, plan, range, dir, limit, page);
}

/* ---- positions ---- */

/*
 * A position as a bound of rests: everything below it lies on one side.  With
 * `above` the rests of the position itself are below, else they are not.  p is
 * NULL when nothing is above.
 */
static struct bytes bound_of(struct arena *a, const struct plan_position *pos,
                             bool above)
{
    struct buf b = BUF_IN(a);

    if (!pos->has_path)
        return above ? plan_behind(a, pos->columns) : pos->columns;
    buf_add(&b, pos->columns);
    buf_add(&b, pos->path);
    if (above)
        buf_add_u8(&b, 0);
    return buf_view(&b);
}

static void cut_below(struct storage_range *r, struct bytes from, bool *none)
{
    if (!from.p && from.n == 0)
        *none = true;
    else if (bytes_cmp(from, r->from) > 0)
        r->from = from;
}

static void cut_above(struct storage_range *r, struct bytes to)
{
    if (to.p && (r->to_end || bytes_cmp(to, r->to) < 0)) {
        r->to = to;
        r->to_end = false;
    }
}

/* All rests of these columns that are in `within`, before the stream's end. */
static struct storage_range run_of(struct arena *a, const struct stream *s,
                                   const struct storage_range *within,
                                   struct bytes columns)
{
    const struct plan_position *end = &s->end;
    struct storage_range r = *within;
    bool none = false;

    cut_below(&r, columns, &none);
    cut_above(&r, plan_behind(a, columns));
    if (end->set && end->has_path && bytes_eq(end->columns, columns))
        cut_above(&r, bound_of(a, end, !end->before));
    return r;
}

/* Start among the ties of a row: their rest first, then what is below. */
static void start_in_run(struct arena *a, struct stream *s,
                         const struct plan_position *start)
{
    s->run = run_of(a, s, &s->rest, start->columns);
    cut_below(&s->run, bound_of(a, start, !start->before), &s->done);
    s->in_run = true;
    cut_above(&s->rest, start->columns);
}

static void page_release(void *arg)
{
    arena_release(&((struct stream *)arg)->page);
}

void stream_init(struct ctx *ctx, struct stream *s, struct storage *store,
                 const struct plan *plan, const struct plan_position *start,
                 const struct plan_position *end)
{
    struct arena *a = ctx->arena;

    *s = (struct stream){
        .store = store,
        .plan = plan,
        .end = *end,
        .rest = plan->range,
        .done = plan->empty,
    };
    arena_on_reset(a, page_release, s);
    if (end->set && !plan->backward)
        cut_above(&s->rest, bound_of(a, end, !end->before));
    else if (end->set && !(plan->ties && end->has_path))
        cut_below(&s->rest, bound_of(a, end, end->before), &s->done);
    else if (end->set)
        cut_below(&s->rest, end->columns, &s->done);
    if (start->set && !plan->backward)
        cut_below(&s->rest, bound_of(a, start, !start->before), &s->done);
    else if (start->set && !(plan->ties && start->has_path))
        cut_above(&s->rest, bound_of(a, start, start->before));
    else if (start->set)
        start_in_run(a, s, start);
}

void stream_skip(struct ctx *ctx, struct stream *s, struct bytes columns)
{
    struct bytes at = arena_dup(ctx->arena, columns);

    s->in_run = false;
    if (s->plan->backward)
        cut_above(&s->rest, at);
    else
        cut_below(&s->rest, plan_behind(ctx->arena, at), &s->done);
}

/* ---- reading ---- */

/* A page of the plan's rows; see PAGES_KEPT. */
static int fetch(struct ctx *ctx, struct stream *s,
                 const struct storage_range *range, enum storage_dir dir,
                 size_t limit, struct plan_page *page)
{
    struct arena *request = ctx->arena;
    bool told = ctx->err.code != ERR_OK, apart = s->pages++ >= PAGES_KEPT;
    int rc;

    *page = (struct plan_page){0};
    if (plan_range_empty(range))
        return 0;
    if (apart) {
        arena_reset(&s->page);
        ctx->arena = &s->page;
    }
    rc = s->plan->kind->fetch(ctx, s->store, s->plan, range, dir, limit, page);
    ctx->arena = request;
    if (apart && !told && ctx->err.code != ERR_OK)
        ctx->err.message = arena_strdup(request, ctx->err.message);
    return rc;
}

/* Leave `r` with what is behind the row `last`. */
static void step_over(struct ctx *ctx, struct storage_range *r,
                      enum storage_dir dir, struct bytes last)
{
    if (dir == STORAGE_FORWARD)
        r->from = plan_next(ctx->arena, last);
    else
        cut_above(r, arena_dup(ctx->arena, last));
}

static int read_plain(struct ctx *ctx, struct stream *s, size_t want,
                      struct plan_page *page)
{
    enum storage_dir dir =
        s->plan->backward ? STORAGE_BACKWARD : STORAGE_FORWARD;
    int rc = fetch(ctx, s, &s->rest, dir, want, page);

    if (rc != 0)
        return rc;
    s->done = !page->more;
    if (page->n)
        step_over(ctx, &s->rest, dir, page->rows[page->n - 1].rest);
    return 0;
}

static int read_run(struct ctx *ctx, struct stream *s, size_t want,
                    struct plan_page *page)
{
    int rc = fetch(ctx, s, &s->run, STORAGE_FORWARD, want, page);

    if (rc != 0)
        return rc;
    s->in_run = page->more;
    if (page->n)
        step_over(ctx, &s->run, STORAGE_FORWARD, page->rows[page->n - 1].rest);
    return 0;
}

/* Where the last run of a page begins. */
static size_t last_run(const struct plan_page *page)
{
    size_t i = page->n - 1;

    while (i > 0 && bytes_eq(page->rows[i - 1].columns, page->rows[i].columns))
        i--;
    return i;
}

static void turn_run(struct plan_row *rows, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        struct plan_row t = rows[i];

        rows[i] = rows[n - 1 - i];
        rows[n - 1 - i] = t;
    }
}

/* Turn every run of the page around, and drop what lies behind the end. */
static void turn_runs(struct ctx *ctx, struct stream *s, struct plan_page *page)
{
    size_t kept = 0;

    for (size_t i = 0, n; i < page->n; i += n) {
        struct storage_range all = STORAGE_ALL, run;

        for (n = 1; i + n < page->n &&
                    bytes_eq(page->rows[i].columns, page->rows[i + n].columns);)
            n++;
        turn_run(page->rows + i, n);
        if (!s->end.set || !s->end.has_path) {
            kept += n;
            continue;
        }
        run = run_of(ctx->arena, s, &all, page->rows[i].columns);
        for (size_t k = i; k < i + n; k++) {
            if (run.to_end || bytes_cmp(page->rows[k].rest, run.to) < 0)
                page->rows[kept++] = page->rows[k];
        }
    }
    page->n = kept;
}

/* A run longer than the page: read it upward from its low end. */
static int enter_run(struct ctx *ctx, struct stream *s, size_t want,
                     struct plan_page *page)
{
    struct bytes columns = arena_dup(ctx->arena, page->rows[0].columns);

    s->run = run_of(ctx->arena, s, &s->rest, columns);
    s->in_run = true;
    cut_above(&s->rest, columns);
    return read_run(ctx, s, want, page);
}

static int read_ties(struct ctx *ctx, struct stream *s, size_t want,
                     struct plan_page *page)
{
    size_t whole;
    int rc = fetch(ctx, s, &s->rest, STORAGE_BACKWARD, want + 1, page);

    if (rc != 0)
        return rc;
    s->done = !page->more;
    if (page->n == 0)
        return 0;
    whole = page->more ? last_run(page) : page->n;
    if (whole == 0)
        return enter_run(ctx, s, want, page);
    page->n = whole;
    step_over(ctx, &s->rest, STORAGE_BACKWARD, page->rows[whole - 1].rest);
    turn_runs(ctx, s, page);
    return 0;
}

struct arena *stream_arena(struct ctx *ctx, struct stream *s)
{
    return s->pages > PAGES_KEPT ? &s->page : ctx->arena;
}

int stream_read(struct ctx *ctx, struct stream *s, size_t want,
                struct plan_page *page)
{
    *page = (struct plan_page){0};
    if (s->in_run)
        return read_run(ctx, s, want, page);
    if (s->done)
        return 0;
    return s->plan->ties ? read_ties(ctx, s, want, page)
                         : read_plain(ctx, s, want, page);
}
