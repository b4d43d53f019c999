/* text - repair, then make. */
#include "control/text.h"

#include "base/utf8.h"

json_t *text_json(const char *s)
{
    struct arena a = ARENA_INIT;
    struct bytes text = utf8_repair(&a, bytes_str(s));
    json_t *j = json_stringn(text.p, text.n);

    arena_release(&a);
    return j;
}
