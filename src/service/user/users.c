/*
 * users - accounts: rows of JSON, hashed passwords.
 */
#include "service/user/users_int.h"

#include "base/buf.h"
#include "base/log.h"
#include "service/tables.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>

/* argon2id with 19 MiB and two passes: OWASP's password storage guide.  About
 * 25 ms; several sign-ins at once stay small beside the server itself. */
enum { HASH_OPS = 2, HASH_MEMORY = 19 * 1024 * 1024 };

/* ---- the rows ---- */

static struct storage_key account_key(struct ctx *ctx, struct bytes email)
{
    return tables_server_key(ctx->arena, "users", email);
}

static struct bytes lower(struct arena *a, struct bytes v)
{
    uint8_t *p = arena_alloc(a, v.n + 1);

    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = bytes_u8(v)[i];

        p[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
    }
    return BYTES(p, v.n);
}

/* "1" and twenty digits of the MD5 of the address, as the development server
 * of Google's SDK makes them. */
static struct bytes make_user_id(struct arena *a, struct bytes email)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    struct buf b = BUF_IN(a);

    if (!EVP_Digest(email.p, email.n, md, NULL, EVP_md5(), NULL))
        BUG("no MD5 in this OpenSSL");
    buf_add_str(&b, "1");
    for (int i = 0; b.n < 21; i++)
        buf_printf(&b, "%02d", md[i]);
    return BYTES(b.p, 21);
}

static struct bytes
account_row(struct ctx *ctx, const struct users_account *who, const char *hash)
{
    json_t *j = json_pack("{s:s, s:b, s:I, s:I}", "hash", hash, "admin",
                          (int)who->admin, "created", (json_int_t)who->created,
                          "version", (json_int_t)who->version);
    char *text = j ? json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    struct bytes row;

    if (!text)
        die("out of memory writing an account");
    row = arena_dup(ctx->arena, bytes_str(text));
    free(text);
    json_decref(j);
    return row;
}

static int account_parse(struct ctx *ctx, struct bytes email, struct bytes row,
                         struct users_account *who, const char **hash)
{
    json_t *j = json_loadb(row.p, row.n, 0, NULL);
    json_int_t created, version;
    const char *stored;
    int admin, bad;

    bad = json_unpack(j, "{s:s, s:b, s:I, s:I}", "hash", &stored, "admin",
                      &admin, "created", &created, "version", &version);
    if (bad) {
        json_decref(j);
        return ctx_err(ctx, ERR_CORRUPT, "the account %.*s does not read back",
                       BYTES_FMT(email));
    }
    *who = (struct users_account){
        .email = email,
        .user_id = make_user_id(ctx->arena, email),
        .admin = admin,
        .created = created,
        .version = version,
    };
    *hash = arena_strdup(ctx->arena, stored);
    json_decref(j);
    return 0;
}

/* The account, its hash, and the row as it was read. */
static int account_load(struct ctx *ctx, struct users *u, struct bytes email,
                        struct users_account *who, const char **hash,
                        struct storage_value *seen)
{
    struct storage_key key = account_key(ctx, email);
    int rc = storage_get(ctx, u->storage, &key, 1, seen);

    if (rc == 0 && !seen->found)
        rc = ERR_NOT_FOUND;
    if (rc == 0)
        rc = account_parse(ctx, email, seen->value, who, hash);
    return rc;
}

/* ---- making and removing ---- */

static int check_email(struct ctx *ctx, struct bytes email)
{
    const uint8_t *p = bytes_u8(email);
    const uint8_t *at = email.n ? memchr(p, '@', email.n) : NULL;
    bool ok = at && at > p && at + 1 < p + email.n &&
              email.n <= USERS_EMAIL_MAX &&
              !memchr(at + 1, '@', (size_t)(p + email.n - at - 1));

    for (size_t i = 0; ok && i < email.n; i++)
        ok = p[i] > ' ' && p[i] < 0x7f && !strchr("\"<>(),;:\\", p[i]);
    if (!ok)
        return ctx_err(ctx, ERR_INVALID, "'%.*s' is not an e-mail address",
                       (int)(email.n < 80 ? email.n : 80),
                       (const char *)email.p);
    return 0;
}

