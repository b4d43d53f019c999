/*
 * buf - bytes that grow.
 *
 * A buffer lives either in an arena (buf.arena set, nothing to release) or on
 * the heap (buf.arena NULL, buf_release() gives it back).  buf_view() lasts
 * until the next append.  Thread rule: one owner.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/arena.h"

struct buf {
    uint8_t *p;
    size_t n;
    size_t cap;
    struct arena *arena;
};

#define BUF_HEAP                                                               \
    {                                                                          \
        0                                                                      \
    }
#define BUF_IN(arena_)                                                         \
    {                                                                          \
        .arena = (arena_)                                                      \
    }

/* Make room for `n` more bytes and return where they go (buf.n unchanged). */
uint8_t *buf_reserve(struct buf *b, size_t n);

/* Append the bytes; they must not lie in the buffer itself, which may move. */
void buf_add(struct buf *b, struct bytes v);

/* Append one byte. */
void buf_add_u8(struct buf *b, uint8_t v);

/*
 * Append eight bytes, the highest first, so that memcmp() orders as numbers do.
 */
void buf_add_be64(struct buf *b, uint64_t v);

/* Append a C string without its NUL. */
void buf_add_str(struct buf *b, const char *s);

/* Append formatted text without its NUL. */
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Forget the contents, keep the room. */
static inline void buf_clear(struct buf *b)
{
    b->n = 0;
}

/* Drop the first `n` bytes. */
void buf_consume(struct buf *b, size_t n);

static inline struct bytes buf_view(const struct buf *b)
{
    return BYTES(b->p, b->n);
}

/* The contents as a C string; the NUL is not counted in buf.n. */
const char *buf_cstr(struct buf *b);

/* Give heap memory back; accepts a zeroed buffer. */
void buf_release(struct buf *b);

#endif
