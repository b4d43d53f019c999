/*
 * archive - walk the folder, sort the names, write them through zlib into a
 * temporary file, member by member (base/members.h), and take the sums.
 */
#include "cli/archive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
    BLOCK = 512,
    CHUNK = 256 * 1024,
    GZIP_LEVEL = 6,
    MEMBER_BYTES = 64 * 1024, /* of files: from there on a member ends */
    MEMBER_FILES = 8,         /* on average, of small ones */
};

/* ---- what goes in ---- */

struct entry {
    const char *name; /* relative */
    const char *path;
    int64_t size;
    bool executable;
};

struct maker {
    struct ctx *ctx;
    const struct ignore *ig;
    const char *root; /* the folder's real path */
    void (*tick)(void *arg);
    void *arg;
    struct entry *entries;
    size_t n, cap;
    struct archive *out;
    z_stream z;
    uint32_t crc; /* of the member's text, and how long that is */
    int64_t raw;
    int64_t begin; /* of the member in the file; -1: none is open */
    uint8_t *chunk;
};

/* What App Engine refuses in a file's name (hosting.md section 2). */
static const struct {
    const char *pattern; /* a prefix with '^', a suffix with '$', or inside */
    const char *why;
} bad_names[] = {
    {"^-", "must not start with a hyphen"},
    {"^_ah/", "must not start with _ah/"},
    {"^ ", "must not start with a blank"},
    {" $", "must not end with a blank"},
    {"/ ", "must not have a name that starts with a blank"},
    {" /", "must not have a name that ends with a blank"},
    {"\n", "must not contain a line break"},
};

static bool name_has(const char *name, const char *pattern)
{
    size_t n = strlen(pattern), len = strlen(name);

    if (*pattern == '^')
        return strncmp(name, pattern + 1, n - 1) == 0;
    if (pattern[n - 1] == '$')
        return len >= n - 1 &&
               strncmp(name + len - (n - 1), pattern, n - 1) == 0;
    return strstr(name, pattern) != NULL;
}

const char *archive_name_refused(const char *name)
{
    if (!*name)
        return "must not be empty";
    if (strlen(name) > ARCHIVE_NAME_MAX)
        return "is longer than 1024 bytes";
    for (size_t i = 0; i < sizeof(bad_names) / sizeof(*bad_names); i++) {
        if (name_has(name, bad_names[i].pattern))
            return bad_names[i].why;
    }
    return NULL;
}

static int add_file(struct maker *m, const char *name, const char *path,
                    const struct stat *st)
{
    const char *why = archive_name_refused(name);

    if (why)
        return ctx_err(m->ctx, ERR_INVALID, "the file name \"%s\" %s", name,
                       why);
    if (m->n == ARCHIVE_FILES_MAX)
        return ctx_err(m->ctx, ERR_TOO_LARGE,
                       "more than %d files; .gcloudignore leaves out what the "
                       "application does not need",
                       ARCHIVE_FILES_MAX);
    if (st->st_size > ARCHIVE_FILE_SIZE_MAX)
        return ctx_err(m->ctx, ERR_TOO_LARGE, "%s is larger than %lld MiB",
                       name, (long long)ARCHIVE_FILE_SIZE_MAX >> 20);
    if (m->n == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 64;

        m->entries =
            arena_grow(m->ctx->arena, m->entries, m->cap * sizeof(*m->entries),
                       cap * sizeof(*m->entries));
        m->cap = cap;
    }
    m->entries[m->n++] = (struct entry){
        .name = name,
        .path = path,
        .size = st->st_size,
        .executable = st->st_mode & S_IXUSR,
    };
    m->out->unpacked += st->st_size;
    return 0;
}

/* Whether a link's target lies in the application's folder. */
static int check_link(struct maker *m, const char *name, const char *path)
{
    char *real = realpath(path, NULL);
    size_t n = strlen(m->root);
    bool inside = real && strncmp(real, m->root, n) == 0 &&
                  (real[n] == '/' || real[n] == '\0');
    int rc = 0;

    if (!real)
        rc = ctx_err(m->ctx, ERR_INVALID,
                     "%s is a link that leads to nothing: %s", name,
                     strerror(errno));
    else if (!inside)
        rc = ctx_err(m->ctx, ERR_INVALID,
                     "%s is a link to %s, outside of the application; copy "
                     "the file or name it in .gcloudignore",
                     name, real);
    free(real);
    return rc;
}

