/*
 * fuzz_config - any bytes as app.yaml, as a file beside it, as XML, as
 * .gcloudignore.
 *
 * What is refused has a story; what passes has a Version that is JSON, and a
 * second reading of the same bytes comes to the same one.
 */
#include "cli/ignore.h"
#include "config/appyaml.h"
#include "config/xml.h"

#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static char *version_of(struct ctx *ctx, struct bytes in)
{
    struct appyaml app;
    int rc;

    ctx_err_clear(ctx);
    rc = appyaml_parse(ctx, "/nowhere/app.yaml", in, &app);
    require(rc == 0 || (rc == ERR_INVALID && ctx->err.message));
    return rc == 0 ? json_dumps(app.json, JSON_SORT_KEYS) : NULL;
}

static void fuzz_app(struct ctx *ctx, struct bytes in)
{
    char *one = version_of(ctx, in), *two = version_of(ctx, in);

    require((one == NULL) == (two == NULL));
    require(!one || strcmp(one, two) == 0);
    free(one);
    free(two);
}

static void fuzz_beside(struct ctx *ctx, struct bytes in)
{
    for (const struct appyaml_file *f = appyaml_files; f->name; f++) {
        struct config_report report = {0};
        struct config_node *node;

        ctx_err_clear(ctx);
        config_node_parse(ctx, f->name, in, &report, &node);
        if (node)
            config_check(&report, f->schema, NULL, node);
        config_report_end(ctx, &report);
    }
}

static void fuzz_xml(struct ctx *ctx, struct bytes in)
{
    struct config_report report = {0};
    struct config_xml *root;
    int rc;

    ctx_err_clear(ctx);
    config_xml_parse(ctx, "any.xml", in, &report, &root);
    rc = config_report_end(ctx, &report);
    require((rc == 0) == (root != NULL));
}

static void fuzz_ignore(struct ctx *ctx, struct bytes in)
{
    struct ignore *ig;

    ctx_err_clear(ctx);
    if (ignore_parse(ctx, "/nowhere", in, &ig) != 0)
        return;
    ignore_match(ig, "a/b/c.txt", false);
    ignore_match(ig, "build", true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint8_t empty[1];
    struct bytes in = BYTES(n ? data : empty, n);
    struct arena arena = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &arena);
    fuzz_app(&ctx, in);
    fuzz_xml(&ctx, in);
    fuzz_beside(&ctx, in);
    fuzz_ignore(&ctx, in);
    arena_release(&arena);
    return 0;
}
