/*
 * A call has a connection to itself: an idle one, or a new one.  A connection
 * is in one of three lists of its poster: idle, busy, or - closing - none.
 */
#include "net/http_poster.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#include <llhttp.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdlib.h>

enum { READ_BYTES = 16 * 1024 };

struct http_poster_call {
    struct poster_conn *conn;
    struct buf request;
    bool head, again; /* again: this is the second connection already */
    int64_t until;    /* clock_mono() */
    http_poster_fn *fn;
    void *arg;
};

struct poster_conn {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } h;
    uv_timer_t timer; /* of the call, or of being idle */
    uv_connect_t connect;
    uv_write_t write;
    llhttp_t parser;
    struct http_poster *poster;
    struct poster_conn *prev, *next;
    struct http_poster_call *call; /* NULL: idle */
    int handles;                   /* not yet closed by libuv */
    bool connected, closing;
    bool reused; /* it has served a call before this one */
    bool heard;  /* bytes of this call's answer have come */
    bool final;  /* the status is no 1xx */
    int status;
    bool keep; /* the peer lets us use it again */
};

struct http_poster {
    uv_loop_t *loop;
    struct arena arena;
    struct http_poster_options o;
    struct sockaddr_storage address; /* once looked up */
    bool resolved;
    llhttp_settings_t settings;
    struct poster_conn *idle, *busy; /* idle: the latest first */
    int n_idle, n_conns;
    void (*closed)(void *arg);
    void *closed_arg;
    bool freed;
    char input[READ_BYTES];
};

/* ---- lists ---- */

static void list_add(struct poster_conn **list, struct poster_conn *c)
{
    c->prev = NULL;
    c->next = *list;
    if (c->next)
        c->next->prev = c;
    *list = c;
}

static void list_remove(struct poster_conn **list, struct poster_conn *c)
{
    *(c->prev ? &c->prev->next : list) = c->next;
    if (c->next)
        c->next->prev = c->prev;
}

/* ---- ending ---- */

static void maybe_freed(struct http_poster *p)
{
    if (!p->freed || p->n_conns > 0)
        return;
    p->closed(p->closed_arg);
    arena_release(&p->arena);
    free(p);
}

static void on_closed(uv_handle_t *h)
{
    struct poster_conn *c = h->data;
    struct http_poster *p = c->poster;

    if (--c->handles > 0)
        return;
    free(c);
    p->n_conns--;
    maybe_freed(p);
}

/* The connection goes; its call, if it has one, is the caller's affair. */
static void conn_close(struct poster_conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    if (c->call) {
        list_remove(&c->poster->busy, c);
    } else {
        list_remove(&c->poster->idle, c);
        c->poster->n_idle--;
    }
    uv_close(&c->h.handle, on_closed);
    uv_close((uv_handle_t *)&c->timer, on_closed);
}

/* The call is over. */
static void finish(struct http_poster_call *call,
                   const struct http_poster_result *res)
{
    if (call->conn)
        call->conn->call = NULL;
    call->fn(res, call->arg);
    buf_release(&call->request);
    free(call);
}

static void start(struct http_poster *p, struct http_poster_call *call);

/*
 * Whether the peer had the whole request before it closed.  One that had closed
 * already answers what comes with a reset, and acknowledges none of it.  A
 * Unix socket does not tell; what serves there answers before it closes.
 */
static bool was_received(const struct poster_conn *c)
{
    struct tcp_info info = {0};
    socklen_t n = sizeof(info);
    uv_os_fd_t fd;

    return c->h.handle.type == UV_TCP && uv_fileno(&c->h.handle, &fd) == 0 &&
           getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 &&
           info.tcpi_state == TCP_CLOSE_WAIT && info.tcpi_unacked == 0 &&
           uv_stream_get_write_queue_size(&c->h.stream) == 0;
}

/* The connection of a call is of no use any more. */
static void fail(struct poster_conn *c, int err, const char *message)
{
    struct http_poster_call *call = c->call;
    bool again = call && c->reused && !c->heard && !call->again &&
                 err == ERR_UNAVAILABLE && !c->poster->freed &&
                 !was_received(c);
    struct http_poster_result res = {
        .err = err, .sent = c->connected, .message = message};

    conn_close(c);
    if (!call)
        return;
    c->call = NULL;
    call->conn = NULL;
    if (again) {
        call->again = true;
        start(c->poster, call);
        return;
    }
    finish(call, &res);
}

