/*
 * A loop: one thread, its connections, its pools and its inbox.
 *
 * Other threads reach a loop through the inbox alone: sockets from the
 * accepting loop, answered exchanges from workers, orders from the server.
 * They append under the lock and wake the loop when the inbox was empty; the
 * loop takes all of it at once.
 */
#include "net/http_int.h"

#include "base/log.h"

#include <stdlib.h>

_Thread_local struct http_loop *http_loop_self;

enum { TICK_MS = 500 };

/* What a pool keeps; more goes back to the system. */
enum { EXCHANGES_KEPT = 512, ARENA_KEPT = 64 * 1024 };

static const struct block_class {
    size_t cap;
    int kept;
} block_classes[HTTP_BLOCK_CLASSES] = {
    {HTTP_BLOCK_SMALL, 256},
    {HTTP_BLOCK_READ, 32},
};

/* ---- blocks ---- */

/* The pool of exactly that size, or -1. */
static int class_of(size_t cap)
{
    for (int i = 0; i < HTTP_BLOCK_CLASSES; i++) {
        if (block_classes[i].cap == cap)
            return i;
    }
    return -1;
}

static size_t round_up(size_t cap)
{
    for (int i = 0; i < HTTP_BLOCK_CLASSES; i++) {
        if (cap <= block_classes[i].cap)
            return block_classes[i].cap;
    }
    return cap;
}

struct http_block *http_block_new(struct http_loop *l, size_t cap)
{
    struct http_block *b;
    int k;

    cap = round_up(cap);
    k = class_of(cap);
    if (k >= 0 && l->blocks[k]) {
        b = l->blocks[k];
        l->blocks[k] = b->next;
        l->n_blocks[k]--;
    } else {
        b = malloc(sizeof(*b) + cap);
        if (!b)
            die("out of memory reading a request of %zu bytes", cap);
        b->cap = cap;
    }
    b->refs = 1;
    return b;
}

void http_block_unref(struct http_loop *l, struct http_block *b)
{
    int k = class_of(b->cap);

    if (--b->refs > 0)
        return;
    if (k < 0 || l->n_blocks[k] == block_classes[k].kept) {
        free(b);
        return;
    }
    b->next = l->blocks[k];
    l->blocks[k] = b;
    l->n_blocks[k]++;
}

/* ---- exchanges ---- */

struct http_exchange *http_exchange_new(struct http_loop *l)
{
    struct http_exchange *x = l->exchanges;

    l->n_out++;
    if (x) {
        l->exchanges = x->next;
        l->n_exchanges--;
        x->next = NULL;
        return x;
    }
    x = calloc(1, sizeof(*x));
    if (!x)
        die("out of memory for a request");
    x->loop = l;
    return x;
}

/* Everything but the arena as calloc() had it; only used fields are touched. */
static void exchange_clear(struct http_exchange *x)
{
    size_t from = offsetof(struct http_exchange, req);
    size_t used = x->req.n_headers;

    /* One beyond: a field whose value never came. */
    if (used < HTTP_HEADERS_MAX)
        used++;
    memset(x->fields, 0, used * sizeof(x->fields[0]));
    memset((uint8_t *)x + from, 0,
           offsetof(struct http_exchange, fields) - from);
}

void http_exchange_free(struct http_exchange *x)
{
    struct http_loop *l = x->loop;

    if (x->block)
        http_block_unref(l, x->block);
    arena_reset(&x->arena);
    if (x->arena.end - x->arena.at > ARENA_KEPT)
        arena_release(&x->arena);
    l->n_out--;
    if (l->n_exchanges == EXCHANGES_KEPT) {
        arena_release(&x->arena);
        free(x);
        return;
    }
    exchange_clear(x);
    x->loop = l;
    x->next = l->exchanges;
    l->exchanges = x;
    l->n_exchanges++;
}

/* ---- the inbox ---- */

static bool inbox_empty(const struct http_loop *l)
{
    return !l->answered && !l->newcomers && !l->shed;
}

void http_loop_answered(struct http_exchange *x)
{
    struct http_loop *l = x->loop;
    bool wake;

    lock_take(&l->lock);
    wake = inbox_empty(l);
    x->next_answered = l->answered;
    l->answered = x;
    /* Inside the lock: behind it the loop may be gone. */
    if (wake)
        uv_async_send(&l->wake);
    lock_drop(&l->lock);
}

void http_loop_give(struct http_loop *l, int fd, const char *peer)
{
    struct http_newcomer *n = malloc(sizeof(*n));

    if (!n)
        die("out of memory for a connection");
    n->fd = fd;
    strcpy(n->peer, peer);
    lock_take(&l->lock);
    n->next = l->newcomers;
    l->newcomers = n;
    uv_async_send(&l->wake);
    lock_drop(&l->lock);
}

