/*
 * queues - what `appscale queues` and `appscale tasks` share.
 */
#ifndef CLI_QUEUES_H
#define CLI_QUEUES_H

#include "cli/api.h"

/* "/v1/apps/P/queues/Q" of the first two operands, in the arena. */
const char *queues_path(struct cli *cli);

/* As api_call(); for what is not there `next` names the list to look at. */
int queues_call(struct cli *cli, struct api *api, const char *method,
                json_t **answer, const char *path);

#endif
