/*
 * limits - what a store refuses, and how it fails when it is told to.
 */
#include "contract.h"

#include "base/errinj.h"

static struct bytes filled(struct fixture *f, size_t n)
{
    return BYTES(memset(arena_alloc(&f->arena, n + 1), 'x', n), n);
}

/* The outcome of one put of a key and a value of these lengths. */
static int put_sized(struct fixture *f, size_t partition, size_t row,
                     size_t value)
{
    struct storage_batch b = STORAGE_BATCH_IN(&f->arena);
    struct storage_key key = {filled(f, partition), filled(f, row)};

    ctx_err_clear(&f->ctx);
    storage_batch_put(&b, key, filled(f, value));
    return storage_commit(&f->ctx, f->st, &b, NULL);
}

static void sizes_up_to_the_limit_work_and_no_further(void **state)
{
    enum { P = STORAGE_PARTITION_MAX, R = STORAGE_ROW_MAX };
    static const struct {
        const char *label;
        size_t partition, row, value;
        int want;
    } cases[] = {
        {"the longest partition", P, 1, 1, 0},
        {"one more", P + 1, 1, 1, ERR_TOO_LARGE},
        {"the longest row", 1, R, 1, 0},
        {"one more", 1, R + 1, 1, ERR_TOO_LARGE},
        {"the longest of both", P, R, 1, 0},
        {"the longest value", 1, 1, STORAGE_VALUE_MAX, 0},
        {"one more", 1, 1, STORAGE_VALUE_MAX + 1, ERR_TOO_LARGE},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int rc = put_sized(f, cases[i].partition, cases[i].row, cases[i].value);

        if (rc != cases[i].want)
            fail_msg("%s: %d (%s)", cases[i].label, rc,
                     ctx_err_text(&f->ctx, rc));
        if (rc != 0)
            assert_int_equal(f->ctx.err.code, rc);
    }
}

static void a_page_runs_over_the_longest_rows(void **state)
{
    struct fixture *f = *state;
    struct storage_range all = STORAGE_ALL, prefix;
    struct bytes p = filled(f, STORAGE_PARTITION_MAX);
    struct storage_page page;

    assert_int_equal(put_sized(f, p.n, STORAGE_ROW_MAX, 1), 0);
    assert_int_equal(put_sized(f, p.n, STORAGE_ROW_MAX - 1, 1), 0);
    for (int dir = STORAGE_FORWARD; dir <= STORAGE_BACKWARD; dir++)
        assert_int_equal(
            scan_all(&f->ctx, f->st, p, &all, (enum storage_dir)dir, 1).n, 2);
    page = scan_all(&f->ctx, f->st, p, &all, STORAGE_FORWARD, 5);
    prefix = storage_prefix(&f->arena, page.rows[1].row);
    page = scan_all(&f->ctx, f->st, p, &prefix, STORAGE_FORWARD, 5);
    assert_int_equal(page.n, 1);
}

static void a_batch_over_its_limit_changes_nothing(void **state)
{
    enum { PARTS = STORAGE_BATCH_MAX / STORAGE_VALUE_MAX };
    struct fixture *f = *state;
    struct storage_batch b = STORAGE_BATCH_IN(&f->arena);
    struct bytes v = filled(f, STORAGE_VALUE_MAX);

    for (int i = 0; i < PARTS; i++)
        storage_batch_put(&b, key_of("p", arena_printf(&f->arena, "%d", i)), v);
    assert_int_equal(storage_commit(&f->ctx, f->st, &b, NULL), ERR_TOO_LARGE);
    assert_null(get1(f, key_of("p", "0")));
}

