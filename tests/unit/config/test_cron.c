/*
 * schedules by example - those that Google's own reader was asked about - and
 * cron.yaml and cron.xml as values.
 */
#include "config/cronyaml.h"
#include "test.h"

#include <time.h>

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

/* ---- schedules ---- */

static int64_t instant(const char *text)
{
    struct tm tm = {0};

    if (!strptime(text, "%Y-%m-%dT%H:%M:%S", &tm))
        fail_msg("%s is no time", text);
    return (int64_t)timegm(&tm);
}

static const char *shown(int64_t at)
{
    time_t t = (time_t)at;
    char text[32];
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M", &tm);
    return arena_strdup(&arena, text);
}

#define F "2026-01-14T10:07:30"

static const struct {
    const char *schedule, *zone, *from;
    const char *next[3];
} examples[] = {
    {"every 5 minutes",
     "UTC",
     F,
     {"2026-01-14T10:12", "2026-01-14T10:17", "2026-01-14T10:22"}},
    {"every 2 hours",
     "UTC",
     F,
     {"2026-01-14T12:07", "2026-01-14T14:07", "2026-01-14T16:07"}},
    {"every 90 minutes synchronized",
     "UTC",
     F,
     {"2026-01-14T10:30", "2026-01-14T12:00", "2026-01-14T13:30"}},
    {"every 2 hours synchronized",
     "America/New_York",
     F,
     {"2026-01-14T11:00", "2026-01-14T13:00", "2026-01-14T15:00"}},
    {"every 5 minutes from 10:00 to 14:00",
     "UTC",
     F,
     {"2026-01-14T10:10", "2026-01-14T10:15", "2026-01-14T10:20"}},
    {"every 5 minutes from 10:00 to 14:00",
     "UTC",
     "2026-01-14T13:59:30",
     {"2026-01-14T14:00", "2026-01-15T10:00", "2026-01-15T10:05"}},
    {"every 30 minutes from 22:00 to 02:00",
     "UTC",
     "2026-01-15T01:20:00",
     {"2026-01-15T01:30", "2026-01-15T02:00", "2026-01-15T22:00"}},
    {"every 7 minutes from 10:00 to 10:20",
     "UTC",
     "2026-01-14T10:00:00",
     {"2026-01-14T10:07", "2026-01-14T10:14", "2026-01-15T10:00"}},
    {"every 3 hours from 09:00 to 17:00",
     "UTC",
     "2026-01-14T16:00:00",
     {"2026-01-15T09:00", "2026-01-15T12:00", "2026-01-15T15:00"}},
    {"every 1 hours from 09:30 to 09:30",
     "UTC",
     "2026-01-14T09:00:00",
     {"2026-01-14T09:30", "2026-01-15T09:30", "2026-01-16T09:30"}},
    {"every day 09:00",
     "America/New_York",
     F,
     {"2026-01-14T14:00", "2026-01-15T14:00", "2026-01-16T14:00"}},
    {"every mon,wed,fri 9:05",
     "UTC",
     F,
     {"2026-01-16T09:05", "2026-01-19T09:05", "2026-01-21T09:05"}},
    {"1st,third sat,sun of jan,feb,mar 09:15",
     "UTC",
     F,
     {"2026-01-17T09:15", "2026-01-18T09:15", "2026-02-01T09:15"}},
    {"2nd,4th tuesday 02:00",
     "UTC",
     F,
     {"2026-01-27T02:00", "2026-02-10T02:00", "2026-02-24T02:00"}},
    {"fifth friday of month 06:00",
     "UTC",
     F,
     {"2026-01-30T06:00", "2026-05-29T06:00", "2026-07-31T06:00"}},
    {"fourth thursday of nov 8:00",
     "UTC",
     F,
     {"2026-11-26T08:00", "2027-11-25T08:00", "2028-11-23T08:00"}},
    {"1 of jan,april,july,oct 00:00",
     "UTC",
     F,
     {"2026-04-01T00:00", "2026-07-01T00:00", "2026-10-01T00:00"}},
    {"31 of month 10:00",
     "UTC",
     F,
     {"2026-01-31T10:00", "2026-03-31T10:00", "2026-05-31T10:00"}},
    {"29 of feb 00:00",
     "UTC",
     F,
     {"2028-02-29T00:00", "2032-02-29T00:00", "2036-02-29T00:00"}},
    {"1 of 1st,2nd month of quarter 12:00",
     "UTC",
     F,
     {"2026-02-01T12:00", "2026-04-01T12:00", "2026-05-01T12:00"}},
    {"first day of quarter 00:00",
     "UTC",
     F,
     {"2026-04-01T00:00", "2026-07-01T00:00", "2026-10-01T00:00"}},
    {"every day 02:30",
     "America/New_York",
     "2026-03-07T10:00:00",
     {"2026-03-09T06:30", "2026-03-10T06:30", "2026-03-11T06:30"}},
    {"every day 01:30",
     "America/New_York",
     "2026-10-31T10:00:00",
     {"2026-11-01T05:30", "2026-11-01T06:30", "2026-11-02T06:30"}},
    {"every 1 hours synchronized",
     "America/New_York",
     "2026-03-08T05:10:00",
     {"2026-03-08T06:00", "2026-03-08T07:00", "2026-03-08T08:00"}},
    {"every 45 minutes from 02:00 to 05:00",
     "Europe/Berlin",
     "2026-03-28T22:00:00",
     {"2026-03-29T01:00", "2026-03-29T01:45", "2026-03-29T02:30"}},
    {"1 of month 00:00",
     "Pacific/Apia",
     F,
     /* an hour earlier before Samoa gave up summer time in 2021 */
     {"2026-01-31T11:00", "2026-02-28T11:00", "2026-03-31T11:00"}},
    /* the last hour of a day of 25, which Google's reader gets wrong */
    {"every 2 hours synchronized",
     "Europe/Berlin",
     "2026-10-25T22:30:00",
     {"2026-10-25T23:00", "2026-10-26T01:00", "2026-10-26T03:00"}},
    /* words without blanks, and with strange ones */
    {"every5mins", "UTC", F, {"2026-01-14T10:12"}},
    {"everyday9:00", "UTC", F, {"2026-01-15T09:00"}},
    {"1,15of\tmonth\n9:00 ", "UTC", F, {"2026-01-15T09:00"}},
    /* only in leap years, and not in 2100 */
    {"5th mon of feb 00:00",
     "UTC",
     "2090-01-01T00:00:00",
     {"2112-02-29T00:00"}},
};

