/*
 * `appscale deploy` and `appscale undeploy`.
 *
 * A deployment is a list of steps: read and check the files, pack, upload what
 * the controller does not have yet, make the project known, create the version,
 * follow the Operation, say where it answers.  Until the version is created
 * nothing on the platform has changed.  Of several files all are read and
 * checked before the first of them goes on; the default service goes first.
 */
#include "cli/api.h"
#include "cli/archive.h"
#include "cli/cron.h"
#include "cli/datastore.h"
#include "cli/upload.h"
#include "config/appengine_xml.h"
#include "config/appyaml.h"
#include "config/dispatchyaml.h"
#include "config/index_xml.h"
#include "config/queue_xml.h"
#include "config/queueyaml.h"
#include "config/regex.h"
#include "config/runtimes.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The place of each in appyaml_files. */
enum beside { INDEX_YAML, QUEUE_YAML, CRON_YAML, DISPATCH_YAML, APP };

struct deploy {
    struct cli *cli;
    const char *given; /* the operand */
    enum beside what;  /* a file that goes alone, or an application */
    struct api *api;
    struct progress progress;
    const char *file; /* app.yaml, or a war's appengine-web.xml */
    const char *dir;
    const char *war; /* the folder of it that holds WEB-INF, or NULL */
    struct appyaml app;
    const char *project, *version;
    struct bytes beside[8]; /* in the order of appyaml_files */
    json_t *started;        /* the indexes whose build began, or NULL */
    const char *cron_file;  /* its cron jobs: the name, and what it says */
    struct bytes cron;
    struct archive archive;
    int64_t sent; /* bytes of it that travelled */
};

/* ---- 1: the files ---- */

static int find_app(struct deploy *d)
{
    struct cli *cli = d->cli;
    const char *given = d->given;
    struct stat st;

    if (stat(given, &st) < 0)
        return cli_usage(cli, "%s: %s", given, strerror(errno));
    if (S_ISDIR(st.st_mode)) {
        size_t n = strlen(given);

        while (n > 1 && given[n - 1] == '/')
            n--;
        d->dir = arena_cstr(&cli->arena, BYTES(given, n));
        d->file = arena_printf(&cli->arena, "%s/app.yaml", d->dir);
        d->war = appengine_xml_war(&cli->arena, d->dir);
        if (access(d->file, F_OK) < 0 && d->war)
            d->file = arena_printf(&cli->arena, "%s/" APPENGINE_XML, d->war);
        if (access(d->file, F_OK) < 0)
            return cli_fail(cli, CLI_INVALID,
                            "write one; `runtime: python311` is enough for a "
                            "Flask application in main.py",
                            "%s holds no app.yaml", d->dir);
    } else {
        d->file = given;
        d->dir = dirname(arena_strdup(&cli->arena, given));
        d->war = appengine_xml_war(&cli->arena, d->dir);
    }
    return 0;
}

static int load_app(struct deploy *d)
{
    size_t n = strlen(d->file), end = strlen(APPENGINE_XML);

    if (n >= end && strcmp(d->file + n - end, APPENGINE_XML) == 0)
        return appengine_xml_load(&d->cli->ctx, d->dir, &d->app);
    return appyaml_load(&d->cli->ctx, d->file, &d->app);
}

