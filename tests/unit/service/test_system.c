/* The process at the other end of a connection, and what it uses over time. */
#include "fixture.h"

#include "base/procfs.h"
#include "service/system/system_int.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct fixture f;

static void open_it(void)
{
    const struct system_options o = {.domain = "apps.example.com"};

    assert_int_equal(system_open(&f.ctx, &o, &f.env.system), 0);
}

static int start(void **state)
{
    (void)state;
    fixture_start(&f);
    open_it();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    system_stop(f.env.system);
    system_close(f.env.system);
    fixture_stop(&f);
    return 0;
}

/* ---- connections ---- */

static int listen_somewhere(struct sockaddr_in *at)
{
    socklen_t n = sizeof(*at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *at = (struct sockaddr_in){.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof(*at)), 0);
    assert_int_equal(listen(fd, 8), 0);
    getsockname(fd, (struct sockaddr *)at, &n);
    return fd;
}

/* A child that connects, with a mark in its environment, and waits to be
 * killed.  A shell stands between, as a runtime's start may. */
static pid_t child_connects(const struct sockaddr_in *at, const char *mark)
{
    char code[256], word[256];
    pid_t pid = fork();

    if (pid)
        return pid;
    snprintf(code, sizeof(code),
             "unset APPSCALE_CHILD; python3 -c 'import socket, time; "
             "s = socket.create_connection((\"127.0.0.1\", %d)); s.recv(1)'"
             " & wait",
             ntohs(at->sin_port));
    snprintf(word, sizeof(word), "APPSCALE_CHILD=%s", mark);
    setsid();
    execle(
        "/bin/sh", "sh", "-c", code, NULL,
        (char *const[]){word, (char *)(uintptr_t) "PATH=/usr/bin:/bin", NULL});
    _exit(1);
}

static struct bytes accept_one(int fd, int *conn)
{
    struct sockaddr_in peer;
    socklen_t n = sizeof(peer);

    *conn = accept4(fd, (struct sockaddr *)&peer, &n, SOCK_CLOEXEC);
    assert_true(*conn >= 0);
    return bytes_str(
        arena_printf(&f.arena, "127.0.0.1:%d", ntohs(peer.sin_port)));
}

static void an_instance_is_found_by_its_connection(void **state)
{
    static const struct {
        const char *mark, *version;
        int rc;
    } cases[] = {
        {"/a/root:guestbook/worker/w1/1234/3", "w1", 0},
        {"/odd:root:guestbook/worker/w1/1234/3", "w1", 0},
        {"/a/root:guestbook/worker/w1/1234/3", "w2", ERR_NOT_FOUND},
        {"/a/root:other/worker/w1/1234/3", "w1", ERR_NOT_FOUND},
        {"/a/root:guestbook/worker/w1/1234/x", "w1", ERR_NOT_FOUND},
        {"/a/root:guestbook/worker/w1/", "w1", ERR_NOT_FOUND},
        {"", "w1", ERR_NOT_FOUND},
    };
    struct sockaddr_in at;
    int fd = listen_somewhere(&at);

    (void)state;
    f.ctx.service = BYTES_LIT("worker");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pid_t pid = child_connects(&at, cases[i].mark);
        struct caller who = {0};
        int conn;

        f.ctx.peer = accept_one(fd, &conn);
        f.ctx.version = bytes_str(cases[i].version);
        assert_int_equal(caller_find(&f.ctx, false, &who), cases[i].rc);
        if (cases[i].rc == 0) {
            assert_int_equal(who.index, 3);
            assert_int_equal(who.leader, pid);
            assert_bytes(who.version, BYTES_LIT("guestbook:worker:w1:1234"));
        }
        /* The emulator's app needs no mark. */
        assert_int_equal(caller_find(&f.ctx, true, &who), 0);
        close(conn);
        kill(-pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    f.ctx.peer = BYTES_LIT("127.0.0.1:1");
    assert_int_equal(caller_find(&f.ctx, true, &(struct caller){0}),
                     ERR_NOT_FOUND);
    f.ctx.peer = BYTES_LIT("unix");
    assert_int_equal(caller_find(&f.ctx, true, &(struct caller){0}),
                     ERR_NOT_FOUND);
    close(fd);
}

/* ---- figures ---- */

static void this_program_uses_something(void **state)
{
    struct caller_usage u;
    struct procfs_stat *all, me;
    size_t n = procfs_all(&f.arena, &all);

    (void)state;
    assert_true(procfs_stat(getpid(), &me));
    assert_true(caller_usage(all, n, getpid(), me.start_time, &u));
    assert_true(u.bytes > 100 * 1024 && u.age >= 0);
    assert_false(caller_usage(all, n, getpid(), me.start_time + 1, &u));
}

static void close_to(double a, double b)
{
    if (a < b - 0.01 || a > b + 0.01)
        fail_msg("%f instead of %f", a, b);
}

static void without_looks_a_rate_is_that_of_the_whole_life(void **state)
{
    const struct caller who = {.leader = 1, .start = 7};
    const struct caller_usage now = {
        .age = 1000, .cpu_seconds = 500, .bytes = 10};
    struct samples_figures got = samples_add(f.env.system, &who, &now);

    (void)state;
    close_to(got.cpu_1m, 0.5);
    close_to(got.cpu_10m, 0.5);
    close_to(got.bytes_1m, 10);
}

static void rates_are_those_between_the_looks(void **state)
{
    const struct caller who = {.leader = 1, .start = 8};
    struct caller_usage u = {.age = 1000, .bytes = 10};
    struct samples_figures got;

    (void)state;
    samples_add(f.env.system, &who, &u);
    /* Busy for five minutes, and idle since. */
    for (int i = 0; i <= 60; i++) {
        u.age = 1000 + 10 * i;
        u.cpu_seconds = i < 30 ? 10 * i : 300;
        u.bytes = i < 30 ? 10 : 30;
        samples_put(f.env.system, &who, &u);
    }
    got = samples_add(f.env.system, &who, &u);
    close_to(got.cpu_1m, 0);
    close_to(got.cpu_10m, 0.5);
    close_to(got.bytes_1m, 30);
    assert_true(got.bytes_10m > 19 && got.bytes_10m < 21);
}

static void a_young_instance_began_at_nothing(void **state)
{
    const struct caller who = {.leader = 1, .start = 9};
    const struct caller_usage before = {
        .age = 10, .cpu_seconds = 1, .bytes = 10};
    const struct caller_usage now = {.age = 20, .cpu_seconds = 4, .bytes = 10};
    struct samples_figures got;

    (void)state;
    samples_add(f.env.system, &who, &before);
    samples_put(f.env.system, &who, &before);
    got = samples_add(f.env.system, &who, &now);
    close_to(got.cpu_1m, 4.0 / 20);
}

static void who_waits_goes_on_when_the_server_stops(void **state)
{
    (void)state;
    assert_true(system_pause(f.env.system, CLOCK_MS));
    system_stop(f.env.system);
    assert_false(system_pause(f.env.system, 3600 * CLOCK_SEC));
    system_close(f.env.system);
    open_it();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_instance_is_found_by_its_connection),
        TEST(this_program_uses_something),
        TEST(without_looks_a_rate_is_that_of_the_whole_life),
        TEST(rates_are_those_between_the_looks),
        TEST(a_young_instance_began_at_nothing),
        TEST(who_waits_goes_on_when_the_server_stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
