/* Statistics: what is counted, how it is written, and what is left out. */
#include "bed.h"

#include "engine/engine_int.h"
#include "engine/job.h"
#include "engine/stats_int.h"

#include <sched.h>

static void run(struct bed *b, int want)
{
    struct engine_job_spec spec = {.kind = ENGINE_JOB_STATS, .app = b->ctx.app};
    struct engine_job_state state;
    int64_t id;

    bed_ok(b, engine_job_start(&b->ctx, b->engine, &spec, &id));
    do {
        sched_yield();
        bed_ok(b, engine_job_look(&b->ctx, b->engine, id, &state));
    } while (!state.done);
    if (state.rc != want)
        fail_msg("%d: %s", state.rc, state.why ? state.why : "ok");
}

static struct stats_summary summary(struct bed *b)
{
    struct stats_summary s;

    bed_ok(b, engine_stats_read(&b->ctx, b->engine, b->ctx.app, &s));
    return s;
}

static struct bytes in_space(struct bed *b, const char *space,
                             struct make_elem e)
{
    const struct make_elem path[] = {e, {0}};

    return make_ref_in(&b->arena, "shop", space, path);
}

/* An entity of the statistics by its kind and name. */
static struct engine_found stat(struct bed *b, const char *space,
                                const char *kind, const char *name)
{
    return bed_get(b, NULL,
                   in_space(b, space, (struct make_elem){kind, 0, name}));
}

static int64_t figure(struct engine_found found, const char *name)
{
    struct entity_walk w = ENTITY_WALK(found.entity);
    struct entity_prop p;
    struct value v;

    while (found.found && entity_next(&w, &p)) {
        if (bytes_eq_str(p.name, name) && value_read(p.value, &v))
            return (int64_t)v.u64;
    }
    return -1;
}

/* What the rows of a table take. */
static int64_t bytes_of(struct bed *b, const char *space, enum key_table table)
{
    struct storage_range all = STORAGE_ALL;
    struct storage_page page;
    int64_t sum = 0;

    bed_ok(b, storage_scan(
                  &b->ctx, b->storage,
                  key_partition(&b->arena, b->ctx.app, bytes_str(space), table),
                  &all, STORAGE_FORWARD, STORAGE_PAGE_ROWS, &page));
    for (size_t i = 0; i < page.n; i++)
        sum += (int64_t)(page.rows[i].row.n + page.rows[i].value.n);
    return sum;
}

static void fill(struct bed *b)
{
    struct index_column column = {.name = BYTES_LIT("n")};
    struct index_def def = {
        .kind = BYTES_LIT("Toy"), .ancestor = true, .columns = &column, .n = 1};
    int64_t id;

    bed_ok(b, index_create(&b->ctx, b->engine, b->ctx.app, &def, true, &id));
    bed_put(b, make_ref(&b->arena, {"Box", 1}), 1);
    bed_put(b, make_ref(&b->arena, {"Box", 1}, {"Toy", 1}), 2);
    bed_put(b, make_ref(&b->arena, {"Box", 1}, {"Toy", 2}), 3);
    bed_put(b, in_space(b, "west", (struct make_elem){"Box", 7}), 4);
    bed_ok(b, engine_start(&b->ctx, b->engine));
}

ON_EACH_BACKEND(every_entity_and_row_is_counted_once)
{
    struct stats_summary s;
    int64_t entities, builtin, composite;

    fill(b);
    assert_int_equal(summary(b).timestamp, 0);
    entities =
        bytes_of(b, "", KEY_ENTITIES) + bytes_of(b, "west", KEY_ENTITIES);
    builtin = bytes_of(b, "", KEY_KINDS) + bytes_of(b, "west", KEY_KINDS) +
              bytes_of(b, "", KEY_PROPERTIES) +
              bytes_of(b, "west", KEY_PROPERTIES);
    composite = bytes_of(b, "", KEY_COMPOSITES);
    for (int i = 0; i < 2; i++) { /* not counted in themselves */
        run(b, 0);
        s = summary(b);
        assert_int_equal(s.total.count, 4);
        assert_int_equal(s.total.entity_bytes, entities);
        assert_int_equal(s.total.builtin_index_bytes, builtin);
        assert_int_equal(s.total.builtin_index_count, 8);
        assert_int_equal(s.total.composite_index_bytes, composite);
        assert_int_equal(s.total.composite_index_count, 4);
        assert_int_equal(s.n_kinds, 2);
        assert_string_equal(arena_cstr(&b->arena, s.kinds[0].kind), "Box");
        assert_int_equal(s.kinds[0].figures.count, 2);
        assert_int_equal(s.kinds[1].figures.composite_index_count, 4);
    }
    assert_int_equal(
        figure(stat(b, "", "__Stat_Total__", "total_entity_usage"), "bytes"),
        entities + builtin + composite);
}

