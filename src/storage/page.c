/* page - rows gathered into a page, in the arena, until one of the limits. */
#include "storage/page.h"

enum { PAGE_MIN = 32 }; /* rows; most scans want no more */

bool page_full(const struct page_fill *f)
{
    return f->page->n >= f->limit || f->bytes > STORAGE_PAGE_BYTES;
}

static void grow(struct page_fill *f)
{
    size_t cap = f->cap ? f->cap * 2 : PAGE_MIN;

    f->page->rows =
        arena_grow(f->arena, f->page->rows, f->cap * sizeof(struct storage_row),
                   cap * sizeof(struct storage_row));
    f->cap = cap;
}

void page_add(struct page_fill *f, struct bytes row, struct bytes value)
{
    /* One allocation for both, which the row opens. */
    uint8_t *p = arena_alloc(f->arena, row.n + value.n);

    if (f->page->n == f->cap)
        grow(f);
    if (row.n)
        memcpy(p, row.p, row.n);
    if (value.n)
        memcpy(p + row.n, value.p, value.n);
    f->page->rows[f->page->n++] = (struct storage_row){
        .row = BYTES(p, row.n),
        .value = BYTES(p + row.n, value.n),
    };
    f->bytes += row.n + value.n;
}
