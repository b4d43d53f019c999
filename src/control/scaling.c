/* scaling - the parameters of scaler.h: names, bounds, defaults, reading. */
#include "control/scaler.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum parameter_type { INSTANCES, FRACTION, DURATION };

/*
 * A parameter: its name in app.yaml, where the Admin API has it, what it may
 * be.  Sources: Google's app.yaml reference; hosting.md, section 4; the
 * interval is ours.
 */
struct parameter {
    const char *name;
    const char *outer, *inner, *api; /* NULL: not in the document */
    enum parameter_type type;
    size_t offset;
    double min, max; /* instances, fractions, seconds */
};

#define P(name_, outer_, inner_, api_, type_, field_, min_, max_)              \
    {                                                                          \
        name_, outer_, inner_, api_, type_, offsetof(struct scaling, field_),  \
            min_, max_                                                         \
    }
#define NO_MAXIMUM 2147483647
#define AUTO       "automaticScaling"
#define STANDARD   "standardSchedulerSettings"

static const struct parameter parameters[] = {
    P("instances", "manualScaling", NULL, "instances", INSTANCES, min, 1, 1000),
    P("min_instances", AUTO, STANDARD, "minInstances", INSTANCES, min, 0, 1000),
    P("max_instances", AUTO, STANDARD, "maxInstances", INSTANCES, max, 0,
      NO_MAXIMUM), /* 0: no maximum, too */
    P("max_instances", "basicScaling", NULL, "maxInstances", INSTANCES, max, 1,
      1000),
    P("min_idle_instances", AUTO, NULL, "minIdleInstances", INSTANCES, min_idle,
      0, 1000),
    P("max_idle_instances", AUTO, NULL, "maxIdleInstances", INSTANCES, max_idle,
      1, 1000),
    P("max_concurrent_requests", AUTO, NULL, "maxConcurrentRequests", INSTANCES,
      concurrent, 1, 1000),
    P("target_cpu_utilization", AUTO, STANDARD, "targetCpuUtilization",
      FRACTION, cpu, 0.5, 0.95),
    P("target_throughput_utilization", AUTO, STANDARD,
      "targetThroughputUtilization", FRACTION, throughput, 0.5, 0.95),
    P("min_pending_latency", AUTO, NULL, "minPendingLatency", DURATION,
      min_pending, 0, 60),
    P("max_pending_latency", AUTO, NULL, "maxPendingLatency", DURATION,
      max_pending, 0, 60),
    P("idle_timeout", "basicScaling", NULL, "idleTimeout", DURATION,
      idle_timeout, 1, 86400),
    P("idle_timeout", NULL, NULL, NULL, DURATION, idle_timeout, 1, 86400),
    P("interval", NULL, NULL, NULL, DURATION, interval, 0.1, 3600),
};

enum { N_PARAMETERS = sizeof(parameters) / sizeof(parameters[0]) };

/* Google's defaults; automatic instances go after some 15 idle minutes. */
static const struct scaling defaults[] = {
    [SCALING_AUTOMATIC] = {.kind = SCALING_AUTOMATIC,
                           .min = 0,
                           .max = 20,
                           .min_idle = 0,
                           .max_idle = 1000,
                           .concurrent = 10,
                           .cpu = 0.6,
                           .throughput = 0.6,
                           .min_pending = 500 * CLOCK_MS,
                           .max_pending = 10 * CLOCK_SEC,
                           .idle_timeout = 900 * CLOCK_SEC,
                           .interval = CLOCK_SEC},
    [SCALING_BASIC] = {.kind = SCALING_BASIC,
                       .min = 0,
                       .max = 20,
                       .concurrent = 10,
                       .cpu = 0.95,
                       .throughput = 0.95,
                       .max_pending = 10 * CLOCK_SEC,
                       .idle_timeout = 300 * CLOCK_SEC,
                       .interval = CLOCK_SEC},
    [SCALING_MANUAL] = {.kind = SCALING_MANUAL,
                        .min = 1,
                        .max = 1,
                        .concurrent = 10,
                        .cpu = 0.95,
                        .throughput = 0.95,
                        .max_pending = 10 * CLOCK_SEC,
                        .interval = CLOCK_SEC},
};

/* "0.500s", "5m", "300ms" or a bare number of seconds; -1: none of these. */
static double duration_seconds(const json_t *v)
{
    const char *text = json_string_value(v);
    char *end;
    double n;

    if (json_is_number(v))
        return json_number_value(v);
    if (!text || *text < '0' || *text > '9')
        return -1;
    n = strtod(text, &end);
    if (strcmp(end, "ms") == 0)
        return n / 1000;
    if (strcmp(end, "m") == 0)
        return n * 60;
    return strcmp(end, "s") == 0 || !*end ? n : -1;
}

