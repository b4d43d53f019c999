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

int64_t clock_mono(void);
int64_t clock_wall(void);

#endif
