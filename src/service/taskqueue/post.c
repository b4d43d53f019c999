/* post - the local broker: requests over kept connections. */
#include "service/taskqueue/attempt.h"
#include "service/taskqueue/broker.h"

#include "base/log.h"
#include "net/http_poster.h"

#include <stdlib.h>
#include <sys/random.h>

/* haproxy gives idle connections up after 60 s, and we before it does. */
enum { IDLE_CONNS = 256, IDLE_SEC = 20 };

struct post {
    struct broker broker; /* first */
    struct taskqueue *tq;
    struct http_poster *poster;
    struct arena arena;
    const char *host; /* of app_url, "127.0.0.1:8080"; NULL: through haproxy */
    uint64_t id[2];   /* of the next attempt */
    void (*closed)(void *arg);
    void *closed_arg;
};

/* ---- one attempt ---- */

static void on_result(const struct http_poster_result *res, void *arg)
{
    struct delivery *d = arg;
    struct broker_result out = {
        .err = res->err,
        .status = res->status,
        /* 503 is haproxy's, or an app's that wants it to be taken so. */
        .reached = res->sent && res->status != 503,
        .message = res->message,
    };

    d->handle = NULL;
    if (res->err != ERR_CANCELLED)
        d->done(d, &out);
}

static const char *next_id(struct post *p, char text[33])
{
    p->id[1]++;
    snprintf(text, 33, "%016llx%016llx", (unsigned long long)p->id[0],
             (unsigned long long)p->id[1]);
    return text;
}

/* The name the app's visitors know; where the emulator's app listens. */
static const char *default_host(struct arena *a, const struct post *p,
                                const struct queue *q)
{
    if (p->host)
        return p->host;
    return arena_printf(a, "%.*s.%s", BYTES_FMT(q->app->id), p->tq->o.domain);
}

static void give(struct broker *b, struct delivery *d)
{
    struct post *p = (struct post *)b;
    struct arena arena = ARENA_INIT;
    struct buf request = BUF_HEAP;
    char id[33];
    enum { HEAD = 3 };
    const struct attempt a = {
        .app = d->queue->app->id,
        .queue = d->queue->name,
        .target = d->def->target,
        .default_host = default_host(&arena, p, d->queue),
        .task = d->task,
        .request = d->request,
        .id = next_id(p, id),
        .deadline = d->deadline,
        .direct = p->host != NULL,
    };

    attempt_write(&request, &a);
    arena_release(&arena);
    d->handle = http_poster_send(p->poster, request, d->request->method == HEAD,
                                 d->deadline, on_result, d);
}

static void drop(struct broker *b, struct delivery *d)
{
    if (d->handle)
        http_poster_cancel(d->handle);
}

/* ---- life ---- */

static void on_closed(void *arg)
{
    struct post *p = arg;

    p->closed(p->closed_arg);
    arena_release(&p->arena);
    free(p);
}

static void post_free(struct broker *b, void (*closed)(void *arg), void *arg)
{
    struct post *p = (struct post *)b;

    p->closed = closed;
    p->closed_arg = arg;
    http_poster_free(p->poster, on_closed, p);
}

static const struct broker_ops ops = {
    .give = give,
    .drop = drop,
    .free = post_free,
};

/* "http://HOST[:PORT][/]" */
static int split_url(struct ctx *ctx, struct arena *a, const char *url,
                     struct http_poster_options *o, const char **authority)
{
    static const char scheme[] = "http://";
    const char *at = url + strlen(scheme), *colon;
    size_t n;

    if (strncmp(url, scheme, strlen(scheme)) != 0)
        return ctx_err(ctx, ERR_INVALID,
                       "\"%s\": the app's address is http://HOST:PORT", url);
    n = strcspn(at, "/");
    if (n == 0 || (at[n] && at[n + 1]))
        return ctx_err(ctx, ERR_INVALID,
                       "\"%s\": the app's address has a host and no path", url);
    *authority = arena_cstr(a, BYTES(at, n));
    colon = strrchr(*authority, ':');
    o->port = colon ? atoi(colon + 1) : 80;
    if (o->port < 1 || o->port > 65535)
        return ctx_err(ctx, ERR_INVALID, "\"%s\": port %d is none", url,
                       o->port);
    o->host = arena_cstr(
        a, BYTES(*authority, colon ? (size_t)(colon - *authority) : n));
    return 0;
}

int broker_local_new(struct ctx *ctx, struct taskqueue *tq, uv_loop_t *loop,
                     struct broker **out)
{
    struct http_poster_options o = {
        .unix_path = tq->o.edge,
        .idle_max = IDLE_CONNS,
        .idle_timeout = IDLE_SEC * CLOCK_SEC,
    };
    struct post *p = calloc(1, sizeof(*p));
    int rc = 0;

    if (!p)
        die("out of memory for the tasks' deliveries");
    p->broker.ops = &ops;
    p->tq = tq;
    if (!tq->o.edge)
        rc = split_url(ctx, &p->arena, tq->o.app_url, &o, &p->host);
    if (rc == 0 && getrandom(p->id, sizeof(p->id), 0) != sizeof(p->id))
        rc = ctx_err(ctx, ERR_INTERNAL, "no random numbers");
    if (rc) {
        arena_release(&p->arena);
        free(p);
        return rc;
    }
    p->poster = http_poster_new(loop, &o);
    *out = &p->broker;
    return 0;
}
