/*
 * The parts of the task queues that are pure: the retry schedule, the bucket,
 * the low-water mark, names and rows, the request of an attempt.
 */
#include "service/taskqueue/attempt.h"
#include "service/taskqueue/bucket.h"
#include "service/taskqueue/low.h"
#include "service/taskqueue/retry.h"
#include "service/taskqueue/task.h"
#include "test.h"

#include "taskqueue.pb.h"
#include "wire/pb.h"

#include <math.h>

static struct arena arena;

static int setup(void **state)
{
    arena = (struct arena)ARENA_INIT;
    return 0;
}

static int teardown(void **state)
{
    arena_release(&arena);
    return 0;
}

/* ---- retries ---- */

/* Seconds before the first retries, as Google's stub waits. */
static const struct schedule {
    double min, max;
    int64_t doublings;
    double want[20];
} schedules[] = {
    {0.1, 3600, 16, {.1,     .2,     .4,   .8,    1.6,   3.2,   6.4,
                     12.8,   25.6,   51.2, 102.4, 204.8, 409.6, 819.2,
                     1638.4, 3276.8, 3600, 3600,  3600,  3600}},
    {10, 300, 3, {10,  20,  40,  80,  160, 240, 300, 300, 300, 300,
                  300, 300, 300, 300, 300, 300, 300, 300, 300, 300}},
    {1, 200, 0, {1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}},
    {2, 200, 5, {2,   4,   8,   16,  32,  64,  128, 192, 200, 200,
                 200, 200, 200, 200, 200, 200, 200, 200, 200, 200}},
    {0, 0, 16, {0}},
    {5, 3, 2, {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3}},
};

static void waits_follow_the_schedule(void **state)
{
    for (size_t i = 0; i < sizeof(schedules) / sizeof(schedules[0]); i++) {
        const struct schedule *s = &schedules[i];
        const struct retry r = {
            .min = s->min, .max = s->max, .max_doublings = s->doublings};

        for (int n = 1; n <= 20; n++) {
            double got = (double)retry_wait(&r, n) / 1e6;

            if (fabs(got - s->want[n - 1]) > 1e-6)
                fail_msg("%g/%g/%lld, retry %d: %g, want %g", s->min, s->max,
                         (long long)s->doublings, n, got, s->want[n - 1]);
        }
    }
}

static void a_wait_never_overflows(void **state)
{
    const struct retry r = {
        .min = 1e300, .max = INFINITY, .max_doublings = INT32_MAX};

    assert_true(retry_wait(&r, INT64_MAX / 2) > 0);
    assert_true(retry_wait(&r, 1) > 0);
}

static const struct may_case {
    int64_t limit, age; /* -1: none */
    int64_t n;
    double seconds;
    bool want;
} may_cases[] = {
    {-1, -1, 1000000, 1e9, true}, {0, -1, 1, 0, false},
    {3, -1, 3, 1e9, true},        {3, -1, 4, 0, false},
    {-1, 10, 1000, 10, true},     {-1, 10, 1, 10.000001, false},
    {3, 10, 4, 10, true},         {3, 10, 3, 11, true},
    {3, 10, 4, 11, false},
};

static void either_limit_allows_a_retry(void **state)
{
    for (size_t i = 0; i < sizeof(may_cases) / sizeof(may_cases[0]); i++) {
        const struct may_case *c = &may_cases[i];
        const struct retry r = {.has_limit = c->limit >= 0,
                                .limit = c->limit,
                                .has_age = c->age >= 0,
                                .age = c->age};

        if (retry_may(&r, c->n, (int64_t)(c->seconds * 1e6)) != c->want)
            fail_msg("case %zu", i);
    }
}

/* ---- the bucket ---- */

static void a_bucket_is_full_first_and_fills_at_its_rate(void **state)
{
    struct bucket b;
    int64_t now = 5 * CLOCK_SEC;

    bucket_init(&b, 10, 3, now);
    for (int i = 0; i < 3; i++)
        assert_true(bucket_take(&b, now));
    assert_false(bucket_take(&b, now));
    assert_int_equal(bucket_next(&b, now), now + CLOCK_SEC / 10);
    now += CLOCK_SEC / 10;
    assert_int_equal(bucket_next(&b, now), now);
    assert_true(bucket_take(&b, now));
    assert_false(bucket_take(&b, now));
    now += 3600 * CLOCK_SEC; /* and never holds more than its capacity */
    for (int i = 0; i < 3; i++)
        assert_true(bucket_take(&b, now));
    assert_false(bucket_take(&b, now));
}

