/*
 * cronyaml - cron.yaml, and the cron.xml of Java applications, as values.
 *
 * One table (cronyaml_schema) says what may stand in either; it checks
 * schedules and time zones too, which Google's own validator leaves to the
 * server.  cron.xml becomes the tree of the cron.yaml that says the same.
 *
 * Everything lives in the arena of the ctx.  Any thread.
 */
#ifndef CONFIG_CRONYAML_H
#define CONFIG_CRONYAML_H

#include "config/schedule.h"
#include "config/schema.h"

enum {
    CRONYAML_JOBS_MAX = 250,           /* Google's public reference */
    CRONYAML_RETRIES = 5,              /* likewise: retry_parameters alone */
    CRONYAML_DEADLINE_MAX = 24 * 3600, /* likewise, seconds */
};

/* When a failed run is tried again. */
struct cronyaml_retry {
    bool has_limit, has_age;
    int64_t limit; /* retries, behind the first attempt */
    int64_t age;   /* microseconds since the first attempt began */
    int64_t min_backoff, max_backoff; /* microseconds */
    int64_t doublings;
};

struct cronyaml_job {
    const char *url;
    const char *schedule_text;
    struct schedule schedule;
    const char *timezone; /* "UTC" when the file names none */
    const struct tz *zone;
    const char *description; /* or "" */
    const char *service;     /* of the target; "" when it names none... */
    const char *version;     /* ...or "" */
    const char *target;      /* as written, or "" */
    int64_t deadline;        /* of one attempt, microseconds; 0: not given */
    bool retries;            /* retry_parameters are given */
    struct cronyaml_retry retry;
};

struct cronyaml {
    struct cronyaml_job *jobs; /* in the order of the file */
    size_t n;
};

/* What cron.yaml may say; a row of appyaml_files. */
extern const struct config_schema cronyaml_schema;

/*
 * Read and check `text`, which messages call `file`; a name that ends in
 * ".xml" says that it is cron.xml.  ERR_INVALID with every finding as
 * FILE:LINE:COLUMN: reason.  A file without jobs is one: it ends all there
 * were.
 */
int cronyaml_parse(struct ctx *ctx, const char *file, struct bytes text,
                   struct cronyaml *out);

/*
 * Microseconds from the n-th failure (the first is 1) to the next attempt:
 * doubled max_doublings times, then growing by as much each time, never above
 * max_backoff.
 */
int64_t cronyaml_wait(const struct cronyaml_retry *r, int64_t n);

/*
 * Whether there is an attempt behind the n-th failure, `age` microseconds after
 * the first began: while either limit is not reached, where both are given.
 */
bool cronyaml_may_retry(const struct cronyaml_job *job, int64_t n, int64_t age);

#endif
