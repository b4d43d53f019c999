/*
 * Single fields without a message: the reader and the writers of pb.h.
 */
#include "test.h"

#include "wire_samples.h"

static void varints_come_back_in_as_many_bytes(void **state)
{
    static const struct {
        uint64_t v;
        size_t n;
    } cases[] = {
        {0, 1},           {1, 1},     {127, 1},        {128, 2},
        {16383, 2},       {16384, 3}, {UINT32_MAX, 5}, {(uint64_t)INT64_MAX, 9},
        {UINT64_MAX, 10},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf b = BUF_HEAP;
        struct pb_reader r;

        pb_put_u64(&b, 1, cases[i].v);
        assert_int_equal(b.n, 1 + cases[i].n);
        assert_int_equal(pb_varint_size(cases[i].v), cases[i].n);
        r = (struct pb_reader)PB_READER(buf_view(&b));
        assert_true(pb_next(&r));
        assert_int_equal(r.kind, PB_VARINT);
        assert_true(r.u64 == cases[i].v);
        assert_false(pb_next(&r));
        assert_false(r.bad);
        buf_release(&b);
    }
}

static void fields_of_every_kind_come_in_order(void **state)
{
    static const enum pb_kind want[] = {PB_VARINT, PB_FIXED64, PB_BYTES,
                                        PB_GROUP, PB_FIXED32};
    struct buf b = BUF_HEAP;
    struct pb_reader r;
    size_t n = 0, sum = 0;

    pb_put_u64(&b, 1, 5);
    pb_put_fixed64(&b, 2, 0x0102030405060708);
    pb_put_bytes(&b, 3, BYTES_LIT("bytes"));
    pb_put_tag(&b, 4, PB_GROUP);
    pb_put_u64(&b, 9, 1);
    pb_put_tag(&b, 4, PB_END_GROUP);
    pb_put_tag(&b, 536870911, PB_FIXED32);
    buf_add(&b, BYTES_LIT("\1\2\3\4"));
    r = (struct pb_reader)PB_READER(buf_view(&b));
    while (pb_next(&r)) {
        assert_int_equal(r.kind, want[n]);
        assert_ptr_equal(r.whole.p, b.p + sum);
        sum += r.whole.n;
        if (r.kind == PB_FIXED64)
            assert_true(r.u64 == 0x0102030405060708);
        if (r.kind == PB_BYTES)
            assert_bytes(r.bytes, BYTES_LIT("bytes"));
        if (r.kind == PB_GROUP)
            assert_bytes(r.bytes, BYTES_LIT("\x48\1"));
        if (r.kind == PB_FIXED32)
            assert_true(r.u64 == 0x04030201);
        n++;
    }
    assert_false(r.bad);
    assert_int_equal(n, 5);
    assert_int_equal(r.field, 536870911);
    assert_int_equal(sum, b.n);
    buf_release(&b);
}

static void groups_nest_by_number(void **state)
{
    struct buf b = BUF_HEAP;
    struct bytes inner, within;

    pb_put_tag(&b, 1, PB_GROUP);
    pb_put_tag(&b, 1, PB_GROUP);
    pb_put_bytes(&b, 2, BYTES_LIT("deep"));
    pb_put_tag(&b, 1, PB_END_GROUP);
    pb_put_tag(&b, 1, PB_END_GROUP);
    assert_true(pb_find_bytes(buf_view(&b), 1, &inner));
    assert_true(pb_find_bytes(inner, 1, &within));
    assert_true(pb_find_bytes(within, 2, &inner));
    assert_bytes(inner, BYTES_LIT("deep"));
    assert_false(pb_find_bytes(buf_view(&b), 2, &inner));
    buf_release(&b);
}

static void bad_bytes_are_called_bad(void **state)
{
    static const struct {
        const char *label;
        struct bytes in;
    } cases[] = {
        {"a tag that goes on", {"\x80", 1}},
        {"a varint that goes on", {"\x08\xff", 2}},
        {"a varint of eleven bytes",
         {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}},
        {"field number 0", {"\x00\x01", 2}},
        {"a length past the end", {"\x0a\x05mini", 6}},
        {"a length past the memory",
         {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10}},
        {"a cut fixed64", {"\x09\x01\x02", 3}},
        {"a cut fixed32", {"\x0d\x01\x02", 3}},
        {"wire type 6", {"\x0e\x01", 2}},
        {"wire type 7", {"\x0f\x01", 2}},
        {"an end without its group", {"\x0c", 1}},
        {"a group without its end", {"\x0b\x08\x01", 3}},
        {"a group with another's end", {"\x0b\x14", 2}},
        {"a tag over 32 bits", {"\xff\xff\xff\xff\xff\x01\x00", 7}},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pb_reader r = PB_READER(cases[i].in);

        while (pb_next(&r)) {
        }
        if (!r.bad)
            fail_msg("%s passes", cases[i].label);
        assert_false(pb_next(&r)); /* and stays bad */
    }
}

static void empty_input_has_no_fields(void **state)
{
    struct pb_reader none = PB_READER(BYTES_NONE);
    struct pb_reader empty = PB_READER(BYTES_LIT(""));

    assert_false(pb_next(&none));
    assert_false(none.bad);
    assert_false(pb_next(&empty));
    assert_false(empty.bad);
}

static void deep_groups_are_bad_not_deadly(void **state)
{
    struct buf b = BUF_HEAP;
    struct pb_reader r;

    for (int i = 0; i < 1000000; i++)
        pb_put_tag(&b, 1, PB_GROUP);
    r = (struct pb_reader)PB_READER(buf_view(&b));
    assert_false(pb_next(&r));
    assert_true(r.bad);
    buf_release(&b);
}

/* Cut after every byte: a reader stays inside and ends. */
static void cut_anywhere_the_reader_stays_inside(void **state)
{
    struct buf whole = BUF_HEAP;

    sample_entity(&whole);
    for (size_t n = 0; n <= whole.n; n++) {
        uint8_t *cut = malloc(n ? n : 1);
        struct pb_reader r = PB_READER(BYTES(cut, n));
        size_t sum = 0;

        memcpy(cut, whole.p, n);
        while (pb_next(&r))
            sum += r.whole.n;
        assert_true(sum <= n);
        assert_true(r.bad || sum == n);
        free(cut);
    }
    buf_release(&whole);
}

static void random_bytes_end(void **state)
{
    unsigned seed = 7;
    uint8_t in[64];

    for (int i = 0; i < 100000; i++) {
        size_t n = (size_t)rand_r(&seed) % sizeof(in), sum = 0;
        struct pb_reader r = PB_READER(BYTES(in, n));

        for (size_t k = 0; k < n; k++)
            in[k] = (uint8_t)rand_r(&seed);
        while (pb_next(&r))
            sum += r.whole.n;
        assert_true(r.bad ? sum < n || n == 0 : sum == n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_come_back_in_as_many_bytes),
        cmocka_unit_test(fields_of_every_kind_come_in_order),
        cmocka_unit_test(groups_nest_by_number),
        cmocka_unit_test(bad_bytes_are_called_bad),
        cmocka_unit_test(empty_input_has_no_fields),
        cmocka_unit_test(deep_groups_are_bad_not_deadly),
        cmocka_unit_test(cut_anywhere_the_reader_stays_inside),
        cmocka_unit_test(random_bytes_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
