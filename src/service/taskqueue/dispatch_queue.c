/*
 * dispatch_queue - one push queue on the dispatcher's loop.
 *
 * A window of tasks that are due is held ready, read ahead a page at a time
 * from a cursor through the rows by ETA.  A task that is put now and due now
 * comes by itself (an offer) and starts without a scan, as long as no older
 * one waits.  What is held is known by queue, name and place, so that a scan
 * and an offer of the same task are one.
 *
 * A task whose outcome is durable is forgotten - but while a scan is under way
 * it is remembered as over: the scan may have read its row before that.
 */
#include "service/taskqueue/dispatch_int.h"

#include "base/errinj.h"
#include "base/log.h"

#include <stdlib.h>

#define WAKE_MOST  (10 * CLOCK_SEC) /* the calendar may be set meanwhile */
#define SCAN_AGAIN (1 * CLOCK_SEC)  /* after a scan that failed */
#define AHEAD      (2 * CLOCK_SEC)  /* of starts that are written down */

/* ---- what is known ---- */

static struct dispatch_task **slot_of(struct dispatch *d, const struct queue *q,
                                      struct bytes name)
{
    uint64_t h = bytes_hash(name) + (uintptr_t)q / 64;

    return &d->hash[h % DISPATCH_HASH];
}

static struct dispatch_task *known(struct dispatch_queue *dq,
                                   const struct task *t)
{
    struct dispatch_task *k = *slot_of(dq->d, dq->queue, t->name);

    while (k && !(k->dq == dq && k->task.at == t->at &&
                  bytes_eq(k->task.name, t->name)))
        k = k->hash_next;
    return k;
}

static void know(struct dispatch_queue *dq, struct dispatch_task *t)
{
    struct dispatch_task **slot = slot_of(dq->d, dq->queue, t->task.name);

    t->dq = dq;
    t->hash_next = *slot;
    *slot = t;
    dq->d->bytes += t->size;
}

static void unknow(struct dispatch_task *t)
{
    struct dispatch *d = t->dq->d;
    struct dispatch_task **at = slot_of(d, t->queue, t->task.name);

    while (*at != t)
        at = &(*at)->hash_next;
    *at = t->hash_next;
    d->bytes -= t->size;
    dispatch_task_free(t);
}

/* It is gone; a scan that is under way must not bring it back. */
static void over(struct dispatch_task *t)
{
    struct dispatch_queue *dq = t->dq;

    if (!dq->scanning) {
        unknow(t);
        return;
    }
    t->state = DISPATCH_OVER;
    t->next = dq->over;
    dq->over = t;
}

static void forget_over(struct dispatch_queue *dq)
{
    while (dq->over) {
        struct dispatch_task *t = dq->over;

        dq->over = t->next;
        unknow(t);
    }
}

static void make_ready(struct dispatch_queue *dq, struct dispatch_task *t)
{
    t->state = DISPATCH_READY;
    know(dq, t);
    dispatch_list_add(&dq->ready, t);
}

/* ---- the definition ---- */

static bool is_push(const struct queue_def *def)
{
    return def->mode == taskqueue_TaskQueueMode_PUSH && !def->deleted;
}

static bool may_run(const struct dispatch_queue *dq)
{
    const struct queue_def *def = &dq->box->def;

    return is_push(def) && !def->paused && !def->disabled && def->rate > 0;
}

static size_t concurrent(const struct dispatch_queue *dq)
{
    int32_t max = dq->box->def.max_concurrent;

    return max > 0 ? (size_t)max : QUEUE_CONCURRENT;
}

static void tell_enforced(struct dispatch_queue *dq, int64_t now)
{
    double rate = bucket_enforced(&dq->bucket, now);
    uint64_t bits;

    memcpy(&bits, &rate, sizeof(bits));
    atomic_store(&dq->queue->enforced, bits);
}

/* ---- the cursor ---- */

