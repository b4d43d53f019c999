/*
 * view - mounts, prepared aside and then put into an empty root.
 *
 * Every piece is taken from the old root while that is there, as a tree that
 * is mounted nowhere yet; then a tmpfs becomes the root and the old one goes
 * for good; then the trees are put in their places.  So no path of the old
 * root can lead into the new one, and nothing has to be hidden afterwards.
 */
#include "sandbox/view.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    TREES_MAX = SANDBOX_PATHS_MAX + 32,
    LOCKED = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
    TMP_MB_DEFAULT = 192,
};

struct tree {
    const char *at; /* its place */
    int fd;
    bool folder;
};

struct view {
    struct tree trees[TREES_MAX];
    size_t n;
};

static int refused(struct ctx *ctx, const char *what, const char *path)
{
    return ctx_err(ctx, ERR_UNAVAILABLE, "%s %s: %s", what, path,
                   strerror(errno));
}

/* ---- taking ---- */

static void take(struct view *v, const char *at, int fd, bool folder)
{
    v->trees[v->n++] = (struct tree){.at = at, .fd = fd, .folder = folder};
}

/* What is at `from` now shall be at `at`, with all that is mounted below it. */
static int take_path(struct ctx *ctx, struct view *v, const char *from,
                     const char *at, uint64_t attributes)
{
    struct mount_attr attr = {.attr_set = attributes};
    struct stat st;
    int fd;

    if (v->n == TREES_MAX)
        return ctx_err(ctx, ERR_EXHAUSTED, "too many paths for a sandbox");
    fd = open_tree(AT_FDCWD, from,
                   OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (fd < 0)
        return refused(ctx, "cannot take", from);
    if (mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr,
                      sizeof(attr)) != 0 ||
        fstat(fd, &st) != 0)
        return refused(ctx, "cannot set the attributes of", from);
    take(v, at, fd, S_ISDIR(st.st_mode));
    return 0;
}

/* A file system of its own; `options` are pairs, ended by NULL. */
static int take_new(struct ctx *ctx, struct view *v, const char *type,
                    const char *at, const char *const *options,
                    unsigned attributes)
{
    int fs = fsopen(type, FSOPEN_CLOEXEC), fd = -1;

    if (fs < 0)
        return refused(ctx, "cannot open a new", type);
    for (; options && *options; options += 2)
        fsconfig(fs, FSCONFIG_SET_STRING, options[0], options[1], 0);
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        fd = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
    if (fd < 0)
        return refused(ctx, "cannot make a new", type);
    close(fs);
    take(v, at, fd, true);
    return 0;
}

static int take_tmpfs(struct ctx *ctx, struct view *v, const char *at,
                      int64_t mb)
{
    const char *const options[] = {
        "mode",      "1777",
        "nr_inodes", "65536", /* they take memory, too */
        "size",      arena_printf(ctx->arena, "%lldm", (long long)mb),
        NULL,
    };

    return take_new(ctx, v, "tmpfs", at, options, LOCKED);
}

/* ---- the pieces ---- */

static const char *const system_folders[] = {
    "/usr",   "/bin",    "/sbin", "/lib", "/lib32",
    "/lib64", "/libx32", "/etc",  "/opt",
};

static bool is_link(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

static int take_system(struct ctx *ctx, struct view *v)
{
    int rc = 0;

    for (size_t i = 0;
         rc == 0 && i < sizeof(system_folders) / sizeof(system_folders[0]); i++)
        if (!is_link(system_folders[i]) && access(system_folders[i], F_OK) == 0)
            rc = take_path(ctx, v, system_folders[i], system_folders[i],
                           MOUNT_ATTR_RDONLY | LOCKED);
    return rc;
}

/* Where name servers are written down may be a link into /run. */
static int take_resolver(struct ctx *ctx, struct view *v)
{
    char *real = realpath("/etc/resolv.conf", NULL);
    const char *at = real ? arena_strdup(ctx->arena, real) : NULL;

    free(real);
    if (!at || strncmp(at, "/etc/", 5) == 0 || strncmp(at, "/usr/", 5) == 0)
        return 0;
    return take_path(ctx, v, at, at, MOUNT_ATTR_RDONLY | LOCKED);
}

static int take_devices(struct ctx *ctx, struct view *v,
                        const struct sandbox *sb)
{
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full",
                                          "/dev/random", "/dev/urandom"};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(devices) / sizeof(devices[0]); i++)
        rc = take_path(ctx, v, devices[i], devices[i],
                       MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    if (rc == 0)
        rc = take_tmpfs(ctx, v, "/dev/shm",
                        (sb->tmp_mb ? sb->tmp_mb : TMP_MB_DEFAULT) / 2);
    return rc;
}

/* An empty folder, or /dev/null, in place of what is hidden.  The folder is
 * made read-only at last: other paths may belong into it. */
static int take_nothing(struct ctx *ctx, struct view *v, const char *at)
{
    static const char *const none[] = {"size", "1m",   "nr_inodes", "1k",
                                       "mode", "0755", NULL};
    struct stat st;

    if (lstat(at, &st) != 0 || S_ISLNK(st.st_mode))
        return 0; /* not there, or leads to what is judged at its own place */
    if (S_ISDIR(st.st_mode))
        return take_new(ctx, v, "tmpfs", at, none, LOCKED);
    return take_path(ctx, v, "/dev/null", at, MOUNT_ATTR_RDONLY | LOCKED);
}

static int take_given(struct ctx *ctx, struct view *v, const struct sandbox *sb)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sb->n_paths; i++) {
        const struct sandbox_path *p = &sb->paths[i];

        if (p->access == SANDBOX_HIDE)
            rc = take_nothing(ctx, v, p->path);
        else
            rc = take_path(
                ctx, v, p->path, p->path,
                LOCKED | (p->access == SANDBOX_READ ? MOUNT_ATTR_RDONLY : 0));
    }
    return rc;
}

