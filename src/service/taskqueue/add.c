/*
 * add - Add and BulkAdd.
 *
 * The steps: read every request, judge it alone, then all of them together
 * (one that cannot be added keeps the others out), choose names, look the
 * others' names up, put the rows in one commit, tell the dispatcher.  With a
 * transaction the rows are put by its commit instead: the engine calls
 * action_prepare() with what was kept.
 */
#include "service/taskqueue/taskqueue_int.h"

#include "base/log.h"
#include "engine/engine.h"
#include "engine/key.h"
#include "engine/txn.h"
#include "service/datastore/datastore.h"
#include "wire/pb.h"

enum {
    DEADLINE_MIN_SEC = 15,       /* of one attempt [sdk] */
    DEADLINE_MAX_SEC = 86400,    /* [sdk] */
    TRANSACTIONAL_MAX = 1 << 20, /* bytes of a call in a transaction [sdk] */
};

/* One request on its way. */
struct item {
    struct task_request r;
    struct queue *q;
    const struct queue_def *def;
    struct task task;
    struct storage_value seen; /* its row by name, when the app chose it */
    int32_t result;
    bool chosen;
    int generation; /* of queue_write_begin() */
};

struct items {
    struct taskqueue *tq;
    struct bytes app;
    struct item *v;
    size_t n;
};

/* ---- reading ---- */

static int malformed(struct ctx *ctx, const char *name)
{
    return ctx_err(ctx, ERR_INVALID, "not a valid taskqueue.%s", name);
}

static int read_one(struct ctx *ctx, struct bytes message, struct items *all)
{
    if (all->n == TASK_ADD_MAX)
        return taskqueue_err(ctx, TQ(TOO_MANY_TASKS),
                             "more than %d tasks in one call", TASK_ADD_MAX);
    if (!task_request_read(message, &all->v[all->n++].r))
        return malformed(ctx, "TaskQueueAddRequest");
    return 0;
}

static int read_all(struct ctx *ctx, struct bytes in, struct items *all)
{
    enum { ADD_REQUEST = 1 };
    struct pb_reader r = PB_READER(in);
    int rc = 0;

    all->v = ARENA_ARRAY(ctx->arena, struct item, TASK_ADD_MAX);
    while (rc == 0 && pb_next(&r)) {
        if (r.field == ADD_REQUEST && r.kind == PB_BYTES)
            rc = read_one(ctx, r.bytes, all);
    }
    return r.bad ? malformed(ctx, "TaskQueueBulkAddRequest") : rc;
}

/* ---- judging one ---- */

/* What would end a header line or the request line. */
static bool one_line(struct bytes b)
{
    const uint8_t *p = bytes_u8(b);

    for (size_t i = 0; i < b.n; i++) {
        if (p[i] < ' ' && p[i] != '\t')
            return false;
        if (p[i] == 0x7f)
            return false;
    }
    return true;
}

static bool url_valid(struct bytes url)
{
    const uint8_t *p = bytes_u8(url);

    if (url.n == 0)
        return true; /* the queue's own */
    if (*p != '/' || url.n > TASK_URL_MAX)
        return false;
    for (size_t i = 0; i < url.n; i++) {
        if (p[i] <= ' ' || p[i] == 0x7f || p[i] == '#')
            return false;
    }
    return true;
}

