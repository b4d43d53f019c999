/*
 * cron - the scheduled requests of applications.
 *
 * An application's cron.yaml is a row of the store; each of its jobs has a
 * second row that says where the job stands.  A job is known by what it is (its
 * URL, schedule, zone and target), so an unchanged one goes on as it was when
 * the file is replaced.
 *
 * One run for a slot, whenever the controller is killed: a slot is claimed in
 * the job's row before the request is sent, and the request carries a name by
 * which haproxy, which goes on, tells it from a second one.  The next
 * controller finds the row, sends the same request again, and gets the status
 * of the first one instead of a second run.  Only when haproxy has been
 * restarted as well it is not known whether the application saw the request;
 * then the run counts as one, and the job's retry_parameters decide whether
 * there is another.
 *
 * A slot that comes due while the platform is down is made up for when it is
 * back within CRON_LATE_SECONDS, the newest one of each job.  A slot that comes
 * due while the run before goes on is left out, as in production.
 *
 * Thread rule: the loop's.
 */
#ifndef CONTROL_CRON_H
#define CONTROL_CRON_H

#include "control/admin.h"
#include "control/server_call.h"

enum {
    CRON_LATE_SECONDS = 600, /* ours */
    CRON_ANSWER_MAX = 2048,  /* bytes of an answer that are kept */
};

struct cron;
struct cron_job;

/* Make ctl->cron, without jobs; nothing runs before cron_begin(). */
void cron_start(struct control *ctl);

/*
 * Take a row of the table "cron" (an application's file) or "cronjobs" (where a
 * job of it stands), the files first.  ERR_CORRUPT, ERR_INVALID with the reason
 * when it does not read; the rest goes on.
 */
int cron_take_file(struct ctx *ctx, struct control *ctl, const char *row,
                   json_t *doc);

/* As cron_take_file(), of the table "cronjobs". */
int cron_take_job(struct ctx *ctx, struct control *ctl, const char *row,
                  const char *text);

/* Everything is loaded: runs begin, those that a crash cut short first. */
void cron_begin(struct control *ctl);

/*
 * Replace the jobs of `app` by those of a file ("cron.yaml" or "cron.xml").
 * ERR_INVALID with every finding; else fn runs once, on the loop, later: the
 * jobs are those of the file then, or (rc) as they were.
 */
int cron_replace(struct ctx *ctx, struct control *ctl, const char *app,
                 const char *file, const char *text, server_done_fn *fn,
                 void *arg);

/* Rows that go with an application, appended at rows[*n]; as many as
 * cron_rows() says. */
size_t cron_rows(const struct control *ctl, const char *app);

/* Append them; *n grows by cron_rows(). */
void cron_delete_rows(struct arena *a, const struct control *ctl,
                      const char *app, struct server_row *rows, size_t *n);

/* The application is gone from the store: its jobs end. */
void cron_forget(struct control *ctl, const char *app);

/* The job of that id, or NULL. */
struct cron_job *cron_find(struct control *ctl, const char *app,
                           const char *id);

/*
 * Run a job now, out of turn and without retries; fn runs once, when the run is
 * claimed.  ERR_CONFLICT while it runs.
 */
int cron_run(struct ctx *ctx, struct control *ctl, struct cron_job *job,
             server_done_fn *fn, void *arg);

/* The jobs of an application as the Admin API shows them (README.md). */
json_t *cron_json(struct control *ctl, const char *app);

/* One of them; `full` with the answer to its last run. */
json_t *cron_job_json(struct control *ctl, const struct cron_job *job,
                      bool full);

#endif
