/*
 * index_set - the definitions of an app: rows of its KEY_META partition, and
 * the immutable set of them that writes and queries hold.
 *
 * A change is written to the store first and then read back into a new set,
 * which takes the place of the old one; the old one goes when its last user
 * lets go.  index_set_settle() waits for that moment: afterwards every running
 * and every future write knows the new definitions.
 */
#include "engine/engine_int.h"

#include "base/log.h"
#include "base/utf8.h"
#include "wire/pb.h"

#include <errno.h>
#include <stdlib.h>

/* Fields of entity.CompositeIndex, entity.Index and its group Property. */
enum {
    CI_APP = 1,
    CI_ID = 2,
    CI_DEFINITION = 3,
    CI_STATE = 4,
    INDEX_PROPERTY = 2,
    INDEX_KIND = 1,
    INDEX_ANCESTOR = 5,
    COLUMN_NAME = 3,
    COLUMN_DIRECTION = 4,
    DIRECTION_ASC = 1,
    DIRECTION_DESC = 2,
};

/* ---- rows ---- */

struct bytes index_def_prefix(void)
{
    return BYTES_LIT("index\0");
}

struct storage_key index_def_key(struct arena *a, const struct engine_app *app,
                                 int64_t id)
{
    struct buf row = BUF_IN(a);

    buf_add(&row, index_def_prefix());
    buf_add_be64(&row, (uint64_t)id);
    return (struct storage_key){app->meta, buf_view(&row)};
}

struct storage_key index_todo_key(struct arena *a, struct bytes project)
{
    struct buf row = BUF_IN(a);

    buf_add(&row, BYTES_LIT("todo\0"));
    buf_add(&row, project);
    return (struct storage_key){
        key_partition(a, BYTES_NONE, BYTES_NONE, KEY_META), buf_view(&row)};
}

void index_def_write(struct buf *out, const struct index_def *def)
{
    pb_put_bytes(out, INDEX_KIND, def->kind);
    for (size_t i = 0; i < def->n; i++) {
        pb_put_tag(out, INDEX_PROPERTY, PB_GROUP);
        pb_put_bytes(out, COLUMN_NAME, def->columns[i].name);
        pb_put_u64(out, COLUMN_DIRECTION,
                   def->columns[i].desc ? DIRECTION_DESC : DIRECTION_ASC);
        pb_put_tag(out, INDEX_PROPERTY, PB_END_GROUP);
    }
    pb_put_u64(out, INDEX_ANCESTOR, def->ancestor);
}

void index_def_message(struct buf *out, struct bytes app,
                       const struct index_def *def)
{
    struct buf in = {.arena = out->arena};

    index_def_write(&in, def);
    pb_put_bytes(out, CI_APP, app);
    pb_put_u64(out, CI_ID, (uint64_t)def->id);
    pb_put_bytes(out, CI_DEFINITION, buf_view(&in));
    pb_put_u64(out, CI_STATE, def->state);
    if (!in.arena)
        buf_release(&in);
}

struct bytes index_def_row(struct arena *a, const struct engine_app *app,
                           const struct index_def *def)
{
    struct buf out = BUF_IN(a);

    index_def_message(&out, app->project, def);
    return buf_view(&out);
}

static bool column_read(struct bytes in, struct index_column *col)
{
    struct pb_reader r = PB_READER(in);

    *col = (struct index_column){0};
    while (pb_next(&r)) {
        if (r.field == COLUMN_NAME && r.kind == PB_BYTES)
            col->name = r.bytes;
        else if (r.field == COLUMN_DIRECTION && r.kind == PB_VARINT)
            col->desc = r.u64 == DIRECTION_DESC;
    }
    return !r.bad && col->name.n > 0;
}

bool index_def_parse(struct arena *a, struct bytes definition,
                     struct index_def *def)
{
    struct pb_reader r = PB_READER(definition);
    bool ok = true;

    while (pb_next(&r)) {
        if (r.field == INDEX_KIND && r.kind == PB_BYTES) {
            def->kind = r.bytes;
        } else if (r.field == INDEX_ANCESTOR && r.kind == PB_VARINT) {
            def->ancestor = r.u64 != 0;
        } else if (r.field == INDEX_PROPERTY && r.kind == PB_GROUP) {
            def->columns =
                arena_grow(a, def->columns, def->n * sizeof(*def->columns),
                           (def->n + 1) * sizeof(*def->columns));
            ok &= column_read(r.bytes, &def->columns[def->n++]);
        }
    }
    return ok && !r.bad && def->kind.n > 0;
}

