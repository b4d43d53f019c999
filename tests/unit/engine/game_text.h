/*
 * game_text - results and queries as text, to compare and to show.
 */
#ifndef TESTS_UNIT_ENGINE_GAME_TEXT_H
#define TESTS_UNIT_ENGINE_GAME_TEXT_H

#include "naive_make.h"

/* ---- rows as text ---- */

static inline void game_text_bytes(struct buf *b, struct bytes v)
{
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = bytes_u8(v)[i];

        if (c > ' ' && c < 0x7f)
            buf_add_u8(b, c);
        else
            buf_printf(b, "\\%02x", c);
    }
}

/* The elements of a Path or of a reference value. */
static inline void game_text_path(struct buf *b, struct bytes in,
                                  uint32_t group)
{
    struct pb_reader r = PB_READER(in);

    while (pb_next(&r)) {
        struct pb_reader e = PB_READER(r.bytes);

        if (r.field != group)
            continue;
        buf_add_u8(b, '/');
        while (pb_next(&e)) {
            if (e.field == group + 2)
                buf_printf(b, ":%lld", (long long)e.u64);
            else if (e.field == group + 3)
                buf_add_u8(b, '\'');
            if (e.field == group + 1 || e.field == group + 3)
                game_text_bytes(b, e.bytes);
        }
    }
}

static inline void game_text_ref(struct buf *b, struct bytes ref)
{
    struct pb_reader r = PB_READER(ref);

    while (pb_next(&r)) {
        if (r.field == 20 && r.bytes.n)
            buf_printf(b, "{%.*s}", BYTES_FMT(r.bytes));
    }
    r = (struct pb_reader)PB_READER(ref);
    while (pb_next(&r)) {
        if (r.field == 14)
            game_text_path(b, r.bytes, 1);
    }
}

/* Every field of the value, but what the engine adds to a user. */
static inline void game_text_pv(struct buf *b, struct bytes pv)
{
    struct pb_reader r = PB_READER(pv), g;

    while (pb_next(&r)) {
        buf_printf(b, "%u:", r.field);
        if (r.field == VALUE_STRING) {
            game_text_bytes(b, r.bytes);
        } else if (r.field == VALUE_REFERENCE) {
            g = (struct pb_reader)PB_READER(r.bytes);
            while (pb_next(&g)) {
                if (g.field == 20 && g.bytes.n)
                    buf_printf(b, "{%.*s}", BYTES_FMT(g.bytes));
            }
            game_text_path(b, r.bytes, 14);
        } else if (r.kind == PB_GROUP) {
            g = (struct pb_reader)PB_READER(r.bytes);
            while (pb_next(&g)) {
                if (g.field == 9 && g.kind == PB_BYTES)
                    game_text_bytes(b, g.bytes);
                else if (g.kind == PB_FIXED64)
                    buf_printf(b, "%llx,", (unsigned long long)g.u64);
            }
        } else {
            buf_printf(b, "%llx", (unsigned long long)r.u64);
        }
    }
}

/* The properties in the order of their names: an index may have another. */
static inline void game_text_props(struct buf *b, struct bytes entity)
{
    for (int name = 0; name < NAIVE_NAMES; name++) {
        struct entity_walk w = ENTITY_WALK(entity);
        struct entity_prop p;

        while (entity_next(&w, &p)) {
            if (!bytes_eq_str(p.name, naive_names[name]))
                continue;
            buf_printf(b, " %s=", naive_names[name]);
            game_text_pv(b, p.value);
        }
    }
}

static inline const char *game_result_text(struct arena *a, struct bytes entity)
{
    struct buf b = BUF_IN(a);
    struct bytes ref;

    assert_true(entity_key(entity, &ref));
    game_text_ref(&b, ref);
    game_text_props(&b, entity);
    return buf_cstr(&b);
}

/* What naive.h wants, as the message of it would be shown. */
static inline const char *game_row_text(struct arena *a,
                                        const struct naive_result *r,
                                        const struct naive_row *row)
{
    const struct naive_query *q = r->q;
    struct buf b = BUF_IN(a), e = BUF_IN(a);

    game_text_ref(&b, naive_reference(a, &row->entity->key));
    if (q->keys_only)
        return buf_cstr(&b);
    if (!q->projection.n)
        return game_result_text(a, naive_message(a, row->entity));
    for (int i = 0; i < r->n_columns; i++) {
        int name = r->columns[i].name;

        if (naive_has(&q->projection, name))
            make_prop(&e, MAKE_PROP, naive_names[name], 0, false,
                      naive_pv(a, &row->values[i]));
    }
    game_text_props(&b, buf_view(&e));
    return buf_cstr(&b);
}

/* ---- queries as text ---- */

static inline const char *game_query_text(struct arena *a,
                                          const struct naive_query *q)
{
    static const char *const ops[] = {"",   "<", "<=",   ">",
                                      ">=", "=", " IN ", " EXISTS "};
    struct buf b = BUF_IN(a);

    buf_printf(&b, "%.*s", BYTES_FMT(q->kindless ? BYTES_LIT("*") : q->kind));
    if (q->space.n)
        buf_printf(&b, " {%.*s}", BYTES_FMT(q->space));
    for (int i = 0; i < q->n_filters; i++) {
        const struct naive_filter *f = &q->filters[i];

        buf_printf(&b, " %s%s", naive_name(f->name), ops[f->op]);
        game_text_pv(&b, naive_pv(a, &f->value));
    }
    for (int i = 0; i < q->n_orders; i++)
        buf_printf(&b, "%s%s%s",
                   i ? "," : " order:", q->orders[i].desc ? "-" : "",
                   naive_name(q->orders[i].name));
    for (int i = 0; i < q->projection.n; i++)
        buf_printf(&b, "%s%s",
                   i ? "," : " project:", naive_name(q->projection.v[i]));
    for (int i = 0; i < q->group.n; i++)
        buf_printf(&b, "%s%s", i ? "," : " group:", naive_name(q->group.v[i]));
    if (q->ancestor) {
        buf_add_str(&b, " anc:");
        game_text_ref(&b, naive_reference(a, q->ancestor));
    }
    buf_add_str(&b, q->keys_only ? " keys" : "");
    return buf_cstr(&b);
}

#endif
