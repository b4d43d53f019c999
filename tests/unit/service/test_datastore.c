#include "datastore_v3.pb.h"
#include "entity.pb.h"
#include "service/datastore/datastore.h"

#include "../engine/bed.h"

/* Requests as an SDK sends them, answers as upb reads them. */

static struct service_env env;

static void with_env(struct bed *b)
{
    wire_init();
    env = (struct service_env){.engine = b->engine};
    b->ctx.env = &env;
}

typedef int handler(struct ctx *ctx, struct bytes in, struct buf *out);

/* Call and expect success. */
static struct bytes call(struct bed *b, handler *h, const struct buf *in)
{
    struct buf out = BUF_IN(&b->arena);

    b->ctx.env = &env;
    bed_ok(b, h(&b->ctx, buf_view(in), &out));
    return buf_view(&out);
}

static int call_code(struct bed *b, handler *h, const struct buf *in)
{
    struct buf out = BUF_IN(&b->arena);

    return h(&b->ctx, buf_view(in), &out);
}

static const struct datastore_v3_PutResponse *put_entity(struct bed *b,
                                                         struct bytes entity)
{
    struct buf in = BUF_IN(&b->arena);
    const struct datastore_v3_PutResponse *r;

    pb_put_bytes(&in, 1, entity);
    r = datastore_v3_PutResponse_decode(&b->ctx, call(b, datastore_put, &in));
    assert_non_null(r);
    return r;
}

static const struct datastore_v3_GetResponse *
get_keys(struct bed *b, const struct bytes *refs, size_t n, bool deferred)
{
    struct buf in = BUF_IN(&b->arena);
    const struct datastore_v3_GetResponse *r;

    for (size_t i = 0; i < n; i++)
        pb_put_bytes(&in, 1, refs[i]);
    if (deferred)
        pb_put_u64(&in, 5, true);
    r = datastore_v3_GetResponse_decode(&b->ctx, call(b, datastore_get, &in));
    assert_non_null(r);
    return r;
}

static void a_new_entity_gets_its_id_and_its_group(void **state)
{
    const struct datastore_v3_GetResponse *got;
    const struct datastore_v3_PutResponse *put;
    const struct entity_EntityProto *e;
    struct bytes ref;
    struct bed b;

    bed_open(&b, "memory");
    with_env(&b);
    put = put_entity(&b, bed_entity(&b, make_ref(&b.arena, {"K"}), "n",
                                    make_int(&b.arena, 3)));
    assert_int_equal(datastore_v3_PutResponse_n_key(put), 1);
    assert_int_equal(datastore_v3_PutResponse_n_version(put), 1);
    assert_int_equal(
        datastore_v3_Cost_index_writes(datastore_v3_PutResponse_cost(put)), 3);
    bed_ok(&b, entity_Reference_encode(
                   &b.ctx, datastore_v3_PutResponse_key(put, 0), &ref));
    got = get_keys(&b, &ref, 1, false);
    e = datastore_v3_GetResponse_Entity_entity(
        datastore_v3_GetResponse_entity(got, 0));
    assert_int_equal(entity_EntityProto_n_property(e), 1);
    assert_int_equal(entity_Path_n_element(entity_EntityProto_entity_group(e)),
                     1);
    assert_true(entity_Path_Element_id(entity_Path_element(
                    entity_EntityProto_entity_group(e), 0)) ==
                INT64_C(5629499534213120));
    assert_int_equal(datastore_v3_GetResponse_Entity_version(
                         datastore_v3_GetResponse_entity(got, 0)),
                     datastore_v3_PutResponse_version(put, 0));
    bed_close(&b);
}

static void unknown_fields_and_order_survive(void **state)
{
    struct bytes ref;
    struct buf e;
    struct bed b;

    bed_open(&b, "memory");
    with_env(&b);
    ref = make_ref(&b.arena, {"K", 1});
    e = (struct buf)BUF_IN(&b.arena);
    pb_put_bytes(&e, 16, BYTES_LIT("")); /* before the key, and empty */
    make_prop(&e, MAKE_RAW, "z", MEANING_TEXT, false, make_str(&b.arena, "t"));
    pb_put_bytes(&e, 13, ref);
    pb_put_u64(&e, 4, 2);
    make_prop(&e, MAKE_PROP, "a", 0, false, make_int(&b.arena, 1));
    pb_put_bytes(&e, 999, BYTES_LIT("unknown"));
    put_entity(&b, buf_view(&e));
    struct engine_found found = bed_get(&b, NULL, ref);
    struct pb_reader r = PB_READER(found.entity);
    const uint32_t order[] = {16, 15, 13, 4, 14, 999};
    for (size_t i = 0; i < 6; i++) {
        assert_true(pb_next(&r));
        assert_int_equal(r.field, order[i]);
    }
    assert_false(pb_next(&r));
    bed_close(&b);
}

