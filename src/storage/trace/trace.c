/*
 * trace - a store around another one, which watches it work.
 *
 * "trace:rocksdb" opens rocksdb and passes every call on.  For each operation
 * it counts calls, failures, rows and bytes, and keeps a histogram of the
 * time; storage_stats() prints them before those of the store inside.
 *
 * Faults can be set between the checks and the backend, by the name of the
 * backend and the operation: "rocksdb.get.io", "memory.commit.lost".
 */
#include "base/errinj.h"
#include "base/locks.h"
#include "base/log.h"
#include "storage/storage_backend.h"
#include "storage/trace/histogram.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum op { OP_GET, OP_SCAN, OP_COMMIT, N_OPS };

static const char *const op_names[N_OPS] = {"get", "scan", "commit"};

struct figures {
    uint64_t failed; /* neither 0 nor an answer such as CONFLICT */
    uint64_t rows;
    uint64_t bytes;
    struct histogram times;
};

struct trace {
    struct storage base;
    struct storage *inner;
    struct trace *counts; /* who counts: itself, of a view the traced store */
    struct lock lock;     /* LOCK_STORAGE_TRACE: the figures */
    struct figures ops[N_OPS];
};

static const struct storage_backend trace_view_backend;

static struct trace *trace_of(struct storage *st)
{
    if (st->backend != &storage_trace && st->backend != &trace_view_backend)
        BUG("the store %s is not a trace", st->backend->name);
    return (struct trace *)st;
}

/* ---- faults ---- */

/* One that comes late lets the backend do its work, and hides that it did. */
static const struct fault {
    enum op op;
    const char *name;
    enum err_code code;
    bool late;
} faults[] = {
    {OP_GET, "io", ERR_IO, false},
    {OP_GET, "would_block", ERR_WOULD_BLOCK, false},
    {OP_SCAN, "io", ERR_IO, false},
    {OP_SCAN, "would_block", ERR_WOULD_BLOCK, false},
    {OP_COMMIT, "io", ERR_IO, false},
    {OP_COMMIT, "no_space", ERR_NO_SPACE, false},
    {OP_COMMIT, "aborted", ERR_ABORTED, false},
    {OP_COMMIT, "lost", ERR_UNKNOWN, true},
};

static int check_faults(struct ctx *ctx, const struct trace *t, enum op op,
                        bool late)
{
    if (!__atomic_load_n(&errinj_any, __ATOMIC_RELAXED))
        return 0;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        const struct fault *f = &faults[i];
        char name[64];

        if (f->op != op || f->late != late)
            continue;
        snprintf(name, sizeof(name), "%s.%s.%s", storage_name(t->inner),
                 op_names[op], f->name);
        if (!errinj(name))
            continue;
        if (f->code == ERR_WOULD_BLOCK)
            return ERR_WOULD_BLOCK;
        return ctx_err(ctx, f->code, "storage: injected fault %s", name);
    }
    return 0;
}

/* ---- figures ---- */

static bool is_failure(int rc)
{
    return rc != 0 && rc != ERR_CONFLICT && rc != ERR_WOULD_BLOCK;
}

static void count(struct trace *t, enum op op, int rc, int64_t began,
                  size_t rows, size_t bytes)
{
    struct figures *f = &t->counts->ops[op];
    int64_t us = clock_mono() - began;

    t = t->counts;
    lock_take(&t->lock);
    f->failed += is_failure(rc);
    f->rows += rows;
    f->bytes += bytes;
    histogram_add(&f->times, us);
    lock_drop(&t->lock);
}

/* ---- the operations ---- */

static int trace_get(struct ctx *ctx, struct storage *st,
                     const struct storage_key *keys, size_t n,
                     struct storage_value *out)
{
    struct trace *t = trace_of(st);
    int64_t began = clock_mono();
    size_t bytes = 0;
    int rc = check_faults(ctx, t, OP_GET, false);

    if (rc == 0)
        rc = t->inner->backend->get(ctx, t->inner, keys, n, out);
    for (size_t i = 0; rc == 0 && i < n; i++)
        bytes += out[i].value.n;
    count(t, OP_GET, rc, began, rc == 0 ? n : 0, bytes);
    return rc;
}

static int trace_scan(struct ctx *ctx, struct storage *st,
                      struct bytes partition, const struct storage_range *range,
                      enum storage_dir dir, size_t limit,
                      struct storage_page *page)
{
    struct trace *t = trace_of(st);
    int64_t began = clock_mono();
    size_t bytes = 0;
    int rc = check_faults(ctx, t, OP_SCAN, false);

