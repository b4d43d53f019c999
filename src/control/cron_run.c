/*
 * cron_run - one run of a job, from its slot to its end.
 *
 *     claim   the row names the run before anything is sent
 *     send    GET through haproxy, under a name that haproxy knows again
 *     judge   succeeded; failed, to be tried again or not; not known
 *     end     the row says what came of it
 *
 * Each arrow between them is a commit of the row, and each step can be begun
 * again by the next controller.  A delivery that no instance took is not an
 * attempt of the application: it is repeated while the slot is young.
 */
#include "base/errinj.h"
#include "base/log.h"
#include "config/regex.h"
#include "control/cron_int.h"
#include "control/haproxy_ask.h"
#include "control/routing.h"
#include "control/text.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>

enum {
    ASK_AGAIN_MS = 500,      /* what became of a delivery */
    STORE_AGAIN_MS = 1000,   /* a commit that failed */
    BUSY_BACKOFF_MAX = 60,   /* seconds between deliveries nobody took */
    ANSWER_MAX = 33 << 20,   /* Google's limit of an answer is 32 MB */
    GRACE = 5 * 1000 * 1000, /* haproxy ends an attempt first */
};

#define USER_AGENT "AppEngine-Google; (+http://code.google.com/appengine)"
#define ADDRESS    "0.1.0.2" /* the peer of Cloud Scheduler's requests */

/* What an attempt has come to. */
struct verdict {
    enum cron_outcome outcome;
    bool reached;       /* the application has seen it */
    int status;         /* or 0 */
    const char *reason; /* of a failure */
    struct bytes body;
};

static void judge(struct cron_job *job, struct verdict v);
static void deliver(struct cron_job *job);
static void recover(struct cron_job *job);

/* ---- a job's own timer: again, in a moment ---- */

struct pause {
    struct cron_job *job;
    void (*then)(struct cron_job *job);
    uv_timer_t timer;
};

static void pause_closed(uv_handle_t *h)
{
    free(h->data);
}

static void on_pause_over(uv_timer_t *t)
{
    struct pause *p = t->data;
    struct cron_job *job = p->job;

    if (!job->ctl->stopping && job->app && !control_ready(job->ctl)) {
        uv_timer_start(t, on_pause_over, ASK_AGAIN_MS, 0);
        return;
    }
    uv_close((uv_handle_t *)t, pause_closed);
    if (job->ctl->stopping) /* the next controller goes on from the row */
        return;
    if (job->app)
        p->then(job);
    else
        cron_release(job);
}

/* The job stays busy meanwhile. */
static void after_a_pause(struct cron_job *job, int ms,
                          void (*then)(struct cron_job *job))
{
    struct pause *p = calloc(1, sizeof(*p));

    if (!p)
        abort();
    job->busy = true;
    *p = (struct pause){.job = job, .then = then};
    uv_timer_init(&job->ctl->loop, &p->timer);
    p->timer.data = p;
    uv_timer_start(&p->timer, on_pause_over, (uint64_t)ms, 0);
}

/* ---- commits ---- */

/* What follows a commit that was taken. */
struct step {
    struct cron_job *job;
    void (*then)(struct cron_job *job);
    server_done_fn *fn; /* told too, or NULL */
    void *arg;
};

static void step_end(struct step *s, struct ctx *ctx, int rc)
{
    if (s->fn)
        s->fn(ctx, rc, s->arg);
    free(s);
}

/* A row that is not ours any more is left to whoever changed it; a store that
 * cannot write is asked again, from where the row stands. */
static void on_stored(struct ctx *ctx, int rc, void *arg)
{
    struct step *s = arg;
    struct cron_job *job = s->job;

    if (cron_release(job)) {
        step_end(s, ctx, rc);
        return;
    }
    if (rc && !job->ctl->stopping)
        log_error(ctx, "cron.store", "app", job->app->id, "url", job->file->url,
                  "why", ctx_err_text(ctx, rc));
    if (rc == 0)
        s->then(job);
    else if (job->ctl->stopping)
        ;
    else
        after_a_pause(job, STORE_AGAIN_MS, cron_run_go_on);
    step_end(s, ctx, rc);
}

static void store(struct cron_job *job, struct cron_state next,
                  void (*then)(struct cron_job *job), server_done_fn *fn,
                  void *arg)
{
    struct step *s = calloc(1, sizeof(*s));

    if (!s)
        abort();
    *s = (struct step){job, then, fn, arg};
    cron_state_commit(job, next, on_stored, s);
}

