/*
 * scaler - load curves, replayed (scaler_sim.h), and single looks.
 *
 * Every look of every curve is checked for what scaler.h promises; the tests
 * say what the curve as a whole must lead to.
 */
#include "scaler_sim.h"
#include "test.h"

#include <math.h>
#include <string.h>

#define COUNT(a_) (sizeof(a_) / sizeof((a_)[0]))
#define MINUTES   60.0
#define HOURS     3600.0

static struct sim sim;

static int teardown(void **state)
{
    (void)state;
    sim_release(&sim);
    memset(&sim, 0, sizeof(sim));
    return 0;
}

/* automaticScaling; apostrophes are quotes. */
#define AUTOMATIC(...) "{'automaticScaling': {" __VA_ARGS__ "}}"
#define SCHEDULER(...) "'standardSchedulerSettings': {" __VA_ARGS__ "}"

/* ---- what a curve led to ---- */

static void have_between(int least, int most)
{
    int have = sim_have(&sim);

    if (have < least || have > most)
        sim_fail(&sim, "%d instances, not %d to %d", have, least, most);
}

static void nothing_changed(void)
{
    if (sim.starts || sim.stops)
        sim_fail(&sim, "%d started and %d stopped under a steady load",
                 sim.starts, sim.stops);
}

static void waited_at_most(double seconds)
{
    if (sim.longest > seconds)
        sim_fail(&sim, "a request waited for %.1f s", sim.longest);
}

/* Long enough for what an earlier load has left to be over; then, the count. */
static void settle(double rate)
{
    sim_steady(&sim, 40 * MINUTES, rate);
    sim_forget(&sim);
}

/* One look at `n` instances, t seconds after some moment. */
static struct scaler_decision look_at(struct scaler_memory *m,
                                      const struct scaler_instance *instances,
                                      size_t n, int t, int queued)
{
    struct scaler_look look = {.now = (1000 + t) * CLOCK_SEC,
                               .traffic = true,
                               .queued = queued,
                               .queued_for = queued ? CLOCK_SEC / 10 : 0,
                               .instances = instances,
                               .n_instances = n};

    return scaler_decide(&sim.scaling, m, &look);
}

/* ---- automatic: up and down ---- */

static void test_the_first_request_starts_one_at_once(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC());
    sim.traffic = false; /* a version reached by its own name only */
    sim_steady(&sim, 1.2, 1);
    have_between(1, 1);
    sim_steady(&sim, 60, 1);
    have_between(1, 1);
    waited_at_most(sim.startup + 1.5);
}

static void test_a_step_up_is_followed_within_a_minute(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC());
    sim_steady(&sim, 30, 2);
    have_between(1, 1);
    sim_steady(&sim, 60, 80); /* 40 at once: 7 instances at 6 each */
    have_between(7, 10);
    waited_at_most(8);
    sim_forget(&sim);
    sim_steady(&sim, 2 * HOURS, 80);
    nothing_changed();
    waited_at_most(0.1);
}

static void test_a_step_down_to_nothing_leaves_none(void **state)
{
    int64_t end;

    (void)state;
    sim_init(&sim, AUTOMATIC());
    sim_steady(&sim, 5 * MINUTES, 80);
    sim_forget(&sim);
    end = sim.now;
    sim_steady(&sim, 14 * MINUTES, 0);
    nothing_changed();
    sim_steady(&sim, 3 * MINUTES, 0);
    have_between(0, 0);
    assert_true(sim.first_stop - end >= sim.scaling.idle_timeout);
    sim_forget(&sim);
    sim_steady(&sim, 2 * HOURS, 0);
    nothing_changed();
}

static void test_a_step_down_to_little_leaves_one(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC());
    sim_steady(&sim, 5 * MINUTES, 80);
    settle(0.2); /* so that every single one has something now and then */
    have_between(1, 1);
    sim_steady(&sim, 5 * HOURS, 0.2);
    nothing_changed();
}

/* An even balancer leaves none idle, and yet most are too many. */
static void test_a_step_down_under_load_drains_busy_ones(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC());
    sim_steady(&sim, 5 * MINUTES, 200); /* 100 at once */
    have_between(17, 20);
    settle(50); /* 25 at once: 5 */
    have_between(5, 6);
    sim_steady(&sim, 2 * HOURS, 50);
    nothing_changed();
    waited_at_most(0.1);
}

static double sine_day(double t, double size)
{
    return size / 2 * (1 - cos(2 * M_PI * t / (24 * HOURS)));
}

static void test_a_day_is_followed_up_and_down_once(void **state)
{
    int peak;

    (void)state;
    sim_init(&sim, AUTOMATIC());
    sim.tick = 0.1;
    sim.random = true;
    sim_run(&sim, 24 * HOURS, sine_day, 60); /* 30 at once at noon */
    peak = sim.most;
    if (peak < 6 || peak > 9)
        sim_fail(&sim, "%d at the peak", peak);
    if (sim.starts > peak + 4)
        sim_fail(&sim, "%d starts in a day for %d", sim.starts, peak);
    have_between(0, 2);
    waited_at_most(sim.startup + 2);
}

static double sawtooth(double t, double size)
{
    return size * fmod(t, 10 * MINUTES) / (10 * MINUTES);
}

