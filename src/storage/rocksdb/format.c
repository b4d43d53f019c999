/*
 * format - the folder of a store, and what says how it is laid out.
 *
 *     FORMAT   "appscale rocksdb 1\n", written before the first row
 *     rows/    RocksDB's own files
 *
 * The folder itself carries the lock (flock), so a second process is told at
 * once and nothing is left behind by one that dies.
 */
#include "storage/rocksdb/rocksdb_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FORMAT_VERSION = 1, FORMAT_TEXT = 64 };

static const char format_head[] = "appscale rocksdb ";

static int sys_err(struct ctx *ctx, const char *doing, const char *path)
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
            return sys_err(ctx, "cannot make the folder", p);
        *s = '/';
    }
    if (mkdir(p, 0700) != 0 && errno != EEXIST)
        return sys_err(ctx, "cannot make the folder", p);
    return 0;
}

static int lock_folder(struct ctx *ctx, const char *path, int dir)
{
    if (flock(dir, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return sys_err(ctx, "cannot lock the folder", path);
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
static int write_format(struct ctx *ctx, const char *path, int dir)
{
    char text[FORMAT_TEXT];
    int fd, rc = 0;

    snprintf(text, sizeof(text), "%s%d\n", format_head, FORMAT_VERSION);
    fd = openat(dir, "FORMAT.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                0644);
    if (fd < 0)
        return sys_err(ctx, "cannot write FORMAT in", path);
    if (write_all(fd, text) != 0 ||
        renameat(dir, "FORMAT.new", dir, "FORMAT") != 0 || fsync(dir) != 0)
        rc = sys_err(ctx, "cannot write FORMAT in", path);
    close(fd);
    return rc;
}

static int check_format(struct ctx *ctx, const char *path, const char *text)
{
    size_t head = sizeof(format_head) - 1;
    char *end;
    long version;

    if (strncmp(text, format_head, head) != 0)
        return ctx_err(ctx, ERR_CORRUPT,
                       "storage: %s/FORMAT does not say what the folder "
                       "holds; is it a data folder of AppScale?",
                       path);
    version = strtol(text + head, &end, 10);
    if (end == text + head || *end != '\n' || version < 1)
        return ctx_err(ctx, ERR_CORRUPT,
                       "storage: %s/FORMAT has no version in it", path);
    if (version > FORMAT_VERSION)
        return ctx_err(ctx, ERR_INVALID,
                       "storage: the data in %s has format %ld, and this "
                       "version of AppScale knows formats up to %d; use the "
                       "newer AppScale that wrote it",
                       path, version, FORMAT_VERSION);
    return 0;
}

static int read_format(struct ctx *ctx, const char *path, int dir)
{
    char text[FORMAT_TEXT];
    ssize_t n;
    int fd = openat(dir, "FORMAT", O_RDONLY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT) {
        if (faccessat(dir, "rows", F_OK, 0) != 0)
            return write_format(ctx, path, dir);
        return ctx_err(ctx, ERR_CORRUPT,
                       "storage: %s holds rows but its file FORMAT is gone; "
                       "restore the folder from a backup",
                       path);
    }
    if (fd < 0)
        return sys_err(ctx, "cannot read FORMAT in", path);
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n < 0)
        return sys_err(ctx, "cannot read FORMAT in", path);
    text[n] = '\0';
    return check_format(ctx, path, text);
}

int rocks_format_open(struct ctx *ctx, const char *path, int *dir)
{
    int rc = make_folders(ctx, path);

    if (rc != 0)
        return rc;
    *dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*dir < 0)
        return sys_err(ctx, "cannot open the folder", path);
    rc = lock_folder(ctx, path, *dir);
    if (rc == 0)
        rc = read_format(ctx, path, *dir);
    if (rc != 0)
        close(*dir);
    return rc;
}
