/* queue.yaml: values, and what several values say together. */
#include "config/queue_xml.h"
#include "config/queueyaml.h"
#include "test.h"

static struct arena arena;
static struct ctx ctx;

static int setup(void **state)
{
    arena = (struct arena)ARENA_INIT;
    ctx_init(&ctx, &arena);
    return 0;
}

static int teardown(void **state)
{
    arena_release(&arena);
    return 0;
}

static int parse(const char *text, struct queueyaml *out)
{
    return queueyaml_parse(&ctx, "queue.yaml", bytes_str(text), out);
}

static const struct rate_case {
    const char *text;
    double want; /* -1: refused */
} rate_cases[] = {
    {"5/s", 5},         {"0.5/s", 0.5}, {"60/m", 1},  {"1/d", 1.0 / 86400},
    {"3600/h", 1},      {"0", 0},       {"0/s", 0},   {"5", -1},
    {"/s", -1},         {"5/w", -1},    {"-5/s", -1}, {"5/s ", -1},
    {"1000000/s", 1e6}, {"5./s", 5},    {"", -1},     {"nan/s", -1},
};

static void rates_are_per_second(void **state)
{
    for (size_t i = 0; i < sizeof(rate_cases) / sizeof(rate_cases[0]); i++) {
        const struct rate_case *c = &rate_cases[i];
        double got = -1;

        if (!queueyaml_rate(c->text, &got))
            got = -1;
        if (got < c->want - 1e-12 || got > c->want + 1e-12)
            fail_msg("%s: %g, want %g", c->text, got, c->want);
    }
}

static void sizes_are_in_steps_of_1024(void **state)
{
    assert_true(queueyaml_size("10") == 10);
    assert_true(queueyaml_size("10B") == 10);
    assert_true(queueyaml_size("1.5K") == 1536);
    assert_true(queueyaml_size("120M") == 120 << 20);
    assert_true(queueyaml_size("2T") == INT64_C(2) << 40);
    assert_true(queueyaml_size("99999999999999999999T") == INT64_MAX);
    assert_true(queueyaml_size("10X") == -1);
    assert_true(queueyaml_size("M") == -1);
}

static void a_file_becomes_values(void **state)
{
    struct queueyaml y;

    assert_int_equal(parse("total_storage_limit: 1.5K\n"
                           "resume_paused_queues: yes\n"
                           "queue:\n"
                           "- name: a\n"
                           "  rate: 30/m\n"
                           "  bucket_size: 7\n"
                           "  max_concurrent_requests: 3\n"
                           "  target: v2.back\n"
                           "  retry_parameters:\n"
                           "    task_retry_limit: 0\n"
                           "    task_age_limit: 1.5h\n"
                           "    min_backoff_seconds: 0.5\n"
                           "    max_backoff_seconds: 20\n"
                           "    max_doublings: 4\n"
                           "- name: b\n"
                           "  mode: pull\n"
                           "  acl:\n"
                           "  - user_email: u@x.y\n"
                           "  - writer_email: w@x.y\n",
                           &y),
                     0);
    assert_true(y.storage_limit == 1536 && y.resume_paused && y.n == 2);
    assert_string_equal(y.queues[0].name, "a");
    assert_true(y.queues[0].per_second == 0.5);
    assert_true(y.queues[0].bucket_size == 7 &&
                y.queues[0].max_concurrent == 3 && !y.queues[0].pull);
    assert_string_equal(y.queues[0].target, "v2.back");
    assert_true(y.queues[0].retry.has_limit && y.queues[0].retry.limit == 0);
    assert_true(y.queues[0].retry.has_age && y.queues[0].retry.age == 5400);
    assert_true(y.queues[0].retry.min == 0.5 && y.queues[0].retry.max == 20 &&
                y.queues[0].retry.max_doublings == 4);
    assert_true(y.queues[1].pull && !y.queues[1].rate &&
                !y.queues[1].retry.given);
    assert_int_equal(y.queues[1].n_users, 1);
    assert_string_equal(y.queues[1].users[0], "u@x.y");
    assert_string_equal(y.queues[1].writers[0], "w@x.y");
}

static void an_empty_file_has_no_queues(void **state)
{
    static const char *const texts[] = {"", "# nothing\n", "queue:\n"};
    struct queueyaml y;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(parse(texts[i], &y), 0);
        assert_true(y.n == 0 && y.storage_limit == -1);
    }
}

static void one_bound_moves_the_other_along(void **state)
{
    struct queueyaml y;

    assert_int_equal(parse("queue:\n- name: a\n  rate: 1/s\n"
                           "  retry_parameters:\n"
                           "    min_backoff_seconds: 5000\n"
                           "- name: b\n  rate: 1/s\n"
                           "  retry_parameters:\n"
                           "    max_backoff_seconds: 0.05\n",
                           &y),
                     0);
    assert_true(y.queues[0].retry.has_max && y.queues[0].retry.max == 5000);
    assert_true(y.queues[1].retry.has_min && y.queues[1].retry.min == 0.05);
}

