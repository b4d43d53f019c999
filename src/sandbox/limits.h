/*
 * limits - rights that are given up, and how much of the machine there is.
 */
#ifndef SANDBOX_LIMITS_H
#define SANDBOX_LIMITS_H

#include "sandbox/sandbox.h"

/*
 * What setrlimit() bounds: open files, the size of a file, core dumps (none),
 * and, where control groups do not count them, processes.  SIGXFSZ is ignored:
 * a write past the limit fails with EFBIG.
 */
void limits_set(const struct sandbox *sb);

/*
 * Become the sandbox's user (as root), with no groups, no capabilities, and no
 * way to get any.  ERR_DENIED with the reason.
 */
int limits_drop(struct ctx *ctx, const struct sandbox *sb);

/*
 * Make the files of a folder, and all below, the user's and the group's `uid`.
 * Links are not followed; a folder that is theirs already is left alone.
 */
int limits_own(struct ctx *ctx, const char *path, uid_t uid);

#endif
