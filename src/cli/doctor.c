/*
 * `appscale doctor`: what is wrong on this machine, in words, and what to do.
 *
 * A table of checks, each a function that adds findings; a new check is a new
 * row.  They work with the platform up, where it tells about itself, and down,
 * where the machine is looked at.  Nothing is changed.
 */
#include "cli/api.h"
#include "cli/up.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum {
    DISK_BAD_MB = 200,   /* the store stops at a full disk */
    DISK_WARN_MB = 2048, /* a deployment or two, logs, compaction */
    FILES_WARN = 4096,   /* clients of nginx, twice, and the rest */
    YEAR_LEAST = 2026,   /* of this program: an earlier clock is wrong */
};

enum verdict { GOOD, WARNING, BAD };

struct doctor {
    struct cli *cli;
    struct settings settings;
    bool settings_good;
    json_t *status; /* of the platform; NULL while it is down */
    struct api *api;
    const char *check; /* the row at hand */
    json_t *findings;
    int worst;
};

/* `next` may be NULL: there is nothing to do. */
static void found(struct doctor *d, enum verdict v, const char *next,
                  const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static void found(struct doctor *d, enum verdict v, const char *next,
                  const char *fmt, ...)
{
    static const char *const words[] = {"ok", "warning", "bad"};
    struct buf text = BUF_IN(&d->cli->arena);
    char line[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    buf_add_str(&text, line);
    json_array_append_new(
        d->findings, json_pack("{s:s, s:s, s:s, s:s*}", "check", d->check,
                               "verdict", words[v], "sentence",
                               api_safe(&d->cli->arena, line), "next", next));
    if ((int)v > d->worst)
        d->worst = (int)v;
}

/* What a function of `up` told as its failure becomes a finding. */
static void found_failure(struct doctor *d, enum verdict v)
{
    struct cli *cli = d->cli;

    found(d, v, cli->next, "%s", cli->ctx.err.message);
    ctx_err_clear(&cli->ctx);
    cli->next = NULL;
    cli->exit = CLI_FAILED;
}

/* ---- the machine ---- */

static void check_settings(struct doctor *d)
{
    const char *used;

    settings_default(&d->settings);
    d->settings_good = up_settings(d->cli, &d->settings, &used) == 0;
    if (!d->settings_good)
        found_failure(d, BAD);
    else
        found(d, GOOD, NULL, "settings: %s", used ? used : "the defaults");
}

static void check_programs(struct doctor *d)
{
    if (up_check_programs(d->cli, &d->settings))
        found_failure(d, BAD);
    else
        found(d, GOOD, NULL, "every program the platform starts is there");
}

/* The nearest folder above that exists: ROOT may be yet to come. */
static const char *existing(struct cli *cli)
{
    char *path = arena_strdup(&cli->arena, cli->root), *slash;

    while (access(path, F_OK) != 0 && (slash = strrchr(path, '/')) &&
           slash != path)
        *slash = '\0';
    return path;
}

static void check_folder(struct doctor *d)
{
    const char *path = existing(d->cli);

    if (access(path, W_OK | X_OK) == 0)
        found(d, GOOD, NULL, "%s may be written", d->cli->root);
    else
        found(d, BAD,
              "run it as that user, or choose another folder with --root or "
              "APPSCALE_ROOT",
              "%s: %s", path, strerror(errno));
}

static void check_disk(struct doctor *d)
{
    const char *path = existing(d->cli);
    struct statvfs fs;
    int64_t mb;

    if (statvfs(path, &fs) != 0) {
        found(d, BAD, NULL, "%s: %s", path, strerror(errno));
        return;
    }
    mb = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize >> 20;
    found(d,
          mb < DISK_BAD_MB    ? BAD
          : mb < DISK_WARN_MB ? WARNING
                              : GOOD,
          mb < DISK_WARN_MB ? "make room, or move the folder to another disk"
                            : NULL,
          "%" PRId64 " MB are free where %s lies", mb, d->cli->root);
}

static void check_files(struct doctor *d)
{
    struct rlimit r = {0};

    getrlimit(RLIMIT_NOFILE, &r);
    if (r.rlim_max < FILES_WARN)
        found(d, WARNING,
              "raise it: ulimit -Hn 65536, or LimitNOFILE= of the service",
              "a process may open %llu files, which limits the clients at once",
              (unsigned long long)r.rlim_max);
    else
        found(d, GOOD, NULL, "a process may open %llu files",
              (unsigned long long)r.rlim_max);
}

static void check_clock(struct doctor *d)
{
    time_t now = time(NULL);
    struct tm tm;

    gmtime_r(&now, &tm);
    if (tm.tm_year + 1900 < YEAR_LEAST)
        found(d, BAD, "set it, and keep it by NTP (apt-get install chrony)",
              "the clock says %d: sign-ins, certificates and tasks go by it",
              tm.tm_year + 1900);
    else
        found(d, GOOD, NULL, "the clock says %04d-%02d-%02d %02d:%02d UTC",
              tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
              tm.tm_min);
}

static void check_domain(struct doctor *d)
{
    const char *name =
        arena_printf(&d->cli->arena, "any.%s", d->settings.domain);
    size_t n = strlen(d->settings.domain);
    struct addrinfo *list = NULL;
    int rc;

    if (n >= 9 && strcmp(d->settings.domain + n - 9, "localhost") == 0) {
        found(d, GOOD, NULL, "applications are below %s: this machine alone",
              d->settings.domain);
        return;
    }
    rc = getaddrinfo(name, NULL, NULL, &list);
    if (rc == 0)
        found(d, GOOD, NULL, "names below %s resolve", d->settings.domain);
    else
        found(d, WARNING,
              "let *.DOMAIN lead to this machine in the DNS, or set `domain` "
              "in the AppScalefile",
              "%s does not resolve: %s", name, gai_strerror(rc));
    if (list)
        freeaddrinfo(list);
}

/* ---- the platform ---- */

static void check_platform(struct doctor *d)
{
    int rc = api_call(d->api, "GET", &d->status, NULL, "/v1/platform/status");

    if (rc == 0) {
        bool ready = json_is_true(json_object_get(d->status, "ready"));

        found(d, ready ? GOOD : WARNING,
              ready ? NULL : "see below, or ask again in a moment",
              ready ? "the platform is up" : "the platform is not ready yet");
        return;
    }
    if (up_controller_alive(d->cli)) {
        found_failure(d, BAD);
        return;
    }
    ctx_err_clear(&d->cli->ctx);
    found(d, WARNING, "appscale up", "the platform is down");
    d->cli->next = NULL;
    d->cli->exit = CLI_FAILED;
}

static void check_ports(struct doctor *d)
{
    if (d->status || up_controller_alive(d->cli))
        return; /* they are its own */
    if (up_check_ports(d->cli, &d->settings))
        found_failure(d, BAD);
    else
        found(d, GOOD, NULL, "its ports are free");
}

static void check_processes(struct doctor *d)
{
    const json_t *p, *line;
    size_t i, j, bad = 0;

    json_array_foreach(json_object_get(d->status, "processes"), i, p)
    {
        struct buf text = BUF_IN(&d->cli->arena);

        if (strcmp(api_text(p, "state", ""), "failing") != 0)
            continue;
        bad++;
        json_array_foreach(json_object_get(p, "lastError"), j, line)
            buf_printf(&text, "%s%s", j ? " | " : "", json_string_value(line));
        found(d, BAD,
              strchr(api_text(p, "name", ""), '/')
                  ? "appscale logs PROJECT tells more; deploy what mends it"
                  : arena_printf(&d->cli->arena, "appscale logs %s",
                                 api_text(p, "name", "")),
              "%s fails again and again: %.700s", api_text(p, "name", "?"),
              text.n ? buf_cstr(&text) : "it says nothing");
    }
    if (d->status && !bad)
        found(d, GOOD, NULL, "no process is failing");
}

static void check_sandbox(struct doctor *d)
{
    const json_t *sandbox = json_object_get(d->status, "sandbox"), *word;
    struct buf text = BUF_IN(&d->cli->arena);
    size_t i;

    if (!d->status)
        return;
    json_array_foreach(json_object_get(sandbox, "missing"), i, word)
        buf_printf(&text, "%s%s", i ? ", " : "", json_string_value(word));
    if (strcmp(api_text(sandbox, "state", ""), "off") == 0)
        found(d, WARNING, "take `sandbox: off` out of the AppScalefile",
              "applications run without a sandbox, and see everything");
    else if (text.n)
        found(d, WARNING, "src/sandbox/README.md says what each needs",
              "the sandbox cannot confine here: %s", buf_cstr(&text));
    else
        found(d, GOOD, NULL, "applications are confined");
}

static void check_certificates(struct doctor *d)
{
    const json_t *c;
    size_t i, warnings = 0;

    json_array_foreach(json_object_get(d->status, "certificates"), i, c)
    {
        const char *warning = api_text(c, "warning", NULL);

        if (warning)
            found(d, WARNING, NULL, "%s", warning);
        warnings += warning != NULL;
    }
    if (d->status && !warnings)
        found(d, GOOD, NULL, "no certificate ends soon");
}

static void check_read_only(struct doctor *d)
{
    const json_t *mode = json_object_get(d->status, "readOnly"), *app;
    size_t i;

    if (json_is_true(json_object_get(mode, "all")))
        found(d, WARNING, "appscale datastore read-only off",
              "the datastore refuses the writes of every application");
    json_array_foreach(json_object_get(mode, "apps"), i, app) found(
        d, WARNING,
        arena_printf(&d->cli->arena, "appscale datastore read-only off %s",
                     json_string_value(app)),
        "the datastore refuses the writes of %s", json_string_value(app));
}

/* One list of one project: its members that `word` of `member` marks. */
static void look_through(struct doctor *d, const char *project,
                         const char *list, const char *id, const char *word,
                         enum verdict v, const char *next, const char *sentence)
{
    json_t *answer = NULL;
    const json_t *one;
    size_t i;

    if (api_call(d->api, "GET", &answer, NULL, "/v1/apps/%s/%s",
                 api_escape(d->cli, project), list)) {
        ctx_err_clear(&d->cli->ctx);
        return;
    }
    json_array_foreach(json_object_get(answer, list), i, one)
    {
        if (strcmp(api_text(one, "state", ""), word) == 0)
            found(d, v, arena_printf(&d->cli->arena, "%s %s", next, project),
                  "%s: %s %s %s", project, list, api_text(one, id, ""),
                  sentence);
    }
    json_decref(answer);
}

static void check_projects(struct doctor *d)
{
    const json_t *app;
    size_t i;

    json_array_foreach(json_object_get(d->status, "apps"), i, app)
    {
        const char *id = api_text(app, "id", "?");

        look_through(d, id, "queues", "id", "PAUSED", WARNING,
                     "appscale queues list", "is paused: its tasks wait");
        look_through(d, id, "indexes", "kind", "ERROR", BAD,
                     "appscale datastore indexes",
                     "could not be built: queries that need it are refused");
    }
}

/* ---- all of it ---- */

static const struct {
    const char *name;
    void (*run)(struct doctor *d);
} checks[] = {
    {"settings", check_settings},   {"programs", check_programs},
    {"folder", check_folder},       {"disk", check_disk},
    {"files", check_files},         {"clock", check_clock},
    {"domain", check_domain},       {"platform", check_platform},
    {"ports", check_ports},         {"processes", check_processes},
    {"sandbox", check_sandbox},     {"certificates", check_certificates},
    {"read-only", check_read_only}, {"projects", check_projects},
};

static void print_findings(struct cli *cli, const json_t *findings)
{
    const json_t *f;
    size_t i;

    json_array_foreach(findings, i, f)
    {
        const char *verdict = api_text(f, "verdict", "");
        const char *next = api_text(f, "next", NULL);
        bool good = strcmp(verdict, "ok") == 0;

        printf("%s%-8s%s %s\n", good ? cli_good(cli) : cli_bad(cli), verdict,
               cli_plain(cli), api_text(f, "sentence", ""));
        if (next)
            printf("         Next: %s\n", next);
    }
}

int cli_doctor(struct cli *cli)
{
    struct doctor d = {.cli = cli, .findings = json_array()};

    d.api = api_open(cli);
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        d.check = checks[i].name;
        checks[i].run(&d);
    }
    if (cli->json)
        cli_print_json(d.findings);
    else
        print_findings(cli, d.findings);
    json_decref(d.status);
    json_decref(d.findings);
    cli->exit = CLI_FAILED;
    if (d.worst < BAD)
        return 0;
    return cli_fail(cli, CLI_FAILED, NULL, "something is wrong here");
}
