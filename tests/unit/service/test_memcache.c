/*
 * The methods against a real memcached, which the test starts on a socket in
 * its own folder, kills, and starts again.
 */
#include "fixture.h"

#include "memcache.pb.h"
#include "service/memcache/memcache.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

static char socket_path[100];
static pid_t memcached_pid;
static struct service_env env;
static struct arena arena;
static struct ctx ctx;

/* ---- memcached ---- */

static bool answers(void)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    bool ok;

    snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", socket_path);
    ok = connect(fd, (void *)&sun, sizeof(sun)) == 0;
    close(fd);
    return ok;
}

static void memcached_start(void)
{
    struct timespec ms = {.tv_nsec = 1000000};

    memcached_pid = fork();
    if (memcached_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when an assertion fails */
        execlp("memcached", "memcached", "-u", "root", "-s", socket_path, "-m",
               "64", "-I", "2m", "-t", "2", (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 5000 && !answers(); i++)
        nanosleep(&ms, NULL);
    assert_true(answers());
}

static void memcached_kill(void)
{
    kill(memcached_pid, SIGKILL);
    waitpid(memcached_pid, NULL, 0);
    memcached_pid = 0;
    unlink(socket_path);
}

/* ---- a request ---- */

static void as_app(const char *app)
{
    ctx.app = bytes_str(app);
}

static void ctx_begin(struct ctx *c, struct arena *a)
{
    ctx_init(c, a);
    c->env = &env;
    c->app = BYTES_LIT("guestbook");
    c->deadline = clock_mono() + 20 * CLOCK_SEC;
}

static int begin(void **state)
{
    (void)state;
    if (!memcached_pid)
        memcached_start();
    arena_reset(&arena);
    ctx_begin(&ctx, &arena);
    assert_int_equal(memcache_open(&ctx, socket_path, &env.memcache), 0);
    for (int i = 0; i < 2; i++) {
        as_app(i ? "guestbook" : "other");
        assert_int_equal(
            memcache_flush_all(&ctx, memcache_MemcacheFlushRequest_new(&ctx),
                               memcache_MemcacheFlushResponse_new(&ctx)),
            0);
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    memcache_close(env.memcache);
    return 0;
}

/* ---- calls in one line ---- */

struct set {
    const char *ns, *key;
    struct bytes value;
    uint32_t flags, expiration;
    int policy;
    const uint64_t *cas;
};

static int set_call(struct ctx *c, const struct set *s)
{
    struct memcache_MemcacheSetRequest *in = memcache_MemcacheSetRequest_new(c);
    struct memcache_MemcacheSetResponse *out =
        memcache_MemcacheSetResponse_new(c);
    struct memcache_MemcacheSetRequest_Item *i =
        memcache_MemcacheSetRequest_add_item(c, in);
    int rc;

    if (s->ns)
        memcache_MemcacheSetRequest_set_name_space(in, bytes_str(s->ns));
    memcache_MemcacheSetRequest_Item_set_key(i, bytes_str(s->key));
    memcache_MemcacheSetRequest_Item_set_value(i, s->value);
    memcache_MemcacheSetRequest_Item_set_flags(i, s->flags);
    memcache_MemcacheSetRequest_Item_set_expiration_time(i, s->expiration);
    if (s->policy)
        memcache_MemcacheSetRequest_Item_set_set_policy(i, s->policy);
    if (s->cas)
        memcache_MemcacheSetRequest_Item_set_cas_id(i, *s->cas);
    rc = memcache_set(c, in, out);
    return rc ? rc : memcache_MemcacheSetResponse_set_status(out, 0);
}

enum {
    SET = memcache_MemcacheSetRequest_SET,
    ADD = memcache_MemcacheSetRequest_ADD,
    REPLACE = memcache_MemcacheSetRequest_REPLACE,
    CAS = memcache_MemcacheSetRequest_CAS,
    STORED = memcache_MemcacheSetResponse_STORED,
    NOT_STORED = memcache_MemcacheSetResponse_NOT_STORED,
    EXISTS = memcache_MemcacheSetResponse_EXISTS,
    DELETED = memcache_MemcacheDeleteResponse_DELETED,
    NOT_FOUND = memcache_MemcacheDeleteResponse_NOT_FOUND,
};

static int put(const char *key, const char *value, int policy)
{
    return set_call(
        &ctx,
        &(struct set){.key = key, .value = bytes_str(value), .policy = policy});
}

/* How to ask for one key. */
enum { PLAIN = 0, FOR_CAS = 1, FOR_PEEK = 2 };

static const struct memcache_MemcacheGetResponse_Item *
get_item(struct ctx *c, const char *ns, const char *key, int how)
{
    struct memcache_MemcacheGetRequest *in = memcache_MemcacheGetRequest_new(c);
    struct memcache_MemcacheGetResponse *out =
        memcache_MemcacheGetResponse_new(c);

    memcache_MemcacheGetRequest_add_key(c, in, bytes_str(key));
    if (ns)
        memcache_MemcacheGetRequest_set_name_space(in, bytes_str(ns));
    memcache_MemcacheGetRequest_set_for_cas(in, how & FOR_CAS);
    memcache_MemcacheGetRequest_set_for_peek(in, (how & FOR_PEEK) != 0);
    if (memcache_get(c, in, out) != 0)
        return NULL;
    return memcache_MemcacheGetResponse_n_item(out)
               ? memcache_MemcacheGetResponse_item(out, 0)
               : NULL;
}

#define assert_value(key_, want_)                                              \
    do {                                                                       \
        const struct memcache_MemcacheGetResponse_Item *i_ =                   \
            get_item(&ctx, NULL, key_, PLAIN);                                 \
        assert_non_null(i_);                                                   \
        assert_bytes(memcache_MemcacheGetResponse_Item_value(i_),              \
                     bytes_str(want_));                                        \
    } while (0)

#define assert_miss(key_) assert_null(get_item(&ctx, NULL, key_, PLAIN))

static int delete (const char *key, uint32_t lock)
{
    struct memcache_MemcacheDeleteRequest *in =
        memcache_MemcacheDeleteRequest_new(&ctx);
    struct memcache_MemcacheDeleteResponse *out =
        memcache_MemcacheDeleteResponse_new(&ctx);
    struct memcache_MemcacheDeleteRequest_Item *i =
        memcache_MemcacheDeleteRequest_add_item(&ctx, in);

    memcache_MemcacheDeleteRequest_Item_set_key(i, bytes_str(key));
    memcache_MemcacheDeleteRequest_Item_set_delete_time(i, lock);
    assert_int_equal(memcache_delete(&ctx, in, out), 0);
    return memcache_MemcacheDeleteResponse_delete_status(out, 0);
}

struct incr {
    const char *key;
    uint64_t delta;
    bool down;
    const uint64_t *initial;
    uint32_t flags;
};

static void incr_fill(struct memcache_MemcacheIncrementRequest *in,
                      const struct incr *i)
{
    memcache_MemcacheIncrementRequest_set_key(in, bytes_str(i->key));
    memcache_MemcacheIncrementRequest_set_delta(in, i->delta);
    if (i->down)
        memcache_MemcacheIncrementRequest_set_direction(
            in, memcache_MemcacheIncrementRequest_DECREMENT);
    if (i->initial)
        memcache_MemcacheIncrementRequest_set_initial_value(in, *i->initial);
    if (i->flags)
        memcache_MemcacheIncrementRequest_set_initial_flags(in, i->flags);
}

static int incr_call(struct ctx *c, const struct incr *i, bool *has,
                     uint64_t *value)
{
    struct memcache_MemcacheIncrementRequest *in =
        memcache_MemcacheIncrementRequest_new(c);
    struct memcache_MemcacheIncrementResponse *out =
        memcache_MemcacheIncrementResponse_new(c);
    int rc;

    incr_fill(in, i);
    rc = memcache_increment(c, in, out);
    *has = memcache_MemcacheIncrementResponse_has_new_value(out);
    *value = memcache_MemcacheIncrementResponse_new_value(out);
    return rc;
}

static uint64_t incr(const char *key, uint64_t delta, bool down)
{
    uint64_t value;
    bool has;

    assert_int_equal(
        incr_call(&ctx,
                  &(struct incr){.key = key, .delta = delta, .down = down},
                  &has, &value),
        0);
    assert_true(has);
    return value;
}

static void flush(void)
{
    assert_int_equal(
        memcache_flush_all(&ctx, memcache_MemcacheFlushRequest_new(&ctx),
                           memcache_MemcacheFlushResponse_new(&ctx)),
        0);
}

/* ---- tests ---- */

static void a_value_comes_back_with_its_flags(void **state)
{
    static const char all[] = "\0\r\n\xff VALUE END\r\n";
    const struct memcache_MemcacheGetResponse_Item *i;

    (void)state;
    assert_int_equal(set_call(&ctx, &(struct set){.key = "k",
                                                  .value = BYTES_LIT(all),
                                                  .flags = 0xfedcba98}),
                     STORED);
    i = get_item(&ctx, NULL, "k", PLAIN);
    assert_non_null(i);
    assert_bytes(memcache_MemcacheGetResponse_Item_value(i), BYTES_LIT(all));
    assert_int_equal(memcache_MemcacheGetResponse_Item_flags(i), 0xfedcba98);
    assert_false(memcache_MemcacheGetResponse_Item_has_cas_id(i));
    assert_false(memcache_MemcacheGetResponse_Item_has_timestamps(i));
    assert_miss("other key");
}

static void keys_of_any_length_and_bytes_are_different(void **state)
{
    char *a = arena_zalloc(&arena, 5001), *b = arena_zalloc(&arena, 5001);

    (void)state;
    memset(a, 'x', 5000);
    memset(b, 'x', 5000);
    b[4999] = 'y';
    put(a, "of a", SET);
    put(b, "of b", SET);
    put("with blank\r\n", "of c", SET);
    put("", "of nothing", SET);
    assert_value(a, "of a");
    assert_value(b, "of b");
    assert_value("with blank\r\n", "of c");
    assert_value("", "of nothing");
}

static void apps_and_namespaces_cannot_see_each_other(void **state)
{
    static const struct {
        const char *app, *ns, *key;
    } at[] = {
        {"guestbook", NULL, "ab"}, {"guestbook", "a", "b"},
        {"guestbook", "ab", ""},   {"other", NULL, "ab"},
        {"other", "a", "b"},
    };
    (void)state;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
            struct bytes mine = bytes_str(arena_printf(&arena, "value %zu", i));
            const struct memcache_MemcacheGetResponse_Item *got;

            as_app(at[i].app);
            if (pass == 0) {
                assert_int_equal(set_call(&ctx, &(struct set){.ns = at[i].ns,
                                                              .key = at[i].key,
                                                              .value = mine}),
                                 STORED);
                continue;
            }
            got = get_item(&ctx, at[i].ns, at[i].key, PLAIN);
            assert_non_null(got);
            assert_bytes(memcache_MemcacheGetResponse_Item_value(got), mine);
        }
    }
}

static void another_apps_cache_cannot_be_named(void **state)
{
    static const struct {
        const char *app;
        int want;
    } cases[] = {{"other", ERR_DENIED},
                 {"s~other", ERR_DENIED},
                 {"guestbook", 0},
                 {"s~guestbook", 0}};
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct memcache_MemcacheGetRequest *in =
            memcache_MemcacheGetRequest_new(&ctx);

        ctx_err_clear(&ctx);
        memcache_AppOverride_set_app_id(
            memcache_MemcacheGetRequest_mut_override(&ctx, in),
            bytes_str(cases[i].app));
        assert_int_equal(
            memcache_get(&ctx, in, memcache_MemcacheGetResponse_new(&ctx)),
            cases[i].want);
    }
}

