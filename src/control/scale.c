/*
 * scale - look, decide, act.
 *
 * The queue's age is estimated: haproxy tells how many wait, not since when.
 * It is no longer than there has been a queue, and no longer than the requests
 * that were answered since the last look would need to empty it.
 */
#include "control/scale.h"

#include "base/log.h"
#include "control/haproxy_ask.h"
#include "control/instance.h"
#include "control/prepare.h"
#include "control/proc.h"
#include "control/servers.h"

#include <stdlib.h>
#include <unistd.h>

enum { TICK_MS = 100 };

struct scale {
    struct control *ctl;
    uv_timer_t timer;
    bool asking;
};

/* ---- parameters ---- */

struct scaling scale_parameters(const struct control *ctl,
                                const struct version *v)
{
    const json_t *set = json_object_get(v->service->doc, "scaling");
    struct scaling s = v->scaling;
    struct arena a = ARENA_INIT;
    struct ctx ctx;
    int most = (int)ctl->settings.instances_max;

    ctx_init(&ctx, &a);
    if (set && scaling_override(&ctx, set, &s))
        log_warn(&ctx, "scale.parameters", "service", v->service->id, "why",
                 ctx_err_text(&ctx, ERR_INVALID));
    arena_release(&a);
    if (model_share(v) == 0 && s.kind != SCALING_MANUAL)
        s.min = s.min_idle = 0;
    s.max = s.max < most ? s.max : most;
    s.min = s.min < s.max ? s.min : s.max;
    return s;
}

/* ---- the look: haproxy's part ---- */

static struct version *find(const struct model *m, struct version *near,
                            struct bytes backend)
{
    struct version *v = near;

    /* haproxy's rows stand as the model does: the next one is mostly it. */
    do {
        if (v && bytes_eq_str(backend, v->backend))
            return v;
        v = model_next(m, v);
    } while (v != near);
    return NULL;
}

static void take_server(struct version *v, const struct haproxy_stat *st,
                        int64_t now)
{
    for (size_t i = 0; i < v->n_instances; i++) {
        struct instance *in = v->instances[i];
        struct arena a = ARENA_INIT;
        bool its = bytes_eq_str(st->server, instance_server(&a, in));

        arena_release(&a);
        if (!its)
            continue;
        in->requests = st->running;
        if (st->running > 0 || st->total != in->total)
            in->busy_at = now;
        in->total = st->total;
        in->errors = st->errors;
        in->latency = st->latency;
        return;
    }
}

static bool has_ready(const struct version *v)
{
    for (size_t i = 0; i < v->n_instances; i++)
        if (instance_takes(v->instances[i]))
            return true;
    return false;
}

/* The row of the whole backend comes behind those of its servers.  While it
 * has no server, whoever is in it waits. */
static void take_row(struct version *v, const struct haproxy_stat *st,
                     int64_t now)
{
    int64_t ended;

    if (!bytes_eq_str(st->server, "BACKEND")) {
        v->queued += st->queued;
        take_server(v, st, now);
        return;
    }
    v->queued += has_ready(v) ? st->queued : st->running;
    /* It counts those that came; less those that are there: that ended. */
    ended = st->total - st->running;
    if (ended > v->ended) /* it began anew, else */
        v->answered += ended - v->ended;
    v->ended = ended;
}

static void take_stat(struct scale *s, struct bytes answer, int64_t now)
{
    const struct model *m = &s->ctl->model;
    struct version *v = NULL;
    struct haproxy_stat st;

    for (v = model_next(m, NULL); v; v = model_next(m, v)) {
        v->queued = 0;
        for (size_t i = 0; i < v->n_instances; i++)
            v->instances[i]->requests = 0;
    }
    while (haproxy_stat_next(&answer, &st)) {
        struct version *its = find(m, v, st.backend);

        if (its) {
            v = its;
            take_row(v, &st, now);
        }
    }
}

/* ---- the look: the kernel's part ---- */

/* Processor seconds a second that an instance class stands for. */
static double class_cores(const struct version *v)
{
    const char *class =
        json_string_value(json_object_get(v->doc, "instanceClass"));

    return class && strcmp(class, "B8") == 0 ? 2 : 1;
}

static void take_process(struct instance *in, const struct proc_session *p,
                         int64_t elapsed)
{
    double ticks = (double)(p->ticks - in->cpu_ticks);
    double seconds = (double)elapsed / CLOCK_SEC;

    in->cpu = in->cpu_ticks && seconds > 0 && ticks > 0
                  ? ticks / (double)sysconf(_SC_CLK_TCK) / seconds /
                        class_cores(in->version)
                  : 0;
    in->cpu_ticks = p->ticks;
    in->memory = p->memory;
}

static bool due(const struct version *v, const struct scaling *s, int64_t now)
{
    return !v->looked || now - v->looked >= s->interval;
}

