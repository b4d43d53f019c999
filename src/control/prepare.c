/* prepare - fetch, unpack, build: one function per step. */
#include "control/prepare.h"

#include "base/errinj.h"
#include "base/files.h"
#include "base/log.h"
#include "control/archive.h"
#include "control/build_log.h"
#include "control/confine.h"
#include "control/instance.h"
#include "control/job.h"
#include "control/proc.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    UNPACK_LIMIT = 300 * 1000 * 1000,
    SAY_EVERY_MS = 200,
    REASON_LINES = 12,
};

struct prepare {
    struct control *ctl;
    struct version *v;
    prepare_say_fn *say;
    server_done_fn *done;
    void *arg;
    bool building;
    uv_timer_t timer; /* reads the build's progress */
    char said[256];
};

static const char *mark_path(struct prepare *p, struct arena *a)
{
    return arena_printf(a, "%s/built", instance_dir(p->ctl, a, p->v));
}

static void prepare_closed(uv_handle_t *h)
{
    free(h->data);
}

static void prepare_end(struct prepare *p, struct ctx *ctx, int rc)
{
    uv_timer_stop(&p->timer);
    p->v->prepared = rc == 0;
    p->done(ctx, rc, p->arg);
    uv_close((uv_handle_t *)&p->timer, prepare_closed);
}

static void say(struct prepare *p, const char *sentence)
{
    if (p->say && strcmp(sentence, p->said) != 0)
        p->say(sentence, p->arg);
    snprintf(p->said, sizeof(p->said), "%s", sentence);
}

/* The command that shows the log whole. */
static const char *whole_log(struct arena *a, const struct version *v)
{
    const char *service = v->service->id;
    bool named = strcmp(service, "default") != 0;

    return arena_printf(a, "%s --build%s%s", v->service->app->id,
                        named ? " --service " : "", named ? service : "");
}

/*
 * The reason of a failed step: what its log calls an error ("error: ..."), else
 * its last lines.
 */
static int step_failed(struct ctx *ctx, struct prepare *p, const char *step,
                       int rc, const char *why)
{
    struct bytes tail = files_tail(
        ctx->arena, build_log_path(p->ctl, ctx->arena, p->v), REASON_LINES);
    char *text = arena_cstr(ctx->arena, tail);
    const char *at = strstr(text, "\nerror: ");
    const char *more =
        arena_printf(ctx->arena, "\nThe whole log: appscale logs %s",
                     whole_log(ctx->arena, p->v));
    size_t n = strlen(text);

    while (n && text[n - 1] == '\n')
        text[--n] = '\0';
    at = at ? at + 1 : strncmp(text, "error: ", 7) == 0 ? text : NULL;
    if (at)
        return ctx_err(ctx, rc, "%s failed: %s%s", step, at + 7, more);
    return ctx_err(ctx, rc, "%s %s; the end of its log:\n%s%s", step, why, text,
                   more);
}

/* ---- the steps, last first ---- */

static void on_built(int rc, const char *why, void *arg)
{
    struct prepare *p = arg;
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &a);
    if (rc)
        rc = step_failed(&ctx, p, "The build", rc, why);
    else
        rc = files_replace(&ctx, mark_path(p, &a), BYTES_NONE, 0600);
    prepare_end(p, &ctx, rc);
    arena_release(&a);
}

/* The newest "step: ..." line of the build's log, as it goes. */
static void on_progress_due(uv_timer_t *t)
{
    struct prepare *p = t->data;
    struct arena a = ARENA_INIT;
    char *text =
        arena_cstr(&a, files_tail(&a, build_log_path(p->ctl, &a, p->v), 200));
    char *last = NULL;

    for (char *at = strstr(text, "step: "); at; at = strstr(at + 1, "step: "))
        if (at == text || at[-1] == '\n')
            last = at + 6;
    if (last) {
        last[strcspn(last, "\n")] = '\0';
        say(p, last);
    }
    arena_release(&a);
}

