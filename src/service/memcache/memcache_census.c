/*
 * memcache_census - what an app holds in memcached, counted there.
 *
 * memcached lists its items ("lru_crawler metadump all", one line each); those
 * whose name starts with the tag of the app's generation are the app's.  So
 * evictions, expiries and flushes are all accounted for.  It costs a walk over
 * the whole cache, which memcached does in its own thread: right for Stats,
 * which people look at, not programs in a loop.
 */
#include "service/memcache/memcache_int.h"

#include "base/buf.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    /* What an item takes beside the app's bytes: memcached's header with the
     * cas, the name and its NUL, CR LF, and ours. */
    OVERHEAD = 48 + 8 + MEMCACHE_NAME + 1 + 2 + MEMCACHE_HEADER,
    WAIT_MS = 2000, /* for one piece of the answer */
    BUSY_TRIES = 20,
    BUSY_MS = 25, /* between tries: the crawler is at its own work */
};

static int open_unix(const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof(sun.sun_path))
        return -1;
    strcpy(sun.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (void *)&sun, sizeof(sun)) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static int open_tcp(const char *host, int port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char service[8];
    int fd = -1;

    snprintf(service, sizeof(service), "%d", port);
    if (getaddrinfo(host, service, &hints, &found) != 0)
        return -1;
    for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, a->ai_protocol);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

/* Read some more of the answer. */
static int fill(struct ctx *ctx, int fd, struct buf *b)
{
    int64_t left = ctx_left(ctx) / CLOCK_MS;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ssize_t n;

    if (poll(&p, 1, left < WAIT_MS ? (int)left : WAIT_MS) <= 0)
        return ctx_err(ctx, ERR_DEADLINE,
                       "memcached did not list its items in time");
    n = read(fd, buf_reserve(b, 65536), 65536);
    if (n <= 0)
        return ctx_err(ctx, ERR_UNAVAILABLE,
                       "memcached stopped listing its items");
    b->n += (size_t)n;
    return 0;
}

/* The number behind " NAME=" in a line. */
static int64_t field(struct bytes line, const char *name)
{
    const char *at = memmem(line.p, line.n, name, strlen(name));

    return at ? strtoll(at + strlen(name), NULL, 10) : 0;
}

static void count_line(struct bytes line, const char tag[MEMCACHE_TAG],
                       int64_t now, struct memcache_census *out)
{
    static const char key[] = "key=";
    int64_t expires, age, size;

    if (line.n < sizeof(key) - 1 + MEMCACHE_NAME ||
        memcmp(line.p, key, sizeof(key) - 1) != 0 ||
        memcmp((const char *)line.p + sizeof(key) - 1, tag, MEMCACHE_TAG) != 0)
        return;
    expires = field(line, " exp=");
    if (expires > 0 && expires <= now)
        return;
    size = field(line, " size=");
    age = now - field(line, " la=");
    out->items++;
    if (size > OVERHEAD)
        out->bytes += (uint64_t)(size - OVERHEAD);
    if (age > out->oldest)
        out->oldest = age;
}

/* One listing.  ERR_ABORTED, without a story, when the crawler is busy. */
static int list_items(struct ctx *ctx, int fd, const char tag[MEMCACHE_TAG],
                      struct memcache_census *out)
{
    static const char command[] = "lru_crawler metadump all\r\n";
    struct buf b = BUF_IN(ctx->arena);
    int64_t now = clock_wall() / CLOCK_SEC;
    size_t at = 0;
    int rc;

    *out = (struct memcache_census){0};
    if (send(fd, command, sizeof(command) - 1, MSG_NOSIGNAL) !=
        (ssize_t)sizeof(command) - 1)
        return ctx_err(ctx, ERR_UNAVAILABLE, "memcached hung up");
    for (;;) {
        const char *nl = b.n > at ? memchr(b.p + at, '\n', b.n - at) : NULL;
        struct bytes line;

        if (!nl) {
            buf_consume(&b, at);
            at = 0;
            rc = fill(ctx, fd, &b);
            if (rc)
                return rc;
            continue;
        }
        line = BYTES(b.p + at, (size_t)(nl - (const char *)b.p) - at);
        at += line.n + 1;
        if (bytes_starts(line, BYTES_LIT("END")))
            return 0;
        if (bytes_starts(line, BYTES_LIT("BUSY")))
            return ERR_ABORTED;
        if (bytes_starts(line, BYTES_LIT("ERROR")) ||
            bytes_starts(line, BYTES_LIT("CLIENT_ERROR")))
            return ctx_err(ctx, ERR_UNAVAILABLE,
                           "memcached cannot list its items");
        count_line(line, tag, now, out);
    }
}

int memcache_census(struct ctx *ctx, struct memcache_call *c,
                    struct memcache_census *out)
{
    const struct memcache *mc = c->mc;
    char tag[MEMCACHE_TAG];
    int fd, rc;

    fd = mc->port ? open_tcp(mc->host, mc->port) : open_unix(mc->host);
    if (fd < 0)
        return ctx_err(ctx, ERR_UNAVAILABLE, "memcached does not answer: %s",
                       strerror(errno));
    memcache_name_tag(c->app, atomic_load(&c->app->generation), tag);
    rc = list_items(ctx, fd, tag, out);
    for (int i = 0; rc == ERR_ABORTED && i < BUSY_TRIES; i++) {
        poll(NULL, 0, BUSY_MS);
        rc = list_items(ctx, fd, tag, out);
    }
    close(fd);
    if (rc == ERR_ABORTED)
        return ctx_err(ctx, ERR_UNAVAILABLE,
                       "memcached is busy walking its items");
    return rc;
}
