/* Read-only mode: whose writes are stopped, when, and for how long. */
#include "bed.h"

#include "engine/engine_int.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

static const char refused[] =
    "Datastore writes are temporarily unavailable: the datastore is in "
    "read-only mode.";

static struct bytes one(struct bed *b)
{
    return make_ref(&b->arena, {"K", 1});
}

static int put(struct bed *b)
{
    struct bytes ref = one(b);

    return bed_write(b, ref, bed_entity(b, ref, "n", make_int(&b->arena, 7)),
                     NULL);
}

static void mode(struct bed *b, const char *app, bool on)
{
    bed_ok(b, engine_read_only_set(&b->ctx, b->engine, bytes_str(app), on));
}

ON_EACH_BACKEND(a_stopped_app_reads_and_does_not_write)
{
    struct txn_options o = {.mode = TXN_READ_WRITE};
    struct bytes ref = one(b);
    struct engine_mutation m = {.key = bed_key(b, ref)};
    struct txn_result result;
    struct txn *txn;
    uint64_t handle;
    int64_t id;

    bed_put(b, ref, 3);
    mode(b, "shop", true);
    bed_fails(b, put(b), ERR_DISABLED, refused);
    bed_fails(b, bed_write(b, ref, BYTES_NONE, NULL), ERR_DISABLED, refused);
    bed_fails(b, engine_ids_auto(&b->ctx, b->engine, b->ctx.app, 1, &id),
              ERR_DISABLED, refused);
    bed_fails(b, engine_ids_range(&b->ctx, b->engine, b->ctx.app, 1, &id),
              ERR_DISABLED, refused);
    bed_fails(b, engine_ids_reserve(&b->ctx, b->engine, b->ctx.app, &id, 1),
              ERR_DISABLED, refused);
    assert_int_equal(bed_value(bed_get(b, NULL, ref)), 3);

    bed_ok(b, txn_begin(&b->ctx, b->engine, &o, &handle));
    bed_ok(b, txn_enter(&b->ctx, b->engine, handle, &txn));
    assert_int_equal(bed_value(bed_get(b, txn, ref)), 3);
    bed_fails(b, txn_write(&b->ctx, txn, &m), ERR_DISABLED, refused);
    txn_leave(txn);
    bed_ok(b, txn_commit(&b->ctx, b->engine, handle, &result));

    mode(b, "shop", false);
    bed_ok(b, put(b));
}

ON_EACH_BACKEND(a_commit_that_comes_too_late_writes_nothing)
{
    struct txn_options o = {.mode = TXN_READ_WRITE};
    struct bytes ref = one(b);
    struct engine_mutation m = {
        .key = bed_key(b, ref),
        .entity = bed_entity(b, ref, "n", make_int(&b->arena, 7)),
    };
    struct txn_result result;
    struct txn *txn;
    uint64_t handle;

    bed_ok(b, txn_begin(&b->ctx, b->engine, &o, &handle));
    bed_ok(b, txn_enter(&b->ctx, b->engine, handle, &txn));
    bed_ok(b, txn_write(&b->ctx, txn, &m));
    txn_leave(txn);
    mode(b, "shop", true);
    bed_fails(b, txn_commit(&b->ctx, b->engine, handle, &result), ERR_DISABLED,
              refused);
    assert_false(bed_get(b, NULL, ref).found);
}

ON_EACH_BACKEND(the_mode_is_of_one_app_or_of_all)
{
    mode(b, "s~books", true);
    bed_ok(b, put(b));
    b->ctx.app = BYTES_LIT("books");
    assert_int_equal(
        engine_write_allowed(&b->ctx, b->engine, BYTES_LIT("books")),
        ERR_DISABLED);
    ctx_err_clear(&b->ctx);
    b->ctx.app = BYTES_LIT("shop");
    mode(b, "", true);
    bed_fails(b, put(b), ERR_DISABLED, refused);
    mode(b, "shop", false); /* that of all stands */
    bed_fails(b, put(b), ERR_DISABLED, refused);
    mode(b, "", false);
    bed_ok(b, put(b));
    assert_int_equal(
        engine_write_allowed(&b->ctx, b->engine, BYTES_LIT("books")),
        ERR_DISABLED);
    ctx_err_clear(&b->ctx);
}

