/*
 * clock - the two times.
 *
 * clock_mono() measures: deadlines, latencies, back-offs.  clock_wall() is the
 * calendar: what is stored and shown.  Both in microseconds.  Any thread.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_MS  INT64_C(1000)
#define CLOCK_SEC INT64_C(1000000)

/*
 * Microseconds since some moment, never going back; without meaning in another
 * boot of the machine.
 */
int64_t clock_mono(void);

/* Microseconds since 1970 in UTC; may jump when the machine's clock is set. */
int64_t clock_wall(void);

#endif
