/*
 * stats_int - the table of figures that a run fills and writes.
 */
#ifndef ENGINE_STATS_INT_H
#define ENGINE_STATS_INT_H

#include "engine/job_int.h"
#include "engine/stats.h"

/*
 * The statistics kinds, as KIND(id, name, namespace's name or NULL, detail,
 * detail in a namespace, the fields it has).  Where room is short the highest
 * detail goes first.
 */
#define STATS_LIST                                                             \
    KIND(TOTAL, "Total", "Ns_Total", 0, 1, STATS_ALL)                          \
    KIND(NAMESPACE, "Namespace", NULL, 1, 1, STATS_ALL | STATS_SPACE)          \
    KIND(KIND, "Kind", "Ns_Kind", 2, 3, STATS_ALL | STATS_KIND)                \
    KIND(ROOT, "Kind_IsRootEntity", "Ns_Kind_IsRootEntity", 2, 3, STATS_KIND)  \
    KIND(NOT_ROOT, "Kind_NotRootEntity", "Ns_Kind_NotRootEntity", 2, 3,        \
         STATS_KIND)                                                           \
    KIND(TYPE, "PropertyType", "Ns_PropertyType", 4, 5,                        \
         STATS_BUILTIN | STATS_TYPE)                                           \
    KIND(TYPE_KIND, "PropertyType_Kind", "Ns_PropertyType_Kind", 4, 5,         \
         STATS_BUILTIN | STATS_TYPE | STATS_KIND)                              \
    KIND(NAME_KIND, "PropertyName_Kind", "Ns_PropertyName_Kind", 4, 5,         \
         STATS_BUILTIN | STATS_NAME | STATS_KIND)                              \
    KIND(TYPE_NAME_KIND, "PropertyType_PropertyName_Kind",                     \
         "Ns_PropertyType_PropertyName_Kind", 4, 5,                            \
         STATS_BUILTIN | STATS_TYPE | STATS_NAME | STATS_KIND)                 \
    KIND(INDEX, "Kind_CompositeIndex", "Ns_Kind_CompositeIndex", 2, 3,         \
         STATS_INDEX | STATS_KIND)

enum {
    STATS_BUILTIN = 1,   /* builtin_index_* */
    STATS_COMPOSITE = 2, /* composite_index_* */
    STATS_ALL = STATS_BUILTIN | STATS_COMPOSITE,
    STATS_SPACE = 4, /* subject_namespace */
    STATS_KIND = 8,  /* kind_name */
    STATS_TYPE = 16, /* property_type */
    STATS_NAME = 32, /* property_name */
    STATS_INDEX = 64 /* index_id, and no entity_bytes */
};

enum stats_id {
#define KIND(id, name, space, detail, space_detail, fields) STATS_##id##_ROW,
    STATS_LIST
#undef KIND
        STATS_ROWS
};

struct stats_row {
    const char *name, *space_name; /* without "__Stat_" and "__" */
    int detail, space_detail;
    unsigned fields;
};

extern const struct stats_row stats_rows[];

enum { STATS_DETAILS = 6 };

/* One statistics entity in the making. */
struct stats_entry {
    struct stats_entry *next; /* in its bucket */
    enum stats_id id;
    bool in_space; /* one of the __Stat_Ns_ kinds */
    struct bytes space;
    struct bytes kind, name, type; /* as the row's fields say */
    int64_t index;                 /* of STATS_INDEX_ROW */
    struct stats_figures figures;
};

struct stats_table;

/* An empty table for at most `most` entries. */
struct stats_table *stats_table_new(size_t most);

/* Free it with its entries. */
void stats_table_free(struct stats_table *t);

/*
 * The entry of the words in `want`, made when new; its words are copied.  NULL
 * when entries of its detail are left out for lack of room; what there was of
 * that detail is gone then.
 */
struct stats_figures *stats_entry(struct stats_table *t,
                                  const struct stats_entry *want);

/* Call fn with each entry, in no order, until it answers an error. */
int stats_each(const struct stats_table *t,
               int (*fn)(const struct stats_entry *e, void *arg), void *arg);

/* How many entries there are. */
size_t stats_count(const struct stats_table *t);

/* Make the entity of an entry: a put of it, in the arena. */
int stats_entity(struct ctx *ctx, struct bytes project, int64_t timestamp,
                 const struct stats_entry *e, struct engine_mutation *out);

/* Write the table's entities in place of those of the last run. */
int stats_write(struct ctx *ctx, struct engine *e, struct engine_app *app,
                const struct stats_table *t);

#endif
