/*
 * job_int - a job as those see it that do it (stats.c, verify.c).
 */
#ifndef ENGINE_JOB_INT_H
#define ENGINE_JOB_INT_H

#include "engine/engine_int.h"
#include "engine/job.h"

struct job {
    struct job *next; /* in the order they were asked for */
    int64_t id;
    struct engine_job_spec spec; /* spec.app is a project */
    struct engine *engine;
    struct arena arena; /* its report's strings */
    bool running, done; /* under the lock of the table, as what follows */
    char step[256];
    int rc;
    char *why;
    struct verify_report report;
    struct storage_compaction compaction;
};

/* Say where the job is; cut to the room there is. */
void job_say(struct job *job, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Whether the engine stops: the job ends with ERR_CANCELLED. */
bool job_stopped(const struct job *job);

/* Count an app's entities and write its `__Stat_*__` ones.  Called by the
 * thread of jobs; `ctx` has no deadline and an arena of the job's whole run. */
int job_stats(struct ctx *ctx, struct job *job);

/* Check, or repair, an app's rows, into job->report.  Called as job_stats(). */
int job_verify(struct ctx *ctx, struct job *job);

/* An empty table, without its thread; out of memory ends the process. */
struct job_table *job_table_new(struct engine *e);

/* Start the thread; ERR_UNAVAILABLE when there can be none. */
int job_table_start(struct ctx *ctx, struct job_table *t);

/* End the thread, once engine.stop has told the job under way; what waits stays
 * undone.  Nothing when it does not run. */
void job_table_stop(struct job_table *t);

/* Free the table and its jobs; the thread is gone, nobody asks any more. */
void job_table_free(struct job_table *t);

#endif
