/*
 * broker_rabbitmq - leases on tasks, by way of RabbitMQ to who makes the
 * attempt.
 *
 *   give ---> WAITS --published--> SENT --confirmed--> QUEUED
 *               ^                   |                   |
 *               +--link lost--------+                   |
 *               +--lease passed (nobody took it)--------+
 *
 *   its message arrives ---> RUNS (the local broker POSTs) ---> ENDED
 *   ---> its outcome is recorded: acknowledged, forgotten
 *
 * A message starts an attempt only when its lease is held and nobody has begun;
 * any other (a second copy, one from before a restart, one of a task that was
 * deleted meanwhile) is acknowledged and nothing else.  So messages may be sent
 * again whenever in doubt, and all of RabbitMQ's data may be lost at any time.
 *
 * Nothing is taken from the dispatcher while a link is down or RABBIT_WAITING
 * leases have found no worker: its tasks then wait in the store, in order and
 * under their queue's rate.
 *
 * The workers are the dispatcher's own process as long as a platform is one
 * machine.
 */
#include "service/taskqueue/broker_message.h"
#include "service/taskqueue/broker_rabbitmq_int.h"

#include "base/log.h"
#include "base/metrics.h"

#include <stdlib.h>
#include <sys/random.h>

#define TICK_MS    1000
#define LEASE_TIME (15 * CLOCK_SEC)  /* for a queued message to arrive... */
#define LEASE_MOST (300 * CLOCK_SEC) /* ...doubled each time it does not */
#define LEASE_BACK (5 * CLOCK_SEC)   /* after RabbitMQ came back */

static const char user[] = "appscale";

enum lease_state {
    LEASE_WAITS,
    LEASE_SENT,
    LEASE_QUEUED,
    LEASE_RUNS,
    LEASE_ENDED,
};

struct rabbit_lease {
    struct rabbit_lease *next; /* in its bucket */
    struct rabbit *r;
    uint64_t number;
    enum lease_state state;
    struct delivery *delivery; /* the dispatcher's */
    struct delivery attempt;   /* the same, for the local broker */
    int64_t due;               /* clock_mono(): published again, if QUEUED */
    int64_t wait;              /* how long it may be queued */
    int64_t started;           /* clock_wall() */
    uint64_t tag, generation;  /* of its message; 0: none to acknowledge */
};

/* ---- notes ---- */

struct rabbit_note *rabbit_note_new(enum rabbit_note_kind kind, size_t room)
{
    struct rabbit_note *n = malloc(sizeof(*n) + room);

    if (!n)
        die("out of memory for a message of the task broker");
    *n = (struct rabbit_note){.kind = kind};
    return n;
}

void rabbit_notes_init(struct rabbit_notes *l)
{
    l->first = NULL;
    l->last = &l->first;
}

void rabbit_notes_add(struct rabbit_notes *l, struct rabbit_note *n)
{
    n->next = NULL;
    *l->last = n;
    l->last = &n->next;
}

struct rabbit_note *rabbit_notes_take(struct rabbit_notes *l)
{
    struct rabbit_note *n = l->first;

    if (!n)
        return NULL;
    l->first = n->next;
    if (!l->first)
        l->last = &l->first;
    return n;
}

struct rabbit_note *rabbit_notes_take_all(struct rabbit *r,
                                          struct rabbit_notes *l)
{
    struct rabbit_note *first;

    lock_take(&r->lock);
    first = l->first;
    rabbit_notes_init(l);
    lock_drop(&r->lock);
    return first;
}

void rabbit_notes_drop(struct rabbit *r, struct rabbit_notes *l)
{
    struct rabbit_note *n = rabbit_notes_take_all(r, l), *next;

    for (; n; n = next) {
        next = n->next;
        free(n);
    }
}

void rabbit_tell(struct rabbit *r, struct rabbit_note *n)
{
    lock_take(&r->lock);
    rabbit_notes_add(&r->to_loop, n);
    lock_drop(&r->lock);
    uv_async_send(&r->wake);
}

static void tell_link(struct rabbit *r, struct rabbit_notes *l,
                      struct broker_link *link, struct rabbit_note *n)
{
    bool poke;

    lock_take(&r->lock);
    poke = !l->first;
    rabbit_notes_add(l, n);
    lock_drop(&r->lock);
    if (poke)
        broker_link_poke(link);
}

