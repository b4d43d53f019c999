/* capability - the table of packages, and the answer from it. */
#include "service/capability/capability.h"

#include "engine/engine.h"

static bool always(const struct service_env *env)
{
    (void)env;
    return true;
}

static bool never(const struct service_env *env)
{
    (void)env;
    return false;
}

static bool has_engine(const struct service_env *env)
{
    return env->engine != NULL;
}

static bool has_memcache(const struct service_env *env)
{
    return env->memcache != NULL;
}

static bool has_taskqueue(const struct service_env *env)
{
    return env->taskqueue != NULL;
}

/* App Engine's packages, and what each stands on here. */
static const struct package {
    const char *name;
    bool (*works)(const struct service_env *env);
} packages[] = {
    {"datastore_v3", has_engine},
    {"memcache", has_memcache},
    {"user", always},
    {"app_identity_service", always},
    {"capability_service", always},
    {"modules", always},
    {"taskqueue", has_taskqueue},
    {"blobstore", never},
    {"images", never},
    {"mail", never},
    {"urlfetch", never},
    {"xmpp", never},
    {"channel", never},
    {"search", never},
    {"logservice", never},
    {"system", never},
};

/* What a package can do in part: only writing is ever switched off by itself.
 */
static bool capability_works(const struct ctx *ctx, struct bytes package,
                             struct bytes capability)
{
    struct ctx scratch = *ctx; /* the story of a refusal is not wanted */

    if (!bytes_eq_str(package, "datastore_v3") ||
        !bytes_eq_str(capability, "write"))
        return true;
    return engine_write_allowed(&scratch, ctx->env->engine, ctx->app) == 0;
}

static const struct package *find(struct bytes name)
{
    for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++) {
        if (bytes_eq_str(name, packages[i].name))
            return &packages[i];
    }
    return NULL;
}

static void add_config(struct ctx *ctx,
                       struct capability_IsEnabledResponse *out,
                       struct bytes package, struct bytes capability,
                       int32_t status)
{
    struct capability_base_CapabilityConfig *c =
        capability_IsEnabledResponse_add_config(ctx, out);

    capability_base_CapabilityConfig_set_package(c, package);
    capability_base_CapabilityConfig_set_capability(c, capability);
    capability_base_CapabilityConfig_set_status(c, status);
}

int capability_is_enabled(struct ctx *ctx,
                          const struct capability_IsEnabledRequest *in,
                          struct capability_IsEnabledResponse *out)
{
    struct bytes name = capability_IsEnabledRequest_package(in);
    const struct package *p = find(name);
    size_t n = capability_IsEnabledRequest_n_capability(in);
    bool works = p && p->works(ctx->env), all = works;

    for (size_t i = 0; i < n; i++) {
        struct bytes capability = capability_IsEnabledRequest_capability(in, i);
        bool one = works && capability_works(ctx, name, capability);

        all &= one;
        add_config(ctx, out, name, capability,
                   !p    ? capability_base_CapabilityConfig_UNKNOWN
                   : one ? capability_base_CapabilityConfig_ENABLED
                         : capability_base_CapabilityConfig_DISABLED);
    }
    capability_IsEnabledResponse_set_summary_status(
        out, !p    ? capability_IsEnabledResponse_UNKNOWN
             : all ? capability_IsEnabledResponse_ENABLED
                   : capability_IsEnabledResponse_DISABLED);
    return 0;
}
