#include "bed.h"

#include <pthread.h>

static uint64_t begin(struct bed *b, bool cross_group)
{
    struct txn_options o = {.cross_group = cross_group, .mode = TXN_READ_WRITE};
    uint64_t handle = 0;

    bed_ok(b, txn_begin(&b->ctx, b->engine, &o, &handle));
    assert_true(handle != 0);
    return handle;
}

static int try_get(struct bed *b, uint64_t handle, struct bytes ref,
                   int64_t *value)
{
    struct key key = bed_key(b, ref);
    struct engine_found found;
    struct txn *t;
    int rc = txn_enter(&b->ctx, b->engine, handle, &t);

    if (rc)
        return rc;
    rc = engine_get(&b->ctx, b->engine, t, &key, 1, &found);
    txn_leave(t);
    if (rc == 0)
        *value = bed_value(found);
    return rc;
}

static int64_t get(struct bed *b, uint64_t handle, struct bytes ref)
{
    int64_t value;

    bed_ok(b, try_get(b, handle, ref, &value));
    return value;
}

/* value -1: a delete */
static int try_put(struct bed *b, uint64_t handle, struct bytes ref,
                   int64_t value)
{
    struct engine_mutation m = {.key = bed_key(b, ref)};
    struct txn *t;
    int rc = txn_enter(&b->ctx, b->engine, handle, &t);

    if (rc)
        return rc;
    if (value >= 0)
        m.entity = bed_entity(b, ref, "n", make_int(&b->arena, value));
    rc = txn_write(&b->ctx, t, &m);
    txn_leave(t);
    return rc;
}

static void put(struct bed *b, uint64_t handle, struct bytes ref, int64_t value)
{
    bed_ok(b, try_put(b, handle, ref, value));
}

static int try_commit(struct bed *b, uint64_t handle)
{
    struct txn_result r;

    return txn_commit(&b->ctx, b->engine, handle, &r);
}

static const char conflict[] = "Concurrency exception.";

#define K(n_) make_ref(&b->arena, {"K", (n_)})

ON_EACH_BACKEND(writes_appear_at_the_commit_and_not_to_the_transaction)
{
    uint64_t t = begin(b, false);

    assert_int_equal(get(b, t, K(1)), -1);
    put(b, t, K(1), 5);
    assert_int_equal(get(b, t, K(1)), -1);
    assert_int_equal(bed_value(bed_get(b, NULL, K(1))), -1);
    bed_ok(b, try_commit(b, t));
    assert_int_equal(bed_value(bed_get(b, NULL, K(1))), 5);
}

ON_EACH_BACKEND(the_last_write_of_a_key_counts)
{
    struct txn_result r;
    uint64_t t = begin(b, false);

    put(b, t, K(1), 1);
    put(b, t, K(1), -1);
    put(b, t, K(1), 2);
    bed_ok(b, txn_commit(&b->ctx, b->engine, t, &r));
    assert_int_equal(r.n, 1);
    assert_int_equal(bed_get(b, NULL, K(1)).version, r.mutations[0].version);
    assert_int_equal(bed_value(bed_get(b, NULL, K(1))), 2);
}

ON_EACH_BACKEND(a_group_that_moved_since_it_was_read_is_a_conflict)
{
    struct bytes child = make_ref(&b->arena, {"K", 1}, {"C", 1});
    uint64_t t;

    /* another entity of the group, and one that was missing when read */
    const struct bytes moved[] = {child, K(1)};
    for (int i = 0; i < 2; i++) {
        t = begin(b, false);
        get(b, t, K(1));
        bed_put(b, moved[i], 100 + i);
        put(b, t, K(1), 5);
        bed_fails(b, try_commit(b, t), ERR_CONFLICT, conflict);
        /* and the handle is gone */
        assert_int_equal(try_commit(b, t), ERR_INVALID);
        ctx_err_clear(&b->ctx);
    }
    assert_int_equal(bed_value(bed_get(b, NULL, K(1))), 101);
}

ON_EACH_BACKEND(what_was_read_in_one_group_guards_a_write_in_another)
{
    uint64_t t = begin(b, true);

    get(b, t, K(1));
    put(b, t, K(2), 5);
    bed_put(b, K(1), 1);
    bed_fails(b, try_commit(b, t), ERR_CONFLICT, conflict);
    assert_false(bed_get(b, NULL, K(2)).found);
}

ON_EACH_BACKEND(blind_writes_never_conflict)
{
    uint64_t t = begin(b, false);

    bed_put(b, K(1), 1);
    put(b, t, K(1), 2);
    bed_put(b, K(1), 3);
    bed_ok(b, try_commit(b, t));
    assert_int_equal(bed_value(bed_get(b, NULL, K(1))), 2);
    assert_int_equal(bed_rows(b, KEY_PROPERTIES), 1);
}

