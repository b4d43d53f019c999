/*
 * make - messages for the engine's tests, from a few words.
 *
 *     make_key(a, "Alpha", 5, NULL, "Beta", 0, "bob", NULL)
 *
 * is the Reference of app "shop" with path Alpha:5/Beta:'bob'; id 0 and no
 * name make an incomplete element.
 */
#ifndef TESTS_UNIT_ENGINE_MAKE_H
#define TESTS_UNIT_ENGINE_MAKE_H

#include "engine/entity.h"
#include "engine/value.h"
#include "test.h"
#include "wire/pb.h"

struct make_elem {
    const char *kind;
    int64_t id;
    const char *name;
};

static inline void make_path(struct buf *b, const struct make_elem *e,
                             uint32_t group)
{
    /* type, id and name follow the group's number in both messages */
    for (; e->kind; e++) {
        pb_put_tag(b, group, PB_GROUP);
        pb_put_bytes(b, group + 1, bytes_str(e->kind));
        if (e->id)
            pb_put_u64(b, group + 2, (uint64_t)e->id);
        if (e->name)
            pb_put_bytes(b, group + 3, bytes_str(e->name));
        pb_put_tag(b, group, PB_END_GROUP);
    }
}

static inline struct bytes make_ref_in(struct arena *a, const char *app,
                                       const char *space,
                                       const struct make_elem *e)
{
    struct buf path = BUF_IN(a), ref = BUF_IN(a);

    make_path(&path, e, 1);
    pb_put_bytes(&ref, 13, bytes_str(app));
    pb_put_bytes(&ref, 14, buf_view(&path));
    if (*space)
        pb_put_bytes(&ref, 20, bytes_str(space));
    return buf_view(&ref);
}

#define make_ref(a_, ...)                                                      \
    make_ref_in((a_), "shop", "", (const struct make_elem[]){__VA_ARGS__, {0}})

/* The contents of a PropertyValue. */
static inline struct bytes make_null(struct arena *a)
{
    return BYTES("", 0);
}

static inline struct bytes make_int(struct arena *a, int64_t v)
{
    struct buf b = BUF_IN(a);

    pb_put_u64(&b, VALUE_INT64, (uint64_t)v);
    return buf_view(&b);
}

static inline struct bytes make_bool(struct arena *a, bool v)
{
    struct buf b = BUF_IN(a);

    pb_put_u64(&b, VALUE_BOOL, v);
    return buf_view(&b);
}

static inline struct bytes make_bytes(struct arena *a, struct bytes v)
{
    struct buf b = BUF_IN(a);

    pb_put_bytes(&b, VALUE_STRING, v);
    return buf_view(&b);
}

static inline struct bytes make_str(struct arena *a, const char *s)
{
    return make_bytes(a, bytes_str(s));
}

static inline uint64_t make_bits(double v)
{
    uint64_t u;

    memcpy(&u, &v, sizeof(u));
    return u;
}

static inline struct bytes make_double(struct arena *a, double v)
{
    struct buf b = BUF_IN(a);

    pb_put_fixed64(&b, VALUE_DOUBLE, make_bits(v));
    return buf_view(&b);
}

static inline struct bytes make_point(struct arena *a, double x, double y)
{
    struct buf b = BUF_IN(a);

    pb_put_tag(&b, VALUE_POINT, PB_GROUP);
    pb_put_fixed64(&b, 6, make_bits(x));
    pb_put_fixed64(&b, 7, make_bits(y));
    pb_put_tag(&b, VALUE_POINT, PB_END_GROUP);
    return buf_view(&b);
}

/* As Go sends it: no gaiaid, no id. */
static inline struct bytes make_user(struct arena *a, const char *email,
                                     const char *nickname)
{
    struct buf b = BUF_IN(a);

    pb_put_tag(&b, VALUE_USER, PB_GROUP);
    pb_put_bytes(&b, 9, bytes_str(email));
    pb_put_bytes(&b, 10, BYTES_LIT("gmail.com"));
    if (nickname)
        pb_put_bytes(&b, 11, bytes_str(nickname));
    pb_put_tag(&b, VALUE_USER, PB_END_GROUP);
    return buf_view(&b);
}

static inline struct bytes make_refvalue_in(struct arena *a, const char *app,
                                            const char *space,
                                            const struct make_elem *e)
{
    struct buf b = BUF_IN(a);

    pb_put_tag(&b, VALUE_REFERENCE, PB_GROUP);
    pb_put_bytes(&b, 13, bytes_str(app));
    make_path(&b, e, 14);
    if (*space)
        pb_put_bytes(&b, 20, bytes_str(space));
    pb_put_tag(&b, VALUE_REFERENCE, PB_END_GROUP);
    return buf_view(&b);
}

#define make_refvalue(a_, ...)                                                 \
    make_refvalue_in((a_), "shop", "",                                         \
                     (const struct make_elem[]){__VA_ARGS__, {0}})

/* ---- entities ---- */

enum { MAKE_PROP = 14, MAKE_RAW = 15 };

static inline void make_prop(struct buf *entity, uint32_t field,
                             const char *name, int meaning, bool multiple,
                             struct bytes value)
{
    struct buf p = BUF_IN(entity->arena);

    if (meaning)
        pb_put_u64(&p, 1, (uint64_t)meaning);
    pb_put_bytes(&p, 3, bytes_str(name));
    pb_put_u64(&p, 4, multiple);
    pb_put_bytes(&p, 5, value);
    pb_put_bytes(entity, field, buf_view(&p));
}

/* Key and an empty entity_group, as SDKs begin an entity. */
static inline void make_entity(struct buf *entity, struct bytes reference)
{
    pb_put_bytes(entity, 13, reference);
    pb_put_bytes(entity, 16, BYTES("", 0));
}

#endif
