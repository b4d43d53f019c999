/*
 * verify_index - from an index row to the entity that must have it.
 *
 * The row and its entity are read as of one moment.  Its value is judged from
 * the entity's side (verify_entity.c); here it is a fault only to be there.
 */
#include "engine/verify_int.h"

struct subject {
    const char *table;
    struct storage_key row;
    struct bytes path; /* of the entity it leads to */
    int64_t index;     /* of a composite row, else 0 */
};

static const char *where(struct ctx *ctx, struct verify *v,
                         const struct subject *s)
{
    return verify_where(ctx->arena, v, s->table,
                        s->path.n ? verify_path_text(ctx->arena, s->path)
                                  : verify_bytes_text(ctx->arena, s->row.row));
}

/* A row that leads nowhere. */
static int bad_row(struct ctx *ctx, struct verify *v, const struct subject *s,
                   struct bytes value)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct subject bare = {s->table, s->row, BYTES_NONE, 0};
    int rc;

    storage_batch_require(&b, s->row, value);
    storage_batch_delete(&b, s->row);
    rc = verify_mend(ctx, v, &b, VERIFY_BAD_INDEX_ROW, where(ctx, v, &bare));
    return rc == ERR_CONFLICT ? 0 : rc; /* gone, or written anew */
}

/* ---- strays ---- */

static bool row_among(const struct index_rows *rows, struct storage_key key)
{
    for (size_t i = 0; i < rows->n; i++) {
        if (bytes_eq(rows->rows[i].key.row, key.row) &&
            bytes_eq(rows->rows[i].key.partition, key.partition))
            return true;
    }
    return false;
}

/* Whether the entity as read gives the row.  An entity that does not decode is
 * not this walk's business. */
static int gives_row(struct ctx *ctx, struct verify *v,
                     const struct index_set *set, const struct subject *s,
                     const struct storage_value *entity, bool *gives)
{
    struct index_rows rows;
    struct entity_row row;
    struct key key;
    int rc;

    *gives = false;
    if (!entity->found)
        return 0;
    *gives = true;
    if (verify_parse(ctx, v, s->path, entity->value, &key, &row) != 0)
        return 0;
    rc = index_rows_stored(ctx, set, &key, row.entity, &rows);
    if (rc == ERR_INVALID) {
        ctx_err_clear(ctx);
        return 0;
    }
    *gives = rc == 0 && row_among(&rows, s->row);
    return rc;
}

enum { READ_ENTITY, READ_ROW, READ_DEF, N_READ };

/* One look; ERR_CONFLICT: the definitions changed, look again. */
static int look(struct ctx *ctx, struct verify *v, const struct subject *s,
                const struct storage_key *keys, struct storage_value *seen,
                bool *stray)
{
    size_t n = s->index ? N_READ : READ_DEF;
    const struct index_set *set;
    bool gives;
    int rc = index_set_ref(ctx, v->engine, v->app->project, &set);

    *stray = false;
    if (rc)
        return rc;
    rc = storage_get(ctx, v->engine->storage, keys, n, seen);
    if (rc == 0 && seen[READ_ROW].found) {
        rc = gives_row(ctx, v, set, s, &seen[READ_ENTITY], &gives);
        *stray = rc == 0 && !gives;
    }
    if (rc == 0 && !index_set_current(set))
        rc = ERR_CONFLICT;
    index_set_unref(set);
    return rc;
}

/* Rows of an index that queries do not use yet, or no more, are nobody's
 * business; those of an index that is not there are strays. */
static bool def_matters(struct ctx *ctx, const struct subject *s,
                        const struct storage_value *seen)
{
    struct index_def def;

    return !s->index || !seen[READ_DEF].found ||
           (index_def_row_read(ctx->arena, seen[READ_DEF].value, &def) &&
            def.state == INDEX_READ_WRITE);
}

static int judge(struct ctx *ctx, struct verify *v, const struct subject *s)
{
    const struct storage_key keys[N_READ] = {
        [READ_ENTITY] = {v->entities, s->path},
        [READ_ROW] = s->row,
        [READ_DEF] = index_def_key(ctx->arena, v->app, s->index),
    };
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct storage_value seen[N_READ];
    bool stray;
    int rc = look(ctx, v, s, keys, seen, &stray);

    if (rc || !stray || !def_matters(ctx, s, seen) ||
        (s->path.n == 0 && seen[READ_DEF].found)) /* defined meanwhile */
        return rc;
    for (int i = 0; i < (s->index ? N_READ : READ_DEF); i++)
        storage_batch_require_same(&b, keys[i], &seen[i]);
    storage_batch_delete(&b, s->row);
    return verify_mend(ctx, v, &b, VERIFY_STRAY_ROW, where(ctx, v, s));
}

