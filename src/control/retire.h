/*
 * retire - end the instances of a version that takes no new requests.
 *
 * Waits until haproxy has no request of it left (or drain_seconds are over),
 * then stops the instances.  Thread rule: the loop's.
 */
#ifndef CONTROL_RETIRE_H
#define CONTROL_RETIRE_H

#include "control/control_int.h"

typedef void retire_fn(struct version *v, void *arg);

/*
 * fn runs once, on the loop, later, when no instance is left, or when
 * v->recalled has stopped it before the first one was.  Asked again for the
 * same version, the newer fn takes the place of the older.
 */
void retire(struct control *ctl, struct version *v, retire_fn *fn, void *arg);

/*
 * The traffic has gone to others: its instances end.  It keeps its place, and
 * a request for it starts one again.  Manual scaling keeps its instances.
 */
void retire_former(struct control *ctl, struct version *v);

/*
 * What is left when a version leaves the model: its folder, its logs of
 * builds, its archive in the store unless another version has the same.  Frees
 * it.
 */
void retire_bury(struct control *ctl, struct version *v);

#endif
