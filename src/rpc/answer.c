/*
 * How a finished call looks on the wire (contract 1.3-1.5).
 */
#include "rpc/rpc_int.h"

#include "wire/pb.h"

enum {
    RESPONSE_RESPONSE = 1,
    RESPONSE_APPLICATION_ERROR = 3,
    RESPONSE_RPC_ERROR = 5,
    ERROR_CODE = 1,
    ERROR_DETAIL = 2,
};

/*
 * Our codes as rpc errors, for what the service's own enum does not say.  What
 * is not listed is our fault: REPLAY_ERROR, which every SDK reports as an
 * unknown failure, while Java takes code 0 for a deadline.
 */
static const struct rpc_row {
    int code;
    enum rpc_error rpc;
} rpc_rows[] = {
    {ERR_UNIMPLEMENTED, RPC_CALL_NOT_FOUND},
    {ERR_INVALID, RPC_BAD_REQUEST},
    {ERR_MALFORMED, RPC_PARSE_ERROR},
    {ERR_UNAUTHENTICATED, RPC_SECURITY_VIOLATION},
    {ERR_DENIED, RPC_SECURITY_VIOLATION},
    {ERR_EXHAUSTED, RPC_OVER_QUOTA},
    {ERR_TOO_LARGE, RPC_REQUEST_TOO_LARGE},
    {ERR_DISABLED, RPC_CAPABILITY_DISABLED},
    {ERR_CANCELLED, RPC_CANCELLED},
    {ERR_DEADLINE, RPC_DEADLINE_EXCEEDED},
};

static int32_t rpc_code(const struct rpc_call *call)
{
    if (call->as)
        return (int32_t)call->as;
    for (size_t i = 0; i < sizeof(rpc_rows) / sizeof(rpc_rows[0]); i++) {
        if (rpc_rows[i].code == call->rc)
            return rpc_rows[i].rpc;
    }
    return RPC_REPLAY_ERROR;
}

/* The service's own number for what happened; 0: it has none. */
static int32_t app_code(const struct rpc_call *call)
{
    const struct rpc_err_map *m;

    if (call->as || !call->ran)
        return 0; /* refused before the service saw it */
    if (call->ctx.err.app_code)
        return call->ctx.err.app_code;
    m = call->entry->service->errors;
    for (; m && m->code; m++) {
        if (m->code == call->rc)
            return m->app_code;
    }
    return 0;
}

static void answer_error(struct rpc_call *call)
{
    struct arena *a = &call->x->arena;
    struct buf inner = BUF_IN(a), out = BUF_IN(a);
    int32_t app = app_code(call);

    pb_put_u64(&inner, ERROR_CODE,
               (uint64_t)(int64_t)(app ? app : rpc_code(call)));
    pb_put_bytes(&inner, ERROR_DETAIL,
                 bytes_str(ctx_err_text(&call->ctx, call->rc)));
    pb_put_bytes(&out, app ? RESPONSE_APPLICATION_ERROR : RESPONSE_RPC_ERROR,
                 buf_view(&inner));
    call->x->res.body = buf_view(&out);
}

/* The envelope's head goes out in front of the message, which stays where it
 * was made. */
static void answer_response(struct rpc_call *call)
{
    struct buf head = BUF_IN(&call->x->arena);

    buf_reserve(&head, 16);
    pb_put_tag(&head, RESPONSE_RESPONSE, PB_BYTES);
    pb_put_varint(&head, call->encoded.n);
    call->x->res.lead = buf_view(&head);
    call->x->res.body = call->encoded;
}

void rpc_answer(struct rpc_call *call)
{
    static struct http_header type[] = {
        {BYTES_LIT("Content-Type"), BYTES_LIT("application/octet-stream")},
    };
    struct http_response *res = &call->x->res;

    if (call->rc == 0 && call->encoded.n > RPC_RESPONSE_MAX) {
        call->rc =
            ctx_err(&call->ctx, ERR_TOO_LARGE,
                    "The response from API call %s.%s() was too large.",
                    call->entry->service->name, call->entry->method->method);
        call->as = RPC_RESPONSE_TOO_LARGE;
    }
    res->status = 200;
    res->headers = type;
    res->n_headers = res->cap_headers = 1;
    if (call->rc < 0)
        answer_error(call);
    else
        answer_response(call);
}