bool index_def_row_read(struct arena *a, struct bytes row,
                        struct index_def *def)
{
    struct pb_reader r = PB_READER(row);
    bool ok = false;

    *def = (struct index_def){0};
    while (pb_next(&r)) {
        if (r.field == CI_ID && r.kind == PB_VARINT)
            def->id = (int64_t)r.u64;
        else if (r.field == CI_STATE && r.kind == PB_VARINT)
            def->state = (enum index_state)r.u64;
        else if (r.field == CI_DEFINITION && r.kind == PB_BYTES)
            ok = index_def_parse(a, r.bytes, def);
    }
    return ok && !r.bad && def->id > 0;
}

/* ---- the set ---- */

static int def_cmp(const void *x, const void *y)
{
    const struct index_def *a = x, *b = y;
    int d = bytes_cmp(a->kind, b->kind);

    return d ? d : (a->id > b->id) - (a->id < b->id);
}

static void box_free(struct index_box *box)
{
    arena_release(&box->arena);
    free(box);
}

/* The rows live in the box's arena, and the definitions point into them. */
static int box_fill(struct ctx *ctx, struct index_box *box)
{
    struct ctx own = *ctx;
    struct storage_range range = storage_prefix(ctx->arena, index_def_prefix());
    struct storage_page page;
    int rc;

    own.arena = &box->arena;
    rc = storage_scan(&own, box->engine->storage, box->app->meta, &range,
                      STORAGE_FORWARD, INDEX_DEFS_MAX * 2, &page);
    if (rc) {
        if (own.err.code)
            ctx_err(ctx, (enum err_code)rc, "%s", ctx_err_text(&own, rc));
        return rc;
    }
    box->set.defs = ARENA_ARRAY(&box->arena, struct index_def, page.n);
    for (size_t i = 0; i < page.n; i++) {
        if (!index_def_row_read(&box->arena, page.rows[i].value,
                                &box->set.defs[i]))
            return ctx_err(ctx, ERR_CORRUPT, "a bad index definition row");
    }
    box->set.n = page.n;
    if (page.n > 1)
        qsort(box->set.defs, page.n, sizeof(*box->set.defs), def_cmp);
    return 0;
}

static int box_new(struct ctx *ctx, struct engine *e, struct engine_app *app,
                   struct index_box **out)
{
    struct index_box *box = calloc(1, sizeof(*box));
    int rc;

    if (!box)
        die("out of memory for index definitions");
    box->engine = e;
    box->app = app;
    atomic_init(&box->refs, 1);
    rc = box_fill(ctx, box);
    if (rc) {
        box_free(box);
        return rc;
    }
    *out = box;
    return 0;
}

/* The app's own reference, while the index_lock is held: what is still in use
 * counts as an old set until its last user lets go. */
void index_set_drop(struct engine_app *app)
{
    struct index_box *box = app->indexes;

    app->indexes = NULL;
    if (!box)
        return;
    app->old_sets++;
    if (atomic_fetch_sub(&box->refs, 1) == 1) {
        app->old_sets--;
        box_free(box);
    }
}

void index_set_unref(const struct index_set *set)
{
    struct index_box *box = (struct index_box *)(uintptr_t)set;
    struct engine *e;

    if (atomic_fetch_sub(&box->refs, 1) != 1)
        return;
    e = box->engine;
    lock_take(&e->index_lock);
    box->app->old_sets--;
    pthread_cond_broadcast(&e->settled);
    lock_drop(&e->index_lock);
    box_free(box);
}

int index_set_reload(struct ctx *ctx, struct engine *e, struct engine_app *app)
{
    struct index_box *box;
    int rc = box_new(ctx, e, app, &box);

    if (rc)
        return rc;
    lock_take(&e->index_lock);
    box->set.serial = ++e->index_serial;
    index_set_drop(app);
    app->indexes = box;
    lock_drop(&e->index_lock);
    return 0;
}

bool index_set_current(const struct index_set *set)
{
    struct index_box *box = (struct index_box *)(uintptr_t)set;
    bool current;

    lock_take(&box->engine->index_lock);
    current = box->app->indexes == box;
    lock_drop(&box->engine->index_lock);
    return current;
}

