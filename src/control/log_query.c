/* log_query - find the logs, ask each, merge. */
#include "control/log_query.h"

#include "base/buf.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- cursors: "SOURCE-POINT-TIME-POINT.SOURCE-...", in hex; a point is
 * "INODE-OFFSET-MARK" ---- */

static void add_point(struct buf *out, const struct log_point *p)
{
    buf_printf(out, "-%" PRIx64 "-%" PRIx64 "-%" PRIx32, p->inode,
               (uint64_t)p->offset, p->mark);
}

const char *log_cursor_format(struct arena *a, const struct log_place *places,
                              size_t n)
{
    struct buf out = BUF_IN(a);

    for (size_t i = 0; i < n; i++) {
        buf_printf(&out, "%s%" PRIx32, i ? "." : "", places[i].source);
        add_point(&out, &places[i].at);
        buf_printf(&out, "-%" PRIx64, (uint64_t)places[i].time);
        add_point(&out, &places[i].before);
    }
    return n ? buf_cstr(&out) : "0";
}

/* One number up to `stop`, at most `max`. */
static bool take_hex(const char **p, char stop, uint64_t max, uint64_t *out)
{
    char *end;

    if (!strchr("0123456789abcdef", **p) || !**p)
        return false;
    errno = 0;
    *out = strtoull(*p, &end, 16);
    if (errno || *out > max || (*end == '.' && !end[1]) ||
        (*end != stop && !(stop == '.' && !*end)))
        return false;
    *p = *end ? end + 1 : end;
    return true;
}

static bool take_point(const char **p, char stop, struct log_point *out)
{
    uint64_t offset, mark;

    if (!take_hex(p, '-', UINT64_MAX, &out->inode) ||
        !take_hex(p, '-', INT64_MAX, &offset) ||
        !take_hex(p, stop, UINT32_MAX, &mark))
        return false;
    out->offset = (int64_t)offset;
    out->mark = (uint32_t)mark;
    return true;
}

static bool take_place(const char **p, struct log_place *out)
{
    uint64_t source, time;

    if (!take_hex(p, '-', UINT32_MAX, &source) ||
        !take_point(p, '-', &out->at) || !take_hex(p, '-', INT64_MAX, &time) ||
        !take_point(p, '.', &out->before))
        return false;
    out->source = (uint32_t)source;
    out->time = (int64_t)time;
    return true;
}

bool log_cursor_parse(struct arena *a, const char *text,
                      struct log_place **places, size_t *n)
{
    *places = ARENA_ARRAY(a, struct log_place, LOG_QUERY_SOURCES);
    *n = 0;
    if (strcmp(text, "0") == 0)
        return true;
    while (*text)
        if (*n == LOG_QUERY_SOURCES || !take_place(&text, &(*places)[(*n)++]))
            return false;
    return *n > 0;
}

/* ---- which logs ---- */

struct logs {
    struct log_source *list;
    size_t n;
};

static void add_log(struct arena *a, struct logs *logs, const char *folder,
                    const char *file, struct bytes name, enum log_format format)
{
    for (size_t i = 0; i < logs->n; i++)
        if (bytes_eq(logs->list[i].name, name))
            return;
    if (logs->n < LOG_QUERY_SOURCES)
        logs->list[logs->n++] = (struct log_source){
            arena_printf(a, "%s/%s", folder, file), arena_dup(a, name), format};
}

/* "P.S.V.log" of the project, and of the service and version asked for. */
static bool is_version_log(const struct log_filter *f, const char *file,
                           struct bytes *name)
{
    size_t n = strlen(f->project), dots = 0, end = strlen(file) - 4;
    const char *dot;

    for (size_t i = 0; i < end; i++)
        dots += file[i] == '.';
    if (dots != 2 || strncmp(file, f->project, n) != 0 || file[n] != '.')
        return false;
    *name = BYTES(file + n + 1, end - n - 1);
    dot = memchr(name->p, '.', name->n);
    return log_names_have(f->service,
                          BYTES(name->p, (size_t)(dot - file) - n - 1)) &&
           log_names_have(f->version,
                          BYTES(dot + 1, (size_t)(file + end - dot - 1)));
}

/* What nginx passed on, and what the platform itself asked. */
static bool is_request_log(struct bytes name)
{
    return bytes_eq_str(name, "access") ||
           bytes_eq_str(name, "platform-access");
}

static bool is_part_log(const struct log_query *q, const char *file,
                        struct bytes *name)
{
    *name = BYTES(file, strlen(file) - 4);
    if (q->process)
        return bytes_eq_str(*name, q->process);
    return !memchr(name->p, '.', name->n) && !is_request_log(*name);
}

