/* task - rows to structs and back, and names. */
#include "service/taskqueue/task.h"

#include "engine/key.h"
#include "wire/pb.h"

#include <sodium.h>

/* ---- where rows lie ---- */

int64_t task_at(int64_t eta, int64_t now)
{
    int64_t earliest = now > TASK_LATE_MAX ? now - TASK_LATE_MAX : 0;

    return eta > earliest ? eta : earliest;
}

struct bytes task_partition(struct arena *a, struct bytes app,
                            enum task_table table, struct bytes queue)
{
    struct bytes project = key_project(app);
    uint8_t *p = arena_alloc(a, project.n + 3 + queue.n);
    uint8_t *at = p + project.n;

    memcpy(p, project.p, project.n);
    *at++ = 0;
    *at++ = 0;
    *at++ = (uint8_t)table;
    if (queue.n)
        memcpy(at, queue.p, queue.n);
    return BYTES(p, project.n + 3 + queue.n);
}

struct bytes task_eta_row(struct arena *a, int64_t at, struct bytes name)
{
    uint8_t *p = arena_alloc(a, 8 + name.n);

    put_be64(p, (uint64_t)at);
    if (name.n)
        memcpy(p + 8, name.p, name.n);
    return BYTES(p, 8 + name.n);
}

struct bytes task_tag_row(struct arena *a, struct bytes tag, int64_t at,
                          struct bytes name)
{
    struct buf row = BUF_IN(a);

    key_put_escaped(&row, tag);
    buf_add_be64(&row, (uint64_t)at);
    buf_add(&row, name);
    return buf_view(&row);
}

bool task_row_split(struct bytes row, struct bytes tag, int64_t *at,
                    struct bytes *name)
{
    if (tag.n) {
        struct arena a = ARENA_INIT;
        struct bytes got;
        bool good = key_take_escaped(&a, &row, &got) && bytes_eq(got, tag);

        arena_release(&a);
        if (!good)
            return false;
    }
    if (row.n < 8)
        return false;
    *at = (int64_t)get_be64(row.p);
    *name = bytes_from(row, 8);
    return true;
}

/* ---- the row by ETA ---- */

enum {
    VALUE_VERSION = 1,
    VALUE_HEAD = 1 + 1 + 2 + 2 + 2 + 4 + 4 + 5 * 8,
};

static void put_be(uint8_t **p, uint64_t v, int n)
{
    for (int i = n - 1; i >= 0; i--, v >>= 8)
        (*p)[i] = (uint8_t)v;
    *p += n;
}

static uint64_t get_be(const uint8_t **p, int n)
{
    uint64_t v = 0;

    for (int i = 0; i < n; i++)
        v = v << 8 | (*p)[i];
    *p += n;
    return v;
}

size_t task_size(const struct task *t)
{
    return VALUE_HEAD + t->request.n;
}

struct bytes task_value(struct arena *a, const struct task *t)
{
    uint8_t *start = arena_alloc(a, VALUE_HEAD + t->request.n), *p = start;

    put_be(&p, VALUE_VERSION, 1);
    put_be(&p, t->flags, 1);
    put_be(&p, t->status, 2);
    put_be(&p, t->moves, 2);
    put_be(&p, t->cuts, 2);
    put_be(&p, t->retries, 4);
    put_be(&p, t->executions, 4);
    put_be(&p, (uint64_t)t->eta, 8);
    put_be(&p, (uint64_t)t->created, 8);
    put_be(&p, (uint64_t)t->first_try, 8);
    put_be(&p, (uint64_t)t->dispatched, 8);
    put_be(&p, (uint64_t)t->elapsed, 8);
    if (t->request.n)
        memcpy(p, t->request.p, t->request.n);
    return BYTES(start, VALUE_HEAD + t->request.n);
}

