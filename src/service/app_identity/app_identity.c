/*
 * app_identity - the methods: what the key signs, what the names are, and the
 * platform's own tokens.
 */
#include "service/app_identity/app_identity.h"

#include "base/buf.h"
#include "base/log.h"
#include "service/app_identity/identity_key.h"
#include "service/user/users.h"

#include <sodium.h>
#include <stdlib.h>

const struct rpc_err_map app_identity_errors[] = {
    {ERR_TOO_LARGE, app_identity_AppIdentityServiceError_BLOB_TOO_LARGE},
    {ERR_DEADLINE, app_identity_AppIdentityServiceError_DEADLINE_EXCEEDED},
    {ERR_DENIED, app_identity_AppIdentityServiceError_NOT_ALLOWED},
    {ERR_INVALID, app_identity_AppIdentityServiceError_UNKNOWN_SCOPE},
    {ERR_INTERNAL, app_identity_AppIdentityServiceError_UNKNOWN_ERROR},
    {ERR_CORRUPT, app_identity_AppIdentityServiceError_UNKNOWN_ERROR},
    {0, 0},
};

struct bytes app_identity_email(struct ctx *ctx, struct bytes app)
{
    return bytes_str(arena_printf(
        ctx->arena, "%.*s@appspot.gserviceaccount.com", BYTES_FMT(app)));
}

static struct bytes account_name(struct ctx *ctx)
{
    return app_identity_email(ctx, ctx->app);
}

int app_identity_key(struct ctx *ctx, struct identity_key *key)
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
    rc = app_identity_key(ctx, &key);
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
    rc = app_identity_key(ctx, &key);
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

/* ---- access tokens ---- */

#define TOKEN_KIND "as2"

enum {
    SCOPES_VARIANT = sodium_base64_VARIANT_URLSAFE_NO_PADDING,
    TOKEN_MAX = 4096,
};

/* The scopes, a comma between them, as characters of a token. */
static int scopes_text(struct ctx *ctx, struct bytes scopes, const char **out)
{
    size_t room = sodium_base64_ENCODED_LEN(scopes.n, SCOPES_VARIANT);
    char *text = arena_alloc(ctx->arena, room);

    if (scopes.n == 0)
        return ctx_err(ctx, ERR_INVALID, "a token needs at least one scope");
    if (scopes.n > TOKEN_MAX / 2)
        return ctx_err(ctx, ERR_INVALID, "the scopes have more than %d bytes",
                       TOKEN_MAX / 2);
    sodium_bin2base64(text, room, scopes.p, scopes.n, SCOPES_VARIANT);
    *out = text;
    return 0;
}

static struct bytes token_mac(struct ctx *ctx, struct bytes text)
{
    return users_mac(ctx, ctx->env->users, "access token", text);
}

/* "as2.APP.EXPIRY.SCOPES" and its MAC behind another dot. */
int app_identity_token_make(struct ctx *ctx, struct bytes scopes,
                            struct bytes *token, int64_t *end)
{
    const char *spelled = "", *text;
    int rc = scopes_text(ctx, scopes, &spelled);

    if (rc)
        return rc;
    *end = clock_wall() / CLOCK_SEC + APP_IDENTITY_TOKEN_SECONDS;
    text = arena_printf(ctx->arena, TOKEN_KIND ".%.*s.%lld.%s",
                        BYTES_FMT(ctx->app), (long long)*end, spelled);
    *token =
        bytes_str(arena_printf(ctx->arena, "%s.%.*s", text,
                               BYTES_FMT(token_mac(ctx, bytes_str(text)))));
    return 0;
}

int app_identity_access_token(
    struct ctx *ctx, const struct app_identity_GetAccessTokenRequest *in,
    struct app_identity_GetAccessTokenResponse *out)
{
    size_t n = app_identity_GetAccessTokenRequest_n_scope(in);
    struct buf scopes = BUF_IN(ctx->arena);
    struct bytes token;
    int64_t end;
    int rc;

