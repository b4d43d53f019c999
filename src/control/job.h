/*
 * job - a command that runs once: a build, an unpacking, a check of a
 * configuration.
 *
 * A job that outlives its limit is killed with all it started.  When the
 * controller ends, so do its jobs: nobody would read their result.
 * Thread rule: the loop's.
 */
#ifndef CONTROL_JOB_H
#define CONTROL_JOB_H

#include "control/child.h"

struct job;

/* `rc` is 0 when it exited with 0; else ERR_DEADLINE or ERR_INVALID with the
 * reason in `why`, a sentence without its subject ("ended with exit status
 * 1"). */
typedef void job_fn(int rc, const char *why, void *arg);

/*
 * Start.  fn runs exactly once, on the loop, unless this returns an error.
 * `limit` is in microseconds.
 */
int job_start(struct ctx *ctx, uv_loop_t *loop, const struct child_spec *spec,
              int64_t limit, job_fn *fn, void *arg, struct job **out);

/* Kill it; fn runs soon, with ERR_CANCELLED. */
void job_cancel(struct job *j);

/* The controller ends: cancel every job, and start no other (job_start()
 * answers ERR_CANCELLED from now on). */
void jobs_close(void);

#endif
