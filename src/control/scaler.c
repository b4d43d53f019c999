/*
 * scaler - the decision.
 *
 * A look is taken in four steps: see() counts, remember() brings the averages
 * and peaks up to date, more() asks the kind's rules how many instances they
 * want, fewer() which one may go.  The largest number wins and gives the
 * reason; one may go only when no rule wants one.
 *
 * Why it does not flap: a rule that wants n instances at a load keeps them down
 * to STAY of that load, and for all of idle_timeout; where that proves too
 * short, for longer.  Why it does not stampede: instances that are being
 * started count as there, and a queue is measured by the time in which they
 * will drain it, not by its length alone.
 */
#include "control/scaler.h"

#include <stdio.h>
#include <string.h>

#define WINDOW    10.0 /* seconds that load is averaged over */
#define MEMORY    60.0 /* and the time a request takes */
#define STAY      0.8  /* what starts one at 1 is over at this */
#define FIRST     1.0  /* seconds a request takes, before one has ended */
#define PRECISION 1e-6 /* an average comes near its load, never onto it */

#define PEAK   (60 * CLOCK_SEC) /* how long the busiest moment counts */
#define SETTLE (20 * CLOCK_SEC) /* a fresh one warms up: cpu says little */
#define SPARE  (60 * CLOCK_SEC) /* between two of max_idle that are stopped */
#define DRAIN  (10 * CLOCK_SEC) /* in which a queue should be gone */

#define REGRET 10                /* times the hold: too soon to start again */
#define HOLD   (900 * CLOCK_SEC) /* the longest that regret leads to */

#define MANY 1000000 /* more instances than anybody has */

/* A look, counted. */
struct view {
    const struct scaling *s;
    const struct scaler_look *look;
    struct scaler_memory *m;
    int have, ready;
    int running; /* requests in hand */
    int free;    /* requests that ready ones can take at once */
    double cpu;  /* of those at work, in instances */
};

typedef int want_fn(const struct view *v, char *why, size_t n);
typedef const struct scaler_instance *stop_fn(const struct view *v, char *why,
                                              size_t n);

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

/* Instances whose load each is under `target`; one alone needs no rule: 0. */
static int spread(double load, double target)
{
    double n = load / target + PRECISION;

    return n < 1 ? 0 : (int)smaller(n, MANY) + 1;
}

/* Instances that have room for `load`. */
static int hold(double load, int room)
{
    double n = smaller(load / room, MANY);

    return (int)n + (n > (int)n);
}

/* ---- words ---- */

struct span {
    char text[32];
};

static struct span span(int64_t us)
{
    static const struct {
        int64_t from, unit;
        const char *format;
    } forms[] = {{7200 * CLOCK_SEC, 3600 * CLOCK_SEC, "%.0f h"},
                 {120 * CLOCK_SEC, 60 * CLOCK_SEC, "%.0f min"},
                 {10 * CLOCK_SEC, CLOCK_SEC, "%.0f s"},
                 {INT64_MIN, CLOCK_SEC, "%.1f s"}};
    struct span out;
    size_t i = 0;

    while (us < forms[i].from)
        i++;
    snprintf(out.text, sizeof(out.text), forms[i].format,
             (double)us / (double)forms[i].unit);
    return out;
}

static const char *s_if_many(int n)
{
    return n == 1 ? "" : "s";
}

/* ---- see ---- */

static struct view see(const struct scaling *s, struct scaler_memory *m,
                       const struct scaler_look *look)
{
    struct view v = {.s = s, .m = m, .look = look};

    for (size_t i = 0; i < look->n_instances; i++) {
        const struct scaler_instance *in = &look->instances[i];

        v.running += in->requests;
        if (!in->ready)
            continue;
        v.ready++;
        v.free += larger(s->concurrent - in->requests, 0);
        /* What one burns that has nothing to do, no other would relieve. */
        if (in->idle < (int64_t)(WINDOW * CLOCK_SEC))
            v.cpu += in->cpu;
    }
    v.have = (int)look->n_instances;
    return v;
}

/* ---- remember ---- */

/* How long fewer must have been enough. */
static int64_t hold_time(const struct view *v)
{
    return later(v->s->idle_timeout, v->m->hold);
}

/*
 * One is wanted back that was stopped a moment ago: the load swings slower than
 * idle_timeout is long.  From now on it takes twice as long to stop one, until
 * the swings are over.
 */
