/* log_source - files, blocks, lines. */
#include "control/log_source.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The files of a log that are there, the newest first. */
struct family {
    struct member {
        int fd;
        uint64_t inode;
        int64_t size, changed; /* bytes; seconds since 1970 */
    } * files;
    size_t n;
};

/* Places outlive the process: bytes_hash() will not do. */
static uint32_t lasting_hash(struct bytes b)
{
    static const unsigned char key[crypto_shorthash_KEYBYTES];
    unsigned char sum[crypto_shorthash_BYTES];

    crypto_shorthash(sum, b.p, b.n, key);
    return (uint32_t)get_be64(sum);
}

uint32_t log_source_id(const struct log_source *s)
{
    return lasting_hash(s->name);
}

/* ---- lists ---- */

static struct bytes dup_of(struct arena *a, struct log_list *l, struct bytes b)
{
    l->bytes += b.n;
    return b.n ? arena_dup(a, b) : BYTES_NONE;
}

void log_list_add(struct arena *a, struct log_list *l,
                  const struct log_entry *e)
{
    struct log_entry *to;

    if (l->n == l->cap) {
        size_t more = l->cap ? l->cap * 2 : 64;

        l->p = arena_grow(a, l->p, l->cap * sizeof(*e), more * sizeof(*e));
        l->cap = more;
    }
    to = &l->p[l->n++];
    *to = *e;
    to->text = dup_of(a, l, e->text);
    to->source = dup_of(a, l, e->source);
    to->project = dup_of(a, l, e->project);
    to->instance = dup_of(a, l, e->instance);
    to->json = dup_of(a, l, e->json);
    l->bytes += sizeof(*e);
}

/* ---- the filter ---- */

static bool contains(struct bytes text, const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; i + n <= text.n; i++)
        if (bytes_ieq(BYTES((const char *)text.p + i, n), BYTES(word, n)))
            return true;
    return false;
}

bool log_names_have(const char *list, struct bytes name)
{
    size_t n;

    for (; list && *list; list += n + (list[n] == ',')) {
        n = strcspn(list, ",");
        if (bytes_eq(BYTES(list, n), name))
            return true;
    }
    return !list;
}

/* "S.V" */
static bool of_version(const struct log_filter *f, struct bytes source)
{
    const char *dot = memchr(source.p, '.', source.n);
    size_t n = dot ? (size_t)(dot - (const char *)source.p) : source.n;

    return log_names_have(f->service, BYTES(source.p, n)) &&
           log_names_have(f->version,
                          dot ? bytes_from(source, n + 1) : BYTES_NONE);
}

/* What has no time yet may be in time. */
static bool is_in_time(const struct log_filter *f, int64_t time)
{
    return !time ||
           ((!f->since || time >= f->since) && (!f->until || time < f->until));
}

static bool fits(const struct log_filter *f, const struct log_entry *e)
{
    if (e->request
            ? f->requests == LOG_REQUESTS_NONE ||
                  (f->project && !bytes_eq_str(e->project, f->project)) ||
                  !of_version(f, e->source)
            : f->requests == LOG_REQUESTS_ONLY)
        return false;
    return e->severity >= f->least && is_in_time(f, e->time) &&
           (!f->instance || bytes_eq_str(e->instance, f->instance)) &&
           (!f->text || contains(e->json.n ? e->json : e->text, f->text));
}

/* ---- a block ---- */

struct reading {
    struct arena *arena;
    const struct log_source *source;
    const struct log_filter *filter;
    struct arena lines; /* what parsing makes, until the next block */
    struct log_thread thread;
    char *block;
    int64_t first, last; /* times of the lines read; 0: none had one */
    int64_t newer_than;  /* 0: any */
};

static bool reading_start(struct reading *r, struct arena *a,
                          const struct log_source *s,
                          const struct log_filter *f)
{
    *r = (struct reading){.arena = a, .source = s, .filter = f};
    r->block = malloc(LOG_SOURCE_BLOCK);
    return r->block != NULL;
}

static void reading_end(struct reading *r)
{
    arena_release(&r->lines);
    free(r->block);
}

