/* What an app asks about itself: app_identity, capability, modules. */
#include "fixture.h"

#include "net/http.h"
#include "service/app_identity/app_identity.h"
#include "service/capability/capability.h"
#include "service/modules/modules.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <pthread.h>

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

/* ---- app_identity ---- */

static bool verifies(struct bytes pem, struct bytes blob, struct bytes sig)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    EVP_PKEY *key = X509_get_pubkey(cert);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = X509_verify(cert, key) == 1 &&
              EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestVerify(md, sig.p, sig.n, blob.p, blob.n) == 1;

    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    X509_free(cert);
    BIO_free(bio);
    return ok;
}

static struct app_identity_SignForAppResponse *sign(struct ctx *ctx,
                                                    struct bytes blob)
{
    struct app_identity_SignForAppRequest *in =
        app_identity_SignForAppRequest_new(ctx);
    struct app_identity_SignForAppResponse *out =
        app_identity_SignForAppResponse_new(ctx);

    app_identity_SignForAppRequest_set_bytes_to_sign(in, blob);
    assert_int_equal(app_identity_sign(ctx, in, out), 0);
    return out;
}

static const struct app_identity_PublicCertificate *certificate(void)
{
    struct app_identity_GetPublicCertificateForAppResponse *out =
        app_identity_GetPublicCertificateForAppResponse_new(&f.ctx);

    assert_int_equal(
        app_identity_certificates(
            &f.ctx, app_identity_GetPublicCertificateForAppRequest_new(&f.ctx),
            out),
        0);
    assert_int_equal(
        app_identity_GetPublicCertificateForAppResponse_n_public_certificate_list(
            out),
        1);
    return app_identity_GetPublicCertificateForAppResponse_public_certificate_list(
        out, 0);
}

static void the_certificate_verifies_what_the_app_signed(void **state)
{
    struct bytes blob = BYTES_LIT("who\0 knows");
    struct app_identity_SignForAppResponse *s = sign(&f.ctx, blob);
    const struct app_identity_PublicCertificate *c = certificate();
    struct bytes sig = app_identity_SignForAppResponse_signature_bytes(s);
    struct bytes pem = app_identity_PublicCertificate_x509_certificate_pem(c);

    (void)state;
    assert_bytes(app_identity_SignForAppResponse_key_name(s),
                 app_identity_PublicCertificate_key_name(c));
    assert_null(memmem(pem.p, pem.n, "PRIVATE", 7));
    assert_true(verifies(pem, blob, sig));
    assert_false(verifies(pem, BYTES_LIT("another"), sig));
    /* The next signature is of the same key, another app's is not. */
    assert_bytes(app_identity_SignForAppResponse_key_name(sign(&f.ctx, blob)),
                 app_identity_PublicCertificate_key_name(c));
    f.ctx.app = BYTES_LIT("other");
    sig = app_identity_SignForAppResponse_signature_bytes(sign(&f.ctx, blob));
    assert_false(verifies(pem, blob, sig));
}

static void an_app_that_is_deleted_loses_its_key(void **state)
{
    struct platform_DeleteAppDataRequest *in =
        platform_DeleteAppDataRequest_new(&f.ctx);
    struct bytes blob = BYTES_LIT("x"), before;

    (void)state;
    before = app_identity_SignForAppResponse_key_name(sign(&f.ctx, blob));
    platform_DeleteAppDataRequest_set_app(in, BYTES_LIT(""));
    assert_int_equal(platform_delete_app_data(&f.ctx, in, NULL), ERR_INVALID);
    ctx_err_clear(&f.ctx);
    platform_DeleteAppDataRequest_set_app(in, BYTES_LIT("guestbook"));
    assert_int_equal(platform_delete_app_data(&f.ctx, in, NULL), 0);
    assert_false(bytes_eq(
        before, app_identity_SignForAppResponse_key_name(sign(&f.ctx, blob))));
}

static void *sign_once(void *arg)
{
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &a);
    ctx.env = &f.env;
    ctx.app = BYTES_LIT("guestbook");
    snprintf(arg, 64, "%.*s",
             BYTES_FMT(app_identity_SignForAppResponse_key_name(
                 sign(&ctx, BYTES_LIT("x")))));
    arena_release(&a);
    return NULL;
}

