/* sweep - purged rows, tombstones, marks. */
#include "service/taskqueue/sweep.h"

#include "base/log.h"
#include "service/taskqueue/taskqueue_int.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum { PERIOD_SEC = 60, PAGE = 500 };

struct sweep {
    struct taskqueue *tq;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool todo, stop; /* under mutex */
    _Atomic bool stopping;
};

static bool stopping(const struct taskqueue *tq)
{
    return tq->sweep && atomic_load(&tq->sweep->stopping);
}

/* ---- purged tasks ---- */

/* What of a page is dead goes; *last is where the next one begins. */
static int sweep_page(struct ctx *ctx, struct taskqueue *tq, struct queue *q,
                      int64_t purged, struct buf *from, bool *more)
{
    struct arena *a = ctx->arena;
    struct bytes app = q->app->id;
    struct bytes partition = task_partition(a, app, TASK_BY_ETA, q->name);
    struct storage_range range = {.from = buf_view(from), .to_end = true};
    struct storage_batch b = STORAGE_BATCH_IN(a);
    int64_t ends = clock_wall() + TASK_TOMB_LIFE;
    struct storage_page page;
    size_t dead[PAGE], n = 0;
    int rc = storage_scan(ctx, tq->o.storage, partition, &range,
                          STORAGE_FORWARD, PAGE, &page);

    for (size_t i = 0; rc == 0 && i < page.n; i++) {
        struct task t;

        if (!task_read(page.rows[i].row, page.rows[i].value, &t) ||
            t.created > purged)
            continue;
        task_end(&b, app, q->name, &t, ends);
        dead[n++] = task_size(&t);
    }
    if (rc == 0 && n)
        rc = storage_commit(ctx, tq->o.storage, &b, NULL);
    if (rc)
        return rc == ERR_CONFLICT ? 0 : rc; /* the same page again */
    for (size_t i = 0; i < n; i++)
        queue_count_swept(q, dead[i]);
    *more = page.more;
    if (page.n) {
        buf_clear(from);
        buf_add(from, page.rows[page.n - 1].row);
        buf_add_u8(from, 0);
    }
    return 0;
}

static bool apply_swept(struct ctx *ctx, struct task_rows_Queue *m, void *arg)
{
    task_rows_Queue_set_swept(m, *(int64_t *)arg);
    return true;
}

static int sweep_queue(struct ctx *ctx, struct taskqueue *tq, struct queue *q)
{
    const struct queue_def *def = queue_def(ctx, tq, q);
    int64_t purged = def->purged;
    struct buf from = BUF_HEAP;
    bool more = true;
    int rc = 0;

    if (purged <= def->swept)
        return 0;
    lock_take(&tq->lock);
    buf_add_be64(&from, (uint64_t)q->low_stored);
    lock_drop(&tq->lock);
    while (rc == 0 && more) {
        struct arena arena = ARENA_INIT;
        struct ctx page;

        ctx_init(&page, &arena);
        rc = stopping(tq) ? ERR_CANCELLED
                          : sweep_page(&page, tq, q, purged, &from, &more);
        if (rc)
            ctx_err(ctx, (enum err_code)rc, "%s", ctx_err_text(&page, rc));
        arena_release(&arena);
    }
    buf_release(&from);
    if (rc)
        return rc;
    return queue_edit(ctx, tq, q->app->id, q->name, apply_swept, &purged, &q);
}

/* ---- tombstones ---- */

/* The row of a tombstone's end: 8 bytes, queue 00 name. */
static bool split_tomb(struct bytes row, int64_t *ends, struct bytes *queue,
                       struct bytes *name)
{
    const uint8_t *p;

    if (row.n < 9)
        return false;
    *ends = (int64_t)get_be64(row.p);
    row = bytes_from(row, 8);
    p = memchr(row.p, 0, row.n);
    if (!p)
        return false;
    *queue = BYTES(row.p, (size_t)(p - bytes_u8(row)));
    *name = bytes_from(row, queue->n + 1);
    return true;
}

/*
 * A name may have been used again since its tombstone was over: then its row
 * is another one, and stays.
 */
static int bury_tombs(struct ctx *ctx, struct taskqueue *tq, struct bytes app,
                      struct bytes partition, const struct storage_page *page)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct storage_key *keys =
        ARENA_ARRAY(ctx->arena, struct storage_key, page->n);
    struct storage_value *rows =
        ARENA_ARRAY(ctx->arena, struct storage_value, page->n);
    int64_t *ends = ARENA_ARRAY(ctx->arena, int64_t, page->n);
    int rc;

    for (size_t i = 0; i < page->n; i++) {
        struct bytes queue = BYTES_NONE, name = BYTES_NONE;

        storage_batch_delete(
            &b, (struct storage_key){partition, page->rows[i].row});
        split_tomb(page->rows[i].row, &ends[i], &queue, &name);
        keys[i] = (struct storage_key){
            task_partition(ctx->arena, app, TASK_BY_NAME, queue), name};
    }
    rc = storage_get(ctx, tq->o.storage, keys, page->n, rows);
    for (size_t i = 0; rc == 0 && i < page->n; i++) {
        struct task_name name;

        if (!rows[i].found || !task_name_read(rows[i].value, &name) ||
            name.live || name.ends != ends[i])
            continue;
        storage_batch_require_same(&b, keys[i], &rows[i]);
        storage_batch_delete(&b, keys[i]);
    }
    return rc ? rc : storage_commit(ctx, tq->o.storage, &b, NULL);
}

