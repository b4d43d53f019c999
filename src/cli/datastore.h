/*
 * datastore - what the files of `appscale datastore` share.
 */
#ifndef CLI_DATASTORE_H
#define CLI_DATASTORE_H

#include "cli/cli.h"

/* `datastore read-only on|off [PROJECT]`: stop writes, or let them go on; shows
 * whose are stopped now. */
int cli_datastore_read_only(struct cli *cli);

/* `datastore indexes [PROJECT]`: the composite indexes, how far they are, and
 * how many entries they have. */
int cli_datastore_indexes(struct cli *cli);

/* `datastore vacuum PROJECT`: take away the indexes that the deployed
 * index.yaml names no longer, once confirmed. */
int cli_datastore_vacuum(struct cli *cli);

/* "K (n, -date) ancestor", of the Admin API's index, in the arena. */
const char *datastore_index_text(struct arena *a, const json_t *index);

/* `datastore stats [PROJECT]`: figures per kind, counted anew with --refresh.
 */
int cli_datastore_stats(struct cli *cli);

/*
 * `datastore verify PROJECT`: whether entities and index rows fit together;
 * CLI_FAILED when a fault is left unmended.
 */
int cli_datastore_verify(struct cli *cli);

/* `datastore compact`: give back the room of what was replaced or deleted. */
int cli_datastore_compact(struct cli *cli);

extern const struct args_option datastore_stats_options[];
extern const struct args_option datastore_verify_options[];

/* A line for each whose writes are stopped, of the Admin API's readOnly object
 * (NULL: none). */
void datastore_print_mode(const struct cli *cli, const json_t *mode);

#endif
