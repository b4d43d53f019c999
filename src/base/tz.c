/*
 * tz - a TZif file as a list of periods, and a rule behind the last.
 *
 * A period is a stretch of time with one offset.  The table gives those of the
 * past and, in files for old readers, up to 2037; the footer of the file gives
 * the rule for all later ones in the words of POSIX TZ ("CET-1CEST,M3.5.0,
 * M10.5.0/3").  Every question is answered from the period that holds an
 * instant.
 */
#include "base/tz.h"

#include "base/files.h"

#include <stdlib.h>
#include <sys/stat.h>

enum {
    OFFSET_MAX = 26 * 3600 - 1, /* RFC 8536: -25:59:59 .. 25:59:59 */
    RULE_HOURS = 167,           /* likewise, of a rule's time */
    TABLE_MAX = 20000,          /* moments; the largest today has some 250 */
};

#define LONG_AGO (INT64_MIN / 2)
#define FAR_OFF  (INT64_MAX / 2)

/* When, in every year, one of the two changes happens. */
struct rule {
    enum { RULE_MONTH, RULE_JULIAN, RULE_DAY } kind;
    int month, week, day; /* "Mm.w.d", "Jn" (1..365, no 29 Feb), "n" */
    int64_t time;         /* seconds behind local midnight */
};

struct tz {
    const int64_t *moments; /* a new offset from each of them on */
    const int32_t *offsets;
    size_t n;
    int64_t first;    /* the offset before the first moment */
    bool has_rule;    /* `standard` holds after the last moment... */
    bool has_summer;  /* ...and these changes from it and back */
    int64_t standard; /* seconds east of UTC */
    int64_t summer;
    struct rule begin, end;
};

struct period {
    int64_t start, end, offset;
};

const struct tz *tz_utc(void)
{
    static const struct tz utc = {.has_rule = true};

    return &utc;
}

/* ---- the calendar ---- */

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int tz_month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return days[month - 1] + (month == 2 && is_leap(year));
}

/* Years that begin in March have their leap day last, so the days before a
 * month are (153 m + 2) / 5 in each of them. */
int64_t tz_day(int year, int month, int day)
{
    int64_t y = month > 2 ? year : (int64_t)year - 1;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year +
           day - 1 - 719468;
}

struct tz_date tz_date(int64_t day)
{
    int64_t from_march = day + 719468;
    int64_t era = (from_march >= 0 ? from_march : from_march - 146096) / 146097;
    int64_t d = from_march - era * 146097;
    int64_t y = (d - d / 1460 + d / 36524 - d / 146096) / 365;
    int64_t of_year = d - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * of_year + 2) / 153;
    int64_t weekday = (day % 7 + 4 + 7) % 7;

    return (struct tz_date){
        .year = (int)(y + era * 400 + (m >= 10)),
        .month = (int)(m < 10 ? m + 3 : m - 9),
        .day = (int)(of_year - (153 * m + 2) / 5 + 1),
        .weekday = (int)weekday,
    };
}

/* ---- the rule ---- */

/* Local midnight of the rule's day in a year, and its time on that clock. */
static int64_t rule_local(const struct rule *r, int year)
{
    int64_t day;

    if (r->kind == RULE_MONTH) {
        int64_t first = tz_day(year, r->month, 1);
        int ahead = (r->day - tz_date(first).weekday + 7) % 7;
        int of_month = 1 + ahead + 7 * (r->week - 1);

        if (of_month > tz_month_days(year, r->month))
            of_month -= 7; /* "the fifth" means the last */
        day = first + of_month - 1;
    } else if (r->kind == RULE_JULIAN) {
        day = tz_day(year, 1, 1) + r->day - 1 + (is_leap(year) && r->day >= 60);
    } else {
        day = tz_day(year, 1, 1) + r->day;
    }
    return day * TZ_DAY + r->time;
}

/* The rule's period around an instant: between two of the six changes in the
 * year before, its own and the one after. */
static struct period rule_period(const struct tz *z, int64_t at)
{
    struct period p = {LONG_AGO, FAR_OFF, z->standard};
    int year = tz_date(tz_day_of(at)).year;

    for (int y = year - 1; z->has_summer && y <= year + 1; y++) {
        int64_t on = rule_local(&z->begin, y) - z->standard;
        int64_t off = rule_local(&z->end, y) - z->summer;

        if (on <= at && on >= p.start) {
            p.start = on;
            p.offset = z->summer;
        }
        if (off <= at && off >= p.start) {
            p.start = off;
            p.offset = z->standard;
        }
        if (on > at && on < p.end)
            p.end = on;
        if (off > at && off < p.end)
            p.end = off;
    }
    return p;
}

/* ---- periods ---- */

