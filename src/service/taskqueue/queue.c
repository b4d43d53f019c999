/*
 * queue - the table of queues: loading, finding, definitions.
 *
 * Rows, of the server's own tables (service/tables.h):
 *
 *   "queues"      app 00 name  -> task_rows.Queue
 *                 app 00       -> task_rows.App
 *   "queuemarks"  app 00 name  -> the low-water mark, 8 bytes
 *   "queuestarts" app 00 name  -> tasks up to here may have started, 8 bytes
 */
#include "service/taskqueue/queue.h"

#include "base/log.h"
#include "engine/engine.h"
#include "engine/key.h"
#include "service/tables.h"

#include <stdlib.h>

/* ---- rows ---- */

static struct bytes row_of(struct arena *a, struct bytes app, struct bytes name)
{
    struct buf row = BUF_IN(a);

    buf_add(&row, app);
    buf_add_u8(&row, 0);
    buf_add(&row, name);
    return buf_view(&row);
}

static struct storage_key def_key(struct arena *a, struct bytes app,
                                  struct bytes name)
{
    return tables_server_key(a, "queues", row_of(a, app, name));
}

static struct storage_key mark_key(struct arena *a, struct bytes app,
                                   struct bytes name)
{
    return tables_server_key(a, "queuemarks", row_of(a, app, name));
}

struct storage_key queue_started_key(struct arena *a, const struct queue *q)
{
    return tables_server_key(a, "queuestarts", row_of(a, q->app->id, q->name));
}

/* ---- definitions as boxes ---- */

static void read_retry(struct ctx *ctx, const struct task_rows_Queue *m,
                       struct queue_def *def)
{
    struct bytes message;

    def->has_retry = task_rows_Queue_has_retry(m) &&
                     taskqueue_TaskQueueRetryParameters_encode(
                         ctx, task_rows_Queue_retry(m), &message) == 0 &&
                     retry_read(message, &def->retry);
    if (!def->has_retry)
        def->retry = RETRY_DEFAULTS;
}

static void fill_def(struct ctx *ctx, const struct task_rows_Queue *m,
                     struct queue_def *def)
{
    def->rate = task_rows_Queue_rate(m);
    def->bucket_size = task_rows_Queue_has_bucket_size(m)
                           ? task_rows_Queue_bucket_size(m)
                           : QUEUE_BUCKET_SIZE;
    def->user_rate = task_rows_Queue_user_rate(m);
    def->max_concurrent = task_rows_Queue_max_concurrent(m);
    def->mode = task_rows_Queue_mode(m);
    def->target = task_rows_Queue_target(m);
    def->paused = task_rows_Queue_paused(m);
    def->disabled = task_rows_Queue_disabled(m);
    def->from_yaml = task_rows_Queue_from_yaml(m);
    def->purged = task_rows_Queue_purged(m);
    def->swept = task_rows_Queue_swept(m);
    def->deleted = task_rows_Queue_deleted(m);
    read_retry(ctx, m, def);
}

/* A box of its own memory; NULL when the row does not read back. */
static struct queue_box *box_new(struct bytes row)
{
    struct queue_box *box = calloc(1, sizeof(*box));
    struct task_rows_Queue *m;
    struct ctx own;

    if (!box)
        die("out of memory for a queue");
    box->refs = 1;
    box->def.row = arena_dup(&box->arena, row);
    ctx_init(&own, &box->arena);
    m = task_rows_Queue_decode(&own, box->def.row);
    if (!m) {
        arena_release(&box->arena);
        free(box);
        return NULL;
    }
    fill_def(&own, m, &box->def);
    return box;
}

void queue_box_unref(struct queue_box *box)
{
    if (atomic_fetch_sub(&box->refs, 1) > 1)
        return;
    arena_release(&box->arena);
    free(box);
}

struct queue_box *queue_box_ref(struct taskqueue *tq, const struct queue *q)
{
    struct queue_box *box;

