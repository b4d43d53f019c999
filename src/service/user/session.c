/*
 * session - the cookie of someone who is signed in.
 *
 *   base64url(MAC TEXT)   TEXT = "EXPIRY VERSION HOST EMAIL"
 *
 * Decimal seconds, the account's version, the host without a port, the
 * address; none of them contains a blank.  What the account may do is looked
 * up at every check, so that taking away a right works at once.
 */
#include "service/user/users_int.h"

#include "base/buf.h"
#include "base/log.h"

#include <stdlib.h>

enum { COOKIE_MAX = 1024 };

static void mac(const struct users *u, const char *purpose, struct bytes text,
                unsigned char out[crypto_auth_BYTES])
{
    crypto_auth_hmacsha512256_state st;

    crypto_auth_hmacsha512256_init(&st, u->key, sizeof(u->key));
    /* With its NUL, so that purpose and text cannot shift. */
    crypto_auth_hmacsha512256_update(&st, (const unsigned char *)purpose,
                                     strlen(purpose) + 1);
    crypto_auth_hmacsha512256_update(&st, text.p, text.n);
    crypto_auth_hmacsha512256_final(&st, out);
}

struct bytes users_mac(struct ctx *ctx, struct users *u, const char *purpose,
                       struct bytes text)
{
    unsigned char m[crypto_auth_BYTES];
    char *hex = arena_alloc(ctx->arena, sizeof(m) * 2 + 1);

    mac(u, purpose, text, m);
    sodium_bin2hex(hex, sizeof(m) * 2 + 1, m, sizeof(m));
    return BYTES(hex, sizeof(m) * 2);
}

struct bytes users_session_make(struct ctx *ctx, struct users *u,
                                const struct users_account *who,
                                struct bytes host)
{
    enum { VARIANT = sodium_base64_VARIANT_URLSAFE_NO_PADDING };
    struct buf b = BUF_IN(ctx->arena);
    size_t room;
    char *out;

    buf_reserve(&b, crypto_auth_BYTES);
    b.n = crypto_auth_BYTES;
    buf_printf(&b, "%lld %lld %.*s %.*s",
               (long long)(clock_wall() / CLOCK_SEC + USERS_SESSION_SECONDS),
               (long long)who->version, BYTES_FMT(host), BYTES_FMT(who->email));
    mac(u, "session", bytes_from(buf_view(&b), crypto_auth_BYTES), b.p);
    room = sodium_base64_ENCODED_LEN(b.n, VARIANT);
    out = arena_alloc(ctx->arena, room);
    sodium_bin2base64(out, room, b.p, b.n, VARIANT);
    return bytes_str(out);
}

/* The text under a good MAC as a C string, or NULL. */
static char *open_cookie(struct ctx *ctx, struct users *u, struct bytes cookie)
{
    unsigned char *raw, good[crypto_auth_BYTES];
    size_t n;

    if (cookie.n == 0 || cookie.n > COOKIE_MAX)
        return NULL;
    raw = arena_alloc(ctx->arena, cookie.n + 1);
    if (sodium_base642bin(raw, cookie.n, cookie.p, cookie.n, NULL, &n, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        n <= sizeof(good))
        return NULL;
    mac(u, "session", BYTES(raw + sizeof(good), n - sizeof(good)), good);
    if (sodium_memcmp(good, raw, sizeof(good)) != 0)
        return NULL;
    raw[n] = '\0';
    return (char *)raw + sizeof(good);
}

int users_session_check(struct ctx *ctx, struct users *u, struct bytes cookie,
                        struct bytes host, struct users_account *out)
{
    char *text = open_cookie(ctx, u, cookie);
    char *expiry, *version, *on, *email;
    int rc;

    if (!text)
        return ERR_DENIED;
    expiry = strsep(&text, " ");
    version = strsep(&text, " ");
    on = strsep(&text, " ");
    email = text;
    if (!version || !on || !email)
        BUG("a session under our MAC has too few words");
    if (atoll(expiry) <= clock_wall() / CLOCK_SEC || !bytes_eq_str(host, on))
        return ERR_DENIED;
    rc = users_find(ctx, u, bytes_str(email), out);
    if (rc == ERR_NOT_FOUND || (rc == 0 && out->version != atoll(version)))
        return ERR_DENIED;
    return rc;
}
