/*
 * Random entities and random queries, against an evaluator that knows nothing
 * of indexes: it looks at every entity, makes every row it stands for, sorts
 * them all, and cuts.  Each query is also run in random batches, and resumed
 * and ended at random cursors.
 *
 * A failure prints its seed: QUERY_SEED=N runs that round alone, and shows
 * each query.
 */
#include "answer.h"
#include "base/log.h"

enum { ENTITIES = 60, QUERIES = 60, VALUES_MAX = 4, ROWS_MAX = 20000 };

static struct bed bed;
static uint64_t rng;

static unsigned below(unsigned n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (unsigned)((rng >> 16) % n);
}

static bool chance(unsigned percent)
{
    return below(100) < percent;
}

/* ---- the data, as the evaluator sees it ---- */

static const char *const prop_names[] = {"a", "b", "c"};
enum { PROPS = 3 };

static struct model {
    struct bytes path; /* encoded */
    struct bytes kind;
    struct bytes values[PROPS][VALUES_MAX]; /* encoded; distinct */
    size_t n[PROPS];
} models[ENTITIES];

static struct arena model_arena;

static const char *random_value(void)
{
    static const char *const values[] = {"0",    "1",   "2",   "3",  "4",
                                         "null", "'x'", "'y'", "-1", "K:r1"};

    return values[below(sizeof(values) / sizeof(*values))];
}

static const char *random_path(void)
{
    static const char *const kinds[] = {"K", "K", "K", "J"};
    struct buf b = BUF_IN(&bed.arena);
    unsigned depth = 1 + below(3);

    for (unsigned i = 0; i < depth; i++)
        buf_printf(&b, "%s%s:%s%u", i ? "/" : "", kinds[below(4)],
                   chance(50) ? "r" : "", 1 + below(i ? 3 : 5));
    return buf_cstr(&b);
}

static void model_value(struct model *m, int prop, struct bytes pv)
{
    struct buf b = BUF_IN(&model_arena);

    bed_ok(&bed, value_encode(&bed.ctx, &b, pv));
    for (size_t i = 0; i < m->n[prop]; i++) {
        if (bytes_eq(m->values[prop][i], buf_view(&b)))
            return;
    }
    m->values[prop][m->n[prop]++] = buf_view(&b);
}

/* Put an entity of random properties, and remember it. */
static void random_entity(struct model *m)
{
    struct buf entity = BUF_IN(&bed.arena);
    struct bytes ref = ask_ref(&bed.arena, random_path());
    struct key key = bed_key(&bed, ref);

    *m = (struct model){.path = arena_dup(&model_arena, key.path),
                        .kind = arena_dup(&model_arena, key.kind)};
    make_entity(&entity, ref);
    for (int prop = 0; prop < PROPS; prop++) {
        unsigned n = chance(60) ? 1 : below(VALUES_MAX);

        for (unsigned i = 0; i < n; i++) {
            struct bytes pv = ask_value(&bed.arena, random_value());
            bool raw = chance(5);

            make_prop(&entity, raw ? MAKE_RAW : MAKE_PROP, prop_names[prop], 0,
                      n > 1, pv);
            if (!raw)
                model_value(m, prop, pv);
        }
    }
    bed_ok(&bed, bed_write(&bed, ref, buf_view(&entity), NULL));
}

/* Of two with one key the later replaces the earlier. */
static void random_data(void)
{
    for (int i = 0; i < ENTITIES; i++) {
        random_entity(&models[i]);
        for (int j = 0; j < i; j++) {
            if (bytes_eq(models[j].path, models[i].path))
                models[j].kind = BYTES_NONE;
        }
        arena_reset(&bed.arena);
    }
}

/* ---- a query ---- */

static void random_compare(struct buf *b, const char *name, bool equal)
{
    static const char *const ops[] = {"<", "<=", ">", ">="};
    bool key = strcmp(name, "__key__") == 0;

    buf_printf(b, " %s%s%s", name, equal ? "=" : ops[below(4)],
               key ? random_path() : random_value());
}

