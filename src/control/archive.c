/*
 * archive - pieces to a file, a file to rows, rows to a file.
 *
 * A transfer moves one row per step: read or ask, then write, then the next.
 */
#include "control/archive.h"

#include "base/files.h"
#include "base/members.h"
#include "control/control_int.h"
#include "platform.pb.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bool archive_name_ok(const char *name)
{
    return members_sha_ok(name);
}

const char *archive_path(struct control *ctl, struct arena *a, const char *name)
{
    return arena_printf(a, "%s/cache/uploads/%s", ctl->root, name);
}

/* The upload itself until it has been checked: a name without the suffix is
 * complete. */
static const char *part_path(struct control *ctl, struct arena *a,
                             const char *name)
{
    return arena_printf(a, "%s.part", archive_path(ctl, a, name));
}

static int64_t file_size(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? st.st_size : -1;
}

bool archive_complete(struct control *ctl, const char *name)
{
    struct arena a = ARENA_INIT;
    bool yes = file_size(archive_path(ctl, &a, name)) >= 0;

    arena_release(&a);
    return yes;
}

int64_t archive_size(struct control *ctl, const char *name)
{
    struct arena a = ARENA_INIT;
    int64_t n = file_size(archive_path(ctl, &a, name));

    if (n < 0)
        n = file_size(part_path(ctl, &a, name));
    arena_release(&a);
    return n > 0 ? n : 0;
}

void archive_forget(struct control *ctl, const char *name)
{
    struct arena a = ARENA_INIT;

    unlink(archive_path(ctl, &a, name));
    unlink(part_path(ctl, &a, name));
    arena_release(&a);
}

/* ---- a piece of an upload, on the pool ---- */

struct append {
    struct control *ctl;
    char name[ARCHIVE_NAME + 1];
    int64_t offset, total;
    struct bytes piece;
    struct arena arena;
    struct ctx ctx;
    int rc;
    server_done_fn *fn;
    void *arg;
};

static int file_sum(int fd, char hex[ARCHIVE_NAME + 1])
{
    static const size_t room = 256 * 1024;
    unsigned char sum[crypto_hash_sha256_BYTES], *p = malloc(room);
    crypto_hash_sha256_state h;
    ssize_t n = p ? 1 : -1;
    off_t at = 0;

    crypto_hash_sha256_init(&h);
    while (n > 0) {
        n = pread(fd, p, room, at);
        if (n > 0)
            crypto_hash_sha256_update(&h, p, (size_t)n);
        at += n;
    }
    free(p);
    crypto_hash_sha256_final(&h, sum);
    sodium_bin2hex(hex, ARCHIVE_NAME + 1, sum, sizeof(sum));
    return n == 0 ? 0 : -1;
}

static int finish_upload(struct ctx *ctx, struct append *ap, int fd,
                         const char *part)
{
    char hex[ARCHIVE_NAME + 1];

    if (fsync(fd) != 0 || file_sum(fd, hex) != 0)
        return files_err(ctx, "read back", part);
    if (strcmp(hex, ap->name) != 0) {
        unlink(part);
        return ctx_err(ctx, ERR_INVALID,
                       "the archive arrived damaged: its sum is %s; send it "
                       "again",
                       hex);
    }
    if (rename(part, archive_path(ap->ctl, ctx->arena, ap->name)) != 0)
        return files_err(ctx, "rename", part);
    return 0;
}

static int append_piece(struct ctx *ctx, struct append *ap)
{
    const char *part = part_path(ap->ctl, ctx->arena, ap->name);
    int fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0600), rc = 0;

    if (fd < 0)
        return files_err(ctx, "write", part);
    for (size_t done = 0; rc == 0 && done < ap->piece.n;) {
        ssize_t n = pwrite(fd, (const char *)ap->piece.p + done,
                           ap->piece.n - done, ap->offset + (off_t)done);

        if (n < 0 && errno != EINTR)
            rc = files_err(ctx, "write", part);
        else if (n > 0)
            done += (size_t)n;
    }
    if (rc == 0 && ap->offset + (int64_t)ap->piece.n == ap->total)
        rc = finish_upload(ctx, ap, fd, part);
    close(fd);
    return rc;
}

