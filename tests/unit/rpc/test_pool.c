#include "rpc/pool.h"

#include "base/fiber.h"
#include "test.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int started, finished;
static bool gate;

static void wait_at_the_gate(struct rpc_job *job)
{
    (void)job;
    pthread_mutex_lock(&lock);
    started++;
    pthread_cond_broadcast(&changed);
    while (!gate)
        pthread_cond_wait(&changed, &lock);
    finished++;
    pthread_mutex_unlock(&lock);
}

static void reset(void)
{
    started = finished = 0;
    gate = false;
}

static void open_the_gate(void)
{
    pthread_mutex_lock(&lock);
    gate = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void wait_started(int n)
{
    pthread_mutex_lock(&lock);
    while (started < n)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static struct rpc_pool *pool_of(int workers, int queue_max)
{
    struct arena a = ARENA_INIT;
    struct rpc_pool *pool;
    struct ctx ctx;

    ctx_init(&ctx, &a);
    assert_int_equal(rpc_pool_start(&ctx, workers, queue_max, &pool), 0);
    arena_release(&a);
    return pool;
}

static void a_full_queue_says_so_at_once(void **state)
{
    struct rpc_job jobs[5];
    struct rpc_pool *pool = pool_of(2, 2);

    (void)state;
    reset();
    for (int i = 0; i < 5; i++)
        jobs[i].run = wait_at_the_gate;
    assert_true(rpc_pool_submit(pool, &jobs[0]));
    assert_true(rpc_pool_submit(pool, &jobs[1]));
    wait_started(2);
    assert_true(rpc_pool_submit(pool, &jobs[2]));
    assert_true(rpc_pool_submit(pool, &jobs[3]));
    assert_false(rpc_pool_submit(pool, &jobs[4]));
    assert_int_equal(rpc_pool_stats(pool).queued, 2);
    assert_int_equal(rpc_pool_stats(pool).running, 2);
    open_the_gate();
    rpc_pool_stop(pool);
    assert_int_equal(finished, 4);
}

static void stopping_finishes_what_is_queued(void **state)
{
    enum { N = 200 };
    struct rpc_job jobs[N];
    struct rpc_pool *pool = pool_of(3, N);

    (void)state;
    reset();
    gate = true;
    for (int i = 0; i < N; i++) {
        jobs[i].run = wait_at_the_gate;
        assert_true(rpc_pool_submit(pool, &jobs[i]));
    }
    rpc_pool_stop(pool);
    assert_int_equal(finished, N);
}

static struct fiber_event event;

static void wait_for_the_event(struct rpc_job *job)
{
    (void)job;
    fiber_event_init(&event);
    pthread_mutex_lock(&lock);
    started++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    fiber_wait(&event);
    pthread_mutex_lock(&lock);
    finished++;
    pthread_mutex_unlock(&lock);
}

static void set_the_event(struct rpc_job *job)
{
    (void)job;
    fiber_event_set(&event);
}

static void
who_waits_for_an_event_leaves_the_only_worker_to_others(void **state)
{
    struct rpc_job waits = {.run = wait_for_the_event};
    struct rpc_job sets = {.run = set_the_event};
    struct rpc_pool *pool = pool_of(1, 2);

    (void)state;
    reset();
    assert_true(rpc_pool_submit(pool, &waits));
    wait_started(1);
    assert_true(rpc_pool_submit(pool, &sets));
    rpc_pool_stop(pool);
    assert_int_equal(finished, 1);
}

static void *set_later(void *arg)
{
    struct rpc_pool *pool = arg;

    while (rpc_pool_stats(pool).running > 0)
        sched_yield();
    fiber_event_set(&event);
    return NULL;
}

static void stopping_waits_for_what_was_put_aside(void **state)
{
    struct rpc_job waits = {.run = wait_for_the_event};
    struct rpc_pool *pool = pool_of(3, 2);
    pthread_t other;

    (void)state;
    reset();
    assert_true(rpc_pool_submit(pool, &waits));
    wait_started(1);
    pthread_create(&other, NULL, set_later, pool);
    pthread_join(other, NULL);
    rpc_pool_stop(pool);
    assert_int_equal(finished, 1);
}

static void workers_that_block_are_made_up_for(void **state)
{
    enum { N = 20 };
    struct rpc_job jobs[N];
    struct rpc_pool *pool = pool_of(N, N);

    (void)state;
    reset();
    for (int i = 0; i < N; i++) {
        jobs[i].run = wait_at_the_gate;
        assert_true(rpc_pool_submit(pool, &jobs[i]));
    }
    wait_started(N); /* all at once, whatever number of processors */
    open_the_gate();
    rpc_pool_stop(pool);
    assert_int_equal(finished, N);
}

static void wait_and_open_the_gate(struct rpc_job *job)
{
    wait_for_the_event(job);
    open_the_gate();
}

/* True when the gate is open within ten seconds; it is open afterwards. */
static bool gate_opens(void)
{
    struct timespec until;
    bool opened;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    pthread_mutex_lock(&lock);
    while (!gate && pthread_cond_timedwait(&changed, &lock, &until) == 0) {
    }
    opened = gate;
    pthread_mutex_unlock(&lock);
    open_the_gate();
    return opened;
}

/* One job put aside, and as many as there are workers blocked until it is
 * through. */
enum { BLOCKED = 16 };

static void put_one_aside_and_block(struct rpc_pool *pool,
                                    struct rpc_job jobs[BLOCKED + 1], int n)
{
    reset();
    jobs[0].run = wait_and_open_the_gate;
    assert_true(rpc_pool_submit(pool, &jobs[0]));
    wait_started(1);
    for (int i = 1; i <= n; i++) {
        jobs[i].run = wait_at_the_gate;
        assert_true(rpc_pool_submit(pool, &jobs[i]));
    }
    wait_started(1 + n);
}

static void
r_a_job_put_aside_goes_on_although_every_worker_is_blocked(void **state)
{
    struct rpc_job jobs[BLOCKED + 1];
    struct rpc_pool *pool = pool_of(BLOCKED, BLOCKED);

    (void)state;
    put_one_aside_and_block(pool, jobs, BLOCKED);
    fiber_event_set(&event);
    assert_true(gate_opens());
    rpc_pool_stop(pool);
    assert_int_equal(finished, BLOCKED + 1);
}

static void *stop(void *pool)
{
    rpc_pool_stop(pool);
    return NULL;
}

/* With a worker to spare, and without one. */
static void r_stopping_makes_up_for_blocked_workers_too(void **state)
{
    (void)state;
    for (int spare = 0; spare < 2; spare++) {
        struct rpc_job jobs[BLOCKED + 1];
        struct rpc_pool *pool = pool_of(BLOCKED + spare, BLOCKED);
        pthread_t stopper;

        put_one_aside_and_block(pool, jobs, BLOCKED);
        pthread_create(&stopper, NULL, stop, pool);
        usleep(20000); /* that it has begun cannot be seen from outside */
        fiber_event_set(&event);
        assert_true(gate_opens());
        pthread_join(stopper, NULL);
        assert_int_equal(finished, BLOCKED + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_queue_says_so_at_once),
        cmocka_unit_test(stopping_finishes_what_is_queued),
        cmocka_unit_test(
            who_waits_for_an_event_leaves_the_only_worker_to_others),
        cmocka_unit_test(stopping_waits_for_what_was_put_aside),
        cmocka_unit_test(workers_that_block_are_made_up_for),
        cmocka_unit_test(
            r_a_job_put_aside_goes_on_although_every_worker_is_blocked),
        cmocka_unit_test(r_stopping_makes_up_for_blocked_workers_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