static int sweep_tombs_page(struct ctx *ctx, struct taskqueue *tq,
                            struct bytes app, int64_t now, bool *more)
{
    struct bytes partition =
        task_partition(ctx->arena, app, TASK_TOMBS, BYTES_NONE);
    struct storage_range range = {
        .to = task_eta_row(ctx->arena, now, BYTES_NONE)};
    struct storage_page page;
    int rc = storage_scan(ctx, tq->o.storage, partition, &range,
                          STORAGE_FORWARD, PAGE, &page);

    if (rc)
        return rc;
    *more = page.more;
    rc = page.n ? bury_tombs(ctx, tq, app, partition, &page) : 0;
    if (rc != ERR_CONFLICT)
        return rc;
    *more = true;
    return 0;
}

static int sweep_tombs(struct ctx *ctx, struct taskqueue *tq, struct bytes app,
                       int64_t now)
{
    bool more = true;
    int rc = 0;

    while (rc == 0 && more && !stopping(tq)) {
        struct arena arena = ARENA_INIT;
        struct ctx page;

        ctx_init(&page, &arena);
        rc = sweep_tombs_page(&page, tq, app, now, &more);
        if (rc)
            ctx_err(ctx, (enum err_code)rc, "%s", ctx_err_text(&page, rc));
        arena_release(&arena);
    }
    return rc;
}

/* ---- a round ---- */

int sweep_run(struct ctx *ctx, struct taskqueue *tq, int64_t now)
{
    struct queue_app *app;
    struct queue *q;
    int rc = 0;

    lock_take(&tq->lock);
    q = tq->all;
    app = tq->apps;
    lock_drop(&tq->lock);
    for (; q && rc == 0; q = q->next_all)
        rc = sweep_queue(ctx, tq, q);
    for (; app && rc == 0; app = app->next)
        rc = sweep_tombs(ctx, tq, app->id, now);
    if (rc == 0)
        rc = queue_store_marks(ctx, tq);
    return rc;
}

static bool wait_for_work(struct sweep *s)
{
    struct timespec at;
    bool stop;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += PERIOD_SEC;
    pthread_mutex_lock(&s->mutex);
    while (!s->stop && !s->todo && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&s->wake, &s->mutex, &at);
    stop = s->stop;
    s->todo = false;
    pthread_mutex_unlock(&s->mutex);
    return !stop;
}

static void *run(void *arg)
{
    struct sweep *s = arg;

    do {
        struct arena arena = ARENA_INIT;
        struct ctx ctx;
        int rc;

        ctx_init(&ctx, &arena);
        rc = sweep_run(&ctx, s->tq, clock_wall());
        if (rc && rc != ERR_CANCELLED)
            log_error(&ctx, "taskqueue.sweep.failed", "why",
                      ctx_err_text(&ctx, rc), "next",
                      "tried again in a minute");
        arena_release(&arena);
    } while (wait_for_work(s));
    return NULL;
}

int sweep_start(struct ctx *ctx, struct taskqueue *tq)
{
    struct sweep *s = calloc(1, sizeof(*s));
    int rc;

    if (!s)
        die("out of memory for the task queues' housekeeper");
    s->tq = tq;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->wake, NULL);
    tq->sweep = s;
    rc = pthread_create(&s->thread, NULL, run, s);
    if (rc == 0)
        return 0;
    tq->sweep = NULL;
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->mutex);
    free(s);
    return ctx_err(ctx, ERR_UNAVAILABLE,
                   "the task queues' housekeeper cannot be started: %s",
                   strerror(rc));
}

void sweep_wake(struct taskqueue *tq)
{
    struct sweep *s = tq->sweep;

    if (!s)
        return;
    pthread_mutex_lock(&s->mutex);
    s->todo = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->mutex);
}

void sweep_stop(struct taskqueue *tq)
{
    struct sweep *s = tq->sweep;

    if (!s)
        return;
    atomic_store(&s->stopping, true);
    pthread_mutex_lock(&s->mutex);
    s->stop = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->mutex);
    pthread_join(s->thread, NULL);
    tq->sweep = NULL;
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}
