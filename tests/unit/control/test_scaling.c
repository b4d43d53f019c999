/*
 * scaling - what app.yaml and an operator say of it: names, bounds, errors.
 */
#include "control/scaler.h"
#include "test.h"

#include <string.h>

#define COUNT(a_) (sizeof(a_) / sizeof((a_)[0]))

static struct arena arena;
static struct ctx ctx;

static int setup(void **state)
{
    (void)state;
    ctx_init(&ctx, &arena);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

/* Apostrophes are quotes. */
static json_t *json_of(const char *text)
{
    char quoted[512];
    json_t *json;

    snprintf(quoted, sizeof(quoted), "%s", text);
    for (char *p = quoted; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    json = json_loads(quoted, 0, NULL);
    if (!json)
        fail_msg("%s is no JSON", text);
    return json;
}

static int read_text(const char *text, struct scaling *out)
{
    json_t *doc = json_of(text);
    int rc;

    ctx_err_clear(&ctx);
    rc = scaling_read(&ctx, doc, out);
    json_decref(doc);
    return rc;
}

static int override_text(const char *text, struct scaling *s)
{
    json_t *set = json_of(text);
    int rc;

    ctx_err_clear(&ctx);
    rc = scaling_override(&ctx, set, s);
    json_decref(set);
    return rc;
}

static void assert_same(const struct scaling *a, const struct scaling *b,
                        const char *label)
{
    if (a->kind != b->kind || a->min != b->min || a->max != b->max ||
        a->min_idle != b->min_idle || a->max_idle != b->max_idle ||
        a->concurrent != b->concurrent || a->cpu != b->cpu ||
        a->throughput != b->throughput || a->min_pending != b->min_pending ||
        a->max_pending != b->max_pending ||
        a->idle_timeout != b->idle_timeout || a->interval != b->interval)
        fail_msg("%s: not what it should be", label);
}

#define SCHEDULER(...)                                                         \
    "{'automaticScaling':{'standardSchedulerSettings':{" __VA_ARGS__ "}}}"
#define AUTOMATIC(...) "{'automaticScaling':{" __VA_ARGS__ "}}"
#define BASIC(...)     "{'basicScaling':{" __VA_ARGS__ "}}"
#define MANUAL(...)    "{'manualScaling':{" __VA_ARGS__ "}}"

static void test_defaults_are_googles(void **state)
{
    const struct scaling want = {.kind = SCALING_AUTOMATIC,
                                 .max = 20,
                                 .max_idle = 1000,
                                 .concurrent = 10,
                                 .cpu = 0.6,
                                 .throughput = 0.6,
                                 .min_pending = 500 * CLOCK_MS,
                                 .max_pending = 10 * CLOCK_SEC,
                                 .idle_timeout = 900 * CLOCK_SEC,
                                 .interval = CLOCK_SEC};
    struct scaling s;

    (void)state;
    assert_int_equal(read_text("{}", &s), 0);
    assert_same(&s, &want, "nothing said");
    assert_int_equal(read_text(AUTOMATIC(), &s), 0);
    assert_same(&s, &want, "an empty block");
    assert_int_equal(read_text(BASIC("'maxInstances':5"), &s), 0);
    assert_int_equal(s.kind, SCALING_BASIC);
    assert_int_equal(s.min, 0);
    assert_int_equal(s.max, 5);
    assert_int_equal(s.idle_timeout, 300 * CLOCK_SEC);
    assert_int_equal(read_text(MANUAL("'instances':7"), &s), 0);
    assert_int_equal(s.kind, SCALING_MANUAL);
    assert_int_equal(s.min, 7);
    assert_int_equal(s.max, 7);
}

static void test_every_member_is_read(void **state)
{
    const struct scaling want = {.kind = SCALING_AUTOMATIC,
                                 .min = 2,
                                 .max = 9,
                                 .min_idle = 1,
                                 .max_idle = 3,
                                 .concurrent = 80,
                                 .cpu = 0.75,
                                 .throughput = 0.9,
                                 .min_pending = 30 * CLOCK_MS,
                                 .max_pending = 2500 * CLOCK_MS,
                                 .idle_timeout = 900 * CLOCK_SEC,
                                 .interval = CLOCK_SEC};
    struct scaling s;

    (void)state;
    assert_int_equal(
        read_text(AUTOMATIC("'minIdleInstances':1,'maxIdleInstances':3,"
                            "'maxConcurrentRequests':80,"
                            "'minPendingLatency':'30ms',"
                            "'maxPendingLatency':'2.500s',"
                            "'standardSchedulerSettings':{'minInstances':2,"
                            "'maxInstances':9,'targetCpuUtilization':0.75,"
                            "'targetThroughputUtilization':0.9}"),
                  &s),
        0);
    assert_same(&s, &want, "all");
    assert_int_equal(read_text(BASIC("'idleTimeout':'10m'"), &s), 0);
    assert_int_equal(s.idle_timeout, 600 * CLOCK_SEC);
}

static void test_a_maximum_may_be_none(void **state)
{
    struct scaling s;

    (void)state;
    assert_int_equal(read_text(SCHEDULER("'maxInstances':0"), &s), 0);
    assert_int_equal(s.max, 2147483647);
    assert_int_equal(read_text(SCHEDULER("'maxInstances':2147483647"), &s), 0);
    assert_int_equal(s.max, 2147483647);
}

static void test_a_request_waits_no_longer_for_less(void **state)
{
    struct scaling s;

    (void)state;
    assert_int_equal(read_text(AUTOMATIC("'maxPendingLatency':'0.1s'"), &s), 0);
    assert_int_equal(s.min_pending, 100 * CLOCK_MS);
}

static const struct {
    const char *doc, *why;
} wrong_documents[] = {
    {SCHEDULER("'minInstances':-1"), "min_instances goes from 0 to 1000"},
    {SCHEDULER("'minInstances':1001"), "min_instances goes from 0 to 1000"},
    {SCHEDULER("'minInstances':'2'"), "min_instances goes from 0 to 1000"},
    {SCHEDULER("'minInstances':1.5"),
     "min_instances is a whole number, not 1.5"},
    {SCHEDULER("'maxInstances':2147483648"),
     "max_instances goes from 0 to 2147483647"},
    {SCHEDULER("'minInstances':3,'maxInstances':2"),
     "max_instances (2) is less than min_instances (3)"},
    {SCHEDULER("'minInstances':21"),
     "max_instances (20) is less than min_instances (21)"},
    {SCHEDULER("'targetCpuUtilization':0.4"),
     "target_cpu_utilization goes from 0.5 to 0.95"},
    {SCHEDULER("'targetThroughputUtilization':0.96"),
     "target_throughput_utilization goes from 0.5 to 0.95"},
    {AUTOMATIC("'maxIdleInstances':0"), "max_idle_instances goes from 1 to"},
    {AUTOMATIC("'minIdleInstances':3,'maxIdleInstances':2"),
     "max_idle_instances (2) is less than min_idle_instances (3)"},
    {AUTOMATIC("'maxConcurrentRequests':1001"),
     "max_concurrent_requests goes from 1 to 1000"},
    {AUTOMATIC("'minPendingLatency':'soon'"),
     "min_pending_latency goes from 0 to 60 seconds"},
    {AUTOMATIC("'minPendingLatency':'1h'"), "min_pending_latency goes from"},
    {AUTOMATIC("'minPendingLatency':'-1s'"), "min_pending_latency goes from"},
    {AUTOMATIC("'maxPendingLatency':'61s'"), "max_pending_latency goes from"},
    {AUTOMATIC("'maxPendingLatency':true"), "max_pending_latency goes from"},
    {BASIC("'maxInstances':0"), "max_instances goes from 1 to 1000"},
    {BASIC("'idleTimeout':'0s'"), "idle_timeout goes from 1 to 86400 seconds"},
    {MANUAL("'instances':0"), "instances goes from 1 to 1000"},
};

static void test_a_wrong_document_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(wrong_documents); i++) {
        struct scaling s;
        int rc = read_text(wrong_documents[i].doc, &s);

        if (rc != ERR_INVALID ||
            !strstr(ctx.err.message, wrong_documents[i].why))
            fail_msg("%s: %d, %s", wrong_documents[i].doc, rc,
                     ctx_err_text(&ctx, rc));
    }
}

