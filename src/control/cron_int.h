/*
 * cron_int - what the files of cron share.
 *
 *     cron.c        the table: files, jobs, the clock, what is due
 *     cron_state.c  where a job stands, as a row of the store
 *     cron_run.c    one run: claim, send, judge, try again, end
 *     cron_json.c   what the Admin API shows
 *     admin_cron.c  its paths
 */
#ifndef CONTROL_CRON_INT_H
#define CONTROL_CRON_INT_H

#include "config/cronyaml.h"
#include "control/cron.h"

enum { CRON_ID = 16, CRON_NAME = 32 };

enum cron_outcome {
    CRON_NONE,
    CRON_SUCCEEDED, /* an answer of 200..299 */
    CRON_FAILED,    /* any other, or none in time */
    CRON_UNKNOWN,   /* it was sent, or was about to; no more is known */
};

/*
 * Where a job stands, as its row says.  Times are microseconds of cron_now()
 * unless they say otherwise.
 */
struct cron_state {
    int64_t base; /* seconds; the next slot lies behind it */

    /* A run under way; without one `name` is empty. */
    char name[CRON_NAME + 1]; /* X-AppEngine-TaskName, unique */
    int64_t slot;             /* seconds: what it is the run of */
    int64_t eta;              /* when its attempt was due */
    bool manual;              /* asked for, out of turn */
    int64_t first;            /* when its first attempt began */
    int failures;             /* attempts that failed... */
    int reached;              /* ...and those that the application saw */
    int status;               /* of the last attempt; 0: none */
    char *reason;             /* why that failed; or NULL */
    int64_t next;             /* when there is another; 0: one is under way */
    int64_t sent;             /* clock_wall() just before it was sent */
    char *haproxy;            /* which one remembers it; or NULL */
    int deliveries; /* how many requests have been sent under the name */

    /* The last run that ended; without one `last_name` is empty. */
    char last_name[CRON_NAME + 1];
    int64_t last_slot, last_first, last_end;
    bool last_manual;
    int last_attempts, last_status;
    enum cron_outcome last_outcome;
    char *last_reason; /* or NULL */
    char *answer;      /* the beginning of its body; or NULL */
};

struct cron_app;

struct cron_job {
    struct control *ctl;
    struct cron_app *app; /* NULL: no longer in the file */
    char id[CRON_ID + 1];
    int number;                /* from 1, in the order of the file */
    struct cronyaml_job *file; /* in the app's arena */
    struct cron_state state;
    char *stored; /* its row, to the byte; NULL: none yet */
    bool busy;    /* a call for it is under way */
    int64_t due;  /* seconds: its next slot; SCHEDULE_NEVER */
};

struct cron_app {
    char *id, *file, *text;
    int64_t updated; /* clock_wall() */
    struct arena arena;
    struct cron_job **jobs;
    size_t n;
    struct cron_app *next;
};

struct cron {
    struct control *ctl;
    struct cron_app *apps; /* in order of their ids */
    bool begun;
    uv_timer_t timer;
};

/* ---- cron.c ---- */

/*
 * The scheduler's clock: the wall's, unless a test sets APPSCALE_CRON_CLOCK to
 * "REAL:SPEED"; then it shows REAL (microseconds since 1970) when the wall
 * does, and runs SPEED times as fast.  So it goes on where it was in the next
 * controller.
 */
int64_t cron_now(void);

/* Microseconds of the wall that pass in `d` of the scheduler's. */
int64_t cron_real(int64_t d);

/* Something of the job has changed: find its next slot, and look when to wake
 * up. */
void cron_settle(struct cron_job *job);

/* A call for it is over; frees one that has left the file.  True then. */
bool cron_release(struct cron_job *job);

/* ---- cron_state.c ---- */

/* Read a row.  ERR_CORRUPT with the reason. */
int cron_state_parse(struct ctx *ctx, const char *text, struct cron_state *out);

/* The row, to be freed. */
char *cron_state_format(const struct cron_state *s);

/* A copy that owns its texts. */
struct cron_state cron_state_copy(const struct cron_state *s);

/* Give back the texts. */
void cron_state_release(struct cron_state *s);

/*
 * Make `next` the state of the job, if its row in the store is still what we
 * know; takes over the texts of `next`.  fn runs once, later: rc 0 and the job
 * stands there; or it stands where the store says it does (ERR_CONFLICT), or as
 * before (any other).  The job is busy meanwhile.
 */
void cron_state_commit(struct cron_job *job, struct cron_state next,
                       server_done_fn *fn, void *arg);

/* ---- cron_run.c ---- */

/* Begin the run of a slot (seconds).  fn may be NULL. */
void cron_run_begin(struct cron_job *job, int64_t slot, bool manual,
                    server_done_fn *fn, void *arg);

/* Go on with a run whose attempt is due, or was cut short by a crash. */
void cron_run_go_on(struct cron_job *job);

#endif
