/*
 * cron - the table of jobs, and what is due.
 *
 * One timer for all of them: it wakes at the earliest moment something is due,
 * and at least every second, since the wall's clock may be set.
 */
#include "base/log.h"
#include "control/cron_int.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>

enum { WAKE_MS = 1000, WAIT_READY_MS = 100 };

/* A clock that is set back by more than this is believed; less is waited for,
 * so that no slot comes twice. */
enum { BACK_SECONDS = 3600 };

/* ---- the clock ---- */

static struct {
    bool read;
    int64_t real;
    double speed;
} test_clock;

static void read_test_clock(void)
{
    const char *text = getenv("APPSCALE_CRON_CLOCK");
    char *end;

    test_clock.read = true;
    test_clock.speed = 1;
    if (!text)
        return;
    test_clock.real = strtoll(text, &end, 10);
    if (*end == ':')
        test_clock.speed = strtod(end + 1, &end);
    if (*end || test_clock.real <= 0 || test_clock.speed < 1)
        die("APPSCALE_CRON_CLOCK is \"%s\", and must be REAL:SPEED", text);
}

int64_t cron_now(void)
{
    int64_t wall = clock_wall();

    if (!test_clock.read)
        read_test_clock();
    if (test_clock.speed == 1)
        return wall;
    return test_clock.real +
           (int64_t)((double)(wall - test_clock.real) * test_clock.speed);
}

int64_t cron_real(int64_t d)
{
    return (int64_t)((double)d / test_clock.speed);
}

/* ---- the table ---- */

static struct cron_app *app_find(const struct control *ctl, const char *id)
{
    for (struct cron_app *a = ctl->cron->apps; a; a = a->next)
        if (strcmp(a->id, id) == 0)
            return a;
    return NULL;
}

static struct cron_job *job_find(const struct cron_app *a, const char *id)
{
    for (size_t i = 0; a && i < a->n; i++)
        if (strcmp(a->jobs[i]->id, id) == 0)
            return a->jobs[i];
    return NULL;
}

struct cron_job *cron_find(struct control *ctl, const char *app, const char *id)
{
    return job_find(app_find(ctl, app), id);
}

static void job_free(struct cron_job *job)
{
    cron_state_release(&job->state);
    free(job->stored);
    free(job);
}

/* It leaves the file; a call under way still needs it. */
static void job_leave(struct cron_job *job)
{
    job->app = NULL;
    job->file = NULL;
    if (!job->busy)
        job_free(job);
}

bool cron_release(struct cron_job *job)
{
    job->busy = false;
    if (job->app)
        return false;
    job_free(job);
    return true;
}

/* Frees what has no job any more. */
static void app_free(struct cron_app *a)
{
    arena_release(&a->arena);
    free(a->jobs);
    free(a->text);
    free(a->file);
    free(a->id);
    free(a);
}

static void app_insert(struct cron *cron, struct cron_app *a)
{
    struct cron_app **at = &cron->apps;

    while (*at && strcmp((*at)->id, a->id) < 0)
        at = &(*at)->next;
    a->next = *at;
    *at = a;
}

static struct cron_app *app_take_out(struct cron *cron, const char *id)
{
    for (struct cron_app **at = &cron->apps; *at; at = &(*at)->next)
        if (strcmp((*at)->id, id) == 0) {
            struct cron_app *a = *at;

            *at = a->next;
            return a;
        }
    return NULL;
}

void cron_forget(struct control *ctl, const char *app)
{
    struct cron_app *a = app_take_out(ctl->cron, app);

    if (!a)
        return;
    for (size_t i = 0; i < a->n; i++)
        job_leave(a->jobs[i]);
    app_free(a);
}

/* ---- a file becomes jobs ---- */

/* What a job is; equal ones are told apart by how many stand before. */
static void job_name(const struct cronyaml_job *f, int twins,
                     char out[CRON_ID + 1])
{
    unsigned char sum[CRON_ID / 2];
    struct buf what = BUF_HEAP;

    buf_printf(&what, "%s\n%s\n%s\n%s\n%d", f->url, f->schedule_text,
               f->timezone, f->target, twins);
    crypto_generichash(sum, sizeof(sum), what.p, what.n, NULL, 0);
    sodium_bin2hex(out, CRON_ID + 1, sum, sizeof(sum));
    buf_release(&what);
}

