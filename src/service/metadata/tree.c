/* tree - what there is to know, and how it is written. */
#include "service/metadata/metadata_int.h"

#include "base/buf.h"
#include "service/app_identity/app_identity.h"

#include <ctype.h>
#include <sodium.h>
#include <stdlib.h>

static void decref(void *json)
{
    json_decref(json);
}

/* A number that a name always gets: `digits` of them, none of them leading
 * zeroes. */
static json_int_t number_of(const char *name, int digits)
{
    unsigned char sum[16];
    uint64_t v, low = 1;

    crypto_generichash(sum, sizeof(sum), (const unsigned char *)name,
                       strlen(name), NULL, 0);
    memcpy(&v, sum, sizeof(v));
    for (int i = 1; i < digits; i++)
        low *= 10;
    return (json_int_t)(low + v % (9 * low));
}

static json_t *account(struct ctx *ctx)
{
    struct bytes email = app_identity_email(ctx, ctx->app);

    return json_pack("{s:[s], s:s%, s:[s, s, s]}", "aliases", "default",
                     "email", email.p, email.n, "scopes",
                     "https://www.googleapis.com/auth/appengine.apis",
                     "https://www.googleapis.com/auth/cloud-platform",
                     "https://www.googleapis.com/auth/userinfo.email");
}

json_t *metadata_tree(struct ctx *ctx, const struct platform_caller *who)
{
    struct arena *a = ctx->arena;
    const char *app = arena_cstr(a, ctx->app);
    const char *email = arena_cstr(a, app_identity_email(ctx, ctx->app));
    const char *name = arena_printf(a, "%.*s.%.*s.%s", BYTES_FMT(who->version),
                                    BYTES_FMT(who->service), app);
    long long project = number_of(app, 12);
    json_t *tree = json_pack(
        "{s:{s:{s:{}, s:I, s:s}, s:{s:{}, s:s, s:I, s:s, s:s, s:s, "
        "s:{s:o, s:o}}}}",
        "v1", "project", "attributes", "numeric-project-id",
        (json_int_t)project, "project-id", app, "instance", "attributes",
        "hostname", arena_printf(a, "%s.%s", name, ctx->env->domain), "id",
        number_of(name, 18), "name", name, "region",
        arena_printf(a, "projects/%lld/regions/local", project), "zone",
        arena_printf(a, "projects/%lld/zones/local-a", project),
        "service-accounts", "default", account(ctx), email, account(ctx));

    arena_on_reset(a, decref, tree);
    return tree;
}

struct bytes metadata_listing(struct ctx *ctx, const json_t *dir)
{
    struct buf out = BUF_IN(ctx->arena);
    json_t *one, *all = (json_t *)(uintptr_t)dir;
    const char *name;

    json_object_foreach(all, name, one)
        buf_printf(&out, "%s%s\n", name, json_is_object(one) ? "/" : "");
    if (json_object_get(dir, "aliases")) /* made when they are asked for */
        buf_add_str(&out, "identity\ntoken\n");
    return buf_view(&out);
}

/* "numeric-project-id" is numericProjectId; an address stays. */
static const char *camel(struct arena *a, const char *name)
{
    char *out = arena_strdup(a, name), *to = out;

    if (strchr(name, '@'))
        return name;
    for (; *name; name++)
        if (*name == '-' && name[1])
            *to++ = (char)toupper((unsigned char)*++name);
        else
            *to++ = *name;
    *to = '\0';
    return out;
}

static json_t *camel_tree(struct arena *a, const json_t *v)
{
    json_t *one, *out, *all = (json_t *)(uintptr_t)v;
    const char *name;

    if (!json_is_object(v))
        return json_deep_copy(v);
    out = json_object();
    json_object_foreach(all, name, one)
        json_object_set_new(out, camel(a, name), camel_tree(a, one));
    return out;
}

struct bytes metadata_json(struct ctx *ctx, const json_t *value)
{
    json_t *o = camel_tree(ctx->arena, value);
    char *text = json_dumps(o, JSON_COMPACT | JSON_ENCODE_ANY);
    struct bytes own = bytes_str(arena_strdup(ctx->arena, text));

    free(text);
    json_decref(o);
    return own;
}

static void add_text(struct buf *out, const json_t *value)
{
    const json_t *one;
    size_t i;

    if (json_is_integer(value))
        buf_printf(out, "%lld", (long long)json_integer_value(value));
    else if (json_is_string(value))
        buf_add_str(out, json_string_value(value));
    json_array_foreach((json_t *)(uintptr_t)value, i, one)
        buf_printf(out, "%s\n", json_string_value(one));
}

static void add_lines(struct arena *a, struct buf *out, const char *path,
                      const json_t *dir)
{
    json_t *one, *all = (json_t *)(uintptr_t)dir;
    const char *name, *at;
    const json_t *item;
    size_t i;

    json_object_foreach(all, name, one)
    {
        at = arena_printf(a, "%s%s%s", path, *path ? "/" : "", name);
        if (json_is_object(one)) {
            add_lines(a, out, at, one);
            continue;
        }
        json_array_foreach(one, i, item)
            buf_printf(out, "%s/%zu %s\n", at, i, json_string_value(item));
        if (json_is_array(one))
            continue;
        buf_printf(out, "%s ", at);
        add_text(out, one);
        buf_add_str(out, "\n");
    }
}

struct bytes metadata_text(struct ctx *ctx, const json_t *value)
{
    struct buf out = BUF_IN(ctx->arena);

    if (json_is_object(value))
        add_lines(ctx->arena, &out, "", value);
    else
        add_text(&out, value);
    return buf_view(&out);
}
