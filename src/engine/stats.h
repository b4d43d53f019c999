/*
 * stats - what an app has stored, as Google's statistics kinds tell it.
 *
 * A job (job.h) walks the entities of an app, adds up, and writes the entities
 * of `__Stat_Total__`, `__Stat_Kind__`, ... and, per namespace, `__Stat_Ns_*__`
 * in one commit; a reader sees one run or the one before.  They are entities
 * like others, with index rows, that apps query and cannot change, and that no
 * run counts.
 *
 * Bytes are those of the rows as stored, before compression.
 */
#ifndef ENGINE_STATS_H
#define ENGINE_STATS_H

#include "engine/engine.h"

/* What every statistics kind begins with. */
#define STATS_KIND_PREFIX "__Stat_"

/*
 * Entities of statistics that one run writes at most.  Beyond, the most
 * detailed are left out, as Google does it: first those of properties in
 * namespaces, then of properties, of kinds in namespaces, of kinds, of
 * namespaces; the total never.
 */
enum { STATS_ENTITIES_MAX = 5000 };

struct stats_figures {
    int64_t count; /* entities */
    int64_t entity_bytes;
    int64_t builtin_index_bytes, builtin_index_count;
    int64_t composite_index_bytes, composite_index_count;
};

struct stats_kind {
    struct bytes kind;
    struct stats_figures figures;
};

struct stats_summary {
    int64_t timestamp; /* of the run, microseconds; 0: there was none */
    struct stats_figures total;
    struct stats_kind *kinds; /* ordered by kind */
    size_t n_kinds;
};

/* Read what the last run has written, all namespaces together; in the arena.
 * Errors as storage_scan(). */
int engine_stats_read(struct ctx *ctx, struct engine *e, struct bytes app,
                      struct stats_summary *out);

/* Whether a kind is one of the statistics. */
bool stats_is_kind(struct bytes kind);

#endif
