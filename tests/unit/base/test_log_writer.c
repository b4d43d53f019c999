/* log_writer: lines, stamps, and a bound on the files. */
#include "base/files.h"
#include "base/log_writer.h"
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/appscale-log-writer.XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    files_remove_tree(folder);
    return 0;
}

/* What a writer makes of `text`; the child writes, so the pipe never fills. */
static void write_log(const char *path, const char *tag, struct bytes text,
                      int64_t max, int keep)
{
    int ends[2];
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        while (text.n) {
            ssize_t n = write(ends[1], text.p, text.n);

            if (n < 0)
                _exit(1);
            text = bytes_from(text, (size_t)n);
        }
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(log_writer_run(ends[0], path, tag, max, keep), 0);
    close(ends[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static const char *contents(struct arena *a, const char *path)
{
    struct bytes text;
    struct ctx ctx;

    ctx_init(&ctx, a);
    if (files_read(&ctx, path, 16 << 20, &text) != 0)
        return NULL;
    return arena_cstr(a, text);
}

static void lines_get_time_and_tag(void **state)
{
    struct arena a = ARENA_INIT;
    const char *path = arena_printf(&a, "%s/stamped", folder);
    struct log_stamp stamp;
    struct bytes line;
    int64_t before = clock_wall();

    (void)state;
    write_log(path, "i12", BYTES_LIT("one\n\n  two"), 1 << 20, 1);
    line = bytes_str(strtok((char *)(uintptr_t)contents(&a, path), "\n"));
    assert_true(log_unstamp(&line, &stamp));
    assert_true(bytes_eq_str(line, "one"));
    assert_true(bytes_eq_str(stamp.tag, "i12"));
    assert_true(stamp.time >= before && stamp.time <= clock_wall());
    assert_string_equal(
        arena_cstr(&a, log_text(&a, bytes_str(contents(&a, path)), NULL)),
        "one\n\n  two");
    arena_release(&a);
}

static void without_a_tag_the_text_is_left_as_it_is(void **state)
{
    struct arena a = ARENA_INIT;
    const char *path = arena_printf(&a, "%s/plain", folder);

    (void)state;
    write_log(path, "", BYTES_LIT("step: one\nstep: two\n"), 1 << 20, 1);
    write_log(path, "", BYTES_LIT("three"), 1 << 20, 1);
    assert_string_equal(contents(&a, path), "step: one\nstep: two\nthree\n");
    arena_release(&a);
}

static void a_long_line_is_cut(void **state)
{
    struct arena a = ARENA_INIT;
    const char *path = arena_printf(&a, "%s/long", folder), *text, *end;
    const size_t n = 3 * LOG_WRITER_LINE + 10;
    char *long_line = arena_alloc(&a, n);

    (void)state;
    memset(long_line, 'x', n);
    write_log(path, "", BYTES(long_line, n), 1 << 20, 1);
    text = contents(&a, path);
    for (int i = 0; i < 3; i++, text = end + 1) {
        end = strchr(text, '\n');
        assert_int_equal(end - text, LOG_WRITER_LINE);
    }
    assert_string_equal(text, "xxxxxxxxxx\n");
    arena_release(&a);
}

static void full_files_move_on_and_the_oldest_goes(void **state)
{
    enum { LINES = 40000, MOST = 128 * 1024, KEEP = 2 };
    struct arena a = ARENA_INIT;
    const char *path = arena_printf(&a, "%s/full", folder);
    struct buf text = BUF_IN(&a), all = BUF_IN(&a);
    struct stat st;
    int number = -1, last = -1;

    (void)state;
    for (int i = 0; i < LINES; i++)
        buf_printf(&text, "line %d of what comes\n", i);
    write_log(path, "", buf_view(&text), MOST, KEEP);
    assert_int_equal(stat(arena_printf(&a, "%s.3", path), &st), -1);
    for (int i = KEEP; i >= 0; i--) {
        const char *name = i ? arena_printf(&a, "%s.%d", path, i) : path;

        assert_int_equal(stat(name, &st), 0);
        assert_true(st.st_size <= MOST + LOG_WRITER_BLOCK);
        buf_add_str(&all, contents(&a, name));
    }
    /* What is there is the end, and without a hole. */
    for (char *line = strtok((char *)(uintptr_t)buf_cstr(&all), "\n"); line;
         line = strtok(NULL, "\n")) {
        assert_int_equal(sscanf(line, "line %d of", &number), 1);
        assert_true(last < 0 || number == last + 1);
        last = number;
    }
    assert_int_equal(last, LINES - 1);
    arena_release(&a);
}

static void times_are_read_in_both_lengths(void **state)
{
    static const struct {
        const char *text;
        size_t used;
        int64_t time;
    } cases[] = {
        {"1970-01-01T00:00:01.5Z info", 22, 1500000},
        {"1970-01-01T00:00:01.000002Z i1 x", 27, 1000002},
        {"1970-01-01T00:01:00Z", 20, 60000000},
        {"1970-01-01T00:01:00", 0, 0},
        {"1970-01-01", 0, 0},
        {"1970/01/01T00:00:01.5Z", 0, 0},
        {"what an application says of itself", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t time = 0;

        assert_int_equal(log_time_parse(bytes_str(cases[i].text), &time),
                         cases[i].used);
        assert_int_equal(time, cases[i].time);
    }
}

static void a_text_is_that_of_one_instance(void **state)
{
    static const char text[] = "1970-01-01T00:00:01.000002Z i1 one\n"
                               "1970-01-01T00:00:01.000002Z i11 eleven\n"
                               "nobody's\n"
                               "1970-01-01T00:00:01.000002Z i1   in\n";
    struct arena a = ARENA_INIT;

    (void)state;
    assert_string_equal(arena_cstr(&a, log_text(&a, bytes_str(text), "i1")),
                        "one\nnobody's\n  in");
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_get_time_and_tag),
        cmocka_unit_test(without_a_tag_the_text_is_left_as_it_is),
        cmocka_unit_test(a_long_line_is_cut),
        cmocka_unit_test(full_files_move_on_and_the_oldest_goes),
        cmocka_unit_test(times_are_read_in_both_lengths),
        cmocka_unit_test(a_text_is_that_of_one_instance),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
