/*
 * storage - the front of every backend.
 *
 * A call comes in, is held against the limits, the deadline and the named
 * faults, and goes to the backend through its vtable.  A backend therefore
 * never sees a key that is too long or a call that is too late, and a test can
 * make any store fail in any way the contract allows.
 */
#include "storage/storage.h"

#include "base/errinj.h"
#include "storage/storage_backend.h"

static const struct storage_backend *const backends[] = {
    &storage_rocksdb,
    &storage_memory,
    &storage_dhash,
    &storage_trace,
};

enum { N_BACKENDS = sizeof(backends) / sizeof(backends[0]) };

enum op { OP_GET, OP_SCAN, OP_COMMIT, OP_VIEW };

/*
 * What can be made to go wrong in front of every backend.  Each of these is
 * an answer the contract in storage.h allows, and leaves the store as it was.
 * storage.commit.lost is not among them: it writes first.
 */
static const struct fault {
    enum op op;
    const char *name;
    enum err_code code;
} faults[] = {
    {OP_GET, "storage.get.would_block", ERR_WOULD_BLOCK},
    {OP_GET, "storage.get.io", ERR_IO},
    {OP_GET, "storage.get.corrupt", ERR_CORRUPT},
    {OP_GET, "storage.get.deadline", ERR_DEADLINE},
    {OP_GET, "storage.get.unavailable", ERR_UNAVAILABLE},
    {OP_SCAN, "storage.scan.would_block", ERR_WOULD_BLOCK},
    {OP_SCAN, "storage.scan.io", ERR_IO},
    {OP_SCAN, "storage.scan.corrupt", ERR_CORRUPT},
    {OP_SCAN, "storage.scan.deadline", ERR_DEADLINE},
    {OP_SCAN, "storage.scan.unavailable", ERR_UNAVAILABLE},
    {OP_COMMIT, "storage.commit.would_block", ERR_WOULD_BLOCK},
    {OP_COMMIT, "storage.commit.io", ERR_IO},
    {OP_COMMIT, "storage.commit.no_space", ERR_NO_SPACE},
    {OP_COMMIT, "storage.commit.aborted", ERR_ABORTED},
    {OP_COMMIT, "storage.commit.deadline", ERR_DEADLINE},
    {OP_COMMIT, "storage.commit.unknown", ERR_UNKNOWN},
    {OP_VIEW, "storage.view.would_block", ERR_WOULD_BLOCK},
    {OP_VIEW, "storage.view.unavailable", ERR_UNAVAILABLE},
};

static int check_faults(struct ctx *ctx, enum op op)
{
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        const struct fault *f = &faults[i];

        if (f->op != op || !errinj(f->name))
            continue;
        if (f->code == ERR_WOULD_BLOCK)
            return ERR_WOULD_BLOCK;
        return ctx_err(ctx, f->code, "storage: injected fault %s", f->name);
    }
    return 0;
}

/* What is checked before any operation. */
static int check_op(struct ctx *ctx, enum op op)
{
    static const char *const names[] = {"get", "scan", "commit", "view"};

    if (ctx_left(ctx) == 0)
        return ctx_err(ctx, ERR_DEADLINE,
                       "storage: the deadline passed before the %s began",
                       names[op]);
    if (__atomic_load_n(&errinj_any, __ATOMIC_RELAXED))
        return check_faults(ctx, op);
    return 0;
}

static int check_size(struct ctx *ctx, const char *what, size_t n, size_t max)
{
    if (n <= max)
        return 0;
    return ctx_err(ctx, ERR_TOO_LARGE,
                   "storage: a %s of %zu bytes is over the limit of %zu", what,
                   n, max);
}

static int check_key(struct ctx *ctx, const struct storage_key *key)
{
    int rc = check_size(ctx, "partition name", key->partition.n,
                        STORAGE_PARTITION_MAX);

    return rc ? rc : check_size(ctx, "row key", key->row.n, STORAGE_ROW_MAX);
}

int storage_get(struct ctx *ctx, struct storage *st,
                const struct storage_key *keys, size_t n,
                struct storage_value *out)
{
    int rc = check_op(ctx, OP_GET);

    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = check_key(ctx, &keys[i]);
    if (rc != 0 || n == 0)
        return rc;
    return st->backend->get(ctx, st, keys, n, out);
}

int storage_get1(struct ctx *ctx, struct storage *st, struct storage_key key,
                 struct bytes *value)
{
    struct storage_value v;
    int rc = storage_get(ctx, st, &key, 1, &v);

    if (rc != 0)
        return rc;
    if (!v.found)
        return ERR_NOT_FOUND;
    *value = v.value;
    return 0;
}

/* Whether no row can be inside. */
static bool range_empty(const struct storage_range *r)
{
    return !r->to_end && bytes_cmp(r->from, r->to) >= 0;
}

