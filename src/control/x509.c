/* x509 - by OpenSSL. */
#include "control/x509.h"

#include "base/buf.h"

#include <ctype.h>
#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

enum { SERIAL_BITS = 127, DAY = 24 * 3600, NAME_SHOWN = 200 };

/* Why OpenSSL would not; its list of errors is empty after that. */
static const char *reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *why = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return why ? why : "no reason is given";
}

static int64_t moment(const ASN1_TIME *t)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(t, &tm) != 1)
        return 0;
    return (int64_t)timegm(&tm) * CLOCK_SEC;
}

static const char *date(struct arena *a, int64_t at)
{
    time_t seconds = (time_t)(at / CLOCK_SEC);
    struct tm tm;
    char text[64];

    gmtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &tm);
    return arena_strdup(a, text);
}

/* "CN=a.org", for a person. */
static const char *subject(struct arena *a, X509 *cert)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *text;
    long n;

    X509_NAME_print_ex(out, X509_get_subject_name(cert), 0,
                       XN_FLAG_ONELINE & ~XN_FLAG_SPC_EQ);
    n = BIO_get_mem_data(out, &text);
    text =
        arena_cstr(a, BYTES(text, (size_t)(n > NAME_SHOWN ? NAME_SHOWN : n)));
    BIO_free(out);
    return *text ? text : "without a name";
}

static const char *pem_text(struct arena *a, BIO *out)
{
    char *text;
    long n = BIO_get_mem_data(out, &text);
    const char *copy = arena_cstr(a, BYTES(text, (size_t)n));

    BIO_free(out);
    return copy;
}

/* ---- reading ---- */

struct chain {
    X509 *certs[X509_CHAIN_MAX];
    int n;
    EVP_PKEY *key;
};

static void chain_release(struct chain *c)
{
    for (int i = 0; i < c->n; i++)
        X509_free(c->certs[i]);
    EVP_PKEY_free(c->key);
    ERR_clear_error();
}

static int read_chain(struct ctx *ctx, const char *text, struct chain *c)
{
    BIO *in = BIO_new_mem_buf(text, -1);
    X509 *cert;
    int rc = 0;

    ERR_clear_error();
    while (rc == 0 && (cert = PEM_read_bio_X509(in, NULL, NULL, NULL))) {
        if (c->n == X509_CHAIN_MAX) {
            X509_free(cert);
            rc = ctx_err(ctx, ERR_INVALID,
                         "the chain has more than %d certificates",
                         X509_CHAIN_MAX);
        } else {
            c->certs[c->n++] = cert;
        }
    }
    BIO_free(in);
    if (rc == 0 && c->n == 0)
        rc = ctx_err(ctx, ERR_INVALID,
                     "publicCertificate has no certificate in PEM form (%s): "
                     "it begins with -----BEGIN CERTIFICATE-----",
                     reason());
    else if (rc == 0 &&
             ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        rc = ctx_err(ctx, ERR_INVALID,
                     "certificate %d of the chain does not read: %s", c->n + 1,
                     reason());
    ERR_clear_error();
    return rc;
}

/* Asked for the passphrase of a key: there is none. */
static int no_passphrase(char *buf, int size, int writing, void *asked)
{
    (void)buf;
    (void)size;
    (void)writing;
    *(bool *)asked = true;
    return -1;
}

static int read_key(struct ctx *ctx, const char *text, struct chain *c)
{
    BIO *in = BIO_new_mem_buf(text, -1);
    bool asked = false;

    c->key = PEM_read_bio_PrivateKey(in, NULL, no_passphrase, &asked);
    BIO_free(in);
    if (c->key)
        return 0;
    if (asked)
        return ctx_err(ctx, ERR_INVALID,
                       "the private key is locked by a passphrase: `openssl "
                       "pkey -in KEY -out NEW` writes one without");
    return ctx_err(ctx, ERR_INVALID,
                   "privateKey does not read as a private key in PEM form: %s",
                   reason());
}

/* Which certificate of the chain the key belongs to; -1: to none. */
static int key_owner(const struct chain *c)
{
    for (int i = 0; i < c->n; i++)
        if (X509_check_private_key(c->certs[i], c->key) == 1)
            return i;
    return -1;
}

static int check_key(struct ctx *ctx, const struct chain *c)
{
    int owner = key_owner(c);

    if (owner == 0)
        return 0;
    if (owner > 0)
        return ctx_err(ctx, ERR_INVALID,
                       "the private key is that of certificate %d of the "
                       "chain (%s): put that one first, then the one that "
                       "signed it, and so on",
                       owner + 1, subject(ctx->arena, c->certs[owner]));
    return ctx_err(ctx, ERR_INVALID,
                   "the private key does not belong to the certificate (%s)",
                   subject(ctx->arena, c->certs[0]));
}

/* Each was signed by the next one. */
static int check_order(struct ctx *ctx, const struct chain *c)
{
    for (int i = 0; i + 1 < c->n; i++) {
        X509 *cert = c->certs[i], *by = c->certs[i + 1];

        if (X509_check_issued(by, cert) == X509_V_OK &&
            X509_verify(cert, X509_get0_pubkey(by)) == 1)
            continue;
        return ctx_err(ctx, ERR_INVALID,
                       "the chain is out of order: certificate %d (%s) was "
                       "not signed by certificate %d (%s); the server's own "
                       "comes first, then the one that signed it, and so on",
                       i + 1, subject(ctx->arena, cert), i + 2,
                       subject(ctx->arena, by));
    }
    return 0;
}

/* nginx asks the same library, with the same rules for weak keys. */
static int check_usable(struct ctx *ctx, const struct chain *c)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    bool ok = SSL_CTX_use_certificate(tls, c->certs[0]) == 1 &&
              SSL_CTX_use_PrivateKey(tls, c->key) == 1;
    int rc = 0;

    for (int i = 1; ok && i < c->n; i++)
        ok = SSL_CTX_add1_chain_cert(tls, c->certs[i]) == 1;
    if (!ok)
        rc = ctx_err(ctx, ERR_INVALID, "TLS cannot be spoken with it: %s",
                     reason());
    SSL_CTX_free(tls);
    return rc;
}

