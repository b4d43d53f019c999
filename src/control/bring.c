/* bring - prepare, call back, start, wait for the answers. */
#include "control/bring.h"

#include "base/files.h"
#include "base/log_writer.h"
#include "control/instance.h"
#include "control/story.h"

#include <stdlib.h>

enum { LOOK_AGAIN_MS = 50, FAILED_LOG_READ = 400, FAILED_LOG_LINES = 25 };

struct bring {
    struct control *ctl;
    struct version *v;
    int ready;
    prepare_say_fn *say;
    server_done_fn *done;
    void *arg;
    uv_timer_t timer;
};

static void bring_closed(uv_handle_t *h)
{
    free(h->data);
}

static void bring_end(struct bring *b, struct ctx *ctx, int rc)
{
    instances_watch(b->v, NULL, NULL);
    if (rc == 0 && b->ctl->stopping)
        rc = ctx_err(ctx, ERR_CANCELLED, "the platform is being stopped");
    b->done(ctx, rc, b->arg);
    uv_close((uv_handle_t *)&b->timer, bring_closed);
}

/* Why an instance does not run: the reason and the end of its log. */
static int instance_story(struct ctx *ctx, struct control *ctl,
                          const struct instance *in)
{
    struct arena *a = ctx->arena;
    struct bytes tail =
        log_text(a, files_tail(a, in->process->log, FAILED_LOG_READ),
                 instance_tag(a, in));
    const char *own =
        arena_printf(a, "%s/app", instance_dir(ctl, a, in->version));

    return ctx_err(ctx, ERR_INVALID,
                   "The application %s; the end of its log:\n%s",
                   in->process->why,
                   story_lines(a, tail, ctl->root, own, FAILED_LOG_LINES));
}

/* Those that answer, of those that stay. */
static bool enough(const struct bring *b)
{
    int ready = 0, staying = 0;

    for (size_t i = 0; i < b->v->n_instances; i++) {
        const struct instance *in = b->v->instances[i];

        staying += !in->leaving;
        ready += !in->leaving && in->process->state == PROCESS_READY;
    }
    return ready >= b->ready || (ready > 0 && ready == staying);
}

static void on_instances(struct version *v, void *arg)
{
    const struct instance *failed = instances_failed(v);
    struct bring *b = arg;
    struct arena a = ARENA_INIT;
    struct ctx ctx;
    int rc = 0;

    if (!enough(b) && !failed && v->n_instances > 0)
        return;
    ctx_init(&ctx, &a);
    if (!enough(b))
        rc = failed ? instance_story(&ctx, b->ctl, failed)
                    : ctx_err(&ctx, ERR_ABORTED, "its instances were ended");
    bring_end(b, &ctx, rc);
    arena_release(&a);
}

/*
 * While its instances are on their way out they are called back; from the
 * first one's end on there is only waiting for the last one's.
 */
static void on_start_due(uv_timer_t *timer)
{
    struct bring *b = timer->data;
    struct version *v = b->v;
    struct arena a = ARENA_INIT;
    struct ctx ctx;
    int rc;

    if (v->retiring && !b->ctl->stopping) {
        v->recalled = true;
        uv_timer_start(timer, on_start_due, LOOK_AGAIN_MS, 0);
        return;
    }
    ctx_init(&ctx, &a);
    if (v->wanted < b->ready)
        v->wanted = b->ready;
    v->started = true;
    rc = instances_start(&ctx, b->ctl, v, on_instances, b);
    if (rc || enough(b))
        bring_end(b, &ctx, rc);
    arena_release(&a);
}

static void on_prepared(struct ctx *ctx, int rc, void *arg)
{
    struct bring *b = arg;

    b->v->preparing = false;
    if (rc)
        bring_end(b, ctx, rc);
    else
        uv_timer_start(&b->timer, on_start_due, 0, 0);
}

static void on_says(const char *sentence, void *arg)
{
    const struct bring *b = arg;

    if (b->say)
        b->say(sentence, b->arg);
}

/* A request may have begun to prepare it (scale.c). */
static void on_begin_due(uv_timer_t *timer)
{
    struct bring *b = timer->data;

    if (b->v->preparing) {
        uv_timer_start(timer, on_begin_due, LOOK_AGAIN_MS, 0);
        return;
    }
    b->v->preparing = true;
    prepare(b->ctl, b->v, on_says, on_prepared, b);
}

void bring(struct control *ctl, struct version *v, int ready,
           prepare_say_fn *say, server_done_fn *done, void *arg)
{
    struct bring *b = calloc(1, sizeof(*b));

    if (!b)
        abort();
    *b = (struct bring){.ctl = ctl,
                        .v = v,
                        .ready = ready > 0 ? ready : 1,
                        .say = say,
                        .done = done,
                        .arg = arg};
    uv_timer_init(&ctl->loop, &b->timer);
    b->timer.data = b;
    uv_timer_start(&b->timer, on_begin_due, 0, 0);
}
