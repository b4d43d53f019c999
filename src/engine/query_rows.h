/*
 * query_rows - the rows of a stream that count.
 *
 * A row counts only if its entity, where it is looked at, still says what the
 * row says: rows and entities are read at two moments.
 *
 * An entity with several values of a property has several rows in a scan of
 * that property, and must come once, at the value that is first in the query's
 * order and passes its inequality.  Such rows are marked, and the entity tells
 * which one counts; nothing is remembered, so that a query may stop and resume
 * anywhere.  A projection returns each of the rows.
 *
 * Private to the query files.  Thread rule: that of the ctx.
 */
#ifndef ENGINE_QUERY_ROWS_H
#define ENGINE_QUERY_ROWS_H

#include "engine/stream.h"

struct query_view;
struct txn;

/* A row on its way to being a result. */
struct candidate {
    struct plan_row row;
    struct entity_row entity; /* entity.p NULL where it was not read */
};

struct run {
    struct ctx *ctx;
    const struct query_env *env;
    const struct query *q;
    const struct plan *plan;
    struct storage *store;   /* that of the view, if there is one */
    struct query_view *view; /* a reference, or NULL */
    struct txn *txn;
    struct stream stream;
    struct bytes entities; /* partition */
    struct arena look;     /* of entities, once there were several reads */
    int looks;

    struct candidate *rows; /* of the stream's page, [at, ready) counts */
    size_t n, at, ready;
    bool full; /* the entities of the ready ones are there, if wanted */

    struct buf last; /* the columns and path of the last row used */
    struct plan_position behind;

    /* the batch */
    int64_t offset, limit, count; /* left to skip; to return; in this batch */
    int64_t skipped, returned;
    bool compile;
    bool no_view;       /* of the present: make none */
    bool late;          /* the view was made after the rows were read */
    struct bytes start; /* CompiledCursor it began with, or empty */
    struct buf *out;
    size_t out_start;
    struct buf message; /* scratch */
};

/*
 * The next row that counts, or NULL at the end; about `want` are read ahead.
 * With `full` its entity is there where results have one.
 */
int rows_next(struct run *r, int64_t want, bool full, struct candidate **out);

/* Step over a row: it is the last one used. */
void rows_use(struct run *r, const struct candidate *c);

#endif
