#include "fixture.h"

#include "service/user/lockout.h"

static struct fixture f;

static int start(void **state)
{
    (void)state;
    fixture_start(&f);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fixture_stop(&f);
    return 0;
}

static int create(const char *email, const char *password, bool admin,
                  bool replace)
{
    ctx_err_clear(&f.ctx);
    return users_create(&f.ctx, f.env.users,
                        &(struct users_new){
                            .email = bytes_str(email),
                            .password = bytes_str(password),
                            .admin = admin,
                            .replace = replace,
                        });
}

static int check(const char *email, const char *password, const char *address,
                 struct users_account *who)
{
    ctx_err_clear(&f.ctx);
    return users_check(&f.ctx, f.env.users, bytes_str(email),
                       bytes_str(password), bytes_str(address), who);
}

static void an_account_is_found_in_any_case_of_its_address(void **state)
{
    struct users_account who;

    (void)state;
    assert_int_equal(create("Ann@Example.com", "secret-1", true, false), 0);
    assert_int_equal(create("ann@example.com", "secret-2", true, false),
                     ERR_EXISTS);
    assert_int_equal(check("ANN@example.COM", "secret-1", "", &who), 0);
    assert_bytes(who.email, BYTES_LIT("ann@example.com"));
    assert_true(who.admin);
    assert_int_equal(check("ann@example.com", "Secret-1", "", &who),
                     ERR_DENIED);
    assert_int_equal(check("bob@example.com", "secret-1", "", &who),
                     ERR_DENIED);
}

/* What Google's development server makes of the address. */
static void a_user_id_is_that_of_the_development_server(void **state)
{
    struct users_account who;

    (void)state;
    assert_int_equal(create("Test@Example.com", "secret-1", false, false), 0);
    assert_int_equal(
        users_find(&f.ctx, f.env.users, BYTES_LIT("test@example.com"), &who),
        0);
    assert_bytes(who.user_id, BYTES_LIT("185804764220139124118"));
}

static void an_account_can_be_listed_and_deleted(void **state)
{
    struct users_account *all;
    size_t n;

    (void)state;
    assert_int_equal(create("b@x.org", "secret-1", false, false), 0);
    assert_int_equal(create("a@x.org", "secret-1", true, false), 0);
    assert_int_equal(users_list(&f.ctx, f.env.users, &all, &n), 0);
    assert_int_equal(n, 2);
    assert_bytes(all[0].email, BYTES_LIT("a@x.org"));
    assert_true(all[0].admin);
    assert_int_equal(users_delete(&f.ctx, f.env.users, BYTES_LIT("A@x.org")),
                     0);
    assert_int_equal(users_delete(&f.ctx, f.env.users, BYTES_LIT("A@x.org")),
                     ERR_NOT_FOUND);
    assert_int_equal(users_list(&f.ctx, f.env.users, &all, &n), 0);
    assert_int_equal(n, 1);
}

