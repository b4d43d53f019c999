/* stream - one scan, or a merge of several, as pages in order. */
#include "engine/stream.h"

#include "engine/merge.h"

enum {
    /* Pages that live in the request's arena; later ones share one of their
     * own, so that a long walk does not grow with its length. */
    PAGES_KEPT = 4,
};

static int fetch_one(struct ctx *ctx, struct storage *st,
                     const struct plan *plan, const struct storage_range *range,
                     enum storage_dir dir, size_t limit, struct plan_page *page)
{
    const struct plan_scan *scan = &plan->scans[0];
    struct storage_range rows = plan_rows(ctx->arena, scan, range);
    struct storage_page found;
    int rc;

    rc = storage_scan(ctx, st, scan->partition, &rows, dir, limit, &found);
    if (rc != 0)
        return rc;
    page->rows = ARENA_ARRAY(ctx->arena, struct plan_row, found.n + 1);
    for (size_t i = 0; rc == 0 && i < found.n; i++)
        rc = plan_take(ctx, plan, bytes_from(found.rows[i].row, scan->prefix.n),
                       found.rows[i].value, &page->rows[i]);
    page->n = found.n;
    page->more = found.more;
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
    return merge_fetch(ctx, st, plan, range, dir, limit, page);
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
