/*
 * routing - make haproxy, then nginx, follow the model.
 *
 * haproxy goes first: nginx must never name a backend that is not there.  What
 * leaves the model leaves nginx first because a version that goes is marked
 * draining (nginx forgets it) before it is removed (haproxy forgets it).
 *
 * A round, as a list:
 *
 *     write  -> check -> replace -> reload -> confirm -> servers  haproxy
 *     write  -> check -> replace -> reload -> confirm      nginx
 *
 * A program whose file has not changed is left alone.
 */
#include "control/routing.h"

#include "base/files.h"
#include "base/log.h"
#include "control/certs.h"
#include "control/haproxy_ask.h"
#include "control/job.h"
#include "control/proc.h"
#include "control/servers.h"

#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CHECK_LIMIT = 20 * 1000 * 1000,
    CONFIRM_LIMIT = 20 * 1000 * 1000,
    CONFIRM_AGAIN_MS = 10,
    CONF_MAX = 16 * 1024 * 1024,
};

struct waiter {
    routing_fn *fn;
    void *arg;
    struct waiter *next;
};

/* haproxy and nginx. */
enum { N_SIDES = 2 };

/* One of the two programs. */
struct side {
    const char *name; /* also of the process */
    const char *file; /* below the root */
    void (*generate)(const struct control *ctl, struct buf *out);
    int reload_signal;
    const char *check[4];   /* in front of the file's name */
    const char *generation; /* it stands behind this in the file */
    void (*confirm)(struct routing *r);
    int (*prepare)(struct ctx *ctx, const struct control *ctl); /* or NULL */
};

struct routing {
    struct control *ctl;
    const struct side *side;   /* the one at work; NULL between rounds */
    struct buf texts[N_SIDES]; /* of this round, drawn in one moment */
    char generation[ROUTING_GENERATION + 1];
    int64_t give_up; /* clock_mono() */
    uv_timer_t timer;
    struct waiter *now, *later;
};

static void round_end(struct routing *r, struct ctx *ctx, int rc);
static void round_fail(struct routing *r, int code, const char *what,
                       const char *why);
static void side_begin(struct routing *r, const struct side *side);
static void haproxy_confirm(struct routing *r);
static void nginx_confirm(struct routing *r);

static const struct side sides[] = {
    {
        .name = "haproxy",
        .file = "run/haproxy.cfg",
        .generate = haproxy_conf,
        .reload_signal = SIGUSR2, /* the master starts a new worker */
        .check = {"-c", "-q", "-f"},
        .generation = "    description ",
        .confirm = haproxy_confirm,
    },
    {
        .name = "nginx",
        .file = "run/nginx.conf",
        .generate = nginx_conf,
        .reload_signal = SIGHUP,
        .check = {"-t", "-q", "-c"},
        .generation = "location = /generation {\n            return 200 \"",
        .confirm = nginx_confirm,
        .prepare = certs_files,
    },
    {.name = NULL},
};

const char *routing_backend(struct arena *a, const struct version *v)
{
    if (v->backend)
        return v->backend;
    return arena_printf(a, "%s:%s:%s:%s", v->service->app->id, v->service->id,
                        v->id, v->deployment);
}

const struct error_page *routing_error_page(const struct version *v,
                                            enum error_kind kind)
{
    const struct error_page *own = &v->error_pages[kind];
    const struct error_page *other = &v->error_pages[ERROR_PAGE_DEFAULT];

    return own->path ? own : other->path ? other : NULL;
}

const char *routing_error_path(struct arena *a, const struct version *v,
                               const char *name)
{
    return arena_printf(a, "/.%s/%s/%s:%s", v->service->app->id, v->service->id,
                        v->id, name);
}

int64_t routing_seconds(const struct control *ctl, const struct version *v)
{
    return v->scaling.kind == SCALING_AUTOMATIC ? ctl->settings.request_seconds
                                                : ROUTING_LONG_SECONDS;
}

const char *routing_url(const struct control *ctl, struct arena *a,
                        const struct app *app)
{
    const char *port =
        ctl->settings.http_port == 80
            ? ""
            : arena_printf(a, ":%d", (int)ctl->settings.http_port);

    return arena_printf(a, "http://%s.%s%s", app->id, ctl->settings.domain,
                        port);
}