static void test_the_next_runs_are_those_of_the_examples(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(examples); i++) {
        int64_t at = instant(examples[i].from);
        const struct tz *zone;
        struct schedule s;

        assert_int_equal(tz_load(&ctx, examples[i].zone, &zone), 0);
        if (schedule_parse(&ctx, examples[i].schedule, &s) != 0)
            fail_msg("%s", ctx_err_text(&ctx, 0));
        for (int n = 0; n < 3 && examples[i].next[n]; n++) {
            at = schedule_next(&s, zone, at);
            if (strcmp(shown(at), examples[i].next[n]) != 0)
                fail_msg("%s [%s], run %d: %s, not %s", examples[i].schedule,
                         examples[i].zone, n + 1, shown(at),
                         examples[i].next[n]);
        }
    }
}

static void test_a_time_jumped_over_each_year_is_never(void **state)
{
    const struct tz *zone;
    struct schedule s;

    (void)state;
    assert_int_equal(tz_load(&ctx, "America/New_York", &zone), 0);
    assert_int_equal(schedule_parse(&ctx, "2nd sun of mar 02:30", &s), 0);
    assert_int_equal(schedule_next(&s, zone, instant(F)), SCHEDULE_NEVER);
    assert_int_equal(schedule_next(&s, zone, INT64_MAX), SCHEDULE_NEVER);
    /* the rule is of 2007 */
    assert_string_equal(shown(schedule_next(&s, zone, INT64_MIN)),
                        "1970-03-08T07:30");
}

