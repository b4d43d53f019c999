/*
 * tables - where the server keeps its own rows in the store.
 *
 * Two families of partitions that no app can reach, because an app's begin
 * with its id and an id never starts with a zero byte:
 *
 *   "\0platform\0" TABLE   what the controller writes through the platform
 *                          service: apps, services, versions, settings
 *   "\0server\0" TABLE     what the server keeps for itself: accounts, signing
 *                          keys, tickets; the platform service cannot name it
 *
 * Any thread.
 */
#ifndef SERVICE_TABLES_H
#define SERVICE_TABLES_H

#include "storage/storage.h"

#define TABLES_PLATFORM BYTES_LIT("\0platform\0")
#define TABLES_SERVER   BYTES_LIT("\0server\0")

/* The partition of `table` in a family; in the arena. */
static inline struct bytes
tables_partition(struct arena *a, struct bytes family, struct bytes table)
{
    uint8_t *p = arena_alloc(a, family.n + table.n);

    memcpy(p, family.p, family.n);
    if (table.n)
        memcpy(p + family.n, table.p, table.n);
    return BYTES(p, family.n + table.n);
}

/* A row of one of the server's own tables; `row` is referenced. */
static inline struct storage_key
tables_server_key(struct arena *a, const char *table, struct bytes row)
{
    return (struct storage_key){
        .partition = tables_partition(a, TABLES_SERVER, bytes_str(table)),
        .row = row,
    };
}

#endif
