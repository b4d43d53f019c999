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
        cmocka_unit_test(a_row_gives_back_version_and_entity),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
