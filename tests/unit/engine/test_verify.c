/*
 * Verification: each kind of damage, done to the store directly, is found and
 * mended; what is whole, or moves, is left in peace.
 */
#include "bed.h"

#include "engine/engine_int.h"
#include "engine/job.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

/* ---- a shop with a bit of everything ---- */

static struct bytes book(struct bed *b, int64_t id)
{
    return make_ref(&b->arena, {"Shelf", 1}, {"Book", id});
}

static void put_book(struct bed *b, int64_t id)
{
    struct bytes ref = book(b, id);
    struct buf e = BUF_IN(&b->arena);

    make_entity(&e, ref);
    make_prop(&e, MAKE_PROP, "n", 0, false, make_int(&b->arena, id));
    make_prop(&e, MAKE_PROP, "tag", 0, true, make_str(&b->arena, "a"));
    make_prop(&e, MAKE_PROP, "tag", 0, true, make_str(&b->arena, "b"));
    make_prop(&e, MAKE_RAW, "text", 0, false, make_str(&b->arena, "long"));
    bed_ok(b, bed_write(b, ref, buf_view(&e), NULL));
}

static int64_t add_index(struct bed *b, bool ancestor)
{
    struct index_column columns[] = {
        {.name = BYTES_LIT("n"), .desc = true},
        {.name = BYTES_LIT("tag")},
    };
    struct index_def def = {
        .kind = BYTES_LIT("Book"),
        .ancestor = ancestor,
        .columns = columns,
        .n = 2,
    };
    int64_t id;

    bed_ok(b, index_create(&b->ctx, b->engine, b->ctx.app, &def, true, &id));
    return id;
}

static void fill(struct bed *b)
{
    add_index(b, false);
    add_index(b, true);
    for (int64_t i = 1; i <= 5; i++)
        put_book(b, i);
    bed_put(b,
            make_ref_in(&b->arena, "shop", "west",
                        (struct make_elem[]){{"K", 0, "x"}, {0}}),
            9);
    bed_put(b,
            make_ref_in(&b->arena, "shop", "notrans_log",
                        (struct make_elem[]){{"K", 0, "x"}, {0}}),
            9);
    bed_ok(b, engine_start(&b->ctx, b->engine));
}

/* ---- running ---- */

static struct verify_report verify(struct bed *b, bool repair)
{
    struct engine_job_spec spec = {ENGINE_JOB_VERIFY, b->ctx.app, repair};
    struct engine_job_state state;
    int64_t id;

    bed_ok(b, engine_job_start(&b->ctx, b->engine, &spec, &id));
    do {
        sched_yield();
        bed_ok(b, engine_job_look(&b->ctx, b->engine, id, &state));
    } while (!state.done);
    if (state.rc)
        fail_msg("%s", state.why);
    return state.report;
}

static int64_t found(const struct verify_report *r)
{
    int64_t n = 0;

    for (int i = 0; i < VERIFY_FAULTS; i++)
        n += r->found[i];
    return n;
}

static void expect_whole(struct bed *b)
{
    struct verify_report r = verify(b, false);

    for (size_t i = 0; i < r.n_findings; i++)
        print_message("%s: %s\n", verify_fault_word(r.findings[i].fault),
                      r.findings[i].where);
    assert_int_equal(found(&r), 0);
}

/* Found, only this, `n` times; mended on request; then whole. */
static void expect_mended(struct bed *b, enum verify_fault fault, int64_t n)
{
    struct verify_report r = verify(b, false);

    for (size_t i = 0; i < r.n_findings && found(&r) != n; i++)
        print_message("%s: %s\n", verify_fault_word(r.findings[i].fault),
                      r.findings[i].where);
    assert_int_equal(r.found[fault], n);
    assert_int_equal(r.mended[fault], 0);
    assert_int_equal(found(&r), n);
    assert_int_equal(r.n_findings, n);
    assert_true(*r.findings[0].where);
    r = verify(b, true);
    assert_int_equal(r.mended[fault], n);
    expect_whole(b);
}

/* ---- damage ---- */

static struct bytes table_of(struct bed *b, const char *space,
                             enum key_table table)
{
    return key_partition(&b->arena, b->ctx.app, bytes_str(space), table);
}

static void set_row(struct bed *b, struct bytes partition, struct bytes row,
                    struct bytes value)
{
    struct storage_batch batch = STORAGE_BATCH_IN(&b->arena);