/* The name of a log by that of one of its files, in the arena; NULL when it is
 * none.  In the middle of a rotation only the old ones may be there. */
static const char *log_of(struct arena *a, const char *file)
{
    const char *dot = strrchr(file, '.');
    size_t n = strlen(file);

    if (dot && dot > file && dot[1] &&
        strspn(dot + 1, "0123456789") == strlen(dot + 1))
        n = (size_t)(dot - file);
    if (n < 5 || memcmp(file + n - 4, ".log", 4) != 0)
        return NULL;
    return arena_cstr(a, BYTES(file, n));
}

static void look_at(struct arena *a, const struct log_query *q,
                    const char *file, struct logs *logs)
{
    struct bytes name;

    file = log_of(a, file);
    if (!file)
        return;
    name = BYTES(file, strlen(file) - 4);
    if (q->filter.project && is_request_log(name))
        add_log(a, logs, q->folder, file, name, LOG_FORMAT_REQUEST);
    else if (q->filter.project && is_version_log(&q->filter, file, &name))
        add_log(a, logs, q->folder, file, name, LOG_FORMAT_APP);
    else if (!q->filter.project && is_part_log(q, file, &name))
        add_log(a, logs, q->folder, file, name, LOG_FORMAT_PART);
}

static int by_name(const void *x, const void *y)
{
    const struct log_source *a = x, *b = y;

    return bytes_cmp(a->name, b->name);
}

static int find_logs(struct ctx *ctx, const struct log_query *q,
                     struct logs *logs)
{
    DIR *d = opendir(q->folder);
    const struct dirent *e;

    if (!d)
        return ctx_err(ctx, ERR_IO, "%s: %s", q->folder, strerror(errno));
    logs->list = ARENA_ARRAY(ctx->arena, struct log_source, LOG_QUERY_SOURCES);
    logs->n = 0;
    while ((e = readdir(d)))
        look_at(ctx->arena, q, e->d_name, logs);
    closedir(d);
    if (logs->n)
        qsort(logs->list, logs->n, sizeof(*logs->list), by_name);
    return 0;
}

/* ---- one after the other ---- */

/* By time; those of one moment as they were read. */
static int by_time(const void *x, const void *y)
{
    const struct log_entry *const *a = x, *const *b = y;

    if ((*a)->time != (*b)->time)
        return (*a)->time < (*b)->time ? -1 : 1;
    return *a < *b ? -1 : *a > *b;
}

static void merge(struct arena *a, const struct log_list *all, size_t most,
                  struct log_answer *out)
{
    struct log_entry **order = ARENA_ARRAY(a, struct log_entry *, all->n + 1);
    size_t skip = all->n > most ? all->n - most : 0;

    for (size_t i = 0; i < all->n; i++)
        order[i] = &all->p[i];
    if (all->n)
        qsort(order, all->n, sizeof(*order), by_time);
    out->n = all->n - skip;
    out->entries = ARENA_ARRAY(a, struct log_entry, out->n + 1);
    for (size_t i = 0; i < out->n; i++)
        out->entries[i] = *order[skip + i];
}

static struct log_place place_of(const struct log_source *s,
                                 const struct log_place *list, size_t n)
{
    uint32_t id = log_source_id(s);

    for (size_t i = 0; i < n; i++)
        if (list[i].source == id)
            return list[i];
    return (struct log_place){.source = id};
}

int log_query_run(struct ctx *ctx, const struct log_query *q,
                  struct log_answer *out)
{
    struct arena *a = ctx->arena;
    struct log_place *before = NULL, *places;
    struct log_list all = {0};
    struct logs logs = {0};
    size_t n_before = 0;
    int rc = find_logs(ctx, q, &logs);

    *out = (struct log_answer){0};
    if (rc)
        return rc;
    if (q->cursor && !log_cursor_parse(a, q->cursor, &before, &n_before))
        return ctx_err(ctx, ERR_INVALID, "the cursor is none of ours");
    places = ARENA_ARRAY(a, struct log_place, logs.n + 1);
    for (size_t i = 0; i < logs.n; i++) {
        const struct log_source *s = &logs.list[i];

        places[i] = place_of(s, before, n_before);
        if (!q->cursor)
            log_source_newest(a, s, &q->filter, (size_t)q->lines, &all,
                              &places[i]);
        else if (!log_source_after(a, s, &q->filter, &places[i], &all,
                                   &out->more))
            out->lost = true;
        out->n_logs += s->format != LOG_FORMAT_REQUEST;
    }
    merge(a, &all, q->cursor ? all.n : (size_t)q->lines, out);
    out->cursor = log_cursor_format(a, places, logs.n);
    return 0;
}
