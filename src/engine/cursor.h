/*
 * cursor - a place in the results of a query, as bytes a client keeps.
 *
 * A CompiledCursor names its position by content: the value of each sort
 * column and the key, and on which side of that row it lies.  It says nothing
 * of indexes or plans, so it stays good when those change, when the row is
 * gone, and for the reversed query.  A grouped query's has the group's values
 * and no key.
 *
 *     compiled_cursor{ postfix_position{ index_value*, key, before,
 *                                        before_ascending } }
 */
#ifndef ENGINE_CURSOR_H
#define ENGINE_CURSOR_H

#include "engine/plan.h"

/*
 * Read a CompiledCursor as a position in the plan's rests.  One without a
 * position leaves pos->set false.  ERR_INVALID with the datastore's sentence
 * when it belongs to another query.
 */
int cursor_read(struct ctx *ctx, const struct plan *plan, struct bytes in,
                struct plan_position *pos);

/* Append a CompiledCursor (its contents) for `pos`; an unset one is empty. */
int cursor_write(struct ctx *ctx, const struct plan *plan,
                 const struct plan_position *pos, struct buf *out);

/* The position just behind a row of the plan, pointing into it. */
struct plan_position cursor_behind(const struct plan *plan,
                                   const struct plan_row *row);

#endif
