/*
 * What queries answer: the facts observed on the SDKs' own datastores, on
 * every backend.
 */
#include "answer.h"
#include "base/errinj.h"
#include "engine/engine_int.h"
#include "engine/query_open.h"
#include "storage/storage_backend.h"

#define N(a_) (sizeof(a_) / sizeof((a_)[0]))

static struct bed bed;

static int open_memory(void **state)
{
    bed_open(&bed, "memory");
    return 0;
}

static int open_rocksdb(void **state)
{
    bed_open(&bed, "rocksdb");
    return 0;
}

static int close_bed(void **state)
{
    errinj_clear();
    limits_reset();
    arena_reset(&bed.arena);
    bed_close(&bed);
    return 0;
}

/* ---- entities from a line of words ---- */

/*
 * "K:a x=1 x=9 w='b'": a path and its properties; ~name=1 is not indexed.
 */
static struct engine_mutation entity_in(const char *space, const char *text)
{
    struct arena *a = &bed.arena;
    char *copy = arena_strdup(a, text), *save;
    char *w = strtok_r(copy, " ", &save);
    struct make_elem e[ASK_MAX] = {{0}};
    struct buf entity = BUF_IN(a);
    struct bytes ref;

    ask_elems(a, w, e);
    ref = make_ref_in(a, "shop", space, e);
    make_entity(&entity, ref);
    while ((w = strtok_r(NULL, " ", &save))) {
        char *eq = strchr(w, '=');
        bool raw = *w == '~';

        *eq = '\0';
        make_prop(&entity, raw ? MAKE_RAW : MAKE_PROP, w + raw, 0, true,
                  ask_value(a, eq + 1));
    }
    return (struct engine_mutation){.key = bed_key(&bed, ref),
                                    .entity = buf_view(&entity)};
}

static void write_all(struct engine_mutation *m, size_t n)
{
    struct engine_cost cost;

    bed_ok(&bed, engine_write(&bed.ctx, bed.engine, m, n, &cost));
}

static void put_in(const char *space, const char *text)
{
    struct engine_mutation m = entity_in(space, text);

    write_all(&m, 1);
}

static void put(const char *text)
{
    put_in("", text);
}

static void put_all(const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put(texts[i]);
}

static void delete (const char *path)
{
    bed_ok(&bed, bed_write(&bed, ask_ref(&bed.arena, path), BYTES_NONE, NULL));
}

/* Each query with batches of its own, of 1 and of 2. */
static void check(const char *text, const char *want)
{
    bool values = strstr(text, "project:") || strstr(text, "__property__");

    for (int batch = 0; batch < 3; batch++) {
        char *asked = batch
                          ? arena_printf(&bed.arena, "%s count:%d", text, batch)
                          : arena_strdup(&bed.arena, text);
        const char *got =
            answer_all(&bed, ask(&bed.arena, asked), batch, values);

        if (strcmp(got, want) != 0)
            fail_msg("%s\ngot  %s\nwant %s", asked, got, want);
        arena_reset(&bed.arena);
    }
}

/* ---- lists ---- */

static const char *const lists[] = {
    "K:a x=1 x=9",
    "K:b x=3 x=4",
    "K:c x=2",
    "K:d x=9 x=9",
    "K:f x=2 x='str' x=null",
    "K:e y=1",
};

static const struct {
    const char *text, *want;
} list_cases[] = {
    {"K", "a b c d e f"},
    {"K order:x", "f a c b d"},
    {"K order:-x", "f a d b c"},
    {"K x=1 x=9", "a"},
    {"K x=9", "a d"},
    {"K x>3 x<9", "b"},
    {"K x>5 x<2", ""},
    {"K x>1 x<5 order:-x", "b c f"},
    {"K x>1 x<5", "c f b"},
    {"K x=9 x<5", "a"},
    {"K x=9 order:-x", "a d"},
    {"K x>=9 order:-x", "f a d"},
    {"K order:x limit:2", "f a"},
    {"K order:-x limit:2 offset:1", "a d"},
    {"K order:y", "e"},
    {"K order:z", ""},
    {"K exists:x", "f a c b d"},
    {"K project:x",
     "f(x=null) a(x=1) c(x=2) f(x=2) b(x=3) b(x=4) a(x=9) d(x=9) f(x='str')"},
    {"K project:x order:-x",
     "f(x='str') a(x=9) d(x=9) b(x=4) b(x=3) c(x=2) f(x=2) a(x=1) f(x=null)"},
    {"K project:x x>3", "b(x=4) a(x=9) d(x=9) f(x='str')"},
    {"K project:x group:x",
     "f(x=null) a(x=1) c(x=2) b(x=3) b(x=4) a(x=9) f(x='str')"},
    {"K project:x group:x order:-x",
     "f(x='str') a(x=9) b(x=4) b(x=3) c(x=2) a(x=1) f(x=null)"},
    {"K project:x offset:2 limit:3", "c(x=2) f(x=2) b(x=3)"},
};