static void acknowledge(struct rabbit *r, uint64_t tag, uint64_t generation)
{
    struct rabbit_note *n = rabbit_note_new(RABBIT_ACK, 0);

    n->tag = tag;
    n->generation = generation;
    tell_link(r, &r->to_consumer, &r->consumer, n);
}

/* ---- leases ---- */

static struct rabbit_lease **slot_of(struct rabbit *r, uint64_t number)
{
    struct rabbit_lease **at = &r->leases[number % RABBIT_HASH];

    while (*at && (*at)->number != number)
        at = &(*at)->next;
    return at;
}

static bool waits(const struct rabbit_lease *l)
{
    return l->state < LEASE_RUNS;
}

/* The dispatcher is told from on_wake(), never from inside its own call. */
static void one_waits_less(struct rabbit *r)
{
    r->waiting--;
    if (r->refused)
        uv_async_send(&r->wake);
}

static void lease_free(struct rabbit_lease *l)
{
    struct rabbit_lease **at = slot_of(l->r, l->number);

    *at = l->next;
    if (waits(l))
        one_waits_less(l->r);
    l->delivery->handle = NULL;
    free(l);
}

static void publish(struct rabbit_lease *l)
{
    const struct delivery *d = l->delivery;
    const struct broker_message m = {
        .epoch = l->r->epoch,
        .number = l->number,
        .at = d->task->at,
        .moves = d->task->moves,
        .app = d->queue->app->id,
        .queue = d->queue->name,
        .name = d->task->name,
    };
    struct buf text = BUF_HEAP;
    struct rabbit_note *n;

    broker_message_write(&text, &m);
    n = rabbit_note_new(RABBIT_PUBLISH, text.n);
    n->n = text.n;
    memcpy(n->data, text.p, text.n);
    n->number = l->number;
    n->purpose =
        bytes_eq_str(d->queue->name, "__cron") ? RABBIT_CRON : RABBIT_PUSH;
    buf_release(&text);
    l->state = LEASE_SENT;
    tell_link(l->r, &l->r->to_publisher, &l->r->publisher, n);
}

static void give(struct broker *b, struct delivery *d)
{
    struct rabbit *r = (struct rabbit *)b;
    struct rabbit_lease *l = calloc(1, sizeof(*l));

    if (!l)
        die("out of memory for a lease on a task");
    l->r = r;
    l->number = ++r->numbers;
    l->delivery = d;
    l->wait = LEASE_TIME;
    l->next = r->leases[l->number % RABBIT_HASH];
    r->leases[l->number % RABBIT_HASH] = l;
    r->waiting++;
    d->handle = l;
    if (r->publishes)
        publish(l);
}

static bool takes(struct broker *b)
{
    struct rabbit *r = (struct rabbit *)b;

    r->refused = !r->publishes || !r->consumes || r->waiting >= RABBIT_WAITING;
    return !r->refused;
}

static bool withdraw(struct broker *b, struct delivery *d)
{
    struct rabbit_lease *l = d->handle;

    if (!l || !waits(l))
        return false;
    lease_free(l);
    return true;
}

/* Not acknowledged: the next one to get its message will find no lease. */
static void drop(struct broker *b, struct delivery *d)
{
    struct rabbit_lease *l = d->handle;

    if (!l)
        return;
    if (l->state == LEASE_RUNS)
        l->r->local->ops->drop(l->r->local, &l->attempt);
    lease_free(l);
}

static void recorded(struct broker *b, struct delivery *d)
{
    struct rabbit_lease *l = d->handle;

    if (l->generation)
        acknowledge(l->r, l->tag, l->generation);
    lease_free(l);
}

/* ---- a worker's turn ---- */

static void on_attempt(struct delivery *attempt,
                       const struct broker_result *res)
{
    struct rabbit_lease *l =
        (struct rabbit_lease *)((char *)attempt -
                                offsetof(struct rabbit_lease, attempt));
    struct broker_result out = *res;

    l->state = LEASE_ENDED;
    out.started = l->started;
    l->delivery->done(l->delivery, &out);
}

static void begin(struct rabbit_lease *l, const struct rabbit_note *n)
{
    struct rabbit *r = l->r;

    l->state = LEASE_RUNS;
    l->tag = n->tag;
    l->generation = n->generation;
    l->started = clock_wall();
    l->attempt = *l->delivery;
    l->attempt.done = on_attempt;
    l->attempt.handle = NULL;
    one_waits_less(r);
    r->local->ops->give(r->local, &l->attempt);
}

