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
           name, api_number(f, "count"),
           size(cli, api_number(f, "entityBytes")),
           api_number(f, "builtinIndexCount"),
           size(cli, api_number(f, "builtinIndexBytes")),
           api_number(f, "compositeIndexCount"),
           size(cli, api_number(f, "compositeIndexBytes")));
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

int cli_datastore_stats(struct cli *cli)
{
    const char *project = cli_operand(cli, 0);
    struct api *api = api_open(cli);
    json_t *all, *list = json_array(), *stats;
    const char *id, *gap = "";
    int rc = api_by_project(cli, api, project, stats_of, &all);

    json_object_foreach(all, id, stats)
    {
        if (rc == 0 && !cli->json) {
            printf("%s", gap);
            print_stats(cli, stats);
            gap = "\n";
        }
        json_array_append(list, stats);
    }
    if (rc == 0 && cli->json)
        cli_print_json(project ? json_array_get(list, 0) : list);
    else if (rc == 0 && json_array_size(list) == 0)
        printf("No application is deployed.\n");
    json_decref(list);
    json_decref(all);
    return rc;
}

/* ---- verify ---- */

static void print_findings(struct cli *cli, const json_t *report)
{
    const json_t *f;
    size_t i;

    json_array_foreach(json_object_get(report, "faults"), i, f) printf(
        "%s%8" JSON_INTEGER_FORMAT "%s  %s%s\n", cli_bad(cli),
        api_number(f, "found"), cli_plain(cli), api_text(f, "sentence", "?"),
        api_number(f, "mended") ? ": mended" : "");
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
        *found += api_number(f, "found");
        left += api_number(f, "found") - api_number(f, "mended");
    }
    return left;
}

static void print_report(struct cli *cli, const json_t *report,
                         json_int_t found)
{
    printf("%" JSON_INTEGER_FORMAT " entities and %" JSON_INTEGER_FORMAT
           " index rows were looked at: ",
           api_number(report, "entities"), api_number(report, "indexRows"));
    if (found == 0)
        printf("%severything fits together%s.\n", cli_good(cli),
               cli_plain(cli));
    else
        printf("%s%" JSON_INTEGER_FORMAT " faults%s.\n\n", cli_bad(cli), found,
               cli_plain(cli));
    if (found)
        print_findings(cli, report);
    if (api_number(report, "notJudged"))
        printf("%" JSON_INTEGER_FORMAT
               " entities changed at every look and were not judged.\n",
               api_number(report, "notJudged"));
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
               size(cli, api_number(done, "before")),
               size(cli, api_number(done, "after")));
    else
        printf("This storage backend keeps nothing that could be compacted.\n");
    json_decref(done);
    return 0;
}