static void random_names(struct buf *b, const char *word, bool signs,
                         const char *first)
{
    unsigned n = 1 + below(2), at = below(PROPS);

    buf_printf(b, " %s", word);
    if (first)
        buf_printf(b, "%s%s%s", signs && chance(50) ? "-" : "", first,
                   chance(50) ? "," : "");
    if (first && b->p[b->n - 1] != ',')
        return;
    for (unsigned i = 0; i < n; i++)
        buf_printf(b, "%s%s%s", i ? "," : "", signs && chance(50) ? "-" : "",
                   prop_names[(at + i) % PROPS]);
    if (signs && chance(25))
        buf_printf(b, ",%s__key__", chance(50) ? "-" : "");
}

static void random_filters(struct buf *b, bool kindless)
{
    const char *range = NULL;

    if (chance(8))
        random_compare(b, "__key__", true);
    for (unsigned n = kindless ? 0 : below(3); n > 0; n--)
        random_compare(b, prop_names[below(PROPS)], true);
    if (chance(40)) {
        range = kindless || chance(20) ? "__key__" : prop_names[below(PROPS)];
        for (unsigned n = 1 + below(2); n > 0; n--)
            random_compare(b, range, false);
    }
    if (kindless)
        return;
    if (chance(50))
        random_names(b, "order:", true, range);
    if (chance(25)) {
        random_names(b, "project:", false, NULL);
        if (chance(40))
            random_names(b, "group:", false, NULL);
    } else if (chance(10)) {
        random_names(b, "exists:", false, NULL);
    }
}

/* Without limit and offset. */
static const char *random_query(void)
{
    struct buf b = BUF_IN(&bed.arena);
    bool kindless = chance(10);

    buf_add_str(&b, kindless ? "*" : chance(90) ? "K" : "J");
    random_filters(&b, kindless);
    if (chance(30)) {
        const char *path = random_path();
        int root = (int)strcspn(path, "/");

        buf_printf(&b, " anc:%.*s", chance(70) ? root : 999, path);
    }
    if (!strstr(buf_cstr(&b), "project:") && chance(30))
        buf_add_str(&b, " keys");
    return buf_cstr(&b);
}

/* ---- the evaluator ---- */

struct row {
    struct bytes values[8];
    struct bytes path;
};

static struct {
    const struct query *q;
    struct row *rows;
    size_t n;
    size_t columns;
} eval;

static int prop_index(struct bytes name)
{
    for (int i = 0; i < PROPS; i++) {
        if (bytes_eq_str(name, prop_names[i]))
            return i;
    }
    return -1;
}

static int compare_rows(const void *x, const void *y)
{
    const struct row *a = x, *b = y;
    const struct query_order *o = eval.q->effective;

    for (size_t i = 0; i < eval.columns; i++) {
        int d = bytes_cmp(a->values[i], b->values[i]);

        if (d)
            return o[i].desc ? -d : d;
    }
    return o[eval.columns].desc ? bytes_cmp(b->path, a->path)
                                : bytes_cmp(a->path, b->path);
}

static bool in_range(const struct query *q, struct bytes v)
{
    int lo = q->lo.set ? bytes_cmp(v, q->lo.value) : 1;
    int hi = q->hi.set ? bytes_cmp(v, q->hi.value) : -1;

    return lo >= !q->lo.inclusive && hi <= -!q->hi.inclusive;
}

static bool has_value(const struct model *m, struct bytes name,
                      struct bytes value)
{
    int prop = prop_index(name);

    if (prop < 0)
        return bytes_eq(m->path, value);
    for (size_t i = 0; i < m->n[prop]; i++) {
        if (bytes_eq(m->values[prop][i], value))
            return true;
    }
    return false;
}

/* Everything but the columns' values. */
static bool may_match(const struct model *m)
{
    const struct query *q = eval.q;

    if (!m->kind.p || (q->has_kind && !bytes_eq(m->kind, q->kind)) ||
        (q->has_ancestor && !bytes_starts(m->path, q->ancestor.path)))
        return false;
    for (size_t i = 0; i < q->n_eq; i++) {
        if (!has_value(m, q->eq[i]->name, q->eq[i]->value))
            return false;
    }
    return !q->range_name.p || prop_index(q->range_name) >= 0 ||
           in_range(q, m->path);
}

