/*
 * bench_sink - an app that does nothing, as fast as it can.
 *
 * It answers every request 200 and writes down when it came.  A task's body
 * begins with the moment it was added, microseconds of CLOCK_MONOTONIC in
 * decimal (bench_rpc's task workloads write it), so what lies between is how
 * long a task waits.  GET /stats tells and forgets: how many came, between
 * which moments, p50 and p99 of the wait in microseconds.
 */
#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { IN_MAX = 128 * 1024, WAITS_MAX = 4000000 };

struct conn {
    int fd;
    size_t n;
    char in[IN_MAX];
};

static struct {
    uint64_t n;
    int64_t first, last;
    uint32_t *waits; /* microseconds, of the first WAITS_MAX */
    size_t n_waits;
} seen;

static int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void note(const char *body, size_t n)
{
    int64_t now = now_us(), added = n ? strtoll(body, NULL, 10) : 0;

    if (seen.n++ == 0)
        seen.first = now;
    seen.last = now;
    if (added > 0 && added <= now && seen.n_waits < WAITS_MAX)
        seen.waits[seen.n_waits++] = (uint32_t)(now - added);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static unsigned wait_at(double share)
{
    return seen.n_waits
               ? seen.waits[(size_t)((double)(seen.n_waits - 1) * share)]
               : 0;
}

static void send_all(struct conn *c, const char *text, size_t n)
{
    /* Answers are small: what does not fit a socket's buffer is a mistake. */
    if (write(c->fd, text, n) != (ssize_t)n)
        log_warn(NULL, "sink.write", "why", strerror(errno));
}

static void tell(struct conn *c)
{
    char body[256], all[512];
    int n;

    qsort(seen.waits, seen.n_waits, sizeof(*seen.waits), compare);
    n = snprintf(body, sizeof(body),
                 "{\"n\":%llu,\"first\":%lld,\"last\":%lld,\"p50\":%u,"
                 "\"p99\":%u,\"max\":%u}\n",
                 (unsigned long long)seen.n, (long long)seen.first,
                 (long long)seen.last, wait_at(0.5), wait_at(0.99), wait_at(1));
    n = snprintf(all, sizeof(all),
                 "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", n, body);
    send_all(c, all, (size_t)n);
    seen.n = seen.n_waits = 0;
}

/* The first whole request of `c`, or 0 when more must come. */
static size_t request_size(struct conn *c, const char **body, size_t *n_body)
{
    const char *end = memmem(c->in, c->n, "\r\n\r\n", 4), *length;
    size_t head;

    if (!end)
        return 0;
    head = (size_t)(end - c->in) + 4;
    c->in[c->n] = '\0';
    length = memmem(c->in, head, "Content-Length: ", 16);
    *n_body = length ? strtoul(length + 16, NULL, 10) : 0;
    *body = c->in + head;
    return c->n >= head + *n_body ? head + *n_body : 0;
}

static bool on_readable(struct conn *c)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    ssize_t got = read(c->fd, c->in + c->n, IN_MAX - 1 - c->n);
    const char *body;
    size_t n, n_body;

    if (got <= 0)
        return false;
    c->n += (size_t)got;
    while ((n = request_size(c, &body, &n_body)) > 0) {
        if (memcmp(c->in, "GET /stats", 10) == 0) {
            tell(c);
        } else {
            note(body, n_body);
            send_all(c, ok, sizeof(ok) - 1);
        }
        c->n -= n;
        memmove(c->in, c->in + n, c->n);
    }
    return c->n < IN_MAX - 1;
}

static void take_conn(int ep, int listener)
{
    struct conn *c = malloc(sizeof(*c));
    int one = 1;

    if (!c)
        die("out of memory for a connection");
    c->fd = accept(listener, NULL, NULL);
    c->n = 0;
    if (c->fd < 0) {
        free(c);
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd,
              &(struct epoll_event){.events = EPOLLIN, .data.ptr = c});
}

static int listen_on(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
        listen(fd, 4096) != 0)
        die("port %d: %s", port, strerror(errno));
    return fd;
}

int main(int argc, char **argv)
{
    struct epoll_event ev[256];
    int ep = epoll_create1(EPOLL_CLOEXEC), listener;

    if (argc != 2) {
        fprintf(stderr, "usage: bench_sink PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    seen.waits = calloc(WAITS_MAX, sizeof(*seen.waits));
    listener = listen_on(atoi(argv[1]));
    epoll_ctl(ep, EPOLL_CTL_ADD, listener,
              &(struct epoll_event){.events = EPOLLIN, .data.ptr = NULL});
    for (;;) {
        int n = epoll_wait(ep, ev, 256, -1);

        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;

            if (!c) {
                take_conn(ep, listener);
            } else if (!on_readable(c)) {
                close(c->fd);
                free(c);
            }
        }
    }
}
