/*
 * game - a random world in the engine and in naive.h, and random queries to
 * both.
 *
 *     game_begin(&g, dice, "memory");
 *     while (...)
 *         game_query(&g);
 *     game_end(&g);
 *
 * A query is run whole, in small batches, behind an offset, between cursors,
 * and over data that changes meanwhile.  Where the engine asks for an index it
 * gets that index, and must then answer.
 */
#ifndef TESTS_UNIT_ENGINE_GAME_H
#define TESTS_UNIT_ENGINE_GAME_H

#include "answer.h"
#include "base/log.h"
#include "dice.h"
#include "engine/engine_int.h"
#include "game_text.h"

enum { GAME_POOL = 4, GAME_INDEXES_MAX = 150 };

struct game {
    struct bed bed;
    struct dice dice;
    struct naive_world world;
    struct naive_result want;
    struct naive_value pool[NAIVE_NAMES][GAME_POOL];
    struct arena arena; /* of the world */
    bool auto_index;
    int n_indexes;
    int n_asked, n_rows;
    const char *label;
    struct bytes query; /* the message without its cuts */
};

static const struct bytes game_kinds[] = {{"A", 1}, {"A", 1}, {"A", 1},
                                          {"A", 1}, {"B", 1}, {"AB", 2}};
static const struct bytes game_spaces[] = {
    {"", 0}, {"", 0}, {"", 0}, {"", 0}, {"n", 1}};

/* ---- random parts ---- */

static inline struct naive_elem game_elem(struct game *g)
{
    static const int64_t ids[] = {1, 2, 10, -5, 1LL << 53, INT64_MAX};
    static const struct bytes names[] = {
        {"a", 1}, {"a\0b", 3}, {"a!", 2}, {"10", 2}, {"\xc3\xa9", 2}};
    struct naive_elem e = {.kind = dice_pick(&g->dice, game_kinds)};

    e.named = dice_chance(&g->dice, 50);
    if (e.named)
        e.name = dice_pick(&g->dice, names);
    else
        e.id = dice_pick(&g->dice, ids);
    return e;
}

static inline struct naive_key game_key(struct game *g, struct bytes space)
{
    static const int depths[] = {1, 1, 1, 2, 2, 3, NAIVE_DEPTH};
    struct naive_key key = {.space = space, .n = dice_pick(&g->dice, depths)};

    for (int i = 0; i < key.n; i++)
        key.e[i] = game_elem(g);
    return key;
}

/* A key in the arena: of an entity there is, or of none. */
static inline const struct naive_key *game_some_key(struct game *g,
                                                    struct bytes space)
{
    struct naive_key *key = ARENA_NEW(&g->arena, struct naive_key);

    *key = game_key(g, space);
    if (g->world.n && dice_chance(&g->dice, 60))
        *key =
            g->world.entities[dice_below(&g->dice, (unsigned)g->world.n)].key;
    key->space = space;
    return key;
}

static inline struct naive_value game_value(struct game *g)
{
    static const int64_t ints[] = {0,         1,         2,        -1,
                                   INT64_MIN, INT64_MAX, 1LL << 53};
    static const double doubles[] = {-INFINITY, -1.5, -0.0,     0.0,
                                     1.0,       1.5,  INFINITY, NAN};
    static const struct bytes strings[] = {
        {"", 0},   {"a", 1}, {"a\0", 2},      {"a\0\xff", 3},  {"a\1", 2},
        {"ab", 2}, {"b", 1}, {"\xff\xfe", 2}, {"\xc3\xa9", 2}, {"\0", 1},
    };
    static const struct bytes users[] = {{"a@x", 3}, {"ab@x", 4}, {"b@x", 3}};
    static const double places[] = {-1.0, 0.5, 2.0};
    static const enum naive_type types[] = {
        NAIVE_INT,    NAIVE_INT,  NAIVE_INT,      NAIVE_STRING,
        NAIVE_STRING, NAIVE_NULL, NAIVE_BOOL,     NAIVE_DOUBLE,
        NAIVE_POINT,  NAIVE_USER, NAIVE_REFERENCE};
    struct naive_value v = {.type = dice_pick(&g->dice, types)};

    if (v.type == NAIVE_INT)
        v.i = dice_pick(&g->dice, ints);
    else if (v.type == NAIVE_BOOL)
        v.i = dice_below(&g->dice, 2);
    else if (v.type == NAIVE_STRING)
        v.s = dice_pick(&g->dice, strings);
    else if (v.type == NAIVE_USER)
        v.s = dice_pick(&g->dice, users);
    else if (v.type == NAIVE_DOUBLE)
        v.x = dice_pick(&g->dice, doubles);
    else if (v.type == NAIVE_POINT) {
        v.x = dice_pick(&g->dice, places);
        v.y = dice_pick(&g->dice, places);
    } else if (v.type == NAIVE_REFERENCE) {
        v.key = game_some_key(g, dice_pick(&g->dice, game_spaces));
    }
    return v;
}

