/*
 * pb - single protobuf fields, without a message.
 *
 * The hot paths pass entities on as the bytes the SDK sent; these read a
 * serialized message field by field and append fields to a buffer.
 *
 *     struct pb_reader r = PB_READER(entity);
 *     while (pb_next(&r))
 *         if (r.field == 13)
 *             key = r.bytes;
 *     if (r.bad) ...
 */
#ifndef WIRE_PB_H
#define WIRE_PB_H

#include "base/buf.h"

enum pb_kind {
    PB_VARINT = 0,
    PB_FIXED64 = 1,
    PB_BYTES = 2,
    PB_GROUP = 3,
    PB_END_GROUP = 4,
    PB_FIXED32 = 5,
};

struct pb_reader {
    const uint8_t *at, *end;
    uint32_t field;
    enum pb_kind kind;
    uint64_t u64;       /* PB_VARINT, PB_FIXED64, PB_FIXED32 */
    struct bytes bytes; /* PB_BYTES: contents; PB_GROUP: what is inside */
    struct bytes whole; /* the field with its tag, to be passed on */
    bool bad;
};

#define PB_READER(b_)                                                          \
    {                                                                          \
        .at = bytes_u8(b_),                                                    \
        .end = (b_).n ? bytes_u8(b_) + (b_).n : bytes_u8(b_)                   \
    }

/* Step to the next field.  False at the end, and when the bytes are bad. */
bool pb_next(struct pb_reader *r);

/* The value of the first field `field` of a kind in `in`; false when absent. */
bool pb_find_bytes(struct bytes in, uint32_t field, struct bytes *out);

/* Append a varint, 1 to 10 bytes; a negative number is given as its 64 bits. */
void pb_put_varint(struct buf *b, uint64_t v);

/*
 * Append a tag alone, for a group or for contents that follow piece by piece.
 */
void pb_put_tag(struct buf *b, uint32_t field, enum pb_kind kind);

/* Append a varint field. */
void pb_put_u64(struct buf *b, uint32_t field, uint64_t v);

/* Append a field of eight bytes, little-endian. */
void pb_put_fixed64(struct buf *b, uint32_t field, uint64_t v);

/* Append a field of bytes, a string or an embedded message. */
void pb_put_bytes(struct buf *b, uint32_t field, struct bytes v);

/* Bytes a varint takes. */
size_t pb_varint_size(uint64_t v);

#endif
