/* pb - tags, varints and lengths; every step is checked against the end. */
#include "wire/pb.h"

enum { GROUP_DEPTH_MAX = 100 };

static bool read_varint(struct pb_reader *r, uint64_t *v)
{
    uint64_t out = 0;

    for (int shift = 0; shift < 64 && r->at < r->end; shift += 7) {
        uint8_t c = *r->at++;

        out |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80)) {
            *v = out;
            return true;
        }
    }
    return false;
}

static bool read_fixed(struct pb_reader *r, size_t n)
{
    uint64_t v = 0;

    if ((size_t)(r->end - r->at) < n)
        return false;
    for (size_t i = n; i-- > 0;)
        v = v << 8 | r->at[i];
    r->u64 = v;
    r->at += n;
    return true;
}

static bool read_tag(struct pb_reader *r)
{
    uint64_t tag;

    if (!read_varint(r, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
        return false;
    r->field = (uint32_t)(tag >> 3);
    r->kind = (enum pb_kind)(tag & 7);
    return true;
}

static bool read_value(struct pb_reader *r, int depth);

/* Leaves r->bytes at what is between the tags, r->at behind the end tag. */
static bool read_group(struct pb_reader *r, int depth)
{
    const uint8_t *start = r->at, *last;
    uint32_t field = r->field;

    if (depth >= GROUP_DEPTH_MAX)
        return false;
    for (;;) {
        last = r->at;
        if (!read_tag(r))
            return false;
        if (r->kind == PB_END_GROUP)
            break;
        if (!read_value(r, depth + 1))
            return false;
    }
    if (r->field != field)
        return false;
    r->kind = PB_GROUP;
    r->bytes = BYTES(start, (size_t)(last - start));
    return true;
}

static bool read_value(struct pb_reader *r, int depth)
{
    uint64_t n;

    switch (r->kind) {
    case PB_VARINT:
        return read_varint(r, &r->u64);
    case PB_FIXED64:
        return read_fixed(r, 8);
    case PB_FIXED32:
        return read_fixed(r, 4);
    case PB_BYTES:
        if (!read_varint(r, &n) || n > (uint64_t)(r->end - r->at))
            return false;
        r->bytes = BYTES(r->at, (size_t)n);
        r->at += n;
        return true;
    case PB_GROUP:
        return read_group(r, depth);
    default:
        return false;
    }
}

bool pb_next(struct pb_reader *r)
{
    const uint8_t *start = r->at;

    if (r->bad || r->at == r->end)
        return false;
    if (!read_tag(r) || !read_value(r, 0)) {
        r->bad = true;
        return false;
    }
    r->whole = BYTES(start, (size_t)(r->at - start));
    return true;
}

bool pb_find_bytes(struct bytes in, uint32_t field, struct bytes *out)
{
    struct pb_reader r = PB_READER(in);

    while (pb_next(&r)) {
        if (r.field == field && (r.kind == PB_BYTES || r.kind == PB_GROUP)) {
            *out = r.bytes;
            return true;
        }
    }
    return false;
}

size_t pb_varint_size(uint64_t v)
{
    size_t n = 1;

    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

void pb_put_varint(struct buf *b, uint64_t v)
{
    uint8_t *p = buf_reserve(b, 10);
    size_t n = 0;

    while (v >= 0x80) {
        p[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    p[n++] = (uint8_t)v;
    b->n += n;
}

void pb_put_tag(struct buf *b, uint32_t field, enum pb_kind kind)
{
    pb_put_varint(b, (uint64_t)field << 3 | kind);
}

void pb_put_u64(struct buf *b, uint32_t field, uint64_t v)
{
    pb_put_tag(b, field, PB_VARINT);
    pb_put_varint(b, v);
}

void pb_put_fixed64(struct buf *b, uint32_t field, uint64_t v)
{
    uint8_t *p;

    pb_put_tag(b, field, PB_FIXED64);
    p = buf_reserve(b, 8);
    for (int i = 0; i < 8; i++, v >>= 8)
        p[i] = (uint8_t)v;
    b->n += 8;
}

void pb_put_bytes(struct buf *b, uint32_t field, struct bytes v)
{
    pb_put_tag(b, field, PB_BYTES);
    pb_put_varint(b, v.n);
    buf_add(b, v);
}
