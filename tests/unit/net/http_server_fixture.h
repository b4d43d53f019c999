/*
 * A server for the tests of net/.  It answers "METHOD TARGET BODY", gives an
 * X-Echo field back, and knows a few paths:
 *
 *   /never   no answer before fixture_stop()
 *   /later   answered from another thread
 *   /big     a megabyte for every digit behind it
 *   /close   an answer that ends the connection
 */
#ifndef TESTS_UNIT_NET_HTTP_SERVER_FIXTURE_H
#define TESTS_UNIT_NET_HTTP_SERVER_FIXTURE_H

#include "net/http.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct arena arena;
    struct http_server *server;
    pthread_mutex_t lock;
    struct http_exchange *never; /* held back */
};

static inline void fixture_answer(struct http_exchange *x)
{
    struct bytes echo = http_header(&x->req, "X-Echo");
    char *text =
        arena_printf(&x->arena, "%.*s %.*s %.*s", BYTES_FMT(x->req.method),
                     BYTES_FMT(x->req.target), BYTES_FMT(x->req.body));

    if (echo.n)
        http_add_header(&x->arena, &x->res, "X-Echo", echo);
    x->res.body = bytes_str(text);
    http_reply(x);
}

static inline void *fixture_answer_later(void *arg)
{
    fixture_answer(arg);
    return NULL;
}

static inline void fixture_big(struct http_exchange *x)
{
    size_t n = (size_t)(bytes_u8(x->req.path)[4] - '0') << 20;

    x->res.body = BYTES(memset(arena_alloc(&x->arena, n), 'b', n), n);
    http_reply(x);
}

static inline void fixture_request(struct http_exchange *x, void *arg)
{
    struct fixture *f = arg;
    pthread_t t;

    if (bytes_eq_str(x->req.path, "/never")) {
        pthread_mutex_lock(&f->lock);
        x->user = f->never;
        f->never = x;
        pthread_mutex_unlock(&f->lock);
    } else if (bytes_eq_str(x->req.path, "/later")) {
        pthread_create(&t, NULL, fixture_answer_later, x);
        pthread_detach(t);
    } else if (bytes_starts(x->req.path, BYTES_LIT("/big"))) {
        fixture_big(x);
    } else {
        x->res.close = bytes_eq_str(x->req.path, "/close");
        fixture_answer(x);
    }
}

/* Start with options of one's own; what is 0 is filled in. */
static inline struct fixture *fixture_start_with(struct http_server_options o)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct ctx ctx;

    pthread_mutex_init(&f->lock, NULL);
    ctx_init(&ctx, &f->arena);
    if (!o.unix_path)
        o.host = "127.0.0.1";
    o.loops = o.loops ? o.loops : 2;
    o.body_max = o.body_max ? o.body_max : 1024 * 1024;
    o.header_max = o.header_max ? o.header_max : 8 * 1024;
    o.conns_max = o.conns_max ? o.conns_max : 1000;
    o.idle_timeout = o.idle_timeout ? o.idle_timeout : 60 * CLOCK_SEC;
    o.request_timeout = o.request_timeout ? o.request_timeout : 60 * CLOCK_SEC;
    o.on_request = fixture_request;
    o.arg = f;
    if (http_server_start(&ctx, &o, &f->server) < 0) {
        fprintf(stderr, "%s\n", ctx.err.message);
        abort();
    }
    return f;
}

static inline struct fixture *fixture_start(const char *unix_path)
{
    return fixture_start_with(
        (struct http_server_options){.unix_path = unix_path});
}

static inline const char *fixture_url(struct fixture *f, const char *target)
{
    return arena_printf(&f->arena, "http://127.0.0.1:%d%s",
                        http_server_port(f->server), target);
}

/* Answer what was held back. */
static inline void fixture_let_go(struct fixture *f)
{
    struct http_exchange *x;

    pthread_mutex_lock(&f->lock);
    while ((x = f->never) != NULL) {
        f->never = x->user;
        fixture_answer(x);
    }
    pthread_mutex_unlock(&f->lock);
}

static inline void fixture_stop(struct fixture *f)
{
    fixture_let_go(f);
    http_server_stop(f->server, CLOCK_SEC);
    pthread_mutex_destroy(&f->lock);
    arena_release(&f->arena);
    free(f);
}

#endif
