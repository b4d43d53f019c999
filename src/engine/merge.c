/*
 * merge - leap, and once one side leads, look up.
 *
 * Each side of a merge has a page of its rows, and they leap: whoever is behind
 * seeks to where the furthest stands, so what no side shares is not read row by
 * row.
 *
 * Beside a dense filter a sparse one is walked, row after row, while the other
 * seeks for each of them: a scan to learn whether one row is there.  So when
 * one side has moved by single rows for a while, it leads, and its next rows
 * are looked up in the other sides, many at once.  A batch that finds nothing
 * may lie in a gap of another side, which a leap would cross; so it is followed
 * by one, and a leap that crosses much ends the looking up.  Batches grow from
 * few rows, so that what is looked up in vain is in proportion to what was
 * walked before.
 */
#include "engine/merge.h"

#include "engine/index.h"

enum {
    /* Rows read ahead in each scan: as few as a seek costs where most are
     * jumped over, more while they are used. */
    PAGE_MIN = 8,
    PAGE_MAX = 512,
    /* Single steps, and seeks of other sides meanwhile, that make a leader. */
    LEADS_AFTER = 4,
    /* Rows looked up at once. */
    BATCH_MIN = 8,
    BATCH_MAX = 128,
};

/* One scan of a merge: a page of it, and where in it the merge stands. */
struct side {
    const struct plan_scan *scan;
    struct storage_page page;
    size_t at;
    size_t used;  /* rows of the page that the merge has stood on */
    size_t ahead; /* rows to read next time */
    size_t steps; /* moves in a row that passed over nothing */
    size_t jumps; /* merge.jumps when it last passed over something */
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
    size_t jumps;        /* pages left with most of their rows unused */
    struct side *leader; /* its rows are looked up; NULL: leap */
    struct side *led;    /* the last one that was leader */
    size_t batch;        /* rows to look up next */
    /* What the last batch found: rows of the leader's page, in order. */
    size_t hits[BATCH_MAX], n_hits, hit;
    bool multi[BATCH_MAX]; /* by hit: a value of several, in some side */
    struct arena lookup;
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

/*
 * Call the store with `a` for what it returns.  What it says to ctx->err must
 * outlive that arena.
 */
struct elsewhere {
    struct arena *request;
    bool told;
};

static struct elsewhere elsewhere_begin(struct ctx *ctx, struct arena *a)
{
    struct elsewhere e = {ctx->arena, ctx->err.code != ERR_OK};

    ctx->arena = a;
    return e;
}

static void elsewhere_end(struct ctx *ctx, const struct elsewhere *e)
{
    ctx->arena = e->request;
    if (!e->told && ctx->err.code != ERR_OK)
        ctx->err.message = arena_strdup(ctx->arena, ctx->err.message);
}

/* ---- one side ---- */

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
    struct elsewhere e;
    int rc;

    arena_reset(&s->arena);
    s->at = s->used = 0;
    s->filled = true;
    s->page = (struct storage_page){0};
    if (plan_range_empty(&rests))
        return 0;
    rests = plan_rows(&s->arena, s->scan, &rests);
    e = elsewhere_begin(m->ctx, &s->arena);
    rc = storage_scan(m->ctx, m->store, s->scan->partition, &rests, m->dir,
                      s->ahead, &s->page);
    elsewhere_end(m->ctx, &e);
    return rc;
}

/* A page that was used asks for a larger one, one that was jumped over for a
 * smaller: beside a sparse filter a dense one only seeks. */
static void side_adapt(struct merge *m, struct side *s)
{
    if (2 * s->used >= s->page.n) {
        if (s->ahead < PAGE_MAX)
            s->ahead *= 2;
        return;
    }
    m->jumps++;
    if (s->ahead > PAGE_MIN)
        s->ahead /= 2;
}

static void side_moved(struct merge *m, struct side *s, size_t passed)
{
    if (passed <= 1) {
        s->steps++;
        return;
    }
    s->steps = 0;
    s->jumps = m->jumps;
    if (m->led == s)
        m->batch = BATCH_MIN;
}

/*
 * Move the side to its first row at or behind `target`; *found is false at the
 * end.  A target in the page is walked to; one beyond it is sought.
 */
static int side_seek(struct merge *m, struct side *s, struct bytes target,
                     bool *found)
{
    size_t was;
    int rc = 0;

    *found = false;
    if (!s->filled)
        rc = side_fill(m, s, target);
    while (rc == 0) {
        was = s->at;
        while (s->at < s->page.n && target.p &&
               before(m, side_rest(s, s->at), target))
            s->at++;
        side_moved(m, s, s->at - was);
        *found = s->at < s->page.n;
        s->used += *found;
        if (*found || !s->page.more)
            return 0;
        side_adapt(m, s);
        rc = side_fill(m, s, target);
    }
    return rc;
}

/* ---- leaping ---- */

/* Whether the side walks while others seek for each of its rows. */
static bool leads(const struct merge *m, const struct side *s)
{
    return s->steps >= LEADS_AFTER && m->jumps - s->jumps >= LEADS_AFTER;
}

/*
 * To the next rest that all sides have; *target becomes it.  The sides take
 * turns: who is behind the target moves up, who finds itself beyond sets a new
 * one.  Returns early, with m->leader set, when the one that did leads.
 */
