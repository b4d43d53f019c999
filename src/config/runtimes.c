/* runtimes - the table of families, and a look at the runtimes folder. */
#include "config/runtimes.h"

#include "base/buf.h"
#include "config/paths.h"
#include "config/regex.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct family {
    const char *folder;
    const char *pattern;
    const char *example;
} families[] = {
    {"python", "python3[0-9]{1,2}?", "python311"},
    {"go", "go1(1[1-9]|[2-9][0-9])", "go122"},
    {"java", "java(11|17|21|25)", "java21"},
    {"nodejs", "nodejs[0-9]{2}", "nodejs20"},
    {"php", "php[78][0-9]", "php83"},
    {"ruby", "ruby[23][0-9]", "ruby32"},
    {"custom", "custom", "custom"},
};
enum { N_FAMILIES = sizeof(families) / sizeof(*families) };

/* Names that Google knew, or has for its flexible environment. */
static const struct {
    const char *pattern;
    const char *instead;
} former[] = {
    {"python(27|2)?|python-compat", "python311"},
    {"go1?|go1\\.?[0-9]|go1\\.[0-9]{1,2}|go110", "go122"},
    {"java(7|8)?|java-compat", "java17"},
    {"nodejs[0-9]?", "nodejs20"},
    {"php(5[0-9])?", "php83"},
    {"ruby", "ruby32"},
    {"vm|dotnet|aspnetcore", "custom, with an entrypoint"},
};
enum { N_FORMER = sizeof(former) / sizeof(*former) };

static bool is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

const char *config_runtimes_dir(struct arena *a)
{
    static const char *const places[] = {"../../runtimes",
                                         "../share/appscale/runtimes"};
    const char *named = getenv("APPSCALE_RUNTIMES");

    if (named && *named)
        return arena_strdup(a, named);
    for (size_t i = 0; i < 2; i++) {
        const char *path =
            arena_printf(a, "%s/%s", config_program_dir(a), places[i]);
        char *real = is_dir(path) ? realpath(path, NULL) : NULL;

        if (real) {
            path = arena_strdup(a, real);
            free(real);
            return path;
        }
    }
    return NULL;
}

static bool hosted(struct arena *a, const char *dir, const struct family *f)
{
    return dir && is_dir(arena_printf(a, "%s/%s", dir, f->folder));
}

static bool known_folder(const char *name)
{
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (strcmp(families[i].folder, name) == 0)
            return true;
    return false;
}

/* A folder that somebody has added is a language of that name, with any
 * digits behind it or none. */
static const char *added_folder(struct arena *a, const char *dir,
                                const char *runtime)
{
    size_t n = strspn(runtime, "abcdefghijklmnopqrstuvwxyz");
    const char *name = arena_cstr(a, BYTES(runtime, n));
    const char *path = arena_printf(a, "%s/%s", dir ? dir : "", name);
    bool plain = runtime[n + strspn(runtime + n, "0123456789")] == '\0';

    return dir && n && plain && !known_folder(name) &&
                   access(arena_printf(a, "%s/start", path), X_OK) == 0
               ? path
               : NULL;
}

static void list_added(struct ctx *ctx, const char *dir, struct buf *all)
{
    struct dirent **found = NULL;
    int n = dir ? scandir(dir, &found, NULL, alphasort) : 0;

    for (int i = 0; i < n; i++) {
        if (added_folder(ctx->arena, dir, found[i]->d_name))
            buf_printf(all, "%s%s", all->n ? ", " : "", found[i]->d_name);
        free(found[i]);
    }
    free(found);
}

static const char *hosted_list(struct ctx *ctx, const char *dir)
{
    struct buf all = BUF_IN(ctx->arena);

    for (size_t i = 0; i < N_FAMILIES; i++) {
        const struct family *f = &families[i];

        if (!hosted(ctx->arena, dir, f))
            continue;
        buf_printf(&all, "%s%s", all.n ? ", " : "", f->folder);
        if (strcmp(f->folder, f->example) != 0)
            buf_printf(&all, " (such as %s)", f->example);
    }
    list_added(ctx, dir, &all);
    return all.n ? buf_cstr(&all) : "none";
}

int config_runtime_check(struct ctx *ctx, const char *dir, const char *runtime,
                         const char **folder)
{
    const char *added;

    for (size_t i = 0; i < N_FAMILIES; i++) {
        const struct family *f = &families[i];

        if (!config_matches(f->pattern, runtime))
            continue;
        if (!hosted(ctx->arena, dir, f))
            return ctx_err(ctx, ERR_UNIMPLEMENTED,
                           "runtime '%s' cannot be hosted by this "
                           "installation. Available: %s.",
                           runtime, hosted_list(ctx, dir));
        if (folder)
            *folder = arena_printf(ctx->arena, "%s/%s", dir, f->folder);
        return 0;
    }
    for (size_t i = 0; i < N_FORMER; i++)
        if (config_matches(former[i].pattern, runtime))
            return ctx_err(ctx, ERR_INVALID,
                           "runtime '%s' is none of App Engine's standard "
                           "environment's second generation; use %s.",
                           runtime, former[i].instead);
    added = added_folder(ctx->arena, dir, runtime);
    if (added) {
        if (folder)
            *folder = added;
        return 0;
    }
    return ctx_err(ctx, ERR_INVALID,
                   "'%s' is not a runtime of App Engine's standard "
                   "environment's second generation. Available: %s.",
                   runtime, hosted_list(ctx, dir));
}