static void learn_hold(const struct view *v)
{
    struct scaler_memory *m = v->m;
    int64_t hold = hold_time(v);

    if (m->stopped && v->look->now - m->stopped < REGRET * hold)
        m->hold = 2 * hold < HOLD ? 2 * hold : HOLD;
    else
        m->hold = 0;
}

/* A slice more than the stretch has, so that the oldest counts to its end. */
static int64_t slice_of(int64_t stretch)
{
    return stretch / (SCALER_SLICES - 1) + 1;
}

static void peak_note(struct scaler_peaks *p, int64_t stretch, int64_t now,
                      int n)
{
    int64_t slice = slice_of(stretch);
    size_t i = (size_t)(now / slice % SCALER_SLICES);

    if (p->at[i] / slice != now / slice)
        p->most[i] = 0;
    p->at[i] = now;
    p->most[i] = larger(p->most[i], n);
}

static int peak(const struct scaler_peaks *p, int64_t stretch, int64_t now)
{
    int most = 0;

    for (size_t i = 0; i < SCALER_SLICES; i++) {
        if (now - p->at[i] < stretch)
            most = larger(most, p->most[i]);
    }
    return most;
}

/* Move an average towards what was seen for `seconds`. */
static void blend(double *average, double value, double seconds)
{
    *average += (value - *average) * seconds / (WINDOW + seconds);
}

/*
 * How long a request takes, by Little's law: the time that requests spent over
 * those that ended.  Those in hand count as ended, else the first long ones
 * would seem endless; and one more of FIRST does, for short ones are mostly
 * over before a look sees them.
 */
static void learn_time(const struct view *v, double seconds)
{
    struct scaler_memory *m = v->m;
    double keep = MEMORY / (MEMORY + seconds), took;

    m->work = m->work * keep + v->running * seconds;
    m->ended = m->ended * keep + (double)v->look->served;
    took = (m->work + FIRST) / (m->ended + v->running + 1);
    if (m->ended >= 1 || took > FIRST)
        m->took = took;
}

/* The instances that the load of this moment still keeps busy. */
static int needed(const struct view *v)
{
    const struct scaling *s = v->s;
    int n = hold(v->running + v->look->queued, s->concurrent);

    n = larger(n, spread(v->m->running, s->concurrent * s->throughput * STAY));
    return larger(n, spread(v->m->cpu, s->cpu * STAY));
}

static void remember_peaks(const struct view *v, int64_t gap)
{
    struct scaler_memory *m = v->m;
    int n = needed(v);

    /*
     * Whoever started one wanted it; and of what was not seen - this is the
     * first look, or it is late - the worst is supposed.
     */
    if (v->have > m->have || gap > 4 * v->s->interval + CLOCK_SEC)
        n = larger(n, v->have);
    peak_note(&m->minute, PEAK, v->look->now, n);
    peak_note(&m->held, hold_time(v), v->look->now, n);
}

static void remember(const struct view *v)
{
    const struct scaler_look *look = v->look;
    struct scaler_memory *m = v->m;
    int present = v->running + look->queued;
    int64_t gap = m->seen ? look->now - m->seen : 0;
    double seconds = (double)gap / CLOCK_SEC, arrived;

    if (seconds > 0) {
        arrived = (double)look->served + present - m->present;
        blend(&m->arriving, arrived > 0 ? arrived / seconds : 0, seconds);
        blend(&m->running, v->running, seconds);
        blend(&m->cpu, v->cpu, seconds);
        learn_time(v, seconds);
    }
    if (look->served > 0)
        m->freed = look->now;
    if (v->ready > m->ready)
        m->grown = look->now;
    remember_peaks(v, gap);
    m->seen = look->now;
    m->present = present;
    m->have = v->have;
    m->ready = v->ready;
}

/* ---- more: each rule says how many instances it wants ---- */

static int want_min(const struct view *v, char *why, size_t n)
{
    const char *name = v->s->kind == SCALING_MANUAL ? "instances of manual "
                                                      "scaling"
                                                    : "min_instances";

    snprintf(why, n, "%s: %d", name, v->s->min);
    return v->s->min;
}

/*
 * Instances that take what arrives and drain what waits in time; never more
 * than would have all of it in hand at once.
 */
