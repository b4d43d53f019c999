/*
 * page - how a backend gathers the rows of a scan.
 */
#ifndef STORAGE_PAGE_H
#define STORAGE_PAGE_H

#include "storage/storage.h"

struct page_fill {
    struct arena *arena;
    struct storage_page *page;
    size_t limit;
    size_t cap;
    size_t bytes;
};

#define PAGE_FILL_INIT(arena_, page_, limit_)                                  \
    {                                                                          \
        .arena = (arena_), .page = (page_), .limit = (limit_)                  \
    }

/* Whether the page takes no further row: it has `limit` of them, or passed
 * STORAGE_PAGE_BYTES. */
bool page_full(const struct page_fill *f);

/* Add a copy of the row. */
void page_add(struct page_fill *f, struct bytes row, struct bytes value);

#endif
