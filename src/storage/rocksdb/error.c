/*
 * error - RocksDB's complaints, in the words of the platform.
 *
 * The C interface gives a status as text alone; these are the marks by which
 * RocksDB 7 tells one from the other.
 */
#include "storage/rocksdb/rocksdb_int.h"

#include "base/log.h"

static const struct complaint {
    const char *mark;
    enum err_code code;
    const char *advice;
} complaints[] = {
    {"Result incomplete", ERR_WOULD_BLOCK, NULL},
    /* Whether a record whose sync failed is on the disk, nobody knows. */
    {"While fdatasync", ERR_UNKNOWN,
     "the disk is failing: look at the "
     "kernel's log"},
    {"While fsync", ERR_UNKNOWN,
     "the disk is failing: look at the kernel's "
     "log"},
    {"No space left on device", ERR_NO_SPACE,
     "free some space; writing goes on by itself"},
    {"Disk quota exceeded", ERR_NO_SPACE,
     "raise the quota or free some space; writing goes on by itself"},
    {"Corruption", ERR_CORRUPT,
     "restore the folder from a backup; nothing was changed"},
    {"Permission denied", ERR_IO,
     "the folder must belong to the user that "
     "runs the server"},
};

static const struct complaint *find(const char *text)
{
    static const struct complaint other = {"", ERR_IO, "look at the disk"};

    for (size_t i = 0; i < sizeof(complaints) / sizeof(complaints[0]); i++) {
        if (strstr(text, complaints[i].mark))
            return &complaints[i];
    }
    return &other;
}

int rocks_error(struct ctx *ctx, char *complaint, const char *doing)
{
    const struct complaint *c = find(complaint);
    int rc = c->code;

    if (rc != ERR_WOULD_BLOCK) {
        ctx_err(ctx, c->code, "storage: %s failed: %s; %s", doing, complaint,
                c->advice);
        log_error(ctx, "storage.rocksdb.failed", "doing", doing, "error",
                  complaint);
    }
    rocksdb_free(complaint);
    return rc;
}
