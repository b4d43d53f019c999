/* Splits of traffic: what is refused, what lies between two, what is kept. */
#include "test.h"

#include "control/split.h"

static struct arena arena;
static struct ctx ctx;
static struct model model;
static struct service *service;

static void add_version(const char *id, const char *more)
{
    json_t *doc = json_loads(
        arena_printf(&arena, "{\"id\": \"%s\", \"runtime\": \"python311\"%s}",
                     id, more),
        0, NULL);
    struct version *v;

    assert_int_equal(model_version_new(&ctx, doc, &v), 0);
    json_decref(doc);
    model_version_add(service, v);
}

static int start(void **state)
{
    struct app *app;

    (void)state;
    ctx_init(&ctx, &arena);
    model = (struct model){0};
    app = model_app_add(&model, "p", json_object());
    service =
        model_service_add(app, "default", json_pack("{s:s}", "id", "default"));
    add_version("a", "");
    add_version("b", "");
    add_version("c", "");
    add_version("off", ", \"servingStatus\": \"STOPPED\", \"manualScaling\": "
                       "{\"instances\": 1}");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    while (service->versions) {
        struct version *v = service->versions;

        model_version_remove(v);
        model_version_free(v);
    }
    model_service_remove(service);
    model_app_remove(&model, model.apps);
    arena_release(&arena);
    return 0;
}

static const char *text_of(json_t *o)
{
    char *text =
        json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(6));
    const char *own = arena_strdup(&arena, text);

    free(text);
    json_decref(o);
    return own;
}

/* The split that is kept, or the story of why none is. */
static const char *check(const char *text)
{
    json_t *in = json_loads(text, 0, NULL), *out = NULL;
    int rc;

    assert_non_null(in);
    ctx_err_clear(&ctx);
    rc = split_check(&ctx, service, in, &out);
    json_decref(in);
    return rc ? ctx.err.message : text_of(out);
}

static void a_split_is_checked_and_completed(void **state)
{
    static const struct {
        const char *in, *want;
    } cases[] = {
        {"{\"allocations\":{\"a\":1}}", "{\"allocations\":{\"a\":1}}"},
        {"{\"allocations\":{\"a\":1.0}}", "{\"allocations\":{\"a\":1}}"},
        {"{\"shardBy\":\"COOKIE\",\"allocations\":{\"a\":1}}",
         "{\"allocations\":{\"a\":1},\"shardBy\":\"COOKIE\"}"},
        {"{\"allocations\":{\"a\":0.1,\"b\":0.2,\"c\":0.7}}",
         "{\"allocations\":{\"a\":0.1,\"b\":0.2,\"c\":0.7},\"shardBy\":"
         "\"IP\"}"},
        {"{\"shardBy\":\"UNSPECIFIED\",\"allocations\":{\"a\":0.5,\"b\":0.5}}",
         "{\"allocations\":{\"a\":0.5,\"b\":0.5},\"shardBy\":\"IP\"}"},
        {"{\"shardBy\":\"RANDOM\",\"allocations\":{\"a\":0.001,\"b\":0.999}}",
         "{\"allocations\":{\"a\":0.001,\"b\":0.999},\"shardBy\":\"RANDOM\"}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(check(cases[i].in), cases[i].want);
}

static void a_bad_split_is_refused_with_what_and_why(void **state)
{
    static const struct {
        const char *in, *want;
    } cases[] = {
        {"{}", "must name the versions"},
        {"{\"allocations\":{}}", "must name the versions"},
        {"{\"allocations\":{\"a\":0.5}}", "the shares add up to 0.5"},
        {"{\"allocations\":{\"a\":0.6,\"b\":0.6}}", "the shares add up to 1.2"},
        {"{\"allocations\":{\"x\":1}}", "no version \"x\""},
        {"{\"allocations\":{\"off\":1}}", "version off is stopped"},
        {"{\"allocations\":{\"a\":0,\"b\":1}}", "the share of a"},
        {"{\"allocations\":{\"a\":-1,\"b\":2}}", "the share of a"},
        {"{\"allocations\":{\"a\":\"1\"}}", "the share of a"},
        {"{\"allocations\":{\"a\":1e300}}", "the share of a"},
        {"{\"allocations\":{\"a\":0.125,\"b\":0.875}}", "at most 2 decimals"},
        {"{\"shardBy\":\"COOKIE\",\"allocations\":{\"a\":0.0005,\"b\":0.9995}}",
         "at most 3 decimals"},
        {"{\"shardBy\":\"MOON\",\"allocations\":{\"a\":1}}",
         "split.shardBy is \"MOON\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_non_null(strstr(check(cases[i].in), cases[i].want));
}

static void steps_lead_from_one_split_to_another(void **state)
{
    json_t *from = split_whole("a");
    json_t *to = json_loads("{\"shardBy\":\"COOKIE\",\"allocations\":"
                            "{\"b\":0.333,\"c\":0.667}}",
                            0, NULL);

    (void)state;
    for (int step = 0; step <= 7; step++) {
        json_t *at = split_between(from, to, step, 7), *share;
        const char *id;
        double sum = 0;

        json_object_foreach(json_object_get(at, "allocations"), id, share)
        {
            double thousandths = json_number_value(share) * 1000;

            assert_true(thousandths > 0.5);
            assert_float_equal(thousandths, (int)(thousandths + 0.5), 1e-6);
            sum += json_number_value(share);
        }
        assert_float_equal(sum, 1, 1e-9);
        assert_float_equal(split_share(at, "a"), 1 - step / 7.0, 0.001);
        json_decref(at);
    }
    assert_string_equal(text_of(split_between(from, to, 7, 7)),
                        "{\"allocations\":{\"b\":0.333,\"c\":0.667},"
                        "\"shardBy\":\"COOKIE\"}");
    json_decref(from);
    json_decref(to);
}

static void change(const char *id)
{
    json_t *doc = split_doc(service, split_whole(id));

    json_decref(service->doc);
    service->doc = doc;
}

static const char *former(void)
{
    json_t *split = split_former(service);

    return split ? text_of(split) : "none";
}

static void a_service_remembers_who_had_its_traffic(void **state)
{
    (void)state;
    assert_string_equal(former(), "none");
    change("a");
    assert_string_equal(former(), "none");
    json_object_set_new(service->doc, "migration", json_object());
    json_object_set_new(service->doc, "scaling", json_object());
    change("b");
    assert_null(json_object_get(service->doc, "migration"));
    assert_non_null(json_object_get(service->doc, "scaling"));
    assert_string_equal(former(), "{\"allocations\":{\"a\":1}}");
    change("b"); /* no change: nothing is remembered */
    change("off");
    change("c"); /* one that is stopped is passed over */
    assert_string_equal(former(), "{\"allocations\":{\"b\":1}}");
    for (int i = 0; i < 2 * SPLIT_HISTORY_MAX; i++)
        change(i % 2 ? "a" : "b");
    assert_int_equal(json_array_size(json_object_get(service->doc, "history")),
                     SPLIT_HISTORY_MAX);
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, start, stop)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_split_is_checked_and_completed),
        TEST(a_bad_split_is_refused_with_what_and_why),
        TEST(steps_lead_from_one_split_to_another),
        TEST(a_service_remembers_who_had_its_traffic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
