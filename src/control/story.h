/*
 * story - the lines of a log that tell why an application does not run.
 *
 * The end of a log is mostly the trace of the server around the application:
 * pages of frames below the platform's own folder, and the application's
 * exception scrolled away above them.  A line that names a file of the
 * platform's (below its root, but not the version's own code) is left out with
 * the lines below it that are indented deeper: the code such a frame shows.
 */
#ifndef CONTROL_STORY_H
#define CONTROL_STORY_H

#include "base/arena.h"

/* The last `lines` lines of `text` that tell something, in the arena.  `root`
 * is the platform's folder, `own` the application's inside it. */
const char *story_lines(struct arena *a, struct bytes text, const char *root,
                        const char *own, int lines);

#endif
