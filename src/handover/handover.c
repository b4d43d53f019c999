/*
 * handover - nginx's reload, without a lost connection.
 *
 * At a reload a worker of the old configuration closes the connections that
 * its clients keep, and a request that is on its way at that moment is lost;
 * those that it is answering it closes after an answer that said keep-alive.
 * With this module the worker passes them on instead.  Every worker that begins
 * binds a unix socket in place of the one before.  A worker that has to quit
 * *retires* first: it accepts no more, and sends to that socket the descriptors
 * of the connections on which nothing is under way, at once or when their
 * request has been answered.  The new worker takes them as if it had accepted
 * them: what a client has sent meanwhile waits in the kernel, and is answered
 * by the new configuration.  When nothing is left, or after RETIRE_MS, nginx's
 * own way of quitting goes on.
 *
 *     load_module .../nginx-handover.so;
 *     handover /run/.../handover;     (in the main block)
 *
 * Not passed on are connections with TLS, whose keys are the old worker's: it
 * closes them as ever (HTTP/2 tells its clients which requests to repeat).
 *
 * A module of nginx lives in its world: its types, its pools, one thread.
 */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include <sys/stat.h>

enum {
    BATCH = 128,      /* descriptors a message; the kernel takes 253 */
    SEND_SECONDS = 2, /* as long as a successor may be busy */
    RETIRE_MS = 2000, /* for requests under way; longer ones end as they do */
    LOOK_MS = 20,     /* between looks whether there are any */
};

struct handover {
    ngx_str_t path; /* empty: there is no handing over */
};

/* Of this worker. */
static struct {
    ngx_connection_t *inbox;
    dev_t dev; /* of the inbox: whether a successor has taken its place */
    ino_t ino;
    ngx_int_t (*process_events)(ngx_cycle_t *, ngx_msec_t, ngx_uint_t);
    ngx_uint_t retiring;
    ngx_msec_t retired; /* since when */
    ngx_event_t look;
    ngx_connection_t nobody; /* whose event that is, as debug logs want it */
} own;

ngx_module_t handover_module;

static const struct handover *conf_of(ngx_cycle_t *cycle)
{
    return (struct handover *)ngx_get_conf(cycle->conf_ctx, handover_module);
}

/* ---- one message ---- */

union control {
    struct cmsghdr header; /* for its alignment */
    char room[CMSG_SPACE(BATCH * sizeof(int))];
};

static void make_message(struct msghdr *m, union control *control,
                         struct iovec *iov)
{
    static char nothing;

    ngx_memzero(m, sizeof(*m));
    *iov = (struct iovec){&nothing, 1};
    m->msg_iov = iov;
    m->msg_iovlen = 1;
    m->msg_control = control->room;
    m->msg_controllen = sizeof(control->room);
}

/* ---- the successor's side ---- */

/* The socket that a connection would have been accepted on. */
static ngx_listening_t *listening_of(ngx_cycle_t *cycle, ngx_socket_t fd)
{
    ngx_listening_t *ls = cycle->listening.elts;
    ngx_sockaddr_t local;
    socklen_t n = sizeof(local);

    if (getsockname(fd, &local.sockaddr, &n) != 0)
        return NULL;
    if (local.sockaddr.sa_family != AF_INET &&
        local.sockaddr.sa_family != AF_INET6)
        return NULL;
    for (ngx_uint_t i = 0; i < cycle->listening.nelts; i++)
        if (ls[i].fd != (ngx_socket_t)-1 && ls[i].type == SOCK_STREAM &&
            ls[i].sockaddr->sa_family == local.sockaddr.sa_family &&
            ngx_inet_get_port(ls[i].sockaddr) ==
                ngx_inet_get_port(&local.sockaddr))
            return &ls[i];
    return NULL;
}

/* What a handler of new connections expects to find, but for the events. */
static ngx_int_t furnish(ngx_connection_t *c, ngx_listening_t *ls,
                         ngx_cycle_t *cycle)
{
    ngx_sockaddr_t peer;
    socklen_t n = sizeof(peer);

    if (getpeername(c->fd, &peer.sockaddr, &n) != 0)
        return NGX_ERROR;
    c->pool = ngx_create_pool(ls->pool_size, cycle->log);
    if (!c->pool)
        return NGX_ERROR;
    c->sockaddr = ngx_palloc(c->pool, sizeof(ngx_sockaddr_t));
    c->log = ngx_palloc(c->pool, sizeof(ngx_log_t));
    if (!c->sockaddr || !c->log)
        return NGX_ERROR;
    ngx_memcpy(c->sockaddr, &peer, n);
    c->socklen = n;
    *c->log = ls->log;
    c->pool->log = c->log;
    if (!ls->addr_ntop)
        return NGX_OK;
    c->addr_text.data = ngx_pnalloc(c->pool, ls->addr_text_max_len);
    if (!c->addr_text.data)
        return NGX_ERROR;
    c->addr_text.len = ngx_sock_ntop(c->sockaddr, n, c->addr_text.data,
                                     ls->addr_text_max_len, 0);
    return c->addr_text.len ? NGX_OK : NGX_ERROR;
}

