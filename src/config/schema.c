/* schema - one walk that checks a tree, one that builds its JSON. */
#include "config/schema.h"

#include "config/regex.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- checking ---- */

static const struct config_field *field_of(const struct config_schema *s,
                                           const char *name)
{
    for (const struct config_field *f = s->fields; f->name; f++) {
        if (strcmp(f->name, name) == 0)
            return f;
    }
    return NULL;
}

static void report_unexpected(struct config_report *r,
                              const struct config_schema *s,
                              const struct config_node *key)
{
    struct buf names = BUF_HEAP;

    for (const struct config_field *f = s->fields; f->name; f++)
        buf_printf(&names, "%s%s", names.n ? ", " : "", f->name);
    config_report_at(r, key,
                     "Unexpected attribute '%s' for object of type %s. "
                     "Expected one of: %s.",
                     key->text, s->name, buf_cstr(&names));
    buf_release(&names);
}

/* Every complaint about a value opens with the same words. */
#define report_value(r_, f_, v_, fmt_, ...)                                    \
    config_report_at((r_), (v_),                                               \
                     "Unable to assign value '%s' to attribute '%s': " fmt_,   \
                     (v_)->text, (f_)->name, __VA_ARGS__)

static void check_pattern(struct config_report *r, const struct config_field *f,
                          const struct config_node *v)
{
    if (!config_matches(f->pattern, v->text))
        report_value(r, f, v,
                     "Value '%s' for %s does not match expression '^(?:%s)$'",
                     v->text, f->name, f->pattern);
}

static void check_word(struct config_report *r, const struct config_field *f,
                       const struct config_node *v)
{
    struct buf all = BUF_HEAP;

    for (const char *const *w = f->words; *w; w++) {
        if (strcmp(*w, v->text) == 0) {
            buf_release(&all);
            return;
        }
        buf_printf(&all, "%s'%s'", all.n ? ", " : "", *w);
    }
    report_value(r, f, v, "Value '%s' for %s not in {%s}.", v->text, f->name,
                 buf_cstr(&all));
    buf_release(&all);
}

static void check_bool(struct config_report *r, const struct config_field *f,
                       const struct config_node *v)
{
    bool b;

    if (!config_node_bool(v, &b))
        report_value(r, f, v,
                     "Value '%s' for %s is not of the expected type bool "
                     "(true or false).",
                     v->text, f->name);
}

static void check_number(struct config_report *r, const struct config_field *f,
                         const struct config_node *v)
{
    bool whole = f->type == CONFIG_INT;
    char *end;
    double d = strtod(v->text, &end);

    if (*end || !*v->text || !config_matches("[-+.0-9eE]+", v->text) ||
        (whole && !config_matches("[-+]?[0-9]{1,15}", v->text)))
        report_value(r, f, v,
                     "Value '%s' for %s could not be converted to type %s.",
                     v->text, f->name, whole ? "int" : "float");
    else if ((f->min != 0 || f->max != 0) && (d < f->min || d > f->max))
        report_value(r, f, v, "Value '%s' for %s is out of range %g - %g",
                     v->text, f->name, f->min, f->max);
}

static void check_texts(struct config_report *r, const struct config_field *f,
                        const struct config_node *v)
{
    for (size_t i = 0; i < v->n; i++) {
        if (f->pattern && !config_matches(f->pattern, v->keys[i]->text))
            config_report_at(r, v->keys[i],
                             "Value '%s' for key in %s does not match "
                             "expression '^(?:%s)$'",
                             v->keys[i]->text, f->name, f->pattern);
        if (v->items[i]->kind != CONFIG_SCALAR)
            config_report_at(r, v->items[i],
                             "The value of '%s' in %s must be a text.",
                             v->keys[i]->text, f->name);
    }
}

static void check_regex(struct config_report *r, const struct config_field *f,
                        const struct config_node *v)
{
    char why[160];
    struct config_regex *re;

    if (v->kind != CONFIG_SCALAR) {
        config_report_at(r, v,
                         "%s must be a regular expression or a list of "
                         "them.",
                         f->name);
        return;
    }
    re = config_regex_new(v->text, why, sizeof(why));
    if (!re)
        report_value(r, f, v, "Value '%s' for %s does not compile: %s", v->text,
                     f->name, why);
    config_regex_free(re);
}

