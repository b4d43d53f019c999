/*
 * build_log - what building a version had to say.
 *
 * One file in ROOT/logs for each deployment.  It goes with its version; that of
 * a build that failed has none, and stays until the next build of its service,
 * for `appscale logs --build`.  Thread rule: the loop's.
 */
#ifndef CONTROL_BUILD_LOG_H
#define CONTROL_BUILD_LOG_H

#include "control/control_int.h"

/* The log of one deployment, in the arena. */
const char *build_log_path(struct control *ctl, struct arena *a,
                           const struct version *v);

/* A build of `v` begins: its own log is made anew, and those of the service
 * whose version is gone are removed. */
void build_log_begin(struct control *ctl, const struct version *v);

/*
 * The log of the last build of a service, or of one of its versions where
 * `version` is not NULL; NULL when there is none.
 */
const char *build_log_last(struct control *ctl, struct arena *a,
                           const char *app, const char *service,
                           const char *version);

#endif
