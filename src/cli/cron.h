/*
 * cron - what `deploy` needs of the cron jobs.
 */
#ifndef CLI_CRON_H
#define CLI_CRON_H

#include "cli/api.h"

/* Whether a file's name, without its folder, is that of a list of jobs. */
bool cron_is_file(const char *name);

/* Read and check one.  ERR_NOT_FOUND without a story; ERR_INVALID with the
 * findings. */
int cron_read(struct cli *cli, const char *path, struct bytes *text);

/* Make the jobs of `project` those of the text; *jobs is how many there are.
 * `file` is "cron.yaml" or "cron.xml".  Codes as api_call(). */
int cron_send(struct cli *cli, struct api *api, struct progress *progress,
              const char *project, const char *file, struct bytes text,
              size_t *jobs);

#endif
