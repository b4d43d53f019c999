/*
 * verify - whether the rows of an app fit together, and mending those that do
 * not.
 *
 * A job (job.h).  It walks every entity and looks for its index rows, then
 * every index row and looks for its entity, then the groups, the definitions
 * and the counters of ids, while apps go on writing.  What looks wrong is read
 * again, everything in one moment, before it is called a fault; so a write in
 * the middle is never reported.  A repair is a small commit under the condition
 * that what made it necessary is still so.
 *
 * Memory is a page of rows, an entity and its index rows, and the first faults.
 */
#ifndef ENGINE_VERIFY_H
#define ENGINE_VERIFY_H

#include "base/ctx.h"

/* What can be wrong, and what a repair does about it. */
#define VERIFY_FAULT_LIST                                                      \
    /* put it */                                                               \
    FAULT(MISSING_ROW, "missing_index_row", "an entity lacks an index row")    \
    /* put the right one */                                                    \
    FAULT(WRONG_VALUE, "wrong_index_row", "an index row has a wrong value")    \
    /* delete it */                                                            \
    FAULT(STRAY_ROW, "stray_index_row",                                        \
          "an index row has no entity that should have it")                    \
    /* delete it */                                                            \
    FAULT(BAD_INDEX_ROW, "bad_index_row", "an index row does not decode")      \
    /* move it to the table of damaged rows */                                 \
    FAULT(BAD_ENTITY, "bad_entity",                                            \
          "an entity does not decode, or is not of its key")                   \
    /* give the group a new version, or delete a row that no group can have */ \
    FAULT(BAD_GROUP, "bad_group",                                              \
          "the version of an entity group is missing or none")                 \
    /* put it, or delete one that does not decode */                           \
    FAULT(BAD_NAMESPACE, "bad_namespace",                                      \
          "the row of a namespace is missing or does not decode")              \
    /* delete it: its rows are strays then; deploying adds the index again */  \
    FAULT(BAD_DEFINITION, "bad_index_definition",                              \
          "the definition of a composite index does not decode")               \
    /* set it above every id in use */                                         \
    FAULT(BAD_IDS, "bad_ids", "a counter of ids is bad or too low")

enum verify_fault {
#define FAULT(name, word, sentence) VERIFY_##name,
    VERIFY_FAULT_LIST
#undef FAULT
        VERIFY_FAULTS
};

/* "missing_index_row" */
const char *verify_fault_word(enum verify_fault fault);

/* "an entity lacks an index row" */
const char *verify_fault_sentence(enum verify_fault fault);

enum { VERIFY_FINDINGS_MAX = 100 };

struct verify_finding {
    enum verify_fault fault;
    bool mended;
    const char *where; /* for a person: table, namespace, key */
};

struct verify_report {
    int64_t entities, rows; /* looked at; rows are those of indexes */
    int64_t found[VERIFY_FAULTS], mended[VERIFY_FAULTS];
    int64_t busy; /* not judged: changed at every look, or too many rows */
    struct verify_finding *findings; /* the first VERIFY_FINDINGS_MAX */
    size_t n_findings;
};

/* Copy a report into `a`. */
void verify_report_copy(struct arena *a, const struct verify_report *in,
                        struct verify_report *out);

#endif
