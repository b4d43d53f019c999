/*
 * The poster against a peer that answers from a script: whole answers of every
 * framing, connections kept and lost, silence, nonsense.
 */
#include "net/http_poster.h"
#include "test.h"

#include "base/clock.h"
#include "base/err.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>

enum then { KEEP, CLOSE, SILENT };

struct line {
    const char *answer;
    enum then then;
};

/* The peer: one connection after the other, one line for each request. */
static struct peer {
    const struct line *script;
    size_t n, at;
    int fd, port;
    int connections, closed;
    pthread_t thread;
} peer;

/* Whether a whole request without a body came. */
static bool read_request(int fd)
{
    char text[4096];
    size_t n = 0;

    while (n < sizeof(text) - 1) {
        ssize_t got = read(fd, text + n, sizeof(text) - 1 - n);

        if (got <= 0)
            return false;
        n += (size_t)got;
        text[n] = '\0';
        if (strstr(text, "\r\n\r\n"))
            return true;
    }
    return false;
}

static void serve(int fd)
{
    while (peer.at < peer.n && read_request(fd)) {
        const struct line *l = &peer.script[peer.at++];

        if (l->answer && write(fd, l->answer, strlen(l->answer)) < 0)
            return;
        if (l->then == CLOSE)
            return;
        if (l->then == SILENT) {
            read_request(fd); /* until the other side goes */
            return;
        }
    }
    read_request(fd);
}

