/*
 * dispatch_store - two threads for what the loop must not wait for.
 *
 * One makes the scans.  The other writes outcomes: what has gathered while a
 * commit was on its way to the disk makes the next one, so the busier it is
 * the fewer commits a task costs.  A task whose outcome cannot be written is
 * not forgotten and not run again: it is written again until it can.
 */
#include "service/taskqueue/dispatch_int.h"

#include "base/errinj.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum { AGAIN_SEC = 1, BATCH_BYTES = 8 << 20 };

/* ---- scans ---- */

/* Where the first task behind `row` is due; INT64_MAX when there is none. */
static int first_place(struct ctx *ctx, struct dispatch_scan *scan,
                       struct bytes partition, int64_t *at)
{
    struct storage_range range = {.from = buf_view(&scan->from),
                                  .to_end = true};
    struct storage_page page;
    struct bytes name;
    int rc = storage_scan(ctx, scan->dq->d->tq->o.storage, partition, &range,
                          STORAGE_FORWARD, 1, &page);

    *at = INT64_MAX;
    if (rc == 0 && page.n &&
        !task_row_split(page.rows[0].row, BYTES_NONE, at, &name))
        return ctx_err(ctx, ERR_CORRUPT, "a task's row has a bad key");
    return rc;
}

static int scan_page(struct ctx *ctx, struct dispatch_scan *scan,
                     struct bytes partition)
{
    struct queue *q = scan->dq->queue;
    struct bytes end = task_eta_row(ctx->arena, scan->until + 1, BYTES_NONE);
    struct storage_range range = {.from = buf_view(&scan->from), .to = end};
    struct storage_page page;
    int rc;

    if (bytes_cmp(range.from, end) >= 0)
        return 0;
    rc = storage_scan(ctx, scan->dq->d->tq->o.storage, partition, &range,
                      STORAGE_FORWARD, DISPATCH_PAGE, &page);
    if (rc)
        return rc;
    for (size_t i = 0; i < page.n; i++) {
        struct dispatch_task *own;
        struct task t;

        if (!task_read(page.rows[i].row, page.rows[i].value, &t)) {
            log_error(ctx, "taskqueue.corrupt", "app", log_bytes(q->app->id),
                      "queue", log_bytes(q->name), "next",
                      "a row that does not read back is left alone");
            continue;
        }
        own = dispatch_task_new(q, &t);
        if (own)
            dispatch_list_add(&scan->found, own);
    }
    scan->more = page.more;
    buf_clear(&scan->from);
    buf_add(&scan->from, page.more ? page.rows[page.n - 1].row : end);
    if (page.more)
        buf_add_u8(&scan->from, 0);
    return 0;
}

/* ---- what may have started ---- */

static struct bytes place_value(struct arena *a, int64_t place)
{
    uint8_t *p = arena_alloc(a, 8);

    put_be64(p, (uint64_t)place);
    return BYTES(p, 8);
}

static int advance(struct ctx *ctx, struct dispatch_scan *scan)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);

    storage_batch_put(&b, queue_started_key(ctx->arena, scan->dq->queue),
                      place_value(ctx->arena, scan->until));
    return storage_commit(ctx, scan->dq->d->tq->o.storage, &b, NULL);
}

/* Count a cut for the tasks of a page. */
static void put_cuts(struct storage_batch *b, const struct queue *q,
                     const struct storage_page *page)
{
    for (size_t i = 0; i < page->n; i++) {
        struct task was, t;

        if (!task_read(page->rows[i].row, page->rows[i].value, &was))
            continue;
        t = was;
        t.cuts++;
        task_move(b, q->app->id, q->name, &was, &t);
    }
}

