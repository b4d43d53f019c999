/*
 * bucket - the rate of a queue: a token bucket, and what slows it down.
 *
 * Tokens come at `rate` a second up to `capacity`; an attempt takes one,
 * retries included.  A new bucket is full.  A backend that answers 503 has too
 * much to do: bucket_slow() halves the enforced rate, at most once a second,
 * and it comes back by doubling every ten seconds.
 *
 * Times are clock_mono() microseconds, given by the caller.  Thread rule: one
 * owner.
 */
#ifndef SERVICE_TASKQUEUE_BUCKET_H
#define SERVICE_TASKQUEUE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
    double rate;     /* tokens a second; 0: none ever come */
    double capacity; /* at least 1 */
    double tokens;
    int64_t at;     /* when `tokens` was true */
    double share;   /* of the rate that is enforced, 0..1 */
    int64_t slowed; /* when bucket_slow() last counted */
};

/* A full bucket. */
void bucket_init(struct bucket *b, double rate, double capacity, int64_t now);

/* Other figures; what is in the bucket stays, up to the new capacity. */
void bucket_set(struct bucket *b, double rate, double capacity, int64_t now);

/* Take one token if there is one. */
bool bucket_take(struct bucket *b, int64_t now);

/* The moment of the next whole token: `now` when there is one, INT64_MAX when
 * none will come. */
int64_t bucket_next(struct bucket *b, int64_t now);

/* The backend has too much to do. */
void bucket_slow(struct bucket *b, int64_t now);

/* Tokens a second that are enforced now. */
double bucket_enforced(struct bucket *b, int64_t now);

#endif
