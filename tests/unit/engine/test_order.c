/*
 * Random values and keys: their encodings have the datastore's order.
 *
 * The pairs are the same in every run; fuzz_key draws them from a fuzzer's
 * bytes.
 */
#include "order.h"

enum { PAIRS = 200000 };

static void each_pair(void (*check)(struct ctx *, struct dice *))
{
    struct arena arena = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &arena);
    for (uint64_t seed = 1; seed <= PAIRS; seed++) {
        struct dice dice = dice_seeded(seed);

        ctx.app = BYTES_LIT("shop");
        check(&ctx, &dice);
        arena_reset(&arena);
    }
    arena_release(&arena);
}

static void encoded_values_have_the_order_of_values(void **state)
{
    each_pair(order_of_values);
}

static void encoded_keys_have_the_order_of_keys(void **state)
{
    each_pair(order_of_keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoded_values_have_the_order_of_values),
        cmocka_unit_test(encoded_keys_have_the_order_of_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
