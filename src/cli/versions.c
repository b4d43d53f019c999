/*
 * `appscale versions COMMAND`: the versions of a service.
 *
 * Several may run side by side; who gets the traffic is the service's matter
 * (services.c), and `migrate` its short form: all to one.
 */
#include "cli/hosting.h"
#include "cli/table.h"

#include <stdio.h>
#include <string.h>

/* ---- list ---- */

static const char *share_text(struct arena *a, const json_t *service,
                              const char *version)
{
    const json_t *split = json_object_get(service, "split");
    const json_t *shares = json_object_get(split, "allocations");
    double share = json_number_value(json_object_get(shares, version));

    return share > 0 ? arena_printf(a, "%g %%", share * 100) : "-";
}

static const char *scaling_text(const json_t *v)
{
    if (json_object_get(v, "manualScaling"))
        return "manual";
    return json_object_get(v, "basicScaling") ? "basic" : "automatic";
}

static const char *state_text(const json_t *v)
{
    return strcmp(api_text(v, "servingStatus", ""), "STOPPED") == 0 ? "stopped"
                                                                    : "serving";
}

static void release(void *json)
{
    json_decref(json);
}

static int add_rows(struct cli *cli, struct api *api, const char *path,
                    const json_t *service, struct table *t, json_t *all)
{
    const char *id = api_text(service, "id", "?");
    json_t *answer = NULL;
    const json_t *v;
    size_t i;
    int rc = api_call(api, "GET", &answer, NULL, "%s/%s/versions", path,
                      api_escape(cli, id));

    json_array_foreach(json_object_get(answer, "versions"), i, v)
    {
        const char **cell;

        json_array_append(all, (json_t *)(uintptr_t)v);
        if (t->rows == TABLE_ROWS)
            continue;
        cell = t->cell[t->rows++];
        cell[0] = id;
        cell[1] = api_text(v, "id", "?");
        cell[2] = share_text(t->a, service, cell[1]);
        cell[3] = state_text(v);
        cell[4] = scaling_text(v);
        cell[5] = api_text(v, "runtime", "?");
        cell[6] = api_moment(t->a, api_text(v, "createTime", NULL));
    }
    /* The cells point into it, and go with the arena of the command. */
    arena_on_reset(&cli->arena, release, answer);
    return rc;
}

static int versions_list(struct cli *cli)
{
    struct table *t = ARENA_NEW(&cli->arena, struct table);
    const char *project, *only = cli_option(cli, "service"), *path = "";
    struct api *api = api_open(cli);
    json_t *services = NULL, *all = json_array();
    const json_t *s;
    size_t i;
    int rc = hosting_project(cli, api, &project);

    *t = (struct table){.a = &cli->arena,
                        .head = {"SERVICE", "VERSION", "TRAFFIC", "STATE",
                                 "SCALING", "RUNTIME", "CREATED (UTC)"},
                        .columns = 7};
    if (rc == 0) {
        path = arena_printf(&cli->arena, "/v1/apps/%s/services",
                            api_escape(cli, project));
        rc = api_call(api, "GET", &services, NULL, "%s", path);
    }
    json_array_foreach(json_object_get(services, "services"), i, s)
    {
        if (rc == 0 && (!only || strcmp(only, api_text(s, "id", "")) == 0))
            rc = add_rows(cli, api, path, s, t, all);
    }
    if (rc == 0 && cli->json)
        cli_print_json(all);
    else if (rc == 0)
        table_print(cli, t);
    json_decref(services);
    json_decref(all);
    return rc;
}

static int versions_describe(struct cli *cli)
{
    struct api *api = api_open(cli);
    json_t *v = NULL;
    const char *project;
    int rc = hosting_project(cli, api, &project);

    if (rc == 0)
        rc = api_call(api, "GET", &v, NULL, "%s/versions/%s?view=FULL",
                      hosting_service_path(cli, project),
                      api_escape(cli, cli_operand(cli, 0)));
    if (rc == ERR_NOT_FOUND)
        cli->next = "appscale versions list shows what there is";
    if (rc == 0)
        cli_print_json(v);
    json_decref(v);
    return rc;
}

/* ---- changes ---- */

