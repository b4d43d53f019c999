/*
 * `appscale logs`: the newest lines of a process or an application, and with
 * --follow what comes after them.
 *
 * The API has no stream; following asks again and prints what stands behind
 * the last line seen.
 */
#include "cli/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINES_DEFAULT = 100, LINES_MAX = 1000, FOLLOW_MS = 500 };

/* Whose log: a project when one has that name, else a process. */
struct source {
    const char *project, *service, *version; /* or NULL */
    const char *process;
    bool build; /* the log of its last build */
};

static bool is_project(const json_t *status, const char *name)
{
    const json_t *app;
    size_t i;

    json_array_foreach(json_object_get(status, "apps"), i, app)
    {
        if (strcmp(api_text(app, "id", ""), name) == 0)
            return true;
    }
    return false;
}

static int find_source(struct cli *cli, struct api *api, struct source *out)
{
    const char *name = cli_operand(cli, 0);
    json_t *status = NULL;
    int rc = api_call(api, "GET", &status, NULL, "/v1/platform/status");

    if (rc < 0)
        return rc;
    *out = (struct source){
        .service = cli_option(cli, "service"),
        .version = cli_option(cli, "version"),
        .process = name ? name : "controller",
        .build = cli_switch(cli, "build"),
    };
    if (name && is_project(status, name))
        out->project = name;
    json_decref(status);
    if (!out->project && (out->service || out->version || out->build))
        return cli_usage(cli, "--service, --version and --build go with the "
                              "name of a deployed project");
    return 0;
}

static const char *log_path(struct cli *cli, const struct source *from,
                            int64_t lines)
{
    struct arena *a = &cli->arena;

    if (!from->project)
        return arena_printf(a, "/v1/platform/logs?name=%s&lines=%d",
                            api_escape(cli, from->process), (int)lines);
    return arena_printf(a, "/v1/apps/%s/logs?lines=%d%s%s%s%s%s",
                        api_escape(cli, from->project), (int)lines,
                        from->build ? "&build=true" : "",
                        from->service ? "&service=" : "",
                        from->service ? api_escape(cli, from->service) : "",
                        from->version ? "&version=" : "",
                        from->version ? api_escape(cli, from->version) : "");
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

static int get_lines(struct api *api, const char *path, json_t **lines)
{
    json_t *answer = NULL;
    int rc = api_call(api, "GET", &answer, NULL, "%s", path);

    if (rc == 0) {
        *lines = json_object_get(answer, "lines");
        json_incref(*lines);
    }
    json_decref(answer);
    return rc;
}

/* Until somebody presses Ctrl-C or the platform goes down. */
static int follow(struct api *api, const char *path, json_t *seen)
{
    int rc = 0;

    while (rc == 0) {
        json_t *lines = NULL;

        usleep(FOLLOW_MS * 1000);
        rc = get_lines(api, path, &lines);
        if (rc < 0)
            break;
        print_from(lines, first_new(seen, lines));
        json_decref(seen);
        seen = lines;
    }
    json_decref(seen);
    return rc;
}

static int show(struct cli *cli, struct api *api, const struct source *from,
                int64_t n)
{
    json_t *lines = NULL, *newest;
    int rc = get_lines(
        api, log_path(cli, from, cli_switch(cli, "follow") ? LINES_MAX : n),
        &lines);
    size_t all = json_array_size(lines);

    if (rc == ERR_NOT_FOUND)
        cli->next = "appscale status lists what there is";
    if (rc < 0)
        return rc;
    newest = json_array();
    for (size_t i = all > (size_t)n ? all - (size_t)n : 0; i < all; i++)
        json_array_append(newest, json_array_get(lines, i));
    if (cli->json)
        cli_print_json(newest);
    else
        print_from(newest, 0);
    json_decref(newest);
    if (cli_switch(cli, "follow") && !cli->json)
        return follow(api, log_path(cli, from, LINES_MAX), lines);
    json_decref(lines);
    return 0;
}

int cli_logs(struct cli *cli)
{
    struct api *api = api_open(cli);
    struct source from;
    int64_t n;
    int rc = args_number(&cli->ctx, &cli->args, "lines", 1, LINES_MAX,
                         LINES_DEFAULT, &n);

    if (rc < 0)
        return cli_usage(cli, "%s", cli->ctx.err.message);
    rc = find_source(cli, api, &from);
    return rc ? rc : show(cli, api, &from, n);
}
