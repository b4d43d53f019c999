/*
 * appengine_xml - a table of elements, each with the function that turns it
 * into nodes of an app.yaml.
 *
 * The two spellings differ in their hyphens, in lists that are elements, and in
 * static files: the XML has paths with wildcards, app.yaml has handlers.
 */
#include "config/appengine_xml.h"

#include "config/xml.h"

#include <sys/stat.h>

struct reader {
    struct arena *arena;
    struct config_report *report;
    struct config_node *app;
    const char *war;
    bool warmup; /* wanted unless the file says no, as at Google */
};

typedef void take_fn(struct reader *rd, const struct config_xml *e);

/* ---- nodes ---- */

/* "instance-class" as "instance_class". */
static const char *yaml_name(struct arena *a, const char *name)
{
    char *out = arena_strdup(a, name);

    for (char *p = out; *p; p++) {
        if (*p == '-')
            *p = '_';
    }
    return out;
}

static struct config_node *scalar(struct reader *rd, const struct config_xml *e,
                                  const char *text)
{
    return config_xml_scalar(rd->arena, e, text);
}

static void set(struct reader *rd, struct config_node *map,
                const struct config_xml *e, const char *key,
                struct config_node *value)
{
    config_node_set(rd->arena, map, scalar(rd, e, key), value);
}

/* map[key], made when it is missing. */
static struct config_node *slot(struct reader *rd, struct config_node *map,
                                const struct config_xml *e, const char *key,
                                enum config_kind kind)
{
    struct config_node *v = config_node_get(map, key);

    if (!v) {
        v = config_node_new(rd->arena, kind, &e->at);
        set(rd, map, e, key, v);
    }
    return v;
}

static void append(struct reader *rd, struct config_node *list,
                   struct config_node *item)
{
    config_node_insert(rd->arena, list, list->n, item);
}

static void unexpected(struct reader *rd, const struct config_xml *e)
{
    config_report_at(rd->report, &e->at, "Unexpected element <%s> in <%s>.",
                     e->name, e->parent->name);
}

/* ---- elements ---- */

/* The schema reads booleans unquoted, and an XML text is never one. */
static struct config_node *value_of(struct reader *rd,
                                    const struct config_xml *e)
{
    struct config_node *v = scalar(rd, e, e->at.text);

    v->quoted = false;
    return v;
}

static void take_scalar(struct reader *rd, const struct config_xml *e)
{
    const char *key = yaml_name(rd->arena, e->name);

    if (config_node_get(rd->app, key))
        config_report_at(rd->report, &e->at, "<%s> is there twice.", e->name);
    else
        set(rd, rd->app, e, key, value_of(rd, e));
}

/* <automatic-scaling> and its like: a map of the children. */
static void take_map(struct reader *rd, const struct config_xml *e)
{
    struct config_node *map =
        slot(rd, rd->app, e, yaml_name(rd->arena, e->name), CONFIG_MAP);

    for (const struct config_xml *c = e->children; c; c = c->next)
        set(rd, map, c, yaml_name(rd->arena, c->name), value_of(rd, c));
}

/* <env-var name="A" value="B"/> */
static void take_variables(struct reader *rd, const struct config_xml *e)
{
    const char *key = yaml_name(rd->arena, e->name);
    struct config_node *map = slot(rd, rd->app, e, key, CONFIG_MAP);

    for (const struct config_xml *c = e->children; c; c = c->next) {
        const char *name = config_xml_attribute(c, "name");
        const char *value = config_xml_attribute(c, "value");

        if (!name || !value)
            config_report_at(rd->report, &c->at,
                             "<%s> needs name=\"...\" and value=\"...\".",
                             c->name);
        else
            set(rd, map, c, name, scalar(rd, c, value));
    }
}

static void take_services(struct reader *rd, const struct config_xml *e)
{
    struct config_node *list =
        slot(rd, rd->app, e, "inbound_services", CONFIG_LIST);

    for (const struct config_xml *c = e->children; c; c = c->next) {
        if (strcmp(c->name, "service") != 0)
            unexpected(rd, c);
        else if (strcmp(c->at.text, "warmup") != 0) /* added at the end */
            append(rd, list, scalar(rd, c, c->at.text));
    }
}

static void take_warmup(struct reader *rd, const struct config_xml *e)
{
    if (!config_node_bool(value_of(rd, e), &rd->warmup))
        config_report_at(rd->report, &e->at,
                         "<warmup-requests-enabled> is true or false.");
}

/* <handler file="sorry.html" error-code="timeout" mime-type="text/html"/> */
static void take_errors(struct reader *rd, const struct config_xml *e)
{
    struct config_node *list =
        slot(rd, rd->app, e, "error_handlers", CONFIG_LIST);

    for (const struct config_xml *c = e->children; c; c = c->next) {
        struct config_node *map =
            config_node_new(rd->arena, CONFIG_MAP, &c->at);

        for (size_t i = 0; i < c->n_attributes; i++) {
            const char *name = yaml_name(rd->arena, c->attributes[i].name);
            const char *value = c->attributes[i].value;

            if (strcmp(name, "file") == 0)
                value = arena_printf(rd->arena, "%s%s", rd->war,
                                     value + (*value == '/'));
            set(rd, map, c, name, scalar(rd, c, value));
        }
        append(rd, list, map);
    }
}

