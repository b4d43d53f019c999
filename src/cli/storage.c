/*
 * `appscale storage COMMAND`: the storage backends, and whether one keeps the
 * contract.
 *
 * The contract suite is a program of its own (tests/contract), since it brings
 * every backend with it; this file finds it, runs it in a folder that goes
 * away whatever happens, and reads what it says line by line.  Who interrupts
 * the command ends the suite too: the kernel kills it with us.
 */
#include "base/buf.h"
#include "base/exit.h"
#include "cli/child.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "config/paths.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK (100 * CLOCK_MS)

static const char suite_name[] = "test_storage";
static const char suite_built[] = "tests/contract/test_storage";

/* ---- the program ---- */

static int no_suite(struct cli *cli)
{
    struct arena *a = &cli->arena;
    char *build = arena_strdup(a, config_program_dir(a));
    char *slash = strrchr(build, '/');
    const char *next = "build AppScale from its source; `ninja -C build "
                       "install` installs the suite too";

    if (slash)
        *slash = '\0';
    if (access(arena_printf(a, "%s/build.ninja", build), F_OK) == 0)
        next = arena_printf(a, "ninja -C %s %s", build, suite_built);
    return cli_fail(cli, CLI_FAILED, next,
                    "the contract suite is not there: neither "
                    "../libexec/appscale/%s nor ../%s beside this program",
                    suite_name, suite_built);
}

typedef void line_fn(void *arg, const char *line);

/* Hand over the whole lines of `text`. */
static void take_lines(struct arena *a, struct buf *text, line_fn *fn,
                       void *arg)
{
    const uint8_t *end;

    while (text->n && (end = memchr(text->p, '\n', text->n)) != NULL) {
        size_t n = (size_t)(end - text->p);

        fn(arg, arena_cstr(a, BYTES(text->p, n)));
        buf_consume(text, n + 1);
    }
}

/* All it says, to the end; what stands behind the last newline is a line. */
static void read_lines(struct arena *a, int fd, struct progress *progress,
                       line_fn *fn, void *arg)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct buf text = BUF_HEAP;
    ssize_t n = 1;

    while (n != 0) {
        progress_tick(progress);
        if (poll(&p, 1, TICK / CLOCK_MS) <= 0)
            continue;
        n = read(fd, buf_reserve(&text, 4096), 4096);
        if (n < 0)
            n = errno == EINTR ? 1 : 0;
        else
            text.n += (size_t)n;
        take_lines(a, &text, fn, arg);
    }
    if (text.n)
        fn(arg, arena_cstr(a, buf_view(&text)));
    buf_release(&text);
}

/* Run the suite with these words behind its name.  *status as of waitpid(). */
static int run_suite(struct cli *cli, const char *const *words,
                     struct progress *progress, line_fn *fn, void *arg,
                     int *status)
{
    const char *argv[4] = {
        config_libexec_find(&cli->arena, suite_name, suite_built), words[0],
        words[0] ? words[1] : NULL, NULL};
    int fd, rc;
    pid_t pid;

    if (!argv[0])
        return no_suite(cli);
    rc = child_start_piped(&cli->ctx, argv, &pid, &fd);
    if (rc != 0)
        return rc;
    read_lines(&cli->arena, fd, progress, fn, arg);
    close(fd);
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        continue;
    return 0;
}

/* ---- list ---- */

struct list {
    struct cli *cli;
    json_t *rows;
};

static void list_line(void *arg, const char *line)
{
    struct list *l = arg;
    const char *tab = strchr(line, '\t');

    if (tab)
        json_array_append_new(l->rows,
                              json_pack("{s:s%, s:s}", "name", line,
                                        (size_t)(tab - line), "help", tab + 1));
}

static int cli_storage_list(struct cli *cli)
{
    struct list l = {.cli = cli, .rows = json_array()};
    struct progress progress;
    int status = 0, rc;
    json_t *row;
    size_t i;

    progress_init(&progress, true);
    rc = run_suite(cli, (const char *[]){"--list", NULL}, &progress, list_line,
                   &l, &status);
    if (rc == 0 && status != 0)
        rc = cli_fail(cli, CLI_FAILED, NULL, "the contract suite %s",
                      exit_text(&cli->arena, status));
    if (rc == 0 && cli->json)
        cli_print_json(l.rows);
    json_array_foreach(l.rows, i, row)
    {
        if (rc == 0 && !cli->json)
            printf("%-10s %s\n",
                   json_string_value(json_object_get(row, "name")),
                   json_string_value(json_object_get(row, "help")));
    }
    json_decref(l.rows);
    return rc;
}

/* ---- test ---- */

/* What the suite has said so far. */
struct verdict {
    struct cli *cli;
    const char *backend;
    struct progress progress;
    int64_t began;
    int total; /* -1: not known yet */
    int passed, failed;
    const char *group;
    const char *left_out; /* groups that do not apply, or NULL */
    const char *running;  /* a case, or NULL */
    struct buf story;     /* what was said since it began */
    json_t *failures;
};

