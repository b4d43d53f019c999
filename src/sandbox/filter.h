/*
 * filter - the system calls a confined program may not make.
 *
 * A list of what is refused rather than of what is allowed: the languages of
 * the world make every other call.  Refused are ways to more rights or to other
 * processes, and parts of the kernel that have often let somebody out; the
 * program gets an errno and goes on.  Calls that the list cannot know, because
 * they are younger than it, are answered with ENOSYS.
 *
 * connect(), bind() and listen() are passed to the gate (gate.h), which looks
 * at their addresses.  Nothing else that an application does for a request is
 * looked at twice.
 */
#ifndef SANDBOX_FILTER_H
#define SANDBOX_FILTER_H

#include <stdbool.h>

/*
 * Put this process, and all that it starts, under the filter; no_new_privs must
 * be set.  With `gated` the descriptor on which the gate hears of calls, else
 * 0.  `scoped`: filter_scope() has shut off abstract unix sockets, so datagrams
 * to them need no care.  -1 with errno.
 */
int filter_load(bool gated, bool scoped);

/*
 * Shut this process off from signals to, and abstract unix sockets of,
 * processes that are not below it (Landlock; Linux 6.12).  Whether it could.
 */
bool filter_scope(void);

#endif
