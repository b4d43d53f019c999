/*
 * schedule - the `schedule:` of a cron job: App Engine's grammar, and when the
 * next run is.
 *
 *     schedule  = interval | specific
 *     interval  = "every" num ("hours" | "mins" | "minutes")
 *                 [ "from" time "to" time | "synchronized" ]
 *     specific  = ( ( ordinals weekdays | monthdays ) "of"
 *                   ( months | quarters ) | ordinals weekdays ) time
 *     ordinals  = "every" | ord { "," ord }         1st..5th, first..fifth
 *     weekdays  = "day" | wd { "," wd }             mon, monday, ...
 *     monthdays = num { "," num }                   1..31
 *     months    = "month" | m { "," m }             jan, january, ...
 *     quarters  = "quarter" | q { "," q } "month of quarter"    1st..3rd
 *     time      = H:MM | HH:MM
 *
 * Lower case only; blanks between the words are optional.  Three kinds of
 * schedule come of it, see enum schedule_kind.
 *
 * Thread rule: plain values.
 */
#ifndef CONFIG_SCHEDULE_H
#define CONFIG_SCHEDULE_H

#include "base/tz.h"

enum schedule_kind {
    /* "every 5 minutes": one period after a run has ended. */
    SCHEDULE_INTERVAL,
    /* "every 5 minutes from 10:00 to 14:00": each day the runs start at
     * `from` and follow every period of real time up to and with `to`, which
     * is of the next day when it is earlier; equal ends are one run a day.
     * "synchronized" is from 00:00 to 23:59.  An end that the clocks jump over
     * is the moment they do; one they show twice is the first. */
    SCHEDULE_RANGE,
    /* "1st,third sat of jan 09:15": at that time of local clocks on certain
     * days: not at all where it is jumped over, twice where it is shown
     * twice. */
    SCHEDULE_DAYS,
};

enum { SCHEDULE_TEXT_MAX = 1000 }; /* ours: bytes of a schedule */

struct schedule {
    enum schedule_kind kind;
    int64_t period;     /* seconds, of an interval or a range */
    bool synchronized;  /* a range that was written so */
    int from, to;       /* minutes of the day, of a range */
    int at;             /* likewise, of days */
    unsigned months;    /* bits 1..12 */
    unsigned monthdays; /* bits 1..31; or none, and then: */
    unsigned ordinals;  /* bits 1..5, the nth... */
    unsigned weekdays;  /* ...of these; bits 0 (Sunday)..6 */
};

/*
 * Read one.  ERR_INVALID with Google's words as the story:
 * "schedule 'S' failed to parse: ...".
 */
int schedule_parse(struct ctx *ctx, const char *text, struct schedule *out);

#define SCHEDULE_NEVER INT64_MAX

/*
 * The first run behind `after` (seconds since 1970; its own second does not
 * count) on the clocks of `zone`.  For an interval `after` is the end of the
 * last run, and the answer is cut to the minute.  SCHEDULE_NEVER when there is
 * none in the next 60 years: "second sunday of march 02:30" in New York is
 * jumped over each time.
 */
int64_t schedule_next(const struct schedule *s, const struct tz *zone,
                      int64_t after);

#endif
