/*
 * The server: one listening socket, a few loops.
 *
 * Loop 0 accepts and gives each connection to the loop that has the fewest.
 * One acceptor is enough, since clients keep their connections, and it spreads
 * a handful of busy connections evenly, which the kernel's own hashing over
 * several sockets does not.
 */
#include "net/http_int.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    BACKLOG = 4096,
    LOOPS_MAX = 4,     /* without a wish */
    ACCEPT_BATCH = 64, /* before the loop sees to its connections again */
    FILES_KEPT = 256,  /* descriptors for everything but connections */
};

/* ---- listening ---- */

static int listen_error(struct ctx *ctx, const char *where)
{
    int code = errno == EADDRINUSE ? ERR_UNAVAILABLE : ERR_INVALID;

    if (errno == EADDRINUSE)
        return ctx_err(ctx, code,
                       "%s is taken by another program: stop that one, or "
                       "choose another address",
                       where);
    return ctx_err(ctx, code, "cannot listen on %s: %s", where,
                   strerror(errno));
}

static int resolve(struct ctx *ctx, const struct http_server_options *o,
                   struct addrinfo **out)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
    };
    char port[16];
    int rc;

    if (o->port < 0 || o->port > 65535)
        return ctx_err(ctx, ERR_INVALID, "port %d is not in 0..65535", o->port);
    snprintf(port, sizeof(port), "%d", o->port);
    rc = getaddrinfo(o->host, port, &hints, out);
    if (rc != 0)
        return ctx_err(ctx, ERR_INVALID, "cannot listen on %s: %s", o->host,
                       gai_strerror(rc));
    return 0;
}

static int bound_port(int fd)
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof(sa);

    if (getsockname(fd, (struct sockaddr *)&sa, &n) < 0)
        return 0;
    return ntohs(sa.ss_family == AF_INET6
                     ? ((struct sockaddr_in6 *)&sa)->sin6_port
                     : ((struct sockaddr_in *)&sa)->sin_port);
}

/* A socket that outlives this process is somebody else's copy, too. */
static int listen_inherited(struct ctx *ctx, struct http_server *s)
{
    const int on = 1, fd = s->o.listen_fd;
    int accepts = 0;
    socklen_t n = sizeof(accepts);

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &n) < 0 || !accepts)
        return ctx_err(ctx, ERR_INVALID,
                       "descriptor %d is no socket that listens", fd);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    s->fd = fd;
    s->port = bound_port(fd);
    return 0;
}

static int listen_tcp(struct ctx *ctx, struct http_server *s)
{
    struct addrinfo *ai;
    const int on = 1;
    char where[128];
    int rc = resolve(ctx, &s->o, &ai);

    if (rc < 0)
        return rc;
    snprintf(where, sizeof(where), "%s:%d", s->o.host, s->o.port);
    s->fd =
        socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd >= 0) {
        /* Accepted sockets inherit both. */
        setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    if (s->fd < 0 || bind(s->fd, ai->ai_addr, ai->ai_addrlen) < 0 ||
        listen(s->fd, BACKLOG) < 0)
        rc = listen_error(ctx, where);
    else
        s->port = bound_port(s->fd);
    freeaddrinfo(ai);
    return rc;
}

/* A socket file that nobody listens on is left over from a killed process. */
static bool is_stale(const struct sockaddr_un *sa)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool stale;

    if (fd < 0)
        return false;
    stale = connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 &&
            errno == ECONNREFUSED;
    close(fd);
    return stale;
}