static void on_timer(uv_timer_t *t)
{
    struct poster_conn *c = t->data;

    if (c->call)
        fail(c, ERR_DEADLINE, "no answer in time");
    else
        conn_close(c);
}

/* ---- the answer ---- */

static int on_headers(llhttp_t *parser)
{
    struct poster_conn *c = parser->data;

    c->status = llhttp_get_status_code(parser);
    c->final = c->status >= 200;
    return c->final && c->call && c->call->head ? 1 : 0;
}

static int on_complete(llhttp_t *parser)
{
    struct poster_conn *c = parser->data;

    if (!c->final)
        return 0; /* 100 Continue and its like: the answer follows */
    c->keep = llhttp_should_keep_alive(parser);
    return HPE_PAUSED;
}

/* Back among the idle ones, if it may serve again. */
static void settle(struct poster_conn *c)
{
    struct http_poster *p = c->poster;
    struct http_poster_call *call = c->call;
    struct http_poster_result res = {.status = c->status, .sent = true};

    if (!c->keep || p->freed || p->n_idle >= p->o.idle_max) {
        conn_close(c);
    } else {
        list_remove(&p->busy, c);
        list_add(&p->idle, c);
        p->n_idle++;
        c->reused = true;
        uv_timer_start(&c->timer, on_timer,
                       (uint64_t)(p->o.idle_timeout / CLOCK_MS), 0);
    }
    c->call = NULL;
    call->conn = NULL;
    finish(call, &res);
}

static void take_input(struct poster_conn *c, const char *p, size_t n)
{
    enum llhttp_errno e;

    if (!c->call) { /* an idle connection has nothing to say */
        conn_close(c);
        return;
    }
    c->heard = true;
    e = llhttp_execute(&c->parser, p, n);
    if (e == HPE_OK)
        return;
    if (e != HPE_PAUSED) {
        fail(c, ERR_INVALID, "the answer is no HTTP");
        return;
    }
    /* What follows an answer that nobody asked for spoils the connection. */
    if (llhttp_get_error_pos(&c->parser) != p + n)
        c->keep = false;
    settle(c);
}

static void on_eof(struct poster_conn *c)
{
    if (!c->call) {
        conn_close(c);
        return;
    }
    /* An answer without a length ends with the connection. */
    if (c->heard && llhttp_finish(&c->parser) == HPE_PAUSED && c->final) {
        c->keep = false;
        settle(c);
        return;
    }
    fail(c, ERR_UNAVAILABLE, "the connection was closed without an answer");
}

static void on_alloc(uv_handle_t *h, size_t n, uv_buf_t *out)
{
    struct poster_conn *c = h->data;

    *out = uv_buf_init(c->poster->input, READ_BYTES);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *in)
{
    struct poster_conn *c = s->data;

    if (c->closing)
        return;
    if (n > 0)
        take_input(c, in->base, (size_t)n);
    else if (n == UV_EOF)
        on_eof(c);
    else if (n < 0)
        fail(c, ERR_UNAVAILABLE, uv_strerror((int)n));
}

/* ---- sending ---- */

static void on_written(uv_write_t *w, int status)
{
    struct poster_conn *c = w->data;

    /* An answer may be there nevertheless: reading finds out. */
    if (status < 0 && !c->closing && !c->heard && c->call)
        fail(c, ERR_UNAVAILABLE, uv_strerror(status));
}

static void send_request(struct poster_conn *c)
{
    struct http_poster_call *call = c->call;
    uv_buf_t out =
        uv_buf_init((char *)call->request.p, (unsigned)call->request.n);
    int rc;

    llhttp_init(&c->parser, HTTP_RESPONSE, &c->poster->settings);
    c->parser.data = c;
    c->heard = c->final = c->keep = false;
    c->status = 0;
    rc = uv_try_write(&c->h.stream, &out, 1);
    if (rc >= (int)out.len)
        return;
    if (rc > 0) {
        out.base += rc;
        out.len -= (size_t)rc;
    }
    c->write.data = c;
    uv_write(&c->write, &c->h.stream, &out, 1, on_written);
}

static void on_connected(uv_connect_t *req, int status)
{
    struct poster_conn *c = req->data;

    if (c->closing)
        return;
    if (status < 0) {
        fail(c, ERR_UNAVAILABLE, uv_strerror(status));
        return;
    }
    c->connected = true;
    uv_read_start(&c->h.stream, on_alloc, on_read);
    send_request(c);
}