const struct version *routing_sole(const struct control *ctl)
{
    const struct app *a = ctl->model.apps;
    const struct service *s = a ? model_service(a, "default") : NULL;

    if (!a || a->next)
        return NULL;
    if (!s)
        s = a->services;
    return s ? model_serving(s) : NULL;
}

const char *routing_local_url(const struct control *ctl, struct arena *a,
                              const struct app *app)
{
    static const char *const reached[] = {"0.0.0.0", "127.0.0.1"};
    const struct version *v = routing_sole(ctl);
    const char *address = ctl->settings.http_address;

    if (!v || v->service->app != app ||
        (strcmp(address, reached[0]) != 0 && strcmp(address, reached[1]) != 0))
        return NULL;
    return arena_printf(a, "http://localhost:%d", (int)ctl->settings.http_port);
}

void routing_generation(const struct buf *text,
                        char out[ROUTING_GENERATION + 1])
{
    unsigned char sum[ROUTING_GENERATION / 2];

    crypto_generichash(sum, sizeof(sum), text->p, text->n, NULL, 0);
    sodium_bin2hex(out, ROUTING_GENERATION + 1, sum, sizeof(sum));
}

static struct process *side_process(const struct routing *r)
{
    return r->side == &sides[0] ? r->ctl->haproxy : r->ctl->nginx;
}

/* ---- the end of a round ---- */

static void waiters_tell(struct routing *r, struct ctx *ctx, int rc)
{
    struct waiter *w = r->now;

    r->now = NULL;
    while (w) {
        struct waiter *next = w->next;

        w->fn(ctx, rc, w->arg);
        free(w);
        w = next;
    }
}

/* On the way down the two programs are no longer ours to start or reload. */
static void round_refuse(struct routing *r)
{
    round_fail(r, ERR_CANCELLED, "the routes stay as they are",
               "the platform is being stopped");
}

static void refuse_due(uv_timer_t *t)
{
    struct routing *r = t->data;

    r->now = r->later;
    r->later = NULL;
    round_refuse(r);
}

/*
 * Both files are of one moment: the model may change before nginx's turn, and
 * nginx must not name what this round's haproxy does not have.
 */
static int draw(struct ctx *ctx, struct routing *r)
{
    const struct model *m = &r->ctl->model;
    int rc = 0;

    for (int i = 0; rc == 0 && i < N_SIDES; i++) {
        if (sides[i].prepare)
            rc = sides[i].prepare(ctx, r->ctl);
        buf_clear(&r->texts[i]);
        if (rc == 0)
            sides[i].generate(r->ctl, &r->texts[i]);
    }
    for (struct version *v = model_next(m, NULL); rc == 0 && v;
         v = model_next(m, v))
        v->drawn = true;
    return rc;
}

static void round_begin(struct routing *r)
{
    struct arena a = ARENA_INIT;
    struct ctx ctx;
    int rc;

    if (r->side || !r->later)
        return;
    if (r->ctl->stopping) {
        uv_timer_start(&r->timer, refuse_due, 0, 0);
        return;
    }
    r->now = r->later;
    r->later = NULL;
    ctx_init(&ctx, &a);
    r->side = &sides[0];
    rc = draw(&ctx, r);
    if (rc)
        round_end(r, &ctx, rc);
    else
        side_begin(r, &sides[0]);
    arena_release(&a);
}

static void round_end(struct routing *r, struct ctx *ctx, int rc)
{
    r->side = NULL;
    if (rc && !r->ctl->stopping)
        log_error(ctx, "routing.failed", "why", ctx_err_text(ctx, rc));
    waiters_tell(r, ctx, rc);
    round_begin(r);
}

static void round_fail(struct routing *r, int code, const char *what,
                       const char *why)
{
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &a);
    ctx_err(&ctx, code, "%s: %s", what, why);
    round_end(r, &ctx, code);
    arena_release(&a);
}

static void side_done(struct routing *r)
{
    const struct side *next = r->side + 1;
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    if (next->name) {
        side_begin(r, next);
        return;
    }
    ctx_init(&ctx, &a);
    round_end(r, &ctx, 0);
    arena_release(&a);
}

/*
 * haproxy has the backends; its servers come next, those of this moment.
 * That they cannot be set is not the end of the round: servers.c goes on.
 */
static void on_followed(struct ctx *ctx, int rc, void *arg)
{
    struct routing *r = arg;

    (void)ctx;
    (void)rc;
    if (r->ctl->stopping)
        round_refuse(r);
    else
        side_done(r);
}

