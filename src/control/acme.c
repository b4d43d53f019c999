/* acme - whose turn it is, dehydrated, what came of it. */
#include "control/acme.h"

#include "base/files.h"
#include "base/log.h"
#include "control/job.h"
#include "control/operation.h"
#include "control/proc.h"
#include "control/routing.h"
#include "control/text.h"

#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    LIMIT = 5 * 60 * 1000 * 1000, /* microseconds for one certificate */
    AGAIN_FIRST_SECONDS = 120,
    AGAIN_MOST_SECONDS = 86400,
    REASON_LINES = 40, /* of the log are read for it */
    REASON_MAX = 400,
};

struct acme {
    struct control *ctl;
    char *domain; /* the one that a job is under way for; or NULL */
    bool ended;   /* the job has; what came of it is not kept yet */
    int rc;
    char *why;
};

void acme_start(struct control *ctl)
{
    struct acme *acme = calloc(1, sizeof(*acme));

    if (!acme)
        abort();
    acme->ctl = ctl;
    ctl->acme = acme;
}

/* ---- whose turn it is ---- */

static const struct certificate *managed(const struct model *m,
                                         const struct domain *d)
{
    return domains_managed_row(m, d) ? domains_certificate(m, d) : NULL;
}

static bool is_due(const struct control *ctl, const struct domain *d,
                   int64_t now)
{
    const struct certificate *c = managed(&ctl->model, d);
    int64_t third = c ? (c->info.until - c->info.from) / 3 : 0;

    return d->automatic && now >= d->next &&
           (!c || now >= c->info.until - third);
}

bool acme_serves(const struct control *ctl, const struct domain *d)
{
    return settings_acme(&ctl->settings) && d->automatic;
}

/* ---- what came of it ---- */

/* The text behind the first `mark`, up to a quote that is not escaped. */
static struct bytes quoted_behind(struct bytes log, const char *mark)
{
    const char *at = memmem(log.p, log.n, mark, strlen(mark));
    const char *end = (const char *)log.p + log.n, *p;

    if (!at)
        return BYTES_NONE;
    at += strlen(mark);
    while (at < end && (*at == ':' || *at == ' ' || *at == '\t' || *at == '"'))
        at++;
    for (p = at; p < end && *p != '"' && *p != '\n'; p++)
        if (*p == '\\' && p + 1 < end)
            p++;
    return BYTES(at, (size_t)(p - at));
}

static struct bytes line_with(struct bytes log, const char *mark)
{
    const char *at = log.n ? memmem(log.p, log.n, mark, strlen(mark)) : NULL;
    const char *end = at ? (const char *)log.p + log.n : NULL, *p = at;

    while (p < end && *p != '\n')
        p++;
    return at ? BYTES(at, (size_t)(p - at)) : BYTES_NONE;
}

/* A string of JSON, as far as it is shown, without its backslashes. */
static const char *unescaped(struct arena *a, struct bytes s)
{
    struct buf out = BUF_IN(a);
    const char *p = s.p, *end = p + s.n;

    for (; p < end && out.n < REASON_MAX; p++) {
        if (*p == '\\' && p + 1 < end)
            p++;
        buf_add_u8(&out, (uint8_t)*p);
    }
    return buf_cstr(&out);
}

/* The server's own words when there are any ("detail" of a problem document),
 * else dehydrated's, else the last line. */
const char *acme_reason(struct arena *a, struct bytes log)
{
    static const char *const details[] = {"\"error\",\"detail\"]",
                                          "\"detail\""};
    struct bytes found = BYTES_NONE;
    const char *last;

    for (size_t i = 0; found.n == 0 && log.n && i < 2; i++)
        found = quoted_behind(log, details[i]);
    if (found.n == 0)
        found = line_with(log, "ERROR: ");
    if (found.n == 0 && log.n) {
        last = memrchr(log.p, '\n', log.n - 1);
        last = last ? last + 1 : log.p;
        found = BYTES(last, (size_t)((const char *)log.p + log.n - last));
    }
    if (found.n == 0)
        return "dehydrated said nothing";
    return unescaped(a, found);
}

struct kept {
    struct control *ctl;
    char *domain;
    int failures;
};

/* The routes follow what came of it, too, when this says so. */
static void on_kept(struct ctx *ctx, int rc, void *arg)
{
    struct kept *k = arg;
    struct control *ctl = k->ctl;

    if (rc)
        log_error(ctx, "acme.keep", "domain", k->domain, "why",
                  ctx_err_text(ctx, rc));
    else
        log_info(ctx, "acme.kept", "domain", k->domain, "failures",
                 log_int(k->failures));
    free(k->domain);
    free(k);
    acme_chore(ctl);
}

static int64_t wait_after(int failures)
{
    int64_t seconds = AGAIN_FIRST_SECONDS;

    for (int i = 1; i < failures && seconds < AGAIN_MOST_SECONDS; i++)
        seconds *= 2;
    if (seconds > AGAIN_MOST_SECONDS)
        seconds = AGAIN_MOST_SECONDS;
    return seconds * CLOCK_SEC;
}

