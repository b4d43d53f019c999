/*
 * ignore - which files of an application are left out.
 *
 * Either .gcloudignore, in gitignore's syntax with `#!include:FILE`, or the
 * pattern of skip_files; never both (gcloud refuses that, and so do we).  Paths
 * are relative to the application's folder, with '/' between names.
 */
#ifndef CLI_IGNORE_H
#define CLI_IGNORE_H

#include "base/ctx.h"

struct ignore;

/*
 * The rules of the folder `dir`.  `skip_files` is app.yaml's pattern, or NULL:
 * without a .gcloudignore either, what App Engine skips by itself, and what
 * gcloud's .gcloudignore for `runtime` would name.
 * ERR_INVALID when both are there or .gcloudignore cannot be read.  Goes away
 * with the ctx's arena.
 */
int ignore_load(struct ctx *ctx, const char *dir, const char *skip_files,
                const char *runtime, struct ignore **out);

/* The rules of a text, for tests and includes. */
int ignore_parse(struct ctx *ctx, const char *dir, struct bytes text,
                 struct ignore **out);

/* Whether a file, or a folder with all that is below it, is left out.  Parents
 * have been asked before. */
bool ignore_match(const struct ignore *ig, const char *path, bool is_dir);

#endif
