/*
 * `appscale services COMMAND`, and `appscale rollback`: services, the sharing
 * of their traffic, and how they scale.
 */
#include "cli/hosting.h"
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *service_path(struct cli *cli, const char *project,
                                const char *service)
{
    return arena_printf(&cli->arena, "/v1/apps/%s/services/%s",
                        api_escape(cli, project), api_escape(cli, service));
}

/* ---- list, describe ---- */

/* "v1 50 %, v2 50 % by cookie" */
static const char *split_text(struct arena *a, const json_t *service)
{
    const json_t *split = json_object_get(service, "split");
    json_t *shares = json_object_get(split, "allocations"), *share;
    const char *by = api_text(split, "shardBy", NULL), *id;
    struct buf text = BUF_IN(a);

    json_object_foreach(shares, id, share)
        buf_printf(&text, "%s%s %g %%", text.n ? ", " : "", id,
                   json_number_value(share) * 100);
    if (json_object_size(shares) > 1 && by)
        buf_printf(&text, " by %s",
                   strcmp(by, "COOKIE") == 0   ? "cookie"
                   : strcmp(by, "RANDOM") == 0 ? "chance"
                                               : "address");
    return text.n ? buf_cstr(&text) : "-";
}

static int services_list(struct cli *cli)
{
    struct table *t = ARENA_NEW(&cli->arena, struct table);
    struct api *api = api_open(cli);
    json_t *answer = NULL;
    const json_t *s;
    const char *project;
    size_t i;
    int rc = hosting_project(cli, api, &project);

    if (rc == 0)
        rc = api_call(api, "GET", &answer, NULL, "/v1/apps/%s/services",
                      api_escape(cli, project));
    *t = (struct table){
        .a = &cli->arena, .head = {"SERVICE", "TRAFFIC"}, .columns = 2};
    json_array_foreach(json_object_get(answer, "services"), i, s)
    {
        if (t->rows == TABLE_ROWS)
            break;
        t->cell[t->rows][0] = api_text(s, "id", "?");
        t->cell[t->rows++][1] = split_text(t->a, s);
    }
    if (rc == 0 && cli->json)
        cli_print_json(json_object_get(answer, "services"));
    else if (rc == 0)
        table_print(cli, t);
    json_decref(answer);
    return rc;
}

static int get_service(struct cli *cli, struct api *api, const char **project,
                       json_t **out)
{
    int rc = hosting_project(cli, api, project);

    if (rc == 0)
        rc = api_call(api, "GET", out, NULL, "%s",
                      service_path(cli, *project, cli_operand(cli, 0)));
    if (rc == ERR_NOT_FOUND)
        cli->next = "appscale services list shows what there is";
    return rc;
}

static int services_describe(struct cli *cli)
{
    struct api *api = api_open(cli);
    json_t *s = NULL;
    const char *project;
    int rc = get_service(cli, api, &project, &s);

    if (rc == 0)
        cli_print_json(s);
    json_decref(s);
    return rc;
}

static int services_delete(struct cli *cli)
{
    const char *project, *id = cli_operand(cli, 0);
    struct api *api = api_open(cli);
    int rc = hosting_project(cli, api, &project);

    if (rc == 0 && !cli_switch(cli, "yes") &&
        !cli_confirm(cli, "Delete the service and all of its versions?"))
        return cli_fail(cli, CLI_USAGE, "add --yes to delete without asking",
                        "the service %s was not deleted", id);
    if (rc == 0)
        rc = hosting_change(cli, api, "DELETE", service_path(cli, project, id),
                            NULL, NULL);
    if (rc == 0 && !cli->json)
        printf("The service %s of %s is gone.\n", id, project);
    return rc;
}

/* ---- set-traffic ---- */

