/*
 * ignore - each pattern becomes a regular expression once; of the rules that
 * match a path the last one counts, so they are tried from the end.
 */
#include "cli/ignore.h"

#include "config/appyaml.h"
#include "config/regex.h"

#include <ctype.h>

enum { RULES_MAX = 10000, INCLUDE_DEPTH = 8 };

struct rule {
    struct config_regex *re;
    bool keep;     /* "!pattern" */
    bool dir_only; /* "pattern/" */
};

struct ignore {
    struct arena *arena;
    struct config_regex *skip; /* skip_files, or NULL; counts beside rules */
    struct rule *rules;        /* in order; the last match decides */
    size_t n, cap;
};

static void release(void *obj)
{
    struct ignore *ig = obj;

    config_regex_free(ig->skip);
    for (size_t i = 0; i < ig->n; i++)
        config_regex_free(ig->rules[i].re);
}

static struct ignore *ignore_new(struct ctx *ctx)
{
    struct ignore *ig = ARENA_NEW(ctx->arena, struct ignore);

    ig->arena = ctx->arena;
    arena_on_reset(ctx->arena, release, ig);
    return ig;
}

/* ---- a gitignore pattern as a regular expression ---- */

static void add_literal(struct buf *re, char c)
{
    if (!isalnum((unsigned char)c) && (unsigned char)c < 0x80)
        buf_add_u8(re, '\\');
    buf_add_u8(re, (uint8_t)c);
}

/* "[a-z]" and "[!a]": copied, with its own escapes.  NULL when it never ends.
 */
static const char *add_class(struct buf *re, const char *p)
{
    const char *end = p + 1;

    if (*end == '!' || *end == '^')
        end++;
    if (*end == ']')
        end++;
    while (*end && *end != ']')
        end += *end == '\\' && end[1] ? 2 : 1;
    if (!*end)
        return NULL;
    buf_add_str(re, "(?!/)[");
    p++;
    if (*p == '!' || *p == '^') {
        buf_add_u8(re, '^');
        p++;
    }
    for (; p < end; p++) {
        if (*p == '[' || (*p == ']' && p < end))
            buf_add_u8(re, '\\');
        buf_add_u8(re, (uint8_t)*p);
    }
    buf_add_u8(re, ']');
    return end;
}

/* One wildcard or letter at `p`; the last byte it took. */
static const char *add_one(struct buf *re, const char *start, const char *p)
{
    const char *end;

    switch (*p) {
    case '*':
        if (p[1] != '*') {
            buf_add_str(re, "[^/]*");
            return p;
        }
        if ((p == start || p[-1] == '/') && p[2] == '/') {
            buf_add_str(re, "(?:.*/)?");
            return p + 2;
        }
        buf_add_str(re, p[2] ? "[^/]*" : ".*");
        return p + 1;
    case '?':
        buf_add_str(re, "[^/]");
        return p;
    case '[':
        end = add_class(re, p);
        if (end)
            return end;
        break;
    case '\\':
        if (p[1])
            p++;
        break;
    }
    add_literal(re, *p);
    return p;
}

/* A slash anywhere but at the end ties the pattern to the top folder. */
static char *to_regex(struct arena *a, const char *pattern)
{
    struct buf re = BUF_IN(a);

    if (!strchr(pattern, '/'))
        buf_add_str(&re, "(?s)(?:.*/)?");
    else
        buf_add_str(&re, "(?s)");
    if (*pattern == '/')
        pattern++;
    for (const char *p = pattern; *p; p++)
        p = add_one(&re, pattern, p);
    return (char *)buf_cstr(&re);
}

static int add_rule(struct ctx *ctx, struct ignore *ig, char *pattern)
{
    struct rule rule = {.keep = *pattern == '!'};
    size_t n = strlen(pattern);
    char why[160];

    if (rule.keep)
        pattern++, n--;
    if (n && pattern[n - 1] == '/') {
        rule.dir_only = true;
        pattern[n - 1] = '\0';
    }
    if (!*pattern)
        return 0;
    if (ig->n == RULES_MAX)
        return ctx_err(ctx, ERR_INVALID, ".gcloudignore has more than %d rules",
                       RULES_MAX);
    rule.re = config_regex_new(to_regex(ig->arena, pattern), why, sizeof(why));
    if (!rule.re)
        return ctx_err(ctx, ERR_INVALID, ".gcloudignore: \"%s\": %s", pattern,
                       why);
    if (ig->n == ig->cap) {
        size_t cap = ig->cap ? ig->cap * 2 : 32;

        ig->rules =
            arena_grow(ig->arena, ig->rules, ig->cap * sizeof(*ig->rules),
                       cap * sizeof(*ig->rules));
        ig->cap = cap;
    }
    ig->rules[ig->n++] = rule;
    return 0;
}

/* ---- files ---- */

static int parse_text(struct ctx *ctx, struct ignore *ig, const char *dir,
                      struct bytes text, int depth);

