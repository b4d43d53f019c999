/*
 * The HTTP server, byte by byte, over raw sockets.
 */
#include "http_server_fixture.h"
#include "test.h"

#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

static int dial(struct fixture *f)
{
    struct sockaddr_in sa = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)http_server_port(f->server)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    return fd;
}

static void say(int fd, struct bytes v)
{
    while (v.n) {
        ssize_t n = send(fd, v.p, v.n, MSG_NOSIGNAL);

        assert_true(n > 0);
        v = bytes_from(v, (size_t)n);
    }
}

static void say_str(int fd, const char *s)
{
    say(fd, bytes_str(s));
}

/* Read until `text` has come `times` times, or the end; NULL-terminated. */
static const char *hear(int fd, struct buf *in, const char *text, int times)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        const char *s = buf_cstr(in);
        int seen = 0;
        ssize_t n;

        for (; (s = strstr(s, text)) != NULL; s += strlen(text))
            seen++;
        if (seen >= times)
            return buf_cstr(in);
        assert_int_equal(poll(&p, 1, 10000), 1);
        n = recv(fd, buf_reserve(in, 65536), 65536, 0);
        if (n <= 0)
            return buf_cstr(in);
        in->n += (size_t)n;
    }
}

/* Everything up to the end of the connection. */
static const char *hear_all(int fd, struct buf *in)
{
    return hear(fd, in, "\x01never\x01", 1);
}

static int count(const char *s, const char *text)
{
    int n = 0;

    for (; (s = strstr(s, text)) != NULL; s += strlen(text))
        n++;
    return n;
}

/* One exchange on a fresh connection, our half closed behind it. */
static const char *ask(struct fixture *f, const char *raw, struct buf *in)
{
    int fd = dial(f);

    say_str(fd, raw);
    shutdown(fd, SHUT_WR);
    hear_all(fd, in);
    close(fd);
    return buf_cstr(in);
}

static void requests_are_answered_or_refused_by_the_book(void **state)
{
    static const struct {
        const char *label, *raw;
        int status;
        const char *tail;
    } cases[] = {
        {"simple", "GET /a HTTP/1.1\r\n\r\n", 200, "GET /a "},
        {"old", "GET /a HTTP/1.0\r\n\r\n", 200, "GET /a "},
        {"old, kept", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200,
         "GET /a "},
        {"length", "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyz", 200,
         "POST /a xyz"},
        {"chunks",
         "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
         "2\r\nxy\r\n1;q=1\r\nz\r\n0\r\nTrailer: t\r\n\r\n",
         200, "POST /a xyz"},
        {"head", "HEAD /a HTTP/1.1\r\n\r\n", 200, "\r\n\r\n"},
        {"empty field", "GET /a HTTP/1.1\r\nX-Echo:\r\n\r\n", 200, "GET /a "},
        {"upgrade is declined",
         "GET /a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 200,
         "GET /a "},
        {"another thread", "GET /later HTTP/1.1\r\n\r\n", 200, "GET /later "},
        {"garbage", "hello there\r\n\r\n", 400, "Bad Request"},
        {"both lengths",
         "POST /a HTTP/1.1\r\nContent-Length: 3\r\n"
         "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         400, "Bad Request"},
        {"both lengths, other order",
         "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
         "Content-Length: 3\r\n\r\n0\r\n\r\n",
         400, "Bad Request"},
        {"two lengths",
         "POST /a HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: "
         "4\r\n\r\nxyz",
         400, "Bad Request"},
        {"a negative length", "POST /a HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
         400, "Bad Request"},
        {"an unknown coding",
         "POST /a HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400,
         "Bad Request"},
        {"space before colon", "GET /a HTTP/1.1\r\nX : y\r\n\r\n", 400,
         "Bad Request"},
        {"bare line feeds", "GET /a HTTP/1.1\nX: y\n\n", 400, "Bad Request"},
        {"folded field", "GET /a HTTP/1.1\r\nX: y\r\n z\r\n\r\n", 400,
         "Bad Request"},
        {"bad chunk",
         "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400,
         "Bad Request"},
        {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "Bad Request"},
        {"too long", "POST /a HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
         413, "Content Too Large"},
        {"absurdly long",
         "POST /a HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
         400, "Bad Request"},
    };
    struct fixture *f = fixture_start(NULL);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf in = BUF_HEAP;
        const char *got = ask(f, cases[i].raw, &in);
        size_t n = strlen(cases[i].tail);

        if (in.n < n || atoi(got + 9) != cases[i].status ||
            strcmp(got + in.n - n, cases[i].tail) != 0)
            fail_msg("%s: %s", cases[i].label, got);
        buf_release(&in);
    }
    fixture_stop(f);
}

