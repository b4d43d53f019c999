/*
 * Who may use pull queues over REST: on the platform, whom the acl names, and
 * nobody else.  What the calls do is tried with plain HTTP in tests/sdk.
 */
#include "tasks_fixture.h"

#include "service/app_identity/app_identity.h"
#include "service/taskqueue/rest.h"

#define AUTH "https://www.googleapis.com/auth/"

static struct fixture f;

static const char yaml[] =
    "queue:\n"
    "- name: pull\n"
    "  mode: pull\n"
    "  acl:\n"
    "  - user_email: worker@appspot.gserviceaccount.com\n"
    "  - user_email: Me@example.com\n"
    "  - writer_email: producer@appspot.gserviceaccount.com\n"
    "- name: closed\n"
    "  mode: pull\n"
    "- name: default\n"
    "  rate: 5/s\n"
    "  acl:\n"
    "  - user_email: worker@appspot.gserviceaccount.com\n";

static int start(void **state)
{
    tasks_fixture_start(&f, yaml);
    fixture_put(&f, "apps", "guestbook",
                "{\"id\":\"guestbook\","
                "\"defaultHostname\":\"guestbook.example.com:8080\"}");
    return 0;
}

static int stop(void **state)
{
    tasks_fixture_stop(&f);
    return 0;
}

static const char *token(const char *app, const char *scope)
{
    struct ctx ctx = f.ctx;
    struct app_identity_GetAccessTokenRequest *in =
        app_identity_GetAccessTokenRequest_new(&ctx);
    struct app_identity_GetAccessTokenResponse *out =
        app_identity_GetAccessTokenResponse_new(&ctx);

    ctx.app = bytes_str(app);
    app_identity_GetAccessTokenRequest_add_scope(&ctx, in, bytes_str(scope));
    assert_int_equal(app_identity_access_token(&ctx, in, out), 0);
    return arena_printf(
        &f.arena, "Bearer %.*s",
        BYTES_FMT(app_identity_GetAccessTokenResponse_access_token(out)));
}

static const char *session(const char *email, const char *host)
{
    struct users_account who;

    ctx_err_clear(&f.ctx);
    if (users_find(&f.ctx, f.env.users, bytes_str(email), &who) != 0) {
        assert_int_equal(users_create(&f.ctx, f.env.users,
                                      &(struct users_new){
                                          .email = bytes_str(email),
                                          .password = BYTES_LIT("password")}),
                         0);
        assert_int_equal(
            users_find(&f.ctx, f.env.users, bytes_str(email), &who), 0);
    }
    return arena_printf(&f.arena, "Bearer %.*s",
                        BYTES_FMT(users_session_make(&f.ctx, f.env.users, &who,
                                                     bytes_str(host))));
}

struct call {
    const char *method, *path, *query, *body, *authorization;
    const char *cookie, *peer;
};

/* The status of one request. */
static int ask(const struct call *c)
{
    struct http_header headers[] = {
        {BYTES_LIT("Authorization"),
         c->authorization ? bytes_str(c->authorization) : BYTES_NONE},
        {BYTES_LIT("Cookie"), c->cookie ? bytes_str(c->cookie) : BYTES_NONE},
    };
    struct http_request req = {
        .method = bytes_str(c->method),
        .path = bytes_str(
            arena_printf(&f.arena, "/taskqueue/v1beta2/projects/%s", c->path)),
        .query = c->query ? bytes_str(c->query) : BYTES_NONE,
        .body = c->body ? bytes_str(c->body) : BYTES_NONE,
        .headers = headers,
        .n_headers = 2,
        .peer = bytes_str(c->peer ? c->peer : "127.0.0.1:4711"),
    };
    struct http_response res = {0};

    f.ctx.app = BYTES_NONE;
    ctx_err_clear(&f.ctx);
    assert_int_equal(taskqueue_routes[0].page(&f.ctx, &req, &res), 0);
    return res.status;
}

static int get(const char *path, const char *authorization)
{
    return ask(&(struct call){
        .method = "GET", .path = path, .authorization = authorization});
}

static int insert(const char *authorization)
{
    return ask(&(struct call){.method = "POST",
                              .path = "guestbook/taskqueues/pull/tasks",
                              .body = "{\"payloadBase64\": \"YQ\"}",
                              .authorization = authorization});
}

static int lease(const char *authorization)
{
    return ask(&(struct call){.method = "POST",
                              .path = "guestbook/taskqueues/pull/tasks/lease",
                              .query = "leaseSecs=1&numTasks=1",
                              .authorization = authorization});
}

static const char pull[] = "guestbook/taskqueues/pull";

static void without_credentials_nothing_is_told(void **state)
{
    const char *const bad[] = {NULL,
                               "",
                               "Bearer",
                               "Bearer ",
                               "Bearer x",
                               "Bearer as2.guestbook.9999999999.YQ.00",
                               "Basic bWU6cGFzc3dvcmQ="};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(get(pull, bad[i]), 401);
        assert_int_equal(get("guestbook/taskqueues/no-such", bad[i]), 401);
        assert_int_equal(get("nobody/taskqueues/pull", bad[i]), 401);
        assert_int_equal(insert(bad[i]), 401);
        assert_int_equal(lease(bad[i]), 401);
    }
}

