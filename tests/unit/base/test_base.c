/*
 * base: arena, buf, bytes, ctx and err, errinj, locks, log.
 */
#include "base/buf.h"
#include "base/ctx.h"
#include "base/errinj.h"
#include "base/locks.h"
#include "base/log.h"
#include "base/utf8.h"
#include "test.h"

#include <pthread.h>
#include <signal.h>

#define COUNT(a_) (sizeof(a_) / sizeof((a_)[0]))

/* ---- what a child does: run fn(), and look at its end and its stderr ---- */

struct outcome {
    int status;
    char err[16 * 1024];
};

static struct outcome run_child(void (*fn)(void))
{
    struct outcome o = {0};
    size_t n = 0;
    ssize_t got;
    pid_t pid;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        signal(SIGABRT, SIG_DFL);
        fn();
        _exit(0);
    }
    close(fds[1]);
    while (n < sizeof(o.err) - 1 &&
           (got = read(fds[0], o.err + n, sizeof(o.err) - 1 - n)) > 0)
        n += (size_t)got;
    close(fds[0]);
    assert_int_equal(waitpid(pid, &o.status, 0), pid);
    return o;
}

static void assert_says(const struct outcome *o, const char *text)
{
    if (!strstr(o->err, text))
        fail_msg("no '%s' in: %s", text, o->err);
}

static void assert_bug(void (*fn)(void), const char *text)
{
    struct outcome o = run_child(fn);

    assert_true(WIFSIGNALED(o.status));
    assert_int_equal(WTERMSIG(o.status), SIGABRT);
    assert_says(&o, "BUG: ");
    assert_says(&o, text);
}

/* ---- arena ---- */

static void allocations_are_aligned_and_do_not_overlap(void **state)
{
    static const size_t sizes[] = {0, 1, 15, 16, 17, 1000, 16384, 3000000};
    struct arena a = ARENA_INIT;
    uint8_t *p[COUNT(sizes)];

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT(sizes); i++) {
            p[i] = arena_alloc(&a, sizes[i]);
            assert_int_equal((uintptr_t)p[i] % 16, 0);
            memset(p[i], (int)i, sizes[i]);
        }
        for (size_t i = 0; i < COUNT(sizes); i++) {
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(p[i][k], i);
        }
        arena_reset(&a);
    }
    arena_release(&a);
    arena_release(&a); /* a zeroed arena is accepted */
}

static void zeroed_memory_is_zero_after_a_reset_too(void **state)
{
    struct arena a = ARENA_INIT;

    for (int round = 0; round < 3; round++) {
        uint64_t *p = ARENA_ARRAY(&a, uint64_t, 100);

        for (int i = 0; i < 100; i++) {
            assert_int_equal(p[i], 0);
            p[i] = UINT64_MAX;
        }
        arena_reset(&a);
    }
    arena_release(&a);
}

struct hook_log {
    char order[8];
    size_t n;
};

static struct hook_log hook_log;

static void hook(void *obj)
{
    hook_log.order[hook_log.n++] = *(const char *)obj;
}

static void reset_runs_hooks_newest_first_and_once(void **state)
{
    struct arena a = ARENA_INIT;

    hook_log = (struct hook_log){0};
    arena_on_reset(&a, hook, "a");
    arena_on_reset(&a, hook, "b");
    arena_on_reset(&a, hook, "c");
    arena_reset(&a);
    assert_string_equal(hook_log.order, "cba");
    arena_reset(&a);
    assert_string_equal(hook_log.order, "cba");
    arena_on_reset(&a, hook, "d");
    arena_release(&a);
    assert_string_equal(hook_log.order, "cbad");
}

static void what_grows_keeps_its_bytes(void **state)
{
    struct arena a = ARENA_INIT;
    char *p = arena_grow(&a, NULL, 0, 4);

    memcpy(p, "abcd", 4);
    p = arena_grow(&a, p, 4, 1000); /* the last one */
    assert_memory_equal(p, "abcd", 4);
    arena_alloc(&a, 1);
    p = arena_grow(&a, p, 1000, 100000); /* no longer */
    assert_memory_equal(p, "abcd", 4);
    arena_release(&a);
}

static void copies_are_copies(void **state)
{
    struct arena a = ARENA_INIT;
    char text[] = "text";

    struct bytes b = arena_dup(&a, bytes_str(text));
    const char *s = arena_strdup(&a, text);
    const char *c = arena_cstr(&a, BYTES(text, 2));

    text[0] = 'T';
    assert_bytes(b, BYTES_LIT("text"));
    assert_string_equal(s, "text");
    assert_string_equal(c, "te");
    assert_string_equal(arena_cstr(&a, BYTES_NONE), "");
    assert_string_equal(arena_printf(&a, "%d-%s", 7, s), "7-text");
    arena_release(&a);
}

