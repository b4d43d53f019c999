/*
 * log_writer - read a block, stamp its lines, append, and rotate when full.
 *
 * Writers of one file agree through the file itself: before each append they
 * look whether the name still means what they hold open, and whoever finds it
 * full renames it under a lock on it.  A block that lands in a file just
 * renamed is in the old file, which is where its time belongs.
 */
#include "base/log_writer.h"

#include "base/buf.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { STAMP_TIME = 27 }; /* "2026-11-26T08:00:00.123456Z" */

struct writer {
    const char *path, *tag;
    int64_t max;
    int keep;
    int fd;
    int64_t lost;   /* bytes that the disk did not take */
    char stamp[64]; /* of the lines of a block */
    struct buf out;
};

/* ---- the file ---- */

void log_rotate(const char *path, int keep)
{
    struct arena a = ARENA_INIT;

    for (int i = keep; i > 0; i--)
        rename(i > 1 ? arena_printf(&a, "%s.%d", path, i - 1) : path,
               arena_printf(&a, "%s.%d", path, i));
    if (keep == 0)
        unlink(path);
    arena_release(&a);
}

static void file_close(struct writer *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}

static void file_open(struct writer *w)
{
    if (w->fd < 0)
        w->fd = open(w->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* Whether the name still means the file that is open; its size. */
static bool file_current(const struct writer *w, int64_t *size)
{
    struct stat named, held;

    if (w->fd < 0 || stat(w->path, &named) != 0 || fstat(w->fd, &held) != 0)
        return false;
    *size = held.st_size;
    return named.st_ino == held.st_ino && named.st_dev == held.st_dev;
}

/* The file to append to, with room. */
static void file_ready(struct writer *w)
{
    int64_t size = 0;

    if (!file_current(w, &size)) {
        file_close(w);
        file_open(w);
        if (!file_current(w, &size))
            return;
    }
    if (size < w->max)
        return;
    /* Whoever had the lock before us may have renamed it. */
    if (flock(w->fd, LOCK_EX) == 0 && file_current(w, &size))
        log_rotate(w->path, w->keep);
    file_close(w); /* and with it the lock */
    file_open(w);
}

static bool write_all(int fd, struct bytes text)
{
    while (text.n > 0) {
        ssize_t n = write(fd, text.p, text.n);

        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            text = bytes_from(text, (size_t)n);
    }
    return true;
}

/* ---- the lines ---- */

/* One time for all lines that arrive together. */
static void set_stamp(struct writer *w, int64_t now)
{
    time_t sec = now / CLOCK_SEC;
    char day[32];
    struct tm tm;

    w->stamp[0] = '\0';
    if (!*w->tag)
        return;
    gmtime_r(&sec, &tm);
    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(w->stamp, sizeof(w->stamp), "%s.%06dZ %.16s ", day,
             (int)(now % CLOCK_SEC), w->tag);
}

static void flush(struct writer *w)
{
    if (w->out.n == 0)
        return;
    file_ready(w);
    if (w->lost && w->fd >= 0) {
        char note[128];
        int n = snprintf(note, sizeof(note),
                         "(%lld bytes of this log are lost: the disk did not "
                         "take them)\n",
                         (long long)w->lost);

        if (write_all(w->fd, BYTES(note, (size_t)n)))
            w->lost = 0;
    }
    if (w->fd < 0 || !write_all(w->fd, buf_view(&w->out)))
        w->lost += (int64_t)w->out.n;
    buf_clear(&w->out);
}

static void add_line(struct writer *w, struct bytes line)
{
    buf_add_str(&w->out, w->stamp);
    buf_add(&w->out, line);
    buf_add_u8(&w->out, '\n');
    if (w->out.n >= LOG_WRITER_BLOCK)
        flush(w);
}

/* The whole lines of a text; how much of it they were. */
static size_t add_lines(struct writer *w, struct bytes text)
{
    size_t done = 0;

    while (done < text.n) {
        struct bytes rest = bytes_from(text, done);
        const char *end = memchr(rest.p, '\n', rest.n);
        size_t n = end ? (size_t)(end - (const char *)rest.p) : rest.n;

        if (n > LOG_WRITER_LINE) {
            add_line(w, BYTES(rest.p, LOG_WRITER_LINE));
            done += LOG_WRITER_LINE;
        } else if (end) {
            add_line(w, BYTES(rest.p, n));
            done += n + 1;
        } else {
            break;
        }
    }
    return done;
}

int log_writer_run(int in, const char *path, const char *tag, int64_t max,
                   int keep)
{
    struct writer w = {
        .path = path, .tag = tag, .max = max, .keep = keep, .fd = -1};
    struct buf text = {0};
    ssize_t n;

    while ((n = read(in, buf_reserve(&text, LOG_WRITER_BLOCK),
                     LOG_WRITER_BLOCK)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        text.n += (size_t)n;
        set_stamp(&w, clock_wall());
        buf_consume(&text, add_lines(&w, buf_view(&text)));
        flush(&w);
    }
    if (text.n)
        add_line(&w, buf_view(&text));
    flush(&w);
    file_close(&w);
    buf_release(&w.out);
    buf_release(&text);
    return n < 0;
}

/* ---- reading it ---- */

static bool digits(const char *p, int n, int *out)
{
    *out = 0;
    for (int i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        *out = *out * 10 + p[i] - '0';
    }
    return true;
}

size_t log_time_parse(struct bytes text, int64_t *out)
{
    enum { SECONDS = 19 };
    const char *p = text.p;
    struct tm tm = {0};
    int us = 0, unit = 1000000;
    size_t at = SECONDS;

    if (text.n < SECONDS + 1 || p[4] != '-' || p[7] != '-' ||
        (p[10] != 'T' && p[10] != ' ') || p[13] != ':' || p[16] != ':' ||
        !digits(p, 4, &tm.tm_year) || !digits(p + 5, 2, &tm.tm_mon) ||
        !digits(p + 8, 2, &tm.tm_mday) || !digits(p + 11, 2, &tm.tm_hour) ||
        !digits(p + 14, 2, &tm.tm_min) || !digits(p + 17, 2, &tm.tm_sec))
        return 0;
    if (p[at] == '.' || p[at] == ',')
        for (at++; at < text.n && p[at] >= '0' && p[at] <= '9'; at++) {
            unit /= 10;
            us += (p[at] - '0') * unit;
        }
    if (at >= text.n || p[at] != 'Z')
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    *out = (int64_t)timegm(&tm) * CLOCK_SEC + us;
    return at + 1;
}

bool log_unstamp(struct bytes *line, struct log_stamp *out)
{
    const char *p = line->p;
    size_t at = STAMP_TIME + 2;

    if (line->n < STAMP_TIME + 4 || p[STAMP_TIME - 1] != 'Z' ||
        p[STAMP_TIME] != ' ' || p[STAMP_TIME + 1] != 'i' ||
        log_time_parse(*line, &out->time) != STAMP_TIME)
        return false;
    while (at < line->n && p[at] >= '0' && p[at] <= '9')
        at++;
    if (at == STAMP_TIME + 2 || at == line->n || p[at] != ' ')
        return false;
    out->tag = BYTES(p + STAMP_TIME + 1, at - STAMP_TIME - 1);
    *line = bytes_from(*line, at + 1);
    return true;
}

struct bytes log_text(struct arena *a, struct bytes text, const char *tag)
{
    struct buf out = BUF_IN(a);

    while (text.n) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - (const char *)text.p) : text.n;
        struct bytes line = BYTES(text.p, n);
        struct log_stamp stamp;

        text = bytes_from(text, end ? n + 1 : n);
        if (log_unstamp(&line, &stamp) && tag && !bytes_eq_str(stamp.tag, tag))
            continue;
        if (out.n)
            buf_add_u8(&out, '\n');
        buf_add(&out, line);
    }
    return buf_view(&out);
}