static void take_line(struct reading *r, struct bytes line,
                      struct log_list *out)
{
    struct log_entry e = {.source = r->source->name};

    if (!log_entry_parse(&r->lines, r->source->format, &r->thread, line, &e))
        return;
    if (!r->first)
        r->first = e.time;
    if (!e.time)
        e.time = r->last;
    r->last = e.time;
    if (fits(r->filter, &e) && (!r->newer_than || e.time > r->newer_than))
        log_list_add(r->arena, out, &e);
}

/* The lines of a text; the last may lack its newline. */
static void take_lines(struct reading *r, struct bytes text,
                       struct log_list *out)
{
    arena_reset(&r->lines);
    while (text.n) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - (const char *)text.p) : text.n;

        take_line(r, BYTES(text.p, n), out);
        text = bytes_from(text, end ? n + 1 : n);
    }
}

static size_t read_range(int fd, char *room, int64_t from, int64_t to)
{
    size_t want = (size_t)(to - from), n = 0;
    ssize_t got = 1;

    while (n < want && got != 0) {
        got = pread(fd, room + n, want - n, from + (int64_t)n);
        if (got < 0 && errno != EINTR)
            break;
        n += got > 0 ? (size_t)got : 0;
    }
    return n;
}

static size_t read_block(const struct reading *r, int fd, int64_t from,
                         int64_t to)
{
    return read_range(fd, r->block, from, to);
}

/* ---- the files ---- */

static bool family_has(const struct family *f, uint64_t inode)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->files[i].inode == inode)
            return true;
    return false;
}

/*
 * The newest is opened first: what a rotation moves meanwhile shows twice, and
 * is taken once.  At the end of the list one may be missing between two names.
 */
static void family_open(struct arena *a, const char *path, struct family *f)
{
    int missing = 0;

    f->files = ARENA_ARRAY(a, struct member, LOG_SOURCE_FILES);
    f->n = 0;
    for (int i = 0; i < LOG_SOURCE_FILES && missing < 2; i++) {
        int fd = open(i ? arena_printf(a, "%s.%d", path, i) : path,
                      O_RDONLY | O_CLOEXEC);
        struct stat st;

        if (fd < 0) {
            missing++;
            continue;
        }
        if (fstat(fd, &st) != 0 || family_has(f, st.st_ino)) {
            close(fd);
            continue;
        }
        f->files[f->n++] =
            (struct member){fd, st.st_ino, st.st_size, st.st_mtime};
    }
}

static void family_close(struct family *f)
{
    for (size_t i = 0; i < f->n; i++)
        close(f->files[i].fd);
}

/* Where the last whole line of a file that is written to ends. */
static int64_t whole_end(const struct reading *r, const struct member *m)
{
    int64_t end = m->size;

    while (end > 0) {
        int64_t from = end > LOG_SOURCE_BLOCK ? end - LOG_SOURCE_BLOCK : 0;
        size_t n = read_block(r, m->fd, from, end);
        const char *at = memrchr(r->block, '\n', n);

        if (at)
            return from + (at - r->block) + 1;
        end = from;
    }
    return 0;
}

/* Of the end of what was read; 0 at the beginning of a file. */
static uint32_t mark_at(const struct member *m, int64_t offset)
{
    enum { MARK_BYTES = 64 };
    char text[MARK_BYTES];
    size_t n = offset < MARK_BYTES ? (size_t)offset : MARK_BYTES;
    ssize_t got = n ? pread(m->fd, text, n, offset - (int64_t)n) : 0;

    return got > 0 ? lasting_hash(BYTES(text, (size_t)got)) : 0;
}

static bool is_at(const struct member *m, const struct log_point *p)
{
    return m->inode == p->inode && m->size >= p->offset &&
           mark_at(m, p->offset) == p->mark;
}

static struct log_point point_in(const struct member *m, int64_t offset)
{
    return (struct log_point){m->inode, offset, mark_at(m, offset)};
}

