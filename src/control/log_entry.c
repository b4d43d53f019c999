/* log_entry - which line says what. */
#include "control/log_entry.h"

#include "base/clock.h"
#include "base/log_writer.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    HEAD_WORDS = 6,  /* a level stands behind the time and a process */
    HEAD_BYTES = 96, /* at most */
};

/* ---- severities ---- */

static const char *const names[] = {"DEFAULT",  "DEBUG",   "INFO",
                                    "NOTICE",   "WARNING", "ERROR",
                                    "CRITICAL", "ALERT",   "EMERGENCY"};

static const struct {
    const char *word;
    enum log_severity severity;
} words[] = {
    {"DEFAULT", LOG_SEVERITY_DEFAULT},     {"DEBUG", LOG_SEVERITY_DEBUG},
    {"TRACE", LOG_SEVERITY_DEBUG},         {"FINE", LOG_SEVERITY_DEBUG},
    {"FINER", LOG_SEVERITY_DEBUG},         {"FINEST", LOG_SEVERITY_DEBUG},
    {"CONFIG", LOG_SEVERITY_DEBUG},        {"INFO", LOG_SEVERITY_INFO},
    {"NOTICE", LOG_SEVERITY_NOTICE},       {"WARN", LOG_SEVERITY_WARNING},
    {"WARNING", LOG_SEVERITY_WARNING},     {"ERROR", LOG_SEVERITY_ERROR},
    {"ERR", LOG_SEVERITY_ERROR},           {"SEVERE", LOG_SEVERITY_ERROR},
    {"CRIT", LOG_SEVERITY_CRITICAL},       {"CRITICAL", LOG_SEVERITY_CRITICAL},
    {"FATAL", LOG_SEVERITY_CRITICAL},      {"PANIC", LOG_SEVERITY_CRITICAL},
    {"ALERT", LOG_SEVERITY_ALERT},         {"EMERG", LOG_SEVERITY_EMERGENCY},
    {"EMERGENCY", LOG_SEVERITY_EMERGENCY},
};

const char *log_severity_name(enum log_severity s)
{
    return names[s];
}

bool log_severity_parse(struct bytes word, enum log_severity *out)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (bytes_ieq(word, bytes_str(words[i].word))) {
            *out = words[i].severity;
            return true;
        }
    return false;
}

/* ---- JSON ---- */

/* pino and bunyan count: 10 trace, 20 debug, ... 60 fatal. */
static enum log_severity of_number(json_int_t n)
{
    static const enum log_severity by_ten[] = {
        LOG_SEVERITY_DEFAULT, LOG_SEVERITY_DEBUG,   LOG_SEVERITY_DEBUG,
        LOG_SEVERITY_INFO,    LOG_SEVERITY_WARNING, LOG_SEVERITY_ERROR,
        LOG_SEVERITY_CRITICAL};

    return n >= 0 && n < 70 ? by_ten[n / 10] : LOG_SEVERITY_DEFAULT;
}

static enum log_severity of_json(const json_t *o)
{
    const json_t *v = json_object_get(o, "severity");
    enum log_severity s = LOG_SEVERITY_DEFAULT;

    if (!v)
        v = json_object_get(o, "level");
    if (json_is_integer(v))
        return of_number(json_integer_value(v));
    if (json_is_string(v))
        log_severity_parse(bytes_str(json_string_value(v)), &s);
    return s;
}

static bool read_json(struct arena *a, struct bytes line, struct log_entry *out)
{
    const char *text;
    json_t *o;

    if (line.n < 2 || *(const char *)line.p != '{')
        return false;
    o = json_loadb(line.p, line.n, 0, NULL);
    if (!json_is_object(o)) {
        json_decref(o);
        return false;
    }
    out->json = line;
    out->severity = of_json(o);
    text = json_string_value(json_object_get(o, "message"));
    if (!text)
        text = json_string_value(json_object_get(o, "msg"));
    if (text)
        out->text = bytes_str(arena_strdup(a, text));
    json_decref(o);
    return true;
}

/* ---- words ---- */

static bool is_edge(char c)
{
    return memchr(" \t[](){}<>|,;'\"", c, 15) != NULL;
}

/* Whether a word of the head is a level: "ERROR" in capitals; "error:",
 * "level=error" and (`told`) "[error]" in any case. */
