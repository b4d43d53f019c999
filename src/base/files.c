/* files - whole files, folders and tails. */
#include "base/files.h"

#include "base/errinj.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TAIL_BYTES = 64 * 1024 };

int files_err(struct ctx *ctx, const char *what, const char *path)
{
    int why = errno;

    if (why == ENOSPC || why == EDQUOT)
        return ctx_err(ctx, ERR_NO_SPACE,
                       "cannot %s %s: the disk is full; free some space and "
                       "try again",
                       what, path);
    if (why == EACCES || why == EPERM || why == EROFS)
        return ctx_err(ctx, ERR_DENIED,
                       "cannot %s %s: %s; the folder must belong to the user "
                       "who runs the platform",
                       what, path, strerror(why));
    return ctx_err(ctx, ERR_IO, "cannot %s %s: %s", what, path, strerror(why));
}

int files_mkdirs(struct ctx *ctx, const char *path)
{
    char *p = arena_strdup(ctx->arena, path);

    for (char *slash = p + 1; *slash; slash++) {
        if (*slash != '/')
            continue;
        *slash = '\0';
        if (mkdir(p, 0700) != 0 && errno != EEXIST)
            return files_err(ctx, "make the folder", p);
        *slash = '/';
    }
    if (mkdir(p, 0700) != 0 && errno != EEXIST)
        return files_err(ctx, "make the folder", p);
    return 0;
}

static int write_all(int fd, struct bytes text)
{
    while (text.n > 0) {
        ssize_t n = write(fd, text.p, text.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        text = bytes_from(text, (size_t)n);
    }
    return 0;
}

/* The rename is on disk once its folder is. */
static void sync_folder_of(struct arena *a, const char *path)
{
    char *dir = arena_strdup(a, path);
    char *slash = strrchr(dir, '/');
    int fd;

    if (!slash)
        return;
    *slash = '\0';
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

int files_replace(struct ctx *ctx, const char *path, struct bytes text,
                  mode_t mode)
{
    const char *tmp = arena_printf(ctx->arena, "%s.new", path);
    int fd, rc = 0;

    unlink(tmp);
    fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return files_err(ctx, "write", tmp);
    if (errinj("control.files.no_space")) {
        errno = ENOSPC;
        rc = files_err(ctx, "write", tmp);
    } else if (write_all(fd, text) != 0 || fsync(fd) != 0) {
        rc = files_err(ctx, "write", tmp);
    }
    close(fd);
    if (rc == 0 && rename(tmp, path) != 0)
        rc = files_err(ctx, "replace", path);
    if (rc)
        unlink(tmp);
    else
        sync_folder_of(ctx->arena, path);
    return rc;
}

int files_update(struct ctx *ctx, const char *path, struct bytes text,
                 mode_t mode, bool *changed)
{
    struct bytes old;

    *changed =
        files_read(ctx, path, text.n + 1, &old) != 0 || !bytes_eq(old, text);
    ctx_err_clear(ctx);
    return *changed ? files_replace(ctx, path, text, mode) : 0;
}

/* Up to `max` bytes from where `fd` stands. */
static int read_upto(struct ctx *ctx, int fd, const char *path, size_t max,
                     struct bytes *out)
{
    struct buf b = BUF_IN(ctx->arena);
    ssize_t n = 1;

    while (n > 0 && b.n < max) {
        size_t want = max - b.n < 65536 ? max - b.n : 65536;

        n = read(fd, buf_reserve(&b, want), want);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n < 0)
            return files_err(ctx, "read", path);
        else
            b.n += (size_t)n;
    }
    *out = buf_view(&b);
    return 0;
}

int files_read(struct ctx *ctx, const char *path, size_t max, struct bytes *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc;

    if (fd < 0 && errno == ENOENT)
        return ERR_NOT_FOUND;
    if (fd < 0)
        return files_err(ctx, "read", path);
    rc = read_upto(ctx, fd, path, max, out);
    close(fd);
    return rc;
}

struct bytes files_tail(struct arena *a, const char *path, int lines)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    struct bytes all = BYTES_NONE;
    struct ctx ctx;
    const char *p, *at;

    if (fd < 0)
        return BYTES_NONE;
    ctx_init(&ctx, a);
    if (fstat(fd, &st) == 0 && st.st_size > TAIL_BYTES)
        lseek(fd, -TAIL_BYTES, SEEK_END);
    if (read_upto(&ctx, fd, path, TAIL_BYTES, &all) != 0)
        all = BYTES_NONE;
    close(fd);
    p = all.p;
    while (all.n > 0 && p[all.n - 1] == '\n')
        all.n--;
    at = p + all.n;
    while (at > p && lines > 0)
        if (*--at == '\n' && --lines == 0)
            at++;
    return bytes_from(all, (size_t)(at - p));
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    remove(path);
    return 0;
}

void files_remove_tree(const char *path)
{
    nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}
