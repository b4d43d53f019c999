/*
 * index_admin - what an administrator sees of an app's composite indexes, and
 * what he may clear away.
 *
 * The indexes of an app are those its deployed index.yaml names (that text is
 * kept, engine_indexes_set()) and those that were made otherwise or that a
 * later index.yaml names no longer: they are maintained until somebody clears
 * them away, for a version that still runs may need them.
 *
 * Ownership: results live in ctx->arena.  Thread rule: any thread that may
 * wait.
 */
#ifndef ENGINE_INDEX_ADMIN_H
#define ENGINE_INDEX_ADMIN_H

#include "engine/index.h"

/* Rows are counted up to here for an index, and up to ten times as many in a
 * call: ours, so that looking at a large app stays quick. */
enum { INDEX_COUNT_MAX = 100000 };

struct index_status {
    struct index_def def; /* with its id and state */
    bool named;           /* by the deployed index.yaml */
    int64_t rows;         /* of the index */
    bool rows_more;       /* there are more than were counted */
    /* While this process works on it: entities looked at, of how many; rows
     * taken away.  Else 0. */
    int64_t done, total;
};

/*
 * All indexes of an app, by kind, then id.  *deployed tells whether an
 * index.yaml ever was.  Errors as storage_scan().
 */
int index_list(struct ctx *ctx, struct engine *e, struct bytes app,
               struct index_status **out, size_t *n, bool *deployed);

/*
 * Stop using those of the indexes ids[] that the deployed index.yaml does not
 * name; their rows go in the background, after a restart as well.  *deleted
 * counts them: one that is named, unknown or going already is passed over.
 * ERR_NOT_FOUND with a sentence when no index.yaml was deployed.
 */
int index_vacuum(struct ctx *ctx, struct engine *e, struct bytes app,
                 const int64_t *ids, size_t n, size_t *deleted);

/* How far this process is with index `id`: false when it does not work on it.
 * Any thread, never waits. */
bool index_progress(struct engine *e, struct bytes app, int64_t id,
                    int64_t *done, int64_t *total);

#endif