static void side_confirmed(struct routing *r)
{
    const struct model *m = &r->ctl->model;

    if (r->side != &sides[0]) {
        side_done(r);
        return;
    }
    for (struct version *v = model_next(m, NULL); v; v = model_next(m, v))
        v->routed = v->drawn;
    servers_follow(r->ctl, on_followed, r);
}

/* ---- confirm: does the running program answer with the new file? ---- */

static void confirm_due(uv_timer_t *t)
{
    struct routing *r = t->data;

    if (r->ctl->stopping)
        round_refuse(r);
    else
        r->side->confirm(r);
}

static void confirmed(struct routing *r, struct bytes generation)
{
    if (r->ctl->stopping) {
        round_refuse(r);
    } else if (bytes_eq_str(generation, r->generation)) {
        side_confirmed(r);
    } else if (clock_mono() > r->give_up) {
        round_fail(r, ERR_UNAVAILABLE, r->side->name,
                   "does not answer with its new configuration; its log may "
                   "tell why");
    } else {
        uv_timer_start(&r->timer, confirm_due, CONFIRM_AGAIN_MS, 0);
    }
}

static void on_info(struct bytes answer, void *arg)
{
    confirmed(arg, haproxy_info(answer, "description"));
}

static void haproxy_confirm(struct routing *r)
{
    struct arena a = ARENA_INIT;

    haproxy_ask(&r->ctl->loop,
                control_path(r->ctl, &a, "run/haproxy.admin.sock"), "show info",
                on_info, r);
    arena_release(&a);
}

/*
 * The new worker answers while the old one still accepts for some 100 ms; it
 * changes its title when it stops.
 */
static void on_generation(const struct http_client_response *res, void *arg)
{
    struct routing *r = arg;
    pid_t master = r->ctl->nginx->child.pid;
    bool alone = proc_session_titled(master, "nginx: worker process") == 1;

    confirmed(r, res->status == 200 && alone ? res->body : BYTES_NONE);
}

static void nginx_confirm(struct routing *r)
{
    static const struct http_header close[] = {
        {BYTES_LIT("Connection"), BYTES_LIT("close")},
    };
    struct arena a = ARENA_INIT;
    struct http_client_request req = {
        .url = "http://nginx/generation",
        .unix_path = control_path(r->ctl, &a, "run/nginx.sock"),
        .headers = close, /* the next question may be for a new worker */
        .n_headers = 1,
        .timeout = CLOCK_SEC,
    };

    http_client_send(r->ctl->http, &req, on_generation, r);
    arena_release(&a);
}

/* ---- write, check, replace, reload ---- */

static void side_load(struct routing *r, bool changed)
{
    struct process *p = side_process(r);

    r->give_up = clock_mono() + CONFIRM_LIMIT;
    if (p->state == PROCESS_STOPPED)
        process_start(p);
    else if (changed)
        child_signal(&p->child, r->side->reload_signal);
    r->side->confirm(r);
}

/* What the program said about its file, and the exit status. */
static void check_failed(struct routing *r, int rc, const char *why)
{
    struct arena a = ARENA_INIT;
    struct bytes said =
        files_tail(&a,
                   control_log_path(
                       r->ctl, &a, arena_printf(&a, "%s.check", r->side->name)),
                   4);

    const char *what =
        arena_printf(&a, "%s refuses its new configuration (the check %s)",
                     r->side->name, why);

    process_refuse(side_process(r),
                   arena_printf(&a, "%s: %.*s", what, BYTES_FMT(said)));
    round_fail(r, rc, what, arena_cstr(&a, said));
    arena_release(&a);
}

static void on_checked(int rc, const char *why, void *arg)
{
    struct routing *r = arg;
    struct arena a = ARENA_INIT;
    const char *file = control_path(r->ctl, &a, r->side->file);
    bool failed = rc != 0;

    if (r->ctl->stopping) {
        arena_release(&a);
        round_refuse(r);
        return;
    }
    if (!failed && rename(arena_printf(&a, "%s.check", file), file) != 0) {
        rc = ERR_IO;
        why = "cannot replace the file";
        failed = true;
    }
    arena_release(&a);
    if (failed)
        check_failed(r, rc, why);
    else
        side_load(r, true);
}

