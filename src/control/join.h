/*
 * join - an archive made of what is here and what was sent.
 *
 * A deployment leaves its archive in DIR/cache/bases, one for each service. The
 * next one asks which of its members (base/members.h) are missing there, sends
 * those alone as an upload of their own, and has the two joined; the sum of the
 * whole tells whether that is the archive that was meant.  A base is a cache:
 * without one the whole archive is sent.
 *
 * Services do not see into each other's bases: what an application sends says
 * nothing about what others have.  Thread rule: the loop's; files are read and
 * written on the pool.
 */
#ifndef CONTROL_JOIN_H
#define CONTROL_JOIN_H

#include "control/admin.h"

/* POST /v1/archives/SHA256:plan and :join. */
extern const struct admin_route admin_join_routes[];

/* The upload of a deployment that is done becomes the base of its service. */
void join_keep(struct control *ctl, const char *archive,
               const struct service *s);

/* Remove what no service needs, and uploads that nobody came back for within a
 * day; looks every ten minutes, whenever it is called. */
void join_chore(struct control *ctl);

#endif
