/* What an administrator sees of indexes, what queries hear meanwhile, and what
 * may be cleared away. */
#include "answer.h"
#include "ask.h"

#include "base/errinj.h"
#include "engine/index_admin.h"

enum { ENTITIES = 250, PAGE = 200 }; /* index_build.c's page */

#define K_N_M      "- kind: K\n  properties:\n  - name: n\n  - name: m\n"
#define K_M_N      "- kind: K\n  properties:\n  - name: m\n  - name: n\n"
#define K_ANCESTOR "- kind: K\n  ancestor: yes\n  properties:\n  - name: n\n"

static struct bed bed;

static int setup(void **state)
{
    bed_open(&bed, "memory");
    return 0;
}

static int teardown(void **state)
{
    errinj_clear();
    bed_close(&bed);
    return 0;
}

static void deploy(const char *yaml, size_t want)
{
    struct index_def *started;
    size_t n;

    bed_ok(&bed, engine_indexes_set(&bed.ctx, bed.engine, bed.ctx.app,
                                    bytes_str(yaml), &started, &n));
    assert_int_equal(n, want);
}

/* An entity of the properties n and m. */
static void put(int id, int values)
{
    struct bytes ref = make_ref(&bed.arena, {"K", id});
    struct buf e = BUF_IN(&bed.arena);
    struct engine_mutation m;
    struct engine_cost cost;

    make_entity(&e, ref);
    for (int i = 0; i < values; i++) {
        make_prop(&e, MAKE_PROP, "n", 0, values > 1, make_int(&bed.arena, i));
        make_prop(&e, MAKE_PROP, "m", 0, values > 1, make_int(&bed.arena, i));
    }
    m = (struct engine_mutation){.key = bed_key(&bed, ref),
                                 .entity = buf_view(&e)};
    bed_ok(&bed, engine_write(&bed.ctx, bed.engine, &m, 1, &cost));
}

static struct index_status *list(size_t *n, bool *deployed)
{
    struct index_status *all;

    bed_ok(&bed,
           index_list(&bed.ctx, bed.engine, bed.ctx.app, &all, n, deployed));
    return all;
}

/* The one index, beside those that are going. */
static struct index_status only_one(void)
{
    bool deployed;
    size_t n, found = 0, at = 0;
    struct index_status *all = list(&n, &deployed);

    for (size_t i = 0; i < n; i++) {
        if (all[i].def.state != INDEX_DELETED) {
            at = i;
            found++;
        }
    }
    assert_int_equal(found, 1);
    assert_true(deployed);
    return all[at];
}

/* The engine's thread works at its own time; what it has done is awaited. */
static void await(enum index_state state, int64_t done)
{
    struct index_status s = only_one();

    for (int i = 0; i < 5000 && (s.def.state != state || s.done != done); i++) {
        usleep(1000);
        s = only_one();
    }
    assert_int_equal(s.def.state, state);
    assert_int_equal(s.done, done);
}

static bool all_ready(void)
{
    bool deployed, ready = true;
    size_t n;
    const struct index_status *all = list(&n, &deployed);

    for (size_t i = 0; i < n; i++)
        ready = ready && all[i].def.state == INDEX_READ_WRITE;
    return ready;
}

static int query(struct answer *a)
{
    return answer_try(&bed, false, false,
                      ask(&bed.arena, "K order:n,m limit:1000"), a);
}

static void a_build_shows_how_far_it_is_and_serves_when_complete(void **state)
{
    struct index_status s;
    struct answer a;

    for (int i = 1; i <= ENTITIES; i++)
        put(i, 1);
    deploy("indexes:\n" K_N_M, 1);
    deploy("indexes:\n" K_N_M, 0);
    errinj_set("engine.index.build.pause", INT64_MAX, 1);
    bed_ok(&bed, engine_start(&bed.ctx, bed.engine));
    await(INDEX_WRITE_ONLY, PAGE);
    s = only_one();
    assert_int_equal(s.total, ENTITIES);
    assert_int_equal(s.rows, PAGE);
    assert_true(s.named);
    bed_fails(&bed, query(&a), ERR_NEED_INDEX,
              "The index for this query is not ready to serve: it is being "
              "built (200 of 250 entities). `appscale datastore indexes` shows "
              "how far it is.");
    put(ENTITIES + 1, 1); /* a write meanwhile is in it at once */
    assert_int_equal(only_one().rows, PAGE + 1);
    bed_ok(&bed,
           bed_write(&bed, make_ref(&bed.arena, {"K", 1}), BYTES_NONE, NULL));
    assert_int_equal(only_one().rows, PAGE);
    errinj_clear();
    await(INDEX_READ_WRITE, 0);
    s = only_one();
    assert_int_equal(s.rows, ENTITIES);
    assert_false(s.rows_more);
    bed_ok(&bed, query(&a));
    assert_int_equal(a.n, ENTITIES);
}

