/*
 * `appscale cron COMMAND`: the scheduled requests of applications.
 *
 * The controller runs them; here they are shown, and one is run out of turn.
 * `appscale deploy cron.yaml` ends here, too: the file is checked, sent, and
 * replaces the one there was.
 */
#include "cli/cron.h"

#include "cli/api.h"
#include "config/cronyaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LOOK_AGAIN_US = 100 * 1000 };

/* ---- printing ---- */

static void print_next(struct cli *cli, const json_t *job)
{
    const json_t *runs = json_object_get(job, "nextRuns"), *at;
    size_t i;

    printf("     next    ");
    json_array_foreach(runs, i, at) printf(
        "%s%s", i ? ", " : "", api_moment(&cli->arena, json_string_value(at)));
    printf("%s\n", json_array_size(runs) ? " UTC" : "never");
}

static const char *outcome(struct cli *cli, const json_t *run)
{
    const char *code = api_text(run, "outcome", "");
    const char *word = strcmp(code, "SUCCEEDED") == 0 ? "succeeded"
                       : strcmp(code, "FAILED") == 0  ? "failed"
                                                      : "is not known";
    int status = (int)json_integer_value(json_object_get(run, "status"));
    const char *why = api_text(run, "reason", NULL);

    return arena_printf(
        &cli->arena, "%s%s%s%s%s%s",
        strcmp(code, "SUCCEEDED") == 0 ? cli_good(cli) : cli_bad(cli), word,
        cli_plain(cli),
        status ? arena_printf(&cli->arena, " with status %d", status) : "",
        why ? ": " : "", why ? why : "");
}

static void print_last(struct cli *cli, const json_t *job)
{
    const json_t *last = json_object_get(job, "lastRun");
    const json_t *run = json_object_get(job, "run");

    if (run)
        printf("     now     running since %s UTC%s%s\n",
               api_moment(&cli->arena, api_text(run, "startTime", "?")),
               json_object_get(run, "nextAttempt") ? "; next attempt " : "",
               api_moment(&cli->arena, api_text(run, "nextAttempt", "")));
    if (last)
        printf("     last    %s UTC%s: %s\n",
               api_moment(&cli->arena, api_text(last, "startTime", "?")),
               json_is_true(json_object_get(last, "manual")) ? " (by hand)"
                                                             : "",
               outcome(cli, last));
    else if (!run)
        printf("     last    none yet\n");
}

static void print_job(struct cli *cli, const json_t *job)
{
    const char *target = api_text(job, "target", "");
    const char *description =
        api_safe(&cli->arena, api_text(job, "description", ""));

    printf("%3d  %s%s%s  %s (%s)%s%s\n",
           (int)json_integer_value(json_object_get(job, "number")),
           cli_bold(cli), api_text(job, "url", "?"), cli_plain(cli),
           api_text(job, "schedule", "?"), api_text(job, "timeZone", "UTC"),
           *target ? " -> " : "", target);
    if (*description)
        printf("     %s\n", description);
    print_next(cli, job);
    print_last(cli, job);
}

static void print_retry(const json_t *retry)
{
    const char *age = api_text(retry, "maxRetryDuration", NULL);

    if (!retry) {
        printf("     retry   none\n");
        return;
    }
    printf("     retry   ");
    if (json_object_get(retry, "retryCount"))
        printf("%d times",
               (int)json_integer_value(json_object_get(retry, "retryCount")));
    if (age)
        printf("%sfor %s", json_object_get(retry, "retryCount") ? " and " : "",
               age);
    printf(", after %s to %s\n", api_text(retry, "minBackoffDuration", "?"),
           api_text(retry, "maxBackoffDuration", "?"));
}

/* ---- list ---- */

static int get_cron(struct cli *cli, struct api *api, const char *project,
                    json_t **cron)
{
    int rc = api_call(api, "GET", cron, NULL, "/v1/apps/%s/cron",
                      api_escape(cli, project));

    if (rc == ERR_NOT_FOUND)
        cli->next = "appscale status lists the projects";
    return rc;
}