    lock_take(&tq->lock);
    box = q->box;
    atomic_fetch_add(&box->refs, 1);
    lock_drop(&tq->lock);
    return box;
}

static void unref_hook(void *box)
{
    queue_box_unref(box);
}

const struct queue_def *queue_def(struct ctx *ctx, struct taskqueue *tq,
                                  const struct queue *q)
{
    struct queue_box *box = queue_box_ref(tq, q);

    arena_on_reset(ctx->arena, unref_hook, box);
    return &box->def;
}

struct retry queue_retry(const struct queue_def *def,
                         const struct task_request *r)
{
    struct retry own;

    /* A task's own replace the queue's wholesale. */
    if (r->has_retry && retry_read(r->retry, &own))
        return own;
    return def->has_retry ? def->retry : RETRY_DEFAULTS;
}

/* ---- the table ---- */

static struct queue **bucket_of(struct taskqueue *tq, struct bytes app,
                                struct bytes name)
{
    uint64_t h = bytes_hash(app) * 31 + bytes_hash(name);

    return &tq->buckets[h % QUEUE_BUCKETS];
}

static struct queue *find_locked(struct taskqueue *tq, struct bytes app,
                                 struct bytes name)
{
    struct queue *q = *bucket_of(tq, app, name);

    while (q && !(bytes_eq(q->name, name) && bytes_eq(q->app->id, app)))
        q = q->next;
    return q;
}

static struct queue_app *app_locked(struct taskqueue *tq, struct bytes app)
{
    struct queue_app *a = tq->apps;

    while (a && !bytes_eq(a->id, app))
        a = a->next;
    if (a)
        return a;
    a = calloc(1, sizeof(*a));
    if (!a)
        die("out of memory for the queues of an app");
    a->id = arena_dup(&tq->arena, app);
    a->storage_limit = INT64_MAX;
    a->next = tq->apps;
    tq->apps = a;
    return a;
}

struct queue_app *queue_app(struct taskqueue *tq, struct bytes app)
{
    struct queue_app *a;

    lock_take(&tq->lock);
    a = app_locked(tq, key_project(app));
    lock_drop(&tq->lock);
    return a;
}

static struct queue *insert_locked(struct taskqueue *tq, struct bytes app,
                                   struct bytes name)
{
    struct queue **at = bucket_of(tq, app, name);
    struct queue *q = calloc(1, sizeof(*q));

    if (!q)
        die("out of memory for a queue");
    q->app = app_locked(tq, app);
    q->name = arena_dup(&tq->arena, name);
    low_init(&q->low, 0);
    q->scan_reaches = INT64_MAX;
    q->next = *at;
    *at = q;
    q->next_all = tq->all;
    tq->all = q;
    return q;
}

/* The definition counts from here on; takes the box. */
static struct queue *publish(struct taskqueue *tq, struct bytes app,
                             struct bytes name, struct queue_box *box)
{
    struct queue_box *old;
    struct queue *q;

    lock_take(&tq->lock);
    q = find_locked(tq, app, name);
    if (!q)
        q = insert_locked(tq, app, name);
    old = q->box;
    q->box = box;
    q->gone = false;
    lock_drop(&tq->lock);
    if (old)
        queue_box_unref(old);
    return q;
}

void queue_free_all(struct taskqueue *tq)
{
    while (tq->all) {
        struct queue *q = tq->all;

        tq->all = q->next_all;
        if (q->box)
            queue_box_unref(q->box);
        free(q);
    }
    while (tq->apps) {
        struct queue_app *a = tq->apps;

        tq->apps = a->next;
        free(a);
    }
}

/* ---- loading ---- */

static bool split_row(struct bytes row, struct bytes *app, struct bytes *name)
{
    const uint8_t *p = row.n ? memchr(row.p, 0, row.n) : NULL;

    if (!p)
        return false;
    *app = BYTES(row.p, (size_t)(p - bytes_u8(row)));
    *name = bytes_from(row, app->n + 1);
    return true;
}

