/*
 * regex - PCRE2, anchored at both ends by the compiler's own flags rather than
 * by wrapping the pattern, which could change what it means.
 */
#include "config/regex.h"

#include "base/buf.h"
#include "base/log.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

enum { MATCH_LIMIT = 1000 * 1000 };

struct config_regex {
    pcre2_code *code;
    pcre2_match_context *limits;
};

struct config_regex *config_regex_new(const char *pattern, char *why,
                                      size_t size)
{
    struct config_regex *re = calloc(1, sizeof(*re));
    PCRE2_SIZE at = 0;
    int error = 0;

    if (!re)
        die("out of memory compiling a pattern");
    re->code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                      PCRE2_ANCHORED | PCRE2_ENDANCHORED, &error, &at, NULL);
    if (!re->code) {
        PCRE2_UCHAR text[128];

        pcre2_get_error_message(error, text, sizeof(text));
        snprintf(why, size, "%s at position %zu", (char *)text, (size_t)at);
        free(re);
        return NULL;
    }
    re->limits = pcre2_match_context_create(NULL);
    if (!re->limits)
        die("out of memory compiling a pattern");
    pcre2_set_match_limit(re->limits, MATCH_LIMIT);
    return re;
}

void config_regex_free(struct config_regex *re)
{
    if (!re)
        return;
    pcre2_match_context_free(re->limits);
    pcre2_code_free(re->code);
    free(re);
}

/* Behind the name of the group that opens at `p`, or `p` when it has none. */
static const char *behind_name(const char *p)
{
    static const struct {
        const char *open;
        char close;
    } forms[] = {{"(?P<", '>'}, {"(?<", '>'}, {"(?'", '\''}};

    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        size_t n = strlen(forms[i].open);
        const char *end;

        if (strncmp(p, forms[i].open, n) != 0 || strchr("=!", p[n]))
            continue;
        end = strchr(p + n, forms[i].close);
        return end ? end + 1 : p;
    }
    return p;
}

const char *config_regex_unnamed(struct arena *a, const char *pattern)
{
    struct buf out = BUF_IN(a);
    bool in_class = false;

    for (const char *p = pattern; *p; p++) {
        const char *behind = in_class ? p : behind_name(p);

        buf_add_u8(&out, (uint8_t)*p);
        if (behind != p)
            p = behind - 1;
        else if (*p == '\\' && p[1])
            buf_add_u8(&out, (uint8_t) * ++p);
        else if (*p == '[' && !in_class)
            in_class = true;
        else if (*p == ']')
            in_class = false;
    }
    return buf_cstr(&out);
}

bool config_regex_match(const struct config_regex *re, struct bytes value)
{
    pcre2_match_data *md = pcre2_match_data_create(1, NULL);
    int rc;

    if (!md)
        die("out of memory matching a pattern");
    rc = pcre2_match(re->code, value.n ? value.p : "", value.n, 0, 0, md,
                     re->limits);
    pcre2_match_data_free(md);
    return rc >= 0;
}

bool config_matches(const char *pattern, const char *value)
{
    char why[160];
    struct config_regex *re = config_regex_new(pattern, why, sizeof(why));
    bool yes;

    if (!re)
        BUG("pattern %s: %s", pattern, why);
    yes = config_regex_match(re, bytes_str(value));
    config_regex_free(re);
    return yes;
}
