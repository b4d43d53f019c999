/*
 * view - the files that a confined program sees.
 *
 *     /usr /bin /lib* /sbin /etc /opt   the system's, read-only
 *     /dev     null, zero, full, random, urandom; shm, a tmpfs
 *     /proc    of its own processes
 *     /tmp     a tmpfs of its own; /var/tmp leads to it
 *     and the paths it was given, each at its own place.
 *
 * Nothing else is there: no home, no /run, no /var, no /sys.  The root itself
 * is read-only.
 */
#ifndef SANDBOX_VIEW_H
#define SANDBOX_VIEW_H

#include "sandbox/sandbox.h"

/*
 * Make the view and enter it, in a mount namespace and as the init of a pid
 * namespace of one's own.  ERR_UNAVAILABLE with the reason when the kernel
 * refuses, in which case the process is of no more use.
 */
int view_enter(struct ctx *ctx, const struct sandbox *sb);

#endif
