/*
 * platform - opening, and the tickets: stored first, then published.
 */
#include "service/platform/platform_int.h"

#include "base/locks.h"
#include "base/secret.h"
#include "service/tables.h"

#include <sodium.h>
#include <stdlib.h>

const struct rpc_err_map platform_errors[] = {
#define ERR(name, number, sentence, http, retryable) {ERR_##name, -(number)},
#include "base/err_codes.h"
#undef ERR
    {0, 0},
};

/* What the house allows: a token is 256 random bits in practice, a name is
 * bounded by App Engine's 100 characters for projects and 63 for the rest. */
enum {
    TOKEN_MIN = 16,
    TOKEN_MAX = 256,
    NAME_MAX_LEN = 128,
    TICKETS_MAX = 100000,
};

static struct storage_key tickets_key(struct ctx *ctx)
{
    return tables_server_key(ctx->arena, "tickets", BYTES_LIT("all"));
}

static int check_ticket(struct ctx *ctx, const struct ticket *t)
{
    if (t->token.n < TOKEN_MIN || t->token.n > TOKEN_MAX ||
        memchr(t->token.p, '.', t->token.n))
        return ctx_err(ctx, ERR_INVALID,
                       "a ticket's token has %d to %d bytes and no '.'",
                       TOKEN_MIN, TOKEN_MAX);
    if (t->app.n == 0 || t->app.n > NAME_MAX_LEN ||
        t->service.n > NAME_MAX_LEN || t->version.n > NAME_MAX_LEN)
        return ctx_err(ctx, ERR_INVALID,
                       "a ticket names an app, a service and a version of at "
                       "most %d bytes",
                       NAME_MAX_LEN);
    return 0;
}

/* The rows of a request, checked, as views of it. */
static int collect(struct ctx *ctx, const struct platform_SetTicketsRequest *in,
                   struct ticket **out, size_t *n)
{
    struct ticket *rows;
    int rc = 0;

    *n = platform_SetTicketsRequest_n_ticket(in);
    if (*n > TICKETS_MAX)
        return ctx_err(ctx, ERR_TOO_LARGE, "%zu tickets, at most %d", *n,
                       TICKETS_MAX);
    rows = ARENA_ARRAY(ctx->arena, struct ticket, *n + 1);
    for (size_t i = 0; rc == 0 && i < *n; i++) {
        const struct platform_Ticket *t =
            platform_SetTicketsRequest_ticket(in, i);

        rows[i] = (struct ticket){
            .token = platform_Ticket_token(t),
            .app = platform_Ticket_app(t),
            .service = platform_Ticket_service(t),
            .version = platform_Ticket_version(t),
        };
        rc = check_ticket(ctx, &rows[i]);
    }
    *out = rows;
    return rc;
}

/* Both tables, under the lock or before anybody else has the platform. */
static bool publish(struct ctx *ctx, struct platform *p,
                    const struct ticket *rows, size_t n)
{
    struct ticket *derived = ARENA_ARRAY(ctx->arena, struct ticket, n + 1);

    for (size_t i = 0; i < n; i++) {
        derived[i] = rows[i];
        derived[i].token = bytes_str(
            secret_derive(ctx->arena, rows[i].token, SECRET_METADATA));
    }
    return tickets_publish(&p->tickets, rows, n) &&
           tickets_publish(&p->metadata, derived, n);
}

static int load_tickets(struct ctx *ctx, struct platform *p)
{
    const struct platform_SetTicketsRequest *all;
    struct ticket *rows;
    struct bytes stored;
    size_t n;
    int rc;

    rc = storage_get1(ctx, p->storage, tickets_key(ctx), &stored);
    if (rc == ERR_NOT_FOUND)
        return 0;
    if (rc)
        return rc;
    all = platform_SetTicketsRequest_decode(ctx, stored);
    if (!all || collect(ctx, all, &rows, &n) != 0 ||
        !publish(ctx, p, rows, n)) {
        ctx_err_clear(ctx);
        return ctx_err(ctx, ERR_CORRUPT, "the stored tickets do not read back");
    }
    return 0;
}

