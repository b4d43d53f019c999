/*
 * http_int - how the server's files share their work.
 *
 *   http_server.c  options, the listening socket, start, stop, figures
 *   http_loop.c    a thread with a libuv loop: its inbox, pools and clock
 *   http_conn.c    a connection: reading, answering in order, ending
 *   http_parse.c   bytes to requests (llhttp)
 *   http_reply.c   answers to bytes
 *   http_util.c    parameters, cookies, escapes
 *
 * Memory: a loop reads into one block that its connections share.  Where a
 * request is whole in it and answered at once, nothing is copied and the block
 * is read into again.  An exchange that is answered later holds a reference,
 * and the loop goes on with another block.  What a read leaves of an unfinished
 * request moves to a block of the connection's own.  References are counted on
 * the loop's thread alone.
 */
#ifndef NET_HTTP_INT_H
#define NET_HTTP_INT_H

#include "base/locks.h"
#include "net/http.h"

#include <llhttp.h>
#include <uv.h>

enum { HTTP_PEER_MAX = 64 };

struct http_block {
    struct http_block *next; /* in the pool */
    int refs;
    size_t cap;
    uint8_t data[];
};

/* What a connection waits for; each has its list, oldest first, and timeout. */
enum http_conn_state {
    HTTP_CONN_IDLE,    /* the next request */
    HTTP_CONN_READING, /* the rest of a request */
    HTTP_CONN_BUSY,    /* an answer of ours: no timeout, calls have deadlines */
    HTTP_CONN_WRITING, /* the peer to take an answer */
    HTTP_CONN_LINGER,  /* the peer to stop sending after our last word */
    HTTP_CONN_STATES,
};

struct http_conn {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } h;
    uv_write_t write;
    struct http_loop *loop;
    struct http_conn *prev, *next; /* in loop->conns[state] */
    enum http_conn_state state;
    int64_t since; /* clock_mono() of entering it or beginning anew */
    enum http_conn_state anew; /* what began anew since; IDLE: nothing */

    /* Input: in->data[at..n) is unread by the parser; the unfinished request
     * `building` started at `start`. */
    llhttp_t parser;
    struct http_block *in;
    size_t start, at, n;
    struct http_exchange *building;
    int refuse;         /* status to refuse the request with, set by the
                           parser's callbacks */
    bool head_complete; /* of `building` */
    bool want_continue; /* "Expect: 100-continue" is to be answered */

    /* Requests in order of arrival, answered from the front. */
    struct http_exchange *first, *last;
    int n_pending;
    int n_writing; /* of the front ones, handed to uv_write() */

    bool in_read;   /* inside the read callback: answers are gathered */
    bool reading;   /* uv_read_start() is on */
    bool eof;       /* the peer has ended its half */
    bool no_more;   /* no request after the ones that are here */
    bool over;      /* an answer has said "close" */
    bool refused;   /* the peer may still be sending what we do not want */
    bool lingers;   /* our half is shut; what comes is thrown away */
    bool closing;   /* uv_close() was called */
    size_t dropped; /* bytes thrown away while lingering */
    char peer[HTTP_PEER_MAX];
};

/* A socket on its way from the accepting loop to its own. */
struct http_newcomer {
    struct http_newcomer *next;
    int fd;
    char peer[HTTP_PEER_MAX];
};

struct http_conn_list {
    struct http_conn *first, *last;
};

enum { HTTP_BLOCK_SMALL = 8 * 1024, HTTP_BLOCK_READ = 64 * 1024 };
enum { HTTP_BLOCK_CLASSES = 2 };

struct http_loop {
    struct http_server *server;
    uv_thread_t thread;
    uv_loop_t uv;
    uv_timer_t tick;
    uv_async_t wake;

    /* The inbox: what other threads hand in. */
    struct lock lock;
    struct http_exchange *answered;
    struct http_newcomer *newcomers;
    int shed;      /* close so many idle connections */
    bool stopping; /* close what is idle, end the rest after its answer */
    bool aborting; /* close everything */

    /* The loop's own from here on. */
    bool drain;
    struct http_block *read_block;
    struct http_block *blocks[HTTP_BLOCK_CLASSES];
    int n_blocks[HTTP_BLOCK_CLASSES];
    struct http_exchange *exchanges; /* the pool */
    int n_exchanges;
    int n_out;   /* exchanges that are not in the pool */
    int n_conns; /* not yet closed by libuv */
    struct http_conn_list conns[HTTP_CONN_STATES];