static void calls_that_race_for_the_first_key_agree_on_one(void **state)
{
    char names[4][64];
    pthread_t t[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, sign_once, names[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    for (int i = 1; i < 4; i++)
        assert_string_equal(names[0], names[i]);
}

static void a_blob_of_more_than_8_kib_is_not_signed(void **state)
{
    struct app_identity_SignForAppRequest *in =
        app_identity_SignForAppRequest_new(&f.ctx);

    (void)state;
    app_identity_SignForAppRequest_set_bytes_to_sign(
        in, BYTES(arena_zalloc(&f.arena, 8193), 8193));
    assert_int_equal(
        app_identity_sign(&f.ctx, in,
                          app_identity_SignForAppResponse_new(&f.ctx)),
        ERR_TOO_LARGE);
}

static void names_follow_the_project(void **state)
{
    struct app_identity_GetServiceAccountNameResponse *name =
        app_identity_GetServiceAccountNameResponse_new(&f.ctx);
    struct app_identity_GetDefaultGcsBucketNameResponse *bucket =
        app_identity_GetDefaultGcsBucketNameResponse_new(&f.ctx);

    (void)state;
    app_identity_account_name(&f.ctx, NULL, name);
    app_identity_bucket_name(&f.ctx, NULL, bucket);
    assert_bytes(
        app_identity_GetServiceAccountNameResponse_service_account_name(name),
        BYTES_LIT("guestbook@appspot.gserviceaccount.com"));
    assert_bytes(
        app_identity_GetDefaultGcsBucketNameResponse_default_gcs_bucket_name(
            bucket),
        BYTES_LIT("guestbook.appspot.com"));
}

static void a_token_has_scopes_and_an_end(void **state)
{
    struct app_identity_GetAccessTokenRequest *in =
        app_identity_GetAccessTokenRequest_new(&f.ctx);
    struct app_identity_GetAccessTokenResponse *out =
        app_identity_GetAccessTokenResponse_new(&f.ctx);
    struct bytes first;

    (void)state;
    assert_int_equal(app_identity_access_token(&f.ctx, in, out), ERR_INVALID);
    ctx_err_clear(&f.ctx);
    app_identity_GetAccessTokenRequest_add_scope(&f.ctx, in, BYTES_LIT("a"));
    assert_int_equal(app_identity_access_token(&f.ctx, in, out), 0);
    first = app_identity_GetAccessTokenResponse_access_token(out);
    assert_in_range(app_identity_GetAccessTokenResponse_expiration_time(out) -
                        clock_wall() / CLOCK_SEC,
                    3590, 3600);
    app_identity_GetAccessTokenRequest_add_scope(&f.ctx, in, BYTES_LIT("b"));
    assert_int_equal(app_identity_access_token(&f.ctx, in, out), 0);
    assert_false(
        bytes_eq(first, app_identity_GetAccessTokenResponse_access_token(out)));
}

static struct bytes make_token(const char *first, const char *second)
{
    struct app_identity_GetAccessTokenRequest *in =
        app_identity_GetAccessTokenRequest_new(&f.ctx);
    struct app_identity_GetAccessTokenResponse *out =
        app_identity_GetAccessTokenResponse_new(&f.ctx);

    app_identity_GetAccessTokenRequest_add_scope(&f.ctx, in, bytes_str(first));
    if (second)
        app_identity_GetAccessTokenRequest_add_scope(&f.ctx, in,
                                                     bytes_str(second));
    assert_int_equal(app_identity_access_token(&f.ctx, in, out), 0);
    return app_identity_GetAccessTokenResponse_access_token(out);
}

static void a_token_says_whose_it_is_and_for_what(void **state)
{
    struct bytes token = make_token("https://x.example/auth/a", "b");
    struct app_identity_token t;

    (void)state;
    assert_int_equal(app_identity_token_check(&f.ctx, token, &t), 0);
    assert_bytes(t.app, BYTES_LIT("guestbook"));
    assert_bytes(t.email, BYTES_LIT("guestbook@appspot.gserviceaccount.com"));
    assert_true(app_identity_token_has(&t, "https://x.example/auth/a"));
    assert_true(app_identity_token_has(&t, "b"));
    assert_false(app_identity_token_has(&t, "https://x.example/auth"));
    assert_false(app_identity_token_has(&t, "a,b"));
    assert_false(app_identity_token_has(&t, ""));
}

/* No single character of a token can be another, none can be missing. */
static void a_changed_token_is_worth_nothing(void **state)
{
    struct bytes token = make_token("a", NULL);
    struct app_identity_token t;

    (void)state;
    for (size_t i = 0; i < token.n; i++) {
        char *copy = arena_cstr(&f.arena, token);

        copy[i] ^= 1;
        assert_int_equal(app_identity_token_check(&f.ctx, bytes_str(copy), &t),
                         ERR_DENIED);
        assert_int_equal(
            app_identity_token_check(&f.ctx, BYTES(token.p, i), &t),
            ERR_DENIED);
    }
    assert_int_equal(f.ctx.err.code, 0);
}

/* ---- capability ---- */

static void a_package_is_enabled_when_it_is_there(void **state)
{
    const struct {
        const char *package;
        int want;
    } cases[] = {
        {"user", capability_IsEnabledResponse_ENABLED},
        {"memcache", capability_IsEnabledResponse_DISABLED}, /* no memcached */
        {"xmpp", capability_IsEnabledResponse_DISABLED},
        {"teleport", capability_IsEnabledResponse_UNKNOWN},
    };

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct capability_IsEnabledRequest *in =
            capability_IsEnabledRequest_new(&f.ctx);
        struct capability_IsEnabledResponse *out =
            capability_IsEnabledResponse_new(&f.ctx);

        capability_IsEnabledRequest_set_package(in,
                                                bytes_str(cases[i].package));
        capability_IsEnabledRequest_add_capability(&f.ctx, in, BYTES_LIT("*"));
        assert_int_equal(capability_is_enabled(&f.ctx, in, out), 0);
        assert_int_equal(capability_IsEnabledResponse_summary_status(out),
                         cases[i].want);
        assert_int_equal(capability_IsEnabledResponse_n_config(out), 1);
    }
}

static int write_status(const char *capability)
{
    struct capability_IsEnabledRequest *in =
        capability_IsEnabledRequest_new(&f.ctx);
    struct capability_IsEnabledResponse *out =
        capability_IsEnabledResponse_new(&f.ctx);

    capability_IsEnabledRequest_set_package(in, BYTES_LIT("datastore_v3"));
    capability_IsEnabledRequest_add_capability(&f.ctx, in, BYTES_LIT("*"));
    capability_IsEnabledRequest_add_capability(&f.ctx, in,
                                               bytes_str(capability));
    assert_int_equal(capability_is_enabled(&f.ctx, in, out), 0);
    return capability_IsEnabledResponse_summary_status(out);
}

static void writing_is_disabled_while_the_app_is_read_only(void **state)
{
    (void)state;
    assert_int_equal(
        engine_read_only_set(&f.ctx, f.env.engine, f.ctx.app, true), 0);
    assert_int_equal(write_status("write"),
                     capability_IsEnabledResponse_DISABLED);
    assert_int_equal(write_status("read"),
                     capability_IsEnabledResponse_ENABLED);
    assert_int_equal(f.ctx.err.code, 0);
    assert_int_equal(
        engine_read_only_set(&f.ctx, f.env.engine, f.ctx.app, false), 0);
    assert_int_equal(write_status("write"),
                     capability_IsEnabledResponse_ENABLED);
}

/* ---- modules ---- */

static void deploy(void)
{
    fixture_put(&f, "apps", "guestbook", "{}");
    fixture_put(&f, "services", "guestbook/default",
                "{\"split\":{\"allocations\":{\"v2\":1}}}");
    fixture_put(&f, "services", "guestbook/worker", "{}");
    fixture_put(&f, "versions", "guestbook/default/v1", "{}");
    fixture_put(&f, "versions", "guestbook/default/v2", "{}");
    fixture_put(&f, "versions", "guestbook/worker/w1",
                "{\"manualScaling\":{\"instances\":3}}");
    f.ctx.service = BYTES_LIT("default");
    f.ctx.version = BYTES_LIT("v1");
}

static void an_app_lists_its_services_and_versions(void **state)
{
    struct modules_GetModulesResponse *m =
        modules_GetModulesResponse_new(&f.ctx);
    struct modules_GetVersionsResponse *v =
        modules_GetVersionsResponse_new(&f.ctx);
    struct modules_GetDefaultVersionResponse *d =
        modules_GetDefaultVersionResponse_new(&f.ctx);

    (void)state;
    deploy();
    modules_get_modules(&f.ctx, modules_GetModulesRequest_new(&f.ctx), m);
    assert_int_equal(modules_GetModulesResponse_n_module(m), 2);
    assert_bytes(modules_GetModulesResponse_module(m, 1), BYTES_LIT("worker"));
    modules_get_versions(&f.ctx, modules_GetVersionsRequest_new(&f.ctx), v);
    assert_int_equal(modules_GetVersionsResponse_n_version(v), 2);
    modules_get_default_version(
        &f.ctx, modules_GetDefaultVersionRequest_new(&f.ctx), d);
    assert_bytes(modules_GetDefaultVersionResponse_version(d), BYTES_LIT("v2"));
}

static void the_emulators_app_is_its_caller(void **state)
{
    struct modules_GetModulesResponse *m =
        modules_GetModulesResponse_new(&f.ctx);
    struct modules_GetHostnameResponse *h =
        modules_GetHostnameResponse_new(&f.ctx);

    (void)state;
    modules_get_modules(&f.ctx, modules_GetModulesRequest_new(&f.ctx), m);
    assert_bytes(modules_GetModulesResponse_module(m, 0), BYTES_LIT("default"));
    modules_get_hostname(&f.ctx, modules_GetHostnameRequest_new(&f.ctx), h);
    assert_bytes(modules_GetHostnameResponse_hostname(h),
                 BYTES_LIT("1.default.guestbook.apps.example.com"));
}

static int hostname(const char *module, const char *version,
                    const char *instance, struct bytes *host)
{
    struct modules_GetHostnameRequest *in =
        modules_GetHostnameRequest_new(&f.ctx);
    struct modules_GetHostnameResponse *out =
        modules_GetHostnameResponse_new(&f.ctx);
    int rc;

    ctx_err_clear(&f.ctx);
    if (module)
        modules_GetHostnameRequest_set_module(in, bytes_str(module));
    if (version)
        modules_GetHostnameRequest_set_version(in, bytes_str(version));
    if (instance)
        modules_GetHostnameRequest_set_instance(in, bytes_str(instance));
    rc = modules_get_hostname(&f.ctx, in, out);
    *host = modules_GetHostnameResponse_hostname(out);
    return rc ? f.ctx.err.app_code : 0;
}

static void a_host_name_leads_to_a_version_or_an_instance(void **state)
{
    static const struct {
        const char *module, *version, *instance, *want;
        int error;
    } cases[] = {
        {NULL, NULL, NULL, "v1.default", 0},
        {"default", "v2", NULL, "v2.default", 0},
        {"worker", NULL, NULL, "w1.worker", 0},
        {"worker", "w1", "2", "2.w1.worker", 0},
        {"worker", "w1", "3", "", 3},
        {"worker", "w1", "x", "", 3},
        {"worker", "w1", "99999999999999999999", "", 3},
        {"default", "v1", "0", "", 3},
        {"nothing", NULL, NULL, "", 1},
        {"default", "v9", NULL, "", 1},
    };
    struct bytes host;

    (void)state;
    deploy();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(hostname(cases[i].module, cases[i].version,
                                  cases[i].instance, &host),
                         cases[i].error);
        if (!cases[i].error)
            assert_bytes(host, bytes_str(arena_printf(
                                   &f.arena, "%s.guestbook.apps.example.com",
                                   cases[i].want)));
    }
}

