/*
 * appscalefile - the operator's file.
 *
 * An AppScalefile is YAML: one attribute for each row of the settings table
 * (settings.h).  What is not named keeps its default, so an empty file is a
 * good one.  The command line reads it and hands the controller the same values
 * as JSON.
 */
#ifndef CONFIG_APPSCALEFILE_H
#define CONFIG_APPSCALEFILE_H

#include "config/settings.h"

/*
 * Read `path` over the defaults; texts live in the ctx's arena.  ERR_NOT_FOUND
 * when there is no such file, ERR_INVALID with every finding, one a line, as
 * FILE:LINE:COLUMN: reason.
 */
int appscalefile_load(struct ctx *ctx, const char *path, struct settings *out);

/* A file in which every row stands as a comment: name, default, sentence. */
void appscalefile_template(struct buf *out);

#endif
