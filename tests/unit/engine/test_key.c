#include "engine/key.h"
#include "make.h"

static struct arena arena;
static struct ctx ctx;

static int setup(void **state)
{
    ctx_init(&ctx, &arena);
    ctx.app = BYTES_LIT("shop");
    return 0;
}

static int teardown(void **state)
{
    arena_release(&arena);
    return 0;
}

static struct key parse(struct bytes ref)
{
    struct key key;
    int rc = key_parse(&ctx, ref, &key);

    if (rc)
        fail_msg("%s", ctx_err_text(&ctx, rc));
    return key;
}

/* The order observed on the oracles, and ancestors. */
static void paths_sort_as_the_datastore_sorts_keys(void **state)
{
    const struct bytes sorted[] = {
        make_ref(&arena, {"A", 5}, {"KO", 1}),
        make_ref(&arena, {"KO", INT64_MIN}),
        make_ref(&arena, {"KO", -5}),
        make_ref(&arena, {"KO", -1}),
        make_ref(&arena, {"KO", 1}),
        make_ref(&arena, {"KO", 1}, {"A", 7}),
        make_ref(&arena, {"KO", 1}, {"KO", 1}),
        make_ref(&arena, {"KO", 1}, {"KO", 0, "z"}),
        make_ref(&arena, {"KO", 2}),
        make_ref(&arena, {"KO", 10}),
        make_ref(&arena, {"KO", INT64_C(1) << 53}),
        make_ref(&arena, {"KO", INT64_MAX}),
        make_ref(&arena, {"KO", 0, "\x01"}),
        make_ref(&arena, {"KO", 0, "\x01\x01"}),
        make_ref(&arena, {"KO", 0, "10"}),
        make_ref(&arena, {"KO", 0, "B"}),
        make_ref(&arena, {"KO", 0, "a"}),
        make_ref(&arena, {"KO", 0, "a"}, {"KO", 3}),
        make_ref(&arena, {"KO", 0, "a\x01"}),
        make_ref(&arena, {"KO", 0, "a!"}),
        make_ref(&arena, {"KO", 0, "\xc3\xa9"}),
        make_ref(&arena, {"KO!", 1}),
        make_ref(&arena, {"ZZ", 0, "q"}, {"KO", 1}),
    };

    for (size_t i = 0; i < sizeof(sorted) / sizeof(*sorted); i++) {
        for (size_t j = 0; j < sizeof(sorted) / sizeof(*sorted); j++) {
            int d = bytes_cmp(parse(sorted[i]).path, parse(sorted[j]).path);

            assert_int_equal((d > 0) - (d < 0), (i > j) - (i < j));
        }
    }
}

static void an_ancestor_is_a_prefix_of_its_descendants_alone(void **state)
{
    struct key a = parse(make_ref(&arena, {"K", 0, "a"}));
    struct key in = parse(make_ref(&arena, {"K", 0, "a"}, {"K", 1}));
    struct key out = parse(make_ref(&arena, {"K", 0, "ab"}));

    assert_true(bytes_starts(in.path, a.path));
    assert_false(bytes_starts(out.path, a.path));
    assert_int_equal(in.root_n, a.path.n);
    assert_int_equal(in.last_n, a.path.n);
    assert_int_equal(key_path_first(in.path), a.path.n);
    assert_int_equal(in.depth, 2);
}

static void a_path_decodes_to_the_reference_it_came_from(void **state)
{
    const struct bytes refs[] = {
        make_ref(&arena, {"K", 1}),
        make_ref(&arena, {"K", 0, "n\x01\x02"}, {"\x01k", -7}),
        make_ref_in(&arena, "s~shop", "space.1",
                    (const struct make_elem[]){{"K", 0, "x"}, {0}}),
    };

    for (size_t i = 0; i < sizeof(refs) / sizeof(*refs); i++) {
        struct key key = parse(refs[i]);
        struct buf out = BUF_IN(&arena);

        key_write_reference(&out, key.app, key.space, key.path);
        assert_bytes(buf_view(&out), refs[i]);
    }
}

static void an_incomplete_key_is_completed_with_an_id(void **state)
{
    struct key key = parse(make_ref(&arena, {"P", 3}, {"K"}));
    struct key want = parse(make_ref(&arena, {"P", 3}, {"K", 99}));

    assert_false(key.complete);
    assert_int_equal(key_need_complete(&ctx, &key), ERR_INVALID);
    assert_string_equal(ctx_err_text(&ctx, 0), "missing key id/name");
    ctx_err_clear(&ctx);
    key_complete(&arena, &key, 99);
    assert_true(key.complete);
    assert_bytes(key.path, want.path);
    key = parse(make_ref(&arena, {"K"}));
    key_complete(&arena, &key, 99);
    assert_bytes(key_root(&key), key.path);
}

static void a_key_value_and_a_reference_have_one_path(void **state)
{
    struct bytes pv = make_refvalue(&arena, {"K", 1}, {"L", 0, "x"});
    struct key want = parse(make_ref(&arena, {"K", 1}, {"L", 0, "x"}));
    struct value v;
    struct key key;

    assert_true(value_read(pv, &v));
    assert_int_equal(key_parse_value(&ctx, v.bytes, &key), 0);
    assert_bytes(key.path, want.path);
    assert_bytes(key.kind, BYTES_LIT("L"));
}

