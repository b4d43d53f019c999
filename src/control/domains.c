/* domains - names, rows, the list. */
#include "control/domains.h"

#include "control/routing.h"
#include "control/text.h"

#include <ctype.h>
#include <stdlib.h>

/* ---- names ---- */

/* The rule that one label of a host name breaks, or NULL. */
static const char *label_fault(const char *s, size_t n)
{
    if (n == 0)
        return "has an empty part";
    if (n > 63)
        return "has a part of more than 63 characters";
    if (s[0] == '-' || s[n - 1] == '-')
        return "has a part that begins or ends with a hyphen";
    for (size_t i = 0; i < n; i++)
        if (!islower((unsigned char)s[i]) && !isdigit((unsigned char)s[i]) &&
            s[i] != '-')
            return "may have letters, digits and hyphens between its dots "
                   "(others as xn--...)";
    return NULL;
}

static const char *name_fault(const char *name)
{
    const char *at = strncmp(name, "*.", 2) == 0 ? name + 2 : name;
    const char *fault = NULL;

    if (strlen(name) > DOMAINS_NAME_MAX)
        return "is longer than 253 characters";
    if (strstr(name, "-dot-"))
        return "contains \"-dot-\", which stands for a dot";
    for (;;) {
        size_t n = strcspn(at, ".");

        fault = label_fault(at, n);
        if (fault || at[n] == '\0')
            break;
        at += n + 1;
    }
    if (!fault && strspn(at, "0123456789") == strlen(at))
        fault = "is an address, and no name";
    return fault;
}

