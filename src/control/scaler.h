/*
 * scaler - how many instances a version should have.
 *
 * A pure function: parameters and a table of observations go in, a decision
 * comes out; clock, processes and haproxy stay outside (scale.c), so a test can
 * replay a day in a second (tests/unit/control/test_scaler.c).  What it must
 * remember from one look to the next is in struct scaler_memory, which starts
 * zeroed.
 *
 * The words are those of app.yaml; hosting.md, section 4, says what Google does
 * with them.  For every kind:
 *
 *  - never fewer than `min`, never more than `max`;
 *  - the last instance is not stopped while requests run or wait;
 *  - a steady load leads to a steady number: what starts an instance and what
 *    stops one lie apart, in load and in time.
 */
#ifndef CONTROL_SCALER_H
#define CONTROL_SCALER_H

#include "base/clock.h"
#include "base/ctx.h"

#include <jansson.h>

enum scaling_kind { SCALING_AUTOMATIC, SCALING_BASIC, SCALING_MANUAL };

/* Google's defaults; each has its source in scaler.c's table. */
struct scaling {
    enum scaling_kind kind;
    int min, max;           /* instances; manual: both the wanted number */
    int min_idle, max_idle; /* of the automatic ones, beside those at work */
    int concurrent;         /* requests at once on one instance */
    double cpu, throughput; /* targets, 0.5 to 0.95 */
    int64_t min_pending, max_pending; /* microseconds a request waits */
    int64_t idle_timeout; /* microseconds until an idle one is stopped */
    int64_t interval;     /* microseconds between two looks */
};

/*
 * Read automaticScaling, basicScaling or manualScaling of a version's document
 * over the defaults.  ERR_INVALID names the member that is wrong.
 */
int scaling_read(struct ctx *ctx, const json_t *version, struct scaling *out);

/*
 * Lay what an operator has set for the service (its document's `scaling`
 * object, by the names of app.yaml: "max_instances", "interval", ...) over `s`.
 * ERR_INVALID names the member that is wrong; `s` is unchanged then.
 */
int scaling_override(struct ctx *ctx, const json_t *set, struct scaling *s);

/* The parameters that the kind has, by the names of app.yaml; durations in
 * seconds.  A new reference. */
json_t *scaling_json(const struct scaling *s);

/* ---- one look ---- */

/* An instance as it was seen. */
struct scaler_instance {
    int index;
    bool ready;   /* it answers; else it is being started */
    int requests; /* in its hands */
    int64_t idle; /* microseconds since it had one, or was ready; 0 with one */
    double cpu;   /* used since the last look, of what its class may use */
};

struct scaler_look {
    int64_t now;        /* clock_mono(), microseconds */
    bool traffic;       /* has a share of its service's traffic */
    int queued;         /* requests that wait for an instance */
    int64_t queued_for; /* microseconds the oldest of them has waited */
    int64_t served;     /* requests that ended since the last look */
    const struct scaler_instance *instances; /* those that are not leaving */
    size_t n_instances;
};

/* The largest number in each slice of a stretch of time that ends now. */
enum { SCALER_SLICES = 60 };

struct scaler_peaks {
    int64_t at[SCALER_SLICES]; /* when the slice was added to last */
    int most[SCALER_SLICES];
};

/* What is remembered between looks; zeroed at first.  scaler.c's own. */
struct scaler_memory {
    int64_t seen;    /* the last look, */
    int present;     /* requests it saw, running or waiting */
    int have, ready; /* and instances */
    int64_t grown;   /* when one more was ready, last */
    int64_t freed;   /* when a request had ended, last */
    int64_t stopped; /* when one was stopped, last */
    double running;  /* averages of some seconds: requests in hand, */
    double arriving; /* new ones per second, */
    double cpu;      /* and instances' worth of cpu */
    double work;     /* of the last minute: seconds spent by requests, */
    double ended;    /* and requests ended; the quotient is `took` */
    double took;     /* seconds one takes; 0: not known yet */
    int64_t hold;    /* how long one is kept, where longer than idle_timeout */
    struct scaler_peaks minute; /* instances needed in the last minute */
    struct scaler_peaks held;   /* and as long as one is kept */
};

struct scaler_decision {
    int start;     /* so many more */
    int stop;      /* the index of one to drain and end; -1: none */
    int wanted;    /* instances the load asks for, were there no maximum */
    char why[120]; /* in words, for status and log; "" while nothing is */
};

/*
 * Look and decide.  `start` and `stop` are never both set; the one to stop is
 * an idle one whenever there is one.  One that is not idle is named when there
 * are more than `max`, or when fewer have been enough for all of idle_timeout
 * and none is ever idle because the load is spread evenly: take it from the
 * balancer and let it finish what it has.
 */
struct scaler_decision scaler_decide(const struct scaling *s,
                                     struct scaler_memory *m,
                                     const struct scaler_look *look);

#endif
