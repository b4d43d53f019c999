/*
 * user_pages - /_ah/login, /_ah/logout and the front end's check.
 *
 * A forged post (another site that signs a visitor in as someone it chose) is
 * told by the token: the form carries a MAC of a random cookie that only this
 * host can have set and read.
 */
#include "service/user/user.h"

#include "service/user/users.h"

#include <sodium.h>

#define SESSION_COOKIE "appscale_session"
#define FORM_COOKIE    "appscale_form"

enum { NONCE_BYTES = 16, NONCE_CHARS = NONCE_BYTES * 2 };

/* What all the pages ask of a request. */
struct visit {
    const struct http_request *req;
    struct bytes host; /* lower case, no port */
    bool https;
};

static struct visit visit_of(struct ctx *ctx, const struct http_request *req)
{
    return (struct visit){
        .req = req,
        .host = user_host(ctx->arena, http_header(req, "Host")),
        .https =
            bytes_ieq(http_header(req, "X-Forwarded-Proto"),
                      BYTES_LIT("https")) ||
            bytes_ieq(http_header(req, "X-Appengine-Https"), BYTES_LIT("on")),
    };
}

static struct bytes go_on_of(struct ctx *ctx, const struct visit *v,
                             struct bytes url)
{
    return user_continue(ctx->arena, url, v->host, bytes_str(ctx->env->domain));
}

/* Who is signed in; false for nobody. */
static bool signed_in(struct ctx *ctx, const struct visit *v,
                      struct users_account *who, int *rc)
{
    struct bytes cookie = http_cookie(v->req, SESSION_COOKIE);

    *rc = 0;
    if (cookie.n == 0)
        return false;
    *rc = users_session_check(ctx, ctx->env->users, cookie, v->host, who);
    if (*rc == ERR_DENIED)
        *rc = 0;
    else if (*rc == 0)
        return true;
    return false;
}

static void set_cookie(struct ctx *ctx, struct http_response *res,
                       const struct visit *v, const char *name,
                       struct bytes value, const char *attributes)
{
    http_add_header(ctx->arena, res, "Set-Cookie",
                    bytes_str(arena_printf(ctx->arena,
                                           "%s=%.*s; %s; HttpOnly; "
                                           "SameSite=Lax%s",
                                           name, BYTES_FMT(value), attributes,
                                           v->https ? "; Secure" : "")));
}

static void redirect(struct ctx *ctx, struct http_response *res,
                     struct bytes location)
{
    http_text(ctx->arena, res, 302, "text/plain; charset=utf-8", BYTES_NONE);
    http_add_header(ctx->arena, res, "Location", location);
    http_add_header(ctx->arena, res, "Cache-Control", BYTES_LIT("no-store"));
}

/* ---- the form ---- */

static bool is_nonce(struct bytes v)
{
    if (v.n != NONCE_CHARS)
        return false;
    for (size_t i = 0; i < v.n; i++) {
        if (!strchr("0123456789abcdef", bytes_u8(v)[i]))
            return false;
    }
    return true;
}

/* The token of the form, and its cookie unless the browser has one already
 * (another tab may be showing the form). */
static struct bytes make_token(struct ctx *ctx, const struct visit *v,
                               struct http_response *res)
{
    struct bytes nonce = http_cookie(v->req, FORM_COOKIE);

    if (!is_nonce(nonce)) {
        unsigned char raw[NONCE_BYTES];
        char *hex = arena_alloc(ctx->arena, NONCE_CHARS + 1);

        randombytes_buf(raw, sizeof(raw));
        sodium_bin2hex(hex, NONCE_CHARS + 1, raw, sizeof(raw));
        nonce = BYTES(hex, NONCE_CHARS);
        set_cookie(ctx, res, v, FORM_COOKIE, nonce, "Path=/_ah/login");
    }
    return users_mac(ctx, ctx->env->users, "form", nonce);
}

static int show_form(struct ctx *ctx, const struct visit *v, int status,
                     struct user_form *f, struct http_response *res)
{
    static const struct {
        const char *name, *value;
    } headers[] = {
        {"Cache-Control", "no-store"},
        {"Content-Security-Policy",
         "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
         "frame-ancestors 'none'"},
        {"X-Frame-Options", "DENY"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "same-origin"},
    };

    f->token = make_token(ctx, v, res);
    http_text(ctx->arena, res, status, "text/html; charset=utf-8",
              user_form_html(ctx->arena, f));
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        http_add_header(ctx->arena, res, headers[i].name,
                        bytes_str(headers[i].value));
    return 0;
}

static int login_form(struct ctx *ctx, const struct http_request *req,
                      struct http_response *res)
{
    struct visit v = visit_of(ctx, req);
    struct user_form f = {
        .go_on =
            go_on_of(ctx, &v, http_param(ctx->arena, req->query, "continue")),
    };
    struct users_account who;
    int rc;

    if (signed_in(ctx, &v, &who, &rc))
        f.signed_in = who.email;
    return rc ? rc : show_form(ctx, &v, 200, &f, res);
}

/* ---- the post ---- */

/* The form was ours: its token fits the cookie, and the page was this host's
 * if the browser says where it came from. */
static bool is_our_form(struct ctx *ctx, const struct visit *v)
{
    struct bytes nonce = http_cookie(v->req, FORM_COOKIE);
    struct bytes token = http_param(ctx->arena, v->req->body, "token");
    struct bytes origin = http_header(v->req, "Origin");
    struct bytes want;

    if (!is_nonce(nonce))
        return false;
    if (origin.n && !bytes_eq_str(origin, "null")) {
        const char *at = memmem(origin.p, origin.n, "://", 3);
        size_t skip = at ? (size_t)(at + 3 - (const char *)origin.p) : 0;

        if (!bytes_eq(user_host(ctx->arena, bytes_from(origin, skip)), v->host))
            return false;
    }
    want = users_mac(ctx, ctx->env->users, "form", nonce);
    return token.n == want.n && sodium_memcmp(token.p, want.p, want.n) == 0;
}

