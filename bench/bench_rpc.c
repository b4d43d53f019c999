/*
 * bench_rpc - a load generator that costs as little as it can.
 *
 * M threads hold N keep-alive connections between them; each connection sends
 * a prepared request, waits for the whole answer, and sends the next.  After D
 * seconds one line of JSON tells requests per second, the latencies, and the
 * processor time the server took for each request (all of its threads, from
 * /proc/PID/stat).
 */
#include "load.h"

#include "base/clock.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIDS_MAX = 16, INPUT_MAX = 256 * 1024, LATENCY_SLOTS = 1 << 20 };

static struct options {
    const char *host, *app, *name, *file;
    int port, conns, threads, seconds;
    pid_t pids[PIDS_MAX];
    int n_pids;
} o = {
    .host = "127.0.0.1",
    .app = "bench",
    .name = "null",
    .conns = 1,
    .threads = 1,
    .seconds = 3,
};

static struct load load;
static int64_t stop_at;

struct conn {
    int fd;
    size_t turn; /* the next request */
    int64_t sent;
    uint8_t *in;
    size_t n_in;
};

struct worker {
    pthread_t thread;
    struct conn *conns;
    int n_conns;
    uint64_t done, errors;
    uint32_t *latency; /* how many took so many microseconds */
};

/* ---- one connection ---- */

static int dial(void)
{
    struct sockaddr_in sa = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)o.port),
    };
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (inet_pton(AF_INET, o.host, &sa.sin_addr) != 1)
        die("%s is not an IPv4 address", o.host);
    if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
        die("%s:%d: %s", o.host, o.port, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static void send_all(int fd, struct bytes v)
{
    while (v.n) {
        ssize_t n = send(fd, v.p, v.n, MSG_NOSIGNAL);

        if (n <= 0)
            die("sending: %s", strerror(errno));
        v = bytes_from(v, (size_t)n);
    }
}

/* The answer's length when it is whole, else 0; *body is where it starts. */
static size_t whole_answer(const struct conn *c, size_t *body)
{
    const char *in = (const char *)c->in, *end, *length;

    end = memmem(in, c->n_in, "\r\n\r\n", 4);
    if (!end)
        return 0;
    length = memmem(in, c->n_in, "Content-Length: ", 16);
    if (!length || length > end)
        die("an answer without Content-Length");
    *body = (size_t)(end + 4 - in);
    return *body + strtoul(length + 16, NULL, 10) <= c->n_in ? c->n_in : 0;
}

/* 200, and neither an application_error (3) nor an rpc_error (5). */
static bool is_good(const struct conn *c, size_t body)
{
    if (c->n_in < 12 || memcmp(c->in + 9, "200", 3) != 0)
        return false;
    return !load.enveloped || (c->n_in > body && c->in[body] == 0x0a);
}

/* Read what is there; true when the answer is whole. */
static bool receive(struct conn *c, size_t *body)
{
    ssize_t n = recv(c->fd, c->in + c->n_in, INPUT_MAX - c->n_in, 0);

    if (n <= 0)
        die("receiving: %s", n ? strerror(errno) : "the server hung up");
    c->n_in += (size_t)n;
    if (c->n_in == INPUT_MAX)
        die("an answer of more than %d bytes", INPUT_MAX);
    return whole_answer(c, body) > 0;
}

static void next_request(struct conn *c)
{
    c->n_in = 0;
    c->sent = clock_mono();
    send_all(c->fd, load.requests[c->turn++ % load.n_requests]);
}

/* ---- one thread ---- */

static void count(struct worker *w, const struct conn *c, size_t body)
{
    int64_t us = clock_mono() - c->sent;

    w->done++;
    if (!is_good(c, body))
        w->errors++;
    w->latency[us < LATENCY_SLOTS ? us : LATENCY_SLOTS - 1]++;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct epoll_event ev[64];
    int ep = epoll_create1(0);

    for (int i = 0; i < w->n_conns; i++) {
        ev[0] =
            (struct epoll_event){.events = EPOLLIN, .data.ptr = &w->conns[i]};
        epoll_ctl(ep, EPOLL_CTL_ADD, w->conns[i].fd, &ev[0]);
        next_request(&w->conns[i]);
    }
    while (clock_mono() < stop_at) {
        int n = epoll_wait(ep, ev, 64, 100);

        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            size_t body = 0;

            if (!receive(c, &body))
                continue;
            count(w, c, body);
            next_request(c);
        }
    }
    close(ep);
    return NULL;
}

static void worker_init(struct worker *w, int n_conns, int seed)
{
    w->n_conns = n_conns;
    w->conns = calloc((size_t)n_conns, sizeof(*w->conns));
    w->latency = calloc(LATENCY_SLOTS, sizeof(*w->latency));
    for (int i = 0; i < n_conns; i++) {
        w->conns[i].fd = dial();
        w->conns[i].in = malloc(INPUT_MAX);
        w->conns[i].turn = (size_t)(seed + i) * 37;
    }
}

