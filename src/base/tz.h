/*
 * tz - local time in any zone of the IANA database.
 *
 * A zone is read from the system's own TZif file (RFC 8536, Debian's package
 * tzdata) into memory, its rule for the years behind the table included.  libc
 * knows one zone for the whole process, which threads would have to take turns
 * at; a zone of ours is a value like any other.
 *
 * Instants are seconds since 1970 in UTC.  Local times are seconds, too: what
 * a clock on the wall shows, counted as if that wall stood in UTC; tz_date()
 * and tz_seconds() turn days into calendar dates and back.
 *
 * Ownership: a zone lives in the arena it was read into.  Thread rule: it never
 * changes after that, so all threads may share it.
 */
#ifndef BASE_TZ_H
#define BASE_TZ_H

#include "base/ctx.h"

struct tz;

enum {
    TZ_NAME_MAX = 100,
    TZ_FILE_MAX = 256 * 1024, /* the largest today has some 4 KiB */
    TZ_DAY = 86400,
    TZ_INSTANTS_MAX = 4, /* that show the same local time */
};

/* Universal time; needs no file. */
const struct tz *tz_utc(void);

/*
 * Read the zone called `name` ("Europe/Berlin") into ctx->arena.  ERR_NOT_FOUND
 * without a story for a name that is no zone here, whatever it looks like;
 * ERR_CORRUPT for a file that is no TZif of a form we know.
 */
int tz_load(struct ctx *ctx, const char *name, const struct tz **out);

/* As tz_load() from the bytes of a file, which need not outlive the call. */
int tz_parse(struct ctx *ctx, struct bytes file, const struct tz **out);

/* Seconds east of UTC at an instant; always less than two days. */
int64_t tz_offset(const struct tz *z, int64_t instant);

/*
 * The instants at which local clocks show `local`, in order: none where they
 * were put forward over it, two where they were put back.  Returns how many.
 */
int tz_instants(const struct tz *z, int64_t local,
                int64_t out[TZ_INSTANTS_MAX]);

/*
 * The first instant at which local clocks show `local` or later: where they
 * were put forward over it, the moment they were.
 */
int64_t tz_reached(const struct tz *z, int64_t local);

/* ---- the calendar (proleptic Gregorian, any year of four digits) ---- */

struct tz_date {
    int year, month, day; /* 1..12, 1..31 */
    int weekday;          /* 0 is Sunday */
};

/* The date of a day, counted from 1970-01-01 = 0. */
struct tz_date tz_date(int64_t day);

/* The day of a date, counted from 1970-01-01 = 0; the month may be 1..12 only,
 * the day of the month any number. */
int64_t tz_day(int year, int month, int day);

/* Days of a month: 28 to 31. */
int tz_month_days(int year, int month);

/* The day that holds a local time, rounding down. */
static inline int64_t tz_day_of(int64_t seconds)
{
    return seconds >= 0 ? seconds / TZ_DAY
                        : -((-seconds + TZ_DAY - 1) / TZ_DAY);
}

#endif
