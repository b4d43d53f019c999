/*
 * dispatch - the loop's thread and its inbox.
 *
 * Handlers tell of tasks that were put, went, or of definitions that changed;
 * the store's threads bring back scans and outcomes.  The loop takes all of it
 * at once, and then lets every queue that is concerned start what may start.
 */
#include "service/taskqueue/dispatch_int.h"

#include "base/log.h"

#include <stdlib.h>

/* ---- lists and tasks ---- */

void dispatch_list_init(struct dispatch_list *l)
{
    *l = (struct dispatch_list){.last = &l->first};
}

void dispatch_list_add(struct dispatch_list *l, struct dispatch_task *t)
{
    t->next = NULL;
    *l->last = t;
    l->last = &t->next;
    l->n++;
}

struct dispatch_task *dispatch_list_take(struct dispatch_list *l)
{
    struct dispatch_task *t = l->first;

    if (!t)
        return NULL;
    l->first = t->next;
    if (!l->first)
        l->last = &l->first;
    l->n--;
    return t;
}

/* All of `from` behind `to`. */
static void list_move(struct dispatch_list *to, struct dispatch_list *from)
{
    if (!from->first)
        return;
    *to->last = from->first;
    to->last = from->last;
    to->n += from->n;
    dispatch_list_init(from);
}

struct dispatch_task *dispatch_task_new(struct queue *q, const struct task *t)
{
    size_t n = t->name.n + t->request.n;
    struct dispatch_task *own = malloc(sizeof(*own) + n);

    if (!own)
        die("out of memory for a task");
    memset(own, 0, sizeof(*own));
    own->queue = q;
    own->size = sizeof(*own) + n;
    own->task = *t;
    memcpy(own->data, t->name.p, t->name.n);
    own->task.name = BYTES(own->data, t->name.n);
    own->task.request = BYTES_NONE;
    if (t->request.n == 0)
        return own;
    memcpy(own->data + t->name.n, t->request.p, t->request.n);
    own->task.request = BYTES(own->data + t->name.n, t->request.n);
    if (!task_request_read(own->task.request, &own->request)) {
        log_error(NULL, "taskqueue.corrupt", "app", log_bytes(q->app->id),
                  "queue", log_bytes(q->name), "task", log_bytes(t->name),
                  "next", "it is left alone");
        free(own);
        return NULL;
    }
    return own;
}

void dispatch_task_free(struct dispatch_task *t)
{
    if (t->box)
        queue_box_unref(t->box);
    free(t);
}

/* ---- the inbox ---- */

static bool inbox_empty(const struct dispatch *d)
{
    return !d->messages && !d->ended.first && !d->scanned && !d->stop;
}

static void post(struct dispatch *d, enum message_kind kind, struct queue *q,
                 struct dispatch_task *t)
{
    struct message *m = malloc(sizeof(*m));
    bool wake;

    if (!m)
        die("out of memory for the dispatcher's inbox");
    *m = (struct message){.kind = kind, .queue = q, .task = t};
    lock_take(&d->inbox_lock);
    wake = inbox_empty(d);
    if (kind == MESSAGE_OFFER && d->n_messages >= DISPATCH_INBOX) {
        d->missed = true;
    } else {
        *d->messages_end = m;
        d->messages_end = &m->next;
        d->n_messages++;
        m = NULL;
    }
    if (wake)
        uv_async_send(&d->wake);
    lock_drop(&d->inbox_lock);
    if (m) {
        dispatch_task_free(t);
        free(m);
    }
}

void dispatch_offer(struct taskqueue *tq, struct queue *q, const struct task *t)
{
    struct dispatch_task *own;

    if (!tq->dispatch)
        return;
    /* A scan of a full queue will come to it anyway. */
    if (t->at > atomic_load(&q->scan_reaches))
        return;
    own = dispatch_task_new(q, t);
    if (own)
        post(tq->dispatch, MESSAGE_OFFER, q, own);
}