static void many_keys_come_in_one_answer_in_their_order(void **state)
{
    struct memcache_MemcacheGetRequest *in =
        memcache_MemcacheGetRequest_new(&ctx);
    struct memcache_MemcacheGetResponse *out =
        memcache_MemcacheGetResponse_new(&ctx);
    size_t at = 0;

    (void)state;
    for (int i = 0; i < 300; i++) {
        char *key = arena_printf(&arena, "k%d", i);

        if (i % 3 == 0)
            put(key, key, SET);
        memcache_MemcacheGetRequest_add_key(&ctx, in, bytes_str(key));
    }
    assert_int_equal(memcache_get(&ctx, in, out), 0);
    assert_int_equal(memcache_MemcacheGetResponse_n_item(out), 100);
    for (int i = 0; i < 300; i += 3, at++) {
        const struct memcache_MemcacheGetResponse_Item *item =
            memcache_MemcacheGetResponse_item(out, at);
        struct bytes want = bytes_str(arena_printf(&arena, "k%d", i));

        assert_bytes(memcache_MemcacheGetResponse_Item_key(item), want);
        assert_bytes(memcache_MemcacheGetResponse_Item_value(item), want);
    }
}

static void each_set_policy_says_what_it_found(void **state)
{
    static const struct {
        const char *label;
        int policy;
        bool there, locked;
        int want;
    } cases[] = {
        {"set on nothing", SET, false, false, STORED},
        {"set on a value", SET, true, false, STORED},
        {"set on a lock", SET, true, true, STORED},
        {"add on nothing", ADD, false, false, STORED},
        {"add on a value", ADD, true, false, NOT_STORED},
        {"add on a lock", ADD, true, true, NOT_STORED},
        {"replace on nothing", REPLACE, false, false, NOT_STORED},
        {"replace on a value", REPLACE, true, false, STORED},
        {"replace on a lock", REPLACE, true, true, NOT_STORED},
        {"cas without an id", CAS, true, false, NOT_STORED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *key = cases[i].label;

        if (cases[i].there)
            put(key, "old", SET);
        if (cases[i].locked)
            assert_int_equal(delete (key, 60), DELETED);
        assert_int_equal(put(key, "new", cases[i].policy), cases[i].want);
        if (cases[i].want == STORED)
            assert_value(key, "new");
        else if (cases[i].there && !cases[i].locked)
            assert_value(key, "old");
        else
            assert_miss(key);
    }
}

static int cas_with(const char *key, const char *value, uint64_t id)
{
    return set_call(&ctx, &(struct set){.key = key,
                                        .value = bytes_str(value),
                                        .policy = CAS,
                                        .cas = &id});
}

static uint64_t cas_id(const char *key)
{
    const struct memcache_MemcacheGetResponse_Item *i =
        get_item(&ctx, NULL, key, FOR_CAS);

    assert_non_null(i);
    return memcache_MemcacheGetResponse_Item_cas_id(i);
}

static void a_cas_stores_only_over_what_was_read(void **state)
{
    uint64_t id;

    (void)state;
    put("k", "one", SET);
    id = cas_id("k");
    assert_int_equal(cas_with("k", "two", id), STORED);
    assert_int_equal(cas_with("k", "three", id), EXISTS);
    assert_value("k", "two");
    assert_int_equal(cas_with("k", "three", UINT64_MAX), EXISTS);
    assert_int_equal(cas_with("missing", "three", UINT64_MAX), NOT_STORED);
    id = cas_id("k");
    assert_int_equal(delete ("k", 0), DELETED);
    assert_int_equal(cas_with("k", "four", id), NOT_STORED);
    put("k", "five", SET);
    id = cas_id("k");
    assert_int_equal(delete ("k", 60), DELETED);
    assert_int_equal(cas_with("k", "six", id), NOT_STORED);
    assert_miss("k");
}

static void a_deleted_key_can_be_locked_and_peeked_at(void **state)
{
    const struct memcache_MemcacheGetResponse_Item *i;
    const struct memcache_ItemTimestamps *t;
    int64_t now = clock_wall() / CLOCK_SEC;

    (void)state;
    assert_int_equal(delete ("k", 0), NOT_FOUND);
    assert_int_equal(delete ("k", 60), NOT_FOUND);
    put("k", "v", SET);
    assert_int_equal(delete ("k", 60), DELETED);
    assert_miss("k");
    i = get_item(&ctx, NULL, "k", FOR_PEEK);
    assert_non_null(i);
    assert_true(memcache_MemcacheGetResponse_Item_is_delete_locked(i));
    assert_int_equal(memcache_MemcacheGetResponse_Item_value(i).n, 0);
    t = memcache_MemcacheGetResponse_Item_timestamps(i);
    assert_in_range(memcache_ItemTimestamps_delete_lock_time_sec(t), now + 59,
                    now + 62);
    assert_int_equal(delete ("k", 0), DELETED);
    assert_int_equal(put("k", "v", ADD), STORED);
}

static void peeking_shows_when_an_item_ends(void **state)
{
    const struct memcache_MemcacheGetResponse_Item *i;
    const struct memcache_ItemTimestamps *t;
    int64_t now = clock_wall() / CLOCK_SEC;

    (void)state;
    set_call(&ctx, &(struct set){.key = "relative", .expiration = 100});
    set_call(&ctx, &(struct set){.key = "absolute",
                                 .expiration = (uint32_t)now + 500});
    set_call(&ctx, &(struct set){.key = "never"});
    i = get_item(&ctx, NULL, "relative", FOR_PEEK);
    t = memcache_MemcacheGetResponse_Item_timestamps(i);
    assert_in_range(memcache_ItemTimestamps_expiration_time_sec(t), now + 99,
                    now + 102);
    assert_false(memcache_MemcacheGetResponse_Item_is_delete_locked(i));
    i = get_item(&ctx, NULL, "absolute", FOR_PEEK);
    t = memcache_MemcacheGetResponse_Item_timestamps(i);
    assert_int_equal(memcache_ItemTimestamps_expiration_time_sec(t), now + 500);
    i = get_item(&ctx, NULL, "never", FOR_PEEK);
    t = memcache_MemcacheGetResponse_Item_timestamps(i);
    assert_false(memcache_ItemTimestamps_has_expiration_time_sec(t));
    assert_in_range(memcache_ItemTimestamps_last_access_time_sec(t), now,
                    now + 2);
}

static void an_expired_item_is_gone_for_every_policy(void **state)
{
    /* In the past, yet later than memcached's 30 days: absolute. */
    uint32_t past = (uint32_t)(clock_wall() / CLOCK_SEC) - 1;

    (void)state;
    set_call(&ctx, &(struct set){.key = "k", .expiration = past});
    assert_miss("k");
    assert_int_equal(put("k", "v", REPLACE), NOT_STORED);
    assert_int_equal(put("k", "v", ADD), STORED);
    set_call(
        &ctx,
        &(struct set){.key = "k", .value = BYTES_LIT("5"), .expiration = past});
    assert_int_equal(delete ("k", 10), NOT_FOUND);
    assert_miss("k");
}

static void a_large_value_fits_and_a_larger_one_is_an_error(void **state)
{
    char *big = arena_zalloc(&arena, MEMCACHE_VALUE_MAX + 1);
    const struct memcache_MemcacheGetResponse_Item *i;

    (void)state;
    assert_int_equal(
        set_call(&ctx, &(struct set){.key = "k",
                                     .value = BYTES(big, MEMCACHE_VALUE_MAX)}),
        STORED);
    i = get_item(&ctx, NULL, "k", PLAIN);
    assert_non_null(i);
    assert_int_equal(memcache_MemcacheGetResponse_Item_value(i).n,
                     MEMCACHE_VALUE_MAX);
    assert_int_equal(
        set_call(&ctx,
                 &(struct set){.key = "k",
                               .value = BYTES(big, MEMCACHE_VALUE_MAX + 1)}),
        memcache_MemcacheSetResponse_ERROR);
}

static void counting_stops_at_zero_and_wraps_at_the_top(void **state)
{
    (void)state;
    put("n", "18446744073709551614", SET);
    assert_true(incr("n", 1, false) == UINT64_MAX);
    assert_true(incr("n", 3, false) == 2);
    assert_true(incr("n", 1, true) == 1);
    assert_true(incr("n", 5, true) == 0);
    assert_value("n", "0");
    put("n", " 41\n", SET);
    assert_true(incr("n", 1, false) == 42);
}

static void what_is_no_number_cannot_be_counted(void **state)
{
    static const char *const bad[] = {"",   "x",   "-1",
                                      "1x", "1.0", "18446744073709551616"};
    uint64_t value;
    bool has;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ctx_err_clear(&ctx);
        put("n", bad[i], SET);
        assert_int_equal(incr_call(&ctx, &(struct incr){.key = "n", .delta = 1},
                                   &has, &value),
                         ERR_INVALID);
        assert_int_equal(ctx.err.app_code,
                         memcache_MemcacheServiceError_INVALID_VALUE);
        assert_value("n", bad[i]);
    }
}