int domains_check_name(struct ctx *ctx, const struct control *ctl,
                       const char *name, const char **out)
{
    const char *base = ctl->settings.domain, *fault;
    char *low = arena_strdup(ctx->arena, name);
    size_t n, b = strlen(base);

    for (char *p = low; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    fault = name_fault(low);
    if (fault)
        return ctx_err(ctx, ERR_INVALID, "the domain \"%s\" %s", name, fault);
    n = strlen(low);
    if (n > b && strcmp(low + n - b, base) == 0 && low[n - b - 1] == '.')
        return ctx_err(ctx, ERR_INVALID,
                       "\"%s\" is below %s, where names are those of projects",
                       name, base);
    *out = low;
    return 0;
}

const char *domains_below(const struct domain *d)
{
    return strncmp(d->id, "*.", 2) == 0 ? d->id + 2 : NULL;
}

/* ---- rows ---- */

static const char *row_text(struct arena *a, const struct domain_spec *s)
{
    json_t *o =
        json_pack("{s:s, s:s, s:{s:s, s:s*}, s:{s:i, s:I, s:I}}", "id", s->id,
                  "app", s->app, "sslSettings", "sslManagementType",
                  s->automatic ? "AUTOMATIC" : "MANUAL", "certificateId",
                  s->certificate, "acme", "failures", s->failures, "tried",
                  (json_int_t)s->tried, "next", (json_int_t)s->next);
    char *text;
    const char *copy;

    if (s->reason)
        json_object_set_new(json_object_get(o, "acme"), "reason",
                            text_json(s->reason));
    text = json_dumps(o, JSON_COMPACT);
    copy = arena_strdup(a, text);
    free(text);
    json_decref(o);
    return copy;
}

struct domain *domains_new(const struct domain_spec *s)
{
    struct domain *d = calloc(1, sizeof(*d));
    struct arena *a;

    if (!d)
        abort();
    a = &d->arena;
    d->id = arena_strdup(a, s->id);
    d->app = arena_strdup(a, s->app);
    d->certificate = s->certificate ? arena_strdup(a, s->certificate) : NULL;
    d->automatic = s->automatic;
    d->failures = s->failures;
    d->tried = s->tried;
    d->next = s->next;
    d->reason = s->reason ? arena_strdup(a, s->reason) : NULL;
    d->text = row_text(a, s);
    return d;
}

void domains_free(struct domain *d)
{
    arena_release(&d->arena);
    free(d);
}

static const char *member(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

int domains_take(struct ctx *ctx, struct control *ctl, const char *row,
                 const char *text)
{
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    const json_t *ssl = json_object_get(o, "sslSettings");
    const json_t *acme = json_object_get(o, "acme");
    const char *type = member(ssl, "sslManagementType");
    struct domain *d;

    if (!member(o, "app") || !type || name_fault(row)) {
        json_decref(o);
        return ctx_err(ctx, ERR_CORRUPT, "not the mapping of a domain");
    }
    d = domains_new(&(struct domain_spec){
        .id = row,
        .app = member(o, "app"),
        .certificate = member(ssl, "certificateId"),
        .automatic = strcmp(type, "AUTOMATIC") == 0,
        .failures = (int)json_integer_value(json_object_get(acme, "failures")),
        .tried = json_integer_value(json_object_get(acme, "tried")),
        .next = json_integer_value(json_object_get(acme, "next")),
        .reason = member(acme, "reason"),
    });
    d->text = arena_strdup(&d->arena, text);
    domains_put(&ctl->model, d);
    json_decref(o);
    return 0;
}

/* ---- the list, by name ---- */

static struct domain **place(struct model *m, const char *id)
{
    struct domain **at = &m->domains;

    while (*at && strcmp((*at)->id, id) < 0)
        at = &(*at)->next_domain;
    return at;
}

void domains_drop(struct model *m, const char *id)
{
    struct domain **at = place(m, id), *d = *at;

    if (!d || strcmp(d->id, id) != 0)
        return;
    *at = d->next_domain;
    domains_free(d);
}

void domains_put(struct model *m, struct domain *d)
{
    struct domain **at;

    domains_drop(m, d->id);
    at = place(m, d->id);
    d->next_domain = *at;
    *at = d;
}

struct domain *domains_find(const struct model *m, const char *id)
{
    struct domain *d = m->domains;

    while (d && strcmp(d->id, id) != 0)
        d = d->next_domain;
    return d;
}

struct domain *domains_next(const struct model *m, const char *app,
                            const struct domain *d)
{
    struct domain *at = d ? d->next_domain : m->domains;

    while (at && strcmp(at->app, app) != 0)
        at = at->next_domain;
    return at;
}

struct domain *domains_of_host(const struct model *m, const char *host)
{
    struct arena a = ARENA_INIT;
    struct domain *d = domains_find(m, host);
    const char *dot = host;

    while (!d && (dot = strchr(dot, '.')))
        d = domains_find(m, arena_printf(&a, "*%s", dot++));
    arena_release(&a);
    return d;
}

const struct certificate *domains_certificate(const struct model *m,
                                              const struct domain *d)
{
    const struct certificate *c =
        d->certificate ? certs_find(m, d->app, d->certificate) : NULL;

    return c ? c : certs_own(m);
}

const char *domains_managed_row(const struct model *m, const struct domain *d)
{
    const struct certificate *c =
        d->certificate ? certs_find(m, d->app, d->certificate) : NULL;

    return c && c->managed ? c->row : NULL;
}

/* ---- a change ---- */

enum { CHANGE_ROWS = 4 };

struct changing {
    struct control *ctl;
    struct domains_change what;
    char *drop_domain, *drop_certificate; /* copies */
    server_done_fn *fn;
    void *arg;
};

static char *copy(const char *s)
{
    char *c = s ? strdup(s) : NULL;

    if (s && !c)
        abort();
    return c;
}

static void release_new(const struct domains_change *c)
{
    if (c->domain)
        domains_free(c->domain);
    if (c->certificate)
        certs_free(c->certificate);
}

static void changing_end(struct changing *ch, struct ctx *ctx, int rc)
{
    ch->ctl->domains_busy = false;
    ch->fn(ctx, rc, ch->arg);
    free(ch->drop_domain);
    free(ch->drop_certificate);
    free(ch);
}

static void on_change_routed(struct ctx *ctx, int rc, void *arg)
{
    changing_end(arg, ctx, rc);
}

static void on_change_stored(struct ctx *ctx, int rc, void *arg)
{
    struct changing *ch = arg;
    struct model *m = &ch->ctl->model;

    if (rc) {
        release_new(&ch->what);
        changing_end(ch, ctx, rc);
        return;
    }
    if (ch->what.certificate)
        certs_put(m, ch->what.certificate);
    if (ch->what.domain)
        domains_put(m, ch->what.domain);
    if (ch->drop_domain)
        domains_drop(m, ch->drop_domain);
    if (ch->drop_certificate)
        certs_drop(m, ch->drop_certificate);
    routing_apply(ch->ctl, on_change_routed, ch);
}

/* The row as it is to be, and as it has to be before. */
static void add_row(struct server_row *still, struct server_row *rows,
                    size_t *n, const char *table, const char *row,
                    const char *before, const char *after)
{
    still[*n] = (struct server_row){table, row, before};
    rows[(*n)++] = (struct server_row){table, row, after};
}

static const char *certificate_before(const struct model *m, const char *row)
{
    for (struct certificate *c = m->certificates; c; c = c->next)
        if (strcmp(c->row, row) == 0)
            return c->text;
    return NULL;
}

static const char *domain_before(const struct model *m, const char *id)
{
    const struct domain *d = domains_find(m, id);

    return d ? d->text : NULL;
}

int domains_change(struct ctx *ctx, struct control *ctl,
                   const struct domains_change *c, server_done_fn *fn,
                   void *arg)
{
    const struct model *m = &ctl->model;
    struct server_row still[CHANGE_ROWS], rows[CHANGE_ROWS];
    struct changing *ch;
    size_t n = 0;

    if (ctl->domains_busy) {
        release_new(c);
        return ctx_err(ctx, ERR_CONFLICT,
                       "another change of domains or certificates is under "
                       "way: try again in a moment");
    }
    ch = calloc(1, sizeof(*ch));
    if (!ch)
        abort();
    *ch = (struct changing){.ctl = ctl,
                            .what = *c,
                            .drop_domain = copy(c->drop_domain),
                            .drop_certificate = copy(c->drop_certificate),
                            .fn = fn,
                            .arg = arg};
    ctl->domains_busy = true;
    if (c->certificate)
        add_row(still, rows, &n, "certificates", c->certificate->row,
                certificate_before(m, c->certificate->row),
                c->certificate->text);
    if (c->domain)
        add_row(still, rows, &n, "domains", c->domain->id,
                domain_before(m, c->domain->id), c->domain->text);
    if (c->drop_domain)
        add_row(still, rows, &n, "domains", c->drop_domain,
                domain_before(m, c->drop_domain), NULL);
    if (c->drop_certificate)
        add_row(still, rows, &n, "certificates", c->drop_certificate,
                certificate_before(m, c->drop_certificate), NULL);
    server_commit(ctx, ctl, still, n, rows, n, on_change_stored, ch);
    return 0;
}

/* ---- the end of an application ---- */

static bool is_of(const struct certificate *c, const char *app)
{
    return strcmp(c->app, app) == 0;
}

size_t domains_rows(const struct control *ctl, const char *app)
{
    const struct domain *d = NULL;
    size_t n = certs_count(&ctl->model, app);

    while ((d = domains_next(&ctl->model, app, d)))
        n++;
    return n;
}

void domains_delete_rows(struct arena *a, const struct control *ctl,
                         const char *app, struct server_row *rows, size_t *n)
{
    const struct domain *d = NULL;

    while ((d = domains_next(&ctl->model, app, d)))
        rows[(*n)++] =
            (struct server_row){"domains", arena_strdup(a, d->id), NULL};
    for (struct certificate *c = ctl->model.certificates; c; c = c->next)
        if (is_of(c, app))
            rows[(*n)++] = (struct server_row){"certificates",
                                               arena_strdup(a, c->row), NULL};
}

void domains_forget(struct control *ctl, const char *app)
{
    struct model *m = &ctl->model;
    struct certificate *c = m->certificates, *next;
    struct domain *d;

    while ((d = domains_next(m, app, NULL)))
        domains_drop(m, d->id);
    for (; c; c = next) {
        next = c->next;
        if (is_of(c, app))
            certs_drop(m, c->row);
    }
}
