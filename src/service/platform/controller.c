/* controller - PATCH, then GET the operation until it is done. */
#include "service/platform/controller.h"

#include "net/http_call.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

/* How long between two looks at an operation: the first are soon, since most
 * changes are done at once. */
enum { LOOK_FIRST_MS = 10, LOOK_LAST_MS = 500 };

static _Atomic int under_way;

static void decref(void *json)
{
    json_decref(json);
}

/* The sentence of {"error":{"message"}}, or what else there is to say. */
static const char *message_of(const json_t *answer)
{
    const char *text = json_string_value(
        json_object_get(json_object_get(answer, "error"), "message"));

    return text ? text : "the controller gave no reason";
}

static int code_of(int http)
{
    switch (http) {
    case 404:
        return ERR_NOT_FOUND;
    case 400:
        return ERR_INVALID;
    default:
        return ERR_UNAVAILABLE;
    }
}

/* One request; the answer goes back with the arena. */
static int ask(struct ctx *ctx, const struct http_client_request *req,
               json_t **out)
{
    struct http_call_answer answer = {0};
    json_error_t why;
    int rc = http_call(ctx, req, &answer);

    if (rc)
        return rc;
    *out = json_loadb(answer.body.p, answer.body.n, 0, &why);
    if (*out)
        arena_on_reset(ctx->arena, decref, *out);
    if (answer.status != 200)
        return ctx_err(ctx, code_of(answer.status), "%s", message_of(*out));
    if (json_is_object(*out))
        return 0;
    return ctx_err(ctx, ERR_UNAVAILABLE,
                   "the controller's answer is no JSON object");
}

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000,
                                 .tv_nsec = (ms % 1000) * 1000000L},
              NULL);
}

static int follow(struct ctx *ctx, json_t *op)
{
    const char *name = json_string_value(json_object_get(op, "name"));
    const struct http_client_request req = {
        .url = arena_printf(ctx->arena, "http://controller/v1/%s",
                            name ? name : ""),
        .unix_path = ctx->env->controller,
    };
    int rc = 0;

    for (int ms = LOOK_FIRST_MS;
         rc == 0 && !json_is_true(json_object_get(op, "done"));
         ms = ms * 2 < LOOK_LAST_MS ? ms * 2 : LOOK_LAST_MS) {
        if (ctx_left(ctx) < ms * CLOCK_MS)
            return ERR_DEADLINE;
        pause_ms(ms);
        rc = ask(ctx, &req, &op);
    }
    if (rc == 0 && json_object_get(op, "error"))
        rc = ctx_err(ctx, ERR_UNAVAILABLE, "%s", message_of(op));
    return rc;
}

static struct bytes body_text(struct ctx *ctx, json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT);
    struct bytes own = bytes_str(arena_strdup(ctx->arena, text));

    free(text);
    return own;
}

static int change(struct ctx *ctx, const struct controller_change *c)
{
    struct arena *a = ctx->arena;
    const struct http_client_request req = {
        .method = "PATCH",
        .url = arena_printf(a,
                            "http://controller/v1/apps/%.*s/services/%.*s/"
                            "versions/%.*s?updateMask=%s",
                            BYTES_FMT(http_escape(a, ctx->app)),
                            BYTES_FMT(http_escape(a, c->service)),
                            BYTES_FMT(http_escape(a, c->version)), c->mask),
        .unix_path = ctx->env->controller,
        .body = body_text(ctx, c->body),
    };
    json_t *op;
    int rc = ask(ctx, &req, &op);

    if (rc == 0 && !c->begin_only)
        rc = follow(ctx, op);
    return rc;
}

int controller_change(struct ctx *ctx, const struct controller_change *c)
{
    int rc;

    if (!ctx->env->controller)
        rc = ctx_err(ctx, ERR_UNIMPLEMENTED,
                     "instances are changed by a platform's controller, and "
                     "this server has none");
    else if (atomic_fetch_add(&under_way, 1) >= CONTROLLER_CALLS_MAX)
        rc = ctx_err(ctx, ERR_EXHAUSTED,
                     "%d changes of instances are under way already; try "
                     "again later",
                     CONTROLLER_CALLS_MAX);
    else
        rc = change(ctx, c);
    if (ctx->env->controller)
        atomic_fetch_sub(&under_way, 1);
    json_decref(c->body);
    return rc;
}
