/*
 * kv_memory - the plain store in this process, for tests of dhash.
 *
 * The list of the memory backend, of which it uses find, put and delete alone.
 * Nothing survives the process.
 */
#include "base/locks.h"
#include "base/log.h"
#include "storage/dhash/dhash_kv.h"
#include "storage/memory/list.h"

#include <stdlib.h>

struct kv_memory {
    struct dhash_kv base;
    struct lock lock; /* LOCK_STORAGE_MEMORY: the values; no one waits in it */
    struct list values;
};

static struct kv_memory *memory_of(struct dhash_kv *kv)
{
    return (struct kv_memory *)kv;
}

static struct storage_key place(struct bytes key)
{
    return (struct storage_key){.row = key};
}

static int memory_open(struct ctx *ctx, const struct storage_options *o,
                       struct dhash_kv **kv)
{
    struct kv_memory *m = calloc(1, sizeof(*m));

    if (!m)
        die("out of memory opening the store");
    m->base.ops = &dhash_kv_memory;
    lock_init(&m->lock, LOCK_STORAGE_MEMORY);
    list_init(&m->values);
    *kv = &m->base;
    return 0;
}

static int memory_get(struct ctx *ctx, struct dhash_kv *kv, struct bytes key,
                      struct arena *a, struct bytes *value)
{
    struct kv_memory *m = memory_of(kv);
    const struct list_node *x;

    lock_take(&m->lock);
    x = list_find(&m->values, place(key));
    if (x)
        *value = arena_dup(a, x->value);
    lock_drop(&m->lock);
    return x ? 0 : ERR_NOT_FOUND;
}

static int memory_put(struct ctx *ctx, struct dhash_kv *kv, struct bytes key,
                      struct bytes value)
{
    struct kv_memory *m = memory_of(kv);

    lock_take(&m->lock);
    list_put(&m->values, place(key), value);
    lock_drop(&m->lock);
    return 0;
}

static int memory_del(struct ctx *ctx, struct dhash_kv *kv, struct bytes key)
{
    struct kv_memory *m = memory_of(kv);

    lock_take(&m->lock);
    list_delete(&m->values, place(key));
    lock_drop(&m->lock);
    return 0;
}

static void memory_close(struct dhash_kv *kv)
{
    struct kv_memory *m = memory_of(kv);

    list_release(&m->values);
    lock_release(&m->lock);
    free(m);
}

const struct dhash_kv_ops dhash_kv_memory = {
    .name = "memory",
    .durable = false,
    .quick = true,
    .value_max = 256 * 1024 * 1024,
    .open = memory_open,
    .get = memory_get,
    .put = memory_put,
    .del = memory_del,
    .close = memory_close,
};
