/*
 * Whole messages: the generated accessors over upb.
 */
#include "test.h"

#include "datastore_v3.pb.h"
#include "memcache.pb.h"
#include "wire_samples.h"

struct fixture {
    struct arena arena;
    struct ctx ctx;
    struct buf entity; /* wire_samples.h's */
};

static int setup(void **state)
{
    static struct fixture f;

    f = (struct fixture){0};
    wire_init();
    ctx_init(&f.ctx, &f.arena);
    sample_entity(&f.entity);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    buf_release(&f->entity);
    arena_release(&f->arena);
    return 0;
}

static void a_message_survives_encode_and_decode(void **state)
{
    struct ctx *ctx = &((struct fixture *)*state)->ctx;
    struct datastore_v3_Query *q = datastore_v3_Query_new(ctx);
    struct bytes out;

    datastore_v3_Query_set_app(q, BYTES_LIT("a"));
    datastore_v3_Query_set_kind(q, BYTES_LIT("k\0k"));
    datastore_v3_Query_set_limit(q, -1);
    datastore_v3_Query_set_keys_only(q, true);
    datastore_v3_Query_add_property_name(ctx, q, BYTES_LIT("p"));
    datastore_v3_Query_add_property_name(ctx, q, BYTES_LIT(""));
    assert_int_equal(datastore_v3_Query_encode(ctx, q, &out), 0);
    q = datastore_v3_Query_decode(ctx, out);
    assert_non_null(q);
    assert_bytes(datastore_v3_Query_app(q), BYTES_LIT("a"));
    assert_bytes(datastore_v3_Query_kind(q), BYTES_LIT("k\0k"));
    assert_int_equal(datastore_v3_Query_limit(q), -1);
    assert_true(datastore_v3_Query_keys_only(q));
    assert_int_equal(datastore_v3_Query_n_property_name(q), 2);
    assert_bytes(datastore_v3_Query_property_name(q, 0), BYTES_LIT("p"));
}

static void an_absent_field_reads_as_its_default(void **state)
{
    struct ctx *ctx = &((struct fixture *)*state)->ctx;
    struct datastore_v3_Query *q = datastore_v3_Query_new(ctx);
    struct memcache_MemcacheIncrementRequest *m =
        memcache_MemcacheIncrementRequest_new(ctx);

    assert_false(datastore_v3_Query_has_offset(q));
    assert_int_equal(datastore_v3_Query_offset(q), 0);
    assert_true(datastore_v3_Query_persist_offset(q));
    assert_int_equal(datastore_v3_Query_n_filter(q), 0);
    assert_null(datastore_v3_Query_ancestor(q));
    assert_int_equal(memcache_MemcacheIncrementRequest_delta(m), 1);
    assert_int_equal(memcache_MemcacheIncrementRequest_direction(m),
                     memcache_MemcacheIncrementRequest_INCREMENT);
    datastore_v3_Query_set_offset(q, 0);
    assert_true(datastore_v3_Query_has_offset(q));
    datastore_v3_Query_clear_offset(q);
    assert_false(datastore_v3_Query_has_offset(q));
}

static void groups_are_messages(void **state)
{
    struct fixture *f = *state;
    const struct entity_EntityProto *e;
    const struct entity_Path_Element *first;
    const struct entity_PropertyValue_PointValue *point;

    e = entity_EntityProto_decode(&f->ctx, buf_view(&f->entity));
    assert_non_null(e);
    first = entity_Path_element(
        entity_Reference_path(entity_EntityProto_key(e)), 0);
    assert_bytes(entity_Path_Element_type(first), BYTES_LIT("Kind"));
    assert_int_equal(entity_Path_Element_id(first), 1234567890123);
    assert_false(entity_Path_Element_has_name(first));
    point = entity_PropertyValue_pointvalue(
        entity_Property_value(entity_EntityProto_property(e, 0)));
    assert_true(entity_PropertyValue_PointValue_x(point) == 1.5);
    assert_true(entity_PropertyValue_PointValue_y(point) == -2.5);
}

static void unknown_fields_survive(void **state)
{
    struct fixture *f = *state;
    struct entity_EntityProto *e =
        entity_EntityProto_decode(&f->ctx, buf_view(&f->entity));
    struct bytes out, future;
    struct pb_reader r;
    bool group = false;

    assert_non_null(e);
    assert_int_equal(entity_EntityProto_encode(&f->ctx, e, &out), 0);
    assert_true(pb_find_bytes(out, 900, &future));
    assert_bytes(future, BYTES_LIT("from the future"));
    r = (struct pb_reader)PB_READER(out);
    while (pb_next(&r))
        group = group || (r.field == 901 && r.kind == PB_GROUP);
    assert_false(r.bad);
    assert_true(group);
}

static void another_wire_type_makes_a_field_unknown(void **state)
{
    struct ctx *ctx = &((struct fixture *)*state)->ctx;
    struct buf in = BUF_IN(ctx->arena);
    const struct datastore_v3_GetRequest *get;

    /* Go's header stands where Python has read_time_epoch_micros. */
    pb_put_bytes(&in, 6, BYTES_LIT("\x0a\x01q"));
    get = datastore_v3_GetRequest_decode(ctx, buf_view(&in));
    assert_non_null(get);
    assert_false(datastore_v3_GetRequest_has_read_time_epoch_micros(get));
}

