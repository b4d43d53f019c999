/*
 * hold - what happens to a request whose version has no instance.
 *
 * haproxy keeps it (an action in Lua, in front of the choice of a server, so
 * the body may be of any size and is still the client's), and says so on
 * DIR/run/hold.sock: one line, the backend.  The controller has an instance
 * started and answers "wait", or "no" when that is hopeless.  The request goes
 * on when its backend has a server, or gets 503 after start_seconds.  While no
 * controller runs it waits for the next one.  Thread rule: the loop's.
 */
#ifndef CONTROL_HOLD_H
#define CONTROL_HOLD_H

#include "control/control_int.h"

#define HOLD_SCRIPT "run/hold.lua"

/* haproxy's condition that a backend has no instance that takes requests: the
 * server of last resort, which counts then, is the only one without a limit. */
#define HOLD_NOBODY "be_conn_free(%s) lt 0"

/* Write the script and listen.  ERR_IO when the folder does not allow it. */
int hold_start(struct ctx *ctx, struct control *ctl);

/* Stop listening. */
void hold_stop(struct control *ctl);

#endif