    if (value.p)
        storage_batch_put(&batch, (struct storage_key){partition, row}, value);
    else
        storage_batch_delete(&batch, (struct storage_key){partition, row});
    bed_ok(b, storage_commit(&b->ctx, b->storage, &batch, NULL));
}

static struct storage_page rows_of(struct bed *b, struct bytes partition)
{
    struct storage_range all = STORAGE_ALL;
    struct storage_page page;

    bed_ok(b, storage_scan(&b->ctx, b->storage, partition, &all,
                           STORAGE_FORWARD, STORAGE_PAGE_ROWS, &page));
    return page;
}

static const enum key_table index_tables[] = {KEY_KINDS, KEY_PROPERTIES,
                                              KEY_COMPOSITES};

ON_EACH_BACKEND(a_whole_store_has_no_faults)
{
    struct verify_report r;

    fill(b);
    r = verify(b, false);
    assert_int_equal(found(&r), 0);
    assert_int_equal(r.entities, 7);
    /* kinds, properties, two indexes: one with two ancestors */
    assert_int_equal(r.rows, 7 + (5 * 3 + 2) + 5 * (2 + 4));
    expect_whole(b);
    r = verify(b, true);
    assert_int_equal(found(&r), 0);
}

ON_EACH_BACKEND(a_missing_index_row_is_put)
{
    fill(b);
    for (int i = 0; i < 3; i++) {
        struct bytes partition = table_of(b, "", index_tables[i]);
        struct storage_page before = rows_of(b, partition), after;

        for (size_t j = 0; j < before.n; j += 3)
            set_row(b, partition, before.rows[j].row, BYTES_NONE);
        expect_mended(b, VERIFY_MISSING_ROW, (int64_t)(before.n + 2) / 3);
        after = rows_of(b, partition);
        assert_int_equal(after.n, before.n);
        for (size_t j = 0; j < after.n; j++) {
            assert_true(bytes_eq(after.rows[j].row, before.rows[j].row));
            assert_true(bytes_eq(after.rows[j].value, before.rows[j].value));
        }
    }
}

ON_EACH_BACKEND(a_wrong_flag_is_set_right)
{
    fill(b);
    for (int i = 1; i < 3; i++) {
        struct bytes partition = table_of(b, "", index_tables[i]);
        struct storage_page page = rows_of(b, partition);

        set_row(b, partition, page.rows[page.n - 1].row, BYTES_LIT("\0"));
        set_row(b, partition, page.rows[0].row, BYTES_LIT("\7"));
        expect_mended(b, VERIFY_WRONG_VALUE, 2);
    }
}

ON_EACH_BACKEND(rows_of_an_entity_that_is_gone_are_deleted)
{
    struct bytes entities = table_of(b, "", KEY_ENTITIES);
    struct storage_page page;

    fill(b);
    page = rows_of(b, entities);
    set_row(b, entities, page.rows[2].row, BYTES_NONE);
    /* a kind, three properties, two and four composites */
    expect_mended(b, VERIFY_STRAY_ROW, 1 + 3 + 6);
}

ON_EACH_BACKEND(a_row_of_another_value_is_deleted)
{
    struct bytes partition = table_of(b, "", KEY_PROPERTIES);
    struct buf row = BUF_IN(&b->arena);
    struct key key;

    fill(b);
    key = bed_key(b, book(b, 3));
    buf_add(&row, index_property_prefix(&b->arena, BYTES_LIT("Book"),
                                        BYTES_LIT("n")));
    bed_ok(b, value_encode(&b->ctx, &row, make_int(&b->arena, 77)));
    buf_add(&row, key.path);
    set_row(b, partition, buf_view(&row), BYTES("", 0));
    expect_mended(b, VERIFY_STRAY_ROW, 1);
}

ON_EACH_BACKEND(rows_of_an_index_that_is_not_there_are_deleted)
{
    uint8_t row[12] = {0, 0, 0, 0, 0, 0, 0, 77, 1, 2, 3, 4};

    fill(b);
    set_row(b, table_of(b, "", KEY_COMPOSITES), BYTES(row, sizeof(row)),
            BYTES("", 0));
    expect_mended(b, VERIFY_STRAY_ROW, 1);
}