    for (size_t i = 0; i < n; i++) {
        buf_add_str(&scopes, i ? "," : "");
        buf_add(&scopes, app_identity_GetAccessTokenRequest_scope(in, i));
    }
    rc = app_identity_token_make(ctx, buf_view(&scopes), &token, &end);
    if (rc)
        return rc;
    app_identity_GetAccessTokenResponse_set_access_token(out, token);
    app_identity_GetAccessTokenResponse_set_expiration_time(out, end);
    return 0;
}

int app_identity_for_worker(struct ctx *ctx,
                            const struct platform_MakeTokenRequest *in,
                            struct platform_MakeTokenResponse *out)
{
    struct bytes audience = platform_MakeTokenRequest_audience(in), token;
    size_t n = platform_MakeTokenRequest_n_scope(in);
    struct buf scopes = BUF_IN(ctx->arena);
    int64_t end = clock_wall() / CLOCK_SEC + APP_IDENTITY_TOKEN_SECONDS;
    int rc;

    ctx->app = platform_MakeTokenRequest_app(in);
    for (size_t i = 0; i < n; i++) {
        buf_add_str(&scopes, i ? "," : "");
        buf_add(&scopes, platform_MakeTokenRequest_scope(in, i));
    }
    rc = audience.n
             ? app_identity_id_token(ctx, audience, &token)
             : app_identity_token_make(ctx, buf_view(&scopes), &token, &end);
    if (rc)
        return rc;
    platform_MakeTokenResponse_set_token(out, token);
    platform_MakeTokenResponse_set_end(out, end);
    return 0;
}

/* Cut what stands behind the last dot off; false when there is none. */
static bool cut_last(struct bytes *text, struct bytes *last)
{
    const char *dot = text->n ? memrchr(text->p, '.', text->n) : NULL;
    size_t n = dot ? (size_t)(dot - (const char *)text->p) : 0;

    if (!dot)
        return false;
    *last = bytes_from(*text, n + 1);
    *text = BYTES(text->p, n);
    return true;
}

bool app_identity_token_has(const struct app_identity_token *t,
                            const char *scope)
{
    struct bytes rest = t->scopes;

    while (rest.n) {
        const char *comma = memchr(rest.p, ',', rest.n);
        size_t n = comma ? (size_t)(comma - (const char *)rest.p) : rest.n;

        if (bytes_eq_str(BYTES(rest.p, n), scope))
            return true;
        rest = bytes_from(rest, comma ? n + 1 : n);
    }
    return false;
}

int app_identity_token_check(struct ctx *ctx, struct bytes token,
                             struct app_identity_token *out)
{
    struct bytes text = token, mac, good, scopes, expiry;
    unsigned char *raw;
    size_t n;

    if (token.n > TOKEN_MAX ||
        !bytes_starts(token, BYTES_LIT(TOKEN_KIND ".")) ||
        !cut_last(&text, &mac))
        return ERR_DENIED;
    good = token_mac(ctx, text);
    if (mac.n != good.n || sodium_memcmp(mac.p, good.p, mac.n) != 0)
        return ERR_DENIED;
    raw = arena_alloc(ctx->arena, token.n);
    if (!cut_last(&text, &scopes) || !cut_last(&text, &expiry) ||
        sodium_base642bin(raw, token.n, scopes.p, scopes.n, NULL, &n, NULL,
                          SCOPES_VARIANT) != 0)
        BUG("a token under our MAC does not read back");
    if (atoll(arena_cstr(ctx->arena, expiry)) <= clock_wall() / CLOCK_SEC)
        return ERR_DENIED;
    *out = (struct app_identity_token){
        .app = bytes_from(text, strlen(TOKEN_KIND ".")),
        .scopes = BYTES(raw, n),
    };
    out->email = app_identity_email(ctx, out->app);
    return 0;
}