static int load_row(struct ctx *ctx, struct taskqueue *tq,
                    const struct storage_row *row)
{
    struct bytes app, name;
    struct queue_box *box;

    if (!split_row(row->row, &app, &name))
        return ctx_err(ctx, ERR_CORRUPT, "a queue's row has a bad key");
    if (name.n == 0) {
        struct task_rows_App *m = task_rows_App_decode(ctx, row->value);

        if (!m)
            return ERR_CORRUPT;
        if (task_rows_App_has_storage_limit(m))
            queue_app(tq, app)->storage_limit = task_rows_App_storage_limit(m);
        return 0;
    }
    box = box_new(row->value);
    if (!box)
        return ctx_err(ctx, ERR_CORRUPT,
                       "the definition of queue %.*s of %.*s does not read "
                       "back",
                       BYTES_FMT(name), BYTES_FMT(app));
    publish(tq, app, name, box);
    return 0;
}

static int load_mark(struct ctx *ctx, struct taskqueue *tq,
                     const struct storage_row *row)
{
    struct bytes app, name;
    struct queue *q;

    if (!split_row(row->row, &app, &name) || row->value.n != 8)
        return ctx_err(ctx, ERR_CORRUPT, "a queue's mark does not read back");
    lock_take(&tq->lock);
    q = find_locked(tq, app, name);
    if (q) {
        q->low_stored = (int64_t)get_be64(row->value.p);
        low_init(&q->low, q->low_stored);
    }
    lock_drop(&tq->lock);
    return 0;
}

static int load_started(struct ctx *ctx, struct taskqueue *tq,
                        const struct storage_row *row)
{
    struct bytes app, name;
    struct queue *q;

    if (!split_row(row->row, &app, &name) || row->value.n != 8)
        return ctx_err(ctx, ERR_CORRUPT,
                       "a queue's last start does not read back");
    lock_take(&tq->lock);
    q = find_locked(tq, app, name);
    if (q)
        q->started = (int64_t)get_be64(row->value.p);
    lock_drop(&tq->lock);
    return 0;
}

typedef int row_fn(struct ctx *ctx, struct taskqueue *tq,
                   const struct storage_row *row);

static int load_table(struct ctx *ctx, struct taskqueue *tq, const char *table,
                      row_fn *fn)
{
    struct bytes partition =
        tables_partition(ctx->arena, TABLES_SERVER, bytes_str(table));
    struct storage_range range = STORAGE_ALL;
    struct storage_page page;
    int rc;

    do {
        rc = storage_scan(ctx, tq->o.storage, partition, &range,
                          STORAGE_FORWARD, STORAGE_PAGE_ROWS, &page);
        for (size_t i = 0; rc == 0 && i < page.n; i++)
            rc = fn(ctx, tq, &page.rows[i]);
        if (rc == 0 && page.more)
            range = storage_range_after(ctx->arena, &range, STORAGE_FORWARD,
                                        page.rows[page.n - 1].row);
    } while (rc == 0 && page.more);
    return rc;
}

/* One page of a queue's tasks, counted; in an arena of its own. */
static int count_page(struct ctx *ctx, struct taskqueue *tq, struct queue *q,
                      struct buf *from, bool *more)
{
    struct bytes partition =
        task_partition(ctx->arena, q->app->id, TASK_BY_ETA, q->name);
    struct storage_range range = {.from = buf_view(from), .to_end = true};
    struct storage_page page;
    struct task t;
    int rc = storage_scan(ctx, tq->o.storage, partition, &range,
                          STORAGE_FORWARD, STORAGE_PAGE_ROWS, &page);

