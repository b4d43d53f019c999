/*
 * `appscale logs`: what applications, their requests and the platform's own
 * processes say, the newest entries, merged by time; with --follow what comes
 * after them.
 *
 * Following asks again with the cursor of the last answer, so an entry comes
 * once, across rotation and restarts of the controller.
 */
#include "cli/api.h"

#include "base/clock.h"
#include "base/log_writer.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    LINES_DEFAULT = 100,
    LINES_MAX = 1000,
    FOLLOW_MS = 500,
    PATIENCE = 20, /* times that nobody answers: a controller starts again */
};

/* Whose logs: a project when one has that name, else a process, or all. */
struct source {
    const char *project, *process; /* or NULL */
    const char *query;             /* "&service=s..." */
};

static const char *const project_options[] = {
    "service", "version", "instance", "requests", "no-requests", "build"};

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
    int rc = 0;

    *out = (struct source){.process = name};
    if (name)
        rc = api_call(api, "GET", &status, NULL, "/v1/platform/status");
    if (rc < 0)
        return rc;
    if (name && is_project(status, name))
        *out = (struct source){.project = name};
    json_decref(status);
    for (size_t i = 0; !out->project &&
                       i < sizeof(project_options) / sizeof(project_options[0]);
         i++)
        if (cli_switch(cli, project_options[i]))
            return cli_usage(cli,
                             "--%s goes with the name of a deployed project",
                             project_options[i]);
    return 0;
}

/* ---- the question ---- */

/* "10m", "2h": seconds; false when it is none. */
static bool read_ago(const char *text, int64_t *out)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char *end;
    int64_t n = strtoll(text, &end, 10);

    if (!isdigit((unsigned char)*text) || n > INT32_MAX || !*end || end[1])
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (units[i].unit == *end) {
            *out = n * units[i].seconds;
            return true;
        }
    return false;
}

/* A moment as the API wants it: so long ago, a day, or a time in UTC. */
static int read_moment(struct cli *cli, const char *option, const char **out)
{
    const char *text = cli_option(cli, option), *whole = text;
    int64_t ago, time;

    *out = NULL;
    if (!text)
        return 0;
    if (read_ago(text, &ago)) {
        time_t then = (time_t)(clock_wall() / CLOCK_SEC - ago);
        struct tm tm;
        char day[32];

        gmtime_r(&then, &tm);
        strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%SZ", &tm);
        *out = arena_strdup(&cli->arena, day);
        return 0;
    }
    if (strlen(text) == 10)
        whole = arena_printf(&cli->arena, "%sT00:00:00Z", text);
    else if (*text && text[strlen(text) - 1] != 'Z')
        whole = arena_printf(&cli->arena, "%sZ", text);
    *out = whole;
    if (*text && log_time_parse(bytes_str(whole), &time) == strlen(whole))
        return 0;
    return cli_usage(cli,
                     "--%s is \"%s\"; write 10m, 2h or 3d for so long ago, or "
                     "2026-11-26, or 2026-11-26T08:00:00 (UTC)",
                     option, text);
}

static void add(struct cli *cli, struct buf *query, const char *name,
                const char *value)
{
    if (value)
        buf_printf(query, "&%s=%s", name, api_escape(cli, value));
}

/* What an option says, or all that it does when it comes again: "a,b". */
static const char *joined(struct cli *cli, const char *name)
{
    const struct args *args = &cli->args;
    const char *all = NULL;

    for (int i = 0; i < args->n_given; i++)
        if (strcmp(args->given[i].option->name, name) == 0)
            all = all ? arena_printf(&cli->arena, "%s,%s", all,
                                     args->given[i].value)
                      : args->given[i].value;
    return all;
}

static int make_query(struct cli *cli, struct source *from)
{
    struct buf query = BUF_IN(&cli->arena);
    const char *since, *until;
    int rc = read_moment(cli, "since", &since);

    if (rc == 0)
        rc = read_moment(cli, "until", &until);
    if (rc == 0 && cli_switch(cli, "requests") &&
        cli_switch(cli, "no-requests"))
        rc = cli_usage(cli, "either --requests or --no-requests, not both");
    if (rc)
        return rc;
    add(cli, &query, "name", from->process);
    add(cli, &query, "service", joined(cli, "service"));
    add(cli, &query, "version", joined(cli, "version"));
    add(cli, &query, "instance", cli_option(cli, "instance"));
    add(cli, &query, "severity", cli_option(cli, "severity"));
    add(cli, &query, "text", cli_option(cli, "grep"));
    add(cli, &query, "since", since);
    add(cli, &query, "until", until);
    if (cli_switch(cli, "build"))
        add(cli, &query, "build", "true");
    if (cli_switch(cli, "requests"))
        add(cli, &query, "requests", "only");
    if (cli_switch(cli, "no-requests"))
        add(cli, &query, "requests", "none");
    from->query = buf_cstr(&query);
    return 0;
}

