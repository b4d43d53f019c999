/*
 * instance - one running copy of a version, behind a loopback port.
 *
 * A runtime is a folder of runtimes/ with two programs: `build` (once per
 * deployment and machine) and `start` (once per instance); adding a language
 * is adding a folder.  runtimes/README.md says what they get.
 *
 * Ownership: a version owns its instances.  Thread rule: the loop's.
 */
#ifndef CONTROL_INSTANCE_H
#define CONTROL_INSTANCE_H

#include "control/control_int.h"

struct instance {
    struct version *version;
    int index;
    struct process *process;
    struct http_client_call *health; /* under way; or NULL */
    bool was_ready;                  /* at least once */
};

/*
 * Start what the version wants, as `build` has left it.  fn runs at every
 * change until instances_watch(v, NULL, NULL).  ERR_EXHAUSTED when no port is
 * free.
 */
int instances_start(struct ctx *ctx, struct control *ctl, struct version *v,
                    instances_fn *fn, void *arg);

/* Stop them all; fn runs once none is left. */
void instances_stop(struct control *ctl, struct version *v, instances_fn *fn,
                    void *arg);

/* Call fn at every change from now on; NULL: nobody. */
void instances_watch(struct version *v, instances_fn *fn, void *arg);

/* How many listen now. */
size_t instances_ready(const struct version *v);

/* The first instance that has failed before it ever listened, or NULL. */
const struct instance *instances_failed(const struct version *v);

/* The folder of a deployment: "DIR/apps/P/S/V/DEPLOYMENT". */
const char *instance_dir(struct control *ctl, struct arena *a,
                         const struct version *v);

/* The log all instances of a version share: "DIR/logs/P.S.V.log". */
const char *instance_log(struct control *ctl, struct arena *a, const char *app,
                         const char *service, const char *version);

/* What `start` gets: NAME=VALUE, NULL-terminated; the app's env_variables
 * behind the platform's own. */
const char *const *instance_env(struct control *ctl, struct arena *a,
                                const struct version *v, int index, int port);

/* What `build` gets: the app's build_env_variables in their place, as Google
 * has it. */
const char *const *instance_build_env(struct control *ctl, struct arena *a,
                                      const struct version *v);

#endif