static void check_regexes(struct config_report *r, const struct config_field *f,
                          const struct config_node *v)
{
    if (v->kind != CONFIG_LIST) {
        check_regex(r, f, v);
        return;
    }
    for (size_t i = 0; i < v->n; i++)
        check_regex(r, f, v->items[i]);
}

/* The shape the type wants; false after a finding. */
static bool check_kind(struct config_report *r, const struct config_field *f,
                       const struct config_node *v)
{
    static const char *const names[] = {
        [CONFIG_SCALAR] = "a text or number",
        [CONFIG_LIST] = "a list",
        [CONFIG_MAP] = "a set of attributes",
    };
    enum config_kind want = CONFIG_SCALAR;

    if (f->type == CONFIG_REGEXES)
        return true;
    if (f->type == CONFIG_OBJECT || f->type == CONFIG_TEXTS)
        want = CONFIG_MAP;
    if (v->kind == want)
        return true;
    config_report_at(r, v, "%s must be %s, but here is %s.", f->name,
                     names[want], names[v->kind]);
    return false;
}

static void check_value(struct config_report *r, const struct config_field *f,
                        const struct config_node *key,
                        const struct config_node *v)
{
    int before = r->n;

    if (!check_kind(r, f, v))
        return;
    switch (f->type) {
    case CONFIG_TEXT:
        break;
    case CONFIG_PATTERN:
        check_pattern(r, f, v);
        break;
    case CONFIG_WORD:
        check_word(r, f, v);
        break;
    case CONFIG_BOOL:
        check_bool(r, f, v);
        break;
    case CONFIG_INT:
    case CONFIG_FLOAT:
        check_number(r, f, v);
        break;
    case CONFIG_OBJECT:
        config_check(r, f->schema, key, v);
        break;
    case CONFIG_TEXTS:
        check_texts(r, f, v);
        break;
    case CONFIG_REGEXES:
        check_regexes(r, f, v);
        break;
    }
    if (f->check && r->n == before)
        f->check(r, key, v);
}

static void check_field(struct config_report *r, const struct config_field *f,
                        const struct config_node *key,
                        const struct config_node *v)
{
    if (!f->list) {
        check_value(r, f, key, v);
        return;
    }
    if (v->kind != CONFIG_LIST) {
        config_report_at(r, v,
                         "Value '%s' for %s should be a sequence but is "
                         "not.",
                         v->text, f->name);
        return;
    }
    for (size_t i = 0; i < v->n; i++)
        check_value(r, f, key, v->items[i]);
}

void config_check(struct config_report *r, const struct config_schema *s,
                  const struct config_node *key, const struct config_node *map)
{
    int before = r->n;

    if (map->kind != CONFIG_MAP) {
        config_report_at(r, map,
                         "An object of type %s is a set of attributes "
                         "(name: value).",
                         s->name);
        return;
    }
    for (size_t i = 0; i < map->n; i++) {
        const struct config_field *f = field_of(s, map->keys[i]->text);

        if (!f)
            report_unexpected(r, s, map->keys[i]);
        else if (!config_node_is_null(map->items[i]))
            check_field(r, f, map->keys[i], map->items[i]);
    }
    for (const struct config_field *f = s->fields; f->name; f++) {
        if (f->required && !config_node_get(map, f->name))
            config_report_at(r, map, "Missing required value \"%s\" of %s.",
                             f->name, s->name);
    }
    if (s->check && r->n == before)
        s->check(r, key, map);
}

/* ---- to JSON ---- */

int64_t config_expiration(const char *text)
{
    int64_t total = 0;
    char *end;

    for (;;) {
        int64_t n, unit = 1;

        while (isspace((unsigned char)*text))
            text++;
        if (!*text)
            return total;
        if (!isdigit((unsigned char)*text))
            return -1;
        n = strtoll(text, &end, 10);
        switch (tolower((unsigned char)*end)) {
        case 'd':
            unit *= 24;
            /* fall through */
        case 'h':
            unit *= 60;
            /* fall through */
        case 'm':
            unit *= 60;
            /* fall through */
        case 's':
            end++;
        }
        if ((*end && !isspace((unsigned char)*end)) ||
            __builtin_mul_overflow(n, unit, &n) ||
            __builtin_add_overflow(total, n, &total))
            return -1;
        text = end;
    }
}