static void ask_for_too_much(void)
{
    struct arena a = ARENA_INIT;

    arena_array(&a, SIZE_MAX / 2, 3);
}

static void an_array_that_overflows_ends_the_process(void **state)
{
    struct outcome o = run_child(ask_for_too_much);

    assert_true(WIFEXITED(o.status));
    assert_int_equal(WEXITSTATUS(o.status), 1);
    assert_says(&o, "cannot be meant");
}

/* ---- buf ---- */

static void check_buf(struct buf *b)
{
    buf_add_str(b, "ab");
    buf_add_u8(b, 'c');
    buf_add_be64(b, 0x6465666768696a6bULL);
    buf_add(b, BYTES_NONE);
    buf_printf(b, "%s%d", "l", 5);
    assert_bytes(buf_view(b), BYTES_LIT("abcdefghijkl5"));
    buf_consume(b, 3);
    assert_string_equal(buf_cstr(b), "defghijkl5");
    assert_int_equal(b->n, 10);
    buf_clear(b);
    for (int i = 0; i < 10000; i++)
        buf_add_u8(b, (uint8_t)i);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(b->p[i], i & 0xff);
    buf_consume(b, 10000);
    assert_int_equal(b->n, 0);
    assert_string_equal(buf_cstr(b), "");
}

static void a_buffer_grows_on_the_heap_and_in_an_arena(void **state)
{
    struct arena a = ARENA_INIT;
    struct buf heap = BUF_HEAP, in = BUF_IN(&a), zero = {0};

    check_buf(&heap);
    check_buf(&in);
    buf_release(&heap);
    buf_release(&in);
    buf_release(&zero);
    arena_release(&a);
}

static void consume_too_much(void)
{
    struct buf b = BUF_HEAP;

    buf_add_u8(&b, 1);
    buf_consume(&b, 2);
}

static void consuming_more_than_there_is_is_a_bug(void **state)
{
    assert_bug(consume_too_much, "consuming 2 of 1 bytes");
}

/* ---- bytes ---- */

static void bytes_are_ordered_as_memcmp_says(void **state)
{
    static const struct bytes sorted[] = {
        {"", 0},     {"\0", 1},   {"\0\0", 2},     {"a", 1},
        {"a\0", 2},  {"ab", 2},   {"b", 1},        {"\x7f", 1},
        {"\x80", 1}, {"\xff", 1}, {"\xff\xff", 2},
    };

    for (size_t i = 0; i < COUNT(sorted); i++) {
        for (size_t k = 0; k < COUNT(sorted); k++) {
            int d = bytes_cmp(sorted[i], sorted[k]);

            assert_int_equal((d > 0) - (d < 0), (i > k) - (i < k));
            assert_int_equal(bytes_eq(sorted[i], sorted[k]), i == k);
        }
    }
    assert_true(bytes_eq(BYTES_NONE, BYTES_LIT("")));
}

static void a_prefix_is_recognized(void **state)
{
    assert_true(bytes_starts(BYTES_LIT("abc"), BYTES_LIT("ab")));
    assert_true(bytes_starts(BYTES_LIT("abc"), BYTES_LIT("abc")));
    assert_true(bytes_starts(BYTES_LIT("abc"), BYTES_NONE));
    assert_false(bytes_starts(BYTES_LIT("ab"), BYTES_LIT("abc")));
    assert_false(bytes_starts(BYTES_LIT("abc"), BYTES_LIT("b")));
    assert_bytes(bytes_from(BYTES_LIT("abc"), 1), BYTES_LIT("bc"));
}

static void case_is_ignored_in_ascii_only(void **state)
{
    assert_true(
        bytes_ieq(BYTES_LIT("Content-Type"), BYTES_LIT("cOnTENT-tYPE")));
    assert_true(bytes_ieq(BYTES_NONE, BYTES_LIT("")));
    assert_false(bytes_ieq(BYTES_LIT("a"), BYTES_LIT("ab")));
    assert_false(bytes_ieq(BYTES_LIT("@"), BYTES_LIT("`")));
    assert_false(bytes_ieq(BYTES_LIT("["), BYTES_LIT("{")));
    assert_false(bytes_ieq(BYTES_LIT("\xc4"), BYTES_LIT("\xe4")));
}