    if (rc == 0)
        rc = t->inner->backend->scan(ctx, t->inner, partition, range, dir,
                                     limit, page);
    for (size_t i = 0; rc == 0 && i < page->n; i++)
        bytes += page->rows[i].row.n + page->rows[i].value.n;
    count(t, OP_SCAN, rc, began, rc == 0 ? page->n : 0, bytes);
    return rc;
}

static int trace_commit(struct ctx *ctx, struct storage *st,
                        const struct storage_batch *b, size_t *failed)
{
    struct trace *t = trace_of(st);
    int64_t began = clock_mono();
    size_t bytes = 0;
    int rc = check_faults(ctx, t, OP_COMMIT, false);

    if (rc == 0)
        rc = t->inner->backend->commit(ctx, t->inner, b, failed);
    if (rc == 0)
        rc = check_faults(ctx, t, OP_COMMIT, true);
    for (size_t i = 0; rc == 0 && i < b->n_writes; i++)
        bytes += b->writes[i].key.row.n + b->writes[i].value.n;
    count(t, OP_COMMIT, rc, began, rc == 0 ? b->n_writes : 0, bytes);
    return rc;
}

static int trace_compact(struct ctx *ctx, struct storage *st,
                         storage_progress_fn *progress, void *arg,
                         struct storage_compaction *out)
{
    return storage_compact(ctx, trace_of(st)->inner, progress, arg, out);
}

/* ---- open, close, stats ---- */

static int trace_open(struct ctx *ctx, const struct storage_options *o,
                      struct storage **st)
{
    struct storage_options inner = *o;
    const char *colon = strchr(o->backend, ':');
    struct trace *t;
    int rc;

    if (!colon || !colon[1])
        return ctx_err(ctx, ERR_INVALID,
                       "storage: trace wraps another backend, as in "
                       "'trace:rocksdb'");
    t = calloc(1, sizeof(*t));
    if (!t)
        die("out of memory opening a traced store");
    inner.backend = colon + 1;
    rc = storage_open(ctx, &inner, &t->inner);
    if (rc != 0) {
        free(t);
        return rc;
    }
    t->base.backend = &storage_trace;
    t->base.durable = t->inner->durable;
    t->counts = t;
    lock_init(&t->lock, LOCK_STORAGE_TRACE);
    *st = &t->base;
    return 0;
}

static int trace_view(struct ctx *ctx, struct storage *st,
                      struct storage **view)
{
    struct trace *t = trace_of(st), *v;
    struct storage *inner;
    int rc = storage_view(ctx, t->inner, &inner);

    if (rc != 0)
        return rc;
    v = calloc(1, sizeof(*v));
    if (!v)
        die("out of memory opening a view of a traced store");
    v->base.backend = &trace_view_backend;
    v->inner = inner;
    v->counts = t;
    *view = &v->base;
    return 0;
}

static void trace_view_close(struct storage *st)
{
    struct trace *t = trace_of(st);

    storage_close(t->inner);
    free(t);
}

static void trace_close(struct storage *st)
{
    struct trace *t = trace_of(st);

    storage_close(t->inner);
    lock_release(&t->lock);
    free(t);
}

static void print_op(struct buf *out, const char *op, const struct figures *f)
{
    buf_printf(out, "trace.%s.calls %" PRIu64 "\n", op, f->times.n);
    buf_printf(out, "trace.%s.failed %" PRIu64 "\n", op, f->failed);
    buf_printf(out, "trace.%s.rows %" PRIu64 "\n", op, f->rows);
    buf_printf(out, "trace.%s.bytes %" PRIu64 "\n", op, f->bytes);
    buf_printf(out, "trace.%s.p50_us %" PRId64 "\n", op,
               histogram_quantile(&f->times, 50));
    buf_printf(out, "trace.%s.p99_us %" PRId64 "\n", op,
               histogram_quantile(&f->times, 99));
}

static void trace_stats(struct storage *st, struct buf *out)
{
    struct trace *t = trace_of(st);

    lock_take(&t->lock);
    for (int op = 0; op < N_OPS; op++)
        print_op(out, op_names[op], &t->ops[op]);
    lock_drop(&t->lock);
    buf_printf(out, "trace.of %s\n", storage_name(t->inner));
    if (t->inner->backend->stats)
        t->inner->backend->stats(t->inner, out);
}

static const struct storage_backend trace_view_backend = {
    .name = "trace",
    .get = trace_get,
    .scan = trace_scan,
    .close = trace_view_close,
};

const struct storage_backend storage_trace = {
    .name = "trace",
    .help = "counts and times another: trace:rocksdb",
    .wraps = true,
    .open = trace_open,
    .get = trace_get,
    .scan = trace_scan,
    .commit = trace_commit,
    .compact = trace_compact,
    .view = trace_view,
    .stats = trace_stats,
    .close = trace_close,
};