/* Whether an offer may be left to a scan: see dispatch_offer(). */
static void tell_reach(struct dispatch_queue *dq)
{
    int64_t at = INT64_MAX;

    if (dq->more && !dq->scanning && dq->cursor.n >= 8)
        at = (int64_t)get_be64(dq->cursor.p);
    atomic_store(&dq->queue->scan_reaches, at);
}

static void set_cursor(struct dispatch_queue *dq, struct bytes row)
{
    buf_clear(&dq->cursor);
    buf_add(&dq->cursor, row);
}

/* The next scan is to find this task. */
static void leave_to_scan(struct dispatch_queue *dq, const struct task *t)
{
    struct arena a = ARENA_INIT;
    struct bytes row = task_eta_row(&a, t->at, t->name);

    if (bytes_cmp(row, buf_view(&dq->cursor)) < 0)
        set_cursor(dq, row);
    dq->more = true;
    /* One that is under way may not see it, and ends further on. */
    if (dq->scanning &&
        (dq->again.n == 0 || bytes_cmp(row, buf_view(&dq->again)) < 0)) {
        buf_clear(&dq->again);
        buf_add(&dq->again, row);
    }
    arena_release(&a);
}

void dispatch_queue_missed(struct dispatch_queue *dq)
{
    struct task first = {.at = 0, .name = BYTES_LIT("")};

    leave_to_scan(dq, &first);
    dq->dirty = true;
}

/* ---- offers ---- */

void dispatch_queue_offer(struct dispatch_queue *dq, struct dispatch_task *t)
{
    bool known_already = known(dq, &t->task) != NULL;

    dq->dirty = true;
    if (known_already || !is_push(&dq->box->def)) {
        dispatch_task_free(t);
        return;
    }
    if (t->task.at > clock_wall()) {
        if (t->task.at < dq->next_at)
            dq->next_at = t->task.at;
        dispatch_task_free(t);
        return;
    }
    if (!dq->queue->started && !dq->more && dq->ready.n < DISPATCH_READY_MAX &&
        dq->d->bytes < DISPATCH_BYTES) {
        make_ready(dq, t);
        return;
    }
    leave_to_scan(dq, &t->task);
    dispatch_task_free(t);
}

/* ---- scans ---- */

static struct dispatch_scan *job_new(struct dispatch_queue *dq,
                                     enum dispatch_job job, int64_t until)
{
    struct dispatch_scan *scan = calloc(1, sizeof(*scan));

    if (!scan)
        die("out of memory for a scan");
    scan->dq = dq;
    scan->job = job;
    scan->until = until;
    dispatch_list_init(&scan->found);
    return scan;
}

static void scan_start(struct dispatch_queue *dq)
{
    struct dispatch_scan *scan = job_new(dq, JOB_SCAN, clock_wall());

    buf_add(&scan->from, buf_view(&dq->cursor));
    dq->scanning = true;
    tell_reach(dq);
    queue_scan_begin(dq->d->tq, dq->queue, &dq->low_moves);
    dispatch_store_scan(dq->d, scan);
}

/* No task of the queue lies before this place. */
static int64_t lowest(const struct dispatch_queue *dq)
{
    int64_t at = (int64_t)get_be64(dq->cursor.p);

    for (int i = 0; i < DISPATCH_HASH; i++) {
        const struct dispatch_task *t = dq->d->hash[i];

        for (; t; t = t->hash_next) {
            if (t->dq == dq && t->state != DISPATCH_OVER && t->task.at < at)
                at = t->task.at;
        }
    }
    return at;
}

/* Purged before it started: its rows may be in nobody's way any more. */
static bool is_dead(const struct dispatch_queue *dq, const struct task *t)
{
    return t->created <= dq->box->def.purged;
}