ON_EACH_BACKEND(a_transaction_that_wrote_nothing_commits)
{
    uint64_t t = begin(b, false);

    get(b, t, K(1));
    bed_put(b, K(1), 1);
    bed_ok(b, try_commit(b, t));
}

ON_EACH_BACKEND(a_transaction_never_sees_a_mix_of_two_moments)
{
    uint64_t t = begin(b, true);
    int64_t value;

    get(b, t, K(1));
    bed_put(b, K(1), 1);
    bed_fails(b, try_get(b, t, K(2), &value), ERR_CONFLICT, conflict);
}

ON_EACH_BACKEND(a_put_of_the_same_entity_in_a_transaction_moves_the_group)
{
    uint64_t t, other;

    bed_put(b, K(1), 1);
    t = begin(b, false);
    get(b, t, K(1));
    other = begin(b, false);
    put(b, other, K(1), 1);
    bed_ok(b, try_commit(b, other));
    put(b, t, K(1), 2);
    bed_fails(b, try_commit(b, t), ERR_CONFLICT, conflict);
}

ON_EACH_BACKEND(a_put_of_the_same_entity_moves_the_group)
{
    int64_t version = bed_put(b, K(1), 1);
    uint64_t t = begin(b, false);

    get(b, t, K(1));
    assert_int_equal(bed_put(b, K(1), 1), version);
    put(b, t, K(1), 2);
    bed_fails(b, try_commit(b, t), ERR_CONFLICT, conflict);
}

ON_EACH_BACKEND(the_delete_of_nothing_disturbs_nobody)
{
    uint64_t t = begin(b, false);

    get(b, t, K(1));
    bed_ok(b, bed_write(b, K(1), BYTES_NONE, NULL));
    put(b, t, K(1), 2);
    bed_ok(b, try_commit(b, t));
}

ON_EACH_BACKEND(groups_are_limited)
{
    uint64_t t = begin(b, false);
    int64_t value;

    get(b, t, K(1));
    bed_fails(b, try_get(b, t, K(2), &value), ERR_INVALID,
              "cross-groups transaction need to be explicitly specified "
              "(xg=True)");
    bed_fails(b, try_put(b, t, K(2), 1), ERR_INVALID,
              "cross-groups transaction need to be explicitly specified "
              "(xg=True)");
    bed_ok(b, txn_rollback(&b->ctx, b->engine, t));
    t = begin(b, true);
    for (int i = 1; i <= TXN_GROUPS_MAX; i++)
        put(b, t, K(i), i);
    bed_fails(b, try_put(b, t, K(26), 1), ERR_INVALID,
              "operating on too many entity groups in a single transaction.");
    bed_ok(b, try_commit(b, t));
    assert_int_equal(bed_rows(b, KEY_ENTITIES), TXN_GROUPS_MAX);
}

ON_EACH_BACKEND(a_read_only_transaction_does_not_write)
{
    struct txn_options o = {.mode = TXN_READ_ONLY};
    uint64_t t;

    bed_ok(b, txn_begin(&b->ctx, b->engine, &o, &t));
    assert_int_equal(get(b, t, K(1)), -1);
    bed_fails(b, try_put(b, t, K(1), 1), ERR_INVALID,
              "Cannot modify entities in a read-only transaction.");
    bed_ok(b, try_commit(b, t));
}

ON_EACH_BACKEND(handles_are_of_one_app_and_one_life)
{
    uint64_t t = begin(b, false);
    char want[128];

    b->ctx.app = BYTES_LIT("other");
    snprintf(want, sizeof(want),
             "Transaction(<handle: %llu, app: \"other\", >) not found",
             (unsigned long long)t);
    bed_fails(b, try_commit(b, t), ERR_INVALID, want);
    b->ctx.app = BYTES_LIT("shop");
    bed_ok(b, txn_rollback(&b->ctx, b->engine, t));
    assert_int_equal(txn_rollback(&b->ctx, b->engine, t), ERR_INVALID);
    ctx_err_clear(&b->ctx);
    t = begin(b, false);
    errinj_set("engine.txn.expired", 1, 0);
    bed_fails(b, try_commit(b, t), ERR_INVALID,
              "The referenced transaction has expired or is no longer valid.");
}

