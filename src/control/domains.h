/*
 * domains - own names of applications.
 *
 * A domain is mapped to one application: "www.a.org" means its default
 * service, and below a wildcard, "*.a.org", the levels name services and
 * versions as they do below PROJECT.DOMAIN.  It has a certificate of the
 * application's, one that an ACME server signs (sslManagementType AUTOMATIC),
 * or none: then the platform's own is shown.
 *
 * A mapping never changes: a new one takes its place in the model.  Thread
 * rule: the loop's.
 */
#ifndef CONTROL_DOMAINS_H
#define CONTROL_DOMAINS_H

#include "control/certs.h"

enum { DOMAINS_PER_APP_MAX = 100, DOMAINS_NAME_MAX = 253 };

struct domain {
    const char *id;          /* "www.a.org", "*.a.org"; the row's name, too */
    const char *app;         /* the project */
    const char *certificate; /* an id of the project's; NULL: none yet */
    bool automatic;          /* acme.c sees to the certificate */
    int failures;            /* of acme.c, since the last success */
    int64_t tried, next;     /* its last and next attempt; clock_wall() */
    const char *reason;      /* why the last one failed; or NULL */
    const char *text;        /* the row's value, to the byte */
    struct arena arena;
    struct domain *next_domain;
};

/* What a mapping is made of. */
struct domain_spec {
    const char *id, *app, *certificate; /* the last may be NULL */
    bool automatic;
    int failures;
    int64_t tried, next;
    const char *reason; /* may be NULL */
};

/* Whether that may be mapped here: ERR_INVALID with the rule it breaks.  *out
 * is the name in lower case, in the request's arena. */
int domains_check_name(struct ctx *ctx, const struct control *ctl,
                       const char *name, const char **out);

/* A mapping; not in the model yet. */
struct domain *domains_new(const struct domain_spec *spec);

/* Free one that is not in the model. */
void domains_free(struct domain *d);

/* Take a row at the start of the controller.  ERR_CORRUPT with the reason. */
int domains_take(struct ctx *ctx, struct control *ctl, const char *row,
                 const char *text);

/* Put it into the model, which owns it now, in place of the one there was. */
void domains_put(struct model *m, struct domain *d);

/* Take it out of the model and free it; it may not be there. */
void domains_drop(struct model *m, const char *id);

/* The mapping, or NULL. */
struct domain *domains_find(const struct model *m, const char *id);

/* The first one of an application after `d` (NULL: the first), or NULL. */
struct domain *domains_next(const struct model *m, const char *app,
                            const struct domain *d);

/* The one that nginx takes a host for: its own, else the longest wildcard
 * around it; or NULL. */
struct domain *domains_of_host(const struct model *m, const char *host);

/* Its certificate; the platform's own (or NULL) when it has none. */
const struct certificate *domains_certificate(const struct model *m,
                                              const struct domain *d);

/* The part of a wildcard behind "*.", or NULL. */
const char *domains_below(const struct domain *d);

/* A change of one mapping, one certificate, or both. */
struct domains_change {
    struct domain *domain;                      /* to be put; or NULL */
    struct certificate *certificate;            /* to be put; or NULL */
    const char *drop_domain, *drop_certificate; /* their rows; or NULL */
};

/*
 * Make a change in the store, then in the model, then in the routes; fn runs
 * once, on the loop, later, unless this returns an error.  What is to be put is
 * taken over in any case.  ERR_CONFLICT while another change is under way, or
 * when the store has something else than the model.
 */
int domains_change(struct ctx *ctx, struct control *ctl,
                   const struct domains_change *change, server_done_fn *fn,
                   void *arg);

/* The row of the certificate that goes when the mapping does, because acme.c
 * made it for that; or NULL. */
const char *domains_managed_row(const struct model *m, const struct domain *d);

/* Rows of certificates and mappings that go with an application. */
size_t domains_rows(const struct control *ctl, const char *app);

/* Append them; *n grows by domains_rows(). */
void domains_delete_rows(struct arena *a, const struct control *ctl,
                         const char *app, struct server_row *rows, size_t *n);

/* The application is gone from the store. */
void domains_forget(struct control *ctl, const char *app);

#endif
