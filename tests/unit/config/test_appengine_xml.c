/* appengine-web.xml: the Version it becomes, its handlers, every finding. */
#include "config/appengine_xml.h"

#include "base/files.h"
#include "test.h"

#include <stdlib.h>

static struct arena arena;
static struct ctx ctx;

static int setup(void **state)
{
    arena = (struct arena)ARENA_INIT;
    ctx_init(&ctx, &arena);
    return 0;
}

static int teardown(void **state)
{
    arena_release(&arena);
    return 0;
}

#define ROOT "<appengine-web-app xmlns='http://appengine.google.com/ns/1.0'>\n"
#define END  "</appengine-web-app>"

static int parse(const char *war, const char *inside, struct appyaml *out)
{
    const char *text = arena_printf(&arena, ROOT "%s" END, inside);

    return appengine_xml_parse(&ctx, "a.xml", war, bytes_str(text), out);
}

static json_t *must_parse(const char *war, const char *inside,
                          struct appyaml *out)
{
    int rc = parse(war, inside, out);

    if (rc)
        fail_msg("%s", ctx_err_text(&ctx, rc));
    return out->json;
}

/* Compare without `handlers`, which has tests of its own. */
static void it_becomes_the_version_that_app_yaml_would(void **state)
{
    struct appyaml app, want;
    json_t *got = must_parse(
        "",
        "<application>shop</application><service>api</service>\n"
        "<version>v1</version><runtime>java17</runtime>\n"
        "<instance-class>B4</instance-class><threadsafe>true</threadsafe>\n"
        "<app-engine-apis>true</app-engine-apis>\n"
        "<entrypoint>java -jar x.jar</entrypoint>\n"
        "<env-variables><env-var name='A' value=' 1'/>"
        "<env-var name='B' value=''/></env-variables>\n"
        "<build-env-variables><build-env-var name='C' value='x'/>"
        "</build-env-variables>\n"
        "<basic-scaling><max-instances>3</max-instances>"
        "<idle-timeout>10m</idle-timeout></basic-scaling>\n"
        "<inbound-services><service>mail</service></inbound-services>\n"
        "<system-properties><property name='p' value='q'/>"
        "</system-properties>\n"
        "<sessions-enabled>true</sessions-enabled>\n",
        &app);
    int rc = appyaml_parse(
        &ctx, "app.yaml",
        BYTES_LIT("application: shop\nservice: api\nversion: v1\n"
                  "runtime: java17\ninstance_class: B4\nthreadsafe: true\n"
                  "app_engine_apis: true\nentrypoint: java -jar x.jar\n"
                  "env_variables: {A: '1', B: ''}\n"
                  "build_env_variables: {C: x}\n"
                  "basic_scaling: {max_instances: 3, idle_timeout: 10m}\n"
                  "inbound_services: [mail, warmup]\n"),
        &want);

    if (rc)
        fail_msg("%s", ctx_err_text(&ctx, rc));
    assert_string_equal(app.project, "shop");
    assert_string_equal(app.service, "api");
    assert_string_equal(app.version, "v1");
    json_object_del(got, "handlers");
    json_object_del(want.json, "handlers");
    assert_true(json_equal(got, want.json));
}

static const char *member(const json_t *handler, const char *name)
{
    const json_t *v = json_object_get(handler, name);

    if (!v)
        v = json_object_get(json_object_get(handler, "staticFiles"), name);
    return json_string_value(v);
}

static void static_files_become_handlers_in_order(void **state)
{
    struct appyaml app;
    const json_t *list = json_object_get(
        must_parse("src/main/webapp/",
                   "<runtime>java17</runtime>\n"
                   "<public-root>/pub</public-root>\n"
                   "<static-files>\n"
                   "<include path='/img/**.png' expiration='1d 2h'>"
                   "<http-header name='X-A' value='b'/></include>\n"
                   "<include path='/a*(1)'/>\n"
                   "<exclude path='/img/raw/**'/>\n"
                   "</static-files>",
                   &app),
        "handlers");
    const json_t *one = json_array_get(list, 0);
    const json_t *files = json_object_get(one, "staticFiles");

    assert_int_equal(json_array_size(list), 3);
#define NOT "/(?!WEB-INF/|META-INF/|.*\\.jspx?$|img/raw/.*$)"
    assert_string_equal(member(one, "urlRegex"), NOT "(img/.*\\.png)");
    assert_string_equal(member(one, "path"), "src/main/webapp/pub/\\1");
    assert_string_equal(member(one, "expiration"), "93600s");
    assert_true(json_is_true(json_object_get(files, "requireMatchingFile")));
    assert_true(json_is_true(json_object_get(files, "applicationReadable")));
    assert_string_equal(json_string_value(json_object_get(
                            json_object_get(files, "httpHeaders"), "X-A")),
                        "b");
    assert_string_equal(member(json_array_get(list, 1), "urlRegex"),
                        NOT "(a[^/]*\\(1\\))");
#undef NOT
    assert_string_equal(member(json_array_get(list, 2), "urlRegex"), "/.*");
    assert_null(member(json_array_get(list, 2), "path"));
}

