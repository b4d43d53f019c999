/*
 * The elements of app.yaml, a row each.  Names, patterns and texts follow
 * appinfo.py of appengine-python-standard 3.1.0; rows marked "ours" are checks
 * that production makes and appinfo.py does not.
 */
#include "config/appyaml.h"

#include "config/regex.h"

#include <stdlib.h>

#define URL_PATTERN   "(?!\\^)/.*|\\..*|(\\(.).*(?!\\$)."
#define FILES_PATTERN ".+"
#define EXPIRATION_PATTERN                                                     \
    "\\s*(([0-9]+)([DdHhMm]|[sS]?))(\\s+(([0-9]+)([DdHhMm]|[sS]?)))*\\s*"
#define PROJECT_PATTERN                                                        \
    "(?:[a-z\\d\\-]{1,100}\\~)?(?:(?!\\-)[a-z\\d\\-\\.]{1,100}:)"              \
    "?" APPYAML_PROJECT_PATTERN
#define RUNTIME_PATTERN   "((gs://[a-z0-9\\-\\._/]+)|([a-z][a-z0-9\\-\\.]{0,29}))"
#define IDLE_PATTERN      "^([\\d]+|automatic)$"
#define INSTANCES_PATTERN "^[1-9][\\d]*$"
#define LATENCY_PATTERN   "^(\\d+((\\.\\d{1,3})?s|ms)|automatic)$"
#define NO_BLANK_PATTERN  "^\\S+$"
#define VARIABLE_PATTERN  "[a-zA-Z_][a-zA-Z0-9_]*"
#define SERVICES_PATTERN                                                       \
    "(mail|mail_bounce|rest|warmup|xmpp_message|xmpp_presence|"                \
    "xmpp_subscribe|channel_presence)"

/* Row shapes that come up often. */
#define TEXT(name_, ...)                                                       \
    {                                                                          \
        .name = name_, .type = CONFIG_TEXT, __VA_ARGS__                        \
    }
#define BOOL(name_, ...)                                                       \
    {                                                                          \
        .name = name_, .type = CONFIG_BOOL, __VA_ARGS__                        \
    }
#define MATCH(name_, re_, ...)                                                 \
    {                                                                          \
        .name = name_, .type = CONFIG_PATTERN, .pattern = re_, __VA_ARGS__     \
    }
#define WORD(name_, words_, ...)                                               \
    {                                                                          \
        .name = name_, .type = CONFIG_WORD, .words = words_, __VA_ARGS__       \
    }
#define INT(name_, min_, max_, ...)                                            \
    {                                                                          \
        .name = name_, .type = CONFIG_INT, .min = min_, .max = max_,           \
        __VA_ARGS__                                                            \
    }
#define FLOAT(name_, min_, max_, ...)                                          \
    {                                                                          \
        .name = name_, .type = CONFIG_FLOAT, .min = min_, .max = max_,         \
        __VA_ARGS__                                                            \
    }
#define OBJECT(name_, schema_, ...)                                            \
    {                                                                          \
        .name = name_, .type = CONFIG_OBJECT, .schema = &(schema_),            \
        __VA_ARGS__                                                            \
    }
#define TEXTS(name_, re_, ...)                                                 \
    {                                                                          \
        .name = name_, .type = CONFIG_TEXTS, .pattern = re_, __VA_ARGS__       \
    }
#define REGEXES(name_, ...)                                                    \
    {                                                                          \
        .name = name_, .type = CONFIG_REGEXES, __VA_ARGS__                     \
    }
#define UPPER(path_, prefix_)                                                  \
    .json = path_, .form = CONFIG_AS_UPPER, .prefix = prefix_
#define SCHEMA(name_, fields_)                                                 \
    {                                                                          \
        .name = name_, .fields = fields_                                       \
    }

static const char *const words_login[] = {"optional", "required", "admin",
                                          NULL};
static const char *const words_auth_fail[] = {"redirect", "unauthorized", NULL};
static const char *const words_secure[] = {"never", "always", "optional",
                                           "default", NULL};
static const char *const words_redirect[] = {"301", "302", "303", "307", NULL};
static const char *const words_position[] = {"head", "tail", NULL};
static const char *const words_switch[] = {
    "on", "yes", "y",     "True", "t", "1",     "true", "off",
    "no", "n",   "False", "f",    "0", "false", NULL};
