#include "engine/index.h"

#include <yaml.h>

/*
 * index.yaml is
 *
 *     indexes:
 *     - kind: Greeting
 *       ancestor: yes
 *       properties:
 *       - name: date
 *         direction: desc
 *
 * read here as nodes, so that every complaint has its line.
 */
struct reader {
    struct ctx *ctx;
    yaml_document_t doc;
    int column; /* of the entries; INDEX_YAML_NO_LIST without `indexes:` */
};

static int complain(struct reader *r, const yaml_node_t *at, const char *what)
{
    return ctx_err(r->ctx, ERR_INVALID, "index.yaml:%zu: %s",
                   at->start_mark.line + 1, what);
}

static struct bytes scalar(struct reader *r, const yaml_node_t *n)
{
    return arena_dup(r->ctx->arena,
                     BYTES(n->data.scalar.value, n->data.scalar.length));
}

/* One key a mapping may have, and what reads its value. */
struct yaml_key {
    const char *name;
    int (*read)(struct reader *r, const yaml_node_t *value, void *out);
};

static int read_pair(struct reader *r, const yaml_node_pair_t *pair,
                     const struct yaml_key *keys, void *out)
{
    const yaml_node_t *k = yaml_document_get_node(&r->doc, pair->key);
    const yaml_node_t *v = yaml_document_get_node(&r->doc, pair->value);

    if (k->type != YAML_SCALAR_NODE)
        return complain(r, k, "a key must be a word");
    for (; keys->name; keys++) {
        if (bytes_eq_str(scalar(r, k), keys->name))
            return keys->read(r, v, out);
    }
    return complain(r, k,
                    arena_printf(r->ctx->arena, "unknown element \"%s\"",
                                 (const char *)k->data.scalar.value));
}

static int read_mapping(struct reader *r, const yaml_node_t *n,
                        const struct yaml_key *keys, void *out)
{
    int rc = 0;

    if (n->type != YAML_MAPPING_NODE)
        return complain(r, n, "expected \"name: value\" pairs");
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start;
         p < n->data.mapping.pairs.top && rc == 0; p++)
        rc = read_pair(r, p, keys, out);
    return rc;
}

static bool is_empty(const yaml_node_t *n)
{
    return n->type == YAML_SCALAR_NODE &&
           (n->data.scalar.length == 0 ||
            strcmp((const char *)n->data.scalar.value, "null") == 0);
}

/* Read each item of a sequence; an empty value is an empty one. */
static int read_sequence(struct reader *r, const yaml_node_t *n,
                         int (*read)(struct reader *r, const yaml_node_t *item,
                                     void *out),
                         void *out)
{
    int rc = 0;

    if (is_empty(n))
        return 0;
    if (n->type != YAML_SEQUENCE_NODE)
        return complain(r, n, "expected a list");
    for (yaml_node_item_t *i = n->data.sequence.items.start;
         i < n->data.sequence.items.top && rc == 0; i++)
        rc = read(r, yaml_document_get_node(&r->doc, *i), out);
    return rc;
}

static int read_text(struct reader *r, const yaml_node_t *n, struct bytes *out)
{
    if (n->type != YAML_SCALAR_NODE || n->data.scalar.length == 0)
        return complain(r, n, "expected a name");
    *out = scalar(r, n);
    return 0;
}

struct choice {
    const char *word;
    int value;
};

static int read_choice(struct reader *r, const yaml_node_t *n,
                       const struct choice *choices, const char *expected,
                       bool *out)
{
    if (n->type != YAML_SCALAR_NODE)
        return complain(r, n, expected);
    for (; choices->word; choices++) {
        if (strcasecmp((const char *)n->data.scalar.value, choices->word))
            continue;
        *out = choices->value;
        return 0;
    }
    return complain(r, n, expected);
}

static const struct choice directions[] = {
    {"asc", false}, {"ascending", false}, {"desc", true}, {"descending", true},
    {NULL, 0},
};

static const struct choice booleans[] = {
    {"yes", true}, {"true", true}, {"on", true},     {"y", true},
    {"1", true},   {"no", false},  {"false", false}, {"off", false},
    {"n", false},  {"0", false},   {NULL, 0},
};

/* ---- the keys ---- */

static int column_name(struct reader *r, const yaml_node_t *v, void *out)
{
    return read_text(r, v, &((struct index_column *)out)->name);
}

