/*
 * `appscale datastore read-only`: stop the writes of an application's
 * datastore, or of every one's, or let them go on.
 */
#include "cli/api.h"
#include "cli/datastore.h"

#include <stdio.h>

void datastore_print_mode(const struct cli *cli, const json_t *mode)
{
    const json_t *app;
    size_t i;

    if (json_is_true(json_object_get(mode, "all")))
        printf("%sThe datastore is read-only for every application.%s\n",
               cli_bad(cli), cli_plain(cli));
    json_array_foreach(json_object_get(mode, "apps"), i, app)
        printf("%sThe datastore is read-only for %s.%s\n", cli_bad(cli),
               json_string_value(app), cli_plain(cli));
}

static void print_answer(struct cli *cli, const json_t *mode)
{
    if (cli->json) {
        cli_print_json(mode);
        return;
    }
    if (json_is_false(json_object_get(mode, "all")) &&
        json_array_size(json_object_get(mode, "apps")) == 0)
        printf("The datastore takes writes of every application.\n");
    datastore_print_mode(cli, mode);
}

int cli_datastore_read_only(struct cli *cli)
{
    const char *word = cli_operand(cli, 0), *project = cli_operand(cli, 1);
    struct api *api = api_open(cli);
    json_t *body, *mode = NULL;
    int rc;

    if (strcmp(word, "on") != 0 && strcmp(word, "off") != 0)
        return cli_usage(cli, "\"%s\" is neither on nor off", word);
    body = json_pack("{s:b}", "readOnly", strcmp(word, "on") == 0);
    if (project)
        rc = api_call(api, "PATCH", &mode, body, "/v1/apps/%s/datastore",
                      api_escape(cli, project));
    else
        rc = api_call(api, "PATCH", &mode, body, "/v1/platform/datastore");
    json_decref(body);
    if (rc == 0)
        print_answer(cli, mode);
    json_decref(mode);
    return rc;
}