void dispatch_forget(struct taskqueue *tq, struct queue *q,
                     const struct task *t)
{
    struct task place = {.name = t->name, .at = t->at};

    if (tq->dispatch)
        post(tq->dispatch, MESSAGE_FORGET, q, dispatch_task_new(q, &place));
}

void dispatch_changed(struct taskqueue *tq, struct queue *q)
{
    if (tq->dispatch)
        post(tq->dispatch, MESSAGE_CHANGED, q, NULL);
}

void dispatch_hand_scan(struct dispatch *d, struct dispatch_scan *scan)
{
    lock_take(&d->inbox_lock);
    if (inbox_empty(d))
        uv_async_send(&d->wake);
    scan->next = d->scanned;
    d->scanned = scan;
    lock_drop(&d->inbox_lock);
}

void dispatch_hand_ended(struct dispatch *d, struct dispatch_list *ended)
{
    lock_take(&d->inbox_lock);
    if (inbox_empty(d))
        uv_async_send(&d->wake);
    list_move(&d->ended, ended);
    lock_drop(&d->inbox_lock);
}

/* ---- the loop ---- */

static void take_message(struct dispatch *d, struct message *m)
{
    struct dispatch_queue *dq = dispatch_queue_of(d, m->queue);

    switch (m->kind) {
    case MESSAGE_OFFER:
        dispatch_queue_offer(dq, m->task);
        break;
    case MESSAGE_FORGET:
        dispatch_queue_forget(dq, m->task);
        break;
    case MESSAGE_CHANGED:
        dispatch_queue_changed(dq);
        break;
    }
}

static void take_messages(struct dispatch *d, struct message *m)
{
    struct message *next;

    for (; m; m = next) {
        next = m->next;
        take_message(d, m);
        free(m);
    }
}

static void take_scans(struct dispatch_scan *scan)
{
    struct dispatch_scan *next;

    for (; scan; scan = next) {
        next = scan->next;
        dispatch_queue_scanned(scan);
    }
}

static void on_broker_closed(void *arg)
{
}

static void stop_loop(struct dispatch *d)
{
    d->stopping = true;
    for (struct dispatch_queue *dq = d->queues; dq; dq = dq->next)
        dispatch_queue_stop(dq);
    d->broker->ops->free(d->broker, on_broker_closed, NULL);
    d->broker = NULL;
    uv_close((uv_handle_t *)&d->wake, NULL);
}

static void on_wake(uv_async_t *h)
{
    struct dispatch *d = h->data;
    struct message *messages;
    struct dispatch_list ended;
    struct dispatch_scan *scanned;
    struct dispatch_task *t;
    bool missed, stop;

    dispatch_list_init(&ended);
    lock_take(&d->inbox_lock);
    messages = d->messages;
    scanned = d->scanned;
    list_move(&ended, &d->ended);
    missed = d->missed;
    stop = d->stop;
    d->messages = NULL;
    d->messages_end = &d->messages;
    d->n_messages = 0;
    d->scanned = NULL;
    d->missed = false;
    lock_drop(&d->inbox_lock);

    /*
     * Messages first: what was forgotten must not start, and a scan's end
     * counts on the offers that were made before it.
     */
    take_messages(d, messages);
    while ((t = dispatch_list_take(&ended)) != NULL)
        dispatch_queue_ended(t);
    take_scans(scanned);
    for (struct dispatch_queue *dq = d->queues; dq; dq = dq->next) {
        if (missed)
            dispatch_queue_missed(dq);
        if (dq->dirty && !stop)
            dispatch_queue_pump(dq);
    }
    if (stop && !d->stopping)
        stop_loop(d);
}

static void *run(void *arg)
{
    struct dispatch *d = arg;
    struct queue *q;

    lock_take(&d->tq->lock);
    q = d->tq->all;
    lock_drop(&d->tq->lock);
    for (; q; q = q->next_all)
        dispatch_queue_pump(dispatch_queue_of(d, q));
    uv_run(&d->loop, UV_RUN_DEFAULT);
    return NULL;
}

