/*
 * threads - many at once: pages and gets show whole commits only, conditions
 * serialize, and no one ever sees a row go back.
 *
 * cmocka's assertions leave by longjmp, which a thread must not; a thread
 * notes the first thing that is wrong and the test fails after the join.
 */
#include "contract.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS_MAX = 16, RUN_US = 700 * 1000 };

struct crew;

struct worker {
    struct crew *crew;
    int id;
    struct arena arena;
    struct ctx ctx;
    struct rng rng;
    pthread_t thread;
};

struct crew {
    struct storage *st;
    int64_t until;
    pthread_barrier_t start;
    const char *_Atomic wrong;
    _Atomic uint64_t acked; /* what the test makes of it */
    _Atomic uint64_t done;
};

typedef void worker_fn(struct worker *w);

struct job {
    worker_fn *fn;
    int threads;
};

static void wrong(struct worker *w, const char *what)
{
    const char *none = NULL;

    atomic_compare_exchange_strong(&w->crew->wrong, &none, what);
}

static bool going_on(struct worker *w)
{
    arena_reset(&w->arena);
    ctx_init(&w->ctx, &w->arena);
    return clock_mono() < w->crew->until && !w->crew->wrong;
}

static worker_fn *worker_job[THREADS_MAX];

static void *worker_main(void *arg)
{
    struct worker *w = arg;

    pthread_barrier_wait(&w->crew->start);
    worker_job[w->id](w);
    arena_release(&w->arena);
    return NULL;
}

/* Run the jobs, each on its number of threads, until the time is up. */
static void run_crew(struct fixture *f, struct crew *crew,
                     const struct job *jobs, size_t n_jobs)
{
    static struct worker workers[THREADS_MAX];
    int n = 0;

    for (size_t j = 0; j < n_jobs; j++) {
        for (int i = 0; i < jobs[j].threads; i++)
            worker_job[n++] = jobs[j].fn;
    }
    crew->st = f->st;
    crew->until = clock_mono() + RUN_US * (int64_t)contract_scale();
    pthread_barrier_init(&crew->start, NULL, (unsigned)n);
    for (int i = 0; i < n; i++) {
        struct worker *w = &workers[i];

        *w = (struct worker){.crew = crew, .id = i, .rng = {(uint64_t)i + 1}};
        ctx_init(&w->ctx, &w->arena);
        assert_int_equal(pthread_create(&w->thread, NULL, worker_main, w), 0);
    }
    for (int i = 0; i < n; i++)
        pthread_join(workers[i].thread, NULL);
    pthread_barrier_destroy(&crew->start);
    if (crew->wrong)
        fail_msg("%s", crew->wrong);
    assert_true(crew->done > 0);
}

#define RUN_CREW(f_, crew_, ...)                                               \
    run_crew((f_), (crew_), (const struct job[]){__VA_ARGS__},                 \
             sizeof((const struct job[]){__VA_ARGS__}) / sizeof(struct job))

/* Reads as a network loop would, and from a worker when told to. */
static int get_any(struct worker *w, const struct storage_key *keys, size_t n,
                   struct storage_value *out)
{
    int rc;

    w->ctx.may_wait = rng_below(&w->rng, 2);
    rc = storage_get(&w->ctx, w->crew->st, keys, n, out);
    w->ctx.may_wait = true;
    if (rc == ERR_WOULD_BLOCK)
        rc = storage_get(&w->ctx, w->crew->st, keys, n, out);
    if (rc != 0)
        wrong(w, "a get failed");
    return rc;
}

static int scan_any(struct worker *w, const char *partition,
                    struct storage_page *page)
{
    struct storage_range all = STORAGE_ALL;
    enum storage_dir dir =
        rng_below(&w->rng, 2) ? STORAGE_FORWARD : STORAGE_BACKWARD;
    int rc;

    w->ctx.may_wait = rng_below(&w->rng, 2);
    rc = storage_scan(&w->ctx, w->crew->st, bytes_str(partition), &all, dir,
                      1000, page);
    w->ctx.may_wait = true;
    if (rc == ERR_WOULD_BLOCK)
        rc = storage_scan(&w->ctx, w->crew->st, bytes_str(partition), &all, dir,
                          1000, page);
    if (rc != 0)
        wrong(w, "a scan failed");
    return rc;
}

