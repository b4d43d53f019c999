#include "entity.pb.h"

#include "make.h"

/* The walk over the bytes, held against upb's decoder. */
static struct arena arena;
static struct ctx ctx;

static int setup(void **state)
{
    wire_init();
    ctx_init(&ctx, &arena);
    return 0;
}

static int teardown(void **state)
{
    arena_release(&arena);
    return 0;
}

static struct bytes random_value(unsigned *seed)
{
    switch (rand_r(seed) % 6) {
    case 0:
        return make_null(&arena);
    case 1:
        return make_int(&arena, rand_r(seed));
    case 2:
        return make_str(&arena, "text");
    case 3:
        return make_double(&arena, 1.5);
    case 4:
        return make_point(&arena, 1, 2);
    default:
        return make_refvalue(&arena, {"K", 1 + rand_r(seed)}, {"L", 0, "x"});
    }
}

static void compare(const struct entity_prop *p,
                    const struct entity_Property *want)
{
    struct bytes value;

    assert_bytes(p->name, entity_Property_name(want));
    assert_int_equal(p->meaning, entity_Property_meaning(want));
    assert_int_equal(p->multiple, entity_Property_multiple(want));
    assert_int_equal(
        entity_PropertyValue_encode(&ctx, entity_Property_value(want), &value),
        0);
    assert_bytes(p->value, value);
}

static void the_walk_sees_what_upb_sees(void **state)
{
    unsigned seed = 3;

    for (int round = 0; round < 300; round++) {
        struct buf e = BUF_IN(&arena);
        const struct entity_EntityProto *m;
        struct entity_prop p;
        size_t indexed = 0, raw = 0;

        make_entity(&e, make_ref(&arena, {"K", 1}));
        for (int n = rand_r(&seed) % 10; n > 0; n--)
            make_prop(&e, rand_r(&seed) % 2 ? MAKE_PROP : MAKE_RAW, "name",
                      rand_r(&seed) % 18, rand_r(&seed) % 2,
                      random_value(&seed));
        m = entity_EntityProto_decode(&ctx, buf_view(&e));
        assert_non_null(m);
        struct entity_walk w = ENTITY_WALK(buf_view(&e));
        while (entity_next(&w, &p))
            compare(&p, p.indexed ? entity_EntityProto_property(m, indexed++)
                                  : entity_EntityProto_raw_property(m, raw++));
        assert_false(w.bad);
        assert_int_equal(indexed, entity_EntityProto_n_property(m));
        assert_int_equal(raw, entity_EntityProto_n_raw_property(m));
    }
}

static void a_cut_entity_is_bad(void **state)
{
    struct buf e = BUF_IN(&arena);
    struct entity_prop p;

    make_entity(&e, make_ref(&arena, {"K", 1}));
    size_t at = e.n;
    make_prop(&e, MAKE_PROP, "name", 0, false, make_str(&arena, "text"));
    for (size_t n = at + 1; n < e.n; n++) {
        struct entity_walk w = ENTITY_WALK(BYTES(e.p, n));

        assert_false(entity_next(&w, &p));
        assert_true(w.bad);
    }
}

static void a_property_needs_name_value_and_multiple(void **state)
{
    for (int missing = 0; missing < 4; missing++) {
        struct buf in = BUF_IN(&arena);
        struct entity_prop p = {0};

        if (missing != 0)
            pb_put_bytes(&in, 3, BYTES_LIT("n"));
        if (missing != 1)
            pb_put_u64(&in, 4, 0);
        if (missing != 2)
            pb_put_bytes(&in, 5, BYTES_LIT(""));
        assert_int_equal(entity_prop_read(buf_view(&in), &p), missing == 3);
    }
}

/* An entity inside a property, n deep: {p: {p: ... {p: 7}}}. */
static struct bytes nested(int n)
{
    struct buf e = BUF_IN(&arena);

    if (n == 0) {
        make_prop(&e, MAKE_PROP, "p", 0, false, make_int(&arena, 7));
    } else {
        make_prop(&e, MAKE_PROP, "p", MEANING_ENTITY_PROTO, false,
                  make_bytes(&arena, nested(n - 1)));
    }
    return buf_view(&e);
}

