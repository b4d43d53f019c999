#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>

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

/* ---- tables ---- */

static struct platform_Key *set_key(struct platform_Key *k, const char *table,
                                    const char *row)
{
    platform_Key_set_table(k, bytes_str(table));
    platform_Key_set_row(k, bytes_str(row));
    return k;
}

static bool commit_if(const char *row, const char *want, const char *value,
                      int32_t *failed)
{
    struct platform_CommitRequest *in = platform_CommitRequest_new(&f.ctx);
    struct platform_CommitResponse *out = platform_CommitResponse_new(&f.ctx);
    struct platform_CommitRequest_Condition *c =
        platform_CommitRequest_add_condition(&f.ctx, in);
    struct platform_CommitRequest_Write *w =
        platform_CommitRequest_add_write(&f.ctx, in);

    set_key(platform_CommitRequest_Condition_mut_key(&f.ctx, c), "versions",
            row);
    if (want)
        platform_CommitRequest_Condition_set_value(c, bytes_str(want));
    set_key(platform_CommitRequest_Write_mut_key(&f.ctx, w), "versions", row);
    if (value)
        platform_CommitRequest_Write_set_value(w, bytes_str(value));
    assert_int_equal(platform_commit(&f.ctx, in, out), 0);
    *failed = platform_CommitResponse_failed_condition(out);
    return platform_CommitResponse_committed(out);
}

static void rows_are_written_only_when_the_conditions_hold(void **state)
{
    int32_t failed;

    (void)state;
    assert_true(commit_if("a/s/v", NULL, "one", &failed));
    assert_false(commit_if("a/s/v", NULL, "again", &failed));
    assert_int_equal(failed, 0);
    assert_false(commit_if("a/s/v", "zero", "two", &failed));
    assert_true(commit_if("a/s/v", "one", "two", &failed));
    assert_true(commit_if("a/s/v", "two", NULL, &failed));
    assert_true(commit_if("a/s/v", NULL, "new", &failed));
}

static void a_row_that_is_not_there_is_an_empty_item(void **state)
{
    struct platform_GetRequest *in = platform_GetRequest_new(&f.ctx);
    struct platform_GetResponse *out = platform_GetResponse_new(&f.ctx);

    (void)state;
    fixture_put(&f, "apps", "a", "");
    set_key(platform_GetRequest_add_key(&f.ctx, in), "apps", "a");
    set_key(platform_GetRequest_add_key(&f.ctx, in), "apps", "b");
    assert_int_equal(platform_get(&f.ctx, in, out), 0);
    assert_int_equal(platform_GetResponse_n_item(out), 2);
    assert_true(
        platform_GetResponse_Item_has_value(platform_GetResponse_item(out, 0)));
    assert_false(
        platform_GetResponse_Item_has_value(platform_GetResponse_item(out, 1)));
}

static void a_scan_goes_on_behind_the_last_row_it_showed(void **state)
{
    struct platform_ScanRequest *in = platform_ScanRequest_new(&f.ctx);
    struct platform_ScanResponse *out;
    const char *rows[] = {"a/1", "a/2", "a/3", "b/1"};
    struct bytes last = BYTES_NONE;
    size_t seen = 0;
    bool more = true;

    (void)state;
    for (int i = 0; i < 4; i++)
        fixture_put(&f, "versions", rows[i], rows[i]);
    platform_ScanRequest_set_table(in, BYTES_LIT("versions"));
    platform_ScanRequest_set_prefix(in, BYTES_LIT("a/"));
    platform_ScanRequest_set_limit(in, 2);
    while (more) {
        if (last.n)
            platform_ScanRequest_set_after(in, last);
        out = platform_ScanResponse_new(&f.ctx);
        assert_int_equal(platform_scan(&f.ctx, in, out), 0);
        for (size_t i = 0; i < platform_ScanResponse_n_row(out); i++) {
            last = platform_ScanResponse_Row_row(
                platform_ScanResponse_row(out, i));
            assert_bytes(last, bytes_str(rows[seen++]));
        }
        more = platform_ScanResponse_more(out);
    }
    assert_int_equal(seen, 3);
    platform_ScanRequest_set_after(in, BYTES_LIT("b/1"));
    assert_int_equal(
        platform_scan(&f.ctx, in, platform_ScanResponse_new(&f.ctx)),
        ERR_INVALID);
}

