/*
 * The table of commands.  A new command is a row here, a prototype in cli.h and
 * a function.  A family of commands is one row that names a table of its own.
 */
#include "cli/cli.h"

#include "config/appscalefile.h"

#include <inttypes.h>
#include <stdio.h>

static const struct args_option up_options[] = {
    {"config", "FILE", "the AppScalefile to use", 0},
    {0},
};

static const struct args_option down_options[] = {
    {"clean", NULL, "delete all data, users and deployments as well", 0},
    {"yes", NULL, "do not ask before deleting", 'y'},
    {0},
};

static const struct args_option deploy_options[] = {
    {"project", "ID", "the project; default: what app.yaml or the folder says",
     0},
    {"version", "V", "the version's name; default: the time of day", 0},
    {"no-promote", NULL, "leave the traffic where it is", 0},
    {0},
};

static const struct args_option undeploy_options[] = {
    {"data", NULL, "delete the project's data as well", 0},
    {"yes", NULL, "do not ask before deleting data", 'y'},
    {0},
};

static const struct args_option logs_options[] = {
    {"service", "S,...", "only these services of the project", 0},
    {"version", "V,...", "only these versions", 0},
    {"instance", "I", "only this instance, by its number", 0},
    {"severity", "LEVEL", "only what is as severe: info, warning, error...", 0},
    {"grep", "TEXT", "only what contains the text, in any case", 0},
    {"since", "T", "only what is newer: 10m, 2h, 3d or 2026-11-26T08:00:00", 0},
    {"until", "T", "only what is older", 0},
    {"requests", NULL, "only the requests", 0},
    {"no-requests", NULL, "all but the requests", 0},
    {"build", NULL, "what the last build of the service had to say", 0},
    {"lines", "N", "how many of the newest entries (100)", 'n'},
    {"follow", NULL, "go on with new entries as they come", 'f'},
    {0},
};

static const struct args_option user_options[] = {
    {"admin", NULL, "an administrator of every application", 0},
    {"password-stdin", NULL, "read the password from standard input", 0},
    {"replace", NULL, "set a new password if the account exists", 0},
    {0},
};

static const struct args_option token_options[] = {
    {"audience", "A", "an identity token (JWT) for A instead", 0},
    {"scopes", "S,...", "what it is good for; default: the task queues", 0},
    {0},
};

static const struct args_option emulator_options[] = {
    {"project", "ID", "the project id that SDKs will use", 0},
    {"port", "P", "the port on 127.0.0.1; 0 takes a free one (default)", 'p'},
    {"data", "DIR", "keep the data here; without it, it starts empty", 0},
    {"read-only", NULL, "refuse every write of the datastore", 0},
    {"require-indexes", NULL,
     "refuse a query whose composite index is not in the app's file", 0},
    {"app-url", "URL", "send push tasks to http://HOST:PORT; else they wait",
     0},
    {0},
};

static const struct args_option rollback_options[] = {
    {"project", "ID", "the project; default: the only one", 0},
    {0},
};

static const struct args_option help_options[] = {
    {"markdown", NULL, "`help config` as docs/configuration.md has it", 0},
    {0},
};