static int64_t number(struct bytes v)
{
    int64_t x = -1;

    if (v.n == sizeof(x))
        memcpy(&x, v.p, sizeof(x));
    return x;
}

static struct bytes number_bytes(struct arena *a, int64_t x)
{
    return arena_dup(a, BYTES(&x, sizeof(x)));
}

static void put_number(struct fixture *f, struct storage_key key, int64_t x)
{
    struct storage_batch b = STORAGE_BATCH_IN(&f->arena);

    storage_batch_put(&b, key, number_bytes(&f->arena, x));
    assert_int_equal(storage_commit(&f->ctx, f->st, &b, NULL), 0);
}

/* ---- transfers: the sum over an account book never changes ---- */

enum { ACCOUNTS = 8, OPENING = 1000 };

static struct storage_key account(struct worker *w, size_t i)
{
    return key_of("book", arena_printf(&w->arena, "account %zu", i));
}

static void transfer(struct worker *w)
{
    while (going_on(w)) {
        size_t from = rng_below(&w->rng, ACCOUNTS);
        size_t to = (from + 1 + rng_below(&w->rng, ACCOUNTS - 1)) % ACCOUNTS;
        struct storage_key keys[2] = {account(w, from), account(w, to)};
        int64_t amount = (int64_t)rng_below(&w->rng, 10);
        struct storage_batch b = STORAGE_BATCH_IN(&w->arena);
        struct storage_value v[2];
        int rc;

        if (get_any(w, keys, 2, v) != 0)
            return;
        for (int i = 0; i < 2; i++) {
            storage_batch_require_same(&b, keys[i], &v[i]);
            storage_batch_put(
                &b, keys[i],
                number_bytes(&w->arena,
                             number(v[i].value) + (i ? amount : -amount)));
        }
        rc = storage_commit(&w->ctx, w->crew->st, &b, NULL);
        if (rc == 0)
            w->crew->done++;
        else if (rc != ERR_CONFLICT)
            wrong(w, "a transfer failed");
    }
}

static void audit_by_get(struct worker *w)
{
    while (going_on(w)) {
        struct storage_key keys[ACCOUNTS];
        struct storage_value v[ACCOUNTS];
        int64_t sum = 0;

        for (size_t i = 0; i < ACCOUNTS; i++)
            keys[i] = account(w, i);
        if (get_any(w, keys, ACCOUNTS, v) != 0)
            return;
        for (size_t i = 0; i < ACCOUNTS; i++)
            sum += number(v[i].value);
        if (sum != ACCOUNTS * OPENING)
            wrong(w, "a get of all accounts saw half a transfer");
    }
}

static void audit_by_scan(struct worker *w)
{
    while (going_on(w)) {
        struct storage_page page;
        int64_t sum = 0;

        if (scan_any(w, "book", &page) != 0)
            return;
        for (size_t i = 0; i < page.n; i++)
            sum += number(page.rows[i].value);
        if (page.n != ACCOUNTS || sum != ACCOUNTS * OPENING)
            wrong(w, "a page of all accounts shows half a transfer");
    }
}

static void transfers_keep_the_sum_for_every_reader(void **state)
{
    struct fixture *f = *state;
    struct crew crew = {0};

    for (int i = 0; i < ACCOUNTS; i++)
        put_number(f, key_of("book", arena_printf(&f->arena, "account %d", i)),
                   OPENING);
    RUN_CREW(f, &crew, {transfer, 6}, {audit_by_get, 2}, {audit_by_scan, 2});
}

/* ---- one counter: no increment is lost ---- */

static void increment(struct worker *w)
{
    struct storage_key key = key_of("p", "counter");

    while (going_on(w)) {
        struct storage_batch b = STORAGE_BATCH_IN(&w->arena);
        struct storage_value v;
        int rc;

        if (get_any(w, &key, 1, &v) != 0)
            return;
        storage_batch_require_same(&b, key, &v);
        storage_batch_put(
            &b, key,
            number_bytes(&w->arena, v.found ? number(v.value) + 1 : 1));
        rc = storage_commit(&w->ctx, w->crew->st, &b, NULL);
        if (rc == 0)
            w->crew->done++;
        else if (rc != ERR_CONFLICT)
            wrong(w, "an increment failed");
    }
}

