/*
 * bytes - a view of memory: where it starts and how long it is.
 *
 * Everything that is not a C string travels as `struct bytes`: keys, values,
 * bodies, header fields.  A view owns nothing; the header of the function that
 * gives one says how long it lasts.  An empty view may have p == NULL.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const void *p;
    size_t n;
};

#define BYTES(p_, n_) ((struct bytes){.p = (p_), .n = (n_)})
#define BYTES_NONE    ((struct bytes){.p = NULL, .n = 0})

/* A string literal, or a char array, without its final NUL. */
#define BYTES_LIT(s_) ((struct bytes){.p = (s_), .n = sizeof(s_) - 1})

/* For printf("%.*s", BYTES_FMT(b)). */
#define BYTES_FMT(b_) (int)(b_).n, (const char *)(b_).p

/* A view of the C string `s` (not of its NUL). */
static inline struct bytes bytes_str(const char *s)
{
    return BYTES(s, strlen(s));
}

static inline const uint8_t *bytes_u8(struct bytes b)
{
    return b.p;
}

/* memcmp() order; a prefix sorts before what it is a prefix of. */
static inline int bytes_cmp(struct bytes a, struct bytes b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int d = n ? memcmp(a.p, b.p, n) : 0;

    if (d != 0)
        return d;
    return a.n < b.n ? -1 : a.n > b.n;
}

static inline bool bytes_eq(struct bytes a, struct bytes b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool bytes_eq_str(struct bytes a, const char *s)
{
    return bytes_eq(a, bytes_str(s));
}

static inline bool bytes_starts(struct bytes a, struct bytes prefix)
{
    return a.n >= prefix.n &&
           (prefix.n == 0 || memcmp(a.p, prefix.p, prefix.n) == 0);
}

/* The view without its first `n` bytes; `n` must not exceed its length. */
static inline struct bytes bytes_from(struct bytes b, size_t n)
{
    return BYTES((const uint8_t *)b.p + n, b.n - n);
}

/* A 64-bit hash with good low bits.  Keyed anew in each process, so that its
 * buckets cannot be chosen from outside: never stored or sent. */
uint64_t bytes_hash(struct bytes b);

/* Equality ignoring ASCII case, as HTTP field names compare. */
bool bytes_ieq(struct bytes a, struct bytes b);

/* Big-endian integers, the order-preserving form on disk. */
static inline void put_be64(uint8_t *p, uint64_t v)
{
    for (int i = 7; i >= 0; i--, v >>= 8)
        p[i] = (uint8_t)v;
}

static inline uint64_t get_be64(const uint8_t *p)
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

#endif
