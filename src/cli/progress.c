#include "cli/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What is over sooner leaves no trace on a terminal's moving line. */
#define FIRST_DRAW (150 * CLOCK_MS)
/* What took longer is told with its time. */
#define WORTH_TELLING (2 * CLOCK_SEC)

void progress_init(struct progress *p, bool quiet)
{
    *p = (struct progress){.quiet = quiet};
    p->tty = isatty(STDERR_FILENO);
}

static double seconds(const struct progress *p)
{
    return (double)(clock_mono() - p->since) / CLOCK_SEC;
}

void progress_end(struct progress *p, bool ok)
{
    if (!p->open)
        return;
    p->open = false;
    if (p->quiet)
        return;
    if (p->tty)
        fprintf(stderr, "\r\033[K  %s %s (%.1f s)\n", ok ? "ok  " : "FAIL",
                p->step, seconds(p));
    else if (!ok)
        fprintf(stderr, "  failed after %.1f s: %s\n", seconds(p), p->step);
    else if (clock_mono() - p->since > WORTH_TELLING)
        fprintf(stderr, "  done after %.1f s: %s\n", seconds(p), p->step);
}

/* What stands in parentheses at the end is how far a step is. */
static size_t name_length(const char *text)
{
    const char *detail = strstr(text, " (");

    return detail ? (size_t)(detail - text) : strlen(text);
}

static bool same_step(const char *a, const char *b)
{
    size_t n = name_length(a);

    return n == name_length(b) && memcmp(a, b, n) == 0;
}

void progress_step(struct progress *p, const char *fmt, ...)
{
    char text[sizeof(p->step)];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (p->open && same_step(text, p->step)) {
        memcpy(p->step, text, sizeof(text));
        progress_tick(p);
        return;
    }
    progress_end(p, true);
    memcpy(p->step, text, sizeof(text));
    p->open = true;
    p->since = clock_mono();
    if (!p->quiet && !p->tty)
        fprintf(stderr, "  %s\n", p->step);
}

void progress_tick(struct progress *p)
{
    static const char spinner[] = "|/-\\";
    int64_t past = clock_mono() - p->since;

    if (!p->open || p->quiet || !p->tty || past < FIRST_DRAW)
        return;
    fprintf(stderr, "\r\033[K  %c    %s %d s",
            spinner[past / (125 * CLOCK_MS) % 4], p->step,
            (int)(past / CLOCK_SEC));
    fflush(stderr);
}