static void a_list_counts_once_at_its_first_passing_value(void **state)
{
    put_all(lists, N(lists));
    for (size_t i = 0; i < N(list_cases); i++)
        check(list_cases[i].text, list_cases[i].want);
}

/* ---- order, ties, key order ---- */

static const char *const ties[] = {
    "K:a n=1 m=1", "K:b n=2 m=1", "K:c n=2 m=2",
    "K:d n=2 m=1", "K:e n=1 m=2", "K:f n=3",
    "K:g m=1",     "J:a n=2 m=1", "K:a/K:b n=2 m=3",
};

static const struct {
    const char *text, *want;
} tie_cases[] = {
    {"K order:n", "a e a/b b c d f"},
    {"K order:-n", "f a/b b c d a e"},
    {"K order:n,-m", "e a a/b c b d"},
    {"K order:-n,m", "b d c a/b a e"},
    {"K order:-n,-m", "a/b c b d e a"},
    {"K order:n,-__key__", "e a d c b a/b f"},
    {"K order:-n,-__key__", "f d c b a/b e a"},
    {"K order:-__key__", "g f e d c b a/b a"},
    {"K n=2", "a/b b c d"},
    {"K n=2 m=1", "b d"},
    {"K n=2 order:-m", "a/b c b d"},
    {"K n=2 m=1 order:-__key__", "d b"},
    {"K n>1", "a/b b c d f"},
    {"K n>1 order:-n", "f a/b b c d"},
    {"K n=2 m>1", "c a/b"},
    {"K n=2 m>=1 m<3 order:-m", "c b d"},
    {"K anc:K:a", "a a/b"},
    {"K anc:K:a order:-n", "a/b a"},
    {"K anc:K:a n=2", "a/b"},
    {"* anc:K:a", "a a/b"},
    {"*", "a a a/b b c d e f g"},
    {"* __key__>=K:b __key__<K:e", "b c d"},
    {"K __key__>K:a __key__<=K:c", "a/b b c"},
    {"K __key__>K:a/K:a n=2", "a/b b c d"},
    {"K __key__=K:c", "c"},
    {"K __key__=K:c n=2 m=2", "c"},
    {"K __key__=K:c n=1", ""},
    {"K __key__=K:c n>1", "c"},
    {"K __key__=K:zzz", ""},
    {"* __key__=J:a", "a"},
    {"K __key__=J:a", ""},
    {"K shallow", "a b c d e f g"},
    {"K anc:K:a shallow", "a/b"},
    {"K project:n,m", "a(m=1,n=1) b(m=1,n=2) d(m=1,n=2) e(m=2,n=1) c(m=2,n=2) "
                      "a/b(m=3,n=2)"},
    {"K project:n,m order:-n",
     "b(n=2,m=1) d(n=2,m=1) c(n=2,m=2) a/b(n=2,m=3) a(n=1,m=1) e(n=1,m=2)"},
    {"K project:m n=2", "b(m=1) d(m=1) c(m=2) a/b(m=3)"},
    {"K project:n,m group:n", "a(n=1,m=1) b(n=2,m=1)"},
    {"K project:n,m group:n,m order:-n",
     "b(n=2,m=1) c(n=2,m=2) a/b(n=2,m=3) a(n=1,m=1) e(n=1,m=2)"},
    {"K project:n __key__>K:b", "c(n=2) d(n=2) e(n=1) f(n=3)"},
    {"K project:n __key__=K:c", "c(n=2)"},
    /* r_ the order behind the key is dropped, the projection is not */
    {"K project:n order:__key__,n __key__>K:b", "c(n=2) d(n=2) e(n=1) f(n=3)"},
};

static void equal_values_come_in_key_order_also_when_descending(void **state)
{
    put_all(ties, N(ties));
    for (size_t i = 0; i < N(tie_cases); i++)
        check(tie_cases[i].text, tie_cases[i].want);
}

/* A run of ties longer than any page, read from its middle and to its end. */
static void a_long_run_of_ties_is_read_in_key_order(void **state)
{
    struct answer *a = malloc(sizeof(*a));
    int seen = 0, last = -1;
    uint64_t handle;

    for (int i = 0; i < 400; i++) {
        put(arena_printf(&bed.arena, "K:k%03d n=%d", i, i < 350 ? 7 : i));
        arena_reset(&bed.arena);
    }
    answer_run(&bed, ask(&bed.arena, "K order:-n count:23 compile"), a);
    for (;;) {
        for (size_t i = 0; i < a->n; i++, seen++) {
            struct buf line = BUF_IN(&bed.arena);
            int k;

            answer_put(&bed, a->results[i], false, &line);
            assert_int_equal(sscanf(buf_cstr(&line), "k%d", &k), 1);
            assert_int_equal(k, seen < 50 ? 399 - seen : seen - 50);
            last = k;
        }
        handle = a->handle;
        if (!a->more)
            break;
        answer_next(&bed, handle, 23, true, a);
    }
    assert_int_equal(seen, 400);
    assert_int_equal(last, 349);
    free(a);
}

