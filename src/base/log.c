/*
 * log - a line is put together on the stack and leaves in one write(), so lines
 * of several threads and processes do not mix.
 */
#include "base/log.h"

#include "base/ctx.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static _Atomic int min_level = LOG_INFO;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_set_level(enum log_level level)
{
    atomic_store(&min_level, level);
}

/* Values for one line: more of them than any event has pairs. */
enum { RING_SLOTS = 16, RING_TEXT = 512 };

static char *ring_next(void)
{
    static _Thread_local char ring[RING_SLOTS][RING_TEXT];
    static _Thread_local unsigned at;

    return ring[at++ % RING_SLOTS];
}

const char *log_int(int64_t v)
{
    char *s = ring_next();

    snprintf(s, RING_TEXT, "%" PRId64, v);
    return s;
}

const char *log_bytes(struct bytes b)
{
    char *s = ring_next();
    size_t n = b.n < RING_TEXT - 1 ? b.n : RING_TEXT - 1;

    if (n)
        memcpy(s, b.p, n);
    s[n] = '\0';
    return s;
}

struct line {
    char text[LOG_LINE_MAX];
    size_t n;
};

/* Room is kept for the newline. */
static void add_char(struct line *l, char c)
{
    if (l->n < sizeof(l->text) - 1)
        l->text[l->n++] = c;
}

static void add_str(struct line *l, const char *s)
{
    while (*s)
        add_char(l, *s++);
}

static bool needs_quotes(const char *s)
{
    if (!*s)
        return true;
    for (; *s; s++) {
        if ((unsigned char)*s <= ' ' || *s == '"' || *s == '=' || *s == '\x7f')
            return true;
    }
    return false;
}

static void add_value(struct line *l, const char *s)
{
    if (!needs_quotes(s)) {
        add_str(l, s);
        return;
    }
    add_char(l, '"');
    for (; *s; s++) {
        if (*s == '\n') {
            add_str(l, "\\n");
        } else if ((unsigned char)*s < ' ' || *s == '\x7f') {
            add_char(l, '?');
        } else {
            if (*s == '"' || *s == '\\')
                add_char(l, '\\');
            add_char(l, *s);
        }
    }
    add_char(l, '"');
}

static void add_pair(struct line *l, const char *key, const char *value)
{
    add_char(l, ' ');
    add_str(l, key);
    add_char(l, '=');
    add_value(l, value ? value : "(null)");
}

static void add_time(struct line *l)
{
    int64_t now = clock_wall();
    time_t sec = now / CLOCK_SEC;
    char day[32], all[48];
    struct tm tm;

    gmtime_r(&sec, &tm);
    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(all, sizeof(all), "%s.%03dZ ", day,
             (int)(now % CLOCK_SEC / CLOCK_MS));
    add_str(l, all);
}

static void line_write(struct line *l)
{
    l->text[l->n++] = '\n';
    /* Where stderr is gone there is nobody left to tell. */
    if (write(STDERR_FILENO, l->text, l->n) < 0)
        return;
}

void log_line(enum log_level level, const struct ctx *ctx, const char *event,
              ...)
{
    struct line l = {.n = 0};
    const char *key;
    va_list ap;

    if ((int)level < atomic_load_explicit(&min_level, memory_order_relaxed))
        return;
    add_time(&l);
    add_str(&l, level_names[level]);
    add_char(&l, ' ');
    add_str(&l, event);
    if (ctx && ctx->app.n)
        add_pair(&l, "app", log_bytes(ctx->app));
    if (ctx && ctx->request_id.n)
        add_pair(&l, "request", log_bytes(ctx->request_id));
    va_start(ap, event);
    while ((key = va_arg(ap, const char *)) != NULL)
        add_pair(&l, key, va_arg(ap, const char *));
    va_end(ap);
    line_write(&l);
}

void die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

void bug_at(const char *file, int line, const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "BUG: %s:%d: ", file, line);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    abort();
}