static void append_work(void *arg)
{
    struct append *ap = arg;

    ap->rc = append_piece(&ap->ctx, ap);
}

static void append_done(void *arg)
{
    struct append *ap = arg;

    ap->fn(&ap->ctx, ap->rc, ap->arg);
    arena_release(&ap->arena);
    free(ap);
}

void archive_append(struct control *ctl, const char *name, int64_t offset,
                    int64_t total, struct bytes piece, server_done_fn *fn,
                    void *arg)
{
    struct append *ap = calloc(1, sizeof(*ap));

    if (!ap)
        abort();
    *ap = (struct append){.ctl = ctl,
                          .offset = offset,
                          .total = total,
                          .piece = piece,
                          .fn = fn,
                          .arg = arg};
    memcpy(ap->name, name, ARCHIVE_NAME);
    ctx_init(&ap->ctx, &ap->arena);
    control_offload(ctl, append_work, append_done, ap);
}

/* ---- rows ---- */

struct transfer {
    struct control *ctl;
    char name[ARCHIVE_NAME + 1];
    int fd;
    int64_t row, rows;
    char *room; /* one row */
    server_done_fn *fn;
    void *arg;
};

static struct transfer *transfer_new(struct control *ctl, const char *name,
                                     server_done_fn *fn, void *arg)
{
    struct transfer *t = calloc(1, sizeof(*t));

    if (!t)
        abort();
    *t = (struct transfer){.ctl = ctl, .fd = -1, .fn = fn, .arg = arg};
    memcpy(t->name, name, ARCHIVE_NAME);
    return t;
}

static void transfer_end(struct transfer *t, struct ctx *ctx, int rc)
{
    if (t->fd >= 0)
        close(t->fd);
    t->fn(ctx, rc, t->arg);
    free(t->room);
    free(t);
}

static void set_key(struct ctx *ctx, struct platform_Key *k,
                    const struct transfer *t, int64_t row)
{
    platform_Key_set_table(k, BYTES_LIT("archives"));
    platform_Key_set_row(
        k, bytes_str(arena_printf(ctx->arena, "%s/%06" PRId64, t->name, row)));
}

static void commit(struct ctx *ctx, struct transfer *t,
                   struct platform_CommitRequest *m, server_call_fn *fn)
{
    server_call(ctx, t->ctl,
                &(struct server_call){.method = "Commit",
                                      .in = WIRE_platform_CommitRequest,
                                      .out = WIRE_platform_CommitResponse,
                                      .message = m,
                                      .fn = fn,
                                      .arg = t});
}

/* ---- file to store ---- */

static void store_row(struct ctx *ctx, struct transfer *t);

static void on_row_stored(struct ctx *ctx, int rc, const void *out, void *arg)
{
    struct transfer *t = arg;

    (void)out;
    if (rc)
        transfer_end(t, ctx, rc);
    else
        store_row(ctx, t);
}

static void store_row(struct ctx *ctx, struct transfer *t)
{
    struct platform_CommitRequest *m = platform_CommitRequest_new(ctx);
    struct platform_CommitRequest_Write *w;
    ssize_t n = pread(t->fd, t->room, ARCHIVE_ROW, t->row * ARCHIVE_ROW);

    if (n <= 0) {
        int rc = n < 0 ? ctx_err(ctx, ERR_IO, "cannot read the archive: %s",
                                 strerror(errno))
                       : 0;

        transfer_end(t, ctx, rc);
        return;
    }
    w = platform_CommitRequest_add_write(ctx, m);
    set_key(ctx, platform_CommitRequest_Write_mut_key(ctx, w), t, t->row++);
    platform_CommitRequest_Write_set_value(w, BYTES(t->room, (size_t)n));
    commit(ctx, t, m, on_row_stored);
}

/* Open the file and start with its first row. */
static int transfer_open(struct ctx *ctx, struct transfer *t, const char *path,
                         int flags)
{
    t->fd = open(path, flags | O_CLOEXEC, 0600);
    if (t->fd < 0)
        return files_err(ctx, "open", path);
    t->room = malloc(ARCHIVE_ROW);
    if (!t->room)
        abort();
    return 0;
}