static void merge(struct dispatch_queue *dq, struct dispatch_scan *scan)
{
    struct dispatch_task *t;

    while ((t = dispatch_list_take(&scan->found)) != NULL) {
        if (known(dq, &t->task)) {
            dispatch_task_free(t);
        } else if (is_dead(dq, &t->task)) {
            know(dq, t);
            t->state = DISPATCH_ENDING;
            t->outcome = OUTCOME_BURIED;
            dispatch_store_end(dq->d, t);
        } else {
            make_ready(dq, t);
        }
    }
    set_cursor(dq, buf_view(&scan->from));
    dq->more = scan->more;
    dq->next_at = scan->next_at < dq->next_at || dq->next_at <= scan->until
                      ? scan->next_at
                      : dq->next_at;
    if (dq->again.n) {
        if (bytes_cmp(buf_view(&dq->again), buf_view(&dq->cursor)) < 0)
            set_cursor(dq, buf_view(&dq->again));
        dq->more = true;
    }
}

/* ---- what may have started ---- */

/*
 * Once in a while for a queue that keeps up, once for each window of one that
 * does not: then tasks far behind are not said to have started.
 */
static void advance(struct dispatch_queue *dq, int64_t place)
{
    int64_t until = place;

    if (dq->advancing)
        return;
    if (dq->more) {
        for (struct dispatch_task *t = dq->ready.first; t; t = t->next)
            until = t->task.at > until ? t->task.at : until;
    } else if (until < clock_wall() + AHEAD) {
        until = clock_wall() + AHEAD;
    }
    dq->advancing = true;
    dispatch_store_scan(dq->d, job_new(dq, JOB_ADVANCE, until));
}

/* Whether the task may start; if not yet, it soon may. */
static bool is_through(struct dispatch_queue *dq, const struct task *t)
{
    if (t->at > dq->through)
        advance(dq, t->at);
    else if (!dq->more && dq->through < clock_wall() + AHEAD / 2)
        advance(dq, t->at);
    return t->at <= dq->through;
}

static void take_job(struct dispatch_queue *dq,
                     const struct dispatch_scan *scan)
{
    if (scan->job == JOB_RECOVER)
        dq->recovering = false;
    else
        dq->advancing = false;
    if (scan->rc)
        dq->pause_until = clock_mono() + SCAN_AGAIN;
    else if (scan->job == JOB_ADVANCE)
        dq->through = scan->until;
    else
        dq->queue->started = 0;
}

void dispatch_queue_scanned(struct dispatch_scan *scan)
{
    struct dispatch_queue *dq = scan->dq;
    struct dispatch_task *t;

    dq->dirty = true;
    if (scan->job != JOB_SCAN) {
        take_job(dq, scan);
        buf_release(&scan->from);
        free(scan);
        return;
    }
    if (scan->rc == 0)
        merge(dq, scan);
    else
        dq->pause_until = clock_mono() + SCAN_AGAIN;
    buf_clear(&dq->again);
    dq->scanning = false;
    forget_over(dq);
    queue_scan_end(dq->d->tq, dq->queue, dq->low_moves,
                   scan->rc || !dq->low_moves ? 0 : lowest(dq));
    while ((t = dispatch_list_take(&scan->found)) != NULL)
        dispatch_task_free(t);
    buf_release(&scan->from);
    free(scan);
}

/* ---- attempts ---- */

static int64_t deadline_of(const struct dispatch_task *t)
{
    return t->request.has_deadline ? t->request.deadline
                                   : DISPATCH_DEADLINE_SEC * CLOCK_SEC;
}

static bool app_may_run(const struct dispatch_queue *dq)
{
    return dq->queue->app->running < DISPATCH_APP_RUNNING;
}

static void unblock(struct dispatch *d)
{
    struct dispatch_queue *dq = d->blocked;

    if (!dq)
        return;
    d->blocked = dq->next_blocked;
    if (!d->blocked)
        d->blocked_end = &d->blocked;
    dq->blocked = false;
    dispatch_queue_pump(dq);
}

void dispatch_queue_unblock_all(struct dispatch *d)
{
    struct dispatch_queue *last = NULL;

    for (struct dispatch_queue *dq = d->blocked; dq; dq = dq->next_blocked)
        last = dq;
    /* Who cannot start after all goes behind the last one. */
    while (last && d->blocked) {
        bool end = d->blocked == last;

        unblock(d);
        if (end)
            return;
    }
}

