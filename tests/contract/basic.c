/*
 * basic - what each of the three operations does, case by case.
 */
#include "contract.h"

/* ---- get ---- */

static void an_absent_key_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct bytes value;

    assert_int_equal(
        storage_get1(&f->ctx, f->st, key_of("p", "nothing"), &value),
        ERR_NOT_FOUND);
    assert_int_equal(f->ctx.err.code, 0);
}

static void a_committed_row_reads_back(void **state)
{
    struct fixture *f = *state;

    put1(f, key_of("p", "r"), "one");
    assert_string_equal(get1(f, key_of("p", "r")), "one");
    put1(f, key_of("p", "r"), "two");
    assert_string_equal(get1(f, key_of("p", "r")), "two");
    delete1(f, key_of("p", "r"));
    assert_null(get1(f, key_of("p", "r")));
    put1(f, key_of("p", "r"), "three");
    assert_string_equal(get1(f, key_of("p", "r")), "three");
}

static void an_empty_value_is_found(void **state)
{
    struct fixture *f = *state;

    put1(f, key_of("p", "r"), "");
    assert_string_equal(get1(f, key_of("p", "r")), "");
}

/* Where a partition ends and a row begins must not be guessed from the bytes
 * of both together. */
static void partition_and_row_do_not_run_together(void **state)
{
    static const struct {
        const char *partition, *row;
    } keys[] = {{"", ""},    {"", "a"},   {"a", ""},   {"ab", "c"},
                {"a", "bc"}, {"", "abc"}, {"abc", ""}, {"ab", ""}};
    struct fixture *f = *state;
    size_t n = sizeof(keys) / sizeof(keys[0]);

    for (size_t i = 0; i < n; i++)
        put1(f, key_of(keys[i].partition, keys[i].row),
             arena_printf(&f->arena, "%zu", i));
    for (size_t i = 0; i < n; i++)
        assert_string_equal(get1(f, key_of(keys[i].partition, keys[i].row)),
                            arena_printf(&f->arena, "%zu", i));
}

static void keys_and_values_are_any_bytes(void **state)
{
    struct fixture *f = *state;
    struct storage_key a = {BYTES_LIT("p\0\xff"), BYTES_LIT("\0\0")};
    struct storage_key b = {BYTES_LIT("p\0\xff"), BYTES_LIT("\0")};
    struct storage_batch batch = STORAGE_BATCH_IN(&f->arena);
    struct bytes v;

    storage_batch_put(&batch, a, BYTES_LIT("\0a\xff"));
    storage_batch_put(&batch, b, BYTES_LIT("\0b\xff"));
    assert_int_equal(storage_commit(&f->ctx, f->st, &batch, NULL), 0);
    assert_int_equal(storage_get1(&f->ctx, f->st, a, &v), 0);
    assert_bytes(v, BYTES_LIT("\0a\xff"));
    assert_int_equal(storage_get1(&f->ctx, f->st, b, &v), 0);
    assert_bytes(v, BYTES_LIT("\0b\xff"));
}

static void a_get_of_many_answers_each_in_its_place(void **state)
{
    struct fixture *f = *state;
    struct storage_key keys[] = {key_of("q", "b"), key_of("p", "none"),
                                 key_of("p", "a"), key_of("q", "b")};
    struct storage_value out[4];

    put1(f, key_of("p", "a"), "A");
    put1(f, key_of("q", "b"), "B");
    assert_int_equal(storage_get(&f->ctx, f->st, keys, 4, out), 0);
    assert_bytes(out[0].value, bytes_str("B"));
    assert_false(out[1].found);
    assert_bytes(out[2].value, bytes_str("A"));
    assert_true(out[3].found);
    assert_bytes(out[3].value, bytes_str("B"));
    assert_int_equal(storage_get(&f->ctx, f->st, keys, 0, NULL), 0);
}