/* The error number an SDK sees. */
static int on_the_wire(int rc)
{
    if (rc == 0 || f.ctx.err.app_code)
        return rc ? f.ctx.err.app_code : 0;
    for (const struct rpc_err_map *m = modules_errors; m->code; m++)
        if (m->code == rc)
            return m->app_code;
    return -1;
}

static int set_instances(const char *module, const char *version, int64_t n)
{
    struct modules_SetNumInstancesRequest *in =
        modules_SetNumInstancesRequest_new(&f.ctx);

    ctx_err_clear(&f.ctx);
    modules_SetNumInstancesRequest_set_module(in, bytes_str(module));
    modules_SetNumInstancesRequest_set_version(in, bytes_str(version));
    modules_SetNumInstancesRequest_set_instances(in, n);
    return on_the_wire(modules_set_num_instances(&f.ctx, in, NULL));
}

static int change(const char *module, const char *version, bool begin)
{
    struct modules_StartModuleRequest *on =
        modules_StartModuleRequest_new(&f.ctx);
    struct modules_StopModuleRequest *off =
        modules_StopModuleRequest_new(&f.ctx);
    int rc;

    ctx_err_clear(&f.ctx);
    modules_StartModuleRequest_set_module(on, bytes_str(module));
    modules_StartModuleRequest_set_version(on, bytes_str(version));
    modules_StopModuleRequest_set_module(off, bytes_str(module));
    modules_StopModuleRequest_set_version(off, bytes_str(version));
    rc = begin ? modules_start_module(&f.ctx, on, NULL)
               : modules_stop_module(&f.ctx, off, NULL);
    return on_the_wire(rc);
}

