/* taskqueue - opening and closing, the map of errors, an app's end. */
#include "service/taskqueue/taskqueue.h"

#include "base/log.h"
#include "base/metrics.h"
#include "engine/engine.h"
#include "engine/key.h"
#include "service/taskqueue/sweep.h"
#include "service/taskqueue/taskqueue_int.h"

#include <sodium.h>
#include <stdlib.h>

/*
 * What was surely not done, or may have been, is transient: the SDKs tell the
 * app to try again.
 */
const struct rpc_err_map taskqueue_errors[] = {
    {ERR_INVALID, TQ(INVALID_REQUEST)},
    {ERR_NOT_FOUND, TQ(UNKNOWN_TASK)},
    {ERR_CONFLICT, TQ(TRANSIENT_ERROR)},
    {ERR_ABORTED, TQ(TRANSIENT_ERROR)},
    {ERR_DEADLINE, TQ(TRANSIENT_ERROR)},
    {ERR_UNKNOWN, TQ(TRANSIENT_ERROR)},
    {ERR_UNAVAILABLE, TQ(TRANSIENT_ERROR)},
    {ERR_CANCELLED, TQ(TRANSIENT_ERROR)},
    {ERR_DENIED, TQ(PERMISSION_DENIED)},
    {ERR_INTERNAL, TQ(INTERNAL_ERROR)},
    {ERR_IO, TQ(INTERNAL_ERROR)},
    {ERR_NO_SPACE, TQ(INTERNAL_ERROR)},
    {ERR_CORRUPT, TQ(INTERNAL_ERROR)},
    {0, 0},
};

int taskqueue_open(struct ctx *ctx, const struct taskqueue_options *o,
                   struct taskqueue **out)
{
    struct taskqueue *tq = calloc(1, sizeof(*tq));
    int rc;

    if (!tq)
        die("out of memory for the task queues");
    if (sodium_init() < 0)
        die("libsodium does not start");
    tq->o = *o;
    lock_init(&tq->lock, LOCK_TASKQUEUE);
    lock_init(&tq->change, LOCK_TASKQUEUE_CHANGE);
    rc = queue_load_all(ctx, tq);
    if (rc) {
        taskqueue_close(tq);
        return rc;
    }
    add_register(tq);
    *out = tq;
    return 0;
}

int taskqueue_start(struct ctx *ctx, struct taskqueue *tq)
{
    int rc = sweep_start(ctx, tq);

    if (rc == 0 && (tq->o.app_url || tq->o.edge))
        rc = dispatch_start(ctx, tq);
    return rc;
}

void taskqueue_stop(struct taskqueue *tq)
{
    if (!tq)
        return;
    if (tq->dispatch)
        dispatch_stop(tq);
    sweep_stop(tq);
}

void taskqueue_close(struct taskqueue *tq)
{
    if (!tq)
        return;
    queue_free_all(tq);
    lock_release(&tq->lock);
    lock_release(&tq->change);
    arena_release(&tq->arena);
    free(tq);
}

/* ---- the end of an app ---- */

static int delete_page(struct ctx *ctx, struct storage *st,
                       struct bytes partition, bool *more)
{
    enum { ROWS = 1000 };
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct storage_range all = STORAGE_ALL;
    struct storage_page page;
    int rc =
        storage_scan(ctx, st, partition, &all, STORAGE_FORWARD, ROWS, &page);

    if (rc)
        return rc;
    for (size_t i = 0; i < page.n; i++)
        storage_batch_delete(&b,
                             (struct storage_key){partition, page.rows[i].row});
    *more = page.more;
    return page.n ? storage_commit(ctx, st, &b, NULL) : 0;
}

static int delete_partition(struct ctx *ctx, struct storage *st,
                            struct bytes partition)
{
    bool more = true;
    int rc = 0;

    while (rc == 0 && more) {
        struct arena arena = ARENA_INIT;
        struct ctx page;

        ctx_init(&page, &arena);
        page.deadline = ctx->deadline;
        rc = delete_page(&page, st, partition, &more);
        if (rc)
            ctx_err(ctx, (enum err_code)rc, "%s", ctx_err_text(&page, rc));
        arena_release(&arena);
    }
    return rc;
}

static int delete_queue_rows(struct ctx *ctx, struct taskqueue *tq,
                             struct queue *q)
{
    static const enum task_table tables[] = {TASK_BY_ETA, TASK_BY_TAG,
                                             TASK_BY_NAME};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(tables) / sizeof(tables[0]); i++)
        rc = delete_partition(
            ctx, tq->o.storage,
            task_partition(ctx->arena, q->app->id, tables[i], q->name));
    return rc;
}

/* Definitions go last, so that a second run finds what is left. */
int taskqueue_app_delete(struct ctx *ctx, struct taskqueue *tq,
                         struct bytes app)
{
    struct queue *q;
    int rc = 0;

    app = key_project(app);
    lock_take(&tq->lock);
    q = tq->all;
    lock_drop(&tq->lock);
    for (; q && rc == 0; q = q->next_all) {
        if (!bytes_eq(q->app->id, app) || q->gone)
            continue;
        rc = queue_drop(ctx, tq, q, true);
        if (rc == 0)
            rc = delete_queue_rows(ctx, tq, q);
        if (rc == 0)
            rc = queue_forget(ctx, tq, q);
    }
    if (rc == 0)
        rc = delete_partition(
            ctx, tq->o.storage,
            task_partition(ctx->arena, app, TASK_TOMBS, BYTES_NONE));
    return rc;
}

/* ---- figures ---- */

void taskqueue_metrics(struct taskqueue *tq, struct buf *out)
{
    struct queue *q;

    lock_take(&tq->lock);
    q = tq->all;
    lock_drop(&tq->lock);
    metrics_write_type(out, "tasks", "gauge", "Tasks that wait, by queue.");
    for (; q; q = q->next_all)
        buf_printf(out, "appscale_tasks{app=\"%.*s\",queue=\"%.*s\"} %lld\n",
                   BYTES_FMT(q->app->id), BYTES_FMT(q->name),
                   (long long)queue_tasks(q));
}
