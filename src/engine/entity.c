/*
 * entity - the walk over an EntityProto, its row, and the rewriting of its
 * users.
 */
#include "engine/entity.h"

#include "engine/value.h"

/* Fields of EntityProto and of Property. */
enum {
    ENTITY_KEY = 13,
    ENTITY_PROPERTY = 14,
    ENTITY_RAW_PROPERTY = 15,
    ENTITY_GROUP = 16,
    PROP_MEANING = 1,
    PROP_NAME = 3,
    PROP_MULTIPLE = 4,
    PROP_VALUE = 5,
};

bool entity_prop_read(struct bytes in, struct entity_prop *p)
{
    struct pb_reader r = PB_READER(in);
    bool indexed = p->indexed, name = false, value = false, multiple = false;

    *p = (struct entity_prop){.whole = in, .indexed = indexed};
    while (pb_next(&r)) {
        if (r.field == PROP_NAME && r.kind == PB_BYTES) {
            p->name = r.bytes;
            name = true;
        } else if (r.field == PROP_VALUE && r.kind == PB_BYTES) {
            p->value = r.bytes;
            value = true;
        } else if (r.field == PROP_MULTIPLE && r.kind == PB_VARINT) {
            p->multiple = r.u64 != 0;
            multiple = true;
        } else if (r.field == PROP_MEANING && r.kind == PB_VARINT) {
            p->meaning = (int)r.u64;
        }
    }
    return !r.bad && name && value && multiple;
}

bool entity_next(struct entity_walk *w, struct entity_prop *p)
{
    while (pb_next(&w->r)) {
        if ((w->r.field != ENTITY_PROPERTY &&
             w->r.field != ENTITY_RAW_PROPERTY) ||
            w->r.kind != PB_BYTES)
            continue;
        p->indexed = w->r.field == ENTITY_PROPERTY;
        if (entity_prop_read(w->r.bytes, p))
            return true;
        w->bad = true;
        return false;
    }
    w->bad = w->r.bad;
    return false;
}

bool entity_key(struct bytes entity, struct bytes *reference)
{
    struct pb_reader r = PB_READER(entity);

    while (pb_next(&r)) {
        if (r.field == ENTITY_KEY && r.kind == PB_BYTES) {
            *reference = r.bytes;
            return true;
        }
    }
    return false;
}

/* ---- what of it is indexed ---- */

enum step { STEP_VALUE, STEP_ON, STEP_END, STEP_BAD };

static struct bytes indexed_name(const struct entity_indexed *w,
                                 struct bytes name, const char *end)
{
    struct buf b = BUF_IN(w->arena);

    buf_add(&b, w->prefix);
    buf_add(&b, name);
    buf_add(&b, bytes_str(end));
    return buf_view(&b);
}

/* Stand before the key of the entity that `p` holds. */
static enum step indexed_enter(struct entity_indexed *w,
                               const struct entity_prop *p)
{
    struct entity_indexed *around;
    struct value v;

    if (w->depth == ENTITY_NESTING_MAX || !value_read(p->value, &v) ||
        v.tag != VALUE_STRING)
        return STEP_BAD;
    around = ARENA_NEW(w->arena, struct entity_indexed);
    *around = *w;
    *w = (struct entity_indexed){
        .walk = ENTITY_WALK(v.bytes),
        .prefix = indexed_name(around, p->name, "."),
        .around = around,
        .arena = around->arena,
        .depth = around->depth + 1,
    };
    w->at_key = entity_key(v.bytes, &w->reference);
    return STEP_ON;
}

/* The key of an embedded entity as a value.  Java sends one without a path for
 * an entity that has none. */
static enum step indexed_key(struct entity_indexed *w, struct entity_prop *p)
{
    struct buf in = BUF_IN(w->arena), value = BUF_IN(w->arena);

    w->at_key = false;
    if (!key_put_value(&in, w->reference))
        return STEP_BAD;
    if (in.n == 0)
        return STEP_ON;
    pb_put_tag(&value, VALUE_REFERENCE, PB_GROUP);
    buf_add(&value, buf_view(&in));
    pb_put_tag(&value, VALUE_REFERENCE, PB_END_GROUP);
    *p = (struct entity_prop){
        .name = indexed_name(w, BYTES_LIT("__key__"), ""),
        .value = buf_view(&value),
        .indexed = true,
    };
    return STEP_VALUE;
}