static struct cron_job *job_new(struct control *ctl, struct cron_app *a,
                                struct cronyaml_job *f)
{
    struct cron_job *job = calloc(1, sizeof(*job));
    int twins = 0;

    if (!job)
        abort();
    job->ctl = ctl;
    job->app = a;
    job->file = f;
    job->number = (int)a->n + 1;
    do
        job_name(f, twins++, job->id);
    while (job_find(a, job->id));
    job->state.base = cron_now() / CLOCK_SEC;
    job->due = SCHEDULE_NEVER;
    return job;
}

static struct cron_app *app_new(struct ctx *ctx, struct control *ctl,
                                const char *id, const char *file,
                                const char *text, int64_t updated)
{
    struct cron_app *a = calloc(1, sizeof(*a));
    struct cronyaml cron;
    struct ctx own;
    int rc;

    if (!a)
        abort();
    *a = (struct cron_app){.id = strdup(id),
                           .file = strdup(file),
                           .text = strdup(text),
                           .updated = updated};
    ctx_init(&own, &a->arena);
    rc = cronyaml_parse(&own, a->file, bytes_str(a->text), &cron);
    if (rc) {
        ctx_err(ctx, rc, "%s", ctx_err_text(&own, rc));
        app_free(a);
        return NULL;
    }
    a->jobs = calloc(cron.n + 1, sizeof(struct cron_job *));
    if (!a->jobs)
        abort();
    for (size_t i = 0; i < cron.n; i++) {
        struct cron_job *job = job_new(ctl, a, &cron.jobs[i]);

        a->jobs[a->n++] = job;
    }
    return a;
}

/* ---- when ---- */

/* The next slot, and none that is too old to be made up for. */
static int64_t job_due(const struct cron_job *job)
{
    const struct cronyaml_job *f = job->file;

    return schedule_next(&f->schedule, f->zone, job->state.base);
}

/* The newest slot up to now that is not too late, or SCHEDULE_NEVER. */
static int64_t job_slot(const struct cron_job *job, int64_t now)
{
    const struct cronyaml_job *f = job->file;
    int64_t slot = job->due, next;

    if (slot > now)
        return SCHEDULE_NEVER;
    if (f->schedule.kind == SCHEDULE_INTERVAL)
        return slot >= now - CRON_LATE_SECONDS ? slot : now;
    if (slot < now - CRON_LATE_SECONDS)
        slot =
            schedule_next(&f->schedule, f->zone, now - CRON_LATE_SECONDS - 1);
    while (slot <= now) {
        next = schedule_next(&f->schedule, f->zone, slot);
        if (next > now)
            return slot;
        slot = next;
    }
    return SCHEDULE_NEVER;
}

static void check_clock(struct cron_job *job, int64_t now)
{
    if (job->state.base <= now + BACK_SECONDS)
        return;
    log_warn(NULL, "cron.clock", "app", job->app->id, "url", job->file->url,
             "why", "the clock was set back; its slots are counted anew");
    job->state.base = now;
    job->due = job_due(job);
}

static void job_look(struct cron_job *job)
{
    int64_t now = cron_now(), slot;

    if (*job->state.name) {
        if (job->state.next <= now)
            cron_run_go_on(job);
        return;
    }
    check_clock(job, now / CLOCK_SEC);
    if (job->due > now / CLOCK_SEC)
        return;
    slot = job_slot(job, now / CLOCK_SEC);
    if (slot == SCHEDULE_NEVER) {
        /* all too old: go on from here */
        job->state.base = now / CLOCK_SEC;
        job->due = job_due(job);
        return;
    }
    cron_run_begin(job, slot, false, NULL, NULL);
}

/* Microseconds of the scheduler's clock at which a job wants to be looked at.
 */
static int64_t job_wakes(const struct cron_job *job)
{
    if (job->busy)
        return INT64_MAX;
    if (*job->state.name)
        return job->state.next;
    return job->due == SCHEDULE_NEVER ? INT64_MAX : job->due * CLOCK_SEC;
}

static void on_wake(uv_timer_t *t);

