/* certs - the rows, the platform's own, the files. */
#include "control/certs.h"

#include "base/files.h"
#include "base/log.h"
#include "control/domains.h"
#include "control/operation.h"
#include "control/routing.h"
#include "control/text.h"

#include <dirent.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#define OWN_ROW "-/own"
#define FOLDER  "run/tls"

enum { DIGEST_BYTES = 16, NGINX_CONF_MAX = 16 * 1024 * 1024 };

static const int64_t day = 86400 * CLOCK_SEC;

/* ---- rows ---- */

const char *certs_row_text(struct ctx *ctx, const char *id, const char *display,
                           const struct x509_info *info, bool managed)
{
    json_t *o = json_pack("{s:s, s:o, s:s, s:s, s:b}", "id", id, "displayName",
                          text_json(display ? display : ""), "chain",
                          info->chain, "key", info->key, "managed", managed);
    char *text = json_dumps(o, JSON_COMPACT);
    const char *copy = arena_strdup(ctx->arena, text);

    free(text);
    json_decref(o);
    return copy;
}

/* What is in the file names it: a new certificate is a new file. */
static const char *file_name(struct arena *a, const struct x509_info *info)
{
    unsigned char sum[DIGEST_BYTES];
    char hex[2 * DIGEST_BYTES + 1];
    const char *text = arena_printf(a, "%s%s", info->chain, info->key);

    crypto_generichash(sum, sizeof(sum), (const unsigned char *)text,
                       strlen(text), NULL, 0);
    sodium_bin2hex(hex, sizeof(hex), sum, sizeof(sum));
    return arena_printf(a, FOLDER "/%s.pem", hex);
}

/* The info is made in an arena of its own: what it points at has to stay. */
static int read_info(struct ctx *ctx, struct certificate *c)
{
    const char *chain = json_string_value(json_object_get(c->doc, "chain"));
    const char *key = json_string_value(json_object_get(c->doc, "key"));
    struct ctx own;
    int rc;

    if (!chain || !key)
        return ctx_err(ctx, ERR_CORRUPT, "its chain or its key is missing");
    ctx_init(&own, &c->arena);
    rc = x509_read(&own, chain, key, &c->info);
    return rc ? ctx_err(ctx, rc, "%s", ctx_err_text(&own, rc)) : 0;
}

int certs_new(struct ctx *ctx, const char *row, const char *text,
              struct certificate **out)
{
    const char *slash = strchr(row, '/');
    struct certificate *c = calloc(1, sizeof(*c));
    int rc;

    if (!c)
        abort();
    c->doc = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    if (!slash || !c->doc)
        rc = ctx_err(ctx, ERR_CORRUPT, "not a certificate");
    else
        rc = read_info(ctx, c);
    if (rc) {
        certs_free(c);
        return rc;
    }
    c->row = arena_strdup(&c->arena, row);
    c->app = arena_cstr(&c->arena, BYTES(row, (size_t)(slash - row)));
    c->id = arena_strdup(&c->arena, slash + 1);
    c->text = arena_strdup(&c->arena, text);
    c->managed = json_is_true(json_object_get(c->doc, "managed"));
    c->file = file_name(&c->arena, &c->info);
    *out = c;
    return 0;
}

void certs_free(struct certificate *c)
{
    json_decref(c->doc);
    arena_release(&c->arena);
    free(c);
}

int certs_take(struct ctx *ctx, struct control *ctl, const char *row,
               const char *text)
{
    struct certificate *c;
    int rc = certs_new(ctx, row, text, &c);

    if (rc == 0)
        certs_put(&ctl->model, c);
    return rc;
}

/* ---- the list, by row ---- */

static struct certificate **place(struct model *m, const char *row)
{
    struct certificate **at = &m->certificates;

    while (*at && strcmp((*at)->row, row) < 0)
        at = &(*at)->next;
    return at;
}

void certs_drop(struct model *m, const char *row)
{
    struct certificate **at = place(m, row), *c = *at;

    if (!c || strcmp(c->row, row) != 0)
        return;
    *at = c->next;
    certs_free(c);
}

void certs_put(struct model *m, struct certificate *c)
{
    struct certificate **at;

    certs_drop(m, c->row);
    at = place(m, c->row);
    c->next = *at;
    *at = c;
}

struct certificate *certs_find(const struct model *m, const char *app,
                               const char *id)
{
    for (struct certificate *c = m->certificates; c; c = c->next)
        if (strcmp(c->app, app) == 0 && strcmp(c->id, id) == 0)
            return c;
    return NULL;
}

struct certificate *certs_own(const struct model *m)
{
    return certs_find(m, "-", "own");
}

size_t certs_count(const struct model *m, const char *app)
{
    size_t n = 0;

    for (struct certificate *c = m->certificates; c; c = c->next)
        n += strcmp(c->app, app) == 0;
    return n;
}

/* ---- the platform's own ---- */

static bool is_name(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789.-");

    return n > 0 && s[n] == '\0';
}