static int drainers(const struct view *v, int waiting)
{
    double took = v->m->took > 0 ? v->m->took : FIRST;
    double load = waiting * smaller(took * CLOCK_SEC / DRAIN, 1);

    load += v->m->arriving * v->m->took;
    load = smaller(load, v->running + v->look->queued);
    return larger(hold(load, v->s->concurrent), 1);
}

/*
 * Whether those that are there do not get on with the queue: nothing has ended
 * and none has come since the oldest waits, or it waits for too long although
 * no fresh one is at it.  Basic scaling promises one when none is free.
 */
static bool stalled(const struct view *v)
{
    int64_t now = v->look->now, age = v->look->queued_for;
    int64_t quiet = now - later(v->m->freed, v->m->grown);

    return v->s->kind == SCALING_BASIC || quiet > age ||
           (age >= v->s->max_pending && now - v->m->grown > DRAIN);
}

/*
 * Requests wait.  Younger than min_pending they start none, unless there is
 * none at all.  Then as many are wanted as drain the queue, and one more than
 * are ready when it is stalled.
 */
static int want_for_queue(const struct view *v, char *why, size_t n)
{
    const struct scaler_look *look = v->look;
    int waiting = look->queued, wanted;

    if (look->queued_for < v->s->max_pending)
        waiting -= v->free; /* the balancer is about to hand these over */
    if (waiting <= 0 || (v->have > 0 && look->queued_for < v->s->min_pending))
        return 0;
    snprintf(why, n, "%d request%s wait%s, the oldest for %s", look->queued,
             s_if_many(look->queued), look->queued == 1 ? "s" : "",
             span(look->queued_for).text);
    wanted = drainers(v, waiting);
    return stalled(v) ? larger(wanted, v->ready + 1) : wanted;
}

/* Requests in hand, on average, against max_concurrent x target. */
static int want_for_throughput(const struct view *v, char *why, size_t n)
{
    double target = v->s->concurrent * v->s->throughput;

    snprintf(why, n, "%.1f requests at once, the target is %.1f an instance",
             v->m->running, target);
    return spread(v->m->running, target);
}

static int want_for_cpu(const struct view *v, char *why, size_t n)
{
    if (v->ready == 0 || v->look->now - v->m->grown < SETTLE)
        return 0;
    snprintf(why, n, "cpu at %.0f %%, the target is %.0f %%",
             100 * v->m->cpu / v->ready, 100 * v->s->cpu);
    return spread(v->m->cpu, v->s->cpu);
}

/* min_idle instances, where there is traffic that may need them. */
static int spare(const struct view *v)
{
    return v->look->traffic ? v->s->min_idle : 0;
}

/* Some idle ones beside those at work, for a rise that no start is fast for. */
static int want_idle(const struct view *v, char *why, size_t n)
{
    int working = hold(v->running, v->s->concurrent);
    double target = v->s->concurrent * v->s->throughput;

    working = larger(working, spread(v->m->running, target));
    working = larger(working, spread(v->m->cpu, v->s->cpu));
    snprintf(why, n, "min_idle_instances: %d beside %d at work", spare(v),
             working);
    return spare(v) > 0 ? working + spare(v) : 0;
}

/* ---- fewer: each rule names one that may go ---- */

/* Whether `a` should go rather than `b`. */
static bool goes_before(const struct scaler_instance *a,
                        const struct scaler_instance *b)
{
    if (a->ready != b->ready)
        return !a->ready; /* it has nothing in hand */
    if (a->requests != b->requests)
        return a->requests < b->requests;
    if (a->idle != b->idle)
        return a->idle > b->idle;
    return a->index > b->index;
}

static const struct scaler_instance *first_to_go(const struct view *v,
                                                 bool ready)
{
    const struct scaler_instance *best = NULL;

    for (size_t i = 0; i < v->look->n_instances; i++) {
        const struct scaler_instance *in = &v->look->instances[i];

        if ((in->ready || !ready) && (!best || goes_before(in, best)))
            best = in;
    }
    return best;
}

static const struct scaler_instance *stop_above_max(const struct view *v,
                                                    char *why, size_t n)
{
    if (v->have <= v->s->max)
        return NULL;
    snprintf(why, n, "%d instances, max_instances is %d", v->have, v->s->max);
    return first_to_go(v, false);
}

