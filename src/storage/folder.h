/*
 * folder - the folder of a store on this machine: made, locked, and known by
 * its file FORMAT.
 *
 * For backends that keep their rows in files.  One thread, at open.
 */
#ifndef STORAGE_FOLDER_H
#define STORAGE_FOLDER_H

#include "base/ctx.h"

struct folder_kind {
    const char *name; /* in FORMAT: "appscale NAME VERSION" */
    int version; /* the highest this program reads, and the one it writes */
    const char *rows; /* an entry that is there once rows may be */
};

/*
 * Make the folder ready: it exists, is locked against other processes, and
 * says in its file FORMAT which layout it holds.  On 0, *dir is to be closed,
 * which lets the lock go.  ERR_UNAVAILABLE in use, ERR_INVALID of another
 * backend or newer, ERR_CORRUPT, ERR_IO, ERR_NO_SPACE.
 */
int folder_open(struct ctx *ctx, const char *path,
                const struct folder_kind *kind, int *dir);

/* errno as ERR_NO_SPACE or ERR_IO, with the story "DOING PATH: reason". */
int folder_err(struct ctx *ctx, const char *doing, const char *path);

#endif