void archive_store(struct control *ctl, const char *name, server_done_fn *fn,
                   void *arg)
{
    struct transfer *t = transfer_new(ctl, name, fn, arg);
    struct arena a = ARENA_INIT;
    struct ctx ctx;
    int rc;

    ctx_init(&ctx, &a);
    rc = transfer_open(&ctx, t, archive_path(ctl, &a, name), O_RDONLY);
    if (rc)
        transfer_end(t, &ctx, rc);
    else
        store_row(&ctx, t);
    arena_release(&a);
}

/* ---- store to file ---- */

static void fetch_row(struct ctx *ctx, struct transfer *t);

static int take_row(struct ctx *ctx, struct transfer *t,
                    const struct platform_GetResponse *r)
{
    const struct platform_GetResponse_Item *item;
    struct bytes v;

    item = platform_GetResponse_n_item(r) == 1 ? platform_GetResponse_item(r, 0)
                                               : NULL;
    if (!item || !platform_GetResponse_Item_has_value(item))
        return ctx_err(ctx, ERR_CORRUPT,
                       "the store lacks row %" PRId64 " of the archive %s",
                       t->row, t->name);
    v = platform_GetResponse_Item_value(item);
    if (pwrite(t->fd, v.p, v.n, t->row * ARCHIVE_ROW) != (ssize_t)v.n)
        return files_err(ctx, "write", "the archive");
    t->row++;
    return 0;
}

static void on_row_fetched(struct ctx *ctx, int rc, const void *out, void *arg)
{
    struct transfer *t = arg;

    if (rc == 0)
        rc = take_row(ctx, t, out);
    if (rc)
        transfer_end(t, ctx, rc);
    else
        fetch_row(ctx, t);
}

static void fetch_row(struct ctx *ctx, struct transfer *t)
{
    struct platform_GetRequest *m = platform_GetRequest_new(ctx);
    const char *part = part_path(t->ctl, ctx->arena, t->name);

    if (t->row == t->rows) {
        int rc = rename(part, archive_path(t->ctl, ctx->arena, t->name)) == 0
                     ? 0
                     : files_err(ctx, "rename", part);

        transfer_end(t, ctx, rc);
        return;
    }
    set_key(ctx, platform_GetRequest_add_key(ctx, m), t, t->row);
    server_call(ctx, t->ctl,
                &(struct server_call){.method = "Get",
                                      .in = WIRE_platform_GetRequest,
                                      .out = WIRE_platform_GetResponse,
                                      .message = m,
                                      .fn = on_row_fetched,
                                      .arg = t});
}

static int64_t rows_of(int64_t size)
{
    return (size + ARCHIVE_ROW - 1) / ARCHIVE_ROW;
}

void archive_fetch(struct control *ctl, const char *name, int64_t size,
                   server_done_fn *fn, void *arg)
{
    struct transfer *t = transfer_new(ctl, name, fn, arg);
    struct arena a = ARENA_INIT;
    struct ctx ctx;
    int rc;

    ctx_init(&ctx, &a);
    t->rows = rows_of(size);
    rc = transfer_open(&ctx, t, part_path(ctl, &a, name),
                       O_RDWR | O_CREAT | O_TRUNC);
    if (rc)
        transfer_end(t, &ctx, rc);
    else
        fetch_row(&ctx, t);
    arena_release(&a);
}

/* ---- out of the store ---- */

static void on_deleted(struct ctx *ctx, int rc, const void *out, void *arg)
{
    (void)out;
    transfer_end(arg, ctx, rc);
}

void archive_delete(struct control *ctl, const char *name, int64_t size,
                    server_done_fn *fn, void *arg)
{
    struct transfer *t = transfer_new(ctl, name, fn, arg);
    struct platform_CommitRequest *m;
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &a);
    m = platform_CommitRequest_new(&ctx);
    for (int64_t row = 0; row < rows_of(size); row++) {
        struct platform_CommitRequest_Write *w =
            platform_CommitRequest_add_write(&ctx, m);

        set_key(&ctx, platform_CommitRequest_Write_mut_key(&ctx, w), t, row);
    }
    commit(&ctx, t, m, on_deleted);
    arena_release(&a);
}