static bool is_level(struct bytes word, bool told, enum log_severity *out)
{
    static const char key[] = "level=";
    const char *p = word.p, *colon = memchr(p, ':', word.n);

    if (colon) {
        word.n = (size_t)(colon - p);
        told = true;
    } else if (word.n >= sizeof(key) &&
               bytes_ieq(BYTES(p, sizeof(key) - 1), bytes_str(key))) {
        word = bytes_from(word, sizeof(key) - 1);
        told = true;
    }
    for (size_t i = 0; !told && i < word.n; i++)
        if (!isupper((unsigned char)p[i]))
            return false;
    return word.n > 2 && log_severity_parse(word, out) &&
           *out != LOG_SEVERITY_DEFAULT;
}

static bool starts(struct bytes line, const char *with)
{
    return bytes_starts(line, bytes_str(with));
}

/* What a runtime says as it falls over. */
static bool is_fall(struct bytes line)
{
    return starts(line, "Traceback (most recent call last)") ||
           starts(line, "Exception in thread ") || starts(line, "panic: ") ||
           starts(line, "fatal error: ") || starts(line, "PHP Fatal error: ") ||
           starts(line, "Uncaught ");
}

static enum log_severity of_words(struct bytes line)
{
    const char *p = line.p,
               *end = p + (line.n < HEAD_BYTES ? line.n : HEAD_BYTES);
    enum log_severity s;

    if (is_fall(line))
        return LOG_SEVERITY_ERROR;
    for (int i = 0; i < HEAD_WORDS && p < end; i++) {
        const char *from;
        bool told;

        while (p < end && is_edge(*p))
            p++;
        from = p;
        while (p < end && !is_edge(*p))
            p++;
        told = from > (const char *)line.p && from[-1] == '[' && p < end &&
               *p == ']';
        if (is_level(BYTES(from, (size_t)(p - from)), told, &s))
            return s;
    }
    return LOG_SEVERITY_DEFAULT;
}

/* ---- an application's line ---- */

static struct log_thread_row *row_of(struct log_thread *t, struct bytes n)
{
    unsigned i = 0;

    for (size_t k = 0; k < n.n; k++)
        i = i * 10 + (unsigned)(bytes_u8(n)[k] - '0');
    return &t->rows[i % (sizeof(t->rows) / sizeof(t->rows[0]))];
}

static bool is_indented(struct bytes line)
{
    const char *p = line.p;

    return line.n == 0 || *p == ' ' || *p == '\t' || starts(line, "Caused by:");
}

static void app_severity(struct arena *a, struct log_thread_row *row,
                         struct log_entry *out)
{
    if (read_json(a, out->text, out)) {
        *row = (struct log_thread_row){0};
        return;
    }
    if (is_indented(out->text)) {
        out->severity = row->severity;
        return;
    }
    out->severity = of_words(out->text);
    /* The last line of a traceback names the error. */
    if (row->trace && out->severity == LOG_SEVERITY_DEFAULT) {
        out->severity = row->severity;
        row->trace = false;
        return;
    }
    *row =
        (struct log_thread_row){out->severity, starts(out->text, "Traceback ")};
}

static void app_line(struct arena *a, struct log_thread *t, struct bytes line,
                     struct log_entry *out)
{
    struct log_stamp stamp = {0};

    if (log_unstamp(&line, &stamp)) {
        out->time = stamp.time;
        out->instance = bytes_from(stamp.tag, 1);
    }
    out->text = line;
    app_severity(a, row_of(t, out->instance), out);
}

/* ---- a part's line ---- */

