#include "bed.h"
#include "engine/engine_int.h"

#include <pthread.h>
#include <stdatomic.h>

ON_EACH_BACKEND(what_is_put_can_be_got_and_deleted)
{
    struct bytes ref = make_ref(&b->arena, {"K", 1});
    int64_t v1 = bed_put(b, ref, 7), v2;
    struct engine_found found = bed_get(b, NULL, ref);

    assert_true(found.found);
    assert_int_equal(found.version, v1);
    assert_bytes(found.entity, bed_entity(b, ref, "n", make_int(&b->arena, 7)));
    bed_ok(b, bed_write(b, ref, BYTES_NONE, &v2));
    assert_true(v2 > v1);
    found = bed_get(b, NULL, ref);
    assert_false(found.found);
    assert_true(found.version >= v2);
    assert_int_equal(bed_rows(b, KEY_ENTITIES), 0);
    assert_int_equal(bed_rows(b, KEY_KINDS), 0);
    assert_int_equal(bed_rows(b, KEY_PROPERTIES), 0);
}

ON_EACH_BACKEND(putting_the_same_entity_keeps_its_version)
{
    struct bytes ref = make_ref(&b->arena, {"K", 1});
    int64_t v = bed_put(b, ref, 7);

    assert_int_equal(bed_put(b, ref, 7), v);
    assert_true(bed_put(b, ref, 8) > v);
}

ON_EACH_BACKEND(index_rows_follow_the_entity)
{
    struct bytes ref = make_ref(&b->arena, {"K", 1});
    struct buf e = BUF_IN(&b->arena);

    make_entity(&e, ref);
    make_prop(&e, MAKE_PROP, "a", 0, true, make_int(&b->arena, 1));
    make_prop(&e, MAKE_PROP, "a", 0, true, make_int(&b->arena, 2));
    make_prop(&e, MAKE_PROP, "a", 0, true, make_int(&b->arena, 2));
    make_prop(&e, MAKE_PROP, "b", 0, false, make_str(&b->arena, "x"));
    make_prop(&e, MAKE_RAW, "c", 0, false, make_str(&b->arena, "y"));
    bed_ok(b, bed_write(b, ref, buf_view(&e), NULL));
    assert_int_equal(bed_rows(b, KEY_PROPERTIES), 3);
    assert_int_equal(bed_rows(b, KEY_KINDS), 1);
    bed_put(b, ref, 3);
    assert_int_equal(bed_rows(b, KEY_PROPERTIES), 1);
    assert_int_equal(bed_rows(b, KEY_SPACES), 1);
}

ON_EACH_BACKEND(of_several_puts_of_one_key_the_last_counts)
{
    struct bytes ref = make_ref(&b->arena, {"K", 1});
    struct engine_mutation m[3] = {
        {.key = bed_key(b, ref),
         .entity = bed_entity(b, ref, "n", make_int(&b->arena, 1))},
        {.key = bed_key(b, make_ref(&b->arena, {"K", 2})),
         .entity = bed_entity(b, make_ref(&b->arena, {"K", 2}), "n",
                              make_int(&b->arena, 5))},
        {.key = bed_key(b, ref),
         .entity = bed_entity(b, ref, "n", make_int(&b->arena, 2))},
    };
    struct engine_cost cost;

    bed_ok(b, engine_write(&b->ctx, b->engine, m, 3, &cost));
    assert_int_equal(bed_value(bed_get(b, NULL, ref)), 2);
    assert_int_equal(m[0].version, m[2].version);
    assert_int_not_equal(m[0].version, m[1].version);
    assert_int_equal(cost.entity_writes, 2);
}

ON_EACH_BACKEND(hundreds_of_groups_are_written_by_one_call)
{
    enum { N = 500 };
    struct engine_mutation *m =
        ARENA_ARRAY(&b->arena, struct engine_mutation, N);
    struct engine_cost cost;

    for (int i = 0; i < N; i++) {
        struct bytes ref = make_ref(&b->arena, {"K", N - i});

        m[i].key = bed_key(b, ref);
        m[i].entity = bed_entity(b, ref, "n", make_int(&b->arena, i));
    }
    errinj_set("engine.write.conflict", 3, 1);
    bed_ok(b, engine_write(&b->ctx, b->engine, m, N, &cost));
    assert_int_equal(cost.entity_writes, N);
    assert_int_equal(bed_rows(b, KEY_ENTITIES), N);
    assert_int_equal(bed_rows(b, KEY_KINDS), N);
    assert_int_equal(bed_rows(b, KEY_GROUPS), N);
}

