/*
 * operation - a change under way, as the Admin API shows it.
 *
 * Kept in memory while it matters: the newest hundred.  A change that a crash
 * cut short is found by its row in the table "operations" and reported as
 * failed (load.c).  Thread rule: the loop's.
 */
#ifndef CONTROL_OPERATION_H
#define CONTROL_OPERATION_H

#include "base/ctx.h"

#include <jansson.h>

struct control;

enum { OPERATIONS_KEPT = 100 };

struct operation {
    char id[32];
    char *app, *method, *target;
    int64_t inserted, ended; /* clock_wall() */
    char message[512];       /* the step it is at */
    json_t *warnings;        /* array of strings */
    bool aside; /* changes nothing that another change could spoil */
    bool done;
    int code; /* enum err_code; 0: it went well */
    char *error;
    json_t *response;
    struct operation *next;
};

/*
 * Begin a change of `app`.  ERR_CONFLICT while another one is under way there,
 * saying which.
 */
int operation_begin(struct ctx *ctx, struct control *ctl, const char *app,
                    const char *method, const char *target,
                    struct operation **out);

/* Whether a change of `app` is under way. */
bool operation_busy(const struct control *ctl, const char *app);

/*
 * Begin work that may go on beside any change of the app; never refused.  `app`
 * "-" stands for the whole platform.
 */
struct operation *operation_begin_aside(struct control *ctl, const char *app,
                                        const char *method, const char *target);

/* One that a crash cut short: done, failed. */
void operation_lost(struct control *ctl, const char *app, const char *id);

/*
 * The step it is at, as one sentence: shown to who follows it, and logged.  Cut
 * to the room in struct operation.
 */
void operation_say(struct operation *op, const char *sentence);

/* Add a sentence to the warnings the answer carries; it does not fail. */
void operation_warn(struct operation *op, const char *sentence);

/* The end; on rc 0 the reference `response` is taken over (NULL: {}). */
void operation_end(struct operation *op, struct ctx *ctx, int rc,
                   json_t *response);

/* NULL when there is no such operation (any more). */
struct operation *operation_find(struct control *ctl, const char *app,
                                 const char *id);

/* The resource, a new reference. */
json_t *operation_json(const struct operation *op);

/* "2026-11-22T19:40:01.123Z" for clock_wall(); in the arena. */
const char *operation_time(struct arena *a, int64_t wall);

#endif
