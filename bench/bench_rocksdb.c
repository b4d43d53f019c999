/*
 * bench_rocksdb - the yardstick of a durable Put: the same rows written
 * straight to RocksDB, one synced batch each, by N threads.
 *
 * A batch is what the Put of a ten-property entity writes: one row of 600
 * bytes and eleven of index size, at random places.
 */
#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROWS = 12, ENTITY = 600, KEY = 70, LATENCIES = 1 << 20 };

static rocksdb_t *db;
static rocksdb_writeoptions_t *synced;
static int64_t until;
static _Atomic uint64_t serial;
static uint32_t *latencies; /* microseconds */

static void fill_key(char *key, uint64_t n, int row)
{
    uint64_t h = bytes_hash(BYTES(&n, sizeof(n)));

    memset(key, 'k', KEY);
    key[0] = (char)('a' + row);
    memcpy(key + 1, &h, sizeof(h));
    memcpy(key + KEY - 8, &n, sizeof(n));
}

static void *work(void *arg)
{
    char key[KEY], value[ENTITY], *err = NULL;

    memset(value, 'v', sizeof(value));
    while (clock_mono() < until) {
        rocksdb_writebatch_t *b = rocksdb_writebatch_create();
        uint64_t n = atomic_fetch_add(&serial, 1);
        int64_t t = clock_mono();

        for (int row = 0; row < ROWS; row++) {
            fill_key(key, n, row);
            rocksdb_writebatch_put(b, key, KEY, value, row ? 1 : ENTITY);
        }
        rocksdb_write(db, synced, b, &err);
        if (err)
            die("writing: %s", err);
        rocksdb_writebatch_destroy(b);
        latencies[n % LATENCIES] = (uint32_t)(clock_mono() - t);
    }
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    rocksdb_options_t *o = rocksdb_options_create();
    pthread_t threads[256];
    char *err = NULL;
    int n = argc > 2 ? atoi(argv[2]) : 1;
    double seconds = argc > 3 ? atof(argv[3]) : 3;
    int64_t started;
    size_t count;

    if (argc < 2 || n < 1 || n > 256)
        die("usage: bench_rocksdb FOLDER [THREADS [SECONDS]]");
    rocksdb_options_set_create_if_missing(o, 1);
    db = rocksdb_open(o, argv[1], &err);
    if (err)
        die("opening %s: %s", argv[1], err);
    synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(synced, 1);
    latencies = calloc(LATENCIES, sizeof(*latencies));
    started = clock_mono();
    until = started + (int64_t)(seconds * CLOCK_SEC);
    for (int i = 0; i < n; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    seconds = (double)(clock_mono() - started) / CLOCK_SEC;
    count = serial < LATENCIES ? serial : LATENCIES;
    qsort(latencies, count, sizeof(*latencies), by_value);
    printf("{\"workload\":\"rocksdb\",\"conns\":%d,\"rate\":%.0f,"
           "\"p50\":%u,\"p99\":%u,\"errors\":0}\n",
           n, (double)serial / seconds, latencies[count / 2],
           latencies[count * 99 / 100]);
    free(latencies);
    rocksdb_writeoptions_destroy(synced);
    rocksdb_close(db);
    rocksdb_options_destroy(o);
    return 0;
}
