/*
 * lease - pull queues: QueryAndOwnTasks and ModifyTaskLease.
 *
 * A lease is an ETA in the future: the task moves there, and when nobody
 * deletes it, it is due again.  Several workers that lease at once meet each
 * other's rows: who comes second finds them moved and looks again.
 */
#include "service/taskqueue/taskqueue_int.h"

#include "base/errinj.h"
#include "base/log.h"

#include <math.h>

enum {
    LEASE_BYTES = 32 << 20, /* of bodies in one answer: the SDKs' own limit is
                               50 MiB */
    LEASE_SEC_MAX = 7 * 86400, /* [sdk] */
};

struct lease {
    struct taskqueue *tq;
    struct queue *q;
    const struct queue_def *def;
    int64_t now, until;
    size_t max;
    bool by_tag;
    struct bytes tag; /* with by_tag: this one, or with .n 0 what comes first */
    struct task *picked;
    size_t n;
    int64_t first; /* `at` of the first row that is there; INT64_MAX: none */
};

/* ---- which ---- */

/* Bodies of what was picked so far. */
static size_t picked_bytes(const struct lease *l)
{
    size_t bytes = 0;

    for (size_t i = 0; i < l->n; i++)
        bytes += l->picked[i].request.n;
    return bytes;
}

static int read_row(struct ctx *ctx, struct lease *l,
                    const struct storage_row *row, bool *keep)
{
    struct task *t = &l->picked[l->n];

    if (!task_read(row->row, row->value, t))
        return ctx_err(ctx, ERR_CORRUPT,
                       "a task of queue \"%.*s\" does not read back",
                       BYTES_FMT(l->q->name));
    *keep = t->created > l->def->purged;
    if (*keep && t->at < l->first)
        l->first = t->at;
    return 0;
}

/* Whether the task is of the kind that is asked for; the first task says which
 * when the request does not. */
static bool is_wanted(struct lease *l, const struct task *t, bool *untagged)
{
    struct task_request r;

    if (!l->by_tag)
        return true;
    if (!task_request_read(t->request, &r))
        return false;
    if (l->n == 0 && !*untagged) {
        l->tag = r.tag;
        *untagged = r.tag.n == 0;
    }
    return r.tag.n == 0;
}

/*
 * Rows by ETA from the mark on.  With by_tag only until the first says which
 * tag; of untagged ones those among the first `max`, as Google's stub has it.
 */
static int pick_by_eta(struct ctx *ctx, struct lease *l)
{
    struct arena *a = ctx->arena;
    struct bytes partition =
        task_partition(a, l->q->app->id, TASK_BY_ETA, l->q->name);
    bool moves, untagged = false, keep = false;
    int64_t from = queue_scan_begin(l->tq, l->q, &moves);
    struct storage_range range = {
        .from = task_eta_row(a, from, BYTES_NONE),
        .to = task_eta_row(a, l->now, BYTES_NONE),
    };
    struct storage_page page = {.more = true};
    size_t looked = 0;
    int rc = 0;

    while (rc == 0 && page.more && looked < l->max &&
           picked_bytes(l) < LEASE_BYTES) {
        rc = storage_scan(ctx, l->tq->o.storage, partition, &range,
                          STORAGE_FORWARD, l->max - looked, &page);
        for (size_t i = 0; rc == 0 && i < page.n; i++) {
            rc = read_row(ctx, l, &page.rows[i], &keep);
            if (rc || !keep)
                continue;
            looked++;
            if (is_wanted(l, &l->picked[l->n], &untagged))
                l->n++;
            else if (l->by_tag && l->n == 0)
                goto done; /* the first one names the tag */
        }
        if (rc == 0 && page.more)
            range = storage_range_after(a, &range, STORAGE_FORWARD,
                                        page.rows[page.n - 1].row);
    }
done:
    /* Before the first row that is there nothing is; without one, before now.
     */
    if (rc)
        l->first = 0;
    queue_scan_end(l->tq, l->q, moves, l->first < l->now ? l->first : l->now);
    return rc;
}

/* The tasks behind a page of rows by tag. */
static int pick_tagged_page(struct ctx *ctx, struct lease *l,
                            const struct storage_page *page)
{
    struct bytes *names = ARENA_ARRAY(ctx->arena, struct bytes, page->n);
    struct task_found *found =
        ARENA_ARRAY(ctx->arena, struct task_found, page->n);
    int64_t at;
    int rc;

    for (size_t i = 0; i < page->n; i++) {
        if (!task_row_split(page->rows[i].row, l->tag, &at, &names[i]))
            return ctx_err(ctx, ERR_CORRUPT, "a row by tag has a bad key");
    }
    rc = task_find(ctx, l->tq, l->q, names, page->n, found);
    for (size_t i = 0; rc == 0 && i < page->n; i++) {
        if (found[i].result == 0 && found[i].task.eta <= l->now &&
            l->n < l->max && picked_bytes(l) < LEASE_BYTES)
            l->picked[l->n++] = found[i].task;
    }
    return rc;
}