/* "500ms" and "1.5s" are latencies; everything else is an expiration. */
static json_t *duration(struct ctx *ctx, const char *text)
{
    size_t n = strlen(text);
    double seconds = -1;

    if (strcmp(text, "automatic") == 0)
        return NULL;
    if (n > 2 && strcmp(text + n - 2, "ms") == 0)
        seconds = strtod(text, NULL) / 1000;
    else if (strchr(text, '.'))
        seconds = strtod(text, NULL);
    if (seconds >= 0)
        return json_string(arena_printf(ctx->arena, "%.3fs", seconds));
    return json_string(
        arena_printf(ctx->arena, "%" PRId64 "s", config_expiration(text)));
}

static json_t *upper(struct ctx *ctx, const char *prefix, const char *text)
{
    char *s = arena_printf(ctx->arena, "%s%s", prefix, text);

    for (char *c = s; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    return json_string(s);
}

const char *config_regexes(struct arena *a, const struct config_node *node)
{
    struct buf all = BUF_IN(a);

    if (node->kind != CONFIG_LIST)
        return node->text;
    for (size_t i = 0; i < node->n; i++)
        buf_printf(&all, "%s%s", i ? "|" : "", node->items[i]->text);
    return buf_cstr(&all);
}

static json_t *texts(const struct config_node *v)
{
    json_t *o = json_object();

    for (size_t i = 0; i < v->n; i++)
        json_object_set_new(o, v->keys[i]->text,
                            json_string(v->items[i]->text));
    return o;
}

static json_t *plain(struct ctx *ctx, const struct config_field *f,
                     const struct config_node *v)
{
    json_t *o;
    bool b = false;

    switch (f->type) {
    case CONFIG_BOOL:
        config_node_bool(v, &b);
        return json_boolean(b);
    case CONFIG_INT:
        return json_integer(strtoll(v->text, NULL, 10));
    case CONFIG_FLOAT:
        return json_real(strtod(v->text, NULL));
    case CONFIG_OBJECT:
        o = json_object();
        config_json(ctx, f->schema, v, o);
        return o;
    case CONFIG_TEXTS:
        return texts(v);
    case CONFIG_REGEXES:
        return json_string(config_regexes(ctx->arena, v));
    default:
        return json_string(v->text);
    }
}

static json_t *value_json(struct ctx *ctx, const struct config_field *f,
                          const struct config_node *v)
{
    switch (f->form) {
    case CONFIG_AS_NUMBER:
        return isdigit((unsigned char)*v->text)
                   ? json_integer(strtoll(v->text, NULL, 10))
                   : NULL;
    case CONFIG_AS_DURATION:
        return duration(ctx, v->text);
    case CONFIG_AS_UPPER:
        return upper(ctx, f->prefix, v->text);
    case CONFIG_AS_IS:
        break;
    }
    return plain(ctx, f, v);
}

void config_json_set(json_t *into, const char *path, json_t *value)
{
    const char *dot;

    while ((dot = strchr(path, '.')) != NULL) {
        json_t *next = json_object_getn(into, path, (size_t)(dot - path));

        if (!next) {
            next = json_object();
            json_object_setn_new(into, path, (size_t)(dot - path), next);
        }
        into = next;
        path = dot + 1;
    }
    json_object_set_new(into, path, value);
}

static json_t *field_json(struct ctx *ctx, const struct config_field *f,
                          const struct config_node *v)
{
    json_t *all;

    if (!f->list)
        return value_json(ctx, f, v);
    all = json_array();
    for (size_t i = 0; i < v->n; i++)
        json_array_append_new(all, value_json(ctx, f, v->items[i]));
    return all;
}

void config_json(struct ctx *ctx, const struct config_schema *s,
                 const struct config_node *map, json_t *into)
{
    for (const struct config_field *f = s->fields; f->name; f++) {
        const struct config_node *v = config_node_get(map, f->name);
        json_t *value = f->json && v ? field_json(ctx, f, v) : NULL;

        if (value)
            config_json_set(into, f->json, value);
    }
}
