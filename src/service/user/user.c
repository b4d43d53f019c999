/*
 * user - the RPC service.
 */
#include "service/user/user.h"

const struct rpc_err_map user_errors[] = {
    {ERR_TOO_LARGE, user_UserServiceError_REDIRECT_URL_TOO_LONG},
    {ERR_DENIED, user_UserServiceError_NOT_ALLOWED},
    {0, 0},
};

/* "a", "?b" and "" are paths from the root, as the SDKs' stub reads them. */
static struct bytes from_root(struct arena *a, struct bytes url)
{
    bool has_scheme = url.n && memmem(url.p, url.n, "://", 3) != NULL;

    if (url.n && (has_scheme || bytes_u8(url)[0] == '/'))
        return url;
    return bytes_str(arena_printf(a, "/%.*s", BYTES_FMT(url)));
}

static int make_url(struct ctx *ctx, const char *page, struct bytes destination,
                    struct bytes *out)
{
    struct bytes go_on;

    if (destination.n > USER_URL_MAX)
        return ctx_app_err(ctx, ERR_TOO_LARGE,
                           user_UserServiceError_REDIRECT_URL_TOO_LONG,
                           "the destination has %zu bytes, at most %d are "
                           "allowed",
                           destination.n, USER_URL_MAX);
    go_on = http_escape(ctx->arena, from_root(ctx->arena, destination));
    *out = bytes_str(
        arena_printf(ctx->arena, "%s?continue=%.*s", page, BYTES_FMT(go_on)));
    return 0;
}

int user_create_login_url(struct ctx *ctx,
                          const struct user_CreateLoginURLRequest *in,
                          struct user_CreateLoginURLResponse *out)
{
    struct bytes url;
    int rc = make_url(ctx, "/_ah/login",
                      user_CreateLoginURLRequest_destination_url(in), &url);

    if (rc == 0)
        user_CreateLoginURLResponse_set_login_url(out, url);
    return rc;
}

int user_create_logout_url(struct ctx *ctx,
                           const struct user_CreateLogoutURLRequest *in,
                           struct user_CreateLogoutURLResponse *out)
{
    struct bytes url;
    int rc = make_url(ctx, "/_ah/logout",
                      user_CreateLogoutURLRequest_destination_url(in), &url);

    if (rc == 0)
        user_CreateLogoutURLResponse_set_logout_url(out, url);
    return rc;
}

static int no_oauth(struct ctx *ctx)
{
    return ctx_app_err(ctx, ERR_DENIED,
                       user_UserServiceError_OAUTH_INVALID_REQUEST,
                       "the request carries no OAuth token");
}

int user_get_oauth_user(struct ctx *ctx,
                        const struct user_GetOAuthUserRequest *in,
                        struct user_GetOAuthUserResponse *out)
{
    (void)in;
    (void)out;
    return no_oauth(ctx);
}

int user_check_oauth_signature(struct ctx *ctx,
                               const struct user_CheckOAuthSignatureRequest *in,
                               struct user_CheckOAuthSignatureResponse *out)
{
    (void)in;
    (void)out;
    return no_oauth(ctx);
}