ON_EACH_BACKEND(each_kind_of_statistics_has_its_entities)
{
    struct engine_found f;

    fill(b);
    run(b, 0);
    assert_int_equal(
        figure(stat(b, "", "__Stat_Kind_IsRootEntity__", "Box"), "count"), 2);
    assert_int_equal(
        figure(stat(b, "", "__Stat_Kind_NotRootEntity__", "Toy"), "count"), 2);
    assert_int_equal(
        figure(stat(b, "", "__Stat_PropertyType__", "Integer"), "count"), 4);
    f = stat(b, "", "__Stat_PropertyName_Kind__", "n_Toy");
    assert_int_equal(figure(f, "count"), 2);
    assert_int_equal(figure(f, "builtin_index_count"), 2);
    assert_int_equal(
        figure(stat(b, "", "__Stat_PropertyType_Kind__", "Integer_Toy"),
               "count"),
        2);
    assert_int_equal(
        figure(stat(b, "", "__Stat_PropertyType_PropertyName_Kind__",
                    "Integer_n_Box"),
               "count"),
        2);
    f = stat(b, "", "__Stat_Kind_CompositeIndex__", "Toy_1");
    assert_int_equal(figure(f, "count"), 4);
    assert_int_equal(figure(f, "index_id"), 1);
    assert_int_equal(figure(f, "entity_bytes"), -1);
    assert_int_equal(figure(stat(b, "", "__Stat_Namespace__", "west"), "count"),
                     1);
    assert_int_equal(
        figure(bed_get(b, NULL, make_ref(&b->arena, {"__Stat_Namespace__", 1})),
               "count"),
        3);
    assert_int_equal(
        figure(stat(b, "west", "__Stat_Ns_Kind__", "Box"), "count"), 1);
    assert_int_equal(
        figure(stat(b, "west", "__Stat_Ns_Total__", "total_entity_usage"),
               "count"),
        1);
    assert_int_equal(
        figure(stat(b, "", "__Stat_Ns_Total__", "total_entity_usage"), "count"),
        3);
    assert_false(stat(b, "west", "__Stat_Total__", "total_entity_usage").found);
}

/* Its rows take room, and it is nobody's property. */
ON_EACH_BACKEND(the_hidden_property_is_in_no_statistics_of_properties)
{
    struct bytes value, ref;
    struct key key;
    int64_t id = 1;

    do {
        ref = make_ref(&b->arena, {"Dot", id++});
        key = bed_key(b, ref);
    } while (!index_scatter(&b->arena, &key, &value));
    bed_put(b, ref, 1);
    bed_ok(b, engine_start(&b->ctx, b->engine));
    run(b, 0);
    assert_int_equal(summary(b).total.builtin_index_count, 3);
    assert_true(stat(b, "", "__Stat_PropertyName_Kind__", "n_Dot").found);
    assert_false(
        stat(b, "", "__Stat_PropertyName_Kind__", "__scatter___Dot").found);
    assert_false(stat(b, "", "__Stat_PropertyType__", "String").found);
}

ON_EACH_BACKEND(what_is_gone_leaves_the_statistics)
{
    fill(b);
    run(b, 0);
    bed_ok(b, bed_write(b, in_space(b, "west", (struct make_elem){"Box", 7}),
                        BYTES_NONE, NULL));
    run(b, 0);
    assert_int_equal(summary(b).total.count, 3);
    assert_false(stat(b, "west", "__Stat_Ns_Kind__", "Box").found);
    assert_false(stat(b, "", "__Stat_Namespace__", "west").found);
}

