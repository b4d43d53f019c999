/*
 * The small parts of storage/: ranges, batches, key locks, the histogram and
 * what trace says of a store.
 */
#include "base/errinj.h"
#include "storage/key_locks.h"
#include "storage/storage.h"
#include "storage/trace/histogram.h"
#include "test.h"

#include <pthread.h>

#define COUNT(a_) (sizeof(a_) / sizeof((a_)[0]))

/* ---- ranges and batches ---- */

static void a_prefix_ends_at_its_successor(void **state)
{
    static const struct {
        struct bytes prefix, to;
        bool to_end;
    } cases[] = {
        {BYTES_LIT("a"), BYTES_LIT("b"), false},
        {BYTES_LIT("ab"), BYTES_LIT("ac"), false},
        {BYTES_LIT("a\xff"), BYTES_LIT("b"), false},
        {BYTES_LIT("a\xfe"), BYTES_LIT("a\xff"), false},
        {BYTES_LIT("a\xff\xff"), BYTES_LIT("b"), false},
        {BYTES_LIT("\0"), BYTES_LIT("\1"), false},
        {BYTES_LIT("\xff"), BYTES_LIT(""), true},
        {BYTES_LIT("\xff\xff"), BYTES_LIT(""), true},
        {BYTES_LIT(""), BYTES_LIT(""), true},
    };
    struct arena a = ARENA_INIT;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct storage_range r = storage_prefix(&a, cases[i].prefix);

        assert_bytes(r.from, cases[i].prefix);
        assert_bytes(r.to, cases[i].to);
        assert_int_equal(r.to_end, cases[i].to_end);
    }
    arena_release(&a);
}

static void the_rest_of_a_range_starts_behind_the_last_row(void **state)
{
    struct arena a = ARENA_INIT;
    struct storage_range r = {BYTES_LIT("b"), BYTES_LIT("y"), false};
    struct storage_range all = STORAGE_ALL, rest;

    rest = storage_range_after(&a, &r, STORAGE_FORWARD, BYTES_LIT("m"));
    assert_bytes(rest.from, BYTES_LIT("m\0"));
    assert_bytes(rest.to, BYTES_LIT("y"));
    rest = storage_range_after(&a, &r, STORAGE_BACKWARD, BYTES_LIT("m"));
    assert_bytes(rest.from, BYTES_LIT("b"));
    assert_bytes(rest.to, BYTES_LIT("m"));
    rest = storage_range_after(&a, &all, STORAGE_FORWARD, BYTES_LIT(""));
    assert_bytes(rest.from, BYTES_LIT("\0"));
    assert_true(rest.to_end);
    rest = storage_range_after(&a, &all, STORAGE_BACKWARD, BYTES_LIT("m"));
    assert_false(rest.to_end);
    arena_release(&a);
}

static void a_batch_keeps_its_order_as_it_grows(void **state)
{
    enum { N = 1000 };
    struct arena a = ARENA_INIT;
    struct storage_batch b = STORAGE_BATCH_IN(&a);

    for (int i = 0; i < N; i++) {
        struct storage_key k = {bytes_str("p"),
                                bytes_str(arena_printf(&a, "%d", i))};

        storage_batch_put(&b, k, k.row);
        storage_batch_require(&b, k, k.row);
    }
    assert_int_equal(b.n_writes, N);
    assert_int_equal(b.n_conds, N);
    for (int i = 0; i < N; i++) {
        struct bytes want = bytes_str(arena_printf(&a, "%d", i));

        assert_bytes(b.writes[i].key.row, want);
        assert_bytes(b.conds[i].value, want);
    }
    arena_release(&a);
}

/* ---- key locks ---- */

struct fixture {
    struct arena arena;
    struct ctx ctx;
    struct key_locks locks;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    ctx_init(&f->ctx, &f->arena);
    key_locks_init(&f->locks);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    key_locks_release(&f->locks);
    arena_release(&f->arena);
    free(f);
    return 0;
}

/* Hold the keys `a` and `b`, waiting `us` at most. */
static int take(struct fixture *f, struct key_set *set, uint64_t a, uint64_t b,
                int64_t us)
{
    uint64_t hashes[] = {a, b};

    ctx_err_clear(&f->ctx);
    f->ctx.deadline = clock_mono() + us;
    return key_locks_take(&f->ctx, &f->locks, hashes, 2, set);
}

static void a_key_in_hand_is_waited_for_until_the_deadline(void **state)
{
    struct fixture *f = *state;
    struct key_set one, two;

    assert_int_equal(take(f, &one, 7, 7, CLOCK_SEC), 0); /* twice is once */
    assert_int_equal(one.n, 1);
    assert_int_equal(take(f, &two, 8, 9, CLOCK_SEC), 0);
    key_locks_drop(&f->locks, &two);

    /* 3 is free, and is so again after 7 could not be had. */
    assert_int_equal(take(f, &two, 7, 3, 2 * CLOCK_MS), ERR_DEADLINE);
    assert_int_equal(f->ctx.err.code, ERR_DEADLINE);
    assert_int_equal(take(f, &two, 3, 4, CLOCK_SEC), 0);
    key_locks_drop(&f->locks, &two);
    key_locks_drop(&f->locks, &one);
    assert_int_equal(take(f, &one, 7, 3, CLOCK_SEC), 0);
    key_locks_drop(&f->locks, &one);
}

