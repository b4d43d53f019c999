/*
 * memory - the reference backend and the test double.
 *
 * All rows stand in one ordered list under one lock, so a get, a page and a
 * commit are each of one moment without further thought.  It says what the
 * others must do: the contract suite runs every backend against this one.
 * Nothing survives the process.
 */
#include "base/locks.h"
#include "base/log.h"
#include "storage/memory/list.h"
#include "storage/page.h"
#include "storage/storage_backend.h"

#include <stdlib.h>

struct memory {
    struct storage base;
    struct lock lock; /* LOCK_STORAGE_MEMORY: all below; no one waits in it */
    struct list rows;
};

static const struct storage_backend memory_view_backend;

static struct memory *memory_of(struct storage *st)
{
    if (st->backend != &storage_memory && st->backend != &memory_view_backend)
        BUG("the store %s is not memory", st->backend->name);
    return (struct memory *)st;
}

static struct memory *memory_new(const struct storage_backend *backend)
{
    struct memory *m = calloc(1, sizeof(*m));

    if (!m)
        die("out of memory opening the memory store");
    m->base.backend = backend;
    lock_init(&m->lock, LOCK_STORAGE_MEMORY);
    list_init(&m->rows);
    return m;
}

static int memory_open(struct ctx *ctx, const struct storage_options *o,
                       struct storage **st)
{
    *st = &memory_new(&storage_memory)->base;
    return 0;
}

static void memory_close(struct storage *st)
{
    struct memory *m = memory_of(st);

    list_release(&m->rows);
    lock_release(&m->lock);
    free(m);
}

static int memory_get(struct ctx *ctx, struct storage *st,
                      const struct storage_key *keys, size_t n,
                      struct storage_value *out)
{
    struct memory *m = memory_of(st);

    lock_take(&m->lock);
    for (size_t i = 0; i < n; i++) {
        const struct list_node *x = list_find(&m->rows, keys[i]);

        out[i] = (struct storage_value){
            .found = x != NULL,
            .value = x ? arena_dup(ctx->arena, x->value) : BYTES_NONE,
        };
    }
    lock_drop(&m->lock);
    return 0;
}

static const struct list_node *scan_start(const struct list *rows,
                                          struct bytes partition,
                                          const struct storage_range *range,
                                          enum storage_dir dir)
{
    struct storage_key from = {partition, range->from};
    struct storage_key to = {partition, range->to};

    if (dir == STORAGE_FORWARD)
        return list_at_or_after(rows, from);
    return range->to_end ? list_last(rows, partition) : list_before(rows, to);
}

static bool in_range(const struct list_node *x, struct bytes partition,
                     const struct storage_range *range)
{
    return x && bytes_eq(x->key.partition, partition) &&
           bytes_cmp(x->key.row, range->from) >= 0 &&
           (range->to_end || bytes_cmp(x->key.row, range->to) < 0);
}

static int memory_scan(struct ctx *ctx, struct storage *st,
                       struct bytes partition,
                       const struct storage_range *range, enum storage_dir dir,
                       size_t limit, struct storage_page *page)
{
    struct memory *m = memory_of(st);
    struct page_fill fill = PAGE_FILL_INIT(ctx->arena, page, limit);
    const struct list_node *x;

    lock_take(&m->lock);
    x = scan_start(&m->rows, partition, range, dir);
    while (in_range(x, partition, range) && !page_full(&fill)) {
        page_add(&fill, x->key.row, x->value);
        x = dir == STORAGE_FORWARD ? x->next[0] : x->prev;
    }
    page->more = in_range(x, partition, range);
    lock_drop(&m->lock);
    return 0;
}

static bool cond_holds(const struct list *rows, const struct storage_cond *c)
{
    const struct list_node *x = list_find(rows, c->key);
    struct storage_value v = {
        .found = x != NULL,
        .value = x ? x->value : BYTES_NONE,
    };

    return storage_cond_holds(c, &v);
}

static int check_conds(const struct list *rows, const struct storage_batch *b,
                       size_t *failed)
{
    for (size_t i = 0; i < b->n_conds; i++) {
        if (!cond_holds(rows, &b->conds[i])) {
            *failed = i;
            return ERR_CONFLICT;
        }
    }
    return 0;
}

static int memory_commit(struct ctx *ctx, struct storage *st,
                         const struct storage_batch *b, size_t *failed)
{
    struct memory *m = memory_of(st);
    int rc;

    lock_take(&m->lock);
    rc = check_conds(&m->rows, b, failed);
    for (size_t i = 0; rc == 0 && i < b->n_writes; i++) {
        const struct storage_write *w = &b->writes[i];

        if (w->del)
            list_delete(&m->rows, w->key);
        else
            list_put(&m->rows, w->key, w->value);
    }
    lock_drop(&m->lock);
    return rc;
}

/* A copy of everything: this is the reference, and tests are small. */
static int memory_view(struct ctx *ctx, struct storage *st,
                       struct storage **view)
{
    struct memory *m = memory_of(st), *copy = memory_new(&memory_view_backend);
    const struct list_node *x;

    lock_take(&m->lock);
    for (x = m->rows.head->next[0]; x; x = x->next[0])
        list_put(&copy->rows, x->key, x->value);
    lock_drop(&m->lock);
    *view = &copy->base;
    return 0;
}

static void memory_stats(struct storage *st, struct buf *out)
{
    struct memory *m = memory_of(st);

    lock_take(&m->lock);
    buf_printf(out, "memory.rows %zu\nmemory.bytes %zu\n", m->rows.n,
               m->rows.bytes);
    lock_drop(&m->lock);
}

static const struct storage_backend memory_view_backend = {
    .name = "memory",
    .get = memory_get,
    .scan = memory_scan,
    .close = memory_close,
};

const struct storage_backend storage_memory = {
    .name = "memory",
    .help = "in this process only, for tests; nothing survives it",
    .open = memory_open,
    .get = memory_get,
    .scan = memory_scan,
    .commit = memory_commit,
    .view = memory_view,
    .stats = memory_stats,
    .close = memory_close,
};
