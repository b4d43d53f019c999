#include "rpc/pool.h"

#include "base/fiber.h"
#include "test.h"

#include <pthread.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_queue_says_so_at_once),
        cmocka_unit_test(stopping_finishes_what_is_queued),
        cmocka_unit_test(
            who_waits_for_an_event_leaves_the_only_worker_to_others),
        cmocka_unit_test(stopping_waits_for_what_was_put_aside),
        cmocka_unit_test(workers_that_block_are_made_up_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