static void counting_starts_at_an_initial_value_if_one_is_given(void **state)
{
    const struct memcache_MemcacheGetResponse_Item *i;
    uint64_t initial = 10, value;
    bool has;

    (void)state;
    assert_int_equal(
        incr_call(&ctx, &(struct incr){.key = "n", .delta = 1}, &has, &value),
        0);
    assert_false(has);
    assert_miss("n");
    assert_int_equal(
        incr_call(&ctx,
                  &(struct incr){
                      .key = "n", .delta = 3, .initial = &initial, .flags = 4},
                  &has, &value),
        0);
    assert_true(has && value == 13);
    i = get_item(&ctx, NULL, "n", PLAIN);
    assert_int_equal(memcache_MemcacheGetResponse_Item_flags(i), 4);
    /* A lock is as good as nothing. */
    assert_int_equal(delete ("n", 60), DELETED);
    assert_int_equal(
        incr_call(&ctx,
                  &(struct incr){.key = "n", .delta = 1, .initial = &initial},
                  &has, &value),
        0);
    assert_true(has && value == 11);
}

static void counting_keeps_flags_and_end(void **state)
{
    const struct memcache_MemcacheGetResponse_Item *i;
    int64_t now = clock_wall() / CLOCK_SEC;

    (void)state;
    set_call(&ctx, &(struct set){.key = "n",
                                 .value = BYTES_LIT("5"),
                                 .flags = 3,
                                 .expiration = 100});
    incr("n", 1, false);
    i = get_item(&ctx, NULL, "n", FOR_PEEK);
    assert_int_equal(memcache_MemcacheGetResponse_Item_flags(i), 3);
    assert_in_range(memcache_ItemTimestamps_expiration_time_sec(
                        memcache_MemcacheGetResponse_Item_timestamps(i)),
                    now + 99, now + 102);
}