    if (rc)
        return rc;
    for (size_t i = 0; i < page.n; i++) {
        if (!task_read(page.rows[i].row, page.rows[i].value, &t))
            return ctx_err(ctx, ERR_CORRUPT,
                           "a task of queue %.*s of %.*s does not read back",
                           BYTES_FMT(q->name), BYTES_FMT(q->app->id));
        queue_count(q, 1, page.rows[i].value.n);
        if (t.created <= q->box->def.purged)
            atomic_fetch_add(&q->dead, 1);
    }
    *more = page.more;
    if (page.more) {
        struct bytes last = page.rows[page.n - 1].row;

        buf_clear(from);
        buf_add(from, last);
        buf_add_u8(from, 0);
    }
    return 0;
}

static int count_tasks(struct ctx *ctx, struct taskqueue *tq, struct queue *q)
{
    struct buf from = BUF_HEAP;
    bool more = true;
    int rc = 0;

    buf_add_be64(&from, (uint64_t)q->low_stored);
    while (rc == 0 && more) {
        struct arena arena = ARENA_INIT;
        struct ctx page;

        ctx_init(&page, &arena);
        rc = count_page(&page, tq, q, &from, &more);
        if (rc)
            ctx_err(ctx, (enum err_code)rc, "%s", ctx_err_text(&page, rc));
        arena_release(&arena);
    }
    buf_release(&from);
    return rc;
}

int queue_load_all(struct ctx *ctx, struct taskqueue *tq)
{
    int rc = load_table(ctx, tq, "queues", load_row);

    if (rc == 0)
        rc = load_table(ctx, tq, "queuemarks", load_mark);
    if (rc == 0)
        rc = load_table(ctx, tq, "queuestarts", load_started);
    for (struct queue *q = tq->all; q && rc == 0; q = q->next_all)
        rc = count_tasks(ctx, tq, q);
    return rc;
}

/* ---- changing definitions ---- */

struct edit {
    queue_edit_fn *fn;
    void *arg;
};

static int edit_locked(struct ctx *ctx, struct taskqueue *tq, struct bytes app,
                       struct bytes name, const struct edit *edit,
                       struct queue **out)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct storage_key key = def_key(ctx->arena, app, name);
    struct task_rows_Queue *m;
    struct storage_value old;
    struct queue_box *box;
    struct bytes row;
    int rc = storage_get(ctx, tq->o.storage, &key, 1, &old);

    if (rc)
        return rc;
    m = old.found ? task_rows_Queue_decode(ctx, old.value)
                  : task_rows_Queue_new(ctx);
    if (!m)
        return ERR_CORRUPT;
    if (!edit->fn(ctx, m, edit->arg) && old.found) {
        lock_take(&tq->lock);
        *out = find_locked(tq, app, name);
        lock_drop(&tq->lock);
        return 0;
    }
    rc = task_rows_Queue_encode(ctx, m, &row);
    if (rc)
        return rc;
    storage_batch_put(&b, key, row);
    rc = storage_commit(ctx, tq->o.storage, &b, NULL);
    if (rc)
        return rc;
    box = box_new(row);
    if (!box)
        BUG("a queue's definition that was just encoded does not read back");
    *out = publish(tq, app, name, box);
    return 0;
}

int queue_edit(struct ctx *ctx, struct taskqueue *tq, struct bytes app,
               struct bytes name, queue_edit_fn *fn, void *arg,
               struct queue **out)
{
    struct edit edit = {fn, arg};
    int rc;

    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    lock_take(&tq->change);
    rc = edit_locked(ctx, tq, key_project(app), name, &edit, out);
    lock_drop(&tq->change);
    return rc;
}

int queue_set_limit(struct ctx *ctx, struct taskqueue *tq, struct bytes app,
                    int64_t limit)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct task_rows_App *m = task_rows_App_new(ctx);
    struct queue_app *a = queue_app(tq, app);
    struct bytes row;
    int rc;

    if (limit != INT64_MAX)
        task_rows_App_set_storage_limit(m, limit);
    rc = task_rows_App_encode(ctx, m, &row);
    if (rc)
        return rc;
    storage_batch_put(&b, def_key(ctx->arena, a->id, BYTES_NONE), row);
    lock_take(&tq->change);
    rc = storage_commit(ctx, tq->o.storage, &b, NULL);
    if (rc == 0)
        a->storage_limit = limit;
    lock_drop(&tq->change);
    return rc;
}