static const struct {
    const char *schedule, *why;
} refused[] = {
    {"", "line 1:0 no viable alternative"},
    {"every", "line 1:5 no viable alternative"},
    {"every 0 minutes", "interval must be greater than zero"},
    {"every 5 minute", "line 1:8 no viable alternative at input 'minute'"},
    {"every 1 hour", "line 1:8 no viable alternative at input 'hour'"},
    {"every 10 seconds", "line 1:9 no viable alternative"},
    {"every 123456 hours", "line 1:6 no viable alternative"},
    {"every 7 hours synchronized",
     "can only use synchronized for periods that divide evenly into 24 hours"},
    {"every 48 hours synchronized", "divide evenly"},
    {"every 5 minutes from 10:00", "expected to"},
    {"every 5 minutes from 10:00 to", "expected a time"},
    {"every 5 minutes synchronized from 10:00 to 11:00", "missing EOF"},
    {"every day 24:00", "line 1:10 no viable alternative at input '24'"},
    {"every day 9:60", "line 1:10 no viable alternative at input '9'"},
    {"every day", "line 1:9 no viable alternative at its end"},
    {"every 5 minutes mon", "line 1:16 missing EOF at 'mon'"},
    {"every monday", "no viable alternative at its end"},
    {"Every day 9:00", "line 1:0 no viable alternative at input 'Every'"},
    {"* * * * *", "line 1:0 no viable alternative at input '*'"},
    {"1 of sept 9:00", "line 1:8 no viable alternative at input 't'"},
    {"every tues 9:00", "line 1:9 no viable alternative at input 's'"},
    {"every thur 9:00", "line 1:9 no viable alternative at input 'r'"},
    {"32 of month 9:00", "day of month must be less than 32"},
    {"31st of month 9:00", "line 1:2 no viable alternative"},
    {"0 of month 9:00", "day of month must be greater than 0"},
    {"30 of feb 9:00", "invalid day of month, got day 30 of month 2"},
    {"31 of apr,jun 9:00", "invalid day of month, got day 31"},
    {"1 9:00", "expected of and months"},
    {"4th month of quarter 9:00", "at input 'month'"},
    {"1 of 4th month of quarter 9:00", "a quarter has three months"},
    {"1 of 1st month 9:00", "expected of quarter"},
    {"every mon,,tue 9:00", "at input ','"},
    {"every mon 9:00 x", "line 1:15 missing EOF at 'x'"},
};

static void test_what_is_no_schedule_is_refused_in_googles_words(void **state)
{
    struct schedule s;

    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        const char *open = arena_printf(&arena, "schedule '%s' failed to parse",
                                        refused[i].schedule);

        ctx_err_clear(&ctx);
        if (schedule_parse(&ctx, refused[i].schedule, &s) != ERR_INVALID)
            fail_msg("\"%s\" passed", refused[i].schedule);
        if (!strstr(ctx.err.message, refused[i].why) ||
            strncmp(ctx.err.message, open, strlen(open)) != 0)
            fail_msg("\"%s\": %s", refused[i].schedule, ctx.err.message);
    }
}

/* ---- the files ---- */

static struct cronyaml parsed(const char *file, const char *text)
{
    struct cronyaml cron;

    ctx_err_clear(&ctx);
    if (cronyaml_parse(&ctx, file, bytes_str(text), &cron) != 0)
        fail_msg("%s", ctx_err_text(&ctx, 0));
    return cron;
}

static const char yaml[] = "cron:\n"
                           "- description: daily summary\n"
                           "  url: /tasks/summary?a=1\n"
                           "  schedule: every day 09:00\n"
                           "  timezone: Australia/Sydney\n"
                           "  target: beta\n"
                           "  attempt_deadline: 90.5s\n"
                           "  retry_parameters:\n"
                           "    job_retry_limit: 2\n"
                           "    job_age_limit: 1.5d\n"
                           "    min_backoff_seconds: 2.5\n"
                           "    max_backoff_seconds: 10\n"
                           "    max_doublings: 3\n"
                           "- url: /b\n"
                           "  schedule: every 5 minutes\n"
                           "  target: worker:v2\n";