static void without_a_controller_instances_stay(void **state)
{
    struct modules_GetNumInstancesRequest *in =
        modules_GetNumInstancesRequest_new(&f.ctx);
    struct modules_GetNumInstancesResponse *out =
        modules_GetNumInstancesResponse_new(&f.ctx);

    (void)state;
    deploy();
    modules_GetNumInstancesRequest_set_module(in, BYTES_LIT("worker"));
    assert_int_equal(modules_get_num_instances(&f.ctx, in, out), 0);
    assert_int_equal(modules_GetNumInstancesResponse_instances(out), 3);
    assert_int_equal(set_instances("worker", "w1", 3), 0);
    assert_int_equal(set_instances("worker", "w1", 0), 3);
    assert_int_equal(set_instances("worker", "w1", 4), 4);
    assert_int_equal(set_instances("default", "v1", 1), 2);
    assert_int_equal(set_instances("nothing", "v1", 1), 2);
    assert_int_equal(change("worker", "w1", true), 5);
    assert_int_equal(change("worker", "w1", false), 4);
    assert_int_equal(change("worker", "w9", true), 2);
    assert_int_equal(change("default", "v1", true), 2);
}

/* A controller that says what a test wants it to. */
static struct {
    struct http_server *http;
    int status;         /* of its answer to a PATCH */
    const char *answer; /* its first, and when the operation is looked at */
    const char *later;
    int looks;
    char asked[512]; /* "METHOD TARGET BODY" of the first request */
} controller;