static void a_batch_counts_each_item_by_itself(void **state)
{
    struct memcache_MemcacheBatchIncrementRequest *in =
        memcache_MemcacheBatchIncrementRequest_new(&ctx);
    struct memcache_MemcacheBatchIncrementResponse *out =
        memcache_MemcacheBatchIncrementResponse_new(&ctx);
    static const struct {
        const char *key;
        bool changed;
    } want[] = {{"a", true}, {"missing", false}, {"text", false}, {"a", true}};

    (void)state;
    put("a", "1", SET);
    put("text", "x", SET);
    for (int i = 0; i < 4; i++)
        incr_fill(memcache_MemcacheBatchIncrementRequest_add_item(&ctx, in),
                  &(struct incr){.key = want[i].key, .delta = 2});
    assert_int_equal(memcache_batch_increment(&ctx, in, out), 0);
    for (int i = 0; i < 4; i++) {
        const struct memcache_MemcacheIncrementResponse *r =
            memcache_MemcacheBatchIncrementResponse_item(out, i);

        assert_int_equal(memcache_MemcacheIncrementResponse_has_new_value(r),
                         want[i].changed);
    }
    assert_value("a", "5");
}

static void a_flush_empties_one_app_only(void **state)
{
    uint64_t id;

    (void)state;
    put("k", "mine", SET);
    id = cas_id("k");
    as_app("other");
    put("k", "theirs", SET);
    as_app("guestbook");
    flush();
    assert_miss("k");
    put("k", "new", SET);
    assert_int_equal(cas_with("k", "x", id), EXISTS);
    assert_value("k", "new");
    as_app("other");
    assert_value("k", "theirs");
}

