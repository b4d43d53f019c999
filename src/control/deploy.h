/*
 * deploy - changes of what runs: deploy (deploy.c), share the traffic
 * (traffic.c), change a version or a service (patch.c), undeploy (removal.c).
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

/*
 * Share a service's traffic as `split` says (split.h; as the Admin API got it):
 * every version that gets a share answers before the switch, and the instances
 * of those that lose theirs end.  `gradually` goes there in steps over
 * migration_seconds, through restarts of the controller; another change of the
 * service's traffic ends it where it is.  ERR_INVALID or ERR_NOT_FOUND for a
 * bad split, ERR_CONFLICT during another change.
 */
int deploy_traffic(struct ctx *ctx, struct control *ctl, struct service *s,
                   const json_t *split, bool gradually, struct operation **out);

/* Back to who had the traffic before the last change of it: codes as
 * deploy_traffic(), ERR_INVALID when there is nothing to go back to. */
int deploy_rollback(struct ctx *ctx, struct control *ctl, struct service *s,
                    struct operation **out);

/* Go on with the migrations that the controller before us had under way. */
void deploy_resume(struct control *ctl);

/*
 * How many instances `v` needs to take `share` of what the versions with
 * traffic have: as many as are ready there, in proportion; at least one, its
 * own minimum, all of a manually scaled one.
 */
int traffic_instances(const struct control *ctl, const struct version *v,
                      double share);

/* The service's document has been `before`: who had a share then and has none
 * now ends its instances. */
void traffic_retire(struct control *ctl, struct service *s,
                    const json_t *before);

/*
 * Change what `mask` names of a version (README.md lists it) to what `body`
 * has.  ERR_INVALID names the member; ERR_CONFLICT during another change.
 * A version that is stopped drains before its instances end.
 */
int deploy_version_patch(struct ctx *ctx, struct control *ctl,
                         struct version *v, const char *mask,
                         const json_t *body, struct operation **out);

/* Deploy a version once more, with another instanceClass: the new instances
 * answer before the old ones drain. */
int deploy_class(struct ctx *ctx, struct control *ctl, struct version *v,
                 const json_t *class, struct operation **out);

/*
 * Change what an operator has set for a service's scaling (scaler.h): members
 * of `changes` replace those there are, null takes one away.  ERR_INVALID when
 * it does not fit one of the versions.
 */
int deploy_scaling(struct ctx *ctx, struct control *ctl, struct service *s,
                   const json_t *changes, struct operation **out);

/* Replace the rules of the app's dispatch.yaml; ERR_INVALID names the rule. */
int deploy_dispatch(struct ctx *ctx, struct control *ctl, struct app *app,
                    const json_t *rules, struct operation **out);

struct instance;

/* Let an instance finish what it has and end; another one takes its place. */
int deploy_renew(struct ctx *ctx, struct control *ctl, struct instance *in,
                 struct operation **out);

/* Take away a version without traffic, a service, an app; `data`: what the app
 * has stored, too. */
struct undeploy {
    struct app *app;
    struct service *service; /* NULL: all of the app */
    struct version *version; /* NULL: all of the service */
    bool data;
};

/*
 * Begin it.  ERR_INVALID for a version that has traffic, for a service that
 * dispatch.yaml names, and for the default service while others are there;
 * ERR_CONFLICT during another change.
 * What goes is drained before its processes end.
 */
int undeploy(struct ctx *ctx, struct control *ctl, const struct undeploy *u,
             struct operation **out);

/* The version as a resource of the Admin API: without its secrets. */
json_t *deploy_version_json(const struct control *ctl, const struct version *v,
                            bool full);

#endif
