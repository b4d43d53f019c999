/* token - a credential of a project for a program elsewhere. */
#include "cli/api.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

/* What a worker of a pull queue needs. */
#define SCOPE "https://www.googleapis.com/auth/taskqueue"

/* {"scopes": [...]} of a list with commas. */
static json_t *scopes_body(const char *list)
{
    json_t *scopes = json_array();

    for (const char *p = list; *p; p += strspn(p, ",")) {
        size_t n = strcspn(p, ",");

        if (n)
            json_array_append_new(scopes, json_stringn(p, n));
        p += n;
    }
    return json_pack("{s:o}", "scopes", scopes);
}

int cli_token(struct cli *cli)
{
    const char *audience = cli_option(cli, "audience");
    const char *scopes = cli_option(cli, "scopes");
    json_t *body, *answer = NULL;
    int rc;

    if (audience && scopes)
        return cli_usage(cli, "either --audience or --scopes, not both");
    body = audience ? json_pack("{s:s}", "audience", audience)
                    : scopes_body(scopes ? scopes : SCOPE);
    rc = api_call(api_open(cli), "POST", &answer, body, "/v1/apps/%s:token",
                  api_escape(cli, cli_operand(cli, 0)));
    json_decref(body);
    if (rc == ERR_NOT_FOUND)
        cli->next = "appscale status lists the projects";
    if (rc == 0 && cli->json)
        cli_print_json(answer);
    else if (rc == 0)
        printf("%s\n", api_text(answer, "token", ""));
    json_decref(answer);
    return rc;
}