/* Two servers on one memcached: the second sees the flush of the first. */
static void a_flush_by_another_server_is_seen_by_the_next_read(void **state)
{
    struct memcache *first = env.memcache, *second;

    (void)state;
    put("k", "v", SET);
    assert_int_equal(memcache_open(&ctx, socket_path, &second), 0);
    env.memcache = second;
    assert_value("k", "v");
    flush();
    env.memcache = first;
    assert_miss("k");
    memcache_close(second);
}

static const struct memcache_MergedNamespaceStats *stats(void)
{
    struct memcache_MemcacheStatsResponse *out =
        memcache_MemcacheStatsResponse_new(&ctx);

    assert_int_equal(
        memcache_stats(&ctx, memcache_MemcacheStatsRequest_new(&ctx), out), 0);
    return memcache_MemcacheStatsResponse_stats(out);
}

static void stats_count_this_apps_hits_and_items(void **state)
{
    const struct memcache_MergedNamespaceStats *s;

    (void)state;
    as_app("other");
    put("x", "not ours", SET);
    as_app("guestbook");
    s = stats();
    assert_int_equal(memcache_MergedNamespaceStats_items(s), 0);
    assert_true(memcache_MergedNamespaceStats_has_oldest_item_age(s));
    put("a", "12345", SET);
    put("b", "1234567890", SET);
    put("b", "1234567890", SET);
    assert_value("a", "12345");
    assert_miss("missing");
    s = stats();
    assert_int_equal(memcache_MergedNamespaceStats_items(s), 2);
    assert_int_equal(memcache_MergedNamespaceStats_hits(s), 1);
    assert_int_equal(memcache_MergedNamespaceStats_misses(s), 1);
    assert_int_equal(memcache_MergedNamespaceStats_byte_hits(s), 6);
    assert_in_range(memcache_MergedNamespaceStats_bytes(s), 15, 40);
    flush();
    s = stats();
    assert_int_equal(memcache_MergedNamespaceStats_items(s), 0);
    assert_int_equal(memcache_MergedNamespaceStats_hits(s), 0);
}