ON_EACH_BACKEND(a_namespace_without_transactions_keeps_no_groups)
{
    const struct make_elem one[] = {{"K", 1}, {0}}, two[] = {{"K", 2}, {0}};
    struct bytes first = make_ref_in(&b->arena, "shop", "notrans_x", one);
    struct bytes second = make_ref_in(&b->arena, "shop", "notrans_x", two);
    struct bytes near = make_ref_in(&b->arena, "shop", "notrans", one);
    struct storage_range all = STORAGE_ALL;
    struct storage_page page;
    uint64_t t;

    bed_put(b, first, 1);
    t = begin(b, false); /* two groups are none there, and a third is one */
    assert_int_equal(get(b, t, first), 1);
    put(b, t, first, 2);
    put(b, t, second, 2);
    put(b, t, K(1), 2);
    bed_put(b, first, 7); /* no conflict: the transaction comes last */
    bed_ok(b, try_commit(b, t));
    assert_int_equal(bed_value(bed_get(b, NULL, first)), 2);
    assert_int_equal(bed_value(bed_get(b, NULL, second)), 2);
    assert_int_equal(bed_value(bed_get(b, NULL, K(1))), 2);
    bed_ok(b, storage_scan(&b->ctx, b->storage,
                           key_partition(&b->arena, b->ctx.app,
                                         BYTES_LIT("notrans_x"), KEY_GROUPS),
                           &all, STORAGE_FORWARD, 10, &page));
    assert_int_equal(page.n, 0);
    t = begin(b, false); /* the prefix alone makes it so */
    get(b, t, near);
    bed_put(b, near, 1);
    put(b, t, near, 2);
    bed_fails(b, try_commit(b, t), ERR_CONFLICT, conflict);
}

static const char expired[] =
    "The referenced transaction has expired or is no longer valid.";

ON_EACH_BACKEND(a_transaction_lives_sixty_seconds_and_idles_for_thirty)
{
    static const char *const times[] = {"txn.idle_ms", "txn.life_ms"};

    assert_int_equal(limit_of(LIMIT_TXN_IDLE_MS), 30000);
    assert_int_equal(limit_of(LIMIT_TXN_LIFE_MS), 60000);
    for (int i = 0; i < 2; i++) {
        uint64_t t = begin(b, false);

        put(b, t, K(1), 1);
        assert_true(limit_set(times[i], -1));
        bed_fails(b, try_commit(b, t), ERR_INVALID, expired);
        limits_reset();
        assert_false(bed_get(b, NULL, K(1)).found);
    }
    assert_false(limit_set("txn.nonsense", 1));
}

ON_EACH_BACKEND(a_commit_changes_so_many_entities_and_no_more)
{
    uint64_t t = begin(b, false);

    assert_int_equal(limit_of(LIMIT_TXN_ENTITIES), 500);
    limit_set("txn.entities", 2);
    for (int i = 1; i <= 3; i++)
        put(b, t, make_ref(&b->arena, {"K", 1}, {"C", i}), i);
    bed_fails(b, try_commit(b, t), ERR_INVALID,
              "cannot write more than 2 entities in a single transaction");
    assert_int_equal(bed_rows(b, KEY_ENTITIES), 0);
    assert_int_equal(bed_rows(b, KEY_GROUPS), 0);
    t = begin(b, false);
    for (int i = 1; i <= 6; i++) /* two entities, each three times */
        put(b, t, make_ref(&b->arena, {"K", 1}, {"C", 1 + i % 2}), i);
    bed_ok(b, try_commit(b, t));
    assert_int_equal(bed_rows(b, KEY_ENTITIES), 2);
}

ON_EACH_BACKEND(the_writes_of_a_transaction_have_a_size)
{
    uint64_t t = begin(b, false);

    assert_int_equal(limit_of(LIMIT_TXN_BYTES), 10 << 20);
    put(b, t, K(1), 1);
    limit_set("txn.bytes", 60);
    bed_fails(b, try_put(b, t, K(1), 2), ERR_INVALID,
              "datastore transaction or write too big: the writes of a "
              "transaction may have 60 bytes.");
    bed_ok(b, try_commit(b, t)); /* what was taken before */
    assert_int_equal(bed_value(bed_get(b, NULL, K(1))), 1);
}

ON_EACH_BACKEND(a_retry_names_the_transaction_it_repeats)
{
    struct txn_options o = {.mode = TXN_READ_WRITE};
    uint64_t first = begin(b, false), t;

    o.previous = first;
    o.cross_group = true;
    bed_fails(b, txn_begin(&b->ctx, b->engine, &o, &t), ERR_INVALID,
              "Transaction should have same options as previous_transaction");
    o.cross_group = false;
    o.mode = TXN_READ_ONLY;
    bed_fails(b, txn_begin(&b->ctx, b->engine, &o, &t), ERR_INVALID,
              "previous_transaction can only be set in READ_WRITE mode");
    o.mode = TXN_READ_WRITE;
    bed_ok(b, txn_begin(&b->ctx, b->engine, &o, &t));
    assert_int_equal(try_commit(b, first), ERR_INVALID); /* rolled back */
    ctx_err_clear(&b->ctx);
    bed_ok(b, txn_begin(&b->ctx, b->engine, &o, &t)); /* gone: fine as well */
}

