/* metrics - the table's values, and Prometheus' text. */
#include "base/metrics.h"

#include <inttypes.h>

#define KIND_COUNTER "counter"
#define KIND_GAUGE   "gauge"

static const struct row {
    const char *name;
    const char *kind;
    const char *sentence;
} rows[METRICS] = {
#define METRIC(id, kind, name, sentence) {name, KIND_##kind, sentence},
    METRIC_LIST
#undef METRIC
};

static int64_t values[METRICS];

void metric_add(enum metric m, int64_t n)
{
    __atomic_fetch_add(&values[m], n, __ATOMIC_RELAXED);
}

void metric_set(enum metric m, int64_t v)
{
    __atomic_store_n(&values[m], v, __ATOMIC_RELAXED);
}

int64_t metric_get(enum metric m)
{
    return __atomic_load_n(&values[m], __ATOMIC_RELAXED);
}

/* Bucket 0 ends at 64 us = 2^6, bucket i at 2^(6+i), the last never. */
enum { FIRST_BITS = 6 };

static int bucket_of(uint64_t us)
{
    int bits = us ? 64 - __builtin_clzll(us) : 0;
    int i = bits - FIRST_BITS;

    return i < 0 ? 0 : i >= METRIC_BUCKETS ? METRIC_BUCKETS - 1 : i;
}

void metric_observe(struct metric_histogram *h, int64_t us)
{
    uint64_t v = us > 0 ? (uint64_t)us : 0;

    __atomic_fetch_add(&h->count[bucket_of(v)], 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&h->sum, v, __ATOMIC_RELAXED);
}

uint64_t metric_count(const struct metric_histogram *h)
{
    uint64_t n = 0;

    for (int i = 0; i < METRIC_BUCKETS; i++)
        n += __atomic_load_n(&h->count[i], __ATOMIC_RELAXED);
    return n;
}

void metrics_write_type(struct buf *out, const char *name, const char *kind,
                        const char *sentence)
{
    buf_printf(out, "# HELP appscale_%s %s\n# TYPE appscale_%s %s\n", name,
               sentence, name, kind);
}

void metrics_write(struct buf *out)
{
    for (int i = 0; i < METRICS; i++) {
        metrics_write_type(out, rows[i].name, rows[i].kind, rows[i].sentence);
        buf_printf(out, "appscale_%s %" PRId64 "\n", rows[i].name,
                   metric_get((enum metric)i));
    }
}

void metrics_write_histogram(struct buf *out, const char *name,
                             const char *labels,
                             const struct metric_histogram *h)
{
    uint64_t n = 0;

    for (int i = 0; i < METRIC_BUCKETS - 1; i++) {
        n += __atomic_load_n(&h->count[i], __ATOMIC_RELAXED);
        buf_printf(out, "appscale_%s_bucket{%s,le=\"%.6f\"} %" PRIu64 "\n",
                   name, labels, (double)(1ULL << (FIRST_BITS + i)) / 1e6, n);
    }
    n += __atomic_load_n(&h->count[METRIC_BUCKETS - 1], __ATOMIC_RELAXED);
    buf_printf(out, "appscale_%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name,
               labels, n);
    buf_printf(out, "appscale_%s_sum{%s} %.6f\n", name, labels,
               (double)__atomic_load_n(&h->sum, __ATOMIC_RELAXED) / 1e6);
    buf_printf(out, "appscale_%s_count{%s} %" PRIu64 "\n", name, labels, n);
}
