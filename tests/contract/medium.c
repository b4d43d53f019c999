/*
 * medium - a disk that need not be waited for.
 *
 * With CONTRACT_NO_SYNC=1 in the environment nothing is synced: these come
 * before those of libc.  What a process wrote outlives its kill -9 all the
 * same, so every case keeps its meaning, and a store that syncs a handful of
 * files for each commit is through in seconds.  The stores then stand in
 * memory, where there is room.  That a store does sync is for its unit test to
 * see.
 */
#include "contract.h"

#include <sys/statvfs.h>
#include <sys/syscall.h>

/* More than the suite ever has in its folder. */
#define ROOM ((uint64_t)512 * 1024 * 1024)

static bool wanted(void)
{
    static int no_sync = -1; /* any thread may find it out */
    int v = __atomic_load_n(&no_sync, __ATOMIC_RELAXED);

    if (v < 0) {
        const char *s = getenv("CONTRACT_NO_SYNC");

        v = s && *s == '1';
        __atomic_store_n(&no_sync, v, __ATOMIC_RELAXED);
    }
    return !v;
}

int fsync(int fd)
{
    return wanted() ? (int)syscall(SYS_fsync, fd) : 0;
}

int fdatasync(int fd)
{
    return wanted() ? (int)syscall(SYS_fdatasync, fd) : 0;
}

int syncfs(int fd)
{
    return wanted() ? (int)syscall(SYS_syncfs, fd) : 0;
}

void medium_choose(void)
{
    static const char memory[] = "/dev/shm";
    struct statvfs fs;

    if (wanted() || getenv("TMPDIR") || access(memory, W_OK) != 0)
        return;
    if (statvfs(memory, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_bsize > ROOM)
        setenv("TMPDIR", memory, 1);
}
