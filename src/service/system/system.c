/* system - the loop, its inbox, waiting, and the figures. */
#include "service/system/system_int.h"

#include "base/fiber.h"
#include "base/log.h"

#include <stdlib.h>

const struct rpc_err_map system_errors[] = {
    {ERR_DEADLINE, system_SystemServiceError_INTERNAL_ERROR},
    {ERR_UNAVAILABLE, system_SystemServiceError_INTERNAL_ERROR},
    {ERR_CORRUPT, system_SystemServiceError_INTERNAL_ERROR},
    {ERR_IO, system_SystemServiceError_INTERNAL_ERROR},
    {ERR_NOT_FOUND, system_SystemServiceError_INTERNAL_ERROR},
    {0, 0},
};

/* ---- waiting ---- */

enum { PAUSED_MAX = 100, IDLE_CONNS = 8, IDLE_SECONDS = 20 };

/* On the stack of who waits. */
struct pause {
    struct system_work work; /* first */
    struct pause *next, **prev;
    uv_timer_t timer;
    int64_t us;
    struct fiber_event over;
};

static void on_pause_closed(uv_handle_t *h)
{
    struct pause *p = h->data;

    fiber_event_set(&p->over);
}

static void on_pause_over(uv_timer_t *t)
{
    struct pause *p = t->data;

    *p->prev = p->next;
    if (p->next)
        p->next->prev = p->prev;
    uv_close((uv_handle_t *)t, on_pause_closed);
}

static void run_pause(struct system *sys, struct system_work *w)
{
    struct pause *p = (struct pause *)w;

    uv_timer_init(&sys->loop, &p->timer);
    p->timer.data = p;
    p->prev = &sys->paused;
    p->next = *p->prev;
    if (p->next)
        p->next->prev = &p->next;
    *p->prev = p;
    uv_timer_start(&p->timer, on_pause_over, (uint64_t)(p->us / CLOCK_MS), 0);
}

bool system_pause(struct system *sys, int64_t us)
{
    struct pause p = {.work.run = run_pause, .us = us};
    bool may;

    fiber_event_init(&p.over);
    lock_take(&sys->lock);
    may = sys->n_paused < PAUSED_MAX && system_post(sys, &p.work);
    sys->n_paused += may;
    lock_drop(&sys->lock);
    if (!may)
        return false;
    fiber_wait(&p.over);
    lock_take(&sys->lock);
    sys->n_paused--;
    lock_drop(&sys->lock);
    return true;
}

/* ---- the loop ---- */

/* Woken under the lock: without it the loop might have ended in between. */
bool system_post(struct system *sys, struct system_work *w)
{
    if (sys->stop)
        return false;
    w->next = NULL;
    *sys->inbox_end = w;
    sys->inbox_end = &w->next;
    uv_async_send(&sys->wake);
    return true;
}

static void on_poster_closed(void *arg)
{
    (void)arg;
}

static void stop_loop(struct system *sys)
{
    struct http_poster *poster = sys->poster;

    sys->poster = NULL;
    background_stop(sys);
    if (poster)
        http_poster_free(poster, on_poster_closed, NULL);
    while (sys->paused)
        on_pause_over(&sys->paused->timer);
    uv_close((uv_handle_t *)&sys->look, NULL);
    uv_close((uv_handle_t *)&sys->wake, NULL);
}

static void on_wake(uv_async_t *h)
{
    struct system *sys = h->data;
    struct system_work *w, *next;
    bool stop;

    lock_take(&sys->lock);
    w = sys->inbox;
    stop = sys->stop;
    sys->inbox = NULL;
    sys->inbox_end = &sys->inbox;
    lock_drop(&sys->lock);
    for (; w; w = next) {
        next = w->next;
        w->run(sys, w);
    }
    if (stop)
        stop_loop(sys);
}

static void on_look(uv_timer_t *t)
{
    samples_look(t->data);
}

static void *run(void *arg)
{
    struct system *sys = arg;

    uv_run(&sys->loop, UV_RUN_DEFAULT);
    return NULL;
}

/* ---- life ---- */

/* "http://HOST:PORT" */
static int use_app_url(struct ctx *ctx, struct system *sys,
                       struct http_poster_options *po)
{
    static const char scheme[] = "http://";
    const char *url = sys->o.app_url, *colon;
    size_t n;