/* ---- whom it is for ---- */

static const struct version *serving(const struct service *s)
{
    return s ? model_serving(s) : NULL;
}

/* Without a target dispatch.yaml has its say. */
static const struct version *dispatched(const struct cron_job *job,
                                        const struct app *app)
{
    const char *url = job->file->url;
    struct arena a = ARENA_INIT;
    char *host =
        arena_strdup(&a, routing_url(job->ctl, &a, app) + strlen("http://"));
    const struct version *v;

    host[strcspn(host, ":")] = '\0';
    v = serving(model_dispatched(app, host, BYTES(url, strcspn(url, "?#"))));
    arena_release(&a);
    return v;
}

/* A name alone is a service, else a version of the default service; what is
 * not there at all is answered by the default service, as any other request. */
static const struct version *target(const struct cron_job *job)
{
    const struct cronyaml_job *f = job->file;
    const struct app *app = model_app(&job->ctl->model, job->app->id);
    const struct service *deflt = model_service(app, "default");
    const struct service *s =
        *f->service ? model_service(app, f->service) : deflt;
    const struct version *v = *f->target ? NULL : dispatched(job, app);

    if (v)
        return v;
    if (*f->version)
        v = model_version(s, f->version);
    else if (!s)
        v = model_version(deflt, f->service);
    if (!v)
        v = serving(s);
    return v ? v : serving(deflt);
}

/* The first handler that takes the URL. */
static const struct handler *handler_of(const struct version *v,
                                        const char *url)
{
    struct bytes path = BYTES(url, strcspn(url, "?#"));
    const struct handler *found = NULL;

    for (size_t i = 0; i < v->n_handlers && !found; i++) {
        char why[64];
        struct config_regex *re =
            config_regex_new(v->handlers[i].url, why, sizeof(why));

        if (re && config_regex_match(re, path))
            found = &v->handlers[i];
        config_regex_free(re);
    }
    return found;
}

static const char *host_of(const struct cron_job *job, struct arena *a,
                           const struct version *v)
{
    const char *host =
        routing_url(job->ctl, a, v->service->app) + strlen("http://");

    if (!*job->file->target)
        return host;
    if (v == serving(v->service))
        return arena_printf(a, "%s-dot-%s", v->service->id, host);
    return arena_printf(a, "%s-dot-%s-dot-%s", v->id, v->service->id, host);
}

/* ---- the request ---- */

enum { HEADERS_MAX = 20 };

struct request {
    struct arena *arena;
    struct http_header headers[HEADERS_MAX];
    size_t n;
};

