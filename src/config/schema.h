/*
 * schema - what may stand in a file, as tables.
 *
 * A row says an attribute's name, its type, what its value must be, and where
 * it goes in the JSON of the Admin API.  config_check() walks a tree beside its
 * table and reports what does not fit, in the words of Google's own tools;
 * config_json() walks the same rows and builds the JSON.  A new attribute is a
 * new row.
 */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include "config/node.h"

#include <jansson.h>

enum config_type {
    CONFIG_TEXT,    /* any scalar, as written */
    CONFIG_PATTERN, /* all of it matches `pattern` */
    CONFIG_WORD,    /* one of `words` */
    CONFIG_BOOL,
    CONFIG_INT,     /* min..max */
    CONFIG_FLOAT,   /* min..max */
    CONFIG_OBJECT,  /* a map with `schema` */
    CONFIG_TEXTS,   /* a map of texts; keys match `pattern` */
    CONFIG_REGEXES, /* a regular expression, or a list joined with '|' */
};

/* How the value is written in JSON. */
enum config_form {
    CONFIG_AS_IS,       /* a bool, a number, an object, else a string */
    CONFIG_AS_NUMBER,   /* digits; "automatic" is left out */
    CONFIG_AS_DURATION, /* "10m" or "7d 1h" -> "600s", "500ms" -> "0.500s" */
    CONFIG_AS_UPPER,    /* `prefix` and the word in capitals */
};

struct config_schema;
struct config_field;

/* More than a type can say. */
typedef void config_check_fn(struct config_report *r,
                             const struct config_node *key,
                             const struct config_node *value);

struct config_field {
    const char *name;
    enum config_type type;
    bool required;
    bool list; /* a sequence of such values */
    const char *pattern;
    const char *const *words; /* NULL at the end */
    double min, max;          /* unchecked when both are 0 */
    const struct config_schema *schema;
    config_check_fn *check;
    const char *json; /* "a.b" of the parent's object; NULL: not carried over */
    enum config_form form;
    const char *prefix;
};

struct config_schema {
    const char *name;                  /* as messages call it */
    const struct config_field *fields; /* a row without name ends it */
    config_check_fn *check; /* of the whole object; key may be NULL */
};

/* Report everything in `map` that the schema does not allow. */
void config_check(struct config_report *r, const struct config_schema *s,
                  const struct config_node *key, const struct config_node *map);

/* Add what the rows carry over to `into`.  Only for a tree without findings. */
void config_json(struct ctx *ctx, const struct config_schema *s,
                 const struct config_node *map, json_t *into);

/* Set "a.b.c" in an object, which takes over `value`. */
void config_json_set(json_t *into, const char *path, json_t *value);

/* "7d 1h 30" in seconds; -1 when it is no expiration. */
int64_t config_expiration(const char *text);

/* The items of CONFIG_REGEXES as one pattern, in the arena. */
const char *config_regexes(struct arena *a, const struct config_node *node);

#endif
