/* members - walk, look up, join. */
#include "base/members.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 256 * 1024 };

/* RFC 1952: magic, deflate, FEXTRA; no time; 8 bytes of one extra field. */
static const uint8_t head[16] = {0x1f, 0x8b, 8, 4, 0,   0,   0, 0,
                                 0,    3,    8, 0, 'A', 'S', 4, 0};

void members_header(uint8_t out[MEMBERS_HEADER], uint32_t size)
{
    memcpy(out, head, sizeof(head));
    for (int i = 0; i < 4; i++)
        out[sizeof(head) + (size_t)i] = (uint8_t)(size >> (8 * i));
}

bool members_sha_ok(const char *text)
{
    return strlen(text) == MEMBERS_SHA &&
           strspn(text, "0123456789abcdef") == MEMBERS_SHA;
}

/* ---- reading ---- */

static ssize_t read_at(int fd, void *p, size_t n, int64_t at)
{
    size_t done = 0;

    while (done < n) {
        ssize_t got =
            pread(fd, (uint8_t *)p + done, n - done, at + (int64_t)done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static void to_hex(crypto_hash_sha256_state *h, char out[MEMBERS_SHA + 1])
{
    unsigned char sum[crypto_hash_sha256_BYTES];

    crypto_hash_sha256_final(h, sum);
    sodium_bin2hex(out, MEMBERS_SHA + 1, sum, sizeof(sum));
}

/* Take the sum of one member, and add it to that of the file. */
static int read_member(struct ctx *ctx, int fd, struct member *m, uint8_t *room,
                       crypto_hash_sha256_state *whole)
{
    crypto_hash_sha256_state own;

    crypto_hash_sha256_init(&own);
    for (int64_t at = 0; at < m->size; at += CHUNK) {
        size_t n = m->size - at < CHUNK ? (size_t)(m->size - at) : CHUNK;

        if (read_at(fd, room, n, m->offset + at) != (ssize_t)n)
            return ctx_err(ctx, ERR_IO, "cannot read an archive: %s",
                           strerror(errno));
        crypto_hash_sha256_update(&own, room, n);
        crypto_hash_sha256_update(whole, room, n);
    }
    to_hex(&own, m->sha256);
    return 0;
}

static int next_member(struct ctx *ctx, int fd, int64_t at, int64_t end,
                       struct member *out)
{
    uint8_t h[MEMBERS_HEADER];
    uint32_t size = 0;

    if (read_at(fd, h, sizeof(h), at) != (ssize_t)sizeof(h) ||
        memcmp(h, head, sizeof(head)) != 0)
        return ctx_err(ctx, ERR_INVALID, "the archive is not in members");
    for (int i = 0; i < 4; i++)
        size |= (uint32_t)h[sizeof(head) + (size_t)i] << (8 * i);
    if (size < MEMBERS_HEADER || size > end - at)
        return ctx_err(ctx, ERR_INVALID, "a member of the archive is cut");
    *out = (struct member){.offset = at, .size = size};
    return 0;
}

int members_read(struct ctx *ctx, int fd, struct members *out)
{
    struct member *list = NULL;
    uint8_t *room = arena_alloc(ctx->arena, CHUNK);
    crypto_hash_sha256_state whole;
    size_t cap = 0;
    struct stat st;
    int rc = 0;

    *out = (struct members){0};
    if (fstat(fd, &st) != 0)
        return ctx_err(ctx, ERR_IO, "cannot read an archive: %s",
                       strerror(errno));
    crypto_hash_sha256_init(&whole);
    while (rc == 0 && out->size < st.st_size) {
        if (out->n == MEMBERS_MAX)
            return ctx_err(ctx, ERR_INVALID, "the archive has over %d members",
                           MEMBERS_MAX);
        if (out->n == cap) {
            size_t more = cap ? cap * 2 : 64;

            list = arena_grow(ctx->arena, list, cap * sizeof(*list),
                              more * sizeof(*list));
            cap = more;
        }
        rc = next_member(ctx, fd, out->size, st.st_size, &list[out->n]);
        if (rc == 0)
            rc = read_member(ctx, fd, &list[out->n], room, &whole);
        if (rc == 0)
            out->size += list[out->n++].size;
    }
    out->list = list;
    to_hex(&whole, out->sha256);
    return rc;
}

/* ---- looking up ---- */

/* Where a sum is found: a file and a member of it. */
struct row {
    const char *sha256;
    size_t file, member;
};

static int by_sha(const void *x, const void *y)
{
    const struct row *a = x, *b = y;
    int c = strcmp(a->sha256, b->sha256);

    if (c)
        return c;
    return a->file < b->file ? -1 : a->file > b->file;
}

static int to_sha(const void *key, const void *row)
{
    return strcmp(key, ((const struct row *)row)->sha256);
}

static struct row *index_of(struct arena *a, const struct members *files,
                            size_t n, size_t *count)
{
    struct row *rows;
    size_t at = 0;

    *count = 0;
    for (size_t i = 0; i < n; i++)
        *count += files[i].n;
    rows = ARENA_ARRAY(a, struct row, *count + 1);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < files[i].n; j++)
            rows[at++] = (struct row){files[i].list[j].sha256, i, j};
    if (at)
        qsort(rows, at, sizeof(*rows), by_sha);
    return rows;
}

static const struct row *find(const struct row *rows, size_t n, const char *sha)
{
    return n ? bsearch(sha, rows, n, sizeof(*rows), to_sha) : NULL;
}

size_t members_missing(struct ctx *ctx, const char *const *wanted,
                       size_t n_wanted, const struct members *files, size_t n,
                       size_t **out)
{
    size_t count, missing = 0;
    const struct row *rows = index_of(ctx->arena, files, n, &count);

    *out = ARENA_ARRAY(ctx->arena, size_t, n_wanted + 1);
    for (size_t i = 0; i < n_wanted; i++)
        if (!find(rows, count, wanted[i]))
            (*out)[missing++] = i;
    return missing;
}

/* ---- joining ---- */

static int write_all(struct ctx *ctx, int fd, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t w = write(fd, p, n);

        if (w < 0 && errno != EINTR)
            return ctx_err(ctx, errno == ENOSPC ? ERR_NO_SPACE : ERR_IO,
                           "cannot write the archive: %s", strerror(errno));
        if (w > 0) {
            p += w;
            n -= (size_t)w;
        }
    }
    return 0;
}

static int copy_member(struct ctx *ctx, int from, const struct member *m,
                       int to, uint8_t *room, crypto_hash_sha256_state *sum)
{
    int rc = 0;

    for (int64_t at = 0; rc == 0 && at < m->size; at += CHUNK) {
        size_t n = m->size - at < CHUNK ? (size_t)(m->size - at) : CHUNK;

        if (read_at(from, room, n, m->offset + at) != (ssize_t)n)
            return ctx_err(ctx, ERR_IO, "cannot read an archive: %s",
                           strerror(errno));
        crypto_hash_sha256_update(sum, room, n);
        rc = write_all(ctx, to, room, n);
    }
    return rc;
}

int members_join(struct ctx *ctx, const char *const *wanted, size_t n_wanted,
                 const int *fds, const struct members *files, size_t n, int to,
                 const char *sha256)
{
    uint8_t *room = arena_alloc(ctx->arena, CHUNK);
    char got[MEMBERS_SHA + 1];
    crypto_hash_sha256_state sum;
    size_t count;
    const struct row *rows = index_of(ctx->arena, files, n, &count);
    int rc = 0;

    crypto_hash_sha256_init(&sum);
    for (size_t i = 0; rc == 0 && i < n_wanted; i++) {
        const struct row *r = find(rows, count, wanted[i]);

        if (!r)
            return ctx_err(ctx, ERR_NOT_FOUND,
                           "part %zu of the archive is not here", i);
        rc = copy_member(ctx, fds[r->file], &files[r->file].list[r->member], to,
                         room, &sum);
    }
    if (rc)
        return rc;
    to_hex(&sum, got);
    if (strcmp(got, sha256) != 0)
        return ctx_err(ctx, ERR_INVALID,
                       "the parts make another archive: its sum is %s", got);
    return 0;
}
