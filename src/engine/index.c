/*
 * index - from an entity to its index rows, and from two sets of rows to the
 * writes between them.
 *
 * Rows are pure functions of the entity and the definitions, so those to be
 * deleted are computed from the old entity and never looked for.
 */
#include "engine/engine_int.h"

#include "engine/value.h"

#include <stdlib.h>

/* ---- the values of an entity ---- */

/* One distinct value of one indexed property; the array is sorted by name,
 * then value, so that the values of a property are a run. */
struct item {
    struct bytes name;
    struct bytes value; /* encoded */
};

struct items {
    struct item *v;
    size_t n;
};

static int item_cmp(const void *x, const void *y)
{
    const struct item *a = x, *b = y;
    int d = bytes_cmp(a->name, b->name);

    return d ? d : bytes_cmp(a->value, b->value);
}

static void items_sort(struct items *items)
{
    size_t n = 0;

    if (items->n > 1)
        qsort(items->v, items->n, sizeof(*items->v), item_cmp);
    for (size_t i = 0; i < items->n; i++) {
        if (n == 0 || item_cmp(&items->v[n - 1], &items->v[i]) != 0)
            items->v[n++] = items->v[i];
    }
    items->n = n;
}

static int too_many(struct ctx *ctx, size_t n)
{
    return ctx_err(ctx, ERR_INVALID,
                   "The entity has more than %d index entries (%zu so far).",
                   INDEX_ROWS_MAX, n);
}

static void items_put(struct ctx *ctx, struct items *items, size_t *cap,
                      struct bytes name, struct bytes value)
{
    if (items->n == *cap) {
        size_t more = 2 * *cap;

        items->v = arena_grow(ctx->arena, items->v, *cap * sizeof(*items->v),
                              more * sizeof(*items->v));
        *cap = more;
    }
    items->v[items->n++] = (struct item){name, value};
}

static int items_add(struct ctx *ctx, struct items *items, size_t *cap,
                     const struct entity_prop *p)
{
    struct buf enc = BUF_IN(ctx->arena);
    int rc;

    if (items->n == INDEX_ROWS_MAX)
        return too_many(ctx, items->n);
    rc = value_encode(ctx, &enc, p->value);
    if (rc == 0)
        items_put(ctx, items, cap, p->name, buf_view(&enc));
    return rc;
}

static const char scatter_name[] = "__scatter__";

/* FNV-1a, and the bits mixed so that any of them may decide.  Stored: it never
 * changes. */
static uint64_t scatter_hash(struct bytes path)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < path.n; i++)
        h = (h ^ bytes_u8(path)[i]) * UINT64_C(0x100000001b3);
    h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 33;
}

bool index_scatter(struct arena *a, const struct key *key, struct bytes *value)
{
    enum { ONE_IN = 128 };
    uint64_t h = scatter_hash(key->path);
    struct buf b = BUF_IN(a);
    uint8_t text[7];

    if (h % ONE_IN != 0)
        return false;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (uint8_t)(h >> (8 * (7 - i)));
    buf_add_u8(&b, VALUE_STRING);
    key_put_escaped(&b, BYTES(text, sizeof(text)));
    *value = buf_view(&b);
    return true;
}

static int items_of(struct ctx *ctx, const struct key *key, struct bytes entity,
                    struct items *out)
{
    struct entity_indexed walk = ENTITY_INDEXED(ctx->arena, entity);
    struct bytes scatter;
    struct entity_prop p;
    size_t cap = 16;
    int rc;

    *out = (struct items){ARENA_ARRAY(ctx->arena, struct item, cap), 0};
    while (entity_indexed_next(&walk, &p)) {
        rc = items_add(ctx, out, &cap, &p);
        if (rc)
            return rc;
    }
    if (walk.bad)
        return ctx_err(ctx, ERR_MALFORMED, "the entity is malformed");
    if (index_scatter(ctx->arena, key, &scatter))
        items_put(ctx, out, &cap, bytes_str(scatter_name), scatter);
    items_sort(out);
    return 0;
}

/* The run of `name` in `items`. */
static struct items items_named(const struct items *items, struct bytes name)
{
    size_t from = 0, to;

    while (from < items->n && bytes_cmp(items->v[from].name, name) < 0)
        from++;
    to = from;
    while (to < items->n && bytes_eq(items->v[to].name, name))
        to++;
    return (struct items){items->v + from, to - from};
}

/* ---- rows ---- */

static const uint8_t multi_flag[] = {INDEX_ROW_MULTI};
static const uint8_t hidden_flag[] = {INDEX_ROW_HIDDEN};

