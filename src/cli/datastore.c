/*
 * `appscale datastore COMMAND`: looking after the data of applications.
 *
 * A row here for each command; the functions stand in datastore_*.c.
 */
#include "cli/datastore.h"

static const struct args_option vacuum_options[] = {
    {"yes", NULL, "do not ask before deleting", 'y'},
    {0},
};

const struct cli_command cli_datastore_commands[] = {
    {
        .name = "indexes",
        .operands = "[PROJECT]",
        .sentence = "Show the composite indexes and how far they are built",
        .help =
            "Of every project, or of PROJECT. A query that needs an index "
            "is refused until it\nserves. An index that index.yaml does not "
            "name any more is kept up until\n`appscale datastore vacuum` "
            "takes it away.",
        .run = cli_datastore_indexes,
        .max_operands = 1,
    },
    {
        .name = "vacuum",
        .operands = "PROJECT",
        .sentence = "Delete the indexes that index.yaml names no longer",
        .help = "The index.yaml (or datastore-indexes.xml) deployed last "
                "counts. Shows what would go\nand asks; without a terminal "
                "nothing is deleted but with --yes. The entries are\ndeleted "
                "in the background, after a restart as well.",
        .options = vacuum_options,
        .run = cli_datastore_vacuum,
        .min_operands = 1,
        .max_operands = 1,
    },
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
    {
        .name = "stats",
        .operands = "[PROJECT]",
        .sentence = "Show how much an application has stored, by kind",
        .help = "The figures are those of the last count, as the "
                "application's own queries of\n__Stat_Kind__ see them; "
                "--refresh counts anew. The setting stats_hours says how "
                "\noften it is done by itself. Without PROJECT: of every "
                "deployed application.",
        .options = datastore_stats_options,
        .run = cli_datastore_stats,
        .max_operands = 1,
    },
    {
        .name = "verify",
        .operands = "PROJECT",
        .sentence = "Check that entities and index rows fit together",
        .help = "Applications go on meanwhile; a write in the middle is no "
                "fault. --repair puts\nmissing index rows, deletes stray ones, "
                "and moves entities that cannot be read\naside, where nothing "
                "is lost. Exit status 1 when a fault is left.",
        .options = datastore_verify_options,
        .run = cli_datastore_verify,
        .min_operands = 1,
        .max_operands = 1,
    },
    {
        .name = "compact",
        .operands = "",
        .sentence = "Give back the disk space of what was deleted",
        .run = cli_datastore_compact,
    },
    {.name = NULL},
};