ON_EACH_BACKEND(the_pseudo_entity_of_a_group_tells_its_version)
{
    struct bytes child = make_ref(&b->arena, {"K", 1}, {"C", 5});
    struct bytes group = make_ref(&b->arena, {"K", 1}, {"__entity_group__", 1});
    int64_t version;

    assert_int_equal(bed_value(bed_get(b, NULL, group)), 1);
    version = bed_put(b, child, 1);
    assert_int_equal(bed_value(bed_get(b, NULL, group)), version);
    assert_false(
        bed_get(b, NULL, make_ref(&b->arena, {"K", 1}, {"__entity_group__", 2}))
            .found);
}

ON_EACH_BACKEND(namespaces_are_apart)
{
    const struct make_elem path[] = {{"K", 1}, {0}};
    struct bytes here = make_ref_in(&b->arena, "s~shop", "", path);
    struct bytes there = make_ref_in(&b->arena, "s~shop", "n", path);

    bed_put(b, here, 1);
    assert_false(bed_get(b, NULL, there).found);
    bed_put(b, there, 2);
    assert_int_equal(bed_value(bed_get(b, NULL, here)), 1);
    assert_int_equal(bed_value(bed_get(b, NULL, there)), 2);
    assert_int_equal(bed_rows(b, KEY_SPACES), 2);
    /* and the spellings of an app are one */
    assert_int_equal(bed_value(bed_get(b, NULL, make_ref(&b->arena, {"K", 1}))),
                     1);
}

ON_EACH_BACKEND(nothing_is_left_of_a_deleted_app)
{
    static const char *const yaml =
        "indexes:\n- kind: K\n  properties:\n  - name: n\n  - name: m\n";

    for (int i = 1; i <= 20; i++)
        bed_put(b, make_ref(&b->arena, {"K", i}), i);
    bed_ok(b, engine_indexes_set(&b->ctx, b->engine, b->ctx.app,
                                 bytes_str(yaml), NULL, NULL));
    bed_ok(b, engine_app_delete(&b->ctx, b->engine, b->ctx.app));
    for (const char *t = "ekpcgnm"; *t; t++)
        assert_int_equal(bed_rows(b, (enum key_table) * t), 0);
    bed_put(b, make_ref(&b->arena, {"K", 1}), 1);
    assert_int_equal(bed_rows(b, KEY_SPACES), 1);
}

ON_EACH_BACKEND(a_loop_thread_is_told_that_a_write_has_to_wait)
{
    struct bytes ref = make_ref(&b->arena, {"K", 1});

    b->ctx.may_wait = false;
    assert_int_equal(bed_write(b, ref, BYTES_NONE, NULL), ERR_WOULD_BLOCK);
    b->ctx.may_wait = true;
}

ON_EACH_BACKEND(endless_conflict_ends_at_the_deadline)
{
    struct bytes ref = make_ref(&b->arena, {"K", 1});

    errinj_set("engine.write.conflict", 1000000, 0);
    b->ctx.deadline = clock_mono() + 300 * CLOCK_MS;
    bed_fails(b,
              bed_write(b, ref, bed_entity(b, ref, "n", make_int(&b->arena, 1)),
                        NULL),
              ERR_CONFLICT,
              "too much contention on these datastore entities. please try "
              "again.");
    b->ctx.deadline = CTX_FOREVER;
    errinj_clear();
    assert_false(bed_get(b, NULL, ref).found);
}

ON_EACH_BACKEND(what_was_surely_not_written_is_written_again)
{
    struct bytes ref = make_ref(&b->arena, {"K", 1});

    errinj_set("storage.commit.aborted", 2, 0);
    bed_put(b, ref, 1);
    assert_int_equal(b->ctx.err.code, ERR_OK);
    assert_int_equal(bed_value(bed_get(b, NULL, ref)), 1);
    errinj_set("storage.commit.aborted", 2, 0);
    int64_t id;
    bed_ok(b, engine_ids_auto(&b->ctx, b->engine, b->ctx.app, 1, &id));
    assert_int_equal(b->ctx.err.code, ERR_OK);
}