static int walk(struct maker *m, const char *path, const char *name, int depth);

static int walk_one(struct maker *m, const char *path, const char *name,
                    int depth)
{
    struct stat st;
    int rc = 0;

    if (lstat(path, &st) < 0)
        return ctx_err(m->ctx, ERR_IO, "cannot read %s: %s", path,
                       strerror(errno));
    if (S_ISLNK(st.st_mode)) {
        bool is_dir = stat(path, &st) == 0 && S_ISDIR(st.st_mode);

        if (ignore_match(m->ig, name, is_dir))
            return 0;
        rc = check_link(m, name, path);
    } else if (ignore_match(m->ig, name, S_ISDIR(st.st_mode))) {
        return 0;
    }
    if (rc < 0)
        return rc;
    if (S_ISDIR(st.st_mode))
        return walk(m, path, name, depth + 1);
    if (S_ISREG(st.st_mode))
        return add_file(m, name, path, &st);
    return 0; /* sockets, pipes and devices are nobody's program */
}

static int walk(struct maker *m, const char *path, const char *name, int depth)
{
    struct arena *a = m->ctx->arena;
    struct dirent *e;
    DIR *d = opendir(path);
    int rc = 0;

    if (!d)
        return ctx_err(m->ctx, ERR_IO, "cannot read %s: %s", path,
                       strerror(errno));
    if (depth > ARCHIVE_DEPTH_MAX)
        rc = ctx_err(m->ctx, ERR_INVALID, "%s: folders nest deeper than %d",
                     name, ARCHIVE_DEPTH_MAX);
    while (rc == 0 && (e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (m->tick)
            m->tick(m->arg);
        rc = walk_one(m, arena_printf(a, "%s/%s", path, e->d_name),
                      *name ? arena_printf(a, "%s/%s", name, e->d_name)
                            : arena_strdup(a, e->d_name),
                      depth);
    }
    closedir(d);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name,
                  ((const struct entry *)b)->name);
}

/* ---- writing ---- */

static int put(struct maker *m, const uint8_t *p, size_t n)
{
    m->out->size += (int64_t)n;
    while (n) {
        ssize_t w = write(m->out->fd, p, n);

        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return ctx_err(m->ctx, errno == ENOSPC ? ERR_NO_SPACE : ERR_IO,
                           "cannot write the archive: %s", strerror(errno));
        p += w;
        n -= (size_t)w;
    }
    return 0;
}

/* ---- members ---- */

static int member_begin(struct maker *m)
{
    uint8_t h[MEMBERS_HEADER];

    deflateReset(&m->z);
    m->crc = (uint32_t)crc32(0, NULL, 0);
    m->raw = 0;
    m->begin = m->out->size;
    members_header(h, 0); /* its size is known at its end */
    return put(m, h, sizeof(h));
}

static int deflate_bytes(struct maker *m, struct bytes in, int flush)
{
    uint8_t buf[32 * 1024];
    int rc = m->begin < 0 ? member_begin(m) : 0;

    if (rc)
        return rc;
    if (in.n)
        m->crc = (uint32_t)crc32(m->crc, in.p, (uInt)in.n);
    m->raw += (int64_t)in.n;
    m->z.next_in = (Bytef *)in.p;
    m->z.avail_in = (uInt)in.n;
    do {
        m->z.next_out = buf;
        m->z.avail_out = sizeof(buf);
        deflate(&m->z, flush);
        rc = put(m, buf, sizeof(buf) - m->z.avail_out);
    } while (rc == 0 && m->z.avail_out == 0);
    return rc;
}