static const char *const words_id_policy[] = {"legacy", "default", NULL};
static const char *const words_rollout[] = {"fixed", "managed", NULL};
static const char *const words_egress[] = {"private-ranges-only", "all-traffic",
                                           NULL};
static const char *const words_precompiled[] = {"java_precompiled",
                                                "python_precompiled", NULL};
/* ours: an unknown class would silently run as the smallest */
static const char *const words_class[] = {"F1", "F2", "F4",    "F4_1G", "B1",
                                          "B2", "B4", "B4_1G", "B8",    NULL};

/* ---- handlers ---- */

/*
 * What a handler may carry beside the common attributes, by the attribute that
 * says its kind.  Order: the first one present names the kind (api_endpoint may
 * carry a script, so it comes first).
 */
static const struct handler_kind {
    const char *name;
    const char *allowed; /* words between blanks */
} handler_kinds[] = {
    {"api_endpoint", " position script "},
    {"static_files", " mime_type upload expiration require_matching_file "
                     "http_headers application_readable position "},
    {"static_dir", " mime_type expiration require_matching_file http_headers "
                   "application_readable position "},
    {"script", " position "},
    {NULL, NULL},
};

static bool in_words(const char *words, const char *word)
{
    size_t n = strlen(word);

    for (const char *at = words; (at = strstr(at, word)) != NULL; at++) {
        if (at[-1] == ' ' && at[n] == ' ')
            return true;
    }
    return false;
}

static void check_mime(struct config_report *r, const struct config_node *map)
{
    const struct config_node *headers = config_node_get(map, "http_headers");

    if (!headers || !config_node_get(map, "mime_type"))
        return;
    for (size_t i = 0; i < headers->n; i++) {
        if (strcasecmp(headers->keys[i]->text, "content-type") == 0)
            config_report_at(r, headers->keys[i],
                             "http_header specified a Content-Type header of "
                             "'%s' in a handler that also specified a "
                             "mime_type of '%s'.",
                             headers->items[i]->text,
                             config_node_text(map, "mime_type"));
    }
}

static void check_handler(struct config_report *r,
                          const struct config_node *key,
                          const struct config_node *map)
{
    static const char common[] =
        " url login auth_fail_action secure redirect_http_response_code ";
    const struct handler_kind *kind = handler_kinds;

    while (kind->name && !config_node_get(map, kind->name))
        kind++;
    if (!kind->name) {
        config_report_at(r, map,
                         "Unknown url handler type: a handler needs one of "
                         "static_files, static_dir or script.");
        return;
    }
    for (size_t i = 0; i < map->n; i++) {
        const char *name = map->keys[i]->text;

        if (config_node_get(map, name) && strcmp(name, kind->name) != 0 &&
            !in_words(common, name) && !in_words(kind->allowed, name))
            config_report_at(r, map->keys[i],
                             "Unexpected attribute \"%s\" for mapping type "
                             "%s.",
                             name, kind->name);
    }
    if (strcmp(kind->name, "static_files") == 0 &&
        !config_node_get(map, "upload"))
        config_report_at(r, map, "Missing \"upload\" attribute for URL \"%s\".",
                         config_node_text(map, "url"));
    check_mime(r, map);
}

/* ours: a pattern that nginx could not use is found here, with its line */
static void check_compiles(struct config_report *r,
                           const struct config_node *key,
                           const struct config_node *v)
{
    char why[160];
    struct config_regex *re = config_regex_new(v->text, why, sizeof(why));

    if (!re)
        config_report_at(r, v, "Value '%s' for %s does not compile: %s",
                         v->text, key->text, why);
    config_regex_free(re);
}

