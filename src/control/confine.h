/*
 * confine - the sandbox in front of an instance or a build.
 *
 * What src/sandbox/ can enforce, filled in from the model and the settings: the
 * project's user, the files of the version, the limits of its class, the ports
 * it may use.  With `sandbox: off` programs run as the platform's own user,
 * with all that it sees.
 *
 * As root each project has a user id of its own, out of a range that nobody
 * else uses (setting sandbox_uid_first).  It is chosen by the project's name
 * and written down in DIR/run/uids, so it stays the same.
 *
 * Thread rule: the loop's.
 */
#ifndef CONTROL_CONFINE_H
#define CONTROL_CONFINE_H

#include "control/control_int.h"

/* The folder that the builds of a project share, and nobody else: made where
 * missing, links resolved. */
const char *confine_cache(struct control *ctl, struct arena *a,
                          const struct app *app);

/*
 * The command that runs `start` of the version's runtime, on `port`, or its
 * `build`.  An error with its story when that is not possible.
 */
int confine_start(struct ctx *ctx, struct control *ctl, const struct version *v,
                  int port, const char *const **argv);
int confine_build(struct ctx *ctx, struct control *ctl, const struct version *v,
                  const char *const **argv);

/* Ask the sandbox what it can enforce here; the answer is in the log, and in
 * confine_status() once it is there. */
void confine_probe(struct control *ctl);

/* {"state":"on"|"partial"|"off","missing":["memory"]}: of the platform's
 * status. */
json_t *confine_status(const struct control *ctl);

/* Remove what killed sandboxes have left behind. */
void confine_sweep(void);

#endif
