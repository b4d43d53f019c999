/*
 * random - the differential run: the same random operations on the store under
 * test and on the reference must have the same outcome, step by step.
 */
#include "contract.h"

enum {
    PARTITIONS = 4,
    ROWS = 40,
    STEPS = 4000,
    SECONDS = 5, /* a slow store makes fewer of them */
    REOPEN_EVERY = 700,
    KEYS_MAX = 8,
    VALUE_MAX = 300,
};

/* A cache so small that rows leave it all the time. */
enum { TINY_CACHE = 128 * 1024 };

struct run {
    struct rng rng;
    struct fixture *f;
    struct ctx *ctx;
    struct storage *st;                     /* under test */
    struct storage *ref;                    /* memory */
    struct storage_key seen_keys[KEYS_MAX]; /* of the last get */
    struct storage_value seen[KEYS_MAX];
    size_t n_seen;
};

/* ---- what is asked ---- */

/* Rows that are prefixes of each other and hold the extreme bytes. */
static struct bytes some_row(struct run *r)
{
    static const uint8_t letters[] = {0x00, 0x01, 'a', 'b', 0xfe, 0xff};
    struct rng pick = {rng_below(&r->rng, ROWS)};
    size_t n = rng_below(&pick, 5);
    uint8_t *p = arena_alloc(r->ctx->arena, n + 1);

    for (size_t i = 0; i < n; i++)
        p[i] = letters[rng_below(&pick, sizeof(letters))];
    return BYTES(p, n);
}

static struct bytes some_partition(struct run *r)
{
    static const struct bytes names[PARTITIONS] = {
        {"", 0}, {"p", 1}, {"p\0", 2}, {"\xff\xff", 2}};

    return names[rng_below(&r->rng, PARTITIONS)];
}

static struct storage_key some_key(struct run *r)
{
    return (struct storage_key){some_partition(r), some_row(r)};
}

static struct bytes some_value(struct run *r)
{
    size_t n = rng_below(&r->rng, 4) ? rng_below(&r->rng, 4)
                                     : rng_below(&r->rng, VALUE_MAX);
    uint8_t *p = arena_alloc(r->ctx->arena, n + 1);

    memset(p, (int)rng_below(&r->rng, 3), n);
    return BYTES(p, n);
}

/* ---- one step each ---- */

static void assert_same_rc(struct run *r, int got, int want)
{
    if (got != want)
        fail_msg("answered %d where the reference said %d: %s", got, want,
                 ctx_err_text(r->ctx, got));
}

static void step_get(struct run *r)
{
    struct storage_value want[KEYS_MAX];
    size_t n = 1 + rng_below(&r->rng, KEYS_MAX);

    for (size_t i = 0; i < n; i++)
        r->seen_keys[i] = some_key(r);
    assert_same_rc(r, storage_get(r->ctx, r->st, r->seen_keys, n, r->seen), 0);
    assert_int_equal(storage_get(r->ctx, r->ref, r->seen_keys, n, want), 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(r->seen[i].found, want[i].found);
        assert_bytes(r->seen[i].value, want[i].value);
    }
    r->n_seen = n;
}

static void step_scan(struct run *r)
{
    struct bytes partition = some_partition(r);
    struct storage_range range = {some_row(r), some_row(r), false};
    enum storage_dir dir =
        rng_below(&r->rng, 2) ? STORAGE_FORWARD : STORAGE_BACKWARD;
    size_t limit = 1 + rng_below(&r->rng, ROWS);
    struct storage_page got, want;

    range.to_end = rng_below(&r->rng, 3) == 0;
    if (rng_below(&r->rng, 4) == 0)
        range = storage_prefix(r->ctx->arena, range.from);
    assert_same_rc(
        r, storage_scan(r->ctx, r->st, partition, &range, dir, limit, &got),
        storage_scan(r->ctx, r->ref, partition, &range, dir, limit, &want));
    assert_int_equal(got.n, want.n);
    assert_int_equal(got.more, want.more);
    for (size_t i = 0; i < got.n; i++) {
        assert_bytes(got.rows[i].row, want.rows[i].row);
        assert_bytes(got.rows[i].value, want.rows[i].value);
    }
}

/* Mostly what was just read, which mostly still holds. */
static void add_conds(struct run *r, struct storage_batch *b)
{
    for (size_t i = 0; i < r->n_seen && rng_below(&r->rng, 2); i++)
        storage_batch_require_same(b, r->seen_keys[i], &r->seen[i]);
    if (rng_below(&r->rng, 8) == 0)
        storage_batch_require_absent(b, some_key(r));
    if (rng_below(&r->rng, 8) == 0)
        storage_batch_require(b, some_key(r), some_value(r));
    if (rng_below(&r->rng, 8) == 0)
        storage_batch_require_below(b, some_key(r), some_value(r));
}

