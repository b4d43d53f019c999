/*
 * `appscale datastore stats|verify|compact`: work that takes its time, followed
 * to its end, and what came of it.
 */
#include "cli/api.h"
#include "cli/datastore.h"

#include <inttypes.h>
#include <stdio.h>

const struct args_option datastore_stats_options[] = {
    {"refresh", NULL, "count anew first", 0},
    {0},
};

const struct args_option datastore_verify_options[] = {
    {"repair", NULL, "mend what is found", 0},
    {0},
};

/* Begin an operation and follow it; *response is what it made. */
static int work(struct cli *cli, struct api *api, const json_t *body,
                const char *path, json_t **response)
{
    struct progress progress;
    json_t *op = NULL;
    int rc;

    progress_init(&progress, cli->json);
    rc = api_call(api, "POST", &op, body, "%s", path);
    return rc ? rc : api_wait(api, op, &progress, response);
}

static const char *project_path(struct cli *cli, const char *project,
                                const char *what)
{
    return arena_printf(&cli->arena, "/v1/apps/%s/datastore%s",
                        api_escape(cli, project), what);
}

static json_int_t number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

/* "17", "3.2 kB", "1.5 GB" */
static const char *size(struct cli *cli, json_int_t bytes)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB"};
    double v = (double)bytes;
    int i = -1;

    while (v >= 1000 && i < 3) {
        v /= 1000;
        i++;
    }
    return i < 0 ? arena_printf(&cli->arena, "%" JSON_INTEGER_FORMAT, bytes)
                 : arena_printf(&cli->arena, "%.1f %s", v, units[i]);
}

/* ---- stats ---- */

static void print_figures(struct cli *cli, const char *name, const json_t *f)
{
    printf("%-28s %10" JSON_INTEGER_FORMAT " %10s %10" JSON_INTEGER_FORMAT
           " %10s %10" JSON_INTEGER_FORMAT " %10s\n",
           name, number(f, "count"), size(cli, number(f, "entityBytes")),
           number(f, "builtinIndexCount"),
           size(cli, number(f, "builtinIndexBytes")),
           number(f, "compositeIndexCount"),
           size(cli, number(f, "compositeIndexBytes")));
}

static void print_stats(struct cli *cli, const json_t *stats)
{
    const char *id = api_text(stats, "id", "?");
    const json_t *kind;
    size_t i;

    if (!json_object_get(stats, "time")) {
        printf("%s has not been counted yet: appscale datastore stats "
               "--refresh %s\n",
               id, id);
        return;
    }
    printf("%s as of %s\n\n%s%-28s %10s %10s %10s %10s %10s %10s%s\n", id,
           api_text(stats, "time", "?"), cli_bold(cli), "KIND", "ENTITIES",
           "BYTES", "ROWS", "BYTES", "COMPOSITE", "BYTES", cli_plain(cli));
    json_array_foreach(json_object_get(stats, "kinds"), i, kind)
        print_figures(cli, api_text(kind, "kind", "?"), kind);
    print_figures(cli, "all", json_object_get(stats, "total"));
}

static int stats_of(struct cli *cli, struct api *api, const char *project,
                    json_t **out)
{
    int rc = 0;

    if (cli_switch(cli, "refresh"))
        rc = work(cli, api, NULL, project_path(cli, project, ":count"), NULL);
    if (rc == 0)
        rc = api_call(api, "GET", out, NULL, "%s",
                      project_path(cli, project, "/statistics"));
    return rc;
}

/* Without a project, of each that is deployed. */
static int stats_of_all(struct cli *cli, struct api *api, json_t *list)
{
    json_t *answer = NULL, *app;
    size_t i;
    int rc = api_call(api, "GET", &answer, NULL, "/v1/apps");

    json_array_foreach(json_object_get(answer, "apps"), i, app)
    {
        json_t *stats = NULL;

        if (rc == 0)
            rc = stats_of(cli, api, api_text(app, "id", ""), &stats);
        if (rc == 0)
            json_array_append_new(list, stats);
    }
    json_decref(answer);
    return rc;
}

