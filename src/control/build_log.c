/*
 * build_log - files named "build.P.S.V.DEPLOYMENT.log"; no id has a dot.
 */
#include "control/build_log.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

const char *build_log_path(struct control *ctl, struct arena *a,
                           const struct version *v)
{
    return control_log_path(ctl, a,
                            arena_printf(a, "build.%s", model_name(a, v)));
}

typedef void visit_fn(const char *path, const char *rest, void *arg);

/* Call fn for every log whose name begins with `prefix`. */
static void each(struct control *ctl, struct arena *a, const char *prefix,
                 visit_fn *fn, void *arg)
{
    const char *folder = control_path(ctl, a, "logs");
    size_t n = strlen(prefix);
    DIR *d = opendir(folder);
    struct dirent *e;

    while (d && (e = readdir(d)) != NULL)
        if (strncmp(e->d_name, prefix, n) == 0)
            fn(arena_printf(a, "%s/%s", folder, e->d_name), e->d_name + n, arg);
    if (d)
        closedir(d);
}

/* ---- removing ---- */

struct sweep {
    struct arena *arena;
    const struct service *service;
};

/* `rest` is "V.DEPLOYMENT.log", or with another end where it was rotated. */
static void sweep_one(const char *path, const char *rest, void *arg)
{
    struct sweep *s = arg;

    for (const struct version *v = s->service->versions; v; v = v->next) {
        const char *name =
            arena_printf(s->arena, "%s.%s.", v->id, v->deployment);

        if (strncmp(rest, name, strlen(name)) == 0)
            return;
    }
    unlink(path);
}

void build_log_begin(struct control *ctl, const struct version *v)
{
    struct arena a = ARENA_INIT;
    struct sweep s = {&a, v->service};

    each(ctl, &a,
         arena_printf(&a, "build.%s.%s.", v->service->app->id, v->service->id),
         sweep_one, &s);
    unlink(build_log_path(ctl, &a, v));
    arena_release(&a);
}

/* ---- finding ---- */

struct search {
    const char *path;
    struct timespec time;
};

static void search_one(const char *path, const char *rest, void *arg)
{
    struct search *s = arg;
    struct stat st;

    (void)rest;
    if (stat(path, &st) < 0 ||
        (s->path && (st.st_mtim.tv_sec < s->time.tv_sec ||
                     (st.st_mtim.tv_sec == s->time.tv_sec &&
                      st.st_mtim.tv_nsec < s->time.tv_nsec))))
        return;
    *s = (struct search){path, st.st_mtim};
}

const char *build_log_last(struct control *ctl, struct arena *a,
                           const char *app, const char *service,
                           const char *version)
{
    struct search s = {0};

    each(ctl, a,
         arena_printf(a, "build.%s.%s.%s%s", app, service,
                      version ? version : "", version ? "." : ""),
         search_one, &s);
    return s.path;
}
