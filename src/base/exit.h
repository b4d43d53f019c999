/* exit - how a child process ended, for a person. */
#ifndef BASE_EXIT_H
#define BASE_EXIT_H

#include "base/arena.h"

/* What stands behind a name: "ended with exit status 1", "was killed by signal
 * 9 (Killed)", or "ended" when `status`, as waitpid() gives it, is negative
 * because it is not known.  In the arena. */
const char *exit_text(struct arena *a, int status);

#endif
