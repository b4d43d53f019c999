/*
 * table - columns of text for a person: cells first, widths known, then out.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "cli/cli.h"

enum { TABLE_COLUMNS = 8, TABLE_ROWS = 512 };

/* Filled in by whoever prints it; rows past TABLE_ROWS have no room. */
struct table {
    struct arena *a;
    const char *head[TABLE_COLUMNS];
    const char *cell[TABLE_ROWS][TABLE_COLUMNS];
    int columns, rows;
};

/* To stdout, the head in bold. */
void table_print(const struct cli *cli, const struct table *t);

#endif