static void a_bucket_gives_its_rate_in_the_long_run(void **state)
{
    struct bucket b;
    int64_t now = 0, taken = 0;

    bucket_init(&b, 7.5, 5, now);
    for (; now < 1000 * CLOCK_SEC; now += 3777)
        taken += bucket_take(&b, now);
    assert_in_range(taken, 7500, 7506);
}

static void a_bucket_without_a_rate_keeps_what_it_has(void **state)
{
    struct bucket b;

    bucket_init(&b, 0, 5, 0);
    assert_false(bucket_take(&b, 1000 * CLOCK_SEC));
    assert_true(bucket_next(&b, 0) == INT64_MAX);
    bucket_set(&b, 1, 5, 1000 * CLOCK_SEC);
    assert_true(bucket_take(&b, 1000 * CLOCK_SEC));
}

static void a_busy_backend_slows_a_bucket_which_recovers(void **state)
{
    struct bucket b;
    int64_t now = 0;

    bucket_init(&b, 100, 1, now);
    for (int i = 0; i < 50; i++)
        bucket_slow(&b, now); /* one burst */
    assert_true(fabs(bucket_enforced(&b, now) - 50) < 0.1);
    for (int i = 0; i < 100; i++)
        bucket_slow(&b, now += CLOCK_SEC);
    assert_true(bucket_enforced(&b, now) < 2 && bucket_enforced(&b, now) > 0.5);
    assert_true(bucket_enforced(&b, now + 10 * CLOCK_SEC) > 1);
    assert_true(bucket_enforced(&b, now + 200 * CLOCK_SEC) == 100);
}

/* ---- the low-water mark ---- */

static int64_t scan(struct low *l, int64_t at)
{
    bool moves;

    low_scan_begin(l, &moves);
    low_scan_end(l, moves, at);
    return l->mark;
}

static void a_scan_moves_the_mark_to_what_it_saw(void **state)
{
    struct low l;

    low_init(&l, 10);
    assert_int_equal(scan(&l, 100), 100);
    assert_int_equal(scan(&l, 50), 100);
    assert_int_equal(scan(&l, 0), 100);
}

static void a_write_before_the_mark_lowers_it(void **state)
{
    struct low l;
    int g;

    low_init(&l, 100);
    g = low_write_begin(&l, 40);
    assert_int_equal(l.mark, 40);
    assert_int_equal(scan(&l, 200), 40);
    low_write_end(&l, g);
    /* A scan that began before its end may have missed it: once more. */
    scan(&l, 200);
    assert_int_equal(scan(&l, 200), 200);
}

static void a_write_under_way_holds_the_mark(void **state)
{
    struct low l;
    bool moves;
    int g;

    low_init(&l, 0);
    g = low_write_begin(&l, 70);
    low_scan_begin(&l, &moves);
    assert_true(moves);
    low_write_end(&l, g); /* committed behind the scan's back */
    low_scan_end(&l, moves, 500);
    assert_int_equal(l.mark, 70);
}

static void a_write_during_a_scan_holds_the_mark(void **state)
{
    struct low l;
    bool moves;

    low_init(&l, 0);
    low_scan_begin(&l, &moves);
    low_write_end(&l, low_write_begin(&l, 30));
    low_scan_end(&l, moves, 500);
    assert_int_equal(l.mark, 30);
}

static void one_scan_at_a_time_moves_the_mark(void **state)
{
    struct low l;
    bool first, second;
    int g;

    low_init(&l, 0);
    g = low_write_begin(&l, 5);
    low_scan_begin(&l, &first);
    low_write_end(&l, g);
    low_scan_begin(&l, &second);
    assert_true(first);
    assert_false(second);
    low_scan_end(&l, second, 900);
    assert_int_equal(l.mark, 0);
    low_scan_end(&l, first, 900);
    assert_int_equal(l.mark, 5);
}