/* The names of this machine; how many.  `out` has room for four. */
static size_t own_names(const struct control *ctl, struct arena *a,
                        const char **out)
{
    const char *domain = ctl->settings.domain;
    char host[256] = "";
    size_t n = 0;

    out[n++] = domain;
    out[n++] = arena_printf(a, "*.%s", domain);
    if (strcmp(domain, "localhost") != 0)
        out[n++] = "localhost";
    gethostname(host, sizeof(host) - 1);
    for (char *p = host; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    if (is_name(host) && strcmp(host, domain) != 0 &&
        strcmp(host, "localhost") != 0)
        out[n++] = arena_strdup(a, host);
    return n;
}

/* That it has another machine's name is no reason to make a new one, which
 * those who trusted the old one would not trust. */
static bool own_serves(const struct control *ctl)
{
    const struct certificate *own = certs_own(&ctl->model);

    return own && own->info.until > clock_wall() + CERTS_OWN_RENEW * day &&
           x509_covers(own->info.names, own->info.n_names,
                       ctl->settings.domain);
}

static void on_own_stored(struct ctx *ctx, int rc, void *arg)
{
    (void)arg;
    if (rc)
        log_error(ctx, "certs.own", "why", ctx_err_text(ctx, rc));
}

bool certs_ensure_own(struct ctx *ctx, struct control *ctl)
{
    struct x509_info info;
    struct certificate *c;
    struct server_row row = {"certificates", OWN_ROW, NULL};
    const char *names[4];
    size_t n;
    int rc;

    if (!ctl->settings.https_port || own_serves(ctl))
        return false;
    n = own_names(ctl, ctx->arena, names);
    rc = x509_self_signed(ctx, names, n, CERTS_OWN_DAYS, &info);
    if (rc == 0) {
        row.text = certs_row_text(ctx, "own", NULL, &info, false);
        rc = certs_new(ctx, OWN_ROW, row.text, &c);
    }
    if (rc) {
        on_own_stored(ctx, rc, NULL);
        ctx_err_clear(ctx);
        return false;
    }
    certs_put(&ctl->model, c);
    log_info(NULL, "certs.made", "for", names[0], "days",
             log_int(CERTS_OWN_DAYS));
    server_write(ctx, ctl, &row, 1, on_own_stored, NULL);
    return true;
}

/* ---- files ---- */

static int write_file(struct ctx *ctx, const struct control *ctl,
                      const struct certificate *c)
{
    const char *path = control_path(ctl, ctx->arena, c->file);
    const char *text =
        arena_printf(ctx->arena, "%s%s", c->info.chain, c->info.key);

    if (access(path, R_OK) == 0)
        return 0;
    return files_replace(ctx, path, bytes_str(text), 0600);
}

static bool in_model(const struct model *m, const char *file)
{
    for (struct certificate *c = m->certificates; c; c = c->next)
        if (strcmp(c->file + strlen(FOLDER "/"), file) == 0)
            return true;
    return false;
}

/* What the nginx that runs was told of stays until it has been told anew. */
static void sweep(struct ctx *ctx, const struct control *ctl)
{
    const char *folder = control_path(ctl, ctx->arena, FOLDER);
    struct bytes conf = BYTES_NONE;
    DIR *d = opendir(folder);
    struct dirent *e;

    if (files_read(ctx, control_path(ctl, ctx->arena, "run/nginx.conf"),
                   NGINX_CONF_MAX, &conf))
        ctx_err_clear(ctx);
    while (d && (e = readdir(d)))
        if (*e->d_name != '.' && !in_model(&ctl->model, e->d_name) &&
            !(conf.n && memmem(conf.p, conf.n, e->d_name, strlen(e->d_name))))
            unlink(arena_printf(ctx->arena, "%s/%s", folder, e->d_name));
    if (d)
        closedir(d);
}

int certs_files(struct ctx *ctx, const struct control *ctl)
{
    int rc = files_mkdirs(ctx, control_path(ctl, ctx->arena, FOLDER));

    for (struct certificate *c = ctl->model.certificates; rc == 0 && c;
         c = c->next)
        rc = write_file(ctx, ctl, c);
    if (rc == 0)
        sweep(ctx, ctl);
    return rc;
}

/* ---- for whoever looks after the platform ---- */

static bool is_used(const struct model *m, const struct certificate *c)
{
    const struct domain *d = NULL;

    while ((d = domains_next(m, c->app, d)))
        if (domains_certificate(m, d) == c)
            return true;
    return false;
}

static const char *warning(const struct control *ctl, struct arena *a,
                           const struct certificate *c, int64_t now)
{
    const char *end = operation_time(a, c->info.until);

    if (c == certs_own(&ctl->model) || !is_used(&ctl->model, c) ||
        c->info.until > now + CERTS_WARN_DAYS * day)
        return NULL;
    return arena_printf(
        a, "%s%s of %s %s on %.10s: %s", c->info.names[0],
        c->info.n_names > 1 ? " and others" : "", c->app,
        c->info.until < now ? "expired" : "expires", end,
        c->managed ? "appscale domains list tells why it was not renewed"
                   : arena_printf(a,
                                  "appscale certificates update %2$s --project "
                                  "%1$s brings a new "
                                  "one",
                                  c->app, c->id));
}

json_t *certs_status(const struct control *ctl)
{
    struct arena a = ARENA_INIT;
    json_t *list = json_array();
    int64_t now = clock_wall();

    for (struct certificate *c = ctl->model.certificates; c; c = c->next) {
        json_t *names = json_array();

        for (size_t i = 0; i < c->info.n_names; i++)
            json_array_append_new(names, json_string(c->info.names[i]));
        json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:o, s:s, s:I, s:s*}", "project", c->app,
                      "id", c->id, "domainNames", names, "expireTime",
                      operation_time(&a, c->info.until), "expiresIn",
                      (json_int_t)((c->info.until - now) / CLOCK_SEC),
                      "warning", warning(ctl, &a, c, now)));
    }
    arena_release(&a);
    return list;
}
