/*
 * kv_files - the plain store in a folder: one file for each key.
 *
 *     FORMAT     "appscale dhash-files 1"
 *     new/       files that are being written
 *     00/ ... ff/
 *         HEX    a value; the folder and the name are the key's BLAKE2b-256
 *
 * A file is 16 bytes of BLAKE2b over the rest, the length of the key (4 bytes,
 * big-endian), the key, the value: what does not read back is told apart from
 * what was never written.  Names are a hash that nobody can aim at, so that any
 * bytes are a key and no two keys meet.  256 folders keep each of them small
 * into the millions of keys.
 *
 * A put writes a file in new/, syncs it, renames it to its place and syncs the
 * folder there.  Many at once wait for the medium twice: when all are written,
 * and when all are in place.
 */
#include "base/buf.h"
#include "base/errinj.h"
#include "base/files.h"
#include "base/log.h"
#include "storage/dhash/dhash_kv.h"
#include "storage/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    DIGEST = 16,
    HEAD = DIGEST + 4,
    NAME = 32, /* bytes of the hash that names a key */
    FOLDERS = 256,
    SYNC_EACH = 24, /* more files than these are synced with the file system */
};

struct kv_files {
    struct dhash_kv base;
    char *path;
    int dir;          /* the folder, open and locked as long as the store is */
    bool made_folder; /* one that is not known to be on the medium */
};

static struct kv_files *files_of(struct dhash_kv *kv)
{
    return (struct kv_files *)kv;
}

/* ---- names ---- */

struct place {
    uint8_t folder;
    char path[2 * NAME + 2]; /* "ab/cdef..." below the folder of the store */
};

static struct place place_of(struct bytes key)
{
    uint8_t hash[NAME];
    char hex[2 * NAME + 1];
    struct place p;

    crypto_generichash(hash, sizeof(hash), key.p, key.n, NULL, 0);
    sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
    p.folder = hash[0];
    snprintf(p.path, sizeof(p.path), "%.2s/%s", hex, hex + 2);
    return p;
}

static int fail(struct ctx *ctx, struct kv_files *f, const char *doing,
                const char *name)
{
    return folder_err(ctx, doing,
                      arena_printf(ctx->arena, "%s/%s", f->path, name));
}

/* ---- the bytes of a file ---- */

static void put_be32(uint8_t *p, size_t v)
{
    for (int i = 3; i >= 0; i--, v >>= 8)
        p[i] = (uint8_t)v;
}