/* In this order they are put in their places: what is below another, later. */
static int take_all(struct ctx *ctx, struct view *v, const struct sandbox *sb)
{
    int rc = take_system(ctx, v);

    if (rc == 0)
        rc = take_resolver(ctx, v);
    if (rc == 0)
        rc = take_devices(ctx, v, sb);
    if (rc == 0) /* while the old one is there: else a user may not */
        rc =
            take_new(ctx, v, "proc", "/proc", NULL, LOCKED | MOUNT_ATTR_NOEXEC);
    if (rc == 0)
        rc = take_tmpfs(ctx, v, "/tmp",
                        sb->tmp_mb ? sb->tmp_mb : TMP_MB_DEFAULT);
    if (rc == 0)
        rc = take_given(ctx, v, sb);
    return rc;
}

/* ---- the new root ---- */

/* Links like /bin -> usr/bin, as they were; and those that /dev always has. */
static const struct {
    const char *to, *at;
} links[] = {
    {"/tmp", "/var/tmp"},
    {"/proc/self/fd", "/dev/fd"},
    {"/proc/self/fd/0", "/dev/stdin"},
    {"/proc/self/fd/1", "/dev/stdout"},
    {"/proc/self/fd/2", "/dev/stderr"},
    {"/run", "/var/run"},
};

struct old_links {
    const char *to[sizeof(system_folders) / sizeof(system_folders[0])];
};

static void old_links_read(struct ctx *ctx, struct old_links *old)
{
    char to[256];
    ssize_t n;

    for (size_t i = 0; i < sizeof(old->to) / sizeof(old->to[0]); i++) {
        n = readlink(system_folders[i], to, sizeof(to) - 1);
        old->to[i] =
            n > 0 ? arena_printf(ctx->arena, "%.*s", (int)n, to) : NULL;
    }
}

static int enter_empty_root(struct ctx *ctx)
{
    if (mount("sandbox", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV,
              "mode=0755,size=1m") != 0 ||
        chdir("/tmp") != 0)
        return refused(ctx, "cannot mount a tmpfs on", "/tmp");
    /* Both at one place: the old root lies on the new one, and is taken off. */
    if (syscall(SYS_pivot_root, ".", ".") != 0 ||
        umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
        return refused(ctx, "cannot leave the root for", "/tmp");
    return 0;
}

/* The folders above `path`, and the folder or the empty file to mount on. */
static int make_place(struct ctx *ctx, const char *path, bool folder)
{
    char *p = arena_strdup(ctx->arena, path);
    int fd;

    for (char *slash = strchr(p + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(p, 0755) != 0 && errno != EEXIST)
            return refused(ctx, "cannot make the folder", p);
        *slash = '/';
    }
    if (access(p, F_OK) == 0)
        return 0;
    if (folder)
        return mkdir(p, 0755) == 0 ? 0 : refused(ctx, "cannot make", p);
    fd = open(p, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return refused(ctx, "cannot make", p);
    close(fd);
    return 0;
}

static int put_trees(struct ctx *ctx, const struct view *v)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < v->n; i++) {
        const struct tree *t = &v->trees[i];

        rc = make_place(ctx, t->at, t->folder);
        if (rc == 0 && move_mount(t->fd, "", AT_FDCWD, t->at,
                                  MOVE_MOUNT_F_EMPTY_PATH) != 0)
            rc = refused(ctx, "cannot mount", t->at);
        close(t->fd);
    }
    return rc;
}

static int put_links(struct ctx *ctx, const struct old_links *old)
{
    int rc = make_place(ctx, "/var/empty", true);

    if (rc == 0)
        rc = make_place(ctx, "/run", true);
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
        if (symlink(links[i].to, links[i].at) != 0 && errno != EEXIST)
            rc = refused(ctx, "cannot link", links[i].at);
    for (size_t i = 0; i < sizeof(old->to) / sizeof(old->to[0]); i++)
        if (old->to[i] && symlink(old->to[i], system_folders[i]) != 0)
            rc = refused(ctx, "cannot link", system_folders[i]);
    return rc;
}

static int lock_folder(struct ctx *ctx, const char *at)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | LOCKED};
    struct stat st;

    if (stat(at, &st) != 0 || !S_ISDIR(st.st_mode))
        return 0;
    if (mount_setattr(AT_FDCWD, at, 0, &attr, sizeof(attr)) != 0)
        return refused(ctx, "cannot make read-only", at);
    return 0;
}

/* What was open to be filled. */
static int lock(struct ctx *ctx, const struct sandbox *sb)
{
    int rc = lock_folder(ctx, "/");

    for (size_t i = 0; rc == 0 && i < sb->n_paths; i++)
        if (sb->paths[i].access == SANDBOX_HIDE)
            rc = lock_folder(ctx, sb->paths[i].path);
    return rc;
}

int view_enter(struct ctx *ctx, const struct sandbox *sb)
{
    static struct view v;
    struct old_links old;
    mode_t mask = umask(022);
    int rc = 0;

    old_links_read(ctx, &old);
    /* The namespace is a copy of the parent's: changes stay in it. */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        rc = refused(ctx, "cannot make mounts private below", "/");
    if (rc == 0)
        rc = take_all(ctx, &v, sb);
    if (rc == 0)
        rc = enter_empty_root(ctx);
    if (rc == 0)
        rc = put_trees(ctx, &v);
    if (rc == 0)
        rc = put_links(ctx, &old);
    if (rc == 0)
        rc = lock(ctx, sb);
    umask(mask);
    return rc;
}
