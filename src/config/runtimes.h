/*
 * runtimes - which languages this installation can host.
 *
 * A runtime's name in app.yaml ("python311") is a family and a version.  A
 * family is hosted when its folder exists under the runtimes folder, which
 * holds what its versions need to be built and started.  The table knows more
 * families than a checkout may have, so that a message can say "not here" to
 * the one and "no such runtime" to the other.  A folder that is not in the
 * table is a family as well: adding a language is adding a folder.
 */
#ifndef CONFIG_RUNTIMES_H
#define CONFIG_RUNTIMES_H

#include "base/ctx.h"

/* The runtimes folder: beside the source tree's build folder, or
 * ../share/appscale/runtimes of the installed program; NULL when neither is
 * there.  APPSCALE_RUNTIMES names another. */
const char *config_runtimes_dir(struct arena *a);

/* 0, or ERR_UNIMPLEMENTED / ERR_INVALID with a story that names what is
 * available.  *folder (may be NULL) is the family's folder. */
int config_runtime_check(struct ctx *ctx, const char *dir, const char *runtime,
                         const char **folder);

#endif
