/*
 * app.yaml: every finding with its place and reason, and the Version that a
 * good file becomes.
 */
#include "config/appscalefile.h"
#include "config/appyaml.h"
#include "config/regex.h"
#include "config/runtimes.h"
#include "test.h"

#include <sys/stat.h>

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

static void expect_story(const char *label, const char *want)
{
    const char *story = ctx_err_text(&ctx, ERR_INVALID);

    if (!strstr(story, want))
        fail_msg("%s: wanted \"%s\"\n      in \"%s\"", label, want, story);
}

#define RUNTIME "runtime: python311\n"

/* `want` opens with the place, which pins line and column. */
static const struct bad_case {
    const char *label;
    const char *text;
    const char *want;
} bad_cases[] = {
    {"unknown attribute", RUNTIME "foo: 1\n",
     "app.yaml:2:1: Unexpected attribute 'foo' for object of type "
     "AppInfoExternal. Expected one of: application, project, "},
    {"no runtime", "service: web\n",
     "app.yaml:1:1: You must specify a \"runtime\" field for non-vm "
     "applications."},
    {"bad service", RUNTIME "service: My_Service\n",
     "app.yaml:2:10: Unable to assign value 'My_Service' to attribute "
     "'service': Value 'My_Service' for service does not match expression "
     "'^(?:^(?!-)[a-z\\d\\-]{0,62}[a-z\\d]$)$'"},
    {"version with -dot-", RUNTIME "version: a-dot-b\n",
     "app.yaml:2:10: Version \"a-dot-b\" cannot contain the string \"-dot-\""},
    {"builtin version", RUNTIME "version: ah-builtin-x\n",
     "cannot start with \"ah-builtin\" because it is a reserved version name "
     "prefix."},
    {"reserved version", RUNTIME "version: latest\n",
     "app.yaml:2:10: Version \"latest\" is a name that App Engine reserves."},
    {"url with ^", RUNTIME "handlers:\n- url: ^/a\n  script: auto\n",
     "app.yaml:3:8: Unable to assign value '^/a' to attribute 'url': Value "
     "'^/a' for url does not match expression "
     "'^(?:(?!\\^)/.*|\\..*|(\\(.).*(?!\\$).)$'"},
    {"url that is no pattern",
     RUNTIME "handlers:\n- url: /(a\n  script: auto\n",
     "app.yaml:3:8: Value '/(a' for url does not compile: "},
    {"handler without a kind", RUNTIME "handlers:\n- url: /a\n",
     "app.yaml:3:3: Unknown url handler type"},
    {"no upload", RUNTIME "handlers:\n- url: /a\n  static_files: a.txt\n",
     "app.yaml:3:3: Missing \"upload\" attribute for URL \"/a\"."},
    {"two kinds",
     RUNTIME "handlers:\n- url: /a\n  static_dir: a\n"
             "  script: auto\n",
     "app.yaml:5:3: Unexpected attribute \"script\" for mapping type "
     "static_dir."},
    {"reserved header",
     RUNTIME "handlers:\n- url: /a\n  static_dir: a\n  http_headers:\n"
             "    X-Appengine-Foo: a\n",
     "app.yaml:6:5: HTTP header names that begin with X-Appengine are "
     "reserved."},
    {"request header",
     RUNTIME "handlers:\n- url: /a\n  static_dir: a\n  http_headers:\n"
             "    Host: a\n",
     "'Host' can only be used in HTTP requests, not responses."},
    {"disallowed header",
     RUNTIME "handlers:\n- url: /a\n  static_dir: a\n  http_headers:\n"
             "    Server: a\n",
     "Server is a disallowed header."},
    {"mime type twice",
     RUNTIME "handlers:\n- url: /a\n  static_dir: a\n  mime_type: a/b\n"
             "  http_headers:\n    content-type: a/b\n",
     "app.yaml:7:5: http_header specified a Content-Type header of 'a/b'"},
    {"login", RUNTIME "handlers:\n- url: /a\n  script: auto\n  login: maybe\n",
     "app.yaml:5:10: Unable to assign value 'maybe' to attribute 'login': "
     "Value 'maybe' for login not in {'optional', 'required', 'admin'}."},
    {"redirect code",
     RUNTIME "handlers:\n- url: /a\n  script: auto\n"
             "  redirect_http_response_code: 308\n",
     "Value '308' for redirect_http_response_code not in {'301', "},
    {"secure: yes",
     RUNTIME "handlers:\n- url: /\n  script: auto\n"
             "  secure: yes\n",
     "app.yaml:5:11: Unable to assign value 'yes' to attribute 'secure'"},
    {"expiration", RUNTIME "default_expiration: soon\n",
     "app.yaml:2:21: Unable to assign value 'soon'"},
    {"two scalings",
     RUNTIME "manual_scaling: {instances: 1}\n"
             "basic_scaling: {max_instances: 1}\n",
     "app.yaml:3:1: There may be only one of 'automatic_scaling', "
     "'manual_scaling', or 'basic_scaling'."},
    {"no instances", RUNTIME "manual_scaling:\n  instances: 0\n",
     "app.yaml:3:14: Unable to assign value '0' to attribute 'instances': "
     "Value '0' for instances does not match expression "
     "'^(?:^[1-9][\\d]*$)$'"},
    {"latency without unit",
     RUNTIME "automatic_scaling:\n  min_pending_latency: 5\n",
     "does not match expression "
     "'^(?:^(\\d+((\\.\\d{1,3})?s|ms)|automatic)$)$'"},
    {"idle timeout in hours",
     RUNTIME "basic_scaling:\n  max_instances: 1\n  idle_timeout: 5h\n",
     "app.yaml:4:17: Unable to assign value '5h' to attribute "
     "'idle_timeout': Value '5h' for idle_timeout does not match expression "
     "'^(?:^[\\d]+(s|m)$)$'"},
    {"utilization above",
     RUNTIME "automatic_scaling:\n"
             "  target_cpu_utilization: 1.5\n",
     "Value '1.5' for target_cpu_utilization is out of range 0.5 - 0.95"},
    {"negative instances",
     RUNTIME "automatic_scaling:\n"
             "  max_instances: -1\n",
     "app.yaml:3:18: Unable to assign value '-1'"},
    {"min over max",
     RUNTIME "automatic_scaling:\n  min_instances: 3\n"
             "  max_instances: 2\n",
     "app.yaml:3:18: min_instances (3) is larger than max_instances (2)."},
    {"unknown class", RUNTIME "instance_class: Z9\n",
     "app.yaml:2:17: Unable to assign value 'Z9' to attribute "
     "'instance_class'"},
    {"class of the other scaling", RUNTIME "instance_class: B2\n",
     "app.yaml:2:17: instance_class B2 does not go with automatic scaling"},
    {"threadsafe", RUNTIME "threadsafe: perhaps\n",
     "app.yaml:2:13: Unable to assign value 'perhaps'"},
    {"key twice", RUNTIME "service: a\nruntime: go122\n",
     "app.yaml:3:1: Duplicate attribute 'runtime'."},
    {"application and project", RUNTIME "application: a\nproject: a\n",
     "Specify one of \"application: name\" or \"project: name\""},
    {"service and module", RUNTIME "service: a\nmodule: a\n",
     "Only one of the two fields [service] (preferred) and [module] "
     "(deprecated) may be set."},
    {"libraries", RUNTIME "libraries:\n- name: flask\n  version: latest\n",
     "libraries entries are only supported by the \"python27\" runtime"},
    {"inbound service", RUNTIME "inbound_services: [pigeon]\n",
     "app.yaml:2:20: Unable to assign value 'pigeon' to attribute "
     "'inbound_services'"},
    {"a text for a list", RUNTIME "handlers: none\n",
     "app.yaml:2:11: Value 'none' for handlers should be a sequence but is "
     "not."},
    {"a list for a text", RUNTIME "service: [a]\n",
     "app.yaml:2:10: service must be a text or number, but here is a list."},
    {"variable name", RUNTIME "env_variables:\n  1A: x\n",
     "app.yaml:3:3: Value '1A' for key in env_variables"},
    {"position",
     RUNTIME "handlers:\n- url: /\n  script: auto\n"
             "  position: head\n",
     "app.yaml:5:3: The position attribute was specified for this handler"},
    {"flexible", RUNTIME "env: flex\n",
     "app.yaml:2:6: env 'flex' is the flexible environment"},
    {"skip_files", RUNTIME "skip_files:\n- a\n- (b\n",
     "app.yaml:4:3: Unable to assign value '(b' to attribute 'skip_files'"},
    {"missing include", RUNTIME "includes:\n- nowhere.yaml\n",
     "app.yaml:3:3: File nowhere.yaml listed in includes directive of "
     "app.yaml could not be found."},
    {"empty", "", "app.yaml:1:1: The file is empty"},
    {"only a comment", "# nothing\n", "app.yaml:1:1: The file is empty"},
    {"two documents", RUNTIME "---\nruntime: go122\n",
     "app.yaml:2:1: Only one document may stand in this file."},
    {"a list", "- a\n", "app.yaml:1:1: An object of type AppInfoExternal"},
    {"an alias", "runtime: &a python311\nservice: *a\n",
     "app.yaml:2:10: Aliases (*name) are not supported"},
    {"bad yaml", RUNTIME "  x: [\n", "app.yaml:2:4: Not valid YAML: "},
    {"a tab", RUNTIME "handlers:\n\t- url: /\n", "app.yaml:3:1: Not valid"},
    {"bad utf-8", RUNTIME "service: \xff\n", "Not valid YAML: "},
    {"a zero byte in a text", RUNTIME "service: \"a\\0b\"\n",
     "app.yaml:2:10: A text may not contain a zero byte."},
};

