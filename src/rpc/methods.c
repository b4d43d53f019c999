/*
 * What this server answers: the services, each a table of methods, and the
 * pages.  Adding an API is adding rows.
 */
#include "rpc/rpc.h"

#include "service/app_identity/app_identity.h"
#include "service/capability/capability.h"
#include "service/datastore/datastore.h"
#include "service/memcache/memcache.h"
#include "service/metadata/metadata.h"
#include "service/modules/modules.h"
#include "service/platform/platform.h"
#include "service/system/system.h"
#include "service/taskqueue/admin.h"
#include "service/taskqueue/rest.h"
#include "service/taskqueue/taskqueue.h"
#include "service/user/user.h"

/* ---- appscale: the server itself ---- */

/* Nothing, as fast as it goes: what a call costs before it does anything. */
static int null_call(struct ctx *ctx, struct bytes in, struct buf *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    return 0;
}

static const struct rpc_method appscale_methods[] = {
    RPC_RAW("Null", null_call, RPC_INLINE | RPC_NO_TICKET | RPC_READ_ONLY),
    {0},
};

static const struct rpc_service appscale = {
    .name = "appscale",
    .methods = appscale_methods,
};

/* ---- datastore_v3 ---- */

static const struct rpc_method datastore_methods[] = {
    RPC_RAW("Get", datastore_get, RPC_INLINE | RPC_READ_ONLY),
    RPC_RAW("Put", datastore_put, RPC_INLINE),
    RPC_RAW("Delete", datastore_delete, RPC_INLINE),
    RPC_RAW("AllocateIds", datastore_allocate_ids, RPC_POOL),
    RPC_RAW("BeginTransaction", datastore_begin_transaction,
            RPC_INLINE | RPC_READ_ONLY),
    RPC_RAW("Commit", datastore_commit, RPC_POOL),
    RPC_RAW("Rollback", datastore_rollback, RPC_POOL | RPC_READ_ONLY),
    RPC_RAW("RunQuery", datastore_run_query, RPC_INLINE | RPC_READ_ONLY),
    RPC_RAW("Next", datastore_next, RPC_INLINE | RPC_READ_ONLY),
    RPC_RAW("GetIndices", datastore_get_indices, RPC_INLINE | RPC_READ_ONLY),
    RPC_RAW("CreateIndex", datastore_create_index, RPC_POOL),
    RPC_RAW("UpdateIndex", datastore_update_index, RPC_POOL),
    RPC_RAW("DeleteIndex", datastore_delete_index, RPC_POOL),
    {0},
};

static const struct rpc_service datastore = {
    .name = "datastore_v3",
    .errors = datastore_errors,
    .methods = datastore_methods,
    .request_max = DATASTORE_REQUEST_MAX,
};

/* ---- memcache ---- */

#define MEMCACHE(name_, fn_, in_, out_)                                        \
    RPC_TYPED(name_, fn_, memcache_Memcache##in_, memcache_Memcache##out_,     \
              RPC_POOL)

static const struct rpc_method memcache_methods[] = {
    MEMCACHE("Get", memcache_get, GetRequest, GetResponse),
    MEMCACHE("Set", memcache_set, SetRequest, SetResponse),
    MEMCACHE("Delete", memcache_delete, DeleteRequest, DeleteResponse),
    MEMCACHE("Increment", memcache_increment, IncrementRequest,
             IncrementResponse),
    MEMCACHE("BatchIncrement", memcache_batch_increment, BatchIncrementRequest,
             BatchIncrementResponse),
    MEMCACHE("FlushAll", memcache_flush_all, FlushRequest, FlushResponse),
    MEMCACHE("Stats", memcache_stats, StatsRequest, StatsResponse),
    {0},
};

static const struct rpc_service memcache = {
    .name = "memcache",
    .errors = memcache_errors,
    .methods = memcache_methods,
    .request_max = MEMCACHE_REQUEST_MAX,
};

/* ---- platform: the controller's ---- */

#define PLATFORM(name_, fn_, in_, out_)                                        \
    RPC_TYPED(name_, fn_, platform_##in_, platform_##out_,                     \
              RPC_POOL | RPC_PLATFORM)

