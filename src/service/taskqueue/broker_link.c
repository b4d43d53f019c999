/* broker_link - connecting, waiting for frames, connecting again. */
#include "service/taskqueue/broker_link.h"

#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"

#include <amqp_tcp_socket.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    HEARTBEAT_SEC = 10, /* silence of twice that ends a connection */
    ANSWER_SEC = 5,     /* for a connection, or for a method that is answered */
    CLOSE_SEC = 1,
    TICK_MS = 1000, /* heartbeats are sent by whoever looks for frames */
    AGAIN_MS = 200, /* the first pause, doubling to... */
    AGAIN_MOST_MS = 5000,
    FRAME_MAX = 131072,
};

/* ---- errors ---- */

bool broker_link_failed(struct broker_link *l, int status, const char *what)
{
    if (status >= 0)
        return false;
    snprintf(l->why, sizeof(l->why), "%s: %s", what,
             amqp_error_string2(status));
    return true;
}

/* What the other side says when it ends a channel or a connection. */
static void note_close(struct broker_link *l, const char *what,
                       const amqp_method_t *m)
{
    amqp_bytes_t text = amqp_empty_bytes;

    if (m->id == AMQP_CONNECTION_CLOSE_METHOD)
        text = ((amqp_connection_close_t *)m->decoded)->reply_text;
    else if (m->id == AMQP_CHANNEL_CLOSE_METHOD)
        text = ((amqp_channel_close_t *)m->decoded)->reply_text;
    snprintf(l->why, sizeof(l->why), "%s: %.*s", what, (int)text.len,
             (const char *)text.bytes);
}

static bool reply_failed(struct broker_link *l, const char *what,
                         const amqp_rpc_reply_t *r)
{
    switch (r->reply_type) {
    case AMQP_RESPONSE_NORMAL:
        return false;
    case AMQP_RESPONSE_SERVER_EXCEPTION:
        note_close(l, what, &r->reply);
        return true;
    case AMQP_RESPONSE_LIBRARY_EXCEPTION:
        return broker_link_failed(l, r->library_error, what);
    default:
        snprintf(l->why, sizeof(l->why), "%s: no answer", what);
        return true;
    }
}

bool broker_link_refused(struct broker_link *l, const char *what)
{
    amqp_rpc_reply_t r = amqp_get_rpc_reply(l->conn);

    return reply_failed(l, what, &r);
}

/* ---- connecting ---- */

static bool read_password(struct broker_link *l, char *out, size_t size)
{
    struct arena arena = ARENA_INIT;
    struct bytes text;
    struct ctx ctx;
    int rc;

    ctx_init(&ctx, &arena);
    rc = files_read(&ctx, l->place->password_file, size - 1, &text);
    if (rc == 0) {
        memcpy(out, text.p, text.n);
        out[text.n] = '\0';
        out[strcspn(out, "\n")] = '\0';
    } else {
        snprintf(l->why, sizeof(l->why), "%s: %s", l->place->password_file,
                 ctx_err_text(&ctx, rc));
    }
    arena_release(&arena);
    return rc == 0;
}

static bool connect_socket(struct broker_link *l)
{
    struct timeval limit = {.tv_sec = ANSWER_SEC};
    amqp_socket_t *socket = amqp_tcp_socket_new(l->conn);

    if (!socket)
        die("out of memory for a connection to RabbitMQ");
    return !broker_link_failed(l,
                               amqp_socket_open_noblock(socket, l->place->host,
                                                        l->place->port, &limit),
                               "connecting");
}

static amqp_table_entry_t capability(const char *name)
{
    return (amqp_table_entry_t){
        .key = amqp_cstring_bytes(name),
        .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = true}};
}

/* To be told of a queue that is deleted while we consume from it, and of being
 * held up, is to be asked for. */
static amqp_rpc_reply_t log_in(struct broker_link *l, const char *password)
{
    amqp_table_entry_t wanted[] = {capability("consumer_cancel_notify"),
                                   capability("connection.blocked")};
    amqp_table_entry_t capabilities = {
        .key = amqp_cstring_bytes("capabilities"),
        .value = {.kind = AMQP_FIELD_KIND_TABLE,
                  .value.table = {.num_entries = 2, .entries = wanted}}};
    const amqp_table_t properties = {.num_entries = 1,
                                     .entries = &capabilities};

    return amqp_login_with_properties(
        l->conn, "/", BROKER_CHANNEL, FRAME_MAX, HEARTBEAT_SEC, &properties,
        AMQP_SASL_METHOD_PLAIN, l->place->user, password);
}

static bool sign_in(struct broker_link *l)
{
    struct timeval limit = {.tv_sec = ANSWER_SEC};
    char password[256];
    amqp_rpc_reply_t r;

    if (!read_password(l, password, sizeof(password)))
        return false;
    amqp_set_handshake_timeout(l->conn, &limit);
    amqp_set_rpc_timeout(l->conn, &limit);
    r = log_in(l, password);
    if (reply_failed(l, "signing in", &r))
        return false;
    amqp_channel_open(l->conn, BROKER_CHANNEL);
    return !broker_link_refused(l, "opening a channel");
}

static bool open_link(struct broker_link *l)
{
    l->conn = amqp_new_connection();
    if (!l->conn)
        die("out of memory for a connection to RabbitMQ");
    return connect_socket(l) && sign_in(l) && l->ops->opened(l);
}

static void close_link(struct broker_link *l, bool in_order)
{
    struct timeval limit = {.tv_sec = CLOSE_SEC};

    if (in_order) {
        amqp_set_rpc_timeout(l->conn, &limit);
        amqp_connection_close(l->conn, AMQP_REPLY_SUCCESS);
    }
    amqp_destroy_connection(l->conn);
    l->conn = NULL;
}

