/*
 * log_query - what the logs in DIR/logs say, merged by time.
 *
 * A question names a project (its services' and versions' logs, and its
 * requests from the access logs) or processes of the platform, and what an
 * entry must be.  The answer holds the newest entries and a cursor: asked again
 * with that, what came after them, each once, across rotation.  A cursor is
 * text that means nothing to its holder: where reading has come to in each log.
 *
 * Every log is read for itself (log_source.h), so merging is by the times in
 * the lines; what arrives between two questions with an older time is in the
 * later answer.  Thread rule: any; it waits for the disk.
 */
#ifndef CONTROL_LOG_QUERY_H
#define CONTROL_LOG_QUERY_H

#include "base/ctx.h"
#include "control/log_source.h"

enum {
    LOG_QUERY_LINES_MAX = 1000,
    LOG_QUERY_SOURCES = 512, /* logs of one question */
};

struct log_query {
    const char *folder;
    const char *process;      /* of the platform; NULL without a project: all */
    struct log_filter filter; /* its project: the logs of that */
    const char *cursor;       /* NULL: the newest */
    int lines;                /* of an answer without a cursor */
};

struct log_answer {
    struct log_entry *entries;
    size_t n;
    size_t n_logs; /* that there are: 0 when the names fit none */
    const char *cursor;
    bool more; /* ask again at once */
    bool lost; /* lines behind the cursor are gone */
};

/* In ctx->arena.  ERR_INVALID for a cursor that is none. */
int log_query_run(struct ctx *ctx, const struct log_query *q,
                  struct log_answer *out);

/* The text of a cursor, in the arena. */
const char *log_cursor_format(struct arena *a, const struct log_place *places,
                              size_t n);

/* The places of a cursor, in the arena; false when it is none. */
bool log_cursor_parse(struct arena *a, const char *text,
                      struct log_place **places, size_t *n);

#endif
