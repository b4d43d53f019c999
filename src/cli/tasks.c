/*
 * `appscale tasks COMMAND`: single tasks of a queue.
 *
 * A queue may hold millions: a list is asked for and printed a page at a time,
 * and only the page is in memory.
 */
#include "cli/queues.h"
#include "cli/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PAGE = 500, LIMIT = 100, LOOK_AGAIN_US = 100 * 1000 };

static const char *task_path(struct cli *cli, const char *verb)
{
    return arena_printf(&cli->arena, "%s/tasks/%s%s", queues_path(cli),
                        api_escape(cli, cli_operand(cli, 2)), verb);
}

/* ---- list ---- */

static void add_row(struct table *t, const json_t *task)
{
    const json_t *http = json_object_get(task, "appEngineHttpRequest");
    const json_t *last = json_object_get(task, "lastAttempt");
    json_int_t status = api_number(last, "httpStatus");
    const char **cell = t->cell[t->rows++];

    cell[0] = api_safe(t->a, api_text(task, "id", "?"));
    cell[1] = api_moment(t->a, api_text(task, "scheduleTime", NULL));
    cell[2] = arena_printf(t->a, "%" JSON_INTEGER_FORMAT,
                           api_number(task, "retryCount"));
    cell[3] =
        status ? arena_printf(t->a, "%" JSON_INTEGER_FORMAT, status) : "-";
    cell[4] = arena_printf(t->a, "%" JSON_INTEGER_FORMAT,
                           api_number(task, "bodyBytes"));
    cell[5] =
        api_safe(t->a, http ? arena_printf(t->a, "%s %s",
                                           api_text(http, "httpMethod", ""),
                                           api_text(http, "relativeUri", ""))
                            : api_text(task, "tag", "-"));
}

static void print_table(struct cli *cli, const json_t *tasks)
{
    struct arena a = ARENA_INIT;
    struct table *t = ARENA_NEW(&a, struct table);
    const json_t *task;
    size_t i;

    *t = (struct table){
        .a = &a,
        .head = {"TASK", "DUE (UTC)", "RETRIES", "LAST", "BYTES", "URL OR TAG"},
        .columns = 6,
    };
    json_array_foreach(tasks, i, task)
    {
        if (t->rows < TABLE_ROWS)
            add_row(t, task);
    }
    table_print(cli, t);
    arena_release(&a);
}

/* One array over all pages. */
static void print_json(const json_t *tasks, int64_t shown)
{
    const json_t *task;
    size_t i;

    json_array_foreach(tasks, i, task)
    {
        char *text = json_dumps(task, JSON_COMPACT | JSON_SORT_KEYS);

        printf("%s\n  %s", shown + (int64_t)i ? "," : "[", text);
        free(text);
    }
}

struct listing {
    int64_t limit, shown;
    char token[1024]; /* of the next page; "": there is none */
};

/* A page, printed.  There may be nothing on it, and more behind it. */
static int list_page(struct cli *cli, struct api *api, const char *path,
                     struct listing *l)
{
    int64_t left = l->limit - l->shown;
    const json_t *tasks;
    json_t *page = NULL;
    int rc;

    rc = api_call(api, "GET", &page, NULL, "%s/tasks?pageSize=%d%s%s", path,
                  left < PAGE ? (int)left : PAGE,
                  *l->token ? "&pageToken=" : "", l->token);
    if (rc == ERR_NOT_FOUND)
        cli->next = arena_printf(&cli->arena, "appscale queues list %s",
                                 cli_operand(cli, 0));
    if (rc)
        return rc;
    tasks = json_object_get(page, "tasks");
    if (cli->json)
        print_json(tasks, l->shown);
    else if (json_array_size(tasks))
        print_table(cli, tasks);
    l->shown += (int64_t)json_array_size(tasks);
    snprintf(l->token, sizeof(l->token), "%s",
             api_text(page, "nextPageToken", ""));
    json_decref(page);
    return fflush(stdout) == 0
               ? 0
               : ctx_err(&cli->ctx, ERR_IO, "the output cannot be written");
}

static int tasks_list(struct cli *cli)
{
    const char *path = queues_path(cli);
    struct api *api = api_open(cli);
    struct listing l = {0};
    int rc = args_number(&cli->ctx, &cli->args, "limit", 1, INT64_MAX, LIMIT,
                         &l.limit);

    if (rc) {
        cli->exit = CLI_USAGE;
        return rc;
    }
    do {
        rc = list_page(cli, api, path, &l);
    } while (rc == 0 && *l.token && l.shown < l.limit);
    if (rc)
        return rc;
    if (cli->json)
        printf("%s]\n", l.shown ? "\n" : "[");
    else if (l.shown == 0)
        printf("Nothing waits in %s.\n", cli_operand(cli, 1));
    else if (*l.token)
        fprintf(stderr, "There are more: --limit N shows N of them.\n");
    return 0;
}

/* ---- run ---- */

/* A queue that dispatches nothing runs nothing, either. */
static int check_running(struct cli *cli, struct api *api)
{
    json_t *q = NULL;
    int rc = queues_call(cli, api, "GET", &q, queues_path(cli));

    if (rc == 0 && strcmp(api_text(q, "state", ""), "RUNNING") != 0)
        rc = cli_fail(
            cli, CLI_FAILED,
            arena_printf(&cli->arena, "appscale queues resume %s %s",
                         cli_operand(cli, 0), cli_operand(cli, 1)),
            "queue %s dispatches nothing now, it is %s", cli_operand(cli, 1),
            strcmp(api_text(q, "state", ""), "PAUSED") == 0 ? "paused"
                                                            : "disabled");
    json_decref(q);
    return rc;
}