ON_EACH_BACKEND(index_rows_that_do_not_decode_are_deleted)
{
    fill(b);
    for (int i = 0; i < 3; i++) {
        struct bytes partition = table_of(b, "", index_tables[i]);
        struct storage_page page = rows_of(b, partition);
        struct bytes row = page.rows[0].row;

        set_row(b, partition, BYTES(row.p, row.n - 1), BYTES("", 0));
        expect_mended(b, VERIFY_BAD_INDEX_ROW, 1);
        set_row(b, partition, BYTES_LIT("\1\7"), BYTES("", 0));
        expect_mended(b, VERIFY_BAD_INDEX_ROW, 1);
    }
}

/* What is no entity is kept aside; its index rows go. */
ON_EACH_BACKEND(an_entity_that_does_not_decode_is_set_aside)
{
    struct bytes entities = table_of(b, "", KEY_ENTITIES), bad;
    struct storage_page page;
    struct verify_report r;

    fill(b);
    page = rows_of(b, entities);
    bad = BYTES(page.rows[1].value.p, page.rows[1].value.n - 2);
    set_row(b, entities, page.rows[1].row, bad);
    r = verify(b, false);
    assert_int_equal(r.found[VERIFY_BAD_ENTITY], 1);
    assert_int_equal(found(&r), 1);
    r = verify(b, true);
    assert_int_equal(r.mended[VERIFY_BAD_ENTITY], 1);
    assert_int_equal(r.mended[VERIFY_STRAY_ROW], 10);
    expect_whole(b);
    assert_int_equal(rows_of(b, entities).n, 4);
    page = rows_of(b, table_of(b, "", KEY_DAMAGED));
    assert_int_equal(page.n, 1);
    assert_true(bytes_eq(page.rows[0].value, bad));
}

ON_EACH_BACKEND(an_entity_under_a_wrong_key_is_set_aside)
{
    struct bytes entities = table_of(b, "", KEY_ENTITIES);
    struct storage_page page;

    fill(b);
    page = rows_of(b, entities);
    set_row(b, entities, bed_key(b, book(b, 99)).path, page.rows[0].value);
    expect_mended(b, VERIFY_BAD_ENTITY, 1);
}

ON_EACH_BACKEND(the_version_of_a_group_is_given_anew)
{
    struct bytes groups = table_of(b, "", KEY_GROUPS);
    struct storage_page page;
    struct bytes row;
    uint8_t late[8];

    fill(b);
    page = rows_of(b, groups);
    assert_int_equal(page.n, 1);
    row = page.rows[0].row;
    set_row(b, groups, row, BYTES_NONE);
    expect_mended(b, VERIFY_BAD_GROUP, 1);
    put_be64(late, (uint64_t)(clock_wall() + 3600 * CLOCK_SEC));
    set_row(b, groups, row, BYTES(late, 8));
    expect_mended(b, VERIFY_BAD_GROUP, 1);
    set_row(b, groups, BYTES_LIT("\1\7"), BYTES(late, 8));
    expect_mended(b, VERIFY_BAD_GROUP, 1);
    put_book(b, 1);
    expect_whole(b);
}

/* Found from its entities and by itself, and counted once. */
ON_EACH_BACKEND(a_group_row_that_does_not_read_is_given_anew)
{
    struct bytes groups = table_of(b, "", KEY_GROUPS);

    fill(b);
    set_row(b, groups, rows_of(b, groups).rows[0].row, BYTES_LIT("short"));
    expect_mended(b, VERIFY_BAD_GROUP, 1);
}

ON_EACH_BACKEND(the_row_of_a_namespace_is_put_and_a_bad_one_deleted)
{
    struct bytes spaces = table_of(b, "", KEY_SPACES);

    fill(b);
    set_row(b, spaces, BYTES_LIT("\0"), BYTES_NONE);
    expect_mended(b, VERIFY_BAD_NAMESPACE, 1);
    set_row(b, spaces, BYTES_LIT("\1\7"), BYTES("", 0));
    expect_mended(b, VERIFY_BAD_NAMESPACE, 1);
}

/* Its rows are nobody's then; deploying the index.yaml makes it again. */
static void a_definition_that_does_not_decode_is_deleted(void **state)
{
    struct verify_report r;
    struct bed b;

    (void)state;
    bed_open(&b, "rocksdb");
    fill(&b);
    set_row(&b, table_of(&b, "", KEY_META),
            BYTES_LIT("index\0\0\0\0\0\0\0\0\1"), BYTES_LIT("junk"));
    bed_stop(&b);
    bed_start(&b);
    bed_ok(&b, engine_start(&b.ctx, b.engine));
    r = verify(&b, false);
    assert_int_equal(r.found[VERIFY_BAD_DEFINITION], 1);
    r = verify(&b, true);
    assert_int_equal(r.mended[VERIFY_BAD_DEFINITION], 1);
    assert_int_equal(r.mended[VERIFY_STRAY_ROW], 5 * 2);
    expect_whole(&b);
    add_index(&b, false);
    put_book(&b, 6);
    expect_whole(&b);
    bed_close(&b);
}