/* What a read gave must not change under the reader. */
static void a_value_outlives_the_row_it_came_from(void **state)
{
    struct fixture *f = *state;
    struct storage_range all = STORAGE_ALL;
    struct storage_page page;
    struct bytes v;

    put1(f, key_of("p", "r"), "old");
    assert_int_equal(storage_get1(&f->ctx, f->st, key_of("p", "r"), &v), 0);
    page = scan_all(&f->ctx, f->st, bytes_str("p"), &all, STORAGE_FORWARD, 9);
    put1(f, key_of("p", "r"), "new");
    delete1(f, key_of("p", "r"));
    assert_bytes(v, bytes_str("old"));
    assert_int_equal(page.n, 1);
    assert_bytes(page.rows[0].value, bytes_str("old"));
}

/* ---- scan ---- */

/* Rows of the partition "p"; its neighbours hold one row each. */
static const char *const scan_rows[] = {"", "a", "b", "ba", "bb", "c", "d"};
static const char *const scan_neighbours[] = {"", "o", "p\x01", "pp", "q"};

static void put_scan_rows(struct fixture *f)
{
    for (size_t i = 0; i < sizeof(scan_rows) / sizeof(scan_rows[0]); i++)
        put1(f, key_of("p", scan_rows[i]), scan_rows[i]);
    for (size_t i = 0; i < sizeof(scan_neighbours) / sizeof(char *); i++)
        put1(f, key_of(scan_neighbours[i], "b"), "a neighbour");
}

struct scan_case {
    const char *label;
    const char *from, *to; /* `to` NULL: to the end */
    enum storage_dir dir;
    size_t limit;
    const char *want; /* rows, each behind a slash */
    bool more;
};

#define F STORAGE_FORWARD
#define B STORAGE_BACKWARD
static const struct scan_case scan_cases[] = {
    {"all", "", NULL, F, 100, "//a/b/ba/bb/c/d", false},
    {"all backward", "", NULL, B, 100, "/d/c/bb/ba/b/a/", false},
    {"exactly all", "", NULL, F, 7, "//a/b/ba/bb/c/d", false},
    {"exactly all backward", "", NULL, B, 7, "/d/c/bb/ba/b/a/", false},
    {"all but one", "", NULL, F, 6, "//a/b/ba/bb/c", true},
    {"all but one backward", "", NULL, B, 6, "/d/c/bb/ba/b/a", true},
    {"one", "", NULL, F, 1, "/", true},
    {"one backward", "", NULL, B, 1, "/d", true},
    {"from is inside", "b", NULL, F, 100, "/b/ba/bb/c/d", false},
    {"from is inside, backward", "b", NULL, B, 100, "/d/c/bb/ba/b", false},
    {"to is outside", "a", "c", F, 100, "/a/b/ba/bb", false},
    {"to is outside, backward", "a", "c", B, 100, "/bb/ba/b/a", false},
    {"bounds between rows", "aa", "bab", F, 100, "/b/ba", false},
    {"bounds between rows, backward", "aa", "bab", B, 100, "/ba/b", false},
    {"more looks at the range", "a", "c", F, 4, "/a/b/ba/bb", false},
    {"more looks at the range, backward", "a", "c", B, 4, "/bb/ba/b/a", false},
    {"nothing between", "bbb", "bz", F, 5, "", false},
    {"nothing between, backward", "bbb", "bz", B, 5, "", false},
    {"behind the last", "e", NULL, F, 5, "", false},
    {"behind the last, backward", "e", NULL, B, 5, "", false},
    {"an empty range", "b", "b", F, 5, "", false},
    {"an empty range, backward", "b", "b", B, 5, "", false},
    {"a range the wrong way round", "c", "a", F, 5, "", false},
    {"the empty row alone", "", "a", F, 5, "/", false},
    {"nothing before the empty row", "", "", B, 5, "", false},
};
#undef F
#undef B

