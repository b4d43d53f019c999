/*
 * modules - find the app, the service and the version a request means, then
 * answer or refuse.
 *
 * What a request leaves out is the caller's own, as in the SDKs.
 */
#include "service/modules/modules.h"

#include "service/platform/controller.h"
#include "service/platform/platform.h"

const struct rpc_err_map modules_errors[] = {
    {ERR_DEADLINE, modules_ModulesServiceError_TRANSIENT_ERROR},
    {ERR_UNAVAILABLE, modules_ModulesServiceError_TRANSIENT_ERROR},
    {ERR_EXHAUSTED, modules_ModulesServiceError_TRANSIENT_ERROR},
    {ERR_UNIMPLEMENTED, modules_ModulesServiceError_TRANSIENT_ERROR},
    {ERR_NOT_FOUND, modules_ModulesServiceError_INVALID_VERSION},
    {ERR_INVALID, modules_ModulesServiceError_INVALID_VERSION},
    {0, 0},
};

/* ---- whom a call is about ---- */

static struct bytes or_else(struct bytes v, const char *otherwise)
{
    return v.n ? v : bytes_str(otherwise);
}

/* An app without documents: the caller is all there is of it. */
static struct platform_app *caller_alone(struct ctx *ctx)
{
    struct platform_app *a = ARENA_NEW(ctx->arena, struct platform_app);

    a->id = ctx->app;
    a->host = bytes_str(arena_printf(ctx->arena, "%.*s.%s", BYTES_FMT(ctx->app),
                                     ctx->env->domain));
    a->n_services = 1;
    a->services = ARENA_NEW(ctx->arena, struct platform_service);
    a->services->id = or_else(ctx->service, "default");
    a->services->n_versions = 1;
    a->services->versions = ARENA_NEW(ctx->arena, struct platform_version);
    a->services->versions->id = or_else(ctx->version, "1");
    a->services->versions->serving = true;
    return a;
}

static int load_app(struct ctx *ctx, struct platform_app **a)
{
    int rc = platform_app_read(ctx, ctx->env->platform, ctx->app, a);

    if (rc != ERR_NOT_FOUND)
        return rc;
    *a = caller_alone(ctx);
    return 0;
}

static int no_module(struct ctx *ctx, struct bytes id)
{
    return ctx_app_err(ctx, ERR_INVALID,
                       modules_ModulesServiceError_INVALID_MODULE,
                       "there is no service '%.*s'", BYTES_FMT(id));
}

static int no_version(struct ctx *ctx, int32_t app_code, struct bytes id)
{
    return ctx_app_err(ctx, ERR_INVALID, app_code, "there is no version '%.*s'",
                       BYTES_FMT(id));
}

/* The service of that id; without one the caller's own, or "default". */
static int find_service(struct ctx *ctx, struct bytes id,
                        struct platform_app **a, struct platform_service **s)
{
    int rc = load_app(ctx, a);

    if (rc)
        return rc;
    if (id.n == 0)
        id = or_else(ctx->service, "default");
    *s = platform_service_find(*a, id);
    return *s ? 0 : no_module(ctx, id);
}

/* The version of that id; without one the caller's if the service has it, else
 * the service's default.  `app_code` is the answer when there is none. */
static int find_version(struct ctx *ctx, const struct platform_service *s,
                        struct bytes id, int32_t app_code,
                        struct platform_version **v)
{
    *v = NULL;
    if (id.n) {
        *v = platform_version_find(s, id);
    } else {
        if (ctx->version.n)
            *v = platform_version_find(s, ctx->version);
        if (!*v)
            *v = platform_version_default(s);
    }
    return *v ? 0 : no_version(ctx, app_code, id);
}

/* A version whose instances the app may count, and its service. */
struct counted {
    struct platform_service *service;
    struct platform_version *version;
};

/* Whatever is wrong with it is INVALID_VERSION, an unknown service too. */
static int find_counted(struct ctx *ctx, struct bytes module,
                        struct bytes version, struct counted *out)
{
    struct platform_app *a;
    int rc = load_app(ctx, &a);