static struct bytes flags(bool multi)
{
    return multi ? BYTES(multi_flag, 1) : BYTES("", 0);
}

static int row_add(struct ctx *ctx, struct index_rows *rows,
                   struct bytes partition, struct bytes row, struct bytes value)
{
    if (rows->n == INDEX_ROWS_MAX + rows->free)
        return too_many(ctx, rows->n - rows->free);
    if (rows->n == rows->cap) {
        size_t more = rows->cap ? 2 * rows->cap : 32;

        rows->rows =
            arena_grow(ctx->arena, rows->rows, rows->cap * sizeof(*rows->rows),
                       more * sizeof(*rows->rows));
        rows->cap = more;
    }
    rows->rows[rows->n++] = (struct index_row){{partition, row}, value};
    return 0;
}

/* The parts one after the other. */
static struct bytes join(struct arena *a, const struct bytes *parts, size_t n)
{
    size_t size = 0;
    uint8_t *p, *at;

    for (size_t i = 0; i < n; i++)
        size += parts[i].n;
    p = at = arena_alloc(a, size);
    for (size_t i = 0; i < n; i++) {
        if (parts[i].n)
            memcpy(at, parts[i].p, parts[i].n);
        at += parts[i].n;
    }
    return BYTES(p, size);
}

#define JOIN(a_, ...)                                                          \
    join((a_), (const struct bytes[]){__VA_ARGS__},                            \
         sizeof((const struct bytes[]){__VA_ARGS__}) / sizeof(struct bytes))

struct bytes index_property_prefix(struct arena *a, struct bytes kind,
                                   struct bytes property)
{
    struct buf b = BUF_IN(a);

    key_put_escaped(&b, kind);
    key_put_escaped(&b, property);
    return buf_view(&b);
}

struct bytes index_composite_prefix(struct arena *a,
                                    const struct index_def *def,
                                    struct bytes ancestor)
{
    struct buf b = BUF_IN(a);

    buf_add_be64(&b, (uint64_t)def->id);
    if (def->ancestor) {
        buf_add(&b, ancestor);
        buf_add_u8(&b, 0); /* below any kind: a deeper ancestor is another */
    }
    return buf_view(&b);
}

/* Sorted as they are made: the items are, and escaping keeps order. */
static int property_rows(struct ctx *ctx, const struct key *key,
                         struct bytes partition, const struct items *items,
                         struct index_rows *out)
{
    struct bytes prefix = BYTES_NONE, last = BYTES_NONE;
    bool multi = false;
    int rc = 0;

    for (size_t i = 0; i < items->n && rc == 0; i++) {
        const struct item *it = &items->v[i];
        bool again = i > 0 && bytes_eq(it->name, last);
        bool hidden = bytes_eq_str(it->name, scatter_name);

        if (!again) {
            prefix = index_property_prefix(ctx->arena, key->kind, it->name);
            last = it->name;
            multi = i + 1 < items->n && bytes_eq(items->v[i + 1].name, last);
        }
        out->free += hidden;
        rc = row_add(ctx, out, partition,
                     JOIN(ctx->arena, prefix, it->value, key->path),
                     hidden ? BYTES(hidden_flag, 1) : flags(multi));
    }
    return rc;
}

/* The work of one composite index on one entity. */
struct composite {
    const struct index_def *def;
    const struct key *key;
    struct bytes partition;
    struct items *columns; /* the values of each column, flipped where desc */
    size_t *at;            /* the combination: an odometer over them */
    bool multi;
    size_t *bytes; /* all composite rows of the entity so far */
    struct index_rows *out;
};

static struct items flip_items(struct arena *a, struct items in)
{
    struct items out = {ARENA_ARRAY(a, struct item, in.n), in.n};

    for (size_t i = 0; i < in.n; i++) {
        struct bytes v = in.v[i].value;
        uint8_t *p = arena_alloc(a, v.n);

        memcpy(p, v.p, v.n);
        value_flip(p, v.n);
        out.v[i].value = BYTES(p, v.n);
    }
    return out;
}

static struct items key_item(struct arena *a, const struct key *key)
{
    struct items out = {ARENA_ARRAY(a, struct item, 1), 1};
    struct buf b = BUF_IN(a);

    buf_add_u8(&b, VALUE_REFERENCE);
    key_put_escaped(&b, key->app);
    key_put_escaped(&b, key->space);
    buf_add(&b, key->path);
    buf_add_u8(&b, 0);
    out.v[0].value = buf_view(&b);
    return out;
}