static void on_controller(struct http_exchange *x, void *arg)
{
    bool first = bytes_eq_str(x->req.method, "PATCH");

    (void)arg;
    if (first)
        snprintf(controller.asked, sizeof(controller.asked), "%.*s %.*s",
                 BYTES_FMT(x->req.target), BYTES_FMT(x->req.body));
    else
        assert_bytes(x->req.target,
                     BYTES_LIT("/v1/apps/guestbook/operations/7"));
    controller.looks += !first;
    http_text(&x->arena, &x->res, first ? controller.status : 200,
              "application/json",
              bytes_str(first || controller.looks < 2 ? controller.answer
                                                      : controller.later));
    http_reply(x);
}

static void controller_start(void)
{
    struct http_server_options o = {
        .unix_path = arena_printf(&f.arena, "%s/controller", test_dir()),
        .loops = 1,
        .body_max = 4096,
        .header_max = 4096,
        .conns_max = 16,
        .idle_timeout = 60 * CLOCK_SEC,
        .request_timeout = 60 * CLOCK_SEC,
        .on_request = on_controller,
    };

    deploy();
    f.env.controller = o.unix_path;
    assert_int_equal(http_server_start(&f.ctx, &o, &controller.http), 0);
}

static void controller_says(int status, const char *answer, const char *later)
{
    controller.status = status;
    controller.answer = answer;
    controller.later = later;
    controller.looks = 0;
}