static void add(struct request *r, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void add(struct request *r, const char *name, const char *fmt, ...)
{
    va_list ap;

    if (r->n == HEADERS_MAX)
        BUG("a cron request has more headers than there is room for");
    va_start(ap, fmt);
    r->headers[r->n++] = (struct http_header){
        bytes_str(name), bytes_str(arena_vprintf(r->arena, fmt, ap))};
    va_end(ap);
}

static int64_t deadline_of(const struct cron_job *job)
{
    return job->file->deadline ? job->file->deadline
                               : job->ctl->settings.request_seconds * CLOCK_SEC;
}

/* To haproxy, which takes these away again. */
static void add_directions(struct request *r, const struct cron_job *job,
                           const struct version *v)
{
    unsigned char random[16];
    char hex[sizeof(random) * 2 + 1];

    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(hex, sizeof(hex), random, sizeof(random));
    add(r, ROUTING_BACKEND_HEADER, "%s", routing_backend(r->arena, v));
    add(r, "X-Appscale-Request", "%s", hex);
    add(r, "X-Appscale-Client", ADDRESS);
    add(r, "X-Appscale-Run", "%s.%d", job->state.name, job->state.deliveries);
    add(r, "X-Appscale-Timeout", "%" PRId64, deadline_of(job) / CLOCK_MS);
}

static void add_headers(struct request *r, const struct cron_job *job,
                        const struct version *v)
{
    const struct cron_state *s = &job->state;

    add(r, "Host", "%s", host_of(job, r->arena, v));
    add(r, "User-Agent", USER_AGENT);
    add(r, "X-Forwarded-For", ADDRESS ", 169.254.1.1");
    add(r, "X-Forwarded-Proto", "http");
    add(r, "X-Appengine-Cron", "true");
    add(r, "X-AppEngine-QueueName", "__cron");
    add(r, "X-AppEngine-TaskName", "%s", s->name);
    add(r, "X-AppEngine-TaskRetryCount", "%d", s->failures);
    add(r, "X-AppEngine-TaskExecutionCount", "%d", s->reached);
    add(r, "X-AppEngine-TaskETA", "%" PRId64 ".%06d", s->eta / CLOCK_SEC,
        (int)(s->eta % CLOCK_SEC));
    if (s->failures > 0 && s->status)
        add(r, "X-AppEngine-TaskPreviousResponse", "%d", s->status);
    if (s->failures > 0 && s->reason)
        add(r, "X-AppEngine-TaskRetryReason", "%s", s->reason);
}

/* ---- what came back ---- */

enum { NUMBER_DIGITS = 15 };

static int64_t to_number(struct bytes v)
{
    int64_t n = 0;

    for (size_t i = 0; i < v.n && i < NUMBER_DIGITS; i++) {
        uint8_t c = bytes_u8(v)[i];

        if (c < '0' || c > '9')
            break;
        n = n * 10 + (c - '0');
    }
    return n;
}

static struct verdict of_status(int status)
{
    struct verdict v = {.reached = true, .status = status};

    v.outcome = status >= 200 && status <= 299 ? CRON_SUCCEEDED : CRON_FAILED;
    if (v.outcome == CRON_FAILED)
        v.reason = status >= 300 && status <= 399
                       ? "a redirect is not followed"
                       : "the application answered with an error";
    return v;
}

/* haproxy has passed it on before: to ask again, or its status. */
static void on_seen(struct cron_job *job, int64_t status)
{
    if (status > 0) {
        judge(job, of_status((int)status));
    } else if (clock_wall() - job->state.sent > deadline_of(job) + GRACE) {
        judge(job, (struct verdict){
                       .outcome = CRON_UNKNOWN,
                       .reached = true,
                       .reason = "the controller was restarted, and no answer "
                                 "came",
                   });
    } else {
        after_a_pause(job, ASK_AGAIN_MS, deliver);
    }
}

static void judge_answer(struct cron_job *job,
                         const struct http_client_response *res)
{
    bool answered = http_client_header(res, "X-Appscale-Answered").n > 0;
    struct verdict v = of_status(res->status);

    v.body = res->body;
    if (!answered) { /* haproxy's own words */
        v.body = BYTES_NONE;
        v.reached = res->status != 503;
        v.reason = res->status == 504 ? "no answer within the deadline"
                   : v.reached        ? "the instance ended during the request"
                                      : "no instance took the request";
    }
    judge(job, v);
}

static void on_answer(const struct http_client_response *res, void *arg)
{
    struct cron_job *job = arg;
    struct bytes seen = http_client_header(res, "X-Appscale-Seen");

    errinj_crash("control.cron.answered");
    if (cron_release(job) || job->ctl->stopping)
        return;
    if (seen.n > 0 && res->status == 409)
        on_seen(job, to_number(seen));
    else if (res->err == 0)
        judge_answer(job, res);
    else if (res->err == ERR_UNAVAILABLE || res->err == ERR_CANCELLED)
        after_a_pause(job, ASK_AGAIN_MS, recover);
    else
        judge(job, (struct verdict){
                       .outcome = CRON_FAILED,
                       .reached = true,
                       .reason = res->err == ERR_DEADLINE
                                     ? "no answer within the deadline"
                                     : "the answer could not be read",
                   });
}

/* ---- send ---- */

/* A handler with login: required lets nobody in who cannot sign in; login:
 * admin lets cron in. */
static bool refused_by_handler(const struct cron_job *job,
                               const struct version *v)
{
    const struct handler *h = handler_of(v, job->file->url);

    return h && h->login == LOGIN_REQUIRED;
}

static void deliver(struct cron_job *job)
{
    const struct version *v = target(job);
    struct arena a = ARENA_INIT;
    struct request r = {.arena = &a};
    struct http_client_request req = {
        .unix_path = control_path(job->ctl, &a, "run/haproxy.platform.sock"),
        .timeout = deadline_of(job) + GRACE,
        .response_max = ANSWER_MAX,
    };

    if (!v || v->stopped) {
        judge(job, (struct verdict){.outcome = CRON_FAILED,
                                    .reason = "the target is stopped"});
    } else if (refused_by_handler(job, v)) {
        judge(job, (struct verdict){.outcome = CRON_FAILED,
                                    .reached = true,
                                    .status = 302,
                                    .reason = "its handler says login: "
                                              "required, where cron cannot "
                                              "sign in; login: admin lets it "
                                              "in"});
    } else {
        add_directions(&r, job, v);
        add_headers(&r, job, v);
        req.url = arena_printf(&a, "http://app%s", job->file->url);
        req.headers = r.headers;
        req.n_headers = r.n;
        job->busy = true;
        http_client_send(job->ctl->http, &req, on_answer, job);
    }
    arena_release(&a);
}

/* The row names it now. */
static void on_claimed(struct cron_job *job)
{
    errinj_crash("control.cron.claimed");
    deliver(job);
}

/* ---- claim ---- */

/* Which haproxy it is that will remember a delivery: a restart or a reload
 * makes another one.  NULL when it does not answer. */
static const char *haproxy_name(struct arena *a, struct bytes answer)
{
    struct bytes pid = haproxy_info(answer, "Pid");
    struct bytes since = haproxy_info(answer, "Start_time_sec");

    if (pid.n == 0 || since.n == 0)
        return NULL;
    return arena_printf(a, "%" PRId64 ".%" PRId64, to_number(pid),
                        to_number(since));
}

static void ask_haproxy(struct cron_job *job, haproxy_ask_fn *fn, void *arg)
{
    struct arena a = ARENA_INIT;

    job->busy = true;
    haproxy_ask(&job->ctl->loop,
                control_path(job->ctl, &a, "run/haproxy.admin.sock"),
                "show info", fn, arg);
    arena_release(&a);
}

struct claim {
    struct cron_job *job;
    bool fresh; /* a new run, not another delivery of one */
    int64_t slot;
    bool manual;
    server_done_fn *fn;
    void *arg;
};

static void name_run(struct cron_state *next, const struct claim *c)
{
    unsigned char random[CRON_NAME / 2];

    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(next->name, sizeof(next->name), random, sizeof(random));
    next->slot = c->slot;
    next->eta = c->slot * CLOCK_SEC;
    next->manual = c->manual;
    next->first = cron_now();
    next->failures = next->reached = next->status = next->deliveries = 0;
    free(next->reason);
    next->reason = NULL;
}

static void claim_store(struct claim *c, const char *haproxy)
{
    struct cron_state next = cron_state_copy(&c->job->state);

    if (c->fresh)
        name_run(&next, c);
    next.next = 0;
    next.sent = clock_wall();
    next.deliveries++;
    free(next.haproxy);
    next.haproxy = strdup(haproxy);
    store(c->job, next, on_claimed, c->fn, c->arg);
}

static void claim_refuse(struct claim *c, enum err_code rc, const char *why)
{
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &a);
    if (c->fn)
        c->fn(&ctx, ctx_err(&ctx, rc, "%s", why), c->arg);
    arena_release(&a);
}

