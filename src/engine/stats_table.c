/*
 * stats_table - the entries by their words, within bounds.
 *
 * When there is no room for one more, the entries of the highest detail go, all
 * of them: figures of some properties and not of others would be worse than
 * none.
 */
#include "engine/stats_int.h"

#include "base/log.h"

#include <stdlib.h>

const struct stats_row stats_rows[] = {
#define KIND(id, name, space, detail, space_detail, fields)                    \
    {name, space, detail, space_detail, fields},
    STATS_LIST
#undef KIND
};

enum { BUCKETS = 4096 };

struct stats_table {
    struct arena arena;
    size_t most, n;
    int detail; /* entries of this detail and above are left out */
    struct stats_entry *buckets[BUCKETS];
};

struct stats_table *stats_table_new(size_t most)
{
    struct stats_table *t = calloc(1, sizeof(*t));

    if (!t)
        die("out of memory for statistics");
    t->most = most;
    t->detail = STATS_DETAILS;
    return t;
}

void stats_table_free(struct stats_table *t)
{
    arena_release(&t->arena);
    free(t);
}

static int detail_of(const struct stats_entry *e)
{
    return e->in_space ? stats_rows[e->id].space_detail
                       : stats_rows[e->id].detail;
}

static uint64_t hash_of(const struct stats_entry *e)
{
    uint64_t h = (uint64_t)e->id * 2 + e->in_space + (uint64_t)e->index * 31;

    h = h * 1000003 + bytes_hash(e->space);
    h = h * 1000003 + bytes_hash(e->kind);
    h = h * 1000003 + bytes_hash(e->name);
    return h * 1000003 + bytes_hash(e->type);
}

static bool same(const struct stats_entry *a, const struct stats_entry *b)
{
    return a->id == b->id && a->in_space == b->in_space &&
           a->index == b->index && bytes_eq(a->space, b->space) &&
           bytes_eq(a->kind, b->kind) && bytes_eq(a->name, b->name) &&
           bytes_eq(a->type, b->type);
}

/* Leave out the highest detail there is.  The memory of its entries stays taken
 * until the end of the run: at most `most` entries for each detail. */
static void drop_detail(struct stats_table *t)
{
    t->detail--;
    for (int i = 0; i < BUCKETS; i++) {
        struct stats_entry **at = &t->buckets[i];

        while (*at) {
            if (detail_of(*at) >= t->detail) {
                *at = (*at)->next;
                t->n--;
            } else {
                at = &(*at)->next;
            }
        }
    }
}

static struct stats_entry *add(struct stats_table *t,
                               const struct stats_entry *want,
                               struct stats_entry **bucket)
{
    struct stats_entry *e = ARENA_NEW(&t->arena, struct stats_entry);

    *e = *want;
    e->space = arena_dup(&t->arena, want->space);
    e->kind = arena_dup(&t->arena, want->kind);
    e->name = arena_dup(&t->arena, want->name);
    e->type = arena_dup(&t->arena, want->type);
    e->figures = (struct stats_figures){0};
    e->next = *bucket;
    *bucket = e;
    t->n++;
    return e;
}

struct stats_figures *stats_entry(struct stats_table *t,
                                  const struct stats_entry *want)
{
    struct stats_entry **bucket = &t->buckets[hash_of(want) % BUCKETS], *e;

    for (e = *bucket; e; e = e->next) {
        if (same(e, want))
            return &e->figures;
    }
    while (t->n >= t->most && t->detail > 1)
        drop_detail(t);
    if (detail_of(want) >= t->detail)
        return NULL;
    return &add(t, want, bucket)->figures;
}

int stats_each(const struct stats_table *t,
               int (*fn)(const struct stats_entry *e, void *arg), void *arg)
{
    int rc = 0;

    for (int i = 0; i < BUCKETS && rc == 0; i++) {
        for (struct stats_entry *e = t->buckets[i]; e && rc == 0; e = e->next)
            rc = fn(e, arg);
    }
    return rc;
}

size_t stats_count(const struct stats_table *t)
{
    return t->n;
}