static void namespaces_do_not_see_each_other(void **state)
{
    put("K:a n=1");
    put_in("x", "K:b n=1");
    check("K", "a");
    check("K n=1", "a");
    check("K space:x", "b");
    check("* space:x", "b");
    check("K order:-n space:x", "b");
    check("K space:y", "");
}

static void what_is_not_indexed_is_not_found(void **state)
{
    put("K:a ~n=1 m=1");
    put("K:b n=1");
    check("K n=1", "b");
    check("K order:n", "b");
    check("K project:n", "b(n=1)");
    check("K", "a b");
}

static void ranges_run_over_all_types(void **state)
{
    put("K:a p=null");
    put("K:b p=-5");
    put("K:c p=7");
    put("K:d p='a'");
    put("K:e p='ab'");
    put("K:f p=K:1");
    check("K order:p", "a b c d e f");
    check("K p<0", "a b");
    check("K p>'a'", "e f");
    check("K p=null", "a");
    check("K p>=null", "a b c d e f");
    check("K p=K:1", "f");
}

static void answers_follow_writes_at_once(void **state)
{
    put("K:a n=1");
    check("K n=1", "a");
    put("K:a n=2");
    check("K n=1", "");
    check("K n=2", "a");
    delete ("K:a");
    check("K n=2", "");
    check("K", "");
    check("*", "");
}

/* ---- batches ---- */

static void put_numbers(int n)
{
    struct engine_mutation *m =
        ARENA_ARRAY(&bed.arena, struct engine_mutation, n);

    for (int i = 0; i < n; i++)
        m[i] =
            entity_in("", arena_printf(&bed.arena, "K:%d n=%d", i + 1, i + 1));
    write_all(m, n);
    arena_reset(&bed.arena);
}

static void delete_numbers(int n)
{
    struct engine_mutation *m =
        ARENA_ARRAY(&bed.arena, struct engine_mutation, n);

    for (int i = 0; i < n; i++) {
        m[i] = entity_in("", arena_printf(&bed.arena, "K:%d", i + 1));
        m[i].entity = BYTES_NONE;
    }
    write_all(m, n);
}

/* RunQuery and each Next: rows, skipped, more. */
static void batches(const char *text, const char *want)
{
    struct buf got = BUF_IN(&bed.arena);
    struct answer *a = ARENA_NEW(&bed.arena, struct answer);

    for (answer_run(&bed, ask(&bed.arena, text), a);;
         answer_next(&bed, a->handle, -1, false, a)) {
        buf_printf(&got, "%s%zu+%lld%s", got.n ? " " : "", a->n,
                   (long long)a->skipped, a->more ? "" : ".");
        assert_true(got.n < 1000);
        if (!a->more)
            break;
    }
    if (strcmp(buf_cstr(&got), want) != 0)
        fail_msg("%s\ngot  %s\nwant %s", text, buf_cstr(&got), want);
}

static const char *names(const struct answer *a)
{
    struct buf out = BUF_IN(&bed.arena);

    answer_put_all(&bed, a, false, &out);
    return buf_cstr(&out);
}

static void batches_follow_count_limit_and_offset(void **state)
{
    put_numbers(50);
    batches("K", "20+0 20+0 10+0.");
    batches("K limit:5", "5+0.");
    batches("K limit:50", "50+0.");
    batches("K limit:60", "50+0.");
    batches("K count:30", "30+0 20+0.");
    batches("K count:25", "25+0 25+0.");
    batches("K limit:30 count:20", "20+0 10+0.");
    batches("K limit:0", "0+0.");
    batches("K offset:45", "5+45.");
    batches("K offset:50", "0+50.");
    batches("K offset:60", "0+50.");
    batches("K offset:10 limit:5", "5+10.");
    batches("K offset:2147483647 limit:2147483647", "0+50.");
    batches("K offset:2147483647 limit:0 keys", "0+50.");
    batches("K limit:2147483647 order:-n", "50+0.");
    batches("K limit:-1 count:-1 keys", "20+0 20+0 10+0.");
    batches("K n=51", "0+0.");
}

static void at_most_300_rows_and_1000_skipped_at_a_time(void **state)
{
    put_numbers(2500);
    batches("K count:1000 keys", "300+0 300+0 300+0 300+0 300+0 300+0 300+0 "
                                 "300+0 100+0.");
    batches("K offset:1500 limit:5", "0+1000 5+500.");
    batches("K offset:2147483647 limit:0", "0+1000 0+1000 0+500.");
    batches("K offset:1000 limit:0 order:-n", "0+1000.");
    batches("K offset:1000 limit:5 order:-n keys", "5+1000.");
}

