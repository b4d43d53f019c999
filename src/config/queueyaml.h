/*
 * queueyaml - queue.yaml as values: what a queue may do.
 *
 * The tables in appfiles.c say what may stand in the file; this reads it,
 * with the rules that concern several values at once.  A new key is a row
 * there and a line here.
 *
 * Everything lives in the arena of the ctx.  Any thread.
 */
#ifndef CONFIG_QUEUEYAML_H
#define CONFIG_QUEUEYAML_H

#include "config/node.h"

/* What holds where a file says nothing (Google's public reference). */
enum {
    QUEUEYAML_BUCKET_SIZE = 5,
    QUEUEYAML_CONCURRENT = 1000,
};

/* retry_parameters; what is not there takes the defaults of the protocol. */
struct queueyaml_retry {
    bool given; /* any of it */
    bool has_limit, has_age, has_min, has_max, has_doublings;
    int64_t limit;   /* retries */
    int64_t age;     /* seconds since the first attempt */
    double min, max; /* backoff, seconds */
    int64_t max_doublings;
};

struct queueyaml_queue {
    const char *name;
    bool pull;
    const char *rate;       /* as written, "5/s"; NULL for a pull queue */
    double per_second;      /* 0: nothing is dispatched */
    int64_t bucket_size;    /* 0: not given */
    int64_t max_concurrent; /* 0: not given */
    const char *target;     /* "service", "version.service"; or NULL */
    struct queueyaml_retry retry;
    const char **users; /* who may take tasks off it */
    size_t n_users;
    const char **writers; /* who may put some on */
    size_t n_writers;
};

struct queueyaml {
    int64_t storage_limit;          /* bytes; -1: not given */
    bool resume_paused;             /* take back what PauseQueue ordered */
    struct queueyaml_queue *queues; /* in the order of the file */
    size_t n;
};

/*
 * Read and check `text`, which messages call `file`.  ERR_INVALID with every
 * finding as FILE:LINE:COLUMN: reason.  An empty file is one without queues.
 */
int queueyaml_parse(struct ctx *ctx, const char *file, struct bytes text,
                    struct queueyaml *out);

/*
 * "5/s", "0.5/m", "1/d", "0" in tasks a second.  False when it is no rate; a
 * rate without a number is none.
 */
bool queueyaml_rate(const char *text, double *per_second);

/* "10" or "10M" in bytes, in steps of 1024; -1 when it is no size, INT64_MAX
 * for what is larger. */
int64_t queueyaml_size(const char *text);

#endif