static const char xml[] =
    "<?xml version='1.0' encoding='UTF-8'?>\n"
    "<cronentries>\n"
    "  <cron>\n"
    "    <url>/tasks/summary?a=1</url>\n"
    "    <description>daily summary</description>\n"
    "    <schedule>every day 09:00</schedule>\n"
    "    <timezone>Australia/Sydney</timezone>\n"
    "    <target>beta</target>\n"
    "    <attempt-deadline>90.5s</attempt-deadline>\n"
    "    <retry-parameters>\n"
    "      <job-retry-limit>2</job-retry-limit>\n"
    "      <job-age-limit>1.5d</job-age-limit>\n"
    "      <min-backoff-seconds>2.5</min-backoff-seconds>\n"
    "      <max-backoff-seconds>10</max-backoff-seconds>\n"
    "      <max-doublings>3</max-doublings>\n"
    "    </retry-parameters>\n"
    "  </cron>\n"
    "  <cron><url>/b</url><schedule>every 5 minutes</schedule>"
    "<target>worker:v2</target></cron>\n"
    "</cronentries>\n";

static void assert_the_two_jobs(struct cronyaml c)
{
    assert_int_equal(c.n, 2);
    assert_string_equal(c.jobs[0].url, "/tasks/summary?a=1");
    assert_string_equal(c.jobs[0].description, "daily summary");
    assert_string_equal(c.jobs[0].timezone, "Australia/Sydney");
    assert_string_equal(c.jobs[0].service, "beta");
    assert_string_equal(c.jobs[0].version, "");
    assert_int_equal(c.jobs[0].deadline, 90500000);
    assert_true(c.jobs[0].retries);
    assert_int_equal(c.jobs[0].retry.limit, 2);
    assert_int_equal(c.jobs[0].retry.age, INT64_C(129600000000));
    assert_int_equal(c.jobs[0].retry.min_backoff, 2500000);
    assert_int_equal(c.jobs[0].retry.max_backoff, 10000000);
    assert_int_equal(c.jobs[0].retry.doublings, 3);
    assert_int_equal(c.jobs[0].schedule.kind, SCHEDULE_DAYS);
    assert_string_equal(c.jobs[1].timezone, "UTC");
    assert_string_equal(c.jobs[1].service, "worker");
    assert_string_equal(c.jobs[1].version, "v2");
    assert_string_equal(c.jobs[1].target, "worker:v2");
    assert_int_equal(c.jobs[1].deadline, 0);
    assert_false(c.jobs[1].retries);
}

static void test_yaml_and_xml_say_the_same(void **state)
{
    (void)state;
    assert_the_two_jobs(parsed("cron.yaml", yaml));
    assert_the_two_jobs(parsed("WEB-INF/cron.xml", xml));
    assert_int_equal(parsed("cron.yaml", "").n, 0);
    assert_int_equal(parsed("cron.yaml", "cron:\n").n, 0);
    assert_int_equal(parsed("cron.xml", "<cronentries/>").n, 0);
}

static void test_wrong_files_are_refused_where_they_are_wrong(void **state)
{
    static const struct {
        const char *file, *text, *why;
    } cases[] = {
        {"cron.yaml", "cron:\n- url: /a\n  schedule: every 5 minute\n",
         "cron.yaml:3:13: schedule 'every 5 minute' failed to parse"},
        {"cron.yaml",
         "cron:\n- url: /a\n  schedule: every 5 minutes\n"
         "  timezone: Mars/X\n",
         "cron.yaml:4:13: timezone 'Mars/X' is unknown"},
        {"cron.yaml", "cron:\n- schedule: every 5 minutes\n",
         "Missing required value \"url\""},
        {"cron.yaml",
         "cron:\n- url: /a\n  schedule: every 5 minutes\n"
         "  attempt_deadline: 10m\n",
         "cron.yaml:4:21: "},
        {"cron.yaml",
         "cron:\n- url: /a\n  schedule: every 5 minutes\n"
         "  retry_parameters: {job_retry_limit: 6}\n",
         "out of range 0 - 5"},
        {"cron.yaml",
         "cron:\n- url: /a\n  schedule: every 5 minutes\n  retry_parameters:\n"
         "    min_backoff_seconds: 9\n    max_backoff_seconds: 8\n",
         "min_backoff_seconds must not be greater"},
        {"cron.yaml", "cron:\n- url: \"/a b\"\n  schedule: every 1 hours\n",
         "cron.yaml:2:8: "},
        {"cron.xml", "<cronentries><cron><url>/a</url></cron></cronentries>",
         "cron.xml:1:14: Missing required value \"schedule\""},
        {"cron.xml",
         "<cronentries>\n<cron><url>/a</url><url>/b</url>"
         "<schedule>every 1 hours</schedule></cron></cronentries>",
         "cron.xml:2:20: A second <url>."},
        {"cron.xml", "<cron/>", "The root must be <cronentries>."},
        {"cron.xml", "<cronentries><job/></cronentries>",
         "Unexpected element <job>"},
    };
    struct cronyaml cron;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        ctx_err_clear(&ctx);
        if (cronyaml_parse(&ctx, cases[i].file, bytes_str(cases[i].text),
                           &cron) != ERR_INVALID)
            fail_msg("%s passed", cases[i].text);
        if (!strstr(ctx.err.message, cases[i].why))
            fail_msg("%s: %s", cases[i].text, ctx.err.message);
    }
}

