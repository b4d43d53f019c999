/*
 * scaler_sim - a version under load, in a time of its own.
 *
 * A model of what stands around scaler_decide(): requests arrive and wait in a
 * line, a balancer gives each to the ready instance with the fewest (in turn
 * where several have as few, as haproxy's leastconn), instances take a while to
 * start, have so many requests at once and share one processor among them.
 * Hours pass in milliseconds, the same for the same seed.
 *
 * Every look is checked against what scaler.h promises; a broken promise fails
 * the test and prints what was decided before.
 */
#ifndef TESTS_SCALER_SIM_H
#define TESTS_SCALER_SIM_H

#include "control/scaler.h"

enum { SIM_INSTANCES = 400, SIM_QUEUE = 1 << 16, SIM_NEWS = 24 };

struct sim_instance {
    int index;
    bool leaving, stuck;    /* stuck: no request of it ends */
    int64_t ready_at, idle; /* microseconds; since when it has none */
    double progress;        /* seconds of work done for each one in hand */
    double *ends;           /* the progress at which each ends */
    int n;
    double cpu; /* seconds used since the last look */
};

struct sim {
    /* What to set before the first step; sim_init() gives each a value. */
    struct scaling scaling;
    bool traffic;
    double took;    /* seconds of an undisturbed request */
    double spin;    /* part of them on the processor */
    double startup; /* seconds until an instance is ready */
    double warming; /* and seconds of all its processor after that */
    double noise;   /* arrivals vary evenly by so much of themselves */
    bool random;    /* ... or arrive each by itself (Poisson) */
    double tick;    /* seconds */
    uint64_t seed;
    char label[48]; /* which of many, for a failure */

    /* What there is. */
    struct scaler_memory memory;
    int64_t now, next_look, looked;
    struct sim_instance instances[SIM_INSTANCES];
    int n, turn;
    int64_t *queue; /* arrival times, a ring */
    size_t head, waiting;
    double due;     /* arrivals not yet whole */
    int64_t served; /* since the last look */

    /* What happened since sim_forget(). */
    int starts, stops, most;
    double longest;     /* seconds that a request waited */
    int64_t total;      /* requests that ended */
    int64_t first_stop; /* 0: none */
    char news[SIM_NEWS][240];
    size_t n_news;
};

/* A fresh one with no instance; what `doc` (app.yaml's scaling, as JSON of the
 * Admin API, quotes for apostrophes) says over the defaults. */
void sim_init(struct sim *sim, const char *doc);

void sim_release(struct sim *sim);

/* Requests per second, so many seconds into the curve. */
typedef double sim_load_fn(double t, double size);

/* Let `seconds` pass. */
void sim_run(struct sim *sim, double seconds, sim_load_fn *load, double size);

/* With `rate` requests a second all the while. */
void sim_steady(struct sim *sim, double seconds, double rate);

/* Instances that are not leaving; those of them that are ready. */
int sim_have(const struct sim *sim);
int sim_ready(const struct sim *sim);

struct sim_instance *sim_instance(struct sim *sim, int index);

/* One more instance, started by somebody else. */
void sim_add(struct sim *sim);

/* Begin the counts anew. */
void sim_forget(struct sim *sim);

/* Fail, with what was decided last. */
void sim_fail(struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));

/* 0 to 1, the same for the same seed. */
double sim_random(uint64_t *seed);

#endif