static void block(struct dispatch_queue *dq)
{
    struct dispatch *d = dq->d;

    if (dq->blocked)
        return;
    dq->blocked = true;
    dq->next_blocked = NULL;
    *d->blocked_end = dq;
    d->blocked_end = &dq->next_blocked;
}

static void give_up(const struct dispatch_task *t)
{
    log_warn(NULL, "taskqueue.gave_up", "app", log_bytes(t->queue->app->id),
             "queue", log_bytes(t->queue->name), "task",
             log_bytes(t->task.name), "url", log_bytes(t->request.url),
             "attempts", log_int((int64_t)t->after.retries), "status",
             log_int(t->after.status), "next",
             "deleted: its retry limits are reached");
}

/* What a failure makes of the task: another attempt, or its end. */
static void judge_failure(struct dispatch_task *t,
                          const struct broker_result *res, int64_t now)
{
    struct retry retry = queue_retry(&t->box->def, &t->request);

    t->after.retries++;
    if (res->reached)
        t->after.executions++;
    t->after.status = res->err ? 0 : (uint16_t)res->status;
    if (retry_may(&retry, t->after.retries, now - t->after.first_try) &&
        !errinj("taskqueue.failure.ends")) {
        t->outcome = OUTCOME_MOVE;
        t->after.eta = t->after.at = now + retry_wait(&retry, t->after.retries);
    } else {
        give_up(t);
        t->outcome = OUTCOME_END;
    }
}

static void count_end(struct dispatch_queue *dq)
{
    dq->running--;
    dq->d->running--;
    dq->queue->app->running--;
    atomic_fetch_sub(&dq->queue->in_flight, 1);
}

static void on_done(struct delivery *delivery, const struct broker_result *res)
{
    struct dispatch_task *t =
        (struct dispatch_task *)((char *)delivery -
                                 offsetof(struct dispatch_task, delivery));
    struct dispatch_queue *dq = t->dq;
    int64_t now = clock_wall();
    bool good = res->err == 0 && res->status >= 200 && res->status < 300;

    count_end(dq);
    if (res->started)
        t->started = res->started;
    t->after = t->task;
    t->after.dispatched = t->started;
    t->after.elapsed = now > t->started ? now - t->started : 0;
    if (!t->after.first_try)
        t->after.first_try = t->started;
    t->outcome = OUTCOME_END;
    if (!good)
        judge_failure(t, res, now);
    if (res->err == 0 ? res->status == 503 : !res->reached)
        bucket_slow(&dq->bucket, clock_mono());
    t->state = DISPATCH_ENDING;
    dispatch_store_end(dq->d, t);
    dispatch_queue_pump(dq);
    unblock(dq->d);
}

static void start(struct dispatch_queue *dq, struct dispatch_task *t)
{
    t->state = DISPATCH_RUNS;
    t->started = clock_wall();
    t->box = dq->box;
    atomic_fetch_add(&t->box->refs, 1);
    t->delivery = (struct delivery){
        .queue = dq->queue,
        .def = &t->box->def,
        .task = &t->task,
        .request = &t->request,
        .deadline = deadline_of(t),
        .done = on_done,
    };
    dq->running++;
    dq->d->running++;
    dq->queue->app->running++;
    atomic_fetch_add(&dq->queue->in_flight, 1);
    queue_count_run(dq->d->tq, dq->queue, t->started);
    dq->d->broker->ops->give(dq->d->broker, &t->delivery);
}

void dispatch_queue_ended(struct dispatch_task *t)
{
    struct dispatch_queue *dq = t->dq;
    struct broker *b = dq->d->broker;

    if (t->delivery.handle && b->ops->recorded)
        b->ops->recorded(b, &t->delivery);

    /* A retry has another place, which a scan may have passed by already. */
    if (t->outcome == OUTCOME_MOVE && t->after.at <= clock_wall())
        leave_to_scan(dq, &t->after);
    else if (t->outcome == OUTCOME_MOVE && t->after.at < dq->next_at)
        dq->next_at = t->after.at;
    over(t);
    dq->dirty = true;
}

