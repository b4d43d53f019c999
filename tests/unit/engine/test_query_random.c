/*
 * Random entities and random queries, against an evaluator that knows nothing
 * of indexes nor of the engine (naive.h).
 *
 * A failure prints its seed: QUERY_SEED=N plays that round alone, and shows
 * each query; QUERY_ROUNDS=N plays more of them.
 */
#include "game.h"

enum { ENTITIES = 60, QUERIES = 60 };

static void round_of(const char *backend, uint64_t seed)
{
    static struct game g; /* large */
    char label[32];

    snprintf(label, sizeof(label), "seed %llu", (unsigned long long)seed);
    game_begin(&g, dice_seeded(seed), backend, ENTITIES);
    g.label = label;
    while (g.n_asked < QUERIES)
        game_query(&g);
    assert_true(g.n_rows > QUERIES); /* it is about something */
    game_end(&g);
}

static void rounds(const char *backend, uint64_t n)
{
    const char *given = getenv("QUERY_SEED"), *more = getenv("QUERY_ROUNDS");

    if (given)
        round_of(backend, strtoull(given, NULL, 10));
    n = more ? strtoull(more, NULL, 10) : n;
    for (uint64_t i = 1; !given && i <= n; i++)
        round_of(backend, i);
}

static void random_queries_answer_as_a_scan_of_everything(void **state)
{
    rounds("memory", 40);
}

static void random_queries_answer_alike_on_rocksdb(void **state)
{
    rounds("rocksdb", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_queries_answer_as_a_scan_of_everything),
        cmocka_unit_test(random_queries_answer_alike_on_rocksdb),
    };

    log_set_level(LOG_WARN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