static void on_claim(struct bytes answer, void *arg)
{
    struct claim *c = arg;
    struct cron_job *job = c->job;
    struct arena a = ARENA_INIT;
    const char *haproxy = haproxy_name(&a, answer);

    if (cron_release(job)) {
        claim_refuse(c, ERR_NOT_FOUND, "the job has just been taken away");
    } else if (job->ctl->stopping) {
        claim_refuse(c, ERR_CANCELLED, "the platform is being stopped");
    } else if (!haproxy) {
        claim_refuse(c, ERR_UNAVAILABLE, "haproxy does not answer; try again");
        after_a_pause(job, ASK_AGAIN_MS, cron_run_go_on);
    } else {
        claim_store(c, haproxy);
    }
    arena_release(&a);
    free(c);
}

static void claim(struct claim what)
{
    struct claim *c = calloc(1, sizeof(*c));

    if (!c)
        abort();
    *c = what;
    ask_haproxy(c->job, on_claim, c);
}

void cron_run_begin(struct cron_job *job, int64_t slot, bool manual,
                    server_done_fn *fn, void *arg)
{
    errinj_crash("control.cron.due");
    claim((struct claim){job, true, slot, manual, fn, arg});
}

/* ---- a delivery nobody knows about ---- */

/* haproxy remembers what was sent through it; what went through the one before
 * may have gone anywhere. */