static void wake_at_the_earliest(struct cron *cron)
{
    int64_t first = INT64_MAX, ms = WAKE_MS;
    bool any = false;

    for (struct cron_app *a = cron->apps; a; a = a->next)
        for (size_t i = 0; i < a->n; i++) {
            int64_t at = job_wakes(a->jobs[i]);

            any = true;
            first = at < first ? at : first;
        }
    if (!cron->begun || !any || cron->ctl->stopping) {
        uv_timer_stop(&cron->timer);
        return;
    }
    if (first != INT64_MAX) {
        int64_t left = cron_real(first - cron_now()) / CLOCK_MS + 1;

        ms = left < 0 ? 0 : left < WAKE_MS ? left : WAKE_MS;
    }
    uv_timer_start(&cron->timer, on_wake, (uint64_t)ms, 0);
}

/* Runs that could not reach anything now are better begun a little late. */
static void on_wake(uv_timer_t *t)
{
    struct cron *cron = t->data;

    if (!control_ready(cron->ctl)) {
        if (!cron->ctl->stopping)
            uv_timer_start(t, on_wake, WAIT_READY_MS, 0);
        return;
    }
    for (struct cron_app *a = cron->apps; a; a = a->next)
        for (size_t i = 0; i < a->n; i++)
            if (!a->jobs[i]->busy)
                job_look(a->jobs[i]);
    wake_at_the_earliest(cron);
}

void cron_settle(struct cron_job *job)
{
    job->due = job_due(job);
    wake_at_the_earliest(job->ctl->cron);
}

/* ---- start ---- */

void cron_start(struct control *ctl)
{
    struct cron *cron = calloc(1, sizeof(*cron));

    if (!cron)
        abort();
    cron->ctl = ctl;
    uv_timer_init(&ctl->loop, &cron->timer);
    cron->timer.data = cron;
    ctl->cron = cron;
    cron_now(); /* a clock that is set wrongly stops the start */
}

void cron_begin(struct control *ctl)
{
    ctl->cron->begun = true;
    for (struct cron_app *a = ctl->cron->apps; a; a = a->next)
        for (size_t i = 0; i < a->n; i++)
            a->jobs[i]->due = job_due(a->jobs[i]);
    wake_at_the_earliest(ctl->cron);
}

int cron_take_file(struct ctx *ctx, struct control *ctl, const char *row,
                   json_t *doc)
{
    const char *file = NULL, *text = NULL;
    json_int_t updated = 0;
    struct cron_app *a;

    if (json_unpack(doc, "{s:s, s:s, s:I}", "file", &file, "text", &text,
                    "updated", &updated) != 0)
        return ctx_err(ctx, ERR_CORRUPT, "file, text or updated is missing");
    if (app_find(ctl, row))
        return 0; /* a table is read again after a failure */
    a = app_new(ctx, ctl, row, file, text, updated);
    if (!a)
        return ERR_INVALID;
    app_insert(ctl->cron, a);
    return 0;
}

int cron_take_job(struct ctx *ctx, struct control *ctl, const char *row,
                  const char *text)
{
    char *app = arena_strdup(ctx->arena, row);
    char *slash = strchr(app, '/');
    struct cron_job *job;
    struct cron_state s;
    int rc;

    if (!slash)
        return ctx_err(ctx, ERR_CORRUPT, "its name is not APP/ID");
    *slash = '\0';
    job = cron_find(ctl, app, slash + 1);
    if (!job)
        return ctx_err(ctx, ERR_CORRUPT, "its file has no such job");
    free(job->stored); /* what there is, whether it reads or not */
    job->stored = strdup(text);
    rc = cron_state_parse(ctx, text, &s);
    if (rc)
        return rc;
    cron_state_release(&job->state);
    job->state = s;
    return 0;
}

/* ---- another file ---- */

struct replacement {
    struct control *ctl;
    struct cron_app *fresh;
    server_done_fn *fn;
    void *arg;
};

/* Jobs that stay keep their struct, and with it a run under way. */
static void keep_jobs(struct cron_app *fresh, struct cron_app *old)
{
    for (size_t i = 0; old && i < old->n; i++) {
        struct cron_job *was = old->jobs[i];
        struct cron_job *now = job_find(fresh, was->id);

        if (!now) {
            job_leave(was);
            continue;
        }
        was->app = fresh;
        was->file = now->file;
        was->number = now->number;
        fresh->jobs[now->number - 1] = was;
        job_free(now);
    }
}