int queue_forget(struct ctx *ctx, struct taskqueue *tq, struct queue *q)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct arena *a = ctx->arena;
    int rc;

    storage_batch_delete(&b, def_key(a, q->app->id, q->name));
    storage_batch_delete(&b, mark_key(a, q->app->id, q->name));
    storage_batch_delete(&b, queue_started_key(a, q));
    storage_batch_delete(&b, def_key(a, q->app->id, BYTES_NONE));
    rc = storage_commit(ctx, tq->o.storage, &b, NULL);
    if (rc)
        return rc;
    lock_take(&tq->lock);
    q->gone = true;
    q->low_stored = 0;
    low_init(&q->low, 0);
    q->app->storage_limit = INT64_MAX;
    lock_drop(&tq->lock);
    queue_count(q, -atomic_load(&q->tasks), 0);
    atomic_fetch_sub(&q->app->bytes, atomic_exchange(&q->bytes, 0));
    atomic_store(&q->dead, 0);
    return 0;
}

/* ---- finding ---- */

/* What exists without being defined. */
static const struct automatic {
    const char *name;
    double rate;
    int32_t bucket_size;
    const char *user_rate;
} automatics[] = {
    {"default", 5, 5, "5/s"},
    {"__cron", 1, 1, "1/s"},
};

static const struct automatic *automatic(struct bytes name)
{
    for (size_t i = 0; i < sizeof(automatics) / sizeof(automatics[0]); i++) {
        if (bytes_eq_str(name, automatics[i].name))
            return &automatics[i];
    }
    return NULL;
}

static bool make_automatic(struct ctx *ctx, struct task_rows_Queue *m,
                           void *arg)
{
    const struct automatic *au = arg;

    /* Somebody else was faster. */
    if (task_rows_Queue_has_rate(m) && !task_rows_Queue_deleted(m))
        return false;
    task_rows_Queue_clear_deleted(m);
    task_rows_Queue_set_rate(m, au->rate);
    task_rows_Queue_set_bucket_size(m, au->bucket_size);
    task_rows_Queue_set_user_rate(m, bytes_str(au->user_rate));
    return true;
}

static bool tomb_over(const struct queue_def *def)
{
    return def->deleted &&
           clock_wall() - def->deleted > QUEUE_TOMB_DAYS * 86400 * CLOCK_SEC;
}

int queue_find(struct ctx *ctx, struct taskqueue *tq, struct bytes app,
               struct bytes name, struct queue **out)
{
    const struct automatic *au = automatic(name);

    app = key_project(app);
    lock_take(&tq->lock);
    *out = find_locked(tq, app, name);
    if (*out && ((*out)->gone || tomb_over(&(*out)->box->def)))
        *out = NULL;
    lock_drop(&tq->lock);
    if (*out || !au)
        return 0;
    return queue_edit(ctx, tq, app, name, make_automatic, (void *)(uintptr_t)au,
                      out);
}

struct queue *queue_get(struct taskqueue *tq, struct bytes app,
                        struct bytes name)
{
    struct queue *q;

    lock_take(&tq->lock);
    q = find_locked(tq, key_project(app), name);
    if (q && q->gone)
        q = NULL;
    lock_drop(&tq->lock);
    return q;
}

int32_t queue_result(struct ctx *ctx, struct taskqueue *tq, struct bytes name,
                     const struct queue *q)
{
    if (!q)
        return task_queue_name_valid(name)
                   ? taskqueue_TaskQueueServiceError_UNKNOWN_QUEUE
                   : taskqueue_TaskQueueServiceError_INVALID_QUEUE_NAME;
    if (queue_def(ctx, tq, q)->deleted)
        return taskqueue_TaskQueueServiceError_TOMBSTONED_QUEUE;
    return 0;
}

