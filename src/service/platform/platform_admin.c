/*
 * platform_admin - what the platform service passes on to other modules:
 * accounts, indexes, an app's data, figures.
 */
#include "service/platform/platform_int.h"

#include "base/log.h"
#include "engine/engine.h"
#include "engine/index_admin.h"
#include "service/app_identity/identity_key.h"
#include "service/memcache/memcache.h"
#include "service/taskqueue/taskqueue.h"
#include "service/user/users.h"

int platform_create_user(struct ctx *ctx,
                         const struct platform_CreateUserRequest *in,
                         struct platform_Void *out)
{
    (void)out;
    return users_create(ctx, ctx->env->users,
                        &(struct users_new){
                            .email = platform_CreateUserRequest_email(in),
                            .password = platform_CreateUserRequest_password(in),
                            .admin = platform_CreateUserRequest_admin(in),
                            .replace = platform_CreateUserRequest_replace(in),
                        });
}

int platform_delete_user(struct ctx *ctx,
                         const struct platform_DeleteUserRequest *in,
                         struct platform_Void *out)
{
    (void)out;
    return users_delete(ctx, ctx->env->users,
                        platform_DeleteUserRequest_email(in));
}

int platform_list_users(struct ctx *ctx, const struct platform_Void *in,
                        struct platform_ListUsersResponse *out)
{
    struct users_account *all;
    size_t n;
    int rc;

    (void)in;
    rc = users_list(ctx, ctx->env->users, &all, &n);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct platform_User *u = platform_ListUsersResponse_add_user(ctx, out);

        platform_User_set_email(u, all[i].email);
        platform_User_set_admin(u, all[i].admin);
        platform_User_set_user_id(u, all[i].user_id);
        platform_User_set_created(u, all[i].created);
    }
    return rc;
}

/* A wrong password is an answer here; only a lockout is an error. */
int platform_authenticate(struct ctx *ctx,
                          const struct platform_AuthenticateRequest *in,
                          struct platform_AuthenticateResponse *out)
{
    struct users_account who;
    int rc;

    rc = users_check(
        ctx, ctx->env->users, platform_AuthenticateRequest_email(in),
        platform_AuthenticateRequest_password(in), BYTES_NONE, &who);
    platform_AuthenticateResponse_set_ok(out, rc == 0);
    if (rc == ERR_DENIED)
        return 0;
    if (rc == 0) {
        platform_AuthenticateResponse_set_admin(out, who.admin);
        platform_AuthenticateResponse_set_user_id(out, who.user_id);
    }
    return rc;
}

static void index_message(struct ctx *ctx, struct platform_Index *m,
                          const struct index_def *def)
{
    platform_Index_set_id(m, def->id);
    platform_Index_set_kind(m, def->kind);
    platform_Index_set_ancestor(m, def->ancestor);
    platform_Index_set_state(m, (int32_t)def->state);
    for (size_t i = 0; i < def->n; i++) {
        struct platform_Index_Property *p = platform_Index_add_property(ctx, m);

        platform_Index_Property_set_name(p, def->columns[i].name);
        platform_Index_Property_set_desc(p, def->columns[i].desc);
    }
}

int platform_set_indexes(struct ctx *ctx,
                         const struct platform_SetIndexesRequest *in,
                         struct platform_SetIndexesResponse *out)
{
    struct index_def *started;
    size_t n;
    int rc = engine_indexes_set(
        ctx, ctx->env->engine, platform_SetIndexesRequest_app(in),
        platform_SetIndexesRequest_index_yaml(in), &started, &n);

    for (size_t i = 0; rc == 0 && i < n; i++)
        index_message(ctx, platform_SetIndexesResponse_add_started(ctx, out),
                      &started[i]);
    return rc;
}

int platform_list_indexes(struct ctx *ctx,
                          const struct platform_ListIndexesRequest *in,
                          struct platform_ListIndexesResponse *out)
{
    struct index_status *all;
    bool deployed;
    size_t n;
    int rc =
        index_list(ctx, ctx->env->engine, platform_ListIndexesRequest_app(in),
                   &all, &n, &deployed);

    if (rc)
        return rc;
    platform_ListIndexesResponse_set_deployed(out, deployed);
    for (size_t i = 0; i < n; i++) {
        struct platform_Index *m =
            platform_ListIndexesResponse_add_index(ctx, out);

        index_message(ctx, m, &all[i].def);
        platform_Index_set_named(m, all[i].named);
        platform_Index_set_rows(m, all[i].rows);
        platform_Index_set_rows_more(m, all[i].rows_more);
        platform_Index_set_done(m, all[i].done);
        platform_Index_set_total(m, all[i].total);
    }
    return 0;
}

