/*
 * control_int - what the files of control/ share: the one struct control.
 *
 * Everything here belongs to the loop's thread.
 */
#ifndef CONTROL_CONTROL_INT_H
#define CONTROL_CONTROL_INT_H

#include "config/settings.h"
#include "control/control.h"
#include "control/listener.h"
#include "control/model.h"
#include "control/process.h"
#include "net/http_client.h"

struct acme;
struct admin;
struct cron;
struct hold;
struct routing;
struct scale;
struct servers;
struct operation;

/* nginx's ports, in the order of their descriptors; without https_port there
 * is only the first. */
enum nginx_listener {
    NGINX_HTTP,
    NGINX_HTTPS,
    NGINX_LISTENERS,
};

/* haproxy's frontends, in the order of their descriptors. */
enum haproxy_listener {
    HAPROXY_EDGE,
    HAPROXY_PLATFORM,
    HAPROXY_TASKS,
    HAPROXY_LISTENERS,
};

struct control {
    uv_loop_t loop;
    struct arena arena; /* lives as long as the controller */
    struct settings settings;
    const char *root, *programs, *runtimes;
    const char *ticket; /* the platform's own */
    int lock_fd;
    struct http_client *http;

    struct process *processes; /* in the order they are started */
    struct process *server, *memcached, *haproxy, *nginx;
    struct process *rabbitmq; /* NULL without task_broker: rabbitmq */
    /* What they listen on: HAPROXY_EDGE, NGINX_HTTP and so on. */
    struct listener server_listen; /* the SDKs' port */
    struct listener haproxy_listen[HAPROXY_LISTENERS];
    struct listener nginx_listen[NGINX_LISTENERS];
    struct state found; /* what the controller before us left... */
    bool *claimed;      /* ...and which of it is ours again */

    struct model model;
    bool loaded; /* the model is what the store holds */
    struct routing *routing;
    struct servers *servers;
    struct hold *hold;
    struct scale *scale;
    struct admin *admin;
    struct cron *cron;
    struct acme *acme;
    bool domains_busy; /* a change of theirs is under way (domains.h) */
    struct operation *operations; /* newest first */
    int jobs;                     /* operations under way */
    int64_t swept;                /* join_chore() looked; seconds, monotonic */
    json_t *read_only; /* whose writes are stopped, as last heard; or NULL */

    bool stopping;
    int64_t started;  /* clock_mono() */
    uv_timer_t chore; /* logs, old operations */
    uv_signal_t term, interrupt;
};

/* DIR/`name`; in the arena. */
const char *control_path(const struct control *ctl, struct arena *a,
                         const char *name);

/* DIR/logs/NAME.log, slashes of the name as '.'. */
const char *control_log_path(const struct control *ctl, struct arena *a,
                             const char *name);

/*
 * The environment of a child: ours without what could confuse it, then
 * `extra` (NULL-terminated, or NULL), then the mark that tells whose it is.
 */
const char *const *control_env(const struct control *ctl, struct arena *a,
                               const char *name, const char *const *extra);

/*
 * The secret in the file `path` (0600), made when there is none: 48 hexadecimal
 * digits, in the request's arena.
 */
int control_secret(struct ctx *ctx, const char *path, const char **out);

/* Everything stops in order, then the loop ends. */
void control_shutdown(struct control *ctl);

/* Whether requests can be served: all parts ready, the model loaded. */
bool control_ready(const struct control *ctl);

/* Log that the platform is ready, if it is: called by whatever may have been
 * the last thing missing, a part or the routes. */
void control_note_ready(const struct control *ctl);

/*
 * Run `work` on the pool, then `done` on the loop; both get `arg`.  For what
 * waits for the disk.
 */
void control_offload(struct control *ctl, void (*work)(void *arg),
                     void (*done)(void *arg), void *arg);

/* Lists of words for child_spec: WORDS(arena, "a", "b"). */
#define WORDS(a_, ...)                                                         \
    control_words((a_), (const char *const[]){__VA_ARGS__, NULL})

/*
 * A NULL-terminated copy of a NULL-terminated list; the words are not copied.
 */
const char *const *control_words(struct arena *a, const char *const *list);

/* ---- the parts (parts.c) ---- */

extern const struct process_init part_server, part_memcached, part_haproxy,
    part_nginx;

/* An error with the reason when a part cannot be started here at all: a
 * missing program, a taken port. */
int parts_check(struct ctx *ctx, struct control *ctl);

/* ---- RabbitMQ (rabbitmq.c) ---- */

extern const struct process_init part_rabbitmq;

/* An error that says what to install when the program is missing. */
int rabbitmq_check(struct ctx *ctx);

/* The file with its user's password; there once it has been set up. */
const char *rabbitmq_password_path(struct control *ctl, struct arena *a);

/* ---- startup of what is deployed (load.c) ---- */

/* Read the model from the server, start its instances, apply the routes.
 * Tries again until it works. */
void load_start(struct control *ctl);

#endif