static int member_end(struct maker *m)
{
    uint8_t tail[8], h[MEMBERS_HEADER];
    int rc = deflate_bytes(m, BYTES_NONE, Z_FINISH);

    for (int i = 0; i < 4; i++) {
        tail[i] = (uint8_t)(m->crc >> (8 * i));
        tail[4 + i] = (uint8_t)((uint64_t)m->raw >> (8 * i));
    }
    if (rc == 0)
        rc = put(m, tail, sizeof(tail));
    members_header(h, (uint32_t)(m->out->size - m->begin));
    if (rc == 0 && pwrite(m->out->fd, h, sizeof(h), m->begin) != sizeof(h))
        rc = ctx_err(m->ctx, ERR_IO, "cannot write the archive: %s",
                     strerror(errno));
    m->begin = -1;
    return rc;
}

/* Small files share a member.  Where one ends hangs on a name alone, so that a
 * file more or less leaves the members of the others as they are. */
static bool ends_member(const struct maker *m, const struct entry *e)
{
    return m->raw >= MEMBER_BYTES ||
           crc32(0, (const Bytef *)e->name, (uInt)strlen(e->name)) %
                   MEMBER_FILES ==
               0;
}

static int pad(struct maker *m, int64_t size)
{
    static const uint8_t zeros[BLOCK];
    size_t over = (size_t)(size % BLOCK);

    return over ? deflate_bytes(m, BYTES(zeros, BLOCK - over), Z_NO_FLUSH) : 0;
}

struct ustar {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], chksum[8];
    char type, link[100], magic[6], version[2], uname[32], gname[32];
    char major[8], minor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct ustar) == BLOCK, "a tar header is one block");

static int put_header(struct maker *m, const char *name, int64_t size,
                      char type, bool executable)
{
    struct ustar h = {.type = type};
    unsigned sum = 0;
    size_t n = strlen(name);

    memcpy(h.name, name, n < sizeof(h.name) ? n : sizeof(h.name));
    snprintf(h.mode, sizeof(h.mode), "%07o", executable ? 0755 : 0644);
    snprintf(h.uid, sizeof(h.uid), "%07o", 0);
    snprintf(h.gid, sizeof(h.gid), "%07o", 0);
    snprintf(h.size, sizeof(h.size), "%011llo", (unsigned long long)size);
    snprintf(h.mtime, sizeof(h.mtime), "%011o", 0);
    memcpy(h.magic, "ustar", 6);
    memcpy(h.version, "00", 2);
    memset(h.chksum, ' ', sizeof(h.chksum));
    for (size_t i = 0; i < sizeof(h); i++)
        sum += ((const uint8_t *)&h)[i];
    snprintf(h.chksum, sizeof(h.chksum), "%06o", sum);
    return deflate_bytes(m, BYTES(&h, sizeof(h)), Z_NO_FLUSH);
}

/* A pax record counts its own length, whose digits it contains. */
static char *pax_record(struct arena *a, const char *key, const char *value)
{
    size_t n = strlen(key) + strlen(value) + 3, all = n + 1;

    while (snprintf(NULL, 0, "%zu", all) + n != all)
        all = n + (size_t)snprintf(NULL, 0, "%zu", all);
    return arena_printf(a, "%zu %s=%s\n", all, key, value);
}

/* Names of over a hundred bytes, and those that are not ASCII. */
static int put_long_name(struct maker *m, const char *name)
{
    const char *record = pax_record(m->ctx->arena, "path", name);
    int rc = put_header(m, "pax", (int64_t)strlen(record), 'x', false);

    if (rc == 0)
        rc = deflate_bytes(m, bytes_str(record), Z_NO_FLUSH);
    return rc ? rc : pad(m, (int64_t)strlen(record));
}

/* A file that shrinks or grows meanwhile would tear the archive apart. */
static int put_contents(struct maker *m, const struct entry *e, int fd)
{
    int64_t left = e->size;
    int rc = 0;

    while (rc == 0 && left > 0) {
        size_t want = left < CHUNK ? (size_t)left : CHUNK;
        ssize_t n = read(fd, m->chunk, want);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ctx_err(m->ctx, ERR_IO, "cannot read %s: %s", e->name,
                           n < 0 ? strerror(errno) : "it became shorter");
        rc = deflate_bytes(m, BYTES(m->chunk, (size_t)n), Z_NO_FLUSH);
        left -= n;
        if (m->tick)
            m->tick(m->arg);
    }
    return rc ? rc : pad(m, e->size);
}

