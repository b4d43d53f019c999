/*
 * bed - an engine over a fresh store, and puts and gets in one line.
 */
#ifndef TESTS_UNIT_ENGINE_BED_H
#define TESTS_UNIT_ENGINE_BED_H

#include "base/errinj.h"
#include "engine/engine.h"
#include "engine/limits.h"
#include "engine/txn.h"
#include "make.h"

struct bed {
    struct arena arena;
    struct ctx ctx;
    struct storage *storage;
    struct engine *engine;
    const char *backend;
    char path[8192];
};

#define bed_ok(bed_, rc_)                                                      \
    do {                                                                       \
        int bed_rc = (rc_);                                                    \
        if (bed_rc)                                                            \
            fail_msg("%s", ctx_err_text(&(bed_)->ctx, bed_rc));                \
    } while (0)

/* The sentence of an expected failure, which is then forgotten. */
#define bed_fails(bed_, rc_, code_, text_)                                     \
    do {                                                                       \
        assert_int_equal((rc_), (code_));                                      \
        assert_string_equal(ctx_err_text(&(bed_)->ctx, (code_)), (text_));     \
        ctx_err_clear(&(bed_)->ctx);                                           \
    } while (0)

static inline void bed_start(struct bed *b)
{
    struct storage_options o = {.backend = b->backend, .path = b->path};

    bed_ok(b, storage_open(&b->ctx, &o, &b->storage));
    bed_ok(b, engine_open(&b->ctx, b->storage, &b->engine));
}

static inline void bed_stop(struct bed *b)
{
    engine_close(b->engine);
    storage_close(b->storage);
}

static inline void bed_open(struct bed *b, const char *backend)
{
    static int n;

    memset(b, 0, sizeof(*b));
    b->backend = backend;
    ctx_init(&b->ctx, &b->arena);
    b->ctx.app = BYTES_LIT("shop");
    snprintf(b->path, sizeof(b->path), "%s/%d", test_dir(), n++);
    bed_start(b);
}

static inline void bed_close(struct bed *b)
{
    bed_stop(b);
    arena_release(&b->arena);
}

/* Run a body over every backend of the engine's tests. */
static inline void bed_each(void (*body)(struct bed *b))
{
    static const char *const backends[] = {"memory", "rocksdb"};

    for (size_t i = 0; i < sizeof(backends) / sizeof(*backends); i++) {
        struct bed b;

        bed_open(&b, backends[i]);
        body(&b);
        errinj_clear();
        limits_reset();
        bed_close(&b);
    }
}

#define ON_EACH_BACKEND(name_)                                                 \
    static void name_##_on(struct bed *b);                                     \
    static void name_(void **state)                                            \
    {                                                                          \
        bed_each(name_##_on);                                                  \
    }                                                                          \
    static void name_##_on(struct bed *b)

static inline struct key bed_key(struct bed *b, struct bytes ref)
{
    struct key key;

    bed_ok(b, key_parse(&b->ctx, ref, &key));
    return key;
}

/* An entity of one indexed property. */
static inline struct bytes bed_entity(struct bed *b, struct bytes ref,
                                      const char *name, struct bytes value)
{
    struct buf out = BUF_IN(&b->arena);

    make_entity(&out, ref);
    make_prop(&out, MAKE_PROP, name, 0, false, value);
    return buf_view(&out);
}

static inline int bed_write(struct bed *b, struct bytes ref,
                            struct bytes entity, int64_t *version)
{
    struct engine_mutation m = {.key = bed_key(b, ref), .entity = entity};
    struct engine_cost cost;
    int rc = engine_write(&b->ctx, b->engine, &m, 1, &cost);

    if (version)
        *version = m.version;
    return rc;
}

static inline int64_t bed_put(struct bed *b, struct bytes ref, int64_t value)
{
    int64_t version;

    bed_ok(b, bed_write(b, ref,
                        bed_entity(b, ref, "n", make_int(&b->arena, value)),
                        &version));
    return version;
}

static inline struct engine_found bed_get(struct bed *b, struct txn *txn,
                                          struct bytes ref)
{
    struct key key = bed_key(b, ref);
    struct engine_found found = {0};

    bed_ok(b, engine_get(&b->ctx, b->engine, txn, &key, 1, &found));
    return found;
}

/* The value of the property `n` of an entity bed_put() made; -1 when none. */
static inline int64_t bed_value(struct engine_found found)
{
    struct entity_walk w = ENTITY_WALK(found.entity);
    struct entity_prop p;
    struct value v;

    if (!found.found || !entity_next(&w, &p) || !value_read(p.value, &v))
        return -1;
    return (int64_t)v.u64;
}

/* How many rows a table of the default namespace has. */
static inline size_t bed_rows(struct bed *b, enum key_table table)
{
    struct bytes partition =
        key_partition(&b->arena, b->ctx.app, BYTES_NONE, table);
    struct storage_range all = STORAGE_ALL;
    struct storage_page page;

    bed_ok(b, storage_scan(&b->ctx, b->storage, partition, &all,
                           STORAGE_FORWARD, STORAGE_PAGE_ROWS, &page));
    return page.n;
}

#endif
