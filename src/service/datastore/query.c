/* query - RunQuery and Next; engine/query.h has all of the work. */
#include "engine/query.h"

#include "service/datastore/datastore_int.h"

/*
 * RunQuery and Next.  An emulator without an index.yaml of the app's own makes
 * an index that is missing; elsewhere the app hears which one to add to it.
 */
static struct query_env query_env(const struct ctx *ctx)
{
    return (struct query_env){
        .engine = ctx->env->engine,
        .auto_index = ctx->env->auto_index,
    };
}

int datastore_run_query(struct ctx *ctx, struct bytes in, struct buf *out)
{
    struct query_env env = query_env(ctx);

    return query_run(ctx, &env, in, out);
}

int datastore_next(struct ctx *ctx, struct bytes in, struct buf *out)
{
    struct query_env env = query_env(ctx);

    return query_next(ctx, &env, in, out);
}
