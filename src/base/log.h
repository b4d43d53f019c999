/*
 * log - one line per event, and the two ways to stop.
 *
 *     log_info(ctx, "server.ready", "port", log_int(port), "ms", log_int(ms));
 *     2026-11-22T19:40:01.123Z info server.ready port=6103 ms=210
 *
 * An event name, then pairs of key and value up to a NULL key; request id and
 * app come from `ctx`, which may be NULL.  Values with blanks or quotes are
 * quoted.  Lines go to stderr whole (one write), up to LOG_LINE_MAX bytes.
 * Secrets are never logged.  Any thread.
 *
 * Five words, five meanings: BUG - our own mistake, abort with the place;
 * die - startup cannot go on, exit 1 with the sentence; log_error - something
 * was lost or refused for a reason the operator must see; log_warn - it works,
 * but look; log_info - what happened.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/bytes.h"

struct ctx;

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum { LOG_LINE_MAX = 4096 };

/* Lines below `level` are dropped; LOG_INFO at start. */
void log_set_level(enum log_level level);

/*
 * A number as a log value; valid until the end of the statement's line has been
 * written.  A ring of 16 per thread: more than any event has pairs.
 */
const char *log_int(int64_t v);

/* A view as a log value, from the same ring; cut at 511 bytes. */
const char *log_bytes(struct bytes b);

/* Write one line; the macros below end the pairs with their NULL. */
void log_line(enum log_level level, const struct ctx *ctx, const char *event,
              ...) __attribute__((sentinel));

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__, NULL)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__, NULL)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__, NULL)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__, NULL)

/* Startup cannot go on: the sentence, and exit(1). */
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/*
 * Our own mistake: the place and the sentence to stderr, and abort(), which
 * leaves a core.  By way of BUG().
 */
void bug_at(const char *file, int line, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 3, 4)));
#define BUG(...) bug_at(__FILE__, __LINE__, __VA_ARGS__)

#endif