ON_EACH_BACKEND(r_a_reserve_of_versions_is_written_again_too)
{
    int64_t version;

    atomic_store(&b->engine->versions.limit, 0);
    errinj_set("storage.commit.aborted", 2, 0);
    bed_ok(b, engine_next_version(&b->ctx, b->engine, &version));
    assert_int_equal(b->ctx.err.code, ERR_OK);
}

ON_EACH_BACKEND(r_a_version_that_cannot_be_read_tells_why)
{
    int64_t limit;

    errinj_set("storage.get.io", 1, 0);
    assert_int_equal(version_limit(&b->ctx, b->engine, &limit), ERR_IO);
}

ON_EACH_BACKEND(a_full_disk_is_told_and_leaves_the_old_entity)
{
    struct bytes ref = make_ref(&b->arena, {"K", 1});

    bed_put(b, ref, 1);
    errinj_set("storage.commit.no_space", 1, 0);
    assert_int_equal(bed_write(b, ref, BYTES_NONE, NULL), ERR_NO_SPACE);
    ctx_err_clear(&b->ctx);
    assert_int_equal(bed_value(bed_get(b, NULL, ref)), 1);
    assert_int_equal(bed_rows(b, KEY_PROPERTIES), 1);
}

/* ---- versions and ids over restarts ---- */

static void versions_grow_over_a_restart(void **state)
{
    struct bed b;
    int64_t before, after;

    bed_open(&b, "rocksdb");
    before = bed_put(&b, make_ref(&b.arena, {"K", 1}), 1);
    bed_stop(&b);
    bed_start(&b);
    after = bed_put(&b, make_ref(&b.arena, {"K", 1}), 2);
    assert_true(after > before);
    bed_close(&b);
}

static void automatic_ids_are_never_handed_out_twice(void **state)
{
    enum { N = 5000, ROUNDS = 3 };
    static int64_t ids[N * ROUNDS];
    struct bed b;

    bed_open(&b, "rocksdb");
    for (int round = 0; round < ROUNDS; round++) {
        bed_ok(&b, engine_ids_auto(&b.ctx, b.engine, b.ctx.app, N,
                                   ids + round * N));
        bed_stop(&b);
        bed_start(&b);
    }
    /* The first ones of the oracle, and all exact in a double. */
    assert_true(ids[0] == INT64_C(5629499534213120));
    assert_true(ids[1] == INT64_C(5066549580791808));
    assert_true(ids[2] == INT64_C(6192449487634432));
    for (int i = 0; i < N * ROUNDS; i++) {
        assert_true(ids[i] >= INT64_C(1) << 52);
        assert_true((int64_t)(double)ids[i] == ids[i]);
        for (int j = 0; j < i; j += 7)
            assert_true(ids[i] != ids[j]);
    }
    bed_close(&b);
}

ON_EACH_BACKEND(ranges_of_ids_are_contiguous_and_exact)
{
    struct bytes app = b->ctx.app;
    int64_t start, end;

    bed_ok(b, engine_ids_range(&b->ctx, b->engine, app, 40, &start));
    assert_int_equal(start, 1);
    bed_ok(b, engine_ids_up_to(&b->ctx, b->engine, app, 1000, &start, &end));
    assert_int_equal(start, 41);
    assert_int_equal(end, 1000);
    bed_ok(b, engine_ids_up_to(&b->ctx, b->engine, app, 1000, &start, &end));
    assert_int_equal(start, 1001);
    assert_int_equal(end, 1000);
    const int64_t reserved[] = {3000, -4, 0};
    bed_ok(b, engine_ids_reserve(&b->ctx, b->engine, app, reserved, 3));
    bed_ok(b, engine_ids_range(&b->ctx, b->engine, app, 1, &start));
    assert_int_equal(start, 3001);
}

