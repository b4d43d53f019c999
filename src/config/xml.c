/*
 * xml - expat's callbacks, folded into a tree.
 *
 * The element that is open collects text and children; its end closes it.  The
 * first failure stops the parser: what stands behind it means nothing.
 */
#include "config/xml.h"

#include "base/log.h"

#include <expat.h>

enum { DEPTH_MAX = 32 };

/* Between a namespace and a name; no name has one. */
#define NAMESPACE_END '\n'

/* An element that is still open. */
struct open {
    struct config_xml *element;
    struct config_xml **tail; /* where its next child goes */
    struct buf text;
};

struct reader {
    struct arena *arena;
    const char *file;
    XML_Parser expat;
    struct config_report *report;
    struct config_xml *root;
    struct open stack[DEPTH_MAX];
    int depth;
    bool failed;
};

static void place(const struct reader *rd, struct config_node *at)
{
    *at = (struct config_node){
        .kind = CONFIG_SCALAR,
        .quoted = true, /* a text, whatever YAML would make of it */
        .file = rd->file,
        .line = (int)XML_GetCurrentLineNumber(rd->expat),
        .column = (int)XML_GetCurrentColumnNumber(rd->expat) + 1,
        .text = "",
    };
}

static void fail(struct reader *rd, const char *what)
{
    struct config_node at;

    if (rd->failed)
        return;
    rd->failed = true;
    place(rd, &at);
    config_report_at(rd->report, &at, "%s", what);
    XML_StopParser(rd->expat, XML_FALSE);
}

static const char *local_name(const char *name)
{
    const char *end = strrchr(name, NAMESPACE_END);

    return end ? end + 1 : name;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A copy without the blanks around it. */
static const char *trimmed(struct arena *a, const char *p, size_t n)
{
    while (n > 0 && is_blank(p[n - 1]))
        n--;
    while (n > 0 && is_blank(*p)) {
        p++;
        n--;
    }
    return arena_cstr(a, BYTES(p, n));
}

/* ---- what expat calls ---- */

static void read_attributes(struct reader *rd, struct config_xml *e,
                            const XML_Char **pairs)
{
    size_t n = 0;

    while (pairs[2 * n])
        n++;
    e->attributes = ARENA_ARRAY(rd->arena, struct config_xml_attribute, n + 1);
    for (; *pairs; pairs += 2) {
        if (strchr(pairs[0], NAMESPACE_END))
            continue;
        e->attributes[e->n_attributes++] = (struct config_xml_attribute){
            arena_strdup(rd->arena, pairs[0]),
            trimmed(rd->arena, pairs[1], strlen(pairs[1])),
        };
    }
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **pairs)
{
    struct reader *rd = arg;
    struct open *up = rd->depth ? &rd->stack[rd->depth - 1] : NULL;
    struct config_xml *e;

    if (rd->failed)
        return;
    if (rd->depth == DEPTH_MAX) {
        fail(rd, "Nested too deeply.");
        return;
    }
    e = ARENA_NEW(rd->arena, struct config_xml);
    place(rd, &e->at);
    e->name = arena_strdup(rd->arena, local_name(name));
    read_attributes(rd, e, pairs);
    if (up) {
        e->parent = up->element;
        *up->tail = e;
        up->tail = &e->next;
    } else {
        rd->root = e;
    }
    rd->stack[rd->depth++] = (struct open){e, &e->children, BUF_IN(rd->arena)};
}

static void on_text(void *arg, const XML_Char *p, int n)
{
    struct reader *rd = arg;

    if (!rd->failed && rd->depth)
        buf_add(&rd->stack[rd->depth - 1].text, BYTES(p, (size_t)n));
}

static void on_end(void *arg, const XML_Char *name)
{
    struct reader *rd = arg;
    struct open *o;

    (void)name;
    if (rd->failed)
        return;
    o = &rd->stack[--rd->depth];
    if (o->text.n)
        o->element->at.text =
            trimmed(rd->arena, (const char *)o->text.p, o->text.n);
}

/* Declared by the file itself: it could make a text of any size. */
static void on_entity(void *arg, const XML_Char *name, int is_parameter,
                      const XML_Char *value, int n, const XML_Char *base,
                      const XML_Char *system_id, const XML_Char *public_id,
                      const XML_Char *notation)
{
    (void)name, (void)is_parameter, (void)value, (void)n, (void)base;
    (void)system_id, (void)public_id, (void)notation;
    fail(arg, "Entities are not supported; write the text out.");
}

/* Used, and perhaps declared in a document type that nobody fetches. */
static void on_skipped(void *arg, const XML_Char *name, int is_parameter)
{
    struct reader *rd = arg;

    if (!is_parameter)
        fail(rd, arena_printf(rd->arena,
                              "The entity &%s; is not known; write the text "
                              "out.",
                              name));
}

/* ---- reading ---- */

static void fail_syntax(struct reader *rd)
{
    fail(rd, arena_printf(rd->arena, "Not valid XML: %s",
                          XML_ErrorString(XML_GetErrorCode(rd->expat))));
}

void config_xml_parse(struct ctx *ctx, const char *file, struct bytes text,
                      struct config_report *r, struct config_xml **out)
{
    struct reader *rd = ARENA_NEW(ctx->arena, struct reader);

    *out = NULL;
    rd->arena = ctx->arena;
    rd->report = r;
    rd->file = arena_strdup(ctx->arena, file);
    rd->expat = XML_ParserCreateNS(NULL, NAMESPACE_END);
    if (!rd->expat)
        die("out of memory for an XML parser");
    XML_SetUserData(rd->expat, rd);
    XML_SetElementHandler(rd->expat, on_start, on_end);
    XML_SetCharacterDataHandler(rd->expat, on_text);
    XML_SetEntityDeclHandler(rd->expat, on_entity);
    XML_SetSkippedEntityHandler(rd->expat, on_skipped);
    if (text.n > CONFIG_FILE_MAX)
        fail(rd, "Larger than a configuration file may be.");
    else if (XML_Parse(rd->expat, text.n ? text.p : (const void *)"",
                       (int)text.n, XML_TRUE) != XML_STATUS_OK)
        fail_syntax(rd);
    XML_ParserFree(rd->expat);
    if (!rd->failed)
        *out = rd->root;
}

/* ---- looking ---- */

const char *config_xml_attribute(const struct config_xml *e, const char *name)
{
    for (size_t i = 0; i < e->n_attributes; i++) {
        if (strcmp(e->attributes[i].name, name) == 0)
            return e->attributes[i].value;
    }
    return NULL;
}

const struct config_xml *config_xml_child(const struct config_xml *e,
                                          const char *name)
{
    const struct config_xml *c = e ? e->children : NULL;

    while (c && strcmp(c->name, name) != 0)
        c = c->next;
    return c;
}

const char *config_xml_child_text(const struct config_xml *e, const char *name)
{
    const struct config_xml *c = config_xml_child(e, name);

    return c ? c->at.text : NULL;
}

struct config_node *
config_xml_scalar(struct arena *a, const struct config_xml *e, const char *text)
{
    struct config_node *node = ARENA_NEW(a, struct config_node);

    *node = e->at;
    node->text = text;
    return node;
}