static bool plain_name(struct bytes name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_*";

    for (size_t i = 0; i < name.n; i++)
        if (!memchr(plain, ((const char *)name.p)[i], sizeof(plain) - 1))
            return false;
    return name.n > 0;
}

static int read_names(struct ctx *ctx, X509 *cert, struct x509_info *out)
{
    GENERAL_NAMES *list =
        X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int n = list ? sk_GENERAL_NAME_num(list) : 0;

    out->names = ARENA_ARRAY(ctx->arena, const char *, (size_t)n + 1);
    for (int i = 0; i < n; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(list, i);
        struct bytes name;
        char *text;

        if (g->type != GEN_DNS)
            continue;
        name = BYTES(ASN1_STRING_get0_data(g->d.dNSName),
                     (size_t)ASN1_STRING_length(g->d.dNSName));
        if (!plain_name(name))
            continue;
        text = arena_cstr(ctx->arena, name);
        for (char *p = text; *p; p++)
            *p = (char)tolower((unsigned char)*p);
        out->names[out->n_names++] = text;
    }
    GENERAL_NAMES_free(list);
    if (out->n_names)
        return 0;
    return ctx_err(ctx, ERR_INVALID,
                   "the certificate (%s) has no name of a host in its "
                   "subjectAltName, the only place where browsers look",
                   subject(ctx->arena, cert));
}

static void write_pem(struct arena *a, const struct chain *c,
                      struct x509_info *out)
{
    BIO *certs = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem());

    for (int i = 0; i < c->n; i++)
        PEM_write_bio_X509(certs, c->certs[i]);
    PEM_write_bio_PrivateKey(key, c->key, NULL, NULL, 0, NULL, NULL);
    out->chain = pem_text(a, certs);
    out->key = pem_text(a, key);
}

int x509_read(struct ctx *ctx, const char *chain, const char *key,
              struct x509_info *out)
{
    struct chain c = {.n = 0};
    int rc;

