/*
 * test_storage BACKEND [GROUP] - the contract suite over one backend.
 *
 * --list names the backends.  CONTRACT_SCALE=20 makes the random, concurrent
 * and crash runs 20 times as long; CONTRACT_SEED=N repeats a random run;
 * CONTRACT_NO_SYNC=1 is in medium.c.
 */
#include "crash.h"

struct group {
    const char *name;
    const struct CMUnitTest *tests;
    const size_t *n;
    bool durable_only;
};

static const struct group groups[] = {
    {"basic", contract_basic, &contract_basic_n, false},
    {"limits", contract_limits, &contract_limits_n, false},
    {"random", contract_random, &contract_random_n, false},
    {"threads", contract_threads, &contract_threads_n, false},
    {"crash", contract_crash, &contract_crash_n, true},
};

enum { N_GROUPS = sizeof(groups) / sizeof(groups[0]) };

/* Whether the group runs; `name` is the one that was asked for, or NULL. */
static bool chosen(const struct group *g, const char *name)
{
    return (!name || strcmp(name, g->name) == 0) &&
           (contract_durable || !g->durable_only);
}

/* For `appscale storage test`, which reads what starts with "== ". */
static void announce(const char *name)
{
    size_t cases = 0;

    for (size_t i = 0; i < N_GROUPS; i++) {
        if (chosen(&groups[i], name))
            cases += *groups[i].n;
        else if (!contract_durable && groups[i].durable_only)
            printf("== left out %s\n", groups[i].name);
    }
    printf("== cases %zu\n", cases);
}

/* Once before all: that there is such a store, and what it promises. */
static bool look(void)
{
    struct arena arena = ARENA_INIT;
    struct ctx ctx;
    struct storage_options o = {.backend = contract_backend};
    struct storage *st;
    int rc;

    ctx_init(&ctx, &arena);
    o.path = arena_printf(&arena, "%s/look", test_dir());
    rc = storage_open(&ctx, &o, &st);
    if (rc == 0) {
        contract_durable = storage_durable(st);
        storage_close(st);
    } else {
        fprintf(stderr, "test_storage: %s\n", ctx_err_text(&ctx, rc));
    }
    arena_release(&arena);
    return rc == 0;
}

static int list(void)
{
    const char *name, *help;

    for (size_t i = 0; (name = storage_backend_name(i, &help)) != NULL; i++)
        printf("%s\t%s\n", name, help);
    return 0;
}

int main(int argc, char **argv)
{
    int failed = 0;

    if (argc < 2) {
        fprintf(stderr, "usage: %s BACKEND [GROUP]\n", argv[0]);
        return 2;
    }
    if (strcmp(argv[1], "--crash-child") == 0 && argc == 6)
        return crash_child(argv + 2);
    if (strcmp(argv[1], "--list") == 0)
        return list();
    contract_backend = argv[1];
    medium_choose();
    if (!look())
        return 2;
    announce(argv[2]);
    for (size_t i = 0; i < N_GROUPS; i++) {
        const struct group *g = &groups[i];

        if (!chosen(g, argv[2]))
            continue;
        printf("== group %s\n", g->name);
        fflush(stdout);
        failed += _cmocka_run_group_tests(g->name, g->tests, *g->n, NULL, NULL);
    }
    return failed != 0;
}