static int get_task(struct cli *cli, struct api *api, json_t **task)
{
    int rc = api_call(api, "GET", task, NULL, "%s", task_path(cli, ""));

    if (rc == ERR_NOT_FOUND)
        cli->next = arena_printf(&cli->arena, "appscale tasks list %s %s",
                                 cli_operand(cli, 0), cli_operand(cli, 1));
    return rc;
}

static const char *attempted(const json_t *task)
{
    return api_text(json_object_get(task, "lastAttempt"), "dispatchTime", "");
}

/* Until it is gone (*task NULL) or an attempt after `before` has failed. */
static int follow(struct cli *cli, struct api *api, const char *before,
                  json_t **task)
{
    struct progress progress;
    int rc;

    progress_init(&progress, cli->json);
    progress_step(&progress, "Running %s", cli_operand(cli, 2));
    for (;;) {
        rc = get_task(cli, api, task);
        if (rc == ERR_NOT_FOUND) {
            ctx_err_clear(&cli->ctx);
            cli->next = NULL;
            rc = 0;
            break;
        }
        if (rc || strcmp(attempted(*task), before) != 0)
            break;
        json_decref(*task);
        *task = NULL;
        usleep(LOOK_AGAIN_US);
        progress_tick(&progress);
    }
    progress_end(&progress, rc == 0 && !*task);
    return rc;
}

static int run_failed(struct cli *cli, const json_t *task)
{
    json_int_t status =
        api_number(json_object_get(task, "lastAttempt"), "httpStatus");
    const char *how =
        status
            ? arena_printf(&cli->arena,
                           "failed with status %" JSON_INTEGER_FORMAT, status)
            : "was not answered";

    return cli_fail(
        cli, CLI_FAILED,
        arena_printf(&cli->arena, "appscale logs %s", cli_operand(cli, 0)),
        "task %s %s; it is tried again at %s UTC", cli_operand(cli, 2), how,
        api_moment(&cli->arena, api_text(task, "scheduleTime", NULL)));
}

static int run_result(struct cli *cli, const json_t *task)
{
    if (cli->json && task)
        cli_print_json(task);
    else if (cli->json)
        printf("{\"done\": true}\n");
    else if (!task)
        printf("Task %s is done.\n", cli_operand(cli, 2));
    return task ? run_failed(cli, task) : 0;
}

static int tasks_run(struct cli *cli)
{
    struct api *api = api_open(cli);
    json_t *before = NULL, *task = NULL;
    int rc = check_running(cli, api);

    if (rc == 0)
        rc = get_task(cli, api, &before);
    if (rc == 0)
        rc = api_call(api, "POST", NULL, NULL, "%s", task_path(cli, ":run"));
    if (rc == 0 && cli_switch(cli, "wait")) {
        rc = follow(cli, api, attempted(before), &task);
        if (rc == 0)
            rc = run_result(cli, task);
    } else if (rc == 0 && cli->json) {
        printf("{}\n");
    } else if (rc == 0) {
        printf("Task %s is due now.\n", cli_operand(cli, 2));
    }
    json_decref(before);
    json_decref(task);
    return rc;
}

/* ---- delete ---- */

static int tasks_delete(struct cli *cli)
{
    struct api *api = api_open(cli);
    int rc = api_call(api, "DELETE", NULL, NULL, "%s", task_path(cli, ""));

    if (rc == ERR_NOT_FOUND)
        cli->next = arena_printf(&cli->arena, "appscale tasks list %s %s",
                                 cli_operand(cli, 0), cli_operand(cli, 1));
    if (rc == 0)
        printf(cli->json ? "{}\n" : "Task %s is deleted.\n",
               cli_operand(cli, 2));
    return rc;
}

static const struct args_option list_options[] = {
    {"limit", "N", "how many to show (100)", 'n'},
    {0},
};

static const struct args_option run_options[] = {
    {"wait", NULL, "until it is done, or its attempt has failed", 0},
    {0},
};

const struct cli_command cli_tasks_commands[] = {
    {
        .name = "list",
        .operands = "PROJECT QUEUE",
        .sentence = "Show the tasks of a queue, the first due first",
        .help = "LAST is the status that the last attempt was answered with. "
                "A leased task of a pull\nqueue is due when its lease ends.",
        .options = list_options,
        .run = tasks_list,
        .min_operands = 2,
        .max_operands = 2,
    },
    {
        .name = "run",
        .operands = "PROJECT QUEUE TASK",
        .sentence = "Make a task of a push queue due now",
        .help = "It takes its place in the queue's rate like any other, and "
                "its retries stay counted.\n--wait shows what comes of it; "
                "exit status 1 when the attempt failed.",
        .options = run_options,
        .run = tasks_run,
        .min_operands = 3,
        .max_operands = 3,
    },
    {
        .name = "delete",
        .operands = "PROJECT QUEUE TASK",
        .sentence = "Delete a task; its name stays used",
        .run = tasks_delete,
        .min_operands = 3,
        .max_operands = 3,
    },
    {.name = NULL},
};
