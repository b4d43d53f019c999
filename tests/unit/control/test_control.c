/* The parts of the controller that need no process: tables in, values out. */
#include "test.h"

#include "base/files.h"
#include "control/haproxy_ask.h"
#include "control/haproxy_dispatch.h"
#include "control/instance.h"
#include "control/proc.h"
#include "control/routing.h"
#include "control/split.h"
#include "control/state.h"
#include "control/throttle.h"

#include <sys/stat.h>

static struct arena arena;
static struct ctx ctx;

static int start(void **state)
{
    (void)state;
    ctx_init(&ctx, &arena);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

/* ---- throttle ---- */

static void ends_in_a_row_wait_twice_as_long_up_to_30_s(void **state)
{
    static const int64_t want_ms[] = {0,    100,  200,   400,   800,   1600,
                                      3200, 6400, 12800, 25600, 30000, 30000};
    struct throttle t = {0};
    int64_t now = CLOCK_SEC;

    (void)state;
    for (size_t i = 0; i < sizeof(want_ms) / sizeof(want_ms[0]); i++) {
        throttle_start(&t, now);
        now += CLOCK_MS;
        assert_int_equal(throttle_end(&t, now) / CLOCK_MS, want_ms[i]);
        assert_int_equal(throttle_failing(&t, now), i >= 2);
    }
}

static void what_worked_is_away_no_longer_than_it_was_there(void **state)
{
    struct throttle t = {0};
    int64_t now = CLOCK_SEC, wait = 0;

    (void)state;
    for (int i = 0; i < 12; i++) {
        throttle_start(&t, now);
        throttle_works(&t, now + CLOCK_SEC);
        now += 2 * CLOCK_SEC;
        wait = throttle_end(&t, now);
        assert_true(throttle_promising(&t, now));
        now += wait;
    }
    assert_int_equal(wait, CLOCK_SEC);
    assert_true(throttle_failing(&t, now));
    /* It begins, and has not shown yet that it works. */
    throttle_start(&t, now);
    assert_true(throttle_promising(&t, now));
    throttle_end(&t, now + CLOCK_MS);
    assert_false(throttle_promising(&t, now + CLOCK_MS));
    /* Its last run was long. */
    throttle_start(&t, now);
    throttle_works(&t, now);
    now += 29 * CLOCK_SEC;
    assert_int_equal(throttle_end(&t, now), THROTTLE_WORKED);
    assert_true(throttle_promising(&t, now));
}

static void what_never_worked_is_not_waited_for(void **state)
{
    struct throttle t = {0};
    int64_t now = CLOCK_SEC;

    (void)state;
    for (int i = 0; i < THROTTLE_FAILING; i++) {
        assert_true(throttle_promising(&t, now));
        throttle_start(&t, now);
        throttle_end(&t, now);
    }
    assert_false(throttle_promising(&t, now));
}

static void a_long_run_clears_the_slate(void **state)
{
    struct throttle t = {.ends = 9, .started = CLOCK_SEC};

    (void)state;
    assert_int_equal(throttle_end(&t, CLOCK_SEC + THROTTLE_STABLE), 0);
    assert_int_equal(t.ends, 1);
    assert_false(throttle_failing(&t, CLOCK_SEC + THROTTLE_STABLE));
}

/* ---- state ---- */

static void a_state_reads_back_as_it_was_written(void **state)
{
    struct state_record r[2] = {
        {.name = "server", .pid = 4711, .start_time = 99, .digest = "ab"},
        {.name = "p/s/v/1/0", .pid = 12, .start_time = 1, .port = 20000},
    };
    struct state out = {.records = r, .n = 2}, in;
    struct buf text = BUF_IN(&arena);

    (void)state;
    state_format(&out, &text);
    assert_int_equal(state_parse(&ctx, buf_view(&text), &in), 0);
    assert_int_equal(in.n, 2);
    assert_string_equal(in.records[0].digest, "ab");
    assert_int_equal(state_find(&in, "p/s/v/1/0")->port, 20000);
    assert_null(state_find(&in, "nginx"));
}

static void a_damaged_state_is_told_and_never_believed(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{\"processes\": 1}",
        "{\"processes\": [{\"name\": \"a\"}]}",
        "{\"processes\": [{\"name\":\"a\",\"pid\":1,\"startTime\":1,"
        "\"digest\":\"\"}]}",
        "{\"processes\": [{\"name\":\"a\",\"pid\":9,\"startTime\":1,"
        "\"digest\":\"\",\"port\":70000}]}",
    };
    struct state out;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ctx_err_clear(&ctx);
        assert_int_equal(state_parse(&ctx, bytes_str(bad[i]), &out),
                         ERR_CORRUPT);
        assert_int_equal(out.n, 0);
    }
    ctx_err_clear(&ctx);
}