static size_t get_be32(const uint8_t *p)
{
    return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

/* What stands in front of key and value. */
static void make_head(uint8_t head[HEAD], struct bytes key, struct bytes value)
{
    crypto_generichash_state state;

    put_be32(head + DIGEST, key.n);
    crypto_generichash_init(&state, NULL, 0, DIGEST);
    crypto_generichash_update(&state, head + DIGEST, HEAD - DIGEST);
    crypto_generichash_update(&state, key.p, key.n);
    crypto_generichash_update(&state, value.p, value.n);
    crypto_generichash_final(&state, head, DIGEST);
}

/* The value in a file that is whole and this key's. */
static bool parse(struct bytes file, struct bytes key, struct bytes *value)
{
    const uint8_t *p = file.p;
    uint8_t digest[DIGEST];

    if (file.n < HEAD + key.n || get_be32(p + DIGEST) != key.n)
        return false;
    crypto_generichash(digest, DIGEST, p + DIGEST, file.n - DIGEST, NULL, 0);
    *value = bytes_from(file, HEAD + key.n);
    return memcmp(digest, p, DIGEST) == 0 &&
           bytes_eq(BYTES(p + HEAD, key.n), key);
}

/* ---- get ---- */

static ssize_t read_all(int fd, uint8_t *p, size_t n)
{
    size_t got = 0;

    while (got < n) {
        ssize_t r = read(fd, p + got, n - got);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -1;
        if (r == 0)
            break;
        got += (size_t)r;
    }
    return (ssize_t)got;
}

static int read_file(struct arena *a, int fd, struct bytes *out)
{
    struct stat st;
    uint8_t *p;
    ssize_t n;

    if (fstat(fd, &st) != 0)
        return -1;
    p = arena_alloc(a, (size_t)st.st_size + 1);
    n = read_all(fd, p, (size_t)st.st_size);
    if (n < 0)
        return -1;
    *out = BYTES(p, (size_t)n);
    return 0;
}

static int files_get(struct ctx *ctx, struct dhash_kv *kv, struct bytes key,
                     struct arena *a, struct bytes *value)
{
    struct kv_files *f = files_of(kv);
    struct place place = place_of(key);
    int fd = openat(f->dir, place.path, O_RDONLY | O_CLOEXEC);
    struct bytes file;
    int rc = 0;

    if (fd < 0 && errno == ENOENT)
        return ERR_NOT_FOUND;
    if (fd < 0)
        return fail(ctx, f, "cannot open", place.path);
    if (read_file(a, fd, &file) != 0)
        rc = fail(ctx, f, "cannot read", place.path);
    else if (!parse(file, key, value))
        rc = ctx_err(ctx, ERR_CORRUPT,
                     "storage: the file %s/%s does not read back; restore the "
                     "folder from a backup",
                     f->path, place.path);
    close(fd);
    return rc;
}

/* ---- writing, in steps ---- */

struct step {
    struct ctx *ctx;
    struct kv_files *f;
    const struct dhash_kv_write *writes;
    size_t n;
    struct place *places;
};

static const char *new_name(char *out, size_t size, size_t i)
{
    snprintf(out, size, "new/%zu", i);
    return out;
}

static int write_all(int fd, struct iovec *v, int n)
{
    while (n > 0) {
        ssize_t done = writev(fd, v, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        for (; n > 0 && (size_t)done >= v->iov_len; v++, n--)
            done -= (ssize_t)v->iov_len;
        if (n > 0) {
            v->iov_base = (uint8_t *)v->iov_base + done;
            v->iov_len -= (size_t)done;
        }
    }
    return 0;
}

static int write_contents(int fd, const struct dhash_kv_write *w)
{
    uint8_t head[HEAD];
    struct iovec v[] = {{head, HEAD},
                        {(void *)w->key.p, w->key.n},
                        {(void *)w->value.p, w->value.n}};

    if (errinj("dhash.files.no_space")) {
        errno = ENOSPC;
        return -1;
    }
    make_head(head, w->key, w->value);
    return write_all(fd, v, 3);
}

static int write_new(struct step *s, size_t i)
{
    char name[32];
    int fd = openat(s->f->dir, new_name(name, sizeof(name), i),
                    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int rc = 0;

    if (fd < 0)
        return fail(s->ctx, s->f, "cannot write", name);
    if (write_contents(fd, &s->writes[i]) != 0 ||
        (s->n <= SYNC_EACH && fsync(fd) != 0))
        rc = fail(s->ctx, s->f, "cannot write", name);
    close(fd);
    return rc;
}

/* All contents on the medium, under names that count for nothing. */
static int write_contents_of_all(struct step *s)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        if (!s->writes[i].del)
            rc = write_new(s, i);
    }
    if (rc == 0 && s->n > SYNC_EACH && syncfs(s->f->dir) != 0)
        rc = fail(s->ctx, s->f, "cannot sync", "new");
    return rc;
}

static void forget_contents(struct step *s)
{
    char name[32];

    for (size_t i = 0; i < s->n; i++) {
        if (!s->writes[i].del)
            unlinkat(s->f->dir, new_name(name, sizeof(name), i), 0);
    }
}

static int make_folders(struct step *s)
{
    for (size_t i = 0; i < s->n; i++) {
        char name[3];

        if (s->writes[i].del)
            continue;
        snprintf(name, sizeof(name), "%.2s", s->places[i].path);
        if (mkdirat(s->f->dir, name, 0700) == 0)
            s->f->made_folder = true;
        else if (errno != EEXIST)
            return fail(s->ctx, s->f, "cannot make the folder", name);
    }
    return 0;
}

static int put_in_place(struct step *s, size_t i)
{
    const char *path = s->places[i].path;
    int dir = s->f->dir;
    char name[32];

    if (s->writes[i].del) {
        if (unlinkat(dir, path, 0) == 0 || errno == ENOENT)
            return 0;
        return fail(s->ctx, s->f, "cannot remove", path);
    }
    if (renameat(dir, new_name(name, sizeof(name), i), dir, path) == 0)
        return 0;
    return fail(s->ctx, s->f, "cannot write", path);
}

static int sync_folder(struct kv_files *f, const char *name)
{
    int fd = openat(f->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc;

    if (fd < 0)
        return errno == ENOENT ? 0 : -1; /* nothing was deleted from it */
    rc = fsync(fd);
    close(fd);
    return rc;
}

static int sync_folders(struct step *s)
{
    bool done[FOLDERS] = {false};

    for (size_t i = 0; i < s->n; i++) {
        const struct place *p = &s->places[i];
        char name[3];

        snprintf(name, sizeof(name), "%.2s", p->path);
        if (!done[p->folder] && sync_folder(s->f, name) != 0)
            return -1;
        done[p->folder] = true;
    }
    return s->f->made_folder ? fsync(s->f->dir) : 0;
}

static int sync_places(struct step *s)
{
    int rc;

    if (errinj("dhash.files.sync_place")) {
        errno = EIO;
        return -1;
    }
    rc = s->n > SYNC_EACH ? syncfs(s->f->dir) : sync_folders(s);
    if (rc == 0)
        s->f->made_folder = false;
    return rc;
}

/* From the first rename on an error leaves open what is on the medium. */
static int put_all_in_place(struct step *s)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        rc = put_in_place(s, i);
        errinj_crash("dhash.files.placed");
    }
    if (rc != 0 || sync_places(s) == 0)
        return rc;
    return ctx_err(s->ctx, ERR_UNKNOWN,
                   "storage: cannot sync %s: %s; the disk is failing: look at "
                   "the kernel's log",
                   s->f->path, strerror(errno));
}