static void keys_of_one_bucket_do_not_wait_for_each_other(void **state)
{
    struct fixture *f = *state;
    struct key_set one, two;

    assert_int_equal(take(f, &one, 5, 6, CLOCK_SEC), 0);
    assert_int_equal(take(f, &two, 5 + KEY_LOCK_BUCKETS,
                          6 + 2 * KEY_LOCK_BUCKETS, CLOCK_SEC),
                     0);
    key_locks_drop(&f->locks, &one);
    key_locks_drop(&f->locks, &two);
}

struct taker {
    struct key_locks *locks;
    uint64_t hash;
    int rc;
};

static void *take_and_drop(void *arg)
{
    struct taker *t = arg;
    struct arena arena = ARENA_INIT;
    uint64_t hash = t->hash;
    struct key_set set;
    struct ctx ctx;

    ctx_init(&ctx, &arena);
    t->rc = key_locks_take(&ctx, t->locks, &hash, 1, &set);
    if (t->rc == 0)
        key_locks_drop(t->locks, &set);
    arena_release(&arena);
    return NULL;
}

static void all_who_wait_get_the_key_in_the_end(void **state)
{
    enum { N = 4 };
    struct fixture *f = *state;
    struct taker takers[N];
    pthread_t threads[N];
    struct key_set set;

    assert_int_equal(take(f, &set, 1, 2, CLOCK_SEC), 0);
    for (int i = 0; i < N; i++) {
        takers[i] = (struct taker){&f->locks, (uint64_t)(1 + i % 2), -1};
        assert_int_equal(
            pthread_create(&threads[i], NULL, take_and_drop, &takers[i]), 0);
    }
    key_locks_drop(&f->locks, &set);
    for (int i = 0; i < N; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(takers[i].rc, 0);
    }
}

/* ---- histogram ---- */

static void quantiles_are_right_to_an_eighth(void **state)
{
    static const int64_t times[] = {0,   1,    15,     16,      17,        31,
                                    100, 1000, 123456, 9999999, 2147483647};

    for (size_t i = 0; i < COUNT(times); i++) {
        struct histogram h = {0};

        histogram_add(&h, times[i]);
        assert_in_range(histogram_quantile(&h, 50), times[i],
                        times[i] + times[i] / 8);
    }
}

static void quantiles_split_what_was_counted(void **state)
{
    struct histogram h = {0};

    assert_int_equal(histogram_quantile(&h, 99), 0);
    for (int i = 0; i < 99; i++)
        histogram_add(&h, 3);
    histogram_add(&h, 5000);
    assert_int_equal(histogram_quantile(&h, 50), 3);
    assert_int_equal(histogram_quantile(&h, 99), 3);
    assert_in_range(histogram_quantile(&h, 100), 5000, 5625);
    histogram_add(&h, -1);
    histogram_add(&h, INT64_MAX); /* neither falls off an end */
    assert_int_equal(h.n, 102);
}

/* ---- trace ---- */

static void trace_fails_by_the_name_inside_and_counts(void **state)
{
    static const struct {
        const char *fault;
        int want;
        bool written;
    } cases[] = {
        {"memory.commit.io", ERR_IO, false},
        {"memory.commit.no_space", ERR_NO_SPACE, false},
        {"memory.commit.aborted", ERR_ABORTED, false},
        {"memory.commit.lost", ERR_UNKNOWN, true},
    };
    static const char *const figures[] = {
        "backend trace\n",         "trace.commit.calls 4\n",
        "trace.commit.failed 4\n", "trace.get.calls 4\n",
        "trace.get.failed 0\n",    "memory.rows 1\n"};
    struct storage_options o = {.backend = "trace:memory"};
    struct storage_key k = {bytes_str("p"), bytes_str("r")};
    struct fixture *f = *state;
    struct storage *st;
    const char *stats;
    struct bytes v;

    assert_int_equal(storage_open(&f->ctx, &o, &st), 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct storage_batch b = STORAGE_BATCH_IN(&f->arena);

        ctx_err_clear(&f->ctx);
        storage_batch_put(&b, k, bytes_str("v"));
        errinj_set(cases[i].fault, 1, 0);
        assert_int_equal(storage_commit(&f->ctx, st, &b, NULL), cases[i].want);
        assert_int_equal(storage_get1(&f->ctx, st, k, &v) == 0,
                         cases[i].written);
    }
    errinj_clear();
    stats = arena_cstr(&f->arena, storage_stats(&f->ctx, st));
    for (size_t i = 0; i < COUNT(figures); i++) {
        if (!strstr(stats, figures[i]))
            fail_msg("no '%s' in:\n%s", figures[i], stats);
    }
    storage_close(st);
}

#define CASE(fn_) cmocka_unit_test_setup_teardown(fn_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_prefix_ends_at_its_successor),
        CASE(the_rest_of_a_range_starts_behind_the_last_row),
        CASE(a_batch_keeps_its_order_as_it_grows),
        CASE(a_key_in_hand_is_waited_for_until_the_deadline),
        CASE(keys_of_one_bucket_do_not_wait_for_each_other),
        CASE(all_who_wait_get_the_key_in_the_end),
        CASE(quantiles_are_right_to_an_eighth),
        CASE(quantiles_split_what_was_counted),
        CASE(trace_fails_by_the_name_inside_and_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
