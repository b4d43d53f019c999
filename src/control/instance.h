/*
 * instance - one running copy of a version, behind a loopback port.
 *
 * A runtime is a folder of runtimes/ with two programs: `build` (once per
 * deployment and machine) and `start` (once per instance); adding a language
 * is adding a folder.  runtimes/README.md says what they get.
 *
 *     starting --listens--> asked --answers--> ready --leave--> leaving
 *                           /_ah/start, warmup,               no new requests;
 *                           or any path                       then /_ah/stop,
 *                                                             then SIGTERM
 *
 * Only ready ones are servers of haproxy (servers.h).  How many there are is
 * scale.h's matter.  Ownership: a version owns its instances.  Thread rule: the
 * loop's.
 */
#ifndef CONTROL_INSTANCE_H
#define CONTROL_INSTANCE_H

#include "control/control_int.h"

struct instance {
    struct version *version;
    int index; /* the lowest that is free, from 0 */
    struct process *process;
    struct http_client_call *call; /* to its own paths, under way; or NULL */
    uv_timer_t timer;
    bool was_ready; /* at least once */
    bool held;      /* /_ah/start has not answered yet: no requests */
    bool leaving;   /* gets no new requests, and is stopped when it has none */
    bool ending;    /* /_ah/stop is asked */

    /* servers.c: what haproxy has */
    bool seen;
    int told_concurrent;

    /* scale.c: the last look */
    int requests;      /* in its hands */
    int64_t total;     /* requests haproxy has given it */
    int64_t errors;    /* of them, answered with 5xx */
    int64_t latency;   /* milliseconds, of the last 1024 */
    int64_t busy_at;   /* clock_mono() when it last had one */
    int64_t leave_by;  /* clock_mono(); it is stopped then all the same */
    int64_t cpu_ticks; /* its session's, so far */
    double cpu;        /* since the last look, of what its class may use */
    int64_t memory;    /* bytes */
};

/*
 * Start what the version wants at least, as `build` has left it; what runs
 * already stays.  fn runs at every change until instances_watch(v, NULL,
 * NULL).  ERR_EXHAUSTED when no port is free.
 */
int instances_start(struct ctx *ctx, struct control *ctl, struct version *v,
                    instances_fn *fn, void *arg);

/* Take up those of the version that the controller before us left running. */
int instances_adopt(struct ctx *ctx, struct control *ctl, struct version *v);

/* Start `n` more, as far as settings and ports allow.  ERR_EXHAUSTED when no
 * port is free. */
int instances_add(struct ctx *ctx, struct control *ctl, struct version *v,
                  int n);

/*
 * Give it no more requests; scale.c stops it when it has none left, or when
 * drain_seconds are over.
 */
void instance_leave(struct instance *in);

/* Stop it: /_ah/stop where it gets one, then SIGTERM, then SIGKILL.  It is gone
 * some time later. */
void instance_end(struct instance *in);

/* Stop them all; fn runs once none is left. */
void instances_stop(struct control *ctl, struct version *v, instances_fn *fn,
                    void *arg);

/* Call fn at every change from now on; NULL: nobody. */
void instances_watch(struct version *v, instances_fn *fn, void *arg);

/* Whether it takes new requests. */
bool instance_takes(const struct instance *in);

/* Its name as a server of haproxy, "i3"; in the arena. */
const char *instance_server(struct arena *a, const struct instance *in);

/* How many answer now. */
size_t instances_ready(const struct version *v);

/* The first instance that has failed before it ever listened, or NULL. */
const struct instance *instances_failed(const struct version *v);

/* Whether its app.yaml asks for /_ah/warmup (inbound_services). */
bool instance_wants_warmup(const struct version *v);

/* The folder of a deployment: "DIR/apps/P/S/V/DEPLOYMENT". */
const char *instance_dir(struct control *ctl, struct arena *a,
                         const struct version *v);

/* The log all instances of a version share: "DIR/logs/P.S.V.log". */
const char *instance_log(struct control *ctl, struct arena *a, const char *app,
                         const char *service, const char *version);

/* What stands before each of its lines there: "i3". */
const char *instance_tag(struct arena *a, const struct instance *in);

/* What `start` gets: NAME=VALUE, NULL-terminated; the app's env_variables
 * behind the platform's own. */
const char *const *instance_env(struct control *ctl, struct arena *a,
                                const struct version *v, int index, int port);

/* What `build` gets: the app's build_env_variables in their place, as Google
 * has it. */
const char *const *instance_build_env(struct control *ctl, struct arena *a,
                                      const struct version *v);

#endif