/* ---- life ---- */

static int start_thread(struct ctx *ctx, struct dispatch *d)
{
    int rc = pthread_create(&d->thread, NULL, run, d);

    if (rc)
        return ctx_err(ctx, ERR_UNAVAILABLE,
                       "the task dispatcher cannot be started: %s",
                       strerror(rc));
    return 0;
}

static void free_dispatch(struct dispatch *d)
{
    lock_release(&d->inbox_lock);
    lock_release(&d->store_lock);
    free(d);
}

static void on_broker_ready(void *arg)
{
    dispatch_queue_unblock_all(arg);
}

/* What was deleted before now must not start. */
static void on_broker_before(void *arg)
{
    struct dispatch *d = arg;

    on_wake(&d->wake);
}

static int start_broker(struct ctx *ctx, struct dispatch *d)
{
    struct broker *local;
    int rc = broker_local_new(ctx, d->tq, &d->loop, &local);

    d->broker = local;
    if (rc == 0 && d->tq->o.rabbitmq)
        rc = broker_rabbitmq_new(ctx, d->tq, &d->loop, local, &d->broker);
    if (rc == 0) {
        d->broker->ready = on_broker_ready;
        d->broker->before = on_broker_before;
        d->broker->arg = d;
    }
    return rc;
}

int dispatch_start(struct ctx *ctx, struct taskqueue *tq)
{
    struct dispatch *d = calloc(1, sizeof(*d));
    int rc;

    if (!d)
        die("out of memory for the task dispatcher");
    d->tq = tq;
    d->messages_end = &d->messages;
    d->scans_end = &d->scans;
    d->blocked_end = &d->blocked;
    dispatch_list_init(&d->ended);
    dispatch_list_init(&d->ends);
    lock_init(&d->inbox_lock, LOCK_TASKQUEUE_INBOX);
    lock_init(&d->store_lock, LOCK_TASKQUEUE_STORE);
    uv_loop_init(&d->loop);
    uv_async_init(&d->loop, &d->wake, on_wake);
    d->wake.data = d;
    rc = start_broker(ctx, d);
    if (rc == 0)
        rc = dispatch_store_start(ctx, d);
    if (rc == 0) {
        tq->dispatch = d;
        rc = start_thread(ctx, d);
    }
    if (rc)
        tq->dispatch = NULL; /* the process ends with it */
    return rc;
}

static void free_rest(struct dispatch *d)
{
    struct dispatch_task *t;

    while (d->messages) {
        struct message *m = d->messages;

        d->messages = m->next;
        if (m->task)
            dispatch_task_free(m->task);
        free(m);
    }
    while ((t = dispatch_list_take(&d->ended)) != NULL)
        dispatch_task_free(t);
    while (d->scanned) {
        struct dispatch_scan *scan = d->scanned;

        d->scanned = scan->next;
        while ((t = dispatch_list_take(&scan->found)) != NULL)
            dispatch_task_free(t);
        buf_release(&scan->from);
        free(scan);
    }
    while (d->queues) {
        struct dispatch_queue *dq = d->queues;

        d->queues = dq->next;
        queue_box_unref(dq->box);
        buf_release(&dq->cursor);
        free(dq);
    }
}

/*
 * The loop first, so that no more outcomes come; then those that are there are
 * written; then what is left of both.
 */
void dispatch_stop(struct taskqueue *tq)
{
    struct dispatch *d = tq->dispatch;

    lock_take(&d->inbox_lock);
    d->stop = true;
    uv_async_send(&d->wake);
    lock_drop(&d->inbox_lock);
    pthread_join(d->thread, NULL);
    dispatch_store_stop(d);
    tq->dispatch = NULL;
    uv_loop_close(&d->loop);
    free_rest(d);
    free_dispatch(d);
}
