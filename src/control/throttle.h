/*
 * throttle - how soon something that ended is started again.
 *
 * The first end is answered at once.  One that comes soon after a start waits:
 * 0.1 s, doubling to 30 s.  What worked is not away for longer than it was
 * there, nor than 2 s: a request that kills an instance now and then is no
 * crash loop.  A run of THROTTLE_STABLE clears the slate.  Pure: times go in
 * and come out.
 */
#ifndef CONTROL_THROTTLE_H
#define CONTROL_THROTTLE_H

#include "base/clock.h"

#include <stdbool.h>

enum {
    THROTTLE_FIRST = 100 * 1000,
    THROTTLE_MOST = 30 * 1000 * 1000,
    THROTTLE_STABLE = 60 * 1000 * 1000,
    THROTTLE_WORKED = 2 * 1000 * 1000,
    THROTTLE_FAILING = 3, /* ends in a row that make it "failing" */
};

struct throttle {
    int64_t started; /* clock_mono() of the last start; 0: never */
    int64_t worked;  /* when it was found to, since that start; 0: not yet */
    int ends;        /* in a row, each soon after its start */
    bool had_worked; /* before the last end */
};

/* Note a start. */
void throttle_start(struct throttle *t, int64_t now);

/* Note that it works. */
void throttle_works(struct throttle *t, int64_t now);

/* Note an end; microseconds to wait before the next start. */
int64_t throttle_end(struct throttle *t, int64_t now);

/* Whether it ended too often in a row to be called running. */
bool throttle_failing(const struct throttle *t, int64_t now);

/* Whether a request may wait for it: it does not fail, or it worked before its
 * last end. */
bool throttle_promising(const struct throttle *t, int64_t now);

#endif