static void a_user_of_go_can_be_read_by_python(void **state)
{
    const struct datastore_v3_GetResponse *got;
    const struct entity_PropertyValue *v;
    struct bytes ref;
    struct bed b;

    bed_open(&b, "memory");
    with_env(&b);
    ref = make_ref(&b.arena, {"K", 1});
    put_entity(
        &b, bed_entity(&b, ref, "u", make_user(&b.arena, "Foo@x.com", NULL)));
    /* the decoder insists on gaiaid, as Python's does */
    got = get_keys(&b, &ref, 1, false);
    v = entity_Property_value(entity_EntityProto_property(
        datastore_v3_GetResponse_Entity_entity(
            datastore_v3_GetResponse_entity(got, 0)),
        0));
    assert_bytes(entity_PropertyValue_UserValue_obfuscated_gaiaid(
                     entity_PropertyValue_uservalue(v)),
                 BYTES_LIT("161137545911123125601"));
    bed_close(&b);
}

static void missing_entities_have_their_key_and_duplicates_repeat(void **state)
{
    const struct datastore_v3_GetResponse *got;
    struct bytes refs[3];
    struct bed b;

    bed_open(&b, "memory");
    with_env(&b);
    refs[0] = refs[2] = make_ref(&b.arena, {"K", 1});
    refs[1] = make_ref(&b.arena, {"K", 2});
    bed_put(&b, refs[0], 7);
    got = get_keys(&b, refs, 3, true);
    assert_int_equal(datastore_v3_GetResponse_n_entity(got), 3);
    assert_true(datastore_v3_GetResponse_in_order(got));
    for (size_t i = 0; i < 3; i++) {
        const struct datastore_v3_GetResponse_Entity *e =
            datastore_v3_GetResponse_entity(got, i);

        assert_int_equal(datastore_v3_GetResponse_Entity_has_entity(e), i != 1);
        assert_int_equal(datastore_v3_GetResponse_Entity_has_key(e), i == 1);
        assert_true(datastore_v3_GetResponse_Entity_has_version(e));
    }
    bed_close(&b);
}

static void many_keys_are_answered_in_part_when_that_is_allowed(void **state)
{
    enum { N = 400 };
    const struct datastore_v3_GetResponse *got;
    static struct bytes refs[N];
    struct bed b;

    bed_open(&b, "memory");
    with_env(&b);
    for (int i = 0; i < N; i++)
        refs[i] = make_ref(&b.arena, {"K", i + 1});
    got = get_keys(&b, refs, N, false);
    assert_int_equal(datastore_v3_GetResponse_n_entity(got), N);
    got = get_keys(&b, refs, N, true);
    assert_int_equal(datastore_v3_GetResponse_n_entity(got), 300);
    assert_int_equal(datastore_v3_GetResponse_n_deferred(got), 100);
    assert_false(datastore_v3_GetResponse_in_order(got));
    bed_close(&b);
}

/* ---- refusals ---- */

/* Put of an entity with one property; what the answer complains of. */
static void refused(struct bed *b, uint32_t field, const char *name,
                    int meaning, struct bytes value, enum err_code code,
                    const char *want)
{
    struct buf in = BUF_IN(&b->arena), e = BUF_IN(&b->arena);

    make_entity(&e, make_ref(&b->arena, {"K", 1}));
    make_prop(&e, field, name, meaning, false, value);
    pb_put_bytes(&in, 1, buf_view(&e));
    bed_fails(b, call_code(b, datastore_put, &in), code, want);
    assert_false(bed_get(b, NULL, make_ref(&b->arena, {"K", 1})).found);
}

static struct bytes long_string(struct bed *b, size_t n)
{
    char *s = arena_alloc(&b->arena, n);

    memset(s, 'x', n);
    return make_bytes(&b->arena, BYTES(s, n));
}