static void print_cron(struct cli *cli, const char *project, const json_t *cron)
{
    const json_t *jobs = json_object_get(cron, "jobs"), *job;
    size_t i;

    if (!json_array_size(jobs)) {
        printf("%s has no cron jobs.\n", project);
        return;
    }
    printf("%s%s%s, %s of %s UTC\n", cli_bold(cli), project, cli_plain(cli),
           api_text(cron, "file", "cron.yaml"),
           api_moment(&cli->arena, api_text(cron, "updateTime", "?")));
    json_array_foreach(jobs, i, job) print_job(cli, job);
}

static int cli_cron_list(struct cli *cli)
{
    const char *project = cli_operand(cli, 0);
    struct api *api = api_open(cli);
    json_t *all, *cron;
    const char *id;
    int rc = api_by_project(cli, api, project, get_cron, &all);

    if (rc == 0 && cli->json)
        cli_print_json(project ? json_object_get(all, project) : all);
    else if (rc == 0 && json_object_size(all) == 0)
        printf("No application is deployed.\n");
    else if (rc == 0)
        json_object_foreach(all, id, cron) print_cron(cli, id, cron);
    json_decref(all);
    return rc;
}

/* ---- one job ---- */

static bool is_meant(const json_t *job, const char *name)
{
    char number[16];

    snprintf(number, sizeof(number), "%d",
             (int)json_integer_value(json_object_get(job, "number")));
    return strcmp(name, number) == 0 ||
           strcmp(name, api_text(job, "id", "")) == 0 ||
           strcmp(name, api_text(job, "url", "")) == 0;
}

/* By its number, its URL or its id; *id lives in the arena. */
static int find_job(struct cli *cli, struct api *api, const char **id)
{
    const char *project = cli_operand(cli, 0), *name = cli_operand(cli, 1);
    json_t *cron = NULL, *job;
    int rc = get_cron(cli, api, project, &cron), found = 0;
    size_t i;

    json_array_foreach(json_object_get(cron, "jobs"), i, job)
    {
        if (!is_meant(job, name))
            continue;
        *id = arena_strdup(&cli->arena, api_text(job, "id", ""));
        found++;
    }
    json_decref(cron);
    if (rc == 0 && found != 1)
        rc = cli_fail(
            cli, CLI_FAILED,
            arena_printf(&cli->arena, "appscale cron list %s", project),
            found ? "%s has several jobs called \"%s\": give the "
                    "number"
                  : "%s has no cron job \"%s\": give its number, URL "
                    "or id",
            project, name);
    return rc;
}

static int get_job(struct cli *cli, struct api *api, const char *id,
                   json_t **job)
{
    return api_call(api, "GET", job, NULL, "/v1/apps/%s/cron/%s",
                    api_escape(cli, cli_operand(cli, 0)), id);
}

static void print_answer(const json_t *job)
{
    const char *answer =
        api_text(json_object_get(job, "lastRun"), "answer", NULL);
    size_t n = answer ? strlen(answer) : 0;

    if (n > 0)
        printf("%s%s", answer, answer[n - 1] == '\n' ? "" : "\n");
}

static int cli_cron_describe(struct cli *cli)
{
    struct api *api = api_open(cli);
    const char *id = NULL;
    json_t *job = NULL;
    int rc = find_job(cli, api, &id);

    if (rc == 0)
        rc = get_job(cli, api, id, &job);
    if (rc == 0 && cli->json) {
        cli_print_json(job);
    } else if (rc == 0) {
        print_job(cli, job);
        printf("     id      %s\n     limit   %s for an attempt\n", id,
               api_text(job, "attemptDeadline", "?"));
        print_retry(json_object_get(job, "retryConfig"));
        print_answer(job);
    }
    json_decref(job);
    return rc;
}

