/* broker_message - writing and reading a lease on a task. */
#include "service/taskqueue/broker_message.h"

#include "base/log.h"

static const char magic[] = {'A', 'S', 'T', '1'};

static void add_u16(struct buf *out, uint16_t v)
{
    buf_add_u8(out, (uint8_t)(v >> 8));
    buf_add_u8(out, (uint8_t)v);
}

static void add_text(struct buf *out, struct bytes text)
{
    if (text.n > BROKER_TEXT_MAX)
        BUG("a message with a text of %zu bytes", text.n);
    add_u16(out, (uint16_t)text.n);
    buf_add(out, text);
}

void broker_message_write(struct buf *out, const struct broker_message *m)
{
    buf_add(out, BYTES(magic, sizeof(magic)));
    buf_add_be64(out, m->epoch);
    buf_add_be64(out, m->number);
    buf_add_be64(out, (uint64_t)m->at);
    add_u16(out, m->moves);
    add_text(out, m->app);
    add_text(out, m->queue);
    add_text(out, m->name);
}

/* The first `n` bytes of the rest, which begins behind them from then on. */
static const uint8_t *take(struct bytes *rest, size_t n)
{
    const uint8_t *p = bytes_u8(*rest);

    if (rest->n < n)
        return NULL;
    *rest = bytes_from(*rest, n);
    return p;
}

static bool take_u64(struct bytes *rest, uint64_t *v)
{
    const uint8_t *p = take(rest, 8);

    if (p)
        *v = get_be64(p);
    return p != NULL;
}

static bool take_u16(struct bytes *rest, uint16_t *v)
{
    const uint8_t *p = take(rest, 2);

    if (p)
        *v = (uint16_t)(p[0] << 8 | p[1]);
    return p != NULL;
}

static bool take_text(struct bytes *rest, struct bytes *text)
{
    const uint8_t *p;
    uint16_t n;

    if (!take_u16(rest, &n) || n > BROKER_TEXT_MAX)
        return false;
    p = take(rest, n);
    if (p)
        *text = BYTES(p, n);
    return p != NULL;
}

bool broker_message_read(struct bytes in, struct broker_message *out)
{
    const uint8_t *p = take(&in, sizeof(magic));
    uint64_t at;

    if (!p || memcmp(p, magic, sizeof(magic)) != 0)
        return false;
    if (!take_u64(&in, &out->epoch) || !take_u64(&in, &out->number) ||
        !take_u64(&in, &at) || !take_u16(&in, &out->moves))
        return false;
    out->at = (int64_t)at;
    return take_text(&in, &out->app) && take_text(&in, &out->queue) &&
           take_text(&in, &out->name) && in.n == 0;
}
