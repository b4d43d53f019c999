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

/* RPC_POOL: they scan the platform's tables. */
int modules_get_modules(struct ctx *ctx,
                        const struct modules_GetModulesRequest *in,
                        struct modules_GetModulesResponse *out);
int modules_get_versions(struct ctx *ctx,
                         const struct modules_GetVersionsRequest *in,
                         struct modules_GetVersionsResponse *out);
int modules_get_default_version(
    struct ctx *ctx, const struct modules_GetDefaultVersionRequest *in,
    struct modules_GetDefaultVersionResponse *out);
int modules_get_num_instances(struct ctx *ctx,
                              const struct modules_GetNumInstancesRequest *in,
                              struct modules_GetNumInstancesResponse *out);
int modules_set_num_instances(struct ctx *ctx,
                              const struct modules_SetNumInstancesRequest *in,
                              struct modules_SetNumInstancesResponse *out);
int modules_start_module(struct ctx *ctx,
                         const struct modules_StartModuleRequest *in,
                         struct modules_StartModuleResponse *out);
int modules_stop_module(struct ctx *ctx,
                        const struct modules_StopModuleRequest *in,
                        struct modules_StopModuleResponse *out);
int modules_get_hostname(struct ctx *ctx,
                         const struct modules_GetHostnameRequest *in,
                         struct modules_GetHostnameResponse *out);

#endif
