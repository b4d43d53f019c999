/* scaler_sim - arrivals, the line, the instances, the looks. */
#include "scaler_sim.h"

#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double sim_random(uint64_t *seed)
{
    uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

static struct scaling scaling_of(const char *doc)
{
    struct arena arena = ARENA_INIT;
    struct scaling out = {0};
    struct ctx ctx;
    char text[512];
    json_t *json;

    ctx_init(&ctx, &arena);
    snprintf(text, sizeof(text), "%s", doc);
    for (char *p = text; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    json = json_loads(text, 0, NULL);
    if (!json || scaling_read(&ctx, json, &out) != 0)
        fail_msg("%s: %s", text, ctx.err.message);
    json_decref(json);
    arena_release(&arena);
    return out;
}

void sim_init(struct sim *sim, const char *doc)
{
    memset(sim, 0, sizeof(*sim));
    sim->scaling = scaling_of(doc);
    sim->traffic = true;
    sim->took = 0.5;
    sim->startup = 2;
    sim->tick = 0.05;
    sim->seed = 1;
    sim->now = sim->next_look = 1000 * CLOCK_SEC;
    sim->looked = sim->now - sim->scaling.interval;
    sim->queue = malloc(SIM_QUEUE * sizeof(*sim->queue));
    assert_non_null(sim->queue);
}

static void end_instance(struct sim *sim, int at)
{
    free(sim->instances[at].ends);
    sim->instances[at] = sim->instances[--sim->n];
}

void sim_release(struct sim *sim)
{
    while (sim->n > 0)
        end_instance(sim, sim->n - 1);
    free(sim->queue);
}

void sim_forget(struct sim *sim)
{
    sim->starts = sim->stops = 0;
    sim->most = sim_have(sim);
    sim->longest = 0;
    sim->total = sim->first_stop = 0;
}

void sim_fail(struct sim *sim, const char *format, ...)
{
    char text[512];
    va_list ap;

    if (*sim->label)
        print_error("%s\n", sim->label);
    for (size_t i = 0; i < SIM_NEWS; i++) {
        const char *line = sim->news[(sim->n_news + i) % SIM_NEWS];

        if (*line)
            print_error("%s\n", line);
    }
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    print_error("at %.1f s, %d instances, %zu requests wait: ",
                (double)sim->now / CLOCK_SEC, sim_have(sim), sim->waiting);
    fail_msg("%s", text);
    abort();
}

/* ---- instances ---- */

static bool ready(const struct sim *sim, const struct sim_instance *in)
{
    return sim->now >= in->ready_at;
}

int sim_have(const struct sim *sim)
{
    int n = 0;

    for (int i = 0; i < sim->n; i++)
        n += !sim->instances[i].leaving;
    return n;
}

int sim_ready(const struct sim *sim)
{
    int n = 0;

    for (int i = 0; i < sim->n; i++)
        n += !sim->instances[i].leaving && ready(sim, &sim->instances[i]);
    return n;
}

struct sim_instance *sim_instance(struct sim *sim, int index)
{
    for (int i = 0; i < sim->n; i++) {
        if (sim->instances[i].index == index && !sim->instances[i].leaving)
            return &sim->instances[i];
    }
    return NULL;
}

void sim_add(struct sim *sim)
{
    struct sim_instance *in = &sim->instances[sim->n];
    int index = 0;

    if (sim->n == SIM_INSTANCES)
        sim_fail(sim, "too many instances for the simulator");
    while (sim_instance(sim, index))
        index++;
    *in = (struct sim_instance){
        .index = index,
        .ready_at = sim->now + (int64_t)(sim->startup * CLOCK_SEC),
        .ends = malloc((size_t)sim->scaling.concurrent * sizeof(double))};
    assert_non_null(in->ends);
    in->idle = in->ready_at;
    sim->n++;
}

/* One processor is shared by all in hand; what waits for others does not. */
static void work(struct sim *sim, struct sim_instance *in)
{
    double use = in->n * sim->spin, step = sim->tick;

    if (ready(sim, in) &&
        sim->now < in->ready_at + (int64_t)(sim->warming * CLOCK_SEC))
        in->cpu += sim->tick;
    else
        in->cpu += (use < 1 ? use : 1) * sim->tick;
    if (use > 1)
        step /= use;
    in->progress += step;
    for (int i = in->n; i-- > 0;) {
        if (in->stuck || in->ends[i] > in->progress + 1e-9)
            continue;
        in->ends[i] = in->ends[--in->n];
        in->idle = sim->now;
        sim->served++;
        sim->total++;
    }
}

/* ---- the line and the balancer ---- */

static int arrivals(struct sim *sim, double rate)
{
    double n = rate * sim->tick, p = 1;
    int k = 0;

    if (sim->random) { /* Knuth's way; n is small */
        for (double l = exp(-n); (p *= sim_random(&sim->seed)) > l;)
            k++;
        return k;
    }
    sim->due += n * (1 + sim->noise * (2 * sim_random(&sim->seed) - 1));
    k = (int)sim->due;
    sim->due -= k;
    return k;
}

static struct sim_instance *least_busy(struct sim *sim)
{
    struct sim_instance *best = NULL;

    for (int i = 0; i < sim->n; i++) {
        struct sim_instance *in = &sim->instances[(i + sim->turn) % sim->n];

        if (!in->leaving && ready(sim, in) && in->n < sim->scaling.concurrent &&
            (!best || in->n < best->n))
            best = in;
    }
    return best;
}

static void hand_out(struct sim *sim)
{
    struct sim_instance *in;

    while (sim->waiting > 0 && (in = least_busy(sim)) != NULL) {
        double wait = (double)(sim->now - sim->queue[sim->head]) / CLOCK_SEC;

        sim->turn = (int)(in - sim->instances) + 1;
        in->ends[in->n++] = in->progress + sim->took;
        sim->longest = wait > sim->longest ? wait : sim->longest;
        sim->head = (sim->head + 1) % SIM_QUEUE;
        sim->waiting--;
    }
}

static void arrive(struct sim *sim, int n)
{
    if (sim->waiting + (size_t)n > SIM_QUEUE)
        sim_fail(sim, "the line is too long for the simulator");
    while (n-- > 0)
        sim->queue[(sim->head + sim->waiting++) % SIM_QUEUE] = sim->now;
}

/* ---- a look, and what scaler.h promises of it ---- */

static const struct scaler_instance *seen(const struct scaler_look *look,
                                          int index)
{
    for (size_t i = 0; i < look->n_instances; i++) {
        if (look->instances[i].index == index)
            return &look->instances[i];
    }
    return NULL;
}

static void check_stop(struct sim *sim, const struct scaler_look *look,
                       const struct scaler_decision *d)
{
    const struct scaler_instance *in = seen(look, d->stop);
    int others = 0, busy = look->queued;
    bool any_idle = false;

    if (!in)
        sim_fail(sim, "stops %d, which is not there", d->stop);
    for (size_t i = 0; i < look->n_instances; i++) {
        const struct scaler_instance *it = &look->instances[i];

        others += it->ready && it != in;
        busy += it->requests;
        any_idle = any_idle || (it->ready && it->requests == 0);
    }
    if (others == 0 && in->ready && busy > 0)
        sim_fail(sim, "stops the last one while %d requests are there", busy);
    if (in->requests > 0 && any_idle && sim->scaling.kind != SCALING_MANUAL)
        sim_fail(sim, "stops %d, busy, while another is idle", d->stop);
    if ((int)look->n_instances <= sim->scaling.min)
        sim_fail(sim, "stops one of the least");
}

static void check(struct sim *sim, const struct scaler_look *look,
                  const struct scaler_decision *d)
{
    if (d->start < 0 || (d->start > 0 && d->stop >= 0))
        sim_fail(sim, "start %d, stop %d", d->start, d->stop);
    if (d->start > 0 && (int)look->n_instances + d->start > sim->scaling.max)
        sim_fail(sim, "starts %d, above the most", d->start);
    if ((d->start > 0 || d->stop >= 0) != (d->why[0] != '\0'))
        sim_fail(sim, "start %d, stop %d: \"%s\"", d->start, d->stop, d->why);
    if (strchr(d->why, '(') || strlen(d->why) + 1 == sizeof(d->why))
        sim_fail(sim, "not for a person: %s", d->why);
    if (d->stop >= 0)
        check_stop(sim, look, d);
}

static size_t observe(struct sim *sim, struct scaler_instance *list)
{
    double elapsed = (double)(sim->now - sim->looked) / CLOCK_SEC;
    size_t n = 0;

    for (int i = 0; i < sim->n; i++) {
        struct sim_instance *in = &sim->instances[i];
        bool on = ready(sim, in);

        if (!in->leaving)
            list[n++] = (struct scaler_instance){
                .index = in->index,
                .ready = on,
                .requests = in->n,
                .idle = on && in->n == 0 ? sim->now - in->idle : 0,
                .cpu = elapsed > 0 ? in->cpu / elapsed : 0};
        in->cpu = 0;
    }
    return n;
}

static void act(struct sim *sim, const struct scaler_decision *d)
{
    if (d->start > 0 || d->stop >= 0)
        snprintf(sim->news[sim->n_news++ % SIM_NEWS], sizeof(sim->news[0]),
                 "%9.1f s  %3d have, start %d, stop %d: %s",
                 (double)sim->now / CLOCK_SEC, sim_have(sim), d->start, d->stop,
                 d->why);
    for (int i = 0; i < d->start; i++)
        sim_add(sim);
    if (d->stop >= 0) {
        sim_instance(sim, d->stop)->leaving = true;
        sim->stops++;
        if (!sim->first_stop)
            sim->first_stop = sim->now;
    }
    sim->starts += d->start;
    if (sim_have(sim) > sim->most)
        sim->most = sim_have(sim);
}

static void look(struct sim *sim)
{
    static struct scaler_instance list[SIM_INSTANCES];
    struct scaler_look look = {.now = sim->now,
                               .traffic = sim->traffic,
                               .queued = (int)sim->waiting,
                               .served = sim->served,
                               .instances = list};
    struct scaler_decision d;

    look.n_instances = observe(sim, list);
    look.queued_for = sim->waiting ? sim->now - sim->queue[sim->head] : 0;
    d = scaler_decide(&sim->scaling, &sim->memory, &look);
    check(sim, &look, &d);
    act(sim, &d);
    sim->served = 0;
    sim->looked = sim->now;
    sim->next_look = sim->now + sim->scaling.interval;
}

/* ---- time ---- */

static void step(struct sim *sim, double rate)
{
    sim->now += (int64_t)(sim->tick * CLOCK_SEC + 0.5);
    for (int i = sim->n; i-- > 0;) {
        work(sim, &sim->instances[i]);
        if (sim->instances[i].leaving && sim->instances[i].n == 0)
            end_instance(sim, i);
    }
    arrive(sim, arrivals(sim, rate));
    hand_out(sim);
    if (sim->now >= sim->next_look)
        look(sim);
}

void sim_run(struct sim *sim, double seconds, sim_load_fn *load, double size)
{
    int64_t steps = (int64_t)(seconds / sim->tick + 0.5);

    for (int64_t i = 0; i < steps; i++)
        step(sim, load((double)i * sim->tick, size));
}

static double constant(double t, double size)
{
    (void)t;
    return size;
}

void sim_steady(struct sim *sim, double seconds, double rate)
{
    sim_run(sim, seconds, constant, rate);
}
