/*
 * users - the accounts of the people who sign in, and their sessions.
 *
 * An account is a row of the server's own table "users", keyed by the e-mail
 * address in lower case: an argon2id hash of the password, an admin flag and a
 * version that every change of the password raises.  The user id is made from
 * the address as Google's development server makes it ("1" and 20 digits), so
 * it stays when an account is deleted and made again.
 *
 * A session is a cookie: address, version, host and expiry under a MAC whose
 * key the store keeps.  It counts only while the account has the same version,
 * and only on the host it was made for, since the app behind that host can read
 * the cookie: one app cannot sign in at another with what it sees.
 *
 * Failed sign-ins are counted per account and per address (lockout.h).
 *
 * Thread rule: one struct users serves all threads.
 */
#ifndef SERVICE_USER_USERS_H
#define SERVICE_USER_USERS_H

#include "service/env.h"
#include "storage/storage.h"

struct users;

enum {
    USERS_EMAIL_MAX = 254, /* RFC 5321: a path of 256 with its brackets */
    USERS_PASSWORD_MIN = 6,
    USERS_PASSWORD_MAX = 1024, /* bounds what one attempt may cost */
};

/* Load or make the key of the sessions.  Errors as storage_commit(). */
int users_open(struct ctx *ctx, struct storage *st, struct users **out);

/* After every call has returned; accepts NULL. */
void users_close(struct users *u);

/* The views live in ctx->arena. */
struct users_account {
    struct bytes email;   /* lower case */
    struct bytes user_id; /* 21 digits */
    bool admin;
    int64_t created; /* seconds since 1970 */
    int64_t version; /* of the password */
};

struct users_new {
    struct bytes email;
    struct bytes password;
    bool admin;
    bool replace; /* change an existing account instead of ERR_EXISTS */
};

/*
 * Make an account.  ERR_INVALID for an address or a password that cannot be
 * (with the reason), ERR_EXISTS.
 */
int users_create(struct ctx *ctx, struct users *u, const struct users_new *n);

/* ERR_NOT_FOUND when there is no such account. */
int users_delete(struct ctx *ctx, struct users *u, struct bytes email);

/* The account of an address in any case.  ERR_NOT_FOUND. */
int users_find(struct ctx *ctx, struct users *u, struct bytes email,
               struct users_account *out);

/* Every account, ordered by address. */
int users_list(struct ctx *ctx, struct users *u, struct users_account **out,
               size_t *n);

/*
 * Check a password.  `address` is the network address of who asks, without a
 * port, or empty (then only the account is counted).  ERR_DENIED when address
 * or password is wrong, which of them does not show, nor in the time taken;
 * ERR_EXHAUSTED during a lockout, with how long in the story.
 */
int users_check(struct ctx *ctx, struct users *u, struct bytes email,
                struct bytes password, struct bytes address,
                struct users_account *out);

/* Seconds a session lasts: Google's default cookie expiry. */
enum { USERS_SESSION_SECONDS = 24 * 60 * 60 };

/* The value of a session cookie for an account on `host` (no port); in the
 * arena, of characters a cookie may have. */
struct bytes users_session_make(struct ctx *ctx, struct users *u,
                                const struct users_account *who,
                                struct bytes host);

/* Who a session cookie stands for on `host`.  ERR_DENIED, without a story,
 * when it is forged, expired, of another host or of an older password. */
int users_session_check(struct ctx *ctx, struct users *u, struct bytes cookie,
                        struct bytes host, struct users_account *out);

/* A keyed digest of `text` for `purpose`, as 64 hex digits in the arena: what
 * only this server can make (the forms' tokens). */
struct bytes users_mac(struct ctx *ctx, struct users *u, const char *purpose,
                       struct bytes text);

#endif
