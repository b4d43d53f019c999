/*
 * modules - an app asks about its own services and versions: the RPC service
 * "modules".
 *
 * Answers come from the controller's documents (service/platform).  Where
 * there are none - the emulator - the app is one service with one version:
 * the caller's.
 *
 * Changes go to the controller (service/platform/controller.h), and a call
 * returns when they are made - but for those of the caller's own version,
 * which may end the caller: there it returns when they have begun.  What scales
 * by itself is INVALID_VERSION, as on Google; without a controller, and when
 * the deadline comes first, the answer is TRANSIENT_ERROR.
 *
 * Thread rule: handlers run on any thread.
 */
#ifndef SERVICE_MODULES_MODULES_H
#define SERVICE_MODULES_MODULES_H

#include "modules.pb.h"
#include "service/env.h"

extern const struct rpc_err_map modules_errors[];

/*
 * The ids of the app's services.  RPC_POOL, as all of these: they scan the
 * platform's tables.
 */
int modules_get_modules(struct ctx *ctx,
                        const struct modules_GetModulesRequest *in,
                        struct modules_GetModulesResponse *out);

/*
 * The ids of a service's versions; without a name, of the caller's own service.
 * INVALID_MODULE when there is no such service.
 */
int modules_get_versions(struct ctx *ctx,
                         const struct modules_GetVersionsRequest *in,
                         struct modules_GetVersionsResponse *out);

/* The version with the largest share of a service's traffic. */
int modules_get_default_version(
    struct ctx *ctx, const struct modules_GetDefaultVersionRequest *in,
    struct modules_GetDefaultVersionResponse *out);

/*
 * How many instances a version with manual scaling has, and at most has with
 * basic; INVALID_VERSION for one that scales by itself.
 */
int modules_get_num_instances(struct ctx *ctx,
                              const struct modules_GetNumInstancesRequest *in,
                              struct modules_GetNumInstancesResponse *out);

/*
 * Give a version with manual scaling that many instances; INVALID_INSTANCES for
 * none, or more than the platform has.
 */
int modules_set_num_instances(struct ctx *ctx,
                              const struct modules_SetNumInstancesRequest *in,
                              struct modules_SetNumInstancesResponse *out);

/*
 * Start a version that is stopped.  UNEXPECTED_STATE, which the SDKs swallow,
 * for one that serves; INVALID_VERSION for one that scales by itself.
 */
int modules_start_module(struct ctx *ctx,
                         const struct modules_StartModuleRequest *in,
                         struct modules_StartModuleResponse *out);

/* The same for stopping. */
int modules_stop_module(struct ctx *ctx,
                        const struct modules_StopModuleRequest *in,
                        struct modules_StopModuleResponse *out);

/*
 * The host name that reaches a version, or one instance of it, below the app's
 * own host.
 */
int modules_get_hostname(struct ctx *ctx,
                         const struct modules_GetHostnameRequest *in,
                         struct modules_GetHostnameResponse *out);

#endif
