/*
 * deploy - changes of what runs: deploy, move traffic, undeploy.
 *
 * Each is an operation that goes through a list of steps.  A step that fails
 * undoes what came before it; what ran goes on running.  The store takes the
 * change last, so a crash before that leaves the old state, which the next
 * controller starts.  Thread rule: the loop's.
 */
#ifndef CONTROL_DEPLOY_H
#define CONTROL_DEPLOY_H

#include "control/control_int.h"
#include "control/operation.h"

/*
 * Deploy a version: `doc` as the Admin API got it (a reference is taken).
 * ERR_INVALID for a bad document, ERR_NOT_FOUND when the app or its archive is
 * not there, ERR_CONFLICT during another change.
 */
int deploy_version(struct ctx *ctx, struct control *ctl, const char *app,
                   const char *service, json_t *doc, bool promote,
                   struct operation **out);

/* Give a service's traffic to version `id`. */
int deploy_traffic(struct ctx *ctx, struct control *ctl, struct service *s,
                   const char *id, struct operation **out);

/* Take away a version (not the one with traffic), a service, an app; `data`:
 * what the app has stored, too. */
struct undeploy {
    struct app *app;
    struct service *service; /* NULL: all of the app */
    struct version *version; /* NULL: all of the service */
    bool data;
};

/*
 * Begin it.  ERR_INVALID for the version that has the traffic, and for the
 * default service while others are there; ERR_CONFLICT during another change.
 * What goes is drained before its processes end.
 */
int undeploy(struct ctx *ctx, struct control *ctl, const struct undeploy *u,
             struct operation **out);

/* The version as a resource of the Admin API: without its secrets. */
json_t *deploy_version_json(const struct control *ctl, const struct version *v,
                            bool full);

#endif
