/* metadata - who asks, for what, in which form. */
#include "service/metadata/metadata_int.h"

#include "base/secret.h"
#include "service/app_identity/app_identity.h"
#include "service/system/system.h"

#include <sodium.h>
#include <stdlib.h>

/* Who waits for a change that never comes waits no longer than this. */
enum { WAIT_MAX_SECONDS = 50 };

#define ROOT "/computeMetadata"

static bool is_true(struct bytes v)
{
    return bytes_ieq(v, BYTES_LIT("true"));
}

static int text(struct ctx *ctx, struct http_response *res, int status,
                const char *why)
{
    http_text(ctx->arena, res, status, "text/plain; charset=utf-8",
              bytes_str(why));
    return 0;
}

/* ---- answers ---- */

/* What it is a version of: the same text, the same tag. */
static struct bytes etag_of(struct ctx *ctx, struct bytes body)
{
    unsigned char sum[16];
    char *hex = arena_alloc(ctx->arena, 17);

    crypto_generichash(sum, sizeof(sum), body.p, body.n, NULL, 0);
    return bytes_str(sodium_bin2hex(hex, 17, sum, 8));
}

static void wait_for_change(struct ctx *ctx, const struct http_request *req,
                            struct bytes etag)
{
    struct bytes last = http_param(ctx->arena, req->query, "last_etag");
    struct bytes most = http_param(ctx->arena, req->query, "timeout_sec");
    long seconds =
        most.n ? atol(arena_cstr(ctx->arena, most)) : WAIT_MAX_SECONDS;

    if (!is_true(http_param(ctx->arena, req->query, "wait_for_change")) ||
        (last.n && !bytes_eq(last, etag)))
        return;
    if (seconds > WAIT_MAX_SECONDS)
        seconds = WAIT_MAX_SECONDS;
    if (seconds > 0)
        system_pause(ctx->env->system, seconds * CLOCK_SEC);
}

static int answer(struct ctx *ctx, const struct metadata_ask *ask,
                  struct http_response *res, const char *type,
                  struct bytes body)
{
    struct bytes etag = etag_of(ctx, body);

    wait_for_change(ctx, ask->req, etag);
    http_text(ctx->arena, res, 200, type, body);
    http_add_header(ctx->arena, res, "ETag", etag);
    return 0;
}

/* ---- tokens ---- */

static int access_token(struct ctx *ctx, const struct metadata_ask *ask,
                        const json_t *account, struct http_response *res)
{
    struct bytes scopes = http_param(ctx->arena, ask->req->query, "scopes");
    struct buf all = BUF_IN(ctx->arena);
    struct bytes token;
    const json_t *one;
    int64_t end;
    size_t i;
    int rc;

    json_array_foreach(json_object_get(account, "scopes"), i, one)
        buf_printf(&all, "%s%s", i ? "," : "", json_string_value(one));
    rc = app_identity_token_make(ctx, scopes.n ? scopes : buf_view(&all),
                                 &token, &end);
    if (rc)
        return rc;
    http_text(
        ctx->arena, res, 200, "application/json",
        bytes_str(arena_printf(ctx->arena,
                               "{\"access_token\":\"%.*s\",\"expires_in\":%d,"
                               "\"token_type\":\"Bearer\"}",
                               BYTES_FMT(token), APP_IDENTITY_TOKEN_SECONDS)));
    return 0;
}

static int identity_token(struct ctx *ctx, const struct metadata_ask *ask,
                          const json_t *account, struct http_response *res)
{
    struct bytes token;
    int rc = app_identity_id_token(
        ctx, http_param(ctx->arena, ask->req->query, "audience"), &token);

    (void)account;
    if (rc == 0)
        http_text(ctx->arena, res, 200, "text/html", token);
    return rc;
}

/* What an account has besides its values. */
static const struct {
    const char *name;
    int (*make)(struct ctx *ctx, const struct metadata_ask *ask,
                const json_t *account, struct http_response *res);
} tokens[] = {
    {"token", access_token},
    {"identity", identity_token},
};

/* ---- finding ---- */

/* The next name of a path; slashes before it are passed over. */
static struct bytes next_name(struct ctx *ctx, struct bytes *path)
{
    const char *p = path->p, *end = p + path->n, *from;

    while (p < end && *p == '/')
        p++;
    for (from = p; p < end && *p != '/';)
        p++;
    *path = BYTES(p, (size_t)(end - p));
    return http_unescape(ctx->arena, BYTES(from, (size_t)(p - from)), false);
}