static void a_digest_changes_with_every_word(void **state)
{
    const char *const a[] = {"prog", "x", NULL}, *const b[] = {"progx", NULL};
    const char *const none[] = {NULL};
    char one[STATE_DIGEST + 1], two[STATE_DIGEST + 1];

    (void)state;
    state_digest(a, none, one);
    state_digest(b, none, two);
    assert_string_not_equal(one, two);
    state_digest(none, a, two);
    assert_string_not_equal(one, two);
    state_digest(a, none, two);
    assert_string_equal(one, two);
}

/* ---- files and processes ---- */

static void a_tail_gives_whole_last_lines(void **state)
{
    static const struct {
        const char *text;
        int lines;
        const char *want;
    } cases[] = {
        {"", 3, ""},           {"a\nb\nc\n", 2, "b\nc"}, {"a\nb", 1, "b"},
        {"a\nb\n", 9, "a\nb"}, {"\n\n", 1, ""},
    };
    const char *path = arena_printf(&arena, "%s/log", test_dir());

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(
            files_replace(&ctx, path, bytes_str(cases[i].text), 0600), 0);
        assert_bytes(files_tail(&arena, path, cases[i].lines),
                     bytes_str(cases[i].want));
    }
    assert_int_equal(files_tail(&arena, "/no/such", 3).n, 0);
}

static void an_equal_file_is_left_alone(void **state)
{
    const char *path = arena_printf(&arena, "%s/sub/conf", test_dir());
    bool changed;

    (void)state;
    assert_int_equal(
        files_mkdirs(&ctx, arena_printf(&arena, "%s/sub", test_dir())), 0);
    assert_int_equal(files_update(&ctx, path, BYTES_LIT("one"), 0600, &changed),
                     0);
    assert_true(changed);
    assert_int_equal(files_update(&ctx, path, BYTES_LIT("one"), 0600, &changed),
                     0);
    assert_false(changed);
    assert_int_equal(files_update(&ctx, path, BYTES_LIT("o"), 0600, &changed),
                     0);
    assert_true(changed);
}

static void a_process_is_known_by_its_start_time(void **state)
{
    (void)state;
    assert_true(proc_start_time(getpid()) > 0);
    assert_int_equal(proc_start_time(-1), 0);
    assert_true(proc_memory(getpid()) > 0);
    assert_null(proc_find_program(&arena, "no-such-program-here"));
}

/* ---- haproxy's answers ---- */

static void the_load_of_a_backend_is_running_and_queued(void **state)
{
    struct bytes stat = BYTES_LIT("# pxname,svname,qcur,qmax,scur,smax\n"
                                  "edge,FRONTEND,,,9,9\n"
                                  "a:b:c:1,i0,1,1,2,2\n"
                                  "a:b:c:1,BACKEND,3,4,5,6\n");

    (void)state;
    assert_int_equal(haproxy_load(stat, "a:b:c:1"), 8);
    assert_int_equal(haproxy_load(stat, "a:b:c:2"), -1);
    assert_int_equal(haproxy_load(BYTES_NONE, "a:b:c:1"), -1);
    assert_bytes(haproxy_info(BYTES_LIT("Name: HAProxy\ndescription: 12ab\n"),
                              "description"),
                 BYTES_LIT("12ab"));
    assert_int_equal(haproxy_info(BYTES_LIT("description:\n"), "x").n, 0);
}

/* ---- the model and what is generated from it ---- */

/* A service's document: all of its traffic goes to version `id`. */
static json_t *with_traffic(const char *service, const char *id)
{
    return json_pack("{s:s, s:o}", "id", service, "split", split_whole(id));
}

static struct version *version(const char *json)
{
    json_t *doc = json_loads(json, 0, NULL);
    struct version *v = NULL;

    assert_non_null(doc);
    assert_int_equal(model_version_new(&ctx, doc, &v), 0);
    json_decref(doc);
    return v;
}