/* "2026/11/26 08:00:00 [error] ": nginx's, in the machine's own time. */
static size_t nginx_time(struct bytes line, int64_t *out)
{
    char text[20];
    struct tm tm = {.tm_isdst = -1};
    const char *end;

    if (line.n < sizeof(text))
        return 0;
    memcpy(text, line.p, sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    end = strptime(text, "%Y/%m/%d %H:%M:%S", &tm);
    if (!end || *end)
        return 0;
    *out = (int64_t)mktime(&tm) * CLOCK_SEC;
    return sizeof(text) - 1;
}

static void part_line(struct bytes line, struct log_entry *out)
{
    size_t n = log_time_parse(line, &out->time);
    struct bytes rest;

    if (n == 0)
        n = nginx_time(line, &out->time);
    rest = bytes_from(line, n);
    while (n && rest.n && *(const char *)rest.p == ' ')
        rest = bytes_from(rest, 1);
    out->text = rest;
    out->severity = of_words(rest);
    /* Our own have their level as the first word, in small letters. */
    if (n && out->severity == LOG_SEVERITY_DEFAULT) {
        const char *blank = memchr(rest.p, ' ', rest.n);
        size_t word = blank ? (size_t)(blank - (const char *)rest.p) : 0;

        if (word && log_severity_parse(BYTES(rest.p, word), &out->severity))
            out->text = bytes_from(rest, word + 1);
    }
}

/* ---- a request ---- */

#define SECONDS_MOST 1e11 /* the year 5138 */

/* The value of " NAME=", up to the next blank, or to the next quote. */
static struct bytes member(struct bytes line, const char *name)
{
    const char *at = line.n ? memmem(line.p, line.n, name, strlen(name)) : NULL;
    const char *end;
    const char *stop = (const char *)line.p + line.n;
    char until = ' ';

    if (!at)
        return BYTES_NONE;
    at += strlen(name);
    if (at < stop && *at == '"') {
        until = '"';
        at++;
    }
    end = memchr(at, until, (size_t)(stop - at));
    return BYTES(at, (size_t)((end ? end : stop) - at));
}

/* From 0 to `most`; 0 for everything else. */
static double number(struct bytes text, double most)
{
    char own[32];
    size_t n = text.n < sizeof(own) - 1 ? text.n : sizeof(own) - 1;
    double v;

    if (n)
        memcpy(own, text.p, n);
    own[n] = '\0';
    v = strtod(own, NULL);
    return v >= 0 && v <= most ? v : 0;
}

/* "2026-11-26T08:00:00+01:00": nginx's, of a line without `at`. */
static int64_t iso_time(struct bytes text)
{
    char own[32];
    struct tm tm = {0};
    const char *end;
    long zone;

    if (text.n < 25 || text.n >= sizeof(own))
        return 0;
    memcpy(own, text.p, text.n);
    own[text.n] = '\0';
    end = strptime(own, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!end || (*end != '+' && *end != '-') || strlen(end) < 6)
        return 0;
    zone = (end[1] - '0') * 600 + (end[2] - '0') * 60 + (end[4] - '0') * 10 +
           end[5] - '0';
    return ((int64_t)timegm(&tm) - (*end == '-' ? -zone : zone) * 60) *
           CLOCK_SEC;
}

/* "P/S/V" */
static bool split_app(struct arena *a, struct bytes app, struct log_entry *out)
{
    const char *p = app.p, *s = app.n ? memchr(p, '/', app.n) : NULL;
    struct bytes rest;

    if (!s)
        return false;
    out->project = BYTES(p, (size_t)(s - p));
    rest = bytes_from(app, out->project.n + 1);
    out->source = bytes_str(arena_cstr(a, rest));
    for (char *c = (char *)(uintptr_t)out->source.p; *c; c++)
        if (*c == '/')
            *c = '.';
    return true;
}

/* nginx tells seconds, haproxy milliseconds. */
static double milliseconds(struct bytes line)
{
    struct bytes ms = member(line, " ms=");

    return ms.n ? number(ms, SECONDS_MOST)
                : number(member(line, " seconds="), SECONDS_MOST) * 1000;
}

static bool request_line(struct arena *a, struct bytes line,
                         struct log_entry *out)
{
    struct bytes at = member(line, " at="), path = member(line, " path=");
    struct bytes method = member(line, " method=");
    struct bytes instance = member(line, " instance=");
    int status = (int)number(member(line, " status="), 999);

    if (!split_app(a, member(line, " app="), out))
        return false;
    out->request = true;
    if (instance.n > 1 && *(const char *)instance.p == 'i')
        out->instance = bytes_from(instance, 1);
    out->time = at.n ? (int64_t)(number(at, SECONDS_MOST) * CLOCK_SEC)
                     : iso_time(member(line, "time="));
    out->severity = status >= 500   ? LOG_SEVERITY_ERROR
                    : status >= 400 ? LOG_SEVERITY_WARNING
                                    : LOG_SEVERITY_INFO;
    out->text = bytes_str(
        arena_printf(a, "%.*s %.*s %d %.0f ms %.0f bytes %.*s",
                     BYTES_FMT(method), BYTES_FMT(path), status,
                     milliseconds(line), number(member(line, " bytes="), 1e15),
                     BYTES_FMT(member(line, " client="))));
    return true;
}

bool log_entry_parse(struct arena *a, enum log_format format,
                     struct log_thread *thread, struct bytes line,
                     struct log_entry *out)
{
    struct bytes source = out->source;

    *out = (struct log_entry){.source = source};
    switch (format) {
    case LOG_FORMAT_APP:
        app_line(a, thread, line, out);
        return true;
    case LOG_FORMAT_PART:
        part_line(line, out);
        return true;
    default:
        return request_line(a, line, out);
    }
}