void http_loop_order(struct http_loop *l, enum http_order order)
{
    lock_take(&l->lock);
    switch (order) {
    case HTTP_ORDER_SHED:
        l->shed++;
        break;
    case HTTP_ORDER_STOP:
        l->stopping = true;
        break;
    case HTTP_ORDER_ABORT:
        l->aborting = true;
        break;
    }
    uv_async_send(&l->wake);
    lock_drop(&l->lock);
}

/* An answer from another thread; the exchange is the loop's again. */
static void take_answered(struct http_exchange *x)
{
    struct http_exchange *next;

    for (; x; x = next) {
        next = x->next_answered;
        x->done = true;
        if (x->conn)
            http_conn_go_on(x->conn);
        else
            http_exchange_free(x);
    }
}

static void take_newcomers(struct http_loop *l, struct http_newcomer *n)
{
    struct http_newcomer *next;

    for (; n; n = next) {
        next = n->next;
        http_conn_open(l, n->fd, n->peer);
        HTTP_COUNT(l->on_the_way, -1);
        free(n);
    }
}

static void drain_all(struct http_loop *l, bool abort)
{
    for (int i = 0; i < HTTP_CONN_STATES; i++) {
        struct http_conn *c = l->conns[i].first, *next;

        for (; c; c = next) {
            next = c->next;
            if (abort)
                http_conn_close(c);
            else
                http_conn_go_on(c);
        }
    }
}

void http_loop_maybe_finish(struct http_loop *l)
{
    if (!l->drain || l->n_conns || l->n_out)
        return;
    if (!uv_is_closing((uv_handle_t *)&l->wake)) {
        uv_close((uv_handle_t *)&l->wake, NULL);
        uv_close((uv_handle_t *)&l->tick, NULL);
    }
}

static void on_wake(uv_async_t *h)
{
    struct http_loop *l = h->data;
    struct http_newcomer *newcomers;
    struct http_exchange *answered;
    bool stopping, aborting;
    int shed;

    lock_take(&l->lock);
    answered = l->answered;
    newcomers = l->newcomers;
    shed = l->shed;
    stopping = l->stopping;
    aborting = l->aborting;
    l->answered = NULL;
    l->newcomers = NULL;
    l->shed = 0;
    lock_drop(&l->lock);

    take_answered(answered);
    take_newcomers(l, newcomers);
    while (shed-- > 0 && http_conn_shed(l))
        ;
    if (stopping && !l->drain) {
        l->drain = true;
        http_server_drain(l);
        drain_all(l, false);
    }
    if (aborting)
        drain_all(l, true);
    http_loop_maybe_finish(l);
}

/* ---- the clock ---- */

static int64_t timeout_of(const struct http_loop *l, enum http_conn_state s)
{
    const struct http_server_options *o = &l->server->o;

    switch (s) {
    case HTTP_CONN_IDLE:
        return o->idle_timeout;
    case HTTP_CONN_READING:
    case HTTP_CONN_WRITING:
        return o->request_timeout;
    case HTTP_CONN_LINGER:
        return 5 * CLOCK_SEC;
    default:
        return INT64_MAX;
    }
}

static void on_tick(uv_timer_t *h)
{
    struct http_loop *l = h->data;
    int64_t now = clock_mono();

    for (int i = 0; i < HTTP_CONN_STATES; i++) {
        int64_t limit = timeout_of(l, (enum http_conn_state)i);
        struct http_conn *c;

        while ((c = l->conns[i].first) != NULL && now - c->since > limit)
            http_conn_timeout(c);
    }
    http_loop_maybe_finish(l);
}

/* ---- life ---- */

int http_loop_init(struct ctx *ctx, struct http_loop *l, struct http_server *s)
{
    int rc = uv_loop_init(&l->uv);

    if (rc < 0)
        return ctx_err(ctx, ERR_IO, "cannot make an event loop: %s",
                       uv_strerror(rc));
    l->server = s;
    lock_init(&l->lock, LOCK_NET_LOOP);
    uv_async_init(&l->uv, &l->wake, on_wake);
    uv_timer_init(&l->uv, &l->tick);
    uv_timer_start(&l->tick, on_tick, TICK_MS, TICK_MS);
    l->wake.data = l->tick.data = l;
    l->read_block = http_block_new(l, HTTP_BLOCK_READ);
    return 0;
}

void http_loop_run(struct http_loop *l)
{
    http_loop_self = l;
    uv_run(&l->uv, UV_RUN_DEFAULT);
    http_loop_self = NULL;
}

void http_loop_release(struct http_loop *l)
{
    free(l->read_block);
    for (int i = 0; i < HTTP_BLOCK_CLASSES; i++) {
        while (l->blocks[i]) {
            struct http_block *b = l->blocks[i];

            l->blocks[i] = b->next;
            free(b);
        }
    }
    while (l->exchanges) {
        struct http_exchange *x = l->exchanges;

        l->exchanges = x->next;
        arena_release(&x->arena);
        free(x);
    }
    lock_release(&l->lock);
    uv_loop_close(&l->uv);
}