    if (strncmp(url, scheme, strlen(scheme)) != 0)
        return ctx_err(ctx, ERR_INVALID,
                       "\"%s\": the app's address is http://HOST:PORT", url);
    url += strlen(scheme);
    sys->app_host = arena_cstr(&sys->arena, BYTES(url, strcspn(url, "/")));
    colon = strrchr(sys->app_host, ':');
    n = colon ? (size_t)(colon - sys->app_host) : strlen(sys->app_host);
    po->host = arena_cstr(&sys->arena, BYTES(sys->app_host, n));
    po->port = colon ? atoi(colon + 1) : 80;
    return 0;
}

static void start_loop(struct system *sys)
{
    uv_loop_init(&sys->loop);
    uv_async_init(&sys->loop, &sys->wake, on_wake);
    uv_timer_init(&sys->loop, &sys->look);
    sys->wake.data = sys->look.data = sys;
    uv_timer_start(&sys->look, on_look, SAMPLES_EVERY_MS, SAMPLES_EVERY_MS);
}

int system_open(struct ctx *ctx, const struct system_options *o,
                struct system **out)
{
    struct http_poster_options po = {.unix_path = o->platform,
                                     .idle_max = IDLE_CONNS,
                                     .idle_timeout = IDLE_SECONDS * CLOCK_SEC};
    struct system *sys = calloc(1, sizeof(*sys));
    int rc = 0;

    if (!sys)
        die("out of memory for the system service");
    sys->o.domain = arena_strdup(&sys->arena, o->domain);
    if (o->app_url && !o->platform) {
        sys->o.app_url = arena_strdup(&sys->arena, o->app_url);
        rc = use_app_url(ctx, sys, &po);
    }
    if (rc) {
        arena_release(&sys->arena);
        free(sys);
        return rc;
    }
    lock_init(&sys->lock, LOCK_SYSTEM);
    sys->inbox_end = &sys->inbox;
    start_loop(sys);
    sys->sends = po.unix_path || po.host;
    if (sys->sends)
        sys->poster = http_poster_new(&sys->loop, &po);
    *out = sys;
    if (pthread_create(&sys->thread, NULL, run, sys) != 0)
        die("the thread of the system service cannot be started");
    return 0;
}

void system_stop(struct system *sys)
{
    lock_take(&sys->lock);
    sys->stop = true;
    uv_async_send(&sys->wake);
    lock_drop(&sys->lock);
    pthread_join(sys->thread, NULL);
}

void system_close(struct system *sys)
{
    if (!sys)
        return;
    samples_free(sys);
    uv_loop_close(&sys->loop);
    lock_release(&sys->lock);
    arena_release(&sys->arena);
    free(sys);
}

/* ---- the figures ---- */

int system_stats(struct ctx *ctx, const struct system_GetSystemStatsRequest *in,
                 struct system_GetSystemStatsResponse *out)
{
    const double mega = 1024 * 1024;
    struct system_SystemStat *cpu, *memory;
    struct samples_figures f;
    struct caller_usage now;
    struct procfs_stat *all;
    struct caller who;
    size_t n;

    (void)in;
    if (caller_find(ctx, ctx->env->emulator, &who) != 0)
        return ctx_err(ctx, ERR_NOT_FOUND,
                       "the instance that asks is not found among the "
                       "processes of this machine");
    n = procfs_all(ctx->arena, &all);
    if (!caller_usage(all, n, who.leader, who.start, &now))
        return ctx_err(ctx, ERR_NOT_FOUND, "the instance that asks has ended");
    f = samples_add(ctx->env->system, &who, &now);
    cpu = system_GetSystemStatsResponse_mut_cpu(ctx, out);
    system_SystemStat_set_total(cpu, now.cpu_seconds * SYSTEM_MEGACYCLES);
    system_SystemStat_set_rate1m(cpu, f.cpu_1m * SYSTEM_MEGACYCLES);
    system_SystemStat_set_rate10m(cpu, f.cpu_10m * SYSTEM_MEGACYCLES);
    memory = system_GetSystemStatsResponse_mut_memory(ctx, out);
    system_SystemStat_set_current(memory, (double)now.bytes / mega);
    system_SystemStat_set_average1m(memory, f.bytes_1m / mega);
    system_SystemStat_set_average10m(memory, f.bytes_10m / mega);
    return 0;
}