/* Whether somebody may still have a block for a file that was renamed. */
static bool may_grow(const struct member *m)
{
    enum { SECONDS = 60 };

    return m->changed > clock_wall() / CLOCK_SEC - SECONDS;
}

/* What the lines from `to` on may continue; those of a file's beginning, what
 * has been read before. */
static void look_above(struct reading *r, const struct member *m, int64_t to)
{
    int64_t from = to > LOG_SOURCE_ABOVE ? to - LOG_SOURCE_ABOVE : 0;
    char room[LOG_SOURCE_ABOVE]; /* the block is kept */
    struct bytes text = BYTES(room, read_range(m->fd, room, from, to));
    const char *end;

    if (to > 0)
        r->thread = (struct log_thread){0};
    for (bool cut = from > 0; text.n; cut = false) {
        struct log_entry ignored = {.time = 0};
        size_t n;

        end = memchr(text.p, '\n', text.n);
        n = end ? (size_t)(end - (const char *)text.p) : text.n;
        if (!cut)
            log_entry_parse(&r->lines, r->source->format, &r->thread,
                            BYTES(text.p, n), &ignored);
        text = bytes_from(text, end ? n + 1 : n);
    }
    arena_reset(&r->lines);
}

/* ---- backwards ---- */

struct stack {
    struct log_list list;
    struct stack *next;
};

/* Entries before the first time have that one. */
static void time_the_first(const struct reading *r, struct log_list *l)
{
    size_t n = 0;

    for (; n < l->n && !l->p[n].time; n++)
        l->p[n].time = r->first;
    if (!is_in_time(r->filter, r->first)) {
        l->p += n;
        l->n -= n;
    }
}

/* The block that ends at `end`: its list, and where it begins. */
static struct stack *block_before(struct reading *r, const struct member *m,
                                  int64_t *end)
{
    int64_t from = *end > LOG_SOURCE_BLOCK ? *end - LOG_SOURCE_BLOCK : 0;
    struct stack *s = ARENA_NEW(r->arena, struct stack);
    size_t n = read_block(r, m->fd, from, *end), skip = 0;
    const char *at = from ? memchr(r->block, '\n', n) : NULL;
    int64_t later;

    /* A line longer than a block is cut. */
    if (at && at + 1 < r->block + n)
        skip = (size_t)(at + 1 - r->block);
    r->thread = (struct log_thread){0};
    look_above(r, m, from + (int64_t)skip);
    later = r->first;
    r->first = r->last = 0;
    take_lines(r, BYTES(r->block + skip, n - skip), &s->list);
    if (!r->first)
        r->first = later;
    time_the_first(r, &s->list);
    *end = from + (int64_t)skip;
    return s;
}

static bool is_enough(const struct reading *r, size_t want, size_t n,
                      size_t bytes)
{
    return n >= want || bytes > LOG_SOURCE_KEPT ||
           (r->filter->since && r->first && r->first < r->filter->since);
}

void log_source_newest(struct arena *a, const struct log_source *s,
                       const struct log_filter *f, size_t want,
                       struct log_list *out, struct log_place *place)
{
    struct stack *top = NULL;
    struct family files;
    struct reading r;
    size_t n = 0, bytes = 0;
    bool enough = false;

    *place = (struct log_place){.source = log_source_id(s)};
    if (!reading_start(&r, a, s, f))
        return;
    family_open(a, s->path, &files);
    if (files.n > 1 && may_grow(&files.files[1]))
        place->before = point_in(&files.files[1], files.files[1].size);
    for (size_t i = 0; i < files.n && !enough; i++) {
        const struct member *m = &files.files[i];
        int64_t end = i ? m->size : whole_end(&r, m);

        if (i == 0)
            place->at = point_in(m, end);
        while (end > 0 && !enough) {
            struct stack *block = block_before(&r, m, &end);

            if (!place->time)
                place->time = r.last;
            block->next = top;
            top = block;
            n += block->list.n;
            bytes += block->list.bytes;
            enough = is_enough(&r, want, n, bytes);
        }
    }
    for (; top; top = top->next)
        for (size_t i = 0; i < top->list.n; i++, n--)
            if (n <= want)
                log_list_add(a, out, &top->list.p[i]);
    family_close(&files);
    reading_end(&r);
}