static const char *rows_text(struct arena *a, const struct storage_page *page)
{
    struct buf text = BUF_IN(a);

    for (size_t i = 0; i < page->n; i++)
        buf_printf(&text, "/%.*s", BYTES_FMT(page->rows[i].row));
    return buf_cstr(&text);
}

static struct storage_range range_of(const struct scan_case *c)
{
    return (struct storage_range){
        .from = bytes_str(c->from),
        .to = c->to ? bytes_str(c->to) : BYTES_NONE,
        .to_end = !c->to,
    };
}

static void scans_answer_their_table(void **state)
{
    struct fixture *f = *state;

    put_scan_rows(f);
    for (size_t i = 0; i < sizeof(scan_cases) / sizeof(scan_cases[0]); i++) {
        const struct scan_case *c = &scan_cases[i];
        struct storage_range range = range_of(c);
        struct storage_page page;
        int rc = storage_scan(&f->ctx, f->st, bytes_str("p"), &range, c->dir,
                              c->limit, &page);

        if (rc != 0 || strcmp(rows_text(&f->arena, &page), c->want) != 0 ||
            page.more != c->more)
            fail_msg("%s: rc %d, rows %s, more %d", c->label, rc,
                     rows_text(&f->arena, &page), page.more);
        for (size_t r = 0; r < page.n; r++)
            assert_bytes(page.rows[r].value, page.rows[r].row);
    }
}

/* The same ranges, with pages of one, two and three rows. */
static void pages_join_up(void **state)
{
    struct fixture *f = *state;

    put_scan_rows(f);
    for (size_t i = 0; i < sizeof(scan_cases) / sizeof(scan_cases[0]); i++) {
        const struct scan_case *c = &scan_cases[i];
        struct storage_range range = range_of(c);
        struct storage_page whole =
            scan_all(&f->ctx, f->st, bytes_str("p"), &range, c->dir, 100);

        for (size_t limit = 1; limit <= 3; limit++) {
            struct storage_page parts =
                scan_all(&f->ctx, f->st, bytes_str("p"), &range, c->dir, limit);

            assert_string_equal(rows_text(&f->arena, &parts),
                                rows_text(&f->arena, &whole));
        }
    }
}

static void an_unknown_partition_is_empty(void **state)
{
    struct fixture *f = *state;
    struct storage_range all = STORAGE_ALL;

    put1(f, key_of("p", "r"), "v");
    assert_int_equal(
        scan_all(&f->ctx, f->st, bytes_str("none"), &all, STORAGE_FORWARD, 10)
            .n,
        0);
    assert_int_equal(
        scan_all(&f->ctx, f->st, bytes_str("none"), &all, STORAGE_BACKWARD, 10)
            .n,
        0);
}

static void a_scan_passes_over_deleted_rows(void **state)
{
    struct fixture *f = *state;
    struct storage_range all = STORAGE_ALL;
    struct storage_page page;

    put_scan_rows(f);
    delete1(f, key_of("p", ""));
    delete1(f, key_of("p", "ba"));
    delete1(f, key_of("p", "d"));
    page = scan_all(&f->ctx, f->st, bytes_str("p"), &all, STORAGE_FORWARD, 2);
    assert_string_equal(rows_text(&f->arena, &page), "/a/b/bb/c");
    page = scan_all(&f->ctx, f->st, bytes_str("p"), &all, STORAGE_BACKWARD, 2);
    assert_string_equal(rows_text(&f->arena, &page), "/c/bb/b/a");
}

