/*
 * `appscale logs`: the newest lines of a process or an application, and with
 * --follow what comes after them.
 *
 * The API has no stream; following asks again and prints what stands behind
 * the last line seen.  When more came than one answer holds, a note says so.
 */
#include "cli/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINES_DEFAULT = 100, LINES_MAX = 1000, FOLLOW_MS = 500 };

static const char *log_path(struct cli *cli, int64_t lines)
{
    const char *project = cli_option(cli, "project");
    const char *version = cli_option(cli, "version");
    const char *name = cli_operand(cli, 0);
    struct arena *a = &cli->arena;

    if (!project)
        return arena_printf(a, "/v1/platform/logs?name=%s&lines=%d",
                            api_escape(cli, name ? name : "controller"),
                            (int)lines);
    return arena_printf(
        a, "/v1/apps/%s/logs?lines=%d%s%s%s%s", api_escape(cli, project),
        (int)lines, name ? "&service=" : "", name ? api_escape(cli, name) : "",
        version ? "&version=" : "", version ? api_escape(cli, version) : "");
}

static const char *line_at(const json_t *lines, size_t i)
{
    const char *text = json_string_value(json_array_get(lines, i));

    return text ? text : "";
}

/*
 * Where the lines not seen yet begin: the longest end of `old` that `now`
 * begins with somewhere.  `now` holds the newest lines, so its part in common
 * with `old` is a run that ends `old`.
 */
static size_t first_new(const json_t *old, const json_t *now)
{
    size_t n_old = json_array_size(old), n = json_array_size(now);

    for (size_t end = n; end > 0; end--) {
        size_t same = 0;

        while (same < end && same < n_old &&
               strcmp(line_at(now, end - 1 - same),
                      line_at(old, n_old - 1 - same)) == 0)
            same++;
        if (same == end || same == n_old)
            return end;
    }
    return 0;
}

static void print_from(const json_t *lines, size_t from)
{
    for (size_t i = from; i < json_array_size(lines); i++)
        puts(line_at(lines, i));
    fflush(stdout);
}

static int get_lines(struct cli *cli, struct api *api, int64_t n,
                     json_t **lines)
{
    json_t *answer = NULL;
    int rc = api_call(api, "GET", &answer, NULL, "%s", log_path(cli, n));

    if (rc == 0) {
        *lines = json_object_get(answer, "lines");
        json_incref(*lines);
    }
    json_decref(answer);
    return rc;
}

static int follow(struct cli *cli, struct api *api, json_t **seen)
{
    struct arena step = ARENA_INIT;
    int rc = 0;

    while (rc == 0) {
        json_t *lines = NULL;

        usleep(FOLLOW_MS * 1000);
        rc = get_lines(cli, api, LINES_MAX, &lines);
        if (rc == 0) {
            print_from(lines, first_new(*seen, lines));
            json_decref(*seen);
            *seen = lines;
        }
        arena_reset(&step);
    }
    arena_release(&step);
    return rc;
}

int cli_logs(struct cli *cli)
{
    struct api *api = api_open(cli);
    json_t *lines = NULL;
    int64_t n;
    int rc = args_number(&cli->ctx, &cli->args, "lines", 1, LINES_MAX,
                         LINES_DEFAULT, &n);

    if (rc < 0)
        return cli_usage(cli, "%s", cli->ctx.err.message);
    if (cli_switch(cli, "version") && !cli_switch(cli, "project"))
        return cli_usage(cli, "--version goes with --project ID");
    rc = get_lines(cli, api, n, &lines);
    if (rc == ERR_NOT_FOUND)
        cli->next = "appscale status lists what there is";
    if (rc < 0)
        return rc;
    if (cli->json)
        cli_print_json(lines);
    else
        print_from(lines, 0);
    if (cli_switch(cli, "follow") && !cli->json) {
        json_decref(lines);
        lines = NULL;
        rc = get_lines(cli, api, LINES_MAX, &lines);
        if (rc == 0)
            rc = follow(cli, api, &lines);
    }
    json_decref(lines);
    return rc;
}