static void test_a_sawtooth_shorter_than_the_timeout_is_held(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC());
    sim_run(&sim, 40 * MINUTES, sawtooth, 100);
    sim_forget(&sim);
    sim_run(&sim, 4 * HOURS, sawtooth, 100);
    nothing_changed();
    waited_at_most(0.1);
}

static double swing(double t, double size)
{
    return fmod(t, 4 * MINUTES) < 2 * MINUTES ? size : size / 4;
}

static void test_swings_longer_than_the_timeout_are_learned(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC());
    sim.scaling.idle_timeout = 30 * CLOCK_SEC;
    sim_run(&sim, 40 * MINUTES, swing, 40); /* 20 at once, and 5 */
    assert_true(sim.stops > 0);
    sim_forget(&sim);
    sim_run(&sim, 2 * HOURS, swing, 40);
    nothing_changed();
    sim_steady(&sim, 15 * MINUTES, 10);
    have_between(1, 2); /* the swings are over */
    sim_steady(&sim, 12 * HOURS, 10);
    sim_steady(&sim, 2 * MINUTES, 40);
    sim_steady(&sim, 2 * MINUTES, 10);
    have_between(1, 2); /* and forgotten */
}

/* Down to none is what a short timeout asks for, each time. */
static void test_rare_requests_find_none_each_time(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC());
    sim.scaling.idle_timeout = 30 * CLOCK_SEC;
    for (int i = 0; i < 10; i++) {
        sim_steady(&sim, 5, 1);
        have_between(1, 1);
        sim_steady(&sim, 60, 0);
        have_between(0, 0);
    }
}

/* ---- automatic: bursts ---- */

static void test_a_flash_crowd_starts_many_at_once(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC(SCHEDULER("'maxInstances': 200")));
    sim.took = 1;
    sim.startup = 5;
    sim_steady(&sim, 5 * MINUTES, 2);
    sim_forget(&sim);
    sim_steady(&sim, 60, 500); /* 500 at once: 84 */
    have_between(84, 130);
    waited_at_most(25);
    sim_forget(&sim);
    sim_steady(&sim, 30 * MINUTES, 500);
    if (sim.waiting || sim.starts > 20)
        sim_fail(&sim, "%d more", sim.starts);
}

static void test_a_cold_start_is_no_stampede(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC());
    sim.took = 0.1; /* 20 a second: 2 at once, one is enough */
    sim.startup = 10;
    sim_steady(&sim, 60, 20); /* 200 wait before it is there */
    if (sim.most > 2)
        sim_fail(&sim, "%d instances for a queue that two drain", sim.most);
    sim_forget(&sim);
    sim_steady(&sim, 10 * MINUTES, 20);
    nothing_changed();
}

static void test_slow_starters_are_waited_for(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC("'maxPendingLatency': '1s'"));
    sim.took = 0.1;
    sim.startup = 20;
    sim_steady(&sim, 2, 0.9); /* one request, no more */
    sim_steady(&sim, 60, 0);
    assert_int_equal(sim.most, 1);
    sim_steady(&sim, 60, 5);   /* which shows how long one takes */
    sim_steady(&sim, 60, 200); /* 20 at once: 4 */
    have_between(4, 10);
    sim_forget(&sim);
    sim_steady(&sim, 10 * MINUTES, 200);
    nothing_changed();
}

static void test_a_second_burst_is_measured_by_what_the_first_took(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC("'minPendingLatency': '0s'"));
    sim.took = 0.02;
    sim_steady(&sim, 60, 10);
    for (int i = 0; i < 30; i++) { /* 300 at once, gone in less than a second */
        sim_steady(&sim, 0.05, 6000);
        sim_steady(&sim, 60, 10);
    }
    have_between(1, 1);
    waited_at_most(sim.startup + 1.5);
}

static void test_no_more_are_started_than_requests_are_there(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC("'maxConcurrentRequests': 1"));
    sim.took = 20; /* which makes ten at once a heavy load, were they more */
    sim_steady(&sim, 10 * MINUTES, 0.03);
    have_between(1, 2);
    sim_steady(&sim, 0.05, 200);
    sim_steady(&sim, 5, 0);
    if (sim.most > 10)
        sim_fail(&sim, "%d instances for ten requests", sim.most);
}

/* ---- automatic: steady loads ---- */

/* At once, for 10 of concurrency: on the thresholds of start, stop and room. */
static const double levels[] = {0.3,  4.8,  5.9, 6,    6.1, 9.6, 10,
                                11.9, 12,   18,  19.2, 20,  24,  30,
                                33.6, 38.4, 40,  42,   48,  54,  60};

static void test_a_steady_load_keeps_a_steady_number(void **state)
{
    static const double noises[] = {0, 0.2, 1};

    (void)state;
    for (size_t i = 0; i < COUNT(levels); i++) {
        for (size_t k = 0; k < COUNT(noises); k++) {
            sim_init(&sim, AUTOMATIC());
            sim.tick = 0.1;
            sim.noise = noises[k];
            snprintf(sim.label, sizeof(sim.label), "level %g, noise %g",
                     levels[i], noises[k]);
            sim_steady(&sim, 30, levels[i] / sim.took * 2);
            settle(levels[i] / sim.took);
            sim_steady(&sim, HOURS, levels[i] / sim.took);
            if (noises[k] == 0 || sim.starts > 0 || sim.stops > 1)
                nothing_changed(); /* a late stop is no flapping */
            have_between((int)ceil(levels[i] / 7), (int)(levels[i] / 4) + 1);
            waited_at_most(0.5);
            sim_release(&sim);
        }
    }
    sim_init(&sim, AUTOMATIC());
}