static void a_prefix_covers_what_starts_with_it(void **state)
{
    static const struct {
        struct bytes prefix;
        size_t want;
    } cases[] = {
        {BYTES_LIT(""), 6},         {BYTES_LIT("a"), 3},
        {BYTES_LIT("a\xff"), 2},    {BYTES_LIT("\xff"), 2},
        {BYTES_LIT("\xff\xff"), 1}, {BYTES_LIT("b"), 1},
        {BYTES_LIT("c"), 0},
    };
    static const char *const rows[] = {"a", "a\xff",    "a\xff\xff",
                                       "b", "\xff\x01", "\xff\xff"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        put1(f, key_of("p", rows[i]), "v");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct storage_range r = storage_prefix(&f->arena, cases[i].prefix);

        assert_int_equal(
            scan_all(&f->ctx, f->st, bytes_str("p"), &r, STORAGE_FORWARD, 2).n,
            cases[i].want);
        assert_int_equal(
            scan_all(&f->ctx, f->st, bytes_str("p"), &r, STORAGE_BACKWARD, 2).n,
            cases[i].want);
    }
}

/* ---- commit ---- */

struct cond_case {
    const char *label;
    const char *row;
    const char *value; /* NULL: must be absent */
    bool holds;
    bool below;
};

/* Of a store in which "there" is "v" and "empty" is "". */
static const struct cond_case cond_cases[] = {
    {"the value it has", "there", "v", true},
    {"another value", "there", "w", false},
    {"a longer value", "there", "vv", false},
    {"an empty value where there is one", "there", "", false},
    {"absence of what is there", "there", NULL, false},
    {"absence of what is not", "gone", NULL, true},
    {"a value of what is not there", "gone", "v", false},
    {"an empty value of what is not there", "gone", "", false},
    {"the empty value", "empty", "", true},
    {"absence of an empty value", "empty", NULL, false},
    {"less than a larger value", "there", "w", true, true},
    {"less than a longer value", "there", "vv", true, true},
    {"less than itself", "there", "v", false, true},
    {"less than a smaller value", "there", "u", false, true},
    {"less than nothing", "empty", "", false, true},
    {"an empty value, less than any", "empty", "a", true, true},
    {"less than anything where nothing is", "gone", "", true, true},
};

static void require(struct storage_batch *b, const struct cond_case *c)
{
    if (c->below)
        storage_batch_require_below(b, key_of("p", c->row),
                                    bytes_str(c->value));
    else if (c->value)
        storage_batch_require(b, key_of("p", c->row), bytes_str(c->value));
    else
        storage_batch_require_absent(b, key_of("p", c->row));
}

static void a_commit_is_decided_by_its_conditions(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(cond_cases) / sizeof(cond_cases[0]); i++) {
        const struct cond_case *c = &cond_cases[i];
        struct storage_batch b = STORAGE_BATCH_IN(&f->arena);
        int rc;

        put1(f, key_of("p", "there"), "v");
        put1(f, key_of("p", "empty"), "");
        delete1(f, key_of("p", "gone"));
        delete1(f, key_of("q", "out"));
        require(&b, c);
        storage_batch_put(&b, key_of("p", c->row), bytes_str("written"));
        storage_batch_put(&b, key_of("q", "out"), bytes_str("written"));
        rc = storage_commit(&f->ctx, f->st, &b, NULL);
        if (rc != (c->holds ? 0 : ERR_CONFLICT))
            fail_msg("%s: answered %d", c->label, rc);
        assert_int_equal(f->ctx.err.code, 0);
        assert_int_equal(get1(f, key_of("q", "out")) != NULL, c->holds);
    }
}

static void a_conflict_names_the_condition(void **state)
{
    struct fixture *f = *state;
    struct storage_batch b = STORAGE_BATCH_IN(&f->arena);
    size_t failed = 99;

    put1(f, key_of("p", "a"), "1");
    put1(f, key_of("p", "b"), "2");
    storage_batch_require(&b, key_of("p", "a"), bytes_str("1"));
    storage_batch_require(&b, key_of("p", "b"), bytes_str("not 2"));
    storage_batch_require_absent(&b, key_of("p", "c"));
    assert_int_equal(storage_commit(&f->ctx, f->st, &b, &failed), ERR_CONFLICT);
    assert_int_equal(failed, 1);
}