static void next_of_no_rows_keeps_the_query_open(void **state)
{
    struct answer a, b;

    put_numbers(5);
    answer_run(&bed, ask(&bed.arena, "K count:0"), &a);
    assert_true(a.more && a.n == 0);
    answer_next(&bed, a.handle, 0, false, &b);
    assert_true(b.more && b.n == 0 && b.handle == a.handle);
    answer_next(&bed, a.handle, 2, false, &b);
    assert_true(b.more && b.n == 2);
    answer_next(&bed, a.handle, 3, false, &b);
    assert_true(!b.more && b.n == 3);
    assert_int_equal(query_open_count(bed.engine->queries), 0);
    assert_int_equal(
        answer_try(&bed, false, true,
                   answer_next_request(&bed.arena, a.handle, 1, false), &b),
        ERR_INVALID);
    assert_string_equal(bed.ctx.err.message,
                        arena_printf(&bed.arena, "Cursor %llu not found",
                                     (unsigned long long)a.handle));
}

static void change_numbers(void)
{
    delete ("K:4");
    put("K:2 n=9"); /* before the position now */
    put("K:7 n=0");
}

static void all_batches_are_of_one_moment(void **state)
{
    struct answer a, late;

    put_numbers(6);
    answer_run(&bed, ask(&bed.arena, "K order:-n count:2"), &a);
    assert_string_equal(names(&a), "6 5");
    change_numbers();
    answer_run(&bed, ask(&bed.arena, "K order:-n count:2"), &late);
    answer_next(&bed, a.handle, 2, false, &a);
    assert_string_equal(names(&a), "4 3");
    delete ("K:1");
    answer_next(&bed, late.handle, 9, false, &late);
    assert_string_equal(names(&late), "5 3 1 7");
    answer_next(&bed, a.handle, 9, false, &a);
    assert_string_equal(names(&a), "2 1");
    assert_false(a.more);
    assert_int_equal(query_open_views(bed.engine->queries), 0);
}

/* Whoever changes what it walks over meets everything once. */
static void an_entity_that_moves_ahead_comes_once(void **state)
{
    static struct answer a; /* put() resets the arena */
    int n = 0;

    put_numbers(50);
    for (answer_run(&bed, ask(&bed.arena, "K order:n count:7"), &a);;
         answer_next(&bed, a.handle, 7, false, &a)) {
        for (size_t i = 0; i < a.n; i++, n++)
            put(arena_printf(&bed.arena, "K:%d n=%d", n + 1, n + 1001));
        if (!a.more)
            break;
    }
    assert_int_equal(n, 50);
}

/* What makes a query lose its view; it goes on behind its last row. */
static void no_views(void)
{
    limit_set("query.views", 0);
}

static void old_views(void)
{
    limit_set("query.view_ms", -1);
    query_open_expire(&bed.ctx, bed.engine->queries);
}

static void a_query_without_a_view_goes_on_with_the_present(void **state)
{
    static void (*const ways[])(void) = {no_views, old_views};
    struct answer a;

    for (size_t i = 0; i < N(ways); i++) {
        put_numbers(6);
        delete ("K:7");
        if (ways[i] == no_views)
            ways[i]();
        answer_run(&bed, ask(&bed.arena, "K order:-n count:2"), &a);
        assert_string_equal(names(&a), "6 5");
        if (ways[i] != no_views)
            ways[i]();
        assert_int_equal(query_open_views(bed.engine->queries), 0);
        change_numbers();
        answer_next(&bed, a.handle, 9, false, &a);
        assert_string_equal(names(&a), "3 1 7");
        assert_false(a.more);
        limits_reset();
    }
}

static void a_view_does_not_outlive_the_indexes_it_began_with(void **state)
{
    struct answer a;

    for (int i = 1; i <= 4; i++)
        put(arena_printf(&bed.arena, "K:%d n=%d m=1 o=1", i, i));
    answer_run(&bed, ask(&bed.arena, "K m=1 order:n count:2"), &a);
    assert_string_equal(names(&a), "1 2");
    /* which makes an index that the open query might take as well */
    answer_all(&bed, ask(&bed.arena, "K m=1 order:-n"), 0, false);
    delete ("K:3");
    answer_next(&bed, a.handle, 9, false, &a);
    assert_string_equal(names(&a), "4");
    assert_int_equal(query_open_views(bed.engine->queries), 0);
}

/* A store whose views come a little late: something happens before. */
static struct {
    struct storage base;
    struct storage *below;
    void (*before)(void);
} late;

static int late_get(struct ctx *ctx, struct storage *st,
                    const struct storage_key *keys, size_t n,
                    struct storage_value *out)
{
    (void)st;
    return storage_get(ctx, late.below, keys, n, out);
}

static int late_scan(struct ctx *ctx, struct storage *st,
                     struct bytes partition, const struct storage_range *range,
                     enum storage_dir dir, size_t limit,
                     struct storage_page *page)
{
    (void)st;
    return storage_scan(ctx, late.below, partition, range, dir, limit, page);
}

static int late_commit(struct ctx *ctx, struct storage *st,
                       const struct storage_batch *b, size_t *failed)
{
    (void)st;
    return storage_commit(ctx, late.below, b, failed);
}