int storage_scan(struct ctx *ctx, struct storage *st, struct bytes partition,
                 const struct storage_range *range, enum storage_dir dir,
                 size_t limit, struct storage_page *page)
{
    int rc = check_op(ctx, OP_SCAN);

    *page = (struct storage_page){0};
    if (rc == 0)
        rc = check_size(ctx, "partition name", partition.n,
                        STORAGE_PARTITION_MAX);
    /* A bound may be one longer: just behind the longest row. */
    if (rc == 0)
        rc = check_size(ctx, "range bound", range->from.n, STORAGE_ROW_MAX + 1);
    if (rc == 0 && !range->to_end)
        rc = check_size(ctx, "range bound", range->to.n, STORAGE_ROW_MAX + 1);
    if (rc == 0 && limit == 0)
        rc = ctx_err(ctx, ERR_INVALID, "storage: a scan of no rows");
    if (rc != 0 || range_empty(range))
        return rc;
    if (limit > STORAGE_PAGE_ROWS)
        limit = STORAGE_PAGE_ROWS;
    return st->backend->scan(ctx, st, partition, range, dir, limit, page);
}

static int check_conds(struct ctx *ctx, const struct storage_batch *b)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < b->n_conds; i++)
        rc = check_key(ctx, &b->conds[i].key);
    return rc;
}

static int check_writes(struct ctx *ctx, const struct storage_batch *b)
{
    size_t total = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < b->n_writes; i++) {
        const struct storage_write *w = &b->writes[i];

        rc = check_key(ctx, &w->key);
        if (rc == 0 && !w->del)
            rc = check_size(ctx, "value", w->value.n, STORAGE_VALUE_MAX);
        total += w->key.partition.n + w->key.row.n + w->value.n;
    }
    return rc ? rc : check_size(ctx, "batch", total, STORAGE_BATCH_MAX);
}

int storage_commit(struct ctx *ctx, struct storage *st,
                   const struct storage_batch *b, size_t *failed)
{
    size_t ignored;
    int rc = check_op(ctx, OP_COMMIT);

    if (rc == 0)
        rc = check_conds(ctx, b);
    if (rc == 0)
        rc = check_writes(ctx, b);
    if (rc == 0 && !st->backend->commit)
        rc = ctx_err(ctx, ERR_INVALID, "storage: a view takes no commits");
    if (rc != 0 || (b->n_conds == 0 && b->n_writes == 0))
        return rc;
    rc = st->backend->commit(ctx, st, b, failed ? failed : &ignored);
    if (rc == 0 && errinj("storage.commit.lost"))
        return ctx_err(ctx, ERR_UNKNOWN,
                       "storage: injected fault storage.commit.lost");
    return rc;
}

int storage_compact(struct ctx *ctx, struct storage *st,
                    storage_progress_fn *progress, void *arg,
                    struct storage_compaction *out)
{
    *out = (struct storage_compaction){0};
    if (!st->backend->compact)
        return 0;
    return st->backend->compact(ctx, st, progress, arg, out);
}

int storage_view(struct ctx *ctx, struct storage *st, struct storage **view)
{
    int rc = check_op(ctx, OP_VIEW);

    *view = NULL;
    if (rc != 0)
        return rc;
    return st->backend->view ? st->backend->view(ctx, st, view)
                             : ERR_UNIMPLEMENTED;
}

/* "trace:rocksdb" is the backend trace, which opens what follows the colon. */
static const struct storage_backend *backend_find(const char *name)
{
    struct bytes head = BYTES(name, strcspn(name, ":"));

    for (size_t i = 0; i < N_BACKENDS; i++) {
        if (bytes_eq_str(head, backends[i]->name) &&
            (backends[i]->wraps || name[head.n] == '\0'))
            return backends[i];
    }
    return NULL;
}

static const char *backend_names(struct arena *a)
{
    struct buf names = BUF_IN(a);

    for (size_t i = 0; i < N_BACKENDS; i++)
        buf_printf(&names, "%s%s", i ? ", " : "", backends[i]->name);
    return buf_cstr(&names);
}

int storage_open(struct ctx *ctx, const struct storage_options *o,
                 struct storage **st)
{
    const char *name = o->backend ? o->backend : "";
    const struct storage_backend *be = backend_find(name);

    *st = NULL;
    if (!be)
        return ctx_err(ctx, ERR_INVALID,
                       "storage: no backend named '%s'; there are %s", name,
                       backend_names(ctx->arena));
    return be->open(ctx, o, st);
}

void storage_close(struct storage *st)
{
    if (st)
        st->backend->close(st);
}

const char *storage_name(const struct storage *st)
{
    return st->backend->name;
}

bool storage_durable(const struct storage *st)
{
    return st->durable;
}

const char *storage_backend_name(size_t n, const char **help)
{
    if (n >= N_BACKENDS)
        return NULL;
    *help = backends[n]->help;
    return backends[n]->name;
}

struct bytes storage_stats(struct ctx *ctx, struct storage *st)
{
    struct buf out = BUF_IN(ctx->arena);

    buf_printf(&out, "backend %s\n", st->backend->name);
    if (st->backend->stats)
        st->backend->stats(st, &out);
    return buf_view(&out);
}