/* All or nothing: a run that fails leaves those of the last one. */
ON_EACH_BACKEND(a_run_that_fails_changes_nothing)
{
    struct stats_summary before, after;

    fill(b);
    run(b, 0);
    before = summary(b);
    bed_put(b, make_ref(&b->arena, {"Box", 2}), 1);
    errinj_set("storage.commit.no_space", 1000, 0);
    run(b, ERR_NO_SPACE);
    errinj_clear();
    after = summary(b);
    assert_int_equal(after.timestamp, before.timestamp);
    assert_int_equal(after.total.count, before.total.count);
    run(b, 0);
    assert_int_equal(summary(b).total.count, 5);
}

ON_EACH_BACKEND(statistics_of_nothing_are_a_total_of_zero)
{
    bed_ok(b, engine_start(&b->ctx, b->engine));
    run(b, 0);
    assert_true(summary(b).timestamp > 0);
    assert_int_equal(summary(b).total.count, 0);
    assert_int_equal(summary(b).n_kinds, 0);
}

/* A verification after a run has nothing to find: rows and groups are there. */
ON_EACH_BACKEND(statistics_are_whole_entities)
{
    struct engine_job_spec spec = {ENGINE_JOB_VERIFY, b->ctx.app, false};
    struct engine_job_state state;
    int64_t id;

    fill(b);
    run(b, 0);
    bed_ok(b, engine_job_start(&b->ctx, b->engine, &spec, &id));
    do {
        sched_yield();
        bed_ok(b, engine_job_look(&b->ctx, b->engine, id, &state));
    } while (!state.done);
    assert_int_equal(state.rc, 0);
    for (int i = 0; i < VERIFY_FAULTS; i++)
        assert_int_equal(state.report.found[i], 0);
}

/* ---- the table ---- */

static int count_detail(const struct stats_entry *e, void *arg)
{
    int *counts = arg;

    counts[e->in_space ? stats_rows[e->id].space_detail
                       : stats_rows[e->id].detail]++;
    return 0;
}

static void the_most_detailed_are_left_out_first(void **state)
{
    struct stats_table *t = stats_table_new(50);
    int counts[STATS_DETAILS] = {0};
    char name[16];

    (void)state;
    stats_entry(t, &(struct stats_entry){.id = STATS_TOTAL_ROW});
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "K%d", i);
        assert_non_null(
            stats_entry(t, &(struct stats_entry){.id = STATS_KIND_ROW,
                                                 .kind = bytes_str(name)}));
        stats_entry(t, &(struct stats_entry){.id = STATS_NAME_KIND_ROW,
                                             .kind = bytes_str(name),
                                             .name = BYTES_LIT("n")});
        stats_entry(t, &(struct stats_entry){.id = STATS_NAME_KIND_ROW,
                                             .in_space = true,
                                             .kind = bytes_str(name),
                                             .name = BYTES_LIT("n")});
    }
    stats_each(t, count_detail, counts);
    assert_int_equal(stats_count(t), 41);
    assert_int_equal(counts[0], 1);
    assert_int_equal(counts[2], 40);
    /* Kinds beyond the room go as well; the total stays. */
    for (int i = 40; i < 60; i++) {
        snprintf(name, sizeof(name), "K%d", i);
        stats_entry(t, &(struct stats_entry){.id = STATS_KIND_ROW,
                                             .kind = bytes_str(name)});
    }
    assert_int_equal(stats_count(t), 1);
    assert_non_null(
        stats_entry(t, &(struct stats_entry){.id = STATS_TOTAL_ROW}));
    stats_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entity_and_row_is_counted_once),
        cmocka_unit_test(each_kind_of_statistics_has_its_entities),
        cmocka_unit_test(the_hidden_property_is_in_no_statistics_of_properties),
        cmocka_unit_test(what_is_gone_leaves_the_statistics),
        cmocka_unit_test(a_run_that_fails_changes_nothing),
        cmocka_unit_test(statistics_of_nothing_are_a_total_of_zero),
        cmocka_unit_test(statistics_are_whole_entities),
        cmocka_unit_test(the_most_detailed_are_left_out_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