/* All rows of the entity from column `i` on. */
static void add_rows(const struct model *m, struct row *row, size_t i)
{
    const struct query *q = eval.q;
    struct bytes name = q->effective[i].name;
    int prop = prop_index(name);

    if (i == eval.columns) {
        row->path = m->path;
        assert_true(eval.n < ROWS_MAX);
        eval.rows[eval.n++] = *row;
        return;
    }
    if (prop < 0) {
        row->values[i] = m->path;
        add_rows(m, row, i + 1);
        return;
    }
    for (size_t k = 0; k < m->n[prop]; k++) {
        row->values[i] = m->values[prop][k];
        if (!bytes_eq(name, q->range_name) || in_range(q, row->values[i]))
            add_rows(m, row, i + 1);
    }
}

/* Of an entity's rows only the first counts, unless they are projected. */
static void keep_first(size_t from)
{
    if (eval.q->projection.n || eval.n == from)
        return;
    qsort(eval.rows + from, eval.n - from, sizeof(*eval.rows), compare_rows);
    eval.n = from + 1;
}

static bool same_group(const struct row *a, const struct row *b)
{
    const struct query *q = eval.q;
    bool grouped = false;

    for (size_t i = 0; i < eval.columns; i++) {
        for (size_t g = 0; g < q->group_by.n; g++) {
            if (!bytes_eq(q->group_by.v[g], q->effective[i].name))
                continue;
            grouped = true;
            if (!bytes_eq(a->values[i], b->values[i]))
                return false;
        }
    }
    return grouped;
}

static void evaluate(const struct query *q)
{
    size_t kept = 0;

    eval.q = q;
    eval.n = 0;
    eval.columns = q->n_effective - 1;
    for (int i = 0; i < ENTITIES; i++) {
        struct row row = {0};
        size_t from = eval.n;

        if (may_match(&models[i]))
            add_rows(&models[i], &row, 0);
        keep_first(from);
    }
    qsort(eval.rows, eval.n, sizeof(*eval.rows), compare_rows);
    for (size_t i = 0; i < eval.n; i++) {
        if (i == 0 || !same_group(&eval.rows[kept - 1], &eval.rows[i]))
            eval.rows[kept++] = eval.rows[i];
    }
    eval.n = kept;
}

/* ---- the comparison ---- */

static const char *current; /* the query's text */
static uint64_t seed;

static bool projected(struct bytes name)
{
    for (size_t i = 0; i < eval.q->projection.n; i++) {
        if (bytes_eq(eval.q->projection.v[i], name))
            return true;
    }
    return false;
}

static const char *row_text(const struct row *row)
{
    struct buf b = BUF_IN(&bed.arena);
    int n = 0;

    answer_put_path(&bed, row->path, &b);
    for (size_t i = 0; i < eval.columns; i++) {
        struct buf pv = BUF_IN(&bed.arena);

        if (!projected(eval.q->effective[i].name))
            continue;
        bed_ok(&bed, value_decode(&bed.arena, row->values[i], &pv));
        buf_printf(&b, "%s%.*s=", n++ ? "," : "(",
                   BYTES_FMT(eval.q->effective[i].name));
        answer_put_value(buf_view(&pv), &b);
    }
    buf_add_str(&b, n ? ")" : "");
    return buf_cstr(&b);
}

static const char *result_text(struct bytes entity)
{
    struct buf b = BUF_IN(&bed.arena);

    answer_put(&bed, entity, eval.q->projection.n > 0, &b);
    return buf_cstr(&b);
}

#define differ(...)                                                            \
    do {                                                                       \
        print_error("seed %llu: %s\n", (unsigned long long)seed, current);     \
        fail_msg(__VA_ARGS__);                                                 \
    } while (0)

/* The batch holds rows [at, at + n) and says rightly whether there are more. */
static void check_batch(const struct answer *a, size_t at, size_t end)
{
    for (size_t i = 0; i < a->n; i++) {
        const char *got = result_text(a->results[i]);

        if (at + i >= end)
            differ("row %zu: got %s, want the end", at + i, got);
        if (strcmp(got, row_text(&eval.rows[at + i])) != 0)
            differ("row %zu: got %s, want %s", at + i, got,
                   row_text(&eval.rows[at + i]));
    }
    if (a->more != (at + a->n < end))
        differ("behind row %zu of %zu: more is %d", at + a->n, end, a->more);
}

/* Rows [from, to) of the query, in batches of random sizes. */
static void check_rows(struct bytes in, size_t from, size_t to)
{
    struct answer *a = ARENA_NEW(&bed.arena, struct answer);

    answer_run(&bed, in, a);
    for (;;) {
        check_batch(a, from, to);
        from += a->n;
        if (!a->more)
            break;
        answer_next(&bed, a->handle, (int)(1 + below(30)), false, a);
    }
    if (from != to)
        differ("ended at row %zu of %zu", from, to);
}

