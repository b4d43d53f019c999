/*
 * job - long work on the data that an operator asks for and follows.
 *
 * Statistics, verification, compaction.  One thread of the engine's does one
 * after the other, in the order they were asked for, while everything else goes
 * on.  A job that is asked for again while it waits or runs is the same job.
 *
 * Jobs live in memory: a restart forgets them.  Each leaves the store whole
 * wherever it stops, and starts from its beginning when it is asked for again.
 *
 * Thread rule: any thread.
 */
#ifndef ENGINE_JOB_H
#define ENGINE_JOB_H

#include "engine/engine.h"
#include "engine/verify.h"

enum engine_job_kind {
    ENGINE_JOB_STATS,
    ENGINE_JOB_VERIFY,
    ENGINE_JOB_COMPACT, /* of the whole store: no app */
};

/* Waiting, running and finished ones that can be asked about. */
enum { ENGINE_JOBS_MAX = 256 };

struct engine_job_spec {
    enum engine_job_kind kind;
    struct bytes app; /* any spelling */
    bool repair;      /* of a verification */
};

struct engine_job_state {
    bool done;
    const char *step; /* where it is, a sentence */
    int rc;           /* of a done one */
    const char *why;  /* the story of a failure, else NULL */
    struct verify_report report;
    struct storage_compaction compaction;
};

/*
 * Ask for a job; *id names it.  ERR_EXHAUSTED when too many are waiting,
 * ERR_UNAVAILABLE when the engine was not started.
 */
int engine_job_start(struct ctx *ctx, struct engine *e,
                     const struct engine_job_spec *spec, int64_t *id);

/* Its state, in the arena.  ERR_NOT_FOUND when there is none of that id: it was
 * of an earlier process, or too many came after it. */
int engine_job_look(struct ctx *ctx, struct engine *e, int64_t id,
                    struct engine_job_state *out);

#endif
