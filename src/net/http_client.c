/*
 * libcurl says which sockets it waits for and how long; libuv waits.  One easy
 * handle serves one call; the multi handle keeps the connections.
 */
#include "net/http_client.h"

#include "base/log.h"

#include <curl/curl.h>
#include <stdlib.h>

enum { RESPONSE_MAX = 1024 * 1024, TIMEOUT_MS = 60 * 1000, IDLE_CONNS = 8 };

struct http_client {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    struct http_client_call *calls; /* running */
    struct watch *watches;          /* sockets libcurl waits for */
    bool closing;
};

/* A socket of libcurl's, as libuv watches it. */
struct watch {
    uv_poll_t poll;
    struct http_client *client;
    curl_socket_t fd;
    struct watch *prev, *next;
};

struct http_client_call {
    struct http_client *client;
    struct http_client_call *prev, *next;
    CURL *easy;
    struct curl_slist *fields;
    http_client_fn *fn;
    void *arg;
    struct arena arena; /* the answer's fields */
    struct http_header *headers;
    size_t n_headers, cap_headers;
    struct buf body;
    size_t response_max;
    bool too_large;
    char error[CURL_ERROR_SIZE];
};

/* ---- ending a call ---- */

static void call_unlink(struct http_client_call *call)
{
    *(call->prev ? &call->prev->next : &call->client->calls) = call->next;
    if (call->next)
        call->next->prev = call->prev;
}

static void call_free(struct http_client_call *call)
{
    curl_multi_remove_handle(call->client->multi, call->easy);
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->fields);
    buf_release(&call->body);
    arena_release(&call->arena);
    free(call);
}

static void finish(struct http_client_call *call,
                   const struct http_client_response *res)
{
    call_unlink(call);
    call->fn(res, call->arg);
    call_free(call);
}

static int err_of(const struct http_client_call *call, CURLcode rc)
{
    if (call->too_large)
        return ERR_TOO_LARGE;
    switch (rc) {
    case CURLE_OK:
        return 0;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_DEADLINE;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return ERR_INVALID;
    default:
        return ERR_UNAVAILABLE;
    }
}

static void on_done(struct http_client_call *call, CURLcode rc)
{
    struct http_client_response res = {.err = err_of(call, rc)};
    long status = 0;

    if (res.err == ERR_TOO_LARGE) {
        res.message = "the answer is longer than this client takes";
    } else if (res.err < 0) {
        res.message = call->error[0] ? call->error : curl_easy_strerror(rc);
    } else {
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
        res.status = (int)status;
        res.headers = call->headers;
        res.n_headers = call->n_headers;
        res.body = buf_view(&call->body);
    }
    finish(call, &res);
}

static void reap(struct http_client *c)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(c->multi, &left)) != NULL) {
        struct http_client_call *call;

        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &call);
        on_done(call, m->data.result);
    }
}

/* ---- libcurl's sockets and timer ---- */

static void on_ready(uv_poll_t *p, int status, int events)
{
    struct watch *w = p->data;
    struct http_client *c = w->client;
    int mask = 0, running;

    if (status < 0)
        mask = CURL_CSELECT_ERR;
    if (events & UV_READABLE)
        mask |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        mask |= CURL_CSELECT_OUT;
    curl_multi_socket_action(c->multi, w->fd, mask, &running);
    reap(c);
}

static void on_watch_closed(uv_handle_t *h)
{
    free(h->data);
}

static struct watch *watch_new(struct http_client *c, curl_socket_t fd)
{
    struct watch *w = calloc(1, sizeof(*w));

    if (!w)
        die("out of memory watching a socket");
    w->client = c;
    w->fd = fd;
    w->next = c->watches;
    if (w->next)
        w->next->prev = w;
    c->watches = w;
    uv_poll_init(c->loop, &w->poll, fd);
    w->poll.data = w;
    return w;
}

static void watch_free(struct watch *w)
{
    *(w->prev ? &w->prev->next : &w->client->watches) = w->next;
    if (w->next)
        w->next->prev = w->prev;
    uv_close((uv_handle_t *)&w->poll, on_watch_closed);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
                     void *socket_arg)
{
    struct http_client *c = arg;
    struct watch *w = socket_arg;
    int events = 0;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w)
            watch_free(w);
        curl_multi_assign(c->multi, fd, NULL);
        return 0;
    }
    if (!w) {
        w = watch_new(c, fd);
        curl_multi_assign(c->multi, fd, w);
    }
    if (what != CURL_POLL_OUT)
        events |= UV_READABLE;
    if (what != CURL_POLL_IN)
        events |= UV_WRITABLE;
    uv_poll_start(&w->poll, events, on_ready);
    return 0;
}

static void on_timer(uv_timer_t *t)
{
    struct http_client *c = t->data;
    int running;

    curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    reap(c);
}

static int on_timeout_wish(CURLM *multi, long ms, void *arg)
{
    struct http_client *c = arg;

    (void)multi;
    if (ms < 0)
        uv_timer_stop(&c->timer);
    else if (!c->closing)
        uv_timer_start(&c->timer, on_timer, (uint64_t)ms, 0);
    return 0;
}

/* ---- what arrives ---- */

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct http_client_call *call = arg;

    n *= size;
    if (call->body.n + n > call->response_max) {
        call->too_large = true;
        return 0;
    }
    buf_add(&call->body, BYTES(p, n));
    return n;
}