/* The same request, cut at every place, must read the same. */
static void a_request_may_arrive_in_any_two_parts(void **state)
{
    static const char raw[] = "POST /cut?q=1 HTTP/1.1\r\nX-Echo: echo me\r\n"
                              "Transfer-Encoding: chunked\r\n\r\n"
                              "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    struct fixture *f = fixture_start(NULL);
    int fd = dial(f);

    (void)state;
    for (size_t cut = 1; cut < sizeof(raw) - 1; cut++) {
        struct buf in = BUF_HEAP;

        say(fd, BYTES(raw, cut));
        /* Another connection's request goes through the shared block. */
        if (cut % 8 == 0) {
            ask(f, "GET /other HTTP/1.1\r\nX-Other: abc\r\n\r\n", &in);
            buf_clear(&in);
        }
        say(fd, BYTES(raw + cut, sizeof(raw) - 1 - cut));
        hear(fd, &in, "hello world", 1);
        assert_non_null(strstr(buf_cstr(&in), "X-Echo: echo me\r\n"));
        assert_non_null(strstr(buf_cstr(&in), "POST /cut?q=1 hello world"));
        buf_release(&in);
    }
    close(fd);
    fixture_stop(f);
}

static void a_body_larger_than_any_block_arrives_whole(void **state)
{
    enum { N = 900 * 1024 };
    struct fixture *f = fixture_start(NULL);
    struct buf out = BUF_HEAP, in = BUF_HEAP;
    int fd = dial(f);

    (void)state;
    buf_printf(&out, "POST /b HTTP/1.1\r\nContent-Length: %d\r\n\r\n", N);
    for (int i = 0; i < N; i++)
        buf_add_u8(&out, (uint8_t)('a' + i % 26));
    say(fd, buf_view(&out));
    shutdown(fd, SHUT_WR);
    hear_all(fd, &in);
    assert_true(in.n > N);
    assert_bytes(BYTES(in.p + in.n - N, N), BYTES(out.p + out.n - N, N));
    buf_release(&out);
    buf_release(&in);
    close(fd);
    fixture_stop(f);
}

static void a_thousand_pipelined_answers_keep_their_order(void **state)
{
    struct fixture *f = fixture_start(NULL);
    struct buf out = BUF_HEAP, in = BUF_HEAP;
    const char *at;
    int fd = dial(f);

    (void)state;
    for (int i = 0; i < 1000; i++)
        buf_printf(&out, "GET /%s?%d HTTP/1.1\r\n\r\n",
                   i % 10 ? "now" : "later", i);
    say(fd, buf_view(&out));
    shutdown(fd, SHUT_WR);
    at = hear_all(fd, &in);
    for (int i = 0; i < 1000; i++) {
        char want[32];

        snprintf(want, sizeof(want), "?%d ", i);
        at = strstr(at, want);
        if (!at)
            fail_msg("answer %d is missing or out of order", i);
    }
    buf_release(&out);
    buf_release(&in);
    close(fd);
    fixture_stop(f);
}

static void an_answer_that_closes_is_the_last(void **state)
{
    struct fixture *f = fixture_start(NULL);
    struct buf in = BUF_HEAP;
    const char *got = ask(f,
                          "GET /a HTTP/1.1\r\n\r\nGET /close HTTP/1.1\r\n\r\n"
                          "GET /b HTTP/1.1\r\n\r\n",
                          &in);

    (void)state;
    assert_int_equal(count(got, "HTTP/1.1 200"), 2);
    assert_non_null(strstr(got, "Connection: close"));
    buf_release(&in);
    fixture_stop(f);
}