static void the_walk_over_what_is_indexed_enters_embedded_entities(void **state)
{
    struct bytes text = make_str(&arena, "text");
    struct buf e = BUF_IN(&arena), in = BUF_IN(&arena), none = BUF_IN(&arena);
    struct bytes ref = make_ref(&arena, {"Inner", 0, "i"});

    pb_put_bytes(&none, 13, BYTES_LIT("")); /* a key, but no path */
    pb_put_bytes(&in, 13, ref);
    make_prop(&in, MAKE_PROP, "n", 0, true, make_int(&arena, 1));
    make_prop(&in, MAKE_RAW, "t", MEANING_TEXT, false, text);
    make_prop(&in, MAKE_PROP, "e", MEANING_ENTITY_PROTO, false,
              make_bytes(&arena, nested(1)));
    make_prop(&in, MAKE_PROP, "n", 0, true, make_int(&arena, 2));
    make_entity(&e, make_ref(&arena, {"K", 1}));
    make_prop(&e, MAKE_PROP, "a", 0, false, text);
    make_prop(&e, MAKE_PROP, "o", MEANING_ENTITY_PROTO, false,
              make_bytes(&arena, buf_view(&in)));
    make_prop(&e, MAKE_PROP, "l", MEANING_EMPTY_LIST, false, make_null(&arena));
    make_prop(&e, MAKE_PROP, "x", MEANING_ENTITY_PROTO, false,
              make_bytes(&arena, buf_view(&none)));
    make_prop(&e, MAKE_RAW, "r", MEANING_ENTITY_PROTO, false,
              make_bytes(&arena, buf_view(&in)));
    make_prop(&e, MAKE_PROP, "z", 0, false, text);

    const struct {
        const char *name;
        struct bytes value;
    } want[] = {
        {"a", text},
        {"o.__key__", make_refvalue(&arena, {"Inner", 0, "i"})},
        {"o.n", make_int(&arena, 1)},
        {"o.e.p.p", make_int(&arena, 7)},
        {"o.n", make_int(&arena, 2)},
        {"z", text},
    };
    struct entity_indexed w = ENTITY_INDEXED(&arena, buf_view(&e));
    struct entity_prop p;
    for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
        struct buf got = BUF_IN(&arena), expected = BUF_IN(&arena);

        assert_true(entity_indexed_next(&w, &p));
        assert_bytes(p.name, bytes_str(want[i].name));
        assert_int_equal(value_encode(&ctx, &got, p.value), 0);
        assert_int_equal(value_encode(&ctx, &expected, want[i].value), 0);
        assert_bytes(buf_view(&got), buf_view(&expected));
    }
    assert_false(entity_indexed_next(&w, &p));
    assert_false(w.bad);
}

static void embedded_entities_nest_only_so_deep(void **state)
{
    for (int n = ENTITY_NESTING_MAX; n <= ENTITY_NESTING_MAX + 1; n++) {
        struct entity_indexed w = ENTITY_INDEXED(&arena, nested(n));
        struct entity_prop p;
        bool good = n <= ENTITY_NESTING_MAX;

        assert_int_equal(entity_indexed_next(&w, &p), good);
        assert_int_equal(w.bad, !good);
    }
}

static void what_is_no_embedded_entity_is_bad(void **state)
{
    struct bytes whole = nested(0);
    const struct bytes values[] = {
        make_int(&arena, 1),
        make_null(&arena),
        make_bytes(&arena, BYTES(whole.p, whole.n - 1)),
    };

    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        struct buf e = BUF_IN(&arena);
        struct entity_prop p;

        make_prop(&e, MAKE_PROP, "p", MEANING_ENTITY_PROTO, false, values[i]);
        struct entity_indexed w = ENTITY_INDEXED(&arena, buf_view(&e));
        assert_false(entity_indexed_next(&w, &p));
        assert_true(w.bad);
    }
}

static void a_row_gives_back_version_and_entity(void **state)
{
    struct buf row = BUF_IN(&arena);
    struct entity_row out;

    entity_row_write(&row, INT64_C(1795358776485000), BYTES_LIT("entity"));
    assert_true(entity_row_read(buf_view(&row), &out));
    assert_true(out.version == INT64_C(1795358776485000));
    assert_bytes(out.entity, BYTES_LIT("entity"));
    row.p[0] = 9;
    assert_false(entity_row_read(buf_view(&row), &out));
    assert_false(entity_row_read(BYTES_LIT("\1short"), &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_walk_sees_what_upb_sees),
        cmocka_unit_test(a_cut_entity_is_bad),
        cmocka_unit_test(a_property_needs_name_value_and_multiple),
        cmocka_unit_test(
            the_walk_over_what_is_indexed_enters_embedded_entities),
        cmocka_unit_test(embedded_entities_nest_only_so_deep),
        cmocka_unit_test(what_is_no_embedded_entity_is_bad),
        cmocka_unit_test(a_row_gives_back_version_and_entity),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