    if (rc)
        return rc;
    out->service = platform_service_find(
        a, module.n ? module : or_else(ctx->service, "default"));
    if (!out->service)
        return no_version(ctx, modules_ModulesServiceError_INVALID_VERSION,
                          version);
    rc = find_version(ctx, out->service, version,
                      modules_ModulesServiceError_INVALID_VERSION,
                      &out->version);
    if (rc == 0 && out->version->scaling == PLATFORM_AUTOMATIC)
        rc = ctx_app_err(
            ctx, ERR_INVALID, modules_ModulesServiceError_INVALID_VERSION,
            "version '%.*s' scales by itself", BYTES_FMT(out->version->id));
    return rc;
}

/* ---- the methods ---- */

int modules_get_modules(struct ctx *ctx,
                        const struct modules_GetModulesRequest *in,
                        struct modules_GetModulesResponse *out)
{
    struct platform_app *a;
    int rc = load_app(ctx, &a);

    (void)in;
    for (size_t i = 0; rc == 0 && i < a->n_services; i++)
        modules_GetModulesResponse_add_module(ctx, out, a->services[i].id);
    return rc;
}

int modules_get_versions(struct ctx *ctx,
                         const struct modules_GetVersionsRequest *in,
                         struct modules_GetVersionsResponse *out)
{
    struct platform_service *s;
    struct platform_app *a;
    int rc;

    rc = find_service(ctx, modules_GetVersionsRequest_module(in), &a, &s);
    for (size_t i = 0; rc == 0 && i < s->n_versions; i++)
        modules_GetVersionsResponse_add_version(ctx, out, s->versions[i].id);
    return rc;
}

int modules_get_default_version(
    struct ctx *ctx, const struct modules_GetDefaultVersionRequest *in,
    struct modules_GetDefaultVersionResponse *out)
{
    struct platform_version *v;
    struct platform_service *s;
    struct platform_app *a;
    int rc;

    rc = find_service(ctx, modules_GetDefaultVersionRequest_module(in), &a, &s);
    if (rc)
        return rc;
    v = platform_version_default(s);
    if (!v)
        return no_version(ctx, modules_ModulesServiceError_INVALID_VERSION,
                          BYTES_LIT("default"));
    modules_GetDefaultVersionResponse_set_version(out, v->id);
    return 0;
}

int modules_get_num_instances(struct ctx *ctx,
                              const struct modules_GetNumInstancesRequest *in,
                              struct modules_GetNumInstancesResponse *out)
{
    struct counted c;
    int rc;

    rc = find_counted(ctx, modules_GetNumInstancesRequest_module(in),
                      modules_GetNumInstancesRequest_version(in), &c);
    if (rc == 0)
        modules_GetNumInstancesResponse_set_instances(out,
                                                      c.version->instances);
    return rc;
}

/* ---- changes: the controller's ---- */

/* A change of the caller's own version may end the very request that asks. */
static int change(struct ctx *ctx, const struct counted *c, const char *mask,
                  json_t *body)
{
    const struct controller_change how = {
        .service = c->service->id,
        .version = c->version->id,
        .mask = mask,
        .body = body,
        .begin_only = bytes_eq(c->service->id, ctx->service) &&
                      bytes_eq(c->version->id, ctx->version),
    };

    return controller_change(ctx, &how);
}

int modules_set_num_instances(struct ctx *ctx,
                              const struct modules_SetNumInstancesRequest *in,
                              struct modules_SetNumInstancesResponse *out)
{
    int64_t want = modules_SetNumInstancesRequest_instances(in);
    struct counted c;
    int rc;