/* Each by itself: a rare crowd is a reason, but rarely. */
static void test_random_arrivals_hardly_move_the_number(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(levels); i++) {
        sim_init(&sim, AUTOMATIC());
        sim.tick = 0.1;
        sim.random = true;
        settle(levels[i] / sim.took);
        sim_steady(&sim, 4 * HOURS, levels[i] / sim.took);
        if (sim.starts + sim.stops > 4)
            sim_fail(&sim, "%d starts, %d stops at %.1f", sim.starts, sim.stops,
                     levels[i]);
        waited_at_most(1.5);
        sim_release(&sim);
    }
    sim_init(&sim, AUTOMATIC());
}

static void test_one_request_at_a_time_is_steady_too(void **state)
{
    static const double rates[] = {0.2, 0.48, 0.6, 0.96, 1.2, 1.8, 2.4};

    (void)state;
    for (size_t i = 0; i < COUNT(rates); i++) {
        sim_init(&sim, AUTOMATIC("'maxConcurrentRequests': 1"));
        sim.took = 1;
        settle(rates[i]);
        sim_steady(&sim, 2 * HOURS, rates[i]);
        nothing_changed();
        sim_release(&sim);
    }
    sim_init(&sim, AUTOMATIC());
}

static void test_a_processor_at_its_target_is_steady(void **state)
{
    /* in processors: on the thresholds of start and stop */
    static const double work[] = {0.3, 0.48, 0.6, 0.9, 0.96, 1.2, 1.8, 2.4, 3};

    (void)state;
    for (size_t i = 0; i < COUNT(work); i++) {
        sim_init(&sim, AUTOMATIC("'maxConcurrentRequests': 80"));
        sim.took = 0.1;
        sim.spin = 1;
        sim.noise = 0.2;
        settle(work[i] / sim.took);
        sim_steady(&sim, HOURS, work[i] / sim.took);
        nothing_changed();
        have_between((int)ceil(work[i] / 0.7), (int)(work[i] / 0.3) + 1);
        waited_at_most(0.5);
        sim_release(&sim);
    }
    sim_init(&sim, AUTOMATIC());
}

static void test_work_for_the_processor_finds_instances(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC("'maxConcurrentRequests': 2"));
    sim.took = 0.2;
    sim.spin = 1;
    sim_steady(&sim, 30, 1);
    sim_steady(&sim, 2 * MINUTES, 20); /* 4 processors' worth: 7 */
    have_between(7, 12);
    sim_forget(&sim);
    sim_steady(&sim, 2 * MINUTES, 20);
    waited_at_most(0.5);
}

/* What a runtime compiles at its start says nothing of the load. */
static void test_a_warming_instance_starts_no_other(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC("'maxConcurrentRequests': 80"));
    sim.took = 0.1;
    sim.spin = 0.2;
    sim.warming = 10;
    sim_steady(&sim, 10 * MINUTES, 20);
    have_between(1, 1);
}

/* A thread that spins for nobody is not relieved by more of its kind. */
static void test_an_idle_processor_hog_stays_alone(void **state)
{
    struct scaler_instance in = {.ready = true, .cpu = 1};
    struct scaler_memory m = {0};

    (void)state;
    sim_init(&sim, AUTOMATIC(SCHEDULER("'minInstances': 1")));
    for (int t = 1; t < 3000; t++) {
        struct scaler_decision d;

        in.idle = t * CLOCK_SEC;
        d = look_at(&m, &in, 1, t, 0);
        assert_int_equal(d.start, 0);
        assert_int_equal(d.stop, -1);
    }
}

static void test_a_load_right_on_the_target_starts_one(void **state)
{
    (void)state;
    for (int requests = 5; requests <= 6; requests++) {
        struct scaler_instance in = {.ready = true, .requests = requests};
        struct scaler_memory m = {0};
        int started = 0;

        sim_init(&sim, AUTOMATIC());
        for (int t = 1; t < 600; t++)
            started += look_at(&m, &in, 1, t, 0).start > 0;
        assert_true((started > 0) == (requests == 6));
        sim_release(&sim);
    }
    sim_init(&sim, AUTOMATIC());
}

static void test_a_thousand_at_once_fit_one_instance(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC("'maxConcurrentRequests': 1000"));
    sim.took = 5;
    sim_steady(&sim, 10 * MINUTES, 100); /* 500 at once, of 600 */
    have_between(1, 1);
    waited_at_most(sim.startup + 1.5);
    sim_steady(&sim, 10 * MINUTES, 400); /* 2000: 4 */
    have_between(4, 5);
    settle(100);
    have_between(1, 2);
    sim_steady(&sim, HOURS, 100);
    nothing_changed();
}

/* ---- automatic: bounds and spares ---- */

