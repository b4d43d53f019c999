/*
 * histogram - buckets of an eighth of a power of two; below 16 us each
 * microsecond has its own.
 */
#include "storage/trace/histogram.h"

#define US_MAX ((INT64_C(1) << 31) - 1)

static unsigned bucket_of(uint64_t us)
{
    unsigned log2;

    if (us < 16)
        return (unsigned)us;
    log2 = 63 - (unsigned)__builtin_clzll(us);
    return 16 + (log2 - 4) * 8 + (unsigned)(us >> (log2 - 3) & 7);
}

/* The largest value that falls into the bucket. */
static int64_t bucket_top(unsigned b)
{
    unsigned shift;

    if (b < 16)
        return b;
    shift = (b - 16) / 8 + 1;
    return ((int64_t)((b - 16) % 8 + 9) << shift) - 1;
}

void histogram_add(struct histogram *h, int64_t us)
{
    if (us < 0)
        us = 0;
    if (us > US_MAX)
        us = US_MAX;
    h->n++;
    h->buckets[bucket_of((uint64_t)us)]++;
}

int64_t histogram_quantile(const struct histogram *h, unsigned percent)
{
    uint64_t want = (h->n * percent + 99) / 100, seen = 0;

    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
        seen += h->buckets[b];
        if (seen >= want && seen > 0)
            return bucket_top(b);
    }
    return 0;
}