static struct index_box *current(struct engine *e, struct engine_app *app)
{
    struct index_box *box;

    lock_take(&e->index_lock);
    box = app->indexes;
    if (box)
        atomic_fetch_add(&box->refs, 1);
    lock_drop(&e->index_lock);
    return box;
}

/*
 * The first read of an app's set excludes changes, lest a set read before a
 * change be installed after it.
 */
static int load_first(struct ctx *ctx, struct engine *e, struct engine_app *app)
{
    struct index_box *box;
    int rc = 0;

    lock_take(&e->change_lock);
    box = current(e, app);
    if (box)
        index_set_unref(&box->set);
    else
        rc = index_set_reload(ctx, e, app);
    lock_drop(&e->change_lock);
    return rc;
}

int index_set_ref(struct ctx *ctx, struct engine *e, struct bytes app,
                  const struct index_set **out)
{
    struct engine_app *record = engine_app(e, app);
    struct index_box *box;
    int rc;

    while (!(box = current(e, record))) {
        if (!ctx->may_wait)
            return ERR_WOULD_BLOCK;
        rc = load_first(ctx, e, record);
        if (rc)
            return rc;
    }
    *out = &box->set;
    return 0;
}

struct timespec index_wait_until(const struct ctx *ctx, int64_t most)
{
    int64_t left = ctx_left(ctx);
    int64_t at = clock_wall() + (left < most ? left : most);

    return (struct timespec){
        .tv_sec = at / CLOCK_SEC,
        .tv_nsec = at % CLOCK_SEC * 1000,
    };
}

int index_set_settle(struct ctx *ctx, struct engine *e, struct engine_app *app)
{
    int rc = 0;

    lock_take(&e->index_lock);
    while (app->old_sets > 0 && rc == 0) {
        struct timespec at = index_wait_until(ctx, CLOCK_SEC);

        pthread_cond_timedwait(&e->settled, &e->index_lock.mutex, &at);
        if (ctx_left(ctx) == 0)
            rc = ERR_DEADLINE;
    }
    lock_drop(&e->index_lock);
    return rc;
}

int index_set_state(struct ctx *ctx, struct engine *e, struct engine_app *app,
                    const struct index_def *def, enum index_state state)
{
    struct storage_key key = index_def_key(ctx->arena, app, def->id);
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    struct index_def changed = *def;
    int rc;

    changed.state = state;
    lock_take(&e->change_lock);
    storage_batch_require(&b, key, index_def_row(ctx->arena, app, def));
    storage_batch_put(&b, key, index_def_row(ctx->arena, app, &changed));
    storage_batch_put(&b, index_todo_key(ctx->arena, app->project),
                      BYTES("", 0));
    rc = storage_commit(ctx, e->storage, &b, NULL);
    if (rc == 0)
        rc = index_set_reload(ctx, e, app);
    lock_drop(&e->change_lock);
    return rc;
}

/* ---- adding and removing ---- */

static int def_check(struct ctx *ctx, const struct index_def *def)
{
    if (def->kind.n == 0 || def->kind.n > KEY_NAME_MAX ||
        !utf8_valid(def->kind))
        return ctx_err(ctx, ERR_INVALID, "an index needs a kind");
    if (def->n == 0 && !def->ancestor)
        return ctx_err(ctx, ERR_INVALID, "an index needs a property");
    for (size_t i = 0; i < def->n; i++) {
        struct bytes name = def->columns[i].name;

        if (name.n == 0 || name.n > KEY_NAME_MAX || !utf8_valid(name))
            return ctx_err(ctx, ERR_INVALID, "an index property needs a name");
    }
    return 0;
}

static int64_t next_id(const struct index_set *set)
{
    int64_t top = 0;

    for (size_t i = 0; i < set->n; i++)
        top = set->defs[i].id > top ? set->defs[i].id : top;
    return top + 1;
}

/* Find `def` in the set: 0 with what is there, or ERR_NOT_FOUND with the next
 * free id. */
static int find_same(const struct index_set *set, const struct index_def *def,
                     int64_t *id, const struct index_def **found)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct index_def *d = &set->defs[i];

        if (d->state != INDEX_DELETED && index_def_same(d, def)) {
            *id = d->id;
            *found = d;
            return 0;
        }
    }
    *id = next_id(set);
    return ERR_NOT_FOUND;
}

