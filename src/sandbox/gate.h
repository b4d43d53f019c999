/*
 * gate - connect(), bind() and listen() of a confined program, made for it.
 *
 * The kernel stops the program in such a call and tells us (seccomp user
 * notification, Linux 5.9).  Answering "go on" would be of no use: another
 * thread may change the address meanwhile.  So the gate copies the address,
 * judges it (policy.h), takes the socket itself (pidfd_getfd) and makes the
 * call; the program gets the outcome.
 *
 * The gate lives in the sandbox's init, which has the program's own rights and
 * its view of the files: it can be asked for nothing that the program might
 * not do, and a path of a unix socket means to it what it means to the program.
 *
 * What listens is bound to the loopback device: whatever the address, nobody
 * outside of this machine reaches it.
 */
#ifndef SANDBOX_GATE_H
#define SANDBOX_GATE_H

#include "sandbox/policy.h"

/*
 * Serve calls that `listener` tells of, until the process ends, on threads of
 * their own: one more whenever all are in a call, as a connect() may take
 * long.  0 or a negative errno.
 */
int gate_start(int listener, const struct policy *p);

#endif
