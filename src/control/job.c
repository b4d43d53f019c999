/* job - a child with a limit and a callback. */
#include "control/job.h"

#include "base/exit.h"

#include <signal.h>
#include <stdlib.h>

struct job {
    struct child child;
    uv_timer_t timer;
    int killed; /* the reason it was killed for, or 0 */
    job_fn *fn;
    void *arg;
    struct job *next;
};

static struct job *jobs;
static bool closed;

static void job_free(uv_handle_t *h)
{
    free(h->data);
}

static void job_unlink(struct job *j)
{
    struct job **at = &jobs;

    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
}

static void job_exit(struct child *c, int status)
{
    struct job *j = c->arg;
    struct arena a = ARENA_INIT;

    job_unlink(j);
    if (j->killed == ERR_DEADLINE)
        j->fn(ERR_DEADLINE, "took longer than it may", j->arg);
    else if (j->killed)
        j->fn(j->killed, "was given up", j->arg);
    else if (status != 0)
        j->fn(ERR_INVALID, exit_text(&a, status), j->arg);
    else
        j->fn(0, "", j->arg);
    arena_release(&a);
    uv_close((uv_handle_t *)&j->timer, job_free);
}

static void job_late(uv_timer_t *t)
{
    struct job *j = t->data;

    j->killed = ERR_DEADLINE;
    child_signal_all(&j->child, SIGKILL);
}

int job_start(struct ctx *ctx, uv_loop_t *loop, const struct child_spec *spec,
              int64_t limit, job_fn *fn, void *arg, struct job **out)
{
    struct job *j;
    int rc;

    if (closed)
        return ctx_err(ctx, ERR_CANCELLED, "the platform is being stopped");
    j = calloc(1, sizeof(*j));
    if (!j)
        abort();
    j->fn = fn;
    j->arg = arg;
    j->child.on_exit = job_exit;
    j->child.arg = j;
    rc = child_spawn(ctx, loop, &j->child, spec);
    if (rc) {
        free(j);
        return rc;
    }
    uv_timer_init(loop, &j->timer);
    j->timer.data = j;
    uv_timer_start(&j->timer, job_late, (uint64_t)(limit / CLOCK_MS), 0);
    j->next = jobs;
    jobs = j;
    if (out)
        *out = j;
    return 0;
}

void job_cancel(struct job *j)
{
    j->killed = ERR_CANCELLED;
    child_signal_all(&j->child, SIGKILL);
}

void jobs_close(void)
{
    closed = true;
    for (struct job *j = jobs; j; j = j->next)
        job_cancel(j);
}