static void on_recover(struct bytes answer, void *arg)
{
    struct cron_job *job = arg;
    struct arena a = ARENA_INIT;
    const char *haproxy = haproxy_name(&a, answer);
    const char *was = job->state.haproxy;

    if (cron_release(job) || job->ctl->stopping)
        ;
    else if (!haproxy)
        after_a_pause(job, ASK_AGAIN_MS, recover);
    else if (was && strcmp(haproxy, was) == 0)
        deliver(job);
    else
        judge(job, (struct verdict){
                       .outcome = CRON_UNKNOWN,
                       .reached = true,
                       .reason = "the platform was restarted during the run"});
    arena_release(&a);
}

static void recover(struct cron_job *job)
{
    ask_haproxy(job, on_recover, job);
}

void cron_run_go_on(struct cron_job *job)
{
    job->busy = false;
    if (!*job->state.name) {
        cron_settle(job);
        return;
    }
    if (job->state.next == 0)
        recover(job);
    else if (job->state.next <= cron_now())
        claim((struct claim){.job = job});
    else
        cron_settle(job);
}

/* ---- judge and end ---- */

static const char *const outcome_texts[] = {"none", "succeeded", "failed",
                                            "unknown"};

static void on_ended(struct cron_job *job)
{
    const struct cron_state *s = &job->state;

    errinj_crash("control.cron.ended");
    log_info(NULL, "cron.ran", "app", job->app->id, "url", job->file->url,
             "slot", log_int(s->last_slot), "outcome",
             outcome_texts[s->last_outcome], "status", log_int(s->last_status),
             "attempts", log_int(s->last_attempts), "ms",
             log_int((s->last_end - s->last_first) / CLOCK_MS));
    cron_settle(job);
}

static char *kept(struct bytes body)
{
    struct arena a = ARENA_INIT;
    size_t n = body.n < CRON_ANSWER_MAX ? body.n : CRON_ANSWER_MAX;
    json_t *text;
    char *s;

    if (n == 0)
        return NULL;
    text = text_json(arena_cstr(&a, BYTES(body.p, n)));
    s = strdup(json_string_value(text));
    json_decref(text);
    arena_release(&a);
    return s;
}

/* `next` is where the job stands with this attempt counted. */
static void end(struct cron_job *job, struct cron_state next, struct verdict v)
{
    memcpy(next.last_name, next.name, sizeof(next.name));
    next.name[0] = '\0';
    next.last_slot = next.slot;
    next.last_first = next.first;
    next.last_end = cron_now();
    next.last_manual = next.manual;
    next.last_attempts = next.failures + (v.outcome == CRON_SUCCEEDED);
    next.last_status = v.status;
    next.last_outcome = v.outcome;
    free(next.last_reason);
    free(next.answer);
    next.last_reason = v.reason ? strdup(v.reason) : NULL;
    next.answer = kept(v.body);
    next.base = next.last_end / CLOCK_SEC;
    if (next.base < next.slot)
        next.base = next.slot;
    store(job, next, on_ended, NULL, NULL);
}

static void put_off(struct cron_job *job, struct cron_state next, int64_t wait)
{
    next.next = next.eta = cron_now() + wait;
    store(job, next, cron_settle, NULL, NULL);
}

/* 1, 2, 4 ... 60 seconds. */
static int64_t busy_wait(int n)
{
    return (n < 7 ? INT64_C(1) << (n - 1) : BUSY_BACKOFF_MAX) * CLOCK_SEC;
}

static void judge(struct cron_job *job, struct verdict v)
{
    struct cron_state next = cron_state_copy(&job->state);
    int64_t age = cron_now() - next.first;
    bool failed = v.outcome != CRON_SUCCEEDED;

    if (failed) {
        next.failures++;
        next.reached += v.reached;
        next.status = v.status;
        free(next.reason);
        next.reason = strdup(v.reason);
    }
    if (!failed || next.manual)
        end(job, next, v);
    else if (!v.reached && age < CRON_LATE_SECONDS * CLOCK_SEC)
        put_off(job, next, busy_wait(next.failures - next.reached));
    else if (v.reached && cronyaml_may_retry(job->file, next.reached, age))
        put_off(job, next, cronyaml_wait(&job->file->retry, next.reached));
    else
        end(job, next, v);
}