static void a_batch_without_writes_only_checks(void **state)
{
    struct fixture *f = *state;
    struct storage_batch b = STORAGE_BATCH_IN(&f->arena);

    assert_int_equal(storage_commit(&f->ctx, f->st, &b, NULL), 0);
    storage_batch_require_absent(&b, key_of("p", "a"));
    assert_int_equal(storage_commit(&f->ctx, f->st, &b, NULL), 0);
    put1(f, key_of("p", "a"), "");
    assert_int_equal(storage_commit(&f->ctx, f->st, &b, NULL), ERR_CONFLICT);
}

static void of_two_writes_to_one_key_the_last_counts(void **state)
{
    struct fixture *f = *state;
    struct storage_batch b = STORAGE_BATCH_IN(&f->arena);

    assert_null(get1(f, key_of("p", "del")));
    assert_null(get1(f, key_of("p", "put")));
    storage_batch_put(&b, key_of("p", "put"), bytes_str("first"));
    storage_batch_put(&b, key_of("p", "put"), bytes_str("last"));
    storage_batch_put(&b, key_of("p", "del"), bytes_str("first"));
    storage_batch_delete(&b, key_of("p", "del"));
    storage_batch_delete(&b, key_of("p", "back"));
    storage_batch_put(&b, key_of("p", "back"), bytes_str("last"));
    assert_int_equal(storage_commit(&f->ctx, f->st, &b, NULL), 0);
    assert_string_equal(get1(f, key_of("p", "put")), "last");
    assert_null(get1(f, key_of("p", "del")));
    assert_string_equal(get1(f, key_of("p", "back")), "last");
}

/* Conditions look at what was there before, not at the batch itself. */
static void a_condition_does_not_see_its_own_writes(void **state)
{
    struct fixture *f = *state;
    struct storage_batch b = STORAGE_BATCH_IN(&f->arena);

    storage_batch_put(&b, key_of("p", "a"), bytes_str("1"));
    storage_batch_require_absent(&b, key_of("p", "a"));
    assert_int_equal(storage_commit(&f->ctx, f->st, &b, NULL), 0);
    assert_int_equal(storage_commit(&f->ctx, f->st, &b, NULL), ERR_CONFLICT);
}

static void what_a_read_saw_can_be_required(void **state)
{
    struct fixture *f = *state;
    struct storage_key keys[] = {key_of("p", "a"), key_of("p", "none")};
    struct storage_batch b = STORAGE_BATCH_IN(&f->arena);
    struct storage_value seen[2];

    put1(f, keys[0], "1");
    assert_int_equal(storage_get(&f->ctx, f->st, keys, 2, seen), 0);
    for (int i = 0; i < 2; i++)
        storage_batch_require_same(&b, keys[i], &seen[i]);
    assert_int_equal(storage_commit(&f->ctx, f->st, &b, NULL), 0);
    put1(f, keys[1], "2");
    assert_int_equal(storage_commit(&f->ctx, f->st, &b, NULL), ERR_CONFLICT);
}

static void a_batch_of_thousands_spans_partitions(void **state)
{
    enum { ROWS = 5000, PARTITIONS = 7 };
    struct fixture *f = *state;
    struct storage_batch b = STORAGE_BATCH_IN(&f->arena);
    struct storage_range all = STORAGE_ALL;
    size_t n = 0;

    for (int i = 0; i < ROWS; i++) {
        struct storage_key k =
            key_of(arena_printf(&f->arena, "p%d", i % PARTITIONS),
                   arena_printf(&f->arena, "row %05d", i));

        storage_batch_require_absent(&b, k);
        storage_batch_put(&b, k, bytes_str("v"));
    }
    assert_int_equal(storage_commit(&f->ctx, f->st, &b, NULL), 0);
    for (int p = 0; p < PARTITIONS; p++)
        n += scan_all(&f->ctx, f->st,
                      bytes_str(arena_printf(&f->arena, "p%d", p)), &all,
                      STORAGE_BACKWARD, 999)
                 .n;
    assert_int_equal(n, ROWS);
}