/* Google's runtime reads it itself, or it means nothing to a war that is
 * served here. */
static void leave(struct reader *rd, const struct config_xml *e)
{
    (void)rd, (void)e;
}

/* ---- static files ---- */

/* A path without its first slash: two stars are any text, one ends at a
 * slash. */
static void put_glob(struct buf *b, const char *glob)
{
    for (const char *p = glob + (*glob == '/'); *p; p++) {
        if (p[0] == '*' && p[1] == '*')
            buf_add_str(b, ".*"), p++;
        else if (*p == '*')
            buf_add_str(b, "[^/]*");
        else if (strchr("\\.^$|()[]{}+?", *p))
            buf_printf(b, "\\%c", *p);
        else
            buf_add_u8(b, (uint8_t)*p);
    }
}

static const char *path_of(struct reader *rd, const struct config_xml *e)
{
    const char *path = config_xml_attribute(e, "path");

    if (!path || !*path) {
        config_report_at(rd->report, &e->at, "<%s> needs path=\"...\".",
                         e->name);
        return NULL;
    }
    return path;
}

/* What is never static: the war's own folders, pages that are programs, and
 * the <exclude>s. */
static const char *excludes(struct reader *rd, const struct config_xml *files)
{
    struct buf b = BUF_IN(rd->arena);

    buf_add_str(&b, "WEB-INF/|META-INF/|.*\\.jspx?$");
    for (const struct config_xml *c = files ? files->children : NULL; c;
         c = c->next) {
        const char *path =
            strcmp(c->name, "exclude") == 0 ? path_of(rd, c) : NULL;

        if (path) {
            buf_add_u8(&b, '|');
            put_glob(&b, path);
            buf_add_u8(&b, '$');
        }
    }
    return buf_cstr(&b);
}

/* <http-header name="A" value="B"/> */
static void put_headers(struct reader *rd, struct config_node *handler,
                        const struct config_xml *include)
{
    struct config_node *map;

    for (const struct config_xml *c = include->children; c; c = c->next) {
        const char *name = config_xml_attribute(c, "name");
        const char *value = config_xml_attribute(c, "value");

        if (strcmp(c->name, "http-header") != 0 || !name || !value) {
            config_report_at(rd->report, &c->at,
                             "<http-header name=\"...\" value=\"...\"/> is "
                             "wanted in <include>.");
            continue;
        }
        map = slot(rd, handler, c, "http_headers", CONFIG_MAP);
        set(rd, map, c, name, scalar(rd, c, value));
    }
}

/*
 * One handler for what a wildcard means.  A file that is not there is the
 * application's to answer, and the application may read those that are.
 */
static struct config_node *static_handler(struct reader *rd,
                                          const struct config_xml *e,
                                          const char *glob, const char * not,
                                          const char *root)
{
    struct config_node *map = config_node_new(rd->arena, CONFIG_MAP, &e->at);
    struct buf url = BUF_IN(rd->arena);
    const char *yes[] = {"require_matching_file", "application_readable"};

    buf_printf(&url, "/(?!%s)(", not );
    put_glob(&url, glob);
    buf_add_u8(&url, ')');
    set(rd, map, e, "url", scalar(rd, e, buf_cstr(&url)));
    set(rd, map, e, "static_files",
        scalar(rd, e, arena_printf(rd->arena, "%s\\1", root)));
    set(rd, map, e, "upload",
        scalar(rd, e, arena_printf(rd->arena, "%s.*", root)));
    for (size_t i = 0; i < 2; i++) {
        struct config_node *v = scalar(rd, e, "true");

        v->quoted = false;
        set(rd, map, e, yes[i], v);
    }
    return map;
}

static struct config_node *include_handler(struct reader *rd,
                                           const struct config_xml *e,
                                           const char * not, const char *root)
{
    const char *expiration = config_xml_attribute(e, "expiration");
    const char *path = path_of(rd, e);
    struct config_node *map;

    if (!path)
        return NULL;
    map = static_handler(rd, e, path, not, root);
    if (expiration)
        set(rd, map, e, "expiration", scalar(rd, e, expiration));
    put_headers(rd, map, e);
    return map;
}

/* "src/main/webapp/" and <public-root>/static</public-root>, joined. */
static const char *static_root(struct reader *rd, const struct config_xml *root)
{
    const char *public = config_xml_child_text(root, "public-root");
    size_t n;

    if (!public)
        return rd->war;
    public += *public == '/';
    n = strlen(public);
    return arena_printf(rd->arena, "%s%s%s", rd->war, public,
                        n && public[n - 1] != '/' ? "/" : "");
}

