/*
 * histogram - how long things took, in few numbers.
 *
 * Microseconds are counted in buckets that grow with the value: exact below
 * 16, and an eighth wide above, so a quantile is right to about 12 percent.
 */
#ifndef STORAGE_TRACE_HISTOGRAM_H
#define STORAGE_TRACE_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 16 + (31 - 4) * 8 };

struct histogram {
    uint64_t n;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/*
 * Count one duration in microseconds; what lies outside of 0 to 2^31 - 1 counts
 * as the nearer end.  The caller's lock.
 */
void histogram_add(struct histogram *h, int64_t us);

/* The time that `percent` of all stayed within; 0 when there are none. */
int64_t histogram_quantile(const struct histogram *h, unsigned percent);

#endif
