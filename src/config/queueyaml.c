/*
 * queueyaml - from the checked tree to values, and the rules between values
 * (queueinfo.py's TranslateRetryParameters among them).
 */
#include "config/queueyaml.h"

#include "config/appyaml.h"
#include "config/regex.h"

#include <math.h>
#include <stdlib.h>

/* The protocol's own, which one given bound must not contradict. */
#define MIN_BACKOFF 0.1
#define MAX_BACKOFF 3600.0

/* ---- single values ---- */

bool queueyaml_rate(const char *text, double *per_second)
{
    static const struct {
        char unit;
        double seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char *end;
    double n;

    if (!config_matches("0|[0-9]+(\\.[0-9]*)?/[smhd]", text))
        return false;
    n = strtod(text, &end);
    *per_second = 0;
    for (size_t i = 0; *end && i < sizeof(units) / sizeof(units[0]); i++) {
        if (end[1] == units[i].unit)
            *per_second = n / units[i].seconds;
    }
    return true;
}

int64_t queueyaml_size(const char *text)
{
    static const char steps[] = "BKMGT";
    const char *step;
    char *end;
    double n;

    if (!config_matches("[0-9]+(\\.[0-9]*)?[BKMGT]?", text))
        return -1;
    n = strtod(text, &end);
    step = *end ? strchr(steps, *end) : steps;
    n = ldexp(n, 10 * (int)(step - steps));
    return n < 9.2e18 ? (int64_t)n : INT64_MAX;
}

/* "3.5m" in whole seconds. */
static int64_t seconds_of(const char *text)
{
    static const char units[] = "smhd";
    static const double each[] = {1, 60, 3600, 86400};
    char *end;
    double n = strtod(text, &end);
    const char *unit = strchr(units, *end);

    if (*end && unit)
        n *= each[unit - units];
    return n < 9.2e18 ? (int64_t)n : INT64_MAX;
}

static bool get_int(const struct config_node *map, const char *key,
                    int64_t *out)
{
    const char *text = config_node_text(map, key);

    if (text)
        *out = strtoll(text, NULL, 10);
    return text != NULL;
}

static bool get_double(const struct config_node *map, const char *key,
                       double *out)
{
    const char *text = config_node_text(map, key);

    if (text)
        *out = strtod(text, NULL);
    return text != NULL;
}

/* ---- retry_parameters ---- */

static void check_retry(struct config_report *r, const struct config_node *map,
                        const struct queueyaml_retry *retry)
{
    if (retry->has_age && retry->age <= 0)
        config_report_at(r, config_node_get(map, "task_age_limit"),
                         "Task age limit must be greater than zero.");
    if (retry->has_min && retry->min < 0)
        config_report_at(r, config_node_get(map, "min_backoff_seconds"),
                         "Minimum backoff seconds must not be less than zero.");
    if (retry->has_max && retry->max < 0)
        config_report_at(r, config_node_get(map, "max_backoff_seconds"),
                         "Maximum backoff seconds must not be less than zero.");
    if (retry->has_min && retry->has_max && retry->min > retry->max)
        config_report_at(r, config_node_get(map, "min_backoff_seconds"),
                         "Minimum backoff seconds must not be greater than "
                         "maximum backoff seconds.");
}

/* A single bound beyond the other's default moves it along. */
static void fit_bounds(struct queueyaml_retry *retry)
{
    if (retry->has_min && !retry->has_max && retry->min > MAX_BACKOFF) {
        retry->max = retry->min;
        retry->has_max = true;
    }
    if (retry->has_max && !retry->has_min && retry->max < MIN_BACKOFF) {
        retry->min = retry->max;
        retry->has_min = true;
    }
}

static void read_retry(struct config_report *r, const struct config_node *map,
                       struct queueyaml_retry *retry)
{
    const char *age = config_node_text(map, "task_age_limit");

    if (!map)
        return;
    retry->given = true;
    retry->has_limit = get_int(map, "task_retry_limit", &retry->limit);
    retry->has_age = age != NULL;
    retry->age = age ? seconds_of(age) : 0;
    retry->has_min = get_double(map, "min_backoff_seconds", &retry->min);
    retry->has_max = get_double(map, "max_backoff_seconds", &retry->max);
    retry->has_doublings = get_int(map, "max_doublings", &retry->max_doublings);
    check_retry(r, map, retry);
    fit_bounds(retry);
}

/* ---- acl ---- */

static void read_acl(struct arena *a, const struct config_node *list,
                     const char *key, const char ***out, size_t *n)
{
    if (!list || list->n == 0)
        return;
    *out = ARENA_ARRAY(a, const char *, list->n);
    for (size_t i = 0; i < list->n; i++) {
        const char *text = config_node_text(list->items[i], key);

        if (text)
            (*out)[(*n)++] = text;
    }
}

/* ---- a queue, and all of them ---- */

static void read_queue(struct ctx *ctx, struct config_report *r,
                       const struct config_node *map, struct queueyaml_queue *q)
{
    const struct config_node *acl = config_node_get(map, "acl");
    const char *mode = config_node_text(map, "mode");

    q->name = config_node_text(map, "name");
    q->pull = mode && strcmp(mode, "pull") == 0;
    q->rate = config_node_text(map, "rate");
    if (q->rate)
        queueyaml_rate(q->rate, &q->per_second);
    get_int(map, "bucket_size", &q->bucket_size);
    get_int(map, "max_concurrent_requests", &q->max_concurrent);
    q->target = config_node_text(map, "target");
    read_retry(r, config_node_get(map, "retry_parameters"), &q->retry);
    read_acl(ctx->arena, acl, "user_email", &q->users, &q->n_users);
    read_acl(ctx->arena, acl, "writer_email", &q->writers, &q->n_writers);
}

static void read_queues(struct ctx *ctx, struct config_report *r,
                        const struct config_node *list, struct queueyaml *out)
{
    if (!list)
        return;
    out->queues = ARENA_ARRAY(ctx->arena, struct queueyaml_queue, list->n);
    for (size_t i = 0; i < list->n; i++) {
        struct queueyaml_queue *q = &out->queues[out->n++];

        read_queue(ctx, r, list->items[i], q);
        for (size_t j = 0; j + 1 < out->n; j++) {
            if (strcmp(out->queues[j].name, q->name) == 0)
                config_report_at(r, list->items[i],
                                 "Queue '%s' is defined twice.", q->name);
        }
    }
}

static void read_root(struct ctx *ctx, struct config_report *r,
                      const struct config_node *root, struct queueyaml *out)
{
    const struct config_node *resume =
        config_node_get(root, "resume_paused_queues");
    const char *limit = config_node_text(root, "total_storage_limit");

    if (limit)
        out->storage_limit = queueyaml_size(limit);
    if (resume)
        config_node_bool(resume, &out->resume_paused);
    read_queues(ctx, r, config_node_get(root, "queue"), out);
}

static const struct config_schema *schema(void)
{
    const struct appyaml_file *f = appyaml_files;

    while (strcmp(f->name, "queue.yaml") != 0)
        f++;
    return f->schema;
}

int queueyaml_parse(struct ctx *ctx, const char *file, struct bytes text,
                    struct queueyaml *out)
{
    struct config_report report = {0};
    struct config_node *root;

    *out = (struct queueyaml){.storage_limit = -1};
    config_node_parse(ctx, file, text, &report, &root);
    if (root)
        config_check(&report, schema(), NULL, root);
    if (root && report.n == 0)
        read_root(ctx, &report, root, out);
    return config_report_end(ctx, &report);
}