/* A token of RFC 9110. */
static bool header_name_valid(struct bytes name)
{
    const uint8_t *p = bytes_u8(name);

    for (size_t i = 0; i < name.n; i++) {
        if (p[i] <= ' ' || p[i] >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", p[i]))
            return false;
    }
    return name.n > 0;
}

static bool headers_valid(struct bytes request)
{
    struct pb_reader r = PB_READER(request);
    enum { HEADER = 6, KEY = 7, VALUE = 8 };

    while (pb_next(&r)) {
        struct bytes key, value;

        if (r.field != HEADER || r.kind != PB_GROUP)
            continue;
        if (!pb_find_bytes(r.bytes, KEY, &key) ||
            !pb_find_bytes(r.bytes, VALUE, &value) || !header_name_valid(key) ||
            !one_line(value))
            return false;
    }
    return true;
}

static int32_t judge_eta(const struct item *i, int64_t now)
{
    return i->r.eta < 0 || i->r.eta > now + TASK_ETA_AHEAD ? TQ(INVALID_ETA)
                                                           : 0;
}

static int32_t judge_size(const struct item *i)
{
    size_t max = i->r.mode == taskqueue_TaskQueueMode_PULL ? TASK_PULL_MAX
                                                           : TASK_PUSH_MAX;

    return i->r.bytes.n > max ? TQ(TASK_TOO_LARGE) : 0;
}

static int32_t judge_retry(const struct item *i)
{
    struct retry retry;

    if (!i->r.has_retry)
        return 0;
    if (!retry_read(i->r.retry, &retry) || retry_complaint(&retry))
        return TQ(INVALID_RETRY_PARAMETERS);
    return 0;
}

static int32_t judge_deadline(const struct item *i)
{
    if (!i->r.has_deadline)
        return 0;
    return i->r.deadline < DEADLINE_MIN_SEC * CLOCK_SEC ||
                   i->r.deadline > DEADLINE_MAX_SEC * CLOCK_SEC
               ? TQ(INVALID_DISPATCH_DEADLINE)
               : 0;
}

static int32_t judge_push(const struct item *i)
{
    if (!task_method_name(i->r.method))
        return TQ(INVALID_REQUEST);
    if (!url_valid(i->r.url))
        return TQ(INVALID_URL);
    return headers_valid(i->r.bytes) ? 0 : TQ(INVALID_REQUEST);
}

/* What can be said of a request by itself; in the order of Google's stub. */
static int32_t judge(struct ctx *ctx, const struct items *all,
                     const struct item *i, int64_t now)
{
    int32_t result = judge_eta(i, now);

    if (result == 0)
        result = queue_result(ctx, all->tq, i->r.queue, i->q);
    if (result == 0 && i->r.has_crontab && ctx->app.n)
        result = TQ(PERMISSION_DENIED);
    if (result == 0 && i->r.app_id.n &&
        !bytes_eq(key_project(i->r.app_id), all->app))
        result = TQ(PERMISSION_DENIED);
    if (result == 0)
        result = judge_size(i);
    if (result == 0 && i->r.name.n && !task_name_valid(i->r.name))
        result = TQ(INVALID_TASK_NAME);
    if (result == 0 && i->r.mode != i->def->mode)
        result = TQ(INVALID_QUEUE_MODE);
    if (result == 0 && i->r.tag.n > TASK_TAG_MAX)
        result = TQ(INVALID_TAG);
    if (result == 0)
        result = judge_retry(i);
    if (result == 0)
        result = judge_deadline(i);
    if (result == 0 && i->r.mode == taskqueue_TaskQueueMode_PUSH)
        result = judge_push(i);
    return result;
}

/* ---- judging all ---- */

static int find_queues(struct ctx *ctx, struct items *all)
{
    for (size_t i = 0; i < all->n; i++) {
        struct item *it = &all->v[i];
        int rc;

        if (i > 0 && bytes_eq(it->r.queue, all->v[i - 1].r.queue)) {
            it->q = all->v[i - 1].q;
            it->def = all->v[i - 1].def;
            continue;
        }
        rc = queue_find(ctx, all->tq, all->app, it->r.queue, &it->q);
        if (rc)
            return rc;
        if (it->q)
            it->def = queue_def(ctx, all->tq, it->q);
    }
    return 0;
}

static bool earlier_namesake(const struct items *all, size_t i)
{
    const struct item *it = &all->v[i];

    for (size_t j = 0; it->r.name.n && j < i; j++) {
        if (all->v[j].q == it->q && bytes_eq(all->v[j].r.name, it->r.name))
            return true;
    }
    return false;
}

/* *good says that no request keeps the others out. */
static int judge_all(struct ctx *ctx, struct items *all, bool *good)
{
    int64_t now = clock_wall();

    if (all->v[0].r.queue.n == 0)
        return taskqueue_err(ctx, TQ(UNKNOWN_QUEUE), "no queue is named");
    *good = true;
    for (size_t i = 0; i < all->n; i++) {
        struct item *it = &all->v[i];

        it->result = judge(ctx, all, it, now);
        if (it->result)
            *good = false;
    }
    /* Google's stub has this one for the call as a whole. */
    if (all->v[0].result == TQ(INVALID_QUEUE_MODE))
        return taskqueue_err(ctx, TQ(INVALID_QUEUE_MODE),
                             "queue \"%.*s\" is of the other mode",
                             BYTES_FMT(all->v[0].r.queue));
    for (size_t i = 0; i < all->n; i++) {
        if (!*good && all->v[i].result == 0)
            all->v[i].result = TQ(SKIPPED);
    }
    return 0;
}

/* The app's total_storage_limit; others may add at the same moment. */
static int check_storage(struct ctx *ctx, const struct items *all)
{
    struct queue_app *a = queue_app(all->tq, all->app);
    int64_t bytes = 0;

    for (size_t i = 0; i < all->n; i++)
        bytes += (int64_t)all->v[i].r.bytes.n;
    if (atomic_load(&a->bytes) + bytes <= a->storage_limit)
        return 0;
    return ctx_err(ctx, ERR_EXHAUSTED,
                   "the tasks of %.*s take %lld bytes; total_storage_limit of "
                   "queue.yaml allows %lld",
                   BYTES_FMT(a->id), (long long)atomic_load(&a->bytes),
                   (long long)a->storage_limit);
}

/* ---- making tasks of requests ---- */

static void make_task(struct item *it, int64_t created)
{
    struct task *t = &it->task;

    *t = (struct task){
        .name = it->r.name,
        .at = task_at(it->r.eta, clock_wall()),
        .eta = it->r.eta,
        .created = created,
        .request = it->r.bytes,
    };
    if (it->chosen)
        t->flags |= TASK_CHOSEN;
    if (it->r.tag.n && it->r.mode == taskqueue_TaskQueueMode_PULL)
        t->flags |= TASK_TAGGED;
}

static int make_tasks(struct ctx *ctx, struct items *all)
{
    for (size_t i = 0; i < all->n; i++) {
        struct item *it = &all->v[i];
        int64_t created;
        int rc = engine_next_version(ctx, all->tq->o.engine, &created);

        if (rc)
            return rc;
        if (it->r.name.n == 0) {
            it->chosen = true;
            it->r.name = task_name_choose(ctx->arena, it->q->name, created);
        }
        make_task(it, created);
    }
    return 0;
}

/* ---- names that exist ---- */

/* The rows of names the app chose: 10 and 11 keep only their own out. */
static int look_up_names(struct ctx *ctx, struct items *all)
{
    struct storage_key *keys =
        ARENA_ARRAY(ctx->arena, struct storage_key, all->n);
    struct storage_value *rows =
        ARENA_ARRAY(ctx->arena, struct storage_value, all->n);
    size_t n = 0;
    int rc;

    for (size_t i = 0; i < all->n; i++) {
        const struct item *it = &all->v[i];

        if (!it->chosen)
            keys[n++] = (struct storage_key){
                task_partition(ctx->arena, all->app, TASK_BY_NAME, it->q->name),
                it->r.name};
    }
    rc = n ? storage_get(ctx, all->tq->o.storage, keys, n, rows) : 0;
    n = 0;
    for (size_t i = 0; i < all->n && rc == 0; i++) {
        struct item *it = &all->v[i];
        struct task_name name;

        if (it->chosen)
            continue;
        it->seen = rows[n++];
        it->result = task_name_result(all->tq, it->q, it->def, it->r.name,
                                      &it->seen, &name);
        if (earlier_namesake(all, i) || it->result == 0)
            it->result = TQ(TASK_ALREADY_EXISTS);
        else if (it->result == TQ(UNKNOWN_TASK))
            it->result = 0;
    }
    return rc;
}

/* ---- the commit ---- */

static void put_all(struct ctx *ctx, struct items *all, struct storage_batch *b)
{
    for (size_t i = 0; i < all->n; i++) {
        struct item *it = &all->v[i];
        struct storage_key name;
        bool store;

        if (it->result)
            continue;
        it->generation = queue_write_begin(all->tq, it->q, it->task.at, &store);
        if (store)
            queue_low_put(b, it->q, it->task.at);
        name = (struct storage_key){
            task_partition(ctx->arena, all->app, TASK_BY_NAME, it->q->name),
            it->task.name};
        if (!it->chosen)
            storage_batch_require_same(b, name, &it->seen);
        task_put(b, all->app, it->q->name, &it->task);
    }
}

/* After the commit, which answered `rc`. */
static void tell_all(struct items *all, int rc)
{
    for (size_t i = 0; i < all->n; i++) {
        struct item *it = &all->v[i];

        if (it->result)
            continue;
        if (rc == 0)
            queue_count(it->q, 1, task_size(&it->task));
        /* Told before the write is over: a scan counts on that. */
        if (rc == 0 && it->r.mode == taskqueue_TaskQueueMode_PUSH)
            dispatch_offer(all->tq, it->q, &it->task);
        queue_write_end(all->tq, it->q, it->generation);
    }
}

static int try_commit(struct ctx *ctx, struct items *all)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    int rc = look_up_names(ctx, all);

    if (rc)
        return rc;
    put_all(ctx, all, &b);
    rc = b.n_writes ? storage_commit(ctx, all->tq->o.storage, &b, NULL) : 0;
    tell_all(all, rc);
    return rc;
}

