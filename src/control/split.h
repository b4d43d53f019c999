/*
 * split - how a service's traffic is shared, as documents.
 *
 * A split is Google's TrafficSplit: {"shardBy": "IP", "allocations": {V: 0.25,
 * ...}}, shares that add up to 1, with two decimals by address and three by
 * cookie or at random.  Here one that a client sends is checked, one between
 * two others is computed, and the service's document gets a new one.  Pure
 * functions of the model.
 */
#ifndef CONTROL_SPLIT_H
#define CONTROL_SPLIT_H

#include "control/model.h"

/* Splits a service remembers, for a rollback. */
enum { SPLIT_HISTORY_MAX = 10 };

/*
 * Check what a client sent as `split` of service `s`, and put it in *out as it
 * is kept (a new reference): shardBy is there when several share, IP where the
 * client named none, and so is a shardBy it gave for one.  ERR_INVALID says
 * which version or share, and why; ERR_NOT_FOUND names a version that is not
 * there.
 */
int split_check(struct ctx *ctx, const struct service *s, const json_t *in,
                json_t **out);

/* Everything to version `id`; a new reference. */
json_t *split_whole(const char *id);

/* The part of version `id` in a split (NULL: none), 0 to 1. */
double split_share(const json_t *split, const char *id);

/*
 * The split `step` of `steps` on the way from `from` to `to`: as `to` is
 * shared, with its decimals; the shares add up to 1.  A new reference.
 */
json_t *split_between(const json_t *from, const json_t *to, int step,
                      int steps);

/*
 * The document of `s` with another split, whose reference is taken over: what
 * it had goes to the front of its history, and a migration under way ends.  A
 * new reference; the service keeps its own.
 */
json_t *split_doc(const struct service *s, json_t *split);

/*
 * The newest split of the service's history whose versions are all there and
 * not stopped, and which is not the one it has: a new reference, or NULL.
 */
json_t *split_former(const struct service *s);

#endif
