/*
 * admin_datastore - what the controller keeps of the datastore's state for
 * those who ask.  Thread rule: the loop's.
 */
#ifndef CONTROL_ADMIN_DATASTORE_H
#define CONTROL_ADMIN_DATASTORE_H

#include "control/admin.h"

/*
 * Ask the server whose writes are stopped and keep it as ctl->read_only
 * (docs: README.md, Status).  Does not wait; a failure leaves what was known.
 */
void admin_datastore_mode(struct ctx *ctx, struct control *ctl);

#endif
