/*
 * indices - the four methods on composite indexes, for tools that manage them
 * by hand and for the emulator.
 */
#include "service/datastore/datastore_int.h"
#include "service/datastore/index_file.h"

/* An entity.CompositeIndex as an admin call sends it. */
struct index_request {
    struct bytes app;
    struct index_def def; /* with its id and the wanted state */
};

static int read_request(struct ctx *ctx, struct bytes in,
                        struct index_request *req)
{
    struct pb_reader r = PB_READER(in);
    bool ok = false;

    *req = (struct index_request){0};
    while (pb_next(&r)) {
        if (r.field == 1 && r.kind == PB_BYTES)
            req->app = r.bytes;
        else if (r.field == 2 && r.kind == PB_VARINT)
            req->def.id = (int64_t)r.u64;
        else if (r.field == 3 && r.kind == PB_BYTES)
            ok = index_def_parse(ctx->arena, r.bytes, &req->def);
        else if (r.field == 4 && r.kind == PB_VARINT)
            req->def.state = (enum index_state)r.u64;
    }
    if (r.bad || !ok)
        return ctx_err(ctx, ERR_MALFORMED, "not a valid entity.CompositeIndex");
    return datastore_check_app(ctx, req->app);
}

int datastore_get_indices(struct ctx *ctx, struct bytes in, struct buf *out)
{
    const struct index_set *set;
    struct bytes app = BYTES_NONE;
    int rc;

    if (!pb_find_bytes(in, 1, &app))
        return datastore_malformed(ctx, "GetIndicesRequest");
    rc = datastore_check_app(ctx, app);
    if (rc == 0)
        rc = index_file_refresh(ctx, ctx->env->index_file);
    if (rc == 0)
        rc = index_set_ref(ctx, ctx->env->engine, ctx->app, &set);
    if (rc)
        return rc;
    for (size_t i = 0; i < set->n; i++) {
        struct buf index = BUF_IN(ctx->arena);

        if (set->defs[i].state == INDEX_DELETED)
            continue;
        index_def_message(&index, app, &set->defs[i]);
        pb_put_bytes(out, 1, buf_view(&index));
    }
    index_set_unref(set);
    return 0;
}

/* An index asked for as READ_WRITE is built before the answer. */
static int create_index(struct ctx *ctx, struct bytes in, struct buf *out)
{
    struct index_request req;
    int64_t id;
    int rc = read_request(ctx, in, &req);

    if (rc)
        return rc;
    if (req.def.id != 0)
        return ctx_err(ctx, ERR_INVALID, "New index id must be 0.");
    rc = index_create(ctx, ctx->env->engine, ctx->app, &req.def,
                      req.def.state == INDEX_READ_WRITE, &id);
    if (rc == ERR_EXISTS)
        return ctx_err(ctx, rc, "Index already exists.");
    if (rc)
        return rc;
    pb_put_u64(out, 1, (uint64_t)id);
    return 0;
}

/* None of the three changes anything in read-only mode. */
static int change(struct ctx *ctx, struct bytes in, struct buf *out,
                  int (*fn)(struct ctx *ctx, struct bytes in, struct buf *out))
{
    struct engine *e = ctx->env->engine;
    int rc;

    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    rc = engine_write_begin(ctx, e, ctx->app);
    if (rc)
        return rc;
    rc = fn(ctx, in, out);
    engine_write_end(e, ctx->app);
    return rc;
}

int datastore_create_index(struct ctx *ctx, struct bytes in, struct buf *out)
{
    return change(ctx, in, out, create_index);
}

static int no_such_index(struct ctx *ctx)
{
    return ctx_err(ctx, ERR_NOT_FOUND, "Index does not exist.");
}

/* The present state of the index a request means. */
static int find(struct ctx *ctx, const struct index_request *req,
                enum index_state *state)
{
    const struct index_set *set;
    int rc = index_set_ref(ctx, ctx->env->engine, ctx->app, &set);

    if (rc)
        return rc;
    *state = 0;
    for (size_t i = 0; i < set->n; i++) {
        const struct index_def *def = &set->defs[i];

        if (def->id == req->def.id && def->state != INDEX_DELETED &&
            index_def_same(def, &req->def))
            *state = def->state;
    }
    index_set_unref(set);
    return *state ? 0 : no_such_index(ctx);
}

static int delete_index(struct ctx *ctx, const struct index_request *req)
{
    int rc = index_delete(ctx, ctx->env->engine, ctx->app, req->def.id);

    return rc == ERR_NOT_FOUND ? no_such_index(ctx) : rc;
}

/* The engine itself moves an index on to READ_WRITE; an app may ask for it. */
static int update_index(struct ctx *ctx, struct bytes in, struct buf *out)
{
    struct index_request req;
    enum index_state now;
    int rc = read_request(ctx, in, &req);

    (void)out;
    if (rc == 0)
        rc = find(ctx, &req, &now);
    if (rc)
        return rc;
    if (req.def.state == INDEX_DELETED)
        return delete_index(ctx, &req);
    if (req.def.state == now ||
        (now == INDEX_WRITE_ONLY && req.def.state == INDEX_READ_WRITE))
        return 0;
    return ctx_err(ctx, ERR_INVALID, "cannot move index state from %d to %d",
                   (int)now, (int)req.def.state);
}

int datastore_update_index(struct ctx *ctx, struct bytes in, struct buf *out)
{
    return change(ctx, in, out, update_index);
}

static int remove_index(struct ctx *ctx, struct bytes in, struct buf *out)
{
    struct index_request req;
    enum index_state now;
    int rc = read_request(ctx, in, &req);

    (void)out;
    if (rc == 0)
        rc = find(ctx, &req, &now);
    return rc ? rc : delete_index(ctx, &req);
}

int datastore_delete_index(struct ctx *ctx, struct bytes in, struct buf *out)
{
    return change(ctx, in, out, remove_index);
}