static int check_password(struct ctx *ctx, struct bytes password)
{
    if (password.n < USERS_PASSWORD_MIN)
        return ctx_err(ctx, ERR_INVALID,
                       "a password has at least %d characters",
                       USERS_PASSWORD_MIN);
    if (password.n > USERS_PASSWORD_MAX)
        return ctx_err(ctx, ERR_INVALID, "a password has at most %d bytes",
                       USERS_PASSWORD_MAX);
    return 0;
}

static int hash_password(struct ctx *ctx, struct bytes password,
                         char out[crypto_pwhash_STRBYTES])
{
    if (crypto_pwhash_str(out, password.p, password.n, HASH_OPS, HASH_MEMORY))
        return ctx_err(ctx, ERR_UNAVAILABLE,
                       "no memory to hash a password (%d MiB)",
                       HASH_MEMORY >> 20);
    return 0;
}

/* One attempt: what was read must still be true when the row is written. */
static int create_once(struct ctx *ctx, struct users *u,
                       const struct users_new *n, const char *hash)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct storage_key key = account_key(ctx, n->email);
    struct users_account who = {
        .created = clock_wall() / CLOCK_SEC,
        /* The clock keeps versions apart when an account comes back. */
        .version = clock_wall(),
        .admin = n->admin,
    };
    struct users_account old;
    struct storage_value seen;
    const char *old_hash;
    int rc;

    rc = account_load(ctx, u, n->email, &old, &old_hash, &seen);
    if (rc == 0 && !n->replace)
        return ctx_err(ctx, ERR_EXISTS, "there is an account %.*s already",
                       BYTES_FMT(n->email));
    if (rc == 0) {
        who.created = old.created;
        if (who.version <= old.version)
            who.version = old.version + 1;
    } else if (rc != ERR_NOT_FOUND) {
        return rc;
    }
    storage_batch_require_same(&b, key, &seen);
    storage_batch_put(&b, key, account_row(ctx, &who, hash));
    return storage_commit(ctx, u->storage, &b, NULL);
}

int users_create(struct ctx *ctx, struct users *u, const struct users_new *n)
{
    struct users_new mine = *n;
    char hash[crypto_pwhash_STRBYTES];
    int rc;

    mine.email = lower(ctx->arena, n->email);
    rc = check_email(ctx, mine.email);
    if (rc == 0)
        rc = check_password(ctx, mine.password);
    if (rc == 0)
        rc = hash_password(ctx, mine.password, hash);
    if (rc)
        return rc;
    do
        rc = create_once(ctx, u, &mine, hash);
    while (rc == ERR_CONFLICT && ctx_left(ctx) > 0);
    return rc;
}

int users_delete(struct ctx *ctx, struct users *u, struct bytes email)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct storage_key key = account_key(ctx, lower(ctx->arena, email));
    struct bytes row;
    int rc;

    rc = storage_get1(ctx, u->storage, key, &row);
    if (rc)
        return rc;
    storage_batch_delete(&b, key);
    return storage_commit(ctx, u->storage, &b, NULL);
}

/* ---- finding ---- */

int users_find(struct ctx *ctx, struct users *u, struct bytes email,
               struct users_account *out)
{
    struct storage_value seen;
    const char *hash;

    return account_load(ctx, u, lower(ctx->arena, email), out, &hash, &seen);
}

int users_list(struct ctx *ctx, struct users *u, struct users_account **out,
               size_t *n)
{
    struct storage_range range = STORAGE_ALL;
    struct storage_page page = {.more = true};
    const char *hash;
    int rc = 0;

    *out = NULL;
    *n = 0;
    while (rc == 0 && page.more) {
        rc = storage_scan(ctx, u->storage,
                          account_key(ctx, BYTES_NONE).partition, &range,
                          STORAGE_FORWARD, STORAGE_PAGE_ROWS, &page);
        if (rc)
            break;
        *out = arena_grow(ctx->arena, *out, *n * sizeof(**out),
                          (*n + page.n) * sizeof(**out));
        for (size_t i = 0; rc == 0 && i < page.n; i++)
            rc = account_parse(ctx, page.rows[i].row, page.rows[i].value,
                               &(*out)[(*n)++], &hash);
        if (page.more)
            range = storage_range_after(ctx->arena, &range, STORAGE_FORWARD,
                                        page.rows[page.n - 1].row);
    }
    return rc;
}

