/*
 * naive - a datastore that looks at every entity, makes every row it stands
 * for, sorts them all, and throws away what was not asked for.
 *
 * It shares nothing with the engine: values, keys and their order are written
 * here anew from what Google's datastore does, numbers compared as numbers
 * and never as encoded bytes.  It knows of no index.
 *
 * Property names are numbers of naive_names[], whose order is that of their
 * bytes; NAIVE_KEY is `__key__`.
 */
#ifndef TESTS_UNIT_ENGINE_NAIVE_H
#define TESTS_UNIT_ENGINE_NAIVE_H

#include "test.h"

#include <math.h>

enum {
    NAIVE_KEY = -1,
    NAIVE_NAMES = 4,
    NAIVE_DEPTH = 6,
    NAIVE_PROPS = 16,    /* of an entity */
    NAIVE_ENTITIES = 64, /* of a world */
    NAIVE_LIST = 8,      /* filters, orders or names of a query */
    NAIVE_ROWS = 60000,
};

static const char *const naive_names[NAIVE_NAMES] = {"a", "ab", "b",
                                                     "\xc3\xa9"};

/* The types, in the order of their values. */
enum naive_type {
    NAIVE_NULL,
    NAIVE_INT,
    NAIVE_BOOL,
    NAIVE_STRING,
    NAIVE_DOUBLE,
    NAIVE_POINT,
    NAIVE_USER,
    NAIVE_REFERENCE,
};

struct naive_elem {
    struct bytes kind;
    bool named;
    int64_t id;
    struct bytes name;
};

struct naive_key {
    struct bytes space;
    struct naive_elem e[NAIVE_DEPTH];
    int n;
};

struct naive_value {
    enum naive_type type;
    int64_t i;      /* int, bool */
    double x, y;    /* double (x), point */
    struct bytes s; /* string, user's address */
    const struct naive_key *key;
};

struct naive_prop {
    int name;
    bool raw, multiple;
    struct naive_value value;
};

struct naive_entity {
    struct naive_key key;
    struct naive_prop props[NAIVE_PROPS];
    int n;
};

struct naive_world {
    struct naive_entity entities[NAIVE_ENTITIES];
    int n;
};

/* Operators have the numbers of datastore_v3. */
enum {
    NAIVE_LT = 1,
    NAIVE_LE,
    NAIVE_GT,
    NAIVE_GE,
    NAIVE_EQ,
    NAIVE_IN,
    NAIVE_EXISTS
};

struct naive_filter {
    int name, op;
    struct naive_value value;
};

struct naive_order {
    int name;
    bool desc;
};

struct naive_names_of {
    int v[NAIVE_LIST];
    int n;
};

struct naive_query {
    struct bytes space, kind;
    bool kindless, keys_only;
    const struct naive_key *ancestor;
    struct naive_filter filters[NAIVE_LIST];
    int n_filters;
    struct naive_order orders[NAIVE_LIST];
    int n_orders;
    struct naive_names_of projection, group;
};

/* A row, and the order it stands in: one value for each of the columns. */
struct naive_row {
    const struct naive_entity *entity;
    struct naive_value values[NAIVE_LIST * 2];
};

struct naive_result {
    const struct naive_query *q;
    struct naive_order columns[NAIVE_LIST * 2];
    int n_columns;
    bool last_desc; /* of the key, which breaks ties */
    bool open;      /* production leaves the order to the index */
    struct naive_row *rows;
    size_t n;
};

/* ---- the order of values ---- */

static inline int naive_sign(bool less, bool more)
{
    return more - less;
}

static inline int naive_bytes_cmp(struct bytes a, struct bytes b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int d = n ? memcmp(a.p, b.p, n) : 0;

    return d ? d : naive_sign(a.n<b.n, a.n> b.n);
}

