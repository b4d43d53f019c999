/*
 * Bytes to requests.  llhttp walks the connection's input and reports spans;
 * since the input of one request is kept in one piece, a span is a view into
 * it and a span that arrives in parts only grows.  When the input moves to
 * another block every view of the unfinished request moves with it.
 *
 * A chunked body is closed up in place: each chunk slides down behind the one
 * before it, over the chunk's own framing.
 *
 * llhttp runs strict: a request with both Content-Length and
 * Transfer-Encoding, a bare line feed, a space before a colon or a second
 * Content-Length is refused, so that no proxy in front of us can read the same
 * bytes as other requests than we do.
 */
#include "net/http_int.h"

#include "base/log.h"

static struct http_conn *conn_of(llhttp_t *p)
{
    return p->data;
}

static size_t header_max(const struct http_conn *c)
{
    return c->loop->server->o.header_max;
}

static size_t body_max(const struct http_conn *c)
{
    return c->loop->server->o.body_max;
}

static int refuse(struct http_conn *c, int status)
{
    c->refuse = status;
    return HPE_USER;
}

static int on_message_begin(llhttp_t *p)
{
    struct http_conn *c = conn_of(p);

    c->building = http_exchange_new(c->loop);
    c->building->conn = c;
    c->anew = HTTP_CONN_READING;
    c->building->req.peer = bytes_str(c->peer);
    c->building->req.headers = c->building->fields;
    c->head_complete = false;
    return 0;
}

/* Parts of one span lie behind each other. */
static void grow(struct bytes *view, const char *at, size_t n)
{
    if (view->n == 0)
        view->p = at;
    view->n += n;
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
    struct http_conn *c = conn_of(p);

    grow(&c->building->req.target, at, n);
    return c->building->req.target.n > header_max(c) ? refuse(c, 431) : 0;
}

/* The field that is being read; a name behind a value starts the next one. */
static int on_header_field(llhttp_t *p, const char *at, size_t n)
{
    struct http_conn *c = conn_of(p);
    struct http_request *req = &c->building->req;

    if (c->head_complete)
        return 0; /* trailers are dropped */
    if (req->n_headers == HTTP_HEADERS_MAX)
        return refuse(c, 431);
    grow(&req->headers[req->n_headers].name, at, n);
    return 0;
}

static int on_header_value(llhttp_t *p, const char *at, size_t n)
{
    struct http_conn *c = conn_of(p);
    struct http_request *req = &c->building->req;

    if (!c->head_complete)
        grow(&req->headers[req->n_headers].value, at, n);
    return 0;
}

static int on_header_value_complete(llhttp_t *p)
{
    struct http_conn *c = conn_of(p);

    if (!c->head_complete)
        c->building->req.n_headers++;
    return 0;
}

static void split_target(struct http_request *req)
{
    const uint8_t *q = memchr(req->target.p, '?', req->target.n);

    req->path = req->target;
    if (!q)
        return;
    req->path.n = (size_t)(q - bytes_u8(req->target));
    req->query = bytes_from(req->target, req->path.n + 1);
}

/* The end of the last field, or of the target without one. */
static const uint8_t *head_end(const struct http_request *req)
{
    const struct http_header *h;

    if (req->n_headers == 0)
        return bytes_u8(req->target) + req->target.n;
    h = &req->headers[req->n_headers - 1];
    return h->value.n ? bytes_u8(h->value) + h->value.n
                      : bytes_u8(h->name) + h->name.n;
}

static int on_headers_complete(llhttp_t *p)
{
    struct http_conn *c = conn_of(p);
    struct http_exchange *x = c->building;

    c->head_complete = true;
    /* "Upgrade" is an offer; we go on in HTTP/1.1 (RFC 9110 7.8). */
    p->upgrade = 0;
    x->req.method =
        bytes_str(llhttp_method_name((llhttp_method_t)llhttp_get_method(p)));
    x->req.keep_alive = llhttp_should_keep_alive(p);
    x->head_only = llhttp_get_method(p) == HTTP_HEAD;
    x->http_1_0 =
        llhttp_get_http_major(p) == 1 && llhttp_get_http_minor(p) == 0;
    if ((size_t)(head_end(&x->req) - bytes_u8(x->req.target)) > header_max(c))
        return refuse(c, 431);
    if ((p->flags & F_CONTENT_LENGTH) && p->content_length > body_max(c))
        return refuse(c, 413);
    if ((p->flags & F_CHUNKED) || p->content_length > 0)
        c->want_continue = bytes_ieq(http_header(&x->req, "expect"),
                                     BYTES_LIT("100-continue"));
    return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct http_conn *c = conn_of(p);
    struct bytes *body = &c->building->req.body;
    uint8_t *end;

    if (body->n + n > body_max(c))
        return refuse(c, 413);
    if (body->n == 0) {
        *body = BYTES(at, n);
        return 0;
    }
    end = c->in->data + (bytes_u8(*body) - c->in->data) + body->n;
    if (end != (const uint8_t *)at)
        memmove(end, at, n);
    body->n += n;
    return 0;
}

