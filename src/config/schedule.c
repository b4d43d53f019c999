/*
 * schedule - words, the grammar over them, the calendar.
 *
 * The lexer gives one word at a time (a keyword, an ordinal, a number, a time);
 * each rule of the grammar is a function that takes what it knows.  Words need
 * no blanks between them, so the longest keyword wins: "monday" before "mon".
 */
#include "config/schedule.h"

/* ---- words ---- */

enum kind {
    END,
    COMMA,
    EVERY,
    FROM,
    TO,
    OF,
    SYNCHRONIZED,
    HOURS,
    MINUTES,
    DAY,
    MONTH,
    QUARTER,
    ORDINAL,    /* value 1..5 */
    WEEKDAY,    /* 0..6 */
    MONTH_NAME, /* 1..12 */
    NUMBER,
    TIME, /* minutes of the day */
    NONE, /* no word at all */
};

static const struct keyword {
    const char *text;
    enum kind kind;
    int value;
} keywords[] = {
    {",", COMMA, 0},
    {"every", EVERY, 0},
    {"from", FROM, 0},
    {"to", TO, 0},
    {"of", OF, 0},
    {"synchronized", SYNCHRONIZED, 0},
    {"hours", HOURS, 0},
    {"minutes", MINUTES, 0},
    {"mins", MINUTES, 0},
    {"day", DAY, 0},
    {"month", MONTH, 0},
    {"quarter", QUARTER, 0},
    {"1st", ORDINAL, 1},
    {"2nd", ORDINAL, 2},
    {"3rd", ORDINAL, 3},
    {"4th", ORDINAL, 4},
    {"5th", ORDINAL, 5},
    {"first", ORDINAL, 1},
    {"second", ORDINAL, 2},
    {"third", ORDINAL, 3},
    {"fourth", ORDINAL, 4},
    {"fifth", ORDINAL, 5},
    {"sun", WEEKDAY, 0},
    {"sunday", WEEKDAY, 0},
    {"mon", WEEKDAY, 1},
    {"monday", WEEKDAY, 1},
    {"tue", WEEKDAY, 2},
    {"tuesday", WEEKDAY, 2},
    {"wed", WEEKDAY, 3},
    {"wednesday", WEEKDAY, 3},
    {"thu", WEEKDAY, 4},
    {"thursday", WEEKDAY, 4},
    {"fri", WEEKDAY, 5},
    {"friday", WEEKDAY, 5},
    {"sat", WEEKDAY, 6},
    {"saturday", WEEKDAY, 6},
    {"jan", MONTH_NAME, 1},
    {"january", MONTH_NAME, 1},
    {"feb", MONTH_NAME, 2},
    {"february", MONTH_NAME, 2},
    {"mar", MONTH_NAME, 3},
    {"march", MONTH_NAME, 3},
    {"apr", MONTH_NAME, 4},
    {"april", MONTH_NAME, 4},
    {"may", MONTH_NAME, 5},
    {"jun", MONTH_NAME, 6},
    {"june", MONTH_NAME, 6},
    {"jul", MONTH_NAME, 7},
    {"july", MONTH_NAME, 7},
    {"aug", MONTH_NAME, 8},
    {"august", MONTH_NAME, 8},
    {"sep", MONTH_NAME, 9},
    {"september", MONTH_NAME, 9},
    {"oct", MONTH_NAME, 10},
    {"october", MONTH_NAME, 10},
    {"nov", MONTH_NAME, 11},
    {"november", MONTH_NAME, 11},
    {"dec", MONTH_NAME, 12},
    {"december", MONTH_NAME, 12},
};

struct parse {
    struct ctx *ctx;
    const char *text;
    const char *at; /* behind the word */
    const char *word;
    enum kind kind; /* of the word... */
    int value;      /* ...and what it says */
    struct schedule *out;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* H:MM or HH:MM at `s`; its length, or 0. */
static size_t time_at(const char *s, int *minutes)
{
    size_t n = is_digit(s[1]) ? 2 : 1;
    int hours = n == 2 ? (s[0] - '0') * 10 + (s[1] - '0') : s[0] - '0';

    if (hours > 23 || s[n] != ':' || s[n + 1] < '0' || s[n + 1] > '5' ||
        !is_digit(s[n + 2]))
        return 0;
    *minutes = hours * 60 + (s[n + 1] - '0') * 10 + (s[n + 2] - '0');
    return n + 3;
}

enum { DIGITS_MAX = 5 };

static size_t number_at(const char *s, int *value)
{
    size_t n = 0;

    for (*value = 0; n < DIGITS_MAX && is_digit(s[n]); n++)
        *value = *value * 10 + (s[n] - '0');
    return is_digit(s[n]) ? 0 : n;
}

static size_t keyword_at(const char *s, struct parse *p)
{
    size_t longest = 0;

    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
        const struct keyword *k = &keywords[i];
        size_t n = strlen(k->text);

        if (n > longest && strncmp(s, k->text, n) == 0) {
            longest = n;
            p->kind = k->kind;
            p->value = k->value;
        }
    }
    return longest;
}

