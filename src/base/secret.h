/*
 * secret - one secret made from another.
 *
 * What is derived may be shown to whom the first must not: it does not lead
 * back.  Both sides (controller and server) derive the same.  Any thread.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/arena.h"

/* HMAC-SHA-256 of `purpose` under `secret`, as 64 hexadecimal digits, in the
 * arena. */
const char *secret_derive(struct arena *a, struct bytes secret,
                          const char *purpose);

/* The secret in the address of a version's metadata server, from the token of
 * the version. */
#define SECRET_METADATA "metadata"

/* Where that server is below the API's address: PREFIX SECRET. */
#define SECRET_METADATA_PATH "/_appscale/metadata/"

#endif
