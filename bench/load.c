#include "load.h"

#include "base/clock.h"
#include "base/log.h"
#include "wire/pb.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_MAX = 256 * 1024,
    /* Latency in 128 linear steps per power of two: under 1 % off. */
    HIST_SUB = 128,
    HIST_SLOTS = 40 * HIST_SUB,
};

struct conn {
    int fd;
    size_t next; /* index of the request to send */
    int64_t sent;
    uint8_t *in;
    size_t n;
    struct load_sequence sequence;
    struct buf out; /* of a script */
};

struct worker {
    const struct load_options *o;
    pthread_t thread;
    struct conn *conns;
    int n_conns;
    int64_t until;
    uint64_t answers, errors, again;
    uint64_t hist[HIST_SLOTS];
    char first_error[200];
};

/* Of sequences, over all connections. */
static uint64_t serials;

static int slot_of(uint64_t ns)
{
    int shift = 0;

    while (ns >> shift >= 2 * HIST_SUB)
        shift++;
    return (int)(shift * HIST_SUB + (ns >> shift));
}

static double slot_value(int slot)
{
    int shift = slot / HIST_SUB - 1;

    if (shift < 0)
        return slot;
    return (double)((uint64_t)(slot - shift * HIST_SUB) << shift);
}

static double percentile(const uint64_t *hist, uint64_t total, double p)
{
    uint64_t want = (uint64_t)((double)total * p), seen = 0;

    for (int i = 0; i < HIST_SLOTS; i++) {
        seen += hist[i];
        if (seen > want)
            return slot_value(i) / 1000;
    }
    return 0;
}

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static int dial(const struct load_options *o)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)o->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    if (fd < 0 || inet_pton(AF_INET, o->host, &sa.sin_addr) != 1)
        die("cannot make a socket for %s", o->host);
    if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
        die("cannot reach %s:%d: %s", o->host, o->port, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static void send_bytes(struct conn *c, struct bytes req)
{
    while (req.n > 0) {
        ssize_t n = write(c->fd, req.p, req.n);

        if (n < 0)
            die("writing to the server: %s", strerror(errno));
        req = bytes_from(req, (size_t)n);
    }
}

/* The first call of a new sequence. */
static bool begin_sequence(struct worker *w, struct conn *c)
{
    int error = 0;

    c->sequence = (struct load_sequence){
        .serial = __atomic_fetch_add(&serials, 1, __ATOMIC_RELAXED)};
    buf_clear(&c->out);
    if (!w->o->script(&c->sequence, BYTES_NONE, &error, &c->out))
        return false;
    c->sent = now_ns();
    send_bytes(c, buf_view(&c->out));
    return true;
}

/* False when there is nothing left to send. */
static bool send_next(struct worker *w, struct conn *c)
{
    const struct load_requests *r = &w->o->requests;

    if (w->o->script)
        return begin_sequence(w, c);
    if (c->next >= r->n) {
        if (r->once)
            return false;
        c->next = 0;
    }
    c->sent = now_ns();
    send_bytes(c, r->list[c->next]);
    c->next += r->once ? (size_t)w->o->conns : 1;
    return true;
}

/*
 * Whether in[0..n) is a whole answer: its length, or 0 when more must come.
 * Servers measured here send Content-Length.
 */
static size_t answer_size(const struct conn *c, struct bytes *body)
{
    uint8_t *end = memmem(c->in, c->n, "\r\n\r\n", 4);
    char *length;
    size_t head, n;

    if (!end)
        return 0;
    head = (size_t)(end - c->in) + 4;
    *end = '\0';
    length = strcasestr((char *)c->in, "\r\ncontent-length:");
    *end = '\r';
    if (!length)
        die("an answer without Content-Length");
    n = strtoul(length + 17, NULL, 10);
    *body = BYTES(c->in + head, n);
    return c->n >= head + n ? head + n : 0;
}

static void note_error(struct worker *w, struct bytes text)
{
    if (w->errors++ == 0)
        snprintf(w->first_error, sizeof(w->first_error), "%.*s",
                 BYTES_FMT(text));
}

static void check_answer(struct worker *w, const struct conn *c,
                         struct bytes body)
{
    struct pb_reader r = PB_READER(body);
    struct bytes detail = BYTES_NONE;

    if (memcmp(c->in, "HTTP/1.1 200", 12) != 0) {
        note_error(w, BYTES(c->in, c->n < 60 ? c->n : 60));
        return;
    }
    while (w->o->rpc && pb_next(&r)) {
        if (r.field != 1) {
            pb_find_bytes(r.bytes, 2, &detail);
            note_error(w, detail);
            return;
        }
    }
    if (w->o->rpc && r.bad)
        note_error(w, BYTES_LIT("an answer that is no remote_api.Response"));
}

/* What the remote_api.Response says: its payload, its application error. */
static struct bytes read_answer(struct bytes body, int *error,
                                struct bytes *detail)
{
    struct pb_reader r = PB_READER(body);
    struct bytes payload = BYTES_NONE;

    while (pb_next(&r)) {
        struct pb_reader in = PB_READER(r.bytes);

        if (r.field == 1)
            payload = r.bytes;
        while (r.field != 1 && pb_next(&in)) {
            if (in.field == 1)
                *error = (int)in.u64;
            else
                *detail = in.bytes;
        }
    }
    return payload;
}

/* The next call of the sequence; false when that was the last. */
static bool go_on(struct worker *w, struct conn *c, struct bytes body)
{
    struct bytes detail = BYTES_NONE, payload;
    bool more;
    int error = 0;

    payload = read_answer(body, &error, &detail);
    c->sequence.step++;
    c->n = 0; /* the payload stays where it is until the next read */
    buf_clear(&c->out);
    more = w->o->script(&c->sequence, payload, &error, &c->out);
    if (error)
        note_error(w, detail);
    else if (more)
        send_bytes(c, buf_view(&c->out));
    else
        w->again += c->sequence.again;
    return more && !error;
}

/* False when the connection has done its share. */
static bool on_readable(struct worker *w, struct conn *c)
{
    struct bytes body = BYTES_NONE;
    ssize_t n = read(c->fd, c->in + c->n, READ_MAX - c->n);

    if (n <= 0)
        die("the server closed a connection: %s",
            n < 0 ? strerror(errno) : "end of stream");
    c->n += (size_t)n;
    if (!answer_size(c, &body))
        return true;
    if (w->o->script && go_on(w, c, body))
        return true;
    w->hist[slot_of((uint64_t)(now_ns() - c->sent))]++;
    w->answers++;
    if (!w->o->script)
        check_answer(w, c, body);
    c->n = 0;
    return clock_mono() < w->until && send_next(w, c);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct epoll_event ev[64];
    int ep = epoll_create1(EPOLL_CLOEXEC), open = 0;

    for (int i = 0; i < w->n_conns; i++) {
        ev[0] =
            (struct epoll_event){.events = EPOLLIN, .data.ptr = &w->conns[i]};
        epoll_ctl(ep, EPOLL_CTL_ADD, w->conns[i].fd, &ev[0]);
        open += send_next(w, &w->conns[i]);
    }
    while (open > 0) {
        int n = epoll_wait(ep, ev, 64, 1000);

        for (int i = 0; i < n; i++)
            open -= !on_readable(w, ev[i].data.ptr);
    }
    close(ep);
    return NULL;
}

static uint64_t stat_cpu(const char *pid, int *parent)
{
    char path[64], text[1024], *at;
    uint64_t user = 0, sys = 0;
    size_t n;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    f = fopen(path, "r");
    if (!f)
        return 0;
    n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';
    at = strrchr(text, ')'); /* the name may hold anything */
    if (!at || sscanf(at,
                      ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u "
                      "%lu %lu",
                      parent, &user, &sys) != 3)
        return 0;
    return (user + sys) * (uint64_t)(CLOCK_SEC / sysconf(_SC_CLK_TCK));
}

uint64_t load_cpu(int pid)
{
    uint64_t sum = 0;
    struct dirent *e;
    DIR *d = opendir("/proc");

    while (d && (e = readdir(d)) != NULL) {
        int parent = 0;
        uint64_t cpu;

        if (e->d_name[0] < '0' || e->d_name[0] > '9')
            continue;
        cpu = stat_cpu(e->d_name, &parent);
        if (atoi(e->d_name) == pid || parent == pid)
            sum += cpu;
    }
    if (d)
        closedir(d);
    return sum;
}

static void share_out(const struct load_options *o, struct worker *workers,
                      struct conn *conns)
{
    int given = 0;

    for (int i = 0; i < o->conns; i++) {
        conns[i].fd = dial(o);
        conns[i].in = malloc(READ_MAX);
        conns[i].out = (struct buf)BUF_HEAP;
        conns[i].next = o->requests.once
                            ? (size_t)i
                            : (size_t)i * o->requests.n / (size_t)o->conns;
    }
    for (int i = 0; i < o->threads; i++) {
        int n = (o->conns - given) / (o->threads - i);

        workers[i].o = o;
        workers[i].conns = conns + given;
        workers[i].n_conns = n;
        given += n;
    }
}

static void sum_up(struct worker *workers, int n, struct load_result *r)
{
    uint64_t hist[HIST_SLOTS] = {0};

    for (int i = 0; i < n; i++) {
        r->answers += workers[i].answers;
        r->errors += workers[i].errors;
        r->again += workers[i].again;
        if (workers[i].errors && !r->first_error[0])
            strcpy(r->first_error, workers[i].first_error);
        for (int k = 0; k < HIST_SLOTS; k++)
            hist[k] += workers[i].hist[k];
    }
    r->p50 = percentile(hist, r->answers, 0.50);
    r->p99 = percentile(hist, r->answers, 0.99);
}

void load_run(const struct load_options *given, struct load_result *r)
{
    struct load_options o = *given;
    struct worker *workers;
    struct conn *conns;
    int64_t started;
    uint64_t cpu;

    if (o.threads > o.conns)
        o.threads = o.conns;
    workers = calloc((size_t)o.threads, sizeof(*workers));
    conns = calloc((size_t)o.conns, sizeof(*conns));
    share_out(&o, workers, conns);
    *r = (struct load_result){0};
    cpu = o.pid ? load_cpu(o.pid) : 0;
    started = clock_mono();
    for (int i = 0; i < o.threads; i++) {
        workers[i].until = o.requests.once
                               ? INT64_MAX
                               : started + (int64_t)(o.seconds * CLOCK_SEC);
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    for (int i = 0; i < o.threads; i++)
        pthread_join(workers[i].thread, NULL);
    r->seconds = (double)(clock_mono() - started) / CLOCK_SEC;
    sum_up(workers, o.threads, r);
    if (o.pid && r->answers)
        r->server_cpu = (double)(load_cpu(o.pid) - cpu) / (double)r->answers;
    for (int i = 0; i < o.conns; i++) {
        close(conns[i].fd);
        free(conns[i].in);
        buf_release(&conns[i].out);
    }
    free(conns);
    free(workers);
}