/* ---- open ---- */

static void a_durable_store_opens_with_its_rows(void **state)
{
    struct fixture *f = *state;

    put1(f, key_of("p", "kept"), "v");
    put1(f, key_of("p", "gone"), "v");
    delete1(f, key_of("p", "gone"));
    for (int i = 0; i < 2; i++) {
        fixture_reopen(f);
        assert_int_equal(get1(f, key_of("p", "kept")) != NULL,
                         contract_durable);
        assert_null(get1(f, key_of("p", "gone")));
    }
}

static void two_stores_know_nothing_of_each_other(void **state)
{
    struct fixture *f = *state;
    struct storage *other;
    struct bytes v;

    other = fixture_open(&f->ctx, f->backend,
                         arena_printf(&f->arena, "%s-other", f->path), 0);
    put1(f, key_of("p", "a"), "1");
    assert_int_equal(storage_get1(&f->ctx, other, key_of("p", "a"), &v),
                     ERR_NOT_FOUND);
    storage_close(other);
}

/* Not every backend has views; one that has keeps them still. */
static void a_view_stays_as_the_store_was(void **state)
{
    struct storage_batch b;
    struct fixture *f = *state;
    struct storage *now = f->st, *view;
    struct storage_page page;
    int rc;

    put1(f, key_of("p", "a"), "1");
    put1(f, key_of("p", "b"), "2");
    rc = storage_view(&f->ctx, f->st, &view);
    if (rc == ERR_UNIMPLEMENTED)
        return;
    assert_int_equal(rc, 0);
    for (int i = 0; i < 100; i++)
        put1(f, key_of("p", arena_printf(&f->arena, "m%d", i)), "new");
    put1(f, key_of("p", "a"), "changed");
    delete1(f, key_of("p", "b"));
    f->st = view;
    assert_string_equal(get1(f, key_of("p", "a")), "1");
    assert_string_equal(get1(f, key_of("p", "b")), "2");
    assert_null(get1(f, key_of("p", "m1")));
    for (enum storage_dir dir = STORAGE_FORWARD; dir <= STORAGE_BACKWARD;
         dir++) {
        page = scan_all(&f->ctx, view, BYTES_LIT("p"), &STORAGE_ALL, dir, 1);
        assert_int_equal(page.n, 2);
    }
    b = (struct storage_batch)STORAGE_BATCH_IN(&f->arena);
    storage_batch_put(&b, key_of("p", "a"), BYTES_LIT("x"));
    assert_int_equal(storage_commit(&f->ctx, view, &b, NULL), ERR_INVALID);
    ctx_err_clear(&f->ctx);
    f->st = now;
    assert_string_equal(get1(f, key_of("p", "a")), "changed");
    storage_close(view);
}

static void views_are_of_their_own_moments(void **state)
{
    struct fixture *f = *state;
    struct storage *now = f->st, *views[5];

    for (int i = 0; i < 5; i++) {
        put1(f, key_of("p", "a"), arena_printf(&f->arena, "%d", i));
        if (storage_view(&f->ctx, now, &views[i]) == ERR_UNIMPLEMENTED)
            return;
    }
    for (int i = 4; i >= 0; i -= 2) { /* given back in any order */
        f->st = views[i];
        assert_string_equal(get1(f, key_of("p", "a")),
                            arena_printf(&f->arena, "%d", i));
        storage_close(views[i]);
    }
    for (int i = 1; i < 5; i += 2) {
        f->st = views[i];
        assert_string_equal(get1(f, key_of("p", "a")),
                            arena_printf(&f->arena, "%d", i));
        storage_close(views[i]);
    }
    f->st = now;
}

static bool note_progress(int done, int total, void *arg)
{
    int *calls = arg;

    assert_true(done >= 0 && done < total);
    return ++*calls < 1000;
}