/* ---- frames ---- */

static void note_blocked(const struct broker_link *l,
                         const amqp_connection_blocked_t *m)
{
    log_warn(NULL, "taskqueue.broker.blocked", "link", l->ops->name, "why",
             log_bytes(BYTES(m->reason.bytes, m->reason.len)), "next",
             "RabbitMQ takes no messages until it has room (rabbitmq_mb, the "
             "disk); tasks wait in the store");
}

static bool on_frame(struct broker_link *l, const amqp_frame_t *f)
{
    const amqp_method_t *m = &f->payload.method;

    if (f->frame_type == AMQP_FRAME_METHOD) {
        switch (m->id) {
        case AMQP_CONNECTION_CLOSE_METHOD:
        case AMQP_CHANNEL_CLOSE_METHOD:
            note_close(l, "it closed", m);
            return false;
        case AMQP_BASIC_CANCEL_METHOD:
        case AMQP_BASIC_RETURN_METHOD:
            snprintf(l->why, sizeof(l->why), "its queue was deleted");
            return false;
        case AMQP_CONNECTION_BLOCKED_METHOD:
            note_blocked(l, m->decoded);
            break;
        }
    }
    return f->channel != BROKER_CHANNEL || l->ops->frame(l, f);
}

/* All frames that are there. */
static bool take_frames(struct broker_link *l)
{
    struct timeval now = {0};
    amqp_frame_t frame;

    for (;;) {
        int rc = amqp_simple_wait_frame_noblock(l->conn, &frame, &now);

        if (rc == AMQP_STATUS_TIMEOUT)
            return true;
        if (broker_link_failed(l, rc, "receiving") || !on_frame(l, &frame))
            return false;
        amqp_maybe_release_buffers(l->conn);
    }
}

/* A call that sends may have read some as well. */
static bool has_frames(struct broker_link *l)
{
    return amqp_frames_enqueued(l->conn) || amqp_data_in_buffer(l->conn);
}

static bool was_poked(struct broker_link *l)
{
    uint64_t n;

    return read(l->wake, &n, sizeof(n)) == sizeof(n);
}

/* Until the connection is gone; true when it is to be stopped. */
static bool serve(struct broker_link *l)
{
    struct pollfd fds[] = {
        {.fd = amqp_get_sockfd(l->conn), .events = POLLIN},
        {.fd = l->wake, .events = POLLIN},
    };

    for (;;) {
        if (!take_frames(l) || !l->ops->poked(l))
            return false;
        poll(fds, 2, has_frames(l) ? 0 : TICK_MS);
        if (fds[1].revents)
            was_poked(l);
        if (atomic_load(&l->stop))
            return true;
    }
}

/* ---- the thread ---- */

/* A line for each new reason, however often it tries. */
static void complain(struct broker_link *l)
{
    if (strcmp(l->told, l->why) != 0)
        log_warn(NULL, "taskqueue.broker.away", "link", l->ops->name, "port",
                 log_int(l->place->port), "why", l->why, "next",
                 "tasks wait in the store until it is back");
    memcpy(l->told, l->why, sizeof(l->told));
}

static bool once(struct broker_link *l)
{
    bool opened = open_link(l), in_order = false;

    if (opened) {
        log_info(NULL, "taskqueue.broker.connected", "link", l->ops->name,
                 "port", log_int(l->place->port));
        l->told[0] = '\0';
        in_order = serve(l);
        l->ops->lost(l);
    }
    close_link(l, in_order);
    if (!atomic_load(&l->stop))
        complain(l);
    return opened;
}

static void pause_for(struct broker_link *l, int ms)
{
    struct pollfd fd = {.fd = l->wake, .events = POLLIN};
    int64_t end = clock_mono() + ms * CLOCK_MS, left;

    while (!atomic_load(&l->stop) && (left = end - clock_mono()) > 0) {
        poll(&fd, 1, (int)(left / CLOCK_MS) + 1);
        if (fd.revents)
            was_poked(l);
    }
}

static void *run(void *arg)
{
    struct broker_link *l = arg;
    int wait = AGAIN_MS;

    while (!atomic_load(&l->stop)) {
        if (once(l))
            wait = AGAIN_MS;
        pause_for(l, wait);
        wait = wait * 2 < AGAIN_MOST_MS ? wait * 2 : AGAIN_MOST_MS;
    }
    return NULL;
}

int broker_link_start(struct ctx *ctx, struct broker_link *l,
                      const struct broker_link_ops *ops,
                      const struct broker_place *place, void *arg)
{
    int rc;

    *l = (struct broker_link){.ops = ops, .place = place, .arg = arg};
    l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rc = l->wake < 0 ? errno : pthread_create(&l->thread, NULL, run, l);
    if (rc == 0)
        return 0;
    if (l->wake >= 0)
        close(l->wake);
    l->wake = -1;
    return ctx_err(ctx, ERR_UNAVAILABLE,
                   "the thread for RabbitMQ cannot be started: %s",
                   strerror(rc));
}

void broker_link_poke(struct broker_link *l)
{
    uint64_t one = 1;

    if (write(l->wake, &one, sizeof(one)) < 0 && errno != EAGAIN)
        BUG("an eventfd refuses: %s", strerror(errno));
}

void broker_link_stop(struct broker_link *l)
{
    atomic_store(&l->stop, true);
    broker_link_poke(l);
    pthread_join(l->thread, NULL);
    close(l->wake);
}
