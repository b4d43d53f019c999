/*
 * admin - the Admin API on DIR/run/controller.sock (README.md lists it).
 *
 * The HTTP server has a thread of its own; a request crosses to the loop
 * through a locked inbox, is answered there from the model, or later by
 * whoever finishes it.
 */
#ifndef CONTROL_ADMIN_H
#define CONTROL_ADMIN_H

#include "control/control_int.h"
#include "net/http.h"

/* A request on its way through the loop. */
struct admin_call {
    struct control *ctl;
    struct http_exchange *x;
    struct ctx ctx;       /* over the exchange's arena */
    const char *words[8]; /* the wildcards of the path, decoded, in order */
    json_t *body;         /* parsed; NULL when there is none */
};

/*
 * A handler: answers with admin_reply() or admin_fail(), now or later, exactly
 * once; or returns an error, which is answered for it.
 */
typedef int admin_fn(struct admin_call *c);

/* One row of the API; '*' in the path is one word, up to a '/' or ':'. */
struct admin_route {
    const char *method, *path;
    admin_fn *fn;
};

/* ERR_UNAVAILABLE while what is deployed has not been read yet. */
int admin_need_loaded(struct admin_call *c);

/* The application that the first word of the path names: ERR_NOT_FOUND, or
 * ERR_UNAVAILABLE while they are not loaded yet. */
int admin_find_app(struct admin_call *c, struct app **out);

/* What to return for a change: answers with its Operation when rc is 0. */
int admin_reply_operation(struct admin_call *c, int rc, struct operation *op);

extern const struct admin_route admin_index_routes[];    /* admin_indexes.c */
extern const struct admin_route admin_queue_routes[];    /* admin_queues.c */
extern const struct admin_route admin_app_routes[];      /* admin_apps.c */
extern const struct admin_route admin_service_routes[];  /* admin_services.c */
extern const struct admin_route admin_domain_routes[];   /* admin_domains.c */
extern const struct admin_route admin_cron_routes[];     /* admin_cron.c */
extern const struct admin_route admin_identity_routes[]; /* admin_identity.c */
extern const struct admin_route admin_log_routes[];      /* admin_logs.c */
extern const struct admin_route admin_platform_routes[]; /* admin_platform.c */
extern const struct admin_route
    admin_datastore_routes[]; /* admin_datastore.c */

/*
 * Listen on the socket, replacing that of a dead controller (the caller holds
 * the lock that says it is dead).  ERR_* of the HTTP server with its story.
 */
int admin_start(struct ctx *ctx, struct control *ctl);

/*
 * End the HTTP server, a second at most for answers under way, and take the
 * socket away.  May be called without admin_start().
 */
void admin_stop(struct control *ctl);

/* Answer 200 with `o` (the reference is taken over); the call is gone. */
void admin_reply(struct admin_call *c, json_t *o);

/* As admin_reply(), of JSON that has been written already. */
void admin_reply_text(struct admin_call *c, const char *json);

/* Answer an error; the call is gone. */
void admin_fail(struct admin_call *c, const struct ctx *ctx, int rc);

/* A decoded parameter of the query, or `none`. */
const char *admin_param(struct admin_call *c, const char *name,
                        const char *none);

/* A number of the query between min and max; `none` when absent.  ERR_INVALID
 * names it. */
int admin_number(struct admin_call *c, const char *name, int64_t none,
                 int64_t min, int64_t max, int64_t *out);

/*
 * {"lines": [...]}: the end of a log, without what stands before each line.
 * With a tag, of a version's log the lines of that instance.
 */
json_t *admin_log_lines(struct admin_call *c, const char *path, const char *tag,
                        int lines);

#endif
