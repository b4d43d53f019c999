/*
 * tz: zones of the system against libc's reading of the same files, and files
 * that are none.
 *
 * A program of one thread, so that it may change TZ.
 */
#include "base/files.h"
#include "base/tz.h"
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

static const struct tz *zone(const char *name)
{
    const struct tz *z;

    if (tz_load(&ctx, name, &z) != 0)
        fail_msg("%s: %s", name, ctx_err_text(&ctx, 0));
    return z;
}

static int64_t libc_offset(int64_t at)
{
    time_t t = (time_t)at;
    struct tm tm;

    localtime_r(&t, &tm);
    return tm.tm_gmtoff;
}

static void set_zone(const char *name)
{
    setenv("TZ", name, 1);
    tzset();
}

static const char *const odd_zones[] = {
    "UTC",
    "Etc/GMT+12",
    "Europe/Berlin",
    "Europe/Dublin", /* summer is the standard time */
    "America/New_York",
    "America/St_Johns",  /* half hours; changed at 0:01 once */
    "America/Havana",    /* the gap begins at midnight */
    "America/Sao_Paulo", /* likewise, until 2019 */
    "America/Nuuk",      /* the rule's time is negative */
    "America/Santiago",
    "Australia/Lord_Howe", /* summer is half an hour */
    "Antarctica/Troll",    /* summer is two hours */
    "Africa/Casablanca",   /* follows the moon */
    "Asia/Gaza",
    "Asia/Tehran",
    "Asia/Kathmandu",
    "Pacific/Apia",      /* left out a day */
    "Pacific/Kwajalein", /* likewise */
    "Pacific/Chatham",
};

static void test_offsets_are_libcs_from_1800_to_2600(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(odd_zones); i++) {
        const struct tz *z = zone(odd_zones[i]);
        int64_t from = tz_day(1800, 1, 1) * TZ_DAY;
        int64_t to = tz_day(2600, 1, 1) * TZ_DAY;

        set_zone(odd_zones[i]);
        for (int64_t at = from; at < to; at += 31 * 3600 + 61)
            if (tz_offset(z, at) != libc_offset(at))
                fail_msg("%s at %lld: %lld, libc %lld", odd_zones[i],
                         (long long)at, (long long)tz_offset(z, at),
                         (long long)libc_offset(at));
    }
}

/* The very second of each change, found by halving. */
static void test_changes_are_libcs_to_the_second(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(odd_zones); i++) {
        const struct tz *z = zone(odd_zones[i]);
        int64_t from = tz_day(1990, 1, 1) * TZ_DAY;

        set_zone(odd_zones[i]);
        for (int64_t at = from; at < from + 80LL * 365 * TZ_DAY; at += TZ_DAY) {
            int64_t low = at, high = at + TZ_DAY;

            if (libc_offset(low) == libc_offset(high))
                continue;
            while (high - low > 1) {
                int64_t mid = low + (high - low) / 2;

                if (libc_offset(mid) == libc_offset(low))
                    low = mid;
                else
                    high = mid;
            }
            assert_int_equal(tz_offset(z, low), libc_offset(low));
            assert_int_equal(tz_offset(z, high), libc_offset(high));
        }
    }
}

static int64_t local(int year, int month, int day, int hour, int minute)
{
    return tz_day(year, month, day) * TZ_DAY + hour * 3600 + minute * 60;
}

static void test_a_local_time_has_no_one_or_two_instants(void **state)
{
    const struct tz *z = zone("America/New_York");
    int64_t out[TZ_INSTANTS_MAX];

    (void)state;
    assert_int_equal(tz_instants(z, local(2026, 3, 8, 2, 30), out), 0);
    assert_int_equal(tz_reached(z, local(2026, 3, 8, 2, 30)),
                     local(2026, 3, 8, 7, 0));
    assert_int_equal(tz_instants(z, local(2026, 3, 8, 3, 0), out), 1);
    assert_int_equal(out[0], local(2026, 3, 8, 7, 0));
    assert_int_equal(tz_instants(z, local(2026, 11, 1, 1, 30), out), 2);
    assert_int_equal(out[0], local(2026, 11, 1, 5, 30));
    assert_int_equal(out[1], local(2026, 11, 1, 6, 30));
    assert_int_equal(tz_reached(z, local(2026, 11, 1, 1, 30)), out[0]);
    assert_int_equal(tz_instants(z, local(2026, 11, 1, 2, 0), out), 1);
}

static void test_a_day_left_out_has_no_instants(void **state)
{
    const struct tz *z = zone("Pacific/Apia");
    int64_t out[TZ_INSTANTS_MAX];

    (void)state;
    for (int hour = 0; hour < 24; hour++)
        assert_int_equal(tz_instants(z, local(2011, 12, 30, hour, 0), out), 0);
    assert_int_equal(tz_reached(z, local(2011, 12, 30, 9, 0)),
                     local(2011, 12, 30, 10, 0));
    assert_int_equal(tz_instants(z, local(2011, 12, 31, 0, 0), out), 1);
    assert_int_equal(out[0], local(2011, 12, 30, 10, 0));
}

static void test_dates_and_days_are_libcs(void **state)
{
    (void)state;
    for (int64_t day = tz_day(1500, 1, 1); day <= tz_day(2900, 1, 1); day++) {
        struct tz_date d = tz_date(day);
        time_t t = (time_t)day * TZ_DAY;
        struct tm tm;

        gmtime_r(&t, &tm);
        if (d.year != tm.tm_year + 1900 || d.month != tm.tm_mon + 1 ||
            d.day != tm.tm_mday || d.weekday != tm.tm_wday ||
            tz_day(d.year, d.month, d.day) != day)
            fail_msg("day %lld is %d-%d-%d", (long long)day, d.year, d.month,
                     d.day);
    }
    assert_int_equal(tz_day_of(-1), -1);
    assert_int_equal(tz_day_of(TZ_DAY), 1);
}

