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