static void a_page_ends_when_it_grows_large(void **state)
{
    enum { VALUE = 1024 * 1024, ROWS = 7 };
    struct fixture *f = *state;
    struct storage_range all = STORAGE_ALL;

    for (int i = 0; i < ROWS; i++) {
        struct storage_batch b = STORAGE_BATCH_IN(&f->arena);

        storage_batch_put(&b, key_of("p", arena_printf(&f->arena, "%d", i)),
                          filled(f, VALUE));
        assert_int_equal(storage_commit(&f->ctx, f->st, &b, NULL), 0);
    }
    for (int dir = STORAGE_FORWARD; dir <= STORAGE_BACKWARD; dir++) {
        struct storage_page page;

        assert_int_equal(storage_scan(&f->ctx, f->st, bytes_str("p"), &all,
                                      (enum storage_dir)dir, 100, &page),
                         0);
        assert_in_range(page.n, 1, STORAGE_PAGE_BYTES / VALUE + 1);
        assert_true(page.more);
        assert_int_equal(scan_all(&f->ctx, f->st, bytes_str("p"), &all,
                                  (enum storage_dir)dir, 100)
                             .n,
                         ROWS);
    }
}

static void a_limit_over_a_page_is_cut_to_it(void **state)
{
    enum { ROWS = STORAGE_PAGE_ROWS + 1 };
    struct fixture *f = *state;
    struct storage_batch b = STORAGE_BATCH_IN(&f->arena);
    struct storage_range all = STORAGE_ALL;
    struct storage_page page;

    for (int i = 0; i < ROWS; i++)
        storage_batch_put(&b, key_of("p", arena_printf(&f->arena, "%06d", i)),
                          BYTES_NONE);
    assert_int_equal(storage_commit(&f->ctx, f->st, &b, NULL), 0);
    assert_int_equal(storage_scan(&f->ctx, f->st, bytes_str("p"), &all,
                                  STORAGE_FORWARD, SIZE_MAX, &page),
                     0);
    assert_int_equal(page.n, STORAGE_PAGE_ROWS);
    assert_true(page.more);
}

static void a_scan_of_no_rows_is_refused(void **state)
{
    struct fixture *f = *state;
    struct storage_range all = STORAGE_ALL;
    struct storage_page page;

    assert_int_equal(storage_scan(&f->ctx, f->st, bytes_str("p"), &all,
                                  STORAGE_FORWARD, 0, &page),
                     ERR_INVALID);
}

/* ---- the three operations on one row, for what follows ---- */

enum op { GET, SCAN, COMMIT };

static int run(struct fixture *f, enum op op)
{
    struct storage_range all = STORAGE_ALL;
    struct storage_batch b = STORAGE_BATCH_IN(&f->arena);
    struct storage_page page;
    struct bytes v;

    ctx_err_clear(&f->ctx);
    switch (op) {
    case GET:
        return storage_get1(&f->ctx, f->st, key_of("p", "a"), &v);
    case SCAN:
        return storage_scan(&f->ctx, f->st, bytes_str("p"), &all,
                            STORAGE_FORWARD, 10, &page);
    case COMMIT:
        storage_batch_put(&b, key_of("p", "a"), bytes_str("new"));
        return storage_commit(&f->ctx, f->st, &b, NULL);
    }
    return ERR_INTERNAL;
}

static void past_its_deadline_nothing_begins(void **state)
{
    struct fixture *f = *state;

    put1(f, key_of("p", "a"), "old");
    for (int op = GET; op <= COMMIT; op++) {
        f->ctx.deadline = clock_mono() - 1;
        assert_int_equal(run(f, (enum op)op), ERR_DEADLINE);
        assert_int_equal(f->ctx.err.code, ERR_DEADLINE);
        f->ctx.deadline = CTX_FOREVER;
    }
    assert_string_equal(get1(f, key_of("p", "a")), "old");
}

