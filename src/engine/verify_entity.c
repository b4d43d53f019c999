/*
 * verify_entity - from an entity to the rows that it must have.
 *
 * The rows are computed from the entity as it was read, and then read together
 * with it, as of one moment.  When the entity is another by then, or the app's
 * definitions are, it is done again; so what is judged is one state of the
 * store.
 */
#include "engine/verify_int.h"

bool verify_path_ok(struct arena *a, struct bytes path)
{
    struct key_elem e;

    if (path.n == 0)
        return false;
    while (key_path_next(a, &path, &e)) {
    }
    return path.n == 0;
}

int verify_parse(struct ctx *ctx, const struct verify *v, struct bytes path,
                 struct bytes row, struct key *key, struct entity_row *out)
{
    struct entity_walk walk = {0};
    struct entity_prop p;
    struct bytes reference;
    int rc;

    if (!entity_row_read(row, out) || !entity_key(out->entity, &reference))
        return ERR_CORRUPT;
    rc = key_parse(ctx, reference, key);
    ctx_err_clear(ctx);
    if (rc || !key->complete || !bytes_eq(key->path, path) ||
        !bytes_eq(key->space, v->space))
        return ERR_CORRUPT;
    walk = (struct entity_walk)ENTITY_WALK(out->entity);
    while (entity_next(&walk, &p)) {
    }
    return walk.bad ? ERR_CORRUPT : 0;
}

/* An entity that is none is kept aside, for a person to look at. */
static int mend_bad_entity(struct ctx *ctx, struct verify *v,
                           const struct storage_row *row)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct storage_key key = {v->entities, row->row};
    struct buf aside = BUF_IN(ctx->arena);
    int rc;

    buf_add_u8(&aside, KEY_ENTITIES);
    buf_add(&aside, row->row);
    storage_batch_require(&b, key, row->value);
    storage_batch_put(
        &b,
        (struct storage_key){
            key_partition_of(ctx->arena, v->entities, KEY_DAMAGED),
            buf_view(&aside)},
        row->value);
    storage_batch_delete(&b, key);
    rc = verify_mend(ctx, v, &b, VERIFY_BAD_ENTITY,
                     verify_where(ctx->arena, v, "entities",
                                  verify_path_text(ctx->arena, row->row)));
    return rc;
}

/* ---- one look ---- */

/* Everything about an entity, as of one moment. */
struct look {
    struct bytes row; /* of the entity, as the rest was computed from */
    struct key key;
    struct entity_row entity;
    struct index_rows index; /* those of READ_WRITE indexes */
    struct storage_key *keys;
    struct storage_value *values; /* entity, namespace, group, index rows */
};

enum { LOOK_ENTITY, LOOK_SPACE, LOOK_GROUP, LOOK_INDEX };

static bool is_used(const struct index_set *set, struct bytes row)
{
    int64_t id = row.n >= 8 ? (int64_t)get_be64(row.p) : 0;

    for (size_t i = 0; i < set->n; i++) {
        if (set->defs[i].id == id)
            return set->defs[i].state == INDEX_READ_WRITE;
    }
    return false;
}

static bool is_composite(struct storage_key key)
{
    return bytes_u8(key.partition)[key.partition.n - 1] == KEY_COMPOSITES;
}

/* An index that is being built or taken away may have rows or lack them. */
static void keep_used(const struct index_set *set, struct index_rows *rows)
{
    size_t n = 0;

    for (size_t i = 0; i < rows->n; i++) {
        if (!is_composite(rows->rows[i].key) ||
            is_used(set, rows->rows[i].key.row))
            rows->rows[n++] = rows->rows[i];
    }
    rows->n = n;
}

static int read_all(struct ctx *ctx, struct verify *v, struct look *l)
{
    size_t n = LOOK_INDEX + l->index.n;

    l->keys = ARENA_ARRAY(ctx->arena, struct storage_key, n);
    l->values = ARENA_ARRAY(ctx->arena, struct storage_value, n);
    l->keys[LOOK_ENTITY] = (struct storage_key){v->entities, l->key.path};
    l->keys[LOOK_SPACE] = app_space_key(ctx->arena, v->app->project, v->space);
    l->keys[LOOK_GROUP] = (struct storage_key){v->groups, key_root(&l->key)};
    for (size_t i = 0; i < l->index.n; i++)
        l->keys[LOOK_INDEX + i] = l->index.rows[i].key;
    return storage_get(ctx, v->engine->storage, l->keys, n, l->values);
}

/* ERR_CONFLICT: the entity or the definitions changed, look again. */
static int look(struct ctx *ctx, struct verify *v, struct look *l)
{
    const struct index_set *set;
    int rc = index_set_ref(ctx, v->engine, v->app->project, &set);

    if (rc)
        return rc;
    rc = index_rows_stored(ctx, set, &l->key, l->entity.entity, &l->index);
    if (rc == 0) {
        keep_used(set, &l->index);
        rc = read_all(ctx, v, l);
    }
    if (rc == 0 && !index_set_current(set))
        rc = ERR_CONFLICT;
    index_set_unref(set);
    if (rc == 0 && !(l->values[LOOK_ENTITY].found &&
                     bytes_eq(l->values[LOOK_ENTITY].value, l->row)))
        rc = ERR_CONFLICT;
    return rc;
}

/* ---- judging ---- */

/* A repair holds only as long as the entity is this one. */
static void same_entity(struct storage_batch *b, const struct look *l)
{
    storage_batch_require(b, l->keys[LOOK_ENTITY], l->row);
}