ON_EACH_BACKEND(a_counter_of_ids_is_set_above_all_that_are_in_use)
{
    struct bytes meta = table_of(b, "", KEY_META);
    int64_t ids[3], start;

    fill(b);
    bed_ok(b, engine_ids_auto(&b->ctx, b->engine, b->ctx.app, 1, ids));
    bed_ok(b, engine_ids_range(&b->ctx, b->engine, b->ctx.app, 9, &start));
    bed_put(b, make_ref(&b->arena, {"K", start + 700}), 1);
    set_row(b, meta, BYTES_LIT("ids.seq"), BYTES_LIT("junk"));
    expect_mended(b, VERIFY_BAD_IDS, 1);
    bed_ok(b, engine_ids_range(&b->ctx, b->engine, b->ctx.app, 1, &start));
    assert_true(start > 700);
    set_row(b, meta, BYTES_LIT("ids.auto"), BYTES_LIT("junk"));
    expect_mended(b, VERIFY_BAD_IDS, 1);
    set_row(b, meta, BYTES_LIT("ids.auto"), BYTES_NONE); /* some are out */
    expect_mended(b, VERIFY_BAD_IDS, 1);
}

/* ---- in the middle of writes ---- */

enum { WRITERS = 3, BOOKS = 12 };

struct writers {
    struct bed bed; /* as it was at the start: its arena is the test's */
    pthread_t threads[WRITERS];
    _Atomic bool stop;
    _Atomic int writes;
};

static void *write_on(void *arg)
{
    struct writers *w = arg;
    unsigned seed = (unsigned)(uintptr_t)&seed;

    while (!w->stop) {
        struct bed own = w->bed;
        int64_t id = 1 + rand_r(&seed) % BOOKS;

        own.arena = (struct arena)ARENA_INIT;
        ctx_init(&own.ctx, &own.arena);
        own.ctx.app = w->bed.ctx.app;
        if (rand_r(&seed) % 3)
            bed_ok(&own, bed_write(&own, book(&own, id), BYTES_NONE, NULL));
        else
            put_book(&own, id);
        if (rand_r(&seed) % 2)
            bed_put(&own, make_ref(&own.arena, {"K", id}), rand_r(&seed) % 9);
        arena_release(&own.arena);
        w->writes++;
    }
    return NULL;
}

static void writers_start(struct writers *w, struct bed *b)
{
    w->bed = *b;
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&w->threads[i], NULL, write_on, w);
}

static void writers_stop(struct writers *w)
{
    w->stop = true;
    for (int i = 0; i < WRITERS; i++)
        pthread_join(w->threads[i], NULL);
}

ON_EACH_BACKEND(writes_in_the_middle_are_no_faults)
{
    struct writers w = {0};
    int runs = 0;

    fill(b);
    writers_start(&w, b);
    while (w.writes < 300 || runs < 20) {
        expect_whole(b);
        runs++;
    }
    writers_stop(&w);
    expect_whole(b);
}

ON_EACH_BACKEND(a_repair_undoes_no_write)
{
    struct bytes partition = table_of(b, "", KEY_PROPERTIES);
    struct writers w = {0};
    unsigned seed = 7;

    fill(b);
    writers_start(&w, b);
    for (int i = 0; i < 60; i++) {
        struct storage_page page = rows_of(b, partition);
        size_t at = page.n ? (size_t)rand_r(&seed) % page.n : 0;

        if (page.n && i % 2)
            set_row(b, partition, page.rows[at].row, BYTES_NONE);
        else if (page.n)
            set_row(b, partition, page.rows[at].row, page.rows[at].value);
        verify(b, true);
    }
    writers_stop(&w);
    verify(b, true);
    expect_whole(b);
}

ON_EACH_BACKEND(indexes_that_come_and_go_are_no_faults)
{
    struct writers w = {0};

    fill(b);
    writers_start(&w, b);
    for (int i = 0; i < 10; i++) {
        struct index_column column = {.name = BYTES_LIT("tag"),
                                      .desc = i % 2 == 0};
        struct index_def def = {
            .kind = BYTES_LIT("Book"), .columns = &column, .n = 1};
        int64_t id;

        bed_ok(b,
               index_create(&b->ctx, b->engine, b->ctx.app, &def, false, &id));
        expect_whole(b);
        bed_ok(b, index_delete(&b->ctx, b->engine, b->ctx.app, id));
        expect_whole(b);
    }
    writers_stop(&w);
    expect_whole(b);
}