/* The mapping as it is after an attempt. */
static struct domain *tried(const struct domain *d, const char *certificate,
                            const char *reason)
{
    int failures = reason ? d->failures + 1 : 0;
    int64_t now = clock_wall();

    return domains_new(&(struct domain_spec){
        .id = d->id,
        .app = d->app,
        .certificate = certificate,
        .automatic = true,
        .failures = failures,
        .tried = now,
        .next = reason ? now + wait_after(failures) : 0,
        .reason = reason,
    });
}

static void keep(struct ctx *ctx, struct control *ctl,
                 const struct domains_change *change)
{
    struct kept *k = calloc(1, sizeof(*k));
    int rc;

    if (!k)
        abort();
    *k = (struct kept){ctl, strdup(change->domain->id),
                       change->domain->failures};
    rc = domains_change(ctx, ctl, change, on_kept, k);
    if (!rc)
        return;
    log_error(ctx, "acme.keep", "domain", k->domain, "why",
              ctx_err_text(ctx, rc));
    free(k->domain);
    free(k);
}

static const char *issued_file(struct control *ctl, struct arena *a,
                               const char *domain, const char *name)
{
    return control_path(ctl, a,
                        arena_printf(a, "acme/certs/%s/%s", domain, name));
}

/* What dehydrated has brought. */
static int read_issued(struct ctx *ctx, struct control *ctl, const char *domain,
                       struct x509_info *out)
{
    struct arena *a = ctx->arena;
    struct bytes chain, key;
    int rc = files_read(ctx, issued_file(ctl, a, domain, "fullchain.pem"),
                        CERTS_PEM_MAX, &chain);

    if (rc == 0)
        rc = files_read(ctx, issued_file(ctl, a, domain, "privkey.pem"),
                        CERTS_PEM_MAX, &key);
    if (rc == 0)
        rc = x509_read(ctx, arena_cstr(a, chain), arena_cstr(a, key), out);
    if (rc == 0)
        rc = x509_check_time(ctx, out, clock_wall());
    if (rc == 0 && !x509_covers(out->names, out->n_names, domain))
        rc = ctx_err(ctx, ERR_INVALID, "it is not for %s", domain);
    return rc;
}

static int take_issued(struct ctx *ctx, struct control *ctl,
                       const struct domain *d)
{
    const struct certificate *old = managed(&ctl->model, d);
    const char *id = old ? old->id
                         : arena_printf(ctx->arena, "%u",
                                        1 + randombytes_uniform(0x7ffffffe));
    struct domains_change change = {.domain = NULL};
    struct x509_info info;
    int rc = read_issued(ctx, ctl, d->id, &info);

    if (rc == 0)
        rc = certs_new(ctx, arena_printf(ctx->arena, "%s/%s", d->app, id),
                       certs_row_text(ctx, id, d->id, &info, true),
                       &change.certificate);
    if (rc)
        return rc;
    log_info(NULL, "acme.issued", "domain", d->id, "until",
             operation_time(ctx->arena, info.until));
    change.domain = tried(d, id, NULL);
    keep(ctx, ctl, &change);
    return 0;
}

static void take_failure(struct ctx *ctx, struct control *ctl,
                         const struct domain *d, const char *reason)
{
    struct domains_change change = {.domain = tried(d, d->certificate, reason)};

    log_warn(NULL, "acme.failed", "domain", d->id, "why", reason, "again_s",
             log_int(wait_after(d->failures + 1) / CLOCK_SEC));
    keep(ctx, ctl, &change);
}

/* A change that is under way comes first; the next chore calls again. */
static void settle(struct acme *acme)
{
    struct control *ctl = acme->ctl;
    const char *why = acme->why;
    int rc = acme->rc;
    struct arena a = ARENA_INIT;
    char *id = acme->domain;
    const struct domain *d = domains_find(&ctl->model, id);
    struct bytes log =
        files_tail(&a, control_log_path(ctl, &a, "acme"), REASON_LINES);
    struct ctx ctx;

    ctx_init(&ctx, &a);
    acme->domain = NULL;
    acme->ended = false;
    /* It may have been taken away, or be its owner's concern now. */
    if (d && d->automatic && !ctl->stopping) {
        if (rc == 0) {
            rc = take_issued(&ctx, ctl, d);
            why = ctx_err_text(&ctx, rc);
        } else if (rc == ERR_INVALID) {
            why = acme_reason(&a, log);
        }
        if (rc)
            take_failure(&ctx, ctl, d, why);
    }
    files_remove_tree(
        control_path(ctl, &a, arena_printf(&a, "acme/certs/%s", id)));
    free(id);
    free(acme->why);
    acme->why = NULL;
    arena_release(&a);
}

static void on_job(int rc, const char *why, void *arg)
{
    struct acme *acme = arg;

    acme->ended = true;
    acme->rc = rc;
    acme->why = strdup(why ? why : "");
    if (!acme->ctl->domains_busy)
        settle(acme);
}