static const struct fault_case {
    enum op op;
    const char *fault;
    int want;
    const char *after; /* the row, where "old" was */
} fault_cases[] = {
    {GET, "storage.get.would_block", ERR_WOULD_BLOCK, "old"},
    {GET, "storage.get.io", ERR_IO, "old"},
    {GET, "storage.get.corrupt", ERR_CORRUPT, "old"},
    {GET, "storage.get.deadline", ERR_DEADLINE, "old"},
    {GET, "storage.get.unavailable", ERR_UNAVAILABLE, "old"},
    {SCAN, "storage.scan.would_block", ERR_WOULD_BLOCK, "old"},
    {SCAN, "storage.scan.io", ERR_IO, "old"},
    {SCAN, "storage.scan.corrupt", ERR_CORRUPT, "old"},
    {SCAN, "storage.scan.deadline", ERR_DEADLINE, "old"},
    {SCAN, "storage.scan.unavailable", ERR_UNAVAILABLE, "old"},
    {COMMIT, "storage.commit.would_block", ERR_WOULD_BLOCK, "old"},
    {COMMIT, "storage.commit.io", ERR_IO, "old"},
    {COMMIT, "storage.commit.no_space", ERR_NO_SPACE, "old"},
    {COMMIT, "storage.commit.aborted", ERR_ABORTED, "old"},
    {COMMIT, "storage.commit.deadline", ERR_DEADLINE, "old"},
    {COMMIT, "storage.commit.unknown", ERR_UNKNOWN, "old"},
    {COMMIT, "storage.commit.lost", ERR_UNKNOWN, "new"},
};

static void each_named_fault_fires_once_and_passes(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(fault_cases) / sizeof(fault_cases[0]); i++) {
        const struct fault_case *c = &fault_cases[i];
        int rc;

        put1(f, key_of("p", "a"), "old");
        errinj_set(c->fault, 1, 0);
        rc = run(f, c->op);
        if (rc != c->want)
            fail_msg("%s: answered %d", c->fault, rc);
        /* An answer carries no story, a failure does. */
        assert_int_equal(f->ctx.err.code,
                         rc == ERR_WOULD_BLOCK ? ERR_OK : c->want);
        assert_string_equal(get1(f, key_of("p", "a")), c->after);
        assert_int_equal(run(f, c->op), 0);
        errinj_clear();
    }
}

/* On a network loop an operation is done at once, or not at all. */
static void a_loop_is_never_made_to_wait(void **state)
{
    struct fixture *f = *state;
    const char *old;

    put1(f, key_of("p", "a"), "old");
    for (int op = GET; op <= COMMIT; op++) {
        int rc;

        old = get1(f, key_of("p", "a"));
        f->ctx.may_wait = false;
        rc = run(f, (enum op)op);
        f->ctx.may_wait = true;
        if (rc != 0 && rc != ERR_WOULD_BLOCK)
            fail_msg("operation %d answered %d", op, rc);
        assert_int_equal(f->ctx.err.code, 0);
        if (rc == ERR_WOULD_BLOCK)
            assert_string_equal(get1(f, key_of("p", "a")), old);
    }
}

static void an_unknown_backend_is_refused_with_the_list(void **state)
{
    static const char *const names[] = {
        "",       "nonsense", "mem",     "memory2", "memory:x", "trace",
        "trace:", "dhash:",   "dhash:x", "dhash2",  NULL};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct storage_options o = {.backend = names[i], .path = f->path};
        struct storage *st;

        ctx_err_clear(&f->ctx);
        assert_int_equal(storage_open(&f->ctx, &o, &st), ERR_INVALID);
        assert_null(st);
        assert_non_null(strstr(f->ctx.err.message, "there are") ||
                        strstr(f->ctx.err.message, "trace"));
    }
}

CONTRACT_GROUP(contract_limits,
               CONTRACT_CASE(sizes_up_to_the_limit_work_and_no_further),
               CONTRACT_CASE(a_page_runs_over_the_longest_rows),
               CONTRACT_CASE(a_batch_over_its_limit_changes_nothing),
               CONTRACT_CASE(a_page_ends_when_it_grows_large),
               CONTRACT_CASE(a_limit_over_a_page_is_cut_to_it),
               CONTRACT_CASE(a_scan_of_no_rows_is_refused),
               CONTRACT_CASE(past_its_deadline_nothing_begins),
               CONTRACT_CASE(each_named_fault_fires_once_and_passes),
               CONTRACT_CASE(a_loop_is_never_made_to_wait),
               CONTRACT_CASE(an_unknown_backend_is_refused_with_the_list));
