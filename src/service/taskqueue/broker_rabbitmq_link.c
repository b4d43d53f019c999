/*
 * broker_rabbitmq_link - publishing leases, and being given them.
 *
 * Two connections: RabbitMQ stops reading from one that publishes when its
 * memory or disk runs short, and acknowledgements must get through then.
 */
#include "service/taskqueue/broker_message.h"
#include "service/taskqueue/broker_rabbitmq_int.h"

#include "base/log.h"
#include "base/metrics.h"

#include <stdio.h>
#include <stdlib.h>

enum { TROUBLE_MAX = 2 }; /* failures at a queue in a row */
#define CONFIRM_TIME (20 * CLOCK_SEC)

static const char *const queue_names[RABBIT_PURPOSES] = {
    [RABBIT_PUSH] = "appscale.push",
    [RABBIT_CRON] = "appscale.cron",
};

static amqp_table_entry_t text_entry(const char *key, const char *value)
{
    amqp_table_entry_t e = {.key = amqp_cstring_bytes(key)};

    e.value.kind = AMQP_FIELD_KIND_UTF8;
    e.value.value.bytes = amqp_cstring_bytes(value);
    return e;
}

static amqp_table_entry_t number_entry(const char *key, int32_t value)
{
    amqp_table_entry_t e = {.key = amqp_cstring_bytes(key)};

    e.value.kind = AMQP_FIELD_KIND_I32;
    e.value.value.i32 = value;
    return e;
}

/*
 * A queue that RabbitMQ was killed while making may stay there without anybody
 * to serve it.  Nothing in it is worth keeping, so it goes.
 */
static bool replace(struct broker_link *l, int queue)
{
    log_warn(NULL, "taskqueue.broker.queue", "queue", queue_names[queue], "why",
             l->why, "next", "it is deleted and made again");
    amqp_queue_delete(l->conn, BROKER_CHANNEL,
                      amqp_cstring_bytes(queue_names[queue]), false, false);
    return !broker_link_refused(l, "deleting a queue");
}

static bool fail(struct rabbit_trouble *t, int queue)
{
    t->times = t->queue == queue ? t->times + 1 : 1;
    t->queue = queue;
    return false;
}

/* The queues, made where they are missing; whoever comes first makes them. */
static bool declare(struct broker_link *l, struct rabbit_trouble *t)
{
    amqp_table_entry_t entries[] = {
        text_entry("x-queue-type", "quorum"),
        number_entry("x-max-length", RABBIT_QUEUE_MAX),
        text_entry("x-overflow", "reject-publish"),
    };
    amqp_table_t arguments = {.num_entries =
                                  sizeof(entries) / sizeof(entries[0]),
                              .entries = entries};

    if (t->times >= TROUBLE_MAX) {
        t->times = 0;
        if (!replace(l, t->queue))
            return false;
    }
    for (int i = 0; i < RABBIT_PURPOSES; i++) {
        amqp_queue_declare(l->conn, BROKER_CHANNEL,
                           amqp_cstring_bytes(queue_names[i]), false, true,
                           false, false, arguments);
        if (broker_link_refused(l, "declaring a queue"))
            return fail(t, i);
    }
    return true;
}

static void tell_link(struct rabbit *r, enum rabbit_note_kind kind,
                      bool consumer)
{
    struct rabbit_note *n = rabbit_note_new(kind, 0);

    n->consumer = consumer;
    rabbit_tell(r, n);
}

/* ---- the publisher ---- */

static bool publisher_opened(struct broker_link *l)
{
    struct rabbit *r = l->arg;

    amqp_confirm_select(l->conn, BROKER_CHANNEL);
    if (broker_link_refused(l, "asking for confirms") ||
        !declare(l, &r->publisher_trouble))
        return false;
    r->publisher_trouble.times = 0;
    r->sent = r->confirmed = 0;
    /* The loop will have everything sent that is not confirmed. */
    rabbit_notes_drop(r, &r->to_publisher);
    tell_link(r, RABBIT_OPEN, false);
    return true;
}

static bool publish(struct broker_link *l, const struct rabbit_note *n)
{
    struct rabbit *r = l->arg;
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
        .delivery_mode = 2, /* on disk before the confirm */
    };
    amqp_bytes_t body = {.len = n->n, .bytes = (void *)(uintptr_t)n->data};

    if (broker_link_failed(
            l,
            amqp_basic_publish(l->conn, BROKER_CHANNEL, amqp_empty_bytes,
                               amqp_cstring_bytes(queue_names[n->purpose]),
                               true, false, &properties, body),
            "publishing"))
        return false;
    if (r->sent == r->confirmed)
        r->moved = clock_mono();
    r->window[++r->sent % RABBIT_WINDOW] = n->number;
    metric_add(METRIC_BROKER_PUBLISHED, 1);
    return true;
}

static bool publisher_poked(struct broker_link *l)
{
    struct rabbit *r = l->arg;
    bool good = true;

    while (good && r->sent - r->confirmed < RABBIT_WINDOW) {
        struct rabbit_note *n;

        lock_take(&r->lock);
        n = rabbit_notes_take(&r->to_publisher);
        lock_drop(&r->lock);
        if (!n)
            break;
        good = publish(l, n);
        free(n);
    }
    if (good && r->sent != r->confirmed &&
        clock_mono() - r->moved > CONFIRM_TIME) {
        snprintf(l->why, sizeof(l->why), "no confirm in %d s",
                 (int)(CONFIRM_TIME / CLOCK_SEC));
        good = false;
    }
    return good;
}

