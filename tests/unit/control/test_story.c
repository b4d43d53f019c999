/*
 * What of a log is shown when an application does not start.
 */
#include "control/story.h"
#include "test.h"

#define ROOT "/var/lib/appscale"
#define OWN  ROOT "/apps/demo/default/v1/1/app"

static const char crash[] =
    "[7] [INFO] Booting worker with pid: 7\n"
    "[7] [ERROR] Exception in worker process\n"
    "Traceback (most recent call last):\n"
    "  File \"" ROOT "/cache/venvs/ab/lib/gunicorn/arbiter.py\", line 608\n"
    "    worker.init_process()\n"
    "  File \"" ROOT "/cache/venvs/ab/lib/gunicorn/util.py\", line 370\n"
    "    mod = importlib.import_module(module)\n"
    "          ^^^^^^^^^^^^^^^^^^^^^^^\n"
    "  File \"" OWN "/main.py\", line 3, in <module>\n"
    "    raise KeyError('mine')\n"
    "KeyError: 'mine'\n"
    "[7] [INFO] Worker exiting (pid: 7)";

static void the_application_s_own_frames_stay(void **state)
{
    struct arena a = ARENA_INIT;

    assert_string_equal(story_lines(&a, bytes_str(crash), ROOT, OWN, 5),
                        "Traceback (most recent call last):\n"
                        "  File \"" OWN "/main.py\", line 3, in <module>\n"
                        "    raise KeyError('mine')\n"
                        "KeyError: 'mine'\n"
                        "[7] [INFO] Worker exiting (pid: 7)");
    arena_release(&a);
}

static void only_the_last_lines_are_shown(void **state)
{
    struct arena a = ARENA_INIT;

    assert_string_equal(
        story_lines(&a, BYTES_LIT("one\ntwo\nthree"), ROOT, OWN, 2),
        "two\nthree");
    assert_string_equal(
        story_lines(&a, BYTES_LIT("one\ntwo\nthree"), ROOT, OWN, 9),
        "one\ntwo\nthree");
    assert_string_equal(story_lines(&a, BYTES_NONE, ROOT, OWN, 9), "");
    arena_release(&a);
}

static void a_line_that_only_speaks_of_the_folder_stays(void **state)
{
    static const char text[] = "cannot write " ROOT "/data\n    because\n"
                               "\n  File \"" ROOT "-other/x.py\"\n    code";
    struct arena a = ARENA_INIT;

    assert_string_equal(story_lines(&a, bytes_str(text), ROOT, OWN, 9), text);
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_application_s_own_frames_stay),
        cmocka_unit_test(only_the_last_lines_are_shown),
        cmocka_unit_test(a_line_that_only_speaks_of_the_folder_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