/* "v1=.5,v2=.5" into the split's allocations. */
static int read_splits(struct cli *cli, json_t *shares)
{
    const char *given = cli_option(cli, "splits");
    char *list, *one, *rest = NULL, *end;

    if (!given)
        return cli_usage(cli, "--splits says who gets what: v1=.5,v2=.5");
    list = arena_strdup(&cli->arena, given);
    for (one = strtok_r(list, ",", &rest); one;
         one = strtok_r(NULL, ",", &rest)) {
        char *equals = strchr(one, '=');
        double share = equals ? strtod(equals + 1, &end) : 0;

        if (!equals || equals == one || end == equals + 1 || *end)
            return cli_usage(cli,
                             "\"%s\" of --splits is not VERSION=SHARE, as in "
                             "v1=.5",
                             one);
        *equals = '\0';
        json_object_set_new(shares, one, json_real(share));
    }
    return 0;
}

static int read_shard(struct cli *cli, const char **out)
{
    static const char *const words[][2] = {
        {"ip", "IP"}, {"cookie", "COOKIE"}, {"random", "RANDOM"}};
    const char *by = cli_option(cli, "split-by");

    *out = "IP";
    if (!by)
        return 0;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(by, words[i][0]) == 0) {
            *out = words[i][1];
            return 0;
        }
    return cli_usage(cli, "--split-by is ip, cookie or random, not \"%s\"", by);
}

/* Shares may be given in any unit: 1 and 3 are a quarter and three. */
static void make_whole(json_t *shares)
{
    const char *id;
    json_t *share;
    double sum = 0;

    json_object_foreach(shares, id, share) sum += json_number_value(share);
    if (sum <= 0 || (sum > 0.999 && sum < 1.001))
        return;
    json_object_foreach(shares, id, share)
        json_real_set(share, json_real_value(share) / sum);
}

static int services_set_traffic(struct cli *cli)
{
    json_t *shares = json_object(), *response = NULL;
    struct api *api = api_open(cli);
    const char *project, *by;
    int rc = read_splits(cli, shares);

    if (rc == 0)
        rc = read_shard(cli, &by);
    if (rc == 0)
        rc = hosting_project(cli, api, &project);
    if (rc == 0) {
        make_whole(shares);
        rc = hosting_change(
            cli, api, "PATCH",
            arena_printf(&cli->arena, "%s?updateMask=split%s",
                         service_path(cli, project, cli_operand(cli, 0)),
                         cli_switch(cli, "migrate") ? "&migrateTraffic=true"
                                                    : ""),
            json_pack("{s:{s:s, s:O}}", "split", "shardBy", by, "allocations",
                      shares),
            &response);
    }
    if (rc == 0)
        hosting_done(cli, response, "%s: %s.", cli_operand(cli, 0),
                     split_text(&cli->arena, response));
    json_decref(shares);
    json_decref(response);
    return rc;
}

/* ---- scaling ---- */

/* A number where it is one, else text ("2s"). */
static json_t *value_of(const char *text)
{
    char *end;
    double n = strtod(text, &end);

    if (end == text || *end)
        return json_string(text);
    return n == (double)(json_int_t)n ? json_integer((json_int_t)n)
                                      : json_real(n);
}

static int read_settings(struct cli *cli, json_t *out)
{
    const char *set = cli_option(cli, "set"), *unset = cli_option(cli, "unset");
    char *one, *rest = NULL;

    for (one = set ? strtok_r(arena_strdup(&cli->arena, set), ",", &rest)
                   : NULL;
         one; one = strtok_r(NULL, ",", &rest)) {
        char *equals = strchr(one, '=');

        if (!equals || equals == one)
            return cli_usage(cli,
                             "\"%s\" of --set is not NAME=VALUE, as in "
                             "max_instances=5",
                             one);
        *equals = '\0';
        json_object_set_new(out, one, value_of(equals + 1));
    }
    rest = NULL;
    for (one = unset ? strtok_r(arena_strdup(&cli->arena, unset), ",", &rest)
                     : NULL;
         one; one = strtok_r(NULL, ",", &rest))
        json_object_set_new(out, one, json_null());
    return 0;
}

static void print_scaling(const json_t *service)
{
    json_t *set = json_object_get(service, "scaling"), *value;
    const char *name;
    char *text;

    printf("%s scales as its versions say%s\n", api_text(service, "id", "?"),
           json_object_size(set) ? ", but for:" : ".");
    json_object_foreach(set, name, value)
    {
        text = json_dumps(value, JSON_ENCODE_ANY);
        printf("  %-32s %s\n", name, text);
        free(text);
    }
}