static void discard(ngx_connection_t *c)
{
    ngx_pool_t *pool = c->pool;

    ngx_free_connection(c);
    ngx_close_socket(c->fd);
    c->fd = (ngx_socket_t)-1;
    if (pool)
        ngx_destroy_pool(pool);
}

static void take(ngx_cycle_t *cycle, ngx_socket_t fd)
{
    ngx_listening_t *ls = listening_of(cycle, fd);
    ngx_connection_t *c = ls ? ngx_get_connection(fd, cycle->log) : NULL;

    if (!c) { /* nobody listens there any more, or there is no room */
        ngx_close_socket(fd);
        return;
    }
    c->type = SOCK_STREAM;
    c->pool = NULL;
    if (furnish(c, ls, cycle) != NGX_OK) {
        discard(c);
        return;
    }
    c->recv = ngx_recv;
    c->send = ngx_send;
    c->recv_chain = ngx_recv_chain;
    c->send_chain = ngx_send_chain;
    c->listening = ls;
    c->local_sockaddr = ls->sockaddr;
    c->local_socklen = ls->socklen;
    c->read->log = c->write->log = c->log;
    c->write->ready = 1;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->start_time = ngx_current_msec;
#if (NGX_STAT_STUB)
    (void)ngx_atomic_fetch_add(ngx_stat_active, 1);
#endif
    c->log->data = NULL;
    c->log->handler = NULL;
    ls->handler(c);
}

static void on_inbox(ngx_event_t *ev)
{
    ngx_connection_t *inbox = ev->data;
    union control control;
    struct msghdr m;
    struct iovec iov;

    for (;;) {
        const struct cmsghdr *h;
        size_t n;

        make_message(&m, &control, &iov);
        if (recvmsg(inbox->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0)
            return;
        h = CMSG_FIRSTHDR(&m);
        if (!h || h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;

            ngx_memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
            take((ngx_cycle_t *)ngx_cycle, fd);
        }
    }
}

/* ---- the predecessor's side ---- */

static void address_of(const ngx_str_t *path, struct sockaddr_un *un)
{
    ngx_memzero(un, sizeof(*un));
    un->sun_family = AF_UNIX;
    ngx_memcpy(un->sun_path, path->data, path->len);
}

/* When all of nginx ends there is none: the socket there is our own. */
static ngx_uint_t has_successor(const ngx_str_t *path)
{
    struct stat st;

    return stat((const char *)path->data, &st) == 0 &&
           !(st.st_dev == own.dev && st.st_ino == own.ino);
}

/* A buffer whose memory was given back has no position. */
static ngx_uint_t is_empty(const ngx_buf_t *b)
{
    return !b || !b->pos || b->pos == b->last;
}

/*
 * A client's, without TLS, that waits for a request.  One that lingers - its
 * answer is out, and the rest of the request is thrown away - has had requests
 * and is not idle.
 */
static ngx_uint_t may_go(const ngx_connection_t *c)
{
    return c->listening && !c->ssl && c->type == SOCK_STREAM &&
           (c->idle || c->requests == 0) && is_empty(c->buffer);
}

static ngx_int_t send_fds(ngx_socket_t s, const ngx_str_t *path,
                          ngx_connection_t *const *list, size_t n)
{
    struct sockaddr_un to;
    union control control;
    struct msghdr m;
    struct iovec iov;
    struct cmsghdr *h;
    ssize_t rc;

    make_message(&m, &control, &iov);
    ngx_memzero(&control, sizeof(control));
    address_of(path, &to);
    m.msg_name = &to;
    m.msg_namelen = sizeof(to);
    m.msg_controllen = CMSG_SPACE(n * sizeof(int));
    h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(n * sizeof(int));
    for (size_t i = 0; i < n; i++)
        ngx_memcpy(CMSG_DATA(h) + i * sizeof(int), &list[i]->fd, sizeof(int));
    do
        rc = sendmsg(s, &m, MSG_NOSIGNAL);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? NGX_ERROR : NGX_OK;
}

/* As nginx closes what is idle: our descriptor goes, the connection stays. */
static void let_go(ngx_connection_t *c)
{
    ngx_reusable_connection(c, 0);
    c->close = 1;
    c->read->handler(c->read);
}

static size_t collect(ngx_cycle_t *cycle, ngx_connection_t **list)
{
    ngx_queue_t *head = &cycle->reusable_connections_queue, *q;
    size_t n = 0;

    for (q = ngx_queue_head(head); q != head && n < BATCH;
         q = ngx_queue_next(q)) {
        ngx_connection_t *c = ngx_queue_data(q, ngx_connection_t, queue);

        if (may_go(c))
            list[n++] = c;
    }
    return n;
}

/* NGX_ERROR: the successor takes nothing, and there is no use to wait on. */
static ngx_int_t hand_over(ngx_cycle_t *cycle, const ngx_str_t *path)
{
    const struct timeval limit = {.tv_sec = SEND_SECONDS};
    ngx_connection_t *list[BATCH];
    ngx_socket_t s = (ngx_socket_t)-1;
    ngx_int_t rc = NGX_OK;
    size_t n;

    while (rc == NGX_OK && (n = collect(cycle, list)) > 0) {
        if (s == (ngx_socket_t)-1) {
            s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
            if (s == (ngx_socket_t)-1)
                return NGX_ERROR;
            setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        }
        for (size_t i = 0; i < n; i++) /* closing does not, now */
            ngx_del_conn(list[i], 0);
        rc = send_fds(s, path, list, n);
        if (rc != NGX_OK)
            ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno,
                          "handover: %uz connections are closed", n);
        for (size_t i = 0; i < n; i++)
            let_go(list[i]);
    }
    if (s != (ngx_socket_t)-1)
        ngx_close_socket(s);
    return rc;
}

