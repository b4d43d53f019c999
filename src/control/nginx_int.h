/*
 * nginx_int - how the files that write nginx.conf share the work.
 *
 *     nginx_conf.c      the program, what all requests have, the servers
 *     nginx_names.c     maps: from a host name to a version and its backend
 *     nginx_handlers.c  what a version does with a path: its app.yaml
 *     nginx_pages.c     the pages of the platform, and who may pass
 *     nginx_tls.c       https: listeners and certificates
 *
 * A request goes through it once, without a second hop:
 *
 *  1. The server block of its app is found by the host name.  Maps tell which
 *     version it is for: $appscale_version, "P/S/V".
 *  2. A rewrite of the server puts a prefix in front of the path,
 *     "/.P/S/V:/path".  $appscale_fresh says that it has not been done yet:
 *     subrequests and internal redirects are of the same request, and keep
 *     their own paths.  Nobody outside can ask for such a path, because
 *     theirs gets the prefix, too.  The platform's own paths get none.
 *  3. The prefix is a location, and the version's handlers are locations with
 *     patterns inside of it, in the order of app.yaml; nginx takes the first
 *     one that matches.
 *  4. What goes on to the application goes with the path as the client wrote
 *     it, $request_uri.
 *
 * All of it appends to `out`, and depends on the model and settings alone.
 */
#ifndef CONTROL_NGINX_INT_H
#define CONTROL_NGINX_INT_H

#include "control/routing.h"

/* ---- nginx_conf.c ---- */

/*
 * A string of the file between double quotes.  A '$' in it names a variable
 * of nginx unless `variables` says that it has to stand for itself.
 */
void nginx_quoted(struct buf *out, const char *s, bool variables);

/* Requests are logged in this format: "line", or "file" for static files,
 * which need no id to be told by in an application's log. */
void nginx_access_log(const struct control *ctl, struct buf *out,
                      const char *format);

/* ---- nginx_names.c ---- */

/* "P/S/V": how maps, prefixes and the access log call a version. */
const char *nginx_version_name(struct arena *a, const struct version *v);

/* The maps of the http block, for all apps. */
void nginx_maps(const struct control *ctl, struct buf *out);

/* The server_name of an app, and which version is meant: $appscale_version. */
void nginx_names(const struct control *ctl, struct buf *out,
                 const struct app *app);

/* Whether a cookie shares out the traffic of a service of the app. */
bool nginx_sticky(const struct app *app);

/* ---- nginx_handlers.c ---- */

/* Of the http block: what a handler's pattern has captured. */
void nginx_handler_maps(struct buf *out);

/* The location of a version, for all paths with its prefix. */
void nginx_version(const struct control *ctl, struct buf *out,
                   const struct version *v);

/* ---- nginx_pages.c ---- */

/* Of the http block: what the pages and the sign-in need. */
void nginx_pages_maps(struct buf *out);

/* Of a server: the lookup of a session, the platform's paths and pages. */
void nginx_platform(struct buf *out);

/* Of a server: clean the path, and put the version's prefix in front of what
 * is not ours. */
void nginx_prefix(struct buf *out);

/* Directives of a handler that lets only some pass. */
void nginx_login(struct buf *out, const struct version *v,
                 const struct handler *h);

/* Of a version's location: the pages of its app.yaml (error_handlers) for
 * errors that the platform makes; those that an instance makes pass. */
void nginx_errors(struct buf *out, const struct version *v);

/* What answers for a version that is stopped. */
void nginx_asleep(struct buf *out);

/* ---- nginx_tls.c ---- */

/* The port on which browsers reach the apps by https; 0: there is none. */
int64_t nginx_tls_port(const struct control *ctl);

/* Of the http block: protocols, sessions, the certificate without a name. */
void nginx_tls_http(const struct control *ctl, struct buf *out);

/* Of a server: its listener; `sole`, whether it gets what no other wants. */
void nginx_tls_listen(const struct control *ctl, struct buf *out, bool sole);

/* Of an app's server: what an ACME server asks of its domains. */
void nginx_tls_challenges(const struct control *ctl, struct buf *out,
                          const struct app *app);

/* Of an app's server: the certificates of its own, if it has any. */
void nginx_tls_server(const struct control *ctl, struct buf *out,
                      const struct app *app);

#endif
