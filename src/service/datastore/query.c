/* query - RunQuery and Next; engine/query.h has all of the work. */
#include "engine/query.h"

#include "service/datastore/datastore_int.h"
#include "service/datastore/index_file.h"

static void index_made(struct ctx *ctx, const struct index_def *def)
{
    if (ctx->env->index_file)
        index_file_add(ctx, ctx->env->index_file, def);
}

/*
 * RunQuery and Next.  The emulator makes an index that is missing, unless the
 * application's own file says otherwise; elsewhere the app hears which one to
 * add to it.
 */
static struct query_env query_env(const struct ctx *ctx)
{
    const struct service_env *env = ctx->env;

    return (struct query_env){
        .engine = env->engine,
        .auto_index = env->index_file ? index_file_automatic(env->index_file)
                                      : env->auto_index,
        .made = index_made,
    };
}

int datastore_run_query(struct ctx *ctx, struct bytes in, struct buf *out)
{
    struct query_env env;
    int rc = index_file_refresh(ctx, ctx->env->index_file);

    env = query_env(ctx);
    return rc ? rc : query_run(ctx, &env, in, out);
}

int datastore_next(struct ctx *ctx, struct bytes in, struct buf *out)
{
    struct query_env env = query_env(ctx);

    return query_next(ctx, &env, in, out);
}
