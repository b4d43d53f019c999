/*
 * members - a gzip file in parts that can be told apart.
 *
 * A gzip file may be several members, one after the other, and each may carry a
 * field of its writer's in its header.  Ours ("AS") holds the size of the whole
 * member, so a reader walks from one to the next without unpacking, while any
 * gunzip takes them as one stream.
 *
 * Archives that have a file in common have its member in common, byte by byte:
 * members_join() makes one archive of what another holds and of what is new.
 * Members are known by their SHA-256.  Thread rule: any; it waits for the disk.
 */
#ifndef BASE_MEMBERS_H
#define BASE_MEMBERS_H

#include "base/ctx.h"

enum {
    MEMBERS_HEADER = 20, /* bytes of a header */
    MEMBERS_SHA = 64,    /* hex digits */
    MEMBERS_MAX = 20000, /* of a file */
};

struct member {
    int64_t offset, size;
    char sha256[MEMBERS_SHA + 1];
};

struct members {
    struct member *list; /* in the order of the file */
    size_t n;
    int64_t size; /* of the file */
    char sha256[MEMBERS_SHA + 1];
};

/* The header of a member of `size` bytes, itself among them. */
void members_header(uint8_t out[MEMBERS_HEADER], uint32_t size);

/*
 * Walk the file, in ctx->arena.  ERR_INVALID when it is none of ours, or has
 * more than MEMBERS_MAX; ERR_IO.
 */
int members_read(struct ctx *ctx, int fd, struct members *out);

/* Whether a text is a SHA-256 as they are written here. */
bool members_sha_ok(const char *text);

/*
 * Write into `to` the members that `wanted` names by their sums, in its order,
 * each from the first of the `n` files that has it (fds beside their members).
 * ERR_NOT_FOUND when none has one; ERR_INVALID when the sum of all is not
 * `sha256`; ERR_IO, ERR_NO_SPACE.
 */
int members_join(struct ctx *ctx, const char *const *wanted, size_t n_wanted,
                 const int *fds, const struct members *files, size_t n, int to,
                 const char *sha256);

/* Those of `wanted` that no file has, as indices in the arena; how many. */
size_t members_missing(struct ctx *ctx, const char *const *wanted,
                       size_t n_wanted, const struct members *files, size_t n,
                       size_t **out);

#endif
