/*
 * answer - a QueryResult taken apart, and queries run to their end.
 */
#ifndef TESTS_UNIT_ENGINE_ANSWER_H
#define TESTS_UNIT_ENGINE_ANSWER_H

#include "ask.h"
#include "bed.h"
#include "engine/query.h"

struct answer {
    struct bytes results[QUERY_BATCH_MAX]; /* EntityProto */
    struct bytes cursors[QUERY_BATCH_MAX]; /* CompiledCursor, with compile */
    int64_t versions[QUERY_BATCH_MAX];
    size_t n, n_cursors, n_versions;
    int64_t skipped;
    bool more, keys_only;
    bool has_handle, has_cursor, has_skipped_cursor;
    uint64_t handle;
    struct bytes cursor, skipped_cursor;
};

static inline void answer_bytes(const struct pb_reader *r, struct answer *out)
{
    struct pb_reader c = PB_READER(r->bytes);

    if (r->field == 2) {
        assert_true(out->n < QUERY_BATCH_MAX);
        out->results[out->n++] = r->bytes;
    } else if (r->field == 12) {
        out->cursors[out->n_cursors++] = r->bytes;
    } else if (r->field == 6) {
        out->has_cursor = true;
        out->cursor = r->bytes;
    } else if (r->field == 13) {
        out->has_skipped_cursor = true;
        out->skipped_cursor = r->bytes;
    } else if (r->field == 1) {
        assert_true(pb_next(&c) && c.field == 1);
        out->has_handle = true;
        out->handle = c.u64;
    }
}

/* Also holds the answer against what the SDKs check. */
static inline void answer_read(struct bytes in, struct answer *out)
{
    struct pb_reader r = PB_READER(in);
    bool has_more = false;

    *out = (struct answer){0};
    while (pb_next(&r)) {
        if (r.field == 3) {
            out->more = r.u64 != 0;
            has_more = true;
        } else if (r.field == 4) {
            out->keys_only = r.u64 != 0;
        } else if (r.field == 7) {
            out->skipped = (int64_t)r.u64;
        } else if (r.field == 11) {
            out->versions[out->n_versions++] = (int64_t)r.u64;
        } else {
            answer_bytes(&r, out);
        }
    }
    assert_false(r.bad);
    assert_true(has_more); /* required */
    assert_int_equal(out->more, out->has_handle);
}

static inline int answer_try(struct bed *b, bool auto_index, bool next,
                             struct bytes in, struct answer *out)
{
    struct query_env env = {.engine = b->engine, .auto_index = auto_index};
    struct buf bytes = BUF_IN(&b->arena);
    int rc = (next ? query_next : query_run)(&b->ctx, &env, in, &bytes);

    if (rc == 0)
        answer_read(buf_view(&bytes), out);
    else
        assert_int_equal(bytes.n, 0);
    return rc;
}

static inline struct bytes answer_next_request(struct arena *a, uint64_t handle,
                                               int count, bool compile)
{
    struct buf in = BUF_IN(a), cursor = BUF_IN(a);

    pb_put_fixed64(&cursor, 1, handle);
    pb_put_bytes(&cursor, 2, BYTES_LIT("shop"));
    pb_put_bytes(&in, 1, buf_view(&cursor));
    if (count >= 0)
        pb_put_u64(&in, 2, (uint64_t)count);
    if (compile)
        pb_put_u64(&in, 3, 1);
    return buf_view(&in);
}

static inline void answer_run(struct bed *b, struct bytes in,
                              struct answer *out)
{
    bed_ok(b, answer_try(b, true, false, in, out));
}

static inline void answer_next(struct bed *b, uint64_t handle, int count,
                               bool compile, struct answer *out)
{
    bed_ok(b, answer_try(b, true, true,
                         answer_next_request(&b->arena, handle, count, compile),
                         out));
}

/* "A1/Bbob": the path of a result's key. */
static inline void answer_put_path(struct bed *b, struct bytes path,
                                   struct buf *out)
{
    struct key_elem e;

    for (int i = 0; key_path_next(&b->arena, &path, &e); i++) {
        buf_add_str(out, i ? "/" : "");
        if (e.named)
            buf_add(out, e.name);
        else
            buf_printf(out, "%lld", (long long)e.id);
    }
}

static inline void answer_put_value(struct bytes pv, struct buf *out)
{
    struct value v;

    assert_true(value_read(pv, &v));
    if (v.tag == VALUE_INT64)
        buf_printf(out, "%lld", (long long)v.u64);
    else if (v.tag == VALUE_STRING)
        buf_printf(out, "'%.*s'", BYTES_FMT(v.bytes));
    else
        buf_add_str(out, v.tag == VALUE_NULL ? "null" : "?");
}

/* One result: its key, and of a projection "(a=1,b=2)". */
static inline void answer_put(struct bed *b, struct bytes entity, bool values,
                              struct buf *out)
{
    struct entity_walk w = ENTITY_WALK(entity);
    struct entity_prop p;
    struct bytes ref;
    int n = 0;

    assert_true(entity_key(entity, &ref));
    answer_put_path(b, bed_key(b, ref).path, out);
    if (!values)
        return;
    while (entity_next(&w, &p)) {
        buf_printf(out, "%s%.*s=", n++ ? "," : "(", BYTES_FMT(p.name));
        answer_put_value(p.value, out);
    }
    buf_add_str(out, n ? ")" : "");
}

static inline void answer_put_all(struct bed *b, const struct answer *a,
                                  bool values, struct buf *out)
{
    for (size_t i = 0; i < a->n; i++) {
        if (out->n)
            buf_add_u8(out, ' ');
        answer_put(b, a->results[i], values, out);
    }
}

/* All results of a query as one line, in batches of `batch` (0: its own). */
static inline const char *answer_all(struct bed *b, struct bytes in, int batch,
                                     bool values)
{
    struct buf out = BUF_IN(&b->arena);
    struct answer *a = ARENA_NEW(&b->arena, struct answer);

    for (answer_run(b, in, a);;
         answer_next(b, a->handle, batch ? batch : -1, false, a)) {
        answer_put_all(b, a, values, &out);
        if (!a->more)
            break;
    }
    return buf_cstr(&out);
}

#endif
