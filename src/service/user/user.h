/*
 * user - signing in and out: the pages, the check the front end makes of every
 * request, and the RPC service "user".
 *
 * Pages, on every host of the platform (the front end sends /_ah/login and
 * /_ah/logout here, with the browser's own Host):
 *
 *   GET  /_ah/login?continue=URL   the form
 *   POST /_ah/login                checks it, sets the cookie, goes on to URL
 *   GET  /_ah/logout?continue=URL  takes the cookie away, goes on to URL
 *   GET  /_appscale/auth[?login=required|admin]   for nginx's auth_request:
 *        200, or 401 when it is wanted and nobody is signed in, or 403 when who
 *        is signed in is no admin; with
 *        X-Appengine-User-Email, -User-Id, -User-Nickname, -User-Is-Admin
 *        (0 or 1) and -Auth-Domain; the first three empty when signed out;
 *        with a 401 X-Appscale-Login-Url, the way to sign in and come back to
 *        X-Original-Uri
 *
 * What the front end must pass: Host as the browser sent it (sessions belong
 * to a host), Cookie, X-Appengine-User-Ip (whom to count failures against) and
 * X-Forwarded-Proto (https makes the cookie Secure).
 *
 * An API call does not say under which host its app is visited, so the login
 * and logout addresses are relative ("/_ah/login?continue=..."), as those of
 * Google's development server are: right on every host, behind every proxy.
 *
 * Thread rule: handlers run on any thread.
 */
#ifndef SERVICE_USER_USER_H
#define SERVICE_USER_USER_H

#include "net/http.h"
#include "service/env.h"
#include "user.pb.h"

/* Rows of rpc_routes; ends with a row without a path. */
extern const struct http_route user_routes[];

extern const struct rpc_err_map user_errors[];

/* A destination is at most as long as browsers and proxies take. */
enum { USER_URL_MAX = 2048 };

/*
 * The address of the form, which goes on to the destination afterwards;
 * ERR_INVALID for a destination over USER_URL_MAX bytes.  RPC_INLINE: it
 * touches memory only.
 */
int user_create_login_url(struct ctx *ctx,
                          const struct user_CreateLoginURLRequest *in,
                          struct user_CreateLoginURLResponse *out);

/* The same for signing out. */
int user_create_logout_url(struct ctx *ctx,
                           const struct user_CreateLogoutURLRequest *in,
                           struct user_CreateLogoutURLResponse *out);

/*
 * Always OAUTH_INVALID_REQUEST, as Google answers a request without a token:
 * the platform hands out none, so none is ever valid.
 */
int user_get_oauth_user(struct ctx *ctx,
                        const struct user_GetOAuthUserRequest *in,
                        struct user_GetOAuthUserResponse *out);

/* The same, for the same reason. */
int user_check_oauth_signature(struct ctx *ctx,
                               const struct user_CheckOAuthSignatureRequest *in,
                               struct user_CheckOAuthSignatureResponse *out);

/* ---- for the pages' own files and their tests ---- */

/* "Example.com:8080" as "example.com"; in the arena. */
struct bytes user_host(struct arena *a, struct bytes host);

/*
 * Where to go after signing in or out: `url` if it is a path of this host, or
 * http(s) to `own` (a host as user_host() makes it) or to `domain` and what is
 * below it; else "/".  What comes back is safe in a Location header.
 */
struct bytes user_continue(struct arena *a, struct bytes url, struct bytes own,
                           struct bytes domain);

/* What the form shows; each may be empty. */
struct user_form {
    struct bytes email;
    struct bytes go_on;     /* where to go on to */
    struct bytes token;     /* against forged posts */
    struct bytes signed_in; /* address of who is signed in already */
    struct bytes problem;   /* a sentence */
};

/* The page, as HTML in the arena. */
struct bytes user_form_html(struct arena *a, const struct user_form *f);

#endif
