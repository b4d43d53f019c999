/*
 * log_writer - a log file that somebody else's output flows into, bounded.
 *
 * An application writes what it likes, as fast as it likes.  Its output is a
 * pipe, and at the pipe's end stands a small process (bin/appscale-log) that
 * cuts it into lines, puts before each the time and which instance wrote it,
 * and starts a new file when one is full.  Nothing is lost while a file is
 * changed, and a flood is slowed by the pipe to what the disk takes.
 *
 *     2026-11-26T08:00:00.123456Z i3 what the instance wrote
 *
 * Several writers may share a file.  A full FILE becomes FILE.1, that one
 * FILE.2, and so on; so FILE and its old ones hold at most (keep + 1) times
 * `max`, and a block of LOG_WRITER_BLOCK more.
 */
#ifndef BASE_LOG_WRITER_H
#define BASE_LOG_WRITER_H

#include "base/arena.h"
#include "base/bytes.h"

enum {
    LOG_WRITER_BLOCK = 64 * 1024,
    LOG_WRITER_LINE = 16 * 1024, /* a longer line is cut into several */
};

/*
 * The process: reads `in` to its end.  `tag` is what to put behind the time
 * ("i3"); "" adds neither to a line.  Returns the exit status: 0 once all is
 * written, 1 when `in` cannot be read.  A disk that takes no more loses lines;
 * how many bytes, the next line that can be written tells.
 */
int log_writer_run(int in, const char *path, const char *tag, int64_t max,
                   int keep);

/* Move FILE to FILE.1, FILE.1 to FILE.2, up to `keep` old ones. */
void log_rotate(const char *path, int keep);

/* The stamp of a line. */
struct log_stamp {
    int64_t time; /* microseconds since 1970 */
    struct bytes tag;
};

/* Take the stamp off a line; false, and the line as it was, without one. */
bool log_unstamp(struct bytes *line, struct log_stamp *out);

/*
 * A text without its stamps.  With a tag, lines that bear another one are left
 * out.  In the arena.
 */
struct bytes log_text(struct arena *a, struct bytes text, const char *tag);

/* "2026-11-26T08:00:00.123456Z" or "...00.123Z", at the head of `text`, to
 * microseconds; the bytes it takes, or 0 when it is none. */
size_t log_time_parse(struct bytes text, int64_t *out);

#endif