/* ---- what an operator sets ---- */

static void test_an_override_lies_over_the_versions_own(void **state)
{
    struct scaling s, want;

    (void)state;
    assert_int_equal(read_text(SCHEDULER("'minInstances':1"), &s), 0);
    want = s;
    want.max = 4;
    want.idle_timeout = 20 * CLOCK_SEC;
    want.interval = 250 * CLOCK_MS;
    want.cpu = 0.8;
    want.min_pending = 0;
    assert_int_equal(
        override_text("{'max_instances':4,'idle_timeout':'20s',"
                      "'interval':0.25,'target_cpu_utilization':0.8,"
                      "'min_pending_latency':'0s'}",
                      &s),
        0);
    assert_same(&s, &want, "set");
    assert_int_equal(override_text("{}", &s), 0);
    assert_same(&s, &want, "nothing set");
}

/* The versions of a service may be of several kinds. */
static void test_an_override_of_another_kind_changes_nothing(void **state)
{
    struct scaling s, was;

    (void)state;
    assert_int_equal(read_text(MANUAL("'instances':3"), &s), 0);
    was = s;
    assert_int_equal(override_text("{'max_instances':5,"
                                   "'max_concurrent_requests':40,"
                                   "'min_instances':4}",
                                   &s),
                     0);
    assert_same(&s, &was, "manual");
    assert_int_equal(override_text("{'instances':5}", &s), 0);
    assert_int_equal(s.min, 5);
    assert_int_equal(s.max, 5);
    assert_int_equal(read_text(BASIC("'maxInstances':3"), &s), 0);
    assert_int_equal(override_text("{'max_instances':8}", &s), 0);
    assert_int_equal(s.max, 8);
}

