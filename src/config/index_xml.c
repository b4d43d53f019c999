/*
 * index_xml - elements become the nodes of an index.yaml, where they stand in
 * the XML; the schema of index.yaml checks those; and what passes is written.
 */
#include "config/index_xml.h"

#include "base/yaml_text.h"
#include "config/appyaml.h"
#include "config/xml.h"

/* What an element may have: its attributes are attributes of the YAML. */
struct element {
    const char *name;
    const char *const *attributes; /* copied */
    const char *const *ignored;    /* known, but not in the YAML */
    const char *children;          /* the attribute that lists them */
    const struct element *child;
};

static const char *const none[] = {NULL};
static const char *const property_attributes[] = {"name", "direction", "mode",
                                                  NULL};
static const char *const index_attributes[] = {"kind", "ancestor", NULL};
static const char *const index_ignored[] = {"source", NULL};
static const char *const indexes_ignored[] = {"autoGenerate", NULL};

static const struct element property_element = {
    .name = "property", .attributes = property_attributes, .ignored = none};
static const struct element index_element = {
    .name = "datastore-index",
    .attributes = index_attributes,
    .ignored = index_ignored,
    .children = "properties",
    .child = &property_element,
};
static const struct element indexes_element = {
    .name = "datastore-indexes",
    .attributes = none,
    .ignored = indexes_ignored,
    .children = "indexes",
    .child = &index_element,
};

static bool is_one_of(const char *const *names, const char *name)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

static void set(struct arena *a, struct config_node *map,
                const struct config_xml *e, const char *key,
                struct config_node *value)
{
    config_node_set(a, map, config_xml_scalar(a, e, key), value);
}

/* "1" and "0" are XML's other booleans; YAML's are what the schema knows. */
static const char *boolean(const char *value)
{
    if (strcmp(value, "1") == 0)
        return "true";
    return strcmp(value, "0") == 0 ? "false" : value;
}

static void take_attributes(struct ctx *ctx, struct config_report *r,
                            const struct element *what,
                            const struct config_xml *e, struct config_node *map)
{
    for (size_t i = 0; i < e->n_attributes; i++) {
        const char *name = e->attributes[i].name;
        const char *value = e->attributes[i].value;

        if (strcmp(name, "ancestor") == 0)
            value = boolean(value);
        if (is_one_of(what->attributes, name) && *value)
            set(ctx->arena, map, e, name,
                config_xml_scalar(ctx->arena, e, value));
        else if (!is_one_of(what->attributes, name) &&
                 !is_one_of(what->ignored, name))
            config_report_at(r, &e->at, "Unexpected attribute \"%s\" of <%s>.",
                             name, e->name);
    }
}

static struct config_node *node_of(struct ctx *ctx, struct config_report *r,
                                   const struct element *what,
                                   const struct config_xml *e)
{
    struct config_node *map = config_node_new(ctx->arena, CONFIG_MAP, &e->at);
    struct config_node *list = config_node_new(ctx->arena, CONFIG_LIST, &e->at);

    take_attributes(ctx, r, what, e, map);
    if (e->at.text[0])
        config_report_at(r, &e->at, "<%s> holds no text.", e->name);
    for (const struct config_xml *c = e->children; c; c = c->next) {
        if (!what->child || strcmp(c->name, what->child->name) != 0)
            config_report_at(r, &c->at, "Unexpected element <%s> in <%s>.",
                             c->name, e->name);
        else
            config_node_insert(ctx->arena, list, list->n,
                               node_of(ctx, r, what->child, c));
    }
    if (list->n)
        set(ctx->arena, map, e, what->children, list);
    return map;
}

/* Google's own reader wants the attribute, and so do we: nobody should wonder
 * whether the second file counts. */
static bool auto_generate(struct config_report *r, const struct config_xml *e)
{
    const char *value = config_xml_attribute(e, "autoGenerate");

    if (value && strcmp(value, "true") == 0)
        return true;
    if (!value || strcmp(value, "false") != 0)
        config_report_at(r, &e->at,
                         "autoGenerate=\"true|false\" is required in "
                         "<datastore-indexes>.");
    return false;
}