static const struct rpc_method platform_methods[] = {
    PLATFORM("Get", platform_get, GetRequest, GetResponse),
    PLATFORM("Scan", platform_scan, ScanRequest, ScanResponse),
    PLATFORM("Commit", platform_commit, CommitRequest, CommitResponse),
    PLATFORM("SetTickets", platform_set_tickets, SetTicketsRequest, Void),
    PLATFORM("MakeToken", app_identity_for_worker, MakeTokenRequest,
             MakeTokenResponse),
    PLATFORM("CreateUser", platform_create_user, CreateUserRequest, Void),
    PLATFORM("DeleteUser", platform_delete_user, DeleteUserRequest, Void),
    PLATFORM("ListUsers", platform_list_users, Void, ListUsersResponse),
    PLATFORM("Authenticate", platform_authenticate, AuthenticateRequest,
             AuthenticateResponse),
    PLATFORM("SetIndexes", platform_set_indexes, SetIndexesRequest,
             SetIndexesResponse),
    PLATFORM("ListIndexes", platform_list_indexes, ListIndexesRequest,
             ListIndexesResponse),
    PLATFORM("VacuumIndexes", platform_vacuum_indexes, VacuumIndexesRequest,
             VacuumIndexesResponse),
    PLATFORM("SetReadOnly", platform_set_read_only, SetReadOnlyRequest, Void),
    PLATFORM("GetReadOnly", platform_get_read_only, Void, GetReadOnlyResponse),
    PLATFORM("SetQueues", platform_set_queues, SetQueuesRequest, Void),
    PLATFORM("ListQueues", taskqueue_admin_queues, ListQueuesRequest,
             ListQueuesResponse),
    PLATFORM("PauseQueue", taskqueue_admin_pause, PauseQueueRequest, Void),
    PLATFORM("PurgeQueue", taskqueue_admin_purge, PurgeQueueRequest, Void),
    PLATFORM("ListTasks", taskqueue_admin_tasks, ListTasksRequest,
             ListTasksResponse),
    PLATFORM("GetTask", taskqueue_admin_task, TaskRequest, Task),
    PLATFORM("RunTask", taskqueue_admin_run, TaskRequest, Void),
    PLATFORM("DeleteTask", taskqueue_admin_delete, TaskRequest, Void),
    PLATFORM("StartJob", platform_start_job, StartJobRequest, StartJobResponse),
    PLATFORM("GetJob", platform_get_job, GetJobRequest, GetJobResponse),
    PLATFORM("DatastoreStats", platform_datastore_stats, DatastoreStatsRequest,
             DatastoreStatsResponse),
    PLATFORM("DeleteAppData", platform_delete_app_data, DeleteAppDataRequest,
             Void),
    PLATFORM("Stats", platform_stats, Void, StatsResponse),
    {0},
};

static const struct rpc_service platform = {
    .name = "platform",
    .errors = platform_errors,
    .methods = platform_methods,
    .request_max = RPC_REQUEST_MAX_LARGE,
};

/* ---- user ---- */

#define USER(name_, fn_)                                                       \
    RPC_TYPED(#name_, fn_, user_##name_##Request, user_##name_##Response,      \
              RPC_INLINE | RPC_READ_ONLY)

static const struct rpc_method user_methods[] = {
    USER(CreateLoginURL, user_create_login_url),
    USER(CreateLogoutURL, user_create_logout_url),
    USER(GetOAuthUser, user_get_oauth_user),
    USER(CheckOAuthSignature, user_check_oauth_signature),
    {0},
};

static const struct rpc_service user = {
    .name = "user",
    .errors = user_errors,
    .methods = user_methods,
};

/* ---- app_identity_service ---- */