/* "no_increment_is_lost" is a sentence. */
static const char *sentence(struct arena *a, const char *name)
{
    char *s = arena_strdup(a, name);

    for (char *p = s; (p = strchr(p, '_')) != NULL;)
        *p = ' ';
    return s;
}

static void case_begins(struct verdict *v, const char *name)
{
    v->running = name;
    buf_clear(&v->story);
    progress_step(&v->progress, "%s: %s (%d of %d: %s)", v->backend, v->group,
                  v->passed + v->failed + 1, v->total,
                  sentence(&v->cli->arena, name));
}

static void case_ends(struct verdict *v, bool ok)
{
    v->passed += ok;
    v->failed += !ok;
    if (!ok)
        json_array_append_new(
            v->failures, json_pack("{s:s, s:s, s:s}", "group", v->group, "case",
                                   sentence(&v->cli->arena, v->running),
                                   "story", buf_cstr(&v->story)));
    v->running = NULL;
}

/* What stands behind `prefix` at the beginning of the line, or NULL. */
static const char *behind(const char *line, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(line, prefix, n) == 0 ? line + n : NULL;
}

/* Rows and values are any bytes; the story is text. */
static void add_story(struct verdict *v, const char *line)
{
    for (; *line; line++)
        buf_add_u8(&v->story,
                   *line < ' ' || *line > '~' ? '?' : (uint8_t)*line);
    buf_add_u8(&v->story, '\n');
}

/* Lines of test_storage.c, then those of cmocka, which names what failed once
 * more at the end of a group. */
static void test_line(void *arg, const char *line)
{
    struct verdict *v = arg;
    const char *rest;

    if ((rest = behind(line, "== cases ")) != NULL)
        v->total = atoi(rest);
    else if ((rest = behind(line, "== group ")) != NULL)
        v->group = rest;
    else if ((rest = behind(line, "== left out ")) != NULL)
        v->left_out = rest;
    else if ((rest = behind(line, "[ RUN      ] ")) != NULL)
        case_begins(v, rest);
    else if ((rest = behind(line, "[       OK ] ")) != NULL && v->running)
        case_ends(v, true);
    else if ((rest = behind(line, "[  FAILED  ] ")) != NULL && v->running &&
             strcmp(rest, v->running) == 0)
        case_ends(v, false);
    else if (v->running || v->total < 0)
        add_story(v, line);
}

static void print_failures(struct verdict *v)
{
    json_t *failure;
    size_t i;

    json_array_foreach(v->failures, i, failure)
    {
        char *story =
            arena_strdup(&v->cli->arena,
                         json_string_value(json_object_get(failure, "story")));
        char *line;

        printf("%s%s: %s%s\n", cli_bold(v->cli),
               json_string_value(json_object_get(failure, "group")),
               json_string_value(json_object_get(failure, "case")),
               cli_plain(v->cli));
        while ((line = strsep(&story, "\n")) != NULL)
            if (*line)
                printf("    %s\n", line);
    }
}

static void print_text(struct verdict *v, double seconds)
{
    struct cli *cli = v->cli;

    print_failures(v);
    printf("%s%s %s%s: %d of %d cases in %.1f s.\n",
           v->failed ? cli_bad(cli) : cli_good(cli), v->backend,
           v->failed ? "does not keep the contract" : "keeps the contract",
           cli_plain(cli), v->passed, v->total, seconds);
    if (v->left_out)
        printf("Left out: %s, as nothing in it outlives the process.\n",
               v->left_out);
}

static void print_json(struct verdict *v, double seconds)
{
    json_t *out = json_pack("{s:s, s:b, s:i, s:i, s:i, s:f, s:O}", "backend",
                            v->backend, "ok", !v->failed, "cases", v->total,
                            "passed", v->passed, "failed", v->failed, "seconds",
                            (double)(int)(seconds * 10 + 0.5) / 10, "failures",
                            v->failures);

    json_object_set_new(out, "leftOut",
                        v->left_out ? json_string(v->left_out) : json_null());
    cli_print_json(out);
    json_decref(out);
}

/* What the suite said instead of beginning, without its name in front. */
static const char *first_line(struct verdict *v)
{
    const char *all = buf_cstr(&v->story);
    const char *line =
        arena_cstr(&v->cli->arena, BYTES(all, strcspn(all, "\n")));
    const char *rest = behind(line, "test_storage: ");

    return rest ? rest : line;
}

