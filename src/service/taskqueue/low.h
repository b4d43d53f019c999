/*
 * low - a queue's low-water mark: nothing that waits lies before it.
 *
 * Finished tasks leave holes at the front of a queue's rows, and a scan must
 * not walk over them again and again.  So a scan begins at the mark, and when
 * it has seen where the first row is, the mark moves there.
 *
 * What makes this safe beside writers: whoever is about to write a row before
 * the mark says so first (low_write_begin), and a scan moves the mark no
 * further than the lowest of the writes that were under way when it began or
 * have begun since.  Writes are told apart by two generations, so that a
 * stream of them without a gap does not hold the mark back for ever.
 *
 * Thread rule: the caller's lock covers every call.
 */
#ifndef SERVICE_TASKQUEUE_LOW_H
#define SERVICE_TASKQUEUE_LOW_H

#include <stdbool.h>
#include <stdint.h>

struct low {
    int64_t mark;
    int generation;    /* of writes that begin now: 0 or 1 */
    int64_t lowest[2]; /* of a generation's writes so far */
    int writing[2];
    bool scanning; /* a scan that may move the mark is under way */
};

/* A mark at `mark`, no write under way. */
void low_init(struct low *l, int64_t mark);

/* Somebody will write a row at `at`; returns what low_write_end() is told. */
int low_write_begin(struct low *l, int64_t at);

/* That commit has returned, whatever it said. */
void low_write_end(struct low *l, int generation);

/*
 * A scan begins at the mark, which is returned.  *moves says whether it is the
 * one that may move the mark: there is one at a time.
 */
int64_t low_scan_begin(struct low *l, bool *moves);

/*
 * That scan is over, and saw no row before `at` (0: it saw nothing worth
 * telling): move the mark as far as is safe.  Nothing when !moves.
 */
void low_scan_end(struct low *l, bool moves, int64_t at);

#endif