/* Being on the same machine opens nothing: apps are, too. */
static void loopback_is_no_credential_on_the_platform(void **state)
{
    assert_int_equal(
        ask(&(struct call){.method = "GET", .path = pull, .peer = "unix"}),
        401);
}

static void an_app_may_what_the_acl_gives_its_account(void **state)
{
    const char *worker = token("worker", AUTH "taskqueue");
    const char *producer = token("producer", AUTH "taskqueue");

    assert_int_equal(get(pull, worker), 200);
    assert_int_equal(lease(worker), 200);
    assert_int_equal(insert(worker), 403);
    assert_int_equal(insert(producer), 200);
    assert_int_equal(get(pull, producer), 403);
    assert_int_equal(lease(producer), 403);
    assert_int_equal(get("s~guestbook/taskqueues/pull", worker), 200);
}

static void a_token_is_good_for_its_scopes(void **state)
{
    const char *consumer = AUTH "taskqueue.consumer";

    assert_int_equal(get(pull, token("worker", consumer)), 200);
    assert_int_equal(get(pull, token("worker", AUTH "cloud-platform")), 200);
    assert_int_equal(get(pull, token("worker", AUTH "devstorage.full")), 403);
    assert_int_equal(insert(token("producer", consumer)), 403);
    assert_int_equal(insert(token("producer", AUTH "cloud-platform")), 200);
}

/* Strangers cannot tell what is there from what is not. */
static void who_is_not_named_is_refused_everywhere(void **state)
{
    const char *paths[] = {
        "guestbook/taskqueues/pull",    "guestbook/taskqueues/closed",
        "guestbook/taskqueues/no-such", "guestbook/taskqueues/default",
        "nobody/taskqueues/pull",       "nobody/taskqueues/default"};
    const char *stranger = token("stranger", AUTH "taskqueue");

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        assert_int_equal(get(paths[i], stranger), 403);
    /* Not even the app itself, unless it is named. */
    assert_int_equal(get("guestbook/taskqueues/closed",
                         token("guestbook", AUTH "taskqueue")),
                     403);
    /* Nothing was made for somebody who only asked. */
    f.ctx.app = BYTES_LIT("nobody");
    assert_int_equal(
        get("nobody/taskqueues/default", token("worker", AUTH "taskqueue")),
        403);
}

static void a_push_queue_is_refused_to_who_may(void **state)
{
    assert_int_equal(
        get("guestbook/taskqueues/default", token("worker", AUTH "taskqueue")),
        400);
}

static void a_session_counts_on_its_own_host_alone(void **state)
{
    const char *mine = session("me@example.com", "guestbook.example.com");
    const char *other = session("me@example.com", "other.example.com");
    const char *stranger = session("you@example.com", "guestbook.example.com");

    assert_int_equal(get(pull, mine), 200);
    assert_int_equal(lease(mine), 200);
    assert_int_equal(insert(mine), 403);
    assert_int_equal(get(pull, other), 401);
    assert_int_equal(get("nobody/taskqueues/pull", mine), 401);
    assert_int_equal(get(pull, stranger), 403);
}

static void a_session_of_an_old_password_is_over(void **state)
{
    const char *mine = session("me@example.com", "guestbook.example.com");

    assert_int_equal(
        users_create(&f.ctx, f.env.users,
                     &(struct users_new){.email = BYTES_LIT("me@example.com"),
                                         .password = BYTES_LIT("another one"),
                                         .replace = true}),
        0);
    assert_int_equal(get(pull, mine), 401);
}

/* A page of another site has a visitor's cookies sent along: they open
 * nothing here. */
static void a_cookie_opens_nothing(void **state)
{
    const char *mine = session("me@example.com", "guestbook.example.com");

    assert_int_equal(ask(&(struct call){
                         .method = "GET",
                         .path = pull,
                         .cookie = arena_printf(&f.arena, "appscale_session=%s",
                                                mine + strlen("Bearer "))}),
                     401);
}

static void the_emulator_answers_its_own_machine_alone(void **state)
{
    struct call c = {.method = "GET", .path = pull};

    f.env.emulator = true;
    f.env.project = "guestbook";
    assert_int_equal(ask(&c), 200);
    c.peer = "192.168.1.7:80";
    assert_int_equal(ask(&c), 403);
    c.peer = "127.0.0.1:1";
    c.path = "other/taskqueues/pull";
    assert_int_equal(ask(&c), 404);
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_credentials_nothing_is_told),
        TEST(loopback_is_no_credential_on_the_platform),
        TEST(an_app_may_what_the_acl_gives_its_account),
        TEST(a_token_is_good_for_its_scopes),
        TEST(who_is_not_named_is_refused_everywhere),
        TEST(a_push_queue_is_refused_to_who_may),
        TEST(a_session_counts_on_its_own_host_alone),
        TEST(a_session_of_an_old_password_is_over),
        TEST(a_cookie_opens_nothing),
        TEST(the_emulator_answers_its_own_machine_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