/* From what was said, and how it ended. */
static int judge(struct verdict *v, int status)
{
    struct cli *cli = v->cli;
    double seconds = (double)(clock_mono() - v->began) / CLOCK_SEC;

    if (v->total == 0)
        return cli_usage(cli,
                         "%s does not apply to %s: nothing in it outlives "
                         "the process",
                         v->left_out, v->backend);
    if (v->total < 0) /* it did not even begin */
        return cli_fail(
            cli, CLI_FAILED, "`appscale storage list` names the backends", "%s",
            v->story.n ? first_line(v) : exit_text(&cli->arena, status));
    if (status != 0 && v->running) {
        buf_printf(&v->story, "the suite %s\n", exit_text(&cli->arena, status));
        case_ends(v, false);
    }
    if (v->failed == 0 && (status != 0 || v->passed != v->total))
        return cli_fail(cli, CLI_FAILED, NULL,
                        "after %d of %d cases the suite %s", v->passed,
                        v->total, exit_text(&cli->arena, status));
    if (cli->json)
        print_json(v, seconds);
    else
        print_text(v, seconds);
    if (v->failed == 0)
        return 0;
    return cli_fail(cli, CLI_FAILED,
                    "--group NAME runs one group alone; a random run is "
                    "repeated with its --seed",
                    "%d of %d cases failed", v->failed, v->total);
}

/* Options that the suite takes from its environment. */
static int set_environment(struct cli *cli, const char *folder)
{
    int64_t scale;
    int rc = args_number(&cli->ctx, &cli->args, "scale", 1, 1000, 1, &scale);
    const char *seed = cli_option(cli, "seed");

    if (rc != 0)
        return cli_usage(cli, "%s", cli->ctx.err.message);
    if (cli_option(cli, "scale"))
        setenv("CONTRACT_SCALE", cli_option(cli, "scale"), 1);
    if (seed)
        setenv("CONTRACT_SEED", seed, 1);
    setenv("TMPDIR", folder, 1);
    return 0;
}

static int check_names(struct cli *cli)
{
    static const char *const groups[] = {"basic", "limits", "random", "threads",
                                         "crash"};
    const char *group = cli_option(cli, "group");

    if (*cli_operand(cli, 0) == '-')
        return cli_usage(cli, "\"%s\" is not the name of a backend",
                         cli_operand(cli, 0));
    for (size_t i = 0; group && i < sizeof(groups) / sizeof(groups[0]); i++) {
        if (strcmp(groups[i], group) == 0)
            return 0;
    }
    return group ? cli_usage(cli,
                             "there is no group \"%s\"; there are basic, "
                             "limits, random, threads and crash",
                             group)
                 : 0;
}

static int run_test(struct cli *cli)
{
    struct verdict v = {
        .cli = cli,
        .backend = cli_operand(cli, 0),
        .group = "",
        .total = -1,
        .began = clock_mono(),
        .story = BUF_IN(&cli->arena),
        .failures = json_array(),
    };
    const char *words[] = {v.backend, cli_option(cli, "group")};
    int status = 0, rc;

    progress_init(&v.progress, cli->json && !isatty(STDERR_FILENO));
    rc = run_suite(cli, words, &v.progress, test_line, &v, &status);
    progress_end(&v.progress, v.failed == 0 && status == 0);
    if (rc == 0)
        rc = judge(&v, status);
    json_decref(v.failures);
    return rc;
}

static int cli_storage_test(struct cli *cli)
{
    const char *base = getenv("TMPDIR");
    char *folder = arena_printf(&cli->arena, "%s/appscale-storage.XXXXXX",
                                base && *base ? base : "/tmp");
    struct child_watchman watchman;
    int rc = check_names(cli);

    if (rc != 0)
        return rc;
    if (!mkdtemp(folder))
        return ctx_err(&cli->ctx, ERR_IO, "cannot make %s: %s", folder,
                       strerror(errno));
    rc = child_watchman_start(&cli->ctx, folder, &watchman);
    if (rc != 0) {
        rmdir(folder);
        return rc;
    }
    rc = set_environment(cli, folder);
    if (rc == 0)
        rc = run_test(cli);
    child_watchman_stop(&watchman);
    return rc;
}

/* ---- the table ---- */

static const struct args_option test_options[] = {
    {"group", "NAME", "only basic, limits, random, threads or crash", 0},
    {"scale", "N", "make the last three of them N times as long (1)", 0},
    {"seed", "N", "repeat a random run", 0},
    {0},
};

const struct cli_command cli_storage_commands[] = {
    {
        .name = "list",
        .operands = "",
        .sentence = "Name the storage backends",
        .run = cli_storage_list,
    },
    {
        .name = "test",
        .operands = "NAME",
        .sentence = "Try whether a storage backend keeps the contract",
        .help = "Runs the contract suite over the backend NAME in a temporary "
                "folder ($TMPDIR,\nelse /tmp): each operation case by case, "
                "limits and failures, random operations\nagainst the memory "
                "backend, many threads at once and, if the backend is "
                "durable,\nkill -9 between any two steps. Takes from ten "
                "seconds to some minutes, as fast as the\nstore writes; the "
                "platform need not be up, and its data is not touched.",
        .options = test_options,
        .run = cli_storage_test,
        .min_operands = 1,
        .max_operands = 1,
    },
    {.name = NULL},
};
