/*
 * prepare - from an archive to a folder that can be started.
 *
 * Fetch the archive from the store when this machine does not have it, unpack
 * it, run the runtime's build.  The folder counts once its mark `built` is
 * there, so a crash at any point means doing it again.  Thread rule: the
 * loop's.
 */
#ifndef CONTROL_PREPARE_H
#define CONTROL_PREPARE_H

#include "control/control_int.h"
#include "control/server_call.h"

/* A sentence about the step it is at, for a person. */
typedef void prepare_say_fn(const char *sentence, void *arg);

/*
 * Prepare `v`; `done` runs once, on the loop, later.  Its errors carry the
 * last lines of the build's log.  `say` may be NULL.
 */
void prepare(struct control *ctl, struct version *v, prepare_say_fn *say,
             server_done_fn *done, void *arg);

#endif