ON_EACH_BACKEND(a_reserved_scattered_id_is_passed_over)
{
    int64_t first = INT64_C(5629499534213120), ids[3];
    const int64_t second = INT64_C(5066549580791808);

    bed_ok(b, engine_ids_reserve(&b->ctx, b->engine, b->ctx.app, &second, 1));
    bed_ok(b, engine_ids_auto(&b->ctx, b->engine, b->ctx.app, 3, ids));
    for (int i = 0; i < 3; i++) {
        assert_true(ids[i] != first);
        assert_true(ids[i] != second);
    }
}

/* The scattered id of a counter, as ids.c has it. */
static int64_t scattered(uint64_t counter)
{
    uint64_t v = counter << 13, out = 0;

    for (int i = 0; i < 64; i++, v >>= 1)
        out = out << 1 | (v & 1);
    return (INT64_C(1) << 52) + (int64_t)out;
}

static void set_counter(struct bed *b, int64_t counter)
{
    struct storage_batch batch = STORAGE_BATCH_IN(&b->arena);
    uint8_t value[8];

    put_be64(value, (uint64_t)counter);
    storage_batch_put(&batch,
                      (struct storage_key){key_partition(&b->arena, b->ctx.app,
                                                         BYTES_NONE, KEY_META),
                                           BYTES_LIT("ids.auto")},
                      BYTES(value, 8));
    bed_ok(b, storage_commit(&b->ctx, b->storage, &batch, NULL));
}

ON_EACH_BACKEND(a_reserved_id_far_ahead_is_never_handed_out)
{
    const int64_t near = INT64_C(1) << 40;
    const int64_t reserved[] = {scattered((uint64_t)near + 3),
                                scattered((uint64_t)near + 4),
                                scattered((uint64_t)near + 6)};
    const int64_t want[] = {1, 2, 5, 7, 8};
    int64_t ids[5];

    bed_ok(b, engine_ids_reserve(&b->ctx, b->engine, b->ctx.app, reserved, 3));
    set_counter(b, near + 1); /* billions of entities later */
    for (int i = 0; i < 5; i++) {
        bed_ok(b, engine_ids_auto(&b->ctx, b->engine, b->ctx.app, 1, &ids[i]));
        assert_true(ids[i] == scattered((uint64_t)(near + want[i])));
    }
}

ON_EACH_BACKEND(a_new_entity_never_takes_the_id_of_an_old_one)
{
    struct bytes taken = make_ref(&b->arena, {"K", INT64_C(5629499534213120)});
    struct key key = bed_key(b, make_ref(&b->arena, {"K"}));
    struct key *keys[] = {&key};

    bed_put(b, taken, 1);
    bed_ok(b, engine_ids_complete(&b->ctx, b->engine, keys, 1));
    assert_true(key.complete);
    assert_false(bytes_eq(key.path, bed_key(b, taken).path));
}

/* ---- indexes ---- */

static const char yaml_n_desc[] = "indexes:\n"
                                  "- kind: K\n"
                                  "  ancestor: yes\n"
                                  "  properties:\n"
                                  "  - name: n\n"
                                  "    direction: desc\n";

static enum index_state state_of(struct bed *b, size_t i)
{
    const struct index_set *set;
    enum index_state state;

    bed_ok(b, index_set_ref(&b->ctx, b->engine, b->ctx.app, &set));
    state = i < set->n ? set->defs[i].state : 0;
    index_set_unref(set);
    return state;
}

/* The engine's thread works at its own time. */
static void await_state(struct bed *b, enum index_state want)
{
    for (int i = 0; i < 5000 && state_of(b, 0) != want; i++)
        usleep(1000);
    assert_int_equal(state_of(b, 0), want);
}