static void a_bad_file_is_refused_with_place_and_reason(void **state)
{
    for (size_t i = 0; i < sizeof(bad_cases) / sizeof(*bad_cases); i++) {
        const struct bad_case *c = &bad_cases[i];
        struct appyaml app;

        ctx_err_clear(&ctx);
        if (appyaml_parse(&ctx, "app.yaml", bytes_str(c->text), &app) !=
            ERR_INVALID)
            fail_msg("%s: accepted", c->label);
        expect_story(c->label, c->want);
    }
}

static void every_finding_is_listed_at_once(void **state)
{
    struct appyaml app;

    assert_int_equal(appyaml_parse(&ctx, "app.yaml",
                                   BYTES_LIT("foo: 1\nservice: A\nbar: 2\n"),
                                   &app),
                     ERR_INVALID);
    expect_story("first", "app.yaml:1:1: Unexpected attribute 'foo'");
    expect_story("second", "\napp.yaml:2:10: Unable to assign value 'A'");
    expect_story("third", "\napp.yaml:3:1: Unexpected attribute 'bar'");
}

static void a_hundred_handlers_pass_and_one_more_does_not(void **state)
{
    struct buf text = BUF_HEAP;
    struct appyaml app;

    buf_add_str(&text, RUNTIME "handlers:\n");
    for (int i = 0; i < APPYAML_HANDLERS_MAX; i++)
        buf_printf(&text, "- url: /%d\n  script: auto\n", i);
    assert_int_equal(appyaml_parse(&ctx, "app.yaml", buf_view(&text), &app), 0);
    buf_add_str(&text, "- url: /last\n  script: auto\n");
    assert_int_equal(appyaml_parse(&ctx, "app.yaml", buf_view(&text), &app),
                     ERR_INVALID);
    expect_story("101", "Found more than 100 URLMap entries in application "
                        "configuration");
    buf_release(&text);
}

