/*
 * query_open - what Next needs of a RunQuery that left rows behind.
 *
 * An open query is its request, the cursor of the last row, what is left to
 * skip and to return, and a view of the store as RunQuery saw it.  It lives in
 * memory for LIMIT_QUERY_IDLE_MS after its last use; when the table is full the
 * one idle longest goes.  Handles are random: nobody guesses another app's, and
 * its app is checked on top.
 *
 * A view makes the store keep what is replaced meanwhile, so it is let go
 * earlier than its query: after LIMIT_QUERY_VIEW_MS, and the oldest one when
 * there are LIMIT_QUERY_VIEWS.  The query then goes on with the present.
 * Closing a view may wait; what a network loop lets go of is closed by
 * query_open_expire().
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
};

/* The store as of the beginning of a query; shared by the table and the calls
 * that read it. */
struct query_view {
    struct storage *store;
    uint64_t indexes; /* serial of the index set it began with, 0: none */

    /* the table's */
    int refs;
    int64_t born; /* clock_mono() */
    struct query_view *older, *newer;
    void *holder; /* the entry that has it; NULL: none */
};

struct query_open {
    struct bytes app;        /* project */
    struct bytes request;    /* Query message */
    struct bytes cursor;     /* CompiledCursor of the last row; may be empty */
    int64_t offset;          /* rows left to skip */
    int64_t limit;           /* rows left to return; INT64_MAX: all */
    int64_t count;           /* rows of a batch when Next does not say */
    struct query_view *view; /* or NULL */
};

/* Make a view of an open store; the caller has the one reference. */
struct query_view *query_view_new(struct storage *store, uint64_t indexes);

/* Give a reference back; NULL is allowed. */
void query_view_drop(struct ctx *ctx, struct query_table *t,
                     struct query_view *v);

/* Keep a copy of `o`, and a reference to its view; *handle is never 0. */
void query_open_add(struct ctx *ctx, struct query_table *t,
                    const struct query_open *o, uint64_t *handle);

/* A copy of the open query in the arena, with a reference to its view;
 * ERR_NOT_FOUND also for another app's. */
int query_open_get(struct ctx *ctx, struct query_table *t, uint64_t handle,
                   struct query_open *out);

/* Replace the position and what is left - with o->view NULL also let the view
 * go - or forget all of it (`o` NULL). */
void query_open_set(struct ctx *ctx, struct query_table *t, uint64_t handle,
                    const struct query_open *o);

/* Let go of what is too old, and close views that could not be closed before;
 * may wait. */
void query_open_expire(struct ctx *ctx, struct query_table *t);

/* How many views there are, those not closed yet included. */
size_t query_open_views(struct query_table *t);

/* How many there are, for metrics and tests. */
size_t query_open_count(struct query_table *t);

#endif
