#include "bed.h"

/* Rows of an entity, without an engine. */
static struct arena arena;
static struct ctx ctx;

static int setup(void **state)
{
    ctx_init(&ctx, &arena);
    return 0;
}

static int teardown(void **state)
{
    arena_release(&arena);
    return 0;
}

static struct key key_of(struct bytes ref)
{
    struct key key;

    assert_int_equal(key_parse(&ctx, ref, &key), 0);
    return key;
}

static struct index_rows rows_of(const struct index_set *set, struct bytes ref,
                                 struct buf *entity)
{
    struct key key = key_of(ref);
    struct index_rows rows;
    int rc = index_rows_of(&ctx, set, &key, buf_view(entity), &rows);

    if (rc)
        fail_msg("%s", ctx_err_text(&ctx, rc));
    return rows;
}

static size_t count(const struct index_rows *rows, enum key_table table)
{
    size_t n = 0;

    for (size_t i = 0; i < rows->n; i++) {
        struct bytes p = rows->rows[i].key.partition;

        n += bytes_u8(p)[p.n - 1] == table;
    }
    return n;
}

static const struct index_set no_indexes;

static struct index_set one_index(bool ancestor, struct index_column *columns,
                                  size_t n)
{
    struct index_def *def = ARENA_NEW(&arena, struct index_def);

    *def = (struct index_def){
        .id = 7,
        .kind = BYTES_LIT("K"),
        .ancestor = ancestor,
        .state = INDEX_READ_WRITE,
        .columns = columns,
        .n = n,
    };
    return (struct index_set){def, 1};
}

static void a_property_row_holds_its_value_and_path(void **state)
{
    struct bytes ref = make_ref(&arena, {"P", 1}, {"K", 0, "x"});
    struct buf e = BUF_IN(&arena), enc = BUF_IN(&arena);
    struct bytes prefix, value, path;
    struct index_rows rows;

    make_entity(&e, ref);
    make_prop(&e, MAKE_PROP, "p", 0, false, make_str(&arena, "v"));
    rows = rows_of(&no_indexes, ref, &e);
    assert_int_equal(rows.n, 2);
    prefix = index_property_prefix(&arena, BYTES_LIT("K"), BYTES_LIT("p"));
    assert_true(bytes_starts(rows.rows[1].key.row, prefix));
    assert_true(index_property_split(bytes_from(rows.rows[1].key.row, prefix.n),
                                     &value, &path));
    assert_bytes(path, key_of(ref).path);
    assert_int_equal(value_encode(&ctx, &enc, make_str(&arena, "v")), 0);
    assert_bytes(value, buf_view(&enc));
    assert_false(index_row_multi(rows.rows[1].value));
}

static void several_values_are_flagged_and_equal_ones_collapse(void **state)
{
    struct bytes ref = make_ref(&arena, {"K", 1});
    struct buf e = BUF_IN(&arena);
    struct index_rows rows;

    make_entity(&e, ref);
    make_prop(&e, MAKE_PROP, "a", 0, true, make_int(&arena, 9));
    make_prop(&e, MAKE_PROP, "b", 0, true, make_int(&arena, 9));
    make_prop(&e, MAKE_PROP, "b", 0, true, make_int(&arena, 9));
    make_prop(&e, MAKE_PROP, "a", 0, true, make_null(&arena));
    make_prop(&e, MAKE_PROP, "c", MEANING_EMPTY_LIST, false, make_null(&arena));
    rows = rows_of(&no_indexes, ref, &e);
    assert_int_equal(count(&rows, KEY_PROPERTIES), 3);
    assert_true(index_row_multi(rows.rows[1].value));
    assert_true(index_row_multi(rows.rows[2].value));
    assert_false(index_row_multi(rows.rows[3].value));
}