static bool fits_ustar(const char *name)
{
    for (const char *c = name; *c; c++) {
        if ((unsigned char)*c >= 0x80)
            return false;
    }
    return strlen(name) < sizeof(((struct ustar *)0)->name);
}

static int put_entry(struct maker *m, const struct entry *e)
{
    int fd = open(e->path, O_RDONLY | O_CLOEXEC);
    int rc = 0;

    if (fd < 0)
        return ctx_err(m->ctx, ERR_IO, "cannot read %s: %s", e->name,
                       strerror(errno));
    if (!fits_ustar(e->name))
        rc = put_long_name(m, e->name);
    if (rc == 0)
        rc = put_header(m, e->name, e->size, '0', e->executable);
    if (rc == 0)
        rc = put_contents(m, e, fd);
    close(fd);
    return rc;
}

static int put_all(struct maker *m)
{
    static const uint8_t end[2 * BLOCK];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < m->n; i++) {
        /* A large file is a member of its own. */
        if (m->begin >= 0 && m->entries[i].size >= MEMBER_BYTES)
            rc = member_end(m);
        if (rc == 0)
            rc = put_entry(m, &m->entries[i]);
        if (rc == 0 && ends_member(m, &m->entries[i]))
            rc = member_end(m);
    }
    if (rc == 0 && m->begin >= 0)
        rc = member_end(m);
    if (rc == 0)
        rc = deflate_bytes(m, BYTES(end, sizeof(end)), Z_NO_FLUSH);
    return rc ? rc : member_end(m);
}

/* ---- the whole ---- */

int archive_temporary(struct ctx *ctx)
{
    const char *base = getenv("TMPDIR");
    int fd;

    base = base && *base ? base : "/tmp";
    fd = open(base, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        char *path = arena_printf(ctx->arena, "%s/appscale.XXXXXX", base);

        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0)
            unlink(path);
    }
    if (fd < 0)
        return ctx_err(ctx, ERR_IO, "cannot write below %s: %s", base,
                       strerror(errno));
    return fd;
}

static int finish(struct maker *m)
{
    int rc = members_read(m->ctx, m->out->fd, &m->out->members);

    if (rc)
        return rc;
    memcpy(m->out->sha256, m->out->members.sha256, sizeof(m->out->sha256));
    m->out->files = (int)m->n;
    return lseek(m->out->fd, 0, SEEK_SET) == 0
               ? 0
               : ctx_err(m->ctx, ERR_IO, "cannot rewind the archive: %s",
                         strerror(errno));
}

static int write_archive(struct maker *m)
{
    int rc;

    /* Negative: without a wrapper; that is ours. */
    if (deflateInit2(&m->z, GZIP_LEVEL, Z_DEFLATED, -15, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return ctx_err(m->ctx, ERR_INTERNAL, "zlib does not start");
    m->begin = -1;
    m->chunk = arena_alloc(m->ctx->arena, CHUNK);
    rc = put_all(m);
    deflateEnd(&m->z);
    return rc ? rc : finish(m);
}

int archive_make(struct ctx *ctx, const char *dir, const struct ignore *ig,
                 void (*tick)(void *arg), void *arg, struct archive *out)
{
    struct maker m = {
        .ctx = ctx, .ig = ig, .tick = tick, .arg = arg, .out = out};
    char *real = realpath(dir, NULL);
    int rc;

    *out = (struct archive){.fd = -1};
    if (!real)
        return ctx_err(ctx, ERR_IO, "cannot read %s: %s", dir, strerror(errno));
    m.root = arena_strdup(ctx->arena, real);
    free(real);
    rc = walk(&m, dir, "", 0);
    if (rc == 0)
        rc = out->fd = archive_temporary(ctx);
    if (rc < 0)
        return rc;
    if (m.n)
        qsort(m.entries, m.n, sizeof(*m.entries), by_name);
    rc = write_archive(&m);
    if (rc < 0) {
        close(out->fd);
        out->fd = -1;
    }
    return rc;
}
