/* The pages as a browser sees them: requests and answers as structs. */
#include "fixture.h"

#include "service/user/user.h"

#define HOST "guestbook.apps.example.com"

static struct fixture f;

static int start(void **state)
{
    (void)state;
    fixture_start(&f);
    assert_int_equal(
        users_create(&f.ctx, f.env.users,
                     &(struct users_new){.email = BYTES_LIT("ann@gmail.com"),
                                         .password = BYTES_LIT("secret-1"),
                                         .admin = true}),
        0);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fixture_stop(&f);
    return 0;
}

/* ---- a browser ---- */

struct browser {
    const char *host;
    const char *cookies; /* what it would send */
    const char *origin;  /* or NULL */
    const char *proto;   /* or NULL */
    const char *address; /* or NULL */
};

static struct http_response visit(const struct browser *b, const char *method,
                                  const char *path, const char *query,
                                  const char *body)
{
    struct http_header headers[5];
    struct http_request req = {
        .method = bytes_str(method),
        .path = bytes_str(path),
        .query = bytes_str(query),
        .body = bytes_str(body),
        .peer = BYTES_LIT("192.0.2.1:4711"),
        .headers = headers,
    };
    const char *const pairs[][2] = {{"Host", b->host},
                                    {"Cookie", b->cookies},
                                    {"Origin", b->origin},
                                    {"X-Forwarded-Proto", b->proto},
                                    {"X-Appengine-User-Ip", b->address}};
    struct http_response res = {0};

    for (int i = 0; i < 5; i++) {
        if (pairs[i][1])
            headers[req.n_headers++] = (struct http_header){
                bytes_str(pairs[i][0]), bytes_str(pairs[i][1])};
    }
    ctx_err_clear(&f.ctx);
    for (const struct http_route *r = user_routes; r->path; r++) {
        if (strcmp(r->method, method) == 0 && strcmp(r->path, path) == 0) {
            assert_int_equal(r->page(&f.ctx, &req, &res), 0);
            return res;
        }
    }
    fail_msg("no page for %s %s", method, path);
    return res;
}

static struct bytes header(const struct http_response *res, const char *name)
{
    for (size_t i = 0; i < res->n_headers; i++) {
        if (bytes_ieq(res->headers[i].name, bytes_str(name)))
            return res->headers[i].value;
    }
    return BYTES_NONE;
}

/* "NAME=VALUE" of the cookie that an answer sets, or "". */
static const char *cookie(const struct http_response *res, const char *name)
{
    for (size_t i = 0; i < res->n_headers; i++) {
        struct bytes v = res->headers[i].value;
        const char *semi;

        if (!bytes_eq_str(res->headers[i].name, "Set-Cookie") ||
            !bytes_starts(v, bytes_str(name)))
            continue;
        semi = memchr(v.p, ';', v.n);
        return arena_cstr(&f.arena,
                          BYTES(v.p, (size_t)(semi - (const char *)v.p)));
    }
    return "";
}

/* The value of a hidden field. */
static const char *hidden(const struct http_response *res, const char *name)
{
    const char *html = arena_cstr(&f.arena, res->body);
    const char *at =
        strstr(html, arena_printf(&f.arena, "name=\"%s\" value=\"", name));

    assert_non_null(at);
    at = strstr(at, "value=\"") + 7;
    return arena_cstr(&f.arena, BYTES(at, (size_t)(strchr(at, '"') - at)));
}

static bool shows(const struct http_response *res, const char *text)
{
    return strstr(arena_cstr(&f.arena, res->body), text) != NULL;
}

/* Open the form, fill it in, post it. */
static struct http_response sign_in(struct browser *b, const char *email,
                                    const char *password, const char *go_on)
{
    struct http_response form =
        visit(b, "GET", "/_ah/login",
              arena_printf(&f.arena, "continue=%s",
                           arena_cstr(&f.arena,
                                      http_escape(&f.arena, bytes_str(go_on)))),
              "");
    const char *post;

    assert_int_equal(form.status, 200);
    if (*cookie(&form, "appscale_form"))
        b->cookies = cookie(&form, "appscale_form");
    post = arena_printf(
        &f.arena, "email=%s&password=%s&token=%s&continue=%s",
        arena_cstr(&f.arena, http_escape(&f.arena, bytes_str(email))), password,
        hidden(&form, "token"),
        arena_cstr(&f.arena, http_escape(&f.arena, bytes_str(go_on))));
    return visit(b, "POST", "/_ah/login", "", post);
}

/* ---- tests ---- */

