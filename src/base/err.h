/*
 * err - how a call says that it failed.
 *
 * A function returns 0 or a negative `enum err_code`.  The story - a sentence
 * for a person, the place that knew, the service's own error number - goes to
 * ctx->err where it is known; callers only pass the code on.  NOT_FOUND,
 * CONFLICT and WOULD_BLOCK are answers rather than stories and leave ctx->err
 * empty.
 *
 *     return ctx_err(ctx, ERR_INVALID, "key's path cannot be empty");
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>
#include <stdint.h>

enum err_code {
    ERR_OK = 0,
#define ERR(name, number, sentence, http, retryable) ERR_##name = (number),
#include "base/err_codes.h"
#undef ERR
};

struct err {
    enum err_code code;
    int32_t app_code;    /* the service's own number, 0: from its err_map */
    const char *message; /* lives as long as the request; never NULL if code */
    const char *file;
    int line;
};

/* The sentence of a code, "ok" for 0. */
const char *err_sentence(int code);

/* The name of a code without its prefix: "NOT_FOUND". */
const char *err_name(int code);

/* The HTTP status that fits a code; 200 for 0. */
int err_http_status(int code);

/* Whether the same call may succeed when it is made again. */
bool err_retryable(int code);

#endif