static void nesting_is_bounded(void **state)
{
    struct buf text = BUF_HEAP;
    struct appyaml app;

    for (int i = 0; i < 10000; i++)
        buf_add_str(&text, "[");
    assert_int_equal(appyaml_parse(&ctx, "app.yaml", buf_view(&text), &app),
                     ERR_INVALID);
    buf_release(&text);
}

/* Parse a good file and compare its Version with `want`, key order aside. */
static void expect_version(const char *text, const char *want)
{
    json_t *wanted = json_loads(want, 0, NULL);
    struct appyaml app;

    if (appyaml_parse(&ctx, "app.yaml", bytes_str(text), &app) != 0)
        fail_msg("refused: %s", ctx_err_text(&ctx, ERR_INVALID));
    assert_non_null(wanted);
    if (!json_equal(wanted, app.json)) {
        char *got = json_dumps(app.json, JSON_INDENT(1) | JSON_SORT_KEYS);

        print_error("%s\n", got);
        free(got);
        fail_msg("not the Version that was wanted");
    }
    json_decref(wanted);
}

static void a_file_becomes_a_version(void **state)
{
    expect_version(
        "runtime: python311\n"
        "app_engine_apis: true\n"
        "entrypoint: gunicorn -b :$PORT main:app\n"
        "instance_class: F2\n"
        "env_variables: {A: 1, B: 'two', C: true}\n"
        "inbound_services: [warmup, mail]\n"
        "default_expiration: 1d 2h\n"
        "automatic_scaling:\n"
        "  min_instances: 1\n"
        "  max_instances: 5\n"
        "  min_idle_instances: automatic\n"
        "  max_idle_instances: 2\n"
        "  target_cpu_utilization: 0.75\n"
        "  min_pending_latency: 30ms\n"
        "  max_pending_latency: automatic\n"
        "  max_concurrent_requests: 50\n",
        "{\"env\":\"standard\",\"runtime\":\"python311\","
        "\"appEngineApis\":true,"
        "\"entrypoint\":{\"shell\":\"gunicorn -b :$PORT main:app\"},"
        "\"instanceClass\":\"F2\","
        "\"envVariables\":{\"A\":\"1\",\"B\":\"two\",\"C\":\"true\"},"
        "\"inboundServices\":[\"INBOUND_SERVICE_WARMUP\","
        "\"INBOUND_SERVICE_MAIL\"],"
        "\"defaultExpiration\":\"93600s\",\"handlers\":[],"
        "\"automaticScaling\":{\"maxIdleInstances\":2,"
        "\"minPendingLatency\":\"0.030s\",\"maxConcurrentRequests\":50,"
        "\"standardSchedulerSettings\":{\"minInstances\":1,"
        "\"maxInstances\":5,\"targetCpuUtilization\":0.75}}}");
}

