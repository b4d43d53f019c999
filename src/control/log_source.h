/*
 * log_source - one log with its old files, from its end or from a place.
 *
 * FILE, FILE.1, FILE.2 ... are one text, the oldest last.  It is read from the
 * end backwards, in blocks, until enough entries fit a filter: a hundred lines
 * of a large log cost one block.  Whoever has read to a place goes on from
 * there, wherever rotation has taken it: a place is a file's inode, an offset,
 * and a mark of what stands before it, since inodes come again.  A file that is
 * emptied in place (logs.h) is followed by time: what is newer than the last
 * line seen comes from FILE.1.
 *
 * A writer may have looked at the name before a rotation, and brings its block
 * into the file just renamed (log_writer.h): so a place has a point in that
 * one, too, for some seconds after its last line.
 *
 * A line is read once it is whole.  What it continues is looked for in the
 * LOG_SOURCE_ABOVE bytes before the first line wanted.  Thread rule: any; it
 * waits for the disk.
 */
#ifndef CONTROL_LOG_SOURCE_H
#define CONTROL_LOG_SOURCE_H

#include "control/log_entry.h"

enum {
    LOG_SOURCE_BLOCK = 256 * 1024,
    LOG_SOURCE_ABOVE = 16 * 1024,
    LOG_SOURCE_KEPT = 2 * 1024 * 1024, /* bytes of entries of one source */
    LOG_SOURCE_FILES = 128,            /* old files that are looked for */
};

struct log_source {
    const char *path;  /* of the newest file */
    struct bytes name; /* what its entries have as their source */
    enum log_format format;
};

struct log_point {
    uint64_t inode; /* 0: there was no file */
    int64_t offset;
    uint32_t mark; /* of the bytes before it */
};

/* Where reading has come to. */
struct log_place {
    uint32_t source; /* log_source_id() */
    struct log_point at;
    struct log_point before; /* in the file before, while that may grow */
    int64_t time;            /* of the last line; 0: none */
};

enum log_requests { LOG_REQUESTS_TOO, LOG_REQUESTS_ONLY, LOG_REQUESTS_NONE };

/* What an entry must be; zeroed: anything. */
struct log_filter {
    const char *project;           /* of requests; or NULL */
    const char *service, *version; /* "a,b"; or NULL */
    const char *instance;          /* or NULL */
    const char *text;              /* in any case; or NULL */
    enum log_severity least;
    enum log_requests requests;
    int64_t since, until; /* microseconds since 1970; 0: not asked */
};

struct log_list {
    struct log_entry *p;
    size_t n, cap, bytes;
};

/* Of its name; places are told apart by it. */
uint32_t log_source_id(const struct log_source *s);

/*
 * Append the newest `want` entries that fit, oldest first, in the arena; fewer
 * when there are no more, or when they make more than LOG_SOURCE_KEPT.
 * *place is the end.
 */
void log_source_newest(struct arena *a, const struct log_source *s,
                       const struct log_filter *f, size_t want,
                       struct log_list *out, struct log_place *place);

/*
 * Append what fits behind *place, about a block of text at most, and move it.
 * *more: there is more.  False when lines between are gone; then it goes on
 * with the oldest there is.
 */
bool log_source_after(struct arena *a, const struct log_source *s,
                      const struct log_filter *f, struct log_place *place,
                      struct log_list *out, bool *more);

/* Whether `list` ("a,b"; NULL: everything) has the name. */
bool log_names_have(const char *list, struct bytes name);

/* Append a copy of an entry, in the arena. */
void log_list_add(struct arena *a, struct log_list *l,
                  const struct log_entry *e);

#endif
