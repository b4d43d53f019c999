/*
 * `appscale queues COMMAND`: the task queues of applications.
 *
 * Looking, stopping and starting, and dropping what waits.  Lists come from the
 * controller in pages, and are printed as they come.
 */
#include "cli/queues.h"

#include "cli/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { LOOK_AGAIN_US = 100 * 1000 };

/* ---- what tasks.c needs, too ---- */

const char *queues_path(struct cli *cli)
{
    return arena_printf(&cli->arena, "/v1/apps/%s/queues/%s",
                        api_escape(cli, cli_operand(cli, 0)),
                        api_escape(cli, cli_operand(cli, 1)));
}

int queues_call(struct cli *cli, struct api *api, const char *method,
                json_t **answer, const char *path)
{
    int rc = api_call(api, method, answer, NULL, "%s", path);

    if (rc == ERR_NOT_FOUND && cli_operand(cli, 0))
        cli->next = arena_printf(
            &cli->arena,
            "appscale queues list %s shows the queues, appscale status the "
            "projects",
            cli_operand(cli, 0));
    return rc;
}

/* ---- list ---- */

static const json_t *stats_of(const json_t *q)
{
    return json_object_get(q, "stats");
}

static bool is_pull(const json_t *q)
{
    return strcmp(api_text(q, "type", ""), "PULL") == 0;
}

static const char *count(struct arena *a, const json_t *o, const char *key)
{
    return arena_printf(a, "%" JSON_INTEGER_FORMAT, api_number(o, key));
}

static const char *rate_text(struct arena *a, const json_t *q)
{
    const json_t *limits = json_object_get(q, "rateLimits");
    double rate =
        json_number_value(json_object_get(limits, "maxDispatchesPerSecond"));

    if (is_pull(q))
        return "-";
    return api_text(q, "rate", arena_printf(a, "%g/s", rate));
}

static const char *state_text(const json_t *q)
{
    const char *state = api_text(q, "state", "?");

    if (strcmp(state, "RUNNING") == 0)
        return "running";
    return strcmp(state, "PAUSED") == 0     ? "paused"
           : strcmp(state, "DISABLED") == 0 ? "disabled"
                                            : state;
}

static void add_row(struct table *t, const json_t *q)
{
    const json_t *s = stats_of(q);
    const char **cell = t->cell[t->rows++];

    cell[0] = api_text(q, "id", "?");
    cell[1] = is_pull(q) ? "pull" : "push";
    cell[2] = state_text(q);
    cell[3] = rate_text(t->a, q);
    cell[4] = count(t->a, s, "tasksCount");
    cell[5] = api_moment(t->a, api_text(s, "oldestEstimatedArrivalTime", NULL));
    cell[6] = count(t->a, s, "concurrentDispatchesCount");
    cell[7] = count(t->a, s, "executedLastMinuteCount");
}

static void print_queues(struct cli *cli, const char *project,
                         const json_t *queues)
{
    struct arena a = ARENA_INIT;
    struct table *t = ARENA_NEW(&a, struct table);
    const json_t *q;
    size_t i;

    *t = (struct table){
        .a = &a,
        .head = {"QUEUE", "MODE", "STATE", "RATE", "TASKS", "OLDEST (UTC)",
                 "RUNNING", "LAST MINUTE"},
        .columns = 8,
    };
    printf("%s%s%s\n", cli_bold(cli), project, cli_plain(cli));
    json_array_foreach(queues, i, q)
    {
        if (t->rows == TABLE_ROWS) {
            table_print(cli, t);
            t->rows = 0;
        }
        add_row(t, q);
    }
    table_print(cli, t);
    arena_release(&a);
}