    (void)out;
    rc = find_counted(ctx, modules_SetNumInstancesRequest_module(in),
                      modules_SetNumInstancesRequest_version(in), &c);
    if (rc)
        return rc;
    if (want < 1)
        return ctx_app_err(ctx, ERR_INVALID,
                           modules_ModulesServiceError_INVALID_INSTANCES,
                           "a version has at least one instance");
    if (want == c.version->instances)
        return 0;
    if (c.version->scaling != PLATFORM_MANUAL)
        return ctx_app_err(ctx, ERR_INVALID,
                           modules_ModulesServiceError_INVALID_VERSION,
                           "version '%.*s' has basic scaling: its number of "
                           "instances is that of its app.yaml",
                           BYTES_FMT(c.version->id));
    rc = change(
        ctx, &c, "manualScaling.instances",
        json_pack("{s:{s:I}}", "manualScaling", "instances", (json_int_t)want));
    if (rc == ERR_INVALID) /* more than the platform gives */
        ctx->err.app_code = modules_ModulesServiceError_INVALID_INSTANCES;
    return rc;
}

/* A version that is in the wanted state already is UNEXPECTED_STATE, which the
 * SDKs swallow. */
static int change_state(struct ctx *ctx, struct bytes module,
                        struct bytes version, bool serving)
{
    struct counted c;
    int rc = find_counted(ctx, module, version, &c);

    if (rc)
        return rc;
    if (c.version->serving == serving)
        return ctx_app_err(
            ctx, ERR_INVALID, modules_ModulesServiceError_UNEXPECTED_STATE,
            "version '%.*s' is %s already", BYTES_FMT(c.version->id),
            serving ? "serving" : "stopped");
    return change(
        ctx, &c, "servingStatus",
        json_pack("{s:s}", "servingStatus", serving ? "SERVING" : "STOPPED"));
}

int modules_start_module(struct ctx *ctx,
                         const struct modules_StartModuleRequest *in,
                         struct modules_StartModuleResponse *out)
{
    (void)out;
    return change_state(ctx, modules_StartModuleRequest_module(in),
                        modules_StartModuleRequest_version(in), true);
}

int modules_stop_module(struct ctx *ctx,
                        const struct modules_StopModuleRequest *in,
                        struct modules_StopModuleResponse *out)
{
    (void)out;
    return change_state(ctx, modules_StopModuleRequest_module(in),
                        modules_StopModuleRequest_version(in), false);
}

/* "I." of a version with numbered instances. */
static int instance_prefix(struct ctx *ctx, const struct platform_version *v,
                           struct bytes instance, const char **prefix)
{
    int64_t i = 0;

    *prefix = "";
    if (instance.n == 0)
        return 0;
    for (size_t k = 0; k < instance.n && i >= 0; k++) {
        uint8_t c = bytes_u8(instance)[k];

        i = c >= '0' && c <= '9' && i < v->instances ? i * 10 + c - '0' : -1;
    }
    if (v->scaling == PLATFORM_AUTOMATIC || i < 0 || i >= v->instances)
        return ctx_app_err(ctx, ERR_INVALID,
                           modules_ModulesServiceError_INVALID_INSTANCES,
                           "there is no instance '%.*s'", BYTES_FMT(instance));
    *prefix = arena_printf(ctx->arena, "%lld.", (long long)i);
    return 0;
}

int modules_get_hostname(struct ctx *ctx,
                         const struct modules_GetHostnameRequest *in,
                         struct modules_GetHostnameResponse *out)
{
    struct platform_version *v;
    struct platform_service *s;
    struct platform_app *a;
    const char *prefix;
    int rc;

    rc = find_service(ctx, modules_GetHostnameRequest_module(in), &a, &s);
    if (rc == 0)
        rc = find_version(ctx, s, modules_GetHostnameRequest_version(in),
                          modules_ModulesServiceError_INVALID_MODULE, &v);
    if (rc == 0)
        rc = instance_prefix(ctx, v, modules_GetHostnameRequest_instance(in),
                             &prefix);
    if (rc)
        return rc;
    modules_GetHostnameResponse_set_hostname(
        out, bytes_str(arena_printf(ctx->arena, "%s%.*s.%.*s.%.*s", prefix,
                                    BYTES_FMT(v->id), BYTES_FMT(s->id),
                                    BYTES_FMT(a->host))));
    return 0;
}
