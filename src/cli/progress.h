/*
 * progress - what a person sees while something takes its time.
 *
 * Steps go to stderr.  On a terminal the running step is one line that shows
 * the seconds and is drawn again by every progress_tick(); elsewhere each step
 * is a plain line when it begins, and one more when it took over two seconds.
 * Nothing is shown for what ends within the first moment on a terminal.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "base/clock.h"

#include <stdbool.h>

struct progress {
    bool tty;
    bool quiet; /* --json on a pipe: say nothing */
    bool open;  /* a step is running */

    int64_t since;
    char step[256];
};

/* Nothing runs yet.  Looks once, here, whether stderr is a terminal. */
void progress_init(struct progress *p, bool quiet);

/* The running step ends well and another begins.  "Installing (flask)" after
 * "Installing (six)" is the same step, further on. */
void progress_step(struct progress *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Draw the line again; call it every 50 to 500 ms while waiting. */
void progress_tick(struct progress *p);

/* The running step is over.  `ok` is how it ended. */
void progress_end(struct progress *p, bool ok);

#endif