static void a_slow_reader_gets_all_of_a_large_answer(void **state)
{
    struct fixture *f = fixture_start(NULL);
    struct buf in = BUF_HEAP;
    int fd = dial(f);

    (void)state;
    say_str(fd, "GET /big9 HTTP/1.1\r\n\r\nGET /a HTTP/1.1\r\n\r\n");
    shutdown(fd, SHUT_WR);
    hear_all(fd, &in);
    assert_true(in.n > 9 << 20);
    assert_bytes(BYTES(in.p + in.n - 7, 7), BYTES_LIT("GET /a "));
    buf_release(&in);
    close(fd);
    fixture_stop(f);
}

static void a_client_that_expects_continue_gets_it(void **state)
{
    struct fixture *f = fixture_start(NULL);
    struct buf in = BUF_HEAP;
    int fd = dial(f);

    (void)state;
    say_str(fd, "POST /a HTTP/1.1\r\nContent-Length: 2\r\n"
                "Expect: 100-continue\r\n\r\n");
    hear(fd, &in, "HTTP/1.1 100 Continue\r\n\r\n", 1);
    say_str(fd, "ok");
    hear(fd, &in, "POST /a ok", 1);
    buf_release(&in);
    close(fd);
    fixture_stop(f);
}

static void a_refused_client_that_still_sends_reads_the_answer(void **state)
{
    struct fixture *f = fixture_start(NULL);
    struct buf in = BUF_HEAP;
    char junk[65536];
    int fd = dial(f);

    (void)state;
    memset(junk, 'j', sizeof(junk));
    say_str(fd, "POST /a HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n");
    for (int i = 0; i < 30; i++)
        say(fd, BYTES(junk, sizeof(junk)));
    hear_all(fd, &in);
    assert_int_equal(atoi(buf_cstr(&in) + 9), 413);
    buf_release(&in);
    close(fd);
    fixture_stop(f);
}

static void long_heads_are_refused_whole_or_trickled(void **state)
{
    struct fixture *f = fixture_start(NULL);
    struct buf out = BUF_HEAP, in = BUF_HEAP;

    (void)state;
    buf_add_str(&out, "GET /a HTTP/1.1\r\nX: ");
    for (int i = 0; i < 9000; i++)
        buf_add_u8(&out, 'x');
    buf_add_str(&out, "\r\n\r\n");
    assert_int_equal(atoi(ask(f, buf_cstr(&out), &in) + 9), 431);
    buf_clear(&in);
    buf_clear(&out);
    buf_add_str(&out, "GET /a HTTP/1.1\r\n");
    for (int i = 0; i <= HTTP_HEADERS_MAX; i++)
        buf_add_str(&out, "a: b\r\n");
    buf_add_str(&out, "\r\n");
    assert_int_equal(atoi(ask(f, buf_cstr(&out), &in) + 9), 431);
    buf_release(&out);
    buf_release(&in);
    fixture_stop(f);
}

/* Always in the middle of a request, and none of them takes long. */
static void a_client_that_pipelines_is_not_slow(void **state)
{
    struct fixture *f = fixture_start_with((struct http_server_options){
        .idle_timeout = 300 * CLOCK_MS, .request_timeout = 300 * CLOCK_MS});
    int64_t until = clock_mono() + 1500 * CLOCK_MS;
    struct buf in = BUF_HEAP;
    int fd = dial(f);

    (void)state;
    say_str(fd, "GET ");
    while (clock_mono() < until) {
        buf_clear(&in);
        say_str(fd, "/a HTTP/1.1\r\n\r\nGET ");
        assert_int_equal(atoi(hear(fd, &in, "GET /a", 1) + 9), 200);
        usleep(20 * 1000);
    }
    buf_release(&in);
    close(fd);
    fixture_stop(f);
}

static void slow_and_idle_clients_are_ended(void **state)
{
    struct fixture *f = fixture_start_with((struct http_server_options){
        .idle_timeout = 100 * CLOCK_MS, .request_timeout = 100 * CLOCK_MS});
    int idle = dial(f), slow = dial(f);
    struct http_server_stats st;
    struct buf in = BUF_HEAP;

    (void)state;
    say_str(slow, "GET /a HT");
    assert_int_equal(atoi(hear_all(slow, &in) + 9), 408);
    buf_clear(&in);
    assert_string_equal(hear_all(idle, &in), "");
    http_server_stats(f->server, &st);
    assert_true(st.timeouts >= 2);
    buf_release(&in);
    close(idle);
    close(slow);
    fixture_stop(f);
}

