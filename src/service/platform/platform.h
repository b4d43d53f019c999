/*
 * platform - what the controller keeps in the server, and who is calling.
 *
 * The server alone opens the store, so the controller's tables (apps, services,
 * versions, settings) live here and are read and written by the RPC service
 * "platform" (proto/platform.proto): rows of opaque bytes, scans, and atomic
 * conditional commits.  Three tables follow a convention, since modules and
 * app_identity answer from them: JSON documents in the shape of Google's Admin
 * API v1,
 *
 *   "apps"      row A       an Application
 *   "services"  row A/S     a Service; split.allocations says who serves
 *   "versions"  row A/S/V   a Version
 *
 * Tickets: the controller gives every version a random token and hands the
 * whole table over with SetTickets; it is stored before it counts, so that a
 * restarted server knows every caller at once.  platform_ticket() answers "who
 * is this" for every call of every app and takes no lock.
 *
 * Thread rule: one struct platform serves all threads.
 */
#ifndef SERVICE_PLATFORM_PLATFORM_H
#define SERVICE_PLATFORM_PLATFORM_H

#include "platform.pb.h"
#include "service/env.h"
#include "storage/storage.h"

struct platform;

/*
 * Load what the store knows.  `own_token` is the secret of the controller and
 * the command line, at least 16 bytes, or BYTES_NONE: then no caller is the
 * platform.  Errors are those of storage_get(), or ERR_CORRUPT.
 */
int platform_open(struct ctx *ctx, struct storage *st, struct bytes own_token,
                  struct platform **out);

/* After every call has returned; accepts NULL. */
void platform_close(struct platform *p);

/* Who a token stands for. */
struct platform_caller {
    bool platform; /* the controller; the rest is empty */
    struct bytes app;
    struct bytes service;
    struct bytes version;
};

/*
 * Find the caller behind `token` (the ticket up to its '.').  On 0 the views
 * live in ctx->arena.  ERR_NOT_FOUND, without a story, when nobody has it.
 * Never waits.
 */
int platform_ticket(struct ctx *ctx, struct platform *p, struct bytes token,
                    struct platform_caller *out);

/*
 * Find the version whose metadata server is asked, by the secret that stands
 * in its address; otherwise as platform_ticket().
 */
int platform_metadata(struct ctx *ctx, struct platform *p, struct bytes secret,
                      struct platform_caller *out);

/* ---- what the tables say of an app (service/modules, app_identity) ---- */

enum platform_scaling {
    PLATFORM_AUTOMATIC,
    PLATFORM_BASIC,
    PLATFORM_MANUAL,
};

struct platform_version {
    struct bytes id;
    enum platform_scaling scaling;
    int64_t instances; /* of manual or basic scaling, else 0 */
    bool serving;
    double share; /* of its service's traffic, 0..1 */
};

struct platform_service {
    struct bytes id;
    struct json_t *split; /* split.allocations, for platform_apps.c */
    struct platform_version *versions; /* ordered by id */
    size_t n_versions;
};

struct platform_app {
    struct bytes id;
    struct bytes host;                 /* defaultHostname, or "ID.DOMAIN" */
    struct platform_service *services; /* ordered by id */
    size_t n_services;
};

/*
 * Read the documents of an app; everything lives in ctx->arena.  ERR_NOT_FOUND
 * for an app that is not deployed (ctx->err stays empty), ERR_CORRUPT for a
 * document that is no JSON object, else as storage_scan().  Two short scans
 * and a read of the store's cache: nothing is kept that could be stale.
 */
int platform_app_read(struct ctx *ctx, struct platform *p, struct bytes app,
                      struct platform_app **out);

/* The service of that id, or NULL. */
struct platform_service *platform_service_find(const struct platform_app *a,
                                               struct bytes id);

/* The version of that id, or NULL. */
struct platform_version *platform_version_find(const struct platform_service *s,
                                               struct bytes id);

/* The version with the largest share, the first by id of equals; NULL when the
 * service has no version. */
struct platform_version *
platform_version_default(const struct platform_service *s);

/* ---- the RPC service: rows of rpc/methods.c, RPC_POOL | RPC_PLATFORM ---- */

/* An application error of this service is our code without its sign. */
extern const struct rpc_err_map platform_errors[];

/*
 * Rows by key, as of one moment, in the request's order; an absent one is an
 * item without a value.
 */