int platform_open(struct ctx *ctx, struct storage *st, struct bytes own_token,
                  struct platform **out)
{
    struct platform *p;
    int rc;

    if (own_token.n && (own_token.n < TOKEN_MIN || own_token.n > TOKEN_MAX))
        return ctx_err(ctx, ERR_INVALID,
                       "the platform's token has %d to %d bytes", TOKEN_MIN,
                       TOKEN_MAX);
    if (sodium_init() < 0)
        return ctx_err(ctx, ERR_INTERNAL, "libsodium does not start");
    p = calloc(1, sizeof(*p));
    if (!p)
        return ctx_err(ctx, ERR_INTERNAL, "out of memory");
    p->storage = st;
    lock_init(&p->lock, LOCK_RPC_TICKETS);
    p->own_token = arena_dup(&p->arena, own_token);
    rc = load_tickets(ctx, p);
    if (rc) {
        platform_close(p);
        return rc;
    }
    *out = p;
    return 0;
}

void platform_close(struct platform *p)
{
    if (!p)
        return;
    tickets_release(&p->tickets);
    tickets_release(&p->metadata);
    lock_release(&p->lock);
    arena_release(&p->arena);
    free(p);
}

static int find(struct ctx *ctx, struct tickets *all, struct bytes token,
                struct platform_caller *out)
{
    struct ticket t;

    *out = (struct platform_caller){0};
    if (!tickets_find(all, ctx->arena, token, &t))
        return ERR_NOT_FOUND;
    out->app = t.app;
    out->service = t.service;
    out->version = t.version;
    return 0;
}

int platform_metadata(struct ctx *ctx, struct platform *p, struct bytes secret,
                      struct platform_caller *out)
{
    return find(ctx, &p->metadata, secret, out);
}

int platform_ticket(struct ctx *ctx, struct platform *p, struct bytes token,
                    struct platform_caller *out)
{
    if (token.n && token.n == p->own_token.n &&
        sodium_memcmp(token.p, p->own_token.p, token.n) == 0) {
        *out = (struct platform_caller){.platform = true};
        return 0;
    }
    return find(ctx, &p->tickets, token, out);
}

/* Stored and published under one lock, so that the table in memory is always
 * the one a restart would load. */
static int replace_tickets(struct ctx *ctx, struct platform *p,
                           struct bytes stored, const struct ticket *rows,
                           size_t n)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    int rc;

    storage_batch_put(&b, tickets_key(ctx), stored);
    lock_take(&p->lock);
    rc = storage_commit(ctx, p->storage, &b, NULL);
    if (rc == 0 && !publish(ctx, p, rows, n))
        rc = ctx_err(ctx, ERR_INTERNAL, "out of memory for the tickets");
    lock_drop(&p->lock);
    return rc;
}

static int compare_tokens(const void *a, const void *b)
{
    const struct ticket *x = a, *y = b;

    return bytes_cmp(x->token, y->token);
}

int platform_set_tickets(struct ctx *ctx,
                         const struct platform_SetTicketsRequest *in,
                         struct platform_Void *out)
{
    struct ticket *rows;
    struct bytes stored;
    size_t n;
    int rc;

    (void)out;
    rc = collect(ctx, in, &rows, &n);
    if (rc)
        return rc;
    qsort(rows, n, sizeof(*rows), compare_tokens);
    for (size_t i = 1; i < n; i++) {
        if (bytes_eq(rows[i - 1].token, rows[i].token))
            return ctx_err(ctx, ERR_INVALID, "a token is given twice");
    }
    rc = platform_SetTicketsRequest_encode(ctx, in, &stored);
    if (rc)
        return rc;
    return replace_tickets(ctx, ctx->env->platform, stored, rows, n);
}