/* A page of tasks that the process before us may have started. */
static int recover_page(struct ctx *ctx, struct dispatch_scan *scan, bool *more)
{
    struct queue *q = scan->dq->queue;
    struct storage *st = scan->dq->d->tq->o.storage;
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct storage_range range = {
        .from = buf_view(&scan->from),
        .to = task_eta_row(ctx->arena, scan->until + 1, BYTES_NONE),
    };
    struct storage_page page = {0};
    int rc = 0;

    if (bytes_cmp(range.from, range.to) < 0)
        rc = storage_scan(
            ctx, st,
            task_partition(ctx->arena, q->app->id, TASK_BY_ETA, q->name),
            &range, STORAGE_FORWARD, DISPATCH_PAGE, &page);
    if (rc)
        return rc;
    put_cuts(&b, q, &page);
    /* With the last page the place goes: none is counted twice for it. */
    if (!page.more)
        storage_batch_delete(&b, queue_started_key(ctx->arena, q));
    *more = page.more;
    rc = storage_commit(ctx, st, &b, NULL);
    if (rc == ERR_CONFLICT) { /* somebody deleted one: the page again */
        *more = true;
        return 0;
    }
    if (rc == 0 && page.n) {
        buf_clear(&scan->from);
        buf_add(&scan->from, page.rows[page.n - 1].row);
        buf_add_u8(&scan->from, 0);
    }
    return rc;
}

static int recover(struct ctx *ctx, struct dispatch_scan *scan)
{
    struct taskqueue *tq = scan->dq->d->tq;
    bool more = true, moves;
    int64_t low = queue_scan_begin(tq, scan->dq->queue, &moves);
    int rc = 0;

    queue_scan_end(tq, scan->dq->queue, moves, 0);
    buf_add_be64(&scan->from, (uint64_t)low);
    while (rc == 0 && more) {
        struct arena arena = ARENA_INIT;
        struct ctx page;

        ctx_init(&page, &arena);
        rc = recover_page(&page, scan, &more);
        if (rc)
            ctx_err(ctx, (enum err_code)rc, "%s", ctx_err_text(&page, rc));
        arena_release(&arena);
    }
    return rc;
}

static int look(struct ctx *ctx, struct dispatch_scan *scan)
{
    struct queue *q = scan->dq->queue;
    struct bytes partition =
        task_partition(ctx->arena, q->app->id, TASK_BY_ETA, q->name);
    int rc = scan_page(ctx, scan, partition);

    scan->next_at = INT64_MAX;
    if (rc == 0 && !scan->more)
        rc = first_place(ctx, scan, partition, &scan->next_at);
    return rc;
}

static void scan_one(struct dispatch_scan *scan)
{
    static int (*const jobs[])(struct ctx * ctx,
                               struct dispatch_scan * scan) = {
        [JOB_SCAN] = look,
        [JOB_ADVANCE] = advance,
        [JOB_RECOVER] = recover,
    };
    struct queue *q = scan->dq->queue;
    struct arena arena = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &arena);
    scan->rc = jobs[scan->job](&ctx, scan);
    if (scan->rc)
        log_error(&ctx, "taskqueue.scan.failed", "app", log_bytes(q->app->id),
                  "queue", log_bytes(q->name), "why",
                  ctx_err_text(&ctx, scan->rc), "next",
                  "tried again in a second");
    arena_release(&arena);
}

static void *run_scans(void *arg)
{
    struct dispatch *d = arg;

    lock_take(&d->store_lock);
    for (;;) {
        struct dispatch_scan *scan = d->scans;

        if (d->store_stop)
            break;
        if (!scan) {
            pthread_cond_wait(&d->scan_wake, &d->store_lock.mutex);
            continue;
        }
        d->scans = scan->next;
        if (!d->scans)
            d->scans_end = &d->scans;
        lock_drop(&d->store_lock);
        scan_one(scan);
        dispatch_hand_scan(d, scan);
        lock_take(&d->store_lock);
    }
    lock_drop(&d->store_lock);
    return NULL;
}

void dispatch_store_scan(struct dispatch *d, struct dispatch_scan *scan)
{
    scan->next = NULL;
    lock_take(&d->store_lock);
    *d->scans_end = scan;
    d->scans_end = &scan->next;
    pthread_cond_signal(&d->scan_wake);
    lock_drop(&d->store_lock);
}