static int late_view(struct ctx *ctx, struct storage *st, struct storage **view)
{
    (void)st;
    if (!ctx->may_wait)
        return ERR_WOULD_BLOCK;
    late.before();
    return storage_view(ctx, late.below, view);
}

static const struct storage_backend late_backend = {
    .name = "late",
    .get = late_get,
    .scan = late_scan,
    .commit = late_commit,
    .view = late_view,
};

static void put_large(int id)
{
    struct bytes ref =
        ask_ref(&bed.arena, arena_printf(&bed.arena, "K:%d", id));
    size_t n = 600 * 1000;
    char *text = memset(arena_alloc(&bed.arena, n), 'x', n);
    struct buf e = BUF_IN(&bed.arena);

    make_entity(&e, ref);
    make_prop(&e, MAKE_RAW, "text", 0, false,
              make_bytes(&bed.arena, BYTES(text, n)));
    bed_ok(&bed, bed_write(&bed, ref, buf_view(&e), NULL));
}

static void replace_both_ends(void)
{
    delete ("K:1");
    delete ("K:6");
    put_large(7);
}

/* Four of 600 kB fill a batch, which nobody could know before. */
static void
r_a_batch_that_large_entities_cut_is_of_the_same_moment(void **state)
{
    struct answer a, rest;

    for (int i = 1; i <= 6; i++)
        put_large(i);
    late.base.backend = &late_backend;
    late.below = bed.engine->storage;
    late.before = replace_both_ends;
    bed.engine->storage = &late.base;
    answer_run(&bed, ask(&bed.arena, "K limit:6"), &a);
    answer_next(&bed, a.handle, 9, false, &rest);
    bed.engine->storage = late.below;
    assert_string_equal(names(&a), "2 3 4 5");
    assert_string_equal(names(&rest), "7");
    assert_false(rest.more);
    assert_int_equal(query_open_views(bed.engine->queries), 0);
}

/* A loop cannot make a view, nor close one; both are done later. */
static void views_come_and_go_off_the_network_loops(void **state)
{
    struct query_env env = {.engine = bed.engine};
    struct bytes query;
    struct buf out = BUF_IN(&bed.arena);
    struct answer a;

    put_numbers(5);
    query = ask(&bed.arena, "K count:2");
    bed.ctx.may_wait = false;
    if (strcmp(bed.backend, "rocksdb") == 0) {
        assert_int_equal(query_run(&bed.ctx, &env, query, &out),
                         ERR_WOULD_BLOCK);
        assert_int_equal(out.n, 0);
        assert_int_equal(query_open_count(bed.engine->queries), 0);
        assert_int_equal(query_open_views(bed.engine->queries), 0);
    }
    bed.ctx.may_wait = true;
    answer_run(&bed, query, &a);
    assert_int_equal(query_open_views(bed.engine->queries), 1);
    bed.ctx.may_wait = false;
    answer_next(&bed, a.handle, 2, false, &a);
    answer_next(&bed, a.handle, 2, false, &a);
    assert_false(a.more);
    assert_int_equal(query_open_views(bed.engine->queries), 1);
    bed.ctx.may_wait = true;
    query_open_expire(&bed.ctx, bed.engine->queries);
    assert_int_equal(query_open_views(bed.engine->queries), 0);
    /* and one that nothing is left for has none */
    answer_run(&bed, ask(&bed.arena, "K count:5"), &a);
    answer_run(&bed, ask(&bed.arena, "K"), &a);
    answer_run(&bed, ask(&bed.arena, "K limit:2"), &a);
    assert_int_equal(query_open_views(bed.engine->queries), 0);
}

static void another_apps_open_query_is_not_found(void **state)
{
    struct answer a, b;
    struct buf in = BUF_IN(&bed.arena), cursor = BUF_IN(&bed.arena);

    put_numbers(5);
    answer_run(&bed, ask(&bed.arena, "K count:1"), &a);
    pb_put_fixed64(&cursor, 1, a.handle);
    pb_put_bytes(&in, 1, buf_view(&cursor));
    bed.ctx.app = BYTES_LIT("other");
    assert_int_equal(answer_try(&bed, false, true, buf_view(&in), &b),
                     ERR_INVALID);
    bed.ctx.app = BYTES_LIT("shop");
}

static void next_with_the_wrong_offset_is_refused(void **state)
{
    struct buf in = BUF_IN(&bed.arena);
    struct answer a, b;

    put_numbers(1200);
    answer_run(&bed, ask(&bed.arena, "K offset:1100 limit:5"), &a);
    assert_true(a.more && a.skipped == 1000);
    buf_add(&in, answer_next_request(&bed.arena, a.handle, -1, false));
    pb_put_u64(&in, 4, 7);
    bed_fails(&bed, answer_try(&bed, false, true, buf_view(&in), &b),
              ERR_INVALID, "Invalid offset provided. Got 7 expected 100.");
    in.n -= 1;
    buf_add_u8(&in, 100);
    bed_ok(&bed, answer_try(&bed, false, true, buf_view(&in), &b));
    assert_true(!b.more && b.n == 5 && b.skipped == 100);
}