static void next(struct parse *p)
{
    const char *s = p->at + strspn(p->at, " \t\r\n");
    size_t n;

    p->word = s;
    p->kind = *s ? NONE : END;
    n = keyword_at(s, p);
    if (n == 0 && is_digit(*s)) {
        n = time_at(s, &p->value);
        p->kind = n ? TIME : NUMBER;
        if (n == 0)
            n = number_at(s, &p->value);
        if (n == 0)
            p->kind = NONE;
    }
    p->at = s + n;
}

/* ---- refusals, in the words of Google's parser ---- */

static int refuse(struct parse *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int refuse(struct parse *p, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    ctx_err(p->ctx, ERR_INVALID, "schedule '%s' failed to parse: %s", p->text,
            arena_vprintf(p->ctx->arena, fmt, ap));
    va_end(ap);
    return ERR_INVALID;
}

/* The rest of the word at hand: what a reader takes for one. */
static struct bytes shown(const struct parse *p)
{
    size_t n = p->at > p->word ? (size_t)(p->at - p->word) : 0;

    if (n == 0)
        n = strcspn(p->word, " \t\r\n");
    return BYTES(p->word, n);
}

static int refuse_word(struct parse *p, const char *expected)
{
    int column = (int)(p->word - p->text);

    if (p->kind == END)
        return refuse(p,
                      "line 1:%d no viable alternative at its end; expected "
                      "%s",
                      column, expected);
    return refuse(p,
                  "line 1:%d no viable alternative at input '%.*s'; expected "
                  "%s",
                  column, BYTES_FMT(shown(p)), expected);
}

static int expect(struct parse *p, enum kind kind, const char *expected)
{
    if (p->kind != kind)
        return refuse_word(p, expected);
    next(p);
    return 0;
}

static bool accept(struct parse *p, enum kind kind)
{
    if (p->kind != kind)
        return false;
    next(p);
    return true;
}

/* ---- the grammar ---- */

static int parse_time(struct parse *p, int *out)
{
    *out = p->value;
    return expect(p, TIME, "a time, 0:00 to 23:59");
}

/* One or more of a kind with commas between, as bits. */
static int parse_list(struct parse *p, enum kind kind, const char *expected,
                      unsigned *out)
{
    do {
        if (p->kind != kind)
            return refuse_word(p, expected);
        *out |= 1u << p->value;
        next(p);
    } while (accept(p, COMMA));
    return 0;
}

static int parse_unit(struct parse *p)
{
    int64_t n = p->value;

    if (n < 1)
        return refuse(p, "interval must be greater than zero");
    next(p);
    if (accept(p, HOURS))
        p->out->period = n * 3600;
    else if (accept(p, MINUTES))
        p->out->period = n * 60;
    else
        return refuse_word(p, "hours, mins or minutes");
    return 0;
}

static int parse_interval(struct parse *p)
{
    struct schedule *s = p->out;
    int rc = parse_unit(p);

    if (rc)
        return rc;
    s->kind = SCHEDULE_INTERVAL;
    if (accept(p, SYNCHRONIZED)) {
        s->kind = SCHEDULE_RANGE;
        s->synchronized = true;
        s->to = 23 * 60 + 59;
        if (TZ_DAY % s->period != 0)
            rc = refuse(p, "can only use synchronized for periods that divide "
                           "evenly into 24 hours");
    } else if (accept(p, FROM)) {
        s->kind = SCHEDULE_RANGE;
        rc = parse_time(p, &s->from);
        if (rc == 0)
            rc = expect(p, TO, "to");
        if (rc == 0)
            rc = parse_time(p, &s->to);
    }
    return rc;
}

enum { ALL_MONTHS = 0x1ffe, ALL_MONTHDAYS = -2, ALL_ORDINALS = 0x3e };

/* "1st,2nd" of each quarter: those months and every third behind them. */
static int parse_quarters(struct parse *p)
{
    unsigned of = 0;
    int rc = parse_list(p, ORDINAL, "1st, 2nd or 3rd", &of);

    if (rc == 0 && of >> 4)
        return refuse(p, "a quarter has three months: 1st, 2nd and 3rd");
    for (int m = 1; m <= 12; m++)
        if (of & 1u << ((m - 1) % 3 + 1))
            p->out->months |= 1u << m;
    if (rc == 0)
        rc = expect(p, MONTH, "month of quarter");
    if (rc == 0)
        rc = expect(p, OF, "of quarter");
    return rc ? rc : expect(p, QUARTER, "quarter");
}

static int parse_months(struct parse *p)
{
    struct schedule *s = p->out;

    if (accept(p, MONTH)) {
        s->months = ALL_MONTHS;
        return 0;
    }
    if (accept(p, QUARTER)) {
        s->months = 1u << 1 | 1u << 4 | 1u << 7 | 1u << 10;
        return 0;
    }
    if (p->kind == ORDINAL)
        return parse_quarters(p);
    return parse_list(p, MONTH_NAME, "month, quarter or the name of a month",
                      &s->months);
}

/* "1st,3rd day" are the first and the third of a month; "every day" is each
 * of its days. */
static int parse_weekdays(struct parse *p, bool every)
{
    struct schedule *s = p->out;

    if (!accept(p, DAY))
        return parse_list(p, WEEKDAY, "day or the name of a weekday",
                          &s->weekdays);
    s->monthdays = every ? (unsigned)ALL_MONTHDAYS : s->ordinals;
    s->ordinals = 0;
    return 0;
}

static int parse_monthdays(struct parse *p)
{
    do {
        if (p->kind != NUMBER)
            return refuse_word(p, "a day of the month");
        if (p->value > 31)
            return refuse(p, "day of month must be less than 32");
        if (p->value < 1)
            return refuse(p, "day of month must be greater than 0");
        p->out->monthdays |= 1u << p->value;
        next(p);
    } while (accept(p, COMMA));
    return 0;
}

/* Each day must be in one of the months, of a leap year. */
static int check_monthdays(struct parse *p)
{
    const struct schedule *s = p->out;
    int longest = 0, month = 0;

    for (int m = 1; m <= 12; m++)
        if (s->months & 1u << m && tz_month_days(2000, m) > longest) {
            longest = tz_month_days(2000, m);
            month = m;
        }
    for (int d = longest + 1; d <= 31; d++)
        if (s->monthdays & 1u << d)
            return refuse(p, "invalid day of month, got day %d of month %d", d,
                          month);
    return 0;
}

static int parse_days(struct parse *p, bool every)
{
    struct schedule *s = p->out;
    bool monthdays = !every && p->kind == NUMBER;
    int rc = 0;

    s->kind = SCHEDULE_DAYS;
    if (monthdays)
        rc = parse_monthdays(p);
    else if (every)
        s->ordinals = ALL_ORDINALS;
    else
        rc = parse_list(p, ORDINAL,
                        "every, an ordinal (1st) or a day of the "
                        "month",
                        &s->ordinals);
    if (rc == 0 && !monthdays)
        rc = parse_weekdays(p, every);
    if (rc)
        return rc;
    if (accept(p, OF))
        rc = parse_months(p);
    else if (monthdays)
        rc = refuse_word(p, "of and months");
    else
        s->months = ALL_MONTHS;
    if (rc == 0 && monthdays)
        rc = check_monthdays(p);
    return rc ? rc : parse_time(p, &s->at);
}

int schedule_parse(struct ctx *ctx, const char *text, struct schedule *out)
{
    struct parse p = {.ctx = ctx, .text = text, .at = text, .out = out};
    bool every;
    int rc;

    *out = (struct schedule){.kind = SCHEDULE_INTERVAL};
    if (strlen(text) > SCHEDULE_TEXT_MAX)
        return ctx_err(ctx, ERR_INVALID, "a schedule has at most %d characters",
                       SCHEDULE_TEXT_MAX);
    next(&p);
    every = accept(&p, EVERY);
    if (every && p.kind == NUMBER)
        rc = parse_interval(&p);
    else
        rc = parse_days(&p, every);
    if (rc == 0 && p.kind != END)
        rc = refuse(&p, "line 1:%d missing EOF at '%.*s'",
                    (int)(p.word - p.text), BYTES_FMT(shown(&p)));
    return rc;
}

/* ---- the next run ---- */

enum { YEARS_AHEAD = 60 };

/* The latest moment we count with: the end of the year 9999. */
#define LAST_MOMENT INT64_C(253402300799)

static int64_t local_minute(int64_t day, int minute)
{
    return day * TZ_DAY + minute * 60;
}

/* Whether the zone had that day: Samoa left one out in 2011. */
static bool day_exists(const struct tz *zone, int64_t day)
{
    int64_t first = tz_reached(zone, day * TZ_DAY);

    return tz_day_of(first + tz_offset(zone, first)) == day;
}

/* The first run behind `after` of the range that begins on a day. */
static int64_t range_next(const struct schedule *s, const struct tz *zone,
                          int64_t day, int64_t after)
{
    int64_t start = tz_reached(zone, local_minute(day, s->from));
    int64_t end =
        tz_reached(zone, local_minute(day + (s->to < s->from), s->to));
    int64_t run = start;

    if (!day_exists(zone, day))
        return SCHEDULE_NEVER;
    if (start <= after)
        run += ((after - start) / s->period + 1) * s->period;
    return run <= end ? run : SCHEDULE_NEVER;
}

/* Yesterday's may go on into today; a day left out is followed by another. */
static int64_t next_in_range(const struct schedule *s, const struct tz *zone,
                             int64_t after)
{
    int64_t today = tz_day_of(after + tz_offset(zone, after));
    int64_t best = SCHEDULE_NEVER;

    for (int64_t day = today - 2; day <= today + 3; day++) {
        int64_t run = range_next(s, zone, day, after);

        if (run < best)
            best = run;
    }
    return best;
}

static bool day_matches(const struct schedule *s, int day, int weekday)
{
    if (s->monthdays)
        return s->monthdays >> day & 1;
    return s->weekdays >> weekday & 1 && s->ordinals >> ((day + 6) / 7) & 1;
}

/* The first run behind `after` on a day. */
static int64_t day_next(const struct schedule *s, const struct tz *zone,
                        int64_t day, int64_t after)
{
    int64_t shown[TZ_INSTANTS_MAX];
    int n = tz_instants(zone, local_minute(day, s->at), shown);

    for (int i = 0; i < n; i++)
        if (shown[i] > after)
            return shown[i];
    return SCHEDULE_NEVER;
}

static int64_t month_next(const struct schedule *s, const struct tz *zone,
                          int year, int month, int64_t after)
{
    int64_t day = tz_day(year, month, 1);
    int weekday = tz_date(day).weekday;

    for (int d = 1; d <= tz_month_days(year, month); d++) {
        int64_t run = SCHEDULE_NEVER;

        if (day_matches(s, d, (weekday + d - 1) % 7))
            run = day_next(s, zone, day + d - 1, after);
        if (run != SCHEDULE_NEVER)
            return run;
    }
    return SCHEDULE_NEVER;
}

/* From the month before on: the clocks may be put back over its end. */
static int64_t next_of_days(const struct schedule *s, const struct tz *zone,
                            int64_t after)
{
    struct tz_date now = tz_date(tz_day_of(after + tz_offset(zone, after)) - 1);
    int first = now.year * 12 + now.month - 1;

    for (int m = first; m <= first + YEARS_AHEAD * 12; m++) {
        int64_t run = SCHEDULE_NEVER;

        if (s->months >> (m % 12 + 1) & 1)
            run = month_next(s, zone, m / 12, m % 12 + 1, after);
        if (run != SCHEDULE_NEVER)
            return run;
    }
    return SCHEDULE_NEVER;
}

int64_t schedule_next(const struct schedule *s, const struct tz *zone,
                      int64_t after)
{
    int64_t run = SCHEDULE_NEVER;

    if (after < 0)
        after = 0;
    if (after > LAST_MOMENT)
        return SCHEDULE_NEVER;
    switch (s->kind) {
    case SCHEDULE_INTERVAL:
        run = (after + s->period) / 60 * 60;
        break;
    case SCHEDULE_RANGE:
        run = next_in_range(s, zone, after);
        break;
    case SCHEDULE_DAYS:
        run = next_of_days(s, zone, after);
        break;
    }
    return run <= LAST_MOMENT ? run : SCHEDULE_NEVER;
}