static int listen_unix(struct ctx *ctx, struct http_server *s)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    const char *path = s->o.unix_path;

    if (strlen(path) >= sizeof(sa.sun_path))
        return ctx_err(ctx, ERR_INVALID,
                       "the socket path %s is longer than %zu bytes", path,
                       sizeof(sa.sun_path) - 1);
    strcpy(sa.sun_path, path);
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return listen_error(ctx, path);
    if (is_stale(&sa))
        unlink(path);
    /* The mode is set before anyone can connect: listen() comes last. */
    if (bind(s->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
        return listen_error(ctx, path);
    s->bound = true;
    if (chmod(path, 0600) < 0 || listen(s->fd, BACKLOG) < 0)
        return listen_error(ctx, path);
    return 0;
}

/* ---- accepting ---- */

static void format_peer(char *out, size_t n, const struct sockaddr_storage *sa)
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;
    char ip[INET6_ADDRSTRLEN];

    if (sa->ss_family == AF_INET) {
        uv_ip4_name(v4, ip, sizeof(ip));
        snprintf(out, n, "%s:%d", ip, ntohs(v4->sin_port));
    } else if (sa->ss_family == AF_INET6) {
        uv_ip6_name(v6, ip, sizeof(ip));
        snprintf(out, n, "[%s]:%d", ip, ntohs(v6->sin6_port));
    } else {
        snprintf(out, n, "unix");
    }
}

/* Connections a loop has, or will have. */
static uint64_t load_of(const struct http_loop *l)
{
    return __atomic_load_n(&l->open, __ATOMIC_RELAXED) +
           __atomic_load_n(&l->on_the_way, __ATOMIC_RELAXED);
}

static struct http_loop *least_loaded(struct http_server *s)
{
    struct http_loop *best = &s->loops[0];

    for (int i = 1; i < s->n_loops; i++) {
        if (load_of(&s->loops[i]) < load_of(best))
            best = &s->loops[i];
    }
    return best;
}

static void take(struct http_server *s, int fd,
                 const struct sockaddr_storage *sa)
{
    struct http_loop *l = least_loaded(s);
    char peer[HTTP_PEER_MAX];

    format_peer(peer, sizeof(peer), sa);
    if (l == http_loop_self) {
        http_conn_open(l, fd, peer);
    } else {
        HTTP_COUNT(l->on_the_way, 1);
        http_loop_give(l, fd, peer);
    }
}