/* One of the property's few values: they have to meet. */
static inline struct naive_value game_pooled(struct game *g, int name)
{
    return dice_chance(&g->dice, 10) ? game_value(g)
                                     : dice_pick(&g->dice, g->pool[name]);
}

/* One that some entity has, mostly. */
static inline struct naive_value game_met(struct game *g, int name)
{
    struct naive_value values[NAIVE_PROPS];
    int n = 0;

    for (int tries = 0; tries < 4 && n == 0 && g->world.n; tries++)
        n = naive_values(
            &g->world.entities[dice_below(&g->dice, (unsigned)g->world.n)],
            name, values);
    return n ? values[dice_below(&g->dice, (unsigned)n)] : game_pooled(g, name);
}

/* ---- the world ---- */

static inline void game_list(struct game *g, struct naive_entity *e, int name)
{
    unsigned n = dice_chance(&g->dice, 60) ? 1 : dice_below(&g->dice, 4);
    bool raw = dice_chance(&g->dice, 8);

    for (unsigned i = 0; i < n; i++)
        e->props[e->n++] = (struct naive_prop){
            .name = name,
            .raw = raw,
            .multiple = n > 1,
            .value = game_pooled(g, name),
        };
}

static inline int game_find(const struct naive_world *w,
                            const struct naive_key *key)
{
    int i = 0;

    while (i < w->n && naive_key_cmp(&w->entities[i].key, key) != 0)
        i++;
    return i;
}

static inline void game_put(struct game *g)
{
    struct naive_world *w = &g->world;
    struct naive_entity e = {.key =
                                 game_key(g, dice_pick(&g->dice, game_spaces))};
    int at = game_find(w, &e.key);

    for (int name = 0; name < NAIVE_NAMES; name++)
        game_list(g, &e, name);
    if (at == NAIVE_ENTITIES)
        return;
    w->entities[at] = e;
    w->n += at == w->n;
    bed_ok(&g->bed, bed_write(&g->bed, naive_reference(&g->bed.arena, &e.key),
                              naive_message(&g->bed.arena, &e), NULL));
}

static inline void game_delete(struct game *g, const struct naive_entity *e)
{
    struct naive_world *w = &g->world;
    int at = game_find(w, &e->key);

    bed_ok(&g->bed, bed_write(&g->bed, naive_reference(&g->bed.arena, &e->key),
                              BYTES_NONE, NULL));
    w->entities[at] = w->entities[--w->n];
}

static inline void game_begin(struct game *g, struct dice dice,
                              const char *backend, int entities)
{
    *g = (struct game){.dice = dice};
    bed_open(&g->bed, backend);
    g->want.rows = malloc(NAIVE_ROWS * sizeof(*g->want.rows));
    g->auto_index = dice_chance(&g->dice, 50);
    for (int name = 0; name < NAIVE_NAMES; name++) {
        for (int i = 0; i < GAME_POOL; i++)
            g->pool[name][i] = game_value(g);
    }
    for (int i = 0; i < entities; i++) {
        if (g->world.n && dice_chance(&g->dice, 5))
            game_delete(g, &g->world.entities[0]);
        game_put(g);
    }
}

static inline void game_end(struct game *g)
{
    free(g->want.rows);
    bed_close(&g->bed);
    arena_release(&g->arena);
}

/* ---- a query that may be asked ---- */

static inline void game_filter(struct game *g, struct naive_query *q, int name,
                               int op)
{
    struct naive_filter *f = &q->filters[q->n_filters++];

    *f = (struct naive_filter){.name = name, .op = op};
    if (op == NAIVE_EXISTS)
        return;
    f->value = name == NAIVE_KEY ? naive_key_value(game_some_key(g, q->space))
                                 : game_met(g, name);
}

static inline int game_any_name(struct game *g)
{
    return (int)dice_below(&g->dice, NAIVE_NAMES);
}