int queue_need(struct ctx *ctx, struct taskqueue *tq, struct bytes app,
               struct bytes name, struct queue **out)
{
    int32_t result;
    int rc = queue_find(ctx, tq, app, name, out);

    if (rc)
        return rc;
    result = queue_result(ctx, tq, name, *out);
    if (result == 0)
        return 0;
    return ctx_app_err(ctx, ERR_INVALID, result,
                       result ==
                               taskqueue_TaskQueueServiceError_TOMBSTONED_QUEUE
                           ? "queue \"%.*s\" was deleted"
                           : "there is no queue \"%.*s\"",
                       BYTES_FMT(name));
}

static int compare_names(const void *x, const void *y)
{
    const struct queue *a = *(struct queue *const *)x;
    const struct queue *b = *(struct queue *const *)y;

    return bytes_cmp(a->name, b->name);
}

void queue_list(struct ctx *ctx, struct taskqueue *tq, struct bytes app,
                struct queue ***out, size_t *n)
{
    size_t cap = 0;

    *out = NULL;
    *n = 0;
    app = key_project(app);
    lock_take(&tq->lock);
    for (struct queue *q = tq->all; q; q = q->next_all) {
        if (!bytes_eq(q->app->id, app) || q->gone || q->box->def.deleted)
            continue;
        if (*n == cap) {
            size_t more = cap ? 2 * cap : 16;

            *out = arena_grow(ctx->arena, *out, cap * sizeof(**out),
                              more * sizeof(**out));
            cap = more;
        }
        (*out)[(*n)++] = q;
    }
    lock_drop(&tq->lock);
    if (*n > 1)
        qsort(*out, *n, sizeof(**out), compare_names);
}

/* ---- figures ---- */

void queue_count(struct queue *q, int64_t n, size_t bytes)
{
    int64_t delta = n * (int64_t)bytes;

    atomic_fetch_add(&q->tasks, n);
    atomic_fetch_add(&q->bytes, delta);
    atomic_fetch_add(&q->app->bytes, delta);
}

void queue_count_purged(struct queue *q)
{
    atomic_store(&q->dead, atomic_load(&q->tasks));
}

void queue_count_swept(struct queue *q, size_t bytes)
{
    queue_count(q, -1, bytes);
    if (atomic_fetch_sub(&q->dead, 1) <= 0)
        atomic_store(&q->dead, 0); /* it died on arrival */
}

int64_t queue_tasks(const struct queue *q)
{
    int64_t n = atomic_load(&q->tasks) - atomic_load(&q->dead);

    return n > 0 ? n : 0;
}

/* Zero the slots between the newest one and `now`. */
static void advance(int64_t *slots, int n, int64_t *newest, int64_t now)
{
    if (now - *newest >= n)
        memset(slots, 0, (size_t)n * sizeof(*slots));
    else
        for (int64_t i = *newest + 1; i <= now; i++)
            slots[i % n] = 0;
    if (now > *newest)
        *newest = now;
}

static void recent_advance(struct queue_recent *r, int64_t now)
{
    advance(r->by_second, 60, &r->second, now / CLOCK_SEC);
    advance(r->by_minute, QUEUE_MINUTES, &r->minute, now / (60 * CLOCK_SEC));
}

void queue_count_run(struct taskqueue *tq, struct queue *q, int64_t now)
{
    lock_take(&tq->lock);
    recent_advance(&q->recent, now);
    q->recent.by_second[q->recent.second % 60]++;
    q->recent.by_minute[q->recent.minute % QUEUE_MINUTES]++;
    lock_drop(&tq->lock);
}