bool task_read(struct bytes row, struct bytes value, struct task *out)
{
    const uint8_t *p = bytes_u8(value);

    if (!task_row_split(row, BYTES_NONE, &out->at, &out->name) ||
        value.n < VALUE_HEAD || *p++ != VALUE_VERSION)
        return false;
    out->flags = (uint8_t)get_be(&p, 1);
    out->status = (uint16_t)get_be(&p, 2);
    out->moves = (uint16_t)get_be(&p, 2);
    out->cuts = (uint16_t)get_be(&p, 2);
    out->retries = (uint32_t)get_be(&p, 4);
    out->executions = (uint32_t)get_be(&p, 4);
    out->eta = (int64_t)get_be(&p, 8);
    out->created = (int64_t)get_be(&p, 8);
    out->first_try = (int64_t)get_be(&p, 8);
    out->dispatched = (int64_t)get_be(&p, 8);
    out->elapsed = (int64_t)get_be(&p, 8);
    out->request = bytes_from(value, VALUE_HEAD);
    return true;
}

/* ---- the row by name ---- */

enum { NAME_LIVE = 1, NAME_TOMB = 2, LIVE_SIZE = 1 + 8 + 8 + 2, TOMB_SIZE = 9 };

struct bytes task_name_value(struct arena *a, const struct task *t)
{
    uint8_t *start = arena_alloc(a, LIVE_SIZE), *p = start;

    put_be(&p, NAME_LIVE, 1);
    put_be(&p, (uint64_t)t->at, 8);
    put_be(&p, (uint64_t)t->created, 8);
    put_be(&p, t->moves, 2);
    return BYTES(start, LIVE_SIZE);
}

static struct bytes tomb_value(struct arena *a, int64_t ends)
{
    uint8_t *start = arena_alloc(a, TOMB_SIZE), *p = start;

    put_be(&p, NAME_TOMB, 1);
    put_be(&p, (uint64_t)ends, 8);
    return BYTES(start, TOMB_SIZE);
}

bool task_name_read(struct bytes value, struct task_name *out)
{
    const uint8_t *p = bytes_u8(value);

    *out = (struct task_name){0};
    if (value.n == LIVE_SIZE && *p == NAME_LIVE) {
        p++;
        out->live = true;
        out->at = (int64_t)get_be(&p, 8);
        out->created = (int64_t)get_be(&p, 8);
        return true;
    }
    if (value.n == TOMB_SIZE && *p == NAME_TOMB) {
        p++;
        out->ends = (int64_t)get_be(&p, 8);
        return true;
    }
    return false;
}

/* ---- all rows of a task ---- */

static struct storage_key name_key(struct arena *a, struct bytes app,
                                   struct bytes queue, const struct task *t)
{
    return (struct storage_key){task_partition(a, app, TASK_BY_NAME, queue),
                                t->name};
}

static struct storage_key eta_key(struct arena *a, struct bytes app,
                                  struct bytes queue, const struct task *t)
{
    return (struct storage_key){task_partition(a, app, TASK_BY_ETA, queue),
                                task_eta_row(a, t->at, t->name)};
}

static bool tag_key(struct arena *a, struct bytes app, struct bytes queue,
                    const struct task *t, struct storage_key *out)
{
    enum { TAG = 19 };
    struct bytes tag;

    if (!(t->flags & TASK_TAGGED) || !pb_find_bytes(t->request, TAG, &tag))
        return false;
    *out = (struct storage_key){task_partition(a, app, TASK_BY_TAG, queue),
                                task_tag_row(a, tag, t->at, t->name)};
    return true;
}

void task_put(struct storage_batch *b, struct bytes app, struct bytes queue,
              const struct task *t)
{
    struct arena *a = b->arena;
    struct storage_key tag;

    storage_batch_put(b, eta_key(a, app, queue, t), task_value(a, t));
    storage_batch_put(b, name_key(a, app, queue, t), task_name_value(a, t));
    if (tag_key(a, app, queue, t, &tag))
        storage_batch_put(b, tag, BYTES("", 0));
}

/* The rows that have `at` in them. */
static void delete_placed(struct storage_batch *b, struct bytes app,
                          struct bytes queue, const struct task *t)
{
    struct storage_key tag;

    storage_batch_delete(b, eta_key(b->arena, app, queue, t));
    if (tag_key(b->arena, app, queue, t, &tag))
        storage_batch_delete(b, tag);
}

