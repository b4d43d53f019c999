/*
 * key - references to paths and back.
 *
 * The escaping keeps memcmp() order and makes every element end itself; that is
 * what lets paths, values and kinds stand behind each other in a row.
 */
#include "engine/key.h"

#include "base/utf8.h"
#include "wire/pb.h"

/* ---- text ---- */

bool key_reserved(struct bytes name)
{
    const char *p = name.p;

    return name.n >= 4 && memcmp(p, "__", 2) == 0 &&
           memcmp(p + name.n - 2, "__", 2) == 0;
}

static bool space_valid(struct bytes space)
{
    const uint8_t *p = bytes_u8(space);

    for (size_t i = 0; i < space.n; i++) {
        uint8_t c = p[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') &&
            !(c >= 'a' && c <= 'z') && c != '.' && c != '_' && c != '-')
            return false;
    }
    return space.n <= KEY_SPACE_MAX;
}

bool key_untracked(const struct key *key)
{
    static const char prefix[] = "notrans_";

    return key->space.n >= sizeof(prefix) - 1 &&
           memcmp(key->space.p, prefix, sizeof(prefix) - 1) == 0;
}

struct bytes key_project(struct bytes app)
{
    const uint8_t *tilde = app.n ? memchr(app.p, '~', app.n) : NULL;

    if (!tilde)
        return app;
    return bytes_from(app, (size_t)(tilde + 1 - bytes_u8(app)));
}

/* ---- the encoding ---- */

enum {
    END = 0,    /* of an escaped field */
    ESCAPE = 1, /* before 01 (for 00) and 02 (for 01) */
    ELEM_ID = 1,
    ELEM_NAME = 2,
};

static uint8_t *escape_into(uint8_t *to, struct bytes v)
{
    const uint8_t *p = bytes_u8(v);

    for (size_t i = 0; i < v.n; i++) {
        if (p[i] <= ESCAPE) {
            *to++ = ESCAPE;
            *to++ = p[i] + 1;
        } else {
            *to++ = p[i];
        }
    }
    *to++ = END;
    return to;
}

void key_put_escaped(struct buf *b, struct bytes v)
{
    uint8_t *start = buf_reserve(b, 2 * v.n + 1);

    b->n += (size_t)(escape_into(start, v) - start);
}

/* Undo the escapes of in[0..n-1] into the arena. */
static bool unescape(struct arena *a, const uint8_t *in, size_t n,
                     struct bytes *out)
{
    uint8_t *to = arena_alloc(a, n);
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        uint8_t c = in[i];

        if (c == ESCAPE) {
            if (++i == n || in[i] < 1 || in[i] > 2)
                return false;
            c = in[i] - 1;
        }
        to[at++] = c;
    }
    *out = BYTES(to, at);
    return true;
}

bool key_take_escaped(struct arena *a, struct bytes *in, struct bytes *out)
{
    const uint8_t *p = bytes_u8(*in);
    const uint8_t *end = in->n ? memchr(p, END, in->n) : NULL;
    size_t n;

    if (!end)
        return false;
    n = (size_t)(end - p);
    *in = bytes_from(*in, n + 1);
    *out = BYTES(p, n);
    return n == 0 || !memchr(p, ESCAPE, n) || unescape(a, p, n, out);
}

static uint8_t *put_id(uint8_t *p, int64_t id)
{
    *p++ = ELEM_ID;
    put_be64(p, (uint64_t)id ^ UINT64_C(1) << 63);
    return p + 8;
}

static void path_add_id(struct buf *b, int64_t id)
{
    b->n += (size_t)(put_id(buf_reserve(b, 9), id) - (b->p + b->n));
}

void key_path_add(struct buf *b, struct bytes kind, int64_t id,
                  struct bytes name)
{
    key_put_escaped(b, kind);
    if (name.p) {
        buf_add_u8(b, ELEM_NAME);
        key_put_escaped(b, name);
    } else {
        path_add_id(b, id);
    }
}

/* ---- parsing ---- */

/* A path is spelt with other field numbers in a Reference and in a
 * ReferenceValue. */
struct path_fields {
    uint32_t element, kind, id, name;
};

static const struct path_fields in_reference = {1, 2, 3, 4};
static const struct path_fields in_value = {14, 15, 16, 17};

enum { REF_APP = 13, REF_PATH = 14, REF_SPACE = 20, REF_DATABASE = 23 };

