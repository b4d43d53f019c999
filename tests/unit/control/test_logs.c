/* Logs: what a line says, places in files that rotate, merging. */
#include "base/clock.h"
#include "base/log_writer.h"
#include "control/log_query.h"
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct arena arena;
static char folder[] = "/tmp/appscale-test-logs-XXXXXX";

static int start(void **state)
{
    (void)state;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

/* ---- a line ---- */

static struct log_entry parse(enum log_format format, struct log_thread *t,
                              const char *line)
{
    struct log_thread own = {0};
    struct log_entry e = {.source = bytes_str("s.v")};

    assert_true(
        log_entry_parse(&arena, format, t ? t : &own, bytes_str(line), &e));
    return e;
}

#define STAMP "2026-11-26T08:00:00.123456Z i3 "

static void an_applications_line_tells_its_severity(void **state)
{
    static const struct {
        const char *line, *severity, *text;
    } cases[] = {
        {"hello", "DEFAULT", "hello"},
        {"", "DEFAULT", ""},
        {"WARNING:root:low", "WARNING", "WARNING:root:low"},
        {"warning: low", "WARNING", "warning: low"},
        {"2026-11-26 08:00:00,123 ERROR app: it", "ERROR", NULL},
        {"[2026-11-26 08:00:00 +0000] [7] [INFO] Booting", "INFO", NULL},
        {"time=2026 level=warn msg=x", "WARNING", NULL},
        {"2026/11/26 08:00:00 [crit] 7#7: x", "CRITICAL", NULL},
        {"panic: runtime error", "ERROR", NULL},
        {"PHP Fatal error:  Uncaught", "ERROR", NULL},
        {"Traceback (most recent call last):", "ERROR", NULL},
        {"there was an error in it", "DEFAULT", NULL},
        {"an ERRORless line", "DEFAULT", NULL},
        {"one two three four five six ERROR", "DEFAULT", NULL},
        {"{\"severity\":\"alert\",\"message\":\"m\"}", "ALERT", "m"},
        {"{\"level\":40,\"msg\":\"m\\nn\"}", "WARNING", "m\nn"},
        {"{\"level\":\"fatal\"}", "CRITICAL", "{\"level\":\"fatal\"}"},
        {"{\"level\":-1}", "DEFAULT", NULL},
        {"{\"severity\":7,\"a\":[]}", "DEFAULT", NULL},
        {"{not json", "DEFAULT", "{not json"},
        {"\xff\xfe ERROR \xff", "ERROR", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct log_entry e =
            parse(LOG_FORMAT_APP, NULL,
                  arena_printf(&arena, STAMP "%s", cases[i].line));

        assert_string_equal(log_severity_name(e.severity), cases[i].severity);
        assert_true(bytes_eq_str(e.instance, "3"));
        assert_int_equal(e.time, 1795680000123456);
        if (cases[i].text)
            assert_string_equal(arena_cstr(&arena, e.text), cases[i].text);
    }
}

static void what_continues_a_line_is_as_severe(void **state)
{
    static const struct {
        const char *line;
        enum log_severity severity;
    } lines[] = {
        {STAMP "ERROR:root:it fails", LOG_SEVERITY_ERROR},
        {STAMP "Traceback (most recent call last):", LOG_SEVERITY_ERROR},
        {STAMP "  File \"x\", line 1", LOG_SEVERITY_ERROR},
        /* Another instance's line comes between. */
        {"2026-11-26T08:00:00.123456Z i4   indented", LOG_SEVERITY_DEFAULT},
        {STAMP "ValueError: no", LOG_SEVERITY_ERROR},
        {STAMP "then a line", LOG_SEVERITY_DEFAULT},
        {STAMP "\tindented", LOG_SEVERITY_DEFAULT},
    };
    struct log_thread t = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_int_equal(parse(LOG_FORMAT_APP, &t, lines[i].line).severity,
                         lines[i].severity);
}

static void the_lines_of_parts_and_requests_are_read(void **state)
{
    struct log_entry e =
        parse(LOG_FORMAT_PART, NULL,
              "2026-11-26T08:00:00.123Z warn process.down a=b");

    (void)state;
    assert_int_equal(e.severity, LOG_SEVERITY_WARNING);
    assert_int_equal(e.time, 1795680000123000);
    assert_true(bytes_eq_str(e.text, "process.down a=b"));
    e = parse(LOG_FORMAT_PART, NULL, "2026/11/26 08:00:00 [error] 7#0: *1 x");
    assert_int_equal(e.severity, LOG_SEVERITY_ERROR);
    assert_int_not_equal(e.time, 0);
    e = parse(LOG_FORMAT_REQUEST, NULL,
              "time=2026-11-26T09:00:00+01:00 at=1795680000.5 app=p/s/v "
              "method=GET path=\"/a b\" status=503 seconds=0.012 bytes=7 "
              "request=x client=::1 instance=i12");
    assert_true(e.request);
    assert_string_equal(arena_cstr(&arena, e.instance), "12");
    assert_int_equal(e.severity, LOG_SEVERITY_ERROR);
    assert_int_equal(e.time, 1795680000500000);
    assert_true(bytes_eq_str(e.project, "p"));
    assert_true(bytes_eq_str(e.source, "s.v"));
    assert_string_equal(arena_cstr(&arena, e.text),
                        "GET /a b 503 12 ms 7 bytes ::1");
    /* Of before there was `at`. */
    e = parse(LOG_FORMAT_REQUEST, NULL,
              "time=2026-11-26T09:00:00+01:00 app=p/s/v method=GET path=\"/\" "
              "status=200 seconds=0 bytes=7 client=::1");
    assert_int_equal(e.time, 1795680000000000);
    assert_int_equal(e.instance.n, 0);
    e = (struct log_entry){0};
    assert_false(log_entry_parse(&arena, LOG_FORMAT_REQUEST, NULL,
                                 bytes_str("time= app=- method="), &e));
    assert_false(
        log_entry_parse(&arena, LOG_FORMAT_REQUEST, NULL, BYTES_NONE, &e));
}

/* ---- cursors ---- */

static void a_cursor_reads_back_and_nothing_else_does(void **state)
{
    static const char *const bad[] = {"",
                                      "1",
                                      "00",
                                      "1-2-3-4",
                                      "1-2-3-4-",
                                      "1-2-3-4-5-0-0-0.",
                                      "x-1-1-1-1-0-0-0",
                                      "-1-1-1",
                                      "1--1-1-1-0-0-0",
                                      "1-1-1-1-1-1",
                                      "1-1- 1-1-1-0-0-0",
                                      "+1-1-1-1-1-0-0-0",
                                      "123456789-1-1-1-1-0-0-0",
                                      "1-1-ffffffffffffffff-1-1-0-0-0",
                                      "1-1-1-1-1",
                                      "1-1-1-1-1-1-1",
                                      "1-1-1-1-1-1-1-1-1",
                                      "1-1-1-1-1-1-ffffffffffffffff-1",
                                      "1-1-1-1-1-0-0-0.1",
                                      "1-10000000000000000-1-1-1-0-0-0",
                                      "1-1-1-100000000-1-0-0-0"};
    const struct log_place in[] = {{.source = 0xffffffff,
                                    .at = {UINT64_MAX, INT64_MAX, UINT32_MAX},
                                    .before = {1, 2, 3}},
                                   {.time = INT64_MAX}};
    struct log_place *out;
    size_t n;

    (void)state;
    assert_true(
        log_cursor_parse(&arena, log_cursor_format(&arena, in, 2), &out, &n));
    assert_int_equal(n, 2);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(out[i].source, in[i].source);
        assert_memory_equal(&out[i].at, &in[i].at, sizeof(in[i].at));
        assert_memory_equal(&out[i].before, &in[i].before, sizeof(in[i].at));
        assert_int_equal(out[i].time, in[i].time);
    }
    assert_true(
        log_cursor_parse(&arena, log_cursor_format(&arena, in, 0), &out, &n));
    assert_int_equal(n, 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (log_cursor_parse(&arena, bad[i], &out, &n))
            fail_msg("\"%s\" is taken for a cursor", bad[i]);
}

/* ---- files ---- */

static const char *file(const char *name)
{
    return arena_printf(&arena, "%s/%s", folder, name);
}

static void append(const char *name, const char *text)
{
    int fd = open(file(name), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* An entry of version P.S.V at a second, and more text to make it long. */
static void say(const char *log, int second, const char *text, int fill)
{
    append(log,
           arena_printf(&arena, "2026-11-26T08:%02d:%02d.000000Z i0 %s%*s\n",
                        second / 60, second % 60, text, fill, ""));
}

static struct log_answer query(const struct log_query *q)
{
    struct log_query own = *q;
    struct log_answer answer;
    struct ctx ctx;

    ctx_init(&ctx, &arena);
    own.folder = folder;
    if (!own.lines)
        own.lines = 1000;
    assert_int_equal(log_query_run(&ctx, &own, &answer), 0);
    return answer;
}

/* The first word of each entry. */
static const char *words(const struct log_answer *answer)
{
    char *out = arena_printf(&arena, "%s", "");

    for (size_t i = 0; i < answer->n; i++) {
        const char *text = arena_cstr(&arena, answer->entries[i].text);

        out = arena_printf(&arena, "%s%s%.*s", out, i ? " " : "",
                           (int)strcspn(text, " "), text);
    }
    return out;
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command) == 0 ? stop(state) : -1;
}

static void versions_and_requests_are_merged_by_time(void **state)
{
    struct log_query q = {.filter = {.project = "p"}};
    struct log_answer a;

    (void)state;
    say("p.s.v.log", 1, "one", 0);
    say("p.t.v.log", 2, "two", 0);
    say("p.s.v.log", 3, "three", 0);
    say("p.s.w.log", 4, "WARNING:four", 0);
    say("q.s.v.log", 4, "other", 0);
    say("build.p.s.v.1.log", 4, "other", 0);
    append("access.log",
           "time=x at=1795680002.5 app=p/s/v method=GET path=\"/\" status=200 "
           "seconds=0 bytes=0 client=c\n"
           "time=x at=1795680002.5 app=q/s/v method=GET path=\"/\" status=200 "
           "seconds=0 bytes=0 client=c\n");
    append(
        "platform-access.log",
        "time=x at=1795680003.700 app=p/t/v method=POST path=\"/task\" "
        "status=500 "
        "ms=1250 bytes=9 request=r client=0.1.0.2 instance=i4\n"
        "time=x at=1795680003.700 app=// method=POST path=\"/none\" status=503 "
        "ms=1 bytes=9 request= client=0.1.0.2 instance=\n");
    append("controller.log", "2026-11-26T08:00:00.000Z info control\n");
    a = query(&q);
    assert_string_equal(words(&a), "one two GET three POST WARNING:four");
    assert_int_equal(a.n_logs, 3);
    assert_string_equal(arena_cstr(&arena, a.entries[4].text),
                        "POST /task 500 1250 ms 9 bytes 0.1.0.2");
    assert_string_equal(arena_cstr(&arena, a.entries[4].instance), "4");
    assert_int_equal(a.entries[4].severity, LOG_SEVERITY_ERROR);
    q.lines = 2;
    a = query(&q);
    assert_string_equal(words(&a), "POST WARNING:four");
    q.lines = 0;
    q.filter.service = "s";
    a = query(&q);
    assert_string_equal(words(&a), "one GET three WARNING:four");
    q.filter.service = "t,s";
    q.filter.version = "x,v";
    a = query(&q);
    assert_string_equal(words(&a), "one two GET three POST");
    q.filter.service = "s";
    q.filter.version = "v";
    q.filter.requests = LOG_REQUESTS_NONE;
    a = query(&q);
    assert_string_equal(words(&a), "one three");
    q.filter =
        (struct log_filter){.project = "p", .requests = LOG_REQUESTS_ONLY};
    a = query(&q);
    assert_string_equal(words(&a), "GET POST");
    q.filter = (struct log_filter){.project = "p", .least = LOG_SEVERITY_INFO};
    a = query(&q);
    assert_string_equal(words(&a), "GET POST WARNING:four");
    q.filter = (struct log_filter){.project = "p", .text = "warn"};
    a = query(&q);
    assert_string_equal(words(&a), "WARNING:four");
    q.filter = (struct log_filter){
        .project = "p", .since = 1795680002000000, .until = 1795680003000000};
    a = query(&q);
    assert_string_equal(words(&a), "two GET");
    q.filter = (struct log_filter){.project = "p", .instance = "1"};
    a = query(&q);
    assert_int_equal(a.n, 0);
    q = (struct log_query){0};
    a = query(&q);
    assert_string_equal(words(&a), "control");
    q.process = "nobody";
    a = query(&q);
    assert_int_equal(a.n_logs, 0);
    q.process = "../x";
    a = query(&q);
    assert_int_equal(a.n_logs, 0);
}

/* Each number once, from the first that was asked for, through rotations that
 * come between, at an unhappy moment among them. */
static void a_cursor_goes_on_across_rotation(void **state)
{
    struct log_query q = {.filter = {.project = "p"}, .lines = 3};
    struct log_answer a;
    int next = 0, seen = 0;

    (void)state;
    for (; next < 10; next++)
        say("p.s.v.log", next, arena_printf(&arena, "%d", next), 0);
    a = query(&q);
    assert_string_equal(words(&a), "7 8 9");
    seen = 10;
    for (int round = 0; round < 40; round++) {
        int burst = round % 7 == 3 ? 300 : round % 5;

        for (int i = 0; i < burst; i++, next++)
            say("p.s.v.log", 0, arena_printf(&arena, "%d", next),
                round % 7 == 3 ? 2000 : 10);
        if (round % 3 == 1)
            log_rotate(file("p.s.v.log"), 9);
        if (round % 4 == 2) /* half a line */
            append("p.s.v.log", "2026-11-26T08:00:0");
        do {
            q.cursor = a.cursor;
            a = query(&q);
            assert_false(a.lost);
            for (size_t i = 0; i < a.n; i++)
                assert_int_equal(atoi(arena_cstr(&arena, a.entries[i].text)),
                                 seen++);
        } while (a.more);
        if (round % 4 == 2)
            append("p.s.v.log",
                   arena_printf(&arena, "0.000000Z i0 %d\n", next++));
    }
    q.cursor = a.cursor;
    a = query(&q);
    seen += (int)a.n;
    assert_int_equal(seen, next);
}

/* A writer that looked at the name before a rotation writes behind it. */
static void a_block_that_lands_in_an_old_file_is_seen(void **state)
{
    struct log_query q = {.filter = {.project = "p"}};
    struct log_answer a;

    (void)state;
    say("p.s.v.log", 1, "one", 0);
    a = query(&q);
    for (int i = 0; i < 3; i++) {
        log_rotate(file("p.s.v.log"), 3);
        say("p.s.v.log", 2, "two", 0);
        q.cursor = a.cursor;
        a = query(&q);
        assert_string_equal(words(&a), "two");
        say("p.s.v.log.1", 3, "late", 0);
        say("p.s.v.log", 4, "four", 0);
        q.cursor = a.cursor;
        a = query(&q);
        assert_string_equal(words(&a), "late four");
        assert_false(a.lost);
    }
    /* Between the newest and what is asked next. */
    q.cursor = NULL;
    q.lines = 1;
    log_rotate(file("p.s.v.log"), 3);
    say("p.s.v.log", 5, "five", 0);
    a = query(&q);
    say("p.s.v.log.1", 6, "late", 0);
    q.cursor = a.cursor;
    a = query(&q);
    assert_string_equal(words(&a), "late");
}

/* The frames come in another answer than the line that began them. */
static void
what_continues_a_line_of_the_answer_before_is_as_severe(void **state)
{
    struct log_query q = {
        .filter = {.project = "p", .least = LOG_SEVERITY_ERROR}};
    struct log_answer a;

    (void)state;
    say("p.s.v.log", 1, "Traceback (most recent call last):", 0);
    a = query(&q);
    assert_int_equal(a.n, 1);
    say("p.s.v.log", 1, "  File", 0);
    q.cursor = a.cursor;
    a = query(&q);
    assert_int_equal(a.n, 1);
    say("p.s.v.log", 1, "KeyError", 0);
    say("p.s.v.log", 1, "on", 0);
    q.cursor = a.cursor;
    a = query(&q);
    assert_string_equal(words(&a), "KeyError");
}

/* A block of the newest begins between them. */
static void a_traceback_across_blocks_is_as_severe(void **state)
{
    struct log_query q = {
        .filter = {.project = "p", .least = LOG_SEVERITY_ERROR}};
    struct log_answer a;

    (void)state;
    say("p.s.v.log", 1, "Traceback (most recent call last):", 0);
    for (int i = 0; i < 40; i++)
        say("p.s.v.log", 2, "  File", 200);
    say("p.s.v.log", 2, "KeyError", 0);
    for (int i = 0; i < (LOG_SOURCE_BLOCK - 4000) / 1034; i++)
        say("p.s.v.log", 2, "on", 1000);
    a = query(&q);
    assert_int_equal(a.n, 42);
}

static void what_is_gone_is_told(void **state)
{
    struct log_query q = {.filter = {.project = "p"}};
    struct log_answer a;

    (void)state;
    say("p.s.v.log", 1, "one", 0);
    a = query(&q);
    log_rotate(file("p.s.v.log"), 1);
    say("p.s.v.log", 2, "two", 0);
    log_rotate(file("p.s.v.log"), 1);
    say("p.s.v.log", 3, "three", 0);
    q.cursor = a.cursor;
    a = query(&q);
    assert_true(a.lost);
    assert_string_equal(words(&a), "two three");
    /* And a log that comes later is not. */
    say("p.t.v.log", 4, "new", 0);
    q.cursor = a.cursor;
    a = query(&q);
    assert_false(a.lost);
    assert_string_equal(words(&a), "new");
}

static void a_file_that_was_emptied_is_followed_by_time(void **state)
{
    struct log_query q = {.process = "server"};
    struct log_answer a;

    (void)state;
    append("server.log", "2026-11-26T08:00:01.000Z info one\n"
                         "2026-11-26T08:00:02.000Z info two\n");
    a = query(&q);
    append("server.log", "2026-11-26T08:00:03.000Z info three\n");
    assert_int_equal(rename(file("server.log"), file("old")), 0);
    assert_int_equal(link(file("old"), file("server.log")), 0);
    /* As logs.c does it: its end is copied, and the file emptied. */
    append("server.log.1", "2026-11-26T08:00:02.000Z info two\n"
                           "2026-11-26T08:00:03.000Z info three\n");
    assert_int_equal(truncate(file("server.log"), 0), 0);
    append("server.log", "2026-11-26T08:00:04.000Z info four\n");
    q.cursor = a.cursor;
    a = query(&q);
    assert_false(a.lost);
    assert_string_equal(words(&a), "three four");
    q.cursor = NULL;
    a = query(&q);
    assert_string_equal(words(&a), "two three four");
}

/* A few newest entries of much text; blocks end within lines. */
static void the_newest_of_a_long_log_come_first(void **state)
{
    struct log_query q = {.filter = {.project = "p"}, .lines = 700};
    struct log_answer a;
    enum { LINES = 3000 };

    (void)state;
    for (int i = 0; i < LINES; i++) {
        say("p.s.v.log", i, arena_printf(&arena, "%d", i), 30 + i % 400);
        if (i == LINES / 2)
            log_rotate(file("p.s.v.log"), 3);
    }
    append("p.s.v.log",
           arena_printf(&arena, "%0*d\n", LOG_SOURCE_BLOCK + 9, 0));
    say("p.s.v.log", LINES, "last", 0);
    a = query(&q);
    assert_int_equal(a.n, 700);
    /* The long line is cut in two. */
    for (int i = 0; i < 697; i++)
        assert_int_equal(atoi(arena_cstr(&arena, a.entries[i].text)),
                         LINES - 697 + i);
    assert_true(bytes_starts(a.entries[699].text, bytes_str("last")));
    q.filter.text = "2999";
    a = query(&q);
    assert_int_equal(a.n, 1);
    /* It is searched to its beginning. */
    q.filter.text = NULL;
    q.filter.until = 1795680003000000;
    a = query(&q);
    assert_string_equal(words(&a), "0 1 2");
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, start, stop)
#define FILES(name_)                                                           \
    cmocka_unit_test_setup_teardown(name_, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_applications_line_tells_its_severity),
        TEST(what_continues_a_line_is_as_severe),
        TEST(the_lines_of_parts_and_requests_are_read),
        TEST(a_cursor_reads_back_and_nothing_else_does),
        FILES(versions_and_requests_are_merged_by_time),
        FILES(a_cursor_goes_on_across_rotation),
        FILES(a_block_that_lands_in_an_old_file_is_seen),
        FILES(what_continues_a_line_of_the_answer_before_is_as_severe),
        FILES(a_traceback_across_blocks_is_as_severe),
        FILES(what_is_gone_is_told),
        FILES(a_file_that_was_emptied_is_followed_by_time),
        FILES(the_newest_of_a_long_log_come_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