static int check_start(struct ctx *ctx, struct routing *r, const char *file)
{
    const struct side *s = r->side;
    const char *log = control_log_path(
        r->ctl, ctx->arena, arena_printf(ctx->arena, "%s.check", s->name));
    const char *program = proc_find_program(ctx->arena, s->name);
    struct child_spec spec = {.log = log};

    if (!program)
        return ctx_err(ctx, ERR_NOT_FOUND, "the program %s is missing",
                       s->name);
    unlink(log);
    spec.argv =
        WORDS(ctx->arena, program, s->check[0], s->check[1], s->check[2], file);
    spec.env = control_env(r->ctl, ctx->arena, "check", NULL);
    if (s == &sides[0]) {
        int rc = listeners_pass(ctx, r->ctl->haproxy_listen, HAPROXY_LISTENERS,
                                &spec);

        if (rc)
            return rc;
    }
    return job_start(ctx, &r->ctl->loop, &spec, CHECK_LIMIT, on_checked, r,
                     NULL);
}

/* Each generated file says its generation, in its program's own words. */
static void generation_of(struct routing *r, const struct buf *text)
{
    const char *mark = r->side->generation;
    const char *at = memmem(text->p, text->n, mark, strlen(mark));

    if (!at)
        BUG("a generated file has no generation");
    memcpy(r->generation, at + strlen(mark), ROUTING_GENERATION);
    r->generation[ROUTING_GENERATION] = '\0';
}

/* Whether the file is of this generation: what else it says may differ. */
static bool same_generation(const struct routing *r, struct bytes old)
{
    const char *mark = r->side->generation;
    const char *at = old.n ? memmem(old.p, old.n, mark, strlen(mark)) : NULL;

    return at &&
           (size_t)(at - (const char *)old.p) + strlen(mark) +
                   ROUTING_GENERATION <=
               old.n &&
           memcmp(at + strlen(mark), r->generation, ROUTING_GENERATION) == 0;
}

static void side_begin(struct routing *r, const struct side *side)
{
    struct arena a = ARENA_INIT;
    const struct buf *text = &r->texts[side - sides];
    struct bytes old = BYTES_NONE;
    struct ctx ctx;
    const char *file;
    int rc;

    r->side = side;
    ctx_init(&ctx, &a);
    generation_of(r, text);
    file = control_path(r->ctl, &a, side->file);
    rc = files_read(&ctx, file, CONF_MAX, &old);
    if (rc == 0 && same_generation(r, old)) {
        rc = bytes_eq(old, buf_view(text))
                 ? 0
                 : files_replace(&ctx, file, buf_view(text), 0600);
        if (rc == 0)
            side_load(r, false);
        else
            round_end(r, &ctx, rc);
    } else {
        file = arena_printf(&a, "%s.check", file);
        rc = files_replace(&ctx, file, buf_view(text), 0600);
        if (rc == 0)
            rc = check_start(&ctx, r, file);
        if (rc)
            round_end(r, &ctx, rc);
    }
    arena_release(&a);
}

void routing_apply(struct control *ctl, routing_fn *fn, void *arg)
{
    struct routing *r = ctl->routing;
    struct waiter *w = calloc(1, sizeof(*w));
    struct waiter **end = &r->later;

    if (!w)
        abort();
    *w = (struct waiter){.fn = fn, .arg = arg};
    while (*end)
        end = &(*end)->next;
    *end = w;
    round_begin(r);
}

/* ---- the load of a backend ---- */

struct load {
    routing_load_fn *fn;
    void *arg;
    char backend[512];
};

static void on_stat(struct bytes answer, void *arg)
{
    struct load *l = arg;

    l->fn(haproxy_load(answer, l->backend), l->arg);
    free(l);
}

void routing_load(struct control *ctl, const struct version *v,
                  routing_load_fn *fn, void *arg)
{
    struct load *l = calloc(1, sizeof(*l));
    struct arena a = ARENA_INIT;

    if (!l)
        abort();
    l->fn = fn;
    l->arg = arg;
    snprintf(l->backend, sizeof(l->backend), "%s", routing_backend(&a, v));
    haproxy_ask(&ctl->loop, control_path(ctl, &a, "run/haproxy.admin.sock"),
                "show stat", on_stat, l);
    arena_release(&a);
}

void routing_start(struct control *ctl)
{
    struct routing *r = calloc(1, sizeof(*r));

    if (!r)
        abort();
    r->ctl = ctl;
    uv_timer_init(&ctl->loop, &r->timer);
    r->timer.data = r;
    ctl->routing = r;
}