/* ---- what is not to start any more ---- */

/* Take one back that the broker has and nobody has begun; who calls this says
 * what becomes of it. */
static bool withdraw(struct dispatch_task *t)
{
    struct broker *b = t->dq->d->broker;

    if (t->state != DISPATCH_RUNS || !b->ops->withdraw ||
        !b->ops->withdraw(b, &t->delivery))
        return false;
    count_end(t->dq);
    return true;
}

static void withdraw_unwanted(struct dispatch_queue *dq)
{
    bool stopped = !may_run(dq);

    for (int i = 0; i < DISPATCH_HASH; i++) {
        struct dispatch_task *t = dq->d->hash[i], *next;

        for (; t; t = next) {
            bool dead = t->dq == dq && is_dead(dq, &t->task);

            next = t->hash_next;
            if (t->dq != dq || !(dead || stopped) || !withdraw(t))
                continue;
            if (!dead)
                leave_to_scan(dq, &t->task);
            over(t);
        }
    }
}

void dispatch_queue_forget(struct dispatch_queue *dq, struct dispatch_task *t)
{
    struct dispatch_task *k = known(dq, &t->task);

    if (!k && dq->scanning) {
        know(dq, t);
        over(t);
        return;
    }
    if (k && k->state == DISPATCH_READY)
        k->state = DISPATCH_OVER; /* dropped where its list is taken from */
    else if (k && withdraw(k))
        over(k);
    dispatch_task_free(t);
}

void dispatch_queue_changed(struct dispatch_queue *dq)
{
    queue_box_unref(dq->box);
    dq->box = queue_box_ref(dq->d->tq, dq->queue);
    bucket_set(&dq->bucket, dq->box->def.rate, dq->box->def.bucket_size,
               clock_mono());
    dq->dirty = true;
    withdraw_unwanted(dq);
}

/* ---- the pump ---- */

static bool broker_takes(struct broker *b)
{
    return !b->ops->takes || b->ops->takes(b);
}

/* Tasks of the ready list that may start now; *wake is when the next may. */
static void start_ready(struct dispatch_queue *dq, int64_t now, int64_t *wake)
{
    struct dispatch *d = dq->d;
    struct dispatch_task *t;

    while ((t = dq->ready.first) != NULL) {
        if (t->state == DISPATCH_OVER || is_dead(dq, &t->task)) {
            over(dispatch_list_take(&dq->ready));
            continue;
        }
        if (dq->running >= concurrent(dq) || !is_through(dq, &t->task))
            return;
        if (d->running >= DISPATCH_RUNNING || !app_may_run(dq) ||
            !broker_takes(d->broker)) {
            block(dq);
            return;
        }
        if (!bucket_take(&dq->bucket, now) && !errinj("taskqueue.token.free")) {
            *wake = bucket_next(&dq->bucket, now);
            return;
        }
        start(dq, dispatch_list_take(&dq->ready));
    }
}

static void on_timer(uv_timer_t *timer)
{
    dispatch_queue_pump(timer->data);
}

/* Rounded up: a task never starts before its ETA. */
static void set_timer(struct dispatch_queue *dq, int64_t wait)
{
    if (wait > WAKE_MOST)
        wait = WAKE_MOST;
    if (wait < 0)
        wait = 0;
    uv_update_time(&dq->d->loop);
    uv_timer_start(&dq->timer, on_timer,
                   (uint64_t)((wait + CLOCK_MS - 1) / CLOCK_MS), 0);
}

static void maybe_scan(struct dispatch_queue *dq, int64_t now)
{
    if (dq->next_at <= clock_wall())
        dq->more = true;
    if (!dq->more || dq->scanning || dq->ready.n >= DISPATCH_READY_LOW ||
        dq->d->bytes >= DISPATCH_BYTES || now < dq->pause_until)
        return;
    scan_start(dq);
}