/* ---- forwards ---- */

/* Lines of a block behind `*at`; whether it came to the file's end. */
static bool block_after(struct reading *r, const struct member *m, bool written,
                        int64_t *at, struct log_list *out)
{
    int64_t to =
        m->size - *at > LOG_SOURCE_BLOCK ? *at + LOG_SOURCE_BLOCK : m->size;
    size_t n, whole;
    const char *last;

    if (to <= *at)
        return true;
    look_above(r, m, *at);
    n = whole = read_block(r, m->fd, *at, to);
    last = memrchr(r->block, '\n', n);
    if (last && (to < m->size || written))
        whole = (size_t)(last + 1 - r->block);
    else if (!last && written && to == m->size)
        whole = 0; /* it is being written */
    take_lines(r, BYTES(r->block, whole), out);
    *at += (int64_t)whole;
    return n == 0 || *at >= m->size || whole == 0 || to == m->size;
}

/* Whether the file was emptied in place; its end is in the one before then. */
static bool is_emptied(const struct log_source *s, const struct family *files,
                       const struct log_place *place)
{
    return s->format == LOG_FORMAT_PART &&
           files->files[0].inode == place->at.inode &&
           !is_at(&files->files[0], &place->at);
}

static void read_emptied(struct reading *r, const struct family *files,
                         struct log_place *place, struct log_list *out)
{
    int64_t at = 0;

    r->newer_than = r->last = place->time;
    while (files->n > 1 && !block_after(r, &files->files[1], false, &at, out))
        ;
    r->newer_than = 0;
    place->at.offset = 0;
    place->at.mark = 0;
}

/* Which file the place is in; the oldest, and *lost, when none is. */
static size_t file_of(const struct family *files, struct log_place *place,
                      bool *lost)
{
    size_t i = 0;

    while (i < files->n && !is_at(&files->files[i], &place->at))
        i++;
    if (i < files->n)
        return i;
    *lost = place->at.inode != 0;
    place->at.offset = 0;
    return files->n - 1;
}

/* From the place in file `i` on, through the newer ones; whether to the end. */
static bool read_on(struct reading *r, const struct family *files, size_t i,
                    struct log_place *place, struct log_list *out)
{
    for (;;) {
        const struct member *m = &files->files[i];
        bool ended = block_after(r, m, i == 0, &place->at.offset, out);

        place->at = point_in(m, place->at.offset);
        if (!ended || i == 0)
            return ended;
        place->before = place->at;
        place->at = point_in(&files->files[--i], 0);
        if (out->bytes > LOG_SOURCE_BLOCK)
            return false;
    }
}

/* What has come into the file before, and whether to look there again. */
static bool read_late(struct reading *r, const struct family *files,
                      struct log_place *place, struct log_list *out)
{
    struct log_point *p = &place->before;
    bool ended;

    for (size_t i = 1; i < files->n && p->inode; i++) {
        const struct member *m = &files->files[i];

        if (!is_at(m, p))
            continue;
        ended = block_after(r, m, true, &p->offset, out);
        *p = may_grow(m) ? point_in(m, p->offset) : (struct log_point){0};
        return ended;
    }
    *p = (struct log_point){0};
    return true;
}

bool log_source_after(struct arena *a, const struct log_source *s,
                      const struct log_filter *f, struct log_place *place,
                      struct log_list *out, bool *more)
{
    struct family files;
    struct reading r;
    bool lost = false;

    if (!reading_start(&r, a, s, f))
        return true;
    family_open(a, s->path, &files);
    r.last = place->time;
    if (files.n) {
        if (is_emptied(s, &files, place))
            read_emptied(&r, &files, place, out);
        *more |= !read_late(&r, &files, place, out);
        *more |=
            !read_on(&r, &files, file_of(&files, place, &lost), place, out);
        place->time = r.last;
    }
    family_close(&files);
    reading_end(&r);
    return !lost;
}
