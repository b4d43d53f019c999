/*
 * A call, step by step.  rpc_handle() runs on the loop that read the request
 * and does the steps in order; a call that has to wait goes to a worker in
 * front of rpc_run().
 */
#include "rpc/rpc_int.h"

#include "base/log.h"
#include "service/platform/platform.h"
#include "wire/pb.h"
#include "wire/wire.h"

#include <math.h>
#include <stdlib.h>

/* Seconds, as the SDKs have it when the header is missing (contract 1.6). */
enum { DEADLINE_DEFAULT = 60, DEADLINE_MAX = 600 };

/* A call that took longer is worth a line. */
static const int64_t slow_after = CLOCK_SEC;

/* ---- step 1: the envelope (contract 1.2) ---- */

enum {
    ENVELOPE_SERVICE = 2,
    ENVELOPE_METHOD = 3,
    ENVELOPE_REQUEST = 4,
    ENVELOPE_TICKET = 5,
};

static struct bytes *envelope_field(struct rpc_call *call, uint32_t field)
{
    switch (field) {
    case ENVELOPE_SERVICE:
        return &call->service;
    case ENVELOPE_METHOD:
        return &call->method;
    case ENVELOPE_REQUEST:
        return &call->request;
    case ENVELOPE_TICKET:
        return &call->ticket;
    default:
        return NULL;
    }
}

static int rpc_decode(struct rpc_call *call)
{
    struct pb_reader r = PB_READER(call->x->req.body);
    unsigned seen = 0;
    enum {
        REQUIRED =
            1 << ENVELOPE_SERVICE | 1 << ENVELOPE_METHOD | 1 << ENVELOPE_REQUEST
    };

    while (pb_next(&r)) {
        struct bytes *field = envelope_field(call, r.field);

        if (!field || r.kind != PB_BYTES)
            continue;
        *field = r.bytes;
        seen |= 1u << r.field;
    }
    call->as = RPC_PARSE_ERROR;
    if (r.bad)
        return ctx_err(&call->ctx, ERR_INVALID,
                       "the body is not a remote_api.Request");
    if ((seen & REQUIRED) != REQUIRED)
        return ctx_err(&call->ctx, ERR_INVALID,
                       "the remote_api.Request lacks a service_name, method or "
                       "request");
    call->as = 0;
    return 0;
}

/* ---- step 2: the method ---- */

static int rpc_find(struct rpc_call *call)
{
    call->entry =
        rpc_table_find(&call->rpc->table, call->service, call->method);
    if (!call->entry)
        return ctx_err(&call->ctx, ERR_UNIMPLEMENTED, "%.*s.%.*s",
                       BYTES_FMT(call->service), BYTES_FMT(call->method));
    return 0;
}

/* ---- step 3: the ticket, TOKEN.REQUEST_ID ---- */

/* "s~id", "dev~id" and "e~id" are spellings of "id". */
static struct bytes bare_app(struct bytes app)
{
    const uint8_t *p = app.n ? memchr(app.p, '~', app.n) : NULL;

    return p ? bytes_from(app, (size_t)(p - bytes_u8(app)) + 1) : app;
}

static struct bytes split_ticket(struct rpc_call *call)
{
    struct bytes token = call->ticket;
    const uint8_t *dot = token.n ? memchr(token.p, '.', token.n) : NULL;

    if (!dot)
        return token;
    token.n = (size_t)(dot - bytes_u8(token));
    call->ctx.request_id = bytes_from(call->ticket, token.n + 1);
    return token;
}

static int deny(struct rpc_call *call)
{
    return ctx_err(
        &call->ctx, ERR_UNAUTHENTICATED,
        call->ticket.n
            ? "the security ticket is not valid: its version may have been "
              "undeployed, or this call does not come from a request that the "
              "platform sent"
            : "no security ticket: API calls are made while serving a request "
              "that carries X-Appengine-Api-Ticket");
}

