/*
 * files - the few things a program of ours does to the file system.
 *
 * Small files on a local disk only; what is large (archives, folders of an
 * application) is done by a child or on a thread of the pool.
 */
#ifndef BASE_FILES_H
#define BASE_FILES_H

#include "base/buf.h"
#include "base/ctx.h"

#include <sys/types.h>

/* The folder and those above it, 0700 where missing.  ERR_IO, ERR_NO_SPACE,
 * ERR_DENIED with the path and the reason. */
int files_mkdirs(struct ctx *ctx, const char *path);

/*
 * Replace a file whole: written beside it, synced, renamed, and the folder
 * synced, so that a crash leaves the old contents or the new.
 */
int files_replace(struct ctx *ctx, const char *path, struct bytes text,
                  mode_t mode);

/* As files_replace(); *changed tells whether the contents differed.  A file
 * that has them already is left alone. */
int files_update(struct ctx *ctx, const char *path, struct bytes text,
                 mode_t mode, bool *changed);

/* The contents, in the arena; at most `max` bytes.  ERR_NOT_FOUND without a
 * story. */
int files_read(struct ctx *ctx, const char *path, size_t max,
               struct bytes *out);

/* The last `lines` lines (at most 64 KiB of them) without the final newline;
 * empty when there is no such file. */
struct bytes files_tail(struct arena *a, const char *path, int lines);

/* Remove a file or a folder with everything below; links are not followed.
 * May take long: for the pool. */
void files_remove_tree(const char *path);

/* Turn errno into a code and the story "PATH: reason, what to do". */
int files_err(struct ctx *ctx, const char *what, const char *path);

#endif