/* By size; -0.0 before 0.0, NaN behind all and equal to itself. */
static inline int naive_double_cmp(double a, double b)
{
    if (isnan(a) || isnan(b))
        return naive_sign(!isnan(a), !isnan(b));
    if (a == 0 && b == 0)
        return naive_sign(signbit(a) && !signbit(b), !signbit(a) && signbit(b));
    return naive_sign(a<b, a> b);
}

static inline int naive_elem_cmp(const struct naive_elem *a,
                                 const struct naive_elem *b)
{
    int d = naive_bytes_cmp(a->kind, b->kind);

    if (d)
        return d;
    if (a->named != b->named)
        return naive_sign(b->named, a->named);
    return a->named ? naive_bytes_cmp(a->name, b->name)
                    : naive_sign(a->id<b->id, a->id> b->id);
}

/* The namespace, then element by element; a parent before its children. */
static inline int naive_key_cmp(const struct naive_key *a,
                                const struct naive_key *b)
{
    int d = naive_bytes_cmp(a->space, b->space);

    for (int i = 0; d == 0 && i < a->n && i < b->n; i++)
        d = naive_elem_cmp(&a->e[i], &b->e[i]);
    return d ? d : naive_sign(a->n<b->n, a->n> b->n);
}

static inline int naive_value_cmp(const struct naive_value *a,
                                  const struct naive_value *b)
{
    int d;

    if (a->type != b->type)
        return naive_sign(a->type<b->type, a->type> b->type);
    switch (a->type) {
    case NAIVE_NULL:
        return 0;
    case NAIVE_INT:
    case NAIVE_BOOL:
        return naive_sign(a->i<b->i, a->i> b->i);
    case NAIVE_STRING:
    case NAIVE_USER:
        return naive_bytes_cmp(a->s, b->s);
    case NAIVE_DOUBLE:
        return naive_double_cmp(a->x, b->x);
    case NAIVE_POINT:
        d = naive_double_cmp(a->x, b->x);
        return d ? d : naive_double_cmp(a->y, b->y);
    case NAIVE_REFERENCE:
        return naive_key_cmp(a->key, b->key);
    }
    abort();
}

static inline struct naive_value naive_key_value(const struct naive_key *key)
{
    return (struct naive_value){.type = NAIVE_REFERENCE, .key = key};
}

/* ---- what was asked ---- */

static inline bool naive_has(const struct naive_names_of *names, int name)
{
    for (int i = 0; i < names->n; i++) {
        if (names->v[i] == name)
            return true;
    }
    return false;
}

static inline void naive_add(struct naive_names_of *names, int name)
{
    if (!naive_has(names, name))
        names->v[names->n++] = name;
}

static inline bool naive_is_range(int op)
{
    return op <= NAIVE_GE;
}

static inline bool naive_compares(const struct naive_query *q, int name,
                                  bool range)
{
    for (int i = 0; i < q->n_filters; i++) {
        const struct naive_filter *f = &q->filters[i];

        if (f->name == name && f->op != NAIVE_EXISTS &&
            naive_is_range(f->op) == range)
            return true;
    }
    return false;
}

static inline bool naive_range_name(const struct naive_query *q, int *name)
{
    for (int i = 0; i < q->n_filters; i++) {
        *name = q->filters[i].name;
        if (naive_is_range(q->filters[i].op))
            return true;
    }
    return false;
}

static inline void naive_column(struct naive_result *r, int name, bool desc)
{
    for (int i = 0; i < r->n_columns; i++) {
        if (r->columns[i].name == name)
            return;
    }
    r->columns[r->n_columns++] = (struct naive_order){name, desc};
}

/*
 * The sort orders that can matter: none when the key is given, none on what
 * equals something (unless it has a range, too), none behind the key.
 */
static inline void naive_sorted(struct naive_result *r)
{
    const struct naive_query *q = r->q;

    if (naive_compares(q, NAIVE_KEY, false) &&
        !naive_compares(q, NAIVE_KEY, true))
        return;
    for (int i = 0; i < q->n_orders; i++) {
        const struct naive_order *o = &q->orders[i];

        if (naive_compares(q, o->name, false) &&
            !naive_compares(q, o->name, true))
            continue;
        naive_column(r, o->name, o->desc);
        if (o->name == NAIVE_KEY)
            return;
    }
}