/* Indexes are addresses here: those that stay are 0 to n - 1. */
static const struct scaler_instance *stop_extra(const struct view *v, char *why,
                                                size_t n)
{
    const struct scaler_instance *last = NULL;

    if (v->have <= v->s->max)
        return NULL;
    snprintf(why, n, "%d instances, manual scaling says %d", v->have,
             v->s->max);
    for (size_t i = 0; i < v->look->n_instances; i++) {
        if (!last || v->look->instances[i].index > last->index)
            last = &v->look->instances[i];
    }
    return last;
}

/*
 * Fewer have been enough for all of idle_timeout.  An even balancer lets no
 * single one be idle that long, so the version is judged, not the instance; but
 * the last one goes by its own time.
 */
static const struct scaler_instance *stop_surplus(const struct view *v,
                                                  char *why, size_t n)
{
    const struct scaler_instance *in = first_to_go(v, true);
    int64_t timeout = v->s->idle_timeout, held = hold_time(v);
    int keep = peak(&v->m->held, held, v->look->now) + spare(v);

    if (!in || v->look->queued > 0 || v->have <= larger(keep, v->s->min) ||
        (v->ready == 1 && in->idle < timeout))
        return NULL;
    if (in->idle >= timeout)
        snprintf(why, n, "idle for %s", span(in->idle).text);
    else
        snprintf(why, n, "%d instance%s enough for %s", v->have - 1,
                 v->have == 2 ? " was" : "s were", span(held).text);
    return in;
}

/* More than max_idle above the last minute's need: one a minute goes. */
static const struct scaler_instance *stop_idle(const struct view *v, char *why,
                                               size_t n)
{
    const struct scaler_instance *in = first_to_go(v, true);
    int need = peak(&v->m->minute, PEAK, v->look->now);

    need = larger(need, v->s->min);
    if (!in || in->requests > 0 || v->look->queued > 0 ||
        v->have - need <= v->s->max_idle ||
        v->look->now - v->m->stopped < SPARE)
        return NULL;
    snprintf(why, n, "%d idle, max_idle_instances is %d", v->have - need,
             v->s->max_idle);
    return in;
}

/* Each by itself, after its last request. */
static const struct scaler_instance *stop_timed_out(const struct view *v,
                                                    char *why, size_t n)
{
    const struct scaler_instance *in = first_to_go(v, true);

    if (!in || in->requests > 0 || v->look->queued > 0 ||
        in->idle < v->s->idle_timeout || v->have <= v->s->min ||
        (v->ready == 1 && v->running > 0))
        return NULL;
    snprintf(why, n, "idle for %s", span(in->idle).text);
    return in;
}

/* ---- the rules of each kind, in the order in which they are asked ---- */

static const struct {
    want_fn *wants[6];
    stop_fn *stops[4];
} rules[] = {
    [SCALING_AUTOMATIC] = {{want_min, want_for_queue, want_for_throughput,
                            want_for_cpu, want_idle},
                           {stop_above_max, stop_surplus, stop_idle}},
    [SCALING_BASIC] = {{want_min, want_for_queue},
                       {stop_above_max, stop_timed_out}},
    [SCALING_MANUAL] = {{want_min}, {stop_extra}},
};

static void more(const struct view *v, struct scaler_decision *d)
{
    char why[sizeof(d->why)];

    for (want_fn *const *want = rules[v->s->kind].wants; *want; want++) {
        int n = (*want)(v, why, sizeof(why));

        if (n > d->wanted) {
            d->wanted = n;
            memcpy(d->why, why, sizeof(why));
        }
    }
    d->start = (d->wanted < v->s->max ? d->wanted : v->s->max) - v->have;
    if (d->start <= 0) {
        d->start = 0;
        d->why[0] = '\0';
    }
}

static void fewer(const struct view *v, struct scaler_decision *d)
{
    const struct scaler_instance *in = NULL;

    for (stop_fn *const *stop = rules[v->s->kind].stops; *stop && !in; stop++)
        in = (*stop)(v, d->why, sizeof(d->why));
    if (in) {
        d->stop = in->index;
        v->m->stopped = v->look->now;
    }
}

struct scaler_decision scaler_decide(const struct scaling *s,
                                     struct scaler_memory *m,
                                     const struct scaler_look *look)
{
    struct scaler_decision d = {.stop = -1};
    struct view v = see(s, m, look);

    if (look->now < m->seen)
        memset(m, 0, sizeof(*m)); /* another boot: nothing of it is true */
    remember(&v);
    more(&v, &d);
    if (d.start == 0)
        fewer(&v, &d);
    else if (v.have > 0)
        learn_hold(&v);
    return d;
}
