/*
 * appyaml - read, merge the includes, check against the tables, build the body
 * of a versions.create call.
 */
#include "config/appyaml.h"

#include "base/log.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

struct loader {
    struct ctx *ctx;
    struct config_report report;
    const char *root; /* the folder of app.yaml */
    const char *seen[APPYAML_INCLUDES_MAX];
    size_t n_seen;
    struct config_node *app;
    size_t n_head; /* handlers that includes put before the app's own */
};

/* ---- includes ---- */

static const char *folder_of(struct arena *a, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return ".";
    return arena_cstr(a,
                      BYTES(path, slash == path ? 1 : (size_t)(slash - path)));
}

/* The file an `includes` entry means, or NULL: beside the file that names it,
 * in the app's folder, in the working directory; a folder means its
 * include.yaml. */
static const char *include_path(struct loader *ld, const char *from,
                                const char *name)
{
    struct arena *a = ld->ctx->arena;
    const char *bases[] = {folder_of(a, from), ld->root, "."};

    for (size_t i = 0; i < 3; i++) {
        const char *path = *name == '/'
                               ? arena_strdup(a, name)
                               : arena_printf(a, "%s/%s", bases[i], name);
        struct stat st;

        if (stat(path, &st) < 0)
            continue;
        if (!S_ISDIR(st.st_mode))
            return path;
        path = arena_printf(a, "%s/include.yaml", path);
        if (stat(path, &st) == 0)
            return path;
    }
    return NULL;
}

/* Whether the file is new; remembers it by what it really is. */
static bool first_visit(struct loader *ld, const char *path)
{
    char real[PATH_MAX];

    if (!realpath(path, real))
        return true;
    for (size_t i = 0; i < ld->n_seen; i++) {
        if (strcmp(ld->seen[i], real) == 0)
            return false;
    }
    ld->seen[ld->n_seen++] = arena_strdup(ld->ctx->arena, real);
    return true;
}

/* app[key], made when it is missing. */
static struct config_node *slot(struct loader *ld, const char *key,
                                enum config_kind kind,
                                const struct config_node *like)
{
    struct config_node *v = config_node_get(ld->app, key);
    struct config_node *name;

    if (v)
        return v;
    v = config_node_new(ld->ctx->arena, kind, like);
    name = config_node_new(ld->ctx->arena, CONFIG_SCALAR, like);
    name->text = key;
    config_node_set(ld->ctx->arena, ld->app, name, v);
    return v;
}

static void merge_handlers(struct loader *ld, const struct config_node *list)
{
    struct config_node *all;

    if (!list)
        return;
    all = slot(ld, "handlers", CONFIG_LIST, list);
    for (size_t i = 0; i < list->n; i++) {
        const char *where = config_node_text(list->items[i], "position");
        bool tail = where && strcmp(where, "tail") == 0;

        config_node_insert(ld->ctx->arena, all, tail ? all->n : ld->n_head++,
                           list->items[i]);
    }
}

/* The include's value wins, as in Google's merge. */
static void merge_texts(struct loader *ld, const char *key,
                        const struct config_node *from)
{
    const struct config_node *map = config_node_get(from, key);
    struct config_node *into;

    if (!map)
        return;
    into = slot(ld, key, CONFIG_MAP, map);
    for (size_t i = 0; i < map->n; i++)
        config_node_set(ld->ctx->arena, into, map->keys[i], map->items[i]);
}

static void merge_skip_files(struct loader *ld, const struct config_node *from)
{
    const struct config_node *more = config_node_get(from, "skip_files");
    const struct config_node *mine = config_node_get(ld->app, "skip_files");
    struct arena *a = ld->ctx->arena;
    struct config_node *both, *name;

    if (!more)
        return;
    both = config_node_new(a, CONFIG_SCALAR, more);
    both->text = arena_printf(
        a, "%s|%s", mine ? config_regexes(a, mine) : APPYAML_SKIP_DEFAULT,
        config_regexes(a, more));
    name = config_node_new(a, CONFIG_SCALAR, more);
    name->text = "skip_files";
    config_node_set(a, ld->app, name, both);
}

static void merge_includes(struct loader *ld, const struct config_node *from);

static void merge_file(struct loader *ld, const struct config_node *file)
{
    const struct config_node *scaling = config_node_get(file, "manual_scaling");

    merge_handlers(ld, config_node_get(file, "handlers"));
    merge_texts(ld, "env_variables", file);
    merge_texts(ld, "build_env_variables", file);
    merge_skip_files(ld, file);
    if (scaling && !config_node_get(ld->app, "manual_scaling"))
        config_node_set(
            ld->ctx->arena, ld->app,
            (struct config_node *)config_node_key(file, "manual_scaling"),
            (struct config_node *)scaling);
    merge_includes(ld, file);
}

