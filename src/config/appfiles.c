/*
 * The files beside app.yaml: index.yaml, queue.yaml; cron.yaml and
 * dispatch.yaml have files of their own.  Rows follow datastore_index.py and
 * queueinfo.py; a limit those forget is marked "ours".
 */
#include "config/appyaml.h"

#include "config/cronyaml.h"
#include "config/dispatchyaml.h"

#define TIME_PATTERN "[0-9]+(\\.[0-9]+)?[smhd]"

/* ---- index.yaml ---- */

static const char *const words_direction[] = {"asc", "ascending", "desc",
                                              "descending", NULL};
static const char *const words_mode[] = {"geospatial", NULL};

static void check_mode(struct config_report *r, const struct config_node *key,
                       const struct config_node *v)
{
    config_report_at(r, v, "Geospatial indexes are not supported."); /* ours */
}

/* The datastore would refuse it, after half of the deployment. */
static void check_index(struct config_report *r, const struct config_node *key,
                        const struct config_node *map)
{
    bool ancestor = false;
    const struct config_node *v = config_node_get(map, "ancestor");

    if (v)
        config_node_bool(v, &ancestor);
    if (!ancestor && !config_node_get(map, "properties"))
        config_report_at(r, map, "An index needs properties.");
}

static const struct config_field property_fields[] = {
    {.name = "name", .type = CONFIG_TEXT, .required = true},
    {.name = "direction", .type = CONFIG_WORD, .words = words_direction},
    {.name = "mode",
     .type = CONFIG_WORD,
     .words = words_mode,
     .check = check_mode},
    {0},
};
static const struct config_schema property_schema = {.name = "Property",
                                                     .fields = property_fields};

static const struct config_field index_fields[] = {
    {.name = "kind", .type = CONFIG_TEXT, .required = true},
    {.name = "ancestor", .type = CONFIG_BOOL},
    {.name = "properties",
     .type = CONFIG_OBJECT,
     .schema = &property_schema,
     .list = true},
    {0},
};
static const struct config_schema index_schema = {
    .name = "Index", .fields = index_fields, .check = check_index};

static const struct config_field indexes_fields[] = {
    {.name = "application", .type = CONFIG_TEXT},
    {.name = "indexes",
     .type = CONFIG_OBJECT,
     .schema = &index_schema,
     .list = true},
    {0},
};
static const struct config_schema indexes_schema = {.name = "IndexDefinitions",
                                                    .fields = indexes_fields};

/* ---- queue.yaml ---- */

static const struct config_field queue_retry_fields[] = {
    {.name = "task_retry_limit", .type = CONFIG_INT, .min = 0, .max = 1e15},
    {.name = "task_age_limit", .type = CONFIG_PATTERN, .pattern = TIME_PATTERN},
    {.name = "min_backoff_seconds", .type = CONFIG_FLOAT, .max = 1e15},
    {.name = "max_backoff_seconds", .type = CONFIG_FLOAT, .max = 1e15},
    {.name = "max_doublings", .type = CONFIG_INT, .min = 0, .max = 1e15},
    {0},
};
static const struct config_schema queue_retry_schema = {
    .name = "RetryParameters", .fields = queue_retry_fields};

static const struct config_field acl_fields[] = {
    {.name = "user_email", .type = CONFIG_TEXT},
    {.name = "writer_email", .type = CONFIG_TEXT},
    {0},
};
static const struct config_schema acl_schema = {.name = "Acl",
                                                .fields = acl_fields};

static void check_queue(struct config_report *r, const struct config_node *key,
                        const struct config_node *map)
{
    const char *mode = config_node_text(map, "mode");
    bool pull = mode && strcmp(mode, "pull") == 0;

    if (pull && config_node_get(map, "rate"))
        config_report_at(r, config_node_key(map, "rate"),
                         "Rate must not be specified for pull queue '%s'.",
                         config_node_text(map, "name"));
    if (!pull && !config_node_get(map, "rate"))
        config_report_at(r, map, "Queue '%s' needs a rate, such as 5/s.",
                         config_node_text(map, "name"));
}

static const struct config_field queue_fields[] = {
    {.name = "name",
     .type = CONFIG_PATTERN,
     .pattern = "[A-Za-z0-9-]{1,100}",
     .required = true},
    {.name = "rate",
     .type = CONFIG_PATTERN,
     .pattern = "(0|[0-9]+(\\.[0-9]*)?/[smhd])"},
    {.name = "mode", .type = CONFIG_PATTERN, .pattern = "pull|push"},
    {.name = "bucket_size", .type = CONFIG_INT, .min = 1, .max = 500},
    {.name = "max_concurrent_requests",
     .type = CONFIG_INT,
     .min = 1,
     .max = 5000},
    {.name = "retry_parameters",
     .type = CONFIG_OBJECT,
     .schema = &queue_retry_schema},
    {.name = "acl", .type = CONFIG_OBJECT, .schema = &acl_schema, .list = true},
    {.name = "target",
     .type = CONFIG_PATTERN,
     .pattern = "(?:(?!-)[a-z\\d\\-]{1,100}\\.)?(?!-)[a-z\\d\\-]{1,63}"},
    {0},
};
static const struct config_schema queue_schema = {
    .name = "QueueEntry", .fields = queue_fields, .check = check_queue};

static const struct config_field queues_fields[] = {
    {.name = "application", .type = CONFIG_TEXT},
    {.name = "total_storage_limit",
     .type = CONFIG_PATTERN,
     .pattern = "([0-9]+(\\.[0-9]*)?[BKMGT]?)"},
    {.name = "resume_paused_queues", .type = CONFIG_BOOL},
    {.name = "queue",
     .type = CONFIG_OBJECT,
     .schema = &queue_schema,
     .list = true},
    {0},
};
static const struct config_schema queues_schema = {.name = "QueueInfoExternal",
                                                   .fields = queues_fields};

const struct appyaml_file appyaml_files[] = {
    {"index.yaml", &indexes_schema},
    {"queue.yaml", &queues_schema},
    {"cron.yaml", &cronyaml_schema},
    {"dispatch.yaml", &dispatchyaml_schema},
    {NULL, NULL},
};
