/* ctx - the deadline's arithmetic, and the story of a failure. */
#include "base/ctx.h"

void ctx_init(struct ctx *ctx, struct arena *arena)
{
    *ctx = (struct ctx){
        .arena = arena,
        .deadline = CTX_FOREVER,
        .may_wait = true,
    };
}

int64_t ctx_left(const struct ctx *ctx)
{
    int64_t left;

    if (ctx->deadline == CTX_FOREVER)
        return CTX_FOREVER;
    left = ctx->deadline - clock_mono();
    return left > 0 ? left : 0;
}

int ctx_err_at(struct ctx *ctx, const char *file, int line, enum err_code code,
               int32_t app_code, const char *fmt, ...)
{
    va_list ap;

    if (ctx->err.code != ERR_OK)
        return code;
    va_start(ap, fmt);
    ctx->err = (struct err){
        .code = code,
        .app_code = app_code,
        .message = arena_vprintf(ctx->arena, fmt, ap),
        .file = file,
        .line = line,
    };
    va_end(ap);
    return code;
}

void ctx_err_clear(struct ctx *ctx)
{
    ctx->err = (struct err){0};
}

const char *ctx_err_text(const struct ctx *ctx, int code)
{
    return ctx->err.code != ERR_OK ? ctx->err.message : err_sentence(code);
}