static int pick_by_tag(struct ctx *ctx, struct lease *l)
{
    struct arena *a = ctx->arena;
    struct bytes partition =
        task_partition(a, l->q->app->id, TASK_BY_TAG, l->q->name);
    struct storage_range range = {
        .from = task_tag_row(a, l->tag, 0, BYTES_NONE),
        .to = task_tag_row(a, l->tag, l->now, BYTES_NONE),
    };
    struct storage_page page = {.more = true};
    int rc = 0;

    l->n = 0;
    while (rc == 0 && page.more && l->n < l->max &&
           picked_bytes(l) < LEASE_BYTES) {
        rc = storage_scan(ctx, l->tq->o.storage, partition, &range,
                          STORAGE_FORWARD, l->max - l->n, &page);
        if (rc == 0 && page.n)
            rc = pick_tagged_page(ctx, l, &page);
        if (rc == 0 && page.more)
            range = storage_range_after(a, &range, STORAGE_FORWARD,
                                        page.rows[page.n - 1].row);
    }
    return rc;
}

static int pick(struct ctx *ctx, struct lease *l)
{
    int rc = 0;

    l->n = 0;
    l->first = INT64_MAX;
    if (!l->by_tag || l->tag.n == 0)
        rc = pick_by_eta(ctx, l);
    if (rc == 0 && l->by_tag && l->tag.n)
        rc = pick_by_tag(ctx, l);
    return rc;
}

/* ---- taking them ---- */

/* Leased too often already: then it goes, without a word to the app. */
static bool is_worn_out(const struct lease *l, const struct task *t)
{
    struct task_request r;
    struct retry retry;

    if (!task_request_read(t->request, &r))
        return true;
    retry = queue_retry(l->def, &r);
    return !retry_may(&retry, (int64_t)t->retries + 1, 0);
}

static void take(struct lease *l, struct storage_batch *b, struct task *t,
                 bool *gone)
{
    struct bytes app = l->q->app->id;
    struct task was = *t;

    *gone = is_worn_out(l, t);
    if (*gone) {
        task_end(b, app, l->q->name, t, l->now + TASK_TOMB_LIFE);
        return;
    }
    t->eta = t->at = l->until;
    t->retries++;
    t->executions++;
    task_move(b, app, l->q->name, &was, t);
}

static int take_all(struct ctx *ctx, struct lease *l, bool *gone)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    bool store;
    int generation = queue_write_begin(l->tq, l->q, l->until, &store);
    int rc;

    if (store)
        queue_low_put(&b, l->q, l->until);
    for (size_t i = 0; i < l->n; i++)
        take(l, &b, &l->picked[i], &gone[i]);
    rc = b.n_writes && !errinj("taskqueue.lease.unwritten")
             ? storage_commit(ctx, l->tq->o.storage, &b, NULL)
             : 0;
    queue_write_end(l->tq, l->q, generation);
    return rc;
}

static void tell(struct ctx *ctx, struct lease *l, const bool *gone,
                 struct taskqueue_TaskQueueQueryAndOwnTasksResponse *out)
{
#define OWN_(name_) taskqueue_TaskQueueQueryAndOwnTasksResponse_Task_##name_
    for (size_t i = 0; i < l->n; i++) {
        struct taskqueue_TaskQueueQueryAndOwnTasksResponse_Task *m;
        const struct task *t = &l->picked[i];
        struct task_request r;

        if (gone[i]) {
            log_warn(ctx, "taskqueue.worn_out", "queue", log_bytes(l->q->name),
                     "task", log_bytes(t->name), "leases",
                     log_int((int64_t)t->retries), "next",
                     "deleted: task_retry_limit is reached");
            queue_count(l->q, -1, task_size(t));
            continue;
        }
        queue_count_run(l->tq, l->q, l->now);
        task_request_read(t->request, &r);
        m = taskqueue_TaskQueueQueryAndOwnTasksResponse_add_task(ctx, out);
        OWN_(set_task_name)(m, t->name);
        OWN_(set_eta_usec)(m, t->eta);
        OWN_(set_retry_count)(m, (int32_t)t->retries);
        OWN_(set_body)(m, r.body.p ? r.body : BYTES("", 0));
        if (r.has_tag)
            OWN_(set_tag)(m, r.tag);
    }
#undef OWN_
}

static int lease_all(struct ctx *ctx, struct lease *l,
                     struct taskqueue_TaskQueueQueryAndOwnTasksResponse *out)
{
    struct bytes tag = l->tag;
    bool *gone = ARENA_ARRAY(ctx->arena, bool, l->max + 1);
    int rc;

    l->picked = ARENA_ARRAY(ctx->arena, struct task, l->max + 1);
    do {
        ctx_err_clear(ctx);
        l->tag = tag;
        rc = pick(ctx, l);
        if (rc == 0)
            rc = take_all(ctx, l, gone);
    } while ((rc == ERR_CONFLICT || rc == ERR_ABORTED) && ctx_left(ctx) > 0);
    if (rc == 0)
        tell(ctx, l, gone, out);
    return rc;
}

