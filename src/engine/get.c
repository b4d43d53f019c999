/* get - entities by key, those that are stored and the one that is made up. */
#include "engine/engine_int.h"

#include "engine/value.h"

/*
 * The pseudo entity of a group: its root's path and `__entity_group__` id 1,
 * with the group's version as the property `__version__`.
 */
static const char group_kind[] = "__entity_group__";

static bool is_group_entity(const struct key *key)
{
    struct bytes last;

    if (key->depth != 2 || !bytes_eq_str(key->kind, group_kind))
        return false;
    last = bytes_from(key->path, key->path.n - 8);
    return key->path.n - key->last_n == sizeof(group_kind) + 9 &&
           get_be64(last.p) == (UINT64_C(1) << 63 | 1);
}

static struct bytes group_entity(struct arena *a, const struct key *key,
                                 int64_t version)
{
    struct buf value = BUF_IN(a), prop = BUF_IN(a), path = BUF_IN(a),
               out = BUF_IN(a);

    pb_put_u64(&value, VALUE_INT64, (uint64_t)version);
    pb_put_bytes(&prop, 3, BYTES_LIT("__version__"));
    pb_put_u64(&prop, 4, false);
    pb_put_bytes(&prop, 5, buf_view(&value));
    key_write_path(&path, key_root(key));
    key_put_field(&out, 13, key);
    pb_put_bytes(&out, 14, buf_view(&prop));
    pb_put_bytes(&out, 16, buf_view(&path));
    return buf_view(&out);
}

/* A group nobody has written yet is at version 1. */
static int group_found(struct ctx *ctx, const struct key *key,
                       const struct storage_value *row,
                       struct engine_found *out)
{
    if (row->found && row->value.n != 8)
        return ctx_err(ctx, ERR_CORRUPT, "a bad version row");
    out->found = true;
    out->version = 0;
    out->entity = group_entity(
        ctx->arena, key, row->found ? (int64_t)get_be64(row->value.p) : 1);
    return 0;
}

static int entity_found(struct ctx *ctx, const struct storage_value *value,
                        int64_t now, struct engine_found *out)
{
    struct entity_row row;

    *out = (struct engine_found){.version = now};
    if (!value->found)
        return 0;
    if (!entity_row_read(value->value, &row))
        return ctx_err(ctx, ERR_CORRUPT, "a bad entity row");
    *out = (struct engine_found){true, row.version, row.entity};
    return 0;
}

static void rows_of(struct ctx *ctx, const struct key *keys, size_t n,
                    struct storage_key *rows)
{
    for (size_t i = 0; i < n; i++) {
        if (is_group_entity(&keys[i]))
            rows[i] = write_group_key(ctx->arena, &keys[i]);
        else if (i > 0 && key_same_space(&keys[i - 1], &keys[i]) &&
                 !is_group_entity(&keys[i - 1]))
            rows[i] = (struct storage_key){rows[i - 1].partition, keys[i].path};
        else
            rows[i] = write_entity_key(ctx->arena, &keys[i]);
    }
}

int engine_get(struct ctx *ctx, struct engine *e, struct txn *txn,
               const struct key *keys, size_t n, struct engine_found *out)
{
    struct storage_key *rows = ARENA_ARRAY(ctx->arena, struct storage_key, n);
    struct storage_value *values =
        ARENA_ARRAY(ctx->arena, struct storage_value, n);
    int64_t now = engine_read_version(e);
    int rc = 0;

    rows_of(ctx, keys, n, rows);
    if (txn)
        rc = txn_read(ctx, txn, keys, n, rows, n, values);
    else if (n > 0)
        rc = storage_get(ctx, e->storage, rows, n, values);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (is_group_entity(&keys[i]))
            rc = group_found(ctx, &keys[i], &values[i], &out[i]);
        else
            rc = entity_found(ctx, &values[i], now, &out[i]);
    }
    return rc;
}