static int rpc_authenticate(struct rpc_call *call)
{
    const struct rpc_options *o = &call->rpc->o;
    unsigned flags = call->entry->method->flags;
    struct platform_caller caller = {0};
    struct bytes token = split_ticket(call);
    int rc = ERR_NOT_FOUND;

    if (flags & RPC_NO_TICKET)
        return 0;
    if (o->env->platform && token.n)
        rc = platform_ticket(&call->ctx, o->env->platform, token, &caller);
    if (rc != 0 && rc != ERR_NOT_FOUND)
        return rc;
    if (flags & RPC_PLATFORM)
        return caller.platform ? 0 : deny(call);
    if ((flags & RPC_FOR_APP) && caller.platform)
        return 0;
    if (o->env->emulator)
        caller = (struct platform_caller){.app = bytes_str(o->project)};
    call->ctx.app = bare_app(caller.app);
    call->ctx.service = caller.service;
    call->ctx.version = caller.version;
    return caller.app.n ? 0 : deny(call);
}

/* ---- step 4: the limits ---- */

/* "60", "2.499976028", "10.0": seconds in plain decimals. */
static bool parse_seconds(struct bytes v, double *out)
{
    char text[32], *end;

    if (v.n == 0 || v.n >= sizeof(text))
        return false;
    memcpy(text, v.p, v.n);
    text[v.n] = '\0';
    *out = strtod(text, &end);
    return *end == '\0' && isfinite(*out) && *out >= 0;
}

static int64_t deadline_of(const struct http_exchange *x)
{
    double seconds;

    if (!parse_seconds(http_header(&x->req, "X-Google-RPC-Service-Deadline"),
                       &seconds))
        seconds = DEADLINE_DEFAULT;
    if (seconds > DEADLINE_MAX)
        seconds = DEADLINE_MAX;
    return x->started + (int64_t)(seconds * (double)CLOCK_SEC);
}

static int rpc_limit(struct rpc_call *call)
{
    const struct rpc_service *s = call->entry->service;
    size_t max = s->request_max ? s->request_max : RPC_REQUEST_MAX;

    call->ctx.deadline = deadline_of(call->x);
    if (call->request.n > max)
        return ctx_err(&call->ctx, ERR_TOO_LARGE,
                       "The request to API call %s.%s() was too large.",
                       s->name, call->entry->method->method);
    return 0;
}

/* ---- step 5: run ---- */

static int run_typed(struct rpc_call *call, const struct rpc_method *m)
{
    const void *in = wire_decode(&call->ctx, m->in, call->request);
    void *out;
    int rc;

    if (!in) {
        call->as = RPC_PARSE_ERROR;
        return ERR_INVALID;
    }
    out = wire_new(&call->ctx, m->out);
    rc = m->typed(&call->ctx, in, out);
    if (rc < 0)
        return rc;
    return wire_encode(&call->ctx, m->out, out, &call->encoded);
}

static int rpc_run(struct rpc_call *call)
{
    const struct rpc_method *m = call->entry->method;
    int rc;

    if (clock_mono() >= call->ctx.deadline)
        return ERR_DEADLINE;
    call->ran = true;
    if (m->typed)
        return run_typed(call, m);
    call->out = (struct buf)BUF_IN(&call->x->arena);
    rc = m->raw(&call->ctx, call->request, &call->out);
    call->encoded = buf_view(&call->out);
    return rc;
}

/* ---- step 6: log ---- */

static bool is_ours(int rc)
{
    return rc == ERR_INTERNAL || rc == ERR_IO || rc == ERR_CORRUPT ||
           rc == ERR_NO_SPACE || rc == ERR_UNKNOWN;
}