static int services_scaling(struct cli *cli)
{
    json_t *set = json_object(), *s = NULL;
    struct api *api = api_open(cli);
    const char *project;
    int rc = read_settings(cli, set);

    if (rc == 0 && json_object_size(set) == 0) {
        rc = get_service(cli, api, &project, &s);
    } else if (rc == 0) {
        rc = hosting_project(cli, api, &project);
        if (rc == 0)
            rc = hosting_change(
                cli, api, "PATCH",
                arena_printf(&cli->arena, "%s?updateMask=scaling",
                             service_path(cli, project, cli_operand(cli, 0))),
                json_pack("{s:O}", "scaling", set), &s);
    }
    if (rc == 0 && cli->json)
        cli_print_json(s);
    else if (rc == 0)
        print_scaling(s);
    json_decref(set);
    json_decref(s);
    return rc;
}

/* ---- rollback ---- */

int cli_rollback(struct cli *cli)
{
    const char *project, *id = cli_operand(cli, 0);
    struct api *api = api_open(cli);
    json_t *response = NULL;
    int rc = hosting_project(cli, api, &project);

    if (!id)
        id = "default";
    if (rc == 0)
        rc = hosting_change(cli, api, "POST",
                            arena_printf(&cli->arena, "%s:rollback",
                                         service_path(cli, project, id)),
                            NULL, &response);
    if (rc == 0)
        hosting_done(cli, response, "%s is back at: %s.", id,
                     split_text(&cli->arena, response));
    json_decref(response);
    return rc;
}

/* ---- the table ---- */

#define PROJECT                                                                \
    {                                                                          \
        "project", "ID", "the project; default: the only one", 0               \
    }

static const struct args_option project_options[] = {PROJECT, {0}};
static const struct args_option delete_options[] = {
    PROJECT,
    {"yes", NULL, "do not ask", 'y'},
    {0},
};
static const struct args_option traffic_options[] = {
    PROJECT,
    {"splits", "V=SHARE,...", "who gets what: v1=.5,v2=.5", 0},
    {"split-by", "WHAT", "ip (default), cookie or random", 0},
    {"migrate", NULL, "in steps, over some minutes", 0},
    {0},
};
static const struct args_option scaling_options[] = {
    PROJECT,
    {"set", "NAME=VALUE,...", "over what app.yaml says: max_instances=5", 0},
    {"unset", "NAME,...", "as app.yaml says again", 0},
    {0},
};

const struct cli_command cli_services_commands[] = {
    {
        .name = "list",
        .operands = "",
        .sentence = "Show the services of a project and who gets their traffic",
        .options = project_options,
        .run = services_list,
    },
    {
        .name = "describe",
        .operands = "SERVICE",
        .sentence = "Show all about a service, as JSON",
        .options = project_options,
        .run = services_describe,
        .min_operands = 1,
        .max_operands = 1,
    },
    {
        .name = "set-traffic",
        .operands = "SERVICE",
        .sentence = "Share a service's traffic among its versions",
        .help = "By ip a client stays with a version while its address stays; "
                "by cookie (GOOGAPPUID)\nas long as it keeps the cookie; by "
                "random each request is on its own. Versions answer\nbefore "
                "they get any; --migrate moves it in steps.",
        .options = traffic_options,
        .run = services_set_traffic,
        .min_operands = 1,
        .max_operands = 1,
    },
    {
        .name = "scaling",
        .operands = "SERVICE",
        .sentence = "Show or change how a service scales",
        .help =
            "NAME is a parameter of app.yaml (min_instances, "
            "max_concurrent_requests,\ntarget_cpu_utilization, "
            "max_pending_latency, idle_timeout, ...) or interval, the time\n"
            "between two looks at the load. It counts at once, for every "
            "version that has the\nparameter, until it is unset.",
        .options = scaling_options,
        .run = services_scaling,
        .min_operands = 1,
        .max_operands = 1,
    },
    {
        .name = "delete",
        .operands = "SERVICE",
        .sentence = "Delete a service with its versions; data stays",
        .options = delete_options,
        .run = services_delete,
        .min_operands = 1,
        .max_operands = 1,
    },
    {.name = NULL},
};