static const struct config_field handler_fields[] = {
    MATCH("url", URL_PATTERN, .required = true, .check = check_compiles,
          .json = "urlRegex"),
    WORD("login", words_login, UPPER("login", "LOGIN_")),
    WORD("auth_fail_action", words_auth_fail,
         UPPER("authFailAction", "AUTH_FAIL_ACTION_")),
    WORD("secure", words_secure, UPPER("securityLevel", "SECURE_")),
    WORD("redirect_http_response_code", words_redirect,
         UPPER("redirectHttpResponseCode", "REDIRECT_HTTP_RESPONSE_CODE_")),
    MATCH("script", FILES_PATTERN),
    MATCH("static_files", FILES_PATTERN),
    MATCH("upload", FILES_PATTERN, .check = check_compiles),
    MATCH("static_dir", FILES_PATTERN),
    BOOL("application_readable", .json = "staticFiles.applicationReadable"),
    TEXT("mime_type", .json = "staticFiles.mimeType"),
    MATCH("expiration", EXPIRATION_PATTERN, .json = "staticFiles.expiration",
          .form = CONFIG_AS_DURATION),
    BOOL("require_matching_file", .json = "staticFiles.requireMatchingFile"),
    TEXTS("http_headers", NULL, .check = appyaml_headers_check,
          .json = "staticFiles.httpHeaders"),
    WORD("position", words_position),
    WORD("api_endpoint", words_switch),
    {0},
};
static const struct config_schema handler_schema = {
    .name = "URLMap", .fields = handler_fields, .check = check_handler};

/* A static_dir is a static_files with a pattern of its own. */
static void static_dir_json(struct ctx *ctx, const char *url, const char *dir,
                            json_t *out)
{
    size_t n = strlen(dir);

    while (n > 1 && dir[n - 1] == '/')
        n--;
    dir = arena_cstr(ctx->arena, BYTES(dir, n));
    n = strlen(url);
    while (n > 1 && url[n - 1] == '/')
        n--;
    if (n == 1 && *url == '/')
        n = 0;
    url = arena_cstr(ctx->arena, BYTES(url, n));
    json_object_set_new(out, "urlRegex",
                        json_string(arena_printf(ctx->arena, "%s/(.*)", url)));
    config_json_set(out, "staticFiles.path",
                    json_string(arena_printf(ctx->arena, "%s/\\1", dir)));
    config_json_set(out, "staticFiles.uploadPathRegex",
                    json_string(arena_printf(ctx->arena, "%s/(.*)", dir)));
}

static json_t *handler_json(struct ctx *ctx, const struct config_node *map)
{
    const char *files = config_node_text(map, "static_files");
    const char *dir = config_node_text(map, "static_dir");
    json_t *out = json_object();

    config_json(ctx, &handler_schema, map, out);
    if (dir) {
        static_dir_json(ctx, config_node_text(map, "url"), dir, out);
    } else if (files) {
        config_json_set(out, "staticFiles.path", json_string(files));
        config_json_set(out, "staticFiles.uploadPathRegex",
                        json_string(config_node_text(map, "upload")));
    } else {
        const char *script = config_node_text(map, "script");

        config_json_set(out, "script.scriptPath",
                        json_string(script ? script : "auto"));
    }
    return out;
}

json_t *appyaml_handlers_json(struct ctx *ctx, const struct config_node *list)
{
    json_t *out = json_array();

    for (size_t i = 0; list && i < list->n; i++)
        json_array_append_new(out, handler_json(ctx, list->items[i]));
    return out;
}

/* ---- scaling ---- */

static const struct config_field cpu_fields[] = {
    FLOAT("target_utilization", 1e-6, 1),
    INT("aggregation_window_length_sec", 1, 1e15),
    {0},
};
static const struct config_schema cpu_schema =
    SCHEMA("CpuUtilization", cpu_fields);

static const struct config_field metric_fields[] = {
    MATCH("metric_name", NO_BLANK_PATTERN, .required = true),
    MATCH("target_type", "^(GAUGE|DELTA_PER_SECOND|DELTA_PER_MINUTE)$",
          .required = true),
    FLOAT("target_utilization", 0, 0),
    FLOAT("single_instance_assignment", 0, 0),
    TEXT("filter"),
    {0},
};
static const struct config_schema metric_schema =
    SCHEMA("CustomMetric", metric_fields);

