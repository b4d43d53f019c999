/*
 * What a kill -9 leaves.  The victim is this program run again with the name
 * of what it shall do and the folder to do it in.
 */
#include "bed.h"

#include <signal.h>

enum { ENTITIES = 450, REMOVED = 2500, ACCOUNTS = 4, MONEY = 100 };

static void bed_at(struct bed *b, const char *path)
{
    memset(b, 0, sizeof(*b));
    b->backend = "rocksdb";
    ctx_init(&b->ctx, &b->arena);
    b->ctx.app = BYTES_LIT("shop");
    snprintf(b->path, sizeof(b->path), "%s", path);
    bed_start(b);
}

/* ---- the victims ---- */

static void build_index(struct bed *b)
{
    for (int i = 1; i <= ENTITIES; i++)
        bed_put(b, make_ref(&b->arena, {"K", i}), i);
    bed_ok(b, engine_indexes_set(&b->ctx, b->engine, b->ctx.app,
                                 BYTES_LIT("indexes:\n- kind: K\n"
                                           "  properties:\n"
                                           "  - name: n\n"
                                           "    direction: desc\n"),
                                 NULL, NULL));
    errinj_set("engine.index.build.crash", 1, 1);
    bed_ok(b, engine_start(&b->ctx, b->engine));
    for (;;)
        pause();
}

/* Three pages of rows, the second of them under way. */
static void remove_index(struct bed *b)
{
    struct index_column n = {BYTES_LIT("n"), true};
    struct index_def def = {.kind = BYTES_LIT("K"), .columns = &n, .n = 1};
    int64_t id;

    for (int i = 1; i <= REMOVED; i += 500) {
        struct engine_mutation m[500];
        struct engine_cost cost;

        for (int j = 0; j < 500; j++) {
            struct bytes ref = make_ref(&b->arena, {"K", i + j});

            m[j] = (struct engine_mutation){
                .key = bed_key(b, ref),
                .entity = bed_entity(b, ref, "n", make_int(&b->arena, j)),
            };
        }
        bed_ok(b, engine_write(&b->ctx, b->engine, m, 500, &cost));
    }
    bed_ok(b, index_create(&b->ctx, b->engine, b->ctx.app, &def, true, &id));
    bed_ok(b, index_delete(&b->ctx, b->engine, b->ctx.app, id));
    errinj_set("engine.index.remove.crash", 1, 1);
    bed_ok(b, engine_start(&b->ctx, b->engine));
    for (;;)
        pause();
}

static struct engine_mutation account(struct bed *b, int id, int64_t money)
{
    struct bytes ref = make_ref(&b->arena, {"K", id});

    return (struct engine_mutation){
        .key = bed_key(b, ref),
        .entity = bed_entity(b, ref, "n", make_int(&b->arena, money)),
    };
}

/* One from an account to the next, for ever. */
static void transfer(struct bed *b)
{
    struct txn_options o = {.cross_group = true};

    for (int i = 1; i <= ACCOUNTS; i++)
        bed_put(b, make_ref(&b->arena, {"K", i}), MONEY);
    errinj_set("engine.txn.commit.crash", 1, 25);
    for (int i = 0;; i++) {
        int from = 1 + i % ACCOUNTS, to = 1 + (i + 1) % ACCOUNTS;
        struct engine_mutation m[2] = {
            account(
                b, from,
                bed_value(bed_get(b, NULL, make_ref(&b->arena, {"K", from}))) -
                    1),
            account(
                b, to,
                bed_value(bed_get(b, NULL, make_ref(&b->arena, {"K", to}))) +
                    1),
        };
        struct txn_result r;
        uint64_t handle;
        struct txn *t;

        bed_ok(b, txn_begin(&b->ctx, b->engine, &o, &handle));
        bed_ok(b, txn_enter(&b->ctx, b->engine, handle, &t));
        bed_ok(b, txn_write(&b->ctx, t, &m[0]));
        bed_ok(b, txn_write(&b->ctx, t, &m[1]));
        txn_leave(t);
        bed_ok(b, txn_commit(&b->ctx, b->engine, handle, &r));
    }
}