static void the_mode_outlives_a_restart(void **state)
{
    struct bed b;

    (void)state;
    bed_open(&b, "rocksdb");
    mode(&b, "shop", true);
    bed_stop(&b);
    bed_start(&b);
    bed_fails(&b, put(&b), ERR_DISABLED, refused);
    mode(&b, "shop", false);
    bed_stop(&b);
    bed_start(&b);
    bed_ok(&b, put(&b));
    bed_close(&b);
}

/* Another engine on the same store is another server. */
static void another_server_follows(void **state)
{
    struct engine *other;
    struct bed b;

    (void)state;
    bed_open(&b, "memory");
    bed_ok(&b, engine_open(&b.ctx, b.storage, &other));
    bed_ok(&b, engine_read_only_set(&b.ctx, other, BYTES_LIT("shop"), true));
    bed_ok(&b, put(&b));
    bed_ok(&b, read_only_load(&b.ctx, b.engine)); /* what each tick does */
    bed_fails(&b, put(&b), ERR_DISABLED, refused);
    engine_close(other);
    bed_close(&b);
}

static void a_frozen_engine_takes_no_writes_and_leaves_no_row(void **state)
{
    struct bed b;

    (void)state;
    bed_open(&b, "rocksdb");
    engine_freeze(b.engine);
    bed_fails(&b, put(&b), ERR_DISABLED, refused);
    mode(&b, "shop", false); /* does not thaw */
    bed_fails(&b, put(&b), ERR_DISABLED, refused);
    bed_stop(&b);
    bed_start(&b);
    bed_ok(&b, put(&b));
    bed_close(&b);
}

/* ---- what is under way ---- */

static void *switch_on(void *arg)
{
    struct bed *b = arg;
    struct arena arena = ARENA_INIT;
    struct ctx ctx;
    int rc;

    ctx_init(&ctx, &arena);
    rc = engine_read_only_set(&ctx, b->engine, BYTES_LIT("shop"), true);
    arena_release(&arena);
    return (void *)(intptr_t)rc;
}

static void the_switch_waits_for_a_write_under_way(void **state)
{
    struct bed b;
    pthread_t thread;
    void *rc;

    (void)state;
    bed_open(&b, "memory");
    bed_ok(&b, engine_write_begin(&b.ctx, b.engine, b.ctx.app));
    pthread_create(&thread, NULL, switch_on, &b);
    /* In force as soon as the row is there; the write goes on meanwhile. */
    while (engine_write_allowed(&b.ctx, b.engine, b.ctx.app) == 0)
        sched_yield();
    ctx_err_clear(&b.ctx);
    assert_int_equal(pthread_tryjoin_np(thread, NULL), EBUSY);
    engine_write_end(b.engine, b.ctx.app);
    pthread_join(thread, &rc);
    assert_int_equal((intptr_t)rc, 0);
    bed_close(&b);
}

static void a_write_that_does_not_end_is_told(void **state)
{
    struct bed b;

    (void)state;
    bed_open(&b, "memory");
    bed_ok(&b, engine_write_begin(&b.ctx, b.engine, b.ctx.app));
    b.ctx.deadline = clock_mono() + 50 * CLOCK_MS;
    assert_int_equal(engine_read_only_set(&b.ctx, b.engine, b.ctx.app, true),
                     ERR_DEADLINE);
    ctx_err_clear(&b.ctx);
    b.ctx.deadline = CTX_FOREVER;
    engine_write_end(b.engine, b.ctx.app);
    bed_fails(&b, put(&b), ERR_DISABLED, refused);
    bed_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stopped_app_reads_and_does_not_write),
        cmocka_unit_test(a_commit_that_comes_too_late_writes_nothing),
        cmocka_unit_test(the_mode_is_of_one_app_or_of_all),
        cmocka_unit_test(the_mode_outlives_a_restart),
        cmocka_unit_test(another_server_follows),
        cmocka_unit_test(a_frozen_engine_takes_no_writes_and_leaves_no_row),
        cmocka_unit_test(the_switch_waits_for_a_write_under_way),
        cmocka_unit_test(a_write_that_does_not_end_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