static void test_at_most_one_is_at_most_one(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC(SCHEDULER("'maxInstances': 1")));
    sim_steady(&sim, 60, 100); /* too much for it */
    sim_steady(&sim, 5 * MINUTES, 0);
    assert_int_equal(sim.most, 1);
    assert_int_equal(sim.waiting, 0);
    sim_steady(&sim, 20 * MINUTES, 0);
    have_between(0, 0);
}

static void test_as_many_at_least_as_at_most_never_change(void **state)
{
    (void)state;
    sim_init(&sim,
             AUTOMATIC(SCHEDULER("'minInstances': 3, 'maxInstances': 3")));
    sim_steady(&sim, 2, 0);
    have_between(3, 3);
    sim_forget(&sim);
    sim_steady(&sim, HOURS, 0);
    sim_steady(&sim, HOURS, 55);
    sim_steady(&sim, HOURS, 0);
    nothing_changed();
}

static void test_a_lower_maximum_takes_the_least_busy(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC());
    sim_steady(&sim, 5 * MINUTES, 80);
    sim.scaling.max = 2;
    sim_steady(&sim, 30, 80);
    have_between(2, 2);
}

static void test_spare_ones_stand_beside_those_at_work(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC("'minIdleInstances': 2"));
    sim_steady(&sim, 60, 0);
    have_between(2, 2);                /* where nothing works */
    sim_steady(&sim, 5 * MINUTES, 40); /* 20 at once: 4 */
    have_between(6, 7);
    settle(0);
    have_between(2, 2);
    sim_steady(&sim, HOURS, 0);
    nothing_changed();
    sim.traffic = false;
    sim_steady(&sim, 20 * MINUTES, 0);
    have_between(0, 0);
}

static void test_spare_ones_stand_beside_busy_processors(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC("'maxConcurrentRequests': 80, "
                             "'minIdleInstances': 2"));
    sim.took = 0.1;
    sim.spin = 1;
    sim_steady(&sim, 5 * MINUTES, 14); /* 1.4 processors: 3 */
    have_between(5, 5);
}

/* What a burst needs at once is kept though the average needs little. */
static void test_the_busiest_moment_of_a_minute_is_kept(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC("'maxIdleInstances': 1, " SCHEDULER(
                       "'minInstances': 6")));
    sim.took = 2;
    for (int i = 0; i < 60; i++) {
        sim_steady(&sim, 0.05, 1200); /* sixty at once */
        sim_steady(&sim, 30, 0);
        if (i == 10) {
            sim.scaling.min = 0;
            sim_forget(&sim);
        }
    }
    nothing_changed();
}

static void test_too_many_spare_ones_go_one_a_minute(void **state)
{
    int before;

    (void)state;
    sim_init(&sim, AUTOMATIC("'maxIdleInstances': 1"));
    sim_steady(&sim, 5 * MINUTES, 80);
    before = sim_have(&sim);
    sim_steady(&sim, 60, 0); /* the busiest moment of a minute counts */
    have_between(before, before);
    sim_steady(&sim, 3 * MINUTES + 5, 0);
    have_between(before - 4, before - 3);
    sim_steady(&sim, 9 * MINUTES, 0);
    have_between(1, 1); /* which is for idle_timeout to judge */
}

/* ---- what goes wrong ---- */

static void test_a_stuck_instance_is_worked_around(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC());
    sim_steady(&sim, 60, 4);
    sim_instance(&sim, 0)->stuck = true;
    sim_steady(&sim, 2 * MINUTES,
               4); /* its ten are taken, then another comes */
    have_between(2, 3);
    waited_at_most(sim.scaling.max_pending / (double)CLOCK_SEC + 4);
    settle(4);
    sim_steady(&sim, HOURS, 4);
    nothing_changed();
    waited_at_most(0.1);
    settle(0);
    have_between(2, 3); /* nobody knows that it is stuck; it has requests */
    assert_non_null(sim_instance(&sim, 0));
}

static void test_late_looks_suppose_the_worst(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC());
    sim_steady(&sim, 5 * MINUTES, 80);
    for (int i = 0; i < 6; i++) { /* the busy times fall between the looks */
        sim.next_look += 20 * 60 * CLOCK_SEC;
        sim_forget(&sim);
        sim_steady(&sim, 19 * MINUTES, 80);
        sim_steady(&sim, 2 * MINUTES, 0);
        nothing_changed();
    }
    sim_steady(&sim, 20 * MINUTES, 0);
    have_between(0, 0);
}

static void forward(struct scaler_memory *m, int64_t by)
{
    m->seen += by;
    m->grown += by;
    m->freed += by;
    m->stopped += by;
    for (size_t i = 0; i < SCALER_SLICES; i++) {
        m->minute.at[i] += by;
        m->held.at[i] += by;
    }
}

static void test_a_clock_that_went_back_is_begun_with(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC("'maxIdleInstances': 1"));
    sim_steady(&sim, 5 * MINUTES, 80);
    forward(&sim.memory, 86400 * CLOCK_SEC); /* it is of another boot */
    sim_forget(&sim);
    sim_steady(&sim, HOURS, 80);
    nothing_changed();
    forward(&sim.memory, 86400 * CLOCK_SEC);
    sim_steady(&sim, 12 * MINUTES, 0);
    have_between(1, 1); /* one a minute has gone, as ever */
    sim_steady(&sim, 5 * MINUTES, 0);
    have_between(0, 0);
}

