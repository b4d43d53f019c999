/*
 * query - a query from its bytes to a batch of its results.
 *
 *     query_read    datastore_v3.Query as a struct query     query.c
 *     query_check   what may not be asked, in words          query_check.c
 *     (inside it)   normal form and effective order          query_normal.c
 *     need_of       does it need a composite index           query_need.c
 *     plan_make     the scans that answer it                 plan.c
 *     stream_read   their rows in the query's order          stream.c
 *     rows_next     those of them that count                 query_rows.c
 *     query_run     rows to results, a batch at a time       query_run.c
 *
 * A batch that leaves rows behind leaves an open query behind too
 * (query_open.c): the request, the position of the last row as a cursor, what
 * is left to skip and to return, and a view of the store - never rows.  Next is
 * therefore the same query again with a start cursor, on the store as it was.
 *
 * Ownership: a struct query points into the request and into ctx->arena.
 * Thread rule: that of the ctx; the table of open queries is shared.
 */
#ifndef ENGINE_QUERY_H
#define ENGINE_QUERY_H

#include "engine/engine.h"

/* Query.Filter.Operator; the others are refused. */
enum query_op {
    QUERY_LT = 1,
    QUERY_LE = 2,
    QUERY_GT = 3,
    QUERY_GE = 4,
    QUERY_EQ = 5,
    QUERY_IN = 6,
    QUERY_EXISTS = 7,
};

/*
 * Parts of a query.  The first is what the SDKs' own datastore says; the second
 * bounds the work of normalising a query that is refused afterwards.
 */
enum {
    QUERY_PARTS_MAX = 100,
    QUERY_LIST_MAX = 1000, /* filters, orders, or names in one list */
};

/* Encoded bytes of a filter's value that are compared; no indexed value is as
 * long (1500 bytes, or a key of 6 KiB, escaped). */
enum { QUERY_VALUE_MAX = 16 * 1024 };

/* Rows of a batch, of one without count and limit, and skipped by one call:
 * what production documents and the SDKs' loops are made for. */
enum {
    QUERY_BATCH_MAX = 300,
    QUERY_BATCH_DEFAULT = 20,
    QUERY_SKIP_MAX = 1000,
};

struct query_names {
    struct bytes *v;
    size_t n;
};

struct query_filter {
    struct bytes name;
    int op;          /* enum query_op, or what was sent */
    int n_props;     /* Property messages it has; must be 1 */
    struct bytes pv; /* contents of the PropertyValue */
    /* Set by query_check(): the encoded value (value.h); for `__key__` the
     * encoded path (key.h). */
    struct bytes value;
};

struct query_order {
    struct bytes name;
    bool desc;
};

struct query_bound {
    bool set;
    bool inclusive;
    struct bytes value; /* as query_filter.value */
};

struct query {
    /* as sent */
    struct bytes app; /* with its prefix, if any: keys of results repeat it */
    struct bytes space;
    struct bytes kind;
    bool has_kind;
    bool has_ancestor;
    struct bytes ancestor_reference;
    struct bytes start_cursor, end_cursor; /* CompiledCursor */
    bool has_start, has_end;
    bool has_count, has_limit;
    int32_t count, limit, offset;
    bool keys_only, compile, shallow;
    bool has_txn;
    uint64_t txn;
    struct query_names projection;
    struct query_names group_by;

    /* as sent; query_normalise() makes them the normal form */
    struct query_filter *filters;
    size_t n_filters;
    struct query_order *orders;
    size_t n_orders;

    /* set by query_check() */
    struct key ancestor;
    struct query_filter **eq; /* the equality filters, no doubles */
    size_t n_eq;
    struct bytes range_name; /* the inequality property; p NULL when none */
    struct query_bound lo, hi;
    struct query_names exists; /* must be indexed though nothing compares them;
                                  the group_by ones first, then by name */
    struct query_order *effective; /* ends with `__key__` */
    size_t n_effective;
};

extern const struct bytes query_key_name; /* "__key__" */

/* Decode the bytes.  ERR_MALFORMED when they are no message or a required field
 * is missing, ERR_INVALID for more parts than are looked at. */
int query_read(struct ctx *ctx, struct bytes in, struct query *q);

/*
 * Refuse what may not be asked, with the datastore's sentences in the order the
 * datastore looks; bring the rest to its normal form and encode the values.
 */
int query_check(struct ctx *ctx, struct query *q);

/*
 * The first part of query_check() that changes the query (query_normal.c): its
 * normal form.
 */
void query_normalise(struct ctx *ctx, struct query *q);

/*
 * The second: encode the values, sort the filters by kind, find the effective
 * order.  ERR_INVALID for a value that cannot be encoded.
 */
int query_derive(struct ctx *ctx, struct query *q);

/* ---- running ---- */

/* The open queries of an engine (query_open.c); made and freed with it. */
struct query_table;

/* An empty table; out of memory ends the process. */
struct query_table *query_table_new(void);

/* Free it and the queries still open; NULL is allowed. */
void query_table_free(struct query_table *t);

struct query_env {
    struct engine *engine;
    bool auto_index; /* make a missing index instead of ERR_NEED_INDEX */
    /* Told of an index that was made, or NULL; while no lock is held. */
    void (*made)(struct ctx *ctx, const struct index_def *def);
};

/*
 * Answer a Query message by appending a QueryResult to `out`.  ERR_INVALID for
 * what the caller did wrong, ERR_NEED_INDEX, ERR_CONFLICT of a transaction;
 * errors of storage_scan().  Where ctx->may_wait is false ERR_WOULD_BLOCK is
 * possible, and nothing has changed.
 */
int query_run(struct ctx *ctx, const struct query_env *env, struct bytes in,
              struct buf *out);

/*
 * Answer a NextRequest the same way, from the position at which the last batch
 * of the open query ended, and of the same moment as the first where the store
 * has views and the query still has its own (query_open.h).
 */
int query_next(struct ctx *ctx, const struct query_env *env, struct bytes in,
               struct buf *out);

#endif
