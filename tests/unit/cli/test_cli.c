/*
 * The command line's parts: arguments, what is left out, and the archive.
 */
#include "cli/archive.h"
#include "cli/args.h"
#include "cli/child.h"
#include "cli/ignore.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <utime.h>

static struct arena arena;
static struct ctx ctx;

static int setup(void **state)
{
    arena = (struct arena)ARENA_INIT;
    ctx_init(&ctx, &arena);
    return 0;
}

static int teardown(void **state)
{
    arena_release(&arena);
    return 0;
}

/* ---- arguments ---- */

static const struct args_option own[] = {
    {"project", "ID", "", 0},
    {"follow", NULL, "", 'f'},
    {"lines", "N", "", 'n'},
    {0},
};
static const struct args_option common[] = {{"json", NULL, "", 0}, {0}};
static const struct args_option *const tables[] = {own, common, NULL};

static int parse(struct args *out, char **argv)
{
    int argc = 0;

    while (argv[argc])
        argc++;
    ctx_err_clear(&ctx);
    return args_parse(&ctx, tables, argc, argv, out);
}

#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})

static void options_and_operands_come_in_any_order(void **state)
{
    struct args a;

    assert_int_equal(parse(&a, WORDS("dir", "--project", "p", "-fn", "7",
                                     "--json", "--", "--project")),
                     0);
    assert_int_equal(a.n_operands, 2);
    assert_string_equal(a.operands[0], "dir");
    assert_string_equal(a.operands[1], "--project");
    assert_string_equal(args_value(&a, "project"), "p");
    assert_string_equal(args_value(&a, "lines"), "7");
    assert_true(args_has(&a, "follow"));
    assert_true(args_has(&a, "json"));
}

static void the_last_of_two_equal_options_wins(void **state)
{
    struct args a;

    assert_int_equal(parse(&a, WORDS("--project=a", "--project=")), 0);
    assert_string_equal(args_value(&a, "project"), "");
    assert_null(args_value(&a, "lines"));
}

