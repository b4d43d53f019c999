/*
 * appyaml - app.yaml and the files beside it.
 *
 * Reads what a developer wrote, checks it against the tables in
 * appyaml_tables.c (Google's own validator, plus what that one lets through by
 * mistake), follows `includes`, and says the result in the words of the Admin
 * API v1: the body of a versions.create call without its `deployment`.
 *
 * The result lives in the arena of the ctx; its JSON is released with it.
 */
#ifndef CONFIG_APPYAML_H
#define CONFIG_APPYAML_H

#include "config/schema.h"

struct appyaml {
    const char *project; /* application: or project:, or NULL */
    const char *service; /* "default" when the file names none */
    const char *version; /* or NULL */
    const char *runtime;
    const char *skip_files; /* a pattern, or NULL: the default */
    json_t *json;           /* a Version of the Admin API */
};

/* What must not be shipped when app.yaml does not say (hosting.md section 2):
 * editors' backups, compiled Python, RCS and dot files. */
#define APPYAML_SKIP_DEFAULT                                                   \
    "(.*/)?((#.*#)|(.*~)|(.*\\.py[co])|(.*/RCS/.*)|(\\..*)|)"

#define APPYAML_PROJECT_PATTERN "(?!-)[a-z\\d\\-]{0,99}[a-z\\d]"
#define APPYAML_NAME_PATTERN    "^(?!-)[a-z\\d\\-]{0,62}[a-z\\d]$"

enum {
    APPYAML_HANDLERS_MAX = 100, /* appinfo.py MAX_URL_MAPS */
    APPYAML_INCLUDES_MAX = 100, /* ours: files one app.yaml may pull in */
};

/*
 * Read and check `path`.  ERR_NOT_FOUND when there is no such file; ERR_INVALID
 * with every finding, one a line, as FILE:LINE:COLUMN: reason.
 */
int appyaml_load(struct ctx *ctx, const char *path, struct appyaml *out);

/* As above from memory; `file` is what messages say and where includes are
 * looked for. */
int appyaml_parse(struct ctx *ctx, const char *file, struct bytes text,
                  struct appyaml *out);

/*
 * As above from the tree that another spelling of the file became
 * (appengine_xml.h); `app` is NULL where it has no such tree.  Findings of its
 * reading are in `report`; this is their end.
 */
int appyaml_from_node(struct ctx *ctx, struct config_report *report,
                      struct config_node *app, struct appyaml *out);

/* Refuse a version name that App Engine reserves; the reason, or NULL. */
const char *appyaml_version_refused(struct arena *a, const char *version);

/* The files that may stand beside app.yaml. */
struct appyaml_file {
    const char *name;
    const struct config_schema *schema;
};
extern const struct appyaml_file appyaml_files[]; /* a NULL name ends it */

/*
 * Check one of them: ERR_NOT_FOUND when absent, else 0 with its text, or
 * ERR_INVALID with the findings.
 */
int appyaml_file_load(struct ctx *ctx, const struct appyaml_file *file,
                      const char *path, struct bytes *text);

/* ---- for the module's own files ---- */

extern const struct config_schema appyaml_schema;
extern const struct config_schema appyaml_include_schema;

/* handlers: of a checked file as the Admin API's list. */
json_t *appyaml_handlers_json(struct ctx *ctx, const struct config_node *list);

/* Check a map of http_headers. */
void appyaml_headers_check(struct config_report *r,
                           const struct config_node *key,
                           const struct config_node *map);

#endif