/* Whom failures are counted against. */
static struct bytes address_of(struct ctx *ctx, const struct http_request *req)
{
    struct bytes address = http_header(req, "X-Appengine-User-Ip");

    return address.n ? address : user_host(ctx->arena, req->peer);
}

static int enter(struct ctx *ctx, const struct visit *v,
                 const struct users_account *who, const struct user_form *f,
                 struct http_response *res)
{
    const char *attributes =
        arena_printf(ctx->arena, "Path=/; Max-Age=%d", USERS_SESSION_SECONDS);

    set_cookie(ctx, res, v, SESSION_COOKIE,
               users_session_make(ctx, ctx->env->users, who, v->host),
               attributes);
    set_cookie(ctx, res, v, FORM_COOKIE, BYTES_NONE,
               "Path=/_ah/login; Max-Age=0");
    redirect(ctx, res, f->go_on);
    return 0;
}

static int login_post(struct ctx *ctx, const struct http_request *req,
                      struct http_response *res)
{
    struct visit v = visit_of(ctx, req);
    struct user_form f = {
        .email = http_param(ctx->arena, req->body, "email"),
        .go_on =
            go_on_of(ctx, &v, http_param(ctx->arena, req->body, "continue")),
    };
    struct users_account who;
    int rc;

    if (!is_our_form(ctx, &v)) {
        f.problem = BYTES_LIT("This page had been open for too long, or your "
                              "browser keeps no cookies. Please try again.");
        return show_form(ctx, &v, 403, &f, res);
    }
    rc = users_check(ctx, ctx->env->users, f.email,
                     http_param(ctx->arena, req->body, "password"),
                     address_of(ctx, req), &who);
    switch (rc) {
    case 0:
        return enter(ctx, &v, &who, &f, res);
    case ERR_DENIED:
        f.problem = BYTES_LIT("E-mail and password do not belong together.");
        return show_form(ctx, &v, 403, &f, res);
    case ERR_EXHAUSTED:
        f.problem = bytes_str(
            arena_printf(ctx->arena, "There were %s.", ctx->err.message));
        return show_form(ctx, &v, 429, &f, res);
    default:
        return rc;
    }
}

/* ---- out, and who ---- */

static int logout(struct ctx *ctx, const struct http_request *req,
                  struct http_response *res)
{
    struct visit v = visit_of(ctx, req);

    set_cookie(ctx, res, &v, SESSION_COOKIE, BYTES_NONE, "Path=/; Max-Age=0");
    redirect(ctx, res,
             go_on_of(ctx, &v, http_param(ctx->arena, req->query, "continue")));
    return 0;
}

/* What comes before the '@' when the domain is the SDKs' default one. */
static struct bytes nickname(struct bytes email)
{
    static const struct bytes domain = {"@gmail.com", 10};

    if (email.n > domain.n &&
        bytes_eq(bytes_from(email, email.n - domain.n), domain))
        return BYTES(email.p, email.n - domain.n);
    return email;
}

/* Where a visitor signs in and comes back from, for the front end. */
static struct bytes login_url(struct ctx *ctx, const struct visit *v)
{
    struct arena *a = ctx->arena;
    const char *here =
        arena_printf(a, "http%s://%.*s%.*s", v->https ? "s" : "",
                     BYTES_FMT(http_header(v->req, "Host")),
                     BYTES_FMT(http_header(v->req, "X-Original-Uri")));
    struct bytes quoted = http_escape(a, bytes_str(here));

    return bytes_str(
        arena_printf(a, "/_ah/login?continue=%.*s", BYTES_FMT(quoted)));
}

/* What `login:` of a handler asks for: nginx turns 401 into a visit to the
 * sign-in page and 403 into a refusal. */
static int auth_status(const struct users_account *who, struct bytes wanted)
{
    bool admin = bytes_eq_str(wanted, "admin");

    if (who->email.n == 0)
        return admin || bytes_eq_str(wanted, "required") ? 401 : 200;
    return admin && !who->admin ? 403 : 200;
}

static int auth(struct ctx *ctx, const struct http_request *req,
                struct http_response *res)
{
    struct visit v = visit_of(ctx, req);
    struct users_account who = {0};
    struct arena *a = ctx->arena;
    int rc;

    if (!signed_in(ctx, &v, &who, &rc))
        who = (struct users_account){0};
    if (rc)
        return rc;
    http_text(a, res, auth_status(&who, http_param(a, req->query, "login")),
              "text/plain; charset=utf-8", BYTES_NONE);
    http_add_header(a, res, "X-Appengine-User-Email", who.email);
    http_add_header(a, res, "X-Appengine-User-Id", who.user_id);
    http_add_header(a, res, "X-Appengine-User-Nickname", nickname(who.email));
    http_add_header(a, res, "X-Appengine-User-Is-Admin",
                    who.admin ? BYTES_LIT("1") : BYTES_LIT("0"));
    http_add_header(a, res, "X-Appengine-Auth-Domain", BYTES_LIT("gmail.com"));
    http_add_header(a, res, "Cache-Control", BYTES_LIT("no-store"));
    if (res->status == 401)
        http_add_header(a, res, "X-Appscale-Login-Url", login_url(ctx, &v));
    return 0;
}

const struct http_route user_routes[] = {
    {"GET", "/_ah/login", login_form},
    {"POST", "/_ah/login", login_post},
    {"GET", "/_ah/logout", logout},
    {"GET", "/_appscale/auth", auth},
    {0},
};
