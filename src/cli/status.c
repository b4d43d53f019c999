/*
 * `appscale status`: the controller's own view, as tables.
 */
#include "cli/api.h"
#include "cli/datastore.h"
#include "cli/table.h"

#include <inttypes.h>
#include <stdio.h>

static const char *number(struct table *t, const json_t *o, const char *key)
{
    return arena_printf(t->a, "%" JSON_INTEGER_FORMAT,
                        json_integer_value(json_object_get(o, key)));
}

/* "12 s", "5 min", "3 h", "9 d" */
static const char *duration(struct table *t, int64_t seconds)
{
    static const struct {
        int64_t from, unit;
        const char *name;
    } units[] = {{172800, 86400, "d"}, {7200, 3600, "h"}, {120, 60, "min"}};

    for (size_t i = 0; i < 3; i++) {
        if (seconds >= units[i].from)
            return arena_printf(t->a, "%" PRId64 " %s", seconds / units[i].unit,
                                units[i].name);
    }
    return arena_printf(t->a, "%" PRId64 " s", seconds);
}

static const char *megabytes(struct table *t, const json_t *o, const char *key)
{
    double bytes = (double)json_integer_value(json_object_get(o, key));

    return bytes > 0 ? arena_printf(t->a, "%.1f MB", bytes / 1e6) : "-";
}

/* What the sandbox cannot do here is the operator's to know. */
static void print_sandbox(struct cli *cli, const json_t *sandbox)
{
    static const struct {
        const char *word, *sentence;
    } sentences[] = {
        {"user", "projects share the platform's user"},
        {"files", "applications see the files of their user"},
        {"processes", "applications see the processes of their user"},
        {"network", "applications reach each other's ports"},
        {"memory", "memory is limited by the controller's look alone"},
        {"tasks", "processes are not counted by control groups"},
        {"cpu", "a busy application may slow its neighbours"},
    };
    const json_t *word;
    size_t i, j;

    if (strcmp(api_text(sandbox, "state", ""), "off") == 0)
        printf("%sThe sandbox is off.%s\n\n", cli_bad(cli), cli_plain(cli));
    if (json_array_size(json_object_get(sandbox, "missing")) == 0)
        return;
    printf("The sandbox cannot do all on this machine "
           "(src/sandbox/README.md):\n");
    json_array_foreach(json_object_get(sandbox, "missing"), i, word)
    {
        for (j = 0; j < sizeof(sentences) / sizeof(sentences[0]); j++)
            if (strcmp(json_string_value(word), sentences[j].word) == 0)
                printf("  %s\n", sentences[j].sentence);
    }
    printf("\n");
}

static void print_processes(struct cli *cli, const json_t *status)
{
    struct table *t = ARENA_NEW(&cli->arena, struct table);
    const json_t *p;
    size_t i;

    t->a = &cli->arena;
    t->columns = 6;
    memcpy(t->head,
           (const char *[TABLE_COLUMNS]){"PROCESS", "STATE", "PID", "UP",
                                         "RESTARTS", "MEMORY"},
           sizeof(t->head));
    json_array_foreach(json_object_get(status, "processes"), i, p)
    {
        const char **row = t->cell[t->rows];

        if (t->rows == TABLE_ROWS)
            break;
        row[0] = api_text(p, "name", "?");
        row[1] = api_text(p, "state", "?");
        row[2] = number(t, p, "pid");
        row[3] = duration(t, json_integer_value(json_object_get(p, "uptime")));
        row[4] = number(t, p, "restarts");
        row[5] = megabytes(t, p, "memoryUsage");
        t->rows++;
    }
    table_print(cli, t);
}

/* A process that keeps failing has a reason; it belongs on this page. */
static void print_failures(struct cli *cli, const json_t *status)
{
    const json_t *p, *line;
    size_t i, j;

    json_array_foreach(json_object_get(status, "processes"), i, p)
    {
        if (strcmp(api_text(p, "state", ""), "failing") != 0)
            continue;
        printf("\n%s%s is failing:%s\n", cli_bad(cli), api_text(p, "name", "?"),
               cli_plain(cli));
        json_array_foreach(json_object_get(p, "lastError"), j, line)
            printf("  %s\n", json_string_value(line));
    }
}