static void a_composite_has_a_row_for_each_pair_of_values(void **state)
{
    struct index_column columns[] = {{BYTES_LIT("a"), false},
                                     {BYTES_LIT("b"), true}};
    struct index_set set = one_index(false, columns, 2);
    struct bytes ref = make_ref(&arena, {"K", 1});
    struct buf e = BUF_IN(&arena);
    struct bytes values[2], path, prefix;
    struct index_rows rows;

    make_entity(&e, ref);
    make_prop(&e, MAKE_PROP, "a", 0, true, make_int(&arena, 1));
    make_prop(&e, MAKE_PROP, "a", 0, true, make_int(&arena, 2));
    assert_int_equal(rows_of(&set, ref, &e).n, 3); /* b is missing */
    make_prop(&e, MAKE_PROP, "b", 0, true, make_int(&arena, 3));
    make_prop(&e, MAKE_PROP, "b", 0, true, make_int(&arena, 4));
    rows = rows_of(&set, ref, &e);
    assert_int_equal(count(&rows, KEY_COMPOSITES), 4);
    prefix = index_composite_prefix(&arena, &set.defs[0], BYTES_NONE);
    for (int i = 0; i < 4; i++) {
        /* a ascending, b descending */
        const int want[][2] = {{1, 4}, {1, 3}, {2, 4}, {2, 3}};
        struct buf a = BUF_IN(&arena), b = BUF_IN(&arena);

        assert_true(index_composite_split(
            &set.defs[0], bytes_from(rows.rows[i].key.row, prefix.n), values,
            &path));
        assert_int_equal(value_encode(&ctx, &a, make_int(&arena, want[i][0])),
                         0);
        assert_int_equal(value_encode(&ctx, &b, make_int(&arena, want[i][1])),
                         0);
        value_flip(b.p, b.n);
        assert_bytes(values[0], buf_view(&a));
        assert_bytes(values[1], buf_view(&b));
        assert_bytes(path, key_of(ref).path);
        assert_true(index_row_multi(rows.rows[i].value));
    }
}

static void an_ancestor_index_has_a_row_for_each_ancestor(void **state)
{
    struct index_column column = {BYTES_LIT("a"), true};
    struct index_set set = one_index(true, &column, 1);
    struct bytes ref = make_ref(&arena, {"P", 1}, {"Q", 0, "q"}, {"K", 3});
    struct bytes up[] = {make_ref(&arena, {"P", 1}),
                         make_ref(&arena, {"P", 1}, {"Q", 0, "q"}), ref};
    struct buf e = BUF_IN(&arena);
    struct index_rows rows;

    make_entity(&e, ref);
    make_prop(&e, MAKE_PROP, "a", 0, false, make_int(&arena, 1));
    rows = rows_of(&set, ref, &e);
    assert_int_equal(count(&rows, KEY_COMPOSITES), 3);
    for (size_t i = 0; i < 3; i++) {
        struct bytes prefix =
            index_composite_prefix(&arena, &set.defs[0], key_of(up[i]).path);
        size_t n = 0;

        for (size_t j = 0; j < 3; j++)
            n += bytes_starts(rows.rows[j].key.row, prefix);
        assert_int_equal(n, 1);
    }
}

static void rows_differ_by_what_changed_alone(void **state)
{
    struct storage_batch b = STORAGE_BATCH_IN(&arena);
    struct bytes ref = make_ref(&arena, {"K", 1});
    struct buf x = BUF_IN(&arena), y = BUF_IN(&arena);
    struct index_rows none = {0}, old, new_;

    make_entity(&x, ref);
    make_prop(&x, MAKE_PROP, "a", 0, true, make_int(&arena, 1));
    make_prop(&x, MAKE_PROP, "a", 0, true, make_int(&arena, 2));
    make_prop(&x, MAKE_PROP, "b", 0, false, make_int(&arena, 1));
    make_entity(&y, ref);
    make_prop(&y, MAKE_PROP, "a", 0, true, make_int(&arena, 1));
    make_prop(&y, MAKE_PROP, "a", 0, true, make_int(&arena, 2));
    make_prop(&y, MAKE_PROP, "b", 0, false, make_int(&arena, 5));
    old = rows_of(&no_indexes, ref, &x);
    new_ = rows_of(&no_indexes, ref, &y);
    /* the costs the oracle tells */
    assert_int_equal(index_rows_diff(&b, &none, &old), 7);
    b.n_writes = 0;
    assert_int_equal(index_rows_diff(&b, &old, &new_), 4);
    assert_int_equal(b.n_writes, 2);
    b.n_writes = 0;
    assert_int_equal(index_rows_diff(&b, &new_, &none), 7);
    assert_int_equal(b.n_writes, 4);
}

