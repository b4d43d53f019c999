/* tickets - an immutable hash table, and the grace period between two. */
#include "service/platform/tickets.h"

#include <sched.h>
#include <sodium.h>
#include <stdlib.h>

/* Open addressing at most half full; a slot with token.p NULL is free. */
struct ticket_table {
    struct arena arena; /* holds the slots and the texts */
    struct ticket *slots;
    size_t mask;
};

static void table_free(struct ticket_table *t)
{
    if (!t)
        return;
    arena_release(&t->arena);
    free(t);
}

/* The slot of `token`, or the free one where it would go.  Which slot is
 * looked at may show in the time taken, the bytes of the token do not. */
static struct ticket *slot_of(const struct ticket_table *t, struct bytes token)
{
    size_t i = bytes_hash(token) & t->mask;

    for (;; i = (i + 1) & t->mask) {
        struct ticket *s = &t->slots[i];

        if (!s->token.p)
            return s;
        if (s->token.n == token.n &&
            sodium_memcmp(s->token.p, token.p, token.n) == 0)
            return s;
    }
}

static struct ticket ticket_dup(struct arena *a, const struct ticket *t)
{
    return (struct ticket){
        .token = arena_dup(a, t->token),
        .app = arena_dup(a, t->app),
        .service = arena_dup(a, t->service),
        .version = arena_dup(a, t->version),
    };
}

static struct ticket_table *table_new(const struct ticket *rows, size_t n)
{
    struct ticket_table *t = calloc(1, sizeof(*t));
    size_t slots = 8;

    if (!t)
        return NULL;
    while (slots < n * 2)
        slots *= 2;
    t->mask = slots - 1;
    t->slots = ARENA_ARRAY(&t->arena, struct ticket, slots);
    for (size_t i = 0; i < n; i++) {
        struct ticket *s = slot_of(t, rows[i].token);

        if (s->token.p) {
            table_free(t);
            return NULL;
        }
        *s = ticket_dup(&t->arena, &rows[i]);
    }
    return t;
}

static void wait_for_readers(_Atomic long *readers)
{
    while (atomic_load(readers) != 0)
        sched_yield();
}

/*
 * After this no reader is inside a table that was replaced before the call.
 * A reader that read the epoch just before the flip may enter the old counter
 * late; it then finds the new table, and the next grace period drains that
 * counter first, which is why both are waited for.
 */
static void grace_period(struct tickets *t)
{
    unsigned e = atomic_load(&t->epoch) & 1;

    wait_for_readers(&t->readers[!e]);
    atomic_store(&t->epoch, !e);
    wait_for_readers(&t->readers[e]);
}

void tickets_release(struct tickets *t)
{
    table_free(atomic_exchange(&t->table, NULL));
}

bool tickets_publish(struct tickets *t, const struct ticket *rows, size_t n)
{
    struct ticket_table *fresh = table_new(rows, n), *old;

    if (!fresh)
        return false;
    old = atomic_exchange(&t->table, fresh);
    grace_period(t);
    table_free(old);
    return true;
}

bool tickets_find(struct tickets *t, struct arena *a, struct bytes token,
                  struct ticket *out)
{
    unsigned e = atomic_load(&t->epoch) & 1;
    const struct ticket_table *table;
    bool found = false;

    if (token.n == 0)
        return false;
    atomic_fetch_add(&t->readers[e], 1);
    table = atomic_load(&t->table);
    if (table) {
        const struct ticket *s = slot_of(table, token);

        found = s->token.p != NULL;
        if (found)
            *out = ticket_dup(a, s);
    }
    atomic_fetch_sub(&t->readers[e], 1);
    return found;
}
