/*
 * admin_domains - the part of the API about own domains and certificates, in
 * Google's words: domainMappings, authorizedCertificates.  A private key goes
 * in and never comes out.
 */
#include "control/acme.h"
#include "control/admin.h"
#include "control/operation.h"
#include "control/text.h"

#include <sodium.h>
#include <stdlib.h>

#define SERVICE "google.appengine.v1."

static const char *member(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

/* Whether `name` is in the query's updateMask, alone or with members. */
static bool in_mask(struct admin_call *c, const char *name)
{
    char *mask = arena_strdup(c->ctx.arena, admin_param(c, "updateMask", "")),
         *save;
    size_t n = strlen(name);

    for (char *at = strtok_r(mask, ",", &save); at;
         at = strtok_r(NULL, ",", &save))
        if (strncmp(at, name, n) == 0 && (at[n] == '\0' || at[n] == '.'))
            return true;
    return false;
}

/* ---- to JSON ---- */

static json_t *mapping_json(const struct control *ctl, const struct domain *d)
{
    struct arena a = ARENA_INIT;
    json_t *o = json_pack(
        "{s:s, s:s, s:{s:s, s:s*}}", "name",
        arena_printf(&a, "apps/%s/domainMappings/%s", d->app, d->id), "id",
        d->id, "sslSettings", "sslManagementType",
        d->automatic ? "AUTOMATIC" : "MANUAL", "certificateId", d->certificate);
    json_t *acme = acme_json(ctl, d);

    if (acme)
        json_object_set_new(o, "acme", acme);
    arena_release(&a);
    return o;
}

static void add_uses(const struct control *ctl, const struct certificate *c,
                     json_t *o)
{
    const struct domain *d = NULL;
    struct arena a = ARENA_INIT;
    json_t *list = json_array();

    while ((d = domains_next(&ctl->model, c->app, d)))
        if (d->certificate && strcmp(d->certificate, c->id) == 0)
            json_array_append_new(
                list, json_string(arena_printf(&a, "apps/%s/domainMappings/%s",
                                               d->app, d->id)));
    json_object_set_new(o, "domainMappingsCount",
                        json_integer((json_int_t)json_array_size(list)));
    json_object_set_new(o, "visibleDomainMappings", list);
    arena_release(&a);
}

static json_t *certificate_json(const struct control *ctl,
                                const struct certificate *c, bool full)
{
    struct arena a = ARENA_INIT;
    json_t *names = json_array(), *o;

    for (size_t i = 0; i < c->info.n_names; i++)
        json_array_append_new(names, json_string(c->info.names[i]));
    o = json_pack(
        "{s:s, s:s, s:o, s:o, s:s}", "name",
        arena_printf(&a, "apps/%s/authorizedCertificates/%s", c->app, c->id),
        "id", c->id, "displayName",
        text_json(json_string_value(json_object_get(c->doc, "displayName"))),
        "domainNames", names, "expireTime", operation_time(&a, c->info.until));
    add_uses(ctl, c, o);
    if (c->managed)
        json_object_set_new(o, "managedCertificate",
                            json_pack("{s:s, s:s}", "lastRenewalTime",
                                      operation_time(&a, c->info.from),
                                      "status", "OK"));
    if (full)
        json_object_set_new(
            o, "certificateRawData",
            json_pack("{s:s}", "publicCertificate", c->info.chain));
    arena_release(&a);
    return o;
}

/* ---- what a change comes to ---- */

struct change {
    struct admin_call *call;
    struct operation *op; /* of a mapping; or NULL */
    char *app, *id;       /* whose answer it is; id NULL: {} */
};

static json_t *change_answer(const struct change *ch)
{
    const struct control *ctl = ch->call->ctl;
    const struct certificate *c;
    const struct domain *d;

    if (!ch->id)
        return json_object();
    if (ch->op) {
        d = domains_find(&ctl->model, ch->id);
        return d ? mapping_json(ctl, d) : json_object();
    }
    c = certs_find(&ctl->model, ch->app, ch->id);
    return c ? certificate_json(ctl, c, false) : json_object();
}

static void on_changed(struct ctx *ctx, int rc, void *arg)
{
    struct change *ch = arg;
    struct control *ctl = ch->call->ctl;

    if (ch->op) {
        operation_end(ch->op, ctx, rc, rc ? NULL : change_answer(ch));
        admin_reply(ch->call, operation_json(ch->op));
    } else if (rc) {
        admin_fail(ch->call, ctx, rc);
    } else {
        admin_reply(ch->call, change_answer(ch));
    }
    free(ch->app);
    free(ch->id);
    free(ch);
    acme_chore(ctl);
}

/* Begin; `op` may be NULL, and ends here when it cannot begin. */
static int begin(struct admin_call *c, const struct domains_change *what,
                 struct operation *op, const char *id)
{
    struct change *ch = calloc(1, sizeof(*ch));
    int rc;

    if (!ch)
        abort();
    *ch = (struct change){.call = c,
                          .op = op,
                          .app = strdup(c->words[0]),
                          .id = id ? strdup(id) : NULL};
    rc = domains_change(&c->ctx, c->ctl, what, on_changed, ch);
    if (rc == 0)
        return 0;
    if (op)
        operation_end(op, &c->ctx, rc, NULL);
    free(ch->app);
    free(ch->id);
    free(ch);
    return rc;
}

/* ---- certificates ---- */

static int find_certificate(struct admin_call *c, struct certificate **out)
{
    struct app *a;
    int rc = admin_find_app(c, &a);

    if (rc)
        return rc;
    *out = certs_find(&c->ctl->model, a->id, c->words[1]);
    if (*out)
        return 0;
    return ctx_err(&c->ctx, ERR_NOT_FOUND, "%s has no certificate \"%s\"",
                   a->id, c->words[1]);
}

static bool wants_full(struct admin_call *c)
{
    return strcmp(admin_param(c, "view", ""), "FULL_CERTIFICATE") == 0;
}

static int certificates_list(struct admin_call *c)
{
    json_t *list;
    struct app *a;
    int rc = admin_find_app(c, &a);

    if (rc)
        return rc;
    list = json_array();
    for (struct certificate *k = c->ctl->model.certificates; k; k = k->next)
        if (strcmp(k->app, a->id) == 0)
            json_array_append_new(list,
                                  certificate_json(c->ctl, k, wants_full(c)));
    admin_reply(c, json_pack("{s:o}", "certificates", list));
    return 0;
}

static int certificates_get(struct admin_call *c)
{
    struct certificate *k;
    int rc = find_certificate(c, &k);

    if (rc == 0)
        admin_reply(c, certificate_json(c->ctl, k, wants_full(c)));
    return rc;
}

static int read_raw(struct admin_call *c, struct x509_info *out)
{
    const json_t *raw = json_object_get(c->body, "certificateRawData");
    const char *chain = member(raw, "publicCertificate");
    const char *key = member(raw, "privateKey");
    int rc;

    if (!chain || !key)
        return ctx_err(&c->ctx, ERR_INVALID,
                       "certificateRawData{publicCertificate, privateKey} is "
                       "missing: both are text in PEM form");
    if (strlen(chain) > CERTS_PEM_MAX || strlen(key) > CERTS_PEM_MAX)
        return ctx_err(&c->ctx, ERR_INVALID,
                       "a certificate's text has at most %d bytes",
                       CERTS_PEM_MAX);
    rc = x509_read(&c->ctx, chain, key, out);
    return rc ? rc : x509_check_time(&c->ctx, out, clock_wall());
}

static int store_certificate(struct admin_call *c, const char *id,
                             const char *display, const struct x509_info *info,
                             bool is_managed)
{
    struct domains_change what = {.domain = NULL};
    int rc =
        certs_new(&c->ctx, arena_printf(c->ctx.arena, "%s/%s", c->words[0], id),
                  certs_row_text(&c->ctx, id, display, info, is_managed),
                  &what.certificate);

    return rc ? rc : begin(c, &what, NULL, id);
}

static int certificates_create(struct admin_call *c)
{
    struct x509_info info;
    struct app *a;
    const char *id;
    int rc = admin_find_app(c, &a);

    if (rc == 0 && certs_count(&c->ctl->model, a->id) >= CERTS_PER_APP_MAX)
        rc = ctx_err(&c->ctx, ERR_EXHAUSTED,
                     "%s has %d certificates, the most there may be: delete "
                     "one",
                     a->id, CERTS_PER_APP_MAX);
    if (rc == 0)
        rc = read_raw(c, &info);
    if (rc)
        return rc;
    do
        id = arena_printf(c->ctx.arena, "%u",
                          1 + randombytes_uniform(0x7ffffffe));
    while (certs_find(&c->ctl->model, a->id, id));
    return store_certificate(c, id, member(c->body, "displayName"), &info,
                             false);
}

/* A domain that shows `k` and that `info` does not stand for, or NULL. */
static const struct domain *uncovered(const struct model *m,
                                      const struct certificate *k,
                                      const struct x509_info *info)
{
    const struct domain *d = NULL;

    while ((d = domains_next(m, k->app, d)))
        if (d->certificate && strcmp(d->certificate, k->id) == 0 &&
            !x509_covers(info->names, info->n_names, d->id))
            return d;
    return NULL;
}

static int replace_raw(struct admin_call *c, const struct certificate *k,
                       struct x509_info *info)
{
    const struct domain *d;
    int rc;

    if (k->managed)
        return ctx_err(&c->ctx, ERR_INVALID,
                       "certificate %s is renewed by itself: create another "
                       "one, and map the domain with it",
                       k->id);
    rc = read_raw(c, info);
    if (rc)
        return rc;
    d = uncovered(&c->ctl->model, k, info);
    if (d)
        return ctx_err(&c->ctx, ERR_INVALID,
                       "the new certificate is not for %s, which shows "
                       "certificate %s",
                       d->id, k->id);
    return 0;
}

static int certificates_patch(struct admin_call *c)
{
    struct certificate *k;
    struct x509_info info;
    const char *display;
    int rc = find_certificate(c, &k);

    if (rc)
        return rc;
    if (!in_mask(c, "displayName") && !in_mask(c, "certificateRawData"))
        return ctx_err(&c->ctx, ERR_INVALID,
                       "updateMask must name displayName, "
                       "certificateRawData, or both");
    info = k->info;
    display = in_mask(c, "displayName") ? member(c->body, "displayName")
                                        : member(k->doc, "displayName");
    if (in_mask(c, "certificateRawData"))
        rc = replace_raw(c, k, &info);
    return rc ? rc : store_certificate(c, k->id, display, &info, k->managed);
}

static int certificates_delete(struct admin_call *c)
{
    struct certificate *k;
    const struct domain *d = NULL;
    int rc = find_certificate(c, &k);

    if (rc)
        return rc;
    while ((d = domains_next(&c->ctl->model, k->app, d)))
        if (d->certificate && strcmp(d->certificate, k->id) == 0)
            return ctx_err(&c->ctx, ERR_INVALID,
                           "certificate %s is shown for %s: map that domain "
                           "with another one first, or delete its mapping",
                           k->id, d->id);
    return begin(c, &(struct domains_change){.drop_certificate = k->row}, NULL,
                 NULL);
}

/* ---- mappings ---- */

/* The name of the path, in lower case. */
static int find_mapping(struct admin_call *c, struct domain **out)
{
    struct app *a;
    char *id = arena_strdup(c->ctx.arena, c->words[1]);
    int rc = admin_find_app(c, &a);

    if (rc)
        return rc;
    for (char *p = id; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    *out = domains_find(&c->ctl->model, id);
    if (*out && strcmp((*out)->app, a->id) == 0)
        return 0;
    return ctx_err(&c->ctx, ERR_NOT_FOUND,
                   "the domain \"%s\" is not mapped to %s", c->words[1], a->id);
}

static int mappings_list(struct admin_call *c)
{
    const struct domain *d = NULL;
    json_t *list;
    struct app *a;
    int rc = admin_find_app(c, &a);

    if (rc)
        return rc;
    list = json_array();
    while ((d = domains_next(&c->ctl->model, a->id, d)))
        json_array_append_new(list, mapping_json(c->ctl, d));
    admin_reply(c, json_pack("{s:o}", "domainMappings", list));
    return 0;
}

static int mappings_get(struct admin_call *c)
{
    struct domain *d;
    int rc = find_mapping(c, &d);

    if (rc == 0)
        admin_reply(c, mapping_json(c->ctl, d));
    return rc;
}

static int check_certificate(struct admin_call *c, const char *domain,
                             const char *id)
{
    const struct certificate *k = certs_find(&c->ctl->model, c->words[0], id);

    if (!k)
        return ctx_err(&c->ctx, ERR_INVALID,
                       "%s has no certificate \"%s\": create it first",
                       c->words[0], id);
    if (x509_covers(k->info.names, k->info.n_names, domain))
        return 0;
    return ctx_err(&c->ctx, ERR_INVALID,
                   "certificate %s is for %s%s, and not for %s", id,
                   k->info.names[0],
                   k->info.n_names > 1 ? " and other names" : "", domain);
}

/* sslSettings; without them the ACME server is asked where it can be. */
static int read_ssl(struct admin_call *c, struct domain_spec *s)
{
    const json_t *ssl = json_object_get(c->body, "sslSettings");
    const char *type = member(ssl, "sslManagementType");
    const char *id = member(ssl, "certificateId");
    bool wildcard = strncmp(s->id, "*.", 2) == 0;

    s->certificate = id && *id ? id : NULL;
    if (!type || strcmp(type, "SSL_MANAGEMENT_TYPE_UNSPECIFIED") == 0)
        type = s->certificate || wildcard ? "MANUAL" : "AUTOMATIC";
    s->automatic = strcmp(type, "AUTOMATIC") == 0;
    if (!s->automatic && strcmp(type, "MANUAL") != 0)
        return ctx_err(&c->ctx, ERR_INVALID,
                       "sslManagementType is \"%s\", and must be AUTOMATIC "
                       "or MANUAL",
                       type);
    if (s->automatic && s->certificate)
        return ctx_err(&c->ctx, ERR_INVALID,
                       "a certificateId is for the sslManagementType MANUAL");
    if (s->automatic && wildcard)
        return ctx_err(&c->ctx, ERR_INVALID,
                       "no certificate for a wildcard is signed by way of "
                       "http: bring one, or map each name");
    return s->certificate ? check_certificate(c, s->id, s->certificate) : 0;
}

static int begin_mapping(struct admin_call *c, const char *method,
                         const char *id, struct operation **op)
{
    return operation_begin(&c->ctx, c->ctl, c->words[0], method,
                           arena_printf(c->ctx.arena,
                                        "apps/%s/domainMappings/%s",
                                        c->words[0], id),
                           op);
}

/* A mapping in place of `old` (or NULL). */
static int store_mapping(struct admin_call *c, const char *method,
                         struct domain_spec *s, const struct domain *old)
{
    const struct model *m = &c->ctl->model;
    struct domains_change what = {.domain = NULL};
    struct operation *op;
    int rc = begin_mapping(c, method, s->id, &op);

    if (rc)
        return rc;
    /* What an ACME server signed stays with the same application. */
    if (old && s->automatic && strcmp(old->app, s->app) == 0 &&
        domains_managed_row(m, old))
        s->certificate = old->certificate;
    else if (old && domains_managed_row(m, old))
        what.drop_certificate =
            arena_strdup(c->ctx.arena, domains_managed_row(m, old));
    what.domain = domains_new(s);
    return begin(c, &what, op, what.domain->id);
}

static int check_free(struct admin_call *c, const struct domain *old)
{
    if (!old)
        return 0;
    if (strcmp(old->app, c->words[0]) == 0)
        return ctx_err(&c->ctx, ERR_EXISTS, "%s is mapped to %s already",
                       old->id, old->app);
    if (strcmp(admin_param(c, "overrideStrategy", "STRICT"), "OVERRIDE") == 0)
        return 0;
    return ctx_err(&c->ctx, ERR_EXISTS,
                   "%s is mapped to %s: a domain belongs to one project "
                   "(overrideStrategy=OVERRIDE takes it over)",
                   old->id, old->app);
}

static int mappings_create(struct admin_call *c)
{
    struct domain_spec s = {.app = c->words[0]};
    const char *id = member(c->body, "id");
    const struct domain *old, *d = NULL;
    struct app *a;
    size_t n = 0;
    int rc = admin_find_app(c, &a);

    if (rc == 0 && !id)
        rc = ctx_err(&c->ctx, ERR_INVALID, "id, the domain, is missing");
    if (rc == 0)
        rc = domains_check_name(&c->ctx, c->ctl, id, &s.id);
    if (rc)
        return rc;
    while ((d = domains_next(&c->ctl->model, a->id, d)))
        n++;
    if (n >= DOMAINS_PER_APP_MAX)
        return ctx_err(&c->ctx, ERR_EXHAUSTED,
                       "%s has %d domains, the most there may be", a->id,
                       DOMAINS_PER_APP_MAX);
    old = domains_find(&c->ctl->model, s.id);
    rc = check_free(c, old);
    if (rc == 0)
        rc = read_ssl(c, &s);
    return rc ? rc
              : store_mapping(c, SERVICE "DomainMappings.CreateDomainMapping",
                              &s, old);
}

static int mappings_patch(struct admin_call *c)
{
    struct domain_spec s = {.app = c->words[0]};
    struct domain *d;
    int rc = find_mapping(c, &d);

    if (rc == 0 && !in_mask(c, "sslSettings"))
        rc = ctx_err(&c->ctx, ERR_INVALID,
                     "updateMask must name sslSettings or members of it");
    if (rc)
        return rc;
    s.id = d->id;
    rc = read_ssl(c, &s);
    return rc ? rc
              : store_mapping(c, SERVICE "DomainMappings.UpdateDomainMapping",
                              &s, d);
}

static int mappings_delete(struct admin_call *c)
{
    struct domains_change what = {.domain = NULL};
    struct operation *op;
    struct domain *d;
    int rc = find_mapping(c, &d);

    if (rc == 0)
        rc = begin_mapping(c, SERVICE "DomainMappings.DeleteDomainMapping",
                           d->id, &op);
    if (rc)
        return rc;
    what.drop_domain = d->id;
    what.drop_certificate = domains_managed_row(&c->ctl->model, d);
    return begin(c, &what, op, NULL);
}

#define CERTIFICATES "/v1/apps/*/authorizedCertificates"
#define MAPPINGS     "/v1/apps/*/domainMappings"

const struct admin_route admin_domain_routes[] = {
    {"GET", CERTIFICATES, certificates_list},
    {"POST", CERTIFICATES, certificates_create},
    {"GET", CERTIFICATES "/*", certificates_get},
    {"PATCH", CERTIFICATES "/*", certificates_patch},
    {"DELETE", CERTIFICATES "/*", certificates_delete},
    {"GET", MAPPINGS, mappings_list},
    {"POST", MAPPINGS, mappings_create},
    {"GET", MAPPINGS "/*", mappings_get},
    {"PATCH", MAPPINGS "/*", mappings_patch},
    {"DELETE", MAPPINGS "/*", mappings_delete},
    {.path = NULL},
};
