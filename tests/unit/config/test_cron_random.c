/*
 * The property of schedules: on random ones, in odd zones, around changes of
 * the clocks, schedule_next() gives the runs that a plain enumerator gives
 * which looks at every single minute.
 *
 * The enumerator knows the grammar's meaning, not our code: it works on what
 * the generator meant when it wrote the text, and asks libc what the clocks on
 * the wall show.  A program of one thread, so that it may change TZ.
 * CRON_SCALE=20 makes it long; CRON_SEED repeats a run.
 */
#include "config/schedule.h"
#include "test.h"

#include <time.h>

#define COUNT(a_) (sizeof(a_) / sizeof((a_)[0]))

/* ---- what a schedule means ---- */

struct meaning {
    enum { PLAIN, RANGE, ON_DAYS } kind;
    int period; /* minutes */
    int from, to, at;
    bool months[13], monthdays[32], ordinals[6], weekdays[7];
    bool by_monthday;
    char text[400];
};

/* ---- the generator: a meaning and its text at once ---- */

static uint64_t dice_state;

static unsigned dice(unsigned sides)
{
    dice_state += 0x9e3779b97f4a7c15u;

    uint64_t x = dice_state;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (unsigned)((x ^ (x >> 31)) % sides);
}

static void say(struct meaning *m, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void say(struct meaning *m, const char *fmt, ...)
{
    size_t n = strlen(m->text);
    va_list ap;

    if (n > 0 && m->text[n - 1] != ',' && fmt[0] != ',' && dice(20) > 0)
        m->text[n++] = ' ';
    va_start(ap, fmt);
    vsnprintf(m->text + n, sizeof(m->text) - n, fmt, ap);
    va_end(ap);
}

/* Mostly where clocks change, and any minute else. */
static int some_time(void)
{
    unsigned kind = dice(4);

    if (kind == 0)
        return (int)dice(24 * 60);
    if (kind == 1)
        return (int)(22 * 60 + dice(120));
    return (int)(dice(13) * 15);
}

static void say_time(struct meaning *m, int minute)
{
    /* "24:00" of "5 24:00" would take two digits of a number before */
    say(m, dice(2) ? " %d:%02d" : " %02d:%02d", minute / 60, minute % 60);
}

static const char *const ordinal_words[][2] = {{"1st", "first"},
                                               {"2nd", "second"},
                                               {"3rd", "third"},
                                               {"4th", "fourth"},
                                               {"5th", "fifth"}};
static const char *const weekday_words[][2] = {
    {"sun", "sunday"},    {"mon", "monday"},   {"tue", "tuesday"},
    {"wed", "wednesday"}, {"thu", "thursday"}, {"fri", "friday"},
    {"sat", "saturday"}};
static const char *const month_words[][2] = {
    {"jan", "january"}, {"feb", "february"}, {"mar", "march"},
    {"apr", "april"},   {"may", "may"},      {"jun", "june"},
    {"jul", "july"},    {"aug", "august"},   {"sep", "september"},
    {"oct", "october"}, {"nov", "november"}, {"dec", "december"}};

/* One to four of some words, in any order, perhaps twice; `first` is what the
 * first word counts as. */
static void say_list(struct meaning *m, const char *const (*words)[2],
                     unsigned n, bool *chosen, int first)
{
    unsigned many = 1 + dice(4);

    for (unsigned i = 0; i < many; i++) {
        unsigned which = dice(n);

        if (i > 0)
            say(m, ",");
        say(m, "%s", words[which][dice(2)]);
        chosen[which + (unsigned)first] = true;
    }
}

static void mean_months(struct meaning *m)
{
    bool of_quarter[4] = {false};
    unsigned kind = dice(4);

    say(m, "of");
    if (kind == 0) {
        say(m, "month");
        memset(m->months, 1, sizeof(m->months));
    } else if (kind == 1) {
        say_list(m, month_words, 12, m->months, 1);
    } else if (kind == 2) {
        say(m, "quarter");
        m->months[1] = m->months[4] = m->months[7] = m->months[10] = true;
    } else {
        say_list(m, ordinal_words, 3, of_quarter, 1);
        say(m, "month");
        say(m, "of");
        say(m, "quarter");
        for (int i = 1; i <= 12; i++)
            m->months[i] = of_quarter[(i - 1) % 3 + 1];
    }
}

static void mean_weekdays(struct meaning *m)
{
    bool every = dice(2);

    if (every) {
        say(m, "every");
        memset(m->ordinals, 1, sizeof(m->ordinals));
    } else {
        say_list(m, ordinal_words, 5, m->ordinals, 1);
    }
    if (dice(2)) {
        say_list(m, weekday_words, 7, m->weekdays, 0);
    } else {
        say(m, "day");
        m->by_monthday = true;
        for (int d = 1; d <= 31; d++)
            m->monthdays[d] = every || (d <= 5 && m->ordinals[d]);
    }
}

/* Days that every month has, mostly: a list with one that none of the months
 * has would be refused. */
static void mean_monthdays(struct meaning *m)
{
    unsigned many = 1 + dice(4);

    m->by_monthday = true;
    for (unsigned i = 0; i < many; i++) {
        int d = 1 + (int)dice(29);

        if (i > 0)
            say(m, ",");
        say(m, "%d", d);
        m->monthdays[d] = true;
    }
}

static void mean_days(struct meaning *m)
{
    m->kind = ON_DAYS;
    m->at = some_time();
    if (dice(2)) {
        mean_weekdays(m);
        if (dice(2))
            mean_months(m);
        else
            memset(m->months, 1, sizeof(m->months));
    } else {
        mean_monthdays(m);
        mean_months(m);
    }
    say_time(m, m->at);
}

static void mean_interval(struct meaning *m)
{
    static const int even[] = {1,  2,  3,  5,   15,  20,  30,  45,
                               60, 90, 96, 120, 180, 480, 720, 1440};
    unsigned kind = dice(5);

    m->kind = kind == 0 ? PLAIN : RANGE;
    m->period = kind == 1 ? even[dice(COUNT(even))] : 1 + (int)dice(200);
    say(m, "every");
    if (m->period % 60 == 0 && dice(2)) {
        say(m, "%d", m->period / 60);
        say(m, "hours");
    } else {
        say(m, "%d", m->period);
        say(m, dice(2) ? "mins" : "minutes");
    }
    if (kind == 1) {
        say(m, "synchronized");
        m->to = 23 * 60 + 59;
    } else if (kind > 1) {
        m->from = some_time();
        m->to = dice(10) ? some_time() : m->from;
        say(m, "from");
        say_time(m, m->from);
        say(m, "to");
        say_time(m, m->to);
    }
}

static struct meaning some_meaning(void)
{
    struct meaning m = {.kind = PLAIN};

    if (dice(2))
        mean_days(&m);
    else
        mean_interval(&m);
    return m;
}

/* ---- the enumerator: every minute of a window ---- */

enum { MARGIN_DAYS = 3 };

struct window {
    int64_t begin;  /* of the first minute */
    size_t n;       /* minutes */
    int64_t *shown; /* what the clocks show at each, seconds */
    bool *runs;
};

static void window_look(struct window *w)
{
    for (size_t i = 0; i < w->n; i++) {
        time_t t = (time_t)(w->begin + (int64_t)i * 60);
        struct tm tm;

        localtime_r(&t, &tm);
        w->shown[i] = (int64_t)t + tm.tm_gmtoff;
    }
}

/* The first minute that shows a time or a later one; n when none does. */
static size_t first_showing(const struct window *w, int64_t local, size_t from)
{
    while (from < w->n && w->shown[from] < local)
        from++;
    return from;
}

static void enumerate_range(struct window *w, const struct meaning *m)
{
    int64_t first = w->shown[0] / TZ_DAY, last = w->shown[w->n - 1] / TZ_DAY;
    size_t near = 0;

    for (int64_t day = first + 1; day <= last; day++) {
        int64_t end_day = day + (m->to < m->from);
        size_t midnight = first_showing(w, day * TZ_DAY, near);
        size_t start = first_showing(w, day * TZ_DAY + m->from * 60, near);
        size_t end = first_showing(w, end_day * TZ_DAY + m->to * 60, near);

        near = midnight;
        if (midnight == w->n || w->shown[midnight] / TZ_DAY != day)
            continue; /* there was no such day */
        for (size_t i = start; i < w->n && i <= end; i += (size_t)m->period)
            w->runs[i] = true;
    }
}

static bool is_run_day(const struct meaning *m, int64_t shown)
{
    time_t t = (time_t)shown;
    struct tm tm;

    gmtime_r(&t, &tm);
    if (!m->months[tm.tm_mon + 1])
        return false;
    if (m->by_monthday)
        return m->monthdays[tm.tm_mday];
    return m->weekdays[tm.tm_wday] && m->ordinals[(tm.tm_mday - 1) / 7 + 1];
}

static void enumerate_days(struct window *w, const struct meaning *m)
{
    for (size_t i = 0; i < w->n; i++)
        w->runs[i] =
            w->shown[i] % TZ_DAY == m->at * 60 && is_run_day(m, w->shown[i]);
}

/* ---- the comparison ---- */

static const char *shown_time(int64_t at)
{
    static char text[4][40];
    static int turn;
    time_t t = (time_t)at;
    struct tm tm;

    gmtime_r(&t, &tm);
    turn = (turn + 1) % 4;
    strftime(text[turn], sizeof(text[0]), "%Y-%m-%dT%H:%M:%SZ", &tm);
    return text[turn];
}

static void compare(const struct window *w, const struct meaning *m,
                    const char *zone, const struct schedule *s,
                    const struct tz *tz)
{
    size_t i = MARGIN_DAYS * 1440, end = w->n - MARGIN_DAYS * 1440;
    int64_t after = w->begin + (int64_t)i * 60 + dice(60);
    int64_t limit = w->begin + (int64_t)end * 60;

    for (i++; i < end; i++) {
        int64_t minute = w->begin + (int64_t)i * 60, next;

        if (!w->runs[i])
            continue;
        next = schedule_next(s, tz, after);
        if (next != minute)
            fail_msg("\"%s\" in %s behind %s: %s, the enumerator says %s",
                     m->text, zone, shown_time(after),
                     next == SCHEDULE_NEVER ? "never" : shown_time(next),
                     shown_time(minute));
        after = minute + (dice(2) ? 0 : dice(60));
    }
    if (schedule_next(s, tz, after) < limit)
        fail_msg("\"%s\" in %s behind %s: %s, the enumerator says none",
                 m->text, zone, shown_time(after),
                 shown_time(schedule_next(s, tz, after)));
}

/* A plain interval has no calendar: count minutes until it is over. */
static void compare_plain(const struct meaning *m, const struct schedule *s,
                          const struct tz *tz, int64_t begin)
{
    int64_t after = begin + dice(3600), minute = after / 60 * 60;

    for (int64_t over = after + m->period * 60; minute + 60 <= over;)
        minute += 60;
    if (schedule_next(s, tz, after) != minute)
        fail_msg("\"%s\" behind %s: %s", m->text, shown_time(after),
                 shown_time(schedule_next(s, tz, after)));
}

static const char *const zones[] = {
    "UTC",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/El_Aaiun",
    "America/Asuncion",
    "America/Caracas",
    "America/Havana",
    "America/New_York",
    "America/Nuuk",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/Scoresbysund",
    "America/St_Johns",
    "America/Whitehorse",
    "Antarctica/Troll",
    "Asia/Amman",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Pyongyang",
    "Asia/Tehran",
    "Atlantic/Azores",
    "Australia/Adelaide",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/London",
    "Europe/Volgograd",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Easter",
    "Pacific/Fiji",
    "Pacific/Norfolk",
    "Pacific/Tongatapu",
};

/* A day between 1994 and 2070 near which the clocks of TZ change, if they do
 * within two years of a random one. */
static int64_t some_day(void)
{
    int64_t day = tz_day(1994, 1, 1) + dice(75 * 365);

    for (int i = 0; i < 730 && dice(4000) > 0; i++) {
        time_t a = (time_t)(day + i) * TZ_DAY, b = a + TZ_DAY;
        struct tm then, now;

        localtime_r(&a, &then);
        localtime_r(&b, &now);
        if (then.tm_gmtoff != now.tm_gmtoff)
            return day + i;
    }
    return day;
}

static void try_one(struct ctx *ctx, struct window *w, int days)
{
    const char *zone = zones[dice(COUNT(zones))];
    struct meaning m = some_meaning();
    const struct tz *tz;
    struct schedule s;

    setenv("TZ", zone, 1);
    tzset();
    assert_int_equal(tz_load(ctx, zone, &tz), 0);
    if (schedule_parse(ctx, m.text, &s) != 0)
        fail_msg("%s", ctx_err_text(ctx, ERR_INVALID));
    w->begin =
        (some_day() - MARGIN_DAYS - 1 - (int64_t)dice((unsigned)days)) * TZ_DAY;
    w->n = (size_t)(days + 2 * MARGIN_DAYS + 2) * 1440;
    if (m.kind == PLAIN) {
        compare_plain(&m, &s, tz, w->begin);
        return;
    }
    w->shown = calloc(w->n, sizeof(*w->shown));
    w->runs = calloc(w->n, sizeof(*w->runs));
    assert_true(w->shown && w->runs);
    window_look(w);
    if (m.kind == RANGE)
        enumerate_range(w, &m);
    else
        enumerate_days(w, &m);
    compare(w, &m, zone, &s, tz);
    free(w->shown);
    free(w->runs);
}

static int scale(void)
{
    const char *text = getenv("CRON_SCALE");

    return text ? atoi(text) : 1;
}

static void seed(void)
{
    const char *text = getenv("CRON_SEED");

    dice_state = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
    print_message("CRON_SEED=%llu\n", (unsigned long long)dice_state);
}

static void run(int tries, int days)
{
    for (int i = 0; i < tries; i++) {
        struct arena a = ARENA_INIT;
        struct window w = {0};
        struct ctx ctx;

        ctx_init(&ctx, &a);
        try_one(&ctx, &w, days);
        arena_release(&a);
    }
}

static void test_runs_around_changes_of_the_clocks(void **state)
{
    (void)state;
    run(400 * scale(), 2);
}

static void test_runs_over_three_years(void **state)
{
    (void)state;
    run(2 * scale(), 1100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_around_changes_of_the_clocks),
        cmocka_unit_test(test_runs_over_three_years),
    };

    seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
