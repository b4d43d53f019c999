/*
 * http_poster - many requests to one place, as cheap as they come.
 *
 * For the task dispatcher: thousands of small requests a second to haproxy or
 * to an app, of whose answers only the status counts.  Where http_client is
 * general, this keeps connections to one address, writes a request whose bytes
 * the caller has made, and reads the answer with llhttp, its body thrown away.
 *
 * A kept connection that the peer had closed when a request went out is
 * replaced by a new one, once.  TCP tells that apart from a peer that got the
 * request and closed without an answer; a Unix socket does not, so there the
 * peer has to be one that answers whatever it has read, as haproxy does.
 *
 * Thread rule: everything on the loop's thread; callbacks never run from
 * inside http_poster_send().
 */
#ifndef NET_HTTP_POSTER_H
#define NET_HTTP_POSTER_H

#include "base/buf.h"

#include <uv.h>

struct http_poster;
struct http_poster_call;

struct http_poster_options {
    const char *host; /* a name or an address; looked up at the first use */
    int port;
    const char *unix_path; /* a socket instead */
    int idle_max;          /* connections kept while nothing is sent */
    int64_t idle_timeout;  /* microseconds after which one is given up */
};

/*
 * How it ended.  ERR_UNAVAILABLE: there is no answer, since nobody listens
 * (`sent` is false) or the connection broke; ERR_DEADLINE: none in time;
 * ERR_INVALID: no HTTP; ERR_CANCELLED.  On 0 `status` is what was answered.
 */
struct http_poster_result {
    int err;
    int status;
    bool sent; /* the peer may have seen the request */
    const char *message;
};

typedef void http_poster_fn(const struct http_poster_result *res, void *arg);

/* A poster on `loop`; strings are copied. */
struct http_poster *http_poster_new(uv_loop_t *loop,
                                    const struct http_poster_options *o);

/*
 * Send `request`, a whole HTTP/1.1 request in a heap buffer that the poster
 * takes over.  `head` says that the answer has no body whatever it says.  The
 * call is good for http_poster_cancel() until fn has run.
 */
struct http_poster_call *http_poster_send(struct http_poster *p,
                                          struct buf request, bool head,
                                          int64_t timeout, http_poster_fn *fn,
                                          void *arg);

/* Give up; fn runs with ERR_CANCELLED before this returns. */
void http_poster_cancel(struct http_poster_call *call);

/* Cancel what runs, close, free; the loop has to run until `closed` is called.
 */
void http_poster_free(struct http_poster *p, void (*closed)(void *arg),
                      void *arg);

#endif
