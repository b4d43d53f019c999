/*
 * cli - from argv to an exit status.
 *
 * Commands return 0 or ERR_* and leave the story in cli->ctx; only this file
 * turns that into words on stderr, so every failure looks the same.
 */
#include "cli/cli.h"

#include "config/paths.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct args_option common_options[] = {
    {"root", "DIR", "where the platform keeps its things", 0},
    {"json", NULL, "print JSON instead of text, where there is a result", 0},
    {"help", NULL, "this page", 'h'},
    {0},
};

/* ---- failures ---- */

int cli_usage(struct cli *cli, const char *fmt, ...)
{
    va_list ap;

    cli->exit = CLI_USAGE;
    va_start(ap, fmt);
    ctx_err_clear(&cli->ctx);
    ctx_err(&cli->ctx, ERR_INVALID, "%s", arena_vprintf(&cli->arena, fmt, ap));
    va_end(ap);
    return ERR_INVALID;
}

int cli_fail(struct cli *cli, enum cli_exit exit, const char *next,
             const char *fmt, ...)
{
    va_list ap;

    cli->exit = exit;
    cli->next = next;
    va_start(ap, fmt);
    ctx_err_clear(&cli->ctx);
    ctx_err(&cli->ctx, ERR_UNAVAILABLE, "%s",
            arena_vprintf(&cli->arena, fmt, ap));
    va_end(ap);
    return ERR_UNAVAILABLE;
}

/* "deploy", "datastore stats": what was typed to come here; NULL: nothing that
 * is known. */
static const char *title(struct cli *cli)
{
    if (cli->family && cli->command)
        return arena_printf(&cli->arena, "%s %s", cli->family->name,
                            cli->command->name);
    if (cli->family)
        return cli->family->name;
    return cli->command ? cli->command->name : NULL;
}

static int report(struct cli *cli, int code)
{
    const char *red = isatty(STDERR_FILENO) && cli->color ? "\033[31m" : "";
    const char *name = title(cli);

    fprintf(stderr, "%sappscale%s%s: %s%s\n", red, name ? " " : "",
            name ? name : "", ctx_err_text(&cli->ctx, code),
            *red ? "\033[0m" : "");
    if (cli->exit == CLI_USAGE && !cli->next)
        cli->next = name ? arena_printf(&cli->arena, "appscale %s --help", name)
                         : "appscale help";
    if (cli->next)
        fprintf(stderr, "  Next: %s\n", cli->next);
    return cli->exit;
}

/* ---- what commands need ---- */

const char *cli_operand(const struct cli *cli, int n)
{
    return n < cli->args.n_operands ? cli->args.operands[n] : NULL;
}

const char *cli_option(const struct cli *cli, const char *name)
{
    return args_value(&cli->args, name);
}

bool cli_switch(const struct cli *cli, const char *name)
{
    return args_has(&cli->args, name);
}

bool cli_confirm(const struct cli *cli, const char *question)
{
    char answer[16];

    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return false;
    fprintf(stderr, "%s [y/N] ", question);
    if (!fgets(answer, sizeof(answer), stdin))
        return false;
    return *answer == 'y' || *answer == 'Y';
}

void cli_print_json(const json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_SORT_KEYS);

    puts(text);
    free(text);
}

#define COLOR(name_, sequence_)                                                \
    const char *cli_##name_(const struct cli *cli)                             \
    {                                                                          \
        return cli->color ? sequence_ : "";                                    \
    }
COLOR(bold, "\033[1m")
COLOR(good, "\033[32m")
COLOR(bad, "\033[31m")
COLOR(dim, "\033[2m")
COLOR(plain, "\033[0m")

/* ---- help ---- */

static void print_options(const struct args_option *options)
{
    for (const struct args_option *o = options; o && o->name; o++) {
        char left[64];

        snprintf(left, sizeof(left), "%c%c%s--%s%s%s", o->letter ? '-' : ' ',
                 o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name,
                 o->value ? " " : "", o->value ? o->value : "");
        printf("  %-26s %s\n", left, o->help);
    }
}

static void print_commands(const struct cli_command *c)
{
    printf("Commands:\n");
    for (; c->name; c++)
        printf("  %-12s %-18s %s\n", c->name, c->operands, c->sentence);
}

static void print_command_help(const struct cli_command *family,
                               const struct cli_command *c)
{
    printf("usage: appscale %s%s%s%s%s%s\n\n%s.\n", family ? family->name : "",
           family ? " " : "", c->name, *c->operands ? " " : "", c->operands,
           c->commands ? "" : " [options]", c->sentence);
    if (c->help)
        printf("\n%s\n", c->help);
    printf("\n");
    if (c->commands) {
        print_commands(c->commands);
        printf("\nEach of them has --help.\n");
        return;
    }
    printf("Options:\n");
    print_options(c->options);
    print_options(common_options);
}

