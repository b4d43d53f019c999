/*
 * range - parts of a partition.
 */
#include "storage/storage.h"

struct storage_range storage_prefix(struct arena *a, struct bytes prefix)
{
    struct storage_range r = {.from = prefix, .to_end = true};
    uint8_t *to;
    size_t n = prefix.n;

    /* The successor: the last byte that can grow does, and ends it. */
    while (n > 0 && bytes_u8(prefix)[n - 1] == 0xff)
        n--;
    if (n == 0)
        return r;
    to = arena_alloc(a, n);
    memcpy(to, prefix.p, n);
    to[n - 1]++;
    r.to = BYTES(to, n);
    r.to_end = false;
    return r;
}

struct storage_range storage_range_after(struct arena *a,
                                         const struct storage_range *range,
                                         enum storage_dir dir,
                                         struct bytes last)
{
    struct storage_range r = *range;
    uint8_t *from;

    if (dir == STORAGE_BACKWARD) {
        r.to = last;
        r.to_end = false;
        return r;
    }
    /* The least row above `last`: itself and a zero byte. */
    from = arena_alloc(a, last.n + 1);
    if (last.n)
        memcpy(from, last.p, last.n);
    from[last.n] = 0;
    r.from = BYTES(from, last.n + 1);
    return r;
}
