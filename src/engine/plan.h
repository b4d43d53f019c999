/*
 * plan - which rows answer a query, and in what order to read them.
 *
 * Every way to answer is the same shape: one or several scans, each over the
 * rows of one partition that start with a fixed prefix; what follows the
 * prefix, the *rest* of a row, is the values of the plan's columns and then the
 * path of the entity.  The rests of all scans are in one encoding, so that
 *
 *   - a bound (an inequality, an ancestor, a cursor) is a range of rests,
 *   - several scans are intersected by comparing rests as bytes,
 *   - a position is the rest of a row, whatever the plan.
 *
 *     name        table        prefix                     columns
 *     key         entities     -                          -
 *     kindless    entities     -                          -
 *     kind        kinds        kind                       -
 *     equal       properties   kind, name, value (each)   -
 *     property    properties   kind, name                 one
 *     composite   composites   index, [ancestor], values  the index's tail
 *     metadata    (query_meta.c makes the rows)           -
 *
 * The kinds of plan are rows of the table in plan.c: the first that fits is
 * taken.  A plan is data; stream.c reads it.
 *
 * Ownership: a plan lives in ctx->arena.  Thread rule: that of the ctx.
 */
#ifndef ENGINE_PLAN_H
#define ENGINE_PLAN_H

#include "engine/query.h"
#include "engine/query_need.h"

struct plan;

/* One row, taken apart. */
struct plan_row {
    struct bytes rest;
    struct bytes columns; /* the part of `rest` before the path */
    struct bytes path;
    struct bytes value; /* of the stored row; metadata: more properties */
    bool multi;         /* other rows may lead to the same entity */
};

struct plan_page {
    struct plan_row *rows;
    size_t n;
    bool more; /* rows may remain beyond the last one */
};

struct plan_kind {
    const char *name;

    /* Whether it can answer; the rows above it in the table cannot. */
    bool (*fits)(const struct query *q);

    /* Is expected to fill the scans, columns and range. */
    int (*make)(struct ctx *ctx, const struct query_env *env,
                const struct query *q, struct plan *plan);

    /* Is expected to give up to `limit` rows of the range (a part of
     * plan->range), in storage order.  storage_scan() in spirit. */
    int (*fetch)(struct ctx *ctx, struct storage *st, const struct plan *plan,
                 const struct storage_range *range, enum storage_dir dir,
                 size_t limit, struct plan_page *page);
};

struct plan_scan {
    struct bytes partition;
    struct bytes prefix;
};

struct plan {
    const struct plan_kind *kind;
    const struct query *query;
    struct plan_scan *scans; /* the rests that all of them have */
    size_t n_scans;
    struct index_column *columns; /* desc: stored flipped */
    size_t n_columns;
    size_t n_group; /* leading columns of which each combination counts once */
    struct storage_range range; /* of rests */
    bool empty;                 /* nothing can match */
    bool backward;              /* the highest rest first */
    bool ties;         /* but among rests of equal columns the lowest path */
    bool first_desc;   /* the first part of the order descends */
    bool holds_entity; /* a row's value is the row of the entity */
    bool check;        /* rows are only candidates: see the entity */
    const struct index_set *indexes; /* held for `columns`, or NULL */
};

/*
 * A place between rows: before or behind the row of these columns and this
 * path; without `has_path` before or behind all rows of these columns.
 */
struct plan_position {
    bool set;
    bool before;
    bool has_path;
    struct bytes columns; /* as in a rest; may be fewer than the plan's */
    struct bytes path;
};

/*
 * Plan a query that passed query_check().  ERR_NEED_INDEX with the index.yaml
 * lines that would serve it; with env->auto_index the index is made, which
 * waits (ERR_WOULD_BLOCK).  On 0 the plan is given back with plan_release().
 */
int plan_make(struct ctx *ctx, const struct query_env *env,
              const struct query *q, struct plan *plan);

/* Let go of the indexes; the plan cannot be used any more.  Accepts a zeroed
 * plan. */
void plan_release(struct plan *plan);

/* A range of rests as a range of the rows of `scan`; in the arena. */
struct storage_range plan_rows(struct arena *a, const struct plan_scan *scan,
                               const struct storage_range *rests);

/* Take the rest and the value of a row apart into *row; ERR_CORRUPT when it is
 * malformed. */
int plan_take(struct ctx *ctx, const struct plan *plan, struct bytes rest,
              struct bytes value, struct plan_row *row);

/* Take a rest apart; false when malformed. */
bool plan_split(const struct plan *plan, struct bytes rest,
                struct plan_row *row);

/* Append the PropertyValue (its contents) of column `i` of a row. */
int plan_value(struct ctx *ctx, const struct plan *plan, struct bytes columns,
               size_t i, struct buf *pv);

/* The encoded value of column `i` as stored (flipped when desc). */
struct bytes plan_column(const struct plan *plan, struct bytes columns,
                         size_t i);

/* Append the encoded value of a key of the query's namespace, as it stands in
 * a `__key__` column. */
void plan_key_value(const struct query *q, struct bytes path, struct buf *out);

/* The first byte string behind all that start with `prefix`; p NULL when there
 * is none. */
struct bytes plan_behind(struct arena *a, struct bytes prefix);

/* `b` with a zero byte behind it: the first byte string greater than `b`. */
struct bytes plan_next(struct arena *a, struct bytes b);

/* The range of encoded paths that start with `ancestor` (empty: all) and pass
 * the query's `__key__` bounds. */
struct storage_range plan_paths(struct ctx *ctx, const struct query *q);

/* Cut `r` to what is also in [from, to); to.p NULL: no upper end. */
void plan_narrow(struct storage_range *r, struct bytes from, struct bytes to);

/* Nothing is in the range. */
bool plan_range_empty(const struct storage_range *r);

/* query_meta.c */
extern const struct plan_kind plan_kinds_meta, plan_spaces_meta,
    plan_properties_meta, plan_group_meta;

/* stream.c */
int stream_fetch(struct ctx *ctx, struct storage *st, const struct plan *plan,
                 const struct storage_range *range, enum storage_dir dir,
                 size_t limit, struct plan_page *page);

#endif
