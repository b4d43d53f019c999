/*
 * order - encoded bytes sort as what they stand for: values and keys drawn
 * from dice, the engine's encodings against the order of naive.h.
 */
#ifndef TESTS_UNIT_ENGINE_ORDER_H
#define TESTS_UNIT_ENGINE_ORDER_H

#include "base/log.h"
#include "dice.h"
#include "engine/key.h"
#include "engine/value.h"
#include "naive_make.h"

static inline uint64_t order_bits(struct dice *d)
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v = v << 8 | dice_below(d, 256);
    return v;
}

/* Small ones half of the time, so that some are neighbours. */
static inline int64_t order_int(struct dice *d)
{
    return dice_chance(d, 50) ? (int64_t)dice_below(d, 5) - 2
                              : (int64_t)order_bits(d);
}

static inline double order_double(struct dice *d)
{
    static const double some[] = {-INFINITY, -1.0,   -0.0,     0.0,
                                  1.0,       5e-324, INFINITY, NAN};
    uint64_t bits = order_bits(d);
    double v;

    memcpy(&v, &bits, sizeof(v));
    /* There is one NaN: others have bits that mean nothing. */
    return dice_chance(d, 50) ? dice_pick(d, some) : isnan(v) ? NAN : v;
}

/* Mostly of the bytes that an escape has to do with. */
static inline struct bytes order_string(struct arena *a, struct dice *d)
{
    static const uint8_t some[] = {0, 1, 2, 0xff, 'a'};
    size_t n = dice_below(d, 6);
    uint8_t *p = arena_alloc(a, n + 1);

    for (size_t i = 0; i < n; i++)
        p[i] = dice_chance(d, 70) ? dice_pick(d, some)
                                  : (uint8_t)dice_below(d, 256);
    return BYTES(p, n);
}

/* As key_parse() takes it: kinds and names are text, and not empty. */
static inline struct bytes order_name(struct arena *a, struct dice *d)
{
    static const uint8_t some[] = {0, 1, 2, 'a', '~'};
    size_t n = 1 + dice_below(d, 3);
    uint8_t *p = arena_alloc(a, n);

    for (size_t i = 0; i < n; i++)
        p[i] = dice_pick(d, some);
    return BYTES(p, n);
}

static inline const struct naive_key *order_key(struct arena *a, struct dice *d)
{
    static const struct bytes spaces[] = {{"", 0}, {"", 0}, {"n", 1}};
    struct naive_key *key = ARENA_NEW(a, struct naive_key);

    key->space = dice_pick(d, spaces);
    key->n = 1 + (int)dice_below(d, 3);
    for (int i = 0; i < key->n; i++) {
        struct naive_elem *e = &key->e[i];

        e->kind = order_name(a, d);
        e->named = dice_chance(d, 50);
        if (e->named)
            e->name = order_name(a, d);
        else
            e->id = order_int(d);
        if (!e->named && e->id == 0)
            e->id = 1;
    }
    return key;
}

static inline struct naive_value order_value(struct arena *a, struct dice *d)
{
    struct naive_value v = {.type = dice_below(d, NAIVE_REFERENCE + 1)};

    switch (v.type) {
    case NAIVE_NULL:
        break;
    case NAIVE_INT:
        v.i = order_int(d);
        break;
    case NAIVE_BOOL:
        v.i = dice_below(d, 2);
        break;
    case NAIVE_STRING:
        v.s = order_string(a, d);
        break;
    case NAIVE_USER:
        v.s = order_name(a, d);
        for (size_t i = 0; i < v.s.n; i++) /* it travels as a C string */
            ((uint8_t *)v.s.p)[i] |= 0x20;
        break;
    case NAIVE_POINT:
        v.y = order_double(d);
        /* fallthrough */
    case NAIVE_DOUBLE:
        v.x = order_double(d);
        break;
    case NAIVE_REFERENCE:
        v.key = order_key(a, d);
        break;
    }
    return v;
}

static inline int order_sign(int d)
{
    return (d > 0) - (d < 0);
}

#define order_require(holds_, what_)                                           \
    do {                                                                       \
        if (!(holds_))                                                         \
            BUG("%s", (what_));                                                \
    } while (0)

static inline struct bytes order_encode(struct ctx *ctx,
                                        const struct naive_value *v)
{
    struct buf b = BUF_IN(ctx->arena), back = BUF_IN(ctx->arena),
               again = BUF_IN(ctx->arena);

    order_require(value_encode(ctx, &b, naive_pv(ctx->arena, v)) == 0,
                  "a value does not encode");
    order_require(value_size(buf_view(&b), false) == b.n,
                  "a value does not end where it ends");
    order_require(value_decode(ctx->arena, buf_view(&b), &back) == 0 &&
                      value_encode(ctx, &again, buf_view(&back)) == 0 &&
                      bytes_eq(buf_view(&b), buf_view(&again)),
                  "a value does not come back");
    return buf_view(&b);
}

/* Two values: their bytes, as they are and flipped, with anything behind. */
static inline void order_of_values(struct ctx *ctx, struct dice *d)
{
    struct naive_value v = order_value(ctx->arena, d),
                       w = order_value(ctx->arena, d);
    struct bytes a = order_encode(ctx, &v), b = order_encode(ctx, &w);
    int want = order_sign(naive_value_cmp(&v, &w));

    order_require(order_sign(bytes_cmp(a, b)) == want,
                  "encoded values sort otherwise");
    order_require(want == 0 || (!bytes_starts(a, b) && !bytes_starts(b, a)),
                  "an encoded value begins another");
    value_flip((uint8_t *)a.p, a.n);
    value_flip((uint8_t *)b.p, b.n);
    order_require(order_sign(bytes_cmp(a, b)) == -want,
                  "flipped values sort otherwise");
    order_require(value_size(a, true) == a.n,
                  "a flipped value does not end where it ends");
}

static inline struct key order_parse(struct ctx *ctx, const struct naive_key *k)
{
    struct bytes ref = naive_reference(ctx->arena, k);
    struct buf again = BUF_IN(ctx->arena);
    struct key key, back;

    order_require(key_parse(ctx, ref, &key) == 0, "a key does not parse");
    key_write_reference(&again, key.app, key.space, key.path);
    order_require(key_parse(ctx, buf_view(&again), &back) == 0 &&
                      bytes_eq(back.path, key.path) &&
                      bytes_eq(back.space, key.space),
                  "a key does not come back");
    return key;
}

/* Two keys of one namespace: their paths; an ancestor's begins its own. */
static inline void order_of_keys(struct ctx *ctx, struct dice *d)
{
    struct naive_key x = *order_key(ctx->arena, d),
                     y = *order_key(ctx->arena, d);
    struct key a, b;

    if (dice_chance(d, 30)) { /* relatives */
        y = x;
        y.n = 1 + (int)dice_below(d, (unsigned)x.n);
    }
    y.space = x.space;
    a = order_parse(ctx, &x);
    b = order_parse(ctx, &y);
    order_require(order_sign(bytes_cmp(a.path, b.path)) ==
                      order_sign(naive_key_cmp(&x, &y)),
                  "encoded keys sort otherwise");
    order_require(bytes_starts(a.path, b.path) == naive_below(&x, &y),
                  "a path begins with what is no ancestor's");
}

#endif