/* Somebody else took one of the names meanwhile: look again. */
static int commit(struct ctx *ctx, struct items *all)
{
    int rc;

    do {
        ctx_err_clear(ctx);
        rc = try_commit(ctx, all);
    } while ((rc == ERR_CONFLICT || rc == ERR_ABORTED) && ctx_left(ctx) > 0);
    return rc;
}

/* ---- in a transaction ---- */

/* The datastore's own code for `rc`, as the SDKs want to see it here. */
static int datastore_trouble(struct ctx *ctx, int rc)
{
    const char *story = ctx_err_text(ctx, rc);
    int32_t code = 0;

    for (const struct rpc_err_map *m = datastore_errors; m->code; m++) {
        if (m->code == rc)
            code = m->app_code;
    }
    if (!code)
        return rc;
    ctx_err_clear(ctx);
    return ctx_app_err(ctx, (enum err_code)rc, TQ(DATASTORE_ERROR) + code, "%s",
                       story);
}

/* "queue 00 name 00 request": what the engine keeps of one task. */
static struct bytes action_of(struct arena *a, const struct item *it)
{
    struct buf b = BUF_IN(a);

    buf_add(&b, it->q->name);
    buf_add_u8(&b, 0);
    buf_add(&b, it->task.name);
    buf_add_u8(&b, 0);
    buf_add(&b, it->r.bytes);
    return buf_view(&b);
}