static const struct cli_command *find_command(const struct cli_command *c,
                                              const char *name)
{
    while (c->name && strcmp(c->name, name) != 0)
        c++;
    return c->name ? c : NULL;
}

static void print_help(void)
{
    printf("usage: appscale COMMAND [arguments] [options]\n\n"
           "Host App Engine applications on your own machines.\n\n");
    print_commands(cli_commands);
    printf("\nEvery command has --help. `appscale help config` lists the "
           "settings of an\nAppScalefile.\n\n"
           "The platform keeps its things in --root DIR, else in $APPSCALE_ROOT"
           ", else in\n/var/lib/appscale (root) or ~/.local/share/appscale.\n\n"
           "Exit status: 0 done, 1 failed, 2 the command line was not "
           "understood,\n3 the platform is not running, 4 a file of the "
           "application or the AppScalefile\nis not valid.\n");
}

static int help_member(struct cli *cli, const struct cli_command *family,
                       const char *name)
{
    const struct cli_command *c =
        family->commands ? find_command(family->commands, name) : NULL;

    if (!c)
        return cli_usage(cli, "there is no command \"%s %s\"", family->name,
                         name);
    print_command_help(family, c);
    return 0;
}

int cli_help(struct cli *cli)
{
    const char *topic = cli_operand(cli, 0);
    const struct cli_command *c;

    if (!topic) {
        print_help();
        return 0;
    }
    if (strcmp(topic, "config") == 0)
        return cli_help_config(cli);
    c = find_command(cli_commands, topic);
    if (!c)
        return cli_usage(cli, "there is no command \"%s\"", topic);
    if (cli_operand(cli, 1))
        return help_member(cli, c, cli_operand(cli, 1));
    print_command_help(NULL, c);
    return 0;
}

/* ---- running ---- */

static bool wants_color(void)
{
    const char *term = getenv("TERM");
    const char *none = getenv("NO_COLOR");

    return isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0 &&
           !(none && *none);
}

static int check_operands(struct cli *cli)
{
    const struct cli_command *c = cli->command;

    if (cli->args.n_operands < c->min_operands)
        return cli_usage(cli, "an argument is missing: appscale %s %s",
                         title(cli), c->operands);
    if (cli->args.n_operands > c->max_operands)
        return cli_usage(cli, "one argument too many: \"%s\"",
                         cli->args.operands[c->max_operands]);
    return 0;
}

static int run_command(struct cli *cli, int argc, char **argv)
{
    const struct args_option *tables[3] = {common_options, NULL, NULL};
    int rc;

    if (cli->command->options) {
        tables[0] = cli->command->options;
        tables[1] = common_options;
    }
    cli->exit = CLI_USAGE;
    rc = args_parse(&cli->ctx, tables, argc, argv, &cli->args);
    if (rc == 0 && cli_switch(cli, "help")) {
        print_command_help(cli->family, cli->command);
        return 0;
    }
    if (rc == 0)
        rc = check_operands(cli);
    if (rc < 0)
        return rc;
    cli->exit = CLI_FAILED;
    cli->json = cli_switch(cli, "json");
    cli->root = config_root(&cli->arena, cli_option(cli, "root"));
    cli->socket = config_socket(&cli->arena, cli->root);
    return cli->command->run(cli);
}

/* The word behind a family's name chooses among its rows. */
static int run_family(struct cli *cli, int argc, char **argv)
{
    const struct cli_command *family = cli->command;

    cli->family = family;
    cli->command = NULL;
    if (argc == 0)
        return cli_usage(cli, "which of its commands?");
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        print_command_help(NULL, family);
        return 0;
    }
    cli->command = find_command(family->commands, argv[0]);
    if (!cli->command)
        return cli_usage(cli, "there is no command \"%s %s\"", family->name,
                         argv[0]);
    return run_command(cli, argc - 1, argv + 1);
}

/* "appscale", "appscale --help" and "appscale --version" as people try. */
static const char *command_name(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0)
        return "help";
    if (strcmp(argv[1], "--version") == 0)
        return "version";
    return argv[1];
}

int cli_main(int argc, char **argv)
{
    struct cli cli = {.exit = CLI_FAILED};
    int rc, status;

    ctx_init(&cli.ctx, &cli.arena);
    cli.ctx.may_wait = true;
    cli.color = wants_color();
    cli.command = find_command(cli_commands, command_name(argc, argv));
    if (cli.command && cli.command->commands)
        rc = run_family(&cli, argc - 2, argv + 2);
    else if (cli.command)
        rc = run_command(&cli, argc < 2 ? 0 : argc - 2, argv + 2);
    else
        rc = cli_usage(&cli, "there is no command \"%s\"", argv[1]);
    status = rc < 0 ? report(&cli, rc) : CLI_OK;
    if (fflush(stdout) != 0 && status == CLI_OK)
        status = CLI_FAILED;
    arena_release(&cli.arena);
    return status;
}
