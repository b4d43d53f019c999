/*
 * node - a YAML document as a tree that remembers where everything stood.
 *
 * libyaml reads; we keep what a message needs: the file, the line and the
 * column, counted from 1.  A node is a text (a scalar, as it was written), a
 * list, or a map in the order of the file.  Aliases are refused: Google's own
 * parser does not know them, and so a tree is never larger than its text.
 *
 * Nodes live in the arena of the ctx they were read with and are read-only
 * afterwards, except that config_node_set() and config_node_insert() let
 * `includes` merge files.
 */
#ifndef CONFIG_NODE_H
#define CONFIG_NODE_H

#include "base/buf.h"
#include "base/ctx.h"

enum config_kind { CONFIG_SCALAR, CONFIG_LIST, CONFIG_MAP };

struct config_node {
    enum config_kind kind;
    bool quoted;      /* the scalar was written in quotes or as a block */
    const char *file; /* as messages name it */
    int line, column;
    const char *text;           /* of a scalar; "" for the others */
    struct config_node **items; /* of a list, or the values of a map */
    struct config_node **keys;  /* of a map: scalars */
    size_t n, cap;
};

/* What is wrong with a file: one line for each finding, in order. */
struct config_report {
    struct buf text;
    int n;
};

enum { CONFIG_REPORT_MAX = 20, CONFIG_FILE_MAX = 1024 * 1024 };

/* "FILE:LINE:COLUMN: ..." - findings after the twentieth are only counted. */
void config_report_at(struct config_report *r, const struct config_node *at,
                      const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* 0, or ERR_INVALID with all findings as the story. */
int config_report_end(struct ctx *ctx, struct config_report *r);

/*
 * Parse `text`, which messages call `file`.  *out is NULL for an empty
 * document.  A syntax error, a second document, a duplicate key, an alias or
 * nesting deeper than 32 is a finding and leaves *out NULL.
 */
void config_node_parse(struct ctx *ctx, const char *file, struct bytes text,
                       struct config_report *r, struct config_node **out);

/* Read a file of at most CONFIG_FILE_MAX bytes into the arena.  ERR_NOT_FOUND,
 * or another code with the reason. */
int config_file_read(struct ctx *ctx, const char *path, struct bytes *out);

/* The value of a key; NULL when `map` is NULL, no map, or has no such key.
 * A key with an empty value ("key:") counts as absent. */
struct config_node *config_node_get(const struct config_node *map,
                                    const char *key);

/* The text of a scalar under a key, or NULL. */
const char *config_node_text(const struct config_node *map, const char *key);

/* The node of the key itself, for a message that points at it. */
const struct config_node *config_node_key(const struct config_node *map,
                                          const char *key);

/* Whether the node is an unquoted nothing: "key:", "~" or "null". */
bool config_node_is_null(const struct config_node *node);

/* true|yes|on|y|false|no|off|n in YAML's spellings.  False when it is none of
 * them. */
bool config_node_bool(const struct config_node *node, bool *out);

/*
 * Give a map a value: in the place of the key's old one, else at the end.  The
 * nodes are linked in, not copied; `a` is the arena the map lives in.
 */
void config_node_set(struct arena *a, struct config_node *map,
                     struct config_node *key, struct config_node *value);

/* Put an item before the one at `at`, which is at most list->n. */
void config_node_insert(struct arena *a, struct config_node *list, size_t at,
                        struct config_node *item);

/* An empty list or map that stands where `at` stands. */
struct config_node *config_node_new(struct arena *a, enum config_kind kind,
                                    const struct config_node *at);

#endif
