#include "net/http.h"
#include "test.h"

static void escapes_are_decoded_and_bad_ones_stay(void **state)
{
    static const struct {
        const char *in;
        bool form;
        const char *want;
    } cases[] = {
        {"plain", false, "plain"}, {"a%20b", false, "a b"},
        {"a+b", true, "a b"},      {"a+b", false, "a+b"},
        {"%zz%4", false, "%zz%4"}, {"%c3%A9", false, "\xc3\xa9"},
        {"%", false, "%"},         {"", false, ""},
    };
    struct arena a = ARENA_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_bytes(http_unescape(&a, bytes_str(cases[i].in), cases[i].form),
                     bytes_str(cases[i].want));
    arena_release(&a);
}

static void what_is_escaped_decodes_to_itself(void **state)
{
    struct arena a = ARENA_INIT;
    uint8_t all[256];
    struct bytes e;

    (void)state;
    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    e = http_escape(&a, BYTES(all, 256));
    assert_bytes(http_unescape(&a, e, true), BYTES(all, 256));
    assert_bytes(http_escape(&a, BYTES_LIT("a-b_c.d~e/f")),
                 BYTES_LIT("a-b_c.d~e%2Ff"));
    assert_bytes(http_escape_html(&a, BYTES_LIT("<a href=\"x\">'&")),
                 BYTES_LIT("&lt;a href=&quot;x&quot;&gt;&#39;&amp;"));
    arena_release(&a);
}

static void parameters_are_found_by_decoded_name(void **state)
{
    static const struct {
        const char *from, *name, *want; /* NULL: absent */
    } cases[] = {
        {"a=1&b=2", "b", "2"},     {"a=1&a=2", "a", "1"}, {"a", "a", ""},
        {"a=", "a", ""},           {"x=1", "a", NULL},    {"", "a", NULL},
        {"a%62=c+d", "ab", "c d"}, {"aa=1", "a", NULL},   {"a=b=c", "a", "b=c"},
    };
    struct arena a = ARENA_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes got =
            http_param(&a, bytes_str(cases[i].from), cases[i].name);

        assert_int_equal(got.p == NULL, cases[i].want == NULL);
        if (cases[i].want)
            assert_bytes(got, bytes_str(cases[i].want));
    }
    arena_release(&a);
}

static void cookies_are_found_in_every_field(void **state)
{
    struct http_header h[] = {
        {BYTES_LIT("Cookie"), BYTES_LIT("a=1; session=xyz;b=2")},
        {BYTES_LIT("cookie"), BYTES_LIT("late=3")},
    };
    struct http_request req = {.headers = h, .n_headers = 2};

    (void)state;
    assert_bytes(http_cookie(&req, "session"), BYTES_LIT("xyz"));
    assert_bytes(http_cookie(&req, "b"), BYTES_LIT("2"));
    assert_bytes(http_cookie(&req, "late"), BYTES_LIT("3"));
    assert_null(http_cookie(&req, "sess").p);
    assert_bytes(http_header(&req, "COOKIE"), h[0].value);
    assert_null(http_header(&req, "Host").p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_are_decoded_and_bad_ones_stay),
        cmocka_unit_test(what_is_escaped_decodes_to_itself),
        cmocka_unit_test(parameters_are_found_by_decoded_name),
        cmocka_unit_test(cookies_are_found_in_every_field),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