ON_EACH_BACKEND(a_new_index_gets_the_rows_of_old_entities)
{
    for (int i = 1; i <= 450; i++)
        bed_put(b, make_ref(&b->arena, {"P", 1}, {"K", i}), i);
    bed_ok(b, engine_indexes_set(&b->ctx, b->engine, b->ctx.app,
                                 BYTES_LIT(yaml_n_desc), NULL, NULL));
    assert_int_equal(state_of(b, 0), INDEX_WRITE_ONLY);
    bed_put(b, make_ref(&b->arena, {"K", 1000}), 1);
    assert_int_equal(bed_rows(b, KEY_COMPOSITES), 1);
    bed_ok(b, engine_start(&b->ctx, b->engine));
    await_state(b, INDEX_READ_WRITE);
    assert_int_equal(bed_rows(b, KEY_COMPOSITES), 1 + 2 * 450);
    bed_ok(b, bed_write(b, make_ref(&b->arena, {"K", 1000}), BYTES_NONE, NULL));
    assert_int_equal(bed_rows(b, KEY_COMPOSITES), 2 * 450);
    bed_ok(b, index_delete(&b->ctx, b->engine, b->ctx.app, 1));
    await_state(b, 0);
    assert_int_equal(bed_rows(b, KEY_COMPOSITES), 0);
}

/* A writer that did not know the index yet leaves the row of a value that it
 * replaced. */
ON_EACH_BACKEND(a_new_index_is_built_on_nothing)
{
    struct bytes composites =
        key_partition(&b->arena, b->ctx.app, BYTES_NONE, KEY_COMPOSITES);
    struct storage_batch batch = STORAGE_BATCH_IN(&b->arena);
    struct storage_range all = STORAGE_ALL;
    struct bytes ref = make_ref(&b->arena, {"K", 1}), stale;
    struct storage_page page;

    bed_ok(b, engine_indexes_set(&b->ctx, b->engine, b->ctx.app,
                                 BYTES_LIT(yaml_n_desc), NULL, NULL));
    bed_put(b, ref, 1);
    bed_ok(b, storage_scan(&b->ctx, b->storage, composites, &all,
                           STORAGE_FORWARD, 10, &page));
    assert_int_equal(page.n, 1);
    stale = page.rows[0].row;
    bed_put(b, ref, 2);
    storage_batch_put(&batch, (struct storage_key){composites, stale},
                      page.rows[0].value);
    bed_ok(b, storage_commit(&b->ctx, b->storage, &batch, NULL));
    bed_ok(b, engine_start(&b->ctx, b->engine));
    await_state(b, INDEX_READ_WRITE);
    bed_ok(b, storage_scan(&b->ctx, b->storage, composites, &all,
                           STORAGE_FORWARD, 10, &page));
    assert_int_equal(page.n, 1);
    assert_false(bytes_eq(page.rows[0].row, stale));
}

static void an_unfinished_index_is_built_after_a_restart(void **state)
{
    struct bed b;

    bed_open(&b, "rocksdb");
    bed_put(&b, make_ref(&b.arena, {"K", 1}), 1);
    bed_ok(&b, engine_indexes_set(&b.ctx, b.engine, b.ctx.app,
                                  BYTES_LIT(yaml_n_desc), NULL, NULL));
    bed_stop(&b);
    bed_start(&b);
    assert_int_equal(state_of(&b, 0), INDEX_WRITE_ONLY);
    bed_ok(&b, engine_start(&b.ctx, b.engine));
    await_state(&b, INDEX_READ_WRITE);
    assert_int_equal(bed_rows(&b, KEY_COMPOSITES), 1);
    bed_close(&b);
}

ON_EACH_BACKEND(an_index_can_be_waited_for)
{
    struct index_column n = {BYTES_LIT("n"), true};
    struct index_def def = {.kind = BYTES_LIT("K"), .columns = &n, .n = 1};
    int64_t id, same;

    bed_put(b, make_ref(&b->arena, {"K", 1}), 1);
    bed_ok(b, index_create(&b->ctx, b->engine, b->ctx.app, &def, true, &id));
    assert_int_equal(state_of(b, 0), INDEX_READ_WRITE);
    assert_int_equal(bed_rows(b, KEY_COMPOSITES), 1);
    assert_int_equal(
        index_create(&b->ctx, b->engine, b->ctx.app, &def, true, &same),
        ERR_EXISTS);
    assert_int_equal(id, same);
}

/* ---- many threads ---- */

enum { WRITERS = 4, PUTS = 150, SHARED = 3 };

