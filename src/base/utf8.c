/* utf8 - the well-formed sequences, byte by byte. */
#include "base/utf8.h"

#include "base/buf.h"

/* The length of the well-formed sequence at p, 0 when there is none; Unicode
 * table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF. */
static size_t utf8_step(const uint8_t *p, size_t n)
{
    uint8_t c = p[0], lo = 0x80, hi = 0xbf;
    size_t want;

    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c <= 0xdf) {
        want = 2;
    } else if (c >= 0xe0 && c <= 0xef) {
        want = 3;
        lo = c == 0xe0 ? 0xa0 : 0x80;
        hi = c == 0xed ? 0x9f : 0xbf;
    } else if (c >= 0xf0 && c <= 0xf4) {
        want = 4;
        lo = c == 0xf0 ? 0x90 : 0x80;
        hi = c == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    if (n < want || p[1] < lo || p[1] > hi)
        return 0;
    for (size_t i = 2; i < want; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return want;
}

bool utf8_valid(struct bytes b)
{
    const uint8_t *p = bytes_u8(b);
    size_t step;

    for (size_t i = 0; i < b.n; i += step) {
        step = utf8_step(p + i, b.n - i);
        if (step == 0)
            return false;
    }
    return true;
}

struct bytes utf8_repair(struct arena *a, struct bytes b)
{
    const uint8_t *p = bytes_u8(b);
    struct buf out = BUF_IN(a);

    if (utf8_valid(b))
        return b;
    for (size_t i = 0; i < b.n;) {
        size_t step = utf8_step(p + i, b.n - i);

        if (step)
            buf_add(&out, BYTES(p + i, step));
        else
            buf_add_str(&out, "\xef\xbf\xbd");
        i += step ? step : 1;
    }
    return buf_view(&out);
}