static void big_endian_numbers_sort_as_bytes(void **state)
{
    static const uint64_t n[] = {0, 1, 255, 256, 1ULL << 32, UINT64_MAX};
    uint8_t prev[8], p[8];

    for (size_t i = 0; i < COUNT(n); i++) {
        put_be64(p, n[i]);
        assert_true(get_be64(p) == n[i]);
        if (i > 0)
            assert_true(memcmp(prev, p, 8) < 0);
        memcpy(prev, p, 8);
    }
}

/* Every length to 40, and each byte of each: all hashes differ. */
static void the_hash_sees_every_byte_and_the_length(void **state)
{
    enum { LEN = 40, MAX = LEN * LEN + LEN };
    static uint64_t seen[MAX];
    uint8_t p[LEN] = {0};
    size_t n = 0;

    for (size_t len = 0; len < LEN; len++) {
        seen[n++] = bytes_hash(BYTES(p, len));
        for (size_t i = 0; i < len; i++) {
            p[i] = 1;
            seen[n++] = bytes_hash(BYTES(p, len));
            p[i] = 0;
        }
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++)
            assert_true(seen[i] != seen[k]);
    }
}

/* ---- ctx and err ---- */

static void the_first_story_stands_until_cleared(void **state)
{
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &a);
    assert_string_equal(ctx_err_text(&ctx, ERR_CONFLICT),
                        err_sentence(ERR_CONFLICT));
    assert_int_equal(ctx_err(&ctx, ERR_INVALID, "no %s", "path"), ERR_INVALID);
    assert_int_equal(ctx_app_err(&ctx, ERR_IO, 7, "later"), ERR_IO);
    assert_int_equal(ctx.err.code, ERR_INVALID);
    assert_string_equal(ctx_err_text(&ctx, ERR_IO), "no path");
    assert_non_null(strstr(ctx.err.file, "test_base.c"));
    ctx_err_clear(&ctx);
    ctx_app_err(&ctx, ERR_IO, 7, "now");
    assert_int_equal(ctx.err.app_code, 7);
    assert_string_equal(ctx.err.message, "now");
    arena_release(&a);
}

static void time_left_is_never_negative(void **state)
{
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &a);
    assert_true(ctx_left(&ctx) == CTX_FOREVER);
    ctx.deadline = clock_mono() + CLOCK_SEC;
    assert_in_range(ctx_left(&ctx), 1, CLOCK_SEC);
    ctx.deadline = clock_mono() - CLOCK_SEC;
    assert_int_equal(ctx_left(&ctx), 0);
}

static void each_error_has_its_row(void **state)
{
    static const int codes[] = {
#define ERR(name, number, sentence, http, retryable) number,
#include "base/err_codes.h"
#undef ERR
    };

    for (size_t i = 0; i < COUNT(codes); i++) {
        assert_true(codes[i] < 0);
        assert_string_not_equal(err_name(codes[i]), "?");
        assert_true(*err_sentence(codes[i]));
        assert_in_range(err_http_status(codes[i]), 400, 599);
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(codes[i], codes[k]);
    }
    assert_string_equal(err_name(ERR_NOT_FOUND), "NOT_FOUND");
    assert_int_equal(err_http_status(0), 200);
    assert_true(err_retryable(ERR_ABORTED));
    assert_false(err_retryable(ERR_UNKNOWN));
    assert_string_equal(err_name(-999), "?");
}

/* ---- errinj ---- */

static void a_fault_fires_its_count_after_its_skip(void **state)
{
    static const bool want[] = {false, false, true, true, true, false, false};

    assert_false(errinj("x"));
    errinj_set("x", 3, 2);
    for (size_t i = 0; i < COUNT(want); i++) {
        assert_int_equal(errinj("x"), want[i]);
        assert_false(errinj("y"));
    }
    errinj_set("x", 1, 0); /* set again */
    assert_true(errinj("x"));
    assert_false(errinj("x"));
    errinj_set("x", 1, 0);
    errinj_clear();
    assert_false(errinj("x"));
}

static void faults_come_from_the_environment(void **state)
{
    setenv("APPSCALE_ERRINJ", "a.b=1,c.d=2@1", 1);
    errinj_from_env();
    unsetenv("APPSCALE_ERRINJ");
    assert_true(errinj("a.b"));
    assert_false(errinj("a.b"));
    assert_false(errinj("c.d"));
    assert_true(errinj("c.d"));
    errinj_clear();
}

static void read_bad_faults(void)
{
    errinj_from_env();
}

static void a_bad_fault_list_ends_the_process(void **state)
{
    static const char *const bad[] = {"a", "a=x", "a=1@2z"};

    for (size_t i = 0; i < COUNT(bad); i++) {
        struct outcome o;

        setenv("APPSCALE_ERRINJ", bad[i], 1);
        o = run_child(read_bad_faults);
        assert_true(WIFEXITED(o.status) && WEXITSTATUS(o.status) == 1);
        assert_says(&o, "APPSCALE_ERRINJ");
    }
    unsetenv("APPSCALE_ERRINJ");
}

