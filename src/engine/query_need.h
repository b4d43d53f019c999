/*
 * query_need - does a query need a composite index, and which ones serve it.
 *
 * The rule is the SDKs' own (google.appengine.datastore.datastore_index), so
 * that index.yaml files written for production serve here and the ones made
 * here serve there.  An index serves when its last columns (the tail) are what
 * the query sorts, ranges and projects by, and the columns before them are
 * names that are compared for equality, in any order.  Several indexes with
 * the same tail serve together when they cover all equality names: their rows
 * are intersected.
 *
 * Ownership: everything lives in ctx->arena, and points into the query and the
 * index set.  Thread rule: pure functions.
 */
#ifndef ENGINE_QUERY_NEED_H
#define ENGINE_QUERY_NEED_H

#include "engine/index.h"
#include "engine/query.h"

struct query_need {
    bool required;
    bool ancestor;
    struct bytes kind;
    struct query_names equal;    /* sorted, each once */
    struct query_order *ordered; /* in this order */
    size_t n_ordered;
    bool any_direction;           /* of `ordered` */
    struct query_names grouped;   /* then these, in any order and direction */
    struct query_names unordered; /* then these, likewise */
};

/* What the query needs; it must have passed query_check(). */
void need_of(struct ctx *ctx, const struct query *q, struct query_need *need);

/* How many columns the tail has. */
size_t need_tail(const struct query_need *need);

/* One index that serves, alone or with others. */
struct need_index {
    const struct index_def *def;
    size_t tail; /* the column where the tail starts */
};

/*
 * Find ready indexes that serve together: the fewest, and those whose tail is
 * in the query's effective order first.  Returns how many; 0 when the query
 * has to be refused.  *natural (may be NULL) says whether the results come in
 * the effective order, or, as far as the query leaves that open, in the
 * indexes' own.
 */
size_t need_serve(struct ctx *ctx, const struct query *q,
                  const struct query_need *need, const struct index_set *set,
                  struct need_index **out, bool *natural);

/*
 * The unready index that the query waits for: one that is being built, else one
 * whose build failed, with which the ready ones would serve.  NULL when they
 * would not.
 */
const struct index_def *need_pending(struct ctx *ctx, const struct query *q,
                                     const struct query_need *need,
                                     const struct index_set *set);

/* The smallest index that, with the ready ones, serves the query. */
void need_minimum(struct ctx *ctx, const struct query_need *need,
                  const struct index_set *set, struct index_def *out);

/* The index that serves the query alone, in its effective order. */
void need_whole(struct ctx *ctx, const struct query_need *need,
                struct index_def *out);

/* Its entry of an index.yaml, without a final newline. */
struct bytes need_yaml(struct arena *a, const struct index_def *def);

#endif