/* A value inside an embedded entity.  A Put leaves the users there as they
 * came. */
static enum step indexed_inner(struct entity_indexed *w, struct entity_prop *p)
{
    struct buf fixed = BUF_IN(w->arena);

    p->name = indexed_name(w, p->name, "");
    value_fix_user(&fixed, w->arena, p->value);
    p->value = buf_view(&fixed);
    return STEP_VALUE;
}

static enum step indexed_step(struct entity_indexed *w, struct entity_prop *p)
{
    if (w->at_key)
        return indexed_key(w, p);
    if (!entity_next(&w->walk, p)) {
        if (w->walk.bad || !w->around)
            return w->walk.bad ? STEP_BAD : STEP_END;
        *w = *w->around;
        return STEP_ON;
    }
    if (!p->indexed || p->meaning == MEANING_EMPTY_LIST)
        return STEP_ON;
    if (p->meaning == MEANING_ENTITY_PROTO)
        return indexed_enter(w, p);
    return w->depth ? indexed_inner(w, p) : STEP_VALUE;
}

bool entity_indexed_next(struct entity_indexed *w, struct entity_prop *p)
{
    enum step step;

    do {
        step = indexed_step(w, p);
    } while (step == STEP_ON);
    w->bad = step == STEP_BAD;
    return step == STEP_VALUE;
}

/* ---- the row ---- */

bool entity_row_read(struct bytes row, struct entity_row *out)
{
    if (row.n < ENTITY_ROW_HEADER || bytes_u8(row)[0] != ENTITY_ROW_FORMAT)
        return false;
    out->version = (int64_t)get_be64(bytes_u8(row) + 1);
    out->entity = bytes_from(row, ENTITY_ROW_HEADER);
    return true;
}

void entity_row_write(struct buf *b, int64_t version, struct bytes entity)
{
    buf_reserve(b, ENTITY_ROW_HEADER + entity.n);
    buf_add_u8(b, ENTITY_ROW_FORMAT);
    buf_add_be64(b, (uint64_t)version);
    buf_add(b, entity);
}

/* ---- rewriting ---- */

static bool is_user(struct bytes property)
{
    struct entity_prop p = {0};
    struct value v;

    return entity_prop_read(property, &p) && value_read(p.value, &v) &&
           v.tag == VALUE_USER;
}

static void fix_property(struct buf *out, struct arena *a, uint32_t field,
                         struct bytes property)
{
    struct buf fixed = BUF_IN(a), value = BUF_IN(a);
    struct pb_reader r = PB_READER(property);

    while (pb_next(&r)) {
        if (r.field == PROP_VALUE && r.kind == PB_BYTES) {
            value_fix_user(&value, a, r.bytes);
            pb_put_bytes(&fixed, PROP_VALUE, buf_view(&value));
        } else {
            buf_add(&fixed, r.whole);
        }
    }
    pb_put_bytes(out, field, buf_view(&fixed));
}

void entity_rewrite(struct buf *out, struct arena *a, struct bytes entity,
                    const struct key *key)
{
    struct pb_reader r = PB_READER(entity);
    struct buf group = BUF_IN(a);

    key_write_path(&group, key_root(key));
    buf_reserve(out, entity.n + group.n + 64);
    while (pb_next(&r)) {
        switch (r.kind == PB_BYTES ? r.field : 0) {
        case ENTITY_KEY:
            key_put_field(out, ENTITY_KEY, key);
            break;
        case ENTITY_GROUP:
            pb_put_bytes(out, ENTITY_GROUP, buf_view(&group));
            break;
        case ENTITY_PROPERTY:
        case ENTITY_RAW_PROPERTY:
            if (is_user(r.bytes)) {
                fix_property(out, a, r.field, r.bytes);
                break;
            }
            /* fall through */
        default:
            buf_add(out, r.whole);
        }
    }
}