static void rpc_log(const struct rpc_call *call, int64_t took)
{
    const struct ctx *ctx = &call->ctx;
    enum log_level level = LOG_INFO;

    if (is_ours(call->rc))
        level = LOG_ERROR;
    else if (took > slow_after)
        level = LOG_WARN;
    else if (!call->rpc->o.access_log)
        return;
    log_line(level, ctx, "rpc.call", "service", log_bytes(call->service),
             "method", log_bytes(call->method), "us", log_int(took), "result",
             call->rc ? err_name(call->rc) : "ok", "bytes_in",
             log_int((int64_t)call->request.n), "bytes_out",
             log_int((int64_t)call->encoded.n),
             /* the list ends here when there is no story */
             call->rc ? "reason" : NULL, ctx_err_text(ctx, call->rc), "at",
             ctx->err.file ? ctx->err.file : "-", NULL);
}

/* ---- the end: answer ---- */

static void finish(struct rpc_call *call, int rc)
{
    int64_t took = clock_mono() - call->x->started;

    call->rc = rc;
    if (call->entry) {
        metric_observe(&call->entry->latency, took);
        if (rc < 0)
            __atomic_fetch_add(&call->entry->errors, 1, __ATOMIC_RELAXED);
    }
    rpc_log(call, took);
    rpc_answer(call);
    http_reply(call->x);
}

/* ---- where it runs ---- */

static void run_on_worker(struct rpc_job *job)
{
    struct rpc_call *call = (struct rpc_call *)job;

    finish(call, rpc_run(call));
}

static void send_to_pool(struct rpc_call *call)
{
    call->ctx.may_wait = true;
    call->job.run = run_on_worker;
    if (!rpc_pool_submit(call->rpc->pool, &call->job))
        finish(call,
               ctx_err(&call->ctx, ERR_EXHAUSTED,
                       "the server has %d calls waiting for a worker; try "
                       "again later",
                       RPC_QUEUE_MAX));
}

static void run_here_first(struct rpc_call *call)
{
    int rc = rpc_run(call);

    if (rc != ERR_WOULD_BLOCK) {
        finish(call, rc);
        return;
    }
    ctx_err_clear(&call->ctx);
    send_to_pool(call);
}

/* ---- the list of steps ---- */

static int rpc_prepare(struct rpc_call *call)
{
    int rc = rpc_decode(call);

    if (rc == 0)
        rc = rpc_find(call);
    if (rc == 0)
        rc = rpc_authenticate(call);
    if (rc == 0)
        rc = rpc_limit(call);
    return rc;
}

static void rpc_receive(struct rpc *rpc, struct http_exchange *x)
{
    struct rpc_call *call = ARENA_NEW(&x->arena, struct rpc_call);
    int rc;

    call->rpc = rpc;
    call->x = x;
    ctx_init(&call->ctx, &x->arena);
    call->ctx.env = rpc->o.env;
    call->ctx.peer = x->req.peer;
    call->ctx.may_wait = false;
    rc = rpc_prepare(call);
    if (rc < 0)
        finish(call, rc);
    else if (call->entry->method->flags & RPC_INLINE)
        run_here_first(call);
    else
        send_to_pool(call);
}

void rpc_handle(struct http_exchange *x, void *arg)
{
    struct rpc *rpc = arg;

    if (bytes_eq(x->req.path, BYTES_LIT("/rpc_http")) &&
        bytes_eq(x->req.method, BYTES_LIT("POST")))
        rpc_receive(rpc, x);
    else
        rpc_page(rpc, x);
}

int rpc_start(struct ctx *ctx, const struct rpc_options *o, struct rpc **out)
{
    struct rpc *rpc = calloc(1, sizeof(*rpc));
    int rc;

    if (!rpc)
        die("out of memory");
    rpc->o = *o;
    rpc_table_init(&rpc->table, rpc_services);
    rc = rpc_pool_start(ctx, o->workers > 0 ? o->workers : RPC_WORKERS,
                        RPC_QUEUE_MAX, &rpc->pool);
    if (rc < 0) {
        rpc_table_release(&rpc->table);
        free(rpc);
        return rc;
    }
    *out = rpc;
    return 0;
}

void rpc_stop(struct rpc *rpc)
{
    rpc_pool_stop(rpc->pool);
    rpc_table_release(&rpc->table);
    free(rpc);
}
