/*
 * Everything that is not an API call: the server's own pages and those that
 * services bring as tables of routes.  Pages may wait, so they run on workers;
 * /healthz alone is answered on the loop, since it has to say "here" while
 * every worker is busy.
 */
#include "rpc/rpc_int.h"

#include "base/log.h"

#include <stdio.h>

static const int64_t page_deadline = 60 * CLOCK_SEC;

struct page_job {
    struct rpc_job job;
    struct rpc *rpc;
    struct http_exchange *x;
    const struct http_route *route; /* NULL: /metrics */
};

static bool path_fits(const struct http_route *r, struct bytes path)
{
    size_t n = strlen(r->path);

    if (n && r->path[n - 1] == '*')
        return bytes_starts(path, BYTES(r->path, n - 1));
    return bytes_eq_str(path, r->path);
}

static bool method_fits(const struct http_route *r, struct bytes method)
{
    if (strcmp(r->method, "*") == 0 || bytes_eq_str(method, r->method))
        return true;
    return bytes_eq_str(method, "HEAD") && strcmp(r->method, "GET") == 0;
}

/* The first route that fits; *wrong_method when only its path does. */
static const struct http_route *find(const struct http_request *req,
                                     bool *wrong_method)
{
    for (const struct http_route *const *t = rpc_routes; *t; t++) {
        for (const struct http_route *r = *t; r->path; r++) {
            if (!path_fits(r, req->path))
                continue;
            if (method_fits(r, req->method))
                return r;
            *wrong_method = true;
        }
    }
    return NULL;
}

/* The route is logged, not the path: that may hold a secret. */
static void answer_failure(struct page_job *p, const struct ctx *ctx, int rc)
{
    struct http_exchange *x = p->x;

    x->res = (struct http_response){0};
    if (rc == ERR_INTERNAL || rc == ERR_IO || rc == ERR_CORRUPT)
        log_error(ctx, "http.page", "path", p->route->path, "reason",
                  ctx_err_text(ctx, rc));
    http_text(&x->arena, &x->res, err_http_status(rc),
              "text/plain; charset=utf-8", bytes_str(ctx_err_text(ctx, rc)));
}

static void run_page(struct rpc_job *job)
{
    struct page_job *p = (struct page_job *)job;
    struct http_exchange *x = p->x;
    struct ctx ctx;
    int rc;

    ctx_init(&ctx, &x->arena);
    ctx.env = p->rpc->o.env;
    ctx.peer = x->req.peer;
    ctx.deadline = x->started + page_deadline;
    rc = p->route->page(&ctx, &x->req, &x->res);
    if (rc < 0)
        answer_failure(p, &ctx, rc);
    http_reply(x);
}

/* ---- /metrics ---- */

static void write_methods(struct rpc *rpc, struct buf *out)
{
    static const char name[] = "rpc_seconds";
    char labels[160];

    metrics_write_type(out, name, "histogram",
                       "API calls, from the whole request to the answer.");
    for (size_t i = 0; i < rpc->table.n; i++) {
        struct rpc_entry *e = &rpc->table.entries[i];

        if (metric_count(&e->latency) == 0)
            continue;
        snprintf(labels, sizeof(labels), "service=\"%s\",method=\"%s\"",
                 e->service->name, e->method->method);
        metrics_write_histogram(out, name, labels, &e->latency);
    }
    metrics_write_type(out, "rpc_errors_total", "counter",
                       "API calls answered with an error.");
    for (size_t i = 0; i < rpc->table.n; i++) {
        struct rpc_entry *e = &rpc->table.entries[i];
        uint64_t n = __atomic_load_n(&e->errors, __ATOMIC_RELAXED);

        if (n)
            buf_printf(out,
                       "appscale_rpc_errors_total{service=\"%s\","
                       "method=\"%s\"} %lu\n",
                       e->service->name, e->method->method, (unsigned long)n);
    }
}

static void gather_pool(struct rpc *rpc)
{
    struct rpc_pool_stats s = rpc_pool_stats(rpc->pool);

    metric_set(METRIC_POOL_QUEUED, s.queued);
    metric_set(METRIC_POOL_RUNNING, s.running);
}

static void run_metrics(struct rpc_job *job)
{
    struct page_job *p = (struct page_job *)job;
    struct rpc *rpc = p->rpc;
    struct buf out = BUF_IN(&p->x->arena);
    struct ctx ctx;

    ctx_init(&ctx, &p->x->arena);
    ctx.env = rpc->o.env;
    gather_pool(rpc);
    if (rpc->o.gather)
        rpc->o.gather(&ctx, &out, rpc->o.gather_arg);
    metrics_write(&out);
    write_methods(rpc, &out);
    http_text(&p->x->arena, &p->x->res, 200, "text/plain; version=0.0.4",
              buf_view(&out));
    http_reply(p->x);
}

/* ---- finding ---- */

static void answer_text(struct http_exchange *x, int status, const char *text)
{
    http_text(&x->arena, &x->res, status, "text/plain; charset=utf-8",
              bytes_str(text));
    http_reply(x);
}

static void submit(struct rpc *rpc, struct http_exchange *x,
                   void (*run)(struct rpc_job *),
                   const struct http_route *route)
{
    struct page_job *p = ARENA_NEW(&x->arena, struct page_job);

    p->job.run = run;
    p->rpc = rpc;
    p->x = x;
    p->route = route;
    if (!rpc_pool_submit(rpc->pool, &p->job))
        answer_text(x, 503, "every worker is busy; try again later\n");
}

void rpc_page(struct rpc *rpc, struct http_exchange *x)
{
    struct bytes path = x->req.path;
    bool wrong_method = false;
    const struct http_route *route;

    if (bytes_eq(path, BYTES_LIT("/healthz"))) {
        answer_text(x, 200, "ok\n");
        return;
    }
    if (bytes_eq(path, BYTES_LIT("/metrics"))) {
        submit(rpc, x, run_metrics, NULL);
        return;
    }
    route = find(&x->req, &wrong_method);
    if (route)
        submit(rpc, x, run_page, route);
    else if (wrong_method || bytes_eq(path, BYTES_LIT("/rpc_http")))
        answer_text(x, 405, "this address takes another method\n");
    else
        answer_text(x, 404, "nothing is here\n");
}
