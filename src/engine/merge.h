/*
 * merge - the rests that all scans of a plan have: a zigzag.
 */
#ifndef ENGINE_MERGE_H
#define ENGINE_MERGE_H

#include "engine/plan.h"

/*
 * Up to `limit` rows of the range that every scan has, in storage order; the
 * fetch of a plan with several scans.  Errors as storage_scan() and
 * storage_get().
 */
int merge_fetch(struct ctx *ctx, struct storage *st, const struct plan *plan,
                const struct storage_range *range, enum storage_dir dir,
                size_t limit, struct plan_page *page);

#endif
