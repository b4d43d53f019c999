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

/*
 * What is due now and then: the mode, should another machine have changed it,
 * and the statistics of apps whose last ones are stats_hours old.  Does not
 * wait.
 */
void admin_datastore_chore(struct control *ctl);

#endif