static void no_increment_is_lost(void **state)
{
    struct fixture *f = *state;
    struct crew crew = {0};
    struct bytes v;

    RUN_CREW(f, &crew, {increment, 8});
    assert_int_equal(storage_get1(&f->ctx, f->st, key_of("p", "counter"), &v),
                     0);
    assert_int_equal(number(v), crew.done);
}

/* ---- claims: of all that ask for one name, one gets it ---- */

static void claim(struct worker *w)
{
    for (uint64_t name = 0; going_on(w); name++) {
        struct storage_batch b = STORAGE_BATCH_IN(&w->arena);
        struct storage_key key = key_of(
            "names", arena_printf(&w->arena, "%llu", (unsigned long long)name));
        int rc;

        storage_batch_require_absent(&b, key);
        storage_batch_put(&b, key, number_bytes(&w->arena, w->id));
        rc = storage_commit(&w->ctx, w->crew->st, &b, NULL);
        if (rc == 0)
            w->crew->done++;
        else if (rc != ERR_CONFLICT)
            wrong(w, "a claim failed");
    }
}

static void a_name_is_given_once(void **state)
{
    struct fixture *f = *state;
    struct crew crew = {0};
    struct storage_range all = STORAGE_ALL;

    RUN_CREW(f, &crew, {claim, 8});
    assert_int_equal(
        scan_all(&f->ctx, f->st, bytes_str("names"), &all, STORAGE_FORWARD, 500)
            .n,
        crew.done);
}

/* ---- a register: what was acknowledged is seen, and stays ---- */

static void register_write(struct worker *w)
{
    for (int64_t x = 1; going_on(w); x++) {
        struct storage_batch b = STORAGE_BATCH_IN(&w->arena);
        struct bytes v = number_bytes(&w->arena, x);

        /* Two partitions, and neighbours that come and go. */
        storage_batch_put(&b, key_of("p", "register"), v);
        storage_batch_put(&b, key_of("q", "register"), v);
        if (x % 2)
            storage_batch_put(&b, key_of("q", "sometimes"), v);
        else
            storage_batch_delete(&b, key_of("q", "sometimes"));
        if (storage_commit(&w->ctx, w->crew->st, &b, NULL) != 0)
            wrong(w, "a write of the register failed");
        else
            w->crew->acked = (uint64_t)x;
        w->crew->done++;
    }
}

/* One read of the register in "p", either way; -1 after a failure. */
static int64_t register_read(struct worker *w)
{
    struct storage_key key = key_of("p", "register");
    struct storage_page page;
    struct storage_value v;

    if (rng_below(&w->rng, 2))
        return get_any(w, &key, 1, &v) == 0 ? number(v.value) : -1;
    if (scan_any(w, "p", &page) != 0 || page.n != 1)
        return -1;
    return number(page.rows[0].value);
}

static void register_watch(struct worker *w)
{
    int64_t last = 0;

    while (going_on(w)) {
        int64_t acked = (int64_t)w->crew->acked;
        int64_t x = register_read(w);

        if (x < acked)
            wrong(w, "a read missed an acknowledged write");
        if (x < last)
            wrong(w, "a read went back behind an earlier one");
        last = x;
    }
}

static void register_compare(struct worker *w)
{
    const struct storage_key keys[] = {key_of("p", "register"),
                                       key_of("q", "sometimes"),
                                       key_of("q", "register")};

    while (going_on(w)) {
        struct storage_value v[3];
        int64_t x;

        if (get_any(w, keys, 3, v) != 0)
            return;
        x = number(v[0].value);
        if (x != number(v[2].value) || v[1].found != (x % 2 == 1) ||
            (v[1].found && number(v[1].value) != x))
            wrong(w, "a get over two partitions saw half a commit");
    }
}

static void an_acknowledged_write_is_seen_and_stays(void **state)
{
    struct fixture *f = *state;
    struct crew crew = {0};

    put_number(f, key_of("p", "register"), 0);
    put_number(f, key_of("q", "register"), 0);
    RUN_CREW(f, &crew, {register_write, 1}, {register_watch, 4},
             {register_compare, 3});
}

/* The same with a cache too small for the rows that a few threads read over
 * and over, so that the register leaves it and comes back all the time. */
enum { CHURN_ROWS = 3000, TINY_CACHE = 64 * 1024 };