static bool elem_read(struct bytes in, const struct path_fields *f,
                      struct key_elem *e)
{
    struct pb_reader r = PB_READER(in);

    *e = (struct key_elem){0};
    while (pb_next(&r)) {
        if (r.field == f->kind && r.kind == PB_BYTES)
            e->kind = r.bytes;
        else if (r.field == f->id && r.kind == PB_VARINT)
            e->id = (int64_t)r.u64;
        else if (r.field == f->name && r.kind == PB_BYTES) {
            e->name = r.bytes;
            e->named = true;
        }
    }
    e->complete = e->named || e->id != 0;
    return !r.bad;
}

static int elem_too_long(struct ctx *ctx, const char *what)
{
    return ctx_err(ctx, ERR_INVALID,
                   "The key path element %s is longer than %d bytes.", what,
                   KEY_NAME_MAX);
}

static int elem_check(struct ctx *ctx, const struct key_elem *e)
{
    if (e->kind.n == 0)
        return ctx_err(ctx, ERR_INVALID,
                       "The key path element kind is the empty string.");
    if (e->named && e->id != 0)
        return ctx_err(ctx, ERR_INVALID,
                       "each key path element should have id or name but not "
                       "both: %.*s",
                       BYTES_FMT(e->kind));
    if (e->named && e->name.n == 0)
        return ctx_err(ctx, ERR_INVALID,
                       "The key path element name is the empty string.");
    if (e->kind.n > KEY_NAME_MAX)
        return elem_too_long(ctx, "kind");
    if (e->name.n > KEY_NAME_MAX)
        return elem_too_long(ctx, "name");
    if (!utf8_valid(e->kind) || !utf8_valid(e->name))
        return ctx_err(ctx, ERR_INVALID,
                       "The key path element is not valid UTF-8.");
    return 0;
}

/* Append one checked element to the path under construction. */
static int elem_add(struct ctx *ctx, struct key *key, struct buf *path,
                    const struct key_elem *e)
{
    int rc = elem_check(ctx, e);

    if (rc)
        return rc;
    if (key->depth > 0 && !key->complete)
        return ctx_err(ctx, ERR_INVALID, "Incomplete key path element");
    if (++key->depth > KEY_DEPTH_MAX)
        return ctx_err(ctx, ERR_INVALID,
                       "The key path has more than %d "
                       "elements.",
                       KEY_DEPTH_MAX);
    key->last_n = path->n;
    key->kind = e->kind;
    key->complete = e->complete;
    if (e->complete)
        key_path_add(path, e->kind, e->id, e->named ? e->name : BYTES_NONE);
    else
        key_put_escaped(path, e->kind);
    if (key->depth == 1)
        key->root_n = path->n;
    return 0;
}

static int path_parse(struct ctx *ctx, struct bytes in,
                      const struct path_fields *f, struct key *key)
{
    struct pb_reader r = PB_READER(in);
    struct buf path = BUF_IN(ctx->arena);
    struct key_elem e;
    int rc;

    buf_reserve(&path, in.n + 16);
    while (pb_next(&r)) {
        if (r.field != f->element || r.kind != PB_GROUP)
            continue;
        if (!elem_read(r.bytes, f, &e))
            return ctx_err(ctx, ERR_MALFORMED, "the key's path is malformed");
        rc = elem_add(ctx, key, &path, &e);
        if (rc)
            return rc;
    }
    if (r.bad)
        return ctx_err(ctx, ERR_MALFORMED, "the key's path is malformed");
    if (key->depth == 0)
        return ctx_err(ctx, ERR_INVALID, "key's path cannot be empty");
    key->path = buf_view(&path);
    return 0;
}

static int space_check(struct ctx *ctx, const struct key *key)
{
    if (!space_valid(key->space))
        return ctx_err(ctx, ERR_INVALID,
                       "The namespace \"%.*s\" is not of the form "
                       "[0-9A-Za-z._-]{0,%d}.",
                       BYTES_FMT(key->space), KEY_SPACE_MAX);
    if (key->app.n == 0 || memchr(key->app.p, 0, key->app.n))
        return ctx_err(ctx, ERR_INVALID, "the key names no app");
    return 0;
}

