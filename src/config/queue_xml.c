/*
 * queue_xml - elements become the nodes of a queue.yaml, where they stand in
 * the XML; the schema of queue.yaml checks those; and what passes is written.
 *
 * The two spellings differ in their hyphens, in that XML repeats an element
 * where YAML has a list, and in the acl: there the lists are one.
 */
#include "config/queue_xml.h"

#include "base/yaml_text.h"
#include "config/appyaml.h"
#include "config/queueyaml.h"
#include "config/xml.h"

/* ---- to nodes ---- */

/* "bucket-size" as "bucket_size". */
static const char *yaml_name(struct arena *a, const char *name)
{
    char *out = arena_strdup(a, name);

    for (char *p = out; *p; p++) {
        if (*p == '-')
            *p = '_';
    }
    return out;
}

static void set(struct arena *a, struct config_node *map,
                const struct config_xml *e, struct config_node *value)
{
    config_node_set(a, map, config_xml_scalar(a, e, yaml_name(a, e->name)),
                    value);
}

static struct config_node *scalar(struct arena *a, const struct config_xml *e)
{
    return config_xml_scalar(a, e, e->at.text);
}

static void refuse_attributes(struct config_report *r,
                              const struct config_xml *e)
{
    for (size_t i = 0; i < e->n_attributes; i++)
        config_report_at(r, &e->at, "Unexpected attribute \"%s\" of <%s>.",
                         e->attributes[i].name, e->name);
}

/* <acl> holds the items of what is a list of maps in YAML. */
static struct config_node *acl_of(struct ctx *ctx, struct config_report *r,
                                  const struct config_xml *e)
{
    struct config_node *list = config_node_new(ctx->arena, CONFIG_LIST, &e->at);

    for (const struct config_xml *c = e->children; c; c = c->next) {
        struct config_node *one =
            config_node_new(ctx->arena, CONFIG_MAP, &c->at);

        refuse_attributes(r, c);
        set(ctx->arena, one, c, scalar(ctx->arena, c));
        config_node_insert(ctx->arena, list, list->n, one);
    }
    return list;
}

static struct config_node *map_of(struct ctx *ctx, struct config_report *r,
                                  const struct config_xml *e);

static void take_child(struct ctx *ctx, struct config_report *r,
                       struct config_node *map, const struct config_xml *c)
{
    struct arena *a = ctx->arena;
    struct config_node *list;

    refuse_attributes(r, c);
    if (strcmp(c->name, "queue") == 0) {
        list = config_node_get(map, "queue");
        if (!list) {
            list = config_node_new(a, CONFIG_LIST, &c->at);
            set(a, map, c, list);
        }
        config_node_insert(a, list, list->n, map_of(ctx, r, c));
    } else if (config_node_get(map, yaml_name(a, c->name))) {
        config_report_at(r, &c->at, "<%s> is there twice.", c->name);
    } else if (strcmp(c->name, "acl") == 0) {
        set(a, map, c, acl_of(ctx, r, c));
    } else if (c->children) {
        set(a, map, c, map_of(ctx, r, c));
    } else {
        set(a, map, c, scalar(a, c));
    }
}

static struct config_node *map_of(struct ctx *ctx, struct config_report *r,
                                  const struct config_xml *e)
{
    struct config_node *map = config_node_new(ctx->arena, CONFIG_MAP, &e->at);

    if (e->at.text[0])
        config_report_at(r, &e->at, "<%s> holds no text.", e->name);
    for (const struct config_xml *c = e->children; c; c = c->next)
        take_child(ctx, r, map, c);
    return map;
}

/* ---- to text ---- */

static void put_node(struct buf *b, const struct config_node *node, int indent);

static void put_map(struct buf *b, const struct config_node *map, int indent,
                    bool started)
{
    for (size_t i = 0; i < map->n; i++) {
        if (i > 0 || !started)
            buf_printf(b, "%*s", indent, "");
        buf_printf(b, "%s:", map->keys[i]->text);
        put_node(b, map->items[i], indent);
    }
}

static void put_node(struct buf *b, const struct config_node *node, int indent)
{
    enum { STEP = 2 };

    if (node->kind == CONFIG_SCALAR) {
        buf_add_str(b, " ");
        yaml_put_scalar(b, bytes_str(node->text));
        buf_add_str(b, "\n");
        return;
    }
    buf_add_str(b, "\n");
    if (node->kind == CONFIG_MAP) {
        put_map(b, node, indent + STEP, false);
        return;
    }
    for (size_t i = 0; i < node->n; i++) {
        buf_printf(b, "%*s- ", indent, "");
        put_map(b, node->items[i], indent + STEP, true);
    }
}

/* ---- reading ---- */

static const struct config_schema *yaml_schema(void)
{
    const struct appyaml_file *f = appyaml_files;

    while (strcmp(f->name, "queue.yaml") != 0)
        f++;
    return f->schema;
}

int queue_xml_parse(struct ctx *ctx, const char *file, struct bytes text,
                    struct bytes *yaml)
{
    struct config_report r = {0};
    struct config_node *map = NULL;
    struct buf out = BUF_IN(ctx->arena);
    struct queueyaml unused;
    struct config_xml *root;
    int rc;

    config_xml_parse(ctx, file, text, &r, &root);
    if (root && strcmp(root->name, "queue-entries") != 0) {
        config_report_at(&r, &root->at,
                         "The root is <%s>; <queue-entries> is wanted.",
                         root->name);
    } else if (root) {
        map = map_of(ctx, &r, root);
        config_check(&r, yaml_schema(), NULL, map);
    }
    rc = config_report_end(ctx, &r);
    if (rc)
        return rc;
    put_map(&out, map, 0, false);
    *yaml = buf_view(&out);
    /* What several values say together. */
    return queueyaml_parse(ctx, file, *yaml, &unused);
}

int queue_xml_load_app(struct ctx *ctx, const char *dir, struct bytes *yaml)
{
    const char *path = arena_printf(ctx->arena, "%s/" QUEUE_XML, dir);
    struct bytes text;
    int rc = config_file_read(ctx, path, &text);

    return rc ? rc : queue_xml_parse(ctx, path, text, yaml);
}
