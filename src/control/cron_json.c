/*
 * cron_json - jobs as resources of the Admin API.
 *
 * A job carries its next five runs, on the assumption that those of an
 * interval ("every 5 minutes") take no time.
 */
#include "control/cron_int.h"
#include "control/operation.h"
#include "control/text.h"

#include <inttypes.h>

enum { RUNS_SHOWN = 5 };

static json_t *time_json(int64_t at)
{
    struct arena a = ARENA_INIT;
    json_t *o = json_string(operation_time(&a, at));

    arena_release(&a);
    return o;
}

/* "90.500s", as the API writes durations. */
static json_t *duration_json(int64_t us)
{
    struct arena a = ARENA_INIT;
    json_t *o = json_string(
        us % CLOCK_SEC ? arena_printf(&a, "%.3fs", (double)us / CLOCK_SEC)
                       : arena_printf(&a, "%" PRId64 "s", us / CLOCK_SEC));

    arena_release(&a);
    return o;
}

static json_t *runs_json(const struct cron_job *job)
{
    const struct cronyaml_job *f = job->file;
    int64_t now = cron_now() / CLOCK_SEC, at = job->state.base;
    json_t *list = json_array();

    if (*job->state.name && at < now)
        at = now;
    for (int i = 0; i < RUNS_SHOWN; i++) {
        at = schedule_next(&f->schedule, f->zone, at);
        if (i == 0 && at < now) /* it is late, and about to be looked at */
            at = f->schedule.kind == SCHEDULE_INTERVAL
                     ? now
                     : schedule_next(&f->schedule, f->zone, now);
        if (at == SCHEDULE_NEVER)
            break;
        json_array_append_new(list, time_json(at * CLOCK_SEC));
    }
    return list;
}

static json_t *retry_json(const struct cronyaml_retry *r)
{
    json_t *o = json_pack("{s:o, s:o, s:I}", "minBackoffDuration",
                          duration_json(r->min_backoff), "maxBackoffDuration",
                          duration_json(r->max_backoff), "maxDoublings",
                          (json_int_t)r->doublings);

    if (r->has_limit)
        json_object_set_new(o, "retryCount", json_integer(r->limit));
    if (r->has_age)
        json_object_set_new(o, "maxRetryDuration", duration_json(r->age));
    return o;
}

static const char *const outcomes[] = {"NONE", "SUCCEEDED", "FAILED",
                                       "UNKNOWN"};

static json_t *last_json(const struct cron_state *s, bool full)
{
    json_t *o =
        json_pack("{s:s, s:o, s:o, s:o, s:s, s:i, s:b}", "name", s->last_name,
                  "scheduleTime", time_json(s->last_slot * CLOCK_SEC),
                  "startTime", time_json(s->last_first), "endTime",
                  time_json(s->last_end), "outcome", outcomes[s->last_outcome],
                  "attempts", s->last_attempts, "manual", s->last_manual);

    if (s->last_status)
        json_object_set_new(o, "status", json_integer(s->last_status));
    if (s->last_reason)
        json_object_set_new(o, "reason", text_json(s->last_reason));
    if (full && s->answer)
        json_object_set_new(o, "answer", text_json(s->answer));
    return o;
}

static json_t *running_json(const struct cron_state *s)
{
    json_t *o = json_pack("{s:s, s:o, s:o, s:i, s:b}", "name", s->name,
                          "scheduleTime", time_json(s->slot * CLOCK_SEC),
                          "startTime", time_json(s->first), "failures",
                          s->failures, "manual", s->manual);

    if (s->next)
        json_object_set_new(o, "nextAttempt", time_json(s->next));
    if (s->reason)
        json_object_set_new(o, "reason", text_json(s->reason));
    return o;
}

json_t *cron_job_json(struct control *ctl, const struct cron_job *job,
                      bool full)
{
    const struct cronyaml_job *f = job->file;
    const struct cron_state *s = &job->state;
    json_t *o = json_pack(
        "{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s}", "id", job->id,
        "number", job->number, "url", f->url, "description", f->description,
        "schedule", f->schedule_text, "timeZone", f->timezone, "target",
        f->target, "attemptDeadline",
        duration_json(f->deadline ? f->deadline
                                  : ctl->settings.request_seconds * CLOCK_SEC),
        "nextRuns", runs_json(job), "state",
        !*s->name ? "IDLE"
        : s->next ? "RETRYING"
                  : "RUNNING");

    if (f->retries)
        json_object_set_new(o, "retryConfig", retry_json(&f->retry));
    if (*s->name)
        json_object_set_new(o, "run", running_json(s));
    if (*s->last_name)
        json_object_set_new(o, "lastRun", last_json(s, full));
    return o;
}

json_t *cron_json(struct control *ctl, const char *app)
{
    json_t *o = json_object(), *list = json_array();

    for (struct cron_app *a = ctl->cron->apps; a; a = a->next) {
        if (strcmp(a->id, app) != 0)
            continue;
        json_object_set_new(o, "file", json_string(a->file));
        json_object_set_new(o, "updateTime", time_json(a->updated));
        for (size_t i = 0; i < a->n; i++)
            json_array_append_new(list, cron_job_json(ctl, a->jobs[i], false));
    }
    json_object_set_new(o, "jobs", list);
    return o;
}
