/*
 * node - libyaml's events, folded into a tree by recursion.
 *
 * A syntax error ends the reading, for what stands behind it means nothing; a
 * duplicate key is a finding among others.
 */
#include "config/node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

enum { DEPTH_MAX = 32 };

void config_report_at(struct config_report *r, const struct config_node *at,
                      const char *fmt, ...)
{
    va_list ap;
    char text[2048];

    if (r->n++ >= CONFIG_REPORT_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    buf_printf(&r->text, "%s%s:%d:%d: %s", r->text.n ? "\n" : "", at->file,
               at->line, at->column, text);
}

int config_report_end(struct ctx *ctx, struct config_report *r)
{
    int rc = 0;

    if (r->n > CONFIG_REPORT_MAX)
        buf_printf(&r->text, "\n... and %d more", r->n - CONFIG_REPORT_MAX);
    if (r->n)
        rc = ctx_err(ctx, ERR_INVALID, "%s", buf_cstr(&r->text));
    buf_release(&r->text);
    return rc;
}

/* ---- parsing ---- */

struct reader {
    struct arena *arena;
    const char *file;
    yaml_parser_t yaml;
    struct config_report *report;
    bool failed;
};

static struct config_node *node_at(struct reader *rd, enum config_kind kind,
                                   yaml_mark_t mark)
{
    struct config_node *node = ARENA_NEW(rd->arena, struct config_node);

    node->kind = kind;
    node->file = rd->file;
    node->line = (int)mark.line + 1;
    node->column = (int)mark.column + 1;
    node->text = "";
    return node;
}

static void fail_at(struct reader *rd, yaml_mark_t mark, const char *what)
{
    if (!rd->failed)
        config_report_at(rd->report, node_at(rd, CONFIG_SCALAR, mark), "%s",
                         what);
    rd->failed = true;
}

static void fail_syntax(struct reader *rd)
{
    const yaml_parser_t *y = &rd->yaml;
    bool reading = y->error == YAML_READER_ERROR;

    fail_at(rd, reading ? y->mark : y->problem_mark,
            arena_printf(rd->arena, "Not valid YAML: %s%s%s",
                         y->problem ? y->problem : "unreadable text",
                         y->context ? ", " : "", y->context ? y->context : ""));
}

/* The next event; false at the first failure, with nothing to delete. */
static bool next_event(struct reader *rd, yaml_event_t *ev)
{
    if (rd->failed)
        return false;
    if (!yaml_parser_parse(&rd->yaml, ev)) {
        fail_syntax(rd);
        return false;
    }
    return true;
}

static struct config_node *read_node(struct reader *rd, const yaml_event_t *ev,
                                     int depth);

static struct config_node *read_scalar(struct reader *rd,
                                       const yaml_event_t *ev)
{
    struct config_node *node = node_at(rd, CONFIG_SCALAR, ev->start_mark);
    size_t n = ev->data.scalar.length;

    if (memchr(ev->data.scalar.value, '\0', n))
        fail_at(rd, ev->start_mark, "A text may not contain a zero byte.");
    node->text = arena_cstr(rd->arena, BYTES(ev->data.scalar.value, n));
    node->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return node;
}

static struct config_node *read_list(struct reader *rd, const yaml_event_t *ev,
                                     int depth)
{
    struct config_node *list = node_at(rd, CONFIG_LIST, ev->start_mark);
    yaml_event_t item;

    while (next_event(rd, &item)) {
        bool end = item.type == YAML_SEQUENCE_END_EVENT;

        if (!end)
            config_node_insert(rd->arena, list, list->n,
                               read_node(rd, &item, depth + 1));
        yaml_event_delete(&item);
        if (end)
            break;
    }
    return list;
}

static void add_pair(struct reader *rd, struct config_node *map,
                     struct config_node *key, struct config_node *value)
{
    if (config_node_key(map, key->text))
        config_report_at(rd->report, key, "Duplicate attribute '%s'.",
                         key->text);
    config_node_set(rd->arena, map, key, value);
}

static struct config_node *read_map(struct reader *rd, const yaml_event_t *ev,
                                    int depth)
{
    struct config_node *map = node_at(rd, CONFIG_MAP, ev->start_mark);
    yaml_event_t at;

    while (next_event(rd, &at)) {
        bool end = at.type == YAML_MAPPING_END_EVENT;
        struct config_node *key = NULL, *value = NULL;

        if (!end && at.type != YAML_SCALAR_EVENT)
            fail_at(rd, at.start_mark, "An attribute's name must be a text.");
        else if (!end)
            key = read_scalar(rd, &at);
        yaml_event_delete(&at);
        if (end || !key || !next_event(rd, &at))
            break;
        value = read_node(rd, &at, depth + 1);
        yaml_event_delete(&at);
        if (value)
            add_pair(rd, map, key, value);
    }
    return map;
}

/* Never NULL unless the reader has failed. */
static struct config_node *read_node(struct reader *rd, const yaml_event_t *ev,
                                     int depth)
{
    if (depth > DEPTH_MAX) {
        fail_at(rd, ev->start_mark, "Nested too deeply.");
        return node_at(rd, CONFIG_SCALAR, ev->start_mark);
    }
    switch (ev->type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(rd, ev);
    case YAML_SEQUENCE_START_EVENT:
        return read_list(rd, ev, depth);
    case YAML_MAPPING_START_EVENT:
        return read_map(rd, ev, depth);
    default:
        fail_at(rd, ev->start_mark,
                "Aliases (*name) are not supported; write the value out.");
        return node_at(rd, CONFIG_SCALAR, ev->start_mark);
    }
}

static struct config_node *read_stream(struct reader *rd)
{
    struct config_node *root = NULL;
    yaml_event_t ev;
    bool end = false;

    while (!end && next_event(rd, &ev)) {
        switch (ev.type) {
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
            break;
        case YAML_STREAM_END_EVENT:
            end = true;
            break;
        case YAML_DOCUMENT_START_EVENT:
            if (root)
                fail_at(rd, ev.start_mark,
                        "Only one document may stand in this file.");
            break;
        default:
            root = read_node(rd, &ev, 0);
        }
        yaml_event_delete(&ev);
    }
    return rd->failed ? NULL : root;
}

void config_node_parse(struct ctx *ctx, const char *file, struct bytes text,
                       struct config_report *r, struct config_node **out)
{
    struct reader rd = {.arena = ctx->arena, .report = r};

    rd.file = arena_strdup(ctx->arena, file);
    yaml_parser_initialize(&rd.yaml);
    yaml_parser_set_input_string(&rd.yaml, text.n ? text.p : (const void *)"",
                                 text.n);
    *out = read_stream(&rd);
    yaml_parser_delete(&rd.yaml);
    if (*out && config_node_is_null(*out))
        *out = NULL;
}

/* Open what is a plain file; a pipe or device would make us wait. */
static int open_file(struct ctx *ctx, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const char *why = NULL;
    struct stat st;

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return ERR_NOT_FOUND;
    if (fd < 0 || fstat(fd, &st) < 0)
        why = strerror(errno);
    else if (!S_ISREG(st.st_mode))
        why = "it is not a file";
    if (!why)
        return fd;
    if (fd >= 0)
        close(fd);
    return ctx_err(ctx, ERR_IO, "cannot read %s: %s", path, why);
}

int config_file_read(struct ctx *ctx, const char *path, struct bytes *out)
{
    int fd = open_file(ctx, path);
    ssize_t n = 0;
    uint8_t *p;
    size_t at = 0;
    int error;

    if (fd < 0)
        return fd;
    p = arena_alloc(ctx->arena, CONFIG_FILE_MAX + 1);
    while (at <= CONFIG_FILE_MAX &&
           (n = read(fd, p + at, CONFIG_FILE_MAX + 1 - at)) > 0)
        at += (size_t)n;
    error = errno;
    close(fd);
    if (n < 0)
        return ctx_err(ctx, ERR_IO, "cannot read %s: %s", path,
                       strerror(error));
    if (at > CONFIG_FILE_MAX)
        return ctx_err(ctx, ERR_TOO_LARGE, "%s is larger than %d bytes", path,
                       CONFIG_FILE_MAX);
    *out = BYTES(p, at);
    return 0;
}

/* ---- looking and changing ---- */

static size_t find(const struct config_node *map, const char *key)
{
    size_t i = 0;

    while (i < map->n && strcmp(map->keys[i]->text, key) != 0)
        i++;
    return i;
}

struct config_node *config_node_get(const struct config_node *map,
                                    const char *key)
{
    size_t i;

    if (!map || map->kind != CONFIG_MAP)
        return NULL;
    i = find(map, key);
    if (i == map->n || config_node_is_null(map->items[i]))
        return NULL;
    return map->items[i];
}

const char *config_node_text(const struct config_node *map, const char *key)
{
    const struct config_node *node = config_node_get(map, key);

    return node && node->kind == CONFIG_SCALAR ? node->text : NULL;
}

const struct config_node *config_node_key(const struct config_node *map,
                                          const char *key)
{
    size_t i = find(map, key);

    return i < map->n ? map->keys[i] : NULL;
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(text, *words) == 0)
            return true;
    }
    return false;
}

