/*
 * routing - from a host name to an instance, as generated files.
 *
 * nginx decides by host and path: which version, static file or application,
 * who is signed in.  It passes everything else to haproxy over one socket with
 * the backend's name in a header.  haproxy has a backend per deployment: it
 * strips what a client may not say, adds what the platform says (ticket,
 * user, trace), queues and balances.  So whoever comes through haproxy gets
 * the same treatment, and nginx can be left out (task deliveries).
 *
 * routing_apply() makes the running programs follow the model: files are
 * written and checked beside the old ones, replaced, loaded, and the programs
 * asked until they answer with the new generation.  No request is refused
 * meanwhile.  What is generated depends on the model and the settings alone.
 * Thread rule: the loop's.
 */
#ifndef CONTROL_ROUTING_H
#define CONTROL_ROUTING_H

#include "control/control_int.h"

/* Names of the header and of the backend of the server itself; nginx_conf.c
 * and haproxy_conf.c must agree on them. */
#define ROUTING_BACKEND_HEADER "X-Appscale-Backend"
#define ROUTING_SERVER_BACKEND "appscale-server"

/* Names the index of an instance that must get the request if it is there. */
#define ROUTING_INSTANCE_HEADER "X-Appscale-Instance"

/* The trace that a request belongs to, 32 hexadecimal digits; without it, it
 * is one of its own. */
#define ROUTING_TRACE_HEADER "X-Appscale-Trace"

/* On the answers that haproxy makes itself: unavailable, timeout, cut. */
#define ROUTING_ERROR_HEADER "X-Appscale-Error"

/*
 * What haproxy is told of every instance.  One that refuses a connection is out
 * before the controller knows, and checked until it accepts.  While all is well
 * it is checked once an hour: a check is a connection that says nothing.
 */
#define ROUTING_SERVER_OPTIONS                                                 \
    "check inter 3600s fastinter 50ms downinter 50ms rise 1 fall 1 "           \
    "observe layer4 error-limit 1 on-error mark-down"

/* How long a request to basic or manual scaling may take, and a task or a cron
 * job (hosting.md, 4: 24 hours). */
enum { ROUTING_LONG_SECONDS = 86400 };

/* Bytes of an X-Appscale-Run (haproxy_conf.c, the frontend `platform`). */
enum { ROUTING_RUN_MAX = 80 };

/* Where haproxy takes push tasks; only the server knows it. */
#define ROUTING_TASKS_SOCKET "run/haproxy.tasks.sock"

typedef void routing_fn(struct ctx *ctx, int rc, void *arg);

/* Make ctl->routing; nothing is generated before routing_apply(). */
void routing_start(struct control *ctl);

/* Follow the model as it is now; fn runs once, on the loop, later.  On an
 * error what ran goes on as it was, and the reason is in ctx->err.  While the
 * platform stops every round ends with ERR_CANCELLED. */
void routing_apply(struct control *ctl, routing_fn *fn, void *arg);

/* Requests that run or wait in the backend of `v`; fn gets -1 when haproxy
 * does not answer. */
typedef void routing_load_fn(int64_t requests, void *arg);

/*
 * Ask haproxy how many requests run or wait in the backend of `v`.  fn runs
 * once, later; the version may be gone by then, only its name was kept.
 */
void routing_load(struct control *ctl, const struct version *v,
                  routing_load_fn *fn, void *arg);

enum { ROUTING_GENERATION = 16 };

/* The digest of what has been generated so far, in hexadecimal. */
void routing_generation(const struct buf *text,
                        char out[ROUTING_GENERATION + 1]);

/*
 * Append the text of haproxy.cfg.  Its generation is a pure function of the
 * model and the settings; the servers, which are the instances of the moment,
 * are not part of it.
 */
void haproxy_conf(const struct control *ctl, struct buf *out);

/*
 * Append the text of nginx.conf, as pure a function as haproxy_conf().
 * Draining versions are left out, so nginx forgets a backend before haproxy
 * does.
 */
void nginx_conf(const struct control *ctl, struct buf *out);

/* An error that haproxy makes itself: nginx has a page for it where the
 * version's app.yaml names one. */
struct routing_error {
    int status;
    const char *name; /* in ROUTING_ERROR_HEADER */
    enum error_kind kind;
    const char *page; /* ours */
};

/* By name; the last one has none. */
extern const struct routing_error routing_errors[];

/* The version's own page for an error (its default one stands in for the
 * others), or NULL. */
const struct error_page *routing_error_page(const struct version *v,
                                            enum error_kind kind);

/* What nginx calls that page: haproxy sends it there by X-Accel-Redirect, which
 * it takes away from whatever an application answers.  In the arena. */
const char *routing_error_path(struct arena *a, const struct version *v,
                               const char *name);

/* Seconds a request may take on a version's instances (hosting.md, 4). */
int64_t routing_seconds(const struct control *ctl, const struct version *v);

/* "p:s:v:deployment", in the arena. */
const char *routing_backend(struct arena *a, const struct version *v);

/* The address people use: "http://P.DOMAIN:PORT". */
const char *routing_url(const struct control *ctl, struct arena *a,
                        const struct app *app);

/* The version that names without an application mean: that of the only
 * application there is; NULL when there are none or several. */
const struct version *routing_sole(const struct control *ctl);

/* "http://localhost:8080" when that means `app` too, which every browser and
 * curl resolve on this machine; else NULL.  In the arena. */
const char *routing_local_url(const struct control *ctl, struct arena *a,
                              const struct app *app);

#endif
