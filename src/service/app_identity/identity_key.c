/* identity_key - make, store, load and use the key, over OpenSSL. */
#include "service/app_identity/identity_key.h"

#include "service/tables.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <sodium.h>

enum {
    RSA_BITS = 2048,
    VALID_YEARS = 10, /* there is nobody to renew it with */
    COMMON_NAME_MAX = 64,
};

/* OpenSSL's own words for what went wrong. */
static int openssl_failed(struct ctx *ctx, const char *what)
{
    char why[256];

    ERR_error_string_n(ERR_get_error(), why, sizeof(why));
    ERR_clear_error();
    return ctx_err(ctx, ERR_INTERNAL, "OpenSSL cannot %s: %s", what, why);
}

/* ---- making ---- */

static int set_names(X509 *cert, struct bytes holder)
{
    X509_NAME *name = X509_get_subject_name(cert);
    int n = holder.n < COMMON_NAME_MAX ? (int)holder.n : COMMON_NAME_MAX;

    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, holder.p, n, -1,
                                      0) &&
           X509_set_issuer_name(cert, name);
}

static int set_serial(X509 *cert)
{
    uint32_t serial;

    randombytes_buf(&serial, sizeof(serial));
    return ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert),
                                   (uint64_t)serial + 1);
}

/* A certificate for `pkey`, signed with itself; NULL when OpenSSL cannot. */
static X509 *make_certificate(EVP_PKEY *pkey, struct bytes holder)
{
    const long seconds = 365L * 86400 * VALID_YEARS;
    X509 *cert = X509_new();

    if (cert && X509_set_version(cert, 2) && set_serial(cert) &&
        X509_gmtime_adj(X509_getm_notBefore(cert), -3600) &&
        X509_gmtime_adj(X509_getm_notAfter(cert), seconds) &&
        X509_set_pubkey(cert, pkey) && set_names(cert, holder) &&
        X509_sign(cert, pkey, EVP_sha256()))
        return cert;
    X509_free(cert);
    return NULL;
}

static struct bytes bio_text(struct arena *a, BIO *bio)
{
    char *p;
    long n = BIO_get_mem_data(bio, &p);

    return arena_dup(a, BYTES(p, (size_t)n));
}

/* The two PEM texts, one after the other. */
static int make_text(struct ctx *ctx, struct bytes holder, struct bytes *text)
{
    EVP_PKEY *pkey = EVP_RSA_gen(RSA_BITS);
    X509 *cert = pkey ? make_certificate(pkey, holder) : NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    int rc = 0;

    if (cert && bio &&
        PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) &&
        PEM_write_bio_X509(bio, cert))
        *text = bio_text(ctx->arena, bio);
    else
        rc = openssl_failed(ctx, "make the key of an app");
    BIO_free(bio);
    X509_free(cert);
    EVP_PKEY_free(pkey);
    return rc;
}

/* ---- reading ---- */

static int split_text(struct ctx *ctx, struct bytes text,
                      struct identity_key *out)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    const char *at = memmem(text.p, text.n, begin, sizeof(begin) - 1);
    size_t n = at ? (size_t)(at - (const char *)text.p) : 0;
    unsigned char md[EVP_MAX_MD_SIZE];
    BIO *bio;
    X509 *cert;
    unsigned md_n = 0;
    char *hex;

    if (!at)
        return ctx_err(ctx, ERR_CORRUPT, "an app's key does not read back");
    out->private_pem = BYTES(text.p, n);
    out->certificate = bytes_from(text, n);
    bio = BIO_new_mem_buf(out->certificate.p, (int)out->certificate.n);
    cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    if (cert)
        X509_digest(cert, EVP_sha1(), md, &md_n);
    X509_free(cert);
    BIO_free(bio);
    if (md_n == 0)
        return openssl_failed(ctx, "read the certificate of an app");
    hex = arena_alloc(ctx->arena, md_n * 2 + 1);
    sodium_bin2hex(hex, md_n * 2 + 1, md, md_n);
    out->name = BYTES(hex, md_n * 2);
    return 0;
}

int identity_key_load(struct ctx *ctx, struct storage *st, struct bytes holder,
                      struct identity_key *out)
{
    struct storage_key key =
        tables_server_key(ctx->arena, "identity", ctx->app);
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct bytes text;
    int rc;

    rc = storage_get1(ctx, st, key, &text);
    if (rc == ERR_NOT_FOUND) {
        rc = make_text(ctx, holder, &text);
        if (rc)
            return rc;
        storage_batch_require_absent(&b, key);
        storage_batch_put(&b, key, text);
        rc = storage_commit(ctx, st, &b, NULL);
        if (rc == ERR_CONFLICT) /* another call was first: theirs counts */
            rc = storage_get1(ctx, st, key, &text);
    }
    return rc ? rc : split_text(ctx, text, out);
}

int identity_key_delete(struct ctx *ctx, struct storage *st, struct bytes app)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);

    storage_batch_delete(&b, tables_server_key(ctx->arena, "identity", app));
    return storage_commit(ctx, st, &b, NULL);
}

int identity_key_sign(struct ctx *ctx, const struct identity_key *key,
                      struct bytes blob, struct bytes *signature)
{
    BIO *bio = BIO_new_mem_buf(key->private_pem.p, (int)key->private_pem.n);
    EVP_PKEY *pkey =
        bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    size_t n = RSA_BITS / 8;
    unsigned char *out = arena_alloc(ctx->arena, n);
    int rc = 0;

    if (pkey && md && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, pkey) &&
        EVP_DigestSign(md, out, &n, blob.p, blob.n))
        *signature = BYTES(out, n);
    else
        rc = openssl_failed(ctx, "sign for an app");
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(pkey);
    BIO_free(bio);
    return rc;
}
