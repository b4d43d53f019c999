#include "service/datastore/datastore_int.h"

/*
 * AllocateIds has three forms: the next `size` ids, all ids up to `max`, and
 * ids to `reserve`, which an app has from elsewhere.
 */
struct ids_request {
    struct bytes model_key; /* p NULL: absent, and so below */
    bool has_size, has_max;
    int64_t size, max;
    size_t n_reserve;
};

static int read_request(struct ctx *ctx, struct bytes in,
                        struct ids_request *req)
{
    struct pb_reader r = PB_READER(in);

    *req = (struct ids_request){0};
    while (pb_next(&r)) {
        if (r.field == 1 && r.kind == PB_BYTES) {
            req->model_key = r.bytes;
        } else if (r.field == 2 && r.kind == PB_VARINT) {
            req->has_size = true;
            req->size = (int64_t)r.u64;
        } else if (r.field == 3 && r.kind == PB_VARINT) {
            req->has_max = true;
            req->max = (int64_t)r.u64;
        } else if (r.field == 5 && r.kind == PB_BYTES) {
            req->n_reserve++;
        }
    }
    return r.bad ? datastore_malformed(ctx, "AllocateIdsRequest") : 0;
}

static const char *complaint(const struct ids_request *req)
{
    if (req->n_reserve && req->model_key.p)
        return "Cannot allocate and reserve IDs in the same request";
    if (req->n_reserve && req->has_size)
        return "Cannot specify size when reserving IDs";
    if (req->n_reserve && req->has_max)
        return "Cannot specify max when reserving IDs";
    if (req->has_size && req->has_max)
        return "Both size and max cannot be set.";
    if (req->size < 0)
        return "Size must be greater than 0.";
    if (req->size > DATASTORE_IDS_MAX)
        return "cannot get more than 1000000000 keys in a single call";
    if (req->max < 0)
        return "Max must be greater than or equal to 0.";
    return NULL;
}

static size_t path_ids(struct ctx *ctx, const struct key *key, int64_t *ids)
{
    struct bytes path = key->path;
    struct key_elem e;
    size_t n = 0;

    while (key_path_next(ctx->arena, &path, &e)) {
        if (!e.named)
            ids[n++] = e.id;
    }
    return n;
}

static int reserve(struct ctx *ctx, struct bytes in,
                   const struct ids_request *req)
{
    struct pb_reader r = PB_READER(in);
    int64_t *ids =
        ARENA_ARRAY(ctx->arena, int64_t, req->n_reserve * KEY_DEPTH_MAX);
    struct key key;
    size_t n = 0;
    int rc = 0;

    while (rc == 0 && pb_next(&r)) {
        if (r.field != 5 || r.kind != PB_BYTES)
            continue;
        rc = key_parse(ctx, r.bytes, &key);
        if (rc == 0)
            rc = key_need_complete(ctx, &key);
        if (rc == 0)
            n += path_ids(ctx, &key, ids + n);
    }
    if (rc)
        return rc;
    return engine_ids_reserve(ctx, ctx->env->engine, ctx->app, ids, n);
}

/* size 0, or nothing asked for, is the empty range before the next id. */
static int allocate(struct ctx *ctx, const struct ids_request *req,
                    int64_t *start, int64_t *end)
{
    struct engine *e = ctx->env->engine;
    struct key key;
    int rc = 0;

    if (req->model_key.p)
        rc = key_parse(ctx, req->model_key, &key);
    if (rc)
        return rc;
    if (req->size == 0)
        return engine_ids_up_to(ctx, e, ctx->app, req->max, start, end);
    rc = engine_ids_range(ctx, e, ctx->app, req->size, start);
    *end = *start + req->size - 1;
    return rc;
}

int datastore_allocate_ids(struct ctx *ctx, struct bytes in, struct buf *out)
{
    struct ids_request req;
    int64_t start = 0, end = 0;
    int rc = read_request(ctx, in, &req);

    if (rc)
        return rc;
    if (complaint(&req))
        return ctx_err(ctx, ERR_INVALID, "%s", complaint(&req));
    rc = req.n_reserve ? reserve(ctx, in, &req)
                       : allocate(ctx, &req, &start, &end);
    if (rc)
        return rc;
    pb_put_u64(out, 1, (uint64_t)start);
    pb_put_u64(out, 2, (uint64_t)end);
    datastore_put_cost(out, 3, NULL);
    return 0;
}
