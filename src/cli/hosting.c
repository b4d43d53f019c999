/* hosting - the project, and changes that are followed to their end. */
#include "cli/hosting.h"

#include <stdarg.h>
#include <stdio.h>

static int not_one(struct cli *cli, const json_t *apps)
{
    struct buf names = BUF_IN(&cli->arena);
    const json_t *app;
    size_t i;

    if (json_array_size(apps) == 0)
        return cli_fail(cli, CLI_FAILED, "appscale deploy DIR",
                        "no application is deployed");
    json_array_foreach(apps, i, app)
        buf_printf(&names, "%s%s", i ? ", " : "", api_text(app, "id", "?"));
    return cli_usage(cli, "name one of the projects with --project: %s",
                     buf_cstr(&names));
}

int hosting_project(struct cli *cli, struct api *api, const char **out)
{
    json_t *answer = NULL;
    const json_t *apps;
    int rc = 0;

    *out = cli_option(cli, "project");
    if (*out)
        return 0;
    rc = api_call(api, "GET", &answer, NULL, "/v1/apps");
    apps = json_object_get(answer, "apps");
    if (rc == 0 && json_array_size(apps) == 1)
        *out = arena_strdup(&cli->arena,
                            api_text(json_array_get(apps, 0), "id", "?"));
    else if (rc == 0)
        rc = not_one(cli, apps);
    json_decref(answer);
    return rc;
}

const char *hosting_service_path(struct cli *cli, const char *project)
{
    const char *service = cli_option(cli, "service");

    return arena_printf(&cli->arena, "/v1/apps/%s/services/%s",
                        api_escape(cli, project),
                        api_escape(cli, service ? service : "default"));
}

int hosting_change(struct cli *cli, struct api *api, const char *method,
                   const char *path, json_t *body, json_t **response)
{
    struct progress progress;
    json_t *op = NULL;
    int rc = api_call(api, method, &op, body, "%s", path);

    json_decref(body);
    if (rc == ERR_NOT_FOUND)
        cli->next = "appscale versions list shows what there is";
    if (rc)
        return rc;
    progress_init(&progress, cli->json);
    rc = api_wait(api, op, &progress, response);
    progress_end(&progress, rc == 0);
    return rc;
}

void hosting_done(struct cli *cli, const json_t *response, const char *fmt, ...)
{
    va_list ap;

    if (cli->json) {
        cli_print_json(response);
        return;
    }
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
}
