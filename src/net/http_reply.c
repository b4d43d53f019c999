/*
 * Answers become bytes here, on the thread that answers: the status line, the
 * fields the server owes (Content-Length, Date, Connection), the handler's own
 * fields, and the body - in one piece when it is short, so that most answers
 * are one plain write.
 */
#include "net/http_int.h"

#include "base/log.h"

#include <time.h>

/* Up to here copying a body costs less than a second vector. */
enum { COPY_MAX = 4096 };

static const struct status {
    int code;
    const char *text;
} statuses[] = {
    {100, "Continue"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {499, "Client Closed Request"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *http_status_text(int status)
{
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (statuses[i].code == status)
            return statuses[i].text;
    }
    return "Unknown";
}

/* "Sun, 22 Nov 2026 19:40:01 GMT", made anew once a second per thread. */
static struct bytes date(void)
{
    static _Thread_local char text[32];
    static _Thread_local time_t made;
    static _Thread_local size_t n;
    struct timespec now;
    struct tm tm;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != made) {
        made = now.tv_sec;
        gmtime_r(&made, &tm);
        n = strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    }
    return BYTES(text, n);
}

static uint8_t *put(uint8_t *p, struct bytes v)
{
    if (v.n == 0)
        return p;
    return (uint8_t *)memcpy(p, v.p, v.n) + v.n;
}

#define PUT(p_, lit_) put((p_), BYTES_LIT(lit_))

static uint8_t *put_number(uint8_t *p, size_t v)
{
    char digits[20];
    size_t n = 0;

    do {
        digits[sizeof(digits) - ++n] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    return put(p, BYTES(digits + sizeof(digits) - n, n));
}

/*
 * A name or value with a line break in it would let a handler's data forge
 * fields; no handler of ours means to.
 */
static void check_field(const struct http_header *h)
{
    if (memchr(h->name.p, '\n', h->name.n) ||
        (h->value.n && (memchr(h->value.p, '\n', h->value.n) ||
                        memchr(h->value.p, '\r', h->value.n))))
        BUG("a line break in the field %.*s", BYTES_FMT(h->name));
}

static size_t fields_size(const struct http_response *res)
{
    size_t n = 0;

    for (size_t i = 0; i < res->n_headers; i++) {
        check_field(&res->headers[i]);
        n += res->headers[i].name.n + res->headers[i].value.n + 4;
    }
    return n;
}

static uint8_t *put_status(uint8_t *p, int status)
{
    if (status == 200)
        return PUT(p, "HTTP/1.1 200 OK\r\n");
    p = put_number(PUT(p, "HTTP/1.1 "), (size_t)status);
    *p++ = ' ';
    return PUT(put(p, bytes_str(http_status_text(status))), "\r\n");
}

static bool has_no_body(int status)
{
    return status == 204 || status == 304 || status < 200;
}

static uint8_t *put_head(uint8_t *p, const struct http_exchange *x)
{
    const struct http_response *res = &x->res;

    p = put_status(p, res->status);
    if (!has_no_body(res->status)) {
        p = put_number(PUT(p, "Content-Length: "), res->lead.n + res->body.n);
        p = PUT(p, "\r\n");
    }
    p = PUT(put(PUT(p, "Date: "), date()), "\r\n");
    if (res->close || !x->req.keep_alive)
        p = PUT(p, "Connection: close\r\n");
    else if (x->http_1_0)
        p = PUT(p, "Connection: keep-alive\r\n");
    for (size_t i = 0; i < res->n_headers; i++) {
        p = PUT(put(p, res->headers[i].name), ": ");
        p = PUT(put(p, res->headers[i].value), "\r\n");
    }
    return PUT(p, "\r\n");
}

void http_reply_format(struct http_exchange *x)
{
    struct http_response *res = &x->res;
    bool bare, copy;
    uint8_t *p, *out;

    if (res->status == 0)
        res->status = 200;
    bare = x->head_only || has_no_body(res->status);
    copy = !bare && res->body.n <= COPY_MAX;
    /* 256: the longest status line and the server's own fields. */
    out = arena_alloc(&x->arena, 256 + fields_size(res) + res->lead.n +
                                     (copy ? res->body.n : 0));
    p = put_head(out, x);
    if (!bare)
        p = put(p, res->lead);
    if (copy)
        p = put(p, res->body);
    x->out[0] = BYTES(out, (size_t)(p - out));
    x->out[1] = bare || copy ? BYTES_NONE : res->body;
}

void http_add_header(struct arena *a, struct http_response *res,
                     const char *name, struct bytes value)
{
    if (res->n_headers == res->cap_headers) {
        size_t cap = res->cap_headers ? res->cap_headers * 2 : 8;

        res->headers =
            arena_grow(a, res->headers, res->n_headers * sizeof(*res->headers),
                       cap * sizeof(*res->headers));
        res->cap_headers = cap;
    }
    res->headers[res->n_headers++] =
        (struct http_header){bytes_str(name), value};
}

void http_text(struct arena *a, struct http_response *res, int status,
               const char *type, struct bytes body)
{
    res->status = status;
    res->body = body;
    http_add_header(a, res, "Content-Type", bytes_str(type));
}