static struct bytes with(const char *words)
{
    return ask(&bed.arena, arena_printf(&bed.arena, "%s %s", current, words));
}

static struct bytes with_cursor(struct bytes in, int field, struct bytes c)
{
    struct buf b = BUF_IN(&bed.arena);

    buf_add(&b, in);
    pb_put_bytes(&b, (uint32_t)field, c);
    return buf_view(&b);
}

/* Offset and limit at random places, and beyond the end. */
static void check_cut(void)
{
    size_t offset = below((unsigned)eval.n + 3), limit = 1 + below(20);
    size_t from = offset < eval.n ? offset : eval.n;
    size_t to = from + limit < eval.n ? from + limit : eval.n;

    check_rows(with(arena_printf(&bed.arena, "offset:%zu limit:%zu count:%u",
                                 offset, limit, 1 + below(5))),
               from, to);
}

/* From a cursor to the end, and from the start to a cursor. */
static void check_cursors(void)
{
    struct answer *a = ARENA_NEW(&bed.arena, struct answer);
    size_t at;

    answer_run(&bed, with("compile count:300"), a);
    if (a->n == 0)
        return;
    at = below((unsigned)a->n);
    assert_int_equal(a->n_cursors, a->n);
    check_rows(with_cursor(with("count:7"), 30, a->cursors[at]), at + 1,
               eval.n);
    check_rows(with_cursor(with("count:7"), 31, a->cursors[at]), 0, at + 1);
}

static bool check_query(void)
{
    struct query q;
    int rc = query_read(&bed.ctx, ask(&bed.arena, current), &q);

    bed_ok(&bed, rc);
    if (query_check(&bed.ctx, &q) != 0) {
        ctx_err_clear(&bed.ctx);
        return false;
    }
    evaluate(&q);
    check_rows(with("count:300"), 0, eval.n);
    check_rows(with(arena_printf(&bed.arena, "count:%u", 1 + below(4))), 0,
               eval.n);
    check_cut();
    check_cursors();
    return true;
}

/* Indexes of two properties, which queries of more can only use together. */
static void make_pairs(void)
{
    for (int i = 0; i < PROPS * PROPS * 2; i++) {
        struct index_column columns[2] = {
            {bytes_str(prop_names[i % PROPS]), false},
            {bytes_str(prop_names[i / PROPS % PROPS]), i >= PROPS * PROPS},
        };
        struct index_def def = {
            .kind = BYTES_LIT("K"), .columns = columns, .n = 2};
        int64_t id;

        if (bytes_eq(columns[0].name, columns[1].name))
            continue;
        bed_ok(&bed, index_create(&bed.ctx, bed.engine, bed.ctx.app, &def, true,
                                  &id));
    }
}

static void round_of(const char *backend, uint64_t n)
{
    int asked = 0;

    seed = n;
    rng = n * 0x9e3779b97f4a7c15u + 1;
    bed_open(&bed, backend);
    if (n % 2)
        make_pairs();
    random_data();
    while (asked < QUERIES) {
        current = arena_strdup(&bed.arena, random_query());
        if (getenv("QUERY_SEED"))
            print_message("%s\n", current);
        asked += check_query();
        arena_reset(&bed.arena);
    }
    bed_close(&bed);
    arena_reset(&model_arena);
}

static void rounds(const char *backend, uint64_t n)
{
    const char *given = getenv("QUERY_SEED");

    eval.rows = malloc(ROWS_MAX * sizeof(*eval.rows));
    if (given)
        round_of(backend, strtoull(given, NULL, 10));
    for (uint64_t i = 1; !given && i <= n; i++)
        round_of(backend, i);
    arena_release(&model_arena);
    free(eval.rows);
}

static void random_queries_answer_as_a_scan_of_everything(void **state)
{
    rounds("memory", 40);
}

static void random_queries_answer_alike_on_rocksdb(void **state)
{
    rounds("rocksdb", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_queries_answer_as_a_scan_of_everything),
        cmocka_unit_test(random_queries_answer_alike_on_rocksdb),
    };

    log_set_level(LOG_WARN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