/* ---- jobs ---- */

struct holder {
    struct engine *engine;
    sem_t held, enough;
};

/* A verification gets no further than this lock. */
static void *hold(void *arg)
{
    struct holder *h = arg;

    lock_take(&h->engine->change_lock);
    sem_post(&h->held);
    sem_wait(&h->enough);
    lock_drop(&h->engine->change_lock);
    return NULL;
}

static void a_job_that_waits_is_not_asked_for_twice(void **state)
{
    struct engine_job_spec spec = {ENGINE_JOB_VERIFY, BYTES_LIT("s~shop"), 0};
    struct engine_job_state job;
    int64_t first, second;
    struct holder h;
    pthread_t thread;
    struct bed b;

    (void)state;
    bed_open(&b, "memory");
    bed_fails(&b, engine_job_start(&b.ctx, b.engine, &spec, &first),
              ERR_UNAVAILABLE, "no thread does the jobs");
    fill(&b);
    set_row(&b, table_of(&b, "", KEY_META), BYTES_LIT("index\0junk"),
            BYTES("", 0));
    h.engine = b.engine;
    sem_init(&h.held, 0, 0);
    sem_init(&h.enough, 0, 0);
    pthread_create(&thread, NULL, hold, &h);
    sem_wait(&h.held);
    bed_ok(&b, engine_job_start(&b.ctx, b.engine, &spec, &first));
    spec.app = BYTES_LIT("shop");
    bed_ok(&b, engine_job_start(&b.ctx, b.engine, &spec, &second));
    assert_int_equal(first, second);
    spec.repair = true;
    bed_ok(&b, engine_job_start(&b.ctx, b.engine, &spec, &second));
    assert_int_not_equal(first, second);
    sem_post(&h.enough);
    pthread_join(thread, NULL);
    assert_int_equal(engine_job_look(&b.ctx, b.engine, 42, &job),
                     ERR_NOT_FOUND);
    bed_close(&b); /* ends it wherever it is */
}

static void a_report_lists_the_first_faults_and_counts_all(void **state)
{
    struct verify_report r;
    struct bed b;

    (void)state;
    bed_open(&b, "memory");
    fill(&b);
    for (uint8_t i = 0; i < 250; i++) {
        uint8_t row[2] = {7, i};

        set_row(&b, table_of(&b, "", KEY_KINDS),
                arena_dup(&b.arena, BYTES(row, 2)), BYTES("", 0));
    }
    r = verify(&b, false);
    assert_int_equal(r.found[VERIFY_BAD_INDEX_ROW], 250);
    assert_int_equal(r.n_findings, VERIFY_FINDINGS_MAX);
    bed_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_store_has_no_faults),
        cmocka_unit_test(a_missing_index_row_is_put),
        cmocka_unit_test(a_wrong_flag_is_set_right),
        cmocka_unit_test(rows_of_an_entity_that_is_gone_are_deleted),
        cmocka_unit_test(a_row_of_another_value_is_deleted),
        cmocka_unit_test(rows_of_an_index_that_is_not_there_are_deleted),
        cmocka_unit_test(index_rows_that_do_not_decode_are_deleted),
        cmocka_unit_test(an_entity_that_does_not_decode_is_set_aside),
        cmocka_unit_test(an_entity_under_a_wrong_key_is_set_aside),
        cmocka_unit_test(the_version_of_a_group_is_given_anew),
        cmocka_unit_test(a_group_row_that_does_not_read_is_given_anew),
        cmocka_unit_test(the_row_of_a_namespace_is_put_and_a_bad_one_deleted),
        cmocka_unit_test(a_definition_that_does_not_decode_is_deleted),
        cmocka_unit_test(a_counter_of_ids_is_set_above_all_that_are_in_use),
        cmocka_unit_test(writes_in_the_middle_are_no_faults),
        cmocka_unit_test(a_repair_undoes_no_write),
        cmocka_unit_test(indexes_that_come_and_go_are_no_faults),
        cmocka_unit_test(a_job_that_waits_is_not_asked_for_twice),
        cmocka_unit_test(a_report_lists_the_first_faults_and_counts_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
