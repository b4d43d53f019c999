/*
 * app_identity - who an app is to others: the RPC service
 * "app_identity_service".
 *
 * Each app has an RSA key and a certificate for it, made at the first use and
 * kept in the server's own table "identity"; what the app signs can be checked
 * by anyone who has the certificate.  There is no certificate authority behind
 * it: the certificate is signed with its own key.
 *
 * Access tokens (Go and Java ask for them here, Python asks a metadata server)
 * are strings under this server's MAC with scopes and an end.  Google accepts
 * none of them; they are for services of the platform's own.  Identity tokens
 * are for anybody: what they are signed with is published.
 *
 * Thread rule: handlers run on any thread.
 */
#ifndef SERVICE_APP_IDENTITY_APP_IDENTITY_H
#define SERVICE_APP_IDENTITY_APP_IDENTITY_H

#include "app_identity.pb.h"
#include "net/http.h"
#include "platform.pb.h"
#include "service/env.h"

extern const struct rpc_err_map app_identity_errors[];

enum {
    APP_IDENTITY_BLOB_MAX = 8 * 1024, /* Google's limit of SignForApp */
    APP_IDENTITY_TOKEN_SECONDS = 60 * 60,
};

/*
 * Sign the request's bytes with the app's key; the answer names the key.
 * RPC_POOL: the first use makes a key, which takes some 100 ms.
 */
int app_identity_sign(struct ctx *ctx,
                      const struct app_identity_SignForAppRequest *in,
                      struct app_identity_SignForAppResponse *out);

/*
 * The one certificate of the app's key, in PEM, to be kept by its reader for an
 * hour at most.  RPC_POOL, for it may be the first use.
 */
int app_identity_certificates(
    struct ctx *ctx,
    const struct app_identity_GetPublicCertificateForAppRequest *in,
    struct app_identity_GetPublicCertificateForAppResponse *out);

/* RPC_INLINE. */
int app_identity_account_name(
    struct ctx *ctx, const struct app_identity_GetServiceAccountNameRequest *in,
    struct app_identity_GetServiceAccountNameResponse *out);

/*
 * APP.appspot.com, the name Google gives; whether there is such a bucket is not
 * looked at.  RPC_INLINE.
 */
int app_identity_bucket_name(
    struct ctx *ctx,
    const struct app_identity_GetDefaultGcsBucketNameRequest *in,
    struct app_identity_GetDefaultGcsBucketNameResponse *out);

/*
 * A token over the request's scopes and an end APP_IDENTITY_TOKEN_SECONDS from
 * now; ERR_INVALID without a scope.  Nothing is stored: its MAC is all there is
 * to check.  RPC_INLINE.
 */
int app_identity_access_token(
    struct ctx *ctx, const struct app_identity_GetAccessTokenRequest *in,
    struct app_identity_GetAccessTokenResponse *out);

/* ---- for the platform's own services ---- */

/* Whom a token stands for; the views live in ctx->arena. */
struct app_identity_token {
    struct bytes app;
    struct bytes email;  /* of the app's service account */
    struct bytes scopes; /* with commas between them */
};

/*
 * Read a token of GetAccessToken.  ERR_DENIED, without a story, when it is
 * none of ours or its time is over.
 */
int app_identity_token_check(struct ctx *ctx, struct bytes token,
                             struct app_identity_token *out);

/* Whether it was made for that scope, the name of it whole. */
bool app_identity_token_has(const struct app_identity_token *t,
                            const char *scope);

/*
 * What GetAccessToken gives: a token of ctx->app for `scopes`, commas between
 * them, good until `end` (seconds since 1970).
 */
int app_identity_token_make(struct ctx *ctx, struct bytes scopes,
                            struct bytes *token, int64_t *end);

/*
 * An OpenID Connect token: a JWT that says to `audience` that ctx->app is who
 * it is, signed with the app's key (RS256) and good for as long as an access
 * token.  Its issuer is the app's own address, below which
 * APP_IDENTITY_CERTS gives the certificate (id_token.c).
 */
int app_identity_id_token(struct ctx *ctx, struct bytes audience,
                          struct bytes *token);

/*
 * The controller asks for a token of an app (a row of the service "platform"):
 * an identity token when there is an audience, else an access token.
 */
int app_identity_for_worker(struct ctx *ctx,
                            const struct platform_MakeTokenRequest *in,
                            struct platform_MakeTokenResponse *out);

/* The key of ctx->app, made at the first use. */
struct identity_key;
int app_identity_key(struct ctx *ctx, struct identity_key *key);

/* The page with the certificates of a project, for whoever checks its tokens:
 * this and the project's id. */
#define APP_IDENTITY_CERTS "/_ah/certs/"

extern const struct http_route app_identity_routes[];

/* APP@appspot.gserviceaccount.com, in the arena. */
struct bytes app_identity_email(struct ctx *ctx, struct bytes app);

#endif