static void *run_peer(void *arg)
{
    int fd;

    while ((fd = accept(peer.fd, NULL, NULL)) >= 0) {
        __atomic_fetch_add(&peer.connections, 1, __ATOMIC_SEQ_CST);
        serve(fd);
        close(fd);
        __atomic_fetch_add(&peer.closed, 1, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

static int connections(void)
{
    return __atomic_load_n(&peer.connections, __ATOMIC_RELAXED);
}

static void peer_start(const struct line *script, size_t n)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);

    peer = (struct peer){.script = script, .n = n};
    peer.fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(peer.fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(peer.fd, 16), 0);
    getsockname(peer.fd, (struct sockaddr *)&a, &size);
    peer.port = ntohs(a.sin_port);
    pthread_create(&peer.thread, NULL, run_peer, NULL);
}

static void peer_stop(void)
{
    shutdown(peer.fd, SHUT_RDWR);
    pthread_join(peer.thread, NULL);
    close(peer.fd);
}

/* ---- the poster ---- */

static uv_loop_t loop;
static struct http_poster *poster;

struct outcome {
    struct http_poster_result res;
    bool done;
};

static void on_done(const struct http_poster_result *res, void *arg)
{
    struct outcome *o = arg;

    assert_false(o->done);
    o->res = *res;
    o->done = true;
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

static void start(int port)
{
    uv_loop_init(&loop);
    poster = http_poster_new(&loop, &(struct http_poster_options){
                                        .host = "127.0.0.1",
                                        .port = port,
                                        .idle_max = 4,
                                        .idle_timeout = 10 * CLOCK_SEC,
                                    });
}

static void stop(void)
{
    bool closed = false;

    http_poster_free(poster, on_closed, &closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(closed);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static struct http_poster_call *post(struct outcome *o, bool head,
                                     int64_t timeout)
{
    struct buf request = BUF_HEAP;

    *o = (struct outcome){0};
    buf_printf(&request, "%s /x HTTP/1.1\r\nHost: h\r\n\r\n",
               head ? "HEAD" : "GET");
    return http_poster_send(poster, request, head, timeout, on_done, o);
}

static struct outcome ask_for(bool head, int64_t timeout)
{
    struct outcome o;

    post(&o, head, timeout);
    assert_false(o.done);
    while (!o.done)
        uv_run(&loop, UV_RUN_ONCE);
    return o;
}

static struct outcome ask(void)
{
    return ask_for(false, 10 * CLOCK_SEC);
}

#define SCRIPT(...)                                                            \
    static const struct line script[] = {__VA_ARGS__};                         \
    peer_start(script, sizeof(script) / sizeof(script[0]));                    \
    start(peer.port)

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void answers_of_every_framing(void **state)
{
    SCRIPT({OK, KEEP}, {"HTTP/1.1 204 No Content\r\n\r\n", KEEP},
           {"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n"
            "3\r\nabc\r\n0\r\n\r\n",
            KEEP},
           {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\n"
            "Location: /y\r\nContent-Length: 0\r\n\r\n",
            KEEP},
           {"HTTP/1.1 404 No\r\nConnection: close\r\n\r\nuntil the end", CLOSE},
           {"HTTP/1.0 201 Made\r\n\r\nold", CLOSE});
    static const int want[] = {200, 204, 500, 302, 404, 201};

    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        struct outcome o = ask();

        assert_int_equal(o.res.err, 0);
        assert_int_equal(o.res.status, want[i]);
        assert_true(o.res.sent);
    }
    /* One for the first five, which were kept; one for the last. */
    assert_int_equal(connections(), 2);
    stop();
    peer_stop();
}

static void a_head_has_no_body_whatever_it_says(void **state)
{
    SCRIPT({"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", KEEP},
           {OK, KEEP});

    assert_int_equal(ask_for(true, 10 * CLOCK_SEC).res.status, 200);
    assert_int_equal(ask().res.status, 200);
    assert_int_equal(connections(), 1);
    stop();
    peer_stop();
}

/* The second request goes out on a connection that is closed already. */
static void a_kept_connection_that_was_closed_is_replaced(void **state)
{
    SCRIPT({OK, CLOSE}, {OK, KEEP});

    assert_int_equal(ask().res.status, 200);
    while (__atomic_load_n(&peer.closed, __ATOMIC_SEQ_CST) == 0)
        sched_yield();
    assert_int_equal(ask().res.status, 200);
    assert_int_equal(connections(), 2);
    stop();
    peer_stop();
}

/* An app that died of a request was asked again at once, uncounted. */
static void r_what_the_peer_has_got_is_not_sent_again(void **state)
{
    SCRIPT({OK, KEEP}, {NULL, CLOSE}, {OK, KEEP});
    struct outcome o;

    assert_int_equal(ask().res.status, 200);
    o = ask();
    assert_int_equal(o.res.err, ERR_UNAVAILABLE);
    assert_true(o.res.sent);
    assert_int_equal(connections(), 1);
    assert_int_equal(ask().res.status, 200);
    stop();
    peer_stop();
}

static void a_broken_answer_is_not_tried_again(void **state)
{
    SCRIPT({OK, KEEP},
           {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal", CLOSE});
    struct outcome o;

    ask();
    o = ask();
    assert_int_equal(o.res.err, ERR_UNAVAILABLE);
    assert_int_equal(connections(), 1);
    stop();
    peer_stop();
}

static void nonsense_is_told_from_silence(void **state)
{
    SCRIPT({"SSH-2.0-OpenSSH\r\n", CLOSE}, {NULL, SILENT},
           {"HTTP/1.1 200 OK\r\nContent-", SILENT});
    int64_t before;

    assert_int_equal(ask().res.err, ERR_INVALID);
    before = clock_mono();
    assert_int_equal(ask_for(false, CLOCK_SEC / 5).res.err, ERR_DEADLINE);
    assert_true(clock_mono() - before >= CLOCK_SEC / 5 - CLOCK_MS);
    assert_int_equal(ask_for(false, CLOCK_SEC / 5).res.err, ERR_DEADLINE);
    stop();
    peer_stop();
}

static void nobody_there_means_nothing_was_sent(void **state)
{
    static const struct line none[] = {{OK, KEEP}};
    struct outcome o;

    peer_start(none, 1);
    peer_stop();
    start(peer.port);
    o = ask();
    assert_int_equal(o.res.err, ERR_UNAVAILABLE);
    assert_false(o.res.sent);
    stop();
}

static void what_follows_an_answer_spoils_the_connection(void **state)
{
    SCRIPT({OK OK, KEEP}, {OK, KEEP});

    assert_int_equal(ask().res.status, 200);
    assert_int_equal(ask().res.status, 200);
    assert_int_equal(connections(), 2);
    stop();
    peer_stop();
}

static void a_call_is_cancelled(void **state)
{
    SCRIPT({NULL, SILENT}, {NULL, SILENT});
    struct outcome first, second;

    http_poster_cancel(post(&first, false, 10 * CLOCK_SEC));
    assert_true(first.done);
    assert_int_equal(first.res.err, ERR_CANCELLED);
    post(&second, false, 10 * CLOCK_SEC);
    for (int i = 0; i < 3; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    stop(); /* cancels what runs */
    assert_true(second.done);
    assert_int_equal(second.res.err, ERR_CANCELLED);
    peer_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_every_framing),
        cmocka_unit_test(a_head_has_no_body_whatever_it_says),
        cmocka_unit_test(a_kept_connection_that_was_closed_is_replaced),
        cmocka_unit_test(r_what_the_peer_has_got_is_not_sent_again),
        cmocka_unit_test(a_broken_answer_is_not_tried_again),
        cmocka_unit_test(nonsense_is_told_from_silence),
        cmocka_unit_test(nobody_there_means_nothing_was_sent),
        cmocka_unit_test(what_follows_an_answer_spoils_the_connection),
        cmocka_unit_test(a_call_is_cancelled),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
