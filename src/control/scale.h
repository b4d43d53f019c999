/*
 * scale - as many instances as the load asks for.
 *
 * Looks at every version at its interval: what haproxy says of its servers and
 * its queue, what the kernel says of its processes.  scaler.h decides, and this
 * starts an instance or lets one leave.  It stops those that have left, and
 * recycles those that use more memory than their class has.  Thread rule: the
 * loop's.
 */
#ifndef CONTROL_SCALE_H
#define CONTROL_SCALE_H

#include "control/control_int.h"

/* Begin to look; before the model is loaded there is nothing to see. */
void scale_start(struct control *ctl);

/*
 * A request waits for `v`, which has no instance that takes it: one is started
 * unless one is on its way.  False when that is hopeless: the version is
 * stopped, or its instances end again and again.
 */
bool scale_wake(struct control *ctl, struct version *v);

/* The parameters in force: the version's own, and over them what an operator
 * has set for its service. */
struct scaling scale_parameters(const struct control *ctl,
                                const struct version *v);

#endif
