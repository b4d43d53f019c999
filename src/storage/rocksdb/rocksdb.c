/*
 * rocksdb - the store of one machine.
 *
 * Three pieces: key_locks makes check and write one, row_cache answers reads
 * without RocksDB, read.c and commit.c are the operations.  This file opens and
 * closes, and holds the settings.
 */
#include "storage/rocksdb/rocksdb_int.h"

#include "base/log.h"
#include "storage/folder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MIB ((size_t)1024 * 1024)

enum {
    WAL_TOLERATE_TORN_TAIL = 0, /* rocksdb::WALRecoveryMode */
    LOG_WARNINGS = 2,           /* rocksdb::InfoLogLevel */
    BLOOM_BITS = 10,            /* one false answer in a hundred */
    BLOCK = 8 * 1024,           /* a page of index rows in one or two */
};

/* Both caches start empty and grow up to this with use. */
#define CACHE_DEFAULT (128 * MIB)

struct rocks *rocks_of(struct storage *st)
{
    if (st->backend != &storage_rocksdb)
        BUG("the store %s is not rocksdb", st->backend->name);
    return (struct rocks *)st;
}

/* ---- settings ---- */

static void set_tables(rocksdb_options_t *o, rocksdb_cache_t *blocks)
{
    rocksdb_block_based_table_options_t *t =
        rocksdb_block_based_options_create();

    rocksdb_block_based_options_set_block_cache(t, blocks);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(t, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(t,
                                                                            1);
    /* Filters and indexes in parts: a whole one outgrows its share of the
     * cache, and would be read anew for every row. */
    rocksdb_block_based_options_set_index_type(
        t, rocksdb_block_based_table_index_type_two_level_index_search);
    rocksdb_block_based_options_set_partition_filters(t, 1);
    rocksdb_block_based_options_set_pin_top_level_index_and_filter(t, 1);
    rocksdb_block_based_options_set_filter_policy(
        t, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
    rocksdb_block_based_options_set_data_block_index_type(
        t,
        rocksdb_block_based_table_data_block_index_type_binary_search_and_hash);
    rocksdb_block_based_options_set_format_version(t, 5);
    rocksdb_block_based_options_set_block_size(t, BLOCK);
    rocksdb_options_set_block_based_table_factory(o, t);
    rocksdb_block_based_options_destroy(t);
}

/*
 * Small while idle: a memtable takes what is written, up to 32 MiB; half of
 * that costs a Put a tenth of its rate in flushes.  Two background threads, a
 * short log of its own.  A log (WAL) is replayed at open, so its bound is also
 * what bounds the time that takes.
 */
static void set_sizes(rocksdb_options_t *o)
{
    rocksdb_options_set_write_buffer_size(o, 32 * MIB);
    rocksdb_options_set_max_write_buffer_number(o, 3);
    rocksdb_options_set_arena_block_size(o, MIB / 4);
    rocksdb_options_set_max_total_wal_size(o, 128 * MIB);
    rocksdb_options_set_target_file_size_base(o, 32 * MIB);
    rocksdb_options_set_max_bytes_for_level_base(o, 128 * MIB);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
    rocksdb_options_set_max_background_jobs(o, 2);
    rocksdb_options_set_max_open_files(o, 512);
    rocksdb_options_set_bytes_per_sync(o, MIB);
    rocksdb_options_set_compression(o, rocksdb_lz4_compression);
}

static void set_own_log(rocksdb_options_t *o)
{
    rocksdb_options_set_info_log_level(o, LOG_WARNINGS);
    rocksdb_options_set_max_log_file_size(o, MIB);
    rocksdb_options_set_keep_log_file_num(o, 3);
    rocksdb_options_set_stats_dump_period_sec(o, 0);
}

/*
 * A kill in the middle of a write leaves the log with half a record at its
 * end; that one was never acknowledged and is dropped.  Anything wrong before
 * the end is damage, and refused rather than passed over.
 */
static rocksdb_options_t *options_new(rocksdb_cache_t *blocks)
{
    rocksdb_options_t *o = rocksdb_options_create();

    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_paranoid_checks(o, 1);
    /* Of the writers that share a sync the first inserts the rows of all: to
     * wake each for its own dozen costs more than the rows do, and so does
     * spinning for them when there are more writers than processors. */
    rocksdb_options_set_allow_concurrent_memtable_write(o, 0);
    rocksdb_options_set_enable_write_thread_adaptive_yield(o, 0);
    rocksdb_options_set_wal_recovery_mode(o, WAL_TOLERATE_TORN_TAIL);
    set_sizes(o);
    set_own_log(o);
    set_tables(o, blocks);
    return o;
}

/* ---- open and close ---- */

enum { REVIVE_EVERY = 1000 * 1000 }; /* microseconds */

/* ERR_UNAVAILABLE, without a story: it is closed. */
static int enter(const struct ctx *ctx, struct rocks *r)
{
    if (ctx->may_wait)
        rwlock_share(&r->db_lock);
    else if (!rwlock_try_share(&r->db_lock))
        return ERR_WOULD_BLOCK;
    if (r->db)
        return 0;
    rwlock_drop(&r->db_lock);
    return ERR_UNAVAILABLE;
}

/* Readers open it again, too: there may be nobody who writes. */
int rocks_enter(struct ctx *ctx, struct rocks *r)
{
    int rc = enter(ctx, r);

    if (rc != ERR_UNAVAILABLE)
        return rc;
    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    if (rocks_revive(ctx, r) == 0)
        rc = enter(ctx, r);
    if (rc != ERR_UNAVAILABLE)
        return rc;
    ctx_err_clear(ctx);
    return ctx_err(ctx, rc,
                   "storage: %s could not be opened again after a failed "
                   "write; look at the disk",
                   r->path);
}

void rocks_leave(struct rocks *r)
{
    rwlock_drop(&r->db_lock);
}

static int open_db(struct ctx *ctx, struct rocks *r)
{
    char *complaint = NULL;

    r->db = rocksdb_open(r->options, r->path, &complaint);
    return complaint ? rocks_error(ctx, complaint, "opening the store") : 0;
}

/* With db_lock taken alone. */
static int reopen(struct ctx *ctx, struct rocks *r)
{
    int rc;

    if (!r->broken) /* another has done it meanwhile */
        return 0;
    if (clock_mono() < r->revive_at)
        return ctx_err(ctx, ERR_IO,
                       "storage: %s takes no writes since one failed; it is "
                       "tried again every second",
                       r->path);
    r->revive_at = clock_mono() + REVIVE_EVERY;
    if (r->db) {
        rocks_views_end(r);
        rocksdb_close(r->db);
    }
    r->db = NULL;
    /* What was unknown is decided now, perhaps otherwise than was read. */
    row_cache_clear(r->rows);
    r->opened++;
    rc = open_db(ctx, r);
    if (rc != 0)
        return rc;
    __atomic_store_n(&r->broken, false, __ATOMIC_RELEASE);
    log_warn(ctx, "storage.rocksdb.revived", "path", r->path);
    return 0;
}

int rocks_revive(struct ctx *ctx, struct rocks *r)
{
    int rc;

    if (!__atomic_load_n(&r->broken, __ATOMIC_ACQUIRE))
        return 0;
    rwlock_take(&r->db_lock);
    rc = reopen(ctx, r);
    rwlock_drop(&r->db_lock);
    return rc;
}

static void rocks_free(struct rocks *r)
{
    if (r->db)
        rocksdb_close(r->db);
    rocksdb_options_destroy(r->options);
    rocksdb_readoptions_destroy(r->read_wait);
    rocksdb_readoptions_destroy(r->read_now);
    rocksdb_writeoptions_destroy(r->write_synced);
    rocksdb_cache_destroy(r->blocks);
    row_cache_free(r->rows);
    key_locks_release(&r->keys);
    rwlock_release(&r->db_lock);
    lock_release(&r->views_lock);
    close(r->dir);
    free(r->path);
    free(r);
}

static struct rocks *rocks_new(const struct storage_options *o, int dir)
{
    size_t cache = o->cache_bytes ? o->cache_bytes : CACHE_DEFAULT;
    struct rocks *r = calloc(1, sizeof(*r));

    if (!r || asprintf(&r->path, "%s/rows", o->path) < 0)
        die("out of memory opening the store");
    r->base.backend = &storage_rocksdb;
    r->base.durable = true;
    r->dir = dir;
    r->blocks = rocksdb_cache_create_lru(cache / 2);
    r->rows = row_cache_new(cache / 2);
    key_locks_init(&r->keys);
    rwlock_init(&r->db_lock, LOCK_STORAGE_DB);
    lock_init(&r->views_lock, LOCK_STORAGE_VIEWS);
    r->options = options_new(r->blocks);
    r->read_wait = rocksdb_readoptions_create();
    r->read_now = rocksdb_readoptions_create();
    rocksdb_readoptions_set_read_tier(r->read_now, READ_MEMORY_ONLY);
    r->write_synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(r->write_synced, 1);
    return r;
}

static int rocks_open(struct ctx *ctx, const struct storage_options *o,
                      struct storage **st)
{
    static const struct folder_kind kind = {"rocksdb", 1, "rows"};
    struct rocks *r;
    int dir, rc;

    if (!o->path || !*o->path)
        return ctx_err(ctx, ERR_INVALID, "storage: rocksdb needs a folder");
    rc = folder_open(ctx, o->path, &kind, &dir);
    if (rc != 0)
        return rc;
    r = rocks_new(o, dir);
    rc = open_db(ctx, r);
    if (rc == 0)
        rc = group_start(ctx, r);
    if (rc != 0) {
        rocks_free(r);
        return rc;
    }
    *st = &r->base;
    return 0;
}

static void rocks_close(struct storage *st)
{
    group_stop(rocks_of(st));
    rocks_free(rocks_of(st));
}

/* ---- figures ---- */

static const struct {
    const char *name;
    const char *property;
} properties[] = {
    {"rocksdb.rows_about", "rocksdb.estimate-num-keys"},
    {"rocksdb.table_bytes", "rocksdb.total-sst-files-size"},
    {"rocksdb.memtable_bytes", "rocksdb.cur-size-all-mem-tables"},
    {"rocksdb.table_reader_bytes", "rocksdb.estimate-table-readers-mem"},
    {"rocksdb.block_cache_bytes", "rocksdb.block-cache-usage"},
    {"rocksdb.compactions_running", "rocksdb.num-running-compactions"},
    {"rocksdb.background_errors", "rocksdb.background-errors"},
};

static void db_stats(struct rocks *r, struct buf *out)
{
    for (size_t i = 0; r->db && i < sizeof(properties) / sizeof(properties[0]);
         i++) {
        uint64_t v;

        if (rocksdb_property_int(r->db, properties[i].property, &v) == 0)
            buf_printf(out, "%s %" PRIu64 "\n", properties[i].name, v);
    }
}

static void rocks_stats(struct storage *st, struct buf *out)
{
    struct rocks *r = rocks_of(st);

    buf_printf(out,
               "rocksdb.commits %" PRIu64 "\nrocksdb.groups %" PRIu64
               "\nrocksdb.conflicts %" PRIu64 "\n",
               __atomic_load_n(&r->commits, __ATOMIC_RELAXED),
               __atomic_load_n(&r->groups, __ATOMIC_RELAXED),
               __atomic_load_n(&r->conflicts, __ATOMIC_RELAXED));
    row_cache_stats(r->rows, out);
    rwlock_share(&r->db_lock);
    db_stats(r, out);
    rwlock_drop(&r->db_lock);
}

const struct storage_backend storage_rocksdb = {
    .name = "rocksdb",
    .help = "a folder of this machine; every commit is on disk",
    .open = rocks_open,
    .get = rocks_get,
    .scan = rocks_scan,
    .commit = rocks_commit,
    .compact = rocks_compact,
    .view = rocks_view,
    .stats = rocks_stats,
    .close = rocks_close,
};
