/* metadata_int - what the files of service/metadata share. */
#ifndef SERVICE_METADATA_METADATA_INT_H
#define SERVICE_METADATA_METADATA_INT_H

#include "service/env.h"
#include "service/metadata/metadata.h"
#include "service/platform/platform.h"

#include <jansson.h>

/* One request. */
struct metadata_ask {
    const struct http_request *req;
    struct platform_caller who;
    struct bytes path; /* behind the secret: "/computeMetadata/v1/..." */
};

/*
 * What a version sees, as directories of directories; members are the names of
 * the paths.  Tokens are not in it: they are made when they are asked for.
 * It goes back with the arena.
 */
json_t *metadata_tree(struct ctx *ctx, const struct platform_caller *who);

/* The names of a directory, one a line, those of directories with '/'. */
struct bytes metadata_listing(struct ctx *ctx, const json_t *dir);

/* A value, or a directory, as JSON; names become camelCase. */
struct bytes metadata_json(struct ctx *ctx, const json_t *value);

/* The same as text: a value as it is, a list one item a line, a directory as
 * lines "path value". */
struct bytes metadata_text(struct ctx *ctx, const json_t *value);

#endif
