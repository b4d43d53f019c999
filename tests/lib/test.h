/*
 * test - what every cmocka program of ours includes first.
 *
 * cmocka.h wants four system headers before it; assert_bytes() compares views
 * and shows both on failure; test_dir() is a folder that goes away with the
 * process.
 */
#ifndef TESTS_LIB_TEST_H
#define TESTS_LIB_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"

#define assert_bytes(got_, want_)                                              \
    test_assert_bytes((got_), (want_), __FILE__, __LINE__)

static inline void test_assert_bytes(struct bytes got, struct bytes want,
                                     const char *file, int line)
{
    if (bytes_eq(got, want))
        return;
    print_error("got %zu bytes \"%.*s\"\nwant %zu bytes \"%.*s\"\n", got.n,
                BYTES_FMT(got), want.n, BYTES_FMT(want));
    _fail(file, line);
}

static char test_dir_path[4096];
static pid_t test_dir_owner;

static inline void test_dir_remove(void)
{
    char cmd[sizeof(test_dir_path) + 16];

    if (test_dir_owner != getpid()) /* a child of fork() leaves it */
        return;
    snprintf(cmd, sizeof(cmd), "rm -rf '%s'", test_dir_path);
    if (system(cmd) != 0)
        print_error("%s stays behind\n", test_dir_path);
}

/* A fresh folder, the same for the whole process, removed at its exit. */
static inline const char *test_dir(void)
{
    const char *base = getenv("TMPDIR");

    if (test_dir_owner)
        return test_dir_path;
    snprintf(test_dir_path, sizeof(test_dir_path), "%s/appscale-test.XXXXXX",
             base && *base ? base : "/tmp");
    if (!mkdtemp(test_dir_path))
        fail_msg("cannot make %s", test_dir_path);
    test_dir_owner = getpid();
    atexit(test_dir_remove);
    return test_dir_path;
}

#endif