/* What may not be handed over: nginx would have closed it by now. */
static void close_idle(ngx_cycle_t *cycle)
{
    ngx_queue_t *head = &cycle->reusable_connections_queue, *q, *next;

    for (q = ngx_queue_head(head); q != head; q = next) {
        ngx_connection_t *c = ngx_queue_data(q, ngx_connection_t, queue);

        next = ngx_queue_next(q);
        if (c->idle)
            let_go(c);
    }
}

/* ---- to retire ---- */

static ngx_uint_t under_way(const ngx_connection_t *c)
{
    return c->fd != (ngx_socket_t)-1 && c->listening && !c->ssl &&
           c->type == SOCK_STREAM && !c->reusable;
}

static ngx_uint_t count_under_way(const ngx_cycle_t *cycle)
{
    ngx_uint_t n = 0;

    for (ngx_uint_t i = 0; i < cycle->connection_n; i++)
        n += under_way(&cycle->connections[i]);
    return n;
}

/* The connection ends with the answer: say so, where that is still possible. */
static void announce_end(const ngx_connection_t *c)
{
    const ngx_http_request_t *r = c->data;

    if (r && r->signature == NGX_HTTP_MODULE && !r->main->header_sent)
        r->main->keepalive = 0;
}

/* nginx's own quitting goes on. */
static void conclude(ngx_cycle_t *cycle)
{
    for (ngx_uint_t i = 0; i < cycle->connection_n; i++)
        if (under_way(&cycle->connections[i]))
            announce_end(&cycle->connections[i]);
    if (own.look.timer_set)
        ngx_del_timer(&own.look);
    own.retiring = 0;
    ngx_quit = 1;
}

static void on_look(ngx_event_t *ev)
{
    ngx_cycle_t *cycle = (ngx_cycle_t *)ngx_cycle;

    if (ngx_current_msec - own.retired >= RETIRE_MS ||
        count_under_way(cycle) == 0)
        conclude(cycle);
    else
        ngx_add_timer(ev, LOOK_MS);
}

static void close_inbox(void)
{
    if (!own.inbox)
        return;
    on_inbox(own.inbox->read); /* to be passed on with the others */
    ngx_close_connection(own.inbox);
    own.inbox = NULL;
}

static void retire(ngx_cycle_t *cycle)
{
    own.retiring = 1;
    own.retired = ngx_current_msec;
    ngx_quit = 0;
    ngx_close_listening_sockets(cycle);
    cycle->listening.nelts = 0; /* it will be called again */
    own.look.handler = on_look;
    own.look.log = cycle->log;
    own.nobody.fd = (ngx_socket_t)-1;
    own.look.data = &own.nobody;
    ngx_add_timer(&own.look, LOOK_MS);
}