/* How many moments are at or before the instant. */
static size_t moments_before(const struct tz *z, int64_t at)
{
    size_t low = 0, high = z->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (z->moments[mid] <= at)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct period period_at(const struct tz *z, int64_t at)
{
    size_t i = moments_before(z, at);
    struct period p;

    if (i == z->n && z->has_rule) {
        p = rule_period(z, at);
        if (i > 0 && p.start < z->moments[i - 1])
            p.start = z->moments[i - 1];
        return p;
    }
    return (struct period){
        .start = i > 0 ? z->moments[i - 1] : LONG_AGO,
        .end = i < z->n ? z->moments[i] : FAR_OFF,
        .offset = i > 0 ? z->offsets[i - 1] : z->first,
    };
}

int64_t tz_offset(const struct tz *z, int64_t instant)
{
    return period_at(z, instant).offset;
}

int tz_instants(const struct tz *z, int64_t local, int64_t out[TZ_INSTANTS_MAX])
{
    int64_t at = local - OFFSET_MAX, last = local + OFFSET_MAX;
    int n = 0;

    while (at <= last && n < TZ_INSTANTS_MAX) {
        struct period p = period_at(z, at);
        int64_t shown = local - p.offset;

        if (shown >= p.start && shown < p.end)
            out[n++] = shown;
        at = p.end;
    }
    return n;
}

int64_t tz_reached(const struct tz *z, int64_t local)
{
    int64_t at = local - OFFSET_MAX;

    for (;;) {
        struct period p = period_at(z, at);
        int64_t shown = local - p.offset;

        if (shown < p.start)
            return p.start; /* they jumped over it */
        if (shown < p.end)
            return shown;
        at = p.end;
    }
}

/* ---- reading POSIX TZ ---- */

struct text {
    const char *at, *end;
};

static bool take(struct text *t, char c)
{
    if (t->at == t->end || *t->at != c)
        return false;
    t->at++;
    return true;
}

static bool take_number(struct text *t, int64_t max, int64_t *out)
{
    const char *from = t->at;

    *out = 0;
    while (t->at < t->end && *t->at >= '0' && *t->at <= '9') {
        *out = *out * 10 + (*t->at++ - '0');
        if (*out > max)
            return false;
    }
    return t->at > from;
}

static bool take_int(struct text *t, int min, int max, int *out)
{
    int64_t n;
    bool ok = take_number(t, max, &n) && n >= min;

    *out = (int)n;
    return ok;
}

/* "CET" or "<+03>": what it is called does not matter. */
static bool take_name(struct text *t)
{
    const char *from = t->at;
    bool quoted = take(t, '<');

    if (quoted) {
        while (t->at < t->end && *t->at != '>')
            t->at++;
        return take(t, '>');
    }
    while (t->at < t->end && ((*t->at >= 'A' && *t->at <= 'Z') ||
                              (*t->at >= 'a' && *t->at <= 'z')))
        t->at++;
    return t->at - from >= 3;
}

/* [+-]h[h[h]][:mm[:ss]] in seconds. */
static bool take_time(struct text *t, int64_t hours, int64_t *out)
{
    int64_t h, m = 0, s = 0;
    bool minus = take(t, '-');

    if (!minus)
        take(t, '+');
    if (!take_number(t, hours, &h) || (take(t, ':') && !take_number(t, 59, &m)))
        return false;
    if (take(t, ':') && !take_number(t, 59, &s))
        return false;
    *out = (h * 60 + m) * 60 + s;
    if (minus)
        *out = -*out;
    return true;
}

static bool take_rule(struct text *t, struct rule *r)
{
    bool ok;

    *r = (struct rule){.kind = RULE_DAY, .time = 2 * 3600};
    if (!take(t, ','))
        return false;
    if (take(t, 'M')) {
        r->kind = RULE_MONTH;
        ok = take_int(t, 1, 12, &r->month) && take(t, '.') &&
             take_int(t, 1, 5, &r->week) && take(t, '.') &&
             take_int(t, 0, 6, &r->day);
    } else if (take(t, 'J')) {
        r->kind = RULE_JULIAN;
        ok = take_int(t, 1, 365, &r->day);
    } else {
        ok = take_int(t, 0, 365, &r->day);
    }
    return ok && (!take(t, '/') || take_time(t, RULE_HOURS, &r->time));
}

/* POSIX counts offsets west of Greenwich. */
static bool read_rules(struct tz *z, struct bytes footer)
{
    struct text t = {footer.p, (const char *)footer.p + footer.n};

    if (footer.n == 0)
        return true;
    if (!take_name(&t) || !take_time(&t, 24, &z->standard))
        return false;
    z->standard = -z->standard;
    z->has_rule = true;
    if (t.at == t.end)
        return true;
    z->has_summer = true;
    z->summer = z->standard + 3600;
    if (!take_name(&t))
        return false;
    if (t.at < t.end && *t.at != ',') {
        if (!take_time(&t, 24, &z->summer))
            return false;
        z->summer = -z->summer;
    }
    return take_rule(&t, &z->begin) && take_rule(&t, &z->end) && t.at == t.end;
}

/* ---- reading TZif ---- */

/* The counts of a header, in the file's order. */
struct header {
    size_t isut, isstd, leap, time, type, chars;
};

enum { HEADER = 44, TYPE = 6 };

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
           p[3];
}

