/*
 * What queries read: rows, counted by the trace backend around the store.  A
 * query reads what it returns and skips, and a sparse filter jumps over what a
 * dense one beside it would walk through.
 */
#include "answer.h"

enum { MANY = 3000 };

static int64_t figure(struct bed *b, const char *name)
{
    struct bytes stats = storage_stats(&b->ctx, b->storage);
    const char *at = strstr(arena_cstr(&b->arena, stats), name);

    assert_non_null(at);
    return strtoll(at + strlen(name), NULL, 10);
}

/* Rows that scans have read so far. */
static int64_t rows_read(struct bed *b)
{
    return figure(b, "\ntrace.scan.rows ");
}

/* Scans so far. */
static int64_t scans(struct bed *b)
{
    return figure(b, "\ntrace.scan.calls ");
}

/*
 * MANY entities of kind K, in one group of a hundred each: d=1 for all, s=1 for
 * every 300th, low=1 for the first half and high=1 for the second, n counts,
 * r3, r7 and r53 are what it leaves.
 */
static void fill(struct bed *b)
{
    struct engine_mutation *m =
        ARENA_ARRAY(&b->arena, struct engine_mutation, MANY);
    struct engine_cost cost;

    for (int i = 0; i < MANY; i++) {
        struct bytes ref =
            make_ref(&b->arena, {"G", 1 + i / 100}, {"K", 1 + i});
        struct buf e = BUF_IN(&b->arena);

        make_entity(&e, ref);
        make_prop(&e, MAKE_PROP, "d", 0, false, make_int(&b->arena, 1));
        make_prop(&e, MAKE_PROP, "n", 0, false, make_int(&b->arena, i));
        make_prop(&e, MAKE_PROP, i < MANY / 2 ? "low" : "high", 0, false,
                  make_int(&b->arena, 1));
        make_prop(&e, MAKE_PROP, "r3", 0, false, make_int(&b->arena, i % 3));
        make_prop(&e, MAKE_PROP, "r7", 0, false, make_int(&b->arena, i % 7));
        make_prop(&e, MAKE_PROP, "r53", 0, false, make_int(&b->arena, i % 53));
        if (i % 300 == 150)
            make_prop(&e, MAKE_PROP, "s", 0, false, make_int(&b->arena, 1));
        m[i] = (struct engine_mutation){.key = bed_key(b, ref),
                                        .entity = buf_view(&e)};
    }
    bed_ok(b, engine_write(&b->ctx, b->engine, m, MANY, &cost));
}

static const struct {
    const char *query;
    int results;
    int rows; /* read at most */
} cases[] = {
    /* what is returned, and one more */
    {"K limit:5", 5, 6},
    {"K order:n limit:5", 5, 6},
    {"K order:-n limit:5", 5, 6},
    {"K n>100 n<=110 order:n", 10, 12},
    {"K d=1 limit:5", 5, 6},
    {"* limit:5", 5, 6},
    {"K anc:G:7 limit:5", 5, 6},
    {"K offset:100 limit:5", 5, 120},
    {"K n=77", 1, 2},
    {"K s=1", 10, 11},
    /* merges: ten jumps, whichever comes first */
    {"K d=1 s=1", 10, 130},
    {"K s=1 d=1", 10, 130},
    {"K d=1 s=1 keys", 10, 130},
    {"K d=1 low=1 s=1", 5, 130},
    {"K low=1 high=1", 0, 24},
    {"K d=1 n=2999", 1, 24},
    {"K d=1 low=1 high=1 s=1", 0, 45},
    {"K d=1 nothing=1", 0, 24},
    {"K d=1 n=450 anc:G:5", 1, 24},
    {"K d=1 s=1 anc:G:30", 0, 24},
    /* a dense merge reads each side once */
    {"K d=1 low=1 limit:100", 100, 300},
    /* one walks, and its rows are looked up in the others */
    {"K r3=1 r53=5", 19, 600},
    {"K r53=5 r3=1 keys", 19, 600},
    {"K r3=1 r7=2 r53=5", 3, 600},
    {"K r7=2 r53=5 r3=1 limit:2", 2, 600},
    {"K r7=2 r53=5 r3=1 offset:2", 1, 600},
    {"K d=1 r53=52 limit:60", 56, 700},
    {"K low=1 r53=52 limit:60", 28, 600},
    {"K high=1 r53=52 limit:60", 28, 600},
    {"K high=1 low=1 r53=52", 0, 600},
    {"K r53=5 s=1", 0, 300},
    /* kinds and properties are jumped through */
    {"__kind__", 1, 3},
    {"__property__ keys", 8, 10},
};

static void a_query_reads_what_it_returns_and_skips(void **state)
{
    struct bed b;

    bed_open(&b, "trace:memory");
    fill(&b);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct answer *a = ARENA_NEW(&b.arena, struct answer);
        int64_t before = rows_read(&b), read;

        answer_run(&b, ask(&b.arena, cases[i].query), a);
        read = rows_read(&b) - before;
        if ((int)a->n != cases[i].results || read > cases[i].rows)
            fail_msg("%s: %zu results, %lld rows read", cases[i].query, a->n,
                     (long long)read);
    }
    bed_close(&b);
}

/* Rows that do not count are passed over by the page, however few are asked
 * for: here those of all but the first value of a long list. */
static void rows_that_do_not_count_are_read_by_the_page(void **state)
{
    struct engine_mutation m[2];
    struct engine_cost cost;
    struct answer *a;
    struct bed b;
    int64_t before;

    bed_open(&b, "trace:memory");
    for (int i = 0; i < 2; i++) {
        struct bytes ref = make_ref(&b.arena, {"M", i + 1});
        struct buf e = BUF_IN(&b.arena);

        make_entity(&e, ref);
        for (int k = 0; k < (i ? 1 : 2000); k++)
            make_prop(&e, MAKE_PROP, "x", 0, true,
                      make_int(&b.arena, i ? 5000 : k));
        m[i] = (struct engine_mutation){.key = bed_key(&b, ref),
                                        .entity = buf_view(&e)};
    }
    bed_ok(&b, engine_write(&b.ctx, b.engine, m, 2, &cost));
    a = ARENA_NEW(&b.arena, struct answer);
    before = scans(&b);
    answer_run(&b, ask(&b.arena, "M order:x limit:2"), a);
    assert_int_equal(a->n, 2);
    before = scans(&b) - before;
    if (before > 30)
        fail_msg("%lld scans", (long long)before);
    bed_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_reads_what_it_returns_and_skips),
        cmocka_unit_test(rows_that_do_not_count_are_read_by_the_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