static void the_right_password_signs_in_and_goes_on(void **state)
{
    struct browser b = {.host = HOST ":8080"};
    struct http_response res;

    (void)state;
    res = sign_in(&b, "Ann@Gmail.com", "secret-1", "/guestbook?page=2");
    assert_int_equal(res.status, 302);
    assert_bytes(header(&res, "Location"), BYTES_LIT("/guestbook?page=2"));
    b.cookies = cookie(&res, "appscale_session");
    res = visit(&b, "GET", "/_appscale/auth", "", "");
    assert_int_equal(res.status, 200);
    assert_bytes(header(&res, "X-Appengine-User-Email"),
                 BYTES_LIT("ann@gmail.com"));
    assert_bytes(header(&res, "X-Appengine-User-Nickname"), BYTES_LIT("ann"));
    assert_int_equal(header(&res, "X-Appengine-User-Id").n, 21);
    assert_bytes(header(&res, "X-Appengine-User-Is-Admin"), BYTES_LIT("1"));
    assert_bytes(header(&res, "X-Appengine-Auth-Domain"),
                 BYTES_LIT("gmail.com"));
}

static void nobody_is_nobody(void **state)
{
    static const char *const cookies[] = {
        NULL, "appscale_session=", "appscale_session=forged", "a=b; c=d"};

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct browser b = {.host = HOST, .cookies = cookies[i]};
        struct http_response res = visit(&b, "GET", "/_appscale/auth", "", "");

        assert_int_equal(res.status, 200);
        assert_int_equal(header(&res, "X-Appengine-User-Email").n, 0);
        assert_int_equal(header(&res, "X-Appengine-User-Id").n, 0);
        assert_bytes(header(&res, "X-Appengine-User-Is-Admin"), BYTES_LIT("0"));
    }
}

static int gate(struct browser *b, const char *query)
{
    return visit(b, "GET", "/_appscale/auth", query, "").status;
}

static void a_gate_opens_for_whom_the_handler_wants(void **state)
{
    struct browser nobody = {.host = HOST}, ann = nobody, bob = nobody;
    struct http_response res;

    (void)state;
    assert_int_equal(
        users_create(&f.ctx, f.env.users,
                     &(struct users_new){.email = BYTES_LIT("bob@x.org"),
                                         .password = BYTES_LIT("secret-2")}),
        0);
    res = sign_in(&ann, "ann@gmail.com", "secret-1", "/");
    ann.cookies = cookie(&res, "appscale_session");
    res = sign_in(&bob, "bob@x.org", "secret-2", "/");
    bob.cookies = cookie(&res, "appscale_session");
    assert_int_equal(gate(&nobody, ""), 200);
    assert_int_equal(gate(&nobody, "login=required"), 401);
    assert_int_equal(gate(&nobody, "login=admin"), 401);
    assert_int_equal(gate(&bob, "login=required"), 200);
    assert_int_equal(gate(&bob, "login=admin"), 403);
    assert_int_equal(gate(&ann, "login=required"), 200);
    assert_int_equal(gate(&ann, "login=admin"), 200);
}

static void a_session_is_worth_nothing_on_another_host(void **state)
{
    struct browser b = {.host = HOST};
    struct http_response res = sign_in(&b, "ann@gmail.com", "secret-1", "/");

    (void)state;
    b.cookies = cookie(&res, "appscale_session");
    b.host = "evil.apps.example.com";
    res = visit(&b, "GET", "/_appscale/auth", "", "");
    assert_int_equal(header(&res, "X-Appengine-User-Email").n, 0);
}

static void cookies_are_hidden_from_scripts_and_secure_on_https(void **state)
{
    struct browser b = {.host = HOST};
    struct http_response res = sign_in(&b, "ann@gmail.com", "secret-1", "/");
    const char *set = arena_cstr(&f.arena, header(&res, "Set-Cookie"));

    (void)state;
    assert_non_null(strstr(set, "; HttpOnly"));
    assert_non_null(strstr(set, "; SameSite=Lax"));
    assert_non_null(strstr(set, "; Max-Age=86400"));
    assert_null(strstr(set, "; Secure"));
    b = (struct browser){.host = HOST, .proto = "https"};
    res = sign_in(&b, "ann@gmail.com", "secret-1", "/");
    set = arena_cstr(&f.arena, header(&res, "Set-Cookie"));
    assert_non_null(strstr(set, "; Secure"));
}

static void a_wrong_password_shows_the_form_again_in_words(void **state)
{
    struct browser b = {.host = HOST};
    struct http_response res;

    (void)state;
    res = sign_in(&b, "ann@gmail.com", "wrong-1", "/x");
    assert_int_equal(res.status, 403);
    assert_true(shows(&res, "do not belong together"));
    assert_true(shows(&res, "value=\"ann@gmail.com\""));
    assert_string_equal(hidden(&res, "continue"), "/x");
    assert_string_equal(cookie(&res, "appscale_session"), "");
}

static void what_a_visitor_types_is_shown_as_text(void **state)
{
    struct browser b = {.host = HOST};
    struct http_response res;

    (void)state;
    res = sign_in(&b, "\"><script>x</script>@x.org", "wrong-1", "/\"><script>");
    assert_false(shows(&res, "<script>"));
}

