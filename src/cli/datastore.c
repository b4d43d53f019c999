/*
 * `appscale datastore COMMAND`: looking after the data of applications.
 *
 * A row here for each command; the functions stand in datastore_*.c.
 */
#include "cli/datastore.h"

const struct cli_command cli_datastore_commands[] = {
    {
        .name = "read-only",
        .operands = "on|off [PROJECT]",
        .sentence = "Stop the writes of applications, or let them go on",
        .help = "Without PROJECT it goes for every application. Reads go on; "
                "a Put, a Delete, a\ncommit that writes and the allocation of "
                "ids raise CapabilityDisabledError, and\nthe capability "
                "datastore_v3 write says so. It holds until it is switched "
                "off,\nover restarts too. When the command has ended, no write "
                "is under way any more.",
        .run = cli_datastore_read_only,
        .min_operands = 1,
        .max_operands = 2,
    },
    {.name = NULL},
};
