/*
 * A listening socket that several processes accept on.
 */
#include "control/listener.h"
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static int port_of(int fd)
{
    struct sockaddr_in in;
    socklen_t n = sizeof(in);

    assert_int_equal(0, getsockname(fd, (struct sockaddr *)&in, &n));
    return ntohs(in.sin_port);
}

static int connect_to(int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(0, connect(fd, (struct sockaddr *)&in, sizeof(in)));
    return fd;
}

/* Who comes second, when another process has taken the connection. */
static void nobody_is_waited_for(int fd)
{
    alarm(30);
    assert_int_equal(-1, accept(fd, NULL, NULL));
    assert_true(errno == EAGAIN);
    alarm(0);
}

static void who_finds_nobody_does_not_wait(void **state)
{
    struct listener l = {.address = "127.0.0.1", .fd = -1};
    struct arena a = ARENA_INIT;
    struct ctx ctx;
    int peer, got;

    ctx_init(&ctx, &a);
    assert_int_equal(0, listener_open(&ctx, &l));
    nobody_is_waited_for(l.fd);
    peer = connect_to(port_of(l.fd));
    got = accept(l.fd, NULL, NULL);
    assert_true(got >= 0);
    nobody_is_waited_for(l.fd);
    close(got);
    close(peer);
    close(l.fd);
    arena_release(&a);
}

static void what_is_taken_over_does_not_wait_either(void **state)
{
    struct listener l = {.address = "127.0.0.1", .fd = -1}, copy;
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &a);
    assert_int_equal(0, listener_open(&ctx, &l));
    l.port = port_of(l.fd);
    assert_int_equal(0, fcntl(l.fd, F_SETFL, 0));
    copy = l;
    listener_take(&copy, getpid(), l.fd);
    assert_true(copy.fd >= 0 && copy.fd != l.fd);
    nobody_is_waited_for(copy.fd);
    close(copy.fd);
    close(l.fd);
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_finds_nobody_does_not_wait),
        cmocka_unit_test(what_is_taken_over_does_not_wait_either),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