static bool is_of(const struct rabbit_lease *l, const struct broker_message *m)
{
    const struct delivery *d = l->delivery;

    return d->task->at == m->at && d->task->moves == m->moves &&
           bytes_eq(d->task->name, m->name) &&
           bytes_eq(d->queue->name, m->queue) &&
           bytes_eq(d->queue->app->id, m->app);
}

/* The lease that a message is for and that is to be kept with it. */
static struct rabbit_lease *lease_for(struct rabbit *r,
                                      const struct rabbit_note *n)
{
    struct broker_message m;
    struct rabbit_lease *l;

    if (!broker_message_read(BYTES(n->data, n->n), &m)) {
        log_warn(NULL, "taskqueue.broker.garbage", "bytes",
                 log_int((int64_t)n->n), "next", "the message is dropped");
        return NULL;
    }
    if (m.epoch != r->epoch)
        return NULL;
    l = *slot_of(r, m.number);
    if (!l || (waits(l) && !is_of(l, &m)))
        return NULL;
    /* One that has begun keeps the message it began with, or the copy of it
     * that came when the connection was another. */
    if (!waits(l) && l->generation == n->generation)
        return NULL;
    return l;
}

static void on_arrived(struct rabbit *r, const struct rabbit_note *n)
{
    struct rabbit_lease *l = lease_for(r, n);

    if (!l) {
        metric_add(METRIC_BROKER_STALE, 1);
        acknowledge(r, n->tag, n->generation);
    } else if (waits(l)) {
        begin(l, n);
    } else {
        l->tag = n->tag;
        l->generation = n->generation;
    }
}

/* ---- confirms, and going without ---- */

static void on_confirmed(struct rabbit *r, uint64_t number)
{
    struct rabbit_lease *l = *slot_of(r, number);

    if (!l || l->state != LEASE_SENT)
        return;
    l->state = LEASE_QUEUED;
    l->due = clock_mono() + l->wait;
}

static void each_lease(struct rabbit *r, void (*fn)(struct rabbit_lease *l))
{
    for (int i = 0; i < RABBIT_HASH; i++) {
        for (struct rabbit_lease *l = r->leases[i]; l; l = l->next)
            fn(l);
    }
}

static void unsend(struct rabbit_lease *l)
{
    if (l->state == LEASE_SENT)
        l->state = LEASE_WAITS;
}

static void send_again(struct rabbit_lease *l)
{
    if (l->state == LEASE_WAITS || l->state == LEASE_SENT)
        publish(l);
}

/* RabbitMQ is back: what it had confirmed it should bring soon. */
static void expect_soon(struct rabbit_lease *l)
{
    int64_t soon = clock_mono() + LEASE_BACK;

    if (l->state == LEASE_QUEUED && l->due > soon)
        l->due = soon;
}

static void send_late(struct rabbit_lease *l)
{
    if (l->state != LEASE_QUEUED || l->due > clock_mono())
        return;
    l->wait = l->wait * 2 < LEASE_MOST ? l->wait * 2 : LEASE_MOST;
    publish(l);
}

static void on_tick(uv_timer_t *timer)
{
    struct rabbit *r = timer->data;

    if (r->publishes && r->consumes)
        each_lease(r, send_late);
}

static void on_link(struct rabbit *r, bool consumer, bool open)
{
    metric_add(METRIC_BROKER_LINKS, open ? 1 : -1);
    if (consumer)
        r->consumes = open;
    else
        r->publishes = open;
    if (!consumer && !open)
        each_lease(r, unsend);
    else if (!consumer)
        each_lease(r, send_again);
    if (open)
        each_lease(r, expect_soon);
}

static void on_note(struct rabbit *r, const struct rabbit_note *n)
{
    switch (n->kind) {
    case RABBIT_OPEN:
    case RABBIT_LOST:
        on_link(r, n->consumer, n->kind == RABBIT_OPEN);
        break;
    case RABBIT_CONFIRMED:
        on_confirmed(r, n->number);
        break;
    case RABBIT_ARRIVED:
        on_arrived(r, n);
        break;
    case RABBIT_PUBLISH:
    case RABBIT_ACK:
        BUG("the dispatcher was given a link's note");
    }
}