int platform_get(struct ctx *ctx, const struct platform_GetRequest *in,
                 struct platform_GetResponse *out);

/*
 * A page of a table's rows in order; `more` says whether to ask again from
 * behind the last.
 */
int platform_scan(struct ctx *ctx, const struct platform_ScanRequest *in,
                  struct platform_ScanResponse *out);

/*
 * Conditions and writes, all or nothing.  A condition that does not hold is an
 * answer that names it, not an error.
 */
int platform_commit(struct ctx *ctx, const struct platform_CommitRequest *in,
                    struct platform_CommitResponse *out);

/*
 * Replace the whole table of tickets; it is stored before it counts.
 * ERR_INVALID when a token is given twice.
 */
int platform_set_tickets(struct ctx *ctx,
                         const struct platform_SetTicketsRequest *in,
                         struct platform_Void *out);

/*
 * Make an account, or with `replace` give one a new password.  Errors as
 * users_create().
 */
int platform_create_user(struct ctx *ctx,
                         const struct platform_CreateUserRequest *in,
                         struct platform_Void *out);

/* Delete an account.  Errors as users_delete(). */
int platform_delete_user(struct ctx *ctx,
                         const struct platform_DeleteUserRequest *in,
                         struct platform_Void *out);

/* All accounts, without anything of their passwords. */
int platform_list_users(struct ctx *ctx, const struct platform_Void *in,
                        struct platform_ListUsersResponse *out);

/*
 * Check a password.  A wrong one is an answer, ok = false; it counts against
 * the account (lockout.h), and no address is known to count against.
 * ERR_EXHAUSTED while the account is locked.
 */
int platform_authenticate(struct ctx *ctx,
                          const struct platform_AuthenticateRequest *in,
                          struct platform_AuthenticateResponse *out);

/*
 * Deploy an index.yaml; tells the indexes that are to be built for it.  Errors
 * as engine_indexes_set().
 */
int platform_set_indexes(struct ctx *ctx,
                         const struct platform_SetIndexesRequest *in,
                         struct platform_SetIndexesResponse *out);

/* The app's composite indexes and how far they are: index_list(). */
int platform_list_indexes(struct ctx *ctx,
                          const struct platform_ListIndexesRequest *in,
                          struct platform_ListIndexesResponse *out);

/* Clear away indexes that the deployed index.yaml does not name:
 * index_vacuum(). */
int platform_vacuum_indexes(struct ctx *ctx,
                            const struct platform_VacuumIndexesRequest *in,
                            struct platform_VacuumIndexesResponse *out);

/* Stop the writes of an app's datastore, or of all.  Errors as
 * engine_read_only_set(). */
int platform_set_read_only(struct ctx *ctx,
                           const struct platform_SetReadOnlyRequest *in,
                           struct platform_Void *out);

/* Whose writes are stopped. */
int platform_get_read_only(struct ctx *ctx, const struct platform_Void *in,
                           struct platform_GetReadOnlyResponse *out);

/*
 * Make the app's queues those of a queue.yaml.  Errors as
 * taskqueue_set_yaml().
 */
int platform_set_queues(struct ctx *ctx,
                        const struct platform_SetQueuesRequest *in,
                        struct platform_Void *out);

/*
 * Ask the engine for long work; statistics only when the app's are older than
 * the request says.  Errors as engine_job_start().
 */
int platform_start_job(struct ctx *ctx,
                       const struct platform_StartJobRequest *in,
                       struct platform_StartJobResponse *out);

/* How far it is, and what came of it.  ERR_NOT_FOUND for work of an earlier
 * process. */
int platform_get_job(struct ctx *ctx, const struct platform_GetJobRequest *in,
                     struct platform_GetJobResponse *out);

/* The figures that the last run of statistics has written. */
int platform_datastore_stats(struct ctx *ctx,
                             const struct platform_DatastoreStatsRequest *in,
                             struct platform_DatastoreStatsResponse *out);

/*
 * Delete for good what an app has stored: entities and index rows, then its
 * queues and tasks, its identity key, its cache.  A call cut short may be
 * repeated: it finds what is left.
 */
int platform_delete_app_data(struct ctx *ctx,
                             const struct platform_DeleteAppDataRequest *in,
                             struct platform_Void *out);

/* Figures of the store, and of memcached when there is one. */
int platform_stats(struct ctx *ctx, const struct platform_Void *in,
                   struct platform_StatsResponse *out);

#endif
