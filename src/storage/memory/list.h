/*
 * list - a skip list of rows ordered by partition, then row.
 *
 * The body of the memory backend, which holds its lock around every call.
 */
#ifndef STORAGE_MEMORY_LIST_H
#define STORAGE_MEMORY_LIST_H

#include "storage/storage.h"

enum { LIST_HEIGHT = 20 }; /* good for some 4^20 rows */

struct list_node {
    struct storage_key key; /* the bytes lie behind `next` */
    struct bytes value;     /* its own allocation */
    struct list_node *prev; /* NULL before the first row */
    int height;
    struct list_node *next[];
};

struct list {
    struct list_node *head; /* a node without a row, of full height */
    uint64_t seed;
    size_t n;
    size_t bytes; /* keys and values */
};

/*
 * An empty list.  The seed of its heights is fixed, so a run of tests repeats.
 */
void list_init(struct list *l);

/* Free all rows; the list is zeroed. */
void list_release(struct list *l);

/* The row with `key`, or NULL. */
struct list_node *list_find(const struct list *l, struct storage_key key);

/* The first row at or after `key`, or NULL. */
struct list_node *list_at_or_after(const struct list *l,
                                   struct storage_key key);

/* The last row before `key`, or NULL. */
struct list_node *list_before(const struct list *l, struct storage_key key);

/* The last row of `partition`, or of one before it; or NULL. */
struct list_node *list_last(const struct list *l, struct bytes partition);

/* Write a copy of the row, replacing the old value. */
void list_put(struct list *l, struct storage_key key, struct bytes value);

/* Take the row out and free it; nothing when there is none. */
void list_delete(struct list *l, struct storage_key key);

#endif