/* Without an <include> every file of the war is static. */
static void put_handlers(struct reader *rd, const struct config_xml *root)
{
    const struct config_xml *files = config_xml_child(root, "static-files");
    const char *not = excludes(rd, files), *at = static_root(rd, root);
    struct config_node *list = slot(rd, rd->app, root, "handlers", CONFIG_LIST);
    struct config_node *last =
        config_node_new(rd->arena, CONFIG_MAP, &root->at);

    for (const struct config_xml *c = files ? files->children : NULL; c;
         c = c->next) {
        struct config_node *one = NULL;

        if (strcmp(c->name, "include") == 0)
            one = include_handler(rd, c, not, at);
        else if (strcmp(c->name, "exclude") != 0)
            unexpected(rd, c);
        if (one)
            append(rd, list, one);
    }
    if (list->n == 0)
        append(rd, list, static_handler(rd, root, "**", not, at));
    set(rd, last, root, "url", scalar(rd, root, "/.*"));
    set(rd, last, root, "script", scalar(rd, root, "auto"));
    append(rd, list, last);
}

static void put_warmup(struct reader *rd, const struct config_xml *root)
{
    struct config_node *list =
        slot(rd, rd->app, root, "inbound_services", CONFIG_LIST);

    if (rd->warmup)
        append(rd, list, scalar(rd, root, "warmup"));
}

/* ---- the file ---- */

static const struct {
    const char *name;
    take_fn *take;
} elements[] = {
    {"application", take_scalar},
    {"module", take_scalar},
    {"service", take_scalar},
    {"version", take_scalar},
    {"runtime", take_scalar},
    {"runtime-channel", take_scalar},
    {"env", take_scalar},
    {"entrypoint", take_scalar},
    {"instance-class", take_scalar},
    {"threadsafe", take_scalar},
    {"service-account", take_scalar},
    {"app-engine-apis", take_scalar},
    {"automatic-scaling", take_map},
    {"basic-scaling", take_map},
    {"manual-scaling", take_map},
    {"vpc-access-connector", take_map},
    {"env-variables", take_variables},
    {"build-env-variables", take_variables},
    {"inbound-services", take_services},
    {"warmup-requests-enabled", take_warmup},
    {"static-error-handlers", take_errors},
    {"static-files", leave}, /* put_handlers() */
    {"public-root", leave},
    /* the runtime's own */
    {"system-properties", leave},
    {"url-stream-handler", leave},
    {"sessions-enabled", leave},
    {"async-session-persistence", leave},
    {"class-loader-config", leave},
    {"use-google-connector-j", leave},
    /* of the first generation: nothing is compiled or left out before */
    {"resource-files", leave},
    {"precompilation-enabled", leave},
    {"ssl-enabled", leave},
    {"user-permissions", leave},
    {"admin-console", leave},
    {"auto-id-policy", leave},
    {"code-lock", leave},
    {"pagespeed", leave},
    {NULL, NULL},
};

static void take(struct reader *rd, const struct config_xml *e)
{
    for (size_t i = 0; elements[i].name; i++) {
        if (strcmp(elements[i].name, e->name) == 0) {
            elements[i].take(rd, e);
            return;
        }
    }
    unexpected(rd, e);
}

int appengine_xml_parse(struct ctx *ctx, const char *file, const char *war,
                        struct bytes text, struct appyaml *out)
{
    struct config_report report = {0};
    struct reader rd = {
        .arena = ctx->arena, .report = &report, .war = war, .warmup = true};
    struct config_xml *root;

    config_xml_parse(ctx, file, text, &report, &root);
    if (root && strcmp(root->name, "appengine-web-app") != 0) {
        config_report_at(&report, &root->at,
                         "The root is <%s>; <appengine-web-app> is wanted.",
                         root->name);
    } else if (root) {
        rd.app = config_node_new(ctx->arena, CONFIG_MAP, &root->at);
        for (const struct config_xml *e = root->children; e; e = e->next)
            take(&rd, e);
        put_handlers(&rd, root);
        put_warmup(&rd, root);
    }
    return appyaml_from_node(ctx, &report, rd.app, out);
}

static bool is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static const char *const wars[] = {"", "src/main/webapp/", NULL};

const char *appengine_xml_war(struct arena *a, const char *dir)
{
    for (size_t i = 0; wars[i]; i++) {
        if (is_dir(arena_printf(a, "%s/%sWEB-INF", dir, wars[i])))
            return *wars[i] ? arena_printf(a, "%s/src/main/webapp", dir) : dir;
    }
    return NULL;
}

int appengine_xml_load(struct ctx *ctx, const char *dir, struct appyaml *out)
{
    for (size_t i = 0; wars[i]; i++) {
        const char *path =
            arena_printf(ctx->arena, "%s/%s" APPENGINE_XML, dir, wars[i]);
        struct bytes text;
        int rc = config_file_read(ctx, path, &text);

        if (rc == 0)
            return appengine_xml_parse(ctx, path, wars[i], text, out);
        if (rc != ERR_NOT_FOUND)
            return rc;
    }
    return ERR_NOT_FOUND;
}