/* ---- outcomes ---- */

/* Add one task's outcome, as of the state `was` of its rows. */
static void put_outcome(struct storage_batch *b, const struct dispatch_task *t,
                        const struct task *was, struct task *after)
{
    struct bytes app = t->queue->app->id, queue = t->queue->name;

    if (t->outcome == OUTCOME_MOVE)
        task_move(b, app, queue, was, after);
    else
        task_end(b, app, queue, was, clock_wall() + TASK_TOMB_LIFE);
}

static void count_outcome(const struct dispatch_task *t)
{
    if (t->outcome == OUTCOME_END)
        queue_count(t->queue, -1, task_size(&t->task));
    else if (t->outcome == OUTCOME_BURIED)
        queue_count_swept(t->queue, task_size(&t->task));
}

/* Places that will be written, for the low-water marks. */
static int move_begin(struct taskqueue *tq, struct dispatch_task *t,
                      struct storage_batch *b)
{
    bool store;
    int generation;

    if (t->outcome != OUTCOME_MOVE)
        return -1;
    generation = queue_write_begin(tq, t->queue, t->after.at, &store);
    if (store)
        queue_low_put(b, t->queue, t->after.at);
    return generation;
}

static void move_end(struct taskqueue *tq, struct dispatch_task *t,
                     int generation)
{
    if (generation >= 0)
        queue_write_end(tq, t->queue, generation);
}

/*
 * Somebody changed the task meanwhile.  One that succeeded ends wherever it is
 * now; one that failed stays where it was put.
 */
static int end_alone(struct ctx *ctx, struct taskqueue *tq,
                     struct dispatch_task *t)
{
    struct task_found found;
    int rc;

    do {
        struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
        int generation;

        ctx_err_clear(ctx);
        rc = task_find(ctx, tq, t->queue, &t->task.name, 1, &found);
        if (rc || found.result)
            break;
        if (t->outcome == OUTCOME_MOVE && found.task.at != t->task.at)
            return 0;
        generation = move_begin(tq, t, &b);
        put_outcome(&b, t, &found.task, &t->after);
        rc = storage_commit(ctx, tq->o.storage, &b, NULL);
        move_end(tq, t, generation);
        if (rc == 0)
            count_outcome(t);
    } while (rc == ERR_CONFLICT);
    return rc;
}

/* How many of the list fit a commit. */
static size_t batch_size(const struct dispatch_list *l)
{
    size_t n = 0, bytes = 0;

    for (const struct dispatch_task *t = l->first; t; t = t->next) {
        bytes += t->size;
        if (n == DISPATCH_BATCH || (n > 0 && bytes > BATCH_BYTES))
            break;
        n++;
    }
    return n;
}

static int end_together(struct ctx *ctx, struct taskqueue *tq,
                        const struct dispatch_list *l, size_t n)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    int generations[DISPATCH_BATCH];
    struct dispatch_task *t = l->first;
    int rc;

    for (size_t i = 0; i < n; i++, t = t->next) {
        generations[i] = move_begin(tq, t, &b);
        put_outcome(&b, t, &t->task, &t->after);
    }
    errinj_crash("taskqueue.outcome.crash");
    if (errinj("taskqueue.outcome.fail"))
        rc = ctx_err(ctx, ERR_IO, "a planted failure");
    else if (errinj("taskqueue.outcome.unwritten"))
        rc = 0;
    else
        rc = storage_commit(ctx, tq->o.storage, &b, NULL);
    t = l->first;
    for (size_t i = 0; i < n; i++, t = t->next) {
        move_end(tq, t, generations[i]);
        if (rc == 0)
            count_outcome(t);
    }
    return rc;
}

/* The first commit's worth of the list; on 0 it moves to `done`. */
static int end_some(struct taskqueue *tq, struct dispatch_list *l,
                    struct dispatch_list *done)
{
    size_t n = batch_size(l);
    struct arena arena = ARENA_INIT;
    struct ctx ctx;
    int rc;