static void bad_keys_are_refused_with_the_datastores_sentence(void **state)
{
    char longest[KEY_NAME_MAX + 2];
    const struct make_elem plain[] = {{"K", 1}, {0}};

    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    const struct {
        struct bytes ref;
        const char *want;
        int code; /* 0: ERR_INVALID */
    } cases[] = {
        {make_ref_in(&arena, "other", "", plain),
         "app \"shop\" cannot access app \"other\"'s data"},
        {make_ref_in(&arena, "shop", "a b", plain),
         "The namespace \"a b\" is not of the form [0-9A-Za-z._-]{0,100}."},
        {make_ref(&arena, {0}), "key's path cannot be empty"},
        {make_ref(&arena, {"", 1}),
         "The key path element kind is the empty string."},
        {make_ref(&arena, {"K", 0, ""}),
         "The key path element name is the empty string."},
        {make_ref(&arena, {"K", 1, "x"}),
         "each key path element should have id or name but not both: K"},
        {make_ref(&arena, {"K", 0, longest}),
         "The key path element name is longer than 1500 bytes."},
        {make_ref(&arena, {longest, 1}),
         "The key path element kind is longer than 1500 bytes."},
        {make_ref(&arena, {"K", 0, "\xff"}),
         "The key path element is not valid UTF-8."},
        {make_ref(&arena, {"K", 0, "\xed\xa0\x80"}),
         "The key path element is not valid UTF-8."},
        {make_ref(&arena, {"K"}, {"L", 1}), "Incomplete key path element"},
        {BYTES_LIT("\x6a\x7f"), "the key is malformed", ERR_MALFORMED},
        {BYTES_LIT(""), "the key is malformed", ERR_MALFORMED},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct key key;

        ctx_err_clear(&ctx);
        assert_int_equal(key_parse(&ctx, cases[i].ref, &key),
                         cases[i].code ? cases[i].code : ERR_INVALID);
        assert_string_equal(ctx_err_text(&ctx, 0), cases[i].want);
    }
    ctx_err_clear(&ctx);
}

static void a_path_has_a_hundred_elements_at_most(void **state)
{
    struct make_elem deep[KEY_DEPTH_MAX + 2] = {{0}};
    struct key key;

    for (int i = 0; i < KEY_DEPTH_MAX; i++)
        deep[i] = (struct make_elem){"K", i + 1, NULL};
    assert_int_equal(
        key_parse(&ctx, make_ref_in(&arena, "shop", "", deep), &key), 0);
    deep[KEY_DEPTH_MAX] = (struct make_elem){"K", 1, NULL};
    assert_int_equal(
        key_parse(&ctx, make_ref_in(&arena, "shop", "", deep), &key),
        ERR_INVALID);
    ctx_err_clear(&ctx);
}

static void a_partition_forgets_how_the_app_was_spelt(void **state)
{
    struct bytes want = BYTES_LIT("shop\0n\0e");

    assert_bytes(
        key_partition(&arena, BYTES_LIT("shop"), BYTES_LIT("n"), KEY_ENTITIES),
        want);
    assert_bytes(key_partition(&arena, BYTES_LIT("s~shop"), BYTES_LIT("n"),
                               KEY_ENTITIES),
                 want);
    assert_bytes(key_partition_of(&arena, want, KEY_GROUPS),
                 BYTES_LIT("shop\0n\0g"));
}

static void escaping_keeps_order_and_decodes(void **state)
{
    uint8_t raw[2][6];
    unsigned seed = 1;

    for (int round = 0; round < 20000; round++) {
        struct buf enc[2] = {BUF_IN(&arena), BUF_IN(&arena)};
        struct bytes v[2], in, out;

        for (int i = 0; i < 2; i++) {
            size_t n = (size_t)rand_r(&seed) % sizeof(raw[i]);

            for (size_t j = 0; j < n; j++)
                raw[i][j] = (uint8_t)(rand_r(&seed) % 4);
            v[i] = BYTES(raw[i], n);
            key_put_escaped(&enc[i], v[i]);
            in = buf_view(&enc[i]);
            assert_true(key_take_escaped(&arena, &in, &out));
            assert_bytes(out, v[i]);
            assert_int_equal(in.n, 0);
        }
        int want = bytes_cmp(v[0], v[1]);
        int got = bytes_cmp(buf_view(&enc[0]), buf_view(&enc[1]));

        assert_int_equal((want > 0) - (want < 0), (got > 0) - (got < 0));
        arena_reset(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_sort_as_the_datastore_sorts_keys),
        cmocka_unit_test(an_ancestor_is_a_prefix_of_its_descendants_alone),
        cmocka_unit_test(a_path_decodes_to_the_reference_it_came_from),
        cmocka_unit_test(an_incomplete_key_is_completed_with_an_id),
        cmocka_unit_test(a_key_value_and_a_reference_have_one_path),
        cmocka_unit_test(bad_keys_are_refused_with_the_datastores_sentence),
        cmocka_unit_test(a_path_has_a_hundred_elements_at_most),
        cmocka_unit_test(a_partition_forgets_how_the_app_was_spelt),
        cmocka_unit_test(escaping_keeps_order_and_decodes),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