static int files_many(struct ctx *ctx, struct dhash_kv *kv,
                      const struct dhash_kv_write *writes, size_t n)
{
    struct arena arena = ARENA_INIT;
    struct step s = {.ctx = ctx, .f = files_of(kv), .writes = writes, .n = n};
    int rc;

    s.places = ARENA_ARRAY(&arena, struct place, n);
    for (size_t i = 0; i < n; i++)
        s.places[i] = place_of(writes[i].key);
    rc = write_contents_of_all(&s);
    errinj_crash("dhash.files.written");
    if (rc == 0)
        rc = make_folders(&s);
    if (rc == 0)
        rc = put_all_in_place(&s);
    if (rc != 0)
        forget_contents(&s);
    arena_release(&arena);
    return rc;
}

static int files_put(struct ctx *ctx, struct dhash_kv *kv, struct bytes key,
                     struct bytes value)
{
    const struct dhash_kv_write w = {.key = key, .value = value};

    return files_many(ctx, kv, &w, 1);
}

static int files_del(struct ctx *ctx, struct dhash_kv *kv, struct bytes key)
{
    const struct dhash_kv_write w = {.key = key, .del = true};

    return files_many(ctx, kv, &w, 1);
}

/* ---- open and close ---- */

/*
 * new/ is made anew: what a kill left there counts for nothing.  And one sync
 * of all, since who was killed may not have waited for what it renamed.
 */
static int make_ready(struct ctx *ctx, struct kv_files *f)
{
    files_remove_tree(arena_printf(ctx->arena, "%s/new", f->path));
    if (mkdirat(f->dir, "new", 0700) != 0 && errno != EEXIST)
        return fail(ctx, f, "cannot make the folder", "new");
    if (syncfs(f->dir) != 0)
        return folder_err(ctx, "cannot sync", f->path);
    return 0;
}

static void files_close(struct dhash_kv *kv)
{
    struct kv_files *f = files_of(kv);

    close(f->dir);
    free(f->path);
    free(f);
}

static int files_open(struct ctx *ctx, const struct storage_options *o,
                      struct dhash_kv **kv)
{
    static const struct folder_kind kind = {"dhash-files", 1, "new"};
    struct kv_files *f;
    int dir, rc;

    if (!o->path || !*o->path)
        return ctx_err(ctx, ERR_INVALID, "storage: dhash:files needs a folder");
    rc = folder_open(ctx, o->path, &kind, &dir);
    if (rc != 0)
        return rc;
    f = calloc(1, sizeof(*f));
    if (!f || !(f->path = strdup(o->path)) || sodium_init() < 0)
        die("out of memory opening the store");
    f->base.ops = &dhash_kv_files;
    f->dir = dir;
    rc = make_ready(ctx, f);
    if (rc != 0) {
        files_close(&f->base);
        return rc;
    }
    *kv = &f->base;
    return 0;
}

const struct dhash_kv_ops dhash_kv_files = {
    .name = "files",
    .durable = true,
    .quick = false,
    .value_max = 256 * 1024 * 1024,
    .open = files_open,
    .get = files_get,
    .put = files_put,
    .del = files_del,
    .many = files_many,
    .close = files_close,
};