/* The process before us may have started some of the tasks. */
static void recover(struct dispatch_queue *dq, int64_t now)
{
    if (dq->recovering || now < dq->pause_until)
        return;
    dq->recovering = true;
    dispatch_store_scan(dq->d, job_new(dq, JOB_RECOVER, dq->queue->started));
}

static void start_and_scan(struct dispatch_queue *dq, int64_t now,
                           int64_t *wake)
{
    if (now >= dq->pause_until)
        start_ready(dq, now, wake);
    maybe_scan(dq, now);
}

void dispatch_queue_pump(struct dispatch_queue *dq)
{
    int64_t now = clock_mono(), wake = INT64_MAX, due;

    dq->dirty = false;
    if (dq->d->stopping)
        return;
    if (!may_run(dq)) {
        uv_timer_stop(&dq->timer);
        tell_reach(dq);
        return;
    }
    if (dq->queue->started)
        recover(dq, now);
    else
        start_and_scan(dq, now, &wake);
    tell_reach(dq);
    tell_enforced(dq, now);
    wake = wake == INT64_MAX ? wake : wake - now;
    due = dq->next_at == INT64_MAX ? INT64_MAX : dq->next_at - clock_wall();
    /* A scan's end comes by itself; one that is not made yet is not made
     * because of what wakes us anyway. */
    if (dq->scanning || dq->more)
        due = INT64_MAX;
    if (dq->pause_until > now && dq->pause_until - now < wake)
        wake = dq->pause_until - now;
    else if (dq->more && !dq->scanning && dq->d->bytes >= DISPATCH_BYTES &&
             SCAN_AGAIN < wake)
        wake = SCAN_AGAIN; /* others hold the memory */
    set_timer(dq, due < wake ? due : wake);
}

/* ---- life ---- */

struct dispatch_queue *dispatch_queue_of(struct dispatch *d, struct queue *q)
{
    struct dispatch_queue *dq = q->dispatch;
    struct arena a = ARENA_INIT;
    bool moves;
    int64_t low;

    if (dq)
        return dq;
    dq = calloc(1, sizeof(*dq));
    if (!dq)
        die("out of memory for the dispatcher's queues");
    dq->d = d;
    dq->queue = q;
    dq->box = queue_box_ref(d->tq, q);
    bucket_init(&dq->bucket, dq->box->def.rate, dq->box->def.bucket_size,
                clock_mono());
    uv_timer_init(&d->loop, &dq->timer);
    dq->timer.data = dq;
    dispatch_list_init(&dq->ready);
    dq->next_at = INT64_MAX;
    dq->more = dq->dirty = true;
    low = queue_scan_begin(d->tq, q, &moves);
    queue_scan_end(d->tq, q, moves, 0);
    set_cursor(dq, task_eta_row(&a, low, BYTES_NONE));
    arena_release(&a);
    dq->next = d->queues;
    d->queues = dq;
    q->dispatch = dq;
    return dq;
}

/* Attempts under way are forgotten: their rows are there, and due. */
void dispatch_queue_stop(struct dispatch_queue *dq)
{
    struct dispatch *d = dq->d;

    for (int i = 0; i < DISPATCH_HASH; i++) {
        struct dispatch_task **at = &d->hash[i];

        while (*at) {
            struct dispatch_task *t = *at;

            if (t->dq != dq || t->state == DISPATCH_ENDING) {
                at = &t->hash_next;
                continue;
            }
            if (t->state == DISPATCH_RUNS)
                d->broker->ops->drop(d->broker, &t->delivery);
            *at = t->hash_next;
            dispatch_task_free(t);
        }
    }
    dq->over = NULL;
    dq->queue->dispatch = NULL;
    atomic_store(&dq->queue->in_flight, 0);
    uv_close((uv_handle_t *)&dq->timer, NULL);
}