static void a_table_needs_a_plain_name(void **state)
{
    static const struct bytes bad[] = {
        BYTES_LIT(""),     BYTES_LIT("Apps"),     BYTES_LIT("a b"),
        BYTES_LIT("a\0b"), BYTES_LIT("../users"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct platform_ScanRequest *in = platform_ScanRequest_new(&f.ctx);

        ctx_err_clear(&f.ctx);
        platform_ScanRequest_set_table(in, bad[i]);
        assert_int_equal(
            platform_scan(&f.ctx, in, platform_ScanResponse_new(&f.ctx)),
            ERR_INVALID);
    }
}

/* ---- tickets ---- */

static void add_ticket(struct platform_SetTicketsRequest *in, const char *token,
                       const char *app, const char *version)
{
    struct platform_Ticket *t =
        platform_SetTicketsRequest_add_ticket(&f.ctx, in);

    platform_Ticket_set_token(t, bytes_str(token));
    platform_Ticket_set_app(t, bytes_str(app));
    platform_Ticket_set_service(t, BYTES_LIT("default"));
    platform_Ticket_set_version(t, bytes_str(version));
}

static int set_tickets(const struct platform_SetTicketsRequest *in)
{
    return platform_set_tickets(&f.ctx, in, platform_Void_new(&f.ctx));
}

static void a_restarted_server_knows_its_callers(void **state)
{
    struct platform_SetTicketsRequest *in =
        platform_SetTicketsRequest_new(&f.ctx);
    struct platform_caller who;

    (void)state;
    add_ticket(in, "0123456789abcdef-one", "guestbook", "v1");
    add_ticket(in, "0123456789abcdef-two", "other", "v2");
    assert_int_equal(set_tickets(in), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(platform_ticket(&f.ctx, f.env.platform,
                                         BYTES_LIT("0123456789abcdef-two"),
                                         &who),
                         0);
        assert_bytes(who.app, BYTES_LIT("other"));
        assert_bytes(who.service, BYTES_LIT("default"));
        assert_bytes(who.version, BYTES_LIT("v2"));
        assert_false(who.platform);
        fixture_restart(&f);
    }
}

static void a_new_table_of_tickets_ends_the_old_one(void **state)
{
    struct platform_SetTicketsRequest *in =
        platform_SetTicketsRequest_new(&f.ctx);
    struct platform_caller who;

    (void)state;
    add_ticket(in, "0123456789abcdef-one", "guestbook", "v1");
    assert_int_equal(set_tickets(in), 0);
    assert_int_equal(set_tickets(platform_SetTicketsRequest_new(&f.ctx)), 0);
    assert_int_equal(platform_ticket(&f.ctx, f.env.platform,
                                     BYTES_LIT("0123456789abcdef-one"), &who),
                     ERR_NOT_FOUND);
}

static void bad_tickets_change_nothing(void **state)
{
    static const struct {
        const char *label, *first, *second;
    } cases[] = {
        {"too short", "short", "0123456789abcdef-two"},
        {"with a dot", "0123456789abcdef.one", "0123456789abcdef-two"},
        {"twice the same", "0123456789abcdef-one", "0123456789abcdef-one"},
    };
    struct platform_SetTicketsRequest *in =
        platform_SetTicketsRequest_new(&f.ctx);
    struct platform_caller who;

    (void)state;
    add_ticket(in, "0123456789abcdef-old", "guestbook", "v1");
    assert_int_equal(set_tickets(in), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ctx_err_clear(&f.ctx);
        in = platform_SetTicketsRequest_new(&f.ctx);
        add_ticket(in, cases[i].first, "a", "v");
        add_ticket(in, cases[i].second, "b", "v");
        assert_int_equal(set_tickets(in), ERR_INVALID);
    }
    assert_int_equal(platform_ticket(&f.ctx, f.env.platform,
                                     BYTES_LIT("0123456789abcdef-old"), &who),
                     0);
}

static void the_platform_has_a_token_of_its_own(void **state)
{
    struct platform_caller who;

    (void)state;
    assert_int_equal(
        platform_ticket(&f.ctx, f.env.platform, BYTES_LIT(FIXTURE_TOKEN), &who),
        0);
    assert_true(who.platform);
    assert_int_equal(who.app.n, 0);
    assert_int_equal(platform_ticket(&f.ctx, f.env.platform, BYTES_NONE, &who),
                     ERR_NOT_FOUND);
}

static _Atomic bool reading_ends;

/* The ticket of "stays" is in every table: a reader always finds it. */
static void *read_tickets(void *arg)
{
    struct arena a = ARENA_INIT;
    _Atomic long *missed = arg;
    struct platform_caller who;
    struct ctx ctx;

    while (!atomic_load(&reading_ends)) {
        ctx_init(&ctx, &a);
        if (platform_ticket(&ctx, f.env.platform,
                            BYTES_LIT("0123456789abcdef-stays"), &who) != 0 ||
            !bytes_eq_str(who.app, "guestbook"))
            atomic_fetch_add(missed, 1);
        arena_reset(&a);
    }
    arena_release(&a);
    return NULL;
}

static void readers_never_miss_a_ticket_while_tables_change(void **state)
{
    pthread_t readers[3];
    _Atomic long missed = 0;

    (void)state;
    for (int i = 0; i < 200; i++) {
        struct platform_SetTicketsRequest *in =
            platform_SetTicketsRequest_new(&f.ctx);

        add_ticket(in, "0123456789abcdef-stays", "guestbook", "v1");
        add_ticket(in, arena_printf(&f.arena, "0123456789abcdef-%d", i), "x",
                   "v1");
        assert_int_equal(set_tickets(in), 0);
        for (int r = 0; i == 0 && r < 3; r++)
            pthread_create(&readers[r], NULL, read_tickets, &missed);
    }
    atomic_store(&reading_ends, true);
    for (int r = 0; r < 3; r++)
        pthread_join(readers[r], NULL);
    assert_int_equal(atomic_load(&missed), 0);
}

/* ---- what the tables say of an app ---- */

static void an_app_is_read_from_its_documents(void **state)
{
    struct platform_service *s;
    struct platform_version *v;
    struct platform_app *a;

    (void)state;
    fixture_put(&f, "apps", "guestbook", "{\"id\":\"guestbook\"}");
    fixture_put(&f, "apps", "guestbook2", "{\"id\":\"guestbook2\"}");
    fixture_put(&f, "services", "guestbook/default",
                "{\"split\":{\"allocations\":{\"v1\":0.25,\"v2\":0.75}}}");
    fixture_put(&f, "services", "guestbook2/other", "{}");
    fixture_put(&f, "versions", "guestbook/default/v1",
                "{\"servingStatus\":\"STOPPED\","
                "\"manualScaling\":{\"instances\":3}}");
    fixture_put(&f, "versions", "guestbook/default/v2",
                "{\"servingStatus\":\"SERVING\",\"automaticScaling\":{}}");
    fixture_put(&f, "versions", "guestbook/gone/v2", "not even JSON");
    assert_int_equal(
        platform_app_read(&f.ctx, f.env.platform, BYTES_LIT("guestbook"), &a),
        0);
    assert_bytes(a->host, BYTES_LIT("guestbook.apps.example.com"));
    assert_int_equal(a->n_services, 1);
    s = platform_service_find(a, BYTES_LIT("default"));
    assert_non_null(s);
    assert_int_equal(s->n_versions, 2);
    v = platform_version_find(s, BYTES_LIT("v1"));
    assert_false(v->serving);
    assert_int_equal(v->scaling, PLATFORM_MANUAL);
    assert_int_equal(v->instances, 3);
    v = platform_version_default(s);
    assert_bytes(v->id, BYTES_LIT("v2"));
    assert_true(v->serving);
    assert_int_equal(v->scaling, PLATFORM_AUTOMATIC);
}

static void an_app_that_is_not_deployed_is_not_found(void **state)
{
    struct platform_app *a;

    (void)state;
    assert_int_equal(
        platform_app_read(&f.ctx, f.env.platform, BYTES_LIT("nobody"), &a),
        ERR_NOT_FOUND);
    fixture_put(&f, "apps", "broken", "[1]");
    assert_int_equal(
        platform_app_read(&f.ctx, f.env.platform, BYTES_LIT("broken"), &a),
        ERR_CORRUPT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_are_written_only_when_the_conditions_hold),
        TEST(a_row_that_is_not_there_is_an_empty_item),
        TEST(a_scan_goes_on_behind_the_last_row_it_showed),
        TEST(a_table_needs_a_plain_name),
        TEST(a_restarted_server_knows_its_callers),
        TEST(a_new_table_of_tickets_ends_the_old_one),
        TEST(bad_tickets_change_nothing),
        TEST(the_platform_has_a_token_of_its_own),
        TEST(readers_never_miss_a_ticket_while_tables_change),
        TEST(an_app_is_read_from_its_documents),
        TEST(an_app_that_is_not_deployed_is_not_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