/* False when a column has no value: then the entity is not in the index. */
static bool composite_columns(struct arena *a, struct composite *c,
                              const struct items *items)
{
    c->columns = ARENA_ARRAY(a, struct items, c->def->n);
    c->at = ARENA_ARRAY(a, size_t, c->def->n);
    c->multi = false;
    for (size_t i = 0; i < c->def->n; i++) {
        const struct index_column *col = &c->def->columns[i];
        struct items v = bytes_eq_str(col->name, "__key__")
                             ? key_item(a, c->key)
                             : items_named(items, col->name);

        if (v.n == 0)
            return false;
        c->multi |= v.n > 1;
        c->columns[i] = col->desc ? flip_items(a, v) : v;
    }
    return true;
}

static bool composite_next(struct composite *c)
{
    for (size_t i = c->def->n; i-- > 0;) {
        if (++c->at[i] < c->columns[i].n)
            return true;
        c->at[i] = 0;
    }
    return false;
}

static int composite_row(struct ctx *ctx, struct composite *c,
                         struct bytes ancestor)
{
    struct bytes *parts = ARENA_ARRAY(ctx->arena, struct bytes, c->def->n + 2);
    struct bytes row;
    size_t n = 0;

    parts[n++] = index_composite_prefix(ctx->arena, c->def, ancestor);
    for (size_t i = 0; i < c->def->n; i++)
        parts[n++] = c->columns[i].v[c->at[i]].value;
    parts[n++] = c->key->path;
    row = join(ctx->arena, parts, n);
    *c->bytes += row.n;
    if (*c->bytes > INDEX_COMPOSITE_BYTES)
        return ctx_err(ctx, ERR_INVALID,
                       "The composite index entries of the entity pass %d "
                       "bytes.",
                       INDEX_COMPOSITE_BYTES);
    return row_add(ctx, c->out, c->partition, row, flags(c->multi));
}

/* One row, or one for each ancestor and the entity itself. */
static int composite_rows_of_values(struct ctx *ctx, struct composite *c)
{
    struct bytes path = c->key->path;
    size_t n = 0;
    int rc = 0;

    if (!c->def->ancestor)
        return composite_row(ctx, c, BYTES_NONE);
    while (n < path.n && rc == 0) {
        n += key_path_first(bytes_from(path, n));
        rc = composite_row(ctx, c, BYTES(path.p, n));
    }
    return rc;
}

static int composite_rows(struct ctx *ctx, struct composite *c,
                          const struct items *items)
{
    int rc;

    if (c->def->state == INDEX_DELETED || c->def->state == INDEX_ERROR ||
        !composite_columns(ctx->arena, c, items))
        return 0;
    do {
        rc = composite_rows_of_values(ctx, c);
    } while (rc == 0 && composite_next(c));
    return rc;
}

static int row_cmp(const void *x, const void *y)
{
    const struct index_row *a = x, *b = y;
    int d = 0;

    if (a->key.partition.p != b->key.partition.p)
        d = bytes_cmp(a->key.partition, b->key.partition);
    return d ? d : bytes_cmp(a->key.row, b->key.row);
}

/*
 * The rows of an entity that is stored.  An index whose rows of it pass the
 * limits alone has none: it is being built and has not come to it, or it is
 * about to fail.  All of them together may pass, where indexes came later.
 */
static int stored_composite(struct ctx *ctx, struct composite *c,
                            const struct items *items)
{
    size_t before = c->out->n;
    int rc;

    *c->bytes = 0;
    c->out->free = before;
    rc = composite_rows(ctx, c, items);
    if (rc == ERR_INVALID) {
        ctx_err_clear(ctx);
        c->out->n = before;
        rc = 0;
    }
    return rc;
}

static int all_composites(struct ctx *ctx, const struct index_def *defs,
                          size_t n, const struct key *key,
                          const struct items *items, bool stored,
                          struct index_rows *out)
{
    size_t bytes = 0;
    struct composite c = {
        .key = key,
        .bytes = &bytes,
        .out = out,
        .partition =
            key_partition(ctx->arena, key->app, key->space, KEY_COMPOSITES),
    };
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        c.def = &defs[i];
        rc = stored ? stored_composite(ctx, &c, items)
                    : composite_rows(ctx, &c, items);
    }
    if (out->n > 1)
        qsort(out->rows, out->n, sizeof(*out->rows), row_cmp);
    return rc;
}

int index_rows_of_def(struct ctx *ctx, const struct index_def *def,
                      const struct key *key, struct bytes entity,
                      struct index_rows *out)
{
    struct items items;
    int rc = items_of(ctx, key, entity, &items);

    *out = (struct index_rows){0};
    return rc ? rc : all_composites(ctx, def, 1, key, &items, false, out);
}

