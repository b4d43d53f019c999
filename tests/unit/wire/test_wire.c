#include "datastore_v3.pb.h"
#include "wire/pb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void a_message_survives_encode_and_decode(void **state)
{
    struct arena a = ARENA_INIT;
    struct ctx ctx;
    struct datastore_v3_Query *q;
    struct bytes out;

    (void)state;
    wire_init();
    ctx_init(&ctx, &a);
    q = datastore_v3_Query_new(&ctx);
    datastore_v3_Query_set_app(q, BYTES_LIT("a"));
    datastore_v3_Query_set_kind(q, BYTES_LIT("k"));
    assert_int_equal(datastore_v3_Query_encode(&ctx, q, &out), 0);
    q = datastore_v3_Query_decode(&ctx, out);
    assert_non_null(q);
    assert_true(bytes_eq_str(datastore_v3_Query_kind(q), "k"));
    assert_null(datastore_v3_Query_decode(&ctx, BYTES_LIT("\xff")));
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_survives_encode_and_decode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