int platform_vacuum_indexes(struct ctx *ctx,
                            const struct platform_VacuumIndexesRequest *in,
                            struct platform_VacuumIndexesResponse *out)
{
    size_t n = platform_VacuumIndexesRequest_n_id(in), deleted;
    int64_t *ids = ARENA_ARRAY(ctx->arena, int64_t, n + 1);
    int rc;

    for (size_t i = 0; i < n; i++)
        ids[i] = platform_VacuumIndexesRequest_id(in, i);
    rc = index_vacuum(ctx, ctx->env->engine,
                      platform_VacuumIndexesRequest_app(in), ids, n, &deleted);
    if (rc == 0)
        platform_VacuumIndexesResponse_set_deleted(out, (int64_t)deleted);
    return rc;
}

int platform_set_read_only(struct ctx *ctx,
                           const struct platform_SetReadOnlyRequest *in,
                           struct platform_Void *out)
{
    (void)out;
    return engine_read_only_set(ctx, ctx->env->engine,
                                platform_SetReadOnlyRequest_app(in),
                                platform_SetReadOnlyRequest_on(in));
}

int platform_get_read_only(struct ctx *ctx, const struct platform_Void *in,
                           struct platform_GetReadOnlyResponse *out)
{
    struct bytes *projects;
    bool all = false;
    size_t n;
    int rc = engine_read_only_list(ctx, ctx->env->engine, &projects, &n);

    (void)in;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        all |= projects[i].n == 0;
        if (projects[i].n)
            platform_GetReadOnlyResponse_add_app(ctx, out, projects[i]);
    }
    platform_GetReadOnlyResponse_set_all(out, all);
    return rc;
}

int platform_set_queues(struct ctx *ctx,
                        const struct platform_SetQueuesRequest *in,
                        struct platform_Void *out)
{
    (void)out;
    return taskqueue_set_yaml(ctx, ctx->env->taskqueue,
                              platform_SetQueuesRequest_app(in), "queue.yaml",
                              platform_SetQueuesRequest_queue_yaml(in));
}

/* What the app has in memcached, if there is one and it answers. */
static void forget_cache(struct ctx *ctx, struct bytes app)
{
    struct ctx as_app = *ctx;

    as_app.app = app;
    if (ctx->env->memcache &&
        memcache_flush_all(&as_app, memcache_MemcacheFlushRequest_new(&as_app),
                           memcache_MemcacheFlushResponse_new(&as_app)) != 0)
        log_warn(ctx, "platform.cache_stays", "app", log_bytes(app));
}

/* Not atomic; the controller calls again until it has worked. */
int platform_delete_app_data(struct ctx *ctx,
                             const struct platform_DeleteAppDataRequest *in,
                             struct platform_Void *out)
{
    struct bytes app = platform_DeleteAppDataRequest_app(in);
    int rc;

    (void)out;
    if (app.n == 0)
        return ctx_err(ctx, ERR_INVALID, "whose data?");
    rc = engine_app_delete(ctx, ctx->env->engine, app);
    if (rc == 0 && ctx->env->taskqueue)
        rc = taskqueue_app_delete(ctx, ctx->env->taskqueue, app);
    if (rc == 0)
        rc = identity_key_delete(ctx, ctx->env->storage, app);
    if (rc == 0)
        rc = engine_read_only_set(ctx, ctx->env->engine, app, false);
    if (rc == 0)
        forget_cache(ctx, app);
    return rc;
}

/* Each "name value" line of `text` becomes one of the answer. */
static void add_lines(struct ctx *ctx, struct platform_StatsResponse *out,
                      struct bytes text)
{
    while (text.n) {
        const char *nl = memchr(text.p, '\n', text.n);
        size_t n = nl ? (size_t)(nl - (const char *)text.p) : text.n;

        if (n)
            platform_StatsResponse_add_line(ctx, out, BYTES(text.p, n));
        text = bytes_from(text, nl ? n + 1 : n);
    }
}

int platform_stats(struct ctx *ctx, const struct platform_Void *in,
                   struct platform_StatsResponse *out)
{
    (void)in;
    add_lines(ctx, out, storage_stats(ctx, ctx->env->platform->storage));
    if (ctx->env->memcache)
        add_lines(ctx, out, memcache_stats_text(ctx, ctx->env->memcache));
    return 0;
}
