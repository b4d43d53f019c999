/*
 * A connection, from its socket to its close.
 *
 * What arrives is parsed into exchanges, which stand in a queue in the order of
 * their requests.  Answers are made in any order and leave from the front of
 * the queue.  After everything that happens - a read, an answer, the end of a
 * write - http_conn_go_on() sends what is ready, parses what had to wait, and
 * settles what the connection waits for next.
 */
#include "net/http_int.h"

#include "base/log.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Vectors in one write; an answer has at most two. */
enum { WRITE_VECTORS = 32 };

/* What a refused peer may go on sending before it is cut off. */
enum { LINGER_BYTES = 128 * 1024 * 1024 };

/* ---- the lists of the loop ---- */

static void list_remove(struct http_conn *c)
{
    struct http_conn_list *list = &c->loop->conns[c->state];

    *(c->prev ? &c->prev->next : &list->first) = c->next;
    *(c->next ? &c->next->prev : &list->last) = c->prev;
}

static void list_append(struct http_conn *c)
{
    struct http_conn_list *list = &c->loop->conns[c->state];

    c->next = NULL;
    c->prev = list->last;
    *(list->last ? &list->last->next : &list->first) = c;
    list->last = c;
}

/*
 * An idle connection that was used counts as newly idle; what is being read,
 * written or awaited keeps the time at which that began.  A client that
 * pipelines is always reading or writing, but not the same thing: c->anew.
 */
static void enter(struct http_conn *c, enum http_conn_state state)
{
    if (c->state == state && state != HTTP_CONN_IDLE && c->anew != state)
        return;
    c->anew = HTTP_CONN_IDLE;
    list_remove(c);
    c->state = state;
    c->since = (int64_t)uv_now(&c->loop->uv) * CLOCK_MS;
    list_append(c);
}

/* ---- ending ---- */

static void on_closed(uv_handle_t *h)
{
    struct http_conn *c = h->data;
    struct http_loop *l = c->loop;

    free(c);
    l->n_conns--;
    http_loop_maybe_finish(l);
}

/* The exchanges of a connection that ends: those still with a handler come
 * back later and find no connection. */
static void let_go(struct http_conn *c)
{
    while (c->first) {
        struct http_exchange *x = c->first;

        c->first = x->next;
        x->conn = NULL;
        if (x->done)
            http_exchange_free(x);
    }
    if (c->building)
        http_exchange_free(c->building);
    if (c->in)
        http_block_unref(c->loop, c->in);
    c->building = NULL;
    c->in = NULL;
}

void http_conn_close(struct http_conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    list_remove(c);
    HTTP_COUNT(c->loop->open, -1);
    uv_close(&c->h.handle, on_closed);
    /* A write under way refers to answers; its callback lets them go. */
    if (!c->n_writing)
        let_go(c);
}

/*
 * Nothing more will be said.  A peer that may still be sending would lose our
 * last answer to a reset if we closed now; we end our half and throw away what
 * comes until it ends its own.
 */
static void end(struct http_conn *c)
{
    uv_os_fd_t fd;

    if (c->eof || !c->refused || uv_fileno(&c->h.handle, &fd) != 0) {
        http_conn_close(c);
        return;
    }
    shutdown(fd, SHUT_WR);
    c->lingers = true;
}

void http_conn_timeout(struct http_conn *c)
{
    HTTP_COUNT(c->loop->timeouts, 1);
    if (c->state == HTTP_CONN_READING && !c->first) {
        http_conn_refuse(c, 408);
        http_conn_go_on(c);
    } else {
        http_conn_close(c);
    }
}

bool http_conn_shed(struct http_loop *l)
{
    static const enum http_conn_state order[] = {
        HTTP_CONN_LINGER, HTTP_CONN_IDLE, HTTP_CONN_READING};

    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (l->conns[order[i]].first) {
            http_conn_close(l->conns[order[i]].first);
            return true;
        }
    }
    return false;
}

/* ---- answering ---- */

/* Put the answers that are ready at the front into `v`; how many are whole. */
static int gather(struct http_conn *c, uv_buf_t *v, int *n_v)
{
    struct http_exchange *x = c->first;
    int n = 0;

    *n_v = 0;
    for (; x && x->done && *n_v + 2 <= WRITE_VECTORS; x = x->next) {
        for (int i = 0; i < 2; i++) {
            if (x->out[i].n)
                v[(*n_v)++] = uv_buf_init((char *)(uintptr_t)x->out[i].p,
                                          (unsigned)x->out[i].n);
        }
        n++;
        if (x->res.close)
            break;
    }
    return n;
}