static void only_whole_entities_have_a_version(void **state)
{
    struct answer a;

    put_numbers(3);
    answer_run(&bed, ask(&bed.arena, "K"), &a);
    assert_int_equal(a.n_versions, 3);
    assert_int_equal(a.versions[0],
                     bed_get(&bed, NULL, ask_ref(&bed.arena, "K:1")).version);
    assert_bytes(a.results[0],
                 bed_get(&bed, NULL, ask_ref(&bed.arena, "K:1")).entity);
    answer_run(&bed, ask(&bed.arena, "K keys"), &a);
    assert_int_equal(a.n_versions, 0);
    assert_true(a.keys_only);
    answer_run(&bed, ask(&bed.arena, "K project:n"), &a);
    assert_int_equal(a.n_versions, 0);
    assert_false(a.keys_only);
}

/* ---- cursors ---- */

static struct bytes with_cursor(const char *text, int field,
                                struct bytes cursor)
{
    struct buf in = BUF_IN(&bed.arena);

    buf_add(&in, ask(&bed.arena, text));
    pb_put_bytes(&in, (uint32_t)field, cursor);
    return buf_view(&in);
}

static void a_cursor_is_there_whenever_it_was_asked_for(void **state)
{
    struct answer a;

    put_numbers(5);
    answer_run(&bed, ask(&bed.arena, "K n=99 compile"), &a);
    assert_true(a.has_cursor && a.cursor.n == 0); /* present, and empty */
    answer_run(&bed, ask(&bed.arena, "K limit:2"), &a);
    assert_true(!a.has_cursor && a.n_cursors == 0);
    answer_run(&bed, ask(&bed.arena, "K limit:2 offset:1 compile"), &a);
    assert_true(a.has_cursor && a.n_cursors == 2 && a.has_skipped_cursor);
    assert_bytes(a.cursor, a.cursors[1]);
    assert_string_equal(names(&a), "2 3");

    /* Go's mid-batch cursor: skip, return nothing, and say where that is. */
    answer_run(&bed, ask(&bed.arena, "K limit:0 offset:2 compile keys"), &a);
    assert_true(a.has_cursor && a.n == 0 && !a.more);
    answer_run(&bed, with_cursor("K", 30, a.cursor), &a);
    assert_string_equal(names(&a), "3 4 5");
}

static void an_answer_of_nothing_returns_the_cursor_it_began_with(void **state)
{
    struct answer a, b;

    put_numbers(3);
    answer_run(&bed, ask(&bed.arena, "K compile"), &a);
    answer_run(&bed, with_cursor("K compile", 30, a.cursor), &b);
    assert_int_equal(b.n, 0);
    assert_bytes(b.cursor, a.cursor);
}

static void an_empty_end_cursor_ends_before_everything(void **state)
{
    struct answer a;

    put_numbers(3);
    answer_run(&bed, with_cursor("K", 31, BYTES("", 0)), &a);
    assert_true(a.n == 0 && !a.more);
    answer_run(&bed, with_cursor("K", 30, BYTES("", 0)), &a);
    assert_int_equal(a.n, 3);
}

static void cursors_stay_good_when_their_row_is_gone(void **state)
{
    struct answer a;

    put_numbers(5);
    answer_run(&bed, ask(&bed.arena, "K order:-n limit:2 compile"), &a);
    assert_string_equal(names(&a), "5 4");
    delete ("K:4");
    answer_run(&bed, with_cursor("K order:-n", 30, a.cursor), &a);
    assert_string_equal(names(&a), "3 2 1");
}

static void a_cursor_resumes_the_reversed_query(void **state)
{
    struct answer a;

    put_all(ties, N(ties));
    answer_run(&bed, ask(&bed.arena, "K order:n,__key__ limit:4 compile"), &a);
    assert_string_equal(names(&a), "a e a/b b");
    answer_run(&bed, with_cursor("K order:-n,-__key__", 30, a.cursor), &a);
    assert_string_equal(names(&a), "b a/b e a");
}

/* ---- indexes ---- */

static void a_missing_index_is_named(void **state)
{
    struct answer a;

    put("K:a n=1");
    bed_fails(
        &bed,
        answer_try(&bed, false, false, ask(&bed.arena, "K anc:K:a order:-date"),
                   &a),
        ERR_NEED_INDEX,
        "This query requires a composite index that is not defined. You must "
        "update the index.yaml file in your application root.\n"
        "The following index is the minimum index required:\n"
        "- kind: K\n"
        "  ancestor: yes\n"
        "  properties:\n"
        "  - name: date\n"
        "    direction: desc");
    bed.ctx.may_wait = false;
    assert_int_equal(answer_try(&bed, true, false,
                                ask(&bed.arena, "K anc:K:a order:-date"), &a),
                     ERR_WOULD_BLOCK);
    bed.ctx.may_wait = true;
}

