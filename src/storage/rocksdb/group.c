/*
 * group - gather, write, set right, tell.
 *
 * Of one group all rows are in one batch of RocksDB: its readers see them
 * together, and after they are on the disk.  That shows more than is asked for
 * (each commit is atomic for itself) and is as right.
 */
#include "storage/rocksdb/group.h"

#include "base/errinj.h"
#include "storage/rocksdb/rocksdb_int.h"

/* A group ends with the commit that passes one of these. */
enum { GROUP_WRITES = 50 * 1000, GROUP_BYTES = 8 * 1024 * 1024 };

/* ---- one group ---- */

static void add_writes(rocksdb_writebatch_t *out, struct buf *key,
                       const struct storage_batch *b)
{
    for (size_t i = 0; i < b->n_writes; i++) {
        const struct storage_write *w = &b->writes[i];

        buf_clear(key);
        rocks_key(key, w->key.partition, w->key.row);
        if (w->del)
            rocksdb_writebatch_delete(out, (const char *)key->p, key->n);
        else
            rocksdb_writebatch_put(out, (const char *)key->p, key->n,
                                   w->value.p, w->value.n);
    }
}

/* NULL, or RocksDB's complaint. */
static char *write_rows(struct rocks *r, struct group_commit *list)
{
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    struct buf key = {0};
    char *complaint = NULL;

    for (struct group_commit *c = list; c; c = c->next)
        if (c->rc == 0)
            add_writes(batch, &key, c->batch);
    if (rocksdb_writebatch_count(batch) > 0)
        rocksdb_write(r->db, r->write_synced, batch, &complaint);
    rocksdb_writebatch_destroy(batch);
    buf_release(&key);
    return complaint;
}

static int complain(struct group_commit *c, const char *complaint)
{
    return rocks_error(c->ctx, strdup(complaint), "writing a commit");
}

static void set_results(struct rocks *r, struct group_commit *list,
                        char *complaint)
{
    uint64_t written = 0;

    for (struct group_commit *c = list; c; c = c->next) {
        if (c->rc == 0 && complaint)
            c->rc = complain(c, complaint);
        written += c->rc == 0;
        /* RocksDB by itself goes on once a full disk has room again. */
        if (complaint && c->rc != ERR_NO_SPACE && c->rc != ERR_ABORTED)
            __atomic_store_n(&r->broken, true, __ATOMIC_RELEASE);
    }
    if (complaint)
        rocksdb_free(complaint);
    __atomic_fetch_add(&r->commits, written, __ATOMIC_RELAXED);
    __atomic_fetch_add(&r->groups, 1, __ATOMIC_RELAXED);
}

/* Between rocks_enter() and rocks_leave(). */
static void write_through(struct rocks *r, struct group_commit *list)
{
    /* Groups come one after the other: who broke it has said so. */
    bool broken = __atomic_load_n(&r->broken, __ATOMIC_ACQUIRE);

    for (struct group_commit *c = list; c; c = c->next) {
        /* Opening again decides what was unknown: conditions may be stale. */
        c->rc = c->opened == r->opened && !broken ? 0 : ERR_ABORTED;
        row_cache_begin(r->rows, c->hashes, c->batch->n_writes);
    }
    errinj_crash("rocksdb.commit.checked");
    set_results(r, list, write_rows(r, list));
    errinj_crash("rocksdb.commit.written");
    for (struct group_commit *c = list; c; c = c->next)
        row_cache_end(r->rows, c->hashes, c->batch->writes, c->batch->n_writes,
                      c->rc == 0);
    errinj_crash("rocksdb.commit.cached");
}

static void refuse(struct group_commit *list, const struct ctx *ctx, int rc)
{
    for (struct group_commit *c = list; c; c = c->next) {
        ctx_err(c->ctx, rc, "%s", ctx_err_text(ctx, rc));
        c->rc = rc;
    }
}