static void handlers_become_what_gcloud_sends(void **state)
{
    expect_version(
        RUNTIME "handlers:\n"
                "- url: /css\n  static_dir: static/css/\n"
                "  expiration: 10m\n  http_headers: {X-A: b}\n"
                "- url: /(.*\\.gif)$\n  static_files: img/\\1\n"
                "  upload: img/.*\\.gif\n  secure: always\n"
                "  redirect_http_response_code: 301\n"
                "- url: /admin/.*\n  script: auto\n  login: admin\n"
                "  auth_fail_action: unauthorized\n",
        "{\"env\":\"standard\",\"runtime\":\"python311\",\"handlers\":["
        "{\"urlRegex\":\"/css/(.*)\",\"staticFiles\":{"
        "\"path\":\"static/css/\\\\1\","
        "\"uploadPathRegex\":\"static/css/(.*)\",\"expiration\":\"600s\","
        "\"httpHeaders\":{\"X-A\":\"b\"}}},"
        "{\"urlRegex\":\"/(.*\\\\.gif)$\",\"securityLevel\":\"SECURE_ALWAYS\","
        "\"redirectHttpResponseCode\":\"REDIRECT_HTTP_RESPONSE_CODE_301\","
        "\"staticFiles\":{\"path\":\"img/\\\\1\","
        "\"uploadPathRegex\":\"img/.*\\\\.gif\"}},"
        "{\"urlRegex\":\"/admin/.*\",\"login\":\"LOGIN_ADMIN\","
        "\"authFailAction\":\"AUTH_FAIL_ACTION_UNAUTHORIZED\","
        "\"script\":{\"scriptPath\":\"auto\"}}]}");
}