/* The header at `at`, and whether a block of it with times of `width` bytes
 * ends within the file; *size is that of both. */
static bool read_header(struct bytes file, size_t at, size_t width,
                        struct header *h, size_t *size)
{
    const uint8_t *p = bytes_u8(file) + at;

    if (file.n < at + HEADER || memcmp(p, "TZif", 4) != 0)
        return false;
    *h = (struct header){be32(p + 20), be32(p + 24), be32(p + 28),
                         be32(p + 32), be32(p + 36), be32(p + 40)};
    if (h->isut > TABLE_MAX || h->isstd > TABLE_MAX || h->leap > TABLE_MAX ||
        h->time > TABLE_MAX || h->type > TABLE_MAX || h->chars > TABLE_MAX)
        return false;
    *size = HEADER + h->time * (width + 1) + h->type * TYPE + h->chars +
            h->leap * (width + 4) + h->isstd + h->isut;
    return file.n - at >= *size;
}

/* Offsets of the types; leap seconds ("right/...") are refused, since clocks
 * of the system do not count them. */
static bool read_table(struct arena *a, const uint8_t *p,
                       const struct header *h, struct tz *z)
{
    const uint8_t *kinds = p + h->time * 8, *types = kinds + h->time;
    int64_t *moments = ARENA_ARRAY(a, int64_t, h->time);
    int32_t *offsets = ARENA_ARRAY(a, int32_t, h->time);

    if (h->type == 0 || h->leap > 0)
        return false;
    for (size_t i = 0; i < h->time; i++) {
        moments[i] = (int64_t)get_be64(p + i * 8);
        if (kinds[i] >= h->type || moments[i] < LONG_AGO ||
            moments[i] > FAR_OFF || (i > 0 && moments[i] <= moments[i - 1]))
            return false;
        offsets[i] = (int32_t)be32(types + kinds[i] * TYPE);
        if (offsets[i] > OFFSET_MAX || offsets[i] < -OFFSET_MAX)
            return false;
    }
    z->first = (int32_t)be32(types);
    z->moments = moments;
    z->offsets = offsets;
    z->n = h->time;
    return z->first <= OFFSET_MAX && z->first >= -OFFSET_MAX;
}

/* The line between two line feeds at the end. */
static bool read_footer(struct bytes rest, struct bytes *out)
{
    const uint8_t *p = bytes_u8(rest);
    const uint8_t *end = rest.n > 1 ? memchr(p + 1, '\n', rest.n - 1) : NULL;

    if (!end || p[0] != '\n')
        return false;
    *out = BYTES(p + 1, (size_t)(end - p) - 1);
    return true;
}

/* Version 1 counts in 32 bits and ends in 2037: from version 2 on the file
 * says everything again in 64. */
int tz_parse(struct ctx *ctx, struct bytes file, const struct tz **out)
{
    struct tz *z = ARENA_NEW(ctx->arena, struct tz);
    struct header h;
    struct bytes footer;
    size_t first, second;
    bool ok;

    ok = read_header(file, 0, 4, &h, &first) && bytes_u8(file)[4] >= '2' &&
         read_header(file, first, 8, &h, &second) &&
         read_table(ctx->arena, bytes_u8(file) + first + HEADER, &h, z) &&
         read_footer(bytes_from(file, first + second), &footer) &&
         read_rules(z, footer);
    if (!ok)
        return ctx_err(ctx, ERR_CORRUPT,
                       "not a TZif file of version 2 or later without leap "
                       "seconds");
    *out = z;
    return 0;
}

/* Letters, digits and "+-_" in parts between slashes: no way out of the
 * folder, and no hidden file. */
static bool is_name(const char *name)
{
    size_t n = strlen(name);
    bool part = false;

    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '_';

        if (!word && (c != '/' || !part))
            return false;
        part = word;
    }
    return part && n <= TZ_NAME_MAX;
}

static const char *folder(void)
{
    const char *given = getenv("TZDIR");

    return given && *given == '/' ? given : "/usr/share/zoneinfo";
}

int tz_load(struct ctx *ctx, const char *name, const struct tz **out)
{
    const char *path;
    struct bytes file;
    struct stat st;
    int rc;

    if (strcmp(name, "UTC") == 0) {
        *out = tz_utc();
        return 0;
    }
    if (!is_name(name))
        return ERR_NOT_FOUND;
    path = arena_printf(ctx->arena, "%s/%s", folder(), name);
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return ERR_NOT_FOUND;
    rc = files_read(ctx, path, TZ_FILE_MAX, &file);
    if (rc == 0 && !bytes_starts(file, BYTES_LIT("TZif")))
        return ERR_NOT_FOUND; /* one of the texts beside the zones */
    return rc ? rc : tz_parse(ctx, file, out);
}
