/*
 * logs - DIR/logs is bounded, and can be asked.
 *
 *     access.log             a line per request, by nginx
 *     platform-access.log    likewise, by haproxy: cron, push tasks, and what
 *                            else the platform itself asks of applications
 *     P.S.V.log              all instances of a version (feed.h)
 *     build.P.S.V.D.log      the build of a deployment (feed.h)
 *     controller.log, ...    a part of the platform, by itself
 *
 * Each may have old files, NAME.log.1 the newest of them.  A feed changes its
 * file itself.  nginx is told to open its own again.  A part that holds its
 * file open for ever gets it emptied: what it writes in the moment between the
 * copy and that is lost, and nothing else.
 */
#ifndef CONTROL_LOGS_H
#define CONTROL_LOGS_H

#include "control/control_int.h"

/* Once, before anything is started. */
void logs_start(struct control *ctl);

/* Rotate what is too large, delete what is too old; every few seconds. */
void logs_chore(struct control *ctl);

#endif
