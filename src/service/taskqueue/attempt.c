/* attempt - the head of a task's request, line by line. */
#include "service/taskqueue/attempt.h"

#include "base/clock.h"

#include <inttypes.h>
#include <strings.h>

/* ---- what the app's headers may not say ---- */

/*
 * The server's own affairs (RFC 9110's hop-by-hop fields and the framing), what
 * is set below, and what says who is asking.
 */
static const char *const dropped[] = {
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-appengine-api-ticket",
    "x-appengine-auth-domain",
    "x-appengine-country",
    "x-appengine-cron",
    "x-appengine-default-version-hostname",
    "x-appengine-development-payload",
    "x-appengine-dev-request-id",
    "x-appengine-https",
    "x-appengine-queuename",
    "x-appengine-remote-addr",
    "x-appengine-request-log-id",
    "x-appengine-tasketa",
    "x-appengine-taskexecutioncount",
    "x-appengine-taskname",
    "x-appengine-taskpreviousresponse",
    "x-appengine-taskretrycount",
    "x-appengine-taskretryreason",
    "x-appengine-timeout-ms",
    "x-cloud-trace-context",
    "x-forwarded-for",
    "x-forwarded-proto",
};

static const char *const dropped_prefixes[] = {
    "x-appengine-user-",
    "x-appscale-",
    "x-google-",
};

static bool is_dropped(struct bytes name)
{
    for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++) {
        if (bytes_ieq(name, bytes_str(dropped[i])))
            return true;
    }
    for (size_t i = 0;
         i < sizeof(dropped_prefixes) / sizeof(dropped_prefixes[0]); i++) {
        struct bytes prefix = bytes_str(dropped_prefixes[i]);

        if (name.n >= prefix.n && bytes_ieq(BYTES(name.p, prefix.n), prefix))
            return true;
    }
    /* nginx drops these; a server may take X_Y for X-Y. */
    return memchr(name.p, '_', name.n) != NULL;
}

static bool find_header(const struct attempt *a, const char *name,
                        struct bytes *out)
{
    struct bytes key, value;
    size_t at = 0;

    while (task_request_header(a->request->bytes, &at, &key, &value)) {
        if (!bytes_ieq(key, bytes_str(name)))
            continue;
        *out = value;
        return true;
    }
    return false;
}

/* ---- the lines ---- */

static void add(struct buf *out, const char *name, struct bytes value)
{
    buf_add_str(out, name);
    buf_add(out, BYTES_LIT(": "));
    buf_add(out, value);
    buf_add(out, BYTES_LIT("\r\n"));
}

static void add_number(struct buf *out, const char *name, int64_t v)
{
    buf_printf(out, "%s: %" PRId64 "\r\n", name, v);
}

struct bytes attempt_host(struct arena *arena, const struct attempt *a)
{
    struct bytes host;

    if (a->target.n)
        return bytes_str(arena_printf(arena, "%.*s.%s", BYTES_FMT(a->target),
                                      a->default_host));
    if (find_header(a, "host", &host) && host.n)
        return host;
    return bytes_str(a->default_host);
}

static void add_request_line(struct buf *out, const struct attempt *a)
{
    const char *method = task_method_name(a->request->method);

    buf_add_str(out, method ? method : "POST");
    buf_add_u8(out, ' ');
    if (a->request->url.n)
        buf_add(out, a->request->url);
    else
        buf_printf(out, "/_ah/queue/%.*s", BYTES_FMT(a->queue));
    buf_add(out, BYTES_LIT(" HTTP/1.1\r\n"));
}

static void add_own_headers(struct buf *out, const struct attempt *a)
{
    struct bytes key, value;
    size_t at = 0;

    while (task_request_header(a->request->bytes, &at, &key, &value)) {
        if (is_dropped(key))
            continue;
        buf_add(out, key);
        buf_add(out, BYTES_LIT(": "));
        buf_add(out, value);
        buf_add(out, BYTES_LIT("\r\n"));
    }
}

static void add_user_agent(struct buf *out, const struct attempt *a)
{
    static const char google[] =
        "AppEngine-Google; (+http://code.google.com/appengine)";
    struct bytes own;

    if (find_header(a, "user-agent", &own) && own.n)
        buf_printf(out, "User-Agent: %.*s %s\r\n", BYTES_FMT(own), google);
    else
        buf_printf(out, "User-Agent: %s\r\n", google);
}

static void add_task_headers(struct buf *out, const struct attempt *a)
{
    const struct task *t = a->task;

    add(out, "X-AppEngine-QueueName", a->queue);
    add(out, "X-AppEngine-TaskName", t->name);
    add_number(out, "X-AppEngine-TaskRetryCount",
               (int64_t)t->retries + t->cuts);
    add_number(out, "X-AppEngine-TaskExecutionCount", t->executions);
    buf_printf(out, "X-AppEngine-TaskETA: %" PRId64 ".%06d\r\n",
               t->eta / CLOCK_SEC, (int)(t->eta % CLOCK_SEC));
    if (t->retries && t->status)
        add_number(out, "X-AppEngine-TaskPreviousResponse", t->status);
    if (t->retries && a->reason)
        add(out, "X-AppEngine-TaskRetryReason", bytes_str(a->reason));
    if (bytes_eq_str(a->queue, "__cron"))
        add(out, "X-Appengine-Cron", BYTES_LIT("true"));
}

/* Who asks, as Google's own deliveries say it. */
static void add_origin(struct buf *out, const struct attempt *a)
{
    buf_add_str(out, "X-Forwarded-For: 0.1.0.2, 169.254.1.1\r\n"
                     "X-Forwarded-Proto: http\r\n"
                     "X-Appengine-User-Ip: 0.1.0.2\r\n"
                     "X-Appengine-Https: off\r\n"
                     "X-Appengine-Country: ZZ\r\n"
                     "X-Appengine-Auth-Domain: gmail.com\r\n");
    add_number(out, "X-Appengine-Timeout-Ms", a->deadline / CLOCK_MS);
    buf_printf(out, "X-Cloud-Trace-Context: %s/1;o=1\r\n", a->id);
    if (!a->direct) {
        add(out, "X-Appscale-App", a->app);
        buf_printf(out, "X-Appscale-Request: %s\r\n", a->id);
        return;
    }
    buf_printf(out,
               "X-Appengine-Api-Ticket: task.%s\r\n"
               "X-Appengine-Request-Log-Id: %s\r\n"
               "X-Appengine-Default-Version-Hostname: %s\r\n",
               a->id, a->id, a->default_host);
}

static void add_body(struct buf *out, const struct attempt *a)
{
    enum { POST = 2, PUT = 4 };
    bool may = a->request->method == POST || a->request->method == PUT;
    struct bytes body = may ? a->request->body : BYTES_NONE, type;

    if (may)
        add_number(out, "Content-Length", (int64_t)body.n);
    if (body.n && !find_header(a, "content-type", &type))
        add(out, "Content-Type", BYTES_LIT("application/octet-stream"));
    buf_add(out, BYTES_LIT("\r\n"));
    buf_add(out, body);
}

void attempt_write(struct buf *out, const struct attempt *a)
{
    struct arena arena = ARENA_INIT;

    buf_reserve(out, 1024 + a->request->bytes.n);
    add_request_line(out, a);
    add(out, "Host", attempt_host(&arena, a));
    add_own_headers(out, a);
    add_user_agent(out, a);
    add_task_headers(out, a);
    add_origin(out, a);
    add_body(out, a);
    arena_release(&arena);
}