/* nginx looks at ngx_quit between two calls of this. */
static ngx_int_t process_events(ngx_cycle_t *cycle, ngx_msec_t timer,
                                ngx_uint_t flags)
{
    ngx_int_t rc = own.process_events(cycle, timer, flags);
    const ngx_str_t *path = &conf_of(cycle)->path;

    if (ngx_exiting || ngx_terminate)
        return rc;
    if (ngx_quit && own.retiring) { /* told twice: somebody is in a hurry */
        conclude(cycle);
    } else if (ngx_quit) {
        close_inbox();
        if (has_successor(path))
            retire(cycle);
    }
    if (own.retiring) {
        if (hand_over(cycle, path) != NGX_OK)
            conclude(cycle);
        close_idle(cycle);
    }
    return rc;
}

/* ---- a worker begins ---- */

/* Under a name of its own first: there is a socket at every moment. */
static ngx_socket_t bind_inbox(ngx_cycle_t *cycle, const ngx_str_t *path)
{
    struct sockaddr_un un;
    struct stat st;
    ngx_socket_t s;

    address_of(path, &un);
    ngx_snprintf((u_char *)un.sun_path + path->len,
                 sizeof(un.sun_path) - path->len, ".%P%Z", ngx_pid);
    unlink(un.sun_path);
    s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s == (ngx_socket_t)-1)
        return s;
    if (bind(s, (struct sockaddr *)&un, sizeof(un)) == 0 &&
        chmod(un.sun_path, 0600) == 0 && stat(un.sun_path, &st) == 0 &&
        rename(un.sun_path, (const char *)path->data) == 0) {
        own.dev = st.st_dev;
        own.ino = st.st_ino;
        return s;
    }
    ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno,
                  "handover: cannot bind \"%s\"", un.sun_path);
    ngx_close_socket(s);
    return (ngx_socket_t)-1;
}

static ngx_int_t handover_init_process(ngx_cycle_t *cycle)
{
    const struct handover *conf = conf_of(cycle);
    ngx_socket_t s;

    if (conf->path.len == 0 || ngx_process != NGX_PROCESS_WORKER ||
        !ngx_del_conn) /* only epoll has it */
        return NGX_OK;
    s = bind_inbox(cycle, &conf->path);
    own.inbox =
        s == (ngx_socket_t)-1 ? NULL : ngx_get_connection(s, cycle->log);
    if (!own.inbox) { /* reloads are as they were */
        if (s != (ngx_socket_t)-1)
            ngx_close_socket(s);
        return NGX_OK;
    }
    own.inbox->read->handler = on_inbox;
    own.inbox->read->log = own.inbox->write->log = cycle->log;
    if (ngx_add_event(own.inbox->read, NGX_READ_EVENT, 0) != NGX_OK)
        return NGX_ERROR;
    own.process_events = ngx_process_events;
    ngx_process_events = process_events;
    return NGX_OK;
}

/* ---- the directive ---- */

static char *set_path(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    enum { PID_ROOM = sizeof(".4194304") };
    const ngx_str_t *value = cf->args->elts;
    struct handover *conf = data;

    if (conf->path.len)
        return "is duplicate";
    if (value[1].len + PID_ROOM > sizeof(((struct sockaddr_un *)0)->sun_path))
        return "is too long a path for a socket";
    conf->path = value[1]; /* ends with NUL: nginx's words do */
    return NGX_CONF_OK;
}

static void *create_conf(ngx_cycle_t *cycle)
{
    return ngx_pcalloc(cycle->pool, sizeof(struct handover));
}

static ngx_command_t commands[] = {
    {ngx_string("handover"), NGX_MAIN_CONF | NGX_DIRECT_CONF | NGX_CONF_TAKE1,
     set_path, 0, 0, NULL},
    ngx_null_command,
};

static ngx_core_module_t core = {ngx_string("handover"), create_conf, NULL};

ngx_module_t handover_module = {
    NGX_MODULE_V1,
    &core,
    commands,
    NGX_CORE_MODULE,
    NULL, /* init master */
    NULL, /* init module */
    handover_init_process,
    NULL, /* init thread */
    NULL, /* exit thread */
    NULL, /* exit process */
    NULL, /* exit master */
    NGX_MODULE_V1_PADDING,
};

/* What load_module looks for. */
ngx_module_t *ngx_modules[] = {&handover_module, NULL};
char *ngx_module_names[] = {"handover_module", NULL};
char *ngx_module_order[] = {NULL};
