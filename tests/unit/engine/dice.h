/*
 * dice - choices, from a seed or from the bytes of a fuzzer.
 *
 * A game drawn with these is the same for the same seed or bytes.  When the
 * bytes are used up every choice is 0.
 */
#ifndef TESTS_UNIT_ENGINE_DICE_H
#define TESTS_UNIT_ENGINE_DICE_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

struct dice {
    uint64_t state; /* of a seeded one; 0: from `rest` */
    struct bytes rest;
};

static inline struct dice dice_seeded(uint64_t seed)
{
    return (struct dice){.state = seed * 0x9e3779b97f4a7c15u + 1};
}

static inline struct dice dice_of(struct bytes in)
{
    return (struct dice){.rest = in};
}

/* From 0 to n - 1; n is at most 256. */
static inline unsigned dice_below(struct dice *d, unsigned n)
{
    unsigned v;

    if (d->state) {
        d->state ^= d->state << 13;
        d->state ^= d->state >> 7;
        d->state ^= d->state << 17;
        return (unsigned)((d->state >> 16) % n);
    }
    if (d->rest.n == 0)
        return 0;
    v = bytes_u8(d->rest)[0];
    d->rest = bytes_from(d->rest, 1);
    return v % n;
}

static inline bool dice_chance(struct dice *d, unsigned percent)
{
    return dice_below(d, 100) >= 100 - percent;
}

/* One of an array's members. */
#define dice_pick(d_, array_)                                                  \
    ((array_)[dice_below((d_), sizeof(array_) / sizeof((array_)[0]))])

#endif