/* All queues of a project, page after page. */
static int get_queues(struct cli *cli, struct api *api, const char *project,
                      json_t **out)
{
    const char *base = arena_printf(&cli->arena, "/v1/apps/%s/queues",
                                    api_escape(cli, project));
    const char *path = base;
    int rc = 0;

    *out = json_array();
    while (rc == 0 && path) {
        json_t *page = NULL;
        const char *token;

        rc = api_call(api, "GET", &page, NULL, "%s", path);
        token = api_text(page, "nextPageToken", NULL);
        path = token ? arena_printf(&cli->arena, "%s?pageToken=%s", base, token)
                     : NULL;
        json_array_extend(*out, json_object_get(page, "queues"));
        json_decref(page);
    }
    if (rc) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

static int queues_list(struct cli *cli)
{
    const char *project = cli_operand(cli, 0);
    struct api *api = api_open(cli);
    json_t *all, *queues;
    const char *id;
    int rc = api_by_project(cli, api, project, get_queues, &all);

    if (rc == 0 && cli->json)
        cli_print_json(project ? json_object_get(all, project) : all);
    else if (rc == 0 && json_object_size(all) == 0)
        printf("No application is deployed.\n");
    else if (rc == 0)
        json_object_foreach(all, id, queues) print_queues(cli, id, queues);
    json_decref(all);
    return rc;
}

/* ---- describe ---- */

static void print_rate(struct cli *cli, const json_t *q)
{
    const json_t *limits = json_object_get(q, "rateLimits");
    double enforced = json_number_value(
        json_object_get(stats_of(q), "effectiveExecutionRate"));

    if (is_pull(q))
        return;
    printf("  rate         %s, bucket of %" JSON_INTEGER_FORMAT
           ", at most %" JSON_INTEGER_FORMAT " at once\n",
           rate_text(&cli->arena, q), api_number(limits, "maxBurstSize"),
           api_number(limits, "maxConcurrentDispatches"));
    printf("  enforced     %g/s\n", enforced);
    printf("  target       %s\n",
           api_safe(&cli->arena, api_text(q, "target", "as each task says")));
}

static void print_retry(const json_t *q)
{
    const json_t *retry = json_object_get(q, "retryConfig");
    const char *age = api_text(retry, "maxRetryDuration", NULL);
    json_int_t attempts = api_number(retry, "maxAttempts");
    const char *word = is_pull(q) ? "leases" : "attempts";

    if (attempts >= 0)
        printf("  retries      %" JSON_INTEGER_FORMAT " %s", attempts, word);
    else
        printf("  retries      without limit");
    if (age && !is_pull(q))
        printf("%s within %s", attempts >= 0 ? ", and on" : ", but", age);
    if (!is_pull(q))
        printf("; after %s to %s, doubling %" JSON_INTEGER_FORMAT " times",
               api_text(retry, "minBackoff", "?"),
               api_text(retry, "maxBackoff", "?"),
               api_number(retry, "maxDoublings"));
    printf("\n");
}

static void print_names(struct cli *cli, const char *label, const json_t *names)
{
    const json_t *name;
    size_t i;

    if (json_array_size(names) == 0)
        return;
    printf("  %-12s", label);
    json_array_foreach(names, i, name)
        printf(" %s", api_safe(&cli->arena, json_string_value(name)));
    printf("\n");
}

static void print_queue(struct cli *cli, const json_t *q)
{
    static const char disabled[] =
        "disabled: queue.yaml names it no longer; its tasks wait";
    const json_t *s = stats_of(q), *acl = json_object_get(q, "acl");
    const char *state = state_text(q);

    printf("%s%s%s\n", cli_bold(cli), api_text(q, "name", "?"), cli_plain(cli));
    printf("  mode         %s\n", is_pull(q) ? "pull" : "push");
    printf("  state        %s\n",
           strcmp(state, "disabled") == 0 ? disabled : state);
    print_rate(cli, q);
    print_retry(q);
    print_names(cli, "consumers", json_object_get(acl, "userEmail"));
    print_names(cli, "producers", json_object_get(acl, "writerEmail"));
    printf("  tasks        %" JSON_INTEGER_FORMAT "\n",
           api_number(s, "tasksCount"));
    printf("  oldest       %s\n",
           api_moment(&cli->arena,
                      api_text(s, "oldestEstimatedArrivalTime", NULL)));
    printf("  running      %" JSON_INTEGER_FORMAT "\n",
           api_number(s, "concurrentDispatchesCount"));
    printf("  %s  %" JSON_INTEGER_FORMAT
           " in the last minute, %" JSON_INTEGER_FORMAT " in the last hour\n",
           is_pull(q) ? "leased     " : "executed   ",
           api_number(s, "executedLastMinuteCount"),
           api_number(s, "executedLastHourCount"));
}

static void show_queue(struct cli *cli, const json_t *q)
{
    if (cli->json)
        cli_print_json(q);
    else
        print_queue(cli, q);
}

static int queues_describe(struct cli *cli)
{
    struct api *api = api_open(cli);
    json_t *q = NULL;
    int rc = queues_call(cli, api, "GET", &q, queues_path(cli));

    if (rc == 0)
        show_queue(cli, q);
    json_decref(q);
    return rc;
}

/* ---- pause, resume, purge ---- */

/* Until no attempt is under way; *q is how the queue stands then. */
static int wait_idle(struct cli *cli, struct api *api, json_t **q)
{
    struct progress progress;
    json_int_t running;
    int rc = 0;

    progress_init(&progress, cli->json);
    while (rc == 0 && (running = api_number(stats_of(*q),
                                            "concurrentDispatchesCount")) > 0) {
        progress_step(&progress,
                      "Waiting for attempts under way (%" JSON_INTEGER_FORMAT
                      ")",
                      running);
        usleep(LOOK_AGAIN_US);
        progress_tick(&progress);
        json_decref(*q);
        *q = NULL;
        rc = queues_call(cli, api, "GET", q, queues_path(cli));
    }
    progress_end(&progress, rc == 0);
    return rc;
}

static int change(struct cli *cli, const char *verb, bool wait,
                  const char *done)
{
    struct api *api = api_open(cli);
    json_t *q = NULL;
    int rc =
        queues_call(cli, api, "POST", &q,
                    arena_printf(&cli->arena, "%s:%s", queues_path(cli), verb));

    if (rc == 0 && wait)
        rc = wait_idle(cli, api, &q);
    if (rc == 0 && cli->json)
        cli_print_json(q);
    else if (rc == 0)
        printf("%s %s.\n", api_text(q, "name", "?"), done);
    json_decref(q);
    return rc;
}

static int queues_pause(struct cli *cli)
{
    return change(cli, "pause", cli_switch(cli, "wait"),
                  "is paused: tasks are taken and wait");
}

static int queues_resume(struct cli *cli)
{
    struct api *api = api_open(cli);
    json_t *q = NULL;
    int rc =
        queues_call(cli, api, "POST", &q,
                    arena_printf(&cli->arena, "%s:resume", queues_path(cli)));
    const char *state = state_text(q);

    if (rc == 0 && cli->json)
        cli_print_json(q);
    else if (rc == 0 && strcmp(state, "running") == 0)
        printf("%s goes on.\n", api_text(q, "name", "?"));
    /* Resumed, and still nothing is dispatched: say why. */
    if (rc == 0 && strcmp(state, "running") != 0)
        rc = cli_fail(cli, CLI_FAILED, "change queue.yaml and deploy it",
                      "%s is still %s: %s", api_text(q, "name", "?"), state,
                      strcmp(state, "disabled") == 0
                          ? "queue.yaml names it no longer"
                          : "queue.yaml gives it a rate of 0");
    json_decref(q);
    return rc;
}

static int confirm_purge(struct cli *cli, const json_t *q)
{
    const char *question = arena_printf(
        &cli->arena,
        "Drop all tasks of %s (%" JSON_INTEGER_FORMAT ") for good?",
        api_text(q, "name", "?"), api_number(stats_of(q), "tasksCount"));

    if (cli_switch(cli, "yes") || cli_confirm(cli, question))
        return 0;
    return cli_fail(cli, CLI_USAGE, "add --yes to drop them without asking",
                    "no task of %s was dropped", api_text(q, "name", "?"));
}

static int queues_purge(struct cli *cli)
{
    struct api *api = api_open(cli);
    json_t *q = NULL;
    int rc = queues_call(cli, api, "GET", &q, queues_path(cli));

    if (rc == 0)
        rc = confirm_purge(cli, q);
    json_decref(q);
    return rc ? rc : change(cli, "purge", false, "is empty");
}

static const struct args_option pause_options[] = {
    {"wait", NULL, "until no attempt is under way any more", 0},
    {0},
};

static const struct args_option purge_options[] = {
    {"yes", NULL, "do not ask before dropping the tasks", 'y'},
    {0},
};

const struct cli_command cli_queues_commands[] = {
    {
        .name = "list",
        .operands = "[PROJECT]",
        .sentence = "Show the queues of a project, or of all, and what waits",
        .help = "OLDEST is when the first of its tasks is due; of a pull "
                "queue, LAST MINUTE counts\nleases.",
        .run = queues_list,
        .max_operands = 1,
    },
    {
        .name = "describe",
        .operands = "PROJECT QUEUE",
        .sentence = "Show all about a queue: its settings, and how it does",
        .help = "The enforced rate is below the queue's own while the "
                "application answers 503 or has\nno instance to take tasks.",
        .run = queues_describe,
        .min_operands = 2,
        .max_operands = 2,
    },
    {
        .name = "pause",
        .operands = "PROJECT QUEUE",
        .sentence = "Stop dispatching; tasks are taken and wait",
        .help = "Attempts under way go on; --wait waits for them. A "
                "deployment does not resume the\nqueue, unless its queue.yaml "
                "says resume_paused_queues.",
        .options = pause_options,
        .run = queues_pause,
        .min_operands = 2,
        .max_operands = 2,
    },
    {
        .name = "resume",
        .operands = "PROJECT QUEUE",
        .sentence = "Let a paused queue go on",
        .run = queues_resume,
        .min_operands = 2,
        .max_operands = 2,
    },
    {
        .name = "purge",
        .operands = "PROJECT QUEUE",
        .sentence = "Drop all tasks of a queue",
        .help = "What was added before is gone; attempts under way end, and "
                "are not made again. Asks\nfirst; without a terminal nothing "
                "is dropped but with --yes.",
        .options = purge_options,
        .run = queues_purge,
        .min_operands = 2,
        .max_operands = 2,
    },
    {.name = NULL},
};
