/*
 * stream - the rows of a plan in the query's order, a page at a time.
 *
 * A forward plan is read as it lies in the store.  A backward plan whose ties
 * go up (`order by -date` gives the newest first, and equal dates in key order)
 * has only one row per entry to read, so it is read in runs: a page from high
 * to low is cut into runs of equal columns, and each run is turned around.  A
 * run that does not fit in the page is read again from its low end, page by
 * page; so the work stays proportional to the rows given, and the memory to a
 * page.
 *
 * A stream starts at any position and holds nothing that a position does not
 * say, so that a batch, a cursor and a restart are one thing.
 *
 * Ownership: rows live until the next stream_read(); the stream until the
 * request ends.  Thread rule: that of the ctx.
 */
#ifndef ENGINE_STREAM_H
#define ENGINE_STREAM_H

#include "engine/plan.h"

struct stream {
    struct storage *store;
    const struct plan *plan;
    struct plan_position end;
    struct storage_range rest; /* what is left, in the plan's direction */
    struct storage_range run;  /* what is left of a long run of ties */
    bool in_run;
    bool done;
    int pages;
    struct arena page; /* of the rows, once there were several pages */
};

/* Begin at `start`, end at `end`; either may be unset. */
void stream_init(struct ctx *ctx, struct stream *s, struct storage *store,
                 const struct plan *plan, const struct plan_position *start,
                 const struct plan_position *end);

/*
 * The next rows: about `want`, sometimes more, sometimes none; s->done is set
 * once there are no further ones.  Errors as storage_scan().
 */
int stream_read(struct ctx *ctx, struct stream *s, size_t want,
                struct plan_page *page);

/* The arena that lives as long as the page last read. */
struct arena *stream_arena(struct ctx *ctx, struct stream *s);

/* Go on behind all rows of these columns. */
void stream_skip(struct ctx *ctx, struct stream *s, struct bytes columns);

#endif
