/*
 * query_open - the table of open queries: by handle, and by age, so that the
 * oldest goes when room is needed.
 */
#include "engine/query_open.h"

#include "base/locks.h"
#include "base/log.h"
#include "engine/limits.h"

#include <stdlib.h>
#include <sys/random.h>

enum { BUCKETS = 1024 };

struct entry {
    struct entry *chain;         /* in its bucket */
    struct entry *older, *newer; /* by last use */
    uint64_t handle;
    int64_t used;        /* clock_mono() */
    struct query_open o; /* app and request behind the entry; cursor apart */
    void *cursor;
};

struct query_table {
    struct lock lock;
    struct entry *buckets[BUCKETS];
    struct entry *oldest, *newest;
    size_t n, bytes;
    struct query_view *oldest_view, *newest_view; /* of the entries */
    struct query_view *dead;                      /* to be closed */
    size_t n_views, n_dead;
};

struct query_table *query_table_new(void)
{
    struct query_table *t = calloc(1, sizeof(*t));

    if (!t)
        die("out of memory for the table of open queries");
    lock_init(&t->lock, LOCK_ENGINE_QUERY);
    return t;
}

/* ---- views ---- */

struct query_view *query_view_new(struct storage *store, uint64_t indexes)
{
    struct query_view *v = calloc(1, sizeof(*v));

    if (!v)
        die("out of memory for a view of an open query");
    *v = (struct query_view){
        .store = store, .indexes = indexes, .refs = 1, .born = clock_mono()};
    return v;
}

/* Under the lock: one reference less; at none it is put aside. */
static void view_unref(struct query_table *t, struct query_view *v)
{
    if (--v->refs > 0)
        return;
    v->newer = t->dead;
    t->dead = v;
    t->n_dead++;
}

/* Under the lock: the entry lets go of its view, if it has one. */
static void view_leave(struct query_table *t, struct entry *e)
{
    struct query_view *v = e->o.view;

    if (!v)
        return;
    e->o.view = NULL;
    *(v->older ? &v->older->newer : &t->oldest_view) = v->newer;
    *(v->newer ? &v->newer->older : &t->newest_view) = v->older;
    v->older = v->newer = NULL;
    v->holder = NULL;
    t->n_views--;
    view_unref(t, v);
}

static void view_join(struct query_table *t, struct entry *e)
{
    struct query_view *v = e->o.view;

    if (!v)
        return;
    v->refs++;
    v->holder = e;
    v->older = t->newest_view;
    v->newer = NULL;
    *(t->newest_view ? &t->newest_view->newer : &t->oldest_view) = v;
    t->newest_view = v;
    t->n_views++;
}

/* Under the lock. */
static void thin_views(struct query_table *t)
{
    int64_t old = clock_mono() - limit_of(LIMIT_QUERY_VIEW_MS) * CLOCK_MS;
    size_t most = (size_t)limit_of(LIMIT_QUERY_VIEWS);

    while (t->oldest_view && (t->oldest_view->born < old || t->n_views > most))
        view_leave(t, t->oldest_view->holder);
}

/* Without the lock: close what is put aside, where one may wait. */
static void bury(struct ctx *ctx, struct query_table *t)
{
    struct query_view *v, *next;

    if (ctx && !ctx->may_wait)
        return;
    lock_take(&t->lock);
    v = t->dead;
    t->dead = NULL;
    t->n_dead = 0;
    lock_drop(&t->lock);
    for (; v; v = next) {
        next = v->newer;
        storage_close(v->store);
        free(v);
    }
}

void query_view_drop(struct ctx *ctx, struct query_table *t,
                     struct query_view *v)
{
    if (!v)
        return;
    lock_take(&t->lock);
    view_unref(t, v);
    lock_drop(&t->lock);
    bury(ctx, t);
}

/* ---- the table ---- */

static struct entry **slot_of(struct query_table *t, uint64_t handle)
{
    struct entry **p = &t->buckets[handle % BUCKETS];

    while (*p && (*p)->handle != handle)
        p = &(*p)->chain;
    return p;
}

static size_t size_of(const struct entry *e)
{
    return sizeof(*e) + e->o.app.n + e->o.request.n + e->o.cursor.n;
}

static void unlink_age(struct query_table *t, struct entry *e)
{
    *(e->older ? &e->older->newer : &t->oldest) = e->newer;
    *(e->newer ? &e->newer->older : &t->newest) = e->older;
}

static void link_newest(struct query_table *t, struct entry *e)
{
    e->used = clock_mono();
    e->older = t->newest;
    e->newer = NULL;
    *(t->newest ? &t->newest->newer : &t->oldest) = e;
    t->newest = e;
}