/* The first `n` answers are out. */
static void sent(struct http_conn *c, int n)
{
    while (n-- > 0) {
        struct http_exchange *x = c->first;

        c->first = x->next;
        if (!c->first)
            c->last = NULL;
        c->n_pending--;
        if (x->res.close)
            c->no_more = c->over = true;
        http_exchange_free(x);
    }
}

static void on_written(uv_write_t *w, int status)
{
    struct http_conn *c = w->data;
    int n = c->n_writing;

    c->n_writing = 0;
    if (c->closing) {
        let_go(c);
    } else if (status < 0) {
        http_conn_close(c);
    } else {
        sent(c, n);
        http_conn_go_on(c);
    }
}

/* Hand what did not fit into the socket to libuv. */
static void write_rest(struct http_conn *c, uv_buf_t *v, int n_v, size_t done,
                       int n)
{
    while (done >= v->len) {
        done -= v->len;
        v++;
        n_v--;
    }
    v->base += done;
    v->len -= done;
    c->n_writing = n;
    c->anew = HTTP_CONN_WRITING;
    c->write.data = c;
    if (uv_write(&c->write, &c->h.stream, v, (unsigned)n_v, on_written) < 0) {
        c->n_writing = 0;
        http_conn_close(c);
    }
}

/* Send the answers that are ready at the front; false when that has to wait or
 * the connection is gone. */
static bool flush(struct http_conn *c)
{
    while (c->first && c->first->done && !c->n_writing && !c->over) {
        uv_buf_t v[WRITE_VECTORS];
        size_t total = 0;
        int n_v, n = gather(c, v, &n_v), rc;

        for (int i = 0; i < n_v; i++)
            total += v[i].len;
        rc = uv_try_write(&c->h.stream, v, (unsigned)n_v);
        if (rc < 0 && rc != UV_EAGAIN) {
            http_conn_close(c);
            return false;
        }
        if (rc >= 0 && (size_t)rc == total)
            sent(c, n);
        else
            write_rest(c, v, n_v, rc > 0 ? (size_t)rc : 0, n);
    }
    return !c->closing && !c->n_writing;
}

void http_reply(struct http_exchange *x)
{
    http_reply_format(x);
    if (x->loop != http_loop_self) {
        http_loop_answered(x);
        return;
    }
    x->done = true;
    if (!x->conn)
        http_exchange_free(x);
    else if (!x->conn->in_read)
        http_conn_go_on(x->conn);
}

/* ---- requests ---- */

static void enqueue(struct http_conn *c, struct http_exchange *x)
{
    *(c->last ? &c->last->next : &c->first) = x;
    c->last = x;
    c->n_pending++;
    c->building = NULL;
}

void http_conn_dispatch(struct http_conn *c)
{
    struct http_server_options *o = &c->loop->server->o;
    struct http_exchange *x = c->building;

    x->started = clock_mono();
    x->block = c->in;
    x->block->refs++;
    c->want_continue = false;
    enqueue(c, x);
    if (!x->req.keep_alive)
        c->no_more = true;
    HTTP_COUNT(c->loop->requests, 1);
    o->on_request(x, o->arg);
}

void http_conn_refuse(struct http_conn *c, int status)
{
    struct http_exchange *x = c->building;

    if (!x)
        x = http_exchange_new(c->loop);
    x->conn = c;
    enqueue(c, x);
    c->no_more = true;
    c->refused = true;
    HTTP_COUNT(c->loop->bad_requests, 1);
    x->res.close = true;
    http_text(&x->arena, &x->res, status, "text/plain",
              bytes_str(http_status_text(status)));
    http_reply_format(x);
    x->done = true;
}

/* The client waits for a word before it sends the body; with answers still
 * owed to earlier requests it has to wait, or send anyway. */
static void say_continue(struct http_conn *c)
{
    static const char word[] = "HTTP/1.1 100 Continue\r\n\r\n";
    uv_buf_t v = uv_buf_init((char *)(uintptr_t)word, sizeof(word) - 1);
    int rc;

    if (!c->building || !c->want_continue || c->first || c->n_writing)
        return;
    c->want_continue = false;
    rc = uv_try_write(&c->h.stream, &v, 1);
    if (rc != (int)v.len)
        http_conn_close(c);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *out)
{
    struct http_conn *c = h->data;
    struct bytes room;

    (void)hint;
    /* What a lingering connection sends goes over the old bytes. */
    if (c->lingers)
        c->start = c->at = c->n = 0;
    room = http_parse_room(c);
    *out = uv_buf_init((char *)(uintptr_t)room.p, (unsigned)room.n);
}

