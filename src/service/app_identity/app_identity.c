/*
 * app_identity - the methods: what the key signs, what the names are, and the
 * platform's own tokens.
 */
#include "service/app_identity/app_identity.h"

#include "base/buf.h"
#include "service/app_identity/identity_key.h"
#include "service/user/users.h"

const struct rpc_err_map app_identity_errors[] = {
    {ERR_TOO_LARGE, app_identity_AppIdentityServiceError_BLOB_TOO_LARGE},
    {ERR_DEADLINE, app_identity_AppIdentityServiceError_DEADLINE_EXCEEDED},
    {ERR_DENIED, app_identity_AppIdentityServiceError_NOT_ALLOWED},
    {ERR_INVALID, app_identity_AppIdentityServiceError_UNKNOWN_SCOPE},
    {ERR_INTERNAL, app_identity_AppIdentityServiceError_UNKNOWN_ERROR},
    {ERR_CORRUPT, app_identity_AppIdentityServiceError_UNKNOWN_ERROR},
    {0, 0},
};

static struct bytes account_name(struct ctx *ctx)
{
    return bytes_str(arena_printf(
        ctx->arena, "%.*s@appspot.gserviceaccount.com", BYTES_FMT(ctx->app)));
}

static int load_key(struct ctx *ctx, struct identity_key *key)
{
    return identity_key_load(ctx, ctx->env->storage, account_name(ctx), key);
}

int app_identity_sign(struct ctx *ctx,
                      const struct app_identity_SignForAppRequest *in,
                      struct app_identity_SignForAppResponse *out)
{
    struct bytes blob = app_identity_SignForAppRequest_bytes_to_sign(in);
    struct bytes signature;
    struct identity_key key;
    int rc;

    if (blob.n > APP_IDENTITY_BLOB_MAX)
        return ctx_err(ctx, ERR_TOO_LARGE,
                       "%zu bytes to sign, at most %d are allowed", blob.n,
                       APP_IDENTITY_BLOB_MAX);
    rc = load_key(ctx, &key);
    if (rc == 0)
        rc = identity_key_sign(ctx, &key, blob, &signature);
    if (rc)
        return rc;
    app_identity_SignForAppResponse_set_key_name(out, key.name);
    app_identity_SignForAppResponse_set_signature_bytes(out, signature);
    return 0;
}

int app_identity_certificates(
    struct ctx *ctx,
    const struct app_identity_GetPublicCertificateForAppRequest *in,
    struct app_identity_GetPublicCertificateForAppResponse *out)
{
    struct app_identity_PublicCertificate *c;
    struct identity_key key;
    int rc;

    (void)in;
    rc = load_key(ctx, &key);
    if (rc)
        return rc;
    c = app_identity_GetPublicCertificateForAppResponse_add_public_certificate_list(
        ctx, out);
    app_identity_PublicCertificate_set_key_name(c, key.name);
    app_identity_PublicCertificate_set_x509_certificate_pem(c, key.certificate);
    app_identity_GetPublicCertificateForAppResponse_set_max_client_cache_time_in_second(
        out, 3600);
    return 0;
}

int app_identity_account_name(
    struct ctx *ctx, const struct app_identity_GetServiceAccountNameRequest *in,
    struct app_identity_GetServiceAccountNameResponse *out)
{
    (void)in;
    app_identity_GetServiceAccountNameResponse_set_service_account_name(
        out, account_name(ctx));
    return 0;
}

int app_identity_bucket_name(
    struct ctx *ctx,
    const struct app_identity_GetDefaultGcsBucketNameRequest *in,
    struct app_identity_GetDefaultGcsBucketNameResponse *out)
{
    (void)in;
    app_identity_GetDefaultGcsBucketNameResponse_set_default_gcs_bucket_name(
        out, bytes_str(arena_printf(ctx->arena, "%.*s.appspot.com",
                                    BYTES_FMT(ctx->app))));
    return 0;
}

/* "as1 APP EXPIRY SCOPE,SCOPE", dots for blanks, and its MAC. */
int app_identity_access_token(
    struct ctx *ctx, const struct app_identity_GetAccessTokenRequest *in,
    struct app_identity_GetAccessTokenResponse *out)
{
    size_t n = app_identity_GetAccessTokenRequest_n_scope(in);
    int64_t end = clock_wall() / CLOCK_SEC + APP_IDENTITY_TOKEN_SECONDS;
    struct buf scopes = BUF_IN(ctx->arena);
    struct bytes mac;
    char *text;

    if (n == 0)
        return ctx_err(ctx, ERR_INVALID, "a token needs at least one scope");
    for (size_t i = 0; i < n; i++) {
        buf_add_str(&scopes, i ? "," : "");
        buf_add(&scopes, app_identity_GetAccessTokenRequest_scope(in, i));
    }
    text = arena_printf(ctx->arena, "as1.%.*s.%lld", BYTES_FMT(ctx->app),
                        (long long)end);
    mac = users_mac(ctx, ctx->env->users, "access token",
                    bytes_str(arena_printf(ctx->arena, "%s.%.*s", text,
                                           BYTES_FMT(buf_view(&scopes)))));
    app_identity_GetAccessTokenResponse_set_access_token(
        out,
        bytes_str(arena_printf(ctx->arena, "%s.%.*s", text, BYTES_FMT(mac))));
    app_identity_GetAccessTokenResponse_set_expiration_time(out, end);
    return 0;
}