static void repeated_failures_lock_the_visitor_out(void **state)
{
    struct browser b = {.host = HOST, .address = "203.0.113.9"};
    struct http_response res;

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(sign_in(&b, "ann@gmail.com", "wrong-1", "/").status,
                         403);
    res = sign_in(&b, "ann@gmail.com", "secret-1", "/");
    assert_int_equal(res.status, 429);
    assert_true(shows(&res, "There were too many failed sign-ins; try again "
                            "in 1 seconds."));
    assert_string_equal(cookie(&res, "appscale_session"), "");
}

static void a_forged_post_is_refused(void **state)
{
    struct browser b = {.host = HOST};
    struct http_response form = visit(&b, "GET", "/_ah/login", "", "");
    const char *token = hidden(&form, "token");
    const char *good = cookie(&form, "appscale_form");
    const struct {
        const char *label, *cookies, *token, *origin;
        int status;
    } cases[] = {
        {"as it should be", good, token, NULL, 302},
        {"from this very host", good, token, "http://" HOST ":8080", 302},
        {"no cookie", NULL, token, NULL, 403},
        {"no token", good, "", NULL, 403},
        {"token of nothing", good, "0123", NULL, 403},
        {"cookie of someone else",
         "appscale_form=00000000000000000000000000000000", token, NULL, 403},
        {"cookie that is none", "appscale_form=x", token, NULL, 403},
        {"from another host", good, token, "http://evil.example.net", 403},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *post = arena_printf(
            &f.arena, "email=ann%%40gmail.com&password=secret-1&token=%s",
            cases[i].token);
        struct http_response res;

        b = (struct browser){.host = HOST,
                             .cookies = cases[i].cookies,
                             .origin = cases[i].origin};
        res = visit(&b, "POST", "/_ah/login", "", post);
        if (res.status != cases[i].status)
            fail_msg("%s: %d", cases[i].label, res.status);
    }
}

static void signing_out_takes_the_cookie_and_goes_on(void **state)
{
    struct browser b = {.host = HOST};
    struct http_response res;

    (void)state;
    res = visit(&b, "GET", "/_ah/logout", "continue=%2Fbye", "");
    assert_int_equal(res.status, 302);
    assert_bytes(header(&res, "Location"), BYTES_LIT("/bye"));
    assert_string_equal(cookie(&res, "appscale_session"), "appscale_session=");
    assert_non_null(
        strstr(arena_cstr(&f.arena, header(&res, "Set-Cookie")), "Max-Age=0"));
    res = visit(&b, "GET", "/_ah/logout", "continue=http%3A%2F%2Fevil.com%2F",
                "");
    assert_bytes(header(&res, "Location"), BYTES_LIT("/"));
}

static void one_only_goes_on_to_hosts_of_the_platform(void **state)
{
    static const struct {
        const char *url, *want;
    } cases[] = {
        {"", "/"},
        {"/", "/"},
        {"/a/b?c=d&e=f#g", "/a/b?c=d&e=f#g"},
        {"/a b\"<>", "/a%20b%22%3C%3E"},
        {"/\xc3\xbc", "/%C3%BC"},
        {"http://" HOST "/a", "http://" HOST "/a"},
        {"HTTPS://" HOST ":8443/a", "HTTPS://" HOST ":8443/a"},
        {"https://other.apps.example.com", "https://other.apps.example.com"},
        {"http://apps.example.com?x", "http://apps.example.com?x"},
        /* not ours */
        {"http://evil.com/", "/"},
        {"http://evil.com/apps.example.com", "/"},
        {"http://evil.com#.apps.example.com", "/"},
        {"http://evil.com?.apps.example.com", "/"},
        {"http://evilapps.example.com/", "/"},
        {"http://apps.example.com.evil.com/", "/"},
        {"http://" HOST "@evil.com/", "/"},
        {"http://x:y@" HOST "/", "/"},
        {"http://evil.com:80@" HOST ":1/", "/"},
        {"http://evil.com\\@" HOST "/", "/"},
        {"http://evil.com%2f." HOST "/", "/"},
        {"http://", "/"},
        {"http:///evil.com", "/"},
        {"http:evil.com", "/"},
        {"http:/evil.com", "/"},
        /* what browsers take for a host */
        {"//evil.com", "/"},
        {"///evil.com", "/"},
        {"/\\evil.com", "/"},
        {"\\\\evil.com", "/"},
        {"/\t/evil.com", "/"},
        {"/\n/evil.com", "/"},
        {"\t//evil.com", "/"},
        {" //evil.com", "/"},
        /* other schemes, other tricks */
        {"javascript:alert(1)", "/"},
        {"data:text/html,x", "/"},
        {"ftp://" HOST "/", "/"},
        {"evil.com", "/"},
        {"?a=b", "/"},
        {"/x\r\nSet-Cookie: a=b", "/"},
        {"/x\x7f", "/"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes got =
            user_continue(&f.arena, bytes_str(cases[i].url), BYTES_LIT(HOST),
                          BYTES_LIT("apps.example.com"));

        assert_bytes(got, bytes_str(cases[i].want));
    }
}

static void login_addresses_are_relative_to_the_apps_host(void **state)
{
    static const struct {
        const char *destination, *want;
    } cases[] = {
        {"/a?b=c", "/_ah/login?continue=%2Fa%3Fb%3Dc"},
        {"", "/_ah/login?continue=%2F"},
        {"a", "/_ah/login?continue=%2Fa"},
        {"http://h/a", "/_ah/login?continue=http%3A%2F%2Fh%2Fa"},
    };
    struct user_CreateLogoutURLRequest *out_in =
        user_CreateLogoutURLRequest_new(&f.ctx);
    struct user_CreateLogoutURLResponse *out_out =
        user_CreateLogoutURLResponse_new(&f.ctx);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct user_CreateLoginURLRequest *in =
            user_CreateLoginURLRequest_new(&f.ctx);
        struct user_CreateLoginURLResponse *out =
            user_CreateLoginURLResponse_new(&f.ctx);

        user_CreateLoginURLRequest_set_destination_url(
            in, bytes_str(cases[i].destination));
        assert_int_equal(user_create_login_url(&f.ctx, in, out), 0);
        assert_bytes(user_CreateLoginURLResponse_login_url(out),
                     bytes_str(cases[i].want));
    }
    user_CreateLogoutURLRequest_set_destination_url(out_in, BYTES_LIT("/bye"));
    assert_int_equal(user_create_logout_url(&f.ctx, out_in, out_out), 0);
    assert_bytes(user_CreateLogoutURLResponse_logout_url(out_out),
                 BYTES_LIT("/_ah/logout?continue=%2Fbye"));
}