static void crash_at_the_second(void)
{
    errinj_set("crash", 1, 1);
    errinj_crash("crash");
    fputs("once", stderr);
    errinj_crash("crash");
    fputs("twice", stderr);
}

static void a_crash_is_a_kill(void **state)
{
    struct outcome o = run_child(crash_at_the_second);

    assert_true(WIFSIGNALED(o.status));
    assert_int_equal(WTERMSIG(o.status), SIGKILL);
    assert_string_equal(o.err, "once");
}

/* ---- locks ---- */

static struct lock low, high, shards[2];
static struct rwlock shared;

static void locks_make(void)
{
    lock_init(&low, LOCK_RPC_TICKETS);
    lock_init(&high, LOCK_NET_LOOP);
    rwlock_init(&shared, LOCK_STORAGE_DB);
    for (int i = 0; i < 2; i++)
        lock_init(&shards[i], LOCK_STORAGE_CACHE);
}

static void in_order(void)
{
    locks_make();
    lock_take(&low);
    rwlock_share(&shared);
    lock_take(&shards[0]);
    lock_take(&shards[1]);
    lock_take(&high);
    lock_drop(&shards[0]); /* dropped in any order */
    lock_drop(&high);
    rwlock_drop(&shared);
    lock_drop(&low);
    lock_drop(&shards[1]);
    lock_take(&low);
    lock_drop(&low);
    rwlock_take(&shared);
    rwlock_drop(&shared);
    fputs("fine", stderr);
}

static void against_rank(void)
{
    locks_make();
    lock_take(&high);
    lock_take(&low);
}

static void against_address(void)
{
    locks_make();
    lock_take(&shards[1]);
    lock_take(&shards[0]);
}

static void twice(void)
{
    locks_make();
    lock_take(&low);
    lock_take(&low);
}

static void shared_against_rank(void)
{
    locks_make();
    lock_take(&high);
    rwlock_share(&shared);
}

static void not_held(void)
{
    locks_make();
    lock_drop(&low);
}

static void locks_are_taken_in_order(void **state)
{
    struct outcome o = run_child(in_order);

    assert_true(WIFEXITED(o.status));
    assert_string_equal(o.err, "fine");
}

static void locks_out_of_order_are_a_bug(void **state)
{
#ifdef NDEBUG
    skip(); /* a release build does not look */
#endif
    assert_bug(against_rank, "lock RPC_TICKETS taken while holding NET_LOOP");
    assert_bug(against_address,
               "lock STORAGE_CACHE taken while holding STORAGE_CACHE");
    assert_bug(twice, "lock RPC_TICKETS taken while holding RPC_TICKETS");
    assert_bug(shared_against_rank,
               "lock STORAGE_DB taken while holding NET_LOOP");
    assert_bug(not_held, "dropped by a thread that does not hold it");
}

static void *try_share(void *arg)
{
    bool *got = arg;

    *got = rwlock_try_share(&shared);
    if (*got)
        rwlock_drop(&shared);
    return NULL;
}

static bool another_thread_can_share(void)
{
    pthread_t t;
    bool got;

    assert_int_equal(pthread_create(&t, NULL, try_share, &got), 0);
    pthread_join(t, NULL);
    return got;
}

static void a_shared_lock_is_shared_but_not_when_taken(void **state)
{
    locks_make();
    rwlock_share(&shared);
    assert_true(another_thread_can_share());
    rwlock_drop(&shared);
    rwlock_take(&shared);
    assert_false(another_thread_can_share());
    rwlock_drop(&shared);
    assert_true(another_thread_can_share());
    rwlock_release(&shared);
}

/* ---- log ---- */

static const struct log_case {
    const char *value;
    const char *want;
} log_cases[] = {
    {"plain", " k=plain\n"},
    {"", " k=\"\"\n"},
    {"two words", " k=\"two words\"\n"},
    {"a=b", " k=\"a=b\"\n"},
    {"say \"hi\"", " k=\"say \\\"hi\\\"\"\n"},
    {"back\\slash here", " k=\"back\\\\slash here\"\n"},
    {"two\nlines", " k=\"two\\nlines\"\n"},
    {"a\tb\x01"
     "c\x7f",
     " k=\"a?b?c?\"\n"},
    {"gr\xc3\xbc\xc3\x9f", " k=gr\xc3\xbc\xc3\x9f\n"},
    {NULL, " k=(null)\n"},
};