/* Names that must be there though nothing compares them, sorted; what is
 * grouped by comes first. */
static inline void naive_existing(struct naive_result *r)
{
    const struct naive_query *q = r->q;
    struct naive_names_of names = {.n = 0};

    for (int i = 0; i < q->n_filters; i++) {
        if (q->filters[i].op == NAIVE_EXISTS)
            naive_add(&names, q->filters[i].name);
    }
    for (int i = 0; i < q->projection.n; i++)
        naive_add(&names, q->projection.v[i]);
    for (int i = 0; q->projection.n && i < q->group.n; i++)
        naive_add(&names, q->group.v[i]);
    for (int pass = 0; pass < 2; pass++) {
        for (int name = 0; name < NAIVE_NAMES; name++) {
            int before = r->n_columns;

            if (!naive_has(&names, name) || naive_compares(q, name, false) ||
                (q->projection.n && naive_has(&q->group, name)) == pass)
                continue;
            naive_column(r, name, false);
            r->open = r->open || r->n_columns > before;
        }
    }
}

/* The order of the answer.  What is left open is the order of a query that
 * says nothing of some of its columns. */
static inline void naive_columns(struct naive_result *r)
{
    int range;
    bool sorted;

    naive_sorted(r);
    sorted = r->n_columns > 0;
    if (!sorted && naive_range_name(r->q, &range)) {
        naive_column(r, range, false);
        r->open = range != NAIVE_KEY;
    }
    if (r->n_columns > 0 && r->columns[r->n_columns - 1].name == NAIVE_KEY)
        r->last_desc = r->columns[r->n_columns - 1].desc;
    naive_existing(r);
}

/* ---- rows ---- */

static inline bool naive_passes(const struct naive_filter *f,
                                const struct naive_value *v)
{
    int d = naive_value_cmp(v, &f->value);

    switch (f->op) {
    case NAIVE_LT:
        return d < 0;
    case NAIVE_LE:
        return d <= 0;
    case NAIVE_GT:
        return d > 0;
    case NAIVE_GE:
        return d >= 0;
    case NAIVE_EQ:
    case NAIVE_IN:
        return d == 0;
    }
    return true;
}

/* The values of a name that count, each once; how many. */
static inline int naive_values(const struct naive_entity *e, int name,
                               struct naive_value *out)
{
    int n = 0;

    if (name == NAIVE_KEY) {
        out[0] = naive_key_value(&e->key);
        return 1;
    }
    for (int i = 0; i < e->n; i++) {
        bool known = e->props[i].name != name || e->props[i].raw;

        for (int k = 0; k < n && !known; k++)
            known = naive_value_cmp(&out[k], &e->props[i].value) == 0;
        if (!known)
            out[n++] = e->props[i].value;
    }
    return n;
}

/* One and the same value passes all ranges. */
static inline bool naive_in_range(const struct naive_query *q, int name,
                                  const struct naive_value *v)
{
    for (int i = 0; i < q->n_filters; i++) {
        const struct naive_filter *f = &q->filters[i];

        if (f->name == name && naive_is_range(f->op) && !naive_passes(f, v))
            return false;
    }
    return true;
}

static inline bool naive_below(const struct naive_key *key,
                               const struct naive_key *ancestor)
{
    struct naive_key head = *key;

    if (key->n < ancestor->n)
        return false;
    head.n = ancestor->n;
    return naive_key_cmp(&head, ancestor) == 0;
}

