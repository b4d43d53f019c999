/*
 * dispatchyaml - rows follow dispatchinfo.py; a limit that one forgets is
 * marked "ours".
 */
#include "config/dispatchyaml.h"

#include "config/appyaml.h"
#include "config/regex.h"

#include <stdio.h>

#define HOST_LABELS "([a-z0-9]([a-z0-9\\-]*[a-z0-9])*)"

/* Four numbers below 256 and nothing else. */
static bool is_ipv4(const char *host)
{
    unsigned a, b, c, d;

    return config_matches("\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}", host) &&
           sscanf(host, "%u.%u.%u.%u", &a, &b, &c, &d) == 4 && a < 256 &&
           b < 256 && c < 256 && d < 256;
}

const char *dispatchyaml_refused(struct arena *a, const char *host,
                                 const char *path)
{
    if (!*host || *path != '/' ||
        strlen(host) + strlen(path) > DISPATCH_URL_MAX)
        return arena_printf(a, "invalid url '%s%s'", host, path);
    if (*host == '*'
            ? !config_matches("([*]|[*][a-z0-9\\-.]*[a-z0-9])", host)
            : !config_matches(HOST_LABELS "(\\." HOST_LABELS ")*", host))
        return arena_printf(a, "invalid host_pattern '%s'", host);
    if (is_ipv4(host))
        return arena_printf(a, "Host may not match an ipv4 address '%s'", host);
    if (!config_matches("/[^*]*[*]?", path)) /* ours */
        return arena_printf(
            a, "invalid path '%s': a * may stand at the end only", path);
    return NULL;
}

/* "HOST/PATH" as the two. */
static void cut(struct arena *a, const char *url, const char **host,
                const char **path)
{
    size_t n = strcspn(url, "/");

    *host = arena_cstr(a, BYTES(url, n));
    *path = arena_strdup(a, url + n);
}

static void check_url(struct config_report *r, const struct config_node *key,
                      const struct config_node *v)
{
    const char *host, *path, *why;
    struct arena a = ARENA_INIT;

    cut(&a, v->text, &host, &path);
    why = dispatchyaml_refused(&a, host, path);
    if (why)
        config_report_at(r, v, "%s", why);
    arena_release(&a);
}

static void check_rule(struct config_report *r, const struct config_node *key,
                       const struct config_node *map)
{
    bool service = config_node_get(map, "service");

    if (service && config_node_get(map, "module"))
        config_report_at(r, config_node_key(map, "module"),
                         "Only one of the two fields [service] (preferred) and "
                         "[module] (deprecated) may be set.");
    if (!service && !config_node_get(map, "module"))
        config_report_at(r, map, "Missing required value \"service\".");
}

static const struct config_field rule_fields[] = {
    {.name = "url", .type = CONFIG_TEXT, .required = true, .check = check_url},
    {.name = "service",
     .type = CONFIG_PATTERN,
     .pattern = APPYAML_NAME_PATTERN},
    {.name = "module", .type = CONFIG_PATTERN, .pattern = APPYAML_NAME_PATTERN},
    {0},
};
static const struct config_schema rule_schema = {
    .name = "DispatchEntry", .fields = rule_fields, .check = check_rule};

static void check_dispatch(struct config_report *r,
                           const struct config_node *key,
                           const struct config_node *map)
{
    const struct config_node *rules = config_node_get(map, "dispatch");

    if (rules && rules->n > DISPATCH_RULES_MAX) /* ours */
        config_report_at(r, rules, "More than %d dispatch rules.",
                         DISPATCH_RULES_MAX);
}

static const struct config_field dispatch_fields[] = {
    {.name = "application", .type = CONFIG_TEXT},
    {.name = "dispatch",
     .type = CONFIG_OBJECT,
     .schema = &rule_schema,
     .list = true},
    {0},
};
const struct config_schema dispatchyaml_schema = {.name =
                                                      "DispatchInfoExternal",
                                                  .fields = dispatch_fields,
                                                  .check = check_dispatch};

static json_t *rules_json(struct arena *a, const struct config_node *list)
{
    json_t *rules = json_array();

    for (size_t i = 0; list && i < list->n; i++) {
        const struct config_node *rule = list->items[i];
        const char *service = config_node_text(rule, "service");
        const char *host, *path;

        cut(a, config_node_text(rule, "url"), &host, &path);
        json_array_append_new(
            rules,
            json_pack("{s:s, s:s, s:s}", "domain", host, "path", path,
                      "service",
                      service ? service : config_node_text(rule, "module")));
    }
    return rules;
}

int dispatchyaml_parse(struct ctx *ctx, const char *file, struct bytes text,
                       json_t **rules)
{
    struct config_report report = {0};
    struct config_node *node;
    int rc;

    config_node_parse(ctx, file, text, &report, &node);
    if (node)
        config_check(&report, &dispatchyaml_schema, NULL, node);
    rc = config_report_end(ctx, &report);
    if (rc == 0)
        *rules = rules_json(ctx->arena,
                            node ? config_node_get(node, "dispatch") : NULL);
    return rc;
}