/* All instances of the versions that are due, in one walk over /proc. */
static void take_processes(struct scale *s, int64_t now)
{
    const struct model *m = &s->ctl->model;
    struct arena a = ARENA_INIT;
    struct proc_session *list;
    struct instance **whose;
    size_t n = 0, max = 0;

    for (struct version *v = model_next(m, NULL); v; v = model_next(m, v))
        max += v->n_instances;
    list = ARENA_ARRAY(&a, struct proc_session, max + 1);
    whose = ARENA_ARRAY(&a, struct instance *, max + 1);
    for (struct version *v = model_next(m, NULL); v; v = model_next(m, v)) {
        const struct scaling in_force = scale_parameters(s->ctl, v);

        for (size_t i = 0; due(v, &in_force, now) && i < v->n_instances; i++)
            if (child_alive(&v->instances[i]->process->child)) {
                list[n].sid = v->instances[i]->process->child.pid;
                whose[n++] = v->instances[i];
            }
    }
    if (n)
        proc_sessions(list, n);
    for (size_t i = 0; i < n; i++)
        take_process(whose[i], &list[i], now - whose[i]->version->looked);
    arena_release(&a);
}

/* ---- the decision ---- */

static int64_t queue_age(struct version *v, int64_t now)
{
    int64_t elapsed = now - v->looked, age, needed;

    if (v->queued == 0) {
        v->queued_since = 0;
        return 0;
    }
    if (v->queued_since == 0)
        v->queued_since = now;
    age = now - v->queued_since;
    if (v->answered <= 0)
        return age;
    needed = elapsed * v->queued / v->answered;
    return age < needed ? age : needed;
}

static struct scaler_look look_of(struct version *v, struct arena *a,
                                  int64_t now)
{
    struct scaler_instance *list =
        ARENA_ARRAY(a, struct scaler_instance, v->n_instances + 1);
    size_t n = 0;

    for (size_t i = 0; i < v->n_instances; i++) {
        const struct instance *in = v->instances[i];

        if (in->leaving)
            continue;
        list[n++] = (struct scaler_instance){
            .index = in->index,
            .ready = instance_takes(in),
            .requests = in->requests,
            .idle = in->requests || !in->busy_at ? 0 : now - in->busy_at,
            .cpu = in->cpu};
    }
    return (struct scaler_look){.now = now,
                                .traffic = model_share(v) > 0,
                                .queued = v->queued,
                                .queued_for = queue_age(v, now),
                                .served = v->answered,
                                .instances = list,
                                .n_instances = n};
}

static struct instance *instance_at(const struct version *v, int index)
{
    for (size_t i = 0; i < v->n_instances; i++)
        if (v->instances[i]->index == index)
            return v->instances[i];
    return NULL;
}

/* A machine without memory for another one is better off with fewer. */
static bool no_room(const struct version *v)
{
    int64_t need = (int64_t)model_memory_mb(v) << 20;

    return proc_memory_available() < need;
}

static void act(struct control *ctl, struct version *v,
                const struct scaler_decision *d)
{
    struct instance *leaver = d->stop >= 0 ? instance_at(v, d->stop) : NULL;
    struct arena a = ARENA_INIT;
    struct ctx ctx;
    int rc = 0;

    ctx_init(&ctx, &a);
    if (d->start > 0 && v->n_instances > 0 && no_room(v)) {
        snprintf(v->scale_why, sizeof(v->scale_why),
                 "%s, but the machine has no memory left for another instance",
                 d->why);
    } else if (d->start > 0 || leaver) {
        snprintf(v->scale_why, sizeof(v->scale_why), "%s", d->why);
        log_info(NULL, d->start > 0 ? "scale.up" : "scale.down", "version",
                 v->backend, "instances", log_int((int64_t)v->n_instances),
                 "by", log_int(d->start > 0 ? d->start : -1), "why", d->why);
        if (leaver)
            instance_leave(leaver);
        else
            rc = instances_add(&ctx, ctl, v, d->start);
    }
    if (rc)
        log_warn(&ctx, "scale.failed", "version", v->backend, "why",
                 ctx_err_text(&ctx, rc));
    arena_release(&a);
}

/* ---- memory, and those who leave ---- */

/* Over its class: it gets no more requests, and another one takes its place. */
static void check_memory(struct control *ctl, struct instance *in)
{
    int64_t most = (int64_t)model_memory_mb(in->version) << 20;
    struct version *v = in->version;
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    if (in->leaving || in->memory <= most)
        return;
    in->memory = proc_session_share(in->process->child.pid);
    if (in->memory <= most)
        return;
    ctx_init(&ctx, &a);
    snprintf(v->scale_why, sizeof(v->scale_why),
             "instance %d used %d MB; its class has %d MB", in->index,
             (int)(in->memory >> 20), (int)(most >> 20));
    log_warn(NULL, "instance.memory", "version", v->backend, "index",
             log_int(in->index), "used_mb", log_int(in->memory >> 20),
             "class_mb", log_int(most >> 20));
    instance_leave(in);
    if (instances_add(&ctx, ctl, v, 1))
        log_warn(&ctx, "scale.failed", "version", v->backend, "why",
                 ctx.err.message);
    arena_release(&a);
}

