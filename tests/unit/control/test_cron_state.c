/*
 * where a cron job stands: a row says it and gives it back, to the byte; what
 * is no such row is refused.
 */
#include "control/cron_int.h"
#include "test.h"

#define COUNT(a_) (sizeof(a_) / sizeof((a_)[0]))

static struct arena arena;
static struct ctx ctx;

static int setup(void **state)
{
    (void)state;
    ctx_init(&ctx, &arena);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

#define NAME_A "0123456789abcdef0123456789abcdef"
#define NAME_B "fedcba9876543210fedcba9876543210"

static const char *const rows[] = {
    "{\"base\":0}",
    "{\"base\":1767225600,\"run\":{\"name\":\"" NAME_A "\",\"slot\":1767225660,"
    "\"eta\":1767225660000000,\"manual\":false,\"first\":1767225660000123,"
    "\"failures\":2,\"reached\":1,\"status\":500,\"reason\":\"an error\","
    "\"next\":0,\"sent\":1767225661000000,\"deliveries\":3,\"haproxy\":\"12."
    "34\"}}",
    "{\"base\":1767225600,\"last\":{\"name\":\"" NAME_B
    "\",\"slot\":1767225660,"
    "\"manual\":true,\"first\":1767225660000123,\"end\":1767225662000000,"
    "\"attempts\":1,\"status\":200,\"outcome\":1,\"answer\":\"a \\\"b\\\"\"}}",
};

static void test_a_row_comes_back_to_the_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct cron_state s, twin;
        char *text;

        if (cron_state_parse(&ctx, rows[i], &s) != 0)
            fail_msg("%s", ctx_err_text(&ctx, 0));
        twin = cron_state_copy(&s);
        cron_state_release(&s);
        text = cron_state_format(&twin);
        assert_string_equal(text, rows[i]);
        cron_state_release(&twin);
        free(text);
    }
}

static void test_texts_that_are_not_utf8_do_not_lose_the_row(void **state)
{
    struct cron_state s = {.last_name = NAME_A, .answer = strdup("a\xff")};
    char *text = cron_state_format(&s);
    struct cron_state back;

    (void)state;
    assert_int_equal(cron_state_parse(&ctx, text, &back), 0);
    assert_string_equal(back.last_name, NAME_A);
    assert_non_null(back.answer);
    cron_state_release(&back);
    cron_state_release(&s);
    free(text);
}

static const char *const wrong[] = {
    "",
    "[]",
    "{}",
    "{\"base\":-1}",
    "{\"base\":\"1\"}",
    "{\"base\":9223372036854775807}",
    "{\"base\":1,\"run\":[]}",
    "{\"base\":1,\"run\":{}}",
    "{\"base\":1,\"run\":{\"name\":\"short\",\"slot\":1}}",
    "{\"base\":1,\"last\":{\"name\":\"" NAME_B "\",\"slot\":1,"
    "\"manual\":true,\"first\":1,\"end\":1,\"attempts\":1,\"status\":200,"
    "\"outcome\":9,\"answer\":\"a\"}}",
    "{\"base\":1,\"last\":{\"name\":\"" NAME_B "\",\"slot\":1,"
    "\"manual\":true,\"first\":1,\"end\":1,\"attempts\":1,\"status\":200,"
    "\"outcome\":1,\"answer\":7}}",
};

static void test_what_is_no_such_row_is_corrupt(void **state)
{
    struct cron_state s;

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        ctx_err_clear(&ctx);
        if (cron_state_parse(&ctx, wrong[i], &s) != ERR_CORRUPT)
            fail_msg("%s passed", wrong[i]);
        assert_null(s.answer);
    }
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_row_comes_back_to_the_byte),
        TEST(test_texts_that_are_not_utf8_do_not_lose_the_row),
        TEST(test_what_is_no_such_row_is_corrupt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
