/*
 * hosting - what `versions`, `services` and `rollback` share.
 */
#ifndef CLI_HOSTING_H
#define CLI_HOSTING_H

#include "cli/api.h"

/*
 * The project meant: --project, else the only one there is.  In the arena.
 * ERR_INVALID, with those there are, when that is not one.
 */
int hosting_project(struct cli *cli, struct api *api, const char **out);

/* "/v1/apps/P/services/S", encoded, in the arena; S is --service, else
 * "default". */
const char *hosting_service_path(struct cli *cli, const char *project);

/*
 * METHOD PATH with `body` (taken over; may be NULL), an Operation, followed to
 * its end.  *response (may be NULL) is what it made.
 */
int hosting_change(struct cli *cli, struct api *api, const char *method,
                   const char *path, json_t *body, json_t **response);

/* Print with --json what an operation made, else the sentence. */
void hosting_done(struct cli *cli, const json_t *response, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
