/*
 * controller - what an app may have changed about itself, asked of the
 * controller over its Admin API (control/README.md).
 *
 * The server owns the store, the controller owns what runs; so a call that
 * changes instances is a PATCH on the controller's socket and the Operation
 * that comes back, followed until it is done.
 *
 * A change blocks its worker, and the controller needs workers of this server
 * to make it: no more than CONTROLLER_CALLS_MAX are under way at once.
 *
 * Thread rule: any worker.
 */
#ifndef SERVICE_PLATFORM_CONTROLLER_H
#define SERVICE_PLATFORM_CONTROLLER_H

#include "service/env.h"

#include <jansson.h>

enum { CONTROLLER_CALLS_MAX = 8 };

struct controller_change {
    struct bytes service, version; /* of ctx->app */
    const char *mask;              /* "servingStatus" */
    json_t *body;                  /* taken over */
    /* Return once the controller has begun: for a change that the caller
     * itself may stand in the way of, since it ends the caller's requests. */
    bool begin_only;
};

/*
 * Have it made.  ERR_UNIMPLEMENTED without a controller (the emulator);
 * ERR_NOT_FOUND and ERR_INVALID as it says, with its words; ERR_EXHAUSTED when
 * too many are under way; ERR_DEADLINE when it is not done by ctx->deadline, it
 * goes on then; ERR_UNAVAILABLE for anything else.
 */
int controller_change(struct ctx *ctx, const struct controller_change *c);

#endif