static void on_replaced(struct ctx *ctx, int rc, void *arg)
{
    struct replacement *r = arg;
    struct cron *cron = r->ctl->cron;
    struct cron_app *old;

    if (rc) {
        for (size_t i = 0; i < r->fresh->n; i++)
            job_free(r->fresh->jobs[i]);
        app_free(r->fresh);
    } else {
        old = app_take_out(cron, r->fresh->id);
        keep_jobs(r->fresh, old);
        if (old)
            app_free(old);
        app_insert(cron, r->fresh);
        for (size_t i = 0; i < r->fresh->n; i++)
            cron_settle(r->fresh->jobs[i]);
        log_info(NULL, "cron.replaced", "app", r->fresh->id, "jobs",
                 log_int((int64_t)r->fresh->n));
    }
    r->fn(ctx, rc, r->arg);
    free(r);
}

static const char *job_row(struct arena *a, const char *app, const char *id)
{
    return arena_printf(a, "%s/%s", app, id);
}

static const char *file_doc(struct arena *a, const struct cron_app *app)
{
    json_t *o = json_pack("{s:s, s:s, s:I}", "file", app->file, "text",
                          app->text, "updated", (json_int_t)app->updated);
    char *text = json_dumps(o, JSON_COMPACT);
    const char *copy = arena_strdup(a, text);

    free(text);
    json_decref(o);
    return copy;
}

/* The file, the rows of new jobs, and the end of those that go. */
static size_t replacement_rows(struct arena *a, struct cron_app *fresh,
                               const struct cron_app *old,
                               struct server_row *rows)
{
    size_t n = 0;

    rows[n++] = (struct server_row){"cron", fresh->id, file_doc(a, fresh)};
    for (size_t i = 0; i < fresh->n; i++) {
        struct cron_job *job = fresh->jobs[i];

        if (job_find(old, job->id))
            continue;
        job->stored = cron_state_format(&job->state);
        rows[n++] = (struct server_row){
            "cronjobs", job_row(a, fresh->id, job->id), job->stored};
    }
    for (size_t i = 0; old && i < old->n; i++)
        if (!job_find(fresh, old->jobs[i]->id))
            rows[n++] = (struct server_row){
                "cronjobs", job_row(a, fresh->id, old->jobs[i]->id), NULL};
    return n;
}

int cron_replace(struct ctx *ctx, struct control *ctl, const char *app,
                 const char *file, const char *text, server_done_fn *fn,
                 void *arg)
{
    const struct cron_app *old = app_find(ctl, app);
    struct cron_app *fresh = app_new(ctx, ctl, app, file, text, clock_wall());
    struct replacement *r;
    struct server_row *rows;

    if (!fresh)
        return ERR_INVALID;
    r = calloc(1, sizeof(*r));
    if (!r)
        abort();
    *r = (struct replacement){ctl, fresh, fn, arg};
    rows = ARENA_ARRAY(ctx->arena, struct server_row,
                       1 + fresh->n + (old ? old->n : 0));
    server_write(ctx, ctl, rows, replacement_rows(ctx->arena, fresh, old, rows),
                 on_replaced, r);
    return 0;
}

size_t cron_rows(const struct control *ctl, const char *app)
{
    const struct cron_app *a = app_find(ctl, app);

    return a ? 1 + a->n : 0;
}

void cron_delete_rows(struct arena *arena, const struct control *ctl,
                      const char *app, struct server_row *rows, size_t *n)
{
    const struct cron_app *a = app_find(ctl, app);

    if (!a)
        return;
    rows[(*n)++] = (struct server_row){"cron", arena_strdup(arena, app), NULL};
    for (size_t i = 0; i < a->n; i++)
        rows[(*n)++] = (struct server_row){
            "cronjobs", job_row(arena, app, a->jobs[i]->id), NULL};
}

int cron_run(struct ctx *ctx, struct control *ctl, struct cron_job *job,
             server_done_fn *fn, void *arg)
{
    if (!control_ready(ctl))
        return ctx_err(ctx, ERR_UNAVAILABLE,
                       "the platform is not ready; appscale status shows why");
    if (job->busy || *job->state.name)
        return ctx_err(ctx, ERR_CONFLICT, "the job %s is running", job->id);
    cron_run_begin(job, cron_now() / CLOCK_SEC, true, fn, arg);
    return 0;
}
