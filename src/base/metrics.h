/*
 * metrics - the figures of a process, one table.
 *
 * A row is a name, a kind and a sentence; the table feeds /metrics (the text
 * format of Prometheus) and everything that shows figures.  Updates are
 * relaxed atomics: any thread, any time.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include "base/buf.h"

#define METRIC_LIST                                                            \
    METRIC(UPTIME, GAUGE, "uptime_seconds", "Seconds since the start.")        \
    METRIC(MEMORY, GAUGE, "memory_bytes", "Resident memory.")                  \
    METRIC(CONNECTIONS, GAUGE, "http_connections", "Open connections.")        \
    METRIC(ACCEPTED, COUNTER, "http_accepted_total", "Connections accepted.")  \
    METRIC(REQUESTS, COUNTER, "http_requests_total", "Whole HTTP requests.")   \
    METRIC(BAD_REQUESTS, COUNTER, "http_refused_total",                        \
           "Requests refused as malformed, too large or too slow.")            \
    METRIC(TIMEOUTS, COUNTER, "http_timeouts_total",                           \
           "Connections ended for being idle or slow.")                        \
    METRIC(POOL_QUEUED, GAUGE, "pool_queued", "Calls waiting for a worker.")   \
    METRIC(POOL_RUNNING, GAUGE, "pool_running", "Workers that run a call.")    \
    METRIC(BROKER_LINKS, GAUGE, "broker_links", "Connections to the broker.")  \
    METRIC(BROKER_PUBLISHED, COUNTER, "broker_published_total",                \
           "Leases published to the broker.")                                  \
    METRIC(BROKER_RECEIVED, COUNTER, "broker_received_total",                  \
           "Leases the broker brought.")                                       \
    METRIC(BROKER_STALE, COUNTER, "broker_stale_total",                        \
           "Of those, the ones that nobody held any more.")

enum metric {
#define METRIC(id, kind, name, sentence) METRIC_##id,
    METRIC_LIST
#undef METRIC
        METRICS,
};

/* Add `n`, which may be negative for a gauge. */
void metric_add(enum metric m, int64_t n);

/* Set a gauge; the last of several threads wins. */
void metric_set(enum metric m, int64_t v);

/* The value now; two figures read one after the other are of two moments. */
int64_t metric_get(enum metric m);

/*
 * Durations in microseconds, counted in buckets that double from 64 us to 17
 * minutes; so a quantile is known within a factor of two.
 */
enum { METRIC_BUCKETS = 26 };

struct metric_histogram {
    uint64_t count[METRIC_BUCKETS];
    uint64_t sum;
};

/* Count one duration; a negative one (a clock's) counts as 0. */
void metric_observe(struct metric_histogram *h, int64_t us);

/* How many durations were counted. */
uint64_t metric_count(const struct metric_histogram *h);

/* All rows of the table in the text format; names get the prefix
 * "appscale_". */
void metrics_write(struct buf *out);

/*
 * The "# HELP" and "# TYPE" lines that stand once above all histograms of a
 * name.
 */
void metrics_write_type(struct buf *out, const char *name, const char *kind,
                        const char *sentence);

/*
 * One histogram: `labels` is what stands between the braces, as
 * `service="datastore_v3",method="Get"`.  Buckets are cumulative and in
 * seconds, as Prometheus wants them.
 */
void metrics_write_histogram(struct buf *out, const char *name,
                             const char *labels,
                             const struct metric_histogram *h);

#endif
