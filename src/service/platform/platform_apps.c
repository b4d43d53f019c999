/*
 * platform_apps - the controller's JSON documents of one app as C structs.
 *
 * Only what modules and app_identity answer with is read; unknown members are
 * the controller's business.
 */
#include "service/platform/platform_int.h"

#include "service/tables.h"

#include <jansson.h>
#include <stdlib.h>

static void decref(void *json)
{
    json_decref(json);
}

/* Parse a document that goes back with the arena; NULL and ERR_CORRUPT. */
static json_t *parse(struct ctx *ctx, struct bytes row, struct bytes text)
{
    json_error_t why;
    json_t *j = json_loadb(text.p, text.n, 0, &why);

    if (j)
        arena_on_reset(ctx->arena, decref, j);
    if (json_is_object(j))
        return j;
    ctx_err(ctx, ERR_CORRUPT, "the stored document %.*s is no JSON object: %s",
            BYTES_FMT(row), j ? "another type" : why.text);
    return NULL;
}

/* A string member as a view of the document, or BYTES_NONE. */
static struct bytes member(const json_t *j, const char *name)
{
    const json_t *v = json_object_get(j, name);

    if (!json_is_string(v))
        return BYTES_NONE;
    return BYTES(json_string_value(v), json_string_length(v));
}

static struct bytes app_host(struct ctx *ctx, struct bytes app,
                             struct bytes stored)
{
    if (stored.n)
        return stored;
    return bytes_str(
        arena_printf(ctx->arena, "%.*s.%s", BYTES_FMT(app), ctx->env->domain));
}

typedef int row_fn(struct ctx *ctx, struct platform_app *a, struct bytes id,
                   struct bytes value);

/* Call fn for every row "APP/..." of a table, `id` being what follows. */
static int each_row(struct ctx *ctx, struct platform *p, const char *table,
                    struct platform_app *a, row_fn *fn)
{
    struct bytes part =
        tables_partition(ctx->arena, TABLES_PLATFORM, bytes_str(table));
    struct bytes prefix =
        bytes_str(arena_printf(ctx->arena, "%.*s/", BYTES_FMT(a->id)));
    struct storage_range range = storage_prefix(ctx->arena, prefix);
    struct storage_page page = {.more = true};
    int rc = 0;

    while (rc == 0 && page.more) {
        rc = storage_scan(ctx, p->storage, part, &range, STORAGE_FORWARD,
                          STORAGE_PAGE_ROWS, &page);
        for (size_t i = 0; rc == 0 && i < page.n; i++)
            rc = fn(ctx, a, bytes_from(page.rows[i].row, prefix.n),
                    page.rows[i].value);
        if (rc == 0 && page.more)
            range = storage_range_after(ctx->arena, &range, STORAGE_FORWARD,
                                        page.rows[page.n - 1].row);
    }
    return rc;
}

/* A service's shares become versions whose documents are still to come. */
static int add_service(struct ctx *ctx, struct platform_app *a, struct bytes id,
                       struct bytes value)
{
    json_t *j = parse(ctx, id, value);
    struct platform_service *s;

    if (!j)
        return ERR_CORRUPT;
    a->services =
        arena_grow(ctx->arena, a->services, a->n_services * sizeof(*s),
                   (a->n_services + 1) * sizeof(*s));
    s = &a->services[a->n_services++];
    *s = (struct platform_service){
        .id = id,
        .split = json_object_get(json_object_get(j, "split"), "allocations"),
    };
    return 0;
}

static void read_scaling(const json_t *j, struct platform_version *v)
{
    const json_t *manual = json_object_get(j, "manualScaling");
    const json_t *basic = json_object_get(j, "basicScaling");

    if (json_is_object(manual)) {
        v->scaling = PLATFORM_MANUAL;
        v->instances = json_integer_value(json_object_get(manual, "instances"));
    } else if (json_is_object(basic)) {
        v->scaling = PLATFORM_BASIC;
        v->instances =
            json_integer_value(json_object_get(basic, "maxInstances"));
    }
}

static int add_version(struct ctx *ctx, struct platform_app *a, struct bytes id,
                       struct bytes value)
{
    const char *slash = memchr(id.p, '/', id.n);
    struct platform_version *v;
    struct platform_service *s;
    json_t *j;

    if (!slash)
        return ctx_err(ctx, ERR_CORRUPT, "the row %.*s names no version",
                       BYTES_FMT(id));
    s = platform_service_find(
        a, BYTES(id.p, (size_t)(slash - (const char *)id.p)));
    if (!s)
        return 0; /* its service is not there yet, or is going */
    j = parse(ctx, id, value);
    if (!j)
        return ERR_CORRUPT;
    s->versions =
        arena_grow(ctx->arena, s->versions, s->n_versions * sizeof(*v),
                   (s->n_versions + 1) * sizeof(*v));
    v = &s->versions[s->n_versions++];
    *v = (struct platform_version){
        .id = bytes_from(id, s->id.n + 1),
        .serving = !bytes_eq_str(member(j, "servingStatus"), "STOPPED"),
    };
    v->share = json_number_value(json_object_getn(s->split, v->id.p, v->id.n));
    read_scaling(j, v);
    return 0;
}

int platform_app_read(struct ctx *ctx, struct platform *p, struct bytes app,
                      struct platform_app **out)
{
    struct platform_app *a = ARENA_NEW(ctx->arena, struct platform_app);
    struct storage_key key = {
        .partition =
            tables_partition(ctx->arena, TABLES_PLATFORM, BYTES_LIT("apps")),
        .row = app,
    };
    struct bytes text;
    json_t *j;
    int rc;

    rc = storage_get1(ctx, p->storage, key, &text);
    if (rc)
        return rc;
    j = parse(ctx, app, text);
    if (!j)
        return ERR_CORRUPT;
    a->id = app;
    a->host = app_host(ctx, app, member(j, "defaultHostname"));
    rc = each_row(ctx, p, "services", a, add_service);
    if (rc == 0)
        rc = each_row(ctx, p, "versions", a, add_version);
    *out = a;
    return rc;
}

struct platform_service *platform_service_find(const struct platform_app *a,
                                               struct bytes id)
{
    for (size_t i = 0; i < a->n_services; i++) {
        if (bytes_eq(a->services[i].id, id))
            return &a->services[i];
    }
    return NULL;
}

struct platform_version *platform_version_find(const struct platform_service *s,
                                               struct bytes id)
{
    for (size_t i = 0; i < s->n_versions; i++) {
        if (bytes_eq(s->versions[i].id, id))
            return &s->versions[i];
    }
    return NULL;
}

struct platform_version *
platform_version_default(const struct platform_service *s)
{
    struct platform_version *best = NULL;

    for (size_t i = 0; i < s->n_versions; i++) {
        if (!best || s->versions[i].share > best->share)
            best = &s->versions[i];
    }
    return best;
}