static void merged_indexes_answer_as_one_does(void **state)
{
    static const char yaml[] = "indexes:\n"
                               "- kind: K\n  properties:\n  - name: a\n"
                               "  - name: c\n"
                               "- kind: K\n  properties:\n  - name: b\n"
                               "  - name: c\n";
    struct index_def *defs;
    int64_t id;
    size_t n;

    bed_ok(&bed, index_yaml_parse(&bed.ctx, BYTES_LIT(yaml), &defs, &n));
    for (size_t i = 0; i < n; i++)
        bed_ok(&bed, index_create(&bed.ctx, bed.engine, bed.ctx.app, &defs[i],
                                  true, &id));
    for (int i = 0; i < 200; i++) {
        put(arena_printf(&bed.arena, "K:%d a=%d b=%d c=%d", i + 1, i % 3, i % 5,
                         i % 4));
        arena_reset(&bed.arena);
    }
    /* i = 7 mod 15, by c = i mod 4, then key */
    check("K a=1 b=2 order:c", "53 113 173 38 98 158 23 83 143 8 68 128 188");
    check("K a=1 b=2 order:c limit:3", "53 113 173");
    check("K a=1 b=2", "8 23 38 53 68 83 98 113 128 143 158 173 188");
}

/* ---- storage that cannot answer here and now ---- */

static void a_query_that_would_block_changes_nothing(void **state)
{
    struct answer a, b;

    put_numbers(5);
    answer_run(&bed, ask(&bed.arena, "K order:-n count:2"), &a);
    errinj_set("storage.scan.would_block", 1, 0);
    assert_int_equal(
        answer_try(&bed, false, true,
                   answer_next_request(&bed.arena, a.handle, 2, false), &b),
        ERR_WOULD_BLOCK);
    errinj_set("storage.get.would_block", 1, 0);
    assert_int_equal(answer_try(&bed, false, false, ask(&bed.arena, "K"), &b),
                     ERR_WOULD_BLOCK);
    errinj_clear();
    assert_int_equal(query_open_count(bed.engine->queries), 1);
    answer_next(&bed, a.handle, 2, false, &b);
    assert_string_equal(names(&b), "3 2");
}

/* ---- transactions ---- */

static struct bytes in_txn(const char *text, uint64_t handle)
{
    struct buf in = BUF_IN(&bed.arena), txn = BUF_IN(&bed.arena);

    buf_add(&in, ask(&bed.arena, text));
    pb_put_fixed64(&txn, 1, handle);
    pb_put_bytes(&txn, 2, BYTES_LIT("shop"));
    pb_put_bytes(&in, 22, buf_view(&txn));
    return buf_view(&in);
}

static void a_transaction_never_sees_a_mix(void **state)
{
    struct txn_options o = {0};
    struct answer a, b;
    uint64_t handle;

    put("K:a n=1");
    put("K:a/K:b n=2");
    put("K:a/K:c n=3");
    bed_ok(&bed, txn_begin(&bed.ctx, bed.engine, &o, &handle));
    answer_run(&bed, in_txn("K anc:K:a count:1", handle), &a);
    assert_string_equal(names(&a), "a");
    put("K:z n=1"); /* another group */
    answer_next(&bed, a.handle, 1, false, &b);
    assert_string_equal(names(&b), "a/b");
    put("K:a/K:d n=1");
    bed_fails(&bed,
              answer_try(&bed, false, true,
                         answer_next_request(&bed.arena, a.handle, 1, false),
                         &b),
              ERR_CONFLICT, "Concurrency exception.");
}

static void a_finished_transaction_cannot_be_queried(void **state)
{
    struct answer a;

    put("K:a n=1");
    assert_int_equal(
        answer_try(&bed, false, false, in_txn("K anc:K:a", 12345), &a),
        ERR_INVALID);
}

/* ---- metadata ---- */

static void metadata_kinds_tell_what_is_stored(void **state)
{
    put("B:1 n=1 s='x' n='y'");
    put("A:1 z=1");
    put("A:2 ~raw=1 z=null");
    put("C:1");
    put_in("x", "D:1 n=1");
    put_in("w", "E:1 n=1");
    check("__kind__", "A B C");
    check("__kind__ space:x", "D");
    check("__kind__ __key__>__kind__:A", "B C");
    check("__kind__ __key__>=__kind__:B __key__<__kind__:C", "B");
    check("__kind__ __key__=__kind__:C", "C");
    check("__kind__ limit:1 offset:1", "B");
    check("__namespace__", "1 w x");
    check("__namespace__ __key__>__namespace__:1", "w x");
    check("__namespace__ __key__<=__namespace__:w", "1 w");
    check("__namespace__ space:x", "");
    check("__property__",
          "A/z(property_representation='NULL',property_representation='INT64') "
          "B/n(property_representation='INT64',"
          "property_representation='STRING') "
          "B/s(property_representation='STRING')");
    check("__property__ keys", "A/z B/n B/s");
    check("__property__ keys anc:__kind__:B", "B/n B/s");
    check("__property__ keys anc:__kind__:B/__property__:n", "B/n");
    check("__property__ keys __key__>=__kind__:B", "B/n B/s");
    check("__property__ keys __key__>__kind__:A/__property__:z", "B/n B/s");
    delete ("C:1");
    check("__kind__", "A B");
    delete ("B:1");
    check("__property__ keys", "A/z");
}

