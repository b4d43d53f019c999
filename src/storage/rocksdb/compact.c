/*
 * compact - rewrite the files without what was replaced or deleted.
 *
 * A slice of the keys at a time, about four files of the lowest level: between
 * two slices the store is let go of, so that one that has to be opened again
 * waits for a slice and not for all, and whoever asked can see how far it is
 * and stop it.  Reads and commits go on.
 */
#include "storage/rocksdb/rocksdb_int.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { SLICE_FILES = 4 };

/* What the files of the store take on the disk. */
static int64_t disk_bytes(struct ctx *ctx, const struct rocks *r)
{
    DIR *d = opendir(r->path);
    int64_t sum = 0;

    for (struct dirent *e; d && (e = readdir(d));) {
        const char *path =
            arena_printf(ctx->arena, "%s/%s", r->path, e->d_name);
        struct stat st;

        if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
            sum += st.st_size;
    }
    if (d)
        closedir(d);
    return sum;
}

static int bytes_order(const void *x, const void *y)
{
    return bytes_cmp(*(const struct bytes *)x, *(const struct bytes *)y);
}

static int64_t lowest_level(const rocksdb_livefiles_t *files)
{
    int64_t level = 0;

    for (int i = 0; i < rocksdb_livefiles_count(files); i++) {
        if (rocksdb_livefiles_level(files, i) > level)
            level = rocksdb_livefiles_level(files, i);
    }
    return level;
}

/* The keys between slices, in order: where every fourth file begins. */
static int borders(struct ctx *ctx, struct rocks *r, struct bytes **out,
                   size_t *n)
{
    const rocksdb_livefiles_t *files;
    struct bytes *starts;
    int64_t level;
    size_t all = 0;
    int count, rc = rocks_enter(ctx, r);

    *n = 0;
    if (rc)
        return rc;
    files = rocksdb_livefiles(r->db);
    count = rocksdb_livefiles_count(files);
    level = lowest_level(files);
    starts = ARENA_ARRAY(ctx->arena, struct bytes, (size_t)count + 1);
    for (int i = 0; i < count; i++) {
        size_t size;
        const char *key = rocksdb_livefiles_smallestkey(files, i, &size);

        if (rocksdb_livefiles_level(files, i) == level)
            starts[all++] = arena_dup(ctx->arena, BYTES(key, size));
    }
    rocksdb_livefiles_destroy(files);
    rocks_leave(r);
    if (all > 1)
        qsort(starts, all, sizeof(*starts), bytes_order);
    for (size_t i = SLICE_FILES; i < all; i += SLICE_FILES)
        starts[(*n)++] = starts[i];
    *out = starts;
    return 0;
}

/* From `from` to `to`; BYTES_NONE is the beginning, and the end. */
static int compact_slice(struct ctx *ctx, struct rocks *r, struct bytes from,
                         struct bytes to)
{
    int rc = rocks_enter(ctx, r);

    if (rc)
        return rc;
    rocksdb_compact_range(r->db, from.p, from.n, to.p, to.n);
    rocks_leave(r);
    return 0;
}

int rocks_compact(struct ctx *ctx, struct storage *st,
                  storage_progress_fn *progress, void *arg,
                  struct storage_compaction *out)
{
    struct rocks *r = rocks_of(st);
    struct bytes *border, from = BYTES_NONE;
    size_t n;
    int rc;

    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    rc = borders(ctx, r, &border, &n);
    out->before = disk_bytes(ctx, r);
    for (size_t i = 0; i <= n && rc == 0; i++) {
        struct bytes to = i < n ? border[i] : BYTES_NONE;

        if (!progress((int)i, (int)n + 1, arg))
            return ERR_CANCELLED;
        rc = compact_slice(ctx, r, from, to);
        from = to;
    }
    out->after = disk_bytes(ctx, r);
    out->done = rc == 0;
    return rc;
}