static void bad_properties_are_refused_in_the_words_of_the_stub(void **state)
{
    struct bed b;

    bed_open(&b, "memory");
    with_env(&b);
    struct arena *a = &b.arena;
    struct buf two = BUF_IN(a);
    buf_add(&two, make_int(a, 1));
    buf_add(&two, make_str(a, "x"));
    const struct {
        uint32_t field;
        const char *name;
        int meaning;
        struct bytes value;
        const char *want;
    } cases[] = {
        {MAKE_PROP, "__x__", 0, make_int(a, 1),
         "cannot store entity with reserved property name '__x__'"},
        {MAKE_PROP, "", 0, make_int(a, 1),
         "The property name is the empty string."},
        {MAKE_PROP, "p", MEANING_TEXT, make_str(a, "x"),
         "BLOB, ENITY_PROTO or TEXT property p must be in a raw_property "
         "field"},
        {MAKE_RAW, "p", MEANING_BLOB, make_int(a, 1),
         "BLOB / ENTITY_PROTO / TEXT raw property pmust have a string value"},
        {MAKE_PROP, "p", 0, long_string(&b, 1501),
         "Property p is too long. Maximum length is 1500."},
        {MAKE_PROP, "p", MEANING_ATOM_LINK, long_string(&b, 2084),
         "Property p is too long. Maximum length is 2083."},
        {MAKE_RAW, "p", MEANING_BLOB, long_string(&b, 1048488),
         "Property p is too long. Maximum length is 1048487."},
        {MAKE_PROP, "p", 0, buf_view(&two),
         "PropertyValue for p has multiple value fields set"},
        {MAKE_PROP, "p", 0, make_str(a, "\xff"),
         "String property \"p\" value is not valid UTF-8."},
        {MAKE_RAW, "p", 0, make_str(a, "\xff"),
         "String property \"p\" value is not valid UTF-8."},
        {MAKE_PROP, "p", MEANING_INDEX_VALUE, make_int(a, 1),
         "Entities with incomplete properties cannot be written."},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        refused(&b, cases[i].field, cases[i].name, cases[i].meaning,
                cases[i].value, ERR_INVALID, cases[i].want);
    /* at the limits, and where the meaning allows any bytes */
    struct buf e = BUF_IN(a);
    make_entity(&e, make_ref(a, {"K", 1}));
    make_prop(&e, MAKE_PROP, "p", 0, false, long_string(&b, 1500));
    make_prop(&e, MAKE_PROP, "l", MEANING_ATOM_LINK, false,
              long_string(&b, 2083));
    make_prop(&e, MAKE_PROP, "b", MEANING_BYTESTRING, false,
              make_str(a, "\xff"));
    make_prop(&e, MAKE_RAW, "t", MEANING_TEXT, false, make_str(a, "\xff"));
    put_entity(&b, buf_view(&e));
    bed_close(&b);
}

/* A property of meaning ENTITY_PROTO holding one property. */
static struct bytes embedded(struct bed *b, uint32_t field, const char *name,
                             int meaning, struct bytes value)
{
    struct buf e = BUF_IN(&b->arena);

    make_prop(&e, field, name, meaning, false, value);
    return make_bytes(&b->arena, buf_view(&e));
}

static void an_indexed_embedded_entity_obeys_the_rules_inside(void **state)
{
    struct bed b;

    bed_open(&b, "memory");
    with_env(&b);
    struct arena *a = &b.arena;
    struct bytes deep = make_int(a, 1);
    int meaning = 0;
    for (int i = 0; i <= ENTITY_NESTING_MAX + 1; i++) {
        deep = embedded(&b, MAKE_PROP, "p", meaning, deep);
        meaning = MEANING_ENTITY_PROTO;
    }
    const char *bad = "An embedded entity in an indexed property is malformed "
                      "or nested more than 20 deep.";
    const struct {
        struct bytes value;
        const char *want;
    } cases[] = {
        {make_int(a, 1),
         "BLOB / ENTITY_PROTO / TEXT raw property pmust have a string value"},
        {make_str(a, "\xff"), bad},
        {deep, bad},
        {embedded(&b, MAKE_PROP, "q", 0, long_string(&b, 1501)),
         "Property p.q is too long. Maximum length is 1500."},
        {embedded(&b, MAKE_PROP, "q", MEANING_TEXT, make_str(a, "x")),
         "BLOB, ENITY_PROTO or TEXT property p.q must be in a raw_property "
         "field"},
        {embedded(&b, MAKE_PROP, "q", 0, make_str(a, "\xff")),
         "String property \"p.q\" value is not valid UTF-8."},
        {embedded(&b, MAKE_PROP, "q", MEANING_INDEX_VALUE, make_int(a, 1)),
         "Entities with incomplete properties cannot be written."},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        refused(&b, MAKE_PROP, "p", MEANING_ENTITY_PROTO, cases[i].value,
                ERR_INVALID, cases[i].want);
    /* what is not indexed is nobody's business, and may be long */
    struct buf e = BUF_IN(a);
    make_entity(&e, make_ref(a, {"K", 1}));
    make_prop(&e, MAKE_RAW, "r", MEANING_ENTITY_PROTO, false,
              make_str(a, "\xff"));
    make_prop(
        &e, MAKE_PROP, "p", MEANING_ENTITY_PROTO, false,
        embedded(&b, MAKE_RAW, "q", MEANING_TEXT, long_string(&b, 100000)));
    put_entity(&b, buf_view(&e));
    bed_close(&b);
}

static void an_entity_that_is_too_large_is_refused(void **state)
{
    struct buf in, e;
    struct bed b;

    bed_open(&b, "memory");
    with_env(&b);
    in = e = (struct buf)BUF_IN(&b.arena);
    make_entity(&e, make_ref(&b.arena, {"K", 1}));
    make_prop(&e, MAKE_RAW, "x", 0, false, long_string(&b, 600000));
    make_prop(&e, MAKE_RAW, "y", 0, false, long_string(&b, 600000));
    pb_put_bytes(&in, 1, buf_view(&e));
    assert_int_equal(call_code(&b, datastore_put, &in), ERR_TOO_LARGE);
    bed_close(&b);
}

static void one_bad_entity_stops_the_whole_put(void **state)
{
    struct bytes good;
    struct buf in;
    struct bed b;

    bed_open(&b, "memory");
    with_env(&b);
    in = (struct buf)BUF_IN(&b.arena);
    good = make_ref(&b.arena, {"K", 1});
    pb_put_bytes(&in, 1, bed_entity(&b, good, "n", make_int(&b.arena, 1)));
    pb_put_bytes(&in, 1,
                 bed_entity(&b, make_ref(&b.arena, {"__K__", 1}), "n",
                            make_int(&b.arena, 1)));
    bed_fails(&b, call_code(&b, datastore_put, &in), ERR_INVALID,
              "The key path element kind \"__K__\" is reserved.");
    assert_false(bed_get(&b, NULL, good).found);
    bed_close(&b);
}

static void garbage_is_refused(void **state)
{
    handler *const all[] = {
        datastore_get,          datastore_put,
        datastore_delete,       datastore_allocate_ids,
        datastore_commit,       datastore_begin_transaction,
        datastore_rollback,     datastore_get_indices,
        datastore_create_index, datastore_update_index,
        datastore_delete_index, datastore_run_query,
        datastore_next,
    };
    struct bed b;
    struct buf in;

    bed_open(&b, "memory");
    with_env(&b);
    in = (struct buf)BUF_IN(&b.arena);
    buf_add_str(&in, "\x0a\x7f");
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        assert_int_equal(call_code(&b, all[i], &in), ERR_MALFORMED);
        ctx_err_clear(&b.ctx);
    }
    bed_close(&b);
}

/* A request of `n` keys or entities in field `field`. */
static struct buf many(struct bed *b, uint32_t field, int n)
{
    struct buf in = BUF_IN(&b->arena);

    for (int i = 1; i <= n; i++) {
        struct bytes ref = make_ref(&b->arena, {"K", i});

        pb_put_bytes(&in, field,
                     field == 1 && n <= 501
                         ? bed_entity(b, ref, "n", make_int(&b->arena, i))
                         : ref);
    }
    return in;
}

static void a_call_has_so_many_keys_and_no_more(void **state)
{
    struct buf in;
    struct bed b;

    bed_open(&b, "memory");
    with_env(&b);
    in = many(&b, 1, 501);
    bed_fails(&b, call_code(&b, datastore_put, &in), ERR_INVALID,
              "cannot write more than 500 entities in a single call");
    assert_int_equal(bed_rows(&b, KEY_ENTITIES), 0);
    in = many(&b, 1, 500);
    call(&b, datastore_put, &in);
    in = many(&b, 6, 501);
    bed_fails(&b, call_code(&b, datastore_delete, &in), ERR_INVALID,
              "cannot write more than 500 entities in a single call");
    assert_int_equal(bed_rows(&b, KEY_ENTITIES), 500);
    in = many(&b, 6, 500);
    call(&b, datastore_delete, &in);
    assert_int_equal(bed_rows(&b, KEY_ENTITIES), 0);
    in = many(&b, 1, 1001);
    bed_fails(&b, call_code(&b, datastore_get, &in), ERR_INVALID,
              "cannot get more than 1000 keys in a single call");
    in = many(&b, 1, 1000);
    call(&b, datastore_get, &in);
    bed_close(&b);
}

/* ---- transactions and ids over the wire ---- */

static struct bytes txn_message(struct bed *b, uint64_t handle)
{
    struct buf t = BUF_IN(&b->arena);

    pb_put_fixed64(&t, 1, handle);
    pb_put_bytes(&t, 2, BYTES_LIT("s~shop"));
    return buf_view(&t);
}

static uint64_t begin(struct bed *b)
{
    const struct datastore_v3_Transaction *t;
    struct buf in = BUF_IN(&b->arena);

    pb_put_bytes(&in, 1, BYTES_LIT("s~shop"));
    pb_put_u64(&in, 5, 2);
    t = datastore_v3_Transaction_decode(
        &b->ctx, call(b, datastore_begin_transaction, &in));
    assert_non_null(t);
    assert_bytes(datastore_v3_Transaction_app(t), BYTES_LIT("s~shop"));
    return datastore_v3_Transaction_handle(t);
}

static void a_commit_tells_the_version_of_each_key(void **state)
{
    const struct datastore_v3_CommitResponse *done;
    const struct datastore_v3_PutResponse *put;
    struct buf in, txn;
    uint64_t handle;
    struct bed b;

    bed_open(&b, "memory");
    with_env(&b);
    handle = begin(&b);
    in = txn = (struct buf)BUF_IN(&b.arena);
    pb_put_bytes(
        &in, 1,
        bed_entity(&b, make_ref(&b.arena, {"K"}), "n", make_int(&b.arena, 1)));
    pb_put_bytes(&in, 2, txn_message(&b, handle));
    put = datastore_v3_PutResponse_decode(&b.ctx, call(&b, datastore_put, &in));
    assert_int_equal(datastore_v3_PutResponse_n_key(put), 1);
    assert_int_equal(datastore_v3_PutResponse_n_version(put), 0);
    assert_int_equal(bed_rows(&b, KEY_ENTITIES), 0);
    buf_add(&txn, txn_message(&b, handle));
    done = datastore_v3_CommitResponse_decode(&b.ctx,
                                              call(&b, datastore_commit, &txn));
    assert_int_equal(datastore_v3_CommitResponse_n_version(done), 1);
    assert_int_equal(bed_rows(&b, KEY_ENTITIES), 1);
    assert_int_equal(call_code(&b, datastore_rollback, &txn), ERR_INVALID);
    bed_close(&b);
}

static void ids_are_allocated_in_three_ways(void **state)
{
    const struct {
        int64_t size, max; /* -1: absent */
        bool model;
        int64_t reserve;
        const char *error;
        int64_t start, end;
    } cases[] = {
        {40, -1, true, 0, NULL, 1, 40},
        {-1, 1000, true, 0, NULL, 41, 1000},
        {-1, 1000, true, 0, NULL, 1001, 1000},
        {0, -1, true, 0, NULL, 1001, 1000},
        {-1, -1, false, 5000, NULL, 0, 0},
        {1, -1, true, 0, NULL, 5001, 5001},
        {1, 1, true, 0, "Both size and max cannot be set.", 0, 0},
        {-2, -1, true, 0, "Size must be greater than 0.", 0, 0},
        {-1, -2, true, 0, "Max must be greater than or equal to 0.", 0, 0},
        {1000000001, -1, true, 0,
         "cannot get more than 1000000000 keys in a single call", 0, 0},
        {-1, -1, true, 9, "Cannot allocate and reserve IDs in the same request",
         0, 0},
        {1, -1, false, 9, "Cannot specify size when reserving IDs", 0, 0},
        {-1, 1, false, 9, "Cannot specify max when reserving IDs", 0, 0},
    };
    struct bed b;

    bed_open(&b, "memory");
    with_env(&b);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct datastore_v3_AllocateIdsResponse *r;
        struct buf in = BUF_IN(&b.arena);

        if (cases[i].model)
            pb_put_bytes(&in, 1, make_ref(&b.arena, {"K", 0, "ignored"}));
        if (cases[i].size != -1)
            pb_put_u64(&in, 2, (uint64_t)cases[i].size);
        if (cases[i].max != -1)
            pb_put_u64(&in, 3, (uint64_t)cases[i].max);
        if (cases[i].reserve)
            pb_put_bytes(&in, 5, make_ref(&b.arena, {"K", cases[i].reserve}));
        if (cases[i].error) {
            bed_fails(&b, call_code(&b, datastore_allocate_ids, &in),
                      ERR_INVALID, cases[i].error);
            continue;
        }
        r = datastore_v3_AllocateIdsResponse_decode(
            &b.ctx, call(&b, datastore_allocate_ids, &in));
        assert_int_equal(datastore_v3_AllocateIdsResponse_start(r),
                         cases[i].start);
        assert_int_equal(datastore_v3_AllocateIdsResponse_end(r), cases[i].end);
    }
    bed_close(&b);
}