static void on_wake(uv_async_t *h)
{
    struct rabbit *r = h->data;
    struct rabbit_note *n, *next;

    r->broker.before(r->broker.arg);
    if (r->closing)
        return;
    for (n = rabbit_notes_take_all(r, &r->to_loop); n; n = next) {
        next = n->next;
        on_note(r, n);
        free(n);
    }
    if (r->refused && takes(&r->broker))
        r->broker.ready(r->broker.arg);
}

/* ---- life ---- */

static void rabbit_free(struct rabbit *r)
{
    rabbit_notes_drop(r, &r->to_loop);
    rabbit_notes_drop(r, &r->to_publisher);
    rabbit_notes_drop(r, &r->to_consumer);
    lock_release(&r->lock);
    arena_release(&r->arena);
    free(r);
}

static void on_local_closed(void *arg)
{
    struct rabbit *r = arg;

    r->closed(r->closed_arg);
    rabbit_free(r);
}

static void on_handle_closed(uv_handle_t *h)
{
    struct rabbit *r = h->data;

    if (--r->closing == 0)
        r->local->ops->free(r->local, on_local_closed, r);
}

static void close_handles(struct rabbit *r)
{
    r->closing = 2;
    uv_close((uv_handle_t *)&r->wake, on_handle_closed);
    uv_close((uv_handle_t *)&r->tick, on_handle_closed);
}

/* Leases that are left have ended, and their outcome is being written. */
static void free_broker(struct broker *b, void (*closed)(void *arg), void *arg)
{
    struct rabbit *r = (struct rabbit *)b;

    broker_link_stop(&r->publisher);
    broker_link_stop(&r->consumer);
    for (int i = 0; i < RABBIT_HASH; i++) {
        while (r->leases[i])
            lease_free(r->leases[i]);
    }
    r->closed = closed;
    r->closed_arg = arg;
    close_handles(r);
}

static const struct broker_ops ops = {
    .give = give,
    .drop = drop,
    .takes = takes,
    .withdraw = withdraw,
    .recorded = recorded,
    .free = free_broker,
};

/* "127.0.0.1:6104" */
static int split_address(struct ctx *ctx, struct rabbit *r, const char *text)
{
    const char *colon = strrchr(text, ':');
    long port = colon ? strtol(colon + 1, NULL, 10) : 0;

    if (!colon || colon == text || port < 1 || port > 65535)
        return ctx_err(ctx, ERR_INVALID,
                       "\"%s\": RabbitMQ's address is ADDRESS:PORT", text);
    r->place = (struct broker_place){
        .host = arena_cstr(&r->arena, BYTES(text, (size_t)(colon - text))),
        .port = (int)port,
        .user = user,
        .password_file = arena_strdup(&r->arena, r->tq->o.rabbitmq_password),
    };
    return 0;
}

static int start_links(struct ctx *ctx, struct rabbit *r)
{
    int rc = broker_link_start(ctx, &r->publisher, &rabbit_publisher_ops,
                               &r->place, r);

    if (rc)
        return rc;
    rc = broker_link_start(ctx, &r->consumer, &rabbit_consumer_ops, &r->place,
                           r);
    if (rc)
        broker_link_stop(&r->publisher);
    return rc;
}

static void init(struct rabbit *r, uv_loop_t *loop)
{
    r->broker.ops = &ops;
    lock_init(&r->lock, LOCK_TASKQUEUE_BROKER);
    rabbit_notes_init(&r->to_loop);
    rabbit_notes_init(&r->to_publisher);
    rabbit_notes_init(&r->to_consumer);
    uv_async_init(loop, &r->wake, on_wake);
    uv_timer_init(loop, &r->tick);
    r->wake.data = r->tick.data = r;
    uv_timer_start(&r->tick, on_tick, TICK_MS, TICK_MS);
}

int broker_rabbitmq_new(struct ctx *ctx, struct taskqueue *tq, uv_loop_t *loop,
                        struct broker *local, struct broker **out)
{
    struct rabbit *r = calloc(1, sizeof(*r));
    int rc;

    if (!r)
        die("out of memory for the task broker");
    r->tq = tq;
    r->local = local;
    rc = split_address(ctx, r, tq->o.rabbitmq);
    if (rc == 0 && getrandom(&r->epoch, sizeof(r->epoch), 0) < 0)
        rc = ctx_err(ctx, ERR_INTERNAL, "no random numbers");
    if (rc) {
        arena_release(&r->arena);
        free(r);
        return rc;
    }
    init(r, loop);
    rc = start_links(ctx, r);
    if (rc == 0)
        *out = &r->broker;
    return rc; /* an error here ends the process */
}