static void see_off(struct version *v, int64_t now)
{
    for (size_t i = v->n_instances; i-- > 0;) {
        struct instance *in = v->instances[i];

        if (in->leaving && !in->ending &&
            (now > in->leave_by ||
             (in->requests == 0 && now - in->busy_at > CLOCK_SEC)))
            instance_end(in);
    }
}

/* ---- a tick ---- */

static void look(struct control *ctl, struct version *v, int64_t now)
{
    struct scaling s = scale_parameters(ctl, v);
    struct arena a = ARENA_INIT;
    struct scaler_look seen;
    struct scaler_decision d;

    if (v->concurrent != s.concurrent) {
        v->concurrent = s.concurrent;
        servers_follow(ctl, NULL, NULL);
    }
    if (!due(v, &s, now))
        return;
    seen = look_of(v, &a, now);
    v->looked = now;
    v->answered = 0;
    if (!v->stopped && !v->draining && !v->retiring && v->prepared &&
        v->started) {
        d = scaler_decide(&s, &v->scaler, &seen);
        act(ctl, v, &d);
    }
    for (size_t i = v->n_instances; i-- > 0;)
        check_memory(ctl, v->instances[i]);
    arena_release(&a);
}

static void on_stat(struct bytes answer, void *arg)
{
    struct scale *s = arg;
    const struct model *m = &s->ctl->model;
    int64_t now = clock_mono();

    s->asking = false;
    if (answer.n == 0 || s->ctl->stopping || !s->ctl->loaded)
        return;
    take_stat(s, answer, now);
    take_processes(s, now);
    for (struct version *v = model_next(m, NULL); v; v = model_next(m, v)) {
        look(s->ctl, v, now);
        see_off(v, now);
    }
}

static bool anything_due(const struct control *ctl, int64_t now)
{
    const struct model *m = &ctl->model;

    for (struct version *v = model_next(m, NULL); v; v = model_next(m, v)) {
        const struct scaling s = scale_parameters(ctl, v);

        if (due(v, &s, now))
            return true;
    }
    return false;
}

static void on_tick(uv_timer_t *t)
{
    struct scale *s = t->data;
    struct arena a = ARENA_INIT;

    if (s->asking || s->ctl->stopping || !s->ctl->loaded ||
        !anything_due(s->ctl, clock_mono()))
        return;
    s->asking = true;
    haproxy_ask(&s->ctl->loop,
                control_path(s->ctl, &a, "run/haproxy.admin.sock"),
                "show stat -1 6 -1", on_stat, s);
    arena_release(&a);
}

/* ---- on demand ---- */

struct making {
    struct control *ctl;
    struct version *v;
};

static void on_prepared(struct ctx *ctx, int rc, void *arg)
{
    struct making *m = arg;

    m->v->preparing = false;
    if (rc) {
        log_error(ctx, "scale.prepare", "version", m->v->backend, "why",
                  ctx_err_text(ctx, rc));
        snprintf(m->v->scale_why, sizeof(m->v->scale_why),
                 "it cannot be built here: %.100s", ctx->err.message);
    } else {
        scale_wake(m->ctl, m->v);
    }
    free(m);
}

/* Its folder is not there: the machine is new, or its cache was lost. */
static void make_ready(struct control *ctl, struct version *v)
{
    struct making *m = calloc(1, sizeof(*m));

    if (!m)
        abort();
    *m = (struct making){ctl, v};
    v->preparing = true;
    prepare(ctl, v, NULL, on_prepared, m);
}

bool scale_wake(struct control *ctl, struct version *v)
{
    struct arena a = ARENA_INIT;
    bool coming = false, hopeless = false;
    struct ctx ctx;
    int rc = 0;

    if (ctl->stopping || v->stopped || v->draining)
        return false;
    if (!v->prepared) {
        if (!v->preparing)
            make_ready(ctl, v);
        return true;
    }
    for (size_t i = 0; i < v->n_instances; i++) {
        const struct process *p = v->instances[i]->process;

        if (v->instances[i]->leaving)
            continue;
        if (throttle_promising(&p->throttle, clock_mono()))
            coming = true;
        else
            hopeless = true;
    }
    ctx_init(&ctx, &a);
    if (!coming && !hopeless) {
        snprintf(v->scale_why, sizeof(v->scale_why), "a request waits");
        log_info(NULL, "scale.wake", "version", v->backend);
        rc = instances_add(&ctx, ctl, v, 1);
        v->started = true;
    }
    if (rc)
        log_warn(&ctx, "scale.failed", "version", v->backend, "why",
                 ctx_err_text(&ctx, rc));
    arena_release(&a);
    return rc == 0 && (coming || !hopeless);
}

void scale_start(struct control *ctl)
{
    struct scale *s = calloc(1, sizeof(*s));

    if (!s)
        abort();
    s->ctl = ctl;
    uv_timer_init(&ctl->loop, &s->timer);
    s->timer.data = s;
    uv_timer_start(&s->timer, on_tick, TICK_MS, TICK_MS);
    ctl->scale = s;
}
