/*
 * What a call gets back, envelope by envelope (wire contract 1.2-1.6), from the
 * whole server in this process: tickets, errors, limits, deadlines, the pool.
 */
#include "rpc/rpc.h"
#include "service/platform/platform.h"
#include "service/user/users.h"
#include "storage/storage.h"
#include "test.h"
#include "wire/pb.h"
#include "wire/wire.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

static struct world {
    struct arena arena;
    struct ctx ctx;
    struct service_env env;
    struct rpc *rpc;
    struct http_server *http;
} w;

#define OWN_TOKEN "the-controllers-own-token"

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", ctx_err_text(&w.ctx, rc));
}

static void world_start(bool emulator, int workers)
{
    const struct storage_options so = {.backend = "memory"};
    struct http_server_options ho = {
        .host = "127.0.0.1",
        .loops = 2,
        .body_max = 4 * 1024 * 1024,
        .header_max = 16 * 1024,
        .conns_max = 100,
        .idle_timeout = 60 * CLOCK_SEC,
        .request_timeout = 60 * CLOCK_SEC,
        .on_request = rpc_handle,
    };
    struct rpc_options ro = {
        .env = &w.env, .project = "guest", .workers = workers};

    wire_init();
    memset(&w, 0, sizeof(w));
    ctx_init(&w.ctx, &w.arena);
    w.ctx.env = &w.env;
    w.env.emulator = emulator;
    must(storage_open(&w.ctx, &so, &w.env.storage));
    must(platform_open(&w.ctx, w.env.storage, BYTES_LIT(OWN_TOKEN),
                       &w.env.platform));
    must(users_open(&w.ctx, w.env.storage, &w.env.users));
    must(rpc_start(&w.ctx, &ro, &w.rpc));
    ho.arg = w.rpc;
    must(http_server_start(&w.ctx, &ho, &w.http));
}

static void world_stop(void)
{
    http_server_stop(w.http, CLOCK_SEC);
    rpc_stop(w.rpc);
    users_close(w.env.users);
    platform_close(w.env.platform);
    storage_close(w.env.storage);
    arena_release(&w.arena);
}

/* ---- one request ---- */

static struct bytes envelope(const char *service, const char *method,
                             struct bytes request, const char *ticket)
{
    struct buf b = BUF_IN(&w.arena);

    pb_put_bytes(&b, 2, bytes_str(service));
    pb_put_bytes(&b, 3, bytes_str(method));
    pb_put_bytes(&b, 4, request);
    if (ticket)
        pb_put_bytes(&b, 5, bytes_str(ticket));
    return buf_view(&b);
}

/* Send, shut our half, and return everything that comes back. */
static struct bytes exchange(struct bytes raw)
{
    struct sockaddr_in sa = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)http_server_port(w.http)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    struct buf in = BUF_IN(&w.arena);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ssize_t n;

    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    for (; raw.n; raw = bytes_from(raw, (size_t)n)) {
        n = send(fd, raw.p, raw.n, MSG_NOSIGNAL);
        assert_true(n > 0);
    }
    shutdown(fd, SHUT_WR);
    while ((n = recv(fd, buf_reserve(&in, 65536), 65536, 0)) > 0)
        in.n += (size_t)n;
    close(fd);
    return buf_view(&in);
}

static struct bytes body_of(struct bytes answer)
{
    const uint8_t *p = memmem(answer.p, answer.n, "\r\n\r\n", 4);

    assert_non_null(p);
    return bytes_from(answer, (size_t)(p - bytes_u8(answer)) + 4);
}

static struct bytes post(struct bytes body, const char *fields)
{
    struct buf b = BUF_IN(&w.arena);

    buf_printf(&b, "POST /rpc_http HTTP/1.1\r\nContent-Length: %zu\r\n%s\r\n",
               body.n, fields);
    buf_add(&b, body);
    return body_of(exchange(buf_view(&b)));
}

/* An answer taken apart. */
struct answer {
    bool response, app_error, rpc_error;
    struct bytes inner;
    int64_t code;
    struct bytes detail;
};

static struct answer parse(struct bytes body)
{
    struct pb_reader r = PB_READER(body);
    struct answer a = {0};

    while (pb_next(&r)) {
        a.response |= r.field == 1;
        a.app_error |= r.field == 3;
        a.rpc_error |= r.field == 5;
        a.inner = r.bytes;
    }
    assert_false(r.bad);
    assert_int_equal(a.response + a.app_error + a.rpc_error, 1);
    if (!a.response) {
        struct pb_reader e = PB_READER(a.inner);

        while (pb_next(&e)) {
            if (e.field == 1)
                a.code = (int64_t)e.u64;
            if (e.field == 2)
                a.detail = e.bytes;
        }
    }
    return a;
}

static struct answer ask(const char *service, const char *method,
                         struct bytes request, const char *ticket)
{
    return parse(post(envelope(service, method, request, ticket), ""));
}

static void expect_rpc_error(struct answer a, int code, const char *detail)
{
    assert_true(a.rpc_error);
    assert_int_equal(a.code, code);
    if (!memmem(a.detail.p, a.detail.n, detail, strlen(detail)))
        fail_msg("%.*s", BYTES_FMT(a.detail));
}

/* ---- the tests ---- */

