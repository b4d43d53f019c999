/*
 * xml - an XML document as a tree that remembers where everything stood.
 *
 * For the files that Java applications carry in WEB-INF: datastore-indexes.xml,
 * queue.xml, cron.xml, dispatch.xml and their like.  expat reads; an element
 * keeps its name, its attributes, its own text and its children in the order of
 * the file, each with a line and a column that config_report_at() can point
 * at, so that findings in XML and in YAML read alike.
 *
 * Names come without their namespace, and attributes that have a namespace of
 * their own (xsi:schemaLocation) are left out: both are for editors.  A
 * document type is allowed but never fetched; an entity other than the five of
 * XML itself is a finding, so a tree is never larger than its text.
 *
 *     config_xml_parse(ctx, "WEB-INF/queue.xml", text, &report, &root);
 *     for (e = root ? root->children : NULL; e; e = e->next)
 *         if (strcmp(e->name, "queue") == 0)
 *             name = config_xml_child_text(e, "name");
 *
 * A reader of such a file usually turns the elements into the config_node tree
 * of the YAML file of the same purpose (config_node_new, config_node_set), and
 * lets that file's schema check it: one table for both spellings.
 *
 * Trees live in the arena of the ctx they were read with and are read-only.
 */
#ifndef CONFIG_XML_H
#define CONFIG_XML_H

#include "config/node.h"

struct config_xml_attribute {
    const char *name;
    const char *value;
};

struct config_xml {
    struct config_node at; /* a scalar, the element's own text: its place */
    const char *name;
    struct config_xml_attribute *attributes;
    size_t n_attributes;
    struct config_xml *children; /* the first of them, or NULL */
    struct config_xml *next;     /* its next sibling, or NULL */
    struct config_xml *parent;   /* NULL of the root */
};

/*
 * Parse `text`, which messages call `file`; any encoding that expat knows
 * (UTF-8, UTF-16, ISO-8859-1).  *out is the root.  A syntax error, an entity of
 * the file's own or nesting deeper than 32 is a finding and leaves *out NULL.
 */
void config_xml_parse(struct ctx *ctx, const char *file, struct bytes text,
                      struct config_report *r, struct config_xml **out);

/* The value of an attribute, without blanks around it; NULL when absent. */
const char *config_xml_attribute(const struct config_xml *e, const char *name);

/* The first child of that name, or NULL.  `e` may be NULL. */
const struct config_xml *config_xml_child(const struct config_xml *e,
                                          const char *name);

/* The text of the first child of that name, without blanks around it ("" of an
 * empty one); NULL when there is no such child. */
const char *config_xml_child_text(const struct config_xml *e, const char *name);

/*
 * A scalar that stands where the element stands, in `a`: for building the tree
 * of the YAML file with the same purpose.
 */
struct config_node *config_xml_scalar(struct arena *a,
                                      const struct config_xml *e,
                                      const char *text);

#endif