/* Ranges of the last four rows are ours (hosting.md section 4). */
static const struct config_field automatic_fields[] = {
    MATCH("min_idle_instances", IDLE_PATTERN, .json = "minIdleInstances",
          .form = CONFIG_AS_NUMBER),
    MATCH("max_idle_instances", IDLE_PATTERN, .json = "maxIdleInstances",
          .form = CONFIG_AS_NUMBER),
    MATCH("min_pending_latency", LATENCY_PATTERN, .json = "minPendingLatency",
          .form = CONFIG_AS_DURATION),
    MATCH("max_pending_latency", LATENCY_PATTERN, .json = "maxPendingLatency",
          .form = CONFIG_AS_DURATION),
    INT("max_concurrent_requests", 1, 1000, .json = "maxConcurrentRequests"),
    INT("min_num_instances", 1, 1e15),
    INT("max_num_instances", 1, 1e15),
    INT("cool_down_period_sec", 60, 1e15),
    OBJECT("cpu_utilization", cpu_schema),
    INT("target_network_sent_bytes_per_sec", 1, 1e15),
    INT("target_network_sent_packets_per_sec", 1, 1e15),
    INT("target_network_received_bytes_per_sec", 1, 1e15),
    INT("target_network_received_packets_per_sec", 1, 1e15),
    INT("target_disk_write_bytes_per_sec", 1, 1e15),
    INT("target_disk_write_ops_per_sec", 1, 1e15),
    INT("target_disk_read_bytes_per_sec", 1, 1e15),
    INT("target_disk_read_ops_per_sec", 1, 1e15),
    INT("target_request_count_per_sec", 1, 1e15),
    INT("target_concurrent_requests", 1, 1e15),
    OBJECT("custom_metrics", metric_schema, .list = true),
    INT("min_instances", 0, 1000,
        .json = "standardSchedulerSettings.minInstances"),
    INT("max_instances", 0, 2147483647,
        .json = "standardSchedulerSettings.maxInstances"),
    FLOAT("target_cpu_utilization", 0.5, 0.95,
          .json = "standardSchedulerSettings.targetCpuUtilization"),
    FLOAT("target_throughput_utilization", 0.5, 0.95,
          .json = "standardSchedulerSettings.targetThroughputUtilization"),
    {0},
};

static void check_automatic(struct config_report *r,
                            const struct config_node *key,
                            const struct config_node *map)
{
    const char *min = config_node_text(map, "min_instances");
    const char *max = config_node_text(map, "max_instances");

    if (min && max && atol(max) > 0 && atol(min) > atol(max))
        config_report_at(r, config_node_get(map, "min_instances"),
                         "min_instances (%s) is larger than max_instances "
                         "(%s).",
                         min, max);
}

static const struct config_schema automatic_schema = {
    .name = "AutomaticScaling",
    .fields = automatic_fields,
    .check = check_automatic};

static const struct config_field manual_fields[] = {
    MATCH("instances", INSTANCES_PATTERN, .required = true, .json = "instances",
          .form = CONFIG_AS_NUMBER),
    {0},
};
static const struct config_schema manual_schema =
    SCHEMA("ManualScaling", manual_fields);

static const struct config_field basic_fields[] = {
    MATCH("max_instances", INSTANCES_PATTERN, .required = true,
          .json = "maxInstances", .form = CONFIG_AS_NUMBER),
    MATCH("idle_timeout", "^[\\d]+(s|m)$", .json = "idleTimeout",
          .form = CONFIG_AS_DURATION),
    {0},
};
static const struct config_schema basic_schema =
    SCHEMA("BasicScaling", basic_fields);

/* ---- the flexible environment's blocks: known, and carried nowhere ---- */

static const struct config_field health_fields[] = {
    BOOL("enable_health_check"),
    INT("check_interval_sec", 0, 1e15),
    INT("timeout_sec", 0, 1e15),
    INT("app_start_timeout_sec", 0, 1e15),
    INT("unhealthy_threshold", 0, 1e15),
    INT("healthy_threshold", 0, 1e15),
    INT("failure_threshold", 0, 1e15),
    INT("success_threshold", 0, 1e15),
    INT("restart_threshold", 0, 1e15),
    INT("initial_delay_sec", 0, 1e15),
    TEXT("path"),
    TEXT("host"),
    {0},
};
static const struct config_schema health_schema =
    SCHEMA("HealthCheck", health_fields);

static const struct config_field volume_fields[] = {
    TEXT("name", .required = true),
    FLOAT("size_gb", 0, 0, .required = true),
    TEXT("volume_type", .required = true),
    {0},
};
static const struct config_schema volume_schema =
    SCHEMA("Volume", volume_fields);