static void an_empty_response_is_still_a_response(void **state)
{
    struct answer a;

    (void)state;
    world_start(true, 2);
    a = ask("appscale", "Null", BYTES_NONE, NULL);
    assert_true(a.response);
    assert_int_equal(a.inner.n, 0);
    world_stop();
}

static void what_is_not_there_is_named(void **state)
{
    (void)state;
    world_start(true, 2);
    expect_rpc_error(ask("datastore_v3", "Frob", BYTES_NONE, "t.1"), 1,
                     "datastore_v3.Frob");
    expect_rpc_error(ask("nothing", "Get", BYTES_NONE, "t.1"), 1,
                     "nothing.Get");
    world_stop();
}

static void broken_envelopes_are_parse_errors(void **state)
{
    static const char *const bodies[] = {"\xff\xff", "\x12\x7f", "", "\x0b"};
    struct bytes whole;

    (void)state;
    world_start(true, 2);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        expect_rpc_error(parse(post(bytes_str(bodies[i]), "")), 2,
                         "remote_api.Request");
    whole = envelope("appscale", "Null", BYTES_LIT("abc"), "t");
    for (size_t n = 0; n + 3 < whole.n; n++) {
        struct answer a = parse(post(BYTES(whole.p, n), ""));

        if (!a.response)
            assert_int_equal(a.code, 2);
    }
    world_stop();
}

static void an_undecodable_request_is_a_parse_error(void **state)
{
    (void)state;
    world_start(true, 2);
    expect_rpc_error(ask("memcache", "Get", BYTES_LIT("\xff\xff\xff"), "t.1"),
                     2, "memcache.MemcacheGetRequest");
    world_stop();
}

static void without_a_valid_ticket_there_is_no_call(void **state)
{
    static const char *const tickets[] = {NULL, "", "wrong", "wrong.1",
                                          ".request"};

    (void)state;
    world_start(false, 2);
    for (size_t i = 0; i < sizeof(tickets) / sizeof(tickets[0]); i++) {
        expect_rpc_error(ask("memcache", "Get", BYTES_NONE, tickets[i]), 3,
                         "security ticket");
        expect_rpc_error(ask("platform", "Stats", BYTES_NONE, tickets[i]), 3,
                         "security ticket");
    }
    /* The controller is the platform, and nobody's app. */
    assert_true(
        ask("platform", "ListUsers", BYTES_NONE, OWN_TOKEN ".7").response);
    expect_rpc_error(ask("memcache", "Get", BYTES_NONE, OWN_TOKEN ".7"), 3,
                     "security ticket");
    world_stop();
}

static void an_emulator_does_not_open_the_platform(void **state)
{
    (void)state;
    world_start(true, 2);
    expect_rpc_error(ask("platform", "Stats", BYTES_NONE, "any.1"), 3,
                     "security ticket");
    world_stop();
}

static void large_requests_are_refused_in_googles_words(void **state)
{
    struct bytes big;

    (void)state;
    world_start(true, 2);
    big =
        BYTES(arena_zalloc(&w.arena, RPC_REQUEST_MAX + 1), RPC_REQUEST_MAX + 1);
    expect_rpc_error(ask("appscale", "Null", big, "t.1"), 5,
                     "The request to API call appscale.Null() was too large.");
    big.n--;
    assert_true(ask("appscale", "Null", big, "t.1").response);
    world_stop();
}

static void a_deadline_in_the_past_runs_nothing(void **state)
{
    struct bytes e;

    (void)state;
    world_start(true, 2);
    e = envelope("appscale", "Null", BYTES_NONE, "t.1");
    expect_rpc_error(parse(post(e, "x-google-rpc-service-deadline: 0\r\n")), 12,
                     "deadline");
    assert_true(parse(post(e, "X-Google-Rpc-Service-Deadline: 2.499976028\r\n"))
                    .response);
    assert_true(
        parse(post(e, "X-Google-RPC-Service-Deadline: soon\r\n")).response);
    world_stop();
}

static void other_addresses_are_pages(void **state)
{
    static const struct {
        const char *raw;
        int status;
        const char *part;
    } cases[] = {
        {"GET /healthz HTTP/1.1\r\n\r\n", 200, "ok"},
        {"GET /metrics HTTP/1.1\r\n\r\n", 200,
         "appscale_rpc_seconds_count{service=\"appscale\",method=\"Null\"} 1"},
        {"GET /rpc_http HTTP/1.1\r\n\r\n", 405, "method"},
        {"GET /elsewhere HTTP/1.1\r\n\r\n", 404, "nothing"},
    };

    (void)state;
    world_start(true, 2);
    ask("appscale", "Null", BYTES_NONE, "t.1");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes got = exchange(bytes_str(cases[i].raw));

        assert_int_equal(atoi((const char *)got.p + 9), cases[i].status);
        assert_non_null(
            memmem(got.p, got.n, cases[i].part, strlen(cases[i].part)));
    }
    world_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_response_is_still_a_response),
        cmocka_unit_test(what_is_not_there_is_named),
        cmocka_unit_test(broken_envelopes_are_parse_errors),
        cmocka_unit_test(an_undecodable_request_is_a_parse_error),
        cmocka_unit_test(without_a_valid_ticket_there_is_no_call),
        cmocka_unit_test(an_emulator_does_not_open_the_platform),
        cmocka_unit_test(large_requests_are_refused_in_googles_words),
        cmocka_unit_test(a_deadline_in_the_past_runs_nothing),
        cmocka_unit_test(other_addresses_are_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