static bool split_at_nul(struct bytes *in, struct bytes *out)
{
    const uint8_t *p = in->n ? memchr(in->p, 0, in->n) : NULL;

    if (!p)
        return false;
    *out = BYTES(in->p, (size_t)(p - bytes_u8(*in)));
    *in = bytes_from(*in, out->n + 1);
    return true;
}

static int transaction_handle(struct ctx *ctx, struct bytes message,
                              uint64_t *handle)
{
    enum { HANDLE = 1, APP = 2 };
    struct pb_reader r = PB_READER(message);
    struct bytes app = BYTES_NONE;

    *handle = 0;
    while (pb_next(&r)) {
        if (r.field == HANDLE && r.kind == PB_FIXED64)
            *handle = r.u64;
        else if (r.field == APP && r.kind == PB_BYTES)
            app = r.bytes;
    }
    if (r.bad || !bytes_eq(key_project(app), ctx->app))
        return taskqueue_err(ctx, TQ(INVALID_REQUEST),
                             "the transaction is not this app's");
    return 0;
}

/* Whatever the engine would refuse is refused before anything is kept. */
static int keep_actions(struct ctx *ctx, struct items *all, uint64_t handle)
{
    struct bytes *actions = ARENA_ARRAY(ctx->arena, struct bytes, all->n);
    struct txn *txn;
    int rc;

    for (size_t i = 0; i < all->n; i++)
        actions[i] = action_of(ctx->arena, &all->v[i]);
    rc = txn_enter(ctx, all->tq->o.engine, handle, &txn);
    if (rc)
        return datastore_trouble(ctx, rc);
    rc = txn_add_actions(ctx, txn, actions, all->n);
    txn_leave(txn);
    return rc ? datastore_trouble(ctx, rc) : 0;
}

static int add_to_transaction(struct ctx *ctx, struct items *all)
{
    uint64_t handle;
    size_t bytes = 0;
    int rc = transaction_handle(ctx, all->v[0].r.transaction, &handle);

    for (size_t i = 0; i < all->n; i++)
        bytes += all->v[i].r.bytes.n;
    if (rc == 0 && bytes > TRANSACTIONAL_MAX)
        rc = taskqueue_err(ctx, TQ(TRANSACTIONAL_REQUEST_TOO_LARGE),
                           "the tasks of the call take %zu bytes, %d at most "
                           "in a transaction",
                           bytes, TRANSACTIONAL_MAX);
    return rc ? rc : keep_actions(ctx, all, handle);
}

/* A task of a transaction has no name of the app's: it could exist by then. */
static bool names_in_transaction(struct items *all)
{
    bool found = false;

    for (size_t i = 0; i < all->n; i++) {
        if (all->v[i].r.name.n) {
            all->v[i].result = TQ(INVALID_TASK_NAME);
            found = true;
        }
    }
    for (size_t i = 0; found && i < all->n; i++) {
        if (all->v[i].result == 0)
            all->v[i].result = TQ(SKIPPED);
    }
    return found;
}

/* ---- the engine's side of it ---- */

