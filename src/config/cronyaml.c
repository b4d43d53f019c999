/*
 * cronyaml - the rows follow croninfo.py; the checks of schedules, zones and
 * backoffs are those of Google's server.
 */
#include "config/cronyaml.h"

#include "config/xml.h"

#include <stdlib.h>

#define TIME_PATTERN "[0-9]+(\\.[0-9]+)?[smhd]"
#define SECOND       INT64_C(1000000)

/* What holds where retry_parameters say nothing (taskqueue_service.proto). */
enum { MIN_BACKOFF = 100000, MAX_DOUBLINGS = 16 };
#define MAX_BACKOFF (3600 * SECOND)

/* "2.5h" and "60.5s" in microseconds. */
static int64_t duration(const char *text)
{
    static const struct {
        char unit;
        double seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    double most = 100.0 * 365 * 86400, seconds;
    char *end;

    seconds = strtod(text, &end);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (*end == units[i].unit)
            seconds *= units[i].seconds;
    return (int64_t)((seconds < most ? seconds : most) * (double)SECOND);
}

static int64_t seconds(const char *text)
{
    double most = 100.0 * 365 * 86400, n = strtod(text, NULL);

    return (int64_t)((n < most ? n : most) * (double)SECOND);
}

/* ---- the table ---- */

/* With one of the two backoffs alone, the default of the other gives way. */
static void read_backoffs(const struct config_node *map,
                          struct cronyaml_retry *r)
{
    const char *min = config_node_text(map, "min_backoff_seconds");
    const char *max = config_node_text(map, "max_backoff_seconds");

    r->min_backoff = min ? seconds(min) : MIN_BACKOFF;
    r->max_backoff = max ? seconds(max) : MAX_BACKOFF;
    if (min && !max && r->min_backoff > r->max_backoff)
        r->max_backoff = r->min_backoff;
    if (max && !min && r->min_backoff > r->max_backoff)
        r->min_backoff = r->max_backoff;
}

static void check_retry(struct config_report *r, const struct config_node *key,
                        const struct config_node *map)
{
    struct cronyaml_retry retry;

    (void)key;
    read_backoffs(map, &retry);
    if (retry.min_backoff < 0 || retry.max_backoff < 0)
        config_report_at(r, map, "A backoff must not be negative.");
    else if (retry.min_backoff > retry.max_backoff)
        config_report_at(r, map,
                         "min_backoff_seconds must not be greater than "
                         "max_backoff_seconds.");
}

static void check_schedule(struct config_report *r,
                           const struct config_node *key,
                           const struct config_node *value)
{
    struct arena a = ARENA_INIT;
    struct schedule s;
    struct ctx ctx;

    (void)key;
    ctx_init(&ctx, &a);
    if (schedule_parse(&ctx, value->text, &s) != 0)
        config_report_at(r, value, "%s", ctx.err.message);
    arena_release(&a);
}

static void check_timezone(struct config_report *r,
                           const struct config_node *key,
                           const struct config_node *value)
{
    struct arena a = ARENA_INIT;
    const struct tz *zone;
    struct ctx ctx;
    int rc;

    (void)key;
    ctx_init(&ctx, &a);
    rc = *value->text ? tz_load(&ctx, value->text, &zone) : 0;
    if (rc == ERR_NOT_FOUND)
        config_report_at(r, value, "timezone '%s' is unknown", value->text);
    else if (rc)
        config_report_at(r, value, "timezone '%s' cannot be read: %s",
                         value->text, ctx_err_text(&ctx, rc));
    arena_release(&a);
}

static const struct config_field retry_fields[] = {
    {.name = "job_retry_limit",
     .type = CONFIG_INT,
     .min = 0,
     .max = CRONYAML_RETRIES},
    {.name = "job_age_limit", .type = CONFIG_PATTERN, .pattern = TIME_PATTERN},
    {.name = "min_backoff_seconds", .type = CONFIG_FLOAT, .max = 1e15},
    {.name = "max_backoff_seconds", .type = CONFIG_FLOAT, .max = 1e15},
    {.name = "max_doublings", .type = CONFIG_INT, .min = 0, .max = 1e15},
    {0},
};
static const struct config_schema retry_schema = {
    .name = "RetryParameters", .fields = retry_fields, .check = check_retry};

static const struct config_field job_fields[] = {
    {.name = "url",
     .type = CONFIG_PATTERN,
     .pattern = "/[!-~]{0,2047}",
     .required = true},
    {.name = "schedule",
     .type = CONFIG_PATTERN,
     .pattern = "\\S.*",
     .required = true,
     .check = check_schedule},
    {.name = "timezone",
     .type = CONFIG_PATTERN,
     .pattern = ".{0,100}",
     .check = check_timezone},
    {.name = "description", .type = CONFIG_PATTERN, .pattern = "(?s).{0,499}"},
    {.name = "retry_parameters",
     .type = CONFIG_OBJECT,
     .schema = &retry_schema},
    {.name = "target",
     .type = CONFIG_PATTERN,
     .pattern = "(?:[a-z\\d\\-]{1,63}:)?(?!-)[a-z\\d\\-]{1,100}"},
    {.name = "attempt_deadline",
     .type = CONFIG_PATTERN,
     .pattern = "[0-9]+(\\.[0-9]+)?s"},
    {0},
};
static const struct config_schema job_schema = {.name = "CronEntry",
                                                .fields = job_fields};

static void check_jobs(struct config_report *r, const struct config_node *key,
                       const struct config_node *map)
{
    const struct config_node *jobs = config_node_get(map, "cron");

    (void)key;
    if (jobs && jobs->n > CRONYAML_JOBS_MAX)
        config_report_at(r, jobs, "More than %d cron jobs.", CRONYAML_JOBS_MAX);
}

static const struct config_field cron_fields[] = {
    {.name = "application", .type = CONFIG_TEXT},
    {.name = "cron",
     .type = CONFIG_OBJECT,
     .schema = &job_schema,
     .list = true},
    {0},
};
const struct config_schema cronyaml_schema = {
    .name = "CronInfoExternal", .fields = cron_fields, .check = check_jobs};

/* ---- cron.xml: the same tree from other spellings ---- */

static struct config_node *key_of(struct arena *a, const struct config_xml *e)
{
    char *name = arena_strdup(a, e->name);

    for (char *c = name; *c; c++)
        if (*c == '-')
            *c = '_';
    return config_xml_scalar(a, e, name);
}

/* An element with children is a set of attributes, one without is a text. */
static struct config_node *node_of(struct arena *a, struct config_report *r,
                                   const struct config_xml *e)
{
    struct config_node *map;

    if (!e->children)
        return config_xml_scalar(a, e, e->at.text);
    map = config_node_new(a, CONFIG_MAP, &e->at);
    for (const struct config_xml *c = e->children; c; c = c->next) {
        struct config_node *key = key_of(a, c);

        if (config_node_key(map, key->text))
            config_report_at(r, &c->at, "A second <%s>.", c->name);
        config_node_set(a, map, key, node_of(a, r, c));
    }
    return map;
}

static struct config_node *from_xml(struct ctx *ctx, struct config_report *r,
                                    const struct config_xml *root)
{
    struct arena *a = ctx->arena;
    struct config_node *map = config_node_new(a, CONFIG_MAP, &root->at);
    struct config_node *list = config_node_new(a, CONFIG_LIST, &root->at);

    if (strcmp(root->name, "cronentries") != 0)
        config_report_at(r, &root->at, "The root must be <cronentries>.");
    for (const struct config_xml *e = root->children; e; e = e->next) {
        if (strcmp(e->name, "cron") == 0)
            config_node_insert(a, list, list->n, node_of(a, r, e));
        else
            config_report_at(r, &e->at, "Unexpected element <%s>, not <cron>.",
                             e->name);
    }
    config_node_set(a, map, config_xml_scalar(a, root, "cron"), list);
    return map;
}

static struct config_node *read_xml(struct ctx *ctx, const char *file,
                                    struct bytes text, struct config_report *r)
{
    struct config_xml *root;

    config_xml_parse(ctx, file, text, r, &root);
    return root ? from_xml(ctx, r, root) : NULL;
}

/* ---- values ---- */

/* "service", "version" (of the default service) or "service:version": the
 * first two are told apart by what is deployed. */
static void read_target(struct ctx *ctx, struct cronyaml_job *job)
{
    const char *colon = strchr(job->target, ':');

    job->service = job->target;
    job->version = "";
    if (!colon)
        return;
    job->service = arena_cstr(
        ctx->arena, BYTES(job->target, (size_t)(colon - job->target)));
    job->version = colon + 1;
}

static void read_retry(const struct config_node *map, struct cronyaml_job *job)
{
    struct cronyaml_retry *r = &job->retry;
    const char *limit = config_node_text(map, "job_retry_limit");
    const char *age = config_node_text(map, "job_age_limit");
    const char *doublings = config_node_text(map, "max_doublings");

    read_backoffs(map, r);
    job->retries = map != NULL;
    r->has_limit = limit || !age;
    r->limit = limit ? strtoll(limit, NULL, 10) : CRONYAML_RETRIES;
    r->has_age = age;
    r->age = age ? duration(age) : 0;
    r->doublings = doublings ? strtoll(doublings, NULL, 10) : MAX_DOUBLINGS;
}

static const char *text_of(const struct config_node *map, const char *key,
                           const char *otherwise)
{
    const char *text = config_node_text(map, key);

    return text && *text ? text : otherwise;
}

/* The tree has passed its check, so what could fail is the disk alone. */
static int read_job(struct ctx *ctx, const struct config_node *map,
                    struct cronyaml_job *job)
{
    const char *deadline = config_node_text(map, "attempt_deadline");
    int rc;

    *job = (struct cronyaml_job){
        .url = config_node_text(map, "url"),
        .schedule_text = config_node_text(map, "schedule"),
        .timezone = text_of(map, "timezone", "UTC"),
        .description = text_of(map, "description", ""),
        .target = text_of(map, "target", ""),
        .deadline = deadline ? duration(deadline) : 0,
    };
    if (job->deadline > CRONYAML_DEADLINE_MAX * SECOND)
        job->deadline = CRONYAML_DEADLINE_MAX * SECOND;
    read_target(ctx, job);
    read_retry(config_node_get(map, "retry_parameters"), job);
    rc = schedule_parse(ctx, job->schedule_text, &job->schedule);
    if (rc == 0)
        rc = tz_load(ctx, job->timezone, &job->zone);
    return rc;
}

int cronyaml_parse(struct ctx *ctx, const char *file, struct bytes text,
                   struct cronyaml *out)
{
    size_t n = strlen(file);
    bool xml = n > 4 && strcmp(file + n - 4, ".xml") == 0;
    struct config_report report = {0};
    const struct config_node *jobs;
    struct config_node *tree = NULL;
    int rc;

    *out = (struct cronyaml){.n = 0};
    if (xml)
        tree = read_xml(ctx, file, text, &report);
    else
        config_node_parse(ctx, file, text, &report, &tree);
    if (tree)
        config_check(&report, &cronyaml_schema, NULL, tree);
    rc = config_report_end(ctx, &report);
    jobs = rc == 0 ? config_node_get(tree, "cron") : NULL;
    if (!jobs)
        return rc;
    out->jobs = ARENA_ARRAY(ctx->arena, struct cronyaml_job, jobs->n);
    for (; rc == 0 && out->n < jobs->n; out->n++)
        rc = read_job(ctx, jobs->items[out->n], &out->jobs[out->n]);
    return rc;
}

/* ---- retries ---- */

int64_t cronyaml_wait(const struct cronyaml_retry *r, int64_t n)
{
    int64_t doubled = n - 1 < r->doublings ? n - 1 : r->doublings;
    int64_t times = n - doubled > 1 ? n - doubled : 1;
    double wait = (double)r->min_backoff * (double)times;

    for (; doubled > 0 && wait < (double)r->max_backoff; doubled--)
        wait *= 2;
    return wait < (double)r->max_backoff ? (int64_t)wait : r->max_backoff;
}

bool cronyaml_may_retry(const struct cronyaml_job *job, int64_t n, int64_t age)
{
    const struct cronyaml_retry *r = &job->retry;

    if (!job->retries)
        return false;
    return (r->has_limit && n <= r->limit) || (r->has_age && age <= r->age);
}
