/*
 * Reading what requests carry - fields, parameters, cookies - and the escapes
 * of the web.  None of it knows the server.
 */
#include "net/http.h"

struct bytes http_header(const struct http_request *req, const char *name)
{
    struct bytes want = bytes_str(name);

    for (size_t i = 0; i < req->n_headers; i++) {
        if (bytes_ieq(req->headers[i].name, want))
            return req->headers[i].value;
    }
    return BYTES_NONE;
}

/* Cut the part before `sep` off the front of *rest. */
static struct bytes cut(struct bytes *rest, char sep)
{
    const uint8_t *p = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
    struct bytes head = *rest;

    if (!p) {
        *rest = BYTES_NONE;
        return head;
    }
    head.n = (size_t)(p - bytes_u8(*rest));
    *rest = bytes_from(*rest, head.n + 1);
    return head;
}

static struct bytes trim(struct bytes v)
{
    const uint8_t *p = v.p;

    while (v.n && (p[v.n - 1] == ' ' || p[v.n - 1] == '\t'))
        v.n--;
    while (v.n && (*p == ' ' || *p == '\t')) {
        p++;
        v.n--;
    }
    return BYTES(p, v.n);
}

struct bytes http_param(struct arena *a, struct bytes from, const char *name)
{
    while (from.n) {
        struct bytes value = cut(&from, '&');
        struct bytes key = cut(&value, '=');

        if (!bytes_eq_str(http_unescape(a, key, true), name))
            continue;
        value = http_unescape(a, value, true);
        /* Present and empty is not absent. */
        return value.p ? value : BYTES_LIT("");
    }
    return BYTES_NONE;
}

struct bytes http_cookie(const struct http_request *req, const char *name)
{
    for (size_t i = 0; i < req->n_headers; i++) {
        struct bytes rest = req->headers[i].value;

        if (!bytes_ieq(req->headers[i].name, BYTES_LIT("cookie")))
            continue;
        while (rest.n) {
            struct bytes value = cut(&rest, ';');
            struct bytes key = trim(cut(&value, '='));

            if (bytes_eq_str(key, name))
                return value.p ? trim(value) : BYTES_LIT("");
        }
    }
    return BYTES_NONE;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct bytes http_unescape(struct arena *a, struct bytes v, bool form)
{
    const uint8_t *p = v.p, *end = p + v.n;
    uint8_t *out, *q;

    if (v.n == 0 ||
        (!memchr(v.p, '%', v.n) && !(form && memchr(v.p, '+', v.n))))
        return v;
    out = q = arena_alloc(a, v.n);
    while (p < end) {
        if (*p == '%' && end - p > 2 && hex_digit(p[1]) >= 0 &&
            hex_digit(p[2]) >= 0) {
            *q++ = (uint8_t)(hex_digit(p[1]) << 4 | hex_digit(p[2]));
            p += 3;
        } else {
            *q++ = form && *p == '+' ? ' ' : *p;
            p++;
        }
    }
    return BYTES(out, (size_t)(q - out));
}

static bool is_unreserved(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || (c && strchr("-._~", c));
}

struct bytes http_escape(struct arena *a, struct bytes v)
{
    static const char hex[] = "0123456789ABCDEF";
    const uint8_t *p = v.p;
    uint8_t *out, *q;

    if (v.n == 0)
        return v;
    out = q = arena_alloc(a, v.n * 3);
    for (size_t i = 0; i < v.n; i++) {
        if (is_unreserved(p[i])) {
            *q++ = p[i];
        } else {
            *q++ = '%';
            *q++ = (uint8_t)hex[p[i] >> 4];
            *q++ = (uint8_t)hex[p[i] & 15];
        }
    }
    return BYTES(out, (size_t)(q - out));
}

static const char *entity(uint8_t c)
{
    switch (c) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

struct bytes http_escape_html(struct arena *a, struct bytes v)
{
    struct buf out = BUF_IN(a);
    const uint8_t *p = v.p;

    for (size_t i = 0; i < v.n; i++) {
        const char *e = entity(p[i]);

        if (e)
            buf_add_str(&out, e);
        else
            buf_add_u8(&out, p[i]);
    }
    return buf_view(&out);
}