static inline void game_filters(struct game *g, struct naive_query *q)
{
    static const int equals[] = {NAIVE_EQ, NAIVE_EQ, NAIVE_IN};
    static const unsigned counts[] = {0, 0, 0, 1, 1, 2, 3};
    int range;

    for (unsigned n = dice_pick(&g->dice, counts); n && !q->kindless; n--)
        game_filter(g, q, game_any_name(g), dice_pick(&g->dice, equals));
    if (dice_chance(&g->dice, 6))
        game_filter(g, q, NAIVE_KEY, NAIVE_EQ);
    if (dice_chance(&g->dice, 40)) {
        range = q->kindless || dice_chance(&g->dice, 20) ? NAIVE_KEY
                                                         : game_any_name(g);
        for (unsigned n = 1 + dice_below(&g->dice, 2); n; n--)
            game_filter(g, q, range, 1 + (int)dice_below(&g->dice, 4));
    }
    if (dice_chance(&g->dice, 10) && !q->kindless)
        game_filter(g, q, game_any_name(g), NAIVE_EXISTS);
}

static inline void game_order(struct game *g, struct naive_query *q, int name)
{
    q->orders[q->n_orders++] =
        (struct naive_order){name, dice_chance(&g->dice, 50) && !q->kindless};
}

/* The inequality's first.  What is grouped by comes before all else: here
 * there is nothing else. */
static inline void game_orders(struct game *g, struct naive_query *q)
{
    int range;

    if (naive_range_name(q, &range))
        game_order(g, q, range);
    for (unsigned n = dice_below(&g->dice, 4); n; n--) {
        int name = q->kindless || dice_chance(&g->dice, 20) ? NAIVE_KEY
                                                            : game_any_name(g);

        if (!q->group.n || naive_has(&q->group, name))
            game_order(g, q, name);
    }
}

/* Names that are not compared for equality. */
static inline void game_project(struct game *g, struct naive_query *q)
{
    int range;

    for (unsigned n = 1 + dice_below(&g->dice, 3); n; n--) {
        int name = game_any_name(g);

        if (!naive_compares(q, name, false))
            naive_add(&q->projection, name);
    }
    if (!q->projection.n || !dice_chance(&g->dice, 40))
        return;
    if (naive_range_name(q, &range)) {
        if (range == NAIVE_KEY || naive_compares(q, range, false))
            return;
        naive_add(&q->group, range);
    }
    for (unsigned n = 1 + dice_below(&g->dice, 2); n; n--) {
        int name = game_any_name(g);

        if (!naive_compares(q, name, false))
            naive_add(&q->group, name);
    }
}

static inline struct naive_query game_random_query(struct game *g)
{
    struct naive_query q = {
        .space = dice_pick(&g->dice, game_spaces),
        .kind = dice_pick(&g->dice, game_kinds),
        .kindless = dice_chance(&g->dice, 10),
    };
    struct naive_key *root;

    game_filters(g, &q);
    if (!q.kindless && dice_chance(&g->dice, 30))
        game_project(g, &q);
    if (dice_chance(&g->dice, 55))
        game_orders(g, &q);
    if (dice_chance(&g->dice, 30)) {
        root = (struct naive_key *)game_some_key(g, q.space);
        if (dice_chance(&g->dice, 70))
            root->n = 1;
        q.ancestor = root;
    }
    q.keys_only = !q.projection.n && dice_chance(&g->dice, 30);
    return q;
}

/* ---- asking the engine ---- */

#define game_differ(g_, ...)                                                   \
    do {                                                                       \
        print_error("%s: %s\n", (g_)->label,                                   \
                    game_query_text(&(g_)->bed.arena, (g_)->want.q));          \
        fail_msg(__VA_ARGS__);                                                 \
    } while (0)

/* Define what the engine's refusal names. */
static inline void game_make_index(struct game *g)
{
    const char *text = g->bed.ctx.err.message, *at = strstr(text, "\n- kind:");
    struct bytes yaml;

    if (!at)
        game_differ(g, "names no index: %s", text);
    yaml = bytes_str(arena_printf(&g->bed.arena, "indexes:%s\n", at));
    ctx_err_clear(&g->bed.ctx);
    bed_ok(&g->bed, engine_indexes_set(&g->bed.ctx, g->bed.engine,
                                       g->bed.ctx.app, yaml, NULL, NULL));
    bed_ok(&g->bed, index_finish_all(&g->bed.ctx, g->bed.engine));
    g->n_indexes++;
}

static inline void game_run(struct game *g, struct bytes in, struct answer *a)
{
    int rc = answer_try(&g->bed, g->auto_index, false, in, a);

    if (rc == ERR_NEED_INDEX && !g->auto_index) {
        game_make_index(g);
        rc = answer_try(&g->bed, false, false, in, a);
    }
    if (rc != 0)
        game_differ(g, "%s", ctx_err_text(&g->bed.ctx, rc));
}