static const struct victim {
    const char *name;
    void (*run)(struct bed *b);
} victims[] = {
    {"build_index", build_index},
    {"remove_index", remove_index},
    {"transfer", transfer},
};

static int be_victim(const char *name, const char *path)
{
    struct bed b;

    bed_at(&b, path);
    for (size_t i = 0; i < sizeof(victims) / sizeof(*victims); i++) {
        if (strcmp(victims[i].name, name) == 0)
            victims[i].run(&b);
    }
    return 1;
}

/* Run a victim to its end, then open what it left. */
static void open_after(struct bed *b, const char *name)
{
    char path[8192];
    int status;
    pid_t pid;

    snprintf(path, sizeof(path), "%s/%s", test_dir(), name);
    pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "test_crash", name, path, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    bed_at(b, path);
}

/* ---- the tests ---- */

/* Start the engine and wait for the row that goes when all is done. */
static void finish_work(struct bed *b)
{
    struct storage_value v = {.found = true};
    struct storage_key todo;

    bed_ok(b, engine_start(&b->ctx, b->engine));
    todo = (struct storage_key){
        key_partition(&b->arena, BYTES_NONE, BYTES_NONE, KEY_META),
        BYTES_LIT("todo\0shop"),
    };
    for (int i = 0; i < 10000 && v.found; i++) {
        usleep(1000);
        bed_ok(b, storage_get(&b->ctx, b->storage, &todo, 1, &v));
    }
    assert_false(v.found);
}

static void a_removal_cut_short_is_done_by_the_next_start(void **state)
{
    const struct index_set *set;
    size_t left;
    struct bed b;

    open_after(&b, "remove_index");
    left = bed_rows(&b, KEY_COMPOSITES);
    assert_true(left > 0 && left < REMOVED);
    bed_ok(&b, index_set_ref(&b.ctx, b.engine, b.ctx.app, &set));
    assert_int_equal(set->n, 1);
    assert_int_equal(set->defs[0].state, INDEX_DELETED);
    index_set_unref(set);
    finish_work(&b);
    assert_int_equal(bed_rows(&b, KEY_COMPOSITES), 0);
    bed_ok(&b, index_set_ref(&b.ctx, b.engine, b.ctx.app, &set));
    assert_int_equal(set->n, 0);
    index_set_unref(set);
    assert_int_equal(bed_rows(&b, KEY_ENTITIES), REMOVED);
    bed_close(&b);
}

static void a_build_cut_short_is_done_by_the_next_start(void **state)
{
    struct bed b;

    open_after(&b, "build_index");
    assert_true(bed_rows(&b, KEY_COMPOSITES) < ENTITIES);
    finish_work(&b);
    assert_int_equal(bed_rows(&b, KEY_COMPOSITES), ENTITIES);
    bed_close(&b);
}

static void no_transaction_is_half_there(void **state)
{
    int64_t sum = 0;
    struct bed b;

    open_after(&b, "transfer");
    for (int i = 1; i <= ACCOUNTS; i++)
        sum += bed_value(bed_get(&b, NULL, make_ref(&b.arena, {"K", i})));
    assert_int_equal(sum, ACCOUNTS * MONEY);
    assert_int_equal(bed_rows(&b, KEY_PROPERTIES), ACCOUNTS);
    /* 25 transfers were acknowledged: the next to be made is from 2 */
    assert_int_equal(bed_value(bed_get(&b, NULL, make_ref(&b.arena, {"K", 1}))),
                     MONEY - 1);
    assert_int_equal(bed_value(bed_get(&b, NULL, make_ref(&b.arena, {"K", 2}))),
                     MONEY + 1);
    bed_close(&b);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_build_cut_short_is_done_by_the_next_start),
        cmocka_unit_test(a_removal_cut_short_is_done_by_the_next_start),
        cmocka_unit_test(no_transaction_is_half_there),
    };

    if (argc == 3)
        return be_victim(argv[1], argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