static void basic_and_manual_scaling_carry_their_numbers(void **state)
{
    expect_version(RUNTIME "basic_scaling: {max_instances: 4, "
                           "idle_timeout: 10m}\n",
                   "{\"env\":\"standard\",\"runtime\":\"python311\","
                   "\"handlers\":[],\"basicScaling\":{\"maxInstances\":4,"
                   "\"idleTimeout\":\"600s\"}}");
    expect_version(RUNTIME "instance_class: B4\nmanual_scaling: "
                           "{instances: 3}\n",
                   "{\"env\":\"standard\",\"runtime\":\"python311\","
                   "\"handlers\":[],\"instanceClass\":\"B4\","
                   "\"manualScaling\":{\"instances\":3}}");
}

static void names_are_told_apart_from_partition_and_domain(void **state)
{
    struct appyaml app;

    assert_int_equal(
        appyaml_parse(&ctx, "app.yaml",
                      BYTES_LIT(RUNTIME "application: s~guest-book\n"
                                        "service: web\nversion: 1\n"),
                      &app),
        0);
    assert_string_equal(app.project, "guest-book");
    assert_string_equal(app.service, "web");
    assert_string_equal(app.version, "1");
    assert_null(app.skip_files);
}

/* ---- files ---- */

static char folder[64];

static int make_folder(void **state)
{
    strcpy(folder, "/tmp/test_config.XXXXXX");
    return mkdtemp(folder) ? setup(state) : -1;
}

