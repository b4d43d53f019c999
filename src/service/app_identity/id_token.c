/*
 * id_token - JSON Web Tokens (RFC 7519) of an app, and its certificate for
 * those who check them, as a JSON object from key id to PEM: the shape of
 * Google's own page, which its libraries read.
 */
#include "service/app_identity/app_identity.h"

#include "base/buf.h"
#include "service/app_identity/identity_key.h"
#include "service/platform/platform.h"

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>

static struct bytes base64url(struct ctx *ctx, struct bytes v)
{
    enum { VARIANT = sodium_base64_VARIANT_URLSAFE_NO_PADDING };
    size_t room = sodium_base64_ENCODED_LEN(v.n, VARIANT);
    char *out = arena_alloc(ctx->arena, room);

    sodium_bin2base64(out, room, v.p, v.n, VARIANT);
    return bytes_str(out);
}

/* As text, in the arena; takes `o` over. */
static struct bytes dump(struct ctx *ctx, json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT);
    struct bytes own = bytes_str(arena_strdup(ctx->arena, text));

    free(text);
    json_decref(o);
    return own;
}

/* The address people know the app by. */
static int issuer(struct ctx *ctx, const char **out)
{
    struct platform_app *a;
    int rc = platform_app_read(ctx, ctx->env->platform, ctx->app, &a);

    if (rc == 0)
        *out = arena_printf(ctx->arena, "http://%.*s", BYTES_FMT(a->host));
    else if (rc == ERR_NOT_FOUND)
        *out = arena_printf(ctx->arena, "http://%.*s.%s", BYTES_FMT(ctx->app),
                            ctx->env->domain);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static struct bytes claims(struct ctx *ctx, const char *iss,
                           struct bytes audience)
{
    int64_t now = clock_wall() / CLOCK_SEC;
    struct bytes email = app_identity_email(ctx, ctx->app);

    return dump(ctx,
                json_pack("{s:s, s:s%, s:s%, s:s%, s:s%, s:b, s:I, s:I}", "iss",
                          iss, "aud", audience.p, audience.n, "azp", email.p,
                          email.n, "sub", email.p, email.n, "email", email.p,
                          email.n, "email_verified", 1, "iat", (json_int_t)now,
                          "exp", (json_int_t)now + APP_IDENTITY_TOKEN_SECONDS));
}

int app_identity_id_token(struct ctx *ctx, struct bytes audience,
                          struct bytes *token)
{
    struct identity_key key;
    struct bytes head, text, signature;
    const char *iss;
    int rc;

    if (audience.n == 0 || audience.n > APP_IDENTITY_BLOB_MAX / 2)
        return ctx_err(ctx, ERR_INVALID,
                       "non-empty audience parameter required");
    rc = app_identity_key(ctx, &key);
    if (rc == 0)
        rc = issuer(ctx, &iss);
    if (rc)
        return rc;
    head = dump(ctx, json_pack("{s:s, s:s%, s:s}", "alg", "RS256", "kid",
                               key.name.p, key.name.n, "typ", "JWT"));
    text = bytes_str(
        arena_printf(ctx->arena, "%.*s.%.*s", BYTES_FMT(base64url(ctx, head)),
                     BYTES_FMT(base64url(ctx, claims(ctx, iss, audience)))));
    rc = identity_key_sign(ctx, &key, text, &signature);
    if (rc == 0)
        *token =
            bytes_str(arena_printf(ctx->arena, "%.*s.%.*s", BYTES_FMT(text),
                                   BYTES_FMT(base64url(ctx, signature))));
    return rc;
}

/* ---- the page ---- */

static int certs(struct ctx *ctx, const struct http_request *req,
                 struct http_response *res)
{
    struct platform_app *app;
    struct identity_key key;
    int rc = 0;

    ctx->app = http_unescape(
        ctx->arena, bytes_from(req->path, strlen(APP_IDENTITY_CERTS)), false);
    if (ctx->env->emulator && !bytes_eq_str(ctx->app, ctx->env->project))
        rc = ERR_NOT_FOUND;
    else if (!ctx->env->emulator)
        rc = platform_app_read(ctx, ctx->env->platform, ctx->app, &app);
    if (rc == 0)
        rc = app_identity_key(ctx, &key);
    if (rc)
        return rc;
    http_text(ctx->arena, res, 200, "application/json",
              dump(ctx, json_pack("{s:s%}", arena_cstr(ctx->arena, key.name),
                                  key.certificate.p, key.certificate.n)));
    http_add_header(ctx->arena, res, "Cache-Control",
                    BYTES_LIT("public, max-age=3600"));
    return 0;
}

const struct http_route app_identity_routes[] = {
    {"GET", APP_IDENTITY_CERTS "*", certs},
    {0},
};
