/* rest_auth - who may use a pull queue over REST: rest.h says it. */
#include "service/taskqueue/rest_int.h"

#include "service/app_identity/app_identity.h"
#include "service/platform/platform.h"
#include "service/user/user.h"
#include "service/user/users.h"

#define AUTH "https://www.googleapis.com/auth/"

/* Who asks, and what the credentials are good for. */
struct asker {
    struct bytes email;
    bool consumes, inserts;
};

/* ---- the emulator ---- */

static bool is_loopback(struct bytes peer)
{
    return bytes_starts(peer, BYTES_LIT("127.")) ||
           bytes_starts(peer, BYTES_LIT("[::1]")) ||
           bytes_starts(peer, BYTES_LIT("::1")) || bytes_eq_str(peer, "unix");
}

/* Everybody on this machine, and no page of a site that a browser shows. */
static int authorize_emulator(struct ctx *ctx, struct rest_call *c)
{
    if (!is_loopback(c->req->peer) || http_header(c->req, "Origin").n)
        return ctx_err(ctx, ERR_DENIED,
                       "the emulator answers programs on its own machine");
    if (!bytes_eq_str(c->project, ctx->env->project))
        return ctx_err(ctx, ERR_NOT_FOUND,
                       "there is no project \"%.*s\": this emulator is that of "
                       "\"%s\"",
                       BYTES_FMT(c->project), ctx->env->project);
    return 0;
}

/* ---- credentials ---- */

static struct bytes bearer(const struct http_request *req)
{
    struct bytes v = http_header(req, "Authorization");
    static const size_t n = sizeof("Bearer ") - 1;

    if (v.n <= n || !bytes_ieq(BYTES(v.p, n), BYTES_LIT("Bearer ")))
        return BYTES_NONE;
    return bytes_from(v, n);
}

static bool read_token(struct ctx *ctx, struct bytes credential,
                       struct asker *who)
{
    struct app_identity_token t;
    bool all;

    if (app_identity_token_check(ctx, credential, &t) != 0)
        return false;
    all = app_identity_token_has(&t, AUTH "taskqueue") ||
          app_identity_token_has(&t, AUTH "cloud-platform");
    *who = (struct asker){
        .email = t.email,
        .consumes =
            all || app_identity_token_has(&t, AUTH "taskqueue.consumer"),
        .inserts = all,
    };
    return true;
}

/* A session counts on the host it was made for: the project's own. */
static int read_session(struct ctx *ctx, struct bytes credential,
                        const struct platform_app *app, struct asker *who)
{
    struct users_account account;
    int rc = users_session_check(ctx, ctx->env->users, credential,
                                 user_host(ctx->arena, app->host), &account);

    if (rc == 0)
        *who = (struct asker){
            .email = account.email, .consumes = true, .inserts = true};
    return rc;
}

/* ---- the acl ---- */

/* Addresses are the same in any case, as accounts are. */
static bool is_listed(const struct queue_def *def, struct ctx *ctx,
                      struct bytes email, enum rest_right right)
{
    const struct task_rows_Queue *row = task_rows_Queue_decode(ctx, def->row);
    const struct taskqueue_TaskQueueAcl *acl;
    bool consume = right == REST_CONSUME;
    size_t n;

    if (!row || !task_rows_Queue_has_acl(row))
        return false;
    acl = task_rows_Queue_acl(row);
    n = consume ? taskqueue_TaskQueueAcl_n_user_email(acl)
                : taskqueue_TaskQueueAcl_n_writer_email(acl);
    for (size_t i = 0; i < n; i++) {
        struct bytes one = consume
                               ? taskqueue_TaskQueueAcl_user_email(acl, i)
                               : taskqueue_TaskQueueAcl_writer_email(acl, i);

        if (one.n && bytes_ieq(one, email))
            return true;
    }
    return false;
}

/* The queue, when there is one; nothing is made for who may not see it. */
static bool acl_allows(struct ctx *ctx, struct rest_call *c,
                       const struct asker *who, enum rest_right right)
{
    struct taskqueue *tq = ctx->env->taskqueue;
    struct queue *q = queue_get(tq, c->project, c->queue_name);
    const struct queue_def *def = q ? queue_def(ctx, tq, q) : NULL;

    if (!def || def->deleted || !is_listed(def, ctx, who->email, right))
        return false;
    c->q = q;
    c->def = def;
    return true;
}

static int refuse(struct ctx *ctx, const struct rest_call *c,
                  const struct asker *who, enum rest_right right)
{
    return ctx_err(ctx, ERR_DENIED,
                   "%.*s may not %s queue \"%.*s\" of project \"%.*s\": "
                   "queue.yaml names under acl who may (%s)",
                   BYTES_FMT(who->email),
                   right == REST_CONSUME ? "consume" : "insert into",
                   BYTES_FMT(c->queue_name), BYTES_FMT(c->project),
                   right == REST_CONSUME ? "user_email" : "writer_email");
}

int rest_authorize(struct ctx *ctx, struct rest_call *c, enum rest_right right)
{
    struct bytes credential = bearer(c->req);
    struct platform_app *app = NULL;
    struct asker who = {0};
    bool known;
    int rc;

    if (ctx->env->emulator)
        return authorize_emulator(ctx, c);
    if (credential.n == 0)
        return ctx_err(ctx, ERR_UNAUTHENTICATED,
                       "send Authorization: Bearer with an access token of an "
                       "app, or with a session of the project's host");
    rc = platform_app_read(ctx, ctx->env->platform, c->project, &app);
    if (rc && rc != ERR_NOT_FOUND)
        return rc;
    known = read_token(ctx, credential, &who);
    rc = known || !app ? 0 : read_session(ctx, credential, app, &who);
    if (rc && rc != ERR_DENIED)
        return rc;
    if (who.email.n == 0)
        return ctx_err(ctx, ERR_UNAUTHENTICATED,
                       "the bearer token is none of this platform's, or its "
                       "time is over");
    if (right == REST_CONSUME ? !who.consumes : !who.inserts)
        return ctx_err(ctx, ERR_DENIED,
                       "the access token lacks the scope " AUTH "taskqueue%s",
                       right == REST_CONSUME ? ".consumer" : "");
    if (!app || !acl_allows(ctx, c, &who, right))
        return refuse(ctx, c, &who, right);
    return 0;
}