#define IDENTITY(name_, fn_, type_, flags_)                                    \
    RPC_TYPED(name_, fn_, app_identity_##type_##Request,                       \
              app_identity_##type_##Response, (flags_) | RPC_READ_ONLY)

static const struct rpc_method app_identity_methods[] = {
    IDENTITY("SignForApp", app_identity_sign, SignForApp, RPC_POOL),
    IDENTITY("GetPublicCertificatesForApp", app_identity_certificates,
             GetPublicCertificateForApp, RPC_POOL),
    IDENTITY("GetServiceAccountName", app_identity_account_name,
             GetServiceAccountName, RPC_INLINE),
    IDENTITY("GetDefaultGcsBucketName", app_identity_bucket_name,
             GetDefaultGcsBucketName, RPC_INLINE),
    IDENTITY("GetAccessToken", app_identity_access_token, GetAccessToken,
             RPC_INLINE),
    {0},
};

static const struct rpc_service app_identity = {
    .name = "app_identity_service",
    .errors = app_identity_errors,
    .methods = app_identity_methods,
};

/* ---- capability_service ---- */

static const struct rpc_method capability_methods[] = {
    RPC_TYPED("IsEnabled", capability_is_enabled, capability_IsEnabledRequest,
              capability_IsEnabledResponse, RPC_INLINE | RPC_READ_ONLY),
    {0},
};

static const struct rpc_service capability = {
    .name = "capability_service",
    .methods = capability_methods,
};

/* ---- modules ---- */

#define MODULES(name_, fn_)                                                    \
    RPC_TYPED(#name_, fn_, modules_##name_##Request,                           \
              modules_##name_##Response, RPC_POOL | RPC_READ_ONLY)

static const struct rpc_method modules_methods[] = {
    MODULES(GetModules, modules_get_modules),
    MODULES(GetVersions, modules_get_versions),
    MODULES(GetDefaultVersion, modules_get_default_version),
    MODULES(GetNumInstances, modules_get_num_instances),
    MODULES(SetNumInstances, modules_set_num_instances),
    MODULES(StartModule, modules_start_module),
    MODULES(StopModule, modules_stop_module),
    MODULES(GetHostname, modules_get_hostname),
    {0},
};

static const struct rpc_service modules = {
    .name = "modules",
    .errors = modules_errors,
    .methods = modules_methods,
};

/* ---- system ---- */

static const struct rpc_method system_methods[] = {
    RPC_TYPED("StartBackgroundRequest", system_start_background,
              system_StartBackgroundRequestRequest,
              system_StartBackgroundRequestResponse, RPC_POOL | RPC_READ_ONLY),
    RPC_TYPED("GetSystemStats", system_stats, system_GetSystemStatsRequest,
              system_GetSystemStatsResponse, RPC_POOL | RPC_READ_ONLY),
    {0},
};

static const struct rpc_service system_service = {
    .name = "system",
    .errors = system_errors,
    .methods = system_methods,
};

/* ---- taskqueue ---- */

#define TASKQUEUE(name_, fn_)                                                  \
    RPC_TYPED(#name_, fn_, taskqueue_TaskQueue##name_##Request,                \
              taskqueue_TaskQueue##name_##Response, RPC_POOL | RPC_FOR_APP)

static const struct rpc_method taskqueue_methods[] = {
    RPC_RAW("Add", taskqueue_add, RPC_POOL),
    RPC_RAW("BulkAdd", taskqueue_bulk_add, RPC_POOL),
    TASKQUEUE(Delete, taskqueue_delete),
    TASKQUEUE(QueryTasks, taskqueue_query_tasks),
    TASKQUEUE(FetchTask, taskqueue_fetch_task),
    TASKQUEUE(ForceRun, taskqueue_force_run),
    TASKQUEUE(QueryAndOwnTasks, taskqueue_lease),
    TASKQUEUE(ModifyTaskLease, taskqueue_modify_lease),
    TASKQUEUE(FetchQueues, taskqueue_fetch_queues),
    TASKQUEUE(FetchQueueStats, taskqueue_fetch_stats),
    TASKQUEUE(UpdateQueue, taskqueue_update_queue),
    TASKQUEUE(PauseQueue, taskqueue_pause_queue),
    TASKQUEUE(PurgeQueue, taskqueue_purge_queue),
    TASKQUEUE(DeleteQueue, taskqueue_delete_queue),
    TASKQUEUE(DeleteGroup, taskqueue_delete_group),
    TASKQUEUE(UpdateStorageLimit, taskqueue_update_storage_limit),
    {0},
};

static const struct rpc_service taskqueue = {
    .name = "taskqueue",
    .errors = taskqueue_errors,
    .methods = taskqueue_methods,
    .request_max = TASKQUEUE_REQUEST_MAX,
};

/* ---- all of them ---- */

const struct rpc_service *const rpc_services[] = {
    &appscale,     &datastore,      &memcache, &user,
    &app_identity, &capability,     &modules,  &platform,
    &taskqueue,    &system_service, NULL,
};

const struct http_route *const rpc_routes[] = {
    user_routes, taskqueue_routes, app_identity_routes, metadata_routes, NULL,
};
