/*
 * fixture - an empty store for each case, and the small words they speak in.
 */
#include "contract.h"

#include "base/errinj.h"

const char *contract_backend;
bool contract_durable;

unsigned contract_scale(void)
{
    const char *s = getenv("CONTRACT_SCALE");
    int n = s ? atoi(s) : 1;

    return n > 0 ? (unsigned)n : 1;
}

struct storage *fixture_open(struct ctx *ctx, const char *backend,
                             const char *path, size_t cache_bytes)
{
    struct storage_options o = {
        .backend = backend, .path = path, .cache_bytes = cache_bytes};
    struct storage *st;
    int rc = storage_open(ctx, &o, &st);

    if (rc != 0)
        fail_msg("opening %s in %s: %s", backend, path, ctx_err_text(ctx, rc));
    return st;
}

int fixture_setup(void **state)
{
    static int serial;
    struct fixture *f = calloc(1, sizeof(*f));

    f->backend = contract_backend;
    if (asprintf(&f->path, "%s/store%d", test_dir(), serial++) < 0)
        return -1;
    ctx_init(&f->ctx, &f->arena);
    f->st = fixture_open(&f->ctx, f->backend, f->path, 0);
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    errinj_clear();
    storage_close(f->st);
    arena_release(&f->arena);
    free(f->path);
    free(f);
    return 0;
}

void fixture_reopen(struct fixture *f)
{
    storage_close(f->st);
    f->st = fixture_open(&f->ctx, f->backend, f->path, 0);
}

struct storage_key key_of(const char *partition, const char *row)
{
    return (struct storage_key){bytes_str(partition), bytes_str(row)};
}

static void commit_ok(struct fixture *f, const struct storage_batch *b)
{
    int rc = storage_commit(&f->ctx, f->st, b, NULL);

    if (rc != 0)
        fail_msg("commit: %s", ctx_err_text(&f->ctx, rc));
}

void put1(struct fixture *f, struct storage_key key, const char *value)
{
    struct storage_batch b = STORAGE_BATCH_IN(&f->arena);

    storage_batch_put(&b, key, bytes_str(value));
    commit_ok(f, &b);
}

void delete1(struct fixture *f, struct storage_key key)
{
    struct storage_batch b = STORAGE_BATCH_IN(&f->arena);

    storage_batch_delete(&b, key);
    commit_ok(f, &b);
}

const char *get1(struct fixture *f, struct storage_key key)
{
    struct bytes value;
    int rc = storage_get1(&f->ctx, f->st, key, &value);

    if (rc == ERR_NOT_FOUND)
        return NULL;
    if (rc != 0)
        fail_msg("get: %s", ctx_err_text(&f->ctx, rc));
    return arena_cstr(&f->arena, value);
}

struct storage_page scan_all(struct ctx *ctx, struct storage *st,
                             struct bytes partition,
                             const struct storage_range *range,
                             enum storage_dir dir, size_t limit)
{
    struct storage_range rest = *range;
    struct storage_page all = {0}, page;

    do {
        int rc = storage_scan(ctx, st, partition, &rest, dir, limit, &page);

        if (rc != 0)
            fail_msg("scan: %s", ctx_err_text(ctx, rc));
        if (page.n == 0) {
            assert_false(page.more);
            break;
        }
        all.rows = arena_grow(ctx->arena, all.rows, all.n * sizeof(all.rows[0]),
                              (all.n + page.n) * sizeof(all.rows[0]));
        memcpy(all.rows + all.n, page.rows, page.n * sizeof(all.rows[0]));
        all.n += page.n;
        rest = storage_range_after(ctx->arena, &rest, dir,
                                   page.rows[page.n - 1].row);
    } while (page.more);
    return all;
}

uint64_t rng_next(struct rng *r)
{
    uint64_t x = r->state += 0x9e3779b97f4a7c15ULL;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
    return rng_next(r) % n;
}
