#include "engine/key.h"
#include "engine/value.h"
#include "make.h"

#include <math.h>

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

static struct bytes encode(struct bytes pv)
{
    struct buf b = BUF_IN(&arena);
    int rc = value_encode(&ctx, &b, pv);

    if (rc)
        fail_msg("%s", ctx_err_text(&ctx, rc));
    return buf_view(&b);
}

static struct bytes flipped(struct bytes in)
{
    struct bytes out = arena_dup(&arena, in);

    value_flip((uint8_t *)(uintptr_t)out.p, out.n);
    return out;
}

/* The ascending run observed on the oracles. */
static size_t sorted_values(struct bytes *out)
{
    struct arena *a = &arena;
    const struct bytes sorted[] = {
        make_null(a),
        make_int(a, INT64_MIN),
        make_int(a, -5),
        make_int(a, 0),
        make_int(a, 7),
        make_int(a, 1000000),
        make_int(a, INT64_MAX),
        make_bool(a, false),
        make_bool(a, true),
        make_str(a, ""),
        make_bytes(a, BYTES_LIT("\0")),
        make_str(a, "\x01"),
        make_str(a, "a"),
        make_bytes(a, BYTES_LIT("a\0")),
        make_str(a, "ab"),
        make_str(a, "\xc3\xa9"),
        make_str(a, "\xef\xbf\xae"),
        make_str(a, "\xf0\x90\x80\x80"),
        make_str(a, "\xff\xfe"),
        make_double(a, -INFINITY),
        make_double(a, -1.5),
        make_double(a, -0.0),
        make_double(a, 0.0),
        make_double(a, 1.5),
        make_double(a, INFINITY),
        make_double(a, NAN),
        make_point(a, -1, 2),
        make_point(a, 1, -2),
        make_point(a, 1, 2),
        make_user(a, "a@x.com", "nick"),
        make_user(a, "a@x.com", NULL),
        make_user(a, "b@x.com", NULL),
        make_refvalue_in(a, "a", "z",
                         (const struct make_elem[]){{"K", 9}, {0}}),
        make_refvalue_in(a, "b", "", (const struct make_elem[]){{"K", 9}, {0}}),
        make_refvalue_in(a, "b", "n",
                         (const struct make_elem[]){{"A", 1}, {0}}),
        make_refvalue_in(a, "b", "n",
                         (const struct make_elem[]){{"A", 1}, {"B", 1}, {0}}),
        make_refvalue_in(a, "b", "n",
                         (const struct make_elem[]){{"A", 0, "x"}, {0}}),
    };

    memcpy(out, sorted, sizeof(sorted));
    return sizeof(sorted) / sizeof(*sorted);
}

static int sign(int d)
{
    return (d > 0) - (d < 0);
}

static void values_sort_as_the_datastore_sorts_them(void **state)
{
    struct bytes v[64];
    size_t n = sorted_values(v);

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            struct bytes x = encode(v[i]), y = encode(v[j]);

            assert_int_equal(sign(bytes_cmp(x, y)), (i > j) - (i < j));
            assert_int_equal(sign(bytes_cmp(flipped(x), flipped(y))),
                             (i < j) - (i > j));
        }
    }
}

static void a_value_ends_itself_in_both_directions(void **state)
{
    struct bytes v[64];
    size_t n = sorted_values(v);

    for (size_t i = 0; i < n; i++) {
        struct bytes x = encode(v[i]);
        struct buf b = BUF_IN(&arena);

        buf_add(&b, x);
        buf_add_str(&b, "K");
        assert_int_equal(value_size(buf_view(&b), false), x.n);
        b.n = 0;
        buf_add(&b, flipped(x));
        buf_add_str(&b, "K");
        assert_int_equal(value_size(buf_view(&b), true), x.n);
        for (size_t cut = 0; cut < x.n; cut++)
            assert_int_equal(value_size(BYTES(x.p, cut), false), 0);
    }
}

static void a_value_decodes_to_one_that_encodes_the_same(void **state)
{
    struct bytes v[64];
    size_t n = sorted_values(v);

    for (size_t i = 0; i < n; i++) {
        struct buf pv = BUF_IN(&arena);

        assert_int_equal(value_decode(&arena, encode(v[i]), &pv), 0);
        assert_bytes(encode(buf_view(&pv)), encode(v[i]));
        /* Go leaves out of a user what we add. */
        if (value_tag(encode(v[i])) != VALUE_USER)
            assert_bytes(buf_view(&pv), v[i]);
    }
}

static void user_ids_come_from_the_email(void **state)
{
    struct buf fixed = BUF_IN(&arena), again = BUF_IN(&arena);

    assert_bytes(value_user_id(&arena, BYTES_LIT("Foo@x.com")),
                 BYTES_LIT("161137545911123125601"));
    value_fix_user(&fixed, &arena, make_user(&arena, "Foo@x.com", NULL));
    value_fix_user(&again, &arena, buf_view(&fixed));
    assert_bytes(buf_view(&again), buf_view(&fixed));
    assert_non_null(memmem(fixed.p, fixed.n, "161137545911123125601", 21));
}

static void malformed_values_are_refused(void **state)
{
    struct buf two = BUF_IN(&arena), out = BUF_IN(&arena);

    buf_add(&two, make_int(&arena, 1));
    buf_add(&two, make_str(&arena, "x"));
    const struct bytes bad[] = {
        buf_view(&two),
        BYTES_LIT("\x1a\x7f"),      /* a string longer than its message */
        BYTES_LIT("\x2b\x2c"),      /* a point without coordinates */
        BYTES_LIT("\x43\x44"),      /* a user without an email */
        BYTES_LIT("\x63\x64"),      /* a key without an app */
        BYTES_LIT("\x63\x6a\x01x"), /* a group that does not end */
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        ctx_err_clear(&ctx);
        assert_true(value_encode(&ctx, &out, bad[i]) == ERR_MALFORMED ||
                    ctx.err.code == ERR_INVALID);
    }
    ctx_err_clear(&ctx);
}

static double random_double(unsigned *seed)
{
    return ldexp((double)rand_r(seed) - RAND_MAX / 2.0,
                 rand_r(seed) % 120 - 90);
}

static void numbers_in_any_number_keep_their_order(void **state)
{
    unsigned seed = 7;

    for (int i = 0; i < 20000; i++) {
        double x = random_double(&seed), y = random_double(&seed);
        int64_t m = (int64_t)x, k = (int64_t)y;

        assert_int_equal(sign(bytes_cmp(encode(make_double(&arena, x)),
                                        encode(make_double(&arena, y)))),
                         (x > y) - (x < y));
        if (fabs(x) < 9e18 && fabs(y) < 9e18)
            assert_int_equal(sign(bytes_cmp(encode(make_int(&arena, m)),
                                            encode(make_int(&arena, k)))),
                             (m > k) - (m < k));
        arena_reset(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_sort_as_the_datastore_sorts_them),
        cmocka_unit_test(a_value_ends_itself_in_both_directions),
        cmocka_unit_test(a_value_decodes_to_one_that_encodes_the_same),
        cmocka_unit_test(user_ids_come_from_the_email),
        cmocka_unit_test(malformed_values_are_refused),
        cmocka_unit_test(numbers_in_any_number_keep_their_order),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