/* ---- many at once ---- */

enum { THREADS = 8, ROUNDS = 100 };

static _Atomic long failures;

static void *count_up(void *arg)
{
    struct arena a = ARENA_INIT;
    uint64_t initial = 0, value;
    struct ctx c;
    bool has;

    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        ctx_begin(&c, &a);
        if (incr_call(&c,
                      &(struct incr){
                          .key = "contended", .delta = 1, .initial = &initial},
                      &has, &value) != 0 ||
            !has)
            atomic_fetch_add(&failures, 1);
        arena_reset(&a);
    }
    arena_release(&a);
    return NULL;
}

/* Read, append one letter, cas; again until it is stored. */
static void *append(void *arg)
{
    struct arena a = ARENA_INIT;
    struct ctx c;

    (void)arg;
    for (int i = 0; i < ROUNDS / 4; i++) {
        int status = EXISTS;

        while (status == EXISTS) {
            const struct memcache_MemcacheGetResponse_Item *item;
            struct bytes old;
            uint64_t id;

            ctx_begin(&c, &a);
            item = get_item(&c, NULL, "text", FOR_CAS);
            old = memcache_MemcacheGetResponse_Item_value(item);
            id = memcache_MemcacheGetResponse_Item_cas_id(item);
            status =
                set_call(&c, &(struct set){.key = "text",
                                           .value = bytes_str(arena_printf(
                                               &a, "%.*sx", BYTES_FMT(old))),
                                           .policy = CAS,
                                           .cas = &id});
            if (status != EXISTS && status != STORED)
                atomic_fetch_add(&failures, 1);
            arena_reset(&a);
        }
    }
    arena_release(&a);
    return NULL;
}