void queue_recent(struct taskqueue *tq, struct queue *q, int64_t now,
                  int64_t *minute, int64_t *hour)
{
    *minute = *hour = 0;
    lock_take(&tq->lock);
    recent_advance(&q->recent, now);
    for (int i = 0; i < 60; i++)
        *minute += q->recent.by_second[i];
    for (int i = 0; i < QUEUE_MINUTES; i++)
        *hour += q->recent.by_minute[i];
    lock_drop(&tq->lock);
}

/* ---- marks ---- */

int queue_write_begin(struct taskqueue *tq, struct queue *q, int64_t at,
                      bool *store)
{
    int generation;

    lock_take(&tq->lock);
    generation = low_write_begin(&q->low, at);
    *store = at < q->low_stored;
    if (*store)
        q->low_stored = at;
    lock_drop(&tq->lock);
    return generation;
}

void queue_write_end(struct taskqueue *tq, struct queue *q, int generation)
{
    lock_take(&tq->lock);
    low_write_end(&q->low, generation);
    lock_drop(&tq->lock);
}

static struct bytes mark_value(struct arena *a, int64_t at)
{
    uint8_t *p = arena_alloc(a, 8);

    put_be64(p, (uint64_t)at);
    return BYTES(p, 8);
}

void queue_low_put(struct storage_batch *b, struct queue *q, int64_t at)
{
    storage_batch_put(b, mark_key(b->arena, q->app->id, q->name),
                      mark_value(b->arena, at));
}

int64_t queue_scan_begin(struct taskqueue *tq, struct queue *q, bool *moves)
{
    int64_t mark;

    lock_take(&tq->lock);
    mark = low_scan_begin(&q->low, moves);
    lock_drop(&tq->lock);
    return mark;
}

void queue_scan_end(struct taskqueue *tq, struct queue *q, bool moves,
                    int64_t at)
{
    lock_take(&tq->lock);
    low_scan_end(&q->low, moves, at);
    lock_drop(&tq->lock);
}

/*
 * The stored mark stays well behind the clock, so that no add has to lower
 * it.  It is only moved when it still is what we know it to be: an add under
 * a clock set back may have lowered it.
 */
static int store_mark(struct ctx *ctx, struct taskqueue *tq, struct queue *q)
{
    const int64_t behind = 3600 * CLOCK_SEC, worth = 60 * CLOCK_SEC;
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    int64_t was, mark, most = clock_wall() - behind;
    struct storage_key key;
    int rc;

    lock_take(&tq->lock);
    was = q->low_stored;
    mark = q->low.mark < most ? q->low.mark : most;
    /* The sweep begins at the stored mark: dead rows may lie behind ours. */
    if (q->box->def.purged > q->box->def.swept)
        mark = 0;
    lock_drop(&tq->lock);
    if (mark < was + worth)
        return 0;
    key = mark_key(ctx->arena, q->app->id, q->name);
    if (was)
        storage_batch_require(&b, key, mark_value(ctx->arena, was));
    else
        storage_batch_require_absent(&b, key);
    storage_batch_put(&b, key, mark_value(ctx->arena, mark));
    /* First in memory: who writes below it from now on lowers it again. */
    lock_take(&tq->lock);
    if (q->low_stored != was || q->low.mark < mark) {
        lock_drop(&tq->lock);
        return 0;
    }
    q->low_stored = mark;
    lock_drop(&tq->lock);
    rc = storage_commit(ctx, tq->o.storage, &b, NULL);
    if (rc) {
        lock_take(&tq->lock);
        if (q->low_stored == mark)
            q->low_stored = was;
        lock_drop(&tq->lock);
    }
    return rc == ERR_CONFLICT ? 0 : rc;
}

int queue_store_marks(struct ctx *ctx, struct taskqueue *tq)
{
    struct queue *q;
    int rc = 0;

    lock_take(&tq->lock);
    q = tq->all;
    lock_drop(&tq->lock);
    /* Queues are added at the front and never leave. */
    for (; q && rc == 0; q = q->next_all)
        rc = store_mark(ctx, tq, q);
    return rc;
}
