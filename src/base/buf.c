#include "base/buf.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

enum { BUF_MIN = 256 };

static void grow(struct buf *b, size_t need)
{
    size_t cap = b->cap ? b->cap : BUF_MIN;

    while (cap < need)
        cap *= 2;
    if (b->arena) {
        b->p = arena_grow(b->arena, b->p, b->cap, cap);
    } else {
        b->p = realloc(b->p, cap);
        if (!b->p)
            die("out of memory growing a buffer to %zu bytes", cap);
    }
    b->cap = cap;
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
    if (n > SIZE_MAX / 4 - b->n)
        die("a buffer of %zu bytes cannot be meant", n);
    if (b->cap - b->n < n || !b->p)
        grow(b, b->n + n);
    return b->p + b->n;
}

void buf_add(struct buf *b, struct bytes v)
{
    if (v.n == 0)
        return;
    memcpy(buf_reserve(b, v.n), v.p, v.n);
    b->n += v.n;
}

void buf_add_u8(struct buf *b, uint8_t v)
{
    *buf_reserve(b, 1) = v;
    b->n++;
}

void buf_add_be64(struct buf *b, uint64_t v)
{
    put_be64(buf_reserve(b, 8), v);
    b->n += 8;
}

void buf_add_str(struct buf *b, const char *s)
{
    buf_add(b, bytes_str(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        BUG("bad format: %s", fmt);
    buf_reserve(b, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf((char *)b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
}

void buf_consume(struct buf *b, size_t n)
{
    if (n > b->n)
        BUG("consuming %zu of %zu bytes", n, b->n);
    if (n < b->n)
        memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

const char *buf_cstr(struct buf *b)
{
    *buf_reserve(b, 1) = '\0';
    return (const char *)b->p;
}

void buf_release(struct buf *b)
{
    if (!b->arena)
        free(b->p);
    b->p = NULL;
    b->n = b->cap = 0;
}
