#include "base/yaml_text.h"

/* What YAML 1.1 or 1.2 reads as a boolean or as nothing, in any case. */
static const char *const words[] = {
    "y", "n", "yes", "no", "on", "off", "true", "false", "null",
};

/*
 * Letters, then letters, digits, dots and hyphens: all of it one plain scalar,
 * and no number, for those begin with a digit, a sign or a dot.
 */
static bool is_plain(struct bytes s)
{
    const uint8_t *p = bytes_u8(s);

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (bytes_ieq(s, bytes_str(words[i])))
            return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        uint8_t low = p[i] | 0x20;
        bool letter = (low >= 'a' && low <= 'z') || p[i] == '_';
        bool inner = (p[i] >= '0' && p[i] <= '9') || p[i] == '.' || p[i] == '-';

        if (!letter && !(inner && i > 0))
            return false;
    }
    return s.n > 0;
}

/* Not YAML's "printable", though UTF-8: U+0080 to U+009F, U+FEFF, U+FFFE,
 * U+FFFF, and the line ends U+2028 and U+2029.  The code point, or 0. */
static unsigned unprintable(const uint8_t *p, size_t left)
{
    if (left >= 2 && p[0] == 0xc2 && p[1] < 0xa0)
        return p[1];
    if (left >= 3 && p[0] == 0xe2 && p[1] == 0x80 &&
        (p[2] == 0xa8 || p[2] == 0xa9))
        return 0x2000u | (p[2] & 0x3fu);
    if (left >= 3 && p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf)
        return 0xfeff;
    if (left >= 3 && p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xbe)
        return 0xffc0u | (p[2] & 0x3fu);
    return 0;
}

void yaml_put_quoted(struct buf *b, struct bytes s)
{
    const uint8_t *p = bytes_u8(s);

    buf_add_u8(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned c = unprintable(p + i, s.n - i);

        if (c) {
            buf_printf(b, "\\u%04X", c);
            i += c < 0x100 ? 1 : 2;
        } else if (p[i] < 0x20 || p[i] == 0x7f) {
            buf_printf(b, "\\x%02X", p[i]);
        } else {
            if (p[i] == '"' || p[i] == '\\')
                buf_add_u8(b, '\\');
            buf_add_u8(b, p[i]);
        }
    }
    buf_add_u8(b, '"');
}

void yaml_put_scalar(struct buf *b, struct bytes s)
{
    if (is_plain(s))
        buf_add(b, s);
    else
        yaml_put_quoted(b, s);
}