#define BEGUN   "{\"name\":\"apps/guestbook/operations/7\",\"done\":false}"
#define DONE    "{\"name\":\"apps/guestbook/operations/7\",\"done\":true}"
#define REFUSED "{\"error\":{\"message\":\"no\"}}"
#define FAILED                                                                 \
    "{\"name\":\"apps/guestbook/operations/7\",\"done\":true,"                 \
    "\"error\":{\"message\":\"no\"}}"

static void the_controller_changes_instances(void **state)
{
    (void)state;
    controller_start();
    controller_says(200, BEGUN, DONE);
    assert_int_equal(set_instances("worker", "w1", 5), 0);
    assert_string_equal(
        controller.asked,
        "/v1/apps/guestbook/services/worker/versions/w1?updateMask="
        "manualScaling.instances {\"manualScaling\":{\"instances\":5}}");
    assert_int_equal(controller.looks, 2);
    controller_says(200, DONE, NULL);
    assert_int_equal(change("worker", "w1", false), 0);
    assert_string_equal(
        controller.asked,
        "/v1/apps/guestbook/services/worker/versions/w1?updateMask="
        "servingStatus {\"servingStatus\":\"STOPPED\"}");
    http_server_stop(controller.http, 0);
}

static void who_stops_itself_does_not_wait_for_its_end(void **state)
{
    (void)state;
    controller_start();
    f.ctx.service = BYTES_LIT("worker");
    f.ctx.version = BYTES_LIT("w1");
    controller_says(200, BEGUN, BEGUN);
    assert_int_equal(change("worker", "w1", false), 0);
    assert_int_equal(controller.looks, 0);
    http_server_stop(controller.http, 0);
}

static void what_the_controller_refuses_has_its_numbers(void **state)
{
    static const struct {
        int status;
        const char *answer, *later;
        int set, stop;
    } cases[] = {
        {400, REFUSED, NULL, 3, 2}, {404, REFUSED, NULL, 2, 2},
        {409, REFUSED, NULL, 4, 4}, {503, "starting", NULL, 4, 4},
        {200, "[]", NULL, 4, 4},    {200, BEGUN, FAILED, 4, 4},
    };

    (void)state;
    controller_start();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        controller_says(cases[i].status, cases[i].answer, cases[i].later);
        assert_int_equal(set_instances("worker", "w1", 5), cases[i].set);
        controller_says(cases[i].status, cases[i].answer, cases[i].later);
        assert_int_equal(change("worker", "w1", false), cases[i].stop);
    }
    controller_says(200, BEGUN, BEGUN);
    f.ctx.deadline = clock_mono() + 100 * CLOCK_MS;
    assert_int_equal(set_instances("worker", "w1", 5), 4);
    http_server_stop(controller.http, 0);
    assert_int_equal(set_instances("worker", "w1", 5), 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_certificate_verifies_what_the_app_signed),
        TEST(an_app_that_is_deleted_loses_its_key),
        TEST(calls_that_race_for_the_first_key_agree_on_one),
        TEST(a_blob_of_more_than_8_kib_is_not_signed),
        TEST(names_follow_the_project),
        TEST(a_token_has_scopes_and_an_end),
        TEST(a_token_says_whose_it_is_and_for_what),
        TEST(a_changed_token_is_worth_nothing),
        TEST(a_package_is_enabled_when_it_is_there),
        TEST(writing_is_disabled_while_the_app_is_read_only),
        TEST(an_app_lists_its_services_and_versions),
        TEST(the_emulators_app_is_its_caller),
        TEST(a_host_name_leads_to_a_version_or_an_instance),
        TEST(without_a_controller_instances_stay),
        TEST(the_controller_changes_instances),
        TEST(who_stops_itself_does_not_wait_for_its_end),
        TEST(what_the_controller_refuses_has_its_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