static struct bytes trimmed(const char *p, size_t n)
{
    while (n && (p[n - 1] == '\r' || p[n - 1] == '\n' || p[n - 1] == ' '))
        n--;
    while (n && *p == ' ') {
        p++;
        n--;
    }
    return BYTES(p, n);
}

static void add_header(struct http_client_call *call, struct bytes name,
                       struct bytes value)
{
    if (call->n_headers == call->cap_headers) {
        size_t had = call->cap_headers, cap = had ? had * 2 : 16;

        call->headers = arena_grow(&call->arena, call->headers,
                                   had * sizeof(*call->headers),
                                   cap * sizeof(*call->headers));
        call->cap_headers = cap;
    }
    call->headers[call->n_headers++] = (struct http_header){
        arena_dup(&call->arena, name), arena_dup(&call->arena, value)};
}

/* One line of the head.  Those of an earlier answer (100 Continue) go. */
static size_t on_head_line(char *p, size_t size, size_t n, void *arg)
{
    struct http_client_call *call = arg;
    const char *colon;

    n *= size;
    if (n >= 5 && memcmp(p, "HTTP/", 5) == 0) {
        call->n_headers = 0;
        return n;
    }
    colon = memchr(p, ':', n);
    if (colon)
        add_header(call, BYTES(p, (size_t)(colon - p)),
                   trimmed(colon + 1, n - (size_t)(colon + 1 - p)));
    return n;
}

/* ---- sending ---- */

static void add_field(struct http_client_call *call, const char *line)
{
    struct curl_slist *l = curl_slist_append(call->fields, line);

    if (!l)
        die("out of memory for a request");
    call->fields = l;
}

static void set_fields(struct http_client_call *call,
                       const struct http_client_request *req)
{
    /* libcurl would wait a second for a word that our servers give at once. */
    add_field(call, "Expect:");
    for (size_t i = 0; i < req->n_headers; i++) {
        const struct http_header *h = &req->headers[i];

        /* "Name;" is how libcurl spells an empty value. */
        add_field(call,
                  arena_printf(&call->arena, "%.*s%s%.*s", BYTES_FMT(h->name),
                               h->value.n ? ": " : ";", BYTES_FMT(h->value)));
    }
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->fields);
}

static void set_method(CURL *easy, const struct http_client_request *req)
{
    bool posts = req->method && (strcmp(req->method, "POST") == 0 ||
                                 strcmp(req->method, "PUT") == 0);

    if (req->method && strcmp(req->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    /* The length first: libcurl copies as many bytes. */
    if (req->body.p || posts) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)req->body.n);
        curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS,
                         req->body.n ? req->body.p : "");
    }
    if (req->method)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, req->method);
}

static void set_limits(struct http_client_call *call,
                       const struct http_client_request *req)
{
    CURL *easy = call->easy;
    long ms = req->timeout ? (long)(req->timeout / CLOCK_MS) : TIMEOUT_MS;

    call->response_max = req->response_max ? req->response_max : RESPONSE_MAX;
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, ms > 0 ? ms : 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* What we talk to is the platform's own; a proxy has no part in it. */
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    if (req->unix_path)
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, req->unix_path);
    if (req->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, req->ca_file);
    if (req->insecure) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

static void set_callbacks(struct http_client_call *call)
{
    CURL *easy = call->easy;

    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head_line);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
}

struct http_client_call *http_client_send(struct http_client *c,
                                          const struct http_client_request *req,
                                          http_client_fn *fn, void *arg)
{
    struct http_client_call *call = calloc(1, sizeof(*call));

    if (!call)
        die("out of memory for a request");
    call->client = c;
    call->fn = fn;
    call->arg = arg;
    call->easy = curl_easy_init();
    if (!call->easy)
        die("out of memory for a request");
    curl_easy_setopt(call->easy, CURLOPT_URL, req->url);
    set_method(call->easy, req);
    set_fields(call, req);
    set_limits(call, req);
    set_callbacks(call);
    call->next = c->calls;
    if (call->next)
        call->next->prev = call;
    c->calls = call;
    /* Starts with a timeout of 0, so that no callback runs in here. */
    curl_multi_add_handle(c->multi, call->easy);
    return call;
}

void http_client_cancel(struct http_client_call *call)
{
    finish(call, &(struct http_client_response){.err = ERR_CANCELLED,
                                                .message = "given up"});
}

struct bytes http_client_header(const struct http_client_response *res,
                                const char *name)
{
    for (size_t i = 0; i < res->n_headers; i++) {
        if (bytes_ieq(res->headers[i].name, bytes_str(name)))
            return res->headers[i].value;
    }
    return BYTES_NONE;
}

struct http_client *http_client_new(uv_loop_t *loop)
{
    struct http_client *c = calloc(1, sizeof(*c));

    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (!c)
        die("out of memory for an HTTP client");
    c->loop = loop;
    c->multi = curl_multi_init();
    if (!c->multi)
        die("out of memory for an HTTP client");
    uv_timer_init(loop, &c->timer);
    c->timer.data = c;
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timeout_wish);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNS);
    return c;
}

static void on_timer_closed(uv_handle_t *h)
{
    free(h->data);
}

void http_client_free(struct http_client *c)
{
    while (c->calls)
        http_client_cancel(c->calls);
    c->closing = true;
    curl_multi_cleanup(c->multi);
    /* What libcurl did not take back itself. */
    while (c->watches)
        watch_free(c->watches);
    uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}