static int build(struct ctx *ctx, struct prepare *p)
{
    struct arena *a = ctx->arena;
    const char *program =
        arena_printf(a, "%s/%s/build", p->ctl->runtimes, p->v->runtime);
    struct child_spec spec = {.log = build_log_path(p->ctl, a, p->v),
                              .tag = ""};
    int rc;

    if (access(program, X_OK) != 0)
        return ctx_err(ctx, ERR_INVALID,
                       "there is no runtime \"%s\" here: %s is missing",
                       p->v->runtime, program);
    rc = confine_build(ctx, p->ctl, p->v, &spec.argv);
    if (rc)
        return rc;
    spec.env = instance_build_env(p->ctl, a, p->v);
    spec.dir = arena_printf(a, "%s/app", instance_dir(p->ctl, a, p->v));
    uv_timer_start(&p->timer, on_progress_due, SAY_EVERY_MS, SAY_EVERY_MS);
    return job_start(ctx, &p->ctl->loop, &spec,
                     p->ctl->settings.build_seconds * CLOCK_SEC, on_built, p,
                     NULL);
}

static void on_unpacked(int rc, const char *why, void *arg)
{
    struct prepare *p = arg;
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &a);
    if (rc)
        rc = step_failed(&ctx, p, "Unpacking", rc, why);
    if (rc == 0) {
        say(p, "Building");
        rc = build(&ctx, p);
    }
    if (rc)
        prepare_end(p, &ctx, rc);
    arena_release(&a);
}

/*
 * tar itself refuses names that lead out of the folder, and puts links aside
 * until all files are written.  Files get the time of the unpacking: what
 * browsers know them by changes with a deployment.
 */
static int unpack(struct ctx *ctx, struct prepare *p)
{
    struct arena *a = ctx->arena;
    const char *dir = arena_printf(a, "%s/app", instance_dir(p->ctl, a, p->v));
    const char *tar = proc_find_program(a, "tar");
    struct child_spec spec = {.log = build_log_path(p->ctl, a, p->v),
                              .tag = ""};
    int rc;

    if (!tar)
        return ctx_err(ctx, ERR_NOT_FOUND,
                       "the program tar is missing: "
                       "apt-get install tar");
    build_log_begin(p->ctl, p->v);
    files_remove_tree(instance_dir(p->ctl, a, p->v));
    rc = files_mkdirs(ctx, dir);
    if (rc)
        return rc;
    say(p, "Unpacking");
    spec.argv = WORDS(a, tar, "-xmzf", archive_path(p->ctl, a, p->v->archive),
                      "-C", dir, "--no-same-owner", "--no-same-permissions");
    spec.env = control_env(p->ctl, a, "unpack", NULL);
    return job_start(ctx, &p->ctl->loop, &spec, UNPACK_LIMIT, on_unpacked, p,
                     NULL);
}

static void on_fetched(struct ctx *ctx, int rc, void *arg)
{
    struct prepare *p = arg;

    if (rc == 0)
        rc = unpack(ctx, p);
    if (rc)
        prepare_end(p, ctx, rc);
}

static void on_begin(uv_timer_t *t)
{
    struct prepare *p = t->data;
    struct arena a = ARENA_INIT;
    struct ctx ctx;

    ctx_init(&ctx, &a);
    if (access(mark_path(p, &a), F_OK) == 0) {
        prepare_end(p, &ctx, 0);
    } else if (archive_complete(p->ctl, p->v->archive)) {
        on_fetched(&ctx, 0, p);
    } else {
        say(p, "Fetching the code");
        archive_fetch(
            p->ctl, p->v->archive,
            json_integer_value(json_object_get(p->v->doc, "archiveSize")),
            on_fetched, p);
    }
    arena_release(&a);
}

void prepare(struct control *ctl, struct version *v, prepare_say_fn *say_fn,
             server_done_fn *done, void *arg)
{
    struct prepare *p = calloc(1, sizeof(*p));

    if (!p)
        abort();
    *p = (struct prepare){
        .ctl = ctl, .v = v, .say = say_fn, .done = done, .arg = arg};
    uv_timer_init(&ctl->loop, &p->timer);
    p->timer.data = p;
    uv_timer_start(&p->timer, on_begin, 0, 0);
}
