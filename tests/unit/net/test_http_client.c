/*
 * The HTTP client against our own server, both over loopback and a unix socket.
 */
#include "http_server_fixture.h"
#include "net/http_client.h"
#include "test.h"

struct reply {
    int calls, err, status;
    char body[64];
    char echo[64];
};

static void on_reply(const struct http_client_response *res, void *arg)
{
    struct reply *r = arg;
    struct bytes echo = http_client_header(res, "x-echo");

    r->calls++;
    r->err = res->err;
    r->status = res->status;
    if (res->body.n && res->body.n < sizeof(r->body))
        memcpy(r->body, res->body.p, res->body.n);
    if (echo.n)
        memcpy(r->echo, echo.p, echo.n);
    if (res->err)
        assert_non_null(res->message);
}

/* Send one request and run the loop until it is answered. */
static struct reply exchange(const struct http_client_request *req)
{
    struct reply r = {0};
    struct http_client *c;
    uv_loop_t loop;

    uv_loop_init(&loop);
    c = http_client_new(&loop);
    http_client_send(c, req, on_reply, &r);
    assert_int_equal(r.calls, 0); /* never from inside send */
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(r.calls, 1);
    http_client_free(c);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    return r;
}

static void a_get_brings_status_fields_and_body(void **state)
{
    struct fixture *f = fixture_start(NULL);
    struct reply r = exchange(
        &(struct http_client_request){.url = fixture_url(f, "/hello?a=b")});

    (void)state;
    assert_int_equal(r.err, 0);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body, "GET /hello?a=b ");
    fixture_stop(f);
}

static void a_post_carries_its_body_and_fields(void **state)
{
    struct fixture *f = fixture_start(NULL);
    const struct http_header h = {BYTES_LIT("X-Echo"), BYTES_LIT("abc")};
    struct reply r = exchange(&(struct http_client_request){
        .url = fixture_url(f, "/p"),
        .body = BYTES_LIT("payload"),
        .headers = &h,
        .n_headers = 1,
    });

    (void)state;
    assert_string_equal(r.body, "POST /p payload");
    assert_string_equal(r.echo, "abc");
    fixture_stop(f);
}

static void a_unix_socket_serves_as_well(void **state)
{
    struct arena a = ARENA_INIT;
    const char *path = arena_printf(&a, "%s/sock", test_dir());
    struct fixture *f;
    struct reply r;

    (void)state;
    f = fixture_start(path);
    r = exchange(&(struct http_client_request){
        .url = "http://localhost/x", .method = "DELETE", .unix_path = path});
    assert_int_equal(r.err, 0);
    assert_string_equal(r.body, "DELETE /x ");
    fixture_stop(f);
    assert_int_equal(access(path, F_OK), -1);
    arena_release(&a);
}

static void failures_have_their_codes(void **state)
{
    struct fixture *f = fixture_start(NULL);
    const struct {
        const char *label;
        struct http_client_request req;
        int want;
    } cases[] = {
        {"nobody listens", {.url = "http://127.0.0.1:1/"}, ERR_UNAVAILABLE},
        {"no such scheme", {.url = "gopher://127.0.0.1/"}, ERR_INVALID},
        {"too slow",
         {.url = fixture_url(f, "/never"), .timeout = 50 * CLOCK_MS},
         ERR_DEADLINE},
        {"too long",
         {.url = fixture_url(f, "/hello"), .response_max = 3},
         ERR_TOO_LARGE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct reply r = exchange(&cases[i].req);

        if (r.err != cases[i].want)
            fail_msg("%s: %d", cases[i].label, r.err);
    }
    fixture_stop(f);
}

static void a_cancelled_call_says_so_once(void **state)
{
    struct fixture *f = fixture_start(NULL);
    struct reply r = {0};
    struct http_client *c;
    uv_loop_t loop;

    (void)state;
    uv_loop_init(&loop);
    c = http_client_new(&loop);
    http_client_cancel(http_client_send(
        c, &(struct http_client_request){.url = fixture_url(f, "/x")}, on_reply,
        &r));
    assert_int_equal(r.err, ERR_CANCELLED);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(r.calls, 1);
    http_client_free(c);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    fixture_stop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_get_brings_status_fields_and_body),
        cmocka_unit_test(a_post_carries_its_body_and_fields),
        cmocka_unit_test(a_unix_socket_serves_as_well),
        cmocka_unit_test(failures_have_their_codes),
        cmocka_unit_test(a_cancelled_call_says_so_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