static void run_threads(void *(*fn)(void *))
{
    pthread_t t[THREADS];

    atomic_store(&failures, 0);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&t[i], NULL, fn, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(atomic_load(&failures), 0);
}

static void no_increment_is_lost_under_contention(void **state)
{
    (void)state;
    run_threads(count_up);
    assert_value("contended", "800");
}

static void no_cas_is_lost_under_contention(void **state)
{
    (void)state;
    put("text", "", SET);
    run_threads(append);
    assert_int_equal(memcache_MemcacheGetResponse_Item_value(
                         get_item(&ctx, NULL, "text", PLAIN))
                         .n,
                     THREADS * (ROUNDS / 4));
}

/* ---- memcached goes and comes ---- */

static void a_dead_memcached_is_unavailable_and_a_new_one_is_found(void **state)
{
    struct memcache_MemcacheGetRequest *in =
        memcache_MemcacheGetRequest_new(&ctx);
    int64_t until;
    int rc;

    (void)state;
    memcache_MemcacheGetRequest_add_key(&ctx, in, BYTES_LIT("k"));
    put("k", "v", SET);
    memcached_kill();
    for (int i = 0; i < 3; i++) {
        ctx_err_clear(&ctx);
        assert_int_equal(
            memcache_get(&ctx, in, memcache_MemcacheGetResponse_new(&ctx)),
            ERR_UNAVAILABLE);
    }
    memcached_start();
    until = clock_mono() + 5 * CLOCK_SEC;
    do {
        ctx_err_clear(&ctx);
        rc = memcache_get(&ctx, in, memcache_MemcacheGetResponse_new(&ctx));
    } while (rc == ERR_UNAVAILABLE && clock_mono() < until);
    assert_int_equal(rc, 0);
    assert_miss("k");
}