static void what_the_table_does_not_know_is_named(void **state)
{
    static const struct {
        char *word;
        const char *story;
    } cases[] = {
        {"--projekt=x", "unknown option --projekt"},
        {"-x", "unknown option -x"},
        {"--json=yes", "--json takes no value"},
        {"--project", "--project needs a value: --project ID"},
        {"-n", "--lines needs a value: --lines N"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct args a;

        assert_int_equal(parse(&a, WORDS(cases[i].word)), ERR_INVALID);
        assert_string_equal(ctx.err.message, cases[i].story);
    }
}

static void numbers_are_checked_against_their_range(void **state)
{
    static const struct {
        char *word;
        int rc;
        int64_t value;
    } cases[] = {
        {"--lines=5", 0, 5},
        {"--lines=0", ERR_INVALID, 0},
        {"--lines=11", ERR_INVALID, 0},
        {"--lines=5x", ERR_INVALID, 0},
        {"--lines=", ERR_INVALID, 0},
        {"--json", 0, 3},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct args a;
        int64_t v;

        assert_int_equal(parse(&a, WORDS(cases[i].word)), 0);
        assert_int_equal(args_number(&ctx, &a, "lines", 1, 10, 3, &v),
                         cases[i].rc);
        if (cases[i].rc == 0)
            assert_int_equal(v, cases[i].value);
    }
}

/* ---- .gcloudignore and skip_files ---- */

static const struct {
    const char *rules, *path;
    bool dir, ignored;
} ignore_cases[] = {
    {"*.pyc", "a.pyc", false, true},
    {"*.pyc", "deep/er/a.pyc", false, true},
    {"*.pyc", "a.pyc.txt", false, false},
    {"/a.txt", "a.txt", false, true},
    {"/a.txt", "b/a.txt", false, false},
    {"build/", "build", true, true},
    {"build/", "build", false, false},
    {"build/", "x/build", true, true},
    {"a/b", "a/b", false, true},
    {"a/b", "x/a/b", false, false},
    {"a/*/c", "a/b/c", false, true},
    {"a/*/c", "a/b/b/c", false, false},
    {"a/**/c", "a/c", false, true},
    {"a/**/c", "a/b/b/c", false, true},
    {"**/c", "x/y/c", false, true},
    {"a/**", "a/b/c", false, true},
    {"a/**", "a", true, false},
    {"?.txt", "a.txt", false, true},
    {"?.txt", "ab.txt", false, false},
    {"[ab].txt", "b.txt", false, true},
    {"[!ab].txt", "b.txt", false, false},
    {"[!ab].txt", "c.txt", false, true},
    {"[a", "[a", false, true},
    {"a.b", "axb", false, false},
    {"\\#x", "#x", false, true},
    {"\\!x", "!x", false, true},
    {"# a comment", "# a comment", false, false},
    {"*.txt\n!keep.txt", "keep.txt", false, false},
    {"*.txt\n!keep.txt\nkeep.*", "keep.txt", false, true},
    {"a  \r\n", "a", false, true},
    {"", "a", false, false},
};

static void gcloudignore_reads_as_gitignore_does(void **state)
{
    for (size_t i = 0; i < sizeof(ignore_cases) / sizeof(*ignore_cases); i++) {
        struct ignore *ig;

        assert_int_equal(
            ignore_parse(&ctx, "/", bytes_str(ignore_cases[i].rules), &ig), 0);
        if (ignore_match(ig, ignore_cases[i].path, ignore_cases[i].dir) !=
            ignore_cases[i].ignored)
            fail_msg("\"%s\" and %s", ignore_cases[i].rules,
                     ignore_cases[i].path);
    }
}

/* ---- files ---- */

static const char *folder_new(const char *name)
{
    const char *dir = arena_printf(&arena, "%s/%s", test_dir(), name);

    assert_int_equal(mkdir(dir, 0755), 0);
    return dir;
}

static const char *put(const char *dir, const char *name, const char *text)
{
    const char *path = arena_printf(&arena, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    return path;
}

static const struct {
    const char *runtime, *path;
    bool is_dir, want;
} made_cases[] = {
    {"python311", "a/__pycache__", true, true},
    {"python311", "node_modules", true, false},
    {"nodejs20", "node_modules", true, true},
    {"nodejs20", ".git", true, true},
    {"go122", "cmd/x.test", false, true},
    {"go122", "main.go", false, false},
    {"php82", "vendor", true, true},
    {"php82", "web/vendor", true, false},
    {"java17", "target", true, true},
    {"java17", "src/main/target", true, false},
    {"custom", "target", true, false},
};

static void what_a_language_makes_again_stays_at_home(void **state)
{
    const char *dir = folder_new("made");

    for (size_t i = 0; i < sizeof(made_cases) / sizeof(*made_cases); i++) {
        struct ignore *ig;

        assert_int_equal(
            ignore_load(&ctx, dir, NULL, made_cases[i].runtime, &ig), 0);
        if (ignore_match(ig, made_cases[i].path, made_cases[i].is_dir) !=
            made_cases[i].want)
            fail_msg("%s: %s", made_cases[i].runtime, made_cases[i].path);
    }
}

static void skip_files_and_gcloudignore_exclude_each_other(void **state)
{
    const char *dir = folder_new("both");
    struct ignore *ig;

    assert_int_equal(ignore_load(&ctx, dir, NULL, "python311", &ig), 0);
    assert_true(ignore_match(ig, ".git", true));
    assert_true(ignore_match(ig, "a/b.pyc", false));
    assert_false(ignore_match(ig, "main.py", false));
    assert_int_equal(ignore_load(&ctx, dir, "main.*", "python311", &ig), 0);
    assert_true(ignore_match(ig, "main.py", false));
    assert_false(ignore_match(ig, "a/b.pyc", false));
    put(dir, ".gcloudignore", "#!include:more\n*.log\n");
    put(dir, "more", "secret\n");
    assert_int_equal(ignore_load(&ctx, dir, "main.*", "python311", &ig),
                     ERR_INVALID);
    ctx_err_clear(&ctx);
    assert_int_equal(ignore_load(&ctx, dir, NULL, "python311", &ig), 0);
    assert_true(ignore_match(ig, "secret", false));
    assert_true(ignore_match(ig, "x.log", false));
    assert_false(ignore_match(ig, "b.pyc", false));
}

static void an_include_of_itself_ends(void **state)
{
    const char *dir = folder_new("loop");
    struct ignore *ig;

    put(dir, ".gcloudignore", "#!include:.gcloudignore\n");
    assert_int_equal(ignore_load(&ctx, dir, NULL, "python311", &ig),
                     ERR_INVALID);
}

static struct archive pack(const char *dir)
{
    struct ignore *ig;
    struct archive out;

    assert_int_equal(ignore_load(&ctx, dir, NULL, "python311", &ig), 0);
    if (archive_make(&ctx, dir, ig, NULL, NULL, &out) != 0)
        fail_msg("%s", ctx_err_text(&ctx, ERR_IO));
    return out;
}

/* Unpack with the system's tar into a new folder. */
static const char *unpack(struct archive *a, const char *name)
{
    const char *into = folder_new(name);
    const char *line =
        arena_printf(&arena, "tar -xzf - -C '%s' <&%d", into, a->fd);

    assert_int_equal(fcntl(a->fd, F_SETFD, 0), 0);
    assert_int_equal(system(line), 0);
    close(a->fd);
    return into;
}

static void expect_file(const char *dir, const char *name, const char *text,
                        mode_t mode)
{
    const char *path = arena_printf(&arena, "%s/%s", dir, name);
    char got[64] = "";
    struct stat st;
    FILE *f = fopen(path, "r");

    if (!f)
        fail_msg("%s is missing", path);
    fread(got, 1, sizeof(got) - 1, f);
    fclose(f);
    assert_string_equal(got, text);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, mode);
    assert_int_equal(st.st_mtime, 0);
}

static void an_archive_holds_what_the_folder_held(void **state)
{
    const char *dir = folder_new("app"), *out;
    char deep[220];
    struct archive a;

    memset(deep, 'n', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    put(dir, "main.py", "print()\n");
    put(dir, ".hidden", "left out by default");
    chmod(put(dir, "run.sh", "#!/bin/sh\n"), 0700);
    put(dir, "empty", "");
    put(dir, deep, "long");
    put(dir, "gr\xc3\xbc\xc3\x9f.txt", "utf-8");
    folder_new("app/sub");
    put(dir, "sub/x", "x");
    assert_int_equal(symlink("x", arena_printf(&arena, "%s/sub/link", dir)), 0);
    a = pack(dir);
    assert_int_equal(a.files, 7);
    assert_int_equal(lseek(a.fd, 0, SEEK_CUR), 0);
    out = unpack(&a, "app.out");
    expect_file(out, "main.py", "print()\n", 0644);
    expect_file(out, "run.sh", "#!/bin/sh\n", 0755);
    expect_file(out, "empty", "", 0644);
    expect_file(out, deep, "long", 0644);
    expect_file(out, "gr\xc3\xbc\xc3\x9f.txt", "utf-8", 0644);
    expect_file(out, "sub/x", "x", 0644);
    expect_file(out, "sub/link", "x", 0644);
    assert_int_equal(access(arena_printf(&arena, "%s/.hidden", out), F_OK), -1);
}

static void the_same_files_give_the_same_archive(void **state)
{
    const char *a = folder_new("same-a"), *b = folder_new("same-b");
    const struct utimbuf then = {.actime = 1000, .modtime = 1000};
    struct archive first, second, third;

    /* another order of creation, other times, another umask's modes */
    put(a, "one", "1");
    put(a, "two", "2");
    utime(put(b, "two", "2"), &then);
    chmod(put(b, "one", "1"), 0600);
    first = pack(a);
    second = pack(b);
    assert_string_equal(first.sha256, second.sha256);
    assert_int_equal(first.size, second.size);
    put(b, "one", "2");
    third = pack(b);
    assert_string_not_equal(first.sha256, third.sha256);
    close(first.fd);
    close(second.fd);
    close(third.fd);
}

/* How many members of `b` are not in `a`. */
static size_t differ(const struct archive *a, const struct archive *b)
{
    const char **wanted = ARENA_ARRAY(&arena, const char *, b->members.n);
    size_t *missing;

    for (size_t i = 0; i < b->members.n; i++)
        wanted[i] = b->members.list[i].sha256;
    return members_missing(&ctx, wanted, b->members.n, &a->members, 1,
                           &missing);
}

static void a_change_leaves_the_members_of_others_alone(void **state)
{
    enum { FILES = 200 };
    const char *dir = folder_new("members");
    char *large = arena_zalloc(&arena, 100001);
    struct archive before, after;

    memset(large, 'x', 100000);
    for (int i = 0; i < FILES; i++)
        put(dir, arena_printf(&arena, "f%d", i),
            arena_printf(&arena, "text %d", i));
    put(dir, "large", large);
    before = pack(dir);
    assert_true(before.members.n > FILES / 20);
    assert_true(before.members.n < FILES);
    put(dir, "f7", "another");
    after = pack(dir);
    assert_int_equal(differ(&before, &after), 1);
    close(before.fd);
    before = after;
    put(dir, "f100a", "new");
    after = pack(dir);
    assert_in_range(differ(&before, &after), 1, 2);
    close(before.fd);
    before = after;
    large[5] = 'y';
    put(dir, "large", large);
    after = pack(dir);
    assert_int_equal(differ(&before, &after), 1);
    close(before.fd);
    before = after;
    unlink(arena_printf(&arena, "%s/large", dir));
    after = pack(dir);
    assert_in_range(differ(&before, &after), 0, 1);
    close(before.fd);
    close(after.fd);
}

static void an_empty_folder_is_a_good_archive(void **state)
{
    struct archive a = pack(folder_new("nothing"));

    assert_int_equal(a.files, 0);
    unpack(&a, "nothing.out");
}

static void a_link_out_of_the_folder_is_refused_by_name(void **state)
{
    const char *dir = folder_new("links");
    struct ignore *ig;
    struct archive a;

    assert_int_equal(ignore_load(&ctx, dir, NULL, "python311", &ig), 0);
    assert_int_equal(
        symlink("/etc/passwd", arena_printf(&arena, "%s/out", dir)), 0);
    assert_int_equal(archive_make(&ctx, dir, ig, NULL, NULL, &a), ERR_INVALID);
    assert_non_null(strstr(ctx.err.message,
                           "out is a link to /etc/passwd, outside of the "
                           "application"));
    unlink(arena_printf(&arena, "%s/out", dir));
    ctx_err_clear(&ctx);
    assert_int_equal(symlink("gone", arena_printf(&arena, "%s/dead", dir)), 0);
    assert_int_equal(archive_make(&ctx, dir, ig, NULL, NULL, &a), ERR_INVALID);
    assert_non_null(strstr(ctx.err.message, "dead is a link that leads to"));
}

static void a_loop_of_links_ends(void **state)
{
    const char *dir = folder_new("round");
    struct ignore *ig;
    struct archive a;

    assert_int_equal(ignore_load(&ctx, dir, NULL, "python311", &ig), 0);
    assert_int_equal(symlink(".", arena_printf(&arena, "%s/self", dir)), 0);
    assert_int_equal(archive_make(&ctx, dir, ig, NULL, NULL, &a), ERR_INVALID);
}

static void names_follow_app_engines_rules(void **state)
{
    static const struct {
        const char *name;
        bool ok;
    } cases[] = {
        {"main.py", true}, {"a b/c d", true}, {"-x", false}, {"_ah/x", false},
        {"x/_ah/y", true}, {" x", false},     {"x ", false}, {"a/ b", false},
        {"a /b", false},   {"a\nb", false},   {"", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        if ((archive_name_refused(cases[i].name) == NULL) != cases[i].ok)
            fail_msg("\"%s\"", cases[i].name);
    }
}

/* ---- children ---- */

static void a_program_that_is_not_there_is_named(void **state)
{
    const char *argv[] = {"/nowhere/program", NULL};
    pid_t pid;

    assert_int_equal(child_start(&ctx, argv, &pid), ERR_UNAVAILABLE);
    assert_non_null(strstr(ctx.err.message, "/nowhere/program"));
}

static void a_child_that_ignores_the_request_is_killed(void **state)
{
    const char *argv[] = {"/bin/sh", "-c",
                          "trap '' TERM; while :; do sleep 9; "
                          "done",
                          NULL};
    pid_t pid;

    assert_int_equal(child_start(&ctx, argv, &pid), 0);
    child_stop(pid, 20 * CLOCK_MS);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
}

static void the_watchman_removes_the_folder(void **state)
{
    const char *dir = folder_new("watched");
    struct child_watchman w;

    put(dir, "file", "x");
    folder_new("watched/sub");
    assert_int_equal(child_watchman_start(&ctx, dir, &w), 0);
    assert_int_equal(access(dir, F_OK), 0);
    child_watchman_stop(&w);
    assert_int_equal(access(dir, F_OK), -1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(options_and_operands_come_in_any_order),
        TEST(the_last_of_two_equal_options_wins),
        TEST(what_the_table_does_not_know_is_named),
        TEST(numbers_are_checked_against_their_range),
        TEST(gcloudignore_reads_as_gitignore_does),
        TEST(what_a_language_makes_again_stays_at_home),
        TEST(skip_files_and_gcloudignore_exclude_each_other),
        TEST(an_include_of_itself_ends),
        TEST(an_archive_holds_what_the_folder_held),
        TEST(the_same_files_give_the_same_archive),
        TEST(a_change_leaves_the_members_of_others_alone),
        TEST(an_empty_folder_is_a_good_archive),
        TEST(a_link_out_of_the_folder_is_refused_by_name),
        TEST(a_loop_of_links_ends),
        TEST(names_follow_app_engines_rules),
        TEST(a_program_that_is_not_there_is_named),
        TEST(a_child_that_ignores_the_request_is_killed),
        TEST(the_watchman_removes_the_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