/* ---- checking a password ---- */

static int locked_out(struct ctx *ctx, int64_t wait)
{
    return ctx_err(ctx, ERR_EXHAUSTED,
                   "too many failed sign-ins; try again in %d seconds",
                   (int)((wait + CLOCK_SEC - 1) / CLOCK_SEC));
}

/* Counts the attempt against address and account before the work is done. */
static int may_try(struct ctx *ctx, struct users *u, struct bytes email,
                   struct bytes address)
{
    int64_t now = clock_mono(), wait = 0;

    if (address.n)
        wait = lockout_attempt(u->lockout, LOCKOUT_ADDRESS, address, now);
    if (wait == 0)
        wait = lockout_attempt(u->lockout, LOCKOUT_ACCOUNT, email, now);
    return wait ? locked_out(ctx, wait) : 0;
}

int users_check(struct ctx *ctx, struct users *u, struct bytes email,
                struct bytes password, struct bytes address,
                struct users_account *out)
{
    struct bytes mine = lower(ctx->arena, email);
    const char *hash = u->dummy;
    struct storage_value seen;
    int rc, wrong;

    if (mine.n > USERS_EMAIL_MAX || password.n > USERS_PASSWORD_MAX)
        return ERR_DENIED;
    rc = may_try(ctx, u, mine, address);
    if (rc)
        return rc;
    rc = account_load(ctx, u, mine, out, &hash, &seen);
    if (rc && rc != ERR_NOT_FOUND)
        return rc;
    /* The same work whether there is an account or not. */
    wrong = crypto_pwhash_str_verify(hash, password.n ? password.p : "",
                                     password.n);
    if (rc == ERR_NOT_FOUND || wrong)
        return ERR_DENIED;
    lockout_forgive(u->lockout, LOCKOUT_ACCOUNT, mine);
    if (address.n)
        lockout_forgive(u->lockout, LOCKOUT_ADDRESS, address);
    return 0;
}

/* ---- opening ---- */

/* The key of the sessions: the first server to start made it. */
static int load_key(struct ctx *ctx, struct users *u)
{
    struct storage_key key =
        tables_server_key(ctx->arena, "secrets", BYTES_LIT("session"));
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct bytes stored;
    int rc;

    rc = storage_get1(ctx, u->storage, key, &stored);
    if (rc == ERR_NOT_FOUND) {
        crypto_auth_keygen(u->key);
        storage_batch_require_absent(&b, key);
        storage_batch_put(&b, key, BYTES(u->key, sizeof(u->key)));
        rc = storage_commit(ctx, u->storage, &b, NULL);
        if (rc != ERR_CONFLICT)
            return rc;
        rc = storage_get1(ctx, u->storage, key, &stored);
    }
    if (rc)
        return rc;
    if (stored.n != sizeof(u->key))
        return ctx_err(ctx, ERR_CORRUPT,
                       "the key of the sessions does not read back");
    memcpy(u->key, stored.p, stored.n);
    return 0;
}

int users_open(struct ctx *ctx, struct storage *st, struct users **out)
{
    struct users *u;
    int rc;

    if (sodium_init() < 0)
        return ctx_err(ctx, ERR_INTERNAL, "libsodium does not start");
    u = calloc(1, sizeof(*u));
    if (u)
        u->lockout = lockout_new();
    if (!u || !u->lockout) {
        free(u);
        return ctx_err(ctx, ERR_INTERNAL, "out of memory");
    }
    u->storage = st;
    rc = load_key(ctx, u);
    if (rc == 0)
        rc = hash_password(ctx, BYTES_LIT("nobody has this one"), u->dummy);
    if (rc) {
        users_close(u);
        return rc;
    }
    *out = u;
    return 0;
}

void users_close(struct users *u)
{
    if (!u)
        return;
    lockout_free(u->lockout);
    sodium_memzero(u->key, sizeof(u->key));
    free(u);
}