/* "when it ends, queue 00 name": found by time alone. */
static struct storage_key tomb_key(struct arena *a, struct bytes app,
                                   struct bytes queue, struct bytes name,
                                   int64_t ends)
{
    struct buf row = BUF_IN(a);

    buf_add_be64(&row, (uint64_t)ends);
    buf_add(&row, queue);
    buf_add_u8(&row, 0);
    buf_add(&row, name);
    return (struct storage_key){task_partition(a, app, TASK_TOMBS, BYTES_NONE),
                                buf_view(&row)};
}

void task_end(struct storage_batch *b, struct bytes app, struct bytes queue,
              const struct task *t, int64_t ends)
{
    struct arena *a = b->arena;
    struct storage_key name = name_key(a, app, queue, t);

    storage_batch_require(b, name, task_name_value(a, t));
    delete_placed(b, app, queue, t);
    if (t->flags & TASK_CHOSEN) {
        storage_batch_delete(b, name);
        return;
    }
    storage_batch_put(b, name, tomb_value(a, ends));
    storage_batch_put(b, tomb_key(a, app, queue, t->name, ends), BYTES("", 0));
}

void task_move(struct storage_batch *b, struct bytes app, struct bytes queue,
               const struct task *was, struct task *t)
{
    struct arena *a = b->arena;

    storage_batch_require(b, name_key(a, app, queue, was),
                          task_name_value(a, was));
    t->moves = (uint16_t)(was->moves + 1);
    if (was->at != t->at)
        delete_placed(b, app, queue, was);
    task_put(b, app, queue, t);
}

/* ---- names ---- */

static bool all_of(struct bytes name, const char *extra)
{
    const uint8_t *p = bytes_u8(name);

    for (size_t i = 0; i < name.n; i++) {
        bool good = (p[i] >= '0' && p[i] <= '9') ||
                    (p[i] >= 'A' && p[i] <= 'Z') ||
                    (p[i] >= 'a' && p[i] <= 'z') ||
                    (p[i] != '\0' && strchr(extra, p[i]));

        if (!good)
            return false;
    }
    return name.n > 0;
}

bool task_name_valid(struct bytes name)
{
    return name.n <= TASK_NAME_MAX && all_of(name, "_-");
}

bool task_queue_name_valid(struct bytes name)
{
    /* __cron is the platform's own. */
    return name.n <= TASK_QUEUE_NAME_MAX &&
           (all_of(name, "-") || bytes_eq_str(name, "__cron"));
}

/*
 * A name of ours is the version times 4096 plus a check of twelve bits over
 * queue and version: who meets the name later knows that it was ours without
 * a row for it.  The key keeps nobody out; it only spreads.
 */
enum { CHECK_BITS = 12 };

static uint64_t name_check(struct bytes queue, uint64_t created)
{
    static const uint8_t key[crypto_shorthash_KEYBYTES] = "appscale tasks";
    uint8_t in[8 + TASK_QUEUE_NAME_MAX];
    uint8_t hash[crypto_shorthash_BYTES];

    put_be64(in, created);
    memcpy(in + 8, queue.p, queue.n);
    crypto_shorthash(hash, in, 8 + queue.n, key);
    return get_be64(hash) & ((1u << CHECK_BITS) - 1);
}

struct bytes task_name_choose(struct arena *a, struct bytes queue,
                              int64_t created)
{
    uint64_t v = (uint64_t)created << CHECK_BITS;

    v |= name_check(queue, (uint64_t)created);
    return bytes_str(
        arena_printf(a, "%0*llu", TASK_CHOSEN_DIGITS, (unsigned long long)v));
}

bool task_name_chosen(struct bytes queue, struct bytes name, int64_t newest)
{
    /* Nothing of ours is older than this: 2020. */
    const uint64_t oldest = 1577836800000000;
    uint64_t v = 0;

    if (name.n != TASK_CHOSEN_DIGITS || queue.n > TASK_QUEUE_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = bytes_u8(name)[i];

        if (c < '0' || c > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(c - '0'), &v))
            return false;
    }
    return v >> CHECK_BITS >= oldest && v >> CHECK_BITS <= (uint64_t)newest &&
           (v & ((1u << CHECK_BITS) - 1)) == name_check(queue, v >> CHECK_BITS);
}