static void test_a_restart_of_the_controller_changes_nothing(void **state)
{
    static const double rates[] = {0.2, 13, 80};

    (void)state;
    for (size_t i = 0; i < COUNT(rates); i++) {
        sim_init(&sim, AUTOMATIC("'maxIdleInstances': 1"));
        settle(rates[i]);
        for (int k = 0; k < 20; k++) {
            sim_steady(&sim, 3 * MINUTES + 7, rates[i]);
            memset(&sim.memory, 0, sizeof(sim.memory));
        }
        nothing_changed();
        sim_release(&sim);
    }
    sim_init(&sim, AUTOMATIC());
}

static void test_what_another_starts_is_kept_for_a_while(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC());
    sim_steady(&sim, HOURS, 0);
    sim_add(&sim); /* a deployment warms one up */
    sim_steady(&sim, 14 * MINUTES, 0);
    have_between(1, 1);
    sim_steady(&sim, 3 * MINUTES, 0);
    have_between(0, 0);
}

/* ---- basic, manual ---- */

static void test_basic_starts_one_where_none_is_free(void **state)
{
    (void)state;
    sim_init(&sim, "{'basicScaling': {'maxInstances': 3}}");
    sim.took = 600;
    sim_steady(&sim, 2, 1);
    have_between(1, 1);
    sim_steady(&sim, 7, 1);
    have_between(1, 1); /* room for ten */
    sim_steady(&sim, 9, 1);
    have_between(2, 2);
    sim_steady(&sim, 60, 1);
    have_between(3, 3);
    sim_steady(&sim, 20 * MINUTES, 0);
    assert_int_equal(sim.waiting, 0);
    sim_steady(&sim, 26 * MINUTES, 0);
    have_between(0, 0);
}

static void test_basic_ones_go_each_by_its_own_time(void **state)
{
    (void)state;
    sim_init(&sim, "{'basicScaling': {'maxInstances': 5, "
                   "'idleTimeout': '600s'}}");
    sim.took = 60;
    sim_steady(&sim, 20, 1);
    have_between(2, 3);
    sim_forget(&sim);
    sim_steady(&sim, 10 * MINUTES, 0);
    nothing_changed();
    sim_steady(&sim, 3 * MINUTES, 0);
    have_between(0, 0);
}

static void test_manual_is_exactly_so_many(void **state)
{
    (void)state;
    sim_init(&sim, "{'manualScaling': {'instances': 4}}");
    sim_steady(&sim, 2, 0);
    have_between(4, 4);
    sim_steady(&sim, HOURS, 75);
    have_between(4, 4);
    sim.scaling.min = sim.scaling.max = 2;
    sim_steady(&sim, 10, 10);
    have_between(2, 2);
    assert_non_null(sim_instance(&sim, 0)); /* the highest have gone */
    assert_non_null(sim_instance(&sim, 1));
    sim_steady(&sim, 20 * MINUTES, 0);
    have_between(2, 2);
}

/* ---- single looks ---- */

#define MAX_OF_A_LOOK 4

/* What is seen for a quarter of an hour, and what is decided then. */
static const struct {
    const char *label, *doc;
    int queued;
    double queued_for;
    struct scaler_instance instances[MAX_OF_A_LOOK];
    size_t n;
    int start, stop;
    const char *why;
} looks[] = {
    {"a young request starts none",
     AUTOMATIC(),
     1,
     0.4,
     {{0, true, 10, 0, 0}},
     1,
     0,
     -1,
     ""},
    {"none at all, and it does",
     AUTOMATIC(),
     1,
     0.1,
     {{0}},
     0,
     1,
     -1,
     "1 request waits, the oldest for 0.1 s"},
    {"those that wait while nothing ends",
     AUTOMATIC(),
     6,
     1.2,
     {{0, true, 10, 0, 0}},
     1,
     1,
     -1,
     "6 requests wait, the oldest for 1.2 s"},
    {"one is coming for them",
     AUTOMATIC(),
     6,
     1.2,
     {{0, true, 10, 0, 0}, {1, false, 0, 0, 0}},
     2,
     0,
     -1,
     ""},
    {"there is room for them",
     AUTOMATIC(),
     6,
     1.2,
     {{0, true, 3, 0, 0}},
     1,
     0,
     -1,
     ""},
    {"the least",
     AUTOMATIC(SCHEDULER("'minInstances': 3")),
     0,
     0,
     {{0, true, 0, 0, 0}},
     1,
     2,
     -1,
     "min_instances: 3"},
    {"spare ones",
     AUTOMATIC("'minIdleInstances': 1"),
     0,
     0,
     {{0, true, 3, 0, 0}},
     1,
     1,
     -1,
     "min_idle_instances: 1 beside 1 at work"},
    {"the longest idle one goes",
     AUTOMATIC(SCHEDULER("'maxInstances': 3")),
     0,
     0,
     {{0, true, 1, 0, 0},
      {1, true, 0, 9, 0},
      {2, true, 0, 7, 0},
      {3, true, 2, 0, 0}},
     4,
     0,
     1,
     "4 instances, max_instances is 3"},
    {"the highest of two",
     AUTOMATIC(SCHEDULER("'maxInstances': 3")),
     0,
     0,
     {{0, true, 1, 0, 0},
      {2, true, 0, 7, 0},
      {1, true, 0, 7, 0},
      {3, true, 2, 0, 0}},
     4,
     0,
     2,
     "4 instances, max_instances is 3"},
    {"the least busy one",
     AUTOMATIC(SCHEDULER("'maxInstances': 1")),
     3,
     60,
     {{0, true, 8, 0, 0}, {1, true, 5, 0, 0}},
     2,
     0,
     1,
     "2 instances, max_instances is 1"},
    {"one that is not ready before one that is",
     AUTOMATIC(SCHEDULER("'maxInstances': 1")),
     3,
     60,
     {{0, false, 0, 0, 0}, {1, true, 5, 0, 0}},
     2,
     0,
     0,
     "2 instances, max_instances is 1"},
    {"basic, none free",
     "{'basicScaling': {'maxInstances': 5}}",
     1,
     0.1,
     {{0, true, 10, 0, 0}},
     1,
     1,
     -1,
     "1 request waits, the oldest for 0.1 s"},
    {"manual, too few",
     "{'manualScaling': {'instances': 2}}",
     0,
     0,
     {{1, true, 0, 0, 0}},
     1,
     1,
     -1,
     "instances of manual scaling: 2"},
    {"manual, too many",
     "{'manualScaling': {'instances': 1}}",
     0,
     0,
     {{0, true, 0, 99, 0}, {1, true, 5, 0, 0}},
     2,
     0,
     1,
     "2 instances, manual scaling says 1"},
};