/* A war without an index.yaml keeps its indexes in WEB-INF. */
static int read_index_xml(struct deploy *d)
{
    struct index_xml x;
    int rc;

    if (d->beside[0].p || !d->war)
        return 0;
    rc = index_xml_load_app(&d->cli->ctx, d->war, &x);
    if (rc == 0)
        d->beside[0] = x.yaml;
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* And its queues, without a queue.yaml. */
static int read_queue_xml(struct deploy *d)
{
    int rc = d->beside[1].p || !d->war
                 ? 0
                 : queue_xml_load_app(&d->cli->ctx, d->war, &d->beside[1]);

    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int read_beside(struct deploy *d)
{
    int rc = 0;

    for (int i = 0; rc == 0 && appyaml_files[i].name; i++) {
        rc = appyaml_file_load(&d->cli->ctx, &appyaml_files[i],
                               arena_printf(&d->cli->arena, "%s/%s", d->dir,
                                            appyaml_files[i].name),
                               &d->beside[i]);
        if (rc == ERR_NOT_FOUND)
            rc = 0;
    }
    /* Beyond the table: what its values say together. */
    if (rc == 0 && d->beside[1].p)
        rc = queueyaml_parse(
            &d->cli->ctx, arena_printf(&d->cli->arena, "%s/queue.yaml", d->dir),
            d->beside[1], &(struct queueyaml){0});
    if (rc == 0)
        rc = read_queue_xml(d);
    return rc ? rc : read_index_xml(d);
}

/* cron.yaml, or what a Java application has instead. */
static int read_cron(struct deploy *d)
{
    static const struct {
        const char *path, *name;
    } places[] = {{"cron.yaml", "cron.yaml"}, {"WEB-INF/cron.xml", "cron.xml"}};
    int rc = ERR_NOT_FOUND;

    for (size_t i = 0; rc == ERR_NOT_FOUND && i < 2; i++) {
        rc = cron_read(d->cli,
                       arena_printf(&d->cli->arena, "%s/%s",
                                    i && d->war ? d->war : d->dir,
                                    places[i].path),
                       &d->cron);
        if (rc == 0)
            d->cron_file = places[i].name;
    }
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* The project: the option, the file, the folder's name if it is one. */
static int name_project(struct deploy *d)
{
    struct cli *cli = d->cli;
    const char *name = cli_option(cli, "project");
    char *real;

    if (!name)
        name = d->app.project;
    if (!name && (real = realpath(d->dir, NULL)) != NULL) {
        name = arena_strdup(&cli->arena, basename(real));
        free(real);
    }
    if (!name || !config_matches(APPYAML_PROJECT_PATTERN, name))
        return cli_fail(cli, CLI_USAGE,
                        "give one: appscale deploy ... --project ID",
                        "\"%s\" is not a project id: lower-case letters, "
                        "digits and inner hyphens, at most 100",
                        name ? name : "");
    d->project = name;
    return 0;
}

/* gcloud's habit: the time of day, in UTC. */
static int name_version(struct deploy *d)
{
    struct cli *cli = d->cli;
    const char *name = cli_option(cli, "version");
    const char *why;
    char stamp[32];
    time_t now = time(NULL);
    struct tm tm;

    if (!name)
        name = d->app.version;
    if (!name) {
        gmtime_r(&now, &tm);
        strftime(stamp, sizeof(stamp), "%Y%m%dt%H%M%S", &tm);
        name = arena_strdup(&cli->arena, stamp);
    }
    why = appyaml_version_refused(&cli->arena, name);
    if (why)
        return cli_fail(cli, CLI_USAGE, "choose another --version", "%s", why);
    d->version = name;
    return 0;
}

static int check_runtime(struct deploy *d)
{
    int rc =
        config_runtime_check(&d->cli->ctx, config_runtimes_dir(&d->cli->arena),
                             d->app.runtime, NULL);

    if (rc < 0)
        d->cli->next =
            arena_printf(&d->cli->arena, "change `runtime:` in %s", d->file);
    return rc;
}

static int read_files(struct deploy *d)
{
    struct cli *cli = d->cli;
    int rc = find_app(d);

    if (rc < 0)
        return rc;
    cli->exit = CLI_INVALID;
    rc = load_app(d);
    if (rc == 0)
        rc = read_beside(d);
    if (rc == 0)
        rc = read_cron(d);
    if (rc == 0)
        rc = check_runtime(d);
    if (rc < 0 && !cli->next)
        cli->next = "correct what is named above, and deploy again; nothing "
                    "has changed";
    if (rc < 0)
        return rc;
    cli->exit = CLI_FAILED;
    rc = name_project(d);
    return rc ? rc : name_version(d);
}

/* ---- 2: the archive ---- */

static void tick(void *arg)
{
    progress_tick(arg);
}

static int pack(struct deploy *d)
{
    struct cli *cli = d->cli;
    struct ignore *ig;
    int rc;

    progress_step(&d->progress, "Packing %s", d->dir);
    rc = ignore_load(&cli->ctx, d->dir, d->app.skip_files, d->app.runtime, &ig);
    if (rc == 0)
        rc = archive_make(&cli->ctx, d->dir, ig, tick, &d->progress,
                          &d->archive);
    if (rc < 0)
        cli->exit = CLI_INVALID;
    return rc;
}

/* ---- 3: the upload ---- */

static int upload(struct deploy *d)
{
    struct upload u = {.api = d->api,
                       .cli = d->cli,
                       .progress = &d->progress,
                       .project = d->project,
                       .service = d->app.service,
                       .archive = &d->archive};
    int rc = upload_archive(&u);

    d->sent = u.sent;
    return rc;
}

/* ---- 4: the version ---- */

static int ensure_project(struct deploy *d)
{
    json_t *body = json_pack("{s:s}", "id", d->project), *op = NULL;
    int rc;

    progress_step(&d->progress, "Looking for the project %s", d->project);
    rc = api_call(d->api, "GET", NULL, NULL, "/v1/apps/%s", d->project);
    if (rc == ERR_NOT_FOUND) {
        ctx_err_clear(&d->cli->ctx);
        progress_step(&d->progress, "Creating the project %s", d->project);
        rc = api_call(d->api, "POST", &op, body, "/v1/apps");
        if (rc == 0)
            rc = api_wait(d->api, op, &d->progress, NULL);
    }
    json_decref(body);
    return rc;
}

/* index.yaml takes effect at once; the others travel with the version. */
static int send_indexes(struct deploy *d)
{
    json_t *body, *answer = NULL;
    int rc;

    if (!d->beside[0].n)
        return 0;
    body = json_pack("{s:s%}", "indexYaml", (const char *)d->beside[0].p,
                     d->beside[0].n);
    rc = api_call(d->api, "PUT", &answer, body, "/v1/apps/%s/indexes",
                  d->project);
    json_decref(body);
    if (rc == 0)
        d->started = json_incref(json_object_get(answer, "started"));
    json_decref(answer);
    return rc;
}

/* queue.yaml, too: what the new version adds finds its queues. */
static int send_queues(struct deploy *d)
{
    struct bytes yaml = d->beside[1];
    json_t *body;
    int rc;

    if (!yaml.n)
        return 0;
    body = json_pack("{s:s%}", "queueYaml", (const char *)yaml.p, yaml.n);
    rc = api_call(d->api, "PUT", NULL, body, "/v1/apps/%s/queues", d->project);
    json_decref(body);
    return rc;
}

/* Queries that need one of them are refused until it serves. */
static void print_started(struct deploy *d)
{
    const json_t *index;
    size_t i;

    if (json_array_size(d->started) == 0)
        return;
    printf("Indexes being built (appscale datastore indexes %s shows how "
           "far):\n",
           d->project);
    json_array_foreach(d->started, i, index)
    {
        printf("  %s\n", datastore_index_text(&d->cli->arena, index));
    }
}

static int create_version(struct deploy *d, json_t **version)
{
    json_t *body = d->app.json, *op = NULL;
    int rc;

    json_object_set_new(body, "id", json_string(d->version));
    config_json_set(body, "deployment.zip.sourceUrl",
                    json_string(arena_printf(&d->cli->arena, "uploads/%s",
                                             d->archive.sha256)));
    config_json_set(body, "deployment.zip.filesCount",
                    json_integer(d->archive.files));
    progress_step(&d->progress, "Creating version %s of %s", d->version,
                  d->project);
    rc = api_call(d->api, "POST", &op, body,
                  "/v1/apps/%s/services/%s/versions%s", d->project,
                  d->app.service,
                  cli_switch(d->cli, "no-promote") ? "?promote=false" : "");
    return rc ? rc : api_wait(d->api, op, &d->progress, version);
}

/* The jobs begin once there is somebody to answer them. */
static int send_cron(struct deploy *d)
{
    size_t jobs;

    if (!d->cron_file)
        return 0;
    progress_step(&d->progress, "Setting the cron jobs of %s", d->project);
    return cron_send(d->cli, d->api, &d->progress, d->project, d->cron_file,
                     d->cron, &jobs);
}

/* ---- 5: where it answers ---- */

static const json_t *by_id(const json_t *list, const char *id)
{
    const json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        if (strcmp(api_text(one, "id", ""), id) == 0)
            return one;
    }
    return NULL;
}

/* Where the service answers; *local is what also means it on this machine. */
static const char *app_url(struct deploy *d, const json_t *status,
                           const char **local)
{
    const json_t *app = by_id(json_object_get(status, "apps"), d->project);
    const json_t *service =
        by_id(json_object_get(app, "services"), d->app.service);

    if (!service)
        return NULL;
    if (strcmp(d->app.service, "default") == 0)
        *local = api_text(app, "localUrl", NULL);
    return api_text(service, "url", api_text(app, "url", NULL));
}

static void print_result(struct deploy *d, const json_t *version)
{
    const char *url = NULL, *local = NULL;
    json_t *status = NULL, *out;

    if (!cli_switch(d->cli, "no-promote") &&
        api_call(d->api, "GET", &status, NULL, "/v1/platform/status") == 0)
        url = app_url(d, status, &local);
    if (!url)
        url = api_text(version, "versionUrl", NULL);
    if (d->cli->json) {
        out = json_pack(
            "{s:s,s:s,s:s,s:s*,s:s*,s:O*,s:I,s:I}", "project", d->project,
            "service", d->app.service, "version", d->version, "url", url,
            "localUrl", local, "indexesStarted", d->started, "archiveBytes",
            (json_int_t)d->archive.size, "sentBytes", (json_int_t)d->sent);
        cli_print_json(out);
        json_decref(out);
    } else if (url) {
        printf("%s%s%s version %s of %s answers at %s%s%s\n", cli_good(d->cli),
               "Deployed:", cli_plain(d->cli), d->version, d->project,
               cli_bold(d->cli), url, cli_plain(d->cli));
        if (local)
            printf("  and, while it is the only one here, at %s\n", local);
    } else {
        printf("Deployed: version %s of %s\n", d->version, d->project);
    }
    if (!d->cli->json)
        print_started(d);
    json_decref(status);
}

static int send_dispatch_beside(struct deploy *d);

static int deploy_steps(struct deploy *d)
{
    json_t *version = NULL;
    int rc = pack(d);

    if (rc == 0)
        rc = ensure_project(d);
    if (rc == 0)
        rc = upload(d);
    if (rc == 0)
        rc = send_indexes(d);
    if (rc == 0)
        rc = send_queues(d);
    if (rc == 0)
        rc = create_version(d, &version);
    if (rc == 0)
        rc = send_cron(d);
    if (rc == 0)
        rc = send_dispatch_beside(d);
    progress_end(&d->progress, rc == 0);
    if (rc == 0)
        print_result(d, version);
    else if (!d->cli->next)
        d->cli->next = "correct what is named above, and deploy again; what "
                       "ran before goes on running";
    json_decref(version);
    return rc;
}

/* ---- dispatch.yaml ---- */

static int send_dispatch(struct deploy *d)
{
    const char *file = arena_printf(&d->cli->arena, "%s/dispatch.yaml", d->dir);
    json_t *rules = NULL, *op = NULL, *body;
    int rc;

    if (!d->beside[DISPATCH_YAML].p)
        return 0;
    rc = dispatchyaml_parse(&d->cli->ctx, file, d->beside[DISPATCH_YAML],
                            &rules);
    if (rc)
        return rc;
    progress_step(&d->progress, "Setting the dispatch rules of %s", d->project);
    body = json_pack("{s:o}", "dispatchRules", rules);
    rc = api_call(d->api, "PATCH", &op, body,
                  "/v1/apps/%s?updateMask=dispatchRules", d->project);
    json_decref(body);
    return rc ? rc : api_wait(d->api, op, &d->progress, NULL);
}

/* Beside an application its rules may name services that are yet to come: that
 * is told, and no failure. */
static int send_dispatch_beside(struct deploy *d)
{
    int rc = send_dispatch(d);

    if (rc != ERR_INVALID && rc != ERR_NOT_FOUND)
        return rc;
    progress_end(&d->progress, false);
    fprintf(stderr,
            "dispatch.yaml was not taken: %s\n  Next: once its services are "
            "there, appscale deploy %s/dispatch.yaml\n",
            d->cli->ctx.err.message, d->dir);
    ctx_err_clear(&d->cli->ctx);
    return 0;
}

/* ---- a file alone: `appscale deploy cron.yaml` ---- */

/* app.yaml beside it may name the project. */
static void find_project(struct deploy *d)
{
    struct cli *cli = d->cli;

    if (!cli_option(cli, "project") &&
        appyaml_load(&cli->ctx,
                     arena_printf(&cli->arena, "%s/app.yaml", d->dir),
                     &d->app) != 0)
        d->app.project = NULL;
    ctx_err_clear(&cli->ctx);
}

static int read_text_alone(struct deploy *d)
{
    struct bytes *text = &d->beside[d->what];

    if (d->what == CRON_YAML)
        return cron_read(d->cli, d->file, &d->cron);
    return appyaml_file_load(&d->cli->ctx, &appyaml_files[d->what], d->file,
                             text);
}

static int read_alone(struct deploy *d)
{
    struct cli *cli = d->cli;
    int rc;

    cli->exit = CLI_INVALID;
    rc = read_text_alone(d);
    if (rc == ERR_NOT_FOUND)
        return cli_usage(cli, "there is no file %s", d->file);
    if (rc == 0 && d->what == QUEUE_YAML)
        rc = queueyaml_parse(&cli->ctx, d->file, d->beside[QUEUE_YAML],
                             &(struct queueyaml){0});
    if (rc < 0) {
        cli->next = "correct what is named above, and deploy again; nothing "
                    "has changed";
        return rc;
    }
    cli->exit = CLI_FAILED;
    find_project(d);
    return name_project(d);
}

static int send_alone(struct deploy *d, size_t *jobs)
{
    switch (d->what) {
    case CRON_YAML:
        return cron_send(d->cli, d->api, &d->progress, d->project, d->cron_file,
                         d->cron, jobs);
    case QUEUE_YAML:
        return send_queues(d);
    case INDEX_YAML:
        return send_indexes(d);
    default:
        return send_dispatch(d);
    }
}

static int deploy_alone(struct deploy *d)
{
    struct cli *cli = d->cli;
    const char *name = basename(arena_strdup(&cli->arena, d->file));
    size_t jobs = 0;
    json_t *out;
    int rc = send_alone(d, &jobs);

    progress_end(&d->progress, rc == 0);
    if (rc == ERR_NOT_FOUND)
        cli->next = "deploy the application first, or name its project with "
                    "--project";
    if (rc == 0 && cli->json) {
        out = json_pack("{s:s, s:s}", "project", d->project, "file", name);
        if (d->what == CRON_YAML)
            json_object_set_new(out, "cronJobs",
                                json_integer((json_int_t)jobs));
        cli_print_json(out);
        json_decref(out);
    } else if (rc == 0 && d->what == CRON_YAML) {
        printf("%s has %zu cron job%s now; `appscale cron list %s` shows when "
               "they run.\n",
               d->project, jobs, jobs == 1 ? "" : "s", d->project);
    } else if (rc == 0) {
        printf("%s of %s counts from now on.\n", name, d->project);
        print_started(d);
    }
    return rc;
}

/* ---- all that was named ---- */

static void classify(struct deploy *d)
{
    const char *name = basename(arena_strdup(&d->cli->arena, d->given));

    d->what = APP;
    if (cron_is_file(name)) {
        d->what = CRON_YAML;
        d->cron_file = name;
    }
    for (int i = 0; appyaml_files[i].name; i++)
        if (strcmp(appyaml_files[i].name, name) == 0)
            d->what = (enum beside)i;
    d->file = d->given;
    if (d->what != APP)
        d->dir = dirname(arena_strdup(&d->cli->arena, d->given));
}

/* The default service has to be there before the others, and the rules that
 * name services after them. */
static int turn(const struct deploy *d)
{
    if (d->what == APP)
        return strcmp(d->app.service, "default") == 0 ? 0 : 1;
    return d->what == DISPATCH_YAML ? 3 : 2;
}

static int deploy_all(struct cli *cli, struct deploy *list, int n)
{
    struct api *api = api_open(cli);
    int rc = api_call(api, "GET", NULL, NULL, "/v1/platform/status");

    for (int now = 0; now < 4; now++)
        for (int i = 0; rc == 0 && i < n; i++) {
            if (turn(&list[i]) != now)
                continue;
            list[i].api = api;
            rc = list[i].what == APP ? deploy_steps(&list[i])
                                     : deploy_alone(&list[i]);
        }
    return rc;
}

int cli_deploy(struct cli *cli)
{
    struct deploy list[ARGS_MAX];
    int n = 0, rc = 0;

    for (const char *given; rc == 0 && (given = cli_operand(cli, n)); n++) {
        list[n] = (struct deploy){.cli = cli, .given = given, .archive.fd = -1};
        progress_init(&list[n].progress, cli->json);
        classify(&list[n]);
        rc = list[n].what == APP ? read_files(&list[n]) : read_alone(&list[n]);
    }
    if (rc == 0)
        rc = deploy_all(cli, list, n);
    for (int i = 0; i < n; i++) {
        if (list[i].archive.fd >= 0)
            close(list[i].archive.fd);
        json_decref(list[i].started);
    }
    return rc;
}

int cli_undeploy(struct cli *cli)
{
    const char *project = cli_operand(cli, 0);
    bool data = cli_switch(cli, "data");
    struct api *api = api_open(cli);
    struct progress progress;
    json_t *op = NULL;
    int rc;

    if (data && !cli_switch(cli, "yes") &&
        !cli_confirm(cli, "Delete the data of this project for good?"))
        return cli_fail(cli, CLI_USAGE, "add --yes to delete without asking",
                        "the data of %s was not deleted, and it still runs",
                        project);
    progress_init(&progress, cli->json);
    rc = api_call(api, "DELETE", &op, NULL, "/v1/apps/%s%s",
                  api_escape(cli, project), data ? "?data=true" : "");
    if (rc == ERR_NOT_FOUND)
        cli->next = "appscale status";
    if (rc == 0)
        rc = api_wait(api, op, &progress, NULL);
    if (rc == 0 && !cli->json)
        printf("%s is gone%s.\n", project,
               data ? ", and its data with it" : "; its data stays");
    return rc;
}
