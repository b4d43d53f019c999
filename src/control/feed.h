/*
 * feed - the way of a child's output into its log: a pipe, and a process
 * behind it (base/log_writer.h) that bounds the file.
 *
 * The writer ends when the last one that holds the pipe has, so whoever waits
 * for its end finds every word of the child in the log.  It leads a session of
 * its own and needs no controller.  While there is one, the pipe's reading end
 * is kept open here, too: a writer that is killed is started again at the same
 * pipe, and the child has only waited.
 *
 * Ownership: feed_open() or feed_adopt() to feed_end().  Thread rule: the
 * loop's.
 */
#ifndef CONTROL_FEED_H
#define CONTROL_FEED_H

#include "base/ctx.h"

#include <uv.h>

struct feed;

typedef void feed_fn(void *arg);

/* Which program writes, and how much it keeps; before any other call. */
void feed_configure(const char *program, int64_t max, int keep);

/* Begin one: *fd is the pipe's writing end, to be the child's stdout and
 * stderr, and to be closed.  `tag` as log_writer_run() takes it.  Errors of the
 * spawn, with the story. */
int feed_open(struct ctx *ctx, uv_loop_t *loop, const char *log,
              const char *tag, struct feed **out, int *fd);

/* That of a child which an earlier controller started; NULL when it has none,
 * or it cannot be looked at. */
struct feed *feed_adopt(uv_loop_t *loop, pid_t child, const char *log,
                        const char *tag);

/*
 * The child has ended: fn runs once all it wrote is in the log, from the loop,
 * never at once.  Somebody it left behind may hold the pipe; he is not waited
 * for longer than FEED_PATIENCE.  fn NULL: nobody wants to know.
 */
enum { FEED_PATIENCE_MS = 2000 };
void feed_end(struct feed *f, feed_fn *fn, void *arg);

#endif