int key_parse(struct ctx *ctx, struct bytes reference, struct key *key)
{
    struct pb_reader r = PB_READER(reference);
    struct bytes path = BYTES_NONE;
    int rc;

    *key = (struct key){.whole = reference};
    while (pb_next(&r)) {
        if (r.kind != PB_BYTES)
            continue;
        if (r.field == REF_APP)
            key->app = r.bytes;
        else if (r.field == REF_SPACE)
            key->space = r.bytes;
        else if (r.field == REF_PATH)
            path = r.bytes;
        else if (r.field == REF_DATABASE && r.bytes.n)
            return ctx_err(ctx, ERR_INVALID,
                           "there is only the default database");
    }
    if (r.bad || key->app.n == 0)
        return ctx_err(ctx, ERR_MALFORMED, "the key is malformed");
    if (ctx->app.n && !bytes_eq(key_project(key->app), ctx->app))
        return ctx_err(ctx, ERR_INVALID,
                       "app \"%.*s\" cannot access app \"%.*s\"'s data",
                       BYTES_FMT(ctx->app), BYTES_FMT(key->app));
    if (reference.n > KEY_BYTES_MAX)
        return ctx_err(ctx, ERR_INVALID,
                       "The key has %zu bytes; it may have %d.", reference.n,
                       KEY_BYTES_MAX);
    rc = space_check(ctx, key);
    return rc ? rc : path_parse(ctx, path, &in_reference, key);
}

int key_parse_value(struct ctx *ctx, struct bytes refvalue, struct key *key)
{
    struct pb_reader r = PB_READER(refvalue);
    int rc;

    *key = (struct key){0};
    while (pb_next(&r)) {
        if (r.field == REF_APP && r.kind == PB_BYTES)
            key->app = r.bytes;
        else if (r.field == REF_SPACE && r.kind == PB_BYTES)
            key->space = r.bytes;
    }
    if (r.bad)
        return ctx_err(ctx, ERR_MALFORMED, "a key value is malformed");
    rc = space_check(ctx, key);
    return rc ? rc : path_parse(ctx, refvalue, &in_value, key);
}

int key_need_complete(struct ctx *ctx, const struct key *key)
{
    if (key->complete)
        return 0;
    return ctx_err(ctx, ERR_INVALID, "missing key id/name");
}

void key_complete(struct arena *a, struct key *key, int64_t id)
{
    uint8_t *p = arena_alloc(a, key->path.n + 9);
    size_t n = key->path.n + 9;

    memcpy(p, key->path.p, key->path.n);
    put_id(p + key->path.n, id);
    if (key->depth == 1)
        key->root_n = n;
    key->path = BYTES(p, n);
    key->complete = true;
    key->whole = BYTES_NONE;
}

bool key_same_space(const struct key *a, const struct key *b)
{
    return bytes_eq(key_project(a->app), key_project(b->app)) &&
           bytes_eq(a->space, b->space);
}

/* ---- partitions and rows ---- */

struct bytes key_partition(struct arena *a, struct bytes app,
                           struct bytes space, enum key_table table)
{
    struct bytes project = key_project(app);
    size_t n = project.n + 1 + space.n + 1 + 1;
    uint8_t *p = arena_alloc(a, n), *at = p;

    if (project.n)
        memcpy(at, project.p, project.n);
    at += project.n;
    *at++ = 0;
    if (space.n)
        memcpy(at, space.p, space.n);
    at += space.n;
    *at++ = 0;
    *at = (uint8_t)table;
    return BYTES(p, n);
}

struct bytes key_partition_of(struct arena *a, struct bytes partition,
                              enum key_table table)
{
    uint8_t *p = arena_alloc(a, partition.n);

    memcpy(p, partition.p, partition.n);
    p[partition.n - 1] = (uint8_t)table;
    return BYTES(p, partition.n);
}

struct bytes key_kind_prefix(struct arena *a, struct bytes kind)
{
    struct buf b = BUF_IN(a);

    key_put_escaped(&b, kind);
    return buf_view(&b);
}

/* ---- paths back to messages ---- */

bool key_path_next(struct arena *a, struct bytes *path, struct key_elem *out)
{
    struct bytes in = *path;
    uint8_t tag;

    *out = (struct key_elem){0};
    if (in.n == 0 || !key_take_escaped(a, &in, &out->kind))
        return false;
    if (in.n == 0) { /* an incomplete last element */
        *path = in;
        return true;
    }
    tag = bytes_u8(in)[0];
    in = bytes_from(in, 1);
    if (tag == ELEM_NAME) {
        out->named = true;
        if (!key_take_escaped(a, &in, &out->name))
            return false;
    } else if (tag == ELEM_ID && in.n >= 8) {
        out->id = (int64_t)(get_be64(in.p) ^ UINT64_C(1) << 63);
        in = bytes_from(in, 8);
    } else {
        return false;
    }
    out->complete = true;
    *path = in;
    return true;
}

