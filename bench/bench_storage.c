/*
 * bench_storage - what storage/ costs over RocksDB itself.
 *
 *     bench_storage FOLDER [SECONDS [ROWS]]
 *
 * Loads ROWS rows, and then runs each job for SECONDS with 1, 8 and 64
 * threads: through storage.h, and the same written straight to the C interface
 * of RocksDB with the store's own sizes.  One line each: operations a second,
 * p50 and p99 (of every 16th fast operation, so that looking at the clock does
 * not weigh), and what one operation takes of a processor, background included:
 * on a busy machine that figure is the one to compare.
 *
 *   get       one row of 500 bytes at random, of all rows
 *   get hot   the same of a thousand rows
 *   get 3     three rows of one moment
 *   scan 20   twenty rows in order
 *   commit 12 twelve rows over four partitions, on disk before it answers;
 *             through storage.h with a condition, as a datastore put has
 */
#include "storage/storage.h"

#include "base/log.h"
#include "storage/trace/histogram.h"

#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { VALUE = 500, INDEX_VALUE = 40, THREADS_MAX = 64, HOT_ROWS = 1000 };

struct bench {
    struct storage *st;
    rocksdb_t *raw;
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write;
    uint64_t rows;
    int64_t until;
    pthread_barrier_t start;
};

struct worker {
    struct bench *b;
    void (*op)(struct worker *w);
    uint64_t id;
    uint64_t n;
    uint64_t rng;
    uint64_t hot; /* rows to choose from */
    struct arena arena;
    struct ctx ctx;
    struct histogram times;
    pthread_t thread;
};

static uint64_t random_next(struct worker *w)
{
    w->rng ^= w->rng << 13;
    w->rng ^= w->rng >> 7;
    w->rng ^= w->rng << 17;
    return w->rng;
}

/* A row key as long as a datastore entity's, and well spread. */
static struct bytes row_name(struct arena *a, uint64_t i)
{
    return bytes_str(
        arena_printf(a, "Greeting/%016llx/default",
                     (unsigned long long)(i * 0x9e3779b97f4a7c15ULL)));
}

static struct storage_key key(struct worker *w, const char *table, uint64_t i)
{
    return (struct storage_key){bytes_str(table), row_name(&w->arena, i)};
}

static void must(int rc, const struct ctx *ctx)
{
    if (rc != 0)
        die("bench: %s", ctx_err_text(ctx, rc));
}

static void must_raw(char *complaint)
{
    if (complaint)
        die("bench: rocksdb: %s", complaint);
}

/* ---- through storage.h ---- */

static void st_get_n(struct worker *w, size_t n)
{
    struct storage_key keys[8];
    struct storage_value v[8];

    for (size_t i = 0; i < n; i++)
        keys[i] = key(w, "app/entities", random_next(w) % w->hot);
    must(storage_get(&w->ctx, w->b->st, keys, n, v), &w->ctx);
}

static void st_get(struct worker *w)
{
    st_get_n(w, 1);
}

static void st_get3(struct worker *w)
{
    st_get_n(w, 3);
}

static void st_scan(struct worker *w)
{
    struct storage_range range = {
        .from = row_name(&w->arena, random_next(w) % w->b->rows),
        .to_end = true,
    };
    struct storage_page page;

    must(storage_scan(&w->ctx, w->b->st, bytes_str("app/entities"), &range,
                      STORAGE_FORWARD, 20, &page),
         &w->ctx);
}

static const char *const tables[] = {"app/kinds", "app/properties",
                                     "app/composites"};

static void st_commit(struct worker *w)
{
    static const char value[VALUE];
    struct storage_batch b = STORAGE_BATCH_IN(&w->arena);
    struct storage_key entity = key(w, "app/entities", random_next(w));

    storage_batch_require_absent(&b, entity);
    storage_batch_put(&b, entity, BYTES(value, VALUE));
    for (int i = 0; i < 11; i++)
        storage_batch_put(&b, key(w, tables[i % 3], random_next(w)),
                          BYTES(value, INDEX_VALUE));
    must(storage_commit(&w->ctx, w->b->st, &b, NULL), &w->ctx);
}

