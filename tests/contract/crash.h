/*
 * crash - the two sides of the crash run: a child that writes and dies, and a
 * checker that knows exactly what must be left.
 *
 * Each of WRITERS threads of the child commits batches numbered from 1.  Batch
 * n of a writer, in one commit:
 *   - requires that the head of the writer says n - 1, and makes it n;
 *   - puts the row n of the writer into each of PARTS partitions;
 *   - deletes the rows of batch n - WINDOW.
 * Once storage_commit() says 0 it writes (writer, n) to the acknowledgement
 * pipe.  So whenever the child dies, the store is in one of two states for
 * each writer: that after the last acknowledged batch, or after the next one.
 */
#ifndef TESTS_CONTRACT_CRASH_H
#define TESTS_CONTRACT_CRASH_H

#include "contract.h"

enum { WRITERS = 3, PARTS = 3, WINDOW = 8 };

struct ack {
    uint32_t writer;
    uint32_t n;
};

/* The fault planted in a child, to see that the checker finds it. */
enum plant {
    PLANT_NONE,
    PLANT_LIE,   /* acknowledges the last batch, and has not written it */
    PLANT_SPLIT, /* dies between the two commits it makes of one batch */
    PLANT_STALE, /* leaves a row that should be deleted */
};

/* main() of the child: test_storage --crash-child BACKEND PATH FD PLANT. */
int crash_child(char **argv);

/*
 * Whether the store holds what the acknowledgements allow; acked[w] is the
 * last batch of writer w that was acknowledged.  NULL, or what is wrong.  On
 * NULL acked[] is brought up to what the store holds.
 */
const char *crash_check(struct ctx *ctx, struct storage *st, uint32_t *acked);

#endif
