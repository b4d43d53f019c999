/*
 * Fuzz the HTTP server through a socket, as a peer would.
 *
 * The first two bytes say where the rest is cut into two writes.  Whatever
 * comes, the server must answer or close within HANG_S, must give the callback
 * only whole requests, and must serve the next well-behaved peer.
 */
#include "base/log.h"
#include "net/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { HANG_S = 10, BODY_MAX = 64 * 1024, CHECK_EVERY = 64 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct http_server *server;
static char dir[] = "/tmp/fuzz-http.XXXXXX";
static struct sockaddr_un address = {.sun_family = AF_UNIX};

/* Touch every byte of the request, so that a sanitizer sees a bad view. */
static uint64_t touch(struct bytes b)
{
    return b.n ? bytes_hash(b) : 0;
}

static void on_request(struct http_exchange *x, void *arg)
{
    const struct http_request *r = &x->req;
    uint64_t sum = touch(r->method) + touch(r->target) + touch(r->path) +
                   touch(r->query) + touch(r->body) + touch(r->peer);

    for (size_t i = 0; i < r->n_headers; i++)
        sum += touch(r->headers[i].name) + touch(r->headers[i].value);
    if (r->body.n > BODY_MAX)
        BUG("a body of %zu bytes", r->body.n);
    sum += touch(http_param(&x->arena, r->query, "a"));
    sum += touch(http_param(&x->arena, r->body, "a"));
    sum += touch(http_cookie(r, "a"));
    http_text(&x->arena, &x->res, 200, "text/plain",
              sum ? BYTES_LIT("some") : BYTES_LIT("none"));
    http_reply(x);
}

static void clean_up(void)
{
    http_server_stop(server, 0);
    unlink(address.sun_path);
    rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct arena arena = ARENA_INIT;
    struct http_server_options o = {
        .unix_path = address.sun_path,
        .loops = 1,
        .body_max = BODY_MAX,
        .header_max = 16 * 1024,
        .conns_max = 64,
        .idle_timeout = 60 * 1000 * 1000,
        .request_timeout = 60 * 1000 * 1000,
        .on_request = on_request,
    };
    struct ctx ctx;

    if (!mkdtemp(dir))
        die("cannot make %s", dir);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", dir);
    ctx_init(&ctx, &arena);
    if (http_server_start(&ctx, &o, &server) != 0)
        die("%s", ctx.err.message);
    arena_release(&arena);
    atexit(clean_up);
    return 0;
}

static int dial(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval hang = {.tv_sec = HANG_S};

    if (fd < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &hang, sizeof(hang)) != 0)
        die("socket: errno %d", errno);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &hang, sizeof(hang));
    while (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        if (errno != EINTR && errno != EAGAIN)
            die("connect: errno %d", errno);
    }
    return fd;
}

/* The server may close early: what it does not want need not be sent. */
static void send_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t done = send(fd, p, n, MSG_NOSIGNAL);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && errno == EAGAIN)
            BUG("the server does not read");
        if (done <= 0)
            return;
        p += done;
        n -= (size_t)done;
    }
}

/* Read to the end of the connection; bytes seen. */
static size_t drain(int fd)
{
    char buf[4096];
    size_t sum = 0;
    ssize_t n;

    while ((n = recv(fd, buf, sizeof(buf), 0)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            BUG("the server neither answers nor closes");
        if (n < 0)
            break;
        sum += (size_t)n;
    }
    return sum;
}

static void exchange(const uint8_t *p, size_t n, size_t cut, size_t want)
{
    int fd = dial();

    send_all(fd, p, cut);
    send_all(fd, p + cut, n - cut);
    shutdown(fd, SHUT_WR);
    if (drain(fd) < want)
        BUG("a good request has no answer");
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char good[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    static unsigned times;
    size_t cut;

    if (n < 2)
        return 0;
    cut = ((size_t)data[0] << 8 | data[1]) % (n - 1);
    exchange(data + 2, n - 2, cut, 0);
    if (++times % CHECK_EVERY == 0)
        exchange((const uint8_t *)good, sizeof(good) - 1, 0, 12);
    return 0;
}