static int include(struct ctx *ctx, struct ignore *ig, const char *dir,
                   const char *name, int depth)
{
    struct bytes text;
    int rc;

    if (depth == INCLUDE_DEPTH)
        return ctx_err(ctx, ERR_INVALID,
                       ".gcloudignore: includes nest deeper than %d",
                       INCLUDE_DEPTH);
    rc = config_file_read(ctx, arena_printf(ctx->arena, "%s/%s", dir, name),
                          &text);
    if (rc == ERR_NOT_FOUND)
        return ctx_err(ctx, ERR_INVALID,
                       ".gcloudignore includes %s, which is not there", name);
    return rc ? rc : parse_text(ctx, ig, dir, text, depth + 1);
}

/* Blanks at the end do not count unless the last one is escaped. */
static char *clean_line(struct arena *a, struct bytes line)
{
    char *s;

    while (line.n &&
           (bytes_u8(line)[line.n - 1] == ' ' ||
            bytes_u8(line)[line.n - 1] == '\t' ||
            bytes_u8(line)[line.n - 1] == '\r') &&
           !(line.n > 1 && bytes_u8(line)[line.n - 2] == '\\'))
        line.n--;
    s = arena_cstr(a, line);
    return s;
}

static int parse_line(struct ctx *ctx, struct ignore *ig, const char *dir,
                      struct bytes raw, int depth)
{
    static const char directive[] = "#!include:";
    char *line = clean_line(ctx->arena, raw);

    if (strncmp(line, directive, sizeof(directive) - 1) == 0)
        return include(ctx, ig, dir, line + sizeof(directive) - 1, depth);
    if (!*line || *line == '#')
        return 0;
    return add_rule(ctx, ig, line);
}

static int parse_text(struct ctx *ctx, struct ignore *ig, const char *dir,
                      struct bytes text, int depth)
{
    int rc = 0;

    while (text.n && rc == 0) {
        const char *nl = memchr(text.p, '\n', text.n);
        size_t n = nl ? (size_t)(nl - (const char *)text.p) : text.n;

        rc = parse_line(ctx, ig, dir, BYTES(text.p, n), depth);
        text = bytes_from(text, nl ? n + 1 : n);
    }
    return rc;
}

int ignore_parse(struct ctx *ctx, const char *dir, struct bytes text,
                 struct ignore **out)
{
    *out = ignore_new(ctx);
    return parse_text(ctx, *out, dir, text, 0);
}

/* What gcloud writes into the .gcloudignore it makes: what the language's
 * tools leave behind, and make again where the application is built. */
static const struct {
    const char *runtime; /* without its version */
    const char *rules;
} made[] = {
    {"python", "__pycache__/\n/setup.cfg\n"},
    {"nodejs", "node_modules/\n"},
    {"go", "*.exe\n*.exe~\n*.dll\n*.so\n*.dylib\n*.test\n*.out\n"},
    {"php", "/vendor/\n"},
    {"java", "/target/\n"},
};

static int add_made(struct ctx *ctx, struct ignore *ig, const char *runtime)
{
    size_t n = strspn(runtime, "abcdefghijklmnopqrstuvwxyz");

    for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++)
        if (strlen(made[i].runtime) == n &&
            strncmp(made[i].runtime, runtime, n) == 0)
            return parse_text(ctx, ig, "", bytes_str(made[i].rules), 0);
    return 0;
}

int ignore_load(struct ctx *ctx, const char *dir, const char *skip_files,
                const char *runtime, struct ignore **out)
{
    const char *path = arena_printf(ctx->arena, "%s/.gcloudignore", dir);
    struct bytes text;
    char why[160];
    int rc = config_file_read(ctx, path, &text);

    if (rc == 0 && skip_files)
        return ctx_err(ctx, ERR_INVALID,
                       "%s: skip_files of app.yaml and a .gcloudignore cannot "
                       "both be used; move the patterns into .gcloudignore",
                       path);
    if (rc == 0)
        return ignore_parse(ctx, dir, text, out);
    if (rc != ERR_NOT_FOUND)
        return rc;
    *out = ignore_new(ctx);
    (*out)->skip = config_regex_new(
        skip_files ? skip_files : APPYAML_SKIP_DEFAULT, why, sizeof(why));
    if (!(*out)->skip)
        return ctx_err(ctx, ERR_INVALID, "skip_files: %s", why);
    return skip_files ? 0 : add_made(ctx, *out, runtime);
}

bool ignore_match(const struct ignore *ig, const char *path, bool is_dir)
{
    if (ig->skip && config_regex_match(ig->skip, bytes_str(path)))
        return true;
    for (size_t i = ig->n; i-- > 0;) {
        const struct rule *r = &ig->rules[i];

        if ((is_dir || !r->dir_only) &&
            config_regex_match(r->re, bytes_str(path)))
            return !r->keep;
    }
    return false;
}
