/* text - repair, then make. */
#include "control/text.h"

#include "base/buf.h"
#include "base/utf8.h"

json_t *text_json(const char *s)
{
    struct arena a = ARENA_INIT;
    struct bytes text = utf8_repair(&a, bytes_str(s));
    json_t *j = json_stringn(text.p, text.n);

    arena_release(&a);
    return j;
}

json_t *text_json_bytes(struct bytes s)
{
    struct arena a = ARENA_INIT;
    struct buf out = BUF_IN(&a);
    json_t *j;

    while (s.n) {
        const char *nul = memchr(s.p, '\0', s.n);
        size_t n = nul ? (size_t)(nul - (const char *)s.p) : s.n;

        buf_add(&out, BYTES(s.p, n));
        if (nul)
            buf_add_str(&out, "\xef\xbf\xbd");
        s = bytes_from(s, nul ? n + 1 : n);
    }
    j = text_json(buf_cstr(&out));
    arena_release(&a);
    return j;
}