/* ---- indexes over the wire ---- */

static struct bytes index_message(struct bed *b, int64_t id,
                                  enum index_state state)
{
    struct index_column n = {BYTES_LIT("n"), true};
    struct index_def def = {.id = id,
                            .kind = BYTES_LIT("K"),
                            .state = state,
                            .columns = &n,
                            .n = 1};
    struct buf out = BUF_IN(&b->arena);

    index_def_message(&out, BYTES_LIT("s~shop"), &def);
    return buf_view(&out);
}

static void indexes_are_made_listed_and_deleted(void **state)
{
    const struct datastore_v3_CompositeIndices *list;
    struct buf in, get;
    struct bed b;

    bed_open(&b, "memory");
    with_env(&b);
    in = get = (struct buf)BUF_IN(&b.arena);
    buf_add(&in, index_message(&b, 5, INDEX_READ_WRITE));
    bed_fails(&b, call_code(&b, datastore_create_index, &in), ERR_INVALID,
              "New index id must be 0.");
    in.n = 0;
    buf_add(&in, index_message(&b, 0, INDEX_READ_WRITE));
    call(&b, datastore_create_index, &in);
    bed_fails(&b, call_code(&b, datastore_create_index, &in), ERR_EXISTS,
              "Index already exists.");
    pb_put_bytes(&get, 1, BYTES_LIT("s~shop"));
    list = datastore_v3_CompositeIndices_decode(
        &b.ctx, call(&b, datastore_get_indices, &get));
    assert_int_equal(datastore_v3_CompositeIndices_n_index(list), 1);
    assert_int_equal(entity_CompositeIndex_state(
                         datastore_v3_CompositeIndices_index(list, 0)),
                     INDEX_READ_WRITE);
    in.n = 0;
    buf_add(&in, index_message(&b, 1, INDEX_WRITE_ONLY));
    bed_fails(&b, call_code(&b, datastore_update_index, &in), ERR_INVALID,
              "cannot move index state from 2 to 1");
    call(&b, datastore_delete_index, &in);
    bed_fails(&b, call_code(&b, datastore_delete_index, &in), ERR_NOT_FOUND,
              "Index does not exist.");
    bed_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_entity_gets_its_id_and_its_group),
        cmocka_unit_test(unknown_fields_and_order_survive),
        cmocka_unit_test(a_user_of_go_can_be_read_by_python),
        cmocka_unit_test(missing_entities_have_their_key_and_duplicates_repeat),
        cmocka_unit_test(many_keys_are_answered_in_part_when_that_is_allowed),
        cmocka_unit_test(bad_properties_are_refused_in_the_words_of_the_stub),
        cmocka_unit_test(an_indexed_embedded_entity_obeys_the_rules_inside),
        cmocka_unit_test(an_entity_that_is_too_large_is_refused),
        cmocka_unit_test(one_bad_entity_stops_the_whole_put),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(a_call_has_so_many_keys_and_no_more),
        cmocka_unit_test(a_commit_tells_the_version_of_each_key),
        cmocka_unit_test(ids_are_allocated_in_three_ways),
        cmocka_unit_test(indexes_are_made_listed_and_deleted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