/* The pooled connection is of the old memcached; nobody notices. */
static void a_restart_between_two_calls_goes_unseen(void **state)
{
    uint64_t id;

    (void)state;
    put("k", "v", SET);
    id = cas_id("k");
    memcached_kill();
    memcached_start();
    assert_miss("k");
    assert_int_equal(put("k", "new", ADD), STORED);
    assert_int_equal(cas_with("k", "x", id), EXISTS);
}

static void a_stopped_memcached_costs_no_more_than_the_deadline(void **state)
{
    struct memcache_MemcacheGetRequest *in =
        memcache_MemcacheGetRequest_new(&ctx);
    int64_t started;

    (void)state;
    memcache_MemcacheGetRequest_add_key(&ctx, in, BYTES_LIT("k"));
    put("k", "v", SET);
    kill(memcached_pid, SIGSTOP);
    waitpid(memcached_pid, NULL, WUNTRACED); /* until it has stopped */
    started = clock_mono();
    ctx.deadline = started + 100 * CLOCK_MS;
    assert_int_equal(
        memcache_get(&ctx, in, memcache_MemcacheGetResponse_new(&ctx)),
        ERR_DEADLINE);
    assert_true(clock_mono() - started < 1500 * CLOCK_MS);
    kill(memcached_pid, SIGCONT);
    ctx_err_clear(&ctx);
    ctx.deadline = clock_mono() + 10 * CLOCK_SEC;
    assert_value("k", "v");
}

static void a_bad_address_is_refused(void **state)
{
    static const char *const bad[] = {"",       "localhost",  ":11211",
                                      "host:0", "host:99999", "host:11x"};
    struct memcache *mc;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ctx_err_clear(&ctx);
        assert_int_equal(memcache_open(&ctx, bad[i], &mc), ERR_INVALID);
    }
}

static int all_start(void **state)
{
    (void)state;
    wire_init();
    signal(SIGPIPE, SIG_IGN); /* as the server does */
    assert_true(strlen(test_dir()) < sizeof(socket_path) - 2);
    strcat(strcpy(socket_path, test_dir()), "/m");
    return 0;
}

static int all_stop(void **state)
{
    (void)state;
    if (memcached_pid)
        memcached_kill();
    arena_release(&arena);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_value_comes_back_with_its_flags),
        TEST(keys_of_any_length_and_bytes_are_different),
        TEST(apps_and_namespaces_cannot_see_each_other),
        TEST(another_apps_cache_cannot_be_named),
        TEST(many_keys_come_in_one_answer_in_their_order),
        TEST(each_set_policy_says_what_it_found),
        TEST(a_cas_stores_only_over_what_was_read),
        TEST(a_deleted_key_can_be_locked_and_peeked_at),
        TEST(peeking_shows_when_an_item_ends),
        TEST(an_expired_item_is_gone_for_every_policy),
        TEST(a_large_value_fits_and_a_larger_one_is_an_error),
        TEST(counting_stops_at_zero_and_wraps_at_the_top),
        TEST(what_is_no_number_cannot_be_counted),
        TEST(counting_starts_at_an_initial_value_if_one_is_given),
        TEST(counting_keeps_flags_and_end),
        TEST(a_batch_counts_each_item_by_itself),
        TEST(a_flush_empties_one_app_only),
        TEST(a_flush_by_another_server_is_seen_by_the_next_read),
        TEST(stats_count_this_apps_hits_and_items),
        TEST(no_increment_is_lost_under_contention),
        TEST(no_cas_is_lost_under_contention),
        TEST(a_dead_memcached_is_unavailable_and_a_new_one_is_found),
        TEST(a_restart_between_two_calls_goes_unseen),
        TEST(a_stopped_memcached_costs_no_more_than_the_deadline),
        TEST(a_bad_address_is_refused),
    };

    return cmocka_run_group_tests(tests, all_start, all_stop);
}
