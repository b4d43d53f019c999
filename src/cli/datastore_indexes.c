/*
 * `appscale datastore indexes` and `vacuum`: what composite indexes there are,
 * and deleting those that nobody names any more.
 */
#include "cli/api.h"
#include "cli/datastore.h"
#include "cli/table.h"

#include <inttypes.h>
#include <stdio.h>

const char *datastore_index_text(struct arena *a, const json_t *index)
{
    struct buf b = BUF_IN(a);
    const json_t *p;
    size_t i;

    buf_printf(&b, "%s (", api_text(index, "kind", "?"));
    json_array_foreach(json_object_get(index, "properties"), i, p)
    {
        bool desc = strcmp(api_text(p, "direction", ""), "DESCENDING") == 0;

        buf_printf(&b, "%s%s%s", i ? ", " : "", desc ? "-" : "",
                   api_text(p, "name", "?"));
    }
    buf_printf(&b, ")%s",
               strcmp(api_text(index, "ancestor", "NONE"), "NONE") != 0
                   ? " ancestor"
                   : "");
    return buf_cstr(&b);
}

/* "building 40 % (200 of 500)", "deleting (1000 gone)" */
static const char *state_text(struct arena *a, const json_t *index)
{
    const char *state = api_text(index, "state", "?");
    const json_t *progress = json_object_get(index, "progress");
    json_int_t done = api_number(progress, "workCompleted");
    json_int_t total = api_number(progress, "workEstimated");

    if (strcmp(state, "CREATING") == 0 && total > 0)
        return arena_printf(a,
                            "building %d %% (%" JSON_INTEGER_FORMAT
                            " of %" JSON_INTEGER_FORMAT ")",
                            done < total ? (int)(100 * done / total) : 100,
                            done, total);
    if (strcmp(state, "CREATING") == 0)
        return "building";
    if (strcmp(state, "DELETING") == 0)
        return done ? arena_printf(
                          a, "deleting (%" JSON_INTEGER_FORMAT " gone)", done)
                    : "deleting";
    if (strcmp(state, "ERROR") == 0)
        return "error: an entity has too many entries for it";
    return strcmp(state, "READY") == 0 ? "serving" : state;
}

static void add_rows(struct table *t, const char *project, const json_t *answer)
{
    const json_t *index;
    size_t i;

    json_array_foreach(json_object_get(answer, "indexes"), i, index)
    {
        const char **row = t->cell[t->rows];

        if (t->rows == TABLE_ROWS)
            return;
        row[0] = project;
        row[1] = datastore_index_text(t->a, index);
        row[2] = state_text(t->a, index);
        row[3] = arena_printf(
            t->a, "%s%" JSON_INTEGER_FORMAT,
            json_is_true(json_object_get(index, "entriesExact")) ? "" : "over ",
            api_number(index, "entries"));
        row[4] = json_is_true(json_object_get(index, "named")) ? "yes" : "no";
        t->rows++;
    }
}

static int get_indexes(struct cli *cli, struct api *api, const char *project,
                       json_t **out)
{
    return api_call(api, "GET", out, NULL, "/v1/apps/%s/indexes",
                    api_escape(cli, project));
}

static void print_all(struct cli *cli, json_t *all)
{
    struct table *t = ARENA_NEW(&cli->arena, struct table);
    const char *project;
    json_t *answer;

    t->a = &cli->arena;
    t->columns = 5;
    memcpy(t->head,
           (const char *[TABLE_COLUMNS]){"PROJECT", "INDEX", "STATE", "ENTRIES",
                                         "IN INDEX.YAML"},
           5 * sizeof(t->head[0]));
    json_object_foreach(all, project, answer)
    {
        add_rows(t, project, answer);
    }
    if (t->rows)
        table_print(cli, t);
    else
        printf("There are no composite indexes.\n");
}

int cli_datastore_indexes(struct cli *cli)
{
    const char *project = cli_operand(cli, 0);
    struct api *api = api_open(cli);
    json_t *all;
    int rc = api_by_project(cli, api, project, get_indexes, &all);

    if (rc == 0 && cli->json)
        cli_print_json(project ? json_object_get(all, project) : all);
    else if (rc == 0)
        print_all(cli, all);
    json_decref(all);
    return rc;
}

/* ---- vacuum ---- */

/* The ids of what may go, each shown. */
static json_t *choose(struct cli *cli, const json_t *answer)
{
    json_t *ids = json_array();
    const json_t *index;
    size_t i;

    json_array_foreach(json_object_get(answer, "indexes"), i, index)
    {
        if (json_is_true(json_object_get(index, "named")) ||
            strcmp(api_text(index, "state", ""), "DELETING") == 0)
            continue;
        json_array_append_new(ids, json_integer(api_number(index, "indexId")));
        fprintf(stderr, "  %s: %" JSON_INTEGER_FORMAT "%s entries\n",
                datastore_index_text(&cli->arena, index),
                api_number(index, "entries"),
                json_is_true(json_object_get(index, "entriesExact")) ? ""
                                                                     : "+");
    }
    return ids;
}

static int vacuum(struct cli *cli, struct api *api, const char *project,
                  json_t *ids)
{
    json_t *body = json_pack("{s:O}", "indexIds", ids), *done = NULL;
    int rc = api_call(api, "POST", &done, body, "/v1/apps/%s/indexes:vacuum",
                      api_escape(cli, project));

    json_decref(body);
    if (rc == 0 && cli->json)
        cli_print_json(done);
    else if (rc == 0)
        printf("%" JSON_INTEGER_FORMAT
               " deleted; the entries go in the background "
               "(appscale datastore indexes %s).\n",
               api_number(done, "deleted"), project);
    json_decref(done);
    return rc;
}

static int confirm_and_vacuum(struct cli *cli, struct api *api,
                              const char *project, const json_t *answer)
{
    json_t *ids;
    int rc = 0;

    if (!json_is_true(json_object_get(answer, "deployed")))
        return cli_fail(cli, CLI_FAILED,
                        "deploy the application with its index.yaml first",
                        "no index.yaml of %s was ever deployed, so nothing "
                        "tells which indexes it needs",
                        project);
    ids = choose(cli, answer);
    if (json_array_size(ids) == 0 && cli->json)
        printf("{\"deleted\": 0}\n");
    else if (json_array_size(ids) == 0)
        printf("Every index of %s is in its index.yaml.\n", project);
    else if (!cli_switch(cli, "yes") &&
             !cli_confirm(cli, "Delete these indexes?"))
        rc = cli_fail(cli, CLI_USAGE, "add --yes to delete without asking",
                      "no index of %s was deleted", project);
    else
        rc = vacuum(cli, api, project, ids);
    json_decref(ids);
    return rc;
}

int cli_datastore_vacuum(struct cli *cli)
{
    const char *project = cli_operand(cli, 0);
    struct api *api = api_open(cli);
    json_t *all;
    int rc = api_by_project(cli, api, project, get_indexes, &all);

    if (rc == 0)
        rc = confirm_and_vacuum(cli, api, project,
                                json_object_get(all, project));
    json_decref(all);
    return rc;
}