static void add_writes(struct run *r, struct storage_batch *b)
{
    size_t n = rng_below(&r->rng, KEYS_MAX);

    for (size_t i = 0; i < n; i++) {
        if (rng_below(&r->rng, 3) == 0)
            storage_batch_delete(b, some_key(r));
        else
            storage_batch_put(b, some_key(r), some_value(r));
    }
}

static bool cond_holds(struct run *r, const struct storage_cond *c)
{
    struct storage_value v;

    assert_int_equal(storage_get(r->ctx, r->ref, &c->key, 1, &v), 0);
    if (c->below)
        return !v.found || bytes_cmp(v.value, c->value) < 0;
    return c->absent ? !v.found : v.found && bytes_eq(v.value, c->value);
}

static void step_commit(struct run *r)
{
    struct storage_batch b = STORAGE_BATCH_IN(r->ctx->arena);
    size_t failed = SIZE_MAX;
    int got, want;

    add_conds(r, &b);
    add_writes(r, &b);
    want = storage_commit(r->ctx, r->ref, &b, NULL);
    got = storage_commit(r->ctx, r->st, &b, &failed);
    assert_same_rc(r, got, want);
    if (got == ERR_CONFLICT) {
        assert_in_range(failed, 0, b.n_conds - 1);
        assert_false(cond_holds(r, &b.conds[failed]));
    }
}

/* Both stores from end to end. */
static void compare_all(struct run *r)
{
    static const struct bytes names[PARTITIONS] = {
        {"", 0}, {"p", 1}, {"p\0", 2}, {"\xff\xff", 2}};
    struct storage_range all = STORAGE_ALL;

    for (int p = 0; p < PARTITIONS; p++) {
        struct storage_page got =
            scan_all(r->ctx, r->st, names[p], &all, STORAGE_FORWARD, 7);
        struct storage_page want =
            scan_all(r->ctx, r->ref, names[p], &all, STORAGE_FORWARD, 1000);

        assert_int_equal(got.n, want.n);
        for (size_t i = 0; i < got.n; i++) {
            assert_bytes(got.rows[i].row, want.rows[i].row);
            assert_bytes(got.rows[i].value, want.rows[i].value);
        }
    }
}

static void run_steps(struct run *r, unsigned steps, size_t cache_bytes)
{
    static void (*const kinds[])(struct run *) = {step_get, step_get, step_scan,
                                                  step_commit, step_commit};
    int64_t until = clock_mono() + SECONDS * CLOCK_SEC * contract_scale();

    for (unsigned i = 1; i <= steps && clock_mono() < until; i++) {
        if (contract_durable && i % REOPEN_EVERY == 0) {
            storage_close(r->st);
            r->st =
                fixture_open(r->ctx, r->f->backend, r->f->path, cache_bytes);
        }
        kinds[rng_below(&r->rng, sizeof(kinds) / sizeof(kinds[0]))](r);
        if (i % 100 == 0) {
            arena_reset(r->ctx->arena);
            r->n_seen = 0;
        }
    }
    compare_all(r);
}

static uint64_t seed(void)
{
    const char *s = getenv("CONTRACT_SEED");

    return s ? strtoull(s, NULL, 0) : (uint64_t)clock_mono();
}

static void run_random(struct fixture *f, size_t cache_bytes)
{
    struct run r = {.rng = {seed()}, .f = f, .ctx = &f->ctx};

    print_message("           CONTRACT_SEED=%llu repeats this\n",
                  (unsigned long long)r.rng.state);
    storage_close(f->st);
    f->st = NULL;
    r.st = fixture_open(r.ctx, f->backend, f->path, cache_bytes);
    r.ref = fixture_open(r.ctx, "memory", NULL, 0);
    run_steps(&r, STEPS * contract_scale(), cache_bytes);
    storage_close(r.st);
    storage_close(r.ref);
}

static void random_operations_agree_with_memory(void **state)
{
    run_random(*state, 0);
}

static void they_agree_with_a_tiny_cache_too(void **state)
{
    run_random(*state, TINY_CACHE);
}

CONTRACT_GROUP(contract_random,
               CONTRACT_CASE(random_operations_agree_with_memory),
               CONTRACT_CASE(they_agree_with_a_tiny_cache_too));
