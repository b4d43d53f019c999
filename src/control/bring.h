/*
 * bring - a version up: unpacked, built, started, answering.
 *
 * What deployments, changes of traffic and the start of a stopped version have
 * in common.  Instances that are on their way out since the version lost its
 * traffic are called back.  Thread rule: the loop's.
 */
#ifndef CONTROL_BRING_H
#define CONTROL_BRING_H

#include "control/prepare.h"

/*
 * See to it that `ready` instances of `v` answer (0: one; as many as the
 * machine may have, when that is less); `done` runs once, on the loop, later.
 * ERR_INVALID with the end of the log when one fails before it ever answered;
 * what was started stays then, for the caller to end.  `say` may be NULL.
 */
void bring(struct control *ctl, struct version *v, int ready,
           prepare_say_fn *say, server_done_fn *done, void *arg);

#endif