static const char *put(const char *name, const char *text)
{
    const char *path = arena_printf(&arena, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    return path;
}

static int remove_folder(void **state)
{
    char line[96];

    snprintf(line, sizeof(line), "rm -rf %s", folder);
    teardown(state);
    return system(line);
}

static void
includes_put_their_handlers_first_and_their_variables_on_top(void **state)
{
    struct appyaml app;
    const char *path =
        put("app.yaml", RUNTIME "includes: [a.yaml, a.yaml]\n"
                                "env_variables: {X: app, Y: app}\n"
                                "handlers:\n- url: /own\n  script: auto\n");
    const json_t *all;

    put("a.yaml", "includes: [app.yaml.b]\nenv_variables: {X: inc}\n"
                  "skip_files: 'secret.*'\n"
                  "handlers:\n- url: /head\n  script: auto\n"
                  "- url: /tail\n  script: auto\n  position: tail\n");
    put("app.yaml.b", "handlers:\n- url: /deep\n  script: auto\n");
    if (appyaml_load(&ctx, path, &app) != 0)
        fail_msg("%s", ctx_err_text(&ctx, ERR_INVALID));
    all = json_object_get(app.json, "handlers");
    assert_int_equal(json_array_size(all), 4);
    for (size_t i = 0; i < 4; i++) {
        static const char *const want[] = {"/head", "/deep", "/own", "/tail"};

        assert_string_equal(json_string_value(json_object_get(
                                json_array_get(all, i), "urlRegex")),
                            want[i]);
    }
    all = json_object_get(app.json, "envVariables");
    assert_string_equal(json_string_value(json_object_get(all, "X")), "inc");
    assert_string_equal(json_string_value(json_object_get(all, "Y")), "app");
    assert_true(config_matches(app.skip_files, "secret.txt"));
    assert_true(config_matches(app.skip_files, "a/.git"));
    assert_false(config_matches(app.skip_files, "main.py"));
}

static void a_finding_in_an_include_names_that_file(void **state)
{
    struct appyaml app;
    const char *path = put("app.yaml", RUNTIME "includes: [a.yaml]\n");

    put("a.yaml", "runtime: go122\n");
    assert_int_equal(appyaml_load(&ctx, path, &app), ERR_INVALID);
    expect_story("include", "a.yaml:1:1: Unexpected attribute 'runtime' for "
                            "object of type AppInclude.");
}

static void a_missing_file_is_not_found(void **state)
{
    struct appyaml app;

    assert_int_equal(appyaml_load(&ctx, "/nowhere/app.yaml", &app),
                     ERR_NOT_FOUND);
}

static const struct bad_case beside_cases[] = {
    {"dispatch.yaml", "dispatch:\n- url: 1.2.3.4/*\n  service: a\n",
     "dispatch.yaml:2:8: Host may not match an ipv4 address '1.2.3.4'"},
    {"dispatch.yaml", "dispatch:\n- url: a.*.b/*\n  service: a\n",
     "dispatch.yaml:2:8: invalid host_pattern 'a.*.b'"},
    {"dispatch.yaml", "dispatch:\n- url: a.b\n  service: a\n",
     "dispatch.yaml:2:8: invalid url 'a.b'"},
    {"dispatch.yaml", "dispatch:\n- url: '*/a*b'\n  service: a\n",
     "dispatch.yaml:2:8: invalid path '/a*b'"},
    {"dispatch.yaml", "dispatch:\n- url: '*/a'\n",
     "dispatch.yaml:2:3: Missing required value \"service\"."},
    {"index.yaml", "indexes:\n- properties:\n  - name: a\n",
     "index.yaml:2:3: Missing required value \"kind\" of Index."},
    {"index.yaml",
     "indexes:\n- kind: A\n  properties:\n  - name: a\n"
     "    direction: up\n",
     "index.yaml:5:16: Unable to assign value 'up' to attribute 'direction'"},
    {"queue.yaml", "queue:\n- name: a\n  rate: fast\n",
     "queue.yaml:3:9: Unable to assign value 'fast' to attribute 'rate'"},
    {"queue.yaml", "queue:\n- name: a\n", "queue.yaml:2:3: Queue 'a' needs"},
    {"queue.yaml", "queue:\n- name: a\n  mode: pull\n  rate: 1/s\n",
     "queue.yaml:4:3: Rate must not be specified for pull queue 'a'."},
    {"cron.yaml", "cron:\n- url: tasks\n  schedule: every 1 hours\n",
     "cron.yaml:2:8: Unable to assign value 'tasks' to attribute 'url'"},
    {"cron.yaml", "cron:\n- url: /tasks\n",
     "cron.yaml:2:3: Missing required value \"schedule\" of CronEntry."},
};

static const struct appyaml_file *beside(const char *name)
{
    const struct appyaml_file *f = appyaml_files;

    while (f->name && strcmp(f->name, name) != 0)
        f++;
    assert_non_null(f->name);
    return f;
}

static void the_files_beside_it_are_checked_too(void **state)
{
    for (size_t i = 0; i < sizeof(beside_cases) / sizeof(*beside_cases); i++) {
        const struct bad_case *c = &beside_cases[i];
        struct bytes text;

        ctx_err_clear(&ctx);
        assert_int_equal(appyaml_file_load(&ctx, beside(c->label),
                                           put(c->label, c->text), &text),
                         ERR_INVALID);
        expect_story(c->text, c->want);
    }
}

static void good_files_beside_it_pass_as_they_are(void **state)
{
    static const struct {
        const char *name, *text;
    } good[] = {
        {"index.yaml", "indexes:\n\n# AUTOGENERATED\n\n- kind: Greeting\n"
                       "  ancestor: yes\n  properties:\n  - name: date\n"
                       "    direction: desc\n"},
        {"index.yaml", "indexes:\n"},
        {"queue.yaml", "total_storage_limit: 120M\nqueue:\n- name: default\n"
                       "  rate: 5/s\n  bucket_size: 5\n  retry_parameters:\n"
                       "    task_age_limit: 2d\n- name: p\n  mode: pull\n"},
        {"cron.yaml", "cron:\n- description: a\n  url: /x\n"
                      "  schedule: every 24 hours\n  target: web\n"},
        {"dispatch.yaml", "dispatch:\n- url: '*.example.com/a/*'\n"
                          "  service: a\n- url: '*/b'\n  module: b\n"},
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        struct bytes text;

        if (appyaml_file_load(&ctx, beside(good[i].name),
                              put(good[i].name, good[i].text), &text) != 0)
            fail_msg("%s", ctx_err_text(&ctx, ERR_INVALID));
        assert_true(bytes_eq_str(text, good[i].text));
    }
}

static const struct {
    const char *name, *instead;
} former_cases[] = {
    {"python", "python311"},
    {"go", "go122"},
    {"go1.9", "go122"},
    {"go1.21", "go122"},
    {"java8", "java17"},
    {"java", "java17"},
    {"nodejs8", "nodejs20"},
    {"nodejs", "nodejs20"},
    {"php55", "php83"},
    {"ruby", "ruby32"},
    {"vm", "custom, with an entrypoint"},
};

static void a_runtime_is_hosted_when_its_folder_is_there(void **state)
{
    const char *python = arena_printf(&arena, "%s/python", folder);
    const char *found;

    assert_int_equal(mkdir(python, 0755), 0);
    assert_int_equal(config_runtime_check(&ctx, folder, "python311", &found),
                     0);
    assert_string_equal(found, python);
    assert_int_equal(config_runtime_check(&ctx, folder, "go122", NULL),
                     ERR_UNIMPLEMENTED);
    expect_story("go", "runtime 'go122' cannot be hosted by this "
                       "installation. Available: python (such as python311).");
    ctx_err_clear(&ctx);
    assert_int_equal(config_runtime_check(&ctx, folder, "python27", NULL),
                     ERR_INVALID);
    expect_story("python27", "runtime 'python27' is none of App Engine's "
                             "standard environment's second generation; use "
                             "python311.");
    ctx_err_clear(&ctx);
    for (size_t i = 0; i < sizeof(former_cases) / sizeof(*former_cases); i++) {
        assert_int_equal(
            config_runtime_check(&ctx, folder, former_cases[i].name, NULL),
            ERR_INVALID);
        expect_story(former_cases[i].name,
                     arena_printf(&arena,
                                  "runtime '%s' is none of App Engine's "
                                  "standard environment's second generation; "
                                  "use %s.",
                                  former_cases[i].name,
                                  former_cases[i].instead));
        ctx_err_clear(&ctx);
    }
    assert_int_equal(config_runtime_check(&ctx, folder, "cobol85", NULL),
                     ERR_INVALID);
    expect_story("cobol85", "'cobol85' is not a runtime");
    ctx_err_clear(&ctx);
}

static void a_folder_that_was_added_is_a_language(void **state)
{
    const char *dir = arena_printf(&arena, "%s/more", folder), *found;

    assert_int_equal(mkdir(dir, 0755), 0);
    assert_int_equal(mkdir(arena_printf(&arena, "%s/cobol", dir), 0755), 0);
    assert_int_equal(config_runtime_check(&ctx, dir, "cobol85", NULL),
                     ERR_INVALID);
    ctx_err_clear(&ctx);
    assert_int_equal(chmod(put("more/cobol/start", "#!/bin/sh\n"), 0755), 0);
    assert_int_equal(config_runtime_check(&ctx, dir, "cobol85", &found), 0);
    assert_string_equal(found, arena_printf(&arena, "%s/cobol", dir));
    assert_int_equal(config_runtime_check(&ctx, dir, "cobol", NULL), 0);
    assert_int_equal(config_runtime_check(&ctx, dir, "cobol8x", NULL),
                     ERR_INVALID);
    expect_story("cobol8x", "'cobol8x' is not a runtime of App Engine's "
                            "standard environment's second generation. "
                            "Available: cobol.");
}

static void an_appscalefile_sets_what_it_names(void **state)
{
    struct settings s;
    const char *path =
        put("AppScalefile", "http_port: 9090\ndomain: apps.example.com\n");

    assert_int_equal(appscalefile_load(&ctx, path, &s), 0);
    assert_int_equal(s.http_port, 9090);
    assert_string_equal(s.domain, "apps.example.com");
    assert_string_equal(s.storage, "rocksdb");
}

static void a_bad_appscalefile_names_line_and_reason(void **state)
{
    struct settings s;
    const char *path =
        put("AppScalefile", "http_port: 99999\nhttp_prot: 1\ndomain: [a]\n");

    assert_int_equal(appscalefile_load(&ctx, path, &s), ERR_INVALID);
    expect_story("range", "AppScalefile:1:12: http_port is 99999, and goes "
                          "from 1 to 65535");
    expect_story("name", "AppScalefile:2:1: Unknown setting 'http_prot'. "
                         "Expected one of: http_port, ");
    expect_story("kind", "AppScalefile:3:9: domain must be a text or number.");
}

static void the_template_is_a_good_appscalefile(void **state)
{
    struct buf text = BUF_IN(&arena);
    struct settings s;

    appscalefile_template(&text);
    assert_int_equal(
        appscalefile_load(&ctx, put("AppScalefile", buf_cstr(&text)), &s), 0);
    assert_int_equal(s.http_port, 8080);
    /* Every default again, no longer commented out. */
    for (char *c = (char *)text.p; (c = strstr(c, "\n#")) != NULL; c++) {
        if (c[2] != ' ')
            c[1] = ' ';
    }
    if (appscalefile_load(&ctx, put("AppScalefile", buf_cstr(&text)), &s) != 0)
        fail_msg("%s", ctx_err_text(&ctx, ERR_INVALID));
}

static void expirations_add_up(void **state)
{
    static const struct {
        const char *text;
        int64_t want;
    } cases[] = {
        {"10", 10},     {"1d 6h", 108000}, {"7d 7d 7d", 21 * 86400},
        {"5m 30", 330}, {" 1H ", 3600},    {"soon", -1},
        {"1d6h", -1},   {"-1", -1},        {"99999999999999999d", -1},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        if (config_expiration(cases[i].text) != cases[i].want)
            fail_msg("%s", cases[i].text);
    }
}

#define TEST(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)
#define FILES(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

static void a_group_loses_its_name_and_nothing_else(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"/(?P<id>\\d+)/(?<x>.)(?'y'z)", "/(\\d+)/(.)(z)"},
        {"(?<=a)(?<!b)(?:c)(?=d)", "(?<=a)(?<!b)(?:c)(?=d)"},
        {"\\(?P<id>", "\\(?P<id>"},
        {"[(?P<a>]", "[(?P<a>]"},
        {"(?P<open", "(?P<open"},
    };
    struct arena a = ARENA_INIT;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(config_regex_unnamed(&a, cases[i].in),
                            cases[i].out);
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_loses_its_name_and_nothing_else),
        TEST(a_bad_file_is_refused_with_place_and_reason),
        TEST(every_finding_is_listed_at_once),
        TEST(a_hundred_handlers_pass_and_one_more_does_not),
        TEST(nesting_is_bounded),
        TEST(a_file_becomes_a_version),
        TEST(handlers_become_what_gcloud_sends),
        TEST(basic_and_manual_scaling_carry_their_numbers),
        TEST(names_are_told_apart_from_partition_and_domain),
        TEST(expirations_add_up),
        TEST(a_missing_file_is_not_found),
        FILES(includes_put_their_handlers_first_and_their_variables_on_top),
        FILES(a_finding_in_an_include_names_that_file),
        FILES(the_files_beside_it_are_checked_too),
        FILES(good_files_beside_it_pass_as_they_are),
        FILES(a_runtime_is_hosted_when_its_folder_is_there),
        FILES(a_folder_that_was_added_is_a_language),
        FILES(an_appscalefile_sets_what_it_names),
        FILES(a_bad_appscalefile_names_line_and_reason),
        FILES(the_template_is_a_good_appscalefile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
