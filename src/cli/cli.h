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
};

extern const struct cli_command cli_commands[];

/* The whole program: what main() returns. */
int cli_main(int argc, char **argv);

/* A failure with its exit status and the step that helps; returns ERR_*. */
int cli_usage(struct cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
int cli_fail(struct cli *cli, enum cli_exit exit, const char *next,
             const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The n-th operand, or NULL. */
const char *cli_operand(const struct cli *cli, int n);

/* The value of an option, or NULL; whether a switch was given. */
const char *cli_option(const struct cli *cli, const char *name);
bool cli_switch(const struct cli *cli, const char *name);

/* Ask on the terminal; false when there is none or the answer is not yes. */
bool cli_confirm(const struct cli *cli, const char *question);

/* Print JSON to stdout, indented, keys in order. */
void cli_print_json(const json_t *value);

/* Escape sequences, or "" without colour. */
const char *cli_bold(const struct cli *cli);
const char *cli_good(const struct cli *cli);
const char *cli_bad(const struct cli *cli);
const char *cli_dim(const struct cli *cli);
const char *cli_plain(const struct cli *cli);

/* ---- the commands, a file for each group ---- */

int cli_init(struct cli *cli);
int cli_up(struct cli *cli);
int cli_down(struct cli *cli);
int cli_status(struct cli *cli);
int cli_deploy(struct cli *cli);
int cli_undeploy(struct cli *cli);
int cli_logs(struct cli *cli);
int cli_create_user(struct cli *cli);
int cli_emulator(struct cli *cli);
int cli_version(struct cli *cli);
int cli_help(struct cli *cli);
int cli_help_config(struct cli *cli);

#endif
