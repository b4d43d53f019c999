/*
 * certs - the certificates that the edge shows.
 *
 * One is the platform's own: it signs itself, is made at the first start and
 * again a month before its end, and serves every name that has no other.  The
 * others belong to an application: its owner brought them, or an ACME server
 * signed them (acme.h).  All of them, with their keys, are rows of the store,
 * so that every machine has them; nginx reads files below run/tls/, which are
 * named for what is in them and written before nginx is told of them.
 *
 * A certificate never changes: a new one with the same id takes its place in
 * the model.  Thread rule: the loop's.
 */
#ifndef CONTROL_CERTS_H
#define CONTROL_CERTS_H

#include "control/control_int.h"
#include "control/server_call.h"
#include "control/x509.h"

enum {
    CERTS_OWN_DAYS = 397,   /* browsers take no longer ones */
    CERTS_OWN_RENEW = 30,   /* days before its end */
    CERTS_WARN_DAYS = 21,   /* an own certificate is told of that early */
    CERTS_PEM_MAX = 65536,  /* bytes of a chain, and of a key */
    CERTS_PER_APP_MAX = 100 /* ours */
};

struct certificate {
    const char *row;  /* in the table "certificates": "P/ID" */
    const char *app;  /* "-" stands for the platform */
    const char *id;   /* digits; "own" */
    const char *text; /* the row's value, to the byte */
    json_t *doc;      /* README.md, the tables */
    bool managed;     /* by acme.c */
    struct x509_info info;
    const char *file; /* "run/tls/DIGEST.pem" */
    struct arena arena;
    struct certificate *next;
};

/*
 * A certificate from its row.  ERR_CORRUPT, ERR_INVALID with the reason; one
 * that has expired is none of them.  Not in the model yet.
 */
int certs_new(struct ctx *ctx, const char *row, const char *text,
              struct certificate **out);

/* Free one that is not in the model. */
void certs_free(struct certificate *c);

/* The text of a row; `display` may be NULL.  In the request's arena. */
const char *certs_row_text(struct ctx *ctx, const char *id, const char *display,
                           const struct x509_info *info, bool managed);

/* Take a row at the start of the controller; errors as certs_new(). */
int certs_take(struct ctx *ctx, struct control *ctl, const char *row,
               const char *text);

/* Put it into the model, which owns it now, in place of one with its row. */
void certs_put(struct model *m, struct certificate *c);

/* Take it out of the model and free it; `row` may not be there. */
void certs_drop(struct model *m, const char *row);

/* The one with this id, or NULL. */
struct certificate *certs_find(const struct model *m, const char *app,
                               const char *id);

/* The platform's own, or NULL before everything is loaded. */
struct certificate *certs_own(const struct model *m);

/* How many an application has. */
size_t certs_count(const struct model *m, const char *app);

/*
 * See to it that there is a certificate of the platform's own for the names of
 * this machine; the store is told later.  Whether a new one was made: the
 * routes have to follow.
 */
bool certs_ensure_own(struct ctx *ctx, struct control *ctl);

/*
 * Write the files that nginx is going to be told of, and take away those that
 * neither it nor the model knows.  ERR_IO, ERR_NO_SPACE with the story.
 */
int certs_files(struct ctx *ctx, const struct control *ctl);

/* Every certificate with its end and, where a person has to act, "warning". */
json_t *certs_status(const struct control *ctl);

#endif
