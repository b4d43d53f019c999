/*
 * nginx_tls - what the servers need to speak TLS.
 *
 * The platform's own certificate is the http block's, and is loaded once.  A
 * server has one set of names and may need several certificates; an app with
 * certificates of its own therefore names its file by a variable, which nginx
 * reads at each full handshake (about a tenth of what the handshake costs);
 * sessions that are resumed cost nothing.
 *
 * Files are named for their contents: a new certificate changes this text, and
 * nginx is reloaded.
 */
#include "control/acme.h"
#include "control/nginx_int.h"

#include <inttypes.h>

int64_t nginx_tls_port(const struct control *ctl)
{
    return certs_own(&ctl->model) ? ctl->settings.https_port : 0;
}

static void add_file(const struct control *ctl, struct buf *out,
                     const struct certificate *c)
{
    struct arena a = ARENA_INIT;

    nginx_quoted(out, control_path(ctl, &a, c->file), true);
    arena_release(&a);
}

/* By the name that the client asks for in its first message. */
static void add_map(const struct control *ctl, struct buf *out)
{
    const struct model *m = &ctl->model;

    buf_add_str(out, "    map $ssl_server_name $appscale_certificate {\n"
                     "        hostnames;\n"
                     "        default ");
    add_file(ctl, out, certs_own(m));
    buf_add_str(out, ";\n");
    for (struct domain *d = m->domains; d; d = d->next_domain) {
        buf_printf(out, "        \\\\%s ", d->id);
        add_file(ctl, out, domains_certificate(m, d));
        buf_add_str(out, ";\n");
    }
    buf_add_str(out, "    }\n");
}

/* ---- the ACME server's questions ---- */

/* The domain in front, with its dots taken for what they are. */
static void add_pattern(struct buf *out, const struct domain *d)
{
    buf_add_str(out, "        \"~^");
    for (const char *p = d->id; *p; p++)
        buf_printf(out, *p == '.' ? "\\\\." : "%c", *p);
    buf_add_str(out, "/\\\\.well-known/acme-challenge/[A-Za-z0-9_-]+\\\\z\" "
                     "1;\n");
}

/* Whether a request is such a question: for a domain of theirs alone, so that
 * an application may answer for the others itself. */
static void add_challenges(const struct control *ctl, struct buf *out)
{
    buf_add_str(out, "    map \"$host$uri\" $appscale_challenge {\n"
                     "        default \"\";\n");
    for (struct domain *d = ctl->model.domains; d; d = d->next_domain)
        if (acme_serves(ctl, d))
            add_pattern(out, d);
    buf_add_str(out, "    }\n");
}

void nginx_tls_challenges(const struct control *ctl, struct buf *out,
                          const struct app *app)
{
    const struct domain *d = NULL;
    struct arena a = ARENA_INIT;

    while ((d = domains_next(&ctl->model, app->id, d)) && !acme_serves(ctl, d))
        ;
    if (!d)
        return;
    buf_add_str(out, "        if ($appscale_challenge) {\n"
                     "            set $appscale_fresh \"\";\n"
                     "        }\n"
                     "        location ^~ /.well-known/acme-challenge/ {\n"
                     "            auth_request off;\n"
                     "            default_type text/plain;\n"
                     "            open_file_cache off;\n"
                     "            alias ");
    nginx_quoted(
        out, arena_printf(&a, "%s/", control_path(ctl, &a, ACME_CHALLENGES)),
        true);
    buf_add_str(out, ";\n        }\n");
    arena_release(&a);
}

/* ---- https ---- */

void nginx_tls_http(const struct control *ctl, struct buf *out)
{
    const struct certificate *own = certs_own(&ctl->model);

    add_challenges(ctl, out);
    if (!nginx_tls_port(ctl))
        return;
    buf_add_str(out, "    ssl_certificate ");
    add_file(ctl, out, own);
    buf_add_str(out, ";\n    ssl_certificate_key ");
    add_file(ctl, out, own);
    buf_add_str(out,
                ";\n"
                "    ssl_protocols TLSv1.2 TLSv1.3;\n"
                "    ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:"
                "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
                "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"
                "ECDHE-RSA-CHACHA20-POLY1305;\n"
                "    ssl_prefer_server_ciphers off;\n"
                "    ssl_session_cache shared:appscale:10m;\n"
                "    ssl_session_timeout 1d;\n"
                "    ssl_buffer_size 4k;\n");
    if (ctl->model.domains)
        add_map(ctl, out);
}

void nginx_tls_listen(const struct control *ctl, struct buf *out, bool sole)
{
    if (nginx_tls_port(ctl))
        buf_printf(out, "        listen %s:%" PRId64 " ssl http2%s;\n",
                   ctl->settings.http_address, ctl->settings.https_port,
                   sole ? " default_server backlog=4096" : "");
}

static bool has_certificate(const struct model *m, const struct app *app)
{
    const struct domain *d = NULL;

    while ((d = domains_next(m, app->id, d)))
        if (domains_certificate(m, d) != certs_own(m))
            return true;
    return false;
}

void nginx_tls_server(const struct control *ctl, struct buf *out,
                      const struct app *app)
{
    if (nginx_tls_port(ctl) && has_certificate(&ctl->model, app))
        buf_add_str(out, "        ssl_certificate $appscale_certificate;\n"
                         "        ssl_certificate_key "
                         "$appscale_certificate;\n");
}
