/*
 * args - a command line against a table of options.
 *
 * GNU habits: --name VALUE, --name=VALUE, -f for an option with a letter,
 * options and operands in any order, "--" ends the options.  What the table
 * does not know is an error that says so.  Values point into argv.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include "base/ctx.h"

struct args_option {
    const char *name;  /* without the dashes; NULL ends a table */
    const char *value; /* what --help calls its value; NULL: a switch */
    const char *help;
    char letter; /* 0: none */
};

enum { ARGS_MAX = 24 };

struct args {
    struct {
        const struct args_option *option;
        const char *value; /* "" for a switch */
    } given[ARGS_MAX];
    int n_given;
    const char *operands[ARGS_MAX];
    int n_operands;
};

/*
 * Read argv[0..argc), which is behind the command's name.  `tables` are the
 * command's own options and the common ones, NULL at the end.  ERR_INVALID with
 * the story; the last one given wins when an option comes twice.
 */
int args_parse(struct ctx *ctx, const struct args_option *const *tables,
               int argc, char **argv, struct args *out);

/* The value of an option, or NULL when it was not given. */
const char *args_value(const struct args *args, const char *name);

static inline bool args_has(const struct args *args, const char *name)
{
    return args_value(args, name) != NULL;
}

/* A number of an option within a range, or `otherwise` when not given. */
int args_number(struct ctx *ctx, const struct args *args, const char *name,
                int64_t min, int64_t max, int64_t otherwise, int64_t *out);

#endif
