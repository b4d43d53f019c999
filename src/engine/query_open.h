/*
 * query_open - what Next needs of a RunQuery that left rows behind.
 *
 * An open query is its request, the cursor of the last row, and what is left
 * to skip and to return.  It lives in memory for QUERY_IDLE_SEC after its last
 * use; when the table is full the one idle longest goes.  Handles are random:
 * nobody guesses another app's, and its app is checked on top.
 *
 * Thread rule: any thread; LOCK_ENGINE_QUERY inside.
 */
#ifndef ENGINE_QUERY_OPEN_H
#define ENGINE_QUERY_OPEN_H

#include "engine/query.h"

/* Ours: a client that thinks longer between two batches starts again from its
 * cursor, as after a restart of the server. */
enum {
    QUERY_OPEN_MAX = 20000,
    QUERY_OPEN_BYTES_MAX = 64 * 1024 * 1024,
    QUERY_IDLE_SEC = 600,
};

struct query_open {
    struct bytes app;     /* project */
    struct bytes request; /* Query message */
    struct bytes cursor;  /* CompiledCursor of the last row; may be empty */
    int64_t offset;       /* rows left to skip */
    int64_t limit;        /* rows left to return; INT64_MAX: all */
    int64_t count;        /* rows of a batch when Next does not say */
};

/* Keep a copy of `o`; *handle is never 0. */
void query_open_add(struct query_table *t, const struct query_open *o,
                    uint64_t *handle);

/* A copy of the open query in the arena; ERR_NOT_FOUND also for another app's.
 */
int query_open_get(struct ctx *ctx, struct query_table *t, uint64_t handle,
                   struct query_open *out);

/* Replace the position and what is left, or forget it (`o` NULL). */
void query_open_set(struct query_table *t, uint64_t handle,
                    const struct query_open *o);

/* How many there are, for metrics and tests. */
size_t query_open_count(struct query_table *t);

#endif