/* Pause, so that the request is answered before the next one is looked at. */
static int on_message_complete(llhttp_t *p)
{
    (void)p;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_message_begin,
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void http_parse_init(struct http_conn *c)
{
    llhttp_init(&c->parser, HTTP_REQUEST, &settings);
    c->parser.data = c;
}

/*
 * Everything was parsed and the request goes on.  Behind a chunked body lies
 * framing that nobody needs: the next bytes may go over it.
 */
static void used_up(struct http_conn *c)
{
    const struct http_exchange *x = c->building;

    c->at = c->n;
    if (!x)
        return;
    if (!c->head_complete) {
        if (c->n - c->start > header_max(c))
            http_conn_refuse(c, 431);
    } else if (c->parser.flags & F_CHUNKED) {
        const uint8_t *end = x->req.body.n
                                 ? bytes_u8(x->req.body) + x->req.body.n
                                 : head_end(&x->req);

        c->at = c->n = (size_t)(end - c->in->data);
    }
}

/* One llhttp run: up to the end of a request, or of the input. */
static void step(struct http_conn *c)
{
    const char *from = (const char *)c->in->data + c->at;
    llhttp_errno_t err;

    if (!c->building) {
        c->start = c->at;
        c->refuse = 0;
    }
    err = llhttp_execute(&c->parser, from, c->n - c->at);
    if (err == HPE_OK) {
        used_up(c);
    } else if (err == HPE_PAUSED) {
        c->at = (size_t)((const uint8_t *)llhttp_get_error_pos(&c->parser) -
                         c->in->data);
        llhttp_resume(&c->parser);
        split_target(&c->building->req);
        http_conn_dispatch(c);
    } else {
        http_conn_refuse(c, c->refuse ? c->refuse : 400);
    }
}

void http_parse(struct http_conn *c)
{
    while (c->at < c->n && !c->no_more && !c->closing &&
           c->n_pending < HTTP_PIPELINE_MAX)
        step(c);
}

/* Bytes from the start of the unfinished request to its end, 0: not known. */
static size_t whole_size(const struct http_conn *c)
{
    const struct http_exchange *x = c->building;

    if (!x || !c->head_complete || (c->parser.flags & F_CHUNKED))
        return 0;
    /* llhttp counts content_length down while the body passes. */
    return c->n - c->start + c->parser.content_length;
}

static void shift(struct bytes *view, const uint8_t *from, uint8_t *to)
{
    if (view->p)
        view->p = to + (bytes_u8(*view) - from);
}

/* Move the unfinished rest to a block of `cap` bytes of its own. */
static void move_to(struct http_conn *c, struct http_block *b)
{
    struct http_block *old = c->in;
    const uint8_t *from = old->data + c->start;
    struct http_request *req = c->building ? &c->building->req : NULL;

    memcpy(b->data, from, c->n - c->start);
    if (req) {
        shift(&req->target, from, b->data);
        shift(&req->body, from, b->data);
        for (size_t i = 0; i < HTTP_HEADERS_MAX && req->headers[i].name.p;
             i++) {
            shift(&req->headers[i].name, from, b->data);
            shift(&req->headers[i].value, from, b->data);
        }
    }
    c->in = b;
    c->n -= c->start;
    c->at -= c->start;
    c->start = 0;
    http_block_unref(c->loop, old);
}

/* Room for what is here, and as much again, but not beyond a known end. */
static size_t next_cap(const struct http_conn *c)
{
    size_t have = c->n - c->start, whole = whole_size(c);
    size_t cap = have * 2 < HTTP_BLOCK_SMALL ? HTTP_BLOCK_SMALL : have * 2;

    return whole > have && whole < cap ? whole : cap;
}

void http_parse_keep_rest(struct http_conn *c)
{
    if (!c->in)
        return;
    if (!c->building)
        c->start = c->at;
    if (c->start == c->n || c->no_more) {
        http_block_unref(c->loop, c->in);
        c->in = NULL;
        c->start = c->at = c->n = 0;
    } else if (c->in->refs > 1) {
        move_to(c, http_block_new(c->loop, next_cap(c)));
    }
}

struct bytes http_parse_room(struct http_conn *c)
{
    struct http_loop *l = c->loop;

    if (!c->in) {
        if (l->read_block->refs > 1) {
            http_block_unref(l, l->read_block);
            l->read_block = http_block_new(l, HTTP_BLOCK_READ);
        }
        c->in = l->read_block;
        c->in->refs++;
        c->start = c->at = c->n = 0;
    } else if (c->n == c->in->cap) {
        move_to(c, http_block_new(l, next_cap(c)));
    }
    return BYTES(c->in->data + c->n, c->in->cap - c->n);
}