    *out = (struct x509_info){.n_names = 0};
    rc = read_chain(ctx, chain, &c);
    if (rc == 0)
        rc = read_key(ctx, key, &c);
    if (rc == 0)
        rc = check_key(ctx, &c);
    if (rc == 0)
        rc = check_order(ctx, &c);
    if (rc == 0)
        rc = check_usable(ctx, &c);
    if (rc == 0)
        rc = read_names(ctx, c.certs[0], out);
    if (rc == 0) {
        out->from = moment(X509_get0_notBefore(c.certs[0]));
        out->until = moment(X509_get0_notAfter(c.certs[0]));
        write_pem(ctx->arena, &c, out);
    }
    chain_release(&c);
    return rc;
}

int x509_check_time(struct ctx *ctx, const struct x509_info *c, int64_t now)
{
    if (now >= c->until)
        return ctx_err(ctx, ERR_INVALID,
                       "the certificate expired on %s: browsers refuse it",
                       date(ctx->arena, c->until));
    if (now < c->from)
        return ctx_err(ctx, ERR_INVALID,
                       "the certificate is not valid before %s; it is %s now",
                       date(ctx->arena, c->from), date(ctx->arena, now));
    return 0;
}

bool x509_covers(const char *const *names, size_t n, const char *domain)
{
    const char *dot = strchr(domain, '.');

    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], domain) == 0 ||
            (dot && strncmp(names[i], "*.", 2) == 0 &&
             strcmp(names[i] + 1, dot) == 0))
            return true;
    return false;
}

/* ---- making one ---- */

static bool add_extension(X509 *cert, X509V3_CTX *v3, int nid, const char *text)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, v3, nid, text);
    bool ok = e && X509_add_ext(cert, e, -1) == 1;

    X509_EXTENSION_free(e);
    return ok;
}

static bool set_serial(X509 *cert)
{
    BIGNUM *n = BN_new();
    bool ok = n && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ONE, 0) == 1 &&
              BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));

    BN_free(n);
    return ok;
}

static const char *alt_names(struct arena *a, const char *const *names,
                             size_t n)
{
    struct buf text = BUF_IN(a);

    for (size_t i = 0; i < n; i++) {
        buf_printf(&text, "%sDNS:%s", i ? "," : "", names[i]);
        if (strcmp(names[i], "localhost") == 0)
            buf_add_str(&text, ",IP:127.0.0.1,IP:::1");
    }
    return buf_cstr(&text);
}

static bool fill(struct arena *a, X509 *cert, EVP_PKEY *key,
                 const char *const *names, size_t n, int days)
{
    X509_NAME *name = X509_get_subject_name(cert);
    X509V3_CTX v3;

    X509V3_set_ctx_nodb(&v3);
    X509V3_set_ctx(&v3, cert, cert, NULL, NULL, 0);
    return X509_set_version(cert, 2) == 1 && set_serial(cert) &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -DAY) &&
           X509_gmtime_adj(X509_getm_notAfter(cert), (long)days * DAY) &&
           X509_NAME_add_entry_by_txt(
               name, "O", MBSTRING_UTF8,
               (const unsigned char *)"AppScale, self-signed", -1, -1,
               0) == 1 &&
           X509_set_issuer_name(cert, name) == 1 &&
           X509_set_pubkey(cert, key) == 1 &&
           add_extension(cert, &v3, NID_subject_alt_name,
                         alt_names(a, names, n)) &&
           add_extension(cert, &v3, NID_basic_constraints,
                         "critical,CA:FALSE") &&
           add_extension(cert, &v3, NID_ext_key_usage, "serverAuth") &&
           X509_sign(cert, key, EVP_sha256()) > 0;
}

int x509_self_signed(struct ctx *ctx, const char *const *names, size_t n,
                     int days, struct x509_info *out)
{
    struct chain c = {.n = 1, .certs = {X509_new()}};
    int rc = 0;

    *out = (struct x509_info){.n_names = 0};
    c.key = EVP_EC_gen("P-256");
    if (!c.key || !fill(ctx->arena, c.certs[0], c.key, names, n, days))
        rc = ctx_err(ctx, ERR_INTERNAL, "cannot make a certificate: %s",
                     reason());
    if (rc == 0)
        rc = read_names(ctx, c.certs[0], out);
    if (rc == 0) {
        out->from = moment(X509_get0_notBefore(c.certs[0]));
        out->until = moment(X509_get0_notAfter(c.certs[0]));
        write_pem(ctx->arena, &c, out);
    }
    chain_release(&c);
    return rc;
}