static void what_is_no_address_and_no_password_is_refused(void **state)
{
    static const struct {
        const char *email, *password;
    } cases[] = {
        {"", "secret-1"},          {"ann", "secret-1"},
        {"@x.org", "secret-1"},    {"ann@", "secret-1"},
        {"a@b@c", "secret-1"},     {"a b@x.org", "secret-1"},
        {"a\n@x.org", "secret-1"}, {"<a>@x.org", "secret-1"},
        {"ann@x.org", "short"},    {"ann@x.org", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(
            create(cases[i].email, cases[i].password, false, false),
            ERR_INVALID);
}

/* ---- sessions ---- */

static struct bytes sign_in(const char *host)
{
    struct users_account who;

    assert_int_equal(check("ann@x.org", "secret-1", "", &who), 0);
    return users_session_make(&f.ctx, f.env.users, &who, bytes_str(host));
}

static int session(struct bytes cookie, const char *host)
{
    struct users_account who;

    ctx_err_clear(&f.ctx);
    return users_session_check(&f.ctx, f.env.users, cookie, bytes_str(host),
                               &who);
}

static void a_session_outlives_a_restart_but_not_its_host(void **state)
{
    struct bytes cookie;

    (void)state;
    assert_int_equal(create("ann@x.org", "secret-1", false, false), 0);
    cookie = sign_in("guestbook.example.com");
    assert_int_equal(session(cookie, "guestbook.example.com"), 0);
    assert_int_equal(session(cookie, "other.example.com"), ERR_DENIED);
    fixture_restart(&f);
    assert_int_equal(session(cookie, "guestbook.example.com"), 0);
}

static void a_new_password_ends_the_sessions_of_the_old_one(void **state)
{
    struct bytes cookie;

    (void)state;
    assert_int_equal(create("ann@x.org", "secret-1", false, false), 0);
    cookie = sign_in("h");
    assert_int_equal(create("ann@x.org", "secret-2", false, true), 0);
    assert_int_equal(session(cookie, "h"), ERR_DENIED);
    /* Nor does the account coming back bring them back. */
    assert_int_equal(users_delete(&f.ctx, f.env.users, BYTES_LIT("ann@x.org")),
                     0);
    assert_int_equal(create("ann@x.org", "secret-1", false, false), 0);
    assert_int_equal(session(cookie, "h"), ERR_DENIED);
}

static void no_changed_byte_of_a_cookie_passes(void **state)
{
    struct bytes cookie;
    char *bad;

    (void)state;
    assert_int_equal(create("ann@x.org", "secret-1", false, false), 0);
    cookie = sign_in("h");
    for (size_t i = 0; i < cookie.n; i++) {
        bad = arena_cstr(&f.arena, cookie);
        bad[i] = bad[i] == 'A' ? 'B' : 'A';
        assert_int_equal(session(bytes_str(bad), "h"), ERR_DENIED);
        assert_int_equal(session(BYTES(cookie.p, i), "h"), ERR_DENIED);
    }
    assert_int_equal(session(BYTES_LIT("!!"), "h"), ERR_DENIED);
}

/* ---- lockout ---- */

static void failures_lock_the_account_whether_it_exists_or_not(void **state)
{
    static const char *const names[] = {"ann@x.org", "nobody@x.org"};
    struct users_account who;

    (void)state;
    assert_int_equal(create("ann@x.org", "secret-1", false, false), 0);
    for (int n = 0; n < 2; n++) {
        for (int i = 0; i < 5; i++)
            assert_int_equal(check(names[n], "wrong-1", "", &who), ERR_DENIED);
        assert_int_equal(check(names[n], "secret-1", "", &who), ERR_EXHAUSTED);
    }
    assert_non_null(strstr(f.ctx.err.message, "try again in 1 seconds"));
}

static void one_address_cannot_try_many_accounts(void **state)
{
    struct users_account who;

    (void)state;
    for (int i = 0; i < 20; i++) {
        const char *name = arena_printf(&f.arena, "user%d@x.org", i);

        assert_int_equal(check(name, "wrong-1", "192.0.2.7", &who), ERR_DENIED);
    }
    assert_int_equal(check("fresh@x.org", "wrong-1", "192.0.2.7", &who),
                     ERR_EXHAUSTED);
    assert_int_equal(check("fresh@x.org", "wrong-1", "192.0.2.8", &who),
                     ERR_DENIED);
}

static void each_failure_waits_longer_up_to_a_quarter_of_an_hour(void **state)
{
    struct lockout *l = lockout_new();
    struct bytes who = BYTES_LIT("ann@x.org");
    int64_t now = 1000 * CLOCK_SEC, waited = 0;

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(lockout_attempt(l, LOCKOUT_ACCOUNT, who, now), 0);
    for (int i = 0; i < 15; i++) {
        int64_t wait = lockout_attempt(l, LOCKOUT_ACCOUNT, who, now);

        assert_true(wait > waited || wait == 900 * CLOCK_SEC);
        assert_true(lockout_attempt(l, LOCKOUT_ACCOUNT, who, now + wait - 1) >
                    0);
        now += wait;
        waited = wait;
        assert_int_equal(lockout_attempt(l, LOCKOUT_ACCOUNT, who, now), 0);
    }
    assert_int_equal(waited, 900 * CLOCK_SEC);
    lockout_forgive(l, LOCKOUT_ACCOUNT, who);
    assert_int_equal(lockout_attempt(l, LOCKOUT_ACCOUNT, who, now), 0);
    assert_int_equal(lockout_attempt(l, LOCKOUT_ACCOUNT, who, now), 0);
    lockout_free(l);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_account_is_found_in_any_case_of_its_address),
        TEST(a_user_id_is_that_of_the_development_server),
        TEST(an_account_can_be_listed_and_deleted),
        TEST(what_is_no_address_and_no_password_is_refused),
        TEST(a_session_outlives_a_restart_but_not_its_host),
        TEST(a_new_password_ends_the_sessions_of_the_old_one),
        TEST(no_changed_byte_of_a_cookie_passes),
        TEST(failures_lock_the_account_whether_it_exists_or_not),
        TEST(one_address_cannot_try_many_accounts),
        TEST(each_failure_waits_longer_up_to_a_quarter_of_an_hour),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
