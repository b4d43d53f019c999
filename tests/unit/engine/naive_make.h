/*
 * naive_make - what naive.h has as structs, as messages of datastore_v3.
 */
#ifndef TESTS_UNIT_ENGINE_NAIVE_MAKE_H
#define TESTS_UNIT_ENGINE_NAIVE_MAKE_H

#include "ask.h"
#include "naive.h"

static inline void naive_put_elems(struct buf *b, const struct naive_key *key,
                                   uint32_t group)
{
    for (int i = 0; i < key->n; i++) {
        const struct naive_elem *e = &key->e[i];

        pb_put_tag(b, group, PB_GROUP);
        pb_put_bytes(b, group + 1, e->kind);
        if (e->named)
            pb_put_bytes(b, group + 3, e->name);
        else
            pb_put_u64(b, group + 2, (uint64_t)e->id);
        pb_put_tag(b, group, PB_END_GROUP);
    }
}

static inline struct bytes naive_reference(struct arena *a,
                                           const struct naive_key *key)
{
    struct buf path = BUF_IN(a), ref = BUF_IN(a);

    naive_put_elems(&path, key, 1);
    pb_put_bytes(&ref, 13, BYTES_LIT("shop"));
    pb_put_bytes(&ref, 14, buf_view(&path));
    if (key->space.n)
        pb_put_bytes(&ref, 20, key->space);
    return buf_view(&ref);
}

static inline struct bytes naive_pv(struct arena *a,
                                    const struct naive_value *v)
{
    struct buf b = BUF_IN(a);

    switch (v->type) {
    case NAIVE_NULL:
        return make_null(a);
    case NAIVE_INT:
        return make_int(a, v->i);
    case NAIVE_BOOL:
        return make_bool(a, v->i);
    case NAIVE_STRING:
        return make_bytes(a, v->s);
    case NAIVE_DOUBLE:
        return make_double(a, v->x);
    case NAIVE_POINT:
        return make_point(a, v->x, v->y);
    case NAIVE_USER:
        return make_user(a, arena_cstr(a, v->s), NULL);
    case NAIVE_REFERENCE:
        pb_put_tag(&b, VALUE_REFERENCE, PB_GROUP);
        pb_put_bytes(&b, 13, BYTES_LIT("shop"));
        naive_put_elems(&b, v->key, 14);
        if (v->key->space.n)
            pb_put_bytes(&b, 20, v->key->space);
        pb_put_tag(&b, VALUE_REFERENCE, PB_END_GROUP);
        return buf_view(&b);
    }
    abort();
}

static inline struct bytes naive_message(struct arena *a,
                                         const struct naive_entity *e)
{
    struct buf out = BUF_IN(a);

    make_entity(&out, naive_reference(a, &e->key));
    for (int i = 0; i < e->n; i++) {
        const struct naive_prop *p = &e->props[i];

        make_prop(&out, p->raw ? MAKE_RAW : MAKE_PROP, naive_names[p->name], 0,
                  p->multiple, naive_pv(a, &p->value));
    }
    return buf_view(&out);
}

static inline const char *naive_name(int name)
{
    return name == NAIVE_KEY ? "__key__" : naive_names[name];
}

static inline struct bytes naive_query_message(struct arena *a,
                                               const struct naive_query *q)
{
    struct buf b = BUF_IN(a);

    pb_put_bytes(&b, 1, BYTES_LIT("shop"));
    if (!q->kindless)
        pb_put_bytes(&b, 3, q->kind);
    if (q->space.n)
        pb_put_bytes(&b, 29, q->space);
    if (q->ancestor)
        pb_put_bytes(&b, 17, naive_reference(a, q->ancestor));
    for (int i = 0; i < q->n_filters; i++)
        ask_filter(&b, q->filters[i].op, naive_name(q->filters[i].name),
                   naive_pv(a, &q->filters[i].value), 1);
    for (int i = 0; i < q->n_orders; i++)
        ask_order(&b, arena_printf(a, "%s%s", q->orders[i].desc ? "-" : "",
                                   naive_name(q->orders[i].name)));
    for (int i = 0; i < q->projection.n; i++)
        pb_put_bytes(&b, 33, bytes_str(naive_name(q->projection.v[i])));
    for (int i = 0; i < q->group.n; i++)
        pb_put_bytes(&b, 34, bytes_str(naive_name(q->group.v[i])));
    if (q->keys_only)
        pb_put_u64(&b, 21, 1);
    return buf_view(&b);
}

#endif
