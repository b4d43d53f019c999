/*
 * contract - the suite that every storage backend passes.
 *
 * Each file here is a group of cases written against storage.h alone;
 * test_storage.c runs all of them over the backend it is told to.  A case gets
 * a fixture: an empty store, a ctx and an arena of its own.
 */
#ifndef TESTS_CONTRACT_CONTRACT_H
#define TESTS_CONTRACT_CONTRACT_H

#include "base/buf.h"
#include "storage/storage.h"
#include "test.h"

struct fixture {
    const char *backend;
    struct arena arena;
    struct ctx ctx;
    char *path; /* a folder of this fixture alone, not there at first */
    struct storage *st;
};

/* What is under test, and whether it keeps its rows when it is closed and when
 * the process dies; set once by main(). */
extern const char *contract_backend;
extern bool contract_durable;

/* Where test_dir() will be, with CONTRACT_NO_SYNC; before the first of it. */
void medium_choose(void);

/* How long the random parts may go on: 1, or $CONTRACT_SCALE. */
unsigned contract_scale(void);

/* cmocka setup and teardown: an empty store in *state. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Open another store of `backend` in `path`; the test fails when it cannot.
 * `cache_bytes` as in storage_options. */
struct storage *fixture_open(struct ctx *ctx, const char *backend,
                             const char *path, size_t cache_bytes);

/* Close and open again. */
void fixture_reopen(struct fixture *f);

/* Keys and values of string literals. */
struct storage_key key_of(const char *partition, const char *row);

/* Write one row, or remove it; read it back as a C string, NULL if absent. */
void put1(struct fixture *f, struct storage_key key, const char *value);
void delete1(struct fixture *f, struct storage_key key);
const char *get1(struct fixture *f, struct storage_key key);

/* The whole range, page by page of `limit` rows. */
struct storage_page scan_all(struct ctx *ctx, struct storage *st,
                             struct bytes partition,
                             const struct storage_range *range,
                             enum storage_dir dir, size_t limit);

/* A small generator of the test's own, so that a seed repeats a run. */
struct rng {
    uint64_t state;
};

uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n);

/* The groups, each an array of cases with its length. */
extern const struct CMUnitTest contract_basic[], contract_limits[],
    contract_random[], contract_threads[], contract_crash[];
extern const size_t contract_basic_n, contract_limits_n, contract_random_n,
    contract_threads_n, contract_crash_n;

#define CONTRACT_CASE(fn_)                                                     \
    cmocka_unit_test_setup_teardown(fn_, fixture_setup, fixture_teardown)
#define CONTRACT_GROUP(name_, ...)                                             \
    const struct CMUnitTest name_[] = {__VA_ARGS__};                           \
    const size_t name_##_n = sizeof(name_) / sizeof(name_[0])

#endif
