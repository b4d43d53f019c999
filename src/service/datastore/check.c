/*
 * check - what an entity must be to be stored, in the order and the words of
 * Google's stub (its typing errors included: apps' tests know them).
 */
#include "base/utf8.h"
#include "engine/value.h"
#include "service/datastore/datastore_int.h"

static bool is_blob(int meaning)
{
    return meaning == MEANING_BLOB || meaning == MEANING_TEXT ||
           meaning == MEANING_ENTITY_PROTO;
}

static int check_name(struct ctx *ctx, struct bytes name)
{
    if (key_reserved(name))
        return ctx_err(ctx, ERR_INVALID,
                       "cannot store entity with reserved property name "
                       "'%.*s'",
                       BYTES_FMT(name));
    if (name.n == 0)
        return ctx_err(ctx, ERR_INVALID,
                       "The property name is the empty string.");
    if (name.n > DATASTORE_NAME_MAX)
        return ctx_err(ctx, ERR_INVALID,
                       "The property name is longer than %d bytes.",
                       DATASTORE_NAME_MAX);
    if (!utf8_valid(name))
        return ctx_err(ctx, ERR_INVALID,
                       "The property name is not valid UTF-8.");
    return 0;
}

static int check_meaning(struct ctx *ctx, const struct entity_prop *p,
                         const struct value *v)
{
    if (p->meaning == MEANING_INDEX_VALUE)
        return ctx_err(ctx, ERR_INVALID,
                       "Entities with incomplete properties cannot be "
                       "written.");
    if (!is_blob(p->meaning))
        return 0;
    if (p->indexed && p->meaning != MEANING_ENTITY_PROTO)
        return ctx_err(ctx, ERR_INVALID,
                       "BLOB, ENITY_PROTO or TEXT property %.*s must be in a "
                       "raw_property field",
                       BYTES_FMT(p->name));
    if (v->tag != VALUE_STRING)
        return ctx_err(ctx, ERR_INVALID,
                       "BLOB / ENTITY_PROTO / TEXT raw property %.*smust have "
                       "a string value",
                       BYTES_FMT(p->name));
    return 0;
}

static int check_string(struct ctx *ctx, const struct entity_prop *p,
                        struct bytes s)
{
    bool indexed = p->indexed && p->meaning != MEANING_ENTITY_PROTO;
    size_t max = p->meaning == MEANING_ATOM_LINK ? DATASTORE_LINK_MAX
                 : indexed                       ? DATASTORE_INDEXED_MAX
                                                 : DATASTORE_RAW_MAX;

    if (s.n > max)
        return ctx_err(ctx, ERR_INVALID,
                       "Property %.*s is too long. Maximum length is %zu.",
                       BYTES_FMT(p->name), max);
    if (!is_blob(p->meaning) && p->meaning != MEANING_BYTESTRING &&
        !utf8_valid(s))
        return ctx_err(ctx, ERR_INVALID,
                       "String property \"%.*s\" value is not valid UTF-8.",
                       BYTES_FMT(p->name));
    return 0;
}

static int check_value(struct ctx *ctx, const struct entity_prop *p,
                       const struct value *v)
{
    struct buf scratch = BUF_IN(ctx->arena);

    if (v->several)
        return ctx_err(ctx, ERR_INVALID,
                       "PropertyValue for %.*s has multiple value fields set",
                       BYTES_FMT(p->name));
    switch (v->tag) {
    case VALUE_STRING:
        return check_string(ctx, p, v->bytes);
    case VALUE_POINT:
    case VALUE_USER:
    case VALUE_REFERENCE:
        return value_encode(ctx, &scratch, p->value);
    default:
        return 0;
    }
}

static int check_property(struct ctx *ctx, const struct entity_prop *p,
                          bool *fix)
{
    struct value v;
    int rc;

    if (!value_read(p->value, &v))
        return datastore_malformed(ctx, "PutRequest");
    rc = check_name(ctx, p->name);
    if (rc == 0)
        rc = check_meaning(ctx, p, &v);
    if (rc == 0)
        rc = check_value(ctx, p, &v);
    *fix |= v.tag == VALUE_USER;
    return rc;
}

/*
 * What is indexed inside embedded entities, by the rules for what stands
 * outside.  Google's Python stub refuses such entities, its Java server and
 * SDK know them.
 */
static int check_embedded(struct ctx *ctx, struct bytes entity)
{
    struct entity_indexed walk = ENTITY_INDEXED(ctx->arena, entity);
    struct entity_prop p;
    bool fix = false;
    int rc = 0;

    while (rc == 0 && entity_indexed_next(&walk, &p)) {
        if (walk.depth)
            rc = check_property(ctx, &p, &fix);
    }
    if (rc == 0 && walk.bad)
        return ctx_err(ctx, ERR_INVALID,
                       "An embedded entity in an indexed property is malformed "
                       "or nested more than %d deep.",
                       ENTITY_NESTING_MAX);
    return rc;
}

/* Exactly one key and one entity_group, and the latter is right. */
static int check_frame(struct ctx *ctx, struct bytes entity,
                       const struct key *key, bool *fix)
{
    struct pb_reader r = PB_READER(entity);
    struct buf want = BUF_IN(ctx->arena);
    int keys = 0, groups = 0;

    key_write_path(&want, key_root(key));
    while (pb_next(&r)) {
        if (r.kind != PB_BYTES)
            continue;
        keys += r.field == 13;
        groups += r.field == 16;
        if (r.field == 16 && !bytes_eq(r.bytes, buf_view(&want)))
            *fix = true;
    }
    if (r.bad || keys != 1 || groups != 1)
        return datastore_malformed(ctx, "PutRequest");
    return 0;
}

int datastore_check_entity(struct ctx *ctx, struct bytes entity,
                           const struct key *key, bool *fix)
{
    struct entity_walk walk = ENTITY_WALK(entity);
    struct entity_prop p;
    bool embedded = false;
    int rc;

    *fix = false;
    if (entity.n > DATASTORE_ENTITY_MAX)
        return ctx_err(ctx, ERR_TOO_LARGE,
                       "The entity has %zu bytes; it may have %d.", entity.n,
                       DATASTORE_ENTITY_MAX);
    rc = check_frame(ctx, entity, key, fix);
    while (rc == 0 && entity_next(&walk, &p)) {
        rc = check_property(ctx, &p, fix);
        embedded |= p.indexed && p.meaning == MEANING_ENTITY_PROTO;
    }
    if (rc == 0 && walk.bad)
        return datastore_malformed(ctx, "PutRequest");
    return rc == 0 && embedded ? check_embedded(ctx, entity) : rc;
}

int datastore_check_kinds(struct ctx *ctx, const struct key *key)
{
    struct bytes path = key->path;
    struct key_elem e;

    while (key_path_next(ctx->arena, &path, &e)) {
        if (key_reserved(e.kind))
            return ctx_err(ctx, ERR_INVALID,
                           "The key path element kind \"%.*s\" is reserved.",
                           BYTES_FMT(e.kind));
    }
    return 0;
}