static const struct bad_case {
    const char *text, *want;
} bad_cases[] = {
    {"queue:\n- name: a\n  rate: 1/s\n- name: a\n  rate: 1/s\n",
     "queue.yaml:4:3: Queue 'a' is defined twice."},
    {"queue:\n- name: a\n  rate: 1/s\n  retry_parameters:\n"
     "    min_backoff_seconds: 3\n    max_backoff_seconds: 2\n",
     "queue.yaml:5:26: Minimum backoff seconds must not be greater"},
    {"queue:\n- name: a\n  rate: 1/s\n  retry_parameters:\n"
     "    task_age_limit: 0s\n",
     "queue.yaml:5:21: Task age limit must be greater than zero."},
    {"queue:\n- name: a_b\n  rate: 1/s\n", "queue.yaml:2:9: "},
    {"queue:\n- name: a\n  rate: 1/s\n  target: V!\n", "queue.yaml:4:11: "},
    {"queues: []\n", "queue.yaml:1:1: Unexpected attribute 'queues'"},
};

static void what_does_not_fit_is_named(void **state)
{
    struct queueyaml y;

    for (size_t i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++) {
        const struct bad_case *c = &bad_cases[i];

        ctx_err_clear(&ctx);
        assert_int_equal(parse(c->text, &y), ERR_INVALID);
        if (!strstr(ctx.err.message, c->want))
            fail_msg("wanted \"%s\"\n    in \"%s\"", c->want, ctx.err.message);
    }
}

/* ---- queue.xml ---- */

static void xml_says_the_same(void **state)
{
    struct queueyaml y;
    struct bytes yaml;

    assert_int_equal(
        queue_xml_parse(
            &ctx, "queue.xml",
            BYTES_LIT("<?xml version='1.0'?>\n"
                      "<queue-entries>\n"
                      "  <total-storage-limit>2K</total-storage-limit>\n"
                      "  <queue>\n"
                      "    <name>a</name>\n"
                      "    <rate>5/s</rate>\n"
                      "    <bucket-size>9</bucket-size>\n"
                      "    <retry-parameters>\n"
                      "      <task-retry-limit>3</task-retry-limit>\n"
                      "      <max-doublings>0</max-doublings>\n"
                      "    </retry-parameters>\n"
                      "  </queue>\n"
                      "  <queue>\n"
                      "    <name>b</name>\n"
                      "    <mode>pull</mode>\n"
                      "    <acl>\n"
                      "      <user-email>a@x</user-email>\n"
                      "      <user-email>b@x</user-email>\n"
                      "      <writer-email>c@x</writer-email>\n"
                      "    </acl>\n"
                      "  </queue>\n"
                      "</queue-entries>\n"),
            &yaml),
        0);
    assert_int_equal(queueyaml_parse(&ctx, "q", yaml, &y), 0);
    assert_true(y.storage_limit == 2048 && y.n == 2);
    assert_true(y.queues[0].per_second == 5 && y.queues[0].bucket_size == 9 &&
                y.queues[0].retry.limit == 3 &&
                y.queues[0].retry.has_doublings &&
                y.queues[0].retry.max_doublings == 0);
    assert_true(y.queues[1].pull && y.queues[1].n_users == 2 &&
                y.queues[1].n_writers == 1);
    assert_string_equal(y.queues[1].users[1], "b@x");
}

static const struct bad_case bad_xml[] = {
    {"<queues/>", "queue.xml:1:1: The root is <queues>"},
    {"<queue-entries>\n <queue><name>a</name><rate>x</rate></queue>\n"
     "</queue-entries>",
     "queue.xml:2:"},
    {"<queue-entries><queue><name>a</name><name>b</name></queue>"
     "</queue-entries>",
     "<name> is there twice."},
    {"<queue-entries><queue x='1'><name>a</name><mode>pull</mode></queue>"
     "</queue-entries>",
     "Unexpected attribute \"x\" of <queue>."},
    {"<queue-entries><cue/></queue-entries>", "Unexpected attribute 'cue'"},
};

static void bad_xml_is_named(void **state)
{
    struct bytes yaml;

    for (size_t i = 0; i < sizeof(bad_xml) / sizeof(bad_xml[0]); i++) {
        ctx_err_clear(&ctx);
        assert_int_equal(queue_xml_parse(&ctx, "queue.xml",
                                         bytes_str(bad_xml[i].text), &yaml),
                         ERR_INVALID);
        if (!strstr(ctx.err.message, bad_xml[i].want))
            fail_msg("wanted \"%s\"\n    in \"%s\"", bad_xml[i].want,
                     ctx.err.message);
    }
}

int main(void)
{
#define TEST(fn_) cmocka_unit_test_setup_teardown(fn_, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(rates_are_per_second),
        TEST(sizes_are_in_steps_of_1024),
        TEST(a_file_becomes_values),
        TEST(an_empty_file_has_no_queues),
        TEST(one_bound_moves_the_other_along),
        TEST(what_does_not_fit_is_named),
        TEST(xml_says_the_same),
        TEST(bad_xml_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
