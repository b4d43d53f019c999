/* secret - over libsodium. */
#include "base/secret.h"

#include <sodium.h>

const char *secret_derive(struct arena *a, struct bytes secret,
                          const char *purpose)
{
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state st;
    char *hex = arena_alloc(a, 2 * sizeof(mac) + 1);

    crypto_auth_hmacsha256_init(&st, secret.p, secret.n);
    crypto_auth_hmacsha256_update(&st, (const unsigned char *)purpose,
                                  strlen(purpose));
    crypto_auth_hmacsha256_final(&st, mac);
    return sodium_bin2hex(hex, 2 * sizeof(mac) + 1, mac, sizeof(mac));
}