/* ---- connecting ---- */

/* Blocking, but a name is looked up once, and usually is an address. */
static bool resolve(struct http_poster *p)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char port[16];

    if (p->resolved)
        return true;
    snprintf(port, sizeof(port), "%d", p->o.port);
    if (getaddrinfo(p->o.host, port, &hints, &found) != 0 || !found)
        return false;
    memcpy(&p->address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    p->resolved = true;
    return true;
}

static struct poster_conn *conn_new(struct http_poster *p)
{
    struct poster_conn *c = calloc(1, sizeof(*c));

    if (!c)
        die("out of memory for a connection");
    c->poster = p;
    if (p->o.unix_path)
        uv_pipe_init(p->loop, &c->h.pipe, 0);
    else
        uv_tcp_init(p->loop, &c->h.tcp);
    uv_timer_init(p->loop, &c->timer);
    c->h.handle.data = c;
    c->timer.data = c;
    c->connect.data = c;
    c->handles = 2;
    p->n_conns++;
    return c;
}

/* Why it cannot even be tried is told from the timer, never from here. */
static void on_refused(uv_timer_t *t)
{
    fail(t->data, ERR_UNAVAILABLE, "the address cannot be used");
}

static void conn_connect(struct poster_conn *c)
{
    struct http_poster *p = c->poster;
    int rc = UV_EADDRNOTAVAIL;

    if (p->o.unix_path) {
        uv_pipe_connect(&c->connect, &c->h.pipe, p->o.unix_path, on_connected);
        return;
    }
    if (resolve(p)) {
        uv_tcp_nodelay(&c->h.tcp, 1);
        rc = uv_tcp_connect(&c->connect, &c->h.tcp,
                            (const struct sockaddr *)&p->address, on_connected);
    }
    if (rc < 0)
        uv_timer_start(&c->timer, on_refused, 0, 0);
}

static void start(struct http_poster *p, struct http_poster_call *call)
{
    int64_t left = call->until - clock_mono();
    struct poster_conn *c = p->idle;

    /* The second try is not made on another old one. */
    if (c && !call->again) {
        list_remove(&p->idle, c);
        p->n_idle--;
    } else {
        c = conn_new(p);
    }
    list_add(&p->busy, c);
    c->call = call;
    call->conn = c;
    uv_timer_start(&c->timer, on_timer,
                   (uint64_t)((left > 0 ? left : 0) / CLOCK_MS), 0);
    if (c->connected)
        send_request(c);
    else
        conn_connect(c);
}

struct http_poster_call *http_poster_send(struct http_poster *p,
                                          struct buf request, bool head,
                                          int64_t timeout, http_poster_fn *fn,
                                          void *arg)
{
    struct http_poster_call *call = calloc(1, sizeof(*call));

    if (!call)
        die("out of memory for a request");
    call->request = request;
    call->head = head;
    call->until = clock_mono() + timeout;
    call->fn = fn;
    call->arg = arg;
    start(p, call);
    return call;
}

void http_poster_cancel(struct http_poster_call *call)
{
    struct http_poster_result res = {.err = ERR_CANCELLED,
                                     .message = "given up"};
    struct poster_conn *c = call->conn;

    if (c) {
        conn_close(c);
        c->call = NULL;
        call->conn = NULL;
    }
    finish(call, &res);
}

struct http_poster *http_poster_new(uv_loop_t *loop,
                                    const struct http_poster_options *o)
{
    struct http_poster *p = calloc(1, sizeof(*p));

    if (!p)
        die("out of memory for an HTTP client");
    p->loop = loop;
    p->o = *o;
    if (o->host)
        p->o.host = arena_strdup(&p->arena, o->host);
    if (o->unix_path)
        p->o.unix_path = arena_strdup(&p->arena, o->unix_path);
    llhttp_settings_init(&p->settings);
    p->settings.on_headers_complete = on_headers;
    p->settings.on_message_complete = on_complete;
    return p;
}

void http_poster_free(struct http_poster *p, void (*closed)(void *arg),
                      void *arg)
{
    p->freed = true;
    p->closed = closed;
    p->closed_arg = arg;
    while (p->busy)
        http_poster_cancel(p->busy->call);
    while (p->idle)
        conn_close(p->idle);
    maybe_freed(p);
}
