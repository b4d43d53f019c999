/*
 * metadata - Google's metadata server, computeMetadata/v1, for apps.
 *
 * Python's app_identity and Google's client libraries ask it over HTTP for the
 * project's id, for access tokens and for identity tokens (wire contract 5.8).
 * Requests carry no ticket, so a version has an address of its own: the
 * controller gives every instance
 *
 *     GCE_METADATA_HOST=127.0.0.1:API_PORT/_appscale/metadata/SECRET
 *
 * with a secret made from the version's token (base/secret.h), and what the
 * libraries put behind it is the path here.  (A library that takes the variable
 * for a host alone, as Node's gcp-metadata does, finds nothing.)  The emulator
 * has one app, which needs no secret: the paths stand at the root as well.
 *
 * Requests say Metadata-Flavor: Google, which a page in a browser cannot, and
 * none has come through a proxy.  Nothing here ever changes, so who waits for a
 * change (wait_for_change) gets the same again, later.
 *
 * Thread rule: pages run on workers.
 */
#ifndef SERVICE_METADATA_METADATA_H
#define SERVICE_METADATA_METADATA_H

#include "net/http.h"

extern const struct http_route metadata_routes[];

#endif