    ctx_init(&ctx, &arena);
    rc = end_together(&ctx, tq, l, n);
    if (rc == ERR_CONFLICT) {
        n = 1;
        rc = end_alone(&ctx, tq, l->first);
    }
    if (rc)
        log_error(&ctx, "taskqueue.outcome.failed", "why",
                  ctx_err_text(&ctx, rc), "tasks", log_int((int64_t)n), "next",
                  "written again in a second; they do not run meanwhile");
    for (size_t i = 0; rc == 0 && i < n; i++)
        dispatch_list_add(done, dispatch_list_take(l));
    arena_release(&arena);
    return rc;
}

static void wait_a_second(struct dispatch *d)
{
    struct timespec at;

    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += AGAIN_SEC;
    lock_take(&d->store_lock);
    if (!d->store_stop)
        pthread_cond_timedwait(&d->end_wake, &d->store_lock.mutex, &at);
    lock_drop(&d->store_lock);
}

static bool is_stopping(struct dispatch *d)
{
    bool stop;

    lock_take(&d->store_lock);
    stop = d->store_stop;
    lock_drop(&d->store_lock);
    return stop;
}

/* All of the list, however often it takes; at a stop, once. */
static void end_all(struct dispatch *d, struct dispatch_list *l)
{
    while (l->first) {
        struct dispatch_list done;
        int rc;

        dispatch_list_init(&done);
        rc = end_some(d->tq, l, &done);
        if (done.first)
            dispatch_hand_ended(d, &done);
        if (rc == 0)
            continue;
        if (is_stopping(d)) {
            dispatch_hand_ended(d, l);
            return;
        }
        wait_a_second(d);
    }
}

static void *run_ends(void *arg)
{
    struct dispatch *d = arg;
    struct dispatch_task *t;

    lock_take(&d->store_lock);
    for (;;) {
        struct dispatch_list l;

        dispatch_list_init(&l);
        while ((t = dispatch_list_take(&d->ends)) != NULL)
            dispatch_list_add(&l, t);
        if (!l.first && d->store_stop)
            break;
        if (!l.first) {
            pthread_cond_wait(&d->end_wake, &d->store_lock.mutex);
            continue;
        }
        lock_drop(&d->store_lock);
        end_all(d, &l);
        lock_take(&d->store_lock);
    }
    lock_drop(&d->store_lock);
    return NULL;
}

void dispatch_store_end(struct dispatch *d, struct dispatch_task *t)
{
    lock_take(&d->store_lock);
    dispatch_list_add(&d->ends, t);
    if (d->ends.n == 1)
        pthread_cond_signal(&d->end_wake);
    lock_drop(&d->store_lock);
}

/* ---- life ---- */

int dispatch_store_start(struct ctx *ctx, struct dispatch *d)
{
    int rc;

    pthread_cond_init(&d->scan_wake, NULL);
    pthread_cond_init(&d->end_wake, NULL);
    rc = pthread_create(&d->scan_thread, NULL, run_scans, d);
    if (rc == 0)
        rc = pthread_create(&d->end_thread, NULL, run_ends, d);
    if (rc)
        return ctx_err(ctx, ERR_UNAVAILABLE,
                       "the task dispatcher's threads cannot be started: %s",
                       strerror(rc));
    return 0;
}

void dispatch_store_stop(struct dispatch *d)
{
    lock_take(&d->store_lock);
    d->store_stop = true;
    pthread_cond_signal(&d->scan_wake);
    pthread_cond_signal(&d->end_wake);
    lock_drop(&d->store_lock);
    pthread_join(d->scan_thread, NULL);
    pthread_join(d->end_thread, NULL);
    pthread_cond_destroy(&d->scan_wake);
    pthread_cond_destroy(&d->end_wake);
    while (d->scans) {
        struct dispatch_scan *scan = d->scans;

        d->scans = scan->next;
        buf_release(&scan->from);
        free(scan);
    }
}
