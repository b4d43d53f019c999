#include "cli/table.h"

#include <stdio.h>

void table_print(const struct cli *cli, const struct table *t)
{
    size_t width[TABLE_COLUMNS];

    for (int c = 0; c < t->columns; c++) {
        width[c] = strlen(t->head[c]);
        for (int r = 0; r < t->rows; r++) {
            if (strlen(t->cell[r][c]) > width[c])
                width[c] = strlen(t->cell[r][c]);
        }
    }
    for (int r = -1; r < t->rows; r++) {
        const char *const *line = r < 0 ? t->head : t->cell[r];

        fputs(r < 0 ? cli_bold(cli) : "", stdout);
        for (int c = 0; c < t->columns; c++)
            printf("%s%-*s", c ? "  " : "",
                   c + 1 < t->columns ? (int)width[c] : 0, line[c]);
        printf("%s\n", r < 0 ? cli_plain(cli) : "");
    }
}
