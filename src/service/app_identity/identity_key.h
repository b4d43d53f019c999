/*
 * identity_key - the RSA key and the certificate of an app, over OpenSSL.
 *
 * Stored as text: the private key and the certificate, both PEM, one after the
 * other.  Results live in ctx->arena.
 */
#ifndef SERVICE_APP_IDENTITY_IDENTITY_KEY_H
#define SERVICE_APP_IDENTITY_IDENTITY_KEY_H

#include "storage/storage.h"

struct identity_key {
    struct bytes name;        /* hex of the certificate's SHA-1 */
    struct bytes private_pem; /* never leaves the server */
    struct bytes certificate; /* PEM */
};

/*
 * The key of ctx->app, made now if there is none; `holder` goes into the
 * certificate as its common name (at most 64 bytes of it).
 */
int identity_key_load(struct ctx *ctx, struct storage *st, struct bytes holder,
                      struct identity_key *out);

/* Forget the key of `app`; 0 also when it has none. */
int identity_key_delete(struct ctx *ctx, struct storage *st, struct bytes app);

/* RSA, PKCS #1 v1.5, SHA-256. */
int identity_key_sign(struct ctx *ctx, const struct identity_key *key,
                      struct bytes blob, struct bytes *signature);

#endif
