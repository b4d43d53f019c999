/*
 * modules - an app asks about its own services and versions: the RPC service
 * "modules".
 *
 * Answers come from the controller's documents (service/platform).  Where
 * there are none - the emulator - the app is one service with one version:
 * the caller's.
 *
 * Instances are the controller's to change; an app that tries gets
 * INVALID_VERSION for what scales by itself, as on Google, and else a
 * TRANSIENT_ERROR that says so.
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
 * How many instances a version with manual scaling has; INVALID_VERSION for one
 * that scales by itself.
 */
int modules_get_num_instances(struct ctx *ctx,
                              const struct modules_GetNumInstancesRequest *in,
                              struct modules_GetNumInstancesResponse *out);

/*
 * Accepts the number that is already there, and refuses every other: instances
 * are the controller's.
 */
int modules_set_num_instances(struct ctx *ctx,
                              const struct modules_SetNumInstancesRequest *in,
                              struct modules_SetNumInstancesResponse *out);

/*
 * UNEXPECTED_STATE, which the SDKs swallow, for a version that serves;
 * INVALID_VERSION for one that scales by itself; else TRANSIENT_ERROR, for
 * starting is the controller's.
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