/* The batch holds rows [at, at + n) and says rightly whether there are more. */
static inline void game_batch(struct game *g, const char *const *want,
                              const struct answer *a, size_t at, size_t end)
{
    for (size_t i = 0; i < a->n; i++) {
        const char *got = game_result_text(&g->bed.arena, a->results[i]);

        if (at + i >= end)
            game_differ(g, "row %zu: got %s, want the end", at + i, got);
        if (strcmp(got, want[at + i]) != 0)
            game_differ(g, "row %zu: got %s, want %s", at + i, got,
                        want[at + i]);
    }
    if (a->more != (at + a->n < end))
        game_differ(g, "behind row %zu of %zu: more is %d", at + a->n, end,
                    a->more);
}

struct game_cut {
    size_t offset, limit;
    int count, batch;        /* of RunQuery and of each Next */
    struct bytes start, end; /* cursors, or p NULL */
    bool limited;
};

static inline struct bytes game_cut(struct game *g, const struct game_cut *c)
{
    struct buf b = BUF_IN(&g->bed.arena);

    buf_add(&b, g->query);
    if (c->offset)
        pb_put_u64(&b, 12, c->offset);
    if (c->limited)
        pb_put_u64(&b, 16, c->limit);
    pb_put_u64(&b, 23, (uint64_t)c->count);
    pb_put_u64(&b, 25, 1);
    if (c->start.p)
        pb_put_bytes(&b, 30, c->start);
    if (c->end.p)
        pb_put_bytes(&b, 31, c->end);
    return buf_view(&b);
}

/* Rows [from, to) of what is wanted come out of the cut query; what its offset
 * passes over is `skip`. */
static inline void game_rows(struct game *g, const char *const *want,
                             const struct game_cut *c, size_t from, size_t to,
                             int64_t skip)
{
    struct answer *a = ARENA_NEW(&g->bed.arena, struct answer);

    game_run(g, game_cut(g, c), a);
    for (;;) {
        game_batch(g, want, a, from, to);
        from += a->n;
        skip -= a->skipped;
        if (!a->more)
            break;
        bed_ok(&g->bed, answer_try(&g->bed, g->auto_index, true,
                                   answer_next_request(&g->bed.arena, a->handle,
                                                       c->batch, true),
                                   a));
    }
    if (from != to)
        game_differ(g, "ended at row %zu of %zu", from, to);
    if (skip != 0)
        game_differ(g, "skipped %lld too few", (long long)skip);
}

/* ---- the ways to cut a query ---- */

static inline size_t game_least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* All rows in one go; their texts, and their cursors. */
static inline const char **game_whole(struct game *g, struct answer *a)
{
    const struct game_cut all = {.count = 300, .batch = 300};
    const char **want = ARENA_ARRAY(&g->bed.arena, const char *, g->want.n + 1);

    for (size_t i = 0; i < g->want.n; i++)
        want[i] = game_row_text(&g->bed.arena, &g->want, &g->want.rows[i]);
    game_run(g, game_cut(g, &all), a);
    assert_int_equal(a->n_cursors, a->n);
    return want;
}

/* Offset and limit anywhere, none and beyond the end too. */
static inline void game_check_cut(struct game *g, const char *const *want)
{
    struct game_cut c = {
        .offset =
            dice_below(&g->dice, (unsigned)game_least(g->want.n + 3, 250)),
        .limit = dice_below(&g->dice, 20),
        .limited = true,
        .count = 1 + (int)dice_below(&g->dice, 5),
        .batch = 1 + (int)dice_below(&g->dice, 5),
    };
    size_t from = game_least(c.offset, g->want.n);

    game_rows(g, want, &c, from, game_least(from + c.limit, g->want.n),
              (int64_t)from);
}

/* From one cursor to another, with an offset. */
static inline void game_check_cursors(struct game *g, const char *const *want,
                                      const struct answer *a)
{
    size_t i = dice_below(&g->dice, (unsigned)game_least(a->n, 250));
    size_t k = dice_below(&g->dice, (unsigned)game_least(a->n, 250));
    struct game_cut c = {.count = 7, .batch = 3, .start = a->cursors[i]};
    size_t from;

    game_rows(g, want, &c, i + 1, g->want.n, 0);
    c.start = BYTES_NONE;
    c.end = a->cursors[k];
    game_rows(g, want, &c, 0, k + 1, 0);
    c.start = a->cursors[i];
    c.offset = dice_below(&g->dice, 3);
    from = i < k ? game_least(i + 1 + c.offset, k + 1) : k + 1;
    game_rows(g, want, &c, from, k + 1, i < k ? (int64_t)(from - i - 1) : 0);
}