const struct cli_command cli_commands[] = {
    {
        .name = "up",
        .operands = "",
        .sentence = "Start the platform on this machine",
        .help = "Reads the AppScalefile of the current folder, else the one "
                "in the platform's\nroot folder, else takes the defaults. "
                "When the platform is up already, it says so\nand changes "
                "nothing.",
        .options = up_options,
        .run = cli_up,
    },
    {
        .name = "down",
        .operands = "",
        .sentence = "Stop the platform; everything stays as it is",
        .options = down_options,
        .run = cli_down,
    },
    {
        .name = "status",
        .operands = "",
        .sentence = "Show what runs, how much memory it takes, and where",
        .run = cli_status,
    },
    {
        .name = "doctor",
        .operands = "",
        .sentence = "Say what is wrong on this machine, and what to do",
        .help = "Looks at the machine, and at the platform when it is up. "
                "Changes nothing. Exit status\n1 when something is bad; "
                "warnings are none.",
        .run = cli_doctor,
    },
    {
        .name = "deploy",
        .operands = "DIR|FILE...",
        .sentence = "Deploy an application and move the traffic to it",
        .help = "DIR holds app.yaml; another file may be named instead, and "
                "several: the services\nof an application, each with a file "
                "of its own. index.yaml, queue.yaml,\ncron.yaml and "
                "dispatch.yaml beside them are checked and sent along. What\n"
                ".gcloudignore or skip_files name is left out.\n\nA FILE "
                "called index.yaml, queue.yaml, cron.yaml (or cron.xml) or "
                "dispatch.yaml\ngoes alone: what it says replaces what there "
                "was.\n\nEverything is read and checked before anything "
                "changes.",
        .options = deploy_options,
        .run = cli_deploy,
        .min_operands = 1,
        .max_operands = ARGS_MAX,
    },
    {
        .name = "undeploy",
        .operands = "PROJECT",
        .sentence = "Stop and remove an application; its data stays",
        .options = undeploy_options,
        .run = cli_undeploy,
        .min_operands = 1,
        .max_operands = 1,
    },
    {
        .name = "logs",
        .operands = "[NAME]",
        .sentence = "Show what applications and processes say",
        .help =
            "NAME is a project - all its services and versions, and their "
            "requests - or a\nprocess of the platform, as `appscale status` "
            "lists them; default: all of these\nprocesses. Each entry has its "
            "time (UTC), SERVICE.VERSION or the process, the\ninstance, how "
            "severe it is, and the text. How severe a line of an "
            "application\nis, it says itself: in JSON with `severity`, or by a "
            "word such as WARNING.\n\nWith --follow, --json prints an entry a "
            "line.",
        .options = logs_options,
        .run = cli_logs,
        .max_operands = 1,
    },
    {
        .name = "create-user",
        .operands = "EMAIL",
        .sentence = "Make an account that can sign in",
        .help = "The password is asked for on a terminal, read from standard "
                "input with\n--password-stdin, and otherwise made up and shown "
                "once.",
        .options = user_options,
        .run = cli_create_user,
        .min_operands = 1,
        .max_operands = 1,
    },
    {
        .name = "cron",
        .operands = "COMMAND",
        .sentence = "Show the scheduled requests of applications, run one",
        .commands = cli_cron_commands,
    },
    {
        .name = "datastore",
        .operands = "COMMAND",
        .sentence = "Look after the data of applications",
        .commands = cli_datastore_commands,
    },
    {
        .name = "token",
        .operands = "PROJECT",
        .sentence = "Print a token for workers outside of the platform",
        .help = "They send it as Authorization: Bearer TOKEN, to the REST API "
                "of pull queues or\nto services of their own. It is good for "
                "an hour.",
        .options = token_options,
        .run = cli_token,
        .min_operands = 1,
        .max_operands = 1,
    },
    {
        .name = "emulator",
        .operands = "[APPDIR]",
        .sentence = "Run the services alone, for an SDK on this machine",
        .help = "Prints shell lines for the SDKs once it is ready "
                "(export API_HOST=... and\nexport API_PORT=...), and stops on "
                "Ctrl-C or SIGTERM. APPDIR's queue.yaml is\nused where it "
                "exists.\n\nA query that needs a composite index gets it at "
                "once, and APPDIR's index.yaml\ngets its entry below the line "
                "\"# AUTOGENERATED\" (of a Java application, the file\nin "
                "WEB-INF/appengine-generated). A file without that line is "
                "yours alone: the\nquery is then refused, as it is with "
                "--require-indexes. What you change in the\nfile is taken up "
                "while it runs.",
        .options = emulator_options,
        .run = cli_emulator,
        .max_operands = 1,
    },
    {
        .name = "queues",
        .operands = "COMMAND",
        .sentence = "Show the task queues of applications, pause, purge them",
        .commands = cli_queues_commands,
    },
    {
        .name = "tasks",
        .operands = "COMMAND",
        .sentence = "Show the tasks of a queue; run or delete one",
        .commands = cli_tasks_commands,
    },
    {
        .name = "versions",
        .operands = "COMMAND",
        .sentence = "Show the versions of services; start, stop, delete them",
        .commands = cli_versions_commands,
    },
    {
        .name = "services",
        .operands = "COMMAND",
        .sentence = "Show services, share their traffic, set their scaling",
        .commands = cli_services_commands,
    },
    {
        .name = "domains",
        .operands = "COMMAND",
        .sentence = "Let domains of your own lead to a project",
        .commands = cli_domains_commands,
    },
    {
        .name = "certificates",
        .operands = "COMMAND",
        .sentence = "Bring, show, replace the certificates of domains",
        .commands = cli_certificates_commands,
    },
    {
        .name = "rollback",
        .operands = "[SERVICE]",
        .sentence = "Go back to who had a service's traffic before",
        .help = "Undoes the last change of the traffic, a deployment included. "
                "Default: the\nservice `default`.",
        .options = rollback_options,
        .run = cli_rollback,
        .max_operands = 1,
    },
    {
        .name = "storage",
        .operands = "COMMAND",
        .sentence = "Name the storage backends, and try one",
        .commands = cli_storage_commands,
    },
    {
        .name = "init",
        .operands = "",
        .sentence = "Write an AppScalefile with every setting as a comment",
        .run = cli_init,
    },
    {
        .name = "version",
        .operands = "",
        .sentence = "Print the version",
        .run = cli_version,
    },
    {
        .name = "help",
        .operands = "[COMMAND|config]",
        .sentence = "Explain the command line, a command, or the settings",
        .options = help_options,
        .run = cli_help,
        .max_operands = 2,
    },
    {.name = NULL},
};