/* Until the run of that name has ended; *job is how it stands then. */
static int follow(struct cli *cli, struct api *api, const char *id,
                  const char *name, json_t **job)
{
    for (;;) {
        int rc = get_job(cli, api, id, job);
        const json_t *now = json_object_get(*job, "run");

        if (rc || strcmp(api_text(now, "name", ""), name) != 0)
            return rc;
        json_decref(*job);
        *job = NULL;
        usleep(LOOK_AGAIN_US);
    }
}

static int run_result(struct cli *cli, const json_t *job)
{
    const json_t *last = json_object_get(job, "lastRun");
    bool good = strcmp(api_text(last, "outcome", ""), "SUCCEEDED") == 0;

    if (cli->json)
        cli_print_json(job);
    else
        print_answer(job);
    if (!good)
        return cli_fail(
            cli, CLI_FAILED,
            arena_printf(&cli->arena, "appscale logs %s", cli_operand(cli, 0)),
            "%s %s", api_text(job, "url", "?"), outcome(cli, last));
    if (!cli->json)
        fprintf(stderr, "%s %s\n", api_text(job, "url", "?"),
                outcome(cli, last));
    return 0;
}

static int cli_cron_run(struct cli *cli)
{
    struct api *api = api_open(cli);
    const char *id = NULL;
    json_t *started = NULL, *job = NULL;
    int rc = find_job(cli, api, &id);

    if (rc == 0)
        rc = api_call(api, "POST", &started, NULL, "/v1/apps/%s/cron/%s/run",
                      api_escape(cli, cli_operand(cli, 0)), id);
    if (rc == 0)
        rc =
            follow(cli, api, id,
                   api_text(json_object_get(started, "run"), "name", ""), &job);
    if (rc == 0)
        rc = run_result(cli, job);
    json_decref(started);
    json_decref(job);
    return rc;
}

const struct cli_command cli_cron_commands[] = {
    {
        .name = "list",
        .operands = "[PROJECT]",
        .sentence = "Show the cron jobs of a project, or of all, and their "
                    "next runs",
        .help = "Times are in UTC. A job's number, URL or id names it to the "
                "other commands.",
        .run = cli_cron_list,
        .max_operands = 1,
    },
    {
        .name = "describe",
        .operands = "PROJECT JOB",
        .sentence = "Show all about a job, and the answer to its last run",
        .help = "JOB is its number in `appscale cron list`, its URL or its id.",
        .run = cli_cron_describe,
        .min_operands = 2,
        .max_operands = 2,
    },
    {
        .name = "run",
        .operands = "PROJECT JOB",
        .sentence = "Run a job now, once, and show the answer",
        .help = "JOB is its number in `appscale cron list`, its URL or its id. "
                "The request is that\nof a run that is due; it is not tried "
                "again when it fails.",
        .run = cli_cron_run,
        .min_operands = 2,
        .max_operands = 2,
    },
    {.name = NULL},
};

/* ---- deploy ---- */

bool cron_is_file(const char *name)
{
    return strcmp(name, "cron.yaml") == 0 || strcmp(name, "cron.xml") == 0;
}

int cron_read(struct cli *cli, const char *path, struct bytes *text)
{
    struct cronyaml cron;
    int rc = config_file_read(&cli->ctx, path, text);

    if (rc == 0)
        rc = cronyaml_parse(&cli->ctx, path, *text, &cron);
    return rc;
}

int cron_send(struct cli *cli, struct api *api, struct progress *progress,
              const char *project, const char *file, struct bytes text,
              size_t *jobs)
{
    json_t *body = json_pack("{s:s, s:s%}", "file", file, "text",
                             (const char *)text.p, text.n);
    json_t *op = NULL, *cron = NULL;
    int rc;

    if (!body)
        return ctx_err(&cli->ctx, ERR_INVALID, "%s is not UTF-8", file);
    rc = api_call(api, "PUT", &op, body, "/v1/apps/%s/cron",
                  api_escape(cli, project));
    json_decref(body);
    if (rc == 0)
        rc = api_wait(api, op, progress, &cron);
    *jobs = json_array_size(json_object_get(cron, "jobs"));
    json_decref(cron);
    return rc;
}