/* ---- before and after ---- */

static void run_setup(void)
{
    struct conn c = {.fd = dial(), .in = malloc(INPUT_MAX)};

    for (size_t i = 0; i < load.n_setup; i++) {
        size_t body = 0;

        c.n_in = 0;
        send_all(c.fd, load.setup[i]);
        while (!receive(&c, &body))
            ;
        if (!is_good(&c, body))
            die("setup request %zu was answered: %.*s", i, (int)(c.n_in - body),
                (char *)c.in + body);
    }
    close(c.fd);
    free(c.in);
}

/* User and system time of the watched processes, microseconds. */
static int64_t cpu_time(void)
{
    int64_t total = 0;

    for (int i = 0; i < o.n_pids; i++) {
        char path[64], text[1024], *p;
        uint64_t user = 0, sys = 0;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/stat", (int)o.pids[i]);
        f = fopen(path, "re");
        if (!f || !fgets(text, sizeof(text), f))
            die("%s: %s", path, strerror(errno));
        fclose(f);
        /* Field 2 may hold blanks; 14 and 15 are counted from its ')'. */
        p = strrchr(text, ')');
        if (!p || sscanf(p + 1,
                         " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64
                         " %" SCNu64,
                         &user, &sys) != 2)
            die("%s does not read as expected", path);
        total += (int64_t)(user + sys) * CLOCK_SEC / sysconf(_SC_CLK_TCK);
    }
    return total;
}

static int percentile(const struct worker *w, uint64_t done, double q)
{
    uint64_t want = (uint64_t)((double)done * q), seen = 0;

    for (int us = 0; us < LATENCY_SLOTS; us++) {
        for (int t = 0; t < o.threads; t++)
            seen += w[t].latency[us];
        if (seen > want)
            return us;
    }
    return LATENCY_SLOTS;
}

static void report(const struct worker *w, int64_t took, int64_t cpu)
{
    uint64_t done = 0, errors = 0;

    for (int t = 0; t < o.threads; t++) {
        done += w[t].done;
        errors += w[t].errors;
    }
    printf("{\"load\": \"%s\", \"conns\": %d, \"rps\": %.0f, \"p50_us\": %d, "
           "\"p99_us\": %d, \"cpu_us\": %.2f, \"errors\": %" PRIu64 "}\n",
           o.file ? o.file : o.name, o.conns,
           (double)done * (double)CLOCK_SEC / (double)took,
           percentile(w, done, 0.5), percentile(w, done, 0.99),
           done ? (double)cpu / (double)done : 0.0, errors);
}

static void parse(int argc, char **argv)
{
    static const char usage[] =
        "usage: bench_rpc -p PORT [-h HOST] [-l LOAD | -f FILE] [-a APP] "
        "[-c CONNS] [-t THREADS] [-d SECONDS] [-P PID]...\n"
        "LOAD is one of: %s";
    int c;

    while ((c = getopt(argc, argv, "h:p:l:f:a:c:t:d:P:")) != -1) {
        switch (c) {
        case 'h':
            o.host = optarg;
            break;
        case 'p':
            o.port = atoi(optarg);
            break;
        case 'l':
            o.name = optarg;
            break;
        case 'f':
            o.file = optarg;
            break;
        case 'a':
            o.app = optarg;
            break;
        case 'c':
            o.conns = atoi(optarg);
            break;
        case 't':
            o.threads = atoi(optarg);
            break;
        case 'd':
            o.seconds = atoi(optarg);
            break;
        case 'P':
            if (o.n_pids < PIDS_MAX)
                o.pids[o.n_pids++] = atoi(optarg);
            break;
        default:
            die(usage, load_names);
        }
    }
    if (!o.port || o.conns < 1 || o.threads < 1 || o.seconds < 1)
        die(usage, load_names);
    if (o.threads > o.conns)
        o.threads = o.conns;
}

int main(int argc, char **argv)
{
    struct arena arena = ARENA_INIT;
    struct worker *w;
    int64_t start, cpu;

    parse(argc, argv);
    if (o.file)
        load_static(&arena, o.file, &load);
    else if (!load_make(&arena, o.name, o.app, &load))
        die("no load %s; there are: %s", o.name, load_names);
    run_setup();
    w = calloc((size_t)o.threads, sizeof(*w));
    for (int t = 0; t < o.threads; t++)
        worker_init(&w[t], o.conns / o.threads + (t < o.conns % o.threads),
                    t * 1000);
    cpu = cpu_time();
    start = clock_mono();
    stop_at = start + o.seconds * CLOCK_SEC;
    for (int t = 0; t < o.threads; t++)
        pthread_create(&w[t].thread, NULL, work, &w[t]);
    for (int t = 0; t < o.threads; t++)
        pthread_join(w[t].thread, NULL);
    report(w, clock_mono() - start, cpu_time() - cpu);
    return 0;
}
