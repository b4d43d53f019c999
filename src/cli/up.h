/*
 * up - what `up` looks at before it starts anything, for `doctor` as well.
 */
#ifndef CLI_UP_H
#define CLI_UP_H

#include "cli/cli.h"
#include "config/settings.h"

/* The settings of the AppScalefile that `up` would take, over the defaults;
 * *used is its path, or NULL.  Errors as appscalefile_load(). */
int up_settings(struct cli *cli, struct settings *s, const char **used);

/* CLI_FAILED with what is missing, and what to install. */
int up_check_programs(struct cli *cli, const struct settings *s);

/* CLI_FAILED with the first port that somebody has.  Only while the platform is
 * down: it holds them itself. */
int up_check_ports(struct cli *cli, const struct settings *s);

/* Whether a controller has the lock of ROOT. */
bool up_controller_alive(struct cli *cli);

#endif