/* ---- writing ---- */

static void put_property(struct buf *b, const struct config_node *p)
{
    const char *direction = config_node_text(p, "direction");

    buf_add_str(b, "  - name: ");
    yaml_put_scalar(b, bytes_str(config_node_text(p, "name")));
    buf_add_str(b, "\n");
    if (direction)
        buf_printf(b, "    direction: %s\n", direction);
}

static void put_index(struct buf *b, const struct config_node *index)
{
    const struct config_node *list = config_node_get(index, "properties");
    const struct config_node *ancestor = config_node_get(index, "ancestor");
    bool yes = false;

    buf_add_str(b, "- kind: ");
    yaml_put_scalar(b, bytes_str(config_node_text(index, "kind")));
    buf_add_str(b, "\n");
    if (ancestor && config_node_bool(ancestor, &yes) && yes)
        buf_add_str(b, "  ancestor: yes\n");
    if (list)
        buf_add_str(b, "  properties:\n");
    for (size_t i = 0; list && i < list->n; i++)
        put_property(b, list->items[i]);
}

static struct bytes yaml_of(struct ctx *ctx, const struct config_node *map)
{
    const struct config_node *list = config_node_get(map, "indexes");
    struct buf b = BUF_IN(ctx->arena);

    buf_add_str(&b, "indexes:\n");
    for (size_t i = 0; list && i < list->n; i++)
        put_index(&b, list->items[i]);
    return buf_view(&b);
}

/* ---- reading ---- */

static const struct config_schema *yaml_schema(void)
{
    const struct appyaml_file *f = appyaml_files;

    while (strcmp(f->name, "index.yaml") != 0)
        f++;
    return f->schema;
}

int index_xml_parse(struct ctx *ctx, const char *file, struct bytes text,
                    bool generated, struct index_xml *out)
{
    struct config_report r = {0};
    struct config_node *map = NULL;
    struct config_xml *root;
    int rc;

    config_xml_parse(ctx, file, text, &r, &root);
    if (root && strcmp(root->name, indexes_element.name) != 0) {
        config_report_at(&r, &root->at,
                         "The root is <%s>; <datastore-indexes> is wanted.",
                         root->name);
    } else if (root) {
        out->auto_generate = generated || auto_generate(&r, root);
        map = node_of(ctx, &r, &indexes_element, root);
        config_check(&r, yaml_schema(), NULL, map);
    }
    rc = config_report_end(ctx, &r);
    if (rc == 0)
        out->yaml = yaml_of(ctx, map);
    return rc;
}

int index_xml_load(struct ctx *ctx, const char *path, bool generated,
                   struct index_xml *out)
{
    struct bytes text;
    int rc = config_file_read(ctx, path, &text);

    return rc ? rc : index_xml_parse(ctx, path, text, generated, out);
}

/* The entries of `more` behind those of `yaml`. */
static struct bytes join(struct arena *a, struct bytes yaml, struct bytes more)
{
    struct buf b = BUF_IN(a);

    buf_add(&b, yaml);
    buf_add(&b, bytes_from(more, strlen("indexes:\n")));
    return buf_view(&b);
}

int index_xml_load_app(struct ctx *ctx, const char *dir, struct index_xml *out)
{
    struct index_xml more;
    int rc, also;

    rc = index_xml_load(
        ctx, arena_printf(ctx->arena, "%s/" INDEX_XML_MANUAL, dir), false, out);
    if (rc && rc != ERR_NOT_FOUND)
        return rc;
    if (rc == 0 && !out->auto_generate)
        return 0;
    also = index_xml_load(
        ctx, arena_printf(ctx->arena, "%s/" INDEX_XML_AUTO, dir), true, &more);
    if (also == ERR_NOT_FOUND)
        return rc;
    if (also == 0 && rc == 0)
        out->yaml = join(ctx->arena, out->yaml, more.yaml);
    else if (also == 0)
        *out = (struct index_xml){.auto_generate = true, .yaml = more.yaml};
    return also;
}