static int judge_space(struct ctx *ctx, struct verify *v, const struct look *l)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    int rc;

    if (l->values[LOOK_SPACE].found || v->space_bad)
        return 0;
    same_entity(&b, l);
    storage_batch_put(&b, l->keys[LOOK_SPACE], BYTES("", 0));
    rc = verify_mend(ctx, v, &b, VERIFY_BAD_NAMESPACE,
                     verify_where(ctx->arena, v, "namespaces", "no row"));
    v->space_bad = rc == 0;
    return rc;
}

static int judge_group(struct ctx *ctx, struct verify *v, const struct look *l)
{
    const struct storage_value *seen = &l->values[LOOK_GROUP];
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct bytes root = key_root(&l->key);
    uint8_t value[8];
    int64_t version;
    int rc;

    /* Its value is judged in its own table. It may be below an entity's
     * version: of two commits of a group the one that took its version first
     * may come second. */
    if (seen->found || key_untracked(&l->key) ||
        bytes_eq(buf_view(&v->group_bad), root))
        return 0;
    rc = version_next(ctx, v->engine, &version);
    if (rc)
        return rc;
    put_be64(value, (uint64_t)version);
    same_entity(&b, l);
    storage_batch_require_same(&b, l->keys[LOOK_GROUP], seen);
    storage_batch_put(&b, l->keys[LOOK_GROUP], BYTES(value, 8));
    rc = verify_mend(ctx, v, &b, VERIFY_BAD_GROUP,
                     verify_where(ctx->arena, v, "groups",
                                  verify_path_text(ctx->arena, root)));
    if (rc == 0) { /* its entities lie together: told once */
        buf_clear(&v->group_bad);
        buf_add(&v->group_bad, root);
    }
    return rc;
}

/* The definition must still be there when a composite row is put. */
static int same_definition(struct ctx *ctx, struct verify *v,
                           struct storage_batch *b, struct bytes row)
{
    struct storage_key def =
        index_def_key(ctx->arena, v->app, (int64_t)get_be64(row.p));
    struct storage_value seen;
    struct index_def d;
    int rc = storage_get(ctx, v->engine->storage, &def, 1, &seen);

    if (rc)
        return rc;
    if (!seen.found || !index_def_row_read(ctx->arena, seen.value, &d) ||
        d.state != INDEX_READ_WRITE)
        return ERR_CONFLICT;
    storage_batch_require_same(b, def, &seen);
    return 0;
}

static int judge_row(struct ctx *ctx, struct verify *v, const struct look *l,
                     size_t i)
{
    const struct index_row *want = &l->index.rows[i];
    const struct storage_value *seen = &l->values[LOOK_INDEX + i];
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    const char *table = "kinds";
    int rc = 0;

    if (seen->found && bytes_eq(seen->value, want->value))
        return 0;
    same_entity(&b, l);
    if (is_composite(want->key)) {
        table = "composites";
        rc = same_definition(ctx, v, &b, want->key.row);
    } else if (bytes_u8(want->key.partition)[want->key.partition.n - 1] ==
               KEY_PROPERTIES) {
        table = "properties";
    }
    if (rc)
        return rc;
    storage_batch_put(&b, want->key, want->value);
    return verify_mend(ctx, v, &b,
                       seen->found ? VERIFY_WRONG_VALUE : VERIFY_MISSING_ROW,
                       verify_where(ctx->arena, v, table,
                                    verify_path_text(ctx->arena, l->key.path)));
}

static int judge(struct ctx *ctx, struct verify *v, const struct look *l)
{
    int rc = judge_space(ctx, v, l);

    if (rc == 0)
        rc = judge_group(ctx, v, l);
    for (size_t i = 0; i < l->index.n && rc == 0; i++)
        rc = judge_row(ctx, v, l, i);
    return rc;
}

/* ---- until it stands still ---- */

static void note_ids(struct ctx *ctx, struct verify *v, struct bytes path)
{
    struct key_elem e;

    while (key_path_next(ctx->arena, &path, &e)) {
        if (!e.named)
            ids_note_top(e.id, v->top_ids);
    }
}

static int examine(struct ctx *ctx, struct verify *v, struct bytes path,
                   struct bytes value)
{
    struct storage_row row = {path, value};
    struct look l = {.row = value};
    int rc = verify_parse(ctx, v, path, value, &l.key, &l.entity);

    if (rc == ERR_CORRUPT)
        return mend_bad_entity(ctx, v, &row);
    if (rc == 0)
        rc = look(ctx, v, &l);
    if (rc == ERR_INVALID) { /* too many rows: an index was added since */
        ctx_err_clear(ctx);
        v->report->busy++;
        return 0;
    }
    if (rc == 0)
        note_ids(ctx, v, path);
    return rc ? rc : judge(ctx, v, &l);
}

int verify_entity(struct ctx *ctx, struct verify *v,
                  const struct storage_row *row)
{
    struct storage_key key = {v->entities, row->row};
    struct bytes value = row->value;
    int rc = 0;

    v->report->entities++;
    for (int i = 0; i < VERIFY_LOOKS; i++) {
        rc = examine(ctx, v, row->row, value);
        if (rc != ERR_CONFLICT && rc != ERR_ABORTED)
            return rc;
        ctx_err_clear(ctx);
        rc = storage_get1(ctx, v->engine->storage, key, &value);
        if (rc)
            return rc == ERR_NOT_FOUND ? 0 : rc; /* deleted meanwhile */
    }
    v->report->busy++;
    return 0;
}
