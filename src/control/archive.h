/*
 * archive - an application's code, on its way to the store and back.
 *
 * An archive is a gzipped tar, named by its SHA-256.  It arrives in pieces in
 * DIR/cache/uploads/SHA256, is kept by the store in rows of 512 KiB, and comes
 * back into a file when a machine has to unpack it.  Thread rule: the loop's;
 * what waits for the disk runs on the pool.
 */
#ifndef CONTROL_ARCHIVE_H
#define CONTROL_ARCHIVE_H

#include "control/server_call.h"

struct control;

enum {
    ARCHIVE_ROW = 512 * 1024,
    ARCHIVE_PIECE_MAX = 8 * 1024 * 1024, /* of an upload */
    ARCHIVE_NAME = 64,                   /* hex digits */
};

/* Whether `name` is 64 lower-case hex digits. */
bool archive_name_ok(const char *name);

/* The file of an upload; in the arena. */
const char *archive_path(struct control *ctl, struct arena *a,
                         const char *name);

/* Bytes of it that are there; 0 when none. */
int64_t archive_size(struct control *ctl, const char *name);

/*
 * Append a piece of an upload at `offset`, on the pool; fn tells.  The last
 * piece (offset + piece == total) is checked: ERR_INVALID on a wrong sum, and
 * the upload is gone.  `piece` must live until then.
 */
void archive_append(struct control *ctl, const char *name, int64_t offset,
                    int64_t total, struct bytes piece, server_done_fn *fn,
                    void *arg);

/* Whether an upload is complete: its checked mark is there. */
bool archive_complete(struct control *ctl, const char *name);

/*
 * Read an upload into rows of the store, one commit per row; fn tells.  The
 * file stays.  A store cut short is done again from the first row: the rows of
 * a name are the same bytes each time.
 */
void archive_store(struct control *ctl, const char *name, server_done_fn *fn,
                   void *arg);

/*
 * Bring an archive of `size` bytes back from the store; fn tells.  It takes its
 * name only when every row is there: ERR_CORRUPT when one is missing.
 */
void archive_fetch(struct control *ctl, const char *name, int64_t size,
                   server_done_fn *fn, void *arg);

/*
 * Delete the rows of an archive of `size` bytes, all in one commit; fn tells.
 * The caller knows that no version uses it any more.
 */
void archive_delete(struct control *ctl, const char *name, int64_t size,
                    server_done_fn *fn, void *arg);

/*
 * Remove the file and what there is of an unfinished one; the store keeps its
 * rows.
 */
void archive_forget(struct control *ctl, const char *name);

#endif
