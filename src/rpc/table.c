/*
 * The table of methods, hashed once at start by service and method name.
 */
#include "rpc/rpc_int.h"

#include "base/log.h"

#include <stdlib.h>

static uint64_t hash_of(struct bytes service, struct bytes method)
{
    return bytes_hash(service) * 31 + bytes_hash(method);
}

static size_t count(const struct rpc_service *const *services)
{
    size_t n = 0;

    for (; *services; services++) {
        for (const struct rpc_method *m = (*services)->methods; m->method; m++)
            n++;
    }
    return n;
}

static void insert(struct rpc_table *t, struct rpc_entry *e)
{
    size_t i = e->hash & (t->n_slots - 1);

    while (t->slots[i])
        i = (i + 1) & (t->n_slots - 1);
    t->slots[i] = e;
}

static void add(struct rpc_table *t, const struct rpc_service *s,
                const struct rpc_method *m)
{
    struct rpc_entry *e = &t->entries[t->n];
    struct bytes service = bytes_str(s->name), method = bytes_str(m->method);

    if (rpc_table_find(t, service, method))
        BUG("%s.%s is there twice", s->name, m->method);
    if (!m->raw == !m->typed || !(m->flags & (RPC_INLINE | RPC_POOL)))
        BUG("the row of %s.%s is not complete", s->name, m->method);
    e->service = s;
    e->method = m;
    e->hash = hash_of(service, method);
    t->n++;
    insert(t, e);
}

void rpc_table_init(struct rpc_table *t,
                    const struct rpc_service *const *services)
{
    size_t n = count(services);

    t->n_slots = 16;
    while (t->n_slots < n * 4)
        t->n_slots *= 2;
    t->entries = calloc(n + 1, sizeof(*t->entries));
    t->slots = calloc(t->n_slots, sizeof(struct rpc_entry *));
    if (!t->entries || !t->slots)
        die("out of memory for the table of methods");
    for (; *services; services++) {
        for (const struct rpc_method *m = (*services)->methods; m->method; m++)
            add(t, *services, m);
    }
}

struct rpc_entry *rpc_table_find(const struct rpc_table *t,
                                 struct bytes service, struct bytes method)
{
    uint64_t hash = hash_of(service, method);

    for (size_t i = hash & (t->n_slots - 1); t->slots[i];
         i = (i + 1) & (t->n_slots - 1)) {
        struct rpc_entry *e = t->slots[i];

        if (e->hash == hash && bytes_eq_str(service, e->service->name) &&
            bytes_eq_str(method, e->method->method))
            return e;
    }
    return NULL;
}

void rpc_table_release(struct rpc_table *t)
{
    free(t->entries);
    free(t->slots);
}
