/*
 * retry - when a failed attempt may be made again.
 *
 * Retry n follows the n-th failure.  The wait doubles up to max_doublings
 * times, then grows linearly by the last step, and never passes the cap:
 *
 *     min * 2^D * L   with D = min(n - 1, max_doublings), L = n - D
 *
 * With both limits a task goes on while either allows it; without any, for
 * ever.  Pure functions; any thread.
 */
#ifndef SERVICE_TASKQUEUE_RETRY_H
#define SERVICE_TASKQUEUE_RETRY_H

#include "base/bytes.h"

struct retry {
    bool has_limit, has_age;
    int64_t limit;   /* retries; 0: the first attempt is the only one */
    int64_t age;     /* seconds since the first attempt's start */
    double min, max; /* seconds */
    int64_t max_doublings;
};

/* The protocol's own defaults: 0.1 s, doubling 16 times, at most an hour. */
#define RETRY_DEFAULTS                                                         \
    ((struct retry){.min = 0.1, .max = 3600, .max_doublings = 16})

/* Whether retry `n` (1 is the first) may be made `age` microseconds after the
 * first attempt's start.  Both bounds are inclusive. */
bool retry_may(const struct retry *r, int64_t n, int64_t age);

/* Microseconds to wait between the n-th failure and retry `n`. */
int64_t retry_wait(const struct retry *r, int64_t n);

/* A TaskQueueRetryParameters message; what it lacks takes the defaults.  False
 * when it is malformed. */
bool retry_read(struct bytes message, struct retry *out);

/* What is wrong with the parameters, as a sentence; NULL when nothing is. */
const char *retry_complaint(const struct retry *r);

#endif
