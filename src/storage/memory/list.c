/*
 * list - Pugh's skip list, with a way back on its lowest level.
 *
 * Every fourth node of a level also stands in the level above, so a search
 * passes a few nodes per level and needs no rebalancing.
 */
#include "storage/memory/list.h"

#include "base/log.h"

#include <stdlib.h>

static int key_cmp(struct storage_key a, struct storage_key b)
{
    int d = bytes_cmp(a.partition, b.partition);

    return d ? d : bytes_cmp(a.row, b.row);
}

static void *must_alloc(size_t n)
{
    void *p = malloc(n ? n : 1);

    if (!p)
        die("out of memory in the memory store");
    return p;
}

static struct bytes copy(void *to, struct bytes b)
{
    if (b.n)
        memcpy(to, b.p, b.n);
    return BYTES(to, b.n);
}

static struct list_node *node_new(int height, struct storage_key key)
{
    size_t links = (size_t)height * sizeof(struct list_node *);
    struct list_node *x =
        must_alloc(sizeof(*x) + links + key.partition.n + key.row.n);
    uint8_t *at = (uint8_t *)x->next + links;

    x->key.partition = copy(at, key.partition);
    x->key.row = copy(at + key.partition.n, key.row);
    x->value = BYTES_NONE;
    x->prev = NULL;
    x->height = height;
    memset(x->next, 0, links);
    return x;
}

static void node_free(struct list_node *x)
{
    free((void *)x->value.p);
    free(x);
}

/* xorshift64: the shape of the list is the same in every run. */
static int random_height(struct list *l)
{
    uint64_t r = l->seed;
    int height = 1;

    r ^= r << 13;
    r ^= r >> 7;
    r ^= r << 17;
    l->seed = r;
    for (; height < LIST_HEIGHT && (r & 3) == 0; r >>= 2)
        height++;
    return height;
}

void list_init(struct list *l)
{
    struct storage_key none = {BYTES_NONE, BYTES_NONE};

    *l = (struct list){.head = node_new(LIST_HEIGHT, none), .seed = 1};
}

void list_release(struct list *l)
{
    struct list_node *x = l->head, *next;

    for (; x; x = next) {
        next = x->next[0];
        node_free(x);
    }
    *l = (struct list){0};
}

/*
 * The last node before `key` on the lowest level, the head when there is
 * none.  With `path`, the last such node of every level.
 */
static struct list_node *descend(const struct list *l, struct storage_key key,
                                 struct list_node **path)
{
    struct list_node *x = l->head;

    for (int level = LIST_HEIGHT - 1; level >= 0; level--) {
        while (x->next[level] && key_cmp(x->next[level]->key, key) < 0)
            x = x->next[level];
        if (path)
            path[level] = x;
    }
    return x;
}

struct list_node *list_at_or_after(const struct list *l, struct storage_key key)
{
    return descend(l, key, NULL)->next[0];
}

struct list_node *list_find(const struct list *l, struct storage_key key)
{
    struct list_node *x = list_at_or_after(l, key);

    return x && key_cmp(x->key, key) == 0 ? x : NULL;
}

static struct list_node *row_or_null(const struct list *l, struct list_node *x)
{
    return x == l->head ? NULL : x;
}

struct list_node *list_before(const struct list *l, struct storage_key key)
{
    return row_or_null(l, descend(l, key, NULL));
}

struct list_node *list_last(const struct list *l, struct bytes partition)
{
    struct list_node *x = l->head;

    for (int level = LIST_HEIGHT - 1; level >= 0; level--) {
        while (x->next[level] &&
               bytes_cmp(x->next[level]->key.partition, partition) <= 0)
            x = x->next[level];
    }
    return row_or_null(l, x);
}

static struct list_node *insert(struct list *l, struct storage_key key,
                                struct list_node **path)
{
    struct list_node *x = node_new(random_height(l), key);

    for (int level = 0; level < x->height; level++) {
        x->next[level] = path[level]->next[level];
        path[level]->next[level] = x;
    }
    x->prev = row_or_null(l, path[0]);
    if (x->next[0])
        x->next[0]->prev = x;
    l->n++;
    l->bytes += key.partition.n + key.row.n;
    return x;
}

void list_put(struct list *l, struct storage_key key, struct bytes value)
{
    struct list_node *path[LIST_HEIGHT];
    struct list_node *x = descend(l, key, path)->next[0];
    struct bytes fresh = copy(must_alloc(value.n), value);

    if (!x || key_cmp(x->key, key) != 0)
        x = insert(l, key, path);
    l->bytes += value.n - x->value.n;
    free((void *)x->value.p);
    x->value = fresh;
}

void list_delete(struct list *l, struct storage_key key)
{
    struct list_node *path[LIST_HEIGHT];
    struct list_node *x = descend(l, key, path)->next[0];

    if (!x || key_cmp(x->key, key) != 0)
        return;
    for (int level = 0; level < x->height; level++)
        path[level]->next[level] = x->next[level];
    if (x->next[0])
        x->next[0]->prev = x->prev;
    l->n--;
    l->bytes -= key.partition.n + key.row.n + x->value.n;
    node_free(x);
}