static void beyond_the_limit_the_idlest_connection_goes(void **state)
{
    struct fixture *f = fixture_start_with(
        (struct http_server_options){.conns_max = 3, .loops = 1});
    struct buf in = BUF_HEAP;
    int fds[4];

    (void)state;
    for (int i = 0; i < 4; i++) {
        fds[i] = dial(f);
        say_str(fds[i], "GET /a HTTP/1.1\r\n\r\n");
        buf_clear(&in);
        hear(fds[i], &in, "GET /a ", 1);
    }
    buf_clear(&in);
    assert_string_equal(hear_all(fds[0], &in), ""); /* closed */
    say_str(fds[1], "GET /b HTTP/1.1\r\n\r\n");
    hear(fds[1], &in, "GET /b ", 1);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    buf_release(&in);
    fixture_stop(f);
}

static void an_answer_for_a_client_that_left_is_dropped(void **state)
{
    struct fixture *f = fixture_start(NULL);
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    struct buf in = BUF_HEAP;
    int fd = dial(f);

    (void)state;
    say_str(fd, "GET /never HTTP/1.1\r\n\r\nGET /a HTTP/1.1\r\n\r\n");
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    ask(f, "GET /other HTTP/1.1\r\n\r\n", &in);
    fixture_let_go(f);
    buf_clear(&in);
    assert_non_null(strstr(ask(f, "GET /b HTTP/1.1\r\n\r\n", &in), "GET /b "));
    buf_release(&in);
    fixture_stop(f);
}

static void a_taken_port_and_a_bad_address_are_named(void **state)
{
    struct fixture *f = fixture_start(NULL);
    struct arena a = ARENA_INIT;
    struct http_server *s;
    struct ctx ctx;
    struct http_server_options o = {
        .host = "127.0.0.1",
        .port = http_server_port(f->server),
        .conns_max = 10,
        .on_request = fixture_request,
    };

    (void)state;
    ctx_init(&ctx, &a);
    assert_int_equal(http_server_start(&ctx, &o, &s), ERR_UNAVAILABLE);
    assert_non_null(strstr(ctx.err.message, "127.0.0.1:"));
    ctx_err_clear(&ctx);
    o.host = "not an address";
    assert_int_equal(http_server_start(&ctx, &o, &s), ERR_INVALID);
    arena_release(&a);
    fixture_stop(f);
}

struct reader {
    int fd;
    struct buf in;
};

static void *read_all(void *arg)
{
    struct reader *r = arg;

    hear_all(r->fd, &r->in);
    return NULL;
}

static void stopping_waits_for_the_answer_that_is_under_way(void **state)
{
    struct fixture *f = fixture_start(NULL);
    struct reader r = {.fd = dial(f)};
    int idle = dial(f);
    pthread_t t;

    (void)state;
    /* Five megabytes do not fit into the socket: the rest is under way. */
    say_str(r.fd, "GET /big5 HTTP/1.1\r\n\r\n");
    hear(r.fd, &r.in, "HTTP/1.1 200", 1);
    pthread_create(&t, NULL, read_all, &r);
    fixture_stop(f);
    pthread_join(t, NULL);
    assert_true(r.in.n > 5 << 20);
    buf_release(&r.in);
    close(r.fd);
    close(idle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_answered_or_refused_by_the_book),
        cmocka_unit_test(a_request_may_arrive_in_any_two_parts),
        cmocka_unit_test(a_body_larger_than_any_block_arrives_whole),
        cmocka_unit_test(a_thousand_pipelined_answers_keep_their_order),
        cmocka_unit_test(an_answer_that_closes_is_the_last),
        cmocka_unit_test(a_slow_reader_gets_all_of_a_large_answer),
        cmocka_unit_test(a_client_that_expects_continue_gets_it),
        cmocka_unit_test(a_refused_client_that_still_sends_reads_the_answer),
        cmocka_unit_test(long_heads_are_refused_whole_or_trickled),
        cmocka_unit_test(a_client_that_pipelines_is_not_slow),
        cmocka_unit_test(slow_and_idle_clients_are_ended),
        cmocka_unit_test(beyond_the_limit_the_idlest_connection_goes),
        cmocka_unit_test(an_answer_for_a_client_that_left_is_dropped),
        cmocka_unit_test(a_taken_port_and_a_bad_address_are_named),
        cmocka_unit_test(stopping_waits_for_the_answer_that_is_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