static int ask(struct api *api, const struct source *from, int64_t lines,
               const char *cursor, json_t **answer)
{
    return api_call(api, "GET", answer, NULL, "%s%s%s?lines=%d%s%s%s",
                    from->project ? "/v1/apps/" : "/v1/platform",
                    from->project ? from->project : "", "/logs", (int)lines,
                    from->query, cursor ? "&cursor=" : "",
                    cursor ? cursor : "");
}

/* ---- what is shown ---- */

/* Fit for a terminal, lines kept. */
static void print_text(const char *text)
{
    bool person = isatty(STDOUT_FILENO);

    for (const char *c = text; *c; c++)
        putchar(
            person && (((unsigned char)*c < ' ' && *c != '\n' && *c != '\t') ||
                       *c == 0x7f)
                ? '?'
                : *c);
    putchar('\n');
}

static const char *severity_color(struct cli *cli, const char *severity)
{
    static const char *const bad[] = {"ERROR", "CRITICAL", "ALERT",
                                      "EMERGENCY"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (strcmp(severity, bad[i]) == 0)
            return cli_bad(cli);
    return strcmp(severity, "WARNING") == 0 ? cli_bold(cli) : "";
}

/* TIME SOURCE INSTANCE SEVERITY TEXT; "-" for what an entry has not. */
static void print_entry(struct cli *cli, const struct source *from,
                        const json_t *e)
{
    const char *severity = api_text(e, "severity", "DEFAULT");
    const char *instance = api_text(e, "instance", NULL);
    const char *color = severity_color(cli, severity);

    printf("%s%s%s %s ", cli_dim(cli), api_text(e, "time", "-"), cli_plain(cli),
           api_text(e, "source", "-"));
    if (from->project)
        printf("%s%s ", instance ? "i" : "-", instance ? instance : "");
    printf("%s%s%s ", color, strcmp(severity, "DEFAULT") == 0 ? "-" : severity,
           *color ? cli_plain(cli) : "");
    print_text(api_text(e, "text", ""));
}

static void print_answer(struct cli *cli, const struct source *from,
                         const json_t *answer)
{
    const json_t *e, *line;
    size_t i;

    if (json_is_true(json_object_get(answer, "lost")))
        fprintf(stderr, "appscale logs: some lines are missing here: the log "
                        "grew faster than it was read\n");
    json_array_foreach(json_object_get(answer, "lines"), i, line)
        print_text(json_string_value(line));
    json_array_foreach(json_object_get(answer, "entries"), i, e)
    {
        if (cli->json)
            json_dumpf(e, stdout, JSON_COMPACT);
        if (cli->json)
            putchar('\n');
        else
            print_entry(cli, from, e);
    }
    fflush(stdout);
}

/* What came after the cursor; a controller that starts again is waited for. */
static int ask_again(struct cli *cli, struct api *api,
                     const struct source *from, const char *cursor,
                     json_t **answer)
{
    int rc = ask(api, from, LINES_MAX, cursor, answer);

    for (int i = 0; rc == ERR_UNAVAILABLE && i < PATIENCE; i++) {
        usleep(FOLLOW_MS * 1000);
        ctx_err_clear(&cli->ctx);
        rc = ask(api, from, LINES_MAX, cursor, answer);
    }
    return rc;
}

/* Until somebody presses Ctrl-C or the platform goes down. */
static int follow(struct cli *cli, struct api *api, const struct source *from,
                  json_t *last)
{
    int rc = 0;

    for (;;) {
        char *cursor = strdup(api_text(last, "cursor", "0"));
        bool more = json_is_true(json_object_get(last, "more"));

        json_decref(last);
        last = NULL;
        if (!more)
            usleep(FOLLOW_MS * 1000);
        rc = ask_again(cli, api, from, cursor, &last);
        free(cursor);
        if (rc < 0)
            return rc;
        print_answer(cli, from, last);
    }
}

/* The entries, or the lines of a build. */
static void print_list(const json_t *answer)
{
    const json_t *list = json_object_get(answer, "entries");

    cli_print_json(list ? list : json_object_get(answer, "lines"));
}

static int show(struct cli *cli, struct api *api, const struct source *from,
                int64_t n)
{
    bool goes_on = cli_switch(cli, "follow") && !cli_switch(cli, "build");
    json_t *answer = NULL;
    int rc = ask(api, from, n, NULL, &answer);

    if (rc == ERR_NOT_FOUND)
        cli->next = "appscale status lists what there is";
    if (rc < 0)
        return rc;
    if (cli->json && !goes_on)
        print_list(answer);
    else
        print_answer(cli, from, answer);
    if (goes_on)
        return follow(cli, api, from, answer);
    json_decref(answer);
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
    if (rc == 0)
        rc = make_query(cli, &from);
    return rc ? rc : show(cli, api, &from, n);
}
