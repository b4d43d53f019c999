/*
 * changes - a batch brought into order, and its form as one value.
 *
 *     01                                     version
 *     for each change, in order:
 *     00 put, 01 delete                      1 byte
 *     length of the partition, of the row    2 bytes each, big-endian
 *     length of the value                    4 bytes
 *     partition, row, value
 */
#include "storage/dhash/changes.h"

#include "base/buf.h"
#include "base/log.h"

#include <stdlib.h>
#include <sys/types.h>

enum { RECORD_VERSION = 1, ITEM_HEAD = 9 };

int changes_shard(struct bytes row)
{
    const uint8_t *p = row.p;
    uint32_t h = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < row.n; i++)
        h = (h ^ p[i]) * 16777619u;
    h ^= h >> 16;
    return (int)((h ^ h >> 8 ^ h >> 4) % DHASH_SHARDS);
}

/* ---- order ---- */

static int change_cmp(const struct change *a, const struct change *b)
{
    int d = bytes_cmp(a->partition, b->partition);

    if (d == 0)
        d = a->shard - b->shard;
    return d ? d : bytes_cmp(a->row, b->row);
}

/* Equal rows stay in the order they were written in. */
static int sort_cmp(const void *a, const void *b)
{
    const struct change *const *x = a, *const *y = b;
    int d = change_cmp(*x, *y);

    return d ? d : *x < *y ? -1 : *x > *y;
}

static struct change **sorted(struct arena *a, const struct storage_batch *b)
{
    struct change *all = ARENA_ARRAY(a, struct change, b->n_writes);
    struct change **order = ARENA_ARRAY(a, struct change *, b->n_writes);

    for (size_t i = 0; i < b->n_writes; i++) {
        const struct storage_write *w = &b->writes[i];

        all[i] = (struct change){
            .partition = w->key.partition,
            .row = w->key.row,
            .value = w->del ? BYTES_NONE : w->value,
            .shard = changes_shard(w->key.row),
            .del = w->del,
        };
        order[i] = &all[i];
    }
    if (b->n_writes)
        qsort(order, b->n_writes, sizeof(*order), sort_cmp);
    return order;
}

/* ---- the record ---- */

static void add_number(struct buf *out, size_t v, int bytes)
{
    while (bytes-- > 0)
        buf_add_u8(out, (uint8_t)(v >> 8 * bytes));
}

static void encode(struct buf *out, const struct change *c)
{
    buf_add_u8(out, c->del);
    add_number(out, c->partition.n, 2);
    add_number(out, c->row.n, 2);
    add_number(out, c->value.n, 4);
    buf_add(out, c->partition);
    buf_add(out, c->row);
    buf_add(out, c->value);
}

static size_t number(const uint8_t *p, int bytes)
{
    size_t v = 0;

    while (bytes-- > 0)
        v = v << 8 | *p++;
    return v;
}

static struct bytes take(struct bytes *from, size_t n)
{
    struct bytes b = BYTES(from->p, n);

    *from = bytes_from(*from, n);
    return b;
}

/* The next change of a record; false when it is cut off or no change. */
static bool decode(struct bytes *rest, struct change *c)
{
    const uint8_t *head = rest->p;
    size_t partition, row, value;

    if (rest->n < ITEM_HEAD || head[0] > 1)
        return false;
    partition = number(head + 1, 2);
    row = number(head + 3, 2);
    value = number(head + 5, 4);
    *rest = bytes_from(*rest, ITEM_HEAD);
    if (partition > STORAGE_PARTITION_MAX || row > STORAGE_ROW_MAX ||
        value > STORAGE_VALUE_MAX || rest->n < partition + row + value)
        return false;
    c->del = head[0];
    c->partition = take(rest, partition);
    c->row = take(rest, row);
    c->value = take(rest, value);
    c->shard = changes_shard(c->row);
    return true;
}

/* How many changes, or -1 when it is no record. */
static ssize_t count(struct bytes record)
{
    struct change now, before = {.shard = -1};
    ssize_t n = 0;

    if (record.n < 1 || bytes_u8(record)[0] != RECORD_VERSION)
        return -1;
    for (struct bytes rest = bytes_from(record, 1); rest.n; before = now, n++) {
        if (!decode(&rest, &now) || (n && change_cmp(&before, &now) >= 0))
            return -1;
    }
    return n;
}

/* Fill in the changes from the record of `c`; false when it is none. */
static bool fill(struct changes *c)
{
    ssize_t n = count(c->record);
    struct bytes rest;

    if (n < 0)
        return false;
    c->n = (size_t)n;
    c->at = ARENA_ARRAY(&c->arena, struct change, c->n + 1);
    rest = bytes_from(c->record, 1);
    for (size_t i = 0; i < c->n; i++)
        decode(&rest, &c->at[i]);
    return true;
}

static struct changes *changes_new(void)
{
    struct changes *c = calloc(1, sizeof(*c));

    if (!c)
        die("out of memory in a commit");
    return c;
}

/* Of a run of equal rows the last counts. */
static size_t record_size(struct change **order, size_t n)
{
    size_t size = 1;

    for (size_t i = 0; i < n; i++)
        size += ITEM_HEAD + order[i]->partition.n + order[i]->row.n +
                order[i]->value.n;
    return size;
}

struct changes *changes_of(struct arena *scratch, const struct storage_batch *b)
{
    struct change **order = sorted(scratch, b);
    struct changes *c = changes_new();
    struct buf record = BUF_IN(&c->arena);

    buf_reserve(&record, record_size(order, b->n_writes));
    buf_add_u8(&record, RECORD_VERSION);
    for (size_t i = 0; i < b->n_writes; i++) {
        bool last =
            i + 1 == b->n_writes || change_cmp(order[i], order[i + 1]) != 0;

        if (last)
            encode(&record, order[i]);
    }
    c->record = buf_view(&record);
    if (!fill(c))
        BUG("a redo record that does not read back");
    return c;
}

struct changes *changes_decode(struct bytes record)
{
    struct changes *c = changes_new();

    c->record = arena_dup(&c->arena, record);
    if (fill(c))
        return c;
    changes_free(c);
    return NULL;
}

void changes_free(struct changes *c)
{
    if (!c)
        return;
    arena_release(&c->arena);
    free(c);
}

/* ---- finding ---- */

/* The first change that is not before `want`. */
static size_t lower_bound(const struct changes *c, const struct change *want)
{
    size_t from = 0, to = c ? c->n : 0;

    while (from < to) {
        size_t mid = from + (to - from) / 2;

        if (change_cmp(&c->at[mid], want) < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

const struct change *changes_find(const struct changes *c,
                                  struct storage_key key)
{
    struct change want = {
        .partition = key.partition,
        .row = key.row,
        .shard = c ? changes_shard(key.row) : 0,
    };
    size_t i = lower_bound(c, &want);

    if (!c || i == c->n || change_cmp(&c->at[i], &want) != 0)
        return NULL;
    return &c->at[i];
}

struct run changes_run(const struct changes *c, size_t from)
{
    const struct change *first = &c->at[from];
    size_t n = 1;

    while (from + n < c->n && first[n].shard == first->shard &&
           bytes_eq(first[n].partition, first->partition))
        n++;
    return (struct run){first, n};
}

struct run changes_of_shard(const struct changes *c, struct bytes partition,
                            int shard)
{
    struct change want = {.partition = partition, .shard = shard};
    size_t i = lower_bound(c, &want);

    if (!c || i == c->n || c->at[i].shard != shard ||
        !bytes_eq(c->at[i].partition, partition))
        return (struct run){0};
    return changes_run(c, i);
}