static void a_bad_version_names_the_member(void **state)
{
    static const struct {
        const char *json, *want;
    } cases[] = {
        {"{\"id\":\"A\",\"runtime\":\"python3\"}", "no version id"},
        {"{\"id\":\"ah-x\",\"runtime\":\"python3\"}", "reserved"},
        {"{\"id\":\"v-dot-w\",\"runtime\":\"python3\"}", "-dot-"},
        {"{\"id\":\"v\"}", "runtime"},
        {"{\"id\":\"v\",\"runtime\":\"go\",\"handlers\":[{}]}", "handlers[0]"},
        {"{\"id\":\"v\",\"runtime\":\"go\",\"handlers\":[{\"urlRegex\":\"/\","
         "\"staticFiles\":{\"path\":\"/etc\"}}]}",
         "must stay inside"},
        {"{\"id\":\"v\",\"runtime\":\"go\",\"manualScaling\":"
         "{\"instances\":-1}}",
         "from 1 to 1000"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *doc = json_loads(cases[i].json, 0, NULL);
        struct version *v;

        ctx_err_clear(&ctx);
        assert_int_equal(model_version_new(&ctx, doc, &v), ERR_INVALID);
        if (!strstr(ctx.err.message, cases[i].want))
            fail_msg("\"%s\" has no \"%s\"", ctx.err.message, cases[i].want);
        json_decref(doc);
    }
    ctx_err_clear(&ctx);
}

static void lists_are_ordered_and_draining_versions_hidden(void **state)
{
    struct model m = {0};
    struct app *b = model_app_add(&m, "b", json_object());
    struct app *a = model_app_add(&m, "a", json_object());
    struct service *s =
        model_service_add(a, "default", with_traffic("default", "v"));
    struct version *old = version("{\"id\":\"v\",\"runtime\":\"python3\","
                                  "\"deploymentId\":\"1\"}");
    struct version *new = version("{\"id\":\"v\",\"runtime\":\"python3\","
                                  "\"deploymentId\":\"2\"}");

    (void)state;
    model_version_add(s, new);
    model_version_add(s, old);
    old->draining = true;
    assert_ptr_equal(m.apps, a);
    assert_ptr_equal(s->versions, old);
    assert_ptr_equal(model_version(s, "v"), new);
    assert_ptr_equal(model_serving(s), new);
    new->draining = true;
    assert_null(model_serving(s));
    model_version_remove(old);
    model_version_remove(new);
    model_version_free(old);
    model_version_free(new);
    model_service_remove(s);
    model_app_remove(&m, a);
    model_app_remove(&m, b);
    assert_null(m.apps);
}

static bool has(const struct buf *b, const char *text)
{
    return memmem(b->p, b->n, text, strlen(text)) != NULL;
}

static void generated_files_depend_on_the_model_alone(void **state)
{
    struct control ctl = {.root = "/root/dir"};
    struct process process = {.port = 20007, .state = PROCESS_READY};
    struct instance in = {.index = 0, .process = &process};
    struct instance *list[] = {&in};
    struct buf one = BUF_IN(&arena), two = BUF_IN(&arena);
    struct buf web = BUF_IN(&arena);
    struct app *a;
    struct service *s;
    struct version *v;

    (void)state;
    settings_default(&ctl.settings);
    a = model_app_add(&ctl.model, "guest", json_object());
    s = model_service_add(a, "default", with_traffic("default", "v1"));
    v = version("{\"id\":\"v1\",\"runtime\":\"python3\",\"deploymentId\":"
                "\"7\",\"token\":\"secret\",\"handlers\":[{\"urlRegex\":"
                "\"/a\\\\.b(.*)\",\"login\":\"LOGIN_ADMIN\",\"staticFiles\":"
                "{\"path\":\"x\\\\1$\"}}]}");
    model_version_add(s, v);
    v->instances = list;
    v->n_instances = 1;
    haproxy_conf(&ctl, &one);
    haproxy_conf(&ctl, &two);
    nginx_conf(&ctl, &web);
    assert_bytes(buf_view(&one), buf_view(&two));
    assert_true(has(&one, "backend guest:default:v1:7\n"));
    assert_true(has(&one, "server i0 127.0.0.1:20007 maxconn 10 check"));
    assert_true(has(&one, "\"secret.%[var(txn.request)]\""));
    assert_true(has(&web, "location ~ \"^/\\\\.guest/default/v1:(?=/)"
                          "(?:/a\\\\.b(.*))\\\\z\" {"));
    assert_true(has(&web, "auth_request /_appscale_auth_admin;"));
    assert_true(
        has(&web, "set $appscale_file \"/x${appscale_1}${appscale_dollar}\";"));
    assert_true(has(&web, "server_name guest.localhost *.guest.localhost "));
    assert_true(has(&web, " guest/default/v1 guest:default:v1:7;"));
    assert_false(has(&web, "secret"));
    v->instances = NULL;
    v->n_instances = 0;
    model_version_remove(v);
    model_version_free(v);
    model_service_remove(s);
    model_app_remove(&ctl.model, a);
}

static void tasks_without_a_target_follow_the_dispatch_rules(void **state)
{
    static const char rules[] =
        "{\"dispatchRules\":[{\"domain\":\"*\",\"path\":\"/work*\","
        "\"service\":\"worker\"},{\"domain\":\"a-dot-b.c\",\"path\":"
        "\"/it's\",\"service\":\"worker\"},{\"domain\":\"*.c\",\"path\":"
        "\"/*\",\"service\":\"asleep\"},{\"service\":\"nothing\"}]}";
    struct model m = {0};
    struct app *a = model_app_add(&m, "p", json_loads(rules, 0, NULL));
    struct service *worker =
        model_service_add(a, "worker", with_traffic("worker", "w"));
    struct service *asleep =
        model_service_add(a, "asleep", with_traffic("asleep", "s"));
    struct version *w = version("{\"id\":\"w\",\"runtime\":\"python3\","
                                "\"deploymentId\":\"1\"}");
    struct version *z = version("{\"id\":\"s\",\"runtime\":\"python3\","
                                "\"deploymentId\":\"2\","
                                "\"servingStatus\":\"STOPPED\"}");
    struct buf out = BUF_IN(&arena);

    (void)state;
    model_version_add(worker, w);
    model_version_add(asleep, z);
    haproxy_dispatch_rules(a, &out);
#define APP "if { var(txn.app) -m str p } { var(txn.dispatched) -m bool }"
    assert_string_equal(
        buf_cstr(&out),
        "    use_backend p:worker:w:1 " APP " { path -m beg -- '/work' }\n"
        "    use_backend p:worker:w:1 " APP
        " { var(txn.host) -m str -- 'a.b.c' } { path -m str -- '/it'\\''s' }\n"
        "    use_backend appscale-stopped " APP
        " { var(txn.host) -m end -- '.c' } { path -m beg -- '/' }\n");
#undef APP
    /* And so do the platform's own requests, which name none either. */
    assert_ptr_equal(model_dispatched(a, "x", bytes_str("/work/1")), worker);
    assert_ptr_equal(model_dispatched(a, "A-dot-b.c", bytes_str("/it's")),
                     worker);
    assert_ptr_equal(model_dispatched(a, "a-dot-b.c", bytes_str("/it's/")),
                     asleep);
    assert_ptr_equal(
        model_dispatched(a, "x.c", bytes_str("/_ah/queue/deferred")), asleep);
    assert_null(model_dispatched(a, "x.c", bytes_str("/_ah/start")));
    assert_null(model_dispatched(a, "c", bytes_str("/wor")));
    model_version_remove(w);
    model_version_remove(z);
    model_version_free(w);
    model_version_free(z);
    model_service_remove(worker);
    model_service_remove(asleep);
    model_app_remove(&m, a);
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ends_in_a_row_wait_twice_as_long_up_to_30_s),
        TEST(what_worked_is_away_no_longer_than_it_was_there),
        TEST(what_never_worked_is_not_waited_for),
        TEST(a_long_run_clears_the_slate),
        TEST(a_state_reads_back_as_it_was_written),
        TEST(a_damaged_state_is_told_and_never_believed),
        TEST(a_digest_changes_with_every_word),
        TEST(a_tail_gives_whole_last_lines),
        TEST(an_equal_file_is_left_alone),
        TEST(a_process_is_known_by_its_start_time),
        TEST(the_load_of_a_backend_is_running_and_queued),
        TEST(a_bad_version_names_the_member),
        TEST(lists_are_ordered_and_draining_versions_hidden),
        TEST(generated_files_depend_on_the_model_alone),
        TEST(tasks_without_a_target_follow_the_dispatch_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