static void test_a_name_that_is_no_zone_is_not_found(void **state)
{
    static const char *const names[] = {
        "",
        "Mars/X",
        "Europe",
        "../../../etc/passwd",
        "/etc/localtime",
        "Europe/../Europe/Berlin",
        "Europe//Berlin",
        "Europe/Berlin/",
        "tzdata.zi",
        "zone.tab",
        "Europe/Berlin/x",
        "a\nb",
        "UTC ",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "a"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    const struct tz *z;

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        if (tz_load(&ctx, names[i], &z) != ERR_NOT_FOUND)
            fail_msg("%s is a zone", names[i]);
}

static struct bytes berlin(void)
{
    struct bytes file;

    assert_int_equal(files_read(&ctx, "/usr/share/zoneinfo/Europe/Berlin",
                                TZ_FILE_MAX, &file),
                     0);
    return file;
}

static void test_a_file_cut_anywhere_is_corrupt(void **state)
{
    struct bytes file = berlin();
    const struct tz *z;

    (void)state;
    assert_int_equal(tz_parse(&ctx, file, &z), 0);
    for (size_t n = 0; n < file.n; n++) {
        struct bytes cut = arena_dup(&arena, BYTES(file.p, n));

        ctx_err_clear(&ctx);
        assert_int_equal(tz_parse(&ctx, cut, &z), ERR_CORRUPT);
    }
}

/* Whatever a byte becomes: refused, or a zone that answers. */
static void test_a_changed_byte_does_no_harm(void **state)
{
    struct bytes file = berlin();
    uint8_t *copy = (uint8_t *)(uintptr_t)arena_dup(&arena, file).p;
    int64_t out[TZ_INSTANTS_MAX];
    const struct tz *z;

    (void)state;
    for (size_t i = 0; i < file.n; i++)
        for (int bit = 0; bit < 8; bit++) {
            struct arena own = ARENA_INIT;
            struct ctx c;

            ctx_init(&c, &own);
            copy[i] ^= (uint8_t)(1 << bit);
            if (tz_parse(&c, BYTES(copy, file.n), &z) == 0) {
                tz_instants(z, local(2026, 3, 29, 2, 30), out);
                tz_reached(z, local(2300, 3, 29, 2, 30));
            }
            copy[i] ^= (uint8_t)(1 << bit);
            arena_release(&own);
        }
}

static struct bytes with_footer(const char *footer)
{
    static const uint8_t header[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                    "\0\0\0\1\0\0\0\1\0\0\0\0\0\0";
    struct buf b = BUF_IN(&arena);

    buf_add(&b, BYTES(header, 44 + 6 + 1));
    buf_add(&b, BYTES(header, 44 + 6 + 1));
    buf_printf(&b, "\n%s\n", footer);
    return buf_view(&b);
}

static void test_rules_of_posix(void **state)
{
    static const struct {
        const char *footer;
        int64_t january, july; /* offsets; -1 twice: refused */
    } cases[] = {
        {"EST5EDT,M3.2.0,M11.1.0", -5 * 3600, -4 * 3600},
        {"NZST-12NZDT,M9.5.0,M4.1.0/3", 13 * 3600, 12 * 3600},
        {"<+0545>-5:45", 20700, 20700},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", -7200, -3600},
        {"XXX3YYY2:30:30,J60/0,J300/0", -10800, -9030},
        {"XXX3YYY,59/0,300/167", -10800, -7200},
        {"XXX3EDT4,0/0,J365/23", -14400, -14400}, /* all year */
        {"UTC0", 0, 0},
        {"U0", -1, -1},
        {"UTC", -1, -1},
        {"UTC0:", -1, -1},
        {"UTC25", -1, -1},
        {"EST5EDT", -1, -1},
        {"EST5EDT,M13.2.0,M11.1.0", -1, -1},
        {"EST5EDT,M3.6.0,M11.1.0", -1, -1},
        {"EST5EDT,M3.2.7,M11.1.0", -1, -1},
        {"EST5EDT,M3.2.0", -1, -1},
        {"EST5EDT,M3.2.0,M11.1.0x", -1, -1},
        {"EST5EDT,J0,M11.1.0", -1, -1},
        {"EST5EDT,M3.2.0/168,M11.1.0", -1, -1},
        {"<EST5", -1, -1},
    };
    const struct tz *z;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        bool refused = cases[i].january == -1;
        int rc = tz_parse(&ctx, with_footer(cases[i].footer), &z);

        if (rc != (refused ? ERR_CORRUPT : 0))
            fail_msg("%s: %d", cases[i].footer, rc);
        ctx_err_clear(&ctx);
        if (refused)
            continue;
        if (tz_offset(z, local(2030, 1, 15, 0, 0)) != cases[i].january ||
            tz_offset(z, local(2030, 7, 15, 0, 0)) != cases[i].july)
            fail_msg("%s: %lld %lld", cases[i].footer,
                     (long long)tz_offset(z, local(2030, 1, 15, 0, 0)),
                     (long long)tz_offset(z, local(2030, 7, 15, 0, 0)));
    }
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_offsets_are_libcs_from_1800_to_2600),
        TEST(test_changes_are_libcs_to_the_second),
        TEST(test_a_local_time_has_no_one_or_two_instants),
        TEST(test_a_day_left_out_has_no_instants),
        TEST(test_dates_and_days_are_libcs),
        TEST(test_a_name_that_is_no_zone_is_not_found),
        TEST(test_a_file_cut_anywhere_is_corrupt),
        TEST(test_a_changed_byte_does_no_harm),
        TEST(test_rules_of_posix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