static void a_failed_build_is_told_and_can_be_tried_again(void **state)
{
    struct answer a;

    put(1, 150); /* 22500 rows */
    deploy("indexes:\n" K_N_M, 1);
    bed_ok(&bed, engine_start(&bed.ctx, bed.engine));
    await(INDEX_ERROR, 0);
    assert_int_equal(query(&a), ERR_NEED_INDEX);
    assert_non_null(
        strstr(ctx_err_text(&bed.ctx, ERR_NEED_INDEX), "could not be built"));
    ctx_err_clear(&bed.ctx);
    deploy("indexes:\n" K_N_M, 1);
    await(INDEX_ERROR, 0);
    bed_ok(&bed,
           bed_write(&bed, make_ref(&bed.arena, {"K", 1}), BYTES_NONE, NULL));
    put(1, 1);
    deploy("indexes:\n" K_N_M, 1);
    await(INDEX_READ_WRITE, 0);
    bed_ok(&bed, query(&a));
    assert_int_equal(a.n, 1);
}

static void
entities_too_large_for_two_indexes_can_still_be_changed(void **state)
{
    struct index_status *all;
    bool deployed;
    size_t n;

    put(1, 120); /* 14400 rows in each */
    put(2, 120);
    deploy("indexes:\n" K_N_M K_M_N, 2);
    bed_ok(&bed, engine_start(&bed.ctx, bed.engine));
    for (int i = 0; i < 5000 && !all_ready(); i++)
        usleep(1000);
    assert_true(all_ready());
    all = list(&n, &deployed);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(all[i].rows, 2 * 14400);
    put(1, 2);
    bed_ok(&bed,
           bed_write(&bed, make_ref(&bed.arena, {"K", 2}), BYTES_NONE, NULL));
    assert_int_equal(bed_rows(&bed, KEY_COMPOSITES), 2 * 4);
}

static void what_the_deployed_file_names_no_longer_may_go(void **state)
{
    size_t n, deleted;
    struct index_status *all;
    bool deployed;

    put(1, 1);
    deploy("indexes:\n" K_N_M K_ANCESTOR, 2);
    bed_ok(&bed, engine_start(&bed.ctx, bed.engine));
    deploy("indexes:\n" K_ANCESTOR, 0);
    all = list(&n, &deployed);
    assert_int_equal(n, 2);
    assert_false(all[0].named);
    assert_true(all[1].named);
    const int64_t ids[] = {all[1].def.id, all[0].def.id, 77, all[0].def.id};
    bed_ok(&bed,
           index_vacuum(&bed.ctx, bed.engine, bed.ctx.app, ids, 4, &deleted));
    assert_int_equal(deleted, 1);
    for (int i = 0; i < 5000 && n > 1; i++) {
        usleep(1000);
        all = list(&n, &deployed);
    }
    assert_int_equal(n, 1);
    assert_true(all[0].def.ancestor);
    await(INDEX_READ_WRITE, 0);
    assert_int_equal(only_one().rows, 1);
    assert_int_equal(bed_rows(&bed, KEY_COMPOSITES), 1);
}

static void without_a_deployed_file_nothing_may_go(void **state)
{
    struct index_column m = {BYTES_LIT("m"), true};
    struct index_def def = {.kind = BYTES_LIT("K"), .columns = &m, .n = 1};
    size_t n, deleted;
    bool deployed;
    int64_t id;

    bed_ok(&bed,
           index_create(&bed.ctx, bed.engine, bed.ctx.app, &def, true, &id));
    bed_fails(&bed,
              index_vacuum(&bed.ctx, bed.engine, bed.ctx.app, &id, 1, &deleted),
              ERR_NOT_FOUND,
              "no index.yaml of this project was ever deployed, so nothing "
              "tells which indexes it needs");
    list(&n, &deployed);
    assert_int_equal(n, 1);
    assert_false(deployed);
    deploy("", 0); /* an empty one says: none */
    bed_ok(&bed,
           index_vacuum(&bed.ctx, bed.engine, bed.ctx.app, &id, 1, &deleted));
    assert_int_equal(deleted, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
        T(a_build_shows_how_far_it_is_and_serves_when_complete),
        T(a_failed_build_is_told_and_can_be_tried_again),
        T(entities_too_large_for_two_indexes_can_still_be_changed),
        T(what_the_deployed_file_names_no_longer_may_go),
        T(without_a_deployed_file_nothing_may_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
