/*
 * dispatchyaml - dispatch.yaml: which service gets what host and path.
 *
 * Rules are looked at in the file's order and the first that matches wins.  A
 * rule's host is exact or begins with '*' (any beginning), its path is exact or
 * ends with '*' (any end).  The same checks serve the file and the Admin API.
 */
#ifndef CONFIG_DISPATCHYAML_H
#define CONFIG_DISPATCHYAML_H

#include "config/schema.h"

#include <jansson.h>

enum {
    DISPATCH_RULES_MAX = 20, /* Google's public reference */
    DISPATCH_URL_MAX = 100,  /* likewise, host and path together */
};

extern const struct config_schema dispatchyaml_schema;

/* Why a rule's host and path cannot be one, in the arena; or NULL. */
const char *dispatchyaml_refused(struct arena *a, const char *host,
                                 const char *path);

/*
 * Read and check a file's text; *rules is the Admin API's list
 * [{"domain","path","service"}], a new reference.  ERR_INVALID with every
 * finding.
 */
int dispatchyaml_parse(struct ctx *ctx, const char *file, struct bytes text,
                       json_t **rules);

#endif
