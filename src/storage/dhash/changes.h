/*
 * changes - what one commit does to the rows, as the redo record has it.
 *
 * A set of puts and deletes of different rows, ordered by partition, shard and
 * row, so that what concerns one key list lies together.  It owns its bytes and
 * is only read once made: many threads may look.
 */
#ifndef STORAGE_DHASH_CHANGES_H
#define STORAGE_DHASH_CHANGES_H

#include "storage/storage.h"

enum { DHASH_SHARDS = 16 };

struct change {
    struct bytes partition;
    struct bytes row;
    struct bytes value;
    int shard;
    bool del;
};

struct changes {
    struct arena arena;
    struct bytes record; /* the redo record */
    struct change *at;
    size_t n;
};

/* Changes of one shard of one partition. */
struct run {
    const struct change *at;
    size_t n;
};

/* The shard of a row: fixed for ever, it says where things stand on disk. */
int changes_shard(struct bytes row);

/* The writes of a batch; of several to one row the last.  They are sorted in
 * `scratch`, of which nothing is needed afterwards. */
struct changes *changes_of(struct arena *scratch,
                           const struct storage_batch *b);

/* As a record says, of which it takes a copy.  NULL when that is no record. */
struct changes *changes_decode(struct bytes record);

/* NULL is allowed. */
void changes_free(struct changes *c);

/* The change of a row, or NULL; `c` may be NULL. */
const struct change *changes_find(const struct changes *c,
                                  struct storage_key key);

/* The changes of a shard, perhaps none; `c` may be NULL. */
struct run changes_of_shard(const struct changes *c, struct bytes partition,
                            int shard);

/* The changes from `from` on that are of one shard; at least one. */
struct run changes_run(const struct changes *c, size_t from);

#endif