/* Kind, ancestor, and the equalities, each by any of the values. */
static inline bool naive_candidate(const struct naive_query *q,
                                   const struct naive_entity *e)
{
    struct naive_value values[NAIVE_PROPS];

    if (naive_bytes_cmp(e->key.space, q->space) != 0 ||
        (!q->kindless &&
         naive_bytes_cmp(e->key.e[e->key.n - 1].kind, q->kind) != 0) ||
        (q->ancestor && !naive_below(&e->key, q->ancestor)))
        return false;
    for (int i = 0; i < q->n_filters; i++) {
        const struct naive_filter *f = &q->filters[i];
        int n = naive_values(e, f->name, values);
        bool any = false;

        for (int k = 0; k < n && !any; k++)
            any = naive_is_range(f->op) ? naive_in_range(q, f->name, &values[k])
                                        : naive_passes(f, &values[k]);
        if (!any)
            return false;
    }
    return true;
}

/* Every combination of the columns' values, from column `i` on. */
static inline void naive_rows_of(struct naive_result *r, struct naive_row *row,
                                 int i)
{
    struct naive_value values[NAIVE_PROPS];
    int n;

    if (i == r->n_columns) {
        assert_true(r->n < NAIVE_ROWS);
        r->rows[r->n++] = *row;
        return;
    }
    n = naive_values(row->entity, r->columns[i].name, values);
    for (int k = 0; k < n; k++) {
        row->values[i] = values[k];
        if (naive_in_range(r->q, r->columns[i].name, &values[k]))
            naive_rows_of(r, row, i + 1);
    }
}

static const struct naive_result *naive_sorting; /* qsort() has no argument */

static inline int naive_row_cmp(const void *x, const void *y)
{
    const struct naive_result *r = naive_sorting;
    const struct naive_row *a = x, *b = y;
    int d = 0;

    for (int i = 0; d == 0 && i < r->n_columns; i++) {
        d = naive_value_cmp(&a->values[i], &b->values[i]);
        d = r->columns[i].desc ? -d : d;
    }
    if (d)
        return d;
    d = naive_key_cmp(&a->entity->key, &b->entity->key);
    return r->last_desc ? -d : d;
}

static inline void naive_sort(struct naive_row *rows, size_t n,
                              const struct naive_result *r)
{
    naive_sorting = r;
    if (n > 1)
        qsort(rows, n, sizeof(*rows), naive_row_cmp);
}

/* Whether two rows belong to one group of group_by. */
static inline bool naive_grouped(const struct naive_result *r,
                                 const struct naive_row *a,
                                 const struct naive_row *b)
{
    bool grouped = false;

    for (int i = 0; i < r->n_columns; i++) {
        if (!naive_has(&r->q->group, r->columns[i].name))
            continue;
        grouped = true;
        if (naive_value_cmp(&a->values[i], &b->values[i]) != 0)
            return false;
    }
    return grouped;
}

/* Of each group the first row. */
static inline void naive_group(struct naive_result *r)
{
    size_t kept = 0;

    if (r->q->group.n == 0 || r->q->projection.n == 0)
        return;
    for (size_t i = 0; i < r->n; i++) {
        bool known = false;

        for (size_t k = 0; k < kept && !known; k++)
            known = naive_grouped(r, &r->rows[k], &r->rows[i]);
        if (!known)
            r->rows[kept++] = r->rows[i];
    }
    r->n = kept;
}

/* All rows of the answer, in its order; r->rows has room for NAIVE_ROWS. */
static inline void naive_answer(const struct naive_world *w,
                                const struct naive_query *q,
                                struct naive_result *r)
{
    *r = (struct naive_result){.q = q, .rows = r->rows};
    naive_columns(r);
    for (int i = 0; i < w->n; i++) {
        struct naive_row row = {.entity = &w->entities[i]};
        size_t from = r->n;

        if (naive_candidate(q, row.entity))
            naive_rows_of(r, &row, 0);
        if (q->projection.n || r->n == from)
            continue;
        naive_sort(r->rows + from, r->n - from, r);
        r->n = from + 1; /* each entity once, at its first place */
    }
    naive_sort(r->rows, r->n, r);
    naive_group(r);
}

#endif
