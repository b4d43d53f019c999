/*
 * folder - the folder of a store on this machine, and what says how it is laid
 * out.  FORMAT is one line, "appscale rocksdb 1", written before the first row.
 *
 * The folder itself carries the lock (flock), so a second process is told at
 * once and nothing is left behind by one that dies.
 */
#include "storage/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FORMAT_TEXT = 64 };

static const char format_head[] = "appscale ";

int folder_err(struct ctx *ctx, const char *doing, const char *path)
{
    enum err_code code = ERR_IO;

    if (errno == ENOSPC || errno == EDQUOT)
        code = ERR_NO_SPACE;
    return ctx_err(ctx, code, "storage: %s %s: %s", doing, path,
                   strerror(errno));
}

/* `path` and the folders above it. */
static int make_folders(struct ctx *ctx, const char *path)
{
    char *p = arena_strdup(ctx->arena, path);

    for (char *s = p + 1; *s; s++) {
        if (*s != '/')
            continue;
        *s = '\0';
        if (mkdir(p, 0755) != 0 && errno != EEXIST)
            return folder_err(ctx, "cannot make the folder", p);
        *s = '/';
    }
    if (mkdir(p, 0700) != 0 && errno != EEXIST)
        return folder_err(ctx, "cannot make the folder", p);
    return 0;
}

static int lock_folder(struct ctx *ctx, const char *path, int dir)
{
    if (flock(dir, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return folder_err(ctx, "cannot lock the folder", path);
    return ctx_err(ctx, ERR_UNAVAILABLE,
                   "storage: the data in %s is in use by another process; "
                   "stop that one first (appscale down), or name another "
                   "folder",
                   path);
}

static int write_all(int fd, const char *text)
{
    size_t n = strlen(text);

    return write(fd, text, n) == (ssize_t)n && fsync(fd) == 0 ? 0 : -1;
}

/* Whole or not at all: written aside, synced, renamed. */
static int write_format(struct ctx *ctx, const char *path,
                        const struct folder_kind *kind, int dir)
{
    char text[FORMAT_TEXT];
    int fd, rc = 0;

    snprintf(text, sizeof(text), "%s%s %d\n", format_head, kind->name,
             kind->version);
    fd = openat(dir, "FORMAT.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                0644);
    if (fd < 0)
        return folder_err(ctx, "cannot write FORMAT in", path);
    if (write_all(fd, text) != 0 ||
        renameat(dir, "FORMAT.new", dir, "FORMAT") != 0 || fsync(dir) != 0)
        rc = folder_err(ctx, "cannot write FORMAT in", path);
    close(fd);
    return rc;
}

/* Behind "appscale NAME "; NULL when the line does not begin so. */
static const char *version_in(const char *text, const char *name)
{
    size_t head = sizeof(format_head) - 1, n = strlen(name);

    if (strncmp(text, format_head, head) != 0 ||
        strncmp(text + head, name, n) != 0 || text[head + n] != ' ')
        return NULL;
    return text + head + n + 1;
}

/* The line is not of this kind: of which, then? */
static int wrong_kind(struct ctx *ctx, const char *path, const char *text)
{
    size_t head = sizeof(format_head) - 1;
    int n = (int)strcspn(text, "\n");

    if (strncmp(text, format_head, head) != 0)
        return ctx_err(ctx, ERR_CORRUPT,
                       "storage: %s/FORMAT does not say what the folder "
                       "holds; is it a data folder of AppScale?",
                       path);
    return ctx_err(ctx, ERR_INVALID,
                   "storage: %s holds another backend's data (its FORMAT says "
                   "'%.*s'); open it with that one, or name another folder",
                   path, n, text);
}

static int check_format(struct ctx *ctx, const char *path,
                        const struct folder_kind *kind, const char *text)
{
    const char *number = version_in(text, kind->name);
    char *end;
    long version;

    if (!number)
        return wrong_kind(ctx, path, text);
    version = strtol(number, &end, 10);
    if (end == number || *end != '\n' || version < 1)
        return ctx_err(ctx, ERR_CORRUPT,
                       "storage: %s/FORMAT has no version in it", path);
    if (version > kind->version)
        return ctx_err(ctx, ERR_INVALID,
                       "storage: the data in %s has format %ld, and this "
                       "version of AppScale knows formats up to %d; use the "
                       "newer AppScale that wrote it",
                       path, version, kind->version);
    return 0;
}

static int read_format(struct ctx *ctx, const char *path,
                       const struct folder_kind *kind, int dir)
{
    char text[FORMAT_TEXT];
    ssize_t n;
    int fd = openat(dir, "FORMAT", O_RDONLY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT) {
        if (faccessat(dir, kind->rows, F_OK, 0) != 0)
            return write_format(ctx, path, kind, dir);
        return ctx_err(ctx, ERR_CORRUPT,
                       "storage: %s holds rows but its file FORMAT is gone; "
                       "restore the folder from a backup",
                       path);
    }
    if (fd < 0)
        return folder_err(ctx, "cannot read FORMAT in", path);
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n < 0)
        return folder_err(ctx, "cannot read FORMAT in", path);
    text[n] = '\0';
    return check_format(ctx, path, kind, text);
}

int folder_open(struct ctx *ctx, const char *path,
                const struct folder_kind *kind, int *dir)
{
    int rc = make_folders(ctx, path);

    if (rc != 0)
        return rc;
    *dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*dir < 0)
        return folder_err(ctx, "cannot open the folder", path);
    rc = lock_folder(ctx, path, *dir);
    if (rc == 0)
        rc = read_format(ctx, path, kind, *dir);
    if (rc != 0)
        close(*dir);
    return rc;
}