static const struct config_field resource_fields[] = {
    FLOAT("cpu", 0, 0),
    FLOAT("memory_gb", 0, 0),
    INT("disk_size_gb", 0, 0),
    OBJECT("volumes", volume_schema, .list = true),
    {0},
};
static const struct config_schema resource_schema =
    SCHEMA("Resources", resource_fields);

#define GCE_NAME_PATTERN "^[a-z]([a-z\\d-]{0,61}[a-z\\d])?$"

static const struct config_field network_fields[] = {
    MATCH("forwarded_ports", "[0-9]+(:[0-9]+)?(/(udp|tcp))?", .list = true),
    MATCH("instance_tag", GCE_NAME_PATTERN),
    MATCH("name", "^[a-z\\d-]+(/[a-z\\d-]+)*$"),
    MATCH("subnetwork_name", GCE_NAME_PATTERN),
    BOOL("session_affinity"),
    {0},
};
static const struct config_schema network_schema =
    SCHEMA("Network", network_fields);

static const struct config_field endpoints_fields[] = {
    MATCH("name", NO_BLANK_PATTERN, .required = true),
    WORD("rollout_strategy", words_rollout),
    MATCH("config_id", NO_BLANK_PATTERN),
    BOOL("trace_sampling"),
    {0},
};
static const struct config_schema endpoints_schema =
    SCHEMA("EndpointsApiService", endpoints_fields);

static const struct config_field connector_fields[] = {
    MATCH("name", "^[a-z\\d-]+(/.+)*$", .required = true, .json = "name"),
    WORD("egress_setting", words_egress),
    {0},
};
static const struct config_schema connector_schema =
    SCHEMA("VpcAccessConnector", connector_fields);

/* ---- smaller objects ---- */

static const struct config_field page_fields[] = {
    MATCH("url", URL_PATTERN, .required = true),
    MATCH("name", "^.+$", .required = true),
    {0},
};
static const struct config_schema page_schema =
    SCHEMA("AdminConsolePage", page_fields);

static const struct config_field console_fields[] = {
    OBJECT("pages", page_schema, .list = true),
    {0},
};
static const struct config_schema console_schema =
    SCHEMA("AdminConsole", console_fields);

static const struct config_field error_fields[] = {
    MATCH("error_code", "(default|over_quota|dos_api_denial|timeout)",
          UPPER("errorCode", "ERROR_CODE_")),
    MATCH("file", FILES_PATTERN, .required = true, .json = "staticFile"),
    TEXT("mime_type", .json = "mimeType"),
    {0},
};
static const struct config_schema error_schema =
    SCHEMA("ErrorHandlers", error_fields);

static const struct config_field library_fields[] = {
    TEXT("name", .required = true, .json = "name"),
    TEXT("version", .required = true, .json = "version"),
    {0},
};
static const struct config_schema library_schema =
    SCHEMA("Library", library_fields);

static const struct config_field api_config_fields[] = {
    MATCH("url", URL_PATTERN, .json = "url"),
    WORD("login", words_login, UPPER("login", "LOGIN_")),
    WORD("auth_fail_action", words_auth_fail,
         UPPER("authFailAction", "AUTH_FAIL_ACTION_")),
    WORD("secure", words_secure, UPPER("securityLevel", "SECURE_")),
    MATCH("script", FILES_PATTERN, .json = "script"),
    {0},
};
static const struct config_schema api_config_schema =
    SCHEMA("ApiConfigHandler", api_config_fields);

/* ---- the file ---- */

const char *appyaml_version_refused(struct arena *a, const char *version)
{
    if (!config_matches(APPYAML_NAME_PATTERN, version))
        return arena_printf(a,
                            "Value '%s' for version does not match expression "
                            "'^(?:" APPYAML_NAME_PATTERN ")$'",
                            version);
    if (strstr(version, "-dot-"))
        return arena_printf(
            a, "Version \"%s\" cannot contain the string \"-dot-\"", version);
    if (strncmp(version, "ah-builtin", 10) == 0)
        return arena_printf(a,
                            "Version \"%s\" cannot start with \"ah-builtin\" "
                            "because it is a reserved version name prefix.",
                            version);
    if (strncmp(version, "ah-", 3) == 0 || strcmp(version, "default") == 0 ||
        strcmp(version, "latest") == 0)
        return arena_printf(
            a, "Version \"%s\" is a name that App Engine reserves.", version);
    return NULL;
}