/* An action of the transaction that commits, made a task again. */
static int action_item(struct ctx *ctx, struct items *all, struct bytes action)
{
    struct item *it = &all->v[all->n++];
    struct bytes queue, name;
    int64_t created;
    int rc;

    if (!split_at_nul(&action, &queue) || !split_at_nul(&action, &name) ||
        !task_request_read(action, &it->r))
        BUG("a transaction kept a task that does not read back");
    it->q = queue_get(all->tq, all->app, queue);
    if (!it->q)
        BUG("a transaction kept a task for a queue that never was");
    rc = engine_next_version(ctx, all->tq->o.engine, &created);
    if (rc)
        return rc;
    it->r.name = name;
    it->chosen = true;
    make_task(it, created);
    return 0;
}

static int action_prepare(struct ctx *ctx, struct bytes app,
                          const struct bytes *actions, size_t n,
                          struct storage_batch *b, void **state, void *arg)
{
    struct items *all = ARENA_NEW(ctx->arena, struct items);
    int rc = 0;

    all->tq = arg;
    all->app = key_project(app);
    all->v = ARENA_ARRAY(ctx->arena, struct item, n);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = action_item(ctx, all, actions[i]);
    if (rc)
        return rc;
    put_all(ctx, all, b);
    *state = all;
    return 0;
}

static void action_done(struct ctx *ctx, void *state, int rc, void *arg)
{
    tell_all(state, rc);
}

void add_register(struct taskqueue *tq)
{
    engine_set_actions(tq->o.engine, &(struct engine_actions){
                                         .prepare = action_prepare,
                                         .done = action_done,
                                         .arg = tq,
                                     });
}

/* ---- the handlers ---- */

static int add_all(struct ctx *ctx, struct items *all)
{
    bool good = false, transactional;
    int rc;

    if (all->n == 0)
        return 0;
    transactional = all->v[0].r.has_transaction;
    if (all->v[0].r.has_other_transaction)
        return taskqueue_err(ctx, TQ(INVALID_REQUEST),
                             "datastore_transaction is not supported");
    rc = find_queues(ctx, all);
    if (rc == 0)
        rc = judge_all(ctx, all, &good);
    if (rc || !good)
        return rc;
    if (transactional && names_in_transaction(all))
        return 0;
    rc = check_storage(ctx, all);
    if (rc == 0)
        rc = make_tasks(ctx, all);
    if (rc)
        return rc;
    return transactional ? add_to_transaction(ctx, all) : commit(ctx, all);
}

static int start(struct ctx *ctx, struct items *all)
{
    *all = (struct items){.tq = ctx->env->taskqueue};
    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    if (!ctx->app.n)
        return ctx_err(ctx, ERR_DENIED, "tasks are added by an app");
    all->app = ctx->app;
    return 0;
}

int taskqueue_bulk_add(struct ctx *ctx, struct bytes in, struct buf *out)
{
    enum { TASK_RESULT = 1, RESULT = 2, CHOSEN = 3 };
    struct items all;
    int rc = start(ctx, &all);

    if (rc == 0)
        rc = read_all(ctx, in, &all);
    if (rc == 0)
        rc = add_all(ctx, &all);
    if (rc)
        return rc;
    for (size_t i = 0; i < all.n; i++) {
        const struct item *it = &all.v[i];

        pb_put_tag(out, TASK_RESULT, PB_GROUP);
        pb_put_u64(out, RESULT, (uint64_t)(int64_t)it->result);
        if (it->chosen && it->result == 0)
            pb_put_bytes(out, CHOSEN, it->r.name);
        pb_put_tag(out, TASK_RESULT, PB_END_GROUP);
    }
    return 0;
}

static const char *result_text(int32_t result)
{
    switch (result) {
    case TQ(TASK_ALREADY_EXISTS):
        return "a task of that name is queued";
    case TQ(TOMBSTONED_TASK):
        return "the name was used already";
    case TQ(TASK_TOO_LARGE):
        return "the task is too large";
    case TQ(INVALID_ETA):
        return "the ETA is before 1970 or more than 30 days ahead";
    case TQ(INVALID_URL):
        return "the URL is no path of at most 2083 bytes";
    case TQ(UNKNOWN_QUEUE):
        return "there is no such queue";
    default:
        return "the task cannot be added";
    }
}

int taskqueue_add(struct ctx *ctx, struct bytes in, struct buf *out)
{
    enum { CHOSEN = 1 };
    struct item item = {0};
    struct items all;
    int rc = start(ctx, &all);

    all.v = &item;
    if (rc == 0)
        rc = read_one(ctx, in, &all);
    if (rc == 0)
        rc = add_all(ctx, &all);
    if (rc)
        return rc;
    if (item.result)
        return taskqueue_err(ctx, item.result, "%s", result_text(item.result));
    if (item.chosen)
        pb_put_bytes(out, CHOSEN, item.r.name);
    return 0;
}