/* Writes that overlap without a gap, each later than the one before. */
static void a_stream_of_writes_does_not_hold_the_mark_for_ever(void **state)
{
    struct low l;
    int g = -1;

    low_init(&l, 0);
    for (int64_t at = 0; at < 1000; at += 10) {
        int next = low_write_begin(&l, at);

        if (g >= 0)
            low_write_end(&l, g);
        g = next;
        scan(&l, at);
    }
    assert_in_range(l.mark, 950, 1000);
}

/* ---- names ---- */

static void chosen_names_prove_themselves(void **state)
{
    struct bytes q = BYTES_LIT("default"), other = BYTES_LIT("other");
    const int64_t now = 1800000000000000;
    int foreign = 0;

    for (int64_t v = now - 2000; v < now; v++) {
        struct bytes name = task_name_choose(&arena, q, v);

        assert_int_equal(name.n, TASK_CHOSEN_DIGITS);
        assert_true(task_name_valid(name));
        assert_true(task_name_chosen(q, name, now));
        assert_false(task_name_chosen(q, name, v - 1));
        foreign += task_name_chosen(other, name, now);
    }
    assert_true(foreign < 10);
}

static void other_names_do_not(void **state)
{
    static const char *const names[] = {
        "",
        "task1",
        "12345678901234567890",
        "00000000000000000000",
        "99999999999999999999",
        "0737280000000000000",
        "a7372800000000000000",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (task_name_chosen(BYTES_LIT("default"), bytes_str(names[i]),
                             INT64_MAX))
            fail_msg("%s", names[i]);
}

static void names_have_their_letters(void **state)
{
    char long_name[502];

    memset(long_name, 'a', sizeof(long_name));
    assert_true(task_name_valid(BYTES(long_name, 500)));
    assert_false(task_name_valid(BYTES(long_name, 501)));
    assert_true(task_name_valid(BYTES_LIT("aZ_0-9")));
    assert_false(task_name_valid(BYTES_LIT("")));
    assert_false(task_name_valid(BYTES_LIT("a b")));
    assert_false(task_name_valid(BYTES_LIT("a\0b")));
    assert_true(task_queue_name_valid(BYTES_LIT("my-queue")));
    assert_true(task_queue_name_valid(BYTES_LIT("__cron")));
    assert_false(task_queue_name_valid(BYTES_LIT("my_queue")));
    assert_false(task_queue_name_valid(BYTES(long_name, 101)));
}

/* ---- rows ---- */

static void a_task_reads_back_from_its_rows(void **state)
{
    const struct task t = {
        .name = BYTES_LIT("name"),
        .at = 1234567890123456,
        .eta = 1234567890000000,
        .created = 77,
        .first_try = 88,
        .dispatched = 99,
        .elapsed = 11,
        .retries = 4000000000u,
        .executions = 3,
        .status = 503,
        .moves = 65535,
        .flags = TASK_CHOSEN | TASK_TAGGED,
        .request = BYTES_LIT("request"),
    };
    struct bytes row = task_eta_row(&arena, t.at, t.name);
    struct bytes value = task_value(&arena, &t);
    struct task_name name;
    struct task back;

    assert_int_equal(value.n, task_size(&t));
    assert_true(task_read(row, value, &back));
    assert_bytes(back.name, t.name);
    assert_bytes(back.request, t.request);
    assert_true(back.at == t.at && back.eta == t.eta &&
                back.created == t.created && back.first_try == t.first_try &&
                back.dispatched == t.dispatched && back.elapsed == t.elapsed &&
                back.retries == t.retries && back.executions == 3 &&
                back.status == 503 && back.moves == 65535 &&
                back.flags == t.flags);
    for (size_t n = 0; n < value.n - t.request.n; n++)
        assert_false(task_read(row, BYTES(value.p, n), &back));
    assert_false(task_read(BYTES(row.p, 7), value, &back));
    assert_true(task_name_read(task_name_value(&arena, &t), &name));
    assert_true(name.live && name.at == t.at && name.created == 77);
    assert_false(task_name_read(BYTES_LIT(""), &name));
    assert_false(task_name_read(BYTES_LIT("\3aaaaaaaa"), &name));
}

static void rows_sort_by_place_then_name(void **state)
{
    struct bytes rows[] = {
        task_eta_row(&arena, 0, BYTES_NONE),
        task_eta_row(&arena, 255, BYTES_LIT("b")),
        task_eta_row(&arena, 256, BYTES_LIT("a")),
        task_eta_row(&arena, 256, BYTES_LIT("aa")),
        task_eta_row(&arena, INT64_C(1) << 51, BYTES_LIT("0")),
    };

    for (size_t i = 1; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_true(bytes_cmp(rows[i - 1], rows[i]) < 0);
    assert_int_equal(task_at(5, 10), 5);
    assert_int_equal(task_at(0, TASK_LATE_MAX + 10), 10);
}

/* ---- an attempt ---- */

static struct bytes request_of(const char *url, int method, const char *body,
                               const char *const *headers)
{
    struct buf b = BUF_IN(&arena);

    pb_put_bytes(&b, 1, BYTES_LIT("default"));
    pb_put_bytes(&b, 2, BYTES_LIT(""));
    pb_put_u64(&b, 3, 0);
    if (url)
        pb_put_bytes(&b, 4, bytes_str(url));
    pb_put_u64(&b, 5, (uint64_t)method);
    for (; headers && headers[0]; headers += 2) {
        pb_put_tag(&b, 6, PB_GROUP);
        pb_put_bytes(&b, 7, bytes_str(headers[0]));
        pb_put_bytes(&b, 8, bytes_str(headers[1]));
        pb_put_tag(&b, 6, PB_END_GROUP);
    }
    if (body)
        pb_put_bytes(&b, 9, bytes_str(body));
    return buf_view(&b);
}

static const char *attempt(const struct task *t, struct bytes message,
                           const char *target, bool direct)
{
    struct buf out = BUF_IN(&arena);
    struct task_request r;

    assert_true(task_request_read(message, &r));
    attempt_write(&out, &(struct attempt){
                            .app = BYTES_LIT("shop"),
                            .queue = BYTES_LIT("default"),
                            .target = bytes_str(target),
                            .default_host = "shop.localhost",
                            .task = t,
                            .request = &r,
                            .id = "0123456789abcdef0123456789abcdef",
                            .deadline = 600 * CLOCK_SEC,
                            .direct = direct,
                        });
    return buf_cstr(&out);
}

static void expect(const char *text, const char *want)
{
    assert_non_null(text);
    if (!strstr(text, want))
        fail_msg("no \"%s\" in\n%s", want, text);
}

static void expect_no(const char *text, const char *unwanted)
{
    assert_non_null(text);
    if (strcasestr(text, unwanted))
        fail_msg("\"%s\" in\n%s", unwanted, text);
}

static const struct task first = {
    .name = BYTES_LIT("t1"),
    .eta = 1551419303010438,
};

static void an_attempt_says_what_it_is(void **state)
{
    const char *text =
        attempt(&first, request_of("/x?y=1", 2, "body", NULL), "", false);

    expect(text, "POST /x?y=1 HTTP/1.1\r\nHost: shop.localhost\r\n");
    expect(text, "\r\nX-AppEngine-QueueName: default\r\n");
    expect(text, "\r\nX-AppEngine-TaskName: t1\r\n");
    expect(text, "\r\nX-AppEngine-TaskRetryCount: 0\r\n");
    expect(text, "\r\nX-AppEngine-TaskExecutionCount: 0\r\n");
    expect(text, "\r\nX-AppEngine-TaskETA: 1551419303.010438\r\n");
    expect(text, "\r\nX-Appengine-User-Ip: 0.1.0.2\r\n");
    expect(text, "\r\nX-Appscale-App: shop\r\n");
    expect(text, "\r\nContent-Length: 4\r\n");
    expect(text, "\r\nContent-Type: application/octet-stream\r\n");
    expect(text, "\r\n\r\nbody");
    expect_no(text, "PreviousResponse");
    expect_no(text, "Api-Ticket");
    expect(attempt(&first, request_of(NULL, 1, NULL, NULL), "", true),
           "GET /_ah/queue/default HTTP/1.1\r\n");
}

static void a_retry_says_what_came_before(void **state)
{
    struct task t = first;
    const char *text;

    t.retries = 7;
    t.executions = 5;
    t.status = 500;
    text = attempt(&t, request_of("/x", 1, NULL, NULL), "", true);
    expect(text, "\r\nX-AppEngine-TaskRetryCount: 7\r\n");
    expect(text, "\r\nX-AppEngine-TaskExecutionCount: 5\r\n");
    expect(text, "\r\nX-AppEngine-TaskPreviousResponse: 500\r\n");
    expect(text, "\r\nX-Appengine-Api-Ticket: task.0123");
    expect_no(text, "Content-Length");
}

static void an_app_cannot_say_what_the_platform_says(void **state)
{
    static const char *const headers[] = {"x-appengine-taskretrycount",
                                          "9",
                                          "X-AppEngine-QueueName",
                                          "evil",
                                          "X-Appengine-User-Email",
                                          "evil",
                                          "X-Appengine-Api-Ticket",
                                          "evil",
                                          "X-Appscale-App",
                                          "evil",
                                          "X-Google-Internal-X",
                                          "evil",
                                          "Transfer-Encoding",
                                          "evil",
                                          "Connection",
                                          "evil",
                                          "X_Appengine_Y",
                                          "evil",
                                          "content-length",
                                          "99",
                                          "X-AppEngine-FailFast",
                                          "kept1",
                                          "X-AppEngine-Current-Namespace",
                                          "kept2",
                                          "X-Twice",
                                          "kept3",
                                          "X-Twice",
                                          "kept4",
                                          "User-Agent",
                                          "mine",
                                          NULL,
                                          NULL};
    const char *text =
        attempt(&first, request_of("/x", 2, "b", headers), "", false);

    expect_no(text, "evil");
    expect_no(text, "Count: 9\r\n");
    expect_no(text, "Length: 99");
    expect(text, "X-AppEngine-FailFast: kept1\r\n");
    expect(text, "X-AppEngine-Current-Namespace: kept2\r\n");
    expect(text, "X-Twice: kept3\r\nX-Twice: kept4\r\n");
    expect(text, "User-Agent: mine AppEngine-Google; "
                 "(+http://code.google.com/appengine)\r\n");
}

static void hosts_go_by_their_rank(void **state)
{
    static const char *const headers[] = {"host", "v2.example.com", NULL, NULL};

    expect(attempt(&first, request_of("/", 1, NULL, headers), "", false),
           "\r\nHost: v2.example.com\r\n");
    expect(attempt(&first, request_of("/", 1, NULL, headers), "v1.back", false),
           "\r\nHost: v1.back.shop.localhost\r\n");
    expect(attempt(&first, request_of("/", 1, NULL, NULL), "", false),
           "\r\nHost: shop.localhost\r\n");
}

int main(void)
{
#define TEST(fn_) cmocka_unit_test_setup_teardown(fn_, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(waits_follow_the_schedule),
        TEST(a_wait_never_overflows),
        TEST(either_limit_allows_a_retry),
        TEST(a_bucket_is_full_first_and_fills_at_its_rate),
        TEST(a_bucket_gives_its_rate_in_the_long_run),
        TEST(a_bucket_without_a_rate_keeps_what_it_has),
        TEST(a_busy_backend_slows_a_bucket_which_recovers),
        TEST(a_scan_moves_the_mark_to_what_it_saw),
        TEST(a_write_before_the_mark_lowers_it),
        TEST(a_write_under_way_holds_the_mark),
        TEST(a_write_during_a_scan_holds_the_mark),
        TEST(one_scan_at_a_time_moves_the_mark),
        TEST(a_stream_of_writes_does_not_hold_the_mark_for_ever),
        TEST(chosen_names_prove_themselves),
        TEST(other_names_do_not),
        TEST(names_have_their_letters),
        TEST(a_task_reads_back_from_its_rows),
        TEST(rows_sort_by_place_then_name),
        TEST(an_attempt_says_what_it_is),
        TEST(a_retry_says_what_came_before),
        TEST(an_app_cannot_say_what_the_platform_says),
        TEST(hosts_go_by_their_rank),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
