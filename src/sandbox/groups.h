/*
 * groups - control groups: memory, processes and processor time of a sandbox.
 *
 * Both versions of the kernel's interface, whichever controllers the machine
 * has.  Where version 2 keeps processes out of inner groups, ours stand below
 * the topmost one.  A sandbox's group is BASE/appscale/PID, PID being its
 * leader; all of them together weigh no more than one busy process for each
 * processor, so the platform beside them goes on.
 */
#ifndef SANDBOX_GROUPS_H
#define SANDBOX_GROUPS_H

#include "sandbox/sandbox.h"

enum group_kind { GROUP_MEMORY, GROUP_TASKS, GROUP_CPU, GROUP_KINDS };

struct groups {
    /* The folder for each kind; "" where the machine grants none.  With
     * version 2 all are the same. */
    char path[GROUP_KINDS][512];
};

/* Make them for this process's sandbox and set their limits, as far as the
 * machine lets us.  Groups whose leader is gone are removed on the way. */
void groups_make(struct groups *g, const struct sandbox *sb);

/* Put a process into them; what it starts will be in them, too. */
void groups_enter(struct groups *g, pid_t pid);

/* Remove them, empty by now. */
void groups_remove(struct groups *g);

/* Remove those of leaders that were killed. */
void groups_sweep(void);

#endif