/* ---- straight to RocksDB ---- */

static struct bytes raw_key(struct worker *w, const char *table, uint64_t i)
{
    struct bytes row = row_name(&w->arena, i);

    return bytes_str(arena_printf(&w->arena, "%02d%s%.*s", (int)strlen(table),
                                  table, BYTES_FMT(row)));
}

static void raw_get(struct worker *w)
{
    struct bytes k = raw_key(w, "app/entities", random_next(w) % w->hot);
    char *complaint = NULL, *v;
    size_t n;

    v = rocksdb_get(w->b->raw, w->b->read, k.p, k.n, &n, &complaint);
    must_raw(complaint);
    rocksdb_free(v);
}

static void raw_scan(struct worker *w)
{
    struct bytes k = raw_key(w, "app/entities", random_next(w) % w->b->rows);
    rocksdb_iterator_t *it = rocksdb_create_iterator(w->b->raw, w->b->read);

    rocksdb_iter_seek(it, k.p, k.n);
    for (int i = 0; i < 20 && rocksdb_iter_valid(it); i++) {
        size_t n;
        const char *v = rocksdb_iter_value(it, &n);

        arena_dup(&w->arena, BYTES(v, n));
        rocksdb_iter_next(it);
    }
    rocksdb_iter_destroy(it);
}

static void raw_commit(struct worker *w)
{
    static const char value[VALUE];
    rocksdb_writebatch_t *b = rocksdb_writebatch_create();
    char *complaint = NULL;

    for (int i = 0; i < 12; i++) {
        struct bytes k =
            raw_key(w, i ? tables[i % 3] : "app/entities", random_next(w));

        rocksdb_writebatch_put(b, k.p, k.n, value, i ? INDEX_VALUE : VALUE);
    }
    rocksdb_write(w->b->raw, w->b->write, b, &complaint);
    must_raw(complaint);
    rocksdb_writebatch_destroy(b);
}

/* ---- running ---- */

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    int64_t began, now;

    pthread_barrier_wait(&w->b->start);
    do {
        began = clock_mono();
        w->op(w);
        now = clock_mono();
        histogram_add(&w->times, now - began);
        for (int i = 0; i < 15 && now < w->b->until; i++) {
            arena_reset(&w->arena);
            w->op(w);
            w->n++;
            /* A slow operation is timed each time it is done. */
            if (now - began > 50)
                break;
        }
        w->n++;
        arena_reset(&w->arena);
    } while (now < w->b->until);
    return NULL;
}

static void merge(struct histogram *all, const struct histogram *h)
{
    all->n += h->n;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        all->buckets[i] += h->buckets[i];
}