/*
 * An entity goes away between two batches: the rest comes without it from a
 * cursor, and from the open query where that has no view; else with it.  Where
 * rows stand for groups others may take their place.
 */
static inline void game_check_change(struct game *g, const char **want,
                                     const struct answer *a)
{
    size_t at = dice_below(&g->dice, (unsigned)game_least(a->n, 250));
    size_t gone = dice_below(&g->dice, (unsigned)game_least(a->n, 250));
    struct naive_entity e = *g->want.rows[gone].entity;
    struct game_cut c = {.count = 5, .batch = 4, .start = a->cursors[at]};
    struct answer *open = ARENA_NEW(&g->bed.arena, struct answer);
    const char **still = ARENA_ARRAY(&g->bed.arena, const char *, g->want.n);
    bool present = dice_below(&g->dice, 2) == 0;
    size_t kept = 0, rest = g->want.n - at - 1;

    if (g->want.q->group.n)
        return;
    if (present)
        limit_set("query.views", 0);
    game_run(g, game_cut(g, &(struct game_cut){.count = (int)at + 1}), open);
    limits_reset();
    assert_int_equal(open->n, at + 1);
    for (size_t i = 0; i < rest; i++)
        still[i] = want[at + 1 + i];
    for (size_t i = at + 1; i < g->want.n; i++) {
        if (naive_key_cmp(&g->want.rows[i].entity->key, &e.key) != 0)
            want[kept++] = want[i];
    }
    game_delete(g, &e);
    game_rows(g, want, &c, 0, kept, 0);
    if (!open->more)
        return;
    bed_ok(&g->bed, answer_try(&g->bed, g->auto_index, true,
                               answer_next_request(&g->bed.arena, open->handle,
                                                   300, true),
                               open));
    if (present)
        game_batch(g, want, open, 0, kept);
    else
        game_batch(g, still, open, 0, rest);
}

/* ---- an order that the index chose ---- */

static inline int game_text_cmp(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static inline void game_sorted_texts(const char **v, size_t n)
{
    if (n > 1)
        qsort(v, n, sizeof(*v), game_text_cmp);
}

/*
 * Without auto_index an index made for another query may serve this one in an
 * order of its own, where the query leaves that open: the rows are then the
 * same ones in the engine's order, which becomes the one that is wanted.
 */
static inline void game_take_order(struct game *g, const char **want,
                                   const struct answer *a)
{
    size_t n = a->n;
    const char **got = ARENA_ARRAY(&g->bed.arena, const char *, n + 1);
    const char **mine = ARENA_ARRAY(&g->bed.arena, const char *, n + 1);

    if (n != g->want.n)
        game_differ(g, "%zu rows, want %zu", n, g->want.n);
    for (size_t i = 0; i < n; i++) {
        got[i] = game_result_text(&g->bed.arena, a->results[i]);
        mine[i] = want[i];
        want[i] = got[i];
    }
    if (g->want.q->group.n)
        return; /* which row stands for its group is open, too */
    got = memcpy(ARENA_ARRAY(&g->bed.arena, const char *, n + 1), got,
                 n * sizeof(*got));
    game_sorted_texts(got, n);
    game_sorted_texts(mine, n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(got[i], mine[i]) != 0)
            game_differ(g, "among the rows is %s, want %s", got[i], mine[i]);
    }
}

/* ---- the game ---- */

static inline void game_check(struct game *g)
{
    struct answer *a = ARENA_NEW(&g->bed.arena, struct answer);
    const char **want = game_whole(g, a);
    struct game_cut small = {
        .count = 1 + (int)dice_below(&g->dice, 4),
        .batch = 1 + (int)dice_below(&g->dice, 30),
    };
    bool open = g->want.open && !g->auto_index;

    if (g->want.n > 300)
        return;
    if (open)
        game_take_order(g, want, a);
    game_batch(g, want, a, 0, g->want.n);
    game_rows(g, want, &small, 0, g->want.n, 0);
    game_check_cut(g, want);
    if (a->n == 0)
        return;
    game_check_cursors(g, want, a);
    if (!open && dice_chance(&g->dice, 15))
        game_check_change(g, want, a);
}

static inline void game_query(struct game *g)
{
    struct naive_query q = game_random_query(g);

    naive_answer(&g->world, &q, &g->want);
    g->query = naive_query_message(&g->bed.arena, &q);
    if (getenv("QUERY_SEED"))
        print_message("%s\n", game_query_text(&g->bed.arena, &q));
    if (g->n_indexes < GAME_INDEXES_MAX)
        game_check(g);
    g->n_asked++;
    g->n_rows += (int)g->want.n;
    arena_reset(&g->bed.arena);
}

#endif