/* ---- dehydrated ---- */

/* A word for a shell, which reads the configuration. */
static void add_word(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "%s='", name);
    for (; *value; value++)
        if (*value == '\'')
            buf_add_str(out, "'\\''");
        else
            buf_add_u8(out, (uint8_t)*value);
    buf_add_str(out, "'\n");
}

static int write_config(struct ctx *ctx, struct control *ctl, const char *path)
{
    const struct settings *s = &ctl->settings;
    struct arena *a = ctx->arena;
    struct buf out = BUF_IN(a);

    add_word(&out, "CA", s->acme_directory);
    add_word(&out, "BASEDIR", control_path(ctl, a, "acme"));
    add_word(&out, "WELLKNOWN", control_path(ctl, a, ACME_CHALLENGES));
    add_word(&out, "CHALLENGETYPE", "http-01");
    add_word(&out, "KEY_ALGO", "prime256v1");
    if (strcmp(s->acme_email, SETTING_NONE) != 0)
        add_word(&out, "CONTACT_EMAIL", s->acme_email);
    if (strcmp(s->acme_ca, SETTING_NONE) != 0)
        add_word(&out, "CURL_OPTS", arena_printf(a, "--cacert %s", s->acme_ca));
    return files_replace(ctx, path, buf_view(&out), 0600);
}

static int ask(struct ctx *ctx, struct acme *acme, const struct domain *d)
{
    struct control *ctl = acme->ctl;
    struct arena *a = ctx->arena;
    const char *program = proc_find_program(a, "dehydrated");
    const char *config = control_path(ctl, a, "acme/config");
    const char *log = control_log_path(ctl, a, "acme");
    struct child_spec spec = {.log = log};
    int rc;

    if (!program)
        return ctx_err(ctx, ERR_NOT_FOUND,
                       "the program dehydrated is missing: apt-get install "
                       "dehydrated");
    rc = files_mkdirs(ctx, control_path(ctl, a, "acme"));
    if (rc == 0)
        rc = files_mkdirs(ctx, control_path(ctl, a, ACME_CHALLENGES));
    if (rc == 0)
        rc = write_config(ctx, ctl, config);
    if (rc)
        return rc;
    unlink(log); /* it tells of the last attempt */
    spec.argv = WORDS(a, program, "--cron", "--config", config, "--domain",
                      d->id, "--accept-terms", "--no-lock", "--force");
    spec.env = control_env(ctl, a, "acme", NULL);
    acme->domain = strdup(d->id);
    log_info(NULL, "acme.ask", "domain", d->id);
    rc = job_start(ctx, &ctl->loop, &spec, LIMIT, on_job, acme, NULL);
    if (rc) {
        free(acme->domain);
        acme->domain = NULL;
    }
    return rc;
}

static void on_ignored(struct ctx *ctx, int rc, void *arg)
{
    (void)ctx;
    (void)rc;
    (void)arg;
}

static void next_domain(struct ctx *ctx, struct control *ctl)
{
    int64_t now = clock_wall();
    struct domain *d = ctl->model.domains;
    int rc;

    while (d && !is_due(ctl, d, now))
        d = d->next_domain;
    if (!d)
        return;
    rc = ask(ctx, ctl->acme, d);
    if (rc)
        take_failure(ctx, ctl, d,
                     arena_strdup(ctx->arena, ctx_err_text(ctx, rc)));
}

void acme_chore(struct control *ctl)
{
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    if (!ctl->loaded || ctl->stopping)
        return;
    ctx_init(&ctx, &a);
    if (certs_ensure_own(&ctx, ctl))
        routing_apply(ctl, on_ignored, NULL);
    if (ctl->acme->ended && !ctl->domains_busy)
        settle(ctl->acme);
    if (settings_acme(&ctl->settings) && !ctl->acme->domain &&
        !ctl->domains_busy)
        next_domain(&ctx, ctl);
    arena_release(&a);
}

/* ---- for the Admin API ---- */

static const char *state(const struct control *ctl, const struct domain *d)
{
    if (!settings_acme(&ctl->settings))
        return "OFF";
    if (ctl->acme->domain && strcmp(ctl->acme->domain, d->id) == 0)
        return "PENDING";
    if (d->failures)
        return "FAILING";
    return managed(&ctl->model, d) ? "OK" : "PENDING";
}

json_t *acme_json(const struct control *ctl, const struct domain *d)
{
    struct arena a = ARENA_INIT;
    json_t *o;

    if (!d->automatic)
        return NULL;
    o = json_pack("{s:s, s:i}", "state", state(ctl, d), "failures",
                  d->failures);
    if (d->tried)
        json_object_set_new(o, "lastTime",
                            json_string(operation_time(&a, d->tried)));
    if (d->next)
        json_object_set_new(o, "nextTime",
                            json_string(operation_time(&a, d->next)));
    if (d->reason)
        json_object_set_new(o, "reason", text_json(d->reason));
    arena_release(&a);
    return o;
}
