/*
 * samples - how the figures of the instances that ask for them have changed.
 *
 * Each has a ring of the last ten minutes.  An instance that has ended, or has
 * not asked for half an hour, is forgotten.
 */
#include "service/system/system_int.h"

#include "base/log.h"

#include <stdlib.h>

enum {
    RING = 61, /* ten minutes, both ends */
    INSTANCES_MAX = 1000,
    FORGET_AFTER = 30 * 60, /* seconds without a question */
};

struct sample {
    double age; /* of the instance, seconds */
    double cpu_seconds;
    int64_t bytes;
};

struct samples {
    struct samples *next;
    pid_t leader;
    uint64_t start;
    int64_t asked; /* clock_mono() */
    struct sample ring[RING];
    size_t n; /* ever put; the newest is ring[(n - 1) % RING] */
};

static void put(struct samples *s, const struct caller_usage *u)
{
    s->ring[s->n++ % RING] = (struct sample){
        .age = u->age, .cpu_seconds = u->cpu_seconds, .bytes = u->bytes};
}

/*
 * Over the last `window` seconds before `now`, or as far as the looks reach
 * back.  An instance that was started within them began at nothing, and so
 * does one that has not been looked at: what it used on average is all there is
 * to say.
 */
static void over(const struct samples *s, const struct caller_usage *now,
                 double window, double *bytes, double *cpu)
{
    size_t kept = s->n < RING ? s->n : RING, counted = 1;
    double sum = (double)now->bytes;
    struct sample from = {0};

    for (size_t i = 0; i < kept; i++) {
        from = s->ring[(s->n - 1 - i) % RING];
        if (from.age < now->age - window)
            break;
        sum += (double)from.bytes;
        counted++;
    }
    if (now->age <= window)
        from = (struct sample){0};
    *bytes = sum / (double)counted;
    *cpu = now->age > from.age
               ? (now->cpu_seconds - from.cpu_seconds) / (now->age - from.age)
               : 0;
}

static struct samples *find(struct system *sys, const struct caller *who)
{
    struct samples *s;
    int n = 0;

    for (s = sys->samples; s; s = s->next, n++)
        if (s->leader == who->leader && s->start == who->start)
            return s;
    if (n >= INSTANCES_MAX)
        return NULL;
    s = calloc(1, sizeof(*s));
    if (!s)
        die("out of memory for the figures of an instance");
    s->leader = who->leader;
    s->start = who->start;
    s->next = sys->samples;
    sys->samples = s;
    return s;
}

struct samples_figures samples_add(struct system *sys, const struct caller *who,
                                   const struct caller_usage *now)
{
    const struct samples none = {.n = 0};
    struct samples_figures f;
    struct samples *s;

    lock_take(&sys->lock);
    s = find(sys, who);
    if (s)
        s->asked = clock_mono();
    over(s ? s : &none, now, 60, &f.bytes_1m, &f.cpu_1m);
    over(s ? s : &none, now, 600, &f.bytes_10m, &f.cpu_10m);
    lock_drop(&sys->lock);
    return f;
}

void samples_put(struct system *sys, const struct caller *who,
                 const struct caller_usage *seen)
{
    struct samples *s;

    lock_take(&sys->lock);
    s = find(sys, who);
    if (s)
        put(s, seen);
    lock_drop(&sys->lock);
}

void samples_look(struct system *sys)
{
    int64_t old = clock_mono() - FORGET_AFTER * CLOCK_SEC;
    struct arena a = ARENA_INIT;
    struct caller_usage u;
    struct samples **at, *s;
    struct procfs_stat *all;
    size_t n = procfs_all(&a, &all);

    lock_take(&sys->lock);
    for (at = &sys->samples; (s = *at) != NULL;) {
        if (s->asked > old && caller_usage(all, n, s->leader, s->start, &u)) {
            put(s, &u);
            at = &s->next;
        } else {
            *at = s->next;
            free(s);
        }
    }
    lock_drop(&sys->lock);
    arena_release(&a);
}

void samples_free(struct system *sys)
{
    struct samples *s;

    while ((s = sys->samples) != NULL) {
        sys->samples = s->next;
        free(s);
    }
}
