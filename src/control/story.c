/* story - one pass over the lines, then the last of those that stay. */
#include "control/story.h"

#include "base/buf.h"

static struct bytes cut_line(struct bytes *text)
{
    const char *nl = memchr(text->p, '\n', text->n);
    size_t n = nl ? (size_t)(nl - (const char *)text->p) : text->n;
    struct bytes line = BYTES(text->p, n);

    *text = bytes_from(*text, nl ? n + 1 : n);
    return line;
}

static size_t indent(struct bytes line)
{
    size_t n = 0;

    while (n < line.n && bytes_u8(line)[n] == ' ')
        n++;
    return n;
}

static bool names(struct bytes line, const char *folder)
{
    size_t n = strlen(folder);
    const char *at = line.n ? memmem(line.p, line.n, folder, n) : NULL;

    return at && at + n < (const char *)line.p + line.n && at[n] == '/';
}

/* Where the last `lines` lines begin. */
static size_t tail(struct bytes text, int lines)
{
    size_t at = text.n;

    while (at > 0 && (bytes_u8(text)[at - 1] != '\n' || --lines > 0))
        at--;
    return at;
}

const char *story_lines(struct arena *a, struct bytes text, const char *root,
                        const char *own, int lines)
{
    struct buf out = BUF_IN(a);
    size_t frame = SIZE_MAX; /* the indent of a frame that is left out */

    while (text.n) {
        struct bytes line = cut_line(&text);

        if (indent(line) > frame && indent(line) < line.n)
            continue;
        frame = SIZE_MAX;
        if (names(line, root) && !names(line, own) && indent(line) > 0) {
            frame = indent(line);
            continue;
        }
        if (out.n)
            buf_add_u8(&out, '\n');
        buf_add(&out, line);
    }
    return buf_cstr(&out) + tail(buf_view(&out), lines);
}
