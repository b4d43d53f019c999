/*
 * batch - what a commit is made of, gathered in an arena.
 */
#include "storage/storage_backend.h"

enum { BATCH_MIN = 16 };

/* Room for one more item of `size` bytes; doubles the array when it is full. */
static void *room(struct arena *a, void *items, size_t n, size_t *cap,
                  size_t size)
{
    if (n < *cap)
        return items;
    *cap = *cap ? *cap * 2 : BATCH_MIN;
    return arena_grow(a, items, n * size, *cap * size);
}

static void add_cond(struct storage_batch *b, struct storage_cond cond)
{
    b->conds =
        room(b->arena, b->conds, b->n_conds, &b->cap_conds, sizeof(cond));
    b->conds[b->n_conds++] = cond;
}

static void add_write(struct storage_batch *b, struct storage_write write)
{
    b->writes =
        room(b->arena, b->writes, b->n_writes, &b->cap_writes, sizeof(write));
    b->writes[b->n_writes++] = write;
}

void storage_batch_require(struct storage_batch *b, struct storage_key key,
                           struct bytes value)
{
    add_cond(b, (struct storage_cond){.key = key, .value = value});
}

void storage_batch_require_absent(struct storage_batch *b,
                                  struct storage_key key)
{
    add_cond(b, (struct storage_cond){.key = key, .absent = true});
}

void storage_batch_require_below(struct storage_batch *b,
                                 struct storage_key key, struct bytes value)
{
    add_cond(b, (struct storage_cond){
                    .key = key,
                    .below = true,
                    .value = value,
                });
}

bool storage_cond_holds(const struct storage_cond *c,
                        const struct storage_value *v)
{
    if (c->absent)
        return !v->found;
    if (c->below)
        return !v->found || bytes_cmp(v->value, c->value) < 0;
    return v->found && bytes_eq(v->value, c->value);
}

void storage_batch_require_same(struct storage_batch *b, struct storage_key key,
                                const struct storage_value *seen)
{
    add_cond(b, (struct storage_cond){
                    .key = key,
                    .absent = !seen->found,
                    .value = seen->value,
                });
}

void storage_batch_put(struct storage_batch *b, struct storage_key key,
                       struct bytes value)
{
    add_write(b, (struct storage_write){.key = key, .value = value});
}

void storage_batch_delete(struct storage_batch *b, struct storage_key key)
{
    add_write(b, (struct storage_write){.key = key, .del = true});
}