static int versions_migrate(struct cli *cli)
{
    const char *project, *id = cli_operand(cli, 0);
    bool gradual = cli_switch(cli, "gradually");
    struct api *api = api_open(cli);
    json_t *body, *response = NULL;
    int rc = hosting_project(cli, api, &project);

    if (rc)
        return rc;
    body = json_pack("{s:{s:s, s:{s:i}}}", "split", "shardBy", "IP",
                     "allocations", id, 1);
    rc = hosting_change(cli, api, "PATCH",
                        arena_printf(&cli->arena, "%s?updateMask=split%s",
                                     hosting_service_path(cli, project),
                                     gradual ? "&migrateTraffic=true" : ""),
                        body, &response);
    if (rc == 0)
        hosting_done(cli, response, "Version %s of %s %s.", id, project,
                     gradual ? "gets more and more of the traffic"
                             : "has the traffic");
    json_decref(response);
    return rc;
}

/* The same for each version that was named, up to the first failure. */
static int for_each(struct cli *cli, const char *method, const char *query,
                    const char *status, const char *sentence)
{
    struct api *api = api_open(cli);
    const char *project, *id;
    int rc = hosting_project(cli, api, &project);

    for (int i = 0; rc == 0 && (id = cli_operand(cli, i)); i++) {
        json_t *response = NULL;

        rc = hosting_change(cli, api, method,
                            arena_printf(&cli->arena, "%s/versions/%s%s",
                                         hosting_service_path(cli, project),
                                         api_escape(cli, id), query),
                            status ? json_pack("{s:s}", "servingStatus", status)
                                   : NULL,
                            &response);
        if (rc == 0)
            hosting_done(cli, response, "Version %s %s.", id, sentence);
        json_decref(response);
    }
    return rc;
}

static int versions_start(struct cli *cli)
{
    return for_each(cli, "PATCH", "?updateMask=servingStatus", "SERVING",
                    "serves");
}

static int versions_stop(struct cli *cli)
{
    return for_each(cli, "PATCH", "?updateMask=servingStatus", "STOPPED",
                    "is stopped; `appscale versions start` starts it again");
}

static int versions_delete(struct cli *cli)
{
    if (!cli_switch(cli, "yes") &&
        !cli_confirm(cli, "Delete these versions for good?"))
        return cli_fail(cli, CLI_USAGE, "add --yes to delete without asking",
                        "no version was deleted");
    return for_each(cli, "DELETE", "", NULL, "is gone");
}

/* ---- the table ---- */

#define WHERE                                                                  \
    {"project", "ID", "the project; default: the only one", 0},                \
    {                                                                          \
        "service", "S", "the service (default)", 0                             \
    }

static const struct args_option where_options[] = {WHERE, {0}};
static const struct args_option migrate_options[] = {
    WHERE,
    {"gradually", NULL, "in steps, over some minutes", 0},
    {0},
};
static const struct args_option delete_options[] = {
    WHERE,
    {"yes", NULL, "do not ask", 'y'},
    {0},
};

const struct cli_command cli_versions_commands[] = {
    {
        .name = "list",
        .operands = "",
        .sentence = "Show the versions of a project, and who gets the traffic",
        .help = "With --service those of one service alone.",
        .options = where_options,
        .run = versions_list,
    },
    {
        .name = "describe",
        .operands = "VERSION",
        .sentence = "Show all about a version, as JSON",
        .options = where_options,
        .run = versions_describe,
        .min_operands = 1,
        .max_operands = 1,
    },
    {
        .name = "migrate",
        .operands = "VERSION",
        .sentence = "Give all of its service's traffic to a version",
        .help = "It answers before it gets any. --gradually moves it in steps; "
                "the version needs\nautomatic scaling and warmup requests.",
        .options = migrate_options,
        .run = versions_migrate,
        .min_operands = 1,
        .max_operands = 1,
    },
    {
        .name = "start",
        .operands = "VERSION...",
        .sentence = "Start versions that were stopped",
        .options = where_options,
        .run = versions_start,
        .min_operands = 1,
        .max_operands = ARGS_MAX,
    },
    {
        .name = "stop",
        .operands = "VERSION...",
        .sentence = "Stop versions with basic or manual scaling",
        .help = "Their instances finish what they have and end, and stay away "
                "until the version is\nstarted.",
        .options = where_options,
        .run = versions_stop,
        .min_operands = 1,
        .max_operands = ARGS_MAX,
    },
    {
        .name = "delete",
        .operands = "VERSION...",
        .sentence = "Delete versions that have no traffic",
        .options = delete_options,
        .run = versions_delete,
        .min_operands = 1,
        .max_operands = ARGS_MAX,
    },
    {.name = NULL},
};