static int set_value(struct ctx *ctx, const struct parameter *p,
                     const json_t *v, struct scaling *s)
{
    char *at = (char *)s + p->offset;
    double n = p->type == DURATION ? duration_seconds(v)
               : json_is_number(v) ? json_number_value(v)
                                   : -1;

    if (n < p->min || n > p->max)
        return ctx_err(ctx, ERR_INVALID, "%s goes from %.10g to %.10g%s",
                       p->name, p->min, p->max,
                       p->type == DURATION ? " seconds" : "");
    if (p->type == INSTANCES && n > (int)n)
        return ctx_err(ctx, ERR_INVALID, "%s is a whole number, not %g",
                       p->name, n);
    if (p->type == INSTANCES)
        *(int *)(void *)at = (int)n;
    else if (p->type == FRACTION)
        *(double *)(void *)at = n;
    else
        *(int64_t *)(void *)at = (int64_t)(n * CLOCK_SEC);
    return 0;
}

/* What follows from the values together. */
static int finish(struct ctx *ctx, struct scaling *s)
{
    if (s->kind == SCALING_MANUAL)
        s->max = s->min;
    if (s->max == 0)
        s->max = NO_MAXIMUM;
    if (s->max < s->min)
        return ctx_err(ctx, ERR_INVALID,
                       "max_instances (%d) is less than min_instances (%d)",
                       s->max, s->min);
    if (s->max_idle < s->min_idle)
        return ctx_err(ctx, ERR_INVALID,
                       "max_idle_instances (%d) is less than "
                       "min_idle_instances (%d)",
                       s->max_idle, s->min_idle);
    if (s->max_pending < s->min_pending)
        s->min_pending = s->max_pending;
    return 0;
}

int scaling_read(struct ctx *ctx, const json_t *version, struct scaling *out)
{
    enum scaling_kind kind = SCALING_AUTOMATIC;
    int rc = 0;

    if (json_object_get(version, "manualScaling"))
        kind = SCALING_MANUAL;
    else if (json_object_get(version, "basicScaling"))
        kind = SCALING_BASIC;
    *out = defaults[kind];
    for (size_t i = 0; rc == 0 && i < N_PARAMETERS; i++) {
        const struct parameter *p = &parameters[i];
        const json_t *o = p->outer ? json_object_get(version, p->outer) : NULL;
        const json_t *v;

        if (p->inner)
            o = json_object_get(o, p->inner);
        v = o ? json_object_get(o, p->api) : NULL;
        if (v)
            rc = set_value(ctx, p, v, out);
    }
    return rc ? rc : finish(ctx, out);
}

/* Whether a version of this kind has the parameter. */
static bool applies(const struct parameter *p, enum scaling_kind kind)
{
    static const char *const outer[] = {[SCALING_AUTOMATIC] = AUTO,
                                        [SCALING_BASIC] = "basicScaling",
                                        [SCALING_MANUAL] = "manualScaling"};

    return !p->outer || strcmp(p->outer, outer[kind]) == 0;
}

/*
 * Another version of the service may be of the kind that has the parameter: its
 * value must be right for some kind, and is set where it is this one.
 */
static int override_one(struct ctx *ctx, const char *name, const json_t *v,
                        struct scaling *s)
{
    struct scaling other;
    bool known = false;
    int rc = ERR_INVALID;

    for (size_t i = 0; i < N_PARAMETERS; i++) {
        const struct parameter *p = &parameters[i];

        if (strcmp(p->name, name) != 0)
            continue;
        known = true;
        if (applies(p, s->kind))
            return set_value(ctx, p, v, s);
        if (rc)
            rc = set_value(ctx, p, v, &other);
    }
    if (!known)
        return ctx_err(ctx, ERR_INVALID, "there is no scaling parameter \"%s\"",
                       name);
    return rc;
}

int scaling_override(struct ctx *ctx, const json_t *set, struct scaling *s)
{
    struct scaling next = *s;
    const char *name;
    json_t *v;
    int rc = 0;

    json_object_foreach((json_t *)(uintptr_t)set, name, v)
    {
        if (rc == 0)
            rc = override_one(ctx, name, v, &next);
    }
    if (rc == 0)
        rc = finish(ctx, &next);
    if (rc == 0)
        *s = next;
    return rc;
}

static json_t *value_json(const struct parameter *p, const struct scaling *s)
{
    const char *at = (const char *)s + p->offset;

    if (p->type == INSTANCES)
        return json_integer(*(const int *)(const void *)at);
    if (p->type == FRACTION)
        return json_real(*(const double *)(const void *)at);
    return json_real((double)*(const int64_t *)(const void *)at / CLOCK_SEC);
}

json_t *scaling_json(const struct scaling *s)
{
    json_t *o = json_object();

    for (size_t i = 0; i < N_PARAMETERS; i++) {
        const struct parameter *p = &parameters[i];

        if (applies(p, s->kind) && (p->outer || s->kind != SCALING_MANUAL))
            json_object_set_new(o, p->name, value_json(p, s));
    }
    return o;
}
