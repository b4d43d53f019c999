/* The framing of leases that go through a message queue. */
#include "test.h"

#include "service/taskqueue/broker_message.h"

static struct broker_message example(void)
{
    return (struct broker_message){
        .epoch = UINT64_C(0xfedcba9876543210),
        .number = 7,
        .at = INT64_C(1790000000000000),
        .moves = 65535,
        .app = BYTES_LIT("guestbook"),
        .queue = BYTES_LIT("default"),
        .name = BYTES_LIT("00042"),
    };
}

static void check_same(const struct broker_message *a,
                       const struct broker_message *b)
{
    assert_true(a->epoch == b->epoch);
    assert_true(a->number == b->number);
    assert_true(a->at == b->at);
    assert_int_equal(a->moves, b->moves);
    assert_true(bytes_eq(a->app, b->app));
    assert_true(bytes_eq(a->queue, b->queue));
    assert_true(bytes_eq(a->name, b->name));
}

static void check_round_trip(const struct broker_message *m)
{
    struct broker_message back;
    struct buf text = BUF_HEAP;

    broker_message_write(&text, m);
    assert_true(text.n <= BROKER_MESSAGE_MAX);
    assert_true(broker_message_read(buf_view(&text), &back));
    check_same(m, &back);
    buf_release(&text);
}

static void a_lease_comes_back_as_it_was(void **state)
{
    struct broker_message m = example();

    check_round_trip(&m);
}

static void names_may_be_empty_and_as_long_as_they_get(void **state)
{
    static const uint8_t longest[BROKER_TEXT_MAX] = {0xff};
    struct broker_message m = example();

    m.app = m.queue = m.name = BYTES_NONE;
    check_round_trip(&m);
    m.app = m.queue = m.name = BYTES(longest, sizeof(longest));
    m.at = INT64_MIN;
    check_round_trip(&m);
}

static void nothing_shorter_or_longer_is_one(void **state)
{
    struct broker_message m = example(), back;
    struct buf text = BUF_HEAP;

    broker_message_write(&text, &m);
    for (size_t n = 0; n < text.n; n++) {
        uint8_t *exact = malloc(n + 1); /* for the address sanitizer */

        memcpy(exact, text.p, n);
        assert_false(broker_message_read(BYTES(exact, n), &back));
        free(exact);
    }
    buf_add_u8(&text, 0);
    assert_false(broker_message_read(buf_view(&text), &back));
    buf_release(&text);
}

static void another_format_is_none_of_ours(void **state)
{
    struct broker_message m = example(), back;
    struct buf text = BUF_HEAP;

    broker_message_write(&text, &m);
    text.p[3]++; /* the version */
    assert_false(broker_message_read(buf_view(&text), &back));
    buf_release(&text);
}

static void a_text_beyond_the_limit_is_refused(void **state)
{
    struct broker_message m = example(), back;
    struct buf text = BUF_HEAP;
    static const uint8_t filler[BROKER_TEXT_MAX + 1];
    const size_t before_name = 4 + 3 * 8 + 2 + 2 + 9 + 2 + 7;

    broker_message_write(&text, &m);
    text.n = before_name;
    buf_add_u8(&text, (BROKER_TEXT_MAX + 1) >> 8);
    buf_add_u8(&text, (BROKER_TEXT_MAX + 1) & 0xff);
    buf_add(&text, BYTES(filler, sizeof(filler)));
    assert_false(broker_message_read(buf_view(&text), &back));
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_comes_back_as_it_was),
        cmocka_unit_test(names_may_be_empty_and_as_long_as_they_get),
        cmocka_unit_test(nothing_shorter_or_longer_is_one),
        cmocka_unit_test(another_format_is_none_of_ours),
        cmocka_unit_test(a_text_beyond_the_limit_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