static void test_single_looks(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(looks); i++) {
        struct scaler_memory m = {0};
        struct scaler_look look = {.traffic = true,
                                   .instances = looks[i].instances,
                                   .n_instances = looks[i].n};
        struct scaler_decision d = {0};

        sim_init(&sim, looks[i].doc);
        /* A first look, long ago, in which nothing waited. */
        look.now = 1000 * CLOCK_SEC;
        scaler_decide(&sim.scaling, &m, &look);
        look.now += 3 * CLOCK_SEC;
        look.queued = looks[i].queued;
        look.queued_for = (int64_t)(looks[i].queued_for * CLOCK_SEC);
        d = scaler_decide(&sim.scaling, &m, &look);
        if (d.start != looks[i].start || d.stop != looks[i].stop ||
            strcmp(d.why, looks[i].why) != 0)
            sim_fail(&sim, "%s: start %d, stop %d: \"%s\"", looks[i].label,
                     d.start, d.stop, d.why);
        sim_release(&sim);
    }
    sim_init(&sim, AUTOMATIC());
}

/*
 * Looks at the end of a time in which nothing was to do and nothing could be
 * stopped; then it may be.
 */
static const struct {
    const char *label, *doc;
    int queued;
    struct scaler_instance instances[MAX_OF_A_LOOK]; /* idle: in seconds */
    size_t n;
    int stop;
} ends[] = {
    {"long idle", AUTOMATIC(), 0, {{0, true, 0, 1000, 0}}, 1, 0},
    {"not itself", AUTOMATIC(), 0, {{0, true, 0, 5, 0}}, 1, -1},
    {"not itself, but another",
     AUTOMATIC(),
     0,
     {{0, true, 0, 5, 0}, {1, true, 0, 9, 0}},
     2,
     1},
    {"a request waits",
     AUTOMATIC(),
     1,
     {{0, true, 0, 1000, 0}, {1, true, 0, 1000, 0}},
     2,
     -1},
    {"too many idle, a request waits",
     AUTOMATIC("'maxIdleInstances': 1"),
     1,
     {{0, true, 0, 70, 0}, {1, true, 0, 70, 0}, {2, true, 0, 70, 0}},
     3,
     -1},
    {"basic, long idle",
     "{'basicScaling': {'maxInstances': 5}}",
     0,
     {{0, true, 0, 1000, 0}, {1, true, 0, 200, 0}},
     2,
     0},
    {"basic, a request waits",
     "{'basicScaling': {'maxInstances': 5}}",
     1,
     {{0, true, 0, 1000, 0}},
     1,
     -1},
    {"basic, the only one that is ready, and one that ends has a request",
     "{'basicScaling': {'maxInstances': 5}}",
     0,
     {{0, true, 0, 1000, 0}, {1, false, 1, 0, 0}},
     2,
     -1},
};

static void test_looks_at_the_end_of_a_quiet_time(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ends); i++) {
        struct scaler_instance list[MAX_OF_A_LOOK];
        struct scaler_memory m = {0};
        struct scaler_decision d;

        sim_init(&sim, ends[i].doc);
        sim.scaling.min = (int)ends[i].n;
        memcpy(list, ends[i].instances, sizeof(list));
        for (int t = 0; t < 1000; t++) {
            for (size_t k = 0; k < ends[i].n; k++) {
                int64_t idle = ends[i].instances[k].idle;

                list[k].idle = (t < idle ? t : idle) * CLOCK_SEC;
            }
            d = look_at(&m, list, ends[i].n, t, 0);
            assert_int_equal(d.stop, -1);
        }
        sim.scaling.min = 0;
        d = look_at(&m, list, ends[i].n, 1000, ends[i].queued);
        if (d.stop != ends[i].stop)
            sim_fail(&sim, "%s: stops %d: %s", ends[i].label, d.stop, d.why);
        sim_release(&sim);
    }
    sim_init(&sim, AUTOMATIC());
}