int cli_datastore_stats(struct cli *cli)
{
    const char *project = cli_operand(cli, 0);
    struct api *api = api_open(cli);
    json_t *list = json_array(), *stats = NULL;
    size_t i;
    int rc;

    if (project) {
        rc = stats_of(cli, api, project, &stats);
        if (rc == 0)
            json_array_append_new(list, stats);
    } else {
        rc = stats_of_all(cli, api, list);
    }
    if (rc == 0 && cli->json)
        cli_print_json(project ? json_array_get(list, 0) : list);
    if (rc == 0 && !cli->json) {
        json_array_foreach(list, i, stats)
        {
            printf("%s", i ? "\n" : "");
            print_stats(cli, stats);
        }
        if (json_array_size(list) == 0)
            printf("No application is deployed.\n");
    }
    json_decref(list);
    return rc;
}

/* ---- verify ---- */

static void print_findings(struct cli *cli, const json_t *report)
{
    const json_t *f;
    size_t i;

    json_array_foreach(json_object_get(report, "faults"), i, f)
        printf("%s%8" JSON_INTEGER_FORMAT "%s  %s%s\n", cli_bad(cli),
               number(f, "found"), cli_plain(cli), api_text(f, "sentence", "?"),
               number(f, "mended") ? ": mended" : "");
    printf("\n");
    json_array_foreach(json_object_get(report, "findings"), i, f) printf(
        "  %-20s %s\n", api_text(f, "fault", "?"), api_text(f, "where", "?"));
}

/* How many faults are left; *found is all. */
static json_int_t count_faults(const json_t *report, json_int_t *found)
{
    json_int_t left = 0;
    const json_t *f;
    size_t i;

    *found = 0;
    json_array_foreach(json_object_get(report, "faults"), i, f)
    {
        *found += number(f, "found");
        left += number(f, "found") - number(f, "mended");
    }
    return left;
}

static void print_report(struct cli *cli, const json_t *report,
                         json_int_t found)
{
    printf("%" JSON_INTEGER_FORMAT " entities and %" JSON_INTEGER_FORMAT
           " index rows were looked at: ",
           number(report, "entities"), number(report, "indexRows"));
    if (found == 0)
        printf("%severything fits together%s.\n", cli_good(cli),
               cli_plain(cli));
    else
        printf("%s%" JSON_INTEGER_FORMAT " faults%s.\n\n", cli_bad(cli), found,
               cli_plain(cli));
    if (found)
        print_findings(cli, report);
    if (number(report, "notJudged"))
        printf("%" JSON_INTEGER_FORMAT
               " entities changed at every look and were not judged.\n",
               number(report, "notJudged"));
}

int cli_datastore_verify(struct cli *cli)
{
    const char *project = cli_operand(cli, 0);
    struct api *api = api_open(cli);
    json_t *report = NULL;
    json_t *body = json_pack("{s:b}", "repair", cli_switch(cli, "repair"));
    json_int_t found, left;
    int rc =
        work(cli, api, body, project_path(cli, project, ":verify"), &report);

    json_decref(body);
    if (rc)
        return rc;
    left = count_faults(report, &found);
    if (cli->json)
        cli_print_json(report);
    else
        print_report(cli, report, found);
    json_decref(report);
    if (!left)
        return 0;
    return cli_fail(cli, CLI_FAILED,
                    arena_printf(&cli->arena,
                                 "appscale datastore verify --repair %s",
                                 project),
                    "%" JSON_INTEGER_FORMAT " faults are not mended", left);
}

/* ---- compact ---- */

int cli_datastore_compact(struct cli *cli)
{
    struct api *api = api_open(cli);
    json_t *done = NULL;
    int rc = work(cli, api, NULL, "/v1/platform/datastore:compact", &done);

    if (rc)
        return rc;
    if (cli->json)
        cli_print_json(done);
    else if (json_is_true(json_object_get(done, "compacted")))
        printf("The store took %s and takes %s now.\n",
               size(cli, number(done, "before")),
               size(cli, number(done, "after")));
    else
        printf("This storage backend keeps nothing that could be compacted.\n");
    json_decref(done);
    return 0;
}