bool config_node_is_null(const struct config_node *node)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};

    return node->kind == CONFIG_SCALAR && !node->quoted &&
           is_one_of(node->text, nulls);
}

bool config_node_bool(const struct config_node *node, bool *out)
{
    static const char *const yes[] = {"true", "True", "TRUE", "yes",
                                      "Yes",  "YES",  "on",   "On",
                                      "ON",   "y",    "Y",    NULL};
    static const char *const no[] = {"false", "False", "FALSE", "no",
                                     "No",    "NO",    "off",   "Off",
                                     "OFF",   "n",     "N",     NULL};

    if (node->kind != CONFIG_SCALAR)
        return false;
    *out = is_one_of(node->text, yes);
    return *out || is_one_of(node->text, no);
}

/* Room for one more; keys too when it is a map. */
static void grow(struct arena *a, struct config_node *node)
{
    size_t cap = node->cap ? node->cap * 2 : 8;
    size_t old = node->cap * sizeof(*node->items);
    size_t size = cap * sizeof(*node->items);

    if (node->n < node->cap)
        return;
    node->items = arena_grow(a, node->items, old, size);
    if (node->kind == CONFIG_MAP)
        node->keys = arena_grow(a, node->keys, old, size);
    node->cap = cap;
}

void config_node_set(struct arena *a, struct config_node *map,
                     struct config_node *key, struct config_node *value)
{
    size_t i = find(map, key->text);

    if (i == map->n) {
        grow(a, map);
        map->n++;
    }
    map->keys[i] = key;
    map->items[i] = value;
}

void config_node_insert(struct arena *a, struct config_node *list, size_t at,
                        struct config_node *item)
{
    grow(a, list);
    memmove(list->items + at + 1, list->items + at,
            (list->n - at) * sizeof(*list->items));
    list->items[at] = item;
    list->n++;
}

struct config_node *config_node_new(struct arena *a, enum config_kind kind,
                                    const struct config_node *at)
{
    struct config_node *node = ARENA_NEW(a, struct config_node);

    *node = (struct config_node){
        .kind = kind,
        .file = at->file,
        .line = at->line,
        .column = at->column,
        .text = "",
    };
    return node;
}