/* They get on, and yet are slow: that is what max_pending is for. */
static void test_an_overdue_request_starts_one_more(void **state)
{
    (void)state;
    for (int over = 0; over < 2; over++) {
        struct scaler_instance in = {.ready = true, .requests = 2};
        struct scaler_memory m = {0};
        struct scaler_look look = {
            .traffic = true, .served = 5, .instances = &in, .n_instances = 1};

        sim_init(&sim, AUTOMATIC());
        for (int t = 0; t < 60; t++) {
            look.now = (1000 + t) * CLOCK_SEC;
            assert_int_equal(scaler_decide(&sim.scaling, &m, &look).start, 0);
        }
        look.now += CLOCK_SEC;
        look.queued = 9;
        look.queued_for = sim.scaling.max_pending - 1 + over;
        assert_int_equal(scaler_decide(&sim.scaling, &m, &look).start, over);
        sim_release(&sim);
    }
    sim_init(&sim, AUTOMATIC());
}

static void test_basic_starts_one_though_others_get_on(void **state)
{
    struct scaler_instance in = {.ready = true, .requests = 10};
    struct scaler_memory m = {0};
    struct scaler_look look = {.now = 1000 * CLOCK_SEC,
                               .served = 5,
                               .instances = &in,
                               .n_instances = 1};

    (void)state;
    sim_init(&sim, "{'basicScaling': {'maxInstances': 5}}");
    scaler_decide(&sim.scaling, &m, &look);
    look.now += CLOCK_SEC;
    look.queued = 1;
    look.queued_for = CLOCK_SEC / 2;
    assert_int_equal(scaler_decide(&sim.scaling, &m, &look).start, 1);
}

/* The last reason, of what was decided in a curve. */
static const char *news(void)
{
    const char *line = sim.news[(sim.n_news + SIM_NEWS - 1) % SIM_NEWS];
    const char *why = strstr(line, ": ");

    return why ? why + 2 : "";
}

static void test_reasons_are_for_a_person(void **state)
{
    (void)state;
    sim_init(&sim, AUTOMATIC());
    sim_steady(&sim, 60, 4);
    sim_steady(&sim, 60, 14); /* 7 at once */
    assert_string_equal(news(),
                        "6.0 requests at once, the target is 6.0 an instance");
    sim_steady(&sim, 20 * MINUTES, 0);
    assert_string_equal(news(), "idle for 15 min");
    sim_release(&sim);

    sim_init(&sim, AUTOMATIC());
    sim_steady(&sim, 2 * MINUTES, 80);
    sim_steady(&sim, 20 * MINUTES, 13);
    assert_string_equal(news(), "2 instances were enough for 15 min");
    sim_release(&sim);

    sim_init(&sim, AUTOMATIC("'maxConcurrentRequests': 80"));
    sim.took = 0.1;
    sim.spin = 1;
    sim_steady(&sim, 60, 7);
    assert_non_null(strstr(news(), "cpu at 6"));
    assert_non_null(strstr(news(), " %, the target is 60 %"));
    sim_release(&sim);

    sim_init(&sim, AUTOMATIC("'maxIdleInstances': 2"));
    sim_steady(&sim, 2 * MINUTES, 80);
    sim_steady(&sim, 2 * MINUTES, 0);
    assert_non_null(strstr(news(), " idle, max_idle_instances is 2"));
}

/* ---- any parameters, any load ---- */

static double between(uint64_t *seed, double a, double b)
{
    return a + (b - a) * sim_random(seed);
}

/* As many small as large. */
static double scaled(uint64_t *seed, double a, double b)
{
    return a * pow(b / a, sim_random(seed));
}

static void random_version(uint64_t *seed)
{
    struct scaling *s = &sim.scaling;

    sim_init(&sim, sim_random(seed) < 0.8
                       ? AUTOMATIC()
                       : "{'basicScaling': {'maxInstances': 10}}");
    s->concurrent = (int)scaled(seed, 1, 100);
    s->max = (int)scaled(seed, 1, 40);
    s->min = sim_random(seed) < 0.5 ? 0 : (int)between(seed, 0, s->max + 0.99);
    s->idle_timeout = (int64_t)(scaled(seed, 20, 900) * CLOCK_SEC);
    s->interval = (int64_t)(scaled(seed, 0.2, 10) * CLOCK_SEC);
    if (s->kind == SCALING_AUTOMATIC) {
        s->cpu = between(seed, 0.5, 0.95);
        s->throughput = between(seed, 0.5, 0.95);
        s->max_pending = (int64_t)(scaled(seed, 0.01, 60) * CLOCK_SEC);
        s->min_pending = (int64_t)(sim_random(seed) * (double)s->max_pending);
        s->min_idle = sim_random(seed) < 0.7 ? 0 : (int)between(seed, 0, 3);
        s->max_idle = sim_random(seed) < 0.5 ? 1000 : s->min_idle + 1;
    }
    sim.took = scaled(seed, 0.05, 20);
    sim.spin = sim_random(seed) < 0.5 ? 0 : sim_random(seed);
    sim.startup = scaled(seed, 0.3, 30);
    sim.traffic = sim_random(seed) < 0.8;
}

