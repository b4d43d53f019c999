/*
 * log_entry - a line of a log, understood.
 *
 * Four kinds of line stand in DIR/logs (logs.h):
 *
 *     an application's   2026-11-26T08:00:00.123456Z i3 what it wrote
 *     a part's of ours   2026-11-26T08:00:00.123Z warn process.down name=...
 *     a request          time=... at=1795679999.123 app=P/S/V method=GET ...
 *     somebody else's    what nginx, haproxy or memcached write
 *
 * How severe a line of an application is, it says itself: as JSON that Cloud
 * Logging understands ({"severity": "ERROR", "message": "..."}, or the `level`
 * and `msg` of common loggers), or by a word near its beginning, as the logging
 * modules of Python, Go, Java and PHP put it.  What continues a line (an
 * indented one, the frames and the last line of a traceback) is as severe as
 * that.  Everything else has no severity.
 *
 * Pure; strings point into the line, or into the arena where they had to be
 * made.
 */
#ifndef CONTROL_LOG_ENTRY_H
#define CONTROL_LOG_ENTRY_H

#include "base/arena.h"

/* As Cloud Logging has them. */
enum log_severity {
    LOG_SEVERITY_DEFAULT, /* none was told */
    LOG_SEVERITY_DEBUG,
    LOG_SEVERITY_INFO,
    LOG_SEVERITY_NOTICE,
    LOG_SEVERITY_WARNING,
    LOG_SEVERITY_ERROR,
    LOG_SEVERITY_CRITICAL,
    LOG_SEVERITY_ALERT,
    LOG_SEVERITY_EMERGENCY,
};

enum log_format { LOG_FORMAT_APP, LOG_FORMAT_PART, LOG_FORMAT_REQUEST };

struct log_entry {
    int64_t time; /* microseconds since 1970; 0: the line has none */
    enum log_severity severity;
    struct bytes source;   /* "S.V" of a request; else as the reader says */
    struct bytes project;  /* of a request */
    struct bytes instance; /* "0"; empty when it is none's, as of a file */
    struct bytes text;
    struct bytes json; /* the whole line when it is a JSON object */
    bool request;
};

/* What continues what: one per log, zeroed at its beginning. */
struct log_thread {
    struct log_thread_row {
        enum log_severity severity;
        bool trace; /* of a traceback, whose last line is not indented */
    } rows[32];     /* by the number of the instance, modulo */
};

/* "ERROR"; "DEFAULT" for none. */
const char *log_severity_name(enum log_severity s);

/* The severity of a word in any case, "warn" and "fatal" among them; false
 * when it names none. */
bool log_severity_parse(struct bytes word, enum log_severity *out);

/*
 * Read a line without its newline; false for one that is none of that format's
 * entries (a request of no application).  `source` stays what it was but for a
 * request.
 */
bool log_entry_parse(struct arena *a, enum log_format format,
                     struct log_thread *thread, struct bytes line,
                     struct log_entry *out);

#endif
