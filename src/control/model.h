/*
 * model - what is deployed: apps, their services, their versions.
 *
 * The store's documents (README.md lists the tables) as structs, kept in
 * memory and changed only after the store has taken the change.  Lists are
 * ordered by id, so that whatever is generated from them is the same bytes
 * every time.
 *
 * A struct version is one deployment of a version id: deploying the same id
 * again makes a new one, and the old one drains.  Thread rule: the loop's.
 */
#ifndef CONTROL_MODEL_H
#define CONTROL_MODEL_H

#include "base/ctx.h"
#include "control/scaler.h"

#include <jansson.h>

struct certificate;
struct domain;
struct instance;
struct retiring;
struct version;

/* Something about a version's instances has changed (instance.h). */
typedef void instances_fn(struct version *v, void *arg);

/* Limits of Google's (app.yaml reference) and of ours. */
enum {
    MODEL_PROJECT_MAX = 100,
    MODEL_ID_MAX = 63,
    MODEL_HANDLERS_MAX = 100,
};

struct handler {
    const char *url;              /* the regular expression, without anchors */
    const char *path, *mime_type; /* static files; path NULL: the app */
    const char *upload;           /* names of those there are; NULL: all */
    json_t *headers;              /* of static files; or NULL */
    int64_t expiration;           /* seconds; -1: the version's default */
    bool require_file;            /* no such file: the next handler's turn */
    bool readable;                /* static, and the app may read it, too */
    enum handler_login { LOGIN_OPTIONAL, LOGIN_REQUIRED, LOGIN_ADMIN } login;
    bool unauthorized; /* auth_fail_action: 401 instead of the redirect */
    enum handler_secure { SECURE_EITHER, SECURE_ALWAYS, SECURE_NEVER } secure;
    int redirect_code; /* of `secure`: 301, 302, 303 or 307 */
};

/* A page of the app's for an error that the platform makes. */
struct error_page {
    enum error_kind {
        ERROR_PAGE_DEFAULT,
        ERROR_PAGE_OVER_QUOTA,
        ERROR_PAGE_DOS_API_DENIAL,
        ERROR_PAGE_TIMEOUT,
        ERROR_PAGES,
    } kind;
    const char *path;      /* in the application's folder */
    const char *mime_type; /* or NULL: text/html */
};

/* How a service's traffic is shared among its versions. */
enum shard_by { SHARD_NONE, SHARD_COOKIE, SHARD_IP, SHARD_RANDOM };

/* A rule of dispatch.yaml; the host is exact or begins with '*', the path is
 * exact or ends with '*'. */
struct dispatch_rule {
    const char *host, *path, *service;
};

struct version {
    struct service *service;
    const char *id;
    const char *deployment; /* digits, unique; rising */
    const char *token;      /* the secret half of its tickets; hex */
    const char *archive;    /* sha256, hex */
    const char *runtime;    /* "python": a folder of runtimes/ */
    const char *entrypoint; /* or "" */
    const char *backend;    /* haproxy's name for it, once it is in the model */
    struct scaling scaling; /* how many instances, from its app.yaml */
    int wanted;             /* instances */
    int concurrent;         /* requests at once on one instance */
    int64_t expiration;     /* seconds, of static files */
    bool stopped;           /* servingStatus STOPPED */
    struct handler *handlers;
    size_t n_handlers;
    struct error_page error_pages[ERROR_PAGES]; /* by kind; path NULL: none */
    json_t *doc;
    struct arena arena;

    struct instance **instances; /* running or to be; instance.c */
    size_t n_instances;
    bool prepared;      /* unpacked and built: it can be started */
    bool preparing;     /* by scale.c, for a request */
    bool drawn, routed; /* haproxy's file, and haproxy itself, have it */

