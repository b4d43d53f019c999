/* policy - which ports are whose; addresses as programs give them. */
#include "sandbox/policy.h"

#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/un.h>

/* PORT 20001 among instances 20000-20999, API 6103, HTTP 8080, RabbitMQ. */
static struct policy example(void)
{
    struct policy p = {.port = 20001, .api_port = 6103};

    assert_true(policy_add(&p, "8080", true));
    assert_true(policy_add(&p, "20000-20999", false));
    assert_true(policy_add(&p, "6104", false));
    return p;
}

static const struct {
    const char *label;
    enum policy_kind kind;
    int port;
    bool here;
    int connect, bind;
} cases[] = {
    {"its own port", POLICY_INET, 20001, true, 0, 0},
    {"a neighbour's", POLICY_INET, 20002, true, -ECONNREFUSED, -EACCES},
    {"the first of the range", POLICY_INET, 20000, true, -ECONNREFUSED,
     -EACCES},
    {"the last of the range", POLICY_INET, 20999, true, -ECONNREFUSED, -EACCES},
    {"below the range", POLICY_INET, 19999, true, 0, 0},
    {"behind the range", POLICY_INET, 21000, true, 0, 0},
    {"such a port of another machine", POLICY_INET, 20002, false, 0, -EACCES},
    {"the services", POLICY_INET, 6103, true, 0, -EACCES},
    {"the front", POLICY_INET, 8080, true, 0, -EACCES},
    {"RabbitMQ", POLICY_INET, 6104, true, -ECONNREFUSED, -EACCES},
    {"a local database", POLICY_INET, 5432, true, 0, 0},
    {"any port", POLICY_INET, 0, true, 0, 0},
    {"a unix socket in a folder", POLICY_PATH, 0, true, 0, 0},
    {"an abstract one", POLICY_ABSTRACT, 0, true, -EACCES, -EACCES},
    {"no address of ours", POLICY_OTHER, 0, false, 0, 0},
    {"a short one", POLICY_SHORT, 0, false, 0, 0},
};

static void a_program_gets_what_is_its_own(void **state)
{
    struct policy p = example();

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct policy_address at = {cases[i].kind, cases[i].port};

        print_message("  %s\n", cases[i].label);
        assert_int_equal(policy_connect(&p, &at, cases[i].here),
                         cases[i].connect);
        assert_int_equal(policy_bind(&p, &at), cases[i].bind);
    }
}

/* Where a test's ports lie closely, the front may be inside of the range. */
static void the_first_range_that_fits_counts(void **state)
{
    struct policy p = {.port = 1};
    struct policy_address at = {POLICY_INET, 20010};

    (void)state;
    assert_true(policy_add(&p, "20010", true));
    assert_true(policy_add(&p, "20000-20999", false));
    assert_int_equal(policy_connect(&p, &at, true), 0);
    assert_int_equal(policy_bind(&p, &at), -EACCES);
}

static void what_nothing_tells_about_is_unknown(void **state)
{
    struct policy p = {.port = 20005, .api_port = 6103, .last_user = 7};
    struct policy_address at = {POLICY_INET, 5432};
    static const int known[] = {20005, 6103, 8080, 20010, 0};

    (void)state;
    assert_true(policy_add(&p, "8080", true));
    assert_true(policy_add(&p, "20000-20999", false));
    assert_true(policy_is_unknown(&p, &at, true));
    assert_false(policy_is_unknown(&p, &at, false));
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        at.port = known[i];
        assert_false(policy_is_unknown(&p, &at, true));
    }
    at = (struct policy_address){POLICY_PATH, 5432};
    assert_false(policy_is_unknown(&p, &at, true));
    at = (struct policy_address){POLICY_INET, 5432};
    p.last_user = 0;
    assert_false(policy_is_unknown(&p, &at, true));
}

static void ranges_are_read_or_refused(void **state)
{
    static const char *const wrong[] = {"",     "x",    "1-",    "-1",
                                        "2-1",  "0",    "65536", "1-65536",
                                        "1-2x", "1 -2", "1-2-3"};
    struct policy p = {0};

    (void)state;
    assert_true(policy_add(&p, "7", false));
    assert_true(policy_add(&p, "1-65535", true));
    assert_int_equal(p.ranges[0].first, 7);
    assert_int_equal(p.ranges[0].last, 7);
    assert_int_equal(p.ranges[1].last, 65535);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        print_message("  \"%s\"\n", wrong[i]);
        assert_false(policy_add(&p, wrong[i], false));
    }
    while (p.n_ranges < POLICY_RANGES_MAX)
        assert_true(policy_add(&p, "9", false));
    assert_false(policy_add(&p, "9", false));
}

static void check_address(const void *sa, size_t n, enum policy_kind kind,
                          int port)
{
    struct sockaddr_storage at = {0};
    struct policy_address got;

    memcpy(&at, sa, n);
    got = policy_address(&at, (socklen_t)n);
    assert_int_equal(got.kind, kind);
    assert_int_equal(got.port, port);
}

static void internet_addresses_have_ports(void **state)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(80)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6,
                               .sin6_port = htons(443)};

    (void)state;
    check_address(&four, sizeof(four), POLICY_INET, 80);
    check_address(&four, sizeof(four) - 1, POLICY_SHORT, 0);
    check_address(&six, sizeof(six), POLICY_INET, 443);
    check_address(&six, 24, POLICY_INET, 443); /* without a scope */
    check_address(&six, 23, POLICY_SHORT, 0);
    four.sin_family = AF_UNSPEC; /* bind() takes it for AF_INET */
    check_address(&four, sizeof(four), POLICY_INET, 80);
    check_address(&four, sizeof(four.sin_family), POLICY_OTHER, 0);
    check_address(&four, 1, POLICY_SHORT, 0);
    four.sin_family = AF_NETLINK;
    check_address(&four, sizeof(four), POLICY_OTHER, 0);
}

static void unix_addresses_have_a_path_or_none(void **state)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/tmp/s"};
    size_t named = offsetof(struct sockaddr_un, sun_path);

    (void)state;
    check_address(&un, named + 6, POLICY_PATH, 0);
    check_address(&un, named, POLICY_ABSTRACT, 0);
    un.sun_path[0] = '\0';
    check_address(&un, named + 6, POLICY_ABSTRACT, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_gets_what_is_its_own),
        cmocka_unit_test(the_first_range_that_fits_counts),
        cmocka_unit_test(what_nothing_tells_about_is_unknown),
        cmocka_unit_test(ranges_are_read_or_refused),
        cmocka_unit_test(internet_addresses_have_ports),
        cmocka_unit_test(unix_addresses_have_a_path_or_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
