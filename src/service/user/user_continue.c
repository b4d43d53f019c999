/*
 * user_continue - where a browser may be sent after signing in.
 *
 * The address comes from a link that anyone can write, so it is read the way
 * browsers read addresses, which is not quite the way the standards do: they
 * take "\" for "/", drop tabs and line ends, and see a host in "//host".
 * Anything of that kind, and any host that is not ours, becomes "/".
 */
#include "service/user/user.h"

#include "base/buf.h"

struct bytes user_host(struct arena *a, struct bytes host)
{
    const uint8_t *p = bytes_u8(host);
    uint8_t *out = arena_alloc(a, host.n + 1);
    size_t n = host.n, digits = 0;

    while (digits < n && p[n - 1 - digits] >= '0' && p[n - 1 - digits] <= '9')
        digits++;
    if (digits < n && p[n - 1 - digits] == ':')
        n -= digits + 1;
    for (size_t i = 0; i < n; i++)
        out[i] = p[i] >= 'A' && p[i] <= 'Z' ? (uint8_t)(p[i] + 32) : p[i];
    return BYTES(out, n);
}

static bool starts_nocase(struct bytes v, const char *prefix)
{
    size_t n = strlen(prefix);

    return v.n >= n && bytes_ieq(BYTES(v.p, n), BYTES(prefix, n));
}

/* "app.example.com" is below "example.com". */
static bool is_below(struct bytes host, struct bytes domain)
{
    struct bytes tail;

    if (domain.n == 0 || host.n < domain.n)
        return false;
    tail = bytes_from(host, host.n - domain.n);
    if (!bytes_eq(tail, domain))
        return false;
    return host.n == domain.n || bytes_u8(host)[host.n - domain.n - 1] == '.';
}

/* Letters, digits, '-', '.' and the brackets and colons of an IPv6 address. */
static bool is_host(struct bytes host)
{
    const uint8_t *p = bytes_u8(host);

    for (size_t i = 0; i < host.n; i++) {
        if (!((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= '0' && p[i] <= '9') ||
              strchr("-.[]:_", p[i])))
            return false;
    }
    return host.n > 0;
}

static bool is_ours(struct arena *a, struct bytes url, struct bytes own,
                    struct bytes domain)
{
    struct bytes rest, host;
    size_t n = 0;

    if (starts_nocase(url, "http://"))
        rest = bytes_from(url, 7);
    else if (starts_nocase(url, "https://"))
        rest = bytes_from(url, 8);
    else
        return false;
    while (n < rest.n && !strchr("/?#", bytes_u8(rest)[n]))
        n++;
    host = user_host(a, BYTES(rest.p, n));
    return is_host(host) &&
           (bytes_eq(host, own) || is_below(host, user_host(a, domain)));
}

static bool has_bad_bytes(struct bytes url)
{
    const uint8_t *p = bytes_u8(url);

    for (size_t i = 0; i < url.n; i++) {
        if (p[i] < ' ' || p[i] == 0x7f || p[i] == '\\')
            return true;
    }
    return false;
}

/* Blanks, quotes and what is beyond ASCII as %XX. */
static struct bytes for_header(struct arena *a, struct bytes url)
{
    struct buf b = BUF_IN(a);

    for (size_t i = 0; i < url.n; i++) {
        uint8_t c = bytes_u8(url)[i];

        if (c <= ' ' || c >= 0x7f || strchr("\"<>`", c))
            buf_printf(&b, "%%%02X", c);
        else
            buf_add_u8(&b, c);
    }
    return buf_view(&b);
}

struct bytes user_continue(struct arena *a, struct bytes url, struct bytes own,
                           struct bytes domain)
{
    const uint8_t *p = bytes_u8(url);
    bool path = url.n > 0 && p[0] == '/' && !(url.n > 1 && p[1] == '/');

    if (url.n == 0 || url.n > USER_URL_MAX || has_bad_bytes(url) ||
        (!path && !is_ours(a, url, own, domain)))
        return BYTES_LIT("/");
    return for_header(a, url);
}