/* ---- the request inside ---- */

static bool take_bytes(const struct pb_reader *r, struct bytes *out, bool *has)
{
    if (r->kind != PB_BYTES)
        return false;
    *out = r->bytes;
    *has = true;
    return true;
}

static bool take_number(const struct pb_reader *r, int64_t *out, bool *has)
{
    if (r->kind != PB_VARINT)
        return false;
    *out = (int64_t)r->u64;
    *has = true;
    return true;
}

static void take_enum(const struct pb_reader *r, int32_t *out)
{
    if (r->kind == PB_VARINT)
        *out = (int32_t)r->u64;
}

enum {
    F_QUEUE = 1,
    F_NAME = 2,
    F_ETA = 3,
    F_URL = 4,
    F_METHOD = 5,
    F_HEADER = 6,
    F_BODY = 9,
    F_TRANSACTION = 10,
    F_APP = 11,
    F_CRON = 12,
    F_DESCRIPTION = 15,
    F_PAYLOAD = 16,
    F_RETRY = 17,
    F_MODE = 18,
    F_TAG = 19,
    F_OTHER_TRANSACTION = 21,
    F_DEADLINE = 22,
};

static void take_field(const struct pb_reader *r, struct task_request *t)
{
    struct bytes unused;
    bool has;

    switch (r->field) {
    case F_QUEUE:
        take_bytes(r, &t->queue, &t->has_queue);
        break;
    case F_NAME:
        take_bytes(r, &t->name, &t->has_name);
        break;
    case F_ETA:
        take_number(r, &t->eta, &t->has_eta);
        break;
    case F_URL:
        take_bytes(r, &t->url, &t->has_url);
        break;
    case F_METHOD:
        take_enum(r, &t->method);
        break;
    case F_BODY:
        take_bytes(r, &t->body, &t->has_body);
        break;
    case F_TRANSACTION:
        take_bytes(r, &t->transaction, &t->has_transaction);
        break;
    case F_APP:
        take_bytes(r, &t->app_id, &has);
        break;
    case F_CRON:
        t->crontab = r->bytes;
        t->has_crontab = true;
        break;
    case F_DESCRIPTION:
        take_bytes(r, &t->description, &t->has_description);
        break;
    case F_PAYLOAD:
        take_bytes(r, &t->payload, &t->has_payload);
        break;
    case F_RETRY:
        take_bytes(r, &t->retry, &t->has_retry);
        break;
    case F_MODE:
        take_enum(r, &t->mode);
        break;
    case F_TAG:
        take_bytes(r, &t->tag, &t->has_tag);
        break;
    case F_OTHER_TRANSACTION:
        take_bytes(r, &unused, &t->has_other_transaction);
        break;
    case F_DEADLINE:
        take_number(r, &t->deadline, &t->has_deadline);
        break;
    default:
        break;
    }
}

bool task_request_read(struct bytes message, struct task_request *out)
{
    struct pb_reader r = PB_READER(message);

    *out = (struct task_request){.method = 2, .bytes = message};
    while (pb_next(&r))
        take_field(&r, out);
    return !r.bad && out->has_queue && out->has_name && out->has_eta;
}

bool task_request_header(struct bytes message, size_t *at, struct bytes *key,
                         struct bytes *value)
{
    enum { KEY = 7, VALUE = 8 };
    struct bytes rest = bytes_from(message, *at);
    struct pb_reader r = PB_READER(rest);

    while (pb_next(&r)) {
        if (r.field != F_HEADER || r.kind != PB_GROUP)
            continue;
        *at = (size_t)(r.at - bytes_u8(message));
        return pb_find_bytes(r.bytes, KEY, key) &&
               pb_find_bytes(r.bytes, VALUE, value);
    }
    return false;
}

const char *task_method_name(int32_t method)
{
    static const char *const names[] = {NULL,   "GET", "POST",
                                        "HEAD", "PUT", "DELETE"};

    if (method < 1 || method >= (int32_t)(sizeof(names) / sizeof(names[0])))
        return NULL;
    return names[method];
}