int cli_version(struct cli *cli)
{
    if (cli->json)
        printf("{\"version\": \"%s\"}\n", APPSCALE_VERSION);
    else
        printf("appscale %s\n", APPSCALE_VERSION);
    return 0;
}

static void print_config_page(struct cli *cli)
{
    struct buf table = BUF_IN(&cli->arena);

    settings_document(&table);
    printf("# Configuration\n\n"
           "What an `AppScalefile` may say: YAML, one `name: value` a line, "
           "every line optional.\n"
           "`appscale up` reads the one of the current folder, else the one in "
           "the platform's root\nfolder; `appscale init` writes one with every "
           "setting as a comment. An unknown name or a\nvalue out of range "
           "stops the start with file, line and reason.\n\n"
           "This page is made from the table in `src/config/settings.c` by\n"
           "`build/bin/appscale help config --markdown > "
           "docs/configuration.md`.\n\n%s",
           buf_cstr(&table));
}

static void print_setting(const struct cli *cli, const struct setting *row)
{
    printf("  %s%s%s\n      %s.\n", cli_bold(cli), row->name, cli_plain(cli),
           row->sentence);
    if (row->type == SETTING_TEXT)
        printf("      Default %s.\n", row->text);
    else
        printf(
            "      Default %" PRId64 "%s%s, from %" PRId64 " to %" PRId64 ".\n",
            row->number, *row->unit ? " " : "", row->unit, row->min, row->max);
}

int cli_help_config(struct cli *cli)
{
    if (cli_switch(cli, "markdown")) {
        print_config_page(cli);
        return 0;
    }
    printf("The settings of an AppScalefile (YAML, one \"name: value\" a "
           "line):\n\n");
    for (const struct setting *row = settings_table; row->name; row++)
        print_setting(cli, row);
    printf("\n`appscale init` writes a file that lists them all.\n");
    return 0;
}