/* Composites, kinds, properties: the order of their letters. */
static int rows_of(struct ctx *ctx, const struct index_set *set,
                   const struct key *key, struct bytes entity, bool stored,
                   struct index_rows *out)
{
    struct bytes partition =
        key_partition(ctx->arena, key->app, key->space, KEY_KINDS);
    const struct index_def *defs;
    struct items items;
    size_t n;
    int rc;

    *out = (struct index_rows){0};
    rc = items_of(ctx, key, entity, &items);
    if (rc)
        return rc;
    defs = index_set_kind(set, key->kind, &n);
    if (n > 0)
        rc = all_composites(ctx, defs, n, key, &items, stored, out);
    if (stored)
        out->free = out->n;
    out->free++;
    if (rc == 0)
        rc = row_add(
            ctx, out, partition,
            JOIN(ctx->arena, key_kind_prefix(ctx->arena, key->kind), key->path),
            flags(false));
    if (rc)
        return rc;
    partition = key_partition_of(ctx->arena, partition, KEY_PROPERTIES);
    return property_rows(ctx, key, partition, &items, out);
}

int index_rows_of(struct ctx *ctx, const struct index_set *set,
                  const struct key *key, struct bytes entity,
                  struct index_rows *out)
{
    return rows_of(ctx, set, key, entity, false, out);
}

int index_rows_stored(struct ctx *ctx, const struct index_set *set,
                      const struct key *key, struct bytes entity,
                      struct index_rows *out)
{
    return rows_of(ctx, set, key, entity, true, out);
}

/* A property's row serves both directions, where Google keeps two; what is
 * hidden costs nothing. */
static size_t row_cost(const struct index_row *row)
{
    struct bytes p = row->key.partition;

    if (index_row_hidden(row->value))
        return 0;
    return bytes_u8(p)[p.n - 1] == KEY_PROPERTIES ? 2 : 1;
}

size_t index_rows_diff(struct storage_batch *b, const struct index_rows *old,
                       const struct index_rows *new_)
{
    size_t i = 0, j = 0, cost = 0;

    while (i < old->n || j < new_->n) {
        const struct index_row *x = i < old->n ? &old->rows[i] : NULL;
        const struct index_row *y = j < new_->n ? &new_->rows[j] : NULL;
        int d = !x ? 1 : !y ? -1 : row_cmp(x, y);

        if (d < 0) {
            storage_batch_delete(b, x->key);
            cost += row_cost(x);
        } else if (d > 0 || !bytes_eq(x->value, y->value)) {
            storage_batch_put(b, y->key, y->value);
            cost += row_cost(y);
        }
        i += d <= 0;
        j += d >= 0;
    }
    return cost;
}

bool index_property_split(struct bytes rest, struct bytes *value,
                          struct bytes *path)
{
    size_t n = value_size(rest, false);

    if (n == 0)
        return false;
    *value = BYTES(rest.p, n);
    *path = bytes_from(rest, n);
    return true;
}

bool index_composite_split(const struct index_def *def, struct bytes rest,
                           struct bytes *values, struct bytes *path)
{
    for (size_t i = 0; i < def->n; i++) {
        size_t n = value_size(rest, def->columns[i].desc);

        if (n == 0)
            return false;
        values[i] = BYTES(rest.p, n);
        rest = bytes_from(rest, n);
    }
    *path = rest;
    return true;
}

/* ---- sets ---- */

bool index_def_same(const struct index_def *a, const struct index_def *b)
{
    if (a->ancestor != b->ancestor || a->n != b->n ||
        !bytes_eq(a->kind, b->kind))
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (a->columns[i].desc != b->columns[i].desc ||
            !bytes_eq(a->columns[i].name, b->columns[i].name))
            return false;
    }
    return true;
}

struct index_def index_def_copy(struct arena *a, const struct index_def *def)
{
    struct index_def copy = *def;

    copy.kind = arena_dup(a, def->kind);
    copy.columns = ARENA_ARRAY(a, struct index_column, def->n + 1);
    for (size_t i = 0; i < def->n; i++)
        copy.columns[i] = (struct index_column){
            arena_dup(a, def->columns[i].name), def->columns[i].desc};
    return copy;
}

const struct index_def *index_set_kind(const struct index_set *set,
                                       struct bytes kind, size_t *n)
{
    size_t from = 0, to;

    while (from < set->n && bytes_cmp(set->defs[from].kind, kind) < 0)
        from++;
    to = from;
    while (to < set->n && bytes_eq(set->defs[to].kind, kind))
        to++;
    *n = to - from;
    return set->defs + from;
}