/* Of the process, in microseconds. */
static double cpu_time(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void run(struct bench *b, const char *name, void (*op)(struct worker *),
                int threads, uint64_t hot, double seconds)
{
    static struct worker workers[THREADS_MAX];
    struct histogram all = {0};
    double cpu = cpu_time();
    uint64_t n = 0;

    b->until = clock_mono() + (int64_t)(seconds * 1e6);
    pthread_barrier_init(&b->start, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        struct worker *w = &workers[i];

        *w = (struct worker){.b = b, .op = op, .id = (uint64_t)i, .hot = hot};
        w->rng = (uint64_t)clock_mono() * 2654435761u + w->id + 1;
        ctx_init(&w->ctx, &w->arena);
        pthread_create(&w->thread, NULL, worker_main, w);
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        n += workers[i].n;
        merge(&all, &workers[i].times);
        arena_release(&workers[i].arena);
    }
    pthread_barrier_destroy(&b->start);
    printf("%-14s %2d threads %9.0f /s  p50 %5lld us  p99 %6lld us  "
           "cpu %7.2f us\n",
           name, threads, (double)n / seconds,
           (long long)histogram_quantile(&all, 50),
           (long long)histogram_quantile(&all, 99),
           (cpu_time() - cpu) / (double)n);
    fflush(stdout);
}

static const struct job {
    const char *name;
    void (*op)(struct worker *);
    bool hot;
} jobs[] = {
    {"get", st_get, false},
    {"get hot", st_get, true},
    {"get 3 hot", st_get3, true},
    {"raw get", raw_get, false},
    {"raw get hot", raw_get, true},
    {"scan 20", st_scan, false},
    {"raw scan 20", raw_scan, false},
    {"commit 12", st_commit, false},
    {"raw commit 12", raw_commit, false},
};

static void load(struct bench *b)
{
    static const char value[VALUE];
    rocksdb_writeoptions_t *fast = rocksdb_writeoptions_create();
    struct worker w = {.b = b};

    ctx_init(&w.ctx, &w.arena);
    for (uint64_t i = 0; i < b->rows;) {
        struct storage_batch batch = STORAGE_BATCH_IN(&w.arena);

        for (int k = 0; k < 1000 && i < b->rows; k++, i++) {
            struct bytes rk = raw_key(&w, "app/entities", i);
            char *complaint = NULL;

            storage_batch_put(&batch, key(&w, "app/entities", i),
                              BYTES(value, VALUE));
            rocksdb_put(b->raw, fast, rk.p, rk.n, value, VALUE, &complaint);
            must_raw(complaint);
        }
        must(storage_commit(&w.ctx, b->st, &batch, NULL), &w.ctx);
        arena_reset(&w.arena);
    }
    arena_release(&w.arena);
    rocksdb_writeoptions_destroy(fast);
}

static rocksdb_t *open_raw(const char *path)
{
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_block_based_table_options_t *t =
        rocksdb_block_based_options_create();
    char *complaint = NULL;
    rocksdb_t *db;

    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_write_buffer_size(o, 16 * 1024 * 1024);
    rocksdb_options_set_max_write_buffer_number(o, 3);
    rocksdb_block_based_options_set_block_cache(
        t, rocksdb_cache_create_lru(128 * 1024 * 1024));
    rocksdb_block_based_options_set_filter_policy(
        t, rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_options_set_block_based_table_factory(o, t);
    db = rocksdb_open(o, path, &complaint);
    must_raw(complaint);
    return db;
}

int main(int argc, char **argv)
{
    static const int threads[] = {1, 8, 64};
    double seconds = argc > 2 ? atof(argv[2]) : 2;
    struct bench b = {.rows = argc > 3 ? strtoull(argv[3], NULL, 10) : 100000};
    struct arena arena = ARENA_INIT;
    struct ctx ctx;

    if (argc < 2)
        die("usage: %s FOLDER [SECONDS [ROWS]]", argv[0]);
    ctx_init(&ctx, &arena);
    must(storage_open(&ctx,
                      &(struct storage_options){
                          .backend = "rocksdb",
                          .path = arena_printf(&arena, "%s/storage", argv[1])},
                      &b.st),
         &ctx);
    b.raw = open_raw(arena_printf(&arena, "%s/raw", argv[1]));
    b.read = rocksdb_readoptions_create();
    b.write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(b.write, 1);
    load(&b);
    for (size_t j = 0; j < sizeof(jobs) / sizeof(jobs[0]); j++) {
        if (argc > 4 && !strstr(jobs[j].name, argv[4]))
            continue;
        for (size_t t = 0; t < sizeof(threads) / sizeof(threads[0]); t++)
            run(&b, jobs[j].name, jobs[j].op, threads[t],
                jobs[j].hot ? HOT_ROWS : b.rows, seconds);
    }
    printf("%.*s", BYTES_FMT(storage_stats(&ctx, b.st)));
    storage_close(b.st);
    rocksdb_close(b.raw);
    arena_release(&arena);
    return 0;
}