static void reserve_file(struct http_server *s)
{
    s->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/*
 * Out of files: use the reserved one to take the next connection out of the
 * backlog and hang up, which keeps the loop from spinning on it, and close the
 * idlest connection everywhere so that the one after that finds room.
 */
static void make_room(struct http_server *s)
{
    int fd;

    log_warn(NULL, "http.out_of_files", "conns_max", log_int(s->o.conns_max));
    if (s->reserve >= 0)
        close(s->reserve);
    fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    reserve_file(s);
    for (int i = 0; i < s->n_loops; i++)
        http_loop_order(&s->loops[i], HTTP_ORDER_SHED);
}

static bool is_exhaustion(int e)
{
    return e == EMFILE || e == ENFILE || e == ENOBUFS || e == ENOMEM;
}

static void on_acceptable(uv_poll_t *p, int status, int events)
{
    struct http_server *s = p->data;

    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage sa = {0};
        socklen_t n = sizeof(sa);
        int fd = accept4(s->fd, (struct sockaddr *)&sa, &n,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            take(s, fd, &sa);
        } else if (is_exhaustion(errno)) {
            make_room(s);
            return;
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

/* ---- start and stop ---- */

static void set_limits(struct http_server *s)
{
    struct rlimit rl;

    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        setrlimit(RLIMIT_NOFILE, &rl);
        if (rl.rlim_cur < (rlim_t)s->o.conns_max + FILES_KEPT)
            s->o.conns_max = rl.rlim_cur > 2 * FILES_KEPT
                                 ? (int)rl.rlim_cur - FILES_KEPT
                                 : FILES_KEPT;
    }
}

static int loops_wanted(int wish)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    if (wish > 0)
        return wish;
    return n < 1 ? 1 : n > LOOPS_MAX ? LOOPS_MAX : (int)n;
}

static void run(void *arg)
{
    http_loop_run(arg);
}

static int start_loops(struct ctx *ctx, struct http_server *s)
{
    int n = loops_wanted(s->o.loops), rc = 0;

    s->loops = calloc((size_t)n, sizeof(*s->loops));
    if (!s->loops)
        die("out of memory for %d loops", n);
    for (; rc == 0 && s->n_loops < n; s->n_loops++)
        rc = http_loop_init(ctx, &s->loops[s->n_loops], s);
    if (rc < 0)
        return rc;
    uv_poll_init(&s->loops[0].uv, &s->poll, s->fd);
    s->poll.data = s;
    uv_poll_start(&s->poll, UV_READABLE, on_acceptable);
    for (int i = 0; i < n; i++) {
        if (uv_thread_create(&s->loops[i].thread, run, &s->loops[i]) != 0)
            die("cannot start a thread: %s", strerror(errno));
    }
    return 0;
}

static void server_free(struct http_server *s)
{
    for (int i = 0; i < s->n_loops; i++)
        http_loop_release(&s->loops[i]);
    if (s->fd >= 0)
        close(s->fd);
    if (s->bound)
        unlink(s->o.unix_path);
    if (s->reserve >= 0)
        close(s->reserve);
    free(s->loops);
    free((char *)(uintptr_t)s->o.host);
    free((char *)(uintptr_t)s->o.unix_path);
    free(s);
}

int http_server_start(struct ctx *ctx, const struct http_server_options *o,
                      struct http_server **out)
{
    struct http_server *s = calloc(1, sizeof(*s));
    int rc;

    if (!s)
        die("out of memory for a server");
    s->o = *o;
    s->o.host = o->host ? strdup(o->host) : NULL;
    s->o.unix_path = o->unix_path ? strdup(o->unix_path) : NULL;
    s->fd = s->reserve = -1;
    /* A peer that leaves is an error of write(), not of the process. */
    signal(SIGPIPE, SIG_IGN);
    set_limits(s);
    reserve_file(s);
    if (o->listen_fd > 0)
        rc = listen_inherited(ctx, s);
    else
        rc = o->unix_path ? listen_unix(ctx, s) : listen_tcp(ctx, s);
    if (rc == 0)
        rc = start_loops(ctx, s);
    if (rc < 0) {
        server_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

int http_server_port(const struct http_server *s)
{
    return s->port;
}

void http_server_drain(struct http_loop *l)
{
    struct http_server *s = l->server;

    if (l != &s->loops[0])
        return;
    uv_poll_stop(&s->poll);
    uv_close((uv_handle_t *)&s->poll, NULL);
    for (int i = 1; i < s->n_loops; i++)
        http_loop_order(&s->loops[i], HTTP_ORDER_STOP);
}

/* Wait for a loop's end until `until` on the wall clock. */
static bool join_until(struct http_loop *l, int64_t until)
{
    struct timespec ts = {
        .tv_sec = until / CLOCK_SEC,
        .tv_nsec = until % CLOCK_SEC * 1000,
    };

    return pthread_timedjoin_np(l->thread, NULL, &ts) == 0;
}

void http_server_stop(struct http_server *s, int64_t grace)
{
    int64_t until = clock_wall() + grace;
    int joined = 0;

    http_loop_order(&s->loops[0], HTTP_ORDER_STOP);
    while (joined < s->n_loops && join_until(&s->loops[joined], until))
        joined++;
    for (int i = joined; i < s->n_loops; i++)
        http_loop_order(&s->loops[i], HTTP_ORDER_ABORT);
    for (int i = joined; i < s->n_loops; i++)
        uv_thread_join(&s->loops[i].thread);
    server_free(s);
}

void http_server_stats(const struct http_server *s,
                       struct http_server_stats *out)
{
    *out = (struct http_server_stats){0};
    for (int i = 0; i < s->n_loops; i++) {
        const struct http_loop *l = &s->loops[i];

        out->accepted += __atomic_load_n(&l->accepted, __ATOMIC_RELAXED);
        out->open += __atomic_load_n(&l->open, __ATOMIC_RELAXED);
        out->requests += __atomic_load_n(&l->requests, __ATOMIC_RELAXED);
        out->bad_requests +=
            __atomic_load_n(&l->bad_requests, __ATOMIC_RELAXED);
        out->timeouts += __atomic_load_n(&l->timeouts, __ATOMIC_RELAXED);
    }
}