static void too_many_rows_are_refused(void **state)
{
    struct index_column columns[] = {{BYTES_LIT("a"), false},
                                     {BYTES_LIT("a"), false}};
    struct index_set set = one_index(false, columns, 2);
    struct bytes ref = make_ref(&arena, {"K", 1});
    struct key key = key_of(ref);
    struct buf e = BUF_IN(&arena);
    struct index_rows rows;

    make_entity(&e, ref);
    for (int i = 0; i < 142; i++) /* 142 * 142 > 20000 */
        make_prop(&e, MAKE_PROP, "a", 0, true, make_int(&arena, i));
    assert_int_equal(index_rows_of(&ctx, &set, &key, buf_view(&e), &rows),
                     ERR_INVALID);
    assert_string_equal(
        ctx_err_text(&ctx, 0),
        "The entity has more than 20000 index entries (20000 so far).");
    ctx_err_clear(&ctx);
}

/* ---- index.yaml ---- */

static void an_index_yaml_is_read(void **state)
{
    static const char yaml[] = "# comment\n"
                               "indexes:\n"
                               "- kind: Greeting\n"
                               "  ancestor: yes\n"
                               "  properties:\n"
                               "  - name: date\n"
                               "    direction: desc\n"
                               "- kind: 'no'\n"
                               "  properties:\n"
                               "  - name: y\n"
                               "  - name: 'on'\n"
                               "    direction: ascending\n";
    struct index_def *defs;
    size_t n;

    assert_int_equal(index_yaml_parse(&ctx, BYTES_LIT(yaml), &defs, &n), 0);
    assert_int_equal(n, 2);
    assert_bytes(defs[0].kind, BYTES_LIT("Greeting"));
    assert_true(defs[0].ancestor);
    assert_true(defs[0].columns[0].desc);
    assert_bytes(defs[1].columns[0].name, BYTES_LIT("y"));
    assert_false(defs[1].columns[1].desc);
    assert_false(defs[1].ancestor);
}

static void an_empty_index_yaml_has_no_indexes(void **state)
{
    static const char *const empty[] = {"", "# nothing\n", "indexes:\n",
                                        "indexes: []\n"};
    struct index_def *defs;
    size_t n;

    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(index_yaml_parse(&ctx, bytes_str(empty[i]), &defs, &n),
                         0);
        assert_int_equal(n, 0);
    }
}

static void a_bad_index_yaml_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *yaml, *want;
    } cases[] = {
        {"indexes:\n- knd: K\n", "index.yaml:2: unknown element \"knd\""},
        {"index:\n", "index.yaml:1: unknown element \"index\""},
        {"indexes:\n- kind: K\n  properties:\n  - name: a\n"
         "    direction: up\n",
         "index.yaml:5: direction is asc or desc"},
        {"indexes:\n- properties:\n  - name: a\n",
         "index.yaml:2: an index needs a kind"},
        {"indexes:\n- kind: K\n", "index.yaml:2: an index needs properties"},
        {"indexes:\n- kind: K\n  properties:\n  - name: a\n"
         "    mode: geospatial\n",
         "index.yaml:5: geospatial indexes are not supported"},
        {"indexes: 3\n", "index.yaml:1: expected a list"},
        {"- a\n", "index.yaml:1: expected \"name: value\" pairs"},
        {"indexes:\n  - kind: [\n",
         "index.yaml:3: did not find expected node content"},
    };
    struct index_def *defs;
    size_t n;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        assert_int_equal(
            index_yaml_parse(&ctx, bytes_str(cases[i].yaml), &defs, &n),
            ERR_INVALID);
        assert_string_equal(ctx_err_text(&ctx, 0), cases[i].want);
        ctx_err_clear(&ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_property_row_holds_its_value_and_path),
        cmocka_unit_test(several_values_are_flagged_and_equal_ones_collapse),
        cmocka_unit_test(a_composite_has_a_row_for_each_pair_of_values),
        cmocka_unit_test(an_ancestor_index_has_a_row_for_each_ancestor),
        cmocka_unit_test(rows_differ_by_what_changed_alone),
        cmocka_unit_test(too_many_rows_are_refused),
        cmocka_unit_test(an_index_yaml_is_read),
        cmocka_unit_test(an_empty_index_yaml_has_no_indexes),
        cmocka_unit_test(a_bad_index_yaml_is_refused_with_its_line),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
