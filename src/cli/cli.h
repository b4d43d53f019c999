/*
 * cli - the command line.
 *
 * A table of commands (commands.c): name, operands, options, one sentence, a
 * page of help, and the function.  cli_main() finds the row, reads the
 * arguments, runs it, and turns what it returns into a message with the next
 * step and an exit status.  The commands are clients of the Admin API and hold
 * no state but the AppScalefile.
 *
 * Results go to stdout, everything else to stderr; colour and moving progress
 * only where a person looks at a terminal.  One thread.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "cli/args.h"

#include <jansson.h>

/* The exit status, documented by `appscale help`. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,      /* it was tried and did not work */
    CLI_USAGE = 2,       /* the command line was not understood */
    CLI_NOT_RUNNING = 3, /* the platform is not up */
    CLI_INVALID = 4,     /* a file of the app, or the AppScalefile, is wrong */
};

struct cli {
    struct arena arena;
    struct ctx ctx;
    const struct cli_command *command;
    const struct cli_command *family; /* whose row it is, or NULL */
    struct args args;
    const char *root;   /* where the platform keeps its things */
    const char *socket; /* the Admin API's */
    bool json;          /* --json */
    bool color;         /* stdout is a terminal that has it */
    enum cli_exit exit; /* of a failure; CLI_FAILED unless told */
    const char *next;   /* what to do about it, or NULL */
};

struct cli_command {
    const char *name; /* NULL ends the table */
    const char *operands;
    const char *sentence;
    const char *help; /* more, for --help; or NULL */
    const struct args_option *options;
    int (*run)(struct cli *cli);
    int min_operands, max_operands;
    /* A family: the next word names a row of this table, and that one runs;
     * then only the texts above count. */
    const struct cli_command *commands;
};

extern const struct cli_command cli_commands[];
extern const struct cli_command cli_certificates_commands[]; /* domains.c */
extern const struct cli_command cli_cron_commands[];         /* cron.c */
extern const struct cli_command cli_datastore_commands[];    /* datastore.c */
extern const struct cli_command cli_domains_commands[];      /* domains.c */
extern const struct cli_command cli_queues_commands[];       /* queues.c */
extern const struct cli_command cli_services_commands[];     /* services.c */
extern const struct cli_command cli_storage_commands[];      /* storage.c */
extern const struct cli_command cli_tasks_commands[];        /* tasks.c */
extern const struct cli_command cli_versions_commands[];     /* versions.c */

/* The whole program: what main() returns. */
int cli_main(int argc, char **argv);

/*
 * The command line was not understood: ERR_INVALID with the sentence, and exit
 * status CLI_USAGE.  What an earlier call told is replaced.
 */
int cli_usage(struct cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * It was tried and did not work: ERR_UNAVAILABLE with the sentence, the exit
 * status `exit`, and in `next` the step that helps (kept as a pointer; NULL:
 * there is none).
 */
int cli_fail(struct cli *cli, enum cli_exit exit, const char *next,
             const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The n-th operand, or NULL. */
const char *cli_operand(const struct cli *cli, int n);

/* The value of an option, or NULL when it was not given. */
const char *cli_option(const struct cli *cli, const char *name);

/* Whether an option was given, with or without a value. */
bool cli_switch(const struct cli *cli, const char *name);

/* Ask on the terminal; false when there is none or the answer is not yes. */
bool cli_confirm(const struct cli *cli, const char *question);

/* Print JSON to stdout, indented, keys in order. */
void cli_print_json(const json_t *value);

/*
 * What begins bold text: an escape sequence, or "" without colour.  Static, as
 * are the four below.
 */
const char *cli_bold(const struct cli *cli);

/* What begins the colour of what works. */
const char *cli_good(const struct cli *cli);

/* What begins the colour of what does not. */
const char *cli_bad(const struct cli *cli);

/* What begins text that may be passed over. */
const char *cli_dim(const struct cli *cli);

/* What ends any of them. */
const char *cli_plain(const struct cli *cli);

/* ---- the commands, a file for each group ---- */

/*
 * `init`: write an AppScalefile with every setting into the current folder.
 * One that exists is never touched: that is CLI_FAILED.
 */
int cli_init(struct cli *cli);

/*
 * `up`: start the controller unless it answers already, and wait until the
 * platform is ready.  A second one changes nothing and shows the state.
 */
int cli_up(struct cli *cli);

/*
 * `down`: end the platform and wait for its end; with --clean its data goes
 * too, once it has been confirmed or --yes was given.
 */
int cli_down(struct cli *cli);

/* `doctor`: checks of the machine and the platform; CLI_FAILED when one is
 * bad. */
int cli_doctor(struct cli *cli);

/* `status`: the controller's own view, as tables or as its JSON unchanged. */
int cli_status(struct cli *cli);

/*
 * `deploy`: check, pack and send an application, then follow the change to its
 * end.  Files are read before the platform is asked for, so a mistake in them
 * is told even when it is down.
 */
int cli_deploy(struct cli *cli);

/*
 * `undeploy`: take a project away.  Its data stays unless --data was given and
 * confirmed.
 */
int cli_undeploy(struct cli *cli);

/*
 * `logs`: the newest lines of a part of the platform or of a project, at most
 * --lines of them; with --follow until interrupted.
 */
int cli_logs(struct cli *cli);

/*
 * `create-user`: make an account.  A password that is neither typed nor piped
 * is made up and shown once.
 */
int cli_create_user(struct cli *cli);

/*
 * `token`: an access token of a project, or an identity token for --audience,
 * alone on a line, for scripts.
 */
int cli_token(struct cli *cli);

/*
 * `emulator`: the services alone on loopback, in the foreground, until a signal
 * or the end of a child.  Leaves no process and no temporary file.
 */
int cli_emulator(struct cli *cli);

/* `rollback`: a service's traffic as it was before its last change. */
int cli_rollback(struct cli *cli);

/* `version`: asks nobody, so it works without a platform. */
int cli_version(struct cli *cli);

/* `help [TOPIC]`: the list of commands, the page of one, or the settings. */
int cli_help(struct cli *cli);

/*
 * `help config`: every row of the settings table; with --markdown the text of
 * docs/configuration.md, so that the page cannot fall behind the table.
 */
int cli_help_config(struct cli *cli);

#endif