/* Requests per second that the most instances can take. */
static double capacity(void)
{
    double at_once = sim.scaling.concurrent / sim.took;
    double cpu = sim.spin > 0 ? 1 / (sim.took * sim.spin) : at_once;

    return sim.scaling.max * (at_once < cpu ? at_once : cpu);
}

static int spare(void)
{
    int n = sim.scaling.min + (sim.traffic ? sim.scaling.min_idle : 0);

    return n < sim.scaling.max ? n : sim.scaling.max;
}

/*
 * Wild for a while, and the promises hold at every look; then steady: the line
 * is empty in bounded time, and the number stands still; then nothing: down to
 * the least.
 */
static void random_life(uint64_t seed)
{
    double most, rate, calm;
    uint64_t name = seed;

    random_version(&seed);
    snprintf(sim.label, sizeof(sim.label), "APPSCALE_SEED=%llu",
             (unsigned long long)name);
    sim.seed = seed;
    most = capacity();
    most = most < 60 ? most : 60;
    rate = most * between(&seed, 0.02, 0.85);
    calm = 2.5 * (double)sim.scaling.idle_timeout / CLOCK_SEC + 30 * sim.took +
           4 * sim.startup + 40 * MINUTES;
    sim_steady(&sim, 30, 0);
    for (int i = 0; i < 4; i++)
        sim_steady(&sim, between(&seed, 5, 120), most * between(&seed, 0, 1.1));
    sim_steady(&sim, calm, rate);
    if (sim.waiting > rate * sim.took + 2)
        sim_fail(&sim, "the line does not get shorter");
    sim_forget(&sim);
    sim_steady(&sim, 30 * MINUTES, rate);
    /* Less than one in idle_timeout comes and finds none, as it should. */
    if (sim.scaling.kind == SCALING_AUTOMATIC &&
        rate > 2.0 * CLOCK_SEC / (double)sim.scaling.idle_timeout)
        nothing_changed();
    sim_steady(&sim, calm + 20 * 60, 0);
    have_between(sim.scaling.min, spare());
    sim_forget(&sim);
    sim_steady(&sim, HOURS, 0);
    nothing_changed();
    sim_release(&sim);
}

static void test_random_versions_keep_the_promises(void **state)
{
    const char *one = getenv("APPSCALE_SEED"); /* of a failure, again */
    uint64_t from = one ? strtoull(one, NULL, 10) : 1;

    (void)state;
    for (uint64_t seed = from; seed <= (one ? from : 60); seed++) {
        random_life(seed);
    }
    sim_init(&sim, AUTOMATIC());
}

#define TEST(f_) cmocka_unit_test_teardown(f_, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_first_request_starts_one_at_once),
        TEST(test_a_step_up_is_followed_within_a_minute),
        TEST(test_a_step_down_to_nothing_leaves_none),
        TEST(test_a_step_down_to_little_leaves_one),
        TEST(test_a_step_down_under_load_drains_busy_ones),
        TEST(test_a_day_is_followed_up_and_down_once),
        TEST(test_a_sawtooth_shorter_than_the_timeout_is_held),
        TEST(test_swings_longer_than_the_timeout_are_learned),
        TEST(test_rare_requests_find_none_each_time),
        TEST(test_a_flash_crowd_starts_many_at_once),
        TEST(test_a_cold_start_is_no_stampede),
        TEST(test_slow_starters_are_waited_for),
        TEST(test_a_second_burst_is_measured_by_what_the_first_took),
        TEST(test_no_more_are_started_than_requests_are_there),
        TEST(test_a_steady_load_keeps_a_steady_number),
        TEST(test_random_arrivals_hardly_move_the_number),
        TEST(test_one_request_at_a_time_is_steady_too),
        TEST(test_a_processor_at_its_target_is_steady),
        TEST(test_work_for_the_processor_finds_instances),
        TEST(test_a_warming_instance_starts_no_other),
        TEST(test_an_idle_processor_hog_stays_alone),
        TEST(test_a_load_right_on_the_target_starts_one),
        TEST(test_a_thousand_at_once_fit_one_instance),
        TEST(test_at_most_one_is_at_most_one),
        TEST(test_as_many_at_least_as_at_most_never_change),
        TEST(test_a_lower_maximum_takes_the_least_busy),
        TEST(test_spare_ones_stand_beside_those_at_work),
        TEST(test_spare_ones_stand_beside_busy_processors),
        TEST(test_the_busiest_moment_of_a_minute_is_kept),
        TEST(test_too_many_spare_ones_go_one_a_minute),
        TEST(test_a_stuck_instance_is_worked_around),
        TEST(test_late_looks_suppose_the_worst),
        TEST(test_a_clock_that_went_back_is_begun_with),
        TEST(test_a_restart_of_the_controller_changes_nothing),
        TEST(test_what_another_starts_is_kept_for_a_while),
        TEST(test_basic_starts_one_where_none_is_free),
        TEST(test_basic_ones_go_each_by_its_own_time),
        TEST(test_manual_is_exactly_so_many),
        TEST(test_single_looks),
        TEST(test_looks_at_the_end_of_a_quiet_time),
        TEST(test_an_overdue_request_starts_one_more),
        TEST(test_basic_starts_one_though_others_get_on),
        TEST(test_reasons_are_for_a_person),
        TEST(test_random_versions_keep_the_promises),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
