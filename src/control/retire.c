/* retire - drain, stop, bury. */
#include "control/retire.h"

#include "base/files.h"
#include "base/log.h"
#include "control/archive.h"
#include "control/build_log.h"
#include "control/instance.h"
#include "control/routing.h"

#include <stdlib.h>
#include <unistd.h>

/*
 * Quiet for longer than the old workers of nginx and haproxy need to hand their
 * last request over, on a busy machine, too.
 */
enum { LOOK_EVERY_MS = 200, QUIET_LOOKS = 10 };

struct retiring {
    struct control *ctl;
    struct version *v;
    retire_fn *fn;
    void *arg;
    int64_t give_up; /* clock_mono() */
    int quiet;
    uv_timer_t timer;
};

static void retiring_closed(uv_handle_t *h)
{
    free(h->data);
}

static void retire_end(struct retiring *r)
{
    struct version *v = r->v;

    v->retiring = NULL;
    v->recalled = false;
    r->fn(v, r->arg); /* may free it */
    uv_close((uv_handle_t *)&r->timer, retiring_closed);
}

/* One that a request has called for meanwhile stays, unless all go. */
static bool all_gone(const struct version *v)
{
    for (size_t i = 0; i < v->n_instances; i++)
        if (v->instances[i]->leaving || v->draining)
            return false;
    return true;
}

static void on_stopped(struct version *v, void *arg)
{
    if (!all_gone(v))
        return;
    instances_watch(v, NULL, NULL);
    retire_end(arg);
}

static void on_look_due(uv_timer_t *t);

static void on_load(int64_t requests, void *arg)
{
    struct retiring *r = arg;

    if (r->v->recalled && !r->v->draining) {
        retire_end(r);
        return;
    }
    r->quiet = requests == 0 ? r->quiet + 1 : 0;
    if (r->quiet >= QUIET_LOOKS || clock_mono() > r->give_up ||
        r->ctl->stopping) {
        instances_stop(r->ctl, r->v, on_stopped, r);
        return;
    }
    uv_timer_start(&r->timer, on_look_due, LOOK_EVERY_MS, 0);
}

static void on_look_due(uv_timer_t *t)
{
    struct retiring *r = t->data;

    routing_load(r->ctl, r->v, on_load, r);
}

void retire(struct control *ctl, struct version *v, retire_fn *fn, void *arg)
{
    struct retiring *r = v->retiring;

    if (r) {
        r->fn = fn;
        r->arg = arg;
        return;
    }
    r = v->retiring = calloc(1, sizeof(*r));
    if (!r)
        abort();
    *r = (struct retiring){.ctl = ctl, .v = v, .fn = fn, .arg = arg};
    r->give_up = clock_mono() + ctl->settings.drain_seconds * CLOCK_SEC;
    uv_timer_init(&ctl->loop, &r->timer);
    r->timer.data = r;
    uv_timer_start(&r->timer, on_look_due, LOOK_EVERY_MS, 0);
}

static void on_former_gone(struct version *v, void *arg)
{
    (void)v;
    (void)arg;
}

void retire_former(struct control *ctl, struct version *v)
{
    if (v->scaling.kind != SCALING_MANUAL)
        retire(ctl, v, on_former_gone, NULL);
}

/* ---- bury ---- */

static void on_archive_deleted(struct ctx *ctx, int rc, void *arg)
{
    (void)arg;
    if (rc)
        log_warn(ctx, "archive.delete", "why", ctx_err_text(ctx, rc));
}

static void remove_work(void *arg)
{
    files_remove_tree(arg);
}

void retire_bury(struct control *ctl, struct version *v)
{
    struct arena a = ARENA_INIT;
    char *dir = strdup(instance_dir(ctl, &a, v));

    if (v->prepared) /* else somebody may want to know why */
        unlink(build_log_path(ctl, &a, v));
    control_offload(ctl, remove_work, free, dir);
    if (!model_archive_used(&ctl->model, v->archive))
        archive_delete(
            ctl, v->archive,
            json_integer_value(json_object_get(v->doc, "archiveSize")),
            on_archive_deleted, NULL);
    model_version_free(v);
    arena_release(&a);
}