static int examine(struct ctx *ctx, struct verify *v, const struct subject *s)
{
    int rc = 0;

    for (int i = 0; i < VERIFY_LOOKS; i++) {
        rc = judge(ctx, v, s);
        if (rc != ERR_CONFLICT && rc != ERR_ABORTED)
            return rc;
        ctx_err_clear(ctx);
    }
    v->report->busy++;
    return 0;
}

/* ---- the three tables ---- */

static int row_of_path(struct ctx *ctx, struct verify *v,
                       const struct subject *s, bool ok, struct bytes value)
{
    v->report->rows++;
    if (!ok || !verify_path_ok(ctx->arena, s->path))
        return bad_row(ctx, v, s, value);
    return examine(ctx, v, s);
}

int verify_kind_row(struct ctx *ctx, struct verify *v,
                    const struct storage_row *row)
{
    struct subject s = {
        .table = "kinds",
        .row = {key_partition_of(ctx->arena, v->entities, KEY_KINDS), row->row},
        .path = row->row,
    };
    struct bytes kind;
    bool ok = key_take_escaped(ctx->arena, &s.path, &kind);

    return row_of_path(ctx, v, &s, ok, row->value);
}

int verify_property_row(struct ctx *ctx, struct verify *v,
                        const struct storage_row *row)
{
    struct subject s = {
        .table = "properties",
        .row = {key_partition_of(ctx->arena, v->entities, KEY_PROPERTIES),
                row->row},
        .path = row->row,
    };
    struct bytes word, value;
    bool ok = key_take_escaped(ctx->arena, &s.path, &word) &&
              key_take_escaped(ctx->arena, &s.path, &word) &&
              index_property_split(s.path, &value, &s.path);

    return row_of_path(ctx, v, &s, ok, row->value);
}

/* The ancestor's path, and the zero byte that no kind begins with. */
static bool skip_ancestor(struct bytes *rest)
{
    while (rest->n && bytes_u8(*rest)[0] != 0) {
        size_t n = key_path_first(*rest);

        if (n == 0)
            return false;
        *rest = bytes_from(*rest, n);
    }
    if (rest->n == 0)
        return false;
    *rest = bytes_from(*rest, 1);
    return true;
}

static bool split(struct ctx *ctx, const struct index_def *def,
                  struct bytes rest, struct bytes *path)
{
    struct bytes *values = ARENA_ARRAY(ctx->arena, struct bytes, def->n + 1);

    return (!def->ancestor || skip_ancestor(&rest)) &&
           index_composite_split(def, rest, values, path);
}

/* Of an index that is not defined the row's shape is not known, so it leads to
 * the entity of no path. */
static int row_of_nobody(struct ctx *ctx, struct verify *v,
                         const struct subject *s)
{
    return examine(ctx, v, s);
}

int verify_composite_row(struct ctx *ctx, struct verify *v,
                         const struct storage_row *row)
{
    struct subject s = {
        .table = "composites",
        .row = {key_partition_of(ctx->arena, v->entities, KEY_COMPOSITES),
                row->row},
    };
    struct bytes value;
    struct index_def def;
    int rc;

    v->report->rows++;
    if (row->row.n < 8 || (s.index = (int64_t)get_be64(row->row.p)) <= 0)
        return bad_row(ctx, v, &s, row->value);
    rc = storage_get1(ctx, v->engine->storage,
                      index_def_key(ctx->arena, v->app, s.index), &value);
    if (rc == ERR_NOT_FOUND)
        return row_of_nobody(ctx, v, &s);
    if (rc)
        return rc;
    if (!index_def_row_read(ctx->arena, value, &def) ||
        def.state != INDEX_READ_WRITE)
        return 0;
    if (!split(ctx, &def, bytes_from(row->row, 8), &s.path) ||
        !verify_path_ok(ctx->arena, s.path))
        return bad_row(ctx, v, &s, row->value);
    return examine(ctx, v, &s);
}