static void drop(struct query_table *t, struct entry *e)
{
    *slot_of(t, e->handle) = e->chain;
    unlink_age(t, e);
    view_leave(t, e);
    t->n--;
    t->bytes -= size_of(e);
    free(e->cursor);
    free(e);
}

void query_table_free(struct query_table *t)
{
    if (!t)
        return;
    while (t->oldest)
        drop(t, t->oldest);
    bury(NULL, t);
    lock_release(&t->lock);
    free(t);
}

static void make_room(struct query_table *t)
{
    int64_t idle = clock_mono() - limit_of(LIMIT_QUERY_IDLE_MS) * CLOCK_MS;

    while (t->oldest && (t->oldest->used < idle || t->n >= QUERY_OPEN_MAX ||
                         t->bytes >= QUERY_OPEN_BYTES_MAX))
        drop(t, t->oldest);
    thin_views(t);
}

void query_open_expire(struct ctx *ctx, struct query_table *t)
{
    lock_take(&t->lock);
    make_room(t);
    lock_drop(&t->lock);
    bury(ctx, t);
}

static void *copy(struct bytes b)
{
    void *p = malloc(b.n + 1);

    if (!p)
        die("out of memory for an open query of %zu bytes", b.n);
    if (b.n)
        memcpy(p, b.p, b.n);
    return p;
}

static struct entry *entry_new(const struct query_open *o)
{
    struct entry *e = malloc(sizeof(*e) + o->app.n + o->request.n);
    uint8_t *p = (uint8_t *)(e + 1);

    if (!e)
        die("out of memory for an open query of %zu bytes", o->request.n);
    *e = (struct entry){.o = *o, .cursor = copy(o->cursor)};
    memcpy(p, o->app.p, o->app.n);
    e->o.app.p = p;
    memcpy(p + o->app.n, o->request.p, o->request.n);
    e->o.request.p = p + o->app.n;
    e->o.cursor.p = e->cursor;
    return e;
}

/* A handle nobody has; under the lock. */
static uint64_t new_handle(struct query_table *t)
{
    uint64_t h = 0;

    while (h == 0 || *slot_of(t, h)) {
        if (getrandom(&h, sizeof(h), 0) != sizeof(h))
            die("no random numbers from the system");
    }
    return h;
}

void query_open_add(struct ctx *ctx, struct query_table *t,
                    const struct query_open *o, uint64_t *handle)
{
    struct entry *e = entry_new(o);

    lock_take(&t->lock);
    make_room(t);
    e->handle = new_handle(t);
    *slot_of(t, e->handle) = e;
    link_newest(t, e);
    view_join(t, e);
    thin_views(t);
    t->n++;
    t->bytes += size_of(e);
    *handle = e->handle;
    lock_drop(&t->lock);
    bury(ctx, t);
}

int query_open_get(struct ctx *ctx, struct query_table *t, uint64_t handle,
                   struct query_open *out)
{
    int rc = ERR_NOT_FOUND;
    struct entry *e;

    lock_take(&t->lock);
    make_room(t);
    e = *slot_of(t, handle);
    if (e && bytes_eq(e->o.app, ctx->app)) {
        *out = e->o;
        out->app = arena_dup(ctx->arena, e->o.app);
        out->request = arena_dup(ctx->arena, e->o.request);
        out->cursor = arena_dup(ctx->arena, e->o.cursor);
        if (out->view)
            out->view->refs++;
        unlink_age(t, e);
        link_newest(t, e);
        rc = 0;
    }
    lock_drop(&t->lock);
    bury(ctx, t);
    return rc;
}

void query_open_set(struct ctx *ctx, struct query_table *t, uint64_t handle,
                    const struct query_open *o)
{
    struct entry *e;

    lock_take(&t->lock);
    e = *slot_of(t, handle);
    if (e && !o) {
        drop(t, e);
    } else if (e) {
        t->bytes -= e->o.cursor.n;
        free(e->cursor);
        e->cursor = copy(o->cursor);
        e->o.cursor = BYTES(e->cursor, o->cursor.n);
        e->o.offset = o->offset;
        e->o.limit = o->limit;
        t->bytes += e->o.cursor.n;
        if (!o->view)
            view_leave(t, e);
    }
    lock_drop(&t->lock);
    bury(ctx, t);
}

size_t query_open_views(struct query_table *t)
{
    size_t n;

    lock_take(&t->lock);
    n = t->n_views + t->n_dead;
    lock_drop(&t->lock);
    return n;
}

size_t query_open_count(struct query_table *t)
{
    size_t n;

    lock_take(&t->lock);
    n = t->n;
    lock_drop(&t->lock);
    return n;
}