/* ---- __scatter__ ---- */

static int in_all(const char *text)
{
    int n = 0;

    for (const char *at = text; *at; at++)
        n += *at == ' ';
    return *text ? n + 1 : 0;
}

static const char *all_of(const char *text)
{
    return answer_all(&bed, ask(&bed.arena, text), 0, false);
}

static void a_sample_of_a_kind_is_scattered(void **state)
{
    const char *sample;
    int n;

    put_numbers(1500);
    sample = all_of("K order:__scatter__");
    n = in_all(sample);
    assert_true(n >= 2 && n <= 40); /* one in 128: about 12, the same always */
    assert_string_equal(all_of("K order:__scatter__ keys"), sample);
    assert_string_not_equal(all_of("K __scatter__>'' keys"), "");
    /* in no order that a key or a value has */
    assert_string_not_equal(all_of("K __scatter__>=null order:__scatter__"),
                            all_of("K order:-__scatter__"));
    /* and nobody sees it */
    check("__property__ keys", "K/n");
    delete_numbers(1500);
    check("K order:__scatter__", "");
    assert_int_equal(bed_rows(&bed, KEY_PROPERTIES), 0);
}

/* ---- the table of open queries ---- */

static void the_oldest_open_query_makes_room(void **state)
{
    struct query_table *t = query_table_new();
    struct query_open o = {.app = bed.ctx.app,
                           .request = BYTES_LIT("request"),
                           .cursor = BYTES_LIT("cursor")},
                      back;
    uint64_t first, handle;

    query_open_add(&bed.ctx, t, &o, &first);
    assert_true(first != 0);
    bed_ok(&bed, query_open_get(&bed.ctx, t, first, &back));
    assert_bytes(back.request, o.request);
    for (int i = 0; i < QUERY_OPEN_MAX; i++)
        query_open_add(&bed.ctx, t, &o, &handle);
    assert_int_equal(query_open_count(t), QUERY_OPEN_MAX);
    assert_int_equal(query_open_get(&bed.ctx, t, first, &back), ERR_NOT_FOUND);
    bed_ok(&bed, query_open_get(&bed.ctx, t, handle, &back));
    o.cursor = BYTES_LIT("a longer cursor");
    query_open_set(&bed.ctx, t, handle, &o);
    bed_ok(&bed, query_open_get(&bed.ctx, t, handle, &back));
    assert_bytes(back.cursor, o.cursor);
    query_open_set(&bed.ctx, t, handle, NULL);
    assert_int_equal(query_open_get(&bed.ctx, t, handle, &back), ERR_NOT_FOUND);
    query_table_free(t);
}

#define TEST(f_)                                                               \
    {#f_ " (memory)", f_, open_memory, close_bed, NULL},                       \
    {                                                                          \
#f_ " (rocksdb)", f_, open_rocksdb, close_bed, NULL                    \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_list_counts_once_at_its_first_passing_value),
        TEST(equal_values_come_in_key_order_also_when_descending),
        TEST(a_long_run_of_ties_is_read_in_key_order),
        TEST(namespaces_do_not_see_each_other),
        TEST(what_is_not_indexed_is_not_found),
        TEST(ranges_run_over_all_types),
        TEST(answers_follow_writes_at_once),
        TEST(batches_follow_count_limit_and_offset),
        TEST(at_most_300_rows_and_1000_skipped_at_a_time),
        TEST(next_of_no_rows_keeps_the_query_open),
        TEST(all_batches_are_of_one_moment),
        TEST(r_a_batch_that_large_entities_cut_is_of_the_same_moment),
        TEST(an_entity_that_moves_ahead_comes_once),
        TEST(a_query_without_a_view_goes_on_with_the_present),
        TEST(a_view_does_not_outlive_the_indexes_it_began_with),
        TEST(views_come_and_go_off_the_network_loops),
        TEST(another_apps_open_query_is_not_found),
        TEST(next_with_the_wrong_offset_is_refused),
        TEST(only_whole_entities_have_a_version),
        TEST(a_cursor_is_there_whenever_it_was_asked_for),
        TEST(an_answer_of_nothing_returns_the_cursor_it_began_with),
        TEST(an_empty_end_cursor_ends_before_everything),
        TEST(cursors_stay_good_when_their_row_is_gone),
        TEST(a_cursor_resumes_the_reversed_query),
        TEST(a_missing_index_is_named),
        TEST(merged_indexes_answer_as_one_does),
        TEST(a_query_that_would_block_changes_nothing),
        TEST(a_transaction_never_sees_a_mix),
        TEST(a_finished_transaction_cannot_be_queried),
        TEST(metadata_kinds_tell_what_is_stored),
        TEST(a_sample_of_a_kind_is_scattered),
        TEST(the_oldest_open_query_makes_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