static void a_destination_has_a_longest(void **state)
{
    struct user_CreateLoginURLRequest *in =
        user_CreateLoginURLRequest_new(&f.ctx);
    char *url = arena_zalloc(&f.arena, USER_URL_MAX + 2);

    (void)state;
    memset(url, '/', USER_URL_MAX + 1);
    user_CreateLoginURLRequest_set_destination_url(in, bytes_str(url));
    assert_int_equal(user_create_login_url(
                         &f.ctx, in, user_CreateLoginURLResponse_new(&f.ctx)),
                     ERR_TOO_LARGE);
    assert_int_equal(f.ctx.err.app_code,
                     user_UserServiceError_REDIRECT_URL_TOO_LONG);
}

static void the_front_end_can_demand_who_is_signed_in(void **state)
{
    struct browser b = {.host = HOST ":8080"};
    struct http_response res;

    (void)state;
    res = visit(&b, "GET", "/_appscale/auth", "login=required", "");
    assert_int_equal(res.status, 401);
    assert_bytes(header(&res, "X-Appscale-Login-Url"),
                 BYTES_LIT("/_ah/login?continue=http%3A%2F%2F"
                           "guestbook.apps.example.com%3A8080"));
    res = sign_in(&b, "ann@gmail.com", "secret-1", "/");
    b.cookies = cookie(&res, "appscale_session");
    res = visit(&b, "GET", "/_appscale/auth", "login=admin", "");
    assert_int_equal(res.status, 200);
}

static void no_oauth_token_is_ever_valid(void **state)
{
    (void)state;
    assert_int_equal(user_get_oauth_user(&f.ctx,
                                         user_GetOAuthUserRequest_new(&f.ctx),
                                         user_GetOAuthUserResponse_new(&f.ctx)),
                     ERR_DENIED);
    assert_int_equal(f.ctx.err.app_code,
                     user_UserServiceError_OAUTH_INVALID_REQUEST);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_right_password_signs_in_and_goes_on),
        TEST(nobody_is_nobody),
        TEST(a_gate_opens_for_whom_the_handler_wants),
        TEST(a_session_is_worth_nothing_on_another_host),
        TEST(cookies_are_hidden_from_scripts_and_secure_on_https),
        TEST(a_wrong_password_shows_the_form_again_in_words),
        TEST(what_a_visitor_types_is_shown_as_text),
        TEST(repeated_failures_lock_the_visitor_out),
        TEST(a_forged_post_is_refused),
        TEST(signing_out_takes_the_cookie_and_goes_on),
        TEST(one_only_goes_on_to_hosts_of_the_platform),
        TEST(login_addresses_are_relative_to_the_apps_host),
        TEST(a_destination_has_a_longest),
        TEST(the_front_end_can_demand_who_is_signed_in),
        TEST(no_oauth_token_is_ever_valid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