static void without_an_include_every_file_is_static(void **state)
{
    struct appyaml app;
    const json_t *list = json_object_get(
        must_parse("", "<runtime>java17</runtime>", &app), "handlers");

    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(member(json_array_get(list, 0), "urlRegex"),
                        "/(?!WEB-INF/|META-INF/|.*\\.jspx?$)(.*)");
    assert_string_equal(member(json_array_get(list, 0), "path"), "\\1");
}

static void warmup_is_wanted_unless_the_file_says_no(void **state)
{
    static const struct {
        const char *text;
        size_t want;
    } cases[] = {
        {"<runtime>java17</runtime>", 1},
        {"<runtime>java17</runtime><inbound-services><service>warmup"
         "</service></inbound-services>",
         1},
        {"<runtime>java17</runtime><warmup-requests-enabled>false"
         "</warmup-requests-enabled>",
         0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct appyaml app;
        json_t *got = must_parse("", cases[i].text, &app);

        assert_int_equal(
            json_array_size(json_object_get(got, "inboundServices")),
            cases[i].want);
    }
}

static const struct bad_case {
    const char *label;
    const char *text; /* in the root, from line 2 */
    const char *want;
} bad_cases[] = {
    {"no runtime", "",
     "a.xml:1:1: You must specify a \"runtime\" field for "
     "non-vm applications."},
    {"unknown", "<runtime>java17</runtime>\n<runtme/>",
     "a.xml:3:1: Unexpected element <runtme> in <appengine-web-app>."},
    {"twice", "<runtime>java17</runtime>\n<runtime>java21</runtime>",
     "a.xml:3:1: <runtime> is there twice."},
    {"class", "<runtime>java17</runtime>\n<instance-class>F9</instance-class>",
     "a.xml:3:1: Unable to assign value 'F9' to attribute "
     "'instance_class': "},
    {"no path",
     "<runtime>java17</runtime>\n<static-files><include/>"
     "</static-files>",
     "a.xml:3:15: <include> needs path=\"...\"."},
    {"no value",
     "<runtime>java17</runtime>\n<env-variables><env-var "
     "name='A'/></env-variables>",
     "a.xml:3:16: <env-var> needs name=\"...\" and value=\"...\"."},
    {"unknown below",
     "<runtime>java17</runtime>\n<automatic-scaling>"
     "<most>1</most></automatic-scaling>",
     "a.xml:3:20: Unexpected attribute 'most' for object of type "
     "AutomaticScaling."},
};

static void every_mistake_is_named_with_its_place(void **state)
{
    for (size_t i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++) {
        const struct bad_case *c = &bad_cases[i];
        struct appyaml app;
        int rc = parse("", c->text, &app);
        const char *why = ctx_err_text(&ctx, rc);

        if (rc != ERR_INVALID || strncmp(why, c->want, strlen(c->want)) != 0)
            fail_msg("%s: %s", c->label, why);
        ctx_err_clear(&ctx);
    }
}

static void a_war_is_the_folder_or_that_of_a_maven_project(void **state)
{
    char dir[] = "/tmp/appengine-xml.XXXXXX";
    const char *inner, *file;
    struct appyaml app;

    assert_non_null(mkdtemp(dir));
    assert_null(appengine_xml_war(&arena, dir));
    assert_int_equal(appengine_xml_load(&ctx, dir, &app), ERR_NOT_FOUND);
    inner = arena_printf(&arena, "%s/src/main/webapp", dir);
    file = arena_printf(&arena, "%s/" APPENGINE_XML, inner);
    assert_int_equal(
        files_mkdirs(&ctx, arena_printf(&arena, "%s/WEB-INF", inner)), 0);
    assert_string_equal(appengine_xml_war(&arena, dir), inner);
    assert_int_equal(
        files_replace(&ctx, file,
                      BYTES_LIT(ROOT "<runtime>java17</runtime>" END), 0600),
        0);
    assert_int_equal(appengine_xml_load(&ctx, dir, &app), 0);
    assert_string_equal(
        member(json_array_get(json_object_get(app.json, "handlers"), 0),
               "path"),
        "src/main/webapp/\\1");
    files_remove_tree(dir);
}

#define T(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(it_becomes_the_version_that_app_yaml_would),
        T(static_files_become_handlers_in_order),
        T(without_an_include_every_file_is_static),
        T(warmup_is_wanted_unless_the_file_says_no),
        T(every_mistake_is_named_with_its_place),
        T(a_war_is_the_folder_or_that_of_a_maven_project),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