static void a_string_points_into_the_input(void **state)
{
    struct ctx *ctx = &((struct fixture *)*state)->ctx;
    static const uint8_t in[] = {0x0a, 2, 'a', 'b'};
    const struct datastore_v3_Query *q =
        datastore_v3_Query_decode(ctx, BYTES(in, sizeof(in)));

    assert_non_null(q);
    assert_ptr_equal(datastore_v3_Query_app(q).p, in + 2);
}

static void a_missing_required_field_is_named_an_error(void **state)
{
    struct ctx *ctx = &((struct fixture *)*state)->ctx;
    struct datastore_v3_QueryResult *r = datastore_v3_QueryResult_new(ctx);
    struct bytes out;

    assert_null(datastore_v3_Query_decode(ctx, BYTES_NONE));
    assert_int_equal(ctx->err.code, ERR_INVALID);
    assert_non_null(strstr(ctx->err.message, "Query"));
    ctx_err_clear(ctx);
    assert_int_equal(datastore_v3_QueryResult_encode(ctx, r, &out),
                     ERR_INTERNAL);
}

/* A Query with groups within groups, of a number that no schema knows. */
static struct bytes nested(struct arena *a, int depth)
{
    struct buf b = BUF_IN(a);

    pb_put_bytes(&b, 1, BYTES_LIT("app"));
    for (int i = 0; i < depth; i++)
        pb_put_tag(&b, 999, PB_GROUP);
    for (int i = 0; i < depth; i++)
        pb_put_tag(&b, 999, PB_END_GROUP);
    return buf_view(&b);
}

static void nesting_has_an_end(void **state)
{
    struct ctx *ctx = &((struct fixture *)*state)->ctx;

    assert_non_null(datastore_v3_Query_decode(ctx, nested(ctx->arena, 50)));
    assert_null(datastore_v3_Query_decode(ctx, nested(ctx->arena, 100000)));
    assert_int_equal(ctx->err.code, ERR_INVALID);
}

/* Whether the first `n` bytes end between two fields of the top level. */
static bool ends_whole(struct bytes in, size_t n)
{
    struct pb_reader r = PB_READER(BYTES(in.p, n));

    while (pb_next(&r)) {
    }
    return !r.bad;
}

static void cut_anywhere_it_is_refused_or_whole(void **state)
{
    struct fixture *f = *state;
    struct bytes in = buf_view(&f->entity);

    for (size_t n = 0; n < in.n; n++) {
        /* A copy of exactly n bytes: reading past it is seen. */
        uint8_t *cut = malloc(n ? n : 1);
        struct arena arena = ARENA_INIT;
        const void *m;
        struct ctx ctx;

        memcpy(cut, in.p, n);
        ctx_init(&ctx, &arena);
        m = entity_EntityProto_decode(&ctx, BYTES(cut, n));
        if (m && !ends_whole(in, n))
            fail_msg("cut after %zu of %zu bytes it decodes", n, in.n);
        if (!m)
            assert_int_equal(ctx.err.code, ERR_INVALID);
        arena_release(&arena);
        free(cut);
    }
}

static void random_changes_never_crash(void **state)
{
    struct fixture *f = *state;
    unsigned seed = 20261122;
    struct bytes in = buf_view(&f->entity);

    for (int i = 0; i < 20000; i++) {
        struct arena arena = ARENA_INIT;
        struct entity_EntityProto *e;
        struct bytes out;
        struct ctx ctx;
        uint8_t *p;

        ctx_init(&ctx, &arena);
        p = arena_alloc(&arena, in.n);
        memcpy(p, in.p, in.n);
        for (int k = rand_r(&seed) % 4; k >= 0; k--)
            p[(size_t)rand_r(&seed) % in.n] = (uint8_t)rand_r(&seed);
        e = entity_EntityProto_decode(&ctx, BYTES(p, in.n));
        if (e)
            assert_int_equal(entity_EntityProto_encode(&ctx, e, &out), 0);
        else
            assert_int_equal(ctx.err.code, ERR_INVALID);
        arena_release(&arena);
    }
}

static void every_type_has_its_name(void **state)
{
    assert_string_equal(wire_type_name(WIRE_datastore_v3_Query),
                        "datastore_v3.Query");
    assert_string_equal(wire_type_name(WIRE_entity_Path_Element),
                        "entity.Path.Element");
}

int main(void)
{
#define TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_message_survives_encode_and_decode),
        TEST(an_absent_field_reads_as_its_default),
        TEST(groups_are_messages),
        TEST(unknown_fields_survive),
        TEST(another_wire_type_makes_a_field_unknown),
        TEST(a_string_points_into_the_input),
        TEST(a_missing_required_field_is_named_an_error),
        TEST(nesting_has_an_end),
        TEST(cut_anywhere_it_is_refused_or_whole),
        TEST(random_changes_never_crash),
        TEST(every_type_has_its_name),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
