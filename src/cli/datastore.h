/*
 * datastore - what the files of `appscale datastore` share.
 */
#ifndef CLI_DATASTORE_H
#define CLI_DATASTORE_H

#include "cli/cli.h"

/* `datastore read-only on|off [PROJECT]`: stop writes, or let them go on; shows
 * whose are stopped now. */
int cli_datastore_read_only(struct cli *cli);

/* A line for each whose writes are stopped, of the Admin API's readOnly object
 * (NULL: none). */
void datastore_print_mode(const struct cli *cli, const json_t *mode);

#endif
