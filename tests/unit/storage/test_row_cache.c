/*
 * The row cache, one interleaving of a reader and a commit at a time: what the
 * invariant in row_cache.h forbids is tried here step by step.
 */
#include "storage/rocksdb/row_cache.h"
#include "test.h"

enum { SMALL = 256 * 1024, HUGE_ROW = 100 * 1024, MANY = 20000 };

struct fixture {
    struct arena arena;
    struct row_cache *c;
    uint64_t hash; /* of `key` */
};

static const struct storage_key key = {{"partition", 9}, {"row", 3}};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->c = row_cache_new(SMALL);
    f->hash = row_cache_hash(key);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    row_cache_free(f->c);
    arena_release(&f->arena);
    free(f);
    return 0;
}

static struct storage_value value(const char *text)
{
    return (struct storage_value){
        .found = text != NULL,
        .value = text ? bytes_str(text) : BYTES_NONE,
    };
}

static void fill(struct fixture *f, uint64_t stamp, const char *text)
{
    struct storage_value v = value(text);

    row_cache_fill(f->c, f->hash, key, stamp, &v);
}

/* What the cache says of the key: a text, "absent", or "unknown". */
static const char *said(struct fixture *f)
{
    struct storage_value v;

    if (!row_cache_get(f->c, f->hash, key, &f->arena, &v))
        return "unknown";
    return v.found ? arena_cstr(&f->arena, v.value) : "absent";
}

static uint64_t stamp(struct fixture *f)
{
    return row_cache_stamp(f->c, f->hash);
}

static void begin(struct fixture *f)
{
    row_cache_begin(f->c, &f->hash, 1);
}

static void end(struct fixture *f, const char *text, bool written)
{
    struct storage_write w = {
        .key = key,
        .del = !text,
        .value = text ? bytes_str(text) : BYTES_NONE,
    };

    row_cache_end(f->c, &f->hash, &w, 1, written);
}

static void what_a_reader_found_is_kept(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(said(f), "unknown");
    fill(f, stamp(f), "one");
    assert_string_equal(said(f), "one");
}

static void absence_is_kept_too(void **state)
{
    struct fixture *f = *state;

    fill(f, stamp(f), NULL);
    assert_string_equal(said(f), "absent");
    begin(f);
    end(f, "new", true);
    assert_string_equal(said(f), "new");
    begin(f);
    end(f, NULL, true);
    assert_string_equal(said(f), "absent");
}

static void a_stamp_is_busy_while_a_commit_writes(void **state)
{
    struct fixture *f = *state;
    uint64_t before = stamp(f);

    assert_true(row_cache_quiet(before));
    begin(f);
    begin(f); /* another, of a key with the same stamp */
    assert_false(row_cache_quiet(stamp(f)));
    end(f, "v", true);
    assert_false(row_cache_quiet(stamp(f)));
    end(f, "v", true);
    assert_true(row_cache_quiet(stamp(f)));
    assert_true(stamp(f) != before);
}

/* A reader takes the stamp and reads the old row; then a commit ... */
static void an_old_row_does_not_come_in(void **state)
{
    struct fixture *f = *state;
    uint64_t s = stamp(f);

    begin(f);
    fill(f, s, "old"); /* ... is under way */
    assert_string_equal(said(f), "unknown");
    end(f, "new", true);
    fill(f, s, "old"); /* ... is over */
    assert_string_equal(said(f), "unknown");
    fill(f, stamp(f), "new");
    assert_string_equal(said(f), "new");
}

static void a_stamp_taken_under_a_commit_fills_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t s;

    begin(f);
    s = stamp(f);
    fill(f, s, "half");
    assert_string_equal(said(f), "unknown");
    end(f, "new", true);
    fill(f, s, "half");
    assert_string_equal(said(f), "unknown");
}

/* ... begins right after the reader's check: its end finds the row. */
static void a_row_that_slipped_in_is_set_right(void **state)
{
    struct fixture *f = *state;

    fill(f, stamp(f), "old");
    begin(f);
    end(f, "new", true);
    assert_string_equal(said(f), "new");
}

static void a_failed_commit_changes_nothing(void **state)
{
    struct fixture *f = *state;

    fill(f, stamp(f), "old");
    begin(f);
    end(f, "new", false);
    assert_string_equal(said(f), "old");
    assert_true(row_cache_quiet(stamp(f)));
}

