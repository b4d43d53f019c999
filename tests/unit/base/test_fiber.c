#include "base/fiber.h"
#include "base/locks.h"
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>

/* What a fiber says of itself, in order. */
static char story[64];

static void say(const char *what)
{
    strncat(story, what, sizeof(story) - strlen(story) - 1);
}

static struct fiber_event event;
static int n_ready;

static void on_ready(struct fiber *f, void *arg)
{
    (void)f;
    (void)arg;
    n_ready++;
}

static void wait_once(void *arg)
{
    (void)arg;
    say("a");
    fiber_event_init(&event);
    say("b");
    fiber_wait(&event);
    say("c");
}

static struct fiber *fresh(void)
{
    struct fiber *f = fiber_new(on_ready, NULL);

    assert_non_null(f);
    story[0] = '\0';
    n_ready = 0;
    return f;
}

static void it_is_put_aside_and_goes_on(void **state)
{
    struct fiber *f = fresh();

    (void)state;
    for (int i = 0; i < 3; i++) { /* one fiber serves one call after another */
        story[0] = '\0';
        assert_false(fiber_run(f, wait_once, NULL));
        assert_string_equal(story, "ab");
        assert_int_equal(n_ready, i);
        fiber_event_set(&event);
        assert_int_equal(n_ready, i + 1);
        assert_string_equal(story, "ab"); /* not on the thread that sets it */
        assert_true(fiber_resume(f));
        assert_string_equal(story, "abc");
    }
    fiber_free(f);
}

static void set_then_wait(void *arg)
{
    (void)arg;
    fiber_event_init(&event);
    fiber_event_set(&event);
    fiber_wait(&event);
    say("through");
}

static void an_event_that_came_first_is_not_waited_for(void **state)
{
    struct fiber *f = fresh();

    (void)state;
    assert_true(fiber_run(f, set_then_wait, NULL));
    assert_string_equal(story, "through");
    assert_int_equal(n_ready, 0);
    set_then_wait(NULL); /* and without a fiber */
    fiber_free(f);
}

static void *set_it(void *arg)
{
    fiber_event_set(arg);
    return NULL;
}

static struct lock held;

static void wait_with_a_lock(void *arg)
{
    struct fiber_event e;
    pthread_t other;

    (void)arg;
    lock_take(&held);
    fiber_event_init(&e);
    assert_int_equal(pthread_create(&other, NULL, set_it, &e), 0);
    fiber_wait(&e);
    lock_drop(&held);
    pthread_join(other, NULL);
    say("done");
}

static void who_holds_a_lock_blocks_its_thread(void **state)
{
    struct fiber *f = fresh();

    (void)state;
    lock_init(&held, LOCK_RPC_POOL);
    assert_true(fiber_run(f, wait_with_a_lock, NULL));
    assert_string_equal(story, "done");
    lock_release(&held);
    fiber_free(f);
}

/*
 * Fibers wander between two runners while a third thread sets their events at
 * any moment: before they wait, on their way out, and after.
 */
enum { FIBERS = 20, ROUNDS = 500, BOX = FIBERS * 2 };

struct box {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    void *item[BOX];
    int n;
    bool closed;
};

static struct box ready = {.lock = PTHREAD_MUTEX_INITIALIZER,
                           .filled = PTHREAD_COND_INITIALIZER};
static struct box events = {.lock = PTHREAD_MUTEX_INITIALIZER,
                            .filled = PTHREAD_COND_INITIALIZER};
static atomic_int rounds, ended;

static void box_put(struct box *b, void *item)
{
    pthread_mutex_lock(&b->lock);
    b->item[b->n++] = item;
    pthread_cond_signal(&b->filled);
    pthread_mutex_unlock(&b->lock);
}

static void *box_take(struct box *b)
{
    void *item = NULL;

    pthread_mutex_lock(&b->lock);
    while (b->n == 0 && !b->closed)
        pthread_cond_wait(&b->filled, &b->lock);
    if (b->n > 0)
        item = b->item[--b->n];
    pthread_mutex_unlock(&b->lock);
    return item;
}

static void box_close(struct box *b)
{
    pthread_mutex_lock(&b->lock);
    b->closed = true;
    pthread_cond_broadcast(&b->filled);
    pthread_mutex_unlock(&b->lock);
}

static void wait_often(void *arg)
{
    int sum = 0;

    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct fiber_event e;

        fiber_event_init(&e);
        box_put(&events, &e);
        fiber_wait(&e);
        sum += i;
        atomic_fetch_add(&rounds, 1);
    }
    assert_int_equal(sum, ROUNDS * (ROUNDS - 1) / 2);
}

static void to_the_box(struct fiber *f, void *arg)
{
    (void)arg;
    box_put(&ready, f);
}

static void *runner(void *arg)
{
    struct fiber *f;

    (void)arg;
    while ((f = box_take(&ready)) != NULL)
        if (fiber_resume(f) && atomic_fetch_add(&ended, 1) == FIBERS - 1)
            box_close(&ready);
    return NULL;
}

static void *setter(void *arg)
{
    struct fiber_event *e;

    (void)arg;
    while ((e = box_take(&events)) != NULL)
        fiber_event_set(e);
    return NULL;
}

static void events_and_fibers_meet_in_any_order(void **state)
{
    struct fiber *all[FIBERS];
    pthread_t threads[3];

    (void)state;
    pthread_create(&threads[2], NULL, setter, NULL);
    for (int i = 0; i < FIBERS; i++) {
        all[i] = fiber_new(to_the_box, NULL);
        if (fiber_run(all[i], wait_often, NULL))
            atomic_fetch_add(&ended, 1);
    }
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, runner, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    box_close(&events);
    pthread_join(threads[2], NULL);
    assert_int_equal(rounds, FIBERS * ROUNDS);
    for (int i = 0; i < FIBERS; i++)
        fiber_free(all[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_put_aside_and_goes_on),
        cmocka_unit_test(an_event_that_came_first_is_not_waited_for),
        cmocka_unit_test(who_holds_a_lock_blocks_its_thread),
        cmocka_unit_test(events_and_fibers_meet_in_any_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