ON_EACH_BACKEND(a_query_page_counts_only_while_its_group_stands)
{
    struct key key = bed_key(b, K(1));
    uint64_t handle = begin(b, false);
    struct txn *t;

    bed_ok(b, txn_enter(&b->ctx, b->engine, handle, &t));
    bed_ok(b, txn_read_group(&b->ctx, t, &key));
    bed_ok(b, txn_read_group(&b->ctx, t, &key));
    bed_put(b, make_ref(&b->arena, {"K", 1}, {"C", 9}), 1);
    bed_fails(b, txn_read_group(&b->ctx, t, &key), ERR_CONFLICT, conflict);
    txn_leave(t);
}

/* ---- transfers ---- */

enum { ACCOUNTS = 6, MONEY = 100, THREADS = 4, TRANSFERS = 60 };

/* Move one from an account to another; false when it has to be repeated. */
static bool transfer(struct bed *b, int64_t from, int64_t to)
{
    uint64_t t = begin(b, true);
    int64_t x, y;
    int rc = try_get(b, t, K(from), &x);

    if (rc == 0)
        rc = try_get(b, t, K(to), &y);
    if (rc == 0) {
        put(b, t, K(from), x - 1);
        put(b, t, K(to), y + 1);
        rc = try_commit(b, t);
    } else {
        txn_rollback(&b->ctx, b->engine, t);
    }
    if (rc && rc != ERR_CONFLICT)
        fail_msg("%s", ctx_err_text(&b->ctx, rc));
    return rc == 0;
}

static void *transfers(void *arg)
{
    const struct bed *shared = arg;
    unsigned seed = (unsigned)(uintptr_t)&seed;

    for (int done = 0; done < TRANSFERS;) {
        struct bed own = *shared;
        int64_t from = 1 + rand_r(&seed) % ACCOUNTS;
        int64_t to = 1 + (from + rand_r(&seed) % (ACCOUNTS - 1)) % ACCOUNTS;

        own.arena = (struct arena)ARENA_INIT;
        ctx_init(&own.ctx, &own.arena);
        own.ctx.app = shared->ctx.app;
        done += transfer(&own, from, to);
        arena_release(&own.arena);
    }
    return NULL;
}

ON_EACH_BACKEND(money_is_neither_made_nor_lost_by_many_threads)
{
    pthread_t threads[THREADS];
    int64_t sum = 0;

    for (int i = 1; i <= ACCOUNTS; i++)
        bed_put(b, K(i), MONEY);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, transfers, b);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 1; i <= ACCOUNTS; i++)
        sum += bed_value(bed_get(b, NULL, K(i)));
    assert_int_equal(sum, ACCOUNTS * MONEY);
    assert_int_equal(bed_rows(b, KEY_PROPERTIES), ACCOUNTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            writes_appear_at_the_commit_and_not_to_the_transaction),
        cmocka_unit_test(the_last_write_of_a_key_counts),
        cmocka_unit_test(a_group_that_moved_since_it_was_read_is_a_conflict),
        cmocka_unit_test(what_was_read_in_one_group_guards_a_write_in_another),
        cmocka_unit_test(blind_writes_never_conflict),
        cmocka_unit_test(a_transaction_that_wrote_nothing_commits),
        cmocka_unit_test(a_transaction_never_sees_a_mix_of_two_moments),
        cmocka_unit_test(
            a_put_of_the_same_entity_in_a_transaction_moves_the_group),
        cmocka_unit_test(a_put_of_the_same_entity_moves_the_group),
        cmocka_unit_test(the_delete_of_nothing_disturbs_nobody),
        cmocka_unit_test(groups_are_limited),
        cmocka_unit_test(a_read_only_transaction_does_not_write),
        cmocka_unit_test(handles_are_of_one_app_and_one_life),
        cmocka_unit_test(a_namespace_without_transactions_keeps_no_groups),
        cmocka_unit_test(
            a_transaction_lives_sixty_seconds_and_idles_for_thirty),
        cmocka_unit_test(a_commit_changes_so_many_entities_and_no_more),
        cmocka_unit_test(the_writes_of_a_transaction_have_a_size),
        cmocka_unit_test(a_retry_names_the_transaction_it_repeats),
        cmocka_unit_test(a_query_page_counts_only_while_its_group_stands),
        cmocka_unit_test(money_is_neither_made_nor_lost_by_many_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