static int leap(struct merge *m, struct buf *target, bool *found)
{
    size_t agree = 0;

    buf_clear(target); /* each side stands behind what is done with */
    for (size_t i = 0; agree < m->n; i = (i + 1) % m->n) {
        struct side *s = &m->sides[i];
        bool any = target->n > 0;
        struct bytes rest;
        int rc;

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
        agree = 1;
        if (leads(m, s)) {
            m->leader = m->led = s;
            break;
        }
    }
    return 0;
}

/* All sides stand on the row. */
static bool leap_multi(const struct merge *m)
{
    bool multi = false;

    for (size_t i = 0; i < m->n; i++) {
        struct side *s = &m->sides[i];

        multi = multi || index_row_multi(s->page.rows[s->at].value);
        s->at++;
    }
    return multi;
}

/* ---- looking up ---- */

/* Which of the candidates (hits so far) `side` has too. */
static int look_up(struct merge *m, const struct side *side)
{
    struct arena *a = &m->lookup;
    struct storage_key *keys = ARENA_ARRAY(a, struct storage_key, m->n_hits);
    struct storage_value *values =
        ARENA_ARRAY(a, struct storage_value, m->n_hits);
    struct elsewhere e;
    size_t kept = 0;
    int rc;

    for (size_t i = 0; i < m->n_hits; i++) {
        struct buf row = BUF_IN(a);

        buf_add(&row, side->scan->prefix);
        buf_add(&row, side_rest(m->leader, m->hits[i]));
        keys[i] = (struct storage_key){side->scan->partition, buf_view(&row)};
    }
    e = elsewhere_begin(m->ctx, a);
    rc = storage_get(m->ctx, m->store, keys, m->n_hits, values);
    elsewhere_end(m->ctx, &e);
    for (size_t i = 0; rc == 0 && i < m->n_hits; i++) {
        if (!values[i].found)
            continue;
        m->hits[kept] = m->hits[i];
        m->multi[kept++] = m->multi[i] || index_row_multi(values[i].value);
    }
    m->n_hits = kept;
    return rc;
}

/* Look the leader's next rows up in all other sides. */
static int look_up_batch(struct merge *m)
{
    struct side *lead = m->leader;
    size_t left = lead->page.n - lead->at;
    int rc = 0;

    arena_reset(&m->lookup);
    m->hit = 0;
    m->n_hits = left < m->batch ? left : m->batch;
    for (size_t i = 0; i < m->n_hits; i++) {
        m->hits[i] = lead->at + i;
        m->multi[i] = index_row_multi(lead->page.rows[lead->at + i].value);
    }
    lead->at += m->n_hits;
    lead->used += m->n_hits;
    if (m->batch < BATCH_MAX)
        m->batch *= 2;
    for (size_t i = 0; rc == 0 && m->n_hits > 0 && i < m->n; i++)
        if (&m->sides[i] != lead)
            rc = look_up(m, &m->sides[i]);
    return rc;
}

/*
 * The next row that is in all sides among the leader's; with m->leader NULL
 * again when a batch found none.
 */
static int look_on(struct merge *m, bool *found)
{
    struct side *lead = m->leader;
    int rc = side_seek(m, lead, BYTES_NONE, found);

    if (rc != 0 || !*found)
        return rc;
    rc = look_up_batch(m);
    if (m->n_hits == 0)
        m->leader = NULL;
    return rc;
}

/* ---- the merge ---- */

static bool take_hit(struct merge *m, struct buf *rest, bool *multi)
{
    if (m->hit == m->n_hits)
        return false;
    buf_clear(rest);
    buf_add(rest, side_rest(m->leader, m->hits[m->hit]));
    *multi = m->multi[m->hit++];
    return true;
}

/* The next common rest; *found is false at the end. */
static int merge_next(struct merge *m, struct buf *rest, bool *multi,
                      bool *found)
{
    int rc = 0;

    *found = true;
    while (rc == 0 && *found) {
        if (take_hit(m, rest, multi))
            return 0;
        if (m->leader) {
            rc = look_on(m, found);
            continue;
        }
        rc = leap(m, rest, found);
        if (rc == 0 && *found && !m->leader) {
            *multi = leap_multi(m);
            return 0;
        }
    }
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
        .batch = BATCH_MIN,
    };
    for (size_t i = 0; i < m->n; i++) {
        m->sides[i].scan = &plan->scans[i];
        m->sides[i].ahead = PAGE_MIN;
    }
}

static void merge_release(struct merge *m)
{
    for (size_t i = 0; i < m->n; i++) {
        arena_release(&m->sides[i].arena);
        buf_release(&m->sides[i].from);
    }
    arena_release(&m->lookup);
}

int merge_fetch(struct ctx *ctx, struct storage *st, const struct plan *plan,
                const struct storage_range *range, enum storage_dir dir,
                size_t limit, struct plan_page *page)
{
    struct buf rest = BUF_HEAP;
    struct merge m;
    bool found = true, multi = false;
    int rc = 0;

    merge_init(&m, ctx, st, plan, range, dir);
    page->rows = ARENA_ARRAY(ctx->arena, struct plan_row, limit);
    while (rc == 0 && page->n < limit) {
        struct plan_row *row = &page->rows[page->n];

        rc = merge_next(&m, &rest, &multi, &found);
        if (rc != 0 || !found)
            break;
        rc = plan_take(ctx, plan, arena_dup(ctx->arena, buf_view(&rest)),
                       BYTES_NONE, row);
        row->multi = plan->n_columns > 0 && multi;
        page->n += rc == 0;
    }
    page->more = rc == 0 && found;
    buf_release(&rest);
    merge_release(&m);
    return rc;
}