/* Write the list and tell its members, but for `own`, who asks. */
static void write_group(struct rocks *r, struct group_commit *list,
                        const struct group_commit *own)
{
    struct arena a = ARENA_INIT;
    struct ctx ctx;
    int rc;

    ctx_init(&ctx, &a);
    rc = rocks_enter(&ctx, r);
    if (rc == 0) {
        write_through(r, list);
        rocks_leave(r);
    } else {
        refuse(list, &ctx, rc);
    }
    arena_release(&a);
    for (struct group_commit *c = list, *next; c; c = next) {
        next = c->next; /* it is gone once it is told */
        key_locks_drop(&r->keys, c->keys);
        if (c != own)
            fiber_event_set(&c->done);
    }
}

/* ---- gathering ---- */

static size_t bytes_of(const struct storage_batch *b)
{
    size_t n = 0;

    for (size_t i = 0; i < b->n_writes; i++)
        n += b->writes[i].value.n;
    return n;
}

/* The next group off the queue, with the lock. */
static struct group_commit *take(struct group *g)
{
    struct group_commit *list = g->first, *end = list;
    size_t writes = 0, bytes = 0;

    if (!list)
        return NULL;
    for (;;) {
        writes += end->batch->n_writes;
        bytes += bytes_of(end->batch);
        if (!end->next || writes > GROUP_WRITES || bytes > GROUP_BYTES)
            break;
        end = end->next;
    }
    g->first = end->next;
    if (!g->first)
        g->last = &g->first;
    end->next = NULL;
    return list;
}

/* Join the queue; true: lead, nobody else writes. */
static bool join(struct group *g, struct group_commit *c)
{
    bool lead;

    lock_take(&g->lock);
    lead = !g->busy;
    if (lead) {
        g->busy = true;
    } else {
        *g->last = c;
        g->last = &c->next;
    }
    lock_drop(&g->lock);
    return lead;
}

/* What gathered while this thread led is the store's thread's. */
static void hand_over(struct group *g)
{
    bool more;

    lock_take(&g->lock);
    more = g->first != NULL;
    g->busy = g->called = more;
    lock_drop(&g->lock);
    if (more)
        pthread_cond_signal(&g->wake);
}

int group_write(struct rocks *r, struct group_commit *c)
{
    c->next = NULL;
    fiber_event_init(&c->done);
    if (join(&r->group, c)) {
        write_group(r, c, c);
        hand_over(&r->group);
    } else {
        fiber_wait(&c->done);
    }
    return c->rc;
}

/* ---- the thread ---- */

static void *work(void *arg)
{
    struct rocks *r = arg;
    struct group *g = &r->group;

    lock_take(&g->lock);
    for (;;) {
        struct group_commit *list;

        while (!g->called && !g->stopping)
            pthread_cond_wait(&g->wake, &g->lock.mutex);
        if (!g->called)
            break;
        list = take(g);
        if (!list) {
            g->called = g->busy = false;
            continue;
        }
        lock_drop(&g->lock);
        write_group(r, list, NULL);
        lock_take(&g->lock);
    }
    lock_drop(&g->lock);
    return NULL;
}

int group_start(struct ctx *ctx, struct rocks *r)
{
    struct group *g = &r->group;
    int why;

    lock_init(&g->lock, LOCK_STORAGE_GROUP);
    g->last = &g->first;
    pthread_cond_init(&g->wake, NULL);
    why = pthread_create(&g->thread, NULL, work, r);
    if (why == 0)
        return 0;
    pthread_cond_destroy(&g->wake);
    lock_release(&g->lock);
    return ctx_err(ctx, ERR_EXHAUSTED,
                   "storage: cannot start the thread that writes: %s",
                   strerror(why));
}

void group_stop(struct rocks *r)
{
    struct group *g = &r->group;

    lock_take(&g->lock);
    g->stopping = true;
    lock_drop(&g->lock);
    pthread_cond_signal(&g->wake);
    pthread_join(g->thread, NULL);
    pthread_cond_destroy(&g->wake);
    lock_release(&g->lock);
}
