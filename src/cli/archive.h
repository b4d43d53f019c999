/*
 * archive - an application's folder as a gzipped tar, the same bytes each time.
 *
 * Names are sorted, owners are root, times are zero, modes are 0644 or 0755, so
 * that the archive's SHA-256 names its contents: an unchanged folder is not
 * sent twice.  It is compressed in members (base/members.h), so that of one
 * that has changed only the changed files are sent.  ustar, with pax headers
 * for names and sizes that do not fit. Symbolic links to files and folders
 * inside are followed, as gcloud does; a link that leaves the folder, or leads
 * to nothing, is an error.  Names follow App Engine's rules.
 */
#ifndef CLI_ARCHIVE_H
#define CLI_ARCHIVE_H

#include "base/members.h"
#include "cli/ignore.h"

enum {
    ARCHIVE_FILES_MAX = 10000, /* Google: files of one version */
    ARCHIVE_NAME_MAX = 1024,   /* appinfo / appcfg: a file's name */
    ARCHIVE_DEPTH_MAX = 64,    /* ours: a loop of links ends here */
};
#define ARCHIVE_FILE_SIZE_MAX (INT64_C(512) << 20) /* ours; Google: 32 MB */

struct archive {
    int fd;       /* of an unlinked temporary file, at its start */
    int64_t size; /* bytes of it */
    char sha256[65];
    int files;
    int64_t unpacked;       /* bytes of all files */
    struct members members; /* in the context's arena */
};

/*
 * Pack `dir`.  `tick` (may be NULL) is called now and then with `arg`.
 * Errors: ERR_INVALID for a name or link that cannot be shipped, ERR_TOO_LARGE,
 * ERR_IO; the story names the file.  Close out->fd.
 */
int archive_make(struct ctx *ctx, const char *dir, const struct ignore *ig,
                 void (*tick)(void *arg), void *arg, struct archive *out);

/* A file that nobody else sees and that goes when it is closed: its descriptor,
 * or ERR_IO. */
int archive_temporary(struct ctx *ctx);

/* Why a file's name may not be shipped, or NULL. */
const char *archive_name_refused(const char *name);

#endif