static void *put_shared(void *arg)
{
    struct bed *b = arg;
    unsigned seed = (unsigned)(uintptr_t)&seed;

    for (int i = 0; i < PUTS; i++) {
        struct bed own = *b;

        own.arena = (struct arena)ARENA_INIT;
        ctx_init(&own.ctx, &own.arena);
        own.ctx.app = b->ctx.app;
        bed_put(&own, make_ref(&own.arena, {"K", 1 + rand_r(&seed) % SHARED}),
                rand_r(&seed) % 10);
        arena_release(&own.arena);
    }
    return NULL;
}

ON_EACH_BACKEND(writers_of_one_entity_leave_no_stray_index_rows)
{
    pthread_t threads[WRITERS];

    for (int i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, put_shared, b);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(bed_rows(b, KEY_ENTITIES), SHARED);
    assert_int_equal(bed_rows(b, KEY_PROPERTIES), SHARED);
    assert_int_equal(bed_rows(b, KEY_KINDS), SHARED);
}

/* Enough of them that one who drew an earlier version comes later. */
enum { RIVALS = 16, CHILDREN = 200 };

/* Own entities of one group, which has to be at least as new as each. */
static void *put_child(void *arg)
{
    static _Atomic int64_t next_id = 1;
    struct bed *b = arg;

    for (int i = 0; i < CHILDREN; i++) {
        struct bed own = *b;
        struct bytes root;
        int64_t version, id = atomic_fetch_add(&next_id, 1);

        own.arena = (struct arena)ARENA_INIT;
        ctx_init(&own.ctx, &own.arena);
        own.ctx.app = b->ctx.app;
        version = bed_put(&own, make_ref(&own.arena, {"P", 1}, {"K", id}), i);
        root = make_ref(&own.arena, {"P", 1}, {"__entity_group__", 1});
        if (bed_value(bed_get(&own, NULL, root)) < version)
            return b;
        arena_release(&own.arena);
    }
    return NULL;
}

ON_EACH_BACKEND(r_the_version_of_a_group_never_goes_back)
{
    pthread_t threads[RIVALS];
    void *wrong[RIVALS];

    for (int i = 0; i < RIVALS; i++)
        pthread_create(&threads[i], NULL, put_child, b);
    for (int i = 0; i < RIVALS; i++)
        pthread_join(threads[i], &wrong[i]);
    for (int i = 0; i < RIVALS; i++)
        assert_null(wrong[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_can_be_got_and_deleted),
        cmocka_unit_test(putting_the_same_entity_keeps_its_version),
        cmocka_unit_test(index_rows_follow_the_entity),
        cmocka_unit_test(of_several_puts_of_one_key_the_last_counts),
        cmocka_unit_test(hundreds_of_groups_are_written_by_one_call),
        cmocka_unit_test(the_pseudo_entity_of_a_group_tells_its_version),
        cmocka_unit_test(namespaces_are_apart),
        cmocka_unit_test(nothing_is_left_of_a_deleted_app),
        cmocka_unit_test(a_loop_thread_is_told_that_a_write_has_to_wait),
        cmocka_unit_test(endless_conflict_ends_at_the_deadline),
        cmocka_unit_test(what_was_surely_not_written_is_written_again),
        cmocka_unit_test(r_a_reserve_of_versions_is_written_again_too),
        cmocka_unit_test(r_a_version_that_cannot_be_read_tells_why),
        cmocka_unit_test(a_full_disk_is_told_and_leaves_the_old_entity),
        cmocka_unit_test(versions_grow_over_a_restart),
        cmocka_unit_test(automatic_ids_are_never_handed_out_twice),
        cmocka_unit_test(ranges_of_ids_are_contiguous_and_exact),
        cmocka_unit_test(a_reserved_scattered_id_is_passed_over),
        cmocka_unit_test(a_reserved_id_far_ahead_is_never_handed_out),
        cmocka_unit_test(a_new_entity_never_takes_the_id_of_an_old_one),
        cmocka_unit_test(a_new_index_gets_the_rows_of_old_entities),
        cmocka_unit_test(a_new_index_is_built_on_nothing),
        cmocka_unit_test(an_unfinished_index_is_built_after_a_restart),
        cmocka_unit_test(an_index_can_be_waited_for),
        cmocka_unit_test(writers_of_one_entity_leave_no_stray_index_rows),
        cmocka_unit_test(r_the_version_of_a_group_never_goes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