static void check_version(struct config_report *r,
                          const struct config_node *key,
                          const struct config_node *v)
{
    struct arena a = ARENA_INIT;
    const char *why = appyaml_version_refused(&a, v->text);

    if (why)
        config_report_at(r, v, "%s", why);
    arena_release(&a);
}

/* ours: URLs join names with it, so it would name something else */
static void check_service(struct config_report *r,
                          const struct config_node *key,
                          const struct config_node *v)
{
    if (strstr(v->text, "-dot-"))
        config_report_at(r, v,
                         "Service \"%s\" cannot contain the string \"-dot-\"",
                         v->text);
}

static void check_env(struct config_report *r, const struct config_node *key,
                      const struct config_node *v)
{
    if (strcmp(v->text, "standard") != 0 && strcmp(v->text, "1") != 0)
        config_report_at(r, v,
                         "env '%s' is the flexible environment; this platform "
                         "hosts the standard one. Remove the line.",
                         v->text);
}

static void check_one_scaling(struct config_report *r,
                              const struct config_node *map)
{
    static const char *const blocks[] = {"automatic_scaling", "manual_scaling",
                                         "basic_scaling"};
    int seen = 0;

    for (size_t i = 0; i < 3; i++) {
        if (config_node_get(map, blocks[i]) && ++seen == 2)
            config_report_at(r, config_node_key(map, blocks[i]),
                             "There may be only one of 'automatic_scaling', "
                             "'manual_scaling', or 'basic_scaling'.");
    }
}

/* ours: hosting.md section 4, which class scales how */
static void check_class(struct config_report *r, const struct config_node *map)
{
    const char *class = config_node_text(map, "instance_class");
    bool fixed = config_node_get(map, "manual_scaling") ||
                 config_node_get(map, "basic_scaling");

    if (class && (*class == 'B') != fixed)
        config_report_at(
            r, config_node_get(map, "instance_class"),
            "instance_class %s does not go with %s: use one of "
            "%s.",
            class, fixed ? "manual or basic scaling" : "automatic scaling",
            fixed ? "B1, B2, B4, B4_1G, B8" : "F1, F2, F4, F4_1G");
}

static void check_pair(struct config_report *r, const struct config_node *map,
                       const char *a, const char *b, const char *text)
{
    const struct config_node *second = config_node_key(map, b);

    if (config_node_get(map, a) && config_node_get(map, b))
        config_report_at(r, second, "%s", text);
}

static void check_position(struct config_report *r,
                           const struct config_node *map)
{
    const struct config_node *all = config_node_get(map, "handlers");

    for (size_t i = 0; all && i < all->n; i++) {
        if (config_node_get(all->items[i], "position"))
            config_report_at(r, config_node_key(all->items[i], "position"),
                             "The position attribute was specified for this "
                             "handler, but this is an app.yaml file.  Position "
                             "attribute is only valid for include.yaml files.");
    }
}

/* What only the second-generation runtimes' predecessors knew. */
static void check_first_generation(struct config_report *r,
                                   const struct config_node *map)
{
    if (config_node_get(map, "libraries"))
        config_report_at(r, config_node_key(map, "libraries"),
                         "libraries entries are only supported by the "
                         "\"python27\" runtime; name what the app needs in "
                         "requirements.txt");
    if (config_node_get(map, "builtins"))
        config_report_at(r, config_node_key(map, "builtins"),
                         "builtins are only supported by the \"python27\" "
                         "runtime; let the app itself serve those paths");
}

static void check_app(struct config_report *r, const struct config_node *key,
                      const struct config_node *map)
{
    if (!config_node_get(map, "runtime"))
        config_report_at(r, map,
                         "You must specify a \"runtime\" field for non-vm "
                         "applications.");
    check_one_scaling(r, map);
    check_class(r, map);
    check_position(r, map);
    check_first_generation(r, map);
    check_pair(r, map, "application", "project",
               "Specify one of \"application: name\" or \"project: name\"");
    check_pair(r, map, "service", "module",
               "Only one of the two fields [service] (preferred) and [module] "
               "(deprecated) may be set.");
}