static void include_one(struct loader *ld, const struct config_node *entry)
{
    const char *path = include_path(ld, entry->file, entry->text);
    int before = ld->report.n;
    struct config_node *file;
    struct bytes text;

    if (!path) {
        config_report_at(&ld->report, entry,
                         "File %s listed in includes directive of %s could "
                         "not be found.",
                         entry->text, entry->file);
        return;
    }
    if (ld->n_seen == APPYAML_INCLUDES_MAX) {
        config_report_at(&ld->report, entry, "More than %d included files.",
                         APPYAML_INCLUDES_MAX);
        return;
    }
    if (!first_visit(ld, path))
        return;
    if (config_file_read(ld->ctx, path, &text) < 0) {
        config_report_at(&ld->report, entry, "File %s cannot be read.", path);
        return;
    }
    config_node_parse(ld->ctx, path, text, &ld->report, &file);
    if (file)
        config_check(&ld->report, &appyaml_include_schema, NULL, file);
    if (file && ld->report.n == before)
        merge_file(ld, file);
}

static void merge_includes(struct loader *ld, const struct config_node *from)
{
    const struct config_node *list = config_node_get(from, "includes");

    for (size_t i = 0; list && i < list->n; i++)
        include_one(ld, list->items[i]);
}

/* ---- the whole ---- */

/* What only the merged file can show. */
static void check_merged(struct loader *ld)
{
    const struct config_node *all = config_node_get(ld->app, "handlers");

    if (all && all->n > APPYAML_HANDLERS_MAX)
        config_report_at(&ld->report, all,
                         "Found more than %d URLMap entries in application "
                         "configuration",
                         APPYAML_HANDLERS_MAX);
}

static void read_app(struct loader *ld, const char *file, struct bytes text)
{
    struct config_node nowhere = {.file = file, .line = 1, .column = 1};

    config_node_parse(ld->ctx, file, text, &ld->report, &ld->app);
    if (!ld->app && !ld->report.n)
        config_report_at(&ld->report, &nowhere,
                         "The file is empty; it must name at least the "
                         "runtime.");
    if (ld->app)
        config_check(&ld->report, &appyaml_schema, NULL, ld->app);
    if (!ld->report.n)
        merge_includes(ld, ld->app);
    if (!ld->report.n)
        check_merged(ld);
}

static void release_json(void *obj)
{
    json_decref(obj);
}

/* "s~name" and "domain:name" both mean the project `name`. */
static const char *project_name(const char *text)
{
    const char *cut = text ? strrchr(text, ':') : NULL;

    if (!cut && text)
        cut = strrchr(text, '~');
    return cut ? cut + 1 : text;
}

static const char *first_text(const struct config_node *map, const char *a,
                              const char *b)
{
    const char *text = config_node_text(map, a);

    return text ? text : config_node_text(map, b);
}

static void fill(struct loader *ld, struct appyaml *out)
{
    const struct config_node *skip = config_node_get(ld->app, "skip_files");
    struct ctx *ctx = ld->ctx;

    out->project = project_name(first_text(ld->app, "application", "project"));
    out->service = first_text(ld->app, "service", "module");
    if (!out->service)
        out->service = "default";
    out->version = config_node_text(ld->app, "version");
    out->runtime = config_node_text(ld->app, "runtime");
    out->skip_files = skip ? config_regexes(ctx->arena, skip) : NULL;
    out->json = json_object();
    arena_on_reset(ctx->arena, release_json, out->json);
    json_object_set_new(out->json, "env", json_string("standard"));
    config_json(ctx, &appyaml_schema, ld->app, out->json);
    json_object_set_new(
        out->json, "handlers",
        appyaml_handlers_json(ctx, config_node_get(ld->app, "handlers")));
}

int appyaml_parse(struct ctx *ctx, const char *file, struct bytes text,
                  struct appyaml *out)
{
    struct loader ld = {.ctx = ctx, .root = folder_of(ctx->arena, file)};
    int rc;

    *out = (struct appyaml){0};
    read_app(&ld, file, text);
    rc = config_report_end(ctx, &ld.report);
    if (rc == 0)
        fill(&ld, out);
    return rc;
}

int appyaml_from_node(struct ctx *ctx, struct config_report *report,
                      struct config_node *app, struct appyaml *out)
{
    struct loader ld = {.ctx = ctx, .report = *report, .app = app};
    int rc;

    *out = (struct appyaml){0};
    if (app)
        config_check(&ld.report, &appyaml_schema, NULL, app);
    if (app)
        check_merged(&ld);
    rc = config_report_end(ctx, &ld.report);
    if (rc == 0)
        fill(&ld, out);
    return rc;
}

int appyaml_load(struct ctx *ctx, const char *path, struct appyaml *out)
{
    struct bytes text;
    int rc = config_file_read(ctx, path, &text);

    if (rc == 0)
        rc = appyaml_parse(ctx, path, text, out);
    return rc;
}

int appyaml_file_load(struct ctx *ctx, const struct appyaml_file *file,
                      const char *path, struct bytes *text)
{
    struct config_report report = {0};
    struct config_node *node;
    int rc = config_file_read(ctx, path, text);

    if (rc < 0)
        return rc;
    config_node_parse(ctx, path, *text, &report, &node);
    if (node)
        config_check(&report, file->schema, NULL, node);
    return config_report_end(ctx, &report);
}