static void confirm_one(struct rabbit *r, uint64_t tag)
{
    uint64_t *slot = &r->window[tag % RABBIT_WINDOW];
    struct rabbit_note *n;

    if (tag <= r->confirmed || tag > r->sent || *slot == 0)
        return;
    n = rabbit_note_new(RABBIT_CONFIRMED, 0);
    n->number = *slot;
    *slot = 0;
    rabbit_tell(r, n);
}

/* A message that was refused counts as one that went astray: its lease will
 * be published again. */
static void confirm(struct rabbit *r, uint64_t tag, bool multiple)
{
    r->moved = clock_mono();
    if (multiple) {
        for (uint64_t i = r->confirmed + 1; i < tag && i <= r->sent; i++)
            confirm_one(r, i);
    }
    confirm_one(r, tag);
    while (r->confirmed < r->sent &&
           r->window[(r->confirmed + 1) % RABBIT_WINDOW] == 0)
        r->confirmed++;
}

static bool publisher_frame(struct broker_link *l, const amqp_frame_t *f)
{
    const amqp_method_t *m = &f->payload.method;

    if (f->frame_type != AMQP_FRAME_METHOD)
        return true;
    if (m->id == AMQP_BASIC_ACK_METHOD) {
        const amqp_basic_ack_t *ack = m->decoded;

        confirm(l->arg, ack->delivery_tag, ack->multiple);
    } else if (m->id == AMQP_BASIC_NACK_METHOD) {
        const amqp_basic_nack_t *nack = m->decoded;

        confirm(l->arg, nack->delivery_tag, nack->multiple);
    }
    return true;
}

static void publisher_lost(struct broker_link *l)
{
    tell_link(l->arg, RABBIT_LOST, false);
}

const struct broker_link_ops rabbit_publisher_ops = {
    .name = "publisher",
    .opened = publisher_opened,
    .poked = publisher_poked,
    .frame = publisher_frame,
    .lost = publisher_lost,
};

/* ---- the consumer ---- */

static bool consumer_opened(struct broker_link *l)
{
    struct rabbit *r = l->arg;

    if (!declare(l, &r->consumer_trouble))
        return false;
    amqp_basic_qos(l->conn, BROKER_CHANNEL, 0, RABBIT_PREFETCH, false);
    if (broker_link_refused(l, "setting the prefetch"))
        return false;
    r->generation++;
    r->left = 0;
    rabbit_notes_drop(r, &r->to_consumer);
    for (int i = 0; i < RABBIT_PURPOSES; i++) {
        amqp_basic_consume(l->conn, BROKER_CHANNEL,
                           amqp_cstring_bytes(queue_names[i]), amqp_empty_bytes,
                           false, false, false, amqp_empty_table);
        if (broker_link_refused(l, "consuming"))
            return fail(&r->consumer_trouble, i);
    }
    r->consumer_trouble.times = 0;
    tell_link(r, RABBIT_OPEN, true);
    return true;
}

static bool consumer_poked(struct broker_link *l)
{
    struct rabbit *r = l->arg;
    struct rabbit_note *n = rabbit_notes_take_all(r, &r->to_consumer), *next;
    bool good = true;

    for (; n; n = next) {
        next = n->next;
        if (good && n->generation == r->generation)
            good = !broker_link_failed(
                l, amqp_basic_ack(l->conn, BROKER_CHANNEL, n->tag, false),
                "acknowledging");
        free(n);
    }
    return good;
}

/* The message is whole. */
static void arrived(struct rabbit *r)
{
    struct rabbit_note *n = r->incoming;

    if (!n)
        n = rabbit_note_new(RABBIT_ARRIVED, 0);
    r->incoming = NULL;
    n->tag = r->tag;
    n->generation = r->generation;
    metric_add(METRIC_BROKER_RECEIVED, 1);
    rabbit_tell(r, n);
}

static void begin(struct rabbit *r, uint64_t size)
{
    free(r->incoming);
    r->incoming = NULL;
    r->left = size;
    if (size <= BROKER_MESSAGE_MAX)
        r->incoming = rabbit_note_new(RABBIT_ARRIVED, size);
    if (size == 0)
        arrived(r);
}

static void go_on(struct rabbit *r, amqp_bytes_t part)
{
    struct rabbit_note *n = r->incoming;

    if (part.len > r->left)
        part.len = r->left;
    if (n) {
        memcpy(n->data + n->n, part.bytes, part.len);
        n->n += part.len;
    }
    r->left -= part.len;
    if (r->left == 0)
        arrived(r);
}

static bool consumer_frame(struct broker_link *l, const amqp_frame_t *f)
{
    struct rabbit *r = l->arg;
    const amqp_method_t *m = &f->payload.method;

    switch (f->frame_type) {
    case AMQP_FRAME_METHOD:
        if (m->id == AMQP_BASIC_DELIVER_METHOD)
            r->tag = ((const amqp_basic_deliver_t *)m->decoded)->delivery_tag;
        break;
    case AMQP_FRAME_HEADER:
        begin(r, f->payload.properties.body_size);
        break;
    case AMQP_FRAME_BODY:
        go_on(r, f->payload.body_fragment);
        break;
    }
    return true;
}

static void consumer_lost(struct broker_link *l)
{
    struct rabbit *r = l->arg;

    free(r->incoming);
    r->incoming = NULL;
    tell_link(r, RABBIT_LOST, true);
}

const struct broker_link_ops rabbit_consumer_ops = {
    .name = "consumer",
    .opened = consumer_opened,
    .poked = consumer_poked,
    .frame = consumer_frame,
    .lost = consumer_lost,
};
