/* limits - setrlimit(), the user, capabilities. */
#include "sandbox/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    OPEN_FILES = 16384,
    /* For a core dump through a pipe only 1 means none (core(5)). */
    CORE_BYTES = 1,
    WALK_DEPTH = 64,
};

/* Never above what there is: raising would need a privilege. */
static void limit(int what, int64_t most)
{
    struct rlimit now, want;

    if (most <= 0 || getrlimit((unsigned)what, &now) != 0)
        return;
    want.rlim_max = (rlim_t)most < now.rlim_max ? (rlim_t)most : now.rlim_max;
    want.rlim_cur = want.rlim_max;
    setrlimit((unsigned)what, &want);
}

void limits_set(const struct sandbox *sb)
{
    limit(RLIMIT_CORE, CORE_BYTES);
    limit(RLIMIT_NOFILE, OPEN_FILES);
    limit(RLIMIT_FSIZE, sb->file_mb << 20);
    limit(RLIMIT_NPROC, sb->by_user);
    signal(SIGXFSZ, SIG_IGN);
}

static int not_dropped(struct ctx *ctx, const char *what)
{
    return ctx_err(ctx, ERR_DENIED, "cannot %s: %s", what, strerror(errno));
}

int limits_drop(struct ctx *ctx, const struct sandbox *sb)
{
    struct __user_cap_header_struct head = {.version =
                                                _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}, {0}};

    /* Fails at the first number that the kernel does not know. */
    for (unsigned long cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0;
         cap++)
        ;
    if (sb->uid &&
        (setgroups(0, NULL) != 0 || setresgid(sb->uid, sb->uid, sb->uid) != 0 ||
         setresuid(sb->uid, sb->uid, sb->uid) != 0))
        return not_dropped(ctx, "become the application's user");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return not_dropped(ctx, "set no_new_privs");
    if (syscall(SYS_capset, &head, none) != 0)
        return not_dropped(ctx, "drop the capabilities");
    return 0;
}

/* ---- files of the application's user ---- */

static uid_t owner; /* of limits_own(): nftw() passes nothing on */

static int own_one(const char *path, const struct stat *st, int type,
                   struct FTW *ftw)
{
    (void)type;
    (void)ftw;
    if (st->st_uid == owner && st->st_gid == owner)
        return 0;
    return fchownat(AT_FDCWD, path, owner, owner, AT_SYMLINK_NOFOLLOW);
}

int limits_own(struct ctx *ctx, const char *path, uid_t uid)
{
    struct stat st;

    /* The top is changed last, so it tells about all. */
    if (stat(path, &st) == 0 && st.st_uid == uid)
        return 0;
    owner = uid;
    if (nftw(path, own_one, WALK_DEPTH, FTW_DEPTH | FTW_PHYS) != 0)
        return ctx_err(ctx, ERR_IO, "cannot give %s to user %u: %s", path, uid,
                       strerror(errno));
    return 0;
}
