/*
 * acme - certificates that an ACME server signs.
 *
 * A mapping whose sslManagementType is AUTOMATIC gets its certificate by
 * itself, where the setting acme_directory says from whom: at once, and again
 * when a third of its time is left.  Debian's dehydrated does the work, as a
 * job, one at a time; the server then asks for a file under
 * http://DOMAIN/.well-known/acme-challenge/, which nginx has from run/acme/.
 * So the domain has to lead here, on port 80.
 *
 * A failure is kept with the mapping, with the reason, and tried again after
 * two minutes, four, and so on, up to a day: public servers refuse who asks
 * too often.  Thread rule: the loop's.
 */
#ifndef CONTROL_ACME_H
#define CONTROL_ACME_H

#include "control/domains.h"

#define ACME_CHALLENGES "run/acme"

struct acme;

/* Make ctl->acme; nothing is asked before acme_chore(). */
void acme_start(struct control *ctl);

/*
 * What is due: the platform's own certificate, and the next one of a domain.
 * Called now and then, and when a mapping has changed.
 */
void acme_chore(struct control *ctl);

/* Whether nginx has to serve challenges for it. */
bool acme_serves(const struct control *ctl, const struct domain *d);

/* How an automatic mapping stands, for the Admin API; NULL for others. */
json_t *acme_json(const struct control *ctl, const struct domain *d);

/* What dehydrated said, as one line for a person; in the arena. */
const char *acme_reason(struct arena *a, struct bytes log);

#endif