static void churn(struct worker *w)
{
    while (going_on(w)) {
        struct storage_key key =
            key_of("churn", arena_printf(&w->arena, "%d",
                                         (int)rng_below(&w->rng, CHURN_ROWS)));
        struct storage_value v;

        get_any(w, &key, 1, &v);
    }
}

static void it_is_seen_while_rows_leave_the_cache(void **state)
{
    struct fixture *f = *state;
    struct crew crew = {0};

    storage_close(f->st);
    f->st = fixture_open(&f->ctx, f->backend, f->path, TINY_CACHE);
    put_number(f, key_of("p", "register"), 0);
    put_number(f, key_of("q", "register"), 0);
    RUN_CREW(f, &crew, {register_write, 1}, {register_watch, 8}, {churn, 4});
}

/* ---- sets: rows that appear and vanish together ---- */

enum { SET_ROWS = 12 };

static void set_write(struct worker *w)
{
    while (going_on(w)) {
        struct storage_batch b = STORAGE_BATCH_IN(&w->arena);
        bool del = rng_below(&w->rng, 3) == 0;
        struct bytes v = number_bytes(&w->arena, (int64_t)rng_next(&w->rng));

        for (int i = 0; i < SET_ROWS; i++) {
            struct storage_key key =
                key_of("set", arena_printf(&w->arena, "%02d", i));

            if (del)
                storage_batch_delete(&b, key);
            else
                storage_batch_put(&b, key, v);
        }
        if (storage_commit(&w->ctx, w->crew->st, &b, NULL) != 0)
            wrong(w, "a write of the set failed");
        w->crew->done++;
    }
}

static void set_read(struct worker *w)
{
    while (going_on(w)) {
        struct storage_page page;
        struct storage_value v[SET_ROWS];
        struct storage_key keys[SET_ROWS];

        if (scan_any(w, "set", &page) != 0)
            return;
        if (page.n != 0 && page.n != SET_ROWS)
            wrong(w, "a page shows a part of the set");
        for (size_t i = 1; i < page.n; i++) {
            if (!bytes_eq(page.rows[i].value, page.rows[0].value))
                wrong(w, "a page mixes two sets");
        }
        for (int i = 0; i < SET_ROWS; i++)
            keys[i] = key_of("set", arena_printf(&w->arena, "%02d", i));
        if (get_any(w, keys, SET_ROWS, v) != 0)
            return;
        for (int i = 1; i < SET_ROWS; i++) {
            if (v[i].found != v[0].found || !bytes_eq(v[i].value, v[0].value))
                wrong(w, "a get mixes two sets");
        }
    }
}

static void sets_appear_and_vanish_whole(void **state)
{
    struct fixture *f = *state;
    struct crew crew = {0};

    RUN_CREW(f, &crew, {set_write, 4}, {set_read, 4});
}

/* ---- deadlines ---- */

static void crowd(struct worker *w)
{
    struct storage_key key = key_of("p", "crowded");

    while (going_on(w)) {
        struct storage_batch b = STORAGE_BATCH_IN(&w->arena);
        int rc;

        w->ctx.deadline = clock_mono() + (int64_t)rng_below(&w->rng, 500);
        storage_batch_put(&b, key, number_bytes(&w->arena, w->id));
        rc = storage_commit(&w->ctx, w->crew->st, &b, NULL);
        if (rc == 0)
            w->crew->done++;
        else if (rc != ERR_DEADLINE)
            wrong(w, "a commit in a crowd failed otherwise than by deadline");
    }
}

static void who_waits_too_long_for_a_row_gives_up(void **state)
{
    struct fixture *f = *state;
    struct crew crew = {0};

    RUN_CREW(f, &crew, {crowd, 8});
    put1(f, key_of("p", "crowded"), "free again");
    assert_string_equal(get1(f, key_of("p", "crowded")), "free again");
}

CONTRACT_GROUP(contract_threads,
               CONTRACT_CASE(transfers_keep_the_sum_for_every_reader),
               CONTRACT_CASE(no_increment_is_lost),
               CONTRACT_CASE(a_name_is_given_once),
               CONTRACT_CASE(an_acknowledged_write_is_seen_and_stays),
               CONTRACT_CASE(it_is_seen_while_rows_leave_the_cache),
               CONTRACT_CASE(sets_appear_and_vanish_whole),
               CONTRACT_CASE(who_waits_too_long_for_a_row_gives_up));