/* ---- the handlers ---- */

/* Seconds from now, in whole microseconds; -1 when it is no lease. */
static int64_t lease_us(double seconds)
{
    if (!(seconds >= 0) || !(seconds <= LEASE_SEC_MAX))
        return -1;
    return (int64_t)(seconds * 1e6);
}

static int need_pull(struct ctx *ctx, struct bytes name, struct queue **q,
                     const struct queue_def **def)
{
    struct taskqueue *tq = ctx->env->taskqueue;
    int rc;

    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    rc = queue_need(ctx, tq, ctx->app, name, q);
    if (rc)
        return rc;
    *def = queue_def(ctx, tq, *q);
    if ((*def)->mode != taskqueue_TaskQueueMode_PULL)
        return taskqueue_err(ctx, TQ(INVALID_QUEUE_MODE),
                             "queue \"%.*s\" is no pull queue",
                             BYTES_FMT(name));
    return 0;
}

int taskqueue_lease(struct ctx *ctx,
                    const struct taskqueue_TaskQueueQueryAndOwnTasksRequest *in,
                    struct taskqueue_TaskQueueQueryAndOwnTasksResponse *out)
{
#define IN_(name_) taskqueue_TaskQueueQueryAndOwnTasksRequest_##name_(in)
    int64_t us = lease_us(IN_(lease_seconds)), max = IN_(max_tasks), at, eta;
    struct lease l = {
        .tq = ctx->env->taskqueue,
        .by_tag = IN_(group_by_tag),
        .tag = IN_(tag),
    };
    int rc = need_pull(ctx, IN_(queue_name), &l.q, &l.def);

    if (rc)
        return rc;
    if (us < 0 || max <= 0)
        return taskqueue_err(ctx, TQ(INVALID_REQUEST),
                             us < 0 ? "a lease is of 0 to 604800 seconds"
                                    : "at least one task is leased");
    if (IN_(has_tag) && !l.by_tag)
        return taskqueue_err(ctx, TQ(INVALID_REQUEST),
                             "Tag specified, but group_by_tag was not.");
    if (l.def->paused || l.def->disabled)
        return 0;
    /* Over what is purged and not swept yet, a queue at a time. */
    if (l.def->purged > l.def->swept)
        rc = queue_first(ctx, l.tq, l.q, &at, &eta);
    if (rc)
        return rc;
    l.max = max < TASK_LEASE_MAX ? (size_t)max : TASK_LEASE_MAX;
    l.now = clock_wall();
    l.until = l.now + us;
    return lease_all(ctx, &l, out);
#undef IN_
}

static int modify(struct ctx *ctx, struct queue *q, struct bytes name,
                  int64_t eta, int64_t us, int64_t *updated)
{
    struct taskqueue *tq = ctx->env->taskqueue;
    struct task_found found;
    int64_t now = clock_wall();
    struct task t;
    int rc = task_find(ctx, tq, q, &name, 1, &found);

    if (rc)
        return rc;
    if (found.result)
        return taskqueue_err(ctx, found.result, "there is no task \"%.*s\"",
                             BYTES_FMT(name));
    if (found.task.eta != eta || eta < now)
        return taskqueue_err(ctx, TQ(TASK_LEASE_EXPIRED),
                             "the lease of task \"%.*s\" has ended",
                             BYTES_FMT(name));
    t = found.task;
    t.eta = t.at = now + us;
    rc = task_move_commit(ctx, tq, q, &found.task, &t);
    *updated = t.eta;
    return rc;
}

int taskqueue_modify_lease(
    struct ctx *ctx, const struct taskqueue_TaskQueueModifyTaskLeaseRequest *in,
    struct taskqueue_TaskQueueModifyTaskLeaseResponse *out)
{
#define IN_(name_) taskqueue_TaskQueueModifyTaskLeaseRequest_##name_(in)
    int64_t us = lease_us(IN_(lease_seconds)), updated = 0;
    const struct queue_def *def;
    struct queue *q;
    int rc = need_pull(ctx, IN_(queue_name), &q, &def);

    if (rc)
        return rc;
    if (def->paused || def->disabled)
        return taskqueue_err(ctx, TQ(QUEUE_PAUSED), "queue \"%.*s\" is paused",
                             BYTES_FMT(q->name));
    if (us < 0)
        return taskqueue_err(ctx, TQ(INVALID_REQUEST),
                             "a lease is of 0 to 604800 seconds");
    do {
        ctx_err_clear(ctx);
        rc = modify(ctx, q, IN_(task_name), IN_(eta_usec), us, &updated);
    } while ((rc == ERR_CONFLICT || rc == ERR_ABORTED) && !ctx->err.code &&
             ctx_left(ctx) > 0);
    if (rc == 0)
        taskqueue_TaskQueueModifyTaskLeaseResponse_set_updated_eta_usec(
            out, updated);
    return rc;
#undef IN_
}
