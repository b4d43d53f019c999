/* names - one walk over a list and a run of changes, both in order. */
#include "storage/dhash/names.h"

enum { LENGTH = 2 };

static size_t length_at(const uint8_t *p)
{
    return (size_t)p[0] << 8 | p[1];
}

bool names_next(struct bytes *list, struct bytes *row)
{
    if (list->n == 0)
        return false;
    *row = BYTES(bytes_u8(*list) + LENGTH, length_at(list->p));
    *list = bytes_from(*list, LENGTH + row->n);
    return true;
}

bool names_valid(struct bytes list)
{
    struct bytes before = BYTES_NONE, row;

    for (size_t n = 0; list.n; n++, before = row) {
        if (list.n < LENGTH || list.n - LENGTH < length_at(list.p))
            return false;
        names_next(&list, &row);
        if (row.n > STORAGE_ROW_MAX || (n && bytes_cmp(before, row) >= 0))
            return false;
    }
    return true;
}

/* What comes out of the walk: the length of the new list, and the list itself
 * where there is a buffer. */
struct sink {
    struct buf *out;
    size_t size;
    bool differs;
};

static void keep(struct sink *s, struct bytes row)
{
    s->size += LENGTH + row.n;
    if (!s->out)
        return;
    buf_add_u8(s->out, (uint8_t)(row.n >> 8));
    buf_add_u8(s->out, (uint8_t)row.n);
    buf_add(s->out, row);
}

/* The row of the change, which the list has or has not. */
static void change_one(struct sink *s, const struct change *c, bool listed)
{
    if (!c->del)
        keep(s, c->row);
    if (c->del == listed)
        s->differs = true;
}

static void walk(struct bytes list, struct run run, struct sink *s)
{
    struct bytes row;
    bool more = names_next(&list, &row);
    size_t i = 0;

    while (more || i < run.n) {
        int d = !more ? 1 : i == run.n ? -1 : bytes_cmp(row, run.at[i].row);

        if (d < 0)
            keep(s, row);
        else
            change_one(s, &run.at[i++], d == 0);
        if (d <= 0)
            more = names_next(&list, &row);
    }
}

size_t names_size_with(struct bytes list, struct run run)
{
    struct sink s = {0};

    walk(list, run, &s);
    return s.size;
}

bool names_with(struct bytes list, struct run run, struct buf *out)
{
    struct sink s = {.out = out};

    buf_reserve(out, names_size_with(list, run));
    walk(list, run, &s);
    return s.differs;
}
