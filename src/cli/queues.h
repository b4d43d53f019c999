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

/* A time of the API, "2026-11-26T01:20:00.000Z", as people read it; "-" for
 * NULL.  In `a`. */
const char *queues_moment(struct arena *a, const char *time);

/* What an app wrote, fit for a terminal: control characters become '?'.  In
 * `a`. */
const char *queues_safe(struct arena *a, const char *text);

/* A number of an object; 0 when it is not there. */
json_int_t queues_number(const json_t *o, const char *key);

#endif
