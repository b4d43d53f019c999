/*
 * http_client - HTTP requests of a program that lives on one libuv loop.
 *
 * For the controller and the command line: the Admin API, the platform's own
 * calls to the server (over its unix socket), health checks, deliveries.  A
 * client keeps connections open and reuses them; a request answers exactly
 * once through its callback, on the loop, never from inside
 * http_client_send().  Built on libcurl's multi interface.
 *
 * Thread rule: everything on the loop's thread.
 */
#ifndef NET_HTTP_CLIENT_H
#define NET_HTTP_CLIENT_H

#include "net/http.h"

#include <uv.h>

struct http_client;
struct http_client_call;

/* What to send.  Read during http_client_send() only: all of it is copied. */
struct http_client_request {
    const char *method;    /* NULL: GET, or POST with a body */
    const char *url;       /* "http://127.0.0.1:6103/healthz" */
    const char *unix_path; /* connect to this socket instead of the URL's */
    const struct http_header *headers;
    size_t n_headers;
    struct bytes body;
    int64_t timeout;     /* microseconds for all of it; 0: 60 seconds */
    size_t response_max; /* bytes of answer; 0: 1 MiB */
    const char *ca_file; /* https: trust this file instead of the system's */
    bool insecure;       /* https: do not check the certificate */
};

/*
 * The answer, valid during the callback.  `err` is 0 whenever a whole HTTP
 * answer arrived, whatever its status; else status is 0 and `message` says
 * what failed: ERR_UNAVAILABLE (nobody listens, or the connection broke),
 * ERR_DEADLINE, ERR_TOO_LARGE, ERR_INVALID (a bad URL), ERR_CANCELLED.
 */
struct http_client_response {
    int err;
    const char *message;
    int status;
    const struct http_header *headers;
    size_t n_headers;
    struct bytes body;
};

typedef void http_client_fn(const struct http_client_response *res, void *arg);

/* A client on `loop`.  It keeps the loop alive only while requests run. */
struct http_client *http_client_new(uv_loop_t *loop);

/*
 * Send.  The call's handle is good for http_client_cancel() until the callback
 * has run.
 */
struct http_client_call *http_client_send(struct http_client *c,
                                          const struct http_client_request *req,
                                          http_client_fn *fn, void *arg);

/* Give up; the callback runs with ERR_CANCELLED before this returns. */
void http_client_cancel(struct http_client_call *call);

/* The value of the first header of that name (any case), or BYTES_NONE. */
struct bytes http_client_header(const struct http_client_response *res,
                                const char *name);

/*
 * Cancel what runs and free.  The loop has to run once more for its handles to
 * close.
 */
void http_client_free(struct http_client *c);

#endif