static void a_cleared_cache_refuses_older_reads(void **state)
{
    struct fixture *f = *state;
    uint64_t s = stamp(f);

    fill(f, s, "old");
    row_cache_clear(f->c);
    assert_string_equal(said(f), "unknown");
    fill(f, s, "old");
    assert_string_equal(said(f), "unknown");
    fill(f, stamp(f), "new");
    assert_string_equal(said(f), "new");
}

/* All under one hash: the worst luck. */
static void keys_that_share_bytes_are_told_apart(void **state)
{
    static const struct {
        struct storage_key key;
        const char *value;
    } rows[] = {
        {{{"ab", 2}, {"c", 1}}, "0"},
        {{{"a", 1}, {"bc", 2}}, "1"},
        {{{"abc", 3}, {"", 0}}, "2"},
    };
    struct fixture *f = *state;
    struct storage_value v;

    for (int i = 0; i < 3; i++) {
        v = value(rows[i].value);
        row_cache_fill(f->c, f->hash, rows[i].key, stamp(f), &v);
    }
    for (int i = 0; i < 3; i++) {
        assert_true(row_cache_get(f->c, f->hash, rows[i].key, &f->arena, &v));
        assert_bytes(v.value, bytes_str(rows[i].value));
    }
}

static uint64_t figure(struct fixture *f, const char *name)
{
    struct buf out = BUF_IN(&f->arena);
    const char *at;

    row_cache_stats(f->c, &out);
    at = strstr(buf_cstr(&out), name);
    assert_non_null(at);
    return strtoull(at + strlen(name), NULL, 10);
}

static struct storage_key other(struct fixture *f, int i)
{
    return (struct storage_key){bytes_str("p"),
                                bytes_str(arena_printf(&f->arena, "%d", i))};
}

static void fill_other(struct fixture *f, int i)
{
    struct storage_key k = other(f, i);
    struct storage_value v = value("a value that takes some room");
    uint64_t h = row_cache_hash(k);

    row_cache_fill(f->c, h, k, row_cache_stamp(f->c, h), &v);
}

static bool has_other(struct fixture *f, int i)
{
    struct storage_key k = other(f, i);
    struct storage_value v;

    return row_cache_get(f->c, row_cache_hash(k), k, &f->arena, &v);
}

static void the_cache_stays_within_its_bytes(void **state)
{
    struct fixture *f = *state;

    /* The newest is in, even where all the others have been used. */
    for (int i = 0; i < MANY; i++) {
        fill_other(f, i);
        assert_true(has_other(f, i));
    }
    assert_in_range(figure(f, "cache.bytes "), SMALL / 2, SMALL);
    assert_int_equal(figure(f, "cache.rows ") + figure(f, "cache.evictions "),
                     MANY);
}

static void what_is_used_outlives_what_is_not(void **state)
{
    struct fixture *f = *state;

    fill(f, stamp(f), "used");
    for (int i = 0; i < MANY; i++) {
        fill_other(f, i);
        assert_string_equal(said(f), "used");
    }
}

static void a_huge_row_is_not_taken_in(void **state)
{
    struct fixture *f = *state;
    char *huge = arena_zalloc(&f->arena, HUGE_ROW);

    memset(huge, 'x', HUGE_ROW - 1);
    fill(f, stamp(f), huge);
    assert_string_equal(said(f), "unknown");
    /* And one that grows huge leaves. */
    fill(f, stamp(f), "small");
    begin(f);
    end(f, huge, true);
    assert_string_equal(said(f), "unknown");
}

#define CASE(fn_) cmocka_unit_test_setup_teardown(fn_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_a_reader_found_is_kept),
        CASE(absence_is_kept_too),
        CASE(a_stamp_is_busy_while_a_commit_writes),
        CASE(an_old_row_does_not_come_in),
        CASE(a_stamp_taken_under_a_commit_fills_nothing),
        CASE(a_row_that_slipped_in_is_set_right),
        CASE(a_failed_commit_changes_nothing),
        CASE(a_cleared_cache_refuses_older_reads),
        CASE(keys_that_share_bytes_are_told_apart),
        CASE(the_cache_stays_within_its_bytes),
        CASE(what_is_used_outlives_what_is_not),
        CASE(a_huge_row_is_not_taken_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
