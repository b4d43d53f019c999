/*
 * nginx_text - the nginx.conf of a model, for tests that run nginx alone.
 *
 * Reads JSON from stdin: {"root", "port", "apps": {P: {the app's document,
 * "services": {S: {the service's document, "versions": [documents]}}}}}.
 */
#include "base/log.h"
#include "control/routing.h"

#include <stdio.h>

static void add_version(struct ctx *ctx, struct service *s, json_t *doc)
{
    struct version *v;

    if (model_version_new(ctx, doc, &v))
        die("%s", ctx->err.message);
    model_version_add(s, v);
}

static void add_app(struct ctx *ctx, struct model *m, const char *id,
                    json_t *doc)
{
    struct app *app = model_app_add(m, id, json_incref(doc));
    const char *name;
    json_t *service, *version;
    size_t i;

    json_object_foreach(json_object_get(doc, "services"), name, service)
    {
        struct service *s = model_service_add(app, name, json_incref(service));

        json_array_foreach(json_object_get(service, "versions"), i, version)
            add_version(ctx, s, version);
    }
}

int main(void)
{
    struct arena arena = ARENA_INIT;
    struct buf out = BUF_IN(&arena);
    struct control ctl = {0};
    json_error_t why;
    json_t *in = json_loadf(stdin, 0, &why), *app;
    struct ctx ctx;
    const char *id;

    if (!in)
        die("line %d: %s", why.line, why.text);
    ctx_init(&ctx, &arena);
    settings_default(&ctl.settings);
    ctl.root = json_string_value(json_object_get(in, "root"));
    ctl.settings.http_port = json_integer_value(json_object_get(in, "port"));
    ctl.settings.http_address = "127.0.0.1";
    json_object_foreach(json_object_get(in, "apps"), id, app)
        add_app(&ctx, &ctl.model, id, app);
    nginx_conf(&ctl, &out);
    fwrite(out.p, 1, out.n, stdout);
    return 0;
}