static int column_direction(struct reader *r, const yaml_node_t *v, void *out)
{
    return read_choice(r, v, directions, "direction is asc or desc",
                       &((struct index_column *)out)->desc);
}

static int column_mode(struct reader *r, const yaml_node_t *v, void *out)
{
    return complain(r, v, "geospatial indexes are not supported");
}

static const struct yaml_key column_keys[] = {
    {"name", column_name},
    {"direction", column_direction},
    {"mode", column_mode},
    {NULL, NULL},
};

static int column(struct reader *r, const yaml_node_t *item, void *out)
{
    struct index_def *def = out;
    struct index_column *col;
    int rc;

    def->columns =
        arena_grow(r->ctx->arena, def->columns, def->n * sizeof(*col),
                   (def->n + 1) * sizeof(*col));
    col = &def->columns[def->n++];
    *col = (struct index_column){0};
    rc = read_mapping(r, item, column_keys, col);
    if (rc == 0 && col->name.n == 0)
        return complain(r, item, "a property needs a name");
    return rc;
}

static int def_kind(struct reader *r, const yaml_node_t *v, void *out)
{
    return read_text(r, v, &((struct index_def *)out)->kind);
}

static int def_ancestor(struct reader *r, const yaml_node_t *v, void *out)
{
    return read_choice(r, v, booleans, "ancestor is yes or no",
                       &((struct index_def *)out)->ancestor);
}

static int def_properties(struct reader *r, const yaml_node_t *v, void *out)
{
    return read_sequence(r, v, column, out);
}

static const struct yaml_key def_keys[] = {
    {"kind", def_kind},
    {"ancestor", def_ancestor},
    {"properties", def_properties},
    {NULL, NULL},
};

struct defs {
    struct index_def *v;
    size_t n;
};

static int definition(struct reader *r, const yaml_node_t *item, void *out)
{
    struct defs *defs = out;
    struct index_def *def;
    int rc;

    defs->v = arena_grow(r->ctx->arena, defs->v, defs->n * sizeof(*def),
                         (defs->n + 1) * sizeof(*def));
    def = &defs->v[defs->n++];
    *def = (struct index_def){0};
    rc = read_mapping(r, item, def_keys, def);
    if (rc == 0 && def->kind.n == 0)
        return complain(r, item, "an index needs a kind");
    if (rc == 0 && def->n == 0 && !def->ancestor)
        return complain(r, item, "an index needs properties");
    return rc;
}

static int indexes(struct reader *r, const yaml_node_t *v, void *out)
{
    r->column = is_empty(v) ? 0 : (int)v->start_mark.column;
    return read_sequence(r, v, definition, out);
}

static const struct yaml_key top_keys[] = {
    {"indexes", indexes},
    {NULL, NULL},
};

static int read_document(struct reader *r, struct defs *defs)
{
    const yaml_node_t *root = yaml_document_get_root_node(&r->doc);

    /* A file of comments alone is an empty list. */
    if (!root || is_empty(root))
        return 0;
    return read_mapping(r, root, top_keys, defs);
}

int index_yaml_read(struct ctx *ctx, struct bytes yaml, struct index_def **defs,
                    size_t *n, int *column)
{
    struct reader r = {.ctx = ctx, .column = INDEX_YAML_NO_LIST};
    struct defs out = {0};
    yaml_parser_t parser;
    int rc;

    *defs = NULL;
    *n = 0;
    if (!yaml_parser_initialize(&parser))
        return ctx_err(ctx, ERR_INTERNAL, "out of memory reading index.yaml");
    yaml_parser_set_input_string(&parser, yaml.p ? yaml.p : "", yaml.n);
    if (yaml_parser_load(&parser, &r.doc)) {
        rc = read_document(&r, &out);
        yaml_document_delete(&r.doc);
    } else {
        rc = ctx_err(ctx, ERR_INVALID, "index.yaml:%zu: %s",
                     parser.problem_mark.line + 1,
                     parser.problem ? parser.problem : "not YAML");
    }
    yaml_parser_delete(&parser);
    *defs = out.v;
    *n = rc ? 0 : out.n;
    *column = r.column;
    return rc;
}

int index_yaml_parse(struct ctx *ctx, struct bytes yaml,
                     struct index_def **defs, size_t *n)
{
    int column;

    return index_yaml_read(ctx, yaml, defs, n, &column);
}