static int show(struct ctx *ctx, const struct metadata_ask *ask,
                const json_t *at, struct http_response *res)
{
    struct bytes query = ask->req->query;
    struct bytes alt = http_param(ctx->arena, query, "alt");
    bool recursive = is_true(http_param(ctx->arena, query, "recursive"));
    bool json = bytes_eq_str(alt, "json");

    if (alt.n && !json && !bytes_eq_str(alt, "text"))
        return text(ctx, res, 400, "alt is json or text\n");
    if (json ||
        (recursive && !alt.n && !json_is_string(at) && !json_is_integer(at)))
        return answer(ctx, ask, res, "application/json",
                      metadata_json(ctx, at));
    return answer(ctx, ask, res, "application/text",
                  json_is_object(at) && !recursive ? metadata_listing(ctx, at)
                                                   : metadata_text(ctx, at));
}

static int find(struct ctx *ctx, const struct metadata_ask *ask,
                struct bytes path, struct http_response *res)
{
    const json_t *at = metadata_tree(ctx, &ask->who);

    for (;;) {
        struct bytes name = next_name(ctx, &path);
        const json_t *below = json_object_getn(at, name.p, name.n);

        if (name.n == 0)
            return show(ctx, ask, at, res);
        for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++)
            if (json_object_get(at, "aliases") &&
                bytes_eq_str(name, tokens[i].name) && path.n == 0)
                return tokens[i].make(ctx, ask, at, res);
        if (!below)
            return text(ctx, res, 404, "there is no such metadata\n");
        at = below;
    }
}

/* ---- who may ---- */

static int check(struct ctx *ctx, const struct http_request *req,
                 struct http_response *res)
{
    bool flavor =
        bytes_ieq(http_header(req, "Metadata-Flavor"), BYTES_LIT("Google")) ||
        is_true(http_header(req, "X-Google-Metadata-Request"));

    if (http_header(req, "X-Forwarded-For").p)
        return text(ctx, res, 403,
                    "the metadata server is not asked through a proxy\n");
    if (!flavor)
        return text(ctx, res, 403,
                    "missing required header: Metadata-Flavor: Google\n");
    return 0;
}

static int serve(struct ctx *ctx, struct metadata_ask *ask,
                 struct http_response *res)
{
    struct bytes root = BYTES_LIT(ROOT), rest = ask->path;
    int rc = check(ctx, ask->req, res);

    ctx->app = ask->who.app;
    if (rc == 0 && res->status == 0) {
        if (bytes_starts(rest, root))
            rc = find(ctx, ask, bytes_from(rest, root.n), res);
        else if (rest.n <= 1) /* a library looks whether we are there */
            rc = answer(ctx, ask, res, "application/text",
                        BYTES_LIT("computeMetadata/\n"));
        else
            rc = text(ctx, res, 404, "there is no such metadata\n");
    }
    if (rc == 0) {
        http_add_header(ctx->arena, res, "Metadata-Flavor",
                        BYTES_LIT("Google"));
        http_add_header(ctx->arena, res, "Server",
                        BYTES_LIT("Metadata Server for AppScale"));
    }
    return rc;
}

static int of_version(struct ctx *ctx, const struct http_request *req,
                      struct http_response *res)
{
    struct bytes rest = bytes_from(req->path, strlen(SECRET_METADATA_PATH));
    const char *slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
    size_t n = slash ? (size_t)(slash - (const char *)rest.p) : rest.n;
    struct metadata_ask ask = {.req = req, .path = bytes_from(rest, n)};

    if (platform_metadata(ctx, ctx->env->platform, BYTES(rest.p, n),
                          &ask.who) != 0)
        return text(ctx, res, 403, "no version has this address\n");
    return serve(ctx, &ask, res);
}

static int of_emulator(struct ctx *ctx, const struct http_request *req,
                       struct http_response *res)
{
    struct metadata_ask ask = {
        .req = req,
        .who = {.app = bytes_str(ctx->env->project ? ctx->env->project : ""),
                .service = BYTES_LIT("default"),
                .version = BYTES_LIT("emulator")},
        .path = req->path,
    };

    if (!ctx->env->emulator)
        return ERR_NOT_FOUND;
    return serve(ctx, &ask, res);
}

const struct http_route metadata_routes[] = {
    {"GET", SECRET_METADATA_PATH "*", of_version},
    {"GET", ROOT "/*", of_emulator},
    {"GET", ROOT, of_emulator},
    {"GET", "/", of_emulator},
    {0},
};