static void compaction_keeps_every_row(void **state)
{
    struct fixture *f = *state;
    struct storage_compaction out;
    int calls = 0;

    put1(f, key_of("p", "gone"), "1");
    put1(f, key_of("p", "kept"), "1");
    delete1(f, key_of("p", "gone"));
    put1(f, key_of("p", "kept"), "2");
    assert_int_equal(
        storage_compact(&f->ctx, f->st, note_progress, &calls, &out), 0);
    assert_int_equal(out.done, calls > 0);
    assert_null(get1(f, key_of("p", "gone")));
    assert_string_equal(get1(f, key_of("p", "kept")), "2");
    f->ctx.may_wait = false; /* a loop is told so, unless nothing is to do */
    assert_int_equal(
        storage_compact(&f->ctx, f->st, note_progress, &calls, &out),
        calls ? ERR_WOULD_BLOCK : 0);
    f->ctx.may_wait = true;
}

static bool refuse(int done, int total, void *arg)
{
    return false;
}

static void compaction_can_be_stopped(void **state)
{
    struct fixture *f = *state;
    struct storage_compaction out;
    int rc;

    put1(f, key_of("p", "kept"), "1");
    rc = storage_compact(&f->ctx, f->st, refuse, NULL, &out);
    assert_true(rc == 0 || rc == ERR_CANCELLED);
    assert_false(out.done);
    assert_string_equal(get1(f, key_of("p", "kept")), "1");
}

static void a_store_tells_its_name_and_figures(void **state)
{
    struct fixture *f = *state;
    struct bytes stats;

    put1(f, key_of("p", "a"), "1");
    stats = storage_stats(&f->ctx, f->st);
    assert_true(bytes_starts(stats, BYTES_LIT("backend ")));
    assert_int_equal(bytes_u8(stats)[stats.n - 1], '\n');
    assert_int_equal(
        strncmp(f->backend, storage_name(f->st), strlen(storage_name(f->st))),
        0);
}

CONTRACT_GROUP(contract_basic, CONTRACT_CASE(an_absent_key_is_not_found),
               CONTRACT_CASE(a_committed_row_reads_back),
               CONTRACT_CASE(an_empty_value_is_found),
               CONTRACT_CASE(partition_and_row_do_not_run_together),
               CONTRACT_CASE(keys_and_values_are_any_bytes),
               CONTRACT_CASE(a_get_of_many_answers_each_in_its_place),
               CONTRACT_CASE(a_value_outlives_the_row_it_came_from),
               CONTRACT_CASE(scans_answer_their_table),
               CONTRACT_CASE(pages_join_up),
               CONTRACT_CASE(an_unknown_partition_is_empty),
               CONTRACT_CASE(a_scan_passes_over_deleted_rows),
               CONTRACT_CASE(a_prefix_covers_what_starts_with_it),
               CONTRACT_CASE(a_commit_is_decided_by_its_conditions),
               CONTRACT_CASE(a_conflict_names_the_condition),
               CONTRACT_CASE(a_batch_without_writes_only_checks),
               CONTRACT_CASE(of_two_writes_to_one_key_the_last_counts),
               CONTRACT_CASE(a_condition_does_not_see_its_own_writes),
               CONTRACT_CASE(what_a_read_saw_can_be_required),
               CONTRACT_CASE(a_batch_of_thousands_spans_partitions),
               CONTRACT_CASE(a_durable_store_opens_with_its_rows),
               CONTRACT_CASE(two_stores_know_nothing_of_each_other),
               CONTRACT_CASE(a_view_stays_as_the_store_was),
               CONTRACT_CASE(views_are_of_their_own_moments),
               CONTRACT_CASE(compaction_keeps_every_row),
               CONTRACT_CASE(compaction_can_be_stopped),
               CONTRACT_CASE(a_store_tells_its_name_and_figures));