/* Those that get traffic or have instances; the rest is `versions list`. */
static bool shown(const json_t *v)
{
    return json_number_value(json_object_get(v, "share")) > 0 ||
           api_number(v, "instances") > 0;
}

static void add_version(struct table *t, const json_t *app, const json_t *s,
                        const json_t *v)
{
    double share = json_number_value(json_object_get(v, "share"));
    const char **row = t->cell[t->rows++];

    row[0] = api_text(app, "id", "?");
    row[1] = api_text(s, "id", "?");
    row[2] = api_text(v, "id", "-");
    row[3] = share > 0 ? arena_printf(t->a, "%g %%", share * 100) : "-";
    row[4] =
        arena_printf(t->a, "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT,
                     api_number(v, "ready"), api_number(v, "instances"));
    row[5] =
        api_number(v, "waiting") > 0
            ? arena_printf(t->a,
                           "%" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
                           " wait",
                           api_number(v, "requests"), api_number(v, "waiting"))
            : number(t, v, "requests");
    row[6] = api_text(s, "url", api_text(app, "url", "-"));
    if (share <= 0) /* it answers under its own name alone */
        row[6] = api_text(v, "url", row[6]);
}

static void add_services(struct table *t, const json_t *app)
{
    const json_t *s, *v;
    size_t i, j;

    json_array_foreach(json_object_get(app, "services"), i, s)
    {
        json_array_foreach(json_object_get(s, "versions"), j, v)
        {
            if (t->rows < TABLE_ROWS && shown(v))
                add_version(t, app, s, v);
        }
    }
}

/* Why each has as many instances as it has: what was decided last. */
static void print_decisions(struct cli *cli, const json_t *status)
{
    const json_t *app, *s, *v;
    size_t i, j, k;
    bool any = false;

    json_array_foreach(json_object_get(status, "apps"), i, app)
        json_array_foreach(json_object_get(app, "services"), j, s)
            json_array_foreach(json_object_get(s, "versions"), k, v)
    {
        const char *why = api_text(v, "lastDecision", "");

        if (!*why || !shown(v))
            continue;
        printf("%s  %s/%s/%s: %s\n", any ? "" : "\nScaled last because\n",
               api_text(app, "id", "?"), api_text(s, "id", "?"),
               api_text(v, "id", "?"), api_safe(&cli->arena, why));
        any = true;
    }
}

static void print_apps(struct cli *cli, const json_t *status)
{
    struct table *t = ARENA_NEW(&cli->arena, struct table);
    const json_t *app;
    size_t i;

    t->a = &cli->arena;
    t->columns = 7;
    memcpy(t->head,
           (const char *[TABLE_COLUMNS]){"PROJECT", "SERVICE", "VERSION",
                                         "TRAFFIC", "INSTANCES", "REQUESTS",
                                         "URL"},
           7 * sizeof(*t->head));
    json_array_foreach(json_object_get(status, "apps"), i, app)
        add_services(t, app);
    if (t->rows)
        table_print(cli, t);
    else if (json_array_size(json_object_get(status, "apps")) == 0)
        printf("No application is deployed. `appscale deploy DIR` does it.\n");
    print_decisions(cli, status);
}

int cli_status(struct cli *cli)
{
    struct api *api = api_open(cli);
    json_t *status = NULL;
    int rc = api_call(api, "GET", &status, NULL, "/v1/platform/status");
    bool ready;

    if (rc < 0)
        return rc;
    ready = json_is_true(json_object_get(status, "ready"));
    if (cli->json) {
        cli_print_json(status);
    } else {
        struct table t = {.a = &cli->arena};

        printf("AppScale %s is %s%s%s, %s of memory, applications below %s\n\n",
               api_text(status, "version", "?"),
               ready ? cli_good(cli) : cli_bad(cli), ready ? "up" : "not ready",
               cli_plain(cli), megabytes(&t, status, "memoryUsage"),
               api_text(status, "url", "?"));
        if (json_object_get(status, "readOnly"))
            datastore_print_mode(cli, json_object_get(status, "readOnly"));
        print_sandbox(cli, json_object_get(status, "sandbox"));
        print_processes(cli, status);
        print_failures(cli, status);
        printf("\n");
        print_apps(cli, status);
    }
    json_decref(status);
    return 0;
}