    /* Written by the loop, read by anyone, relaxed. */
    uint64_t accepted, open, requests, bad_requests, timeouts;
    uint64_t on_the_way; /* newcomers */
};

struct http_server {
    struct http_server_options o;
    int fd;      /* the listening socket */
    bool bound;  /* the socket file is ours to remove */
    int reserve; /* an open file to give up when there are no more */
    int port;
    uv_poll_t poll; /* on loop 0 */
    int n_loops;
    struct http_loop *loops;
};

#define HTTP_COUNT(field_, n_)                                                 \
    __atomic_fetch_add(&(field_), (n_), __ATOMIC_RELAXED)

/* ---- http_loop.c ---- */

/* The loop of this thread, or NULL. */
extern _Thread_local struct http_loop *http_loop_self;

/* Make the loop of `s`, not running yet.  ERR_IO with the reason. */
int http_loop_init(struct ctx *ctx, struct http_loop *l, struct http_server *s);

/* Free the loop and what it kept for reuse; its thread has ended. */
void http_loop_release(struct http_loop *l);

/* Run until the loop has nothing left to wait for: the body of its thread. */
void http_loop_run(struct http_loop *l);

/* While stopping: with nothing open and nothing lent out, let the loop end. */
void http_loop_maybe_finish(struct http_loop *l);

/* Hand in a connected socket, which is the loop's from here on; any thread. */
void http_loop_give(struct http_loop *l, int fd, const char *peer);

/* Hand in an answered exchange; any thread. */
void http_loop_answered(struct http_exchange *x);
/* The inbox's flags. */
enum http_order { HTTP_ORDER_SHED, HTTP_ORDER_STOP, HTTP_ORDER_ABORT };

/* Raise one of the inbox's flags and wake the loop; any thread. */
void http_loop_order(struct http_loop *l, enum http_order order);

/*
 * A block of at least `cap` bytes with one reference, from the loop's spare
 * ones when there is one.  The loop's thread.
 */
struct http_block *http_block_new(struct http_loop *l, size_t cap);

/*
 * Let go of it; the last one keeps it for reuse or frees it.  The loop's
 * thread, so the count needs no atomics.
 */
void http_block_unref(struct http_loop *l, struct http_block *b);

/*
 * An empty exchange, counted as lent out until http_exchange_free().  The
 * loop's thread.
 */
struct http_exchange *http_exchange_new(struct http_loop *l);

/*
 * Take it back with its block and its arena; keeps it for reuse unless it grew
 * large.  The loop's thread.
 */
void http_exchange_free(struct http_exchange *x);

/* ---- http_server.c ---- */

/* `l` stops: loop 0 closes the listening socket and then tells the others, so
 * that no socket is given to a loop that has ended. */
void http_server_drain(struct http_loop *l);

/* ---- http_conn.c ---- */

/* Take over a connected socket. */
void http_conn_open(struct http_loop *l, int fd, const char *peer);
/* Send what can be sent, and see what the connection waits for next. */
void http_conn_go_on(struct http_conn *c);

/*
 * Begin to close; again is no error.  Freed once libuv has let go, and answers
 * a write refers to only after that write.
 */
void http_conn_close(struct http_conn *c);
/* The time of its state is over. */
void http_conn_timeout(struct http_conn *c);
/* Close the connection that waited longest for its client; false if none. */
bool http_conn_shed(struct http_loop *l);
/* A whole request is in c->building. */
void http_conn_dispatch(struct http_conn *c);
/* Answer what was being read with `status` and read no further. */
void http_conn_refuse(struct http_conn *c, int status);

/* ---- http_parse.c ---- */

/* Make the connection's parser ready for its first request. */
void http_parse_init(struct http_conn *c);
/* Turn in->data[at..n) into requests until it is used up or the connection
 * has as many pending as it may. */
void http_parse(struct http_conn *c);
/* Where the next bytes go: at least one byte of room. */
struct bytes http_parse_room(struct http_conn *c);
/* After a read: keep the unfinished rest apart from the shared block. */
void http_parse_keep_rest(struct http_conn *c);

/* Requests of one connection that may wait for their answers. */
enum { HTTP_PIPELINE_MAX = 64 };

/* ---- http_reply.c ---- */

/* Make x->out from x->res; on the thread that answers. */
void http_reply_format(struct http_exchange *x);

#endif
