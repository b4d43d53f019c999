#include "base/err.h"

#include <stddef.h>

static const struct row {
    int code;
    const char *name;
    const char *sentence;
    int http;
    bool retryable;
} rows[] = {
#define ERR(name, number, sentence, http, retryable)                           \
    {number, #name, sentence, http, retryable},
#include "base/err_codes.h"
#undef ERR
};

static const struct row *find(int code)
{
    static const struct row ok = {0, "OK", "ok", 200, false};
    static const struct row unknown = {1, "?", "an unknown error", 500, false};

    if (code == 0)
        return &ok;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].code == code)
            return &rows[i];
    }
    return &unknown;
}

const char *err_sentence(int code)
{
    return find(code)->sentence;
}

const char *err_name(int code)
{
    return find(code)->name;
}

int err_http_status(int code)
{
    return find(code)->http;
}

bool err_retryable(int code)
{
    return find(code)->retryable;
}
