/*
 * http_headers of a static handler: which names and values a response may have
 * (appinfo.py, HttpHeadersDict).
 */
#include "config/appyaml.h"

#include <ctype.h>

enum { HEADERS_MAX = 500, HEADER_LENGTH_MAX = 500 };

/* Why a name is refused; a '*' at the end stands for any rest. */
static const struct {
    const char *name;
    const char *text; /* %s: the name */
} refused[] = {
#define REQUEST_ONLY "'%s' can only be used in HTTP requests, not responses."
    {"accept", REQUEST_ONLY},
    {"accept-charset", REQUEST_ONLY},
    {"accept-encoding", REQUEST_ONLY},
    {"accept-language", REQUEST_ONLY},
    {"authorization", REQUEST_ONLY},
    {"expect", REQUEST_ONLY},
    {"from", REQUEST_ONLY},
    {"host", REQUEST_ONLY},
    {"if-match", REQUEST_ONLY},
    {"if-modified-since", REQUEST_ONLY},
    {"if-none-match", REQUEST_ONLY},
    {"if-range", REQUEST_ONLY},
    {"if-unmodified-since", REQUEST_ONLY},
    {"max-forwards", REQUEST_ONLY},
    {"proxy-authorization", REQUEST_ONLY},
    {"range", REQUEST_ONLY},
    {"referer", REQUEST_ONLY},
    {"te", REQUEST_ONLY},
    {"user-agent", REQUEST_ONLY},
    {"x-appengine*",
     "HTTP header names that begin with X-Appengine are reserved. (%s)"},
#define HOP_BY_HOP                                                             \
    "Only use end-to-end headers may be used. See RFC 2616 section 13.5.1. "   \
    "(%s)"
    {"connection", HOP_BY_HOP},
    {"keep-alive", HOP_BY_HOP},
    {"proxy-authenticate", HOP_BY_HOP},
    {"trailers", HOP_BY_HOP},
    {"transfer-encoding", HOP_BY_HOP},
    {"upgrade", HOP_BY_HOP},
#define DISALLOWED "%s is a disallowed header."
    {"content-encoding", DISALLOWED},
    {"content-length", DISALLOWED},
    {"date", DISALLOWED},
    {"server", DISALLOWED},
};

/* Values that may be longer than HEADER_LENGTH_MAX, and how long. */
static const struct {
    const char *name;
    size_t max;
} long_values[] = {
    {"content-security-policy", 10240},
    {"x-content-security-policy", 10240},
    {"x-webkit-csp", 10240},
    {"content-security-policy-report-only", 10240},
    {"set-cookie", 4096},
    {"set-cookie2", 4096},
    {"location", 2047},
};

static bool is_token(const char *s)
{
    if (!*s)
        return false;
    for (; *s; s++) {
        if (!isgraph((unsigned char)*s) || strchr("()<>@,;:\\\"/[]?={}", *s))
            return false;
    }
    return true;
}

static bool name_matches(const char *row, const char *name)
{
    size_t n = strlen(row);

    if (row[n - 1] == '*')
        return strncasecmp(row, name, n - 1) == 0;
    return strcasecmp(row, name) == 0;
}

static void check_name(struct config_report *r, const struct config_node *key)
{
    if (!is_token(key->text)) {
        config_report_at(r, key,
                         "An HTTP header must be a non-empty RFC 2616 token.");
        return;
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        const char *text = refused[i].text, *hole = strstr(text, "%s");

        if (name_matches(refused[i].name, key->text))
            config_report_at(r, key, "%.*s%s%s", (int)(hole - text), text,
                             key->text, hole + 2);
    }
}

static void check_length(struct config_report *r, const struct config_node *key,
                         const struct config_node *value)
{
    size_t n = strlen(value->text);

    if (strlen(key->text) + n + 4 < HEADER_LENGTH_MAX)
        return;
    for (size_t i = 0; i < sizeof(long_values) / sizeof(*long_values); i++) {
        if (strcasecmp(long_values[i].name, key->text) != 0)
            continue;
        if (n > long_values[i].max)
            config_report_at(r, value,
                             "'%s' header value has length %zu, which exceed "
                             "the maximum allowed, %zu.",
                             key->text, n, long_values[i].max);
        return;
    }
    config_report_at(r, value, "HTTP header (name + value) is too long.");
}

static void check_header_value(struct config_report *r,
                               const struct config_node *key,
                               const struct config_node *value)
{
    for (const char *s = value->text; *s; s++) {
        if ((unsigned char)*s >= 0x80) {
            config_report_at(
                r, value, "HTTP header values must not contain non-ASCII data");
            return;
        }
        if (!isprint((unsigned char)*s)) {
            config_report_at(r, value,
                             "HTTP header field values must consist of "
                             "printable characters.");
            return;
        }
    }
    check_length(r, key, value);
}

void appyaml_headers_check(struct config_report *r,
                           const struct config_node *key,
                           const struct config_node *map)
{
    if (map->n > HEADERS_MAX)
        config_report_at(r, map,
                         "More HTTP headers than the maximum allowed number, "
                         "%d.",
                         HEADERS_MAX);
    for (size_t i = 0; i < map->n; i++) {
        check_name(r, map->keys[i]);
        check_header_value(r, map->keys[i], map->items[i]);
    }
}
