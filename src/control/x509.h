/*
 * x509 - reading and making certificates.
 *
 * A certificate travels as PEM text: its chain (the server's own certificate
 * first, then who signed it, and so on) and its private key.  Whatever is
 * wrong with them is told here, before a browser would.  Nothing is kept;
 * results live in the request's arena.  Thread rule: any.
 */
#ifndef CONTROL_X509_H
#define CONTROL_X509_H

#include "base/ctx.h"

/* Certificates of a chain that are read; public ones have two or three. */
enum { X509_CHAIN_MAX = 10 };

struct x509_info {
    const char **names; /* DNS names, lower case, as certified: "*.a.org" */
    size_t n_names;
    int64_t from, until; /* when it is valid; clock_wall() */
    const char *chain;   /* PEM, without what stood around it */
    const char *key;     /* PEM */
};

/*
 * Read and check: the chain is in order, the key belongs to its first
 * certificate and has no passphrase, nginx would take both, and there are
 * names.  ERR_INVALID says what is wrong and what to do.  Whether it is valid
 * now is another question: x509_check_time().
 */
int x509_read(struct ctx *ctx, const char *chain, const char *key,
              struct x509_info *out);

/* ERR_INVALID with the date when it is not valid at `now`. */
int x509_check_time(struct ctx *ctx, const struct x509_info *c, int64_t now);

/*
 * Whether it stands for `domain`: a name of its own, or "*." in place of the
 * first label.  "*.a.org" as a domain needs just that name.
 */
bool x509_covers(const char *const *names, size_t n, const char *domain);

/*
 * Make one that signs itself, valid from a day ago for `days`: a key on the
 * curve P-256 and those names; "localhost" brings the loopback addresses.
 */
int x509_self_signed(struct ctx *ctx, const char *const *names, size_t n,
                     int days, struct x509_info *out);

#endif
