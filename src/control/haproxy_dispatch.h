/*
 * haproxy_dispatch - dispatch.yaml for push tasks, which go past nginx.
 *
 * A pure function of the model, as haproxy_conf().
 */
#ifndef CONTROL_HAPROXY_DISPATCH_H
#define CONTROL_HAPROXY_DISPATCH_H

#include "control/control_int.h"

/* The name of the variable that says whether rules apply to a path at all. */
#define HAPROXY_DISPATCHED "txn.dispatched"

/* The backend of what a stopped version would get: 503. */
#define HAPROXY_STOPPED "appscale-stopped"

/*
 * For the frontend, once: the platform's paths stay where they are, but for two
 * that Google lets go (hosting.md, 5).
 */
void haproxy_dispatch_paths(struct buf *out);

/*
 * A use_backend line for each rule of the app, in order.  It goes behind those
 * of hosts that name a service or a version: who names one gets it.
 */
void haproxy_dispatch_rules(const struct app *app, struct buf *out);

/* The backend HAPROXY_STOPPED. */
void haproxy_dispatch_stopped(struct buf *out);

#endif
