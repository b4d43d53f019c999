/*
 * `appscale datastore COMMAND`: looking after the data of applications.
 *
 * A row here for each command; the functions stand in datastore_*.c.
 */
#include "cli/cli.h"

const struct cli_command cli_datastore_commands[] = {
    {.name = NULL},
};
