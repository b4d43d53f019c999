/* paths - the first of several places that holds. */
#include "config/paths.h"

#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

static const char *home(void)
{
    const char *dir = getenv("HOME");
    struct passwd *pw;

    if (dir && *dir)
        return dir;
    pw = getpwuid(getuid());
    return pw ? pw->pw_dir : "/tmp";
}

static const char *absolute(struct arena *a, const char *path)
{
    char cwd[PATH_MAX];

    if (*path == '/')
        return arena_strdup(a, path);
    if (!getcwd(cwd, sizeof(cwd)))
        die("the working directory is gone: %s", strerror(errno));
    return arena_printf(a, "%s/%s", cwd, path);
}

const char *config_root(struct arena *a, const char *given)
{
    if (!given)
        given = getenv("APPSCALE_ROOT");
    if (given && *given)
        return absolute(a, given);
    if (geteuid() == 0)
        return "/var/lib/appscale";
    return arena_printf(a, "%s/.local/share/appscale", home());
}

const char *config_socket(struct arena *a, const char *root)
{
    return arena_printf(a, "%s/run/controller.sock", root);
}

const char *config_program_dir(struct arena *a)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    char *slash;

    if (n < 0)
        die("cannot read /proc/self/exe: %s", strerror(errno));
    path[n] = '\0';
    slash = strrchr(path, '/');
    if (slash && slash != path)
        *slash = '\0';
    return arena_strdup(a, path);
}

const char *config_program_find(struct arena *a, const char *name)
{
    const char *beside = arena_printf(a, "%s/%s", config_program_dir(a), name);
    const char *path = getenv("PATH");
    char *rest, *dir;

    if (access(beside, X_OK) == 0)
        return beside;
    rest = arena_printf(a, "%s:/usr/sbin:/usr/local/sbin:/sbin",
                        path ? path : "/usr/bin:/bin");
    while ((dir = strsep(&rest, ":")) != NULL) {
        const char *full = arena_printf(a, "%s/%s", *dir ? dir : ".", name);

        if (access(full, X_OK) == 0)
            return full;
    }
    return NULL;
}

const char *config_libexec_find(struct arena *a, const char *name,
                                const char *built)
{
    const char *dir = config_program_dir(a);
    const char *installed =
        arena_printf(a, "%s/../libexec/appscale/%s", dir, name);
    const char *here = arena_printf(a, "%s/../%s", dir, built);

    if (access(installed, X_OK) == 0)
        return installed;
    return access(here, X_OK) == 0 ? here : NULL;
}