/*
 * An index that failed was not maintained since: it goes, and another one of
 * its shape is added in the same commit.  ERR_NOT_FOUND with the new id.
 */
static int replace_failed(struct ctx *ctx, struct engine_app *app,
                          struct storage_batch *b, const struct index_set *set,
                          const struct index_def *failed, int64_t *id)
{
    struct storage_key key = index_def_key(ctx->arena, app, failed->id);
    struct index_def gone = *failed;

    gone.state = INDEX_DELETED;
    storage_batch_require(b, key, index_def_row(ctx->arena, app, failed));
    storage_batch_put(b, key, index_def_row(ctx->arena, app, &gone));
    *id = next_id(set);
    return ERR_NOT_FOUND;
}

static int add_locked(struct ctx *ctx, struct engine *e, struct engine_app *app,
                      const struct index_def *def, int64_t *id)
{
    struct storage_batch b = STORAGE_BATCH_IN(ctx->arena);
    const struct index_def *found;
    struct index_def added = *def;
    struct index_box *box;
    struct storage_key key;
    int rc;

    rc = index_set_reload(ctx, e, app);
    if (rc)
        return rc;
    box = current(e, app);
    rc = find_same(&box->set, def, id, &found);
    if (rc == 0 && found->state == INDEX_ERROR)
        rc = replace_failed(ctx, app, &b, &box->set, found, id);
    if (rc && box->set.n >= INDEX_DEFS_MAX)
        rc = ctx_err(ctx, ERR_INVALID, "an app has at most %d indexes",
                     INDEX_DEFS_MAX);
    index_set_unref(&box->set);
    if (rc != ERR_NOT_FOUND)
        return rc ? rc : ERR_EXISTS;
    added.id = *id;
    added.state = INDEX_WRITE_ONLY;
    key = index_def_key(ctx->arena, app, *id);
    storage_batch_require_absent(&b, key);
    storage_batch_put(&b, key, index_def_row(ctx->arena, app, &added));
    storage_batch_put(&b, index_todo_key(ctx->arena, app->project),
                      BYTES("", 0));
    rc = storage_commit(ctx, e->storage, &b, NULL);
    return rc ? rc : index_set_reload(ctx, e, app);
}

int index_create(struct ctx *ctx, struct engine *e, struct bytes app,
                 const struct index_def *def, bool wait, int64_t *id)
{
    struct engine_app *record = engine_app(e, app);
    int rc = def_check(ctx, def), exists;

    if (rc)
        return rc;
    lock_take(&e->change_lock);
    do {
        rc = add_locked(ctx, e, record, def, id);
    } while (rc == ERR_CONFLICT); /* another process: read its change */
    lock_drop(&e->change_lock);
    exists = rc;
    if (rc && rc != ERR_EXISTS)
        return rc;
    if (!wait) {
        engine_wake(e);
        return rc;
    }
    rc = index_finish(ctx, e, record, *id);
    return rc ? rc : exists;
}

static const struct index_def *find_id(const struct index_set *set, int64_t id)
{
    for (size_t i = 0; i < set->n; i++) {
        if (set->defs[i].id == id)
            return &set->defs[i];
    }
    return NULL;
}

static int delete_once(struct ctx *ctx, struct engine *e, struct bytes app,
                       int64_t id)
{
    const struct index_def *def;
    const struct index_set *set;
    int rc = index_set_ref(ctx, e, app, &set);

    if (rc)
        return rc;
    def = find_id(set, id);
    if (!def || def->state == INDEX_DELETED)
        rc = ERR_NOT_FOUND;
    else
        rc = index_set_state(ctx, e, engine_app(e, app), def, INDEX_DELETED);
    index_set_unref(set);
    return rc;
}

/* Its build may end at this moment, which changes the definition too. */
int index_delete(struct ctx *ctx, struct engine *e, struct bytes app,
                 int64_t id)
{
    int rc = delete_once(ctx, e, app, id), attempt = 0;

    while (rc == ERR_CONFLICT && ctx->err.code == ERR_OK) {
        rc = write_backoff(ctx, attempt++);
        if (rc == 0)
            rc = delete_once(ctx, e, app, id);
    }
    if (rc == 0)
        engine_wake(e);
    return rc;
}