/* ---- retries ---- */

static void test_waits_double_then_grow_evenly(void **state)
{
    static const struct {
        double min, max;
        int doublings;
        double waits[8];
    } cases[] = {
        {0.1, 3600, 16, {.1, .2, .4, .8, 1.6, 3.2, 6.4, 12.8}},
        {10, 300, 3, {10, 20, 40, 80, 160, 240, 300, 300}},
        {1, 200, 0, {1, 2, 3, 4, 5, 6, 7, 8}},
        {2, 200, 5, {2, 4, 8, 16, 32, 64, 128, 192}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct cronyaml_retry r = {
            .min_backoff = (int64_t)(cases[i].min * 1e6),
            .max_backoff = (int64_t)(cases[i].max * 1e6),
            .doublings = cases[i].doublings,
        };

        for (int n = 1; n <= 8; n++)
            assert_int_equal(cronyaml_wait(&r, n),
                             (int64_t)(cases[i].waits[n - 1] * 1e6));
        assert_int_equal(cronyaml_wait(&r, INT32_MAX), r.max_backoff);
    }
}

static struct cronyaml_job with_retry(const char *parameters)
{
    const char *text = arena_printf(
        &arena, "cron:\n- {url: /a, schedule: every 1 hours%s%s}\n",
        *parameters ? ", retry_parameters: " : "", parameters);

    return parsed("cron.yaml", text).jobs[0];
}

static void test_retries_end_when_both_limits_are_reached(void **state)
{
    struct cronyaml_job none = with_retry("");
    struct cronyaml_job some = with_retry("{max_doublings: 1}");
    struct cronyaml_job three = with_retry("{job_retry_limit: 3}");
    struct cronyaml_job minute = with_retry("{job_age_limit: 1m}");
    struct cronyaml_job both =
        with_retry("{job_retry_limit: 1, job_age_limit: 1m}");

    (void)state;
    assert_false(cronyaml_may_retry(&none, 1, 0));
    assert_true(cronyaml_may_retry(&some, 5, 0));
    assert_false(cronyaml_may_retry(&some, 6, 0));
    assert_true(cronyaml_may_retry(&three, 3, INT64_MAX));
    assert_false(cronyaml_may_retry(&three, 4, 0));
    assert_true(cronyaml_may_retry(&minute, 100, 60000000));
    assert_false(cronyaml_may_retry(&minute, 1, 60000001));
    assert_true(cronyaml_may_retry(&both, 1, 60000001));
    assert_true(cronyaml_may_retry(&both, 2, 60000000));
    assert_false(cronyaml_may_retry(&both, 2, 60000001));
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_next_runs_are_those_of_the_examples),
        TEST(test_a_time_jumped_over_each_year_is_never),
        TEST(test_what_is_no_schedule_is_refused_in_googles_words),
        TEST(test_yaml_and_xml_say_the_same),
        TEST(test_wrong_files_are_refused_where_they_are_wrong),
        TEST(test_waits_double_then_grow_evenly),
        TEST(test_retries_end_when_both_limits_are_reached),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
