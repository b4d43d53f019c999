/*
 * tickets - the table from token to caller, read without a lock.
 *
 * A table is immutable once published.  A change builds a new one and swaps
 * the pointer; the old one is freed when no reader can still be inside it.
 * Readers announce themselves in one of two counters, chosen by an epoch that
 * the writer flips (the scheme of sleepable RCU).  A lookup is some dozens of
 * nanoseconds, so a writer waits for about that long.
 *
 * Thread rule: tickets_find() from any thread; tickets_publish() by one thread
 * at a time, under the lock of the owner (platform.c).
 */
#ifndef SERVICE_PLATFORM_TICKETS_H
#define SERVICE_PLATFORM_TICKETS_H

#include "base/arena.h"

#include <stdatomic.h>

struct ticket {
    struct bytes token;
    struct bytes app;
    struct bytes service;
    struct bytes version;
};

struct ticket_table;

struct tickets {
    _Atomic(struct ticket_table *) table;
    _Atomic unsigned epoch;
    _Atomic long readers[2];
};

/* A zeroed struct is an empty set.  Releases the table; no reader is left. */
void tickets_release(struct tickets *t);

/*
 * Replace all tickets by `rows`, which are copied.  False, and no change, when
 * a token occurs twice.
 */
bool tickets_publish(struct tickets *t, const struct ticket *rows, size_t n);

/* The ticket with that token, its views copied into `a`; false when nobody
 * has it. */
bool tickets_find(struct tickets *t, struct arena *a, struct bytes token,
                  struct ticket *out);

#endif