static const struct {
    const char *set, *why;
} wrong_overrides[] = {
    {"{'max_instance':4}", "there is no scaling parameter \"max_instance\""},
    {"{'maxInstances':4}", "there is no scaling parameter \"maxInstances\""},
    {"{'interval':0}", "interval goes from 0.1 to 3600 seconds"},
    {"{'interval':'2h'}", "interval goes from"},
    {"{'min_instances':30}", "(20) is less than min_instances (30)"},
    {"{'max_instances':2.5}", "max_instances is a whole number, not 2.5"},
    {"{'max_instances':5,'target_cpu_utilization':2}",
     "target_cpu_utilization goes from"},
    {"{'instances':0}", "instances goes from 1 to 1000"}, /* another kind's */
};

static void test_a_wrong_override_is_named_and_changes_nothing(void **state)
{
    struct scaling s, was;

    (void)state;
    assert_int_equal(read_text("{}", &s), 0);
    was = s;
    for (size_t i = 0; i < COUNT(wrong_overrides); i++) {
        int rc = override_text(wrong_overrides[i].set, &s);

        if (rc != ERR_INVALID ||
            !strstr(ctx.err.message, wrong_overrides[i].why))
            fail_msg("%s: %d, %s", wrong_overrides[i].set, rc,
                     ctx_err_text(&ctx, rc));
        assert_same(&s, &was, wrong_overrides[i].set);
    }
}

#define TEST(f_) cmocka_unit_test_setup_teardown(f_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_defaults_are_googles),
        TEST(test_every_member_is_read),
        TEST(test_a_maximum_may_be_none),
        TEST(test_a_request_waits_no_longer_for_less),
        TEST(test_a_wrong_document_is_named),
        TEST(test_an_override_lies_over_the_versions_own),
        TEST(test_an_override_of_another_kind_changes_nothing),
        TEST(test_a_wrong_override_is_named_and_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