    /* scale.c: what it saw and decided last */
    struct scaler_memory scaler;
    int64_t looked, queued_since; /* clock_mono(); 0: not yet, nothing waits */
    int queued;                   /* requests that wait for an instance */
    int64_t ended, answered;      /* requests so far, and since the last look */
    bool started;                 /* it had an instance; scaling goes on */
    char scale_why[200];
    instances_fn *watch; /* told of every change; or NULL */
    void *watch_arg;
    struct retiring *retiring; /* its instances are being ended (retire.h) */
    bool recalled;             /* and shall not be, if it is not too late */
    bool draining;             /* takes no new requests, soon gone */
    struct version *next;
};

struct service {
    struct app *app;
    const char *id;
    json_t *doc;
    struct version *versions;
    struct service *next;
};

struct app {
    const char *id;
    json_t *doc;
    struct service *services;
    struct app *next;
};

struct model {
    struct app *apps;
    struct certificate *certificates; /* certs.h */
    struct domain *domains;           /* domains.h */
};

/* Whether `id` may name a project: ERR_INVALID with the rule it breaks. */
int model_check_project(struct ctx *ctx, const char *id);

/*
 * Whether `id` may name a service or a version; `what` says which of them, and
 * "version" excludes Google's reserved names.  ERR_INVALID with the rule.
 */
int model_check_id(struct ctx *ctx, const char *what, const char *id);

/*
 * A version from its document; a reference to `doc` is taken.  ERR_INVALID
 * names the member that is wrong.  Not in any service yet.
 */
int model_version_new(struct ctx *ctx, json_t *doc, struct version **out);

/* Free one that is in no list and whose instances are gone. */
void model_version_free(struct version *v);

/*
 * Put an app in its place of the list.  The reference `doc` is taken over; the
 * id is copied.
 */
struct app *model_app_add(struct model *m, const char *id, json_t *doc);

/* The same for a service of `a`. */
struct service *model_service_add(struct app *a, const char *id, json_t *doc);

/* Put a version in its place among the service's; the list owns it now. */
void model_version_add(struct service *s, struct version *v);

/* Take an app out and free it.  It must have no services left. */
void model_app_remove(struct model *m, struct app *a);

/* Take a service out and free it.  It must have no versions left. */
void model_service_remove(struct service *s);

/*
 * Take a version out of its list; it is the caller's then, and still knows its
 * service.
 */
void model_version_remove(struct version *v);

/* Whether a version stands on the archive of this name. */
bool model_archive_used(const struct model *m, const char *archive);

/* The app with this id, or NULL. */
struct app *model_app(const struct model *m, const char *id);

/* The service with this id, or NULL; `a` may be NULL. */
struct service *model_service(const struct app *a, const char *id);

/*
 * The version with this id, or NULL; `s` may be NULL.  A draining one is passed
 * over: its id may belong to a newer deployment.
 */
struct version *model_version(const struct service *s, const char *id);

/*
 * Every version of every service, one after another: the first one after
 * `v`, or after the beginning when it is NULL.
 */
struct version *model_next(const struct model *m, const struct version *v);

/* The version that gets most of the service's traffic, or NULL. */
struct version *model_serving(const struct service *s);

/* The memory of an instance, in MiB, by its class: F1 and B2 where app.yaml
 * names none. */
int model_memory_mb(const struct version *v);

/* The part of its service's traffic that a version gets, 0 to 1; a draining
 * one gets none. */
double model_share(const struct version *v);

/* What decides who gets which version; SHARD_NONE while one gets all. */
enum shard_by model_shard_by(const struct service *s);

/*
 * Rule `i` of the app's dispatch.yaml into *out, in the file's order; false
 * past the last.  The strings live as long as the app's document.
 */
bool model_dispatch(const struct app *a, size_t i, struct dispatch_rule *out);

/*
 * Whom the rules send a request of the platform's own to, by its host (no port)
 * and path (no query); NULL: no service that is there.  What /_ah/ has of the
 * platform is in no rule's reach.
 */
struct service *model_dispatched(const struct app *a, const char *host,
                                 struct bytes path);

/* "P/S/V/DEPLOYMENT", in the arena. */
const char *model_name(struct arena *a, const struct version *v);

#endif
