/* low - two generations of writes. */
#include "service/taskqueue/low.h"

void low_init(struct low *l, int64_t mark)
{
    *l = (struct low){.mark = mark, .lowest = {INT64_MAX, INT64_MAX}};
}

int low_write_begin(struct low *l, int64_t at)
{
    int g = l->generation;

    if (at < l->lowest[g])
        l->lowest[g] = at;
    if (at < l->mark)
        l->mark = at;
    l->writing[g]++;
    return g;
}

void low_write_end(struct low *l, int generation)
{
    l->writing[generation]--;
}

/*
 * The other generation is reused once its writes are over.  Until then both
 * hold the mark, which is only cautious.  While a scan is under way the
 * generations stay: it must hear of writes that it may have missed.
 */
int64_t low_scan_begin(struct low *l, bool *moves)
{
    int other = 1 - l->generation;

    *moves = !l->scanning;
    if (!*moves)
        return l->mark;
    l->scanning = true;
    if (l->writing[other] == 0) {
        l->generation = other;
        l->lowest[other] = INT64_MAX;
    }
    return l->mark;
}

void low_scan_end(struct low *l, bool moves, int64_t at)
{
    if (!moves)
        return;
    l->scanning = false;
    for (int g = 0; g < 2; g++) {
        if (l->lowest[g] < at)
            at = l->lowest[g];
    }
    if (at > l->mark)
        l->mark = at;
}