/* Behind the next terminator at or after `at`; 0 when there is none. */
static size_t behind_end(struct bytes in, size_t at)
{
    const uint8_t *p = bytes_u8(in), *end;

    if (at >= in.n)
        return 0;
    end = memchr(p + at, END, in.n - at);
    return end ? (size_t)(end - p) + 1 : 0;
}

size_t key_path_first(struct bytes path)
{
    size_t at = behind_end(path, 0);

    if (at == 0 || at >= path.n)
        return 0;
    if (bytes_u8(path)[at] == ELEM_NAME)
        return behind_end(path, at + 1);
    if (bytes_u8(path)[at] == ELEM_ID && path.n - at >= 9)
        return at + 9;
    return 0;
}

static void write_elems(struct buf *b, struct bytes path,
                        const struct path_fields *f)
{
    struct arena scratch = ARENA_INIT;
    struct arena *a = b->arena ? b->arena : &scratch;
    struct key_elem e;

    while (key_path_next(a, &path, &e)) {
        pb_put_tag(b, f->element, PB_GROUP);
        pb_put_bytes(b, f->kind, e.kind);
        if (e.named)
            pb_put_bytes(b, f->name, e.name);
        else if (e.complete)
            pb_put_u64(b, f->id, (uint64_t)e.id);
        pb_put_tag(b, f->element, PB_END_GROUP);
    }
    arena_release(&scratch);
}

void key_write_path(struct buf *b, struct bytes path)
{
    write_elems(b, path, &in_reference);
}

void key_write_reference(struct buf *b, struct bytes app, struct bytes space,
                         struct bytes path)
{
    struct buf in = {.arena = b->arena};

    key_write_path(&in, path);
    pb_put_bytes(b, REF_APP, app);
    pb_put_bytes(b, REF_PATH, buf_view(&in));
    if (space.n)
        pb_put_bytes(b, REF_SPACE, space);
    if (!in.arena)
        buf_release(&in);
}

void key_put_field(struct buf *b, uint32_t field, const struct key *key)
{
    struct buf ref = {.arena = b->arena};

    if (key->whole.p) {
        pb_put_bytes(b, field, key->whole);
        return;
    }
    key_write_reference(&ref, key->app, key->space, key->path);
    pb_put_bytes(b, field, buf_view(&ref));
    if (!ref.arena)
        buf_release(&ref);
}

void key_write_value(struct buf *b, struct bytes app, struct bytes space,
                     struct bytes path)
{
    pb_put_bytes(b, REF_APP, app);
    write_elems(b, path, &in_value);
    if (space.n)
        pb_put_bytes(b, REF_SPACE, space);
}

/* A path element under its other numbers. */
static bool put_value_elem(struct buf *b, struct bytes elem)
{
    struct pb_reader r = PB_READER(elem);

    pb_put_tag(b, in_value.element, PB_GROUP);
    while (pb_next(&r)) {
        if (r.field == in_reference.kind && r.kind == PB_BYTES)
            pb_put_bytes(b, in_value.kind, r.bytes);
        else if (r.field == in_reference.id && r.kind == PB_VARINT)
            pb_put_u64(b, in_value.id, r.u64);
        else if (r.field == in_reference.name && r.kind == PB_BYTES)
            pb_put_bytes(b, in_value.name, r.bytes);
    }
    pb_put_tag(b, in_value.element, PB_END_GROUP);
    return !r.bad;
}

bool key_put_value(struct buf *b, struct bytes reference)
{
    struct bytes app = BYTES_NONE, space = BYTES_NONE, path = BYTES_NONE;
    struct pb_reader r;
    bool good = pb_find_bytes(reference, REF_PATH, &path);

    if (!good || path.n == 0)
        return true;
    pb_find_bytes(reference, REF_APP, &app);
    pb_find_bytes(reference, REF_SPACE, &space);
    pb_put_bytes(b, REF_APP, app);
    r = (struct pb_reader)PB_READER(path);
    while (good && pb_next(&r)) {
        if (r.field == in_reference.element && r.kind == PB_GROUP)
            good = put_value_elem(b, r.bytes);
    }
    if (space.n)
        pb_put_bytes(b, REF_SPACE, space);
    return good && !r.bad;
}