static void on_end(struct http_conn *c, ssize_t err)
{
    if (err != UV_EOF || c->lingers) {
        http_conn_close(c);
        return;
    }
    /* The peer has ended its half and may still wait for answers. */
    c->eof = true;
    http_conn_go_on(c);
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct http_conn *c = stream->data;

    (void)buf;
    if (nread < 0) {
        on_end(c, nread);
        return;
    }
    if (c->lingers) {
        c->dropped += (size_t)nread;
        if (c->dropped > LINGER_BYTES)
            http_conn_close(c);
        else
            http_parse_keep_rest(c);
        return;
    }
    c->n += (size_t)nread;
    http_conn_go_on(c);
}

static void set_reading(struct http_conn *c, bool on)
{
    if (c->reading == on)
        return;
    c->reading = on;
    if (!on)
        uv_read_stop(&c->h.stream);
    else if (uv_read_start(&c->h.stream, on_alloc, on_read) < 0)
        http_conn_close(c);
}

/*
 * Whether there is any use in reading.  While answers are owed we read on to
 * notice a peer that leaves, as long as what it sends can be parsed; a refused
 * peer is read from so that it gets to our answer.
 */
static bool wants_input(const struct http_conn *c)
{
    if (c->eof)
        return false;
    if (c->lingers)
        return true;
    return !c->no_more && c->n_pending < HTTP_PIPELINE_MAX;
}

static enum http_conn_state waits_for(const struct http_conn *c)
{
    if (c->lingers)
        return HTTP_CONN_LINGER;
    if (c->n_writing)
        return HTTP_CONN_WRITING;
    if (c->first)
        return HTTP_CONN_BUSY;
    return c->building ? HTTP_CONN_READING : HTTP_CONN_IDLE;
}

/* Whether everything that will be asked has been answered. */
static bool is_over(const struct http_conn *c)
{
    if (c->first || c->lingers)
        return c->over && !c->lingers;
    return c->no_more || c->eof || (c->loop->drain && !c->building);
}

void http_conn_go_on(struct http_conn *c)
{
    if (c->closing || c->in_read)
        return;
    /* Sending makes room for requests that were read but had to wait, and
     * these may be answered at once. */
    do {
        c->in_read = true;
        if (!c->lingers && c->in)
            http_parse(c);
        c->in_read = false;
    } while (flush(c) && c->in && c->at < c->n && !c->no_more &&
             c->n_pending < HTTP_PIPELINE_MAX);
    if (c->closing)
        return;
    http_parse_keep_rest(c);
    say_continue(c);
    if (!c->closing && is_over(c))
        end(c);
    if (c->closing)
        return;
    set_reading(c, wants_input(c));
    if (!c->closing)
        enter(c, waits_for(c));
}

/* ---- beginning ---- */

static int adopt(struct http_conn *c, int fd)
{
    struct http_loop *l = c->loop;

    if (l->server->o.unix_path) {
        uv_pipe_init(&l->uv, &c->h.pipe, 0);
        return uv_pipe_open(&c->h.pipe, fd);
    }
    uv_tcp_init(&l->uv, &c->h.tcp);
    return uv_tcp_open(&c->h.tcp, fd);
}

static uint64_t open_everywhere(const struct http_server *s)
{
    uint64_t n = 0;

    for (int i = 0; i < s->n_loops; i++)
        n += __atomic_load_n(&s->loops[i].open, __ATOMIC_RELAXED);
    return n;
}

void http_conn_open(struct http_loop *l, int fd, const char *peer)
{
    struct http_conn *c = calloc(1, sizeof(*c));

    if (!c)
        die("out of memory for a connection");
    c->loop = l;
    strcpy(c->peer, peer);
    if (adopt(c, fd) < 0)
        close(fd);
    c->h.handle.data = c;
    c->since = clock_mono();
    l->n_conns++;
    HTTP_COUNT(l->accepted, 1);
    HTTP_COUNT(l->open, 1);
    if (open_everywhere(l->server) > (uint64_t)l->server->o.conns_max)
        http_conn_shed(l);
    list_append(c);
    http_parse_init(c);
    if (l->drain)
        http_conn_close(c);
    else
        set_reading(c, true);
}
