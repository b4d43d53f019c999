/*
 * http - HTTP/1.1 messages as values, and the server that exchanges them.
 *
 * The server (net/http_server.c) runs a few libuv loops over one listening
 * address, parses with llhttp, and gives every complete request to one
 * callback on the loop that read it.  The callback answers at once, or keeps
 * the exchange and answers later from any thread with http_reply(); answers
 * leave in the order of the requests, pipelined or not.
 *
 * Ownership: an exchange owns an arena; the request's views and whatever the
 * callback allocates there live until the reply has been written.  The arena
 * and the parse state go back to a pool of the loop, so that a keep-alive
 * request allocates nothing.
 *
 * Thread rule: an exchange belongs to the loop until the callback hands it on,
 * then to whoever holds it; http_reply() ends that.
 */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include "base/buf.h"
#include "base/ctx.h"

struct http_header {
    struct bytes name;
    struct bytes value;
};

struct http_request {
    struct bytes method; /* "POST" */
    struct bytes target; /* as sent: "/a%20b?c=d" */
    struct bytes path;   /* the target up to '?', still encoded */
    struct bytes query;  /* behind '?', or empty */
    struct http_header *headers;
    size_t n_headers;
    struct bytes body;
    struct bytes peer; /* "127.0.0.1:4711", or "unix" */
    bool keep_alive;
};

/* The value of the first header of that name (any case), or BYTES_NONE. */
struct bytes http_header(const struct http_request *req, const char *name);

/* A decoded query or form parameter, in the arena; BYTES_NONE when absent.
 * `from` is req->query, or req->body of a urlencoded form. */
struct bytes http_param(struct arena *a, struct bytes from, const char *name);

/* A cookie's value by name, or BYTES_NONE. */
struct bytes http_cookie(const struct http_request *req, const char *name);

/* %XX (and '+' when `form`) decoded; malformed escapes stay as they are. */
struct bytes http_unescape(struct arena *a, struct bytes v, bool form);

/* Everything but unreserved characters as %XX. */
struct bytes http_escape(struct arena *a, struct bytes v);

/* <, >, &, " and ' as entities. */
struct bytes http_escape_html(struct arena *a, struct bytes v);

/* Content-Length, Date and Connection are the server's; everything else is
 * listed.  Names and values are referenced. */
struct http_response {
    int status; /* 0: 200 */
    struct http_header *headers;
    size_t n_headers, cap_headers;
    struct bytes lead; /* sent before `body`, one message with it */
    struct bytes body;
    bool close; /* end the connection behind this answer */
};

/*
 * Add a header; name and value are referenced and must live until the answer is
 * formatted, the list grows in `a`.
 */
void http_add_header(struct arena *a, struct http_response *res,
                     const char *name, struct bytes value);

/* A text answer: status, content type, body. */
void http_text(struct arena *a, struct http_response *res, int status,
               const char *type, struct bytes body);

/* "Not Found" for 404. */
const char *http_status_text(int status);

/*
 * A page: a handler of one path that may wait; runs on a worker.  Returns 0
 * with `res` filled, or an error that becomes its HTTP status and text.
 */
typedef int http_page_fn(struct ctx *ctx, const struct http_request *req,
                         struct http_response *res);

struct http_route {
    const char *method; /* "GET", "POST", or "*" */
    const char *path;   /* exact, or a prefix when it ends in '*' */
    http_page_fn *page;
};

/* ---- the server ---- */

struct http_server;

/* A request may carry this many header fields; more are answered 431. */
enum { HTTP_HEADERS_MAX = 100 };

struct http_exchange {
    struct arena arena;
    struct http_request req;
    struct http_response res;
    void *user;      /* the callback's own */
    int64_t started; /* clock_mono() when the request was complete */
    /* the rest belongs to the server */
    struct http_loop *loop;
    struct http_conn *conn;              /* NULL once the peer has left */
    struct http_exchange *next;          /* of the same connection */
    struct http_exchange *next_answered; /* in the inbox of the loop */
    struct http_block *block; /* the memory the request's views point into */
    struct bytes out[2];      /* the answer as bytes */
    bool head_only;           /* HEAD: the answer has no body */
    bool http_1_0;
    bool done;
    struct http_header fields[HTTP_HEADERS_MAX];
};

/* Runs on the loop for every complete request.  Must not block. */
typedef void http_request_fn(struct http_exchange *x, void *arg);

struct http_server_options {
    const char *host;      /* "127.0.0.1"; NULL with unix_path */
    int port;              /* 0: a free one, see http_server_port() */
    const char *unix_path; /* a socket instead, mode 0600 */
    int listen_fd;         /* > 0: this one, which listens already; ours now */
    int loops;             /* threads; 0: one per processor, at most 4 */
    size_t body_max;       /* bytes; more is answered 413 */
    size_t header_max;     /* bytes of request line and headers; 431 */
    int conns_max;         /* open connections; the idlest is closed */
    int64_t idle_timeout;  /* microseconds between requests */
    int64_t request_timeout; /* microseconds for a whole request to arrive */
    http_request_fn *on_request;
    void *arg;
};

/*
 * Listen (backlog 4096) and start the loops.  ERR_INVALID for a bad address,
 * ERR_UNAVAILABLE when the port is taken (the message names it).
 */
int http_server_start(struct ctx *ctx, const struct http_server_options *o,
                      struct http_server **out);

/* The port it listens on, the free one that was found if 0 was asked for. */
int http_server_port(const struct http_server *s);

/* Send x->res.  Any thread, once per exchange; `x` is gone afterwards.  When
 * the peer has left nothing is sent. */
void http_reply(struct http_exchange *x);

/* Stop accepting, let running exchanges finish for at most `grace`
 * microseconds, close, join the loops, free. */
void http_server_stop(struct http_server *s, int64_t grace);

/* Figures since the start, for metrics and tests. */
struct http_server_stats {
    uint64_t accepted, open, requests, bad_requests, timeouts;
};

/*
 * Sum the loops' counters, each read relaxed: any thread, and not of one
 * moment.
 */
void http_server_stats(const struct http_server *s,
                       struct http_server_stats *out);

#endif
