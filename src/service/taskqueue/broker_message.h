/*
 * broker_message - what goes through a message queue: a lease on a task.
 *
 * A message names the task's row and the lease that its dispatcher took; it
 * carries no request, since the row has it.  Whoever takes a message may start
 * the attempt only while that very lease is held, so a message that comes
 * twice, late, or from before a crash does nothing.
 *
 *   "AST1"  epoch (8)  number (8)  at (8)  moves (2)
 *   app, queue, name: length (2) and bytes each
 *
 * Numbers are big-endian.  Pure; any thread.
 */
#ifndef SERVICE_TASKQUEUE_BROKER_MESSAGE_H
#define SERVICE_TASKQUEUE_BROKER_MESSAGE_H

#include "base/buf.h"

enum {
    BROKER_TEXT_MAX = 500, /* a name's; the others are shorter */
    BROKER_MESSAGE_MAX = 4 + 3 * 8 + 2 + 3 * (2 + BROKER_TEXT_MAX),
};

struct broker_message {
    uint64_t epoch;  /* of the dispatcher: random, new at each start */
    uint64_t number; /* of the lease, in that epoch */
    int64_t at;      /* the task's place */
    uint16_t moves;
    struct bytes app, queue, name;
};

/* Append it; its texts are not longer than BROKER_TEXT_MAX. */
void broker_message_write(struct buf *out, const struct broker_message *m);

/* Take one apart; views of `in`.  False when it is not exactly one. */
bool broker_message_read(struct bytes in, struct broker_message *out);

#endif