static const struct config_field app_fields[] = {
    MATCH("application", PROJECT_PATTERN),
    MATCH("project", PROJECT_PATTERN),
    MATCH("service", APPYAML_NAME_PATTERN, .check = check_service),
    MATCH("module", APPYAML_NAME_PATTERN, .check = check_service),
    MATCH("version", APPYAML_NAME_PATTERN, .check = check_version),
    MATCH("runtime", RUNTIME_PATTERN, .json = "runtime"),
    TEXT("runtime_channel", .json = "runtimeChannel"),
    MATCH("api_version", "[\\w.]{1,32}", .json = "runtimeApiVersion"),
    MATCH("main", FILES_PATTERN, .json = "runtimeMainExecutablePath"),
    MATCH("env", "(1|2|standard|flex|flexible)", .check = check_env),
    OBJECT("endpoints_api_service", endpoints_schema),
    TEXT("entrypoint", .json = "entrypoint.shell"),
    TEXTS("runtime_config", VARIABLE_PATTERN),
    WORD("instance_class", words_class, .json = "instanceClass"),
    MATCH("source_language", "[\\w.\\-]{1,32}"),
    OBJECT("automatic_scaling", automatic_schema, .json = "automaticScaling"),
    OBJECT("manual_scaling", manual_schema, .json = "manualScaling"),
    OBJECT("basic_scaling", basic_schema, .json = "basicScaling"),
    BOOL("vm"),
    TEXTS("vm_settings", VARIABLE_PATTERN),
    TEXTS("beta_settings", VARIABLE_PATTERN, .json = "betaSettings"),
    OBJECT("vm_health_check", health_schema),
    OBJECT("health_check", health_schema),
    OBJECT("resources", resource_schema),
    OBJECT("liveness_check", health_schema),
    OBJECT("readiness_check", health_schema),
    OBJECT("network", network_schema),
    OBJECT("vpc_access_connector", connector_schema,
           .json = "vpcAccessConnector"),
    TEXT("zones", .list = true, .json = "zones"),
    TEXTS("builtins", NULL, .list = true),
    TEXT("includes", .list = true),
    OBJECT("handlers", handler_schema, .list = true),
    OBJECT("libraries", library_schema, .list = true),
    MATCH("inbound_services", SERVICES_PATTERN, .list = true,
          UPPER("inboundServices", "INBOUND_SERVICE_")),
    MATCH("default_expiration", EXPIRATION_PATTERN, .json = "defaultExpiration",
          .form = CONFIG_AS_DURATION),
    REGEXES("skip_files"),
    REGEXES("nobuild_files", .json = "nobuildFilesRegex"),
    WORD("derived_file_type", words_precompiled, .list = true),
    OBJECT("admin_console", console_schema),
    OBJECT("error_handlers", error_schema, .list = true,
           .json = "errorHandlers"),
    BOOL("threadsafe", .json = "threadsafe"),
    TEXT("service_account", .json = "serviceAccount"),
    WORD("auto_id_policy", words_id_policy),
    OBJECT("api_config", api_config_schema, .json = "apiConfig"),
    BOOL("code_lock"),
    TEXTS("env_variables", VARIABLE_PATTERN, .json = "envVariables"),
    TEXTS("build_env_variables", VARIABLE_PATTERN, .json = "buildEnvVariables"),
    BOOL("standard_websocket"),
    BOOL("app_engine_apis", .json = "appEngineApis"),
    MATCH("app_engine_bundled_services", "[a-z_]+", .list = true,
          UPPER("appEngineBundledServices", "BUNDLED_SERVICE_TYPE_")),
    {0},
};
const struct config_schema appyaml_schema = {
    .name = "AppInfoExternal", .fields = app_fields, .check = check_app};

static const struct config_field include_fields[] = {
    TEXTS("builtins", NULL, .list = true),
    TEXT("includes", .list = true),
    OBJECT("handlers", handler_schema, .list = true),
    OBJECT("admin_console", console_schema),
    OBJECT("manual_scaling", manual_schema),
    BOOL("vm"),
    TEXTS("vm_settings", VARIABLE_PATTERN),
    TEXTS("beta_settings", VARIABLE_PATTERN),
    TEXTS("env_variables", VARIABLE_PATTERN),
    TEXTS("build_env_variables", VARIABLE_PATTERN),
    REGEXES("skip_files"),
    {0},
};
const struct config_schema appyaml_include_schema =
    SCHEMA("AppInclude", include_fields);