static const char *log_value;

static void log_one(void)
{
    log_info(NULL, "test.event", "k", log_value);
}

static void values_are_quoted_so_that_a_line_stays_one(void **state)
{
    for (size_t i = 0; i < COUNT(log_cases); i++) {
        struct outcome o;

        log_value = log_cases[i].value;
        o = run_child(log_one);
        assert_says(&o, " info test.event");
        assert_says(&o, log_cases[i].want);
        assert_ptr_equal(strchr(o.err, '\n'), o.err + strlen(o.err) - 1);
    }
}

static void log_with_ctx(void)
{
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &a);
    ctx.app = BYTES_LIT("guestbook");
    ctx.request_id = BYTES_LIT("r1");
    log_debug(&ctx, "not.shown", "n", log_int(1));
    log_warn(&ctx, "shown", "n", log_int(-42), "b",
             log_bytes(BYTES_LIT("x y")));
}

static void a_line_names_the_app_and_the_request(void **state)
{
    struct outcome o = run_child(log_with_ctx);

    assert_says(&o, "Z warn shown app=guestbook request=r1 n=-42 b=\"x y\"\n");
    assert_null(strstr(o.err, "not.shown"));
}

static void log_long(void)
{
    static char text[3 * LOG_LINE_MAX];

    memset(text, 'x', sizeof(text) - 1);
    log_error(NULL, "long", "k", text);
}

static void a_long_line_is_cut_and_still_ends(void **state)
{
    struct outcome o = run_child(log_long);

    assert_int_equal(strlen(o.err), LOG_LINE_MAX);
    assert_int_equal(o.err[LOG_LINE_MAX - 1], '\n');
}

static void die_now(void)
{
    die("no %s today", "luck");
}

static void die_says_why_and_exits(void **state)
{
    struct outcome o = run_child(die_now);

    assert_true(WIFEXITED(o.status));
    assert_int_equal(WEXITSTATUS(o.status), 1);
    assert_string_equal(o.err, "no luck today\n");
}

static void what_is_no_text_is_repaired_and_the_rest_stays(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"caf\xc3\xa9", "caf\xc3\xa9"},
        {"caf\xe9!", "caf\xef\xbf\xbd!"},
        {"cut \xe2\x82", "cut \xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
    };
    struct arena a = ARENA_INIT;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes out = utf8_repair(&a, bytes_str(cases[i].in));

        assert_true(bytes_eq_str(out, cases[i].out));
        assert_true(utf8_valid(out));
        assert_int_equal(utf8_valid(bytes_str(cases[i].in)),
                         strcmp(cases[i].in, cases[i].out) == 0);
    }
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_aligned_and_do_not_overlap),
        cmocka_unit_test(zeroed_memory_is_zero_after_a_reset_too),
        cmocka_unit_test(reset_runs_hooks_newest_first_and_once),
        cmocka_unit_test(what_grows_keeps_its_bytes),
        cmocka_unit_test(copies_are_copies),
        cmocka_unit_test(an_array_that_overflows_ends_the_process),
        cmocka_unit_test(a_buffer_grows_on_the_heap_and_in_an_arena),
        cmocka_unit_test(consuming_more_than_there_is_is_a_bug),
        cmocka_unit_test(bytes_are_ordered_as_memcmp_says),
        cmocka_unit_test(a_prefix_is_recognized),
        cmocka_unit_test(case_is_ignored_in_ascii_only),
        cmocka_unit_test(big_endian_numbers_sort_as_bytes),
        cmocka_unit_test(the_hash_sees_every_byte_and_the_length),
        cmocka_unit_test(what_is_no_text_is_repaired_and_the_rest_stays),
        cmocka_unit_test(the_first_story_stands_until_cleared),
        cmocka_unit_test(time_left_is_never_negative),
        cmocka_unit_test(each_error_has_its_row),
        cmocka_unit_test(a_fault_fires_its_count_after_its_skip),
        cmocka_unit_test(faults_come_from_the_environment),
        cmocka_unit_test(a_bad_fault_list_ends_the_process),
        cmocka_unit_test(a_crash_is_a_kill),
        cmocka_unit_test(locks_are_taken_in_order),
        cmocka_unit_test(locks_out_of_order_are_a_bug),
        cmocka_unit_test(a_shared_lock_is_shared_but_not_when_taken),
        cmocka_unit_test(values_are_quoted_so_that_a_line_stays_one),
        cmocka_unit_test(a_line_names_the_app_and_the_request),
        cmocka_unit_test(a_long_line_is_cut_and_still_ends),
        cmocka_unit_test(die_says_why_and_exits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
