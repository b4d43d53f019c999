/*
 * names - a key list: the rows of one shard of a partition, in order.
 *
 * One value of the plain store: for each row its length (2 bytes, big-endian)
 * and its bytes, rising.  A list that would be empty is not there.
 */
#ifndef STORAGE_DHASH_NAMES_H
#define STORAGE_DHASH_NAMES_H

#include "base/buf.h"
#include "storage/dhash/changes.h"

/* Take the first row off a list that is known to be well formed; false at the
 * end. */
bool names_next(struct bytes *list, struct bytes *row);

/* Whether the bytes are a key list. */
bool names_valid(struct bytes list);

/* How long the list is once the changes are made. */
size_t names_size_with(struct bytes list, struct run run);

/*
 * Append the list with the changes made to it: rows that are put are in it,
 * those that are deleted are not.  Doing it again changes nothing, which is
 * what a redo record needs.  Returns whether it differs.
 */
bool names_with(struct bytes list, struct run run, struct buf *out);

#endif
